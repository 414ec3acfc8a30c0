//! The cursor of incremental reading: by key and modification time.
//!
//! Files are begun in (time, key) order, but end in any order; each that ended is *read*, each that did not is pending.
//! What was read is in one of two places: the history, with key and time, and the [`memory`](super::memory), as sets of
//! numbers. The history holds what the connector we replace would hold, [`HISTORY_ENTRIES`] files, but never more than
//! the document has room for. When it is full, its earliest entry goes to the memory, and the *horizon* moves to it.
//!
//! # What the horizon guarantees
//!
//! Nothing above the horizon is in the memory, so a file above it that the history does not have was not read: no
//! chance is involved, however many files appear. At or below it the memory decides, and [`super::survey`] says how far
//! that is exact. A file that appears late, below the horizon, is therefore found, read, and put into the history, from
//! which it moves on to the memory at once when it is the earliest there.
//!
//! What the horizon does not do: it does not say that everything below it was read. A pending file may be below it;
//! the part of the document that names it is looked at first.
//!
//! # Readers that do not know our part
//!
//! The connector we replace, and we ourselves when our part was dropped, see the history and `v3_min_sync_date`: the
//! time of the earliest file that is in the history or pending. They read nothing older. So after a way back nothing
//! that was left unfinished is missed; files that appear late below that bound are (as they always were there); and
//! files between a pending file and the history may be read twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::document::{self, Horizon, Mode, Part, Pending, RecordCursor, StreamState};
use super::memory::Memory;
use super::partitions::{Listing, PartitionCursor};
use super::{Decision, Survey, Window};
use tollgate_base::batch::Position;
use tollgate_base::object::{ObjectFacts, Timestamp};
use tollgate_base::predicate::Marks;

/// Entries of a full history of the connector we replace. Beyond it, that connector no longer looks for late files.
pub const HISTORY_ENTRIES: usize = 10_000;

/// Entries of ours: never a full one, so that the bound beside it is the only thing that limits its reader.
const ENTRIES_KEPT: usize = HISTORY_ENTRIES - 1;

/// Bytes of a history entry besides its key: quotes, colon, comma and the time.
const ENTRY_BYTES: usize = 33;

/// What a document may hold. Only tests have others than the default.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Entries of the history.
    pub(super) history: usize,
    /// Bytes of the whole document at most. The history gives way to the rest.
    pub(super) bytes: usize,
    /// Cells of the memory.
    pub(super) cells: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { history: ENTRIES_KEPT, bytes: 980_000, cells: super::memory::CELLS }
    }
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Incremental {
    history: BTreeMap<Arc<str>, Timestamp>,
    /// The history again, in the order in which it is forgotten.
    by_time: BTreeSet<(Timestamp, Arc<str>)>,
    history_bytes: usize,
    pub(super) pending: BTreeMap<Arc<str>, Pending>,
    horizon: Option<Horizon>,
    /// What was read and is not in the history.
    pub(super) memory: Memory,
    /// Whether what is below the horizon is unknown: another connector's history was full.
    foreign: bool,
    /// Nothing older is ever read: the migration from version 3 said so, or a state whose memory was dropped.
    not_before: Option<Timestamp>,
    /// The first run from a state of version 3, which reads everything that is not older than the bound.
    migrates: bool,
    generation: Option<i64>,
    pub(super) limits: Limits,
    record: Option<Box<RecordCursor>>,
    partitions: Option<Box<PartitionCursor>>,
}

/// What is known of an object without its listing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    Decided(Decision),
    /// At or below the horizon and not in the history: the memory knows.
    Forgotten,
    /// The same in a full history that another connector left: nobody knows.
    BeforeFullHistory {
        earliest: Timestamp,
    },
}

impl Incremental {
    /// Goes on from a state. A state that full refresh wrote says nothing about single files and counts as none.
    #[must_use]
    pub fn new(state: StreamState, generation: Option<i64>) -> Self {
        if state.part.as_ref().is_some_and(|part| part.mode != Mode::Incremental) {
            return Self::new(StreamState::default(), generation);
        }
        let by_time: BTreeSet<_> = state.history.iter().map(|(key, time)| (*time, Arc::clone(key))).collect();
        let migrates = state.of_version_3 && state.part.is_none();
        let part = state.part.unwrap_or_else(|| {
            let full = by_time.first().filter(|_| by_time.len() >= HISTORY_ENTRIES && !migrates);
            let horizon = full.map(|(modified_at, key)| Horizon { modified_at: *modified_at, key: key.clone() });
            // With our part at hand, the bound in the document is only what we said to others.
            Part { foreign: horizon.is_some(), horizon, not_before: state.min_sync_at, ..Part::new(generation) }
        });
        Self {
            history_bytes: by_time.iter().map(|(_, key)| entry_bytes(key)).sum(),
            history: state.history,
            by_time,
            pending: part.pending,
            foreign: part.foreign || (part.version == 1 && part.horizon.is_some()),
            horizon: part.horizon,
            memory: Memory::read(&part.memory).expect("checked when the state was read"),
            not_before: part.not_before,
            migrates,
            generation,
            limits: Limits::default(),
            record: part.record,
            partitions: part.partitions,
        }
    }

    /// Follows a column besides the files, from where a state with the same column stood. Without a column what a state
    /// says of one is forgotten.
    pub fn follow(&mut self, field: Option<&str>) {
        let known = self.record.take();
        self.record = field.map(|field| match known {
            Some(known) if known.field == field => known,
            _ => Box::new(RecordCursor { field: field.to_owned(), bound: Marks::default(), reached: Marks::default() }),
        });
    }

    /// What the state knows of the column that is followed.
    #[must_use]
    pub fn record(&self) -> Option<&RecordCursor> {
        self.record.as_deref()
    }

    /// What the state knows of the partitions that were listed.
    #[must_use]
    pub fn partitions(&self) -> Option<&PartitionCursor> {
        self.partitions.as_deref()
    }

    /// Takes note of what was listed, behind [`super::Settled::finish`]; `None` where every run lists all partitions.
    pub fn listed(&mut self, listing: Option<Listing>) {
        self.partitions = listing.map(|listing| {
            let mut partitions = self.partitions.take().unwrap_or_default();
            partitions.listed(listing);
            partitions
        });
    }

    pub(super) fn reach(&mut self, marks: &Marks) {
        if let Some(record) = &mut self.record {
            record.reached.merge(marks);
        }
    }

    pub(super) fn forget_reached(&mut self) {
        if let Some(record) = &mut self.record {
            record.reached = Marks::default();
        }
    }

    /// The document of a run that read everything it was to read: what was reached bounds the next run.
    #[must_use]
    pub fn complete_document(&self) -> Value {
        let mut complete = self.clone();
        if let Some(record) = &mut complete.record {
            record.bound.merge(&record.reached);
            record.reached = Marks::default();
        }
        if let Some(partitions) = &mut complete.partitions {
            partitions.complete();
        }
        complete.document()
    }

    /// Begins to look at a listing.
    #[must_use]
    pub fn survey(&self, window: Window) -> Survey {
        Survey::new(self, window)
    }

    /// What is known of a listed object.
    pub(super) fn known(&self, object: &ObjectFacts) -> Known {
        if let Some(pending) = self.pending.get(&*object.key) {
            return Known::Decided(super::full_refresh::resume(pending, object));
        }
        let too_old = self.not_before.is_some_and(|bound| object.modified_at < bound);
        if self.migrates {
            return Known::Decided(if too_old { Decision::BeyondHistory } else { Decision::Read });
        }
        if let Some(read_at) = self.history.get(&*object.key) {
            return Known::Decided(match object.modified_at.cmp(read_at) {
                std::cmp::Ordering::Greater => Decision::Read,
                std::cmp::Ordering::Equal => Decision::AlreadyRead,
                // What a state of version 3 says of it is the end of its day.
                std::cmp::Ordering::Less if too_old => Decision::AlreadyRead,
                std::cmp::Ordering::Less => Decision::OlderThanRead,
            });
        }
        if too_old {
            return Known::Decided(Decision::BeyondHistory);
        }
        match &self.horizon {
            Some(horizon) if (object.modified_at, &*object.key) <= (horizon.modified_at, &*horizon.key) => {
                match self.foreign {
                    true => Known::BeforeFullHistory { earliest: horizon.modified_at },
                    false => Known::Forgotten,
                }
            }
            _ => Known::Decided(Decision::Read),
        }
    }

    /// What is to be done with a member of an archive, which no listing shows: what the history does not have is read,
    /// for all that the archive was to be read itself.
    pub(super) fn decide_member(&self, member: &ObjectFacts) -> Decision {
        match self.known(member) {
            Known::Decided(decision) => decision,
            Known::Forgotten | Known::BeforeFullHistory { .. } => Decision::Read,
        }
    }

    /// The same cursor with what a listing left of the memory.
    pub(super) fn with_memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self.foreign = false;
        self.migrates = false;
        self.forget();
        self
    }

    pub(super) fn begin(&mut self, object: &ObjectFacts, position: Position) {
        let pending = Pending { etag: Arc::clone(&object.etag), modified_at: object.modified_at, position };
        self.pending.insert(Arc::clone(&object.key), pending);
    }

    pub(super) fn end(&mut self, key: &str) {
        let Some((key, pending)) = self.pending.remove_entry(key) else { return };
        match self.history.insert(Arc::clone(&key), pending.modified_at) {
            Some(earlier) => _ = self.by_time.remove(&(earlier, Arc::clone(&key))),
            None => self.history_bytes += entry_bytes(&key),
        }
        self.by_time.insert((pending.modified_at, key));
        self.forget();
    }

    /// Moves the earliest entries of the history to the memory, as many as there is no room for.
    fn forget(&mut self) {
        while self.history.len() > self.limits.history || self.history_bytes > self.room() {
            let Some((modified_at, key)) = self.by_time.pop_first() else { return };
            self.history.remove(&key);
            self.history_bytes -= entry_bytes(&key);
            // Members of archives are in no listing: they would look like files that vanished.
            if !key.contains(".zip#") {
                self.memory.add(modified_at, super::sketch::number(&key, modified_at));
            }
            let horizon = Horizon { modified_at, key };
            if self.horizon.as_ref().is_none_or(|old| *old < horizon) {
                self.horizon = Some(horizon);
            }
        }
    }

    /// The bytes that the rest of the document leaves to the history.
    fn room(&self) -> usize {
        // A cheap bound first: most histories are far from it.
        if self.history_bytes < self.limits.bytes / 4 && self.pending.len() < 100 {
            return usize::MAX;
        }
        let pending: usize = self
            .pending
            .iter()
            .map(|(key, pending)| entry_bytes(key) + pending.etag.len() + 250 + proof_bytes(pending))
            .sum();
        self.limits.bytes.saturating_sub(self.memory.text_bytes() + pending + 1_000)
    }

    /// The bound for readers that do not know our part. It never passes a pending file: they must find it again.
    fn bound_for_others(&self) -> Option<Timestamp> {
        if self.memory.is_empty() {
            return self.not_before;
        }
        let kept = self.by_time.first().map(|(time, _)| *time);
        let pending = self.pending.values().map(|pending| pending.modified_at).min();
        let horizon = self.horizon.as_ref().map(|horizon| horizon.modified_at);
        kept.into_iter().chain(pending).min().or(horizon).max(self.not_before)
    }

    /// The document that covers exactly the events so far.
    #[must_use]
    pub fn document(&self) -> Value {
        document::write(&StreamState {
            history: self.history.clone(),
            min_sync_at: self.bound_for_others(),
            of_version_3: false,
            part: Some(Part {
                complete: self.pending.is_empty(),
                horizon: self.horizon.clone(),
                memory: self.memory.save(),
                foreign: self.foreign,
                not_before: self.not_before,
                pending: self.pending.clone(),
                record: self.record.clone(),
                partitions: self.partitions.clone(),
                ..Part::new(self.generation)
            }),
        })
    }
}

/// Bytes of a proof in the document, about.
fn proof_bytes(pending: &Pending) -> usize {
    if pending.position.proof.is_some() { 240 } else { 0 }
}

/// Bytes of a history entry in the document.
fn entry_bytes(key: &str) -> usize {
    let escapes = key.bytes().map(|byte| match byte {
        b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    });
    key.len() + ENTRY_BYTES + escapes.sum::<usize>()
}
