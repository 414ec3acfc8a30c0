//! What a run would ask of S3, found out by listing and, for Parquet, a few footers. No object is read.

use super::dispatch::Files;
use super::plan::{self, Approach};
use super::stop::Stop;
use super::stream::{cursor, list};
use super::wanted::Wanted;
use super::{DEFAULT_PARALLEL_FILES, stream_named};
use tollgate_base::error::Result;
use tollgate_base::object::Timestamp;
use tollgate_config::job::{Job, Stream};
use tollgate_cost::{Till, Usage, usage_of, usage_since};
use tollgate_plan::estimate::{Estimated, StreamPlan};
use tollgate_plan::ranges;
use tollgate_protocol::catalog::{ConfiguredCatalog, ConfiguredStream};
use tollgate_protocol::state_file::StateFile;
use tollgate_s3::Store;

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
    /// Files whose footers were looked at.
    pub footers: usize,
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
    till: &Till,
    catalog: &ConfiguredCatalog,
    states: &StateFile,
    now: Timestamp,
) -> Result<RunEstimate> {
    let mut run = RunEstimate::default();
    for configured in &catalog.streams {
        let stream = stream_named(&job.streams, &configured.name)?;
        let (estimate, usage) = Box::pin(estimate_stream(job, store, till, (stream, configured), states, now))
            .await
            .map_err(|error| error.with("stream", &configured.name))?;
        run.streams.push(estimate);
        run.usage.add(&usage);
    }
    run.estimating = usage_of(till.ledger());
    Ok(run)
}

async fn estimate_stream(
    job: &Job,
    store: &Store,
    till: &Till,
    (stream, configured): (&Stream, &ConfiguredStream),
    states: &StateFile,
    now: Timestamp,
) -> Result<(StreamEstimate, Estimated)> {
    let before = usage_of(till.ledger());
    let parallel = job.parallel_files.unwrap_or(DEFAULT_PARALLEL_FILES).max(1);
    let whole = job.spending.limits.any();
    let cursor = cursor(job, configured, stream, states)?;
    let wanted = Wanted::of(configured, stream, &cursor)?;
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
    };
    let Some(mut files) = files else { return Ok((estimate, Estimated::default())) };
    let mut plan = match plan::of_files(&files, stream, parallel) {
        Some(plan) => plan,
        None => while_listing(&mut files, stream, parallel).await?,
    };
    // Listings and inventories: the run asks for them again.
    let listed = usage_since(&usage_of(till.ledger()), &before);
    plan::look(&mut plan, (stream, files.keys()), store, &wanted).await?;
    let counts = files.counts();
    (estimate.listed, estimate.archived) = (counts.objects + counts.from_inventory, counts.archived);
    (estimate.files, estimate.stored_bytes, estimate.rows) = (plan.files, plan.stored_bytes, plan.rows());
    estimate.footers = plan.footers();
    let mut estimated = plan.estimated();
    listed.iter().for_each(|usage| estimated.add_exact(usage.row, usage.requests, usage.bytes));
    Ok((estimate, estimated))
}

/// The plan of files that are read while they are listed.
async fn while_listing(files: &mut Files, stream: &Stream, parallel: usize) -> Result<StreamPlan> {
    let (mut plan, mut approach) = (StreamPlan::default(), Approach::new(stream, files.keys()));
    let mut index = 0;
    while let Some((object, from)) = files.next().await? {
        let alone = ranges::alone(files.ready(), index.min(parallel - 1));
        plan::add(&mut plan, &mut approach, &object, &from, alone);
        index += 1;
    }
    Ok(plan)
}
