//! One file: fetch, decode, encode, hand on.

use std::ops::Range;
use std::sync::Arc;

use super::context::{FileEnd, ReadGrant, StreamContext, forget, from_inventory};
use super::dead_letters::DeadLetterWriter;
use super::emit::{BatchEnd, Event};
use super::fetch::{ByteSource, feed_ranges};
use super::partition;
use super::row_selection;
use super::steps::Steps;
use tollgate_base::batch::{Decoded, Place, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result, Subject};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, ParquetOptions};
use tollgate_config::job;
use tollgate_cost::Usage;
use tollgate_cost::usage::Row;
use tollgate_format::parquet;
use tollgate_format::{Access, Decode, Planned, Step};
use tollgate_plan::estimate::ColumnarFile;
use tollgate_plan::ranges;
use tollgate_protocol::message::Level;
use tollgate_record::flatten::Flattener;
use tollgate_record::row_filter::FileRowFilter;
use tollgate_record::{Encoded, FileEncoder, FileReport, Refused, Unlisted};
use tollgate_runtime::memory::{Budget, Overdraft, Reservation};
use tollgate_s3::Store;

/// A block of lines is handed on when it has this size, and at the end of a file.
const BLOCK_BYTES: usize = 512 << 10;

/// The position is handed on after so many rows, whether they made lines or not.
const UNSAID_ROWS: u64 = 500_000;

/// Where a file's bytes come from.
pub(super) enum Origin {
    /// An object, from its start or from where its decoder begins.
    Object {
        /// Whether it has the connections to itself.
        alone: bool,
        /// The byte before which a limit ends it.
        until: Option<u64>,
    },
    /// A member of an archive.
    Member {
        /// Its bytes, from its local header on.
        bytes: Box<ByteSource>,
        /// Where the archive stands when the member is read.
        archive_after: Option<(Arc<str>, Position)>,
    },
}

/// Reads a file from a position on. What was decoded before an error or a stop is handed on in any case.
pub(super) async fn read(
    shared: Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    assignment: ReadGrant,
) -> Result<FileEnd> {
    // The account is given back when the file is done.
    let ReadGrant { alone, until, account } = assignment;
    let store = shared.store.charged_to(account.id());
    let end = match &shared.transfer {
        None => read_from(&shared, object, from, store, Origin::Object { alone, until }).await?,
        Some(transfer) => {
            let ended = transfer.run(&shared, &store, &object, &from, alone, until).await;
            conclude(&shared, object.key, None, ended).await?
        }
    };
    if end == FileEnd::Read {
        shared.progress.file_done();
    }
    Ok(end)
}

/// As [`read`], for a file whose bytes come from `origin`; requests go to `store`. A file that does not have the position
/// is read from its start: with the position it would fail in every later sync.
pub(super) async fn read_from(
    shared: &StreamContext,
    object: ObjectFacts,
    from: Position,
    store: Store,
    origin: Origin,
) -> Result<FileEnd> {
    let again = match &origin {
        Origin::Object { alone, until } => Some(Origin::Object { alone: *alone, until: *until }),
        // Its bytes are used up: it is the next run that begins at the start.
        Origin::Member { .. } => None,
    };
    let ended = read_once(shared, object.clone(), from, store.clone(), origin).await;
    let Err(error) = ended else { return ended };
    if error.subject() != Subject::Position {
        return Err(error);
    }
    shared.report.add_refused_position(&object.key);
    let (key, start) = (Arc::clone(&object.key), Position::default());
    shared.outgoing.send(Event::Advance { key, after: start.clone() }).await;
    match again {
        Some(origin) => read_once(shared, object, start, store, origin).await,
        None => Err(error),
    }
}

async fn read_once(
    shared: &StreamContext,
    object: ObjectFacts,
    from: Position,
    store: Store,
    origin: Origin,
) -> Result<FileEnd> {
    let key = Arc::clone(&object.key);
    let skipped_to = rows_or_text_before(&from);
    let archive_after = match &origin {
        Origin::Member { archive_after, .. } => archive_after.clone(),
        Origin::Object { .. } => None,
    };
    let mut task = FileTask::new(shared, object, from, store, origin)?;
    if let Some(skipped_to) = skipped_to
        && task.decoder.access() == (Access::Stream { from: 0 })
    {
        let message = format!(
            "stream {}: reading {key} cannot start in the middle: the file is read again from its start, and its \
             content before {skipped_to} is skipped",
            shared.stream.name
        );
        shared.outgoing.log(Level::Info, message).await;
    }
    let ended = match task.run().await {
        Err(error) if error.subject() == Subject::EarlierRows => Err(task.retract(error).await),
        ended => {
            let flushed = task.flush().await;
            ended.and_then(|end| flushed.map(|()| end))
        }
    };
    shared.report.add_file(&task.report());
    if let Some(pick) = &mut task.pick {
        pick.settle(|column| task.decoder.has(column));
        shared.report.add_left_out(pick.left_out());
        if !shared.cursor.get().is_some_and(|cursor| cursor.has_read(&key)) {
            shared.report.add_below(pick.left_out().below, task.decoder.pruned().rows);
        }
    }
    shared.report.add_pruned(task.decoder.pruned());
    conclude(shared, key, archive_after, ended).await
}

/// Treats a file whose key does not fit the partitions as a bad row. Nothing is asked for it.
pub(super) async fn reject_file(
    shared: &StreamContext,
    object: ObjectFacts,
    from: &Position,
    reason: String,
) -> Result<FileEnd> {
    let stream = &shared.stream;
    if stream.bad_rows.action == job::BadRowAction::Fail {
        let error = Error::data(format!("Partition error: {reason}")).with("stream", &stream.name);
        return Err(error.with("key", &object.key).hint(
            "correct the partitions or the globs, or set `on_error` to 'skip' or 'dead_letter' to skip such files",
        ));
    }
    let raw = object.key.as_bytes().to_vec();
    let reject = [Reject { reason: reason.into(), raw, ..Reject::default() }];
    let goes_on = shared.tolerance.add(0, 1);
    let bad_rows = reject.iter().map(Reject::rows).sum();
    shared.report.add_bad_rows(&object.key, &reject);
    if !goes_on {
        return Ok(FileEnd::Stopped);
    }
    if let Some(to) = shared.letters.clone() {
        let mut letters = DeadLetterWriter::new(to, &stream.name, &object, from);
        let added = letters.add(&reject).await;
        let written = match added {
            Ok(()) => letters.flush().await,
            failed => failed,
        };
        written.inspect_err(|_| shared.report.add_unwritten())?;
    }
    shared.progress.file_done();
    let (key, reservation) = (Arc::clone(&object.key), shared.budgets.output.reserve(0).await);
    let (lines, after, batches) = (Vec::new(), from.clone(), Vec::new());
    shared.outgoing.send(Event::Rows { key, lines, rows: 0, bad_rows, after, batches, reservation }).await;
    shared.progress.advance();
    shared.outgoing.send(Event::End { key: object.key }).await;
    Ok(FileEnd::Read)
}

/// Says that a file is done, or what is wrong with it.
async fn conclude(
    shared: &StreamContext,
    key: Arc<str>,
    archive_after: Option<(Arc<str>, Position)>,
    ended: Result<FileEnd>,
) -> Result<FileEnd> {
    match ended {
        Ok(FileEnd::Read) => {
            shared.progress.advance();
            if let Some((key, after)) = archive_after {
                shared.outgoing.send(Event::Advance { key, after }).await;
            }
            shared.outgoing.send(Event::End { key }).await;
            Ok(FileEnd::Read)
        }
        Ok(end) => Ok(end),
        Err(error) if error.kind() == ErrorKind::Archived => {
            shared.report.add_archived();
            shared.outgoing.send(Event::PutOff { key }).await;
            Ok(FileEnd::Read)
        }
        Err(error)
            if error.kind() == ErrorKind::NotFound && archive_after.is_none() && from_inventory(shared, &key) =>
        {
            Ok(forget(shared, key).await)
        }
        Err(error) => {
            if error.subject() == Subject::DeadLetters {
                shared.report.add_unwritten();
            }
            Err(vanished(error).with("stream", &shared.stream.name).with("key", &key))
        }
    }
}

/// The error of a format that is read by ranges, which a compressed member does not have.
pub(super) fn not_in_archives(format: &FormatOptions) -> Error {
    let message = format!("{} files inside of zip archives cannot be read", format.name());
    Error::new(ErrorKind::Unsupported, message).hint("upload them without the archive")
}

/// What lies before a position, for a file that cannot be entered there.
fn rows_or_text_before(position: &Position) -> Option<String> {
    match position.place {
        Place::Byte { offset, .. } if offset > 0 => Some(format!("byte {offset} of its text")),
        Place::RowGroup { group: 0, row } if row > 0 => Some(format!("row {row}")),
        _ => None,
    }
}

/// An object that was listed and is not there any more is no wrong name: the next listing will be right.
fn vanished(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::new(ErrorKind::Changed, "the object was deleted after it was listed")
        .caused_by(error)
        .hint("run the sync again to list the bucket again")
}

/// Room that a file whose bytes are here already takes without asking: what most decompressors remember.
const SMALL_ROOM_BYTES: u64 = 1 << 20;

/// Room for what a decoder holds as long as it lives.
#[derive(Default)]
struct Held {
    bytes: u64,
    reservation: Option<Reservation>,
    overdraft: Option<Overdraft>,
}

impl Held {
    /// Gives back what is too much.
    fn shrink(&mut self, wanted: u64) {
        if wanted <= self.bytes {
            self.overdraft = None;
        }
        if wanted < self.bytes
            && let Some(reservation) = &mut self.reservation
        {
            reservation.shrink(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
        self.bytes = self.bytes.min(wanted);
    }

    /// Makes it enough for a decoder of ranges. Where that has some already, which is in use, and there is no more, one task
    /// at a time goes beyond the budget.
    async fn make(&mut self, wanted: u64, budget: &Budget) {
        self.shrink(wanted);
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if wanted <= self.bytes || self.overdraft.is_some() {
            return;
        }
        match &mut self.reservation {
            Some(reservation) if self.bytes > 0 => match budget.try_reserve(size(wanted - self.bytes)) {
                Some(more) => reservation.merge(more),
                None => self.overdraft = Some(budget.overdraw().await),
            },
            none => {
                *none = None;
                *none = Some(budget.reserve(size(wanted)).await);
            }
        }
        // What is beyond the budget is given back as a whole.
        if self.overdraft.is_none() {
            self.bytes = wanted;
        }
    }

    /// Makes it enough. Where room must be waited for, what was fetched ahead is let go and asked for again: a task that
    /// waits for this must hold nothing, or two wait for each other. Members of small archives, which are held as a whole, go
    /// beyond the budget one at a time.
    async fn grow(&mut self, wanted: u64, bytes: &mut ByteSource, shared: &StreamContext) {
        if self.overdraft.is_some() {
            return;
        }
        let budget = &shared.budgets.held;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        match (budget.try_reserve(size(wanted - self.bytes)), &mut self.reservation) {
            (Some(more), Some(reservation)) => reservation.merge(more),
            (Some(all), none) => *none = Some(all),
            (None, _) if bytes.at_hand() && wanted - self.bytes <= SMALL_ROOM_BYTES => {}
            (None, _) if bytes.at_hand() => {
                self.overdraft = Some(budget.overdraw().await);
                return;
            }
            (None, reservation) => {
                bytes.pause();
                *reservation = None;
                *reservation = Some(budget.reserve(size(wanted)).await);
            }
        }
        self.bytes = wanted;
    }
}

struct FileTask<'a> {
    shared: &'a StreamContext,
    object: ObjectFacts,
    decoder: Box<dyn Decode>,
    encoder: FileEncoder,
    pick: Option<FileRowFilter>,
    /// `None` when it is being read.
    origin: Option<Origin>,
    /// The bytes of a file that is read in order, while it is.
    bytes: Option<Box<ByteSource>>,
    compression: Compression,
    /// The bucket, with requests that are charged to this file's account.
    store: Store,
    lines: Vec<u8>,
    rows: u64,
    /// Bad rows since something was handed on.
    bad_rows: u64,
    /// Rows decoded since something was handed on.
    decoded: u64,
    /// Rows of the file that were handed on, in this run and before; `None` where no position was.
    handed_on: Option<u64>,
    /// Where the batches of `lines` end.
    batches: Vec<BatchEnd>,
    /// Whether the position moved since then.
    moved: bool,
    after: Position,
    letters: Option<DeadLetterWriter>,
    flattener: Option<Flattener>,
    /// Partitions whose name no column of the file was compared with.
    partitions: Vec<String>,
    /// The most bytes that it needed at once beyond the budget.
    large_bytes: u64,
}

impl<'a> FileTask<'a> {
    fn new(
        shared: &'a StreamContext,
        object: ObjectFacts,
        from: Position,
        store: Store,
        origin: Origin,
    ) -> Result<Self> {
        let stream = &shared.stream;
        stream.told_by_key(&object.key)?;
        let member = matches!(origin, Origin::Member { .. });
        let compression = if member { Compression::Zip } else { stream.compression.resolve(&object.key) };
        let resume = (from != Position::default()).then_some(&from);
        let mut decoder =
            tollgate_format::open(&stream.format, compression, &shared.projection, &object, resume, &shared.limits)?;
        if member && decoder.access() == Access::Ranges {
            return Err(not_in_archives(&stream.format));
        }
        let constants = shared.keys.get().map(|keys| keys.constants(&object.key)).unwrap_or_default();
        decoder.prune(&row_selection::given(&shared.predicates, &constants));
        if let Some(part) = shared.keys.get().and_then(|keys| keys.sample_of(&object)) {
            decoder.sample(part);
        }
        let encoder = shared.encoder.file_with(&object, shared.clock.now().millis(), &partition::constants(&constants));
        let partitions = constants.iter().map(|constant| constant.name.clone()).collect();
        let parquet = match &stream.format {
            FormatOptions::Parquet(parquet) => *parquet,
            _ => ParquetOptions::default(),
        };
        let flattener = stream.flatten.map(|depth| Flattener::new(depth, parquet));
        let letters = shared.letters.clone().map(|to| DeadLetterWriter::new(to, &stream.name, &object, &from));
        Ok(Self {
            shared,
            object,
            decoder,
            encoder,
            pick: shared.pick.as_ref().map(|pick| pick.file_given(|name| row_selection::known(&constants, name))),
            origin: Some(origin),
            bytes: None,
            compression,
            store,
            lines: Vec::new(),
            batches: Vec::new(),
            rows: 0,
            bad_rows: 0,
            decoded: 0,
            handed_on: (from != Position::default()).then_some(from.rows),
            moved: false,
            after: from,
            letters,
            flattener,
            partitions,
            large_bytes: 0,
        })
    }

    async fn run(&mut self) -> Result<FileEnd> {
        match self.decoder.access() {
            Access::Stream { from }
                if from > self.object.size && matches!(self.origin, Some(Origin::Object { .. })) =>
            {
                Err(tollgate_format::beyond_the_end(from))
            }
            Access::Stream { from } => self.run_stream(from).await,
            Access::Ranges => self.run_ranges().await,
        }
    }

    async fn run_stream(&mut self, from: u64) -> Result<FileEnd> {
        let shared = self.shared;
        let (bytes, until) = match self.origin.take() {
            Some(Origin::Object { alone, until }) => {
                let budget = &shared.budgets.fetched;
                (ByteSource::new(&self.store, &self.object, from, until, alone, budget), until)
            }
            Some(Origin::Member { bytes, .. }) => (*bytes, None),
            None => return Err(Error::internal("a file was read twice")),
        };
        let bytes = bytes.prove(self.after.proof.as_deref());
        let bytes = if self.compression == Compression::None { bytes } else { bytes.remember() };
        self.bytes = Some(Box::new(bytes));
        let mut held = Held::default();
        // How it ends when the decoder has handed over what it has, where a limit keeps more bytes from coming.
        let mut limited: Option<Result<FileEnd>> = None;
        while self.goes_on() {
            let wanted = self.decoder.held_bytes();
            let Some(bytes) = &mut self.bytes else { return Err(Error::internal("a file lost its bytes")) };
            held.shrink(wanted);
            if wanted > held.bytes && shared.stop.unless(held.grow(wanted, bytes, shared)).await.is_none() {
                break;
            }
            match self.decoder.step()? {
                Step::NeedRoom => {}
                Step::Batch(decoded) => self.encode(decoded).await?,
                Step::Done => return Ok(FileEnd::Read),
                // What it needs before the stream, to go on in the middle of it.
                Step::NeedRanges(wanted) => {
                    let (budget, decoder) = (&shared.budgets.fetched, &mut *self.decoder);
                    let fed = feed_ranges(&self.store, &self.object, wanted, budget, decoder, &shared.stop).await?;
                    if fed.is_none() {
                        break;
                    }
                }
                Step::NeedBytes => {
                    if let Some(end) = limited.take() {
                        return end;
                    }
                    match shared.stop.unless(bytes.next()).await {
                        None => break,
                        Some(Ok(Some((offset, piece)))) => self.decoder.feed(offset, piece)?,
                        Some(Ok(None)) if until.is_none() => self.decoder.finish(),
                        Some(Ok(None)) => {
                            self.decoder.cut();
                            limited = Some(Ok(FileEnd::Limited));
                        }
                        // What is here was paid for.
                        Some(Err(error)) if error.kind() == ErrorKind::Limit => {
                            self.decoder.cut();
                            limited = Some(Err(error));
                        }
                        Some(Err(error)) => return Err(error),
                    }
                }
            }
        }
        Ok(FileEnd::Stopped)
    }

    async fn run_ranges(&mut self) -> Result<FileEnd> {
        let shared = self.shared;
        let (store, object) = (self.store.clone(), self.object.clone());
        let mut steps = Steps::new(&store, &object, &shared.budgets.fetched, shared.cost_tracker.allowance());
        let mut room = Held::default();
        while self.goes_on() {
            let wanted = self.decoder.held_bytes();
            if shared.stop.unless(room.make(wanted, &shared.budgets.decoded)).await.is_none() {
                break;
            }
            let step = self.decoder.step()?;
            if !steps.planned()
                && let Some(planned) = self.decoder.planned()
            {
                self.expect(&planned);
                let tail_start = object.size.saturating_sub(parquet::TAIL_BYTES);
                steps.plan(ranges::fetches(&planned.steps, tail_start));
            }
            match step {
                Step::NeedRoom => {}
                Step::Batch(decoded) => {
                    self.encode(decoded).await?;
                    steps.fetch_ahead(&mut *self.decoder)?;
                }
                Step::Done => return Ok(FileEnd::Read),
                Step::NeedBytes => return Err(Error::internal("a decoder of ranges asked for a stream")),
                Step::NeedRanges(wanted) => {
                    self.say_if_large(&wanted).await;
                    // What was decoded is gone: it is given back before more is asked for.
                    room.shrink(0);
                    if !steps.feed(wanted, &mut *self.decoder, &shared.stop).await? {
                        break;
                    }
                }
            }
        }
        Ok(FileEnd::Stopped)
    }

    /// Says what the file will ask for, where no plan before the run knew it.
    fn expect(&self, planned: &Planned) {
        if self.shared.untold.get().is_none() {
            return;
        }
        let Planned { metadata_start, index, steps } = planned;
        let file = ColumnarFile::new(&self.object, parquet::TAIL_BYTES, *metadata_start, index, steps, 0);
        let row = Row::get(self.object.storage_class);
        self.shared.cost_tracker.expect([&Usage { row, requests: file.requests, bytes: file.bytes }]);
    }

    /// Says, once in a stream, that a file needs more at once than the budget has.
    async fn say_if_large(&mut self, wanted: &[Range<u64>]) {
        let shared = self.shared;
        let bytes = wanted.iter().map(|range| range.end - range.start).sum();
        let most = shared.budgets.fetched.total_bytes() as u64;
        if bytes > most.max(self.large_bytes) && shared.report.add_large(self.large_bytes == 0, bytes) {
            let message = format!(
                "stream {}: '{}' has row groups of which {bytes} bytes are needed at once, more than the {most} bytes \
                 reserved for fetched data, so the run needs more memory; files with a page index or with smaller row \
                 groups need less",
                shared.stream.name, self.object.key
            );
            shared.outgoing.log(Level::Warn, message).await;
        }
        self.large_bytes = self.large_bytes.max(if bytes > most { bytes } else { 0 });
    }

    /// What did not fit.
    fn report(&self) -> FileReport {
        let mut report = self.encoder.report().clone();
        for (name, times) in self.flattener.iter().flat_map(Flattener::renamed) {
            report.add_renamed(name, *times);
        }
        if super::columns::unlisted(&self.shared.stream) == Unlisted::Tell {
            self.decoder.not_asked_for().into_iter().for_each(|name| report.add_unlisted(name));
        }
        report
    }

    fn goes_on(&self) -> bool {
        !self.shared.stop.requested() && !self.shared.tolerance.exceeded()
    }

    async fn encode(&mut self, mut decoded: Decoded) -> Result<()> {
        if self.lines.capacity() == 0 {
            self.lines = self.shared.outgoing.buffer(BLOCK_BYTES + BLOCK_BYTES / 2);
        }
        self.encoder.set_emitted_at(self.shared.clock.now().millis());
        self.decoded += decoded.batch.rows() as u64;
        // Filters and cursors ask for the columns that records have.
        if let Some(flattener) = &mut self.flattener {
            decoded.batch = flattener.flatten(decoded.batch)?;
        }
        if decoded.batch.rows() > 0 {
            // One look is enough: a column is in all rows, or nearly.
            for name in std::mem::take(&mut self.partitions) {
                if self.decoder.has(&name).unwrap_or_else(|| decoded.batch.has_column(&name)) {
                    self.shared.report.add_shadowed(&name, &self.object.key);
                }
            }
        }
        let mut left_out = Vec::new();
        if let Some(pick) = &mut self.pick {
            decoded.batch = pick.apply(decoded.batch)?;
            left_out = pick.take_rows_left_out();
        }
        let start = self.lines.len();
        let Encoded { lines, refused, stopped, .. } = self.encoder.encode(&decoded.batch, &mut self.lines)?;
        let refused: Vec<_> = refused.into_iter().map(|refused| reject(&decoded, refused, &left_out)).collect();
        let stopped = stopped
            .map(|(row, error)| (decoded.before(row, &self.after, &left_out), placed(error, &decoded, row, &left_out)));
        let Decoded { mut rejects, after, .. } = decoded;
        rejects.extend(refused);
        let unit = self.decoder.offset_unit();
        rejects.iter_mut().for_each(|reject| reject.offset_unit = unit);
        let Some((before, error)) = stopped else {
            return self.take(lines, rejects, after, start).await;
        };
        match before {
            Some(before) => {
                rejects.retain(|reject| lies_before(reject, &before));
                self.take(lines, rejects, before, start).await?;
            }
            // Rows that no position covers would come again with the next run.
            None => self.lines.truncate(start),
        }
        Err(error)
    }

    /// Takes in what a batch came to: its lines, which begin at `start`, its rejects, and the position behind them. When
    /// there are too many bad rows, the batch counts as not read.
    async fn take(&mut self, rows: u64, mut rejects: Vec<Reject>, after: Position, start: usize) -> Result<()> {
        let bad_rows = rejects.iter().map(Reject::rows).sum();
        if !self.shared.tolerance.add(rows, bad_rows) {
            self.lines.truncate(start);
            self.shared.report.add_bad_rows(&self.object.key, &rejects);
            return Ok(());
        }
        if !rejects.is_empty() {
            rejects.sort_by_key(|reject| (reject.offset, reject.row));
            self.shared.report.add_bad_rows(&self.object.key, &rejects);
            if let Some(letters) = &mut self.letters
                && let Err(error) = letters.add(&rejects).await
            {
                self.lines.truncate(start);
                return Err(error);
            }
        }
        self.rows += rows;
        self.bad_rows += bad_rows;
        self.moved |= self.after != after;
        self.after = after;
        let (from, repeats) = tollgate_format::reads_from(&self.after.place, self.compression);
        self.after.proof = self.bytes.as_mut().and_then(|bytes| bytes.proof(from, repeats));
        if self.lines.len() > start {
            let (bytes, after) = (self.lines.len(), self.after.clone());
            self.batches.push(BatchEnd { bytes, rows: self.rows, bad_rows: self.bad_rows, after });
        }
        // Rows that are left out make no lines, and yet the position moves.
        if self.lines.len() >= BLOCK_BYTES || self.decoded >= UNSAID_ROWS {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands on what was encoded, with the position behind it; bad rows are written down first, so that no state covers
    /// one that is not.
    async fn flush(&mut self) -> Result<()> {
        if let Some(letters) = &mut self.letters {
            letters.flush().await?;
        }
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() && self.rows == 0 && self.bad_rows == 0 && self.after == Position::default() {
            return Ok(());
        }
        let reservation = self.shared.budgets.output.reserve(lines.capacity()).await;
        // What was reached counts when the run is complete: it may be said before its rows are.
        let marks = self.pick.as_mut().map(FileRowFilter::take_marks).filter(|marks| !marks.none());
        if let Some(marks) = marks {
            self.shared.outgoing.send(Event::Reach { marks }).await;
        }
        self.decoded = 0;
        if std::mem::take(&mut self.moved) {
            self.shared.progress.advance();
        }
        let (rows, bad_rows) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bad_rows));
        self.shared.progress.add_rows(rows, lines.len() as u64);
        let key = Arc::clone(&self.object.key);
        let (after, batches) = (self.after.clone(), std::mem::take(&mut self.batches));
        self.handed_on = Some(after.rows);
        self.shared.outgoing.send(Event::Rows { key, lines, rows, bad_rows, after, batches, reservation }).await;
        Ok(())
    }

    /// Lets go of rows that were not handed on, and has the next run read the file from its start: its bytes turned out not
    /// to be what they should be, and nobody knows which of them are wrong.
    async fn retract(&mut self, error: Error) -> Error {
        (self.lines, self.rows) = (Vec::new(), 0);
        self.batches.clear();
        let Some(handed_on) = self.handed_on else { return error };
        let key = Arc::clone(&self.object.key);
        let rows = format!("1-{handed_on}");
        let message = format!(
            "stream {}: rows {rows} of {key} were emitted before the damage was detected, and may be wrong; the next \
             run reads the file again from its start",
            self.shared.stream.name
        );
        self.shared.outgoing.send(Event::Rewind { key }).await;
        if handed_on == 0 {
            return error;
        }
        self.shared.outgoing.log(Level::Warn, message).await;
        error.with("suspect_rows", rows)
    }
}

/// A row that the encoder refused, with its place in the file.
fn reject(decoded: &Decoded, refused: Refused, left_out: &[u32]) -> Reject {
    let start = decoded.batch.start_of(refused.row);
    Reject {
        line: start.map(|start| start.line + 1),
        offset: start.map(|start| start.offset),
        row: Some(decoded.row_number(refused.row, left_out)),
        reason: refused.reason.into(),
        raw: refused.raw,
        ..Reject::default()
    }
}

/// An error about a row, with the row's place in the file.
fn placed(error: Error, decoded: &Decoded, row: usize, left_out: &[u32]) -> Error {
    let error = match decoded.batch.start_of(row) {
        Some(start) => error.with("line", start.line + 1).with("byte", start.offset),
        None => error,
    };
    error.with("row", decoded.row_number(row, left_out))
}

/// Whether a reject lies before a position, so that the position covers it.
fn lies_before(reject: &Reject, position: &Position) -> bool {
    match (&position.place, reject.offset) {
        (Place::Byte { offset, .. }, Some(at)) => at < *offset,
        _ => reject.row.is_none_or(|row| row <= position.rows),
    }
}
