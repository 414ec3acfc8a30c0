//! Which partitions were listed, and when: for streams that do not list the older ones again.
//!
//! A listing that skips older partitions has no information about their files. The [memory](super::seen_files) only has
//! room for listed files, so it cannot remember them either. But each older partition was listed once by a run that
//! read everything it listed. A file there that is older than that listing was read then, and a newer one was not. In
//! the late window between the two it is unknown, and the file is read again.

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::seen_files::DAY;
use tollgate_base::object::Timestamp;

/// Listings that are remembered: a year of daily syncs and more. Without the ones between, files may be read again.
const LISTINGS: usize = 400;

/// See the module documentation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartitionCursor {
    /// The start of the newest partition that a complete run listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<Timestamp>,
    /// From which partition on the memory holds what was read; absent: from the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_from: Option<Timestamp>,
    /// Listings of complete runs, each from a later partition on than the one before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    listings: Vec<PartitionListing>,
    /// The listing of this run.
    #[serde(skip)]
    present: Option<PartitionListing>,
}

/// A listing that started at a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionListing {
    /// Partitions that end before this time are not listed. If absent, all are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When the listing started.
    pub at: Timestamp,
    /// The start of the newest partition in it that is not in the future.
    #[serde(skip)]
    pub newest: Option<Timestamp>,
}

impl PartitionCursor {
    /// Where the next listing starts, this many seconds before the newest partition. `None`: at the first partition.
    #[must_use]
    pub fn start(&self, lookback_seconds: i64) -> Option<Timestamp> {
        self.newest.map(|newest| newest.plus_seconds(-lookback_seconds))
    }

    /// Takes note of this run's listing, for which the memory was laid out.
    pub(super) fn listed(&mut self, listing: PartitionListing) {
        self.memory_from = listing.from;
        self.present = Some(listing);
    }

    /// This run read everything that it listed.
    pub(super) fn complete(&mut self) {
        let Some(listing) = self.present.take() else { return };
        self.newest = listing.newest.or(self.newest);
        // Those that began at the same partition or a later one are out of date.
        self.listings.retain(|earlier| earlier.from < listing.from);
        self.listings.push(PartitionListing { newest: None, ..listing });
        if self.listings.len() > LISTINGS {
            self.listings.remove(1);
        }
    }

    /// What is to be done with a file whose key is forgotten, of a partition that ends then; `None` if the memory knows.
    pub(super) fn decide(&self, ends_at: Timestamp, modified_at: Timestamp, late_days: u32) -> Option<Decision> {
        self.memory_from.filter(|from| ends_at <= *from)?;
        let listing = self.listings.iter().rev().find(|listing| listing.from.is_none_or(|from| ends_at > from));
        Some(match listing {
            Some(listing) if modified_at <= listing.at.plus_seconds(-i64::from(late_days) * DAY) => {
                Decision::AlreadyRead
            }
            Some(listing) if modified_at <= listing.at => Decision::ReadAgain,
            _ => Decision::Read,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_seconds(day * DAY, 0)
    }

    #[test]
    fn a_partition_that_is_not_listed_any_more_was_read_when_it_was_listed_last() {
        let mut cursor = PartitionCursor::default();
        assert_eq!(cursor.start(3 * DAY), None, "the first run lists everything");
        let mut run = |from: Option<i64>, at, newest, complete| {
            cursor.listed(PartitionListing { from: from.map(day), at: day(at), newest: Some(day(newest)) });
            if complete {
                cursor.complete();
            }
            cursor.clone()
        };
        run(None, 100, 99, true);
        run(Some(97), 110, 109, true);
        let failed = run(Some(107), 120, 119, false);
        assert_eq!(failed.start(2 * DAY), Some(day(107)), "a run that missed something moves nothing");
        let last = run(Some(107), 121, 120, true);
        assert_eq!(last.start(0), Some(day(120)));
        for (ends_at, modified_at, expected) in [
            (50, 50, Some(Decision::AlreadyRead)),
            (50, 96, Some(Decision::ReadAgain)),
            (50, 101, Some(Decision::Read)),
            (97, 101, Some(Decision::Read)),
            (98, 101, Some(Decision::AlreadyRead)),
            (107, 108, Some(Decision::ReadAgain)),
            (107, 111, Some(Decision::Read)),
            (108, 108, None),
        ] {
            assert_eq!(last.decide(day(ends_at), day(modified_at), 7), expected, "{ends_at} {modified_at}");
        }
        let text = serde_json::to_string(&last).unwrap();
        assert_eq!(serde_json::from_str::<PartitionCursor>(&text).unwrap(), last);
        let whole = run(None, 130, 129, true);
        assert_eq!((whole.decide(day(50), day(50), 7), whole.listings.len()), (None, 1), "the memory has all again");
    }
}
