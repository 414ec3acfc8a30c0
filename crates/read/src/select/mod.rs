//! Which files of a stream are read, in which order, and what of them is wanted.

pub(crate) mod approach;
pub(crate) mod basis;
pub(crate) mod columns;
pub(crate) mod dead_letter_keys;
pub(crate) mod decided;
pub(crate) mod inventory;
pub(crate) mod inventory_listing;
pub(crate) mod keys;
pub(crate) mod list_files;
pub(crate) mod listing;
pub(crate) mod partition;
pub(crate) mod prefixes;
pub(crate) mod queue;
pub(crate) mod row_selection;
