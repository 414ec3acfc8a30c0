//! One frame or stream of a codec: a decompressor that is handed bytes.
//!
//! Codecs whose library is a state machine are called straight away (deflate, bzip2, zstd, xz, brotli). The others
//! come in units of bounded size: `lz4` and `snappy` gather one and give it to the library.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::did::Did;
use super::lz4::Lz4;
use super::snappy::{self, Snappy};
use super::window::{XZ_MEMORY_STEPS, ZstdHeader};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::Compression;

/// Window of gzip's deflate, as a power of two.
const GZIP_WINDOW_BITS: u8 = 15;
/// What a bzip2 stream needs at most: its largest block, sorted.
const BZIP2_BYTES: u64 = 4 << 20;
/// The largest window of zstd, as a power of two: what its own tool accepts without being told to.
const ZSTD_WINDOW_BITS: u32 = 27;

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// A stream of xz, and the memory that it may have: as little as it needs of the steps, so that it is known.
pub(super) struct Xz {
    stream: liblzma::stream::Stream,
    memory_bytes: u64,
}

impl Xz {
    fn open() -> Result<Self> {
        let memory_bytes = XZ_MEMORY_STEPS[0];
        let stream = liblzma::stream::Stream::new_stream_decoder(memory_bytes, 0);
        Ok(Self { stream: stream.map_err(|error| no_decompressor("xz").caused_by(error))?, memory_bytes })
    }

    /// Gives it as much memory as it asks for. `false`: that is too much. A limit below what it needs is refused.
    fn grow(&mut self) -> bool {
        let larger = XZ_MEMORY_STEPS.into_iter().filter(|step| *step > self.memory_bytes);
        let enough = larger.into_iter().find(|step| self.stream.set_memlimit(*step).is_ok());
        self.memory_bytes = enough.unwrap_or(self.memory_bytes);
        enough.is_some()
    }
}

/// A codec in the middle of its data.
pub(super) enum Codec {
    Deflate(Box<Decompress>),
    Bzip2(Box<bzip2::Decompress>),
    Zstd(Box<(Decoder<'static>, ZstdHeader)>),
    Xz(Box<Xz>),
    Lz4(Box<Lz4>),
    Snappy(Box<Snappy>),
    Brotli(Box<Brotli>),
}

impl Codec {
    /// The beginning of a member. `first` are its first bytes, ten of them for Snappy unless there are fewer.
    pub(super) fn open(compression: Compression, first: &[u8]) -> Result<Self> {
        let allocator = StandardAlloc::default;
        Ok(match compression {
            Compression::Gzip => Self::Deflate(Box::new(Decompress::new_gzip(GZIP_WINDOW_BITS))),
            Compression::Bzip2 => Self::Bzip2(Box::new(bzip2::Decompress::new(false))),
            Compression::Zstd => Self::zstd()?,
            Compression::Xz => Self::Xz(Box::new(Xz::open()?)),
            Compression::Lz4 => Self::Lz4(Box::default()),
            Compression::Snappy => Self::Snappy(Box::new(Snappy::of(first))),
            // Without the extension that allows windows of a gigabyte.
            Compression::Brotli => {
                Self::Brotli(Box::new(BrotliState::new_strict(allocator(), allocator(), allocator())))
            }
            Compression::Zip | Compression::Auto | Compression::None => {
                return Err(no_decompressor(compression.name()));
            }
        })
    }

    /// Deflate without anything around it, as zip has it.
    pub(super) fn raw_deflate() -> Self {
        Self::Deflate(Box::new(Decompress::new(false)))
    }

    fn zstd() -> Result<Self> {
        let mut decoder = Decoder::new().map_err(|error| no_decompressor("zstd").caused_by(error))?;
        decoder
            .set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_BITS))
            .map_err(|error| no_decompressor("zstd").caused_by(error))?;
        Ok(Self::Zstd(Box::new((decoder, ZstdHeader::default()))))
    }

    /// Memory in bytes that it needs when it has made as much text: its window, mostly. Known when its header was decoded.
    pub(super) fn window_bytes(&self) -> u64 {
        match self {
            Self::Deflate(_) => 1 << GZIP_WINDOW_BITS,
            Self::Bzip2(_) => BZIP2_BYTES,
            Self::Zstd(zstd) => zstd.1.window_bytes(),
            Self::Xz(xz) => xz.memory_bytes,
            Self::Lz4(lz4) => lz4.held_bytes(),
            Self::Snappy(_) => snappy::HELD_BYTES,
            Self::Brotli(brotli) => u64::try_from(brotli.ringbuffer_size).unwrap_or(0),
        }
    }

    /// Whether the data may end here: between the units of a codec whose data has no end mark.
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Snappy(snappy) => snappy.may_end(),
            _ => false,
        }
    }

    /// Uses input and appends text to `out`, which has room until `target` (and may be filled as far as it has room).
    /// With empty input it hands over what is left of the input before.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        debug_assert!(out.capacity() >= target, "the caller reserves the target");
        match self {
            Self::Deflate(deflate) => inflate(deflate, input, out),
            Self::Bzip2(bzip2) => bunzip(bzip2, input, out),
            Self::Zstd(zstd) => {
                zstd.1.see(input);
                unzstd(&mut zstd.0, input, out)
            }
            Self::Xz(xz) => unxz(xz, input, out),
            Self::Lz4(lz4) => lz4.decode(input, out, target),
            Self::Snappy(snappy) => snappy.decode(input, out, target),
            Self::Brotli(brotli) => unbrotli(brotli, input, out, target),
        }
    }
}

fn no_decompressor(codec: &'static str) -> Error {
    Error::internal("a decompressor could not be made").with("codec", codec)
}

fn inflate(deflate: &mut Decompress, input: &[u8], out: &mut Vec<u8>) -> Did {
    let before = deflate.total_in();
    let status = deflate.decompress_vec(input, out, FlushDecompress::None);
    let used = (deflate.total_in() - before) as usize;
    match status {
        Ok(status) => Did { used, ended: status == flate2::Status::StreamEnd, fault: None },
        Err(fault) => Did::damaged(used, fault.message().unwrap_or("corrupt deflate stream")),
    }
}

fn bunzip(bzip2: &mut bzip2::Decompress, input: &[u8], out: &mut Vec<u8>) -> Did {
    let before = bzip2.total_in();
    let status = bzip2.decompress_vec(input, out);
    let used = (bzip2.total_in() - before) as usize;
    match status {
        Ok(status) => Did { used, ended: status == bzip2::Status::StreamEnd, fault: None },
        Err(fault) => Did::damaged(used, fault),
    }
}

fn unzstd(zstd: &mut Decoder<'_>, input: &[u8], out: &mut Vec<u8>) -> Did {
    let mut from = InBuffer::around(input);
    let length = out.len();
    let status = zstd.run(&mut from, &mut OutBuffer::around_pos(out, length));
    match status {
        Ok(hint) => Did { used: from.pos(), ended: hint == 0, fault: None },
        Err(fault) => Did::damaged(from.pos(), fault),
    }
}

fn unxz(xz: &mut Xz, input: &[u8], out: &mut Vec<u8>) -> Did {
    let before = xz.stream.total_in();
    loop {
        let used = (xz.stream.total_in() - before) as usize;
        match xz.stream.process_vec(&input[used..], out, liblzma::stream::Action::Run) {
            Err(liblzma::stream::Error::MemLimit) if xz.grow() => {}
            Ok(status) => {
                let used = (xz.stream.total_in() - before) as usize;
                return Did { used, ended: status == liblzma::stream::Status::StreamEnd, fault: None };
            }
            Err(fault) => return Did::damaged((xz.stream.total_in() - before) as usize, fault),
        }
    }
}

fn unbrotli(brotli: &mut Brotli, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
    let (mut available, mut used) = (input.len(), 0);
    let mut end = out.len();
    let (mut room, mut total) = (target - end, 0);
    out.resize(target, 0);
    let result = BrotliDecompressStream(&mut available, &mut used, input, &mut room, &mut end, out, &mut total, brotli);
    out.truncate(end);
    match result {
        BrotliResult::ResultFailure => Did::damaged(used, "corrupt brotli stream"),
        BrotliResult::ResultSuccess => Did { used, ended: true, fault: None },
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Did::used(used),
    }
}
