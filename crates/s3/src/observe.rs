//! Reports each HTTP attempt and its response, for `--debug`.

use std::time::{Duration, Instant};

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::wrapped_client::wrapped;

/// An attempt and the head of its response. It contains no secrets, because signatures are in the headers.
#[derive(Debug)]
pub struct Attempted<'a> {
    /// The method.
    pub method: &'a str,
    /// The URL.
    pub url: &'a str,
    /// The `Range` header.
    pub range: Option<&'a str>,
    /// The status, or the reason why there is none.
    pub answer: Result<u16, String>,
    /// The time from the request to the head of the response.
    pub elapsed: Duration,
}

/// A function that is called for each attempt.
pub type Observer = fn(&Attempted<'_>);

/// The client, and an observer around it where there is one.
pub(super) fn observed(inner: SharedHttpClient, observer: Option<Observer>) -> SharedHttpClient {
    let Some(observer) = observer else { return inner };
    wrapped(inner, move |inner| SharedHttpConnector::new(ObservedConnector { inner, observer }))
}

#[derive(Debug)]
struct ObservedConnector {
    inner: SharedHttpConnector,
    observer: Observer,
}

impl HttpConnector for ObservedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (method, url) = (request.method().to_owned(), request.uri().to_owned());
        let range = request.headers().get("range").map(str::to_owned);
        let (observer, began) = (self.observer, Instant::now());
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            observer(&Attempted {
                method: &method,
                url: &url,
                range: range.as_deref(),
                answer: match &answer {
                    Ok(response) => Ok(response.status().as_u16()),
                    Err(error) => Err(DisplayErrorContext(error).to_string()),
                },
                elapsed: began.elapsed(),
            });
            answer
        })
    }
}
