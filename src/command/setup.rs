//! What verbs have in common: files, runtime, store.

use std::path::Path;

use crate::command::Ending;
use crate::command::ending::wait_for_signal;
use tollgate_base::error::{Error, Result};
use tollgate_base::spending::Limits;
use tollgate_config::job::{Job, Outcome};
use tollgate_cost::{Ledger, PriceTable, Pricing, Till, endpoint_of_aws};
use tollgate_protocol::message::{self, Level};
use tollgate_protocol::sink::{Sink, Stdout};
use tollgate_runtime::clock::Clock;
use tollgate_s3::{Store, StoreOptions};

/// Prints lines. A closed stdout is nobody's news: the exit code says it.
pub(super) fn print(lines: &str) {
    if Stdout.write(lines.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

pub(super) fn log(level: Level, text: impl AsRef<str>) {
    print(&message::log(level, text.as_ref()));
}

pub(super) fn read_file(path: &Path, what: &'static str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::config(format!("the {what} file cannot be read: {error}"))
            .with("file", path.display())
            .hint("check the path and its permissions")
    })
}

/// Reads the configuration and says what was not understood: one line per parameter.
pub(super) fn job(path: &Path) -> Result<Job> {
    let mut job = tollgate_config::parse(&read_file(path, "configuration")?)?;
    job.connection.endpoint = job.connection.endpoint.or_else(endpoint_of_environment);
    for line in &job.provenance {
        let text = match line.outcome {
            Outcome::Unknown => format!("the configuration's '{}' is not known and has no effect", line.path),
            Outcome::Renamed => format!("the configuration's '{}' is {}", line.path, line.note),
            Outcome::Taken | Outcome::Defaulted | Outcome::Refused => continue,
        };
        log(Level::Warn, text);
    }
    Ok(job)
}

/// The server that the environment names, as the SDKs of all languages read it.
fn endpoint_of_environment() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let named = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")).filter(|_| !ignored);
    named.map(|url| url.trim().trim_end_matches('/').to_owned())
}

/// The bucket of a job, without limits: for verbs that ask for little, whatever the bucket holds.
pub(super) async fn store(job: &Job, ledger: &Ledger) -> Result<Store> {
    pricing(job)?;
    Store::connect(&job.connection, ledger.clone(), StoreOptions::default()).await
}

/// The till of a job with these limits, and its bucket behind the till's gate.
pub(super) async fn till_and_store(job: &Job, limits: Limits, options: StoreOptions) -> Result<(Till, Store)> {
    let till = Till::new(pricing(job)?, limits, job.connection.region.as_deref().unwrap_or_default());
    let options = StoreOptions { gate: till.gate(), ..options };
    let store = Store::connect(&job.connection, till.ledger().clone(), options).await?;
    till.set_region(&store.region());
    Ok((till, store))
}

/// The prices that hold: what the configuration names, or else AWS's for AWS, and nothing for other servers.
fn pricing(job: &Job) -> Result<Pricing> {
    let table = match job.spending.price_table.as_deref() {
        None if endpoint_of_aws(job.connection.endpoint.as_deref()) => Some(PriceTable::embedded()),
        None | Some("none") => None,
        Some("aws") => Some(PriceTable::embedded()),
        Some(json) if json.starts_with('{') => Some(PriceTable::given(json.as_bytes())?),
        Some(path) => Some(PriceTable::given(&read_file(Path::new(path), "price table")?)?),
    };
    Ok(Pricing::new(table, job.spending.clone()))
}

/// The bill: a sentence for a person, and a line that a program can read; also into a file.
pub(super) fn report_bill(till: &Till, region: &str, file: Option<&Path>) -> Result<()> {
    let (sentence, json) = till.report(region);
    log(Level::Info, sentence);
    log(Level::Info, format!("bill {json}"));
    let Some(path) = file else { return Ok(()) };
    std::fs::write(path, format!("{json:#}\n")).map_err(|error| {
        Error::config(format!("the bill cannot be written: {error}"))
            .with("file", path.display())
            .hint("check the path and its permissions")
    })
}

/// Runs a command that has nothing to drain: a signal ends it at once.
pub(super) fn block_on(command: impl Future<Output = Ending>) -> Ending {
    match runtime() {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                ending = command => ending,
                number = wait_for_signal() => Ending::Signal(number),
            }
        }),
        Err(error) => super::ending::failed(&error),
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the runtime cannot be started").caused_by(error))
}

/// The runtime's threads: as many as the environment says, or as there are processors. Tokio reads the same variable, and
/// panics where it is not a positive number.
fn worker_threads() -> usize {
    let configured = std::env::var("TOKIO_WORKER_THREADS").ok().and_then(|text| text.trim().parse().ok());
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    configured.filter(|threads| (1..=MOST_THREADS).contains(threads)).unwrap_or_else(processors)
}

/// More threads only cost memory, and the system refuses to start them at some number.
const MOST_THREADS: usize = 1024;

/// What the run asked of S3, by bill row.
pub(super) fn log_requests(ledger: &Ledger) {
    let totals = ledger.totals();
    let rows: Vec<String> = ledger
        .snapshot()
        .into_iter()
        .map(|(row, totals)| {
            format!(
                "{} {} {} ({} bytes)",
                row.request_usage_type(),
                row.operation.name(),
                totals.requests,
                totals.bytes_received
            )
        })
        .collect();
    log(
        Level::Info,
        format!(
            "S3 requests: {} ({} retries), {} bytes received; {}",
            totals.requests,
            totals.retries,
            totals.bytes_received,
            rows.join(", ")
        ),
    );
}

/// The clock of real runs.
pub(super) const CLOCK: Clock = Clock::System;
