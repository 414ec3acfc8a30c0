//! The specification for the platform, generated from the input structs of the dialects.
//!
//! `spec/source.json` is the committed result. A test compares it with the types, and `cargo test -p tollgate -p
//! tollgate-config --lib spec -- --ignored bless` rewrites it. The program embeds the file, so `spec` does not generate
//! it at run time.

use serde_json::{Map, Value, json};

use crate::common::{self, RootParameters, StreamParameters};
use crate::dialect::airbyte::AirbyteInput;
use crate::dialect::airbyte_v3::AirbyteV3Input;
use crate::dialect::fivetran::FivetranInput;
use crate::dialect::flat::FlatInput;
use crate::json_schema::properties_of;

/// The `spec` object of the SPEC message.
#[must_use]
pub fn source() -> Value {
    serde_json::from_str(include_str!("../../../spec/source.json")).expect("a committed file that a test compares")
}

/// The `spec` object that the types generate, which [`source`] must equal.
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
    let mut properties: Map<String, Value> = properties_of::<AirbyteInput>();
    properties.extend(RootParameters::properties());
    properties.extend(StreamParameters::properties());
    // A stream takes them too, and wins. Groups are of the root.
    if let Some(Value::Object(of_stream)) = properties["streams"].pointer_mut("/items/properties") {
        for (name, mut property) in common::properties_in_streams() {
            let order = of_stream.len();
            if let Some(property) = property.as_object_mut() {
                property.remove("group");
                property.insert("order".to_owned(), order.into());
            }
            of_stream.insert(name, property);
        }
    }
    let others = [
        properties_of::<FlatInput>(),
        properties_of::<AirbyteV3Input>(),
        properties_of::<FivetranInput>(),
        common::layout_properties(),
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
        let (generated, hint) = (pretty(), "cargo test -p tollgate -p tollgate-config --lib spec -- --ignored bless");
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
