//! Control over HTTP for tests in other languages, outside the name space of S3 (a bucket's name has no underscore).

use std::io;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::Body;
use serde::Serialize;

use crate::faults::Fault;
use crate::service::Service;
use crate::store::{BucketOptions, ObjectOptions, parse_time};
use crate::target::{percent_decode, query_value};

/// Where control begins.
pub(crate) const PATH: &str = "/__testkit/";

/// Answers a control request; these are not in the log.
pub(crate) async fn answer(service: &Service, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let query = head.uri.query().unwrap_or("");
    let action = head.uri.path().strip_prefix(PATH).unwrap_or("");
    let done = match (&head.method, action) {
        (&Method::PUT, "fault") => add_fault(service, &body),
        (&Method::DELETE, "fault") => {
            service.faults.clear();
            Ok(Body::empty())
        }
        (&Method::GET, "log") => log(service),
        (&Method::DELETE, "log") => {
            service.log.clear();
            Ok(Body::empty())
        }
        (&Method::PUT, "bucket") => make_bucket(service, query),
        (&Method::PUT, "object") => put(service, query, body),
        (&Method::DELETE, "object") => {
            bucket_and_key(query).map(|(bucket, key)| json(&service.store.remove(&bucket, &key)))
        }
        (&Method::POST, "touch") => touch(service, query),
        _ => Err(anyhow::anyhow!("no such control; see the README")),
    };
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match done {
        Ok(body) => *response.body_mut() = body,
        Err(error) => {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            *response.body_mut() = json(&format!("{error:#}"));
        }
    }
    Ok(response)
}

fn json(value: &impl Serialize) -> Body {
    serde_json::to_vec(value).map_or_else(|_| Body::empty(), |bytes| Body::from(Bytes::from(bytes)))
}

fn add_fault(service: &Service, body: &Bytes) -> anyhow::Result<Body> {
    let fault: Fault = serde_json::from_slice(body)?;
    Ok(json(&service.faults.add(fault)))
}

fn log(service: &Service) -> anyhow::Result<Body> {
    let mut lines = Vec::new();
    for entry in service.log.entries() {
        serde_json::to_writer(&mut lines, &entry)?;
        lines.push(b'\n');
    }
    Ok(Body::from(Bytes::from(lines)))
}

fn make_bucket(service: &Service, query: &str) -> anyhow::Result<Body> {
    let name = parameter(query, "bucket").ok_or_else(|| anyhow::anyhow!("the parameter `bucket` is missing"))?;
    let yes = |name| parameter(query, name).is_some_and(|text| text == "true");
    let options = BucketOptions {
        region: parameter(query, "region"),
        anonymous: yes("anonymous"),
        requester_pays: yes("requester_pays"),
        ..BucketOptions::default()
    };
    service.store.create_bucket(&name, options);
    Ok(Body::empty())
}

fn put(service: &Service, query: &str, body: Bytes) -> anyhow::Result<Body> {
    let (bucket, key) = bucket_and_key(query)?;
    let options = ObjectOptions {
        modified_at: parameter(query, "modified_at").map(|text| parse_time(&text)).transpose()?,
        storage_class: parameter(query, "storage_class").map(Into::into),
        etag: parameter(query, "etag"),
        restored: parameter(query, "restored").is_some_and(|text| text == "true"),
        ..ObjectOptions::default()
    };
    Ok(json(&service.store.put(&bucket, &key, body, options)))
}

fn touch(service: &Service, query: &str) -> anyhow::Result<Body> {
    let (bucket, key) = bucket_and_key(query)?;
    let modified_at = match parameter(query, "modified_at") {
        Some(text) => parse_time(&text)?,
        None => service.store.now(),
    };
    Ok(json(&service.store.touch(&bucket, &key, modified_at)))
}

fn bucket_and_key(query: &str) -> anyhow::Result<(String, String)> {
    let needed = |name| parameter(query, name).ok_or_else(|| anyhow::anyhow!("the parameter `{name}` is missing"));
    Ok((needed("bucket")?, needed("key")?))
}

/// A decoded parameter; a plus is a plus.
fn parameter(query: &str, name: &str) -> Option<String> {
    query_value(query, name).map(percent_decode)
}
