//! `airbyte/source-s3` version 3: one stream; the way to it in `provider`, options of formats as JSON texts.
//!
//! It converts forward, as the migration of version 4 does it: what that migration drops is dropped here with a line of
//! provenance, and its defaults (other null values, typed columns, decimals as numbers) are the column of version 3 in
//! the table of defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Dialect, additions, airbyte, airbyte_format};
use crate::defaults::{self, words};
use crate::identity::Identity;
use crate::job::Job;
use crate::notes::{Notes, join};
use crate::place::{self, Access};
use crate::read::{Guarded, Object, Section, Whole, section, tag_of, without_nulls, wrong};
use tollgate_base::connection::Connection;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::{AvroOptions, CsvHeader, CsvInference, CsvOptions, FormatOptions, ParquetOptions};

const DIALECT: Dialect = Dialect::AirbyteV3;

/// The root as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Written {
    /// Version 3 of Airbyte's connector: the stream's name. Use `streams` instead.
    #[schemars(title = "Output Stream Name")]
    dataset: String,
    /// Version 3 of Airbyte's connector: the patterns of the keys, with `|` between them. Use `streams` instead.
    #[schemars(title = "Pattern of files to replicate")]
    path_pattern: String,
    /// Format and options; not in the specification, where the flat form has a text of the same name.
    #[schemars(skip)]
    format: Option<Section<Value>>,
    /// Version 3 of Airbyte's connector: the types of the columns as a JSON text. Use `streams` instead. In a
    /// Fivetran-style configuration: the schema at the destination, which is without effect here.
    #[schemars(title = "Manually enforced data schema")]
    schema: Option<String>,
    /// Version 3 of Airbyte's connector: the way to the bucket. Use `bucket` and `credentials` instead.
    #[schemars(title = "S3: Amazon Web Services")]
    provider: Section<Provider>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Provider {
    /// Name of the S3 bucket.
    #[schemars(title = "Bucket")]
    bucket: String,
    /// The access key id.
    #[schemars(title = "AWS Access Key ID")]
    aws_access_key_id: Option<Guarded>,
    /// The secret access key.
    #[schemars(title = "AWS Secret Access Key")]
    aws_secret_access_key: Option<Guarded>,
    /// Without effect, as in version 4 of Airbyte's connector: the environment's credentials are used as they are.
    #[schemars(title = "AWS Role ARN")]
    role_arn: Option<String>,
    /// The only prefix that is listed.
    #[schemars(title = "Path Prefix")]
    path_prefix: Option<String>,
    /// An S3-compatible server.
    #[schemars(title = "Endpoint")]
    endpoint: Option<String>,
    /// The region of the bucket.
    #[schemars(title = "AWS Region")]
    region_name: Option<String>,
    /// Only files modified at or after this time are read.
    #[schemars(title = "Start Date")]
    start_date: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Csv {
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
struct ReaderOptions {
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
struct AdvancedOptions {
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
struct Parquet {
    columns: Option<Vec<String>>,
    batch_size: Option<Whole>,
    buffer_size: Option<Whole>,
}

#[derive(Serialize, Deserialize)]
struct Jsonl {
    newlines_in_values: Option<bool>,
    unexpected_field_behavior: Option<String>,
    block_size: Option<Whole>,
}

#[derive(Serialize, Deserialize)]
struct Avro {}

fn delimiter_default() -> String {
    defaults::CSV_DELIMITER.airbyte_v3.to_owned()
}

fn quote_default() -> String {
    defaults::CSV_QUOTE.airbyte_v3.to_owned()
}

fn encoding_default() -> String {
    defaults::CSV_ENCODING.airbyte_v3.to_owned()
}

fn double_quote_default() -> bool {
    defaults::CSV_DOUBLE_QUOTE.airbyte_v3
}

fn infer_datatypes_default() -> bool {
    defaults::CSV_INFERENCE.airbyte_v3 == CsvInference::PrimitiveTypesOnly
}

fn null_values_default() -> Vec<String> {
    words(defaults::CSV_NULL_VALUES.airbyte_v3)
}

fn true_values_default() -> Vec<String> {
    words(defaults::CSV_TRUE_VALUES.airbyte_v3)
}

fn false_values_default() -> Vec<String> {
    words(defaults::CSV_FALSE_VALUES.airbyte_v3)
}

fn strings_can_be_null_default() -> bool {
    defaults::CSV_STRINGS_CAN_BE_NULL.airbyte_v3
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
pub(super) fn understand(object: Object, notes: &mut Notes) -> Result<Job> {
    let object = without_nulls(object);
    let mut known = additions::names();
    known.extend(super::partitions::names());
    known.push("source_type");
    let written: Written = section(&object, "", &known, notes)?;
    if written.dataset.is_empty() {
        return Err(wrong("dataset", "empty", "a name"));
    }
    let additions = additions::read(&object, notes)?;
    let format = without_nulls(written.format.map(|format| format.0).unwrap_or_default());
    let format = self::format(&format, "format", notes)?;
    let input_schema = match written.schema.as_deref().filter(|text| !text.trim().is_empty()) {
        Some(text) => airbyte::input_schema(text, "schema", notes)?,
        None => None,
    };
    let provider: Provider = section(&without_nulls(written.provider.0), "provider", &["storage"], notes)?;
    let start_at = match provider.start_date.as_deref() {
        Some(text) => Some(place::start_date(text, "provider.start_date")?),
        None => None,
    };
    let path_prefix = provider.path_prefix.clone().filter(|prefix| !prefix.is_empty());
    let (connection, bucket_prefix) = provider.connection(notes)?;

    let mut stream = super::stream(DIALECT, written.dataset, format);
    stream.globs = written.path_pattern.split('|').map(|glob| place::inside(&bucket_prefix, glob)).collect();
    stream.list_prefix = path_prefix.map(|prefix| format!("{bucket_prefix}{prefix}"));
    stream.input_schema = input_schema;
    stream.start_at = start_at;
    present_names(&object, notes);
    super::partitions::apply(DIALECT, &mut stream, &object, "", notes)?;
    additions.applied(DIALECT, super::job(connection, vec![stream]), &[], notes)
}

impl Provider {
    /// The way to the bucket, and the prefix that was written into it.
    fn connection(self, notes: &mut Notes) -> Result<(Connection, String)> {
        if self.role_arn.as_deref().is_some_and(|arn| !arn.is_empty()) {
            let note = "without effect, as in the migration of version 4; use `credentials` with `auth_type` iam_role";
            notes.unknown("provider.role_arn", note);
        }
        let access = Access {
            bucket: ("provider.bucket", &self.bucket),
            endpoint: ("provider.endpoint", self.endpoint.as_deref()),
            tls: defaults::USE_SSL.of(DIALECT),
            region: ("provider.region_name", self.region_name.as_deref()),
            default_region: defaults::REGION.of(DIALECT),
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
        place::connection(&access, credentials, notes)
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

fn present_names(object: &Object, notes: &mut Notes) {
    let provider = object.get("provider").and_then(Value::as_object);
    for (former, present) in PRESENT {
        let written = match former.strip_prefix("provider.") {
            Some(key) => provider.is_some_and(|provider| provider.get(key).is_some_and(|value| !value.is_null())),
            None => object.contains_key(*former),
        };
        if written {
            notes.renamed(*former, format!("now called `{present}`"));
        }
    }
}

fn format(object: &Object, path: &str, notes: &mut Notes) -> Result<FormatOptions> {
    const TAG: &str = "filetype";
    let default = defaults::FILE_TYPE.of(DIALECT).unwrap_or_default();
    let name = match object.get(TAG) {
        None => default,
        Some(_) => tag_of(object, path, TAG, &["csv", "parquet", "jsonl", "avro"])?,
    };
    match name {
        "csv" => csv(section(object, path, &[TAG], notes)?, path, notes).map(FormatOptions::Csv),
        "jsonl" => {
            let jsonl: Jsonl = section(object, path, &[TAG], notes)?;
            let odd_fields = jsonl.unexpected_field_behavior.is_some_and(|behavior| behavior != "infer");
            without_effect("newlines_in_values", jsonl.newlines_in_values == Some(true), path, notes);
            without_effect("unexpected_field_behavior", odd_fields, path, notes);
            without_effect("block_size", jsonl.block_size.is_some_and(|size| size.0 != 0), path, notes);
            Ok(FormatOptions::Jsonl)
        }
        "parquet" => {
            let parquet: Parquet = section(object, path, &[TAG], notes)?;
            without_effect("columns", parquet.columns.is_some_and(|columns| !columns.is_empty()), path, notes);
            without_effect("batch_size", parquet.batch_size.is_some_and(|size| size.0 != 65_536), path, notes);
            without_effect("buffer_size", parquet.buffer_size.is_some_and(|size| size.0 != 2), path, notes);
            let decimal_as_float = defaults::PARQUET_DECIMAL_AS_FLOAT.of(DIALECT);
            Ok(FormatOptions::Parquet(ParquetOptions { decimal_as_float, ..ParquetOptions::default() }))
        }
        _ => {
            section::<Avro>(object, path, &[TAG], notes)?;
            let double_as_string = defaults::AVRO_DOUBLE_AS_STRING.of(DIALECT);
            Ok(FormatOptions::Avro(AvroOptions { double_as_string, ..AvroOptions::default() }))
        }
    }
}

/// An option that version 4 leaves out. One that only repeats its default deserves no warning.
fn without_effect(key: &str, other_than_default: bool, path: &str, notes: &mut Notes) {
    let note = "without effect, as in version 4 of the connector";
    match other_than_default {
        true => notes.unknown(join(path, key), note),
        false => notes.remark(&join(path, key), note),
    }
}

fn csv(written: Csv, path: &str, notes: &mut Notes) -> Result<CsvOptions> {
    // Line breaks in quoted fields are read anyway.
    without_effect("newlines_in_values", false, path, notes);
    without_effect("block_size", written.block_size.is_some_and(|size| size.0 != 10_000), path, notes);
    let reader_path = join(path, "additional_reader_options");
    let reader: ReaderOptions = options(written.additional_reader_options.as_deref(), &reader_path, notes)?;
    let advanced_path = join(path, "advanced_options");
    let advanced: AdvancedOptions = options(written.advanced_options.as_deref(), &advanced_path, notes)?;
    let place = |key: &str| join(path, key);
    let rows = |rows: Whole, key: &str| rows.between(0, u64::MAX, &join(&advanced_path, key));
    let header = if !advanced.column_names.is_empty() {
        airbyte_format::user_provided(advanced.column_names, &join(&advanced_path, "column_names"))?
    } else if advanced.autogenerate_column_names {
        CsvHeader::Autogenerated
    } else {
        CsvHeader::FromFile
    };
    let escape_char = written.escape_char.as_deref().unwrap_or_default();
    let (delimiter, delimiter_rest) = airbyte_format::delimiter(&written.delimiter, &place("delimiter"))?;
    let csv = CsvOptions {
        delimiter,
        delimiter_rest,
        quote: airbyte_format::optional_byte(&written.quote_char, "quote_char", &place("quote_char"))?,
        escape: airbyte_format::optional_byte(escape_char, "escape_char", &place("escape_char"))?,
        double_quote: written.double_quote,
        encoding: airbyte_format::encoding(&written.encoding, defaults::CSV_ENCODING.of(DIALECT), &place("encoding"))?,
        header,
        skip_rows_before_header: rows(advanced.skip_rows, "skip_rows")?,
        skip_rows_after_header: rows(advanced.skip_rows_after_names, "skip_rows_after_names")?,
        null_values: reader.null_values,
        strings_can_be_null: reader.strings_can_be_null,
        true_values: reader.true_values,
        false_values: reader.false_values,
        inference: if written.infer_datatypes { CsvInference::PrimitiveTypesOnly } else { CsvInference::None },
        ..defaults::csv(DIALECT)
    };
    airbyte_format::distinct(&csv, &place("delimiter"))?;
    Ok(csv)
}

/// Reads a JSON text of options. What version 4 has no place for is an error there, and is one here.
fn options<T>(text: Option<&str>, path: &str, notes: &mut Notes) -> Result<T>
where
    T: serde::de::DeserializeOwned + Serialize,
{
    let text = text.map_or("{}", |text| if text.trim().is_empty() { "{}" } else { text });
    let object: Object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => without_nulls(object),
        Ok(_) => return Err(Error::config(format!("`{path}` is a text that is not a JSON object"))),
        Err(error) => return Err(Error::config(format!("`{path}` is a text that is not valid JSON: {error}"))),
    };
    let fields = crate::read::fields_of::<T>();
    let harmless = |key: &str, value: &Value| NO_EFFECT.contains(&key) && (key != "check_utf8" || *value == false);
    let left: Vec<String> = object
        .iter()
        .filter(|(key, value)| !fields.contains(&key.as_str()) && !harmless(key, value))
        .map(|(key, _)| format!("`{}`", join(path, key)))
        .collect();
    if !left.is_empty() {
        let message = format!("The config options you selected are no longer supported: {}", left.join(", "));
        return Err(Error::new(ErrorKind::Unsupported, message).hint("take them out of the text"));
    }
    for key in NO_EFFECT.iter().filter(|key| object.contains_key(**key)) {
        notes.unknown(join(path, key), "without effect, as in version 4 of the connector");
    }
    section(&object, path, NO_EFFECT, notes)
}
