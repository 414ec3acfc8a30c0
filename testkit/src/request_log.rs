//! One line per HTTP request, in the fields of S3's server access logs.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use serde::Serialize;

/// One HTTP request and its answer. Fields that S3's log writes as `-` are absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    /// When the request's head had arrived, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// The client's address and port.
    pub remote: String,
    /// The access key that the request claims; absent for an anonymous one.
    pub requester: Option<String>,
    /// `x-amz-request-id` of the answer.
    pub request_id: String,
    /// The method, for example `GET`.
    pub method: String,
    /// What S3 calls it, for example `REST.GET.OBJECT` or `REST.GET.BUCKET` (a LIST).
    pub operation: &'static str,
    /// The bucket.
    pub bucket: Option<String>,
    /// The key, decoded.
    pub key: Option<String>,
    /// Method, path with query, and version, as sent.
    pub request_uri: String,
    /// The query as sent.
    pub query: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The status; 0 when the connection ended before there was one.
    pub status: u16,
    /// S3's error code, for example `SlowDown`.
    pub error_code: Option<String>,
    /// Body bytes that were written to the socket, without the head.
    pub bytes_sent: u64,
    /// The size of the whole object.
    pub object_size: Option<u64>,
    /// From the request's head to the last byte of the answer, in milliseconds.
    pub total_ms: f64,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// The storage class of the object.
    pub storage_class: Option<String>,
    /// The answer left completely.
    pub complete: bool,
    /// The fault that was applied, for example `status`.
    pub fault: Option<&'static str>,
}

#[derive(Debug, Default)]
struct Written {
    entries: Vec<Entry>,
    /// Answers that were handed to the socket completely and are not yet known to have left.
    finishing: usize,
}

#[derive(Debug)]
struct Shared {
    enabled: AtomicBool,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    last_id: AtomicU64,
    written: Mutex<Written>,
    changed: Condvar,
}

/// The log of all requests, also of those that a fault answered. A clone is another handle on the same log.
///
/// An entry is written when its answer has left or its connection has ended. A client that has read an answer to its
/// end finds its entry here; after one that broke off, use [`RequestLog::wait_idle`].
#[derive(Clone, Debug)]
pub struct RequestLog {
    shared: Arc<Shared>,
}

impl Default for RequestLog {
    fn default() -> Self {
        let shared = Shared {
            enabled: AtomicBool::new(true),
            in_flight: AtomicU64::new(0),
            max_in_flight: AtomicU64::new(0),
            last_id: AtomicU64::new(0),
            written: Mutex::default(),
            changed: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl RequestLog {
    /// All entries so far, in the order in which the answers ended.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.settled().entries.clone()
    }

    /// Takes all entries out of the log.
    #[must_use]
    pub fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.settled().entries)
    }

    /// How many entries satisfy a condition.
    #[must_use]
    pub fn count(&self, condition: impl Fn(&Entry) -> bool) -> usize {
        self.settled().entries.iter().filter(|entry| condition(entry)).count()
    }

    /// The sum of the body bytes sent over the entries that satisfy a condition.
    #[must_use]
    pub fn bytes_sent(&self, condition: impl Fn(&Entry) -> bool) -> u64 {
        self.settled().entries.iter().filter(|entry| condition(entry)).map(|entry| entry.bytes_sent).sum()
    }

    /// Forgets all entries and the highest number in flight.
    pub fn clear(&self) {
        self.settled().entries.clear();
        self.shared.max_in_flight.store(self.in_flight(), Ordering::Release);
    }

    /// Writes all entries as one JSON object per line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_jsonl(&self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut file = BufWriter::new(file);
        for entry in self.entries() {
            serde_json::to_writer(&mut file, &entry)?;
            file.write_all(b"\n")?;
        }
        file.flush().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Switches the log off (for benchmarks) or on again. The numbers in flight are always kept.
    pub fn set_enabled(&self, enabled: bool) {
        self.shared.enabled.store(enabled, Ordering::Release);
    }

    /// Requests that have arrived and whose answers have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    /// The highest number of requests in flight since the start or the last [`RequestLog::clear`].
    #[must_use]
    pub fn max_in_flight(&self) -> u64 {
        self.shared.max_in_flight.load(Ordering::Acquire)
    }

    /// Waits until no request is in flight; false when that took longer than the limit.
    #[must_use]
    pub fn wait_idle(&self, limit: Duration) -> bool {
        self.wait_until(limit, |_| self.in_flight() == 0)
    }

    /// Waits until so many entries satisfy a condition; false when that took longer than the limit.
    #[must_use]
    pub fn wait_for(&self, count: usize, limit: Duration, condition: impl Fn(&Entry) -> bool) -> bool {
        self.wait_until(limit, |written| written.entries.iter().filter(|entry| condition(entry)).count() >= count)
    }

    fn wait_until(&self, limit: Duration, done: impl Fn(&Written) -> bool) -> bool {
        let until = Instant::now() + limit;
        let mut written = self.lock();
        while !done(&written) {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            // Awake now and then: the number in flight also changes while the log is switched off.
            let step = left.min(Duration::from_millis(20));
            let woken = self.shared.changed.wait_timeout(written, step);
            written = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Waits for answers whose last byte the client may already have: microseconds, bounded for a client that does
    /// not read.
    fn settled(&self) -> MutexGuard<'_, Written> {
        self.wait_until(Duration::from_secs(1), |written| written.finishing == 0);
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.shared.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enabled(&self) -> bool {
        self.shared.enabled.load(Ordering::Acquire)
    }

    /// Begins the account of a request; `describe` is called when the log is on.
    pub(crate) fn begin(&self, describe: impl FnOnce(&mut Entry)) -> Exchange {
        let in_flight = self.shared.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        self.shared.max_in_flight.fetch_max(in_flight, Ordering::AcqRel);
        let started = Instant::now();
        let entry = self.enabled().then(|| {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let mut entry = Box::new(Entry::default());
            entry.time_unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
            describe(&mut entry);
            entry
        });
        Exchange {
            log: self.clone(),
            entry,
            started,
            head: Vec::new(),
            state: State::Working,
            body_bytes: 0,
            ended: false,
        }
    }

    /// A number for the next request's id.
    pub(crate) fn next_id(&self) -> u64 {
        self.shared.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer is not made yet: what is written is an interim answer (100 Continue).
    Working,
    /// The answer's head is leaving.
    Head,
    /// The answer's body is leaving.
    Body,
}

/// The account of one request from its head to the last byte of its answer; dropping it writes the entry.
pub(crate) struct Exchange {
    log: RequestLog,
    entry: Option<Box<Entry>>,
    started: Instant,
    head: Vec<u8>,
    state: State,
    body_bytes: u64,
    ended: bool,
}

impl Exchange {
    /// The answer's head is made; what is written from now on belongs to it.
    pub(crate) fn answered(&mut self, describe: impl FnOnce(&mut Entry)) {
        self.state = State::Head;
        if let Some(entry) = &mut self.entry {
            describe(entry);
        }
    }

    /// A fault acted without an answer.
    pub(crate) fn fault(&mut self, name: Option<&'static str>) {
        if let Some(entry) = &mut self.entry {
            entry.fault = name;
        }
    }

    /// All of the body was handed over.
    pub(crate) fn body_ended(&mut self) {
        if !self.ended {
            self.ended = true;
            if self.entry.is_some() {
                self.log.lock().finishing += 1;
            }
        }
    }

    /// All that was handed over has been written; true when that is the whole answer.
    pub(crate) fn all_written(&mut self) -> bool {
        let complete = self.ended && self.state == State::Body;
        if let Some(entry) = &mut self.entry {
            entry.complete = complete;
        }
        complete
    }

    /// Takes note of bytes that were written to the socket.
    pub(crate) fn wrote(&mut self, mut bytes: &[u8]) {
        while self.state != State::Body && !bytes.is_empty() {
            let known = self.head.len();
            self.head.extend_from_slice(bytes);
            let from = known.saturating_sub(3);
            let Some(end) = self.head[from..].windows(4).position(|window| window == b"\r\n\r\n") else { return };
            bytes = &bytes[from + end + 4 - known..];
            let interim = self.head.starts_with(b"HTTP/1.1 1");
            self.head.clear();
            if !interim {
                self.state = State::Body;
            }
        }
        self.body_bytes += bytes.len() as u64;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let shared = &self.log.shared;
        if let Some(mut entry) = self.entry.take() {
            entry.bytes_sent = self.body_bytes;
            entry.total_ms = self.started.elapsed().as_secs_f64() * 1e3;
            let mut written = self.log.lock();
            if self.ended {
                written.finishing = written.finishing.saturating_sub(1);
            }
            written.entries.push(*entry);
            shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            drop(written);
            shared.changed.notify_all();
        } else {
            shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_sent(answered_before: bool, pieces: &[&str]) -> u64 {
        let log = RequestLog::default();
        let mut exchange = log.begin(|_| ());
        if answered_before {
            exchange.answered(|_| ());
        }
        for piece in pieces {
            exchange.wrote(piece.as_bytes());
        }
        exchange.body_ended();
        drop(exchange);
        log.entries()[0].bytes_sent
    }

    #[test]
    fn only_the_body_of_the_final_answer_counts() {
        let whole = "HTTP/1.1 200 OK\r\na: b\r\n\r\nbody\r\n\r\nmore";
        assert_eq!(bytes_sent(true, &[whole]), 12);
        assert_eq!(bytes_sent(true, &["HTTP/1.1 100 Continue\r\n\r\n", whole]), 12);
        assert_eq!(bytes_sent(true, &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc"]), 3);
        for cut in 1..whole.len() {
            assert_eq!(bytes_sent(true, &[&whole[..cut], &whole[cut..]]), 12, "cut at {cut}");
        }
        let single: Vec<&str> = whole.split("").filter(|piece| !piece.is_empty()).collect();
        assert_eq!(bytes_sent(true, &single), 12);
        assert_eq!(bytes_sent(true, &["HTTP/1.1 200 OK\r\n"]), 0);
    }

    #[test]
    fn the_highest_number_in_flight_is_kept() {
        let log = RequestLog::default();
        let first = log.begin(|_| ());
        let second = log.begin(|_| ());
        drop(first);
        let third = log.begin(|_| ());
        assert_eq!((log.in_flight(), log.max_in_flight()), (2, 2));
        drop((second, third));
        assert!(log.wait_idle(Duration::ZERO));
        log.clear();
        assert_eq!(log.max_in_flight(), 0);
        assert!(log.entries().is_empty());
    }

    #[test]
    fn a_log_that_is_off_writes_nothing_and_still_counts_what_is_in_flight() {
        let log = RequestLog::default();
        log.set_enabled(false);
        drop(log.begin(|_| panic!("nothing to describe")));
        assert_eq!((log.entries().len(), log.in_flight(), log.max_in_flight()), (0, 0, 1));
    }
}
