//! From options to the decoder of an object.

use super::avro::{self, AvroDecoder};
use super::compression;
use super::csv::CsvSplitter;
use super::decode::{Decode, DecodeLimits};
use super::encoding::TextEncoding;
use super::excel::ExcelDecoder;
use super::json_document::DocumentSplitter;
use super::jsonl::JsonSplitter;
use super::parquet;
use super::text::{Beginning, Splitter, TextDecoder};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::Result;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, Projection};

/// A decoder of an object, from `resume` on or from its start. Where `compression` is `Auto` the first bytes tell what it
/// is.
///
/// # Errors
/// `Unsupported` for options that no decoder has, `Config` for a position of another format.
pub fn open(
    options: &FormatOptions,
    compression: Compression,
    projection: &Projection,
    object: &ObjectFacts,
    resume: Option<&Position>,
    limits: &DecodeLimits,
) -> Result<Box<dyn Decode>> {
    let (splitter, encoding) = match options {
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
        FormatOptions::Parquet(_) => {
            let limits = parquet::Limits {
                batch_rows: limits.batch_rows,
                row_bytes: limits.row_bytes,
                ..parquet::Limits::default()
            };
            return Ok(Box::new(parquet::ParquetDecoder::new(object, projection, resume, limits)?));
        }
    };
    let beginning = Beginning::of(resume, compression)?;
    let expected = compression::expected_window_bytes(beginning.compression, object.size);
    Ok(Box::new(TextDecoder::new(splitter, encoding, &beginning, limits)?.expecting(expected)))
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
