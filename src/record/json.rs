//! JSON rows → lines. Members go out with the text that came in.

use std::collections::HashMap;

use super::conform::{Validation, json_conforms, listed_type, stopped};
use super::line::{Line, Piece};
use super::{Frame, added};
use crate::batch::{JsonField, JsonKind, JsonRows};
use crate::error::Result;
use crate::protocol::schema::{ColumnType, Columns};

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
    /// Whether nulls are written too.
    keeps_nulls: bool,
    row: u64,
    line: Line,
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
    pub(super) fn new(prefix: &[u8], keeps_nulls: bool) -> Self {
        Self {
            members: Vec::new(),
            by_key: HashMap::new(),
            by_name: HashMap::new(),
            next: vec![0],
            met: Vec::new(),
            keeps_nulls,
            row: 0,
            line: Line::new(prefix),
        }
    }

    pub(super) fn encode(
        &mut self,
        rows: &JsonRows,
        columns: &Columns,
        validation: Validation,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
    ) -> Result<u64> {
        let mut written = 0;
        for row in 0..rows.row_ends.len() {
            let fields = rows.row(row);
            if self.members.len() > KEYS {
                self.forget();
            }
            if validation.looks() && !self.conforms(fields, &rows.data, columns) {
                if validation == Validation::Stop {
                    return Err(stopped(row as u64 + 1));
                }
                continue;
            }
            if !self.encode_row(fields, &rows.data, columns) {
                self.encode_duplicates(fields, &rows.data, columns);
            }
            if frame.closes {
                self.line.trim(b',');
            }
            out.extend_from_slice(self.line.text());
            out.extend_from_slice(frame.suffix);
            written += 1;
        }
        Ok(written)
    }

    fn forget(&mut self) {
        self.members.clear();
        self.by_key.clear();
        self.by_name.clear();
        self.met.clear();
        self.next.truncate(1);
    }

    fn conforms(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns) -> bool {
        let mut before = 0;
        fields.iter().all(|field| {
            let index = self.member_behind(before, data, field, columns);
            before = index + 1;
            self.members[index].kind.is_some_and(|kind| json_conforms(field.kind, kind))
        })
    }

    /// Whether the row has each name once; otherwise the line is to be written anew.
    #[inline]
    fn encode_row(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns) -> bool {
        self.row += 1;
        self.line.restart();
        let mut before = 0;
        for field in fields {
            let index = self.member_behind(before, data, field, columns);
            before = index + 1;
            let member = &self.members[index];
            let met = &mut self.met[member.name];
            if *met == self.row {
                return false;
            }
            *met = self.row;
            write(&mut self.line, member, field, data, self.keeps_nulls);
        }
        true
    }

    /// Of members with one name the last one is written, in the place of the first.
    #[cold]
    fn encode_duplicates(&mut self, fields: &[JsonField], data: &[u8], columns: &Columns) {
        self.line.restart();
        let mut order: Vec<usize> = Vec::new();
        let mut last: HashMap<usize, (usize, &JsonField)> = HashMap::new();
        for field in fields {
            let index = self.member(field.key.of(data), columns);
            let name = self.members[index].name;
            if last.insert(name, (index, field)).is_none() {
                order.push(name);
            }
        }
        for name in order {
            let (index, field) = last[&name];
            write(&mut self.line, &self.members[index], field, data, self.keeps_nulls);
        }
    }

    /// The member of a field; `before` is one more than the index of the member before it.
    #[inline(always)]
    fn member_behind(&mut self, before: usize, data: &[u8], field: &JsonField, columns: &Columns) -> usize {
        let guess = self.next[before];
        let (start, end) = (field.key.start as usize, field.key.end as usize);
        if self.members.get(guess).is_some_and(|member| member.key.equals(data, start, end)) {
            return guess;
        }
        let index = self.member(field.key.of(data), columns);
        self.next[before] = index;
        index
    }

    fn member(&mut self, key: &[u8], columns: &Columns) -> usize {
        if let Some(&index) = self.by_key.get(key) {
            return index;
        }
        let index = self.members.len();
        let name = unescaped(key);
        let kind = if added(&name) { Some(ColumnType::Any) } else { listed_type(columns, &name) };
        let written = kind.is_some() && !added(&name);
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

#[inline(always)]
fn write(line: &mut Line, member: &Member, field: &JsonField, data: &[u8], keeps_nulls: bool) {
    if !member.written || (field.kind == JsonKind::Null && !keeps_nulls) {
        return;
    }
    line.member(&member.prefix, data, field.value.start as usize, field.value.end as usize);
}

fn unescaped(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    // A key was validated as a string.
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.into_owned())
}
