//! Runs that are cut at random moments: what the next runs make of the last STATE, compared with the truth.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::testkit::{Action, Fault, When};
use crate::support::{Bench, Output, gzipped, parse};
use arrow::array::{Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

/// Runs that are cut, over all chains.
const KILLS: usize = 200;

const ROWS: usize = 600;
const STREAMS: [&str; 3] = ["csv", "jsonl", "parquet"];

/// Two files per format, wide rows, so that a file is several blocks of lines.
fn fill(bench: &Bench) {
    let pad = "lorem ipsum dolor sit amet ".repeat(60);
    for file in 0..2 {
        let id = |row: usize| file * ROWS + row;
        let csv: String = (0..ROWS).map(|row| format!("{},\"{pad}\n\"\n", id(row))).collect();
        let jsonl: String = (0..ROWS).map(|row| format!("{{\"id\": \"{}\", \"pad\": \"{pad}\"}}\n", id(row))).collect();
        let csv = format!("id,pad\n{csv}");
        if file == 0 {
            bench.put("csv/0.csv", csv, 1);
            bench.put("jsonl/0.jsonl", jsonl, 1);
        } else {
            bench.put("csv/1.csv.gz", gzipped(csv.as_bytes()), 2);
            bench.put("jsonl/1.jsonl.gz", gzipped(jsonl.as_bytes()), 2);
        }
        bench.put(&format!("parquet/{file}.parquet"), parquet_file(id(0), &pad), 3);
    }
}

fn parquet_file(first: usize, pad: &str) -> Vec<u8> {
    let ids = StringArray::from_iter_values((first..first + ROWS).map(|id| id.to_string()));
    let pads = StringArray::from_iter_values((0..ROWS).map(|_| pad));
    let numbers = Int64Array::from_iter_values(0..ROWS as i64);
    let batch = RecordBatch::try_from_iter([
        ("id", Arc::new(ids) as _),
        ("pad", Arc::new(pads) as _),
        ("n", Arc::new(numbers) as _),
    ])
    .unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(97)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn config(bench: &Bench) -> Value {
    let stream =
        |format: &&str| json!({"name": format, "globs": [format!("{format}/*")], "format": {"filetype": format}});
    bench.config(STREAMS.iter().map(stream).collect())
}

fn catalog(mode: &str, streams: &[&str]) -> Value {
    let stream = |name: &&str| {
        json!({"stream": {"name": name, "json_schema": {}, "supported_sync_modes": [mode]},
        "sync_mode": mode, "destination_sync_mode": "append", "generation_id": 4})
    };
    json!({"streams": streams.iter().map(stream).collect::<Vec<_>>()})
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// What a platform has stored: the states of streams, and the records that they cover.
#[derive(Default)]
struct Platform {
    states: BTreeMap<String, Value>,
    /// How often each row of each stream was stored.
    stored: BTreeMap<(String, String), usize>,
}

impl Platform {
    fn state_file(&self) -> Value {
        self.states.values().cloned().collect()
    }

    /// The streams that are to be read on. The last STATE of a full refresh says that nothing is left: handed back, it
    /// means to begin anew, since the next scheduled sync must.
    fn unfinished(&self) -> Vec<&'static str> {
        let finished = |stream: &&str| {
            let state = self.states.get(*stream);
            state.is_some_and(|state| state["stream"]["stream_state"]["__ab_no_cursor_state_message"] == json!(true))
        };
        STREAMS.into_iter().filter(|stream| !finished(stream)).collect()
    }

    /// Stores what a run printed, up to the last STATE of each stream; what came behind it is lost.
    fn store(&mut self, output: &Output) {
        let mut since_state: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for message in &output.messages {
            if message["type"] == "RECORD" {
                let record = &message["record"];
                let row = record["data"]["id"].as_str().unwrap().to_owned();
                since_state.entry(record["stream"].as_str().unwrap().to_owned()).or_default().push(row);
            } else if message["type"] == "STATE" {
                let stream = message["state"]["stream"]["stream_descriptor"]["name"].as_str().unwrap().to_owned();
                let rows = since_state.remove(&stream).unwrap_or_default();
                assert_eq!(message["state"]["sourceStats"]["recordCount"], json!(rows.len() as f64));
                for row in rows {
                    *self.stored.entry((stream.clone(), row)).or_default() += 1;
                }
                self.states.insert(stream, message["state"].clone());
            }
        }
    }

    #[track_caller]
    fn check(&self) {
        for stream in STREAMS {
            for row in 0..2 * ROWS {
                let times = self.stored.get(&(stream.to_owned(), row.to_string())).copied().unwrap_or_default();
                assert_eq!(times, 1, "row {row} of stream {stream} was stored {times} times");
            }
        }
    }
}

fn start(mut command: Command) -> Child {
    // A STATE every few blocks of lines.
    command.args(["--state-bytes", "700000"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Reads `bytes` of stdout, or all there is. The whole lines of it are what a platform got.
fn read(child: &mut Child, bytes: u64) -> Vec<u8> {
    let mut text = Vec::new();
    child.stdout.as_mut().unwrap().take(bytes).read_to_end(&mut text).unwrap();
    text
}

fn whole_lines(mut text: Vec<u8>) -> Output {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    text.truncate(end);
    parse(&text)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// What a pipe holds, and the little by which two runs of the same work differ in length.
const PIPE_BYTES: usize = (64 << 10) + 1024;

/// Cuts a run after some bytes, in one of three ways, and gives what a platform got of it. `whole` tells how many bytes the
/// run prints when nobody cuts it.
fn cut(mut child: Child, bytes: u64, way: usize, whole: impl FnOnce() -> usize) -> (Output, bool) {
    let mut text = read(&mut child, bytes);
    let finished = (text.len() as u64) < bytes;
    match way {
        _ if finished => {
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
        0 => {
            child.kill().unwrap();
            text.extend(read(&mut child, u64::MAX));
            child.wait().unwrap();
        }
        1 => {
            signal(&child, "-TERM");
            text.extend(read(&mut child, u64::MAX));
            let status = child.wait().unwrap();
            assert!(status.signal() == Some(15) || status.code() == Some(0), "{status:?}");
            let output = whole_lines(text.clone());
            assert_eq!(output.errors(), Vec::<&Value>::new());
            assert_eq!(output.text.len(), text.len(), "the last line is whole");
            return (output, status.code() == Some(0));
        }
        _ => {
            drop(child.stdout.take());
            let since = Instant::now();
            let status = child.wait().unwrap();
            let took = since.elapsed();
            // A run whose last bytes all fit into the pipe before it is closed cannot know that nobody takes them.
            if status.code() == Some(0) {
                assert!(whole() <= text.len() + PIPE_BYTES, "exit 0, {} bytes were read", text.len());
            } else {
                assert_eq!(status.code(), Some(1));
            }
            assert!(took < Duration::from_secs(5), "{took:?} after stdout was closed");
        }
    }
    (whole_lines(text), finished)
}

#[test]
fn runs_that_are_cut_at_random_moments_lose_no_row_and_store_none_twice() {
    let bench = Bench::new();
    fill(&bench);
    let config = config(&bench);
    let whole = bench.read(&config, &catalog("full_refresh", &STREAMS), None).ok().text.len();
    let mut random = Random(0x5eed_1234_abcd_0001);
    let (mut kills, mut chains) = (0, 0);
    while kills < KILLS {
        let mode = ["incremental", "full_refresh"][chains % 2];
        let mut platform = Platform::default();
        chains += 1;
        loop {
            let catalog = catalog(mode, &platform.unfinished());
            let state = platform.state_file();
            let child = start(bench.read_command(&config, &catalog, Some(&state)));
            let bytes = 1 + random.below(whole / 2) as u64;
            let uncut = || bench.read(&config, &catalog, Some(&state)).ok().text.len();
            let (output, finished) = cut(child, bytes, random.below(3), uncut);
            platform.store(&output);
            if finished {
                break;
            }
            kills += 1;
        }
        platform.check();
    }
    assert!(chains > 5, "{kills} kills in {chains} chains");
}

#[test]
fn a_terminated_run_says_incomplete_and_no_error() {
    let bench = Bench::new();
    fill(&bench);
    // Slow enough that the first stream is not done when the signal comes.
    bench.server.faults().add(Fault::new(Action::SlowBody { bytes_per_second: 500_000 }));
    let mut child = start(bench.read_command(&config(&bench), &catalog("incremental", &STREAMS), None));
    let mut text = Vec::new();
    while memchr::memmem::find(&text, b"STARTED").is_none() {
        text.extend(read(&mut child, 1));
    }
    signal(&child, "-TERM");
    text.extend(read(&mut child, u64::MAX));
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    let output = parse(&text);
    assert_eq!(output.statuses().last(), Some(&"INCOMPLETE"));
    assert!(!output.of_type("STATE").is_empty());
    assert_eq!(output.errors(), Vec::<&Value>::new());
}

#[test]
fn a_stdout_that_is_closed_while_nothing_is_written_ends_the_run() {
    let bench = Bench::new();
    fill(&bench);
    bench.server.faults().add(Fault::new(Action::Delay(20_000)).when(When::list()));
    let mut child = start(bench.read_command(&config(&bench), &catalog("incremental", &STREAMS), None));
    read(&mut child, 50);
    drop(child.stdout.take());
    let since = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}

/// Reads what a child prints at so many bytes per second, and terminates it when `before_signal` bytes were read.
fn read_slowly(child: &mut Child, bytes_per_second: usize, before_signal: usize) -> (Vec<u8>, Duration) {
    const PIECE: usize = 16 << 10;
    let (mut text, mut piece, mut since) = (Vec::new(), vec![0; PIECE], None);
    let mut stdout = child.stdout.take().unwrap();
    loop {
        let read = stdout.read(&mut piece).unwrap();
        if read == 0 {
            return (text, since.map_or(Duration::ZERO, |since: Instant| since.elapsed()));
        }
        text.extend_from_slice(&piece[..read]);
        if text.len() >= before_signal && since.is_none() {
            signal(child, "-TERM");
            since = Some(Instant::now());
        }
        std::thread::sleep(Duration::from_secs_f64(read as f64 / bytes_per_second as f64));
    }
}

#[test]
fn a_terminated_run_with_a_slow_reader_writes_its_state_and_drops_what_is_queued() {
    let bench = Bench::new();
    let pad = "x".repeat(200);
    for file in 0..16 {
        let rows: String = (0..10_000).map(|row| format!("{file:02}-{row:05},{pad}\n")).collect();
        bench.put(&format!("csv/{file:02}.csv"), format!("id,pad\n{rows}"), 1);
    }
    let catalog = catalog("incremental", &["csv"]);
    // A reader who takes a few MB/s, and one who takes less than a batch in the time that there is.
    for (bytes_per_second, exact) in [(3_000_000, true), (150_000, false)] {
        let mut child = start(bench.read_command(&config(&bench), &catalog, None));
        let (text, drained) = read_slowly(&mut child, bytes_per_second, 800_000);
        assert_eq!(child.wait().unwrap().signal(), Some(15));
        assert!(drained < Duration::from_secs(5), "{drained:?}");
        assert!(text.len() < 2_500_000, "{} bytes were printed", text.len());
        let first = whole_lines(text.clone());
        assert_eq!(first.text.len(), text.len(), "the last line is whole");
        assert_eq!(first.statuses().last(), Some(&"INCOMPLETE"));
        let states = first.of_type("STATE");
        let second = bench.read(&config(&bench), &catalog, Some(&json!([states.last().unwrap()["state"]]))).ok();
        let mut ids: Vec<_> = first.column("id").into_iter().chain(second.column("id")).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 160_000, "a row is missing");
        assert!(!exact || all == ids.len(), "{} rows came twice", all - ids.len());
    }
}

#[test]
fn a_stdout_that_does_not_block_is_waited_for() {
    let bench = Bench::new();
    fill(&bench);
    let catalog = catalog("full_refresh", &STREAMS);
    let expected = bench.read(&config(&bench), &catalog, None).ok().data().len();
    let (mut reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    // Both ends of a pair have flags of their own.
    writer.set_nonblocking(true).unwrap();
    let mut command = bench.read_command(&config(&bench), &catalog, None);
    command.stdin(Stdio::null()).stdout(std::os::fd::OwnedFd::from(writer)).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    let (mut text, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let read = reader.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(parse(&text).data().len(), expected);
}

#[test]
fn a_stdout_that_is_closed_at_the_start_is_no_success() {
    let bench = Bench::new();
    fill(&bench);
    let read = bench.read_command(&config(&bench), &catalog("incremental", &STREAMS), None);
    let mut spec = Command::new(crate::support::program());
    spec.arg("spec");
    for command in [read, spec] {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(command.get_program()).args(command.get_args());
        let output = shell.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("standard output is closed"), "{output:?}");
    }
    assert_eq!(bench.requests(), (0, 0));
}
