//! The rows of a JSON text that were found and not taken: what the splitters of JSONL and of documents share.

use super::decode::DecodeLimits;
use super::split::{Rejects, count_lines};
use tollgate_base::batch::{JsonField, JsonKind, JsonRows, Place, Position, RowStart, TextOrigin};

/// Collects rows for a batch.
#[derive(Default)]
pub(crate) struct JsonRowsBuilder {
    /// Lines before the next byte.
    pub(crate) line: u64,
    /// Lines before the text that is being split.
    first_line: u64,
    pub(super) fields: Vec<JsonField>,
    row_ends: Vec<u32>,
    starts: Vec<RowStart>,
    /// Rows skipped and not taken.
    pub(crate) rejects: Rejects,
}

impl JsonRowsBuilder {
    /// At the start of a file, or at a position.
    pub(super) fn new(resume: Option<&Position>) -> Self {
        let line = match resume {
            Some(Position { place: Place::Byte { line, .. }, .. }) => *line,
            _ => 0,
        };
        Self { line, ..Self::default() }
    }

    /// Collects bad rows if the limits say so.
    pub(super) fn with_rejects(self, limits: &DecodeLimits) -> Self {
        Self { rejects: Rejects::new(limits.on_bad_row), ..self }
    }

    /// Rows found and not taken.
    pub(crate) fn rows(&self) -> usize {
        self.row_ends.len()
    }

    /// Begins a text. Returns as much of it as can be split.
    pub(super) fn begin<'t>(&mut self, text: &'t mut [u8], ended: bool) -> &'t mut [u8] {
        self.first_line = self.line;
        // A CR at the end of what is there may be half of a CRLF.
        let hidden = usize::from(!ended && text.last() == Some(&b'\r'));
        let length = text.len() - hidden;
        &mut text[..length]
    }

    /// The start of a row, or of what can be read again from there: a byte of the text, and the lines before it.
    pub(super) fn start(&self, byte: usize, line: u64) -> RowStart {
        RowStart { byte: byte as u32, line: (line - self.first_line) as u32 }
    }

    /// Adds the row `text[at..end]`, whose members are the fields from `first` on.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        text: &mut [u8],
        at: usize,
        end: usize,
        first: usize,
        line_ends: bool,
        start: RowStart,
    ) {
        self.starts.push(start);
        if line_ends {
            self.line += count_lines(&text[at..end]);
            join_lines(&self.fields[first..], text);
        }
        self.row_ends.push(self.fields.len() as u32);
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
}

/// Skips white space between objects and counts the lines that begin there. Returns the index after it.
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
fn join_lines(fields: &[JsonField], text: &mut [u8]) {
    let nested = |field: &&JsonField| matches!(field.kind, JsonKind::Array | JsonKind::Object);
    for field in fields.iter().filter(nested) {
        for byte in &mut text[field.value.range()] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}
