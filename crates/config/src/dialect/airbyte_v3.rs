//! `airbyte/source-s3` version 3: one stream; the connection in `provider`, options of formats as JSON texts.
//!
//! It converts forward, as the migration of version 4 does it: what that migration drops is dropped here with a line of
//! provenance, and its defaults (other null values, typed columns, decimals as numbers) are the column of version 3 in
//! the table of defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Dialect;
use crate::common::read_root;
use crate::input::{Object, SecretInput, Section, Whole, fields_of, section, tag_of, without_nulls, wrong};
use crate::job::{Job, Stream};
use crate::parameters::connection::{Access, REGION, USE_SSL, connection};
use crate::parameters::credentials::Identity;
use crate::parameters::formats::{csv, parquet};
use crate::parameters::selection;
use crate::parameters::validation::input_schema;
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::connection::Connection;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::{AvroOptions, CsvHeader, CsvInference, CsvOptions, FormatOptions};

const DIALECT: Dialect = Dialect::AirbyteV3;

/// The format where none is written.
const FILE_TYPE: &str = "csv";

/// The root as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AirbyteV3Input {
    /// Version 3 of Airbyte's connector: the name of the stream. Use `streams` instead.
    #[schemars(title = "Output Stream Name")]
    dataset: String,
    /// Version 3 of Airbyte's connector: the patterns of the keys, separated by `|`. Use `streams` instead.
    #[schemars(title = "Pattern of files to replicate")]
    path_pattern: String,
    /// Format and options; not in the specification, where the flat form has a text of the same name.
    #[schemars(skip)]
    format: Option<Section<Value>>,
    /// Version 3 of Airbyte's connector: the types of the columns as a JSON text. Use `streams` instead. In a
    /// Fivetran-style configuration: the schema at the destination, which has no effect here.
    #[schemars(title = "Manually enforced data schema")]
    schema: Option<String>,
    /// Version 3 of Airbyte's connector: bucket and credentials. Use `bucket` and `credentials` instead.
    #[schemars(title = "S3: Amazon Web Services")]
    provider: Section<ProviderInput>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct ProviderInput {
    /// The name of the S3 bucket.
    #[schemars(title = "Bucket")]
    bucket: String,
    /// The access key ID.
    #[schemars(title = "AWS Access Key ID")]
    aws_access_key_id: Option<SecretInput>,
    /// The secret access key.
    #[schemars(title = "AWS Secret Access Key")]
    aws_secret_access_key: Option<SecretInput>,
    /// Without effect, as in version 4 of Airbyte's connector: the credentials of the environment are used unchanged.
    #[schemars(title = "AWS Role ARN")]
    role_arn: Option<String>,
    /// The only prefix that is listed.
    #[schemars(title = "Path Prefix")]
    path_prefix: Option<String>,
    /// The URL of an S3-compatible server.
    #[schemars(title = "Endpoint")]
    endpoint: Option<String>,
    /// The region of the bucket.
    #[schemars(title = "AWS Region")]
    region_name: Option<String>,
    /// Only files that were modified at or after this time are read.
    #[schemars(title = "Start Date")]
    start_date: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct CsvV3Input {
    #[serde(default = "delimiter_default")]
    delimiter: String,
    #[serde(default = "infer_datatypes_default")]
    infer_datatypes: bool,
    #[serde(default = "quote_default")]
    quote_char: String,
    escape_char: Option<String>,
    #[serde(default = "encoding_default")]
    encoding: String,
    #[serde(default = "double_quote_default")]
    double_quote: bool,
    newlines_in_values: Option<bool>,
    block_size: Option<Whole>,
    additional_reader_options: Option<String>,
    advanced_options: Option<String>,
}

/// The JSON text `additional_reader_options`.
#[derive(Serialize, Deserialize)]
struct ReaderOptionsInput {
    #[serde(default = "null_values_default")]
    null_values: Vec<String>,
    #[serde(default = "true_values_default")]
    true_values: Vec<String>,
    #[serde(default = "false_values_default")]
    false_values: Vec<String>,
    #[serde(default = "strings_can_be_null_default")]
    strings_can_be_null: bool,
}

/// The JSON text `advanced_options`.
#[derive(Serialize, Deserialize)]
struct AdvancedOptionsInput {
    #[serde(default = "zero")]
    skip_rows: Whole,
    #[serde(default = "zero")]
    skip_rows_after_names: Whole,
    #[serde(default)]
    column_names: Vec<String>,
    #[serde(default)]
    autogenerate_column_names: bool,
}

#[derive(Serialize, Deserialize)]
struct ParquetV3Input {
    columns: Option<Vec<String>>,
    batch_size: Option<Whole>,
    buffer_size: Option<Whole>,
}

#[derive(Serialize, Deserialize)]
struct JsonlV3Input {
    newlines_in_values: Option<bool>,
    unexpected_field_behavior: Option<String>,
    block_size: Option<Whole>,
}

#[derive(Serialize, Deserialize)]
struct AvroV3Input {}

fn delimiter_default() -> String {
    csv::DELIMITER.to_owned()
}

fn quote_default() -> String {
    csv::QUOTE.to_owned()
}

fn encoding_default() -> String {
    csv::defaults(DIALECT).encoding
}

fn double_quote_default() -> bool {
    csv::defaults(DIALECT).double_quote
}

fn infer_datatypes_default() -> bool {
    csv::defaults(DIALECT).inference == CsvInference::PrimitiveTypesOnly
}

fn null_values_default() -> Vec<String> {
    csv::defaults(DIALECT).null_values
}

fn true_values_default() -> Vec<String> {
    csv::defaults(DIALECT).true_values
}

fn false_values_default() -> Vec<String> {
    csv::defaults(DIALECT).false_values
}

fn strings_can_be_null_default() -> bool {
    csv::defaults(DIALECT).strings_can_be_null
}

fn zero() -> Whole {
    Whole(0)
}

/// Options of the reader that version 4 does not have and silently leaves out.
const NO_EFFECT: &[&str] = &["auto_dict_encode", "timestamp_parsers", "block_size", "check_utf8"];

/// Turns a configuration of version 3 into a job.
///
/// # Errors
/// Config or Unsupported, naming the parameter.
pub(crate) fn parse(object: Object, log: &mut ProvenanceLog) -> Result<Job> {
    let object = without_nulls(object);
    let (input, common) = read_root::<AirbyteV3Input>(DIALECT, &object, &["source_type"], log)?;
    if input.dataset.is_empty() {
        return Err(wrong("dataset", "empty", "a name"));
    }
    let format = without_nulls(input.format.map(|format| format.0).unwrap_or_default());
    let format = self::format(&format, "format", log)?;
    let input_schema = input_schema(input.schema.as_deref(), "schema", log)?;
    let provider: ProviderInput = section(&without_nulls(input.provider.0), "provider", &["storage"], log)?;
    let start_date = provider.start_date.as_deref();
    let start_at = start_date.map(|text| selection::start_date(text, "provider.start_date")).transpose()?;
    let path_prefix = provider.path_prefix.clone().filter(|prefix| !prefix.is_empty());
    let (connection, bucket_prefix) = provider.connection(log)?;
    let stream = Stream {
        globs: input.path_pattern.split('|').map(|glob| selection::inside(&bucket_prefix, glob)).collect(),
        list_prefix: path_prefix.map(|prefix| format!("{bucket_prefix}{prefix}")),
        input_schema,
        start_at,
        ..Stream::new(DIALECT, input.dataset, format)
    };
    note_present_names(&object, log);
    common.into_job(connection, vec![stream.into()], &object, log)
}

impl ProviderInput {
    /// The connection, and the prefix that was written into the bucket.
    fn connection(self, log: &mut ProvenanceLog) -> Result<(Connection, String)> {
        if self.role_arn.as_deref().is_some_and(|arn| !arn.is_empty()) {
            let note = "without effect, as in the migration of version 4; use `credentials` with `auth_type` iam_role";
            log.unused("provider.role_arn", note);
        }
        let access = Access {
            bucket: ("provider.bucket", &self.bucket),
            endpoint: ("provider.endpoint", self.endpoint.as_deref()),
            tls: USE_SSL,
            region: ("provider.region_name", self.region_name.as_deref()),
            default_region: REGION.of(DIALECT),
        };
        let credentials = Identity {
            access_key_id: ("provider.aws_access_key_id", self.aws_access_key_id),
            secret_access_key: ("provider.aws_secret_access_key", self.aws_secret_access_key),
            session_token: None,
            role_arn: None,
            external_id: None,
            anonymous: None,
        }
        .credentials()?;
        connection(&access, credentials, log)
    }
}

/// What the parameters are called in version 4.
const PRESENT: &[(&str, &str)] = &[
    ("dataset", "streams[0].name"),
    ("path_pattern", "streams[0].globs"),
    ("schema", "streams[0].input_schema"),
    ("provider.bucket", "bucket"),
    ("provider.aws_access_key_id", "credentials.aws_access_key_id"),
    ("provider.aws_secret_access_key", "credentials.aws_secret_access_key"),
    ("provider.path_prefix", "streams[0].legacy_prefix"),
    ("provider.endpoint", "endpoint"),
    ("provider.region_name", "region_name"),
    ("provider.start_date", "start_date"),
];

fn note_present_names(object: &Object, log: &mut ProvenanceLog) {
    let provider = object.get("provider").and_then(Value::as_object);
    for (former, present) in PRESENT {
        let written = match former.strip_prefix("provider.") {
            Some(key) => provider.is_some_and(|provider| provider.get(key).is_some_and(|value| !value.is_null())),
            None => object.contains_key(*former),
        };
        if written {
            log.renamed(*former, format!("now called `{present}`"));
        }
    }
}

fn format(object: &Object, path: &str, log: &mut ProvenanceLog) -> Result<FormatOptions> {
    const TAG: &str = "filetype";
    let name = match object.get(TAG) {
        None => FILE_TYPE,
        Some(_) => tag_of(object, path, TAG, &["csv", "parquet", "jsonl", "avro"])?,
    };
    match name {
        "csv" => csv_options(section(object, path, &[TAG], log)?, path, log).map(FormatOptions::Csv),
        "jsonl" => {
            let jsonl: JsonlV3Input = section(object, path, &[TAG], log)?;
            let odd_fields = jsonl.unexpected_field_behavior.is_some_and(|behavior| behavior != "infer");
            without_effect("newlines_in_values", jsonl.newlines_in_values == Some(true), path, log);
            without_effect("unexpected_field_behavior", odd_fields, path, log);
            without_effect("block_size", jsonl.block_size.is_some_and(|size| size.0 != 0), path, log);
            Ok(FormatOptions::Jsonl)
        }
        "parquet" => {
            let columnar: ParquetV3Input = section(object, path, &[TAG], log)?;
            without_effect("columns", columnar.columns.is_some_and(|columns| !columns.is_empty()), path, log);
            without_effect("batch_size", columnar.batch_size.is_some_and(|size| size.0 != 65_536), path, log);
            without_effect("buffer_size", columnar.buffer_size.is_some_and(|size| size.0 != 2), path, log);
            Ok(FormatOptions::Parquet(parquet::defaults(DIALECT)))
        }
        _ => {
            section::<AvroV3Input>(object, path, &[TAG], log)?;
            Ok(FormatOptions::Avro(AvroOptions::default()))
        }
    }
}

/// An option that version 4 leaves out. One that only repeats its default deserves no warning.
fn without_effect(key: &str, other_than_default: bool, path: &str, log: &mut ProvenanceLog) {
    let note = "without effect, as in version 4 of the connector";
    match other_than_default {
        true => log.unused(join(path, key), note),
        false => log.remark(&join(path, key), note),
    }
}

fn csv_options(written: CsvV3Input, path: &str, log: &mut ProvenanceLog) -> Result<CsvOptions> {
    // Line breaks in quoted fields are read anyway.
    without_effect("newlines_in_values", false, path, log);
    without_effect("block_size", written.block_size.is_some_and(|size| size.0 != 10_000), path, log);
    let reader_path = join(path, "additional_reader_options");
    let reader: ReaderOptionsInput = options(written.additional_reader_options.as_deref(), &reader_path, log)?;
    let advanced_path = join(path, "advanced_options");
    let advanced: AdvancedOptionsInput = options(written.advanced_options.as_deref(), &advanced_path, log)?;
    let at = |key: &str| join(path, key);
    let rows = |rows: Whole, key: &str| rows.between(0, u64::MAX, &join(&advanced_path, key));
    let header = if !advanced.column_names.is_empty() {
        csv::user_provided(advanced.column_names, &join(&advanced_path, "column_names"))?
    } else if advanced.autogenerate_column_names {
        CsvHeader::Autogenerated
    } else {
        CsvHeader::FromFile
    };
    let escape_char = written.escape_char.as_deref().unwrap_or_default();
    let (delimiter, delimiter_rest) = csv::delimiter(&written.delimiter, &at("delimiter"))?;
    let options = CsvOptions {
        delimiter,
        delimiter_rest,
        quote: csv::optional_byte(&written.quote_char, "quote_char", &at("quote_char"))?,
        escape: csv::optional_byte(escape_char, "escape_char", &at("escape_char"))?,
        double_quote: written.double_quote,
        encoding: csv::encoding(&written.encoding, csv::ENCODING.of(DIALECT), &at("encoding"))?,
        header,
        skip_rows_before_header: rows(advanced.skip_rows, "skip_rows")?,
        skip_rows_after_header: rows(advanced.skip_rows_after_names, "skip_rows_after_names")?,
        null_values: reader.null_values,
        strings_can_be_null: reader.strings_can_be_null,
        true_values: reader.true_values,
        false_values: reader.false_values,
        inference: if written.infer_datatypes { CsvInference::PrimitiveTypesOnly } else { CsvInference::None },
        ..csv::defaults(DIALECT)
    };
    csv::distinct(&options, &at("delimiter"))?;
    Ok(options)
}

/// Reads a JSON text of options. What version 4 has no place for is an error there, and is one here.
fn options<T>(text: Option<&str>, path: &str, log: &mut ProvenanceLog) -> Result<T>
where
    T: serde::de::DeserializeOwned + Serialize,
{
    let text = text.map_or("{}", |text| if text.trim().is_empty() { "{}" } else { text });
    let object: Object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => without_nulls(object),
        Ok(_) => return Err(Error::config(format!("`{path}` is a string that is not a JSON object"))),
        Err(error) => return Err(Error::config(format!("`{path}` is a string that is not valid JSON: {error}"))),
    };
    let fields = fields_of::<T>();
    let harmless = |key: &str, value: &Value| NO_EFFECT.contains(&key) && (key != "check_utf8" || *value == false);
    let left: Vec<String> = object
        .iter()
        .filter(|(key, value)| !fields.contains(&key.as_str()) && !harmless(key, value))
        .map(|(key, _)| format!("`{}`", join(path, key)))
        .collect();
    if !left.is_empty() {
        let message = format!("The config options you selected are no longer supported: {}", left.join(", "));
        return Err(Error::new(ErrorKind::Unsupported, message).hint("remove them from the string"));
    }
    for key in NO_EFFECT.iter().filter(|key| object.contains_key(**key)) {
        log.unused(join(path, key), "without effect, as in version 4 of the connector");
    }
    section(&object, path, NO_EFFECT, log)
}
