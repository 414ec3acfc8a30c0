//! The exact rules, byte by byte: what Python's `csv` module does with its default (not strict) settings over text
//! whose line ends were made LF. It serves every dialect, headers, and the rows that the fast scan hands over.
//!
//! A row is walked twice: first only to find its end, so that a row that is not complete yet stays as it is, then
//! again to take quotes and escapes out in place.

use super::dialect::Dialect;
use tollgate_base::batch::Span;

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walk {
    /// A complete row.
    Row {
        /// The first byte behind its line end.
        next: usize,
        /// The lines it took, its own end included.
        lines: u64,
        /// Its fields.
        fields: usize,
    },
    /// An empty line.
    Blank {
        /// The first byte behind the line end.
        next: usize,
    },
    /// The text ends inside the row and may go on.
    Incomplete,
    /// The text ends inside quotes.
    Unclosed {
        /// The quote's index in the text.
        quote: usize,
        /// The line ends between the row's first byte and the quote.
        lines: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    StartField,
    Field,
    Escaped,
    Quoted,
    QuotedEscaped,
    QuoteInQuoted,
}

/// Finds the end of the row that begins at `start`, and changes nothing. `ended` says that no text follows.
pub(super) fn find_row(dialect: &Dialect, text: &mut [u8], start: usize, ended: bool) -> Walk {
    walk::<false>(dialect, text, start, ended, &mut Vec::new())
}

/// Splits the row that begins at `start`, which [`find_row`] found complete: quotes and escapes are taken out in
/// place and the fields' spans are appended.
pub(super) fn split_row(dialect: &Dialect, text: &mut [u8], start: usize, ended: bool, fields: &mut Vec<Span>) -> Walk {
    walk::<true>(dialect, text, start, ended, fields)
}

fn walk<const WRITE: bool>(
    dialect: &Dialect,
    text: &mut [u8],
    start: usize,
    ended: bool,
    fields: &mut Vec<Span>,
) -> Walk {
    let mut state = State::StartField;
    let (mut at, mut count, mut lines) = (start, 0, 0);
    // Where the field's content begins, and where its next byte goes.
    let (mut from, mut to) = (start, start);
    let mut quote = (start, 0);
    loop {
        let Some(&raw) = text.get(at) else {
            if !ended {
                return Walk::Incomplete;
            }
            match state {
                State::Quoted | State::QuotedEscaped => return Walk::Unclosed { quote: quote.0, lines: quote.1 },
                _ if at == start => return Walk::Incomplete,
                // The module sees a line end where the text ends.
                State::Escaped => keep::<WRITE>(text, &mut to, b'\n'),
                _ => {}
            }
            save::<WRITE>(fields, &mut count, from, to);
            return Walk::Row { next: at, lines: lines + 1, fields: count };
        };
        let line_end = raw == b'\n' || raw == b'\r';
        let width = if raw == b'\r' && text.get(at + 1) == Some(&b'\n') { 2 } else { 1 };
        // A CR at the end of what is there may be half of a CRLF.
        if raw == b'\r' && at + 1 == text.len() && !ended {
            return Walk::Incomplete;
        }
        let byte = if line_end { b'\n' } else { raw };
        let next = at + width;
        if line_end && at == start {
            return Walk::Blank { next };
        }
        lines += u64::from(line_end);
        match state {
            State::Quoted if dialect.escape == Some(byte) => state = State::QuotedEscaped,
            State::Quoted if dialect.quote == Some(byte) => {
                state = if dialect.double_quote { State::QuoteInQuoted } else { State::Field };
            }
            State::Quoted => keep::<WRITE>(text, &mut to, byte),
            State::QuotedEscaped => {
                keep::<WRITE>(text, &mut to, byte);
                state = State::Quoted;
            }
            State::QuoteInQuoted if dialect.quote == Some(byte) => {
                keep::<WRITE>(text, &mut to, byte);
                state = State::Quoted;
            }
            State::Escaped => {
                keep::<WRITE>(text, &mut to, byte);
                state = State::Field;
            }
            _ if line_end => {
                save::<WRITE>(fields, &mut count, from, to);
                return Walk::Row { next, lines, fields: count };
            }
            State::StartField if dialect.quote == Some(byte) => {
                state = State::Quoted;
                quote = (at, lines);
                (from, to) = (next, next);
            }
            State::StartField | State::Field if dialect.escape == Some(byte) => state = State::Escaped,
            _ if byte == dialect.delimiter && dialect.goes_on(&text[next..]) => {
                save::<WRITE>(fields, &mut count, from, to);
                at = next + dialect.rest.len();
                (from, to) = (at, at);
                state = State::StartField;
                continue;
            }
            _ => {
                keep::<WRITE>(text, &mut to, byte);
                state = State::Field;
            }
        }
        at = next;
    }
}

/// Writes a byte of the field's content. It never overtakes the reading.
fn keep<const WRITE: bool>(text: &mut [u8], to: &mut usize, byte: u8) {
    if WRITE {
        text[*to] = byte;
    }
    *to += 1;
}

fn save<const WRITE: bool>(fields: &mut Vec<Span>, count: &mut usize, from: usize, to: usize) {
    *count += 1;
    if WRITE {
        fields.push(Span { start: from as u32, end: to as u32 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(dialect: &Dialect, text: &str) -> Vec<Vec<String>> {
        let mut bytes = text.as_bytes().to_vec();
        let (mut at, mut rows) = (0, Vec::new());
        while at < bytes.len() {
            match find_row(dialect, &mut bytes, at, true) {
                Walk::Row { next, lines, fields } => {
                    let mut spans = Vec::new();
                    let again = split_row(dialect, &mut bytes, at, true, &mut spans);
                    assert_eq!(again, Walk::Row { next, lines, fields });
                    assert_eq!(spans.len(), fields);
                    rows.push(spans.iter().map(|s| String::from_utf8(s.of(&bytes).to_vec()).unwrap()).collect());
                    at = next;
                }
                Walk::Blank { next } => at = next,
                other => panic!("{text:?}: {other:?}"),
            }
        }
        rows
    }

    #[test]
    fn rows_are_those_of_pythons_csv_module() {
        let excel = Dialect::default();
        let escape = Dialect { escape: Some(b'\\'), ..excel.clone() };
        let single = Dialect { double_quote: false, ..excel.clone() };
        let plain = Dialect { quote: None, ..excel.clone() };
        let bars = Dialect { delimiter: b'|', rest: b"|".as_slice().into(), ..excel.clone() };
        let section = Dialect { delimiter: 0xc2, rest: [0xa7].as_slice().into(), ..excel.clone() };
        let cases: &[(&Dialect, &str, &[&[&str]])] = &[
            (&excel, "a,b\r\nc,d\re,f\n", &[&["a", "b"], &["c", "d"], &["e", "f"]]),
            (&excel, "\"abc\"def,ab\"c, \"x\"\n", &[&["abcdef", "ab\"c", " \"x\""]]),
            (&excel, "\"a\r\nb\rc\",\"d\"\"e\"\n", &[&["a\nb\nc", "d\"e"]]),
            (&excel, "\n\na\n\r\n  \n\"\"\n", &[&["a"], &["  "], &[""]]),
            (&excel, "a,", &[&["a", ""]]),
            (&excel, ",\n\"\"\"\"", &[&["", ""], &["\""]]),
            (&excel, "\"a\"\"b\"c\"d\"\n", &[&["a\"bc\"d\""]]),
            (&escape, "a\\,b,\"c\\\"d\",\\\"e\n", &[&["a,b", "c\"d", "\"e"]]),
            (&escape, "a\\\r\nb,c\n", &[&["a\nb", "c"]]),
            (&escape, "a\\", &[&["a\n"]]),
            (&single, "\"a\"\"b\",c\n", &[&["a\"b\"", "c"]]),
            (&plain, "\"a,b\"\n", &[&["\"a", "b\""]]),
            (&bars, "a|b||c||\"d||\"\"e\"||\n|||f|\n", &[&["a|b", "c", "d||\"e", ""], &["", "|f|"]]),
            (&section, "a§b¢\n§\n", &[&["a", "b¢"], &["", ""]]),
        ];
        for (dialect, text, expected) in cases {
            assert_eq!(rows(dialect, text), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_row_without_its_end_is_incomplete_or_unclosed() {
        let excel = Dialect::default();
        let mut text = b"a,\"b\nc".to_vec();
        assert_eq!(find_row(&excel, &mut text, 0, false), Walk::Incomplete);
        assert_eq!(find_row(&excel, &mut text, 0, true), Walk::Unclosed { quote: 2, lines: 0 });
        assert_eq!(find_row(&excel, &mut b"a\r".to_vec(), 0, false), Walk::Incomplete);
    }
}
