//! Whether a record is what the catalog says: Airbyte's validation policies.
//!
//! A value conforms when its type is the column's or narrower: null < boolean < integer < number < string < object; a
//! column that the catalog does not have never conforms. Unlike in the connector we replace, an array conforms to a
//! column of arrays whatever its items are.

use arrow::datatypes::DataType;

use std::borrow::Cow;

use tollgate_base::batch::JsonKind;
use tollgate_base::error::Error;
use tollgate_base::options::{OnBadRow, SchemaEvolution};
use tollgate_base::schema::{ColumnType, Columns};

/// What happens to a record that does not conform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// It is emitted as it is.
    #[default]
    Emit,
    /// It is left out, counted and reported.
    Skip,
    /// Its file ends there, as with a bad row.
    Stop,
}

/// What happens to a row that does not conform: validation, evolution and what bad rows do, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Unfit {
    /// It is emitted as it is; nobody looks.
    #[default]
    Emit,
    /// It is left out and counted.
    Leave,
    /// It is a reject.
    Refuse,
    /// Its file ends there. `frozen` tells which policy says so.
    Stop {
        /// The schema is frozen; otherwise the stream waits for discovery.
        frozen: bool,
    },
    /// What does not conform goes to the column of rescued data.
    Rescue,
}

impl Unfit {
    pub(super) fn new(validation: Validation, evolution: SchemaEvolution, on_bad_row: OnBadRow) -> Self {
        match (evolution, validation, on_bad_row) {
            (SchemaEvolution::Rescue, _, _) => Self::Rescue,
            (SchemaEvolution::Freeze, _, OnBadRow::Collect) => Self::Refuse,
            (SchemaEvolution::Freeze, _, OnBadRow::Stop) => Self::Stop { frozen: true },
            (SchemaEvolution::Evolve, Validation::Emit, _) => Self::Emit,
            (SchemaEvolution::Evolve, Validation::Skip, OnBadRow::Stop) => Self::Leave,
            (SchemaEvolution::Evolve, Validation::Skip, OnBadRow::Collect) => Self::Refuse,
            (SchemaEvolution::Evolve, Validation::Stop, _) => Self::Stop { frozen: false },
        }
    }

    /// Whether anybody must look.
    pub(super) fn looks(self) -> bool {
        self != Self::Emit
    }

    /// The error of [`Unfit::Stop`] for the first field that does not conform.
    #[cold]
    pub(super) fn stopped(self, misfit: &Misfit<'_>) -> Error {
        let error = match self {
            Self::Stop { frozen: true } => {
                let hint =
                    "repair the data, refresh the connection's schema, or set `schema_evolution` to evolve or rescue";
                Error::data(format!("{}, and the stream's schema is frozen", misfit.reason())).hint(hint)
            }
            _ => Error::data(
                "a record does not conform to the catalog's schema, and the stream waits for the next discovery",
            )
            .with("reason", misfit.reason())
            .with("validation_policy", "Wait for Discover")
            .hint("refresh the connection's schema, then sync again"),
        };
        error.with("column", &misfit.column)
    }
}

/// A field that does not conform.
#[derive(Debug)]
pub(super) struct Misfit<'a> {
    pub(super) column: Cow<'a, str>,
    /// The catalog's type; `None` where it has no such column.
    pub(super) expected: Option<ColumnType>,
}

impl Misfit<'_> {
    /// Why, in words that are the same for all fields of a column.
    pub(super) fn reason(&self) -> String {
        match self.expected {
            None => format!("the column '{}' is not in the catalog", self.column),
            Some(kind) => {
                let kind = format!("{kind:?}").to_lowercase();
                format!("a value of column '{}' is not of the catalog's type {kind}", self.column)
            }
        }
    }
}

/// The type of a column of the catalog; `None` where it has no such column, or where it takes all columns as they are.
pub(super) fn listed_type(columns: &Columns, name: &str) -> Option<ColumnType> {
    match columns {
        Columns::All => Some(ColumnType::Any),
        Columns::Listed(listed) => listed.iter().find(|column| column.name == name).map(|column| column.kind),
    }
}

/// Whether a JSON value conforms to a column.
pub(super) fn json_conforms(value: JsonKind, column: ColumnType) -> bool {
    match (value, column) {
        (JsonKind::Null, _) | (_, ColumnType::Any | ColumnType::Object) => true,
        (JsonKind::Array, column) => column == ColumnType::Array || text(column),
        (_, ColumnType::Array) => false,
        (value, column) => rank_of_json(value) <= rank(column),
    }
}

/// Whether the values of an Arrow column conform to a column of the catalog; nulls always do.
pub(super) fn arrow_conforms(kind: &DataType, decimal_as_float: bool, column: ColumnType) -> bool {
    let value = match kind {
        DataType::Null => JsonKind::Null,
        DataType::Boolean => JsonKind::Boolean,
        kind if kind.is_integer() => JsonKind::Integer,
        DataType::Float16 | DataType::Float32 | DataType::Float64 | DataType::Duration(_) => JsonKind::Number,
        kind if kind.is_decimal() && decimal_as_float => JsonKind::Number,
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => JsonKind::Array,
        DataType::Struct(_) | DataType::Map(_, _) => JsonKind::Object,
        DataType::Dictionary(_, values) => return arrow_conforms(values, decimal_as_float, column),
        DataType::RunEndEncoded(_, values) => return arrow_conforms(values.data_type(), decimal_as_float, column),
        _ => JsonKind::String,
    };
    // The catalog of the connector we replace types durations as integers.
    let duration = matches!(kind, DataType::Duration(_)) && column == ColumnType::Integer;
    duration || json_conforms(value, column)
}

/// Whether a text that could not be cast conforms: it went out as a string.
pub(super) fn misfit_conforms(column: ColumnType) -> bool {
    json_conforms(JsonKind::String, column)
}

fn text(column: ColumnType) -> bool {
    matches!(column, ColumnType::String | ColumnType::Date | ColumnType::Timestamp | ColumnType::Time)
}

fn rank_of_json(value: JsonKind) -> u8 {
    match value {
        JsonKind::Null => 0,
        JsonKind::Boolean => 1,
        JsonKind::Integer => 2,
        JsonKind::Number => 3,
        JsonKind::String | JsonKind::Array => 4,
        JsonKind::Object => 5,
    }
}

fn rank(column: ColumnType) -> u8 {
    match column {
        ColumnType::Null => 0,
        ColumnType::Boolean => 1,
        ColumnType::Integer => 2,
        ColumnType::Number => 3,
        ColumnType::String | ColumnType::Date | ColumnType::Timestamp | ColumnType::Time | ColumnType::Array => 4,
        ColumnType::Object | ColumnType::Any => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_conforms_to_its_type_and_wider_ones() {
        use ColumnType as C;
        use JsonKind as J;
        for (value, column, expected) in [
            (J::Null, C::Integer, true),
            (J::Boolean, C::Integer, true),
            (J::Integer, C::Number, true),
            (J::Number, C::Integer, false),
            (J::String, C::Number, false),
            (J::Integer, C::String, true),
            (J::Array, C::Array, true),
            (J::Integer, C::Array, false),
            (J::Array, C::String, true),
            (J::Object, C::String, false),
            (J::Object, C::Object, true),
            (J::String, C::Object, true),
            (J::Object, C::Any, true),
        ] {
            assert_eq!(json_conforms(value, column), expected, "{value:?} {column:?}");
        }
    }
}
