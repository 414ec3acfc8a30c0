//! What the cursor decided about the files of a stream, or about the members of its archives.

use crate::skipped::{SkipCounts, SkipReason};
use tollgate_cursor::Decision;

/// Counts of decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DecisionCounts {
    /// Read for the first time.
    pub(crate) new: u64,
    /// Read from where an earlier run stopped.
    pub(crate) resumed: u64,
    /// Changed since the last run stopped inside them.
    pub(crate) changed: u64,
    /// Read from their start, since their positions were made with other options.
    pub(crate) other_options: u64,
    /// Read although an earlier run may have read them.
    pub(crate) read_again: u64,
    /// Not read, by reason.
    pub(crate) skipped: SkipCounts,
}

impl DecisionCounts {
    /// Counts a decision.
    pub(crate) fn add(&mut self, decision: &Decision) {
        match decision {
            Decision::Read => self.new += 1,
            Decision::Resume(_) => self.resumed += 1,
            Decision::Changed => self.changed += 1,
            Decision::OtherOptions => self.other_options += 1,
            Decision::ReadAgain => self.read_again += 1,
            Decision::AlreadyRead | Decision::OlderThanRead | Decision::BeyondHistory | Decision::InDoubt => {}
        }
        if let Some(reason) = SkipReason::of(decision) {
            self.skipped.add(reason);
        }
    }

    /// How many are read from their start.
    pub(crate) fn read_from_start(&self) -> u64 {
        self.new + self.changed + self.other_options + self.read_again
    }
}
