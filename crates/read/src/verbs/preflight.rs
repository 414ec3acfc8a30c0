//! Before a run that a limit may refuse: every stream is listed, and what reading would take is held against the limits.

use std::collections::HashMap;

use crate::files::stop::Stop;
use crate::reader::{Reader, gets_since};
use crate::select::list_files::{cursor, list, stream_named};
use crate::select::queue::FileQueue;
use crate::select::row_selection::RowSelection;
use crate::verbs::plan::{self, Looking};
use tollgate_base::error::{Error, Result};
use tollgate_base::spending::{GB, Network, OnLimit};
use tollgate_cost::{LimitExceeded, LimitsExceeded, SpendingBudget, usage_of};
use tollgate_plan::estimate::{Estimated, StreamPlan};
use tollgate_protocol::catalog::ConfiguredCatalog;
use tollgate_protocol::state_file::StateFile;

/// Footers may take one part in so many of a limit: what they take is not there for reading.
const FOOTERS_ONE_IN: u64 = 25;

/// The listed files of streams by their names.
pub(crate) type Listed = HashMap<String, (FileQueue, StreamPlan)>;

/// Lists the streams and refuses a run that would pass a limit, where that is the policy. What was listed is handed over
/// to the run, so that it is listed once.
///
/// # Errors
/// The limit that would be passed, and failures of listings.
pub(crate) async fn run(
    reader: &Reader<'_>,
    catalog: &ConfiguredCatalog,
    states: &StateFile,
    stop: &Stop,
) -> Result<Listed> {
    let mut listed = Listed::new();
    let Some(allowance) = reader.cost_tracker.allowance() else { return Ok(listed) };
    // Nothing is refused: what would be asked for here is better spent on reading.
    if reader.job.spending.on_limit == OnLimit::Partial {
        return Ok(listed);
    }
    for configured in &catalog.streams {
        // What is wrong with a stream is said when its turn comes.
        let Ok(stream) = stream_named(&reader.job.streams, &configured.name) else { continue };
        let Ok(cursor) = cursor(reader.job, configured, stream, states) else { continue };
        let now = reader.options.clock.now();
        let files = list(&reader.store, stream, cursor, now, true, stop).await;
        let Some(files) = files.map_err(|error| error.with("stream", &stream.name))? else { return Ok(listed) };
        let Some(plan) = plan::of_files(&files, stream, reader.parallel_files()) else { continue };
        listed.insert(configured.name.clone(), (files, plan));
    }
    reader.cost_tracker.set_region(&reader.store.region());
    // What inventories took.
    reader.cost_tracker.expect(gets_since(&reader.cost_tracker, &[]).iter());
    let before = usage_of(reader.cost_tracker.ledger());
    let mut passed = shortages(allowance, &listed);
    if passed.is_some() && listed.values().any(|(_, plan)| plan.needs_a_look()) {
        look(reader, catalog, states, allowance, &mut listed).await?;
        // Footers are no part of what reading will take; they are paid for already.
        reader.cost_tracker.expect(gets_since(&reader.cost_tracker, &before).iter());
        passed = shortages(allowance, &listed);
    }
    match passed {
        Some(passed) => Err(refusal(&passed, &listed, reader.job.spending.network)),
        None => Ok(listed),
    }
}

/// Looks at footers, where whole files would pass the limits.
async fn look(
    reader: &Reader<'_>,
    catalog: &ConfiguredCatalog,
    states: &StateFile,
    allowance: &SpendingBudget,
    listed: &mut Listed,
) -> Result<()> {
    let mut wanted = HashMap::new();
    for configured in &catalog.streams {
        let Ok(stream) = stream_named(&reader.job.streams, &configured.name) else { continue };
        if listed.contains_key(&configured.name) {
            let cursor = cursor(reader.job, configured, stream, states)?;
            wanted.insert(configured.name.as_str(), (stream, RowSelection::of(configured, stream, &cursor)?));
        }
    }
    let streams = listed.iter_mut().filter_map(|(name, (files, plan))| {
        let (stream, wanted) = wanted.get(name.as_str())?;
        Some((Looking { store: &reader.store, stream, files, wanted }, plan))
    });
    let mut streams: Vec<_> = streams.collect();
    // The order decides which requests are made.
    streams.sort_by(|a, b| a.0.stream.name.cmp(&b.0.stream.name));
    plan::decide((allowance, FOOTERS_ONE_IN), &Estimated::default(), &mut streams).await
}

fn shortages(allowance: &SpendingBudget, listed: &Listed) -> Option<LimitsExceeded> {
    let mut sum = Estimated::default();
    listed.values().for_each(|(_, plan)| sum.add(&plan.estimated()));
    allowance.would_pass(&sum.expected, listed.values().map(|(_, plan)| plan.files).sum())
}

fn refusal(passed: &LimitsExceeded, listed: &Listed, network: Network) -> Error {
    let files: u64 = listed.values().map(|(_, plan)| plan.files).sum();
    let bytes: u64 = listed.values().map(|(_, plan)| plan.stored_bytes).sum();
    let mut error = passed.error().with("files", files).with("gb", format!("{:.3}", bytes as f64 / GB as f64));
    let footers: usize = listed.values().map(|(_, plan)| plan.footers()).sum();
    if footers > 0 {
        error = error.with("footers_read", footers);
    }
    let by_cost = passed.iter().any(|shortage| matches!(shortage, LimitExceeded::Cost { .. }));
    let place = match network {
        Network::Unknown if by_cost => {
            ", or set `network`: as long as it is unknown, the price of transfer over the internet is used"
        }
        _ => "",
    };
    error.hint(format!(
        "nothing was read: raise {}, read less (prefix, globs, columns), or set `on_limit` to 'partial'{place}",
        passed.parameters()
    ))
}
