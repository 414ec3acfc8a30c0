//! Which dialect a configuration is written in.

use crate::input::Object;
use tollgate_base::error::{Error, Result};

/// A way to write a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `airbyte/source-s3` version 4: streams in a list, credentials in an object (from 4.16) or at the root.
    Airbyte,
    /// `airbyte/source-s3` version 3: one stream, the connection in `provider`.
    AirbyteV3,
    /// One stream, every parameter at the root.
    Flat,
    /// Names as Fivetran's S3 connector gives them.
    Fivetran,
}

/// Keys that only version 3 of Airbyte's connector has.
const AIRBYTE_V3: &[&str] = &["provider", "dataset", "path_pattern"];
/// Keys that only version 4 has.
const AIRBYTE: &[&str] = &["streams", "credentials", "delivery_method", "aws_access_key_id", "aws_secret_access_key"];
/// Keys that only Fivetran has.
const FIVETRAN: &[&str] = &[
    "access_key_secret",
    "file_type",
    "pattern",
    "archive_pattern",
    "files",
    "file_mapping_method",
    "extraction_pattern",
    "table_group_name",
    "list_strategy",
    "json_delivery_mode",
    "is_public",
    "connection_type",
    "is_private_link_required",
    "append_file_option",
    "auth_type",
    "use_pgp_encryption_options",
    "quote_character_enabled",
];

/// Recognises the dialect by its keys. A configuration with `streams` is always version 4, as for the connector that it
/// comes from.
pub(crate) fn recognise(object: &Object) -> Dialect {
    let any = |keys: &[&str]| keys.iter().any(|&key| object.contains_key(key));
    if object.contains_key("streams") {
        return Dialect::Airbyte;
    }
    let format_object = object.get("format").is_some_and(serde_json::Value::is_object);
    if any(AIRBYTE_V3) || format_object {
        return Dialect::AirbyteV3;
    }
    if any(AIRBYTE) {
        return Dialect::Airbyte;
    }
    if any(FIVETRAN) {
        return Dialect::Fivetran;
    }
    Dialect::Flat
}

/// Keys that only the flat form has.
const FLAT: &[&str] = &[
    "path_prefix",
    "file_format",
    "secret_access_key",
    "access_key",
    "secret_key",
    "csv_delimiter",
    "csv_header",
    "csv_encoding",
];

/// Refuses a mixture of the flat form and Fivetran's names. Half of it would have no effect, and too many files would
/// be read.
pub(crate) fn one_dialect(object: &Object) -> Result<()> {
    let first = |keys: &[&'static str]| keys.iter().find(|&&key| object.contains_key(key)).copied();
    match (first(FIVETRAN), first(FLAT)) {
        (Some(fivetran), Some(flat)) => {
            let message =
                format!("`{fivetran}` is a Fivetran-style parameter, and `{flat}` is a parameter of the flat form");
            Err(Error::config(message).hint("use the parameters of only one form"))
        }
        _ => Ok(()),
    }
}
