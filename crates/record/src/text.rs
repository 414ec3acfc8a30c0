//! Text rows → lines.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::cast::{Cast, Outcome, nullable};
use super::conform::{Fit, MismatchPolicy, TypeMismatch, listed_type};
use super::encoded::Encoded;
use super::frame::{Added, Frame};
use super::line::{Line, Piece, close};
use super::options::{EncodeOptions, Unlisted};
use super::report::FileReport;
use super::rescued::Rescued;
use tollgate_base::batch::{Span, TextRows};
use tollgate_base::json_string::{write_key, write_string};
use tollgate_base::options::CsvOptions;
use tollgate_base::schema::{ColumnType, Columns};
use tollgate_base::simd::{Chunk, LANES};

/// Encodes the text rows of one file.
#[derive(Debug)]
pub(super) struct TextEncoder {
    /// The file's columns that `members` were made for.
    columns: Arc<[Box<str>]>,
    members: Vec<Member>,
    /// Columns of the file that the catalog does not have, with their keys.
    unlisted: Vec<(usize, Piece)>,
    rescued: Rescued,
    /// The texts of booleans.
    words: Vec<(Piece, bool)>,
    line: Line,
    /// What was counted of the row that is being written, by the place of its member.
    counted: Vec<(usize, Written)>,
    /// A value that is not written straight into the line.
    spare: Vec<u8>,
}

/// A column that is written.
#[derive(Debug)]
struct Member {
    index: usize,
    name: Box<str>,
    /// `"name":`
    key: Piece,
    /// `"name":"`
    text_key: Piece,
    kind: ColumnType,
    cast: Cast,
    /// Whether texts of this column can mean null.
    nullable: bool,
    /// Texts of this batch that are not of the column's type, and the first of them.
    misfits: u64,
    example: String,
    /// Texts of this batch that are a number which JSON does not have, and the first of them.
    not_finite: u64,
    not_finite_example: String,
}

impl Member {
    /// Takes back what was counted of a row, which is not emitted after all.
    #[cold]
    fn uncount(&mut self, written: Written) {
        match written {
            Written::AsText => self.misfits -= 1,
            Written::NotFinite => self.not_finite -= 1,
            Written::Well | Written::OtherJson => {}
        }
    }
}

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// It is in the line, or is a null that is left out.
    Well,
    /// It is in the line as a string, since it is no value of the column's type.
    AsText,
    /// It is in the line, and is JSON of another type than the column's.
    OtherJson,
    /// It is in the line as a null, since JSON has no such number.
    NotFinite,
}

impl TextEncoder {
    pub(super) fn new(prefix: &[u8], options: &CsvOptions) -> Self {
        let word = |text: &String, value| (Piece::new(text.as_bytes()), value);
        let truths = options.true_values.iter().map(|text| word(text, true));
        let words = truths.chain(options.false_values.iter().map(|text| word(text, false))).collect();
        Self {
            columns: Arc::default(),
            members: Vec::new(),
            unlisted: Vec::new(),
            rescued: Rescued::new(),
            words,
            line: Line::new(prefix),
            counted: Vec::new(),
            spare: Vec::new(),
        }
    }

    pub(super) fn encode(
        &mut self,
        rows: &TextRows,
        columns: &Columns,
        options: &EncodeOptions,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
        report: &mut FileReport,
    ) -> Encoded {
        if !Arc::ptr_eq(&self.columns, &rows.columns) {
            self.columns = Arc::clone(&rows.columns);
            let names = as_listed(&rows.columns, columns);
            self.members = members(&names, columns, &options.csv, frame.added);
            self.unlisted = unlisted(&names, columns, frame.added);
            report.add_repeated(repeated(&rows.columns));
            if options.unlisted == Unlisted::Tell {
                self.unlisted.iter().for_each(|(index, _)| report.add_unlisted(&names[*index]));
            }
        }
        let encoded = self.encode_rows(rows, options, frame, out);
        self.line.shrink();
        for member in self.members.iter_mut().filter(|member| member.misfits > 0) {
            report.add_misfits(&member.name, member.kind, std::mem::take(&mut member.misfits), &member.example);
        }
        for member in self.members.iter_mut().filter(|member| member.not_finite > 0) {
            report.add_not_finite(&member.name, std::mem::take(&mut member.not_finite), &member.not_finite_example);
        }
        report.add_adjusted(rows.adjusted as u64);
        encoded
    }

    fn encode_rows(
        &mut self,
        rows: &TextRows,
        options: &EncodeOptions,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Encoded {
        let (unfit, fit) = (options.unfit(), options.fit());
        let mut encoded = Encoded::default();
        let mut members = std::mem::take(&mut self.members);
        for row in 0..rows.rows {
            let fields = rows.row(row);
            // The first member, by its place, that does not conform.
            let mut misfit = None;
            self.counted.clear();
            self.line.restart();
            for (place, member) in members.iter_mut().enumerate() {
                let field = fields[member.index];
                if field.absent() {
                    continue;
                }
                let mark = self.line.mark();
                if member.cast == Cast::String && !member.nullable {
                    self.line.text_member(&member.text_key, &rows.data, field.start as usize, field.end as usize);
                    continue;
                }
                let written = self.write(member, &rows.data, field, options);
                if written == Written::Well || unfit == MismatchPolicy::Emit {
                    continue;
                }
                let conforms = written == Written::NotFinite && fit == Fit::Narrower;
                if conforms || unfit != MismatchPolicy::Rescue {
                    self.counted.push((place, written));
                }
                if conforms {
                    continue;
                }
                misfit.get_or_insert(place);
                if unfit == MismatchPolicy::Rescue {
                    self.line.cut_to(mark);
                    member.uncount(written);
                    self.rescued.text(&member.key, field.of(&rows.data));
                }
            }
            if unfit == MismatchPolicy::Rescue {
                encoded.rescued += u64::from(self.write_rescued(rows, fields));
            } else if unfit.looks() && (misfit.is_some() || !self.unlisted.is_empty()) {
                for (place, written) in self.counted.drain(..) {
                    members[place].uncount(written);
                }
                let misfit = self.misfit(rows, &members, misfit);
                if encoded.unfit(unfit, row, &misfit, || raw(rows, row)) {
                    break;
                }
                continue;
            }
            if self.line.too_long() {
                encoded.stop_before_long_line(row);
                break;
            }
            if frame.closes {
                self.line.trim(b',');
            }
            out.extend_from_slice(self.line.text());
            out.extend_from_slice(frame.suffix);
            encoded.lines += 1;
        }
        self.members = members;
        encoded
    }

    /// Adds the column of rescued fields. Whether there are any.
    fn write_rescued(&mut self, rows: &TextRows, fields: &[Span]) -> bool {
        for (index, key) in self.unlisted.iter().filter(|(index, _)| !fields[*index].absent()) {
            self.rescued.text(key, fields[*index].of(&rows.data));
        }
        self.rescued.write_to(&mut self.line)
    }

    /// What does not conform: the member in this place, or else a column that the catalog does not have.
    #[cold]
    fn misfit<'a>(&self, rows: &'a TextRows, members: &'a [Member], place: Option<usize>) -> TypeMismatch<'a> {
        match (self.unlisted.first(), place.map(|place| &members[place])) {
            (Some((index, _)), _) => TypeMismatch { column: (&*rows.columns[*index]).into(), expected: None },
            (None, Some(member)) => TypeMismatch { column: (&*member.name).into(), expected: Some(member.kind) },
            (None, None) => TypeMismatch { column: "".into(), expected: None },
        }
    }

    /// Writes a field that is cast, or may be null.
    #[inline]
    fn write(&mut self, member: &mut Member, data: &[u8], field: Span, options: &EncodeOptions) -> Written {
        let (start, end) = (field.start as usize, field.end as usize);
        let line = &mut self.line;
        let as_it_is = match member.cast {
            Cast::Integer => short_integer(data, start, end),
            Cast::Number => short_number(data, start, end),
            _ => false,
        };
        if as_it_is {
            line.member(&member.key, data, start, end);
            return Written::Well;
        }
        if member.cast == Cast::Boolean
            && let Some((_, value)) = self.words.iter().find(|(word, _)| word.equals(data, start, end))
        {
            line.piece(&member.key);
            if *value {
                line.bytes(*b"true,")
            } else {
                line.bytes(*b"false,")
            }
            return Written::Well;
        }
        self.write_slowly(member, field.of(data), options)
    }

    #[inline(never)]
    fn write_slowly(&mut self, member: &mut Member, field: &[u8], options: &EncodeOptions) -> Written {
        // Decoders hand over checked text, and fields begin and end at characters.
        let text: Cow<'_, str> = String::from_utf8_lossy(field);
        self.spare.clear();
        let outcome = member.cast.write(&text, &options.csv, &mut self.spare);
        // A text is looked up as a null only when it was not cast, as in the connector we replace.
        let uncast = outcome == Outcome::TypeMismatch || member.cast == Cast::String;
        let null = if uncast {
            (member.nullable && options.csv.null_values.iter().any(|null| **null == *text))
                || (member.kind == ColumnType::Null && text.is_empty())
        } else {
            member.cast == Cast::Object && self.spare == b"null"
        };
        if null {
            if options.schemaless {
                self.line.piece(&member.key);
                self.line.bytes(*b"null,");
            }
            return Written::Well;
        }
        self.line.piece(&member.key);
        self.line.copy(&self.spare, 0, self.spare.len());
        self.line.bytes([b',']);
        if outcome == Outcome::NotFinite {
            if member.not_finite == 0 {
                member.not_finite_example = text.into_owned();
            }
            member.not_finite += 1;
            return Written::NotFinite;
        }
        if outcome == Outcome::Written && member.kind != ColumnType::Null {
            let other = member.cast == Cast::Object && !self.spare.starts_with(b"{");
            return if other { Written::OtherJson } else { Written::Well };
        }
        if member.misfits == 0 {
            member.example = text.into_owned();
        }
        member.misfits += 1;
        Written::AsText
    }
}

/// Whether the text is a JSON integer of at most sixteen characters. `-0` is left to the exact rules.
#[inline(always)]
fn short_integer(data: &[u8], start: usize, end: usize) -> bool {
    let length = end - start;
    let Some(chunk) = Chunk::load(data, start).filter(|_| length <= LANES && length > 0) else { return false };
    let negative = usize::from(data[start] == b'-');
    let all = ((1_u32 << length) - 1) & !(negative as u32);
    all != 0 && chunk.digits() & all == all && (length == 1 || data[start + negative] != b'0')
}

/// Whether the text is a JSON number without an exponent, of at most sixteen characters.
#[inline(always)]
fn short_number(data: &[u8], start: usize, end: usize) -> bool {
    let length = end - start;
    let Some(chunk) = Chunk::load(data, start).filter(|_| length <= LANES && length > 0) else { return false };
    let negative = usize::from(data[start] == b'-');
    let all = ((1_u32 << length) - 1) & !(negative as u32);
    let (digits, points) = (chunk.digits() & all, chunk.equal(b'.') & all);
    let first = all & all.wrapping_neg();
    let whole_zero = data[start + negative.min(length - 1)] == b'0' && points != first << 1;
    all != 0
        && digits | points == all
        && points & points.wrapping_sub(1) == 0
        && digits & first != 0
        && digits >> (length - 1) & 1 == 1
        && (!whole_zero || length == 1)
}

/// The text of a row as it stands in the file, without its line end; a JSON object of texts where it was not kept.
#[cold]
pub(super) fn raw(rows: &TextRows, row: usize) -> Vec<u8> {
    if let Some(source) = source(rows, row) {
        let end = source.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        return source[..end].to_vec();
    }
    let mut object = vec![b'{'];
    for (name, field) in rows.columns.iter().zip(rows.row(row)).filter(|(_, field)| !field.absent()) {
        write_key(name, &mut object);
        write_string(&String::from_utf8_lossy(field.of(&rows.data)), &mut object);
        object.push(b',');
    }
    close(&mut object);
    object
}

fn source(rows: &TextRows, row: usize) -> Option<&[u8]> {
    let (originals, start) = (rows.originals.as_ref()?, rows.starts.get(row)?.byte);
    if let Ok(found) = originals.binary_search_by_key(&start, |(at, _)| *at) {
        return Some(&originals[found].1);
    }
    // Its fields stand as they stood, and none of them has a line end.
    let last = rows.row(row).iter().rfind(|field| !field.absent())?.end as usize;
    let end = memchr::memchr2(b'\n', b'\r', &rows.data[last..]).map_or(rows.data.len(), |length| last + length);
    rows.data.get(start as usize..end)
}

/// The columns that the catalog does not have. Of columns with one name the last one counts.
fn unlisted(names: &[Box<str>], columns: &Columns, added: &Added) -> Vec<(usize, Piece)> {
    let mut seen = HashSet::new();
    let unlisted = names
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, name)| !added.has(name) && listed_type(columns, name).is_none() && seen.insert(&**name));
    let mut unlisted: Vec<_> = unlisted
        .map(|(index, name)| {
            let mut key = Vec::new();
            write_key(name, &mut key);
            (index, Piece::new(&key))
        })
        .collect();
    unlisted.reverse();
    unlisted
}

/// The names of a file's columns as the catalog has them. The connector that we replace keeps a byte order mark in the
/// first name: a catalog that was saved with it must not lose that column.
fn as_listed<'a>(names: &'a [Box<str>], columns: &Columns) -> Cow<'a, [Box<str>]> {
    let Some(first) = names.first() else { return Cow::Borrowed(names) };
    let marked = format!("\u{feff}{first}");
    if listed_type(columns, first).is_some() || listed_type(columns, &marked).is_none() {
        return Cow::Borrowed(names);
    }
    let mut names = names.to_vec();
    names[0] = marked.into();
    Cow::Owned(names)
}

/// The names that stand more than once in a header, in their order.
fn repeated(names: &[Box<str>]) -> Vec<&str> {
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    names.iter().map(|name| &**name).filter(|name| !seen.insert(*name) && told.insert(*name)).collect()
}

/// The members of a line, in the file's order. Of columns with one name the last one is written.
fn members(names: &[Box<str>], columns: &Columns, options: &CsvOptions, added: &Added) -> Vec<Member> {
    let mut seen = HashSet::new();
    let mut members: Vec<Member> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate().rev() {
        let Some(kind) = listed_type(columns, name).filter(|_| !added.has(name) && seen.insert(name)) else { continue };
        let cast = Cast::to(kind);
        let mut key = Vec::with_capacity(name.len() + 4);
        write_key(name, &mut key);
        let text_key = [key.as_slice(), b"\""].concat();
        // Without a catalog no column is a string, and all can be null.
        let string =
            cast == Cast::String && !matches!(kind, ColumnType::Any | ColumnType::AnyScalar | ColumnType::Null);
        members.push(Member {
            index,
            name: name.clone(),
            key: Piece::new(&key),
            text_key: Piece::new(&text_key),
            kind,
            cast,
            nullable: nullable(string, options) || kind == ColumnType::Null,
            misfits: 0,
            example: String::new(),
            not_finite: 0,
            not_finite_example: String::new(),
        });
    }
    members.reverse();
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_are_those_of_json() {
        let parts = ["-", "0", "1", "29", ".", "5", "e", "+", " "];
        let mut accepted = 0;
        for code in 0..parts.len().pow(4) {
            let text: String = (0..4).map(|place| parts[code / parts.len().pow(place) % parts.len()]).collect();
            for length in 1..=text.len() {
                let data = format!("{}{}", &text[..length], ",1234567890123456");
                let value: Option<serde_json::Value> = serde_json::from_str(&text[..length]).ok();
                let json = value.is_some() && !text[..length].contains([' ', 'e']);
                let integer = json && !text[..length].contains('.') && &text[..length] != "-0";
                let (bytes, text) = (data.as_bytes(), &text[..length]);
                assert_eq!(short_integer(bytes, 0, length), integer, "{text:?}");
                assert_eq!(short_number(bytes, 0, length), json && text != "-0", "{text:?}");
                accepted += usize::from(json);
            }
        }
        assert!(accepted > 500, "{accepted}");
    }
}
