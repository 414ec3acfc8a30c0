//! S3 as a client sees it: listings, conditions, ranges, writes, keys and rights, and the log.

mod common;

use std::time::Duration;

use common::{Answer, Client, End, encode, path_of};
use tollgate_testkit::{
    Access, BucketOptions, Content, ObjectOptions, Options, Rule, Server, User, VirtualBucket, VirtualObject,
    parse_time,
};

/// Keys that servers and clients get wrong.
fn odd_keys() -> Vec<String> {
    let plain = [
        "a",
        "a/b",
        "a//b",
        "a b",
        "a+b",
        "%41%2F",
        "k=v",
        "x&y",
        "#?",
        "e\u{301}",
        "\u{e9}",
        "鍵",
        "😀",
        "\u{ffe5}",
        "trailing/",
        ".hidden",
        "../up",
        "./here",
        "tab\tkey",
        "line\nfeed",
        "\u{1}",
        "q\"'",
        "back\\slash",
        "<xml>&amp;</xml>",
        "/leading",
        "~tilde*(!)",
        "semi;colon:at@",
        "€/ü",
    ];
    let mut keys: Vec<String> = plain.iter().map(|key| (*key).to_owned()).collect();
    keys.extend([202, 1002, 1024].map(|length| "x".repeat(length)));
    keys.sort();
    keys
}

fn start() -> Server {
    Server::start(Options::default()).expect("a server")
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status, answer.element("Code"))
}

fn codes(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.element("Code").as_str()), (status, code), "{}", answer.text());
}

/// All keys and common prefixes over all pages.
fn list_all(client: &mut Client, bucket: &str, query: &str) -> (Vec<String>, Vec<String>, usize) {
    let (mut keys, mut prefixes, mut pages) = (Vec::new(), Vec::new(), 0);
    let mut token = String::new();
    loop {
        let answer = client.get(&format!("/{bucket}?{query}&list-type=2{token}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        pages += 1;
        let page_keys = answer.elements("Key");
        let page_prefixes = answer.elements("CommonPrefixes");
        assert_eq!(answer.element("KeyCount"), (page_keys.len() + page_prefixes.len()).to_string());
        keys.extend(page_keys);
        let inner = |text: &String| text.trim_start_matches("<Prefix>").trim_end_matches("</Prefix>").to_owned();
        prefixes.extend(page_prefixes.iter().map(inner));
        if answer.element("IsTruncated") != "true" {
            assert_eq!(answer.element("NextContinuationToken"), "");
            return (keys, prefixes, pages);
        }
        token = format!("&continuation-token={}", encode(&answer.element("NextContinuationToken"), false));
    }
}

fn url_decode(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some((head, tail)) = rest.split_once('%') {
        bytes.extend_from_slice(head.as_bytes());
        bytes.push(u8::from_str_radix(&tail[..2], 16).expect("an escape"));
        rest = &tail[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn odd_keys_go_in_over_http_and_come_out_in_order() {
    let server = start();
    server.store().create_bucket("odd", BucketOptions::default());
    let mut client = Client::new(&server);
    let keys = odd_keys();
    for (number, key) in keys.iter().enumerate() {
        let answer = client.put(&path_of("odd", key), format!("body {number}").as_bytes());
        assert_eq!(answer.status, 200, "{key:?}: {}", answer.text());
    }
    assert_eq!(server.store().keys("odd"), keys);
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(client.get(&path_of("odd", key)).text(), format!("body {number}"), "{key:?}");
    }
    for max_keys in [1, 4, 1000] {
        let query = format!("encoding-type=url&max-keys={max_keys}");
        let (listed, _, pages) = list_all(&mut client, "odd", &query);
        let listed: Vec<String> = listed.iter().map(|key| url_decode(key)).collect();
        assert_eq!((listed, pages), (keys.clone(), keys.len().div_ceil(max_keys)));
    }
    let logged: Vec<_> =
        server.log().entries().into_iter().filter(|entry| entry.operation == "REST.PUT.OBJECT").collect();
    assert_eq!(logged.iter().map(|entry| entry.key.clone().expect("a key")).collect::<Vec<_>>(), keys);
}

#[test]
fn a_listing_tells_all_facts_of_an_object() {
    let server = start();
    let options = ObjectOptions {
        modified_at: Some(parse_time("2024-02-29T12:34:56.789Z").expect("a time")),
        storage_class: Some("GLACIER_IR".into()),
        etag: Some("abc-3".to_owned()),
        ..ObjectOptions::default()
    };
    server.store().put("facts", "d/a", "12345", options);
    server.store().put("facts", "d/e/b", "1", ObjectOptions::default());
    let answer = Client::new(&server).get("/facts?delimiter=%2F&list-type=2&prefix=d%2F&start-after=c");
    let text = answer.text();
    for (name, value) in [
        ("Name", "facts"),
        ("Prefix", "d/"),
        ("Delimiter", "/"),
        ("StartAfter", "c"),
        ("MaxKeys", "1000"),
        ("KeyCount", "2"),
        ("IsTruncated", "false"),
        ("Key", "d/a"),
        ("ETag", "\"abc-3\""),
        ("Size", "5"),
        ("LastModified", "2024-02-29T12:34:56.000Z"),
        ("StorageClass", "GLACIER_IR"),
        ("CommonPrefixes", "<Prefix>d/e/</Prefix>"),
    ] {
        assert_eq!(answer.element(name), value, "{name} in {text}");
    }
}

#[test]
fn limits_and_broken_parameters_of_a_listing() {
    let server = start();
    for number in 0..1005 {
        server.store().put("many", &format!("{number:04}"), "", ObjectOptions::default());
    }
    let mut client = Client::new(&server);
    let answer = client.get("/many?list-type=2&max-keys=5000");
    assert_eq!((answer.element("MaxKeys"), answer.element("KeyCount")), ("1000".into(), "1000".into()));
    let answer = client.get("/many?list-type=2&max-keys=0");
    assert_eq!((answer.element("KeyCount"), answer.element("IsTruncated")), ("0".into(), "false".into()));
    for query in ["continuation-token=garbage", "max-keys=-1", "max-keys=x", "encoding-type=base64"] {
        codes(&client.get(&format!("/many?{query}&list-type=2")), 400, "InvalidArgument");
    }
    codes(&client.get("/absent?list-type=2"), 404, "NoSuchBucket");
    let answer = client.get("/many?max-keys=2&marker=0001&delimiter=%2F");
    assert_eq!(
        (answer.elements("Key"), answer.element("NextMarker")),
        (vec!["0002".into(), "0003".into()], "0003".into())
    );
    assert_eq!(server.log().count(|entry| entry.operation == "REST.GET.BUCKET"), 8);
}

#[test]
fn a_million_computed_keys_are_listed_page_by_page() {
    let server = start();
    let object = |index: u64| VirtualObject::new(format!("p{}/{index:07}", index / 100_000), "x");
    server.store().virtual_bucket("computed", VirtualBucket::new(1_000_000, object));
    let mut client = Client::new(&server);
    let (_, prefixes, pages) = list_all(&mut client, "computed", "delimiter=%2F");
    assert_eq!((prefixes.len(), pages), (10, 1));
    let (keys, _, pages) = list_all(&mut client, "computed", "prefix=p7%2F07012");
    assert_eq!((keys.len(), pages, keys[99].as_str()), (100, 1, "p7/0701299"));
    let answer = client.get("/computed?list-type=2&start-after=p9%2F0999998");
    assert_eq!(answer.elements("Key"), ["p9/0999999"]);
    assert_eq!(client.get("/computed/p3/0300000").text(), "x");
    codes(&client.get("/computed/p3/0900000"), 404, "NoSuchKey");
    client.put("/computed/p3/0300000", b"changed");
    assert_eq!(client.send("DELETE", "/computed/p3/0300001", &[], b"").status, 204);
    assert_eq!(client.get("/computed/p3/0300000").text(), "changed");
    codes(&client.get("/computed/p3/0300001"), 404, "NoSuchKey");
    let answer = client.get("/computed?list-type=2&max-keys=2&prefix=p3%2F");
    assert_eq!(answer.elements("Key"), ["p3/0300000", "p3/0300002"]);
    assert_eq!(answer.elements("Size"), ["7", "1"]);
}

#[test]
fn ranges_are_answered_as_s3_does() {
    let server = start();
    server.store().put("ranges", "k", "0123456789", ObjectOptions::default());
    server.store().put("ranges", "empty", "", ObjectOptions::default());
    let mut client = Client::new(&server);
    let cases = [
        ("bytes=2-5", 206, "2345", Some("bytes 2-5/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-30", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=8-100", 206, "89", Some("bytes 8-9/10")),
    ];
    for (range, status, body, content_range) in cases {
        let answer = client.send("GET", "/ranges/k", &[("range", range)], b"");
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.header("content-range")),
            (status, body, content_range)
        );
        let head = client.send("HEAD", "/ranges/k", &[("range", range)], b"");
        assert_eq!((head.status, head.header("content-range")), (status, content_range));
        assert_eq!(head.header("content-length"), answer.header("content-length"));
    }
    for (key, range) in [("k", "bytes=10-"), ("k", "bytes=-0"), ("empty", "bytes=0-0")] {
        let answer = client.send("GET", &format!("/ranges/{key}"), &[("range", range)], b"");
        codes(&answer, 416, "InvalidRange");
        assert!(["10", "0"].contains(&answer.element("ActualObjectSize").as_str()));
    }
    for range in ["bytes=--9-", "bytes=5-2", "bytes=x", "bytes=0-1,4-5"] {
        let answer = client.send("GET", "/ranges/k", &[("range", range)], b"");
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"), "{range} is ignored");
        let head = client.send("HEAD", "/ranges/k", &[("range", range)], b"");
        assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
    }
    let mut stranger = Client::new(&server).signed_by(|signer| signer.secret_key = "another secret".to_owned());
    let answer = stranger.send("GET", "/ranges/k", &[("range", "bytes=x")], b"");
    codes(&answer, 403, "SignatureDoesNotMatch");
    let answer = client.get("/ranges/empty");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
    let entry = &server.log().entries()[0];
    assert_eq!((entry.range.as_deref(), entry.bytes_sent, entry.object_size), (Some("bytes=2-5"), 4, Some(10)));
}

#[test]
fn conditions_are_honoured_by_get_and_head() {
    let server = start();
    let modified_at = parse_time("2024-01-01T00:00:00Z").expect("a time");
    let etag = format!("\"{}\"", server.store().put("cond", "k", "body", ObjectOptions::modified_at(modified_at)));
    let (before, same) = ("Sun, 31 Dec 2023 23:59:59 GMT", "Mon, 01 Jan 2024 00:00:00 GMT");
    let cases = [
        (vec![("if-match", etag.as_str())], 200),
        (vec![("if-match", "*")], 200),
        (vec![("if-match", "\"other\"")], 412),
        (vec![("if-none-match", etag.as_str())], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", same)], 304),
        (vec![("if-modified-since", before)], 200),
        (vec![("if-unmodified-since", same)], 200),
        (vec![("if-unmodified-since", before)], 412),
        (vec![("if-match", etag.as_str()), ("if-unmodified-since", before)], 200),
        (vec![("if-none-match", "\"other\""), ("if-modified-since", same)], 200),
        (vec![("if-match", "\"other\""), ("range", "bytes=0-1")], 412),
    ];
    let mut client = Client::new(&server);
    for (headers, status) in cases {
        for method in ["GET", "HEAD"] {
            let answer = client.send(method, "/cond/k", &headers, b"");
            let expected = if status == 200 && headers.iter().any(|(name, _)| *name == "range") { 206 } else { status };
            assert_eq!(answer.status, expected, "{method} {headers:?}");
            if status == 304 {
                assert_eq!((answer.header("etag"), answer.header("last-modified")), (Some(etag.as_str()), Some(same)));
            }
        }
    }
    assert_eq!(server.log().count(|entry| entry.error_code.as_deref() == Some("PreconditionFailed")), 6);
    assert_eq!(server.log().bytes_sent(|entry| entry.status == 304), 0);
}

#[test]
fn archived_objects_are_listed_and_headed_but_not_read() {
    let server = start();
    for class in ["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD_IA"] {
        server.store().put("arch", class, "body", ObjectOptions::storage_class(class));
    }
    let restored = ObjectOptions { restored: true, ..ObjectOptions::storage_class("GLACIER") };
    server.store().put("arch", "restored", "body", restored);
    let mut client = Client::new(&server);
    for (key, status) in
        [("GLACIER", 403), ("DEEP_ARCHIVE", 403), ("GLACIER_IR", 200), ("STANDARD_IA", 200), ("restored", 200)]
    {
        let head = client.head(&format!("/arch/{key}"));
        let class = if key == "restored" { "GLACIER" } else { key };
        assert_eq!((head.status, head.header("x-amz-storage-class")), (200, Some(class)));
        let answer = client.get(&format!("/arch/{key}"));
        assert_eq!(answer.status, status, "{key}");
        if status == 403 {
            assert_eq!(
                (answer.element("Code").as_str(), answer.element("StorageClass")),
                ("InvalidObjectState", key.into())
            );
        }
    }
    let entries = server.log().entries();
    assert_eq!(entries[0].storage_class.as_deref(), Some("GLACIER"));
}

#[test]
fn writes_keep_their_conditions_and_facts() {
    let server = start();
    server.store().create_bucket("wri", BucketOptions::default());
    server.store().set_clock(Some(parse_time("2030-01-02T03:04:05Z").expect("a time")));
    let mut client = Client::new(&server);
    let headers = [("content-type", "text/csv"), ("x-amz-meta-a", "b"), ("x-amz-storage-class", "STANDARD_IA")];
    let first = client.send("PUT", "/wri/k", &headers, b"one");
    assert_eq!((first.status, first.header("etag")), (200, Some("\"f97c5d29941bfb1b2fdab0874906ab82\"")));
    let head = client.head("/wri/k");
    for (name, value) in [
        ("content-type", "text/csv"),
        ("x-amz-meta-a", "b"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("last-modified", "Wed, 02 Jan 2030 03:04:05 GMT"),
        ("accept-ranges", "bytes"),
    ] {
        assert_eq!(head.header(name), Some(value), "{name}");
    }
    codes(&client.send("PUT", "/wri/k", &[("if-none-match", "*")], b"two"), 412, "PreconditionFailed");
    codes(&client.send("PUT", "/wri/k", &[("if-match", "\"other\"")], b"two"), 412, "PreconditionFailed");
    codes(&client.send("PUT", "/wri/new", &[("if-match", "\"other\"")], b"two"), 404, "NoSuchKey");
    assert_eq!(
        client.send("PUT", "/wri/k", &[("if-match", first.header("etag").expect("an ETag"))], b"two").status,
        200
    );
    assert_eq!(client.send("PUT", "/wri/new", &[("if-none-match", "*")], b"two").status, 200);
    let copy = client.send("PUT", "/wri/copy%20of", &[("x-amz-copy-source", "/wri/k")], b"");
    assert_eq!((copy.status, copy.element("ETag").contains("b8a9f715dbb64fd5c56e7783c6820a61")), (200, true));
    assert_eq!(server.store().keys("wri"), ["copy of", "k", "new"]);
    let body = b"<Delete><Object><Key>k</Key></Object><Object><Key>absent</Key></Object></Delete>";
    let deleted = client.send("POST", "/wri?delete", &[], body);
    assert_eq!((deleted.status, deleted.elements("Key")), (200, vec!["k".into(), "absent".into()]));
    assert_eq!(client.send("DELETE", "/wri/new", &[], b"").status, 204);
    assert_eq!(client.send("DELETE", "/wri/new", &[], b"").status, 204);
    assert_eq!(server.store().keys("wri"), ["copy of"]);
    codes(&client.send("DELETE", "/wri", &[], b""), 409, "BucketNotEmpty");
    codes(&client.put("/absent-bucket/k", b"x"), 404, "NoSuchBucket");
}

#[test]
fn checksums_are_compared_kept_and_told() {
    let server = start();
    server.store().create_bucket("sums", BucketOptions::default());
    let mut client = Client::new(&server);
    let right = [("x-amz-checksum-crc32", "y/Q5Jg==")];
    let answer = client.send("PUT", "/sums/k", &right, b"123456789");
    assert_eq!((answer.status, answer.header("x-amz-checksum-crc32")), (200, Some("y/Q5Jg==")), "{}", answer.text());
    codes(&client.send("PUT", "/sums/k", &right, b"123456780"), 400, "BadDigest");
    codes(&client.send("PUT", "/sums/k", &[("x-amz-checksum-crc32", "zzz")], b"123456789"), 400, "InvalidRequest");
    codes(&client.send("PUT", "/sums/k", &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], b"x"), 400, "BadDigest");
    codes(&client.send("PUT", "/sums/k", &[("content-md5", "!")], b"x"), 400, "InvalidDigest");
    let asked = client.send("GET", "/sums/k", &[("x-amz-checksum-mode", "ENABLED")], b"");
    assert_eq!((asked.header("x-amz-checksum-crc32"), asked.text().as_str()), (Some("y/Q5Jg=="), "123456789"));
    assert_eq!(client.get("/sums/k").header("x-amz-checksum-crc32"), None);
    let part = [("x-amz-checksum-mode", "ENABLED"), ("range", "bytes=0-1")];
    assert_eq!(client.send("GET", "/sums/k", &part, b"").header("x-amz-checksum-crc32"), None);
}

#[test]
fn chunked_bodies_with_a_trailer_are_unframed_and_compared() {
    let server = start();
    server.store().create_bucket("chunked", BucketOptions::default());
    let mut client = Client::new(&server);
    let headers = [
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "9"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let body = |sum: &str| format!("4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:{sum}\r\n\r\n");
    let answer = client.send("PUT", "/chunked/k", &headers, body("y/Q5Jg==").as_bytes());
    assert_eq!((answer.status, answer.header("x-amz-checksum-crc32")), (200, Some("y/Q5Jg==")), "{}", answer.text());
    assert_eq!(client.get("/chunked/k").text(), "123456789");
    assert_eq!(client.head("/chunked/k").header("content-encoding"), None, "the framing is not the object's");
    codes(&client.send("PUT", "/chunked/k", &headers, body("AAAAAA==").as_bytes()), 400, "BadDigest");
    let wrong = [("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")];
    codes(&client.send("PUT", "/chunked/k", &wrong, b"not empty"), 400, "XAmzContentSHA256Mismatch");
    assert_eq!(client.get("/chunked/k").text(), "123456789");
}

#[test]
fn multipart_uploads_from_begin_to_end() {
    let server = start();
    server.store().create_bucket("mp", BucketOptions::default());
    server.store().set_clock(Some(parse_time("2030-01-01T00:00:00Z").expect("a time")));
    let mut client = Client::new(&server);
    let id = client.send("POST", "/mp/k?uploads", &[], b"").element("UploadId");
    server.store().set_clock(None);
    let sizes = [5 << 20, 5 << 20, 3];
    let mut xml = String::from("<CompleteMultipartUpload>");
    for (number, size) in (1..).zip(sizes) {
        let body = vec![b'0' + number; size];
        let answer = client.put(&format!("/mp/k?partNumber={number}&uploadId={id}"), &body);
        let etag = answer.header("etag").expect("an ETag").to_owned();
        xml.push_str(&format!("<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>"));
    }
    xml.push_str("</CompleteMultipartUpload>");
    let parts = client.get(&format!("/mp/k?uploadId={id}&max-parts=2"));
    assert_eq!(
        (parts.elements("PartNumber"), parts.element("IsTruncated")),
        (vec!["1".into(), "2".into()], "true".into())
    );
    assert_eq!(client.get("/mp?uploads").elements("UploadId").join(" "), id);
    assert_eq!((server.store().open_uploads("mp"), server.store().keys("mp").len()), (1, 0));
    let target = format!("/mp/k?uploadId={id}");
    let done = client.send("POST", &target, &[], xml.as_bytes());
    assert!(done.status == 200 && done.element("ETag").ends_with("-3\""), "{}", done.text());
    let head = client.head("/mp/k");
    assert_eq!(head.header("content-length"), Some("10485763"));
    assert_eq!(head.header("last-modified"), Some("Tue, 01 Jan 2030 00:00:00 GMT"), "when the upload began");
    let third = client.get("/mp/k?partNumber=3");
    assert_eq!((third.status, third.text().as_str(), third.header("x-amz-mp-parts-count")), (206, "333", Some("3")));
    codes(&client.get("/mp/k?partNumber=4"), 416, "InvalidPartNumber");
    codes(&client.send("POST", &target, &[], xml.as_bytes()), 404, "NoSuchUpload");
    let operations: Vec<_> = server.log().entries().iter().map(|entry| entry.operation).collect();
    assert_eq!(operations[..4], ["REST.POST.UPLOADS", "REST.PUT.PART", "REST.PUT.PART", "REST.PUT.PART"]);
    assert_eq!(server.log().count(|entry| entry.operation == "REST.POST.UPLOAD"), 2);
}

#[test]
fn broken_multipart_uploads_are_refused() {
    let server = start();
    server.store().create_bucket("mp", BucketOptions::default());
    let mut client = Client::new(&server);
    let id = client.send("POST", "/mp/k?uploads", &[], b"").element("UploadId");
    let mut etags = Vec::new();
    for number in 1..3 {
        let answer = client.put(&format!("/mp/k?partNumber={number}&uploadId={id}"), b"small");
        etags.push(answer.header("etag").expect("an ETag").to_owned());
    }
    let mut complete = |parts: &[(i32, &str)]| {
        let part =
            |(number, etag): &(i32, &str)| format!("<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>");
        let parts: String = parts.iter().map(part).collect();
        let xml = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        code(&client.send("POST", &format!("/mp/k?uploadId={id}"), &[], xml.as_bytes()))
    };
    let (one, two) = (etags[0].as_str(), etags[1].as_str());
    assert_eq!(complete(&[(1, one), (2, two)]), (400, "EntityTooSmall".into()));
    assert_eq!(complete(&[(2, two), (1, one)]), (400, "InvalidPartOrder".into()));
    assert_eq!(complete(&[(1, "\"wrong\"")]), (400, "InvalidPart".into()));
    assert_eq!(complete(&[(3, one)]), (400, "InvalidPart".into()));
    assert_eq!(client.send("DELETE", &format!("/mp/k?uploadId={id}"), &[], b"").status, 204);
    codes(&client.put(&format!("/mp/k?partNumber=1&uploadId={id}"), b"late"), 404, "NoSuchUpload");
    assert_eq!(server.store().open_uploads("mp"), 0);
}

#[test]
fn keys_secrets_and_rights_fail_as_on_aws() {
    let rule = |list, read| Rule { bucket: "data".into(), list, read, write: false };
    let users = vec![
        User::new("AKIATEST", "secretkeysecret"),
        User::new("READER", "s").with_access(Access::ReadOnly),
        User::new("BLIND", "s").with_access(Access::Rules(vec![rule(false, true)])),
        User::new("NOBODY", "s").with_access(Access::Rules(Vec::new())),
        User::new("ASIATEMP", "s").with_session_token("tok/en+"),
        User { expired: true, ..User::new("ASIAOLD", "s") },
    ];
    let server = Server::start(Options { users, ..Options::default() }).expect("a server");
    server.store().put("data", "k", "body", ObjectOptions::default());
    let client = |key: &str, secret: &str, token: Option<&str>| {
        Client::new(&server).signed_by(|signer| {
            key.clone_into(&mut signer.access_key);
            secret.clone_into(&mut signer.secret_key);
            signer.token = token.map(str::to_owned);
        })
    };
    let cases = [
        ("AKIATEST", "wrong", None, "/data/k", 403, "SignatureDoesNotMatch"),
        ("AKIANONE", "s", None, "/data/k", 403, "InvalidAccessKeyId"),
        ("NOBODY", "s", None, "/data/k", 403, "AccessDenied"),
        ("NOBODY", "s", None, "/data?list-type=2", 403, "AccessDenied"),
        ("NOBODY", "s", None, "/absent/k", 403, "AccessDenied"),
        ("READER", "s", None, "/data/k", 200, ""),
        ("READER", "s", None, "/data?list-type=2", 200, ""),
        ("READER", "s", None, "/data/absent", 404, "NoSuchKey"),
        ("BLIND", "s", None, "/data/k", 200, ""),
        ("BLIND", "s", None, "/data/absent", 403, "AccessDenied"),
        ("BLIND", "s", None, "/data?list-type=2", 403, "AccessDenied"),
        ("ASIATEMP", "s", Some("tok/en+"), "/data/k", 200, ""),
        ("ASIATEMP", "s", Some("other"), "/data/k", 400, "InvalidToken"),
        ("ASIATEMP", "s", None, "/data/k", 403, "InvalidAccessKeyId"),
        ("ASIAOLD", "s", Some("t"), "/data/k", 400, "ExpiredToken"),
    ];
    for (key, secret, token, target, status, expected) in cases {
        let answer = client(key, secret, token).get(target);
        assert_eq!(code(&answer), (status, expected.into()), "{key} {secret} {token:?} {target}: {}", answer.text());
        let head = client(key, secret, token).head(target);
        assert_eq!((head.status, head.body.len()), (status, 0), "HEAD as {key}");
    }
    codes(&client("READER", "s", None).put("/data/new", b"x"), 403, "AccessDenied");
    codes(&Client::new(&server).anonymous().get("/data/k"), 403, "AccessDenied");
    let entry = &server.log().entries()[0];
    assert_eq!((entry.requester.as_deref(), entry.status), (Some("AKIATEST"), 403));
    assert_eq!(entry.error_code.as_deref(), Some("SignatureDoesNotMatch"));
}

#[test]
fn anonymous_and_paid_buckets() {
    let server = start();
    server.store().create_bucket("open", BucketOptions { anonymous: true, ..BucketOptions::default() });
    server.store().create_bucket("paid", BucketOptions { requester_pays: true, ..BucketOptions::default() });
    for bucket in ["open", "paid"] {
        server.store().put(bucket, "k", "body", ObjectOptions::default());
    }
    let mut anonymous = Client::new(&server).anonymous();
    assert_eq!(anonymous.get("/open/k").text(), "body");
    assert_eq!(anonymous.get("/open?list-type=2").elements("Key"), ["k"]);
    codes(&anonymous.put("/open/k", b"x"), 403, "AccessDenied");
    codes(&anonymous.get("/"), 403, "AccessDenied");
    let mut signed = Client::new(&server);
    for target in ["/paid/k", "/paid?list-type=2"] {
        codes(&signed.get(target), 403, "AccessDenied");
        let answer = signed.send("GET", target, &[("x-amz-request-payer", "requester")], b"");
        assert_eq!((answer.status, answer.header("x-amz-request-charged")), (200, Some("requester")));
    }
}

#[test]
fn regions_redirect_as_on_aws() {
    let server = start();
    server.store().put("home", "k", "body", ObjectOptions::default());
    server
        .store()
        .create_bucket("away", BucketOptions { region: Some("eu-west-1".into()), ..BucketOptions::default() });
    server.store().put("away", "k", "body", ObjectOptions::default());
    let client = |region: &str| Client::new(&server).signed_by(|signer| region.clone_into(&mut signer.region));

    let answer = client("us-east-1").get("/away/k");
    codes(&answer, 301, "PermanentRedirect");
    assert_eq!(answer.header("x-amz-bucket-region"), Some("eu-west-1"));
    assert_eq!(answer.element("Endpoint"), "away.s3.eu-west-1.amazonaws.com");
    let head = client("us-east-1").head("/away");
    assert_eq!((head.status, head.header("x-amz-bucket-region")), (301, Some("eu-west-1")));
    assert_eq!(client("eu-west-1").get("/away/k").text(), "body");
    assert_eq!(client("eu-west-1").head("/away").header("x-amz-bucket-region"), Some("eu-west-1"));
    assert_eq!(client("us-east-1").get("/away?location").element("LocationConstraint"), "");
    assert!(client("us-east-1").get("/away?location").text().contains("eu-west-1"));

    for (bucket, region) in [("home", "us-east-1"), ("away", "eu-west-1")] {
        let answer = client("ap-south-1").get(&format!("/{bucket}/k"));
        codes(&answer, 400, "AuthorizationHeaderMalformed");
        assert_eq!((answer.element("Region").as_str(), answer.header("x-amz-bucket-region")), (region, None));
        assert!(answer.element("Message").contains("'ap-south-1' is wrong; expecting"));
        let head = client("ap-south-1").head(&format!("/{bucket}/k"));
        assert_eq!((head.status, head.header("x-amz-bucket-region")), (400, Some(region)));
    }
}

#[test]
fn buckets_as_host_names() {
    let options = Options { domains: vec!["localhost".into(), "s3.test".into()], ..Options::default() };
    let server = Server::start(options).expect("a server");
    server.store().put("host-style", "a/b", "body", ObjectOptions::default());
    let port = server.address().port();
    for host in [format!("host-style.localhost:{port}"), "host-style.s3.test".to_owned()] {
        let mut client = Client::new(&server);
        client.host = host;
        assert_eq!(client.get("/a/b").text(), "body");
        assert_eq!(client.get("/?list-type=2").elements("Key"), ["a/b"]);
    }
    for host in [format!("localhost:{port}"), "elsewhere.example".to_owned()] {
        let mut client = Client::new(&server);
        client.host = host;
        assert_eq!(client.get("/host-style/a/b").text(), "body");
    }
    assert_eq!(server.log().count(|entry| entry.bucket.as_deref() == Some("host-style") && entry.status == 200), 6);
}

#[test]
fn buckets_are_made_and_found() {
    let server = start();
    let mut client = Client::new(&server);
    assert_eq!(client.put("/made-here", b"").status, 200);
    codes(&client.put("/made-here", b""), 409, "BucketAlreadyOwnedByYou");
    codes(&client.put("/Not_A_Name", b""), 400, "InvalidBucketName");
    assert_eq!(client.get("/").elements("Name"), ["made-here"]);
    assert_eq!(client.head("/made-here").status, 200);
    assert_eq!(client.head("/absent").status, 404);
    assert_eq!(client.send("DELETE", "/made-here", &[], b"").status, 204);
    assert_eq!(client.head("/made-here").status, 404);
}

#[test]
fn a_body_of_a_hundred_gigabytes_costs_nothing_until_it_is_read() {
    let server = start();
    let row = |number: u64, bytes: &mut [u8]| bytes.copy_from_slice(format!("{number:015}\n").as_bytes());
    let content = Content::fixed_rows("id\n", 16, 100_000_000_000 / 16, row);
    server.store().put("big", "k", content, ObjectOptions::default());
    let mut client = Client::new(&server);
    assert_eq!(client.head("/big/k").header("content-length"), Some("100000000003"));
    let range = [("range", "bytes=99999999987-100000000002")];
    assert_eq!(client.send("GET", "/big/k", &range, b"").text(), "000006249999999\n");
    let range = [("range", "bytes=0-5000002")];
    let answer = client.send("GET", "/big/k", &range, b"");
    assert_eq!((answer.end, answer.body.len()), (End::Whole, 5_000_003));
    assert!(answer.text().lines().skip(1).zip(0_u64..).all(|(line, number)| line == format!("{number:015}")));
    // A client that goes away in the middle: what it was sent is far less than the object.
    client.write("GET", "/big/k", &[], b"");
    client.abandon();
    assert!(server.log().wait_idle(Duration::from_secs(5)));
    let entry = server.log().entries().pop().expect("an entry");
    assert!(!entry.complete && entry.bytes_sent < 100_000_000, "{entry:?}");
    assert_eq!(entry.object_size, Some(100_000_000_003));
}

#[test]
fn the_log_has_the_fields_of_server_access_logs() {
    let server = start();
    server.store().put("logged", "a b", "body", ObjectOptions::default());
    let mut client = Client::new(&server);
    let answer = client.send("GET", "/logged/a%20b?x-id=GetObject", &[("user-agent", "probe/1")], b"");
    let entries = server.log().entries();
    let entry = &entries[0];
    assert_eq!(entry.operation, "REST.GET.OBJECT");
    assert_eq!((entry.bucket.as_deref(), entry.key.as_deref()), (Some("logged"), Some("a b")));
    assert_eq!(entry.request_uri, "GET /logged/a%20b?x-id=GetObject HTTP/1.1");
    assert_eq!(entry.query.as_deref(), Some("x-id=GetObject"));
    assert_eq!((entry.status, entry.bytes_sent, entry.complete), (200, 4, true));
    assert_eq!(entry.user_agent.as_deref(), Some("probe/1"));
    assert_eq!(entry.requester.as_deref(), Some("AKIATEST"));
    assert_eq!(entry.storage_class.as_deref(), Some("STANDARD"));
    assert_eq!(answer.header("x-amz-request-id"), Some(entry.request_id.as_str()));
    assert!(entry.remote.starts_with("127.0.0.1:"));
    let path = std::env::temp_dir().join(format!("testkit-log-{}.jsonl", std::process::id()));
    server.log().write_jsonl(&path).expect("a file");
    let text = std::fs::read_to_string(&path).expect("the file");
    std::fs::remove_file(&path).expect("the file");
    let line: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&line["operation"], &line["bytes_sent"]), (&"REST.GET.OBJECT".into(), &4.into()));
    server.log().set_enabled(false);
    client.get("/logged/a%20b");
    assert_eq!(server.log().entries().len(), 1);
}

#[test]
fn an_entry_is_there_when_the_client_has_its_answer() {
    let server = start();
    server.store().put("seen", "k", "body", ObjectOptions::default());
    let mut client = Client::new(&server);
    for count in 1..300 {
        client.get("/seen/k");
        let complete = server.log().count(|entry| entry.complete && entry.bytes_sent == 4);
        assert_eq!(complete, count);
    }
}

#[test]
fn the_highest_number_of_requests_in_flight_is_seen() {
    let server = start();
    server.store().put("flight", "k", "body", ObjectOptions::default());
    server.faults().add(tollgate_testkit::Fault::new(tollgate_testkit::Action::Delay(300)));
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| Client::new(&server).get("/flight/k"));
        }
    });
    assert_eq!(server.log().max_in_flight(), 5);
}

#[test]
fn a_dropped_server_is_gone() {
    let server = start();
    let address = server.address();
    let mut client = Client::new(&server);
    assert_eq!(client.get("/").status, 200);
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
    assert_ne!(client.get("/").end, End::Whole);
}

#[tokio::test]
async fn a_server_starts_and_stops_inside_a_runtime() {
    let server = start();
    server.store().put("async", "k", "body", ObjectOptions::default());
    let address = server.address();
    let read = tokio::task::spawn_blocking(move || Client::to(address).get("/async/k").text());
    assert_eq!(read.await.expect("no panic"), "body");
    assert_eq!(server.log().entries().len(), 1);
}
