//! Reading less while a pipeline is developed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Decimal, Whole};
use tollgate_base::error::Result;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct DevelopmentInput {
    /// For development: the maximum fraction of the stream to read, for example `0.1`. Whole files are selected by
    /// their keys: always the same ones, and at least one. Together they have at most this fraction of all bytes, and
    /// less than this fraction of all files, because listing costs as much as without sampling. If bytes are left, part
    /// of one more file is read: at least one row group of a Parquet file, or the first rows of plain CSV or JSONL in
    /// UTF-8. When absent, everything is read.
    #[schemars(title = "Development Sampling", extend("exclusiveMinimum" = 0, "maximum" = 1, "group" = "cost"))]
    dev_sampling: Option<Decimal>,
    /// For development: the maximum number of files to read from each stream. When absent, all are read.
    #[schemars(title = "Development Max Files", extend("minimum" = 1, "group" = "cost"))]
    dev_max_files: Option<Whole>,
}

/// How much of the files is read; `None` is all.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Development {
    /// The fraction of the files to read, above 0 and at most 1 (`dev_sampling`).
    pub sampling: Option<f64>,
    /// The maximum number of files to read from a stream (`dev_max_files`).
    pub max_files: Option<u64>,
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
