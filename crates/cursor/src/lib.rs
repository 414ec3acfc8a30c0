//! The state document of a stream, and every decision about what was already read.
//!
//! A cursor is a reducer: a state document and events (a file started, progressed, finished, failed) produce the next
//! document. Two kinds share the events: [`Incremental`] remembers files by their modification time, and
//! [`FullRefresh`] remembers how far the keys were read, so that an interrupted run can continue.
//!
//! A document guarantees that every row of every file that it calls read, and that is not pending, was written to the
//! sink before the document.

mod archives;
mod basis;
mod cursor;
mod decision;
mod document;
mod full_refresh;
mod incremental;
mod partitions;
mod reconcile;
mod seen_files;
mod sketch;
mod tally;
#[cfg(test)]
mod tests;

pub use basis::Basis;
pub use cursor::Cursor;
pub use decision::Decision;
pub use document::{Horizon, Mode, Pending, RecordCursor, StreamState, TollgateState};
pub use full_refresh::FullRefresh;
pub use incremental::{HISTORY_ENTRIES, Incremental};
pub use partitions::{PartitionCursor, PartitionListing};
pub use reconcile::{ListingReconciler, Observation, OpenFile, ReconciledListing, Window};
pub use seen_files::SavedPart;
pub use tally::ListedKeys;
