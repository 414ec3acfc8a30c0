//! Who may do what: keys and secrets, rights per bucket, anonymous readers, requester pays.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::path::check_bucket_name;
use s3s::validation::NameValidation;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::store::{BucketOptions, Store};
use crate::target::{bucket_of_host, percent_decode, query_value};

/// Somebody who signs requests.
#[derive(Clone, Debug)]
pub struct User {
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// Requests must carry exactly this session token. When absent any token, or none, is accepted.
    pub session_token: Option<String>,
    /// The credentials are temporary ones whose time is over: 400 ExpiredToken.
    pub expired: bool,
    /// The rights.
    pub access: Access,
}

impl User {
    /// A user with all rights.
    #[must_use]
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        let (access_key, secret_key) = (access_key.into(), secret_key.into());
        Self { access_key, secret_key, session_token: None, expired: false, access: Access::All }
    }

    /// The same user with other rights.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// The same user with a session token that each request must carry.
    #[must_use]
    pub fn with_session_token(self, token: impl Into<String>) -> Self {
        Self { session_token: Some(token.into()), ..self }
    }
}

/// What a user may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    All,
    /// List and read everything.
    ReadOnly,
    /// What the rules name, and nothing else; no rules are no rights.
    Rules(Vec<Rule>),
}

/// Rights in one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The bucket's name.
    pub bucket: String,
    /// May list it. Who may read but not list gets 403 instead of 404 for a missing key.
    pub list: bool,
    /// May read its objects.
    pub read: bool,
    /// May write and delete its objects.
    pub write: bool,
}

impl Access {
    fn allows(&self, right: Right, bucket: Option<&str>) -> bool {
        let Some(bucket) = bucket else { return true };
        match self {
            Self::All => true,
            Self::ReadOnly => right != Right::Write,
            Self::Rules(rules) => rules.iter().filter(|rule| rule.bucket == bucket).any(|rule| match right {
                Right::List => rule.list,
                Right::Read => rule.read,
                Right::Write => rule.write,
            }),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    List,
    Read,
    Write,
}

impl Right {
    /// The right that an operation of the S3 framework needs.
    fn of(operation: &str) -> Self {
        match operation {
            "ListObjects"
            | "ListObjectsV2"
            | "ListObjectVersions"
            | "ListMultipartUploads"
            | "HeadBucket"
            | "GetBucketLocation"
            | "ListBuckets" => Self::List,
            other if other.starts_with("Get") || other.starts_with("Head") || other.starts_with("List") => Self::Read,
            _ => Self::Write,
        }
    }
}

/// Rides with a request: whether a missing key may be told from a forbidden one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MayList(pub(crate) bool);

/// Checks keys, tokens and rights.
#[derive(Clone)]
pub(crate) struct Guard {
    users: Arc<BTreeMap<String, User>>,
    store: Store,
}

impl Guard {
    pub(crate) fn new(users: Vec<User>, store: Store) -> Self {
        let users = users.into_iter().map(|user| (user.access_key.clone(), user)).collect();
        Self { users: Arc::new(users), store }
    }

    fn check_token(user: &User, context: &S3AccessContext<'_>) -> S3Result<()> {
        if user.expired {
            // The framework's own code for it exists, but its status does not always.
            let mut error = S3Error::new(S3ErrorCode::ExpiredToken);
            error.set_status_code(http::StatusCode::BAD_REQUEST);
            return Err(error);
        }
        let Some(expected) = &user.session_token else { return Ok(()) };
        let header = context.headers().get("x-amz-security-token").map(|token| token.as_bytes().to_vec());
        let query = || query_value(context.uri().query().unwrap_or(""), "X-Amz-Security-Token").map(percent_decode);
        match header.or_else(|| query().map(String::into_bytes)) {
            // A temporary key without its token is a key that S3 does not know.
            None => Err(S3ErrorCode::InvalidAccessKeyId.into()),
            Some(given) if given == expected.as_bytes() => Ok(()),
            Some(_) => {
                let mut error = S3Error::new(S3ErrorCode::InvalidToken);
                error.set_status_code(http::StatusCode::BAD_REQUEST);
                Err(error)
            }
        }
    }
}

#[async_trait::async_trait]
impl S3Auth for Guard {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let user = self.users.get(access_key).ok_or(S3ErrorCode::InvalidAccessKeyId)?;
        Ok(SecretKey::from(user.secret_key.as_str()))
    }
}

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let right = Right::of(context.s3_op().name());
        let bucket = context.s3_path().get_bucket_name().map(str::to_owned);
        let options = bucket.as_deref().and_then(|bucket| self.store.bucket(bucket)).map(|bucket| bucket.options());
        let options = options.unwrap_or_default();
        let may_list = match context.credentials() {
            Some(credentials) => {
                let user = self.users.get(&credentials.access_key).ok_or(S3ErrorCode::InvalidAccessKeyId)?;
                Self::check_token(user, context)?;
                if !user.access.allows(right, bucket.as_deref()) {
                    return Err(s3_error!(AccessDenied));
                }
                user.access.allows(Right::List, bucket.as_deref())
            }
            None if options.anonymous && right != Right::Write => true,
            None => return Err(s3_error!(AccessDenied)),
        };
        check_payer(&options, context)?;
        context.extensions_mut().insert(MayList(may_list));
        Ok(())
    }
}

fn check_payer(options: &BucketOptions, context: &S3AccessContext<'_>) -> S3Result<()> {
    if !options.requester_pays {
        return Ok(());
    }
    let header = context.headers().get("x-amz-request-payer").is_some_and(|payer| payer == "requester");
    let query = query_value(context.uri().query().unwrap_or(""), "x-amz-request-payer") == Some("requester");
    if header || query { Ok(()) } else { Err(s3_error!(AccessDenied)) }
}

/// Buckets as host names below the given domains, with any port; every other host is path style.
pub(crate) struct Hosts {
    pub(crate) domains: Vec<String>,
}

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match bucket_of_host(host, &self.domains) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

/// S3's rules for names of buckets, except for those that a test made itself.
pub(crate) struct Names {
    pub(crate) store: Store,
}

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        check_bucket_name(name) || self.store.bucket(name).is_some()
    }
}
