//! Tests of what Parquet files do not have: types that only Arrow knows, values without a text, and options. The other
//! types are compared with files of other tools in `integration_tests/parquet_fixtures.rs`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int8Array, Int32Array, Int64Array, IntervalDayTimeArray,
    LargeListViewArray, ListViewArray, MapArray, RecordBatch, RunArray, StringArray, StructArray, Time32SecondArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal32Type, Decimal64Type, Field, Fields, Int32Type};

use super::ArrowEncoder;
use crate::EncodeOptions;
use crate::conform::Validation;
use crate::frame::{Added, Frame};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::schema::{Column, ColumnType, Columns};

const NOTHING_ADDED: Added = Added { constants: Vec::new(), nested: false };
static PLAIN: Added = NOTHING_ADDED;
const FRAME: Frame<'static> = Frame { prefix: b"{", suffix: b"}\n", closes: false, members: 0, added: &PLAIN };

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn encode(batch: &RecordBatch, columns: &Columns, options: &EncodeOptions, frame: &Frame<'_>) -> (Result<u64>, String) {
    let mut out = Vec::new();
    let result = ArrowEncoder::new(&batch.schema(), columns, options, frame.added)
        .and_then(|mut e| e.encode(batch, frame, &mut out));
    let result = result.and_then(|encoded| match encoded.stopped {
        Some((_, error)) => Err(error),
        None => Ok(encoded.lines),
    });
    (result, String::from_utf8(out).unwrap())
}

/// The values of a column, as they stand in lines that hold nothing else.
fn values(array: ArrayRef) -> Vec<String> {
    let (result, text) = encode(&batch(vec![("x", array)]), &Columns::All, &EncodeOptions::default(), &FRAME);
    result.unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches("{\"x\":").trim_end_matches(",}").replace("{}", "-"));
    lines.collect()
}

fn failure(array: ArrayRef) -> (Error, String) {
    let (result, text) = encode(&batch(vec![("x", array)]), &Columns::All, &EncodeOptions::default(), &FRAME);
    (result.unwrap_err(), text)
}

#[test]
fn a_line_that_is_much_longer_than_its_text_ends_the_file() {
    let controls = "\u{1}".repeat(9 << 20);
    let (error, text) = failure(Arc::new(StringArray::from(vec!["short", &controls, "short"])));
    assert!(error.message().contains("the record of a row is longer than the limit allows"), "{error:?}");
    assert_eq!((error.get("limit_bytes"), &*text), (Some("50331648"), "{\"x\":\"short\",}\n"));
}

#[test]
fn types_that_only_arrow_has_are_written() {
    let item = || Arc::new(Field::new("item", DataType::Int32, true));
    let items = || Arc::new(Int32Array::from(vec![Some(1), Some(2), None])) as ArrayRef;
    let views = ListViewArray::new(item(), vec![1, 0, 0].into(), vec![2, 3, 0].into(), items(), None);
    assert_eq!(values(Arc::new(views)), ["[2,null]", "[1,2,null]", "[]"]);
    let views = LargeListViewArray::new(item(), vec![2, 0].into(), vec![1, 1].into(), items(), None);
    assert_eq!(values(Arc::new(views)), ["[null]", "[1]"]);
    let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec![Some("a"), None]));
    assert_eq!(values(Arc::new(runs.unwrap())), ["\"a\"", "\"a\"", "-"]);
    let texts = Arc::new(StringArray::from(vec![Some("a"), None]));
    let dictionary = DictionaryArray::new(Int8Array::from(vec![Some(1), Some(0), None]), texts);
    assert_eq!(values(Arc::new(dictionary)), ["-", "\"a\"", "-"]);
    let empty =
        DictionaryArray::new(Int8Array::from(vec![None, None]), Arc::new(StringArray::from(Vec::<&str>::new())));
    assert_eq!(values(Arc::new(empty)), ["-", "-"]);
    let decimal = arrow::array::PrimitiveArray::<Decimal32Type>::from(vec![-1050]).with_precision_and_scale(9, 2);
    assert_eq!(values(Arc::new(decimal.unwrap())), ["\"-10.50\""]);
    let decimal = arrow::array::PrimitiveArray::<Decimal64Type>::from(vec![7]).with_precision_and_scale(18, 0);
    assert_eq!(values(Arc::new(decimal.unwrap())), ["\"7\""]);
}

#[test]
fn a_slice_has_its_own_rows() {
    let whole: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c"), Some("d")]));
    assert_eq!(values(whole.slice(1, 2)), ["-", "\"c\""]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let whole = StructArray::from(vec![(Arc::new(Field::new("i", DataType::Int64, true)), inner)]);
    assert_eq!(values(Arc::new(whole.slice(2, 1))), ["{\"i\":3}"]);
}

#[test]
fn a_value_without_a_text_ends_behind_whole_lines() {
    let bytes: Vec<Option<&[u8]>> = vec![Some(b"a"), None, Some(b"\xff"), Some(b"b")];
    let (error, text) = failure(Arc::new(BinaryArray::from(bytes)));
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!((error.get("column"), error.get("batch_row")), (Some("x"), Some("2")));
    assert_eq!(text, "{\"x\":\"a\",}\n{}\n");
    let (error, _) = failure(Arc::new(Time32SecondArray::from(vec![86_400])));
    assert!(error.message().contains("time of day"), "{error:?}");
}

#[test]
fn a_map_with_compound_keys_has_no_json_form() {
    let key: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let keys = StructArray::from(vec![(Arc::new(Field::new("i", DataType::Int64, false)), key)]);
    let fields = Fields::from(vec![
        Field::new("keys", keys.data_type().clone(), false),
        Field::new("values", DataType::Int64, true),
    ]);
    let entries = StructArray::new(fields, vec![Arc::new(keys), Arc::new(Int64Array::from(vec![5]))], None);
    let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let map = MapArray::new(field, OffsetBuffer::new(ScalarBuffer::from(vec![0, 1])), entries, None, false);
    assert!(failure(Arc::new(map)).0.message().contains("keys"));
}

#[test]
fn a_type_without_a_json_form_is_refused_by_name_unless_it_is_left_out() {
    let interval: ArrayRef = Arc::new(IntervalDayTimeArray::from(vec![None]));
    let (error, _) = failure(Arc::clone(&interval));
    assert_eq!((error.kind(), error.get("column")), (ErrorKind::Unsupported, Some("x")));
    let both = batch(vec![("x", interval), ("y", Arc::new(Int64Array::from(vec![1])))]);
    let columns = Columns::Listed(vec![Column { name: "y".to_owned(), kind: ColumnType::Integer }]);
    let (result, text) = encode(&both, &columns, &EncodeOptions::default(), &FRAME);
    assert_eq!((result.unwrap(), text.as_str()), (1, "{\"y\":1,}\n"));
}

#[test]
fn a_row_inside_of_a_member_keeps_its_nulls_and_all_its_columns() {
    let rows = batch(vec![
        ("a", Arc::new(Int64Array::from(vec![None, Some(1)])) as ArrayRef),
        ("_ab_source_file_url", Arc::new(StringArray::from(vec![Some("x"), None]))),
    ]);
    let options = EncodeOptions { schemaless: true, ..EncodeOptions::default() };
    let added = Added { nested: true, ..NOTHING_ADDED };
    let frame = Frame { prefix: b"{\"data\":{", suffix: b"},\"b\":0}\n", closes: true, members: 1, added: &added };
    let (result, text) = encode(&rows, &Columns::All, &options, &frame);
    assert_eq!(result.unwrap(), 2);
    let expected = [
        r#"{"data":{"a":null,"_ab_source_file_url":"x"},"b":0}"#,
        r#"{"data":{"a":1,"_ab_source_file_url":null},"b":0}"#,
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn rows_that_do_not_conform_are_left_out_or_end_the_file() {
    let rows = batch(vec![("a", Arc::new(StringArray::from(vec![None, Some("x"), None])) as ArrayRef)]);
    let columns = Columns::Listed(vec![Column { name: "a".to_owned(), kind: ColumnType::Integer }]);
    for (validation, lines, fails) in
        [(Validation::Emit, 3, false), (Validation::Skip, 2, false), (Validation::Stop, 1, true)]
    {
        let options = EncodeOptions { validation, ..EncodeOptions::default() };
        let (result, text) = encode(&rows, &columns, &options, &FRAME);
        assert_eq!((text.lines().count(), result.is_err()), (lines, fails), "{validation:?}");
    }
}

#[test]
fn rescue_takes_new_columns_whose_values_have_no_json_form() {
    use tollgate_base::options::{OnBadRow, SchemaEvolution};
    let binary: ArrayRef = Arc::new(BinaryArray::from(vec![b"\xff\x00".as_slice(), b"text"]));
    let interval: ArrayRef = Arc::new(IntervalDayTimeArray::from(vec![
        arrow::datatypes::IntervalDayTime::new(1, 2),
        arrow::datatypes::IntervalDayTime::new(3, 4),
    ]));
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = batch(vec![("id", id), ("new", binary), ("span", interval)]);
    let columns = Columns::Listed(vec![Column { name: "id".to_owned(), kind: ColumnType::Integer }]);
    for on_bad_row in [OnBadRow::Stop, OnBadRow::Collect] {
        let options = EncodeOptions::default().with_policies(SchemaEvolution::Rescue, on_bad_row);
        let (result, text) = encode(&batch, &columns, &options, &FRAME);
        assert_eq!(result.unwrap(), 2, "{text}");
        let rows: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(&line.replace(",}", "}")).unwrap()).collect();
        assert_eq!((&rows[0]["id"], &rows[0]["_rescued"]["new"]), (&1.into(), &"ff00".into()), "{text}");
        assert_eq!(rows[1]["_rescued"]["new"], "text");
        assert!(rows[0]["_rescued"]["span"].as_str().is_some_and(|span| !span.is_empty()), "{text}");
    }
}

#[test]
fn binary_values_have_the_text_that_is_asked_for() {
    use tollgate_base::options::{BinaryEncoding, ParquetOptions};
    let bytes: Vec<u8> = (0..16).map(|at| at * 17).collect();
    let uuids = || {
        Arc::new(arrow::array::FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes.as_slice())).unwrap())
            as ArrayRef
    };
    let uuid = || {
        let named = [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())];
        Field::new("uuid", DataType::FixedSizeBinary(16), true).with_metadata(named.into())
    };
    let inside = StructArray::new(Fields::from(vec![uuid()]), vec![uuids()], None);
    let fields = vec![
        uuid(),
        Field::new("plain", DataType::FixedSizeBinary(16), true),
        Field::new("inside", inside.data_type().clone(), true),
    ];
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let batch = RecordBatch::try_new(schema, vec![uuids(), uuids(), Arc::new(inside)]).unwrap();
    let canonical = "00112233-4455-6677-8899-aabbccddeeff";
    for (binary_encoding, plain) in [
        (BinaryEncoding::Base64, "ABEiM0RVZneImaq7zN3u/w=="),
        (BinaryEncoding::Hex, "00112233445566778899aabbccddeeff"),
    ] {
        let parquet = ParquetOptions { binary_encoding, ..ParquetOptions::default() };
        let options = EncodeOptions { parquet, ..EncodeOptions::default() };
        let (result, text) = encode(&batch, &Columns::All, &options, &FRAME);
        assert_eq!(result.unwrap(), 1);
        let expected =
            format!("{{\"uuid\":\"{canonical}\",\"plain\":\"{plain}\",\"inside\":{{\"uuid\":\"{canonical}\"}},}}\n");
        assert_eq!(text, expected);
    }
    let (result, _) = encode(&batch, &Columns::All, &EncodeOptions::default(), &FRAME);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Data);
}

#[test]
fn numbers_that_json_does_not_have_are_counted() {
    let numbers: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![1.0, f64::NAN, f64::INFINITY]));
    let batch = batch(vec![("n", numbers)]);
    let options = EncodeOptions::default();
    let mut encoder = ArrowEncoder::new(&batch.schema(), &Columns::All, &options, FRAME.added).unwrap();
    encoder.encode(&batch, &FRAME, &mut Vec::new()).unwrap();
    assert_eq!((encoder.take_not_finite(), encoder.take_not_finite()), (2, 0));
}
