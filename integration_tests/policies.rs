//! Bad rows and fields that are not as expected, in whole reads: what is emitted, what is written elsewhere, what is said,
//! and how the run ends.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::path::Path;
use std::sync::Arc;

use crate::support::testkit::{Action, Fault, When};
use crate::support::{BUCKET, Bench, Output, catalog, catalog_with, gzipped};
use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

fn stream(filetype: &str, policies: Value) -> Value {
    let mut stream = json!({"name": "s", "globs": ["d/*"], "format": {"filetype": filetype}});
    for (key, value) in policies.as_object().unwrap() {
        stream[key] = value.clone();
    }
    json!([stream])
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

#[track_caller]
fn assert_said(output: &Output, parts: &[&str]) {
    for part in parts {
        assert!(output.logs().iter().any(|line| line.contains(part)), "'{part}' in {:#?}", output.logs());
    }
}

#[test]
fn bad_rows_are_skipped_counted_and_said_once_a_kind() {
    let bench = Bench::new();
    let bad: String = (0..500).map(|row| format!("{row}\n")).collect();
    bench.put("d/a.csv", format!("x,y\n1,1\n{bad}2,2\n"), 1);
    bench.put("d/b.csv.gz", gzipped(b"x,y\n3,3\n4,\"4\xff\"\n5,5\n"), 2);
    let config = bench.config(stream("csv", json!({"on_error": "skip"})));
    let output = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(sorted(output.column("x")), ["1", "2", "3", "5"]);
    assert_eq!(output.statuses().last(), Some(&"COMPLETE"));
    assert_said(
        &output,
        &[
            "501 bad rows in 2 files were skipped",
            "500 bad rows: a CSV row has fewer fields than the header defines; the first is in 'd/a.csv', line 3, byte 8: \"0\"",
            "1 bad rows: a byte is not UTF-8 text; the first is in 'd/b.csv.gz', line 3",
            "bad rows by file: 'd/a.csv' 500, 'd/b.csv.gz' 1",
        ],
    );
    assert!(output.logs().len() < 30, "no line per row: {:#?}", output.logs());
    let again = bench.read(&config, &catalog("s", "incremental"), Some(&output.state())).ok();
    assert_eq!(again.column("x"), Vec::<String>::new(), "files with bad rows are read");
}

/// The letters under a prefix, each line read.
fn letters(bench: &Bench, prefix: &str) -> Vec<(String, Vec<Value>)> {
    let store = bench.server.store();
    let keys = store.keys(BUCKET).into_iter().filter(|key| key.starts_with(prefix));
    keys.map(|key| {
        let content = store.get(BUCKET, &key).unwrap().content.to_bytes();
        let lines = String::from_utf8(content.to_vec()).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (key, lines)
    })
    .collect()
}

#[test]
fn dead_letters_have_the_row_and_its_place_and_are_no_data() {
    let bench = Bench::new();
    bench.put("d/a.jsonl", "{\"x\":1}\nnope\n{\"x\":2}\n[3]\n", 1);
    let policies = json!({"on_error": "dead_letter", "dead_letter_path": format!("s3://{BUCKET}/d/")});
    let config = bench.config(stream("jsonl", policies));
    // The pattern matches what is written, too.
    let mut config = config;
    config["streams"][0]["globs"] = json!(["d/**"]);
    for _ in 0..2 {
        let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
        assert_eq!(output.column("x"), ["1", "2"]);
        assert_said(&output, &["2 bad rows in 1 files were written to s3://bucket/d/"]);
        let written = letters(&bench, "d/s/");
        let [(key, lines)] = &written[..] else { panic!("one object: {written:?}") };
        assert!(key.starts_with("d/s/d/a.jsonl.") && key.ends_with(".dead-letters.jsonl"), "{key}");
        assert_eq!(lines.len(), 2);
        let letter = &lines[0];
        assert_eq!((&letter["key"], &letter["stream"]), (&json!("d/a.jsonl"), &json!("s")));
        assert_eq!((&letter["line"], &letter["offset"], &letter["raw"]), (&json!(2), &json!(8), &json!("nope\n")));
        assert_eq!(letter["reason"], json!("a line is not a JSON object: expected an object"));
        assert_eq!(lines[1]["raw"], json!("[3]\n"));
    }
    let log = bench.server.log();
    assert_eq!(log.count(|entry| entry.operation == "REST.PUT.OBJECT"), 2, "one PUT a file and run");
}

#[test]
fn dead_letters_for_another_bucket_are_not_written_into_the_bucket_of_the_data() {
    let bench = Bench::new();
    bench.server.store().create_bucket("letters", Default::default());
    bench.put("d/a.jsonl", "{\"x\":1}\nnope\n", 1);
    let policies = json!({"on_error": "dead_letter", "dead_letter_path": "s3://letters/d/"});
    bench.read(&bench.config(stream("jsonl", policies)), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(bench.server.store().keys(BUCKET), ["d/a.jsonl"]);
    assert_eq!(bench.server.store().keys("letters").len(), 1);
}

#[test]
fn dead_letters_go_to_a_folder_of_this_machine_too() {
    let bench = Bench::new();
    bench.put("d/a.csv", b"x,y\n1,1\n\xff,2\n3\n", 1);
    let folder = bench.folder.join("letters");
    let policies = json!({"on_error": "dead_letter", "dead_letter_path": folder});
    let output = bench.read(&bench.config(stream("csv", policies)), &catalog("s", "incremental"), None).ok();
    assert_eq!(output.column("x"), ["1"]);
    let text = std::fs::read_to_string(only_file(&folder.join("s/d"))).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0]["raw_hex"], json!("ff2c320a"), "bytes that are no text are not lost");
    assert_eq!(lines[1]["raw"], json!("3\n"));
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one file: {files:?}") };
    file.clone()
}

/// A run that is interrupted in the middle of a file, then goes on: each bad row is in the dead letters once, each good
/// row was emitted once, and the state never covers a bad row that is not written.
#[test]
fn a_resumed_run_adds_to_the_letters_of_the_first() {
    let bench = Bench::new();
    let row = |id: usize| if id % 1000 == 7 { format!("{id}\n") } else { format!("{id},{}\n", "y".repeat(90)) };
    let text: String = std::iter::once("id,y\n".to_owned()).chain((0..30_000).map(row)).collect();
    bench.put("d/a.csv", &text, 1);
    let policies = json!({"on_error": "dead_letter", "dead_letter_path": format!("s3://{BUCKET}/bad/")});
    let config = bench.config(stream("csv", policies));
    // The first run reads half of the file, then the object cannot be read any more.
    let half = text.len() as u64 / 2;
    // Closed, not reset: a reset takes away what the client has not read yet.
    bench.server.faults().add(Fault::new(Action::ShortBody(half)).times(1).when(When::get("d/a.csv")));
    bench.server.faults().add(Fault::new(Action::status(403)).when(When::get("d/a.csv")));
    let first = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!(first.code, Some(1), "{:#?}", first.logs());
    bench.server.faults().clear();
    let written: usize = letters(&bench, "bad/").iter().map(|(_, lines)| lines.len()).sum();
    assert!((5..30).contains(&written), "{written} letters of the first run");
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    let mut ids: Vec<usize> =
        [first.column("id"), second.column("id")].concat().iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    let expected: Vec<usize> = (0..30_000).filter(|id| id % 1000 != 7).collect();
    assert!(ids == expected, "{} rows", ids.len());
    let mut raw: Vec<usize> = letters(&bench, "bad/")
        .iter()
        .flat_map(|(_, lines)| lines.iter().map(|line| line["raw"].as_str().unwrap().trim().parse().unwrap()))
        .collect();
    raw.sort_unstable();
    assert_eq!(raw, (0..30).map(|thousand| thousand * 1000 + 7).collect::<Vec<_>>());
}

/// An Avro file of blocks with so many rows each, of one column of text; the codec is the one without any.
fn avro(blocks: &[&[&[u8]]]) -> Vec<u8> {
    let schema = r#"{"type":"record","name":"r","fields":[{"name":"x","type":"string"}]}"#;
    let marker = [7; 16];
    let long = |value: usize| {
        let (mut rest, mut bytes) = (value << 1, Vec::new());
        while rest > 127 {
            bytes.push(rest as u8 | 128);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    };
    let text = |text: &[u8]| [&long(text.len()), text].concat();
    let mut file = [&b"Obj\x01\x02"[..], &text(b"avro.schema"), &text(schema.as_bytes()), &[0], &marker].concat();
    for rows in blocks {
        let data = rows.iter().map(|row| text(row)).collect::<Vec<_>>().concat();
        file.extend([&long(rows.len())[..], &text(&data), &marker].concat());
    }
    file
}

#[test]
fn bad_rows_and_blocks_of_avro_are_counted_and_written_once() {
    let (good, bad): (Vec<&[u8]>, &[u8]) = (vec![b"g"; 20], b"\xff");
    let mixed: Vec<&[u8]> = vec![b"a", bad, b"b"];
    let mut file = avro(&[&good, &mixed, &good, &good]);
    // The marker of the first of the last two blocks.
    let end = file.len() - (1 + 1 + 40 + 16);
    file[end - 1] = 8;
    let (bench, policies) = (Bench::new(), json!({"on_error": "dead_letter", "dead_letter_path": "s3://bucket/bad/"}));
    bench.put("d/a.avro", &file, 1);
    let failing = bench.read(&bench.config(stream("avro", json!({}))), &catalog("s", "incremental"), None);
    assert_eq!(
        (failing.code, failing.data().len()),
        (Some(1), 21),
        "it stops at the first bad row unless it is asked to go on"
    );
    let config = bench.config(stream("avro", policies));
    let output = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(output.data().len(), 20 + 2 + 20);
    assert_said(
        &output,
        &[
            "21 bad rows in 1 files were written to s3://bucket/bad/",
            "20 bad rows: an Avro block cannot be read: the Avro file is damaged: a block does not end with the sync marker of the file",
            "1 bad rows: a row of the Avro file cannot be read: a string is not UTF-8 text (column 'x')",
        ],
    );
    let written = letters(&bench, "bad/");
    let [row, block] = &written[0].1[..] else { panic!("two letters: {written:?}") };
    assert_eq!((&row["row"], &row["raw_hex"], &row["key"]), (&json!(22), &json!("02ff"), &json!("d/a.avro")));
    assert_eq!((&block["row"], &block["rows"]), (&json!(24), &json!(20)));
    assert!(row["offset"].as_u64().unwrap() < block["offset"].as_u64().unwrap(), "{written:?}");

    let tolerant = |most: u64| stream("avro", json!({"on_error": "skip", "max_bad_rows": most}));
    for (most, code) in [(20, 1), (21, 0)] {
        let output = bench.read(&bench.config(tolerant(most)), &catalog("s", "full_refresh"), None);
        assert_eq!(output.code, Some(code), "{most} bad rows may be: all rows of a lost block count");
    }
}

#[test]
fn letters_that_cannot_be_written_fail_their_file_and_no_state_covers_it() {
    let bench = Bench::new();
    bench.put("d/a.csv", "x,y\n1,1\n2\n", 1);
    bench.put("d/b.csv", "x,y\n3,3\n", 2);
    bench.server.faults().add(Fault::new(Action::status(403)).when(When::operation("REST.PUT.OBJECT")));
    let policies = json!({"on_error": "dead_letter", "dead_letter_path": format!("s3://{BUCKET}/bad/")});
    let output = bench.read(&bench.config(stream("csv", policies)), &catalog("s", "incremental"), None);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.column("x"), ["3"]);
    let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
    assert!(error["message"].as_str().unwrap().contains("s3:PutObject"), "{error}");
    let state = &output.state()[0]["stream"]["stream_state"];
    assert!(state["history"].get("d/a.csv").is_none() && state["history"].get("d/b.csv").is_some(), "{state}");
}

#[test]
fn too_many_bad_rows_fail_the_stream() {
    let bench = Bench::new();
    let text: String =
        std::iter::once("x,y\n".to_owned()).chain((0..100).map(|row| format!("{row},1\n{row}\n"))).collect();
    bench.put("d/a.csv", text, 1);
    for (limit, fails) in [
        (json!({"max_bad_rows": 99}), true),
        (json!({"max_bad_rows": 100}), false),
        (json!({"max_bad_percent": 49.9}), true),
        (json!({"max_bad_percent": 50}), false),
    ] {
        let mut policies = limit.clone();
        policies["on_error"] = json!("skip");
        let output = bench.read(&bench.config(stream("csv", policies)), &catalog("s", "incremental"), None);
        assert_eq!(output.code, Some(i32::from(fails)), "{limit}: {:#?}", output.logs());
        if fails {
            let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
            assert!(error["message"].as_str().unwrap().contains("more bad rows than allowed"), "{error}");
            assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
        }
    }
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The same rows in three formats: `id` is 1, a text and 3; `extra` is unknown, and absent in the last row.
fn files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["1", "two", "3"]));
    let extras: ArrayRef = Arc::new(StringArray::from(vec![Some("e"), Some("f"), None]));
    let plain: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    vec![
        ("csv", "d/a.csv", b"id,extra,n\n1,e,1\ntwo,f,2\n3,,3\n".to_vec()),
        (
            "jsonl",
            "d/a.jsonl",
            b"{\"id\":1,\"extra\":\"e\",\"n\":1}\n{\"id\":\"two\",\"extra\":\"f\",\"n\":2}\n{\"id\":3,\"n\":3}\n"
                .to_vec(),
        ),
        ("parquet", "d/a.parquet", parquet(vec![("id", ids), ("extra", extras), ("n", plain)])),
    ]
}

fn data(output: &Output) -> Vec<Value> {
    let own = |data: &&Value| {
        let mut object = data.as_object().unwrap().clone();
        object.retain(|key, _| !key.starts_with("_ab_"));
        Value::Object(object)
    };
    output.data().iter().map(own).collect()
}

fn properties() -> Value {
    json!({"id": {"type": ["null", "integer"]}, "n": {"type": ["null", "integer"]}})
}

#[test]
fn unknown_and_mistyped_fields_are_rescued() {
    for (filetype, key, content) in files() {
        let bench = Bench::new();
        bench.put(key, content, 1);
        let config = bench.config(stream(filetype, json!({"schema_evolution": "rescue"})));
        let output = bench.read(&config, &catalog_with("s", "full_refresh", properties()), None).ok();
        let expected = match filetype {
            "csv" => vec![
                json!({"id": 1, "n": 1, "_rescued": {"extra": "e"}}),
                json!({"n": 2, "_rescued": {"id": "two", "extra": "f"}}),
                json!({"id": 3, "n": 3, "_rescued": {"extra": ""}}),
            ],
            "jsonl" => vec![
                json!({"id": 1, "n": 1, "_rescued": {"extra": "e"}}),
                json!({"n": 2, "_rescued": {"id": "two", "extra": "f"}}),
                json!({"id": 3, "n": 3}),
            ],
            // The type is the column's, for all of its values.
            _ => vec![
                json!({"n": 1, "_rescued": {"id": "1", "extra": "e"}}),
                json!({"n": 2, "_rescued": {"id": "two", "extra": "f"}}),
                json!({"n": 3, "_rescued": {"id": "3"}}),
            ],
        };
        assert_eq!(data(&output), expected, "{filetype}");
        assert_said(&output, &["records have fields in the column '_rescued'"]);
        let discovered = bench.discover(&config).ok();
        let schema = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
        assert_eq!(schema["_rescued"], json!({"type": ["null", "object"]}), "{filetype}");
        assert!(schema.get("extra").is_some(), "discovery finds new columns all the same");
    }
}

#[test]
fn a_frozen_schema_fails_with_the_name_of_the_field() {
    for (filetype, key, content) in files() {
        let bench = Bench::new();
        bench.put(key, content, 1);
        let config = bench.config(stream(filetype, json!({"schema_evolution": "freeze"})));
        let output = bench.read(&config, &catalog_with("s", "incremental", properties()), None);
        assert_eq!(output.code, Some(1), "{filetype}");
        let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
        assert!(
            error["message"].as_str().unwrap().contains("column 'extra' is not in the catalog"),
            "{filetype}: {error}"
        );
        assert_eq!(output.data().len(), 0, "{filetype}");

        let mut with_extra = properties();
        with_extra["extra"] = json!({"type": ["null", "string"]});
        let output = bench.read(&config, &catalog_with("s", "incremental", with_extra.clone()), None);
        assert_eq!(output.code, Some(1), "{filetype}");
        let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
        assert!(
            error["message"].as_str().unwrap().contains("column 'id' is not of the catalog's type integer"),
            "{error}"
        );
        // Rows before the bad one are emitted, and the state stands behind them.
        let before = if filetype == "parquet" { 0 } else { 1 };
        assert_eq!(output.data().len(), before, "{filetype}");
        let again = bench.read(&config, &catalog_with("s", "incremental", with_extra.clone()), Some(&output.state()));
        assert_eq!((again.code, again.data().len()), (Some(1), 0), "{filetype}: no row comes twice");

        let skipping = json!({"schema_evolution": "freeze", "on_error": "skip"});
        let config = bench.config(stream(filetype, skipping));
        let output = bench.read(&config, &catalog_with("s", "incremental", with_extra), None).ok();
        assert_eq!(output.data().len(), if filetype == "parquet" { 0 } else { 2 }, "{filetype}");
        assert_said(&output, &["a value of column 'id' is not of the catalog's type integer"]);
    }
}

#[test]
fn records_that_fail_validation_and_values_without_a_text_take_the_same_road() {
    let bench = Bench::new();
    bench.put("d/a.jsonl", "{\"id\":1}\n{\"id\":\"x\"}\n{\"id\":3,\"b\":1}\n", 1);
    let policies = json!({
        "validation_policy": "Skip Record", "on_error": "dead_letter", "dead_letter_path": format!("s3://{BUCKET}/bad/"),
    });
    let config = bench.config(stream("jsonl", policies));
    let output = bench.read(&config, &catalog_with("s", "incremental", properties()), None).ok();
    assert_eq!(output.column("id"), ["1"]);
    let written = letters(&bench, "bad/");
    let lines = &written[0].1;
    assert_eq!(
        (&lines[0]["raw"], &lines[0]["line"], &lines[0]["row"]),
        (&json!("{\"id\":\"x\"}"), &json!(2), &json!(2))
    );
    assert_eq!(lines[1]["reason"], json!("the column 'b' is not in the catalog"));

    let bench = Bench::new();
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"a"[..], b"\xff", b"c"]));
    bench.put("d/a.parquet", parquet(vec![("x", bytes)]), 1);
    let output = bench.read(&bench.config(stream("parquet", json!({}))), &catalog("s", "incremental"), None);
    assert_eq!((output.code, output.column("x")), (Some(1), vec!["a".to_owned()]), "the row before it is kept");
    let pending = &output.state()[0]["stream"]["stream_state"]["tollgate"]["pending"]["d/a.parquet"];
    assert_eq!((&pending["group"], &pending["row"]), (&json!(0), &json!(1)));
    let output = bench
        .read(&bench.config(stream("parquet", json!({"on_error": "skip"}))), &catalog("s", "incremental"), None)
        .ok();
    assert_eq!(output.column("x"), ["a", "c"]);
    assert_said(&output, &["1 bad rows: column 'x': "]);
}

#[test]
fn a_stream_that_waits_for_discovery_stops_before_the_record_and_emits_no_row_twice() {
    let bench = Bench::new();
    bench.put("d/a.jsonl", "{\"id\":1}\n{\"id\":2}\n{\"id\":\"x\"}\n{\"id\":4}\n", 1);
    bench.put("d/b.jsonl", "{\"id\":5}\n", 2);
    let config = bench.config(stream("jsonl", json!({"validation_policy": "Wait for Discover"})));
    let catalog = catalog_with("s", "incremental", properties());
    let first = bench.read(&config, &catalog, None);
    assert_eq!(
        (first.code, sorted(first.column("id"))),
        (Some(1), vec!["1".to_owned(), "2".to_owned(), "5".to_owned()])
    );
    let again = bench.read(&config, &catalog, Some(&first.state()));
    assert_eq!((again.code, again.data().len()), (Some(1), 0));
    let [error] = again.errors()[..] else { panic!("one TRACE ERROR: {again:#?}") };
    for part in ["Wait for Discover", "line '3'", "column 'id'"] {
        assert!(error["message"].as_str().unwrap().contains(part), "'{part}' in {error}");
    }
}

/// Headers and keys as they come: what is emitted, and what is said of what is not.
#[test]
fn odd_names_are_emitted_or_told() {
    let wide: String = (0..5000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let values: String = (0..5000).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let cases: Vec<(&str, Vec<u8>, Value, &[&str])> = vec![
        ("csv", b"\xef\xbb\xbfa, b ,\"c\nd\"\n1,2,3\n".to_vec(), json!({"a": "1", "b": "2", "c\nd": "3"}), &[]),
        (
            "csv",
            b"a,a,b\n1,2,3\n".to_vec(),
            json!({"a": "2", "b": "3"}),
            &["occur more than once in a header: 'a' (1 times)"],
        ),
        (
            "jsonl",
            b"{\"a\":1,\"\":2,\" b \":3,\"a\":4}\n".to_vec(),
            json!({"a": 4, "": 2, " b ": 3}),
            &["1 rows had a key more than once"],
        ),
        (
            "jsonl",
            b"\xef\xbb\xbf{\"\\u0061\":1,\"a\":2}\n".to_vec(),
            json!({"a": 2}),
            &["1 rows had a key more than once"],
        ),
        ("csv", format!("{wide}\n{values}\n").into_bytes(), Value::Null, &[]),
    ];
    for (filetype, content, expected, said) in cases {
        let bench = Bench::new();
        bench.put("d/a", &content, 1);
        let output = bench.read(&bench.config(stream(filetype, json!({}))), &catalog("s", "full_refresh"), None).ok();
        if expected.is_null() {
            assert_eq!(data(&output)[0].as_object().unwrap().len(), 5000);
        } else {
            assert_eq!(data(&output), [expected]);
        }
        assert_said(&output, said);
    }
}

#[test]
fn discovery_of_five_thousand_files_makes_ten_requests_for_contents_at_most() {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let small = parquet(vec![("id", Arc::clone(&ids))]);
    // A footer of more than the 64 KiB that are read at first: it takes two requests.
    let names: Vec<String> = (0..2500).map(|i| format!("a_column_with_quite_a_long_name_{i}")).collect();
    let wide = parquet(names.iter().map(|name| (name.as_str(), Arc::clone(&ids))).collect());
    for (filetype, content, gets) in [
        ("csv", b"id\n1\n".to_vec(), 10),
        ("jsonl", b"{\"id\":1}\n".to_vec(), 10),
        ("parquet", small, 10),
        ("parquet", wide, 10),
    ] {
        let bench = Bench::new();
        let files = if content.len() > 10_000 { 40 } else { 5000 };
        for file in 0..files {
            bench.put(&format!("d/{file:04}"), &content, file);
        }
        let output = bench.discover(&bench.config(stream(filetype, json!({})))).ok();
        assert!(
            output.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"]
                .as_object()
                .unwrap()
                .len()
                > 2
        );
        let pages = (files as usize).div_ceil(1000);
        assert_eq!(bench.requests(), (gets, pages), "{filetype}, {} bytes a file", content.len());
    }
}

#[test]
fn discovery_samples_the_newest_files_or_the_first_one() {
    let bench = Bench::new();
    for (file, second) in [("a", 1), ("b", 20), ("c", 10)] {
        bench.put(&format!("d/{file}.csv"), format!("{file}\n1\n"), second);
    }
    let columns = |policies: Value| {
        bench.server.log().clear();
        let output = bench.discover(&bench.config(stream("csv", policies))).ok();
        let properties = &output.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
        let names: Vec<String> =
            properties.as_object().unwrap().keys().filter(|name| !name.starts_with("_ab")).cloned().collect();
        (names.join(" "), bench.requests().0)
    };
    assert_eq!(columns(json!({})), ("a b c".to_owned(), 3), "in the order of the keys");
    assert_eq!(columns(json!({"recent_n_files_to_read_for_schema_discovery": 2})), ("b c".to_owned(), 2));
    assert_eq!(columns(json!({"use_first_found_file_for_schema_discovery": true})), ("a".to_owned(), 1));
}

#[test]
fn a_bad_row_in_the_sample_hides_nothing() {
    let bench = Bench::new();
    bench.put("d/a.csv", "id,name\n1,x\nbad\n2,y\n", 1);
    bench.put("d/b.csv", "other\n1\n\"never closed\n", 2);
    bench.put("d/c.csv", ",,\n", 3);
    let output = bench.discover(&bench.config(stream("csv", json!({})))).ok();
    let properties = &output.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
    for name in ["id", "name", "other"] {
        assert_eq!(properties[name], json!({"type": ["null", "string"]}), "{name} in {properties}");
    }
    assert_said(
        &output,
        &["1 rows of 'd/a.csv' are bad and were ignored", "only part of a sampled file could be read"],
    );
    assert_eq!(bench.check(&bench.config(stream("csv", json!({})))).code, Some(0));
}

#[test]
fn rich_inference_tells_what_lies_inside_and_the_default_does_not() {
    let bench = Bench::new();
    bench.put("d/a.jsonl", "{\"a\":{\"b\":1,\"c\":[{\"d\":null}]},\"e\":null}\n{\"a\":{\"b\":1.5},\"e\":[1]}\n", 1);
    let properties = |policies: Value| {
        let output = bench.discover(&bench.config(stream("jsonl", policies))).ok();
        let mut properties = output.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"].clone();
        properties.as_object_mut().unwrap().retain(|name, _| !name.starts_with("_ab"));
        properties
    };
    assert_eq!(properties(json!({})), json!({"a": {"type": ["null", "object"]}, "e": {"type": ["null", "array"]}}));
    let item = json!({"type": ["null", "object"], "properties": {"d": {"type": "null"}}});
    assert_eq!(
        properties(json!({"inference": "rich"})),
        json!({
            "a": {"type": ["null", "object"], "properties": {
                "b": {"type": ["null", "number"]}, "c": {"type": ["null", "array"], "items": item},
            }},
            "e": {"type": ["null", "array"], "items": {"type": ["null", "integer"]}},
        })
    );
}

#[test]
fn flattened_columns_are_the_same_in_catalog_and_records() {
    let field = |name: &str, kind| Arc::new(arrow::datatypes::Field::new(name, kind, true));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let fields = vec![field("b", arrow::datatypes::DataType::Int64)];
    let object =
        arrow::array::StructArray::new(fields.into(), vec![Arc::clone(&numbers)], Some(vec![true, false].into()));
    let columns = parquet(vec![
        ("a", Arc::new(object) as ArrayRef),
        ("n", numbers),
        ("unwanted", Arc::new(StringArray::from(vec!["x", "y"]))),
    ]);
    let jsonl = b"{\"a\":{\"b\":1},\"n\":1,\"unwanted\":\"x\"}\n{\"a\":null,\"n\":2,\"unwanted\":\"y\"}\n".to_vec();
    for (filetype, content) in [("jsonl", jsonl), ("parquet", columns)] {
        let bench = Bench::new();
        bench.put("d/a", &content, 1);
        let config = bench.config(stream(filetype, json!({"json_flatten": true})));
        let discovered = bench.discover(&config).ok();
        let mut properties =
            discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"].clone();
        assert_eq!(properties["a_b"], json!({"type": ["null", "integer"]}), "{filetype}: {properties}");
        properties.as_object_mut().unwrap().remove("unwanted");
        let output = bench.read(&config, &catalog_with("s", "full_refresh", properties), None).ok();
        let mut expected = [json!({"a_b": 1, "n": 1}), json!({"n": 2})];
        if filetype == "jsonl" {
            (expected[0]["unwanted"], expected[1]["unwanted"]) = (json!("x"), json!("y"));
        }
        assert_eq!(data(&output), expected, "{filetype}");
    }
    let bench = Bench::new();
    bench.put("d/a.jsonl", "{\"a\":{\"b\":1},\"a_b\":2}\n", 1);
    let output = bench
        .read(&bench.config(stream("jsonl", json!({"json_flatten": true}))), &catalog("s", "full_refresh"), None)
        .ok();
    assert_eq!(data(&output), [json!({"a_b_2": 1, "a_b": 2})]);
    assert_said(
        &output,
        &["flattened columns that were renamed because their name was already taken: 'a_b' (1 times)"],
    );
    let output = bench.read(&bench.config(stream("jsonl", json!({}))), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(data(&output), [json!({"a": {"b": 1}, "a_b": 2})], "off unless asked for in Airbyte's form");
}

/// As in the connector that we replace, but that it emits such columns of Parquet too, and says nothing of those of CSV.
#[test]
fn fields_that_the_catalog_does_not_have_go_out_or_are_named() {
    let read = |filetype: &str, content: &[u8], policies: Value| {
        let bench = Bench::new();
        bench.put("d/a", content, 1);
        bench.put("d/b", content, 2);
        let listed = catalog_with("s", "full_refresh", json!({"x": {"type": ["null", "integer"]}}));
        let output = bench.read(&bench.config(stream(filetype, policies)), &listed, None).ok();
        let said = output
            .logs()
            .iter()
            .any(|line| line.contains("columns skipped because the catalog does not have them: 'y' (2 times)"));
        let emitted: Vec<bool> = output.data().iter().map(|row| row.get("y").is_some()).collect();
        assert_eq!(output.column("x"), ["1", "1"], "{filetype}");
        (emitted, said)
    };
    let columns: Vec<(&str, ArrayRef)> =
        vec![("x", Arc::new(Int64Array::from(vec![1]))), ("y", Arc::new(Int64Array::from(vec![2])))];
    let mut parquet = Vec::new();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let json = &b"{\"x\":1,\"y\":{\"z\":2}}\n"[..];
    let (out, left_out) = (vec![true, true], vec![false, false]);
    assert_eq!(read("jsonl", json, json!({})), (out.clone(), false));
    assert_eq!(read("json", json, json!({})), (out, false));
    assert_eq!(read("csv", b"x,y\n1,2\n", json!({})), (left_out.clone(), true));
    assert_eq!(read("parquet", &parquet, json!({})), (left_out.clone(), true));
    let chosen = read("parquet", &parquet, json!({"parquet_columns": ["x"]}));
    assert_eq!(chosen, (left_out, false), "columns that were not chosen need no word");
}

/// The properties that discovery finds, without the added columns.
fn discovered(bench: &Bench, streams: Value) -> Value {
    let output = bench.discover(&bench.config(streams)).ok();
    let mut properties = output.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"].clone();
    properties.as_object_mut().unwrap().retain(|name, _| !name.starts_with("_ab"));
    properties
}

#[test]
fn a_header_without_rows_tells_columns_and_no_types() {
    let text = json!({"type": ["null", "string"]});
    let bench = Bench::new();
    bench.put("d/a.csv", "id, name ,id,\n", 1);
    for policies in [json!({}), json!({"inference": "rich"})] {
        assert_eq!(discovered(&bench, stream("csv", policies.clone())), json!({"id": text, "name": text}));
        let output = bench.read(&bench.config(stream("csv", policies)), &catalog("s", "incremental"), None).ok();
        assert_eq!(output.data().len(), 0);
        assert!(output.state()[0]["stream"]["stream_state"]["history"].get("d/a.csv").is_some());
    }
    bench.put("d/b.csv", "id,more\n7,x\n", 2);
    let mut typed = stream("csv", json!({}));
    typed[0]["format"]["inference_type"] = json!("Primitive Types Only");
    let integer = json!({"type": ["null", "integer"]});
    assert_eq!(discovered(&bench, typed), json!({"id": integer, "name": text, "more": text}), "no row, no type");
}

#[test]
fn lines_that_are_arrays_are_rows_where_rows_go_out_as_they_are() {
    let bench = Bench::new();
    bench.put("d/a.jsonl", "[1, {\"a\": [2]}]\n{\"a\": null}\n[]\n[1,\n2]\n\"x\"\n", 1);
    let policies = json!({"schemaless": true, "on_error": "skip"});
    let config = bench.config(stream("jsonl", policies));
    let properties = json!({"data": {"type": "object"}});
    let output = bench.read(&config, &catalog_with("s", "full_refresh", properties.clone()), None).ok();
    let rows: Vec<_> = output.data().iter().map(|data| data["data"].clone()).collect();
    assert_eq!(rows, [json!([1, {"a": [2]}]), json!({"a": null}), json!([]), json!([1, 2])]);
    assert!(output.data().iter().all(|data| data["_ab_source_file_url"] == "d/a.jsonl"), "{}", output.text);
    assert_said(&output, &["1 bad rows: a line is not a JSON object: expected an object"]);
    bench.check(&config).ok();
    let output = bench.read(&bench.config(stream("jsonl", json!({}))), &catalog("s", "full_refresh"), None);
    assert_eq!((output.code, output.data().len()), (Some(1), 0), "elsewhere they have no columns");
}

#[test]
fn rows_that_a_filter_leaves_out_are_not_bad_and_flattened_rows_are_picked_and_refused_by_their_columns() {
    let rows = [
        r#"{"id":1,"a":{"b":1}}"#,
        r#"{"id":2,"a":{"b":"mistyped"}}"#,
        "no json",
        r#"{"id":9,"a":{"b":"left out"}}"#,
        r#"{"id":3,"a":{"b":3,"new":1}}"#,
    ];
    let nested: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 9]));
    let object = arrow::array::StructArray::new(
        vec![Arc::new(arrow::datatypes::Field::new("b", arrow::datatypes::DataType::Binary, true))].into(),
        vec![Arc::new(BinaryArray::from(vec![&b"1"[..], b"\xff", b"\xfe"]))],
        None,
    );
    let columns = parquet(vec![("id", nested), ("a", Arc::new(object) as ArrayRef)]);
    let policies = json!({
        "on_error": "dead_letter", "dead_letter_path": "s3://bucket/bad/", "json_flatten": true,
        "parquet_filters": [["id", "<", 5]], "schema_evolution": "freeze",
    });
    let typed = json!({"id": {"type": ["null", "integer"]}, "a_b": {"type": ["null", "integer"]}});
    let text = json!({"id": {"type": ["null", "integer"]}, "a_b": {"type": ["null", "string"]}});
    for (filetype, content, properties, ids, bad) in
        [("jsonl", rows.join("\n").into_bytes(), typed, vec!["1"], 3), ("parquet", columns, text, vec!["1"], 1)]
    {
        let bench = Bench::new();
        bench.put("d/a", content, 1);
        let config = bench.config(stream(filetype, policies.clone()));
        let output = bench.read(&config, &catalog_with("s", "incremental", properties), None).ok();
        assert_eq!(output.column("id"), ids, "{filetype}: {} {:#?}", output.text, output.logs());
        assert_said(
            &output,
            &[&format!("{bad} bad rows in 1 files were written"), "1 rows skipped: they do not match the filter"],
        );
        let written = letters(&bench, "bad/");
        let raw: Vec<_> =
            written[0].1.iter().map(|letter| (letter["row"].as_u64(), letter["raw"].to_string())).collect();
        assert_eq!(raw.len(), bad, "{filetype}: {raw:#?}");
        assert!(raw.iter().all(|(_, raw)| !raw.contains('9')), "{filetype}: {raw:#?}");
        let last = if filetype == "jsonl" { 4 } else { 2 };
        let row = raw.iter().filter_map(|(row, _)| *row).max();
        assert_eq!(row, Some(last), "{filetype}: rows that are left out are counted: {raw:#?}");
    }
}

/// More bytes of a row group than the budget for fetched data has.
#[test]
fn a_row_group_larger_than_the_budget_is_said_unless_its_pages_are_known() {
    use parquet::file::properties::{EnabledStatistics, WriterProperties};
    let text: String =
        (0..1_000_000).map(|at: u32| char::from(b'a' + (at.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
    let rows: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); 60]));
    let batch = RecordBatch::try_from_iter([("x", rows)]).unwrap();
    for (indexed, said) in [(false, 1), (true, 0)] {
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_data_page_row_count_limit(1)
            .set_write_batch_size(1)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(!indexed)
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let (bench, file) = (Bench::new(), writer.into_inner().unwrap());
        bench.put("d/a", &file, 1);
        bench.put("d/b", &file, 2);
        let config = bench.config(stream("parquet", json!({})));
        let properties = json!({"x": {"type": ["null", "string"]}});
        let output = bench.read(&config, &catalog_with("s", "incremental", properties), None).ok();
        assert_eq!(output.data().len(), 120);
        let logs = output.logs();
        let told = |part: &str| logs.iter().filter(|line| line.contains(part)).count();
        assert_eq!(told("bytes are needed at once, more than the"), said, "{logs:#?}");
        assert_eq!(told("2 files have row groups larger than the memory"), said, "{logs:#?}");
    }
}
