//! The byte budget of a run, and its sides.

use tollgate_runtime::memory::Budget;

/// The sides of the budget. They are apart so that a task that holds one can always get at the next, in this order: what a
/// decoder holds, what is fetched for it, what is decoded of that at once, and its lines, which the emitter frees, who waits
/// for nobody but the reader of stdout. A task that holds something never waits for what comes before it, nor for more of the
/// same; and a request for more than there is gets all there is. So the task that is first in a queue always goes on.
#[derive(Debug, Clone)]
pub(crate) struct Budgets {
    /// What decoders of streams hold: files as a whole, the windows of decompressors, long rows and blocks.
    pub(crate) held: Budget,
    pub(crate) fetched: Budget,
    /// What decoders of ranges make of what was fetched for them.
    pub(crate) decoded: Budget,
    pub(crate) output: Budget,
}

impl Budgets {
    pub(crate) fn new(total_bytes: usize) -> Self {
        let sixth = total_bytes / 6;
        Self {
            held: Budget::new(sixth),
            fetched: Budget::new(2 * sixth),
            decoded: Budget::new(2 * sixth),
            output: Budget::new(sixth),
        }
    }
}
