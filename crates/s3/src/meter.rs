//! The meter: an HTTP client around that of the SDK, below the retry loop. It sees each attempt once, asks the gate
//! before it is sent, records the response, and counts the bytes of the body as they arrive.
//!
//! The purpose of an attempt (usage row, requested bytes) is in a task-local [`Trace`]: the SDK calls its connector in
//! the task of the caller. A task-local costs nothing, while an interceptor for each request would make the SDK rebuild
//! its configuration. Credentials providers use the HTTP client without the meter, so their requests are not counted.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{BoxError, ConnectorError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::options::StoreOptions;
use super::page;
use super::wrapped_client::wrapped;
use tollgate_base::error::{Error, ErrorKind};
use tollgate_cost::usage::{Attempt, Operation, Row};
use tollgate_cost::{AttemptPermit, Gate, Ledger, PlannedAttempt};

/// Bytes made ready for a listing's page of known length: more than 1,000 keys of 1,024 bytes need, less than a wrong length
/// could cost.
const PAGE_BYTES: usize = 2 << 20;

/// The longest page: 1,000 keys of 1,024 bytes are 4 MB where each byte is encoded. Several are held at a time.
const PAGE_BYTES_AT_MOST: usize = 16 << 20;

/// Bytes of an error answer that are kept to find its code.
const CODE_WITHIN_BYTES: usize = 4096;

/// Bytes of an answer that is no object and no page that are read. S3's errors have some hundred.
const SMALL_ANSWER_BYTES: usize = 64 << 10;

tokio::task_local! {
    static TRACE: Trace;
}

/// What a request is about, and what became of it.
#[derive(Debug)]
pub(super) struct Trace {
    planned: PlannedAttempt,
    attempts: Cell<u32>,
    page: RefCell<Option<Vec<u8>>>,
}

impl Trace {
    /// The trace of an attempt that comes after so many others.
    pub(super) fn new(planned: PlannedAttempt, attempts: u32) -> Self {
        Self { planned, attempts: Cell::new(attempts), page: RefCell::new(None) }
    }

    /// Runs a request of the SDK under this trace, which is given back with what it learned.
    pub(super) async fn follow<F: Future>(self, request: F) -> (F::Output, Self) {
        let mut traced = pin!(TRACE.scope(self, request));
        let output = traced.as_mut().await;
        (output, traced.take_value().expect("the trace lies in the future that has just ended"))
    }

    /// How many HTTP attempts were made, those before this trace included.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// The body of a listing, which the SDK was spared.
    pub(super) fn into_page(self) -> Option<Vec<u8>> {
        self.page.into_inner()
    }

    /// The plan of the attempt that is made now, and whether it repeats an earlier one.
    fn next_attempt() -> Option<(PlannedAttempt, bool)> {
        TRACE.try_with(|trace| (trace.planned, trace.attempts.replace(trace.attempts.get() + 1) > 0)).ok()
    }
}

/// What counts and decides; shared by all connectors of a store.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    pub(super) ledger: Ledger,
    pub(super) gate: Gate,
    pub(super) answer_timeout: Duration,
    pub(super) pace: Pace,
}

/// How slowly a body may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Time without a byte.
    pub(super) stall_timeout: Duration,
    /// Bytes that must come in each window of waiting time.
    pub(super) window_bytes: u64,
    pub(super) window: Duration,
}

impl Meter {
    pub(super) fn new(ledger: Ledger, options: &StoreOptions) -> Self {
        let window_bytes = f64::from(options.least_bytes_per_second) * options.rate_window.as_secs_f64();
        let pace = Pace {
            stall_timeout: options.stall_timeout,
            window_bytes: window_bytes as u64,
            window: options.rate_window,
        };
        Self { ledger, gate: options.gate.clone(), answer_timeout: options.answer_timeout, pace }
    }
}

/// The SDK's HTTP client with a meter on each attempt.
pub(super) fn metered(inner: SharedHttpClient, meter: Meter) -> SharedHttpClient {
    wrapped(inner, move |inner| SharedHttpConnector::new(MeteredConnector { inner, meter: meter.clone() }))
}

#[derive(Debug)]
struct MeteredConnector {
    inner: SharedHttpConnector,
    meter: Meter,
}

impl HttpConnector for MeteredConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some((planned, retry)) = Trace::next_attempt() else {
            return refuse(Error::internal("a request bypassed the meter"));
        };
        // The SDK does not retry an error of its user, which is what a limit is.
        let ticket = match self.meter.gate.admit(planned) {
            Ok(ticket) => ticket,
            Err(refusal) => return refuse(refusal),
        };
        let mut entry =
            Entry { ledger: self.meter.ledger.clone(), row: planned.row, retry, ticket, state: State::Sent };
        let (answer_timeout, pace) = (self.meter.answer_timeout, self.meter.pace);
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = tokio::time::timeout(answer_timeout, answer).await;
            let response = answer.map_err(|_| ConnectorError::timeout(Unanswered(answer_timeout).into()))??;
            let status = response.status().as_u16();
            entry.answered(status);
            let response = metered_body(response, entry, pace);
            match planned.row.operation {
                Operation::ListObjects if status == 200 => keep_page(response).await,
                Operation::GetObject if matches!(status, 200..=299) => Ok(response),
                Operation::HeadObject | Operation::HeadBucket => Ok(response),
                _ => Ok(read_small(response, pace.stall_timeout).await),
            }
        })
    }
}

fn refuse(error: Error) -> HttpConnectorFuture {
    HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())))
}

fn metered_body(mut response: HttpResponse, entry: Entry, pace: Pace) -> HttpResponse {
    let inner = response.take_body();
    *response.body_mut() = SdkBody::from_body_1_x(MeteredBody { inner, entry, stall: Stall::new(pace) });
    response
}

/// Takes a listing's body out of its answer, for a faster reader than the SDK's (see [`super::page`]), and leaves an empty
/// page in its place. What is no page stays, so that the SDK says what is wrong with it. A body that breaks off is a failed
/// attempt like any other, and the SDK makes the next.
async fn keep_page(mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let mut body = response.take_body();
    let expected = body.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut page = Vec::with_capacity(expected.min(PAGE_BYTES));
    while let Some(frame) = next_frame(&mut body).await {
        if let Some(bytes) = frame.map_err(broken)?.data_ref() {
            if page.len() + bytes.len() > PAGE_BYTES_AT_MOST {
                return Err(ConnectorError::user(endless_page().into()));
            }
            page.extend_from_slice(bytes);
        }
    }
    *response.body_mut() = if page::is_page(&page) {
        let kept = TRACE.try_with(|trace| trace.page.replace(Some(page)));
        kept.expect("an attempt is made under a trace");
        SdkBody::from("<ListBucketResult/>")
    } else {
        SdkBody::from(page)
    };
    response.headers_mut().remove("content-length");
    Ok(response)
}

async fn next_frame(body: &mut SdkBody) -> Option<Result<Frame<Bytes>, BoxError>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

fn endless_page() -> Error {
    let message = format!("a page of the listing is larger than {} MiB", PAGE_BYTES_AT_MOST >> 20);
    Error::new(ErrorKind::Unsupported, message).hint("the server is not compatible with S3")
}

/// Reads the body of an answer that is short by its nature, an error above all. Its status is known, so a body that is
/// too long, comes too slowly or breaks off takes nothing from it: what came is all that is looked at.
async fn read_small(mut response: HttpResponse, timeout: Duration) -> HttpResponse {
    let mut body = response.take_body();
    let mut kept = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = next_frame(&mut body).await {
            let bytes = frame.into_data().unwrap_or_default();
            let room = SMALL_ANSWER_BYTES - kept.len();
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() >= room {
                return;
            }
        }
    };
    // A body in time is read to its end, so that its connection can be used again.
    _ = tokio::time::timeout(timeout, read).await;
    *response.body_mut() = SdkBody::from(kept);
    response.headers_mut().remove("content-length");
    response
}

fn broken(error: BoxError) -> ConnectorError {
    if error.is::<Stalled>() || error.is::<TooSlow>() {
        ConnectorError::timeout(error)
    } else {
        ConnectorError::io(error)
    }
}

/// One attempt on its way into the ledger. Whatever ends it, dropping it included, it is recorded once.
#[derive(Debug)]
struct Entry {
    ledger: Ledger,
    row: Row,
    retry: bool,
    ticket: AttemptPermit,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No answer yet.
    Sent,
    /// A response whose price depends on the error code, which is in the body.
    Refused { status: u16, body: Vec<u8> },
    /// In the ledger.
    Recorded,
}

impl Entry {
    fn answered(&mut self, status: u16) {
        if matches!(status, 400 | 403) {
            self.state = State::Refused { status, body: Vec::new() };
        } else {
            self.record(Attempt::answered(self.retry, status, None));
        }
    }

    fn received(&mut self, bytes: &Bytes) {
        self.ledger.add_bytes(self.row, bytes.len() as u64);
        self.ticket.add_bytes(bytes.len() as u64);
        if let State::Refused { body, .. } = &mut self.state {
            let room = CODE_WITHIN_BYTES.saturating_sub(body.len());
            body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn record(&mut self, attempt: Attempt) {
        self.state = State::Recorded;
        self.ledger.record(self.row, attempt);
        self.ticket.set_billed(attempt.billed);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let attempt = match &self.state {
            State::Recorded => return,
            State::Sent => Attempt::unanswered(self.retry),
            State::Refused { status, body } => {
                let text = String::from_utf8_lossy(body);
                Attempt::answered(self.retry, *status, element(&text, "Code"))
            }
        };
        self.record(attempt);
    }
}

/// The text of the first element of this name in an error answer of S3. Its elements have no attributes.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let after = xml.split_once(&format!("<{name}>"))?.1;
    Some(after.split_once('<')?.0.trim()).filter(|text| !text.is_empty())
}

/// A body that is counted as it arrives and given up when it stalls.
struct MeteredBody {
    inner: SdkBody,
    entry: Entry,
    stall: Stall,
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            return this.stall.poll(context).map(|error| Some(Err(error)));
        };
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        this.stall.over(bytes.map_or(0, Bytes::len));
        if let Some(bytes) = bytes {
            this.entry.received(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// No byte came for this long while someone waited for one.
#[derive(Debug)]
pub(super) struct Stalled(pub(super) Duration);

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no byte arrived for {:?}", self.0)
    }
}

impl std::error::Error for Stalled {}

/// A body that never stalls and never gets anywhere.
#[derive(Debug)]
pub(super) struct TooSlow(Pace);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fewer than {} bytes arrived in {:?}", self.0.window_bytes, self.0.window)
    }
}

impl std::error::Error for TooSlow {}

/// No head of an answer came.
#[derive(Debug)]
struct Unanswered(Duration);

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no response arrived within {:?}", self.0)
    }
}

impl std::error::Error for Unanswered {}

/// Notices a wait that takes too long, and bytes that come too slowly. Only the time counts in which a reader waits for the
/// network: a reader that is busy elsewhere (a full stdout) may take as long as it wants, since its next wait begins anew.
///
/// One timer per body serves all waits: it is moved on when it rings for a wait that is over, so that a wait itself costs
/// no more than reading the clock.
struct Stall {
    pace: Pace,
    waiting_since: Option<Instant>,
    /// Waiting time, and bytes that came, in the present window.
    waited: Duration,
    bytes: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    fn new(pace: Pace) -> Self {
        Self { pace, waiting_since: None, waited: Duration::ZERO, bytes: 0, timer: None }
    }

    /// A wait is over, and brought so many bytes.
    fn over(&mut self, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            // A reader that went away in the middle of a wait did not wait all the time.
            self.waited += since.elapsed().min(self.pace.stall_timeout);
        }
        self.bytes += bytes as u64;
        if self.bytes >= self.pace.window_bytes {
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
    }

    /// A wait begins or goes on. Ready when it took too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<BoxError> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let left = self.pace.window.saturating_sub(self.waited);
        let slow = left < self.pace.stall_timeout && self.pace.window_bytes > 0;
        let deadline = since + if slow { left } else { self.pace.stall_timeout };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                let stalled = || Stalled(self.pace.stall_timeout).into();
                return Poll::Ready(if slow { TooSlow(self.pace).into() } else { stalled() });
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
