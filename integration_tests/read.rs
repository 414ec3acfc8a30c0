//! Whole reads: a configuration, objects in a bucket, and the messages that must come out.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::io::Write;
use std::sync::Arc;

use crate::support::testkit::{Content, ObjectOptions, VirtualBucket, VirtualObject};
use crate::support::{BUCKET, Bench, catalog, catalog_with, finish_counted, finish_measured, gzipped};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

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
    let properties = json!({"z": {"type": ["null", "integer"]}, "x": {"type": ["null", "integer"]}});
    let config = bench.config(csv_stream(&["*.csv"]));
    let output = bench.read(&config, &catalog_with("s", "full_refresh", properties), None).ok();
    let mut data = output.data()[0].as_object().unwrap().clone();
    data.retain(|key, _| !key.starts_with("_ab_"));
    assert_eq!(Value::Object(data), json!({"x": 1, "z": 3}));
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
        "access_key_id": crate::support::ACCESS_KEY, "secret_access_key": crate::support::SECRET_KEY,
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

#[test]
fn hive_folders_of_parquet_files_are_columns_that_take_the_place_of_the_files_own() {
    let bench = Bench::new();
    let column = |name: &str| (name.to_owned(), Arc::new(Int64Array::from(vec![7])) as ArrayRef);
    let batch = RecordBatch::try_from_iter([column("a"), column("month")]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let file = writer.into_inner().unwrap();
    bench.put("t/year=2024/month=01/city=S%C3%A3o%20Paulo/x.parquet", &file, 1);
    bench.put("t/year=__HIVE_DEFAULT_PARTITION__/x.parquet", &file, 2);
    let config = bench.config(json!([{"name": "s", "globs": ["t/**"], "format": {"filetype": "parquet"}}]));
    let discovered = bench.discover(&config).ok();
    let properties = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
    let kind = |name: &str| properties[name]["type"][1].as_str().unwrap_or("absent").to_owned();
    // One of the two files has a `month` of its own, which is a number.
    assert_eq!(["a", "year", "month", "city"].map(kind), ["integer", "string", "string", "string"]);
    let output = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
    let fields = |data: &&Value| ["a", "year", "month", "city"].map(|name| data[name].clone());
    let mut rows: Vec<_> = output.data().iter().map(fields).collect();
    rows.sort_by_key(|row| row[1].to_string());
    assert_eq!(rows[0], [json!(7), json!("2024"), json!("01"), json!("São Paulo")]);
    assert_eq!(rows[1], [json!(7), Value::Null, json!(7), Value::Null]);
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
        // A listing that is still in its first folder after some pages asks once what stands beside it.
        assert_eq!(bench.requests(), (1000, 1001), "one LIST per thousand keys, one GET per matching file");
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
    let output = bench.read(&config, &crate::support::catalog("s", "incremental"), None).ok();
    assert!(output.text.contains(r#""data":{"a":1,"b":[ 1],"#) && output.text.contains(r#""data":{"a":2.50,"#));
    assert_eq!(output.data().len(), 4);
    let output = bench.read(&config, &crate::support::catalog("avro", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 11);
    assert_eq!(output.data()[0]["double"], "1.5");
    assert_eq!(bench.requests().0, 3, "one GET per file");
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/integration_tests/fixtures/compression/{name}", env!("CARGO_MANIFEST_DIR")))
        .expect("the fixture is there")
}

#[test]
fn a_small_text_file_costs_one_get_whatever_its_compression() {
    let rows = String::from_utf8(fixture("rows.csv")).unwrap().lines().count() - 1;
    for name in [
        "rows.csv",
        "rows.csv.gz",
        "rows.csv.bz2",
        "rows.csv.xz",
        "rows.csv.zst",
        "rows.csv.lz4",
        "rows.csv.sz",
        "rows.csv.br",
    ] {
        let bench = Bench::new();
        bench.put(name, fixture(name), 1);
        let output = bench.read(&bench.config(csv_stream(&["*"])), &catalog("s", "full_refresh"), None).ok();
        assert_eq!(output.column("id").len(), rows, "{name}");
        assert_eq!(bench.requests(), (1, 1), "{name}");
    }
    let bench = Bench::new();
    bench.put("no_extension", fixture("rows.csv.zst"), 1);
    let output = bench.read(&bench.config(csv_stream(&["*"])), &catalog("s", "full_refresh"), None).ok();
    assert_eq!((output.column("id").len(), bench.requests()), (rows, (1, 1)), "told by the first bytes");
}

#[test]
fn members_of_a_zip_archive_are_files() {
    let bench = Bench::new();
    bench.put("z/members.zip", fixture("members.zip"), 9);
    bench.put("z/c.csv", "id,name\n1,x\n", 1);
    let config = bench.config(csv_stream(&["**/*.csv"]));
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    let rows = String::from_utf8(fixture("rows.csv")).unwrap().lines().count() - 1;
    let urls = first.column("_ab_source_file_url");
    let of = |url: &str| urls.iter().filter(|found| *found == url).count();
    assert_eq!((of("z/members.zip#a.csv"), of("z/members.zip#folder/b.csv"), of("z/c.csv")), (rows, rows, 1));
    assert_eq!(urls.len(), 2 * rows + 1, "no other member matches");
    assert_eq!(bench.requests(), (2, 1), "the archive is small: one GET");
    let history = &first.state()[0]["stream"]["stream_state"]["history"];
    assert_eq!(history["z/members.zip#a.csv"], json!("2024-01-15T12:00:02.000000Z"), "{history:#}");
    assert_eq!(history["z/members.zip#folder/b.csv"], json!("2024-01-15T12:00:04.000000Z"));

    bench.server.log().clear();
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!((second.column("id").len(), bench.requests()), (0, (0, 1)), "it is not even looked into");

    // The connector we replace remembers members alone.
    let mut old = first.state();
    let state = &mut old[0]["stream"]["stream_state"];
    let members =
        json!({"z/members.zip#a.csv": "2024-01-15T12:00:02.000000Z", "z/c.csv": "2024-01-15T12:00:01.000000Z"});
    *state =
        json!({"history": members, "_ab_source_file_last_modified": "2024-01-15T12:00:02.000000Z_z/members.zip#a.csv"});
    let third = bench.read(&config, &catalog("s", "incremental"), Some(&old)).ok();
    assert_eq!(third.column("_ab_source_file_url"), vec!["z/members.zip#folder/b.csv"; rows]);

    let columns =
        &bench.discover(&config).ok().of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"]
            .clone();
    assert!(columns.get("note").is_some(), "{columns:#}");
}

#[test]
fn a_member_of_a_large_zip_archive_is_read_by_its_range() {
    let bench = Bench::new();
    // Larger than what is read whole: bytes before the archive belong to no member.
    let archive = [vec![b'x'; 2 << 20], fixture("members.zip")].concat();
    bench.put("members.zip", archive, 9);
    for mode in ["full_refresh", "incremental"] {
        bench.server.log().clear();
        let config = bench.config(csv_stream(&["*.zip#a.csv"]));
        let output = bench.read(&config, &catalog("s", mode), None).ok();
        assert_eq!(output.column("id").len(), 600);
        assert_eq!(bench.requests(), (2, 1), "the directory and one member");
    }
}

/// A zip archive of stored members.
fn zip_of(members: &[(String, String)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in members {
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn many_small_members_of_a_zip_archive_are_fetched_together() {
    let bench = Bench::new();
    let members: Vec<_> = (0..3000).map(|id| (format!("{id:04}.csv"), format!("id\n{id}\n"))).collect();
    // Larger than what is read whole.
    bench.put("z/a.zip", [vec![b'x'; 2 << 20], zip_of(&members)].concat(), 9);
    for mode in ["full_refresh", "incremental"] {
        bench.server.log().clear();
        let output = bench.read(&bench.config(csv_stream(&["**/*.csv"])), &catalog("s", mode), None).ok();
        let ids: Vec<usize> = output.column("id").iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(ids, (0..3000).collect::<Vec<_>>());
        assert_eq!(bench.requests(), (3, 1), "the directory in two parts, and all members at once");
    }
}

#[test]
fn members_of_a_zip_archive_that_no_wildcard_matches_are_counted() {
    let bench = Bench::new();
    let member = |name: &str| (name.to_owned(), "id\n1\n".to_owned());
    let names = ["a.csv", "b/.hidden.csv", "b/../c.csv", ".d/e.csv", "b/_SUCCESS"];
    bench.put("z/a.zip", zip_of(&names.map(member)), 9);
    let output = bench.read(&bench.config(csv_stream(&["**"])), &catalog("s", "incremental"), None).ok();
    // Behind the archive's key, a dot at the very beginning begins no part of the key.
    let read = ["z/a.zip#.d/e.csv", "z/a.zip#a.csv", "z/a.zip#b/_SUCCESS"];
    assert_eq!(sorted(output.column("_ab_source_file_url")), read);
    let left_out = "2 members of zip archives skipped: a part of their name starts with '.'";
    assert!(output.logs().iter().any(|line| line.contains(left_out)), "{:#?}", output.logs());
}

#[test]
fn two_members_of_one_name_in_a_zip_archive_are_two_files() {
    let bench = Bench::new();
    let member = |name: &str, id: u32| (name.to_owned(), format!("id\n{id}\n"));
    let mut archive = zip_of(&[member("one.csv", 1), member("two.csv", 2), member("one.csv#2", 3)]);
    while let Some(at) = memchr::memmem::find(&archive, b"two.csv") {
        archive[at..at + 7].copy_from_slice(b"one.csv");
    }
    bench.put("z/a.zip", archive, 9);
    let config = bench.config(csv_stream(&["**"]));
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(sorted(first.column("id")), ["1", "2", "3"]);
    let history = &first.state()[0]["stream"]["stream_state"]["history"];
    let keys: Vec<_> = history.as_object().unwrap().keys().filter(|key| key.contains('#')).collect();
    assert_eq!(keys, ["z/a.zip#one.csv", "z/a.zip#one.csv#2", "z/a.zip#one.csv#2#2"], "{history:#}");
}

#[test]
fn overlapping_members_of_a_zip_archive_are_refused() {
    let bench = Bench::new();
    let text = "id\n".to_owned() + &"7\n".repeat(5000);
    let archive = zip_of(&[("a.csv".to_owned(), text)]);
    // A hundred entries of the directory for the same bytes.
    let end = archive.len() - 22;
    let number = |at: usize| u32::from_le_bytes(archive[at..at + 4].try_into().unwrap()) as usize;
    let (length, start) = (number(end + 12), number(end + 16));
    let mut bomb = archive[..start].to_vec();
    (0..100).for_each(|_| bomb.extend_from_slice(&archive[start..start + length]));
    let mut ending = archive[end..].to_vec();
    ending[8..10].copy_from_slice(&100u16.to_le_bytes());
    ending[10..12].copy_from_slice(&100u16.to_le_bytes());
    ending[12..16].copy_from_slice(&(100 * length as u32).to_le_bytes());
    bomb.extend(ending);
    bench.put("z/a.zip", bomb, 9);
    let output = bench.read(&bench.config(csv_stream(&["**"])), &catalog("s", "incremental"), None);
    assert_eq!((output.code, output.data().len()), (Some(1), 0));
    let message = output.errors()[0]["message"].as_str().unwrap();
    assert!(message.contains("members of the zip archive overlap"), "{message}");
}

#[test]
fn an_encrypted_member_fails_alone_and_by_name() {
    let bench = Bench::new();
    bench.put("encrypted.zip", fixture("encrypted.zip"), 1);
    bench.put("b.csv", "id\n7\n", 2);
    let output = bench.read(&bench.config(csv_stream(&["**"])), &catalog("s", "incremental"), None);
    assert_eq!((output.code, output.column("id")), (Some(1), vec!["7".to_owned()]));
    let message = output.errors()[0]["message"].as_str().unwrap();
    assert!(message.contains("encrypted") && message.contains("encrypted.zip#a.csv"), "{message}");
}

/// A bucket of one object that is made while it is read, and a configuration for it.
fn virtual_object(bench: &Bench, key: &str, content: Content, streams: Value) -> Value {
    let name = key.to_owned();
    let object = move |_| VirtualObject::new(name.clone(), content.clone());
    bench.server.store().virtual_bucket("virtual", VirtualBucket::new(1, object));
    let mut config = bench.config(streams);
    config["bucket"] = json!("virtual");
    config
}

#[test]
fn a_line_of_a_gigabyte_is_a_clear_error_in_bounded_memory() {
    let jsonl = json!([{"name": "s", "globs": ["*"], "format": {"filetype": "jsonl"}}]);
    let csv = csv_stream(&["*"]);
    for (key, header, streams) in [("a.jsonl", "{\"a\": 1}\n{\"a\": \"", jsonl), ("a.csv", "a\n1\n\"", csv)] {
        let bench = Bench::new();
        let content = Content::repeat(header.as_bytes().to_vec(), vec![b'x'; 1 << 20], 1024);
        let config = virtual_object(&bench, key, content, streams);
        let (output, peak_bytes) = finish_measured(bench.read_command(&config, &catalog("s", "incremental"), None));
        assert_eq!((output.code, output.data().len()), (Some(1), 1), "{key}");
        let message = output.errors()[0]["message"].as_str().unwrap();
        assert!(message.contains("longer than") && message.contains(key), "{message}");
        assert!(peak_bytes < 128 << 20, "{peak_bytes} bytes at the peak of {key}");
    }
}

/// Ten gigabytes of text, of which one column is wanted.
fn ten_gigabytes(key: &str, header: &str, block: &str, stored: impl Fn(&[u8]) -> Vec<u8>, filetype: &str) {
    const TEN_GIGABYTES: u64 = 10 << 30;
    let bench = Bench::new();
    let times = TEN_GIGABYTES / block.len() as u64;
    let content = Content::repeat(stored(header.as_bytes()), stored(block.as_bytes()), times);
    let streams = json!([{"name": "s", "globs": ["*"], "format": {"filetype": filetype}}]);
    let config = virtual_object(&bench, key, content, streams);
    let catalog = catalog_with("s", "incremental", json!({"id": {"type": ["null", "string"]}}));
    let measured = finish_counted(bench.read_command(&config, &catalog, None));
    assert_eq!(measured.code, Some(0));
    assert!(measured.records >= times * block.lines().count() as u64, "{measured:?}");
    assert!(measured.peak_bytes < 128 << 20, "{measured:?}");
}

#[test]
#[ignore = "takes minutes"]
fn ten_gigabytes_of_csv_are_read_in_bounded_memory() {
    let row = format!("1,{}\n", "a text that nobody wants,".repeat(40).trim_end_matches(','));
    let header = format!("id,{}\n", (0..40).map(|index| format!("c{index}")).collect::<Vec<_>>().join(","));
    ten_gigabytes("a.csv", &header, &row.repeat(1000), <[u8]>::to_vec, "csv");
}

#[test]
#[ignore = "takes minutes"]
fn ten_gigabytes_of_compressed_lines_are_read_in_bounded_memory() {
    let row = format!("{{\"id\":\"1\",\"text\":\"{}\"}}\n", "a text that nobody wants ".repeat(40));
    ten_gigabytes("a.jsonl.gz", "", &row.repeat(1000), gzipped, "jsonl");
}

#[test]
fn a_compressed_file_goes_on_at_its_last_frame_with_one_ranged_get() {
    let rows = |from: u32, to: u32| (from..to).map(|id| format!("{{\"a\":{id}}}\n")).collect::<String>();
    let last = format!("{}bad\n{}", rows(2000, 2010), rows(2010, 2020));
    let frames = [rows(0, 1000), rows(1000, 2000), last];
    let streams = json!([{"name": "s", "globs": ["*"], "format": {"filetype": "jsonl"}}]);
    let zstd = frames.clone().map(|text| zstd::stream::encode_all(text.as_bytes(), 3).unwrap());
    let before = zstd[0].len() + zstd[1].len();
    for (key, stored, expected) in [
        ("a.jsonl.zst", zstd.concat(), Some(format!("bytes={before}-"))),
        ("told_by_its_first_bytes", zstd.concat(), Some(format!("bytes={before}-"))),
        ("a.jsonl.gz", gzipped(frames.concat().as_bytes()), None),
    ] {
        let bench = Bench::new();
        bench.put(key, stored, 1);
        let config = bench.config(streams.clone());
        let first = bench.read(&config, &catalog("s", "incremental"), None);
        assert_eq!((first.code, first.column("a").len()), (Some(1), 2010), "{key}");

        bench.server.log().clear();
        let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state()));
        assert_eq!((second.code, second.column("a").len()), (Some(1), 0), "{key}");
        let gets = bench.server.log().take();
        let ranges: Vec<_> =
            gets.iter().filter(|get| get.operation == "REST.GET.OBJECT").map(|get| &get.range).collect();
        let again = second.logs().iter().any(|line| line.contains("read again from its start"));
        match expected {
            Some(range) => {
                assert!(ranges[0].as_ref().is_some_and(|found| found.starts_with(&range)), "{key}: {ranges:?}");
                assert!(!again, "{key}");
            }
            None => assert!(ranges[0].is_none() && again, "{key}: {ranges:?}"),
        }
        assert_eq!(ranges.len(), 1, "{key}");
    }
}

/// Windows of decompressors count: files whose windows are large wait for one another, and each row comes once.
#[test]
fn windows_of_decompressors_are_inside_the_byte_budget() {
    use std::io::Write as _;
    // It fills a window of 64 MiB; one column is wanted.
    let line = format!("1,{}\n", "a text that nobody wants ".repeat(4000));
    let text = format!("id,text\n{}", line.repeat((70 << 20) / line.len()));
    let rows = text.lines().count() - 1;
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(64 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc32).unwrap();
    let mut xz = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    xz.write_all(text.as_bytes()).unwrap();
    let mut zstd = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    zstd.set_parameter(zstd::stream::raw::CParameter::WindowLog(26)).unwrap();
    zstd.write_all(text.as_bytes()).unwrap();
    let (xz, zstd) = (xz.finish().unwrap(), zstd.finish().unwrap());
    let bench = Bench::new();
    for file in 0..3 {
        bench.put(&format!("{file}.csv.xz"), &xz, file);
        bench.put(&format!("{file}.csv.zst"), &zstd, file);
    }
    let mut config = bench.config(csv_stream(&["*"]));
    config["max_decompression_ratio"] = json!(1_000_000);
    let catalog = catalog_with("s", "incremental", json!({"id": {"type": ["null", "string"]}}));
    let (output, peak_bytes) = finish_measured(bench.read_command(&config, &catalog, None));
    assert_eq!(output.ok().data().len(), 6 * rows);
    assert!(peak_bytes > 64 << 20 && peak_bytes < 128 << 20, "{peak_bytes} bytes at the peak");
    let (gets, _) = bench.requests();
    assert!((6..=12).contains(&gets), "{gets}: a file that waits is asked for once more");
}

#[test]
fn a_file_that_expands_beyond_the_configured_limit_is_refused() {
    let bench = Bench::new();
    bench.put("a.csv.gz", gzipped(format!("a\n{}", "x\n".repeat(2 << 20)).as_bytes()), 1);
    let mut config = bench.config(csv_stream(&["*"]));
    config["max_decompression_ratio"] = json!(3);
    let output = bench.read(&config, &catalog("s", "incremental"), None);
    let message = output.errors()[0]["message"].as_str().unwrap();
    assert!(output.code == Some(1) && message.contains("raise `max_decompression_ratio`"), "{message}");
    config["max_decompression_ratio"] = json!(5000);
    assert_eq!(bench.check(&config).ok().code, Some(0));
}

#[test]
fn workbooks_are_discovered_and_read() {
    let bench = Bench::new();
    let workbook = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/excel/types.xlsx");
    bench.put("a.xlsx", std::fs::read(workbook).unwrap(), 1);
    let config = bench.config(json!([{"name": "s", "globs": ["*"], "format": {"filetype": "excel"}}]));
    bench.check(&config).ok();
    let discovered = bench.discover(&config).ok();
    let properties = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
    assert_eq!(properties["when"], json!({"type": ["null", "string"], "format": "date-time"}));
    bench.server.log().clear();
    let output = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(output.data().len(), 5);
    assert_eq!(output.data()[1]["day"], "2000-01-02T00:00:00.000000");
    assert_eq!(bench.requests().0, 1);
}

fn transfer(bench: &Bench, preserve: bool) -> serde_json::Value {
    let mut config = bench.config(json!([{"name": "s", "globs": ["ft/**"], "format": {"filetype": "unstructured"}}]));
    config["delivery_method"] = json!({"delivery_type": "use_file_transfer", "preserve_directory_structure": preserve});
    config
}

#[test]
fn raw_files_are_complete_before_their_records() {
    let bench = Bench::new();
    let large: Vec<u8> = (0..3_000_000u32).map(|index| (index % 251) as u8).collect();
    bench.put("ft/x/a.bin", "12345", 1);
    bench.put("ft/b.csv.gz", &large, 2);
    bench.put("ft//empty", "", 3);
    let config = transfer(&bench, true);
    bench.check(&config).ok();
    let discovered = bench.discover(&config).ok();
    let stream = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0];
    assert_eq!(
        (&stream["is_file_based"], &stream["json_schema"]["properties"]["bytes"]["type"]),
        (&json!(true), &json!("integer"))
    );
    let staging = bench.folder.join("staging area");
    std::fs::create_dir(&staging).unwrap();
    for mode in ["incremental", "full_refresh"] {
        let mut command = bench.read_command(&config, &catalog("s", mode), None);
        let output = crate::support::finish({
            command.env("AIRBYTE_STAGING_DIRECTORY", &staging);
            command
        })
        .ok();
        let records = output.of_type("RECORD");
        assert_eq!(records.len(), 3);
        for record in records {
            let record = &record["record"];
            let reference = &record["file_reference"];
            let path = reference["staging_file_url"].as_str().unwrap();
            let content = std::fs::read(path).unwrap();
            let relative = reference["source_file_relative_path"].as_str().unwrap();
            assert!(path.starts_with(staging.to_str().unwrap()) && path.ends_with(relative), "{path}");
            let expected: &[u8] = match relative {
                "ft/x/a.bin" => b"12345",
                "ft/b.csv.gz" => &large,
                _ => b"",
            };
            assert!(content == expected, "{relative}");
            assert_eq!(reference["file_size_bytes"], expected.len());
            assert_eq!(record["data"]["bytes"], expected.len());
            assert_eq!(record["data"]["source_uri"], format!("s3://{BUCKET}/{relative}"));
        }
        let first =
            &output.of_type("RECORD").into_iter().find(|m| m["record"]["data"]["bytes"] == 5).unwrap()["record"];
        assert_eq!(
            first["data"],
            json!({"folder": "ft/x", "file_name": "a.bin", "bytes": 5, "source_uri": "s3://bucket/ft/x/a.bin",
                   "updated_at": "2024-01-15T12:00:01.000000Z"})
        );
        if mode == "incremental" {
            let state = output.state();
            assert_eq!(state[0]["stream"]["stream_state"]["history"].as_object().unwrap().len(), 3, "{state}");
        }
    }
    let parts = std::fs::read_dir(&staging)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "part"));
    assert_eq!(parts.count(), 0, "no part of a file is left");
}

#[test]
fn raw_files_of_one_name_or_with_a_way_out_of_the_folder_are_refused() {
    let bench = Bench::new();
    bench.put("ft/x/a.bin", "1", 1);
    bench.put("ft/y/a.bin", "2", 1);
    for mode in ["incremental", "full_refresh"] {
        let output = bench.read(&transfer(&bench, false), &catalog("s", mode), None);
        assert_eq!((output.code, output.data().len()), (Some(1), 0));
        assert!(output.errors()[0]["message"].as_str().unwrap().contains("the name 'a.bin'"), "{output:#?}");
    }
    let bench = Bench::new();
    bench.put("ft/../../outside", "1", 1);
    bench.put("ft/inside", "1", 1);
    let mut config = transfer(&bench, true);
    config["streams"][0]["globs"] = json!(["ft/**", "ft/../../*"]);
    let output = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!((output.code, output.data().len()), (Some(1), 1), "{output:#?}");
    assert!(output.errors()[0]["message"].as_str().unwrap().contains("cannot be the path"));
}

/// To the state a listing that was narrowed looks as if files were deleted. What it remembers one by one, in the history of
/// the newest files, it remembers after that too; of older ones it then knows nothing any more, so they are read again.
#[test]
fn files_that_a_narrower_listing_hid_are_never_lost_and_the_oldest_are_read_again() {
    let bench = Bench::new();
    let (hidden, kept) = (150, 10_050);
    for number in 0..hidden {
        bench.put(&format!("a/{number}.csv"), format!("x\na{number}\n"), number);
    }
    for number in 0..kept {
        bench.put(&format!("b/{number}.csv"), "x\nb\n", 1_000 + number);
    }
    let config = |globs: &[&str], start: Option<&str>| {
        let mut config = bench.config(csv_stream(globs));
        if let Some(start) = start {
            config["start_date"] = json!(start);
        }
        config
    };
    let all = config(&["a/*", "b/*"], None);
    let read = |config: &Value, state: Option<&Value>| bench.read(config, &catalog("s", "incremental"), state).ok();
    let mut last = read(&all, None);
    assert_eq!(last.column("x").len(), (hidden + kept) as usize);
    let oldest = sorted((0..hidden).map(|number| format!("a{number}")).collect());
    // The files begin at noon, a second apart; those that stay listed come a thousand seconds later.
    let start = "2024-01-15T12:16:39Z";
    for narrow in [config(&["b/*"], None), config(&["a/*", "b/*"], Some(start))] {
        last = read(&narrow, Some(&last.state()));
        assert_eq!(last.column("x"), Vec::<String>::new(), "what is listed was read before");
        last = read(&all, Some(&last.state()));
        assert_eq!(sorted(last.column("x")), oldest, "the history has them no more");
        last = read(&all, Some(&last.state()));
        assert_eq!(last.column("x"), Vec::<String>::new(), "now they are remembered again");
    }
}

#[test]
fn files_in_the_history_are_not_read_again_after_a_narrower_listing() {
    let bench = Bench::new();
    for (number, key) in ["a/1.csv", "b/1.csv", "b/2.csv"].into_iter().enumerate() {
        bench.put(key, "x\n1\n", number as u64);
    }
    let read = |globs: &[&str], state: Option<&Value>| {
        bench.read(&bench.config(csv_stream(globs)), &catalog("s", "incremental"), state).ok()
    };
    let first = read(&["**"], None);
    assert_eq!(first.column("x").len(), 3);
    let narrow = read(&["b/*"], Some(&first.state()));
    bench.put("a/2.csv", "x\nnew\n", 1);
    let wide = read(&["**"], Some(&narrow.state()));
    assert_eq!((narrow.column("x").len(), wide.column("x")), (0, vec!["new".to_owned()]));
}

/// A clock that was put back, or a long upload that began before the one that it replaces.
#[test]
fn a_file_that_is_put_again_with_an_earlier_time_is_named_in_each_sync_and_read_when_it_changes_again() {
    let bench = Bench::new();
    let config = bench.config(csv_stream(&["*.csv"]));
    let read = |state: Option<&Value>| bench.read(&config, &catalog("s", "incremental"), state).ok();
    bench.put("a.csv", "x\n1\n", 10);
    bench.put("b.csv", "x\n1\n", 10);
    let mut last = read(None);
    bench.put("a.csv", "x\n2\n", 5);
    for _ in 0..2 {
        last = read(Some(&last.state()));
        assert_eq!(last.column("x"), Vec::<String>::new());
        let said = "1 objects skipped: the file's last modified date is older than the last time it was synced (for example 'a.csv')";
        assert!(last.logs().iter().any(|line| line.contains(said)), "{:#?}", last.logs());
    }
    bench.put("a.csv", "x\n3\n", 11);
    last = read(Some(&last.state()));
    assert_eq!(last.column("x"), ["3"]);
    assert!(!last.logs().iter().any(|line| line.contains("older than the last time")));
}
