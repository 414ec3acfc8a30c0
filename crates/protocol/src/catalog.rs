//! The configured catalog: which streams a run reads, and how.

use serde::Deserialize;
use serde_json::Value;

use tollgate_base::error::{Error, Result};
use tollgate_base::schema::Columns;

/// `--catalog`
#[derive(Debug, Clone, PartialEq)]
pub struct ConfiguredCatalog {
    /// The streams, in the order of the file.
    pub streams: Vec<ConfiguredStream>,
}

/// One stream of the configured catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfiguredStream {
    /// The stream's name.
    pub name: String,
    /// The namespace, which records and states must include.
    pub namespace: Option<String>,
    /// The selected columns.
    pub columns: Columns,
    /// How the stream is read.
    pub sync_mode: SyncMode,
    /// The platform's count of how often the stream was cleared.
    pub generation: Option<i64>,
    /// The platform's number of the sync, which is the same for all of its attempts.
    pub sync: Option<i64>,
    /// The column that the user chose as the cursor: a path with one name, or with several if it is nested.
    pub cursor_field: Vec<String>,
}

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Everything, each time.
    FullRefresh,
    /// Only data that was not read before.
    Incremental,
}

impl SyncMode {
    /// The protocol's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FullRefresh => "full_refresh",
            Self::Incremental => "incremental",
        }
    }
}

#[derive(Deserialize)]
struct WrittenCatalog {
    streams: Vec<WrittenStream>,
}

#[derive(Deserialize)]
struct WrittenStream {
    stream: WrittenStreamBody,
    sync_mode: String,
    #[serde(default)]
    generation_id: Option<i64>,
    #[serde(default)]
    sync_id: Option<i64>,
    #[serde(default)]
    cursor_field: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct WrittenStreamBody {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    json_schema: Value,
}

impl ConfiguredCatalog {
    /// Reads a configured catalog. Unknown keys are accepted. The sync mode may be in capitals, as some platforms write
    /// it.
    ///
    /// # Errors
    /// `Config` with the JSON path.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let written: WrittenCatalog = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            Error::config(format!("the configured catalog cannot be read: {}", error.inner()))
                .with("path", path)
                .hint("pass a ConfiguredAirbyteCatalog: {\"streams\": [{\"stream\": …, \"sync_mode\": …}]}")
        })?;
        let streams = written.streams.into_iter().enumerate().map(|(index, stream)| stream.checked(index));
        Ok(Self { streams: streams.collect::<Result<_>>()? })
    }
}

impl WrittenStream {
    fn checked(self, index: usize) -> Result<ConfiguredStream> {
        let sync_mode = match self.sync_mode.to_ascii_lowercase().as_str() {
            "full_refresh" => SyncMode::FullRefresh,
            "incremental" => SyncMode::Incremental,
            _ => {
                return Err(Error::config(format!(
                    "sync_mode is '{}', not 'full_refresh' or 'incremental'",
                    self.sync_mode
                ))
                .with("path", format!("streams[{index}].sync_mode"))
                .with("stream", self.stream.name));
            }
        };
        Ok(ConfiguredStream {
            columns: Columns::of_json_schema(&self.stream.json_schema),
            name: self.stream.name,
            namespace: self.stream.namespace,
            sync_mode,
            generation: self.generation_id,
            sync: self.sync_id,
            cursor_field: self.cursor_field.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_with_nulls_and_unknown_keys_is_read() {
        let catalog = ConfiguredCatalog::read(
            br#"{"streams": [{"stream": {"name": "s", "namespace": null, "json_schema": {"properties": {}}, "x": 1},
                "sync_mode": "FULL_REFRESH", "cursor_field": null, "generation_id": 3, "new": true}]}"#,
        )
        .unwrap();
        let stream = &catalog.streams[0];
        assert_eq!((stream.name.as_str(), stream.sync_mode, stream.generation), ("s", SyncMode::FullRefresh, Some(3)));
        assert_eq!(stream.columns, Columns::All);
    }

    #[test]
    fn errors_name_the_path() {
        let error =
            ConfiguredCatalog::read(br#"{"streams": [{"stream": {"name": 5}, "sync_mode": "x"}]}"#).unwrap_err();
        assert_eq!(error.get("path"), Some("streams[0].stream.name"));
        let error =
            ConfiguredCatalog::read(br#"{"streams": [{"stream": {"name": "s"}, "sync_mode": "x"}]}"#).unwrap_err();
        assert_eq!(error.get("path"), Some("streams[0].sync_mode"));
    }
}
