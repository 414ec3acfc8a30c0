//! The SDK's HTTP client with something around its connector.

use std::fmt;
use std::sync::OnceLock;

use aws_sdk_s3::config::{ConfigBag, HttpClient, RuntimeComponents, RuntimeComponentsBuilder, SharedHttpClient};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};

/// The client with `wrap` around its connector.
pub(super) fn wrapped(
    inner: SharedHttpClient,
    wrap: impl Fn(SharedHttpConnector) -> SharedHttpConnector + Send + Sync + 'static,
) -> SharedHttpClient {
    SharedHttpClient::new(WrappedClient { inner, wrap, connector: OnceLock::new() })
}

/// It makes one connector and keeps it: a store has one set of timeouts, so the client's own search by settings, on each
/// request, would always find the same.
struct WrappedClient<W> {
    inner: SharedHttpClient,
    wrap: W,
    connector: OnceLock<SharedHttpConnector>,
}

impl<W> fmt::Debug for WrappedClient<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedClient").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<W: Fn(SharedHttpConnector) -> SharedHttpConnector + Send + Sync> HttpClient for WrappedClient<W> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let connector = || (self.wrap)(self.inner.http_connector(settings, components));
        self.connector.get_or_init(connector).clone()
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
