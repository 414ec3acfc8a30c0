//! Requests: what is sent and counted, what is retried, what an error says.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::{ListPage, ListRequest};
use tollgate_base::error::ErrorKind;
use tollgate_cost::usage::Row;
use tollgate_cost::{AttemptPermit, Gate};

const EMPTY_PAGE: &str =
    "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListBucketResult>";

fn page(xml: &str) -> Reply {
    Reply::new(200, &[("Content-Type", "application/xml")], xml.as_bytes())
}

#[tokio::test]
async fn a_listing_asks_encoded_and_reads_decoded() {
    let server = Server::start(|_, _| {
        page(
            "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>1/t+x=</NextContinuationToken>\
             <Contents><Key>d/a%2Bb+c%0A.csv</Key><LastModified>2024-01-15T12:00:00.123Z</LastModified>\
             <ETag>&quot;abc&quot;</ETag><Size>12</Size><StorageClass>STANDARD_IA</StorageClass></Contents>\
             <CommonPrefixes><Prefix>d/x%3D1/</Prefix></CommonPrefixes></ListBucketResult>",
        )
    });
    let (store, ledger) = store(&server).await;
    let request = ListRequest {
        prefix: "d/é+".to_owned(),
        delimiter: Some("/".to_owned()),
        start_after: Some("d/ x".to_owned()),
        continuation: None,
        max_keys: Some(7),
    };
    let expected = ListPage {
        objects: vec![ObjectFacts {
            key: "d/a+b c\n.csv".into(),
            size: 12,
            modified_at: Timestamp::parse("2024-01-15T12:00:00.123Z").unwrap(),
            etag: "\"abc\"".into(),
            storage_class: StorageClass::StandardIa,
        }],
        common_prefixes: vec!["d/x=1/".to_owned()],
        next: Some("1/t+x=".to_owned()),
    };
    assert_eq!(store.list(&request).await.unwrap(), expected);
    let next = ListRequest { continuation: Some("1/other".to_owned()), ..ListRequest::default() };
    store.list(&next).await.unwrap();
    let targets: Vec<_> = server.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(
        targets,
        [
            "/bucket/?list-type=2&delimiter=%2F&encoding-type=url&max-keys=7&prefix=d%2F%C3%A9%2B&start-after=d%2F%20x",
            "/bucket/?list-type=2&encoding-type=url&continuation-token=1%2Fother",
        ]
    );
    let rows = ledger.snapshot();
    assert_eq!((rows.len(), rows[0].0, rows[0].1.requests), (1, Row::LIST, 2));
}

#[tokio::test]
async fn a_head_tells_the_facts() {
    let headers =
        [("ETag", "\"e1\""), ("Last-Modified", "Mon, 15 Jan 2024 12:00:00 GMT"), ("x-amz-storage-class", "GLACIER_IR")];
    let server = Server::start(move |_, _| Reply::head(200, &headers, 42));
    let (store, ledger) = store(&server).await;
    let facts = store.head("k").await.unwrap();
    let expected = ObjectFacts {
        modified_at: Timestamp::parse("2024-01-15T12:00:00Z").unwrap(),
        storage_class: StorageClass::GlacierIr,
        ..object("k", 42)
    };
    assert_eq!(facts, expected);
    assert_eq!(server.requests()[0].method, "HEAD");
    assert_eq!((ledger.totals().requests, ledger.totals().bytes_received), (1, 0));
}

#[tokio::test]
async fn faults_of_the_server_are_tried_again_and_each_attempt_is_counted() {
    let server = Server::start(|number, _| match number {
        0 => Reply::error(503, "SlowDown", "slow down"),
        1 => Reply::default().close(),
        2 => Reply::error(500, "InternalError", "oops"),
        _ => page(EMPTY_PAGE),
    });
    let options = StoreOptions { max_attempts: 4, ..options() };
    let (store, ledger) = store_with(&connection(&server.endpoint()), options).await;
    store.list(&ListRequest::default()).await.unwrap();
    let totals = ledger.totals();
    assert_eq!((totals.requests, totals.billed_requests, totals.retries), (4, 1, 3));
}

#[tokio::test]
async fn a_fault_that_stays_is_transient_and_says_where() {
    let server = Server::start(|_, _| Reply::error(503, "SlowDown", "Please reduce your request rate."));
    let (store, ledger) = store(&server).await;
    let error = store.get(&object("k", 5), None).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Transient);
    let context = ["bucket", "key", "request_id", "attempts"].map(|name| error.get(name).unwrap_or("?").to_owned());
    assert_eq!(context, ["bucket", "k", "REQ503", "3"]);
    assert_eq!((ledger.totals().requests, ledger.totals().billed_requests), (3, 0));
}

#[tokio::test]
async fn many_retries_at_once_do_not_use_up_a_quota() {
    let server = Server::start(|_, _| Reply::error(503, "SlowDown", "slow"));
    let (store, ledger) = store(&server).await;
    for _ in 0..120 {
        let error = store.head("k").await.unwrap_err();
        assert_eq!(error.get("attempts"), Some("3"));
    }
    assert_eq!(ledger.totals().requests, 360);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_tried_again() {
    let server = Server::start(|number, _| match number {
        0 => Reply::default().pause(Duration::from_secs(20)),
        _ => page(EMPTY_PAGE),
    });
    let options = StoreOptions { answer_timeout: Duration::from_millis(200), ..options() };
    let (store, ledger) = store_with(&connection(&server.endpoint()), options).await;
    store.list(&ListRequest::default()).await.unwrap();
    assert_eq!((ledger.totals().requests, ledger.totals().billed_requests), (2, 1));
}

#[tokio::test]
async fn a_listing_that_stalls_or_breaks_off_is_tried_again() {
    for stall in [true, false] {
        let server = Server::start(move |number, _| match (number, stall) {
            (0, true) => Reply::head(200, &[], EMPTY_PAGE.len()).send(b"<List").pause(Duration::from_secs(20)),
            (0, false) => Reply::head(200, &[], EMPTY_PAGE.len()).send(b"<List").close(),
            _ => page(EMPTY_PAGE),
        });
        let (store, ledger) = store(&server).await;
        store.list(&ListRequest::default()).await.unwrap();
        assert_eq!(ledger.totals().requests, 2, "stall {stall}");
    }
}

/// Kind, and words that the text must hold, of the error for a code. The request is a GET of 'k' or a listing of 'bucket'.
#[tokio::test]
async fn refusals_say_what_is_wrong() {
    use ErrorKind::{Access, Archived, Changed, Config, NotFound, Unsupported};
    let get = "get";
    let list = "list";
    for (asked, status, code, kind, words) in [
        (list, 404, "NoSuchBucket", NotFound, "bucket 'bucket' does not exist"),
        (get, 404, "NoSuchBucket", NotFound, "bucket 'bucket' does not exist"),
        (list, 404, "", NotFound, "bucket 'bucket' does not exist"),
        (get, 404, "NoSuchKey", NotFound, "object 'k' does not exist"),
        (list, 403, "InvalidAccessKeyId", Access, "the server does not know the access key id"),
        (list, 403, "SignatureDoesNotMatch", Access, "the secret access key does not belong"),
        (list, 403, "AccessDenied", Access, "no permission for s3:ListBucket on bucket 'bucket'"),
        (get, 403, "AccessDenied", Access, "no permission for s3:GetObject on object 'k'"),
        (list, 400, "ExpiredToken", Access, "the session token has expired"),
        (list, 400, "InvalidToken", Access, "the session token does not belong"),
        (list, 403, "RequestTimeTooSkewed", Config, "clock"),
        (get, 403, "InvalidObjectState", Archived, "object 'k' is archived"),
        (get, 412, "PreconditionFailed", Changed, "changed after it was listed"),
        (get, 416, "InvalidRange", Changed, "changed after it was listed"),
        (list, 301, "PermanentRedirect", Config, "bucket 'bucket' is not in region 'eu-west-1'"),
        (list, 501, "NotImplemented", Unsupported, "does not support this request"),
        (list, 400, "SomethingElse", Unsupported, "SomethingElse: told"),
    ] {
        let server = Server::start(move |_, _| match code {
            "" => Reply::new(status, &[], b""),
            code => Reply::error(status, code, "told"),
        });
        let (store, ledger) = store(&server).await;
        let error = match asked {
            "get" => store.get(&object("k", 5), None).await.err(),
            _ => store.list(&ListRequest::default()).await.err(),
        };
        let error = error.unwrap_or_else(|| panic!("{code} is an error"));
        let text = shown(&error);
        assert!(error.kind() == kind && text.contains(words), "{status} {code}: {text}");
        assert!(kind == Unsupported || error.hint_text().is_some(), "{text}");
        assert_eq!(error.get("request_id"), Some(format!("REQ{status}").as_str()));
        assert_eq!(
            (ledger.totals().requests, ledger.totals().billed_requests),
            (1, u64::from(tollgate_cost::usage::billed(status, Some(code).filter(|code| !code.is_empty())))),
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_server_that_repeats_secrets_does_not_make_us_show_them() {
    for code in ["AccessDenied", "InvalidToken", "SomethingElse", "SlowDown"] {
        let server = Server::start(move |_, _| Reply::error(403, code, &format!("you sent {SECRET} and {TOKEN}")));
        let (store, _) = store(&server).await;
        shown(&store.list(&ListRequest::default()).await.unwrap_err());
        shown(&store.get(&object("k", 5), None).await.err().unwrap());
    }
}

#[tokio::test]
async fn a_region_that_the_server_names_is_used_from_then_on() {
    let header = Reply::new(301, &[("x-amz-bucket-region", "eu-central-1")], b"");
    let element = "<Region>eu-central-1</Region>";
    let element = Reply::error_with(400, "AuthorizationHeaderMalformed", "wrong region", element);
    for (name, refusal) in [("header", header), ("element", element)] {
        let server = Server::start(move |_, request| {
            match request.header("authorization").is_some_and(|signed| signed.contains("/eu-central-1/s3/")) {
                true => page(EMPTY_PAGE),
                false => refusal.clone(),
            }
        });
        let connection = Connection { region: None, ..connection(&server.endpoint()) };
        let (store, ledger) = store_with(&connection, options()).await;
        store.clone().list(&ListRequest::default()).await.unwrap();
        assert_eq!(ledger.totals().requests, 2, "{name}: one attempt to learn, one to read");
        store.list(&ListRequest::default()).await.unwrap();
        assert_eq!(ledger.totals().requests, 3, "{name}: remembered, and shared by clones");
        assert_eq!(ledger.totals().billed_requests, 2, "{name}: the redirect is free");
    }
}

#[tokio::test]
async fn regions_that_contradict_each_other_end() {
    let server = Server::start(|number, _| {
        Reply::error_with(400, "AuthorizationHeaderMalformed", "x", &format!("<Region>r{number}</Region>"))
    });
    let (store, ledger) = store(&server).await;
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert_eq!((error.kind(), ledger.totals().requests), (ErrorKind::Config, 2), "{error}");
}

#[tokio::test]
async fn a_gate_is_asked_before_each_attempt_and_its_no_is_final() {
    let server = Server::start(|number, request| match number {
        0 => Reply::error(503, "SlowDown", "slow"),
        _ => Reply::object(request, &content(10)),
    });
    let (asked, given_back) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counter, sum) = (Arc::clone(&asked), Arc::clone(&given_back));
    let gate = Gate::rule(move |planned| {
        assert_eq!((planned.row, planned.body_bytes), (Row::get(StorageClass::Standard), Some(10)));
        if counter.fetch_add(1, Ordering::Relaxed) == 2 {
            return Err(Error::new(ErrorKind::Limit, "the limit is reached").hint("raise it"));
        }
        let sum = Arc::clone(&sum);
        Ok(AttemptPermit::new(move |used| {
            sum.fetch_add(used.bytes, Ordering::Relaxed);
        }))
    });
    let (store, ledger) = store_with(&connection(&server.endpoint()), StoreOptions { gate, ..options() }).await;
    assert_eq!(read_all(&store, &object("k", 10), None).await.unwrap().len(), 10);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(given_back.load(Ordering::Relaxed), ledger.totals().bytes_received);
    let error = store.get(&object("k", 10), None).await.err().unwrap();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Limit, "the limit is reached"));
    assert_eq!((asked.load(Ordering::Relaxed), server.requests().len()), (3, 2), "not sent, not tried again");
    assert_eq!(ledger.totals().requests, 2);
}

#[tokio::test]
async fn an_endpoint_that_never_answered_is_a_mistake_and_one_that_did_is_down() {
    let refused = "http://127.0.0.1:1";
    let (store, ledger) = store_with(&connection(refused), options()).await;
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("'http://127.0.0.1:1' cannot be reached: the connection was refused"), "{error}");
    assert_eq!((ledger.totals().requests, ledger.totals().billed_requests), (3, 0));
    shown(&error);

    let unknown = "http://no-such-host.invalid:9000";
    let (store, _) = store_with(&connection(unknown), options()).await;
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.message().contains("cannot resolve its host name"), "{error:?}");

    let server = Server::start(|number, _| match number {
        0 => page(EMPTY_PAGE),
        _ => Reply::default().close(),
    });
    let (store, _) = self::store(&server).await;
    store.list(&ListRequest::default()).await.unwrap();
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error:?}");
    shown(&error);
}

#[tokio::test]
async fn https_to_a_server_that_speaks_http_is_a_mistake_in_the_endpoint() {
    let server = Server::start(|_, _| page(EMPTY_PAGE));
    let (store, _) = store_with(&connection(&server.endpoint().replace("http:", "https:")), options()).await;
    let error = store.list(&ListRequest::default()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.message().contains("the TLS handshake failed"), "{error:?}");
}

#[tokio::test]
async fn what_a_request_carries_follows_the_connection() {
    let server = Server::start(|_, _| page(EMPTY_PAGE));
    let base = connection(&format!("{}/", server.endpoint()));
    let anonymous = Connection { credentials: Credentials::Anonymous, requester_pays: true, ..base.clone() };
    for connection in [&base, &anonymous] {
        let (store, _) = store_with(connection, options()).await;
        store.list(&ListRequest::default()).await.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests[0].target, "/bucket/?list-type=2&encoding-type=url", "no slash too many");
    assert!(requests[0].header("user-agent").unwrap().contains("tollgate"));
    assert!(requests[0].header("authorization").unwrap().contains("AKIDEXAMPLE"));
    assert_eq!(requests[0].header("x-amz-security-token"), Some(TOKEN));
    assert_eq!(requests[0].header("x-amz-request-payer"), None);
    assert_eq!((requests[1].header("authorization"), requests[1].header("x-amz-security-token")), (None, None));
    assert_eq!(requests[1].header("x-amz-request-payer"), Some("requester"));
}

#[tokio::test]
async fn endpoints_must_be_servers() {
    for endpoint in ["localhost:9000", "ftp://host", "http://host/path", "https://user:hunter2@host", "http://", ""] {
        let error = Store::connect(&connection(endpoint), Ledger::new(), options()).await.err();
        let error = error.unwrap_or_else(|| panic!("'{endpoint}' is refused"));
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!error.to_string().contains("hunter2"));
    }
    Store::connect(&connection("http://[::1]:9000/"), Ledger::new(), options()).await.unwrap();
}
