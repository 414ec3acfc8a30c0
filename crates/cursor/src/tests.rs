//! Stories: a state, what happened to the bucket and in the run, and what the next run does.

use serde_json::{Value, json};

use super::*;
use tollgate_base::batch::Place;

mod simulation;
use tollgate_base::object::{StorageClass, Timestamp};

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
    let mut survey = incremental.survey(window());
    let seen: Vec<_> = objects.iter().map(|object| survey.see(object, None)).collect();
    let settled = survey.settle();
    let decide = |seen| match seen {
        Seen::Decided(decision) => decision,
        Seen::Open(ticket) => settled.judge(ticket),
    };
    let decisions = seen.into_iter().map(decide).collect();
    *cursor = settled.finish();
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
    let mut survey = cursor.survey(window());
    files.iter().for_each(|object| survey.see_unreadable(object, None));
    let mut restored = survey.settle().finish();
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
    let mut survey = cursor.survey(window);
    let listed: Vec<_> = files.iter().filter(|(day, _)| from.is_none_or(|from| day + 1 > from)).collect();
    let see = |(day, object): &&(i64, ObjectFacts)| survey.see(object, Some(start_of(day + 1)));
    let seen: Vec<_> = listed.iter().map(see).collect();
    let settled = survey.settle();
    let decisions: Vec<_> = seen
        .into_iter()
        .map(|seen| match seen {
            Seen::Decided(decision) => decision,
            Seen::Open(ticket) => settled.judge(ticket),
        })
        .collect();
    let mut run = settled.finish();
    let Cursor::Incremental(cursor) = &mut run else { panic!() };
    let newest = listed.iter().map(|(day, _)| start_of(*day)).max();
    cursor.listed(Some(Listing { from: from.map(start_of), at: window.listed_at, newest }));
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
