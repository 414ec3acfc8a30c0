//! Inferred types → the types of a catalog.

use crate::batch::{InferredColumn, InferredType};
use crate::protocol::schema::{Column, ColumnType};

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
    }
}

/// The catalog's columns of inferred ones, in the same order.
#[must_use]
pub fn columns(inferred: &[InferredColumn]) -> Vec<Column> {
    inferred.iter().map(|column| Column { name: column.name.clone(), kind: column_type(column.kind) }).collect()
}
