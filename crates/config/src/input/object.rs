//! A JSON object.

use serde_json::{Map, Value};

/// A JSON object as it was written.
pub(crate) type Object = Map<String, Value>;

/// The object without its nulls: version 3, the flat form and the Fivetran-style form treat `null` as absent.
pub(crate) fn without_nulls(object: Object) -> Object {
    object.into_iter().filter(|(_, value)| !value.is_null()).collect()
}
