//! The state a platform hands back: `--state`.

use std::collections::HashMap;

use serde_json::Value;

use tollgate_base::error::{Error, Result};
use tollgate_base::schema::MODIFIED_COLUMN;

/// The states of streams by name. Streams without one are absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateFile {
    streams: HashMap<String, Value>,
}

impl StateFile {
    /// Reads a state file: a list of STREAM states, or with one GLOBAL state (also under the key `global_`, as some
    /// platforms write it); nothing, `[]`, `{}` and `null` mean no state. One state without the list, and the legacy
    /// form `{"stream name": {…}}`, are read too.
    ///
    /// # Errors
    /// `Config` where it is not JSON or none of these forms.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            Error::config("the state file is not JSON").caused_by(error).hint("pass the list of states of the last run")
        })?;
        let mut file = Self::default();
        match &value {
            Value::Null => {}
            Value::Array(states) => states.iter().try_for_each(|state| file.add(state))?,
            Value::Object(_) => file.add(&value)?,
            _ => return Err(unreadable()),
        }
        Ok(file)
    }

    /// The state of a stream.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<&Value> {
        self.streams.get(name)
    }

    fn add(&mut self, state: &Value) -> Result<()> {
        let fields = state.as_object().ok_or_else(unreadable)?;
        let present = |key: &str| fields.get(key).filter(|value| !value.is_null());
        if let Some(stream) = present("stream").filter(|stream| stream.get("stream_descriptor").is_some()) {
            return self.add_stream(stream);
        }
        if let Some(global) = present("global").or_else(|| present("global_")) {
            let states = global.get("stream_states").and_then(Value::as_array).ok_or_else(unreadable)?;
            return states.iter().try_for_each(|stream| self.add_stream(stream));
        }
        let legacy = present("data").and_then(Value::as_object).unwrap_or(fields);
        // The state of a stream without the stream's name: reading everything again would be a surprise.
        if fields.contains_key("history") || fields.contains_key(MODIFIED_COLUMN) {
            return Err(unreadable());
        }
        let known = ["type", "data", "stream", "global", "global_", "sourceStats", "destinationStats", "id"];
        for (name, state) in legacy.iter().filter(|(name, state)| state.is_object() && !known.contains(&name.as_str()))
        {
            self.streams.insert(name.clone(), state.clone());
        }
        Ok(())
    }

    fn add_stream(&mut self, stream: &Value) -> Result<()> {
        let name = stream.pointer("/stream_descriptor/name").and_then(Value::as_str).ok_or_else(unreadable)?;
        if let Some(state) = stream.get("stream_state").filter(|state| !state.is_null()) {
            self.streams.insert(name.to_owned(), state.clone());
        }
        Ok(())
    }
}

fn unreadable() -> Error {
    Error::config("the state file is not a list of Airbyte STATE messages")
        .hint("pass [{\"type\": \"STREAM\", \"stream\": {\"stream_descriptor\": {\"name\": …}, \"stream_state\": {…}}}], or reset the connection")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_that_platforms_hand_over_is_read() {
        let stream = json!({"stream_descriptor": {"name": "s", "namespace": null}, "stream_state": {"history": {}}});
        for state in [
            json!([{"type": "STREAM", "stream": stream, "global": null, "data": null, "sourceStats": {"recordCount": 1.0}}]),
            json!({"type": "STREAM", "stream": stream}),
            json!([{"type": "GLOBAL", "global": {"shared_state": null, "stream_states": [stream]}}]),
            json!([{"type": "GLOBAL", "global_": {"stream_states": [stream]}}]),
            json!({"s": {"history": {}}}),
            json!([{"type": "LEGACY", "data": {"s": {"history": {}}}}]),
        ] {
            let file = StateFile::read(state.to_string().as_bytes()).unwrap();
            assert_eq!(file.stream("s"), Some(&json!({"history": {}})), "{state}");
        }
        for nothing in ["", "[]", "{}", "null", " \n"] {
            assert_eq!(StateFile::read(nothing.as_bytes()).unwrap(), StateFile::default());
        }
        for wrong in [
            "5",
            r#"{"history":{"a.csv":"2024-01-15T10:00:00.000000Z"}}"#,
            "[5]",
            "{\"a\"",
            r#"[{"type":"STREAM","stream":{"stream_descriptor":{}}}]"#,
        ] {
            assert!(StateFile::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
