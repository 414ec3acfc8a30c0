//! LZ4 frames: their parts are found here, the library decodes them and checks their sums.

use std::io::{self, BufRead as _};

use lz4_flex::frame::FrameDecoder;

use super::did::Did;
use super::units::Unit;

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// The last three bytes of the magic numbers of frames without text; the first is `0x50` to `0x5f`.
const SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];
/// Bits of the flags behind the magic number.
const BLOCK_CHECKSUMS: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECKSUM: u8 = 0x04;
const DICTIONARY: u8 = 0x01;

/// What is being gathered; what the library gets begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Magic,
    /// The magic number, flags, block descriptor, and the checksum of the shortest header.
    Flags,
    /// A whole header.
    Header(usize),
    /// The length of a block.
    Length,
    /// A length and the block behind it, with its checksum.
    Block(usize),
    /// The end mark, with the checksum of the content.
    End(usize),
    /// The magic number of a frame without text, and its length.
    SkippedLength,
    /// Bytes that are left out.
    Skipped(usize),
}

impl Part {
    fn bytes(self) -> usize {
        match self {
            Self::Magic | Self::Length => 4,
            Self::Flags => 7,
            Self::SkippedLength => 8,
            Self::Header(bytes) | Self::Block(bytes) | Self::End(bytes) => bytes,
            Self::Skipped(_) => 0,
        }
    }
}

enum Next {
    Part(Part),
    /// `out` is full.
    Full,
    /// The frame's end.
    End,
}

/// One LZ4 frame.
pub(super) struct Lz4 {
    decoder: FrameDecoder<Unit>,
    part: Part,
    flags: u8,
    block_bytes_at_most: usize,
}

impl Default for Lz4 {
    fn default() -> Self {
        Self { decoder: FrameDecoder::new(Unit::default()), part: Part::Magic, flags: 0, block_bytes_at_most: 0 }
    }
}

impl Lz4 {
    /// A block as stored and what is in it, with what further blocks may refer to.
    pub(super) fn held_bytes(&self) -> u64 {
        3 * self.block_bytes_at_most as u64
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        let mut used = 0;
        loop {
            if let Part::Skipped(left) = &mut self.part {
                let take = (*left).min(input.len() - used);
                *left -= take;
                return Did { used: used + take, ended: *left == 0, fault: None };
            }
            used += self.decoder.get_mut().gather(&input[used..], self.part.bytes());
            if self.decoder.get_ref().gathered().len() < self.part.bytes() {
                return Did::used(used);
            }
            match self.after_part(out, target) {
                Ok(Next::Part(part)) => self.part = part,
                Ok(Next::Full) => return Did::used(used),
                Ok(Next::End) => return Did { used, ended: true, fault: None },
                Err(reason) => return Did::damaged(used, reason),
            }
        }
    }

    /// What follows the part that is gathered.
    fn after_part(&mut self, out: &mut Vec<u8>, target: usize) -> Result<Next, String> {
        let part = self.decoder.get_ref().gathered();
        let number = |at: usize| u32::from_le_bytes([part[at], part[at + 1], part[at + 2], part[at + 3]]);
        Ok(match self.part {
            Part::Magic if part == MAGIC => Next::Part(Part::Flags),
            Part::Magic if part[0] & 0xf0 == 0x50 && part[1..] == SKIPPED => Next::Part(Part::SkippedLength),
            Part::Magic => return Err("it does not start with the magic number of an LZ4 frame".to_owned()),
            Part::SkippedLength => Next::Part(Part::Skipped(number(4) as usize)),
            Part::Flags => {
                self.flags = part[4];
                self.block_bytes_at_most = 1 << (8 + 2 * (part[5] >> 4 & 7));
                Next::Part(Part::Header(7 + self.has(CONTENT_SIZE, 8) + self.has(DICTIONARY, 4)))
            }
            Part::Length => Next::Part(self.block(number(0))?),
            Part::Header(_) | Part::Block(_) => self.give(out, target, Next::Part(Part::Length))?,
            Part::End(_) => self.give(out, target, Next::End)?,
            Part::Skipped(_) => Next::End,
        })
    }

    fn has(&self, flag: u8, bytes: usize) -> usize {
        if self.flags & flag != 0 { bytes } else { 0 }
    }

    fn block(&self, length: u32) -> Result<Part, String> {
        if length == 0 {
            return Ok(Part::End(4 + self.has(CONTENT_CHECKSUM, 4)));
        }
        // The first bit says that the block is not compressed.
        let bytes = (length & 0x7fff_ffff) as usize;
        if bytes > self.block_bytes_at_most {
            return Err(format!("a block of {bytes} bytes is longer than the header allows"));
        }
        Ok(Part::Block(4 + bytes + self.has(BLOCK_CHECKSUMS, 4)))
    }

    /// Gives the part to the library and hands over what it makes of it.
    fn give(&mut self, out: &mut Vec<u8>, target: usize, next: Next) -> Result<Next, String> {
        let failed = |error: io::Error| error.to_string();
        loop {
            let text = self.decoder.fill_buf().map_err(failed)?;
            if text.is_empty() {
                self.decoder.get_mut().clear();
                return Ok(next);
            }
            let take = text.len().min(target - out.len());
            if take == 0 {
                return Ok(Next::Full);
            }
            out.extend_from_slice(&text[..take]);
            self.decoder.consume(take);
        }
    }
}
