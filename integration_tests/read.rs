//! Whole reads: a configuration, objects in a bucket, and the messages that must come out.

mod support;

use serde_json::{Value, json};
use support::testkit::{ObjectOptions, VirtualBucket, VirtualObject};
use support::{BUCKET, Bench, catalog, catalog_with, finish_measured, gzipped};

fn csv_stream(globs: &[&str]) -> Value {
    json!([{"name": "s", "globs": globs, "format": {"filetype": "csv"}}])
}

/// Files of a stream are read side by side: the order of their records is not promised.
fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

#[test]
fn csv_rows_become_records_with_the_added_columns() {
    let bench = Bench::new();
    bench.put("data/a.csv", "id,name\n1,Ann\n2,\"Bo, \"\"B\"\"\"\n", 5);
    let output = bench.read(&bench.config(csv_stream(&["data/*.csv"])), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(
        output.data(),
        [
            &json!({"id": "1", "name": "Ann", "_ab_source_file_last_modified": "2024-01-15T12:00:05.000000Z", "_ab_source_file_url": "data/a.csv"}),
            &json!({"id": "2", "name": "Bo, \"B\"", "_ab_source_file_last_modified": "2024-01-15T12:00:05.000000Z", "_ab_source_file_url": "data/a.csv"}),
        ]
    );
    assert_eq!(output.statuses(), ["STARTED", "RUNNING", "COMPLETE"]);
    let state = &output.of_type("STATE").last().unwrap()["state"];
    assert_eq!(state["stream"]["stream_state"], json!({"__ab_no_cursor_state_message": true}));
    assert_eq!(state["sourceStats"]["recordCount"], json!(2.0));
    assert_eq!(bench.requests(), (1, 1), "one GET and one LIST");
}

#[test]
fn jsonl_gzip_and_plain_give_the_same_records() {
    let bench = Bench::new();
    let text = "{\"a\": 1, \"b\": {\"c\": [1, null]}, \"n\": null}\n{\"a\": 12345678901234567890123, \"b\": \"ü\"}\n";
    bench.put("j/a.jsonl", text, 1);
    bench.put("j/b.jsonl.gz", gzipped(text.as_bytes()), 2);
    let streams = json!([{"name": "s", "globs": ["j/*"], "format": {"filetype": "jsonl"}}]);
    let output = bench.read(&bench.config(streams), &catalog("s", "incremental"), None).ok();
    let text = &output.text;
    assert_eq!(
        text.matches(r#"{"a":1,"b":{"c": [1, null]},"#).count(),
        2,
        "numbers and nesting keep their text, a null is dropped: {text}"
    );
    assert_eq!(text.matches(r#"{"a":12345678901234567890123,"b":"ü","#).count(), 2, "{text}");
}

#[test]
fn a_second_incremental_sync_reads_nothing_and_later_ones_only_what_is_new_or_changed() {
    let bench = Bench::new();
    let config = bench.config(csv_stream(&["**/*.csv"]));
    let catalog = catalog("s", "incremental");
    bench.put("a.csv", "x\n1\n", 10);
    bench.put("z/b.csv", "x\n2\n", 5);
    let first = bench.read(&config, &catalog, None).ok();
    assert_eq!(sorted(first.column("x")), ["1", "2"]);

    bench.server.log().clear();
    let second = bench.read(&config, &catalog, Some(&first.state())).ok();
    assert_eq!(second.column("x"), Vec::<String>::new());
    assert_eq!(second.statuses(), ["STARTED", "COMPLETE"]);
    assert_eq!(second.state()[0]["stream"], first.state()[0]["stream"]);
    assert_eq!(bench.requests(), (0, 1), "one LIST and nothing else");

    bench.put("a.csv", "x\n3\n", 20);
    bench.put("late.csv", "x\n4\n", 1);
    let third = bench.read(&config, &catalog, Some(&second.state())).ok();
    assert_eq!(sorted(third.column("x")), ["3", "4"]);
}

#[test]
fn only_the_columns_of_the_catalog_are_emitted() {
    let bench = Bench::new();
    bench.put("a.csv", "x,y,z\n1,2,3\n", 10);
    bench.put("b.jsonl", "{\"x\":1,\"y\":2,\"z\":3}\n", 10);
    for (glob, filetype) in [("*.csv", "csv"), ("*.jsonl", "jsonl")] {
        let streams = json!([{"name": "s", "globs": [glob], "format": {"filetype": filetype}}]);
        let properties = json!({"z": {"type": ["null", "integer"]}, "x": {"type": ["null", "integer"]}});
        let output = bench.read(&bench.config(streams), &catalog_with("s", "full_refresh", properties), None).ok();
        let mut data = output.data()[0].as_object().unwrap().clone();
        data.retain(|key, _| !key.starts_with("_ab_"));
        assert_eq!(Value::Object(data), json!({"x": 1, "z": 3}));
    }
}

#[test]
fn a_bad_row_stops_its_file_and_no_other_and_the_next_sync_goes_on_there() {
    let bench = Bench::new();
    bench.put("a.csv", "x,y\n1,1\n2,2\n3\n4,4\n", 1);
    bench.put("b.csv", "x,y\n5,5\n", 2);
    let config = bench.config(csv_stream(&["*.csv"]));
    let output = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!(sorted(output.column("x")), ["1", "2", "5"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
    let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
    let message = error["message"].as_str().unwrap();
    for part in ["a.csv", "line '4'"] {
        assert!(message.contains(part), "'{part}' in: {message}");
    }

    // The good rows of the file are not emitted again while it stays as it is.
    let again = bench.read(&config, &catalog("s", "incremental"), Some(&output.state()));
    assert_eq!(again.column("x"), Vec::<String>::new(), "{again:#?}");
    assert_eq!(again.code, Some(1));

    bench.put("a.csv", "x,y\n1,1\n2,2\n3,3\n4,4\n", 3);
    let repaired = bench.read(&config, &catalog("s", "incremental"), Some(&again.state())).ok();
    assert_eq!(repaired.column("x"), ["1", "2", "3", "4"], "a changed object is read from the start");
}

#[test]
fn marks_of_other_tools_are_left_out_in_the_flat_form() {
    let bench = Bench::new();
    bench.put("t/part-0.csv", "x\n1\n", 1);
    for mark in ["t/_SUCCESS", "t/_temporary/0/part-0.csv", "t/.part-0.csv.crc", "t_$folder$", "t/empty.csv"] {
        bench.put(mark, if mark.ends_with(".crc") { "crc" } else { "" }, 1);
    }
    bench.put("t/_temporary/0/part-0.csv", "x\n9\n", 1);
    let config = json!({
        "bucket": format!("s3://{BUCKET}/"), "path_prefix": "t/", "file_format": "csv", "endpoint_url": bench.server.endpoint(),
        "access_key_id": support::ACCESS_KEY, "secret_access_key": support::SECRET_KEY,
    });
    let output = bench.read(&config, &catalog("t", "full_refresh"), None).ok();
    assert_eq!(output.column("x"), ["1"]);
}

#[test]
fn odd_keys_are_listed_and_read() {
    let bench = Bench::new();
    let keys = [
        "a b.csv",
        "a+b.csv",
        "a%41.csv",
        "ä/é.csv",
        "q?x=1&y.csv",
        "a#b.csv",
        "x:y@z.csv",
        "t\tb.csv",
        "日本/🎉.csv",
        "a//b.csv",
        "quote'\".csv",
    ];
    for (index, key) in keys.iter().enumerate() {
        bench.put(key, format!("x\n{index}\n"), 1);
    }
    let output = bench.read(&bench.config(csv_stream(&["**"])), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(sorted(output.column("_ab_source_file_url")), sorted(keys.map(str::to_owned).to_vec()));
}

#[test]
fn an_unknown_stream_in_the_catalog_is_an_error_that_names_the_known_ones() {
    let bench = Bench::new();
    let output = bench.read(&bench.config(csv_stream(&["*"])), &catalog("other", "full_refresh"), None);
    assert_eq!(output.code, Some(1));
    let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
    assert_eq!(error["failure_type"], "config_error");
    assert!(error["message"].as_str().unwrap().contains("'s'"), "{error}");
}

#[test]
fn archived_objects_are_counted_and_left_out() {
    let bench = Bench::new();
    bench.put("a.csv", "x\n1\n", 1);
    bench.server.store().put(BUCKET, "b.csv", "x\n2\n", ObjectOptions::storage_class("GLACIER"));
    let output = bench.read(&bench.config(csv_stream(&["*"])), &catalog("s", "incremental"), None).ok();
    assert_eq!(output.column("x"), ["1"]);
    assert!(
        output.logs().iter().any(|line| line.starts_with("WARN") && line.contains("1 archived")),
        "{:#?}",
        output.logs()
    );
    assert!(output.state()[0]["stream"]["stream_state"]["history"].get("b.csv").is_none());
}

/// A million keys, of which a thousand match: what a listing costs in requests and memory.
#[test]
fn a_million_keys_are_listed_in_a_thousand_requests_and_64_megabytes() {
    let bench = Bench::new();
    let object = |index: u64| {
        let suffix = if index.is_multiple_of(1000) { "csv" } else { "bin" };
        VirtualObject::new(format!("lake/events/part-{index:09}.{suffix}"), "x\n1\n".to_owned())
    };
    bench.server.store().virtual_bucket("million", VirtualBucket::new(1_000_000, object));
    let mut config = bench.config(csv_stream(&["lake/**/*.csv"]));
    config["bucket"] = json!("million");
    for mode in ["incremental", "full_refresh"] {
        bench.server.log().clear();
        let (output, peak_bytes) = finish_measured(bench.read_command(&config, &catalog("s", mode), None));
        assert_eq!(output.ok().data().len(), 1000);
        assert_eq!(bench.requests(), (1000, 1000), "one LIST per thousand keys, one GET per matching file");
        assert!(peak_bytes > 1 << 20 && peak_bytes < 64 << 20, "{peak_bytes} bytes at the peak of {mode}");
    }
}

#[test]
fn json_documents_and_avro_files_are_discovered_and_read() {
    let bench = Bench::new();
    bench.put("a.json", "\u{feff}[\n  {\"a\": 1,\n   \"b\": [\n1]},\r\n  {\"a\": 2.50}\n]\n", 1);
    bench.put("b.json", "{\"a\":\n\"x\"}{\"a\": null}", 2);
    let avro = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/avro/nullable.avro");
    bench.put("c.avro", std::fs::read(avro).unwrap(), 3);
    let config = bench.config(json!([
        {"name": "s", "globs": ["*.json"], "format": {"filetype": "json"}},
        {"name": "avro", "globs": ["*.avro"], "format": {"filetype": "avro", "double_as_string": true}},
    ]));
    let catalog = bench.discover(&config).ok();
    let streams = &catalog.of_type("CATALOG")[0]["catalog"]["streams"];
    let json = &streams[0]["json_schema"]["properties"];
    assert_eq!((&json["a"]["type"], &json["b"]["type"]), (&json!(["null", "string"]), &json!(["null", "array"])));
    let avro = &streams[1]["json_schema"]["properties"];
    assert_eq!(avro["double"], json!({"type": ["null", "string"]}));
    assert_eq!(avro["ts_ms"], json!({"type": ["null", "string"], "format": "date-time"}));
    bench.check(&config).ok();
    bench.server.log().clear();
    let output = bench.read(&config, &support::catalog("s", "incremental"), None).ok();
    assert!(output.text.contains(r#""data":{"a":1,"b":[ 1],"#) && output.text.contains(r#""data":{"a":2.50,"#));
    assert_eq!(output.data().len(), 4);
    let output = bench.read(&config, &support::catalog("avro", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 11);
    assert_eq!(output.data()[0]["double"], "1.5");
    assert_eq!(bench.requests().0, 3, "one GET per file");
}
