//! How to reach a bucket.

use std::fmt;

/// A bucket and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// A bucket name or an access-point ARN.
    pub bucket: String,
    /// The region, if configured. Otherwise it is detected from the bucket.
    pub region: Option<String>,
    /// A server other than AWS: scheme, host and port, without a path.
    pub endpoint: Option<String>,
    /// Whether the bucket name is in the path of the URL instead of the host name. If `None`, it is in the path exactly
    /// if there is an endpoint.
    pub path_style: Option<bool>,
    /// The credentials for requests.
    pub credentials: Credentials,
    /// Whether the requester pays for requests and transfer.
    pub requester_pays: bool,
    /// Certificates of further authorities to trust: a file, or their PEM text. `None` leaves it to the environment.
    pub ca_bundle: Option<String>,
}

/// The credentials for requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A key pair, with a token if it is temporary.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: Secret,
        /// Session token.
        session_token: Option<Secret>,
    },
    /// A role assumed with the credentials of the environment.
    AssumeRole {
        /// The role's ARN.
        role_arn: String,
        /// The external ID that the owner of the role requires.
        external_id: Option<String>,
    },
    /// The environment's credentials: variables, profile, web identity, container or instance role.
    DefaultChain,
    /// Unsigned requests, for public buckets.
    Anonymous,
}

/// A text that must not be seen. It has no `Display`, and its `Debug` is masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Called only where a request is signed.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}
