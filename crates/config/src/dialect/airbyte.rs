//! `airbyte/source-s3` version 4: streams in a list, credentials in an object (from 4.16) or at the root (before).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Dialect;
use crate::common::{self, names_in_streams, read_root};
use crate::input::{Object, SecretInput, Section, Whole, in_order, section, without_defaults, wrong};
use crate::job::{Delivery, Job, Stream};
use crate::parameters::connection::{Access, REGION, USE_SSL, connection};
use crate::parameters::credentials::{self, Authentication, both, role_arn, static_keys};
use crate::parameters::delivery::{self, DeliveryMethod};
use crate::parameters::formats::{self, FormatInput};
use crate::parameters::history::DAYS_TO_SYNC_IF_HISTORY_IS_FULL;
use crate::parameters::validation::{ValidationPolicy, input_schema, native_schema};
use crate::parameters::{compression, selection};
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::connection::Credentials;
use tollgate_base::error::{Error, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::Compression;
use tollgate_base::options::key_pattern::KeyPattern;

const DIALECT: Dialect = Dialect::Airbyte;

/// The most files that the connector we replace ever infers from, whatever its configuration says.
const SCHEMA_SAMPLE_FILES_AT_MOST: u64 = 10;

/// The root as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AirbyteInput {
    /// How to authenticate. When absent, keys or a role at the root are used, or else the credentials of the
    /// environment.
    #[schemars(title = "Authentication", extend("group" = "auth"))]
    credentials: Option<Section<Authentication>>,
    /// The name of the S3 bucket, `s3://bucket/prefix/`, or the ARN of an access point.
    #[schemars(title = "Bucket", extend("group" = "where"))]
    bucket: String,
    /// The streams. Each one reads the files whose keys match its patterns, and becomes a table at the destination.
    /// Some parameters can be set at the root or in a stream (partitions, inventory, filters, columns, cursor, bad
    /// rows and schema changes). At the root they apply to every stream that does not set them.
    #[schemars(title = "Streams", extend("group" = "streams"))]
    streams: Vec<Section<AirbyteStreamInput>>,
    /// Only files that were modified at or after this time are read. A time without an offset is UTC. When absent, all
    /// files are read.
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
    /// The URL of an S3-compatible server, with or without `https://`. Leave it empty to use AWS.
    #[serde(default)]
    #[schemars(
        title = "Endpoint",
        extend("group" = "where", "examples" = ["my-s3-endpoint.com", "https://my-s3-endpoint.com:9000"])
    )]
    endpoint: String,
    /// The region of the bucket. When absent, the connector detects it.
    #[schemars(title = "AWS Region", extend("group" = "where"))]
    region_name: Option<String>,
    /// What is delivered: the rows of the files as records, or the files themselves. When absent, records are
    /// delivered.
    #[schemars(title = "Delivery Method", extend("group" = "advanced", "display_type" = "radio"))]
    delivery_method: Option<Section<DeliveryMethod>>,
    /// The access key ID in configurations from before `credentials`. If both are given, `credentials` is used.
    #[schemars(title = "AWS Access Key ID", extend("airbyte_hidden" = true))]
    aws_access_key_id: Option<SecretInput>,
    /// The secret access key in configurations from before `credentials`. If both are given, `credentials` is used.
    #[schemars(title = "AWS Secret Access Key", extend("airbyte_hidden" = true))]
    aws_secret_access_key: Option<SecretInput>,
    /// The role in configurations from before `credentials`. If both are given, `credentials` is used.
    #[schemars(title = "AWS Role ARN", extend("airbyte_hidden" = true))]
    role_arn: Option<String>,
}

/// One stream: a set of files that are read with the same options.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Stream")]
struct AirbyteStreamInput {
    /// The name of the stream.
    #[schemars(title = "Name")]
    name: String,
    /// The patterns of the keys that belong to the stream. `*` matches any text without a slash, and `**` matches any
    /// number of folders. When absent, all keys match.
    #[serde(default = "selection::globs")]
    #[schemars(title = "Globs")]
    globs: Vec<String>,
    /// A regular expression that must match the whole key, after `legacy_prefix` if there is one. It replaces the
    /// globs. When absent, the globs are used.
    #[schemars(title = "Key Pattern", extend("airbyte_hidden" = true))]
    key_pattern: Option<String>,
    /// A regular expression that must match the whole name of a file inside a zip archive. When absent, all files in
    /// archives are read.
    #[schemars(title = "Archive Pattern", extend("airbyte_hidden" = true))]
    archive_pattern: Option<String>,
    /// The only prefix that is listed, from a configuration of version 3. Use globs instead.
    #[schemars(title = "Legacy Prefix", extend("airbyte_hidden" = true))]
    legacy_prefix: Option<String>,
    /// How to handle a record that does not conform to the schema of the stream.
    #[serde(default)]
    #[schemars(title = "Validation Policy")]
    validation_policy: ValidationPolicy,
    /// The types of the columns as a JSON text, for example `{"id": "integer", "name": "string"}`. They replace the
    /// types that would be inferred from the files.
    #[schemars(title = "Input Schema")]
    input_schema: Option<String>,
    /// The column that identifies a record.
    #[schemars(title = "Primary Key", extend("airbyte_hidden" = true))]
    primary_key: Option<String>,
    /// If the history of files in the state is full, files that are not in it are still read if they were modified at
    /// most this many days ago. 0 means 3.
    #[serde(default = "days_to_sync")]
    #[schemars(title = "Days To Sync If History Is Full", extend("minimum" = 0))]
    days_to_sync_if_history_is_full: Whole,
    /// How the files are read.
    #[schemars(title = "Format")]
    format: Section<FormatInput>,
    /// Whether records are delivered unchanged in one column `data`, without types.
    #[serde(default)]
    #[schemars(title = "Schemaless")]
    schemaless: bool,
    /// How many of the newest files are read to infer the types of the columns, at most 10. When absent, the
    /// connector chooses.
    #[schemars(title = "Files To Read For Schema Discover", extend("exclusiveMinimum" = 0))]
    recent_n_files_to_read_for_schema_discovery: Option<Whole>,
    /// Whether the types of the columns are inferred from a single file, the first that is found.
    #[serde(default)]
    #[schemars(title = "Use First Found File For Schema Discover")]
    use_first_found_file_for_schema_discovery: bool,
    /// Without effect, and accepted for compatibility: the check never decodes more than it needs.
    #[serde(default)]
    #[schemars(title = "Skip Full Check for Parquet", extend("airbyte_hidden" = true))]
    skip_full_check_for_parquet: bool,
    /// The compression of the files. When absent, it is detected from the extension of each key, or else from the
    /// first bytes of the file. The members of a zip archive are read as files.
    #[serde(default)]
    #[schemars(title = "Compression")]
    compression: Compression,
    /// Whether to skip marker files of other tools: `_SUCCESS`, `_temporary/`, `.crc`, `_$folder$`, and empty files.
    #[serde(default = "skip_markers")]
    #[schemars(title = "Skip Marker Files")]
    skip_markers: bool,
}

fn days_to_sync() -> Whole {
    Whole::from(u64::from(DAYS_TO_SYNC_IF_HISTORY_IS_FULL))
}

fn skip_markers() -> bool {
    selection::SKIP_MARKERS.of(DIALECT)
}

/// Turns a configuration of version 4 into a job.
///
/// # Errors
/// Config or Unsupported, naming the parameter.
pub(crate) fn parse(object: &Object, log: &mut ProvenanceLog) -> Result<Job> {
    let (input, common) = read_root::<AirbyteInput>(DIALECT, object, &[], log)?;
    let delivery = match &input.delivery_method {
        Some(method) => delivery::parse(&method.0, log)?,
        None => Delivery::Records,
    };
    let start_at = input.start_date.as_deref().map(|text| selection::start_date(text, "start_date")).transpose()?;
    if input.streams.is_empty() {
        return Err(Error::config("`streams` is an empty list: No streams are available for the source")
            .hint("add a stream with a name, globs and a format"));
    }
    let access = Access {
        bucket: ("bucket", &input.bucket),
        endpoint: ("endpoint", Some(&input.endpoint)),
        tls: USE_SSL,
        region: ("region_name", input.region_name.as_deref()),
        default_region: REGION.of(DIALECT),
    };
    let credentials = match &input.credentials {
        Some(nested) => {
            note_unused(&["aws_access_key_id", "aws_secret_access_key", "role_arn"], "credentials", object, log);
            credentials::authentication(&nested.0, log)?
        }
        None => {
            let keys = (input.aws_access_key_id, input.aws_secret_access_key);
            root_credentials(keys, input.role_arn, object, log)?
        }
    };
    let (connection, bucket_prefix) = connection(&access, credentials, log)?;
    let of_all = OfAllStreams { bucket_prefix: &bucket_prefix, start_at, delivery };
    let layout = common.layout_of_root(object, log)?;
    let mut drafts = Vec::with_capacity(input.streams.len());
    for (index, section) in input.streams.iter().enumerate() {
        let path = format!("streams[{index}]");
        let stream = stream(&section.0, &path, of_all, log)?;
        drafts.push(common.draft(stream, (&section.0, path), &layout, log)?);
    }
    common.into_job(connection, drafts, object, log)
}

/// Records the keys that another key makes unused.
fn note_unused(keys: &[&str], used: &str, object: &Object, log: &mut ProvenanceLog) {
    for key in keys.iter().filter(|key| object.contains_key(**key)) {
        log.unused(*key, format!("without effect: `{used}` is also given"));
    }
}

/// Credentials from before 4.16: a role wins over keys, as in the migration of the connector they come from.
fn root_credentials(
    keys: (Option<SecretInput>, Option<SecretInput>),
    role_arn: Option<String>,
    object: &Object,
    log: &mut ProvenanceLog,
) -> Result<Credentials> {
    let names = ["aws_access_key_id", "aws_secret_access_key"];
    if let Some(role_arn) = role_arn.filter(|arn| !arn.trim().is_empty()) {
        log.renamed("role_arn", "now `credentials.role_arn` with `auth_type` iam_role");
        note_unused(&names, "role_arn", object, log);
        let role_arn = self::role_arn(&role_arn, "role_arn")?;
        return Ok(Credentials::AssumeRole { role_arn, external_id: None });
    }
    let (id, secret) = (SecretInput::given(keys.0), SecretInput::given(keys.1));
    let Some((id, secret)) = both("", (names[0], id), (names[1], secret))? else {
        log.defaulted("credentials".to_owned(), &Value::from("default_credentials"));
        return Ok(Credentials::DefaultChain);
    };
    for key in names {
        log.renamed(key, format!("now `credentials.{key}` with `auth_type` iam_user"));
    }
    Ok(static_keys(id, secret, None))
}

/// What the root says for all streams.
#[derive(Clone, Copy)]
struct OfAllStreams<'a> {
    bucket_prefix: &'a str,
    start_at: Option<Timestamp>,
    delivery: Delivery,
}

fn stream(object: &Object, path: &str, of_all: OfAllStreams<'_>, log: &mut ProvenanceLog) -> Result<Stream> {
    let OfAllStreams { bucket_prefix, start_at, delivery } = of_all;
    let input: AirbyteStreamInput = section(object, path, &names_in_streams(), log)?;
    if input.name.is_empty() {
        return Err(wrong(&join(path, "name"), "empty", "a name"));
    }
    let format_path = join(path, "format");
    let formats = formats::parse_by_extension(&input.format.0, &format_path, input.schemaless, log)?;
    let format = match formats.first() {
        Some(first) => first.format.clone(),
        None => formats::parse(&input.format.0, &format_path, delivery, log)?,
    };
    let input_schema = input_schema(input.input_schema.as_deref(), &join(path, "input_schema"), log)?;
    exclusive_options(&input, input_schema.is_some(), path)?;
    let schema_sample_files = sample_files(&input, path, log)?;
    let days_to_sync_if_history_is_full = days(input.days_to_sync_if_history_is_full, path, log)?;
    if input.skip_full_check_for_parquet {
        let note = "without effect: `check` never decodes more of a Parquet file than it needs";
        log.unused(join(path, "skip_full_check_for_parquet"), note);
    }
    let patterns = patterns(&input, object, bucket_prefix, path, log)?;
    // Files are delivered as they are stored.
    let compression = match delivery {
        Delivery::Records if formats.is_empty() => {
            compression::around(&format, input.compression, &join(path, "compression"), log)
        }
        Delivery::Records => input.compression,
        Delivery::Files { .. } => Compression::None,
    };
    Ok(Stream {
        globs: input.globs.iter().map(|glob| selection::inside(bucket_prefix, glob)).collect(),
        list_prefix: patterns.list_prefix.filter(|prefix| !prefix.is_empty()),
        key_pattern: patterns.key_pattern,
        archive_pattern: patterns.archive_pattern,
        formats,
        compression,
        delivery,
        start_at,
        skip_markers: input.skip_markers,
        schemaless: input.schemaless,
        input_schema,
        validation_policy: input.validation_policy,
        primary_key: input.primary_key.filter(|key| !key.is_empty()).map(|key| vec![key]),
        days_to_sync_if_history_is_full,
        schema_sample_files,
        schema_of_first_file: input.use_first_found_file_for_schema_discovery,
        ..Stream::new(DIALECT, input.name, format)
    })
}

/// Which keys a stream has, apart from globs.
struct Patterns {
    list_prefix: Option<String>,
    key_pattern: Option<KeyPattern>,
    archive_pattern: Option<KeyPattern>,
}

fn patterns(
    input: &AirbyteStreamInput,
    object: &Object,
    bucket_prefix: &str,
    path: &str,
    log: &mut ProvenanceLog,
) -> Result<Patterns> {
    let key_path = join(path, "key_pattern");
    let key_pattern = input.key_pattern.as_deref().filter(|text| !text.is_empty());
    let legacy_prefix = input.legacy_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let mut list_prefix = legacy_prefix.map(|prefix| format!("{bucket_prefix}{prefix}"));
    if key_pattern.is_some() {
        let globs = join(path, "globs");
        if object.contains_key("globs") {
            let message = format!("`{key_path}` and `{globs}` are both given");
            return Err(Error::config(message).hint("remove one of them"));
        }
        list_prefix.get_or_insert_with(|| bucket_prefix.to_owned());
        log.forget_default(&globs);
    }
    let folder = list_prefix.as_deref().unwrap_or_default();
    let key_pattern = selection::key_pattern(key_pattern, folder, &key_path)?;
    let archive_path = join(path, "archive_pattern");
    let archive_pattern = selection::key_pattern(input.archive_pattern.as_deref(), "", &archive_path)?;
    Ok(Patterns { list_prefix, key_pattern, archive_pattern })
}

fn exclusive_options(input: &AirbyteStreamInput, input_schema: bool, path: &str) -> Result<()> {
    let first_found = input.use_first_found_file_for_schema_discovery;
    let given = [input.schemaless, input_schema, first_found].iter().filter(|given| **given).count();
    let recent = input.recent_n_files_to_read_for_schema_discovery.is_some();
    if given > 1 || (recent && first_found) {
        let options = "'Schemaless', 'Input Schema', 'Files To Read For Schema Discover' or 'Use First Found File For \
                       Schema Discover'";
        let message = format!("`{path}`: Only one of options {options} can be provided at the same time");
        return Err(Error::config(message).hint("remove one of them"));
    }
    Ok(())
}

fn sample_files(input: &AirbyteStreamInput, path: &str, log: &mut ProvenanceLog) -> Result<Option<usize>> {
    if input.use_first_found_file_for_schema_discovery {
        return Ok(Some(1));
    }
    let path = join(path, "recent_n_files_to_read_for_schema_discovery");
    let Some(number) = input.recent_n_files_to_read_for_schema_discovery else { return Ok(None) };
    let number = number.between(1, u64::MAX, &path)?;
    let most = SCHEMA_SAMPLE_FILES_AT_MOST;
    if number > most {
        log.remark(&path, &format!("no more than {most} files are used"));
    }
    Ok(Some(usize::try_from(number.min(most)).expect("at most ten")))
}

fn days(written: Whole, path: &str, log: &mut ProvenanceLog) -> Result<u32> {
    let path = join(path, "days_to_sync_if_history_is_full");
    let default = DAYS_TO_SYNC_IF_HISTORY_IS_FULL;
    match written.0 {
        0 => {
            log.remark(&path, &format!("0 means {default}"));
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

/// What a reader looks for first. All other parameters follow by topic.
const FIRST_AT_ROOT: &[&str] = &[
    "bucket",
    "credentials",
    "endpoint",
    "region_name",
    "start_date",
    "requester_pays",
    "parallel_workers",
    "max_decompressed_gb",
    "max_decompression_ratio",
];
/// What is long.
const LAST_AT_ROOT: &[&str] = &["delivery_method", "streams"];
const FIRST_IN_STREAMS: &[&str] = &[
    "name",
    "globs",
    "key_pattern",
    "archive_pattern",
    "legacy_prefix",
    "format",
    "compression",
    "skip_markers",
    "schemaless",
    "input_schema",
];

/// The configuration that means a job, but for the secrets.
pub(crate) fn native(job: &Job) -> Map<String, Value> {
    // Every dialect has one start date for all of its streams, and one way to deliver them.
    let start_at = job.streams.iter().find_map(|stream| stream.start_at);
    let delivery = job.streams.iter().find_map(|stream| delivery::native(stream.delivery));
    let input = AirbyteInput {
        credentials: Some(Section::new(credentials::native(&job.connection.credentials))),
        bucket: job.connection.bucket.clone(),
        streams: job.streams.iter().map(native_stream).map(Section::new).collect(),
        start_date: start_at.map(|at| at.to_string()),
        endpoint: job.connection.endpoint.clone().unwrap_or_default(),
        region_name: job.connection.region.clone(),
        delivery_method: delivery.map(Section::new),
        aws_access_key_id: None,
        aws_secret_access_key: None,
        role_arn: None,
    };
    let own = without_defaults(&input, &["bucket", "streams"]);
    in_order(common::native_root(job).into_iter().chain(own).collect(), FIRST_AT_ROOT, LAST_AT_ROOT)
}

fn native_stream(stream: &Stream) -> Map<String, Value> {
    let pattern = |pattern: &Option<KeyPattern>| pattern.as_ref().map(|pattern| pattern.text().to_owned());
    let first = stream.schema_of_first_file;
    let sample_files = stream.schema_sample_files.filter(|_| !first).map(|files| Whole::from(files as u64));
    let input = AirbyteStreamInput {
        name: stream.name.clone(),
        globs: stream.globs.clone(),
        key_pattern: pattern(&stream.key_pattern),
        archive_pattern: pattern(&stream.archive_pattern),
        legacy_prefix: stream.list_prefix.clone(),
        validation_policy: stream.validation_policy,
        input_schema: stream.input_schema.as_deref().map(native_schema),
        primary_key: stream.primary_key.as_ref().and_then(|columns| columns.first()).cloned(),
        days_to_sync_if_history_is_full: u64::from(stream.days_to_sync_if_history_is_full).into(),
        format: Section::new(match stream.formats.as_slice() {
            [] => formats::native(&stream.format),
            formats => formats::native_by_extension(formats, stream.schemaless),
        }),
        schemaless: stream.schemaless,
        recent_n_files_to_read_for_schema_discovery: sample_files,
        use_first_found_file_for_schema_discovery: first,
        skip_full_check_for_parquet: false,
        compression: stream.compression,
        skip_markers: stream.skip_markers,
    };
    let mut own = without_defaults(&input, &["name", "globs", "format"]);
    if stream.key_pattern.is_some() {
        own.shift_remove("globs");
    }
    own.extend(common::native_stream(stream));
    in_order(own, FIRST_IN_STREAMS, &[])
}
