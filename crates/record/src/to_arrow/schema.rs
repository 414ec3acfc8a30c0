//! Inferred columns → Arrow schemas.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};

use tollgate_base::batch::{InferredColumn, InferredType, Nested};
#[cfg(doc)]
use tollgate_base::options::InferenceDepth;

/// A schema that takes the values of inferred columns, in the same order; all fields take nulls.
///
/// The columns must have been inferred with [`InferenceDepth::Rich`]. The compatible types are those of the catalogs of
/// the connector that we replace, and some of them are not the values': Avro's times of day, for example, are integers
/// there and texts in the rows.
///
/// Integers are of 64 bits, numbers are doubles, and timestamps are microseconds in UTC. What has no type of its own is
/// a string: columns of nulls only, of several types, and objects and arrays of which nothing more is known.
#[must_use]
pub fn arrow_schema(columns: &[InferredColumn]) -> Schema {
    Schema::new(fields(columns))
}

fn fields(columns: &[InferredColumn]) -> Fields {
    columns.iter().map(|column| Field::new(&column.name, data_type(column), true)).collect()
}

fn data_type(column: &InferredColumn) -> DataType {
    match (column.kind, &column.nested) {
        (InferredType::Boolean, _) => DataType::Boolean,
        (InferredType::Integer, _) => DataType::Int64,
        (InferredType::Number, _) => DataType::Float64,
        (InferredType::Date, _) => DataType::Date32,
        (InferredType::Timestamp, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        (InferredType::Time, _) => DataType::Time64(TimeUnit::Microsecond),
        (InferredType::Array, Nested::Items(item)) => DataType::new_list(data_type(item), true),
        // A struct without members cannot be written to Parquet.
        (InferredType::Object, Nested::Fields(members)) if !members.is_empty() => DataType::Struct(fields(members)),
        (InferredType::Object, Nested::Values(value)) => map_of(data_type(value)),
        (InferredType::Array | InferredType::Object, _)
        | (InferredType::Null | InferredType::String | InferredType::Mixed, _) => DataType::Utf8,
    }
}

/// Strings to values, with the names that Arrow and Parquet use.
fn map_of(values: DataType) -> DataType {
    let key = Field::new("key", DataType::Utf8, false);
    let entries = DataType::Struct(vec![key, Field::new("value", values, true)].into());
    DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
}
