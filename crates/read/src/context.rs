//! What the tasks that read the files of a stream share, are given, and end with.

use std::sync::{Arc, OnceLock};

use super::bad_rows::Tolerance;
use super::budgets::Budgets;
use super::dead_letters::DeadLetterStore;
use super::emit::{Event, Outgoing};
use super::keys::Keys;
use super::progress::Progress;
use super::report::Report;
use super::skipped::SkipReason;
use super::stop::Stop;
use super::transfer::Transfer;
use tollgate_base::options::Projection;
use tollgate_base::predicate::Predicate;
use tollgate_config::job;
use tollgate_cost::{CostReservation, CostTracker};
use tollgate_cursor::Cursor;
use tollgate_format::DecodeLimits;
use tollgate_record::StreamEncoder;
use tollgate_record::row_filter::RowFilter;
use tollgate_runtime::clock::Clock;
use tollgate_s3::Store;

/// What the tasks of a stream share.
pub(super) struct StreamContext {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) budgets: Budgets,
    pub(super) outgoing: Outgoing,
    pub(super) stream: job::Stream,
    pub(super) projection: Projection,
    /// What the rows must pass, for decoders that can ask statistics.
    pub(super) predicates: Arc<[Predicate]>,
    /// Which rows are left out.
    pub(super) pick: Option<RowFilter>,
    pub(super) encoder: StreamEncoder,
    pub(super) limits: DecodeLimits,
    pub(super) tolerance: Tolerance,
    pub(super) letters: Option<DeadLetterStore>,
    pub(super) report: Report,
    pub(super) progress: Arc<Progress>,
    /// Where the stream delivers files, and not what is in them.
    pub(super) transfer: Option<Transfer>,
    /// How keys are read, once the listing is prepared.
    pub(super) keys: OnceLock<Keys>,
    /// The cursor as the run began, once the listing is prepared.
    pub(super) cursor: OnceLock<Arc<Cursor>>,
    pub(super) cost_tracker: CostTracker,
    /// Whether a file that is read by ranges says what it will ask for, since no plan before the run knew it.
    pub(super) untold: OnceLock<()>,
}

/// How the reading of a file ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileEnd {
    /// All rows were handed on.
    Read,
    /// The run was asked to stop.
    Stopped,
    /// The part that a limit allows was handed on.
    Limited,
}

/// How a file is to be read, besides where from.
#[derive(Debug)]
pub(super) struct ReadGrant {
    /// Whether it has the connections to itself.
    pub(super) alone: bool,
    /// The byte before which a limit ends it.
    pub(super) until: Option<u64>,
    /// What is set aside for it.
    pub(super) account: CostReservation,
}

impl StreamContext {
    /// Whether an inventory told of a key.
    pub(super) fn from_inventory(&self, key: &str) -> bool {
        self.keys.get().is_some_and(|keys| keys.is_of_inventory(key))
    }

    /// Counts a file that was deleted after the inventory; it has nothing to read.
    pub(super) async fn forget(&self, key: Arc<str>) -> FileEnd {
        self.report.add_skipped(SkipReason::GoneSinceInventory, 1);
        self.outgoing.send(Event::Forget { key }).await;
        FileEnd::Read
    }
}

/// [`StreamContext::from_inventory`]
pub(super) fn from_inventory(context: &StreamContext, key: &str) -> bool {
    context.from_inventory(key)
}

/// [`StreamContext::forget`]
pub(super) async fn forget(context: &StreamContext, key: Arc<str>) -> FileEnd {
    context.forget(key).await
}
