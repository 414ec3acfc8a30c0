//! Rows of typed columns.

use arrow::array::{Array, ArrowPrimitiveType, AsArray, BooleanArray, RecordBatch, RunArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::*;

use super::rows::FileRowFilter;
use tollgate_base::error::{Error, Result};
use tollgate_base::predicate::{DAY_NANOS, Kind, Predicate, Value, text_or_bytes};
use tollgate_base::schema::Columns;

/// The value of a row.
type Cells<'a> = Box<dyn Fn(usize) -> Value<'a> + 'a>;

pub(super) fn apply(row_filter: &mut FileRowFilter, batch: RecordBatch) -> Result<RecordBatch> {
    let shared = std::sync::Arc::clone(&row_filter.shared);
    let schema = batch.schema();
    let mut cells = Vec::with_capacity(shared.names.len());
    for (index, name) in shared.names.iter().enumerate() {
        let Some((at, field)) = schema.column_with_name(name) else {
            cells.push(Box::new(|_| Value::Null) as Cells<'_>);
            continue;
        };
        row_filter.meet(index);
        let mut conditions = shared.filter.iter().flat_map(Predicate::conditions);
        conditions
            .by_ref()
            .filter(|condition| condition.column == *name)
            .try_for_each(|condition| condition.check(kind_of(field.data_type())))?;
        cells.push(nullable(batch.column(at)));
    }
    let kept =
        BooleanBuffer::collect_bool(batch.num_rows(), |row| row_filter.keeps(&shared, |index| cells[index](row)));
    drop(cells);
    let batch = if kept.count_set_bits() == batch.num_rows() {
        batch
    } else {
        let failed = |error| Error::internal("the rows of a batch cannot be filtered").caused_by(error);
        filter_record_batch(&batch, &BooleanArray::new(kept, None)).map_err(failed)?
    };
    without_others(batch, &shared.written)
}

/// The batch without the columns that were read for the filter alone.
fn without_others(batch: RecordBatch, written: &Columns) -> Result<RecordBatch> {
    let Columns::Listed(listed) = written else { return Ok(batch) };
    let schema = batch.schema();
    let wanted: Vec<usize> = (0..schema.fields().len())
        .filter(|index| listed.iter().any(|column| column.name == *schema.field(*index).name()))
        .collect();
    if wanted.len() == schema.fields().len() {
        return Ok(batch);
    }
    batch
        .project(&wanted)
        .map_err(|error| Error::internal("the columns of a batch cannot be selected").caused_by(error))
}

/// What values of a type are compared as.
fn kind_of(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Boolean,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Kind::Instant,
        DataType::Time32(_) | DataType::Time64(_) => Kind::Time,
        DataType::Duration(_) => Kind::Number,
        kind if kind.is_numeric() => Kind::Number,
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::RunEndEncoded(_, values) => kind_of(values.data_type()),
        // All rows are null: whatever is asked of them is unknown.
        DataType::Null => Kind::Text,
        kind if text_or_bytes(kind) => Kind::Text,
        _ => Kind::Other,
    }
}

fn nullable(array: &dyn Array) -> Cells<'_> {
    let values = cells(array);
    match array.nulls() {
        None => values,
        Some(nulls) => Box::new(move |row| if nulls.is_null(row) { Value::Null } else { values(row) }),
    }
}

/// The values of a primitive type, each as `value` has it.
fn each<'a, T: ArrowPrimitiveType>(array: &'a dyn Array, value: impl Fn(T::Native) -> Value<'a> + 'a) -> Cells<'a> {
    let values: &[T::Native] = array.as_primitive::<T>().values();
    Box::new(move |row| value(values[row]))
}

fn integers<'a, T: ArrowPrimitiveType>(array: &'a dyn Array) -> Cells<'a>
where
    T::Native: Into<i128>,
{
    each::<T>(array, |value| Value::Integer(value.into()))
}

fn instants<'a, T: ArrowPrimitiveType<Native = i64>>(array: &'a dyn Array, nanos: i128) -> Cells<'a> {
    each::<T>(array, move |value| Value::Instant(i128::from(value) * nanos))
}

/// The values of rows that are not null.
fn cells(array: &dyn Array) -> Cells<'_> {
    match array.data_type() {
        DataType::Null => Box::new(|_| Value::Null),
        DataType::Boolean => {
            let values = array.as_boolean().values();
            Box::new(move |row| Value::Boolean(values.value(row)))
        }
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => integers::<UInt64Type>(array),
        DataType::Float16 => each::<Float16Type>(array, |value| Value::Single(value.to_f32())),
        DataType::Float32 => each::<Float32Type>(array, Value::Single),
        DataType::Float64 => each::<Float64Type>(array, Value::Double),
        DataType::Decimal32(_, scale) => {
            let scale = *scale;
            each::<Decimal32Type>(array, move |value| Value::Decimal(i256::from_i128(value.into()), scale))
        }
        DataType::Decimal64(_, scale) => {
            let scale = *scale;
            each::<Decimal64Type>(array, move |value| Value::Decimal(i256::from_i128(value.into()), scale))
        }
        DataType::Decimal128(_, scale) => {
            let scale = *scale;
            each::<Decimal128Type>(array, move |value| Value::Decimal(i256::from_i128(value), scale))
        }
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            each::<Decimal256Type>(array, move |value| Value::Decimal(value, scale))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(array),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => bytes(array),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let values = dictionary.values();
            let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            let values = nullable(values);
            Box::new(move |row| values(keys[row]))
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs(array.as_run::<Int16Type>()),
            DataType::Int32 => runs(array.as_run::<Int32Type>()),
            _ => runs(array.as_run::<Int64Type>()),
        },
        _ => times(array),
    }
}

fn times(array: &dyn Array) -> Cells<'_> {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Date32 => each::<Date32Type>(array, |days| Value::Instant(i128::from(days) * DAY_NANOS)),
        DataType::Date64 => instants::<Date64Type>(array, 1_000_000),
        DataType::Timestamp(Second, _) => instants::<TimestampSecondType>(array, 1_000_000_000),
        DataType::Timestamp(Millisecond, _) => instants::<TimestampMillisecondType>(array, 1_000_000),
        DataType::Timestamp(Microsecond, _) => instants::<TimestampMicrosecondType>(array, 1000),
        DataType::Timestamp(Nanosecond, _) => instants::<TimestampNanosecondType>(array, 1),
        DataType::Time32(Second) => {
            each::<Time32SecondType>(array, |time| Value::Time(i64::from(time) * 1_000_000_000))
        }
        DataType::Time32(_) => each::<Time32MillisecondType>(array, |time| Value::Time(i64::from(time) * 1_000_000)),
        DataType::Time64(Microsecond) => {
            each::<Time64MicrosecondType>(array, |time| Value::Time(time.saturating_mul(1000)))
        }
        DataType::Time64(_) => each::<Time64NanosecondType>(array, Value::Time),
        DataType::Duration(Second) => integers::<DurationSecondType>(array),
        DataType::Duration(Millisecond) => integers::<DurationMillisecondType>(array),
        DataType::Duration(Microsecond) => integers::<DurationMicrosecondType>(array),
        DataType::Duration(Nanosecond) => integers::<DurationNanosecondType>(array),
        _ => Box::new(|_| Value::Other),
    }
}

fn texts(array: &dyn Array) -> Cells<'_> {
    match array.data_type() {
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            Box::new(move |row| Value::Text(values.value(row).as_bytes()))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            Box::new(move |row| Value::Text(values.value(row).as_bytes()))
        }
        _ => {
            let values = array.as_string_view();
            Box::new(move |row| Value::Text(values.value(row).as_bytes()))
        }
    }
}

fn bytes(array: &dyn Array) -> Cells<'_> {
    match array.data_type() {
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            Box::new(move |row| Value::Text(values.value(row)))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            Box::new(move |row| Value::Text(values.value(row)))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view();
            Box::new(move |row| Value::Text(values.value(row)))
        }
        _ => {
            let values = array.as_fixed_size_binary();
            Box::new(move |row| Value::Text(values.value(row)))
        }
    }
}

fn runs<R: RunEndIndexType>(array: &RunArray<R>) -> Cells<'_> {
    let values = nullable(array.values());
    Box::new(move |row| values(array.get_physical_index(row)))
}
