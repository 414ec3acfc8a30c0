//! JSONL: text → JSON objects.
//!
//! Objects follow one another with any white space, or none, between them: one a line as the format wants it, spread
//! over many lines, or several on one. Where bad rows are gone over, a fault in an object's first line costs that line:
//! the format has one a line. One in a later line costs everything up to the next line that begins with a brace.

use super::decode::DecodeLimits;
use super::json_scan::{Scanned, scan_array, scan_object};
use super::split::{Origin, Rejects, Split, Stop, behind_line, count_lines};
use tollgate_base::batch::{JsonField, JsonKind, JsonRows, Place, Position, RowStart, TextOrigin};
use tollgate_base::error::Error;

/// Splits text into JSON objects.
#[derive(Default)]
pub(crate) struct JsonSplitter {
    /// Lines before the next object.
    line: u64,
    /// Lines before the text that is being split.
    first_line: u64,
    fields: Vec<JsonField>,
    row_ends: Vec<u32>,
    starts: Vec<RowStart>,
    rejects: Rejects,
    /// Whether a row may be an array.
    arrays: bool,
}

impl JsonSplitter {
    /// A splitter at the start of a file, or at a position.
    pub(crate) fn new(resume: Option<&Position>, limits: &DecodeLimits) -> Self {
        let line = match resume {
            Some(Position { place: Place::Byte { line, .. }, .. }) => *line,
            _ => 0,
        };
        Self { line, rejects: Rejects::new(limits.on_bad_row), arrays: limits.array_rows, ..Self::default() }
    }

    /// Rows found and not taken.
    pub(crate) fn rows(&self) -> usize {
        self.row_ends.len()
    }

    /// Lines before the next row.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Rows gone over and not taken.
    pub(crate) fn rejects(&mut self) -> &mut Rejects {
        &mut self.rejects
    }

    /// Counts lines that were gone over.
    pub(crate) fn add_lines(&mut self, lines: u64) {
        self.line += lines;
    }

    /// The rows found, as a batch over `data`, which begins `offset` bytes into the text.
    pub(crate) fn take(&mut self, data: Vec<u8>, offset: u64) -> JsonRows {
        let (fields, rows) = (self.fields.len(), self.row_ends.len());
        JsonRows {
            data,
            fields: std::mem::replace(&mut self.fields, Vec::with_capacity(fields + fields / 8)),
            row_ends: std::mem::replace(&mut self.row_ends, Vec::with_capacity(rows + rows / 8)),
            starts: std::mem::replace(&mut self.starts, Vec::with_capacity(rows + rows / 8)),
            origin: TextOrigin { offset, line: self.first_line },
        }
    }

    /// Splits as many objects as there are, up to `max_rows`.
    pub(crate) fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        // A CR at the end of what is there may be half of a CRLF.
        let hidden = usize::from(!ended && text.last() == Some(&b'\r'));
        let length = text.len() - hidden;
        let text = &mut text[..length];
        self.first_line = self.line;
        let mut at = skip_space(text, 0, &mut self.line);
        let mut like = Some(0);
        loop {
            if self.rows() + self.rejects.len() >= max_rows {
                return Split { consumed: at, stop: Stop::Full };
            }
            if at == text.len() {
                return Split { consumed: at, stop: Stop::More };
            }
            let first = self.fields.len();
            let scanned = match text[at] {
                b'[' if self.arrays => scan_array(text, at, &mut self.fields),
                _ => scan_object(text, at, &mut self.fields, like),
            };
            let (fault, reason) = match scanned {
                Scanned::Object { end, line_ends } => {
                    self.starts.push(RowStart { byte: at as u32, line: (self.line - self.first_line) as u32 });
                    if line_ends {
                        self.line += count_lines(&text[at..end]);
                        join_lines(&self.fields[first..], text);
                    }
                    self.row_ends.push(self.fields.len() as u32);
                    // Line ends between a key and its value would not be noticed.
                    like = (!line_ends && text[at] != b'[').then_some(first);
                    at = skip_space(text, end, &mut self.line);
                    continue;
                }
                Scanned::Incomplete if ended => (text.len(), "the text ends inside an object"),
                Scanned::Incomplete => return Split { consumed: at, stop: Stop::More },
                Scanned::Fault { at, reason } => (at, reason),
            };
            if !self.rejects.collect() {
                return Split { consumed: at, stop: Stop::Fault(self.fault(text, at, fault, reason, origin)) };
            }
            let Some(next) = behind_row(text, at, fault, ended) else {
                return Split { consumed: at, stop: Stop::More };
            };
            self.reject(&text[at..next], format!("a line is not a JSON object: {reason}"), origin.offset + at as u64);
            at = skip_space(text, next, &mut self.line);
            like = None;
        }
    }

    #[cold]
    fn reject(&mut self, row: &[u8], reason: String, offset: u64) {
        self.rejects.add(reason, self.line, offset, row.to_vec());
        self.line += count_lines(row);
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
        let line = self.line + count_lines(&text[object..at]) + 1;
        let error = Error::data("a line is not a JSON object").with("reason", reason).with("line", line);
        let error = origin.place(error, self.rows(), at);
        if text.get(at) == Some(&b'[') {
            return error.hint("set the format to `json` if the objects of a file are items of an array");
        }
        error
    }
}

/// Goes over white space between objects and counts the lines that begin there. Returns the index behind it.
pub(super) fn skip_space(text: &[u8], mut at: usize, line: &mut u64) -> usize {
    while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = text.get(at) {
        let begins_line = match byte {
            b'\n' => at == 0 || text[at - 1] != b'\r',
            byte => *byte == b'\r',
        };
        *line += u64::from(begins_line);
        at += 1;
    }
    at
}

/// Makes blanks of the line ends in the values of a row: outside of strings, and inside they cannot be.
#[cold]
pub(super) fn join_lines(fields: &[JsonField], text: &mut [u8]) {
    let nested = |field: &&JsonField| matches!(field.kind, JsonKind::Array | JsonKind::Object);
    for field in fields.iter().filter(nested) {
        for byte in &mut text[field.value.range()] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
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
