//! A run over the streams of a catalog.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::deliver::bad_rows::Tolerance;
use crate::deliver::context::{FileEnd, ReadGrant, StreamContext};
use crate::deliver::current_version;
use crate::deliver::dead_letters::DeadLetterStore;
use crate::deliver::emit::{self, Emitted, Event, Outgoing};
use crate::deliver::progress::{Progress, Pulse};
use crate::deliver::report::{Report, failure_line};
use crate::deliver::transfer::Transfer;
use crate::files::budgets::Budgets;
use crate::files::stop::Stop;
use crate::options::DEFAULT_MEMORY_BYTES;
use crate::reader::{Reader, gets_since};
use crate::select::approach::Approach;
use crate::select::columns::unlisted;
use crate::select::list_files::{cursor, list, list_with, stream_named};
use crate::select::listing::REQUESTS_AHEAD;
use crate::select::queue::FileQueue;
use crate::select::row_selection::{self, RowSelection};
use crate::skipped::SkipReason;
use crate::verbs::plan;
use crate::verbs::preflight;
use tollgate_base::batch::Position;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::{ObjectFacts, Timestamp};
use tollgate_base::spending::{GB, OnArchived, OnLimit};
use tollgate_config::job::{BadRowAction, Stream, ValidationPolicy};
use tollgate_cost::{AT_LEAST, LimitsExceeded, Usage, usage_of};
use tollgate_cursor::Cursor;
use tollgate_format::DecodeLimits;
use tollgate_plan::estimate::{FilePlan, StreamPlan, TAIL_BYTES};
use tollgate_plan::ranges;
use tollgate_plan::walk::WalkOptions;
use tollgate_protocol::catalog::{ConfiguredCatalog, ConfiguredStream, SyncMode};
use tollgate_protocol::message::Level;
use tollgate_protocol::sink::{Sink, StatusLine};
use tollgate_protocol::state_file::StateFile;
use tollgate_record::{EncodeOptions, StreamEncoder, Validation};

/// Files in a row that may fail for a passing reason before the stream is given up: each was retried already.
const TRANSIENT_FAILURES_IN_A_ROW: usize = 3;

/// Files that may fail in a stream before it is given up.
const FAILED_FILES: usize = 100;

/// Failures of files that get a line of their own in the log.
const LOGGED_FAILURES: usize = 20;

/// A part of a file that is smaller than this is not worth a request of its own at the end of a limit.
const LEAST_PART_BYTES: u64 = 64 << 10;

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
        let progress = Arc::new(Progress::new(self.options.clock));
        let pulse = Pulse {
            progress: Arc::clone(&progress),
            cost_tracker: self.cost_tracker.clone(),
            store: self.store.clone(),
        };
        let ticker = tokio::spawn(tick(outgoing.clone(), pulse));
        let budgets = Budgets::new(DEFAULT_MEMORY_BYTES);
        let mut failures = Failures::default();
        match preflight::run(self, catalog, states, stop).await {
            Err(error) => fail(&outgoing, &mut failures, error).await,
            Ok(mut listed) => {
                let mut lasting = false;
                for configured in catalog.streams.iter().take_while(|_| !stop.requested()) {
                    let run = StreamRun {
                        reader: self,
                        outgoing: &outgoing,
                        progress: &progress,
                        budgets: &budgets,
                        stop,
                        failures: &mut failures,
                        listed: listed.remove(&configured.name),
                        limited: false,
                        lasting: &mut lasting,
                    };
                    Box::pin(run.read(configured, states)).await;
                }
            }
        }
        ticker.abort();
        _ = ticker.await;
        drop(outgoing);
        // The emitter ends when it has written what was sent; it may be waiting for a slow reader until then.
        _ = tokio::task::spawn_blocking(move || emitter.join()).await;
        failures
    }
}

/// Wakes the emitter once a second, so that a STATE is written although nothing else happens, and tells how far the run
/// is.
async fn tick(outgoing: Outgoing, pulse: Pulse) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let mut terminal = StatusLine::on_terminal();
    loop {
        interval.tick().await;
        if let (Some(terminal), Some(status)) = (&mut terminal, pulse.status()) {
            terminal.show(&status);
        }
        outgoing.send(Event::Tick).await;
        for line in pulse.lines() {
            outgoing.send(Event::Line(line)).await;
        }
    }
}

/// Says an error and counts it.
async fn fail(outgoing: &Outgoing, failures: &mut Failures, error: Error) {
    outgoing.log(Level::Error, failure_line(&error)).await;
    failures.add(error);
}

/// The reading of one stream.
struct StreamRun<'a> {
    reader: &'a Reader<'a>,
    outgoing: &'a Outgoing,
    progress: &'a Arc<Progress>,
    budgets: &'a Budgets,
    stop: &'a Stop,
    failures: &'a mut Failures,
    /// The files, where they were listed before the run.
    listed: Option<(FileQueue, StreamPlan)>,
    /// Whether a limit ended the stream, as its policy allows.
    limited: bool,
    /// Whether a stream of this run got further in a way that the next run keeps. A full refresh that is complete does
    /// not count: the next run begins it again, and spends the same on it.
    lasting: &'a mut bool,
}

impl StreamRun<'_> {
    async fn read(mut self, configured: &ConfiguredStream, states: &StateFile) {
        let prepared = stream_named(&self.reader.job.streams, &configured.name).and_then(|stream| {
            let cursor = cursor(self.reader.job, configured, stream, states)?;
            let context = self.context(stream, configured, &cursor)?;
            Ok((stream, cursor, context))
        });
        let (stream, cursor, context) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.fail(error.with("stream", &configured.name)).await,
        };
        let configured = Arc::new(configured.clone());
        self.outgoing.log(Level::Info, format!("Syncing stream: {}", stream.name)).await;
        if let Some(line) = row_selection::idle_cursor_field(&configured, stream) {
            self.outgoing.log(Level::Info, line).await;
        }
        let opened = Event::Open { stream: Arc::clone(&configured), cursor: Box::new(cursor.clone()) };
        self.outgoing.send(opened).await;
        self.progress.begin(&configured, &self.reader.cost_tracker);
        let failed_before = self.failures.count;
        self.say_beginning(stream, &cursor).await;
        if !matches!(&cursor, Cursor::FullRefresh(cursor) if cursor.finished())
            && let Err(error) = Box::pin(self.read_files(stream, cursor, &context)).await
        {
            self.fail(error.with("stream", &stream.name)).await;
        }
        if context.tolerance.verdict().is_err() {
            self.outgoing.send(Event::StartOver).await;
        }
        // In part, a full refresh must not take the place of what the destination has.
        let partial = self.limited && configured.sync_mode == SyncMode::FullRefresh;
        let complete = self.failures.count == failed_before && !self.stop.requested() && !partial;
        let begins_again = complete && configured.sync_mode == SyncMode::FullRefresh;
        *self.lasting |= self.progress.advanced() && !begins_again;
        context.report.log(self.outgoing, stream).await;
        let whole = !self.limited && stream.development.max_files.is_none() && stream.development.sampling.is_none();
        self.close(&stream.name, complete, whole).await;
    }

    /// Says where a full refresh begins, where that is not at its start or was not expected to be.
    async fn say_beginning(&self, stream: &Stream, cursor: &Cursor) {
        let Cursor::FullRefresh(cursor) = cursor else { return };
        let (level, text) = if cursor.finished() {
            (
                Level::Info,
                "an earlier attempt of this sync (`sync_id`) read the whole stream, so nothing is left to \
                           read",
            )
        } else if cursor.started_over() {
            (
                Level::Warn,
                "the full refresh starts over, because its selection or its options changed after the last run was \
                 interrupted, or the state does not record them",
            )
        } else {
            return;
        };
        self.outgoing.log(level, format!("stream {}: {text}", stream.name)).await;
    }

    fn context(&self, stream: &Stream, configured: &ConfiguredStream, cursor: &Cursor) -> Result<Arc<StreamContext>> {
        let columns = row_selection::columns(stream, &configured.columns);
        let wanted = RowSelection::new(stream, &configured.columns, &columns, cursor)?;
        Ok(Arc::new(StreamContext {
            store: self.reader.store.clone(),
            clock: self.reader.options.clock,
            stop: self.stop.clone(),
            budgets: self.budgets.clone(),
            outgoing: self.outgoing.clone(),
            projection: wanted.projection,
            predicates: wanted.predicates,
            row_filter: wanted.row_filter,
            encoder: StreamEncoder::new(
                &configured.name,
                configured.namespace.as_deref(),
                &columns,
                encode_options(stream),
            ),
            tolerance: Tolerance::new(&stream.bad_rows),
            dead_letters: DeadLetterStore::of(&stream.bad_rows.action, &self.reader.store),
            limits: DecodeLimits {
                on_bad_row: stream.bad_rows.on_bad_row(),
                batch_rows: stream.batch_rows.unwrap_or(DecodeLimits::default().batch_rows),
                caps: self.reader.job.caps,
                array_rows: stream.schemaless,
                keep_source: matches!(stream.bad_rows.action, BadRowAction::DeadLetter(_)),
                ..Default::default()
            },
            stream: stream.clone(),
            report: Report::default(),
            progress: Arc::clone(self.progress),
            transfer: Transfer::of(self.reader.job, stream, configured),
            keys: OnceLock::new(),
            cost_tracker: self.reader.cost_tracker.clone(),
            unplanned_cost: OnceLock::new(),
            cursor: OnceLock::new(),
        }))
    }

    async fn read_files(&mut self, stream: &Stream, cursor: Cursor, context: &Arc<StreamContext>) -> Result<()> {
        if let Some(transfer) = context.transfer.as_ref().filter(|transfer| transfer.flat()) {
            let now = self.reader.options.clock.now();
            if let Some(files) = list(&context.store, stream, cursor.clone(), now, true, self.stop).await? {
                transfer.check_names(files).await?;
            }
        }
        let (files, plan) = match self.listed.take() {
            Some((files, plan)) => (Some(files), Some(plan)),
            None => {
                let (now, cost_tracker) = (self.reader.options.clock.now(), &self.reader.cost_tracker);
                let before = usage_of(cost_tracker.ledger());
                let files = match Box::pin(self.list(stream, cursor, now, context)).await {
                    Err(error) if error.kind() == ErrorKind::Limit => {
                        let error = error.hint(
                            "the stream is read only after it was listed completely: `tollgate estimate` shows how \
                             many requests the listing needs",
                        );
                        self.at_limit(LimitReached::at(error), None, stream).await;
                        return Ok(());
                    }
                    files => files?,
                };
                // What an inventory took is known by now and no guess.
                cost_tracker.expect(gets_since(cost_tracker, &before).iter());
                (files, None)
            }
        };
        let Some(mut files) = files else { return Ok(()) };
        _ = context.keys.set(files.keys().clone());
        _ = context.cursor.set(files.cursor());
        if let Some(inventory_listing) = &files.partitions().inventory_listing {
            let level = if inventory_listing.condition.is_some() { Level::Info } else { Level::Warn };
            self.outgoing.log(level, format!("stream {}: {}", stream.name, inventory_listing.note)).await;
        }
        if files.held() {
            let text = format!(
                "stream {}: the server does not list keys in order, so the whole listing is sorted before the first \
                 file is read",
                stream.name
            );
            self.outgoing.log(Level::Warn, text).await;
        }
        if let Some(most) = stream.development.max_files {
            let text = format!("stream {}: at most {most} files are read (`dev_max_files`)", stream.name);
            self.outgoing.log(Level::Warn, text).await;
        }
        self.outgoing.send(Event::Listed { cursor: Box::new(Cursor::clone(&files.cursor())) }).await;
        self.carry_bad_rows(&files, context).await;
        let plan = plan.or_else(|| plan::of_files(&files, stream, self.reader.parallel_files()));
        self.announce(plan.as_ref(), context).await;
        let (listed, limit) = self.read_each(&mut files, plan.is_some(), context).await;
        if listed.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutOfOrder) {
            self.outgoing.send(Event::Listed { cursor: Box::new(Cursor::clone(&files.cursor())) }).await;
        }
        if let Some(limit) = limit {
            self.at_limit(limit, Some(&files), stream).await;
        }
        if listed.is_ok() && !self.stop.requested() {
            let vanished = files.vanished();
            context.report.add_skipped(SkipReason::Vanished, vanished.len() as u64);
            for key in vanished {
                self.outgoing.send(Event::Forget { key }).await;
            }
            if let Some(filter) = files.unmatched_filter() {
                let text = format!("stream {}: `partition_filter` matches no file: {filter}", stream.name);
                self.outgoing.log(Level::Warn, text).await;
            }
        }
        context.report.add_listing(&files);
        let archived = context.report.archived();
        if stream.on_archived == OnArchived::Fail && archived > 0 && listed.is_ok() {
            // Full refresh knows only up to which key it has read.
            self.outgoing.send(Event::StartOver).await;
            let message = format!("{archived} objects of the stream are archived and cannot be read");
            let error = Error::new(ErrorKind::Archived, message).with("stream", &stream.name);
            self.fail(error.hint("restore them, or set `on_archived` to 'skip'")).await;
        }
        listed
    }

    /// Counts the bad rows of earlier runs that did not end well.
    async fn carry_bad_rows(&self, files: &FileQueue, context: &StreamContext) {
        let (good, bad) = files.cursor().rows_counted();
        context.tolerance.carry(good, bad);
        if bad > 0 {
            let text = format!(
                "stream {}: {bad} bad rows that earlier, failed runs skipped are counted too",
                context.stream.name
            );
            self.outgoing.log(Level::Warn, text).await;
        }
    }

    /// Says how much is to come, where that is known before the first file.
    async fn announce(&self, plan: Option<&StreamPlan>, context: &StreamContext) {
        let cost_tracker = &self.reader.cost_tracker;
        // What footers tell is expected file by file, as they are read.
        if plan.is_none_or(StreamPlan::needs_a_look) {
            _ = context.unplanned_cost.set(());
        }
        // Read while it is listed: each file is expected when it is begun.
        let Some(plan) = plan else { return };
        if !plan.needs_a_look() {
            cost_tracker.expect(&plan.estimated().expected);
        }
        self.progress.expect(plan.files, plan.stored_bytes, plan.rows());
        if let Some(estimate) = self.progress.estimate(cost_tracker).filter(|_| plan.files > 0) {
            self.outgoing.send(Event::Line(estimate)).await;
        }
    }

    /// A file that no plan has is begun. Those that are read by ranges tell it themselves, when they know their footer.
    fn expect(&self, FilePlan { row, requests, bytes, exact }: FilePlan, context: &StreamContext) {
        if exact || context.unplanned_cost.get().is_none() {
            self.reader.cost_tracker.expect([&Usage { row, requests, bytes }]);
        }
    }

    /// Lists the files. Where a limit counts the requests of the listing, a full refresh asks for a page when the files of the
    /// one before are begun, so that no request is spent on pages that come too late.
    async fn list(
        &self,
        stream: &Stream,
        cursor: Cursor,
        now: Timestamp,
        context: &StreamContext,
    ) -> Result<Option<FileQueue>> {
        let limits = &self.reader.job.spending.limits;
        let limited = limits.requests.is_some() || limits.cost.is_some();
        let in_pages = limited && matches!(cursor, Cursor::FullRefresh(_));
        let options = WalkOptions { divides: !in_pages, ..WalkOptions::default() };
        let ahead = if in_pages { 0 } else { REQUESTS_AHEAD };
        list_with((options, ahead), &context.store, stream, cursor, now, false, self.stop).await
    }

    /// Reads files side by side until none is left, or a limit is reached, which is the second answer. A failed file does
    /// not stop the others.
    async fn read_each(
        &mut self,
        files: &mut FileQueue,
        planned: bool,
        context: &Arc<StreamContext>,
    ) -> (Result<()>, Option<LimitReached>) {
        let parallel = self.reader.parallel_files();
        let mut tasks = JoinSet::new();
        let mut health = Health::default();
        let mut approach = Approach::new(&context.stream, files.keys());
        let mut more = true;
        while more || !tasks.is_empty() {
            while more
                && tasks.len() < parallel
                && !self.stop.requested()
                && !health.given_up()
                && !context.tolerance.exceeded()
            {
                let Some(next) = self.stop.unless(files.next()).await else { break };
                let Some((object, from)) = (match next {
                    Ok(next) => next,
                    // The files in flight are finished first.
                    Err(error) if error.kind() == ErrorKind::Limit => {
                        health.limit.get_or_insert(LimitReached::at(error));
                        break;
                    }
                    Err(error) => {
                        health.listing_failed = Some(error);
                        break;
                    }
                }) else {
                    more = false;
                    context.progress.all_begun();
                    break;
                };
                if tasks.is_empty() {
                    // The first answer may have corrected it.
                    self.reader.cost_tracker.set_region(&self.reader.store.region());
                }
                let may_split = ranges::may_split(files.ready(), tasks.len());
                // Of a sample for development: what lies behind it is left for a run without.
                let sample = approach.sample_ends(&object, &from);
                if sample.is_some_and(|(from, until)| from >= until) {
                    continue;
                }
                let plan = approach.file(&object, &from, may_split);
                let assigned =
                    self.assign((&object, &from, plan), &mut approach, may_split, &mut tasks, &mut health).await;
                match assigned {
                    Assigned::Nothing => break,
                    Assigned::Refused(error) => {
                        self.outgoing.send(Event::Begin { object, from }).await;
                        self.fail(error).await;
                    }
                    Assigned::Read(mut grant) => {
                        if let Some((_, end)) = sample {
                            grant.until = Some(grant.until.map_or(end, |until| until.min(end)));
                        }
                        if !planned && !approach.leaves_out(&object) {
                            self.expect(plan, context);
                        }
                        context.progress.begun(object.size);
                        self.outgoing.send(Event::Begin { object: object.clone(), from: from.clone() }).await;
                        let context = Arc::clone(context);
                        tasks.spawn(current_version::read_current_version(
                            context,
                            object,
                            from,
                            files.cursor(),
                            grant,
                        ));
                    }
                }
            }
            let Some(ended) = tasks.join_next().await else { break };
            self.ended(ended, &mut health).await;
        }
        let limit = health.limit.take();
        let stopped = self.stop.requested() && !context.tolerance.exceeded();
        let verdict = if limit.is_some() { Ok(()) } else { health.verdict(more) };
        (verdict.and_then(|()| if stopped { Ok(()) } else { context.tolerance.verdict() }), limit)
    }

    /// Sets aside what a file is planned to cost. Where that does not fit beside the files in flight, they are waited for:
    /// what they do not use may be enough.
    async fn assign(
        &mut self,
        (object, from, plan): (&ObjectFacts, &Position, FilePlan),
        approach: &mut Approach<'_>,
        may_split: bool,
        tasks: &mut JoinSet<Result<FileEnd>>,
        health: &mut Health,
    ) -> Assigned {
        let cost_tracker = &self.reader.cost_tracker;
        let shortages = loop {
            let wait = health.open_ended && !tasks.is_empty();
            let shortages = match wait {
                true => None,
                false => match cost_tracker.reserve(plan.row, plan.requests, plan.bytes) {
                    Ok(reservation) => {
                        return Assigned::Read(ReadGrant { may_split, until: None, reservation });
                    }
                    Err(shortages) => Some(shortages),
                },
            };
            let Some(ended) = tasks.join_next().await else {
                health.open_ended = false;
                match shortages {
                    Some(shortages) => break shortages,
                    None => continue,
                }
            };
            self.ended(ended, health).await;
            if health.given_up() || self.stop.requested() {
                if let Some(limit) = &mut health.limit {
                    (limit.files_left, limit.bytes_left) = (limit.files_left + 1, limit.bytes_left + object.size);
                }
                return Assigned::Nothing;
            }
        };
        let Some(allowance) = cost_tracker.allowance() else { return Assigned::Nothing };
        let mut reached = shortages;
        if !plan.exact {
            // How much it takes only its footer tells. It gets all that is left, and no other file beside it.
            // A footer without a request for rows would be paid for in vain.
            let first = object.size.min(TAIL_BYTES);
            match allowance.too_dear_now(plan.row, 2, first) {
                None => {
                    if let Ok(reservation) = cost_tracker.reserve(plan.row, 2, first) {
                        health.open_ended = true;
                        return Assigned::Read(ReadGrant { may_split, until: None, reservation });
                    }
                }
                Some(shortages) => reached = shortages,
            }
        } else if let Some(first) = approach.divisible(object, from) {
            let affordable = allowance.affordable_bytes(plan.row, plan.bytes);
            let least = LEAST_PART_BYTES.min(plan.bytes);
            let reservation =
                (affordable >= least).then(|| cost_tracker.reserve(plan.row, 1, affordable).ok()).flatten();
            if let Some(reservation) = reservation {
                health.reach(&reached, object.size.saturating_sub(first + affordable));
                return Assigned::Read(ReadGrant { may_split: false, until: Some(first + affordable), reservation });
            }
            reached = allowance.too_dear_now(plan.row, 1, least).unwrap_or(reached);
        } else if let Some(shortages) = allowance.too_dear_alone(plan.row, plan.requests, plan.bytes) {
            let hint = format!(
                "this file alone exceeds the limit and cannot be read in part: raise {}",
                shortages.parameters()
            );
            return Assigned::Refused(shortages.error().with("key", &object.key).hint(hint));
        }
        health.reach(&reached, object.size);
        Assigned::Nothing
    }

    /// A limit ended the stream: by its policy that is a failure, or as it should be.
    async fn at_limit(&mut self, limit: LimitReached, files: Option<&FileQueue>, stream: &Stream) {
        let rest = files.and_then(FileQueue::remaining);
        let rest = rest.map(|rest| rest.fold((0, 0), |sum, (object, _)| (sum.0 + 1, sum.1 + object.size)));
        // What is not listed yet is not counted.
        let at_least = if rest.is_none() { "at least " } else { "" };
        let (files_left, bytes_left) = rest.unwrap_or_default();
        let spent = self.reader.cost_tracker.spent(&self.reader.store.region());
        let error = limit
            .error
            .with("stream", &stream.name)
            .with("spent", spent)
            .with("remaining_files", format!("{at_least}{}", files_left + limit.files_left))
            .with("remaining_gb", format!("{at_least}{:.3}", (bytes_left + limit.bytes_left) as f64 / GB as f64));
        match self.reader.job.spending.on_limit {
            OnLimit::Fail => {
                self.fail(error.hint("the next run continues from here; raise the limit to read more")).await
            }
            OnLimit::Partial if !self.progress.advanced() && !*self.lasting => {
                self.limited = true;
                let raise = error.get(AT_LEAST).unwrap_or("the limit").to_owned();
                let hint = format!(
                    "nothing was read, and the next run would not make progress either: raise at least \
                                    {raise}"
                );
                self.fail(error.hint(hint)).await;
            }
            OnLimit::Partial => {
                self.limited = true;
                let error = error.hint("this run ends here, and the next one continues");
                self.outgoing.log(Level::Warn, error.to_string()).await;
            }
        }
    }

    async fn ended(&mut self, ended: Result<Result<FileEnd>, tokio::task::JoinError>, health: &mut Health) {
        let ended =
            ended.unwrap_or_else(|error| Err(Error::internal("reading a file ended unexpectedly").caused_by(error)));
        match ended {
            Ok(_) => health.transient_in_a_row = 0,
            // Not the file's fault: it goes on in the next run.
            Err(error) if error.kind() == ErrorKind::Limit => {
                let reached = health.limit.get_or_insert(LimitReached::at(error));
                reached.files_left += 1;
            }
            Err(error) => {
                let transient = error.kind() == ErrorKind::Transient;
                health.transient_in_a_row = if transient { health.transient_in_a_row + 1 } else { 0 };
                health.failed += 1;
                let error = error.about_file();
                if health.failed <= LOGGED_FAILURES {
                    self.fail(error).await;
                } else {
                    self.failures.add(error);
                }
            }
        }
    }

    async fn fail(&mut self, error: Error) {
        fail(self.outgoing, self.failures, error).await;
    }

    async fn close(&self, name: &str, complete: bool, whole: bool) {
        let (done, emitted) = tokio::sync::oneshot::channel();
        self.outgoing.send(Event::Close { complete, whole, done }).await;
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
    limit: Option<LimitReached>,
    /// Whether the file in flight may take all that is left of a limit.
    open_ended: bool,
}

/// A limit that ends a stream, and what of the files that were handed out it leaves.
#[derive(Debug)]
struct LimitReached {
    error: Error,
    files_left: u64,
    bytes_left: u64,
}

impl LimitReached {
    fn at(error: Error) -> Self {
        Self { error, files_left: 0, bytes_left: 0 }
    }
}

/// What becomes of the next file.
enum Assigned {
    /// It is read.
    Read(ReadGrant),
    /// No limit will ever allow it.
    Refused(Error),
    /// It is left for the next run.
    Nothing,
}

impl Health {
    /// The limit does not allow this file, or its rest.
    fn reach(&mut self, shortages: &LimitsExceeded, bytes_left: u64) {
        let reached = self.limit.get_or_insert_with(|| LimitReached::at(shortages.error()));
        reached.files_left += 1;
        reached.bytes_left += bytes_left;
    }

    fn given_up(&self) -> bool {
        self.listing_failed.is_some()
            || self.limit.is_some()
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
            return Err(Error::new(kind, format!("the stream was abandoned after {} failed files", self.failed))
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
    let options = EncodeOptions::new(&stream.format, stream.schemaless, validation);
    EncodeOptions {
        unlisted: unlisted(stream),
        ..options.with_policies(stream.schema.evolution, stream.bad_rows.on_bad_row())
    }
}
