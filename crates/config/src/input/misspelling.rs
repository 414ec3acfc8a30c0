//! Finds the known parameter that an unknown key probably means.

use tollgate_base::error::Error;

/// Parameters that narrow what is read, or limit what is spent. Misspelling one of them would read or spend more than
/// the user wants, so it is an error. Other unknown keys are a warning.
const NARROWING: &[&str] = &[
    "globs",
    "legacy_prefix",
    "key_pattern",
    "archive_pattern",
    "path_prefix",
    "path_pattern",
    "prefix",
    "pattern",
    "file_pattern",
    "start_date",
    "partition_filter",
    "partition_lookback",
    "parquet_filters",
    "dev_sampling",
    "dev_max_files",
    "cost_limit_usd",
    "max_files_per_run",
    "max_data_size_gb",
    "max_requests",
];

/// Whether more would be read or spent without this parameter.
pub(super) fn widens(name: &str) -> bool {
    NARROWING.contains(&name)
}

/// The error of a misspelt parameter that would widen what is read or spent.
pub(super) fn error(path: &str, name: &str) -> Error {
    let message = format!("`{path}` is not known; did you mean `{name}`?");
    Error::config(message).hint(format!("correct the name, or remove it: without `{name}` more would be read or spent"))
}

/// The name that a key was probably meant to be.
pub(super) fn meant<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
    };
    let key = plain(key);
    // Names are short; a key without end is no misspelling of one.
    if key.len() > 64 {
        return None;
    }
    let near = names.map(|name| {
        let plain = plain(name);
        let most = if plain.len() < 6 { 1 } else { 2 };
        (distance(&key, &plain), most, name)
    });
    near.filter(|(distance, most, _)| distance <= most).min_by_key(|(distance, ..)| *distance).map(|(.., name)| name)
}

/// How many letters must be added, taken away, changed or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}
