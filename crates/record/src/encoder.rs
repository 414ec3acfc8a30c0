//! The encoders of a stream and of a file.

use std::io::Write as _;
use std::sync::Arc;

use super::arrow::ArrowEncoder;
use super::conform::listed_type;
use super::encoded::Encoded;
use super::frame::{Added, Frame};
use super::json::JsonEncoder;
use super::options::EncodeOptions;
use super::report::FileReport;
use super::text::TextEncoder;
use tollgate_base::batch::Batch;
use tollgate_base::error::{Error, Result};
use tollgate_base::json_string::{write_key, write_string};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::SchemaEvolution;
use tollgate_base::schema::{Columns, MODIFIED_COLUMN, RESCUED_COLUMN, URL_COLUMN};

/// A column that has one value in all records of a file, whatever the file has under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct ConstantColumn {
    /// The column.
    pub name: String,
    /// Its value; null is left out, as with all columns.
    pub value: serde_json::Value,
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
    pub fn file_with(&self, object: &ObjectFacts, emitted_at_ms: i64, constants: &[ConstantColumn]) -> FileEncoder {
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
    fn constants(&self, constants: &[ConstantColumn]) -> Vec<u8> {
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
