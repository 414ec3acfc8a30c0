//! The catalog of a configuration: the streams and the columns that their newest files have.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::deliver::report::listed_line;
use crate::select::inventory;
use crate::select::listing::Listing;
use crate::select::partition::{self, Prepared};
use crate::verbs::sample::{self, SampleLimits, Sampled};
use tollgate_base::batch::{InferredColumn, InferredType};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, Timestamp};
use tollgate_base::options::{FormatOptions, OnBadRow, SchemaEvolution};
use tollgate_base::schema::{self, MODIFIED_COLUMN, RESCUED_COLUMN, URL_COLUMN};
use tollgate_config::job::{Delivery, Job, Stream};
use tollgate_format::infer;
use tollgate_plan::partition::layout::Layout;
use tollgate_protocol::message::Level;
use tollgate_record::schema_of;
use tollgate_runtime::clock::Clock;
use tollgate_s3::Store;

/// Files that are sampled at most: as many as in the connector we replace.
pub(crate) const SAMPLE_FILES: usize = 10;

/// Requests for the contents of files that discovery makes for a stream at most.
const MOST_GETS: usize = 10;

/// Of each sampled file.
const SAMPLE: SampleLimits = SampleLimits { bytes: 1_000_000, rows: 10_000, on_bad_row: OnBadRow::Collect };

/// What discovery found.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The streams of the catalog.
    pub streams: Vec<Value>,
    /// What a user should know about it.
    pub notes: Vec<(Level, String)>,
}

/// Lists each stream and infers its columns from its newest files.
///
/// # Errors
/// The first stream's failure: a catalog without one of its streams would make a platform drop that stream.
pub async fn discover(job: &Job, store: &Store, clock: Clock) -> Result<Discovered> {
    let mut discovered = Discovered::default();
    for stream in &job.streams {
        let json_schema = json_schema(stream, store, clock, &mut discovered.notes).await;
        let json_schema = json_schema.map_err(|error| error.with("stream", &stream.name))?;
        discovered.streams.push(catalog_stream(stream, json_schema));
    }
    Ok(discovered)
}

/// The schema of a stream's records.
async fn json_schema(stream: &Stream, store: &Store, clock: Clock, notes: &mut Vec<(Level, String)>) -> Result<Value> {
    if stream.delivery != Delivery::Records {
        return Ok(of_files());
    }
    let mut json_schema = data_schema(stream, store, clock, notes).await?;
    if stream.schema.evolution == SchemaEvolution::Rescue
        && !stream.schemaless
        && let Some(properties) = json_schema["properties"].as_object_mut()
    {
        properties.insert(RESCUED_COLUMN.to_owned(), json!({"type": ["null", "object"]}));
    }
    Ok(json_schema)
}

async fn data_schema(stream: &Stream, store: &Store, clock: Clock, notes: &mut Vec<(Level, String)>) -> Result<Value> {
    if stream.schemaless {
        return Ok(schemaless());
    }
    if let Some(columns) = &stream.input_schema {
        return Ok(given(columns));
    }
    let prepared = partition::prepare(store, stream, clock.now(), None).await?;
    let layout = prepared.layout.clone();
    let (files, listed) = newest(stream, store, prepared).await?;
    if let Some(listed) = listed {
        notes.push((Level::Info, listed_line(listed)));
    }
    if listed.is_some_and(|listed| listed > files.len() as u64) {
        let (all, used) = (listed.unwrap_or_default(), files.len());
        notes.push((Level::Info, format!("Refusing to infer schema for {all} files; using {used} files.")));
    }
    if files.is_empty() {
        notes.push((
            Level::Warn,
            format!("No files were identified in the stream {}. Setting default schema for the stream.", stream.name),
        ));
        return Ok(schemaless());
    }
    let columns = columns_of(stream, store, &files, layout.as_deref(), notes).await?;
    Ok(schema::json_schema(schema_of::properties(&columns)))
}

/// The columns that files have together, from samples of them.
///
/// # Errors
/// What is wrong with the files, where none of them can be sampled.
pub(crate) async fn columns_of(
    stream: &Stream,
    store: &Store,
    files: &[ObjectFacts],
    layout: Option<&Layout>,
    notes: &mut Vec<(Level, String)>,
) -> Result<Vec<InferredColumn>> {
    let mut failed = None;
    let mut found: Vec<(Arc<str>, Vec<InferredColumn>)> = Vec::new();
    // Files without rows, which have the columns of their partition all the same.
    let mut empty: Vec<(Arc<str>, Vec<InferredColumn>)> = Vec::new();
    let (mut gets, mut unasked) = (MOST_GETS, 0);
    for file in files {
        let sampled = match sample::columns(store, stream, file, SAMPLE, &mut gets).await {
            Ok(Some(sampled)) => sampled,
            Ok(None) => {
                unasked += 1;
                continue;
            }
            // One broken file must not hide the columns of the others; reading it will say what is wrong.
            Err(error) if error.kind() == ErrorKind::Data => Sampled { fault: Some(error), ..Sampled::default() },
            Err(error) => return Err(error),
        };
        if sampled.bad_rows > 0 {
            notes.push((Level::Warn, format!("{} rows of '{}' are bad and were ignored", sampled.bad_rows, file.key)));
        }
        let only_bad = sampled.rows == 0 && sampled.bad_rows > 0;
        let with_constants = |columns| partition::with_constants(columns, &file.key, stream, layout);
        if let Some(reject) = sampled.first_bad.filter(|_| only_bad || sampled.columns.is_empty()) {
            let error = Error::data(reject.reason).with("key", &file.key);
            failed = Some(match reject.line {
                Some(line) => error.with("line", line),
                None => error,
            });
        } else if !sampled.columns.is_empty() {
            found.push((file.key.clone(), with_constants(sampled.columns)));
        } else if sampled.fault.is_none() {
            empty.push((file.key.clone(), with_constants(Vec::new())));
        }
        if let Some(fault) = sampled.fault {
            notes.push((Level::Error, format!("only part of a sampled file could be read: {fault}")));
            failed = Some(fault);
        }
    }
    if stream.format == FormatOptions::Jsonl && files.iter().any(|file| file.size > SAMPLE.bytes) {
        let note = format!(
            "Exceeded the maximum number of bytes per file for schema inference ({}). Inferring schema from an incomplete \
             set of records.",
            SAMPLE.bytes
        );
        notes.push((Level::Info, note));
    }
    if unasked > 0 {
        let note = format!("{unasked} of {} files were not sampled: the limit is {MOST_GETS} requests", files.len());
        notes.push((Level::Info, note));
    }
    if let Some(error) = failed.filter(|_| found.is_empty()) {
        return Err(nothing_inferred(error, files.len()));
    }
    if unasked > 0 && found.is_empty() && empty.is_empty() {
        let message = "the first records of the sampled files are too long to find the stream's columns";
        return Err(Error::config(message)
            .with("requests", MOST_GETS)
            .hint("list the columns in `input_schema`, or set `schemaless`"));
    }
    found.append(&mut empty);
    // In the order of their keys, so that columns have the same order each time.
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut columns = infer::merge(found.iter().map(|(_, columns)| columns.as_slice()), stream.schema.inference);
    if matches!(stream.format, FormatOptions::Csv(_)) {
        // Columns of headers without rows, and texts of several types, which are all texts.
        let unplanned_cost = |kind| matches!(kind, InferredType::Null | InferredType::Mixed);
        let unplanned_cost = columns.iter_mut().filter(|column| unplanned_cost(column.kind));
        unplanned_cost.for_each(|column| column.kind = InferredType::String);
    }
    if let Some(names) = &stream.pushdown.columns {
        columns.retain(|column| names.contains(&column.name));
    }
    Ok(columns)
}

fn nothing_inferred(error: Error, files: usize) -> Error {
    Error::config(format!("none of the {files} sampled files could be read, so the columns of the stream are unknown"))
        .caused_by(error)
        .hint("check the stream's format and its options")
}

/// The newest selected files, the newest first, and the number of all; or the first one that the listing finds.
async fn newest(stream: &Stream, store: &Store, mut prepared: Prepared) -> Result<(Vec<ObjectFacts>, Option<u64>)> {
    let count = stream.schema_sample_files.unwrap_or(SAMPLE_FILES).clamp(1, SAMPLE_FILES);
    Box::pin(inventory::inventory_listing(store, stream, &mut prepared, None)).await?;
    let mut listing = Listing::new(store, stream, prepared, None).sampled(stream);
    // Of files of one second the first keys count as newer: the connector we replace takes those.
    let mut newest: BinaryHeap<Reverse<(Timestamp, Reverse<Arc<str>>)>> = BinaryHeap::new();
    let mut kept: HashMap<Arc<str>, ObjectFacts> = HashMap::new();
    let mut listed = 0;
    while let Some(mut page) = listing.next_page().await? {
        // Keys that do not fit have columns of no type.
        page.retain(|object| listing.keys().partition_error(&object.key).is_none());
        for object in page {
            if stream.schema_of_first_file {
                return Ok((vec![object], None));
            }
            listed += 1;
            newest.push(Reverse((object.modified_at, Reverse(object.key.clone()))));
            kept.insert(object.key.clone(), object);
            if newest.len() > count
                && let Some(Reverse((_, Reverse(oldest)))) = newest.pop()
            {
                kept.remove(&oldest);
            }
        }
    }
    let mut files: Vec<ObjectFacts> = kept.into_values().collect();
    files.sort_unstable_by(|a, b| (b.modified_at, &a.key).cmp(&(a.modified_at, &b.key)));
    Ok((files, Some(listed)))
}

fn catalog_stream(stream: &Stream, json_schema: Value) -> Value {
    let mut entry = json!({
        "name": stream.name,
        "json_schema": json_schema,
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": true,
        "default_cursor_field": [stream.pushdown.cursor_field.as_deref().unwrap_or(MODIFIED_COLUMN)],
        "is_resumable": true,
        "is_file_based": stream.delivery != Delivery::Records,
    });
    if let Some(primary_key) = &stream.primary_key {
        entry["source_defined_primary_key"] = primary_key.iter().map(|column| json!([column])).collect();
    }
    entry
}

/// What records of transferred files have, as the connector that we replace declares it.
fn of_files() -> Value {
    let (text, maybe) = (json!({"type": "string"}), json!({"type": ["null", "string"]}));
    json!({"type": "object", "properties": {
        "folder": text, "file_name": text, "source_uri": text, "bytes": {"type": "integer"},
        "id": maybe, "created_at": maybe, "updated_at": maybe, "mime_type": maybe,
    }})
}

fn schemaless() -> Value {
    with_added(json!({"data": {"type": "object"}}))
}

/// Types that the user gave hold as they are: they are not made nullable.
fn given(columns: &[(String, String)]) -> Value {
    with_added(Value::Object(columns.iter().map(|(name, kind)| (name.clone(), json!({"type": kind}))).collect()))
}

fn with_added(properties: Value) -> Value {
    let mut all = json!({MODIFIED_COLUMN: {"type": "string"}, URL_COLUMN: {"type": "string"}});
    if let (Some(all), Value::Object(properties)) = (all.as_object_mut(), properties) {
        all.extend(properties);
    }
    json!({"type": "object", "properties": all})
}
