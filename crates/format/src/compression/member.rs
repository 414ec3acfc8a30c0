//! One member of compressed data: the data of a codec, or what a zip archive has around it.

use super::codec::Codec;
use super::did::Did;
use super::zip_member::ZipMember;
use tollgate_base::error::Result;
use tollgate_base::options::Compression;

/// A member that is being read.
pub(super) enum Member {
    Codec(Codec),
    Zip(Box<ZipMember>),
}

impl Member {
    /// See [`Codec::open`].
    pub(super) fn open(compression: Compression, first: &[u8]) -> Result<Self> {
        Ok(match compression {
            Compression::Zip => Self::Zip(Box::default()),
            _ => Self::Codec(Codec::open(compression, first)?),
        })
    }

    /// See [`Codec::window_bytes`].
    pub(super) fn window_bytes(&self) -> u64 {
        match self {
            Self::Codec(codec) => codec.window_bytes(),
            Self::Zip(zip) => zip.window_bytes(),
        }
    }

    /// See [`Codec::may_end`].
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Codec(codec) => codec.may_end(),
            Self::Zip(_) => false,
        }
    }

    /// See [`Codec::decode`].
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        match self {
            Self::Codec(codec) => codec.decode(input, out, target),
            Self::Zip(zip) => zip.decode(input, out, target),
        }
    }
}
