//! From the bytes of a file to lines, for text and JSON rows.

use bytes::Bytes;

use super::{Constant, EncodeOptions, FileEncoder, StreamEncoder, Validation};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::{Compression, CsvOptions, FormatOptions, OnBadRow, Projection, SchemaEvolution};
use tollgate_base::schema::{Column, ColumnType, Columns};
use tollgate_format::{DecodeLimits, Step, open};

fn object() -> ObjectFacts {
    ObjectFacts {
        key: "a/\"ü\".csv".into(),
        size: 0,
        modified_at: Timestamp::from_seconds(1_705_320_000, 0),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

fn listed(columns: &[(&str, ColumnType)]) -> Columns {
    Columns::Listed(columns.iter().map(|&(name, kind)| Column { name: name.to_owned(), kind }).collect())
}

/// The lines of a file, and its encoder.
fn encode(format: &FormatOptions, columns: &Columns, schemaless: bool, text: &str) -> (String, FileEncoder) {
    let limits = DecodeLimits { batch_rows: 2, ..DecodeLimits::default() };
    let mut decoder = open(format, Compression::None, &Projection::All, &object(), None, &limits).unwrap();
    decoder.feed(0, Bytes::copy_from_slice(text.as_bytes())).unwrap();
    decoder.finish();
    let options = EncodeOptions::new(format, schemaless, Validation::Emit);
    let mut encoder = StreamEncoder::new("s\"1", None, columns, options).file(&object(), 123);
    let mut out = Vec::new();
    let mut lines = 0;
    loop {
        match decoder.step().unwrap() {
            Step::Batch(decoded) => lines += encoder.encode(&decoded.batch, &mut out).unwrap().lines,
            Step::Done => break,
            Step::NeedRoom => {}
            Step::NeedBytes | Step::NeedRanges(_) => unreachable!("the file was fed"),
        }
    }
    let out = String::from_utf8(out).unwrap();
    assert_eq!(lines as usize, out.lines().count());
    for line in out.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    (out, encoder)
}

/// What stands between `"data":{` and the added columns, a line each.
fn members(format: &FormatOptions, columns: &Columns, text: &str) -> Vec<String> {
    let (out, _) = encode(format, columns, false, text);
    let inner = |line: &str| {
        let start = line.find("\"data\":{").unwrap() + 8;
        let end = line.find("\"_ab_source_file_last_modified\":\"2024").unwrap();
        line[start..end].trim_end_matches(',').to_owned()
    };
    out.lines().map(inner).collect()
}

const ADDED: &str = r#""_ab_source_file_last_modified":"2024-01-15T12:00:00.000000Z","_ab_source_file_url":"a/\"ü\".csv"},"emitted_at":123}}"#;

#[test]
fn a_line_has_exactly_the_bytes_of_the_protocol() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let text = "id,é\n1,\"x\ny\"\n";
    let (out, _) = encode(&csv, &Columns::All, false, text);
    let start = r#"{"type":"RECORD","record":{"stream":"s\"1","data":{"#;
    assert_eq!(out, format!("{start}\"id\":\"1\",\"é\":\"x\\ny\",{ADDED}\n"));
    let (out, _) = encode(&csv, &Columns::All, true, text);
    assert_eq!(out, format!("{start}\"data\":{{\"id\":\"1\",\"é\":\"x\\ny\"}},{ADDED}\n"));
    let (out, _) = encode(&FormatOptions::Jsonl, &Columns::All, true, "{}{\"a\": null, \"b\":1.50}");
    assert_eq!(out, format!("{start}\"data\":{{}},{ADDED}\n{start}\"data\":{{\"a\":null,\"b\":1.50}},{ADDED}\n"));
    let (out, _) = encode(&FormatOptions::Jsonl, &Columns::All, false, "{}");
    assert_eq!(out, format!("{start}{ADDED}\n"));
}

#[test]
fn text_is_cast_to_the_types_of_the_catalog_and_failures_are_counted() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let columns = listed(&[
        ("i", ColumnType::Integer),
        ("n", ColumnType::Number),
        ("b", ColumnType::Boolean),
        ("o", ColumnType::Object),
        ("a", ColumnType::Array),
        ("d", ColumnType::Date),
        ("z", ColumnType::Null),
    ]);
    let text = "i,x,n,b,o,a,d,z\n\
        7,q,1.50,yes,\"{\"\"k\"\":[1,null]}\",[1],2024-01-01,\n\
        +7,q, 007 ,0,null,x,,u\n\
        1.0,,NaN,True,{,{},,\n\
        12345678901234567890123,,-0.5,false,1,[],,\n";
    assert_eq!(
        members(&csv, &columns, text),
        [
            r#""i":7,"n":1.50,"b":true,"o":{"k":[1,null]},"a":[1],"d":"2024-01-01""#,
            r#""i":7,"n":7.0,"b":false,"a":"x","d":"","z":"u""#,
            r#""i":"1.0","n":null,"b":"True","o":"{","a":"{}","d":"""#,
            r#""i":12345678901234567890123,"n":-0.5,"b":false,"o":1,"a":[],"d":"""#,
        ]
    );
    let (_, encoder) = encode(&csv, &columns, false, text);
    let notes = encoder.report().notes();
    assert_eq!(notes.len(), 6, "{notes:?}");
    assert!(notes[0].contains("2 values of column 'a'") && notes[0].contains("'x'"), "{notes:?}");
}

#[test]
fn null_values_hold_for_what_is_not_cast() {
    let null_values = vec![String::new(), "NA".to_owned(), "0".to_owned()];
    let columns = listed(&[("i", ColumnType::Integer), ("s", ColumnType::String)]);
    let text = "i,s\n,NA\nNA,x\n0,0\n";
    let options = CsvOptions { null_values: null_values.clone(), ..CsvOptions::default() };
    let all = FormatOptions::Csv(options.clone());
    assert_eq!(members(&all, &columns, text), ["", r#""s":"x""#, r#""i":0"#]);
    let strict = FormatOptions::Csv(CsvOptions { strings_can_be_null: false, ..options });
    assert_eq!(members(&strict, &columns, text), [r#""s":"NA""#, r#""s":"x""#, r#""i":0,"s":"0""#]);
    assert_eq!(members(&strict, &Columns::All, text), ["", r#""s":"x""#, ""], "without a catalog all can be null");
    let (_, encoder) = encode(&all, &columns, false, text);
    assert_eq!(encoder.report().notes(), [""; 0], "a null is no failed cast");
    let (out, _) = encode(&all, &Columns::All, true, text);
    assert!(
        out.starts_with(r#"{"type":"RECORD","record":{"stream":"s\"1","data":{"data":{"i":null,"s":null},"_ab"#),
        "{out}"
    );
}

#[test]
fn names_that_meet_are_written_once() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let text = "a,_ab_source_file_url,b,a\n1,2,3,4\n";
    assert_eq!(members(&csv, &Columns::All, text), [r#""b":"3","a":"4""#]);
    let text =
        r#"{"a":1,"b":2,"\u0061":3}{"b":1,"a":2}{"c":1,"_ab_source_file_url":1,"b":null,"b":2,"b":null}{"a":1,"b":2}"#;
    let expected = [r#""\u0061":3,"b":2"#, r#""b":1,"a":2"#, r#""c":1"#, r#""a":1,"b":2"#];
    assert_eq!(members(&FormatOptions::Jsonl, &Columns::All, text), expected);
    let columns = listed(&[("b", ColumnType::Integer)]);
    let expected = [r#""b":2"#, r#""b":1"#, "", r#""b":2"#];
    assert_eq!(members(&FormatOptions::Jsonl, &columns, text), expected);
}

#[test]
fn fields_that_a_row_does_not_have_are_left_out_and_counted() {
    let options = CsvOptions { ignore_errors_on_fields_mismatch: true, ..CsvOptions::default() };
    let csv = FormatOptions::Csv(options);
    let text = "a,b\n1\n,\n1,2,3\n";
    assert_eq!(members(&csv, &Columns::All, text), [r#""a":"1""#, r#""a":"","b":"""#, r#""a":"1","b":"2""#]);
    let (_, encoder) = encode(&csv, &Columns::All, false, text);
    assert!(encoder.report().notes()[0].starts_with("2 rows"), "{:?}", encoder.report().notes());
}

#[test]
fn objects_whose_keys_are_data_are_written_and_forgotten() {
    let text: String = (0..30_000).map(|i| format!("{{\"k{i}\":{i},\"k\":0}}\n")).collect();
    let lines = members(&FormatOptions::Jsonl, &Columns::All, &text);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("\"k{i}\":{i},\"k\":0"));
    }
    assert_eq!(lines.len(), 30_000);
}

#[test]
fn the_time_of_emission_can_be_renewed() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let (_, mut encoder) = encode(&csv, &Columns::All, false, "a\n1\n");
    encoder.set_emitted_at(456);
    let mut decoder =
        open(&csv, Compression::None, &Projection::All, &object(), None, &DecodeLimits::default()).unwrap();
    decoder.feed(0, Bytes::from_static(b"a\n2\n")).unwrap();
    decoder.finish();
    let Step::Batch(decoded) = decoder.step().unwrap() else { panic!("there is a row") };
    let mut out = b"before\n".to_vec();
    encoder.encode(&decoded.batch, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("before\n{") && out.ends_with("\"emitted_at\":456}}\n"), "{out}");
}

#[test]
fn constants_of_a_file_take_the_place_of_its_own_columns() {
    let constant = |name: &str, value: serde_json::Value| Constant { name: name.to_owned(), value };
    let constants =
        [constant("year", "2024".into()), constant("month", 1.into()), constant("n", serde_json::Value::Null)];
    let csv = FormatOptions::Csv(CsvOptions::default());
    for (format, text) in
        [(&csv, "a,year,n\n7,1999,x\n"), (&FormatOptions::Jsonl, "{\"a\":\"7\",\"year\":1999,\"n\":1}\n")]
    {
        for (columns, schemaless, expected) in [
            (Columns::All, false, r#"{"a":"7","year":"2024","month":1,"_ab"#),
            (
                listed(&[("a", ColumnType::String), ("year", ColumnType::String)]),
                false,
                r#"{"a":"7","year":"2024","_ab"#,
            ),
            (listed(&[("month", ColumnType::Integer)]), false, r#"{"month":1,"_ab"#),
            (Columns::All, true, r#"{"data":{"a":"7","year":"2024","month":1,"n":null},"_ab"#),
        ] {
            let mut decoder =
                open(format, Compression::None, &Projection::All, &object(), None, &DecodeLimits::default()).unwrap();
            decoder.feed(0, Bytes::copy_from_slice(text.as_bytes())).unwrap();
            decoder.finish();
            let options = EncodeOptions::new(format, schemaless, Validation::Emit);
            let mut encoder = StreamEncoder::new("s", None, &columns, options).file_with(&object(), 1, &constants);
            let mut out = Vec::new();
            while let Step::Batch(decoded) = decoder.step().unwrap() {
                encoder.encode(&decoded.batch, &mut out).unwrap();
            }
            let line = String::from_utf8(out).unwrap();
            assert!(line.contains(&format!("\"data\":{expected}")), "{line} has not {expected}");
            serde_json::from_str::<serde_json::Value>(&line).unwrap();
        }
    }
}

#[test]
fn what_gives_way_to_a_constant_is_neither_rescued_nor_refused() {
    let constants = [Constant { name: "year".to_owned(), value: "2024".into() }];
    let csv = FormatOptions::Csv(CsvOptions::default());
    // The catalog has no `extra`; `year` is of the key, whatever the file has under this name.
    let columns = listed(&[("a", ColumnType::String), ("year", ColumnType::String)]);
    for (format, text) in [
        (&csv, "a,year,extra\n7,1999,x\n"),
        (&FormatOptions::Jsonl, "{\"a\":\"7\",\"year\":1999,\"extra\":\"x\"}\n{\"a\":\"7\",\"year\":1999}\n"),
    ] {
        let mut decoder =
            open(format, Compression::None, &Projection::All, &object(), None, &DecodeLimits::default()).unwrap();
        decoder.feed(0, Bytes::copy_from_slice(text.as_bytes())).unwrap();
        decoder.finish();
        let Step::Batch(decoded) = decoder.step().unwrap() else { panic!("a batch") };
        let rescue = EncodeOptions::new(format, false, Validation::Emit)
            .with_policies(SchemaEvolution::Rescue, OnBadRow::default());
        let mut encoder = StreamEncoder::new("s", None, &columns, rescue).file_with(&object(), 1, &constants);
        let mut out = Vec::new();
        assert_eq!(encoder.encode(&decoded.batch, &mut out).unwrap().rescued, 1);
        let out = String::from_utf8(out).unwrap();
        let first = out.lines().next().unwrap();
        let expected = r#""data":{"a":"7","_rescued":{"extra":"x"},"year":"2024","_ab"#;
        assert!(first.contains(expected), "{first} has not {expected}");
        let freeze = EncodeOptions::new(format, false, Validation::Emit)
            .with_policies(SchemaEvolution::Freeze, OnBadRow::Collect);
        let mut encoder = StreamEncoder::new("s", None, &columns, freeze).file_with(&object(), 1, &constants);
        let encoded = encoder.encode(&decoded.batch, &mut Vec::new()).unwrap();
        let refused: Vec<_> = encoded.refused.iter().map(|refused| refused.reason.as_str()).collect();
        assert_eq!(refused.len(), 1);
        assert!(refused[0].contains("extra"), "{refused:?}");
    }
}

#[test]
fn a_catalog_with_a_byte_order_mark_in_the_first_name_keeps_that_column() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let old = listed(&[("\u{feff}a", ColumnType::String), ("b", ColumnType::String)]);
    assert_eq!(members(&csv, &old, "\u{feff}a,b\n1,x\n"), ["\"\u{feff}a\":\"1\",\"b\":\"x\""]);
    let new = listed(&[("a", ColumnType::String), ("b", ColumnType::String)]);
    assert_eq!(members(&csv, &new, "\u{feff}a,b\n1,x\n"), ["\"a\":\"1\",\"b\":\"x\""]);
}

/// What a file's rows become under these policies: lines, refused reasons and notes.
fn under(
    format: &FormatOptions,
    columns: &Columns,
    (validation, evolution, on_bad_row): (Validation, SchemaEvolution, OnBadRow),
    text: &str,
) -> (Vec<serde_json::Value>, Vec<String>, Vec<String>) {
    let mut decoder =
        open(format, Compression::None, &Projection::All, &object(), None, &DecodeLimits::default()).unwrap();
    decoder.feed(0, Bytes::copy_from_slice(text.as_bytes())).unwrap();
    decoder.finish();
    let options = EncodeOptions::new(format, false, validation).with_policies(evolution, on_bad_row);
    let mut encoder = StreamEncoder::new("s", None, columns, options).file(&object(), 1);
    let (mut out, mut refused) = (Vec::new(), Vec::new());
    while let Step::Batch(decoded) = decoder.step().unwrap() {
        let encoded = encoder.encode(&decoded.batch, &mut out).unwrap();
        refused.extend(encoded.refused.into_iter().map(|refused| refused.reason));
    }
    let lines = String::from_utf8(out).unwrap();
    let data = |line: &str| {
        let mut data = serde_json::from_str::<serde_json::Value>(line).unwrap()["record"]["data"].take();
        data.as_object_mut().unwrap().retain(|key, _| !key.starts_with("_ab_"));
        data
    };
    (lines.lines().map(data).collect(), refused, encoder.report().notes())
}

const SKIP: (Validation, SchemaEvolution, OnBadRow) = (Validation::Skip, SchemaEvolution::Evolve, OnBadRow::Stop);
const FREEZE: (Validation, SchemaEvolution, OnBadRow) = (Validation::Emit, SchemaEvolution::Freeze, OnBadRow::Collect);
const RESCUE: (Validation, SchemaEvolution, OnBadRow) = (Validation::Emit, SchemaEvolution::Rescue, OnBadRow::Stop);

#[test]
fn skip_record_leaves_out_an_array_in_a_string_column_and_a_string_in_an_object_column() {
    let columns = listed(&[("s", ColumnType::String), ("o", ColumnType::Object)]);
    let text = "{\"s\":\"x\",\"o\":{}}\n{\"s\":[1]}\n{\"o\":\"x\"}\n{\"o\":1}\n{\"o\":[]}\n{\"s\":1,\"o\":null}\n";
    let (data, _, notes) = under(&FormatOptions::Jsonl, &columns, SKIP, text);
    assert_eq!(data, [serde_json::json!({"s": "x", "o": {}}), serde_json::json!({"s": 1})]);
    assert_eq!(notes, ["Records in file did not pass validation policy: 4 records were skipped"]);
    let csv = FormatOptions::Csv(CsvOptions::default());
    let (data, _, notes) = under(&csv, &columns, SKIP, "o\n{}\n1\n[]\nx\n\"{\"\"a\"\":1}\"\n");
    assert_eq!(data, [serde_json::json!({"o": {}}), serde_json::json!({"o": {"a": 1}})]);
    assert_eq!(notes, ["Records in file did not pass validation policy: 3 records were skipped"]);
}

#[test]
fn freeze_and_rescue_do_not_accept_mistyped_values() {
    let columns = listed(&[
        ("id", ColumnType::Integer),
        ("s", ColumnType::String),
        ("n", ColumnType::Number),
        ("_rescued", ColumnType::Object),
    ]);
    let text = "{\"id\":true}\n{\"s\":5}\n{\"id\":7.0,\"s\":\"x\",\"n\":5}\n{\"n\":false}\n";
    let (data, refused, _) = under(&FormatOptions::Jsonl, &columns, FREEZE, text);
    assert_eq!(data, [serde_json::json!({"id": 7.0, "s": "x", "n": 5})]);
    assert_eq!(refused.len(), 3);
    let (data, _, notes) = under(&FormatOptions::Jsonl, &columns, RESCUE, text);
    let expected = [
        serde_json::json!({"_rescued": {"id": true}}),
        serde_json::json!({"_rescued": {"s": 5}}),
        serde_json::json!({"id": 7.0, "s": "x", "n": 5}),
        serde_json::json!({"_rescued": {"n": false}}),
    ];
    assert_eq!(data, expected);
    assert_eq!(notes, ["3 records have fields in the column '_rescued'"]);
}

#[test]
fn numbers_that_json_does_not_have_are_counted_refused_or_rescued() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let columns = listed(&[("n", ColumnType::Number), ("_rescued", ColumnType::Object)]);
    let text = "n\n1\nNaN\n1e400\n-inf\n";
    let note = "3 values of column 'n' are NaN, infinite or out of range and were emitted as null, for example 'NaN'";
    for policies in [(Validation::Emit, SchemaEvolution::Evolve, OnBadRow::Stop), SKIP] {
        let (data, refused, notes) = under(&csv, &columns, policies, text);
        assert_eq!((data.len(), refused.len()), (4, 0), "{policies:?}");
        assert_eq!(notes, [note], "{policies:?}");
    }
    let (data, refused, notes) = under(&csv, &columns, FREEZE, text);
    assert_eq!((data, refused.len()), (vec![serde_json::json!({"n": 1})], 3));
    assert_eq!(notes, [""; 0], "nothing was emitted as null");
    let (data, _, notes) = under(&csv, &columns, RESCUE, text);
    assert_eq!(data[1], serde_json::json!({"_rescued": {"n": "NaN"}}));
    assert_eq!(notes, ["3 records have fields in the column '_rescued'"]);
}

#[test]
fn rows_that_are_not_emitted_are_not_said_to_be_emitted_as_strings() {
    let csv = FormatOptions::Csv(CsvOptions::default());
    let columns = listed(&[("a", ColumnType::Integer), ("n", ColumnType::Number)]);
    for policies in [FREEZE, SKIP] {
        let (data, _, notes) = under(&csv, &columns, policies, "a,n\n1,1\nx,NaN\n2,y\n");
        assert_eq!(data, [serde_json::json!({"a": 1, "n": 1})]);
        assert!(!notes.iter().any(|note| note.contains("were emitted as")), "{notes:?}");
    }
}

#[test]
fn rescue_says_when_the_catalog_has_no_column_for_it() {
    let columns = listed(&[("a", ColumnType::Integer)]);
    let (data, _, notes) = under(&FormatOptions::Jsonl, &columns, RESCUE, "{\"a\":1,\"b\":2}\n");
    assert_eq!(data, [serde_json::json!({"a": 1, "_rescued": {"b": 2}})]);
    assert!(notes[0].contains("which is not in the catalog: refresh the schema"), "{notes:?}");
}
