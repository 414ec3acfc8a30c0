//! Which rows and columns of a stream's files are selected. Every dialect has these parameters at its root. In version
//! 4 of Airbyte's form, each stream also has them, and takes precedence.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::input::wrong;
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::error::Result;
use tollgate_base::predicate::{Lookback, Predicate};

/// `parquet_filters` as written.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct FiltersInput(Value);

impl JsonSchema for FiltersInput {
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

/// The parameters as written, at the root or in a stream.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct PushdownInput {
    /// For Parquet: the columns to read, out of those that the catalog selects. Other columns are not transferred.
    /// When absent, all selected columns are read.
    #[schemars(title = "Parquet Columns", extend("group" = "advanced", "airbyte_hidden" = true))]
    parquet_columns: Option<Vec<String>>,
    /// Reads only rows that match. Write a list of conditions that must all hold, such as `[["year", ">=", 2024],
    /// ["kind", "in", ["a", "b"]]]`, or a list of such lists, of which one must hold. The operators are `=`, `!=`,
    /// `<`, `<=`, `>`, `>=`, `in`, `not in`, `is null` and `is not null`. Filters work for all formats. Parts of
    /// Parquet files without a matching row are not transferred, and neither are files whose partition columns rule
    /// out every row. When absent, all rows are read.
    #[schemars(title = "Row Filters", extend("group" = "advanced", "airbyte_hidden" = true))]
    parquet_filters: Option<FiltersInput>,
    /// Incremental syncs skip rows whose value in this column is lower than the greatest value of earlier syncs.
    /// Files are still selected by their modification time. When absent, no rows are skipped, even if the catalog
    /// names a cursor field.
    #[schemars(title = "Cursor Field", extend("group" = "advanced", "airbyte_hidden" = true))]
    cursor_field: Option<String>,
    /// How far below the greatest value a row still counts as new: a duration such as `3d`, `12h`, `90m` or `30s`, or
    /// a number if the column has numbers. When absent, there is no lookback.
    #[schemars(title = "Cursor Lookback", extend("group" = "advanced", "airbyte_hidden" = true))]
    cursor_lookback: Option<String>,
}

/// Which rows and columns of a stream's files are selected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pushdown {
    /// Parquet: only these columns, of those that the catalog selects (`parquet_columns`).
    pub columns: Option<Vec<String>>,
    /// Only rows that match (`parquet_filters`, for all formats).
    pub filter: Option<Predicate>,
    /// Incremental: the column whose greatest value is remembered; rows with a lower value are skipped.
    pub cursor_field: Option<String>,
    /// How far below it a row still counts as new.
    pub cursor_lookback: Option<Lookback>,
}

impl PushdownInput {
    /// What they mean where they stand at `path`.
    ///
    /// # Errors
    /// Config, with the JSON path.
    pub(crate) fn parse(&self, path: &str) -> Result<Pushdown> {
        let filter = match &self.parquet_filters {
            Some(FiltersInput(written)) => Predicate::parse(written, &join(path, "parquet_filters"))?,
            None => None,
        };
        let cursor_lookback = match self.cursor_lookback.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(lookback(text, &join(path, "cursor_lookback"))?),
            None => None,
        };
        Ok(Pushdown {
            columns: columns(self.parquet_columns.as_deref(), &join(path, "parquet_columns"))?,
            filter,
            cursor_field: self.cursor_field.clone().filter(|name| !name.is_empty()),
            cursor_lookback,
        })
    }
}

impl From<&Pushdown> for PushdownInput {
    fn from(pushdown: &Pushdown) -> Self {
        Self {
            parquet_columns: pushdown.columns.clone(),
            parquet_filters: pushdown.filter.as_ref().map(|filter| FiltersInput(filter.to_json())),
            cursor_field: pushdown.cursor_field.clone(),
            cursor_lookback: pushdown.cursor_lookback.as_ref().map(Lookback::text),
        }
    }
}

fn columns(written: Option<&[String]>, path: &str) -> Result<Option<Vec<String>>> {
    let Some(columns) = written else { return Ok(None) };
    if columns.is_empty() {
        return Err(wrong(path, "an empty list", "the names of at least one column")
            .hint("remove it to read all columns that the catalog selects"));
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

impl Pushdown {
    /// What holds for a stream: its own, completed by what the root says. `format` names the stream's format where its
    /// files cannot be Parquet files; columns have no effect there.
    pub(crate) fn or_of_root(
        mut self,
        root: &Self,
        other_format: Option<&str>,
        path: &str,
        log: &mut ProvenanceLog,
    ) -> Self {
        match other_format {
            None => self.columns = self.columns.or_else(|| root.columns.clone()),
            Some(format) if self.columns.take().is_some() => {
                log.unused(join(path, "parquet_columns"), format!("without effect: the files are {format}"));
            }
            Some(_) => {}
        }
        self.filter = self.filter.or_else(|| root.filter.clone());
        self.cursor_field = self.cursor_field.or_else(|| root.cursor_field.clone());
        self.cursor_lookback = self.cursor_lookback.or_else(|| root.cursor_lookback.clone());
        self
    }

    /// Records columns at the root that no stream uses.
    pub(crate) fn note_unused_columns(&self, any_parquet: bool, log: &mut ProvenanceLog) {
        if self.columns.is_some() && !any_parquet {
            log.unused("parquet_columns", "without effect: the files are not Parquet files");
        }
    }
}
