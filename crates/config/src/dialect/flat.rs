//! The flat form: one stream, with every parameter at the root. Former names are also accepted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Dialect;
use crate::common::read_root;
use crate::input::{Object, SecretInput, one_of, without_nulls, wrong};
use crate::job::{Job, Stream};
use crate::location::stream_name;
use crate::parameters::compression::around;
use crate::parameters::connection::{Access, USE_SSL, connection, tls_has_effect};
use crate::parameters::credentials::Identity;
use crate::parameters::formats::{csv, parquet};
use crate::parameters::selection::{self, SKIP_MARKERS};
use crate::provenance::ProvenanceLog;
use tollgate_base::connection::Connection;
use tollgate_base::error::Result;
use tollgate_base::options::{AvroOptions, Compression, CsvHeader, CsvOptions, FormatOptions};

const DIALECT: Dialect = Dialect::Flat;

/// The flat form as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlatInput {
    /// The name of the S3 bucket, `s3://bucket/prefix/`, or the ARN of an access point.
    #[schemars(title = "Bucket")]
    bucket: String,
    /// Flat form: the name of the stream. When absent, it is the last part of `path_prefix`, or else the bucket.
    #[schemars(title = "Stream Name")]
    name: Option<String>,
    /// Flat form: only keys that start with this text are read, for example `data/orders/`. When absent, all keys are
    /// read.
    #[serde(default)]
    #[schemars(title = "Path Prefix")]
    path_prefix: String,
    /// Flat form: the format of the files: `csv`, `tsv`, `jsonl`, `json`, `parquet` or `avro`. When absent, it is
    /// `csv`.
    #[serde(default = "file_format")]
    #[schemars(title = "File Format")]
    file_format: String,
    /// Flat form and Fivetran-style: the compression of the files: `gzip`, `bzip2`, `zstd`, `xz`, `lz4`, `snappy`,
    /// `brotli`, `zip`, or `none`. When absent, it is detected from the extension of each key, or else from the first
    /// bytes of the file.
    #[schemars(title = "Compression")]
    compression: Option<String>,
    /// Flat form and Fivetran-style: the region of the bucket. When absent, it is `us-east-1` in the flat form; if
    /// the bucket is elsewhere, one more request finds its region.
    #[schemars(title = "Region")]
    region: Option<String>,
    /// Flat form and Fivetran-style: the access key ID. When neither keys nor a role are given, the credentials of
    /// the environment are used.
    #[schemars(title = "Access Key ID")]
    access_key_id: Option<SecretInput>,
    /// Flat form: the secret access key that belongs to `access_key_id`.
    #[schemars(title = "Secret Access Key")]
    secret_access_key: Option<SecretInput>,
    /// Flat form and Fivetran-style: the session token of temporary keys.
    #[schemars(title = "Session Token")]
    session_token: Option<SecretInput>,
    /// The ARN of a role to assume with the credentials of the environment.
    #[schemars(title = "Role ARN")]
    role_arn: Option<String>,
    /// The external ID that the owner of the role requires.
    #[schemars(title = "External ID")]
    external_id: Option<String>,
    /// Flat form and Fivetran-style: whether to send unsigned requests, which public buckets allow. When absent,
    /// requests are signed.
    #[serde(default)]
    #[schemars(title = "Anonymous")]
    anonymous: bool,
    /// Flat form and Fivetran-style: the URL of an S3-compatible server, for example
    /// `https://minio.example.com:9000`. When absent, AWS is used.
    #[schemars(title = "Endpoint URL")]
    endpoint_url: Option<String>,
    /// Flat form and Fivetran-style: whether to use TLS for an `endpoint_url` without a scheme. When absent, TLS is
    /// used.
    #[serde(default = "use_ssl")]
    #[schemars(title = "Use SSL")]
    use_ssl: bool,
    /// Only files modified at or after this time are read: `2021-01-01` or `2021-01-01T00:00:00Z`.
    #[schemars(title = "Start Date")]
    start_date: Option<String>,
    /// Flat form and Fivetran-style: whether to skip marker files of other tools: `_SUCCESS`, `_temporary/`, `.crc`,
    /// `_$folder$`, and empty files. When absent, they are skipped.
    #[serde(default = "skip_markers")]
    #[schemars(title = "Skip Marker Files")]
    skip_markers: bool,
    /// Flat form: the character that separates the fields of a CSV file; `\t` is a tab. When absent, it is a comma,
    /// or a tab for `tsv`.
    #[schemars(title = "CSV Delimiter")]
    csv_delimiter: Option<String>,
    /// Flat form: whether the first row of a CSV file has the column names, which is the default. If not, the columns
    /// are named `f0`, `f1` and so on.
    #[serde(default = "csv_header")]
    #[schemars(title = "CSV Header")]
    csv_header: bool,
    /// Flat form: the text encoding of CSV files. When absent, it is `utf-8`.
    #[serde(default = "csv_encoding")]
    #[schemars(title = "CSV Encoding")]
    csv_encoding: String,
    /// Former name of `path_prefix`. If both are given, `path_prefix` is used.
    #[schemars(title = "Path Prefix (former name)")]
    prefix: Option<String>,
    /// Former name of `file_format`. If both are given, `file_format` is used. It is not in the specification, where
    /// version 3 of Airbyte's connector has an object of the same name.
    #[schemars(skip)]
    format: Option<String>,
    /// Former name of `access_key_id`. If both are given, `access_key_id` is used.
    #[schemars(title = "Access Key ID (former name)")]
    access_key: Option<SecretInput>,
    /// Former name of `secret_access_key`. If both are given, `secret_access_key` is used.
    #[schemars(title = "Secret Access Key (former name)")]
    secret_key: Option<SecretInput>,
}

fn file_format() -> String {
    "csv".to_owned()
}

fn use_ssl() -> bool {
    USE_SSL
}

fn skip_markers() -> bool {
    SKIP_MARKERS.of(DIALECT)
}

fn csv_header() -> bool {
    true
}

fn csv_encoding() -> String {
    csv::defaults(DIALECT).encoding
}

/// Former names and what they are called now.
const FORMER: &[(&str, &str)] = &[
    ("prefix", "path_prefix"),
    ("format", "file_format"),
    ("access_key", "access_key_id"),
    ("secret_key", "secret_access_key"),
];

/// Turns a flat configuration into a job.
///
/// # Errors
/// Config or Unsupported, naming the parameter.
pub(crate) fn parse(object: Object, log: &mut ProvenanceLog) -> Result<Job> {
    let object = without_nulls(object);
    let (mut input, common) = read_root::<FlatInput>(DIALECT, &object, &["sync_mode"], log)?;
    former_names(&mut input, &object, log);
    if let Some(mode) = object.get("sync_mode") {
        sync_mode(mode, log)?;
    }
    let (connection, stream) = input.stream(&object, log)?;
    common.into_job(connection, vec![stream.into()], &object, log)
}

/// Moves what is written under former names to the present ones; the present name wins.
fn former_names(input: &mut FlatInput, object: &Object, log: &mut ProvenanceLog) {
    let wins = |name: &str| object.contains_key(name);
    if let Some(prefix) = input.prefix.take().filter(|_| !wins("path_prefix")) {
        input.path_prefix = prefix;
    }
    if let Some(format) = input.format.take().filter(|_| !wins("file_format")) {
        input.file_format = format;
    }
    if let Some(key) = input.access_key.take().filter(|_| !wins("access_key_id")) {
        input.access_key_id = Some(key);
    }
    if let Some(key) = input.secret_key.take().filter(|_| !wins("secret_access_key")) {
        input.secret_access_key = Some(key);
    }
    for (former, present) in FORMER.iter().filter(|(former, _)| wins(former)) {
        let note = match wins(present) {
            true => format!("a former name of `{present}`, which is also given and is used instead"),
            false => format!("now called `{present}`"),
        };
        log.renamed(*former, note);
        log.forget_default(present);
    }
}

/// The catalog decides how a stream is synced, so the parameter can only be checked.
fn sync_mode(value: &Value, log: &mut ProvenanceLog) -> Result<()> {
    let modes = ["full_refresh", "incremental"];
    if !value.as_str().is_some_and(|mode| modes.contains(&mode)) {
        return Err(wrong("sync_mode", value, &one_of(&modes)));
    }
    log.unused("sync_mode", "without effect: the catalog decides how each stream is synced");
    Ok(())
}

impl FlatInput {
    fn stream(self, object: &Object, log: &mut ProvenanceLog) -> Result<(Connection, Stream)> {
        let format = self.format(object, log)?;
        let compression = self.compression(&format, log)?;
        let start_date = self.start_date.as_deref();
        let start_at = start_date.map(|text| selection::start_date(text, "start_date")).transpose()?;
        let (endpoint, region) = (self.endpoint_url.as_deref(), self.region.as_deref());
        let access = Access::flat(&self.bucket, endpoint, self.use_ssl, region, DIALECT);
        tls_has_effect(&access, "use_ssl", object, log)?;
        let credentials = Identity {
            access_key_id: ("access_key_id", self.access_key_id),
            secret_access_key: ("secret_access_key", self.secret_access_key),
            session_token: self.session_token,
            role_arn: self.role_arn,
            external_id: self.external_id,
            anonymous: self.anonymous.then_some("anonymous"),
        }
        .credentials()?;
        let (connection, bucket_prefix) = connection(&access, credentials, log)?;
        let prefix = format!("{bucket_prefix}{}", self.path_prefix);
        let name = match self.name.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => {
                let name = stream_name(&prefix, &connection.bucket);
                log.defaulted("name".to_owned(), &name.clone().into());
                name
            }
        };
        let stream = Stream {
            list_prefix: Some(prefix).filter(|prefix| !prefix.is_empty()),
            compression,
            start_at,
            skip_markers: self.skip_markers,
            ..Stream::new(DIALECT, name, format)
        };
        Ok((connection, stream))
    }

    fn format(&self, object: &Object, log: &mut ProvenanceLog) -> Result<FormatOptions> {
        let csv = matches!(self.file_format.as_str(), "csv" | "tsv");
        for key in ["csv_delimiter", "csv_header", "csv_encoding"] {
            if !csv && object.contains_key(key) {
                log.unused(key, format!("without effect: the files are {}", self.file_format));
            } else if !csv {
                log.forget_default(key);
            }
        }
        match self.file_format.as_str() {
            "csv" | "tsv" => Ok(FormatOptions::Csv(self.csv()?)),
            "jsonl" => Ok(FormatOptions::Jsonl),
            "json" => Ok(FormatOptions::Json),
            "parquet" => Ok(FormatOptions::Parquet(parquet::defaults(DIALECT))),
            "avro" => Ok(FormatOptions::Avro(AvroOptions::default())),
            other => Err(wrong(
                "file_format",
                format!("'{other}'"),
                &one_of(&["csv", "tsv", "jsonl", "json", "parquet", "avro"]),
            )),
        }
    }

    fn csv(&self) -> Result<CsvOptions> {
        let default = if self.file_format == "tsv" { "\\t" } else { csv::DELIMITER };
        let delimiter = self.csv_delimiter.as_deref().unwrap_or(default);
        let (delimiter, delimiter_rest) = csv::delimiter(delimiter, "csv_delimiter")?;
        let options = CsvOptions {
            delimiter,
            delimiter_rest,
            encoding: csv::encoding(&self.csv_encoding, csv::ENCODING.of(DIALECT), "csv_encoding")?,
            header: if self.csv_header { CsvHeader::FromFile } else { CsvHeader::Autogenerated },
            ..csv::defaults(DIALECT)
        };
        csv::distinct(&options, "csv_delimiter")?;
        Ok(options)
    }

    fn compression(&self, format: &FormatOptions, log: &mut ProvenanceLog) -> Result<Compression> {
        let Some(written) = self.compression.as_deref() else { return Ok(Compression::default()) };
        let Some(compression) = Compression::of_name(written) else {
            return Err(wrong(
                "compression",
                format!("'{written}'"),
                &one_of(&Compression::ALL.map(Compression::name)),
            ));
        };
        Ok(around(format, compression, "compression", log))
    }
}
