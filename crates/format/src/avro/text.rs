//! The texts of values that JSON has no type for: decimals, dates and times, durations.
//!
//! They are those of Python, which `airbyte/source-s3` is written in. A timestamp at the top of a record always has the
//! digits of its unit there; inside of lists and records it has six digits, or none where they are zero.

use std::io::Write as _;

use super::schema::{Instant, Unit};
use tollgate_base::calendar::civil;
use tollgate_base::python_number;

const DAY_SECONDS: i64 = 86_400;

/// Bytes of a decimal at most: about 2,400 digits. Longer ones would cost time by the square of their length.
pub(super) const DECIMAL_BYTES: usize = 1024;

impl Unit {
    fn per_second(self) -> i64 {
        match self {
            Self::Milli => 1_000,
            Self::Micro => 1_000_000,
            Self::Nano => 1_000_000_000,
        }
    }
}

/// The text of Python's `str(Decimal)` for a whole number in two's complement, highest byte first, and its digits
/// behind the point.
pub(super) fn write_decimal(bytes: &[u8], scale: i64, out: &mut Vec<u8>) {
    match short(bytes) {
        Some(value) => {
            let mut digits = itoa::Buffer::new();
            python_number::write_decimal(value < 0, digits.format(value.unsigned_abs()).as_bytes(), scale, out);
        }
        None => {
            let negative = bytes[0] & 0x80 != 0;
            python_number::write_decimal(negative, long_digits(bytes, negative).as_bytes(), scale, out);
        }
    }
}

/// The decimal digits of a number in two's complement that has more than 128 bits.
fn long_digits(bytes: &[u8], negative: bool) -> String {
    let mut words = magnitude(bytes, negative);
    let mut groups = Vec::new();
    while !words.is_empty() {
        let mut rest = 0;
        for word in words.iter_mut().rev() {
            let value = rest << 32 | u64::from(*word);
            *word = (value / 1_000_000_000) as u32;
            rest = value % 1_000_000_000;
        }
        groups.push(rest);
        trim(&mut words);
    }
    let mut digits = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        digits.push_str(&format!("{group:09}"));
    }
    digits
}

/// The number, where it fits into 128 bits.
fn short(bytes: &[u8]) -> Option<i128> {
    if bytes.len() > 16 {
        return None;
    }
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    Some(bytes.iter().fold(sign, |value, byte| value << 8 | i128::from(*byte)))
}

/// The number without its sign in words of 32 bits, lowest first, without zeros behind the highest.
fn magnitude(bytes: &[u8], negative: bool) -> Vec<u32> {
    let sign = if negative { u32::MAX } else { 0 };
    let mut carry = negative;
    let mut words: Vec<u32> = bytes
        .rchunks(4)
        .map(|chunk| {
            let word = chunk.iter().fold(sign, |word, byte| word << 8 | u32::from(*byte));
            let (sum, overflow) = (word ^ sign).overflowing_add(u32::from(carry));
            carry = overflow;
            sum
        })
        .collect();
    words.push(u32::from(carry));
    trim(&mut words);
    words
}

fn trim(words: &mut Vec<u32>) {
    while words.last() == Some(&0) {
        words.pop();
    }
}

/// `2024-02-29`. Years beyond four digits are written in ISO 8601's expanded form.
pub(super) fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    // Writing into a Vec cannot fail, here and below.
    _ = if (0..=9999).contains(&year) { write!(out, "{year:04}") } else { write!(out, "{year:+05}") };
    _ = write!(out, "-{month:02}-{day:02}");
}

/// `01:02:03.004000` for a time since midnight. `None` when that is not within a day.
pub(super) fn write_time(value: i64, unit: Unit, out: &mut Vec<u8>) -> Option<()> {
    let seconds = value.div_euclid(unit.per_second());
    if !(0..DAY_SECONDS).contains(&seconds) {
        return None;
    }
    write_clock(seconds, out);
    write_fraction(value, unit, out);
    Some(())
}

/// `2024-01-02T03:04:05.006+00:00` at the top of a record, `2024-01-02T03:04:05.006000+00:00` inside of something.
pub(super) fn write_timestamp(value: i64, unit: Unit, instant: Instant, nested: bool, out: &mut Vec<u8>) {
    let per_second = unit.per_second();
    let seconds = value.div_euclid(per_second);
    write_date(seconds.div_euclid(DAY_SECONDS), out);
    out.push(b'T');
    write_clock(seconds.rem_euclid(DAY_SECONDS), out);
    match (unit, nested) {
        (Unit::Milli, false) => _ = write!(out, ".{:03}", value.rem_euclid(per_second)),
        (Unit::Micro, false) => _ = write!(out, ".{:06}", value.rem_euclid(per_second)),
        (Unit::Nano, _) | (_, true) => write_fraction(value, unit, out),
    }
    if instant == Instant::Utc {
        out.extend_from_slice(b"+00:00");
    }
}

fn write_clock(seconds: i64, out: &mut Vec<u8>) {
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
}

/// Six digits, none where they are zero, nine where six do not suffice.
fn write_fraction(value: i64, unit: Unit, out: &mut Vec<u8>) {
    let nanos = value.rem_euclid(unit.per_second()) * (1_000_000_000 / unit.per_second());
    if nanos == 0 {
        return;
    }
    _ = if nanos % 1000 == 0 { write!(out, ".{:06}", nanos / 1000) } else { write!(out, ".{nanos:09}") };
}

/// `P1M2DT3.004S`: Avro's months, days and milliseconds as an ISO 8601 duration.
pub(super) fn write_duration(bytes: &[u8; 12], out: &mut Vec<u8>) {
    let part = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (months, days, millis) = (part(0), part(4), part(8));
    let start = out.len();
    out.push(b'P');
    for (count, letter) in [(months, 'M'), (days, 'D')] {
        if count > 0 {
            _ = write!(out, "{count}{letter}");
        }
    }
    if millis > 0 || out.len() == start + 1 {
        _ = write!(out, "T{}", millis / 1000);
        if millis % 1000 > 0 {
            _ = write!(out, ".{:03}", millis % 1000);
        }
        out.push(b'S');
    }
}

/// `00112233-4455-6677-8899-aabbccddeeff`
pub(super) fn write_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
}

/// Python's `repr` of a double: the shortest digits, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn write_python_double(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        let text = match (value.is_nan(), value > 0.0) {
            (true, _) => "nan",
            (_, true) => "inf",
            _ => "-inf",
        };
        return out.extend_from_slice(text.as_bytes());
    }
    let start = out.len();
    _ = write!(out, "{value:e}");
    let letter = out.iter().rposition(|byte| *byte == b'e').unwrap_or(out.len());
    let exponent = std::str::from_utf8(&out[letter + 1..]).ok().and_then(|digits| digits.parse::<i32>().ok());
    let exponent = exponent.unwrap_or(0);
    if !(-4..16).contains(&exponent) {
        out.truncate(letter);
        let sign = if exponent < 0 { '-' } else { '+' };
        _ = write!(out, "e{sign}{:02}", exponent.abs());
        return;
    }
    out.truncate(start);
    _ = write!(out, "{value}");
    if !out[start..].contains(&b'.') {
        out.extend_from_slice(b".0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_of_any_length() {
        let decimal = |bytes: &[u8], scale| text(|out| write_decimal(bytes, scale, out));
        assert_eq!(decimal(&[0x30, 0x39], 2), "123.45");
        assert_eq!(decimal(&[0xff], 2), "-0.01");
        assert_eq!(decimal(&[], 2), "0.00");
        assert_eq!(decimal(&[0], 0), "0");
        assert_eq!(decimal(&[1], 7), "1E-7");
        assert_eq!(decimal(&[1], 6), "0.000001");
        assert_eq!(decimal(&[12], -3), "1.2E+4");
        assert_eq!(decimal(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0), i128::MIN.to_string());
        // 2^160, -2^160 - 1 and -1 in more bytes than 128 bits have.
        let mut bytes = vec![0; 21];
        bytes[0] = 1;
        assert_eq!(decimal(&bytes, 0), "1461501637330902918203684832716283019655932542976");
        let negative: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        assert_eq!(decimal(&negative, 3), "-1461501637330902918203684832716283019655932542.977");
        assert_eq!(decimal(&[0xff; 23], 0), "-1");
        assert_eq!(decimal(&[0; 40], 1), "0.0");
        let mut bytes = vec![0; 24];
        bytes[0] = 0x80;
        assert_eq!(decimal(&bytes, 0), "-3138550867693340381917894711603833208051177722232017256448");
    }

    #[test]
    fn doubles_are_pythons() {
        for (value, expected) in [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e22, "1.5e+22"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (5e-324, "5e-324"),
            (123_456_789.125, "123456789.125"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(|out| write_python_double(value, out)), expected);
        }
    }

    #[test]
    fn durations_and_uuids() {
        let duration = |months: u32, days: u32, millis: u32| {
            let bytes: Vec<u8> = [months, days, millis].iter().flat_map(|part| part.to_le_bytes()).collect();
            text(|out| write_duration(bytes.as_slice().try_into().unwrap(), out))
        };
        assert_eq!(duration(1, 2, 3004), "P1M2DT3.004S");
        assert_eq!(duration(0, 0, 0), "PT0S");
        assert_eq!(duration(14, 0, 0), "P14M");
        assert_eq!(duration(0, 0, 60_000), "PT60S");
        let bytes: [u8; 16] = std::array::from_fn(|at| at as u8 * 17);
        assert_eq!(text(|out| write_uuid(&bytes, out)), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn times_of_all_units() {
        let stamp = |value, unit, instant, nested| text(|out| write_timestamp(value, unit, instant, nested, out));
        assert_eq!(stamp(-1, Unit::Milli, Instant::Utc, false), "1969-12-31T23:59:59.999+00:00");
        assert_eq!(stamp(0, Unit::Micro, Instant::Local, false), "1970-01-01T00:00:00.000000");
        assert_eq!(stamp(0, Unit::Micro, Instant::Utc, true), "1970-01-01T00:00:00+00:00");
        assert_eq!(stamp(6, Unit::Milli, Instant::Utc, true), "1970-01-01T00:00:00.006000+00:00");
        assert_eq!(stamp(1, Unit::Nano, Instant::Local, false), "1970-01-01T00:00:00.000000001");
        assert_eq!(stamp(i64::MIN, Unit::Milli, Instant::Local, false), "-292275055-05-16T16:47:04.192");
        let time = |value, unit| {
            let mut out = Vec::new();
            write_time(value, unit, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        assert_eq!(time(3_723_004, Unit::Milli).as_deref(), Some("01:02:03.004000"));
        assert_eq!(time(3_723_000_000, Unit::Micro).as_deref(), Some("01:02:03"));
        assert_eq!(time(-1, Unit::Milli), None);
        assert_eq!(time(86_400_000, Unit::Milli), None);
    }
}
