//! What a run has at hand.

use crate::options::{DEFAULT_PARALLEL_FILES, ReadOptions};
use tollgate_config::job::Job;
use tollgate_cost::usage::Operation;
use tollgate_cost::{CostTracker, Usage, usage_of, usage_since};
use tollgate_s3::Store;

/// Reads streams.
pub struct Reader<'a> {
    pub(crate) job: &'a Job,
    pub(crate) store: Store,
    pub(crate) cost_tracker: CostTracker,
    pub(crate) options: ReadOptions,
}

impl<'a> Reader<'a> {
    /// A reader for a job. The store asks the cost tracker's gate, and counts in its ledger.
    #[must_use]
    pub fn new(job: &'a Job, store: Store, cost_tracker: CostTracker, options: ReadOptions) -> Self {
        Self { job, store, cost_tracker, options }
    }

    /// Files in flight at most.
    pub(crate) fn parallel_files(&self) -> usize {
        self.job.parallel_files.unwrap_or(DEFAULT_PARALLEL_FILES).max(1)
    }
}

/// GETs that were made since.
pub(crate) fn gets_since(cost_tracker: &CostTracker, before: &[Usage]) -> Vec<Usage> {
    let mut usage = usage_since(&usage_of(cost_tracker.ledger()), before);
    usage.retain(|usage| usage.row.operation == Operation::GetObject);
    usage
}
