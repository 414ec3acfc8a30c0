//! The library's decoder for a slice of a row group.

use std::ops::Range;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};

use super::guard::guarded;
use super::plan::Slice;
use tollgate_base::error::Result;

/// A decoder of the rows of a slice.
pub(super) fn decoder_of(
    reader: &ArrowReaderMetadata,
    slice: &Slice,
    mask: ProjectionMask,
    batch_rows: usize,
) -> Result<ParquetPushDecoder> {
    let rows = reader.metadata().row_group(slice.group).num_rows() as usize;
    let mut builder = ParquetPushDecoderBuilder::new_with_metadata(reader.clone())
        .with_row_groups(vec![slice.group])
        .with_projection(mask)
        .with_batch_size(batch_rows);
    if slice.rows != [Range { start: 0, end: rows }] {
        let selection = RowSelection::from_consecutive_ranges(slice.rows.iter().cloned(), rows);
        builder = builder.with_row_selection(selection);
    }
    guarded(|| builder.build())
}
