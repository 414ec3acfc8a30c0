//! Partitions: what the folders of a key say, which of them a filter wants, and how little must be listed for it.
//!
//! ```text
//!   sample of the tree ─▶ detect ─▶ Layout ─┬─▶ values of a key ─▶ columns
//!   partition_filter ─▶ Filter::bind ───────┴─▶ verdict on a key or a prefix ─▶ plan::walk
//! ```
//! A verdict on a prefix is never harder than the verdicts on the keys below it: that is what makes a pruned listing the
//! same as a filtered whole one.

pub mod columns;
pub mod detect;
pub mod error;
pub mod filter;
pub mod layout;
