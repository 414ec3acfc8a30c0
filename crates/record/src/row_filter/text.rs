//! Rows of text fields.

use std::borrow::Cow;

use super::rows::{FileRowFilter, Shared, kind_of};
use tollgate_base::batch::{Span, TextRows};
use tollgate_base::options::CsvOptions;
use tollgate_base::predicate::{Kind, Value, instant, time_of_day};
use tollgate_base::python_number;
use tollgate_base::schema::ColumnType;

/// A column that is asked for.
struct Asked {
    /// Its index in the file; of several of one name the last, which is the one that is written.
    field: Option<usize>,
    kind: Kind,
    nullable: bool,
}

pub(super) fn apply(row_filter: &mut FileRowFilter, mut rows: TextRows) -> TextRows {
    let shared = std::sync::Arc::clone(&row_filter.shared);
    let asked = asked(&shared, &rows);
    for (index, _) in asked.iter().enumerate().filter(|(_, asked)| asked.field.is_some()) {
        row_filter.meet(index);
    }
    let mut values = Vec::with_capacity(asked.len());
    let mut keeps = Vec::with_capacity(rows.rows);
    for row in 0..rows.rows {
        values.clear();
        values.extend(asked.iter().map(|asked| field_of(asked, &rows, row, &shared.csv)));
        keeps.push(row_filter.keeps(&shared, |index| values[index].value(asked[index].kind)));
    }
    drop(values);
    retain(&mut rows, &keeps);
    rows
}

/// Moves the fields of the kept rows together.
fn retain(rows: &mut TextRows, keeps: &[bool]) {
    let width = rows.columns.len();
    let mut kept = 0;
    for row in (0..rows.rows).filter(|row| keeps[*row]) {
        if kept < row {
            rows.fields.copy_within(row * width..(row + 1) * width, kept * width);
            if let Some(start) = rows.starts.get(row).copied() {
                rows.starts[kept] = start;
            }
        }
        kept += 1;
    }
    rows.fields.truncate(kept * width);
    rows.starts.truncate(kept);
    rows.rows = kept;
}

fn asked(shared: &Shared, rows: &TextRows) -> Vec<Asked> {
    let column = |(name, kind): (&str, &ColumnType)| {
        // As texts become records: without a type no column is a string, and all can be null.
        let string =
            kind_of(*kind) == Kind::Text && !matches!(kind, ColumnType::Any | ColumnType::AnyScalar | ColumnType::Null);
        Asked {
            field: rows.columns.iter().rposition(|column| **column == *name),
            kind: kind_of(*kind),
            nullable: !string || shared.csv.strings_can_be_null,
        }
    };
    shared.names.iter().map(|name| &**name).zip(&shared.kinds).map(column).collect()
}

/// A field on its way to a value: what lives as long as the comparison.
enum Field<'a> {
    Null,
    Boolean(bool),
    Text(Cow<'a, [u8]>),
}

fn field_of<'a>(asked: &Asked, rows: &'a TextRows, row: usize, csv: &CsvOptions) -> Field<'a> {
    let Some(index) = asked.field else { return Field::Null };
    let span: Span = rows.row(row)[index];
    if span.absent() {
        return Field::Null;
    }
    let bytes = span.of(&rows.data);
    let word = |words: &[String]| words.iter().any(|word| word.as_bytes() == bytes);
    match asked.kind {
        Kind::Boolean if word(&csv.true_values) => return Field::Boolean(true),
        Kind::Boolean if word(&csv.false_values) => return Field::Boolean(false),
        _ => {}
    }
    if asked.nullable && word(&csv.null_values) {
        return Field::Null;
    }
    let plain = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'.'));
    match (asked.kind, plain, std::str::from_utf8(bytes)) {
        // What Python takes for a number is emitted as one.
        (Kind::Number, false, Ok(text)) if python_number::number(text) => {
            Field::Text(Cow::Owned(python_number::plain(text).into_bytes()))
        }
        _ => Field::Text(Cow::Borrowed(bytes)),
    }
}

impl Field<'_> {
    fn value(&self, kind: Kind) -> Value<'_> {
        let bytes = match self {
            Self::Null => return Value::Null,
            Self::Boolean(value) => return Value::Boolean(*value),
            Self::Text(bytes) => bytes,
        };
        let text = || std::str::from_utf8(bytes).unwrap_or_default();
        match kind {
            Kind::Text => Value::Text(bytes),
            Kind::Number => Value::Digits(bytes),
            Kind::Instant => instant(text()).map_or(Value::Other, Value::Instant),
            Kind::Time => time_of_day(text()).map_or(Value::Other, Value::Time),
            Kind::Boolean | Kind::Other => Value::Other,
        }
    }
}
