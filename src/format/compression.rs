//! The only place that decompresses.
//!
//! Output comes in steps of the size the caller asks for, whatever the input expands to; what a file may expand to as a
//! whole is limited ([`Caps`]), and data that ends or breaks in the middle is an error, never a silent end.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};

use crate::error::{Error, ErrorKind, Result};
use crate::options::Compression;

/// Window size of gzip, as a power of two: the largest there is reads all.
const GZIP_WINDOW_BITS: u8 = 15;

/// What decompression may produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Decoded bytes of one object at most.
    pub decoded_bytes: u64,
    /// Decoded bytes for each stored one at most, beyond the first mebibyte.
    pub ratio: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self { decoded_bytes: 1 << 42, ratio: 2000 }
    }
}

/// Turns stored bytes into decoded ones.
#[derive(Debug)]
pub struct Decompressor {
    codec: Codec,
    caps: Caps,
    stored: u64,
    decoded: u64,
}

#[derive(Debug)]
enum Codec {
    Plain,
    Gzip(Gzip),
}

#[derive(Debug)]
struct Gzip {
    member: Decompress,
    /// Whether bytes of the current member were seen.
    inside: bool,
    /// Zero bytes behind the last member: the rest must be zero too.
    padding: bool,
}

impl Decompressor {
    /// A decompressor from the start of an object.
    ///
    /// # Errors
    /// `Internal` for `Auto`, which the caller resolves.
    pub fn new(compression: Compression, caps: Caps) -> Result<Self> {
        let codec = match compression {
            Compression::None => Codec::Plain,
            Compression::Gzip => {
                Codec::Gzip(Gzip { member: Decompress::new_gzip(GZIP_WINDOW_BITS), inside: false, padding: false })
            }
            Compression::Auto => return Err(Error::internal("the compression was not resolved")),
        };
        Ok(Self { codec, caps, stored: 0, decoded: 0 })
    }

    /// Whether stored and decoded bytes are the same.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self.codec, Codec::Plain)
    }

    /// Takes bytes from `input` and appends decoded ones to `out`, `room` at most. Progress ends when the input is
    /// empty or the room is used.
    ///
    /// # Errors
    /// `Data` where the input is not what its compression says, `Limit` where it expands beyond the caps.
    pub fn decode(&mut self, input: &mut Bytes, out: &mut Vec<u8>, room: usize) -> Result<()> {
        let (stored_before, decoded_before) = (input.len(), out.len());
        match &mut self.codec {
            Codec::Plain => {
                let take = room.min(input.len());
                out.extend_from_slice(&input[..take]);
                input.advance(take);
            }
            Codec::Gzip(gzip) => gzip.decode(input, out, room).map_err(|error| error.with("byte", self.stored))?,
        }
        self.stored += (stored_before - input.len()) as u64;
        self.decoded += (out.len() - decoded_before) as u64;
        self.check_caps()
    }

    /// Says that there is no more input.
    ///
    /// # Errors
    /// `Data` where the data ends in the middle.
    pub fn finish(&self) -> Result<()> {
        match &self.codec {
            Codec::Gzip(gzip) if gzip.inside => {
                Err(Error::data("the gzip data ends in the middle: the file is truncated")
                    .with("byte", self.stored)
                    .hint("upload the file again"))
            }
            Codec::Plain | Codec::Gzip(_) => Ok(()),
        }
    }

    fn check_caps(&self) -> Result<()> {
        let free = self.stored.saturating_mul(self.caps.ratio).saturating_add(1 << 20);
        if self.is_plain() || (self.decoded <= self.caps.decoded_bytes && self.decoded <= free) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Limit, "the file expands beyond the limit of decompression")
            .with("stored_bytes", self.stored)
            .with("decoded_bytes", self.decoded)
            .hint("if the file is meant to be like this, raise the limit"))
    }
}

impl Gzip {
    fn decode(&mut self, input: &mut Bytes, out: &mut Vec<u8>, room: usize) -> Result<()> {
        let end = out.len() + room;
        while out.len() < end && !input.is_empty() {
            if self.padding || (!self.inside && self.follows_padding(input)) {
                self.skip_padding(input)?;
                continue;
            }
            self.inside = true;
            let (read_before, written_before) = (self.member.total_in(), self.member.total_out());
            let start = out.len();
            out.resize(end, 0);
            let status = self.member.decompress(input, &mut out[start..], FlushDecompress::None);
            let read = self.member.total_in() - read_before;
            let written = self.member.total_out() - written_before;
            out.truncate(start + written as usize);
            input.advance(read as usize);
            match status {
                Ok(Status::StreamEnd) => self.end_member(),
                Ok(_) if read == 0 && written == 0 => return Err(corrupt("no progress")),
                Ok(_) => {}
                Err(error) => return Err(corrupt(&error.to_string())),
            }
        }
        Ok(())
    }

    fn end_member(&mut self) {
        self.member = Decompress::new_gzip(GZIP_WINDOW_BITS);
        self.inside = false;
    }

    /// Tapes and some tools pad with zeros, which begin no member.
    fn follows_padding(&self, input: &Bytes) -> bool {
        input.first() == Some(&0)
    }

    fn skip_padding(&mut self, input: &mut Bytes) -> Result<()> {
        self.padding = true;
        if input.iter().any(|&byte| byte != 0) {
            return Err(corrupt("data behind the zeros that follow its last member"));
        }
        input.clear();
        Ok(())
    }
}

fn corrupt(reason: &str) -> Error {
    Error::data(format!("the gzip data is corrupt: {reason}")).hint("check that the file is gzip, and upload it again")
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

    /// Decodes in pieces of `piece` stored bytes and `room` decoded ones.
    fn decoded(stored: &[u8], piece: usize, room: usize) -> Result<Vec<u8>> {
        let mut decompressor = Decompressor::new(Compression::Gzip, Caps::default())?;
        let mut all = Vec::new();
        for piece in stored.chunks(piece) {
            let mut input = Bytes::copy_from_slice(piece);
            while !input.is_empty() {
                let mut out = Vec::new();
                decompressor.decode(&mut input, &mut out, room)?;
                assert!(out.len() <= room);
                all.extend(out);
            }
        }
        // What the codec holds back comes with an empty input.
        loop {
            let before = all.len();
            decompressor.decode(&mut Bytes::new(), &mut all, room)?;
            if all.len() == before {
                break;
            }
        }
        decompressor.finish().map(|()| all)
    }

    #[test]
    fn members_and_padding_are_read_in_any_pieces() {
        let text: Vec<u8> = (0..50_000u32).flat_map(|i| i.to_le_bytes()).collect();
        let stored = [gzip(&text), gzip(b""), gzip(b"end"), vec![0; 100]].concat();
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
        let behind = [stored, vec![0, 0, 1]].concat();
        assert!(decoded(&behind, 4096, 4096).is_err());
    }

    #[test]
    fn a_bomb_is_stopped() {
        let stored = gzip(&vec![0; 64 << 20]);
        let caps = Caps { ratio: 100, ..Caps::default() };
        let mut decompressor = Decompressor::new(Compression::Gzip, caps).unwrap();
        let mut input = Bytes::from(stored);
        let mut total = 0;
        let error = loop {
            let mut out = Vec::new();
            if let Err(error) = decompressor.decode(&mut input, &mut out, 1 << 16) {
                break error;
            }
            total += out.len();
            assert!(total < 8 << 20, "{total} bytes were decoded");
        };
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
