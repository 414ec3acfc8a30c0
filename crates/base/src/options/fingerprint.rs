//! Fingerprints of options: short texts in the state that identify the options with which a position, or the progress
//! of a full refresh, was made.

use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use twox_hash::XxHash64;

/// The hash and the version of the canonical form. A program that computes positions in another way, or names other
/// options, has another version: then what earlier versions left is not continued.
const SCHEME: &str = "xxh64-1";

/// A fingerprint as the state has it: the scheme, and 16 hexadecimal digits. It is only ever compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Arc<str>);

/// The canonical form of a set of options: one `name=value` line each, the value as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Canonical(String);

impl Canonical {
    /// Adds an option. Callers add the same names in the same order.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        // JSON has no line break outside its escapes, so no value can look like two options.
        let value: Value = value.into();
        _ = writeln!(self.0, "{name}={value}");
        self
    }

    /// Adds the options of another set.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// The fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = XxHash64::with_seed(0);
        hasher.write(self.0.as_bytes());
        Fingerprint(format!("{SCHEME}:{:016x}", hasher.finish()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_stays_the_same_and_tells_values_names_and_absence_apart() {
        let base = || Canonical::default().with("delimiter", ",").with("quote", "\"");
        // A part of saved states: with another text here, every unfinished file is read again.
        assert_eq!(serde_json::to_string(&base().fingerprint()).unwrap(), "\"xxh64-1:137f03d50426f8eb\"");
        let others = [
            base().with("escape", Value::Null),
            Canonical::default().with("delimiter", ",\nquote=\"\\\"\""),
            Canonical::default().with("delimiter", "\"").with("quote", ","),
            Canonical::default(),
        ];
        assert!(others.iter().all(|other| other.fingerprint() != base().fingerprint()));
        assert_eq!(Canonical::default().and(&base()).fingerprint(), base().fingerprint());
    }
}
