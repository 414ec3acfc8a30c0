//! One HTTP request from its head to the answer: log, faults, region, then S3.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use s3s::Body;
use s3s::dto::Range;
use s3s::service::S3Service;

use crate::answer::AnswerBody;
use crate::connection::Connection;
use crate::control;
use crate::failure::{Failure, code_of, escape, usual_code};
use crate::faults::{Action, Change, Faults, Plan, Subject};
use crate::list_page::Rows;
use crate::objects::Facts;
use crate::request_log::{Entry, RequestLog};
use crate::store::{ObjectOptions, Store};
use crate::target::{Target, percent_decode, query_value};

/// What all connections share.
pub(crate) struct Service {
    pub(crate) s3: S3Service,
    /// The same without a check of keys and rights, for what `s3` has let pass.
    pub(crate) unguarded: S3Service,
    pub(crate) store: Store,
    pub(crate) log: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) region: String,
    pub(crate) domains: Vec<String>,
}

impl Service {
    /// Answers one request. An error ends the connection.
    pub(crate) async fn call(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
        remote: SocketAddr,
    ) -> Result<Response<AnswerBody>, io::Error> {
        if request.uri().path().starts_with(control::PATH) {
            let response = control::answer(self, request).await?;
            return Ok(response.map(|body| AnswerBody::new(body, Arc::clone(connection), None)));
        }
        let target = Target::of(request.method(), request.uri(), request.headers(), &self.domains);
        let number = self.log.next_id();
        let request_id = request_id(number);
        let signer = Signer::of(request.headers(), request.uri());
        let exchange = self.log.begin(|entry| {
            describe(entry, &request, &target, signer.as_ref());
            entry.number = number;
            entry.remote = remote.to_string();
            entry.request_id.clone_from(&request_id);
        });
        connection.begin(exchange);

        let plan = self.faults.plan(&subject(&request, &target));
        self.prepare(&plan, &target).await;
        if plan.answer == Some(Action::Reset) {
            connection.reset_on_close();
            connection.update(|exchange| exchange.fault(plan.name));
            return Err(io::Error::other("the connection is reset by a fault"));
        }
        let head = request.method() == Method::HEAD;
        let mut response = self.answer(request, &plan, &target, signer.as_ref(), &request_id).await?;
        let error_code = response.extensions_mut().remove::<ErrorCode>();
        let facts = response.extensions_mut().remove::<Facts>();
        add_headers(response.headers_mut(), &request_id);
        connection.update(|exchange| {
            exchange.answered(|entry| {
                entry.status = response.status().as_u16();
                entry.error_code = error_code.map(|code| code.0);
                entry.fault = plan.name;
                entry.object_size = facts.as_ref().map(|facts| facts.size_bytes);
                entry.storage_class = facts.map(|facts| facts.storage_class.into_owned());
            });
        });
        let action = plan.answer.as_ref().filter(|_| !head);
        Ok(response.map(|body| AnswerBody::new(body, Arc::clone(connection), action)))
    }

    /// Lets the faults act that come before the answer.
    async fn prepare(&self, plan: &Plan, target: &Target) {
        if plan.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(plan.delay_ms)).await;
        }
        let (Some(bucket), Some(key)) = (&target.bucket, &target.key) else { return };
        match &plan.change {
            Some(Change::Replace(bytes)) => {
                self.store.put(bucket, key, Bytes::clone(bytes), ObjectOptions::default());
            }
            Some(Change::Delete) => {
                self.store.remove(bucket, key);
            }
            None => (),
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        plan: &Plan,
        target: &Target,
        signer: Option<&Signer>,
        request_id: &str,
    ) -> Result<Response<Body>, io::Error> {
        let head = request.method() == Method::HEAD;
        let fault = plan.answer.as_ref().and_then(failure_of);
        if let Some(failure) = fault.or_else(|| self.check_region(target, signer, head)) {
            return Ok(with_code(failure, target, request_id));
        }
        let mut response = self.call_s3(request.map(Body::from)).await?;
        match Failure::of(&mut response) {
            Some(failure) => Ok(with_code(failure, target, request_id)),
            None => {
                if let (Some(rows), Some(xml)) = (response.extensions_mut().remove::<Rows>(), response.body().bytes()) {
                    *response.body_mut() = Body::from(rows.splice(&xml));
                    response.headers_mut().remove("content-length");
                }
                // The framework answers every HEAD of an object with 200.
                if response.headers().contains_key("content-range") {
                    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                }
                Ok(response)
            }
        }
    }

    /// Asks the S3 framework. S3 ignores a `Range` that it cannot read and sends the whole object; the framework refuses it,
    /// after it has checked who asks, so it is asked again without that header.
    async fn call_s3(&self, request: Request<Body>) -> Result<Response<Body>, io::Error> {
        let whole = has_malformed_range(request.headers()).then(|| without_range(&request));
        let no_answer = |_| io::Error::other("the S3 framework gave no answer");
        let response = self.s3.call(request).await.map_err(no_answer)?;
        match whole {
            // Other refusals of this status are about temporary keys.
            Some(whole) if code_of(&response).as_deref() == Some("InvalidArgument") => {
                self.unguarded.call(whole).await.map_err(no_answer)
            }
            _ => Ok(response),
        }
    }

    /// Refuses a request that is signed for a region in which its bucket does not live, as S3 does: 301 when it came to
    /// the server's own region, 400 when it was signed for a third one.
    fn check_region(&self, target: &Target, signer: Option<&Signer>, head: bool) -> Option<Failure> {
        let signed = signer?.region.as_deref()?;
        let bucket = target.bucket.as_deref().and_then(|bucket| self.store.bucket(bucket));
        let region = bucket.and_then(|bucket| bucket.options().region).unwrap_or_else(|| self.region.clone());
        let location = target.operation == "REST.GET.LOCATION" || target.operation == "REST.PUT.BUCKET";
        if signed == region || (location && signed == self.region) {
            return None;
        }
        if signed == self.region {
            let bucket = escape(target.bucket.as_deref().unwrap_or(""));
            let endpoint = format!("{bucket}.s3.{region}.amazonaws.com");
            let detail = format!("<Endpoint>{endpoint}</Endpoint><Bucket>{bucket}</Bucket>");
            let failure = Failure::new(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect").detail(detail);
            return Some(failure.header("x-amz-bucket-region", &region));
        }
        let mut failure = Failure::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed");
        failure.message = Some(format!(
            "The authorization header is malformed; the region '{}' is wrong; expecting '{region}'",
            escape(signed)
        ));
        let failure = failure.detail(format!("<Region>{region}</Region>"));
        // A GET tells the region in its XML; a HEAD has no body to tell it in.
        Some(if head { failure.header("x-amz-bucket-region", &region) } else { failure })
    }
}

fn has_malformed_range(headers: &HeaderMap) -> bool {
    headers.get(RANGE).is_some_and(|range| range.to_str().is_ok_and(|text| Range::parse(text).is_err()))
}

/// The head of a request, without its `Range` and the signature that holds with it only.
fn without_range(request: &Request<Body>) -> Request<Body> {
    let mut whole = Request::new(Body::empty());
    *whole.method_mut() = request.method().clone();
    *whole.uri_mut() = request.uri().clone();
    *whole.headers_mut() = request.headers().clone();
    for name in [RANGE, AUTHORIZATION] {
        whole.headers_mut().remove(name);
    }
    whole
}

/// Rides with an answer to the log.
#[derive(Clone)]
struct ErrorCode(String);

fn with_code(failure: Failure, target: &Target, request_id: &str) -> Response<Body> {
    let code = ErrorCode(failure.code.clone());
    let mut response = failure.into_response(target, request_id);
    response.extensions_mut().insert(code);
    response
}

fn failure_of(action: &Action) -> Option<Failure> {
    let Action::Status { status, code, retry_after_s } = action else { return None };
    let code = code.clone().unwrap_or_else(|| usual_code(*status).to_owned());
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let failure = Failure::new(status, code);
    Some(match retry_after_s {
        Some(seconds) => failure.header("retry-after", &seconds.to_string()),
        None => failure,
    })
}

fn add_headers(headers: &mut HeaderMap, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amz-id-2", id.clone());
        headers.insert("x-amz-request-id", id);
    }
    headers.insert("server", HeaderValue::from_static("AmazonS3"));
}

/// 16 digits and letters, as S3's are.
fn request_id(number: u64) -> String {
    format!("{:016X}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn subject<'a>(request: &'a Request<Incoming>, target: &'a Target) -> Subject<'a> {
    Subject {
        method: request.method().as_str(),
        operation: target.operation,
        bucket: target.bucket.as_deref().unwrap_or(""),
        key: target.key.as_deref().unwrap_or(""),
        query: request.uri().query().unwrap_or(""),
        range: request.headers().contains_key("range"),
    }
}

fn describe(entry: &mut Entry, request: &Request<Incoming>, target: &Target, signer: Option<&Signer>) {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    request.method().as_str().clone_into(&mut entry.method);
    entry.requester = signer.map(|signer| signer.access_key.clone());
    entry.operation = target.operation;
    entry.bucket.clone_from(&target.bucket);
    entry.key.clone_from(&target.key);
    entry.request_uri = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    entry.query = request.uri().query().map(str::to_owned);
    entry.range = header("range");
    entry.if_match = header("if-match");
    entry.user_agent = header("user-agent");
}

/// Who claims to have signed a request, and for which region; nothing of it is checked.
struct Signer {
    access_key: String,
    region: Option<String>,
}

impl Signer {
    fn of(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        let header = headers.get("authorization").and_then(|value| value.to_str().ok());
        if let Some(scope) = header.and_then(|header| header.split_once("Credential=")) {
            return Self::of_scope(scope.1.split(',').next().unwrap_or(""));
        }
        let scope = query_value(uri.query()?, "X-Amz-Credential")?;
        Self::of_scope(&percent_decode(scope))
    }

    /// Reads `KEY/20260101/REGION/s3/aws4_request`.
    fn of_scope(scope: &str) -> Option<Self> {
        let mut parts = scope.split('/');
        let access_key = parts.next().filter(|key| !key.is_empty())?.to_owned();
        Some(Self { access_key, region: parts.nth(1).map(str::to_owned) })
    }
}
