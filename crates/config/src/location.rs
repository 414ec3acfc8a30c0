//! Buckets, endpoints and regions as people write them.

use crate::input::wrong;
use tollgate_base::error::{Error, ErrorKind, Result};

/// The parts of a bucket as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BucketLocation {
    /// The name or the access point's ARN.
    pub(crate) bucket: String,
    /// The prefix after it; empty or with a slash at its end, since it stands for a folder.
    pub(crate) prefix: String,
    /// The region of an access point.
    pub(crate) region: Option<String>,
}

/// A location as it was written, without a query: that of a presigned URL is a secret.
pub(crate) fn shown(text: &str) -> String {
    match text.find(['?', '#']) {
        Some(end) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// Parses a bucket: a name, `s3://name/prefix/`, a bucket's ARN or an access point's ARN.
///
/// # Errors
/// Config when it is none of these; Unsupported for multi-region access points, which need another signature.
pub(crate) fn bucket(text: &str, path: &str) -> Result<BucketLocation> {
    let text = text.trim();
    let expected = "a bucket name, `s3://bucket/prefix/` or an access-point ARN";
    let (rest, with_scheme) = match ["s3://", "s3a://", "s3n://"].iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (name, prefix, region) = match rest.strip_prefix("arn:") {
        Some(arn) => access_point(arn, path)?,
        None => {
            let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if !with_scheme && rest.contains('/') {
                return Err(wrong(path, shown(text), expected));
            }
            (name.to_owned(), prefix, None)
        }
    };
    let unusual = |c: char| c.is_whitespace() || c.is_control() || c == '?' || c == '#';
    if name.is_empty() || name.contains(unusual) {
        return Err(wrong(path, shown(text), expected));
    }
    let prefix = if prefix.is_empty() || prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") };
    Ok(BucketLocation { bucket: name, prefix, region })
}

/// `aws:s3:REGION:ACCOUNT:accesspoint/NAME[/prefix]`, or `aws:s3:::BUCKET[/prefix]`.
fn access_point<'a>(arn: &'a str, path: &str) -> Result<(String, &'a str, Option<String>)> {
    let expected = "`arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`";
    let fail = || wrong(path, shown(&format!("arn:{arn}")), expected);
    let fields: Vec<&str> = arn.splitn(5, ':').collect();
    let [partition, service, region, account, resource] = fields.as_slice() else { return Err(fail()) };
    if !service.starts_with("s3") {
        return Err(fail());
    }
    let point = resource.strip_prefix("accesspoint/").or_else(|| resource.strip_prefix("accesspoint:"));
    let Some(point) = point else {
        let plain = region.is_empty() && account.is_empty() && *service == "s3";
        let (name, prefix) = resource.split_once('/').unwrap_or((resource, ""));
        return if plain { Ok((name.to_owned(), prefix, None)) } else { Err(fail()) };
    };
    let (name, prefix) = point.split_once('/').unwrap_or((point, ""));
    if name.is_empty() {
        return Err(fail());
    }
    if region.is_empty() {
        let message = format!("`{path}` names a multi-region access point, which is not supported yet");
        return Err(Error::new(ErrorKind::Unsupported, message).hint("name an access point or a bucket of one region"));
    }
    let arn = format!("arn:{partition}:{service}:{region}:{account}:accesspoint/{name}");
    Ok((arn, prefix, Some((*region).to_owned())))
}

/// An endpoint as scheme, host and port. Space around it and slashes after it are tolerated; without a scheme it is
/// `https`, or `http` where TLS is switched off. `None` when nothing is written.
///
/// # Errors
/// Config when it has a path, a user, or a scheme other than `http` and `https`. A user's password is not shown.
pub(crate) fn endpoint(text: &str, tls: bool, path: &str) -> Result<Option<String>> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let expected = "a host with an optional scheme and port, such as `https://s3.example.com:9000`";
    if text.contains('@') {
        let message = format!("`{path}` contains a user name, expected {expected}");
        return Err(Error::config(message).hint("set the parameters for credentials instead"));
    }
    let fail = || wrong(path, shown(text), expected);
    let (scheme, host) = match text.split_once("://") {
        Some((scheme, host)) => (scheme.to_ascii_lowercase(), host),
        None => ((if tls { "https" } else { "http" }).to_owned(), text),
    };
    if scheme != "http" && scheme != "https" {
        return Err(fail());
    }
    let authority: http::uri::Authority = host.parse().map_err(|_| fail())?;
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let wrong_port = port.is_some_and(|port| port.parse::<u16>().is_err());
    if authority.host().is_empty() || wrong_port || host.starts_with(':') {
        return Err(fail());
    }
    Ok(Some(format!("{scheme}://{host}")))
}

/// A region's name; `None` when nothing is written.
///
/// # Errors
/// Config when it holds anything but letters, digits and hyphens.
pub(crate) fn region(text: &str, path: &str) -> Result<Option<String>> {
    let text = text.trim();
    let usual = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match text {
        "" => Ok(None),
        _ if usual => Ok(Some(text.to_owned())),
        _ => Err(wrong(path, format!("'{text}'"), "a region such as 'eu-west-1'")),
    }
}

/// The name of a stream that has none: the last part of its prefix, or else the bucket (of an access point: its name).
pub(crate) fn stream_name(prefix: &str, bucket: &str) -> String {
    let last = |text: &str| text.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned);
    last(prefix).or_else(|| last(bucket)).unwrap_or_else(|| bucket.to_owned())
}
