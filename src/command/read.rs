//! `read`

use std::path::Path;
use std::time::Duration;

use super::Ending;
use super::ending::{failed, wait_for_signal};
use super::setup::{self, Audience, CLOCK, log_requests, read_file};
use crate::cli::ReadFiles;
use tollgate_base::error::{Error, Result};
use tollgate_config::job::Job;
use tollgate_protocol::catalog::ConfiguredCatalog;
use tollgate_protocol::sink::Stdout;
use tollgate_protocol::state_file::StateFile;
use tollgate_read::{Failures, ReadOptions, Reader, Stop, StopReason};
use tollgate_s3::StoreOptions;

/// After a signal: the time to hand on what is decoded and to write the last STATE.
const DRAIN: Duration = Duration::from_secs(5);

/// After stdout was closed: the time for everything else.
const CLOSED_DRAIN: Duration = Duration::from_millis(300);

pub(super) fn run(files: &ReadFiles) -> Ending {
    let prepared = prepare(files).and_then(|prepared| Ok((prepared, setup::runtime()?)));
    let ((mut job, catalog, states), runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return failed(&error),
    };
    let options = ReadOptions { clock: CLOCK, state_bytes: files.state_bytes };
    let patience = StoreOptions { retry_timeout: Duration::from_secs(files.retry_seconds), ..StoreOptions::default() };
    let bill = files.bill.clone();
    let stop = Stop::default();
    watch_stdout(stop.clone());
    let run = async move {
        tokio::spawn(request_on_signal(stop.clone(), wait_for_signal()));
        tokio::select! {
            ending = read(&mut job, &catalog, &states, &stop, (options, patience), bill.as_deref()) => ending,
            ending = too_late(&stop) => ending,
        }
    };
    // On a thread of the runtime: this one would have to be woken for each file.
    let ending = runtime.block_on(runtime.spawn(run));
    let ending = ending.unwrap_or_else(|error| failed(&Error::internal("the run ended unexpectedly").caused_by(error)));
    // Tasks that wait for the network must not hold up the end.
    runtime.shutdown_background();
    ending
}

fn prepare(files: &ReadFiles) -> Result<(Job, ConfiguredCatalog, StateFile)> {
    let job = setup::job(&files.config, Audience::Platform)?;
    let catalog = ConfiguredCatalog::read(&read_file(&files.catalog, "catalog")?)?;
    let states = match &files.state {
        Some(path) => StateFile::read(&read_file(path, "state")?)?,
        None => StateFile::default(),
    };
    Ok((job, catalog, states))
}

async fn read(
    job: &mut Job,
    catalog: &ConfiguredCatalog,
    states: &StateFile,
    stop: &Stop,
    (options, patience): (ReadOptions, StoreOptions),
    bill: Option<&Path>,
) -> Ending {
    let limits = job.spending.limits;
    let (cost_tracker, store) = match setup::cost_tracker_and_store(job, limits, patience, Audience::Platform).await {
        Ok(opened) => opened,
        Err(error) => return failed(&error),
    };
    let reader = Reader::new(job, store.clone(), cost_tracker.clone(), options);
    let failures = reader.read(catalog, states, Box::new(Stdout), stop).await;
    if stop.reason() == Some(StopReason::OutputClosed) {
        return Ending::Failure;
    }
    log_requests(cost_tracker.ledger());
    let reported = setup::report_bill(&cost_tracker, &store.region(), bill);
    match (ending(failures, stop), reported) {
        (Ending::Success, Err(error)) => failed(&error),
        (ending, _) => ending,
    }
}

/// A signal is no error of the run: whoever sent it knows why. The last STATE was written.
fn ending(failures: Failures, stop: &Stop) -> Ending {
    if let Some(StopReason::Signal(number)) = stop.reason() {
        return Ending::Signal(number);
    }
    match failures.first {
        None => Ending::Success,
        Some(error) if failures.count > 1 => failed(&error.with("failures", failures.count)),
        Some(error) => failed(&error),
    }
}

async fn request_on_signal(stop: Stop, signal: impl Future<Output = i32>) {
    stop.request(StopReason::Signal(signal.await));
}

/// Ends a run that does not drain in time: a reader of stdout may be as stuck as a server.
async fn too_late(stop: &Stop) -> Ending {
    match stop.wait().await {
        StopReason::Signal(number) => {
            tokio::time::sleep(DRAIN).await;
            Ending::Signal(number)
        }
        StopReason::OutputClosed => {
            tokio::time::sleep(CLOSED_DRAIN).await;
            Ending::Failure
        }
    }
}

/// Notices a reader of stdout that went away even while nothing is written, as in a long listing.
fn watch_stdout(stop: Stop) {
    let watch = move || {
        use rustix::event::{PollFd, PollFlags, poll};
        let stdout = std::io::stdout();
        loop {
            // Asks for nothing: errors and hang-ups are always reported.
            let mut descriptors = [PollFd::new(&stdout, PollFlags::empty())];
            match poll(&mut descriptors, None) {
                Ok(_) if descriptors[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                    return stop.request(StopReason::OutputClosed);
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    };
    // Without the thread, a closed stdout is noticed at the next write.
    _ = std::thread::Builder::new().name("stdout-watch".to_owned()).spawn(watch);
}
