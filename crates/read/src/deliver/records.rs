//! One file as RECORD lines: its batches are encoded and handed on, with the position after them.

use std::sync::Arc;

use crate::deliver::context::{FileEnd, ReadGrant, StreamContext};
use crate::deliver::dead_letters::DeadLetterWriter;
use crate::deliver::emit::{BatchEnd, Event};
use crate::files::byte_source::ByteSource;
use crate::files::file_reader::{Extent, FileReader, ReadStep};
use crate::select::partition;
use crate::select::row_selection;
use tollgate_base::batch::{Decoded, Place, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result, Subject};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, FormatOptions, ParquetOptions};
use tollgate_base::predicate::Predicate;
use tollgate_config::job;
use tollgate_cost::Usage;
use tollgate_cost::usage::Row;
use tollgate_format::parquet;
use tollgate_format::{FileFacts, OpenOptions, RangePlan};
use tollgate_plan::estimate::ColumnarFile;
use tollgate_plan::partition::columns::PartitionConstant;
use tollgate_protocol::message::Level;
use tollgate_record::flatten::Flattener;
use tollgate_record::row_filter::FileRowFilter;
use tollgate_record::{Encoded, FileEncoder, FileReport, Refused, Unlisted};
use tollgate_s3::Store;

/// A block of lines is handed on when it has this size, and at the end of a file.
const BLOCK_BYTES: usize = 512 << 10;

/// The position is handed on after so many rows, whether they made lines or not.
const UNSAID_ROWS: u64 = 500_000;

/// Where a file's bytes come from.
pub(crate) enum Origin {
    /// An object, from its start or from where its decoder begins.
    Object(Extent),
    /// A member of an archive.
    Member {
        /// Its bytes, from its local header on.
        bytes: Box<ByteSource>,
        /// Where the archive stands when the member is read.
        archive_after: Option<(Arc<str>, Position)>,
    },
}

/// Reads a file from a position on. What was decoded before an error or a stop is handed on in any case.
pub(crate) async fn read(
    context: Arc<StreamContext>,
    object: ObjectFacts,
    from: Position,
    grant: ReadGrant,
) -> Result<FileEnd> {
    // The account is given back when the file is done.
    let ReadGrant { may_split, until, reservation } = grant;
    let store = context.store.charged_to(reservation.id());
    let end = match &context.transfer {
        None => read_from(&context, object, from, store, Origin::Object(Extent { may_split, until })).await?,
        Some(transfer) => {
            let ended = transfer.run(&context, &store, &object, &from, may_split, until).await;
            conclude(&context, object.key, None, ended).await?
        }
    };
    if end == FileEnd::Read {
        context.progress.file_done();
    }
    Ok(end)
}

/// As [`read`], for a file whose bytes come from `origin`; requests go to `store`. A file that does not have the position
/// is read from its start: with the position it would fail in every later sync.
pub(crate) async fn read_from(
    context: &StreamContext,
    object: ObjectFacts,
    from: Position,
    store: Store,
    origin: Origin,
) -> Result<FileEnd> {
    let again = match &origin {
        Origin::Object(extent) => Some(Origin::Object(*extent)),
        // Its bytes are used up: it is the next run that begins at the start.
        Origin::Member { .. } => None,
    };
    let ended = read_once(context, object.clone(), from, store.clone(), origin).await;
    let Err(error) = ended else { return ended };
    if error.subject() != Subject::Position {
        return Err(error);
    }
    context.report.add_refused_position(&object.key);
    let (key, start) = (Arc::clone(&object.key), Position::default());
    context.outgoing.send(Event::Advance { key, after: start.clone() }).await;
    match again {
        Some(origin) => read_once(context, object, start, store, origin).await,
        None => Err(error),
    }
}

async fn read_once(
    context: &StreamContext,
    object: ObjectFacts,
    from: Position,
    store: Store,
    origin: Origin,
) -> Result<FileEnd> {
    let key = Arc::clone(&object.key);
    let skipped_to = rows_or_text_before(&from);
    let archive_after = match &origin {
        Origin::Member { archive_after, .. } => archive_after.clone(),
        Origin::Object(_) => None,
    };
    let mut task = match FileTask::new(context, object, from, store, origin) {
        Ok(task) => task,
        Err(error) => return conclude(context, key, archive_after, Err(error)).await,
    };
    if let Some(skipped_to) = skipped_to
        && task.reader.begins_at_start()
    {
        let message = format!(
            "stream {}: reading {key} cannot start in the middle: the file is read again from its start, and its \
             content before {skipped_to} is skipped",
            context.stream.name
        );
        context.outgoing.log(Level::Info, message).await;
    }
    let ended = match task.run().await {
        Err(error) if error.subject() == Subject::EarlierRows => Err(task.retract(error).await),
        ended => {
            let flushed = task.flush().await;
            ended.and_then(|end| flushed.map(|()| end))
        }
    };
    let facts = task.reader.facts();
    context.report.add_file(&task.report(&facts));
    if let Some(row_filter) = &mut task.row_filter {
        row_filter.settle(|column| facts.has_column(column));
        context.report.add_left_out(row_filter.left_out());
        if !context.cursor.get().is_some_and(|cursor| cursor.has_read(&key)) {
            context.report.add_below(row_filter.left_out().below, facts.pruned.rows);
        }
    }
    context.report.add_pruned(facts.pruned);
    conclude(context, key, archive_after, ended).await
}

/// Treats a file whose key does not fit the partitions as a bad row. Nothing is asked for it.
pub(crate) async fn reject_file(
    context: &StreamContext,
    object: ObjectFacts,
    from: &Position,
    reason: String,
) -> Result<FileEnd> {
    let stream = &context.stream;
    if stream.bad_rows.action == job::BadRowAction::Fail {
        let error = Error::data(format!("Partition error: {reason}")).with("stream", &stream.name);
        return Err(error.with("key", &object.key).hint(
            "correct the partitions or the globs, or set `on_error` to 'skip' or 'dead_letter' to skip such files",
        ));
    }
    let raw = object.key.as_bytes().to_vec();
    let reject = [Reject { reason: reason.into(), raw, ..Reject::default() }];
    let goes_on = context.tolerance.add(0, 1);
    let bad_rows = reject.iter().map(Reject::rows).sum();
    context.report.add_bad_rows(&object.key, &reject);
    if !goes_on {
        return Ok(FileEnd::Stopped);
    }
    if let Some(to) = context.dead_letters.clone() {
        let mut dead_letters = DeadLetterWriter::new(to, &stream.name, &object, from);
        let added = dead_letters.add(&reject).await;
        let written = match added {
            Ok(()) => dead_letters.flush().await,
            failed => failed,
        };
        written.inspect_err(|_| context.report.add_unwritten())?;
    }
    context.progress.file_done();
    let (key, reservation) = (Arc::clone(&object.key), context.budgets.output.reserve(0).await);
    let (lines, after, batches) = (Vec::new(), from.clone(), Vec::new());
    context.outgoing.send(Event::Rows { key, lines, rows: 0, bad_rows, after, batches, reservation }).await;
    context.progress.advance();
    context.outgoing.send(Event::End { key: object.key }).await;
    Ok(FileEnd::Read)
}

/// Says that a file is done, or what is wrong with it.
async fn conclude(
    context: &StreamContext,
    key: Arc<str>,
    archive_after: Option<(Arc<str>, Position)>,
    ended: Result<FileEnd>,
) -> Result<FileEnd> {
    match ended {
        Ok(FileEnd::Read) => {
            context.progress.advance();
            if let Some((key, after)) = archive_after {
                context.outgoing.send(Event::Advance { key, after }).await;
            }
            context.outgoing.send(Event::End { key }).await;
            Ok(FileEnd::Read)
        }
        Ok(end) => Ok(end),
        Err(error) if error.kind() == ErrorKind::Archived => {
            context.report.add_archived();
            context.outgoing.send(Event::PutOff { key }).await;
            Ok(FileEnd::Read)
        }
        Err(error)
            if error.kind() == ErrorKind::NotFound && archive_after.is_none() && context.is_from_inventory(&key) =>
        {
            Ok(context.forget(key).await)
        }
        Err(error) => {
            if error.subject() == Subject::DeadLetters {
                context.report.add_unwritten();
            }
            Err(vanished(error).with("stream", &context.stream.name).with("key", &key))
        }
    }
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

struct FileTask<'a> {
    context: &'a StreamContext,
    object: ObjectFacts,
    reader: FileReader,
    encoder: FileEncoder,
    row_filter: Option<FileRowFilter>,
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
    dead_letters: Option<DeadLetterWriter>,
    flattener: Option<Flattener>,
    /// Partitions whose name no column of the file was compared with.
    partitions: Vec<String>,
}

impl<'a> FileTask<'a> {
    fn new(
        context: &'a StreamContext,
        object: ObjectFacts,
        from: Position,
        store: Store,
        origin: Origin,
    ) -> Result<Self> {
        let stream = &context.stream;
        stream.told_by_key(&object.key)?;
        let constants = context.keys.get().map(|keys| keys.constants(&object.key)).unwrap_or_default();
        let reader = reader(context, &object, &from, store, origin, &constants)?;
        let encoder =
            context.encoder.file_with(&object, context.clock.now().millis(), &partition::constants(&constants));
        let partitions = constants.iter().map(|constant| constant.name.clone()).collect();
        let parquet = match &stream.format {
            FormatOptions::Parquet(parquet) => *parquet,
            _ => ParquetOptions::default(),
        };
        let flattener = stream.flatten.map(|depth| Flattener::new(depth, parquet));
        let dead_letters =
            context.dead_letters.clone().map(|to| DeadLetterWriter::new(to, &stream.name, &object, &from));
        Ok(Self {
            context,
            object,
            reader,
            encoder,
            row_filter: context
                .row_filter
                .as_ref()
                .map(|row_filter| row_filter.file_given(|name| row_selection::known(&constants, name))),
            lines: Vec::new(),
            batches: Vec::new(),
            rows: 0,
            bad_rows: 0,
            decoded: 0,
            handed_on: (from != Position::default()).then_some(from.rows),
            moved: false,
            after: from,
            dead_letters,
            flattener,
            partitions,
        })
    }

    async fn run(&mut self) -> Result<FileEnd> {
        while !self.context.tolerance.exceeded() {
            match self.reader.next().await? {
                ReadStep::Planned(planned) => {
                    self.expect(&planned);
                    self.say_if_large(&planned).await;
                }
                ReadStep::Batch(decoded) => self.encode(decoded).await?,
                ReadStep::Done => return Ok(FileEnd::Read),
                ReadStep::Stopped => return Ok(FileEnd::Stopped),
                ReadStep::Limited(error) => return error.map_or(Ok(FileEnd::Limited), Err),
            }
        }
        Ok(FileEnd::Stopped)
    }

    /// Says what the file will ask for, where no plan before the run knew it.
    fn expect(&self, planned: &RangePlan) {
        if self.context.unplanned_cost.get().is_none() {
            return;
        }
        let RangePlan { metadata_start, index, steps } = planned;
        let file = ColumnarFile::new(&self.object, parquet::TAIL_BYTES, *metadata_start, index, steps, 0);
        let row = Row::get(self.object.storage_class);
        self.context.cost_tracker.expect([&Usage { row, requests: file.requests, bytes: file.bytes }]);
    }

    /// Says, once in a stream, that a file needs more at once than the budget has.
    async fn say_if_large(&mut self, planned: &RangePlan) {
        let context = self.context;
        let most = context.budgets.fetched.total_bytes() as u64;
        let bytes = planned.steps.iter().map(|step| step.iter().map(|range| range.end - range.start).sum()).max();
        let Some(bytes) = bytes.filter(|bytes: &u64| *bytes > most) else { return };
        if context.report.add_large(bytes) {
            let message = format!(
                "stream {}: '{}' has row groups of which {bytes} bytes are needed at once, more than the {most} bytes \
                 reserved for fetched data, so the run needs more memory; files with a page index or with smaller row \
                 groups need less",
                context.stream.name, self.object.key
            );
            context.outgoing.log(Level::Warn, message).await;
        }
    }

    /// What did not fit.
    fn report(&self, facts: &FileFacts) -> FileReport {
        let mut report = self.encoder.report().clone();
        for (name, times) in self.flattener.iter().flat_map(Flattener::renamed) {
            report.add_renamed(name, *times);
        }
        if crate::select::columns::unlisted(&self.context.stream) == Unlisted::Tell {
            facts.unprojected_columns.iter().for_each(|name| report.add_unlisted(name));
        }
        report
    }

    async fn encode(&mut self, mut decoded: Decoded) -> Result<()> {
        if self.lines.capacity() == 0 {
            self.lines = self.context.outgoing.buffer(BLOCK_BYTES + BLOCK_BYTES / 2);
        }
        self.encoder.set_emitted_at(self.context.clock.now().millis());
        self.decoded += decoded.batch.rows() as u64;
        // Filters and cursors ask for the columns that records have.
        if let Some(flattener) = &mut self.flattener {
            decoded.batch = flattener.flatten(decoded.batch)?;
        }
        if decoded.batch.rows() > 0 {
            // One look is enough: a column is in all rows, or nearly.
            let partitions = std::mem::take(&mut self.partitions);
            let facts = if partitions.is_empty() { FileFacts::default() } else { self.reader.facts() };
            for name in partitions {
                if facts.has_column(&name).unwrap_or_else(|| decoded.batch.has_column(&name)) {
                    self.context.report.add_shadowed(&name, &self.object.key);
                }
            }
        }
        let mut left_out = Vec::new();
        if let Some(row_filter) = &mut self.row_filter {
            decoded.batch = row_filter.apply(decoded.batch)?;
            left_out = row_filter.take_rows_left_out();
        }
        let start = self.lines.len();
        let Encoded { lines, refused, stopped, .. } = self.encoder.encode(&decoded.batch, &mut self.lines)?;
        let refused: Vec<_> = refused.into_iter().map(|refused| reject(&decoded, refused, &left_out)).collect();
        let stopped = stopped
            .map(|(row, error)| (decoded.before(row, &self.after, &left_out), placed(error, &decoded, row, &left_out)));
        let Decoded { mut rejects, after, .. } = decoded;
        rejects.extend(refused);
        if !rejects.is_empty() {
            let unit = self.reader.facts().offset_unit;
            rejects.iter_mut().for_each(|reject| reject.offset_unit = unit);
        }
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
        if !self.context.tolerance.add(rows, bad_rows) {
            self.lines.truncate(start);
            self.context.report.add_bad_rows(&self.object.key, &rejects);
            return Ok(());
        }
        if !rejects.is_empty() {
            rejects.sort_by_key(|reject| (reject.offset, reject.row));
            self.context.report.add_bad_rows(&self.object.key, &rejects);
            if let Some(dead_letters) = &mut self.dead_letters
                && let Err(error) = dead_letters.add(&rejects).await
            {
                self.lines.truncate(start);
                return Err(error);
            }
        }
        self.rows += rows;
        self.bad_rows += bad_rows;
        self.moved |= self.after != after;
        self.after = after;
        self.reader.prove(&mut self.after);
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
        if let Some(dead_letters) = &mut self.dead_letters {
            dead_letters.flush().await?;
        }
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() && self.rows == 0 && self.bad_rows == 0 && self.after == Position::default() {
            return Ok(());
        }
        let reservation = self.context.budgets.output.reserve(lines.capacity()).await;
        // What was reached counts when the run is complete: it may be said before its rows are.
        let marks = self.row_filter.as_mut().map(FileRowFilter::take_marks).filter(|marks| !marks.none());
        if let Some(marks) = marks {
            self.context.outgoing.send(Event::Reach { marks }).await;
        }
        self.decoded = 0;
        if std::mem::take(&mut self.moved) {
            self.context.progress.advance();
        }
        let (rows, bad_rows) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bad_rows));
        self.context.progress.add_rows(rows, lines.len() as u64);
        let key = Arc::clone(&self.object.key);
        let (after, batches) = (self.after.clone(), std::mem::take(&mut self.batches));
        self.handed_on = Some(after.rows);
        self.context.outgoing.send(Event::Rows { key, lines, rows, bad_rows, after, batches, reservation }).await;
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
            self.context.stream.name
        );
        self.context.outgoing.send(Event::Rewind { key }).await;
        if handed_on == 0 {
            return error;
        }
        self.context.outgoing.log(Level::Warn, message).await;
        error.with("suspect_rows", rows)
    }
}

/// A reader of the rows that may be wanted. Requests go to `store`.
fn reader(
    context: &StreamContext,
    object: &ObjectFacts,
    from: &Position,
    store: Store,
    origin: Origin,
    constants: &[PartitionConstant],
) -> Result<FileReader> {
    let stream = &context.stream;
    let member = matches!(origin, Origin::Member { .. });
    let predicates: Arc<[Predicate]> = row_selection::given(&context.predicates, constants);
    let options = OpenOptions {
        format: &stream.format,
        compression: if member { Compression::Zip } else { stream.compression.resolve(&object.key) },
        projection: &context.projection,
        resume: (*from != Position::default()).then_some(from),
        limits: context.limits,
        predicates,
        sample: context.keys.get().and_then(|keys| keys.sample_of(object)),
    };
    let resources = context.resources(store);
    match origin {
        Origin::Object(extent) => FileReader::open(&resources, object, &options, extent),
        Origin::Member { bytes, .. } => FileReader::of_bytes(&resources, object, &options, *bytes),
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
