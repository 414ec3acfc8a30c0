//! Filters, chosen columns and record cursors: the same rows for every format, and of Parquet only what is needed.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::testkit::{Action, Fault, When};
use crate::support::{Bench, Output, catalog, catalog_with};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

/// A Parquet file of these columns, with row groups of so many rows.
fn parquet(columns: Vec<(&str, ArrayRef)>, group_rows: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_dictionary_enabled(false)
        .set_compression(Compression::UNCOMPRESSED)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn ids(range: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(range.collect::<Int64Array>())
}

/// Numbers that do not compress.
fn noise(seed: u64, rows: usize) -> ArrayRef {
    let mut state = seed * 2 + 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state as i64
    };
    Arc::new((0..rows).map(next).collect::<Int64Array>())
}

fn column(output: &Output, name: &str) -> BTreeSet<String> {
    output.column(name).into_iter().collect()
}

fn log_of(output: &Output, part: &str) -> String {
    let logs = output.logs();
    logs.iter().find(|line| line.contains(part)).cloned().unwrap_or_else(|| panic!("no '{part}' in {logs:#?}"))
}

#[test]
fn one_filter_gives_the_same_rows_of_every_format() {
    let bench = Bench::new();
    bench.put("f/a.csv", "id,name\n1,a\n2,b\n3,a\n10,a\nx,a\n", 1);
    bench.put("f/a.jsonl", "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":\"b\"}\n{\"name\":\"a\",\"id\":3}\n{\"id\":10,\"name\":\"a\"}\n{\"name\":\"a\"}\n", 1);
    let names = StringArray::from(vec!["a", "b", "a", "a"]);
    let columns = vec![("id", Arc::new(Int64Array::from(vec![1, 2, 3, 10])) as ArrayRef), ("name", Arc::new(names))];
    bench.put("f/a.parquet", parquet(columns, 100), 1);
    let properties = json!({"id": {"type": ["null", "integer"]}, "name": {"type": ["null", "string"]}});
    for (filetype, left_out) in [("csv", 3), ("jsonl", 3), ("parquet", 2)] {
        let streams = json!([{
            "name": "s", "globs": [format!("f/*.{filetype}")], "format": {"filetype": filetype},
            "parquet_filters": [["id", ">=", 3], ["name", "in", ["a", "c"]]],
        }]);
        let catalog = catalog_with("s", "full_refresh", properties.clone());
        let output = bench.read(&bench.config(streams), &catalog, None).ok();
        assert_eq!(column(&output, "id"), BTreeSet::from(["3".to_owned(), "10".to_owned()]), "{filetype}");
        let line = log_of(&output, "do not match the filter");
        assert!(line.starts_with("INFO") && line.contains(&format!("{left_out} rows")), "{filetype}: {line}");
    }
}

/// Filters ask for the columns that records have, whether the catalog wants those or not.
#[test]
fn filters_go_with_flattened_columns() {
    let member: ArrayRef = ids(0..6);
    let field = arrow::datatypes::Field::new("b", arrow::datatypes::DataType::Int64, false);
    let object = arrow::array::StructArray::new(vec![Arc::new(field)].into(), vec![member], None);
    let columns = parquet(vec![("id", ids(0..6)), ("n", ids(10..16)), ("a", Arc::new(object) as ArrayRef)], 2);
    let lines: String = (0..6).map(|i| format!("{{\"id\":{i},\"n\":{},\"a\":{{\"b\":{i}}}}}\n", i + 10)).collect();
    let integer = json!({"type": ["null", "integer"]});
    for (filetype, content) in [("parquet", columns), ("jsonl", lines.into_bytes())] {
        let bench = Bench::new();
        bench.put("d/a", content, 1);
        for (filter, properties, expected) in [
            (
                json!([["id", "<", 2]]),
                json!({"id": integer, "a_b": integer}),
                json!([{"id": 0, "a_b": 0}, {"id": 1, "a_b": 1}]),
            ),
            (json!([["n", ">=", 15]]), json!({"a_b": integer}), json!([{"a_b": 5}])),
            (json!([["a_b", "==", 3]]), json!({"id": integer}), json!([{"id": 3}])),
            (json!([["a_b", "in", [1, 4]], ["n", "<", 13]]), json!({}), json!([{"id": 1, "n": 11, "a_b": 1}])),
        ] {
            let stream = json!([{
                "name": "s", "globs": ["d/*"], "format": {"filetype": filetype}, "json_flatten": true, "parquet_filters": filter,
            }]);
            // Fields of JSON that the catalog does not have go out as well.
            let listed = properties.as_object().unwrap().clone();
            let wanted = |name: &str| !name.starts_with("_ab") && (listed.is_empty() || listed.contains_key(name));
            let output = bench.read(&bench.config(stream), &catalog_with("s", "full_refresh", properties), None).ok();
            let mut rows: Vec<Value> = output.data().into_iter().cloned().collect();
            rows.iter_mut().for_each(|row| row.as_object_mut().unwrap().retain(|name, _| wanted(name)));
            assert_eq!(Value::Array(rows), expected, "{filetype} {filter}: {:#?}", output.logs());
        }
    }
}

#[test]
fn a_filter_that_cannot_be_meant_is_an_error_and_one_of_no_column_a_warning() {
    let bench = Bench::new();
    bench.put("f/a.parquet", parquet(vec![("id", ids(0..10))], 100), 1);
    let stream = |filters: Value| json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": "parquet"}, "parquet_filters": filters}]);
    let output = bench.read(&bench.config(stream(json!([["id", "=", "one"]]))), &catalog("s", "full_refresh"), None);
    assert_eq!(output.code, Some(1));
    assert!(output.errors()[0]["message"].as_str().unwrap().contains("'id'"), "{output:#?}");
    let output =
        bench.read(&bench.config(stream(json!([["ip", "is null"]]))), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.data().len(), 10);
    assert!(log_of(&output, "'ip'").starts_with("WARN"));
}

#[test]
fn three_of_fifty_columns_cost_three_fiftieths() {
    let bench = Bench::new();
    let rows = 20_000;
    let names: Vec<String> = (0..50).map(|index| format!("c{index:02}")).collect();
    let columns = names.iter().enumerate().map(|(index, name)| (name.as_str(), noise(index as u64, rows)));
    let file = parquet(columns.collect(), rows);
    bench.put("f/a.parquet", &file, 1);
    let size = file.len() as u64;
    // Far apart, so that nothing between them is worth fetching: one request for each, and one for the tail.
    let wanted = ["c05", "c20", "c40"];
    let selected: Value = wanted
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "integer"})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let plain = json!({"name": "s", "globs": ["f/*"], "format": {"filetype": "parquet"}});
    let mut chosen = plain.clone();
    chosen["parquet_columns"] = json!(wanted);
    for (stream, catalog) in
        [(chosen, catalog("s", "full_refresh")), (plain, catalog_with("s", "full_refresh", selected))]
    {
        bench.server.log().clear();
        let output = bench.read(&bench.config(json!([stream])), &catalog, None).ok();
        assert_eq!(output.data().len(), rows);
        let keys = output.data()[0].as_object().unwrap().keys().filter(|key| !key.starts_with("_ab_")).cloned();
        assert_eq!(keys.collect::<Vec<_>>(), wanted);
        assert_eq!(bench.requests(), (4, 1), "the tail, a request for each run of columns, and the listing");
        let sent = bench.server.log().bytes_sent(|entry| entry.operation == "REST.GET.OBJECT");
        assert!(sent * 100 < size * 15, "{sent} of {size} bytes");
    }
}

#[test]
fn columns_that_lie_together_cost_one_request_for_each_row_group() {
    let bench = Bench::new();
    let rows = 60_000;
    let columns = vec![("a", noise(1, rows)), ("b", noise(2, rows)), ("c", noise(3, rows)), ("d", noise(4, rows))];
    bench.put("f/a.parquet", parquet(columns, rows / 2), 1);
    let streams = json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": "parquet"}}]);
    for properties in [json!({}), json!({"a": {}, "c": {}})] {
        bench.server.log().clear();
        let output =
            bench.read(&bench.config(streams.clone()), &catalog_with("s", "full_refresh", properties), None).ok();
        assert_eq!(output.data().len(), rows);
        // A gap of 240 KB costs less than another request.
        assert_eq!(bench.requests(), (3, 1), "the tail, and one for each row group");
    }
}

#[test]
fn row_groups_without_a_wanted_row_are_not_asked_for() {
    let bench = Bench::new();
    let rows = 200_000;
    let file = parquet(vec![("id", ids(0..rows)), ("noise", noise(1, rows as usize))], 20_000);
    bench.put("f/a.parquet", file, 1);
    let streams = json!([{
        "name": "s", "globs": ["f/*"], "format": {"filetype": "parquet"}, "parquet_filters": [["id", ">=", 199_990]],
    }]);
    let output = bench.read(&bench.config(streams), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(column(&output, "id"), (199_990..200_000).map(|id| id.to_string()).collect());
    assert_eq!(bench.requests(), (2, 1), "the tail, and the pages of the last row group");
    let line = log_of(&output, "without being read");
    assert!(line.contains("9 whole row groups"), "{line}");
}

#[test]
fn a_read_that_failed_inside_a_file_goes_on_at_its_row_group() {
    let bench = Bench::new();
    let rows = 400_000;
    bench.put("f/a.parquet", parquet(vec![("id", ids(0..rows)), ("noise", noise(1, rows as usize))], 100_000), 1);
    let streams = json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": "parquet"}}]);
    let config = bench.config(streams);
    // The tail and two of four row groups come; the third is refused.
    let refused = bench.server.faults().add(Fault::new(Action::status(403)).skip(3).when(When::get("a.parquet")));
    let first = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!(first.code, Some(1));
    assert!(bench.server.faults().hits(refused) > 0);
    bench.server.faults().clear();
    let done = first.data().len() as i64;
    assert_eq!(done, 200_000);
    let pending = &first.state()[0]["stream"]["stream_state"]["tollgate"]["pending"]["f/a.parquet"];
    assert_eq!((&pending["at"], &pending["group"], &pending["row"]), (&json!("row_group"), &json!(1), &json!(100_000)));
    bench.server.log().clear();
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(column(&second, "id"), (done..rows).map(|id| id.to_string()).collect());
    assert_eq!(bench.requests(), (3, 1), "the tail and the two row groups that are left");
}

fn cursor_stream(filetype: &str, lookback: Option<&str>) -> Value {
    let mut stream = json!({
        "name": "s", "globs": [format!("f/*.{filetype}")], "format": {"filetype": filetype}, "cursor_field": "id",
    });
    if let Some(lookback) = lookback {
        stream["cursor_lookback"] = json!(lookback);
    }
    json!([stream])
}

fn file(filetype: &str, ids: &[i64]) -> Vec<u8> {
    match filetype {
        "csv" => ids.iter().fold("id\n".to_owned(), |text, id| format!("{text}{id}\n")).into_bytes(),
        "jsonl" => ids.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect::<String>().into_bytes(),
        _ => parquet(vec![("id", Arc::new(Int64Array::from(ids.to_vec())))], 2),
    }
}

fn record_state(output: &Output) -> Value {
    output.state()[0]["stream"]["stream_state"]["tollgate"]["record"].clone()
}

#[test]
fn a_record_cursor_leaves_out_what_lies_below_the_last_syncs() {
    for filetype in ["csv", "jsonl", "parquet"] {
        let bench = Bench::new();
        let key = |name: &str| format!("f/{name}.{filetype}");
        bench.put(&key("a"), file(filetype, &[9, 100, 10]), 1);
        let config = bench.config(cursor_stream(filetype, None));
        let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
        assert_eq!(column(&first, "id").len(), 3);
        assert_eq!(record_state(&first), json!({"field": "id", "bound": {"number": "100"}}));
        bench.put(&key("b"), file(filetype, &[99, 1, 2, 3, 100, 101]), 2);
        let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
        assert_eq!(column(&second, "id"), ["100", "101"].map(str::to_owned).into(), "{filetype}");
        assert_eq!(record_state(&second)["bound"], json!({"number": "101"}));
        let logs = second.logs().join("\n");
        assert!(logs.contains("are lower than the greatest value") || logs.contains("without being read"), "{logs}");
        bench.put(&key("c"), file(filetype, &[90, 91, 95]), 3);
        let lookback = bench.config(cursor_stream(filetype, Some("10")));
        let third = bench.read(&lookback, &catalog("s", "incremental"), Some(&second.state())).ok();
        assert_eq!(column(&third, "id"), ["91", "95"].map(str::to_owned).into(), "{filetype}");
        assert_eq!(record_state(&third)["bound"], json!({"number": "101"}), "the bound never falls");
        // A state that lost our part leaves nothing out.
        bench.put(&key("d"), file(filetype, &[5]), 4);
        let mut state = third.state();
        state[0]["stream"]["stream_state"].as_object_mut().unwrap().remove("tollgate");
        let fourth = bench.read(&config, &catalog("s", "incremental"), Some(&state)).ok();
        assert_eq!(column(&fourth, "id"), ["5".to_owned()].into(), "{filetype}");
    }
}

#[test]
fn the_catalogs_cursor_field_leaves_no_row_out_and_neither_do_other_modes() {
    let bench = Bench::new();
    bench.put("f/a.csv", file("csv", &[5, 7]), 1);
    let config = bench.config(json!([{"name": "s", "globs": ["f/*.csv"], "format": {"filetype": "csv"}}]));
    let mut chosen = catalog("s", "incremental");
    chosen["streams"][0]["cursor_field"] = json!(["id"]);
    let first = bench.read(&config, &chosen, None).ok();
    assert_eq!(record_state(&first), Value::Null);
    assert!(log_of(&first, "cursor field 'id' has no effect").starts_with("INFO"));
    // Late and corrected rows of new and changed files, for which people choose a cursor in the platform's interface.
    bench.put("f/a.csv", file("csv", &[5, 4]), 3);
    bench.put("f/b.csv", file("csv", &[6, 8]), 2);
    for cursor_field in [json!(["id"]), json!(["a", "b"]), json!(["_ab_source_file_last_modified"]), json!([])] {
        chosen["streams"][0]["cursor_field"] = cursor_field.clone();
        let second = bench.read(&config, &chosen, Some(&first.state())).ok();
        assert_eq!(column(&second, "id"), ["4", "5", "6", "8"].map(str::to_owned).into(), "{cursor_field}");
    }
    let everything = bench.read(&bench.config(cursor_stream("csv", None)), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(column(&everything, "id").len(), 4);
}

/// Rows that come late are lost by a record cursor without a lookback: that is the user's choice, and it is said.
#[test]
fn rows_below_the_cursor_in_new_files_are_a_warning_with_their_count() {
    for filetype in ["csv", "jsonl", "parquet"] {
        let bench = Bench::new();
        let key = |name: &str| format!("f/{name}.{filetype}");
        bench.put(&key("a"), file(filetype, &[100, 10]), 1);
        let config = bench.config(cursor_stream(filetype, None));
        let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
        // A file that grew has its old rows again; a new one with old rows is another matter.
        bench.put(&key("a"), file(filetype, &[100, 10, 102]), 2);
        let grown = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
        assert_eq!(column(&grown, "id"), ["100", "102"].map(str::to_owned).into(), "{filetype}");
        assert!(!grown.logs().iter().any(|line| line.starts_with("WARN")), "{filetype}: {:#?}", grown.logs());
        bench.put(&key("b"), file(filetype, &[99, 1, 2, 3, 101, 105]), 3);
        bench.put(&key("c"), file(filetype, &[7, 8]), 3);
        let late = bench.read(&config, &catalog("s", "incremental"), Some(&grown.state())).ok();
        assert_eq!(column(&late, "id"), ["105"].map(str::to_owned).into(), "{filetype}");
        let line = log_of(&late, "(`cursor_field`)");
        assert!(line.starts_with("WARN") && line.contains("7 rows of 2 new files were skipped"), "{filetype}: {line}");
    }
}

/// NaN is below nothing, whether its row group was looked at or its statistics were.
#[test]
fn nan_in_the_cursors_column_is_read_whatever_the_statistics_say() {
    let bench = Bench::new();
    let doubles = |values: &[f64]| -> Vec<u8> {
        let ids: ArrayRef = Arc::new(arrow::array::Float64Array::from(values.to_vec()));
        parquet(vec![("id", ids)], 2)
    };
    bench.put("f/a.parquet", doubles(&[100.0, 1.0]), 1);
    let config = bench.config(cursor_stream("parquet", None));
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    bench.put("f/b.parquet", doubles(&[1.0, f64::NAN, 200.0, f64::NAN, 2.0, 3.0]), 2);
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(second.data().len(), 3, "200 and both NaN: {:#?}", second.data());
    assert_eq!(record_state(&second)["bound"], json!({"number": "200"}));
    for (filetype, text) in [("csv", "id\nNaN\n5\n"), ("jsonl", "{\"id\":\"NaN\"}\n{\"id\":5}\n")] {
        let bench = Bench::new();
        let config = bench.config(cursor_stream(filetype, None));
        bench.put(&format!("f/a.{filetype}"), file(filetype, &[100]), 1);
        let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
        bench.put(&format!("f/b.{filetype}"), text, 2);
        let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
        assert_eq!(second.data().len(), 1, "{filetype}: {:#?}", second.data());
        assert_eq!(record_state(&second)["bound"], json!({"number": "100"}), "{filetype}: NaN is no greatest value");
    }
}

/// A run that does not read everything must not raise the bound: the rows it did not reach may lie below.
#[test]
fn a_run_that_a_limit_cut_short_moves_no_bound() {
    let bench = Bench::new();
    bench.put("f/a.csv", "id\n100\n", 1);
    bench.put("f/b.csv", "id\n1\n", 2);
    let streams = json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": "csv"}, "cursor_field": "id"}]);
    let mut config = bench.config(streams);
    config["max_files_per_run"] = 1.into();
    config["on_limit"] = "partial".into();
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(first.column("id"), ["100"]);
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(second.column("id"), ["1"], "a file that was left to the next run, however low its values are");
}

#[test]
fn a_failed_file_holds_the_bound_back() {
    let bench = Bench::new();
    bench.put("f/a.csv", "id,x\n50,1\n100,1\n", 1);
    bench.put("f/b.csv", "id,x\n40,1\n30,1,oops\n", 2);
    let config = bench.config(cursor_stream("csv", None));
    let first = bench.read(&config, &catalog("s", "incremental"), None);
    assert_eq!(first.code, Some(1));
    assert_eq!(column(&first, "id"), ["40", "50", "100"].map(str::to_owned).into());
    assert_eq!(record_state(&first), json!({"field": "id", "reached": {"number": "100"}}));
    bench.put("f/b.csv", "id,x\n40,1\n30,1\n", 3);
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(column(&second, "id"), ["30", "40"].map(str::to_owned).into());
    assert_eq!(record_state(&second), json!({"field": "id", "bound": {"number": "100"}}));
}

#[test]
fn times_are_a_cursor_too() {
    let bench = Bench::new();
    let times = |days: &[i64]| -> Vec<u8> {
        let micros = days.iter().map(|day| Some(1_704_067_200_000_000 + day * 86_400_000_000));
        let at: ArrayRef = Arc::new(micros.collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
        parquet(vec![("id", at)], 2)
    };
    bench.put("f/a.parquet", times(&[0, 1, 2]), 1);
    let config = bench.config(cursor_stream("parquet", Some("36h")));
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(record_state(&first)["bound"], json!({"instant": "2024-01-03T00:00:00Z"}));
    bench.put("f/b.parquet", times(&[-5, -4, 0, 1, 3, 4]), 2);
    bench.server.log().clear();
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(second.data().len(), 3, "days 1, 3 and 4: {second:#?}");
    assert!(log_of(&second, "without being read").contains("2 rows"));
    let wrong = bench.config(cursor_stream("parquet", Some("10")));
    let output = bench.read(&wrong, &catalog("s", "incremental"), Some(&first.state()));
    assert_eq!(output.code, Some(1));
    assert!(output.errors()[0]["message"].as_str().unwrap().contains("cursor_lookback"), "{output:#?}");
}

#[test]
fn discovery_tells_the_cursor_and_the_chosen_columns() {
    let bench = Bench::new();
    bench.put("f/a.parquet", parquet(vec![("id", ids(0..3)), ("more", ids(0..3))], 10), 1);
    let mut streams = cursor_stream("parquet", None);
    streams[0]["parquet_columns"] = json!(["id"]);
    let output = bench.discover(&bench.config(streams)).ok();
    let stream = &output.of_type("CATALOG")[0]["catalog"]["streams"][0];
    assert_eq!(stream["default_cursor_field"], json!(["id"]));
    let properties = stream["json_schema"]["properties"].as_object().unwrap();
    assert!(properties.contains_key("id") && !properties.contains_key("more"), "{properties:?}");
}

/// Two years of files of every format that has rows; each has the numbers 1 to 4.
fn put_years(bench: &Bench) {
    let fixture = |name: &str| {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures").join(name))
            .unwrap()
    };
    for year in [2023, 2024, 2025] {
        let at = |name: &str| format!("p/year={year}/day={year}-03-01/{name}");
        bench.put(&at("a.csv"), "id\n1\n2\n3\n4\n", 1);
        bench.put(&at("a.jsonl"), "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n{\"id\":4}\n", 1);
        bench.put(&at("a.parquet"), parquet(vec![("id", ids(1..5))], 100), 1);
        bench.put(&at("a.avro"), fixture("avro/small--null.avro"), 1);
        bench.put(&at("a.xlsx"), fixture("excel/types.xlsx"), 1);
    }
}

fn of_years(filetype: &str, parameters: Value) -> Value {
    let mut stream = json!({
        "name": "s", "globs": [format!("p/**/*.{}", if filetype == "excel" { "xlsx" } else { filetype })],
        "format": {"filetype": filetype}, "partition_columns": "hive",
    });
    stream.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    stream
}

#[test]
fn a_filter_on_a_partition_reads_only_its_files_whatever_their_format() {
    let bench = Bench::new();
    put_years(&bench);
    for filetype in ["csv", "jsonl", "parquet", "avro", "excel"] {
        for (filters, years) in [
            (json!([["year", "=", 2024]]), vec!["2024"]),
            (json!([["year", "=", "2024"]]), vec!["2024"]),
            (json!([["year", "in", ["2023", "2025"]]]), vec!["2023", "2025"]),
            (json!([["day", ">", "2024-01-01"], ["day", "<=", "2024-12-31"]]), vec!["2024"]),
            (json!([["year", "is null"]]), vec![]),
        ] {
            bench.server.log().clear();
            let stream = of_years(filetype, json!({"parquet_filters": filters}));
            let output = bench.read(&bench.config(json!([stream])), &catalog("s", "full_refresh"), None).ok();
            let expected: BTreeSet<String> = years.iter().map(|year| (*year).to_owned()).collect();
            assert_eq!(column(&output, "year"), expected, "{filetype} {filters}");
            let of_a_file = if filetype == "parquet" { 1 } else { years.len() };
            assert!(bench.requests().0 >= of_a_file.min(years.len()) && bench.requests().0 <= 2 * years.len());
            let left_out = format!("{} files skipped: no row of their partition", 3 - years.len());
            log_of(&output, &left_out);
            assert!(!output.logs().iter().any(|line| line.contains("no file has the column")), "{:#?}", output.logs());
        }
    }
}

#[test]
fn conditions_on_partitions_and_on_columns_hold_together() {
    let bench = Bench::new();
    put_years(&bench);
    let filters = json!([[["year", "=", 2023], ["id", ">=", 3]], [["year", "=", 2025], ["id", "=", 1]]]);
    let properties = json!({"id": {"type": ["null", "integer"]}, "year": {"type": ["null", "string"]}});
    for filetype in ["csv", "jsonl", "parquet"] {
        let stream = of_years(filetype, json!({"parquet_filters": filters}));
        let catalog = catalog_with("s", "full_refresh", properties.clone());
        let output = bench.read(&bench.config(json!([stream])), &catalog, None).ok();
        let rows: BTreeSet<String> =
            output.data().iter().map(|row| format!("{} {}", row["year"].as_str().unwrap(), row["id"])).collect();
        assert_eq!(rows, ["2023 3", "2023 4", "2025 1"].map(str::to_owned).into(), "{filetype}");
        log_of(&output, "5 rows skipped: they do not match the filter");
    }
    // A column of the file under the partition's name gives way, in filters as in records.
    bench.put("q/year=2024/a.csv", "id,year\n1,1999\n", 1);
    let mut stream = of_years("csv", json!({"parquet_filters": [["year", "=", 2024]]}));
    stream["globs"] = json!(["q/**"]);
    let output = bench.read(&bench.config(json!([stream])), &catalog("s", "full_refresh"), None).ok();
    assert_eq!(output.column("year"), ["2024"]);
    // What no value of a typed partition can be compared with is an error of the configuration.
    let stream =
        of_years("csv", json!({"parquet_filters": [["year", "=", "old"]], "partition_types": {"year": "integer"}}));
    let output = bench.read(&bench.config(json!([stream])), &catalog("s", "full_refresh"), None);
    assert_eq!((output.code, output.data().len()), (Some(1), 0));
    let message = output.errors()[0]["message"].as_str().unwrap();
    assert!(message.contains("column 'year'") && message.contains("'old'"), "{message}");
}

/// A key that does not fit the partitions is a bad file, also where a filter names the column.
#[test]
fn a_key_that_does_not_fit_is_no_quiet_no_of_a_filter() {
    let bench = Bench::new();
    bench.put("k/n=1/a.csv", "x\n1\n", 1);
    bench.put("k/n=2/b.csv", "x\n2\n", 1);
    bench.put("k/n=odd/c.csv", "x\n3\n", 1);
    for types in [json!({"n": "integer"}), json!({})] {
        let config = |policy: &str| {
            let parameters =
                json!({"parquet_filters": [["n", "=", 1]], "partition_types": types, "partition_columns": "hive"});
            let mut stream = of_years("csv", parameters);
            stream["globs"] = json!(["k/**"]);
            stream["on_error"] = policy.into();
            bench.config(json!([stream]))
        };
        for mode in ["full_refresh", "incremental"] {
            let failed = bench.read(&config("fail"), &catalog("s", mode), None);
            assert_eq!((failed.code, failed.column("x")), (Some(1), vec!["1".to_owned()]), "{mode} {types}");
            let message = failed.errors()[0]["message"].as_str().unwrap();
            assert!(message.contains("Partition error") && message.contains("'n'"), "{message}");
            let again = bench.read(&config("fail"), &catalog("s", mode), Some(&failed.state()));
            assert_eq!(again.code, Some(1), "{mode} {types}: a retry must not turn green");
            let skipped = bench.read(&config("skip"), &catalog("s", mode), None).ok();
            assert_eq!(skipped.column("x"), ["1"]);
            log_of(&skipped, "1 bad rows in 1 files were skipped");
        }
    }
}

#[test]
fn a_partition_is_one_of_the_chosen_columns() {
    let bench = Bench::new();
    put_years(&bench);
    for (columns, expected) in
        [(json!(["year"]), vec!["year"]), (json!(["id", "year"]), vec!["id", "year"]), (json!(["id"]), vec!["id"])]
    {
        let stream =
            of_years("parquet", json!({"parquet_columns": columns, "parquet_filters": [["year", ">=", 2024]]}));
        let config = bench.config(json!([stream]));
        let discovered = bench.discover(&config).ok();
        let properties = &discovered.of_type("CATALOG")[0]["catalog"]["streams"][0]["json_schema"]["properties"];
        let of_catalog = properties.as_object().unwrap().keys().filter(|key| !key.starts_with("_ab_")).count();
        assert_eq!(of_catalog, expected.len(), "{properties:#}");
        for catalog in [catalog("s", "full_refresh"), catalog_with("s", "full_refresh", properties.clone())] {
            let output = bench.read(&config, &catalog, None).ok();
            assert_eq!(output.data().len(), 8, "{columns}");
            let row = output.data()[0].as_object().unwrap().clone();
            let names: Vec<_> = row.keys().filter(|key| !key.starts_with("_ab_")).cloned().collect();
            assert_eq!(names, expected, "{row:?}");
        }
    }
}

#[test]
fn a_record_cursor_on_a_partition_reads_only_newer_ones() {
    let bench = Bench::new();
    for (format, types) in [("csv", json!({})), ("parquet", json!({"day": "date"})), ("jsonl", json!({}))] {
        let folder = format!("c-{format}");
        let put = |day: u32, name: &str, second: u64| {
            let key = format!("{folder}/day=2024-03-{day:02}/{name}.{format}");
            match format {
                "csv" => bench.put(&key, format!("id\n{day}\n"), second),
                "jsonl" => bench.put(&key, format!("{{\"id\":{day}}}\n"), second),
                _ => bench.put(&key, parquet(vec![("id", ids(i64::from(day)..i64::from(day) + 1))], 9), second),
            }
        };
        let config = |lookback: Option<&str>| {
            let mut stream = of_years(format, json!({"cursor_field": "day", "partition_types": types}));
            stream["globs"] = json!([format!("{folder}/**")]);
            if let Some(lookback) = lookback {
                stream["cursor_lookback"] = lookback.into();
            }
            bench.config(json!([stream]))
        };
        (1..=5).for_each(|day| put(day, "a", 1));
        let first = bench.read(&config(None), &catalog("s", "incremental"), None).ok();
        assert_eq!(first.data().len(), 5);
        (3..=7).for_each(|day| put(day, "b", 2));
        bench.server.log().clear();
        let second = bench.read(&config(None), &catalog("s", "incremental"), Some(&first.state())).ok();
        assert_eq!(column(&second, "day"), ["2024-03-05", "2024-03-06", "2024-03-07"].map(str::to_owned).into());
        log_of(&second, "files skipped: their partition is lower");
        let back = bench.read(&config(Some("1d")), &catalog("s", "incremental"), Some(&first.state())).ok();
        assert_eq!(column(&back, "day").len(), 4, "{format}");
        // They were not read, and are not taken for read.
        let last = bench.read(&config(Some("9d")), &catalog("s", "incremental"), Some(&second.state())).ok();
        assert_eq!(column(&last, "day"), ["2024-03-03", "2024-03-04"].map(str::to_owned).into(), "{format}");
    }
}
