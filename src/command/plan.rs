//! `plan`: for people, so the answer is a table or JSON and not messages.

use std::fmt::Write as _;

use super::Ending;
use super::ending::told;
use super::output::print;
use super::setup::{self, Audience, CLOCK, block_on, read_file};
use crate::cli::{OutputFormat, PlanFiles};
use tollgate_base::error::Result;
use tollgate_config::job::Provenance;
use tollgate_cost::Ledger;
use tollgate_protocol::catalog::ConfiguredCatalog;
use tollgate_protocol::state_file::StateFile;
use tollgate_read::StreamPreview;

/// Prefixes of a stream that a table shows; JSON has all.
const SHOWN: usize = 40;

pub(super) fn run(files: &PlanFiles) -> Ending {
    block_on(async {
        match plan(files).await {
            Ok(text) => {
                print(&text);
                Ending::Success
            }
            Err(error) => told(&error, files.shown.format()),
        }
    })
}

async fn plan(files: &PlanFiles) -> Result<String> {
    let mut job = setup::job(&files.config, Audience::Person)?;
    let catalog = match &files.catalog {
        Some(path) => Some(ConfiguredCatalog::read(&read_file(path, "catalog")?)?),
        None => None,
    };
    let states = match &files.state {
        Some(path) => StateFile::read(&read_file(path, "state")?)?,
        None => StateFile::default(),
    };
    let store = setup::store(&mut job, &Ledger::new(), Audience::Person).await?;
    let plans = tollgate_read::preview(&job, &store, catalog.as_ref(), &states, CLOCK).await?;
    let warnings: Vec<String> = job.provenance.iter().filter_map(Provenance::warning).collect();
    Ok(match files.shown.format() {
        OutputFormat::Json => format!("{:#}\n", serde_json::json!({ "streams": plans, "warnings": warnings })),
        OutputFormat::Table => plans.iter().map(table).collect(),
    })
}

fn table(plan: &StreamPreview) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a String cannot fail.
        _ = writeln!(text, "  {name:<26} {value}");
    };
    if let Some(layout) = &plan.layout {
        line("layout", layout);
    }
    if let Some(inventory) = &plan.inventory {
        line("inventory", inventory);
        line("objects of the inventory", &plan.objects_of_inventory);
    }
    line("files to read", &plan.files);
    line("bytes to read", &plan.bytes);
    line("files read before", &plan.files_read_before);
    line("objects listed", &plan.objects_listed);
    line("LIST requests", &plan.list_requests);
    line("in other partitions", &plan.objects_of_other_partitions);
    line("without a partition", &plan.objects_without_partition);
    line("not fitting", &plan.files_that_do_not_fit);
    line("without matching rows", &plan.files_without_wanted_rows);
    line("prefixes skipped", &plan.skipped_prefixes);
    line("estimate_scan_reduction", &format_args!("{:.1} %", plan.estimate_scan_reduction * 100.0));
    for prefix in plan.listed.iter().take(SHOWN) {
        line("listed", &format_args!("'{prefix}'"));
    }
    more(&mut text, plan.listed.len() as u64);
    for skipped in plan.skipped.iter().take(SHOWN) {
        _ = writeln!(text, "  {:<26} '{}': {}", "skipped", skipped.prefix, skipped.because);
    }
    more(&mut text, plan.skipped_prefixes);
    format!("stream {}\n{text}", plan.stream)
}

fn more(text: &mut String, count: u64) {
    if count > SHOWN as u64 {
        _ = writeln!(text, "  {:<26} {} more; --format json shows them", "", count - SHOWN as u64);
    }
}
