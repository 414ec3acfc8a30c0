//! A server that misbehaves, for each format: what passes is survived, what stays is said, nothing is lost silently.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::testkit::{Action, Algorithm, Fault, ObjectOptions, When};
use crate::support::{BUCKET, Bench, Output, catalog, finish, gzipped, parse, time};
use arrow::array::{RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

const ROWS: usize = 3000;

struct Case {
    filetype: &'static str,
    key: &'static str,
    content: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let pad = "x".repeat(90);
    let csv: String =
        std::iter::once("id,pad\n".to_owned()).chain((0..ROWS).map(|id| format!("{id},{pad}\n"))).collect();
    let jsonl: String = (0..ROWS).map(|id| format!("{{\"id\":\"{id}\",\"pad\":\"{pad}\"}}\n")).collect();
    let ids = StringArray::from_iter_values((0..ROWS).map(|id| id.to_string()));
    // Texts that do not compress: the file must be longer than what is read at once.
    let mut seed = 7u64;
    let pads = StringArray::from_iter_values((0..ROWS).map(|_| {
        (0..6)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{seed:016x}")
            })
            .collect::<String>()
    }));
    let batch = RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("pad", Arc::new(pads) as _)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    vec![
        Case { filetype: "csv", key: "f/a.csv", content: csv.clone().into_bytes() },
        Case { filetype: "csv", key: "f/a.csv.gz", content: gzipped(csv.as_bytes()) },
        Case { filetype: "jsonl", key: "f/a.jsonl", content: jsonl.clone().into_bytes() },
        Case { filetype: "jsonl", key: "f/a.jsonl.gz", content: gzipped(jsonl.as_bytes()) },
        Case { filetype: "parquet", key: "f/a.parquet", content: writer.into_inner().unwrap() },
    ]
}

fn config(bench: &Bench, filetype: &str) -> Value {
    bench.config(json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": filetype}}]))
}

fn read_with(case: &Case, faults: Vec<Fault>) -> Output {
    let bench = Bench::new();
    bench.put(case.key, &case.content, 1);
    let added: Vec<_> = faults.into_iter().map(|fault| bench.server.faults().add(fault)).collect();
    let output = bench.read(&config(&bench, case.filetype), &catalog("s", "incremental"), None);
    for id in added {
        assert!(bench.server.faults().hits(id) > 0, "the fault was not met by {}", case.key);
    }
    output
}

#[track_caller]
fn assert_all_rows(output: &Output, what: &str) {
    let ids: Vec<usize> = output.column("id").iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(ids, (0..ROWS).collect::<Vec<_>>(), "{what}");
}

#[test]
fn faults_that_pass_are_survived_with_every_row_once() {
    for case in cases() {
        let middle = case.content.len() as u64 / 3;
        let body_faults = [Action::ResetAfter(middle), Action::ShortBody(middle)];
        let answer_faults = [Action::slow_down(), Action::status(500), Action::Reset];
        for action in body_faults.into_iter().chain(answer_faults) {
            let fault = Fault::new(action.clone()).times(1).when(When::get(case.key));
            let output = read_with(&case, vec![fault]).ok();
            assert_all_rows(&output, &format!("{action:?} on {}", case.key));
        }
    }
}

#[test]
fn a_listing_page_that_fails_once_is_asked_for_again() {
    for action in [Action::slow_down(), Action::Reset, Action::ShortBody(100)] {
        let output = read_with(&cases()[0], vec![Fault::new(action).times(1).when(When::list())]).ok();
        assert_all_rows(&output, "listing");
    }
}

#[test]
fn a_listing_that_stays_broken_fails_the_stream_as_transient() {
    let bench = Bench::new();
    bench.server.faults().add(Fault::new(Action::slow_down()).when(When::list()));
    let mut command = bench.read_command(&config(&bench, "csv"), &catalog("s", "incremental"), None);
    command.args(["--retry-seconds", "2"]);
    let output = finish(command);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
    let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
    assert_eq!(error["failure_type"], "transient_error", "{error}");
}

#[test]
fn an_object_that_is_deleted_or_replaced_after_the_listing_is_an_error_and_not_in_the_history() {
    for case in cases() {
        for action in [Action::DeleteBefore, Action::ChangeObjectBefore(b"id,pad\nother,row\n".to_vec())] {
            let output = read_with(&case, vec![Fault::new(action.clone()).times(1).when(When::get(case.key))]);
            let what = format!("{action:?} on {}: {output:#?}", case.key);
            assert_eq!(output.code, Some(1), "{what}");
            assert_eq!(output.data().len(), 0, "{what}");
            let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {what}") };
            assert!(error["message"].as_str().unwrap().contains(case.key), "{what}");
            let state = &output.state()[0]["stream"]["stream_state"];
            assert_eq!(state["history"], json!({}), "{what}");
        }
    }
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_never_mixed() {
    for case in cases() {
        let cut = Fault::new(Action::ResetAfter(case.content.len() as u64 / 3)).times(1).when(When::get(case.key));
        let change = Fault::new(Action::ChangeObjectBefore(b"id,pad\nother,row\n".to_vec()));
        let change = change.times(1).when(When::get(case.key));
        let output = read_with(&case, vec![cut, change]);
        assert_eq!(output.code, Some(1), "{}: {output:#?}", case.key);
        assert!(!output.column("id").contains(&"other".to_owned()), "{}", case.key);
    }
}

#[test]
fn a_truncated_gzip_file_is_an_error() {
    for mut case in cases().into_iter().filter(|case| case.key.ends_with(".gz")) {
        let bench = Bench::new();
        case.content.truncate(case.content.len() / 2);
        bench.put(case.key, &case.content, 1);
        let output = bench.read(&config(&bench, case.filetype), &catalog("s", "incremental"), None);
        assert_eq!(output.code, Some(1), "{}", case.key);
        let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
        assert!(error["message"].as_str().unwrap().contains("is truncated"), "{error}");
    }
}

#[test]
fn random_throttling_over_many_files_loses_nothing() {
    let bench = Bench::new();
    for file in 0..200 {
        bench.put(&format!("f/{file:03}.csv"), format!("id\n{file}\n"), 1);
    }
    bench
        .server
        .faults()
        .add(Fault::new(Action::slow_down()).probability(0.05, 3).when(When::operation("REST.GET.OBJECT")));
    let output = bench.read(&config(&bench, "csv"), &catalog("s", "full_refresh"), None).ok();
    let mut ids: Vec<usize> = output.column("id").iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..200).collect::<Vec<_>>());
}

/// Rows that are several blocks of lines, so that the first are handed on long before the last are read.
const LONG_ROWS: usize = 30_000;

fn long_csv() -> Vec<u8> {
    let pad = "x".repeat(90);
    let rows = (0..LONG_ROWS).map(|id| format!("{id:07},{pad}\n"));
    std::iter::once("id,pad\n".to_owned()).chain(rows).collect::<String>().into_bytes()
}

fn put_with_checksum(bench: &Bench, key: &str, content: &[u8], algorithm: Algorithm) {
    let options = ObjectOptions { checksum: Some(algorithm), ..ObjectOptions::modified_at(time(1)) };
    bench.server.store().put(BUCKET, key, content.to_vec(), options);
}

fn states(output: &Output) -> Value {
    let states = output.of_type("STATE");
    json!([states.last().expect("a STATE")["state"]])
}

#[track_caller]
fn assert_long_rows(output: &Output) {
    let ids = output.column("id");
    assert_eq!(ids.len(), LONG_ROWS);
    assert!(ids.iter().enumerate().all(|(row, id)| *id == format!("{row:07}")));
}

/// Whether a run failed since bytes were wrong, said which rows are suspect, and left the file at its start.
#[track_caller]
fn assert_rewound(output: &Output, words: &str) {
    let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {:?}", output.errors()) };
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(words) && message.contains("suspect_rows '1-"), "{message}");
    assert_eq!(output.code, Some(1));
    assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
    let pending = &states(output)[0]["stream"]["stream_state"]["tollgate"]["pending"];
    let [file] = pending.as_object().unwrap().values().collect::<Vec<_>>()[..] else { panic!("{pending}") };
    assert_eq!((&file["at"], &file["rows"]), (&json!("start"), &json!(0)), "{pending}");
}

#[test]
fn a_checksum_mismatch_is_not_committed_and_healed_by_the_next_run() {
    let algorithms = [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Sha1, Algorithm::Sha256];
    for (algorithm, mode) in algorithms.into_iter().zip(["incremental", "full_refresh"].into_iter().cycle()) {
        let bench = Bench::new();
        put_with_checksum(&bench, "f/a.csv", &long_csv(), algorithm);
        bench.server.faults().add(Fault::new(Action::FlipByte(1000)).times(1).when(When::get("f/a.csv")));
        let (config, catalog) = (config(&bench, "csv"), catalog("s", mode));
        let first = bench.read(&config, &catalog, None);
        assert!(first.data().len() > LONG_ROWS / 2, "rows were handed on before the mismatch showed");
        assert_rewound(&first, "do not match the checksum");
        assert_long_rows(&bench.read(&config, &catalog, Some(&states(&first))).ok());
    }
}

#[test]
fn a_small_object_with_a_wrong_byte_gives_no_row_at_all() {
    let bench = Bench::new();
    put_with_checksum(&bench, "f/a.csv", b"id,pad\n1,x\n2,y\n", Algorithm::Crc32);
    bench.server.faults().add(Fault::new(Action::FlipByte(9)).when(When::get("f/a.csv")));
    let output = bench.read(&config(&bench, "csv"), &catalog("s", "incremental"), None);
    assert_eq!((output.code, output.data().len()), (Some(1), 0), "{output:#?}");
}

#[test]
fn the_checksum_is_checked_although_the_body_broke_off() {
    for (wrong_byte, is_right) in [(None, true), (Some(5000), false)] {
        let bench = Bench::new();
        put_with_checksum(&bench, "f/a.csv", &long_csv(), Algorithm::Crc64Nvme);
        bench.server.faults().add(Fault::new(Action::ShortBody(1_000_000)).times(1).when(When::get("f/a.csv")));
        if let Some(byte) = wrong_byte {
            let rest = When { range: Some(true), ..When::get("f/a.csv") };
            bench.server.faults().add(Fault::new(Action::FlipByte(byte)).times(1).when(rest));
        }
        let output = bench.read(&config(&bench, "csv"), &catalog("s", "incremental"), None);
        match is_right {
            true => assert_long_rows(&output.ok()),
            false => assert_rewound(&output, "do not match the checksum"),
        }
    }
}

/// Runs until so many bytes were printed, and is terminated then.
fn read_in_part(bench: &Bench, config: &Value, catalog: &Value, bytes: u64) -> Output {
    let mut command = bench.read_command(config, catalog, None);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut text = Vec::new();
    let mut stdout = child.stdout.take().unwrap();
    (&mut stdout).take(bytes).read_to_end(&mut text).unwrap();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    stdout.read_to_end(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    parse(&text)
}

#[test]
fn rows_of_an_interrupted_run_are_verified_by_the_next_one() {
    let stored = |csv: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        gzip.write_all(csv).unwrap();
        gzip.finish().unwrap()
    };
    let cases = [
        ("f/a.csv", long_csv(), Some(Algorithm::Crc32), "do not match the checksum"),
        ("f/a.csv", long_csv(), Some(Algorithm::Crc64Nvme), "do not match the checksum"),
        ("f/a.csv.gz", stored(&long_csv()), Some(Algorithm::Crc32c), "different bytes than in an earlier run"),
        // What is decoded again is compared even where the server keeps no checksum.
        ("f/a.csv.gz", stored(&long_csv()), None, "different bytes than in an earlier run"),
    ];
    for (key, content, algorithm, words) in cases {
        for wrong in [false, true] {
            let bench = Bench::new();
            match algorithm {
                Some(algorithm) => put_with_checksum(&bench, key, &content, algorithm),
                None => bench.put(key, &content, 1),
            }
            if wrong {
                bench.server.faults().add(Fault::new(Action::FlipByte(1003)).times(1).when(When::get(key)));
            }
            let (config, catalog) = (config(&bench, "csv"), catalog("s", "incremental"));
            let first = read_in_part(&bench, &config, &catalog, 1_500_000);
            let rows = first.data().len();
            assert!(rows > 0 && rows < LONG_ROWS, "{rows}");
            let second = bench.read(&config, &catalog, Some(&states(&first)));
            if wrong {
                assert_rewound(&second, words);
                assert_long_rows(&bench.read(&config, &catalog, Some(&states(&second))).ok());
                continue;
            }
            let second = second.ok();
            let ids: Vec<_> = first.column("id").into_iter().chain(second.column("id")).collect();
            assert_eq!(ids, (0..LONG_ROWS).map(|id| format!("{id:07}")).collect::<Vec<_>>(), "{key}");
        }
    }
}

#[test]
fn a_wrong_crc_of_gzip_takes_the_file_back_to_its_start() {
    let bench = Bench::new();
    let content = gzipped(&long_csv());
    bench.put("f/a.csv.gz", &content, 1);
    let wrong = Fault::new(Action::FlipByte(content.len() as u64 - 6)).times(1).when(When::get("f/a.csv.gz"));
    bench.server.faults().add(wrong);
    let (config, catalog) = (config(&bench, "csv"), catalog("s", "incremental"));
    let first = bench.read(&config, &catalog, None);
    assert_rewound(&first, "is damaged");
    assert_long_rows(&bench.read(&config, &catalog, Some(&states(&first))).ok());
}

#[test]
fn a_wrong_crc_of_a_zip_member_takes_the_member_back_to_its_start() {
    for mode in ["incremental", "full_refresh"] {
        let bench = Bench::new();
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        // Not a small archive, which is held as a whole.
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file("a.csv", stored).unwrap();
        archive.write_all(&long_csv()).unwrap();
        let content = archive.finish().unwrap().into_inner();
        bench.put("f/a.zip", &content, 1);
        let member = When { range: Some(true), ..When::get("f/a.zip") };
        // The first range is the directory's.
        bench.server.faults().add(Fault::new(Action::FlipByte(1003)).skip(1).times(1).when(member));
        let (config, catalog) = (config(&bench, "csv"), catalog("s", mode));
        let first = bench.read(&config, &catalog, None);
        let [error] = first.errors()[..] else { panic!("one TRACE ERROR: {:?}", first.errors()) };
        assert!(error["message"].as_str().unwrap().contains("suspect_rows '1-"), "{error}");
        assert_long_rows(&bench.read(&config, &catalog, Some(&states(&first))).ok());
    }
}

#[test]
fn a_page_of_parquet_with_a_wrong_checksum_is_an_error_and_gives_no_row() {
    for (name, whole_groups) in [("v1", 200), ("v2", 0)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("integration_tests/fixtures/page_checksums/{name}.parquet"));
        let mut content = std::fs::read(path).unwrap();
        let bench = Bench::new();
        bench.put("f/a.parquet", &content, 1);
        let (config, catalog) = (config(&bench, "parquet"), catalog("s", "incremental"));
        assert_eq!(bench.read(&config, &catalog, None).ok().data().len(), 300);
        let at = memchr::memmem::find(&content, b"padding-25").unwrap();
        content[at] = b'q';
        bench.put("f/a.parquet", &content, 1);
        let output = bench.read(&config, &catalog, None);
        assert_eq!((output.code, output.data().len()), (Some(1), whole_groups), "{name}");
        let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("the checksum of a Parquet page does not match") && message.contains("'pad'"),
            "{message}"
        );
    }
}
