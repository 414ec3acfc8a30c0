//! JSON rows → columns: JSON, JSONL, Avro and Excel.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;

use super::cell::{Cell, CellKind, Texts};
use super::column::{Context, column};
use super::misfit::Misfit;
use crate::json::unescaped;
use tollgate_base::batch::{JsonKind, JsonRows};
use tollgate_base::error::Result;
use tollgate_base::options::CsvOptions;

/// The place of a value that its row does not have.
const ABSENT: u32 = u32::MAX;

pub(super) fn columns(
    rows: &JsonRows,
    schema: &SchemaRef,
    misfits: &mut Vec<Misfit>,
    not_finite: &mut u64,
) -> Result<Vec<ArrayRef>> {
    let count = rows.row_ends.len();
    let places = places(rows, schema);
    let texts = Texts::new(&rows.data);
    let csv = CsvOptions::default();
    let mut cells = Vec::with_capacity(count);
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        cells.clear();
        for (row, place) in (0..).zip(&places[index * count..(index + 1) * count]) {
            let Some(value) = rows.fields.get(*place as usize) else {
                cells.push(Cell::null(row));
                continue;
            };
            let text = texts.get(value.value)?;
            // A number of Avro that JSON has no text for.
            if value.kind == JsonKind::Number && text.starts_with('n') {
                *not_finite += 1;
                cells.push(Cell::null(row));
                continue;
            }
            cells.push(Cell { text, row, kind: CellKind::from(value.kind) });
        }
        arrays.push(column(&cells, field, &mut Context { column: index as u32, csv: &csv, misfits })?);
    }
    Ok(arrays)
}

/// For each field of the schema, and in it for each row, the index of its value in the batch. Of members with one name the
/// last one counts.
fn places(rows: &JsonRows, schema: &SchemaRef) -> Vec<u32> {
    let count = rows.row_ends.len();
    let mut places = vec![ABSENT; schema.fields().len() * count];
    let mut keys = Keys::new(schema);
    let mut start = 0;
    for (row, end) in rows.row_ends.iter().enumerate() {
        let mut before = 0;
        for index in start..*end {
            let key = rows.fields[index as usize].key;
            let known = keys.after(before, key.of(&rows.data));
            before = known + 1;
            // A row that is an array has no key.
            if let Some(column) = keys.known[known].1.filter(|_| !key.absent()) {
                places[column * count + row] = index;
            }
        }
        start = *end;
    }
    places
}

/// The keys of a batch. Rows mostly have the same members in the same order: after each key the one is expected that was
/// there before, and a key is looked up only when it is another.
struct Keys<'a> {
    columns: HashMap<&'a str, usize>,
    /// Keys as written, and the schema's field that each names.
    known: Vec<(&'a [u8], Option<usize>)>,
    by_key: HashMap<&'a [u8], usize>,
    /// For each known key, and first for the start of a row, the key that came next when it was last met.
    next: Vec<usize>,
}

impl<'a> Keys<'a> {
    fn new(schema: &'a SchemaRef) -> Self {
        let columns = schema.fields().iter().zip(0..).map(|(field, index)| (&**field.name(), index)).collect();
        Self { columns, known: Vec::new(), by_key: HashMap::new(), next: vec![0] }
    }

    /// The index of a key; `before` is one more than that of the key before it.
    #[inline]
    fn after(&mut self, before: usize, key: &'a [u8]) -> usize {
        let guess = self.next[before];
        if self.known.get(guess).is_some_and(|(known, _)| *known == key) {
            return guess;
        }
        let index = match self.by_key.get(key) {
            Some(index) => *index,
            None => self.add(key),
        };
        self.next[before] = index;
        index
    }

    fn add(&mut self, key: &'a [u8]) -> usize {
        let index = self.known.len();
        self.known.push((key, self.columns.get(&*unescaped(key)).copied()));
        self.next.push(index + 1);
        self.by_key.insert(key, index);
        index
    }
}
