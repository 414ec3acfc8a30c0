//! Which rows and columns of a stream's files are wanted: parameters that every dialect takes at its root, and version 4
//! of Airbyte's form in each stream, which wins.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::{Pushdown, Stream};
use crate::notes::{Notes, join};
use crate::read::wrong;
use tollgate_base::error::Result;
use tollgate_base::predicate::{Lookback, Predicate};

/// `parquet_filters` as written.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Filters(pub(super) Value);

impl JsonSchema for Filters {
    fn schema_name() -> Cow<'static, str> {
        "Filters".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": {"type": "array"}})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// The four parameters as they stand at `path`.
pub(super) struct Written<'a> {
    pub(super) columns: &'a Option<Vec<String>>,
    pub(super) filters: &'a Option<Filters>,
    pub(super) cursor_field: &'a Option<String>,
    pub(super) cursor_lookback: &'a Option<String>,
}

impl Written<'_> {
    /// What they mean.
    ///
    /// # Errors
    /// Config, with the JSON path.
    pub(super) fn understood(&self, path: &str) -> Result<Pushdown> {
        let filter = match self.filters {
            Some(Filters(written)) => Predicate::parse(written, &join(path, "parquet_filters"))?,
            None => None,
        };
        let cursor_lookback = match self.cursor_lookback.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(lookback(text, &join(path, "cursor_lookback"))?),
            None => None,
        };
        Ok(Pushdown {
            columns: columns(self.columns.as_deref(), &join(path, "parquet_columns"))?,
            filter,
            cursor_field: self.cursor_field.clone().filter(|name| !name.is_empty()),
            cursor_lookback,
        })
    }
}

fn columns(written: Option<&[String]>, path: &str) -> Result<Option<Vec<String>>> {
    let Some(columns) = written else { return Ok(None) };
    if columns.is_empty() {
        return Err(wrong(path, "an empty list", "the names of one column or more")
            .hint("leave it out to read all columns that the catalog selects"));
    }
    match columns.iter().position(String::is_empty) {
        Some(index) => Err(wrong(&format!("{path}[{index}]"), "empty", "the name of a column")),
        None => Ok(Some(columns.to_vec())),
    }
}

fn lookback(text: &str, path: &str) -> Result<Lookback> {
    Lookback::parse(text)
        .ok_or_else(|| wrong(path, format!("'{text}'"), "a duration such as '3d', '12h', '90m' or '30s', or a number"))
}

/// Gives a stream what it does not have of its own, and notes what has no effect there. `path` is the stream's own.
pub(super) fn apply(root: &Pushdown, stream: &mut Stream, path: &str, notes: &mut Notes) {
    let parquet = stream.may_be_parquet();
    let own = &mut stream.pushdown;
    if own.columns.is_none() && parquet {
        own.columns.clone_from(&root.columns);
    }
    own.filter = own.filter.take().or_else(|| root.filter.clone());
    if own.cursor_field.is_none() {
        own.cursor_field.clone_from(&root.cursor_field);
    }
    own.cursor_lookback = own.cursor_lookback.take().or_else(|| root.cursor_lookback.clone());
    if !parquet && own.columns.take().is_some() {
        let place = join(path, "parquet_columns");
        notes.unknown(place, format!("without effect: the files are {}", stream.format.name()));
    }
}

/// Notes columns at the root that no stream takes.
pub(super) fn without_effect(root: &Pushdown, streams: &[Stream], notes: &mut Notes) {
    if root.columns.is_some() && !streams.iter().any(Stream::may_be_parquet) {
        notes.unknown("parquet_columns", "without effect: the files are no Parquet files");
    }
}
