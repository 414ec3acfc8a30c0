//! Error answers in the words and the XML of S3.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};

use crate::target::Target;

/// Carries more elements of the error's XML from the place where it arises to where it is written; never sent.
const DETAIL: HeaderName = HeaderName::from_static("x-testkit-detail");

/// An error with more elements in its XML, for example `<Region>eu-west-1</Region>`. Values must be escaped.
pub(crate) fn with_detail(code: S3ErrorCode, detail: &str) -> S3Error {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(detail.as_bytes()) {
        headers.insert(DETAIL, value);
    }
    let mut error = S3Error::new(code);
    error.set_headers(headers);
    error
}

/// An error answer that is about to be written.
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) detail: String,
    pub(crate) headers: HeaderMap,
}

impl Failure {
    /// An error that is not made by the S3 framework.
    pub(crate) fn new(status: StatusCode, code: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: None, detail: String::new(), headers: HeaderMap::new() }
    }

    /// Reads back the answer that the S3 framework wrote for an error; none when the answer is no error.
    pub(crate) fn of(response: &mut Response<Body>) -> Option<Self> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() && status != StatusCode::NOT_MODIFIED {
            return None;
        }
        let mut headers = std::mem::take(response.headers_mut());
        let detail = headers.remove(DETAIL);
        let detail = detail.and_then(|detail| String::from_utf8(detail.as_bytes().to_vec()).ok()).unwrap_or_default();
        let xml = response.body().bytes().unwrap_or_default();
        let xml = String::from_utf8_lossy(&xml);
        let code = element(&xml, "Code").unwrap_or("InternalError").to_owned();
        let message = element(&xml, "Message").map(str::to_owned);
        Some(Self { status, code, message, detail, headers })
    }

    pub(crate) fn detail(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The answer as S3 writes it. 304 has no body.
    pub(crate) fn into_response(self, target: &Target, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let body = self.xml(target, request_id);
        *response.headers_mut() = self.headers;
        response.headers_mut().remove(CONTENT_LENGTH);
        if self.status == StatusCode::NOT_MODIFIED {
            response.headers_mut().remove(CONTENT_TYPE);
            return response;
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        *response.body_mut() = Body::from(body);
        response
    }

    fn xml(&self, target: &Target, request_id: &str) -> String {
        let message = self.message.as_deref().unwrap_or_else(|| usual_message(&self.code));
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{message}</Message>",
            self.code
        );
        xml.push_str(&self.detail);
        if let (true, Some(bucket)) = (self.code == "NoSuchBucket", &target.bucket) {
            xml.push_str(&format!("<BucketName>{}</BucketName>", escape(bucket)));
        }
        if let (true, Some(key)) = (self.code == "NoSuchKey", &target.key) {
            xml.push_str(&format!("<Key>{}</Key>", escape(key)));
        }
        xml.push_str(&format!("<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"));
        xml
    }
}

/// The code of an error that the S3 framework wrote.
pub(crate) fn code_of(response: &Response<Body>) -> Option<String> {
    let xml = response.body().bytes()?;
    element(&String::from_utf8_lossy(&xml), "Code").map(str::to_owned)
}

/// The text of the first element with a name, still escaped.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Escapes a text for XML.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| !matches!(byte, b'&' | b'<' | b'>' | b'"' | 0..0x20 | 0x7f..);
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push_str(&format!("&#x{:X};", u32::from(control))),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// The error code that goes with a status when a fault names none.
pub(crate) fn usual_code(status: u16) -> &'static str {
    match status {
        301 => "PermanentRedirect",
        400 => "InvalidRequest",
        403 => "AccessDenied",
        404 => "NoSuchKey",
        405 => "MethodNotAllowed",
        408 => "RequestTimeout",
        409 => "OperationAborted",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        501 => "NotImplemented",
        503 => "SlowDown",
        _ => "InternalError",
    }
}

fn usual_message(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "AuthorizationHeaderMalformed" => "The authorization header is malformed",
        "ExpiredToken" => "The provided token has expired.",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidObjectState" => "The operation is not valid for the object's storage class",
        "InvalidPart" => "One or more of the specified parts could not be found.",
        "InvalidPartOrder" => "The list of parts was not in ascending order.",
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidToken" => "The provided token is malformed or otherwise invalid.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchUpload" => "The specified upload does not exist.",
        "NotImplemented" => "A header you provided implies functionality that is not implemented",
        "PermanentRedirect" => "The bucket must be addressed using the specified endpoint.",
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "RequestTimeTooSkewed" => "The difference between the request time and the current time is too large.",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        "SlowDown" => "Please reduce your request rate.",
        _ => "The request was refused.",
    }
}
