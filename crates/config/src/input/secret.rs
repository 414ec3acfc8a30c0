//! A secret in a configuration.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::provenance::MASK;
use tollgate_base::connection::Secret;

/// A secret as written: wrapped at once, never in an error, flagged in the schema, masked when it is written again.
pub(crate) struct SecretInput(Secret);

impl SecretInput {
    /// The secret.
    pub(crate) fn into_secret(self) -> Secret {
        self.0
    }

    /// The secret, unless it is blank: blank texts count as not written.
    pub(crate) fn given(secret: Option<Self>) -> Option<Self> {
        secret.filter(|secret| !secret.empty())
    }

    /// Whether nothing was written.
    pub(crate) fn empty(&self) -> bool {
        self.0.expose().is_empty()
    }
}

impl From<&Secret> for SecretInput {
    fn from(secret: &Secret) -> Self {
        Self(secret.clone())
    }
}

impl Serialize for SecretInput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for SecretInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a value, since serde's own message would show what was found.
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(Secret::new(text.trim()))),
            _ => Err(serde::de::Error::custom(
                "invalid type: something else (not shown, it is a secret), expected a string",
            )),
        }
    }
}

impl JsonSchema for SecretInput {
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
