//! The only place that decompresses.
//!
//! ```text
//!   stored bytes ─ feed ─▶ queue of pieces ─ read(out, up to a block) ─▶ decoded bytes appended to `out`
//! ```
//!
//! Whatever comes in, one call of [`Source::read`] adds no more than the caller's target, so a small input that
//! decodes to gigabytes is never in memory. A stream that ends early or is damaged is an error that names the byte.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use crate::batch::Frame;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Compression;

/// Window of gzip's deflate, as a power of two.
const WINDOW_BITS: u8 = 15;
/// Decoded bytes below which no ratio is too high.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// What decompression may produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Decoded bytes of one object at most.
    pub decoded_bytes: u64,
    /// Decoded bytes for each stored one at most, beyond the first mebibyte. Deflate cannot exceed 1032.
    pub ratio: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self { decoded_bytes: 1 << 42, ratio: 2000 }
    }
}

/// What [`Source::read`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The target is reached.
    Full,
    /// More stored bytes are needed.
    NeedBytes,
    /// All bytes were handed over.
    End,
}

/// Stored bytes on their way to decoded ones.
pub(crate) struct Source {
    pieces: VecDeque<Bytes>,
    /// The offset of the next stored byte that is expected from outside.
    next_stored: u64,
    /// Stored bytes used so far, counted from the object's first byte.
    used: u64,
    /// Decoded bytes handed over so far, counted from the text's first byte.
    decoded: u64,
    /// Where this source began.
    start: Frame,
    finished: bool,
    gzip: Option<Gzip>,
    caps: Caps,
}

struct Gzip {
    /// The member being read; `None` between members.
    member: Option<Box<Decompress>>,
    /// Starts of members at or before the places that a caller may still ask for, oldest first.
    starts: VecDeque<Frame>,
    /// Whether zero bytes were seen behind a member.
    padding: bool,
}

impl Source {
    /// A source that begins at `start`. `compression` is resolved.
    pub(crate) fn new(compression: Compression, start: Frame, caps: Caps) -> Result<Self> {
        if compression == Compression::Auto {
            return Err(Error::internal("the compression was not resolved"));
        }
        let gzip =
            (compression == Compression::Gzip).then(|| Gzip { member: None, starts: VecDeque::new(), padding: false });
        Ok(Self {
            pieces: VecDeque::new(),
            next_stored: start.stored,
            used: start.stored,
            decoded: start.decoded,
            start,
            finished: false,
            gzip,
            caps,
        })
    }

    /// The offset of the first stored byte that is wanted.
    pub(crate) fn from(&self) -> u64 {
        self.start.stored
    }

    /// Takes stored bytes, which must follow those before.
    pub(crate) fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        if offset != self.next_stored {
            return Err(Error::internal("bytes of an object were fed out of order")
                .with("expected", self.next_stored)
                .with("offset", offset));
        }
        self.next_stored += bytes.len() as u64;
        if !bytes.is_empty() {
            self.pieces.push_back(bytes);
        }
        Ok(())
    }

    /// Says that there are no more stored bytes.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// Appends decoded bytes to `out` until it holds `target` bytes.
    pub(crate) fn read(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        out.reserve(target.saturating_sub(out.len()));
        if self.gzip.is_some() { self.read_gzip(out, target) } else { Ok(self.read_plain(out, target)) }
    }

    /// The start of the compressed member in which a decoded offset lies, where it is not the object's start. Offsets
    /// must not go down from call to call.
    pub(crate) fn frame_of(&mut self, offset: u64) -> Option<Frame> {
        let starts = &mut self.gzip.as_mut()?.starts;
        while starts.get(1).is_some_and(|next| next.decoded <= offset) {
            starts.pop_front();
        }
        starts.front().copied().filter(|frame| frame.stored != 0)
    }

    fn read_plain(&mut self, out: &mut Vec<u8>, target: usize) -> Filled {
        while out.len() < target {
            let Some(piece) = self.pieces.front_mut() else { return self.without_bytes() };
            let take = piece.len().min(target - out.len());
            out.extend_from_slice(&piece[..take]);
            self.advance(take);
            self.decoded += take as u64;
        }
        Filled::Full
    }

    fn without_bytes(&self) -> Filled {
        if self.finished { Filled::End } else { Filled::NeedBytes }
    }

    /// Drops `count` bytes of the first piece.
    fn advance(&mut self, count: usize) {
        let piece = self.pieces.front_mut().expect("a piece was looked at before it is advanced");
        piece.advance(count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.used += count as u64;
    }

    fn read_gzip(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Filled> {
        while out.len() < target {
            if self.pieces.is_empty() {
                if !self.finished {
                    return Ok(Filled::NeedBytes);
                }
                return if self.between_members() { Ok(Filled::End) } else { Err(self.truncated()) };
            }
            if self.between_members() {
                self.begin_member()?;
            } else {
                self.inflate(out, target)?;
            }
        }
        Ok(Filled::Full)
    }

    fn between_members(&self) -> bool {
        self.gzip.as_ref().is_some_and(|gzip| gzip.member.is_none())
    }

    /// Goes over zero padding, or opens the next member.
    fn begin_member(&mut self) -> Result<()> {
        let (stored, decoded) = (self.used, self.decoded);
        let first_member = self.used == self.start.stored;
        let piece = self.pieces.front().expect("read_gzip saw a piece");
        let byte = piece[0];
        let zeros = piece.iter().take_while(|&&byte| byte == 0).count();
        let gzip = self.gzip.as_mut().expect("read_gzip is for gzip");
        if byte == 0x1f {
            gzip.member = Some(Box::new(Decompress::new_gzip(WINDOW_BITS)));
            gzip.padding = false;
            // A member without text is no better place to start than the one behind it.
            if gzip.starts.back().is_some_and(|last| last.decoded == decoded) {
                gzip.starts.pop_back();
            }
            gzip.starts.push_back(Frame { stored, decoded });
            return Ok(());
        }
        if first_member {
            return Err(Error::data("the object is not gzip data")
                .with("byte", stored)
                .hint("set the compression to none, or correct the object's extension"));
        }
        if byte == 0 {
            gzip.padding = true;
            self.advance(zeros);
            return Ok(());
        }
        Err(Error::data("bytes behind a gzip member are neither zero nor another member").with("byte", stored))
    }

    fn inflate(&mut self, out: &mut Vec<u8>, target: usize) -> Result<()> {
        let piece = self.pieces.front().expect("read_gzip saw a piece");
        let member = self.gzip.as_mut().and_then(|gzip| gzip.member.as_mut()).expect("a member is open");
        let (in_before, out_before) = (member.total_in(), member.total_out());
        debug_assert!(out.capacity() >= target, "read reserves the target");
        let status = member.decompress_vec(piece, out, FlushDecompress::None);
        let used = (member.total_in() - in_before) as usize;
        let produced = member.total_out() - out_before;
        self.advance_or_keep(used);
        self.decoded += produced;
        match status {
            Ok(Status::StreamEnd) => self.gzip.as_mut().expect("read_gzip is for gzip").member = None,
            Ok(_) if used == 0 && produced == 0 => return Err(self.damaged("no progress")),
            Ok(_) => {}
            Err(fault) => return Err(self.damaged(fault.message().unwrap_or("corrupt deflate stream"))),
        }
        self.check_limits()
    }

    fn advance_or_keep(&mut self, used: usize) {
        if used > 0 {
            self.advance(used);
        }
    }

    fn check_limits(&self) -> Result<()> {
        let stored = self.used - self.start.stored;
        let decoded = self.decoded - self.start.decoded;
        let too_dense = decoded > RATIO_FREE_BYTES && decoded / stored.max(1) > self.caps.ratio;
        if !too_dense && self.decoded <= self.caps.decoded_bytes {
            return Ok(());
        }
        let message = if too_dense {
            "compressed data expands more than the limit allows"
        } else {
            "decompressed data is larger than the limit allows"
        };
        Err(Error::new(ErrorKind::Limit, message).with("stored_bytes", stored).with("decoded_bytes", decoded))
    }

    fn truncated(&self) -> Error {
        Error::data("the gzip data ends in the middle of a member").with("byte", self.used)
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::data("the gzip data is damaged").with("byte", self.used).with("reason", reason)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    const START: Frame = Frame { stored: 0, decoded: 0 };

    /// Decodes in pieces of `piece` stored bytes and blocks of `block` decoded ones.
    fn decoded(stored: &[u8], piece: usize, block: usize) -> Result<Vec<u8>> {
        let mut source = Source::new(Compression::Gzip, START, Caps::default())?;
        let (mut fed, mut all, mut out) = (0, Vec::new(), Vec::new());
        loop {
            out.clear();
            let filled = source.read(&mut out, block)?;
            assert!(out.len() <= out.capacity() && (filled != Filled::Full || out.len() >= block));
            all.extend_from_slice(&out);
            match filled {
                Filled::Full => {}
                Filled::End => return Ok(all),
                Filled::NeedBytes if fed == stored.len() => source.finish(),
                Filled::NeedBytes => {
                    let end = (fed + piece).min(stored.len());
                    source.feed(fed as u64, Bytes::copy_from_slice(&stored[fed..end]))?;
                    fed = end;
                }
            }
        }
    }

    #[test]
    fn members_and_padding_are_read_in_any_pieces() {
        let text: Vec<u8> = (0..50_000u32).flat_map(|i| i.to_le_bytes()).collect();
        let stored = [gzip(&text), gzip(b""), vec![0; 3], gzip(b"end"), vec![0; 100]].concat();
        let expected = [text, b"end".to_vec()].concat();
        for (piece, room) in [(1, 7), (stored.len(), 1 << 20), (1000, 333), (13, 4096)] {
            assert_eq!(decoded(&stored, piece, room).unwrap(), expected, "{piece} {room}");
        }
    }

    #[test]
    fn truncated_and_broken_data_are_errors() {
        let stored = gzip(&vec![b'x'; 100_000]);
        for cut in [1, 5, stored.len() / 2, stored.len() - 1] {
            assert!(decoded(&stored[..cut], 64, 4096).is_err(), "cut at {cut}");
        }
        let mut flipped = stored.clone();
        let last = flipped.len() - 5;
        flipped[last] ^= 1;
        assert!(decoded(&flipped, 64, 4096).is_err(), "the checksum is checked");
        assert!(decoded(b"plain text", 64, 4096).is_err());
        for garbage in [&b"\0\0\x01"[..], b"x", b"\x1f"] {
            let behind = [&stored, garbage].concat();
            let error = decoded(&behind, 4096, 4096).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{error}");
            assert!(error.get("byte").is_some(), "{error}");
        }
        assert_eq!(decoded(b"", 1, 1).unwrap(), b"", "an object without bytes has no text");
    }

    #[test]
    fn a_bomb_is_stopped() {
        let stored = gzip(&vec![0; 16 << 20]);
        let caps = Caps { ratio: 100, ..Caps::default() };
        let mut source = Source::new(Compression::Gzip, START, caps).unwrap();
        source.feed(0, Bytes::from(stored)).unwrap();
        let mut total = 0;
        let error = loop {
            let mut out = Vec::new();
            if let Err(error) = source.read(&mut out, 1 << 16) {
                break error;
            }
            total += out.len();
            assert!(out.len() <= 1 << 17, "{} bytes at once", out.len());
            assert!(total < 8 << 20, "{total} bytes were decoded");
        };
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
