//! JSONL: text → JSON objects.
//!
//! Objects follow one another with any white space, or none, between them: one a line as the format wants it, spread
//! over many lines, or several on one. Where bad rows are gone over, a fault in an object's first line costs that line:
//! the format has one a line. One in a later line costs everything up to the next line that begins with a brace.

use super::decode::DecodeLimits;
use super::json_rows::{JsonRowsBuilder, skip_space};
use super::json_scan::{Scanned, scan_array, scan_object};
use super::split::{Origin, Split, Stop, behind_line, count_lines};
use tollgate_base::batch::Position;
use tollgate_base::error::Error;

/// Splits text into JSON objects.
pub(crate) struct JsonSplitter {
    pub(crate) found: JsonRowsBuilder,
    /// Whether a row may be an array.
    arrays: bool,
}

impl JsonSplitter {
    /// A splitter at the start of a file, or at a position.
    pub(crate) fn new(resume: Option<&Position>, limits: &DecodeLimits) -> Self {
        Self { found: JsonRowsBuilder::new(resume).with_rejects(limits), arrays: limits.array_rows }
    }

    /// Splits as many objects as there are, up to `max_rows`.
    pub(crate) fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        let text = self.found.begin(text, ended);
        let mut at = skip_space(text, 0, &mut self.found.line);
        let mut like = Some(0);
        loop {
            if self.found.rows() + self.found.rejects.len() >= max_rows {
                return Split { consumed: at, stop: Stop::Full };
            }
            if at == text.len() {
                return Split { consumed: at, stop: Stop::More };
            }
            let first = self.found.fields.len();
            let scanned = match text[at] {
                b'[' if self.arrays => scan_array(text, at, &mut self.found.fields),
                _ => scan_object(text, at, &mut self.found.fields, like),
            };
            let (fault, reason) = match scanned {
                Scanned::Object { end, line_ends } => {
                    let start = self.found.start(at, self.found.line);
                    self.found.add(text, at, end, first, line_ends, start);
                    // Line ends between a key and its value would not be noticed.
                    like = (!line_ends && text[at] != b'[').then_some(first);
                    at = skip_space(text, end, &mut self.found.line);
                    continue;
                }
                Scanned::Incomplete if ended => (text.len(), "the text ends inside an object"),
                Scanned::Incomplete => return Split { consumed: at, stop: Stop::More },
                Scanned::Fault { at, reason } => (at, reason),
            };
            if !self.found.rejects.collect() {
                return Split { consumed: at, stop: Stop::Fault(self.fault(text, at, fault, reason, origin)) };
            }
            let Some(next) = behind_row(text, at, fault, ended) else {
                return Split { consumed: at, stop: Stop::More };
            };
            self.reject(&text[at..next], format!("a line is not a JSON object: {reason}"), origin.offset + at as u64);
            at = skip_space(text, next, &mut self.found.line);
            like = None;
        }
    }

    #[cold]
    fn reject(&mut self, row: &[u8], reason: String, offset: u64) {
        self.found.rejects.add(reason, self.found.line, offset, row.to_vec());
        self.found.line += count_lines(row);
    }

    /// The first byte behind the row that `text` begins with and that is at fault at `fault`, and the lines in it; `None`
    /// where it is not there yet.
    pub(crate) fn end_of_row(text: &[u8], fault: usize, ended: bool) -> Option<(usize, u64)> {
        let first = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
        let next = behind_row(text, first, fault, ended)?;
        Some((next, count_lines(&text[..next])))
    }

    #[cold]
    fn fault(&self, text: &[u8], object: usize, at: usize, reason: &'static str, origin: Origin) -> Error {
        let line = self.found.line + count_lines(&text[object..at]) + 1;
        let error = Error::data("a line is not a JSON object").with("reason", reason).with("line", line);
        let error = origin.place(error, self.found.rows(), at);
        if text.get(at) == Some(&b'[') {
            return error.hint("set the format to `json` if the objects of a file are items of an array");
        }
        error
    }
}

/// Where rows may go on behind the one that begins at `at` and is at fault at `fault`; `None` where it is not there yet.
fn behind_row(text: &[u8], at: usize, fault: usize, ended: bool) -> Option<usize> {
    let end = ended.then_some(text.len());
    let Some(mut next) = behind_line(text, at) else { return end };
    if fault < next {
        return Some(next);
    }
    loop {
        if text.get(next) == Some(&b'{') {
            return Some(next);
        }
        match behind_line(text, next) {
            Some(further) => next = further,
            None => return end,
        }
    }
}
