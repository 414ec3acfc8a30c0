//! Which files of a listing were read before. This requires the whole listing: the state knows the files whose keys it
//! forgot only as sets, and only the difference between such a set and the listing identifies single files.
//!
//! ```text
//!   listing ──observe──► decided at once: pending, in the history, above the horizon, in a small set
//!                   └──► open: toggled in the table of its time
//!   settle:  each table gives away its difference: listed and not read, read and not listed
//!   decide:  an open file is read when it is in the difference
//!   finish:  the cursor goes on with sets of what was read *and* is there
//! ```
//!
//! What is guaranteed, and what is not:
//!
//! * A file above the horizon is never confused with another: it is in the history or it was not read.
//! * A file at or below it is told apart exactly while the difference of its part of time can be recovered: files that
//!   appeared late or were changed, deleted or put back since the last complete listing, with a million files about
//!   8,000 of the late window, 8,000 beyond it and 150 of each of the 32 oldest days ([`super::seen_files`] shares them
//!   out). A part with few files is exact whatever the difference, and one that vanished as a whole has none.
//! * Where the difference is too large, inside the late window all listed files of the part are read again: some twice,
//!   none missed. Beyond the window, where a difference this large is nearly always a deletion, they count as read, and
//!   the number of files in doubt is reported; but where the listing has more files than were read, some are new for
//!   certain, and all are read again.
//! * A file that vanished is forgotten at the next listing. If it comes back with its old time, it is read again.
//! * A listing that shows less than the last one (other globs, a later start date, a filter that moved on) looks like a
//!   deletion. One that leaves older partitions out on purpose does not: see [`super::partitions`].
//! * Two versions of a key with the same modification time (S3: the same second) are one file, as for the connector
//!   that we replace.

use std::collections::HashSet;

use super::decision::Decision;
use super::incremental::{Incremental, Known};
use super::seen_files::{DAY, Days, SeenFiles};
use super::sketch::{Set, Table, number};
use tollgate_base::object::{ObjectFacts, Timestamp};

/// The times that decisions depend on.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// When the listing started.
    pub listed_at: Timestamp,
    /// The number of days before the listing in which objects may still appear, because the time of an upload is that
    /// of its start.
    pub late_days: u32,
    /// Days in which unknown files are read when another connector's history is full.
    pub full_history_days: u32,
}

impl Window {
    fn late_from(&self) -> Timestamp {
        self.listed_at.plus_seconds(-i64::from(self.late_days) * DAY)
    }

    /// Where unknown files begin to be read when another connector's history is full.
    fn unknown_from(&self) -> Timestamp {
        self.listed_at.plus_seconds(-i64::from(self.full_history_days) * DAY)
    }
}

/// What is known about an object when it is listed.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// How to handle it.
    Decided(Decision),
    /// [`ReconciledListing::decide`] decides after the whole listing was seen.
    Open(OpenFile),
}

/// An open question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFile(u32);

/// A listing in progress.
#[derive(Debug)]
pub struct ListingReconciler {
    cursor: Incremental,
    window: Window,
    days: Days,
    /// For each part of the memory that is a table.
    differences: Vec<Option<Difference>>,
    /// ListedKeys files at or below the horizon that may be in the memory.
    listed: Vec<(Timestamp, u64)>,
    /// Those that are known not to be in it.
    outside: HashSet<u32>,
    /// Files of partitions that the last run did not list, which were read before.
    kept: Vec<(Timestamp, u64)>,
}

/// What a part of the memory and the listing do not have in common, so far.
#[derive(Debug)]
struct Difference {
    table: Table,
    listed: u64,
    /// Those of the listed that can be read. More than were read: some of them are new.
    readable: u64,
}

/// A complete listing.
#[derive(Debug)]
pub struct ReconciledListing {
    listing: ListingReconciler,
    verdicts: Vec<Verdict>,
}

/// What is known of a part of the memory.
#[derive(Debug)]
enum Verdict {
    /// Its files were decided when they were listed.
    Decided,
    /// The listed files that were not read, and the read ones that were not listed.
    Difference(HashSet<u64>),
    /// The difference is too large. Whether the listing has more files than were read.
    Unknown { more_than_read: bool },
}

impl ListingReconciler {
    /// Starts with a listing.
    #[must_use]
    pub fn new(cursor: &Incremental, window: Window) -> Self {
        let table = |set: &Set| match set {
            Set::Numbers(_) => None,
            Set::Table(table) => Some(Difference { table: table.clone(), listed: 0, readable: 0 }),
        };
        Self {
            cursor: cursor.clone(),
            window,
            days: Days::default(),
            differences: cursor.memory.parts().iter().map(|part| table(&part.set)).collect(),
            listed: Vec::new(),
            outside: HashSet::new(),
            kept: Vec::new(),
        }
    }

    /// Records a listed object, and when its partition ends, if older partitions are not always listed.
    pub fn observe(&mut self, object: &ObjectFacts, partition_ends_at: Option<Timestamp>) -> Observation {
        self.note(object, partition_ends_at, true)
    }

    /// Records a listed object that cannot be read now, such as an archived one. If it was read before, it is not
    /// forgotten.
    pub fn observe_unreadable(&mut self, object: &ObjectFacts, partition_ends_at: Option<Timestamp>) -> Observation {
        self.note(object, partition_ends_at, false)
    }

    fn note(&mut self, object: &ObjectFacts, partition_ends_at: Option<Timestamp>, readable: bool) -> Observation {
        let known = self.cursor.known(object);
        if known != Known::Decided(Decision::BeyondHistory) {
            self.days.add(object.modified_at, self.window.listed_at);
        }
        let decision = match known {
            Known::Decided(decision) => return Observation::Decided(decision),
            Known::Forgotten => {
                if let Some(decision) = self.unlisted(object, partition_ends_at) {
                    return Observation::Decided(decision);
                }
                let open = self.open(object);
                return self.recall(object.modified_at, open, readable);
            }
            Known::BeforeFullHistory { earliest } => {
                // The rule of the connector that left this history: what it read there it has forgotten as well.
                let read_from = earliest.min(self.window.unknown_from());
                // Of the second of its earliest entry, that connector compares keys, and this one comes before it.
                let reads = object.modified_at >= read_from && object.modified_at != earliest;
                if reads { Decision::Read } else { Decision::BeyondHistory }
            }
        };
        // What counts as read from now on is remembered, so that objects that appear late are told from it.
        if decision == Decision::BeyondHistory && readable {
            self.open(object);
        }
        Observation::Decided(decision)
    }

    /// What becomes of a file of a partition that the last run did not list.
    fn unlisted(&mut self, object: &ObjectFacts, partition_ends_at: Option<Timestamp>) -> Option<Decision> {
        let partitions = self.cursor.partitions()?;
        let decision = partitions.decide(partition_ends_at?, object.modified_at, self.window.late_days)?;
        if !decision.reads() {
            self.kept.push((object.modified_at, number(&object.key, object.modified_at)));
        }
        Some(decision)
    }

    fn open(&mut self, object: &ObjectFacts) -> OpenFile {
        let open = u32::try_from(self.listed.len()).expect("a listing has fewer than 2^32 selected keys");
        self.listed.push((object.modified_at, number(&object.key, object.modified_at)));
        OpenFile(open)
    }

    /// Looks a file up in the memory.
    fn recall(&mut self, modified_at: Timestamp, open: OpenFile, readable: bool) -> Observation {
        let (_, number) = self.listed[open.0 as usize];
        let part = self.cursor.memory.index_of(modified_at);
        match part.map(|part| (&self.cursor.memory.parts()[part].set, &mut self.differences[part])) {
            Some((_, Some(difference))) => {
                difference.table.toggle(number);
                difference.listed += 1;
                difference.readable += u64::from(readable);
                Observation::Open(open)
            }
            Some((Set::Numbers(numbers), None)) if numbers.contains(&number) => {
                Observation::Decided(Decision::AlreadyRead)
            }
            _ => {
                self.outside.insert(open.0);
                Observation::Decided(Decision::Read)
            }
        }
    }

    /// Finishes the listing.
    #[must_use]
    pub fn settle(mut self) -> ReconciledListing {
        let parts = self.cursor.memory.parts();
        let verdicts = std::mem::take(&mut self.differences)
            .into_iter()
            .zip(parts)
            .map(|(difference, part)| match difference {
                None => Verdict::Decided,
                // Nothing of it is left, so nothing of it is asked.
                Some(Difference { listed: 0, .. }) => Verdict::Unknown { more_than_read: false },
                Some(Difference { table, readable, .. }) => match table.recover() {
                    Some(difference) => Verdict::Difference(difference),
                    None => Verdict::Unknown { more_than_read: readable > part.files },
                },
            })
            .collect();
        ReconciledListing { listing: self, verdicts }
    }
}

impl ReconciledListing {
    /// How to handle an object that was open.
    #[must_use]
    pub fn decide(&self, open: OpenFile) -> Decision {
        let (modified_at, number) = self.listing.listed[open.0 as usize];
        let part = self.listing.cursor.memory.index_of(modified_at);
        match part.map(|part| &self.verdicts[part]) {
            Some(Verdict::Difference(difference)) if difference.contains(&number) => Decision::Read,
            Some(Verdict::Difference(_) | Verdict::Decided) => Decision::AlreadyRead,
            Some(Verdict::Unknown { more_than_read }) => {
                let again = *more_than_read || modified_at >= self.listing.window.late_from();
                if again { Decision::ReadAgain } else { Decision::InDoubt }
            }
            // Without a memory nothing is open; what has a open all the same counts as read from now on.
            None => Decision::AlreadyRead,
        }
    }

    /// The cursor for the run. Its memory holds the files that were read and still exist, with a layout for the files
    /// that exist.
    #[must_use]
    pub fn finish(self) -> Incremental {
        let window = self.listing.window;
        let mut memory = SeenFiles::layout(
            &self.listing.days,
            window.late_from(),
            window.listed_at,
            self.listing.cursor.limits.cells,
        );
        for (index, &(modified_at, number)) in self.listing.listed.iter().enumerate() {
            let index = u32::try_from(index).expect("as many as tickets");
            if !self.listing.outside.contains(&index) && !self.decide(OpenFile(index)).reads() {
                memory.add(modified_at, number);
            }
        }
        self.listing.kept.iter().for_each(|&(modified_at, number)| memory.add(modified_at, number));
        self.listing.cursor.with_memory(memory)
    }
}
