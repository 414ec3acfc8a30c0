//! Runs that end at a limit and go on in the next run: each gets further, or is refused with the limit that would do.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::sync::Arc;

use crate::cost::{Scenario, gets, noise};
use crate::support::testkit::{Content, Entry, ObjectOptions, VirtualBucket, VirtualObject};
use crate::support::{BUCKET, Bench, Output, catalog, gzipped, time};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

const GB: f64 = (1u64 << 30) as f64;

fn put(bench: &Bench, key: &str, content: impl Into<Content>) {
    let options = ObjectOptions { modified_at: Some(time(1)), ..ObjectOptions::default() };
    bench.server.store().put(BUCKET, key, content, options);
}

/// A Parquet file of numbers that do not compress, in row groups of 1,000 rows.
fn parquet_file(rows: i64, seed: u64) -> Vec<u8> {
    let mut random = seed | 1;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 8) as i64
    };
    let columns = (0..5).map(|column| {
        let values = Int64Array::from_iter_values((0..rows).map(|_| next()));
        (format!("c{column}"), Arc::new(values) as ArrayRef)
    });
    let batch = RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(1000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Files of one kind, the number of their rows, and what their format is called.
fn files(kind: &str) -> (Bench, usize, &'static str) {
    let bench = Bench::new();
    let line = "0123456789".repeat(9);
    match kind {
        "a large CSV file" => {
            put(&bench, "a.csv", Content::repeat("x,y\n", format!("{line},1\n"), 10_000));
            (bench, 10_000, "csv")
        }
        "JSONL files" => {
            let block = format!("{{\"x\":\"{line}\"}}\n");
            for index in 0..3 {
                put(&bench, &format!("{index}.jsonl"), Content::repeat("", block.clone(), 2000));
            }
            (bench, 6000, "jsonl")
        }
        "small CSV files" => {
            for index in 0..12 {
                put(&bench, &format!("{index:02}.csv"), format!("x\n{line}\n").into_bytes());
            }
            (bench, 12, "csv")
        }
        "compressed files" => {
            let zipped = gzipped(&[b"x,y\n".to_vec(), noise(90_000)].concat());
            (0..3).for_each(|index| put(&bench, &format!("{index}.csv.gz"), zipped.clone()));
            (bench, 3, "csv")
        }
        "Parquet files" => {
            for index in 0..5 {
                put(&bench, &format!("{index}.parquet"), parquet_file(4000 + 500 * index, index as u64));
            }
            (bench, 25_000, "parquet")
        }
        _ => unreachable!("{kind}"),
    }
}

/// What an error advises for a limit.
fn advised(output: &Output, parameter: &str) -> f64 {
    let message = output.errors()[0]["message"].as_str().unwrap().to_owned();
    let advice = message.split(&format!("`{parameter}` to ")).nth(1);
    let advice = advice.unwrap_or_else(|| panic!("no advice for {parameter}: {message}"));
    let digits = advice.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
    digits.trim_end_matches('.').parse().unwrap()
}

fn value_of(parameter: &str, limit: f64) -> Value {
    match parameter {
        "max_requests" | "max_files_per_run" => json!(limit as u64),
        _ => json!(limit),
    }
}

/// Runs until all is read. Each run gets further, or is refused with a limit that is then tried. Returns how many runs read
/// something, and how many were refused.
fn until_done(name: &str, mut scenario: Scenario, rows: usize, parameter: &str, mut limit: f64) -> (usize, usize) {
    scenario = scenario.with("on_limit", "partial".into());
    let (mut read, mut runs, mut refused) = (0, 0, 0);
    loop {
        scenario = scenario.with(parameter, value_of(parameter, limit));
        let (output, _) = scenario.read_messages();
        let done = !output.logs().iter().any(|line| line.contains("exceeds limit")) && output.errors().is_empty();
        let got = output.data().len();
        let place = format!("{name}, {parameter} {limit}, run {runs}, {got} rows");
        let what = || format!("{place}: {:#?}", output.logs());
        if output.code == Some(0) {
            assert!(got > 0, "no progress in {}", what());
            runs += 1;
        } else {
            assert_eq!(got, 0, "a refused run that reads: {}", what());
            assert!(!output.statuses().contains(&"COMPLETE"), "{}", what());
            let least = advised(&output, parameter);
            assert!(least > limit, "{least} is advised: {}", what());
            (limit, refused) = (least, refused + 1);
        }
        read += got;
        if !output.state().as_array().unwrap().is_empty() {
            scenario.state = Some(output.state());
        }
        if done {
            assert_eq!(read, rows, "each row once: {}", what());
            return (runs, refused);
        }
        assert!(runs + refused < 60, "no end: {}", what());
    }
}

#[test]
fn every_partial_run_makes_progress_or_is_refused_with_what_would_do() {
    for (kind, limits) in [
        (
            "a large CSV file",
            &[("max_requests", 1.0), ("max_data_size_gb", 1e4), ("max_data_size_gb", 2e5), ("cost_limit_usd", 3e-5)][..],
        ),
        ("JSONL files", &[("max_requests", 1.0), ("max_data_size_gb", 1.2e5), ("max_files_per_run", 1.0)]),
        ("small CSV files", &[("max_requests", 1.0), ("max_requests", 7.0), ("max_data_size_gb", 10.0)]),
        ("compressed files", &[("max_requests", 1.0), ("max_data_size_gb", 1e4), ("cost_limit_usd", 1e-6)]),
        (
            "Parquet files",
            &[
                ("max_requests", 1.0),
                ("max_requests", 5.0),
                ("max_requests", 8.0),
                ("max_data_size_gb", 1e4),
                ("cost_limit_usd", 1e-6),
                ("max_files_per_run", 2.0),
            ],
        ),
    ] {
        for mode in ["incremental", "full_refresh"] {
            for &(parameter, limit) in limits {
                let (bench, rows, format) = files(kind);
                let limit = if parameter == "max_data_size_gb" { limit / GB } else { limit };
                let scenario = Scenario::new(bench, format, catalog("s", mode)).with("network", "internet".into());
                let (runs, refused) = until_done(&format!("{kind}, {mode}"), scenario, rows, parameter, limit);
                assert!(runs + refused > 1, "{kind}, {mode}: {parameter} {limit} was never reached");
                assert!(refused <= 4, "{kind}, {mode}: {parameter} {limit} was raised {refused} times");
            }
        }
    }
}

fn lists(log: &[Entry]) -> usize {
    log.iter().filter(|entry| entry.operation == "REST.GET.BUCKET").count()
}

/// A bucket of five pages.
fn pages(mode: &str, limit: u64) -> Scenario {
    let bench = Bench::new();
    let object = |index| VirtualObject::new(format!("p/{index:06}.csv"), Content::repeat("x\n", "1\n", 1));
    bench.server.store().virtual_bucket("pages", VirtualBucket::new(5000, object));
    Scenario::new(bench, "csv", catalog("s", mode))
        .with("bucket", "pages".into())
        .with("on_limit", "partial".into())
        .with("max_requests", limit.into())
}

#[test]
fn a_listing_that_is_longer_than_the_limit_is_refused_or_read_page_by_page() {
    // The order of modification is known only when all is listed.
    let (output, log) = pages("incremental", 4).read_messages();
    assert_eq!((output.code, output.data().len(), gets(&log)), (Some(1), 0, 0), "{output:#?}");
    let message = output.errors()[0]["message"].as_str().unwrap();
    for part in ["`max_requests` to 5", "tollgate estimate", "listing"] {
        assert!(message.contains(part), "'{part}' in: {message}");
    }
    assert!(!output.statuses().contains(&"COMPLETE"));

    // A full refresh reads in the order of the keys: one page is enough.
    let scenario = pages("full_refresh", 4);
    let (output, log) = scenario.read_messages();
    assert_eq!((output.code, output.data().len(), lists(&log), log.len()), (Some(0), 3, 1, 4), "{:#?}", output.logs());
    let mut next = scenario;
    next.state = Some(output.state());
    let (output, log) = next.read_messages();
    assert_eq!((output.code, output.data().len(), lists(&log)), (Some(0), 3, 1), "{:#?}", output.logs());
}

#[test]
fn footers_are_not_looked_at_where_nothing_is_refused() {
    let (bench, _, format) = files("Parquet files");
    let scenario = Scenario::new(bench, format, catalog("s", "incremental"))
        .with("on_limit", "partial".into())
        .with("max_requests", 8.into());
    let (output, log) = scenario.read_messages();
    // A LIST, and three files with two requests each; before, five footers left two requests for reading. What is left is
    // not enough for a footer and rows.
    assert_eq!((output.code, log.len()), (Some(0), 7), "{:#?}", output.logs());
    assert!(output.data().len() >= 13_000, "{}", output.data().len());
}

/// The first stream is read anew by each run and leaves too little for the second: that goes on for ever.
#[test]
fn a_stream_that_never_gets_its_turn_is_a_failure() {
    let scenario = |limit: u64| {
        let bench = Bench::new();
        for index in 0..3 {
            put(&bench, &format!("a/{index}.csv"), b"x\n1\n".to_vec());
            put(&bench, &format!("b/{index}.csv"), b"x\n1\n".to_vec());
        }
        let stream = |name: &str| json!({"name": name, "globs": [format!("{name}/*")], "format": {"filetype": "csv"}});
        let mut catalog = catalog("a", "full_refresh");
        let second = crate::support::catalog("b", "incremental")["streams"][0].clone();
        catalog["streams"].as_array_mut().unwrap().push(second);
        Scenario::new(bench, "csv", catalog)
            .with("streams", json!([stream("a"), stream("b")]))
            .with("on_limit", "partial".into())
            .with("max_requests", limit.into())
    };
    let (output, _) = scenario(5).read_messages();
    assert_eq!((output.code, output.data().len()), (Some(1), 3), "{output:#?}");
    assert_eq!(advised(&output, "max_requests"), 6.0);
    let (output, _) = scenario(6).read_messages();
    assert_eq!((output.code, output.data().len()), (Some(0), 4), "{output:#?}");
}
