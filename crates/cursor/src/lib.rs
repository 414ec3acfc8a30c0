//! The state document of a stream, and every decision about what was already read.
//!
//! A cursor is a reducer: a state document and events (a file was begun, went on, ended, failed) give the next
//! document. Two kinds share the events: [`Incremental`] remembers files by their modification time,
//! [`FullRefresh`] remembers how far the keys were read, so that an interrupted run can go on.
//!
//! What a document guarantees: every row of every file that it does not list as pending, and that it calls read, was
//! handed to the sink before the document was.

mod document;
mod full_refresh;
mod incremental;
mod memory;
mod partitions;
mod sketch;
mod survey;
#[cfg(test)]
mod tests;

pub use document::{Horizon, Mode, Part, Pending, RecordCursor, StreamState};
pub use full_refresh::FullRefresh;
pub use incremental::{HISTORY_ENTRIES, Incremental};
pub use memory::SavedPart;
pub use partitions::{Listing, PartitionCursor};
pub use survey::{Seen, Settled, Survey, Ticket, Window};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use tollgate_base::batch::Position;
use tollgate_base::object::ObjectFacts;
use tollgate_base::predicate::Marks;

/// What is to be done with a listed object.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Read it from the start.
    Read,
    /// Go on where an earlier run stood.
    Resume(Position),
    /// An earlier run stood inside the file, but it is another one now: start over, and say so.
    Changed,
    /// It was read.
    AlreadyRead,
    /// It was read in a newer version. Unexpected; counted and reported.
    OlderThanRead,
    /// It is older than everything the document still remembers, or than the bound that another connector left; counted
    /// and reported.
    BeyondHistory,
    /// Too much changed to tell whether it was read; it is inside the late window, or new files are among these for
    /// certain. Counted and reported.
    ReadAgain,
    /// Too much vanished to tell whether it was read; it counts as read. Counted and reported.
    InDoubt,
}

impl Decision {
    /// Whether the object will be read.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self, Self::Read | Self::Resume(_) | Self::Changed | Self::ReadAgain)
    }
}

/// The cursor of one stream in one run.
#[derive(Debug, Clone)]
pub enum Cursor {
    /// `sync_mode: incremental`
    Incremental(Incremental),
    /// `sync_mode: full_refresh`
    FullRefresh(FullRefresh),
}

impl Cursor {
    /// Where the reading of an object that is to be read begins.
    #[must_use]
    pub fn start(&self, object: &ObjectFacts) -> Position {
        match self.pending().get(&*object.key).map(|pending| full_refresh::resume(pending, object)) {
            Some(Decision::Resume(position)) => position,
            _ => Position::default(),
        }
    }

    /// What is to be done with a member of an archive that is read.
    #[must_use]
    pub fn decide_member(&self, member: &ObjectFacts) -> Decision {
        match self {
            Self::Incremental(cursor) => cursor.decide_member(member),
            Self::FullRefresh(cursor) => cursor.decide_member(member),
        }
    }

    /// A member of a begun archive will be read from here on. In full refresh the archive stands for its members: its
    /// position is the number of them that were read.
    pub fn begin_member(&mut self, member: &ObjectFacts, from: Position) {
        match self {
            Self::Incremental(cursor) => cursor.begin(member, from),
            Self::FullRefresh(cursor) => cursor.begin_member(member, from),
        }
    }

    /// Keys up to this one, itself included, need not be listed.
    #[must_use]
    pub fn list_after(&self) -> Option<&str> {
        match self {
            Self::Incremental(_) => None,
            Self::FullRefresh(cursor) => cursor.list_after(),
        }
    }

    /// A file will be read from here on. Files are begun in commit order: (modification time, key) for incremental,
    /// key for full refresh.
    pub fn begin(&mut self, object: &ObjectFacts, from: Position) {
        match self {
            Self::Incremental(cursor) => cursor.begin(object, from),
            Self::FullRefresh(cursor) => cursor.begin(object, from),
        }
    }

    /// Rows of a begun file were handed to the sink; this is the position behind them.
    pub fn advance(&mut self, key: &str, position: Position) {
        if let Some(entry) = self.pending_mut().get_mut(key) {
            entry.position = position;
        }
    }

    /// Rows of a begun file that were handed to the sink turned out to be suspect: the next run reads it from its start.
    /// What their values reached is forgotten too, for the whole run: a bound that is too low leaves out fewer rows.
    pub fn rewind(&mut self, key: &str) {
        if let Some(entry) = self.pending_mut().get_mut(key) {
            entry.position = Position::default();
        }
        if let Self::Incremental(cursor) = self {
            cursor.forget_reached();
        }
    }

    /// Rows with these greatest values of the followed column were handed to the sink, or will be before the run counts as
    /// complete.
    pub fn reach(&mut self, marks: &Marks) {
        match self {
            Self::Incremental(cursor) => cursor.reach(marks),
            Self::FullRefresh(_) => {}
        }
    }

    /// A pending file is not in the bucket any more.
    pub fn forget(&mut self, key: &str) {
        self.pending_mut().remove(key);
    }

    /// The files that were begun and not ended.
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

    /// All rows of a begun file were handed to the sink. A file that failed is never ended: it stays pending at its
    /// last position, and the next run goes on there.
    pub fn end(&mut self, key: &str) {
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

    /// The last document of a run that ended well and left files to the next one, as a limit may have it: what it reached
    /// bounds nothing.
    #[must_use]
    pub fn partial_document(&self) -> Value {
        match self {
            Self::Incremental(cursor) => cursor.document(),
            Self::FullRefresh(_) => self.complete_document(),
        }
    }

    /// The last document of a run that read everything it was to read.
    #[must_use]
    pub fn complete_document(&self) -> Value {
        match self {
            Self::Incremental(cursor) => cursor.complete_document(),
            Self::FullRefresh(_) => document::no_cursor_sentinel(),
        }
    }
}
