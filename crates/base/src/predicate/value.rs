//! Values as predicates compare them.

use std::fmt;

use arrow::datatypes::{DataType, i256};

/// The number of nanoseconds in a day.
pub const DAY_NANOS: i128 = 86_400_000_000_000;

/// A value of a row, or a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// None.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// A decimal: the whole number divided by ten to the power of the scale.
    Decimal(i256, i8),
    /// Single precision: literals are rounded to it, so that `= 0.1` finds what was written as 0.1.
    Single(f32),
    /// Double precision: literals are rounded to it.
    Double(f64),
    /// A number as text, from JSON and CSV. A text that is not a number cannot be compared.
    Digits(&'a [u8]),
    /// A text, or bytes.
    Text(&'a [u8]),
    /// Nanoseconds since 1970 in UTC: dates (their midnight) and timestamps. A timestamp without a zone counts as UTC.
    Instant(i128),
    /// Nanoseconds since midnight.
    Time(i64),
    /// A list, a struct, or any other value that cannot be compared but is not null.
    Other,
}

/// The kind of values in a column, for comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Boolean`]
    Boolean,
    /// [`Value::Integer`], [`Value::Decimal`], [`Value::Single`], [`Value::Double`], [`Value::Digits`]
    Number,
    /// [`Value::Text`]
    Text,
    /// [`Value::Instant`]
    Instant,
    /// [`Value::Time`]
    Time,
    /// [`Value::Other`]
    Other,
}

impl Kind {
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Boolean => "compare it with true or false",
            Self::Number => "compare it with a number",
            Self::Text => "compare it with a string or a number",
            Self::Instant => "compare it with a date or a time, such as \"2024-01-31\" or \"2024-01-31T12:00:00Z\"",
            Self::Time => "compare it with a time of day, such as \"12:30:00\"",
            Self::Other => "use 'is null' or 'is not null'",
        }
    }
}

/// Whether the values of an Arrow column are texts or bytes, which compare bytewise.
#[must_use]
pub fn text_or_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_)
    )
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "true or false",
            Self::Number => "numbers",
            Self::Text => "texts",
            Self::Instant => "dates or timestamps",
            Self::Time => "times of day",
            Self::Other => "lists or structs",
        })
    }
}
