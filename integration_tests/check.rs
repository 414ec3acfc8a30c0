//! `check` decodes the start of a file as `read` does: what it passes can be read, and it costs few requests.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::support::{Bench, Output, catalog, gzipped};

fn stream(filetype: &str) -> Value {
    json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": filetype}}])
}

/// The answer of a check, and the GETs that it took.
fn check(bench: &Bench, streams: Value) -> (String, String, usize) {
    bench.server.log().clear();
    let output = bench.check(&bench.config(streams));
    assert_eq!(output.code, Some(0), "{output:#?}");
    let (status, message) = status(&output);
    (status, message, bench.requests().0)
}

fn status(output: &Output) -> (String, String) {
    let status = &output.of_type("CONNECTION_STATUS")[0]["connectionStatus"];
    let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

#[track_caller]
fn refuses(key: &str, content: &[u8], filetype: &str, word: &str, most_gets: usize) {
    let bench = Bench::new();
    bench.put(key, content, 1);
    let (status, message, gets) = check(&bench, stream(filetype));
    assert_eq!(status, "FAILED", "{key} as {filetype}");
    assert!(message.contains(word) && message.contains(key), "{key} as {filetype}: {message}");
    assert!(gets <= most_gets, "{gets} GETs for {key} as {filetype}");
    let read = bench.read(&bench.config(stream(filetype)), &catalog("s", "full_refresh"), None);
    assert_eq!(read.code, Some(1), "{key} as {filetype} can be read after all");
}

#[track_caller]
fn passes(bench: &Bench, streams: Value, most_gets: usize) -> Output {
    bench.server.log().clear();
    let output = bench.check(&bench.config(streams));
    assert_eq!(status(&output).0, "SUCCEEDED", "{output:#?}");
    assert!(bench.requests().0 <= most_gets, "{} GETs", bench.requests().0);
    output
}

/// More than 600 KB of CSV.
fn csv() -> Vec<u8> {
    let rows = (0..30_000).map(|row| format!("{row},name {row},{}\n", row * 7));
    std::iter::once("id,name,value\n".to_owned()).chain(rows).collect::<String>().into_bytes()
}

fn random(length: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_large_csv_file_is_no_jsonl_json_or_parquet() {
    let csv = csv();
    assert!(csv.len() > 600_000);
    refuses("f/large.csv", &csv, "jsonl", "not a JSON object", 1);
    refuses("f/large.csv", &csv, "json", "neither JSON objects", 1);
    refuses("f/large.csv", &csv, "parquet", "does not end like a Parquet file", 1);
    refuses("f/large.csv", &csv, "avro", "Avro", 1);
    refuses("f/large.csv.gz", &gzipped(&csv), "jsonl", "not a JSON object", 1);
}

#[test]
fn large_random_bytes_are_refused_whatever_the_format() {
    let bytes = random(700_000);
    for filetype in ["csv", "jsonl", "json", "avro", "parquet"] {
        refuses("f/random.bin", &bytes, filetype, "", 2);
    }
}

#[test]
fn a_bad_byte_in_the_first_row_of_a_large_file_is_refused() {
    let mut csv = csv();
    csv[20] = 0xff;
    refuses("f/large.csv", &csv, "csv", "not UTF-8", 1);
    // A first row that does not end within the first request.
    let mut long = format!("id,text\n1,{}\n", "x".repeat(400_000)).into_bytes();
    long[390_000] = 0xff;
    refuses("f/long.csv", &long, "csv", "not UTF-8", 2);
}

#[test]
fn a_first_row_that_is_longer_than_the_first_request_is_read_to_its_end() {
    let bench = Bench::new();
    bench.put("f/long.jsonl", format!("{{\"a\": \"{}\"}}\n", "x".repeat(1_500_000)), 1);
    passes(&bench, stream("jsonl"), 2);
    // An array in one line, of which the first object ends early.
    bench.put("f/long.jsonl", format!("[{{\"a\": 1}}, {{\"a\": \"{}\"}}]", "x".repeat(1_500_000)), 2);
    passes(&bench, stream("json"), 1);
}

#[test]
fn a_good_large_file_costs_one_request_and_rows_after_the_first_do_not_count() {
    let bench = Bench::new();
    let mut csv = csv();
    let last = csv.len() - 5;
    csv[last] = 0xff;
    bench.put("f/large.csv", &csv, 1);
    passes(&bench, stream("csv"), 1);
}

#[test]
fn bad_rows_that_are_skipped_pass_unless_there_is_no_good_one() {
    let bench = Bench::new();
    let skipping = |bench: &Bench| {
        let mut streams = stream("jsonl");
        streams[0]["on_error"] = "skip".into();
        check(bench, streams)
    };
    let good = "{\"a\": 1}\n".repeat(50_000);
    bench.put("f/a.jsonl", format!("nonsense\n{good}"), 1);
    assert_eq!(skipping(&bench).0, "SUCCEEDED");
    bench.put("f/a.jsonl", csv(), 2);
    let (status, message, gets) = skipping(&bench);
    assert_eq!((status.as_str(), gets), ("FAILED", 1), "{message}");
}

fn parquet(columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn plain() -> WriterProperties {
    WriterProperties::builder().set_dictionary_enabled(false).build()
}

#[test]
fn a_parquet_file_whose_pages_are_damaged_is_refused() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..100_000).map(|row| format!("text {row}"))));
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let good = parquet(vec![("id", numbers), ("text", texts)], properties);
    let bench = Bench::new();
    bench.put("f/a.parquet", &good, 1);
    passes(&bench, stream("parquet"), 2);
    let mut damaged = good;
    damaged[4..2000].fill(0xa5);
    refuses("f/a.parquet", &damaged, "parquet", "", 2);
}

#[test]
fn a_parquet_file_with_values_that_no_record_can_have_is_refused() {
    let binary: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..10).map(|_| [0xff_u8, 0xfe])));
    refuses("f/a.parquet", &parquet(vec![("blob", binary)], plain()), "parquet", "blob", 1);
}

/// Columns that a check need not read are read no further than the limit, and that is said.
#[test]
fn a_check_of_a_parquet_file_with_a_large_row_group_is_bounded() {
    let bench = Bench::new();
    let small: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3_000_000));
    let large: ArrayRef = Arc::new(StringArray::from_iter_values((0..3_000_000).map(|row| format!("text {row:>20}"))));
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_max_row_group_row_count(Some(3_000_000))
        .set_compression(Compression::SNAPPY)
        .build();
    let content = parquet(vec![("first", Arc::clone(&small)), ("large", large), ("last", small)], properties);
    assert!(content.len() > 35 << 20, "{}", content.len());
    bench.put("f/a.parquet", content, 1);
    let output = passes(&bench, stream("parquet"), 2);
    let noted = output.logs().into_iter().any(|line| line.contains("the values of 0 of 3"));
    assert!(noted, "{:#?}", output.logs());
    let received = bench.server.log().take().iter().map(|entry| entry.bytes_sent).sum::<u64>();
    assert!(received < 16 << 20, "{received} bytes");
}

#[test]
fn the_first_member_of_an_archive_is_decoded() {
    let bench = Bench::new();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures/compression");
    bench.put("f/members.zip", std::fs::read(folder.join("members.zip")).unwrap(), 1);
    passes(&bench, stream("csv"), 1);
    let (status, message, _) = check(&bench, stream("jsonl"));
    assert_eq!(status, "FAILED", "{message}");
    assert!(message.contains("f/members.zip#a.csv"), "{message}");
}

/// Damaged copies of other tools' files: where nothing of a file can be read, a check must not have passed it.
#[test]
fn a_damaged_parquet_file_of_which_nothing_can_be_read_is_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures/parquet");
    let (mut unreadable, mut random) = (0, random(4096).into_iter());
    let mut number = || u32::from_be_bytes(std::array::from_fn(|_| random.next().unwrap())) as usize;
    for file in ["duckdb", "polars", "nested", "small--gzip", "small--checksums", "small--page_v2", "spark_legacy"] {
        let content = std::fs::read(folder.join(format!("{file}.parquet"))).unwrap();
        for copy in 0..6 {
            let mut damaged = content.clone();
            let at = number() % (damaged.len() - 16);
            damaged[at..at + 16].fill(number() as u8);
            let bench = Bench::new();
            bench.put("f/a.parquet", &damaged, 1);
            let read = bench.read(&bench.config(stream("parquet")), &catalog("s", "full_refresh"), None);
            if read.code == Some(1) && read.data().is_empty() {
                unreadable += 1;
                assert_eq!(check(&bench, stream("parquet")).0, "FAILED", "{file}, copy {copy}: {:#?}", read.errors());
            }
        }
    }
    assert!(unreadable > 5, "{unreadable}");
}
