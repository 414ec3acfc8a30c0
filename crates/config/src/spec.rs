//! The specification that the platform asks for, generated from what the dialects read.
//!
//! `spec/source.json` is the committed result: a test compares it with what the types generate, and
//! `cargo test --lib config::spec -- --ignored bless` writes it anew. The program embeds the file, so that `spec` costs
//! no generation.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::dialect::{
    Additions, AirbyteV3Written, AirbyteWritten, FivetranWritten, FlatWritten, PartitionsWritten, Policies,
};

/// The `spec` object of the SPEC message.
#[must_use]
pub fn source() -> Value {
    serde_json::from_str(include_str!("../../../spec/source.json")).expect("a committed file that a test compares")
}

/// The `spec` object as the types generate it: what [`source`] must be.
#[must_use]
pub fn generate() -> Value {
    json!({
        "documentationUrl": env!("CARGO_PKG_REPOSITORY"),
        "supportsIncremental": true,
        "supportsNormalization": false,
        "supportsDBT": false,
        "protocol_version": "0.2.0",
        "connectionSpecification": connection_specification(),
    })
}

/// One object with the keys of all dialects. It has no `required` and no `oneOf`: a platform validates a saved
/// configuration against it before we see it, and each dialect needs other keys. The strict reading enforces those.
fn connection_specification() -> Value {
    let mut properties = Map::new();
    for (name, property) in properties_of::<AirbyteWritten>() {
        properties.insert(name, property);
    }
    for (name, property) in properties_of::<Additions>().into_iter().chain(properties_of::<Policies>()) {
        properties.insert(name, property);
    }
    // A stream takes them too, and wins. Groups are of the root.
    let partitions = properties_of::<PartitionsWritten>();
    if let Some(Value::Object(of_stream)) = properties["streams"].pointer_mut("/items/properties") {
        for (name, mut property) in properties_of::<Policies>().into_iter().chain(partitions.clone()) {
            let order = of_stream.len();
            if let Some(property) = property.as_object_mut() {
                property.remove("group");
                property.insert("order".to_owned(), order.into());
            }
            of_stream.insert(name, property);
        }
    }
    let others = [
        properties_of::<FlatWritten>(),
        properties_of::<AirbyteV3Written>(),
        properties_of::<FivetranWritten>(),
        partitions,
    ];
    for (name, property) in others.into_iter().flatten() {
        properties.entry(name).or_insert_with(|| of_other_dialect(property));
    }
    for (order, property) in properties.values_mut().enumerate() {
        property["order"] = order.into();
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Tollgate source for S3",
        "type": "object",
        "groups": [
            {"id": "auth", "title": "Authentication"},
            {"id": "where", "title": "Bucket"},
            {"id": "streams", "title": "Streams"},
            {"id": "cost", "title": "Cost"},
            {"id": "advanced", "title": "Advanced"},
        ],
        "properties": properties,
    })
}

/// Keys of the other dialects are accepted and not offered: a form has one dialect. They have no `default`, since a
/// form would write it into a configuration of another dialect.
fn of_other_dialect(mut property: Value) -> Value {
    if let Some(property) = property.as_object_mut() {
        property.remove("default");
        property.insert("airbyte_hidden".to_owned(), true.into());
    }
    property
}

fn properties_of<T: JsonSchema>() -> Map<String, Value> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/source.json");

    fn pretty() -> String {
        format!("{:#}\n", generate())
    }

    #[test]
    fn committed_file_is_what_the_types_generate() {
        let committed = std::fs::read_to_string(PATH).expect("spec/source.json");
        let (generated, hint) = (pretty(), "cargo test --lib config::spec -- --ignored bless");
        let differs = committed.lines().zip(generated.lines()).enumerate().find(|(_, (left, right))| left != right);
        assert!(committed == generated, "spec/source.json is out of date, first at {differs:?}: run `{hint}`");
        assert!(source() == generate(), "the program embeds another file");
    }

    fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
        match schema {
            Value::Object(object) => {
                visit(path, object);
                object.iter().for_each(|(key, inner)| walk(inner, &format!("{path}/{key}"), visit));
            }
            Value::Array(items) => items.iter().for_each(|inner| walk(inner, path, visit)),
            _ => {}
        }
    }

    #[test]
    fn enums_have_values_of_their_type_and_properties_have_names_that_can_be_written() {
        let mut wrong = Vec::new();
        walk(&generate(), "", &mut |path, object| {
            let null = object.get("enum").and_then(Value::as_array).is_some_and(|values| values.contains(&Value::Null));
            let marked = object.keys().any(|key| key.contains(['<', '>']));
            if (null && object.get("type") == Some(&json!("string"))) || marked {
                wrong.push(path.to_owned());
            }
        });
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    #[ignore = "writes spec/source.json"]
    fn bless() {
        std::fs::write(PATH, pretty()).expect("spec/source.json can be written");
    }
}
