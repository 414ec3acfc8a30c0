//! Literals, parsed once for every type that they can be compared with.

use std::cmp::Ordering;
use std::fmt;

use super::number::Number;
use super::time::{instant, time_of_day, write_instant};
use super::value::{Kind, Value};

/// A literal of a condition.
#[derive(Debug, Clone)]
pub struct Operand {
    written: Written,
    /// The literal as a value of each kind.
    boolean: Option<bool>,
    number: Option<Box<Number>>,
    instant: Option<i128>,
    time: Option<i64>,
}

/// A literal as it was written.
#[derive(Debug, Clone, PartialEq)]
enum Written {
    Boolean(bool),
    /// The digits.
    Number(Box<str>),
    Text(Box<str>),
    /// Nanoseconds since 1970, not written as a text.
    Instant(i128),
}

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The value is less than the literal, equal, or greater.
    Order(Ordering),
    /// The value is NaN.
    Unordered,
    /// The two cannot be compared.
    Incomparable,
}

impl Operand {
    /// True or false.
    #[must_use]
    pub fn boolean(value: bool) -> Self {
        Self { written: Written::Boolean(value), boolean: Some(value), number: None, instant: None, time: None }
    }

    /// Parses a number. `None` if the text is not a number.
    #[must_use]
    pub fn of_number(text: &str) -> Option<Self> {
        let number = Some(Box::new(Number::parse(text.as_bytes())?));
        Some(Self { written: Written::Number(text.into()), boolean: None, number, instant: None, time: None })
    }

    /// A text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let boolean = match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        Self {
            written: Written::Text(text.into()),
            boolean,
            number: Number::parse(text.as_bytes()).map(Box::new),
            instant: instant(text),
            time: time_of_day(text),
        }
    }

    /// An instant in nanoseconds since 1970. Unlike a text with a time, it does not compare with texts.
    #[must_use]
    pub fn of_instant(nanos: i128) -> Self {
        Self { written: Written::Instant(nanos), boolean: None, number: None, instant: Some(nanos), time: None }
    }

    /// The literal as a value.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match &self.written {
            Written::Boolean(value) => Value::Boolean(*value),
            Written::Number(text) => Value::Digits(text.as_bytes()),
            Written::Text(text) => Value::Text(text.as_bytes()),
            Written::Instant(nanos) => Value::Instant(*nanos),
        }
    }

    /// The number that the literal is or spells.
    #[must_use]
    pub fn number(&self) -> Option<&Number> {
        self.number.as_deref()
    }

    /// The bytes of the literal, if it is a text.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match &self.written {
            Written::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The literal as a truth value.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        self.boolean
    }

    /// The literal as nanoseconds since 1970.
    #[must_use]
    pub fn instant(&self) -> Option<i128> {
        self.instant
    }

    /// The literal as nanoseconds since midnight.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.time
    }

    /// The literal as JSON. Numbers that JSON parsers would round are strings, which still compare with numbers.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.written {
            Written::Boolean(value) => (*value).into(),
            Written::Text(text) => (**text).into(),
            Written::Instant(nanos) => write_instant(*nanos).into(),
            Written::Number(text) => match serde_json::from_str::<serde_json::Number>(text) {
                Ok(number) if number.to_string() == **text => number.into(),
                _ => (**text).into(),
            },
        }
    }

    /// How a value compares with the literal.
    #[inline]
    #[must_use]
    pub fn compare(&self, value: &Value<'_>) -> Compared {
        let order = match (value, &self.number) {
            (Value::Integer(value), Some(number)) => Some(number.order_integer(*value)),
            (Value::Double(value), Some(number)) => return float(value.partial_cmp(&number.double())),
            (Value::Single(value), Some(number)) => return float(value.partial_cmp(&number.single())),
            (Value::Decimal(value, scale), Some(number)) => Some(number.order_decimal(*value, *scale)),
            (Value::Digits(digits), Some(number)) => return digits_order(digits, number),
            (Value::Text(text), number) => match (&self.written, number) {
                (Written::Text(literal), _) => Some((*text).cmp(literal.as_bytes())),
                (Written::Number(_), Some(number)) => return digits_order(text, number),
                _ => None,
            },
            (Value::Boolean(value), _) => self.boolean.map(|literal| value.cmp(&literal)),
            (Value::Instant(value), _) => self.instant.map(|literal| value.cmp(&literal)),
            (Value::Time(value), _) => self.time.map(|literal| value.cmp(&literal)),
            _ => None,
        };
        order.map_or(Compared::Incomparable, Compared::Order)
    }

    /// Whether values between two bounds in the order of their column are also between them in this comparison. Numbers
    /// in strings are not: 10 is greater than 9, but `10` sorts before `9`.
    pub(super) fn ordered_with(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Text(_) => matches!(self.written, Written::Text(_)),
            Value::Digits(_) => false,
            _ => true,
        }
    }

    /// Whether values of a kind can be compared with it.
    pub(super) fn fits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Boolean => self.boolean.is_some(),
            Kind::Number => self.number.is_some(),
            Kind::Text => matches!(self.written, Written::Text(_) | Written::Number(_)),
            Kind::Instant => self.instant.is_some(),
            Kind::Time => self.time.is_some(),
            Kind::Other => false,
        }
    }
}

fn float(order: Option<Ordering>) -> Compared {
    order.map_or(Compared::Unordered, Compared::Order)
}

#[inline]
fn digits_order(digits: &[u8], number: &Number) -> Compared {
    if let Some(small) = small_integer(digits) {
        return Compared::Order(number.order_integer(small));
    }
    match Number::parse(digits) {
        Some(value) => Compared::Order(value.cmp(number)),
        None => Compared::Incomparable,
    }
}

/// The integer of a text of at most eighteen digits.
#[inline]
#[must_use]
pub fn small_integer(text: &[u8]) -> Option<i128> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        value = value * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some(i128::from(if digits.len() == text.len() { value } else { -value }))
}

impl PartialEq for Operand {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Written::Boolean(value) => write!(f, "{value}"),
            Written::Number(text) => write!(f, "the number {text}"),
            Written::Text(text) => write!(f, "the string '{text}'"),
            Written::Instant(nanos) => f.write_str(&write_instant(*nanos)),
        }
    }
}
