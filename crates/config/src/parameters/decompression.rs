//! What decompression may produce.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Whole, positive_or};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::Result;
use tollgate_base::options::Caps;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct DecompressionInput {
    /// The maximum size of one compressed file after decompression, in GB (2^30 bytes). A larger file is an error.
    /// When absent, it is 4096.
    #[schemars(title = "Decompressed Size Limit", extend("minimum" = 1, "maximum" = 1048576, "group" = "advanced"))]
    max_decompressed_gb: Option<Whole>,
    /// The maximum number of decompressed bytes for each compressed byte of a file, beyond the first megabyte. A file
    /// that expands more is an error. When absent, it is 2000.
    #[schemars(title = "Decompression Ratio Limit", extend("minimum" = 1, "maximum" = 1000000000, "group" = "advanced"))]
    max_decompression_ratio: Option<Whole>,
}

impl DecompressionInput {
    /// What it means.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(crate) fn parse(&self, log: &mut ProvenanceLog) -> Result<Caps> {
        let default = Caps::default();
        let gigabytes = Some(default.decoded_bytes >> 30);
        let gigabytes = positive_or(self.max_decompressed_gb, gigabytes, 1 << 20, "max_decompressed_gb", log)?;
        let ratio = Some(default.ratio);
        let ratio = positive_or(self.max_decompression_ratio, ratio, 1_000_000_000, "max_decompression_ratio", log)?;
        Ok(Caps {
            decoded_bytes: gigabytes.map_or(default.decoded_bytes, |gigabytes| gigabytes << 30),
            ratio: ratio.unwrap_or(default.ratio),
        })
    }
}

impl From<Caps> for DecompressionInput {
    fn from(caps: Caps) -> Self {
        let default = Caps::default();
        let changed = |value: u64, default: u64| Some(value).filter(|value| *value != default).map(Whole::from);
        Self {
            max_decompressed_gb: changed(caps.decoded_bytes >> 30, default.decoded_bytes >> 30),
            max_decompression_ratio: changed(caps.ratio, default.ratio),
        }
    }
}
