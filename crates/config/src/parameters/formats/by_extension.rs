//! What the extension of a key means.

use super::{csv, parquet};
use crate::dialect::Dialect;
use tollgate_base::options::{AvroOptions, CsvOptions, FormatOptions};

/// What the extension of a key means.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatByKey {
    /// The extension, without its dot, in lower case.
    pub extension: &'static str,
    /// The format.
    pub format: FormatOptions,
    /// As [`Stream::schemaless`](crate::job::Stream::schemaless).
    pub schemaless: bool,
}

/// The extensions of keys and the formats that they determine.
pub(crate) const BY_EXTENSION: &[(&str, &str)] = &[
    ("csv", "csv"),
    ("tsv", "tsv"),
    ("jsonl", "jsonl"),
    ("ndjson", "jsonl"),
    ("json", "json"),
    ("parquet", "parquet"),
    ("avro", "avro"),
    ("xlsx", "xlsx"),
    ("xlsb", "xlsb"),
];

/// What each extension means in Airbyte's form.
pub(crate) fn by_extension(csv: CsvOptions, schemaless: bool, schemaless_json: bool) -> Vec<FormatByKey> {
    // A delimiter that is written holds for both.
    let written = csv.delimiter != csv::DELIMITER.as_bytes()[0] || !csv.delimiter_rest.is_empty();
    let tsv = if written { csv.clone() } else { CsvOptions { delimiter: b'\t', ..csv.clone() } };
    let of = |(extension, format): &(&'static str, &str)| {
        let json = matches!(*format, "jsonl" | "json");
        let format = match *format {
            "csv" => FormatOptions::Csv(csv.clone()),
            "tsv" => FormatOptions::Csv(tsv.clone()),
            "jsonl" => FormatOptions::Jsonl,
            "json" => FormatOptions::Json,
            "parquet" => FormatOptions::Parquet(parquet::defaults(Dialect::Airbyte)),
            "avro" => FormatOptions::Avro(AvroOptions::default()),
            _ => FormatOptions::Excel,
        };
        FormatByKey { extension, format, schemaless: schemaless || (json && schemaless_json) }
    };
    BY_EXTENSION.iter().map(of).collect()
}
