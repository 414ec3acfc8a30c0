//! The form of `stream_state`.
//!
//! ```json
//! {"history": {"a.csv": "2024-01-15T12:00:00.000000Z"},
//!  "_ab_source_file_last_modified": "2024-01-15T12:00:00.000000Z_a.csv",
//!  "v3_min_sync_date": "2024-01-15T12:00:00.000000Z",
//!  "tollgate": {"version": 2, "mode": "incremental", "generation": 3, "complete": false,
//!               "horizon": {"modified_at": "…", "key": "z.csv"},
//!               "memory": [{"from_micros": …, "files": 40000, "cells": 9000, "table": true, "set": "(base64)"}],
//!               "partitions": {"newest": "…", "memory_from": "…", "listings": [{"from": "…", "at": "…"}]},
//!               "archives": {"c.zip": "(base64)"}, "bad_rows": {"good": 950, "bad": 0, "files": {"(number)": [40, 2]}},
//!               "pending": {"b.csv": {"etag": "\"…\"", "modified_at": "…", "options": "xxh64-1:(16 digits)",
//!                                     "rows": 100, "at": "byte", "offset": 4096, "line": 101}}}}
//! ```
//!
//! `history` and the cursor text are Airbyte's, so that the connector we replace can read what we write. The part under
//! `tollgate` is ours; a state that lost it is still right, only less exact.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::basis::Basis;
use super::decision::Decision;
use super::partitions::PartitionCursor;
use super::seen_files::{SavedPart, SeenFiles};
use super::tally::Tally;
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::{ObjectFacts, Timestamp};
use tollgate_base::options::fingerprint::Fingerprint;
use tollgate_base::predicate::Marks;

/// The key of our own part.
const PART_KEY: &str = "tollgate";
/// Airbyte's text of the newest (time, key) in the history.
const CURSOR_KEY: &str = "_ab_source_file_last_modified";
/// Airbyte's mark for a stream without a cursor.
const SENTINEL_KEY: &str = "__ab_no_cursor_state_message";
/// Files older than this are not read by the connector we replace.
const MIN_SYNC_KEY: &str = "v3_min_sync_date";

/// How far before its cursor a state of version 3 is not trusted, in seconds: the connector we replace reads these
/// files again once.
const V3_BUFFER_SECONDS: i64 = 3_600;

/// The version of our part that this program writes. Parts of a later version are not understood.
/// Version 1 had no memory.
pub const PART_VERSION: u32 = 2;

/// How the stream was read when the state was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By modification time.
    Incremental,
    /// All keys in order.
    FullRefresh,
}

/// A file that was started and not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The ETag of the object the position is in.
    pub etag: Arc<str>,
    /// Its modification time.
    pub modified_at: Timestamp,
    /// The options that the position depends on. Absent in states of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Fingerprint>,
    /// How far it was read.
    #[serde(flatten)]
    pub position: Position,
}

impl Pending {
    /// A file that is read from a position on.
    pub(super) fn new(object: &ObjectFacts, position: Position, basis: &Basis) -> Self {
        let (etag, modified_at) = (Arc::clone(&object.etag), object.modified_at);
        Self { etag, modified_at, options: basis.of_file(&object.key), position }
    }

    /// Whether the file can be resumed: only the same object can, with the same options. Without an ETag nothing proves
    /// that it is the same.
    pub(super) fn decide(&self, object: &ObjectFacts, basis: &Basis) -> Decision {
        let same = self.etag == object.etag && self.modified_at == object.modified_at && !object.etag.is_empty();
        match &self.position.place {
            Place::Start => Decision::Read,
            _ if !same => Decision::Changed,
            _ if self.options != basis.of_file(&object.key) => Decision::OtherOptions,
            _ => Decision::Resume(self.position.clone()),
        }
    }

    /// A file that was started, with an unknown position.
    fn not_understood() -> Self {
        let place = Place::RowGroup { group: u64::MAX, row: 0 };
        Self { etag: "".into(), modified_at: Timestamp::default(), options: None, position: Position::new(0, place) }
    }
}

/// Our own part of the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TollgateState {
    /// Always [`PART_VERSION`] when written.
    pub version: u32,
    /// How the stream was read.
    pub mode: Mode,
    /// The catalog's `generation_id` of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Whether the run was complete.
    pub complete: bool,
    /// Full refresh: the platform's number of the completed sync, which is the same for all of its attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<i64>,
    /// Full refresh: the fingerprint of its selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Fingerprint>,
    /// Full refresh: every selected key up to this one was read, except those in `pending`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Arc<str>>,
    /// Full refresh: the server does not list keys in order, so the run sorted them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sorted: bool,
    /// Incremental: the latest file, in (time, key) order, that was removed from the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub horizon: Option<Horizon>,
    /// Incremental: the files that were read and removed from the history, as sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<SavedPart>,
    /// Incremental: another connector forgot the files below the horizon, and there was no complete listing since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// Incremental: the first run with a state of version 3 was started, and no run was complete since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migration>,
    /// Incremental: nothing older is ever read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Incremental: the members of archives that were read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub archives: BTreeMap<Arc<str>, String>,
    /// The rows that count towards limits on bad rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_rows: Option<Tally>,
    /// Files that were started and not finished, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "read_pending")]
    pub pending: BTreeMap<Arc<str>, Pending>,
    /// Incremental: the record cursor, if the stream has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<RecordCursor>>,
    /// Incremental: which partitions were listed, if older ones are not listed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Box<PartitionCursor>>,
}

/// How far the values of a column were read.
///
/// A row is skipped only if its value is below `bound`, the greatest value of complete runs. A run that is interrupted,
/// or in which a file fails, raises only `reached`, so the next run does not skip rows of the files that were not read.
/// A state that lost this part skips nothing. Rows of new files that are below `bound` are skipped although they were
/// never emitted. This is the purpose of a record cursor: such rows are counted and reported, and a lookback keeps
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordCursor {
    /// The column.
    pub field: String,
    /// The greatest values of complete runs.
    #[serde(default, skip_serializing_if = "Marks::none")]
    pub bound: Marks,
    /// The greatest values so far.
    #[serde(default, skip_serializing_if = "Marks::none")]
    pub reached: Marks,
}

impl TollgateState {
    /// The part of an incremental run that has read nothing.
    pub(super) fn new(generation: Option<i64>) -> Self {
        Self {
            version: PART_VERSION,
            mode: Mode::Incremental,
            generation,
            complete: true,
            sync: None,
            selection: None,
            through: None,
            sorted: false,
            horizon: None,
            memory: Vec::new(),
            foreign: false,
            migration: None,
            not_before: None,
            archives: BTreeMap::new(),
            bad_rows: None,
            pending: BTreeMap::new(),
            record: None,
            partitions: None,
        }
    }
}

/// Reads the pending files. If an entry is not understood, its file is read from the start, as if it had changed,
/// because no later sync could resume it either.
fn read_pending<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Arc<str>, Pending>, D::Error> {
    let files: BTreeMap<Arc<str>, Value> = BTreeMap::deserialize(deserializer)?;
    let read = |file| serde_json::from_value(file).unwrap_or_else(|_| Pending::not_understood());
    Ok(files.into_iter().map(|(key, file)| (key, read(file))).collect())
}

/// How far the first run with a state of version 3 is. It reads everything that is not older than its bound, regardless
/// of the history: the times in the history are not those of the files until they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The latest file that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Horizon>,
}

/// A place in (time, key) order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Horizon {
    /// The time.
    pub modified_at: Timestamp,
    /// The key among those with the same time.
    pub key: Arc<str>,
}

/// A stream's state, from any connector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamState {
    /// Airbyte's history: key and modification time of what was read.
    pub history: BTreeMap<Arc<str>, Timestamp>,
    /// Airbyte's lower bound, which is kept.
    pub min_sync_at: Option<Timestamp>,
    /// Whether version 3 wrote it. In the first run, the bound then applies and the history does not.
    pub of_version_3: bool,
    /// Our part, if we wrote it.
    pub part: Option<TollgateState>,
}

impl StreamState {
    /// Reads a `stream_state`. Nulls and unknown keys are accepted. The sentinel means no state.
    ///
    /// # Errors
    /// `Config` if a known key has a form that no version of a connector wrote, or if our part has a later version.
    pub fn read(state: &Value) -> Result<Self> {
        let Some(fields) = state.as_object() else {
            return if state.is_null() { Ok(Self::default()) } else { Err(unreadable("stream_state", "an object")) };
        };
        if fields.get(SENTINEL_KEY).and_then(Value::as_bool) == Some(true) {
            return Ok(Self { part: read_part(fields)?, ..Self::default() });
        }
        let min_sync_at = match fields.get(MIN_SYNC_KEY).and_then(Value::as_str) {
            Some(text) => Some(Timestamp::parse(text).ok_or_else(|| unreadable(MIN_SYNC_KEY, "a date-time"))?),
            None => None,
        };
        let version_3 = version_3_cursor(fields);
        Ok(Self {
            history: read_history(fields)?,
            min_sync_at: min_sync_at.or(version_3.map(|cursor| cursor.plus_seconds(-V3_BUFFER_SECONDS))),
            of_version_3: version_3.is_some(),
            part: read_part(fields)?,
        })
    }
}

/// The cursor of a state that version 3 wrote: it has no fraction and no key, and the keys of its history are days.
fn version_3_cursor(fields: &Map<String, Value>) -> Option<Timestamp> {
    let first = fields.get("history").and_then(Value::as_object).and_then(|history| history.values().next());
    let cursor = fields.get(CURSOR_KEY)?.as_str()?;
    let days = first.is_none_or(Value::is_array);
    // `2026-11-21T11:00:00Z`
    (days && cursor.len() == 20).then(|| Timestamp::parse(cursor)).flatten()
}

fn read_history(fields: &Map<String, Value>) -> Result<BTreeMap<Arc<str>, Timestamp>> {
    let entries = match fields.get("history") {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(unreadable("history", "an object of keys and times")),
    };
    let mut history = BTreeMap::new();
    for (key, time) in entries {
        match time {
            Value::String(text) => {
                let time =
                    Timestamp::parse(text).ok_or_else(|| unreadable("history", "date-times").with("key", key))?;
                history.insert(Arc::from(key.as_str()), time);
            }
            Value::Array(keys) => read_day(&mut history, key, keys, fields)?,
            _ => return Err(unreadable("history", "date-times").with("key", key)),
        }
    }
    Ok(history)
}

/// The oldest form of the history: the keys of a day. A file gets the latest time it can have had: the cursor's time on
/// the cursor's own day, else the day's last microsecond (its first, on a day after the cursor).
fn read_day(
    history: &mut BTreeMap<Arc<str>, Timestamp>,
    day: &str,
    keys: &[Value],
    fields: &Map<String, Value>,
) -> Result<()> {
    let start =
        Timestamp::parse(day).ok_or_else(|| unreadable("history", "days such as 2024-01-31").with("day", day))?;
    let end = Timestamp::from_micros(start.plus_seconds(86_400).micros() - 1);
    let cursor = fields.get(CURSOR_KEY).and_then(Value::as_str).and_then(Timestamp::parse);
    let time = match cursor {
        Some(cursor) if cursor < start => start,
        Some(cursor) if cursor <= end => cursor,
        _ => end,
    };
    for key in keys.iter().filter_map(Value::as_str) {
        history.insert(Arc::from(key), time);
    }
    Ok(())
}

fn read_part(fields: &Map<String, Value>) -> Result<Option<TollgateState>> {
    let part = match fields.get(PART_KEY) {
        None | Some(Value::Null) => return Ok(None),
        Some(part) => part,
    };
    if part.get("version").and_then(Value::as_u64).is_some_and(|version| version > u64::from(PART_VERSION)) {
        return Err(Error::config("the state was written by a later version of this connector")
            .with("state", PART_KEY)
            .hint("use that version again, or reset the stream"));
    }
    let broken = || unreadable(PART_KEY, "a value that this connector wrote");
    let part: TollgateState = serde_json::from_value(part.clone()).map_err(|error| broken().caused_by(error))?;
    match SeenFiles::read(&part.memory) {
        Some(_) => Ok(Some(part)),
        None => Err(broken()),
    }
}

fn unreadable(field: &'static str, expected: &str) -> Error {
    Error::config(format!("the state's '{field}' is not {expected}"))
        .with("state", field)
        .hint("reset the stream, or correct the state")
}

/// The parts of a document, put together.
pub(super) fn write(state: &StreamState) -> Value {
    let mut fields = Map::new();
    let history: Map<String, Value> =
        state.history.iter().map(|(key, time)| (key.to_string(), Value::String(time.to_string()))).collect();
    let newest = state.history.iter().map(|(key, time)| (*time, key)).max();
    fields.insert("history".to_owned(), Value::Object(history));
    fields.insert(
        CURSOR_KEY.to_owned(),
        newest.map_or(Value::Null, |(time, key)| Value::String(format!("{time}_{key}"))),
    );
    if let Some(time) = state.min_sync_at {
        fields.insert(MIN_SYNC_KEY.to_owned(), Value::String(time.to_string()));
    }
    if let Some(part) = &state.part {
        fields.insert(PART_KEY.to_owned(), part_value(part));
    }
    Value::Object(fields)
}

/// Our part alone, for streams without a history.
pub(super) fn write_part(part: &TollgateState) -> Value {
    json!({ PART_KEY: part_value(part) })
}

fn part_value(part: &TollgateState) -> Value {
    serde_json::to_value(part).expect("a part has only texts, numbers and maps with text keys")
}

/// Airbyte's state of a stream that was read completely. Our part of the state has the number of the sync, if known.
pub(super) fn no_cursor_sentinel(part: Option<&TollgateState>) -> Value {
    match part {
        Some(part) => json!({ SENTINEL_KEY: true, PART_KEY: part_value(part) }),
        None => json!({ SENTINEL_KEY: true }),
    }
}
