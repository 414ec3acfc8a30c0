//! The dialects: how each is recognised, and one file for each with what is written and how it is meant.

mod additions;
mod airbyte;
mod airbyte_format;
mod flat;

use super::defaults;
use super::job::connection::Connection;
use super::job::{Job, Stream};
use super::notes::Notes;
use super::read::Object;
use crate::error::{Error, Result};
use crate::options::FormatOptions;

pub(super) use additions::Additions;
pub(super) use airbyte::Written as AirbyteWritten;
pub(super) use flat::Written as FlatWritten;

/// A way to write a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `airbyte/source-s3` version 4: streams in a list, credentials in an object (from 4.16) or at the root.
    Airbyte,
    /// `airbyte/source-s3` version 3: one stream, the way to it in `provider`.
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

/// Tells the dialect by its keys. A configuration with `streams` is version 4 whatever else it has, as for the
/// connector that it comes from.
pub(super) fn recognise(object: &Object) -> Dialect {
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

/// Turns a configuration into a job; its provenance goes to the notes.
pub(super) fn understand(object: Object, notes: &mut Notes) -> Result<Job> {
    let job = match recognise(&object) {
        Dialect::Airbyte => airbyte::understand(&object, notes)?,
        Dialect::Flat => flat::understand(object, notes)?,
        Dialect::AirbyteV3 | Dialect::Fivetran => {
            return Err(Error::new(crate::error::ErrorKind::Unsupported, "this dialect is not supported yet"));
        }
    };
    unique_names(&job.streams)?;
    Ok(job)
}

/// Two streams of one name cannot be told apart in catalog, records and state.
fn unique_names(streams: &[Stream]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    for (index, stream) in streams.iter().enumerate() {
        if let Some(first) = seen.insert(stream.name.as_str(), index) {
            let message =
                format!("`streams[{index}].name` is '{}', which `streams[{first}].name` is already", stream.name);
            return Err(Error::config(message).hint("give each stream a name of its own"));
        }
    }
    Ok(())
}

/// A stream with the defaults of its dialect.
fn stream(dialect: Dialect, name: String, format: FormatOptions) -> Stream {
    Stream {
        name,
        globs: defaults::words(defaults::GLOBS.of(dialect)),
        list_prefix: None,
        format,
        compression: defaults::COMPRESSION.of(dialect),
        start_at: None,
        skip_markers: defaults::SKIP_MARKERS.of(dialect),
        schemaless: false,
        input_schema: None,
        validation_policy: defaults::VALIDATION_POLICY.of(dialect),
        primary_key: None,
        days_to_sync_if_history_is_full: defaults::DAYS_TO_SYNC_IF_HISTORY_IS_FULL.of(dialect),
        schema_sample_files: None,
        batch_rows: None,
    }
}

/// A job whose provenance and additions are still to come.
fn job(connection: Connection, streams: Vec<Stream>) -> Job {
    Job { connection, streams, provenance: Vec::new(), parallel_files: None, memory_bytes: None }
}
