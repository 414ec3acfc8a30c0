//! Decides what will be listed and read, as plain values: patterns, prefixes, selection, order, ranges.
//!
//! Nothing here does I/O; a plan can be printed, compared and tested with values.

pub mod estimate;
pub mod files;
pub mod inventory;
pub mod listing;
pub mod order;
pub mod partition;
pub mod pattern;
pub mod ranges;
pub mod sample;
pub mod select;
pub mod sorted;
pub mod walk;
