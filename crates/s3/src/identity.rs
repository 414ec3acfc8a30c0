//! Converts the credentials of a connection into a credentials provider of the SDK. Nothing is fetched before the first
//! request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_s3::config::{Credentials as KeyPair, SharedCredentialsProvider, SharedHttpClient};

use tollgate_base::connection::Credentials;
use tollgate_base::error::{Error, Result};

/// The name of the session of an assumed role. A role's trust policy can demand one, and saved configurations come from
/// a connector that uses this one.
const SESSION_NAME: &str = "airbyte-source-s3";

/// The variable that holds the external id of an assumed role where the configuration has none.
const EXTERNAL_ID_VARIABLE: &str = "AWS_ASSUME_ROLE_EXTERNAL_ID";

/// Variables of the environment that hold secrets.
const SECRET_VARIABLES: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];

/// Where and how credentials are asked for. `http` is the client without the meter.
pub(super) struct Asked<'a> {
    pub(super) region: &'a str,
    pub(super) http: SharedHttpClient,
    pub(super) timeout: Duration,
}

/// The provider of these credentials; `None` for requests without a signature.
///
/// # Errors
/// Config if the configured keys cannot be sent.
pub(super) async fn provider(
    credentials: &Credentials,
    asked: Asked<'_>,
    used_secrets: &UsedSecrets,
) -> Result<Option<SharedCredentialsProvider>> {
    let timeout = asked.timeout;
    let watched = |provider| {
        SharedCredentialsProvider::new(Watched { inner: provider, used_secrets: used_secrets.clone(), timeout })
    };
    Ok(match credentials {
        Credentials::Anonymous => None,
        Credentials::Static { access_key_id, secret_access_key, session_token } => {
            let token = session_token.as_ref().map(|token| token.expose().to_owned());
            let pair = KeyPair::new(access_key_id, secret_access_key.expose(), token, None, "configuration");
            used_secrets.remember(&pair);
            if let Some(what) = unsendable(&pair) {
                let error = Error::config(format!(
                    "the {what} of the configuration contains a character that is not \
                                                   allowed"
                ));
                return Err(error.hint("remove line breaks and spaces that were copied with it"));
            }
            Some(SharedCredentialsProvider::new(pair))
        }
        Credentials::DefaultChain => environment(asked, used_secrets).await.credentials_provider().map(watched),
        Credentials::AssumeRole { role_arn, external_id } => {
            let environment = environment(asked, used_secrets).await;
            let keys = environment.credentials_provider().map(watched);
            let mut builder = environment.into_builder();
            builder.set_credentials_provider(keys);
            let environment = builder.build();
            let mut role = AssumeRoleProvider::builder(role_arn).session_name(SESSION_NAME).configure(&environment);
            if let Some(id) = external_id.clone().or_else(external_id_of_environment) {
                role = role.external_id(id);
            }
            Some(watched(SharedCredentialsProvider::new(role.build().await)))
        }
    })
}

async fn environment(asked: Asked<'_>, used_secrets: &UsedSecrets) -> SdkConfig {
    for secret in SECRET_VARIABLES.iter().filter_map(|name| std::env::var(name).ok()) {
        used_secrets.add(&secret);
    }
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    loader.region(Region::new(asked.region.to_owned())).http_client(asked.http).load().await
}

fn external_id_of_environment() -> Option<String> {
    std::env::var(EXTERNAL_ID_VARIABLE).ok().filter(|id| !id.is_empty())
}

/// The part of credentials that does not fit into a header, or cannot be right. The SDK would panic.
fn unsendable(pair: &KeyPair) -> Option<&'static str> {
    let sendable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !sendable(pair.access_key_id()) {
        return Some("access key id");
    }
    if pair.secret_access_key().contains(char::is_control) {
        return Some("secret access key");
    }
    let token_sendable = pair.session_token().is_none_or(sendable);
    (!token_sendable).then_some("session token")
}

/// The secrets that were used so far. Clones share them.
#[derive(Clone, Default)]
pub(super) struct UsedSecrets(Arc<Mutex<Vec<String>>>);

impl UsedSecrets {
    /// The secrets, the longest first: one can be a part of another.
    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    fn remember(&self, pair: &KeyPair) {
        let texts = [Some(pair.access_key_id()), Some(pair.secret_access_key()), pair.session_token()];
        texts.into_iter().flatten().for_each(|text| self.add(text));
    }

    fn add(&self, secret: &str) {
        let secret = secret.trim();
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A word of a few letters is no secret, and stands in many texts.
        if secret.len() >= SHORTEST_SECRET && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
        }
    }
}

/// Shorter texts are not blotted out: they would be found in words.
const SHORTEST_SECRET: usize = 5;

impl std::fmt::Debug for UsedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UsedSecrets(****)")
    }
}

/// A credentials provider with a timeout. It checks the credentials, and remembers them so that they can be masked.
#[derive(Debug)]
struct Watched {
    inner: SharedCredentialsProvider,
    used_secrets: UsedSecrets,
    timeout: Duration,
}

impl Watched {
    async fn credentials(&self) -> provider::Result {
        let provided = tokio::time::timeout(self.timeout, self.inner.provide_credentials()).await;
        let pair = provided.map_err(|_| CredentialsError::provider_timed_out(self.timeout))??;
        self.used_secrets.remember(&pair);
        match unsendable(&pair) {
            None => Ok(pair),
            Some(what) => Err(CredentialsError::invalid_configuration(format!(
                "the {what} contains a character that is not \
                                                                     allowed"
            ))),
        }
    }
}

impl ProvideCredentials for Watched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }

    fn fallback_on_interrupt(&self) -> Option<KeyPair> {
        self.inner.fallback_on_interrupt()
    }
}
