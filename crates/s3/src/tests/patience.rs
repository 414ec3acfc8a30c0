//! How long the door waits, and for what. Time is paused: minutes pass when nothing else is left to do, and no socket is
//! in the way of that. Each case says how often the server is asked.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{BoxError, ConnectorError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use super::*;
use crate::ListRequest;
use tollgate_base::error::ErrorKind;

const PAGE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
const SIZE: usize = 100_000;

/// What becomes of an attempt.
#[derive(Clone)]
enum Answer {
    /// Nobody listens.
    Refused,
    /// The connection stands, and nothing comes.
    Silence,
    /// A status, headers, and a body.
    Status(u16, Vec<(&'static str, String)>, Pieces),
}

/// A body: pieces, each after a pause, and whether the last one comes again and again.
#[derive(Clone, Default)]
struct Pieces {
    pieces: VecDeque<(Duration, Bytes)>,
    endless: bool,
    pause: Option<Arc<Mutex<Pin<Box<Sleep>>>>>,
}

impl Pieces {
    fn of(text: &[u8]) -> Self {
        Self { pieces: VecDeque::from([(Duration::ZERO, Bytes::copy_from_slice(text))]), ..Self::default() }
    }

    fn endless(pause: Duration, bytes: usize) -> Self {
        let pieces = VecDeque::from([(pause, Bytes::from(vec![b'x'; bytes]))]);
        Self { pieces, endless: true, pause: None }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some((pause, piece)) = self.pieces.front().cloned() else { return Poll::Ready(None) };
        if !pause.is_zero() {
            let sleep = || Arc::new(Mutex::new(Box::pin(tokio::time::sleep(pause))));
            let timer = Arc::clone(self.pause.get_or_insert_with(sleep));
            if timer.lock().unwrap().as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        if !self.endless {
            self.pieces.pop_front();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

fn page() -> Answer {
    Answer::Status(200, Vec::new(), Pieces::of(PAGE.as_bytes()))
}

fn error(status: u16, code: &str) -> Answer {
    Answer::Status(status, Vec::new(), Pieces::of(format!("<Error><Code>{code}</Code></Error>").as_bytes()))
}

/// The object from a byte on.
fn object_from(request: &HttpRequest, body: Pieces) -> Answer {
    let first = request.headers().get("range").and_then(|range| range.strip_prefix("bytes=")?.split('-').next());
    let first: usize = first.map_or(0, |first| first.parse().unwrap());
    let length = ("content-length", (SIZE - first).to_string());
    let etag = ("etag", "\"e1\"".to_owned());
    match request.headers().get("range") {
        None => Answer::Status(200, vec![length, etag], body),
        Some(_) => {
            let range = ("content-range", format!("bytes {first}-{}/{SIZE}", SIZE - 1));
            Answer::Status(206, vec![length, etag, range], body)
        }
    }
}

type Script = dyn Fn(usize, Duration, &HttpRequest) -> Answer + Send + Sync;

struct Fake {
    script: Box<Script>,
    begun: Instant,
    asked: Arc<Mutex<Vec<Duration>>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(self.begun.elapsed());
            asked.len() - 1
        };
        let answer = (self.script)(number, self.begun.elapsed(), &request);
        HttpConnectorFuture::new(async move {
            match answer {
                Answer::Refused => {
                    Err(ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()))
                }
                Answer::Silence => std::future::pending().await,
                Answer::Status(status, headers, body) => {
                    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from_body_1_x(body));
                    for (name, value) in headers {
                        response.headers_mut().insert(name, value);
                    }
                    Ok(response)
                }
            }
        })
    }
}

/// A store with the settings of real runs, before a server that does what a script says: number of the attempt, time.
struct Scene {
    store: Store,
    ledger: Ledger,
    asked: Arc<Mutex<Vec<Duration>>>,
    begun: Instant,
}

impl Scene {
    async fn new(script: impl Fn(usize, Duration, &HttpRequest) -> Answer + Send + Sync + 'static) -> Self {
        let (begun, asked) = (Instant::now(), Arc::default());
        let fake = Fake { script: Box::new(script), begun, asked: Arc::clone(&asked) };
        let connector = SharedHttpConnector::new(fake);
        let http: SharedHttpClient = http_client_fn(move |_, _| connector.clone());
        let (ledger, options) = (Ledger::new(), StoreOptions { proxy_from_environment: false, ..Default::default() });
        let connection = connection("http://127.0.0.1:9");
        let store = Store::through(&connection, ledger.clone(), options, http).await.unwrap();
        Self { store, ledger, asked, begun }
    }

    async fn list(&self) -> Result<()> {
        self.store.list(&ListRequest::default()).await.map(drop)
    }

    async fn read(&self) -> Result<Vec<u8>> {
        read_all(&self.store, &object("k", SIZE as u64), None).await
    }

    fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    /// How often the server was asked, which the ledger must know.
    fn attempts(&self) -> usize {
        let asked = self.asked.lock().unwrap().len();
        assert_eq!(self.ledger.totals().requests, asked as u64);
        asked
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_for_a_while_does_not_end_a_request() {
    for (down_seconds, answered_before) in [(3, false), (3, true), (100, true)] {
        let scene = Scene::new(move |number, time, _| match number {
            0 if answered_before => page(),
            _ if time < Duration::from_secs(down_seconds) => Answer::Refused,
            _ => page(),
        })
        .await;
        if answered_before {
            scene.list().await.unwrap();
        }
        scene.list().await.unwrap_or_else(|error| panic!("down for {down_seconds} s: {error:?}"));
        assert!(scene.seconds() < down_seconds + 16, "{} s", scene.seconds());
        let totals = scene.ledger.totals();
        let first = u64::from(answered_before);
        assert_eq!((totals.billed_requests, totals.retries + 1 + first), (1 + first, scene.attempts() as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_down_ends_a_request_within_minutes_and_an_address_that_never_worked_within_seconds() {
    let scene = Scene::new(|number, _, _| if number == 0 { page() } else { Answer::Refused }).await;
    scene.list().await.unwrap();
    let error = scene.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!((120..=180).contains(&scene.seconds()), "{} s", scene.seconds());
    assert_eq!(error.get("attempts"), Some((scene.attempts() - 1).to_string().as_str()));

    let scene = Scene::new(|_, _, _| Answer::Refused).await;
    assert_eq!(scene.list().await.unwrap_err().kind(), ErrorKind::Config);
    assert!((4..=10).contains(&scene.seconds()), "{} s", scene.seconds());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_never_answers_costs_one_deadline() {
    let scene = Scene::new(|number, _, _| if number == 0 { page() } else { Answer::Silence }).await;
    scene.list().await.unwrap();
    let error = scene.list().await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Transient && error.message().contains("no response arrived in time"),
        "{error:?}"
    );
    assert!((60..=181).contains(&scene.seconds()), "{} s", scene.seconds());
    assert_eq!(scene.ledger.totals().billed_requests, 1);
    scene.attempts();

    let scene = Scene::new(|_, _, _| Answer::Silence).await;
    scene.list().await.unwrap_err();
    assert_eq!((scene.attempts(), scene.seconds()), (1, 60), "it never worked: once is enough");
}

#[tokio::test(start_paused = true)]
async fn throttling_conflicts_and_faults_of_proxies_are_tried_again() {
    for (status, code) in [
        (429, ""),
        (429, "TooManyRequests"),
        (409, "OperationAborted"),
        (400, "RequestTimeout"),
        (408, ""),
        (500, "InternalError"),
        (502, ""),
        (503, "SlowDown"),
        (504, ""),
        (520, ""),
        (522, ""),
        (524, ""),
        (530, ""),
        (200, "InternalError"),
    ] {
        let scene = Scene::new(move |number, _, _| if number < 2 { error(status, code) } else { page() }).await;
        scene.list().await.unwrap_or_else(|error| panic!("{status} {code}: {error:?}"));
        assert_eq!((scene.attempts(), scene.ledger.totals().retries), (3, 2), "{status} {code}");
    }
    for (status, code) in [(501, "NotImplemented"), (403, "AccessDenied"), (404, "NoSuchBucket"), (400, "Other")] {
        let scene = Scene::new(move |_, _, _| error(status, code)).await;
        scene.list().await.unwrap_err();
        assert_eq!((scene.attempts(), scene.seconds()), (1, 0), "{status} {code} stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_server_asks_for_is_kept() {
    let throttled = |wait: &str| {
        Answer::Status(503, vec![("retry-after", wait.to_owned())], Pieces::of(b"<Error><Code>SlowDown</Code></Error>"))
    };
    for (wait, least, most) in [("7", 7, 8), ("100000", 60, 61), ("soon", 0, 1), ("-1", 0, 1)] {
        let scene = Scene::new(move |number, _, _| if number == 0 { throttled(wait) } else { page() }).await;
        scene.list().await.unwrap();
        assert!((least..=most).contains(&scene.seconds()), "{wait}: {} s", scene.seconds());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_ends() {
    for pause in [5, 1] {
        let trickle = Pieces::endless(Duration::from_secs(pause), 1);
        let scene = Scene::new(move |_, _, request| object_from(request, trickle.clone())).await;
        let error = scene.read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
        assert!(format!("{error:?}").contains("fewer than 30720 bytes"), "{error:?}");
        assert!((150..=260).contains(&scene.seconds()), "{} s", scene.seconds());
        assert!(scene.attempts() <= 9, "{}", scene.attempts());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_at_the_least_rate_is_read_to_its_end() {
    let scene = Scene::new(|_, _, request| {
        let pieces = (0..8).map(|_| (Duration::from_secs(9), Bytes::from(vec![b'x'; SIZE / 8])));
        object_from(request, Pieces { pieces: pieces.collect(), ..Pieces::default() })
    })
    .await;
    assert_eq!(scene.read().await.unwrap().len(), SIZE);
    assert_eq!((scene.attempts(), scene.seconds()), (1, 72));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_trickles_ends() {
    let trickle = Pieces::endless(Duration::from_secs(5), 1);
    let scene = Scene::new(move |number, _, _| match number {
        0 => page(),
        _ => Answer::Status(200, Vec::new(), trickle.clone()),
    })
    .await;
    scene.list().await.unwrap();
    let error = scene.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    assert!((100..=190).contains(&scene.seconds()), "{} s", scene.seconds());
    scene.attempts();
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_body_trickles_or_never_ends_is_that_error() {
    let trickle = || Pieces::endless(Duration::from_secs(5), 1);
    let endless = || Pieces::endless(Duration::ZERO, 1 << 20);
    let cut = |body: Pieces| {
        let head = Bytes::from_static(b"<Error><Code>AccessDenied</Code><Message>no</Message><Pad>");
        let mut pieces = VecDeque::from([(Duration::ZERO, head)]);
        pieces.extend(body.pieces);
        pieces
    };
    for body in [trickle(), endless()] {
        let answer = Answer::Status(403, Vec::new(), body.clone());
        let scene = Scene::new(move |_, _, _| answer.clone()).await;
        for error in [scene.list().await.unwrap_err(), scene.read().await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Access, "{error:?}");
        }
        assert_eq!(scene.attempts(), 2);
        assert!(scene.seconds() <= 21, "{} s", scene.seconds());
        assert!(scene.ledger.totals().bytes_received < 5 << 20, "{:?}", scene.ledger.totals());

        // What came of it tells what is wrong.
        let mut pieces = cut(body);
        pieces.truncate(1);
        let told = Answer::Status(400, Vec::new(), Pieces { pieces, ..Pieces::default() });
        let scene = Scene::new(move |_, _, _| told.clone()).await;
        let error = scene.list().await.unwrap_err();
        assert_eq!(error.get("answer"), Some("AccessDenied: no"), "{error:?}");
    }
    for body in [trickle(), endless()] {
        let answer = Answer::Status(500, Vec::new(), body);
        let scene = Scene::new(move |number, _, _| if number < 3 { answer.clone() } else { page() }).await;
        scene.list().await.unwrap();
        assert_eq!(scene.attempts(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_without_an_end_is_refused_and_not_held_in_memory() {
    let endless = Pieces::endless(Duration::ZERO, 1 << 20);
    let scene = Scene::new(move |_, _, _| Answer::Status(200, Vec::new(), endless.clone())).await;
    let error = scene.list().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("16 MiB"), "{error:?}");
    assert_eq!(scene.attempts(), 1);
    assert!(scene.ledger.totals().bytes_received <= 17 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_answered_without_an_end_is_done() {
    let endless = Pieces::endless(Duration::ZERO, 1 << 20);
    let scene = Scene::new(move |_, _, _| Answer::Status(200, Vec::new(), endless.clone())).await;
    scene.store.put("k", Bytes::from_static(b"x")).await.unwrap();
    assert!(scene.attempts() == 1 && scene.ledger.totals().bytes_received <= 2 << 20);
}
