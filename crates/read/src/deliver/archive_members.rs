//! Zip archives: each member is a file of its own, as in the connector we replace.
//!
//! ```text
//!   archive ─ tail read ─▶ directory ─▶ members of the stream, oldest first ─▶ one ranged GET each, or one for ─▶ file
//!      └ a small one is read whole, once   └ `archive.zip#folder/name`           several small neighbours
//! ```
//!
//! The archive is in the state too: while members are left it is pending, and when all are read it counts as read, so
//! that the next run need not look into it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::deliver::context::{FileEnd, ReadGrant, StreamContext};
use crate::deliver::emit::Event;
use crate::deliver::records::{self, Origin};
use crate::files::archive::{Archive, Chosen};
use crate::files::byte_source::{self, ByteSource};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_cursor::{Cursor, Decision};
use tollgate_format::zip::Member;
use tollgate_plan::ranges;
use tollgate_protocol::message::Level;
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::Store;

/// Members that follow one another are fetched with one request up to this many bytes.
const JOINED_BYTES: u64 = 4 << 20;

/// Bytes between them that nobody wants: fetching so many takes about as long as another request.
const JOINED_WASTE_BYTES: u64 = ranges::MERGE_GAP_BYTES;

/// Failed members that get a line of their own in the log.
const LOGGED_FAILURES: usize = 10;

/// Bytes of several members.
struct Joined {
    range: Range<u64>,
    bytes: Bytes,
    _held: Reservation,
}

impl Joined {
    /// Fetches a range of an archive that holds several members.
    async fn fetch(archive: &Archive, store: &Store, range: Range<u64>, budget: &Budget) -> Result<Self> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let held = budget.reserve(length).await;
        let bytes = byte_source::in_one_piece(store, &archive.object, range.clone()).await?;
        Ok(Self { range, bytes, _held: held })
    }

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
pub(crate) async fn read(
    context: Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    cursor: Arc<Cursor>,
    grant: ReadGrant,
) -> Result<FileEnd> {
    // An archive cannot be left in the middle of its bytes, so no limit ends it there.
    let ReadGrant { may_split, until: _, reservation } = grant;
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
                let Some(fetched) =
                    context.stop.unless(Joined::fetch(&archive, &store, range, &context.budgets.fetched)).await
                else {
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
                Box::pin(records::read_from(&context, facts.clone(), begin, store.clone(), origin)).await
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
            context.outgoing.log(Level::Error, crate::deliver::report::failure_line(&error)).await;
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
