//! What a run would ask of S3, found out by listing and, for Parquet, some footers. No object is read.

use crate::files::stop::Stop;
use crate::options::DEFAULT_PARALLEL_FILES;
use crate::select::approach::Approach;
use crate::select::list_files::{cursor, list, stream_named};
use crate::select::queue::FileQueue;
use crate::select::row_selection::RowSelection;
use crate::skipped::SkipReason;
use crate::verbs::plan::{self, Looking};
use tollgate_base::error::Result;
use tollgate_base::object::Timestamp;
use tollgate_base::options::FormatOptions;
use tollgate_config::job::{Job, Stream};
use tollgate_cost::{CostTracker, SpendingBudget, Usage, usage_of, usage_since};
use tollgate_plan::estimate::{Estimated, StreamPlan};
use tollgate_plan::ranges;
use tollgate_protocol::catalog::{ConfiguredCatalog, ConfiguredStream};
use tollgate_protocol::state_file::StateFile;
use tollgate_s3::Store;

/// Footers may cost one part in so many of a limit, where it is not certain which side of it the run is on.
const FOOTERS_ONE_IN: u64 = 4;

/// The estimate of one stream.
#[derive(Debug)]
pub struct StreamEstimate {
    /// Its name.
    pub name: String,
    /// How it would be read.
    pub sync_mode: &'static str,
    /// Objects that were listed.
    pub listed: u64,
    /// Objects that belong to it and are archived.
    pub archived: u64,
    /// Files that would be read.
    pub files: u64,
    /// Their bytes as stored.
    pub stored_bytes: u64,
    /// Their rows, where footers tell.
    pub rows: Option<u64>,
    /// Where only a sample is read: its bytes as stored, and those that it was chosen from.
    pub sample: Option<(u64, u64)>,
    /// Files whose footers were looked at.
    pub footers: usize,
    /// Files of which only their footers, which were not looked at, tell how much is fetched. The bounds allow for nothing
    /// and for all of each.
    pub unknown_files: u64,
}

/// The estimate of a run.
#[derive(Debug, Default)]
pub struct RunEstimate {
    /// Its streams.
    pub streams: Vec<StreamEstimate>,
    /// Requests and bytes, the listing included, which the run does again.
    pub usage: Estimated,
    /// What the estimate itself took.
    pub estimating: Vec<Usage>,
}

/// Estimates the streams of a catalog with the decisions that [`super::Reader`] would take.
///
/// # Errors
/// The first stream's failure: an estimate without one of its streams would be too low.
pub async fn estimate(
    job: &Job,
    store: &Store,
    cost_tracker: &CostTracker,
    catalog: &ConfiguredCatalog,
    states: &StateFile,
    now: Timestamp,
) -> Result<RunEstimate> {
    let (mut run, mut planned) = (RunEstimate::default(), Vec::new());
    for configured in &catalog.streams {
        let stream = stream_named(&job.streams, &configured.name)?;
        let (estimate, listed) = Box::pin(list_stream(job, store, cost_tracker, (stream, configured), states, now))
            .await
            .map_err(|error| error.with("stream", &configured.name))?;
        run.streams.push(estimate);
        let Some(listed) = listed else { continue };
        listed.usage.iter().for_each(|usage| run.usage.add_exact(usage.row, usage.requests, usage.bytes));
        planned.push((listed, run.streams.len() - 1));
    }
    if job.spending.limits.any() {
        let prices = cost_tracker.prices(&store.region());
        let allowance = SpendingBudget::new(job.spending.limits, prices, job.spending.network);
        let looking = planned.iter_mut().map(|(listed, _)| listed.looking(store));
        plan::decide((&allowance, FOOTERS_ONE_IN), &run.usage, &mut looking.collect::<Vec<_>>()).await?;
    }
    for (listed, index) in planned {
        let (plan, estimate) = (&listed.plan, &mut run.streams[index]);
        (estimate.files, estimate.stored_bytes, estimate.rows) = (plan.files, plan.stored_bytes, plan.rows());
        (estimate.footers, estimate.unknown_files) = (plan.footers(), plan.unknown_files());
        run.usage.add(&plan.estimated());
    }
    run.estimating = usage_of(cost_tracker.ledger());
    Ok(run)
}

/// A stream whose files are known.
struct Listed<'a> {
    stream: &'a Stream,
    files: FileQueue,
    plan: StreamPlan,
    wanted: RowSelection,
    /// What listings and inventories took: the run asks for them again.
    usage: Vec<Usage>,
}

impl Listed<'_> {
    fn looking<'l>(&'l mut self, store: &'l Store) -> (Looking<'l>, &'l mut StreamPlan) {
        let Self { stream, files, plan, wanted, .. } = self;
        (Looking { store, stream, files, wanted }, plan)
    }
}

async fn list_stream<'a>(
    job: &Job,
    store: &Store,
    cost_tracker: &CostTracker,
    (stream, configured): (&'a Stream, &ConfiguredStream),
    states: &StateFile,
    now: Timestamp,
) -> Result<(StreamEstimate, Option<Listed<'a>>)> {
    let before = usage_of(cost_tracker.ledger());
    let parallel = job.parallel_files.unwrap_or(DEFAULT_PARALLEL_FILES).max(1);
    // Footers are chosen among all files.
    let whole = job.spending.limits.any() || matches!(stream.format, FormatOptions::Parquet(_));
    let cursor = cursor(job, configured, stream, states)?;
    let wanted = RowSelection::of(configured, stream, &cursor)?;
    let files = list(store, stream, cursor, now, whole, &Stop::default()).await?;
    let mut estimate = StreamEstimate {
        name: stream.name.clone(),
        sync_mode: configured.sync_mode.name(),
        listed: 0,
        archived: 0,
        files: 0,
        stored_bytes: 0,
        rows: None,
        footers: 0,
        unknown_files: 0,
        sample: None,
    };
    let Some(mut files) = files else { return Ok((estimate, None)) };
    let plan = match plan::of_files(&files, stream, parallel) {
        Some(plan) => plan,
        None => while_listing(&mut files, stream, parallel).await?,
    };
    let counts = files.counts();
    estimate.listed = counts.objects + counts.from_inventory;
    estimate.archived = counts.skipped.get(SkipReason::Archived);
    estimate.sample = counts.sample;
    let usage = usage_since(&usage_of(cost_tracker.ledger()), &before);
    let mut listed = Listed { stream, files, plan, wanted, usage };
    let (looking, plan) = listed.looking(store);
    looking.look(plan).await?;
    Ok((estimate, Some(listed)))
}

/// The plan of files that are read while they are listed.
async fn while_listing(files: &mut FileQueue, stream: &Stream, parallel: usize) -> Result<StreamPlan> {
    let (mut plan, mut approach) = (plan::begun(stream), Approach::new(stream, files.keys()));
    let mut index = 0;
    while let Some((object, from)) = files.next().await? {
        let may_split = ranges::may_split(files.ready(), index.min(parallel - 1));
        let place = u32::try_from(index).expect("a listing has fewer than 2^32 selected keys");
        plan::add(&mut plan, &mut approach, (place, &object, &from), may_split);
        index += 1;
    }
    Ok(plan)
}
