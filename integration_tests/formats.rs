//! What files of a format may be like: what discovery tells of them, and what a read makes of them.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::sync::Arc;

use crate::support::{Bench, Output, catalog, catalog_with, gzipped};
use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

fn stream(format: Value, policies: Value) -> Value {
    let mut stream = json!({"name": "s", "globs": ["d/*"], "format": format});
    for (key, value) in policies.as_object().unwrap() {
        stream[key] = value.clone();
    }
    json!([stream])
}

/// The properties that discovery finds, without the added columns.
fn properties(output: &Output) -> Value {
    let mut properties = output.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"].clone();
    properties.as_object_mut().unwrap().retain(|name, _| !name.starts_with("_ab"));
    properties
}

#[track_caller]
fn message(output: &Output) -> String {
    assert_eq!(output.code, Some(1), "{:#?}", output.logs());
    output.errors()[0]["message"].as_str().unwrap().to_owned()
}

fn parquet(fields: Vec<Field>, columns: Vec<ArrayRef>) -> Vec<u8> {
    let table = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn a_first_record_that_is_longer_than_the_sample_is_discovered() {
    let long = "x".repeat(1_500_000);
    let typed = json!({"filetype": "csv", "inference_type": "Primitive Types Only"});
    let integer = json!({"type": ["null", "integer"]});
    let text = json!({"type": ["null", "string"]});
    for (format, key, content) in [
        (json!({"filetype": "jsonl"}), "d/a.jsonl", format!("{{\"id\":1,\"text\":\"{long}\"}}\n{{\"id\":2}}\n")),
        (typed, "d/a.csv", format!("id,text\n1,{long}\n2,y\n")),
    ] {
        let bench = Bench::new();
        bench.put(key, content, 1);
        let output = bench.discover(&bench.config(stream(format, json!({})))).ok();
        assert_eq!(properties(&output), json!({"id": integer, "text": text}), "{key}");
        assert_eq!(bench.requests().0, 2, "the first megabyte, and what comes behind it");
    }
}

#[test]
fn discovery_fails_where_every_row_is_bad() {
    for (filetype, content) in [
        ("csv", "id,text\n1\n2\n".to_owned()),
        ("jsonl", "nope\nneither\n".to_owned()),
        ("jsonl", "\0".repeat(1000)),
        ("jsonl", "\0".repeat(1_200_000)),
    ] {
        let bench = Bench::new();
        bench.put("d/a", &content, 1);
        let config = bench.config(stream(json!({"filetype": filetype}), json!({})));
        let message = message(&bench.discover(&config));
        assert!(message.contains("none of the 1 sampled files could be read"), "{filetype}: {message}");
    }
}

#[test]
fn of_files_of_one_second_those_with_the_first_keys_are_sampled() {
    let bench = Bench::new();
    for (key, second) in [("d/a.csv", 1), ("d/b.csv", 1), ("d/c.csv", 1), ("d/d.csv", 0)] {
        bench.put(key, format!("{}\n1\n", &key[2..3]), second);
    }
    let policies = json!({"recent_n_files_to_read_for_schema_discovery": 2});
    let output = bench.discover(&bench.config(stream(json!({"filetype": "csv"}), policies))).ok();
    assert_eq!(properties(&output).as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn parquet_with_two_columns_of_one_name_is_refused_by_name() {
    let bench = Bench::new();
    let field = |name: &str| Field::new(name, DataType::Int64, true);
    let values = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let file = parquet(vec![field("x"), field("y"), field("x")], vec![values(), values(), values()]);
    bench.put("d/a.parquet", file, 1);
    let config = bench.config(stream(json!({"filetype": "parquet"}), json!({})));
    let output = bench.read(&config, &catalog("s", "full_refresh"), None);
    assert_eq!(output.data().len(), 0);
    let text = output.errors()[0].to_string();
    assert!(
        message(&output).contains("two columns of the Parquet file have the same name") && text.contains("'x'"),
        "{text}"
    );
}

#[test]
fn binary_columns_have_a_text_by_option() {
    let bytes: Vec<u8> = (0..16).map(|at| at * 17).collect();
    let uuid = Arc::new(FixedSizeBinaryArray::try_from_iter(std::iter::once(&bytes)).unwrap());
    let named = [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())];
    let fields = vec![
        Field::new("uuid", DataType::FixedSizeBinary(16), false).with_metadata(named.into()),
        Field::new("raw", DataType::Binary, false),
    ];
    let file = parquet(fields, vec![uuid, Arc::new(BinaryArray::from(vec![b"\xff\x00".as_slice()]))]);
    let bench = Bench::new();
    bench.put("d/a.parquet", file, 1);
    for (encoding, raw) in [("base64", "/wA="), ("hex", "ff00")] {
        let format = json!({"filetype": "parquet", "binary_encoding": encoding});
        let output = bench.read(&bench.config(stream(format, json!({}))), &catalog("s", "full_refresh"), None).ok();
        assert_eq!(output.column("uuid"), ["00112233-4455-6677-8899-aabbccddeeff"]);
        assert_eq!(output.column("raw"), [raw]);
    }
    let config = bench.config(stream(json!({"filetype": "parquet"}), json!({})));
    let message = message(&bench.read(&config, &catalog("s", "full_refresh"), None));
    assert!(message.contains("not UTF-8") && message.contains("binary_encoding"), "{message}");
}

/// The letters that a read writes.
fn letters(bench: &Bench, format: Value, policies: Value, properties: Value) -> Vec<Value> {
    let folder = bench.folder.join("letters");
    let mut policies = policies;
    policies["on_error"] = json!("dead_letter");
    policies["dead_letter_path"] = json!(folder);
    bench.read(&bench.config(stream(format, policies)), &catalog_with("s", "full_refresh", properties), None).ok();
    let files: Vec<_> = std::fs::read_dir(folder.join("s/d")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let text = std::fs::read_to_string(&files[0]).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn offsets_of_dead_letters_name_their_unit_where_they_do_not_count_bytes_of_the_object() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (encoding, content, offset, unit) in [
        ("utf8", "a,b\né,1\n2\n".as_bytes().to_vec(), 9, Value::Null),
        ("latin1", b"a,b\n\xe9,1\n2\n".to_vec(), 9, json!("bytes of the text in UTF-8")),
        ("utf_16_le", utf16("a,b\né,1\n2\n"), 9, json!("bytes of the text in UTF-8")),
    ] {
        let bench = Bench::new();
        bench.put("d/a.csv", content, 1);
        let format = json!({"filetype": "csv", "encoding": encoding});
        let letters = letters(&bench, format, json!({}), json!({}));
        assert_eq!((&letters[0]["offset"], &letters[0]["offset_unit"]), (&json!(offset), &unit), "{encoding}");
    }
    let bench = Bench::new();
    bench.put("d/a.csv.gz", gzipped(b"a,b\n1\n"), 1);
    let letters = letters(&bench, json!({"filetype": "csv"}), json!({}), json!({}));
    let expected = (&json!(4), &json!("bytes of the decompressed text"));
    assert_eq!((&letters[0]["offset"], &letters[0]["offset_unit"]), expected);
}

#[test]
fn letters_of_a_frozen_schema_hold_the_text_of_the_source() {
    let integer = json!({"type": ["null", "integer"]});
    let text = json!({"type": ["null", "string"]});
    let policies = || json!({"schema_evolution": "freeze"});
    let rows = ["x ,  plain", "\"y\",\"two\r\nlines\"", "z,\"a \"\"quoted\"\" word\"", "\"w\",\"\""];
    let content = format!("id,t\r\n1,good\r\n{}\r\n2,\"go\"\"od\"\r\n{}", rows[..3].join("\r\n"), rows[3]);
    for escape in ["", "\\"] {
        let bench = Bench::new();
        bench.put("d/a.csv", &content, 1);
        let format = json!({"filetype": "csv", "escape_char": escape});
        let letters = letters(&bench, format, policies(), json!({"id": integer, "t": text}));
        assert_eq!(
            letters.iter().map(|letter| letter["raw"].as_str().unwrap()).collect::<Vec<_>>(),
            rows,
            "{escape:?}"
        );
    }
    let rows = ["{ \"id\" : \"x\", \"t\":\"}\" }", "{\"id\":true}"];
    let bench = Bench::new();
    bench.put("d/a.jsonl", format!("{{\"id\":1}}\n  {} \n{}\n{{\"id\":2}}\n", rows[0], rows[1]), 1);
    let letters = letters(&bench, json!({"filetype": "jsonl"}), policies(), json!({"id": integer, "t": text}));
    assert_eq!(letters.iter().map(|letter| letter["raw"].as_str().unwrap()).collect::<Vec<_>>(), rows);
}

#[test]
fn a_good_line_after_a_truncated_one_is_read() {
    let cuts = [
        "{\"a\":1,\"b\":",
        "{\"a\":1,",
        "{\"a\":[",
        "{\"a\":{\"b\":1",
        "{\"a\":\"x",
        "{\"a\":1",
        "{",
        "{\"a\":{\"b\":",
    ];
    for cut in cuts {
        for end in ["\n", "\r\n"] {
            for behind in ["", "{\"id\":3}"] {
                let bench = Bench::new();
                bench.put("d/a.jsonl", format!("{{\"id\":1}}{end}{cut}{end}{{\"id\":2}}{end}{behind}"), 1);
                let config = bench.config(stream(json!({"filetype": "jsonl"}), json!({"on_error": "skip"})));
                let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
                let expected = if behind.is_empty() { &["1", "2"][..] } else { &["1", "2", "3"] };
                assert_eq!(output.column("id"), expected, "{cut:?} {end:?}");
                assert!(
                    output.logs().iter().any(|line| line.contains("1 bad rows in 1 files")),
                    "{:#?}",
                    output.logs()
                );
            }
        }
    }
}

/// What a catalog of compatible types says otherwise than its records are: the connector that we replace has these types, and
/// tables were made from them. Rich types are those of the records.
const PARITY: &[(&str, &str)] = &[
    ("binary.xlsb", "Unnamed: 5"),
    ("binary.xlsb", "id.1"),
    ("logical.avro", "time_ms"),
    ("logical.avro", "time_us"),
    ("mixed.jsonl", "b"),
    ("mixed.jsonl", "c"),
    ("mixed.jsonl", "e"),
    ("nested.avro", "inner"),
    ("nested.avro", "list"),
    ("nullable.avro", "time_ms"),
    ("nullable.avro", "time_us"),
    ("polars.parquet", "cat"),
    ("since_1904.xlsx", "mixed"),
    ("texts.parquet", "dictionary"),
    ("types.xlsx", "mixed"),
    ("union.avro", "any"),
    ("union.avro", "named"),
];

/// The fixtures of three formats, and rows whose values are of several types.
fn fixtures() -> Vec<(String, &'static str, Vec<u8>)> {
    let mut files = Vec::new();
    for (folder, extensions, filetype) in
        [("avro", &["avro"][..], "avro"), ("parquet", &["parquet"], "parquet"), ("excel", &["xlsx", "xlsb"], "excel")]
    {
        let path = format!("{}/integration_tests/fixtures/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known)) {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                files.push((name, filetype, std::fs::read(&path).unwrap()));
            }
        }
    }
    let mixed = "{\"a\":[1,\"x\",null],\"b\":true,\"c\":{\"d\":1}}\n{\"a\":[{}],\"b\":1,\"c\":{\"d\":[]},\"e\":\"x\"}\n\
        {\"b\":1.5,\"c\":[],\"e\":5}\n";
    files.push(("mixed.jsonl".to_owned(), "jsonl", mixed.into()));
    files.push(("typed.csv".to_owned(), "csv", b"a,b,c\ntrue,1,x\nno,2.5,\n".to_vec()));
    files.sort();
    files
}

#[test]
fn every_record_of_every_fixture_is_what_its_catalog_says() {
    let bench = Bench::new();
    let files = fixtures();
    for (name, _, content) in &files {
        bench.put(&format!("d/{name}"), content, 1);
    }
    for inference in ["compatible", "rich"] {
        let streams: Vec<Value> = files
            .iter()
            .map(|(name, filetype, _)| {
                let format = json!({"filetype": filetype});
                json!({"name": name, "globs": [format!("d/{name}")], "format": format, "inference": inference})
            })
            .collect();
        let config = bench.config(json!(streams));
        let discovered = bench.discover(&config).ok();
        let streams = discovered.of_type("CATALOG")[0]["catalog"]["streams"].as_array().unwrap();
        let configured: Vec<Value> = streams
            .iter()
            .map(|stream| json!({"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}))
            .collect();
        let output = bench.read(&config, &json!({"streams": configured}), None).ok();
        let mut broken = std::collections::BTreeMap::new();
        for stream in streams {
            let schema = jsonschema::validator_for(&stream["json_schema"]).unwrap();
            let own = |record: &&&Value| record["record"]["stream"] == stream["name"];
            for record in output.of_type("RECORD").iter().filter(own) {
                for error in schema.iter_errors(&record["record"]["data"]) {
                    let place = error.instance_path().to_string();
                    let column = place.split('/').nth(1).unwrap_or_default().to_owned();
                    let name = stream["name"].as_str().unwrap().to_owned();
                    broken.entry((name, column)).or_insert_with(|| error.to_string());
                }
            }
        }
        let expected = PARITY.iter().map(|(name, column)| ((*name).to_owned(), (*column).to_owned()));
        let expected = if inference == "rich" { Vec::new() } else { expected.collect() };
        assert_eq!(broken.keys().cloned().collect::<Vec<_>>(), expected, "{inference}: {broken:#?}");
    }
}
