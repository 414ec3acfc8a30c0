//! What a client sees of each fault, and what the log says about it.

mod common;

use std::time::{Duration, Instant};

use common::{Client, End};
use tollgate_testkit::{Action, Entry, Fault, ObjectOptions, Options, Server, When};

fn server(body: &str) -> Server {
    let server = Server::start(Options::default()).expect("a server");
    server.store().put("b", "k", body.to_owned(), ObjectOptions::default());
    server
}

fn only_entry(server: &Server) -> Entry {
    assert!(server.log().wait_idle(Duration::from_secs(5)), "a request is still in flight");
    let mut entries = server.log().entries();
    assert_eq!(entries.len(), 1, "{entries:#?}");
    entries.remove(0)
}

#[test]
fn statuses_come_as_often_as_asked() {
    let server = server("body");
    let action = Action::Status { status: 503, code: None, retry_after_s: Some(3) };
    server.faults().add(Fault::new(action).times(2).when(When::get("k")));
    let mut client = Client::new(&server);
    for _ in 0..2 {
        let answer = client.get("/b/k");
        assert_eq!((answer.status, answer.element("Code").as_str()), (503, "SlowDown"));
        assert_eq!(answer.header("retry-after"), Some("3"));
    }
    assert_eq!(client.get("/b/k").body, b"body");
    let codes: Vec<_> = server.log().entries().into_iter().map(|entry| (entry.status, entry.error_code)).collect();
    assert_eq!(codes, [(503, Some("SlowDown".into())), (503, Some("SlowDown".into())), (200, None)]);
    assert_eq!(server.log().count(|entry| entry.fault == Some("status")), 2);
}

#[test]
fn a_reset_comes_before_any_answer() {
    let server = server("body");
    server.faults().add(Fault::new(Action::Reset));
    let answer = Client::new(&server).get("/b/k");
    assert_eq!((answer.status, answer.end), (0, End::Reset));
    let entry = only_entry(&server);
    assert_eq!((entry.status, entry.bytes_sent, entry.complete, entry.fault), (0, 0, false, Some("reset")));
    assert_eq!(entry.operation, "REST.GET.OBJECT");
}

#[test]
fn a_body_is_reset_or_closed_at_the_byte() {
    let body = "0123456789".repeat(30_000);
    for (after, reset) in [(0, true), (1, true), (250_000, true), (0, false), (7, false), (299_999, false)] {
        let server = server(&body);
        let action = if reset { Action::ResetAfter(after) } else { Action::ShortBody(after) };
        server.faults().add(Fault::new(action));
        let answer = Client::new(&server).get("/b/k");
        let end = if reset { End::Reset } else { End::Closed };
        assert_eq!((answer.status, answer.end, answer.body.len() as u64), (200, end, after), "reset: {reset}");
        assert_eq!(answer.header("content-length"), Some("300000"));
        assert_eq!(answer.body, &body.as_bytes()[..answer.body.len()]);
        let entry = only_entry(&server);
        assert_eq!((entry.status, entry.bytes_sent, entry.complete), (200, after, false));
        assert_eq!(entry.object_size, Some(300_000));
    }
}

#[test]
fn a_cut_beyond_the_body_changes_nothing() {
    let server = server("body");
    server.faults().add(Fault::new(Action::ShortBody(4)));
    let mut client = Client::new(&server);
    assert_eq!((client.get("/b/k").end, client.get("/b/k").end), (End::Whole, End::Whole));
}

#[test]
fn a_stall_comes_at_the_byte_and_ends() {
    let server = server("0123456789");
    server.faults().add(Fault::new(Action::StallAfter { bytes: 4, ms: 400 }));
    let mut client = Client::new(&server);
    let started = Instant::now();
    client.timeout(Duration::from_millis(150));
    let answer = client.get("/b/k");
    assert_eq!((answer.end, answer.body.as_slice()), (End::TimedOut, &b"0123"[..]));
    let mut client = Client::new(&server);
    let answer = client.get("/b/k");
    assert_eq!((answer.end, answer.body.as_slice()), (End::Whole, &b"0123456789"[..]));
    assert!(started.elapsed() >= Duration::from_millis(400));
}

#[test]
fn a_slow_body_keeps_its_rate() {
    let server = server(&"x".repeat(5000));
    server.faults().add(Fault::new(Action::SlowBody { bytes_per_second: 10_000 }));
    let started = Instant::now();
    let answer = Client::new(&server).get("/b/k");
    assert_eq!((answer.end, answer.body.len()), (End::Whole, 5000));
    let elapsed = started.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&elapsed), "{elapsed:?}");
}

#[test]
fn a_delay_comes_before_the_answer() {
    let server = server("body");
    server.faults().add(Fault::new(Action::Delay(200)));
    let started = Instant::now();
    assert_eq!(Client::new(&server).get("/b/k").body, b"body");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert!(only_entry(&server).total_ms >= 200.0);
}

#[test]
fn a_changed_object_fails_its_condition() {
    let server = server("old bytes");
    server.faults().add(Fault::new(Action::ChangeObjectBefore(b"new".to_vec())).skip(1).times(1));
    let mut client = Client::new(&server);
    let first = client.send("GET", "/b/k", &[("range", "bytes=0-3")], b"");
    let etag = first.header("etag").expect("an ETag").to_owned();
    let headers = [("range", "bytes=4-8"), ("if-match", etag.as_str())];
    let second = client.send("GET", "/b/k", &headers, b"");
    assert_eq!((first.status, second.status), (206, 412));
    assert_eq!(second.element("Code"), "PreconditionFailed");
    assert_eq!(client.get("/b/k").body, b"new");
}

#[test]
fn a_deleted_object_is_missing() {
    let server = server("old");
    server.faults().add(Fault::new(Action::DeleteBefore));
    let answer = Client::new(&server).get("/b/k");
    assert_eq!((answer.status, answer.element("Code").as_str()), (404, "NoSuchKey"));
}

#[test]
fn one_flipped_bit_and_the_rest_as_it_was() {
    let server = server("abcdef");
    server.faults().add(Fault::new(Action::FlipByte(2)));
    assert_eq!(Client::new(&server).get("/b/k").body, b"abbdef");
}

#[test]
fn random_faults_are_the_same_in_every_run() {
    let statuses = || {
        let server = server("body");
        server.faults().add(Fault::new(Action::slow_down()).probability(0.3, 42).when(When::get("")));
        let mut client = Client::new(&server);
        (0..40).map(|_| client.get("/b/k").status).collect::<Vec<_>>()
    };
    let first = statuses();
    assert!(first.contains(&503) && first.contains(&200), "{first:?}");
    assert_eq!(first, statuses());
}
