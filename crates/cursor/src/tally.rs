//! Counts good and bad rows since the last successful run, to check the limits on bad rows.
//!
//! Without these counts, the run after one that failed because of bad rows would succeed, and the bad rows would be
//! missing. Rows are counted by file, so that those of a file that is repaired and read again no longer count.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sketch::number;
use tollgate_base::object::Timestamp;

/// Files that are counted one by one at most, besides those that are open. A line of the state each, of about 60 bytes.
const FILES: usize = 1_000;

/// Bytes of a file's count in the state, about.
const FILE_BYTES: usize = 60;

/// See the module documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Good rows of files that have no count of their own.
    good: u64,
    /// Bad rows of such files.
    bad: u64,
    /// Of open files, and of files with bad rows, by the number of their key: good rows, bad rows, and of members the number
    /// of their archive's key, which is what a listing has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<u64, (u64, u64, Option<u64>)>,
}

/// A key's number. Its time does not matter: a changed file takes the place of the one before.
fn key_number(key: &str) -> u64 {
    number(key, Timestamp::default())
}

impl Tally {
    /// All good and all bad rows.
    #[must_use]
    pub fn sum(&self) -> (u64, u64) {
        self.files.values().fold((self.good, self.bad), |sum, file| (sum.0 + file.0, sum.1 + file.1))
    }

    /// Whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Bytes in the state.
    pub(super) fn text_bytes(&self) -> usize {
        self.files.len() * FILE_BYTES
    }

    pub(super) fn add(&mut self, key: &str, good: u64, bad: u64) {
        let file = self.files.entry(key_number(key)).or_default();
        (file.0, file.1) = (file.0 + good, file.1 + bad);
    }

    /// The file is a member of an archive.
    pub(super) fn begin_member(&mut self, key: &str, archive: &str) {
        self.files.entry(key_number(key)).or_default().2 = Some(key_number(archive));
    }

    /// The file is read from its start, or is not there any more: its rows do not count.
    pub(super) fn recount(&mut self, key: &str) {
        self.files.remove(&key_number(key));
    }

    /// The file ended. One without bad rows needs no count of its own, and neither does one too many.
    pub(super) fn end(&mut self, key: &str) {
        let file = key_number(key);
        let Some((good, bad, _)) = self.files.get(&file).copied() else { return };
        if bad == 0 || self.files.len() > FILES {
            self.files.remove(&file);
            (self.good, self.bad) = (self.good + good, self.bad + bad);
        }
    }

    /// A whole listing has only these keys, by their numbers.
    pub(super) fn keep(&mut self, listed: &ListedKeys) {
        self.files.retain(|file, (_, _, archive)| listed.0.contains(&archive.unwrap_or(*file)));
    }

    /// Whether a file has a count of its own.
    pub(super) fn counts(&self, key: &str) -> bool {
        self.files.contains_key(&key_number(key))
    }
}

/// The counted files that a listing has.
#[derive(Debug, Default)]
pub struct ListedKeys(BTreeSet<u64>);

impl ListedKeys {
    /// Records a key.
    pub fn see(&mut self, key: &str) {
        self.0.insert(key_number(key));
    }
}
