//! What did not fit while rows became records: counts with one example each.

use std::collections::BTreeMap;

use crate::protocol::schema::ColumnType;

/// Values of one column that could not be read as the catalog's type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Misfits {
    expected: ColumnType,
    count: u64,
    example: String,
}

/// The counts of a file, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    misfits: BTreeMap<String, Misfits>,
    skipped: u64,
    adjusted: u64,
}

/// Characters of an example that are shown.
const EXAMPLE_CHARS: usize = 40;

impl FileReport {
    /// Counts values of a column that went out as text, since the catalog's type does not take them.
    pub(super) fn add_misfits(&mut self, column: &str, expected: ColumnType, count: u64, example: &str) {
        let shorten = || example.chars().take(EXAMPLE_CHARS).collect();
        self.misfits
            .entry(column.to_owned())
            .or_insert_with(|| Misfits { expected, count: 0, example: shorten() })
            .count += count;
    }

    /// Counts records that were left out, since they do not conform to the catalog.
    pub(super) fn add_skipped(&mut self, records: u64) {
        self.skipped += records;
    }

    /// Counts rows that were padded or cut to the width of their header.
    pub(super) fn add_adjusted(&mut self, rows: u64) {
        self.adjusted += rows;
    }

    /// Adds the counts of another file.
    pub fn merge(&mut self, other: &Self) {
        self.skipped += other.skipped;
        self.adjusted += other.adjusted;
        for (column, misfits) in &other.misfits {
            self.add_misfits(column, misfits.expected, misfits.count, &misfits.example);
        }
    }

    /// A sentence per fact.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |(column, misfits): (&String, &Misfits)| {
            format!(
                "{} values of column '{column}' are not of the catalog's type {} and were emitted as strings, for example '{}'",
                misfits.count,
                format!("{:?}", misfits.expected).to_lowercase(),
                misfits.example
            )
        };
        let skipped = (self.skipped > 0)
            .then(|| format!("{} records did not pass the validation policy and were left out", self.skipped));
        let adjusted = (self.adjusted > 0).then(|| {
            format!("{} rows had more or fewer fields than their header and were cut or left incomplete", self.adjusted)
        });
        self.misfits.iter().map(note).chain(skipped).chain(adjusted).collect()
    }
}
