//! Splitting text into rows of fields.

use super::scan::{Scanner, Special};
use crate::batch::Span;
use crate::error::{Error, Result};
use crate::options::CsvOptions;

/// Rows that were split off the beginning of a text.
#[derive(Debug)]
pub(super) struct Rows {
    /// The fields of all rows, in place in the text.
    pub(super) fields: Vec<Span>,
    /// The number of rows.
    pub(super) count: usize,
    /// Bytes of the text that the rows take.
    pub(super) consumed: usize,
    /// Physical lines that the rows take.
    pub(super) lines: u64,
    width: Option<usize>,
    limit: usize,
    /// Whether short rows are filled up and long ones are cut.
    lenient: bool,
}

impl Rows {
    /// Rows of `width` fields, `limit` at most.
    pub(super) fn new(width: usize, limit: usize, lenient: bool) -> Self {
        Self {
            fields: Vec::with_capacity(width * 512),
            count: 0,
            consumed: 0,
            lines: 0,
            width: Some(width),
            limit,
            lenient,
        }
    }

    /// One row of whatever width it has.
    pub(super) fn of_any_width() -> Self {
        Self { fields: Vec::new(), count: 0, consumed: 0, lines: 0, width: None, limit: 1, lenient: false }
    }
}

/// Why splitting stopped at a row.
#[derive(Debug)]
pub(super) struct Stopped {
    reason: Reason,
    /// Physical lines before the row.
    lines: u64,
    /// Bytes before the row.
    at: usize,
}

#[derive(Debug)]
enum Reason {
    Fields { found: usize, expected: usize },
    OpenQuote,
}

impl Stopped {
    /// As an error, for a text that begins behind `line` lines and `offset` bytes.
    pub(super) fn error(self, line: u64, offset: u64) -> Error {
        let (line, byte) = (line + self.lines + 1, offset + self.at as u64);
        let error = match self.reason {
            Reason::Fields { found, expected } => Error::data(format!(
                "CSV data row contains {} columns than the header row defines: {found} instead of {expected}",
                if found > expected { "more" } else { "fewer" }
            ))
            .hint("check the delimiter and the quotes, or set `ignore_errors_on_fields_mismatch`"),
            Reason::OpenQuote => Error::data("a quote that opens here is not closed before the end of the file")
                .hint("check the quotes, or switch quoting off"),
        };
        error.with("line", line).with("byte", byte)
    }
}

/// Splits by the options of a stream.
#[derive(Debug)]
pub(super) struct Splitter {
    special: Special,
    quoting: bool,
    double_quote: bool,
    escape: Option<u8>,
}

/// How a quoted field ends.
enum QuotedEnd {
    /// By a delimiter at this place.
    Delimiter(usize),
    /// By the row's end; the next row begins here.
    Row(usize),
    /// Not in this text.
    Missing,
}

impl Splitter {
    pub(super) fn new(options: &CsvOptions) -> Self {
        Self {
            // Without quoting, the delimiter takes the quote's place: no byte more is special.
            special: Special { delimiter: options.delimiter, quote: options.quote.unwrap_or(options.delimiter) },
            quoting: options.quote.is_some(),
            double_quote: options.double_quote,
            escape: options.escape,
        }
    }

    /// Splits whole rows off the beginning of `text`; the fields of whole rows are unquoted in place. With `end`, the
    /// text's end ends the last row. Rows before the one that stops it are in `rows` in any case.
    pub(super) fn rows(&self, text: &mut [u8], end: bool, rows: &mut Rows) -> Result<(), Stopped> {
        if self.escape.is_some() {
            return self.rows_with_escape(text, end, rows);
        }
        let mut scanner = Scanner::new(self.special, text);
        let mut row = Row::at(0, rows);
        while rows.count < rows.limit {
            let Some(at) = scanner.next(text) else { return self.rest(text, end, &mut row, rows) };
            match text[at] {
                byte if byte == self.special.delimiter => {
                    rows.fields.push(span(row.field_start, at));
                    row.field_start = at + 1;
                }
                b'\n' | b'\r' => {
                    rows.fields.push(span(row.field_start, at));
                    let Some(next) = after_line_end(text, at, end) else { return row.give_up(rows) };
                    self.end_row(text, next, &mut row, rows)?;
                    scanner.seek(text, next);
                }
                // A quote inside of a field is a byte like others.
                _ if at != row.field_start => {}
                _ => match self.quoted(text, at, end, &mut row, rows) {
                    QuotedEnd::Delimiter(place) => {
                        row.field_start = place + 1;
                        scanner.seek(text, place + 1);
                    }
                    QuotedEnd::Row(next) => {
                        self.end_row(text, next, &mut row, rows)?;
                        scanner.seek(text, next);
                    }
                    QuotedEnd::Missing if end => return row.open_quote(rows),
                    QuotedEnd::Missing => return row.give_up(rows),
                },
            }
        }
        Ok(())
    }

    /// What is left when no special byte follows: the last row of a file without a line end, or the beginning of a row.
    fn rest(&self, text: &mut [u8], end: bool, row: &mut Row, rows: &mut Rows) -> Result<(), Stopped> {
        let in_row = row.start < text.len();
        if end && in_row {
            rows.fields.push(span(row.field_start, text.len()));
            return self.end_row(text, text.len(), row, rows);
        }
        row.give_up(rows)
    }

    /// Unquotes what must be unquoted of a whole row. Until a row is whole its text must stay: it is read again.
    fn end_row(&self, text: &mut [u8], next: usize, row: &mut Row, rows: &mut Rows) -> Result<(), Stopped> {
        for field in row.unquote.drain(..) {
            rows.fields[field] = self.unquoted(text, rows.fields[field]);
        }
        row.end(next, rows)
    }

    /// Finds the end of the field whose quote opens at `open`, and pushes it.
    fn quoted(&self, text: &[u8], open: usize, end: bool, row: &mut Row, rows: &mut Rows) -> QuotedEnd {
        let quote = self.special.quote;
        let mut as_it_is = true;
        let mut at = open + 1;
        let closed = loop {
            let Some(found) = memchr::memchr3(quote, b'\n', b'\r', &text[at..]) else { return QuotedEnd::Missing };
            at += found + 1;
            let next = text.get(at).copied();
            match text[at - 1] {
                b'\n' => row.lines += 1,
                b'\r' if next.is_none() && !end => return QuotedEnd::Missing,
                b'\r' => {
                    at += usize::from(next == Some(b'\n'));
                    row.lines += 1;
                    as_it_is = false;
                }
                _ if next.is_none() && !end => return QuotedEnd::Missing,
                _ if next == Some(quote) && self.double_quote => {
                    at += 1;
                    as_it_is = false;
                }
                _ => break at,
            }
        };
        // What follows the closing quote belongs to the field.
        let ending = memchr::memchr3(self.special.delimiter, b'\n', b'\r', &text[closed..]);
        let place = match ending {
            Some(length) => closed + length,
            None if end => text.len(),
            None => return QuotedEnd::Missing,
        };
        if as_it_is && place == closed {
            rows.fields.push(span(open + 1, closed - 1));
        } else {
            row.unquote.push(rows.fields.len());
            rows.fields.push(span(open, place));
        }
        match text.get(place) {
            Some(&byte) if byte == self.special.delimiter => QuotedEnd::Delimiter(place),
            Some(_) => after_line_end(text, place, end).map_or(QuotedEnd::Missing, QuotedEnd::Row),
            None => QuotedEnd::Row(place),
        }
    }

    /// Takes quotes out of a field that begins with one, in place, and makes line breaks in it line feeds.
    fn unquoted(&self, text: &mut [u8], field: Span) -> Span {
        let quote = self.special.quote;
        let start = field.start as usize + 1;
        let (mut read, mut write, mut quoted) = (start, start, true);
        while read < field.end as usize {
            let (byte, next) = (text[read], text.get(read + 1).copied());
            read += 1;
            match byte {
                b'\r' if quoted => {
                    read += usize::from(next == Some(b'\n'));
                    write = put(text, write, b'\n');
                }
                _ if byte != quote || !quoted => write = put(text, write, byte),
                _ if next == Some(quote) && self.double_quote => {
                    read += 1;
                    write = put(text, write, quote);
                }
                _ => quoted = false,
            }
        }
        span(start, write)
    }

    /// The same with an escape byte, byte by byte: rare, and every state matters. A row is looked at twice: its text
    /// must stay until it is whole.
    fn rows_with_escape(&self, text: &mut [u8], end: bool, rows: &mut Rows) -> Result<(), Stopped> {
        let mut row = Row::at(0, rows);
        while rows.count < rows.limit && row.start < text.len() {
            if self.escaped_row(text, end, &mut row, rows, Touch::Look).is_none() {
                return if end { row.open_quote(rows) } else { row.give_up(rows) };
            }
            rows.fields.truncate(row.first_field);
            row.lines = 0;
            let next = self.escaped_row(text, end, &mut row, rows, Touch::Change);
            row.end(next.expect("the row was found to be whole"), rows)?;
        }
        Ok(())
    }

    /// Splits one row; gives the place behind it, or `None` where it is not whole.
    fn escaped_row(&self, text: &mut [u8], end: bool, row: &mut Row, rows: &mut Rows, touch: Touch) -> Option<usize> {
        let mut at = row.start;
        loop {
            let field = self.escaped_field(text, at, end, touch)?;
            rows.fields.push(span(field.start, field.end));
            row.lines += field.lines;
            match text.get(field.place) {
                Some(&byte) if byte == self.special.delimiter => at = field.place + 1,
                Some(_) => return after_line_end(text, field.place, end),
                None => return Some(field.place),
            }
        }
    }

    fn escaped_field(&self, text: &mut [u8], from: usize, end: bool, touch: Touch) -> Option<Field> {
        let Special { delimiter, quote } = self.special;
        let mut quoted = self.quoting && text.get(from) == Some(&quote);
        let start = from + usize::from(quoted);
        let (mut read, mut write, mut lines) = (start, start, 0);
        let mut emit = |text: &mut [u8], byte: u8| {
            if touch == Touch::Change {
                text[write] = byte;
            }
            write += 1;
        };
        while let Some(&byte) = text.get(read) {
            let next = text.get(read + 1).copied();
            // What the next byte is decides what this one means.
            let matters = Some(byte) == self.escape || (quoted && (byte == quote || byte == b'\r'));
            if matters && next.is_none() && !end {
                return None;
            }
            read += 1;
            if Some(byte) == self.escape {
                read += usize::from(next.is_some());
                // At the end of the file an escape stands for itself.
                let escaped = next.unwrap_or(byte);
                lines += u64::from(escaped == b'\n');
                emit(text, escaped);
            } else if quoted && byte == quote {
                quoted = next == Some(quote) && self.double_quote;
                if quoted {
                    read += 1;
                    emit(text, quote);
                }
            } else if quoted && byte == b'\r' {
                lines += 1;
                read += usize::from(next == Some(b'\n'));
                emit(text, b'\n');
            } else if !quoted && (byte == delimiter || byte == b'\n' || byte == b'\r') {
                return Some(Field { start, end: write, place: read - 1, lines });
            } else {
                lines += u64::from(byte == b'\n');
                emit(text, byte);
            }
        }
        (end && !quoted).then_some(Field { start, end: write, place: read, lines })
    }
}

/// Whether a field is only looked at, or unquoted in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    Look,
    Change,
}

struct Field {
    start: usize,
    end: usize,
    /// The byte behind it.
    place: usize,
    lines: u64,
}

/// The row that is being split.
struct Row {
    start: usize,
    field_start: usize,
    first_field: usize,
    /// Fields that must be unquoted when the row is whole.
    unquote: Vec<usize>,
    /// Line breaks inside of quotes.
    lines: u64,
}

impl Row {
    fn at(start: usize, rows: &Rows) -> Self {
        Self { start, field_start: start, first_field: rows.fields.len(), unquote: Vec::new(), lines: 0 }
    }

    /// The row is not whole: its fields so far are left out.
    fn give_up(&self, rows: &mut Rows) -> Result<(), Stopped> {
        rows.fields.truncate(self.first_field);
        Ok(())
    }

    fn open_quote(&self, rows: &mut Rows) -> Result<(), Stopped> {
        rows.fields.truncate(self.first_field);
        Err(Stopped { reason: Reason::OpenQuote, lines: rows.lines, at: self.start })
    }

    /// Ends the row before `next`.
    fn end(&mut self, next: usize, rows: &mut Rows) -> Result<(), Stopped> {
        let found = rows.fields.len() - self.first_field;
        let blank = found == 1 && rows.fields[self.first_field] == span(self.start, self.start);
        if blank {
            rows.fields.truncate(self.first_field);
        } else if let Some(expected) = rows.width
            && found != expected
        {
            if !rows.lenient {
                rows.fields.truncate(self.first_field);
                return Err(Stopped { reason: Reason::Fields { found, expected }, lines: rows.lines, at: self.start });
            }
            rows.fields.resize(self.first_field + expected, Span::default());
        }
        rows.count += usize::from(!blank);
        rows.lines += self.lines + 1;
        rows.consumed = next;
        (self.start, self.field_start, self.first_field, self.lines) = (next, next, rows.fields.len(), 0);
        Ok(())
    }
}

#[inline]
fn span(start: usize, end: usize) -> Span {
    // A buffer is shorter than the limit of a row, which is below 4 GiB.
    Span { start: start as u32, end: end as u32 }
}

/// The place behind the line end at `at`; `None` where its second byte may still come.
#[inline]
fn after_line_end(text: &[u8], at: usize, end: bool) -> Option<usize> {
    if text[at] != b'\r' {
        return Some(at + 1);
    }
    match text.get(at + 1) {
        Some(b'\n') => Some(at + 2),
        Some(_) => Some(at + 1),
        None => end.then_some(at + 1),
    }
}

#[inline]
fn put(text: &mut [u8], write: usize, byte: u8) -> usize {
    text[write] = byte;
    write + 1
}
