//! A configuration with the names of Fivetran's S3 connector. Every parameter is mapped, refused with what to do instead,
//! or noted as without effect here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dialect;
use super::fivetran_format::FivetranFormat;
use crate::common::{StreamDraft, read_root};
use crate::input::{
    NOT_SHOWN, Object, SecretInput, Section, Whole, looks_like_a_name, one_of, section, without_nulls, wrong,
};
use crate::job::{Job, Stream};
use crate::location::stream_name;
use crate::parameters::compression::around;
use crate::parameters::connection::{Access, USE_SSL, connection, tls_has_effect};
use crate::parameters::credentials::Identity;
use crate::parameters::formats::csv;
use crate::parameters::selection::{self, SKIP_MARKERS};
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::connection::{Connection, Credentials};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::key_pattern::KeyPattern;
use tollgate_base::options::{Compression, FormatOptions};

const DIALECT: Dialect = Dialect::Fivetran;

/// The configuration as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct FivetranInput {
    /// The name of the S3 bucket, or the alias of an access point.
    #[schemars(title = "Bucket")]
    bucket: String,
    /// Fivetran-style: how to authenticate: `IAM_ROLE`, `ACCESS_KEY` or `PUBLIC_BUCKET`. When absent, it follows from
    /// the other parameters.
    #[schemars(title = "Access Approach")]
    auth_type: Option<String>,
    /// The access key ID.
    #[schemars(title = "Access Key ID")]
    access_key_id: Option<SecretInput>,
    /// Fivetran-style: the secret access key that belongs to `access_key_id`.
    #[schemars(title = "Access Key Secret")]
    access_key_secret: Option<SecretInput>,
    /// The session token of temporary keys.
    #[schemars(title = "Session Token")]
    session_token: Option<SecretInput>,
    /// The ARN of a role to assume with the credentials of the environment.
    #[schemars(title = "Role ARN")]
    role_arn: Option<String>,
    /// The external ID that the owner of the role requires.
    #[schemars(title = "External ID")]
    external_id: Option<String>,
    /// Fivetran-style: whether the bucket is public, so that requests are not signed.
    #[serde(default)]
    #[schemars(title = "Is Public")]
    is_public: bool,
    /// The region of the bucket. When absent, the connector detects it.
    #[schemars(title = "Region")]
    region: Option<String>,
    /// The URL of an S3-compatible server.
    #[schemars(title = "Endpoint URL")]
    endpoint_url: Option<String>,
    /// Whether to use TLS for an `endpoint_url` without a scheme.
    #[serde(default = "use_ssl")]
    #[schemars(title = "Use SSL")]
    use_ssl: bool,
    /// Whether to skip marker files of other tools.
    #[serde(default = "skip_markers")]
    #[schemars(title = "Skip Marker Files")]
    skip_markers: bool,
    /// Only files that were modified at or after this time are read.
    #[schemars(title = "Start Date")]
    start_date: Option<String>,
    /// The folder whose files are read. When absent, the whole bucket is read.
    #[schemars(title = "Folder Path")]
    prefix: Option<String>,
    /// Fivetran-style: a regular expression that must match the whole key after the folder. When absent, all files
    /// are read.
    #[schemars(title = "File Pattern")]
    pattern: Option<String>,
    /// Fivetran-style: a regular expression that must match the whole name of a file inside a zip archive. When
    /// absent, all files in archives are read.
    #[schemars(title = "Archive Pattern")]
    archive_pattern: Option<String>,
    /// Fivetran-style: the tables and the patterns of their files.
    #[schemars(title = "Files")]
    files: Option<Vec<Section<FileInput>>>,
    /// Fivetran-style: how files are assigned to tables. Only `DEFINE_PER_TABLE` is supported.
    #[schemars(title = "File Mapping Method")]
    file_mapping_method: Option<String>,
    /// Fivetran-style: the name of the stream if there are no `files`. When absent, it is the last part of the
    /// folder, or else the bucket.
    #[schemars(title = "Table")]
    table: Option<String>,
    /// The schema at the destination. Without effect: the platform has its own setting.
    #[schemars(title = "Schema")]
    schema: Option<String>,
    /// Fivetran-style: the schema at the destination. Without effect: the platform has its own setting.
    #[schemars(title = "Table Group Name")]
    table_group_name: Option<String>,
    /// Fivetran-style: `csv`, `tsv`, `jsonl`, `json`, `parquet`, `avro`, `xlsx` or `xlsb`. When absent or `infer`, it
    /// is the extension in the pattern, or else the extension of the first key. Files with another extension are
    /// errors.
    #[serde(default = "file_type")]
    #[schemars(title = "File Type")]
    file_type: String,
    /// The compression of the files.
    #[schemars(title = "Compression")]
    compression: Option<String>,
    /// Fivetran-style: `Packed` for one column `data` with the whole object, `Unpacked` for one column per member.
    /// When absent, it is `Packed`.
    #[serde(default = "json_delivery_mode")]
    #[schemars(title = "JSON Delivery Mode")]
    json_delivery_mode: String,
    /// Fivetran-style: the character that separates fields. When absent, it depends on the file type.
    #[schemars(title = "Delimiter")]
    delimiter: Option<String>,
    /// Fivetran-style: the character around fields that contain delimiters. When absent, it is a double quote.
    #[serde(default = "quote_char")]
    #[schemars(title = "Quote Character")]
    quote_char: String,
    /// Fivetran-style: whether fields can be quoted, which is the default.
    #[serde(default = "quote_character_enabled")]
    #[schemars(title = "Quote Character Enabled")]
    quote_character_enabled: bool,
    /// Fivetran-style: whether to use `escape_char`. When absent, it is used if it is given.
    #[schemars(title = "Non-Standard Escape Character")]
    non_standard_escape_char: Option<bool>,
    /// Fivetran-style: how characters are escaped. Only `CUSTOM_ESCAPE_CHAR` is supported.
    #[schemars(title = "Escape Character Options")]
    escape_char_options: Option<String>,
    /// Fivetran-style: the character that removes the special meaning of the character after it.
    #[schemars(title = "Escape Character")]
    escape_char: Option<String>,
    /// Fivetran-style: the text that means null. When absent, there is none.
    #[schemars(title = "Null Sequence")]
    null_sequence: Option<String>,
    /// Fivetran-style: what ends a line. Only line breaks are supported.
    #[schemars(title = "Line Separator")]
    line_separator: Option<String>,
    /// Fivetran-style: how many lines to skip before the header.
    #[serde(default = "zero")]
    #[schemars(title = "Skip Header Lines")]
    skip_before: Whole,
    /// Fivetran-style: how many lines to skip at the end of a file. Only 0 is supported.
    #[serde(default = "zero")]
    #[schemars(title = "Skip Footer Lines")]
    skip_after: Whole,
    /// Fivetran-style: whether the files have no header. The columns are then named `f0`, `f1` and so on.
    #[serde(default)]
    #[schemars(title = "Empty Header")]
    empty_header: bool,
    /// Fivetran-style: how to handle changed files. Without effect: they are read again, and the sync mode decides
    /// the rest.
    #[schemars(title = "Append File Option")]
    append_file_option: Option<String>,
    /// Fivetran-style: how the bucket is listed. Without effect: all keys are listed.
    #[schemars(title = "List Strategy")]
    list_strategy: Option<String>,
    /// Fivetran-style: the secret key of encrypted files. Not supported.
    #[schemars(title = "PGP Secret Key")]
    pgp_secret_key: Option<SecretInput>,
    /// Fivetran-style: the pass phrase of the secret key. Not supported.
    #[schemars(title = "PGP Pass Phrase")]
    pgp_pass_phrase: Option<SecretInput>,
}

/// A table and its files.
#[derive(Serialize, Deserialize, JsonSchema)]
struct FileInput {
    /// The name of the table, which is the name of the stream.
    #[schemars(title = "Table Name")]
    table_name: String,
    /// A regular expression that must match the whole key after the folder. When absent, all files are read.
    #[schemars(title = "File Pattern")]
    file_pattern: Option<String>,
    /// A regular expression that must match the whole name of a file inside a zip archive. When absent, all files in
    /// archives are read.
    #[schemars(title = "Archive Pattern")]
    archive_pattern: Option<String>,
}

fn use_ssl() -> bool {
    USE_SSL
}

fn skip_markers() -> bool {
    SKIP_MARKERS.of(DIALECT)
}

fn file_type() -> String {
    "infer".to_owned()
}

fn json_delivery_mode() -> String {
    "Packed".to_owned()
}

fn quote_char() -> String {
    csv::QUOTE.to_owned()
}

fn quote_character_enabled() -> bool {
    true
}

fn zero() -> Whole {
    Whole(0)
}

/// Parameters that are refused when they say anything at all.
const NOT_YET: &[(&str, &str)] = &[
    ("extraction_pattern", "write each table into `files` with its own `file_pattern`"),
    ("signer_public_key", "decrypt the files before they are uploaded"),
    ("proxy_agent_id", "run the connector where it can reach the bucket"),
    ("private_link_id", "set `endpoint_url` to the endpoint inside your network"),
    ("tunnel_host", "run the connector where it can reach the bucket"),
];

/// Parameters that only one value is supported of, with the way out.
const ONE_VALUE: &[(&str, &str, &str)] = &[
    (
        "connection_type",
        "Directly",
        "run the connector inside the network, or set `endpoint_url` to an endpoint that it can reach",
    ),
    ("file_mapping_method", "DEFINE_PER_TABLE", "write each table into `files` with its own `file_pattern`"),
];

/// Parameters that only one kind of file makes use of.
const OF_CSV: &[&str] = &[
    "delimiter",
    "quote_char",
    "quote_character_enabled",
    "non_standard_escape_char",
    "escape_char_options",
    "escape_char",
    "null_sequence",
    "line_separator",
    "skip_before",
    "skip_after",
    "empty_header",
];

/// Switches that are supported only when they are off, with the way out.
const OFF_ONLY: &[(&str, &str)] = &[
    ("is_private_link_required", "set `endpoint_url` to the endpoint inside your network"),
    ("use_pgp_encryption_options", "decrypt the files before they are uploaded"),
];

/// Takes a configuration out of what Fivetran's API sends and answers: `{"service": "s3", "config": {…}}`, or that
/// inside of `data`. Whether it was one; otherwise the object is given back. What stands around `config` is Fivetran's
/// own affair and has no effect here.
///
/// # Errors
/// Config, when the service is another one.
pub(crate) fn unwrapped(mut object: Object, log: &mut ProvenanceLog) -> Result<(Object, bool)> {
    let envelope = |object: &Object| {
        object.get("service").is_some_and(serde_json::Value::is_string)
            && object.get("config").is_some_and(serde_json::Value::is_object)
    };
    let mut path = "";
    if let Some(serde_json::Value::Object(data)) =
        object.get("data").filter(|data| data.as_object().is_some_and(envelope))
    {
        (object, path) = (data.clone(), "data");
    }
    if !envelope(&object) {
        return Ok((object, false));
    }
    let service = join(path, "service");
    match object.get("service") {
        Some(value) if *value == "s3" => log.accepted(&service, value),
        other => {
            let text = other.map(ToString::to_string).unwrap_or_default();
            return Err(wrong(&service, text, "'s3'"));
        }
    }
    for key in object.keys().filter(|key| !["service", "config"].contains(&key.as_str())) {
        log.unused(join(path, key), "without effect: it is a setting of Fivetran's platform");
    }
    match object.remove("config") {
        Some(serde_json::Value::Object(config)) => Ok((config, true)),
        _ => Ok((object, false)),
    }
}

/// Turns a Fivetran-style configuration into a job.
///
/// # Errors
/// Config or Unsupported, naming the parameter.
pub(crate) fn parse(object: Object, log: &mut ProvenanceLog) -> Result<Job> {
    let mut object = without_nulls(object);
    // Fivetran's interface returns blank texts for what was never set.
    let blank = |key: &str| key == "on_error" || NOT_YET.iter().any(|(name, _)| *name == key);
    object.retain(|key, value| !(blank(key) && *value == ""));
    let refused = NOT_YET.iter().chain(OFF_ONLY).map(|(name, _)| *name);
    let known: Vec<&str> = refused.chain(["connection_type"]).collect();
    let (input, common) = read_root::<FivetranInput>(DIALECT, &object, &known, log)?;
    refusals(&object, log)?;
    without_effect(&object, &input, log);
    let (connection, bucket_prefix) = input.connection(&object, log)?;
    let folder = format!("{bucket_prefix}{}", folder(input.prefix.as_deref().unwrap_or_default()));
    let streams = input.streams(&folder, &connection.bucket, &object, log)?;
    note_unused(&streams, &object, log);
    let credentials = input.credentials(&object, log)?;
    let drafts = streams.into_iter().map(StreamDraft::from).collect();
    common.into_job(Connection { credentials, ..connection }, drafts, &object, log)
}

/// A folder as a prefix: no slash before it, and one after it.
fn folder(prefix: &str) -> String {
    let path = prefix.trim().trim_matches('/');
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

/// Refuses each parameter of a list that is written.
fn refuse(object: &Object, path: &str, list: &[(&str, &str)], log: &mut ProvenanceLog) {
    for (key, way_out) in list {
        if object.get(*key).is_some_and(|value| !value.is_null()) {
            log.refused(join(path, key), *way_out);
        }
    }
}

fn refusals(object: &Object, log: &mut ProvenanceLog) -> Result<()> {
    refuse(object, "", NOT_YET, log);
    for (key, supported, way_out) in ONE_VALUE {
        match object.get(*key).map(|value| (value, value.as_str())) {
            None | Some((_, Some(""))) => {}
            Some((value, Some(name))) if name == *supported => log.accepted(key, value),
            Some(_) => log.refused(*key, *way_out),
        }
    }
    for (key, way_out) in OFF_ONLY {
        match object.get(*key) {
            None => {}
            Some(value) if *value == false => log.accepted(key, value),
            Some(value) if *value == true => log.refused(*key, *way_out),
            Some(other) => return Err(wrong(key, other, "a boolean")),
        }
    }
    Ok(())
}

fn without_effect(object: &Object, written: &FivetranInput, log: &mut ProvenanceLog) {
    for key in ["schema", "table_group_name"].iter().filter(|key| object.contains_key(**key)) {
        log.unused(*key, "without effect: the platform determines the schema at the destination");
    }
    if written.append_file_option.as_deref().is_some_and(|option| option != "append_file") {
        log.unused(
            "append_file_option",
            "without effect: a changed file is read again, and the sync mode decides the rest",
        );
    }
    if written.list_strategy.as_deref().is_some_and(|strategy| strategy != "complete_listing") {
        log.unused("list_strategy", "without effect: all keys are listed");
    }
    for key in ["pgp_secret_key", "pgp_pass_phrase"].iter().filter(|key| object.contains_key(**key)) {
        log.unused(*key, "without effect: files are not decrypted");
    }
    let several = written.files.as_ref().is_some_and(|files| !files.is_empty());
    for key in ["pattern", "archive_pattern", "table"].iter().filter(|key| several && object.contains_key(**key)) {
        log.unused(*key, "without effect, because `files` is given");
    }
}

/// Fivetran's interface returns the options of all formats; those of formats that no stream has get a remark.
fn note_unused(streams: &[Stream], object: &Object, log: &mut ProvenanceLog) {
    let any = |wanted: fn(&FormatOptions) -> bool| streams.iter().any(|stream| wanted(&stream.format));
    // Which of them are needed is not known before a key is.
    let by_key = streams.iter().any(|stream| !stream.formats.is_empty());
    let csv = by_key || any(|format| matches!(format, FormatOptions::Csv(_)));
    let json = by_key || any(|format| matches!(format, FormatOptions::Jsonl | FormatOptions::Json));
    let of_csv = OF_CSV.iter().filter(|_| !csv);
    let of_json = ["json_delivery_mode"].iter().filter(|_| !json);
    for key in of_csv.chain(of_json) {
        match object.contains_key(*key) {
            true => log.remark(key, "not used: it is an option of another file type"),
            false => log.forget_default(key),
        }
    }
}

impl FivetranInput {
    /// What the parameters say about the format of files.
    fn format(&self) -> FivetranFormat<'_> {
        FivetranFormat {
            file_type: &self.file_type,
            compression: self.compression.as_deref(),
            json_delivery_mode: &self.json_delivery_mode,
            delimiter: self.delimiter.as_deref(),
            quote_char: if self.quote_character_enabled { &self.quote_char } else { "" },
            non_standard_escape_char: self.non_standard_escape_char,
            escape_char_options: self.escape_char_options.as_deref(),
            escape_char: self.escape_char.as_deref().unwrap_or_default(),
            null_sequence: self.null_sequence.as_deref(),
            line_separator: self.line_separator.as_deref(),
            skip_before: self.skip_before,
            skip_after: self.skip_after,
            empty_header: self.empty_header,
        }
    }

    /// The connection; credentials are filled in later.
    fn connection(&self, object: &Object, log: &mut ProvenanceLog) -> Result<(Connection, String)> {
        let (endpoint, region) = (self.endpoint_url.as_deref(), self.region.as_deref());
        let access = Access::flat(&self.bucket, endpoint, self.use_ssl, region, DIALECT);
        tls_has_effect(&access, "use_ssl", object, log)?;
        connection(&access, Credentials::Anonymous, log)
    }

    /// `auth_type` decides; what belongs to another one is without effect, since Fivetran returns all of them.
    fn credentials(mut self, object: &Object, log: &mut ProvenanceLog) -> Result<Credentials> {
        const KEYS: &[&str] = &["access_key_id", "access_key_secret", "session_token"];
        const ROLE: &[&str] = &["role_arn", "external_id"];
        let known = ["IAM_ROLE", "ACCESS_KEY", "PUBLIC_BUCKET"];
        let (unused, needed): (Vec<&str>, &str) = match self.auth_type.as_deref() {
            None | Some("") => (Vec::new(), ""),
            Some("IAM_ROLE") => (KEYS.to_vec(), "role_arn"),
            Some("ACCESS_KEY") => (ROLE.to_vec(), "access_key_id"),
            Some("PUBLIC_BUCKET") => ([KEYS, ROLE].concat(), ""),
            Some(other) if looks_like_a_name(other) => {
                return Err(wrong("auth_type", format!("'{other}'"), &one_of(&known)));
            }
            Some(_) => return Err(wrong("auth_type", NOT_SHOWN, &one_of(&known))),
        };
        let auth_type = self.auth_type.take().unwrap_or_default();
        for key in unused.iter().filter(|key| object.get(**key).is_some_and(|value| *value != "")) {
            log.unused(*key, format!("without effect: `auth_type` is {auth_type}"));
        }
        if !needed.is_empty() && object.get(needed).is_none_or(|value| *value == "") {
            return Err(Error::config(format!("'{needed}' is a required property where `auth_type` is {auth_type}")));
        }
        let kept = |key: &str| !unused.contains(&key);
        // Fivetran fills in the id of the group, role or not.
        if self.role_arn.as_deref().unwrap_or_default().is_empty()
            && self.external_id.take().is_some()
            && kept("external_id")
        {
            log.unused("external_id", "without effect: there is no `role_arn`");
        }
        let anonymous = if auth_type == "PUBLIC_BUCKET" { Some("auth_type") } else { None };
        Identity {
            access_key_id: ("access_key_id", self.access_key_id.filter(|_| kept("access_key_id"))),
            secret_access_key: ("access_key_secret", self.access_key_secret.filter(|_| kept("access_key_secret"))),
            session_token: self.session_token.filter(|_| kept("session_token")),
            role_arn: self.role_arn.filter(|_| kept("role_arn")),
            external_id: self.external_id.filter(|_| kept("external_id")),
            anonymous: anonymous.or_else(|| (auth_type.is_empty() && self.is_public).then_some("is_public")),
        }
        .credentials()
    }

    fn streams(&self, folder: &str, bucket: &str, object: &Object, log: &mut ProvenanceLog) -> Result<Vec<Stream>> {
        let files = self.files.as_deref().unwrap_or_default();
        if files.is_empty() {
            let name = match self.table.clone().filter(|table| !table.is_empty()) {
                Some(table) => table,
                None => {
                    let name = stream_name(folder, bucket);
                    log.defaulted("table".to_owned(), &name.clone().into());
                    name
                }
            };
            let pattern = selection::key_pattern(self.pattern.as_deref(), folder, "pattern")?;
            let members = selection::key_pattern(self.archive_pattern.as_deref(), "", "archive_pattern")?;
            return Ok(vec![self.stream(name, (pattern, members), "", folder, object, log)?]);
        }
        let mut streams = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let path = format!("files[{index}]");
            let mut file = without_nulls(file.0.clone());
            file.retain(|key, value| !(key == "selected_range" && *value == ""));
            let not_yet = [("selected_range", "remove it: ranges of a spreadsheet are not supported yet")];
            let written: FileInput = section(&file, &path, &not_yet.map(|(name, _)| name), log)?;
            refuse(&file, &path, &not_yet, log);
            let pattern_path = join(&path, "file_pattern");
            let pattern = selection::key_pattern(written.file_pattern.as_deref(), folder, &pattern_path)?;
            let members_path = join(&path, "archive_pattern");
            let members = selection::key_pattern(written.archive_pattern.as_deref(), "", &members_path)?;
            streams.push(self.stream(written.table_name, (pattern, members), &path, folder, object, log)?);
        }
        Ok(streams)
    }

    /// A stream of the files that a pattern matches, and of the members of archives that another one does. `path` is that
    /// of the table.
    fn stream(
        &self,
        name: String,
        (pattern, members): (Option<KeyPattern>, Option<KeyPattern>),
        path: &str,
        folder: &str,
        object: &Object,
        log: &mut ProvenanceLog,
    ) -> Result<Stream> {
        let format = self.format();
        let compression = format.compression()?;
        let formats = format.formats(pattern.as_ref().map(KeyPattern::text), object, log)?;
        let first = formats.first().ok_or_else(|| Error::internal("a stream without a format"))?;
        let mut stream = Stream::new(DIALECT, name, first.format.clone());
        stream.schemaless = first.schemaless;
        if formats.len() > 1 {
            stream.formats = formats;
        }
        if members.is_some() && !matches!(compression, Compression::Auto | Compression::Zip) {
            let note = "without effect: according to `compression`, the files are not zip archives";
            log.unused(join(path, "archive_pattern"), note);
        }
        stream.compression = match stream.formats.is_empty() {
            true => around(&stream.format, compression, "compression", log),
            false => compression,
        };
        stream.skip_markers = self.skip_markers;
        stream.list_prefix = Some(folder.to_owned()).filter(|folder| !folder.is_empty());
        (stream.key_pattern, stream.archive_pattern) = (pattern, members);
        if let Some(text) = self.start_date.as_deref() {
            stream.start_at = Some(selection::start_date(text, "start_date")?);
        }
        if stream.schemaless {
            log.remark("json_delivery_mode", "one column, called `data`");
        }
        Ok(stream)
    }
}
