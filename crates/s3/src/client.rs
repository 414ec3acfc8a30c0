//! The SDK's client, built by hand: one TLS stack, one connection pool, and no unused features that cost time.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Endpoint, EndpointFuture, Params, ResolveEndpoint};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Builder, ConfigBag, IdentityCache, Intercept, Region, ResponseChecksumValidation,
    RuntimeComponents, SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::BoxError;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::{SharedTimeSource, StaticTimeSource, SystemTimeSource};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder as HttpBuilder, Connector};

use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

use super::options::{IDLE_TIMEOUT, StoreOptions};
use super::own_certificate;
use tollgate_base::connection::Connection;
use tollgate_runtime::clock::Clock;

/// The name that stands in the `User-Agent`, and so in S3's access logs.
const APP_NAME: &str = "tollgate";

/// The HTTP client for S3 and for the services that hand out credentials. It connects lazily; certificates are read from the
/// system (or `SSL_CERT_FILE`) when the first client is built; `ca_bundle` is trusted besides, as PEM text that
/// [`super::ca_bundle::read`] has checked.
pub(super) fn http_client(options: &StoreOptions, ca_bundle: Option<Vec<u8>>) -> SharedHttpClient {
    if let Some(bundle) = ca_bundle.as_deref().filter(|bundle| own_certificate::has_servers(bundle))
        && !(options.proxy_from_environment && proxy_for_tls())
        && let Ok(client) = own_certificate::http_client(options, bundle)
    {
        return client;
    }
    let proxy = if options.proxy_from_environment { ProxyConfig::from_env() } else { ProxyConfig::disabled() };
    let idle_connections = options.idle_connections;
    HttpBuilder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder()
            .enable_tcp_nodelay(true)
            .pool_max_idle_per_host(idle_connections)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .proxy_config(proxy.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        let mut builder = builder.tls_provider(Provider::Rustls(CryptoMode::Ring));
        if let Some(pem) = &ca_bundle {
            let store = TrustStore::default().with_pem_certificate(pem.as_slice());
            let context = TlsContext::builder().with_trust_store(store).build();
            builder.set_tls_context(context.expect("a trust store is all that it needs"));
        }
        builder.build()
    })
}

/// Whether the environment names a proxy for secure connections.
fn proxy_for_tls() -> bool {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    names.iter().any(|name| std::env::var(name).is_ok_and(|proxy| !proxy.trim().is_empty()))
}

/// A client for one region.
pub(super) fn client(
    connection: &Connection,
    options: &StoreOptions,
    region: &str,
    http: SharedHttpClient,
    credentials: Option<SharedCredentialsProvider>,
) -> Client {
    let path_style = connection.path_style.unwrap_or(connection.endpoint.is_some());
    let timeouts = TimeoutConfig::builder().connect_timeout(options.connect_timeout);
    // Our own timeout is first, and says what it waited for.
    let identities = IdentityCache::lazy().load_timeout(options.credentials_timeout + Duration::from_secs(5));
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .http_client(http)
        .force_path_style(path_style)
        .use_arn_region(true)
        .endpoint_resolver(OneEndpoint::default())
        // The door makes the attempts: the SDK's are bounded by their number and by a quota of the whole process.
        .retry_config(RetryConfig::disabled())
        .identity_cache(identities.build())
        .timeout_config(timeouts.build())
        // The SDK checks the answer to one request; an object may come in several, so `checksum` does it.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .interceptor(AskForChecksum)
        // The meter notices stalls, for listings too, and unlike this one only while someone waits.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .app_name(AppName::new(APP_NAME).expect("the name has only letters"))
        .sleep_impl(TokioSleep::new())
        .time_source(time_source(options.clock));
    builder = match &connection.endpoint {
        Some(endpoint) => builder.endpoint_url(endpoint.trim_end_matches('/')),
        None => builder,
    };
    builder = match credentials {
        Some(provider) => builder.credentials_provider(provider),
        None => builder.allow_no_auth(),
    };
    Client::from_conf(builder.build())
}

/// Where a client's bucket is asked. The SDK's rules are for every bucket and feature there is; they keep one answer, and
/// forget it with each other key, though the key does not matter to them. A client here asks one bucket in one region.
#[derive(Debug, Default)]
struct OneEndpoint {
    rules: DefaultResolver,
    found: OnceLock<Endpoint>,
}

impl ResolveEndpoint for OneEndpoint {
    fn resolve_endpoint<'a>(&'a self, params: &'a Params) -> EndpointFuture<'a> {
        // The SDK's own request for a session with a directory bucket has other rules of authentication.
        if params.disable_s3_express_session_auth() == Some(true) {
            return ResolveEndpoint::resolve_endpoint(&self.rules, params);
        }
        if let Some(endpoint) = self.found.get() {
            return EndpointFuture::ready(Ok(endpoint.clone()));
        }
        EndpointFuture::new(async move {
            let endpoint = ResolveEndpoint::resolve_endpoint(&self.rules, params).await?;
            Ok(self.found.get_or_init(|| endpoint).clone())
        })
    }
}

/// Asks for the checksum of each object that is fetched as a whole. The SDK's own setting would check it as well.
#[derive(Debug)]
struct AskForChecksum;

#[dyn_dispatch_hint]
impl Intercept for AskForChecksum {
    fn name(&self) -> &'static str {
        "AskForChecksum"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        if request.uri().contains("x-id=GetObject") && !request.headers().contains_key("range") {
            request.headers_mut().insert("x-amz-checksum-mode", "ENABLED");
        }
        Ok(())
    }
}

fn time_source(clock: Clock) -> SharedTimeSource {
    match clock {
        Clock::System => SharedTimeSource::new(SystemTimeSource::new()),
        Clock::Fixed(at) => {
            let since = Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0));
            SharedTimeSource::new(StaticTimeSource::new(SystemTime::UNIX_EPOCH + since))
        }
    }
}
