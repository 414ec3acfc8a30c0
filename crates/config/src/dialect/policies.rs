//! What a stream does with rows and fields that are not as expected, and how its columns are found out. Every dialect
//! takes these at its root, for all streams; in version 4 of Airbyte's form each stream takes them too, and wins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Dialect;
use crate::defaults;
use crate::job::{BadRowAction, BadRows, Stream};
use crate::notes::{Notes, join};
use crate::place;
use crate::read::{Object, Whole, fields_of, part_of, wrong};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::{InferenceDepth, SchemaEvolution};

/// The parameters as written.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Policies {
    /// What becomes of a row that cannot be read. With `fail` its file ends there with an error; the other files are
    /// read, and the sync fails at its end. With `skip` the row is left out and counted. With `dead_letter` it is also
    /// written to `dead_letter_path`. When absent it is `fail`.
    #[schemars(title = "On Error", extend("group" = "advanced"))]
    on_error: Option<OnErrorWritten>,
    /// Where bad rows are written with `on_error` dead_letter, as JSON lines with key, line, byte, reason and text: a
    /// folder of a bucket, `s3://bucket/folder/`, which is reached as the files are, or an absolute path on the
    /// machine that runs the connector.
    #[schemars(
        title = "Dead Letter Path",
        extend("group" = "advanced", "examples" = ["s3://bucket/bad-rows/", "/var/lib/tollgate/bad-rows"])
    )]
    dead_letter_path: Option<String>,
    /// With `on_error` skip or dead_letter: the stream fails when it has more bad rows than this in one sync. When absent
    /// there is no limit.
    #[schemars(title = "Bad Rows At Most", extend("group" = "advanced", "minimum" = 0))]
    max_bad_rows: Option<Whole>,
    /// With `on_error` skip or dead_letter: the stream fails when more than this percentage of its rows is bad, judged
    /// from the thousandth row on and at its end. When absent there is no limit.
    #[schemars(title = "Bad Rows At Most (Percent)", extend("group" = "advanced", "minimum" = 0, "maximum" = 100))]
    max_bad_percent: Option<f64>,
    /// What becomes of a field that the catalog does not have, or that is not of the catalog's type. With `evolve` both are
    /// delivered as they are; only columns of CSV and Parquet that the catalog does not have wait for the next discovery,
    /// and are named in the log. With `rescue` both go to one column `_rescued`. With `freeze` the row is a bad row, so
    /// `on_error` decides. When absent it is `evolve`.
    #[schemars(title = "Schema Evolution", extend("group" = "advanced"))]
    schema_evolution: Option<EvolutionWritten>,
    /// How much discovery tells of a column: with `compatible` the types that Airbyte's connector gives, with `rich` also
    /// the properties of objects, the items of arrays, and plain types for dictionaries and times of day. When absent
    /// it is `compatible`.
    #[schemars(title = "Inference", extend("group" = "advanced"))]
    inference: Option<InferenceWritten>,
    /// Whether the members of nested objects become columns of their own, `a_b` for `b` in `a`. Arrays stay as they are.
    /// When absent they do in the flat form, and nested objects stay as they are elsewhere.
    #[schemars(title = "Flatten JSON", extend("group" = "advanced"))]
    json_flatten: Option<bool>,
    /// With `json_flatten`: names of columns have so many parts at most; an object below becomes a column with its JSON
    /// text. When absent it is 10.
    #[schemars(title = "JSON Depth At Most", extend("group" = "advanced", "minimum" = 1, "maximum" = 100))]
    json_max_depth: Option<Whole>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnErrorWritten {
    Fail,
    Skip,
    DeadLetter,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum EvolutionWritten {
    Evolve,
    Rescue,
    Freeze,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum InferenceWritten {
    Compatible,
    Rich,
}

impl From<EvolutionWritten> for SchemaEvolution {
    fn from(written: EvolutionWritten) -> Self {
        match written {
            EvolutionWritten::Evolve => Self::Evolve,
            EvolutionWritten::Rescue => Self::Rescue,
            EvolutionWritten::Freeze => Self::Freeze,
        }
    }
}

impl From<InferenceWritten> for InferenceDepth {
    fn from(written: InferenceWritten) -> Self {
        match written {
            InferenceWritten::Compatible => Self::Compatible,
            InferenceWritten::Rich => Self::Rich,
        }
    }
}

const AS_THEY_ARE: &str = "without effect: the rows are delivered as they are, in one column";

/// The names of all of them.
pub(super) fn names() -> &'static [&'static str] {
    fields_of::<Policies>()
}

/// Reads them out of an object that has other keys too.
///
/// # Errors
/// Config, as all reading.
pub(super) fn read(object: &Object, path: &str, notes: &mut Notes) -> Result<Policies> {
    part_of(object, path, notes)
}

/// A parameter and where it is written.
struct Found<T> {
    value: Option<T>,
    path: String,
    /// Whether it is for this stream alone, so that what it means here is all that it means.
    own: bool,
}

impl<T> Found<T> {
    /// Notes that it is without effect, where it is written.
    fn idle(&self, note: &str, notes: &mut Notes) {
        if self.value.is_some() && self.own {
            notes.unknown(self.path.clone(), note);
        }
    }
}

/// The parameters of one stream: its own, or else those of the root.
struct Effective<'a> {
    root: &'a Policies,
    own: Option<&'a Policies>,
    path: &'a str,
    /// Whether there is no other stream.
    only: bool,
}

impl Effective<'_> {
    fn find<T>(&self, name: &str, field: impl Fn(&Policies) -> Option<T>) -> Found<T> {
        match self.own.and_then(&field) {
            Some(value) => Found { value: Some(value), path: join(self.path, name), own: true },
            None => Found { value: field(self.root), path: name.to_owned(), own: self.only },
        }
    }

    fn bad_rows(&self, notes: &mut Notes) -> Result<BadRows> {
        let on_error = self.find("on_error", |policies| policies.on_error);
        let place = self.find("dead_letter_path", |policies| policies.dead_letter_path.clone());
        let place_written = place.value.as_deref().filter(|path| !path.trim().is_empty());
        let max_rows = self.find("max_bad_rows", |policies| policies.max_bad_rows);
        let max_percent = self.find("max_bad_percent", |policies| policies.max_bad_percent);
        let action = match on_error.value.unwrap_or(OnErrorWritten::Fail) {
            OnErrorWritten::Fail => BadRowAction::Fail,
            OnErrorWritten::Skip => BadRowAction::Skip,
            OnErrorWritten::DeadLetter => match place_written {
                Some(written) => BadRowAction::DeadLetter(place::dead_letters(written, &place.path)?),
                None => {
                    let message = format!("'{}' is a required property where `on_error` is dead_letter", place.path);
                    return Err(Error::config(message).hint("set it to `s3://bucket/folder/` or to an absolute path"));
                }
            },
        };
        if !matches!(action, BadRowAction::DeadLetter(_)) {
            place.idle("without effect: `on_error` is not dead_letter", notes);
        }
        if action == BadRowAction::Fail {
            let note = "without effect: with `on_error` fail the first bad row ends its file";
            max_rows.idle(note, notes);
            max_percent.idle(note, notes);
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

    fn flatten(&self, dialect: Dialect, schemaless: bool, notes: &mut Notes) -> Result<Option<usize>> {
        let flatten = self.find("json_flatten", |policies| policies.json_flatten);
        let depth = self.find("json_max_depth", |policies| policies.json_max_depth);
        let on = flatten.value.unwrap_or_else(|| defaults::JSON_FLATTEN.of(dialect)) && !schemaless;
        let number = match depth.value {
            Some(number) => number.between(1, 100, &depth.path)?,
            None => defaults::JSON_MAX_DEPTH.of(dialect),
        };
        if flatten.value == Some(true) && schemaless {
            flatten.idle(AS_THEY_ARE, notes);
        }
        if !on {
            depth.idle("without effect: nested objects are not flattened", notes);
        }
        Ok(on.then(|| usize::try_from(number).expect("at most a hundred")))
    }
}

impl Policies {
    /// Puts them into a stream; `own` is what is written in the stream itself, with its path, `only` that there is no other.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub(super) fn apply(
        &self,
        own: Option<(&Self, &str)>,
        only: bool,
        dialect: Dialect,
        stream: &mut Stream,
        notes: &mut Notes,
    ) -> Result<()> {
        let (own, path) = own.map_or((None, ""), |(own, path)| (Some(own), path));
        let effective = Effective { root: self, own, path, only };
        stream.bad_rows = effective.bad_rows(notes)?;
        let evolution = effective.find("schema_evolution", |policies| policies.schema_evolution);
        stream.evolution = evolution.value.map_or(defaults::SCHEMA_EVOLUTION.of(dialect), Into::into);
        if stream.schemaless && stream.evolution != SchemaEvolution::Evolve {
            evolution.idle(AS_THEY_ARE, notes);
        }
        let inference = effective.find("inference", |policies| policies.inference);
        stream.inference = inference.value.map_or(defaults::INFERENCE.of(dialect), Into::into);
        stream.flatten = effective.flatten(dialect, stream.schemaless, notes)?;
        Ok(())
    }

    /// Notes what holds where nothing is written.
    pub(super) fn note_defaults(&self, dialect: Dialect, notes: &mut Notes) {
        if self.json_flatten.is_none() && defaults::JSON_FLATTEN.of(dialect) {
            notes.defaulted("json_flatten".to_owned(), &true.into());
            if self.json_max_depth.is_none() {
                notes.defaulted("json_max_depth".to_owned(), &defaults::JSON_MAX_DEPTH.of(dialect).into());
            }
        }
        if self.on_error.is_none() {
            notes.defaulted("on_error".to_owned(), &"fail".into());
        }
        if self.schema_evolution.is_none() {
            notes.defaulted("schema_evolution".to_owned(), &"evolve".into());
        }
    }
}
