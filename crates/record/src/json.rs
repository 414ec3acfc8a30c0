//! JSON rows → lines. Members go out with the text that came in.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::conform::{Fit, MismatchPolicy, TypeMismatch, json_conforms, listed_type};
use super::encoded::Encoded;
use super::frame::{Added, Frame};
use super::line::{Line, Piece, close};
use super::options::{EncodeOptions, Unlisted};
use super::rescued::Rescued;
use tollgate_base::batch::{JsonField, JsonKind, JsonRows};
use tollgate_base::schema::{ColumnType, Columns};

/// Keys beyond which all are forgotten: objects whose keys are data would fill the memory.
const KEYS: usize = 10_000;

/// Encodes the JSON rows of one file.
///
/// Rows of a file mostly have the same members in the same order: behind each member the one is expected that stood
/// there before, and a key is looked up only when it is another.
#[derive(Debug)]
pub(super) struct JsonEncoder {
    members: Vec<Member>,
    by_key: HashMap<Box<[u8]>, usize>,
    by_name: HashMap<String, usize>,
    /// For each member, and first for the start of a row, the member that came next when it was last met.
    next: Vec<usize>,
    /// For each name the row, counted from 1, in which it was last met: twice in one row is a duplicate.
    met: Vec<u64>,
    /// Whether rows go out as they are: nulls too, and arrays.
    schemaless: bool,
    /// Whether members are written that the catalog does not have.
    writes_unlisted: bool,
    row: u64,
    line: Line,
    rescued: Rescued,
    /// Rows that had a key more than once.
    repeated: u64,
    /// Numbers that are a null, since JSON has no text for them.
    not_finite: u64,
    fit: Fit,
}

/// A key that was met.
#[derive(Debug)]
struct Member {
    /// As written in the file, without the quotes.
    key: Piece,
    /// `"key":`
    prefix: Piece,
    /// Whether it is written.
    written: bool,
    /// The type of the catalog's column; `None` where the catalog has none.
    kind: Option<ColumnType>,
    /// The index of its name: one name can be written in several ways.
    name: usize,
}

impl JsonEncoder {
    pub(super) fn new(prefix: &[u8], options: &EncodeOptions) -> Self {
        Self {
            members: Vec::new(),
            by_key: HashMap::new(),
            by_name: HashMap::new(),
            next: vec![0],
            met: Vec::new(),
            schemaless: options.schemaless,
            writes_unlisted: options.unlisted == Unlisted::Write,
            row: 0,
            line: Line::new(prefix),
            rescued: Rescued::new(),
            repeated: 0,
            not_finite: 0,
            fit: options.fit(),
        }
    }

    /// Rows since the last call that had a key more than once: the last value went out.
    pub(super) fn take_repeated(&mut self) -> u64 {
        std::mem::take(&mut self.repeated)
    }

    /// Numbers since the last call that went out as null: NaN and the infinities.
    pub(super) fn take_not_finite(&mut self) -> u64 {
        std::mem::take(&mut self.not_finite)
    }

    pub(super) fn encode(
        &mut self,
        rows: &JsonRows,
        columns: &Columns,
        options: &EncodeOptions,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Encoded {
        let unfit = options.unfit();
        let mut encoded = Encoded::default();
        for row in 0..rows.row_ends.len() {
            let fields = rows.row(row);
            if self.members.len() > KEYS {
                self.forget();
            }
            if self.schemaless && fields.first().is_some_and(|field| field.key.absent()) {
                self.array_line(&fields[0], &rows.data, frame, out);
                encoded.lines += 1;
                continue;
            }
            if unfit == MismatchPolicy::Rescue {
                let rescued = self.encode_rescuing(fields, &rows.data, columns, frame.added);
                if !self.end_line(frame, out) {
                    encoded.stop_before_long_line(row);
                    break;
                }
                encoded.rescued += u64::from(rescued);
                encoded.lines += 1;
                continue;
            }
            if unfit.looks()
                && let Some(misfit) = self.misfit(fields, &rows.data, columns, frame.added)
            {
                if encoded.unfit(unfit, row, &misfit, || raw(rows, row)) {
                    break;
                }
                continue;
            }
            if !self.encode_row(fields, &rows.data, columns, frame.added) {
                self.encode_duplicates(fields, &rows.data, columns, frame.added);
            }
            if !self.end_line(frame, out) {
                encoded.stop_before_long_line(row);
                break;
            }
            encoded.lines += 1;
        }
        self.line.shrink();
        encoded
    }

    /// Hands the line over. `false`: it is longer than any may be.
    #[inline(always)]
    fn end_line(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
        if self.line.too_long() {
            return false;
        }
        if frame.closes {
            self.line.trim(b',');
        }
        out.extend_from_slice(self.line.text());
        out.extend_from_slice(frame.suffix);
        true
    }

    /// A row that is an array. It has no members, and so none that all rows of the file have.
    #[cold]
    fn array_line(&mut self, field: &JsonField, data: &[u8], frame: &Frame<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(frame.prefix.strip_suffix(b"{").unwrap_or(frame.prefix));
        out.extend_from_slice(field.value.of(data));
        out.extend_from_slice(&frame.suffix[frame.members..]);
    }

    fn forget(&mut self) {
        self.members.clear();
        self.by_key.clear();
        self.by_name.clear();
        self.met.clear();
        self.next.truncate(1);
    }

    /// The first field that does not conform.
    fn misfit(
        &mut self,
        fields: &[JsonField],
        data: &[u8],
        columns: &Columns,
        added: &Added,
    ) -> Option<TypeMismatch<'static>> {
        let mut before = 0;
        for field in fields {
            let index = self.member_behind(before, data, field, columns, added);
            before = index + 1;
            let kind = self.members[index].kind;
            if !kind.is_some_and(|kind| json_conforms(self.fit, field.kind, field.value.of(data), kind)) {
                return Some(TypeMismatch { column: unescaped(field.key.of(data)).into(), expected: kind });
            }
        }
        None
    }

    /// Writes the fields that conform, and the others into one column. Of members with one name the last one counts.
    /// Whether there were others.
    fn encode_rescuing(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns, added: &Added) -> bool {
        let chosen = self.last_of_each(fields, data, columns, added);
        self.repeated += u64::from(chosen.len() < fields.len());
        self.line.restart();
        for (index, field) in chosen {
            let member = &self.members[index];
            if member.kind.is_some_and(|kind| json_conforms(self.fit, field.kind, field.value.of(data), kind)) {
                self.not_finite += u64::from(not_finite(field, data));
                write(&mut self.line, member, field, data, self.schemaless);
            } else if field.kind != JsonKind::Null {
                self.rescued.json(&member.prefix, field.value.of(data));
            }
        }
        self.rescued.write_to(&mut self.line)
    }

    /// Whether the row has each name once; otherwise the line is to be written anew.
    #[inline]
    fn encode_row(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns, added: &Added) -> bool {
        self.row += 1;
        self.line.restart();
        let mut before = 0;
        for field in fields {
            let index = self.member_behind(before, data, field, columns, added);
            before = index + 1;
            let member = &self.members[index];
            let met = &mut self.met[member.name];
            if *met == self.row {
                return false;
            }
            *met = self.row;
            self.not_finite += u64::from(not_finite(field, data));
            write(&mut self.line, member, field, data, self.schemaless);
        }
        true
    }

    /// Of members with one name the last one is written, in the place of the first.
    #[cold]
    fn encode_duplicates(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns, added: &Added) {
        self.repeated += 1;
        self.line.restart();
        for (index, field) in self.last_of_each(fields, data, columns, added) {
            write(&mut self.line, &self.members[index], field, data, self.schemaless);
        }
    }

    /// The last field of each name with its member, in the order of the first ones.
    fn last_of_each<'a>(
        &mut self,
        fields: &'a [JsonField],
        data: &[u8],
        columns: &Columns,
        added: &Added,
    ) -> Vec<(usize, &'a JsonField)> {
        let mut chosen: Vec<(usize, &JsonField)> = Vec::with_capacity(fields.len());
        let mut places: HashMap<usize, usize> = HashMap::with_capacity(fields.len());
        let mut before = 0;
        for field in fields {
            let index = self.member_behind(before, data, field, columns, added);
            before = index + 1;
            match places.entry(self.members[index].name) {
                Entry::Occupied(place) => chosen[*place.get()] = (index, field),
                Entry::Vacant(place) => {
                    place.insert(chosen.len());
                    chosen.push((index, field));
                }
            }
        }
        chosen
    }

    /// The member of a field; `before` is one more than the index of the member before it.
    #[inline(always)]
    fn member_behind(
        &mut self,
        before: usize,
        data: &[u8],
        field: &JsonField,
        columns: &Columns,
        added: &Added,
    ) -> usize {
        let guess = self.next[before];
        let (start, end) = (field.key.start as usize, field.key.end as usize);
        if self.members.get(guess).is_some_and(|member| member.key.equals(data, start, end)) {
            return guess;
        }
        let index = self.member(field.key.of(data), columns, added);
        self.next[before] = index;
        index
    }

    fn member(&mut self, key: &[u8], columns: &Columns, added: &Added) -> usize {
        if let Some(&index) = self.by_key.get(key) {
            return index;
        }
        let index = self.members.len();
        let name = unescaped(key);
        let kind = if added.has(&name) { Some(ColumnType::Any) } else { listed_type(columns, &name) };
        let written = (kind.is_some() || self.writes_unlisted) && !added.has(&name);
        let names = self.by_name.len();
        let name = *self.by_name.entry(name).or_insert(names);
        self.met.resize(self.by_name.len(), 0);
        let prefix = Piece::new(&[b"\"".as_slice(), key, b"\":"].concat());
        self.members.push(Member { key: Piece::new(key), prefix, written, kind, name });
        self.next.push(index + 1);
        self.by_key.insert(key.into(), index);
        index
    }
}

/// Whether a field is a number of Avro that JSON has no text for. A number never begins with this letter otherwise.
#[inline(always)]
fn not_finite(field: &JsonField, data: &[u8]) -> bool {
    field.kind == JsonKind::Number && data[field.value.start as usize] == b'n'
}

#[inline(always)]
fn write(line: &mut Line, member: &Member, field: &JsonField, data: &[u8], schemaless: bool) {
    if !member.written || (field.kind == JsonKind::Null && !schemaless) {
        return;
    }
    line.member(&member.prefix, data, field.value.start as usize, field.value.end as usize);
}

/// The text of a row as it stands in the file; `None` where nobody knows where it begins.
#[cold]
fn source(rows: &JsonRows, row: usize) -> Option<Vec<u8>> {
    let text = rows.data.get(rows.starts.get(row)?.byte as usize..)?;
    // The row was read before; what stands behind it may be anything.
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&serde_json::value::RawValue>();
    values.next()?.ok().map(|row| row.get().as_bytes().to_vec())
}

/// The text of a row as it stands in the file; where nobody knows where it begins, the JSON object that it was, without
/// white space between its members.
#[cold]
pub(super) fn raw(rows: &JsonRows, row: usize) -> Vec<u8> {
    if let Some(source) = source(rows, row) {
        return source;
    }
    let (mut object, data) = (vec![b'{'], &rows.data);
    for field in rows.row(row) {
        object.push(b'"');
        object.extend_from_slice(field.key.of(data));
        object.extend_from_slice(b"\":");
        object.extend_from_slice(field.value.of(data));
        object.push(b',');
    }
    close(&mut object);
    object
}

/// A key without its escapes.
pub(super) fn unescaped(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    // A key was validated as a string.
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.into_owned())
}
