//! The flat form: one stream, every parameter at the root, with the names that came before as legacy names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dialect, additions, airbyte_format};
use crate::defaults;
use crate::identity::Identity;
use crate::job::Job;
use crate::notes::Notes;
use crate::place::{self, Access};
use crate::read::{Guarded, Object, one_of, section, without_nulls, wrong};
use tollgate_base::error::Result;
use tollgate_base::options::{AvroOptions, Compression, CsvHeader, CsvOptions, FormatOptions, ParquetOptions};

const DIALECT: Dialect = Dialect::Flat;

/// The flat form as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Written {
    /// Name of the S3 bucket, `s3://bucket/prefix/`, or the ARN of an access point.
    #[schemars(title = "Bucket")]
    bucket: String,
    /// Flat form: the stream's name. When absent it is the last part of `path_prefix`, or else the bucket.
    #[schemars(title = "Stream Name")]
    name: Option<String>,
    /// Flat form: only keys that begin with this text are read, for example `data/orders/`. When absent all keys are.
    #[serde(default)]
    #[schemars(title = "Path Prefix")]
    path_prefix: String,
    /// Flat form: the format of the files: `csv`, `tsv`, `jsonl`, `json`, `parquet` or `avro`. When
    /// absent it is `csv`.
    #[serde(default = "file_format")]
    #[schemars(title = "File Format")]
    file_format: String,
    /// Flat form and Fivetran-style: the compression around the files: `gzip`, `bzip2`, `zstd`, `xz`, `lz4`, `snappy`,
    /// `brotli`, `zip`, or `none`. When absent it is told by the extension of each key, or else by the first bytes of the
    /// file.
    #[schemars(title = "Compression")]
    compression: Option<String>,
    /// Flat form and Fivetran-style: the region of the bucket. When absent it is `us-east-1` in the flat form; a
    /// bucket elsewhere is found at the price of one more request.
    #[schemars(title = "Region")]
    region: Option<String>,
    /// Flat form and Fivetran-style: the access key id. When neither keys nor a role are given, the environment's
    /// credentials are used.
    #[schemars(title = "Access Key ID")]
    access_key_id: Option<Guarded>,
    /// Flat form: the secret access key that belongs to `access_key_id`.
    #[schemars(title = "Secret Access Key")]
    secret_access_key: Option<Guarded>,
    /// Flat form and Fivetran-style: the session token of temporary keys.
    #[schemars(title = "Session Token")]
    session_token: Option<Guarded>,
    /// The ARN of a role that is assumed with the environment's credentials.
    #[schemars(title = "Role ARN")]
    role_arn: Option<String>,
    /// The external id that the owner of the role asked for.
    #[schemars(title = "External ID")]
    external_id: Option<String>,
    /// Flat form and Fivetran-style: whether requests are sent unsigned, as public buckets allow. When absent they
    /// are signed.
    #[serde(default)]
    #[schemars(title = "Anonymous")]
    anonymous: bool,
    /// Flat form and Fivetran-style: an S3-compatible server, for example `https://minio.example.com:9000`. When
    /// absent it is AWS.
    #[schemars(title = "Endpoint URL")]
    endpoint_url: Option<String>,
    /// Flat form and Fivetran-style: whether an `endpoint_url` without a scheme is reached through TLS. When absent
    /// it is.
    #[serde(default = "use_ssl")]
    #[schemars(title = "Use SSL")]
    use_ssl: bool,
    /// Only files modified at or after this time are read: `2021-01-01` or `2021-01-01T00:00:00Z`.
    #[schemars(title = "Start Date")]
    start_date: Option<String>,
    /// Flat form and Fivetran-style: whether files that other tools leave as marks are left out: `_SUCCESS`,
    /// `_temporary/`, `.crc`, `_$folder$`, and empty files. When absent they are.
    #[serde(default = "skip_markers")]
    #[schemars(title = "Skip Marker Files")]
    skip_markers: bool,
    /// Flat form: the character between the fields of a CSV file; `\t` is a tab. When absent it is a comma, or a tab
    /// for `tsv`.
    #[schemars(title = "CSV Delimiter")]
    csv_delimiter: Option<String>,
    /// Flat form: whether the first row of a CSV file names the columns. If not, they are called `f0`, `f1` and so
    /// on. When absent it does.
    #[serde(default = "csv_header")]
    #[schemars(title = "CSV Header")]
    csv_header: bool,
    /// Flat form: the text encoding of CSV files. When absent it is `utf-8`.
    #[serde(default = "csv_encoding")]
    #[schemars(title = "CSV Encoding")]
    csv_encoding: String,
    /// Former name of `path_prefix`, which wins where both are given.
    #[schemars(title = "Path Prefix (former name)")]
    prefix: Option<String>,
    /// Former name of `file_format`, which wins where both are given. It is not in the specification, where version 3
    /// of Airbyte's connector has an object of the same name.
    #[schemars(skip)]
    format: Option<String>,
    /// Former name of `access_key_id`, which wins where both are given.
    #[schemars(title = "Access Key ID (former name)")]
    access_key: Option<Guarded>,
    /// Former name of `secret_access_key`, which wins where both are given.
    #[schemars(title = "Secret Access Key (former name)")]
    secret_key: Option<Guarded>,
}

fn file_format() -> String {
    defaults::FILE_TYPE.flat.unwrap_or_default().to_owned()
}

fn use_ssl() -> bool {
    defaults::USE_SSL.flat
}

fn skip_markers() -> bool {
    defaults::SKIP_MARKERS.flat
}

fn csv_header() -> bool {
    true
}

fn csv_encoding() -> String {
    defaults::CSV_ENCODING.flat.to_owned()
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
pub(super) fn understand(object: Object, notes: &mut Notes) -> Result<Job> {
    let object = without_nulls(object);
    let mut known = additions::names();
    known.extend(super::partitions::names());
    known.push("sync_mode");
    let mut written: Written = section(&object, "", &known, notes)?;
    let additions = additions::read(&object, notes)?;
    former_names(&mut written, &object, notes);
    if object.contains_key("sync_mode") {
        sync_mode(&object["sync_mode"], notes)?;
    }
    let job = written.into_job(&object, notes)?;
    let mut job = additions.applied(DIALECT, job, &[], notes)?;
    for stream in &mut job.streams {
        super::partitions::apply(DIALECT, stream, &object, "", notes)?;
    }
    Ok(job)
}

/// Moves what is written under former names to the present ones; the present name wins.
fn former_names(written: &mut Written, object: &Object, notes: &mut Notes) {
    let wins = |name: &str| object.contains_key(name);
    if let Some(prefix) = written.prefix.take().filter(|_| !wins("path_prefix")) {
        written.path_prefix = prefix;
    }
    if let Some(format) = written.format.take().filter(|_| !wins("file_format")) {
        written.file_format = format;
    }
    if let Some(key) = written.access_key.take().filter(|_| !wins("access_key_id")) {
        written.access_key_id = Some(key);
    }
    if let Some(key) = written.secret_key.take().filter(|_| !wins("secret_access_key")) {
        written.secret_access_key = Some(key);
    }
    for (former, present) in FORMER.iter().filter(|(former, _)| wins(former)) {
        let note = match wins(present) {
            true => format!("a former name of `{present}`, which is given too and wins"),
            false => format!("now called `{present}`"),
        };
        notes.renamed(*former, note);
        notes.forget_default(present);
    }
}

/// The catalog decides how a stream is synced, so the parameter can only be checked.
fn sync_mode(value: &Value, notes: &mut Notes) -> Result<()> {
    let modes = ["full_refresh", "incremental"];
    if !value.as_str().is_some_and(|mode| modes.contains(&mode)) {
        return Err(wrong("sync_mode", value, &one_of(&modes)));
    }
    notes.unknown("sync_mode", "without effect: the catalog decides how each stream is synced");
    Ok(())
}

impl Written {
    fn into_job(self, object: &Object, notes: &mut Notes) -> Result<Job> {
        let format = self.format(object, notes)?;
        let compression = self.compression(&format, notes)?;
        let start_at = match self.start_date.as_deref() {
            Some(text) => Some(place::start_date(text, "start_date")?),
            None => None,
        };
        let access = Access {
            bucket: ("bucket", &self.bucket),
            endpoint: ("endpoint_url", self.endpoint_url.as_deref()),
            tls: self.use_ssl,
            region: ("region", self.region.as_deref()),
            default_region: defaults::REGION.of(DIALECT),
        };
        place::tls_has_effect(&access, "use_ssl", object, notes)?;
        let credentials = Identity {
            access_key_id: ("access_key_id", self.access_key_id),
            secret_access_key: ("secret_access_key", self.secret_access_key),
            session_token: self.session_token,
            role_arn: self.role_arn,
            external_id: self.external_id,
            anonymous: self.anonymous.then_some("anonymous"),
        }
        .credentials()?;
        let (connection, bucket_prefix) = place::connection(&access, credentials, notes)?;
        let prefix = format!("{bucket_prefix}{}", self.path_prefix);
        let name = match self.name.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => {
                let name = place::stream_name(&prefix, &connection.bucket);
                notes.defaulted("name".to_owned(), &name.clone().into());
                name
            }
        };
        let mut stream = super::stream(DIALECT, name, format);
        stream.list_prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        stream.compression = compression;
        stream.start_at = start_at;
        stream.skip_markers = self.skip_markers;
        Ok(super::job(connection, vec![stream]))
    }

    fn format(&self, object: &Object, notes: &mut Notes) -> Result<FormatOptions> {
        let csv = matches!(self.file_format.as_str(), "csv" | "tsv");
        for key in ["csv_delimiter", "csv_header", "csv_encoding"] {
            if !csv && object.contains_key(key) {
                notes.unknown(key, format!("without effect: the files are {}", self.file_format));
            } else if !csv {
                notes.forget_default(key);
            }
        }
        match self.file_format.as_str() {
            "csv" | "tsv" => Ok(FormatOptions::Csv(self.csv()?)),
            "jsonl" => Ok(FormatOptions::Jsonl),
            "json" => Ok(FormatOptions::Json),
            "parquet" => {
                let decimal_as_float = defaults::PARQUET_DECIMAL_AS_FLOAT.of(DIALECT);
                Ok(FormatOptions::Parquet(ParquetOptions { decimal_as_float, ..ParquetOptions::default() }))
            }
            "avro" => {
                let double_as_string = defaults::AVRO_DOUBLE_AS_STRING.of(DIALECT);
                Ok(FormatOptions::Avro(AvroOptions { double_as_string, ..AvroOptions::default() }))
            }
            other => Err(wrong(
                "file_format",
                format!("'{other}'"),
                &one_of(&["csv", "tsv", "jsonl", "json", "parquet", "avro"]),
            )),
        }
    }

    fn csv(&self) -> Result<CsvOptions> {
        let default = if self.file_format == "tsv" { "\\t" } else { defaults::CSV_DELIMITER.of(DIALECT) };
        let delimiter = self.csv_delimiter.as_deref().unwrap_or(default);
        let (delimiter, delimiter_rest) = airbyte_format::delimiter(delimiter, "csv_delimiter")?;
        let csv = CsvOptions {
            delimiter,
            delimiter_rest,
            encoding: airbyte_format::encoding(&self.csv_encoding, defaults::CSV_ENCODING.of(DIALECT), "csv_encoding")?,
            header: if self.csv_header { CsvHeader::FromFile } else { CsvHeader::Autogenerated },
            ..defaults::csv(DIALECT)
        };
        airbyte_format::distinct(&csv, "csv_delimiter")?;
        Ok(csv)
    }

    fn compression(&self, format: &FormatOptions, notes: &mut Notes) -> Result<Compression> {
        let Some(written) = self.compression.as_deref() else { return Ok(defaults::COMPRESSION.of(DIALECT)) };
        let Some(compression) = Compression::of_name(written) else {
            return Err(wrong(
                "compression",
                format!("'{written}'"),
                &one_of(&Compression::ALL.map(Compression::name)),
            ));
        };
        Ok(super::around(format, compression, "compression", notes))
    }
}
