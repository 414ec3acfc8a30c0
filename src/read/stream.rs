//! A run over the streams of a catalog.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::dispatch::Files;
use super::emit::{self, Emitted, Event, Outgoing};
use super::file::{self, FileEnd, Shared};
use super::listing::Listing;
use super::report::Report;
use super::stop::Stop;
use super::{Budgets, DEFAULT_MEMORY_BYTES, DEFAULT_PARALLEL_FILES, stream_named};
use crate::clock::Clock;
use crate::config::job::{Job, Stream, ValidationPolicy};
use crate::cursor::{Cursor, FullRefresh, Incremental, StreamState};
use crate::error::{Error, ErrorKind, Result};
use crate::format::DecodeLimits;
use crate::protocol::catalog::{ConfiguredCatalog, ConfiguredStream, SyncMode};
use crate::protocol::message::Level;
use crate::protocol::sink::Sink;
use crate::protocol::state_file::StateFile;
use crate::record::{EncodeOptions, StreamEncoder, Validation, columns_wanted};
use crate::s3::Store;

/// Files in a row that may fail for a passing reason before the stream is given up: each was retried already.
const TRANSIENT_FAILURES_IN_A_ROW: usize = 3;

/// Files that may fail in a stream before it is given up.
const FAILED_FILES: usize = 100;

/// Failures of files that get a line of their own in the log.
const LOGGED_FAILURES: usize = 20;

/// Fewer files than this at hand: a large one may have the connections to itself.
const ENOUGH_READY_FILES: usize = 4;

/// Choices of a run that are not the configuration's.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions {
    /// The clock.
    pub clock: Clock,
    /// A STATE at least every so many bytes of records.
    pub state_bytes: u64,
}

/// Reads streams.
pub struct Reader<'a> {
    job: &'a Job,
    store: Store,
    options: ReadOptions,
}

/// What went wrong in a run. Empty: everything was read.
#[derive(Debug, Default)]
pub struct Failures {
    /// The first failure: the one that the platform is told.
    pub first: Option<Error>,
    /// The number of streams and files that failed.
    pub count: usize,
}

impl Failures {
    fn add(&mut self, error: Error) {
        self.first.get_or_insert(error);
        self.count += 1;
    }
}

impl<'a> Reader<'a> {
    /// A reader for a job.
    #[must_use]
    pub fn new(job: &'a Job, store: Store, options: ReadOptions) -> Self {
        Self { job, store, options }
    }

    /// Reads the streams of the catalog one after the other, files of a stream side by side, and writes everything to
    /// the sink. Comes back when all is written, or when the run was asked to stop and has drained.
    pub async fn read(
        &self,
        catalog: &ConfiguredCatalog,
        states: &StateFile,
        sink: Box<dyn Sink>,
        stop: &Stop,
    ) -> Failures {
        let (outgoing, emitter) = emit::start(sink, self.options, stop.clone());
        let ticker = tokio::spawn(tick(outgoing.clone()));
        let budgets = Budgets::new(self.job.memory_bytes.unwrap_or(DEFAULT_MEMORY_BYTES));
        let mut failures = Failures::default();
        for configured in &catalog.streams {
            if stop.requested() {
                break;
            }
            let run = StreamRun { reader: self, outgoing: &outgoing, budgets: &budgets, stop, failures: &mut failures };
            run.read(configured, states).await;
        }
        ticker.abort();
        _ = ticker.await;
        drop(outgoing);
        // The emitter ends when it has written what was sent; it may be waiting for a slow reader until then.
        _ = tokio::task::spawn_blocking(move || emitter.join()).await;
        failures
    }
}

/// Wakes the emitter once a second, so that a STATE is written although nothing else happens.
async fn tick(outgoing: Outgoing) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        outgoing.send(Event::Tick).await;
    }
}

/// The reading of one stream.
struct StreamRun<'a> {
    reader: &'a Reader<'a>,
    outgoing: &'a Outgoing,
    budgets: &'a Budgets,
    stop: &'a Stop,
    failures: &'a mut Failures,
}

impl StreamRun<'_> {
    async fn read(mut self, configured: &ConfiguredStream, states: &StateFile) {
        let prepared = stream_named(&self.reader.job.streams, &configured.name)
            .and_then(|stream| Ok((stream, cursor(configured, states)?, self.shared(stream, configured)?)));
        let (stream, cursor, shared) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.fail(error.with("stream", &configured.name)).await,
        };
        let configured = Arc::new(configured.clone());
        self.outgoing.log(Level::Info, format!("Syncing stream: {}", stream.name)).await;
        let opened = Event::Open { stream: Arc::clone(&configured), cursor: Box::new(cursor.clone()) };
        self.outgoing.send(opened).await;
        let failed_before = self.failures.count;
        if let Err(error) = self.read_files(stream, configured.sync_mode, cursor, &shared).await {
            self.fail(error.with("stream", &stream.name)).await;
        }
        let complete = self.failures.count == failed_before && !self.stop.requested();
        shared.report.log(self.outgoing, &stream.name).await;
        self.close(&stream.name, complete).await;
    }

    fn shared(&self, stream: &Stream, configured: &ConfiguredStream) -> Result<Arc<Shared>> {
        Ok(Arc::new(Shared {
            store: self.reader.store.clone(),
            clock: self.reader.options.clock,
            stop: self.stop.clone(),
            budgets: self.budgets.clone(),
            outgoing: self.outgoing.clone(),
            projection: if stream.schemaless { Default::default() } else { columns_wanted(&configured.columns) },
            encoder: StreamEncoder::new(
                &configured.name,
                configured.namespace.as_deref(),
                &configured.columns,
                encode_options(stream),
            ),
            limits: DecodeLimits {
                batch_rows: stream.batch_rows.unwrap_or(DecodeLimits::default().batch_rows),
                caps: self.reader.job.caps,
                ..Default::default()
            },
            stream: stream.clone(),
            report: Report::default(),
        }))
    }

    async fn read_files(
        &mut self,
        stream: &Stream,
        mode: SyncMode,
        cursor: Cursor,
        shared: &Arc<Shared>,
    ) -> Result<()> {
        let listing = Listing::new(&shared.store, stream, cursor.list_after());
        let files = match mode {
            SyncMode::FullRefresh => Some(Files::streaming(listing, cursor)),
            SyncMode::Incremental => Files::ordered(listing, cursor, self.stop).await?,
        };
        let Some(mut files) = files else { return Ok(()) };
        let listed = self.read_each(&mut files, shared).await;
        if listed.is_ok() && !self.stop.requested() {
            let vanished = files.forget_vanished(self.outgoing).await;
            shared.report.add_vanished(vanished);
        }
        shared.report.add_listing(files.counts(), files.decisions.clone());
        listed
    }

    /// Reads files side by side until none is left. A failed file does not stop the others.
    async fn read_each(&mut self, files: &mut Files, shared: &Arc<Shared>) -> Result<()> {
        let parallel = self.reader.job.parallel_files.unwrap_or(DEFAULT_PARALLEL_FILES).max(1);
        let mut tasks = JoinSet::new();
        let mut health = Health::default();
        let mut more = true;
        while more || !tasks.is_empty() {
            while more && tasks.len() < parallel && !self.stop.requested() && !health.given_up() {
                let Some(next) = self.stop.unless(files.next()).await else { break };
                let Some((object, from)) = (match next {
                    Ok(next) => next,
                    // The files in flight are finished first.
                    Err(error) => {
                        health.listing_failed = Some(error);
                        break;
                    }
                }) else {
                    more = false;
                    break;
                };
                self.outgoing.send(Event::Begin { object: object.clone(), from: from.clone() }).await;
                let alone = files.ready() + tasks.len() < ENOUGH_READY_FILES;
                tasks.spawn(file::read(Arc::clone(shared), object, from, alone));
            }
            let Some(ended) = tasks.join_next().await else { break };
            self.ended(ended, &mut health).await;
        }
        health.verdict(more)
    }

    async fn ended(&mut self, ended: Result<Result<FileEnd>, tokio::task::JoinError>, health: &mut Health) {
        let ended = ended
            .unwrap_or_else(|error| Err(Error::internal("the reading of a file ended unexpectedly").caused_by(error)));
        match ended {
            Ok(_) => health.transient_in_a_row = 0,
            Err(error) => {
                let transient = error.kind() == ErrorKind::Transient;
                health.transient_in_a_row = if transient { health.transient_in_a_row + 1 } else { 0 };
                health.failed += 1;
                if health.failed <= LOGGED_FAILURES {
                    self.fail(error).await;
                } else {
                    self.failures.add(error);
                }
            }
        }
    }

    async fn fail(&mut self, error: Error) {
        self.outgoing.log(Level::Error, crate::protocol::message::chain(&error)).await;
        self.failures.add(error);
    }

    async fn close(&self, name: &str, complete: bool) {
        let (done, emitted) = tokio::sync::oneshot::channel();
        self.outgoing.send(Event::Close { complete, done }).await;
        let Emitted { records, bytes, .. } = emitted.await.unwrap_or_default();
        self.outgoing.log(Level::Info, format!("Read {records} records from {name} stream ({bytes} bytes)")).await;
    }
}

/// How the files of a stream fare.
#[derive(Debug, Default)]
struct Health {
    failed: usize,
    transient_in_a_row: usize,
    listing_failed: Option<Error>,
}

impl Health {
    fn given_up(&self) -> bool {
        self.listing_failed.is_some()
            || self.failed >= FAILED_FILES
            || self.transient_in_a_row >= TRANSIENT_FAILURES_IN_A_ROW
    }

    /// The stream's own failure, besides those of its files.
    fn verdict(self, more: bool) -> Result<()> {
        let given_up = self.given_up();
        if let Some(error) = self.listing_failed {
            return Err(error);
        }
        if more && given_up {
            let kind = if self.failed >= FAILED_FILES { ErrorKind::Data } else { ErrorKind::Transient };
            return Err(Error::new(kind, format!("the stream was given up after {} failed files", self.failed))
                .hint("the first failures are in the log"));
        }
        Ok(())
    }
}

fn encode_options(stream: &Stream) -> EncodeOptions {
    let validation = match stream.validation_policy {
        ValidationPolicy::EmitRecord => Validation::Emit,
        ValidationPolicy::SkipRecord => Validation::Skip,
        ValidationPolicy::WaitForDiscover => Validation::Stop,
    };
    EncodeOptions::new(&stream.format, stream.schemaless, validation)
}

fn cursor(configured: &ConfiguredStream, states: &StateFile) -> Result<Cursor> {
    let state = states.stream(&configured.name).map_or_else(|| Ok(StreamState::default()), StreamState::read)?;
    Ok(match configured.sync_mode {
        SyncMode::Incremental => Cursor::Incremental(Incremental::new(state, configured.generation)),
        SyncMode::FullRefresh => Cursor::FullRefresh(FullRefresh::new(state, configured.generation)),
    })
}
