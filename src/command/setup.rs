//! What verbs have in common: files, runtime, store.

use std::path::Path;

use crate::clock::Clock;
use crate::command::Ending;
use crate::command::ending::wait_for_signal;
use crate::config;
use crate::config::job::{Job, Outcome};
use crate::cost::Ledger;
use crate::error::{Error, Result};
use crate::protocol::message::{self, Level};
use crate::protocol::sink::{Sink, Stdout};
use crate::s3::{Store, StoreOptions};

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
    let job = config::parse(&read_file(path, "configuration")?)?;
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

pub(super) async fn store(job: &Job, ledger: &Ledger) -> Result<Store> {
    Store::connect(&job.connection, ledger.clone(), StoreOptions::default()).await
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
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the runtime cannot be started").caused_by(error))
}

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
