//! Whether a record is what the catalog says: Airbyte's validation policies, and the policies of evolution.
//!
//! There are two rules ([`Fit`]). A column that the catalog does not have conforms to neither, null conforms to both, and
//! both leave out what lies inside of arrays and objects.
//!
//! `validation_policy` takes a type that is narrower than the column's: boolean < integer < number < string. An array
//! column takes arrays and an object column takes objects, nothing else does. The CDK has this rule for a type that is
//! written alone (`"object"`). For a list of types (`["null", "object"]`) it stops at the first column that is not null,
//! takes any scalar for an object and no array for an array; those are not imitated.
//!
//! `schema_evolution` takes the column's own type: a boolean is no integer, and a number is no string.

use arrow::datatypes::DataType;

use std::borrow::Cow;

use tollgate_base::batch::JsonKind;
use tollgate_base::error::{Error, ErrorKind};
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

/// When a value conforms to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Fit {
    /// Its type is the column's or a narrower one.
    #[default]
    Narrower,
    /// Its type is the column's. An integer is a number, and a number without a fraction is an integer.
    Exact,
}

impl Fit {
    pub(super) fn of(evolution: SchemaEvolution) -> Self {
        match evolution {
            SchemaEvolution::Evolve => Self::Narrower,
            SchemaEvolution::Freeze | SchemaEvolution::Rescue => Self::Exact,
        }
    }
}

/// What happens to a row that does not conform: validation, evolution and what bad rows do, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum MismatchPolicy {
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

impl MismatchPolicy {
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

    /// The error of [`MismatchPolicy::Stop`] for the first field that does not conform.
    #[cold]
    pub(super) fn stopped(self, misfit: &TypeMismatch<'_>) -> Error {
        let error = match self {
            Self::Stop { frozen: true } => {
                let hint =
                    "correct the data, refresh the connection's schema, or set `schema_evolution` to evolve or rescue";
                Error::data(format!("{}, and the stream's schema is frozen", misfit.reason())).hint(hint)
            }
            _ => Error::new(
                ErrorKind::SchemaMismatch,
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
pub(super) struct TypeMismatch<'a> {
    pub(super) column: Cow<'a, str>,
    /// The catalog's type; `None` where it has no such column.
    pub(super) expected: Option<ColumnType>,
}

impl TypeMismatch<'_> {
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

/// Whether a JSON value, which has this text, conforms to a column.
pub(super) fn json_conforms(fit: Fit, value: JsonKind, text: &[u8], column: ColumnType) -> bool {
    conforms(fit, value, column)
        || (fit == Fit::Exact && (value, column) == (JsonKind::Number, ColumnType::Integer) && whole(text))
}

fn conforms(fit: Fit, value: JsonKind, column: ColumnType) -> bool {
    match (value, column) {
        (JsonKind::Null, _) | (_, ColumnType::Any) => true,
        (JsonKind::Array, column) => column == ColumnType::Array,
        (JsonKind::Object, column) => column == ColumnType::Object,
        (_, ColumnType::AnyScalar) => true,
        (_, ColumnType::Array | ColumnType::Object) => false,
        (JsonKind::Integer, ColumnType::Number) => true,
        (value, column) if fit == Fit::Exact => rank_of_json(value) == rank(column),
        (value, column) => rank_of_json(value) <= rank(column),
    }
}

/// Whether a JSON number has no fraction: `7.0` and `7e2`.
fn whole(text: &[u8]) -> bool {
    let number: Option<f64> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.is_some_and(|number| number.is_finite() && number.fract() == 0.0)
}

/// Whether the values of an Arrow column conform to a column of the catalog; nulls always do.
pub(super) fn arrow_conforms(fit: Fit, kind: &DataType, decimal_as_float: bool, column: ColumnType) -> bool {
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
        // The catalog of the connector we replace types dictionaries as objects, whatever their values are.
        DataType::Dictionary(_, _) if column == ColumnType::Object => return true,
        DataType::Dictionary(_, values) => return arrow_conforms(fit, values, decimal_as_float, column),
        DataType::RunEndEncoded(_, values) => {
            return arrow_conforms(fit, values.data_type(), decimal_as_float, column);
        }
        _ => JsonKind::String,
    };
    // And durations as integers.
    let duration = matches!(kind, DataType::Duration(_)) && column == ColumnType::Integer;
    duration || conforms(fit, value, column)
}

fn rank_of_json(value: JsonKind) -> u8 {
    match value {
        JsonKind::Null => 0,
        JsonKind::Boolean => 1,
        JsonKind::Integer => 2,
        JsonKind::Number => 3,
        JsonKind::String | JsonKind::Array | JsonKind::Object => 4,
    }
}

fn rank(column: ColumnType) -> u8 {
    match column {
        ColumnType::Null => 0,
        ColumnType::Boolean => 1,
        ColumnType::Integer => 2,
        ColumnType::Number => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_record_takes_the_columns_type_and_narrower_ones() {
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
            (J::Array, C::String, false),
            (J::Array, C::Date, false),
            (J::Array, C::Object, false),
            (J::Object, C::String, false),
            (J::Object, C::Object, true),
            (J::Object, C::Array, false),
            (J::String, C::Object, false),
            (J::Integer, C::Object, false),
            (J::Integer, C::Null, false),
            (J::Object, C::Any, true),
            (J::String, C::AnyScalar, true),
            (J::Array, C::AnyScalar, false),
            (J::Object, C::AnyScalar, false),
        ] {
            assert_eq!(json_conforms(Fit::Narrower, value, b"1.0", column), expected, "{value:?} {column:?}");
        }
    }

    #[test]
    fn freeze_and_rescue_take_the_columns_own_type() {
        use ColumnType as C;
        use JsonKind as J;
        for (value, text, column, expected) in [
            (J::Null, "null", C::Integer, true),
            (J::Boolean, "true", C::Integer, false),
            (J::Boolean, "true", C::Boolean, true),
            (J::Integer, "5", C::String, false),
            (J::Integer, "5", C::Number, true),
            (J::Integer, "5", C::Boolean, false),
            (J::Number, "7.0", C::Integer, true),
            (J::Number, "-7.5e1", C::Integer, true),
            (J::Number, "7.5", C::Integer, false),
            (J::Number, "1e400", C::Integer, false),
            (J::Number, "7.5", C::Number, true),
            (J::String, "\"x\"", C::Date, true),
            (J::String, "\"x\"", C::Object, false),
            (J::Array, "[]", C::String, false),
            (J::Object, "{}", C::Object, true),
            (J::Boolean, "true", C::Any, true),
        ] {
            let conforms = json_conforms(Fit::Exact, value, text.as_bytes(), column);
            assert_eq!(conforms, expected, "{text} {column:?}");
        }
    }
}
