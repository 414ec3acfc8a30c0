//! What a run would list and read, and why: the answer of the verb `plan`.

use serde::Serialize;

use crate::files::stop::Stop;
use crate::select::list_files::{cursor, list_with, stream_named};
use crate::select::listing::REQUESTS_AHEAD;
use crate::skipped::SkipReason;
use tollgate_base::error::{Error, Result};
use tollgate_base::options::partition::Part;
use tollgate_config::job::{Job, Stream};
use tollgate_cursor::{Cursor, FullRefresh, StreamState};
use tollgate_plan::partition::layout::{Layout, LayoutLevel};
use tollgate_plan::walk::WalkOptions;
use tollgate_protocol::catalog::ConfiguredCatalog;
use tollgate_protocol::state_file::StateFile;
use tollgate_runtime::clock::Clock;
use tollgate_s3::Store;

/// What a run would list and read of one stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamPreview {
    /// The stream.
    pub stream: String,
    /// Where its partitions stand, as a template; absent where nobody asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// What an inventory tells and what is listed besides; absent where there is no inventory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// The prefixes and ranges of keys that are listed.
    pub listed: Vec<String>,
    /// The prefixes that are not, each with the reason.
    pub skipped: Vec<SkippedPrefix>,
    /// How many prefixes are not listed; the list above may be shorter.
    pub skipped_prefixes: u64,
    /// LIST requests that were made for this plan. A run makes no more; where a template names the folders it makes fewer.
    pub list_requests: u64,
    /// Objects that were listed.
    pub objects_listed: u64,
    /// Objects that the inventory told of.
    pub objects_of_inventory: u64,
    /// Files that would be read; of an incremental stream those that the state does not have.
    pub files: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Files of the stream that would not be read, mostly since an earlier run did.
    pub files_read_before: u64,
    /// Files whose key does not fit the partitions: bad ones, by `on_error`.
    pub files_that_do_not_fit: u64,
    /// Files whose partition says that no row of them is wanted.
    pub files_without_wanted_rows: u64,
    /// Objects in partitions that the filter does not want.
    pub objects_of_other_partitions: u64,
    /// Objects in folders of other tools, whose key has no value for the filter.
    pub objects_without_partition: u64,
    /// The part of the folders that is not listed, from 0 to 1; folders beside each other count as equally large.
    pub estimate_scan_reduction: f64,
}

/// A prefix that is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedPrefix {
    /// The prefix.
    pub prefix: String,
    /// The condition that nothing below it meets.
    pub because: String,
}

/// Lists the streams of a catalog, or all of them, without reading an object.
///
/// # Errors
/// The first stream's failure.
pub async fn preview(
    job: &Job,
    store: &Store,
    catalog: Option<&ConfiguredCatalog>,
    states: &StateFile,
    clock: Clock,
) -> Result<Vec<StreamPreview>> {
    let mut previews = Vec::new();
    match catalog {
        Some(catalog) => {
            for configured in &catalog.streams {
                let stream = stream_named(&job.streams, &configured.name)?;
                let cursor = cursor(job, configured, stream, states)?;
                previews.push(stream_preview(stream, store, cursor, clock).await?);
            }
        }
        None => {
            for stream in &job.streams {
                let cursor = Cursor::FullRefresh(FullRefresh::new(StreamState::default(), None));
                previews.push(stream_preview(stream, store, cursor, clock).await?);
            }
        }
    }
    Ok(previews)
}

async fn stream_preview(stream: &Stream, store: &Store, cursor: Cursor, clock: Clock) -> Result<StreamPreview> {
    let options = WalkOptions { thorough: true, ..WalkOptions::default() };
    let listed = list_with((options, REQUESTS_AHEAD), store, stream, cursor, clock.now(), true, &Stop::default()).await;
    let files = listed.map_err(|error| error.with("stream", &stream.name))?;
    let files = files.ok_or_else(|| Error::internal("a plan was stopped by nobody"))?;
    let (mut count, mut bytes, mut misfits) = (0, 0, 0);
    for (object, _) in files.remaining().into_iter().flatten() {
        match files.keys().partition_error(&object.key) {
            Some(_) => misfits += 1,
            None => (count, bytes) = (count + 1, bytes + object.size),
        }
    }
    let (counts, report, decisions, prepared) = (files.counts(), files.report(), &files.decisions, files.partitions());
    let skipped =
        |(prefix, because): &(String, String)| SkippedPrefix { prefix: prefix.clone(), because: because.clone() };
    Ok(StreamPreview {
        stream: stream.name.clone(),
        layout: prepared.layout.as_deref().map(shown),
        inventory: prepared.inventory_listing.as_ref().map(|inventory_listing| inventory_listing.note.clone()),
        listed: report.listed.clone(),
        skipped: report.skipped.iter().map(skipped).collect(),
        skipped_prefixes: report.skipped_count,
        list_requests: counts.pages,
        objects_listed: counts.objects,
        objects_of_inventory: counts.from_inventory,
        files: count,
        bytes,
        files_read_before: decisions.skipped.sum(&SkipReason::BY_STATE),
        files_that_do_not_fit: misfits,
        files_without_wanted_rows: counts.skipped.sum(&[SkipReason::NoRowPassesFilter, SkipReason::BelowCursor]),
        objects_of_other_partitions: counts.skipped.get(SkipReason::OtherPartition),
        objects_without_partition: counts.skipped.get(SkipReason::WithoutPartition),
        estimate_scan_reduction: report.scan_reduction(),
    })
}

/// A layout as a template of it.
fn shown(layout: &Layout) -> String {
    let level = |level: &LayoutLevel| match level {
        LayoutLevel::Any => "*".to_owned(),
        LayoutLevel::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Field(name) => format!("{{{name}}}"),
            })
            .collect(),
    };
    let placed: Vec<String> = layout.levels.iter().map(level).collect();
    let by_place = layout.levels.iter().filter_map(|level| match level {
        LayoutLevel::Any => None,
        LayoutLevel::Parts(parts) => Some(parts.iter().filter_map(Part::field)),
    });
    let by_place: Vec<&str> = by_place.flatten().collect();
    let named: Vec<String> = layout
        .fields
        .iter()
        .filter(|field| !by_place.contains(&field.name.as_str()))
        .map(|field| format!("{0}={{{0}}}", field.name))
        .collect();
    let folders = |names: &[String]| names.iter().map(|name| format!("{name}/")).collect::<String>();
    match (named.is_empty(), placed.is_empty()) {
        (false, false) => format!("{}{} and {} anywhere in it", layout.base, folders(&placed), named.join(", ")),
        (false, true) => format!("{}{}", layout.base, folders(&named)),
        _ => format!("{}{}", layout.base, folders(&placed)),
    }
}
