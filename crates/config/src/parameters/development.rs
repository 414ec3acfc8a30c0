//! Reading less while a pipeline is developed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Decimal, Whole};
use tollgate_base::error::Result;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct DevelopmentInput {
    /// For development: the part of the stream that is read at most, for example `0.1`. Whole files, chosen by their
    /// keys, with at most that part of all bytes and less than that part of all files, since the listing costs as much as
    /// before: the same ones each time, and one at least. Where whole files do not fit, of one more file only a part is
    /// read: some row groups of a Parquet file, one at least, or the first rows of plain CSV or JSONL in UTF-8. When
    /// absent all is read.
    #[schemars(title = "Development Sampling", extend("exclusiveMinimum" = 0, "maximum" = 1, "group" = "cost"))]
    dev_sampling: Option<Decimal>,
    /// For development: how many files of each stream are read at most. When absent all are read.
    #[schemars(title = "Development Max Files", extend("minimum" = 1, "group" = "cost"))]
    dev_max_files: Option<Whole>,
}

/// How much of the files is read; `None` is all.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Development {
    /// The part of the files that is read, above 0 and at most 1.
    pub(crate) sampling: Option<f64>,
    /// Files read at most in a run.
    pub(crate) max_files: Option<u64>,
}

impl DevelopmentInput {
    /// What it means.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(crate) fn parse(&self) -> Result<Development> {
        let sampling = self.dev_sampling.as_ref().map(|rate| rate.above(0.0, 1.0, "dev_sampling"));
        let max_files = self.dev_max_files.map(|files| files.between(1, u64::MAX, "dev_max_files"));
        Ok(Development { sampling: sampling.transpose()?, max_files: max_files.transpose()? })
    }
}

impl From<Development> for DevelopmentInput {
    fn from(development: Development) -> Self {
        Self {
            dev_sampling: development.sampling.map(Decimal::exactly),
            dev_max_files: development.max_files.map(Whole::from),
        }
    }
}
