//! Buckets, endpoints, regions and times as people write them.

use super::job::DeadLetterPlace;
use super::notes::{Notes, join};
use super::read::{Object, wrong};
use tollgate_base::connection::{Connection, Credentials};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::Timestamp;

/// A bucket as written, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The name or the access point's ARN.
    pub(super) bucket: String,
    /// The prefix behind it; empty or with a slash at its end, since it stands for a folder.
    pub(super) prefix: String,
    /// The region of an access point.
    pub(super) region: Option<String>,
}

/// A place as it was written, without a query: that of a presigned URL is a secret.
fn shown(text: &str) -> String {
    match text.find(['?', '#']) {
        Some(end) => format!("'{}…'", &text[..end]),
        None => format!("'{text}'"),
    }
}

/// Takes a bucket apart: a name, `s3://name/prefix/`, a bucket's ARN or an access point's ARN.
///
/// # Errors
/// Config when it is none of these; Unsupported for multi-region access points, which need another signature.
pub(super) fn bucket(text: &str, path: &str) -> Result<Place> {
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
    Ok(Place { bucket: name, prefix, region })
}

/// Where bad rows are written: a folder of a bucket, or of this machine.
///
/// # Errors
/// Config when it is neither.
pub(super) fn dead_letters(text: &str, path: &str) -> Result<DeadLetterPlace> {
    let text = text.trim();
    if text.starts_with("s3://") {
        let Place { bucket, prefix, .. } = bucket(text, path)?;
        if prefix.is_empty() {
            return Err(wrong(path, shown(text), "`s3://bucket/folder/`, with a folder"));
        }
        return Ok(DeadLetterPlace::Bucket { bucket, prefix });
    }
    let folder = text.strip_prefix("file://").unwrap_or(text);
    if !folder.starts_with('/') {
        return Err(wrong(path, shown(text), "`s3://bucket/folder/` or an absolute path"));
    }
    Ok(DeadLetterPlace::Folder(folder.into()))
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

/// An endpoint as scheme, host and port. Space around it and slashes behind it are tolerated; without a scheme it is
/// `https`, or `http` where TLS is switched off. `None` when nothing is written.
///
/// # Errors
/// Config when it has a path, a user, or a scheme other than `http` and `https`. A user's password is not shown.
pub(super) fn endpoint(text: &str, tls: bool, path: &str) -> Result<Option<String>> {
    let text = text.trim().trim_end_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let expected = "a host with an optional scheme and port, such as `https://s3.example.com:9000`";
    if text.contains('@') {
        let message = format!("`{path}` names a user, expected {expected}");
        return Err(Error::config(message).hint("write credentials into the keys that are made for them"));
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
pub(super) fn region(text: &str, path: &str) -> Result<Option<String>> {
    let text = text.trim();
    let usual = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match text {
        "" => Ok(None),
        _ if usual => Ok(Some(text.to_owned())),
        _ => Err(wrong(path, format!("'{text}'"), "a region such as 'eu-west-1'")),
    }
}

/// The ARN of a role.
///
/// # Errors
/// Config when it has another shape: a user's ARN, or a name. Servers other than AWS have partitions and accounts of
/// their own, so those are not looked at.
pub(super) fn role_arn(text: &str, path: &str) -> Result<String> {
    let text = text.trim();
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let fits = match fields.as_slice() {
        ["arn", _, "iam", _, _, resource] => resource.strip_prefix("role/").is_some_and(|name| !name.is_empty()),
        ["arn", _, service, _, _, resource] => !service.is_empty() && !resource.is_empty(),
        _ => false,
    };
    match fits && !text.contains(char::is_whitespace) {
        true => Ok(text.to_owned()),
        false => Err(wrong(path, format!("'{text}'"), "the ARN of a role, `arn:aws:iam::ACCOUNT:role/NAME`")),
    }
}

/// What a dialect says about the way to the bucket, apart from who asks.
pub(super) struct Access<'a> {
    /// The key of the bucket and what is written there.
    pub(super) bucket: (&'a str, &'a str),
    /// The same of the endpoint.
    pub(super) endpoint: (&'a str, Option<&'a str>),
    /// Whether an endpoint without a scheme is reached through TLS.
    pub(super) tls: bool,
    /// The same of the region.
    pub(super) region: (&'a str, Option<&'a str>),
    /// The dialect's region where none is written.
    pub(super) default_region: Option<&'a str>,
}

/// Whether the switch for TLS decides anything: a scheme in the endpoint wins over it, and switching TLS off without an
/// endpoint would mean AWS without TLS, which is never done.
///
/// # Errors
/// Unsupported.
pub(super) fn tls_has_effect(access: &Access<'_>, name: &str, object: &Object, notes: &mut Notes) -> Result<()> {
    let (endpoint_name, endpoint) = access.endpoint;
    if let Some((scheme, _)) = endpoint.and_then(|url| url.trim().split_once("://")) {
        let agrees = access.tls == scheme.eq_ignore_ascii_case("https");
        if object.contains_key(name) && !agrees {
            let note = format!("without effect: the scheme of `{endpoint_name}` is {}", scheme.to_ascii_lowercase());
            notes.unknown(name, note);
        }
        return Ok(());
    }
    if access.tls || endpoint.is_some_and(|url| !url.trim().is_empty()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("`{name}` is false without an `{endpoint_name}`"))
        .hint(format!("remove `{name}`: AWS is always reached through TLS")))
}

/// The connection, and the prefix that was written into the bucket.
///
/// # Errors
/// Config, by the parts.
pub(super) fn connection(
    access: &Access<'_>,
    credentials: Credentials,
    notes: &mut Notes,
) -> Result<(Connection, String)> {
    let place = bucket(access.bucket.1, access.bucket.0)?;
    let written = region(access.region.1.unwrap_or_default(), access.region.0)?;
    if let (Some(written), Some(of_point)) = (&written, &place.region)
        && written != of_point
    {
        let expected = format!("'{of_point}', the region of the access point");
        return Err(wrong(access.region.0, format!("'{written}'"), &expected));
    }
    let known = written.is_some() || place.region.is_some();
    let default = access.default_region.filter(|_| !known);
    if let Some(default) = default {
        notes.defaulted(access.region.0.to_owned(), &default.into());
    }
    let connection = Connection {
        bucket: place.bucket,
        region: written.or(place.region).or(default.map(str::to_owned)),
        endpoint: endpoint(access.endpoint.1.unwrap_or_default(), access.tls, access.endpoint.0)?,
        path_style: None,
        credentials,
        requester_pays: false,
        ca_bundle: None,
    };
    Ok((connection, place.prefix))
}

/// A date, or a date and time, in the pattern that Airbyte's specification gives; offsets are applied.
///
/// # Errors
/// Config when it has another shape, or is impossible.
pub(super) fn start_date(text: &str, path: &str) -> Result<Timestamp> {
    let expected = "YYYY-MM-DD, YYYY-MM-DDTHH:mm:ssZ or YYYY-MM-DDTHH:mm:ss.SSSSSSZ";
    let fail = || wrong(path, shown(text), expected);
    let bytes = text.as_bytes();
    // The pattern begins with ten characters of date, and a time needs its `T` and seconds.
    let date_alone = bytes.len() == 10;
    let with_time = bytes.len() >= 19 && bytes[10] == b'T' && bytes[..19].is_ascii();
    if !date_alone && !with_time {
        return Err(fail());
    }
    Timestamp::parse(text).ok_or_else(fail)
}

/// Writes a literal text as a part of a glob.
pub(super) fn escaped(text: &str) -> String {
    let mut glob = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            glob.push('\\');
        }
        glob.push(c);
    }
    glob
}

/// A glob that holds below a prefix.
pub(super) fn inside(prefix: &str, glob: &str) -> String {
    format!("{}{glob}", escaped(prefix))
}

/// A pair of keys, where both or neither must be there.
///
/// # Errors
/// Config, naming the one that is missing.
pub(super) fn both<T>(path: &str, first: (&str, Option<T>), second: (&str, Option<T>)) -> Result<Option<(T, T)>> {
    let missing = |absent: &str, present: &str| {
        let (absent, present) = (join(path, absent), join(path, present));
        Err(Error::config(format!("`{absent}` is missing beside `{present}`")).hint("give both keys, or neither"))
    };
    match (first.1, second.1) {
        (Some(one), Some(two)) => Ok(Some((one, two))),
        (None, None) => Ok(None),
        (Some(_), None) => missing(second.0, first.0),
        (None, Some(_)) => missing(first.0, second.0),
    }
}

/// The name of a stream that has none: the last part of its prefix, or else the bucket (of an access point: its name).
pub(super) fn stream_name(prefix: &str, bucket: &str) -> String {
    let last = |text: &str| text.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned);
    last(prefix).or_else(|| last(bucket)).unwrap_or_else(|| bucket.to_owned())
}
