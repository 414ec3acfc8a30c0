//! The connection: bucket, endpoint and region, TLS, and how requests are addressed and paid for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, PerDialect};
use crate::input::{Object, wrong};
use crate::location::{bucket, endpoint, region};
use crate::provenance::ProvenanceLog;
use tollgate_base::connection::{Connection, Credentials};
use tollgate_base::error::{Error, ErrorKind, Result};

pub(crate) const REGION: PerDialect<Option<&str>> = PerDialect::same(None).flat(Some("us-east-1"));
/// The same in all dialects.
pub(crate) const USE_SSL: bool = true;

/// Who pays, as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct RequesterInput {
    /// Whether you, the requester, pay for requests and data transfer. Buckets with "requester pays" deny access
    /// without it.
    #[serde(default)]
    #[schemars(title = "Requester Pays", extend("group" = "advanced"))]
    requester_pays: bool,
}

/// How requests are sent, as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct TransportInput {
    /// Certificate authorities to trust in addition to those of the system: the path of a PEM file, or the PEM text
    /// itself. When absent, the file named by the environment variable `AWS_CA_BUNDLE` is used, if there is one.
    #[schemars(title = "CA Bundle", extend("multiline" = true, "group" = "advanced"))]
    ca_bundle: Option<String>,
    /// Where the bucket name goes in the URL: `path` puts it in the path, `virtual` in the host name. When absent or
    /// `auto`, it goes in the path for servers other than AWS.
    #[serde(default)]
    #[schemars(title = "Address Style", extend("group" = "advanced"))]
    address_style: AddressStyle,
}

/// Where the bucket name is in the URL.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AddressStyle {
    #[default]
    Auto,
    Path,
    Virtual,
}

impl RequesterInput {
    /// Sets it in a connection.
    pub(crate) fn apply(&self, connection: &mut Connection) {
        connection.requester_pays = self.requester_pays;
    }
}

impl From<&Connection> for RequesterInput {
    fn from(connection: &Connection) -> Self {
        Self { requester_pays: connection.requester_pays }
    }
}

impl TransportInput {
    /// Sets it in a connection.
    pub(crate) fn apply(&self, connection: &mut Connection) {
        connection.ca_bundle = self.ca_bundle.clone().filter(|bundle| !bundle.trim().is_empty());
        connection.path_style = match self.address_style {
            AddressStyle::Auto => None,
            AddressStyle::Path => Some(true),
            AddressStyle::Virtual => Some(false),
        };
    }
}

impl From<&Connection> for TransportInput {
    fn from(connection: &Connection) -> Self {
        let address_style = match connection.path_style {
            None => AddressStyle::Auto,
            Some(true) => AddressStyle::Path,
            Some(false) => AddressStyle::Virtual,
        };
        Self { ca_bundle: connection.ca_bundle.clone(), address_style }
    }
}

/// The connection in a dialect, without credentials.
pub(crate) struct Access<'a> {
    /// The key of the bucket and what is written there.
    pub(crate) bucket: (&'a str, &'a str),
    /// The same of the endpoint.
    pub(crate) endpoint: (&'a str, Option<&'a str>),
    /// Whether an endpoint without a scheme is reached through TLS.
    pub(crate) tls: bool,
    /// The same of the region.
    pub(crate) region: (&'a str, Option<&'a str>),
    /// The dialect's region where none is written.
    pub(crate) default_region: Option<&'a str>,
}

impl<'a> Access<'a> {
    /// The connection in a dialect that has its parameters side by side, without a provider around them.
    pub(crate) fn flat(
        bucket: &'a str,
        endpoint_url: Option<&'a str>,
        tls: bool,
        region: Option<&'a str>,
        dialect: Dialect,
    ) -> Self {
        Self {
            bucket: ("bucket", bucket),
            endpoint: ("endpoint_url", endpoint_url),
            tls,
            region: ("region", region),
            default_region: REGION.of(dialect),
        }
    }
}

/// Whether the switch for TLS decides anything: a scheme in the endpoint wins over it, and switching TLS off without an
/// endpoint would mean AWS without TLS, which is never done.
///
/// # Errors
/// Unsupported.
pub(crate) fn tls_has_effect(access: &Access<'_>, name: &str, object: &Object, log: &mut ProvenanceLog) -> Result<()> {
    let (endpoint_name, endpoint) = access.endpoint;
    if let Some((scheme, _)) = endpoint.and_then(|url| url.trim().split_once("://")) {
        let agrees = access.tls == scheme.eq_ignore_ascii_case("https");
        if object.contains_key(name) && !agrees {
            let note = format!("without effect: the scheme of `{endpoint_name}` is {}", scheme.to_ascii_lowercase());
            log.unused(name, note);
        }
        return Ok(());
    }
    if access.tls || endpoint.is_some_and(|url| !url.trim().is_empty()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("`{name}` is false without an `{endpoint_name}`"))
        .hint(format!("remove `{name}`: AWS always uses TLS")))
}

/// The connection, and the prefix that was written into the bucket.
///
/// # Errors
/// Config, by the parts.
pub(crate) fn connection(
    access: &Access<'_>,
    credentials: Credentials,
    log: &mut ProvenanceLog,
) -> Result<(Connection, String)> {
    let location = bucket(access.bucket.1, access.bucket.0)?;
    let written = region(access.region.1.unwrap_or_default(), access.region.0)?;
    if let (Some(written), Some(of_point)) = (&written, &location.region)
        && written != of_point
    {
        let expected = format!("'{of_point}', the region of the access point");
        return Err(wrong(access.region.0, format!("'{written}'"), &expected));
    }
    let known = written.is_some() || location.region.is_some();
    let default = access.default_region.filter(|_| !known);
    if let Some(default) = default {
        log.defaulted(access.region.0.to_owned(), &default.into());
    }
    let connection = Connection {
        bucket: location.bucket,
        region: written.or(location.region).or(default.map(str::to_owned)),
        endpoint: endpoint(access.endpoint.1.unwrap_or_default(), access.tls, access.endpoint.0)?,
        path_style: None,
        credentials,
        requester_pays: false,
        ca_bundle: None,
    };
    Ok((connection, location.prefix))
}
