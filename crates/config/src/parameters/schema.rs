//! How columns are inferred, and how fields are handled that the catalog does not have, or has with another type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::Levels;
use crate::provenance::ProvenanceLog;
use tollgate_base::options::{InferenceDepth, SchemaEvolution};

/// Why a parameter about fields has no effect in a stream without columns of its own.
pub(crate) const ONE_COLUMN: &str = "without effect: the rows are delivered unchanged in one column";

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct SchemaInput {
    /// How to handle a field that is not in the catalog, or that has another type there. With `evolve`, both are
    /// delivered unchanged. CSV and Parquet columns that are not in the catalog are the exception: they are not read
    /// until discovery finds them, and the log names them. With `rescue`, both go to one column `_rescued`. With
    /// `freeze`, the row is a bad row, so `on_error` decides. When absent, it is `evolve`.
    #[schemars(title = "Schema Evolution", extend("group" = "advanced"))]
    schema_evolution: Option<SchemaEvolution>,
    /// How much detail discovery reports about columns. `compatible` reports the types that Airbyte's connector
    /// reports. `rich` also reports the properties of objects, the items of arrays, and plain types for dictionaries
    /// and times of day. When absent, it is `compatible`.
    #[schemars(title = "Inference", extend("group" = "advanced"))]
    inference: Option<InferenceDepth>,
}

/// What they mean for one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchemaPolicy {
    /// How fields are handled that the catalog does not have, or has with another type.
    pub evolution: SchemaEvolution,
    /// How much detail discovery reports about columns.
    pub inference: InferenceDepth,
}

impl SchemaInput {
    /// What they mean for one stream.
    pub(crate) fn parse(levels: &Levels<'_, Self>, schemaless: bool, log: &mut ProvenanceLog) -> SchemaPolicy {
        let evolution = levels.find("schema_evolution", |input| input.schema_evolution);
        let inference = levels.find("inference", |input| input.inference);
        let policy = SchemaPolicy {
            evolution: evolution.value.unwrap_or_default(),
            inference: inference.value.unwrap_or_default(),
        };
        if schemaless && policy.evolution != SchemaEvolution::Evolve {
            evolution.unused(ONE_COLUMN, log);
        }
        policy
    }

    /// Records the default, where nothing is written at the root.
    pub(crate) fn note_defaults(&self, log: &mut ProvenanceLog) {
        if self.schema_evolution.is_none() {
            log.defaulted("schema_evolution".to_owned(), &"evolve".into());
        }
    }
}

impl From<SchemaPolicy> for SchemaInput {
    fn from(policy: SchemaPolicy) -> Self {
        let SchemaPolicy { evolution, inference } = policy;
        Self {
            schema_evolution: Some(evolution).filter(|evolution| *evolution != SchemaEvolution::default()),
            inference: Some(inference).filter(|inference| *inference != InferenceDepth::default()),
        }
    }
}
