//! What of a stream is not read, and why: counted while it is listed and read, said once at the end of the stream.
//!
//! A reason is one line in each of two places: the enum, and the table of levels and sentences.

use std::collections::BTreeMap;

use tollgate_cursor::Decision;
use tollgate_protocol::message::Level;

/// Why something is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SkipReason {
    /// A marker file of another tool.
    Marker,
    /// The server listed it before.
    ListedTwice,
    /// Part of the key begins with a dot, and no pattern has that dot.
    Hidden,
    /// No pattern matches. Of objects this is not counted: most of a bucket may be none of the stream's.
    Unmatched,
    /// It holds bad rows that this connector wrote.
    DeadLetter,
    /// A prefix below which nothing can be wanted, so that it is not listed.
    Prefix,
    /// Its partition is excluded by the partition filter.
    OtherPartition,
    /// It lies in a folder of another tool, and its key has no value for the partition filter.
    WithoutPartition,
    /// The values in its key say that no row passes the filter.
    NoRowPassesFilter,
    /// The values in its key lie below the record cursor.
    BelowCursor,
    /// It is older than the start date.
    TooOld,
    /// It is archived and not restored.
    Archived,
    /// It is not part of the sample for development.
    NotSampled,
    /// An earlier run read it.
    AlreadyRead,
    /// An earlier run read a newer version.
    OlderThanRead,
    /// It is older than what the state remembers, and counts as read.
    BeyondHistory,
    /// Nobody can tell whether an earlier run read it, and it counts as read.
    InDoubt,
    /// The inventory had it, and the bucket does not have it any more.
    GoneSinceInventory,
    /// The last run left it unfinished, and the bucket does not have it any more.
    Vanished,
}

/// What is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Objects, or prefixes.
    Objects,
    /// Members of zip archives.
    Members,
}

impl SkipReason {
    /// All reasons, in the order in which they are said.
    pub(crate) const ALL: [Self; 19] = [
        Self::Marker,
        Self::ListedTwice,
        Self::Hidden,
        Self::Unmatched,
        Self::DeadLetter,
        Self::Prefix,
        Self::OtherPartition,
        Self::WithoutPartition,
        Self::NoRowPassesFilter,
        Self::BelowCursor,
        Self::TooOld,
        Self::Archived,
        Self::NotSampled,
        Self::AlreadyRead,
        Self::OlderThanRead,
        Self::BeyondHistory,
        Self::InDoubt,
        Self::GoneSinceInventory,
        Self::Vanished,
    ];

    /// The reasons by which the state keeps a file from being read.
    pub(crate) const BY_STATE: [Self; 4] = [Self::AlreadyRead, Self::OlderThanRead, Self::BeyondHistory, Self::InDoubt];

    /// Why a decision of the cursor's skips a file; `None` where it reads it.
    pub(crate) fn of(decision: &Decision) -> Option<Self> {
        match decision {
            Decision::AlreadyRead => Some(Self::AlreadyRead),
            Decision::OlderThanRead => Some(Self::OlderThanRead),
            Decision::BeyondHistory => Some(Self::BeyondHistory),
            Decision::InDoubt => Some(Self::InDoubt),
            Decision::Read | Decision::Resume(_) | Decision::Changed | Decision::OtherOptions | Decision::ReadAgain => {
                None
            }
        }
    }

    /// How the log says it, after the number: `{detail}` stands for what [`SkipCounts::explain`] was given. `None` where
    /// there is nothing to say, or the line about the listing says it.
    fn line(self, unit: Unit) -> Option<(Level, &'static str)> {
        use Level::{Info, Warn};
        Some(match (self, unit) {
            (Self::Marker, Unit::Objects) => (
                Info,
                "objects skipped: marker files of other tools (_SUCCESS, _temporary/, .crc, _$folder$, empty files)",
            ),
            (Self::Marker, Unit::Members) => (Info, "members of zip archives skipped: marker files of other tools"),
            (Self::ListedTwice, _) => (Warn, "objects that the server listed more than once are read once"),
            (Self::Hidden, Unit::Objects) => (
                Warn,
                "objects skipped: a part of their key starts with '.', which only a pattern with that dot matches",
            ),
            (Self::Hidden, Unit::Members) => (
                Warn,
                "members of zip archives skipped: a part of their name starts with '.', which no wildcard matches",
            ),
            (Self::Unmatched, Unit::Objects) => return None,
            (Self::Unmatched, Unit::Members) => (Info, "members of zip archives skipped: they match no pattern"),
            (Self::DeadLetter, _) => (Info, "objects skipped: bad rows that this connector wrote"),
            (Self::Prefix, _) => (
                Info,
                "prefixes skipped: excluded by `partition_filter`, `partition_lookback` or \
                                         the inventory",
            ),
            (Self::OtherPartition, _) => (Info, "objects skipped: excluded by `partition_filter`"),
            (Self::WithoutPartition, _) => {
                (Warn, "objects skipped: in folders of other tools, without a value for `partition_filter`")
            }
            (Self::NoRowPassesFilter, _) => (Info, "files skipped: no row of their partition matches the filter"),
            (Self::BelowCursor, _) => (
                Info,
                "files skipped: their partition is lower than the greatest value of earlier syncs in the cursor column",
            ),
            (Self::TooOld, Unit::Objects) => (Info, "objects skipped: older than the start date"),
            (Self::TooOld, Unit::Members) => (Warn, "members of zip archives skipped: older than the start date"),
            (Self::Archived, _) => (Warn, "archived objects skipped; they are read when they are restored"),
            (Self::NotSampled, _) => (Warn, "objects skipped: only a sample is read (`dev_sampling`): {detail}"),
            (Self::AlreadyRead, Unit::Objects) => return None,
            (Self::AlreadyRead, Unit::Members) => (Info, "members of zip archives skipped: read before"),
            (Self::OlderThanRead, Unit::Objects) => (
                Warn,
                "objects skipped: the file's last modified date is older than the last time it was synced (for \
                 example '{detail}'); they are read when they change again, or when the stream is reset",
            ),
            (Self::OlderThanRead, Unit::Members) => {
                (Warn, "members of zip archives skipped: older than when they were last read")
            }
            (Self::BeyondHistory | Self::InDoubt, Unit::Members) => return None,
            (Self::BeyondHistory, Unit::Objects) => {
                (Warn, "objects skipped: older than the files that the state remembers, so they count as read")
            }
            (Self::InDoubt, Unit::Objects) => (
                Warn,
                "objects skipped, although some of them may be new: too many objects of their time vanished since the \
                 last run to distinguish them; reset the stream to read all of them",
            ),
            (Self::GoneSinceInventory, _) => (Warn, "files skipped: deleted after the inventory was made"),
            (Self::Vanished, _) => (Warn, "objects that the last run left unfinished no longer exist"),
        })
    }
}

/// How many were skipped for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SkipCounts {
    numbers: [u64; SkipReason::ALL.len()],
    details: BTreeMap<SkipReason, String>,
}

impl SkipCounts {
    /// Counts one.
    pub(crate) fn add(&mut self, reason: SkipReason) {
        self.add_many(reason, 1);
    }

    /// Counts so many.
    pub(crate) fn add_many(&mut self, reason: SkipReason, count: u64) {
        self.numbers[reason as usize] += count;
    }

    /// Takes a number that is counted elsewhere.
    pub(crate) fn set(&mut self, reason: SkipReason, count: u64) {
        self.numbers[reason as usize] = count;
    }

    /// Gives the detail that the sentence of a reason has a place for. The first one stays.
    pub(crate) fn explain(&mut self, reason: SkipReason, detail: impl FnOnce() -> String) {
        self.details.entry(reason).or_insert_with(detail);
    }

    /// How many there are.
    pub(crate) fn get(&self, reason: SkipReason) -> u64 {
        self.numbers[reason as usize]
    }

    /// How many there are of several reasons together.
    pub(crate) fn sum(&self, reasons: &[SkipReason]) -> u64 {
        reasons.iter().map(|reason| self.get(*reason)).sum()
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn merge(&mut self, other: &Self) {
        for reason in SkipReason::ALL {
            self.add_many(reason, other.get(reason));
        }
        for (reason, detail) in &other.details {
            self.explain(*reason, || detail.clone());
        }
    }

    /// A line for the log per reason that something was skipped for.
    pub(crate) fn lines(&self, unit: Unit) -> impl Iterator<Item = (Level, String)> {
        SkipReason::ALL.into_iter().filter(|reason| self.get(*reason) > 0).filter_map(move |reason| {
            let (level, sentence) = reason.line(unit)?;
            let detail = self.details.get(&reason).map_or("", String::as_str);
            Some((level, format!("{} {}", self.get(reason), sentence.replace("{detail}", detail))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_and_said_for_itself() {
        for (index, reason) in SkipReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
            let mut counts = SkipCounts::default();
            counts.add(reason);
            counts.add_many(reason, 2);
            assert_eq!((counts.get(reason), counts.sum(&SkipReason::ALL)), (3, 3), "{reason:?}");
            for unit in [Unit::Objects, Unit::Members] {
                let lines: Vec<_> = counts.lines(unit).collect();
                assert_eq!(lines.len(), usize::from(reason.line(unit).is_some()), "{reason:?}");
                assert!(lines.iter().all(|(_, line)| line.starts_with("3 ")), "{lines:?}");
            }
        }
    }

    #[test]
    fn the_first_detail_is_said_in_its_sentence() {
        let mut counts = SkipCounts::default();
        let mut earlier = SkipCounts::default();
        earlier.add(SkipReason::OlderThanRead);
        earlier.explain(SkipReason::OlderThanRead, || "a.csv".to_owned());
        earlier.explain(SkipReason::OlderThanRead, || "b.csv".to_owned());
        counts.add(SkipReason::OlderThanRead);
        counts.merge(&earlier);
        let lines: Vec<_> = counts.lines(Unit::Objects).collect();
        assert!(lines.len() == 1 && lines[0].1.starts_with("2 objects skipped"), "{lines:?}");
        assert!(lines[0].1.contains("(for example 'a.csv'); they are read"), "{lines:?}");
    }

    #[test]
    fn the_reasons_of_the_state_are_those_of_the_cursors_decisions() {
        let decisions = [Decision::AlreadyRead, Decision::OlderThanRead, Decision::BeyondHistory, Decision::InDoubt];
        assert!(decisions.iter().zip(SkipReason::BY_STATE).all(|(decision, by)| SkipReason::of(decision) == Some(by)));
        assert!(decisions.iter().all(|decision| !decision.reads()));
        assert_eq!(SkipReason::of(&Decision::ReadAgain), None);
    }
}
