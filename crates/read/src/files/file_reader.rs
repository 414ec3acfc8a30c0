//! Reads one object: its bytes go into a decoder, and batches come out, each with the position after it.
//!
//! ```text
//!   in order   GET ─▶ bytes ─▶ decoder ─▶ batch        more bytes whenever the decoder asks
//!   by ranges  footer ─▶ plan ─▶ GET of the next ranges, while the present ones are decoded ─▶ batch
//! ```
//! What becomes of the batches is the caller's. Memory is asked for before it is used, and everything that waits ends when
//! the run is asked to stop.

use crate::files::budgets::Budgets;
use crate::files::byte_source::{ByteSource, Observer, feed_ranges};
use crate::files::range_source::{Fed, RangeSource};
use crate::files::room::Room;
use crate::files::stop::Stop;
use tollgate_base::batch::{Decoded, Place, Position};
use tollgate_base::error::{Error, ErrorKind, Result, Subject};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::Compression;
use tollgate_cost::SpendingBudget;
use tollgate_format::{Access, Decode, FileFacts, InputEnd, OpenOptions, RangePlan, Step, parquet};
use tollgate_plan::ranges;
use tollgate_s3::Store;

/// What the readers of a run share.
#[derive(Clone)]
pub struct ReadResources {
    pub(crate) store: Store,
    pub(crate) budgets: Budgets,
    pub(crate) stop: Stop,
    pub(crate) spending: Option<SpendingBudget>,
}

impl ReadResources {
    /// Readers of a bucket that hold so many bytes together, and end when `stop` is requested.
    #[must_use]
    pub fn new(store: Store, memory_bytes: usize, stop: Stop) -> Self {
        Self { store, budgets: Budgets::new(memory_bytes), stop, spending: None }
    }
}

/// How much of an object is read, and with how many requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// Whether a large object may be fetched in parts, side by side.
    pub may_split: bool,
    /// The byte before which it ends, for an object that is read in order.
    pub until: Option<u64>,
}

/// What comes next of a file.
#[derive(Debug)]
pub enum ReadStep {
    /// What will be asked for, of a file that is read by ranges. It comes once, before the first batch.
    Planned(RangePlan),
    /// Rows, and the position after them.
    Batch(Decoded),
    /// All rows were handed over.
    Done,
    /// The run was asked to stop.
    Stopped,
    /// The file has more, but no more of it may be read: the extent ends here, or a limit, which is the error.
    Limited(Option<Error>),
}

/// A reader of one file.
pub struct FileReader<D: Decode + ?Sized = dyn Decode> {
    resources: ReadResources,
    object: ObjectFacts,
    compression: Compression,
    decoder: Box<D>,
    source: Source,
    room: Room,
    /// Whether what comes after the last batch is to be fetched ahead.
    looks_ahead: bool,
}

enum Source {
    InOrder(InOrder),
    Ranges(Box<RangeSource>),
}

struct InOrder {
    bytes: Box<ByteSource>,
    /// Whether the bytes end before the file does.
    limited: bool,
    /// Whether more bytes may be asked for where they end.
    extends: bool,
    /// How it ends when the decoder has handed over what it has.
    cut: Option<Option<Error>>,
}

impl FileReader {
    /// A reader of an object, from `options.resume` on or from its start.
    ///
    /// # Errors
    /// As [`OpenOptions::open`], and where the object does not have the position.
    pub fn open(
        resources: &ReadResources,
        object: &ObjectFacts,
        options: &OpenOptions<'_>,
        extent: Extent,
    ) -> Result<Self> {
        let decoder = options.open(object)?;
        Self::with_decoder(resources, object, decoder, options, extent)
    }

    /// A reader of a member of an archive, or of other bytes that belong together.
    ///
    /// # Errors
    /// `Unsupported` for a format that is read by ranges, and as [`OpenOptions::open`].
    pub(crate) fn of_bytes(
        resources: &ReadResources,
        object: &ObjectFacts,
        options: &OpenOptions<'_>,
        bytes: ByteSource,
    ) -> Result<Self> {
        let decoder = options.open(object)?;
        if decoder.access() == Access::Ranges {
            return Err(not_in_archives(options.format.name()));
        }
        let proof = options.resume.and_then(|position| position.proof.as_deref());
        let bytes = bytes.prove(proof).remember();
        Ok(Self::of(resources, object, options.compression, decoder, Source::in_order(bytes, false)))
    }
}

impl<D: Decode + ?Sized> FileReader<D> {
    /// A reader with a decoder that was made before. Its object, compression and position are those of `options`.
    ///
    /// # Errors
    /// Where the object does not have the position.
    pub fn with_decoder(
        resources: &ReadResources,
        object: &ObjectFacts,
        decoder: Box<D>,
        options: &OpenOptions<'_>,
        extent: Extent,
    ) -> Result<Self> {
        let ReadResources { store, budgets, spending, .. } = resources;
        let until = extent.until.filter(|until| *until < object.size);
        let source = match decoder.access() {
            Access::Stream { from } if from > object.size => return Err(tollgate_format::beyond_the_end(from)),
            Access::Stream { from } => {
                let bytes = ByteSource::new(store, object, from, until, extent.may_split, &budgets.fetched);
                let bytes = bytes.prove(options.resume.and_then(|position| position.proof.as_deref()));
                let bytes = if options.compression == Compression::None { bytes } else { bytes.remember() };
                Source::in_order(bytes, until.is_some())
            }
            Access::Ranges => {
                Source::Ranges(Box::new(RangeSource::new(store, object, &budgets.fetched, spending.as_ref())))
            }
        };
        Ok(Self::of(resources, object, options.compression, decoder, source))
    }

    fn of(
        resources: &ReadResources,
        object: &ObjectFacts,
        compression: Compression,
        decoder: Box<D>,
        source: Source,
    ) -> Self {
        let (resources, object) = (resources.clone(), object.clone());
        Self { resources, object, compression, decoder, source, room: Room::default(), looks_ahead: false }
    }

    /// The same reader, which reads of a file in order the first bytes alone until more are asked for with
    /// [`FileReader::extend`].
    pub(crate) fn first(mut self, bytes: u64, size: u64) -> Self {
        if let Source::InOrder(source) = &mut self.source {
            if bytes < size && !source.bytes.at_hand() {
                source.limited = true;
                source.extends = true;
            }
            source.bytes.limit(bytes);
        }
        self
    }

    /// The same reader, with other ways to fetch ranges.
    pub(crate) fn fetching(mut self, change: impl FnOnce(RangeSource) -> RangeSource) -> Self {
        self.source = match self.source {
            Source::Ranges(source) => Source::Ranges(Box::new(change(*source))),
            source => source,
        };
        self
    }

    /// The same file with another decoder, which is given what was fetched for the one before.
    pub(crate) fn decoded_by(self, decoder: D) -> Self
    where
        D: Sized,
    {
        Self { decoder: Box::new(decoder), room: Room::default(), ..self }
    }

    /// Has the bytes of a file that is read in order looked at as they arrive.
    pub(crate) fn observe(&mut self, observer: Observer) {
        if let Source::InOrder(source) = &mut self.source {
            source.bytes.observe(observer);
        }
    }

    /// Goes on with a file of which only the first bytes were asked for: up to `until`, or to its end.
    pub(crate) fn extend(&mut self, until: u64, size: u64) {
        if let Source::InOrder(source) = &mut self.source {
            source.bytes.extend(until.min(size));
            source.limited = until < size;
        }
    }

    /// Whether the file is read from its first byte on, in order.
    #[must_use]
    pub fn begins_at_start(&self) -> bool {
        self.decoder.access() == Access::Stream { from: 0 }
    }

    /// The decoder.
    #[must_use]
    pub fn decoder(&self) -> &D {
        &self.decoder
    }

    /// What is known of the file besides its rows, so far.
    #[must_use]
    pub fn facts(&self) -> FileFacts {
        self.decoder.facts()
    }

    /// The requests for ranges that may still be made, where they are counted.
    pub(crate) fn requests_left(&self) -> Option<usize> {
        match &self.source {
            Source::Ranges(source) => source.requests_left(),
            Source::InOrder(_) => None,
        }
    }

    /// Adds to a position what a later run needs to prove that it reads the same bytes. Positions must not go back from call
    /// to call.
    pub fn prove(&mut self, position: &mut Position) {
        let (from, repeats) = tollgate_format::reads_from(&position.place, self.compression);
        position.proof = match &mut self.source {
            Source::InOrder(source) => {
                // The first bytes told that the text is not compressed.
                if !repeats && matches!(position.place, Place::Byte { frame: None, .. }) {
                    source.bytes.stop_remembering();
                }
                source.bytes.proof(from, repeats)
            }
            Source::Ranges(_) => None,
        };
    }

    /// The next rows; `None` when all were handed over.
    ///
    /// # Errors
    /// As [`FileReader::next`], and where the run is asked to stop or a limit ends the file.
    pub async fn next_batch(&mut self) -> Result<Option<Decoded>> {
        loop {
            match self.next().await? {
                ReadStep::Planned(_) => {}
                ReadStep::Batch(decoded) => return Ok(Some(decoded)),
                ReadStep::Done => return Ok(None),
                ReadStep::Stopped => return Err(Error::new(ErrorKind::Transient, "the run was stopped")),
                ReadStep::Limited(error) => {
                    let ends = || Error::new(ErrorKind::Limit, "the file is read in part");
                    return Err(error.unwrap_or_else(ends));
                }
            }
        }
    }

    /// What comes next. It must not be called again after an error or an end, except where [`ReadStep::Limited`] ends a part
    /// that is extended.
    ///
    /// # Errors
    /// What the file's bytes are not, and what fetching them fails with.
    pub async fn next(&mut self) -> Result<ReadStep> {
        let next = match self.source {
            Source::InOrder(_) => self.next_in_order().await,
            Source::Ranges(_) => self.next_by_ranges().await,
        };
        match next {
            Err(error) if error.kind() == ErrorKind::Data => Err(self.compare(error).await),
            next => next,
        }
    }

    async fn next_in_order(&mut self) -> Result<ReadStep> {
        let Source::InOrder(source) = &mut self.source else { return Err(not_in_order()) };
        let ReadResources { store, budgets, stop, .. } = &self.resources;
        while !stop.requested() {
            let wanted = self.decoder.held_bytes();
            self.room.shrink(wanted);
            if wanted > self.room.bytes {
                let grown = stop.unless(self.room.grow_for_stream(wanted, &mut source.bytes, budgets)).await;
                if grown.is_none() {
                    break;
                }
            }
            match self.decoder.step()? {
                Step::NeedRoom | Step::Planned(_) => {}
                Step::Batch(decoded) => return Ok(ReadStep::Batch(decoded)),
                Step::Done => return Ok(ReadStep::Done),
                // What it needs before the stream, to go on in the middle of it.
                Step::NeedRanges(wanted) => {
                    let decoder = &mut *self.decoder;
                    let fed = feed_ranges(store, &self.object, wanted, &budgets.fetched, decoder, stop).await?;
                    if fed.is_none() {
                        break;
                    }
                }
                Step::NeedBytes => {
                    if let Some(error) = source.cut.take() {
                        return Ok(ReadStep::Limited(error));
                    }
                    let Some(next) = stop.unless(source.bytes.next()).await else { break };
                    match next {
                        Ok(Some((offset, piece))) => self.decoder.feed(offset, piece)?,
                        Ok(None) if source.limited && source.extends => return Ok(ReadStep::Limited(None)),
                        Ok(None) if source.limited => {
                            self.decoder.end_input(InputEnd::Cut);
                            source.cut = Some(None);
                        }
                        Ok(None) => self.decoder.end_input(InputEnd::Complete),
                        // What is here was paid for.
                        Err(error) if error.kind() == ErrorKind::Limit => {
                            self.decoder.end_input(InputEnd::Cut);
                            source.cut = Some(Some(error));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(ReadStep::Stopped)
    }

    async fn next_by_ranges(&mut self) -> Result<ReadStep> {
        let Source::Ranges(source) = &mut self.source else { return Err(not_in_order()) };
        let ReadResources { budgets, stop, .. } = &self.resources;
        // Only now, since an error of what comes next must not take the rows before it.
        if std::mem::take(&mut self.looks_ahead) {
            source.fetch_ahead(&mut *self.decoder)?;
        }
        while !stop.requested() {
            let wanted = self.decoder.held_bytes();
            if stop.unless(self.room.grow_for_ranges(wanted, budgets)).await.is_none() {
                break;
            }
            match self.decoder.step()? {
                Step::NeedRoom => {}
                Step::Planned(planned) => {
                    let tail_start = self.object.size.saturating_sub(parquet::TAIL_BYTES);
                    source.plan(ranges::fetches(&planned.steps, tail_start));
                    return Ok(ReadStep::Planned(planned));
                }
                Step::Batch(decoded) => {
                    self.looks_ahead = true;
                    return Ok(ReadStep::Batch(decoded));
                }
                Step::Done => return Ok(ReadStep::Done),
                Step::NeedBytes => return Err(not_in_order()),
                Step::NeedRanges(wanted) => {
                    // What was decoded is gone: it is given back before more is asked for.
                    self.room.shrink(0);
                    match source.feed(wanted, &mut *self.decoder, stop).await? {
                        Fed::All => {}
                        Fed::Stopped => break,
                        Fed::OutOfRequests => return Ok(ReadStep::Limited(None)),
                    }
                }
            }
        }
        Ok(ReadStep::Stopped)
    }

    /// Reads what is left of the bytes, so that all of them are verified.
    ///
    /// # Errors
    /// That the bytes are not what was promised, and what fetching them fails with.
    pub(crate) async fn read_rest(&mut self) -> Result<()> {
        if let Source::InOrder(source) = &mut self.source {
            while source.bytes.next().await?.is_some() {}
        }
        Ok(())
    }

    /// Finds out whether data are unreadable since an earlier run was given other bytes, in which the position is another row.
    async fn compare(&mut self, error: Error) -> Error {
        let Source::InOrder(source) = &mut self.source else { return error };
        match self.resources.stop.unless(source.bytes.compare()).await {
            Some(Err(other)) if other.subject() == Subject::EarlierRows => other.caused_by(error),
            _ => error,
        }
    }
}

impl Source {
    fn in_order(bytes: ByteSource, limited: bool) -> Self {
        Self::InOrder(InOrder { bytes: Box::new(bytes), limited, extends: false, cut: None })
    }
}

fn not_in_order() -> Error {
    Error::internal("a decoder asked for bytes in two ways")
}

/// The error of a format that is read by ranges, which a compressed member does not have.
pub(crate) fn not_in_archives(format: &str) -> Error {
    let message = format!("{format} files inside of zip archives cannot be read");
    Error::new(ErrorKind::Unsupported, message).hint("write them into the bucket as they are")
}
