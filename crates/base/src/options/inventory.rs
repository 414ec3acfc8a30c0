//! An S3 Inventory in place of a listing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far before the time of an inventory partitions are listed too, in seconds. S3 takes hours to create an
/// inventory, and may omit objects that were written shortly before.
pub const MARGIN_SECONDS: i64 = 2 * 86_400;

/// Where an inventory is, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventorySource {
    /// The bucket that contains it.
    pub bucket: String,
    /// The key of a manifest, or a folder (with a slash at its end) whose newest complete inventory is used.
    pub key: String,
    /// How far before its time partitions are also listed, in seconds.
    pub margin_seconds: i64,
    /// What happens if keys have no dates, so that it is not known which keys are newer than the inventory.
    pub on_gap: OnGap,
}

/// What happens if only a full listing would find files that are newer than the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::choice::words_only)]
pub enum OnGap {
    /// The stream is refused.
    #[default]
    Fail,
    /// Files that are newer than the inventory wait for the next one, and a warning says so.
    Warn,
}

impl InventorySource {
    /// Parses `s3://bucket/…/manifest.json` or `s3://bucket/folder/`. `None` if it is neither.
    #[must_use]
    pub fn at(location: &str) -> Option<Self> {
        let (bucket, key) = location.trim().strip_prefix("s3://")?.split_once('/')?;
        let folder = key.is_empty() || key.ends_with('/') || !key.ends_with(".json");
        let slash = if folder && !key.is_empty() && !key.ends_with('/') { "/" } else { "" };
        let named = !bucket.is_empty();
        named.then(|| Self {
            bucket: bucket.to_owned(),
            key: format!("{key}{slash}"),
            margin_seconds: MARGIN_SECONDS,
            on_gap: OnGap::default(),
        })
    }

    /// As [`InventorySource::at`] reads it.
    #[must_use]
    pub fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_a_manifest_or_a_folder() {
        for (text, expected) in [
            (
                "s3://b/inv/src/daily/2024-01-15T01-00Z/manifest.json",
                Some("inv/src/daily/2024-01-15T01-00Z/manifest.json"),
            ),
            ("s3://b/inv/src/daily/", Some("inv/src/daily/")),
            ("s3://b/inv/src/daily", Some("inv/src/daily/")),
            ("s3://b/", Some("")),
            ("s3://b", None),
            ("s3:///x", None),
            ("/tmp/manifest.json", None),
        ] {
            let source = InventorySource::at(text);
            assert_eq!(source.as_ref().map(|source| source.key.as_str()), expected, "{text}");
            if let Some(source) = source {
                assert_eq!(InventorySource::at(&source.location()), Some(source));
            }
        }
    }
}
