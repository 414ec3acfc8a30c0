//! A server that misbehaves, for each format: what passes is survived, what stays is said, nothing is lost silently.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::sync::Arc;

use crate::support::testkit::{Action, Fault, When};
use crate::support::{Bench, Output, catalog, finish, gzipped};
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
        assert!(error["message"].as_str().unwrap().contains("ends in the middle"), "{error}");
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
