//! Listing the objects of a stream, page by page, in key order.
//!
//! What is listed is decided by [`Walk`]; here the requests are made. The next few of them are under way before their
//! pages are asked for, so that a listing of many prefixes takes the time of a few.
//!
//! All of this needs a server that lists keys in their byte order. S3 promises that for all but its directory buckets;
//! other servers show it, and nothing is handed on before they did. Where keys are not in order, the listing is made
//! whole, held, and sorted.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::select::approach::Approach;
use crate::select::dead_letter_keys;
use crate::select::keys::Keys;
use crate::select::partition::Prepared;
use crate::select::prefixes::prefixes_of;
use crate::select::row_selection::{KeyFilter, KeyVerdict};
use crate::skipped::{SkipCounts, SkipReason};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions};
use tollgate_config::job::{BadRowAction, DeadLetterPlace, Stream};
use tollgate_plan::estimate::TAIL_BYTES;
use tollgate_plan::files::FileList;
use tollgate_plan::inventory::InOrder;
use tollgate_plan::order::{self, Trail};
use tollgate_plan::partition::filter::PartitionVerdict;
use tollgate_plan::sample::{ListingSize, Sampler};
use tollgate_plan::select::{ObjectVerdict, Selection};
use tollgate_plan::sorted::{Sorted, Sorter};
use tollgate_plan::walk::{Node, Walk, WalkOptions, WalkReport};
use tollgate_s3::{KeyOrder, ListPage, ListRequest, Store};

/// Requests that are under way at once. A page has at most 1,000 keys, so this is also a bound on memory.
pub(crate) const REQUESTS_AHEAD: usize = 8;

/// Objects of an inventory that are handed on at a time, as many as a page of a listing has.
const PAGE_OBJECTS: usize = 1000;

/// Keys that a server lists in order before it is believed to do so. Most streams are listed to their end by then.
const PROOF_KEYS: usize = 2000;

/// A listing that is under way. It holds a few pages.
pub(crate) struct Listing {
    store: Store,
    selection: Selection,
    prepared: Prepared,
    walk: Walk,
    queue: VecDeque<Pending>,
    /// Requests that are made before their page is asked for.
    ahead: usize,
    prefixes: Vec<String>,
    /// Where only a sample is handed on.
    sampling: Option<Sampling>,
    /// What dead letters in this bucket begin with.
    dead_letters: Option<String>,
    pub(crate) counts: ListingCounts,
    /// Objects of the stream that are not read now, and are there.
    unread: Vec<ObjectFacts>,
    /// Keys of files that lie below the record cursor as a whole.
    below: Vec<Arc<str>>,
    from_inventory: Option<FromInventory>,
    /// Keys that are looked for, and whether they were seen, wanted or not.
    watched: HashMap<Arc<str>, bool>,
    list_prefix: Option<String>,
    keys: Keys,
    /// What is wanted of rows, where keys may tell.
    rules: Option<KeyFilter>,
    /// The last key that was handed on.
    last: Option<Arc<str>>,
    /// Pages that were listed to see whether they are in order.
    early: VecDeque<Vec<ObjectFacts>>,
    /// All objects, where the server does not list them in order.
    sorted: Option<Sorted>,
}

/// A sample for development. All files are held until the last is known, and then a part of them is chosen by their bytes.
struct Sampling {
    part: f64,
    stream: Box<Stream>,
    files: FileList,
    /// What of them is handed on, once it is chosen.
    chosen: Option<std::vec::IntoIter<u32>>,
}

/// Objects that an inventory tells, to be merged with those that are listed.
struct FromInventory {
    objects: Peekable<InOrder>,
    /// Listed objects that are not handed on.
    listed: VecDeque<ObjectFacts>,
    /// Whether nothing more is listed.
    ended: bool,
}

/// A node and its page, where that is under way.
struct Pending {
    node: Node,
    page: Option<Fetch>,
}

/// A request that is given up when nobody waits for it any more.
struct Fetch(JoinHandle<Result<ListPage>>);

impl Drop for Fetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a listing saw so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ListingCounts {
    pub(crate) pages: u64,
    pub(crate) objects: u64,
    pub(crate) selected: u64,
    pub(crate) selected_bytes: u64,
    /// Bytes of the sample, and of all that it was chosen from.
    pub(crate) sample: Option<(u64, u64)>,
    /// Objects of partitions that the filter wants.
    pub(crate) wanted: u64,
    /// Objects that an inventory told of.
    pub(crate) from_inventory: u64,
    /// Objects that are not selected, and prefixes that are not listed, by reason.
    pub(crate) skipped: SkipCounts,
}

/// The part of the bytes that a sample reads.
pub(crate) fn sample_in_words((bytes, of_bytes): (u64, u64)) -> String {
    format!("it reads {:.1} % of the bytes", bytes as f64 * 100.0 / of_bytes.max(1) as f64)
}

impl Listing {
    /// Begins to list a stream; keys up to `after` are left out.
    pub(crate) fn new(store: &Store, stream: &Stream, prepared: Prepared, after: Option<&str>) -> Self {
        Self::with(store, stream, prepared, after, WalkOptions::default(), REQUESTS_AHEAD)
    }

    /// A listing of which only the first page may be wanted: nothing is asked for in advance.
    pub(crate) fn page_by_page(store: &Store, stream: &Stream, prepared: Prepared) -> Self {
        let options = WalkOptions { divides: false, ..WalkOptions::default() };
        Self::with(store, stream, prepared, None, options, 0)
    }

    pub(crate) fn with(
        store: &Store,
        stream: &Stream,
        prepared: Prepared,
        after: Option<&str>,
        options: WalkOptions,
        ahead: usize,
    ) -> Self {
        let archives = matches!(stream.compression, Compression::Auto | Compression::Zip);
        let selection = Selection::new(&stream.globs, stream.start_at, stream.skip_markers)
            .by_expression(stream.key_pattern.as_ref())
            .with_archives(archives);
        let prefixes = prefixes_of(store, &selection, stream);
        let dead_letters = dead_letters_in(store, stream);
        let layout = prepared.layout.as_deref().cloned().unwrap_or_default();
        let mut walk = Walk::new(layout, prepared.filter.clone(), after, &prepared.sampled, options);
        let mut from_inventory = None;
        let mut listed = prefixes.as_slice();
        if let Some(inventory_listing) = &prepared.inventory_listing {
            let objects = Arc::clone(&inventory_listing.inventory).in_order().peekable();
            from_inventory = Some(FromInventory { objects, listed: VecDeque::new(), ended: false });
            match inventory_listing.condition {
                Some(older) => walk = walk.with_inventory(older, Arc::clone(&inventory_listing.inventory)),
                None => listed = &[],
            }
        }
        let queue = walk.start(listed).into_iter().map(Pending::new).collect();
        let counts = ListingCounts { pages: prepared.pages, ..ListingCounts::default() };
        let store = store.clone();
        let keys = Keys::of(stream, &prepared);
        Self {
            store,
            selection,
            dead_letters,
            prepared,
            walk,
            queue,
            ahead,
            prefixes,
            sampling: None,
            counts,
            unread: Vec::new(),
            below: Vec::new(),
            from_inventory,
            watched: HashMap::new(),
            list_prefix: stream.list_prefix.clone(),
            keys,
            rules: None,
            last: None,
            early: VecDeque::new(),
            sorted: None,
        }
    }

    /// Makes sure that keys come in order from here on: lists until the server has shown that it does so, or else all at
    /// once. Whether the server's own order is the keys'.
    pub(crate) async fn prove_order(&mut self) -> Result<bool> {
        let mut keys_left = match self.store.key_order() {
            KeyOrder::Promised => 0,
            // Where each page must be afforded, the first is all the proof there is: disorder that shows later ends the run,
            // and the next one sorts.
            KeyOrder::Unknown if self.ahead == 0 => 1,
            KeyOrder::Unknown => PROOF_KEYS,
            KeyOrder::None => {
                self.hold().await?;
                return Ok(false);
            }
        };
        while keys_left > 0 {
            match self.next_walked().await {
                Ok(Some(page)) => {
                    keys_left = keys_left.saturating_sub(page.len());
                    self.early.push_back(page);
                }
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::OutOfOrder => {
                    self.hold().await?;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Lists everything from the start and sorts it. What was handed on before comes again.
    ///
    /// # Errors
    /// As [`Self::next_page`]; also where an inventory takes the place of a part of the listing, which needs the order.
    pub(crate) async fn hold(&mut self) -> Result<()> {
        if self.from_inventory.is_some() {
            let error = Error::new(ErrorKind::Unsupported, "the listing of the bucket is not sorted by key");
            return Err(error.hint("an inventory requires sorted keys: remove `inventory` to read the stream"));
        }
        self.queue.clear();
        self.early.clear();
        let pages = self.counts.pages;
        self.counts = ListingCounts { pages, ..ListingCounts::default() };
        self.walk.report.skipped_count = 0;
        self.last = None;
        if let Some(sampling) = &mut self.sampling {
            (sampling.files, sampling.chosen) = (FileList::default(), None);
        }
        let mut sorter = Sorter::default();
        for prefix in self.prefixes.clone() {
            let mut request = ListRequest { prefix, ..ListRequest::default() };
            let mut trail = Trail::default();
            loop {
                self.counts.pages += 1;
                let page = Box::pin(self.store.list(&request)).await?;
                self.counts.objects += page.objects.len() as u64;
                if let Some(next) = &page.next {
                    trail.page(next, &page.objects, &[]).map_err(|error| error.with("prefix", &request.prefix))?;
                }
                let wanted = page.objects.into_iter().filter(|object| self.selection.matches(&object.key));
                wanted.for_each(|object| sorter.push(object));
                match page.next {
                    Some(next) => request.continuation = Some(next),
                    None => break,
                }
            }
        }
        self.sorted = Some(sorter.sorted());
        Ok(())
    }

    /// Whether the listing is held and sorted here.
    pub(crate) fn held(&self) -> bool {
        self.sorted.is_some()
    }

    /// The prefixes of the stream, for messages.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// What is known of the partitions.
    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// What was listed and skipped so far.
    pub(crate) fn report(&self) -> &WalkReport {
        &self.walk.report
    }

    /// The selected objects of the next page, or `None` behind the last one.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        if self.sampling.is_some() {
            return self.next_sampled().await;
        }
        self.next_selected().await
    }

    async fn next_selected(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        let Some(mut objects) = self.next_merged().await? else { return Ok(None) };
        objects.retain(|object| self.select(object));
        Ok(Some(objects))
    }

    /// The objects of the sample, of which the first is known when all are.
    async fn next_sampled(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        while self.sampling.as_ref().is_some_and(|sampling| sampling.chosen.is_none()) {
            let page = self.next_selected().await?;
            let Some(sampling) = &mut self.sampling else { break };
            match page {
                Some(page) => page.iter().for_each(|object| sampling.files.push(object)),
                None => self.choose_sample(),
            }
        }
        let Some(Sampling { files, chosen: Some(chosen), .. }) = &mut self.sampling else { return Ok(None) };
        let page = chosen.by_ref().take(PAGE_OBJECTS).filter_map(|index| files.get(index as usize));
        Ok(Some(page.collect::<Vec<_>>()).filter(|page| !page.is_empty()))
    }

    fn choose_sample(&mut self) {
        let Some(sampling) = &mut self.sampling else { return };
        let mut approach = Approach::new(&sampling.stream, &self.keys);
        let mut sampler = Sampler::default();
        for object in (0..sampling.files.len()).filter_map(|index| sampling.files.get(index)) {
            sampler.push(&object.key, object.size, approach.in_parts(&object));
        }
        let listed = ListingSize { pages: self.counts.pages, objects: self.counts.objects };
        let sample = sampler.choose(sampling.part, listed);
        // The end of a file that is read by ranges is fetched in any case.
        let ends = if matches!(sampling.stream.format, FormatOptions::Parquet(_)) { TAIL_BYTES } else { 0 };
        let cut = sample.cut.and_then(|(index, bytes)| {
            let object = sampling.files.get(index as usize)?;
            Some((object.key, bytes - ends.min(bytes / 2)))
        });
        self.keys.cut(cut);
        let not_sampled = (sampling.files.len() - sample.files.len()) as u64;
        self.counts.skipped.set(SkipReason::NotSampled, not_sampled);
        self.counts.skipped.explain(SkipReason::NotSampled, || sample_in_words((sample.bytes, sample.of_bytes)));
        self.counts.selected = sample.files.len() as u64;
        self.counts.selected_bytes = sample.bytes;
        self.counts.sample = Some((sample.bytes, sample.of_bytes));
        sampling.chosen = Some(sample.files.into_iter());
    }

    /// The objects of the next page, those of an inventory among them.
    async fn next_merged(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        let Some(mut merging) = self.from_inventory.take() else { return self.next_listed().await };
        while merging.listed.is_empty() && !merging.ended {
            match self.next_listed().await? {
                Some(page) => merging.listed = page.into(),
                None => merging.ended = true,
            }
        }
        let (page, from_inventory) = merging.next_page();
        self.counts.from_inventory += from_inventory;
        self.from_inventory = Some(merging);
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    /// The objects of the next page that is listed, or of those that are held.
    async fn next_listed(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        if let Some(sorted) = &mut self.sorted {
            let page: Vec<ObjectFacts> = sorted.by_ref().take(PAGE_OBJECTS).collect();
            self.counts.skipped.set(SkipReason::ListedTwice, sorted.twice);
            return Ok(Some(page).filter(|page| !page.is_empty()));
        }
        match self.early.pop_front() {
            Some(page) => Ok(Some(page)),
            None => self.next_walked().await,
        }
    }

    /// The objects of the next page of the walk.
    async fn next_walked(&mut self) -> Result<Option<Vec<ObjectFacts>>> {
        self.fetch_ahead(self.ahead.max(1));
        let Some(pending) = self.queue.pop_front() else { return Ok(None) };
        let Pending { node, page } = pending;
        let page = match page {
            Some(mut fetch) => (&mut fetch.0).await.unwrap_or_else(|error| {
                Err(Error::internal("a request of the listing ended unexpectedly").caused_by(error))
            })?,
            None => ListPage::default(),
        };
        self.counts.objects += page.objects.len() as u64;
        let (mut objects, nodes) = match node {
            Node::Objects(objects) => (objects, Vec::new()),
            Node::Flat(flat) => self.walk.flat_page(flat, page.objects, page.next)?,
            Node::Folder(folder) => {
                (Vec::new(), self.walk.folder_page(folder, page.objects, page.common_prefixes, page.next)?)
            }
        };
        // What one piece of the listing has, no other may have.
        self.walk.report.twice += order::in_order(self.last.as_deref(), &mut objects)?;
        self.counts.skipped.set(SkipReason::ListedTwice, self.walk.report.twice);
        self.last = objects.last().map(|object| Arc::clone(&object.key)).or(self.last.take());
        for node in nodes.into_iter().rev() {
            self.queue.push_front(Pending::new(node));
        }
        self.fetch_ahead(self.ahead);
        self.counts.skipped.set(SkipReason::Prefix, self.walk.report.skipped_count);
        Ok(Some(objects))
    }

    /// Hands on only a part, where the stream asks for that.
    pub(crate) fn sampled(self, stream: &Stream) -> Self {
        let part = stream.development.sampling.filter(|part| *part < 1.0);
        let (files, chosen) = (FileList::default(), None);
        let sampling = part.map(|part| Sampling { part, stream: Box::new(stream.clone()), files, chosen });
        Self { sampling, ..self }
    }

    /// Leaves files out whose key says that no row of them is wanted.
    pub(crate) fn with_rules(self, rules: Option<KeyFilter>) -> Self {
        Self { rules, ..self }
    }

    /// Looks for these keys, and for the archives of those that are members.
    pub(crate) fn watching<'k>(self, keys: impl Iterator<Item = &'k Arc<str>>) -> Self {
        let watched = keys.flat_map(|key| archives_of(key).map(Arc::from).chain([Arc::clone(key)]));
        Self { watched: watched.map(|key| (key, false)).collect(), ..self }
    }

    /// At the end of the listing: whether a watched key is not there. One that is not listed at all may be, and so may the
    /// member of an archive that is.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        let listed = |key: &str| {
            let named = key.ends_with(".zip") || self.selection.patterns().iter().any(|pattern| pattern.matches(key));
            let below = self.list_prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()));
            named && below && matches!(self.prepared.wanted(key), PartitionVerdict::Wanted | PartitionVerdict::Open)
        };
        let seen = |key: &str| self.watched.get(key).copied().unwrap_or(false);
        let mut names = archives_of(key).chain([key]);
        names.clone().any(listed) && !names.any(seen)
    }

    /// How keys are read.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The objects of the pages since the last call which belong to the stream and are not read now: archived ones, and
    /// those of which no row is wanted.
    pub(crate) fn take_unread(&mut self) -> Vec<ObjectFacts> {
        std::mem::take(&mut self.unread)
    }

    /// The keys of files, in the pages since the last call, that lie below the record cursor as a whole.
    pub(crate) fn take_below(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.below)
    }

    /// Whether the object holds bad rows that a run wrote, and is no data.
    fn is_dead_letter(&self, object: &ObjectFacts) -> bool {
        let written =
            |prefix: &String| object.key.starts_with(prefix.as_str()) && object.key.ends_with(dead_letter_keys::SUFFIX);
        self.dead_letters.as_ref().is_some_and(written)
    }

    /// Asks for the pages of the first nodes.
    fn fetch_ahead(&mut self, count: usize) {
        let waiting = self.queue.iter_mut().filter(|pending| !matches!(pending.node, Node::Objects(_))).take(count);
        for pending in waiting.filter(|pending| pending.page.is_none()) {
            let request = match &pending.node {
                Node::Objects(_) => continue,
                Node::Flat(flat) => ListRequest {
                    prefix: flat.prefix.clone(),
                    start_after: match flat.continuation {
                        None => self.walk.start_after(&flat.prefix, flat.after.as_deref()),
                        Some(_) => None,
                    },
                    continuation: flat.continuation.clone(),
                    ..ListRequest::default()
                },
                Node::Folder(folder) => ListRequest {
                    prefix: folder.prefix.clone(),
                    delimiter: Some("/".to_owned()),
                    start_after: folder.after.clone().filter(|_| folder.continuation.is_none()),
                    continuation: folder.continuation.clone(),
                    ..ListRequest::default()
                },
            };
            let plain = request.delimiter.is_some() && request.start_after.is_none() && request.continuation.is_none();
            let known = if plain { self.prepared.known.remove(&request.prefix) } else { None };
            let store = self.store.clone();
            pending.page = Some(Fetch(match known {
                Some(page) => tokio::spawn(std::future::ready(Ok(page))),
                None => {
                    self.counts.pages += 1;
                    tokio::spawn(async move { store.list(&request).await })
                }
            }));
        }
    }

    fn select(&mut self, object: &ObjectFacts) -> bool {
        if let Some(seen) = self.watched.get_mut(&*object.key) {
            *seen = true;
        }
        match self.selection.verdict(object) {
            ObjectVerdict::Selected if self.is_dead_letter(object) => self.counts.skipped.add(SkipReason::DeadLetter),
            ObjectVerdict::Selected if !self.in_wanted_partition(object) => {}
            // Whoever knows what was read counts those that are not.
            ObjectVerdict::Selected if object.storage_class.archived() => self.unread.push(object.clone()),
            ObjectVerdict::Selected if !self.has_wanted_rows(object) => self.unread.push(object.clone()),
            ObjectVerdict::Selected => {
                self.counts.selected += 1;
                self.counts.selected_bytes = self.counts.selected_bytes.saturating_add(object.size);
                return true;
            }
            ObjectVerdict::TooOld => self.counts.skipped.add(SkipReason::TooOld),
            ObjectVerdict::Marker => self.counts.skipped.add(SkipReason::Marker),
            ObjectVerdict::Hidden => self.counts.skipped.add(SkipReason::Hidden),
            ObjectVerdict::OtherKey => {}
        }
        false
    }

    /// Whether the key of a file leaves it open that some of its rows are wanted. Those of an archive's members may have
    /// more to say.
    fn has_wanted_rows(&mut self, object: &ObjectFacts) -> bool {
        let Some(rules) = self.rules.as_ref().filter(|_| !object.key.ends_with(".zip")) else { return true };
        match rules.of_key(&self.keys.constants(&object.key)) {
            KeyVerdict::RowSelection => return true,
            // A key that does not fit the partitions is a bad file, whatever the values say that it has.
            _ if self.keys.partition_error(&object.key).is_some() => return true,
            KeyVerdict::Filtered => self.counts.skipped.add(SkipReason::NoRowPassesFilter),
            KeyVerdict::Below => {
                self.counts.skipped.add(SkipReason::BelowCursor);
                self.below.push(Arc::clone(&object.key));
            }
        }
        false
    }

    fn in_wanted_partition(&mut self, object: &ObjectFacts) -> bool {
        if self.prepared.filter.empty() {
            return true;
        }
        match self.prepared.wanted(&object.key) {
            PartitionVerdict::Unwanted(condition) if !self.prepared.of_inventory(condition) => {
                self.counts.skipped.add(SkipReason::OtherPartition);
                return false;
            }
            PartitionVerdict::Unwanted(_) | PartitionVerdict::WithoutValue(_)
                if self.prepared.of_another_tool(&object.key) && self.prepared.undecided(&object.key) =>
            {
                self.counts.skipped.add(SkipReason::WithoutPartition);
                return false;
            }
            PartitionVerdict::Wanted | PartitionVerdict::Open | PartitionVerdict::Unwanted(_) => {
                self.counts.wanted += 1
            }
            // It does not fit the partitions: a bad file, like a bad row.
            PartitionVerdict::WithoutValue(_) => {}
        }
        true
    }
}

impl FromInventory {
    /// The next objects in the order of their keys, and how many of them the inventory alone has. What was listed is newer.
    /// Behind the last listed key nothing is known before the next page.
    fn next_page(&mut self) -> (Vec<ObjectFacts>, u64) {
        let (mut page, mut told) = (Vec::with_capacity(PAGE_OBJECTS), 0);
        while page.len() < PAGE_OBJECTS && (self.ended || !self.listed.is_empty()) {
            let order = match (self.objects.peek(), self.listed.front()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(told), Some(listed)) => told.key.cmp(&listed.key),
            };
            let of_inventory = if order.is_le() { self.objects.next() } else { None };
            told += u64::from(order.is_lt());
            page.extend(if order.is_ge() { self.listed.pop_front() } else { of_inventory });
        }
        (page, told)
    }
}

impl Pending {
    fn new(node: Node) -> Self {
        Self { node, page: None }
    }
}

/// The keys of the archives that a key can be a member of.
fn archives_of(key: &str) -> impl Iterator<Item = &str> + Clone {
    key.match_indices('#').map(|(at, _)| &key[..at])
}

/// What the keys of the stream's dead letters begin with, where they lie among its files.
fn dead_letters_in(store: &Store, stream: &Stream) -> Option<String> {
    match &stream.bad_rows.action {
        BadRowAction::DeadLetter(DeadLetterPlace::Bucket { bucket, prefix }) if bucket == store.bucket() => {
            Some(prefix.clone())
        }
        _ => None,
    }
}
