//! Reports each HTTP attempt and its response, for `--debug`.

use std::time::{Duration, Instant};

use aws_sdk_s3::config::{ConfigBag, HttpClient, RuntimeComponents, RuntimeComponentsBuilder, SharedHttpClient};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

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

/// An HTTP client that reports each attempt to an observer.
#[derive(Debug)]
struct Observed {
    inner: SharedHttpClient,
    observer: Observer,
}

/// The client, and an observer around it where there is one.
pub(super) fn observed(inner: SharedHttpClient, observer: Option<Observer>) -> SharedHttpClient {
    match observer {
        Some(observer) => SharedHttpClient::new(Observed { inner, observer }),
        None => inner,
    }
}

impl HttpClient for Observed {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(ObservedConnector { inner, observer: self.observer })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }
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
