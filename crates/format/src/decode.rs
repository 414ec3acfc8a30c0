//! The trait of all decoders, and what they are asked and answer with.

use std::ops::Range;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::compression::Caps;
use tollgate_base::batch::{Decoded, InferredColumn};
use tollgate_base::error::Result;
use tollgate_base::options::{InferenceDepth, OnBadRow};

/// What a decoder wants next, or has ready.
#[derive(Debug)]
pub enum Step {
    /// The object's next bytes, in order: call [`Decode::feed`] with them, or [`Decode::end_input`] when there are none.
    NeedBytes,
    /// These ranges of the object. All of them are fed (each from its start, in any pieces) before the next step.
    /// They are as the format wants them: merging them into requests is `plan`'s work. A decoder of [`Access::Stream`]
    /// may ask for some before it asks for the stream.
    NeedRanges(Vec<Range<u64>>),
    /// It needs more memory than before, as [`Decode::held_bytes`] tells now: make room for that, then step on.
    NeedRoom,
    /// What a decoder of [`Access::Ranges`] will ask for. It comes once, before the first rows are asked for.
    Planned(RangePlan),
    /// Rows or rejects or both, and the position after them.
    Batch(Decoded),
    /// All rows were handed over.
    Done,
}

/// How a decoder gets at the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From this byte to the end, in order.
    Stream {
        /// The first byte wanted.
        from: u64,
    },
    /// By ranges, as [`Step::NeedRanges`] asks.
    Ranges,
}

/// Why no more bytes are fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputEnd {
    /// The object has no more.
    Complete,
    /// The object has more, but they will not come: [`Decode::step`] hands over the rows that are complete, however few, and
    /// then asks for bytes again.
    Cut,
}

/// A decoder of one object. It does no I/O and never blocks; its memory is bounded by its batch and by what it was
/// fed and has not used.
pub trait Decode: Send {
    /// How it wants to be fed. Constant over its life.
    fn access(&self) -> Access;

    /// Goes on until a batch is ready or something is missing. After an error, or `Done`, it must not be called again.
    ///
    /// # Errors
    /// [`tollgate_base::error::ErrorKind::Data`] with line, row or byte where the bytes are not what the format says.
    fn step(&mut self) -> Result<Step>;

    /// Hands over bytes of the object that begin at `offset`. For [`Access::Stream`] they follow one another.
    ///
    /// # Errors
    /// As [`Decode::step`].
    fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()>;

    /// Says that no more bytes will be fed, and why ([`Access::Stream`] only).
    fn end_input(&mut self, end: InputEnd);

    /// Memory in bytes that it needs besides what it is fed and a usual batch, from now on: where its bytes cannot be used
    /// as they come, for what a decompressor must remember, and for rows that are larger than usual. It changes while the
    /// object is read; before it grows for what the bytes turn out to hold, there is a [`Step::NeedRoom`].
    fn held_bytes(&self) -> u64 {
        0
    }

    /// Ranges that will be asked for after the present batches, where that is known: a caller may fetch them meanwhile,
    /// and feeds them when they are asked for. Asking again gives the same ranges.
    ///
    /// # Errors
    /// As [`Decode::step`].
    fn next_ranges(&mut self) -> Result<Vec<Range<u64>>> {
        Ok(Vec::new())
    }

    /// The columns that the file itself declares, as soon as it is known that it does: a caller that wants no rows may
    /// stop then. `None` where only rows tell. Where their types are not declared but their names are, they are null.
    fn columns(&self) -> Option<Vec<InferredColumn>> {
        None
    }

    /// What it knows of the file besides its rows, so far.
    fn facts(&self) -> FileFacts {
        FileFacts::default()
    }
}

/// What a decoder knows of its file besides the rows.
#[derive(Debug, Clone, Default)]
pub struct FileFacts {
    /// The schema of all columns, where the file has one: Parquet.
    pub schema: Option<SchemaRef>,
    /// The columns that the projection does not want, where the format can leave columns out.
    pub unprojected_columns: Vec<String>,
    /// What the offsets of rejects and rows count, where that is not the bytes of the object.
    pub offset_unit: Option<&'static str>,
    /// Rows that were not decoded, since no row among them can be wanted.
    pub pruned: Pruned,
}

impl FileFacts {
    /// Whether the file has a column; `None` where only its rows tell.
    #[must_use]
    pub fn has_column(&self, name: &str) -> Option<bool> {
        Some(self.schema.as_ref()?.column_with_name(name).is_some())
    }
}

/// What a decoder of ranges asks for, from the beginning of its work on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangePlan {
    /// Where what describes the object begins.
    pub metadata_start: u64,
    /// The parts of indexes that it asked for.
    pub index: Vec<Range<u64>>,
    /// The ranges of each step. Two that follow one another may share some.
    pub steps: Vec<Vec<Range<u64>>>,
}

/// What was not decoded: it was proved to hold no wanted row, or is not in the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// All rows.
    pub rows: u64,
    /// Whole row groups.
    pub row_groups: u64,
    /// Bytes of wanted columns that were not asked for.
    pub bytes: u64,
    /// Row groups that are not in the sample, besides those.
    pub unsampled_row_groups: u64,
    /// Their rows.
    pub unsampled_rows: u64,
}

impl Pruned {
    /// Adds another file's.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.row_groups += other.row_groups;
        self.bytes += other.bytes;
        self.unsampled_row_groups += other.unsampled_row_groups;
        self.unsampled_rows += other.unsampled_rows;
    }
}

impl std::fmt::Display for Pruned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, row_groups, bytes, .. } = self;
        write!(
            f,
            "{rows} rows skipped by the filter or the cursor without being read, including {row_groups} whole row \
             groups, {bytes} bytes in total"
        )
    }
}

/// How much a decoder may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Rows of a batch at most.
    pub batch_rows: usize,
    /// Bytes of text of a batch, about; a longer row makes its own.
    pub batch_bytes: usize,
    /// Bytes of one text row at most; a longer one is an error.
    pub row_bytes: usize,
    /// What decompression may produce.
    pub caps: Caps,
    /// What a row that is not what its format says does. Under `Collect` a decoder that can find the next row hands the
    /// bad one over in [`Decoded::rejects`] and goes on; one that cannot ends with an error as under `Stop`.
    pub on_bad_row: OnBadRow,
    /// Whether a line of JSON may be an array, as it may where rows go out as they are. Such a row has one field, whose key is
    /// [`Span::ABSENT`](tollgate_base::batch::Span::ABSENT).
    pub array_rows: bool,
    /// Whether the texts of rows are kept as they stand in the file, for those that an encoder may refuse.
    pub keep_source: bool,
    /// How far [`Decode::columns`] looks into the types of columns.
    pub inference: InferenceDepth,
}

impl Default for DecodeLimits {
    /// 256 KiB a batch: what stays in a processor's second cache together with the lines made of it.
    fn default() -> Self {
        let on_bad_row = OnBadRow::default();
        Self {
            batch_rows: 8192,
            batch_bytes: 256 << 10,
            row_bytes: 32 << 20,
            caps: Caps::default(),
            on_bad_row,
            array_rows: false,
            keep_source: false,
            inference: InferenceDepth::default(),
        }
    }
}
