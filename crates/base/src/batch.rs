//! What decoders return: rows in one of three shapes, and the position in the object after them.
//!
//! There are three shapes because numbers keep their text, which a conversion to Arrow would lose, and because
//! converting CSV or JSON directly to RECORD lines is two to four times cheaper than converting it to columns first.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use serde::{Deserialize, Serialize};

/// A run of bytes in a batch's buffer. Batches stay far below 4 GiB: a decoder refuses a longer row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A field that is missing because its row is shorter than the header. No field that exists has this span.
    pub const ABSENT: Self = Self { start: 0, end: 0 };

    /// Whether this is [`Span::ABSENT`].
    #[must_use]
    pub fn absent(self) -> bool {
        self.end == 0
    }

    /// The bytes of this span in `buffer`.
    #[must_use]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.end as usize]
    }

    /// As a range.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where the text of a batch starts in its object. [`RowStart`] counts from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextOrigin {
    /// Bytes of decoded text before it.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
}

/// Where a row begins in the text of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowStart {
    /// Its first byte.
    pub byte: u32,
    /// Lines before it, counted from the batch's first.
    pub line: u32,
}

/// Rows of text fields: CSV and TSV.
#[derive(Debug, Clone, Default)]
pub struct TextRows {
    /// The names of the file's columns, in file order. Shared by all batches of a file: an encoder may compare
    /// the pointer to know that its column mapping still holds.
    pub columns: Arc<[Box<str>]>,
    /// UTF-8, checked. Fields are unquoted and unescaped in place.
    pub data: Vec<u8>,
    /// `columns.len()` spans per row, row after row.
    pub fields: Vec<Span>,
    /// The number of rows.
    pub rows: usize,
    /// Where each row starts. Empty if unknown.
    pub starts: Vec<RowStart>,
    /// Where `data` begins.
    pub origin: TextOrigin,
    /// Rows among them that were padded or cut to the width of the header.
    pub adjusted: usize,
    /// The original texts of the rows that were changed by removing quotes and escapes, by the first byte of the row.
    /// `None` if they were not requested.
    pub originals: Option<Vec<(u32, Box<[u8]>)>>,
}

impl TextRows {
    /// The spans of one row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[Span] {
        &self.fields[row * self.columns.len()..(row + 1) * self.columns.len()]
    }
}

/// The JSON type of a value, known from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A top-level member of a JSON row.
#[derive(Debug, Clone, Copy)]
pub struct JsonField {
    /// The key's content between its quotes, as written (escapes are kept).
    pub key: Span,
    /// The value's text as written, a string's quotes included. It holds no line break.
    pub value: Span,
    /// The value's type.
    pub kind: JsonKind,
}

/// Rows that were JSON objects: JSONL and JSON. Every span was validated as JSON and as UTF-8.
#[derive(Debug, Clone, Default)]
pub struct JsonRows {
    /// The input's text.
    pub data: Vec<u8>,
    /// The members of all rows in input order.
    pub fields: Vec<JsonField>,
    /// For each row, one past its last member in `fields`.
    pub row_ends: Vec<u32>,
    /// Where each row starts. Empty if unknown.
    pub starts: Vec<RowStart>,
    /// Where `data` begins.
    pub origin: TextOrigin,
}

impl JsonRows {
    /// The members of one row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[JsonField] {
        let start = if row == 0 { 0 } else { self.row_ends[row - 1] as usize };
        &self.fields[start..self.row_ends[row] as usize]
    }
}

/// Rows, in the shape that their format gives.
#[derive(Debug, Clone)]
pub enum Batch {
    /// Typed columns: Parquet, Avro, Excel.
    Arrow(RecordBatch),
    /// Text fields: CSV, TSV.
    Text(TextRows),
    /// JSON objects: JSONL, JSON.
    Json(JsonRows),
}

impl Batch {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Arrow(batch) => batch.num_rows(),
            Self::Text(rows) => rows.rows,
            Self::Json(rows) => rows.row_ends.len(),
        }
    }

    /// Whether a row has a column or a member of this name.
    #[must_use]
    pub fn has_column(&self, name: &str) -> bool {
        match self {
            Self::Arrow(batch) => batch.schema_ref().column_with_name(name).is_some(),
            Self::Text(rows) => rows.columns.iter().any(|column| **column == *name),
            Self::Json(rows) => rows.fields.iter().any(|field| *field.key.of(&rows.data) == *name.as_bytes()),
        }
    }

    /// The memory this batch holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Arrow(batch) => batch.get_array_memory_size(),
            Self::Text(rows) => {
                rows.data.capacity()
                    + rows.fields.capacity() * size_of::<Span>()
                    + rows.starts.capacity() * size_of::<RowStart>()
                    + rows.originals.iter().flatten().map(|(_, text)| text.len()).sum::<usize>()
            }
            Self::Json(rows) => {
                rows.data.capacity()
                    + rows.fields.capacity() * size_of::<JsonField>()
                    + rows.row_ends.capacity() * 4
                    + rows.starts.capacity() * size_of::<RowStart>()
            }
        }
    }

    /// Where a row of a text format begins: lines and bytes of decoded text before it.
    #[must_use]
    pub fn start_of(&self, row: usize) -> Option<TextOrigin> {
        let (starts, origin) = match self {
            Self::Arrow(_) => return None,
            Self::Text(rows) => (&rows.starts, rows.origin),
            Self::Json(rows) => (&rows.starts, rows.origin),
        };
        let start = starts.get(row)?;
        Some(TextOrigin { offset: origin.offset + u64::from(start.byte), line: origin.line + u64::from(start.line) })
    }
}

/// A rejected row. The decoder rejects a row that does not conform to the format, and the encoder one that does not
/// conform to the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reject {
    /// The line in which it begins, from 1, for formats that have lines.
    pub line: Option<u64>,
    /// The number of bytes before it, in the decoded text, or in the object if it is not decoded.
    pub offset: Option<u64>,
    /// The unit of the offset, if it is not bytes of the object.
    pub offset_unit: Option<&'static str>,
    /// Its number among the object's rows, from 1, for formats that count them.
    pub row: Option<u64>,
    /// The number of rows after it that are lost too, because it is unknown where they start.
    pub more_rows: u64,
    /// The reason, as a short fact that is the same for all rows of one kind. Rejects are counted by reason.
    pub reason: Cow<'static, str>,
    /// Its text in the file, including the line end. For a row that an encoder rejects, it is the text without the line
    /// end, or a JSON object if the format is binary.
    pub raw: Vec<u8>,
    /// Whether `raw` is only the beginning of a row that is longer than any row may be.
    pub cut: bool,
}

impl Reject {
    /// The number of rejected rows: this one and the lost ones.
    #[must_use]
    pub fn rows(&self) -> u64 {
        1 + self.more_rows
    }
}

/// The type of a column, inferred from a sample.
///
/// Types form a lattice, so merging never fails, and its result does not depend on the order:
///
/// ```text
///   null ─▶ boolean ─▶ integer ─▶ number ─┐
///   null ─▶ date, timestamp, time ────────┼─▶ string
///   null ─▶ array, object ────────────────┘
/// ```
///
/// Two types merge into the nearest type that both arrows lead to. All types lead to string, because any JSON value has
/// a text. The old connector fails to merge an array with anything else, even null; discovery continues here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InferredType {
    /// Only nulls.
    Null,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// Text, or values of several types.
    String,
    /// A date.
    Date,
    /// A date and time, with or without offset.
    Timestamp,
    /// A time of day, as a separate type.
    Time,
    /// A list.
    Array,
    /// Members by name.
    Object,
    /// Values of several types that no other type covers, for catalogs that every value must conform to.
    Mixed,
}

impl InferredType {
    /// The nearest type that holds the values of both.
    ///
    /// Values of a narrower type keep it: a column of integers may have booleans, and one of strings anything.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let rank = |kind: Self| match kind {
            Self::Null => Some(0),
            Self::Boolean => Some(1),
            Self::Integer => Some(2),
            Self::Number => Some(3),
            Self::String => Some(4),
            Self::Date | Self::Timestamp | Self::Time | Self::Array | Self::Object | Self::Mixed => None,
        };
        match (rank(self), rank(other)) {
            _ if self == other => self,
            _ if self == Self::Mixed || other == Self::Mixed => Self::Mixed,
            (Some(one), Some(two)) => {
                if one > two {
                    self
                } else {
                    other
                }
            }
            (Some(0), None) => other,
            (None, Some(0)) => self,
            _ => Self::String,
        }
    }

    /// The nearest JSON type that covers the values of both without changing them.
    #[must_use]
    pub fn merge_exactly(self, other: Self) -> Self {
        let text = |kind| matches!(kind, Self::String | Self::Date | Self::Timestamp | Self::Time);
        let number = |kind| matches!(kind, Self::Integer | Self::Number);
        match (self, other) {
            (Self::Null, kind) | (kind, Self::Null) => kind,
            _ if self == other => self,
            _ if text(self) && text(other) => Self::String,
            _ if number(self) && number(other) => Self::Number,
            _ => Self::Mixed,
        }
    }
}

/// A column and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredColumn {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: InferredType,
    /// The types inside it, if requested.
    pub nested: Nested,
}

impl InferredColumn {
    /// A column of which no more is known.
    pub fn new(name: impl Into<String>, kind: InferredType) -> Self {
        Self { name: name.into(), kind, nested: Nested::Unknown }
    }
}

/// The types inside a column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Nested {
    /// Not requested, or there is nothing inside.
    #[default]
    Unknown,
    /// The members of an object.
    Fields(Vec<InferredColumn>),
    /// The items of an array. The name has no meaning.
    Items(Box<InferredColumn>),
    /// The values of an object whose keys are data. The name has no meaning.
    Values(Box<InferredColumn>),
    /// An object with more members than a schema should have: its keys are data.
    Open,
}

/// A place in an object at which decoding can continue. It is part of the state document, so its form never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Place {
    /// The first row.
    #[default]
    Start,
    /// Line formats: `offset` is the first byte of the next row in the *decoded* text (the object itself, if it is not
    /// compressed), `line` is the number of lines before it, and `columns` is the header, which a reader that starts in
    /// the middle does not see.
    Byte {
        /// Bytes of decoded text before the next row.
        offset: u64,
        /// Lines before the next row.
        line: u64,
        /// The file's column names, for CSV.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        columns: Option<Arc<[Box<str>]>>,
        /// Where decompression can start: the stored bytes of the object, and the bytes of decoded text, before the
        /// compressed frame or member that contains `offset`. If absent, decompression starts at the beginning of the
        /// object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frame: Option<Frame>,
    },
    /// Avro: `offset` is a block's first byte (its row count), `row` the rows of that block that are done.
    Block {
        /// Bytes of the object before the block.
        offset: u64,
        /// Rows done in the block.
        row: u64,
    },
    /// Parquet: the row group and the rows of it that are done. Formats that can only be counted (Excel) use
    /// group 0.
    RowGroup {
        /// The row group's index in the file.
        group: u64,
        /// Rows done in the row group.
        row: u64,
    },
}

/// The start of a compressed frame (zstd, lz4, xz block) or member (gzip, bzip2 stream).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Bytes of the object as stored before the frame.
    pub stored: u64,
    /// Bytes of decoded text before the frame.
    pub decoded: u64,
}

/// How far an object was read: the number of rows returned, and the place after the last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Position {
    /// Rows of this object returned so far. For formats that count rows (Avro), skipped rows are included.
    pub rows: u64,
    /// The place after them.
    #[serde(flatten)]
    pub place: Place,
    /// The checksum of the bytes of these rows, if they are not verified yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Box<Proof>>,
}

impl Position {
    /// A position whose rows need no further proof.
    #[must_use]
    pub fn new(rows: u64, place: Place) -> Self {
        Self { rows, place, proof: None }
    }

    /// The stored byte from which the object must be fetched to continue here, if its decoder reads from byte `from`
    /// on.
    #[must_use]
    pub fn fetched_from(&self, from: u64) -> u64 {
        self.proof.as_ref().filter(|proof| proof.covers(from)).map_or(from, |proof| proof.from)
    }
}

/// An incomplete checksum, computed over the first bytes of an object. A later run that resumes in the middle of the
/// object completes it, so that it verifies the rows of both runs.
///
/// Decoding resumes at or after byte `from`, and all rows so far were made of bytes before `until`. The later run
/// fetches the bytes between them again. At `until` it knows whether they are the bytes that the earlier run had, and
/// at the end of the object it knows whether all bytes are right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How it is computed.
    pub algorithm: ProofAlgorithm,
    /// The checksum of the whole object in base64, if the server stores one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Arc<str>>,
    /// The byte from which the object is to be fetched.
    pub from: u64,
    /// The state of the checksum before that byte.
    #[serde(with = "hexadecimal")]
    pub from_state: u64,
    /// Bytes of the object that were seen.
    pub until: u64,
    /// The state of the checksum after them.
    #[serde(with = "hexadecimal")]
    pub until_state: u64,
}

impl Proof {
    /// Whether it applies to a decoder that reads from byte `from` on.
    #[must_use]
    pub fn covers(&self, from: u64) -> bool {
        self.from <= from && from <= self.until
    }
}

/// The checksums of S3 that can be continued from a saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofAlgorithm {
    /// CRC-32 as in gzip.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME.
    Crc64nvme,
}

/// Numbers of 64 bits as text: many readers of JSON have only doubles.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{number:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

/// A batch and the position after it.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The rows. It is empty if there are only rejects.
    pub batch: Batch,
    /// The position after the last row and the last reject.
    pub after: Position,
    /// Rejected rows between those of the batch. Always empty under [`crate::options::OnBadRow::Stop`].
    pub rejects: Vec<Reject>,
}

impl Decoded {
    /// The output of a decoder.
    #[must_use]
    pub fn new(batch: Batch, after: Position, rejects: Vec<Reject>) -> Self {
        Self { batch, after, rejects }
    }

    /// The number of a row of the batch in its object, from 1. Rejects without a number are not counted. `left_out` has
    /// the indexes, ascending, of rows that were removed from the batch.
    #[must_use]
    pub fn row_number(&self, row: usize, left_out: &[u32]) -> u64 {
        let numbered = || self.rejects.iter().filter_map(|reject| Some((reject.row?, reject.rows())));
        let lost: u64 = numbered().map(|(_, rows)| rows).sum();
        let handed_over = (self.batch.rows() + left_out.len()) as u64;
        let before = |at: u64, out: &u32| at + u64::from(u64::from(*out) <= at);
        let at = left_out.iter().fold(row as u64, before);
        let mut number = self.after.rows - handed_over - lost + at + 1;
        for (first, rows) in numbered() {
            if first <= number {
                number += rows;
            }
        }
        number
    }

    /// The position before a row of the batch, which starts at `from`, or the nearest known position before it. Reading
    /// resumes there if that row is rejected and all rows before it were accepted.
    #[must_use]
    pub fn before(&self, row: usize, from: &Position, left_out: &[u32]) -> Option<Position> {
        let rows = self.row_number(row, left_out) - 1;
        let (all, row) = (self.batch.rows() as u64, row as u64);
        let place = match (&self.after.place, self.batch.start_of(row as usize)) {
            (Place::Byte { columns, frame, .. }, Some(TextOrigin { offset, line })) => {
                // A frame that begins behind the row is of no use for it; the object's start always is.
                let start = Frame { stored: 0, decoded: 0 };
                let frame = frame.map(|frame| if frame.decoded <= offset { frame } else { start });
                Place::Byte { offset, line, columns: columns.clone(), frame }
            }
            // Counting is right only where no row between was left out: not in the batch, which then ends as many rows
            // into the group or block as it begins there and has.
            (Place::RowGroup { group, row: done }, None) => {
                let begun = done.checked_sub(all)?;
                let counted = begun == 0 || from.place == Place::RowGroup { group: *group, row: begun };
                counted.then_some(Place::RowGroup { group: *group, row: begun + row })?
            }
            (Place::Block { offset, row: done }, None) => {
                let begun = done.checked_sub(all)?;
                let counted = begun == 0 || from.place == Place::Block { offset: *offset, row: begun };
                counted.then_some(Place::Block { offset: *offset, row: begun + row })?
            }
            _ => return None,
        };
        Some(Position::new(rows, place))
    }
}
