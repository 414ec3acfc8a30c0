//! Zip archives: the directory, the members that belong to a stream, and the bytes of each.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::files::byte_source::{self, ByteSource};
use crate::skipped::{SkipCounts, SkipReason};
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::Compression;
use tollgate_config::job;
use tollgate_format::zip::{Directory, Found, Member};
use tollgate_plan::select::{ObjectVerdict, Selection};
use tollgate_runtime::memory::{Budget, Reservation};
use tollgate_s3::Store;

/// Whether an object of the stream is an archive.
pub(crate) fn is_archive(stream: &job::Stream, object: &ObjectFacts) -> bool {
    stream.compression.resolve(&object.key) == Compression::Zip
}

/// An archive whose directory is known.
pub(crate) struct Archive {
    pub(crate) object: ObjectFacts,
    pub(crate) members: Vec<Member>,
    /// All of a small one.
    pub(crate) content: Option<Bytes>,
    _held: Option<Reservation>,
}

impl Archive {
    /// Reads the directory, or all of a small archive.
    pub(crate) async fn open(store: &Store, object: &ObjectFacts, budget: &Budget) -> Result<Self> {
        let mut directory = Directory::new(object.size);
        let mut wanted = directory.first();
        let whole = wanted.start == 0;
        let held = budget.reserve(usize::try_from(wanted.end - wanted.start).unwrap_or(usize::MAX)).await;
        loop {
            let bytes = byte_source::in_one_piece(store, object, wanted.clone()).await?;
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
    pub(crate) fn members_of(&self, stream: &job::Stream) -> Chosen {
        let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers)
            .by_expression(stream.key_pattern.as_ref());
        let every = Selection::new(&["**".to_owned()], stream.start_at, stream.skip_markers);
        let by_name = matches!(selection.verdict(&self.object), ObjectVerdict::OtherKey | ObjectVerdict::Hidden);
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
                ObjectVerdict::Selected => {
                    facts.key = unlike(facts.key, &keys);
                    keys.insert(Arc::clone(&facts.key));
                    members.push((facts, member.clone()));
                }
                ObjectVerdict::Hidden => skipped.add(SkipReason::Hidden),
                ObjectVerdict::OtherKey if hidden(&member.name) => skipped.add(SkipReason::Hidden),
                ObjectVerdict::OtherKey => skipped.add(SkipReason::Unmatched),
                ObjectVerdict::Marker => skipped.add(SkipReason::Marker),
                ObjectVerdict::TooOld => skipped.add(SkipReason::TooOld),
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

    /// The bytes of a member, from its local header on.
    pub(crate) fn stream(&self, store: &Store, member: &Member, may_split: bool, budget: &Budget) -> ByteSource {
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
pub(crate) struct Chosen {
    pub(crate) members: Vec<(ObjectFacts, Member)>,
    pub(crate) skipped: SkipCounts,
}

fn hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// A key that is not among others. An archive may have several members of one name; the state must tell them apart.
fn unlike(key: Arc<str>, others: &HashSet<Arc<str>>) -> Arc<str> {
    let numbered = (2u64..).map(|number| format!("{key}#{number}").into());
    std::iter::once(Arc::clone(&key)).chain(numbered).find(|key| !others.contains(key)).unwrap_or_else(|| key.clone())
}
