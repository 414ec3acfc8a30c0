//! JSON lines: one object a line. Objects over several lines, and several on one, are read as well: what separates
//! objects is that one ends and another begins.

use bytes::Bytes;

use super::compression::Decompressor;
use super::json_scan::{self, Stop};
use super::text::{BLOCK_BYTES, Filled, TextBuffer, not_utf8};
use super::{Access, Decode, DecodeLimits, Step};
use crate::batch::{Batch, Decoded, JsonRows, Place, Position};
use crate::error::{Error, Result};

/// See the module's text.
#[derive(Debug)]
pub struct JsonlDecoder {
    text: TextBuffer,
    limits: DecodeLimits,
    wanted: usize,
    line: u64,
    rows: u64,
    failed: Option<Error>,
    done: bool,
    /// The members of the last batch: the next one has about as many.
    members: usize,
}

impl JsonlDecoder {
    /// A decoder that begins at `resume`, or at the start.
    ///
    /// # Errors
    /// `Config` where the position is one of another format.
    pub fn new(decompressor: Decompressor, resume: Option<&Position>, limits: DecodeLimits) -> Result<Self> {
        let (offset, line, rows) = match resume.map(|position| (position.rows, &position.place)) {
            None | Some((_, Place::Start)) => (0, 0, 0),
            Some((rows, Place::Byte { offset, line, columns: None, .. })) => (*offset, *line, rows),
            Some(_) => {
                return Err(Error::config("the state has a position of another format in this JSONL file")
                    .hint("reset the stream, or use the format that it was read with before"));
            }
        };
        let text = TextBuffer::new(decompressor, offset);
        Ok(Self { text, limits, wanted: BLOCK_BYTES, line, rows, failed: None, done: false, members: 1024 })
    }

    fn advance(&mut self) -> Result<Step> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while !self.done {
            let filled = self.text.fill(self.wanted)?;
            if filled == Filled::Starved {
                return Ok(Step::NeedBytes);
            }
            let end = filled == Filled::End;
            if let Some(decoded) = self.read_rows(end)? {
                return Ok(Step::Batch(decoded));
            }
            if !self.done {
                self.want_more()?;
            }
        }
        Ok(Step::Done)
    }

    /// An object is longer than the text at hand.
    fn want_more(&mut self) -> Result<()> {
        let have = self.text.text().len();
        if have >= self.limits.row_bytes {
            return Err(Error::data("a row is longer than the limit")
                .with("line", self.line + 1)
                .with("byte", self.text.offset())
                .with("limit_bytes", self.limits.row_bytes));
        }
        self.wanted = (have * 2).max(BLOCK_BYTES).min(self.limits.row_bytes);
        Ok(())
    }

    fn read_rows(&mut self, end: bool) -> Result<Option<Decoded>> {
        let broken = self.text.broken();
        let mut rows = JsonRows { fields: Vec::with_capacity(self.members), ..JsonRows::default() };
        let split = split(self.text.text(), self.limits.batch_rows, &mut rows);
        let stopped = match split.stop {
            Some(Stop::Bad { at, what }) => Some(self.error(at, what)),
            Some(Stop::Incomplete) if broken => Some(self.not_utf8()),
            Some(Stop::Incomplete) if end => Some(self.error(split.consumed, "the file ends inside of this object")),
            Some(Stop::Incomplete) => None,
            None if broken && split.reached_end => Some(self.not_utf8()),
            None => {
                self.done = end && split.reached_end;
                None
            }
        };
        if rows.row_ends.is_empty() {
            return stopped.map_or(Ok(None), Err);
        }
        self.failed = stopped;
        self.wanted = BLOCK_BYTES;
        self.members = rows.fields.len() + rows.fields.len() / 8;
        rows.data = self.text.take(split.consumed);
        self.line += memchr::memchr_iter(b'\n', &rows.data).count() as u64;
        self.rows += rows.row_ends.len() as u64;
        if split.multiline {
            unbreak(&mut rows);
        }
        let place = Place::Byte { offset: self.text.offset(), line: self.line, columns: None, frame: None };
        Ok(Some(Decoded { batch: Batch::Json(rows), after: Position { rows: self.rows, place } }))
    }

    fn error(&mut self, at: usize, what: &str) -> Error {
        let offset = self.text.offset() + at as u64;
        let before = &self.text.text()[..at];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |place| place + 1);
        let line = self.line + memchr::memchr_iter(b'\n', before).count() as u64 + 1;
        Error::data(format!("a line is not a JSON object: {what}"))
            .with("line", line)
            .with("column", at - line_start + 1)
            .with("byte", offset)
            .hint("check that the file is JSON lines, and its encoding")
    }

    fn not_utf8(&mut self) -> Error {
        let have = self.text.text().len();
        let line = self.line + memchr::memchr_iter(b'\n', self.text.text()).count() as u64 + 1;
        not_utf8(line, self.text.offset() + have as u64)
    }
}

/// How far a text was split.
struct Split {
    /// Bytes of the objects and the white space around them.
    consumed: usize,
    /// Whether nothing is left.
    reached_end: bool,
    /// Whether an object has line breaks.
    multiline: bool,
    stop: Option<Stop>,
}

fn split(text: &[u8], limit: usize, rows: &mut JsonRows) -> Split {
    let mut consumed = 0;
    let mut multiline = false;
    while rows.row_ends.len() < limit {
        let at = json_scan::skip_space(text, consumed);
        if at == text.len() {
            return Split { consumed: at, reached_end: true, multiline, stop: None };
        }
        let members = rows.fields.len();
        match json_scan::object(text, at, &mut rows.fields) {
            Ok(next) => {
                multiline |= memchr::memchr2(b'\n', b'\r', &text[at..next]).is_some();
                consumed = json_scan::skip_space(text, next);
            }
            Err(stop) => {
                rows.fields.truncate(members);
                return Split { consumed: at, reached_end: false, multiline, stop: Some(stop) };
            }
        }
        // A batch has fewer members than bytes, and those fit.
        rows.row_ends.push(rows.fields.len() as u32);
    }
    Split { consumed, reached_end: false, multiline, stop: None }
}

/// Makes line breaks inside of nested values spaces: a value goes into a line.
fn unbreak(rows: &mut JsonRows) {
    for field in &rows.fields {
        let value = &mut rows.data[field.value.range()];
        value.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

impl Decode for JsonlDecoder {
    fn access(&self) -> Access {
        Access::Stream { from: self.text.feed_from() }
    }

    fn step(&mut self) -> Result<Step> {
        self.advance()
    }

    fn feed(&mut self, _offset: u64, bytes: Bytes) -> Result<()> {
        self.text.feed(bytes);
        Ok(())
    }

    fn finish(&mut self) {
        self.text.finish();
    }
}
