//! The schema of a stream as the user gives it, and what happens to records that do not conform to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::input::{Object, one_of};
use crate::provenance::ProvenanceLog;
use tollgate_base::error::{Error, Result};

/// Airbyte's `validation_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = tollgate_base::choice::words_only)]
pub enum ValidationPolicy {
    /// Records are delivered as they are.
    #[default]
    #[serde(rename = "Emit Record")]
    EmitRecord,
    /// Records that do not conform are skipped.
    #[serde(rename = "Skip Record")]
    SkipRecord,
    /// The sync stops at a record that does not conform, until discovery has run.
    #[serde(rename = "Wait for Discover")]
    WaitForDiscover,
}

const INPUT_TYPES: &[&str] = &["null", "array", "boolean", "float", "integer", "number", "object", "string"];

/// Reads the types that a user gives as a JSON text. `{}` is what version 3 wrote for "find out": nothing is given.
///
/// # Errors
/// Config, with the words of the connector it comes from.
pub(crate) fn input_schema(
    text: Option<&str>,
    path: &str,
    log: &mut ProvenanceLog,
) -> Result<Option<Vec<(String, String)>>> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let fail = |details: &str| {
        let message =
            format!("`{path}`: The provided schema could not be transformed into valid JSON Schema: {details}");
        Err(Error::config(message).hint(r#"write it as {"column": "type", …}"#))
    };
    let columns: Object = match serde_json::from_str(text) {
        Ok(Value::Object(columns)) => columns,
        Ok(_) => return fail("it is not a JSON object"),
        Err(error) => return fail(&format!("it is not valid JSON ({error})")),
    };
    if columns.is_empty() {
        log.remark(path, "it has no columns, so the types are inferred from the files");
        return Ok(None);
    }
    let mut types = Vec::with_capacity(columns.len());
    for (column, kind) in columns {
        let Value::String(kind) = kind else {
            return fail("Invalid input schema; nested schemas are not supported");
        };
        let (column, kind) = (column.trim().to_owned(), kind.trim());
        if column.is_empty() {
            return fail("a column has no name");
        }
        if types.iter().any(|(name, _)| *name == column) {
            return fail(&format!("two columns have the name '{column}'"));
        }
        let lower = kind.to_ascii_lowercase();
        if !INPUT_TYPES.contains(&lower.as_str()) {
            let right = one_of(INPUT_TYPES);
            return fail(&format!("Invalid type '{kind}' for property '{column}', expected {right}"));
        }
        types.push((column, if lower == "float" { "number".to_owned() } else { lower }));
    }
    Ok(Some(types))
}

/// The JSON text for types.
pub(crate) fn native_schema(columns: &[(String, String)]) -> String {
    let types: Map<String, Value> = columns.iter().map(|(name, kind)| (name.clone(), kind.as_str().into())).collect();
    Value::Object(types).to_string()
}
