//! Column types from a sample of rows, or from a schema: pure functions, no I/O.
//!
//! Types widen along [`InferredType`]'s lattice, so that merging files never fails and does not depend on the order.

mod arrow_type;
mod csv;
mod nested;

use std::collections::HashMap;

use arrow::datatypes::Schema;

use self::arrow_type::type_of_arrow;
use self::csv::CsvColumn;
use tollgate_base::batch::{Batch, JsonKind, JsonRows, TextRows};
pub use tollgate_base::batch::{InferredColumn, InferredType, Nested};
use tollgate_base::options::{CsvInference, CsvOptions, FormatOptions, InferenceDepth};

fn type_of_json(kind: JsonKind) -> InferredType {
    match kind {
        JsonKind::Null => InferredType::Null,
        JsonKind::Boolean => InferredType::Boolean,
        JsonKind::Integer => InferredType::Integer,
        JsonKind::Number => InferredType::Number,
        JsonKind::String => InferredType::String,
        JsonKind::Array => InferredType::Array,
        JsonKind::Object => InferredType::Object,
    }
}

/// The columns of a schema. A Parquet file's types are known from its footer: no row is needed.
#[must_use]
pub fn columns_of_schema(schema: &Schema, decimal_as_float: bool, depth: InferenceDepth) -> Vec<InferredColumn> {
    let mut columns = Found::default();
    for field in schema.fields() {
        let (kind, nested) = match depth {
            InferenceDepth::Compatible => (type_of_arrow(field.data_type(), decimal_as_float), Nested::Unknown),
            InferenceDepth::Rich => nested::of_arrow(field.data_type(), decimal_as_float, 0),
        };
        columns.add(field.name(), kind, nested);
    }
    columns.columns
}

/// What the rows of one file tell of its columns. Files are merged afterwards, in the order of their keys: a column
/// has its place from the first file that has it, so that the same files always give the same catalog.
#[derive(Debug, Clone)]
pub struct Inference {
    csv: Option<CsvOptions>,
    decimal_as_float: bool,
    depth: InferenceDepth,
    found: Found,
    texts: Vec<CsvColumn>,
}

impl Inference {
    /// An inference that has seen nothing.
    #[must_use]
    pub fn new(options: &FormatOptions) -> Self {
        let (csv, decimal_as_float) = match options {
            FormatOptions::Csv(csv) if csv.inference == CsvInference::PrimitiveTypesOnly => (Some(csv.clone()), false),
            FormatOptions::Parquet(parquet) => (None, parquet.decimal_as_float),
            _ => (None, false),
        };
        let depth = InferenceDepth::Compatible;
        Self { csv, decimal_as_float, depth, found: Found::default(), texts: Vec::new() }
    }

    /// As [`Inference::new`], with as much as `depth` asks for.
    #[must_use]
    pub fn with_depth(options: &FormatOptions, depth: InferenceDepth) -> Self {
        let inference = Self::new(options);
        let csv = match options {
            FormatOptions::Csv(csv) if depth == InferenceDepth::Rich => Some(csv.clone()),
            _ => inference.csv,
        };
        Self { csv, depth, found: Found::new(depth), ..inference }
    }

    /// Takes in more rows of the file.
    pub fn add(&mut self, batch: &Batch) {
        match batch {
            Batch::Arrow(batch) => {
                for column in columns_of_schema(&batch.schema(), self.decimal_as_float, self.depth) {
                    self.found.add(&column.name, column.kind, column.nested);
                }
            }
            Batch::Text(rows) => self.add_text(rows),
            Batch::Json(rows) => self.add_json(rows),
        }
    }

    /// The columns so far, in the order of the file.
    #[must_use]
    pub fn columns(&self) -> Vec<InferredColumn> {
        let mut columns = self.found.columns.clone();
        for (column, text) in columns.iter_mut().zip(&self.texts) {
            column.kind = text.kind();
        }
        columns
    }

    fn add_text(&mut self, rows: &TextRows) {
        for name in rows.columns.iter() {
            self.found.add(name, InferredType::String, Nested::Unknown);
        }
        let Some(options) = &self.csv else { return };
        self.texts.resize_with(self.found.columns.len(), CsvColumn::default);
        // Where two columns have one name, the last one's values are emitted.
        let places: Vec<usize> = rows.columns.iter().map(|name| self.found.places[&**name]).collect();
        for row in 0..rows.rows {
            for (span, place) in rows.row(row).iter().zip(&places) {
                if let Ok(value) = std::str::from_utf8(span.of(&rows.data)) {
                    self.texts[*place].add(value, options);
                }
            }
        }
    }

    fn add_json(&mut self, rows: &JsonRows) {
        for field in &rows.fields {
            let key = field.key.of(&rows.data);
            let (kind, nested) = match (self.depth, field.kind) {
                (InferenceDepth::Rich, JsonKind::Array | JsonKind::Object) => {
                    nested::of_json(type_of_json(field.kind), field.value.of(&rows.data))
                }
                (_, kind) => (type_of_json(kind), Nested::Unknown),
            };
            match std::str::from_utf8(key) {
                Ok(plain) if !key.contains(&b'\\') => self.found.add(plain, kind, nested),
                _ => self.found.add(&unescaped(key), kind, nested),
            }
        }
    }
}

/// Merges the columns of files, which are given in the order of their keys.
#[must_use]
pub fn merge<'a>(files: impl IntoIterator<Item = &'a [InferredColumn]>, depth: InferenceDepth) -> Vec<InferredColumn> {
    let mut merged = Found::new(depth);
    for column in files.into_iter().flatten() {
        merged.add(&column.name, column.kind, column.nested.clone());
    }
    merged.columns
}

/// Columns in the order in which they were met.
#[derive(Debug, Clone, Default)]
struct Found {
    columns: Vec<InferredColumn>,
    places: HashMap<String, usize>,
    /// Whether a type must hold for each value as it is.
    exact: bool,
}

impl Found {
    fn new(depth: InferenceDepth) -> Self {
        Self { exact: depth == InferenceDepth::Rich, ..Self::default() }
    }

    fn add(&mut self, name: &str, kind: InferredType, nested: Nested) {
        if let Some(place) = self.places.get(name) {
            nested::widen(&mut self.columns[*place], kind, nested, self.exact);
            return;
        }
        self.places.insert(name.to_owned(), self.columns.len());
        self.columns.push(InferredColumn { name: name.to_owned(), kind, nested });
    }
}

/// A JSON key without its escapes. Keys were validated by their decoder; should one not be a string after all, it
/// names its column as it stands.
fn unescaped(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| text.into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, TimeUnit};

    use super::*;
    use tollgate_base::batch::{JsonField, Span};

    const ALL: [InferredType; 10] = [
        InferredType::Null,
        InferredType::Boolean,
        InferredType::Integer,
        InferredType::Number,
        InferredType::String,
        InferredType::Date,
        InferredType::Timestamp,
        InferredType::Time,
        InferredType::Array,
        InferredType::Object,
    ];

    #[test]
    fn merging_does_not_depend_on_order_and_never_narrows() {
        for a in ALL {
            assert_eq!(a.merge(a), a);
            assert_eq!(InferredType::Null.merge(a), a);
            assert_eq!(InferredType::String.merge(a), InferredType::String);
            for b in ALL {
                assert_eq!(a.merge(b), b.merge(a), "{a:?} {b:?}");
                assert_eq!(a.merge(b).merge(b), a.merge(b), "{a:?} {b:?}");
                for c in ALL {
                    assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }

    #[test]
    fn types_widen_as_documented() {
        use InferredType::*;
        for (one, two, both) in [
            (Boolean, Integer, Integer),
            (Integer, Number, Number),
            (Number, String, String),
            (Null, Array, Array),
            (Null, Date, Date),
            (Integer, Array, String),
            (Object, Array, String),
            (Boolean, Object, String),
            (Date, Timestamp, String),
        ] {
            assert_eq!(one.merge(two), both, "{one:?} {two:?}");
        }
    }

    fn text(columns: &[&str], rows: &[&[&str]]) -> Batch {
        let mut batch = TextRows {
            columns: columns.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>().into(),
            rows: rows.len(),
            ..TextRows::default()
        };
        for value in rows.iter().copied().flatten() {
            let start = batch.data.len() as u32;
            batch.data.extend_from_slice(value.as_bytes());
            batch.fields.push(Span { start, end: batch.data.len() as u32 });
        }
        Batch::Text(batch)
    }

    fn json(rows: &[&[(&str, JsonKind)]]) -> Batch {
        let mut batch = JsonRows::default();
        for row in rows {
            for (key, kind) in *row {
                let start = batch.data.len() as u32;
                batch.data.extend_from_slice(key.as_bytes());
                let key = Span { start, end: batch.data.len() as u32 };
                batch.fields.push(JsonField { key, value: Span::default(), kind: *kind });
            }
            batch.row_ends.push(batch.fields.len() as u32);
        }
        Batch::Json(batch)
    }

    fn shown(columns: &[InferredColumn]) -> Vec<(&str, InferredType)> {
        columns.iter().map(|column| (column.name.as_str(), column.kind)).collect()
    }

    #[test]
    fn csv_columns_are_strings_unless_inference_is_asked_for() {
        let mut inference = Inference::new(&FormatOptions::Csv(CsvOptions::default()));
        inference.add(&text(&["a", "b"], &[&["1", "true"]]));
        assert_eq!(shown(&inference.columns()), [("a", InferredType::String), ("b", InferredType::String)]);
    }

    #[test]
    fn csv_inference_takes_the_first_type_that_fits_all_values() {
        let options = CsvOptions {
            inference: CsvInference::PrimitiveTypesOnly,
            null_values: vec!["".to_owned(), "NULL".to_owned()],
            ..CsvOptions::default()
        };
        let mut inference = Inference::new(&FormatOptions::Csv(options));
        let columns = ["bool", "bit", "int", "num", "str", "none", "mixed"];
        inference.add(&text(&columns, &[&["true", "0", "1", "1", "x", "", "true"]]));
        inference.add(&text(&columns, &[&["n", "1", "", "2.5", "1", "NULL", "2"]]));
        inference.add(&text(&columns, &[&["", "NULL", "+1_0", "nan", "1", "", "2"]]));
        use InferredType::*;
        let kinds: Vec<_> = inference.columns().iter().map(|column| column.kind).collect();
        assert_eq!(kinds, [Boolean, Boolean, Integer, Number, String, String, String]);
    }

    #[test]
    fn a_file_with_a_header_alone_has_columns() {
        let options = CsvOptions { inference: CsvInference::PrimitiveTypesOnly, ..CsvOptions::default() };
        let mut inference = Inference::new(&FormatOptions::Csv(options));
        inference.add(&text(&["a"], &[]));
        assert_eq!(shown(&inference.columns()), [("a", InferredType::String)]);
    }

    #[test]
    fn json_columns_come_in_the_order_met_with_all_their_types() {
        let mut inference = Inference::new(&FormatOptions::Jsonl);
        inference.add(&json(&[
            &[("b", JsonKind::Null), ("a", JsonKind::Integer)],
            &[("a", JsonKind::Number), ("c\\n", JsonKind::Object), ("b", JsonKind::Array)],
        ]));
        inference.add(&json(&[&[("a", JsonKind::Null), ("d", JsonKind::Null)]]));
        use InferredType::*;
        assert_eq!(shown(&inference.columns()), [("b", Array), ("a", Number), ("c\n", Object), ("d", Null)]);
    }

    #[test]
    fn files_are_merged_in_their_order() {
        use InferredType::*;
        let column = |name: &str, kind| InferredColumn::new(name, kind);
        let first = [column("a", Boolean), column("b", Null)];
        let second = [column("c", Date), column("b", Array), column("a", Integer)];
        let merged = merge([first.as_slice(), second.as_slice()], InferenceDepth::Compatible);
        assert_eq!(shown(&merged), [("a", Integer), ("b", Array), ("c", Date)]);
    }

    #[test]
    fn parquet_types_come_from_the_schema() {
        use InferredType::*;
        let item = Arc::new(Field::new("item", DataType::Int32, true));
        let table = [
            (DataType::UInt64, Integer),
            (DataType::Float16, Number),
            (DataType::Utf8View, String),
            (DataType::FixedSizeBinary(4), String),
            (DataType::Decimal128(10, 2), String),
            (DataType::Date64, Date),
            (DataType::Time32(TimeUnit::Second), String),
            (DataType::Timestamp(TimeUnit::Nanosecond, None), Timestamp),
            (DataType::Duration(TimeUnit::Second), Integer),
            (DataType::LargeList(Arc::clone(&item)), Array),
            (DataType::Struct(vec![item].into()), Object),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), Object),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64)), Integer),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Date32)), Date),
            (DataType::Null, Null),
        ];
        for (kind, expected) in table {
            let schema = Schema::new(vec![Field::new("x", kind.clone(), true)]);
            assert_eq!(
                shown(&columns_of_schema(&schema, false, InferenceDepth::Compatible)),
                [("x", expected)],
                "{kind}"
            );
        }
        assert_eq!(type_of_arrow(&DataType::Decimal256(40, 2), true), Number);
    }
}
