//! What is around the members of a row in its line.

use tollgate_base::schema::{MODIFIED_COLUMN, URL_COLUMN};

/// The columns of a file that give way to those that are added to every record.
#[derive(Debug, Clone, Default)]
pub(super) struct Added {
    pub(super) constants: Vec<Box<str>>,
    /// Whether the rows are inside of a member of their own, where they cannot meet the connector's own columns.
    pub(super) nested: bool,
}

impl Added {
    pub(super) fn has(&self, name: &str) -> bool {
        let own = !self.nested && (name == MODIFIED_COLUMN || name == URL_COLUMN);
        own || self.constants.iter().any(|constant| **constant == *name)
    }
}

/// What is around the members of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) suffix: &'a [u8],
    /// Whether the suffix closes an object first, so that the last member must not end with a comma.
    pub(super) closes: bool,
    /// How much of the suffix belongs to the object that the row is.
    pub(super) members: usize,
    /// Columns that are not taken from the rows.
    pub(super) added: &'a Added,
}
