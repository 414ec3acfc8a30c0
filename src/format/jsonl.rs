//! JSONL: text → JSON objects.
//!
//! Objects follow one another with any white space, or none, between them: one a line as the format wants it, spread
//! over many lines, or several on one. What follows a fault is not looked at: a line end may be in the middle of
//! anything then.

use super::json_scan::{Scanned, scan_object};
use super::text::{Origin, Split, Stop, count_lines};
use crate::batch::{JsonField, JsonKind, JsonRows, Place, Position};
use crate::error::Error;

/// Splits text into JSON objects.
#[derive(Default)]
pub(crate) struct JsonSplitter {
    /// Lines before the next object.
    line: u64,
    fields: Vec<JsonField>,
    row_ends: Vec<u32>,
}

impl JsonSplitter {
    /// A splitter at the start of a file, or at a position.
    pub(crate) fn new(resume: Option<&Position>) -> Self {
        let line = match resume {
            Some(Position { place: Place::Byte { line, .. }, .. }) => *line,
            _ => 0,
        };
        Self { line, ..Self::default() }
    }

    /// Rows found and not taken.
    pub(crate) fn rows(&self) -> usize {
        self.row_ends.len()
    }

    /// Lines before the next row.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The rows found, as a batch over `data`.
    pub(crate) fn take(&mut self, data: Vec<u8>) -> JsonRows {
        let (fields, rows) = (self.fields.len(), self.row_ends.len());
        JsonRows {
            data,
            fields: std::mem::replace(&mut self.fields, Vec::with_capacity(fields + fields / 8)),
            row_ends: std::mem::replace(&mut self.row_ends, Vec::with_capacity(rows + rows / 8)),
        }
    }

    /// Splits as many objects as there are, up to `max_rows`.
    pub(crate) fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        // A CR at the end of what is there may be half of a CRLF.
        let hidden = usize::from(!ended && text.last() == Some(&b'\r'));
        let length = text.len() - hidden;
        let text = &mut text[..length];
        let mut at = self.skip_space(text, 0);
        let mut like = 0;
        loop {
            if self.rows() >= max_rows {
                return Split { consumed: at, stop: Stop::Full };
            }
            if at == text.len() {
                return Split { consumed: at, stop: Stop::More };
            }
            let first = self.fields.len();
            let (fault, reason) = match scan_object(text, at, &mut self.fields, like) {
                Scanned::Object { end, line_ends } => {
                    if line_ends {
                        self.line += count_lines(&text[at..end]);
                        self.join_lines(text, first);
                    }
                    self.row_ends.push(self.fields.len() as u32);
                    // Line ends between a key and its value would not be noticed.
                    like = if line_ends { usize::MAX >> 1 } else { first };
                    at = self.skip_space(text, end);
                    continue;
                }
                Scanned::Incomplete if ended => (text.len(), "the text ends inside an object"),
                Scanned::Incomplete => return Split { consumed: at, stop: Stop::More },
                Scanned::Fault { at, reason } => (at, reason),
            };
            return Split { consumed: at, stop: Stop::Fault(self.fault(text, at, fault, reason, origin)) };
        }
    }

    /// Goes over white space between objects.
    fn skip_space(&mut self, text: &[u8], mut at: usize) -> usize {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = text.get(at) {
            let begins_line = match byte {
                b'\n' => at == 0 || text[at - 1] != b'\r',
                byte => *byte == b'\r',
            };
            self.line += u64::from(begins_line);
            at += 1;
        }
        at
    }

    /// Makes blanks of the line ends in the values of the row whose members begin at `first`: outside of strings, and
    /// inside they cannot be.
    #[cold]
    fn join_lines(&self, text: &mut [u8], first: usize) {
        let nested = |field: &&JsonField| matches!(field.kind, JsonKind::Array | JsonKind::Object);
        for field in self.fields[first..].iter().filter(nested) {
            for byte in &mut text[field.value.range()] {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
    }

    #[cold]
    fn fault(&self, text: &[u8], object: usize, at: usize, reason: &'static str, origin: Origin) -> Error {
        let line = self.line + count_lines(&text[object..at]) + 1;
        let error = Error::data("a line is not a JSON object").with("reason", reason).with("line", line);
        origin.place(error, self.rows(), at)
    }
}
