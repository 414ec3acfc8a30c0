//! How much is read at the same time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, PerDialect};
use crate::input::{Whole, positive_or};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::Result;

const PARALLEL_FILES: PerDialect<Option<u64>> = PerDialect::same(None).flat(Some(4));
const BATCH_ROWS: PerDialect<Option<u64>> = PerDialect::same(None).flat(Some(10_000));

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct WorkloadInput {
    /// How many files are read in parallel. All files share one memory budget, however many there are. When absent,
    /// the connector chooses the number; in the flat form it is 4.
    #[schemars(title = "Parallel Workers", extend("minimum" = 1, "maximum" = 1024, "group" = "advanced"))]
    parallel_workers: Option<Whole>,
    /// The maximum number of rows in a batch. A smaller number saves memory when rows are very wide. When absent, the
    /// reader of the format chooses; in the flat form it is 10,000.
    #[schemars(title = "Batch Size", extend("minimum" = 1, "maximum" = 1000000, "group" = "advanced"))]
    batch_size: Option<Whole>,
}

/// How much is read at the same time; `None` leaves it to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Workload {
    /// Files read at the same time.
    pub(crate) parallel_files: Option<usize>,
    /// Rows per batch at most.
    pub(crate) batch_rows: Option<usize>,
}

impl WorkloadInput {
    /// What it means in a dialect.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(crate) fn parse(&self, dialect: Dialect, log: &mut ProvenanceLog) -> Result<Workload> {
        let fits = |number: u64| usize::try_from(number).expect("at most a million");
        let parallel = PARALLEL_FILES.of(dialect);
        let parallel = positive_or(self.parallel_workers, parallel, 1024, "parallel_workers", log)?;
        let rows = positive_or(self.batch_size, BATCH_ROWS.of(dialect), 1_000_000, "batch_size", log)?;
        Ok(Workload { parallel_files: parallel.map(fits), batch_rows: rows.map(fits) })
    }
}

impl From<Workload> for WorkloadInput {
    fn from(workload: Workload) -> Self {
        let number = |number: usize| Whole::from(number as u64);
        Self { parallel_workers: workload.parallel_files.map(number), batch_size: workload.batch_rows.map(number) }
    }
}
