//! What the texts of one CSV column could be.

use super::InferredType;
use tollgate_base::options::CsvOptions;
use tollgate_base::python_number::{integer, number};

/// The types that all values so far fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct CsvColumn {
    seen: bool,
    boolean: bool,
    integer: bool,
    number: bool,
}

impl Default for CsvColumn {
    fn default() -> Self {
        Self { seen: false, boolean: true, integer: true, number: true }
    }
}

impl CsvColumn {
    pub(super) fn add(&mut self, value: &str, options: &CsvOptions) {
        if !(self.boolean || self.integer || self.number) || has(&options.null_values, value) {
            return;
        }
        self.seen = true;
        self.boolean = self.boolean && (has(&options.true_values, value) || has(&options.false_values, value));
        self.integer = self.integer && integer(value);
        self.number = self.number && number(value);
    }

    /// The first type that fits all values; string where there are none.
    pub(super) fn kind(self) -> InferredType {
        match self {
            Self { seen: false, .. } => InferredType::String,
            Self { boolean: true, .. } => InferredType::Boolean,
            Self { integer: true, .. } => InferredType::Integer,
            Self { number: true, .. } => InferredType::Number,
            _ => InferredType::String,
        }
    }
}

fn has(words: &[String], value: &str) -> bool {
    words.iter().any(|word| word == value)
}
