//! The delivery: the rows of the files as records, or the files themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Object, section, tag_of, tagged, without_defaults};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::{Error, ErrorKind, Result};

const TAG: &str = "delivery_type";

/// Airbyte's `delivery_method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// The rows of the files, as records.
    #[default]
    Records,
    /// The files themselves, and a record for each.
    Files {
        /// Whether a file has the folders of its key, or only its name.
        preserve_directory_structure: bool,
    },
}

/// `delivery_method` as it is written.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "delivery_type", rename_all = "snake_case")]
pub(crate) enum DeliveryMethod {
    #[schemars(title = "Replicate Records")]
    UseRecordsTransfer(RecordsTransferInput),
    #[schemars(title = "Copy Raw Files")]
    UseFileTransfer(FileTransferInput),
}

/// Read the files and deliver their rows as records.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordsTransferInput {}

/// Copy the files unchanged, for destinations that accept files. They are not parsed and not decompressed.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct FileTransferInput {
    /// Whether files keep the folders of their keys. If not, all files are delivered to one folder, and their names
    /// must be unique.
    #[serde(default = "preserve_directory_structure")]
    #[schemars(title = "Preserve Sub-Directories in File Paths")]
    preserve_directory_structure: bool,
}

fn preserve_directory_structure() -> bool {
    true
}

/// Reads `delivery_method`.
///
/// # Errors
/// Config or Unsupported, naming the key.
pub(crate) fn parse(object: &Object, log: &mut ProvenanceLog) -> Result<Delivery> {
    let path = "delivery_method";
    if object.get(TAG).is_some_and(|name| name == "use_permissions_transfer") {
        let message = format!("`{path}.{TAG}` is 'use_permissions_transfer', which is not possible with S3");
        return Err(
            Error::new(ErrorKind::Unsupported, message).hint("set it to 'use_records_transfer' or 'use_file_transfer'")
        );
    }
    if tag_of(object, path, TAG, &["use_records_transfer", "use_file_transfer"])? == "use_file_transfer" {
        let FileTransferInput { preserve_directory_structure } = section(object, path, &[TAG], log)?;
        return Ok(Delivery::Files { preserve_directory_structure });
    }
    // The option of the other method may be left over; the connector it comes from does not mind.
    section::<RecordsTransferInput>(object, path, &[TAG, "preserve_directory_structure"], log)?;
    Ok(Delivery::Records)
}

/// `delivery_method` in the native form; `None` is the default.
pub(crate) fn native(delivery: Delivery) -> Option<Object> {
    match delivery {
        Delivery::Records => None,
        Delivery::Files { preserve_directory_structure } => {
            let files = FileTransferInput { preserve_directory_structure };
            Some(tagged(TAG, "use_file_transfer", without_defaults(&files, &[])))
        }
    }
}
