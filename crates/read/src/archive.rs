//! Zip archives: each member is a file of its own, as in the connector we replace.
//!
//! ```text
//!   archive ─ tail read ─▶ directory ─▶ members of the stream, oldest first ─▶ one ranged GET each, or one for ─▶ file
//!      └ a small one is read whole, once   └ `archive.zip#folder/name`           several small neighbours
//! ```
//!
//! The archive is in the state too: while members are left it is pending, and when all are read it counts as read, so
//! that the next run need not look into it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::context::{FileEnd, ReadGrant, StreamContext};
use super::emit::Event;
use super::fetch::{self, ByteSource};
use super::file::{self, Origin};
use super::skipped::{SkipCounts, SkipReason};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::Compression;
use tollgate_config::job;
use tollgate_cursor::{Cursor, Decision};
use tollgate_format::zip::{Directory, Found, Member};
use tollgate_plan::ranges;
use tollgate_plan::select::{Selection, Verdict};
use tollgate_protocol::message::Level;
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::Store;

/// Members that follow one another are fetched with one request up to this many bytes.
const JOINED_BYTES: u64 = 4 << 20;

/// Bytes between them that nobody wants: fetching so many takes about as long as another request.
const JOINED_WASTE_BYTES: u64 = ranges::MERGE_GAP_BYTES;

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
    /// matches the archive itself, all of them do, but for names that no wildcard matches.
    pub(super) fn members_of(&self, stream: &job::Stream) -> Chosen {
        let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers)
            .by_expression(stream.key_pattern.as_ref());
        let every = Selection::new(&["**".to_owned()], stream.start_at, stream.skip_markers);
        let by_name = matches!(selection.verdict(&self.object), Verdict::OtherKey | Verdict::Hidden);
        let selection = if by_name { selection } else { every };
        let (mut members, mut skipped) = (Vec::new(), SkipCounts::default());
        let mut keys = HashSet::new();
        for member in self.members.iter().filter(|member| !member.folder()) {
            if stream.archive_pattern.as_ref().is_some_and(|pattern| !pattern.matches(&member.name)) {
                skipped.add(SkipReason::Unmatched);
                continue;
            }
            let mut facts = self.facts(member);
            // A member without a time is as old as its archive.
            let modified_at = if member.dated() { facts.modified_at } else { self.object.modified_at };
            match selection.verdict(&ObjectFacts { modified_at, ..facts.clone() }) {
                Verdict::Selected => {
                    facts.key = unlike(facts.key, &keys);
                    keys.insert(Arc::clone(&facts.key));
                    members.push((facts, member.clone()));
                }
                Verdict::Hidden => skipped.add(SkipReason::Hidden),
                Verdict::OtherKey if hidden(&member.name) => skipped.add(SkipReason::Hidden),
                Verdict::OtherKey => skipped.add(SkipReason::Unmatched),
                Verdict::Marker => skipped.add(SkipReason::Marker),
                Verdict::TooOld => skipped.add(SkipReason::TooOld),
            }
        }
        members.sort_by(|(one, _), (two, _)| (one.modified_at, &one.key).cmp(&(two.modified_at, &two.key)));
        Chosen { members, skipped }
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

    /// Fetches a range of the archive that holds several members.
    async fn join(&self, store: &Store, range: Range<u64>, context: &StreamContext) -> Result<Joined> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let held = context.budgets.fetched.reserve(length).await;
        let bytes = fetch::in_one_piece(store, &self.object, range.clone()).await?;
        Ok(Joined { range, bytes, _held: held })
    }

    /// The bytes of a member, from its local header on.
    pub(super) fn stream(&self, store: &Store, member: &Member, may_split: bool, budget: &Budget) -> ByteSource {
        match &self.content {
            Some(content) => {
                let range = member.range.start as usize..member.range.end as usize;
                ByteSource::of_bytes(store, &self.object, content.slice(range), budget)
            }
            None => ByteSource::of_range(store, &self.object, member.range.clone(), may_split, budget),
        }
    }
}

/// The members of an archive that belong to a stream, and how many do not.
pub(super) struct Chosen {
    pub(super) members: Vec<(ObjectFacts, Member)>,
    pub(super) skipped: SkipCounts,
}

fn hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// A key that is not among others. An archive may have several members of one name; the state must tell them apart.
fn unlike(key: Arc<str>, others: &HashSet<Arc<str>>) -> Arc<str> {
    let numbered = (2u64..).map(|number| format!("{key}#{number}").into());
    std::iter::once(Arc::clone(&key)).chain(numbered).find(|key| !others.contains(key)).unwrap_or_else(|| key.clone())
}

/// Bytes of several members.
struct Joined {
    range: Range<u64>,
    bytes: Bytes,
    _held: Reservation,
}

impl Joined {
    /// Those of one of them.
    fn of(&self, member: &Member) -> Option<Bytes> {
        let start = member.range.start.checked_sub(self.range.start)?;
        let end = member.range.end.checked_sub(self.range.start)?;
        (end <= self.bytes.len() as u64).then(|| self.bytes.slice(start as usize..end as usize))
    }
}

/// The bytes to fetch for the first of some members that are read one after the other: its own, and those of the members
/// behind it that lie near.
fn joined_range<'m>(mut members: impl Iterator<Item = &'m Member>) -> Range<u64> {
    let Some(first) = members.next() else { return 0..0 };
    let (mut joined, mut wanted) = (first.range.clone(), first.range.end - first.range.start);
    for member in members {
        let next = joined.start.min(member.range.start)..joined.end.max(member.range.end);
        wanted += member.range.end - member.range.start;
        let bytes = next.end - next.start;
        if bytes > JOINED_BYTES || bytes.saturating_sub(wanted) > JOINED_WASTE_BYTES {
            break;
        }
        joined = next;
    }
    joined
}

/// Reads the members of an archive one after the other, and ends it when none is left. `cursor` decides, as it was when
/// the run began.
pub(super) async fn read(
    context: Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    cursor: Arc<Cursor>,
    grant: ReadGrant,
) -> Result<FileEnd> {
    // An archive cannot be left in the middle of its bytes, so no limit ends it there.
    let ReadGrant { alone: may_split, until: _, account: reservation } = grant;
    let store = context.store.charged_to(reservation.id());
    let key = Arc::clone(&object.key);
    let opened = Archive::open(&store, &object, &context.budgets.fetched).await;
    let archive = opened.map_err(|error| error.with("stream", &context.stream.name).with("key", &key))?;
    let Chosen { members, skipped } = archive.members_of(&context.stream);
    context.report.add_skipped_members(&skipped);
    let done = members_before(&from);
    let begin = |(index, (facts, member)): (usize, &(ObjectFacts, Member))| {
        let read_before = (index as u64) < done;
        (!read_before).then(|| begin_of(&cursor, (&key, facts, member.number()), &context)).flatten()
    };
    let begins: Vec<Option<Position>> = members.iter().enumerate().map(begin).collect();
    let mut failed = Failed::default();
    let mut joined: Option<Joined> = None;
    for (index, (facts, member)) in members.iter().enumerate() {
        if context.stop.requested() {
            return Ok(FileEnd::Stopped);
        }
        let Some(begin) = begins[index].clone() else { continue };
        if archive.content.is_none() && joined.as_ref().is_none_or(|joined| joined.of(member).is_none()) {
            // Given back before more is asked for.
            drop(joined.take());
            let rest = members[index..].iter().zip(&begins[index..]);
            let range = joined_range(rest.filter(|(_, begin)| begin.is_some()).map(|((_, member), _)| member));
            if range != member.range {
                let Some(fetched) = context.stop.unless(archive.join(&store, range, &context)).await else {
                    return Ok(FileEnd::Stopped);
                };
                let placed = |error: Error| error.with("stream", &context.stream.name).with("key", &key);
                joined = Some(fetched.map_err(placed)?);
            }
        }
        let (object, from, of) = (facts.clone(), begin.clone(), Arc::clone(&key));
        let number = member.number();
        context.outgoing.send(Event::BeginMember { object, from, archive: of, number }).await;
        let archive_after = (failed.count == 0).then(|| (Arc::clone(&key), members_done(index + 1)));
        let read = match member.readable() {
            Ok(()) => {
                let budget = &context.budgets.fetched;
                let bytes = match joined.as_ref().and_then(|joined| joined.of(member)) {
                    Some(bytes) => ByteSource::of_bytes(&store, &archive.object, bytes, budget),
                    None => archive.stream(&store, member, may_split, budget),
                };
                let bytes = Box::new(bytes);
                let origin = Origin::Member { bytes, archive_after };
                Box::pin(file::read_from(&context, facts.clone(), begin, store.clone(), origin)).await
            }
            Err(error) => Err(error.with("stream", &context.stream.name).with("key", &facts.key)),
        };
        match read {
            Ok(FileEnd::Read) => {}
            Ok(end) => return Ok(end),
            Err(error) => {
                failed.add(&context, error).await;
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
    // What the state remembers of members that are not there any more is of no use. An object may have a key of that form too.
    let inside = format!("{key}#");
    let left = cursor.pending().iter().filter(|(pending, of)| pending.starts_with(&inside) && of.etag == object.etag);
    for (pending, _) in left {
        context.outgoing.send(Event::Forget { key: Arc::clone(pending) }).await;
    }
    context.progress.file_done();
    let numbers = members.iter().map(|(_, member)| member.number()).collect();
    context.outgoing.send(Event::EndMembers { archive: Arc::clone(&key), numbers }).await;
    context.progress.advance();
    context.outgoing.send(Event::End { key }).await;
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
    async fn add(&mut self, context: &StreamContext, error: Error) {
        self.count += 1;
        let error = error.about_file();
        if self.count > 1 && self.count <= LOGGED_FAILURES {
            context.outgoing.log(Level::Error, super::report::failure_line(&error)).await;
        }
        self.first.get_or_insert(error);
    }
}

/// The position of an archive of which so many members were read.
fn members_done(count: usize) -> Position {
    Position::new(0, Place::RowGroup { group: count as u64, row: 0 })
}

/// The members that an earlier run read, by the position of their archive, which is the same archive, read with the same
/// options.
fn members_before(archive: &Position) -> u64 {
    match &archive.place {
        Place::RowGroup { group, .. } => *group,
        _ => 0,
    }
}

/// Where to begin in a member of an archive; `None` when it was read.
fn begin_of(
    cursor: &Cursor,
    (archive, member, number): (&str, &ObjectFacts, u64),
    context: &StreamContext,
) -> Option<Position> {
    let decision = cursor.decide_member(archive, member, number);
    context.report.add_member(&decision);
    match decision {
        Decision::Read | Decision::Changed | Decision::OtherOptions | Decision::ReadAgain => Some(Position::default()),
        Decision::Resume(position) => Some(position),
        Decision::AlreadyRead | Decision::OlderThanRead | Decision::BeyondHistory | Decision::InDoubt => None,
    }
}
