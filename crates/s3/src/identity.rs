//! Who asks: from the connection's credentials to a provider of the SDK. Nothing is fetched before the first request.

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials as KeyPair, SharedCredentialsProvider, SharedHttpClient};

use tollgate_base::connection::Credentials;

/// The name of the session of an assumed role. A role's trust policy can demand one, and saved configurations come from
/// a connector that uses this one.
const SESSION_NAME: &str = "airbyte-source-s3";

/// The variable that holds the external id of an assumed role where the configuration has none.
const EXTERNAL_ID_VARIABLE: &str = "AWS_ASSUME_ROLE_EXTERNAL_ID";

/// The provider of these credentials; `None` for requests without a signature. `http` is the client without the meter.
pub(super) async fn provider(
    credentials: &Credentials,
    region: &str,
    http: SharedHttpClient,
) -> Option<SharedCredentialsProvider> {
    match credentials {
        Credentials::Anonymous => None,
        Credentials::Static { access_key_id, secret_access_key, session_token } => {
            let token = session_token.as_ref().map(|token| token.expose().to_owned());
            let pair = KeyPair::new(access_key_id, secret_access_key.expose(), token, None, "configuration");
            Some(SharedCredentialsProvider::new(pair))
        }
        Credentials::DefaultChain => environment(region, http).await.credentials_provider(),
        Credentials::AssumeRole { role_arn, external_id } => {
            let environment = environment(region, http).await;
            let mut role = AssumeRoleProvider::builder(role_arn).session_name(SESSION_NAME).configure(&environment);
            if let Some(id) = external_id.clone().or_else(external_id_of_environment) {
                role = role.external_id(id);
            }
            Some(SharedCredentialsProvider::new(role.build().await))
        }
    }
}

async fn environment(region: &str, http: SharedHttpClient) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    loader.region(Region::new(region.to_owned())).http_client(http).load().await
}

fn external_id_of_environment() -> Option<String> {
    std::env::var(EXTERNAL_ID_VARIABLE).ok().filter(|id| !id.is_empty())
}
