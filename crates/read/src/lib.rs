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

mod deliver;
mod files;
mod options;
mod reader;
mod scan;
mod select;
mod skipped;
mod stream;
mod verbs;

pub use deliver::emit::Emitted;
pub use files::file_reader::{Extent, FileReader, ReadResources, ReadStep};
pub use files::stop::{Stop, StopReason};
pub use options::{DEFAULT_MEMORY_BYTES, DEFAULT_PARALLEL_FILES, ReadOptions};
pub use reader::Reader;
pub use scan::{FileScan, Scan};
pub use stream::Failures;
pub use verbs::check::check;
pub use verbs::discover::discover;
pub use verbs::estimate::{RunEstimate, StreamEstimate, estimate};
pub use verbs::infer_format::infer_formats;
pub use verbs::preview::{SkippedPrefix, StreamPreview, preview};
