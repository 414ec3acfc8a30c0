//! Stories: a state, what happened to the bucket and in the run, and what the next run does.

use serde_json::{Value, json};

use super::*;
use crate::batch::Place;
use crate::object::{StorageClass, Timestamp};

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
    Position { rows, place: Place::Byte { offset, line: rows, columns: None, frame: None } }
}

fn incremental(state: &Value) -> Cursor {
    Cursor::Incremental(Incremental::new(StreamState::read(state).unwrap(), None))
}

fn full_refresh(state: &Value, generation: i64) -> Cursor {
    Cursor::FullRefresh(FullRefresh::new(StreamState::read(state).unwrap(), Some(generation)))
}

fn read_all(cursor: &mut Cursor, objects: &[ObjectFacts]) -> Vec<String> {
    let mut read = Vec::new();
    for object in objects.iter().filter(|object| cursor.decide(object).reads()).cloned().collect::<Vec<_>>() {
        cursor.begin(&object, Position::default());
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
    assert_eq!(third.decide(&object("a", 2)), Decision::OlderThanRead);
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
    assert_eq!(next.decide(&object("a", 1)), Decision::Resume(at_byte(100, 4096)));
    assert_eq!(next.decide(&object("b", 2)), Decision::AlreadyRead);
    assert_eq!(next.decide(&object("a", 5)), Decision::Changed);
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
    assert_eq!(next.decide(&object("a", 1)), Decision::AlreadyRead);
    assert_eq!(next.decide(&object("b", 1)), Decision::Resume(at_byte(5, 50)));
    assert_eq!(next.decide(&object("c", 1)), Decision::AlreadyRead);
    assert_eq!(next.decide(&object("d", 1)), Decision::Read);
    assert_eq!(next.list_after(), None, "a pending key must be listed again");
    next.begin(&object("b", 1), at_byte(5, 50));
    next.end("b");
    assert_eq!(full_refresh(&next.document(), 7).list_after(), Some("c"));

    for other in [full_refresh(&state, 8), full_refresh(&next.complete_document(), 7), incremental(&state)] {
        assert_eq!(other.decide(&object("a", 1)), Decision::Read);
    }
    assert_eq!(next.complete_document(), json!({"__ab_no_cursor_state_message": true}));
}

#[test]
fn a_history_beyond_its_limit_forgets_the_earliest_and_reads_nothing_twice() {
    let files: Vec<_> = (0..HISTORY_ENTRIES as i64 + 500).map(|i| object(&format!("k{i:06}"), i)).collect();
    let mut run = incremental(&json!({}));
    assert_eq!(read_all(&mut run, &files).len(), files.len());
    let state = run.document();
    assert_eq!(state["history"].as_object().unwrap().len(), HISTORY_ENTRIES);
    assert_eq!(state["v3_min_sync_date"], Value::String(files[500].modified_at.to_string()));

    let mut next = incremental(&state);
    assert_eq!(read_all(&mut next, &files), Vec::<String>::new());
    assert_eq!(next.decide(&files[0]), Decision::BeyondHistory);
    assert_eq!(next.decide(&object("new", 999_999)), Decision::Read);
}

#[test]
fn a_pending_file_holds_the_horizon_back() {
    let mut run = incremental(&json!({}));
    run.begin(&object("slow", 0), Position::default());
    let files: Vec<_> = (1..HISTORY_ENTRIES as i64 + 10).map(|i| object(&format!("k{i:06}"), i)).collect();
    read_all(&mut run, &files);
    assert_eq!(run.document()["history"].as_object().unwrap().len(), files.len());
    assert!(run.document()["tollgate"].get("horizon").is_none());
    run.end("slow");
    let state = run.document();
    assert_eq!(state["history"].as_object().unwrap().len(), HISTORY_ENTRIES);
    assert_eq!(incremental(&state).decide(&object("slow", 0)), Decision::BeyondHistory);
}

#[test]
fn the_oldest_form_of_the_history_is_read() {
    let cursor = incremental(&json!({
        "history": {"2026-11-20": ["x.csv"], "2026-11-21": ["a.csv"]},
        "_ab_source_file_last_modified": "2026-11-21T11:00:00Z",
        "something": null,
    }));
    let listed = |key: &str, time: &str| ObjectFacts { modified_at: Timestamp::parse(time).unwrap(), ..object(key, 0) };
    assert_eq!(cursor.decide(&listed("a.csv", "2026-11-21T11:00:00Z")), Decision::AlreadyRead);
    assert_eq!(cursor.decide(&listed("a.csv", "2026-11-21T11:00:01Z")), Decision::Read);
    assert_eq!(cursor.decide(&listed("x.csv", "2026-11-20T23:59:59Z")), Decision::OlderThanRead);
}

#[test]
fn a_state_of_another_form_is_refused_with_what_to_do() {
    for state in
        [json!([]), json!({"history": []}), json!({"history": {"a": "yesterday"}}), json!({"tollgate": {"version": 2}})]
    {
        let error = StreamState::read(&state).unwrap_err();
        assert!(error.hint_text().is_some(), "{error}");
    }
}
