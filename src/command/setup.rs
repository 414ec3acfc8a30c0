//! What verbs have in common: files, runtime, store.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ending::{Ending, failed, wait_for_signal};
use super::output::{print, tell};
use tollgate_base::error::{Error, Result};
use tollgate_base::spending::Limits;
use tollgate_config::job::Job;
use tollgate_cost::{CostTracker, Ledger, PriceTable, Pricing, endpoint_of_aws};
use tollgate_protocol::message::{self, Level};
use tollgate_runtime::clock::Clock;
use tollgate_s3::{Attempted, Observer, Store, StoreOptions};

/// Who reads what a verb tells besides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A platform: messages on stdout.
    Platform,
    /// A person: plain words on stderr. Stdout holds the answer alone.
    Person,
}

impl Audience {
    /// Tells a line. Debug lines are for `--debug` alone.
    pub(super) fn log(self, level: Level, text: impl AsRef<str>) {
        if level == Level::Debug && !DEBUG.load(Ordering::Relaxed) {
            return;
        }
        let text = text.as_ref();
        match (self, level) {
            (Self::Platform, _) => print(&message::log(level, text)),
            (Self::Person, Level::Debug) => tell(&format!("debug: {text}")),
            (Self::Person, Level::Info) => tell(text),
            (Self::Person, Level::Warn) => tell(&format!("warning: {text}")),
            (Self::Person, Level::Error) => tell(&format!("error: {text}")),
        }
    }
}

impl Audience {
    /// Who is told of each request, with `--debug`.
    fn observer(self) -> Option<Observer> {
        DEBUG.load(Ordering::Relaxed).then_some(match self {
            Self::Platform => |attempted| Self::Platform.log(Level::Debug, request_line(attempted)),
            Self::Person => |attempted| Self::Person.log(Level::Debug, request_line(attempted)),
        })
    }
}

fn request_line(attempted: &Attempted<'_>) -> String {
    let Attempted { method, url, range, answer, elapsed } = attempted;
    let range = range.map(|range| format!(" {range}")).unwrap_or_default();
    let answer = match answer {
        Ok(status) => status.to_string(),
        Err(reason) => reason.clone(),
    };
    format!("{method} {url}{range}: {answer} in {} ms", elapsed.as_millis())
}

static DEBUG: AtomicBool = AtomicBool::new(false);

/// `--debug`: from now on debug lines are written too.
pub(super) fn set_debug(debug: bool) {
    DEBUG.store(debug, Ordering::Relaxed);
}

pub(super) fn log(level: Level, text: impl AsRef<str>) {
    Audience::Platform.log(level, text);
}

pub(super) fn read_file(path: &Path, what: &'static str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::config(format!("the {what} file cannot be read: {error}"))
            .with("file", path.display())
            .hint("check the path and its permissions")
    })
}

/// The job of a configuration, for every verb that acts on one. Parameters without effect get a warning each.
pub(super) fn job(path: &Path, audience: Audience) -> Result<Job> {
    let mut job = tollgate_config::parse(&read_file(path, "configuration")?)?;
    job.connection.endpoint = job.connection.endpoint.or_else(endpoint_of_environment);
    for line in &job.provenance {
        match line.warning() {
            Some(warning) => audience.log(Level::Warn, warning),
            None => audience.log(Level::Debug, format!("configuration: {} is {}", line.path, line.note)),
        }
    }
    let endpoint = job.connection.endpoint.as_deref().unwrap_or("AWS");
    audience.log(Level::Debug, format!("bucket {}, endpoint {}", job.connection.bucket, without_secrets(endpoint)));
    Ok(job)
}

/// The server that the environment names, as the SDKs of all languages read it.
fn endpoint_of_environment() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let named = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")).filter(|_| !ignored);
    named.map(|url| url.trim().trim_end_matches('/').to_owned())
}

/// An endpoint without a user's name and password, and without what follows the path, which can be a signature. Such an
/// endpoint is refused later, but this is logged before.
fn without_secrets(endpoint: &str) -> &str {
    let end = endpoint.find(['?', '#']).unwrap_or(endpoint.len());
    let server = &endpoint[..end];
    server.rsplit_once('@').map_or(server, |(_, host)| host)
}

/// The bucket of a job, without limits: for verbs that ask for little, whatever the bucket holds. What the configuration
/// leaves to the keys is found out.
pub(super) async fn store(job: &mut Job, ledger: &Ledger, audience: Audience) -> Result<Store> {
    pricing(job)?;
    let observer = audience.observer();
    let store =
        Store::connect(&job.connection, ledger.clone(), StoreOptions { observer, ..StoreOptions::default() }).await?;
    infer_formats(job, &store, audience).await?;
    Ok(store)
}

async fn infer_formats(job: &mut Job, store: &Store, audience: Audience) -> Result<()> {
    for note in tollgate_read::infer_formats(job, store, CLOCK).await? {
        audience.log(Level::Info, note);
    }
    Ok(())
}

/// The cost tracker of a job with these limits, and its bucket, whose requests ask the tracker's gate.
pub(super) async fn cost_tracker_and_store(
    job: &mut Job,
    limits: Limits,
    options: StoreOptions,
    audience: Audience,
) -> Result<(CostTracker, Store)> {
    let cost_tracker = CostTracker::new(pricing(job)?, limits, job.connection.region.as_deref().unwrap_or_default());
    let options = StoreOptions { gate: cost_tracker.gate(), observer: audience.observer(), ..options };
    let store = Store::connect(&job.connection, cost_tracker.ledger().clone(), options).await?;
    cost_tracker.set_region(&store.region());
    infer_formats(job, &store, audience).await?;
    Ok((cost_tracker, store))
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
pub(super) fn report_bill(cost_tracker: &CostTracker, region: &str, file: Option<&Path>) -> Result<()> {
    let (sentence, json) = cost_tracker.report(region);
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
        Err(error) => failed(&error),
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(worker_threads())
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the async runtime cannot be started").caused_by(error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_logged_without_its_password_and_signature() {
        assert_eq!(without_secrets("https://s3.example.com:9000"), "https://s3.example.com:9000");
        assert_eq!(without_secrets("https://user:secret@s3.example.com"), "s3.example.com");
        assert_eq!(without_secrets("https://s3.example.com/?X-Amz-Signature=secret"), "https://s3.example.com/");
    }
}
