//! The page index: where the pages of a column chunk lie, and what values they have. Read with [`Walk`], column by
//! column, so that nothing is decoded that nobody asked for.

use super::shape::{Walk, kind};

/// Where a data page lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    /// Bytes of the file before it.
    pub(super) offset: u64,
    /// Its length with its header.
    pub(super) bytes: u64,
    /// Rows of the row group before it.
    pub(super) first_row: u64,
}

/// What the pages of a column chunk hold.
#[derive(Debug, Default)]
pub(super) struct PageValues<'a> {
    /// Whether a page has nothing but nulls.
    pub(super) null_pages: Vec<bool>,
    /// The least value of each page.
    pub(super) least: Vec<&'a [u8]>,
    /// The greatest value of each page.
    pub(super) greatest: Vec<&'a [u8]>,
    /// The nulls of each page, where that is known.
    pub(super) null_counts: Vec<i64>,
}

/// Reads an `OffsetIndex`. `None` where it is damaged, or is none of a row group of `rows` in which the chunk lies at
/// `chunk`: pages must lie in it one behind the other, the first with the first row.
pub(super) fn locations(bytes: &[u8], chunk: &std::ops::Range<u64>, rows: u64) -> Option<Vec<Location>> {
    let mut walk = Walk::new(bytes);
    let (mut field, mut found) = (0, Vec::new());
    while let Some(kind) = walk.field(&mut field)? {
        if field == 1 && kind == kind::LIST {
            let (count, kind) = walk.list()?;
            for _ in 0..count {
                found.push(location(&mut walk, kind)?);
            }
        } else {
            walk.value(kind, 1)?;
        }
    }
    let mut behind = (chunk.start, 0);
    for (index, location) in found.iter().enumerate() {
        let end = location.offset.checked_add(location.bytes)?;
        let ordered = if index == 0 { location.first_row == 0 } else { location.first_row > behind.1 };
        if location.offset < behind.0 || end > chunk.end || location.first_row >= rows || !ordered {
            return None;
        }
        behind = (end, location.first_row);
    }
    (!found.is_empty()).then_some(found)
}

fn location(walk: &mut Walk<'_>, list_kind: u8) -> Option<Location> {
    if list_kind != kind::STRUCT {
        return None;
    }
    let (mut field, mut numbers) = (0, [-1_i64; 3]);
    while let Some(kind) = walk.field(&mut field)? {
        match (field, kind) {
            (1..=3, kind::I32 | kind::I64) => numbers[field as usize - 1] = walk.zigzag()?,
            _ => walk.value(kind, 2)?,
        }
    }
    let [offset, bytes, first_row] = numbers.map(u64::try_from);
    Some(Location { offset: offset.ok()?, bytes: bytes.ok()?, first_row: first_row.ok()? })
}

/// Reads a `ColumnIndex`. `None` where it is damaged or has not `pages` pages.
pub(super) fn page_values(bytes: &[u8], pages: usize) -> Option<PageValues<'_>> {
    let mut walk = Walk::new(bytes);
    let (mut field, mut values) = (0, PageValues::default());
    while let Some(kind) = walk.field(&mut field)? {
        match (field, kind) {
            (1, kind::LIST) => values.null_pages = items(&mut walk, |walk, _| Some(walk.byte()? == 1))?,
            (2, kind::LIST) => values.least = items(&mut walk, |walk, _| walk.binary())?,
            (3, kind::LIST) => values.greatest = items(&mut walk, |walk, _| walk.binary())?,
            (5, kind::LIST) => values.null_counts = items(&mut walk, |walk, _| walk.zigzag())?,
            (_, kind) => walk.value(kind, 1)?,
        }
    }
    let whole =
        [values.null_pages.len(), values.least.len(), values.greatest.len()].iter().all(|count| *count == pages);
    let nulls = values.null_counts.is_empty() || values.null_counts.len() == pages;
    (whole && nulls).then_some(values)
}

fn items<'a, T>(walk: &mut Walk<'a>, item: impl Fn(&mut Walk<'a>, u8) -> Option<T>) -> Option<Vec<T>> {
    let (count, kind) = walk.list()?;
    (0..count).map(|_| item(walk, kind)).collect()
}
