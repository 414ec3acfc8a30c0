//! A record cursor: the greatest values that were seen in a column, and whether another value is below them.
//!
//! Values belong to classes that do not compare with each other: numbers, instants and texts. The type of a column may
//! differ between the files of a stream, and strings of CSV and JSON may have any class: a string that is a plain
//! number or an ISO time belongs to that class (bytewise, `9` would be above `10`). Values without a class (null, true,
//! lists, NaN) are never below anything.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Operator, Predicate, Test};
use super::number::Number;
use super::operand::{Compared, Operand};
use super::time::{instant, writable, write_instant};
use super::value::Value;
use crate::error::{Error, Result};

/// The greatest value of each class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Marks {
    number: Option<Operand>,
    instant: Option<Operand>,
    text: Option<Operand>,
}

/// Marks as a state has them.
#[derive(Default, Serialize, Deserialize)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl From<Marks> for Written {
    fn from(marks: Marks) -> Self {
        Self {
            number: marks.number.as_ref().and_then(Operand::number).map(Number::text),
            instant: marks.instant.as_ref().and_then(Operand::instant).map(write_instant),
            text: marks.text.as_ref().and_then(Operand::text).map(|text| String::from_utf8_lossy(text).into_owned()),
        }
    }
}

impl TryFrom<Written> for Marks {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        let number = written.number.map(|text| Operand::of_number(&text).ok_or(text));
        let instant = written.instant.map(|text| instant(&text).map(Operand::of_instant).ok_or(text));
        Ok(Self {
            number: number.transpose().map_err(|text| format!("'{text}' is not a number"))?,
            instant: instant.transpose().map_err(|text| format!("'{text}' is not a time"))?,
            text: written.text.as_deref().map(Operand::of_text),
        })
    }
}

/// How far below the greatest value rows still count as new.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookback {
    /// For numbers, in their own unit.
    Number(Number),
    /// For dates and timestamps, in nanoseconds.
    Nanos(i128),
}

/// The class of a value, and the value as that class has it.
enum Class<'a> {
    Number(Number),
    Instant(i128),
    Text(&'a str),
}

impl Marks {
    /// Whether no value was seen.
    #[must_use]
    pub fn none(&self) -> bool {
        self.number.is_none() && self.instant.is_none() && self.text.is_none()
    }

    /// Raises the marks to a value.
    pub fn see(&mut self, value: &Value<'_>) {
        let known = match value {
            Value::Integer(_) | Value::Decimal(..) | Value::Single(_) | Value::Double(_) => &self.number,
            Value::Instant(_) => &self.instant,
            _ => &None,
        };
        if known.as_ref().is_some_and(|known| known.compare(value) != Compared::Order(Ordering::Greater)) {
            return;
        }
        match class(value) {
            Some(Class::Number(number)) => raise(&mut self.number, Operand::of_number(&number.text())),
            Some(Class::Instant(nanos)) => raise(&mut self.instant, Some(Operand::of_instant(nanos))),
            Some(Class::Text(text)) => raise(&mut self.text, Some(Operand::of_text(text))),
            None => {}
        }
    }

    /// Raises the marks to those of another.
    pub fn merge(&mut self, other: &Self) {
        raise(&mut self.number, other.number.clone());
        raise(&mut self.instant, other.instant.clone());
        raise(&mut self.text, other.text.clone());
    }

    /// Whether a value is certainly below the greatest value of its class.
    #[must_use]
    pub fn above(&self, value: &Value<'_>) -> bool {
        let below = |mark: &Option<Operand>, value: &Value<'_>| {
            mark.as_ref().is_some_and(|mark| mark.compare(value) == Compared::Order(Ordering::Less))
        };
        match value {
            Value::Integer(_) | Value::Decimal(..) | Value::Single(_) | Value::Double(_) => below(&self.number, value),
            Value::Instant(_) => below(&self.instant, value),
            Value::Digits(_) | Value::Text(_) => match class(value) {
                Some(Class::Number(_)) => {
                    let (Value::Digits(text) | Value::Text(text)) = value else { return false };
                    below(&self.number, &Value::Digits(text))
                }
                Some(Class::Instant(nanos)) => below(&self.instant, &Value::Instant(nanos)),
                Some(Class::Text(_)) => below(&self.text, value),
                None => false,
            },
            Value::Null | Value::Boolean(_) | Value::Time(_) | Value::Other => false,
        }
    }

    /// The marks, lowered.
    ///
    /// # Errors
    /// Config, when there are marks and none of them is of the lookback's kind.
    pub fn lowered(&self, by: &Lookback) -> Result<Self> {
        let mut lowered = self.clone();
        let mark = match by {
            Lookback::Number(by) => {
                lowered.number = self.number.as_ref().and_then(|mark| Operand::of_number(&mark.number()?.minus(by)));
                &self.number
            }
            Lookback::Nanos(by) => {
                lowered.instant =
                    self.instant.as_ref().and_then(|mark| Some(Operand::of_instant(mark.instant()? - by)));
                &self.instant
            }
        };
        if mark.is_some() || self.none() {
            return Ok(lowered);
        }
        let (values, right) = match by {
            Lookback::Number(_) => ("numbers", "a duration such as '3d' or '12h'"),
            Lookback::Nanos(_) => ("dates or times", "a number"),
        };
        Err(Error::config(format!(
            "the values of the cursor are not {values}, which the stream's `cursor_lookback` requires"
        ))
        .hint(format!("write it as {right}, or remove it")))
    }

    /// A filter that matches every row that is not certainly below the marks, to be checked against statistics. It
    /// excludes nothing in columns whose statistics cannot show it: texts have another order than the marks, and
    /// statistics do not cover NaN.
    #[must_use]
    pub fn predicate(&self, column: &str) -> Option<Predicate> {
        let condition = |test| vec![Condition::new(column, test)];
        let mut alternatives: Vec<_> = [&self.number, &self.instant]
            .into_iter()
            .flatten()
            .map(|mark| condition(Test::Compare(Operator::NotLess, mark.clone())))
            .collect();
        if alternatives.is_empty() {
            return None;
        }
        alternatives.push(condition(Test::Null));
        Some(Predicate::new(alternatives))
    }
}

fn raise(mark: &mut Option<Operand>, to: Option<Operand>) {
    let Some(to) = to else { return };
    if mark.as_ref().is_none_or(|mark| mark.compare(&to.value()) == Compared::Order(Ordering::Greater)) {
        *mark = Some(to);
    }
}

fn class<'v>(value: &Value<'v>) -> Option<Class<'v>> {
    let number = |text: String| Number::parse(text.as_bytes()).map(Class::Number);
    match value {
        Value::Integer(value) => number(value.to_string()),
        Value::Single(value) => number(value.to_string()),
        Value::Double(value) => number(value.to_string()),
        Value::Decimal(value, scale) => number(format!("{value}e{}", -i32::from(*scale))),
        Value::Digits(text) => Number::parse(text).map(Class::Number),
        Value::Instant(nanos) => writable(*nanos).then_some(Class::Instant(*nanos)),
        Value::Text(text) if text.eq_ignore_ascii_case(b"nan") => None,
        Value::Text(text) => {
            // Exponents are left out: `12e4` is more often a code than a number.
            let plain = !text.iter().any(|byte| matches!(byte, b'e' | b'E'));
            if let Some(number) = Number::parse(text).filter(|_| plain) {
                return Some(Class::Number(number));
            }
            let text = std::str::from_utf8(text).ok()?;
            Some(instant(text).map_or(Class::Text(text), Class::Instant))
        }
        Value::Null | Value::Boolean(_) | Value::Time(_) | Value::Other => None,
    }
}

impl Lookback {
    /// Reads `3d`, `12h`, `90m`, `30s`, or a number. `None` for anything else, and for negative values.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let seconds = match text.chars().last()? {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => {
                let number = Number::parse(text.as_bytes())?;
                return (number.double() >= 0.0).then_some(Self::Number(number));
            }
        };
        let count: u32 = text[..text.len() - 1].trim().parse().ok()?;
        Some(Self::Nanos(i128::from(count) * seconds * 1_000_000_000))
    }

    /// As [`Lookback::parse`] reads it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.text(),
            Self::Nanos(nanos) => format!("{}s", nanos / 1_000_000_000),
        }
    }
}
