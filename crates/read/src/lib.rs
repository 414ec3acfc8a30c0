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

mod archive;
mod bad_rows;
mod basis;
mod check;
mod discover;
mod dispatch;
mod emit;
mod estimate;
mod fetch;
mod file;
mod infer_format;
mod inventory;
mod keys;
mod letters;
mod listing;
mod partition;
mod plan;
mod preflight;
mod preview;
mod probe;
mod progress;
mod report;
mod sample;
mod steps;
mod stop;
mod stream;
mod transfer;
mod wanted;

pub use check::check;
pub use discover::discover;
pub use emit::Emitted;
pub use estimate::{RunEstimate, StreamEstimate, estimate};
pub use infer_format::infer_formats;
pub use preview::{SkippedPrefix, StreamPreview, preview};
pub use stop::{Stop, StopReason};
pub use stream::{Failures, ReadOptions, Reader};

use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_runtime::memory::Budget;

/// The byte budget of a run, unless the configuration gives another: what is on its way from S3 and to stdout, and what is
/// decoded of it.
pub const DEFAULT_MEMORY_BYTES: usize = 144 << 20;

/// Files in flight, unless the configuration gives another number. Enough to hide the latency of small objects; large
/// ones are held back by the budget.
pub const DEFAULT_PARALLEL_FILES: usize = 16;

/// The sides of the budget. They are apart so that a task that holds one can always get at the next, in this order: what a
/// decoder holds, what is fetched for it, what is decoded of that at once, and its lines, which the emitter frees, who waits
/// for nobody but the reader of stdout. A task that holds something never waits for what comes before it, nor for more of the
/// same; and a request for more than there is gets all there is. So the task that is first in a queue always goes on.
#[derive(Debug, Clone)]
struct Budgets {
    /// What decoders of streams hold: files as a whole, the windows of decompressors, long rows and blocks.
    held: Budget,
    fetched: Budget,
    /// What decoders of ranges make of what was fetched for them.
    decoded: Budget,
    output: Budget,
}

impl Budgets {
    fn new(total_bytes: usize) -> Self {
        let sixth = total_bytes / 6;
        Self {
            held: Budget::new(sixth),
            fetched: Budget::new(2 * sixth),
            decoded: Budget::new(2 * sixth),
            output: Budget::new(sixth),
        }
    }
}

/// The stream of the configuration with this name.
///
/// # Errors
/// `Config`, naming the streams there are.
fn stream_named<'job>(
    streams: &'job [tollgate_config::job::Stream],
    name: &str,
) -> Result<&'job tollgate_config::job::Stream> {
    streams.iter().find(|stream| stream.name == name).ok_or_else(|| {
        let known: Vec<_> = streams.iter().map(|stream| format!("'{}'", stream.name)).collect();
        Error::new(
            ErrorKind::Config,
            format!("the catalog asks for stream '{name}', which the configuration does not have"),
        )
        .with("stream", name)
        .hint(format!("refresh the connection's schema; the configuration has {}", known.join(", ")))
    })
}
