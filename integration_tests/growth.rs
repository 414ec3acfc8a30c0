//! How the state of an incremental stream grows with its bucket: size, memory and time, of whole commands over buckets
//! whose keys have 60 bytes.
//!
//! `TOLLGATE_BIN=$PWD/target/release/tollgate cargo test --test growth -- --ignored --nocapture` prints it for 10,000, 100,000
//! and 1,000,000 files.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::support::testkit::{VirtualBucket, VirtualObject};
use crate::support::{Bench, catalog, watch};
use serde_json::{Value, json};

const DAY: u64 = 86_400;
/// The files of the first day are up to so many days old.
const DAYS: u64 = 300;

/// What happened to a file between the first sync and the last.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Stays,
    /// Uploaded again.
    Changes,
    /// Appears with a time inside the late window.
    AppearsLate,
    /// Appears with any time.
    AppearsVeryLate,
}

fn fate(number: u64) -> Fate {
    match number % 1000 {
        1..=5 => Fate::Changes,
        11..=15 => Fate::AppearsLate,
        21 => Fate::AppearsVeryLate,
        _ => Fate::Stays,
    }
}

/// A number below the bound that looks random.
fn scattered(number: u64, below: u64) -> u64 {
    (number ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15) % below
}

/// The file of a number, before the day of change or after it.
fn object(number: u64, now: SystemTime, after: bool) -> VirtualObject {
    let seconds_ago = match fate(number) {
        Fate::Changes if after => 60 + scattered(number, 3_600),
        Fate::AppearsLate => 60 + scattered(number, 6 * DAY),
        _ => DAY + scattered(number, (DAYS - 1) * DAY),
    };
    // 60 bytes; virtual buckets want keys in the order of their numbers.
    let key = format!("data/year=2024/month=07/part-{number:09}-{:017x}.csv", scattered(number, 1 << 52));
    assert_eq!(key.len(), 60);
    let mut object = VirtualObject::new(key, format!("n\n{number}\n"));
    object.modified_at = now - Duration::from_secs(seconds_ago);
    object
}

/// A bucket of the files that are there before the day of change, or after it.
fn bucket(files: u64, now: SystemTime, after: bool) -> VirtualBucket {
    let per_thousand: Vec<u64> =
        (0..1000).filter(|number| after || matches!(fate(*number), Fate::Stays | Fate::Changes)).collect();
    let count = files / 1000 * per_thousand.len() as u64;
    VirtualBucket::new(count, move |index| {
        let (thousand, place) = (index / per_thousand.len() as u64, index as usize % per_thousand.len());
        object(thousand * 1000 + per_thousand[place], now, after)
    })
}

/// What a run read, its last STATE in bytes and as a value, and its most memory in bytes.
struct Run {
    read: BTreeSet<u64>,
    records: u64,
    state: Value,
    state_bytes: usize,
    peak_bytes: u64,
}

fn run(mut command: Command) -> Run {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let (mut read, mut records, mut last) = (BTreeSet::new(), 0, String::new());
        for line in stdout.lines().map(Result::unwrap) {
            if line.starts_with("{\"type\":\"STATE\"") {
                last = line;
            } else if let Some((_, data)) = line.split_once("\"data\":{\"n\":\"") {
                records += 1;
                read.insert(data.split('"').next().unwrap().parse().unwrap());
            }
        }
        (read, records, last)
    });
    let (code, peak_bytes) = watch(&mut child);
    let (read, records, last) = reader.join().unwrap();
    assert_eq!(code, Some(0));
    let message: Value = serde_json::from_str(&last).unwrap();
    let state_bytes = message["state"]["stream"]["stream_state"].to_string().len();
    Run { read, records, state: json!([message["state"]]), state_bytes, peak_bytes }
}

#[expect(clippy::print_stderr, reason = "a report for people")]
fn grow(files: u64) {
    let bench = Bench::new();
    let streams = json!([{"name": "s", "globs": ["data/**"], "format": {"filetype": "csv"}}]);
    let mut config = bench.config(streams);
    config["bucket"] = json!("growing");
    let catalog = catalog("s", "incremental");
    let now = SystemTime::now();
    let numbers = |wanted: fn(Fate) -> bool| (0..files).filter(move |number| wanted(fate(*number))).collect();
    let mut state = None;
    let days: [(&str, bool, BTreeSet<u64>); 4] = [
        ("first", false, numbers(|fate| matches!(fate, Fate::Stays | Fate::Changes))),
        ("unchanged", false, BTreeSet::new()),
        ("changed and late files", true, numbers(|fate| fate != Fate::Stays)),
        ("unchanged again", true, BTreeSet::new()),
    ];
    for (what, after, expected) in days {
        bench.server.store().virtual_bucket("growing", bucket(files, now, after));
        bench.server.log().clear();
        let began = Instant::now();
        let run = run(bench.read_command(&config, &catalog, state.as_ref()));
        eprintln!(
            "{files} files, {what}: {} read, STATE {} bytes, {} MiB at the peak, {:.1?}",
            run.records,
            run.state_bytes,
            run.peak_bytes >> 20,
            began.elapsed()
        );
        assert_eq!((run.records, &run.read), (expected.len() as u64, &expected), "{what}");
        assert!(run.state_bytes < 1_000_000 && run.peak_bytes < 256 << 20, "{what}");
        state = Some(run.state);
    }
}

#[test]
fn a_small_bucket_is_read_once_and_its_changes_once() {
    grow(2_000);
}

#[test]
#[ignore = "takes minutes"]
fn the_state_of_a_million_files_stays_under_a_megabyte() {
    [10_000, 100_000, 1_000_000].into_iter().for_each(grow);
}
