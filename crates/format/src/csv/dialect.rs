//! What bytes mean in a file of CSV.

use tollgate_base::error::{Error, Result};
use tollgate_base::options::CsvOptions;

/// The bytes that have a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// What follows the first byte of a delimiter of several.
    pub(super) rest: Box<[u8]>,
    pub(super) quote: Option<u8>,
    pub(super) escape: Option<u8>,
    pub(super) double_quote: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', rest: Box::default(), quote: Some(b'"'), escape: None, double_quote: true }
    }
}

impl Dialect {
    pub(super) fn of(options: &CsvOptions) -> Result<Self> {
        let dialect = Self {
            delimiter: options.delimiter,
            rest: options.delimiter_rest.clone().into(),
            quote: options.quote,
            escape: options.escape,
            double_quote: options.double_quote,
        };
        let delimiter = || dialect.rest.iter().chain([&dialect.delimiter]);
        let special = || dialect.quote.iter().chain(&dialect.escape);
        if delimiter().chain(special()).any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(Error::config("delimiter, quote and escape must not be line ends"));
        }
        if special().any(|byte| !byte.is_ascii()) || (dialect.rest.is_empty() && !dialect.delimiter.is_ascii()) {
            return Err(Error::config(
                "delimiter, quote and escape must be whole characters, the last two of them ASCII",
            ));
        }
        if delimiter().any(|byte| special().any(|other| other == byte)) {
            return Err(Error::config("the delimiter must differ from quote and escape"));
        }
        Ok(dialect)
    }

    /// Whether the text that begins with a delimiter's first byte goes on with the rest of it.
    pub(super) fn goes_on(&self, text: &[u8]) -> bool {
        text.starts_with(&self.rest)
    }

    /// Whether the fast scan knows this dialect.
    pub(super) fn scannable(&self) -> bool {
        self.rest.is_empty() && self.escape.is_none() && (self.double_quote || self.quote.is_none())
    }
}
