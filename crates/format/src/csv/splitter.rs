//! The splitter of text into rows.

use std::sync::Arc;

use super::dialect::Dialect;
use super::header::{Header, Names, Progress};
use super::walk::{Walk, find_row, split_row};
use super::width::{MOST_COLUMNS, too_many};
use crate::decode::DecodeLimits;
use crate::resume::{foreign_position, refused_position};
use crate::split::{Origin, Rejects, Split, Stop, behind_line};
use tollgate_base::batch::{Place, Position, RowStart, Span, TextOrigin, TextRows};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::CsvOptions;

/// Fields of a batch, about.
const MOST_FIELDS: usize = 1 << 19;

/// Splits text into rows of CSV.
pub(crate) struct CsvSplitter {
    pub(super) dialect: Dialect,
    pub(super) header: Header,
    pub(super) names: Names,
    /// Pads and cuts rows of another width instead of refusing them.
    pub(super) lenient: bool,
    /// Lines before the next row.
    pub(super) line: u64,
    /// Lines before the text that is being split.
    pub(super) first_line: u64,
    pub(super) fields: Vec<Span>,
    /// Fields of the row being scanned that hold doubled quotes or line breaks, as indices into `fields`.
    pub(super) odd_fields: Vec<usize>,
    pub(super) rows: usize,
    pub(super) starts: Vec<RowStart>,
    /// Rows that were padded or cut.
    pub(super) adjusted: usize,
    pub(super) rejects: Rejects,
    /// See [`TextRows::originals`].
    pub(super) originals: Option<Vec<(u32, Box<[u8]>)>>,
    /// Quotes without an end that were gone over.
    pub(super) unclosed: usize,
}

/// Quotes without an end that are gone over in one file. Each costs a look at the whole rest of it, and a file with more
/// has another quote than the configured one.
const UNCLOSED_AT_MOST: usize = 16;

impl CsvSplitter {
    /// A splitter at the start of a file, or at a position.
    pub(crate) fn new(options: &CsvOptions, resume: Option<&Position>, limits: &DecodeLimits) -> Result<Self> {
        let mut splitter = Self {
            dialect: Dialect::of(options)?,
            header: Header::of(options),
            names: Names::default(),
            lenient: options.ignore_errors_on_fields_mismatch,
            line: 0,
            first_line: 0,
            fields: Vec::new(),
            odd_fields: Vec::new(),
            rows: 0,
            starts: Vec::new(),
            adjusted: 0,
            rejects: Rejects::new(limits.on_bad_row),
            originals: limits.keep_source.then(Vec::new),
            unclosed: 0,
        };
        if let Some(Position { place: Place::Byte { line, columns, .. }, .. }) = resume {
            let Some(columns) = columns else {
                return Err(foreign_position());
            };
            splitter.line = *line;
            splitter.header = Header::Done;
            splitter.names = Names::of(Arc::clone(columns)).map_err(refused_position)?;
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

    /// The names of the columns that rows have, once the header is read.
    pub(crate) fn columns(&self) -> Option<&[Box<str>]> {
        self.in_rows().then_some(&*self.names.columns)
    }

    /// Rows gone over and not taken.
    pub(crate) fn rejects(&mut self) -> &mut Rejects {
        &mut self.rejects
    }

    /// Whether rows can be gone over here: they can once the header is read.
    pub(crate) fn in_rows(&self) -> bool {
        matches!(self.header, Header::Done)
    }

    /// The rows found, as a batch over `data`, which begins `offset` bytes into the text.
    pub(crate) fn take(&mut self, data: Vec<u8>, offset: u64) -> TextRows {
        let capacity = self.fields.len() + self.fields.len() / 8;
        let mut fields = std::mem::replace(&mut self.fields, Vec::with_capacity(capacity));
        // An empty field at the very start must not look like one that the row does not have: a row has its first.
        if let Some(first) = fields.first_mut().filter(|first| first.absent()) {
            *first = Span { start: 1, end: 1 };
        }
        let (rows, adjusted) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.adjusted));
        let starts = std::mem::replace(&mut self.starts, Vec::with_capacity(rows + rows / 8));
        let origin = TextOrigin { offset, line: self.first_line };
        let originals = self.originals.as_mut().map(std::mem::take);
        TextRows { columns: Arc::clone(&self.names.columns), data, fields, rows, starts, origin, adjusted, originals }
    }

    /// Splits as many rows as there are, up to `max_rows`.
    pub(crate) fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        self.first_line = self.line;
        let start = match self.read_header(text, ended, origin) {
            Ok(Progress::Rows(at)) => at,
            Ok(Progress::More(at)) => return Split { consumed: at, stop: Stop::More },
            Err(error) => return Split { consumed: 0, stop: Stop::Fault(error) },
        };
        // Rows that are shorter than the header are made as wide.
        let max_rows = max_rows.min((MOST_FIELDS / self.names.columns.len().max(1)).max(1));
        if self.dialect.scannable() {
            return self.scan_rows(text, start, ended, origin, max_rows);
        }
        let mut at = start;
        while self.rows + self.rejects.len() < max_rows {
            match self.walk_row(text, at, ended, origin) {
                Ok(Some(next)) => at = next,
                Ok(None) => return Split { consumed: at, stop: Stop::More },
                Err(error) => return Split { consumed: at, stop: Stop::Fault(error) },
            }
        }
        Split { consumed: at, stop: Stop::Full }
    }

    /// Takes one row by the exact rules: the first byte behind it, or `None` where the text has no complete row.
    pub(super) fn walk_row(
        &mut self,
        text: &mut [u8],
        at: usize,
        ended: bool,
        origin: Origin,
    ) -> Result<Option<usize>> {
        match find_row(&self.dialect, text, at, ended) {
            Walk::Incomplete => Ok(None),
            Walk::Unclosed { quote, lines } => self.go_over_quote(text, at, origin, quote, lines).map(Some),
            Walk::Blank { next } => {
                self.line += 1;
                Ok(Some(next))
            }
            Walk::Row { fields, .. } if fields > MOST_COLUMNS => {
                Err(origin.place(too_many(fields).with("line", self.line + 1), self.rows, at))
            }
            Walk::Row { next, lines, fields } => {
                let first = self.fields.len();
                // What the row was before it is taken apart.
                let raw = (fields != self.names.columns.len()).then(|| self.rejects.raw(&text[at..next])).flatten();
                self.keep_original(at, &text[at..next]);
                split_row(&self.dialect, text, at, ended, &mut self.fields);
                match (self.fit_row(text, first, at, origin), raw) {
                    (Ok(()), _) => self.add_row(at),
                    (Err(misfit), Some(raw)) => {
                        let offset = origin.offset + at as u64;
                        self.rejects.add(misfit.message().to_owned(), self.line, offset, raw);
                    }
                    (Err(misfit), None) => return Err(misfit),
                }
                self.line += lines;
                Ok(Some(next))
            }
        }
    }

    /// Keeps the text of a row that is about to be changed.
    pub(super) fn keep_original(&mut self, at: usize, row: &[u8]) {
        if let Some(originals) = &mut self.originals {
            originals.push((at as u32, row.into()));
        }
    }

    /// Counts the row that begins at `at`, before its lines are counted.
    #[inline(always)]
    pub(super) fn add_row(&mut self, at: usize) {
        self.starts.push(RowStart { byte: at as u32, line: (self.line - self.first_line) as u32 });
        self.rows += 1;
    }

    /// Goes over the line at `at`, in which a quote opens that the text never closes: what follows it is rows again, more
    /// likely than not.
    fn go_over_quote(&mut self, text: &[u8], at: usize, origin: Origin, quote: usize, lines: u64) -> Result<usize> {
        let next = behind_line(text, at).unwrap_or(text.len());
        let raw = self.rejects.raw(&text[at..next]).filter(|_| self.unclosed < UNCLOSED_AT_MOST);
        let Some(raw) = raw else { return Err(self.unclosed(origin, quote, lines)) };
        self.unclosed += 1;
        self.rejects.add("a quote in a CSV row is never closed", self.line, origin.offset + at as u64, raw);
        self.line += 1;
        Ok(next)
    }

    /// The first byte behind the row that `text` begins with, and the lines in it; `None` where it is not complete.
    pub(crate) fn end_of_row(&self, text: &mut [u8], ended: bool) -> Option<(usize, u64)> {
        match find_row(&self.dialect, text, 0, ended) {
            Walk::Incomplete => None,
            Walk::Unclosed { .. } => behind_line(text, 0).or(Some(text.len())).map(|next| (next, 1)),
            Walk::Blank { next } => Some((next, 1)),
            Walk::Row { next, lines, .. } => Some((next, lines)),
        }
    }

    /// Counts lines that were gone over.
    pub(crate) fn add_lines(&mut self, lines: u64) {
        self.line += lines;
    }

    /// Makes the row whose fields begin at `first` as wide as the header, or refuses it.
    pub(super) fn fit_row(&mut self, text: &[u8], first: usize, at: usize, origin: Origin) -> Result<()> {
        let (count, width) = (self.fields.len() - first, self.names.columns.len());
        let Some(message) = self.misfit(text, first) else {
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

    /// Why the row whose fields begin at `first` is not as wide as the header.
    pub(super) fn misfit(&self, text: &[u8], first: usize) -> Option<&'static str> {
        let (count, width) = (self.fields.len() - first, self.names.columns.len());
        let surplus = self.fields.get(first + width..).unwrap_or_default();
        let unnamed = surplus.len() <= self.names.all.len() - width;
        if count < width {
            Some("a CSV row has fewer fields than the header defines")
        } else if !unnamed {
            Some("a CSV row has more fields than the header defines")
        } else if surplus.iter().any(|span| !blank(span.of(text))) {
            Some("a CSV row has a value under a column that has no name in the header")
        } else {
            None
        }
    }

    pub(super) fn unclosed(&self, origin: Origin, quote: usize, lines: u64) -> Error {
        let error = Error::data("a quote in a CSV file is never closed").with("line", self.line + lines + 1);
        origin.place(error, self.rows, quote).hint("repair the file, or set `quote_char` to the one that it uses")
    }

    /// Why the row at the start of `text` has no end.
    pub(crate) fn explain_long_row(&self, text: &mut [u8]) -> Option<&'static str> {
        let unclosed = matches!(find_row(&self.dialect, text, 0, true), Walk::Unclosed { .. });
        unclosed.then_some("a quote in this row is not closed: repair the file, or set `quote_char`")
    }
}

/// Whether a cell has nothing but white space.
fn blank(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|text| text.trim().is_empty())
}
