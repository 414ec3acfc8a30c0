//! From options to the decoder of an object.

use std::sync::Arc;

use super::avro::{self, AvroDecoder};
use super::compression;
use super::csv::CsvSplitter;
use super::decode::{Decode, DecodeLimits};
use super::encoding::TextEncoding;
use super::excel::ExcelDecoder;
use super::json_document::DocumentSplitter;
use super::jsonl::JsonSplitter;
use super::parquet::{self, ParquetDecoder};
use super::text::{Beginning, Splitter, TextDecoder};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, Projection};
use tollgate_base::predicate::Predicate;

/// What is read of an object, and how.
#[derive(Debug, Clone)]
pub struct OpenOptions<'a> {
    /// The format.
    pub format: &'a FormatOptions,
    /// How the object as a whole is compressed. Where it is `Auto` the first bytes tell.
    pub compression: Compression,
    /// The columns that are wanted.
    pub projection: &'a Projection,
    /// Where an earlier read ended; `None`: the start.
    pub resume: Option<&'a Position>,
    /// How much the decoder may hold.
    pub limits: DecodeLimits,
    /// Only rows that pass all of these are wanted. What proves to have no such row is not handed over; nothing else is left
    /// out, so that the caller filters the rows.
    pub predicates: Arc<[Predicate]>,
    /// So large a part of the object is enough, between 0 and 1. A format that can takes whole pieces of it, at least one, and
    /// the same each time.
    pub sample: Option<f64>,
}

impl<'a> OpenOptions<'a> {
    /// All columns and rows of an object that is not compressed, from its start.
    #[must_use]
    pub fn new(format: &'a FormatOptions) -> Self {
        Self {
            format,
            compression: Compression::None,
            projection: &Projection::All,
            resume: None,
            limits: DecodeLimits::default(),
            predicates: Arc::default(),
            sample: None,
        }
    }

    /// A decoder of an object.
    ///
    /// # Errors
    /// `Unsupported` for options that no decoder has, `Config` for a position of another format.
    pub fn open(&self, object: &ObjectFacts) -> Result<Box<dyn Decode>> {
        let Self { compression, projection, resume, ref limits, .. } = *self;
        let (splitter, encoding) = match self.format {
            FormatOptions::Csv(options) => {
                let encoding = TextEncoding::of_label(&options.encoding)?;
                (Splitter::Csv(CsvSplitter::new(options, resume, limits)?), encoding)
            }
            FormatOptions::Jsonl => (Splitter::Json(JsonSplitter::new(resume, limits)), TextEncoding::Utf8),
            FormatOptions::Json => (Splitter::Document(DocumentSplitter::new(resume)), TextEncoding::Utf8),
            FormatOptions::Avro(options) => {
                let decoder = AvroDecoder::new(options, compression, projection, object, resume, limits)?;
                return Ok(Box::new(decoder));
            }
            FormatOptions::Excel => {
                return Ok(Box::new(ExcelDecoder::new(compression, projection, object, resume, limits)?));
            }
            // Parquet compresses inside; what is around it as a whole is not read.
            FormatOptions::Parquet(_) => return Ok(Box::new(self.open_parquet(object)?)),
        };
        let beginning = Beginning::of(resume, compression)?;
        let expected = compression::expected_window_bytes(beginning.compression, object.size);
        Ok(Box::new(TextDecoder::new(splitter, encoding, &beginning, limits)?.expecting(expected)))
    }

    /// A decoder of a Parquet object, which tells more than others. The format's options do not matter to it.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn open_parquet(&self, object: &ObjectFacts) -> Result<ParquetDecoder> {
        let limits = parquet::ParquetLimits {
            batch_rows: self.limits.batch_rows,
            row_bytes: self.limits.row_bytes,
            ..parquet::ParquetLimits::default()
        };
        let decoder = ParquetDecoder::new(object, self.projection, self.resume, limits)?;
        Ok(decoder.filtered(&self.predicates).sampled(self.sample))
    }
}

/// The stored byte from which a decoder reads that goes on at a place of an object with this compression, and whether it
/// meets rows there that were handed over before.
#[must_use]
pub fn reads_from(place: &Place, compression: Compression) -> (u64, bool) {
    match place {
        Place::Byte { frame: Some(frame), .. } => (frame.stored, true),
        // Where the first bytes tell that there is compression, there is a frame.
        Place::Byte { offset, .. } if matches!(compression, Compression::None | Compression::Auto) => (*offset, false),
        Place::Block { offset, row } => (offset.saturating_sub(avro::MARKER_BYTES as u64), *row > 0),
        Place::Start | Place::Byte { .. } | Place::RowGroup { .. } => (0, true),
    }
}
