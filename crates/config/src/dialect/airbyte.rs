//! `airbyte/source-s3` version 4: streams in a list, credentials in an object (from 4.16) or at the root (before).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pushdown::{self, Filters};
use super::{Dialect, additions, airbyte_format, policies};
use crate::defaults::{self, words};
use crate::identity::static_keys;
use crate::job::{Delivery, Job, Stream, ValidationPolicy};
use crate::notes::{Notes, join};
use crate::place::{self, Access, both};
use crate::read::{Guarded, Object, Section, Whole, one_of, section, tag_of, wrong};
use tollgate_base::connection::Credentials;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::Compression;

const DIALECT: Dialect = Dialect::Airbyte;

/// The root as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Written {
    /// Who asks for the files. When absent, keys or a role at the root are used, or else the environment's
    /// credentials.
    #[schemars(title = "Authentication", extend("group" = "auth"))]
    credentials: Option<Section<Authentication>>,
    /// Name of the S3 bucket, `s3://bucket/prefix/`, or the ARN of an access point.
    #[schemars(title = "Bucket", extend("group" = "where"))]
    bucket: String,
    /// The streams. Each takes a set of files by the patterns of their keys and becomes a table at the destination.
    /// A parameter that a stream and the root both can have (partitions, inventory, filters, columns, cursor, bad rows and
    /// schema changes) holds at the root for every stream that does not set it.
    #[schemars(title = "Streams", extend("group" = "streams"))]
    streams: Vec<Section<StreamWritten>>,
    /// Only files modified at or after this time are read. A time without an offset is UTC. When absent all are.
    #[schemars(
        title = "Start Date",
        extend(
            "group" = "advanced",
            "format" = "date-time",
            "pattern" = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?)?$",
            "pattern_descriptor" = "YYYY-MM-DD, YYYY-MM-DDTHH:mm:ssZ, or YYYY-MM-DDTHH:mm:ss.SSSSSSZ",
            "examples" = ["2021-01-01", "2021-01-01T00:00:00Z", "2021-01-01T00:00:00.000000Z"]
        )
    )]
    start_date: Option<String>,
    /// An S3-compatible server, with or without `https://`. Leave it empty to use AWS.
    #[serde(default)]
    #[schemars(
        title = "Endpoint",
        extend("group" = "where", "examples" = ["my-s3-endpoint.com", "https://my-s3-endpoint.com:9000"])
    )]
    endpoint: String,
    /// The region of the bucket. When absent it is found out from the bucket.
    #[schemars(title = "AWS Region", extend("group" = "where"))]
    region_name: Option<String>,
    /// What is delivered: the rows of the files as records, or the files themselves. When absent it is records.
    #[schemars(title = "Delivery Method", extend("group" = "advanced", "display_type" = "radio"))]
    delivery_method: Option<Section<DeliveryMethod>>,
    /// Access key id of a configuration from before `credentials`, which wins where both are given.
    #[schemars(title = "AWS Access Key ID", extend("airbyte_hidden" = true))]
    aws_access_key_id: Option<Guarded>,
    /// Secret access key of a configuration from before `credentials`, which wins where both are given.
    #[schemars(title = "AWS Secret Access Key", extend("airbyte_hidden" = true))]
    aws_secret_access_key: Option<Guarded>,
    /// Role of a configuration from before `credentials`, which wins where both are given.
    #[schemars(title = "AWS Role ARN", extend("airbyte_hidden" = true))]
    role_arn: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "auth_type", rename_all = "snake_case")]
enum Authentication {
    #[schemars(title = "IAM User")]
    IamUser(IamUser),
    #[schemars(title = "IAM Role")]
    IamRole(IamRole),
    #[schemars(title = "Default AWS Credentials")]
    DefaultCredentials(DefaultCredentials),
    #[schemars(title = "No Authentication")]
    Anonymous(Anonymous),
}

/// Authenticate with AWS access keys, or with those of an S3-compatible server.
#[derive(Serialize, Deserialize, JsonSchema)]
struct IamUser {
    /// The access key id.
    #[schemars(title = "AWS Access Key ID")]
    aws_access_key_id: Guarded,
    /// The secret access key.
    #[schemars(title = "AWS Secret Access Key")]
    aws_secret_access_key: Guarded,
    /// The session token of temporary keys. When absent the keys are permanent.
    #[schemars(title = "AWS Session Token")]
    aws_session_token: Option<Guarded>,
}

/// Authenticate by assuming an IAM role with the environment's credentials.
#[derive(Serialize, Deserialize, JsonSchema)]
struct IamRole {
    /// The ARN of the role. Its owner can demand an external id: on Airbyte that is the id of the workspace.
    #[schemars(title = "AWS Role ARN")]
    role_arn: String,
    /// The external id that the owner of the role asked for. When absent it is what the platform sets in the
    /// environment, if it sets one.
    #[schemars(title = "External ID")]
    external_id: Option<String>,
}

/// Use the credentials of the environment: variables, profile, web identity, container or instance role.
#[derive(Serialize, Deserialize, JsonSchema)]
struct DefaultCredentials {}

/// Send unsigned requests, as public buckets allow.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Anonymous {}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "delivery_type", rename_all = "snake_case")]
enum DeliveryMethod {
    #[schemars(title = "Replicate Records")]
    UseRecordsTransfer(RecordsTransfer),
    #[schemars(title = "Copy Raw Files")]
    UseFileTransfer(FileTransfer),
}

/// Read the files and deliver their rows as records.
#[derive(Serialize, Deserialize, JsonSchema)]
struct RecordsTransfer {}

/// Copy the files as they are, for destinations that take files. They are not looked into, and not decompressed.
#[derive(Serialize, Deserialize, JsonSchema)]
struct FileTransfer {
    /// Whether files keep the folders of their keys. If not, they lie beside one another, and no two may have one name.
    #[serde(default = "preserve_directory_structure")]
    #[schemars(title = "Preserve Sub-Directories in File Paths")]
    preserve_directory_structure: bool,
}

fn preserve_directory_structure() -> bool {
    defaults::PRESERVE_DIRECTORY_STRUCTURE.of(DIALECT)
}

/// One stream: a set of files that are read in the same way.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Stream")]
struct StreamWritten {
    /// The name of the stream.
    #[schemars(title = "Name")]
    name: String,
    /// The patterns of the keys that belong to the stream. `*` stands for any text without a slash, `**` for any
    /// number of folders. When absent all keys belong to it.
    #[serde(default = "globs_default")]
    #[schemars(title = "Globs")]
    globs: Vec<String>,
    /// A regular expression that keys must match as a whole, after `legacy_prefix` where there is one. It takes the place of
    /// the globs. When absent the globs hold.
    #[schemars(title = "Key Pattern", extend("airbyte_hidden" = true))]
    key_pattern: Option<String>,
    /// A regular expression that the names of the files inside zip archives must match. When absent all of them are read.
    #[schemars(title = "Archive Pattern", extend("airbyte_hidden" = true))]
    archive_pattern: Option<String>,
    /// The only prefix that is listed, from a configuration of version 3. Use globs instead.
    #[schemars(title = "Legacy Prefix", extend("airbyte_hidden" = true))]
    legacy_prefix: Option<String>,
    /// What happens to a record that does not conform to the schema of the stream.
    #[serde(default = "policy_default")]
    #[schemars(title = "Validation Policy")]
    validation_policy: PolicyWritten,
    /// The types of the columns as a JSON text, for example `{"id": "integer", "name": "string"}`. It takes the place
    /// of what would be found out from the files.
    #[schemars(title = "Input Schema")]
    input_schema: Option<String>,
    /// The column that identifies a record.
    #[schemars(title = "Primary Key", extend("airbyte_hidden" = true))]
    primary_key: Option<String>,
    /// When the history of files in the state is full, unknown files of so many days back are still read. 0 means 3.
    #[serde(default = "days_default")]
    #[schemars(title = "Days To Sync If History Is Full", extend("minimum" = 0))]
    days_to_sync_if_history_is_full: Whole,
    /// How the files are read.
    #[schemars(title = "Format")]
    format: Section<airbyte_format::Format>,
    /// Whether records are delivered as they are, in one column `data`, without types.
    #[serde(default)]
    #[schemars(title = "Schemaless")]
    schemaless: bool,
    /// How many of the newest files are read to find out the types of the columns, 10 at most. When absent the
    /// connector chooses.
    #[schemars(title = "Files To Read For Schema Discover", extend("exclusiveMinimum" = 0))]
    recent_n_files_to_read_for_schema_discovery: Option<Whole>,
    /// Whether one file is enough to find out the types of the columns.
    #[serde(default)]
    #[schemars(title = "Use First Found File For Schema Discover")]
    use_first_found_file_for_schema_discovery: bool,
    /// Accepted for configurations that have it. The check never decodes more than it needs.
    #[serde(default)]
    #[schemars(title = "Skip Full Check for Parquet", extend("airbyte_hidden" = true))]
    skip_full_check_for_parquet: bool,
    /// The compression around the files. When absent it is told by the extension of each key, or else by the first bytes
    /// of the file. The members of a zip archive are read as files.
    #[serde(default)]
    #[schemars(title = "Compression")]
    compression: CompressionWritten,
    /// Whether files that other tools leave as marks are left out: `_SUCCESS`, `_temporary/`, `.crc`, `_$folder$`, and
    /// empty files.
    #[serde(default = "skip_markers_default")]
    #[schemars(title = "Skip Marker Files")]
    skip_markers: bool,
    /// Parquet: the columns to read, of those that the catalog selects. When absent those of the root hold.
    #[schemars(title = "Parquet Columns", extend("airbyte_hidden" = true))]
    parquet_columns: Option<Vec<String>>,
    /// Only rows that pass are read: a list of conditions that must all hold, such as `[["year", ">=", 2024]]`, or a list
    /// of such lists, one of which must. When absent those of the root hold.
    #[schemars(title = "Row Filters", extend("airbyte_hidden" = true))]
    parquet_filters: Option<Filters>,
    /// The column whose greatest value incremental syncs remember, to leave rows below it out. When absent that of the
    /// root holds.
    #[schemars(title = "Cursor Field", extend("airbyte_hidden" = true))]
    cursor_field: Option<String>,
    /// How far below the greatest value rows still count as new: a duration such as `3d` or `12h`, or a number. When
    /// absent that of the root holds.
    #[schemars(title = "Cursor Lookback", extend("airbyte_hidden" = true))]
    cursor_lookback: Option<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
enum PolicyWritten {
    #[serde(rename = "Emit Record")]
    EmitRecord,
    #[serde(rename = "Skip Record")]
    SkipRecord,
    #[serde(rename = "Wait for Discover")]
    WaitForDiscover,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CompressionWritten {
    #[default]
    Auto,
    None,
    Gzip,
    Bzip2,
    Zstd,
    Xz,
    Lz4,
    Snappy,
    Brotli,
    Zip,
}

fn globs_default() -> Vec<String> {
    words(defaults::GLOBS.airbyte)
}

fn days_default() -> Whole {
    Whole(i64::from(defaults::DAYS_TO_SYNC_IF_HISTORY_IS_FULL.airbyte))
}

fn skip_markers_default() -> bool {
    defaults::SKIP_MARKERS.airbyte
}

fn policy_default() -> PolicyWritten {
    match defaults::VALIDATION_POLICY.airbyte {
        ValidationPolicy::EmitRecord => PolicyWritten::EmitRecord,
        ValidationPolicy::SkipRecord => PolicyWritten::SkipRecord,
        ValidationPolicy::WaitForDiscover => PolicyWritten::WaitForDiscover,
    }
}

impl From<PolicyWritten> for ValidationPolicy {
    fn from(written: PolicyWritten) -> Self {
        match written {
            PolicyWritten::EmitRecord => Self::EmitRecord,
            PolicyWritten::SkipRecord => Self::SkipRecord,
            PolicyWritten::WaitForDiscover => Self::WaitForDiscover,
        }
    }
}

impl From<CompressionWritten> for Compression {
    fn from(written: CompressionWritten) -> Self {
        match written {
            CompressionWritten::Auto => Self::Auto,
            CompressionWritten::None => Self::None,
            CompressionWritten::Gzip => Self::Gzip,
            CompressionWritten::Bzip2 => Self::Bzip2,
            CompressionWritten::Zstd => Self::Zstd,
            CompressionWritten::Xz => Self::Xz,
            CompressionWritten::Lz4 => Self::Lz4,
            CompressionWritten::Snappy => Self::Snappy,
            CompressionWritten::Brotli => Self::Brotli,
            CompressionWritten::Zip => Self::Zip,
        }
    }
}

/// Turns a configuration of version 4 into a job.
///
/// # Errors
/// Config or Unsupported, naming the parameter.
pub(super) fn understand(object: &Object, notes: &mut Notes) -> Result<Job> {
    let mut known = additions::names();
    known.extend(super::partitions::names());
    let written: Written = section(object, "", &known, notes)?;
    let additions = additions::read(object, notes)?;
    let access = Access {
        bucket: ("bucket", &written.bucket),
        endpoint: ("endpoint", Some(&written.endpoint)),
        tls: defaults::USE_SSL.of(DIALECT),
        region: ("region_name", written.region_name.as_deref()),
        default_region: defaults::REGION.of(DIALECT),
    };
    let delivery = match &written.delivery_method {
        Some(method) => delivery(&method.0, notes)?,
        None => Delivery::Records,
    };
    let start_at = match written.start_date.as_deref() {
        Some(text) => Some(place::start_date(text, "start_date")?),
        None => None,
    };
    if written.streams.is_empty() {
        return Err(Error::config("`streams` is an empty list: No streams are available for the source")
            .hint("add a stream with a name, globs and a format"));
    }
    let credentials = match &written.credentials {
        Some(nested) => {
            idle_keys(&["aws_access_key_id", "aws_secret_access_key", "role_arn"], "credentials", object, notes);
            authentication(&nested.0, notes)?
        }
        None => {
            let keys = (written.aws_access_key_id, written.aws_secret_access_key);
            root_credentials(keys, written.role_arn, object, notes)?
        }
    };
    let (connection, bucket_prefix) = place::connection(&access, credentials, notes)?;
    let root = super::partitions::at_root(DIALECT, object, notes)?;
    let mut streams = Vec::with_capacity(written.streams.len());
    for (index, section) in written.streams.iter().enumerate() {
        let path = format!("streams[{index}]");
        let mut stream = stream(&section.0, &path, &bucket_prefix, start_at, delivery, notes)?;
        let partitions = super::partitions::with_root(&section.0, &root);
        super::partitions::apply(DIALECT, &mut stream, &partitions, &path, notes)?;
        streams.push(stream);
    }
    let mut own = Vec::with_capacity(streams.len());
    for (index, section) in written.streams.iter().enumerate() {
        let path = format!("streams[{index}]");
        own.push((policies::read(&section.0, &path, notes)?, path));
    }
    additions.applied(DIALECT, super::job(connection, streams), &own, notes)
}

/// Notes the keys that something else makes idle.
fn idle_keys(keys: &[&str], beside: &str, object: &Object, notes: &mut Notes) {
    for key in keys.iter().filter(|key| object.contains_key(**key)) {
        notes.unknown(*key, format!("without effect beside `{beside}`"));
    }
}

fn authentication(object: &Object, notes: &mut Notes) -> Result<Credentials> {
    const TAG: &str = "auth_type";
    let path = "credentials";
    let empty =
        |key: &str| Error::config(format!("`{path}.{key}` is empty")).hint("enter it, or choose another `auth_type`");
    match tag_of(object, path, TAG, &["iam_user", "iam_role", "default_credentials", "anonymous"])? {
        "iam_user" => {
            let user: IamUser = section(object, path, &[TAG], notes)?;
            if user.aws_access_key_id.empty() {
                return Err(empty("aws_access_key_id"));
            }
            if user.aws_secret_access_key.empty() {
                return Err(empty("aws_secret_access_key"));
            }
            Ok(static_keys(user.aws_access_key_id, user.aws_secret_access_key, user.aws_session_token))
        }
        "iam_role" => {
            let IamRole { role_arn, external_id } = section(object, path, &[TAG], notes)?;
            if role_arn.trim().is_empty() {
                return Err(empty("role_arn"));
            }
            let external_id = external_id.filter(|id| !id.is_empty());
            let role_arn = place::role_arn(&role_arn, "credentials.role_arn")?;
            Ok(Credentials::AssumeRole { role_arn, external_id })
        }
        "default_credentials" => {
            section::<DefaultCredentials>(object, path, &[TAG], notes).map(|_| Credentials::DefaultChain)
        }
        _ => section::<Anonymous>(object, path, &[TAG], notes).map(|_| Credentials::Anonymous),
    }
}

/// Credentials from before 4.16: a role wins over keys, as in the migration of the connector they come from.
fn root_credentials(
    keys: (Option<Guarded>, Option<Guarded>),
    role_arn: Option<String>,
    object: &Object,
    notes: &mut Notes,
) -> Result<Credentials> {
    let names = ["aws_access_key_id", "aws_secret_access_key"];
    if let Some(role_arn) = role_arn.filter(|arn| !arn.trim().is_empty()) {
        notes.renamed("role_arn", "now `credentials.role_arn` with `auth_type` iam_role");
        idle_keys(&names, "role_arn", object, notes);
        let role_arn = place::role_arn(&role_arn, "role_arn")?;
        return Ok(Credentials::AssumeRole { role_arn, external_id: None });
    }
    let given = |secret: Option<Guarded>| secret.filter(|secret| !secret.empty());
    let Some((id, secret)) = both("", (names[0], given(keys.0)), (names[1], given(keys.1)))? else {
        notes.defaulted("credentials".to_owned(), &Value::from("default_credentials"));
        return Ok(Credentials::DefaultChain);
    };
    for key in names {
        notes.renamed(key, format!("now `credentials.{key}` with `auth_type` iam_user"));
    }
    Ok(static_keys(id, secret, None))
}

fn delivery(object: &Object, notes: &mut Notes) -> Result<Delivery> {
    const TAG: &str = "delivery_type";
    let path = "delivery_method";
    if object.get(TAG).is_some_and(|name| name == "use_permissions_transfer") {
        let message = format!("`{path}.{TAG}` is 'use_permissions_transfer', which S3 has nothing for");
        return Err(
            Error::new(ErrorKind::Unsupported, message).hint("set it to 'use_records_transfer' or 'use_file_transfer'")
        );
    }
    if tag_of(object, path, TAG, &["use_records_transfer", "use_file_transfer"])? == "use_file_transfer" {
        let FileTransfer { preserve_directory_structure } = section(object, path, &[TAG], notes)?;
        return Ok(Delivery::Files { preserve_directory_structure });
    }
    // The option of the other method may have stayed behind; the connector it comes from does not mind.
    section::<RecordsTransfer>(object, path, &[TAG, "preserve_directory_structure"], notes)?;
    Ok(Delivery::Records)
}

fn stream(
    object: &Object,
    path: &str,
    bucket_prefix: &str,
    start_at: Option<Timestamp>,
    delivery: Delivery,
    notes: &mut Notes,
) -> Result<Stream> {
    let mut known = super::partitions::names();
    known.extend(policies::names());
    let written: StreamWritten = section(object, path, &known, notes)?;
    if written.name.is_empty() {
        return Err(wrong(&join(path, "name"), "empty", "a name"));
    }
    let format_path = join(path, "format");
    let formats = airbyte_format::formats(&written.format.0, &format_path, written.schemaless, notes)?;
    let format = match formats.first() {
        Some(first) => first.format.clone(),
        None => airbyte_format::format(&written.format.0, &format_path, delivery, notes)?,
    };
    let schema_path = join(path, "input_schema");
    let input_schema = match written.input_schema.as_deref().filter(|text| !text.trim().is_empty()) {
        Some(text) => input_schema(text, &schema_path, notes)?,
        None => None,
    };
    exclusive_options(&written, input_schema.is_some(), path)?;
    let schema_sample_files = sample_files(&written, path, notes)?;
    let days_to_sync_if_history_is_full = days(written.days_to_sync_if_history_is_full, path, notes)?;
    if written.skip_full_check_for_parquet {
        let note = "without effect: a check never decodes more of a Parquet file than it needs";
        notes.unknown(join(path, "skip_full_check_for_parquet"), note);
    }
    let legacy_prefix = written.legacy_prefix.filter(|prefix| !prefix.is_empty());
    let mut list_prefix = legacy_prefix.map(|prefix| format!("{bucket_prefix}{prefix}"));
    let (mut key_pattern, mut archive_pattern) = (None, None);
    if let Some(text) = written.key_pattern.as_deref().filter(|text| !text.is_empty()) {
        if object.contains_key("globs") {
            let (pattern, globs) = (join(path, "key_pattern"), join(path, "globs"));
            return Err(
                Error::config(format!("`{pattern}` is given beside `{globs}`")).hint("keep the one that is meant")
            );
        }
        let folder = list_prefix.get_or_insert_with(|| bucket_prefix.to_owned());
        key_pattern = Some(super::fivetran::expression(folder, text, &join(path, "key_pattern"))?);
        notes.forget_default(&join(path, "globs"));
    }
    if let Some(text) = written.archive_pattern.as_deref().filter(|text| !text.is_empty()) {
        archive_pattern = Some(super::fivetran::expression("", text, &join(path, "archive_pattern"))?);
    }
    let pushdown = pushdown::Written {
        columns: &written.parquet_columns,
        filters: &written.parquet_filters,
        cursor_field: &written.cursor_field,
        cursor_lookback: &written.cursor_lookback,
    };
    // Files are delivered as they are stored.
    let compression = match delivery {
        Delivery::Records if formats.is_empty() => {
            super::around(&format, written.compression.into(), &join(path, "compression"), notes)
        }
        Delivery::Records => written.compression.into(),
        Delivery::Files { .. } => Compression::None,
    };
    Ok(Stream {
        pushdown: pushdown.understood(path)?,
        globs: written.globs.iter().map(|glob| place::inside(bucket_prefix, glob)).collect(),
        list_prefix: list_prefix.filter(|prefix| !prefix.is_empty()),
        key_pattern,
        archive_pattern,
        formats,
        compression,
        delivery,
        start_at,
        skip_markers: written.skip_markers,
        schemaless: written.schemaless,
        input_schema,
        validation_policy: written.validation_policy.into(),
        primary_key: written.primary_key.filter(|key| !key.is_empty()).map(|key| vec![key]),
        days_to_sync_if_history_is_full,
        schema_sample_files,
        schema_of_first_file: written.use_first_found_file_for_schema_discovery,
        ..super::stream(DIALECT, written.name, format)
    })
}

fn exclusive_options(written: &StreamWritten, input_schema: bool, path: &str) -> Result<()> {
    let first_found = written.use_first_found_file_for_schema_discovery;
    let given = [written.schemaless, input_schema, first_found].iter().filter(|given| **given).count();
    let recent = written.recent_n_files_to_read_for_schema_discovery.is_some();
    if given > 1 || (recent && first_found) {
        let options = "'Schemaless', 'Input Schema', 'Files To Read For Schema Discover' or 'Use First Found File For \
                       Schema Discover'";
        let message = format!("`{path}`: Only one of options {options} can be provided at the same time");
        return Err(Error::config(message).hint("keep the one that is meant"));
    }
    Ok(())
}

fn sample_files(written: &StreamWritten, path: &str, notes: &mut Notes) -> Result<Option<usize>> {
    if written.use_first_found_file_for_schema_discovery {
        return Ok(Some(1));
    }
    let path = join(path, "recent_n_files_to_read_for_schema_discovery");
    let Some(number) = written.recent_n_files_to_read_for_schema_discovery else { return Ok(None) };
    let number = number.between(1, u64::MAX, &path)?;
    let most = defaults::SCHEMA_SAMPLE_FILES_AT_MOST;
    if number > most {
        notes.remark(&path, &format!("{most} files at most are used"));
    }
    Ok(Some(usize::try_from(number.min(most)).expect("at most ten")))
}

fn days(written: Whole, path: &str, notes: &mut Notes) -> Result<u32> {
    let path = join(path, "days_to_sync_if_history_is_full");
    let default = defaults::DAYS_TO_SYNC_IF_HISTORY_IS_FULL.of(DIALECT);
    match written.0 {
        0 => {
            notes.remark(&path, &format!("0 means {default}"));
            Ok(default)
        }
        days if days < 0 => Err(Error::config(format!(
            "`{path}` is {days}: days_to_sync_if_history_is_full must be a positive timedelta, got {days} days"
        ))
        .hint("use a number of days of at least 0")),
        _ => {
            let days = written.between(0, 999_999_999, &path)?;
            Ok(u32::try_from(days).expect("below a thousand million"))
        }
    }
}

const INPUT_TYPES: &[&str] = &["null", "array", "boolean", "float", "integer", "number", "object", "string"];

/// Reads the types that a user gives as a JSON text. `{}` is what version 3 wrote for "find out": nothing is given.
///
/// # Errors
/// Config, with the words of the connector it comes from.
pub(super) fn input_schema(text: &str, path: &str, notes: &mut Notes) -> Result<Option<Vec<(String, String)>>> {
    let fail = |details: &str| {
        let message =
            format!("`{path}`: The provided schema could not be transformed into valid JSON Schema: {details}");
        Err(Error::config(message).hint(r#"write it as {"column": "type", …}"#))
    };
    let columns: Object = match serde_json::from_str(text) {
        Ok(Value::Object(columns)) => columns,
        Ok(_) => return fail("it is not a JSON object"),
        Err(error) => return fail(&format!("it is not valid JSON ({error})")),
    };
    if columns.is_empty() {
        notes.remark(path, "without columns, so the types are found out from the files");
        return Ok(None);
    }
    let mut types = Vec::with_capacity(columns.len());
    for (column, kind) in columns {
        let Value::String(kind) = kind else {
            return fail("Invalid input schema; nested schemas are not supported");
        };
        let (column, kind) = (column.trim().to_owned(), kind.trim());
        if column.is_empty() {
            return fail("a column has no name");
        }
        if types.iter().any(|(name, _)| *name == column) {
            return fail(&format!("two columns have the name '{column}'"));
        }
        let lower = kind.to_ascii_lowercase();
        if !INPUT_TYPES.contains(&lower.as_str()) {
            let right = one_of(INPUT_TYPES);
            return fail(&format!("Invalid type '{kind}' for property '{column}', expected {right}"));
        }
        types.push((column, if lower == "float" { "number".to_owned() } else { lower }));
    }
    Ok(Some(types))
}
