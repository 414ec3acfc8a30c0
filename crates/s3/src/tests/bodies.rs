//! Bodies that break off, stall, change, or are not read for a while.

use super::*;
use tollgate_base::error::{ErrorKind, Subject};
use tollgate_cost::usage::Row;

#[tokio::test]
async fn a_whole_object_is_one_request_without_a_range() {
    let data = content(100_000);
    let served = Arc::clone(&data);
    let server = Server::start(move |_, request| Reply::object(request, &served));
    let (store, ledger) = store(&server).await;
    assert_eq!(read_all(&store, &object("a/b c+d.csv", 100_000), None).await.unwrap(), &*data);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, "GET");
    assert_eq!(requests[0].target, "/bucket/a/b%20c%2Bd.csv?x-id=GetObject");
    assert_eq!((requests[0].header("range"), requests[0].header("if-match")), (None, Some("\"e1\"")));
    let totals = ledger.totals();
    assert_eq!((totals.requests, totals.billed_requests, totals.bytes_received), (1, 1, 100_000));
    assert_eq!(ledger.snapshot()[0].0, Row::get(StorageClass::Standard));
}

#[tokio::test]
async fn ranges_are_cut_to_the_object() {
    let data = content(1000);
    let served = Arc::clone(&data);
    let server = Server::start(move |_, request| Reply::object(request, &served));
    let (store, _) = store(&server).await;
    let object = object("k", 1000);
    for (range, expected) in [(0..10, 0..10), (990..2000, 990..1000), (5..u64::MAX, 5..1000), (0..1000, 0..1000)] {
        assert_eq!(read_all(&store, &object, Some(range)).await.unwrap(), &data[expected]);
    }
    assert_eq!(server.requests().len(), 4);
    for empty in [7..7, 1000..1001, 5000..6000] {
        assert_eq!(read_all(&store, &object, Some(empty)).await.unwrap(), b"");
    }
    assert_eq!(server.requests().len(), 4, "nothing is sent for nothing");
}

#[tokio::test]
async fn a_short_body_goes_on_where_it_ended() {
    let data = content(10_000);
    let served = Arc::clone(&data);
    let server = Server::start(move |_, request| {
        let part = Reply::part(request, &served);
        Reply::object_head(request, &served).send(&part[..part.len().min(3000)]).close()
    });
    let (store, ledger) = store(&server).await;
    assert_eq!(read_all(&store, &object("k", 10_000), None).await.unwrap(), &*data);
    let ranges: Vec<_> = server.requests().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some((3000, 9999)), Some((6000, 9999)), Some((9000, 9999))]);
    assert!(server.requests().iter().all(|request| request.header("if-match") == Some("\"e1\"")));
    assert_eq!((ledger.totals().requests, ledger.totals().bytes_received), (4, 10_000));
}

#[tokio::test]
async fn a_body_that_never_goes_on_is_given_up() {
    let server = Server::start(move |_, request| {
        let send = if request.range().is_none() { 10 } else { 0 };
        Reply::object_head(request, &content(100)).send(&content(100)[..send]).close()
    });
    let (store, _) = store(&server).await;
    let error = read_all(&store, &object("k", 100), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(error.get("byte"), Some("10"));
    assert_eq!((error.get("key"), error.get("bucket"), error.get("attempts")), (Some("k"), Some("bucket"), Some("3")));
    assert_eq!(server.requests().len(), 3);
    shown(&error);
}

#[tokio::test]
async fn a_stalled_body_goes_on_over_a_new_connection() {
    let data = content(5000);
    let served = Arc::clone(&data);
    let server = Server::start(move |number, request| {
        let part = Reply::part(request, &served);
        match number {
            0 => Reply::object_head(request, &served).send(&part[..2000]).pause(Duration::from_secs(30)),
            _ => Reply::object(request, &served),
        }
    });
    let (store, _) = store(&server).await;
    let before = std::time::Instant::now();
    assert_eq!(read_all(&store, &object("k", 5000), None).await.unwrap(), &*data);
    assert!(before.elapsed() < Duration::from_secs(5));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_slow_body_that_lives_is_not_a_stall() {
    let data = content(10);
    let served = Arc::clone(&data);
    let server = Server::start(move |_, request| {
        let mut reply = Reply::object_head(request, &served);
        for byte in served.iter() {
            reply = reply.send(&[*byte]).pause(Duration::from_millis(100));
        }
        reply
    });
    let (store, _) = store(&server).await;
    assert_eq!(read_all(&store, &object("k", 10), None).await.unwrap(), &*data);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reader_that_is_busy_elsewhere_is_not_a_stall() {
    let data = content(8_000_000); // more than the sockets hold
    let served = Arc::clone(&data);
    let server = Server::start(move |_, request| Reply::object(request, &served));
    let (store, _) = store(&server).await;
    let mut body = store.get(&object("k", 8_000_000), None).await.unwrap();
    let mut all = Vec::new();
    let mut pauses = 3;
    while let Some(bytes) = body.next().await.unwrap() {
        all.extend_from_slice(&bytes);
        if all.len() > 1_000_000 && pauses > 0 {
            pauses -= 1;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
    assert!(all == *data);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reader_that_lets_go_while_it_waits_is_not_a_stall() {
    let data = content(2000);
    let served = Arc::clone(&data);
    let server = Server::start(move |_, request| {
        let head = Reply::object_head(request, &served).send(&served[..1000]);
        head.pause(Duration::from_millis(150)).send(&served[1000..])
    });
    let (store, _) = store(&server).await;
    let mut body = store.get(&object("k", 2000), None).await.unwrap();
    let mut all = body.next().await.unwrap().unwrap().to_vec();
    assert!(tokio::time::timeout(Duration::from_millis(20), body.next()).await.is_err());
    tokio::time::sleep(Duration::from_millis(600)).await;
    while let Some(bytes) = body.next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    assert_eq!((all == *data, server.requests().len()), (true, 1));
}

#[tokio::test]
async fn an_object_that_changes_or_goes_while_it_is_read_is_not_mixed() {
    for (status, code, kind) in
        [(412, "PreconditionFailed", ErrorKind::Changed), (404, "NoSuchKey", ErrorKind::NotFound)]
    {
        let server = Server::start(move |number, request| match number {
            0 => Reply::object_head(request, &content(100)).send(&content(40)).close(),
            _ => Reply::error(status, code, "gone"),
        });
        let (store, ledger) = store(&server).await;
        let error = read_all(&store, &object("k", 100), None).await.unwrap_err();
        assert_eq!((error.kind(), error.get("key"), error.get("byte")), (kind, Some("k"), Some("40")), "{error}");
        assert!(error.hint_text().is_some());
        assert_eq!(ledger.totals().billed_requests, 2, "both are billed");
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_or_ranges_is_noticed() {
    let data = content(100);
    let other_etag = |_: usize, _: &Request| Reply::new(200, &[("ETag", "\"e2\"")], &content(100));
    let (store, _) = self::store(&Server::start(other_etag)).await;
    assert_eq!(read_all(&store, &object("k", 100), None).await.unwrap_err().kind(), ErrorKind::Changed);

    let whole = move |_: usize, _: &Request| Reply::new(200, &[("ETag", "\"e1\"")], &data);
    let (store, _) = self::store(&Server::start(whole)).await;
    let error = read_all(&store, &object("k", 100), Some(10..20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = read_all(&store, &object("k", 99), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "another size");
}

#[tokio::test]
async fn a_wrong_checksum_is_an_error_after_all_bytes() {
    for (checksum, right) in [("u9MmoA==", false), ("NSRBwg==", true)] {
        let headers: &'static [_] = Box::leak(Box::new([("ETag", "\"e1\""), ("x-amz-checksum-crc32", checksum)]));
        let server = Server::start(move |_, _| Reply::new(200, headers, b"abc"));
        let (store, _) = store(&server).await;
        let result = read_all(&store, &object("k", 3), None).await;
        assert_eq!(server.requests()[0].header("x-amz-checksum-mode"), Some("ENABLED"));
        match result {
            Ok(bytes) => assert!(right && bytes == b"abc"),
            Err(error) => assert!(!right && error.kind() == ErrorKind::Transient, "{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_checksum_is_checked_over_all_answers_of_a_body_that_broke_off() {
    for (rest, right) in [(b"c", true), (b"d", false)] {
        let server = Server::start(move |number, _| match number {
            0 => {
                let headers = [("ETag", "\"e1\""), ("x-amz-checksum-crc32", "NSRBwg==")];
                Reply::head(200, &headers, 3).send(b"ab").close()
            }
            _ => Reply::new(206, &[("ETag", "\"e1\""), ("Content-Range", "bytes 2-2/3")], rest),
        });
        let (store, _) = store(&server).await;
        let result = read_all(&store, &object("k", 3), None).await;
        assert_eq!(server.requests()[1].header("x-amz-checksum-mode"), None, "no server tells that of a range");
        match result {
            Ok(bytes) => assert!(right && bytes == b"abc"),
            Err(error) => assert!(!right && error.subject() == Subject::EarlierRows, "{error:?}"),
        }
    }
}

/// Without an ETag the time is what tells two versions of one size apart: those of one body, and those of a listing.
#[tokio::test]
async fn an_object_without_an_etag_that_is_replaced_while_it_is_read_is_not_mixed() {
    let [listed, later] = ["Mon, 15 Jan 2024 12:00:00 GMT", "Mon, 15 Jan 2024 12:00:05 GMT"];
    let head = |time: &str, range: Option<&str>, length: usize| {
        let mut headers = vec![("Last-Modified", time)];
        headers.extend(range.map(|range| ("Content-Range", range)));
        Reply::head(if range.is_some() { 206 } else { 200 }, &headers, length)
    };
    let without_etag = |modified_at: &str| ObjectFacts {
        etag: "".into(),
        modified_at: Timestamp::parse(modified_at).unwrap(),
        ..object("k", 100)
    };
    let cut = move |number: usize, _: &Request| match number {
        0 => head(listed, None, 100).send(&content(40)).close(),
        _ => head(later, Some("bytes 40-99/100"), 60).send(&[0; 60]),
    };
    for told in ["2024-01-15T12:00:00.900Z", "2024-01-15T12:00:00Z"] {
        let (store, _) = self::store(&Server::start(cut)).await;
        let error = read_all(&store, &without_etag(told), None).await.unwrap_err();
        assert_eq!((error.kind(), error.get("byte")), (ErrorKind::Changed, Some("40")), "{error}");
    }
    let (store, _) = self::store(&Server::start(move |_, _| head(later, None, 100).send(&content(100)))).await;
    let error = read_all(&store, &without_etag("2024-01-15T12:00:00Z"), None).await.unwrap_err();
    assert_eq!((error.kind(), error.get("difference")), (ErrorKind::Changed, Some("last_modified")), "{error}");
    assert_eq!(read_all(&store, &without_etag("2024-01-15T12:00:04.600Z"), None).await.unwrap().len(), 100, "rounded");
}

#[tokio::test]
async fn a_key_or_a_token_that_no_url_can_hold_is_an_error_and_not_a_panic() {
    let long = "k".repeat(1_000_000);
    let token = format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{long}</NextContinuationToken>\
         </ListBucketResult>"
    );
    let server = Server::start(move |_, _| Reply::new(200, &[], token.as_bytes()));
    let (store, _) = store(&server).await;
    let prefix = crate::ListRequest { prefix: long.clone(), ..Default::default() };
    assert_eq!(store.list(&prefix).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(store.head(&long).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(server.requests().len(), 0);
    let page = store.list(&crate::ListRequest::default()).await.unwrap();
    let next = crate::ListRequest { continuation: page.next, ..Default::default() };
    assert_eq!(store.list(&next).await.unwrap_err().kind(), ErrorKind::Unsupported);
}
