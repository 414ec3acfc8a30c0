//! An S3 Inventory in place of the listing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::span::span;
use crate::input::wrong;
use crate::provenance::join;
use tollgate_base::error::Result;
use tollgate_base::options::inventory::{InventorySource, MARGIN_SECONDS, OnGap};

/// The parameters as written.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InventoryInput {
    /// An S3 Inventory (CSV or Parquet) to use instead of listing the bucket: `s3://bucket/…/manifest.json`, or the
    /// folder of its configuration, `s3://bucket/prefix/source-bucket/configuration/`. In a folder, the newest complete
    /// inventory is used. It must cover the prefix of the stream and include size, date and ETag. Archived objects
    /// count as not restored. Partitions from the time of the inventory on are listed as well. Files that arrive later
    /// in older partitions are read with the next inventory. When absent, the bucket is listed.
    #[schemars(title = "S3 Inventory")]
    inventory: Option<String>,
    /// How far before the time of the inventory partitions are also listed, for example `12h`. An inventory may lack
    /// objects that were written shortly before it, and files may arrive late. When absent, it is `2d`.
    #[schemars(title = "Inventory Margin")]
    inventory_margin: Option<String>,
    /// What happens if the partitions have no dates, so that only a full listing would find files that are newer than
    /// the inventory. `fail` refuses the stream. `warn` reads the files in the inventory, and reports that newer files
    /// are read only with the next inventory. When absent, it is `fail`.
    #[schemars(title = "On Inventory Gap")]
    on_inventory_gap: Option<OnGap>,
}

impl InventoryInput {
    /// What they mean where they stand at `path`; `None` lists the bucket.
    ///
    /// # Errors
    /// Config, with the JSON path of what is wrong.
    pub(crate) fn parse(&self, path: &str) -> Result<Option<InventorySource>> {
        let margin_seconds = span(self.inventory_margin.as_deref(), &join(path, "inventory_margin"))?;
        let Some(text) = self.inventory.as_deref().filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let source = InventorySource::at(text).ok_or_else(|| {
            let expected = "a manifest or a folder, such as 's3://bucket/inventories/my-bucket/daily/'";
            wrong(&join(path, "inventory"), format!("'{text}'"), expected)
        })?;
        Ok(Some(InventorySource {
            margin_seconds: margin_seconds.unwrap_or(source.margin_seconds),
            on_gap: self.on_inventory_gap.unwrap_or_default(),
            ..source
        }))
    }
}

impl From<Option<&InventorySource>> for InventoryInput {
    fn from(source: Option<&InventorySource>) -> Self {
        let Some(source) = source else { return Self::default() };
        let margin = Some(source.margin_seconds).filter(|margin| *margin != MARGIN_SECONDS);
        Self {
            inventory: Some(source.location()),
            inventory_margin: margin.map(|seconds| format!("{seconds}s")),
            on_inventory_gap: Some(source.on_gap).filter(|on_gap| *on_gap != OnGap::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::part_of;
    use crate::provenance::ProvenanceLog;

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (parameters, part) in [
            (json!({"inventory": "bucket/daily"}), "`inventory` is 'bucket/daily'"),
            (json!({"inventory": "s3://b/daily/", "inventory_margin": "soon"}), "`inventory_margin` is 'soon'"),
            (json!({"inventory": "s3://b/daily/", "on_inventory_gap": "skip"}), "`on_inventory_gap`"),
        ] {
            let object = parameters.as_object().expect("an object");
            let input = part_of::<InventoryInput>(object, "", &mut ProvenanceLog::default());
            let error = input.and_then(|input| input.parse("")).expect_err(&parameters.to_string());
            assert!(error.message().contains(part), "{parameters}: {}", error.message());
        }
    }
}
