//! Batches → RECORD lines: one encoder per column, chosen once per file or schema; casts; counts of what did not fit.
//!
//! ```text
//!  {"type":"RECORD","record":{"stream":"s","data":{ | members, a comma behind each | added columns},"emitted_at":…}}
//!  └──────────────── once per stream ──────────────┘                               └──────── once per file ────────┘
//! ```

pub mod arrow;

mod cast;
mod conform;
pub mod flatten;
mod json;
mod line;
mod number_text;
pub mod pick;
mod report;
mod rescued;
pub mod schema_of;
mod text;

use std::io::Write as _;
use std::sync::Arc;

use self::arrow::ArrowEncoder;
use self::conform::Fit;
use self::conform::Misfit;
use self::conform::Unfit;
pub use self::conform::Validation;
use self::conform::listed_type;
use self::json::JsonEncoder;
pub use self::report::FileReport;
use self::text::TextEncoder;
use tollgate_base::batch::Batch;
use tollgate_base::error::{Error, Result};
use tollgate_base::json_string::{write_key, write_string};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{CsvOptions, FormatOptions, OnBadRow, ParquetOptions, Projection, SchemaEvolution};
use tollgate_base::schema::{Columns, MODIFIED_COLUMN, RESCUED_COLUMN, URL_COLUMN};

/// How rows become records, besides the catalog's columns.
#[derive(Debug, Clone, Default)]
pub struct EncodeOptions {
    /// The row goes into one column `data` as it is: no column is left out, nothing is cast.
    pub schemaless: bool,
    /// What texts mean.
    pub csv: CsvOptions,
    /// The texts of Arrow values.
    pub parquet: ParquetOptions,
    /// What happens to records that are not what the catalog says.
    pub validation: Validation,
    /// What happens to fields that the catalog does not have as they are.
    pub evolution: SchemaEvolution,
    /// What happens to a row that is refused, or that has a value without a text.
    pub on_bad_row: OnBadRow,
    /// What happens to fields that the catalog does not have where neither validation nor evolution look at them.
    pub unlisted: Unlisted,
}

/// What becomes of fields that the catalog does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlisted {
    /// They are left out.
    #[default]
    LeaveOut,
    /// They are left out, and that is said once.
    Tell,
    /// They go out as they are.
    Write,
}

impl EncodeOptions {
    /// The options of a format.
    #[must_use]
    pub fn new(format: &FormatOptions, schemaless: bool, validation: Validation) -> Self {
        let (csv, parquet) = match format {
            FormatOptions::Csv(csv) => (csv.clone(), ParquetOptions::default()),
            FormatOptions::Parquet(parquet) => (CsvOptions::default(), *parquet),
            _ => Default::default(),
        };
        // A row as it is has no columns that a catalog could know.
        let validation = if schemaless { Validation::Emit } else { validation };
        Self { schemaless, csv, parquet, validation, ..Self::default() }
    }

    /// With these policies for fields and rows.
    #[must_use]
    pub fn with_policies(self, evolution: SchemaEvolution, on_bad_row: OnBadRow) -> Self {
        let evolution = if self.schemaless { SchemaEvolution::Evolve } else { evolution };
        Self { evolution, on_bad_row, ..self }
    }

    fn unfit(&self) -> Unfit {
        Unfit::new(self.validation, self.evolution, self.on_bad_row)
    }

    fn fit(&self) -> Fit {
        Fit::of(self.evolution)
    }
}

/// The columns that a decoder must give, where nested members are columns of their own or are not.
#[must_use]
pub fn columns_wanted(columns: &Columns, flattened: bool) -> Projection {
    match columns {
        Columns::All => Projection::All,
        Columns::Listed(columns) => {
            let names = columns.iter().map(|column| column.name.clone()).collect();
            if flattened { Projection::Flattened(names) } else { Projection::Columns(names) }
        }
    }
}

/// A row that an encoder did not write.
#[derive(Debug)]
pub struct Refused {
    /// Its index in the batch.
    pub row: usize,
    /// Why, in words that are the same for all rows of one kind.
    pub reason: String,
    /// The row as a JSON object.
    pub raw: Vec<u8>,
}

/// What became of the rows of a batch.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The lines that were appended.
    pub lines: u64,
    /// Rows among them of which something was rescued.
    pub rescued: u64,
    /// Rows that were refused, in their order.
    pub refused: Vec<Refused>,
    /// The first row that was not looked at, and why: the file ends there.
    pub stopped: Option<(usize, Error)>,
}

impl Encoded {
    #[cold]
    fn stop(&mut self, row: usize, error: Error) {
        self.stopped = Some((row, error));
    }

    /// Acts on a row that does not conform. Whether the file ends there.
    #[cold]
    fn unfit(&mut self, unfit: Unfit, row: usize, misfit: &Misfit<'_>, raw: impl FnOnce() -> Vec<u8>) -> bool {
        match unfit {
            Unfit::Refuse => self.refused.push(Refused { row, reason: misfit.reason(), raw: raw() }),
            Unfit::Stop { .. } => self.stop(row, unfit.stopped(misfit)),
            Unfit::Emit | Unfit::Leave | Unfit::Rescue => {}
        }
        self.stopped.is_some()
    }
}

/// A column that has one value in all records of a file, whatever the file has under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant {
    /// The column.
    pub name: String,
    /// Its value; null is left out, as with all columns.
    pub value: serde_json::Value,
}

/// The columns of a file that give way to those that are added to every record.
#[derive(Debug, Clone, Default)]
struct Added {
    constants: Vec<Box<str>>,
    /// Whether the rows are inside of a member of their own, where they cannot meet the connector's own columns.
    nested: bool,
}

impl Added {
    fn has(&self, name: &str) -> bool {
        let own = !self.nested && (name == MODIFIED_COLUMN || name == URL_COLUMN);
        own || self.constants.iter().any(|constant| **constant == *name)
    }
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
    /// Whether the catalog has the column of rescued data.
    rescued_listed: bool,
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
        let mut columns = if options.schemaless {
            prefix.extend_from_slice(br#""data":{"#);
            Columns::All
        } else {
            columns.clone()
        };
        let mut rescued_listed = true;
        if let (SchemaEvolution::Rescue, Columns::Listed(listed)) = (options.evolution, &mut columns) {
            let all = listed.len();
            // A column of this name in a file is one that the catalog does not have.
            listed.retain(|column| column.name != RESCUED_COLUMN);
            rescued_listed = listed.len() < all;
        }
        Self(Arc::new(Shared { prefix, columns, options, rescued_listed }))
    }

    /// An encoder for one file.
    #[must_use]
    pub fn file(&self, object: &ObjectFacts, emitted_at_ms: i64) -> FileEncoder {
        self.file_with(object, emitted_at_ms, &[])
    }

    /// An encoder for one file whose records all have these columns.
    #[must_use]
    pub fn file_with(&self, object: &ObjectFacts, emitted_at_ms: i64, constants: &[Constant]) -> FileEncoder {
        let nested = self.0.options.schemaless;
        let mut suffix = self.constants(constants);
        let closes = nested && suffix.is_empty();
        let mut members = suffix.len();
        if nested {
            // The members of the row are an object of their own: no comma behind the last of them.
            suffix.truncate(suffix.len().saturating_sub(1));
            suffix.push(b'}');
            members = suffix.len();
            suffix.push(b',');
        }
        let modified_at = object.modified_at.to_string();
        for (name, value, end) in [(MODIFIED_COLUMN, &*modified_at, b','), (URL_COLUMN, &*object.key, b'}')] {
            write_key(name, &mut suffix);
            write_string(value, &mut suffix);
            suffix.push(end);
        }
        suffix.extend_from_slice(br#","emitted_at":"#);
        let constants = constants.iter().map(|constant| constant.name.as_str().into()).collect();
        let mut encoder = FileEncoder {
            shared: Arc::clone(&self.0),
            added: Added { constants, nested },
            closes,
            members,
            suffix_length: suffix.len(),
            suffix,
            emitted_at_ms: i64::MIN,
            rows: None,
            report: FileReport::default(),
        };
        encoder.set_emitted_at(emitted_at_ms);
        encoder
    }

    /// The members of constants that the catalog wants, each with a comma behind it.
    fn constants(&self, constants: &[Constant]) -> Vec<u8> {
        let shared = &self.0;
        let mut members = Vec::new();
        for constant in constants {
            let wanted = listed_type(&shared.columns, &constant.name).is_some();
            if wanted && (shared.options.schemaless || !constant.value.is_null()) {
                write_key(&constant.name, &mut members);
                // Writing into a Vec cannot fail.
                _ = write!(members, "{},", constant.value);
            }
        }
        members
    }
}

/// Encodes the batches of one file.
#[derive(Debug)]
pub struct FileEncoder {
    shared: Arc<Shared>,
    added: Added,
    /// See [`Frame::closes`].
    closes: bool,
    /// See [`Frame::members`].
    members: usize,
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
    /// How much of the suffix belongs to the object that the row is.
    members: usize,
    /// Columns that are not taken from the rows.
    added: &'a Added,
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

    /// Appends a line per row to `out`. Rows may be refused, or end the file: see [`Encoded`]; `out` then ends with the
    /// line of the row before.
    ///
    /// # Errors
    /// `Unsupported` where a column's type has no JSON form: nothing of the batch was written.
    pub fn encode(&mut self, batch: &Batch, out: &mut Vec<u8>) -> Result<Encoded> {
        let shared = &self.shared;
        let (suffix, added) = (&self.suffix, &self.added);
        let frame = Frame { prefix: &shared.prefix, suffix, closes: self.closes, members: self.members, added };
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => Rows::new(batch, shared, &self.added)?,
        };
        let rows = self.rows.insert(rows);
        let encoded = match (&mut *rows, batch) {
            (Rows::Arrow(encoder), Batch::Arrow(batch)) => {
                if !encoder.fits(&batch.schema()) {
                    *encoder = ArrowEncoder::new(&batch.schema(), &shared.columns, &shared.options, &self.added)?;
                }
                encoder.encode(batch, &frame, out)?
            }
            (Rows::Text(encoder), Batch::Text(rows)) => {
                encoder.encode(rows, &shared.columns, &shared.options, &frame, out, &mut self.report)
            }
            (Rows::Json(encoder), Batch::Json(rows)) => {
                encoder.encode(rows, &shared.columns, &shared.options, &frame, out)
            }
            _ => return Err(Error::internal("the batches of a file have different shapes")),
        };
        match rows {
            Rows::Json(encoder) => {
                self.report.add_repeated_keys(encoder.take_repeated());
                self.report.add_not_finite("", encoder.take_not_finite(), "");
            }
            Rows::Arrow(encoder) => self.report.add_not_finite("", encoder.take_not_finite(), ""),
            Rows::Text(_) => {}
        }
        let done = encoded.stopped.as_ref().map_or(batch.rows(), |(row, _)| *row);
        self.report.add_rescued(encoded.rescued, shared.rescued_listed);
        self.report.add_skipped(done as u64 - encoded.lines - encoded.refused.len() as u64);
        Ok(encoded)
    }

    /// What did not fit so far.
    #[must_use]
    pub fn report(&self) -> &FileReport {
        &self.report
    }
}

impl Rows {
    fn new(batch: &Batch, shared: &Shared, added: &Added) -> Result<Self> {
        Ok(match batch {
            Batch::Arrow(batch) => {
                Self::Arrow(ArrowEncoder::new(&batch.schema(), &shared.columns, &shared.options, added)?)
            }
            Batch::Text(_) => Self::Text(TextEncoder::new(&shared.prefix, &shared.options.csv)),
            Batch::Json(_) => Self::Json(JsonEncoder::new(&shared.prefix, &shared.options)),
        })
    }
}

#[cfg(test)]
mod tests;
