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

use super::pages::Pages;
use super::row_counts::RowCounts;

/// The decoded bytes of a batch besides the pages that it begins and ends in, about.
pub(super) const PORTION_BYTES: u64 = 4 << 20;
/// Levels of a value inside of lists, and of its item.
const LEVEL_BYTES: u64 = 8;
/// Decoding may take so many bytes: one row group at a time may take all of it.
pub(super) const MOST_BYTES: u64 = 144 << 20;

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
    /// Whether it is inside of lists.
    repeated: bool,
    /// Whether its values are texts, which are in a batch as views of their pages, or as copies.
    texts: bool,
    /// Whether a batch keeps its pages.
    views: bool,
    /// Whether texts are copied out of the dictionary.
    copies: bool,
}

impl Leaf<'_> {
    /// Values of so many rows at most.
    fn values(&self, rows: u64) -> u64 {
        let all = || self.pages.data.0.iter().fold(0_u64, |sum, (values, _)| sum.saturating_add(*values));
        match &self.pages.rows {
            _ if !self.repeated => rows,
            None => all(),
            Some(counts) => RowCounts::most_within(counts, rows),
        }
    }

    /// Bytes of a batch of so many rows.
    fn batch_bytes(&self, rows: u64) -> u64 {
        let values = self.values(rows);
        let copied = if self.copies { values.saturating_mul(self.pages.dictionary_bytes) } else { 0 };
        let in_place = self.views && self.pages.stored;
        let pages = if self.texts && !in_place { self.pages.data.most_within(values) } else { 0 };
        // The library doubles the memory of texts that it puts together whenever they grow beyond it.
        let repeated = self.pages.repeated.most_within(values).saturating_mul(2);
        [copied, pages, repeated].into_iter().fold(values.saturating_mul(self.width), u64::saturating_add)
    }

    /// Bytes of the pages that a batch begins and ends in, and of the dictionary.
    fn page_bytes(&self) -> u64 {
        let Pages { dictionary_bytes, dictionary_values, data, repeated, stored, .. } = self.pages;
        let dictionary = dictionary_values.saturating_mul(self.width).saturating_add(*dictionary_bytes);
        let pages = if self.views { data.longest().saturating_mul(2) } else { data.longest() };
        let pages = if *stored { 0 } else { pages.min(data.total()) };
        let repeated = repeated.longest().saturating_mul(4).min(repeated.total().saturating_mul(2));
        dictionary.saturating_add(pages).saturating_add(repeated)
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
    // A batch may be a longest row and a portion: one long row does not make all batches short.
    let most_bytes = batch_bytes(1).saturating_add(PORTION_BYTES);
    while rows > 1 && batch_bytes(rows) > most_bytes {
        rows = (rows / 2).max(1);
    }
    let pages = leaves.iter().map(Leaf::page_bytes).fold(0, u64::saturating_add);
    Room { rows, bytes: batch_bytes(rows).saturating_add(pages) }
}

fn leaf_of<'a>(group: &RowGroupMetaData, leaf: usize, pages: &'a Pages, kind: Option<&DataType>) -> Leaf<'a> {
    let column = group.column(leaf).column_descr();
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
    let texts = column.physical_type() == PhysicalType::BYTE_ARRAY;
    Leaf {
        pages,
        width: width + if repeated { LEVEL_BYTES } else { 0 },
        repeated,
        texts,
        views,
        copies: texts && !views && pages.dictionary_bytes > 0 && (pages.plain || pages.dictionary_values >= keys),
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
