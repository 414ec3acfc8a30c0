//! The cursor of a stream, of either kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::basis::Basis;
use super::decision::Decision;
use super::document::Pending;
use super::full_refresh::FullRefresh;
use super::incremental::Incremental;
use super::tally::{ListedKeys, Tally};
use tollgate_base::batch::{Place, Position};
use tollgate_base::object::ObjectFacts;
use tollgate_base::predicate::Marks;

/// The cursor of one stream in one run.
#[derive(Debug, Clone)]
pub enum Cursor {
    /// `sync_mode: incremental`
    Incremental(Incremental),
    /// `sync_mode: full_refresh`
    FullRefresh(FullRefresh),
}

impl Cursor {
    /// The position from which an object is read.
    #[must_use]
    pub fn start(&self, object: &ObjectFacts) -> Position {
        let pending = self.pending().get(&*object.key);
        match pending.map(|pending| pending.decide(object, self.basis())) {
            Some(Decision::Resume(position)) => position,
            _ => Position::default(),
        }
    }

    /// Whether the state lists any version of this file as read.
    #[must_use]
    pub fn has_read(&self, key: &str) -> bool {
        match self {
            Self::Incremental(cursor) => cursor.has_read(key),
            Self::FullRefresh(_) => false,
        }
    }

    fn basis(&self) -> &Basis {
        match self {
            Self::Incremental(cursor) => &cursor.basis,
            Self::FullRefresh(cursor) => &cursor.basis,
        }
    }

    /// How to handle a member of an archive that is read. `number` identifies the content of the member.
    #[must_use]
    pub fn decide_member(&self, archive: &str, member: &ObjectFacts, number: u64) -> Decision {
        match self {
            Self::Incremental(cursor) => cursor.decide_member(archive, member, number),
            Self::FullRefresh(cursor) => cursor.decide_member(member),
        }
    }

    /// Records that a member of a started archive is read from this position on. In a full refresh, only the archive is
    /// recorded: its position is the number of members that were read.
    pub fn begin_member(&mut self, member: &ObjectFacts, from: Position, archive: &Arc<str>, number: u64) {
        self.count_anew(&member.key, &from);
        if let Some(tally) = self.tally_mut() {
            tally.begin_member(&member.key, archive);
        }
        match self {
            Self::Incremental(cursor) => cursor.begin_member(member, from, archive, number),
            Self::FullRefresh(cursor) => cursor.begin_member(member, from),
        }
    }

    /// Records that all members of an archive that belong to the stream were read, in this run or before, with their
    /// numbers.
    pub fn end_members(&mut self, archive: Arc<str>, numbers: Vec<u64>) {
        match self {
            Self::Incremental(cursor) => cursor.end_members(archive, numbers),
            Self::FullRefresh(_) => {}
        }
    }

    /// Starts counting rows for the limits on bad rows, in addition to those in the state: `always`, or only to `keep`
    /// the bad rows of earlier runs.
    pub fn count_bad_rows(&mut self, always: bool, keep: bool) {
        let tally = self.tally_mut();
        let known = tally.take();
        *tally = match always {
            true => Some(known.unwrap_or_default()),
            false => known.filter(|known| keep && known.sum().1 > 0),
        };
    }

    /// Records that rows of a started file were written to the sink, or skipped as bad rows.
    pub fn add_rows(&mut self, key: &str, good: u64, bad: u64) {
        if let Some(tally) = self.tally_mut() {
            tally.add(key, good, bad);
        }
    }

    /// Removes files from the tally of bad rows if their rows are counted again or no longer count: files of `read`
    /// that are read from their start, and files that a complete listing does not have.
    pub fn recount(&mut self, read: impl Iterator<Item = ObjectFacts>, listed: Option<&ListedKeys>) {
        let Some(mut tally) = self.tally_mut().take() else { return };
        for object in read.filter(|object| tally.counts(&object.key)).collect::<Vec<_>>() {
            if self.start(&object).place == Place::Start {
                tally.recount(&object.key);
            }
        }
        if let Some(listed) = listed {
            tally.keep(listed);
        }
        *self.tally_mut() = Some(tally);
    }

    /// Whether bad rows of earlier runs count, by file.
    #[must_use]
    pub fn counts_files(&self) -> bool {
        self.tally().is_some_and(|tally| tally.sum().1 > 0)
    }

    /// The numbers of good and bad rows of earlier runs that count in this run.
    #[must_use]
    pub fn rows_counted(&self) -> (u64, u64) {
        self.tally().map(Tally::sum).unwrap_or_default()
    }

    fn count_anew(&mut self, key: &str, from: &Position) {
        if let Some(tally) = self.tally_mut().as_mut().filter(|_| from.place == Place::Start) {
            tally.recount(key);
        }
    }

    fn tally(&self) -> Option<&Tally> {
        match self {
            Self::Incremental(cursor) => cursor.tally.as_ref(),
            Self::FullRefresh(cursor) => cursor.tally.as_ref(),
        }
    }

    fn tally_mut(&mut self) -> &mut Option<Tally> {
        match self {
            Self::Incremental(cursor) => &mut cursor.tally,
            Self::FullRefresh(cursor) => &mut cursor.tally,
        }
    }

    /// Makes the next run of a full refresh start over, because this run skipped something that a position cannot
    /// express.
    pub fn start_over(&mut self) {
        match self {
            Self::Incremental(_) => {}
            Self::FullRefresh(cursor) => cursor.start_over(),
        }
    }

    /// Keys up to and including this one need not be listed.
    #[must_use]
    pub fn list_after(&self) -> Option<&str> {
        match self {
            Self::Incremental(_) => None,
            Self::FullRefresh(cursor) => cursor.list_after(),
        }
    }

    /// Records that a file is read from this position on. Files must be started in commit order: (modification time,
    /// key) for incremental, key for full refresh.
    pub fn begin(&mut self, object: &ObjectFacts, from: Position) {
        self.count_anew(&object.key, &from);
        match self {
            Self::Incremental(cursor) => cursor.begin(object, from),
            Self::FullRefresh(cursor) => cursor.begin(object, from),
        }
    }

    /// Records that rows of a started file were written to the sink, with the position after them.
    pub fn advance(&mut self, key: &str, position: Position) {
        if position.place == Place::Start {
            self.count_anew(key, &position);
        }
        if let Some(entry) = self.pending_mut().get_mut(key) {
            entry.position = position;
        }
    }

    /// Records that rows of a started file may be wrong although they were written to the sink: the next run reads the
    /// file from its start. The greatest values of this run are forgotten too. A bound that is too low only skips fewer
    /// rows.
    pub fn rewind(&mut self, key: &str) {
        if let Some(entry) = self.pending_mut().get_mut(key) {
            entry.position = Position::default();
        }
        if let Self::Incremental(cursor) = self {
            cursor.forget_reached();
        }
    }

    /// Records the greatest values of the followed column in rows that were written to the sink, or will be before the
    /// run counts as complete.
    pub fn reach(&mut self, marks: &Marks) {
        match self {
            Self::Incremental(cursor) => cursor.reach(marks),
            Self::FullRefresh(_) => {}
        }
    }

    /// Records that a pending file no longer exists in the bucket.
    pub fn forget(&mut self, key: &str) {
        self.pending_mut().remove(key);
        if let Some(tally) = self.tally_mut() {
            tally.recount(key);
        }
    }

    /// Records that a started file is archived. If rows of it were read, it stays pending and resumes when it is
    /// restored. Otherwise it is forgotten.
    pub fn put_off(&mut self, key: &str) {
        let begun = self.pending().get(key).is_some_and(|pending| pending.position.place != Place::Start);
        if !begun {
            self.forget(key);
        }
    }

    /// The files that were started and not finished.
    #[must_use]
    pub fn pending(&self) -> &BTreeMap<Arc<str>, Pending> {
        match self {
            Self::Incremental(cursor) => &cursor.pending,
            Self::FullRefresh(cursor) => &cursor.pending,
        }
    }

    fn pending_mut(&mut self) -> &mut BTreeMap<Arc<str>, Pending> {
        match self {
            Self::Incremental(cursor) => &mut cursor.pending,
            Self::FullRefresh(cursor) => &mut cursor.pending,
        }
    }

    /// Records that all rows of a started file were written to the sink. A failed file is never ended: it stays pending
    /// at its last position, and the next run resumes there.
    pub fn end(&mut self, key: &str) {
        if let Some(tally) = self.tally_mut() {
            tally.end(key);
        }
        match self {
            Self::Incremental(cursor) => cursor.end(key),
            Self::FullRefresh(cursor) => cursor.end(key),
        }
    }

    /// The document that covers exactly the events so far.
    #[must_use]
    pub fn document(&self) -> Value {
        match self {
            Self::Incremental(cursor) => cursor.document(),
            Self::FullRefresh(cursor) => cursor.document(),
        }
    }

    /// The last document of a run that succeeded but left files for the next run, for example because of a limit. The
    /// greatest values that it reached exclude no rows.
    #[must_use]
    pub fn partial_document(&self) -> Value {
        match self {
            Self::Incremental(cursor) => cursor.partial_document(),
            Self::FullRefresh(_) => self.complete_document(),
        }
    }

    /// The last document of a complete run.
    #[must_use]
    pub fn complete_document(&self) -> Value {
        match self {
            Self::Incremental(cursor) => cursor.complete_document(),
            Self::FullRefresh(cursor) => cursor.complete_document(),
        }
    }
}
