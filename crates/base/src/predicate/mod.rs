//! Conditions on the columns of a row, for `parquet_filters` and filters on partitions.
//!
//! ```text
//!   [[["year", ">=", 2024], ["kind", "in", ["a", "b"]]], [["kind", "is null"]]]
//!     └───────────── all of these ──────────────────┘  or └──── these ────┘
//! ```
//!
//! A [`Predicate`] is a list of alternatives, each a list of conditions that must all hold: the form of pyarrow's
//! `filters`. Logic has three values, as in SQL: a comparison with null is unknown, and a row matches only if the
//! predicate is true. Comparisons follow the column's value: numbers by value and exactly (64 bits, decimals of any
//! length), floating point as IEEE 754 has it (NaN equals nothing, also not itself), times as instants, texts and bytes
//! bytewise, `false` before `true`. A string literal takes the type of the value that it is compared with:
//! `"2024-01-31"` is a day when compared with a date, and ten bytes when compared with a string. A number literal that
//! is compared with a string compares with the number in the string. If values cannot be compared (a string that is not
//! a number with a number), the result is unknown.
//!
//! The module is independent of formats. [`Predicate::possible`] also answers whether any row between two bounds may
//! match. If not, no row matches. Otherwise the rows must be read to find out.

mod condition;
mod marks;
mod number;
mod operand;
mod parse;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use self::condition::{ColumnStatistics, Condition, List, Nulls, Operator, Predicate, Rest, Test, Truth};
pub use self::marks::{Lookback, Marks};
pub use self::number::Number;
pub use self::operand::{Compared, Operand, small_integer};
pub use self::time::{instant, time_of_day};
pub use self::value::{DAY_NANOS, Kind, Value, text_or_bytes};
