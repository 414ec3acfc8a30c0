//! The format of a stream: a union in Airbyte's form, and the format for each extension of a key.

pub(crate) mod avro;
mod by_extension;
pub(crate) mod csv;
pub(crate) mod parquet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::avro::AvroInput;
use self::csv::CsvInput;
use self::parquet::ParquetInput;
use crate::dialect::Dialect;
use crate::input::{Object, Section, section, tag_of, tagged, without_defaults};
use crate::parameters::delivery::Delivery;
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::FormatOptions;

pub use self::by_extension::FormatByKey;
pub(crate) use self::by_extension::{BY_EXTENSION, by_extension};

const TAG: &str = "filetype";

/// `format` of a stream as `airbyte/source-s3` 4 writes it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "filetype", rename_all = "lowercase")]
pub(crate) enum FormatInput {
    #[schemars(title = "CSV Format")]
    Csv(CsvInput),
    #[schemars(title = "Jsonl Format")]
    Jsonl(JsonlInput),
    #[schemars(title = "JSON Format")]
    Json(JsonInput),
    #[schemars(title = "Parquet Format")]
    Parquet(ParquetInput),
    #[schemars(title = "Avro Format")]
    Avro(AvroInput),
    #[schemars(title = "Excel Format")]
    Excel(ExcelInput),
    #[schemars(title = "Format by Extension")]
    Infer(ByExtensionInput),
}

/// One JSON object per line.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct JsonlInput {}

/// JSON documents: one array of objects, one object, or a sequence of objects, over any number of lines.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct JsonInput {}

/// Excel workbooks (xlsx, xlsb): the first sheet, whose first row has the column names.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExcelInput {}

/// The extension of the first key determines the format: csv, tsv, jsonl, ndjson, json, parquet, avro, xlsx or xlsb.
/// The extension of a compression may follow it. Files with another extension are errors.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct ByExtensionInput {
    /// The options of CSV files, as in the CSV format. When absent, the defaults are used.
    #[schemars(title = "CSV Options", extend("airbyte_hidden" = true))]
    csv: Option<Section<CsvInput>>,
    /// Whether records of JSON files are delivered unchanged in one column `data`.
    #[serde(default)]
    #[schemars(title = "Schemaless JSON", extend("airbyte_hidden" = true))]
    schemaless_json: bool,
}

const NOT_YET: &str = "unstructured";

/// Reads the format of a stream.
///
/// # Errors
/// Config or Unsupported, naming the option.
pub(crate) fn parse(object: &Object, path: &str, delivery: Delivery, log: &mut ProvenanceLog) -> Result<FormatOptions> {
    if object.get(TAG).is_some_and(|name| name == NOT_YET) {
        if delivery != Delivery::Records {
            // Files are not looked into: any format will do.
            log.unused(join(path, TAG), "without effect: files are transferred unchanged");
            return Ok(FormatOptions::Jsonl);
        }
        let message = format!("`{}` is '{NOT_YET}', which is not supported yet", join(path, TAG));
        return Err(Error::new(ErrorKind::Unsupported, message).hint(
            "set `delivery_method` to use_file_transfer to transfer the files unchanged, or remove the stream from \
             this configuration",
        ));
    }
    match tag_of(object, path, TAG, &["csv", "jsonl", "json", "parquet", "avro", "excel", "infer"])? {
        "csv" => csv::parse(section(object, path, &[TAG], log)?, path, log).map(FormatOptions::Csv),
        "jsonl" => section::<JsonlInput>(object, path, &[TAG], log).map(|_| FormatOptions::Jsonl),
        "json" => section::<JsonInput>(object, path, &[TAG], log).map(|_| FormatOptions::Json),
        "excel" => section::<ExcelInput>(object, path, &[TAG], log).map(|_| FormatOptions::Excel),
        "avro" => section::<AvroInput>(object, path, &[TAG], log).map(|avro| FormatOptions::Avro(avro.into())),
        _ => section::<ParquetInput>(object, path, &[TAG], log).map(|parquet| FormatOptions::Parquet(parquet.into())),
    }
}

/// What each extension means where the format is `infer`; otherwise empty.
///
/// # Errors
/// Config, naming the option.
pub(crate) fn parse_by_extension(
    object: &Object,
    path: &str,
    schemaless: bool,
    log: &mut ProvenanceLog,
) -> Result<Vec<FormatByKey>> {
    if object.get(TAG).is_none_or(|name| name != "infer") {
        return Ok(Vec::new());
    }
    let ByExtensionInput { csv, schemaless_json } = section(object, path, &[TAG], log)?;
    let csv_path = join(path, "csv");
    let csv = match csv {
        Some(written) => csv::parse(section(&written.0, &csv_path, &[TAG], log)?, &csv_path, log)?,
        None => csv::defaults(Dialect::Airbyte),
    };
    Ok(by_extension(csv, schemaless, schemaless_json))
}

/// The format in the native form.
pub(crate) fn native(format: &FormatOptions) -> Object {
    let options = match format {
        FormatOptions::Csv(options) => csv::native(options),
        FormatOptions::Parquet(options) => without_defaults(&ParquetInput::from(options), &[]),
        FormatOptions::Avro(options) => without_defaults(&AvroInput::from(options), &[]),
        FormatOptions::Jsonl | FormatOptions::Json | FormatOptions::Excel => Object::new(),
    };
    tagged(TAG, format.name(), options)
}

/// The native form of formats that the keys decide on.
pub(crate) fn native_by_extension(formats: &[FormatByKey], schemaless: bool) -> Object {
    let of = |name| formats.iter().find(|format| format.extension == name);
    let csv = match of("csv").map(|csv| &csv.format) {
        Some(FormatOptions::Csv(options)) => csv::native(options),
        _ => Object::new(),
    };
    let csv = Some(csv).filter(|csv| !csv.is_empty()).map(Section::new);
    let schemaless_json = of("json").is_some_and(|json| json.schemaless && !schemaless);
    tagged(TAG, "infer", without_defaults(&ByExtensionInput { csv, schemaless_json }, &[]))
}
