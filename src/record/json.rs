//! JSON rows → lines. Members go out with the text that came in.

use std::collections::HashMap;

use super::{Frame, added};
use crate::batch::{JsonField, JsonKind, JsonRows};
use crate::protocol::schema::Columns;

/// Encodes the JSON rows of one file.
///
/// Rows of a file mostly have the same members in the same order: the member at a place is compared with the one that
/// stood there before, and looked up only when it differs.
#[derive(Debug, Default)]
pub(super) struct JsonEncoder {
    members: Vec<Member>,
    by_key: HashMap<Box<[u8]>, usize>,
    /// For each place in a row, the member that stood there last.
    expected: Vec<usize>,
    /// Whether nulls are written too.
    keeps_nulls: bool,
    row: u64,
}

/// A key that was met.
#[derive(Debug)]
struct Member {
    /// As written in the file, without the quotes.
    key: Box<[u8]>,
    /// `"key":`, or nothing where the member is left out.
    prefix: Vec<u8>,
    /// Rows so far when it was last met: twice in one row is a duplicate.
    row: u64,
}

impl JsonEncoder {
    pub(super) fn new(keeps_nulls: bool) -> Self {
        Self { keeps_nulls, ..Self::default() }
    }

    pub(super) fn encode(&mut self, rows: &JsonRows, columns: &Columns, frame: &Frame<'_>, out: &mut Vec<u8>) -> u64 {
        for row in 0..rows.row_ends.len() {
            let start = out.len();
            out.extend_from_slice(frame.prefix);
            let fields = rows.row(row);
            if !self.encode_row(fields, &rows.data, columns, out) {
                out.truncate(start + frame.prefix.len());
                self.encode_duplicates(fields, &rows.data, columns, out);
            }
            frame.end(out);
        }
        rows.row_ends.len() as u64
    }

    /// Whether the row has each key once; otherwise what was written is to be dropped.
    #[inline]
    fn encode_row(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns, out: &mut Vec<u8>) -> bool {
        self.row += 1;
        for (place, field) in fields.iter().enumerate() {
            let index = self.member_at(place, field.key.of(data), columns);
            let member = &mut self.members[index];
            if member.row == self.row {
                return false;
            }
            member.row = self.row;
            write(member, field, data, self.keeps_nulls, out);
        }
        true
    }

    /// Of members with one key the last one is written, in the place of the first.
    fn encode_duplicates(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns, out: &mut Vec<u8>) {
        let mut order: Vec<usize> = Vec::new();
        let mut last: HashMap<usize, &JsonField> = HashMap::new();
        for field in fields {
            let index = self.member(field.key.of(data), columns);
            if last.insert(index, field).is_none() {
                order.push(index);
            }
        }
        for index in order {
            write(&self.members[index], last[&index], data, self.keeps_nulls, out);
        }
    }

    #[inline]
    fn member_at(&mut self, place: usize, key: &[u8], columns: &Columns) -> usize {
        if let Some(&index) = self.expected.get(place)
            && *self.members[index].key == *key
        {
            return index;
        }
        let index = self.member(key, columns);
        if place < self.expected.len() {
            self.expected[place] = index;
        } else if place == self.expected.len() {
            self.expected.push(index);
        }
        index
    }

    fn member(&mut self, key: &[u8], columns: &Columns) -> usize {
        if let Some(&index) = self.by_key.get(key) {
            return index;
        }
        let index = self.members.len();
        self.members.push(Member { key: key.into(), prefix: prefix(key, columns), row: 0 });
        self.by_key.insert(key.into(), index);
        index
    }
}

#[inline]
fn write(member: &Member, field: &JsonField, data: &[u8], keeps_nulls: bool, out: &mut Vec<u8>) {
    if member.prefix.is_empty() || (field.kind == JsonKind::Null && !keeps_nulls) {
        return;
    }
    out.extend_from_slice(&member.prefix);
    out.extend_from_slice(field.value.of(data));
    out.push(b',');
}

/// `"key":` where the member is written.
fn prefix(key: &[u8], columns: &Columns) -> Vec<u8> {
    let name = unescaped(key);
    let listed = match columns {
        Columns::All => true,
        Columns::Listed(columns) => columns.iter().any(|column| column.name == name),
    };
    if !listed || added(&name) {
        return Vec::new();
    }
    [b"\"".as_slice(), key, b"\":"].concat()
}

fn unescaped(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    // A key was validated as a string; only half a surrogate pair has no text, and then stands for itself.
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.into_owned())
}
