//! Zip archives: each member is a file of its own, as in the connector we replace.
//!
//! ```text
//!   archive ─ tail read ─▶ directory ─▶ members of the stream, oldest first ─▶ one ranged GET each ─▶ file
//!      └ a small one is read whole, once                └ `archive.zip#folder/name` in records and state
//! ```
//!
//! The archive is in the state too: while members are left it is pending, and when all are read it counts as read, so
//! that the next run need not look into it.

use std::sync::Arc;

use bytes::Bytes;

use super::emit::Event;
use super::fetch::{self, Stream};
use super::file::{self, Assignment, FileEnd, Origin, Shared};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::Compression;
use tollgate_config::job;
use tollgate_cursor::{Cursor, Decision};
use tollgate_format::zip::{Directory, Found, Member};
use tollgate_plan::select::{Selection, Verdict};
use tollgate_protocol::message::Level;
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::Store;

/// Failed members that get a line of their own in the log.
const LOGGED_FAILURES: usize = 10;

/// Whether an object of the stream is an archive.
pub(super) fn is_archive(stream: &job::Stream, object: &ObjectFacts) -> bool {
    stream.compression.resolve(&object.key) == Compression::Zip
}

/// An archive whose directory is known.
pub(super) struct Archive {
    pub(super) object: ObjectFacts,
    pub(super) members: Vec<Member>,
    /// All of a small one.
    content: Option<Bytes>,
    _held: Option<Reservation>,
}

impl Archive {
    /// Reads the directory, or all of a small archive.
    pub(super) async fn open(store: &Store, object: &ObjectFacts, budget: &Budget) -> Result<Self> {
        let mut directory = Directory::new(object.size);
        let mut wanted = directory.first();
        let whole = wanted.start == 0;
        let held = budget.reserve(usize::try_from(wanted.end - wanted.start).unwrap_or(usize::MAX)).await;
        loop {
            let bytes = fetch::in_one_piece(store, object, wanted.clone()).await?;
            match directory.take(wanted.start, &bytes)? {
                Found::Need(range) => wanted = range,
                Found::Members(members) => {
                    // What is not kept is given back: members will want their part of the budget.
                    let (content, held) = if whole { (Some(bytes), Some(held)) } else { (None, None) };
                    return Ok(Self { object: object.clone(), members, content, _held: held });
                }
            }
        }
    }

    /// The members that belong to a stream, in the order in which they are read: the oldest first. Where a pattern
    /// matches the archive itself, all of them do.
    pub(super) fn members_of(&self, stream: &job::Stream) -> Vec<(ObjectFacts, Member)> {
        let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers);
        let every = Selection::new(&["**".to_owned()], stream.start_at, stream.skip_markers);
        let by_name = selection.verdict(&self.object) == Verdict::OtherKey;
        let selection = if by_name { selection } else { every };
        let facts = self.members.iter().filter(|member| !member.folder()).map(|member| (self.facts(member), member));
        let mut wanted: Vec<_> = facts
            .filter(|(facts, _)| selection.verdict(facts) == Verdict::Selected)
            .map(|(facts, member)| (facts, member.clone()))
            .collect();
        wanted.sort_by(|(one, _), (two, _)| (one.modified_at, &one.key).cmp(&(two.modified_at, &two.key)));
        wanted
    }

    /// A member as a file.
    fn facts(&self, member: &Member) -> ObjectFacts {
        ObjectFacts {
            key: format!("{}#{}", self.object.key, member.name).into(),
            size: member.stored_bytes,
            modified_at: member.modified_at,
            ..self.object.clone()
        }
    }

    /// The bytes of a member, from its local header on.
    pub(super) fn stream(&self, store: &Store, member: &Member, alone: bool, budget: &Budget) -> Stream {
        match &self.content {
            Some(content) => {
                let range = member.range.start as usize..member.range.end as usize;
                Stream::of_bytes(store, &self.object, content.slice(range), budget)
            }
            None => Stream::of_range(store, &self.object, member.range.clone(), alone, budget),
        }
    }
}

/// Reads the members of an archive one after the other, and ends it when none is left. `cursor` decides, as it was when
/// the run began.
pub(super) async fn read(
    shared: Arc<Shared>,
    object: ObjectFacts,
    from: Position,
    cursor: Arc<Cursor>,
    assignment: Assignment,
) -> Result<FileEnd> {
    // An archive cannot be left in the middle of its bytes, so no limit ends it there.
    let Assignment { alone, until: _, account } = assignment;
    let store = shared.store.charged_to(account.id());
    let key = Arc::clone(&object.key);
    let opened = Archive::open(&store, &object, &shared.budgets.fetched).await;
    let archive = opened.map_err(|error| error.with("stream", &shared.stream.name).with("key", &key))?;
    let members = archive.members_of(&shared.stream);
    let mut failed = Failed::default();
    for (index, (facts, member)) in members.iter().enumerate() {
        if shared.stop.requested() {
            return Ok(FileEnd::Stopped);
        }
        let Some(begin) = begin_of(&cursor, facts, index, &from, &shared) else { continue };
        shared.outgoing.send(Event::BeginMember { object: facts.clone(), from: begin.clone() }).await;
        let archive_after = (failed.count == 0).then(|| (Arc::clone(&key), members_done(index + 1)));
        let read = match member.readable() {
            Ok(()) => {
                let bytes = Box::new(archive.stream(&store, member, alone, &shared.budgets.fetched));
                let origin = Origin::Member { bytes, archive_after };
                Box::pin(file::read_from(&shared, facts.clone(), begin, store.clone(), origin)).await
            }
            Err(error) => Err(error.with("stream", &shared.stream.name).with("key", &facts.key)),
        };
        match read {
            Ok(FileEnd::Read) => {}
            Ok(end) => return Ok(end),
            Err(error) => {
                failed.add(&shared, error).await;
                // Full refresh knows only how many members it has read: those behind this one would be read twice.
                if matches!(*cursor, Cursor::FullRefresh(_)) {
                    break;
                }
            }
        }
    }
    if let Some(error) = failed.first {
        return Err(if failed.count > 1 { error.with("failed_members", failed.count) } else { error });
    }
    // What the state remembers of members that are not there any more is of no use.
    let inside = format!("{key}#");
    for pending in cursor.pending().keys().filter(|pending| pending.starts_with(&inside)) {
        shared.outgoing.send(Event::Forget { key: Arc::clone(pending) }).await;
    }
    shared.progress.file_done();
    shared.progress.advance();
    shared.outgoing.send(Event::End { key }).await;
    Ok(FileEnd::Read)
}

/// The failures of members.
#[derive(Default)]
struct Failed {
    first: Option<Error>,
    count: usize,
}

impl Failed {
    /// The first one is told by whoever reads the archive.
    async fn add(&mut self, shared: &Shared, error: Error) {
        self.count += 1;
        if self.count > 1 && self.count <= LOGGED_FAILURES {
            shared.outgoing.log(Level::Error, super::report::failure_line(&error)).await;
        }
        self.first.get_or_insert(error);
    }
}

/// The position of an archive of which so many members were read.
fn members_done(count: usize) -> Position {
    Position { rows: 0, place: Place::RowGroup { group: count as u64, row: 0 } }
}

/// Where to begin in a member; `None` when it was read.
fn begin_of(
    cursor: &Cursor,
    member: &ObjectFacts,
    index: usize,
    archive: &Position,
    shared: &Shared,
) -> Option<Position> {
    let done = match (cursor, &archive.place) {
        (Cursor::FullRefresh(_), Place::RowGroup { group, .. }) => *group,
        _ => 0,
    };
    if (index as u64) < done {
        return None;
    }
    let decision = match cursor.decide_member(member) {
        // A member's own time may be years before its archive appeared; that the archive is read says that it is new.
        Decision::BeyondHistory => Decision::Read,
        decision => decision,
    };
    shared.report.add_member(&decision);
    match decision {
        Decision::Read | Decision::Changed | Decision::ReadAgain => Some(Position::default()),
        Decision::Resume(position) => Some(position),
        Decision::AlreadyRead | Decision::OlderThanRead | Decision::BeyondHistory | Decision::InDoubt => None,
    }
}
