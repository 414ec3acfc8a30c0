//! Parquet → record batches.
//!
//! ```text
//!   last 64 KiB ─▶ metadata (a second range only where it is longer) ─▶ for each row group:
//!     the ranges of the wanted column chunks, all in one step ─▶ batches, each with the position behind it
//! ```
//!
//! What this room refuses: encrypted files, and column chunks in other files. Memory is one row group's wanted
//! column chunks as stored, and one batch; it does not grow with the file.

mod fed;
mod footer;
mod guard;
mod shape;
#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some of them short")]
mod tests;

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::file::metadata::RowGroupMetaData;

use self::fed::Fed;
pub use self::footer::Footer;
use self::footer::{Opened, chunk_range, metadata_range, open};
use self::guard::guarded;
use crate::batch::{Batch, Decoded, Place, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{Access, Decode, Step};
use crate::object::ObjectFacts;
use crate::options::Projection;

/// The first range asked for: nearly every footer fits, and small files fit as a whole.
pub const TAIL_BYTES: u64 = 64 * 1024;

/// How much a decoder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Bytes of a batch, about: batches of wide rows have fewer rows.
    pub batch_bytes: usize,
    /// Bytes of a footer at most. A longer one is refused.
    pub footer_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch_rows: 8192, batch_bytes: 8 << 20, footer_bytes: 64 << 20 }
    }
}

/// A decoder of one Parquet object.
#[derive(Debug)]
pub struct ParquetDecoder {
    key: Arc<str>,
    size: u64,
    projection: Projection,
    limits: Limits,
    next: Next,
    rows: u64,
    fed: Fed,
    /// The end of the object, as long as a column chunk may be taken from it.
    tail: Option<Bytes>,
    /// Where the metadata begins, once the tail told it.
    metadata_start: u64,
    stage: Stage,
}

/// The next row.
#[derive(Debug, Clone, Copy)]
struct Next {
    group: usize,
    row: usize,
}

#[derive(Debug)]
enum Stage {
    /// The object's last bytes are asked for.
    Tail,
    /// The rest of the metadata, which lies at this range, is asked for.
    Footer(Range<u64>),
    /// Row groups, until there are no more.
    Rows(Box<Rows>),
}

#[derive(Debug)]
struct Rows {
    opened: Opened,
    /// The decoder of the present row group.
    decoder: Option<ParquetPushDecoder>,
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
        limits: Limits,
    ) -> Result<Self> {
        let next = match resume.map(|position| &position.place) {
            None | Some(Place::Start) => Next { group: 0, row: 0 },
            Some(Place::RowGroup { group, row }) => Next {
                group: usize::try_from(*group).unwrap_or(usize::MAX),
                row: usize::try_from(*row).unwrap_or(usize::MAX),
            },
            Some(Place::Byte { .. } | Place::Block { .. }) => {
                return Err(Error::config("the state has a position of another format in this Parquet file")
                    .with("key", &object.key)
                    .hint("reset the stream, or use the format that it was read with before"));
            }
        };
        let mut fed = Fed::default();
        fed.want(once(object.size.saturating_sub(TAIL_BYTES)..object.size));
        Ok(Self {
            key: Arc::clone(&object.key),
            size: object.size,
            projection: projection.clone(),
            limits,
            next,
            rows: resume.map_or(0, |position| position.rows),
            fed,
            tail: None,
            metadata_start: 0,
            stage: Stage::Tail,
        })
    }

    /// What the footer tells, as soon as it was fed: a caller that wants no rows may stop when this is there.
    #[must_use]
    pub fn footer(&self) -> Option<&Footer> {
        match &self.stage {
            Stage::Rows(rows) => Some(&rows.opened.footer),
            Stage::Tail | Stage::Footer(_) => None,
        }
    }

    /// Where the metadata begins, and the ranges that will be wanted of each row group from the position on: known with
    /// the footer, for estimates.
    #[must_use]
    pub fn wanted(&self) -> Option<(u64, Vec<Vec<Range<u64>>>)> {
        let Stage::Rows(rows) = &self.stage else { return None };
        let Opened { reader, mask, .. } = &rows.opened;
        let groups = reader.metadata().row_groups().iter().skip(self.next.group);
        let wanted = groups.map(|group| {
            let chunks = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
            chunks.filter_map(|(_, chunk)| chunk_range(chunk, self.size).ok()).collect()
        });
        Some((self.metadata_start, wanted.collect()))
    }

    /// Goes on until the footer is known; until then, what is to be fed. For a caller that wants no rows: nothing is
    /// decoded.
    ///
    /// # Errors
    /// As [`Decode::step`].
    pub fn step_to_footer(&mut self) -> Result<Option<Vec<Range<u64>>>> {
        loop {
            let missing = self.fed.missing();
            if !missing.is_empty() {
                return Ok(Some(missing));
            }
            let read = match &self.stage {
                Stage::Tail => self.read_tail(),
                Stage::Footer(range) => {
                    let range = range.clone();
                    self.read_footer(&range)
                }
                Stage::Rows(_) => return Ok(None),
            };
            read.map_err(|error| self.place(error))?;
        }
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
        let tail = self.tail.take().unwrap_or_default();
        let tail_start = self.size - tail.len() as u64;
        let opened = match self.fed.take().1.pop() {
            None => open(
                &tail[(range.start - tail_start) as usize..][..(range.end - range.start) as usize],
                self.size,
                &self.projection,
            )?,
            Some(head) => {
                let rest = &tail[..range.end.saturating_sub(tail_start) as usize];
                open(&[&head, rest].concat(), self.size, &self.projection)?
            }
        };
        self.check_position(&opened)?;
        let groups = opened.reader.metadata().row_groups();
        let chunks = groups.iter().skip(self.next.group).flat_map(RowGroupMetaData::columns);
        if chunks.map(|chunk| chunk_range(chunk, self.size)).any(|range| range.is_ok_and(|r| r.start >= tail_start)) {
            self.tail = Some(tail);
        }
        self.stage = Stage::Rows(Box::new(Rows { opened, decoder: None }));
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
        Err(Error::new(ErrorKind::Changed, "the position to resume from lies behind the end of the file")
            .with("row_group", self.next.group)
            .with("row", self.next.row))
    }

    /// The next batch or the end, or `None` after something else has moved: bytes were asked for, or a row group is
    /// done.
    fn read_rows(&mut self) -> Result<Option<Step>> {
        let Stage::Rows(rows) = &mut self.stage else { return Ok(None) };
        let Some(group) = rows.opened.reader.metadata().row_groups().get(self.next.group) else {
            self.tail = None;
            return Ok(Some(Step::Done));
        };
        let group_rows = group.num_rows() as usize;
        if self.next.row >= group_rows {
            self.next = Next { group: self.next.group + 1, row: 0 };
            rows.decoder = None;
            return Ok(None);
        }
        let decoder = match &mut rows.decoder {
            Some(decoder) => decoder,
            empty => empty.insert(group_decoder(&rows.opened, self.next, self.limits)?),
        };
        if !self.fed.idle() {
            let (ranges, bytes) = self.fed.take();
            guarded(|| decoder.push_ranges(ranges, bytes))?;
        }
        match guarded(|| decoder.try_decode())? {
            DecodeResult::NeedsData(ranges) => {
                let elsewhere = take_from_tail(decoder, self.tail.as_ref(), self.size, ranges)?;
                self.fed.want(elsewhere);
                Ok(None)
            }
            DecodeResult::Data(batch) => self.hand_over(batch, group_rows).map(Step::Batch).map(Some),
            DecodeResult::Finished => Err(Error::data("a row group has fewer rows than the footer says")
                .with("rows", self.next.row)
                .with("expected_rows", group_rows)),
        }
    }

    fn hand_over(&mut self, batch: RecordBatch, group_rows: usize) -> Result<Decoded> {
        self.rows += batch.num_rows() as u64;
        self.next.row += batch.num_rows();
        if self.next.row > group_rows || batch.num_rows() == 0 {
            return Err(Error::data("a row group has other rows than the footer says")
                .with("rows", self.next.row)
                .with("expected_rows", group_rows));
        }
        if self.next.row == group_rows {
            self.next = Next { group: self.next.group + 1, row: 0 };
            if let Stage::Rows(rows) = &mut self.stage {
                rows.decoder = None;
            }
        }
        let place = Place::RowGroup { group: self.next.group as u64, row: self.next.row as u64 };
        Ok(Decoded { batch: Batch::Arrow(batch), after: Position { rows: self.rows, place }, rejects: Vec::new() })
    }

    /// Adds where it happened.
    fn place(&self, error: Error) -> Error {
        let error = error.with("key", &self.key);
        match self.stage {
            Stage::Rows(_) => error.with("row_group", self.next.group).with("row", self.next.row),
            Stage::Tail | Stage::Footer(_) => error,
        }
    }
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

    fn finish(&mut self) {}
}

/// A decoder of what is left of the row group at `next`. One decoder per row group keeps the position exact and lets
/// everything of a row group go when it is done.
fn group_decoder(opened: &Opened, next: Next, limits: Limits) -> Result<ParquetPushDecoder> {
    let group = opened.reader.metadata().row_group(next.group);
    let mut builder = ParquetPushDecoderBuilder::new_with_metadata(opened.reader.clone())
        .with_row_groups(vec![next.group])
        .with_projection(opened.mask.clone())
        .with_batch_size(batch_rows(opened, group, limits));
    if next.row > 0 {
        let rest = group.num_rows() as usize - next.row;
        builder = builder
            .with_row_selection(RowSelection::from(vec![RowSelector::skip(next.row), RowSelector::select(rest)]));
    }
    guarded(|| builder.build())
}

/// Rows per batch, so that wide rows do not make large batches.
fn batch_rows(opened: &Opened, group: &RowGroupMetaData, limits: Limits) -> usize {
    let columns = group.columns().iter().enumerate();
    let bytes: i64 = columns
        .filter(|(leaf, _)| opened.mask.leaf_included(*leaf))
        .fold(0, |sum, (_, chunk)| sum.saturating_add(chunk.uncompressed_size()));
    let row_bytes = (bytes / group.num_rows().max(1)).max(1);
    usize::try_from(limits.batch_bytes as i64 / row_bytes).unwrap_or(1).clamp(1, limits.batch_rows.max(1))
}

/// Gives the decoder what the tail has, and returns the other ranges.
fn take_from_tail(
    decoder: &mut ParquetPushDecoder,
    tail: Option<&Bytes>,
    size: u64,
    ranges: Vec<Range<u64>>,
) -> Result<Vec<Range<u64>>> {
    let Some(tail) = tail else { return Ok(ranges) };
    let tail_start = size - tail.len() as u64;
    let (here, elsewhere): (Vec<_>, Vec<_>) = ranges.into_iter().partition(|range| range.start >= tail_start);
    let bytes = here
        .iter()
        .map(|range| tail.slice((range.start - tail_start) as usize..(range.end - tail_start) as usize))
        .collect();
    guarded(|| decoder.push_ranges(here, bytes))?;
    Ok(elsewhere)
}
