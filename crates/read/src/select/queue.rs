//! Which file is read next: the listing, the cursor's decisions and the commit order put together.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::files::stop::Stop;
use crate::select::decided::DecisionCounts;
use crate::select::keys::Keys;
use crate::select::listing::{Listing, ListingCounts};
use crate::select::partition::Prepared;
use crate::skipped::SkipReason;
use tollgate_base::batch::Position;
use tollgate_base::error::{ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, Timestamp};
use tollgate_cursor::{
    Cursor, Decision, FullRefresh, Incremental, ListedKeys, ListingReconciler, Observation, OpenFile, PartitionListing,
    Window,
};
use tollgate_plan::files::FileList;
use tollgate_plan::walk::WalkReport;

/// The files to read, in commit order.
pub(crate) struct FileQueue {
    listing: Listing,
    /// The cursor as the run began: it decides. The one that moves is the emitter's.
    cursor: Arc<Cursor>,
    source: Source,
    pub(crate) decisions: DecisionCounts,
    /// Files that were not read before and lie below the record cursor as a whole.
    new_below_cursor: u64,
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

impl FileQueue {
    /// Files in key order, listed as they are read.
    pub(crate) fn streaming(listing: Listing, cursor: FullRefresh) -> Self {
        Self::new(listing, Cursor::FullRefresh(cursor), Source::Streaming { page: VecDeque::new() })
    }

    /// Files in order of modification. Lists everything first; `None` when the run is asked to stop meanwhile.
    pub(crate) async fn ordered(
        listing: Listing,
        cursor: Incremental,
        window: Window,
        stop: &Stop,
    ) -> Result<Option<Self>> {
        let order = Vec::new().into_iter();
        let source = Source::Ordered { files: FileList::default(), order };
        let mut files = Self::new(listing, Cursor::Incremental(cursor.clone()), source);
        let listed = files.list_all(&cursor, window, stop).await;
        let listed = match listed {
            Err(error) if error.kind() == ErrorKind::OutOfOrder => {
                // Nothing was begun yet, so all of it can be listed again.
                let Some(held) = stop.unless(files.listing.hold()).await else { return Ok(None) };
                held?;
                (files.decisions, files.new_below_cursor) = Default::default();
                files.list_all(&cursor, window, stop).await?
            }
            listed => listed?,
        };
        Ok(listed.then_some(files))
    }

    /// Lists everything for [`Self::ordered`]; `false` when the run is asked to stop meanwhile.
    async fn list_all(&mut self, cursor: &Incremental, window: Window, stop: &Stop) -> Result<bool> {
        let files = self;
        let mut reconciler = ListingReconciler::new(cursor, window);
        let mut list = FileList::default();
        let mut partitions = Partitions::new(files, window.listed_at);
        // What of the list only the whole listing tells.
        let mut open: Vec<(u32, OpenFile)> = Vec::new();
        let mut archived: Vec<OpenFile> = Vec::new();
        let mut keys = files.cursor.counts_files().then(ListedKeys::default);
        loop {
            let Some(page) = stop.unless(files.listing.next_page()).await else { return Ok(false) };
            let Some(page) = page? else { break };
            for key in files.listing.take_below() {
                files.new_below_cursor += u64::from(!files.cursor.has_read(&key));
            }
            for object in files.listing.take_unread() {
                keys.iter_mut().for_each(|keys| keys.see(&object.key));
                let seen = reconciler.observe_unreadable(&object, partitions.ends_at(files, &object));
                match seen {
                    _ if !object.storage_class.archived() => {}
                    Observation::Decided(decision) => files.add_archived(u64::from(decision.reads())),
                    Observation::Open(open_file) => archived.push(open_file),
                }
            }
            for object in page {
                keys.iter_mut().for_each(|keys| keys.see(&object.key));
                match reconciler.observe(&object, partitions.ends_at(files, &object)) {
                    Observation::Decided(decision) if !files.count(&object, &decision) => continue,
                    Observation::Decided(_) => {}
                    Observation::Open(open_file) => open.push((index(list.len()), open_file)),
                }
                list.push(&object);
            }
        }
        let reconciled = reconciler.settle();
        // What was read before needs no access.
        let unread = archived.into_iter().filter(|open| reconciled.decide(*open).reads()).count();
        files.add_archived(unread as u64);
        let mut not_to_read = HashSet::new();
        for (index, open_file) in open {
            if !files.count_decision(&reconciled.decide(open_file)) {
                not_to_read.insert(index);
            }
        }
        let list = without(list, &not_to_read);
        let mut cursor = reconciled.finish();
        cursor.listed(partitions.listing);
        let mut cursor = Cursor::Incremental(cursor);
        if let Some(keys) = keys {
            // Where older partitions are not listed, nobody knows which files are not there any more.
            let whole = files.partitions().listed_from.is_none();
            cursor.recount((0..list.len()).filter_map(|at| list.get(at)), Some(&keys).filter(|_| whole));
        }
        files.cursor = Arc::new(cursor);
        let order = list.by_modification().into_iter();
        files.source = Source::Ordered { files: list, order };
        files.listed_all = true;
        Ok(true)
    }

    /// Files in key order, listed before the first is read, so that what is to come is known. `None` when the run is
    /// asked to stop meanwhile.
    pub(crate) async fn by_key(listing: Listing, cursor: FullRefresh, stop: &Stop) -> Result<Option<Self>> {
        let mut files = Self::streaming(listing, cursor);
        let mut list = FileList::default();
        loop {
            let Some(next) = stop.unless(files.next()).await else { return Ok(None) };
            match next {
                Ok(Some((object, _))) => list.push(&object),
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::OutOfOrder => {
                    let Some(held) = stop.unless(files.listing.hold()).await else { return Ok(None) };
                    held?;
                    (files.decisions, list) = Default::default();
                }
                Err(error) => return Err(error),
            }
        }
        let count = u32::try_from(list.len()).expect("a listing has fewer than 2^32 selected keys");
        files.source = Source::Ordered { files: list, order: (0..count).collect::<Vec<_>>().into_iter() };
        Ok(Some(files))
    }

    /// For development: only the first files.
    pub(crate) fn at_most(mut self, files: Option<u64>) -> Self {
        self.left = files;
        if let (Some(files), Source::Ordered { order, .. }) = (files, &mut self.source) {
            let count = usize::try_from(files).unwrap_or(usize::MAX).min(order.len());
            let first: Vec<u32> = order.by_ref().take(count).collect();
            *order = first.into_iter();
        }
        self
    }

    /// The files that were not handed out, with their positions, where all are known: not while they are still listed.
    pub(crate) fn remaining(&self) -> Option<impl Iterator<Item = (ObjectFacts, Position)>> {
        let Source::Ordered { files, order } = &self.source else { return None };
        let objects = order.as_slice().iter().filter_map(|&index| files.get(index as usize));
        Some(objects.map(|object| {
            let from = self.cursor.start(&object);
            (object, from)
        }))
    }

    /// As [`Self::remaining`], each with its place in key order.
    pub(crate) fn placed(&self) -> Option<impl Iterator<Item = (u32, ObjectFacts, Position)>> {
        let Source::Ordered { order, .. } = &self.source else { return None };
        let files = order.as_slice().iter();
        Some(files.filter_map(|&place| self.at_place(place).map(|(object, from)| (place, object, from))))
    }

    /// The file at a place in key order, where all are known.
    pub(crate) fn at_place(&self, place: u32) -> Option<(ObjectFacts, Position)> {
        let Source::Ordered { files, .. } = &self.source else { return None };
        let object = files.get(place as usize)?;
        let from = self.cursor.start(&object);
        Some((object, from))
    }

    fn new(listing: Listing, cursor: Cursor, source: Source) -> Self {
        let listing = listing.watching(cursor.pending().keys());
        Self {
            listing,
            cursor: Arc::new(cursor),
            source,
            decisions: DecisionCounts::default(),
            new_below_cursor: 0,
            left: None,
            listed_all: false,
        }
    }

    /// The next file and where to begin in it; `None` behind the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<(ObjectFacts, Position)>> {
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
                    let from = self.cursor.start(&object);
                    return Ok(Some((object, from)));
                }
                Source::Streaming { page } => {
                    if let Some(file) = page.pop_front() {
                        return Ok(Some(file));
                    }
                }
            }
            let listed = self.listing.next_page().await;
            if let (Err(error), Cursor::FullRefresh(cursor)) = (&listed, &*self.cursor)
                && error.kind() == ErrorKind::OutOfOrder
            {
                // What was read so far says nothing about the keys below.
                self.cursor = Arc::new(Cursor::FullRefresh(cursor.clone().for_sorted_keys()));
            }
            let Some(mut listed) = listed? else {
                self.listed_all = true;
                return Ok(None);
            };
            let unread = self.listing.take_unread();
            let archived = unread.iter().filter(|object| object.storage_class.archived());
            self.add_archived(archived.count() as u64);
            listed.retain(|object| self.reads_in_key_order(object));
            let page = listed.into_iter().map(|object| (object.clone(), self.cursor.start(&object))).collect();
            self.source = Source::Streaming { page };
        }
    }

    /// The cursor as the run begins: after the listing, where that comes first.
    pub(crate) fn cursor(&self) -> Arc<Cursor> {
        Arc::clone(&self.cursor)
    }

    /// Files that are known and not handed out.
    pub(crate) fn ready(&self) -> usize {
        match &self.source {
            Source::Streaming { page } => page.len(),
            Source::Ordered { order, .. } => order.len(),
        }
    }

    /// The partition filter in words, where a whole listing met no partition that it wants.
    pub(crate) fn unmatched_filter(&self) -> Option<String> {
        let prepared = self.listing.prepared();
        let whole = self.listed_all && self.cursor.list_after().is_none() && prepared.listed_from.is_none();
        let words = prepared.filter.in_words();
        (whole && self.listing.counts.wanted == 0 && !words.is_empty()).then_some(words)
    }

    /// What the listing saw.
    pub(crate) fn counts(&self) -> &ListingCounts {
        &self.listing.counts
    }

    /// Files that were not read before and lie below the record cursor as a whole.
    pub(crate) fn new_below_cursor(&self) -> u64 {
        self.new_below_cursor
    }

    /// What was listed and skipped.
    pub(crate) fn report(&self) -> &WalkReport {
        self.listing.report()
    }

    /// How keys are read.
    pub(crate) fn keys(&self) -> &Keys {
        self.listing.keys()
    }

    /// Whether the server does not list keys in their order, so that the listing was held and sorted.
    pub(crate) fn held(&self) -> bool {
        self.listing.held()
    }

    /// What is known of the partitions.
    pub(crate) fn partitions(&self) -> &Prepared {
        self.listing.prepared()
    }

    /// After the whole listing: pending files of the state that are not there any more have nothing left to read.
    pub(crate) fn vanished(&self) -> Vec<Arc<str>> {
        if !self.listed_all {
            return Vec::new();
        }
        self.cursor.pending().keys().filter(|key| self.listing.lacks(key)).cloned().collect()
    }

    /// Whether an object is to be read by a cursor that decides at once.
    fn reads_in_key_order(&mut self, object: &ObjectFacts) -> bool {
        let Cursor::FullRefresh(cursor) = &*self.cursor else { return false };
        let decision = cursor.decide(object);
        self.count(object, &decision)
    }

    /// Counts what was decided of an object; whether it is to be read.
    fn count(&mut self, object: &ObjectFacts, decision: &Decision) -> bool {
        // What an inventory says is old news: the file was read as it is now, after it was overwritten.
        if *decision == Decision::OlderThanRead && self.listing.keys().is_of_inventory(&object.key) {
            return self.count_decision(&Decision::AlreadyRead);
        }
        if *decision == Decision::OlderThanRead {
            self.decisions.skipped.explain(SkipReason::OlderThanRead, || object.key.to_string());
        }
        self.count_decision(decision)
    }

    fn count_decision(&mut self, decision: &Decision) -> bool {
        self.decisions.add(decision);
        decision.reads()
    }

    fn add_archived(&mut self, count: u64) {
        self.listing.counts.skipped.add_many(SkipReason::Archived, count);
    }
}

/// The dates of partitions while they are listed.
struct Partitions {
    /// Whether anybody asks for them.
    asked: bool,
    /// For the state, where older partitions are not listed again.
    listing: Option<PartitionListing>,
}

impl Partitions {
    fn new(files: &FileQueue, at: Timestamp) -> Self {
        let prepared = files.partitions();
        let listing = prepared.looks_back.then_some(PartitionListing { from: prepared.listed_from, at, newest: None });
        let known = matches!(&*files.cursor, Cursor::Incremental(cursor) if cursor.partitions().is_some());
        Self { asked: known || listing.is_some(), listing }
    }

    /// When the partition of a listed object ends. The newest one is kept in mind, but none that is in the future: a wrong
    /// date must not keep the days before it from being listed.
    fn ends_at(&mut self, files: &FileQueue, object: &ObjectFacts) -> Option<Timestamp> {
        let date = files.partitions().date_of(&object.key).filter(|_| self.asked)?;
        if let Some(listing) = self.listing.as_mut().filter(|listing| date.start <= listing.at) {
            listing.newest = listing.newest.max(Some(date.start));
        }
        Some(date.end)
    }
}

/// The list without some of its files. A list that keeps few of many is made anew, to give the memory back.
fn without(list: FileList, left_out: &HashSet<u32>) -> FileList {
    if left_out.is_empty() {
        return list;
    }
    let mut kept = FileList::default();
    let indices = (0..list.len()).filter(|&at| !left_out.contains(&index(at)));
    indices.filter_map(|at| list.get(at)).for_each(|object| kept.push(&object));
    kept
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("a listing has fewer than 2^32 selected keys")
}
