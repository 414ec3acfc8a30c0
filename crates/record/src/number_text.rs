//! Numbers as JSON texts.

use arrow::datatypes::i256;

use tollgate_base::python_number;

/// A finite number in the shortest digits that read back as the same double: `1.0`, `-0.0`, `1e-10`, `1e+22`.
/// NaN and the infinities, which JSON does not have, become `null`.
#[inline]
pub(crate) fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// How decimals are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DecimalForm {
    /// Digits behind the point; negative for zeros in front of it.
    pub(crate) scale: i8,
    /// As the nearest double instead of a string with all digits.
    pub(crate) as_float: bool,
}

/// A decimal of at most 38 digits.
pub(crate) fn write_decimal128(value: i128, form: DecimalForm, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    write_decimal(value < 0, digits.format(value.unsigned_abs()), form, out);
}

/// A decimal of at most 76 digits.
pub(crate) fn write_decimal256(value: i256, form: DecimalForm, out: &mut Vec<u8>) {
    match value.to_i128() {
        Some(value) => write_decimal128(value, form, out),
        None => {
            let text = value.to_string();
            write_decimal(value.is_negative(), text.trim_start_matches('-'), form, out);
        }
    }
}

fn write_decimal(negative: bool, digits: &str, form: DecimalForm, out: &mut Vec<u8>) {
    if form.as_float {
        let start = out.len();
        python_number::write_decimal(negative, digits.as_bytes(), form.scale.into(), out);
        let value = std::str::from_utf8(&out[start..]).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        out.truncate(start);
        return write_double(value, out);
    }
    out.push(b'"');
    python_number::write_decimal(negative, digits.as_bytes(), form.scale.into(), out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn doubles_have_the_form_of_the_old_connector() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (f64::from(0.1f32), "0.10000000149011612"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1e22, "1e+22"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.00001, "0.00001"),
            (0.000_001, "1e-6"),
            (1.5e-6, "1.5e-6"),
            (1e-10, "1e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(text(|out| write_double(value, out)), expected);
        }
    }

    #[test]
    fn decimals_have_the_form_of_python() {
        for (value, scale, expected) in [
            (1_234_500, 4, "123.4500"),
            (-1_234_500, 4, "-123.4500"),
            (5, 4, "0.0005"),
            (-5, 1, "-0.5"),
            (0, 2, "0.00"),
            (0, 0, "0"),
            (42, 0, "42"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
            (12, 8, "1.2E-7"),
            (0, 10, "0E-10"),
            (12, -3, "1.2E+4"),
            (0, -2, "0E+2"),
            (i128::MAX, 10, "17014118346046923173168730371.5884105727"),
        ] {
            let form = DecimalForm { scale, as_float: false };
            assert_eq!(text(|out| write_decimal128(value, form, out)), format!("\"{expected}\""));
            assert_eq!(text(|out| write_decimal256(i256::from_i128(value), form, out)), format!("\"{expected}\""));
        }
        let wide = i256::from_string("-12345678901234567890123456789012345678901234567890").expect("a number");
        let form = DecimalForm { scale: 5, as_float: false };
        assert_eq!(
            text(|out| write_decimal256(wide, form, out)),
            "\"-123456789012345678901234567890123456789012345.67890\""
        );
    }

    #[test]
    fn decimals_as_floats_are_the_nearest_doubles() {
        let form = |scale| DecimalForm { scale, as_float: true };
        assert_eq!(text(|out| write_decimal128(1_234_500, form(4), out)), "123.45");
        assert_eq!(text(|out| write_decimal128(-7, form(0), out)), "-7.0");
        assert_eq!(text(|out| write_decimal128(12, form(-3), out)), "12000.0");
        assert_eq!(text(|out| write_decimal128(1, form(10), out)), "1e-10");
    }
}
