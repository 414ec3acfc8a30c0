//! Which file is read next: the listing, the cursor's decisions and the commit order put together.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use super::emit::{Event, Outgoing};
use super::listing::{Listing, ListingCounts};
use super::stop::Stop;
use crate::batch::Position;
use crate::cursor::{Cursor, Decision};
use crate::error::Result;
use crate::object::ObjectFacts;
use crate::plan::files::FileList;

/// What was decided about the selected objects of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DecisionCounts {
    pub(super) read: u64,
    pub(super) resumed: u64,
    pub(super) changed: u64,
    pub(super) already_read: u64,
    pub(super) older: u64,
    pub(super) beyond_history: u64,
}

impl DecisionCounts {
    /// The count of decisions of this kind.
    pub(super) fn of(&mut self, decision: &Decision) -> &mut u64 {
        match decision {
            Decision::Read => &mut self.read,
            Decision::Resume(_) => &mut self.resumed,
            Decision::Changed => &mut self.changed,
            Decision::AlreadyRead => &mut self.already_read,
            Decision::OlderThanRead => &mut self.older,
            Decision::BeyondHistory => &mut self.beyond_history,
        }
    }
}

/// The files to read, in commit order.
pub(super) struct Files {
    listing: Listing,
    /// The cursor as the run began: it decides. The one that moves is the emitter's.
    cursor: Arc<Cursor>,
    source: Source,
    pub(super) decisions: DecisionCounts,
    seen_pending: HashSet<Arc<str>>,
    /// How many may still be handed out; for development.
    left: Option<u64>,
    /// Whether the last one of the listing was seen.
    listed_all: bool,
}

enum Source {
    /// Key order: read while listing.
    Streaming { page: VecDeque<(ObjectFacts, Position)> },
    /// (Modification time, key) order: needs the whole listing first.
    Ordered { files: FileList, order: std::vec::IntoIter<u32> },
}

impl Files {
    /// Files in key order, listed as they are read.
    pub(super) fn streaming(listing: Listing, cursor: Cursor) -> Self {
        Self::new(listing, cursor, Source::Streaming { page: VecDeque::new() })
    }

    /// Files in order of modification. Lists everything first; `None` when the run is asked to stop meanwhile.
    pub(super) async fn ordered(listing: Listing, cursor: Cursor, stop: &Stop) -> Result<Option<Self>> {
        let order = Vec::new().into_iter();
        let mut files = Self::new(listing, cursor, Source::Ordered { files: FileList::default(), order });
        let mut list = FileList::default();
        loop {
            let Some(page) = stop.unless(files.listing.next_page()).await else { return Ok(None) };
            let Some(page) = page? else { break };
            for object in page {
                if files.decide(&object).is_some() {
                    list.push(&object);
                }
            }
        }
        let order = list.by_modification().into_iter();
        files.source = Source::Ordered { files: list, order };
        files.listed_all = true;
        Ok(Some(files))
    }

    /// Files in key order, listed before the first is read, so that what is to come is known. `None` when the run is
    /// asked to stop meanwhile.
    pub(super) async fn by_key(listing: Listing, cursor: Cursor, stop: &Stop) -> Result<Option<Self>> {
        let mut files = Self::streaming(listing, cursor);
        let mut list = FileList::default();
        loop {
            let Some(next) = stop.unless(files.next()).await else { return Ok(None) };
            let Some((object, _)) = next? else { break };
            list.push(&object);
        }
        let count = u32::try_from(list.len()).expect("a listing has fewer than 2^32 selected keys");
        files.source = Source::Ordered { files: list, order: (0..count).collect::<Vec<_>>().into_iter() };
        Ok(Some(files))
    }

    /// For development: only the first files.
    pub(super) fn at_most(mut self, files: Option<u64>) -> Self {
        self.left = files;
        if let (Some(files), Source::Ordered { order, .. }) = (files, &mut self.source) {
            let count = usize::try_from(files).unwrap_or(usize::MAX).min(order.len());
            let first: Vec<u32> = order.by_ref().take(count).collect();
            *order = first.into_iter();
        }
        self
    }

    /// The files that were not handed out, with their positions, where all are known: not while they are still listed.
    pub(super) fn remaining(&self) -> Option<impl Iterator<Item = (ObjectFacts, Position)>> {
        let Source::Ordered { files, order } = &self.source else { return None };
        let objects = order.as_slice().iter().filter_map(|&index| files.get(index as usize));
        Some(objects.map(|object| {
            let from = start_of(&self.cursor.decide(&object)).unwrap_or_default();
            (object, from)
        }))
    }

    fn new(listing: Listing, cursor: Cursor, source: Source) -> Self {
        Self {
            listing,
            cursor: Arc::new(cursor),
            source,
            decisions: DecisionCounts::default(),
            seen_pending: HashSet::new(),
            left: None,
            listed_all: false,
        }
    }

    /// The next file and where to begin in it; `None` behind the last one.
    pub(super) async fn next(&mut self) -> Result<Option<(ObjectFacts, Position)>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let next = self.next_of_all().await?;
        self.left = self.left.map(|left| left - u64::from(next.is_some()));
        Ok(next)
    }

    async fn next_of_all(&mut self) -> Result<Option<(ObjectFacts, Position)>> {
        loop {
            match &mut self.source {
                Source::Ordered { files, order } => {
                    let Some(object) = order.next().and_then(|index| files.get(index as usize)) else {
                        return Ok(None);
                    };
                    let from = start_of(&self.cursor.decide(&object)).unwrap_or_default();
                    return Ok(Some((object, from)));
                }
                Source::Streaming { page } => {
                    if let Some(file) = page.pop_front() {
                        return Ok(Some(file));
                    }
                }
            }
            let Some(listed) = self.listing.next_page().await? else {
                self.listed_all = true;
                return Ok(None);
            };
            let decided: VecDeque<_> = listed
                .into_iter()
                .filter_map(|object| Some((self.decide(&object)?, object)))
                .map(|(from, object)| (object, from))
                .collect();
            self.source = Source::Streaming { page: decided };
        }
    }

    /// The cursor as the run began.
    pub(super) fn cursor(&self) -> Arc<Cursor> {
        Arc::clone(&self.cursor)
    }

    /// Files that are known and not handed out.
    pub(super) fn ready(&self) -> usize {
        match &self.source {
            Source::Streaming { page } => page.len(),
            Source::Ordered { order, .. } => order.len(),
        }
    }

    /// What the listing saw.
    pub(super) fn counts(&self) -> ListingCounts {
        self.listing.counts
    }

    /// After the whole listing: pending files of the state that are not there any more have nothing left to read.
    /// Returns how many there are.
    pub(super) async fn forget_vanished(&self, outgoing: &Outgoing) -> usize {
        if !self.listed_all {
            return 0;
        }
        let pending: &BTreeMap<_, _> = self.cursor.pending();
        let vanished: Vec<_> = pending.keys().filter(|key| !self.seen_pending.contains(*key)).cloned().collect();
        for key in &vanished {
            outgoing.send(Event::Forget { key: Arc::clone(key) }).await;
        }
        vanished.len()
    }

    /// Counts the decision; a position where the object is to be read.
    fn decide(&mut self, object: &ObjectFacts) -> Option<Position> {
        if self.cursor.pending().contains_key(&object.key) {
            self.seen_pending.insert(Arc::clone(&object.key));
        }
        if !self.cursor.pending().is_empty() {
            // Members of an archive are there as long as it is, until it was read.
            let inside: Arc<str> = format!("{}#", object.key).into();
            let members = self.cursor.pending().range(Arc::clone(&inside)..).map(|(key, _)| key);
            self.seen_pending.extend(members.take_while(|key| key.starts_with(&*inside)).cloned());
        }
        let decision = self.cursor.decide(object);
        *self.decisions.of(&decision) += 1;
        start_of(&decision)
    }
}

fn start_of(decision: &Decision) -> Option<Position> {
    match decision {
        Decision::Read | Decision::Changed => Some(Position::default()),
        Decision::Resume(position) => Some(position.clone()),
        Decision::AlreadyRead | Decision::OlderThanRead | Decision::BeyondHistory => None,
    }
}
