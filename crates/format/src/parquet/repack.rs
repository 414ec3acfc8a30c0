//! A slice whose pages are too large to be decoded at once, as the same columns with small pages: a file may have one page of a
//! hundred megabytes for each column, or a thousand columns with pages of a megabyte.
//!
//! ```text
//!   for one column after the other: pages ─▶ batches ─▶ pages of some kilobytes, compressed
//!   then for all columns together: these ─▶ batches
//! ```
//!
//! Only the pages of one column are in memory at a time, and then all columns about as they are stored. All values are decoded
//! twice, which is why it is done where there is no other way.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::footer::Opened;
use super::guard::guarded;
use super::pages::Pages;
use super::plan::Slice;
use super::room::{MOST_BYTES, PORTION_BYTES, Room, room};
use super::slice_decoder::decoder_of;
use tollgate_base::error::{Error, Result};

/// The small pages of all columns together, about.
const PAGES_BYTES: usize = 16 << 20;
const LEAST_PAGE_BYTES: usize = 4 << 10;
const MOST_PAGE_BYTES: usize = 64 << 10;
/// Rows that are written before somebody looks whether a page is full.
const MOST_ROWS_AT_ONCE: usize = 1024;
/// All columns together, compressed, at most.
const MOST_PACKED_BYTES: usize = 96 << 20;

/// The columns of a slice with small pages, or on their way there.
#[derive(Debug)]
pub(super) struct Repacked {
    /// Columns that have their own pages still.
    left: VecDeque<Root>,
    /// Columns that have small ones, in the order of the schema.
    packed: Vec<Bytes>,
    packed_bytes: usize,
    page_bytes: usize,
    /// Memory that the largest column takes.
    most_bytes: u64,
    rows: usize,
    readers: Vec<ParquetRecordBatchReader>,
    schema: SchemaRef,
}

/// A column of the file.
#[derive(Debug)]
struct Root {
    index: usize,
    /// Where its column chunks lie.
    chunks: Vec<Range<u64>>,
    room: Room,
}

impl Repacked {
    /// The plan for columns that are read in batches of so many rows afterwards.
    ///
    /// # Errors
    /// Where even one of them is too large.
    pub(super) fn plan(
        opened: &Opened,
        group: &RowGroupMetaData,
        leaves: &BTreeMap<usize, Pages>,
        rows: usize,
    ) -> Result<Self> {
        let schema = opened.reader.parquet_schema();
        let mut roots = BTreeMap::<usize, BTreeMap<usize, Pages>>::new();
        for (leaf, pages) in leaves {
            roots.entry(schema.get_column_root_idx(*leaf)).or_default().insert(*leaf, pages.clone());
        }
        let mut left = VecDeque::new();
        for (index, leaves) in roots {
            let room = room(group, opened.reader.schema(), &leaves, MOST_ROWS_AT_ONCE);
            if room.bytes > MOST_BYTES {
                let name = schema.root_schema().get_fields().get(index).map_or("", |field| field.name());
                return Err(too_large("decoded_bytes", room.bytes, MOST_BYTES).with("column", name));
            }
            let chunks = leaves.keys().map(|leaf| group.column(*leaf).byte_range());
            let chunks = chunks.map(|(start, length)| start..start.saturating_add(length)).collect();
            left.push_back(Root { index, chunks, room });
        }
        let most_bytes = left.iter().map(|root| root.room.bytes).max().unwrap_or(0);
        let page_bytes = (PAGES_BYTES / leaves.len().max(1)).clamp(LEAST_PAGE_BYTES, MOST_PAGE_BYTES);
        let schema = Arc::new(Schema::empty());
        let (packed, packed_bytes, readers) = (Vec::new(), 0, Vec::new());
        Ok(Self { left, packed, packed_bytes, page_bytes, most_bytes, rows, readers, schema })
    }

    /// Rows of a batch.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Memory that it takes now.
    pub(super) fn bytes(&self) -> u64 {
        if !self.left.is_empty() {
            // There is room for one at a time: what is packed meanwhile was not asked for.
            return self.most_bytes.max(MOST_BYTES);
        }
        self.packed_bytes as u64 + 2 * PORTION_BYTES + (self.readers.len() * 2 * self.page_bytes) as u64
    }

    /// Goes on with the next column. Whether that was the last one.
    pub(super) fn go_on(
        &mut self,
        reader: &ArrowReaderMetadata,
        slice: &Slice,
        (ranges, bytes): &(Vec<Range<u64>>, Vec<Bytes>),
    ) -> Result<bool> {
        let Some(root) = self.left.pop_front() else { return Ok(true) };
        let own = |range: &Range<u64>| {
            root.chunks.iter().any(|chunk| chunk.start <= range.start && range.end <= chunk.end.max(range.start + 1))
        };
        let (ranges, bytes): (Vec<_>, Vec<_>) = ranges
            .iter()
            .zip(bytes)
            .filter(|(range, _)| own(range))
            .map(|(range, bytes)| (range.clone(), bytes.clone()))
            .unzip();
        let mask = ProjectionMask::roots(reader.parquet_schema(), [root.index]);
        let mut decoder = decoder_of(reader, slice, mask, root.room.rows)?;
        guarded(|| decoder.push_ranges(ranges, bytes))?;
        let mut writer = None;
        while let DecodeResult::Data(batch) = guarded(|| decoder.try_decode())? {
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(self.writer(&batch.schema(), root.room.rows)?),
            };
            guarded(|| writer.write(&batch))?;
            self.check(writer.in_progress_size())?;
        }
        let Some(writer) = writer else { return Err(Error::data("a column of a row group has no rows")) };
        let packed = Bytes::from(guarded(|| writer.into_inner())?);
        self.packed_bytes += packed.len();
        self.check(0)?;
        self.packed.push(packed);
        if !self.left.is_empty() {
            return Ok(false);
        }
        self.open()?;
        Ok(true)
    }

    fn check(&self, more: usize) -> Result<()> {
        let bytes = self.packed_bytes + more;
        if bytes <= MOST_PACKED_BYTES {
            return Ok(());
        }
        Err(too_large("packed_bytes", bytes as u64, MOST_PACKED_BYTES as u64))
    }

    fn writer(&self, schema: &SchemaRef, rows: usize) -> Result<ArrowWriter<Vec<u8>>> {
        let at_once = (rows * self.page_bytes / PORTION_BYTES as usize).clamp(1, MOST_ROWS_AT_ONCE);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(guarded(|| ZstdLevel::try_new(1))?))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_data_page_size_limit(self.page_bytes)
            .set_dictionary_page_size_limit(self.page_bytes)
            .set_write_batch_size(at_once)
            .set_max_row_group_row_count(None)
            .build();
        guarded(|| ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties)))
    }

    /// Opens the columns.
    fn open(&mut self) -> Result<()> {
        let mut fields = Vec::new();
        for packed in std::mem::take(&mut self.packed) {
            let builder = guarded(|| ParquetRecordBatchReaderBuilder::try_new(packed))?;
            fields.extend(builder.schema().fields().iter().cloned());
            self.readers.push(guarded(|| builder.with_batch_size(self.rows).build())?);
        }
        self.schema = Arc::new(Schema::new(fields));
        Ok(())
    }

    /// The next batch.
    pub(super) fn decode(&mut self) -> Result<DecodeResult<RecordBatch>> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.readers.len());
        for reader in &mut self.readers {
            let batch = guarded(|| reader.next().transpose().map_err(ParquetError::from))?;
            columns.extend(batch.iter().flat_map(|batch| batch.columns().iter().cloned()));
        }
        if columns.len() < self.readers.len() {
            return Ok(DecodeResult::Finished);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        guarded(|| batch.map_err(ParquetError::from)).map(DecodeResult::Data)
    }
}

fn too_large(name: &'static str, bytes: u64, limit_bytes: u64) -> Error {
    Error::data("the pages of a row group are larger than the limit allows")
        .with(name, bytes)
        .with("limit_bytes", limit_bytes)
        .hint("write the file with smaller pages, or leave columns out of the stream's catalog")
}
