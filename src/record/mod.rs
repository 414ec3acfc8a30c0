//! Batches → RECORD lines: one encoder per column, chosen once per file or schema; casts; counts of what did not fit.
//!
//! ```text
//!  {"type":"RECORD","record":{"stream":"s","data":{ | members, a comma behind each | added columns},"emitted_at":…}}
//!  └──────────────── once per stream ──────────────┘                               └──────── once per file ────────┘
//! ```

pub mod arrow;
mod cast;
mod conform;
mod json;
mod line;
mod number_text;
mod report;
pub mod schema_of;
mod text;

use std::io::Write as _;
use std::sync::Arc;

use self::arrow::ArrowEncoder;
pub use self::conform::Validation;
use self::json::JsonEncoder;
pub use self::report::FileReport;
use self::text::TextEncoder;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::json_string::{write_key, write_string};
use crate::object::ObjectFacts;
use crate::options::{CsvOptions, FormatOptions, Projection};
use crate::protocol::schema::{Columns, MODIFIED_COLUMN, URL_COLUMN};

/// How rows become records, besides the catalog's columns.
#[derive(Debug, Clone, Default)]
pub struct EncodeOptions {
    /// The row goes into one column `data` as it is: no column is left out, nothing is cast.
    pub schemaless: bool,
    /// What texts mean.
    pub csv: CsvOptions,
    /// Decimals as numbers.
    pub decimal_as_float: bool,
    /// What happens to records that are not what the catalog says.
    pub validation: Validation,
}

impl EncodeOptions {
    /// The options of a format.
    #[must_use]
    pub fn new(format: &FormatOptions, schemaless: bool, validation: Validation) -> Self {
        let (csv, decimal_as_float) = match format {
            FormatOptions::Csv(csv) => (csv.clone(), false),
            FormatOptions::Parquet(parquet) => (CsvOptions::default(), parquet.decimal_as_float),
            _ => (CsvOptions::default(), false),
        };
        // A row as it is has no columns that a catalog could know.
        let validation = if schemaless { Validation::Emit } else { validation };
        Self { schemaless, csv, decimal_as_float, validation }
    }
}

/// The columns that a decoder must give.
#[must_use]
pub fn columns_wanted(columns: &Columns) -> Projection {
    match columns {
        Columns::All => Projection::All,
        Columns::Listed(columns) => Projection::Columns(columns.iter().map(|column| column.name.clone()).collect()),
    }
}

/// Whether a column of a file gives way to one that is added to every record.
fn added(name: &str) -> bool {
    name == MODIFIED_COLUMN || name == URL_COLUMN
}

/// Encodes the files of one stream.
#[derive(Debug, Clone)]
pub struct StreamEncoder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// A line up to `"data":{`.
    prefix: Vec<u8>,
    columns: Columns,
    options: EncodeOptions,
}

impl StreamEncoder {
    /// An encoder for a stream of a catalog.
    #[must_use]
    pub fn new(name: &str, namespace: Option<&str>, columns: &Columns, options: EncodeOptions) -> Self {
        let mut prefix = br#"{"type":"RECORD","record":{"stream":"#.to_vec();
        write_string(name, &mut prefix);
        if let Some(namespace) = namespace {
            prefix.extend_from_slice(br#","namespace":"#);
            write_string(namespace, &mut prefix);
        }
        prefix.extend_from_slice(br#","data":{"#);
        let columns = if options.schemaless {
            prefix.extend_from_slice(br#""data":{"#);
            Columns::All
        } else {
            columns.clone()
        };
        Self(Arc::new(Shared { prefix, columns, options }))
    }

    /// An encoder for one file.
    #[must_use]
    pub fn file(&self, object: &ObjectFacts, emitted_at_ms: i64) -> FileEncoder {
        let mut suffix = if self.0.options.schemaless { b"},".to_vec() } else { Vec::new() };
        let modified_at = object.modified_at.to_string();
        for (name, value, end) in [(MODIFIED_COLUMN, &*modified_at, b','), (URL_COLUMN, &*object.key, b'}')] {
            write_key(name, &mut suffix);
            write_string(value, &mut suffix);
            suffix.push(end);
        }
        suffix.extend_from_slice(br#","emitted_at":"#);
        let mut encoder = FileEncoder {
            shared: Arc::clone(&self.0),
            suffix_length: suffix.len(),
            suffix,
            emitted_at_ms: i64::MIN,
            rows: None,
            report: FileReport::default(),
        };
        encoder.set_emitted_at(emitted_at_ms);
        encoder
    }
}

/// Encodes the batches of one file.
#[derive(Debug)]
pub struct FileEncoder {
    shared: Arc<Shared>,
    suffix: Vec<u8>,
    /// The part of the suffix that does not change.
    suffix_length: usize,
    emitted_at_ms: i64,
    rows: Option<Rows>,
    report: FileReport,
}

#[derive(Debug)]
enum Rows {
    Arrow(ArrowEncoder),
    Text(TextEncoder),
    Json(JsonEncoder),
}

/// What is around the members of a line.
#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    prefix: &'a [u8],
    suffix: &'a [u8],
    /// Whether the suffix closes an object first, so that the last member must not end with a comma.
    closes: bool,
}

impl FileEncoder {
    /// The `emitted_at` of the next lines, in milliseconds since 1970.
    pub fn set_emitted_at(&mut self, emitted_at_ms: i64) {
        if self.emitted_at_ms != emitted_at_ms {
            self.emitted_at_ms = emitted_at_ms;
            self.suffix.truncate(self.suffix_length);
            // Writing into a Vec cannot fail.
            _ = writeln!(self.suffix, "{emitted_at_ms}}}}}");
        }
    }

    /// Appends a line per row to `out`. Returns the number of lines.
    ///
    /// # Errors
    /// `Data` where a value has no text, `Unsupported` where a column's type has no JSON form. `out` ends with a whole line.
    pub fn encode(&mut self, batch: &Batch, out: &mut Vec<u8>) -> Result<u64> {
        let shared = &self.shared;
        let frame = Frame { prefix: &shared.prefix, suffix: &self.suffix, closes: shared.options.schemaless };
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => Rows::new(batch, shared)?,
        };
        let rows = self.rows.insert(rows);
        let written = match (rows, batch) {
            (Rows::Arrow(encoder), Batch::Arrow(batch)) => {
                if !encoder.fits(&batch.schema()) {
                    *encoder = ArrowEncoder::new(&batch.schema(), &shared.columns, &shared.options)?;
                }
                encoder.encode(batch, &frame, out)?
            }
            (Rows::Text(encoder), Batch::Text(rows)) => {
                encoder.encode(rows, &shared.columns, &shared.options, &frame, out, &mut self.report)?
            }
            (Rows::Json(encoder), Batch::Json(rows)) => {
                encoder.encode(rows, &shared.columns, shared.options.validation, &frame, out)?
            }
            _ => return Err(Error::internal("the batches of a file have different shapes")),
        };
        self.report.add_skipped(batch.rows() as u64 - written);
        Ok(written)
    }

    /// What did not fit so far.
    #[must_use]
    pub fn report(&self) -> &FileReport {
        &self.report
    }
}

impl Rows {
    fn new(batch: &Batch, shared: &Shared) -> Result<Self> {
        Ok(match batch {
            Batch::Arrow(batch) => Self::Arrow(ArrowEncoder::new(&batch.schema(), &shared.columns, &shared.options)?),
            Batch::Text(_) => Self::Text(TextEncoder::new(&shared.prefix, &shared.options.csv)),
            Batch::Json(_) => Self::Json(JsonEncoder::new(&shared.prefix, shared.options.schemaless)),
        })
    }
}

#[cfg(test)]
mod tests;
