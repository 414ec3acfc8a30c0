//! How many columns a file may have.

use tollgate_base::error::Error;

/// Columns of a file at most.
pub(super) const MOST_COLUMNS: usize = 65_536;

/// The error for a header or a row with more columns than a file may have.
pub(super) fn too_many(fields: usize) -> Error {
    Error::data("a CSV row has more fields than the limit allows")
        .with("fields", fields)
        .with("limit_fields", MOST_COLUMNS)
        .hint("check the delimiter")
}
