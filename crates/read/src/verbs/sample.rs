//! The first rows of a file, for check and discover: one request of bounded length.

use std::sync::Arc;

use crate::files::archive::{self, Archive};
use crate::files::file_reader::{Extent, FileReader, ReadResources, ReadStep};
use crate::files::stop::Stop;
use crate::options::DEFAULT_MEMORY_BYTES;
use tollgate_base::batch::{Decoded, InferredColumn, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, InferenceDepth, OnBadRow, ParquetOptions, Projection};
use tollgate_base::predicate::Predicate;
use tollgate_config::job::Stream;
use tollgate_format::infer::{self, Inference};
use tollgate_format::parquet::{self, Footer, ParquetDecoder};
use tollgate_format::{DecodeLimits, OpenOptions, RangePlan};
use tollgate_plan::estimate::ColumnarFile;
use tollgate_record::flatten::{self, Flattener};
use tollgate_s3::Store;

/// What a sample is at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleLimits {
    /// Bytes as stored.
    pub(crate) bytes: u64,
    /// Rows.
    pub(crate) rows: usize,
    /// Whether a bad row ends it.
    pub(crate) on_bad_row: OnBadRow,
}

/// Rows that a decoder hands over at once while sampling: few, since the sample ends in the middle of a row and rows
/// that were not handed over by then are lost.
const BATCH_ROWS: usize = 64;

/// A sample without a whole row is followed by one that ends so many times as far.
const SAMPLE_GROWTH: u64 = 4;

/// Members of an archive that are sampled.
const SAMPLE_MEMBERS: usize = 3;

/// What a sample tells of a file.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    /// The columns, from all that could be read.
    pub(crate) columns: Vec<InferredColumn>,
    /// Rows that were read.
    pub(crate) rows: usize,
    /// Rows among them that are not well formed and were gone over, with the first of them.
    pub(crate) bad_rows: usize,
    pub(crate) first_bad: Option<Reject>,
    /// Why nothing was read behind those rows.
    pub(crate) fault: Option<Error>,
}

impl Sampled {
    /// The sample, unless nothing at all could be read.
    ///
    /// # Errors
    /// What is wrong with the first row.
    pub(crate) fn usable(self) -> Result<Self> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let Some(reject) = self.first_bad.as_ref().filter(|_| self.rows == 0) else { return Ok(self) };
        let mut error = Error::data(reject.reason.clone());
        if let Some(line) = reject.line {
            error = error.with("line", line);
        }
        Err(error.hint("check the stream's format and its options"))
    }
}

/// The columns of a file: from the footer alone where it has one, else from its first rows. `gets` is how many requests may
/// be made, and is counted down; `None` where they do not suffice.
pub(crate) async fn columns(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
    gets: &mut usize,
) -> Result<Option<Sampled>> {
    let named = |error: Error| error.with("stream", &stream.name).with("key", &object.key);
    if *gets == 0 {
        return Ok(None);
    }
    if archive::is_archive(stream, object) {
        return archive_sample(store, stream, object, limits, gets).await.map(Some).map_err(named);
    }
    if let FormatOptions::Parquet(options) = &stream.format {
        let Some(footer) = footer(store, stream, object, gets).await.map_err(named)? else { return Ok(None) };
        let flat = stream.flatten.map(|depth| flatten::schema(&footer.schema, depth).schema);
        let schema = flat.as_ref().unwrap_or(&footer.schema);
        let columns = infer::columns_of_schema(schema, options.decimal_as_float, stream.schema.inference);
        return Ok(Some(Sampled { columns, ..Sampled::default() }));
    }
    if declares(stream) {
        *gets -= 1;
        let columns = declared(store, stream, object, limits, gets).await.map_err(named)?;
        return Ok(columns.map(|columns| Sampled { columns, ..Sampled::default() }));
    }
    *gets -= 1;
    let options = options(stream, object, decode_limits(stream, limits));
    let reader = FileReader::open(&resources(store), object, &options, Extent::default()).map_err(named)?;
    let reader = reader.first(limits.bytes, object.size);
    let sampled = Taking::new(stream, limits, object.size).all_of(reader, gets).await.map_err(named)?;
    let Some(sampled) = sampled else { return Ok(None) };
    Ok(Some(Sampled { fault: sampled.fault.map(named), ..sampled }))
}

/// What the newest members of an archive tell; nothing where no member belongs to the stream.
async fn archive_sample(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
    gets: &mut usize,
) -> Result<Sampled> {
    let resources = resources(store);
    let archive = Archive::open(store, object, &resources.budgets.fetched).await?;
    // The directory takes two at most.
    *gets = gets.saturating_sub(2);
    let (mut all, mut found) = (Sampled::default(), Vec::new());
    for (facts, member) in archive.members_of(stream).members.iter().rev().take(SAMPLE_MEMBERS) {
        member.readable()?;
        *gets = gets.saturating_sub(1);
        let limits_of_member = decode_limits(stream, limits);
        let options = OpenOptions { compression: Compression::Zip, ..options(stream, facts, limits_of_member) };
        let bytes = archive.stream(store, member, false, &resources.budgets.fetched);
        let size = member.range.end - member.range.start;
        let sampled = match FileReader::of_bytes(&resources, facts, &options, bytes) {
            Ok(reader) => Taking::new(stream, limits, size).all_of(reader.first(limits.bytes, size), gets).await?,
            // Reading will say so, and the other files have columns all the same.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Some(Sampled { fault: Some(error), ..Sampled::default() })
            }
            Err(error) => return Err(error),
        };
        let sampled = sampled.unwrap_or_default();
        all.rows += sampled.rows;
        all.bad_rows += sampled.bad_rows;
        all.first_bad = all.first_bad.or(sampled.first_bad);
        all.fault = all.fault.or(sampled.fault);
        found.push(sampled.columns);
    }
    Ok(Sampled { columns: infer::merge(found.iter().map(Vec::as_slice), stream.schema.inference), ..all })
}

/// What readers of samples share.
fn resources(store: &Store) -> ReadResources {
    ReadResources::new(store.clone(), DEFAULT_MEMORY_BYTES, Stop::default())
}

/// All columns and rows of a file of the stream.
fn options<'a>(stream: &'a Stream, object: &ObjectFacts, limits: DecodeLimits) -> OpenOptions<'a> {
    OpenOptions {
        compression: stream.compression.resolve(&object.key),
        limits: DecodeLimits { inference: stream.schema.inference, ..limits },
        ..OpenOptions::new(&stream.format)
    }
}

/// Brings what describes a Parquet file. `None` where the requests do not suffice.
async fn described(reader: &mut FileReader<ParquetDecoder>) -> Result<Option<RangePlan>> {
    match reader.next().await? {
        ReadStep::Planned(planned) => Ok(Some(planned)),
        ReadStep::Limited(None) => Ok(None),
        ReadStep::Limited(Some(error)) => Err(error),
        ReadStep::Batch(_) | ReadStep::Done | ReadStep::Stopped => {
            Err(Error::internal("a Parquet decoder continued without the footer"))
        }
    }
}

/// The footer of a Parquet file; `None` where it is longer than the requests that are left can bring.
pub(crate) async fn footer(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    gets: &mut usize,
) -> Result<Option<Footer>> {
    let options = options(stream, object, DecodeLimits::default());
    let decoder = Box::new(options.open_parquet(object)?);
    let reader = FileReader::with_decoder(&resources(store), object, decoder, &options, Extent::default())?;
    let mut reader = reader.fetching(|source| source.with_requests(*gets));
    let described = described(&mut reader).await;
    // What did not suffice was spent all the same.
    *gets = if let Ok(None) = described { 0 } else { reader.requests_left().unwrap_or(*gets) };
    Ok(described?.and_then(|_| reader.decoder().footer().cloned()))
}

/// A Parquet file of which the footer is asked, and what is wanted of it.
pub(crate) struct ColumnarLook {
    pub(crate) object: ObjectFacts,
    /// Where reading begins.
    pub(crate) from: Position,
    pub(crate) projection: Projection,
    pub(crate) predicates: Arc<[Predicate]>,
    /// The part of it that is read, where only a part is.
    pub(crate) sample: Option<f64>,
}

/// What the footer of a Parquet file says about reading what is wanted of it.
pub(crate) async fn columnar_file(store: &Store, look: &ColumnarLook) -> Result<ColumnarFile> {
    let object = &look.object;
    // What is asked for does not depend on the format's options.
    let format = FormatOptions::Parquet(ParquetOptions::default());
    let options = OpenOptions {
        projection: &look.projection,
        resume: (look.from != Position::default()).then_some(&look.from),
        predicates: Arc::clone(&look.predicates),
        sample: look.sample,
        ..OpenOptions::new(&format)
    };
    let decoder = Box::new(options.open_parquet(object)?);
    let mut reader = FileReader::with_decoder(&resources(store), object, decoder, &options, Extent::default())?;
    let Some(RangePlan { metadata_start, index, steps }) = described(&mut reader).await? else {
        return Err(Error::internal("a footer was not fetched"));
    };
    let rows = reader.decoder().footer().map_or(0, |footer| footer.rows);
    let file = ColumnarFile::new(object, parquet::TAIL_BYTES, metadata_start, &index, &steps, rows);
    Ok(ColumnarFile { standing: reader.decoder().standing(), ..file })
}

/// The columns that a file declares in its first bytes, or that its decoder knows when it has read all of it. `None` where
/// the requests that are left do not suffice.
async fn declared(
    store: &Store,
    stream: &Stream,
    object: &ObjectFacts,
    limits: SampleLimits,
    gets: &mut usize,
) -> Result<Option<Vec<InferredColumn>>> {
    let options = options(stream, object, DecodeLimits::default());
    // A workbook is read as a whole or not at all.
    let mut asked = if stream.format == FormatOptions::Excel { object.size } else { limits.bytes };
    let reader = FileReader::open(&resources(store), object, &options, Extent::default())?;
    let mut reader = reader.first(asked, object.size);
    loop {
        let next = reader.next().await;
        if let Some(columns) = reader.decoder().columns() {
            return Ok(Some(columns));
        }
        match next? {
            ReadStep::Batch(_) => {}
            // A header that is longer than a sample is read to its end.
            ReadStep::Limited(None) => {
                let Some(left) = gets.checked_sub(1) else { return Ok(None) };
                *gets = left;
                asked = asked.saturating_mul(SAMPLE_GROWTH);
                reader.extend(asked, object.size);
            }
            ReadStep::Limited(Some(error)) => return Err(error),
            ReadStep::Planned(_) | ReadStep::Done | ReadStep::Stopped => {
                return Err(Error::internal("a file has rows and no columns"));
            }
        }
    }
}

/// Whether files declare as much of their columns as is asked for.
fn declares(stream: &Stream) -> bool {
    let format = match stream.format {
        FormatOptions::Avro(_) => true,
        FormatOptions::Excel => stream.schema.inference == InferenceDepth::Compatible,
        _ => false,
    };
    format && stream.flatten.is_none()
}

fn decode_limits(stream: &Stream, sample: SampleLimits) -> DecodeLimits {
    let (on_bad_row, array_rows) = (sample.on_bad_row, stream.schemaless);
    DecodeLimits { batch_rows: BATCH_ROWS, on_bad_row, array_rows, ..DecodeLimits::default() }
}

/// A sample in the making.
struct Taking {
    inference: Inference,
    flattener: Option<Flattener>,
    /// Whether a header tells columns that no row has.
    headed: bool,
    sampled: Sampled,
    limit_rows: usize,
    /// Bytes that the requests so far ask for, and those that there are.
    asked: u64,
    size: u64,
}

impl Taking {
    fn new(stream: &Stream, limits: SampleLimits, size: u64) -> Self {
        let inference = Inference::with_depth(&stream.format, stream.schema.inference);
        let flattener = stream.flatten.map(|depth| Flattener::new(depth, ParquetOptions::default()));
        let headed = matches!(stream.format, FormatOptions::Csv(_));
        let SampleLimits { bytes: asked, rows: limit_rows, .. } = limits;
        Self { inference, flattener, headed, sampled: Sampled::default(), limit_rows, asked, size }
    }

    /// All that the sample tells. A fault of the data ends it and is a part of it. `None` where the requests that are left do
    /// not reach the end of the first row.
    async fn all_of(mut self, mut reader: FileReader, gets: &mut usize) -> Result<Option<Sampled>> {
        match self.rows_of(&mut reader, gets).await {
            Ok(false) => return Ok(None),
            Ok(true) if self.headed && self.sampled.rows + self.sampled.bad_rows == 0 => {
                let columns = reader.decoder().columns().unwrap_or_default();
                return Ok(Some(Sampled { columns, ..self.sampled }));
            }
            Ok(true) => {}
            Err(error) if error.kind() == ErrorKind::Data => self.sampled.fault = Some(error),
            Err(error) => return Err(error),
        }
        Ok(Some(self.done()))
    }

    /// Takes the rows from the beginning of a file. A sample that ends before the file does is not an error, but it has a row
    /// where the file has one: without any, a catalog would have no columns, or wrong types.
    async fn rows_of(&mut self, reader: &mut FileReader, gets: &mut usize) -> Result<bool> {
        loop {
            match reader.next().await? {
                ReadStep::Batch(decoded) => {
                    if !self.add(decoded)? {
                        return Ok(true);
                    }
                }
                ReadStep::Done | ReadStep::Planned(_) | ReadStep::Stopped => return Ok(true),
                ReadStep::Limited(Some(error)) => return Err(error),
                ReadStep::Limited(None) if self.sampled.rows + self.sampled.bad_rows > 0 => return Ok(true),
                ReadStep::Limited(None) => {
                    let Some(left) = gets.checked_sub(1) else { return Ok(false) };
                    *gets = left;
                    self.asked = self.asked.saturating_mul(SAMPLE_GROWTH);
                    reader.extend(self.asked, self.size);
                }
            }
        }
    }

    /// Takes a batch in. Whether there is room for more.
    fn add(&mut self, decoded: Decoded) -> Result<bool> {
        self.sampled.rows += decoded.batch.rows();
        let bad_rows: u64 = decoded.rejects.iter().map(Reject::rows).sum();
        self.sampled.bad_rows += usize::try_from(bad_rows).unwrap_or(usize::MAX);
        if self.sampled.first_bad.is_none() {
            self.sampled.first_bad = decoded.rejects.into_iter().next();
        }
        let batch = match &mut self.flattener {
            Some(flattener) => flattener.flatten(decoded.batch)?,
            None => decoded.batch,
        };
        self.inference.add(&batch);
        Ok(self.sampled.rows + self.sampled.bad_rows < self.limit_rows)
    }

    fn done(self) -> Sampled {
        let columns = self.inference.columns();
        Sampled { columns, ..self.sampled }
    }
}
