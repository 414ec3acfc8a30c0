//! The native form: the parameters as their input structs read them, without default values.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::object::Object;

/// Writes a struct of parameters without those that have their default. `required` names the parameters that have none.
pub(crate) fn without_defaults<T: Serialize + DeserializeOwned>(parameters: &T, required: &[&str]) -> Object {
    let mut written = object(parameters);
    let mut least = written.clone();
    least.retain(|key, _| required.contains(&key.as_str()));
    let read: Option<T> = serde_json::from_value(Value::Object(least)).ok();
    let defaults = read.map(|defaults| object(&defaults)).unwrap_or_default();
    written.retain(|key, value| {
        let default = defaults.get(key).is_some_and(|default| default == value);
        required.contains(&key.as_str()) || !(value.is_null() || default)
    });
    written
}

/// An object that begins with the tag of a union.
pub(crate) fn tagged(tag: &str, name: &str, parameters: Object) -> Object {
    let mut object = Object::new();
    object.insert(tag.to_owned(), name.into());
    object.extend(parameters);
    object
}

/// An object whose keys come in a certain order: those of `first`, then all others, then those of `last`.
pub(crate) fn in_order(mut object: Object, first: &[&str], last: &[&str]) -> Object {
    let mut take =
        |keys: &[&str]| -> Vec<_> { keys.iter().filter_map(|key| object.shift_remove_entry(*key)).collect() };
    let (first, last) = (take(first), take(last));
    first.into_iter().chain(object).chain(last).collect()
}

fn object(parameters: &impl Serialize) -> Object {
    match serde_json::to_value(parameters) {
        Ok(Value::Object(object)) => object,
        // Parameters have texts as keys and finite numbers, so that they can always be written.
        _ => Object::new(),
    }
}
