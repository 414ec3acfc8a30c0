//! What did not fit while rows became records: counts with one example each.

use std::collections::BTreeMap;

use tollgate_base::schema::{ColumnType, RESCUED_COLUMN};

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
    rescued: u64,
    /// Whether the catalog has no column for what was rescued.
    rescued_unlisted: bool,
    /// Values that JSON has no number for, with the first text, by column; where nobody knows the column it has no name.
    not_finite: BTreeMap<String, (u64, String)>,
    /// Rows that had a key more than once.
    repeated_keys: u64,
    /// Names that stand more than once in a header, with the number of files.
    repeated_names: BTreeMap<String, u64>,
    /// Columns that the catalog does not have, with the number of files.
    unlisted: BTreeMap<String, u64>,
    /// Names that were made anew since another column had them, with the number of times.
    renamed: BTreeMap<String, u64>,
}

/// Names that are told one by one.
const TOLD_NAMES: usize = 10;

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

    /// Counts rows of which something went to the column of rescued data, which the catalog has or has not.
    pub(super) fn add_rescued(&mut self, rows: u64, listed: bool) {
        self.rescued += rows;
        self.rescued_unlisted |= rows > 0 && !listed;
    }

    /// Counts values of a column that went out as null, since they are NaN, infinite or beyond a double.
    pub(super) fn add_not_finite(&mut self, column: &str, count: u64, example: &str) {
        if count == 0 {
            return;
        }
        let known = self.not_finite.entry(column.to_owned());
        known.or_insert_with(|| (0, example.chars().take(EXAMPLE_CHARS).collect())).0 += count;
    }

    /// Counts rows that had a key more than once.
    pub(super) fn add_repeated_keys(&mut self, rows: u64) {
        self.repeated_keys += rows;
    }

    /// Counts a header in which these names stand more than once.
    pub(super) fn add_repeated<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            count(&mut self.repeated_names, name, 1);
        }
    }

    /// Counts a file with a column that was left out, since the catalog does not have it.
    pub fn add_unlisted(&mut self, name: &str) {
        count(&mut self.unlisted, name, 1);
    }

    /// Counts columns that got another name, since there was one of theirs already.
    pub fn add_renamed(&mut self, name: &str, times: u64) {
        count(&mut self.renamed, name, times);
    }

    /// Adds the counts of another file.
    pub fn merge(&mut self, other: &Self) {
        self.skipped += other.skipped;
        self.adjusted += other.adjusted;
        self.rescued += other.rescued;
        self.rescued_unlisted |= other.rescued_unlisted;
        for (column, (values, example)) in &other.not_finite {
            self.add_not_finite(column, *values, example);
        }
        self.repeated_keys += other.repeated_keys;
        for (name, times) in &other.repeated_names {
            count(&mut self.repeated_names, name, *times);
        }
        for (name, files) in &other.unlisted {
            count(&mut self.unlisted, name, *files);
        }
        for (name, times) in &other.renamed {
            count(&mut self.renamed, name, *times);
        }
        for (column, misfits) in &other.misfits {
            self.add_misfits(column, misfits.expected, misfits.count, &misfits.example);
        }
    }

    /// A sentence per fact.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |(column, misfits): (&String, &Misfits)| {
            format!(
                "Could not cast the value to the expected type: {} values of column '{column}' are not of the catalog's type {} \
                 and were emitted as strings, for example '{}'",
                misfits.count,
                format!("{:?}", misfits.expected).to_lowercase(),
                misfits.example
            )
        };
        let skipped = (self.skipped > 0)
            .then(|| format!("Records in file did not pass validation policy: {} records were skipped", self.skipped));
        let adjusted = (self.adjusted > 0).then(|| {
            format!(
                "{} rows had more or fewer fields than their header and were truncated or emitted without the \
                     missing fields",
                self.adjusted
            )
        });
        let rescued = (self.rescued > 0).then(|| {
            let lost = if self.rescued_unlisted {
                ", which is not in the catalog: refresh the schema, or the destination may drop them"
            } else {
                ""
            };
            format!("{} records have fields in the column '{RESCUED_COLUMN}'{lost}", self.rescued)
        });
        let repeated_keys = (self.repeated_keys > 0)
            .then(|| format!("{} rows had a key more than once; the last value was emitted", self.repeated_keys));
        let repeated_names = (!self.repeated_names.is_empty()).then(|| {
            let names = told(&self.repeated_names);
            format!("columns that occur more than once in a header: {names}; the last one was emitted")
        });
        let renamed = (!self.renamed.is_empty()).then(|| {
            let names = told(&self.renamed);
            format!("flattened columns that were renamed because their name was already taken: {names}")
        });
        let unlisted = (!self.unlisted.is_empty()).then(|| {
            let names = told(&self.unlisted);
            format!("columns skipped because the catalog does not have them: {names}; refresh the schema to read them")
        });
        let counts = [skipped, adjusted, rescued, repeated_keys, repeated_names, unlisted, renamed];
        let not_finite = self.not_finite.iter().map(|(column, (count, example))| {
            let of = if column.is_empty() { String::new() } else { format!(" of column '{column}'") };
            let shown = if example.is_empty() { String::new() } else { format!(", for example '{example}'") };
            format!("{count} values{of} are NaN, infinite or out of range and were emitted as null{shown}")
        });
        self.misfits.iter().map(note).chain(not_finite).chain(counts.into_iter().flatten()).collect()
    }
}

/// Counts a name. Beyond a bound new ones are counted together: keys of data may be names.
fn count(names: &mut BTreeMap<String, u64>, name: &str, times: u64) {
    let name = if names.len() < 1000 || names.contains_key(name) { name } else { "others" };
    match names.get_mut(name) {
        Some(total) => *total += times,
        None => _ = names.insert(name.to_owned(), times),
    }
}

fn told(names: &BTreeMap<String, u64>) -> String {
    let mut told: Vec<String> =
        names.iter().take(TOLD_NAMES).map(|(name, times)| format!("'{name}' ({times} times)")).collect();
    if names.len() > TOLD_NAMES {
        told.push(format!("and {} more", names.len() - TOLD_NAMES));
    }
    told.join(", ")
}
