//! Which parts of a file are decoded, in which order: row groups without those that are pruned, cut into slices of rows
//! where a row group is too large to be held as a whole.
//!
//! ```text
//!   footer ─▶ row groups that statistics allow ─▶ page indexes and bloom filters that pay ─▶ slices
//! ```
//!
//! A slice is decoded by a decoder of its own. Where the pages' places are known it asks for its own pages alone, so that
//! memory is bounded by a slice and not by a row group. Without an offset index (pyarrow writes none by default) nobody
//! knows where a row's pages begin, and a row group's wanted chunks are held as they are stored.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{OffsetIndexBuilder, RowGroupMetaData};
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

use super::footer::{Opened, chunk_range, reader_of};
use super::guard::guarded;
use super::index::{Location, locations, page_values};
use super::prune::{GroupFacts, Pruner};
use crate::decode::Pruned;
use tollgate_base::error::Result;
use tollgate_base::object::sample_place;

/// Row groups whose wanted chunks are longer than this are read slice by slice, where their pages are known.
pub(super) const SLICE_ABOVE_BYTES: u64 = 32 << 20;
/// The stored bytes of a slice, about.
pub(super) const SLICE_BYTES: u64 = 8 << 20;
/// Index bytes are asked for where the row group's wanted chunks are longer than this: a request costs about as much time
/// as a mebibyte does.
const INDEX_PAYS_BYTES: u64 = 2 << 20;
/// Index bytes of a file at most; without them more is read, and nothing is lost.
const INDEX_BYTES: u64 = 16 << 20;
/// A bloom filter is asked for where the chunks that it may spare are so many times as long.
const BLOOM_PAYS: u64 = 8;

/// Rows that are decoded together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    /// The row group.
    pub(super) group: usize,
    /// Its rows that are decoded, ascending.
    pub(super) rows: Vec<Range<usize>>,
    /// The row behind the slice: those up to there are done with it.
    pub(super) until: usize,
    /// Whether it is decoded page by page.
    pub(super) paged: bool,
}

/// A part of an index that is asked for.
#[derive(Debug, Clone)]
pub(super) struct Part {
    group: usize,
    what: What,
    pub(super) range: Range<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Where the pages of a leaf lie.
    Offsets(usize),
    /// What the pages of a leaf hold, and the filters' column.
    Values(usize, usize),
    /// A bloom filter of the filters' column.
    Bloom(usize),
}

/// Where reading begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) group: usize,
    pub(super) row: usize,
}

/// The plan in the making: row groups that statistics allow, and the parts of indexes that are wanted for them.
#[derive(Debug)]
pub(super) struct Draft {
    groups: Vec<usize>,
    pub(super) parts: Vec<Part>,
    start: Start,
    pub(super) pruned: Pruned,
}

/// The slices of a file, and the reader that knows its pages.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) slices: VecDeque<Slice>,
    /// All slices, for estimates.
    all: Vec<Slice>,
    pub(super) paged: Option<ArrowReaderMetadata>,
    pub(super) pruned: Pruned,
}

impl Draft {
    /// Leaves out what is not in the sample and what statistics rule out. `tail` is where the bytes begin that are there
    /// already.
    pub(super) fn new(opened: &Opened, start: Start, sample: Option<&[bool]>, size: u64, tail: u64) -> Self {
        let mut draft = Self { groups: Vec::new(), parts: Vec::new(), start, pruned: Pruned::default() };
        for (index, group) in opened.reader.metadata().row_groups().iter().enumerate().skip(start.group) {
            let before = if index == start.group { start.row } else { 0 };
            if group.num_rows() as usize <= before {
                continue;
            }
            if sample.is_some_and(|sample| !sample[index]) {
                draft.pruned.unsampled_row_groups += 1;
                draft.pruned.unsampled_rows += group.num_rows() as u64 - before as u64;
                continue;
            }
            let nothing = GroupFacts::default();
            if opened.pruner.as_ref().is_none_or(|pruner| pruner.possible(group, &nothing)) {
                draft.groups.push(index);
                draft.want_parts(opened, index, group, size, tail);
            } else {
                draft.leave_out(opened, index, group, size);
            }
        }
        let asked: u64 = draft.parts.iter().filter(|part| part.range.start < tail).map(Part::bytes).sum();
        if asked > INDEX_BYTES {
            draft.parts.retain(|part| part.range.start >= tail);
        }
        draft
    }

    /// Counts a row group that is not read.
    fn leave_out(&mut self, opened: &Opened, index: usize, group: &RowGroupMetaData, size: u64) {
        let before = if index == self.start.group { self.start.row } else { 0 };
        self.pruned.rows += (group.num_rows() as u64).saturating_sub(before as u64);
        self.pruned.row_groups += 1;
        self.pruned.bytes += wanted_bytes(opened, group, size);
    }

    /// Asks for the parts of indexes that pay.
    fn want_parts(&mut self, opened: &Opened, index: usize, group: &RowGroupMetaData, size: u64, tail: u64) {
        let chunk_bytes = wanted_bytes(opened, group, size);
        let mut parts: Vec<Part> = Vec::new();
        let mut want = |what, offset: Option<i64>, length: Option<i32>| {
            let part = part(index, what, offset, length, size);
            let there = part.is_some();
            parts.extend(part.filter(|part| parts.iter().all(|known| known.what != part.what)));
            there
        };
        let mut page_values = false;
        for (column, leaf) in opened.pruner.iter().flat_map(Pruner::leaves) {
            let chunk = group.column(leaf);
            page_values |= want(What::Values(leaf, column), chunk.column_index_offset(), chunk.column_index_length())
                && want(What::Offsets(leaf), chunk.offset_index_offset(), chunk.offset_index_length());
        }
        let sliced = chunk_bytes > SLICE_ABOVE_BYTES;
        let resumed = index == self.start.group && self.start.row > 0;
        if page_values || sliced || resumed {
            for leaf in (0..group.num_columns()).filter(|leaf| opened.mask.leaf_included(*leaf)) {
                let chunk = group.column(leaf);
                want(What::Offsets(leaf), chunk.offset_index_offset(), chunk.offset_index_length());
            }
        }
        let free = parts.iter().all(|part| part.range.start >= tail);
        if !free && chunk_bytes < INDEX_PAYS_BYTES {
            parts.clear();
        }
        for (column, leaf) in opened.pruner.iter().flat_map(Pruner::leaves) {
            let chunk = group.column(leaf);
            let bloom =
                part(index, What::Bloom(column), chunk.bloom_filter_offset(), chunk.bloom_filter_length(), size);
            let asked = opened.pruner.as_ref().is_some_and(|pruner| pruner.asks_for_values(column));
            parts.extend(bloom.filter(|bloom| {
                asked && (bloom.range.start >= tail || bloom.bytes().saturating_mul(BLOOM_PAYS) <= chunk_bytes)
            }));
        }
        self.parts.extend(parts);
    }

    /// The plan, from the bytes of the wanted parts.
    pub(super) fn finish(self, opened: &Opened, bytes: &[Bytes], size: u64) -> Result<Plan> {
        let mut plan = Plan { slices: VecDeque::new(), all: Vec::new(), paged: None, pruned: self.pruned };
        let mut indexed = Vec::new();
        for &group in &self.groups {
            let parts = || self.parts.iter().zip(bytes).filter(|(part, _)| part.group == group);
            let facts = opened.reader.metadata().row_group(group);
            let mut pages: Vec<Option<Vec<Location>>> = vec![None; facts.num_columns()];
            for (part, bytes) in parts() {
                if let What::Offsets(leaf) = part.what {
                    let chunk = chunk_range(facts.column(leaf), size)?;
                    pages[leaf] = locations(bytes, &chunk, facts.num_rows() as u64);
                }
            }
            let from = if group == self.start.group { self.start.row } else { 0 };
            let Some(rows) = wanted_rows(opened.pruner.as_ref(), facts, &pages, parts(), from) else {
                let left_out = Pruned {
                    rows: facts.num_rows() as u64 - from as u64,
                    row_groups: 1,
                    bytes: wanted_bytes(opened, facts, size),
                    ..Pruned::default()
                };
                plan.pruned.add(left_out);
                continue;
            };
            let kept: usize = rows.iter().map(ExactSizeIterator::len).sum();
            plan.pruned.rows += (facts.num_rows() as usize - from - kept) as u64;
            let known = (0..facts.num_columns()).all(|leaf| !opened.mask.leaf_included(leaf) || pages[leaf].is_some());
            let whole = kept == facts.num_rows() as usize;
            let chunk_bytes = wanted_bytes(opened, facts, size);
            let paged = known && (!whole || chunk_bytes > SLICE_ABOVE_BYTES) && chunk_bytes > 0;
            let cuts = if paged { cuts(opened, facts, &pages, chunk_bytes) } else { Vec::new() };
            plan.slices.extend(slices(group, facts.num_rows() as usize, &rows, &cuts, paged));
            if paged {
                indexed.push((group, pages));
            }
        }
        if !indexed.is_empty() {
            plan.paged = Some(with_pages(&opened.reader, indexed)?);
        }
        plan.all = plan.slices.iter().cloned().collect();
        Ok(plan)
    }
}

impl Plan {
    /// The ranges that each slice takes. Pages that lie in two slices are in both lists, though they are asked for once.
    pub(super) fn ranges(&self, opened: &Opened, size: u64) -> Vec<Vec<Range<u64>>> {
        let indexes = self.paged.as_ref().and_then(|reader| reader.metadata().offset_index());
        let of_slice = |slice: &Slice| {
            let group = opened.reader.metadata().row_group(slice.group);
            let leaves = (0..group.num_columns()).filter(|leaf| opened.mask.leaf_included(*leaf));
            let mut ranges = Vec::new();
            for leaf in leaves {
                let Ok(chunk) = chunk_range(group.column(leaf), size) else { continue };
                match indexes.filter(|_| slice.paged) {
                    Some(indexes) => add_pages(&mut ranges, &indexes[slice.group][leaf], &chunk, slice),
                    None => ranges.push(chunk),
                }
            }
            ranges
        };
        self.all.iter().map(of_slice).collect()
    }
}

/// Adds the pages of a slice, and what lies before the first page, which is the dictionary.
fn add_pages(ranges: &mut Vec<Range<u64>>, index: &OffsetIndexMetaData, chunk: &Range<u64>, slice: &Slice) {
    let pages = index.page_locations();
    let Some(first) = pages.first() else { return };
    if chunk.start < first.offset as u64 {
        ranges.push(chunk.start..first.offset as u64);
    }
    for (page, location) in pages.iter().enumerate() {
        let start = location.first_row_index as usize;
        let end = pages.get(page + 1).map_or(usize::MAX, |next| next.first_row_index as usize);
        if slice.rows.iter().any(|rows| rows.start < end && start < rows.end) {
            let offset = location.offset as u64;
            ranges.push(offset..offset + location.compressed_page_size as u64);
        }
    }
}

impl Part {
    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

fn part(group: usize, what: What, offset: Option<i64>, length: Option<i32>, size: u64) -> Option<Part> {
    let start = u64::try_from(offset?).ok()?;
    let end = start.checked_add(u64::try_from(length?).ok()?)?;
    (start < end && end <= size).then_some(Part { group, what, range: start..end })
}

/// Which row groups of a file belong to a sample: as many of their bytes as `part` allows, one at least, and the same each
/// time.
pub(super) fn sampled_groups(key: &str, bytes: &[u64], part: f64) -> Vec<bool> {
    let bytes_of = |group: usize| bytes[group].max(1);
    let mut rest = ((0..bytes.len()).map(bytes_of).sum::<u64>() as f64 * part) as u64;
    let mut order: Vec<(f64, usize)> =
        (0..bytes.len()).map(|group| (sample_place(&format!("{key}#{group}")), group)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut chosen = vec![false; bytes.len()];
    for &(_, group) in &order {
        if bytes_of(group) <= rest {
            rest -= bytes_of(group);
            chosen[group] = true;
        }
    }
    let least = order.iter().map(|(_, group)| *group).min_by_key(|group| bytes_of(*group));
    if let Some(least) = least.filter(|_| !chosen.contains(&true)) {
        chosen[least] = true;
    }
    chosen
}

/// Bytes of the wanted chunks of each row group.
pub(super) fn group_bytes(opened: &Opened, size: u64) -> Vec<u64> {
    opened.reader.metadata().row_groups().iter().map(|group| wanted_bytes(opened, group, size)).collect()
}

/// Bytes of the wanted chunks of a row group. They were checked when the footer was read.
fn wanted_bytes(opened: &Opened, group: &RowGroupMetaData, size: u64) -> u64 {
    let chunks = group.columns().iter().enumerate().filter(|(leaf, _)| opened.mask.leaf_included(*leaf));
    chunks.filter_map(|(_, chunk)| chunk_range(chunk, size).ok()).map(|range| range.end - range.start).sum()
}

/// The rows from `from` on that bloom filters and pages allow; `None` where that is none.
fn wanted_rows<'a>(
    pruner: Option<&Pruner>,
    group: &RowGroupMetaData,
    pages: &[Option<Vec<Location>>],
    parts: impl Iterator<Item = (&'a Part, &'a Bytes)>,
    from: usize,
) -> Option<Vec<Range<usize>>> {
    let rows = group.num_rows() as usize;
    let Some(pruner) = pruner else { return (from < rows).then(|| Vec::from([Range { start: from, end: rows }])) };
    let mut facts = GroupFacts { pages: Vec::new(), blooms: Vec::new() };
    facts.pages.resize_with(pruner.width(), || None);
    facts.blooms.resize_with(pruner.width(), || None);
    for (part, bytes) in parts {
        match part.what {
            What::Values(leaf, column) => {
                let locations = pages[leaf].as_deref();
                facts.pages[column] =
                    locations.and_then(|locations| Some((locations, page_values(bytes, locations.len())?)));
            }
            // A damaged filter says nothing.
            What::Bloom(column) => facts.blooms[column] = guarded(|| Sbbf::from_bytes(bytes)).ok(),
            What::Offsets(_) => {}
        }
    }
    if !pruner.possible(group, &facts) {
        return None;
    }
    let mut kept = pruner.rows(rows, &facts);
    kept.retain_mut(|range| {
        range.start = range.start.max(from);
        range.start < range.end
    });
    (!kept.is_empty()).then_some(kept)
}

/// Rows at which a large row group is cut: first rows of the pages of its longest column, so that the pieces have about
/// [`SLICE_BYTES`].
fn cuts(opened: &Opened, group: &RowGroupMetaData, pages: &[Option<Vec<Location>>], chunk_bytes: u64) -> Vec<usize> {
    if chunk_bytes <= SLICE_ABOVE_BYTES {
        return Vec::new();
    }
    let longest = (0..group.num_columns())
        .filter(|leaf| opened.mask.leaf_included(*leaf))
        .max_by_key(|leaf| group.column(*leaf).compressed_size());
    let Some(locations) = longest.and_then(|leaf| pages[leaf].as_deref()) else { return Vec::new() };
    let slice_rows = (u128::from(SLICE_BYTES) * group.num_rows() as u128 / u128::from(chunk_bytes)).max(1) as u64;
    let (mut cuts, mut next) = (Vec::new(), slice_rows);
    for location in locations {
        if location.first_row >= next {
            cuts.push(location.first_row as usize);
            next = location.first_row + slice_rows;
        }
    }
    cuts
}

/// Rows of a row group, cut into slices.
fn slices(group: usize, rows: usize, kept: &[Range<usize>], cuts: &[usize], paged: bool) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut start = 0;
    for &until in cuts.iter().chain(std::iter::once(&rows)) {
        let inside = kept.iter().map(|range| range.start.max(start)..range.end.min(until));
        let rows: Vec<_> = inside.filter(|range| range.start < range.end).collect();
        if !rows.is_empty() {
            slices.push(Slice { group, rows, until, paged });
        }
        start = until;
    }
    slices
}

/// The reader of a file with the places of pages.
fn with_pages(
    reader: &ArrowReaderMetadata,
    indexed: Vec<(usize, Vec<Option<Vec<Location>>>)>,
) -> Result<ArrowReaderMetadata> {
    let metadata = reader.metadata();
    let nothing = || OffsetIndexBuilder::new().build();
    let mut all: Vec<Vec<OffsetIndexMetaData>> =
        metadata.row_groups().iter().map(|group| group.columns().iter().map(|_| nothing()).collect()).collect();
    for (group, leaves) in indexed {
        let rows = metadata.row_group(group).num_rows();
        for (leaf, locations) in leaves.into_iter().enumerate() {
            if let Some(locations) = locations {
                all[group][leaf] = offset_index(&locations, rows);
            }
        }
    }
    let metadata = metadata.as_ref().clone().into_builder().set_offset_index(Some(all)).build();
    reader_of(&Arc::new(metadata))
}

fn offset_index(locations: &[Location], rows: i64) -> OffsetIndexMetaData {
    let mut builder = OffsetIndexBuilder::new();
    for (page, location) in locations.iter().enumerate() {
        let end = locations.get(page + 1).map_or(rows, |next| next.first_row as i64);
        // The builder sums the rows of the pages up.
        builder.append_row_count(end - location.first_row as i64);
        builder.append_offset_and_size(location.offset as i64, i32::try_from(location.bytes).unwrap_or(i32::MAX));
    }
    builder.build()
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some of them short")]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_row_groups_has_about_its_part_and_never_none() {
        let count = |groups, part| {
            sampled_groups("a.parquet", &vec![10; groups], part).into_iter().filter(|chosen| *chosen).count()
        };
        assert_eq!(count(1000, 0.1), 100);
        assert_eq!((count(1000, 1e-9), count(3, 1e-9), count(1, 0.5), count(0, 0.5)), (1, 1, 1, 0));
        let (tenth, half) = (sampled_groups("a", &[10; 50], 0.1), sampled_groups("a", &[10; 50], 0.5));
        assert!(tenth.iter().zip(half).all(|(tenth, half)| !tenth || half));
        let sizes: Vec<u64> = (0..100).map(|group| 1 << (group % 20)).collect();
        let chosen = sampled_groups("a", &sizes, 0.1);
        let bytes: u64 = sizes.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(bytes, _)| bytes).sum();
        assert!(bytes * 10 <= sizes.iter().sum() && bytes * 20 > sizes.iter().sum(), "{bytes}");
    }

    #[test]
    fn slices_cover_the_kept_rows_and_end_at_the_cuts() {
        let slice = |rows: &[Range<usize>], until| Slice { group: 3, rows: rows.to_vec(), until, paged: true };
        assert_eq!(slices(3, 100, &[0..100], &[], true), [slice(&[0..100], 100)]);
        assert_eq!(
            slices(3, 100, &[10..30, 70..100], &[20, 40, 60], true),
            [slice(&[10..20], 20), slice(&[20..30], 40), slice(&[70..100], 100)]
        );
        assert_eq!(slices(3, 100, &[5..6], &[], true), [slice(&[5..6], 100)]);
    }
}
