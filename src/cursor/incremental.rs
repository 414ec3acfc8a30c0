//! The cursor of incremental reading: by key and modification time.
//!
//! A file is read when the history does not have its key, or has it with an earlier time. Files are begun in (time, key)
//! order, but end in any order; each that ended is in the history, each that did not is pending.
//!
//! The history holds [`HISTORY_ENTRIES`] files. When it is longer, its earliest entries are forgotten and the *horizon*
//! moves to the latest of them: an object at or below the horizon that the history does not have counts as read. That
//! is exact as long as objects appear with a time above the horizon. One that appears late, below it, is not read; it
//! cannot be told from one that was forgotten, so such objects are counted and reported. The horizon never passes a
//! pending file: its history may be needed by a reader that does not know our part of the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Decision;
use super::document::{self, Horizon, Mode, PART_VERSION, Part, Pending, StreamState};
use crate::batch::Position;
use crate::object::{ObjectFacts, Timestamp};

/// Entries of the history, as in the connector we replace.
pub const HISTORY_ENTRIES: usize = 10_000;

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Incremental {
    history: BTreeMap<Arc<str>, Timestamp>,
    /// The history again, in the order in which it is forgotten.
    by_time: std::collections::BTreeSet<(Timestamp, Arc<str>)>,
    pub(super) pending: BTreeMap<Arc<str>, Pending>,
    horizon: Option<Horizon>,
    min_sync_at: Option<Timestamp>,
    generation: Option<i64>,
}

impl Incremental {
    /// Goes on from a state. A state that full refresh wrote says nothing about single files and counts as none.
    #[must_use]
    pub fn new(state: StreamState, generation: Option<i64>) -> Self {
        let part = state.part.unwrap_or_else(|| Part {
            version: PART_VERSION,
            mode: Mode::Incremental,
            generation,
            complete: true,
            through: None,
            horizon: None,
            pending: BTreeMap::new(),
        });
        if part.mode != Mode::Incremental {
            return Self::new(StreamState::default(), generation);
        }
        let by_time: std::collections::BTreeSet<_> =
            state.history.iter().map(|(key, time)| (*time, Arc::clone(key))).collect();
        let forgotten_by_others = state.history.len() >= HISTORY_ENTRIES;
        let horizon = part.horizon.or_else(|| {
            let (modified_at, key) = by_time.first().filter(|_| forgotten_by_others)?.clone();
            Some(Horizon { modified_at, key })
        });
        Self {
            history: state.history,
            by_time,
            pending: part.pending,
            horizon,
            min_sync_at: state.min_sync_at,
            generation,
        }
    }

    /// What is to be done with a listed object.
    #[must_use]
    pub fn decide(&self, object: &ObjectFacts) -> Decision {
        if let Some(pending) = self.pending.get(&*object.key) {
            return super::full_refresh::resume(pending, object);
        }
        if let Some(read_at) = self.history.get(&*object.key) {
            return match object.modified_at.cmp(read_at) {
                std::cmp::Ordering::Greater => Decision::Read,
                std::cmp::Ordering::Equal => Decision::AlreadyRead,
                std::cmp::Ordering::Less => Decision::OlderThanRead,
            };
        }
        let forgotten = self
            .horizon
            .as_ref()
            .is_some_and(|horizon| (object.modified_at, &*object.key) <= (horizon.modified_at, &*horizon.key));
        let before_bound = self.min_sync_at.is_some_and(|bound| object.modified_at < bound);
        if forgotten || before_bound { Decision::BeyondHistory } else { Decision::Read }
    }

    pub(super) fn begin(&mut self, object: &ObjectFacts, position: Position) {
        let pending = Pending { etag: Arc::clone(&object.etag), modified_at: object.modified_at, position };
        self.pending.insert(Arc::clone(&object.key), pending);
    }

    pub(super) fn end(&mut self, key: &str) {
        let Some((key, pending)) = self.pending.remove_entry(key) else { return };
        if let Some(earlier) = self.history.insert(Arc::clone(&key), pending.modified_at) {
            self.by_time.remove(&(earlier, Arc::clone(&key)));
        }
        self.by_time.insert((pending.modified_at, key));
        self.forget();
    }

    /// Forgets the earliest entries beyond the limit, as far as no pending file is passed.
    fn forget(&mut self) {
        if self.history.len() <= HISTORY_ENTRIES {
            return;
        }
        let first_pending = self.pending.iter().map(|(key, pending)| (pending.modified_at, Arc::clone(key))).min();
        while self.history.len() > HISTORY_ENTRIES {
            let Some(earliest) = self.by_time.first() else { return };
            if first_pending.as_ref().is_some_and(|pending| pending <= earliest) {
                return;
            }
            let (modified_at, key) = self.by_time.pop_first().expect("there is a first entry");
            self.history.remove(&key);
            let horizon = Horizon { modified_at, key };
            if self.horizon.as_ref().is_none_or(|old| *old < horizon) {
                self.horizon = Some(horizon);
            }
        }
        // The connector we replace does not know the horizon: with this bound it skips what was forgotten.
        let oldest_kept = self.by_time.first().map(|(time, _)| *time);
        let oldest_pending = first_pending.map(|(time, _)| time);
        let bound = oldest_kept.into_iter().chain(oldest_pending).min();
        self.min_sync_at = self.min_sync_at.max(bound);
    }

    /// The document that covers exactly the events so far.
    #[must_use]
    pub fn document(&self) -> Value {
        document::write(&StreamState {
            history: self.history.clone(),
            min_sync_at: self.min_sync_at,
            part: Some(Part {
                version: PART_VERSION,
                mode: Mode::Incremental,
                generation: self.generation,
                complete: self.pending.is_empty(),
                through: None,
                horizon: self.horizon.clone(),
                pending: self.pending.clone(),
            }),
        })
    }
}
