//! The reading pipeline, and everything else that looks at objects: check and discover.
//!
//! ```text
//!            decide, order                fetch, decode, encode                    write, remember
//!  listing ───────────────▶ dispatcher ──▶ file task ┐
//!                             │            file task ┼─ Event (bounded) ─▶ emitter ─▶ sink
//!                             └─ Begin ───────────────┘                       └─▶ cursor ─▶ STATE
//! ```
//!
//! Many files are in flight; their blocks of lines interleave. The emitter is one thread: it writes a block, then moves
//! the cursor, so a STATE covers exactly what was printed before it. Who waits for stdout waits in `Event`'s queue; then
//! file tasks wait, and nobody reads their sockets. All data on its way is inside one byte budget.

// The futures of the SDK are nested deeply, and ours lie around them.
#![recursion_limit = "256"]

mod approach;
mod archive;
mod bad_rows;
mod basis;
mod budgets;
mod check;
mod columns;
mod context;
mod current_version;
mod dead_letters;
mod decided;
mod deliver_file;
mod discover;
mod emit;
mod estimate;
mod fetch;
mod file;
mod file_reader;
mod infer_format;
mod inventory;
mod inventory_listing;
mod keys;
mod listing;
mod options;
mod partition;
mod plan;
mod prefixes;
mod preflight;
mod preview;
mod probe;
mod progress;
mod queue;
mod range_source;
mod reader;
mod report;
mod room;
mod row_selection;
mod sample;
mod scan;
mod select;
mod skipped;
mod stop;
mod stream;
mod transfer;

pub use check::check;
pub use discover::discover;
pub use emit::Emitted;
pub use estimate::{RunEstimate, StreamEstimate, estimate};
pub use file_reader::{Extent, FileReader, ReadResources, ReadStep};
pub use infer_format::infer_formats;
pub use options::{DEFAULT_MEMORY_BYTES, DEFAULT_PARALLEL_FILES, ReadOptions};
pub use preview::{SkippedPrefix, StreamPreview, preview};
pub use reader::Reader;
pub use scan::{FileScan, Scan};
pub use stop::{Stop, StopReason};
pub use stream::Failures;
