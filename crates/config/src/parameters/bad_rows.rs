//! How rows that cannot be parsed are handled. Every dialect takes these parameters at its root, for all streams; in
//! version 4 of Airbyte's form each stream takes them too, and wins.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Found, Levels, Whole, wrong};
use crate::location::{self, BucketLocation, shown};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::{Error, Result};
use tollgate_base::options::OnBadRow;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct BadRowsInput {
    /// How to handle a row that cannot be parsed. `fail` ends its file with an error; the other files are read, and
    /// the sync fails at the end. `skip` skips and counts the row. `dead_letter` also writes it to
    /// `dead_letter_path`. When absent, it is `fail`.
    #[schemars(title = "On Error", extend("group" = "advanced"))]
    on_error: Option<OnError>,
    /// Where bad rows are written with `on_error` dead_letter, as JSON lines with key, line, byte, reason and text. Use
    /// a folder of a bucket, `s3://bucket/folder/`, which is accessed with the same credentials, or an absolute path on
    /// the machine that runs the connector.
    #[schemars(
        title = "Dead Letter Path",
        extend("group" = "advanced", "examples" = ["s3://bucket/bad-rows/", "/var/lib/tollgate/bad-rows"])
    )]
    dead_letter_path: Option<String>,
    /// With `on_error` skip or dead_letter: the maximum number of bad rows in one sync. The stream fails if it has
    /// more. When absent, there is no limit.
    #[schemars(title = "Max Bad Rows", extend("group" = "advanced", "minimum" = 0))]
    max_bad_rows: Option<Whole>,
    /// With `on_error` skip or dead_letter: the maximum percentage of bad rows. The stream fails if more of its rows
    /// are bad, checked from the thousandth row on and at the end. When absent, there is no limit.
    #[schemars(title = "Max Bad Rows (Percent)", extend("group" = "advanced", "minimum" = 0, "maximum" = 100))]
    max_bad_percent: Option<f64>,
}

/// `on_error` as written.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnError {
    #[default]
    Fail,
    Skip,
    DeadLetter,
}

/// How rows that cannot be parsed are handled.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BadRows {
    /// What happens to each.
    pub action: BadRowAction,
    /// The maximum number in a run; more fail the stream.
    pub max_rows: Option<u64>,
    /// The maximum percentage of the rows of a run; more fail the stream.
    pub max_percent: Option<f64>,
}

/// What happens to a row that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BadRowAction {
    /// Its file ends there; the other files are read, and the run fails at its end.
    #[default]
    Fail,
    /// It is skipped, counted and reported.
    Skip,
    /// As `Skip`, and it is written to this place before a state covers it.
    DeadLetter(DeadLetterPlace),
}

/// Where bad rows are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterPlace {
    /// A bucket, reached with the connection of the job.
    Bucket {
        /// Its name.
        bucket: String,
        /// What every key begins with: empty, or with a slash at its end.
        prefix: String,
    },
    /// A folder of this machine.
    Folder(PathBuf),
}

impl BadRows {
    /// What decoders and encoders do at a bad row.
    #[must_use]
    pub fn on_bad_row(&self) -> OnBadRow {
        if self.action == BadRowAction::Fail { OnBadRow::Stop } else { OnBadRow::Collect }
    }
}

impl BadRowsInput {
    /// What they mean for one stream.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub(crate) fn parse(levels: &Levels<'_, Self>, log: &mut ProvenanceLog) -> Result<BadRows> {
        let on_error = levels.find("on_error", |input| input.on_error);
        let path = levels.find("dead_letter_path", |input| input.dead_letter_path.clone());
        let max_rows = levels.find("max_bad_rows", |input| input.max_bad_rows);
        let max_percent = levels.find("max_bad_percent", |input| input.max_bad_percent);
        let action = match on_error.value.unwrap_or_default() {
            OnError::Fail => BadRowAction::Fail,
            OnError::Skip => BadRowAction::Skip,
            OnError::DeadLetter => BadRowAction::DeadLetter(dead_letters(&path)?),
        };
        if !matches!(action, BadRowAction::DeadLetter(_)) {
            path.unused("without effect: `on_error` is not dead_letter", log);
        }
        if action == BadRowAction::Fail {
            let note = "without effect: with `on_error` fail the first bad row ends its file";
            max_rows.unused(note, log);
            max_percent.unused(note, log);
            return Ok(BadRows { action, max_rows: None, max_percent: None });
        }
        let max_rows = match max_rows.value {
            Some(number) => Some(number.between(0, u64::MAX, &max_rows.path)?),
            None => None,
        };
        if let Some(percent) = max_percent.value.filter(|percent| !(0.0..=100.0).contains(percent)) {
            return Err(wrong(&max_percent.path, percent, "a number from 0 to 100"));
        }
        Ok(BadRows { action, max_rows, max_percent: max_percent.value })
    }

    /// Records the default, where nothing is written at the root.
    pub(crate) fn note_defaults(&self, log: &mut ProvenanceLog) {
        if self.on_error.is_none() {
            log.defaulted("on_error".to_owned(), &"fail".into());
        }
    }
}

impl From<&BadRows> for BadRowsInput {
    fn from(bad_rows: &BadRows) -> Self {
        let (on_error, dead_letter_path) = match &bad_rows.action {
            BadRowAction::Fail => (None, None),
            BadRowAction::Skip => (Some(OnError::Skip), None),
            BadRowAction::DeadLetter(DeadLetterPlace::Bucket { bucket, prefix }) => {
                (Some(OnError::DeadLetter), Some(format!("s3://{bucket}/{prefix}")))
            }
            BadRowAction::DeadLetter(DeadLetterPlace::Folder(folder)) => {
                (Some(OnError::DeadLetter), Some(folder.to_string_lossy().into_owned()))
            }
        };
        let (max_bad_rows, max_bad_percent) = (bad_rows.max_rows.map(Whole::from), bad_rows.max_percent);
        Self { on_error, dead_letter_path, max_bad_rows, max_bad_percent }
    }
}

/// Where bad rows are written: a folder of a bucket, or of this machine.
///
/// # Errors
/// Config when it is neither, or missing.
fn dead_letters(found: &Found<String>) -> Result<DeadLetterPlace> {
    let path = found.path.as_str();
    let text = found.value.as_deref().map(str::trim).unwrap_or_default();
    if text.is_empty() {
        let message = format!("'{path}' is a required property where `on_error` is dead_letter");
        return Err(Error::config(message).hint("set it to `s3://bucket/folder/` or to an absolute path"));
    }
    if text.starts_with("s3://") {
        let BucketLocation { bucket, prefix, .. } = location::bucket(text, path)?;
        if prefix.is_empty() {
            return Err(wrong(path, shown(text), "`s3://bucket/folder/`, with a folder"));
        }
        return Ok(DeadLetterPlace::Bucket { bucket, prefix });
    }
    let folder = text.strip_prefix("file://").unwrap_or(text);
    if !folder.starts_with('/') {
        return Err(wrong(path, shown(text), "`s3://bucket/folder/` or an absolute path"));
    }
    Ok(DeadLetterPlace::Folder(folder.into()))
}
