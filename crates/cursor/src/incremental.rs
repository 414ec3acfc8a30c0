//! The cursor of incremental reading: by key and modification time.
//!
//! Files are started in (time, key) order, but finish in any order. A finished file is *read*, and a started file that
//! is not finished is pending. Read files are in one of two places: in the history, with key and time, or in the
//! [memory](super::seen_files), as sets of numbers. The history holds as many files as that of the connector we
//! replace, [`HISTORY_ENTRIES`], but never more than the document has room for. When it is full, its earliest entry
//! moves to the memory, and the *horizon* moves to the time of this entry.
//!
//! # What the horizon guarantees
//!
//! Nothing above the horizon is in the memory. So a file above it that is not in the history was not read, however many
//! files appear. At or below the horizon, the memory decides; [`super::reconcile`] describes how exact it is. So a file
//! that appears late, below the horizon, is found, read, and added to the history. If it is the earliest entry there,
//! it moves to the memory at once.
//!
//! The horizon does not mean that everything below it was read. A pending file may be below it, so pending files are
//! checked first.
//!
//! # Readers that do not know our part
//!
//! The connector we replace, and this one if our part was dropped, see only the history and `v3_min_sync_date`, the
//! time of the earliest file in the history or pending. They read nothing older. So after switching back, no unfinished
//! file is missed. Files that appear late below that bound are missed, as they always were by that connector. Files
//! between a pending file and the history may be read twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::archives::{Archives, Told};
use super::basis::Basis;
use super::decision::Decision;
use super::document::{self, Horizon, Migration, Mode, Pending, RecordCursor, StreamState, TollgateState};
use super::partitions::{PartitionCursor, PartitionListing};
use super::seen_files::SeenFiles;
use super::tally::Tally;
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
        Self { history: ENTRIES_KEPT, bytes: 980_000, cells: super::seen_files::CELLS }
    }
}

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct Incremental {
    history: BTreeMap<Arc<str>, Timestamp>,
    /// The history again, in the order in which it is forgotten.
    by_time: BTreeSet<(Timestamp, Arc<str>)>,
    history_bytes: usize,
    pub(super) pending: BTreeMap<Arc<str>, Pending>,
    horizon: Option<Horizon>,
    /// What was read and is not in the history.
    pub(super) memory: SeenFiles,
    /// Whether what is below the horizon is unknown: another connector's history was full.
    foreign: bool,
    /// Nothing older is ever read: the migration from version 3 said so, or a state whose memory was dropped.
    not_before: Option<Timestamp>,
    /// Until a first run from a state of version 3 is complete.
    migration: Option<Migration>,
    generation: Option<i64>,
    pub(super) limits: Limits,
    record: Option<Box<RecordCursor>>,
    partitions: Option<Box<PartitionCursor>>,
    pub(super) basis: Basis,
    archives: Archives,
    /// The archive and the number of each begun member.
    open_members: BTreeMap<Arc<str>, (Arc<str>, u64)>,
    pub(super) tally: Option<Tally>,
}

/// What is known about an object without the listing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    Decided(Decision),
    /// At or below the horizon and not in the history: the memory decides.
    Forgotten,
    /// The same in a full history of another connector: it is unknown whether it was read.
    BeforeFullHistory {
        earliest: Timestamp,
    },
}

impl Incremental {
    /// Continues from a state. A state of a full refresh has no information about single files and is ignored.
    #[must_use]
    pub fn new(state: StreamState, generation: Option<i64>) -> Self {
        if state.part.as_ref().is_some_and(|part| part.mode != Mode::Incremental) {
            return Self::new(StreamState::default(), generation);
        }
        let by_time: BTreeSet<_> = state.history.iter().map(|(key, time)| (*time, Arc::clone(key))).collect();
        let foreign = state.part.is_none();
        let part = state.part.unwrap_or_else(|| {
            let full = by_time.first().filter(|_| by_time.len() >= HISTORY_ENTRIES && !state.of_version_3);
            let horizon = full.map(|(modified_at, key)| Horizon { modified_at: *modified_at, key: key.clone() });
            // With our part at hand, the bound in the document is only what we said to others.
            let migration = state.of_version_3.then(Migration::default);
            TollgateState {
                migration,
                foreign: horizon.is_some(),
                horizon,
                not_before: state.min_sync_at,
                ..TollgateState::new(generation)
            }
        });
        let archives = if foreign { Archives::of_history(state.history.keys()) } else { Archives::read(part.archives) };
        Self {
            history_bytes: by_time.iter().map(|(_, key)| entry_bytes(key)).sum(),
            history: state.history,
            by_time,
            pending: part.pending,
            foreign: part.foreign || (part.version == 1 && part.horizon.is_some()),
            horizon: part.horizon,
            memory: SeenFiles::read(&part.memory).expect("checked when the state was read"),
            not_before: part.not_before,
            migration: part.migration,
            generation,
            limits: Limits::default(),
            record: part.record,
            partitions: part.partitions,
            basis: Basis::default(),
            archives,
            open_members: BTreeMap::new(),
            tally: part.bad_rows,
        }
    }

    /// Sets the options of the run.
    #[must_use]
    pub fn based_on(self, basis: Basis) -> Self {
        Self { basis, ..self }
    }

    /// Also follows a column, continuing from a state with the same column. Without a column, the column in the state
    /// is forgotten.
    pub fn follow(&mut self, field: Option<&str>) {
        let known = self.record.take();
        self.record = field.map(|field| match known {
            Some(known) if known.field == field => known,
            _ => Box::new(RecordCursor { field: field.to_owned(), bound: Marks::default(), reached: Marks::default() }),
        });
    }

    pub(super) fn has_read(&self, key: &str) -> bool {
        self.history.contains_key(key)
    }

    /// The state of the column that is followed.
    #[must_use]
    pub fn record(&self) -> Option<&RecordCursor> {
        self.record.as_deref()
    }

    /// The state of the partitions that were listed.
    #[must_use]
    pub fn partitions(&self) -> Option<&PartitionCursor> {
        self.partitions.as_deref()
    }

    /// Records what was listed, after [`super::ReconciledListing::finish`]. `None` if every run lists all partitions.
    pub fn listed(&mut self, listing: Option<PartitionListing>) {
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

    /// The document of a complete run. The greatest values of this run become the bound of the next run.
    #[must_use]
    pub fn complete_document(&self) -> Value {
        let mut complete = self.clone();
        (complete.tally, complete.migration) = (None, None);
        if let Some(record) = &mut complete.record {
            record.bound.merge(&record.reached);
            record.reached = Marks::default();
        }
        if let Some(partitions) = &mut complete.partitions {
            partitions.complete();
        }
        complete.document()
    }

    /// The document of a run that succeeded but left files for the next run.
    #[must_use]
    pub fn partial_document(&self) -> Value {
        Self { tally: None, ..self.clone() }.document()
    }

    /// What is known of a listed object.
    pub(super) fn known(&self, object: &ObjectFacts) -> Known {
        if let Some(pending) = self.pending.get(&*object.key) {
            return Known::Decided(pending.decide(object, &self.basis));
        }
        let too_old = self.not_before.is_some_and(|bound| object.modified_at < bound);
        if let Some(migration) = &self.migration {
            let begun = migration.begun.as_ref().is_some_and(|begun| before(object, begun));
            // What version 3 says of a file is not its time: one that was read since has it.
            match self.history.get(&*object.key) {
                _ if too_old => return Known::Decided(Decision::BeyondHistory),
                Some(read_at) if begun && *read_at == object.modified_at => {
                    return Known::Decided(Decision::AlreadyRead);
                }
                None if begun => {}
                _ => return Known::Decided(Decision::Read),
            }
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
            Some(horizon) if before(object, horizon) => match self.foreign {
                true => Known::BeforeFullHistory { earliest: horizon.modified_at },
                false => Known::Forgotten,
            },
            _ => Known::Decided(Decision::Read),
        }
    }

    /// What is to be done with a member of an archive that is to be read itself. No listing shows members, so what is not
    /// known to have been read is read.
    pub(super) fn decide_member(&self, archive: &str, member: &ObjectFacts, number: u64) -> Decision {
        if let Some(pending) = self.pending.get(&*member.key) {
            return pending.decide(member, &self.basis);
        }
        let read_at = self.history.get(&*member.key);
        match self.archives.tell(archive, number) {
            Told::Read => Decision::AlreadyRead,
            Told::NotRead => Decision::Read,
            Told::ByTime => match read_at.map(|read_at| member.modified_at.cmp(read_at)) {
                None | Some(std::cmp::Ordering::Greater) => Decision::Read,
                Some(std::cmp::Ordering::Equal) => Decision::AlreadyRead,
                Some(std::cmp::Ordering::Less) => Decision::OlderThanRead,
            },
            Told::Unknown if read_at.is_some() => Decision::ReadAgain,
            Told::Unknown => Decision::Read,
        }
    }

    pub(super) fn begin_member(&mut self, member: &ObjectFacts, position: Position, archive: &Arc<str>, number: u64) {
        self.begin(member, position);
        self.open_members.insert(Arc::clone(&member.key), (Arc::clone(archive), number));
    }

    /// All members of an archive were read, in this run or before.
    pub(super) fn end_members(&mut self, archive: Arc<str>, numbers: Vec<u64>) {
        self.archives.end(archive, numbers);
    }

    /// The same cursor with what a listing left of the memory.
    pub(super) fn with_memory(mut self, memory: SeenFiles) -> Self {
        self.memory = memory;
        self.foreign = false;
        self.forget();
        self
    }

    pub(super) fn begin(&mut self, object: &ObjectFacts, position: Position) {
        if let Some(migration) = &mut self.migration
            && migration.begun.as_ref().is_none_or(|begun| !before(object, begun))
        {
            let (modified_at, key) = (object.modified_at, Arc::clone(&object.key));
            migration.begun = Some(Horizon { modified_at, key });
        }
        self.pending.insert(Arc::clone(&object.key), Pending::new(object, position, &self.basis));
    }

    pub(super) fn end(&mut self, key: &str) {
        let Some((key, pending)) = self.pending.remove_entry(key) else { return };
        if let Some((archive, number)) = self.open_members.remove(&key) {
            self.archives.add(&archive, number);
        }
        match self.history.insert(Arc::clone(&key), pending.modified_at) {
            Some(earlier) => _ = self.by_time.remove(&(earlier, Arc::clone(&key))),
            None => self.history_bytes += entry_bytes(&key),
        }
        self.by_time.insert((pending.modified_at, key));
        self.forget();
    }

    /// Whether a key is that of a member of an archive. Objects may have keys of that form too.
    fn has_member(&self, key: &str) -> bool {
        key.match_indices('#').any(|(at, _)| {
            let archive = &key[..at];
            let read = || self.history.contains_key(archive) || self.pending.contains_key(archive);
            self.archives.knows(archive) || (archive.ends_with(".zip") && read())
        })
    }

    /// Moves the earliest entries of the history to the memory, as many as there is no room for.
    fn forget(&mut self) {
        while self.history.len() > self.limits.history || self.history_bytes > self.room() {
            let Some((modified_at, key)) = self.by_time.pop_first() else { return };
            self.history.remove(&key);
            self.history_bytes -= entry_bytes(&key);
            // Members of archives are in no listing: they would look like files that vanished.
            if !self.has_member(&key) {
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
            .map(|(key, pending)| entry_bytes(key) + pending.etag.len() + 300 + proof_bytes(pending))
            .sum();
        let counted = self.tally.as_ref().map_or(0, Tally::text_bytes);
        let rest = self.memory.text_bytes() + self.archives.text_bytes() + counted + pending;
        self.limits.bytes.saturating_sub(rest + 1_000)
    }

    /// The bound for readers that do not know our part. It never passes a pending file: they must find it again.
    fn bound_for_others(&self) -> Option<Timestamp> {
        if self.memory.is_empty() {
            return self.not_before;
        }
        let horizon = self.horizon.as_ref().map(|horizon| horizon.modified_at);
        // Files of one second may be forgotten in part. A bound right after it leaves out all of them: those in the history
        // were read too.
        let after = |time: Timestamp| Timestamp::from_micros(time.micros() + 1);
        let kept = self.by_time.first().map(|(time, _)| if Some(*time) == horizon { after(*time) } else { *time });
        let pending = self.pending.values().map(|pending| pending.modified_at).min();
        kept.into_iter().chain(pending).min().or(horizon).max(self.not_before)
    }

    /// The document that covers exactly the events so far.
    #[must_use]
    pub fn document(&self) -> Value {
        document::write(&StreamState {
            history: self.history.clone(),
            min_sync_at: self.bound_for_others(),
            of_version_3: false,
            part: Some(TollgateState {
                complete: self.pending.is_empty(),
                horizon: self.horizon.clone(),
                memory: self.memory.save(),
                foreign: self.foreign,
                migration: self.migration.clone(),
                not_before: self.not_before,
                archives: self.archives.save(),
                bad_rows: self.tally.clone().filter(|tally| !tally.is_empty()),
                pending: self.pending.clone(),
                record: self.record.clone(),
                partitions: self.partitions.clone(),
                ..TollgateState::new(self.generation)
            }),
        })
    }
}

/// Whether an object comes before a place in (time, key) order, or is at it.
fn before(object: &ObjectFacts, place: &Horizon) -> bool {
    (object.modified_at, &*object.key) <= (place.modified_at, &*place.key)
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
