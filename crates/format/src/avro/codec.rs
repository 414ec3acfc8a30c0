//! The codecs of blocks.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};

use crate::compression::{Caps, Filled, Source};
use tollgate_base::batch::Frame;
use tollgate_base::error::{Error, ErrorKind, Result, Subject};
use tollgate_base::options::Compression;

/// Bytes of what is in a block at most.
pub(super) const MOST_DECODED_BYTES: u64 = 96 << 20;
/// Decoded bytes that are made room for at a time.
const STEP_BYTES: usize = 64 << 10;

/// How the blocks of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    /// Without zlib's frame.
    Deflate,
    /// A raw block, then the checksum of what is in it.
    Snappy,
    /// What whole objects are compressed with as well.
    Whole(Compression),
}

impl Codec {
    /// The codec that a header names.
    pub(super) fn of_name(name: &[u8]) -> Result<Self> {
        Ok(match name {
            b"" | b"null" => Self::Null,
            b"deflate" => Self::Deflate,
            b"snappy" => Self::Snappy,
            b"zstandard" => Self::Whole(Compression::Zstd),
            b"bzip2" => Self::Whole(Compression::Bzip2),
            b"xz" => Self::Whole(Compression::Xz),
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(Error::new(ErrorKind::Unsupported, "the codec of the Avro file is not supported")
                    .with("codec", name)
                    .hint("write the file with null, deflate, snappy, zstandard, bzip2 or xz"));
            }
        })
    }

    /// What is in a block. Its memory is bounded by `caps`.
    pub(super) fn decode(self, stored: &[u8], caps: Caps) -> Result<Vec<u8>> {
        let data = match self {
            Self::Null => {
                check(stored, stored.len(), caps)?;
                stored.to_vec()
            }
            Self::Deflate => inflate(stored, caps)?,
            Self::Snappy => unsnap(stored, caps)?,
            Self::Whole(compression) => whole(compression, stored, caps)?,
        };
        Ok(data)
    }
}

fn inflate(stored: &[u8], caps: Caps) -> Result<Vec<u8>> {
    let mut decompress = Decompress::new(false);
    let mut data = Vec::new();
    loop {
        data.reserve(STEP_BYTES);
        let before = (decompress.total_in(), decompress.total_out());
        let rest = &stored[decompress.total_in() as usize..];
        let status =
            decompress.decompress_vec(rest, &mut data, FlushDecompress::None).map_err(|_| damaged("deflate"))?;
        check(stored, data.len(), caps)?;
        if status == Status::StreamEnd {
            return Ok(data);
        }
        if before == (decompress.total_in(), decompress.total_out()) {
            return Err(damaged("deflate"));
        }
    }
}

fn unsnap(stored: &[u8], caps: Caps) -> Result<Vec<u8>> {
    let (block, sum) = stored.split_last_chunk::<4>().ok_or_else(|| damaged("snappy"))?;
    let length = snap::raw::decompress_len(block).map_err(|_| damaged("snappy"))?;
    // Snappy makes at most 64 bytes of 3: a length beyond is not one.
    if length as u64 > block.len() as u64 * 64 {
        return Err(damaged("snappy"));
    }
    check(stored, length, caps)?;
    let data = snap::raw::Decoder::new().decompress_vec(block).map_err(|_| damaged("snappy"))?;
    let mut found = flate2::Crc::new();
    found.update(&data);
    if found.sum() != u32::from_be_bytes(*sum) {
        return Err(damaged("snappy").with("reason", "the checksum does not match"));
    }
    Ok(data)
}

fn whole(compression: Compression, stored: &[u8], caps: Caps) -> Result<Vec<u8>> {
    let mut source = Source::new(compression, Frame { stored: 0, decoded: 0 }, caps)?;
    source.feed(0, Bytes::copy_from_slice(stored))?;
    source.finish();
    let mut data = Vec::new();
    loop {
        let target = (data.len() * 2).clamp(STEP_BYTES, MOST_DECODED_BYTES as usize * 2);
        // A block is decompressed as a whole before a row is made of it.
        if source.read(&mut data, target).map_err(|error| error.about(Subject::File))? == Filled::End {
            return Ok(data);
        }
    }
}

fn check(stored: &[u8], decoded_bytes: usize, caps: Caps) -> Result<()> {
    let ratio_kept = decoded_bytes as u64 / caps.ratio.max(1) <= stored.len() as u64 + 1024;
    if decoded_bytes as u64 <= caps.decoded_bytes && ratio_kept {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooLarge, "an Avro block expands to more than the limit allows")
        .with("stored_bytes", stored.len())
        .with("decoded_bytes", decoded_bytes)
        .with("limit_bytes", caps.decoded_bytes)
        .hint("write the file with smaller blocks (sync interval)"))
}

fn damaged(codec: &'static str) -> Error {
    Error::data("the compressed data of an Avro block is damaged").with("codec", codec)
}
