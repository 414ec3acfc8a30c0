//! Stories: a state, what happened to the bucket and in the run, and what the next run does.

use serde_json::{Value, json};

use std::sync::Arc;

use super::*;
use tollgate_base::batch::{Place, Position};
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::Compression;
use tollgate_base::options::fingerprint::Canonical;

mod simulation;

fn object(key: &str, second: i64) -> ObjectFacts {
    ObjectFacts {
        key: key.into(),
        size: 10,
        modified_at: Timestamp::from_seconds(1_700_000_000 + second, 0),
        etag: format!("\"{key}-{second}\"").into(),
        storage_class: StorageClass::Standard,
    }
}

fn at_byte(rows: u64, offset: u64) -> Position {
    Position::new(rows, Place::Byte { offset, line: rows, columns: None, frame: None })
}

fn incremental(state: &Value) -> Cursor {
    Cursor::Incremental(Incremental::new(StreamState::read(state).unwrap(), None))
}

fn full_refresh(state: &Value, generation: i64) -> Cursor {
    Cursor::FullRefresh(FullRefresh::new(StreamState::read(state).unwrap(), Some(generation)))
}

/// Two weeks after the files' times: none is inside the late window.
fn window() -> Window {
    Window { listed_at: object("", 14 * 86_400).modified_at, late_days: 7, full_history_days: 3 }
}

/// Decisions of a listing; the cursor becomes the one for the run.
fn list(cursor: &mut Cursor, objects: &[ObjectFacts]) -> Vec<Decision> {
    let incremental = match cursor {
        Cursor::FullRefresh(cursor) => return objects.iter().map(|object| cursor.decide(object)).collect(),
        Cursor::Incremental(cursor) => cursor,
    };
    let mut reconciler = ListingReconciler::new(incremental, window());
    let seen: Vec<_> = objects.iter().map(|object| reconciler.observe(object, None)).collect();
    let reconciled = reconciler.settle();
    let decide = |seen| match seen {
        Observation::Decided(decision) => decision,
        Observation::Open(file) => reconciled.decide(file),
    };
    let decisions = seen.into_iter().map(decide).collect();
    *cursor = Cursor::Incremental(reconciled.finish());
    decisions
}

fn decide(cursor: &Cursor, object: &ObjectFacts) -> Decision {
    list(&mut cursor.clone(), std::slice::from_ref(object)).remove(0)
}

fn read_all(cursor: &mut Cursor, objects: &[ObjectFacts]) -> Vec<String> {
    let mut read = Vec::new();
    let decisions = list(cursor, objects);
    for (object, _) in objects.iter().zip(decisions).filter(|(_, decision)| decision.reads()) {
        cursor.begin(object, Position::default());
        cursor.end(&object.key);
        read.push(object.key.to_string());
    }
    read
}

#[test]
fn an_unchanged_bucket_is_not_read_again_and_changed_new_and_late_files_are() {
    let mut first = incremental(&json!({}));
    assert_eq!(read_all(&mut first, &[object("a", 1), object("b", 2)]), ["a", "b"]);
    let state = first.document();
    assert_eq!(state["_ab_source_file_last_modified"], "2023-11-14T22:13:22.000000Z_b");
    assert_eq!(state["history"], json!({"a": "2023-11-14T22:13:21.000000Z", "b": "2023-11-14T22:13:22.000000Z"}));

    let mut second = incremental(&state);
    assert_eq!(read_all(&mut second, &[object("a", 1), object("b", 2)]), Vec::<String>::new());
    assert_eq!(second.document(), state);

    let mut third = incremental(&state);
    let late_new_and_changed = [object("late", 0), object("a", 3), object("b", 2), object("c", 4)];
    assert_eq!(read_all(&mut third, &late_new_and_changed), ["late", "a", "c"]);
    assert_eq!(decide(&third, &object("a", 2)), Decision::OlderThanRead);
}

#[test]
fn an_interrupted_file_goes_on_where_the_state_stood_unless_it_changed() {
    let mut run = incremental(&json!(null));
    run.begin(&object("a", 1), Position::default());
    run.begin(&object("b", 2), Position::default());
    run.advance("a", at_byte(100, 4096));
    run.end("b");
    let state = run.document();

    let next = incremental(&state);
    assert_eq!(decide(&next, &object("a", 1)), Decision::Resume(at_byte(100, 4096)));
    assert_eq!(decide(&next, &object("b", 2)), Decision::AlreadyRead);
    assert_eq!(decide(&next, &object("a", 5)), Decision::Changed);
}

#[test]
fn a_state_that_lost_our_part_reads_the_interrupted_file_again_and_no_other() {
    let mut run = incremental(&json!({}));
    run.begin(&object("a", 1), Position::default());
    run.advance("a", at_byte(1, 1));
    run.begin(&object("b", 2), Position::default());
    run.end("b");
    let mut state = run.document();
    state.as_object_mut().unwrap().remove("tollgate");
    let mut next = incremental(&state);
    assert_eq!(read_all(&mut next, &[object("a", 1), object("b", 2)]), ["a"]);
}

#[test]
fn full_refresh_resumes_only_an_incomplete_state_of_its_generation() {
    let mut run = full_refresh(&json!({}), 7);
    for key in ["a", "b", "c"] {
        run.begin(&object(key, 1), Position::default());
    }
    run.end("a");
    run.end("c");
    run.advance("b", at_byte(5, 50));
    let state = run.document();

    let mut next = full_refresh(&state, 7);
    assert_eq!(decide(&next, &object("a", 1)), Decision::AlreadyRead);
    assert_eq!(decide(&next, &object("b", 1)), Decision::Resume(at_byte(5, 50)));
    assert_eq!(decide(&next, &object("c", 1)), Decision::AlreadyRead);
    assert_eq!(decide(&next, &object("d", 1)), Decision::Read);
    assert_eq!(next.list_after(), None, "a pending key must be listed again");
    next.begin(&object("b", 1), at_byte(5, 50));
    next.end("b");
    assert_eq!(full_refresh(&next.document(), 7).list_after(), Some("c"));

    for other in [full_refresh(&state, 8), full_refresh(&next.complete_document(), 7), incremental(&state)] {
        assert_eq!(decide(&other, &object("a", 1)), Decision::Read);
    }
    assert_eq!(next.complete_document(), json!({"__ab_no_cursor_state_message": true}));
}

#[test]
fn a_history_beyond_its_limit_forgets_the_earliest_and_reads_nothing_twice() {
    let files: Vec<_> = (0..HISTORY_ENTRIES as i64 + 500).map(|i| object(&format!("k{i:06}"), i)).collect();
    let mut run = incremental(&json!({}));
    assert_eq!(read_all(&mut run, &files).len(), files.len());
    let state = run.document();
    assert_eq!(state["history"].as_object().unwrap().len(), HISTORY_ENTRIES - 1);
    assert_eq!(state["v3_min_sync_date"], Value::String(files[501].modified_at.to_string()));

    let mut next = incremental(&state);
    let late_and_changed = [object("late", 7), object("k000003", 20_000), object("new", 999_999)];
    let listed: Vec<_> = files[..3].iter().chain(&files[4..]).chain(&late_and_changed).cloned().collect();
    assert_eq!(read_all(&mut next, &listed), ["late", "k000003", "new"]);
    let state = next.document();
    assert_eq!(read_all(&mut incremental(&state), &listed), Vec::<String>::new());

    let mut dropped = state.clone();
    dropped.as_object_mut().unwrap().remove("tollgate");
    let without_our_part = incremental(&dropped);
    assert_eq!(decide(&without_our_part, &files[0]), Decision::BeyondHistory);
    assert_eq!(decide(&without_our_part, &files[9000]), Decision::AlreadyRead);
}

#[test]
fn a_pending_file_below_the_horizon_is_not_lost_to_anyone() {
    let mut run = incremental(&json!({}));
    run.begin(&object("slow", 0), Position::default());
    let files: Vec<_> = (1..HISTORY_ENTRIES as i64 + 10).map(|i| object(&format!("k{i:06}"), i)).collect();
    for file in &files {
        run.begin(file, Position::default());
        run.end(&file.key);
    }
    let mut state = run.document();
    assert_eq!(state["history"].as_object().unwrap().len(), HISTORY_ENTRIES - 1);
    assert_eq!(decide(&incremental(&state), &object("slow", 0)), Decision::Read);
    state.as_object_mut().unwrap().remove("tollgate");
    assert_eq!(decide(&incremental(&state), &object("slow", 0)), Decision::Read, "the bound for others is before it");
    run.end("slow");
    assert_eq!(decide(&incremental(&run.document()), &object("slow", 0)), Decision::AlreadyRead);
}

#[test]
fn a_full_history_of_the_other_connector_is_taken_over_by_its_own_rule_once() {
    let key = |i: i64| format!("k{i:06}");
    let now = window().listed_at;
    let at = |days_ago: i64, i: i64| ObjectFacts {
        modified_at: now.plus_seconds(-days_ago * 86_400 + i),
        ..object(&key(days_ago * 100_000 + i), 0)
    };
    // The earliest entry is a day old: unknown files of three days are read, as the other connector would.
    let remembered: Vec<_> = (0..10_000).map(|i| at(1, i)).collect();
    let history: serde_json::Map<_, _> =
        remembered.iter().map(|o| (o.key.to_string(), Value::String(o.modified_at.to_string()))).collect();
    let state = json!({"history": history, "_ab_source_file_last_modified": "2023-11-27T00:00:00.000000Z_x"});
    let (inside, outside) = (at(2, 0), at(5, 0));
    let mut listed = vec![inside.clone(), outside.clone()];
    listed.extend(remembered);
    let mut run = incremental(&state);
    assert_eq!(list(&mut run.clone(), &listed)[..3], [Decision::Read, Decision::BeyondHistory, Decision::AlreadyRead]);
    assert_eq!(read_all(&mut run, &listed), [inside.key.to_string()]);
    // From now on everything is known, so that a late file is found wherever it appears.
    let mut next = incremental(&run.document());
    listed.push(at(6, 0));
    assert_eq!(list(&mut next.clone(), &listed)[1], Decision::AlreadyRead);
    assert_eq!(read_all(&mut next, &listed), [at(6, 0).key.to_string()]);
}

#[test]
fn the_history_gives_way_to_the_rest_of_the_document() {
    let long = "folder/".repeat(60);
    let files: Vec<_> = (0..4_000).map(|i| object(&format!("{long}{i:06}\"\u{1}"), i)).collect();
    let mut run = incremental(&json!({}));
    read_all(&mut run, &files);
    let text = run.document().to_string();
    assert!((700_000..1_000_000).contains(&text.len()), "{}", text.len());
    assert_eq!(read_all(&mut incremental(&run.document()), &files), Vec::<String>::new());
}

#[test]
fn archived_files_are_not_forgotten() {
    let files: Vec<_> = (0..30_000).map(|i| object(&format!("k{i:06}"), i)).collect();
    let mut run = incremental(&json!({}));
    read_all(&mut run, &files);
    let Cursor::Incremental(cursor) = incremental(&run.document()) else { panic!() };
    let mut reconciler = ListingReconciler::new(&cursor, window());
    for object in &files {
        reconciler.observe_unreadable(object, None);
    }
    let mut restored = Cursor::Incremental(reconciler.settle().finish());
    assert_eq!(read_all(&mut restored, &files), Vec::<String>::new());
}

#[test]
fn a_state_of_version_3_reads_everything_of_its_last_hour_once_and_nothing_before() {
    let state = json!({
        "history": {"2026-11-20": ["x.csv"], "2026-11-21": ["a.csv", "early.csv"]},
        "_ab_source_file_last_modified": "2026-11-21T11:00:00Z",
        "something": null,
    });
    let listed = |key: &str, time: &str| ObjectFacts { modified_at: Timestamp::parse(time).unwrap(), ..object(key, 0) };
    let files = [
        listed("a.csv", "2026-11-21T11:00:00Z"),
        listed("early.csv", "2026-11-21T09:59:59Z"),
        listed("new.csv", "2026-11-21T12:00:00Z"),
        listed("unknown.csv", "2026-11-20T23:59:59Z"),
        listed("x.csv", "2026-11-20T23:59:59Z"),
    ];
    let mut run = incremental(&state);
    assert_eq!(read_all(&mut run, &files), ["a.csv", "new.csv"]);
    let state = run.document();
    assert_eq!(state["v3_min_sync_date"], "2026-11-21T10:00:00.000000Z");
    assert_eq!(state["history"]["x.csv"], "2026-11-20T23:59:59.999999Z");
    assert_eq!(state["history"]["early.csv"], "2026-11-21T11:00:00.000000Z");
    let mut next = incremental(&state);
    assert_eq!(read_all(&mut next, &files), Vec::<String>::new());
    assert_eq!(decide(&next, &listed("late.csv", "2026-11-21T09:00:00Z")), Decision::BeyondHistory);
    assert_eq!(next.document()["v3_min_sync_date"], "2026-11-21T10:00:00.000000Z");
}

#[test]
fn a_state_of_another_form_is_refused_with_what_to_do() {
    for state in
        [json!([]), json!({"history": []}), json!({"history": {"a": "yesterday"}}), json!({"tollgate": {"version": 3}})]
    {
        let error = StreamState::read(&state).unwrap_err();
        assert!(error.hint_text().is_some(), "{error}");
    }
}

/// A run over the partitions that end behind day `from`, where files are 12,000 a day, more than a history holds. Returns
/// what it read; the state is the one after it.
fn run_of_days(
    state: &mut Value,
    files: &[(i64, ObjectFacts)],
    from: Option<i64>,
    day: i64,
    complete: bool,
) -> Vec<String> {
    let start_of = |day: i64| object("", day * 86_400).modified_at;
    let window = Window { listed_at: start_of(day), late_days: 7, full_history_days: 3 };
    let Cursor::Incremental(cursor) = incremental(state) else { panic!() };
    let mut reconciler = ListingReconciler::new(&cursor, window);
    let listed: Vec<_> = files.iter().filter(|(day, _)| from.is_none_or(|from| day + 1 > from)).collect();
    let see = |(day, object): &&(i64, ObjectFacts)| reconciler.observe(object, Some(start_of(day + 1)));
    let seen: Vec<_> = listed.iter().map(see).collect();
    let reconciled = reconciler.settle();
    let decisions: Vec<_> = seen
        .into_iter()
        .map(|seen| match seen {
            Observation::Decided(decision) => decision,
            Observation::Open(file) => reconciled.decide(file),
        })
        .collect();
    let mut cursor = reconciled.finish();
    let newest = listed.iter().map(|(day, _)| start_of(*day)).max();
    cursor.listed(Some(PartitionListing { from: from.map(start_of), at: window.listed_at, newest }));
    let mut run = Cursor::Incremental(cursor);
    let mut read = Vec::new();
    for ((_, object), _) in listed.iter().zip(decisions).filter(|(_, decision)| decision.reads()) {
        run.begin(object, Position::default());
        run.end(&object.key);
        read.push(object.key.to_string());
    }
    *state = if complete { run.complete_document() } else { run.document() };
    read
}

#[test]
fn files_of_partitions_that_are_not_listed_are_not_forgotten() {
    let of_day = |day: i64| {
        let file = move |index: i64| (day, object(&format!("d{day:02}/{index:05}"), day * 86_400 + index));
        (0..12_000).map(file)
    };
    let mut files: Vec<_> = (0..5).flat_map(of_day).collect();
    let mut state = json!({});
    assert_eq!(run_of_days(&mut state, &files, None, 20, true).len(), 60_000);
    files.extend(of_day(20));
    assert_eq!(run_of_days(&mut state, &files, Some(3), 21, true).len(), 12_000);
    assert_eq!(run_of_days(&mut state, &files, Some(19), 30, false).len(), 0);
    // Into a partition that is not listed any more comes one file, and another one as an upload that began long before.
    files.push((1, object("d01/late", 30 * 86_400)));
    files.push((1, object("d01/slow", 18 * 86_400)));
    assert_eq!(run_of_days(&mut state, &files, Some(19), 31, true).len(), 0);
    let again = run_of_days(&mut state, &files, None, 32, true);
    assert_eq!(again, ["d01/late", "d01/slow"], "and none of the 72,000");
    assert_eq!(run_of_days(&mut state, &files, None, 33, true), Vec::<String>::new());
}

/// The basis of a run with these options, compression `auto`.
fn basis(options: &str, globs: &str) -> Basis {
    let positions = Canonical::default().with("options", options);
    let members = Canonical::default().with("globs", globs);
    let selection = members.clone().and(&positions);
    Basis::new(positions, members, Compression::Auto, &selection)
}

fn incremental_with(state: &Value, basis: Basis) -> Cursor {
    Cursor::Incremental(Incremental::new(StreamState::read(state).unwrap(), None).based_on(basis))
}

fn full_refresh_with(state: &Value, generation: i64, basis: Basis) -> FullRefresh {
    FullRefresh::new(StreamState::read(state).unwrap(), Some(generation)).based_on(basis)
}

#[test]
fn a_position_made_with_other_options_is_not_resumed() {
    let mut run = incremental_with(&json!({}), basis("utf8", "**"));
    for key in ["a", "b.zip", "begun"] {
        run.begin(&object(key, 1), Position::default());
        if key != "begun" {
            run.advance(key, at_byte(3, 30));
        }
    }
    let state = run.document();
    let next = |basis| incremental_with(&state, basis);
    let same = next(basis("utf8", "**"));
    assert_eq!(decide(&same, &object("a", 1)), Decision::Resume(at_byte(3, 30)));
    assert_eq!(decide(&same, &object("b.zip", 1)), Decision::Resume(at_byte(3, 30)));
    let other = next(basis("latin1", "**"));
    assert_eq!(decide(&other, &object("a", 1)), Decision::OtherOptions);
    assert_eq!(other.start(&object("a", 1)), Position::default());
    assert_eq!(decide(&other, &object("a", 2)), Decision::Changed, "what it is now is not what was read");
    assert_eq!(decide(&other, &object("begun", 1)), Decision::Read, "nothing was read of it");
    let narrowed = next(basis("utf8", "*.zip#a"));
    assert_eq!(
        decide(&narrowed, &object("a", 1)),
        Decision::Resume(at_byte(3, 30)),
        "globs move no position in a file"
    );
    assert_eq!(decide(&narrowed, &object("b.zip", 1)), Decision::OtherOptions, "they choose members");
    // States of earlier versions do not name the options.
    let mut older = state.clone();
    older["tollgate"]["pending"]["a"].as_object_mut().unwrap().remove("options");
    assert_eq!(decide(&incremental_with(&older, basis("utf8", "**")), &object("a", 1)), Decision::OtherOptions);
}

#[test]
fn a_pending_file_that_is_not_understood_is_read_from_its_start_and_fails_nothing() {
    let mut run = incremental(&json!({}));
    run.begin(&object("a", 1), Position::default());
    run.advance("a", at_byte(3, 30));
    for odd in [json!(5), json!({"at": "page", "rows": 3}), json!(null), json!({"at": "byte", "offset": "x"})] {
        let mut state = run.document();
        state["tollgate"]["pending"]["a"] = odd;
        let mut next = incremental(&state);
        assert_eq!(decide(&next, &object("a", 1)), Decision::Changed);
        assert_eq!(decide(&incremental(&next.document()), &object("a", 1)), Decision::Changed, "nor after another run");
        assert_eq!(read_all(&mut next, &[object("a", 1)]), ["a"]);
        assert_eq!(decide(&incremental(&next.document()), &object("a", 1)), Decision::AlreadyRead);
    }
}

#[test]
fn a_full_refresh_with_another_selection_starts_over() {
    let mut run = Cursor::FullRefresh(full_refresh_with(&json!({}), 7, basis("utf8", "a/*")));
    for key in ["a/1", "a/2"] {
        run.begin(&object(key, 1), Position::default());
        run.end(key);
    }
    let state = run.document();
    let same = full_refresh_with(&state, 7, basis("utf8", "a/*"));
    assert_eq!((same.decide(&object("a/1", 1)), same.started_over()), (Decision::AlreadyRead, false));
    let mut older = state.clone();
    older["tollgate"].as_object_mut().unwrap().remove("selection");
    for (state, options, globs) in [(&state, "utf8", "**"), (&state, "latin1", "a/*"), (&older, "utf8", "a/*")] {
        let other = full_refresh_with(state, 7, basis(options, globs));
        assert_eq!((other.decide(&object("a/1", 1)), other.list_after()), (Decision::Read, None));
        assert!(other.started_over());
    }
    assert!(!full_refresh_with(&json!({}), 7, basis("utf8", "**")).started_over(), "there was nothing to go on with");
}

#[test]
fn a_finished_full_refresh_is_read_again_but_not_by_another_attempt_of_the_same_sync() {
    let run = |state: &Value, generation, sync| {
        let state = StreamState::read(state).unwrap();
        FullRefresh::new(state, generation).based_on(basis("utf8", "**")).in_sync(sync)
    };
    let finished = run(&json!({}), Some(4), Some(70)).complete_document();
    assert_eq!(finished["__ab_no_cursor_state_message"], json!(true));
    let again = run(&finished, Some(4), Some(70));
    assert!(again.finished() && again.decide(&object("a", 1)) == Decision::AlreadyRead);
    assert_eq!(again.complete_document(), finished);
    for (generation, sync) in
        [(Some(4), Some(71)), (Some(5), Some(70)), (Some(4), None), (None, Some(70)), (None, None)]
    {
        assert!(!run(&finished, generation, sync).finished(), "{generation:?} {sync:?}");
    }
    let state = StreamState::read(&finished).unwrap();
    let other = FullRefresh::new(state, Some(4)).based_on(basis("utf8", "a/*")).in_sync(Some(70));
    assert!(!other.finished(), "another selection has other files");
    // Runners that count no syncs write 1 in each.
    for (generation, sync) in [(Some(1), Some(1)), (None, Some(70)), (Some(4), None)] {
        let finished = run(&json!({}), generation, sync).complete_document();
        assert_eq!(finished, json!({"__ab_no_cursor_state_message": true}));
        assert!(!run(&finished, generation, sync).finished());
    }
    assert_eq!(decide(&incremental(&finished), &object("a", 1)), Decision::Read);
}

fn bad_rows(cursor: &Cursor) -> u64 {
    cursor.rows_counted().1
}

#[test]
fn bad_rows_of_runs_that_did_not_end_well_count_until_their_file_is_read_again_or_gone() {
    let start = |state: &Value| {
        let mut cursor = incremental(state);
        cursor.count_bad_rows(true, false);
        cursor
    };
    let mut run = start(&json!({}));
    for (key, good, bad) in [("a", 10, 2), ("b", 20, 0), ("c", 30, 3), ("d", 40, 4)] {
        run.begin(&object(key, 1), Position::default());
        run.add_rows(key, good, bad);
        if key != "d" {
            run.end(key);
        } else {
            run.advance(key, at_byte(44, 440));
        }
    }
    let state = run.document();
    let files = |keys: &[(&str, i64)]| keys.iter().map(|(key, second)| object(key, *second)).collect::<Vec<_>>();
    let after = |read: &[(&str, i64)], listed: &[(&str, i64)]| {
        let mut next = start(&state);
        let mut keys = ListedKeys::default();
        listed.iter().for_each(|(key, _)| keys.see(key));
        next.recount(files(read).into_iter(), Some(&keys));
        next.rows_counted()
    };
    let all = [("a", 1), ("b", 1), ("c", 1), ("d", 1)];
    assert_eq!(after(&[("d", 1)], &all), (100, 9), "it goes on in the middle of d");
    assert_eq!(after(&[("a", 5), ("d", 1)], &all), (90, 7), "a was repaired");
    assert_eq!(after(&[("d", 5)], &all), (60, 5), "d was repaired");
    assert_eq!(after(&[], &all[..3]), (60, 5), "d is gone");
    let mut next = start(&state);
    next.begin(&object("a", 5), Position::default());
    next.add_rows("a", 12, 0);
    next.end("a");
    assert_eq!(next.rows_counted(), (102, 7), "the rows of its new version count");
    assert_eq!(bad_rows(&start(&next.complete_document())), 0, "a run that ended well has reconciled it");
    assert_eq!(bad_rows(&start(&next.document())), 7);
    // Who sets no limit and skips bad rows tolerates them; who skips none does not.
    let carried = |keep| {
        let mut cursor = incremental(&state);
        cursor.count_bad_rows(false, keep);
        bad_rows(&cursor)
    };
    assert_eq!((carried(false), carried(true)), (0, 9));
}

#[test]
fn bad_rows_of_members_count_as_long_as_their_archive_is_there() {
    let mut run = incremental(&json!({}));
    run.count_bad_rows(true, false);
    run.begin(&object("z.zip", 1), Position::default());
    run.begin_member(&object("z.zip#a", 0), Position::default(), &"z.zip".into(), 7);
    run.add_rows("z.zip#a", 5, 2);
    run.end("z.zip#a");
    run.end("z.zip");
    let after = |listed: &[&str]| {
        let mut keys = ListedKeys::default();
        listed.iter().for_each(|key| keys.see(key));
        let mut next = incremental(&run.document());
        next.count_bad_rows(true, false);
        next.recount(std::iter::empty(), Some(&keys));
        bad_rows(&next)
    };
    assert_eq!((after(&["z.zip"]), after(&["other.zip"])), (2, 0));
}

#[test]
fn the_count_of_bad_rows_by_file_is_bounded() {
    let mut run = incremental(&json!({}));
    run.count_bad_rows(true, false);
    for index in 0..5_000 {
        let key = format!("k{index}");
        run.begin(&object(&key, index), Position::default());
        run.add_rows(&key, 1, 1);
        run.end(&key);
    }
    let state = run.document();
    assert!(state["tollgate"]["bad_rows"].to_string().len() < 60_000);
    let mut next = incremental(&state);
    next.count_bad_rows(true, false);
    assert_eq!(next.rows_counted(), (5_000, 5_000));
}

/// Reads members of an archive that is to be read; returns those that were.
fn read_members(run: &mut Cursor, archive: &str, members: &[(&str, i64, u64)], end: bool) -> Vec<String> {
    let key: Arc<str> = archive.into();
    let mut read = Vec::new();
    for (name, second, number) in members {
        let member = object(&format!("{archive}#{name}"), *second);
        if run.decide_member(archive, &member, *number).reads() {
            run.begin_member(&member, Position::default(), &key, *number);
            run.end(&member.key);
            read.push((*name).to_owned());
        }
    }
    if end {
        run.end_members(Arc::clone(&key), members.iter().map(|(_, _, number)| *number).collect());
        run.end(archive);
    }
    read
}

#[test]
fn members_of_a_replaced_archive_are_told_by_what_they_hold() {
    let mut run = incremental(&json!({}));
    run.begin(&object("z.zip", 100), Position::default());
    assert_eq!(read_members(&mut run, "z.zip", &[("a", 0, 1), ("b", 0, 2)], true), ["a", "b"]);
    let state = run.document();
    let replaced = |members: &[(&str, i64, u64)]| {
        let mut next = incremental(&state);
        assert_eq!(decide(&next, &object("z.zip", 200)), Decision::Read);
        next.begin(&object("z.zip", 200), Position::default());
        let read = read_members(&mut next, "z.zip", members, true);
        (read, next.document())
    };
    assert_eq!(replaced(&[("a", 0, 3), ("b", 0, 4)]).0, ["a", "b"], "all changed, their times did not");
    assert_eq!(replaced(&[("a", 0, 1), ("b", 0, 4), ("c", 0, 5)]).0, ["b", "c"]);
    assert_eq!(replaced(&[("a", -50, 3), ("b", 0, 2)]).0, ["a"], "an earlier time is no reason to leave it out");
    // What the archive held before the last time is no proof.
    let (_, state) = replaced(&[("a", 0, 3), ("b", 0, 2)]);
    let mut back = incremental(&state);
    back.begin(&object("z.zip", 300), Position::default());
    assert_eq!(read_members(&mut back, "z.zip", &[("a", 0, 1), ("b", 0, 2)], true), ["a"]);
}

#[test]
fn a_cut_archive_goes_on_and_one_that_is_replaced_meanwhile_too() {
    let mut run = incremental(&json!({}));
    run.begin(&object("z.zip", 100), Position::default());
    assert_eq!(read_members(&mut run, "z.zip", &[("a", 0, 1)], false), ["a"]);
    let state = run.document();
    assert_eq!(read_members(&mut incremental(&state), "z.zip", &[("a", 0, 1), ("b", 0, 2)], true), ["b"]);
    assert_eq!(read_members(&mut incremental(&state), "z.zip", &[("a", 0, 3), ("b", 0, 2)], true), ["a", "b"]);
    // A state that does not have what the members were.
    let mut older = state.clone();
    older["tollgate"].as_object_mut().unwrap().remove("archives");
    let older = incremental(&older);
    let member = object("z.zip#a", 0);
    assert_eq!(older.decide_member("z.zip", &member, 1), Decision::ReadAgain);
}

#[test]
fn what_is_kept_of_archives_is_bounded_and_what_is_forgotten_is_said() {
    let mut run = incremental(&json!({}));
    let members: Vec<(String, i64, u64)> = (0..30_000).map(|index| (format!("m{index}"), 0, index)).collect();
    let members: Vec<_> = members.iter().map(|(name, second, number)| (name.as_str(), *second, *number)).collect();
    run.begin(&object("large.zip", 100), Position::default());
    assert_eq!(read_members(&mut run, "large.zip", &members, true).len(), members.len());
    run.begin(&object("small.zip", 100), Position::default());
    read_members(&mut run, "small.zip", &members[..10], true);
    let state = run.document();
    assert!(state.to_string().len() < 1_000_000);
    let archives = &state["tollgate"]["archives"];
    assert!(archives.get("large.zip").is_none() && archives.get("small.zip").is_some(), "{archives}");
    let mut next = incremental(&state);
    next.begin(&object("small.zip", 200), Position::default());
    assert_eq!(read_members(&mut next, "small.zip", &members[..10], true), Vec::<String>::new());
    let last = object("large.zip#m9999", 0);
    assert_eq!(next.decide_member("large.zip", &last, 77_777), Decision::ReadAgain);
}

#[test]
fn objects_whose_keys_look_like_members_of_archives_are_remembered_beyond_the_history() {
    let files: Vec<_> = (0..10_500).map(|index| object(&format!("old.zip#{index:06}.csv"), index)).collect();
    let mut run = incremental(&json!({}));
    assert_eq!(read_all(&mut run, &files).len(), files.len());
    assert_eq!(read_all(&mut incremental(&run.document()), &files), Vec::<String>::new());
}

#[test]
fn members_of_an_archive_of_any_name_are_no_files_that_vanished() {
    for archive in ["a.zip", "a.bin"] {
        let files: Vec<_> = (0..10_500).map(|index| object(&format!("k{index:06}"), 1000 + index)).collect();
        let mut run = incremental(&json!({}));
        run.begin(&object(archive, 900), Position::default());
        read_members(&mut run, archive, &[("m", 0, 1), ("n", 0, 2)], true);
        read_all(&mut run, &files);
        let state = run.document();
        let in_memory =
            state["tollgate"]["memory"].as_array().unwrap().iter().map(|part| part["files"].as_u64().unwrap());
        let in_history = state["history"].as_object().unwrap().len() as u64;
        assert_eq!(in_memory.sum::<u64>(), 10_501 - in_history, "{archive}: the archive, its files, and no member");
    }
}

#[test]
fn files_of_the_earliest_second_in_a_full_history_are_told_by_their_keys() {
    // 10,003 files of one second, of which the connector we replace remembers the last 10,000.
    let files: Vec<_> = (0..10_003).map(|index| object(&format!("k{index:06}"), 0)).collect();
    let history: serde_json::Map<_, _> =
        files[3..].iter().map(|file| (file.key.to_string(), Value::String(file.modified_at.to_string()))).collect();
    let state =
        json!({"history": history, "_ab_source_file_last_modified": format!("{}_k010002", files[0].modified_at)});
    let mut run = incremental(&state);
    let later = object("k010003", 0);
    let listed: Vec<_> = files.iter().chain([&later]).cloned().collect();
    assert_eq!(read_all(&mut run, &listed), ["k010003"]);
    assert_eq!(read_all(&mut incremental(&run.document()), &listed), Vec::<String>::new());
}

#[test]
fn the_way_back_reads_no_file_of_the_second_in_which_the_history_begins_again() {
    let files: Vec<_> = (0..HISTORY_ENTRIES as i64 + 500).map(|i| object(&format!("k{i:06}"), i / 700)).collect();
    let mut run = incremental(&json!({}));
    read_all(&mut run, &files);
    let state = run.document();
    let bound = Timestamp::parse(state["v3_min_sync_date"].as_str().unwrap()).unwrap();
    // The rule of the connector we replace, with a history that is not full.
    let read_there = files.iter().filter(|file| {
        let known = state["history"].get(&*file.key).is_some();
        !known && file.modified_at >= bound
    });
    assert_eq!(read_there.count(), 0, "{bound}");
    let earliest = files.iter().filter(|file| state["history"].get(&*file.key).is_some());
    assert!(earliest.map(|file| file.modified_at).min().unwrap() < bound);
}

#[test]
fn a_migration_from_version_3_that_is_cut_goes_on_as_one() {
    let state = json!({
        "history": {"2026-11-21": ["a.csv", "b.csv", "c.csv"]},
        "_ab_source_file_last_modified": "2026-11-21T11:00:00Z",
    });
    let listed = |key: &str, time: &str| ObjectFacts { modified_at: Timestamp::parse(time).unwrap(), ..object(key, 0) };
    let files = [
        listed("old.csv", "2026-11-21T09:00:00Z"),
        listed("a.csv", "2026-11-21T10:10:00Z"),
        listed("b.csv", "2026-11-21T10:20:00Z"),
        listed("c.csv", "2026-11-21T10:30:00Z"),
        listed("d.csv", "2026-11-21T11:30:00Z"),
    ];
    // Cut before the first file, inside, and after the last one.
    for cut in 0..=4 {
        let mut run = incremental(&state);
        let decisions = list(&mut run, &files);
        let to_read: Vec<_> = files.iter().zip(decisions).filter(|(_, decision)| decision.reads()).collect();
        let mut read: Vec<String> = Vec::new();
        for (file, _) in to_read.into_iter().take(cut) {
            run.begin(file, Position::default());
            run.end(&file.key);
            read.push(file.key.to_string());
        }
        let mut next = incremental(&run.document());
        read.extend(read_all(&mut next, &files));
        assert_eq!(read, ["a.csv", "b.csv", "c.csv", "d.csv"], "cut after {cut} files");
        let mut last = incremental(&next.complete_document());
        assert_eq!(read_all(&mut last, &files), Vec::<String>::new());
    }
}

#[test]
fn a_file_that_was_read_needs_no_access_when_it_is_archived() {
    let files: Vec<_> = (0..30_000).map(|i| object(&format!("k{i:06}"), i)).collect();
    let mut run = incremental(&json!({}));
    read_all(&mut run, &files[1..]);
    let Cursor::Incremental(cursor) = incremental(&run.document()) else { panic!() };
    let mut reconciler = ListingReconciler::new(&cursor, window());
    let seen: Vec<_> = files.iter().map(|object| reconciler.observe_unreadable(object, None)).collect();
    let reconciled = reconciler.settle();
    let to_read = seen.into_iter().zip(&files).filter(|(seen, _)| match seen {
        Observation::Decided(decision) => decision.reads(),
        Observation::Open(file) => reconciled.decide(*file).reads(),
    });
    assert_eq!(to_read.map(|(_, object)| &*object.key).collect::<Vec<_>>(), ["k000000"]);
}

#[test]
fn a_begun_file_that_is_archived_goes_on_when_it_is_restored() {
    let mut run = incremental(&json!({}));
    run.begin(&object("a", 1), Position::default());
    run.begin(&object("b", 1), Position::default());
    run.advance("a", at_byte(3, 30));
    run.put_off("a");
    run.put_off("b");
    let next = incremental(&run.document());
    assert_eq!(decide(&next, &object("a", 1)), Decision::Resume(at_byte(3, 30)));
    assert!(next.pending().get("b").is_none(), "nothing was read of it");
}
