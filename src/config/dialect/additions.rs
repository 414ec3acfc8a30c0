//! Parameters of our own that every dialect takes at its root.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dialect;
use crate::config::defaults;
use crate::config::job::Job;
use crate::config::notes::Notes;
use crate::config::read::{Object, Whole, part_of};
use crate::error::Result;

/// What every dialect takes at its root.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(in crate::config) struct Additions {
    /// Whether you, the requester, pay for requests and transfer, as buckets with "requester pays" demand. Without it
    /// such buckets refuse access.
    #[serde(default = "requester_pays")]
    #[schemars(title = "Requester Pays", extend("group" = "advanced"))]
    pub(super) requester_pays: bool,
    /// How many files are read at the same time. When absent the connector chooses by itself; in the flat form it
    /// is 4. All files together share one memory budget, whatever their number.
    #[schemars(title = "Parallel Workers", extend("minimum" = 1, "maximum" = 1024, "group" = "advanced"))]
    pub(super) parallel_workers: Option<Whole>,
    /// Rows per batch at most. A smaller number saves memory where rows are very wide. When absent the reader of the
    /// format chooses; in the flat form it is 10,000.
    #[schemars(title = "Batch Size", extend("minimum" = 1, "maximum" = 1000000, "group" = "advanced"))]
    pub(super) batch_size: Option<Whole>,
}

fn requester_pays() -> bool {
    defaults::REQUESTER_PAYS.airbyte
}

/// Parameters that are known in every dialect and not supported yet, with the way out.
const NOT_YET: &[(&str, &str)] = &[
    ("cost_limit_usd", "remove it; nothing stops a run at a sum of money yet"),
    ("max_files_per_run", "remove it, or narrow the prefix or the globs to fewer files"),
    ("max_data_size_gb", "remove it, or narrow the prefix or the globs to fewer files"),
    ("dev_sampling", "remove it, or narrow the prefix or the globs to a few files"),
    ("dev_max_files", "remove it, or narrow the prefix or the globs to a few files"),
    ("partition_keys", "remove it, or write the partitions into the prefix or the globs"),
    ("partition_filter", "remove it, or write the partitions into the prefix or the globs"),
];

/// Reads them, and refuses those that would have no effect.
///
/// # Errors
/// Config, as all reading.
pub(super) fn read(object: &Object, notes: &mut Notes) -> Result<Additions> {
    refuse(object, "", NOT_YET, notes);
    part_of(object, "", notes)
}

/// Notes each parameter of a list that is written.
pub(super) fn refuse(object: &Object, path: &str, list: &[(&str, &str)], notes: &mut Notes) {
    for (key, way_out) in list {
        if object.get(*key).is_some_and(|value| !value.is_null()) {
            notes.refused(crate::config::notes::join(path, key), *way_out);
        }
    }
}

/// The names of all of them: known, though a dialect's own struct does not have them.
pub(super) fn names() -> Vec<&'static str> {
    let read = crate::config::read::fields_of::<Additions>();
    read.iter().copied().chain(NOT_YET.iter().map(|(name, _)| *name)).collect()
}

impl Additions {
    /// Puts them into the job, with the dialect's defaults where nothing is written.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(super) fn applied(&self, dialect: Dialect, mut job: Job, notes: &mut Notes) -> Result<Job> {
        let mut number = |name: &str, written: Option<Whole>, default: Option<u64>, most| {
            if let Some(default) = default.filter(|_| written.is_none()) {
                notes.defaulted(name.to_owned(), &default.into());
            }
            written.map_or(Ok(default), |number| number.between(1, most, name).map(Some))
        };
        let parallel = number("parallel_workers", self.parallel_workers, defaults::PARALLEL_FILES.of(dialect), 1024)?;
        let rows = number("batch_size", self.batch_size, defaults::BATCH_ROWS.of(dialect), 1_000_000)?;
        let fits = |number: u64| usize::try_from(number).expect("at most a million");
        job.parallel_files = parallel.map(fits);
        for stream in &mut job.streams {
            stream.batch_rows = rows.map(fits);
        }
        job.connection.requester_pays = self.requester_pays;
        Ok(job)
    }
}
