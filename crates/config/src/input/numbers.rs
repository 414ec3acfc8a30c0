//! Numbers in a configuration, and their bounds.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use super::message::wrong;
use crate::provenance::ProvenanceLog;
use tollgate_base::error::Result;

/// A whole number. As in JSON Schema, `3.0` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Whole(pub(crate) i64);

impl Whole {
    /// The number where it is between two bounds.
    ///
    /// # Errors
    /// Config, with the path and the bounds.
    pub(crate) fn between(self, least: u64, most: u64, path: &str) -> Result<u64> {
        match u64::try_from(self.0) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ if most == u64::MAX => Err(wrong(path, self.0, &format!("a whole number of at least {least}"))),
            _ => Err(wrong(path, self.0, &format!("a whole number from {least} to {most}"))),
        }
    }
}

/// A number from 1 to `most` where it is written; otherwise a default, with its line of provenance.
///
/// # Errors
/// Config, with the path and the bounds.
pub(crate) fn positive_or(
    written: Option<Whole>,
    default: Option<u64>,
    most: u64,
    path: &str,
    log: &mut ProvenanceLog,
) -> Result<Option<u64>> {
    let default = default_unless(written.is_some(), default, path, log);
    written.map_or(Ok(default), |number| number.between(1, most, path).map(Some))
}

/// A default, with its line of provenance, unless the parameter is written.
pub(crate) fn default_unless(written: bool, default: Option<u64>, path: &str, log: &mut ProvenanceLog) -> Option<u64> {
    let default = default.filter(|_| !written)?;
    log.defaulted(path.to_owned(), &default.into());
    Some(default)
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> std::result::Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<Whole, E> {
        let unexpected = serde::de::Unexpected::Unsigned(number);
        i64::try_from(number).map(Whole).map_err(|_| E::invalid_value(unexpected, &self))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> std::result::Result<Whole, E> {
        // Beyond 2^53 a double is not exact; nobody means such a number.
        if number.fract() == 0.0 && number.abs() < 9e15 {
            return Ok(Whole(number as i64));
        }
        Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
    }
}

impl From<u64> for Whole {
    /// Numbers beyond what JSON holds exactly do not occur: all come from a configuration.
    fn from(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

impl JsonSchema for Whole {
    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer"})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A number of any size, with the digits that were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Decimal(pub(crate) serde_json::Number);

impl Decimal {
    /// The number where it is between two bounds, the lower one excluded.
    ///
    /// # Errors
    /// Config, with the path and the bounds.
    pub(crate) fn above(&self, least: f64, most: f64, path: &str) -> Result<f64> {
        match self.0.as_f64() {
            Some(number) if number > least && number <= most => Ok(number),
            _ => Err(wrong(path, &self.0, &format!("a number greater than {least} and at most {most}"))),
        }
    }
}

impl Decimal {
    /// A number with its fraction, `1.0` too.
    pub(crate) fn exactly(number: f64) -> Self {
        Self(serde_json::Number::from_f64(number).unwrap_or_else(|| 0.into()))
    }
}

impl From<f64> for Decimal {
    /// Whole numbers have no fraction, as a person writes them.
    fn from(number: f64) -> Self {
        let whole = number.fract() == 0.0 && number.abs() < 9e15;
        if whole { Self((number as i64).into()) } else { Self::exactly(number) }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }

    fn inline_schema() -> bool {
        true
    }
}
