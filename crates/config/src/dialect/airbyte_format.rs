//! `format` of a stream as `airbyte/source-s3` 4 writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dialect;
use crate::defaults::{self, words};
use crate::job::{Delivery, FormatByKey};
use crate::notes::{Notes, join};
use crate::read::{Object, Section, Whole, section, tag_of, wrong};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::{
    AvroOptions, BinaryEncoding, CsvHeader, CsvInference, CsvOptions, FormatOptions, ParquetOptions,
};

/// The formats that can be read.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "filetype", rename_all = "lowercase")]
pub(crate) enum Format {
    #[schemars(title = "CSV Format")]
    Csv(CsvFormat),
    #[schemars(title = "Jsonl Format")]
    Jsonl(JsonlFormat),
    #[schemars(title = "JSON Format")]
    Json(JsonFormat),
    #[schemars(title = "Parquet Format")]
    Parquet(ParquetFormat),
    #[schemars(title = "Avro Format")]
    Avro(AvroFormat),
    #[schemars(title = "Excel Format")]
    Excel(ExcelFormat),
    #[schemars(title = "Format by Extension")]
    Infer(InferFormat),
}

/// Comma-separated values, and other texts of rows and fields.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CsvFormat {
    /// The character between fields, or several of them that stand together, such as `||`. For tab-delimited data enter
    /// `\t`.
    #[serde(default = "delimiter_default")]
    #[schemars(title = "Delimiter")]
    pub(super) delimiter: String,
    /// The character around fields that hold delimiters or line breaks. Leave it blank to switch quoting off.
    #[serde(default = "quote_default")]
    #[schemars(title = "Quote Character")]
    pub(super) quote_char: String,
    /// A character that takes the special meaning from the one behind it. When absent or blank there is none.
    #[schemars(title = "Escape Character")]
    pub(super) escape_char: Option<String>,
    /// The text encoding of the files, by its usual name or by its name in Python. When absent or blank it is UTF-8.
    #[serde(default = "encoding_default")]
    #[schemars(title = "Encoding")]
    pub(super) encoding: String,
    /// Whether two quote characters inside a quoted field stand for one.
    #[serde(default = "double_quote_default")]
    #[schemars(title = "Double Quote")]
    pub(super) double_quote: bool,
    /// Texts that mean null, exactly as they stand in the file, for example `NA`. When absent there are none.
    #[serde(default = "null_values_default")]
    #[schemars(title = "Null Values", extend("uniqueItems" = true))]
    pub(super) null_values: Vec<String>,
    /// Whether the null values mean null in columns of strings too. If not, they stay texts there.
    #[serde(default = "strings_can_be_null_default")]
    #[schemars(title = "Strings Can Be Null")]
    pub(super) strings_can_be_null: bool,
    /// How many lines are left out before the header. If the header is on the third line, enter 2.
    #[serde(default = "zero")]
    #[schemars(title = "Skip Rows Before Header", extend("minimum" = 0))]
    pub(super) skip_rows_before_header: Whole,
    /// How many lines are left out after the header.
    #[serde(default = "zero")]
    #[schemars(title = "Skip Rows After Header", extend("minimum" = 0))]
    pub(super) skip_rows_after_header: Whole,
    /// Where the names of the columns come from. When absent they are in the file.
    #[schemars(title = "CSV Header Definition", extend("default" = {"header_definition_type": "From CSV"}))]
    pub(super) header_definition: Option<Section<HeaderDefinition>>,
    /// Texts that mean true, exactly as they stand in the file.
    #[serde(default = "true_values_default")]
    #[schemars(title = "True Values", extend("uniqueItems" = true))]
    pub(super) true_values: Vec<String>,
    /// Texts that mean false, exactly as they stand in the file.
    #[serde(default = "false_values_default")]
    #[schemars(title = "False Values", extend("uniqueItems" = true))]
    pub(super) false_values: Vec<String>,
    /// How columns get their types: not at all, so that every column is a string, or by the values of a sample.
    #[serde(default = "inference_default")]
    #[schemars(title = "Inference Type", extend("airbyte_hidden" = true))]
    pub(super) inference_type: InferenceType,
    /// Whether rows with too few or too many fields are filled up and cut off. If not, they are errors.
    #[serde(default)]
    #[schemars(title = "Ignore errors on field mismatch")]
    pub(super) ignore_errors_on_fields_mismatch: bool,
}

/// One JSON object a line.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct JsonlFormat {}

/// JSON documents: one array of objects, one object, or objects one after the other, over any number of lines.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct JsonFormat {}

/// Apache Parquet.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ParquetFormat {
    /// Whether decimals become JSON numbers. Numbers of many digits lose some of them on the way, so by default
    /// decimals become strings.
    #[serde(default = "decimal_as_float_default")]
    #[schemars(title = "Convert Decimal Fields to Floats")]
    pub(super) decimal_as_float: bool,
    /// How binary values become strings. `utf8` takes them for text, and fails where a value is not. `base64` and `hex`
    /// encode their bytes; UUIDs then have their usual form (`00112233-4455-6677-8899-aabbccddeeff`).
    #[serde(default = "binary_encoding_default")]
    #[schemars(title = "Binary Encoding")]
    pub(super) binary_encoding: BinaryText,
}

/// Apache Avro, as object container files.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AvroFormat {
    /// Whether doubles become strings, with all of their digits, since numbers of many digits can lose some of them on
    /// the way.
    #[serde(default = "double_as_string_default")]
    #[schemars(title = "Convert Double Fields to Strings")]
    pub(super) double_as_string: bool,
    /// How `bytes` and `fixed` values become strings. `utf8` takes them for text, and fails where a value is not. `base64`
    /// and `hex` encode their bytes.
    #[serde(default = "binary_encoding_default")]
    #[schemars(title = "Binary Encoding")]
    pub(super) binary_encoding: BinaryText,
}

/// Excel workbooks (xlsx, xlsb): the first sheet, whose first row names the columns.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExcelFormat {}

/// The extension of the first key determines the format: csv, tsv, jsonl, ndjson, json, parquet, avro, xlsx or xlsb, before
/// that of a compression. Files with another extension are errors.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct InferFormat {
    /// The options of CSV files, as a CSV format has them. When absent they are the defaults.
    #[schemars(title = "CSV Options", extend("airbyte_hidden" = true))]
    pub(super) csv: Option<Section<CsvFormat>>,
    /// Whether records of JSON files are delivered as they are, in one column `data`. When absent they are not.
    #[serde(default)]
    #[schemars(title = "Schemaless JSON", extend("airbyte_hidden" = true))]
    pub(super) schemaless_json: bool,
}

/// Where the names of the columns come from.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "header_definition_type")]
pub(crate) enum HeaderDefinition {
    #[serde(rename = "From CSV")]
    #[schemars(title = "From CSV")]
    FromCsv(FromCsv),
    #[serde(rename = "Autogenerated")]
    #[schemars(title = "Autogenerated")]
    Autogenerated(Autogenerated),
    #[serde(rename = "User Provided")]
    #[schemars(title = "User Provided")]
    UserProvided(UserProvided),
}

/// The first row (after the lines left out before the header) has the names.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct FromCsv {}

/// The files have no header: the columns are called `f0`, `f1` and so on.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Autogenerated {}

/// The files have no header: the columns are called as you say.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct UserProvided {
    /// The names of the columns, in the order of the file.
    #[schemars(title = "Column Names", extend("minItems" = 1))]
    pub(super) column_names: Vec<String>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub(crate) enum InferenceType {
    None,
    #[serde(rename = "Primitive Types Only")]
    PrimitiveTypesOnly,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BinaryText {
    Utf8,
    Base64,
    Hex,
}

impl BinaryText {
    fn option(self) -> BinaryEncoding {
        match self {
            Self::Utf8 => BinaryEncoding::Utf8,
            Self::Base64 => BinaryEncoding::Base64,
            Self::Hex => BinaryEncoding::Hex,
        }
    }
}

fn binary_encoding_default() -> BinaryText {
    match defaults::BINARY_ENCODING.airbyte {
        BinaryEncoding::Utf8 => BinaryText::Utf8,
        BinaryEncoding::Base64 => BinaryText::Base64,
        BinaryEncoding::Hex => BinaryText::Hex,
    }
}

fn delimiter_default() -> String {
    defaults::CSV_DELIMITER.airbyte.to_owned()
}

fn quote_default() -> String {
    defaults::CSV_QUOTE.airbyte.to_owned()
}

fn encoding_default() -> String {
    defaults::CSV_ENCODING.airbyte.to_owned()
}

fn double_quote_default() -> bool {
    defaults::CSV_DOUBLE_QUOTE.airbyte
}

fn null_values_default() -> Vec<String> {
    words(defaults::CSV_NULL_VALUES.airbyte)
}

fn strings_can_be_null_default() -> bool {
    defaults::CSV_STRINGS_CAN_BE_NULL.airbyte
}

fn true_values_default() -> Vec<String> {
    words(defaults::CSV_TRUE_VALUES.airbyte)
}

fn false_values_default() -> Vec<String> {
    words(defaults::CSV_FALSE_VALUES.airbyte)
}

fn inference_default() -> InferenceType {
    match defaults::CSV_INFERENCE.airbyte {
        CsvInference::None => InferenceType::None,
        CsvInference::PrimitiveTypesOnly => InferenceType::PrimitiveTypesOnly,
    }
}

fn zero() -> Whole {
    Whole(0)
}

fn decimal_as_float_default() -> bool {
    defaults::PARQUET_DECIMAL_AS_FLOAT.airbyte
}

fn double_as_string_default() -> bool {
    defaults::AVRO_DOUBLE_AS_STRING.airbyte
}

const NOT_YET: &str = "unstructured";

/// Reads the format of a stream.
///
/// # Errors
/// Config or Unsupported, naming the option.
pub(super) fn format(object: &Object, path: &str, delivery: Delivery, notes: &mut Notes) -> Result<FormatOptions> {
    const TAG: &str = "filetype";
    if object.get(TAG).is_some_and(|name| name == NOT_YET) {
        if delivery != Delivery::Records {
            // Files are not looked into: any format will do.
            notes.unknown(join(path, TAG), "without effect: files are transferred as they are");
            return Ok(FormatOptions::Jsonl);
        }
        let message = format!("`{}` is '{NOT_YET}', which is not supported yet", join(path, TAG));
        return Err(Error::new(ErrorKind::Unsupported, message).hint(
            "set `delivery_method` to use_file_transfer to have the files themselves, or take the stream out of this \
             configuration",
        ));
    }
    match tag_of(object, path, TAG, &["csv", "jsonl", "json", "parquet", "avro", "excel", "infer"])? {
        "csv" => {
            let written: CsvFormat = section(object, path, &[TAG], notes)?;
            Ok(FormatOptions::Csv(csv(written, path, notes)?))
        }
        "jsonl" => section::<JsonlFormat>(object, path, &[TAG], notes).map(|_| FormatOptions::Jsonl),
        "json" => section::<JsonFormat>(object, path, &[TAG], notes).map(|_| FormatOptions::Json),
        "excel" => section::<ExcelFormat>(object, path, &[TAG], notes).map(|_| FormatOptions::Excel),
        "avro" => {
            let AvroFormat { double_as_string, binary_encoding } = section(object, path, &[TAG], notes)?;
            Ok(FormatOptions::Avro(AvroOptions { double_as_string, binary_encoding: binary_encoding.option() }))
        }
        _ => {
            let ParquetFormat { decimal_as_float, binary_encoding } = section(object, path, &[TAG], notes)?;
            Ok(FormatOptions::Parquet(ParquetOptions { decimal_as_float, binary_encoding: binary_encoding.option() }))
        }
    }
}

/// What each extension means where the format is `infer`; otherwise empty.
///
/// # Errors
/// Config, naming the option.
pub(super) fn formats(object: &Object, path: &str, schemaless: bool, notes: &mut Notes) -> Result<Vec<FormatByKey>> {
    const TAG: &str = "filetype";
    if object.get(TAG).is_none_or(|name| name != "infer") {
        return Ok(Vec::new());
    }
    let InferFormat { csv, schemaless_json } = section(object, path, &[TAG], notes)?;
    let csv_path = join(path, "csv");
    let csv = match csv {
        Some(written) => {
            self::csv(section::<CsvFormat>(&written.0, &csv_path, &["filetype"], notes)?, &csv_path, notes)?
        }
        None => defaults::csv(Dialect::Airbyte),
    };
    // A delimiter that is written holds for both.
    let written = csv.delimiter != defaults::CSV_DELIMITER.airbyte.as_bytes()[0] || !csv.delimiter_rest.is_empty();
    let tsv = if written { csv.clone() } else { CsvOptions { delimiter: b'\t', ..csv.clone() } };
    let decimal_as_float = defaults::PARQUET_DECIMAL_AS_FLOAT.airbyte;
    let double_as_string = defaults::AVRO_DOUBLE_AS_STRING.airbyte;
    let binary_encoding = defaults::BINARY_ENCODING.airbyte;
    let of = |extension, format| {
        let json = matches!(format, FormatOptions::Jsonl | FormatOptions::Json);
        FormatByKey { extension, format, schemaless: schemaless || (json && schemaless_json) }
    };
    Ok(vec![
        of("csv", FormatOptions::Csv(csv)),
        of("tsv", FormatOptions::Csv(tsv)),
        of("jsonl", FormatOptions::Jsonl),
        of("ndjson", FormatOptions::Jsonl),
        of("json", FormatOptions::Json),
        of("parquet", FormatOptions::Parquet(ParquetOptions { decimal_as_float, binary_encoding })),
        of("avro", FormatOptions::Avro(AvroOptions { double_as_string, binary_encoding })),
        of("xlsx", FormatOptions::Excel),
        of("xlsb", FormatOptions::Excel),
    ])
}

/// What a CSV format means.
///
/// # Errors
/// Config, naming the option.
pub(super) fn csv(written: CsvFormat, path: &str, notes: &mut Notes) -> Result<CsvOptions> {
    let place = |key: &str| join(path, key);
    let rows = |rows: Whole, key: &str| rows.between(0, u64::MAX, &place(key));
    let header = match &written.header_definition {
        Some(definition) => header(&definition.0, &place("header_definition"), notes)?,
        None => CsvHeader::FromFile,
    };
    let escape_char = written.escape_char.as_deref().unwrap_or_default();
    let (delimiter, delimiter_rest) = delimiter(&written.delimiter, &place("delimiter"))?;
    let csv = CsvOptions {
        delimiter,
        delimiter_rest,
        quote: optional_byte(&written.quote_char, "quote_char", &place("quote_char"))?,
        escape: optional_byte(escape_char, "escape_char", &place("escape_char"))?,
        double_quote: written.double_quote,
        encoding: encoding(&written.encoding, defaults::CSV_ENCODING.airbyte, &place("encoding"))?,
        header,
        skip_rows_before_header: rows(written.skip_rows_before_header, "skip_rows_before_header")?,
        skip_rows_after_header: rows(written.skip_rows_after_header, "skip_rows_after_header")?,
        null_values: written.null_values,
        strings_can_be_null: written.strings_can_be_null,
        true_values: written.true_values,
        false_values: written.false_values,
        inference: match written.inference_type {
            InferenceType::None => CsvInference::None,
            InferenceType::PrimitiveTypesOnly => CsvInference::PrimitiveTypesOnly,
        },
        ignore_errors_on_fields_mismatch: written.ignore_errors_on_fields_mismatch,
    };
    distinct(&csv, &place("delimiter"))?;
    Ok(csv)
}

fn header(object: &Object, path: &str, notes: &mut Notes) -> Result<CsvHeader> {
    const TAG: &str = "header_definition_type";
    match tag_of(object, path, TAG, &["From CSV", "Autogenerated", "User Provided"])? {
        "From CSV" => section::<FromCsv>(object, path, &[TAG], notes).map(|_| CsvHeader::FromFile),
        "Autogenerated" => section::<Autogenerated>(object, path, &[TAG], notes).map(|_| CsvHeader::Autogenerated),
        _ => {
            let UserProvided { column_names } = section(object, path, &[TAG], notes)?;
            user_provided(column_names, &join(path, "column_names"))
        }
    }
}

/// Names that a user gives: at least one, none twice.
///
/// # Errors
/// Config.
pub(super) fn user_provided(column_names: Vec<String>, path: &str) -> Result<CsvHeader> {
    if column_names.is_empty() {
        return Err(wrong(path, "an empty list", "at least one column name"));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = column_names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Error::config(format!("`{path}` has the name '{twice}' twice")));
    }
    Ok(CsvHeader::UserProvided(column_names))
}

/// The first byte between fields, and those behind it. The two characters `\t` mean a tab.
///
/// # Errors
/// Config when it is empty, very long, or has a line end.
pub(super) fn delimiter(text: &str, path: &str) -> Result<(u8, Vec<u8>)> {
    const MOST_BYTES: usize = 16;
    match text.as_bytes() {
        b"\\t" => Ok((b'\t', Vec::new())),
        bytes if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
            Err(wrong(path, format!("{text:?}"), "characters that do not end a line"))
        }
        [first, rest @ ..] if rest.len() < MOST_BYTES => Ok((*first, rest.to_vec())),
        _ => Err(wrong(path, format!("{text:?}"), "one character, or a few that stand together")),
    }
}

/// A byte that may be left blank.
pub(super) fn optional_byte(text: &str, name: &str, path: &str) -> Result<Option<u8>> {
    if text.is_empty() { Ok(None) } else { one_byte(text, name, path).map(Some) }
}

fn one_byte(text: &str, name: &str, path: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ if text.chars().count() == 1 => {
            let message = format!("`{path}` is '{text}', and characters outside ASCII are not supported there yet");
            Err(Error::new(ErrorKind::Unsupported, message).hint("use one ASCII character"))
        }
        _ => Err(Error::config(format!("`{path}` is {text:?}: {name} should only be one character"))),
    }
}

/// A name of a text encoding; blank means the default. Whether it is known is for the decoder to say.
///
/// # Errors
/// Config when no encoding can be called so.
pub(super) fn encoding(text: &str, default: &str, path: &str) -> Result<String> {
    let text = text.trim();
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | ' ' | '(' | ')');
    match text {
        "" => Ok(default.to_owned()),
        _ if text.len() <= 64 && text.chars().all(usual) => Ok(text.to_owned()),
        _ => Err(wrong(path, format!("{text:?}"), "the name of a text encoding such as 'utf8' or 'latin-1'")),
    }
}

/// The bytes with a meaning must differ, else no row can be taken apart.
///
/// # Errors
/// Config.
pub(super) fn distinct(csv: &CsvOptions, path: &str) -> Result<()> {
    let delimiter = [&[csv.delimiter][..], &csv.delimiter_rest].concat();
    let within = |byte: Option<u8>| byte.is_some_and(|byte| delimiter.contains(&byte));
    let same = if within(csv.quote) {
        "quote character"
    } else if within(csv.escape) {
        "escape character"
    } else {
        return Ok(());
    };
    let is = if delimiter.len() == 1 { "is" } else { "has" };
    let shown = String::from_utf8_lossy(&delimiter);
    Err(Error::config(format!("`{path}` is '{shown}', which {is} the {same} too"))
        .hint("choose two characters that differ"))
}
