//! CSV and TSV: text → rows of fields.
//!
//! ```text
//!   text ─ skip lines ─ header ─ skip lines ─▶ rows: scan (64 bytes at a time) ─ odd row? ─▶ walk (byte by byte)
//!                                                 └──▶ spans, quotes and escapes taken out in place
//! ```
//!
//! What a row is, is Python's `csv` module in its default mode, since saved configurations were written against it;
//! better than there: a byte order mark is taken off, header names lose spaces around them in records as they do in
//! the catalog, a quoted header name may hold a line break, and an unclosed quote is an error.

mod header;
mod scan;
mod walk;

use std::sync::Arc;

use super::text::{Origin, Split, Stop, foreign_position};
use crate::batch::{Place, Position, Span, TextRows};
use crate::error::{Error, Result};
use crate::options::CsvOptions;
use header::{Header, Names, Progress};
use walk::{Walk, find_row, split_row};

/// The bytes that have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    pub(super) escape: Option<u8>,
    pub(super) double_quote: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', quote: Some(b'"'), escape: None, double_quote: true }
    }
}

impl Dialect {
    fn of(options: &CsvOptions) -> Result<Self> {
        let Self { delimiter, quote, escape, double_quote } = Self {
            delimiter: options.delimiter,
            quote: options.quote,
            escape: options.escape,
            double_quote: options.double_quote,
        };
        let special = [Some(delimiter), quote, escape];
        if special.iter().flatten().any(|byte| matches!(byte, b'\n' | b'\r') || !byte.is_ascii()) {
            return Err(Error::config("delimiter, quote and escape must be ASCII and no line ends"));
        }
        if quote == Some(delimiter) || escape == Some(delimiter) {
            return Err(Error::config("the delimiter must differ from quote and escape"));
        }
        Ok(Self { delimiter, quote, escape, double_quote })
    }

    /// Whether the fast scan knows this dialect.
    fn scannable(self) -> bool {
        self.escape.is_none() && (self.double_quote || self.quote.is_none())
    }
}

/// Splits text into rows of CSV.
pub(crate) struct CsvSplitter {
    dialect: Dialect,
    header: Header,
    names: Names,
    /// Pads and cuts rows of another width instead of refusing them.
    lenient: bool,
    /// Lines before the next row.
    line: u64,
    fields: Vec<Span>,
    /// Fields of the row being scanned that hold doubled quotes or line breaks, as indices into `fields`.
    odd_fields: Vec<usize>,
    rows: usize,
    /// Rows that were padded or cut.
    adjusted: usize,
}

impl CsvSplitter {
    /// A splitter at the start of a file, or at a position.
    pub(crate) fn new(options: &CsvOptions, resume: Option<&Position>) -> Result<Self> {
        let mut splitter = Self {
            dialect: Dialect::of(options)?,
            header: Header::of(options),
            names: Names::default(),
            lenient: options.ignore_errors_on_fields_mismatch,
            line: 0,
            fields: Vec::new(),
            odd_fields: Vec::new(),
            rows: 0,
            adjusted: 0,
        };
        if let Some(Position { place: Place::Byte { line, columns, .. }, .. }) = resume {
            let Some(columns) = columns else {
                return Err(foreign_position());
            };
            splitter.line = *line;
            splitter.header = Header::Done;
            splitter.names = Names::of(Arc::clone(columns))?;
        }
        Ok(splitter)
    }

    /// Rows found and not taken.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Lines before the next row.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The names for a position.
    pub(crate) fn names(&self) -> Arc<[Box<str>]> {
        Arc::clone(&self.names.all)
    }

    /// The rows found, as a batch over `data`.
    pub(crate) fn take(&mut self, data: Vec<u8>) -> TextRows {
        let capacity = self.fields.len() + self.fields.len() / 8;
        let mut fields = std::mem::replace(&mut self.fields, Vec::with_capacity(capacity));
        // An empty field at the very start must not look like one that the row does not have: a row has its first.
        if let Some(first) = fields.first_mut().filter(|first| first.absent()) {
            *first = Span { start: 1, end: 1 };
        }
        let (rows, adjusted) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.adjusted));
        TextRows { columns: Arc::clone(&self.names.columns), data, fields, rows, adjusted }
    }

    /// Splits as many rows as there are, up to `max_rows`.
    pub(crate) fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        let start = match self.read_header(text, ended, origin) {
            Ok(Progress::Rows(at)) => at,
            Ok(Progress::More(at)) => return Split { consumed: at, stop: Stop::More },
            Err(error) => return Split { consumed: 0, stop: Stop::Fault(error) },
        };
        if self.dialect.scannable() {
            return self.scan_rows(text, start, ended, origin, max_rows);
        }
        let mut at = start;
        while self.rows < max_rows {
            match self.walk_row(text, at, ended, origin) {
                Ok(Some(next)) => at = next,
                Ok(None) => return Split { consumed: at, stop: Stop::More },
                Err(error) => return Split { consumed: at, stop: Stop::Fault(error) },
            }
        }
        Split { consumed: at, stop: Stop::Full }
    }

    /// Takes one row by the exact rules: the first byte behind it, or `None` where the text has no complete row.
    fn walk_row(&mut self, text: &mut [u8], at: usize, ended: bool, origin: Origin) -> Result<Option<usize>> {
        match find_row(&self.dialect, text, at, ended) {
            Walk::Incomplete => Ok(None),
            Walk::Unclosed { quote, lines } => Err(self.unclosed(origin, quote, lines)),
            Walk::Blank { next } => {
                self.line += 1;
                Ok(Some(next))
            }
            Walk::Row { next, lines, .. } => {
                let first = self.fields.len();
                split_row(&self.dialect, text, at, ended, &mut self.fields);
                self.fit_row(text, first, at, origin)?;
                self.line += lines;
                self.rows += 1;
                Ok(Some(next))
            }
        }
    }

    /// Makes the row whose fields begin at `first` as wide as the header, or refuses it.
    fn fit_row(&mut self, text: &[u8], first: usize, at: usize, origin: Origin) -> Result<()> {
        let (count, width) = (self.fields.len() - first, self.names.columns.len());
        if count == width {
            return Ok(());
        }
        let surplus = self.fields.get(first + width..).unwrap_or_default();
        let unnamed = surplus.len() <= self.names.all.len() - width;
        let message = if count < width {
            "a CSV row has fewer fields than the header defines"
        } else if !unnamed {
            "a CSV row has more fields than the header defines"
        } else if surplus.iter().any(|span| !blank(span.of(text))) {
            "a CSV row has a value under a column that has no name in the header"
        } else {
            self.fields.truncate(first + width);
            return Ok(());
        };
        if self.lenient {
            self.fields.resize(first + width, Span::ABSENT);
            self.adjusted += 1;
            return Ok(());
        }
        self.fields.truncate(first);
        let error = Error::data(message).with("fields", count).with("columns", width).with("line", self.line + 1);
        Err(origin.place(error, self.rows, at))
    }

    fn unclosed(&self, origin: Origin, quote: usize, lines: u64) -> Error {
        let error = Error::data("a quote in a CSV file is never closed").with("line", self.line + lines + 1);
        origin.place(error, self.rows, quote).hint("repair the file, or set `quote_char` to the one that it uses")
    }

    /// Why the row at the start of `text` has no end.
    pub(crate) fn explain_long_row(&self, text: &[u8]) -> Option<&'static str> {
        let mut text = text.to_vec();
        let unclosed = matches!(find_row(&self.dialect, &mut text, 0, true), Walk::Unclosed { .. });
        unclosed.then_some("a quote in this row is not closed: repair the file, or set `quote_char`")
    }
}

/// Whether a cell has nothing but white space.
fn blank(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|text| text.trim().is_empty())
}
