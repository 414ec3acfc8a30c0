//! The names in a header.

use crate::error::{Error, Result};

/// The names of a header's cells. Empty cells at the end are cut; one in between has no name to emit its values under.
pub(super) fn names(cells: &[&[u8]]) -> Result<Vec<Box<str>>> {
    let named = cells.iter().rposition(|cell| !blank(cell)).map_or(0, |last| last + 1);
    if named == 0 {
        return Err(Error::data("the header has only empty column names")
            .hint("skip the rows before the header, or give the column names in the stream's options"));
    }
    if let Some(place) = cells[..named].iter().position(|cell| blank(cell)) {
        return Err(Error::data("the header has an empty column name between others")
            .with("column", place + 1)
            .hint("name the column, or give the column names in the stream's options"));
    }
    Ok(cells[..named].iter().map(|cell| String::from_utf8_lossy(cell).into()).collect())
}

fn blank(cell: &[u8]) -> bool {
    cell.iter().all(u8::is_ascii_whitespace)
}
