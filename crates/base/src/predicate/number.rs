//! Decimal numbers of any length, compared exactly.

use std::cmp::Ordering;
use std::sync::OnceLock;

use arrow::datatypes::i256;

/// Exponents beyond this are no numbers that anybody compares; they would only cost memory.
const EXPONENT: i64 = 100_000;

/// Whole numbers up to this length are written without an exponent.
const PLAIN_DIGITS: usize = 40;

/// A number as it was written: `0.d₁d₂d₃… × 10^point`.
#[derive(Debug, Clone)]
pub struct Number {
    negative: bool,
    /// Without zeros at either end; none for zero.
    digits: Box<[u8]>,
    point: i64,
    double: f64,
    single: f32,
    /// The number without its fraction, where it fits, and whether it has one.
    whole: Option<(i128, bool)>,
    /// As a decimal of the scale that was first requested. Columns have only one scale.
    scaled: OnceLock<(i8, Option<(i256, bool)>)>,
}

impl Number {
    /// Reads `-12.50`, `+1`, `.5`, `1e3`. `None` for any other text, infinities and NaN among them.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&unsigned[..at], exponent(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        let all = || whole.iter().chain(fraction);
        if all().next().is_none() || !all().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = all().take_while(|byte| **byte == b'0').count();
        let mut digits: Vec<u8> = all().skip(zeros).copied().collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { whole.len() as i64 - zeros as i64 + exponent };
        let spelled = std::str::from_utf8(text).ok()?;
        let (double, single) = (spelled.parse().ok()?, spelled.parse().ok()?);
        let mut number = Self {
            negative: negative && !digits.is_empty(),
            digits: digits.into(),
            point,
            double,
            single,
            whole: None,
            scaled: OnceLock::new(),
        };
        number.whole = number.scale(0).and_then(|(whole, rest)| Some((whole.to_i128()?, rest)));
        Some(number)
    }

    /// The nearest double.
    #[must_use]
    pub fn double(&self) -> f64 {
        self.double
    }

    /// The nearest number of single precision.
    #[must_use]
    pub fn single(&self) -> f32 {
        self.single
    }

    /// The number as an integer, if it is whole and fits.
    #[must_use]
    pub fn integer(&self) -> Option<i128> {
        self.whole.filter(|(_, rest)| !rest).map(|(whole, _)| whole)
    }

    /// The number as a decimal of this scale, if it can be represented.
    #[must_use]
    pub fn decimal(&self, scale: i8) -> Option<i256> {
        self.scale(scale).filter(|(_, rest)| !rest).map(|(whole, _)| whole)
    }

    /// The number as a text that [`Number::parse`] reads.
    #[must_use]
    pub fn text(&self) -> String {
        let digits = String::from_utf8_lossy(&self.digits);
        let sign = if self.negative { "-" } else { "" };
        match usize::try_from(self.point) {
            _ if digits.is_empty() => "0".to_owned(),
            Ok(point) if (digits.len()..=PLAIN_DIGITS).contains(&point) => format!("{sign}{digits:0<point$}"),
            Ok(point) if (1..digits.len()).contains(&point) => {
                format!("{sign}{}.{}", &digits[..point], &digits[point..])
            }
            _ if (-6..=0).contains(&self.point) => {
                format!("{sign}0.{}{digits}", "0".repeat(self.point.unsigned_abs() as usize))
            }
            _ => format!("{sign}0.{digits}e{}", self.point),
        }
    }

    /// The difference of two numbers, as a text. It is exact for whole numbers, and otherwise computed with doubles.
    #[must_use]
    pub fn minus(&self, other: &Self) -> String {
        match self.integer().zip(other.integer()).and_then(|(one, other)| one.checked_sub(other)) {
            Some(difference) => difference.to_string(),
            None => (self.double - other.double).to_string(),
        }
    }

    /// How an integer compares with this number.
    #[inline]
    #[must_use]
    pub fn order_integer(&self, value: i128) -> Ordering {
        match self.whole {
            Some((whole, rest)) => value.cmp(&whole).then_with(|| self.beyond(rest)),
            None => self.far(),
        }
    }

    /// How a decimal compares with this number.
    #[inline]
    #[must_use]
    pub fn order_decimal(&self, value: i256, scale: i8) -> Ordering {
        let (known, scaled) = self.scaled.get_or_init(|| (scale, self.scale(scale)));
        let scaled = if *known == scale { *scaled } else { self.scale(scale) };
        match scaled {
            Some((whole, rest)) => value.cmp(&whole).then_with(|| self.beyond(rest)),
            None => self.far(),
        }
    }

    /// How the number without its fraction compares with the number.
    fn beyond(&self, rest: bool) -> Ordering {
        match (rest, self.negative) {
            (false, _) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (true, true) => Ordering::Greater,
        }
    }

    /// How anything that fits compares with this number, which does not.
    fn far(&self) -> Ordering {
        if self.negative { Ordering::Greater } else { Ordering::Less }
    }

    /// The number times ten to the power of the scale, without its fraction, and whether it has one. `None` where
    /// that has more digits than fit.
    fn scale(&self, scale: i8) -> Option<(i256, bool)> {
        let length = self.point + i64::from(scale);
        if self.digits.is_empty() || length <= 0 {
            return Some((i256::ZERO, !self.digits.is_empty()));
        }
        // 2^255 has 77 digits.
        let length = usize::try_from(length).ok().filter(|length| *length <= 77)?;
        let mut text = String::with_capacity(length + 1);
        if self.negative {
            text.push('-');
        }
        let digits = self.digits.iter().map(|byte| char::from(*byte));
        text.extend(digits.chain(std::iter::repeat('0')).take(length));
        Some((i256::from_string(&text)?, self.digits.len() > length))
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |sum, byte| (sum * 10 + i64::from(byte - b'0')).min(EXPONENT + 1));
    let value = if text.starts_with(b"-") { -value } else { value };
    Some(value).filter(|value| value.abs() <= EXPONENT)
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let signs = sign(self).cmp(&sign(other));
        let magnitude = || self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        match (signs, self.negative) {
            (Ordering::Equal, false) => magnitude(),
            (Ordering::Equal, true) => magnitude().reverse(),
            (signs, _) => signs,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}
