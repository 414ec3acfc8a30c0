//! The dialects: how each is recognised, and one file for each with what is written and how it is meant.

mod additions;
mod airbyte;
mod airbyte_format;
mod airbyte_v3;
mod fivetran;
mod flat;
mod partitions;
mod policies;
mod pushdown;

use super::defaults;
use super::job::{BadRows, Delivery, Job, Stream};
use super::notes::Notes;
use super::read::Object;
use tollgate_base::connection::Connection;
use tollgate_base::error::{Error, Result};
use tollgate_base::options::partition::Partitions;
use tollgate_base::options::{Caps, Compression, FormatOptions};

pub(super) use additions::Additions;
pub(super) use airbyte::Written as AirbyteWritten;
pub(super) use airbyte_v3::Written as AirbyteV3Written;
pub(super) use fivetran::Written as FivetranWritten;
pub(super) use flat::Written as FlatWritten;
pub(super) use partitions::Written as PartitionsWritten;
pub(super) use policies::Policies;

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

/// Refuses a mixture of the flat form and Fivetran's names: half of it would be without effect, and files would be read
/// that nobody asked for.
fn one_dialect(object: &Object) -> Result<()> {
    let first = |keys: &[&'static str]| keys.iter().find(|&&key| object.contains_key(key)).copied();
    match (first(FIVETRAN), first(FLAT)) {
        (Some(fivetran), Some(flat)) => {
            let message =
                format!("`{fivetran}` belongs to a Fivetran-style configuration and `{flat}` to the flat form");
            Err(Error::config(message).hint("use the names of one of them"))
        }
        _ => Ok(()),
    }
}

/// Turns a configuration into a job; its provenance goes to the notes.
pub(super) fn understand(object: Object, notes: &mut Notes) -> Result<Job> {
    let (object, dialect) = match fivetran::unwrapped(object, notes)? {
        (object, true) => (object, Dialect::Fivetran),
        (object, false) => {
            let dialect = recognise(&object);
            (object, dialect)
        }
    };
    let job = match dialect {
        Dialect::Airbyte => airbyte::understand(&object, notes)?,
        Dialect::Flat => flat::understand(object, notes)?,
        Dialect::AirbyteV3 => airbyte_v3::understand(object, notes)?,
        Dialect::Fivetran => {
            one_dialect(&object)?;
            fivetran::understand(object, notes)?
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
pub(super) fn stream(dialect: Dialect, name: String, format: FormatOptions) -> Stream {
    let mut partitions = Partitions::default();
    partitions.columns = defaults::partition_columns(dialect, &format, &partitions);
    Stream {
        partitions,
        name,
        globs: defaults::words(defaults::GLOBS.of(dialect)),
        list_prefix: None,
        key_pattern: None,
        archive_pattern: None,
        format,
        formats: Vec::new(),
        compression: defaults::COMPRESSION.of(dialect),
        start_at: None,
        skip_markers: defaults::SKIP_MARKERS.of(dialect),
        schemaless: false,
        input_schema: None,
        validation_policy: defaults::VALIDATION_POLICY.of(dialect),
        primary_key: None,
        days_to_sync_if_history_is_full: defaults::DAYS_TO_SYNC_IF_HISTORY_IS_FULL.of(dialect),
        late_window_days: defaults::LATE_WINDOW_DAYS.of(dialect),
        schema_sample_files: None,
        schema_of_first_file: false,
        inference: defaults::INFERENCE.of(dialect),
        bad_rows: BadRows::default(),
        evolution: defaults::SCHEMA_EVOLUTION.of(dialect),
        flatten: None,
        batch_rows: None,
        delivery: Delivery::Records,
        on_archived: defaults::ON_ARCHIVED.of(dialect),
        dev_sampling: None,
        dev_max_files: None,
        pushdown: Default::default(),
        inventory: None,
    }
}

/// The compression around a stream's files, from what is written. Parquet and Avro name the codec of their blocks
/// themselves, and that codec is what people write here: it is not around the file.
fn around(format: &FormatOptions, written: Compression, path: &str, notes: &mut Notes) -> Compression {
    use Compression::{Bzip2, Gzip, Snappy, Xz, Zip, Zstd};
    match format {
        FormatOptions::Parquet(_) if written != Compression::Auto && written != Zip => {
            if written != Compression::None {
                notes.unknown(path, "without effect: a Parquet file names the codec of its columns itself");
            }
            Compression::None
        }
        FormatOptions::Avro(_) if matches!(written, Gzip | Bzip2 | Zstd | Xz | Snappy) => {
            notes.remark(path, "an Avro file names the codec of its blocks itself; the first bytes show any other");
            Compression::Auto
        }
        _ => written,
    }
}

/// A job whose provenance and additions are still to come.
fn job(connection: Connection, streams: Vec<Stream>) -> Job {
    Job {
        connection,
        streams,
        provenance: Vec::new(),
        parallel_files: None,
        memory_bytes: None,
        caps: Caps::default(),
        spending: tollgate_base::spending::Spending::default(),
    }
}
