//! What the headers of pages do not tell, counted at the beginning of their text: how long texts are that repeat parts of the
//! texts before them, and in how many rows the values of lists stand.
//!
//! A page of a kilobyte may have a million texts of a megabyte, and a row a hundred million values. Both are found before
//! the library makes them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::body::{body, invalid};
use super::packed;
use super::pages::{Levels, Page, Pages, Untold};
use super::pieces::PLAIN_VALUE_BYTES;
use super::row_counts::{PIECE_VALUES, RowCounts};
use tollgate_base::error::{Error, Result};

/// The values of lists in a slice are not counted where all of them together take no more than this.
const FEW_BYTES: u64 = 4 << 20;
/// What a value inside of lists takes, about.
const NESTED_VALUE_BYTES: u64 = 24;
/// Repeated parts of texts are told apart in pieces of so many bytes, and longer ones where there are many pieces.
const PIECE_BYTES: u64 = 64 << 10;
const MANY_PIECES: u64 = 1024;
/// The levels of repetition of a row that is refused may be counted so many times too low: it is in several columns.
const SHARE: u64 = 4;

/// A row that is longer than any may be, for its number of values alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LongRow {
    /// Where it is in its row group; `None` where rows cannot be told apart.
    pub(super) row: Option<u64>,
    /// Values in all columns, at least.
    pub(super) values: u64,
    /// The leaf column with the most of them.
    pub(super) leaf: usize,
}

/// Forgets pages that need not be looked at, and tells how many bytes looking at the others takes.
pub(super) fn prepare(group: &RowGroupMetaData, leaves: &mut BTreeMap<usize, Pages>) -> u64 {
    let nested = |leaf: usize| group.column(leaf).column_descr().max_rep_level() > 0;
    let values = |pages: &Pages| pages.data.0.iter().fold(0_u64, |sum, (values, _)| sum.saturating_add(*values));
    let all = leaves.iter().filter(|(leaf, _)| nested(**leaf)).map(|(_, pages)| values(pages));
    let few = all.fold(0, u64::saturating_add).saturating_mul(NESTED_VALUE_BYTES) <= FEW_BYTES;
    if few {
        leaves.values_mut().for_each(|pages| pages.untold.retain(|untold| untold.page.has_lengths()));
    }
    leaves.values().flat_map(|pages| &pages.untold).map(|untold| untold.page.decoded()).max().unwrap_or(0)
}

/// Looks at the pages that are left, and finds the first row that is longer than `row_bytes`.
///
/// # Errors
/// Where a page is not what the format says, with its column and number.
pub(super) fn measure(
    group: &RowGroupMetaData,
    leaves: &mut BTreeMap<usize, Pages>,
    row_bytes: u64,
) -> Result<Option<LongRow>> {
    let nested = |leaf: usize| group.column(leaf).column_descr().max_rep_level() > 0;
    let most_values = row_bytes / PLAIN_VALUE_BYTES;
    let columns = leaves.keys().filter(|leaf| nested(**leaf)).count() as u64;
    let many = (most_values / (SHARE * columns.max(1))).max(PIECE_VALUES);
    let mut sure = true;
    for (leaf, pages) in leaves.iter_mut() {
        let (column, untold) = (group.column(*leaf), std::mem::take(&mut pages.untold));
        if nested(*leaf) && !untold.is_empty() {
            pages.rows = Some(RowCounts::new(many));
        }
        for Untold { number, rows, page } in untold {
            let start = rows.as_ref().map(|rows| rows.start);
            look_at(&page, start, column, pages).map_err(|error| {
                let error = Error::data("a Parquet page cannot be read").caused_by(error);
                error.with("column", column.column_path().string()).with("page", number)
            })?;
            let counted = pages.rows.as_ref().map(RowCounts::next_row);
            sure &= rows.is_none_or(|rows| counted.is_none_or(|end| end == rows.end));
        }
        pages.rows.iter_mut().for_each(RowCounts::end);
    }
    let long = without_long_rows(leaves, most_values);
    Ok(long.map(|long| LongRow { row: long.row.filter(|_| sure), ..long }))
}

/// Takes rows out of the counts that have too many values, and gives the first one.
fn without_long_rows(leaves: &mut BTreeMap<usize, Pages>, most_values: u64) -> Option<LongRow> {
    let mut rows = BTreeMap::<u64, (u64, LongRow)>::new();
    for (&leaf, pages) in &*leaves {
        for many in pages.rows.iter().flat_map(RowCounts::many) {
            let (most, row) = rows.entry(many.row).or_insert((0, LongRow { row: Some(many.row), values: 0, leaf }));
            row.values = row.values.saturating_add(many.values);
            if many.values > *most {
                (*most, row.leaf) = (many.values, leaf);
            }
        }
    }
    rows.retain(|_, (_, row)| row.values > most_values);
    for counts in leaves.values_mut().filter_map(|pages| pages.rows.as_mut()) {
        rows.keys().for_each(|row| counts.leave_out(*row));
    }
    rows.into_values().next().map(|(_, row)| row)
}

/// Looks at a page.
fn look_at(page: &Page, start: Option<u64>, column: &ColumnChunkMetaData, pages: &mut Pages) -> io::Result<()> {
    let (levels, stored, decoded, codec) =
        page.parts(column.compression()).ok_or_else(|| invalid("its levels are longer than the page"))?;
    let described = column.column_descr();
    let widths = [described.max_rep_level(), described.max_def_level()].map(|most| 16 - most.leading_zeros() as u8);
    let mut counts = pages.rows.as_mut();
    if let (Some(counts), Some(row)) = (&mut counts, start) {
        counts.go_to(row);
    }
    if let (Some(Levels(levels)), Some(counts)) = (&levels, &mut counts) {
        count_rows(&mut &**levels, widths[0], page.values, false, counts)?;
    }
    if levels.is_some() && !page.has_lengths() {
        return Ok(());
    }
    if stored.is_empty() || decoded == 0 {
        return Ok(());
    }
    let mut text = body(codec, stored, decoded)?;
    if text.fill_buf()?.is_empty() {
        return Ok(());
    }
    if levels.is_none() {
        read_levels(&mut *text, page, widths, counts)?;
    }
    if page.has_lengths() { add_lengths(&mut *text, page, pages) } else { Ok(()) }
}

/// Reads the levels at the beginning of a text, as far as they are needed.
fn read_levels(
    text: &mut dyn BufRead,
    page: &Page,
    widths: [u8; 2],
    mut counts: Option<&mut RowCounts>,
) -> io::Result<()> {
    for (level, (width, packed)) in widths.into_iter().zip(page.packed_levels()).enumerate() {
        if width == 0 || (level == 1 && !page.has_lengths()) {
            continue;
        }
        let length = if packed {
            page.values.saturating_mul(u64::from(width)).div_ceil(8)
        } else {
            let mut length = [0; 4];
            text.read_exact(&mut length)?;
            u64::from(u32::from_le_bytes(length))
        };
        let mut part = (&mut *text).take(length);
        if let Some(counts) = counts.take_if(|_| level == 0) {
            count_rows(&mut part, width, page.values, packed, counts)?;
        }
        io::copy(&mut part, &mut io::sink())?;
    }
    Ok(())
}

/// Counts the rows that begin in a page. Values whose levels are missing begin none.
fn count_rows(
    levels: &mut dyn BufRead,
    width: u8,
    values: u64,
    packed: bool,
    counts: &mut RowCounts,
) -> io::Result<()> {
    let mut add = |values, rows| counts.add(values, rows);
    let read = match packed {
        true => packed::packed_levels(levels, width, values, &mut add)?,
        false => packed::levels(levels, width, values, &mut add)?,
    };
    counts.add(values - read, 0);
    Ok(())
}

/// Looks at the lengths that the values of a page begin with.
fn add_lengths(text: &mut dyn BufRead, page: &Page, pages: &mut Pages) -> io::Result<()> {
    if text.fill_buf()?.is_empty() {
        return Ok(());
    }
    let heading = packed::heading(text, page.values)?;
    if !page.repeats() {
        return Ok(());
    }
    let most = page.values.saturating_mul(page.decoded());
    if most <= PIECE_BYTES {
        pages.repeated.add(page.values, most);
        return Ok(());
    }
    let (mut values, mut bytes, mut pieces) = (0, 0, 0);
    packed::numbers(text, heading, &mut |length, times| {
        // No text is longer than its page, in which all of its parts are.
        let length = u64::try_from(length).map_err(|_| invalid("a text has a negative length"))?.min(page.decoded());
        let mut left = times;
        while left > 0 {
            let piece = PIECE_BYTES * (1 + pieces / MANY_PIECES);
            let taken = piece.checked_div(length).map_or(left, |most| left.min(most.max(1)));
            (values, bytes, left) = (values + taken, bytes + taken * length, left - taken);
            if bytes >= piece {
                pages.repeated.add(std::mem::take(&mut values), std::mem::take(&mut bytes));
                pieces += 1;
            }
        }
        Ok(())
    })?;
    pages.repeated.add(values, bytes);
    Ok(())
}
