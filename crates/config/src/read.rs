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
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::job::Outcome;
use super::notes::{Notes, join};
use tollgate_base::connection::Secret;
use tollgate_base::error::{Error, Result};

/// A JSON object as it was written.
pub(super) type Object = Map<String, Value>;

/// An object inside another that is read by its own call. Its schema is that of `T`.
pub(super) struct Section<T>(pub(super) Object, PhantomData<T>);

impl<T> Serialize for Section<T> {
    /// Nothing: the lines of provenance of a section come from its own reading.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_unit()
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

/// A secret as written: wrapped at once, never in an error, flagged in the schema, masked when it is written again.
pub(super) struct Guarded(Secret);

impl Guarded {
    /// The secret.
    pub(super) fn into_secret(self) -> Secret {
        self.0
    }

    /// Whether nothing was written.
    pub(super) fn empty(&self) -> bool {
        self.0.expose().is_empty()
    }
}

impl Serialize for Guarded {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str("****")
    }
}

impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // Through a value, since serde's own message would show what was found.
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(Secret::new(text.trim()))),
            _ => Err(serde::de::Error::custom(
                "invalid type: something else (not shown, it is a secret), expected a string",
            )),
        }
    }
}

impl JsonSchema for Guarded {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "airbyte_secret": true})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A whole number. As in JSON Schema, `3.0` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Whole(pub(super) i64);

impl Whole {
    /// The number where it is between two bounds.
    ///
    /// # Errors
    /// Config, with the path and the bounds.
    pub(super) fn between(self, least: u64, most: u64, path: &str) -> Result<u64> {
        match u64::try_from(self.0) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ if most == u64::MAX => Err(wrong(path, self.0, &format!("a whole number of at least {least}"))),
            _ => Err(wrong(path, self.0, &format!("a whole number from {least} to {most}"))),
        }
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> std::result::Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> std::result::Result<Whole, E> {
        let unexpected = serde::de::Unexpected::Unsigned(number);
        i64::try_from(number).map(Whole).map_err(|_| E::invalid_value(unexpected, &self))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> std::result::Result<Whole, E> {
        // Beyond 2^53 a double is not exact; nobody means such a number.
        if number.fract() == 0.0 && number.abs() < 9e15 {
            return Ok(Whole(number as i64));
        }
        Err(E::invalid_type(serde::de::Unexpected::Float(number), &self))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

impl JsonSchema for Whole {
    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer"})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// A number of any size, with the digits that were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Decimal(pub(super) serde_json::Number);

impl Decimal {
    /// The number where it is between two bounds, the lower one excluded.
    ///
    /// # Errors
    /// Config, with the path and the bounds.
    pub(super) fn above(&self, least: f64, most: f64, path: &str) -> Result<f64> {
        match self.0.as_f64() {
            Some(number) if number > least && number <= most => Ok(number),
            _ => Err(wrong(path, &self.0, &format!("a number above {least}, {most} at most"))),
        }
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Reads an object into its struct. Keys that neither the struct nor `also_known` has become lines of provenance.
///
/// # Errors
/// Config, with the JSON path of what is wrong, what it is and what it should be.
pub(super) fn section<T>(object: &Object, path: &str, also_known: &[&str], notes: &mut Notes) -> Result<T>
where
    T: DeserializeOwned + Serialize,
{
    let fields = fields_of::<T>();
    for (key, value) in object {
        if fields.contains(&key.as_str()) || also_known.contains(&key.as_str()) {
            continue;
        }
        let absent = fields.iter().chain(also_known).filter(|known| !object.contains_key(**known));
        match meant(key, absent.copied()) {
            Some(name) if NARROWING.contains(&name) => return Err(misspelt(&join(path, key), name)),
            Some(name) => {
                notes.unknown(join(path, key), format!("not known and has no effect; did you mean `{name}`?"))
            }
            None => notes.read(join(path, key), Outcome::Unknown, value),
        }
    }
    part(object, path, fields, notes)
}

/// Parameters that narrow what is read, or limit what is spent. A misspelt one would mean more than the user wants, so it is
/// an error where other unknown keys are a warning.
const NARROWING: &[&str] = &[
    "globs",
    "legacy_prefix",
    "key_pattern",
    "archive_pattern",
    "path_prefix",
    "path_pattern",
    "prefix",
    "pattern",
    "file_pattern",
    "start_date",
    "partition_filter",
    "partition_lookback",
    "parquet_filters",
    "dev_sampling",
    "dev_max_files",
    "cost_limit_usd",
    "max_files_per_run",
    "max_data_size_gb",
    "max_requests",
];

fn misspelt(path: &str, name: &str) -> Error {
    let message = format!("`{path}` is not known; did you mean `{name}`?");
    Error::config(message).hint(format!("correct the name, or remove it: without `{name}` more would be read or spent"))
}

/// The name that a key was probably meant to be.
fn meant<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
    };
    let key = plain(key);
    // Names are short; a key without end is no misspelling of one.
    if key.len() > 64 {
        return None;
    }
    let near = names.map(|name| {
        let plain = plain(name);
        let most = if plain.len() < 6 { 1 } else { 2 };
        (distance(&key, &plain), most, name)
    });
    near.filter(|(distance, most, _)| distance <= most).min_by_key(|(distance, ..)| *distance).map(|(.., name)| name)
}

/// How many letters must be added, taken away, changed or swapped with their neighbour.
fn distance(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[other.len()]
}

/// Reads the keys of a struct out of an object that has other keys too.
///
/// # Errors
/// As [`section`].
pub(super) fn part_of<T>(object: &Object, path: &str, notes: &mut Notes) -> Result<T>
where
    T: DeserializeOwned + Serialize,
{
    part(object, path, fields_of::<T>(), notes)
}

fn part<T>(object: &Object, path: &str, fields: &[&'static str], notes: &mut Notes) -> Result<T>
where
    T: DeserializeOwned + Serialize,
{
    let own: Object = object.iter().filter(|(key, _)| fields.contains(&key.as_str())).map(clone_pair).collect();
    let read: T = serde_path_to_error::deserialize(Value::Object(own)).map_err(|error| {
        let inner = error.path().to_string();
        let place = if inner == "." { path.to_owned() } else { join(path, &inner) };
        unreadable(&place, &error.into_inner().to_string())
    })?;
    let meant = serde_json::to_value(&read).unwrap_or(Value::Null);
    for &field in fields {
        match object.get(field) {
            Some(written) if !holds_sections(written) => notes.read(join(path, field), Outcome::Taken, written),
            Some(_) => {}
            None => match meant.get(field) {
                Some(Value::Null) | None => {}
                Some(default) => notes.read(join(path, field), Outcome::Defaulted, default),
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
pub(super) fn tag_of<'a>(object: &'a Object, path: &str, tag: &str, names: &[&str]) -> Result<&'a str> {
    let place = join(path, tag);
    match object.get(tag) {
        Some(Value::String(name)) if names.contains(&name.as_str()) => Ok(name),
        Some(other) if tag == "auth_type" => Err(wrong(&place, shown_tag(other), &one_of(names))),
        Some(other) => Err(wrong(&place, other, &one_of(names))),
        None => {
            Err(Error::config(format!("'{place}' is a required property")).hint(format!("set it to {}", one_of(names))))
        }
    }
}

/// A kind of credentials that is none, as far as it can be shown: people type keys and secrets into the wrong field.
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
pub(super) const NOT_SHOWN: &str = "another text (not shown, it may be a secret)";

/// Whether a text is a word or two, which no key and no secret is.
pub(super) fn looks_like_a_name(text: &str) -> bool {
    text.len() <= 20 && text.chars().all(|c| c.is_alphabetic() || matches!(c, '_' | '-' | ' '))
}

/// Keys without a value are keys that were not written: version 3, the flat form and Fivetran's take `null` so.
pub(super) fn without_nulls(object: Object) -> Object {
    object.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// `one of 'a', 'b'`
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

/// The error of a value that is not what it should be.
pub(super) fn wrong(path: &str, value: impl fmt::Display, expected: &str) -> Error {
    Error::config(format!("`{path}` is {value}, expected {expected}"))
}

/// Serde's message in our words.
fn unreadable(path: &str, message: &str) -> Error {
    if let Some(field) = message.strip_prefix("missing field `") {
        let field = field.trim_end_matches('`');
        return Error::config(format!("'{}' is a required property", join(path, field)));
    }
    let place = if path.is_empty() { "the configuration" } else { path };
    let fact = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let fact = fact.or_else(|| message.strip_prefix("unknown variant "));
    let Some(fact) = fact else { return Error::config(format!("`{place}`: {message}")) };
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
    Error::config(format!("`{place}` is {found}, expected {expected}"))
}

/// The field names of a struct, as its derived `Deserialize` tells them.
pub(super) fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // The probe always answers with an error, after it has seen the names.
    drop(T::deserialize(FieldProbe(&mut fields)));
    fields
}

struct FieldProbe<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldProbe<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> std::result::Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> std::result::Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("only the names are wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Refuses what is not JSON, or not an object at its root. Duplicate keys: the last one holds.
///
/// # Errors
/// Config, with line and column.
pub(super) fn root(bytes: &[u8]) -> Result<Object> {
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
