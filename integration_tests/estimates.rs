//! Estimates of Parquet against what reading took, by the server's log: within bounds for every bucket, and near for most.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics with what it met, and the widths are to be seen"
)]

use std::sync::Arc;

use crate::cost::Scenario;
use crate::support::testkit::{Entry, ObjectOptions};
use crate::support::{BUCKET, Bench, catalog, catalog_with, time};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..4).for_each(|_| _ = random.next());
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// As many of each order of magnitude.
    fn log_uniform(&mut self, least: f64, greatest: f64) -> f64 {
        let part = self.below(1 << 20) as f64 / (1 << 20) as f64;
        (least.ln() + part * (greatest.ln() - least.ln())).exp()
    }
}

/// A file of `columns` columns of noise beside the day of each row.
struct Table {
    days: std::ops::Range<i64>,
    rows: usize,
    columns: usize,
    group_rows: usize,
    bloom: bool,
}

fn parquet(table: &Table, random: &mut Random) -> Vec<u8> {
    let Table { days, rows, columns, group_rows, bloom } = table;
    let width = (days.end - days.start).max(1);
    let day = |row: usize| days.start + row as i64 * width / (*rows).max(1) as i64;
    let mut all: Vec<(String, ArrayRef)> =
        vec![("day".to_owned(), Arc::new(Int64Array::from_iter_values((0..*rows).map(day))))];
    for column in 0..*columns {
        let values = Int64Array::from_iter_values((0..*rows).map(|_| random.next() as i64));
        all.push((format!("c{column:02}"), Arc::new(values)));
    }
    let batch = RecordBatch::try_from_iter(all).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some((*group_rows).max(1)))
        .set_dictionary_enabled(false)
        .set_bloom_filter_enabled(*bloom)
        .set_compression(Compression::UNCOMPRESSED)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn put(bench: &Bench, key: &str, content: Vec<u8>) {
    bench.server.store().put(BUCKET, key, content, ObjectOptions { modified_at: Some(time(1)), ..Default::default() });
}

/// What an estimate said and reading took.
struct Outcome {
    /// The distance of the bounds, as a part of what it took.
    width: f64,
    /// How far the estimate was off, as a part of what it took.
    off: f64,
    footers: u64,
    text: String,
}

fn gets(log: &[Entry]) -> (u64, u64) {
    let gets = log.iter().filter(|entry| entry.operation == "REST.GET.OBJECT");
    gets.fold((0, 0), |sum, entry| (sum.0 + 1, sum.1 + entry.bytes_sent))
}

/// Estimates and reads, and holds requests and bytes against the bounds.
#[track_caller]
fn hold(name: &str, scenario: &Scenario) -> Outcome {
    let (estimate, _) = scenario.estimate();
    let (bill, log) = scenario.read();
    let position = &estimate["positions"][0];
    let (requests, _) = gets(&log);
    let bytes: u64 = log.iter().map(|entry| entry.bytes_sent).sum();
    let line = |kind: &str| {
        let lines = position["lines"].as_array().unwrap();
        lines.iter().find(|line| line["usage_type"] == kind).cloned().unwrap_or_default()
    };
    let mut text = name.to_owned();
    for (kind, actual) in [("Requests-Tier2", requests), ("DataTransfer-Out-Bytes", bytes)] {
        let line = line(kind);
        let of = |key: &str| line[key].as_u64().unwrap_or_default();
        let (low, expected, high) = (of("low_quantity"), of("quantity"), of("high_quantity"));
        text = format!("{text} | {kind} {low} <= {expected} <= {high}, actual {actual}");
        assert!(low <= actual && actual <= high, "{text}");
    }
    let usd = |value: &Value| value.as_f64().unwrap();
    let (low, expected, high) = (usd(&position["low_usd"]), usd(&position["total_usd"]), usd(&position["high_usd"]));
    let actual = usd(&bill["total_usd"]);
    assert!(low <= actual + 1e-9 && actual <= high + 1e-9, "{text}: ${actual} is not in {low} to {high}");
    let footers = estimate["streams"][0]["footers"].as_u64().unwrap();
    Outcome { width: (high - low) / actual, off: (expected - actual) / actual, footers, text }
}

/// A bucket by its number: some files of sizes of all orders of magnitude, a schema that grows or not, a filter on a column
/// that rises with the key, falls, or has nothing to do with it, or none, and all or some columns.
fn bucket(seed: u64) -> Scenario {
    let mut random = Random::new(seed);
    let bench = Bench::new();
    let files = 2 + random.below(40) as usize;
    let (growing, falling, bloom) = (random.below(3) == 0, random.below(2) == 0, random.below(4) == 0);
    let clustered = random.below(3) != 0;
    let partitioned = random.below(2) == 0;
    for index in 0..files {
        let columns = if growing { 1 + index * 12 / files } else { 2 + random.below(8) as usize };
        let size = random.log_uniform(3e3, 1.5e6);
        let rows = (size / (8.0 * (columns + 1) as f64)) as usize;
        let at = if falling { files - index } else { index } as i64 * 10;
        let days = if clustered { at..at + 10 } else { 0..10 * files as i64 };
        let group_rows = rows / (1 + random.below(6) as usize) + 1;
        let table = Table { days, rows, columns, group_rows, bloom };
        let key = match partitioned {
            true => format!("t/p={}/{index:03}.parquet", index / 7),
            false => format!("t/{index:03}.parquet"),
        };
        put(&bench, &key, parquet(&table, &mut random));
    }
    let mode = if random.below(2) == 0 { "full_refresh" } else { "incremental" };
    let catalog = match random.below(3) {
        0 => catalog("s", mode),
        _ => {
            let mut properties = Map::new();
            for column in 0..1 + random.below(4) {
                properties.insert(format!("c{:02}", column * 2), json!({"type": ["null", "integer"]}));
            }
            catalog_with("s", mode, properties.into())
        }
    };
    let mut scenario = Scenario::new(bench, "parquet", catalog).with("network", "internet".into());
    let day = random.below(10 * files as u64 + 20);
    let filter = match random.below(6) {
        0 => json!([["day", "=", day]]),
        1 => json!([["day", ">=", day]]),
        2 => json!([["day", "<", day]]),
        3 => json!([["day", "in", [day, day / 2]]]),
        _ => Value::Null,
    };
    if !filter.is_null() {
        scenario.config["streams"][0]["parquet_filters"] = filter;
    }
    scenario
}

/// B16 of issue 11: bounds hold for each of a hundred buckets, and are not made of air.
#[test]
fn the_cost_of_a_hundred_random_buckets_lies_within_the_bounds() {
    let next = std::sync::atomic::AtomicU64::new(0);
    let outcomes = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= 100 {
                        break;
                    }
                    let outcome = hold(&format!("bucket {seed}"), &bucket(seed));
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    assert_eq!(outcomes.len(), 100);
    let footers: u64 = outcomes.iter().map(|outcome| outcome.footers).sum();
    outcomes.sort_by(|a, b| a.off.abs().total_cmp(&b.off.abs()));
    let (off, worst_off) = (outcomes[50].off.abs(), outcomes[99].off);
    println!(
        "off: median {:.1} %, 90th {:.1} %, worst {:+.1} %",
        off * 100.0,
        outcomes[89].off.abs() * 100.0,
        worst_off * 100.0
    );
    println!("{}", outcomes[99].text);
    outcomes.sort_by(|a, b| a.width.total_cmp(&b.width));
    let (width, worst_width) = (outcomes[50].width, outcomes[99].width);
    println!(
        "width: median {:.1} %, 90th {:.1} %, worst {:.1} %; {footers} footers",
        width * 100.0,
        outcomes[89].width * 100.0,
        worst_width * 100.0
    );
    println!("{}", outcomes[99].text);
    assert!(width < 0.25, "the bounds of half of the buckets are further apart: {width}");
    assert!(off < 0.02 && outcomes.iter().filter(|outcome| outcome.off.abs() > 0.1).count() <= 10);
}

/// B16: five footers without a wanted row stood for all 60 files, and the bounds were a hair apart.
#[test]
fn a_filter_on_a_column_that_is_clustered_by_file_is_estimated() {
    for (wanted, most_off) in [(json!([["day", ">=", 400], ["day", "<", 560]]), 0.1), (json!([["day", "=", 87]]), 0.1)]
    {
        let bench = Bench::new();
        let mut random = Random::new(5);
        for index in 0..60 {
            let days = index * 10..index * 10 + 10;
            let table = Table { days, rows: 20_000, columns: 4, group_rows: 5000, bloom: false };
            put(&bench, &format!("t/{index:03}.parquet"), parquet(&table, &mut random));
        }
        let mut scenario =
            Scenario::new(bench, "parquet", catalog("s", "full_refresh")).with("network", "internet".into());
        scenario.config["streams"][0]["parquet_filters"] = wanted;
        let outcome = hold("clustered", &scenario);
        println!(
            "off {:+.2} %, width {:.1} %, {} footers: {}",
            outcome.off * 100.0,
            outcome.width * 100.0,
            outcome.footers,
            outcome.text
        );
        assert!(outcome.off.abs() <= most_off, "{}", outcome.text);
    }
}

/// B16: 95 tiny and 5 large files were estimated to cost up to five times as much, so that an affordable run was refused.
#[test]
fn tiny_files_among_large_ones_do_not_stand_for_them() {
    let bench = Bench::new();
    let mut random = Random::new(6);
    for index in 0..100_usize {
        let rows = if index % 20 == 9 { 40_000 + 1000 * index } else { 100 };
        let table = Table { days: 0..10, rows, columns: 12, group_rows: 10_000, bloom: false };
        put(&bench, &format!("t/{index:03}.parquet"), parquet(&table, &mut random));
    }
    let catalog = catalog_with("s", "full_refresh", json!({"c03": {"type": "integer"}, "c09": {"type": "integer"}}));
    let scenario = Scenario::new(bench, "parquet", catalog).with("network", "internet".into());
    let outcome = hold("skewed", &scenario);
    println!(
        "off {:+.2} %, width {:.1} %, {} footers: {}",
        outcome.off * 100.0,
        outcome.width * 100.0,
        outcome.footers,
        outcome.text
    );
    assert!(outcome.off.abs() <= 0.01 && outcome.width < 0.05, "{}", outcome.text);
    // What it costs is affordable, and so it is.
    let (bill, _) = scenario.read();
    let affordable = scenario.with("cost_limit_usd", json!(bill["total_usd"].as_f64().unwrap() * 1.2));
    let (estimate, _) = affordable.estimate();
    assert_eq!(estimate["refused"], false, "{estimate:#}");
    // A run without its records: they are many.
    let (bill, _) = affordable.read();
    assert!(bill["total_usd"].as_f64().unwrap() > 0.0);
}

/// B16: where a limit lies within the bounds, more footers are read until it is certain on which side the run is, and that
/// is said.
#[test]
fn more_footers_are_read_where_a_limit_is_near() {
    let bench = Bench::new();
    let mut random = Random::new(7);
    // Nothing of the keys and the sizes tells which files have the wanted day.
    for index in 0..200 {
        let day = if random.below(2) == 0 { 0..1 } else { 5..6 };
        let table = Table { days: day, rows: 4000, columns: 4, group_rows: 4000, bloom: false };
        put(&bench, &format!("t/{index:03}.parquet"), parquet(&table, &mut random));
    }
    let mut scenario = Scenario::new(bench, "parquet", catalog("s", "full_refresh")).with("network", "internet".into());
    scenario.config["streams"][0]["parquet_filters"] = json!([["day", "=", 5]]);
    let free = hold("no limit", &scenario);
    let (bill, _) = scenario.read();
    let limit = bill["total_usd"].as_f64().unwrap() * 1.3;
    let limited = scenario.with("cost_limit_usd", json!(limit));
    let outcome = hold("a limit", &limited);
    println!(
        "{} footers, width {:.1} % without a limit; {}, {:.1} % with one",
        free.footers,
        free.width * 100.0,
        outcome.footers,
        outcome.width * 100.0
    );
    let (estimate, log) = limited.estimate();
    assert_eq!(estimate["refused"], false);
    assert!(outcome.footers > free.footers && outcome.width < free.width, "{}", outcome.text);
    // Their price is in the estimate, by the request.
    let lines = estimate["estimating"]["lines"].as_array().unwrap();
    let tier2 = lines.iter().find(|line| line["usage_type"] == "Requests-Tier2").unwrap();
    assert_eq!(tier2["quantity"].as_u64().unwrap(), gets(&log).0);
}
