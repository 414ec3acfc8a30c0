//! Whether the first rows of a file can be read: they are decoded and encoded as a read does it.
//!
//! ```text
//!   text, Avro, Excel   first 256 KiB ─▶ a row? ── not yet ─▶ one request for the rest, read until there is one
//!   Parquet             tail ─▶ all columns' types ─▶ column chunks of the first row group ─▶ first batch
//! ```
//!
//! A file takes two or three requests, whatever its size. Nothing but a row, an error or the end of the file ends the
//! search: a sample that ends before the first row proves nothing.

use std::sync::Arc;

use crate::files::archive::{self, Archive};
use crate::files::file_reader::{Extent, FileReader, ReadResources, ReadStep};
use crate::files::range_source::RangeSource;
use crate::files::stop::Stop;
use crate::options::DEFAULT_MEMORY_BYTES;
use crate::select::row_selection;
use crate::verbs::sample::Sampled;
use tollgate_base::batch::{Batch, Decoded, Reject};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Caps, Compression, FormatOptions, ParquetOptions, Projection, SchemaEvolution};
use tollgate_base::schema::Columns;
use tollgate_config::job::Stream;
use tollgate_format::{DecodeLimits, OpenOptions};
use tollgate_record::flatten::Flattener;
use tollgate_record::{EncodeOptions, FileEncoder, StreamEncoder, Validation, columns_wanted};
use tollgate_s3::Store;

/// The first request for a file's contents: one of this size takes about as long as one for a byte.
const FIRST_BYTES: u64 = 256 << 10;

/// Text that is looked at before more is asked for. It must be smaller than the first request, or the decoder would wait
/// for more than that before it splits a row off.
const BLOCK_BYTES: usize = 64 << 10;

/// Stored bytes of a Parquet file's first row group that are fetched at most.
const PARQUET_BYTES: u64 = 8 << 20;

/// Where bad rows are left out: so many of them without a good one, and the file counts as unreadable.
const BAD_ROWS: usize = 64;

/// Reads the first row of a file. What was not looked at is told in a sentence.
///
/// # Errors
/// What a read of the file would fail with.
pub(crate) async fn first_rows(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    caps: Caps,
) -> Result<Option<String>> {
    let resources = ReadResources::new(store.clone(), DEFAULT_MEMORY_BYTES, Stop::default());
    if archive::is_archive(stream, object) {
        return first_member(&resources, stream, object, caps).await.map(|()| None);
    }
    let mut rows = Rows::new(stream, object);
    if let FormatOptions::Parquet(_) = &stream.format {
        return first_batch(&resources, stream, object, &mut rows).await;
    }
    let compression = stream.compression.resolve(&object.key);
    let options = OpenOptions { compression, limits: limits(stream, caps), ..OpenOptions::new(&stream.format) };
    let reader = FileReader::open(&resources, object, &options, Extent::default())?;
    // A workbook is read as a whole or not at all.
    let first_bytes = if stream.format == FormatOptions::Excel { object.size } else { FIRST_BYTES };
    first_row(reader.first(first_bytes, object.size), object.size, &mut rows).await.map(|()| None)
}

/// Reads the first row of the first member that belongs to the stream.
async fn first_member(resources: &ReadResources, stream: &Stream, object: &ObjectFacts, caps: Caps) -> Result<()> {
    let (store, budget) = (&resources.store, &resources.budgets.fetched);
    let archive = Archive::open(store, object, budget).await?;
    let Some((facts, member)) = archive.members_of(stream).members.into_iter().next() else { return Ok(()) };
    let named = |error: Error| error.with("key", &facts.key);
    member.readable().map_err(named)?;
    let limits = limits(stream, caps);
    let options = OpenOptions { compression: Compression::Zip, limits, ..OpenOptions::new(&stream.format) };
    let bytes = archive.stream(store, &member, false, budget);
    let size = member.range.end - member.range.start;
    let reader = FileReader::of_bytes(resources, &facts, &options, bytes).map_err(named)?;
    first_row(reader.first(FIRST_BYTES, size), size, &mut Rows::new(stream, &facts)).await.map_err(named)
}

/// As a read has them, but for batches: the first row is looked at as soon as it is there.
fn limits(stream: &Stream, caps: Caps) -> DecodeLimits {
    DecodeLimits {
        batch_rows: 1,
        batch_bytes: BLOCK_BYTES,
        on_bad_row: stream.bad_rows.on_bad_row(),
        caps,
        array_rows: stream.schemaless,
        ..DecodeLimits::default()
    }
}

/// Reads until there is a row, or the file, which has so many bytes, is at its end.
async fn first_row(mut reader: FileReader, size: u64, rows: &mut Rows) -> Result<()> {
    loop {
        match reader.next().await? {
            ReadStep::Batch(decoded) => {
                if rows.add(decoded)? {
                    return rows.verdict();
                }
            }
            ReadStep::Limited(None) => reader.extend(size, size),
            ReadStep::Limited(Some(error)) => return Err(error),
            ReadStep::Planned(_) => {}
            ReadStep::Done | ReadStep::Stopped => return rows.verdict(),
        }
    }
}

/// Decodes the first batch of a Parquet file, of as many columns as a check may fetch. The types of all are looked at.
async fn first_batch(
    resources: &ReadResources,
    stream: &Stream,
    object: &ObjectFacts,
    rows: &mut Rows,
) -> Result<Option<String>> {
    let limits = DecodeLimits {
        batch_rows: stream.batch_rows.unwrap_or(DecodeLimits::default().batch_rows),
        ..DecodeLimits::default()
    };
    let nothing = Projection::Columns(Vec::new());
    let options = OpenOptions { limits, projection: &nothing, ..OpenOptions::new(&stream.format) };
    let decoder = Box::new(options.open_parquet(object)?);
    let reader = FileReader::with_decoder(resources, object, decoder, &options, Extent::default())?;
    let mut reader = reader.fetching(RangeSource::keeping_all);
    let described = reader.next().await?;
    let Some(footer) = reader.decoder().footer().filter(|_| matches!(described, ReadStep::Planned(_))) else {
        return Err(Error::internal("a Parquet decoder went on without the footer"));
    };
    rows.types(&footer.schema)?;
    if footer.rows == 0 {
        return Ok(None);
    }
    let columns = reader.decoder().first_row_group();
    let wanted = columns.iter().filter(|(name, _)| rows.projection.wants(name));
    let total: u64 = wanted.clone().map(|(_, bytes)| bytes).sum();
    let chosen = affordable(wanted.clone());
    let note = (chosen.len() < wanted.clone().count()).then(|| {
        format!(
            "stream {}: the types of all columns of '{3}' were checked, and the values of {1} of {2}: its first row \
             group has {total} bytes, and a check reads at most {PARQUET_BYTES}",
            stream.name,
            chosen.len(),
            wanted.count(),
            object.key
        )
    });
    if chosen.is_empty() && note.is_some() {
        return Ok(note);
    }
    let chosen = Projection::Columns(chosen);
    let mut decoder = OpenOptions { projection: &chosen, ..options }.open_parquet(object)?;
    decoder.first_row_group_only();
    let mut reader = reader.decoded_by(decoder);
    while let Some(decoded) = reader.next_batch().await? {
        if rows.add(decoded)? {
            break;
        }
    }
    rows.verdict().map(|()| note)
}

/// The first columns that can be fetched in one piece of bounded length.
fn affordable<'a>(columns: impl Iterator<Item = &'a (String, u64)>) -> Vec<String> {
    let (mut chosen, mut total) = (Vec::new(), 0);
    for (name, bytes) in columns {
        if total + bytes <= PARQUET_BYTES {
            total += bytes;
            chosen.push(name.clone());
        } else if !chosen.is_empty() {
            // The columns after this one would be a request of their own.
            break;
        }
    }
    chosen
}

/// What becomes of the rows: lines that nobody sees.
struct Rows {
    projection: Projection,
    flattener: Option<Flattener>,
    encoder: FileEncoder,
    lines: Vec<u8>,
    seen: Sampled,
}

impl Rows {
    fn new(stream: &Stream, object: &ObjectFacts) -> Self {
        let columns = row_selection::columns(stream, &Columns::All);
        let parquet = match &stream.format {
            FormatOptions::Parquet(parquet) => *parquet,
            _ => ParquetOptions::default(),
        };
        // Without a catalog there is nothing to conform to.
        let options = EncodeOptions::new(&stream.format, stream.schemaless, Validation::Emit)
            .with_policies(SchemaEvolution::Evolve, stream.bad_rows.on_bad_row());
        let encoder = StreamEncoder::new(&stream.name, None, &columns, options).file(object, 0);
        Self {
            projection: columns_wanted(&columns, stream.flatten.is_some()),
            flattener: stream.flatten.map(|depth| Flattener::new(depth, parquet)),
            encoder,
            lines: Vec::new(),
            seen: Sampled::default(),
        }
    }

    /// Finds out whether all columns have types that records can have.
    fn types(&mut self, schema: &arrow::datatypes::SchemaRef) -> Result<()> {
        let wanted = |name: &str| self.projection.wants(name);
        let indices: Vec<usize> =
            schema.fields().iter().enumerate().filter(|(_, field)| wanted(field.name())).map(|(at, _)| at).collect();
        let schema = schema.project(&indices).map_err(|error| Error::data("the columns' types").caused_by(error))?;
        let nothing = arrow::record_batch::RecordBatch::new_empty(Arc::new(schema));
        self.encode(Batch::Arrow(nothing)).map(drop)
    }

    fn encode(&mut self, batch: Batch) -> Result<usize> {
        let batch = match &mut self.flattener {
            Some(flattener) => flattener.flatten(batch)?,
            None => batch,
        };
        self.lines.clear();
        let encoded = self.encoder.encode(&batch, &mut self.lines)?;
        if let Some((row, error)) = encoded.stopped {
            let error = match batch.start_of(row) {
                Some(start) => error.with("line", start.line + 1).with("byte", start.offset),
                None => error,
            };
            return Err(error.with("row", row + 1));
        }
        let refused = encoded.refused.len();
        if let Some(first) = encoded.refused.into_iter().next() {
            let reject = Reject { reason: first.reason.into(), raw: first.raw, ..Reject::default() };
            self.seen.first_bad.get_or_insert(reject);
        }
        self.seen.bad_rows += refused;
        Ok(batch.rows() - refused)
    }

    /// Takes rows in. Whether that is enough.
    fn add(&mut self, decoded: Decoded) -> Result<bool> {
        let bad_rows: u64 = decoded.rejects.iter().map(Reject::rows).sum();
        self.seen.bad_rows += usize::try_from(bad_rows).unwrap_or(usize::MAX);
        if let Some(first) = decoded.rejects.into_iter().next() {
            self.seen.first_bad.get_or_insert(first);
        }
        self.seen.rows += self.encode(decoded.batch)?;
        Ok(self.seen.rows > 0 || self.seen.bad_rows >= BAD_ROWS)
    }

    /// Whether what was seen can be read.
    fn verdict(&mut self) -> Result<()> {
        std::mem::take(&mut self.seen).usable().map(drop)
    }
}
