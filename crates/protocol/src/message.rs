//! Output messages. Each function returns one complete line.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::catalog::ConfiguredStream;
use tollgate_base::error::{Error, ErrorKind, FailureType};
use tollgate_base::object::Timestamp;

/// The level of a LOG message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only with `--debug`.
    Debug,
    /// Information about a normal run.
    Info,
    /// Something was skipped or is wrong, and the run continues.
    Warn,
    /// Data is missing.
    Error,
}

/// The status of a stream in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The stream has started.
    Started,
    /// The first record follows.
    Running,
    /// Everything was read.
    Complete,
    /// Something was not read.
    Incomplete,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

/// LOG
#[must_use]
pub fn log(level: Level, message: &str) -> String {
    line(&json!({"type": "LOG", "log": {"level": level.name(), "message": message}}))
}

/// SPEC
#[must_use]
pub fn spec(spec: &Value) -> String {
    line(&json!({"type": "SPEC", "spec": spec}))
}

/// CONNECTION_STATUS: SUCCEEDED, or FAILED with the reason.
#[must_use]
pub fn connection_status(failure: Option<&str>) -> String {
    line(&match failure {
        None => json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}}),
        Some(reason) => {
            json!({"type": "CONNECTION_STATUS", "connectionStatus": {"status": "FAILED", "message": reason}})
        }
    })
}

/// A file in the staging folder, as in its record.
#[derive(Debug)]
pub struct FileReference<'a> {
    /// The stream.
    pub stream: &'a ConfiguredStream,
    /// The key up to its last slash.
    pub folder: &'a str,
    /// The key after its last slash.
    pub file_name: &'a str,
    /// The size.
    pub bytes: u64,
    /// `s3://bucket/key`
    pub source_uri: &'a str,
    /// When the object was last modified.
    pub updated_at: Timestamp,
    /// Where the file is.
    pub staging_file_url: &'a str,
    /// The path of the file at the destination.
    pub source_file_relative_path: &'a str,
    /// Now.
    pub emitted_at: Timestamp,
}

/// RECORD of a transferred file.
#[must_use]
pub fn file_record(file: &FileReference<'_>) -> String {
    let mut record = json!({
        "stream": file.stream.name,
        "data": {
            "folder": file.folder,
            "file_name": file.file_name,
            "bytes": file.bytes,
            "source_uri": file.source_uri,
            "updated_at": file.updated_at,
        },
        "emitted_at": file.emitted_at.millis(),
        "file_reference": {
            "staging_file_url": file.staging_file_url,
            "source_file_relative_path": file.source_file_relative_path,
            "file_size_bytes": file.bytes,
        },
    });
    if let Some(namespace) = &file.stream.namespace {
        record["namespace"] = json!(namespace);
    }
    line(&json!({"type": "RECORD", "record": record}))
}

/// CATALOG
#[must_use]
pub fn catalog(streams: &[Value]) -> String {
    line(&json!({"type": "CATALOG", "catalog": {"streams": streams}}))
}

/// STATE of one stream. `records` is the number of its records since its previous STATE.
#[must_use]
pub fn state(stream: &ConfiguredStream, stream_state: &Value, records: u64) -> String {
    line(&json!({
        "type": "STATE",
        "state": {
            "type": "STREAM",
            "stream": {"stream_descriptor": descriptor(stream), "stream_state": stream_state},
            // A float, since the platform's own messages have one here.
            "sourceStats": {"recordCount": records as f64},
        },
    }))
}

/// TRACE STREAM_STATUS
#[must_use]
pub fn stream_status(stream: &ConfiguredStream, status: Status, at: Timestamp) -> String {
    line(&json!({
        "type": "TRACE",
        "trace": {
            "type": "STREAM_STATUS",
            "emitted_at": at.millis() as f64,
            "stream_status": {"stream_descriptor": descriptor(stream), "status": status.name()},
        },
    }))
}

/// TRACE ESTIMATE: the rows and the bytes of records that a stream is expected to have. A later estimate replaces it.
#[must_use]
pub fn estimate(stream: &ConfiguredStream, rows: u64, bytes: u64, at: Timestamp) -> String {
    let mut body = descriptor(stream);
    body["type"] = "STREAM".into();
    // Platforms want both numbers.
    body["row_estimate"] = rows.into();
    body["byte_estimate"] = bytes.into();
    line(&json!({"type": "TRACE", "trace": {"type": "ESTIMATE", "emitted_at": at.millis(), "estimate": body}}))
}

/// TRACE ERROR. The message is for the user; the chain of causes goes into `internal_message`.
#[must_use]
pub fn error(error: &Error, at: Timestamp) -> String {
    let mut body = json!({
        "message": error.to_string(),
        "internal_message": chain(error),
        "failure_type": error.kind().failure_type().as_str(),
    });
    if let Some(stream) = error.get("stream") {
        body["stream_descriptor"] = json!({"name": stream});
    }
    line(&json!({"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": at.millis(), "error": body}}))
}

/// An error and its causes in one line: the only place where the chain is printed.
#[must_use]
pub fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        _ = write!(text, ": {inner}");
        cause = inner.source();
    }
    text
}

/// The text for `check`: the error, and the deepest cause if the error alone is not clear.
#[must_use]
pub fn failure_text(error: &Error) -> String {
    match error.kind().failure_type() {
        FailureType::ConfigError if !matches!(error.kind(), ErrorKind::Data | ErrorKind::SchemaMismatch) => {
            error.to_string()
        }
        _ => chain(error),
    }
}

fn descriptor(stream: &ConfiguredStream) -> Value {
    match &stream.namespace {
        Some(namespace) => json!({"name": stream.name, "namespace": namespace}),
        None => json!({"name": stream.name}),
    }
}

fn line(message: &Value) -> String {
    let mut line = message.to_string();
    line.push('\n');
    line
}
