//! Whether nested objects become columns of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::ONE_COLUMN;
use crate::dialect::{Dialect, PerDialect};
use crate::input::{Levels, Whole};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::Result;

const FLATTEN: PerDialect<bool> = PerDialect::same(false).flat(true);
/// Parts of a column's name at most; the same in all dialects.
const MAX_DEPTH: u64 = 10;

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct FlatteningInput {
    /// Whether the members of nested objects become columns: `a_b` for `b` in `a`. Arrays stay unchanged. When
    /// absent, objects are flattened in the flat form only.
    #[schemars(title = "Flatten JSON", extend("group" = "advanced"))]
    json_flatten: Option<bool>,
    /// With `json_flatten`: the maximum number of parts in a column name. A deeper object becomes one column with its
    /// JSON text. When absent, it is 10.
    #[schemars(title = "Max JSON Depth", extend("group" = "advanced", "minimum" = 1, "maximum" = 100))]
    json_max_depth: Option<Whole>,
}

impl FlatteningInput {
    /// How many parts a column's name may have in one stream; `None` leaves nested objects as they are.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub(crate) fn parse(
        levels: &Levels<'_, Self>,
        dialect: Dialect,
        schemaless: bool,
        log: &mut ProvenanceLog,
    ) -> Result<Option<usize>> {
        let flatten = levels.find("json_flatten", |input| input.json_flatten);
        let depth = levels.find("json_max_depth", |input| input.json_max_depth);
        let on = flatten.value.unwrap_or_else(|| FLATTEN.of(dialect)) && !schemaless;
        let number = match depth.value {
            Some(number) => number.between(1, 100, &depth.path)?,
            None => MAX_DEPTH,
        };
        if flatten.value == Some(true) && schemaless {
            flatten.unused(ONE_COLUMN, log);
        }
        if !on {
            depth.unused("without effect: nested objects are not flattened", log);
        }
        Ok(on.then(|| usize::try_from(number).expect("at most a hundred")))
    }

    /// Records the defaults, where nothing is written at the root.
    pub(crate) fn note_defaults(&self, dialect: Dialect, log: &mut ProvenanceLog) {
        if self.json_flatten.is_some() || !FLATTEN.of(dialect) {
            return;
        }
        log.defaulted("json_flatten".to_owned(), &true.into());
        if self.json_max_depth.is_none() {
            log.defaulted("json_max_depth".to_owned(), &MAX_DEPTH.into());
        }
    }

    /// As it is written for a depth.
    pub(crate) fn of_depth(depth: Option<usize>) -> Self {
        let depth = depth.map(|depth| depth as u64);
        Self {
            json_flatten: depth.map(|_| true),
            json_max_depth: depth.filter(|depth| *depth != MAX_DEPTH).map(Whole::from),
        }
    }
}
