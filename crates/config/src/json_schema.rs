//! The schemas of parameters, in the form that platforms require.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

/// The schemas of a struct's fields by name.
pub(crate) fn properties_of<T: JsonSchema>() -> Map<String, Value> {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let settings = settings.with_transform(RecursiveTransform(for_platforms));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    match schema.ensure_object().remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    }
}

/// What platforms and their test suites want of every schema in the tree.
fn for_platforms(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    // `Option<T>` of a section: the section, or null. Absence is told by `required` alone.
    if let Some(Value::Array(variants)) = object.remove("anyOf") {
        let section = variants.into_iter().find(|variant| variant.get("type") != Some(&json!("null")));
        if let Some(Value::Object(section)) = section {
            for (key, value) in section {
                object.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            object["type"] = only.clone();
        }
    }
    // Absence is told by `required` alone here too.
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if object.contains_key("oneOf") {
        object.insert("type".to_owned(), "object".into());
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    if let Some(Value::String(text)) = object.get("description") {
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        object.insert("description".to_owned(), one_line.into());
    }
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (order, property) in properties.values_mut().enumerate() {
            let constant = property.get("const").is_some();
            if let Some(property) = property.as_object_mut().filter(|_| !constant) {
                property.insert("order".to_owned(), order.into());
            }
        }
    }
}
