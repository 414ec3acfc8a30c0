//! What the tasks that read the files of a stream share, are given, and end with.

use std::sync::{Arc, OnceLock};

use crate::deliver::bad_rows::Tolerance;
use crate::deliver::dead_letters::DeadLetterStore;
use crate::deliver::emit::{Event, Outgoing};
use crate::deliver::progress::Progress;
use crate::deliver::report::Report;
use crate::deliver::transfer::Transfer;
use crate::files::budgets::Budgets;
use crate::files::file_reader::ReadResources;
use crate::files::stop::Stop;
use crate::select::keys::Keys;
use crate::skipped::SkipReason;
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
pub(crate) struct StreamContext {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
    pub(crate) budgets: Budgets,
    pub(crate) outgoing: Outgoing,
    pub(crate) stream: job::Stream,
    pub(crate) projection: Projection,
    /// What the rows must pass, for decoders that can ask statistics.
    pub(crate) predicates: Arc<[Predicate]>,
    /// Which rows are left out.
    pub(crate) row_filter: Option<RowFilter>,
    pub(crate) encoder: StreamEncoder,
    pub(crate) limits: DecodeLimits,
    pub(crate) tolerance: Tolerance,
    pub(crate) dead_letters: Option<DeadLetterStore>,
    pub(crate) report: Report,
    pub(crate) progress: Arc<Progress>,
    /// Where the stream delivers files, and not what is in them.
    pub(crate) transfer: Option<Transfer>,
    /// How keys are read, once the listing is prepared.
    pub(crate) keys: OnceLock<Keys>,
    /// The cursor as the run began, once the listing is prepared.
    pub(crate) cursor: OnceLock<Arc<Cursor>>,
    pub(crate) cost_tracker: CostTracker,
    /// Whether a file that is read by ranges says what it will ask for, since no plan before the run knew it.
    pub(crate) unplanned_cost: OnceLock<()>,
}

impl StreamContext {
    /// What readers of its files need; their requests go to `store`.
    pub(crate) fn resources(&self, store: Store) -> ReadResources {
        ReadResources {
            store,
            budgets: self.budgets.clone(),
            stop: self.stop.clone(),
            spending: self.cost_tracker.allowance().cloned(),
        }
    }

    /// Whether the inventory has a key.
    pub(crate) fn is_from_inventory(&self, key: &str) -> bool {
        self.keys.get().is_some_and(|keys| keys.is_of_inventory(key))
    }

    /// Counts a file that was deleted after the inventory was made; it has nothing to read.
    pub(crate) async fn forget(&self, key: Arc<str>) -> FileEnd {
        self.report.add_skipped(SkipReason::GoneSinceInventory, 1);
        self.outgoing.send(Event::Forget { key }).await;
        FileEnd::Read
    }
}

/// How the reading of a file ended, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileEnd {
    /// All rows were handed on.
    Read,
    /// The run was asked to stop.
    Stopped,
    /// The part that a limit allows was handed on.
    Limited,
}

/// How a file is to be read, besides where from.
#[derive(Debug)]
pub(crate) struct ReadGrant {
    /// Whether it has the connections to itself.
    pub(crate) may_split: bool,
    /// The byte before which a limit ends it.
    pub(crate) until: Option<u64>,
    /// What is set aside for it.
    pub(crate) reservation: CostReservation,
}
