//! Choices of a run that are not the configuration's, and defaults.

use tollgate_runtime::clock::Clock;

/// The byte budget of a run: what is on its way from S3 and to stdout, and what is decoded of it.
pub const DEFAULT_MEMORY_BYTES: usize = 144 << 20;

/// Files in flight, unless the configuration gives another number. Enough to hide the latency of small objects; large
/// ones are held back by the budget.
pub const DEFAULT_PARALLEL_FILES: usize = 16;

/// Choices of a run that are not the configuration's.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions {
    /// The clock.
    pub clock: Clock,
    /// A STATE at least every so many bytes of records.
    pub state_bytes: u64,
}
