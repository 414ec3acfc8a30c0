//! How large a workbook may be, and the errors of one that is larger or damaged.

use tollgate_base::error::{Error, ErrorKind};

/// Bytes of a workbook at most.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// Bytes of the files in a workbook at most, and of the rows that are made of them.
pub(crate) const MOST_UNPACKED_BYTES: u64 = 512 << 20;
/// Columns of a sheet at most: as many as Excel has.
pub(crate) const MOST_COLUMNS: u32 = 16_384;
/// Bytes of the parts that are neither sheets nor shared texts at most: styles, and what is found where.
pub(crate) const MOST_PART_BYTES: u64 = 32 << 20;
/// Bytes of the shared texts in memory at most.
pub(crate) const MOST_TEXT_BYTES: u64 = 96 << 20;
/// What a shared text takes besides its bytes.
pub(crate) const TEXT_BYTES: u64 = 56;
/// Bytes of a text at most. Excel has 32,767 characters in a cell.
pub(crate) const MOST_CELL_BYTES: u64 = 1 << 20;
/// Rows of a sheet at most: as many as Excel has.
pub(crate) const MOST_ROWS: u32 = 1 << 20;
/// A workbook up to this size needs no room of its own.
pub(crate) const FREE_BYTES: u64 = 1 << 20;

pub(crate) fn too_large(name: &'static str, bytes: u64, limit: u64) -> Error {
    Error::new(ErrorKind::TooLarge, "the workbook is larger than the limit allows")
        .with(name, bytes)
        .with("limit_bytes", limit)
        .hint("a workbook must fit into memory; save large tables as CSV or Parquet")
}

pub(crate) fn damaged(reason: impl ToString) -> Error {
    Error::data("the object is not an Excel workbook, or it is damaged")
        .with("reason", reason.to_string())
        .hint("check the stream's format; xlsx and xlsb are supported")
}
