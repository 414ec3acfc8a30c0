//! The types of Arrow as types of a catalog.

use arrow::datatypes::DataType;

use tollgate_base::batch::InferredType;

/// The type of an Arrow column.
///
/// It is what `airbyte/source-s3` puts into its catalogs, since tables were made from them: times of day are
/// strings, durations integers, and dictionaries objects although their values are plain.
#[must_use]
pub fn type_of_arrow(kind: &DataType, decimal_as_float: bool) -> InferredType {
    match kind {
        DataType::Null => InferredType::Null,
        DataType::Boolean => InferredType::Boolean,
        kind if kind.is_integer() => InferredType::Integer,
        DataType::Duration(_) => InferredType::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => InferredType::Number,
        kind if kind.is_decimal() && decimal_as_float => InferredType::Number,
        DataType::Date32 | DataType::Date64 => InferredType::Date,
        DataType::Timestamp(_, _) => InferredType::Timestamp,
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => InferredType::Array,
        DataType::Struct(_) | DataType::Map(_, _) => InferredType::Object,
        // Only dictionaries of texts and bytes are dictionaries for the reader of the connector that we replace.
        DataType::Dictionary(_, values) if values.is_string() || values.is_binary() => InferredType::Object,
        DataType::Dictionary(_, values) => type_of_arrow(values, decimal_as_float),
        DataType::RunEndEncoded(_, values) => type_of_arrow(values.data_type(), decimal_as_float),
        _ => InferredType::String,
    }
}
