//! What CSV and JSONL share: a growing block of checked text, and the decoder around a splitter.
//!
//! ```text
//!   Source ─ read ─▶ block (about 256 KiB, UTF-8 checked once) ─ Splitter ─▶ rows as spans of the block
//!                      │                                                        │
//!                      └── the row that is not complete yet stays ──            └─▶ the block itself is the batch's data
//! ```
//!
//! A row that does not fit doubles the block until `row_bytes`. Whatever goes wrong (a damaged member, a byte that
//! is not text, a row that is not well formed), the rows before it are handed over first.

use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr2_iter;

use super::compression::{Filled, Source};
use super::csv::CsvSplitter;
use super::encoding::{TextEncoding, unfinished_tail};
use super::jsonl::JsonSplitter;
use super::{Access, Decode, DecodeLimits, Step};
use crate::batch::{Batch, Decoded, Frame, Place, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Compression;

/// The error for a position that another format's decoder gave.
pub(crate) fn foreign_position() -> Error {
    Error::config("the state has a position of another format in this file")
        .hint("reset the stream, or use the format that it was read with before")
}

/// Spans have 32 bits; a row may not come near that.
const MAX_ROW_BYTES: usize = 1 << 30;

/// Where the text given to a splitter lies in its object, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// Decoded bytes before the text.
    pub(crate) offset: u64,
    /// Rows before the text.
    pub(crate) rows: u64,
}

impl Origin {
    /// Puts row and byte into an error about a row of this text: `row` counts from 0, `at` is an index into it.
    pub(crate) fn place(self, error: Error, row: usize, at: usize) -> Error {
        error.with("row", self.rows + row as u64 + 1).with("byte", self.offset + at as u64)
    }
}

/// What a splitter made of a text.
pub(crate) struct Split {
    /// Bytes that are done: the rows found, and what lies between them. The position behind them is exact.
    pub(crate) consumed: usize,
    /// Why it stopped.
    pub(crate) stop: Stop,
}

/// Why a splitter stopped.
pub(crate) enum Stop {
    /// It needs more text than there is; at the end of the text, it is done.
    More,
    /// The batch has its rows.
    Full,
    /// The next row is not well formed.
    Fault(Error),
}

/// The two ways to split text into rows.
pub(crate) enum Splitter {
    Csv(CsvSplitter),
    Json(JsonSplitter),
}

impl Splitter {
    fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        match self {
            Self::Csv(csv) => csv.split(text, ended, origin, max_rows),
            Self::Json(json) => json.split(text, ended, origin, max_rows),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Csv(csv) => csv.rows(),
            Self::Json(json) => json.rows(),
        }
    }

    fn line(&self) -> u64 {
        match self {
            Self::Csv(csv) => csv.line(),
            Self::Json(json) => json.line(),
        }
    }

    fn columns(&self) -> Option<Arc<[Box<str>]>> {
        match self {
            Self::Csv(csv) => Some(csv.names()),
            Self::Json(_) => None,
        }
    }

    fn take(&mut self, data: Vec<u8>) -> Batch {
        match self {
            Self::Csv(csv) => Batch::Text(csv.take(data)),
            Self::Json(json) => Batch::Json(json.take(data)),
        }
    }

    /// More about a row that is longer than the limit.
    fn explain_long_row(&self, text: &[u8]) -> Option<&'static str> {
        match self {
            Self::Csv(csv) => csv.explain_long_row(text),
            Self::Json(_) => None,
        }
    }
}

/// The lines that begin in `text` behind its first: LF, CRLF and CR end a line.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr2_iter(b'\n', b'\r', text).filter(|&at| text[at] == b'\r' || at == 0 || text[at - 1] != b'\r').count() as u64
}

/// A block of decoded and checked text.
struct Block {
    source: Source,
    data: Vec<u8>,
    /// The first byte that is not consumed.
    head: usize,
    /// Bytes of `data` that are checked.
    valid: usize,
    /// Decoded bytes before `data`.
    base: u64,
    /// Decoded bytes still to be dropped before the first row, on resuming.
    skip: u64,
    encoding: TextEncoding,
    /// There is no more text behind `data`.
    ended: bool,
    /// What stands behind the checked text instead of an end.
    failure: Option<Error>,
}

impl Block {
    /// Makes `wanted` bytes of text available behind `head`, or all there are. Says whether it could.
    fn fill(&mut self, wanted: usize) -> bool {
        if self.ended || self.failure.is_some() || self.valid - self.head >= wanted {
            return true;
        }
        self.data.drain(..self.head);
        self.base += self.head as u64;
        self.valid -= self.head;
        self.head = 0;
        loop {
            // A character may be cut at the target: three bytes more complete it.
            let filled = self.source.read(&mut self.data, wanted + 3);
            self.drop_skipped();
            match filled {
                Ok(Filled::Full) if self.data.len() < wanted + 3 => continue,
                Ok(Filled::NeedBytes) => return false,
                Ok(filled) => self.check(filled == Filled::End),
                Err(failure) => {
                    self.check(false);
                    self.failure.get_or_insert(failure);
                }
            }
            return true;
        }
    }

    fn drop_skipped(&mut self) {
        if self.skip == 0 {
            return;
        }
        let count = self.data.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.data.drain(..count);
        self.skip -= count as u64;
        self.base += count as u64;
    }

    /// Checks the bytes that came since the last check.
    fn check(&mut self, ended: bool) {
        self.strip_mark();
        let fresh = &self.data[self.valid..];
        let tail = if ended { 0 } else { unfinished_tail(fresh) };
        let end = fresh.len() - tail;
        let good = self.encoding.valid_prefix(&fresh[..end]);
        self.valid += good;
        self.ended = ended && good == end;
        if good < end {
            let message = format!("a byte is not {} text", self.encoding.name());
            self.failure = Some(Error::data(message).hint("set `encoding` to the encoding of the file"));
        }
    }

    /// Takes a byte order mark off the text's start.
    fn strip_mark(&mut self) {
        if self.base == 0 && self.valid == 0 && self.data.starts_with(b"\xef\xbb\xbf") {
            self.data.drain(..3);
            self.base = 3;
        }
    }

    fn text(&mut self) -> &mut [u8] {
        &mut self.data[self.head..self.valid]
    }

    fn offset(&self) -> u64 {
        self.base + self.head as u64
    }

    fn skip_consumed(&mut self, consumed: usize) {
        self.head += consumed;
    }

    /// Hands over the first `consumed` bytes behind `head`: by moving the buffer where what remains is the smaller
    /// part, by copying otherwise. So each byte is copied at most twice, however small batches are.
    fn take(&mut self, consumed: usize, capacity: usize) -> Vec<u8> {
        let end = self.head + consumed;
        if self.head > 0 || self.data.len() - end > consumed {
            let taken = self.data[self.head..end].to_vec();
            self.head = end;
            return taken;
        }
        let mut rest = Vec::with_capacity(capacity.max(self.data.len() - end));
        rest.extend_from_slice(&self.data[end..]);
        self.valid -= end;
        self.base += end as u64;
        let mut taken = std::mem::replace(&mut self.data, rest);
        taken.truncate(end);
        taken
    }
}

/// A decoder of lines: a block, a splitter, and the position.
pub(crate) struct TextDecoder {
    block: Block,
    splitter: Splitter,
    /// Text that must be there before the splitter is asked again.
    wanted: usize,
    rows_done: u64,
    /// What the next step ends with, after the rows before it.
    fault: Option<Error>,
    batch_rows: usize,
    batch_bytes: usize,
    row_bytes: usize,
}

/// Where a text decoder begins.
pub(crate) struct Beginning {
    /// Rows before it.
    pub(crate) rows: u64,
    /// Decoded bytes before it.
    pub(crate) offset: u64,
    /// Where its compressed member begins.
    pub(crate) frame: Frame,
}

impl Beginning {
    /// The beginning that a position names. Line and columns in it are the splitter's.
    pub(crate) fn of(resume: Option<&Position>, compression: Compression) -> Result<Self> {
        let Some(position) = resume else {
            return Ok(Self { rows: 0, offset: 0, frame: Frame { stored: 0, decoded: 0 } });
        };
        match &position.place {
            Place::Start => Self::of(None, compression),
            Place::Byte { offset, frame, .. } => {
                let here = Frame { stored: *offset, decoded: *offset };
                let first = Frame { stored: 0, decoded: 0 };
                let frame = if compression == Compression::None { here } else { frame.unwrap_or(first) };
                if frame.decoded > *offset {
                    return Err(Error::config("a position lies before its compressed member").with("offset", offset));
                }
                Ok(Self { rows: position.rows, offset: *offset, frame })
            }
            Place::Block { .. } | Place::RowGroup { .. } => Err(foreign_position()),
        }
    }
}

impl TextDecoder {
    /// A decoder that hands `splitter` the text from `beginning` on.
    pub(crate) fn new(
        splitter: Splitter,
        encoding: TextEncoding,
        compression: Compression,
        beginning: &Beginning,
        limits: &DecodeLimits,
    ) -> Result<Self> {
        let batch_bytes = limits.batch_bytes.clamp(1, MAX_ROW_BYTES);
        let block = Block {
            source: Source::new(compression, beginning.frame, limits.caps)?,
            data: Vec::new(),
            head: 0,
            valid: 0,
            base: beginning.frame.decoded,
            skip: beginning.offset - beginning.frame.decoded,
            encoding,
            ended: false,
            failure: None,
        };
        Ok(Self {
            block,
            splitter,
            wanted: batch_bytes,
            rows_done: beginning.rows,
            fault: None,
            batch_rows: limits.batch_rows.max(1),
            batch_bytes,
            row_bytes: limits.row_bytes.clamp(batch_bytes, MAX_ROW_BYTES),
        })
    }

    fn batch(&mut self, consumed: usize) -> Decoded {
        let data = self.block.take(consumed, self.batch_bytes + 64);
        let batch = self.splitter.take(data);
        self.rows_done += batch.rows() as u64;
        let offset = self.block.offset();
        let place = Place::Byte {
            offset,
            line: self.splitter.line(),
            columns: self.splitter.columns(),
            frame: self.block.source.frame_of(offset),
        };
        Decoded { batch, after: Position { rows: self.rows_done, place } }
    }

    /// What to do when the splitter cannot go on with the text there is. `Some` ends the object.
    fn without_rows(&mut self) -> Option<Result<Step>> {
        if let Some(failure) = self.block.failure.take() {
            return Some(Err(self.place_failure(failure)));
        }
        if self.block.ended {
            return Some(Ok(Step::Done));
        }
        let length = self.block.text().len();
        if length >= self.row_bytes {
            return Some(Err(self.long_row()));
        }
        self.wanted = (length * 2).clamp(self.batch_bytes, self.row_bytes);
        None
    }

    fn place_failure(&mut self, failure: Error) -> Error {
        let line = self.splitter.line() + count_lines(self.block.text()) + 1;
        let byte = self.block.base + self.block.valid as u64;
        failure.with("line", line).with("row", self.rows_done + 1).with("byte", byte)
    }

    fn long_row(&mut self) -> Error {
        let explanation = self.splitter.explain_long_row(self.block.text());
        let origin = Origin { offset: self.block.offset(), rows: self.rows_done };
        let error = Error::new(ErrorKind::Data, "a row is longer than the limit allows")
            .with("limit_bytes", self.row_bytes)
            .with("line", self.splitter.line() + 1);
        origin.place(error, 0, 0).hint(explanation.unwrap_or("check that the file has the configured format"))
    }
}

impl Decode for TextDecoder {
    fn access(&self) -> Access {
        Access::Stream { from: self.block.source.from() }
    }

    fn step(&mut self) -> Result<Step> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            if !self.block.fill(self.wanted) {
                return Ok(Step::NeedBytes);
            }
            let origin = Origin { offset: self.block.offset(), rows: self.rows_done };
            let ended = self.block.ended;
            let split = self.splitter.split(self.block.text(), ended, origin, self.batch_rows);
            let stuck = matches!(split.stop, Stop::More);
            // A batch that is full leaves text behind that was not looked at yet.
            self.wanted = if stuck { self.batch_bytes } else { 0 };
            if let Stop::Fault(fault) = split.stop {
                self.fault = Some(fault);
            }
            if self.splitter.rows() > 0 {
                return Ok(Step::Batch(self.batch(split.consumed)));
            }
            self.block.skip_consumed(split.consumed);
            if stuck && let Some(end) = self.without_rows() {
                return end;
            }
        }
    }

    fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        self.block.source.feed(offset, bytes)
    }

    fn finish(&mut self) {
        self.block.source.finish();
    }
}
