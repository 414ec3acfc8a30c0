//! CSV: the options of Airbyte's form, the defaults of each dialect, and what all dialects demand of characters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, PerDialect};
use crate::input::{Object, Section, Whole, in_order, section, tag_of, tagged, without_defaults, wrong};
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::{CsvHeader, CsvInference, CsvOptions};

type Words = &'static [&'static str];

pub(crate) const DELIMITER: &str = ",";
pub(crate) const QUOTE: &str = "\"";
pub(crate) const ENCODING: PerDialect<&str> = PerDialect::same("utf8").flat("utf-8");
const NULL_VALUES: PerDialect<Words> = PerDialect::same(&[] as Words).airbyte_v3(V3_NULL_VALUES);
const STRINGS_CAN_BE_NULL: PerDialect<bool> = PerDialect::same(true).airbyte_v3(false);
const TRUE_VALUES: PerDialect<Words> =
    PerDialect::same(&["y", "yes", "t", "true", "on", "1"] as Words).airbyte_v3(&["1", "True", "TRUE", "true"]);
const FALSE_VALUES: PerDialect<Words> =
    PerDialect::same(&["n", "no", "f", "false", "off", "0"] as Words).airbyte_v3(&["0", "False", "FALSE", "false"]);
const INFERENCE: PerDialect<CsvInference> = PerDialect::same(CsvInference::None)
    .airbyte_v3(CsvInference::PrimitiveTypesOnly)
    .fivetran(CsvInference::PrimitiveTypesOnly);

/// What the migration of version 3 writes where `null_values` was not given.
const V3_NULL_VALUES: Words = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "N/A", "NA", "NULL",
    "NaN", "n/a", "nan", "null",
];

const HEADER_TAG: &str = "header_definition_type";

/// The options where nothing is written.
pub(crate) fn defaults(dialect: Dialect) -> CsvOptions {
    let words = |list: PerDialect<Words>| list.of(dialect).iter().map(|&word| word.to_owned()).collect();
    CsvOptions {
        encoding: ENCODING.of(dialect).to_owned(),
        null_values: words(NULL_VALUES),
        strings_can_be_null: STRINGS_CAN_BE_NULL.of(dialect),
        true_values: words(TRUE_VALUES),
        false_values: words(FALSE_VALUES),
        inference: INFERENCE.of(dialect),
        ..CsvOptions::default()
    }
}

/// Comma-separated values, and other text with rows and fields.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CsvInput {
    /// The character that separates fields, or several characters, such as `||`. For tab-delimited data, enter `\t`.
    #[serde(default = "delimiter_default")]
    #[schemars(title = "Delimiter")]
    delimiter: String,
    /// The character around fields that contain delimiters or line breaks. Leave it blank to disable quoting.
    #[serde(default = "quote_default")]
    #[schemars(title = "Quote Character")]
    quote_char: String,
    /// The character that removes the special meaning of the character after it. When absent or blank, there is none.
    #[schemars(title = "Escape Character")]
    escape_char: Option<String>,
    /// The text encoding of the files, by its usual name or its Python name. When absent or blank, it is UTF-8.
    #[serde(default = "encoding_default")]
    #[schemars(title = "Encoding")]
    encoding: String,
    /// Whether two quote characters in a quoted field mean one quote character.
    #[serde(default = "double_quote")]
    #[schemars(title = "Double Quote")]
    double_quote: bool,
    /// Texts that mean null, exactly as written in the file, for example `NA`. When absent, there are none.
    #[serde(default = "null_values_default")]
    #[schemars(title = "Null Values", extend("uniqueItems" = true))]
    null_values: Vec<String>,
    /// Whether null values also mean null in string columns. If not, they stay strings there.
    #[serde(default = "strings_can_be_null_default")]
    #[schemars(title = "Strings Can Be Null")]
    strings_can_be_null: bool,
    /// How many lines to skip before the header. If the header is on the third line, enter 2.
    #[serde(default = "zero")]
    #[schemars(title = "Skip Rows Before Header", extend("minimum" = 0))]
    skip_rows_before_header: Whole,
    /// How many lines to skip after the header.
    #[serde(default = "zero")]
    #[schemars(title = "Skip Rows After Header", extend("minimum" = 0))]
    skip_rows_after_header: Whole,
    /// Where the column names come from. When absent, they are read from the file.
    #[schemars(title = "CSV Header Definition", extend("default" = {"header_definition_type": "From CSV"}))]
    header_definition: Option<Section<HeaderInput>>,
    /// Texts that mean true, exactly as written in the file.
    #[serde(default = "true_values_default")]
    #[schemars(title = "True Values", extend("uniqueItems" = true))]
    true_values: Vec<String>,
    /// Texts that mean false, exactly as written in the file.
    #[serde(default = "false_values_default")]
    #[schemars(title = "False Values", extend("uniqueItems" = true))]
    false_values: Vec<String>,
    /// How the types of columns are inferred: from the values of a sample, or not at all, so that every column is a
    /// string.
    #[serde(default = "inference_default")]
    #[schemars(title = "Inference Type", extend("airbyte_hidden" = true))]
    inference_type: CsvInference,
    /// Whether rows with too few or too many fields are padded or truncated. If not, they are errors.
    #[serde(default)]
    #[schemars(title = "Ignore errors on field mismatch")]
    ignore_errors_on_fields_mismatch: bool,
}

/// Where the column names come from.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "header_definition_type")]
pub(crate) enum HeaderInput {
    #[serde(rename = "From CSV")]
    #[schemars(title = "From CSV")]
    FromCsv(HeaderFromFile),
    #[serde(rename = "Autogenerated")]
    #[schemars(title = "Autogenerated")]
    Autogenerated(AutogeneratedHeader),
    #[serde(rename = "User Provided")]
    #[schemars(title = "User Provided")]
    UserProvided(ProvidedHeader),
}

/// The first row, after the lines that are skipped before the header, has the column names.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct HeaderFromFile {}

/// The files have no header: the columns are named `f0`, `f1` and so on.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AutogeneratedHeader {}

/// The files have no header: you provide the column names.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ProvidedHeader {
    /// The column names, in the order of the columns in the file.
    #[schemars(title = "Column Names", extend("minItems" = 1))]
    column_names: Vec<String>,
}

fn delimiter_default() -> String {
    DELIMITER.to_owned()
}

fn quote_default() -> String {
    QUOTE.to_owned()
}

fn encoding_default() -> String {
    ENCODING.of(Dialect::Airbyte).to_owned()
}

fn double_quote() -> bool {
    true
}

fn null_values_default() -> Vec<String> {
    defaults(Dialect::Airbyte).null_values
}

fn strings_can_be_null_default() -> bool {
    STRINGS_CAN_BE_NULL.of(Dialect::Airbyte)
}

fn true_values_default() -> Vec<String> {
    defaults(Dialect::Airbyte).true_values
}

fn false_values_default() -> Vec<String> {
    defaults(Dialect::Airbyte).false_values
}

fn inference_default() -> CsvInference {
    INFERENCE.of(Dialect::Airbyte)
}

fn zero() -> Whole {
    Whole(0)
}

/// What the options of Airbyte's form mean.
///
/// # Errors
/// Config, naming the option.
pub(crate) fn parse(written: CsvInput, path: &str, log: &mut ProvenanceLog) -> Result<CsvOptions> {
    let at = |key: &str| join(path, key);
    let rows = |rows: Whole, key: &str| rows.between(0, u64::MAX, &at(key));
    let header = match &written.header_definition {
        Some(definition) => header(&definition.0, &at("header_definition"), log)?,
        None => CsvHeader::FromFile,
    };
    let escape_char = written.escape_char.as_deref().unwrap_or_default();
    let (delimiter, delimiter_rest) = delimiter(&written.delimiter, &at("delimiter"))?;
    let csv = CsvOptions {
        delimiter,
        delimiter_rest,
        quote: optional_byte(&written.quote_char, "quote_char", &at("quote_char"))?,
        escape: optional_byte(escape_char, "escape_char", &at("escape_char"))?,
        double_quote: written.double_quote,
        encoding: encoding(&written.encoding, ENCODING.of(Dialect::Airbyte), &at("encoding"))?,
        header,
        skip_rows_before_header: rows(written.skip_rows_before_header, "skip_rows_before_header")?,
        skip_rows_after_header: rows(written.skip_rows_after_header, "skip_rows_after_header")?,
        null_values: written.null_values,
        strings_can_be_null: written.strings_can_be_null,
        true_values: written.true_values,
        false_values: written.false_values,
        inference: written.inference_type,
        ignore_errors_on_fields_mismatch: written.ignore_errors_on_fields_mismatch,
    };
    distinct(&csv, &at("delimiter"))?;
    Ok(csv)
}

/// What a reader of the native form looks for first.
const FIRST: &[&str] = &[
    "delimiter",
    "quote_char",
    "escape_char",
    "double_quote",
    "encoding",
    "header_definition",
    "skip_rows_before_header",
    "skip_rows_after_header",
];

/// The options in the native form.
pub(crate) fn native(options: &CsvOptions) -> Object {
    let delimiter = [&[options.delimiter][..], &options.delimiter_rest].concat();
    // Only the delimiter has a short form of a tab.
    let character = |byte: u8| char::from(byte).to_string();
    let header = match &options.header {
        CsvHeader::FromFile => None,
        CsvHeader::Autogenerated => Some(tagged(HEADER_TAG, "Autogenerated", Object::new())),
        CsvHeader::UserProvided(column_names) => {
            let header = ProvidedHeader { column_names: column_names.clone() };
            Some(tagged(HEADER_TAG, "User Provided", without_defaults(&header, &["column_names"])))
        }
    };
    let written = CsvInput {
        delimiter: if delimiter == b"\t" { "\\t".to_owned() } else { String::from_utf8_lossy(&delimiter).into_owned() },
        quote_char: options.quote.map(character).unwrap_or_default(),
        escape_char: options.escape.map(character),
        encoding: options.encoding.clone(),
        double_quote: options.double_quote,
        null_values: options.null_values.clone(),
        strings_can_be_null: options.strings_can_be_null,
        skip_rows_before_header: options.skip_rows_before_header.into(),
        skip_rows_after_header: options.skip_rows_after_header.into(),
        header_definition: header.map(Section::new),
        true_values: options.true_values.clone(),
        false_values: options.false_values.clone(),
        inference_type: options.inference,
        ignore_errors_on_fields_mismatch: options.ignore_errors_on_fields_mismatch,
    };
    in_order(without_defaults(&written, &[]), FIRST, &[])
}

fn header(object: &Object, path: &str, log: &mut ProvenanceLog) -> Result<CsvHeader> {
    match tag_of(object, path, HEADER_TAG, &["From CSV", "Autogenerated", "User Provided"])? {
        "From CSV" => section::<HeaderFromFile>(object, path, &[HEADER_TAG], log).map(|_| CsvHeader::FromFile),
        "Autogenerated" => {
            section::<AutogeneratedHeader>(object, path, &[HEADER_TAG], log).map(|_| CsvHeader::Autogenerated)
        }
        _ => {
            let ProvidedHeader { column_names } = section(object, path, &[HEADER_TAG], log)?;
            user_provided(column_names, &join(path, "column_names"))
        }
    }
}

/// Names that a user gives: at least one, none twice. Empty ones at the end name no column: the old connector cuts them too.
///
/// # Errors
/// Config.
pub(crate) fn user_provided(column_names: Vec<String>, path: &str) -> Result<CsvHeader> {
    if column_names.is_empty() {
        return Err(wrong(path, "an empty list", "at least one column name"));
    }
    let mut seen = std::collections::HashSet::new();
    let width = column_names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    if let Some(twice) = column_names[..width].iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Error::config(format!("`{path}` contains the name '{twice}' twice")));
    }
    Ok(CsvHeader::UserProvided(column_names))
}

/// The first byte between fields, and those after it. The two characters `\t` mean a tab.
///
/// # Errors
/// Config when it is empty, very long, or has a line end.
pub(crate) fn delimiter(text: &str, path: &str) -> Result<(u8, Vec<u8>)> {
    const MOST_BYTES: usize = 16;
    match text.as_bytes() {
        b"\\t" => Ok((b'\t', Vec::new())),
        bytes if bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
            Err(wrong(path, format!("{text:?}"), "characters other than line breaks"))
        }
        [first, rest @ ..] if rest.len() < MOST_BYTES => Ok((*first, rest.to_vec())),
        _ => Err(wrong(path, format!("{text:?}"), "one character, or a few")),
    }
}

/// A byte that may be left blank.
pub(crate) fn optional_byte(text: &str, name: &str, path: &str) -> Result<Option<u8>> {
    if text.is_empty() { Ok(None) } else { one_byte(text, name, path).map(Some) }
}

fn one_byte(text: &str, name: &str, path: &str) -> Result<u8> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ if text.chars().count() == 1 => {
            let message = format!("`{path}` is '{text}'; characters outside ASCII are not supported here yet");
            Err(Error::new(ErrorKind::Unsupported, message).hint("use one ASCII character"))
        }
        _ => Err(Error::config(format!("`{path}` is {text:?}: {name} should only be one character"))),
    }
}

/// A name of a text encoding; blank means the default. Whether it is known is for the decoder to say.
///
/// # Errors
/// Config when no encoding can be called so.
pub(crate) fn encoding(text: &str, default: &str, path: &str) -> Result<String> {
    let text = text.trim();
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | ' ' | '(' | ')');
    match text {
        "" => Ok(default.to_owned()),
        _ if text.len() <= 64 && text.chars().all(usual) => Ok(text.to_owned()),
        _ => Err(wrong(path, format!("{text:?}"), "the name of a text encoding such as 'utf8' or 'latin-1'")),
    }
}

/// The bytes with a meaning must differ, else no row can be split.
///
/// # Errors
/// Config.
pub(crate) fn distinct(csv: &CsvOptions, path: &str) -> Result<()> {
    let delimiter = [&[csv.delimiter][..], &csv.delimiter_rest].concat();
    let within = |byte: Option<u8>| byte.is_some_and(|byte| delimiter.contains(&byte));
    let same = if within(csv.quote) {
        "quote character"
    } else if within(csv.escape) {
        "escape character"
    } else {
        return Ok(());
    };
    let is = if delimiter.len() == 1 { "is also" } else { "contains" };
    let shown = String::from_utf8_lossy(&delimiter);
    Err(Error::config(format!("`{path}` is '{shown}', which {is} the {same}"))
        .hint("choose two characters that differ"))
}
