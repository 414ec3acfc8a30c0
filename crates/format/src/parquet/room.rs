//! How many rows of a slice are decoded at once, and how much memory that takes: told by the headers of its pages, before
//! anything is decompressed.
//!
//! A reader of a column holds its dictionary and the page that it is in. The values of a batch are a few bytes each; texts are
//! views of their pages, so a batch also holds the pages that its rows are in. Where texts have to be copied out of a
//! dictionary, each may be as long as the dictionary is.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::RowGroupMetaData;

use super::guard::Pages;

/// The decoded bytes of a batch besides the pages that it begins and ends in, about.
const PORTION_BYTES: u64 = 4 << 20;
/// Levels of a value inside of lists, and of its item.
const LEVEL_BYTES: u64 = 8;
/// The rows of a list that is longer than others may be so many times as long as the average.
const UNEVEN: u64 = 4;

/// What decoding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Rows of a batch.
    pub(super) rows: usize,
    /// Bytes of memory.
    pub(super) bytes: u64,
}

/// A leaf column as it is read.
#[derive(Debug)]
struct Leaf<'a> {
    pages: &'a Pages,
    /// Bytes of a value in a batch, besides the pages that it may be a view of.
    width: u64,
    /// Values of a row, about.
    values: u64,
    /// Whether a batch keeps its pages.
    views: bool,
    /// Whether texts are copied out of the dictionary.
    copies: bool,
}

impl Leaf<'_> {
    /// Bytes of a batch of so many rows.
    fn batch_bytes(&self, rows: u64) -> u64 {
        let values = rows.saturating_mul(self.values);
        let copied = if self.copies { values.saturating_mul(self.pages.dictionary_bytes) } else { 0 };
        let pages = if self.pages.stored { 0 } else { self.pages.most_within(values) };
        values.saturating_mul(self.width).saturating_add(copied).saturating_add(if self.views { pages } else { 0 })
    }

    /// Bytes of the pages that a batch begins and ends in, and of the dictionary.
    fn page_bytes(&self) -> u64 {
        let dictionary = self.pages.dictionary_bytes + self.pages.dictionary_values.saturating_mul(self.width);
        let pages = if self.views { self.pages.longest().saturating_mul(2) } else { self.pages.longest() };
        dictionary.saturating_add(if self.pages.stored { 0 } else { pages.min(self.pages.total()) })
    }
}

/// The rows of batches, `most` at most, and the memory that decoding takes.
pub(super) fn room(group: &RowGroupMetaData, schema: &Schema, leaves: &BTreeMap<usize, Pages>, most: usize) -> Room {
    let kinds = leaf_types(schema);
    let leaf = |(leaf, pages)| {
        let (leaf, pages): (&usize, &Pages) = (leaf, pages);
        leaf_of(group, *leaf, pages, kinds.get(*leaf).copied())
    };
    let leaves: Vec<Leaf<'_>> = leaves.iter().map(leaf).collect();
    let batch_bytes =
        |rows: usize| leaves.iter().map(|leaf| leaf.batch_bytes(rows as u64)).fold(0, u64::saturating_add);
    let mut rows = most.max(1);
    while rows > 1 && batch_bytes(rows) > PORTION_BYTES {
        rows = (rows / 2).max(1);
    }
    let pages = leaves.iter().map(Leaf::page_bytes).fold(0, u64::saturating_add);
    Room { rows, bytes: batch_bytes(rows).saturating_add(pages) }
}

fn leaf_of<'a>(group: &RowGroupMetaData, leaf: usize, pages: &'a Pages, kind: Option<&DataType>) -> Leaf<'a> {
    let chunk = group.column(leaf);
    let column = chunk.column_descr();
    let views = matches!(kind, Some(DataType::Utf8View | DataType::BinaryView));
    let keys = match kind {
        Some(DataType::Dictionary(key, _)) => key.primitive_width().map_or(0, |bytes| 1 << (8 * bytes as u64 - 1)),
        _ => 0,
    };
    let repeated = column.max_rep_level() > 0;
    let width = match column.physical_type() {
        PhysicalType::BYTE_ARRAY | PhysicalType::INT96 => 16,
        PhysicalType::FIXED_LEN_BYTE_ARRAY => u64::try_from(column.type_length()).unwrap_or(0).max(1),
        PhysicalType::BOOLEAN => 1,
        _ => 8,
    };
    let values = u64::try_from(chunk.num_values()).unwrap_or(0);
    let rows = u64::try_from(group.num_rows()).unwrap_or(0).max(1);
    let bytes = column.physical_type() == PhysicalType::BYTE_ARRAY;
    Leaf {
        pages,
        width: width + if repeated { LEVEL_BYTES } else { 0 },
        values: if repeated { values.div_ceil(rows).max(1).saturating_mul(UNEVEN) } else { 1 },
        views,
        copies: bytes && !views && pages.dictionary_bytes > 0 && (pages.plain || pages.dictionary_values >= keys),
    }
}

/// The types of the leaves of a schema, in the order of Parquet's.
fn leaf_types(schema: &Schema) -> Vec<&DataType> {
    let mut leaves = Vec::new();
    schema.fields().iter().for_each(|field| add_leaves(field.data_type(), &mut leaves));
    leaves
}

fn add_leaves<'a>(kind: &'a DataType, leaves: &mut Vec<&'a DataType>) {
    match kind {
        DataType::Struct(members) => members.iter().for_each(|member| add_leaves(member.data_type(), leaves)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => add_leaves(item.data_type(), leaves),
        plain => leaves.push(plain),
    }
}
