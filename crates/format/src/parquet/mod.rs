//! Parquet → record batches.
//!
//! ```text
//!   last 64 KiB ─▶ metadata (a second range only where it is longer) ─▶ parts of indexes, where filters or large row
//!     groups make them pay ─▶ for each row group, or slice of a large one: the ranges of the wanted column chunks or
//!     pages, all in one step ─▶ batches, each with the position behind it
//! ```
//!
//! What this room refuses: encrypted files, and column chunks in other files. Memory is one row group's wanted column
//! chunks as stored, and one batch; where the file has an offset index and the row group is large, it is two slices of
//! pages ([`plan`]), the next of which a caller may fetch ahead. It does not grow with the file. Filters only leave out
//! what has no wanted row ([`prune`]): rows that pass are picked by the caller.

mod body;
mod fed;
mod footer;
mod guard;
mod index;
mod measure;
mod packed;
mod pages;
mod pieces;
mod plan;
mod prune;
#[cfg(test)]
mod prune_tests;
mod repack;
mod room;
mod row_counts;
mod shape;
mod sizes;
mod slice_decoder;
#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some of them short")]
mod tests;
#[cfg(test)]
mod writers_tests;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::push_decoder::ParquetPushDecoder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

use self::fed::Fed;
pub use self::footer::Footer;
use self::footer::{Opened, chunk_range, metadata_range, open};
use self::guard::guarded;
use self::measure::LongRow;
use self::pages::{Pages, check_pages};
use self::pieces::{PIECE_BYTES, Pieces};
use self::plan::{Draft, Plan, Slice, Start};
use self::repack::Repacked;
use self::room::Room;
use self::slice_decoder::decoder_of;
use crate::decode::{Access, Decode, FileFacts, InputEnd, Pruned, RangePlan, Step};
use crate::resume::{foreign_position, refused_position};
use tollgate_base::batch::{Batch, Decoded, Place, Position};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::Projection;
use tollgate_base::predicate::Predicate;

/// A long row is in memory so many times while its line is made.
const LINE_COPIES: u64 = 3;

/// The first range asked for: nearly every footer fits, and small files fit as a whole.
pub const TAIL_BYTES: u64 = 64 * 1024;

/// How much a decoder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParquetLimits {
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Bytes of a batch, about: batches of wide rows have fewer rows.
    pub batch_bytes: usize,
    /// Bytes of a row's texts at most. A longer one is an error.
    pub row_bytes: usize,
    /// Bytes of a footer at most. A longer one is refused.
    pub footer_bytes: u64,
}

impl Default for ParquetLimits {
    fn default() -> Self {
        Self { batch_rows: 8192, batch_bytes: 8 << 20, row_bytes: 32 << 20, footer_bytes: 64 << 20 }
    }
}

/// A decoder of one Parquet object.
#[derive(Debug)]
pub struct ParquetDecoder {
    key: Arc<str>,
    size: u64,
    projection: Projection,
    predicates: Arc<[Predicate]>,
    /// The part of the row groups that is wanted.
    sample: Option<f64>,
    /// Whether only the first row group with rows is wanted.
    first_only: bool,
    limits: ParquetLimits,
    next: Start,
    rows: u64,
    fed: Fed,
    /// The end of the object, as long as something may be taken from it.
    tail: Option<Bytes>,
    /// Where the metadata begins, once the tail told it.
    metadata_start: u64,
    /// The parts of indexes that were asked for.
    index: Vec<Range<u64>>,
    pruned: Pruned,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The object's last bytes are asked for.
    Tail,
    /// The rest of the metadata, which lies at this range, is asked for.
    Footer(Range<u64>),
    /// Parts of indexes are asked for.
    Index(Box<(Opened, Draft)>),
    /// Slices, until there are no more.
    Rows(Box<Rows>),
}

#[derive(Debug)]
struct Rows {
    opened: Opened,
    plan: Plan,
    /// What is being decoded.
    current: Option<Active>,
    /// What comes behind it, where somebody wanted to know its ranges.
    upcoming: Option<Active>,
    /// Pages of the current slice that the next slice of the row group may need too: dictionaries, and pages that lie in
    /// both.
    kept: HashMap<Range<u64>, Bytes>,
}

/// A slice and its decoder.
#[derive(Debug)]
struct Active {
    slice: Slice,
    /// The rows that are still to come.
    rest: VecDeque<Range<usize>>,
    decoder: ParquetPushDecoder,
    /// What the decoder wants before it hands anything over.
    wanted: Vec<Range<u64>>,
    /// What it hands over without wanting anything: rows without columns.
    first: Option<RecordBatch>,
    /// What is there of what it wants.
    here: (Vec<Range<u64>>, Vec<Bytes>),
    /// Its pages, once all bytes are there, until they are measured.
    pages: Option<BTreeMap<usize, Pages>>,
    /// What it takes, once they are.
    room: Option<Room>,
    /// The row behind the last one, where it is too long.
    long_row: Option<LongRow>,
    /// Its columns with smaller pages, where those that it has are too large to be decoded at once.
    repacked: Option<Repacked>,
    /// The batch that is being handed over.
    pieces: Option<Pieces>,
    /// Memory that was asked for.
    held_bytes: u64,
}

impl ParquetDecoder {
    /// A decoder of `object` that begins behind `resume`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `resume` is a position of another format.
    pub fn new(
        object: &ObjectFacts,
        projection: &Projection,
        resume: Option<&Position>,
        limits: ParquetLimits,
    ) -> Result<Self> {
        let next = match resume.map(|position| &position.place) {
            None | Some(Place::Start) => Start { group: 0, row: 0 },
            Some(Place::RowGroup { group, row }) => Start {
                group: usize::try_from(*group).unwrap_or(usize::MAX),
                row: usize::try_from(*row).unwrap_or(usize::MAX),
            },
            Some(Place::Byte { .. } | Place::Block { .. }) => {
                return Err(foreign_position().with("key", &object.key));
            }
        };
        let mut fed = Fed::default();
        fed.want(once(object.size.saturating_sub(TAIL_BYTES)..object.size));
        Ok(Self {
            key: Arc::clone(&object.key),
            size: object.size,
            projection: projection.clone(),
            predicates: Arc::default(),
            sample: None,
            first_only: false,
            limits,
            next,
            rows: resume.map_or(0, |position| position.rows),
            fed,
            tail: None,
            metadata_start: 0,
            index: Vec::new(),
            pruned: Pruned::default(),
            stage: Stage::Tail,
        })
    }

    /// The same decoder, of which only rows are wanted that pass all of these.
    #[must_use]
    pub fn filtered(mut self, predicates: &Arc<[Predicate]>) -> Self {
        self.predicates = Arc::clone(predicates);
        self
    }

    /// The same decoder, of which so large a part of the row groups is enough, where that is given.
    #[must_use]
    pub fn sampled(mut self, part: Option<f64>) -> Self {
        self.sample = part;
        self
    }

    /// What the footer tells, as soon as it was fed: a caller that wants no rows may stop when this is there.
    #[must_use]
    pub fn footer(&self) -> Option<&Footer> {
        match &self.stage {
            Stage::Rows(rows) => Some(&rows.opened.footer),
            Stage::Index(index) => Some(&index.0.footer),
            Stage::Tail | Stage::Footer(_) => None,
        }
    }

    /// Says, before the first step, that only the first row group with rows is wanted.
    pub fn first_row_group_only(&mut self) {
        self.first_only = true;
    }

    /// The columns of the file with their stored bytes in the first row group that has rows, once the footer is known.
    #[must_use]
    pub fn first_row_group(&self) -> Vec<(String, u64)> {
        let opened = match &self.stage {
            Stage::Rows(rows) => &rows.opened,
            Stage::Index(index) => &index.0,
            Stage::Tail | Stage::Footer(_) => return Vec::new(),
        };
        let schema = opened.reader.parquet_schema();
        let roots = schema.root_schema().get_fields();
        let mut columns: Vec<(String, u64)> = roots.iter().map(|field| (field.name().to_owned(), 0)).collect();
        let Some(first) = first_with_rows(opened) else { return columns };
        for (leaf, chunk) in opened.reader.metadata().row_group(first).columns().iter().enumerate() {
            let bytes = chunk_range(chunk, self.size).map_or(0, |range| range.end - range.start);
            if let Some((_, total)) = columns.get_mut(schema.get_column_root_idx(leaf)) {
                *total += bytes;
            }
        }
        columns
    }

    /// How the file's values lie to each literal of the filters, in their order, once the footer is known: how the least and
    /// the greatest compare with it. `None` where statistics do not tell.
    #[must_use]
    pub fn standing(&self) -> Vec<Option<(Ordering, Ordering)>> {
        let opened = match &self.stage {
            Stage::Rows(rows) => &rows.opened,
            Stage::Index(index) => &index.0,
            Stage::Tail | Stage::Footer(_) => return Vec::new(),
        };
        let groups = opened.reader.metadata().row_groups();
        opened.pruner.as_ref().map(|pruner| pruner.standing(groups)).unwrap_or_default()
    }

    fn advance(&mut self) -> Result<Step> {
        loop {
            let missing = self.fed.missing();
            if !missing.is_empty() {
                return Ok(Step::NeedRanges(missing));
            }
            match &mut self.stage {
                Stage::Tail => self.read_tail()?,
                Stage::Footer(range) => {
                    let range = range.clone();
                    self.read_footer(&range)?;
                }
                Stage::Index(_) => {
                    self.read_index()?;
                    return Ok(Step::Planned(self.planned()));
                }
                Stage::Rows(_) => {
                    if let Some(step) = self.read_rows()? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    fn read_tail(&mut self) -> Result<()> {
        let tail = self.fed.take().1.pop().unwrap_or_default();
        let metadata = metadata_range(&tail, self.size, self.limits.footer_bytes)?;
        let tail_start = self.size - tail.len() as u64;
        self.tail = Some(tail);
        if metadata.start < tail_start {
            self.fed.want(once(metadata.start..tail_start));
        }
        self.metadata_start = metadata.start;
        self.stage = Stage::Footer(metadata);
        Ok(())
    }

    fn read_footer(&mut self, range: &Range<u64>) -> Result<()> {
        let tail = self.tail.clone().unwrap_or_default();
        let tail_start = self.size - tail.len() as u64;
        let opened = match self.fed.take().1.pop() {
            None => {
                let metadata = &tail[(range.start - tail_start) as usize..][..(range.end - range.start) as usize];
                open(metadata, self.size, &self.projection, &self.predicates)?
            }
            Some(head) => {
                let rest = &tail[..range.end.saturating_sub(tail_start) as usize];
                open(&[&head, rest].concat(), self.size, &self.projection, &self.predicates)?
            }
        };
        self.check_position(&opened)?;
        let groups = opened.reader.metadata().num_row_groups();
        let sample = match first_with_rows(&opened) {
            Some(first) if self.first_only => Some((0..groups).map(|group| group == first).collect()),
            _ => self.sample.map(|part| plan::sampled_groups(&self.key, &plan::group_bytes(&opened, self.size), part)),
        };
        let draft = Draft::new(&opened, self.next, sample.as_deref(), self.size, tail_start);
        let elsewhere = draft.parts.iter().map(|part| part.range.clone()).filter(|range| range.start < tail_start);
        self.index = elsewhere.collect();
        self.fed.want(self.index.iter().cloned());
        self.stage = Stage::Index(Box::new((opened, draft)));
        Ok(())
    }

    /// A position beyond the file's end says that the file is another one: better an error than missing rows.
    fn check_position(&self, opened: &Opened) -> Result<()> {
        let groups = opened.reader.metadata().row_groups();
        let inside = match groups.get(self.next.group) {
            Some(group) => self.next.row as u64 <= group.num_rows() as u64,
            None => self.next.group == groups.len() && self.next.row == 0,
        };
        if inside {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Changed, "the position to resume from is after the end of the file");
        Err(refused_position(error.with("row_group", self.next.group).with("row", self.next.row)))
    }

    fn read_index(&mut self) -> Result<()> {
        let Stage::Index(index) = std::mem::replace(&mut self.stage, Stage::Tail) else { return Ok(()) };
        let (opened, draft) = *index;
        let tail = self.tail.take().unwrap_or_default();
        let tail_start = self.size - tail.len() as u64;
        let mut fetched = self.fed.take().1.into_iter();
        let parts = draft.parts.iter().map(|part| match part.range.start < tail_start {
            true => fetched.next().unwrap_or_default(),
            false => tail.slice((part.range.start - tail_start) as usize..(part.range.end - tail_start) as usize),
        });
        let parts: Vec<Bytes> = parts.collect();
        let plan = draft.finish(&opened, &parts, self.size)?;
        self.pruned = plan.pruned;
        let groups = opened.reader.metadata().row_groups();
        let chunks = plan.slices.iter().flat_map(|slice| groups[slice.group].columns());
        if chunks.map(|chunk| chunk_range(chunk, self.size)).any(|range| range.is_ok_and(|r| r.start >= tail_start)) {
            self.tail = Some(tail);
        }
        self.stage = Stage::Rows(Box::new(Rows { opened, plan, current: None, upcoming: None, kept: HashMap::new() }));
        Ok(())
    }

    /// What will be asked for, once the plan is there.
    fn planned(&self) -> RangePlan {
        let steps = match &self.stage {
            Stage::Rows(rows) => rows.plan.ranges(&rows.opened, self.size),
            Stage::Tail | Stage::Footer(_) | Stage::Index(_) => Vec::new(),
        };
        RangePlan { metadata_start: self.metadata_start, index: self.index.clone(), steps }
    }

    /// The next batch or the end, or `None` after something else has moved: bytes were asked for, or a slice is done.
    fn read_rows(&mut self) -> Result<Option<Step>> {
        let Stage::Rows(rows) = &mut self.stage else { return Ok(None) };
        if rows.current.is_none() {
            let Some(mut next) = rows.take_next(self.limits)? else {
                self.tail = None;
                self.next = Start { group: rows.opened.reader.metadata().num_row_groups(), row: 0 };
                return Ok(Some(Step::Done));
            };
            let here = rows.give(&mut next, self.tail.as_ref(), self.size)?;
            self.fed.want(here);
            self.next = Start { group: next.slice.group, row: next.rest.front().map_or(0, |range| range.start) };
            rows.current = Some(next);
            return Ok(None);
        }
        if rows.current.as_ref().is_some_and(|current| current.room.is_none()) {
            return rows.prepare(&mut self.fed, self.limits, self.size);
        }
        let Some(current) = &mut rows.current else { return Ok(None) };
        if let Some(line_bytes) = current.pieces.as_ref().map(Pieces::next_bytes)
            && current.room_for(line_bytes)
        {
            return Ok(Some(Step::NeedRoom));
        }
        if let Some(pieces) = &mut current.pieces {
            if let Some(piece) = pieces.take()? {
                return self.hand_over(piece).map(Step::Batch).map(Some);
            }
            current.pieces = None;
        }
        if current.rest.is_empty() {
            let (group, long_row) = (current.slice.group, current.long_row);
            rows.current = None;
            return match long_row {
                Some(long) => Err(rows.too_long(group, long, self.limits.row_bytes)),
                None => Ok(None),
            };
        }
        let batch = match current.first.take() {
            Some(batch) => DecodeResult::Data(batch),
            None => current.decode()?,
        };
        match batch {
            DecodeResult::NeedsData(_) => Err(Error::internal("a Parquet decoder asked twice for its bytes")),
            DecodeResult::Data(batch) => {
                current.pieces = Some(Pieces::new(batch, self.limits.row_bytes));
                Ok(None)
            }
            DecodeResult::Finished => Err(Error::data("a row group has fewer rows than the footer declares")
                .with("rows", self.next.row)
                .with("expected_rows", current.slice.until)),
        }
    }

    fn hand_over(&mut self, batch: RecordBatch) -> Result<Decoded> {
        let Stage::Rows(rows) = &mut self.stage else { return Err(Error::internal("rows came from nowhere")) };
        let Some(current) = &mut rows.current else { return Err(Error::internal("rows came from nowhere")) };
        let mut left = batch.num_rows();
        while left > 0 {
            let Some(range) = current.rest.front_mut() else {
                return Err(Error::data("a row group has a different number of rows than the footer declares")
                    .with("rows", self.next.row));
            };
            let taken = left.min(range.len());
            range.start += taken;
            left -= taken;
            if range.start == range.end {
                current.rest.pop_front();
            }
        }
        if batch.num_rows() == 0 {
            return Err(Error::data("a row group has a different number of rows than the footer declares")
                .with("rows", self.next.row));
        }
        let batch = match &rows.opened.marked {
            Some(schema) => batch.with_schema(Arc::clone(schema)).map_err(|error| {
                Error::internal("the schema of a batch differs from that of its file").caused_by(error)
            })?,
            None => batch,
        };
        self.rows += batch.num_rows() as u64;
        let group_rows = rows.opened.reader.metadata().row_group(current.slice.group).num_rows() as usize;
        let group = current.slice.group;
        let row = current.rest.front().map_or(current.slice.until, |range| range.start);
        self.next = match row < group_rows {
            true => Start { group, row },
            false => Start { group: group + 1, row: 0 },
        };
        // Behind a group's last row it is still that group: where a row of it is refused later, the place before that
        // row can be told from the place behind the batch.
        let place = Place::RowGroup { group: group as u64, row: row as u64 };
        Ok(Decoded::new(Batch::Arrow(batch), Position::new(self.rows, place), Vec::new()))
    }

    /// Adds where it happened.
    fn place(&self, error: Error) -> Error {
        let error = error.with("key", &self.key);
        match self.stage {
            Stage::Rows(_) => error.with("row_group", self.next.group).with("row", self.next.row),
            Stage::Tail | Stage::Footer(_) | Stage::Index(_) => error,
        }
    }
}

impl Rows {
    /// The slice behind the present one, with its decoder.
    fn take_next(&mut self, limits: ParquetLimits) -> Result<Option<Active>> {
        if let Some(upcoming) = self.upcoming.take() {
            return Ok(Some(upcoming));
        }
        let Some(slice) = self.plan.slices.pop_front() else { return Ok(None) };
        let reader = self.reader(slice.paged);
        Active::new(slice, reader, &self.opened, limits).map(Some)
    }

    /// Gives a decoder what is there of what it wants, and returns the other ranges.
    fn give(&mut self, next: &mut Active, tail: Option<&Bytes>, size: u64) -> Result<Vec<Range<u64>>> {
        let (mut ranges, mut bytes, mut elsewhere) = (Vec::new(), Vec::new(), Vec::new());
        let kept = std::mem::take(&mut self.kept);
        for range in std::mem::take(&mut next.wanted) {
            match at_hand(&range, &kept, tail, size) {
                Some(piece) => {
                    bytes.push(piece);
                    ranges.push(range);
                }
                None => elsewhere.push(range),
            }
        }
        next.here = (ranges, bytes);
        Ok(elsewhere)
    }

    /// Goes on with the current slice, all of whose bytes are there now: looks at the headers of its pages, then into those
    /// whose headers do not tell enough, and then begins to decode. There must be room for each.
    fn prepare(&mut self, fed: &mut Fed, limits: ParquetLimits, size: u64) -> Result<Option<Step>> {
        let Some(mut current) = self.current.take() else { return Ok(None) };
        let group = self.opened.reader.metadata().row_group(current.slice.group);
        if !fed.idle() {
            let (more, pieces) = fed.take();
            current.here.0.extend(more);
            current.here.1.extend(pieces);
        }
        let asks = match &mut current.pages {
            _ if current.repacked.is_some() => {
                self.repack(&mut current)?;
                true
            }
            None => {
                let paged = self.plan.paged.as_ref().filter(|_| current.slice.paged);
                let mut pages = check(&self.opened, paged, &current.slice, &current.here, size)?;
                current.held_bytes = measure::prepare(group, &mut pages);
                current.pages = Some(pages);
                current.held_bytes > 0
            }
            Some(pages) if current.held_bytes > 0 => {
                current.long_row = measure::measure(group, pages, limits.row_bytes as u64)?;
                // It is given back before more is asked for: two that hold some would wait for each other.
                current.held_bytes = 0;
                true
            }
            Some(_) => {
                current = self.begin(current, limits)?;
                true
            }
        };
        self.current = Some(current);
        Ok(asks.then_some(Step::NeedRoom))
    }

    /// Decides how many rows are decoded at once, and gives the pages to the decoder.
    fn begin(&mut self, mut current: Active, limits: ParquetLimits) -> Result<Active> {
        if current.slice.paged {
            self.kept = current.here.0.iter().cloned().zip(current.here.1.iter().cloned()).collect();
        }
        let pages = current.pages.take().unwrap_or_default();
        let group = self.opened.reader.metadata().row_group(current.slice.group);
        let most = batch_rows(&self.opened, group, limits);
        if let Some(long) = current.long_row {
            current.end_before(long);
        }
        if current.rest.is_empty() {
            (current.room, current.held_bytes) = (Some(Room { rows: most, bytes: 0 }), 0);
            return Ok(current);
        }
        let schema = self.opened.reader.schema();
        let room = room::room(group, schema, &pages, most);
        if room.bytes > room::MOST_BYTES {
            let repacked = Repacked::plan(&self.opened, group, &pages, room.rows)?;
            (current.held_bytes, current.repacked) = (repacked.bytes(), Some(repacked));
            return Ok(current);
        }
        if room.rows < most || current.long_row.is_some() {
            let (here, long_row) = (std::mem::take(&mut current.here), current.long_row);
            let reader = self.reader(current.slice.paged);
            current = Active::with_batches(current.slice, reader, &self.opened, room.rows)?;
            (current.here, current.long_row) = (here, long_row);
        }
        (current.room, current.held_bytes) = (Some(room), room.bytes);
        let (ranges, bytes) = std::mem::take(&mut current.here);
        guarded(|| current.decoder.push_ranges(ranges, bytes))?;
        Ok(current)
    }

    /// Goes on with giving a slice smaller pages.
    fn repack(&self, current: &mut Active) -> Result<()> {
        let Some(repacked) = &mut current.repacked else { return Ok(()) };
        let reader = self.reader(current.slice.paged);
        if repacked.go_on(reader, &current.slice, &current.here)? {
            let room = Room { rows: repacked.rows(), bytes: repacked.bytes() };
            (current.room, current.here) = (Some(room), Default::default());
        }
        current.held_bytes = repacked.bytes();
        Ok(())
    }

    fn reader(&self, paged: bool) -> &ArrowReaderMetadata {
        match &self.plan.paged {
            Some(reader) if paged => reader,
            _ => &self.opened.reader,
        }
    }

    fn too_long(&self, group: usize, long: LongRow, limit_bytes: usize) -> Error {
        let group = self.opened.reader.metadata().row_group(group);
        Error::data("a row is longer than the limit allows")
            .with("row_values", long.values)
            .with("limit_bytes", limit_bytes)
            .with("column", group.column(long.leaf).column_path().string())
            .hint("leave the column out of the stream's catalog, or write its values to files of their own")
    }
}

impl Active {
    /// One decoder per slice keeps the position exact and lets everything of a slice go when it is done.
    fn new(slice: Slice, reader: &ArrowReaderMetadata, opened: &Opened, limits: ParquetLimits) -> Result<Self> {
        let group = opened.reader.metadata().row_group(slice.group);
        Self::with_batches(slice, reader, opened, batch_rows(opened, group, limits))
    }

    fn with_batches(slice: Slice, reader: &ArrowReaderMetadata, opened: &Opened, batch_rows: usize) -> Result<Self> {
        let mut decoder = decoder_of(reader, &slice, opened.mask.clone(), batch_rows)?;
        let (wanted, first) = match guarded(|| decoder.try_decode())? {
            DecodeResult::NeedsData(wanted) => (wanted, None),
            DecodeResult::Data(batch) => (Vec::new(), Some(batch)),
            DecodeResult::Finished => (Vec::new(), None),
        };
        let rest = slice.rows.iter().cloned().collect();
        let (here, pages, room, long_row) = (Default::default(), None, None, None);
        let (repacked, pieces, held_bytes) = (None, None, 0);
        Ok(Self { slice, rest, decoder, wanted, first, here, pages, room, long_row, repacked, pieces, held_bytes })
    }

    fn decode(&mut self) -> Result<DecodeResult<RecordBatch>> {
        match &mut self.repacked {
            Some(repacked) => repacked.decode(),
            None => guarded(|| self.decoder.try_decode()),
        }
    }

    /// Leaves out the rows from this one on. All are left out where it is none of those that are read, or nobody knows: they
    /// cannot be read without it then.
    fn end_before(&mut self, long: LongRow) {
        let row = long.row.and_then(|row| usize::try_from(row).ok());
        let row = row.filter(|row| self.slice.rows.iter().any(|range| range.contains(row)));
        let end = row.or(self.slice.rows.first().map(|range| range.start)).unwrap_or(0);
        self.slice.rows.iter_mut().for_each(|range| range.end = range.end.min(end));
        self.slice.rows.retain(|range| range.start < range.end);
        self.slice.until = end;
        self.rest = self.slice.rows.iter().cloned().collect();
    }

    /// Whether room is to be made for lines of so many bytes, in which each of them is several times.
    fn room_for(&mut self, line_bytes: u64) -> bool {
        let base = self.room.map_or(0, |room| room.bytes);
        let wanted = if line_bytes > PIECE_BYTES { base.saturating_add(line_bytes * LINE_COPIES) } else { base };
        let more = wanted > self.held_bytes;
        self.held_bytes = wanted;
        more
    }
}

/// A range's bytes, where they were fetched before.
fn at_hand(range: &Range<u64>, kept: &HashMap<Range<u64>, Bytes>, tail: Option<&Bytes>, size: u64) -> Option<Bytes> {
    if let Some(bytes) = kept.get(range) {
        return Some(bytes.clone());
    }
    let tail = tail?;
    let start = range.start.checked_sub(size - tail.len() as u64)? as usize;
    Some(tail.slice(start..start + (range.end - range.start) as usize))
}

/// Looks at the pages that a decoder is about to be given, by leaf column. `paged`: the reader that knows where they lie.
fn check(
    opened: &Opened,
    paged: Option<&ArrowReaderMetadata>,
    slice: &Slice,
    (ranges, bytes): &(Vec<Range<u64>>, Vec<Bytes>),
    size: u64,
) -> Result<BTreeMap<usize, Pages>> {
    let group = opened.reader.metadata().row_group(slice.group);
    let mut pages = BTreeMap::<usize, Pages>::new();
    let within = |leaf: usize| Some((chunk_range(group.column(leaf), size).ok()?, leaf));
    let mut chunks: Vec<_> =
        (0..group.num_columns()).filter(|leaf| opened.mask.leaf_included(*leaf)).filter_map(within).collect();
    chunks.sort_unstable_by_key(|(range, _)| (range.start, range.end));
    let mut parts: Vec<_> = ranges.iter().zip(bytes).collect();
    parts.sort_unstable_by_key(|(range, _)| range.start);
    let index = paged.and_then(|paged| paged.metadata().offset_index()?.get(slice.group));
    for (range, bytes) in parts {
        let behind = chunks.partition_point(|(chunk, _)| chunk.start <= range.start);
        let Some((_, leaf)) = chunks[..behind].last().filter(|(chunk, _)| range.end <= chunk.end) else {
            return Err(Error::data("the column chunks of a row group overlap").with("offset", range.start));
        };
        let chunk = group.column(*leaf);
        let rows = index.and_then(|index| rows_of_page(index.get(*leaf)?, range.start, group.num_rows()));
        check_pages(bytes, chunk, rows.as_ref(), pages.entry(*leaf).or_default())
            .map_err(|error| error.with("column", chunk.column_path().string()))?;
    }
    Ok(pages)
}

/// The rows of the page at an offset, as its index tells.
fn rows_of_page(index: &OffsetIndexMetaData, offset: u64, rows: i64) -> Option<Range<u64>> {
    let pages = index.page_locations();
    let page = pages.binary_search_by_key(&offset.cast_signed(), |page| page.offset).ok()?;
    let end = pages.get(page + 1).map_or(rows, |next| next.first_row_index);
    Some(u64::try_from(pages[page].first_row_index).ok()?..u64::try_from(end).ok()?)
}

impl Decode for ParquetDecoder {
    fn access(&self) -> Access {
        Access::Ranges
    }

    fn step(&mut self) -> Result<Step> {
        self.advance().map_err(|error| self.place(error))
    }

    fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        self.fed.add(offset, &bytes);
        Ok(())
    }

    fn end_input(&mut self, _: InputEnd) {}

    fn next_ranges(&mut self) -> Result<Vec<Range<u64>>> {
        let Stage::Rows(rows) = &mut self.stage else { return Ok(Vec::new()) };
        if rows.upcoming.is_none() {
            let next = rows.take_next(self.limits);
            rows.upcoming = match next {
                Ok(next) => next,
                Err(error) => return Err(self.place(error)),
            };
        }
        let Some(upcoming) = &rows.upcoming else { return Ok(Vec::new()) };
        let wanted = upcoming.wanted.iter();
        let elsewhere = wanted.filter(|range| at_hand(range, &rows.kept, self.tail.as_ref(), self.size).is_none());
        Ok(elsewhere.cloned().collect())
    }

    fn facts(&self) -> FileFacts {
        let schema = self.footer().map(|footer| Arc::clone(&footer.schema));
        let names = schema.iter().flat_map(|schema| schema.fields()).map(|field| field.name());
        let unprojected_columns = names.filter(|name| !self.projection.wants(name)).cloned().collect();
        FileFacts { schema, unprojected_columns, pruned: self.pruned, ..FileFacts::default() }
    }

    fn held_bytes(&self) -> u64 {
        let Stage::Rows(rows) = &self.stage else { return 0 };
        rows.current.as_ref().map_or(0, |current| current.held_bytes)
    }
}

/// The first row group that has rows.
fn first_with_rows(opened: &Opened) -> Option<usize> {
    opened.reader.metadata().row_groups().iter().position(|group| group.num_rows() > 0)
}

/// Rows per batch, so that wide rows do not make large batches.
fn batch_rows(opened: &Opened, group: &RowGroupMetaData, limits: ParquetLimits) -> usize {
    let columns = group.columns().iter().enumerate();
    let bytes: i64 = columns
        .filter(|(leaf, _)| opened.mask.leaf_included(*leaf))
        .fold(0, |sum, (_, chunk)| sum.saturating_add(chunk.uncompressed_size()));
    let row_bytes = (bytes / group.num_rows().max(1)).max(1);
    usize::try_from(limits.batch_bytes as i64 / row_bytes).unwrap_or(1).clamp(1, limits.batch_rows.max(1))
}
