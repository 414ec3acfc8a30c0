//! What changes between two runs (options, files, limits, the state file itself), and what the second run makes of the
//! state of the first: when it ends well, no row is missing.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use crate::support::testkit::{Action, Fault, ObjectOptions, When};
use crate::support::{BUCKET, Bench, Output, catalog, finish, gzipped, time};
use serde_json::{Map, Value, json};

/// Parameters of the whole configuration.
const OF_ALL_STREAMS: [&str; 3] = ["on_archived", "batch_size", "start_date"];

/// The configuration of a stream `s`, with more parameters.
fn config(bench: &Bench, globs: &[&str], format: &Value, more: &Value) -> Value {
    let (root, stream): (Map<_, _>, Map<_, _>) =
        more.as_object().unwrap().clone().into_iter().partition(|(name, _)| OF_ALL_STREAMS.contains(&name.as_str()));
    let stream = merged(&json!({"name": "s", "globs": globs, "format": format}), &stream.into());
    merged(&bench.config(json!([stream])), &root.into())
}

fn merged(one: &Value, other: &Value) -> Value {
    let fields = |value: &Value| value.as_object().unwrap().clone();
    fields(one).into_iter().chain(fields(other)).collect::<Map<_, _>>().into()
}

fn csv(options: Value) -> Value {
    merged(&json!({"filetype": "csv"}), &options)
}

fn stream_state(state: &Value) -> &Value {
    &state[0]["stream"]["stream_state"]
}

#[track_caller]
fn assert_said(output: &Output, part: &str) {
    assert!(output.logs().iter().any(|line| line.contains(part)), "'{part}' in {:#?}", output.logs());
}

#[track_caller]
fn assert_not_said(output: &Output, part: &str) {
    assert!(!output.logs().iter().any(|line| line.contains(part)), "'{part}' in {:#?}", output.logs());
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

const FROM_START: &str = "unfinished files are read again from their start: their options changed since the last run";

#[test]
fn a_corrected_encoding_reads_the_unfinished_file_from_its_start() {
    let bench = Bench::new();
    let row = |row: usize| if row == 30_000 { b"M\xfcller".to_vec() } else { "Jörg".as_bytes().to_vec() };
    let rows = (0..40_000).map(|index| [format!("{index},").as_bytes(), &row(index), b"\n"].concat());
    bench.put("d/a.csv", [b"id,name\n".to_vec(), rows.collect::<Vec<_>>().concat()].concat(), 1);
    let config = |options: Value, more: Value| config(&bench, &["d/*"], &csv(options), &more);
    let first = bench.read(&config(json!({"encoding": "utf8"}), json!({})), &catalog("s", "incremental"), None);
    assert_eq!(first.code, Some(1));
    let state = first.state();
    let pending = &stream_state(&state)["tollgate"]["pending"]["d/a.csv"];
    assert_eq!((&pending["at"], first.column("id").len()), (&json!("byte"), 30_000), "{pending}");

    let latin1 = config(json!({"encoding": "latin1"}), json!({}));
    let second = bench.read(&latin1, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(second.column("id"), (0..40_000).map(|row| row.to_string()).collect::<Vec<_>>());
    assert_eq!(second.column("name")[30_000], "Müller");
    assert_said(&second, FROM_START);
    // The same encoding by another name is no change, and neither is what gets a run past a bad row.
    let lenient = config(json!({"encoding": "utf-8"}), json!({"on_error": "skip"}));
    let third = bench.read(&lenient, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_not_said(&third, FROM_START);
    assert_eq!(third.column("id").len(), 9_999, "all other rows but the bad one");
}

#[test]
fn every_option_that_a_position_depends_on_reads_the_file_from_its_start_and_no_other_does() {
    let bench = Bench::new();
    bench.put("d/a.csv", [b"a;b\n1,x;2\n3,y;4\n".repeat(3_000), b"5;\xff\n".to_vec()].concat(), 1);
    let of = |format: &Value, more: &Value| config(&bench, &["d/*"], format, more);
    let base = json!({"delimiter": ";"});
    let first = bench.read(&of(&csv(base.clone()), &json!({})), &catalog("s", "incremental"), None);
    assert_eq!(first.code, Some(1), "{:#?}", first.errors());
    let state = first.state();
    let pending = &stream_state(&state)["tollgate"]["pending"]["d/a.csv"];
    assert!(pending["rows"].as_u64().unwrap() > 0, "{pending}");
    let run = |format: &Value, more: &Value| bench.read(&of(format, more), &catalog("s", "incremental"), Some(&state));
    let with = |options: Value| csv(merged(&base, &options));
    let given = json!({"header_definition_type": "User Provided", "column_names": ["c", "d"]});
    for (format, more) in [
        (csv(json!({"delimiter": ","})), json!({})),
        (with(json!({"quote_char": "'"})), json!({})),
        (with(json!({"escape_char": "\\"})), json!({})),
        (with(json!({"double_quote": false})), json!({})),
        (with(json!({"encoding": "latin1"})), json!({})),
        (with(json!({"skip_rows_before_header": 1})), json!({})),
        (with(json!({"skip_rows_after_header": 1})), json!({})),
        (with(json!({"header_definition": {"header_definition_type": "Autogenerated"}})), json!({})),
        (with(json!({"header_definition": given})), json!({})),
        (with(json!({})), json!({"compression": "none"})),
        (with(json!({})), json!({"json_flatten": true})),
        (with(json!({})), json!({"parquet_filters": [["a", "!=", "7"]]})),
        (json!({"filetype": "jsonl"}), json!({})),
        (json!({"filetype": "avro"}), json!({})),
    ] {
        let output = run(&format, &more);
        assert_said(&output, &format!("1 {FROM_START}"));
        let errors: Vec<String> = output.errors().iter().map(|error| error.to_string()).collect();
        assert!(errors.iter().all(|error| !error.contains("position")), "{format} {more}: {errors:?}");
    }
    for (format, more) in [
        (with(json!({"null_values": ["x"], "true_values": ["1"], "strings_can_be_null": false})), json!({})),
        (with(json!({"inference_type": "Primitive Types Only"})), json!({})),
        (with(json!({"ignore_errors_on_fields_mismatch": true})), json!({})),
        (with(json!({})), json!({"on_error": "skip", "max_bad_rows": 5, "batch_size": 7})),
        (with(json!({})), json!({"globs": ["**"], "start_date": "2020-01-01T00:00:00.000000Z"})),
    ] {
        assert_not_said(&run(&format, &more), FROM_START);
    }
    // A state of an earlier version does not name the options: nothing proves that they were these.
    let mut older = state.clone();
    older[0]["stream"]["stream_state"]["tollgate"]["pending"]["d/a.csv"].as_object_mut().unwrap().remove("options");
    let output = bench.read(&of(&csv(base), &json!({})), &catalog("s", "incremental"), Some(&older));
    assert_said(&output, FROM_START);
    assert_eq!(output.column("a").len(), 8_999);
}

#[test]
fn a_position_that_the_file_does_not_have_reads_it_from_its_start_and_says_so() {
    let bench = Bench::new();
    let row = |row: usize| if row == 1_500 { b"\xff".to_vec() } else { b"x".to_vec() };
    let rows = (0..2_000).map(|index| [format!("{index},").as_bytes(), &row(index), b"\n"].concat());
    let text = [b"id,x\n".to_vec(), rows.collect::<Vec<_>>().concat()].concat();
    bench.put("d/a.csv", &text, 1);
    bench.put("d/b.csv.gz", gzipped(&text), 2);
    let of = |more: Value| config(&bench, &["d/*"], &csv(json!({})), &more);
    let first = bench.read(&of(json!({})), &catalog("s", "incremental"), None);
    assert_eq!((first.code, first.column("id").len()), (Some(1), 3_000));
    let skip = of(json!({"on_error": "skip"}));
    let read = |change: &dyn Fn(&mut Map<String, Value>)| {
        let mut state = first.state();
        let pending = &mut state[0]["stream"]["stream_state"]["tollgate"]["pending"];
        pending.as_object_mut().unwrap().values_mut().for_each(|file| change(file.as_object_mut().unwrap()));
        bench.read(&skip, &catalog("s", "incremental"), Some(&state)).ok()
    };
    let refused = "2 unfinished files are read again from their start: the state has positions that they do not have";
    for (offset, rows) in [(text.len() as u64, 0), (text.len() as u64 + 1, 3_998), (1 << 40, 3_998)] {
        let output = read(&|file| _ = file.insert("offset".to_owned(), json!(offset)));
        assert_eq!(output.column("id").len(), rows, "byte {offset} of {}", text.len());
        assert_eq!(output.logs().iter().any(|line| line.contains(refused)), rows > 0, "{:#?}", output.logs());
    }
    // One of another format, and one without what a reader needs there.
    let block = |file: &mut Map<String, Value>| {
        file.extend([("at".to_owned(), json!("block")), ("row".to_owned(), json!(0))]);
    };
    let nameless = |file: &mut Map<String, Value>| _ = file.remove("columns");
    for change in [&block as &dyn Fn(&mut Map<String, Value>), &nameless] {
        let output = read(change);
        assert_said(&output, refused);
        assert_eq!(output.column("id").len(), 3_998);
    }
}

#[test]
fn a_full_refresh_with_other_globs_starts_over() {
    let bench = Bench::new();
    for (key, second) in [("d/a.csv", 1), ("d/b.csv", 2), ("e/c.csv", 3), ("a/d.csv", 4)] {
        bench.put(key, format!("id\n{key}\n"), second);
    }
    bench.put("e/z.csv", "id\n\"\n", 5);
    let of = |globs: &[&str]| config(&bench, globs, &csv(json!({})), &json!({}));
    let first = bench.read(&of(&["d/*", "e/*"]), &catalog("s", "full_refresh"), None);
    assert_eq!((first.code, first.column("id").len()), (Some(1), 3));
    bench.put("e/z.csv", "id\ne/z.csv\n", 5);
    let same = bench.read(&of(&["d/*", "e/*"]), &catalog("s", "full_refresh"), Some(&first.state())).ok();
    assert_eq!(same.column("id"), ["e/z.csv"]);
    assert_not_said(&same, "starts over");
    let other = bench.read(&of(&["**"]), &catalog("s", "full_refresh"), Some(&first.state())).ok();
    assert_eq!(other.column("id").len(), 5, "also those that the first run passed by");
    assert_said(&other, "the full refresh starts over");
}

#[test]
fn a_finished_full_refresh_has_nothing_left_for_another_attempt_of_the_same_sync() {
    let bench = Bench::new();
    bench.put("d/a.csv", "id\n1\n", 1);
    let config = config(&bench, &["**"], &csv(json!({})), &json!({}));
    let of = |sync: i64| {
        let mut catalog = catalog("s", "full_refresh");
        let stream = catalog["streams"][0].as_object_mut().unwrap();
        stream.extend([("generation_id".to_owned(), json!(3)), ("sync_id".to_owned(), json!(sync))]);
        catalog
    };
    let first = bench.read(&config, &of(70), None).ok();
    let retry = bench.read(&config, &of(70), Some(&first.state())).ok();
    assert_eq!((retry.column("id").len(), retry.statuses().last()), (0, Some(&"COMPLETE")));
    assert_eq!(retry.state(), {
        let mut state = first.state();
        state[0]["sourceStats"]["recordCount"] = json!(0.0);
        state
    });
    assert_said(&retry, "nothing is left to read");
    let next = bench.read(&config, &of(71), Some(&retry.state())).ok();
    assert_eq!(next.column("id"), ["1"]);
}

/// Runs of a stream that skips bad rows up to a limit, each with the state of the one before.
struct Limited<'a> {
    bench: &'a Bench,
    mode: &'a str,
    state: Option<Value>,
    ids: Vec<String>,
}

impl Limited<'_> {
    fn run(&mut self, policies: Value) -> Output {
        let config = config(self.bench, &["d/*"], &csv(json!({})), &policies);
        let output = self.bench.read(&config, &catalog("s", self.mode), self.state.as_ref());
        self.state = Some(output.state());
        self.ids.extend(output.column("id"));
        output
    }
}

/// A file in which every tenth row is bad.
fn bad_file(first: usize, rows: usize) -> String {
    let row = |row: usize| if row.is_multiple_of(10) { format!("{row}\n") } else { format!("{row},x\n") };
    std::iter::once("id,x\n".to_owned()).chain((first..first + rows).map(row)).collect()
}

#[test]
fn a_run_that_failed_for_its_bad_rows_fails_again_until_they_are_repaired_or_allowed() {
    for mode in ["incremental", "full_refresh"] {
        for limit in [json!({"max_bad_rows": 19}), json!({"max_bad_percent": 9.9})] {
            let bench = Bench::new();
            bench.put("d/a.csv", bad_file(0, 100), 1);
            bench.put("d/b.csv", bad_file(100, 100), 2);
            let mut runs = Limited { bench: &bench, mode, state: None, ids: Vec::new() };
            let skip = merged(&json!({"on_error": "skip"}), &limit);
            for run in 0..3 {
                let output = runs.run(skip.clone());
                assert_eq!(output.code, Some(1), "{mode} {limit}, run {run}: {:#?}", output.logs());
                let [error] = output.errors()[..] else { panic!("one error: {output:#?}") };
                assert!(error["message"].as_str().unwrap().contains("more bad rows than allowed"), "{error}");
            }
            // Without tolerance no run ends well either.
            let mut strict = Limited { bench: &bench, mode, state: runs.state.clone(), ids: Vec::new() };
            assert_eq!(strict.run(json!({})).code, Some(1), "{mode} {limit}");
            // Allowed.
            let mut allowed = Limited { bench: &bench, mode, state: runs.state.clone(), ids: runs.ids.clone() };
            let output = allowed.run(json!({"on_error": "skip", "max_bad_rows": 20}));
            assert_eq!(output.code, Some(0), "{mode} {limit}: {:#?}", output.logs());
            let ids: std::collections::BTreeSet<_> = allowed.ids.into_iter().collect();
            assert_eq!(ids.len(), 180, "{mode} {limit}: every good row was emitted");
            // Repaired.
            bench.put("d/a.csv", bad_file(0, 100).replace("0\n", "0,x\n"), 3);
            let output = runs.run(skip);
            assert_eq!(output.code, Some(0), "{mode} {limit}: {:#?}", output.logs());
            let ids: std::collections::BTreeSet<_> = runs.ids.into_iter().collect();
            assert_eq!(ids.len(), 190, "{mode} {limit}: the repaired rows too");
        }
    }
}

#[test]
fn bad_rows_add_up_over_runs_that_are_interrupted_and_those_of_deleted_files_do_not() {
    let bench = Bench::new();
    bench.put("d/a.csv", bad_file(0, 100), 1);
    bench.put("d/b.csv", bad_file(100, 100), 2);
    bench.put("d/c.csv", "id,x\n\"", 3);
    let mut runs = Limited { bench: &bench, mode: "incremental", state: None, ids: Vec::new() };
    let skip = json!({"on_error": "skip", "max_bad_rows": 25});
    let refused = Action::Status { status: 403, code: None, retry_after_s: None };
    bench.server.faults().add(Fault::new(refused).when(When::get("d/c.csv")));
    assert_eq!(runs.run(skip.clone()).code, Some(1), "c cannot be read, and nothing else is wrong");
    bench.put("d/d.csv", bad_file(200, 50), 4);
    let output = runs.run(skip.clone());
    assert_eq!(output.code, Some(1), "25 of a, b and d are allowed, c is not readable: {:#?}", output.errors());
    assert_said(&output, "20 bad rows that earlier, failed runs skipped are counted too");
    bench.put("d/e.csv", bad_file(300, 10), 5);
    let output = runs.run(skip.clone());
    assert_said(&output, "more bad rows than allowed");
    bench.server.faults().clear();
    bench.server.store().remove(BUCKET, "d/a.csv");
    bench.put("d/c.csv", "id,x\n7,x\n", 6);
    let output = runs.run(skip.clone());
    assert_eq!(output.code, Some(0), "{:#?}", output.logs());
    assert!(stream_state(&output.state())["tollgate"].get("bad_rows").is_none());
    bench.put("d/f.csv", bad_file(400, 250), 7);
    assert_eq!(runs.run(skip).code, Some(0), "a run that ended well has settled what was before");
}

/// A zip archive of stored members without times.
fn zip(members: &[(&str, &str)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in members {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let size = u32::try_from(text.len()).unwrap().to_le_bytes();
        // Version, flags, method, time, date 1980-01-01, checksum, sizes, length of the name, no extra field.
        let shared = [
            &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
            &crc.sum().to_le_bytes(),
            &size,
            &size,
            &[u8::try_from(name.len()).unwrap(), 0, 0, 0],
        ]
        .concat();
        let offset = u32::try_from(archive.len()).unwrap().to_le_bytes();
        archive.extend([b"PK\x03\x04", &shared[..], name.as_bytes(), text.as_bytes()].concat());
        directory.extend([b"PK\x01\x02\x14\0", &shared[..], &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = [u8::try_from(members.len()).unwrap(), 0];
    let (length, start) = (u32::try_from(directory.len()).unwrap(), u32::try_from(archive.len()).unwrap());
    let end =
        [b"PK\x05\x06\0\0\0\0", &count[..], &count, &length.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat();
    [archive, directory, end].concat()
}

#[test]
fn a_replaced_archive_whose_members_have_no_times_is_read() {
    let bench = Bench::new();
    let config = config(&bench, &["z/*.csv", "z/*.zip"], &csv(json!({})), &json!({}));
    bench.put("z/a.zip", zip(&[("m.csv", "id\n1\n"), ("n.csv", "id\n2\n")]), 1);
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    assert_eq!(sorted(first.column("id")), ["1", "2"]);
    let unchanged = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(unchanged.column("id").len(), 0);

    bench.put("z/a.zip", zip(&[("m.csv", "id\n3\n"), ("n.csv", "id\n4\n")]), 2);
    let second = bench.read(&config, &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(sorted(second.column("id")), ["3", "4"]);
    bench.put("z/a.zip", zip(&[("m.csv", "id\n3\n"), ("n.csv", "id\n5\n"), ("o.csv", "id\n6\n")]), 3);
    let third = bench.read(&config, &catalog("s", "incremental"), Some(&second.state())).ok();
    assert_eq!(sorted(third.column("id")), ["5", "6"], "a member that did not change is not read again");
    // A state that was written before it knew what members hold.
    let mut older = second.state();
    older[0]["stream"]["stream_state"]["tollgate"].as_object_mut().unwrap().remove("archives");
    let again = bench.read(&config, &catalog("s", "incremental"), Some(&older)).ok();
    assert_eq!(sorted(again.column("id")), ["3", "5", "6"]);
    assert_said(&again, "2 members of changed zip archives are read, although some of them may have been read before");
}

#[test]
fn members_without_a_time_are_as_old_as_their_archive_and_older_ones_are_counted() {
    let bench = Bench::new();
    bench.put("z/a.zip", zip(&[("m.csv", "id\n1\n")]), 1);
    let from = |date: &str| {
        let mut config = config(&bench, &["**"], &csv(json!({})), &json!({}));
        config["start_date"] = json!(date);
        bench.read(&config, &catalog("s", "incremental"), None).ok()
    };
    assert_eq!(from("2024-01-01T00:00:00.000000Z").column("id"), ["1"]);
    // Its members are of January 2024.
    let dated = format!("{}/integration_tests/fixtures/compression/members.zip", env!("CARGO_MANIFEST_DIR"));
    bench.put("z/a.zip", std::fs::read(dated).unwrap(), 100_000_000);
    assert_said(&from("2025-01-01T00:00:00.000000Z"), "members of zip archives skipped: older than the start date");
}

#[test]
fn an_unfinished_file_that_is_archived_goes_on_when_it_is_restored() {
    for mode in ["incremental", "full_refresh"] {
        let bench = Bench::new();
        let text: String = std::iter::once("id\n".to_owned()).chain((0..10).map(|row| format!("{row}\n"))).collect();
        let text = [text.as_bytes(), b"\xff\n10\n"].concat();
        let put = |class: &'static str| {
            let options = ObjectOptions { storage_class: Some(class.into()), ..ObjectOptions::modified_at(time(1)) };
            bench.server.store().put(BUCKET, "d/a.csv", text.clone(), options);
        };
        put("STANDARD");
        bench.put("d/b.csv", "id\nb\n", 2);
        let of = |more: Value| config(&bench, &["d/*"], &csv(json!({})), &more);
        let first = bench.read(&of(json!({})), &catalog("s", mode), None);
        assert_eq!((first.code, first.column("id").len()), (Some(1), 11));
        put("GLACIER");
        let archived = bench.read(&of(json!({"on_error": "skip"})), &catalog("s", mode), Some(&first.state())).ok();
        assert_said(&archived, "1 archived objects skipped");
        assert_not_said(&archived, "no longer exist");
        put("STANDARD");
        if mode == "full_refresh" {
            // It ended as a whole: the next one has everything.
            continue;
        }
        let last = bench.read(&of(json!({"on_error": "skip"})), &catalog("s", mode), Some(&archived.state())).ok();
        assert_eq!(last.column("id"), ["10"], "no row comes twice");
    }
}

#[test]
fn what_was_read_and_is_archived_later_needs_no_access() {
    let bench = Bench::new();
    let put = |key: &str, class: &'static str, second| {
        let options = ObjectOptions { storage_class: Some(class.into()), ..ObjectOptions::modified_at(time(second)) };
        bench.server.store().put(BUCKET, key, format!("id\n{key}\n"), options);
    };
    put("d/a.csv", "STANDARD", 1);
    let of = |policy: &str| config(&bench, &["d/*"], &csv(json!({})), &json!({"on_archived": policy}));
    let first = bench.read(&of("fail"), &catalog("s", "incremental"), None).ok();
    put("d/a.csv", "GLACIER", 1);
    put("d/b.csv", "STANDARD", 2);
    let second = bench.read(&of("fail"), &catalog("s", "incremental"), Some(&first.state())).ok();
    assert_eq!(second.column("id"), ["d/b.csv"]);
    assert_not_said(&second, "archived");
    // What was not read does.
    put("d/c.csv", "GLACIER", 3);
    let third = bench.read(&of("fail"), &catalog("s", "incremental"), Some(&second.state()));
    assert_eq!(third.code, Some(1));
    let fourth = bench.read(&of("skip"), &catalog("s", "incremental"), Some(&second.state())).ok();
    assert_said(&fourth, "1 archived objects skipped");
}

#[test]
fn a_full_refresh_that_failed_for_archived_objects_fails_again_until_they_are_restored() {
    let bench = Bench::new();
    bench.put("d/z.csv", "id\nz\n", 1);
    let options = ObjectOptions { storage_class: Some("GLACIER".into()), ..ObjectOptions::modified_at(time(1)) };
    bench.server.store().put(BUCKET, "d/a.csv", "id\na\n", options);
    let config = config(&bench, &["d/*"], &csv(json!({})), &json!({"on_archived": "fail"}));
    let first = bench.read(&config, &catalog("s", "full_refresh"), None);
    let second = bench.read(&config, &catalog("s", "full_refresh"), Some(&first.state()));
    assert_eq!((first.code, second.code), (Some(1), Some(1)));
    bench.put("d/a.csv", "id\na\n", 1);
    let third = bench.read(&config, &catalog("s", "full_refresh"), Some(&second.state())).ok();
    let mut ids = third.column("id");
    ids.sort();
    assert_eq!(ids, ["a", "z"]);
}

#[test]
fn the_messages_of_a_run_are_its_state() {
    let bench = Bench::new();
    bench.put("d/a.csv", "id\n1\n", 1);
    let config = config(&bench, &["d/*"], &csv(json!({})), &json!({}));
    let first = bench.read(&config, &catalog("s", "incremental"), None).ok();
    let states: Vec<&Value> = first.of_type("STATE");
    let texts = [first.text.clone(), json!(states).to_string(), states[states.len() - 1].to_string()];
    for (text, code) in texts.into_iter().map(|text| (text, 0)).chain([(r#"[{"type": "STATE"}]"#.to_owned(), 1)]) {
        let mut command = bench.read_command(&config, &catalog("s", "incremental"), None);
        let path = bench.folder.join("messages");
        std::fs::write(&path, &text).unwrap();
        command.arg("--state").arg(path);
        let output = finish(command);
        assert_eq!((output.code, output.column("id").len()), (Some(code), 0), "{text}: {output:#?}");
    }
}
