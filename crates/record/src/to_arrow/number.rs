//! Texts → numbers.
//!
//! Which texts of CSV are numbers is what [`python_number`] says, as in records. Arrow's parsers, which are quick, take no
//! others; what they refuse is looked at again.

use arrow::array::ArrowNativeTypeOp;
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{ArrowNativeType, Decimal128Type, DecimalType};

use super::cell::{Cell, CellKind};
use tollgate_base::python_number;

/// A whole number.
#[inline]
pub(super) fn integer<T: Parser>(cell: &Cell<'_>) -> Option<T::Native> {
    match cell.kind {
        CellKind::Text => T::parse(cell.text).or_else(|| integer_of_python::<T>(cell.text)),
        CellKind::Integer => T::parse(cell.text),
        CellKind::Number => whole::<T>(cell.text),
        CellKind::Boolean => T::parse(digit_of(cell)),
        _ => None,
    }
}

#[cold]
fn integer_of_python<T: Parser>(text: &str) -> Option<T::Native> {
    python_number::integer(text).then(|| T::parse(&python_number::plain(text)))?
}

/// `7.0` and `7e2`.
#[cold]
fn whole<T: Parser>(text: &str) -> Option<T::Native> {
    T::parse(itoa::Buffer::new().format(decimal_of::<Decimal128Type>(text, 38, 0)?))
}

fn digit_of(truth: &Cell<'_>) -> &'static str {
    if truth.text == "true" { "1" } else { "0" }
}

/// The nearest floating-point number.
#[inline]
pub(super) fn float<T: Parser<Native: Into<f64>>>(cell: &Cell<'_>) -> Option<T::Native> {
    let value = match cell.kind {
        CellKind::Text => T::parse(cell.text).or_else(|| float_of_python::<T>(cell.text))?,
        CellKind::Integer | CellKind::Number => T::parse(cell.text)?,
        CellKind::Boolean => T::parse(digit_of(cell))?,
        _ => return None,
    };
    let wide: f64 = value.into();
    // Infinity has a name. Digits that become infinite are out of range.
    (!wide.is_infinite() || !cell.text.bytes().any(|byte| byte.is_ascii_digit())).then_some(value)
}

#[cold]
fn float_of_python<T: Parser>(text: &str) -> Option<T::Native> {
    python_number::number(text).then(|| T::parse(&python_number::plain(text)))?
}

/// A decimal with all of its digits. Strings may be numbers: decimals of Avro are.
pub(super) fn decimal<T: DecimalType>(cell: &Cell<'_>, precision: u8, scale: i8) -> Option<T::Native> {
    match cell.kind {
        CellKind::Integer | CellKind::Number => decimal_of::<T>(cell.text, precision, scale),
        CellKind::Text | CellKind::String => {
            let text = cell.string()?;
            let quick = decimal_of::<T>(&text, precision, scale);
            quick.or_else(|| decimal_of_python::<T>(&text, precision, scale))
        }
        _ => None,
    }
}

#[cold]
fn decimal_of_python<T: DecimalType>(text: &str, precision: u8, scale: i8) -> Option<T::Native> {
    let plain = python_number::number(text).then(|| python_number::plain(text))?;
    decimal_of::<T>(&plain, precision, scale)
}

/// Digits with a sign, a point and an exponent, each of which may be missing. `None` where a digit would be lost.
fn decimal_of<T: DecimalType>(text: &str, precision: u8, scale: i8) -> Option<T::Native> {
    let ten = |power: u32| T::Native::usize_as(10).pow_checked(power).ok();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let mut value = T::Native::ZERO;
    // Zeros that count only when another digit follows them: those at the end may be left out.
    let mut zeros: u32 = 0;
    let (mut digits, mut fraction): (usize, Option<usize>) = (0, None);
    for byte in mantissa.bytes() {
        match byte {
            b'0' => zeros += 1,
            b'1'..=b'9' => {
                if value != T::Native::ZERO {
                    value = value.mul_checked(ten(zeros + 1)?).ok()?;
                }
                value = value.add_checked(T::Native::usize_as(usize::from(byte - b'0'))).ok()?;
                zeros = 0;
            }
            b'.' if fraction.is_none() => {
                fraction = Some(digits);
                continue;
            }
            _ => return None,
        }
        digits += 1;
    }
    if digits == 0 {
        return None;
    }
    if value != T::Native::ZERO {
        let behind_point = (digits - fraction.unwrap_or(digits)) as i64;
        let shift = i64::from(zeros) - behind_point + i64::from(exponent) + i64::from(scale);
        value = value.mul_checked(ten(u32::try_from(shift).ok()?)?).ok()?;
    }
    if text.starts_with('-') {
        value = value.neg_checked().ok()?;
    }
    T::is_valid_decimal_precision(value, precision).then_some(value)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Decimal32Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int64Type, UInt64Type};

    use super::*;

    fn text(text: &str) -> Cell<'_> {
        Cell { text, row: 0, kind: CellKind::Text }
    }

    #[test]
    fn integers_of_csv_are_those_of_records_where_they_are_in_range() {
        for (written, value) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("+5", Some(5)),
            ("1_0", Some(10)),
            ("٣", Some(3)),
            ("-0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1.0", None),
            ("1e3", None),
            ("", None),
            ("-", None),
            ("0x1", None),
        ] {
            assert_eq!(integer::<Int64Type>(&text(written)), value, "'{written}'");
        }
        assert_eq!([integer::<Int8Type>(&text("127")), integer::<Int8Type>(&text("128"))], [Some(127), None]);
        assert_eq!(integer::<UInt64Type>(&text("18446744073709551615")), Some(u64::MAX));
        assert_eq!(integer::<UInt64Type>(&text("-1")), None);
    }

    #[test]
    fn whole_numbers_of_json_are_integers() {
        for (written, value) in [
            ("7.0", Some(7)),
            ("-7.5e1", Some(-75)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("7.5", None),
            ("1e400", None),
            ("true", Some(1)),
            ("false", Some(0)),
            ("\"7\"", None),
        ] {
            assert_eq!(integer::<Int64Type>(&Cell::of_json(written, 0)), value, "'{written}'");
        }
    }

    #[test]
    fn floats_of_csv_are_those_of_records_and_infinity_has_a_name() {
        for (written, value) in [
            ("1.50", Some(1.5)),
            ("1e3", Some(1000.0)),
            (" 7 ", Some(7.0)),
            (".5", Some(0.5)),
            ("1_0.5", Some(10.5)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("inf", Some(f64::INFINITY)),
            ("1e400", None),
            ("-1e400", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(float::<Float64Type>(&text(written)), value, "'{written}'");
        }
        assert!(float::<Float64Type>(&text("NaN")).is_some_and(f64::is_nan));
        assert_eq!(float::<Float32Type>(&text("1e39")), None);
        assert_eq!(float::<Float64Type>(&Cell::of_json("9007199254740993", 0)), Some(9_007_199_254_740_992.0));
    }

    #[test]
    fn decimals_keep_all_digits_or_are_refused() {
        for (written, value) in [
            ("123.45", Some(12345)),
            ("-0.5", Some(-50)),
            ("+12", Some(1200)),
            ("1.2000", Some(120)),
            ("1200e-2", Some(1200)),
            ("12.5e1", Some(12500)),
            ("1.2E-7", None),
            ("0E-10", Some(0)),
            ("0.00000000000000000000000000000000000000000", Some(0)),
            (" 1_000 ", Some(100_000)),
            ("100000", Some(10_000_000)),
            ("1000000000", None),
            ("1e400", None),
            ("0.001", None),
            ("1e99999999999", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("nan", None),
        ] {
            assert_eq!(decimal::<Decimal32Type>(&text(written), 9, 2), value, "'{written}'");
        }
        assert_eq!(decimal::<Decimal128Type>(&Cell::of_json("\"-12\"", 0), 38, -1), None);
        assert_eq!(decimal::<Decimal128Type>(&Cell::of_json("\"-120\"", 0), 38, -1), Some(-12));
        let long = "-1234567890123456789012345678901234567890.5";
        let wide = decimal::<Decimal256Type>(&Cell::of_json(long, 0), 76, 1);
        assert_eq!(wide.map(|value| value.to_string()), Some(long.replace('.', "")));
    }
}
