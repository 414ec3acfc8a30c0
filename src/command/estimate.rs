//! `estimate`: a table or JSON for people and their programs; no protocol messages.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Ending;
use super::ending::told;
use super::output::print;
use super::setup::{self, Audience, block_on, read_file};
use crate::cli::{EstimateFiles, OutputFormat};
use tollgate_base::error::Result;
use tollgate_base::spending::{GB, Limits, OnLimit};
use tollgate_config::job::{Job, Provenance};
use tollgate_cost::{LimitExceeded, LimitsExceeded, Prices, Quote, SpendingBudget};
use tollgate_protocol::catalog::ConfiguredCatalog;
use tollgate_protocol::state_file::StateFile;
use tollgate_read::RunEstimate;
use tollgate_s3::StoreOptions;

pub(super) fn run(files: &EstimateFiles) -> Ending {
    block_on(async {
        match Box::pin(estimate(files)).await {
            Ok((text, refused)) => {
                print(&text);
                if refused { Ending::Refused } else { Ending::Success }
            }
            Err(error) => told(&error, files.shown.format()),
        }
    })
}

/// The estimate as text, and whether the run would be refused.
async fn estimate(files: &EstimateFiles) -> Result<(String, bool)> {
    let mut job = setup::job(&files.config, Audience::Person)?;
    let states = match &files.state {
        Some(path) => StateFile::read(&read_file(path, "state")?)?,
        None => StateFile::default(),
    };
    let catalog = match &files.catalog {
        Some(path) => ConfiguredCatalog::read(&read_file(path, "catalog")?)?,
        None => ConfiguredCatalog::read(everything(&job, &states).to_string().as_bytes())?,
    };
    // The estimate must be able to tell of a run that passes its limits.
    let options = StoreOptions::default();
    let (cost_tracker, store) =
        setup::cost_tracker_and_store(&mut job, Limits::default(), options, Audience::Person).await?;
    let now = setup::CLOCK.now();
    let run = Box::pin(tollgate_read::estimate(&job, &store, &cost_tracker, &catalog, &states, now)).await?;
    let prices = cost_tracker.prices(&store.region());
    let shortage = shortage(&job, prices.clone(), &run);
    let usage = [&run.usage.low[..], &run.usage.expected, &run.usage.high];
    let quote = Quote::new(prices, cost_tracker.network(), usage, &run.estimating);
    let refused = shortage.is_some() && job.spending.on_limit == OnLimit::Fail;
    let text = match files.shown.format() {
        OutputFormat::Table => table(&job, &run, &quote, shortage.as_ref()),
        OutputFormat::Json => format!("{:#}\n", as_json(&job, &run, &quote, shortage.as_ref())),
    };
    Ok((text, refused))
}

/// A catalog with all streams and columns; incremental where the state has the stream.
fn everything(job: &Job, states: &StateFile) -> Value {
    let streams = job.streams.iter().map(|stream| {
        let mode = if states.stream(&stream.name).is_some() { "incremental" } else { "full_refresh" };
        let modes = ["full_refresh", "incremental"];
        let body = json!({"name": stream.name, "json_schema": {}, "supported_sync_modes": modes});
        json!({"stream": body, "sync_mode": mode, "destination_sync_mode": "append"})
    });
    json!({"streams": streams.collect::<Vec<_>>()})
}

/// The limit that the run would pass.
fn shortage(job: &Job, prices: Prices, run: &RunEstimate) -> Option<LimitsExceeded> {
    let allowance = SpendingBudget::new(job.spending.limits, prices, job.spending.network);
    let files = run.streams.iter().map(|stream| stream.files).sum();
    let passed = allowance.would_pass(&run.usage.expected, files);
    passed.or_else(|| allowance.listing_would_pass(&run.usage.expected))
}

fn verdict(job: &Job, shortage: Option<&LimitsExceeded>) -> String {
    match shortage {
        None if job.spending.limits.any() => "the run is within its limits".to_owned(),
        None => "the run has no limits".to_owned(),
        Some(shortage) => match job.spending.on_limit {
            OnLimit::Fail => format!("{shortage}: the run would be refused ({})", shortage.parameters()),
            OnLimit::Partial => format!("{shortage}: the run would read only a part ({})", shortage.parameters()),
        },
    }
}

/// What a user should know besides the numbers.
fn remarks(job: &Job, run: &RunEstimate, quote: &Quote) -> Vec<String> {
    let mut list = quote.assumptions();
    if job.connection.requester_pays {
        list.push("you, the requester, pay for requests and transfer".to_owned());
    } else {
        list.push("the owner of the bucket pays for requests and transfer".to_owned());
    }
    for stream in &run.streams {
        if stream.footers > 0 {
            let (footers, files) = (stream.footers, stream.files);
            list.push(format!("stream {}: based on the footers of {footers} of {files} files", stream.name));
        }
        if stream.unknown_files > 0 {
            list.push(format!(
                "stream {}: the footers of {} files were not read, so it is not known how much of these files would \
                 be read: 'total' assumes that they are like files with similar keys and sizes, 'at least' counts \
                 only their footers, 'at most' counts the whole files",
                stream.name, stream.unknown_files
            ));
        }
        if let Some((bytes, of_bytes)) = stream.sample {
            let part = bytes as f64 * 100.0 / of_bytes.max(1) as f64;
            list.push(format!(
                "stream {}: only a sample is read (`dev_sampling`): {part:.1} % of the bytes",
                stream.name
            ));
        }
        if stream.archived > 0 {
            list.push(format!("stream {}: {} archived objects are skipped", stream.name, stream.archived));
        }
    }
    list.extend(job.provenance.iter().filter_map(Provenance::warning));
    list
}

fn table(job: &Job, run: &RunEstimate, quote: &Quote, shortage: Option<&LimitsExceeded>) -> String {
    let mut text = String::new();
    for stream in &run.streams {
        let rows = stream.rows.map(|rows| format!(", about {rows} rows")).unwrap_or_default();
        let gigabytes = stream.stored_bytes as f64 / GB as f64;
        _ = writeln!(
            text,
            "stream {} ({}): {} of {} listed objects to read, {gigabytes:.3} GB{rows}",
            stream.name,
            stream.sync_mode.replace('_', " "),
            stream.files,
            stream.listed
        );
    }
    _ = writeln!(text, "\n{}\n{}", quote.table(), verdict(job, shortage));
    _ = writeln!(text, "\nAssumptions:");
    for remark in remarks(job, run, quote) {
        _ = writeln!(text, "- {remark}");
    }
    text
}

fn as_json(job: &Job, run: &RunEstimate, quote: &Quote, shortage: Option<&LimitsExceeded>) -> Value {
    let mut whole = quote.json();
    let streams = run.streams.iter().map(|stream| {
        json!({
            "name": stream.name,
            "sync_mode": stream.sync_mode,
            "listed_objects": stream.listed,
            "archived_objects": stream.archived,
            "files": stream.files,
            "stored_bytes": stream.stored_bytes,
            "rows": stream.rows,
            "footers": stream.footers,
            "unknown_files": stream.unknown_files,
            "sample_bytes": stream.sample.map(|(bytes, _)| bytes),
            "sample_of_bytes": stream.sample.map(|(_, of_bytes)| of_bytes),
        })
    });
    whole["streams"] = streams.collect();
    whole["network"] = job.spending.network.name().into();
    let passed = shortage.iter().flat_map(|passed| passed.iter().map(LimitExceeded::parameter)).collect::<Vec<_>>();
    whole["limit_passed"] = passed.first().copied().into();
    whole["limits_passed"] = passed.into();
    whole["refused"] = (shortage.is_some() && job.spending.on_limit == OnLimit::Fail).into();
    whole["verdict"] = verdict(job, shortage).into();
    whole["assumptions"] = remarks(job, run, quote).into();
    whole
}
