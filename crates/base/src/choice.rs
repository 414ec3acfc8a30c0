//! Schemas of enums whose values are words in a configuration.

use schemars::Schema;
use serde_json::{Value, json};

/// Reduces the schema of an enum to its words. The doc comments of enum and variants are for programmers; users read the
/// description of the parameter.
pub fn words_only(schema: &mut Schema) {
    let variants = schema.get("oneOf").and_then(Value::as_array);
    let words: Option<Vec<&Value>> =
        variants.and_then(|variants| variants.iter().map(|variant| variant.get("const")).collect());
    if let Some(words) = words {
        *schema = schemars::json_schema!({"type": "string", "enum": json!(words)});
    }
}
