//! Snappy in the three forms that objects have: the framing format (`.sz`), one raw block, and the framing of Hadoop.
//! The first bytes tell which: the framing format has a stream identifier, Hadoop's begins with the high byte of a block
//! length (zero, which no raw block but an empty one begins with), and anything else is raw.
//!
//! A raw block names its length and then refers to any of its text. Compressors cut the text into pieces of 64 KiB and
//! refer only inside one, so a window of bounded size is enough here.

use std::io::Read as _;

use snap::read::FrameDecoder;

use super::did::Did;
use super::units::Unit;

pub(super) const IDENTIFIER: &[u8; 10] = b"\xff\x06\0\0sNaPpY";
/// The longest chunk of the framing format that has text: 64 KiB that did not get shorter, and the checksum.
const CHUNK_BYTES: usize = 76_490 + 4;
/// How far back a raw block may refer.
const WINDOW_BYTES: usize = 1 << 20;
/// What a decompressor of a raw block holds at most, about; the others hold less.
pub(super) const HELD_BYTES: u64 = 3 << 20;
/// Text that is made at once for somebody who reads from a block.
const PIECE_BYTES: usize = 32 << 10;
/// The longest tag: its byte and an offset.
const TAG_BYTES: usize = 5;

/// Snappy data.
pub(super) enum Snappy {
    Framed(Framed),
    Raw(Raw),
    Hadoop(Hadoop),
}

impl Snappy {
    /// The form that begins with these bytes: ten, unless there are fewer.
    pub(super) fn of(first: &[u8]) -> Self {
        if first.starts_with(IDENTIFIER) {
            return Self::Framed(Framed::default());
        }
        if first.len() > 1 && first[0] == 0 { Self::Hadoop(Hadoop::default()) } else { Self::Raw(Raw::default()) }
    }

    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Framed(framed) => framed.decoder.get_ref().gathered().is_empty(),
            Self::Raw(_) => false,
            Self::Hadoop(hadoop) => hadoop.left == 0 && hadoop.chunk.is_none() && hadoop.length.gathered().is_empty(),
        }
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        match self {
            Self::Framed(framed) => framed.decode(input, out, target),
            Self::Raw(raw) => raw.decode(input, out, target),
            Self::Hadoop(hadoop) => hadoop.decode(input, out, target),
        }
    }
}

/// The framing format: chunks of at most 64 KiB of text. Its library finds them; here they are gathered for it.
pub(super) struct Framed {
    decoder: FrameDecoder<Unit>,
    /// Bytes of a chunk without text that are left out.
    skipped: usize,
}

impl Default for Framed {
    fn default() -> Self {
        Self { decoder: FrameDecoder::new(Unit::default()), skipped: 0 }
    }
}

impl Framed {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        let mut used = 0;
        loop {
            let skipped = self.skipped.min(input.len() - used);
            (self.skipped, used) = (self.skipped - skipped, used + skipped);
            let unit = self.decoder.get_mut();
            used += unit.gather(&input[used..], 4);
            let Some(&[kind, low, middle, high]) = unit.gathered().first_chunk() else { return Did::used(used) };
            let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
            if (0x80..=0xfe).contains(&kind) {
                self.skipped = length;
                unit.clear();
                continue;
            }
            if length > CHUNK_BYTES {
                return Did::damaged(used, format!("a chunk of {length} bytes is longer than the format allows"));
            }
            used += unit.gather(&input[used..], 4 + length);
            if unit.gathered().len() < 4 + length {
                return Did::used(used);
            }
            if let Err(error) = self.hand_over(out, target) {
                return Did::damaged(used, error);
            }
            if out.len() == target {
                return Did::used(used);
            }
            self.decoder.get_mut().clear();
        }
    }

    /// Hands over the text of the gathered chunk until there is none left or `out` is full.
    fn hand_over(&mut self, out: &mut Vec<u8>, target: usize) -> std::io::Result<()> {
        while out.len() < target {
            let length = out.len();
            out.resize(target, 0);
            let read = self.decoder.read(&mut out[length..]);
            out.truncate(length + read.as_ref().map_or(0, |count| *count));
            if read? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// One raw block: its length, then literals and copies of what was before.
#[derive(Default)]
pub(super) struct Raw {
    /// The bytes of a number or tag that is not complete.
    tag: Unit,
    /// The text's length; `None` until it is known.
    length: Option<u64>,
    /// Text made so far.
    made: u64,
    /// Bytes of the current literal that are still to come.
    literal: usize,
    /// The end of the text made: what may be referred to, and what is not handed over.
    window: Vec<u8>,
    /// The first byte of the window that is not handed over.
    head: usize,
}

impl Raw {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        let mut used = 0;
        loop {
            self.hand_over(out, target);
            if out.len() == target && self.length != Some(self.made) {
                return Did::used(used);
            }
            if self.length == Some(self.made) {
                return Did { used, ended: self.head == self.window.len(), fault: None };
            }
            match self.advance(&input[used..], target - out.len()) {
                Ok(0) => return Did::used(used),
                Ok(count) => used += count,
                Err(reason) => return Did::damaged(used, reason),
            }
        }
    }

    fn hand_over(&mut self, out: &mut Vec<u8>, target: usize) {
        let take = (self.window.len() - self.head).min(target - out.len());
        out.extend_from_slice(&self.window[self.head..self.head + take]);
        self.head += take;
        if self.head > 2 * WINDOW_BYTES {
            let gone = self.head - WINDOW_BYTES;
            self.window.drain(..gone);
            self.head -= gone;
        }
    }

    /// Takes the next bytes of input: how many. A literal makes no more than `most` bytes at once, a copy 64.
    fn advance(&mut self, input: &[u8], most: usize) -> Result<usize, String> {
        if self.literal > 0 {
            let take = self.literal.min(input.len()).min(most);
            self.window.extend_from_slice(&input[..take]);
            self.literal -= take;
            self.made += take as u64;
            return Ok(take);
        }
        if self.length.is_none() {
            return self.read_length(input);
        }
        let mut used = self.tag.gather(input, 1);
        let Some(&first) = self.tag.gathered().first() else { return Ok(used) };
        let wanted = match first & 3 {
            0 => 1 + (first >> 2).saturating_sub(59) as usize,
            1 => 2,
            2 => 3,
            _ => TAG_BYTES,
        };
        used += self.tag.gather(&input[used..], wanted);
        if self.tag.gathered().len() == wanted {
            self.element(first)?;
            self.tag.clear();
        }
        Ok(used)
    }

    fn read_length(&mut self, input: &[u8]) -> Result<usize, String> {
        let used = self.tag.gather(input, self.tag.gathered().len() + 1);
        let bytes = self.tag.gathered();
        if bytes.last().is_some_and(|byte| *byte < 0x80) {
            let length = bytes.iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
            self.length = Some(length);
            self.tag.clear();
        } else if bytes.len() > TAG_BYTES {
            return Err("the length of the block is not a number".to_owned());
        }
        Ok(used)
    }

    /// A complete tag.
    fn element(&mut self, first: u8) -> Result<(), String> {
        let behind = &self.tag.gathered()[1..];
        let number = behind.iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let upper = usize::from(first >> 2);
        let (length, offset) = match first & 3 {
            0 => (if behind.is_empty() { upper + 1 } else { number + 1 }, 0),
            1 => ((upper & 7) + 4, usize::from(first >> 5) << 8 | number),
            _ => (upper + 1, number),
        };
        if self.made + length as u64 > self.length.unwrap_or_default() {
            return Err("the block has more data than its length says".to_owned());
        }
        if first & 3 == 0 {
            self.literal = length;
            return Ok(());
        }
        if offset == 0 || offset as u64 > self.made {
            return Err("a copy refers to data that does not exist".to_owned());
        }
        let Some(from) = self.window.len().checked_sub(offset) else {
            return Err(format!("a copy refers to data {offset} bytes back, beyond the window"));
        };
        for at in from..from + length {
            self.window.push(self.window[at]);
        }
        self.made += length as u64;
        Ok(())
    }
}

/// Hadoop's framing: blocks of a known length of text, each one or more raw blocks with their stored length.
#[derive(Default)]
pub(super) struct Hadoop {
    /// The bytes of a length that is not complete.
    length: Unit,
    /// Text of the current block that is still to come.
    left: u64,
    /// The raw block being read, and its stored bytes that are still to come.
    chunk: Option<(Raw, usize)>,
}

impl Hadoop {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        let mut used = 0;
        loop {
            let Some((raw, stored)) = &mut self.chunk else {
                used += self.length.gather(&input[used..], 4);
                let Some(&length) = self.length.gathered().first_chunk() else { return Did::used(used) };
                self.length.clear();
                let length = u32::from_be_bytes(length);
                if self.left == 0 {
                    self.left = u64::from(length);
                } else {
                    self.chunk = Some((Raw::default(), length as usize));
                }
                continue;
            };
            let available = (*stored).min(input.len() - used);
            let did = raw.decode(&input[used..used + available], out, target);
            (*stored, used) = (*stored - did.used, used + did.used);
            if did.fault.is_some() {
                return Did { used, ..did };
            }
            if !did.ended {
                return match *stored {
                    0 if out.len() < target => Did::damaged(used, "a chunk ends before its data does"),
                    _ => Did::used(used),
                };
            }
            let made = raw.made;
            if *stored > 0 || made > self.left {
                return Did::damaged(used, "the lengths of a block and its chunks differ");
            }
            self.left -= made;
            self.chunk = None;
        }
    }
}

/// The text of one raw block, made piece by piece: for those who look at its beginning alone.
pub(crate) struct RawSnappy<'a> {
    raw: Raw,
    stored: &'a [u8],
}

impl<'a> RawSnappy<'a> {
    pub(crate) fn new(stored: &'a [u8]) -> Self {
        Self { raw: Raw::default(), stored }
    }
}

impl std::io::Read for RawSnappy<'_> {
    /// Reads less than it could where a call would make much text.
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut text = Vec::new();
        let did = self.raw.decode(self.stored, &mut text, out.len().min(PIECE_BYTES));
        self.stored = &self.stored[did.used..];
        match did.fault {
            None if text.is_empty() && !did.ended && !out.is_empty() => Err(std::io::ErrorKind::UnexpectedEof.into()),
            Some(fault) if text.is_empty() => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, fault)),
            _ => {
                out[..text.len()].copy_from_slice(&text);
                Ok(text.len())
            }
        }
    }
}
