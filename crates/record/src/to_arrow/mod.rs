//! Batches → Arrow, for consumers that need columns: SQL, compaction, destinations.
//!
//! ```text
//!   text rows ─▶ cells of one column ─┐
//!   JSON rows ─▶ cells of one column ─┴─▶ array of the field's type ─┐
//!   Arrow columns ─▶ by name, cast ──────────────────────────────────┴─▶ rows that fit ─▶ RecordBatch
//! ```
//!
//! The schema decides. Columns are matched by name, a column that a batch lacks is null, and columns and nested members
//! that the schema lacks are left out. Texts become values as they do in records: what is a number, a boolean or a null
//! in CSV has one definition for both.
//!
//! A value that its field's type does not hold exactly is never changed or made null in silence: its row does not become
//! part of the batch, see [`Converted`]. Floating-point fields are the exception: they take the nearest double.
//!
//! | Field | takes |
//! |---|---|
//! | strings | any value; what is no string as its text: numbers, lists and objects of JSON as written |
//! | integers | whole numbers in range (`7.0` too), truth values as 0 and 1 |
//! | floating point | numbers in range; of CSV also `nan` and `inf` |
//! | decimals | numbers, and strings that are numbers, when no digit is lost |
//! | booleans | truth values; of CSV the words of its options |
//! | dates | `2024-02-29` |
//! | times | `12:34`, `12:34:56.789` |
//! | timestamps | ISO 8601, also with a space for the `T`; without an offset it is the time in the field's time zone, in UTC where the field has none |
//! | lists, structs, maps | JSON arrays and objects; in CSV their text |
//! | dictionaries | what their values take |
//!
//! Parquet columns are cast with Arrow's kernels, strings among them read as those of CSV. A string in JSON is no number
//! for an integer or floating-point field, as in a record.

mod arrow_rows;
mod cell;
mod column;
mod json_rows;
mod misfit;
mod number;
mod options;
mod schema;
mod split;
#[cfg(test)]
mod tests;
mod text_rows;
mod time;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use self::misfit::{Misfit, unexpected};
pub use self::options::ArrowOptions;
pub use self::schema::arrow_schema;
use super::arrow::raw as raw_of_columns;
use super::encoded::Refused;
use super::json::raw as raw_of_json;
use super::text::raw as raw_of_text;
use tollgate_base::batch::Batch;
use tollgate_base::error::{Error, Result};
use tollgate_base::options::OnBadRow;

/// What became of a batch. Each row is in `batch` or in `refused`, or is not before the one in `stopped`.
#[derive(Debug)]
pub struct Converted {
    /// The rows that fit, in their order.
    pub batch: RecordBatch,
    /// The others, in their order. Always empty under [`OnBadRow::Stop`].
    pub refused: Vec<Refused>,
    /// The first row that does not fit, and why: the file ends there. Always `None` under [`OnBadRow::Collect`].
    pub stopped: Option<(usize, Error)>,
    /// Numbers of Avro that are null here, since their batches have no text for NaN and the infinities.
    pub not_finite: u64,
}

/// The rows of a batch as columns of `schema`.
///
/// # Errors
/// `Unsupported` with the column and its type, where no values of the batch can become values of that type.
pub fn to_arrow(batch: &Batch, schema: &SchemaRef, options: &ArrowOptions) -> Result<Converted> {
    let (mut misfits, mut not_finite) = (Vec::new(), 0);
    let columns = match batch {
        Batch::Arrow(batch) => arrow_rows::columns(batch, schema, options, &mut misfits),
        Batch::Text(rows) => text_rows::columns(rows, schema, &options.csv, &mut misfits),
        Batch::Json(rows) => json_rows::columns(rows, schema, &mut misfits, &mut not_finite),
    }?;
    // One reason for each row: that of its first column.
    misfits.sort_unstable_by_key(|misfit: &Misfit| (misfit.row, misfit.column));
    misfits.dedup_by_key(|misfit| misfit.row);
    let (mut refused, mut stopped) = (Vec::new(), None);
    let (columns, rows) = match (misfits.first(), options.on_bad_row) {
        (None, _) => (columns, batch.rows()),
        (Some(first), OnBadRow::Stop) => {
            let end = first.row as usize;
            stopped = Some((end, first.error(schema)));
            only(&columns, BooleanBuffer::collect_bool(batch.rows(), |row| row < end))?
        }
        (Some(_), OnBadRow::Collect) => {
            refused = misfits.iter().map(|misfit| refuse(batch, misfit, schema, options)).collect();
            let mut left_out = misfits.iter().map(|misfit| misfit.row as usize).peekable();
            only(&columns, BooleanBuffer::collect_bool(batch.rows(), |row| left_out.next_if_eq(&row).is_none()))?
        }
    };
    Ok(Converted { batch: record_batch(columns, rows, schema)?, refused, stopped, not_finite })
}

/// These rows and their number. They are copied: a slice would keep the nested nulls of the others.
fn only(columns: &[ArrayRef], rows: BooleanBuffer) -> Result<(Vec<ArrayRef>, usize)> {
    let rows = BooleanArray::new(rows, None);
    let columns: Result<_, ArrowError> = columns.iter().map(|column| filter(column, &rows)).collect();
    Ok((columns.map_err(unexpected)?, rows.true_count()))
}

fn record_batch(mut columns: Vec<ArrayRef>, rows: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    for (column, field) in columns.iter_mut().zip(schema.fields()) {
        if column.data_type() != field.data_type() {
            // Nested fields that are never null were made as if they could be: only rows that are not here had a null.
            *column = cast(column, field.data_type()).map_err(unexpected)?;
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options).map_err(unexpected)
}

#[cold]
fn refuse(batch: &Batch, misfit: &Misfit, schema: &Schema, options: &ArrowOptions) -> Refused {
    let row = misfit.row as usize;
    let raw = match batch {
        Batch::Arrow(batch) => raw_of_columns(batch, row, options.parquet),
        Batch::Text(rows) => raw_of_text(rows, row),
        Batch::Json(rows) => raw_of_json(rows, row),
    };
    Refused { row, reason: misfit.reason(schema), raw }
}
