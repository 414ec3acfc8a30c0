//! How the state remembers what was read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::Whole;
use tollgate_base::error::Result;

/// The same in all dialects.
const LATE_WINDOW_DAYS: u32 = 7;

/// Days before now in which unknown files are read when the history is full. A written 0 means this as well.
pub(crate) const DAYS_TO_SYNC_IF_HISTORY_IS_FULL: u32 = 3;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct HistoryInput {
    /// How many days after its modification time an object may still appear in the bucket, as multipart uploads and
    /// replicas do. Files in this window are never missed, however many files the state must remember. If more older
    /// files changed than the state can distinguish, they count as read, and the log reports their number.
    #[serde(default = "late_window_days")]
    #[schemars(title = "Late Window (Days)", extend("minimum" = 0, "maximum" = 3650, "group" = "advanced"))]
    late_window_days: Whole,
}

fn late_window_days() -> Whole {
    Whole::from(u64::from(LATE_WINDOW_DAYS))
}

/// How the state remembers what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Days after its modification time in which an object may still appear.
    pub late_window_days: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { late_window_days: LATE_WINDOW_DAYS }
    }
}

impl HistoryInput {
    /// What they mean.
    ///
    /// # Errors
    /// Config, when a number is out of its bounds.
    pub(crate) fn parse(&self) -> Result<History> {
        let late_window_days = self.late_window_days.between(0, 3650, "late_window_days")?;
        Ok(History { late_window_days: u32::try_from(late_window_days).expect("at most 3650") })
    }
}

impl From<History> for HistoryInput {
    fn from(history: History) -> Self {
        Self { late_window_days: Whole::from(u64::from(history.late_window_days)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::{part_of, without_defaults};
    use crate::provenance::ProvenanceLog;

    fn read(parameters: &serde_json::Value) -> Result<History> {
        let object = parameters.as_object().expect("an object");
        part_of::<HistoryInput>(object, "", &mut ProvenanceLog::default())?.parse()
    }

    #[test]
    fn what_is_read_is_written_again_unless_it_is_the_default() {
        for (parameters, days) in
            [(json!({}), 7), (json!({"late_window_days": 0}), 0), (json!({"late_window_days": 30}), 30)]
        {
            let history = read(&parameters).expect("a history");
            assert_eq!(history.late_window_days, days);
            let written = without_defaults(&HistoryInput::from(history), &[]);
            assert_eq!(serde_json::Value::Object(written), parameters);
        }
        let error = read(&json!({"late_window_days": 3651})).expect_err("too many");
        assert!(
            error.message().contains("`late_window_days` is 3651, expected a whole number from 0 to 3650"),
            "{error}"
        );
    }
}
