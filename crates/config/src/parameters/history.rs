//! How the state remembers what was read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::Whole;
use tollgate_base::error::Result;

/// In days; the same in all dialects.
pub(crate) const LATE_WINDOW_DAYS: u32 = 7;

/// Days before now in which unknown files are read when the history is full. A written 0 means this as well.
pub(crate) const DAYS_TO_SYNC_IF_HISTORY_IS_FULL: u32 = 3;

/// The parameter as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct HistoryInput {
    /// How many days after its modification time an object may still appear in the bucket, as multipart uploads and
    /// replicas do. Inside this window no file is ever missed, however many files the state has to remember; beyond it,
    /// when more changed than the state can tell apart, files count as read and their number is reported.
    #[serde(default = "late_window_days")]
    #[schemars(title = "Late Window In Days", extend("minimum" = 0, "maximum" = 3650, "group" = "advanced"))]
    late_window_days: Whole,
}

fn late_window_days() -> Whole {
    Whole::from(u64::from(LATE_WINDOW_DAYS))
}

impl HistoryInput {
    /// The days in which an object may still appear.
    ///
    /// # Errors
    /// Config, when the number is out of its bounds.
    pub(crate) fn late_window_days(&self) -> Result<u32> {
        let days = self.late_window_days.between(0, 3650, "late_window_days")?;
        Ok(u32::try_from(days).expect("at most 3650"))
    }

    /// As it is written for a number of days.
    pub(crate) fn of_days(days: u32) -> Self {
        Self { late_window_days: Whole::from(u64::from(days)) }
    }
}
