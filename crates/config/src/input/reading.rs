//! The strict reading of one JSON object into a typed struct, with the path in every message and a line of
//! provenance per key.
//!
//! ```text
//!   object ─▶ keys that the struct does not have ─▶ Unknown
//!          ─▶ serde, which names the path of what it cannot read ─▶ error
//!          ─▶ keys that are there ─▶ Taken;  keys that are not and have a default ─▶ Defaulted
//! ```
//! Objects inside (streams, formats, credentials) are [`Section`]s: they stay raw until their own call, so that
//! unions can be told apart by their tag without losing the path (serde's tagged enums lose it).

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::fields::fields_of;
use super::message::{one_of, wrong};
use super::misspelling;
use super::object::Object;
use crate::provenance::{Outcome, ProvenanceLog, join};
use tollgate_base::error::{Error, Result};

/// An object inside another that is read by its own call. Its schema is that of `T`.
pub(crate) struct Section<T>(pub(crate) Object, PhantomData<T>);

impl<T> Section<T> {
    /// A section that is written rather than read.
    pub(crate) fn new(object: Object) -> Self {
        Self(object, PhantomData)
    }
}

impl<T> Serialize for Section<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Section<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(Self(Object::deserialize(deserializer)?, PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Section<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Reads an object into its struct. Keys that neither the struct nor `also_known` has become lines of provenance.
///
/// # Errors
/// Config, with the JSON path of what is wrong, what it is and what it should be.
pub(crate) fn section<T>(object: &Object, path: &str, also_known: &[&str], log: &mut ProvenanceLog) -> Result<T>
where
    T: DeserializeOwned + Serialize,
{
    let fields = fields_of::<T>();
    for (key, value) in object {
        if fields.contains(&key.as_str()) || also_known.contains(&key.as_str()) {
            continue;
        }
        let absent = fields.iter().chain(also_known).filter(|known| !object.contains_key(**known));
        match misspelling::meant(key, absent.copied()) {
            Some(name) if misspelling::widens(name) => return Err(misspelling::error(&join(path, key), name)),
            Some(name) => log.unused(join(path, key), format!("not known and has no effect; did you mean `{name}`?")),
            None => log.read(join(path, key), Outcome::Unknown, value),
        }
    }
    part(object, path, fields, log)
}

/// Reads the keys of a struct out of an object that has other keys too.
///
/// # Errors
/// As [`section`].
pub(crate) fn part_of<T>(object: &Object, path: &str, log: &mut ProvenanceLog) -> Result<T>
where
    T: DeserializeOwned + Serialize,
{
    part(object, path, fields_of::<T>(), log)
}

fn part<T>(object: &Object, path: &str, fields: &[&'static str], log: &mut ProvenanceLog) -> Result<T>
where
    T: DeserializeOwned + Serialize,
{
    let own: Object = object.iter().filter(|(key, _)| fields.contains(&key.as_str())).map(clone_pair).collect();
    let read: T = serde_path_to_error::deserialize(Value::Object(own)).map_err(|error| {
        let inner = error.path().to_string();
        let whole = if inner == "." { path.to_owned() } else { join(path, &inner) };
        unreadable(&whole, &error.into_inner().to_string())
    })?;
    let meant = serde_json::to_value(&read).unwrap_or(Value::Null);
    for &field in fields {
        match object.get(field) {
            Some(written) if !holds_sections(written) => log.read(join(path, field), Outcome::Taken, written),
            Some(_) => {}
            None => match meant.get(field) {
                Some(Value::Null) | None => {}
                Some(default) => log.read(join(path, field), Outcome::Defaulted, default),
            },
        }
    }
    Ok(read)
}

fn clone_pair((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn holds_sections(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(Value::is_object),
        _ => false,
    }
}

/// The discriminator of a union.
///
/// # Errors
/// Config, when it is missing or not one of the names.
pub(crate) fn tag_of<'a>(object: &'a Object, path: &str, tag: &str, names: &[&str]) -> Result<&'a str> {
    let tag_path = join(path, tag);
    match object.get(tag) {
        Some(Value::String(name)) if names.contains(&name.as_str()) => Ok(name),
        Some(other) if tag == "auth_type" => Err(wrong(&tag_path, shown_tag(other), &one_of(names))),
        Some(other) => Err(wrong(&tag_path, other, &one_of(names))),
        None => {
            Err(Error::config(format!("'{tag_path}' is a required property"))
                .hint(format!("set it to {}", one_of(names))))
        }
    }
}

/// A kind of credentials that does not exist, as far as it can be shown: people type keys and secrets into the wrong
/// field.
fn shown_tag(value: &Value) -> String {
    match value {
        Value::String(text) if looks_like_a_name(text) => value.to_string(),
        Value::String(_) => NOT_SHOWN.to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// In place of a text that may be a secret.
pub(crate) const NOT_SHOWN: &str = "another text (not shown, it may be a secret)";

/// Whether a text is a word or two, which no key and no secret is.
pub(crate) fn looks_like_a_name(text: &str) -> bool {
    text.len() <= 20 && text.chars().all(|c| c.is_alphabetic() || matches!(c, '_' | '-' | ' '))
}

/// Serde's message in our words.
fn unreadable(path: &str, message: &str) -> Error {
    if let Some(field) = message.strip_prefix("missing field `") {
        let field = field.trim_end_matches('`');
        return Error::config(format!("'{}' is a required property", join(path, field)));
    }
    let subject = if path.is_empty() { "the configuration" } else { path };
    let fact = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let fact = fact.or_else(|| message.strip_prefix("unknown variant "));
    let Some(fact) = fact else { return Error::config(format!("`{subject}`: {message}")) };
    let (found, expected) = fact.split_once(", expected ").unwrap_or((fact, "something else"));
    let found = match found {
        "sequence" => "a list",
        "map" => "an object",
        other => other,
    };
    let expected = match expected {
        "a sequence" => "a list",
        "a map" => "an object",
        "f64" => "a number",
        other => other,
    };
    Error::config(format!("`{subject}` is {found}, expected {expected}"))
}

/// Refuses what is not JSON, or not an object at its root. Duplicate keys: the last one holds.
///
/// # Errors
/// Config, with line and column.
pub(crate) fn root(bytes: &[u8]) -> Result<Object> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::config("the configuration is not a JSON object").hint("write {\"bucket\": …}")),
        Err(error) => {
            // A check of the syntax alone: messages of serde_json name a place and never a value.
            let error = serde_json::from_slice::<IgnoredAny>(bytes).err().unwrap_or(error);
            Err(Error::config(format!("the configuration is not valid JSON: {error}")))
        }
    }
}
