//! How far a run is: files, bytes and rows of so many, for logs, for ESTIMATE messages and for a terminal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate_base::spending::{GB, Money};
use tollgate_cost::CostTracker;
use tollgate_cost::usage::Operation;
use tollgate_protocol::catalog::ConfiguredStream;
use tollgate_protocol::message::{self, Level};
use tollgate_runtime::clock::{Clock, Stopwatch};
use tollgate_s3::Store;

/// A line in the log this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes as stored that a row of text is taken to have before the first was read. Estimates are sent again as rows arrive.
const ROW_BYTES: u64 = 128;

/// What the tasks of a run have done. One stream is read at a time.
pub(crate) struct Progress {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stream: Option<Arc<ConfiguredStream>>,
    began: Option<Stopwatch>,
    logged: Option<Stopwatch>,
    /// Bytes of objects that had arrived when the stream began.
    bytes_before: u64,
    files_begun: u64,
    bytes_begun: u64,
    files_done: u64,
    /// Whether the state will know more than it did.
    advanced: bool,
    rows: u64,
    record_bytes: u64,
    /// Files and bytes of the stream, as soon as they are known.
    total: Option<(u64, u64)>,
    /// Rows of the stream, where footers tell.
    rows_told: Option<u64>,
}

impl Progress {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// A stream begins.
    pub(crate) fn begin(&self, stream: &Arc<ConfiguredStream>, cost_tracker: &CostTracker) {
        let watch = Some(self.clock.stopwatch());
        let (stream, bytes_before) = (Some(Arc::clone(stream)), object_bytes(cost_tracker));
        *self.lock() = State { stream, began: watch, logged: watch, bytes_before, ..State::default() };
    }

    /// So much is to be read.
    pub(crate) fn expect(&self, files: u64, stored_bytes: u64, rows: Option<u64>) {
        let mut state = self.lock();
        (state.total, state.rows_told) = (Some((files, stored_bytes)), rows);
    }

    /// A file is begun.
    pub(crate) fn begun(&self, bytes: u64) {
        let mut state = self.lock();
        state.files_begun += 1;
        state.bytes_begun += bytes;
    }

    /// There are no more files than those that were begun.
    pub(crate) fn all_begun(&self) {
        let mut state = self.lock();
        let begun = (state.files_begun, state.bytes_begun);
        state.total.get_or_insert(begun);
    }

    /// A file was read to its end.
    pub(crate) fn file_done(&self) {
        self.lock().files_done += 1;
    }

    /// A position moved on, or a file ended.
    pub(crate) fn advance(&self) {
        self.lock().advanced = true;
    }

    /// Whether the next run will have less to do than this one.
    pub(crate) fn advanced(&self) -> bool {
        self.lock().advanced
    }

    /// Rows are on their way to the sink.
    pub(crate) fn add_rows(&self, rows: u64, record_bytes: u64) {
        let mut state = self.lock();
        state.rows += rows;
        state.record_bytes += record_bytes;
    }

    /// The ESTIMATE message of the stream, where its size is known. It gets better as rows arrive.
    pub(crate) fn estimate(&self, cost_tracker: &CostTracker) -> Option<String> {
        let state = self.lock();
        let stream = state.stream.as_ref()?;
        let (_, total) = state.total?;
        let done = state.bytes_done(cost_tracker);
        let of_total = |part: u64| u64::try_from(u128::from(part) * u128::from(total) / u128::from(done.max(1))).ok();
        let (rows, bytes) = match (state.rows, state.rows_told) {
            (0, told) => (told.unwrap_or(total / ROW_BYTES), total),
            (rows, told) => (told.or_else(|| of_total(rows))?, of_total(state.record_bytes)?),
        };
        Some(message::estimate(stream, rows.max(state.rows), bytes.max(state.record_bytes), self.clock.now()))
    }

    /// A line for the log, when it is time for one.
    fn line(&self, cost_tracker: &CostTracker, spent: impl FnOnce() -> Money) -> Option<String> {
        let mut state = self.lock();
        if state.logged?.elapsed() < LOG_INTERVAL {
            return None;
        }
        state.logged = Some(self.clock.stopwatch());
        let name = state.stream.as_ref()?.name.clone();
        Some(format!("stream {name}: {}", state.sentence(cost_tracker, spent())))
    }

    /// One line for a terminal.
    fn status(&self, cost_tracker: &CostTracker, spent: Money) -> Option<String> {
        let state = self.lock();
        let name = &state.stream.as_ref()?.name;
        Some(format!("{} {name}: {}", state.bar(cost_tracker), state.sentence(cost_tracker, spent)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes_done(&self, cost_tracker: &CostTracker) -> u64 {
        object_bytes(cost_tracker).saturating_sub(self.bytes_before)
    }

    fn sentence(&self, cost_tracker: &CostTracker, spent: Money) -> String {
        let gigabytes = |bytes: u64| bytes as f64 / GB as f64;
        let done = self.bytes_done(cost_tracker);
        let seconds = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64()).max(0.001);
        let per_second = done as f64 / seconds;
        let (of_files, of_bytes, left) = match self.total {
            None => (String::new(), String::new(), String::new()),
            Some((files, bytes)) => {
                let left = bytes.saturating_sub(done) as f64 / per_second.max(1.0);
                let left = if left < 1e7 { format!(", {} left", duration(left as u64)) } else { String::new() };
                (format!(" of {files}"), format!(" of {:.3}", gigabytes(bytes)), left)
            }
        };
        format!(
            "{}{of_files} files, {:.3}{of_bytes} GB, {} rows, {:.1} MB/s, {spent} spent{left}",
            self.files_done,
            gigabytes(done),
            self.rows,
            per_second / 1e6,
        )
    }

    fn bar(&self, cost_tracker: &CostTracker) -> String {
        const WIDTH: usize = 20;
        let filled = match self.total {
            Some((_, bytes)) if bytes > 0 => {
                (self.bytes_done(cost_tracker) as f64 / bytes as f64 * WIDTH as f64) as usize
            }
            _ => 0,
        };
        let filled = filled.min(WIDTH);
        format!("[{}{}]", "#".repeat(filled), ".".repeat(WIDTH - filled))
    }
}

fn object_bytes(cost_tracker: &CostTracker) -> u64 {
    let gets = cost_tracker.ledger().snapshot().into_iter().filter(|(row, _)| row.operation == Operation::GetObject);
    gets.map(|(_, totals)| totals.bytes_received).sum()
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// What is asked once a second how far the run is.
pub(crate) struct Pulse {
    pub(crate) progress: Arc<Progress>,
    pub(crate) cost_tracker: CostTracker,
    pub(crate) store: Store,
}

impl Pulse {
    /// The messages that are due now.
    pub(crate) fn lines(&self) -> Vec<String> {
        let spent = || self.cost_tracker.spent(&self.store.region());
        let Some(line) = self.progress.line(&self.cost_tracker, spent) else { return Vec::new() };
        let log = message::log(Level::Info, &line);
        std::iter::once(log).chain(self.progress.estimate(&self.cost_tracker)).collect()
    }

    /// One line for a terminal.
    pub(crate) fn status(&self) -> Option<String> {
        self.progress.status(&self.cost_tracker, self.cost_tracker.spent(&self.store.region()))
    }
}
