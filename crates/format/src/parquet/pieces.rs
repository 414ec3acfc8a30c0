//! Cuts a batch into pieces whose lines have a bounded length: a dictionary's text is in a batch once, and in each line.

use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowNativeType, DataType, Schema};

use tollgate_base::error::Error;

/// The text of a value that is none, with what stands around it.
pub(super) const PLAIN_VALUE_BYTES: u64 = 12;
/// Bytes of the lines of a piece, about; a longer row makes its own.
pub(super) const PIECE_BYTES: u64 = 2 << 20;

/// The rows of a batch, cut where their lines get too long.
#[derive(Debug)]
pub(super) struct Pieces {
    batch: RecordBatch,
    /// Bytes of each row, about; empty where the batch is short as a whole.
    rows: Vec<u64>,
    /// Rows that were handed over.
    done: usize,
    row_bytes: u64,
}

impl Pieces {
    /// The pieces of a batch. A row longer than `row_bytes` is an error.
    pub(super) fn new(batch: RecordBatch, row_bytes: usize) -> Self {
        let short = batch.num_rows() as u64 * around(&batch.schema());
        let texts = batch.columns().iter().map(text_bytes).fold(short, u64::saturating_add);
        let rows = if texts <= PIECE_BYTES { Vec::new() } else { row_bytes_of(&batch) };
        Self { batch, rows, done: 0, row_bytes: row_bytes as u64 }
    }

    /// Bytes of the lines of the next piece, about.
    pub(super) fn next_bytes(&self) -> u64 {
        // No line is made of a row that is too long.
        let next = self.rows.get(self.done).filter(|row| **row <= self.row_bytes);
        next.map_or(PIECE_BYTES, |row| PIECE_BYTES.max(*row))
    }

    /// The next piece; `None` behind the last row.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>, Error> {
        let (from, end) = (self.done, self.batch.num_rows());
        if from == end {
            return Ok(None);
        }
        if self.rows.is_empty() {
            self.done = end;
            return Ok(Some(self.batch.clone()));
        }
        if self.rows[from] > self.row_bytes {
            return Err(self.long_row(from));
        }
        let (mut until, mut bytes) = (from + 1, self.rows[from]);
        while until < end && bytes + self.rows[until] <= PIECE_BYTES {
            bytes += self.rows[until];
            until += 1;
        }
        self.done = until;
        Ok(Some(self.batch.slice(from, until - from)))
    }

    fn long_row(&self, row: usize) -> Error {
        let schema = self.batch.schema();
        let bytes = |column: &ArrayRef| text_bytes(&column.slice(row, 1));
        let columns = schema.fields().iter().zip(self.batch.columns());
        let longest = columns.max_by_key(|(_, column)| bytes(column));
        let error = Error::data("a row is longer than the limit allows")
            .with("batch_row", row)
            .with("row_bytes", self.rows[row])
            .with("limit_bytes", self.row_bytes);
        let error = longest.into_iter().fold(error, |error, (field, _)| error.with("column", field.name()));
        error.hint("remove the column from the stream's catalog, or write its values to separate files")
    }
}

/// What a row has besides its texts.
fn around(schema: &Schema) -> u64 {
    schema.fields().iter().map(|field| field.name().len() as u64 + PLAIN_VALUE_BYTES).sum()
}

fn row_bytes_of(batch: &RecordBatch) -> Vec<u64> {
    let mut rows = vec![around(&batch.schema()); batch.num_rows()];
    batch.columns().iter().for_each(|column| add_text_bytes(column, &mut rows));
    rows
}

/// Bytes of the texts in an array, and what values inside of others need.
fn text_bytes(array: &ArrayRef) -> u64 {
    match array.data_type() {
        DataType::Utf8View | DataType::BinaryView if array.null_count() == 0 => view_bytes(array).sum(),
        DataType::Utf8View
        | DataType::BinaryView
        | DataType::Utf8
        | DataType::Binary
        | DataType::LargeUtf8
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_)
        | DataType::Dictionary(_, _)
        | DataType::Struct(_)
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::Map(_, _) => {
            let mut rows = vec![0; array.len()];
            add_text_bytes(array, &mut rows);
            rows.iter().sum()
        }
        _ => 0,
    }
}

/// The lengths of views: the lower half of each.
fn view_bytes(array: &ArrayRef) -> impl Iterator<Item = u64> {
    let views = match array.data_type() {
        DataType::Utf8View => array.as_string_view().views(),
        _ => array.as_binary_view().views(),
    };
    views.iter().map(|view| u64::from(*view as u32))
}

/// Adds the bytes of each row's texts.
fn add_text_bytes(array: &ArrayRef, rows: &mut [u64]) {
    match array.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            for (row, bytes) in view_bytes(array).enumerate().filter(|(row, _)| array.is_valid(*row)) {
                rows[row] += bytes;
            }
        }
        DataType::Utf8 => add_lengths(array.as_string::<i32>().offsets(), rows),
        DataType::Binary => add_lengths(array.as_binary::<i32>().offsets(), rows),
        DataType::LargeUtf8 => add_lengths(array.as_string::<i64>().offsets(), rows),
        DataType::LargeBinary => add_lengths(array.as_binary::<i64>().offsets(), rows),
        DataType::FixedSizeBinary(bytes) => rows.iter_mut().for_each(|row| *row += *bytes as u64),
        DataType::Dictionary(_, _) => add_dictionary(array, rows),
        DataType::Struct(members) => {
            let around: u64 = members.iter().map(|member| member.name().len() as u64 + PLAIN_VALUE_BYTES).sum();
            rows.iter_mut().for_each(|row| *row += around);
            array.as_struct().columns().iter().for_each(|column| add_text_bytes(column, rows));
        }
        DataType::List(_) => add_items(array.as_list::<i32>().values(), array.as_list::<i32>().offsets(), rows),
        DataType::LargeList(_) => add_items(array.as_list::<i64>().values(), array.as_list::<i64>().offsets(), rows),
        DataType::Map(_, _) => {
            let entries: ArrayRef = std::sync::Arc::new(array.as_map().entries().clone());
            add_items(&entries, array.as_map().offsets(), rows);
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            let lengths = std::iter::repeat_n(usize::try_from(*size).unwrap_or(0), rows.len());
            add_items(list.values(), &OffsetBuffer::<i64>::from_lengths(lengths), rows);
        }
        _ => {}
    }
}

fn add_lengths<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, rows: &mut [u64]) {
    for (row, length) in rows.iter_mut().zip(offsets.lengths()) {
        *row += length as u64;
    }
}

fn add_dictionary(array: &ArrayRef, rows: &mut [u64]) {
    let dictionary = array.as_any_dictionary();
    if dictionary.values().is_empty() {
        return;
    }
    let mut values = vec![0; dictionary.values().len()];
    add_text_bytes(dictionary.values(), &mut values);
    let keys = dictionary.normalized_keys();
    for (row, key) in keys.into_iter().enumerate().filter(|(row, _)| array.is_valid(*row)) {
        rows[row] += values.get(key).copied().unwrap_or(0);
    }
}

/// Adds the bytes of the items of lists.
fn add_items<O: ArrowNativeType>(items: &ArrayRef, offsets: &OffsetBuffer<O>, rows: &mut [u64]) {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return };
    let (first, last) = (first.as_usize(), last.as_usize());
    let mut bytes = vec![PLAIN_VALUE_BYTES; last - first];
    add_text_bytes(&items.slice(first, last - first), &mut bytes);
    for (row, ends) in rows.iter_mut().zip(offsets.windows(2)) {
        *row += bytes[ends[0].as_usize() - first..ends[1].as_usize() - first].iter().sum::<u64>();
    }
}
