//! Inferred types → the types of a catalog.

use serde_json::{Map, Value, json};

use tollgate_base::batch::{InferredColumn, InferredType, Nested};
use tollgate_base::schema::ColumnType;

/// The catalog's type of an inferred one.
#[must_use]
pub fn column_type(kind: InferredType) -> ColumnType {
    match kind {
        InferredType::Null => ColumnType::Null,
        InferredType::Boolean => ColumnType::Boolean,
        InferredType::Integer => ColumnType::Integer,
        InferredType::Number => ColumnType::Number,
        InferredType::String => ColumnType::String,
        InferredType::Date => ColumnType::Date,
        InferredType::Timestamp => ColumnType::Timestamp,
        InferredType::Time => ColumnType::Time,
        InferredType::Array => ColumnType::Array,
        InferredType::Object => ColumnType::Object,
        InferredType::Mixed => ColumnType::Any,
    }
}

/// The properties of a catalog for inferred columns, in the same order.
#[must_use]
pub fn properties(inferred: &[InferredColumn]) -> Map<String, Value> {
    inferred.iter().map(|column| (column.name.clone(), property(column))).collect()
}

fn property(column: &InferredColumn) -> Value {
    if column.kind == InferredType::Mixed {
        return json!({"type": ["null", "boolean", "integer", "number", "string", "array", "object"]});
    }
    let mut property = column_type(column.kind).to_property();
    match &column.nested {
        Nested::Fields(fields) if !fields.is_empty() => property["properties"] = Value::Object(properties(fields)),
        Nested::Items(item) => property["items"] = self::property(item),
        Nested::Values(value) => property["additionalProperties"] = self::property(value),
        Nested::Fields(_) | Nested::Unknown | Nested::Open => {}
    }
    property
}
