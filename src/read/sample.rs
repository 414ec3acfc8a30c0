//! The first rows of a file, for check and discover: one request of bounded length.

use std::ops::Range;

use bytes::Bytes;

use super::Stop;
use super::archive::{self, Archive};
use crate::batch::{Batch, InferredColumn};
use crate::config::job::Stream;
use crate::error::{Error, Result};
use crate::format::infer::{self, Inference};
use crate::format::parquet::{self, Footer, ParquetDecoder};
use crate::format::{self, Decode, DecodeLimits, Step};
use crate::memory::Budget;
use crate::object::ObjectFacts;
use crate::options::{Compression, FormatOptions, Projection};
use crate::plan::estimate::ColumnarFile;
use crate::s3::Store;

/// What a sample is at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleLimits {
    /// Bytes as stored.
    pub(super) bytes: u64,
    /// Rows.
    pub(super) rows: usize,
}

/// Rows that a decoder hands over at once while sampling: few, since the sample ends in the middle of a row and rows
/// that were not handed over by then are lost.
const BATCH_ROWS: usize = 64;

/// Members of an archive that are sampled.
const SAMPLE_MEMBERS: usize = 3;

/// The columns of a file: from the footer alone where it has one, else from its first rows.
pub(super) async fn columns(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
) -> Result<Vec<InferredColumn>> {
    if archive::is_archive(stream, object) {
        let columns = archive_columns(store, stream, object, limits).await;
        return columns.map_err(|error| error.with("stream", &stream.name).with("key", &object.key));
    }
    if let FormatOptions::Parquet(options) = &stream.format {
        let footer = footer(store, object).await;
        let footer = footer.map_err(|error| error.with("stream", &stream.name).with("key", &object.key))?;
        return Ok(infer::columns_of_schema(&footer.schema, options.decimal_as_float));
    }
    if matches!(stream.format, FormatOptions::Avro(_) | FormatOptions::Excel) {
        let declared = declared(store, stream, object, limits).await;
        return declared.map_err(|error| error.with("stream", &stream.name).with("key", &object.key));
    }
    let mut inference = Inference::new(&stream.format);
    for batch in rows(store, stream, object, limits).await? {
        inference.add(&batch);
    }
    Ok(inference.columns())
}

/// The columns of the newest members of an archive; none where no member belongs to the stream.
async fn archive_columns(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
) -> Result<Vec<InferredColumn>> {
    let budget = Budget::new(super::DEFAULT_MEMORY_BYTES);
    let archive = Archive::open(store, object, &budget).await?;
    let mut found = Vec::new();
    for (facts, member) in archive.members_of(stream).iter().rev().take(SAMPLE_MEMBERS) {
        member.readable()?;
        let mut member = member.clone();
        let whole = member.range.end - member.range.start <= limits.bytes;
        member.range.end = member.range.end.min(member.range.start + limits.bytes);
        let decode = DecodeLimits { batch_rows: BATCH_ROWS, ..DecodeLimits::default() };
        let mut decoder = format::open(&stream.format, Compression::Zip, &Projection::All, facts, None, &decode)?;
        let bytes = Body::Member(archive.stream(store, &member, false, &budget));
        let mut inference = Inference::new(&stream.format);
        stream_rows(bytes, whole, &mut *decoder, limits).await?.iter().for_each(|batch| inference.add(batch));
        found.push(inference.columns());
    }
    Ok(infer::merge(found.iter().map(Vec::as_slice)))
}

/// The footer of a Parquet file.
pub(super) async fn footer(store: &Store, object: &ObjectFacts) -> Result<Footer> {
    let mut decoder = ParquetDecoder::new(object, &Projection::All, None, parquet::Limits::default())?;
    loop {
        let step = decoder.step()?;
        if let Some(footer) = decoder.footer() {
            return Ok(footer.clone());
        }
        let Step::NeedRanges(wanted) = step else {
            return Err(Error::internal("a Parquet decoder went on without the footer"));
        };
        feed(store, object, wanted, &mut decoder).await?;
    }
}

/// What the footer of a Parquet file says about reading these columns of it.
pub(super) async fn columnar_file(
    store: &Store,
    object: &ObjectFacts,
    projection: &Projection,
) -> Result<ColumnarFile> {
    let mut decoder = ParquetDecoder::new(object, projection, None, parquet::Limits::default())?;
    loop {
        let step = decoder.step()?;
        if let (Some(footer), Some((metadata_start, groups))) = (decoder.footer(), decoder.wanted()) {
            return Ok(ColumnarFile::new(object, metadata_start, parquet::TAIL_BYTES, &groups, footer.rows));
        }
        let Step::NeedRanges(wanted) = step else {
            return Err(Error::internal("a Parquet decoder went on without the footer"));
        };
        feed(store, object, wanted, &mut decoder).await?;
    }
}

/// The columns that a file declares in its first bytes, or that its decoder knows when it has read all of it.
async fn declared(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
) -> Result<Vec<InferredColumn>> {
    let compression = stream.compression.resolve(&object.key);
    let decode = DecodeLimits::default();
    let mut decoder = format::open(&stream.format, compression, &Projection::All, object, None, &decode)?;
    // A workbook is read as a whole or not at all.
    let whole = object.size <= limits.bytes || stream.format == FormatOptions::Excel;
    let mut body = store.get(object, (!whole).then_some(0..limits.bytes)).await?;
    let mut offset = 0;
    loop {
        let step = decoder.step();
        if let Some(columns) = decoder.columns() {
            return Ok(columns);
        }
        let Step::NeedBytes = step? else { return Err(Error::internal("a file has rows and no columns")) };
        match body.next().await? {
            Some(bytes) => {
                let length = bytes.len() as u64;
                decoder.feed(offset, bytes)?;
                offset += length;
            }
            // Where the sample ends in the header, this says that it is cut off.
            None => decoder.finish(),
        }
    }
}

/// Reads batches from the beginning of a text file. A sample that ends before the file does is not an error.
pub(super) async fn rows(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
) -> Result<Vec<Batch>> {
    let compression = stream.compression.resolve(&object.key);
    let decode = DecodeLimits { batch_rows: BATCH_ROWS, ..DecodeLimits::default() };
    let mut decoder = format::open(&stream.format, compression, &Projection::All, object, None, &decode)?;
    let sampled = object_rows(store, object, &mut *decoder, limits).await;
    sampled.map_err(|error| error.with("stream", &stream.name).with("key", &object.key))
}

async fn object_rows(
    store: &Store,
    object: &ObjectFacts,
    decoder: &mut dyn Decode,
    limits: SampleLimits,
) -> Result<Vec<Batch>> {
    let whole = object.size <= limits.bytes;
    let body = store.get(object, (!whole).then_some(0..limits.bytes)).await?;
    stream_rows(Body::Object(body), whole, decoder, limits).await
}

/// Where the bytes of a sample come from.
enum Body {
    Object(crate::s3::Body),
    Member(super::fetch::Stream),
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Object(body) => body.next().await,
            Self::Member(stream) => Ok(stream.next().await?.map(|(_, bytes)| bytes)),
        }
    }
}

async fn stream_rows(
    mut body: Body,
    whole: bool,
    decoder: &mut dyn Decode,
    limits: SampleLimits,
) -> Result<Vec<Batch>> {
    let mut offset = 0;
    let mut taken = Taken::new(limits);
    loop {
        match decoder.step()? {
            Step::Batch(decoded) => {
                if !taken.add(decoded.batch) {
                    return Ok(taken.batches);
                }
            }
            Step::Done | Step::NeedRanges(_) => return Ok(taken.batches),
            Step::NeedBytes => match body.next().await? {
                Some(bytes) => {
                    let length = bytes.len() as u64;
                    decoder.feed(offset, bytes)?;
                    offset += length;
                }
                None if whole => decoder.finish(),
                None => return Ok(taken.batches),
            },
        }
    }
}

async fn feed(store: &Store, object: &ObjectFacts, wanted: Vec<Range<u64>>, decoder: &mut dyn Decode) -> Result<()> {
    let budget = Budget::new(super::DEFAULT_MEMORY_BYTES);
    super::fetch::feed_ranges(store, object, wanted, &budget, decoder, &Stop::default()).await?;
    Ok(())
}

struct Taken {
    batches: Vec<Batch>,
    rows: usize,
    limit: usize,
}

impl Taken {
    fn new(limits: SampleLimits) -> Self {
        Self { batches: Vec::new(), rows: 0, limit: limits.rows }
    }

    /// Whether there is room for more.
    fn add(&mut self, batch: Batch) -> bool {
        self.rows += batch.rows();
        self.batches.push(batch);
        self.rows < self.limit
    }
}
