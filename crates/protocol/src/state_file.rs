//! The state that a platform passes with `--state`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use tollgate_base::error::{Error, Result};
use tollgate_base::schema::MODIFIED_COLUMN;

/// Messages that a run prints besides STATE.
const OTHER_MESSAGES: [&str; 7] = ["RECORD", "LOG", "TRACE", "CONTROL", "CATALOG", "SPEC", "CONNECTION_STATUS"];

/// Names of parts of a message, and of the state of one stream.
const NO_STREAMS: [&str; 11] = [
    "type",
    "stream",
    "global",
    "global_",
    "sourceStats",
    "destinationStats",
    "id",
    "history",
    "tollgate",
    MODIFIED_COLUMN,
    "stream_descriptor",
];

/// The states of streams by name. Streams without one are absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateFile {
    streams: HashMap<String, Value>,
}

impl StateFile {
    /// Reads a state file, in every form that platforms pass and that `read` prints:
    ///
    /// * a list of STREAM states, or with one GLOBAL state (also under the key `global_`, as some platforms write it);
    /// * one such state without the list, and the legacy form `{"stream name": {…}}`;
    /// * whole messages, in a list or one behind the other, such as the lines of a run: of each stream the last STATE
    ///   holds, and messages of other types are passed over;
    /// * nothing, `[]`, `{}` and `null`, which mean no state.
    ///
    /// # Errors
    /// `Config` if it is not JSON, or if any part of it is none of these.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut file = Self::default();
        for value in serde_json::Deserializer::from_slice(bytes).into_iter::<Value>() {
            let value = value.map_err(|error| {
                let error = Error::config("the state file is not JSON").caused_by(error);
                error.hint("pass the states of the last run")
            })?;
            match &value {
                Value::Null => {}
                Value::Array(states) => states.iter().try_for_each(|state| file.add(state))?,
                state => file.add(state)?,
            }
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
        let global = || present("global").or_else(|| present("global_"));
        match (present("type").and_then(Value::as_str), present("type").is_some_and(|kind| !kind.is_object())) {
            (Some("STATE"), _) => self.add(present("state").ok_or_else(unreadable)?),
            (Some(kind), _) if OTHER_MESSAGES.contains(&kind) => Ok(()),
            (Some("STREAM"), _) => self.add_stream(present("stream").ok_or_else(unreadable)?),
            (Some("GLOBAL"), _) => self.add_global(global().ok_or_else(unreadable)?),
            (Some("LEGACY"), _) => self.add_legacy(present("data").and_then(Value::as_object).ok_or_else(unreadable)?),
            (_, true) => Err(unreadable()),
            (_, false) => match (present("stream"), global(), present("state").or_else(|| present("data"))) {
                (Some(stream), ..) if stream.get("stream_descriptor").is_some() => self.add_stream(stream),
                (_, Some(global), _) if global.get("stream_states").is_some() => self.add_global(global),
                (.., Some(inner)) if fields.len() == 1 && inner.is_object() => self.add(inner),
                _ => self.add_legacy(fields),
            },
        }
    }

    fn add_global(&mut self, global: &Value) -> Result<()> {
        let states = global.get("stream_states").and_then(Value::as_array).ok_or_else(unreadable)?;
        states.iter().try_for_each(|stream| self.add_stream(stream))
    }

    /// The states of streams by their names.
    fn add_legacy(&mut self, states: &Map<String, Value>) -> Result<()> {
        for (name, state) in states.iter().filter(|(_, state)| !state.is_null()) {
            // A part of a message, or of the state of a stream without the stream's name: not to understand it, and read
            // everything again, would be a surprise.
            if !state.is_object() || NO_STREAMS.contains(&name.as_str()) {
                return Err(unreadable());
            }
            self.streams.insert(name.clone(), state.clone());
        }
        Ok(())
    }

    /// Of several states of a stream the last one holds.
    fn add_stream(&mut self, stream: &Value) -> Result<()> {
        let name = stream.pointer("/stream_descriptor/name").and_then(Value::as_str).ok_or_else(unreadable)?;
        match stream.get("stream_state").filter(|state| !state.is_null()) {
            Some(state) => self.streams.insert(name.to_owned(), state.clone()),
            None => self.streams.remove(name),
        };
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
            "[[]]",
            r#"{"s":5}"#,
            r#"{"s":{},"type":"UNKNOWN"}"#,
            r#"{"type":"STATE","state":{"type":"STREAM"}}"#,
            r#"[{"type":"STATE"}]"#,
            r#"[{"type":"LEGACY","data":null}]"#,
            r#"{"sourceStats":{"recordCount":1.0}}"#,
            r#"{"tollgate":{"version":2}}"#,
            "{} {\"a\"",
            r#"{"history":{"a.csv":"2024-01-15T10:00:00.000000Z"}}"#,
            "[5]",
            "{\"a\"",
            r#"[{"type":"STREAM","stream":{"stream_descriptor":{}}}]"#,
        ] {
            assert!(StateFile::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whole_messages_are_read_in_every_form_that_they_are_kept_in() {
        let state = |name: &str, number: u64| {
            json!({"type": "STATE", "state": {
                "type": "STREAM",
                "stream": {"stream_descriptor": {"name": name}, "stream_state": {"history": {}, "n": number}},
                "sourceStats": {"recordCount": 1.0},
            }})
        };
        let record = json!({"type": "RECORD", "record": {"stream": "s", "data": {"type": "STATE"}, "emitted_at": 1}});
        let messages = [record.clone(), state("s", 1), state("t", 2), record, state("s", 3)];
        let lines = messages.iter().map(|message| format!("{message}\n")).collect::<String>();
        for text in [json!(messages).to_string(), lines.clone(), lines.trim_end().replace('\n', "\r\n")] {
            let file = StateFile::read(text.as_bytes()).unwrap();
            let number = |name| file.stream(name).map(|state| state["n"].clone());
            assert_eq!((number("s"), number("t"), file.streams.len()), (Some(json!(3)), Some(json!(2)), 2), "{text}");
        }
        let one = StateFile::read(state("s", 1).to_string().as_bytes()).unwrap();
        assert!(one.stream("s").is_some());
        let inner = StateFile::read(json!({"state": state("s", 1)["state"]}).to_string().as_bytes()).unwrap();
        assert_eq!(inner, one);
    }
}
