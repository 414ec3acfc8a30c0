//! Partitions: the values in the folders of a key, which partitions a filter selects, and how little must be listed for
//! them.
//!
//! ```text
//!   sample of the tree ─▶ detect ─▶ Layout ─┬─▶ values of a key ─▶ columns
//!   partition_filter ─▶ BoundFilter::bind ──┴─▶ verdict on a key or a prefix ─▶ plan::walk
//! ```
//! A verdict on a prefix is never stricter than the verdicts on the keys below it. So a pruned listing returns the same
//! keys as a complete listing that is filtered afterwards.

pub mod columns;
pub mod detect;
pub mod error;
pub mod filter;
pub mod layout;
