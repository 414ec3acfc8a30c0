//! The errors of a server and their meaning: one table from S3's error codes to kinds, texts and hints.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::context::{ConnectionContext, RequestTarget};
use super::meter::element;
use tollgate_base::error::{Error, ErrorKind};
use tollgate_cost::usage::Operation;

/// A refusal.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// S3's error code. Empty if the answer had no body.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    /// The region that the server names as the bucket's.
    pub(super) region: Option<String>,
    /// The pause that the server requests.
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    pub(super) fn read(response: &HttpResponse, error: &impl ProvideErrorMetadata) -> Self {
        let body = response.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
        let region = header(response, "x-amz-bucket-region");
        // A body that was cut is no document for the SDK, and may have these all the same.
        let of_body = |name: &str| element(&body, name).map(str::to_owned);
        let retry_after = header(response, "retry-after").and_then(|text| text.trim().parse().ok());
        Self {
            status: response.status().as_u16(),
            code: error.code().map(str::to_owned).or_else(|| of_body("Code")).unwrap_or_default(),
            message: error.message().map(str::to_owned).or_else(|| of_body("Message")).unwrap_or_default(),
            request_id: request_id(response),
            region: region.or_else(|| of_body("Region")),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    /// Whether the same request may be answered otherwise a little later.
    pub(super) fn transient(&self) -> bool {
        match (self.status, self.code.as_str()) {
            (
                _,
                "SlowDown"
                | "RequestLimitExceeded"
                | "BandwidthLimitExceeded"
                | "Throttling"
                | "ThrottlingException"
                | "TooManyRequests"
                | "TooManyRequestsException"
                | "RequestTimeout"
                | "InternalError"
                | "ServiceUnavailable"
                | "OperationAborted",
            ) => true,
            (408 | 409 | 425 | 429, _) => true,
            // What these servers say of themselves stays: not implemented, versions, a full disk, loops, a log-in page.
            (501 | 505..=508 | 510 | 511, _) => false,
            (500..=599, _) => true,
            _ => false,
        }
    }

    pub(super) fn explain(self, target: &RequestTarget<'_>, context: &ConnectionContext<'_>) -> Error {
        let error = self.meaning(target, context);
        let error = with_request_id(error, self.request_id.as_deref());
        let told = match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("status {}", self.status),
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        error.with("answer", told)
    }

    fn meaning(&self, target: &RequestTarget<'_>, context: &ConnectionContext<'_>) -> Error {
        let RequestTarget { bucket, key, .. } = *target;
        let listing = target.planned.row.operation == Operation::ListObjects;
        match (self.status, self.code.as_str()) {
            (_, "NoSuchAccessPoint") => {
                let error = Error::new(ErrorKind::NotFound, format!("access point '{bucket}' does not exist"));
                error.hint("check the access point's ARN")
            }
            (404, code) if listing || code == "NoSuchBucket" => {
                let error = Error::new(ErrorKind::NotFound, format!("bucket '{bucket}' does not exist"));
                error.hint("check the bucket's name, and the endpoint if there is one")
            }
            (404, _) => Error::new(ErrorKind::NotFound, format!("object '{key}' does not exist"))
                .hint("it was deleted after it was listed; run the sync again"),
            (_, "InvalidAccessKeyId" | "NotSignedUp") => unknown_key(),
            (_, "SignatureDoesNotMatch") => wrong_secret(),
            (_, "ExpiredToken" | "TokenRefreshRequired" | "RequestExpired") => {
                Error::new(ErrorKind::Access, "the session token has expired").hint("supply new temporary credentials")
            }
            (_, "InvalidToken") => Error::new(ErrorKind::Access, "the session token does not belong to these keys")
                .hint("supply key id, secret and token from the same set of temporary credentials"),
            (_, "RequestTimeTooSkewed") => {
                Error::config("the clock of this machine differs from that of the server by more than 15 minutes")
                    .hint("set the clock")
            }
            (_, "InvalidObjectState") => {
                Error::new(ErrorKind::Archived, format!("object '{key}' is archived and cannot be read"))
                    .hint("restore it first")
                    .with("storage", "archived")
            }
            (412, _) => changed(key),
            (416, _) => changed(key).with("difference", "size"),
            (301 | 307, _) | (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
                self.elsewhere(bucket, context)
            }
            (429 | 503, _)
            | (
                _,
                "SlowDown" | "RequestLimitExceeded" | "BandwidthLimitExceeded" | "Throttling" | "ThrottlingException",
            )
            | (_, "TooManyRequests" | "TooManyRequestsException") => {
                Error::new(ErrorKind::Transient, "the server throttles requests")
                    .hint("run the sync again later, or read fewer files in parallel")
            }
            (408 | 425, _) | (_, "RequestTimeout" | "InternalError" | "ServiceUnavailable") => {
                Error::new(ErrorKind::Transient, "the server failed")
            }
            (409, _) | (_, "OperationAborted") => {
                Error::new(ErrorKind::Transient, "the request conflicts with another one").hint("run it again later")
            }
            (501, _) | (405, _) => Error::new(ErrorKind::Unsupported, "the server does not support this request"),
            (500..=599, _) => Error::new(ErrorKind::Transient, "the server failed"),
            (401 | 403, _) => self.denied(target, context),
            (_, "InvalidBucketName") => Error::config(format!("'{bucket}' is not a valid bucket name")).hint(
                "use only the name of the \
                                                                                      bucket, or an ARN",
            ),
            _ => Error::new(ErrorKind::Unsupported, "the server refused the request"),
        }
    }

    /// No permission, or credentials that are wrong in a way that some servers other than AWS tell only in words.
    fn denied(&self, target: &RequestTarget<'_>, context: &ConnectionContext<'_>) -> Error {
        let told = self.message.to_ascii_lowercase();
        if told.contains("invalid signature") {
            return wrong_secret();
        }
        if told.contains("no such key:") {
            return unknown_key();
        }
        let RequestTarget { bucket, key, .. } = *target;
        let listing = target.planned.row.operation == Operation::ListObjects;
        // AWS names the action itself where the policy of another service (a KMS key, say) is in the way.
        let named = self.message.split_once("not authorized to perform: ").and_then(|(_, rest)| rest.split(' ').next());
        let writing = target.planned.row.operation == Operation::PutObject;
        let action = named.unwrap_or(match (listing, writing) {
            (true, _) => "s3:ListBucket",
            (false, true) => "s3:PutObject",
            (false, false) => "s3:GetObject",
        });
        let what = if listing { format!("bucket '{bucket}'") } else { format!("object '{key}'") };
        let who = if context.anonymous { " without credentials" } else { "" };
        let error = Error::new(ErrorKind::Access, format!("no permission for {action} on {what}{who}"));
        error.hint(if context.anonymous {
            "set credentials, or make the bucket public".to_owned()
        } else if listing || writing {
            format!("grant these credentials `{action}` on the bucket{}", requester_pays(context))
        } else {
            format!(
                "grant these credentials `{action}` on the objects of the bucket{}; without `s3:ListBucket`, S3 also \
                 denies access to objects that do not exist",
                requester_pays(context)
            )
        })
    }

    fn elsewhere(&self, bucket: &str, context: &ConnectionContext<'_>) -> Error {
        let asked = context.region;
        let error = Error::config(match &self.region {
            Some(region) => format!("bucket '{bucket}' is in region '{region}', not in '{asked}'"),
            None => format!("bucket '{bucket}' is not in region '{asked}'"),
        });
        error.hint("set the region in the configuration to that of the bucket")
    }
}

fn requester_pays(context: &ConnectionContext<'_>) -> &'static str {
    if context.requester_pays { "" } else { " (or set `requester_pays`, if the requester pays)" }
}

fn unknown_key() -> Error {
    let error = Error::new(ErrorKind::Access, "the server does not know the access key id");
    error.hint("check the access key id; temporary keys also need their session token")
}

fn wrong_secret() -> Error {
    let error = Error::new(ErrorKind::Access, "the secret access key does not belong to the access key id");
    error.hint("check the secret access key")
}

/// The object is not the one that was listed.
pub(super) fn changed(key: &str) -> Error {
    let error = Error::new(ErrorKind::Changed, "an object changed after it was listed").with("key", key);
    error.hint("run the sync again to read the new version")
}

pub(super) fn with_request_id(error: Error, request_id: Option<&str>) -> Error {
    match request_id {
        Some(id) => error.with("request_id", id),
        None => error,
    }
}

pub(super) fn request_id(response: &HttpResponse) -> Option<String> {
    header(response, "x-amz-request-id")
}

fn header(response: &HttpResponse, name: &str) -> Option<String> {
    response.headers().get(name).filter(|text| !text.is_empty()).map(str::to_owned)
}
