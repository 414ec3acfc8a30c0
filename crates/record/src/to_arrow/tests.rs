//! From the bytes of a file to columns, and the same values as records have.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, DictionaryArray, FixedSizeListArray, Float64Array,
    Int32Array, Int64Array, LargeListArray, ListArray, RecordBatch, StringArray, StructArray, TimestampNanosecondArray,
    make_array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use serde_json::Value;

use super::{ArrowOptions, Converted, arrow_schema, to_arrow};
use crate::{EncodeOptions, StreamEncoder, Validation};
use tollgate_base::batch::{Batch, InferredColumn, InferredType, JsonRows, Nested, TextRows};
use tollgate_base::error::ErrorKind;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::{BinaryEncoding, CsvOptions, FormatOptions, OnBadRow};
use tollgate_base::schema::{Column, ColumnType, Columns};
use tollgate_format::{InputEnd, OpenOptions, Step};

fn object() -> ObjectFacts {
    ObjectFacts {
        key: "a".into(),
        size: 0,
        modified_at: Timestamp::from_seconds(0, 0),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

/// The one batch of a file.
fn decoded(format: &FormatOptions, text: &str) -> Batch {
    let mut decoder = OpenOptions::new(format).open(&object()).unwrap();
    decoder.feed(0, Bytes::copy_from_slice(text.as_bytes())).unwrap();
    decoder.end_input(InputEnd::Complete);
    loop {
        match decoder.step().unwrap() {
            Step::Batch(decoded) => return decoded.batch,
            Step::NeedRoom => {}
            Step::Done | Step::NeedBytes | Step::NeedRanges(_) | Step::Planned(_) => panic!("no rows in {text:?}"),
        }
    }
}

fn csv(options: CsvOptions) -> FormatOptions {
    FormatOptions::Csv(options)
}

fn schema<const N: usize>(fields: [(&str, DataType); N]) -> SchemaRef {
    Arc::new(Schema::new(fields.map(|(name, kind)| Field::new(name, kind, true)).to_vec()))
}

fn converted(format: &FormatOptions, text: &str, schema: &SchemaRef, on_bad_row: OnBadRow) -> Converted {
    let options = ArrowOptions::new(format).with_on_bad_row(on_bad_row);
    to_arrow(&decoded(format, text), schema, &options).unwrap()
}

/// The values of a column as Arrow shows them; a null is `-`.
fn shown(array: &ArrayRef) -> Vec<String> {
    let array = &match array.data_type() {
        // Arrow shows no times of zones with a name.
        DataType::Timestamp(unit, Some(zone)) if &**zone == "UTC" => {
            let kind = DataType::Timestamp(*unit, Some("+00:00".into()));
            make_array(array.to_data().into_builder().data_type(kind).build().unwrap())
        }
        _ => Arc::clone(array),
    };
    let nulls = array.logical_nulls();
    let show = |row| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
        true => "-".to_owned(),
        false => array_value_to_string(array, row).unwrap(),
    };
    (0..array.len()).map(show).collect()
}

/// The column that a file's column `x` becomes, and the rows that are refused.
fn column(format: &FormatOptions, text: &str, kind: DataType) -> (Vec<String>, Vec<usize>) {
    let converted = converted(format, text, &schema([("x", kind.clone())]), OnBadRow::Collect);
    assert_eq!(converted.batch.column(0).data_type(), &kind);
    (shown(converted.batch.column(0)), converted.refused.iter().map(|refused| refused.row).collect())
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn list(item: DataType) -> DataType {
    DataType::new_list(item, true)
}

fn micros(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone.map(Arc::from))
}

fn map() -> DataType {
    let columns = [InferredColumn {
        name: "m".to_owned(),
        kind: InferredType::Object,
        nested: Nested::Values(Box::new(InferredColumn::new("", InferredType::Integer))),
    }];
    arrow_schema(&columns).field(0).data_type().clone()
}

#[test]
fn texts_become_values_of_each_type_or_their_rows_are_refused() {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let pair = DataType::Struct(vec![Field::new("a", DataType::Int8, true)].into());
    for (kind, rows, values, refused) in [
        (DataType::Utf8, "a\n\" b\"\n\"\"\n", ["a", " b", ""].as_slice(), [].as_slice()),
        (DataType::LargeUtf8, "a\n\"x\ny\"\n", &["a", "x\ny"], &[]),
        (DataType::Utf8View, "a\na text longer than a view\n", &["a", "a text longer than a view"], &[]),
        (dictionary, "a\nb\na\n", &["a", "b", "a"], &[]),
        (DataType::Int8, "127\n128\n-1\n1.0\n", &["127", "-1"], &[1, 3]),
        (DataType::Int64, "+1_0\n9223372036854775808\n\" 7\"\n", &["10", "7"], &[1]),
        (DataType::UInt16, "65535\n-1\n", &["65535"], &[1]),
        (DataType::Float32, "0.5\n1e39\n", &["0.5"], &[1]),
        (DataType::Float64, "1e3\nNaN\n1e400\n-inf\nx\n", &["1000.0", "NaN", "-inf"], &[2, 4]),
        (DataType::Boolean, "yes\n0\nTrue\n", &["true", "false"], &[2]),
        (DataType::Decimal128(9, 2), "1.5\n-0.25\n0.001\n1e400\n", &["1.50", "-0.25"], &[2, 3]),
        (DataType::Date32, "2024-02-29\n2023-02-29\n", &["2024-02-29"], &[1]),
        (DataType::Date64, "2024-02-29\n", &["2024-02-29T00:00:00"], &[]),
        (DataType::Time64(TimeUnit::Microsecond), "01:02:03.000004\n25:00\n", &["01:02:03.000004"], &[1]),
        (
            micros(None),
            "2024-01-02 03:04:05.000006\n2024-01-02T03:04:05.0000001\n",
            &["2024-01-02T03:04:05.000006"],
            &[1],
        ),
        (micros(Some("UTC")), "2024-01-02T03:04:05+01:00\n2024\n", &["2024-01-02T02:04:05Z"], &[1]),
        (list(DataType::Int64), "\"[1, null]\"\n[\n{}\nnull\n[]\n", &["[1, ]", "[]"], &[1, 2, 3]),
        (pair, "\"{\"\"a\"\":1}\"\nnull\n[1]\n\"{\"\"a\"\":1000}\"\n", &["{a: 1}", "-"], &[2, 3]),
        (map(), "\"{\"\"k\"\":1}\"\n", &["{k: 1}"], &[]),
        (DataType::Null, "\"\"\nx\n", &["-"], &[1]),
    ] {
        let (found, left_out) = column(&csv(CsvOptions::default()), &format!("x\n{rows}"), kind.clone());
        assert_eq!((strs(&found), &*left_out), (values.to_vec(), refused), "{kind} of {rows:?}");
    }
}

#[test]
fn null_values_are_those_of_records() {
    let options =
        CsvOptions { null_values: vec!["NA".to_owned(), "".to_owned(), "7".to_owned()], ..Default::default() };
    let strings_stay = CsvOptions { strings_can_be_null: false, ..options.clone() };
    for (options, kind, values, refused) in [
        (&options, DataType::Utf8, ["-", "-", "-", "x"].as_slice(), [].as_slice()),
        (&strings_stay, DataType::Utf8, &["NA", "", "7", "x"], &[]),
        // A text that can be cast is no null.
        (&strings_stay, DataType::Int64, &["-", "-", "7"], &[3]),
        (&options, DataType::Boolean, &["-", "-", "-"], &[3]),
        (&options, list(DataType::Int64), &["-", "-", "-"], &[3]),
        (&options, DataType::Date32, &["-", "-", "-"], &[3]),
        (&strings_stay, DataType::Date32, &[], &[0, 1, 2, 3]),
        (&options, DataType::Null, &["-", "-", "-"], &[3]),
    ] {
        let (found, left_out) = column(&csv(options.clone()), "x\nNA\n\"\"\n7\nx\n", kind.clone());
        assert_eq!((strs(&found), &*left_out), (values.to_vec(), refused), "{kind} {}", options.strings_can_be_null);
    }
}

#[test]
fn json_becomes_values_of_each_type_or_its_rows_are_refused() {
    let pair =
        DataType::Struct(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)].into());
    for (kind, values, expected, refused) in [
        (
            DataType::Utf8,
            r#""a" | "\u00fc\"" | 1.50 | true | [1, {"a": 2}] | null"#,
            ["a", "ü\"", "1.50", "true", "[1, {\"a\": 2}]", "-"].as_slice(),
            [].as_slice(),
        ),
        (DataType::Utf8View, r#""a" | 12345678901234567890"#, &["a", "12345678901234567890"], &[]),
        (
            DataType::Int64,
            r#"1 | 7.0 | 7.5 | "1" | true | 9223372036854775808 | null"#,
            &["1", "7", "1", "-"],
            &[2, 3, 5],
        ),
        (DataType::UInt64, "18446744073709551615 | -1", &["18446744073709551615"], &[1]),
        (DataType::Float64, r#"1 | 1.5 | 1e400 | "x" | false"#, &["1.0", "1.5", "0.0"], &[2, 3]),
        (DataType::Boolean, r#"true | 0 | "true" | null"#, &["true", "-"], &[1, 2]),
        (
            DataType::Decimal128(30, 2),
            r#"12345678901234567890 | "1.50" | 0.001 | true"#,
            &["12345678901234567890.00", "1.50"],
            &[2, 3],
        ),
        (DataType::Date32, r#""2024-02-29" | 1"#, &["2024-02-29"], &[1]),
        (micros(Some("UTC")), r#""2024-01-02T03:04:05.006Z" | "x""#, &["2024-01-02T03:04:05.006Z"], &[1]),
        (DataType::Time64(TimeUnit::Microsecond), r#""01:02:03" | "x""#, &["01:02:03"], &[1]),
        (list(DataType::Float64), r#"[1, 2.5, null] | [] | {} | ["x"] | null"#, &["[1.0, 2.5, ]", "[]", "-"], &[2, 3]),
        (list(list(DataType::Utf8)), r#"[["a"], null, [[1]]]"#, &["[[a], , [[1]]]"], &[]),
        (
            pair.clone(),
            r#"{"b": "x", "a": 1, "c": 0} | {"\u0061": 1, "a": 2} | {} | [] | {"a": "x"} | null"#,
            &["{a: 1, b: x}", "{a: 2, b: }", "{a: , b: }", "-"],
            &[3, 4],
        ),
        (list(pair), r#"[{"a": 1}, null, {"b": "x"}] | [1]"#, &["[{a: 1, b: }, , {a: , b: x}]"], &[1]),
        (map(), r#"{"k": 1, "l": null} | {} | {"k": "x"}"#, &["{k: 1, l: }", "{}"], &[2]),
        (DataType::Null, "null | 1", &["-"], &[1]),
    ] {
        let text: String = values.split(" | ").map(|value| format!("{{\"x\":{value}}}\n")).collect();
        let (found, left_out) = column(&FormatOptions::Jsonl, &text, kind.clone());
        assert_eq!((strs(&found), &*left_out), (expected.to_vec(), refused), "{kind} of {values}");
    }
}

#[test]
fn columns_are_matched_by_name_and_the_absent_are_null() {
    let wanted = schema([("b", DataType::Int64), ("none", DataType::Utf8), ("a\"", DataType::Utf8)]);
    let rows = |batch: &RecordBatch| batch.columns().iter().map(shown).collect::<Vec<_>>();
    let text = "\"a\"\"\",b,c,b\nx,1,2,3\ny,1,2,\n";
    let format = csv(CsvOptions { null_values: vec!["".to_owned()], ..CsvOptions::default() });
    let made = converted(&format, text, &wanted, OnBadRow::Stop);
    assert_eq!(rows(&made.batch), [["3", "-"], ["-", "-"], ["x", "y"]], "of columns with one name the last one counts");
    let text = "{\"a\\\"\":\"x\",\"b\":1,\"c\":2,\"b\":3}\n{\"b\":4,\"\\u0062\":5}\n{}\n{\"c\":1,\"a\\u0022\":\"z\"}\n";
    let made = converted(&FormatOptions::Jsonl, text, &wanted, OnBadRow::Stop);
    assert_eq!(rows(&made.batch), [["3", "5", "-", "-"], ["-", "-", "-", "-"], ["x", "-", "-", "z"]]);
    let given =
        RecordBatch::try_from_iter([("a\"", texts(&["x"])), ("c", texts(&["1"])), ("b", texts(&["2"]))]).unwrap();
    let made = to_arrow(&Batch::Arrow(given), &wanted, &ArrowOptions::default()).unwrap();
    assert_eq!(rows(&made.batch), [["2"], ["-"], ["x"]]);
    let format = csv(CsvOptions { ignore_errors_on_fields_mismatch: true, ..CsvOptions::default() });
    let made = converted(&format, "a,b\nx\n", &schema([("b", DataType::Utf8)]), OnBadRow::Stop);
    assert_eq!(rows(&made.batch), [["-"]], "a field that its row does not have is no empty text");
}

#[test]
fn a_bad_row_ends_the_batch_or_is_handed_over_with_its_text() {
    let wanted = schema([("id", DataType::Int64), ("n", DataType::Float64)]);
    let text = "id,n\n1,1\n2,x\ny,x\n4,4\n";
    let format = csv(CsvOptions::default());
    let stopped = converted(&format, text, &wanted, OnBadRow::Stop);
    assert_eq!(shown(stopped.batch.column(0)), ["1"]);
    assert!(stopped.refused.is_empty());
    let (row, error) = stopped.stopped.unwrap();
    let message = "a value of column 'n' is not of the type Float64 (column 'n', batch_row '1')";
    assert_eq!((row, error.kind(), error.to_string()), (1, ErrorKind::Data, message.to_owned()));
    let collected = converted(&format, text, &wanted, OnBadRow::Collect);
    assert_eq!(shown(collected.batch.column(0)), ["1", "4"]);
    assert!(collected.stopped.is_none());
    let refused = |converted: &Converted| {
        let told = |row: &crate::Refused| (row.row, row.reason.clone(), String::from_utf8(row.raw.clone()).unwrap());
        converted.refused.iter().map(told).collect::<Vec<_>>()
    };
    let reason = |column: &str, kind: &str| format!("a value of column '{column}' is not of the type {kind}");
    assert_eq!(
        refused(&collected),
        [
            (1, reason("n", "Float64"), r#"{"id":"2","n":"x"}"#.to_owned()),
            (2, reason("id", "Int64"), r#"{"id":"y","n":"x"}"#.to_owned()),
        ]
    );
    let json = converted(&FormatOptions::Jsonl, "{\"id\": \"x\" }\n{\"id\":1}\n", &wanted, OnBadRow::Collect);
    assert_eq!(refused(&json), [(0, reason("id", "Int64"), r#"{"id": "x" }"#.to_owned())]);
    let given = RecordBatch::try_from_iter([("id", texts(&["1", "x"]))]).unwrap();
    let options = ArrowOptions::default().with_on_bad_row(OnBadRow::Collect);
    let made = to_arrow(&Batch::Arrow(given), &wanted, &options).unwrap();
    assert_eq!(refused(&made), [(1, reason("id", "Int64"), r#"{"id":"x"}"#.to_owned())]);
}

#[test]
fn nulls_in_columns_that_take_none_are_bad_rows() {
    let item = Arc::new(Field::new("item", DataType::Int64, false));
    let member = |name: &str| Field::new(name, DataType::Int64, false);
    let nested = DataType::Struct(vec![member("a"), Field::new("b", DataType::List(item), false)].into());
    let wanted = Arc::new(Schema::new(vec![member("id"), Field::new("n", nested, true)]));
    let text = r#"{"id":1,"n":{"a":1,"b":[1]}}
        {"id":null,"n":{"a":1,"b":[]}}
        {"n":null}
        {"id":4,"n":null}
        {"id":5,"n":{"a":null,"b":[]}}
        {"id":6,"n":{"a":1,"b":[1,null]}}
        {"id":7,"n":{"a":1}}
        {"id":8,"n":{"a":"x","b":[1]}}
        {"id":9,"n":{"a":9,"b":[9,9]}}"#;
    let made = converted(&FormatOptions::Jsonl, text, &wanted, OnBadRow::Collect);
    assert_eq!(made.batch.schema(), wanted);
    assert_eq!(shown(made.batch.column(0)), ["1", "4", "9"]);
    assert_eq!(shown(made.batch.column(1)), ["{a: 1, b: [1]}", "-", "{a: 9, b: [9, 9]}"]);
    let nulls = "a value of column 'id' is null, and the column takes no nulls";
    assert_eq!(made.refused[0].reason, nulls);
    assert_eq!(made.refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [1, 2, 4, 5, 6, 7]);
    let stopped = converted(&FormatOptions::Jsonl, text, &wanted, OnBadRow::Stop);
    assert_eq!((stopped.batch.num_rows(), stopped.stopped.map(|(row, _)| row)), (1, Some(1)));
    let given =
        RecordBatch::try_from_iter([("id", Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef)]).unwrap();
    let options = ArrowOptions::default().with_on_bad_row(OnBadRow::Collect);
    let made = to_arrow(&Batch::Arrow(given), &wanted, &options).unwrap();
    assert_eq!((made.batch.num_rows(), &*made.refused[0].reason), (1, nulls));
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A column of Arrow as another type: what it becomes, and the rows that are refused.
fn recast(values: ArrayRef, kind: DataType, options: &ArrowOptions) -> (Vec<String>, Vec<usize>) {
    let given = RecordBatch::try_from_iter_with_nullable([("x", values, true)]).unwrap();
    let options = options.clone().with_on_bad_row(OnBadRow::Collect);
    let made = to_arrow(&Batch::Arrow(given), &schema([("x", kind)]), &options).unwrap();
    (shown(made.batch.column(0)), made.refused.iter().map(|refused| refused.row).collect())
}

#[test]
fn arrow_columns_are_cast_and_no_digit_is_cut_off() {
    let ints = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let decimals = || {
        let values = Decimal128Array::from(vec![Some(12_345), Some(100), None]);
        Arc::new(values.with_precision_and_scale(10, 2).unwrap()) as ArrayRef
    };
    let nanos = || Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001]).with_timezone("UTC")) as ArrayRef;
    let naive = || Arc::new(TimestampNanosecondArray::from(vec![86_400_000_000_000])) as ArrayRef;
    let days = || Arc::new(Date32Array::from(vec![1])) as ArrayRef;
    let dictionary = || Arc::new(["a", "b", "a"].into_iter().collect::<DictionaryArray<Int32Type>>()) as ArrayRef;
    for (values, kind, expected, refused) in [
        (ints(&[1, 2]), DataType::Int64, ["1", "2"].as_slice(), [].as_slice()),
        (ints(&[1, 300, -1, 2]), DataType::UInt8, &["1", "2"], &[1, 2]),
        (ints(&[1, 0, 2]), DataType::Boolean, &["true", "false"], &[2]),
        (ints(&[1, 1_000]), DataType::Decimal128(4, 2), &["1.00"], &[1]),
        (floats(&[1.0, 1.5, f64::NAN, 1e300]), DataType::Int64, &["1"], &[1, 2, 3]),
        (floats(&[1.5, 1e300, f64::INFINITY, f64::NAN]), DataType::Float32, &["1.5", "inf", "NaN"], &[1]),
        (floats(&[0.5, f64::NAN]), DataType::Utf8, &["0.5", "NaN"], &[]),
        (decimals(), DataType::Decimal128(10, 1), &["1.0", "-"], &[0]),
        (decimals(), DataType::Int32, &["1", "-"], &[0]),
        (decimals(), DataType::Float64, &["123.45", "1.0", "-"], &[]),
        (decimals(), DataType::Utf8, &["123.45", "1.00", "-"], &[]),
        (nanos(), micros(Some("UTC")), &["1970-01-01T00:00:00.000001Z"], &[1]),
        (nanos(), DataType::Utf8, &["1970-01-01T00:00:00.000001+00:00", "1970-01-01T00:00:00.000001001+00:00"], &[]),
        (nanos(), DataType::Date32, &[], &[0, 1]),
        (
            nanos(),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            &["1970-01-01T00:00:00.000001", "1970-01-01T00:00:00.000001001"],
            &[],
        ),
        (
            nanos(),
            DataType::Timestamp(TimeUnit::Microsecond, Some("+01:00".into())),
            &["1970-01-01T01:00:00.000001+01:00"],
            &[1],
        ),
        (naive(), DataType::Timestamp(TimeUnit::Second, Some("+01:00".into())), &["1970-01-02T00:00:00+01:00"], &[]),
        (naive(), micros(Some("UTC")), &["1970-01-02T00:00:00Z"], &[]),
        (naive(), DataType::Date32, &["1970-01-02"], &[]),
        (days(), micros(Some("UTC")), &["1970-01-02T00:00:00Z"], &[]),
        (days(), DataType::Date64, &["1970-01-02T00:00:00"], &[]),
        (texts(&["1", "x", " 2"]), DataType::Int64, &["1", "2"], &[1]),
        (texts(&["1.5", "1.55"]), DataType::Decimal128(5, 1), &["1.5"], &[1]),
        (texts(&["a"]), DataType::Utf8View, &["a"], &[]),
        (dictionary(), DataType::Utf8, &["a", "b", "a"], &[]),
        (dictionary(), DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), &["a", "b", "a"], &[]),
        (Arc::new(arrow::array::NullArray::new(2)), DataType::Int64, &["-", "-"], &[]),
    ] {
        let shown_as = format!("{} as {kind}", values.data_type());
        let (found, left_out) = recast(values, kind, &ArrowOptions::default());
        assert_eq!((strs(&found), &*left_out), (expected.to_vec(), refused), "{shown_as}");
    }
}

#[test]
fn nested_arrow_columns_are_matched_by_name_too() {
    let field = |name: &str, kind| Arc::new(Field::new(name, kind, true));
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(300), None]));
    let strings = texts(&["a", "b", "c"]);
    let structs: ArrayRef = Arc::new(StructArray::from(vec![
        (field("a", DataType::Int64), Arc::clone(&ints)),
        (field("b", DataType::Utf8), strings),
    ]));
    let wanted = DataType::Struct(
        vec![field("b", DataType::LargeUtf8), field("c", DataType::Int8), field("a", DataType::Int8)].into(),
    );
    let (found, refused) = recast(Arc::clone(&structs), wanted, &ArrowOptions::default());
    assert_eq!((found, refused), (vec!["{b: a, c: , a: 1}".to_owned(), "{b: c, c: , a: }".to_owned()], vec![1]));
    let (found, _) = recast(structs, DataType::Utf8, &ArrowOptions::default());
    assert_eq!(found[0], r#"{"a":1,"b":"a"}"#, "the text of a record");

    let lists = || {
        ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1)]),
            None,
            Some(vec![Some(300), None]),
            Some(vec![Some(2)]),
        ])
    };
    let (found, refused) = recast(Arc::new(lists()), list(DataType::Int8), &ArrowOptions::default());
    assert_eq!((found, refused), (vec!["[1]".to_owned(), "-".to_owned(), "[2]".to_owned()], vec![2]));
    let large = DataType::LargeList(field("item", DataType::Float64));
    let (found, refused) = recast(Arc::new(lists().slice(2, 2)), large, &ArrowOptions::default());
    assert_eq!((found, refused), (vec!["[300.0, ]".to_owned(), "[2.0]".to_owned()], vec![]));
    let fixed = FixedSizeListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), Some(2)])], 2);
    assert_eq!(recast(Arc::new(fixed), list(DataType::Int8), &ArrowOptions::default()).0, ["[1, 2]"]);
    let large = LargeListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0)]), Some([Some(1.5)])]);
    assert_eq!(
        recast(Arc::new(large), list(DataType::Int8), &ArrowOptions::default()),
        (vec!["[1]".to_owned()], vec![1])
    );
}

#[test]
fn bytes_become_text_as_the_options_say() {
    let bytes = || Arc::new(arrow::array::BinaryArray::from(vec![b"ab".as_slice(), b"\xff"])) as ArrayRef;
    assert_eq!(recast(bytes(), DataType::Utf8, &ArrowOptions::default()), (vec!["ab".to_owned()], vec![1]));
    let mut options = ArrowOptions::default();
    options.parquet.binary_encoding = BinaryEncoding::Hex;
    assert_eq!(recast(bytes(), DataType::Utf8, &options).0, ["6162", "ff"]);
}

#[test]
fn types_without_values_are_refused_by_name() {
    let text = TextRows { columns: ["x".into()].into(), ..TextRows::default() };
    let structs = StructArray::from(vec![(
        Arc::new(Field::new("a", DataType::Int8, true)),
        Arc::new(arrow::array::Int8Array::from(vec![1])) as ArrayRef,
    )]);
    let nested = RecordBatch::try_from_iter([("x", Arc::new(structs) as ArrayRef)]).unwrap();
    for (batch, kind) in [
        (Batch::Text(text), DataType::Binary),
        (Batch::Json(JsonRows::default()), list(DataType::Binary)),
        (Batch::Arrow(nested), DataType::Int64),
    ] {
        let error = to_arrow(&batch, &schema([("x", kind)]), &ArrowOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.get("column").is_some(), "{error}");
    }
}

#[test]
fn empty_batches_have_all_columns_and_no_rows() {
    let pair = DataType::Struct(vec![Field::new("a", list(DataType::Int8), false)].into());
    let wanted = schema([
        ("a", DataType::Int64),
        ("b", list(DataType::Utf8)),
        ("c", pair),
        ("d", map()),
        ("e", DataType::Utf8View),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", texts(&[])),
        ("b", Arc::new(ListArray::new_null(Arc::new(Field::new("item", DataType::Int8, true)), 0))),
    ];
    let arrow = RecordBatch::try_from_iter(columns).unwrap();
    let text = TextRows { columns: ["a".into(), "c".into()].into(), ..TextRows::default() };
    for batch in [Batch::Text(text), Batch::Json(JsonRows::default()), Batch::Arrow(arrow)] {
        let made = to_arrow(&batch, &wanted, &ArrowOptions::default()).unwrap();
        assert_eq!((made.batch.num_rows(), made.batch.schema()), (0, Arc::clone(&wanted)));
        assert!(made.refused.is_empty() && made.stopped.is_none());
    }
    let made = converted(&FormatOptions::Jsonl, "{\"a\":1}\n{}\n", &Arc::new(Schema::empty()), OnBadRow::Stop);
    assert_eq!(made.batch.num_rows(), 2, "rows are counted without columns too");
}

#[test]
fn numbers_without_a_text_are_null_and_counted() {
    let text = "{\"x\":1.5}\n{\"x\":null}\n";
    let Batch::Json(mut rows) = decoded(&FormatOptions::Jsonl, text) else { panic!("JSONL is JSON") };
    // As the decoder of Avro hands over NaN.
    rows.fields[1].kind = tollgate_base::batch::JsonKind::Number;
    let made = to_arrow(&Batch::Json(rows), &schema([("x", DataType::Float64)]), &ArrowOptions::default()).unwrap();
    assert_eq!((shown(made.batch.column(0)), made.not_finite), (vec!["1.5".to_owned(), "-".to_owned()], 1));
}

#[test]
fn a_schema_takes_what_was_inferred() {
    use InferredType as T;
    let column = |name: &str, kind, nested| InferredColumn { name: name.to_owned(), kind, nested };
    let plain = |name: &str, kind| InferredColumn::new(name, kind);
    let item = |kind| Nested::Items(Box::new(InferredColumn::new("", kind)));
    let members = Nested::Fields(vec![plain("a", T::Integer), column("b", T::Array, item(T::Mixed))]);
    let pair = vec![Field::new("a", DataType::Int64, true), Field::new("b", list(DataType::Utf8), true)];
    for (column, expected) in [
        (plain("x", T::Null), DataType::Utf8),
        (plain("x", T::Boolean), DataType::Boolean),
        (plain("x", T::Integer), DataType::Int64),
        (plain("x", T::Number), DataType::Float64),
        (plain("x", T::String), DataType::Utf8),
        (plain("x", T::Date), DataType::Date32),
        (plain("x", T::Timestamp), micros(Some("UTC"))),
        (plain("x", T::Time), DataType::Time64(TimeUnit::Microsecond)),
        (plain("x", T::Array), DataType::Utf8),
        (plain("x", T::Object), DataType::Utf8),
        (plain("x", T::Mixed), DataType::Utf8),
        (column("x", T::Array, item(T::Date)), list(DataType::Date32)),
        (column("x", T::Object, members), DataType::Struct(pair.into())),
        (column("x", T::Object, Nested::Fields(Vec::new())), DataType::Utf8),
        (column("x", T::Object, Nested::Open), DataType::Utf8),
    ] {
        let schema = arrow_schema(std::slice::from_ref(&column));
        assert_eq!(*schema.field(0), Field::new("x", expected, true), "{column:?}");
    }
}

// --- the same values as records ----------------------------------------------------------------------------------

/// Numbers by a linear congruence: the same ones in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    /// One of the usual choices, and once in so many times any.
    fn of<'a>(&mut self, usual: &[&'a str], any: &[&'a str], once_in: usize) -> &'a str {
        let choices = if self.below(once_in) == 0 { any } else { usual };
        choices[self.below(choices.len())]
    }
}

const COLUMNS: [(&str, ColumnType, DataType); 7] = [
    ("integer", ColumnType::Integer, DataType::Int64),
    ("number", ColumnType::Number, DataType::Float64),
    ("boolean", ColumnType::Boolean, DataType::Boolean),
    ("string", ColumnType::String, DataType::Utf8),
    ("date", ColumnType::Date, DataType::Utf8View),
    ("object", ColumnType::Object, DataType::LargeUtf8),
    ("time", ColumnType::Time, DataType::Utf8),
];

/// The data of the records of a batch, without the added columns.
fn records(batch: &Batch, columns: &Columns, csv: &CsvOptions) -> Vec<Value> {
    let options = EncodeOptions { csv: csv.clone(), validation: Validation::Emit, ..EncodeOptions::default() };
    let mut encoder = StreamEncoder::new("s", None, columns, options).file(&object(), 1);
    let mut out = Vec::new();
    assert_eq!(encoder.encode(batch, &mut out).unwrap().lines as usize, batch.rows());
    let data = |line: &str| {
        let mut data: Value = serde_json::from_str(line).unwrap();
        let mut data = data["record"]["data"].take();
        data.as_object_mut().unwrap().retain(|name, _| !name.starts_with("_ab_"));
        data
    };
    std::str::from_utf8(&out).unwrap().lines().map(data).collect()
}

/// Whether the field of a record has the value that the column has. Strings hold the text of what is none.
fn same(record: &Value, arrow: &Value) -> bool {
    match (record, arrow) {
        (Value::Number(one), Value::Number(two)) => one.as_f64() == two.as_f64(),
        (Value::Bool(truth), Value::Number(digit)) => digit.as_f64() == Some(f64::from(u8::from(*truth))),
        (Value::String(one), Value::String(two)) => one == two,
        (value, Value::String(text)) => serde_json::from_str::<Value>(text).ok().as_ref() == Some(value),
        (one, two) => one == two,
    }
}

/// Whether the field of a record is one that its column does not hold.
fn unfit(record: &Value, kind: ColumnType) -> bool {
    let number = record.as_f64().or(record.as_bool().map(|truth| f64::from(u8::from(truth))));
    let whole = number.is_some_and(|number| number.fract() == 0.0 && number.abs() < 9.2e18);
    match kind {
        _ if record.is_null() => false,
        ColumnType::Integer => !whole,
        ColumnType::Number => number.is_none(),
        ColumnType::Boolean => !record.is_boolean(),
        _ => false,
    }
}

fn agree(format: &FormatOptions, text: &str, csv: &CsvOptions) -> (usize, usize) {
    let batch = decoded(format, text);
    let listed = COLUMNS.iter().map(|(name, kind, _)| Column {
        name: (*name).to_owned(),
        // A string field does not say that texts of CSV may be JSON.
        kind: if *format == FormatOptions::Jsonl || *kind != ColumnType::Object { *kind } else { ColumnType::String },
    });
    let told = records(&batch, &Columns::Listed(listed.collect()), csv);
    let wanted = schema(COLUMNS.map(|(name, _, kind)| (name, kind)));
    let made = converted(format, text, &wanted, OnBadRow::Collect);
    let refused: Vec<usize> = made.refused.iter().map(|refused| refused.row).collect();
    let values = records(&Batch::Arrow(made.batch), &Columns::All, csv);
    let mut values = values.iter();
    for (row, record) in told.iter().enumerate() {
        let bad = COLUMNS.iter().any(|(name, kind, _)| unfit(&record[*name], *kind));
        assert_eq!(refused.contains(&row), bad, "row {row}: {record}");
        if bad {
            continue;
        }
        let value = values.next().unwrap();
        for (name, _, _) in &COLUMNS {
            assert!(same(&record[*name], &value[*name]), "row {row}, {name}: {record} and {value}");
        }
    }
    assert!(values.next().is_none());
    (told.len(), refused.len())
}

#[test]
fn columns_and_records_of_csv_have_the_same_values() {
    let texts = [
        "7",
        " 7",
        "-0",
        "007",
        "1_000",
        "٣",
        "1.50",
        "1e3",
        ".5",
        "nan",
        "inf",
        "true",
        "no",
        "1",
        "0",
        "",
        "NA",
        "x",
        "Grüße",
        "\"said \"\"hi\"\"\"",
        "\"a,b\"",
        "\"two\nlines\"",
        "12345678901234567890",
        "2024-02-29",
        "null",
        "\"{\"\"a\"\":1}\"",
    ];
    let fitting: [&[&str]; 7] = [
        &["7", "-0", "007", "+5", "NA"],
        &["1.50", "1e3", "nan", "7", "NA"],
        &["yes", "0", "NA"],
        &texts,
        &texts,
        &texts,
        &texts,
    ];
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let options = CsvOptions {
            null_values: vec!["NA".to_owned(), "".to_owned(), "1".to_owned()],
            strings_can_be_null: seed % 2 == 0,
            ..CsvOptions::default()
        };
        let mut text = COLUMNS.map(|(name, _, _)| name).join(",") + "\n";
        for _ in 0..200 {
            let fields: Vec<&str> = fitting.iter().map(|fitting| chance.of(fitting, &texts, 12)).collect();
            text += &(fields.join(",") + "\n");
        }
        let (rows, refused) = agree(&csv(options.clone()), &text, &options);
        assert!(rows == 200 && (1..150).contains(&refused), "{refused} of {rows} rows are refused");
    }
}

#[test]
fn columns_and_records_of_json_have_the_same_values() {
    let any = [
        "7",
        "-0",
        "1.50",
        "1e3",
        "7.0",
        "12345678901234567890",
        "\"x\"",
        "\"\"",
        "\"7\"",
        "\"Gr\\u00fc\\u00dfe \\ud83d\\ude80\"",
        "\"a\\\\b\\n\"",
        "null",
        "[1, [], {\"a\": null}]",
        "{\"a\": [1.50]}",
        "{}",
    ];
    let fitting: [&[&str]; 7] = [
        &["7", "-0", "-9007199254740993", "null"],
        &["1.50", "1e3", "-7", "null"],
        &["true", "false", "null"],
        &any,
        &any,
        &any,
        &any,
    ];
    let keys = ["integer", "number", "boolean", "string", "d\\u0061te", "object", "time"];
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut text = String::new();
        for _ in 0..200 {
            let mut members = Vec::new();
            for (key, fitting) in keys.iter().zip(&fitting) {
                if chance.below(10) > 0 {
                    members.push(format!("\"{key}\" : {}", chance.of(fitting, &any, 20)));
                }
            }
            if chance.below(5) == 0 && !members.is_empty() {
                // Another order, a key twice, and one that is not wanted.
                members.rotate_left(1);
                members.push(members[chance.below(members.len())].clone());
                members.push("\"other\": 1".to_owned());
            }
            text += &format!("{{{}}}\n", members.join(", "));
        }
        let (rows, refused) = agree(&FormatOptions::Jsonl, &text, &CsvOptions::default());
        assert!(rows == 200 && (1..150).contains(&refused), "{refused} of {rows} rows are refused");
    }
}

#[test]
fn batches_of_a_file_make_one_table() {
    let wanted = schema([("a", DataType::Int64)]);
    let batches: Vec<RecordBatch> = ["a\n1\n2\n", "b,a\nx,3\n"]
        .iter()
        .map(|text| converted(&csv(CsvOptions::default()), text, &wanted, OnBadRow::Stop).batch)
        .collect();
    let table = concat_batches(&wanted, &batches).unwrap();
    assert_eq!(table.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
}
