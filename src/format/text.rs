//! Decoded text in a buffer, for decoders that split it into rows.
//!
//! ```text
//!  fed bytes ─▶ decompress ─▶ [ buffer: rows … | part of a row ] ─▶ a decoder takes whole rows, the rest stays
//! ```

use bytes::Bytes;

use super::compression::Decompressor;
use crate::error::{Error, Result};

/// Text that is gathered before a decoder looks at it.
pub(super) const BLOCK_BYTES: usize = 256 << 10;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Where the text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// There is at least as much as was asked for.
    Enough,
    /// More must be fed first.
    Starved,
    /// The buffer has all that is left.
    End,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct TextBuffer {
    decompressor: Decompressor,
    fed: Bytes,
    finished: bool,
    /// Decoded text to leave out before the first row, when reading goes on at a position.
    skip: u64,
    /// Whether the text begins at the object's start, where a byte order mark may stand.
    at_start: bool,
    text: Vec<u8>,
    /// Bytes of `text` that are known to be UTF-8.
    checked: usize,
    /// The first byte of `text` that is not UTF-8, if it was met.
    broken: Option<usize>,
    /// Decoded bytes before `text`.
    offset: u64,
}

impl TextBuffer {
    /// Text from decoded byte `from` on, of an object that is fed from its start if it is compressed, else from there.
    pub(super) fn new(decompressor: Decompressor, from: u64) -> Self {
        Self {
            skip: if decompressor.is_plain() { 0 } else { from },
            decompressor,
            fed: Bytes::new(),
            finished: false,
            at_start: from == 0,
            text: Vec::new(),
            checked: 0,
            broken: None,
            offset: from,
        }
    }

    /// The first byte of the object that must be fed.
    pub(super) fn feed_from(&self) -> u64 {
        if self.decompressor.is_plain() { self.offset } else { 0 }
    }

    pub(super) fn feed(&mut self, bytes: Bytes) {
        // A decoder asks for more only when it has used up what it was given.
        self.fed = bytes;
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    /// Decodes until the buffer has `wanted` bytes.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<Filled> {
        if self.text.capacity() == 0 {
            self.text.reserve(BLOCK_BYTES + BLOCK_BYTES / 4);
        }
        while self.text.len() < wanted && self.broken.is_none() {
            if self.fed.is_empty() {
                if !self.finished {
                    return Ok(Filled::Starved);
                }
                self.drain(wanted)?;
                self.strip_mark(true);
                self.check(true);
                return Ok(if self.text.len() >= wanted { Filled::Enough } else { Filled::End });
            }
            self.decode(wanted)?;
        }
        self.strip_mark(false);
        self.check(false);
        Ok(Filled::Enough)
    }

    fn decode(&mut self, wanted: usize) -> Result<()> {
        let before = self.text.len();
        // What is skipped must not make the buffer longer than a block.
        let room = wanted.max(BLOCK_BYTES) - before.min(wanted);
        self.decompressor.decode(&mut self.fed, &mut self.text, room)?;
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.text.len() - before);
        if skipped > 0 {
            self.text.drain(before..before + skipped);
            self.skip -= skipped as u64;
        }
        Ok(())
    }

    /// What the codec still holds back when its input has ended.
    fn drain(&mut self, wanted: usize) -> Result<()> {
        loop {
            let before = (self.text.len(), self.skip);
            self.decode(wanted)?;
            if (self.text.len(), self.skip) == before || self.text.len() >= wanted {
                break;
            }
        }
        if self.text.len() >= wanted {
            return Ok(());
        }
        self.decompressor.finish()?;
        if self.skip > 0 {
            return Err(Error::data("the file is shorter than the position that the state has for it")
                .hint("reset the stream if the file was replaced"));
        }
        Ok(())
    }

    fn strip_mark(&mut self, end: bool) {
        if self.at_start && (end || self.text.len() >= BOM.len()) {
            self.at_start = false;
            if self.text.starts_with(BOM) {
                self.text.drain(..BOM.len());
                self.offset += BOM.len() as u64;
            }
        }
    }

    fn check(&mut self, end: bool) {
        if self.broken.is_some() || self.at_start {
            return;
        }
        match simdutf8::compat::from_utf8(&self.text[self.checked..]) {
            Ok(_) => self.checked = self.text.len(),
            Err(error) => {
                self.checked += error.valid_up_to();
                if error.error_len().is_some() || end {
                    self.broken = Some(self.checked);
                }
            }
        }
    }

    /// The text that is known to be UTF-8. It may be changed as long as nothing behind the bytes that are taken next is.
    pub(super) fn text(&mut self) -> &mut [u8] {
        &mut self.text[..self.checked]
    }

    /// Whether the text behind [`TextBuffer::text`] is not UTF-8.
    pub(super) fn broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Decoded bytes before the buffer's first.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the first bytes out. The rest moves to a new buffer.
    pub(super) fn take(&mut self, length: usize) -> Vec<u8> {
        let mut rest = Vec::with_capacity((BLOCK_BYTES + BLOCK_BYTES / 4).max(self.text.len() - length));
        rest.extend_from_slice(&self.text[length..]);
        let mut taken = std::mem::replace(&mut self.text, rest);
        taken.truncate(length);
        self.moved(length);
        taken
    }

    /// Leaves the first bytes out.
    pub(super) fn discard(&mut self, length: usize) {
        self.text.drain(..length);
        self.moved(length);
    }

    fn moved(&mut self, length: usize) {
        self.offset += length as u64;
        self.checked -= length;
        self.broken = self.broken.map(|at| at - length);
    }
}

/// The error for text that is not UTF-8.
pub(super) fn not_utf8(line: u64, offset: u64) -> Error {
    Error::data("a byte is not valid in the text encoding utf-8")
        .with("line", line)
        .with("byte", offset)
        .hint("set the stream's encoding to the one that the file was written in")
}
