//! The requests and bytes of one file.

use std::cmp::Ordering;
use std::ops::Range;

use crate::ranges;
use tollgate_base::object::{ObjectFacts, StorageClass};
use tollgate_cost::usage::Row;

/// How the values of a file's columns compare with the literals of a filter: for each literal, the comparison of the
/// least and of the greatest value with it. `None` if nothing is known about the values.
pub type Standing = Vec<Option<(Ordering, Ordering)>>;

/// The requests and bytes that reading one file takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilePlan {
    /// The usage row of its GETs.
    pub row: Row,
    /// GETs.
    pub requests: u64,
    /// The bytes of their responses.
    pub bytes: u64,
    /// Whether these numbers are exact. Otherwise they are upper bounds.
    pub exact: bool,
}

/// The size in bytes of the tail that is fetched first from a file that is read by ranges.
pub const TAIL_BYTES: u64 = 64 << 10;

/// The maximum number of bytes of page indexes that are fetched from a file, if they are not close to each other.
const INDEX_BYTES: u64 = 16 << 20;

/// The upper bound for a file that is read by ranges, which follows from its size. `indexed`: whether filters may use
/// page indexes and bloom filters, between which there may be data that is fetched twice.
#[must_use]
pub fn by_ranges(object: &ObjectFacts, indexed: bool) -> FilePlan {
    by_ranges_of(object.storage_class, object.size, indexed)
}

pub(super) fn by_ranges_of(storage_class: StorageClass, size: u64, indexed: bool) -> FilePlan {
    let row = Row::get(storage_class);
    let requests = ranges::most_requests(size, TAIL_BYTES);
    if size <= TAIL_BYTES {
        return FilePlan { row, requests, bytes: size, exact: true };
    }
    // A chunk that reaches into the tail is fetched as a whole, and large row groups ask for the places of their pages.
    let again = if indexed { size } else { TAIL_BYTES + (size / 8).min(INDEX_BYTES) };
    FilePlan { row, requests, bytes: size + again, exact: false }
}

/// The plan of a file that is read in order from byte `from` on.
#[must_use]
pub fn in_order(object: &ObjectFacts, from: u64, may_split: bool) -> FilePlan {
    let bytes = object.size.saturating_sub(from);
    // Nothing is sent where there is nothing to read.
    let requests = if bytes == 0 { 0 } else { ranges::parts(object.size, from, may_split).len() as u64 };
    FilePlan { row: Row::get(object.storage_class), requests, bytes, exact: true }
}

/// A file that is read by ranges, as described by its footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnarFile {
    /// Its class.
    pub storage_class: StorageClass,
    /// Its size in bytes.
    pub size: u64,
    /// GETs for it.
    pub requests: u64,
    /// The bytes of their responses.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// How its values compare with the literals of the filters. Empty if this was not requested.
    pub standing: Standing,
}

impl ColumnarFile {
    /// Computes it from the length of the tail that is read first, the start of the metadata, the requested parts of
    /// indexes, and the ranges of each step.
    #[must_use]
    pub fn new(
        object: &ObjectFacts,
        tail_bytes: u64,
        metadata_start: u64,
        index: &[Range<u64>],
        steps: &[Vec<Range<u64>>],
        rows: u64,
    ) -> Self {
        let tail_start = object.size.saturating_sub(tail_bytes);
        let mut requests = u64::from(object.size > 0);
        let mut bytes = object.size - tail_start;
        if metadata_start < tail_start {
            requests += 1;
            bytes += tail_start - metadata_start;
        }
        let index = ranges::merged(index.to_vec(), ranges::MERGE_GAP_BYTES);
        for fetch in std::iter::once(index).chain(ranges::fetches(steps, tail_start)) {
            requests += fetch.len() as u64;
            bytes += ranges::length_of(&fetch);
        }
        Self {
            storage_class: object.storage_class,
            size: object.size,
            requests,
            bytes,
            rows,
            standing: Standing::new(),
        }
    }
}
