use std::sync::Arc;

use ::arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use ::arrow::datatypes::Int32Type;
use serde_json::{Value as Json, json};

use super::*;
use tollgate_base::batch::{JsonField, JsonKind, JsonRows, Span, TextRows};
use tollgate_base::options::CsvOptions;
use tollgate_base::predicate::{Marks, Predicate, Value};
use tollgate_base::schema::{Column, ColumnType, Columns};

fn row_filter(filter: Option<Json>, cursor: Option<CursorColumn>, catalog: &Columns) -> FileRowFilter {
    let filter = filter.map(|json| Predicate::parse(&json, "f").unwrap().unwrap());
    RowFilter::new(filter, cursor, catalog, &Columns::All, &CsvOptions::default()).unwrap().file()
}

fn listed(columns: &[(&str, ColumnType)]) -> Columns {
    Columns::Listed(columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect())
}

/// Rows of fields; `~` is one that its row does not have.
fn text_rows(columns: &[&str], rows: &[&[&str]]) -> TextRows {
    let mut batch = TextRows { columns: columns.iter().map(|name| Box::from(*name)).collect(), ..TextRows::default() };
    batch.data.push(b' ');
    for field in rows.iter().copied().flatten() {
        let start = batch.data.len() as u32;
        batch.data.extend_from_slice(field.as_bytes());
        let end = batch.data.len() as u32;
        batch.fields.push(if *field == "~" { Span::ABSENT } else { Span { start, end } });
    }
    batch.rows = rows.len();
    batch
}

fn texts(rows: &TextRows, column: usize) -> Vec<String> {
    (0..rows.rows).map(|row| String::from_utf8_lossy(rows.row(row)[column].of(&rows.data)).into_owned()).collect()
}

fn json_rows(rows: &[Json]) -> JsonRows {
    let mut batch = JsonRows::default();
    for row in rows {
        for (key, value) in row.as_object().unwrap() {
            let mut span = |text: &str| {
                let start = batch.data.len() as u32;
                batch.data.extend_from_slice(text.as_bytes());
                Span { start, end: batch.data.len() as u32 }
            };
            let quoted = json!(key).to_string();
            let (key, value_span) = (span(&quoted[1..quoted.len() - 1]), span(&value.to_string()));
            let kind = match value {
                Json::Null => JsonKind::Null,
                Json::Bool(_) => JsonKind::Boolean,
                Json::Number(number) if number.is_f64() => JsonKind::Number,
                Json::Number(_) => JsonKind::Integer,
                Json::String(_) => JsonKind::String,
                Json::Array(_) => JsonKind::Array,
                Json::Object(_) => JsonKind::Object,
            };
            batch.fields.push(JsonField { key, value: value_span, kind });
        }
        batch.row_ends.push(batch.fields.len() as u32);
    }
    batch
}

#[test]
fn texts_are_compared_as_the_catalogs_types() {
    let rows = || {
        text_rows(
            &["id", "day", "flag", "name"],
            &[
                &["9", "2024-01-15", "yes", "9"],
                &["10", "2024-01-16T00:00:00Z", "no", "10"],
                &["1_1", "x", "maybe", "b"],
                &["~", "~", "~", "~"],
                &["abc", "2023-12-31", "1", ""],
            ],
        )
    };
    let catalog = listed(&[
        ("id", ColumnType::Integer),
        ("day", ColumnType::Date),
        ("flag", ColumnType::Boolean),
        ("name", ColumnType::String),
    ]);
    for (filter, expected) in [
        (json!([["id", ">", 9]]), vec!["10", "1_1"]),
        (json!([["id", ">", "9"]]), vec!["10", "1_1"]),
        (json!([["name", ">", "10"]]), vec!["9", "1_1"]),
        (json!([["name", "<", 10]]), vec!["9"]),
        (json!([["day", ">=", "2024-01-15"]]), vec!["9", "10"]),
        (json!([["flag", "=", true]]), vec!["9", "abc"]),
        (json!([["id", "is null"]]), vec![""]),
        (json!([["elsewhere", "is null"], ["name", "is not null"]]), vec!["9", "10", "1_1", "abc"]),
        (json!([[["id", "=", 9]], [["name", "=", "b"]]]), vec!["9", "1_1"]),
    ] {
        let mut row_filter = row_filter(Some(filter.clone()), None, &catalog);
        let Batch::Text(kept) = row_filter.apply(Batch::Text(rows())).unwrap() else { panic!("texts") };
        assert_eq!(texts(&kept, 0), expected, "{filter}");
        assert_eq!(row_filter.left_out().filtered, 5 - expected.len() as u64, "{filter}");
    }
    let mut row_filter = row_filter(Some(json!([["id", ">", 9], ["elsewhere", "is null"]])), None, &catalog);
    row_filter.apply(Batch::Text(rows())).unwrap();
    let notes: Vec<String> = row_filter.left_out().notes().into_iter().map(|(_, note)| note).collect();
    assert!(notes[1].contains("1 rows") && notes[1].contains("'abc' in column 'id'"), "{notes:?}");
    assert!(notes[2].contains("'elsewhere'"), "{notes:?}");
}

#[test]
fn members_are_compared_as_their_own_types() {
    let rows = || {
        json_rows(&[
            json!({"id": 9, "at": "2024-01-15T12:00:00+02:00", "k\"": "a\\b"}),
            json!({"id": 10.5, "at": "2024-01-15T11:00:00Z"}),
            json!({"id": "11", "at": null}),
            json!({"id": null}),
            json!({"id": [1]}),
            json!({}),
        ])
    };
    let catalog = listed(&[("at", ColumnType::Timestamp)]);
    for (filter, expected) in [
        (json!([["id", ">=", 10]]), 2),
        (json!([["at", ">", "2024-01-15T10:30:00Z"]]), 1),
        (json!([["id", "is null"]]), 2),
        (json!([["k\"", "=", "a\\b"]]), 1),
        (json!([["id", "!=", 9]]), 2),
    ] {
        let mut row_filter = row_filter(Some(filter.clone()), None, &catalog);
        let Batch::Json(kept) = row_filter.apply(Batch::Json(rows())).unwrap() else { panic!("JSON") };
        assert_eq!(kept.row_ends.len(), expected, "{filter}");
        assert_eq!(kept.row_ends.last().copied().unwrap_or(0) as usize, kept.fields.len(), "{filter}");
    }
}

fn table() -> RecordBatch {
    let names: DictionaryArray<Int32Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(i64::MAX)])) as ArrayRef),
        ("unsigned", Arc::new(UInt64Array::from(vec![1, 2, 3, u64::MAX]))),
        ("name", Arc::new(names)),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 19_737]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![-1, 0, 1, 2]).with_timezone("+02:00"))),
        ("price", Arc::new(Decimal128Array::from(vec![150, 151, -150, 0]).with_precision_and_scale(10, 2).unwrap())),
        ("share", Arc::new(Float64Array::from(vec![0.1, f64::NAN, -0.0, 1e300]))),
        ("text", Arc::new(StringArray::from(vec!["a", "ab", "b", "é"]))),
    ])
    .unwrap()
}

#[test]
fn columns_are_compared_by_their_types() {
    for (filter, expected) in [
        (json!([["id", ">", 1]]), vec![2, 4]),
        (json!([["id", "=", i64::MAX]]), vec![4]),
        (json!([["unsigned", ">=", u64::MAX]]), vec![4]),
        (json!([["name", "=", "a"]]), vec![1, 4]),
        (json!([["name", "is null"]]), vec![2]),
        (json!([["day", "<", "1970-01-03"]]), vec![1, 2]),
        (json!([["at", ">", "1970-01-01"]]), vec![3, 4]),
        (json!([["price", "=", "1.5"]]), vec![1]),
        (json!([["price", "<", 0]]), vec![3]),
        (json!([["share", "=", 0]]), vec![3]),
        (json!([["share", "!=", 0]]), vec![1, 2, 4]),
        (json!([["text", ">", "ab"]]), vec![3, 4]),
        (json!([["elsewhere", "=", 1]]), vec![]),
    ] {
        let mut row_filter = row_filter(Some(filter.clone()), None, &Columns::All);
        let Batch::Arrow(kept) = row_filter.apply(Batch::Arrow(table())).unwrap() else { panic!("columns") };
        let rows = |batch: &RecordBatch| {
            batch.column_by_name("unsigned").unwrap().as_any().downcast_ref::<UInt64Array>().unwrap().values().to_vec()
        };
        let rows: Vec<u64> = rows(&kept).into_iter().map(|row| if row == u64::MAX { 4 } else { row }).collect();
        assert_eq!(rows, expected, "{filter}");
    }
    let mut wrong = row_filter(Some(json!([["day", "=", 5]])), None, &Columns::All);
    let error = wrong.apply(Batch::Arrow(table())).unwrap_err();
    assert!(error.message().contains("'day'") && error.message().contains("number 5"), "{error}");
}

#[test]
fn columns_that_only_the_filter_needs_are_dropped_again() {
    let filter = Predicate::parse(&json!([["id", "=", 1]]), "f").unwrap();
    let written = listed(&[("text", ColumnType::Any), ("share", ColumnType::Any)]);
    let mut row_filter = RowFilter::new(filter, None, &Columns::All, &written, &CsvOptions::default()).unwrap().file();
    let Batch::Arrow(kept) = row_filter.apply(Batch::Arrow(table())).unwrap() else { panic!("columns") };
    assert_eq!(kept.schema().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["share", "text"]);
    assert_eq!(kept.num_rows(), 1);
}

#[test]
fn rows_below_the_bound_are_left_out_and_the_greatest_value_is_kept() {
    let mut bound = Marks::default();
    bound.see(&Value::Integer(10));
    let cursor = |bound: &Marks| Some(CursorColumn { name: "id".to_owned(), bound: bound.clone() });
    let mut texts_filter = row_filter(None, cursor(&bound), &Columns::All);
    let rows = text_rows(&["id"], &[&["9"], &["10"], &["100"], &["~"], &["abc"], &["99"]]);
    let Batch::Text(kept) = texts_filter.apply(Batch::Text(rows)).unwrap() else { panic!("texts") };
    assert_eq!(texts(&kept, 0), ["10", "100", "", "abc", "99"]);
    assert_eq!(texts_filter.left_out().below, 1);
    let marks = serde_json::to_value(texts_filter.take_marks()).unwrap();
    assert_eq!(marks, json!({"number": "100", "text": "abc"}));
    let mut table_filter = row_filter(Some(json!([["unsigned", "<", 100]])), cursor(&bound), &Columns::All);
    let Batch::Arrow(kept) = table_filter.apply(Batch::Arrow(table())).unwrap() else { panic!("columns") };
    assert_eq!(kept.num_rows(), 1, "a null is never below");
    assert_eq!((table_filter.left_out().filtered, table_filter.left_out().below), (1, 2));
    assert!(table_filter.take_marks().none(), "rows that are left out do not count");
}
