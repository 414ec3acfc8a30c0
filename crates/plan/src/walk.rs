//! Plans the listings that return all keys that a partition filter selects, in key order, with few requests.
//!
//! ```text
//!   prefix ─▶ nothing below is wanted ─▶ skipped, with the reason
//!          ─▶ all below is wanted, or it is small, or nothing more can be told apart ─▶ Flat: a flat listing
//!          ─▶ the filter leaves only some names for the next folders, and the layout was given ─▶ these prefixes
//!          ─▶ else ─▶ Folder: its folders are listed, and each is a prefix again
//! ```
//! Adjacent folders that are selected become one flat listing over all of them (from the first with StartAfter, up to
//! the last), so that a thousand small folders cost the pages of their keys and not a thousand requests. The size of
//! folders is estimated from the folders seen so far, and from the sample that found the layout.
//!
//! This module sends no requests. Its caller lists the nodes, several at a time, and passes each page back, which
//! becomes objects and further nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inventory::Inventory;
use super::order::{self, Trail};
use super::partition::detect::Sampled;
use super::partition::filter::{BoundFilter, PartitionVerdict};
use super::partition::layout::{Layout, LayoutLevel};
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::partition::Part;

/// A folder with at most this many pages is listed flat, because listing its folders first would cost as many requests.
const SMALL_FOLDER_PAGES: f64 = 2.0;

/// At most this many prefixes are listed without checking that they exist.
const PREFIXES_AT_MOST: usize = 4;

/// A listing that continues after this many pages is divided into parts that are listed in parallel.
const PAGES_BEFORE_DIVIDING: u64 = 16;

/// Parts that a long listing is divided into: each may cost a page more.
const PARTS: usize = 8;

/// Pages that a part has at least, where that is known.
const PAGES_OF_A_PART: f64 = 8.0;

/// Skipped prefixes that are remembered for a report.
const REMEMBERED: usize = 10_000;

/// A part of a listing, in key order with its neighbours.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Objects that are known already.
    Objects(Vec<ObjectFacts>),
    /// A flat listing.
    Flat(FlatListing),
    /// A listing of the folders in a folder.
    Folder(Folder),
}

/// A flat listing: all keys with a prefix, after one key and before another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlatListing {
    /// The prefix.
    pub prefix: String,
    /// Keys up to this one are excluded.
    pub after: Option<String>,
    /// Keys from this one on are excluded.
    pub until: Option<String>,
    /// The continuation token of the next page.
    pub continuation: Option<String>,
    pages: u64,
    keys: u64,
    first: Option<Arc<str>>,
    /// The last key of the pages so far.
    last: Option<Arc<str>>,
    trail: Trail,
}

/// A listing of the folders of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folder {
    /// The folder, or the prefix to start with.
    pub prefix: String,
    /// Names up to this text are excluded.
    pub after: Option<String>,
    /// The continuation token of the next page.
    pub continuation: Option<String>,
    /// The names between which dates are wanted, where the folders are dates: in a long listing the rest is passed over.
    dates: Option<Dates>,
    /// The folder that was listed already: it, and what is before it, is left out.
    done: Option<String>,
    folders: u64,
    objects: u64,
    /// The last name of the pages so far.
    last: Option<String>,
    trail: Trail,
}

/// Names of folders that are dates. All spellings of a date begin with the digits of its year.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dates {
    /// The first name that can be wanted.
    from: String,
    /// The first one after those that can be.
    until: String,
    /// The first one after all dates.
    end: String,
}

impl Dates {
    /// Where a listing whose last name was `last` can go on without missing what can be wanted, or what is no date.
    fn resume_at(&self, last: &str) -> Option<&str> {
        let at = if last < self.from.as_str() { &self.from } else { &self.end };
        let passes = last < self.from.as_str() || (last >= self.until.as_str() && last < self.end.as_str());
        passes.then_some(at)
    }
}

/// The decisions for one listing.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    layout: Layout,
    filter: BoundFilter,
    after: Option<String>,
    options: WalkOptions,
    shape: Shape,
    /// The inventory that takes the place of the listing where this condition of the filter does not hold.
    inventory: Option<(usize, Arc<Inventory>)>,
    /// What was decided so far.
    pub report: WalkReport,
}

/// How a listing is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkOptions {
    /// Whether folders are listed even if the needed names are known, so that a report can name the skipped ones.
    pub thorough: bool,
    /// Whether long listings are divided.
    pub divides: bool,
    /// The maximum number of keys on a page of a listing.
    pub page_keys: u32,
}

impl Default for WalkOptions {
    fn default() -> Self {
        Self { thorough: false, divides: true, page_keys: 1000 }
    }
}

/// What was listed, what was not and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WalkReport {
    /// The prefixes that were listed, with the first and last folder if a listing covered several.
    pub listed: Vec<String>,
    /// The prefixes that were skipped, with the reason.
    pub skipped: Vec<(String, String)>,
    /// The number of skipped prefixes.
    pub skipped_count: u64,
    /// The number of objects that were listed twice, and are read once.
    pub twice: u64,
    /// For each number of folders in a prefix: prefixes of that depth that were kept and skipped.
    levels: BTreeMap<usize, (u64, u64)>,
}

impl WalkReport {
    /// The fraction of all folders that was skipped: 0.9 is nine of ten. Adjacent folders count as equally large.
    #[must_use]
    pub fn scan_reduction(&self) -> f64 {
        let kept = self.levels.values().map(|(kept, skipped)| *kept as f64 / (kept + skipped).max(1) as f64);
        1.0 - kept.product::<f64>()
    }
}

/// How to handle a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Skip(usize),
    Flat,
    Walk,
}

impl Walk {
    /// A walk that excludes keys up to `after`.
    #[must_use]
    pub fn new(
        layout: Layout,
        filter: BoundFilter,
        after: Option<&str>,
        sampled: &[Sampled],
        options: WalkOptions,
    ) -> Self {
        let mut shape = Shape::default();
        for folder in sampled.iter().filter(|folder| folder.prefix.is_empty() || folder.prefix.ends_with('/')) {
            // How much follows the first page is not known: much, as far as that decides anything.
            let more = if folder.whole { 1 } else { 10 };
            let (folders, objects) = (folder.folders.len() as u64, folder.objects);
            shape.saw_folder(depth_of(&folder.prefix), folders * more, objects * more);
        }
        let (after, report) = (after.map(str::to_owned), WalkReport::default());
        Self { layout, filter, after, options, shape, inventory: None, report }
    }

    /// Uses an inventory for keys that do not meet this condition of the filter. Folders that are not in the inventory
    /// are still listed.
    #[must_use]
    pub fn with_inventory(mut self, condition: usize, inventory: Arc<Inventory>) -> Self {
        self.inventory = Some((condition, inventory));
        self
    }

    /// The first nodes. Prefixes must be in order and must not overlap.
    pub fn start(&mut self, prefixes: &[String]) -> Vec<Node> {
        prefixes.iter().flat_map(|prefix| self.open(prefix)).collect()
    }

    /// The key after which a listing with this prefix starts.
    #[must_use]
    pub fn start_after(&self, prefix: &str, own: Option<&str>) -> Option<String> {
        let resumed = self.after.as_deref().filter(|after| *after > prefix);
        own.max(resumed).map(str::to_owned)
    }

    fn open(&mut self, prefix: &str) -> Vec<Node> {
        if self.read_before(prefix) {
            return Vec::new();
        }
        match self.decide(prefix) {
            Decision::Skip(condition) => {
                self.skip(prefix, condition);
                Vec::new()
            }
            Decision::Flat => vec![self.flat(FlatListing { prefix: prefix.to_owned(), ..FlatListing::default() })],
            Decision::Walk => {
                let known = self.known_folders(prefix);
                known.unwrap_or_else(|| vec![Node::Folder(Folder { prefix: prefix.to_owned(), ..Folder::default() })])
            }
        }
    }

    fn flat(&mut self, listing: FlatListing) -> Node {
        if self.report.listed.len() < REMEMBERED {
            let shown = match (&listing.after, &listing.until) {
                (None, None) => listing.prefix.clone(),
                (after, until) => format!(
                    "{} from '{}' to before '{}'",
                    listing.prefix,
                    after.as_deref().unwrap_or_default(),
                    until.as_deref().unwrap_or_default()
                ),
            };
            self.report.listed.push(shown);
        }
        Node::Flat(listing)
    }

    fn skip(&mut self, prefix: &str, condition: usize) {
        self.report.skipped_count += 1;
        self.report.levels.entry(depth_of(prefix)).or_default().1 += 1;
        if self.report.skipped.len() < REMEMBERED {
            self.report.skipped.push((prefix.to_owned(), self.filter.reason(condition)));
        }
    }

    /// Whether every key with the prefix was read before.
    fn read_before(&self, prefix: &str) -> bool {
        self.after.as_deref().is_some_and(|after| prefix < after && !after.starts_with(prefix))
    }

    fn decide(&self, prefix: &str) -> Decision {
        if self.filter.empty() {
            return Decision::Flat;
        }
        match self.filter.of_prefix(&self.layout.values(prefix)) {
            PartitionVerdict::Wanted => Decision::Flat,
            PartitionVerdict::Unwanted(condition) if self.missing_from_inventory(condition, prefix) => Decision::Flat,
            // What does not fit the partitions is no reason to be silent about it.
            PartitionVerdict::WithoutValue(_) if !self.layout.of_another_tool(prefix) => Decision::Flat,
            PartitionVerdict::Unwanted(condition) | PartitionVerdict::WithoutValue(condition) => {
                Decision::Skip(condition)
            }
            PartitionVerdict::Open => {
                let told_apart = self.layout.folders_below(prefix).is_none_or(|below| below < self.layout.depth);
                if told_apart && !self.small(prefix) { Decision::Walk } else { Decision::Flat }
            }
        }
    }

    /// Whether an inventory was to have what is below a prefix and does not.
    fn missing_from_inventory(&self, condition: usize, prefix: &str) -> bool {
        self.inventory.as_ref().is_some_and(|(older, inventory)| condition == *older && !inventory.has_prefix(prefix))
    }

    fn small(&self, prefix: &str) -> bool {
        let whole = prefix.is_empty() || prefix.ends_with('/');
        whole && self.pages_per_folder(depth_of(prefix)).is_some_and(|pages| pages <= SMALL_FOLDER_PAGES)
    }

    /// The pages that the keys below a folder of a depth fill.
    fn pages_per_folder(&self, depth: usize) -> Option<f64> {
        self.shape.keys_per_folder(depth).map(|keys| keys / f64::from(self.options.page_keys))
    }

    /// The listings below a prefix whose next folders are known by name or by order; `None` if they must be looked up.
    fn known_folders(&mut self, prefix: &str) -> Option<Vec<Node>> {
        if self.options.thorough || !(prefix.is_empty() || prefix.ends_with('/')) {
            return None;
        }
        let below = self.layout.folders_below(prefix)?;
        let LayoutLevel::Parts(parts) = self.layout.levels.get(below)? else { return None };
        let (before, name, after) = match parts.as_slice() {
            [Part::Field(name)] => ("", name, ""),
            [Part::Literal(before), Part::Field(name)] => (before.as_str(), name, ""),
            [Part::Field(name), Part::Literal(after)] => ("", name, after.as_str()),
            [Part::Literal(before), Part::Field(name), Part::Literal(after)] => (before.as_str(), name, after.as_str()),
            _ => return None,
        };
        // A folder that is nothing but a value may have its name before it, as Hive writes it.
        let value_only = before.is_empty() && after.is_empty();
        let (before, name, after) = (before.to_owned(), name.clone(), after.to_owned());
        let values = self.layout.values(prefix);
        let texts = self.filter.only_texts(&name, &values);
        if let Some(texts) = texts.filter(|texts| self.layout.given && texts.len() <= PREFIXES_AT_MOST) {
            let mut children: Vec<String> =
                texts.iter().map(|text| format!("{prefix}{before}{text}{after}/")).collect();
            if value_only {
                children.extend(texts.iter().map(|text| format!("{prefix}{name}={text}/")));
            }
            children.sort_unstable();
            children.dedup();
            return Some(children.iter().flat_map(|child| self.open(child)).collect());
        }
        let (first, end) = self.filter.years(&name)?;
        let bound = |text: Option<String>, open: &str| format!("{prefix}{before}{}", text.as_deref().unwrap_or(open));
        // A colon is the first character after the digits.
        let dates = Dates { from: bound(first, "0"), until: bound(end, ":"), end: bound(None, ":") };
        Some(vec![Node::Folder(Folder { prefix: prefix.to_owned(), dates: Some(dates), ..Folder::default() })])
    }

    /// Turns a page of folders into nodes. `next` is the continuation token.
    ///
    /// # Errors
    /// See [`order::in_order`] and [`Trail::step`].
    pub fn folder_page(
        &mut self,
        mut folder: Folder,
        mut objects: Vec<ObjectFacts>,
        mut prefixes: Vec<String>,
        next: Option<String>,
    ) -> Result<Vec<Node>> {
        let before = folder.last.as_deref();
        self.report.twice += order::in_order(before, &mut objects)?;
        order::folders_in_order(before, &mut prefixes)?;
        if let Some(next) = &next {
            folder.trail.page(next, &objects, &prefixes)?;
        }
        folder.folders += prefixes.len() as u64;
        folder.objects += objects.len() as u64;
        let last = prefixes.last().map(String::as_str).max(objects.last().map(|object| &*object.key));
        let passed = folder.dates.as_ref().zip(last).and_then(|(dates, last)| dates.resume_at(last)).map(str::to_owned);
        folder.last = last.map(str::to_owned).or(folder.last);
        let mut nodes = self.children(&folder, objects, prefixes);
        match (next, passed) {
            (Some(_), Some(after)) => {
                nodes.push(Node::Folder(Folder { after: Some(after), continuation: None, ..folder }));
            }
            (Some(next), None) => nodes.push(Node::Folder(Folder { continuation: Some(next), ..folder })),
            (None, _) if folder.after.is_none() && folder.done.is_none() => {
                self.shape.saw_folder(depth_of(&folder.prefix), folder.folders, folder.objects);
            }
            (None, _) => {}
        }
        Ok(nodes)
    }

    /// Objects and folders of a page in key order; folders to be listed flat that stand beside each other are one run.
    fn children(&mut self, folder: &Folder, objects: Vec<ObjectFacts>, prefixes: Vec<String>) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut run: Vec<String> = Vec::new();
        let mut gap = 0_u32;
        let mut objects = objects.into_iter().filter(|object| folder.wants(&object.key)).peekable();
        for child in prefixes {
            let mut loose = Vec::new();
            while let Some(object) = objects.next_if(|object| *object.key < *child) {
                loose.push(object);
            }
            if !loose.is_empty() {
                self.close_run(folder, &mut run, &mut nodes);
                nodes.push(Node::Objects(loose));
            }
            if !folder.wants(&child) || self.read_before(&child) {
                continue;
            }
            match self.decide(&child) {
                Decision::Skip(condition) => {
                    self.skip(&child, condition);
                    gap += 1;
                    // To list a few keys for nothing costs less than to begin anew after them.
                    let pages = self.pages_per_folder(depth_of(&child)).unwrap_or(f64::INFINITY);
                    if pages * f64::from(gap) > 0.5 {
                        self.close_run(folder, &mut run, &mut nodes);
                    }
                }
                Decision::Flat => {
                    self.report.levels.entry(depth_of(&child)).or_default().0 += 1;
                    gap = 0;
                    run.push(child);
                }
                Decision::Walk => {
                    self.report.levels.entry(depth_of(&child)).or_default().0 += 1;
                    self.close_run(folder, &mut run, &mut nodes);
                    nodes.extend(self.open(&child));
                }
            }
        }
        self.close_run(folder, &mut run, &mut nodes);
        let loose: Vec<ObjectFacts> = objects.collect();
        if !loose.is_empty() {
            nodes.push(Node::Objects(loose));
        }
        nodes
    }

    /// Turns folders that stand beside each other into flat listings: one, or several where they are large.
    fn close_run(&mut self, folder: &Folder, run: &mut Vec<String>, nodes: &mut Vec<Node>) {
        let children = std::mem::take(run);
        let Some(first) = children.first() else { return };
        let parts = self.parts(children.len(), depth_of(first));
        for part in children.chunks(children.len().div_ceil(parts)) {
            let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
            nodes.push(self.flat(match part.len() {
                1 => FlatListing { prefix: first.clone(), ..FlatListing::default() },
                _ => FlatListing {
                    prefix: folder.prefix.clone(),
                    after: Some(first.clone()),
                    until: Some(end_of(last)),
                    ..FlatListing::default()
                },
            }));
        }
    }

    fn parts(&self, folders: usize, depth: usize) -> usize {
        let most = match self.pages_per_folder(depth) {
            _ if !self.options.divides => 1,
            Some(pages) => (pages * folders as f64 / PAGES_OF_A_PART) as usize,
            // Nothing is known of the folders: divided where the listing is long, and not where a filter counts requests.
            None if self.filter.empty() => PARTS,
            None => 1,
        };
        most.clamp(1, PARTS.min(folders))
    }

    /// Turns a page of a flat listing into its objects and the rest of the listing.
    ///
    /// # Errors
    /// See [`order::in_order`] and [`Trail::step`].
    pub fn flat_page(
        &mut self,
        mut listing: FlatListing,
        mut objects: Vec<ObjectFacts>,
        next: Option<String>,
    ) -> Result<(Vec<ObjectFacts>, Vec<Node>)> {
        self.report.twice += order::in_order(listing.last.as_deref(), &mut objects)?;
        if let Some(next) = &next {
            listing.trail.page(next, &objects, &[])?;
        }
        listing.last = objects.last().map(|object| Arc::clone(&object.key)).or(listing.last);
        let page = objects.len();
        if let Some(until) = &listing.until {
            objects.retain(|object| *object.key < **until);
        }
        let ended = next.is_none() || objects.len() < page;
        // Not every server heeds where a listing is to begin.
        if let Some(after) = &listing.after {
            objects.retain(|object| *object.key > **after);
        }
        listing.pages += 1;
        listing.keys += objects.len() as u64;
        if listing.first.is_none() {
            listing.first = objects.first().map(|object| Arc::clone(&object.key));
        }
        if ended {
            if listing.after.is_none()
                && listing.until.is_none()
                && listing.prefix.ends_with('/')
                && self.after.is_none()
            {
                self.shape.saw_keys(depth_of(&listing.prefix), listing.keys);
            }
            return Ok((objects, Vec::new()));
        }
        let nodes = match objects.last().and_then(|last| self.divided(&listing, &last.key)) {
            Some(nodes) => nodes,
            None => vec![Node::Flat(FlatListing { continuation: next, ..listing })],
        };
        Ok((objects, nodes))
    }

    /// A long listing that has not left its first folder yet: the rest of this folder, and the folders after it, so that
    /// they can be listed side by side.
    fn divided(&self, listing: &FlatListing, last: &Arc<str>) -> Option<Vec<Node>> {
        if !self.options.divides || listing.until.is_some() || listing.pages != PAGES_BEFORE_DIVIDING {
            return None;
        }
        let end = listing.prefix.len() + last.get(listing.prefix.len()..)?.find('/')? + 1;
        let child = &last[..end];
        if !listing.first.as_ref()?.starts_with(child) {
            return None;
        }
        let rest = FlatListing { prefix: child.to_owned(), after: Some(last.to_string()), ..FlatListing::default() };
        let following = Folder { prefix: listing.prefix.clone(), done: Some(child.to_owned()), ..Folder::default() };
        Some(vec![Node::Flat(rest), Node::Folder(following)])
    }
}

impl Folder {
    /// Whether a key or a folder is in the part that is to be listed.
    fn wants(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
            && self.done.as_deref().is_none_or(|done| name > done && !name.starts_with(done))
    }
}

/// The folders of a prefix.
fn depth_of(prefix: &str) -> usize {
    prefix.bytes().filter(|byte| *byte == b'/').count()
}

/// The first text after all keys in a folder: `/` is followed by `0`.
fn end_of(folder: &str) -> String {
    format!("{}0", folder.strip_suffix('/').unwrap_or(folder))
}

/// How many folders and keys folders of each depth have, as far as some were seen.
#[derive(Debug, Clone, Default)]
struct Shape {
    levels: BTreeMap<usize, Seen>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// Folders whose folders were counted, the sum of these, and of the keys beside them.
    opened: u64,
    folders: u64,
    objects: u64,
    /// Folders whose keys were counted, and the sum.
    scanned: u64,
    keys: u64,
}

impl Shape {
    fn saw_folder(&mut self, depth: usize, folders: u64, objects: u64) {
        let seen = self.levels.entry(depth).or_default();
        seen.opened += 1;
        seen.folders += folders;
        seen.objects += objects;
    }

    fn saw_keys(&mut self, depth: usize, keys: u64) {
        let seen = self.levels.entry(depth).or_default();
        seen.scanned += 1;
        seen.keys += keys;
    }

    /// The mean number of keys below a folder of a depth.
    fn keys_per_folder(&self, depth: usize) -> Option<f64> {
        let seen = self.levels.get(&depth)?;
        if seen.scanned > 0 {
            return Some(seen.keys as f64 / seen.scanned as f64);
        }
        let mean = |sum: u64| (seen.opened > 0).then(|| sum as f64 / seen.opened as f64);
        let (folders, objects) = (mean(seen.folders)?, mean(seen.objects)?);
        match folders {
            0.0 => Some(objects),
            _ => Some(objects + folders * self.keys_per_folder(depth + 1)?),
        }
    }
}

#[cfg(test)]
mod tests;
