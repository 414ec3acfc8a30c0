//! The first rows of a file, for check and discover: one request of bounded length.

use std::ops::Range;
use std::sync::Arc;

use super::Stop;
use super::archive::{self, Archive};
use tollgate_base::batch::{Decoded, InferredColumn, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, InferenceDepth, OnBadRow, ParquetOptions, Projection};
use tollgate_base::predicate::Predicate;
use tollgate_config::job::Stream;
use tollgate_format::infer::{self, Inference};
use tollgate_format::parquet::{self, Footer, ParquetDecoder};
use tollgate_format::zip::Member;
use tollgate_format::{Decode, DecodeLimits, Planned, Step};
use tollgate_plan::estimate::ColumnarFile;
use tollgate_record::flatten::{self, Flattener};
use tollgate_runtime::memory::Budget;
use tollgate_s3::Store;

/// What a sample is at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleLimits {
    /// Bytes as stored.
    pub(super) bytes: u64,
    /// Rows.
    pub(super) rows: usize,
    /// Whether a bad row ends it.
    pub(super) on_bad_row: OnBadRow,
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
pub(super) struct Sampled {
    /// The columns, from all that could be read.
    pub(super) columns: Vec<InferredColumn>,
    /// Rows that were read.
    pub(super) rows: usize,
    /// Rows among them that are not well formed and were gone over, with the first of them.
    pub(super) bad_rows: usize,
    pub(super) first_bad: Option<Reject>,
    /// Why nothing was read behind those rows.
    pub(super) fault: Option<Error>,
}

impl Sampled {
    /// The sample, unless nothing at all could be read.
    ///
    /// # Errors
    /// What is wrong with the first row.
    pub(super) fn usable(self) -> Result<Self> {
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
pub(super) async fn columns(
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
        let Some(footer) = footer(store, object, gets).await.map_err(named)? else { return Ok(None) };
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
    let compression = stream.compression.resolve(&object.key);
    let decoder = tollgate_format::open(
        &stream.format,
        compression,
        &Projection::All,
        object,
        None,
        &decode_limits(stream, limits),
    );
    let mut decoder = decoder.map_err(named)?;
    let mut body = Bytewise::new(Source::Object(store, object), limits.bytes).await.map_err(named)?;
    let sampled = Taking::new(stream, limits).all_of(&mut body, &mut *decoder, gets).await.map_err(named)?;
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
    let budget = Budget::new(super::options::DEFAULT_MEMORY_BYTES);
    let archive = Archive::open(store, object, &budget).await?;
    // The directory takes two at most.
    *gets = gets.saturating_sub(2);
    let (mut all, mut found) = (Sampled::default(), Vec::new());
    for (facts, member) in archive.members_of(stream).members.iter().rev().take(SAMPLE_MEMBERS) {
        member.readable()?;
        *gets = gets.saturating_sub(1);
        let mut decoder = tollgate_format::open(
            &stream.format,
            Compression::Zip,
            &Projection::All,
            facts,
            None,
            &decode_limits(stream, limits),
        )?;
        let source = Source::Member { store, archive: &archive, member, budget: &budget };
        let mut body = Bytewise::new(source, limits.bytes).await?;
        let sampled = Taking::new(stream, limits).all_of(&mut body, &mut *decoder, gets).await?.unwrap_or_default();
        all.rows += sampled.rows;
        all.bad_rows += sampled.bad_rows;
        all.first_bad = all.first_bad.or(sampled.first_bad);
        all.fault = all.fault.or(sampled.fault);
        found.push(sampled.columns);
    }
    Ok(Sampled { columns: infer::merge(found.iter().map(Vec::as_slice), stream.schema.inference), ..all })
}

/// The footer of a Parquet file; `None` where it is longer than the requests that are left can bring.
pub(super) async fn footer(store: &Store, object: &ObjectFacts, gets: &mut usize) -> Result<Option<Footer>> {
    let mut decoder = ParquetDecoder::new(object, &Projection::All, None, parquet::Limits::default())?;
    while let Some(wanted) = decoder.step_to_footer()? {
        if *gets < wanted.len() {
            return Ok(None);
        }
        *gets -= wanted.len();
        feed(store, object, wanted, &mut decoder).await?;
    }
    Ok(decoder.footer().cloned())
}

/// A Parquet file of which the footer is asked, and what is wanted of it.
pub(super) struct ColumnarLook {
    pub(super) object: ObjectFacts,
    /// Where reading begins.
    pub(super) from: Position,
    pub(super) projection: Projection,
    pub(super) predicates: Arc<[Predicate]>,
    /// The part of it that is read, where only a part is.
    pub(super) sample: Option<f64>,
}

/// What the footer of a Parquet file says about reading what is wanted of it.
pub(super) async fn columnar_file(store: &Store, look: &ColumnarLook) -> Result<ColumnarFile> {
    let object = &look.object;
    let resume = (look.from != Position::default()).then_some(&look.from);
    let mut decoder = ParquetDecoder::new(object, &look.projection, resume, parquet::Limits::default())?;
    decoder.prune(&look.predicates);
    if let Some(part) = look.sample {
        decoder.sample(part);
    }
    while let Some(wanted) = decoder.step_to_footer()? {
        feed(store, object, wanted, &mut decoder).await?;
    }
    let (Some(footer), Some(Planned { metadata_start, index, steps })) = (decoder.footer(), decoder.planned()) else {
        return Err(Error::internal("a Parquet decoder continued without the footer"));
    };
    let file = ColumnarFile::new(object, parquet::TAIL_BYTES, metadata_start, &index, &steps, footer.rows);
    Ok(ColumnarFile { standing: decoder.standing(), ..file })
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
    let compression = stream.compression.resolve(&object.key);
    let decode = DecodeLimits::default();
    let mut decoder = tollgate_format::open(&stream.format, compression, &Projection::All, object, None, &decode)?;
    // A workbook is read as a whole or not at all.
    let first_bytes = if stream.format == FormatOptions::Excel { object.size } else { limits.bytes };
    let mut body = Bytewise::new(Source::Object(store, object), first_bytes).await?;
    loop {
        let step = decoder.step();
        if let Some(columns) = decoder.columns(stream.schema.inference) {
            return Ok(Some(columns));
        }
        match step? {
            Step::NeedBytes => {}
            Step::NeedRoom | Step::Batch(_) => continue,
            _ => return Err(Error::internal("a file has rows and no columns")),
        }
        // A header that is longer than a sample is read to its end.
        if !body.feed(&mut *decoder).await? && !body.go_on(&mut *decoder, gets).await? {
            return Ok(None);
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

/// What the bytes of a sample are taken from.
enum Source<'a> {
    Object(&'a Store, &'a ObjectFacts),
    Member { store: &'a Store, archive: &'a Archive, member: &'a Member, budget: &'a Budget },
}

/// The first bytes of an object or a member, and more where these have no whole row.
struct Bytewise<'a> {
    source: Source<'a>,
    body: Body,
    /// Bytes that the requests so far ask for.
    asked: u64,
    size: u64,
    /// Where the next bytes begin.
    offset: u64,
}

enum Body {
    Object(tollgate_s3::Body),
    Member(super::fetch::ByteSource),
}

impl Source<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Object(_, object) => object.size,
            Self::Member { member, .. } => member.range.end - member.range.start,
        }
    }

    async fn open(&self, range: Range<u64>) -> Result<Body> {
        match self {
            Self::Object(store, object) => {
                let part = (range != (0..object.size)).then_some(range);
                store.get(object, part).await.map(Body::Object)
            }
            Self::Member { store, archive, member, budget } => {
                let (start, mut part) = (member.range.start, Member::clone(member));
                part.range = start + range.start..start + range.end;
                Ok(Body::Member(archive.stream(store, &part, false, budget)))
            }
        }
    }
}

impl<'a> Bytewise<'a> {
    async fn new(source: Source<'a>, bytes: u64) -> Result<Self> {
        let size = source.size();
        let asked = bytes.min(size);
        let body = source.open(0..asked).await?;
        Ok(Self { source, body, asked, size, offset: 0 })
    }

    /// Feeds the next bytes of the request. `false`: there are no more.
    async fn feed(&mut self, decoder: &mut dyn Decode) -> Result<bool> {
        let bytes = match &mut self.body {
            Body::Object(body) => body.next().await?,
            Body::Member(stream) => stream.next().await?.map(|(_, bytes)| bytes),
        };
        let Some(bytes) = bytes else { return Ok(false) };
        let length = bytes.len() as u64;
        decoder.feed(self.offset, bytes)?;
        self.offset += length;
        Ok(true)
    }

    /// Asks for more than all requests before brought, or says that the file ends here. `false`: there may be no more requests.
    async fn go_on(&mut self, decoder: &mut dyn Decode, gets: &mut usize) -> Result<bool> {
        if self.asked == self.size {
            decoder.finish();
            return Ok(true);
        }
        let Some(left) = gets.checked_sub(1) else { return Ok(false) };
        *gets = left;
        let end = self.asked.saturating_mul(SAMPLE_GROWTH).min(self.size);
        self.body = self.source.open(self.asked..end).await?;
        self.asked = end;
        Ok(true)
    }
}

async fn feed(store: &Store, object: &ObjectFacts, wanted: Vec<Range<u64>>, decoder: &mut dyn Decode) -> Result<()> {
    let budget = Budget::new(super::options::DEFAULT_MEMORY_BYTES);
    super::fetch::feed_ranges(store, object, wanted, &budget, decoder, &Stop::default()).await?;
    Ok(())
}

/// A sample in the making.
struct Taking {
    inference: Inference,
    flattener: Option<Flattener>,
    /// Whether a header tells columns that no row has.
    headed: bool,
    sampled: Sampled,
    limit_rows: usize,
}

impl Taking {
    fn new(stream: &Stream, limits: SampleLimits) -> Self {
        let inference = Inference::with_depth(&stream.format, stream.schema.inference);
        let flattener = stream.flatten.map(|depth| Flattener::new(depth, ParquetOptions::default()));
        let headed = matches!(stream.format, FormatOptions::Csv(_));
        Self { inference, flattener, headed, sampled: Sampled::default(), limit_rows: limits.rows }
    }

    /// All that the sample tells. A fault of the data ends it and is a part of it. `None` where the requests that are left do
    /// not reach the end of the first row.
    async fn all_of(
        mut self,
        body: &mut Bytewise<'_>,
        decoder: &mut dyn Decode,
        gets: &mut usize,
    ) -> Result<Option<Sampled>> {
        match self.rows_of(body, decoder, gets).await {
            Ok(false) => return Ok(None),
            Ok(true) if self.headed && self.sampled.rows + self.sampled.bad_rows == 0 => {
                let columns = decoder.columns(InferenceDepth::Compatible).unwrap_or_default();
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
    async fn rows_of(&mut self, body: &mut Bytewise<'_>, decoder: &mut dyn Decode, gets: &mut usize) -> Result<bool> {
        loop {
            match decoder.step()? {
                Step::Batch(decoded) => {
                    if !self.add(decoded)? {
                        return Ok(true);
                    }
                }
                Step::Done | Step::NeedRanges(_) => return Ok(true),
                Step::NeedRoom => {}
                Step::NeedBytes if body.feed(decoder).await? => {}
                Step::NeedBytes => {
                    let some = self.sampled.rows + self.sampled.bad_rows > 0;
                    if some && body.asked < body.size {
                        return Ok(true);
                    }
                    if !body.go_on(decoder, gets).await? {
                        return Ok(false);
                    }
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
