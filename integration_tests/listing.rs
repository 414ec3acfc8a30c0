//! Servers whose listings are not what S3 promises: out of order, with names twice, without an end. No row may be lost or
//! doubled, in one run or in several.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::BTreeSet;

use crate::support::testkit::{Action, BucketOptions, Fault, ListOrder, When};
use crate::support::{BUCKET, Bench, Output, catalog, finish};
use serde_json::{Value, json};

const FILES: usize = 60;

/// A bucket with files of one row each, in several folders, which is listed in this way.
fn bench(list_order: ListOrder, page_keys: Option<usize>) -> Bench {
    let bench = Bench::new();
    let options = BucketOptions { list_order, page_keys, ..BucketOptions::default() };
    bench.server.store().create_bucket(BUCKET, options);
    for file in 0..FILES {
        bench.put(
            &format!("f/date=2024-01-{:02}/{file:02}.csv", file % 7 + 1),
            format!("id\n{file}\n"),
            file as u64 % 5,
        );
    }
    bench
}

fn config(bench: &Bench, more: Value) -> Value {
    let mut config = bench.config(json!([{"name": "s", "globs": ["f/**"], "format": {"filetype": "csv"}}]));
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn ids(output: &Output) -> Vec<usize> {
    let mut ids: Vec<usize> = output.column("id").iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[track_caller]
fn assert_each_once(ids: Vec<usize>, what: &str) {
    assert_eq!(ids, (0..FILES).collect::<Vec<_>>(), "{what}");
}

const ORDERS: [ListOrder; 4] = [ListOrder::Keys, ListOrder::Hash, ListOrder::FirstOnesLast(25), ListOrder::Twice];

#[test]
fn a_full_refresh_that_is_cut_and_resumed_loses_nothing_whatever_the_order_of_the_listing() {
    for order in ORDERS {
        for page_keys in [None, Some(7), Some(2)] {
            let what = format!("{order:?}, pages of {page_keys:?}");
            let bench = bench(order, page_keys);
            let limits = json!({"max_files_per_run": 20, "on_limit": "partial"});
            let first = bench.read(&config(&bench, limits), &catalog("s", "full_refresh"), None).ok();
            assert_eq!(first.data().len(), 20, "{what}");
            let config = config(&bench, json!({}));
            let second = bench.read(&config, &catalog("s", "full_refresh"), Some(&first.state())).ok();
            assert_each_once(
                ids(&first).into_iter().chain(ids(&second)).collect::<BTreeSet<_>>().into_iter().collect(),
                &what,
            );
            assert_eq!(second.data().len(), FILES - 20, "no row comes again: {what}");
        }
    }
}

#[test]
fn an_interrupted_full_refresh_does_not_go_on_behind_a_key_on_faith() {
    for order in [ListOrder::Hash, ListOrder::FirstOnesLast(25)] {
        let bench = bench(order, Some(10));
        // As a run leaves it that read in the order of the listing: its last key says nothing about those below.
        let state = json!([{"type": "STREAM", "stream": {"stream_descriptor": {"name": "s"}, "stream_state": {"tollgate": {
            "version": 2, "mode": "full_refresh", "complete": false, "through": "f/date=2024-01-07/48.csv"}}}}]);
        let output = bench.read(&config(&bench, json!({})), &catalog("s", "full_refresh"), Some(&state)).ok();
        assert_each_once(ids(&output), &format!("{order:?}"));
        assert!(output.logs().iter().any(|line| line.contains("does not list keys in order")), "{output:#?}");
    }
}

#[test]
fn incremental_syncs_and_partition_filters_see_every_key_once_whatever_the_order_of_the_listing() {
    for order in ORDERS {
        let bench = bench(order, Some(9));
        let config = config(&bench, json!({}));
        let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
        assert_each_once(ids(&first), &format!("{order:?}"));
        bench.put("f/date=2024-01-01/new.csv", "id\n99\n", 50);
        let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
        assert_eq!(ids(&second), [99], "{order:?}");
        let twice = first.logs().iter().any(|line| line.contains("listed more than once"));
        assert_eq!(twice, order == ListOrder::Twice, "{first:#?}");

        let filter = json!({"date": {"gte": "2024-01-02", "lt": "2024-01-04"}});
        let stream = json!({
            "name": "s", "globs": ["f/**"], "format": {"filetype": "csv"}, "partition_filter": filter,
        });
        let filtered = bench.config(json!([stream]));
        let filtered = bench.read(&filtered, &catalog("s", "full_refresh"), None).ok();
        let wanted: Vec<usize> = (0..FILES).filter(|file| matches!(file % 7 + 1, 2 | 3)).collect();
        assert_eq!(ids(&filtered), wanted, "{order:?}");
    }
}

/// 2,400 objects, few of which belong to the stream: in order for longer than anybody would doubt it.
fn in_order_for_long(order: ListOrder) -> (Bench, Value) {
    let bench = bench(order, None);
    for number in 0..2400 {
        bench.put(&format!("f/date=2024-01-09/{number:04}.txt"), "x", 1);
    }
    let config = bench.config(json!([{"name": "s", "globs": ["f/**/*.csv"], "format": {"filetype": "csv"}}]));
    (bench, config)
}

#[test]
fn a_full_refresh_that_was_cut_before_the_order_was_lost_is_not_resumed_on_faith() {
    let (bench, config) = in_order_for_long(ListOrder::FirstOnesLastAfterStart(20));
    // As a run leaves it that listed everything but the first ones, and had read what it listed.
    let mut limited = config.clone();
    limited
        .as_object_mut()
        .unwrap()
        .extend([("max_files_per_run".to_owned(), json!(20)), ("on_limit".to_owned(), json!("partial"))]);
    let limited = bench.read(&limited, &catalog("s", "full_refresh"), None).ok();
    let mut state = limited.state();
    let part = &mut state[0]["stream"]["stream_state"]["tollgate"];
    assert_eq!(part["complete"], json!(false), "{part}");
    part["through"] = json!("f/date=2024-01-09/9999");
    let cut = bench.read(&config, &catalog("s", "full_refresh"), Some(&state));
    assert_eq!(cut.code, Some(1), "{cut:#?}");
    let resumed = bench.read(&config, &catalog("s", "full_refresh"), Some(&cut.state())).ok();
    assert_each_once(ids(&resumed), "resumed");
}

#[test]
fn an_order_that_is_lost_in_the_middle_of_a_run_is_an_error_and_the_next_run_reads_everything() {
    let (bench, config) = in_order_for_long(ListOrder::FirstOnesLast(20));
    let first = bench.read(&config, &catalog("s", "full_refresh"), None);
    assert_eq!(first.code, Some(1), "{first:#?}");
    let [error] = first.errors()[..] else { panic!("one TRACE ERROR: {first:#?}") };
    assert!(error["message"].as_str().unwrap().contains("not sorted by key"), "{error}");
    assert_eq!(first.statuses().last(), Some(&"INCOMPLETE"));
    let second = bench.read(&config, &catalog("s", "full_refresh"), Some(&first.state())).ok();
    assert_each_once(ids(&second), "read as a whole");

    // Nothing is begun before an incremental listing is at its end, so it can begin again at once.
    let incremental = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_each_once(ids(&incremental), "incremental");
}

#[test]
fn a_listing_in_a_circle_is_an_error() {
    for page_keys in [Some(7), Some(60), Some(1)] {
        let bench = bench(ListOrder::Circle, page_keys);
        for mode in ["full_refresh", "incremental"] {
            let output = bench.read(&config(&bench, json!({})), &catalog("s", mode), None);
            assert_eq!(output.code, Some(1), "{mode} {page_keys:?}");
            let [error] = output.errors()[..] else { panic!("one TRACE ERROR: {output:#?}") };
            let text = error["message"].as_str().unwrap();
            assert!(text.contains("repeats itself") || text.contains("does not say how to continue"), "{text}");
        }
    }
}

#[test]
fn a_server_that_is_away_for_three_seconds_does_not_end_a_stream() {
    let bench = bench(ListOrder::Keys, None);
    // Six attempts of each request in flight take longer than that.
    bench.server.faults().add(Fault::new(Action::Reset).times(30).when(When::get("f/")));
    let mut command = bench.read_command(&config(&bench, json!({})), &catalog("s", "full_refresh"), None);
    command.args(["--retry-seconds", "60"]);
    assert_each_once(ids(&finish(command).ok()), "all rows");
}
