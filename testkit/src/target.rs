//! What a request is about: bucket, key, and its operation in the words of S3's server access logs.

use http::{HeaderMap, Method, Uri};

/// Bucket, key and operation of a request, read before anything is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) operation: &'static str,
}

impl Target {
    /// Reads the target from path, host and query. `domains` are the names below which buckets are host names.
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap, domains: &[String]) -> Self {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("");
        let path = percent_decode(uri.path().strip_prefix('/').unwrap_or(""));
        let (bucket, key) = match bucket_of_host(host, domains) {
            Some(bucket) => (bucket.to_owned(), path),
            None => match path.split_once('/') {
                Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
                None => (path, String::new()),
            },
        };
        let bucket = (!bucket.is_empty()).then_some(bucket);
        let key = (!key.is_empty()).then_some(key);
        let query = uri.query().unwrap_or("");
        let operation = match (&bucket, &key) {
            (None, _) => service_operation(method),
            (_, None) => bucket_operation(method, query),
            _ => object_operation(method, query, headers.contains_key("x-amz-copy-source")),
        };
        Self { bucket, key, operation }
    }
}

/// The bucket in a host name like `bucket.localhost:9000`; none for an address or an unknown domain.
pub(crate) fn bucket_of_host<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let below = |domain: &String| name.strip_suffix(domain.as_str())?.strip_suffix('.');
    domains.iter().find_map(below).filter(|bucket| !bucket.is_empty())
}

/// The query parameter with a name, not decoded; an empty text when it has no value.
pub(crate) fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (found == name).then_some(value)
    })
}

/// Decodes `%41`; anything that is not UTF-8 afterwards becomes U+FFFD. A plus stays a plus.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => hex_digit(*high).zip(hex_digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if byte.is_some() { &tail[2..] } else { tail };
        decoded.push(byte.unwrap_or(*first));
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn service_operation(method: &Method) -> &'static str {
    if method == Method::GET { "REST.GET.SERVICE" } else { "REST.OTHER.SERVICE" }
}

fn bucket_operation(method: &Method, query: &str) -> &'static str {
    let has = |name| query_value(query, name).is_some();
    match *method {
        Method::GET if has("location") => "REST.GET.LOCATION",
        Method::GET if has("uploads") => "REST.GET.UPLOADS",
        Method::GET if has("versions") => "REST.GET.BUCKETVERSIONS",
        Method::GET if has("versioning") => "REST.GET.VERSIONING",
        Method::GET if has("policy") => "REST.GET.BUCKETPOLICY",
        Method::GET if has("acl") => "REST.GET.ACL",
        Method::GET => "REST.GET.BUCKET",
        Method::HEAD => "REST.HEAD.BUCKET",
        Method::PUT => "REST.PUT.BUCKET",
        Method::DELETE => "REST.DELETE.BUCKET",
        Method::POST if has("delete") => "REST.POST.MULTI_OBJECT_DELETE",
        Method::OPTIONS => "REST.OPTIONS.PREFLIGHT",
        _ => "REST.OTHER.BUCKET",
    }
}

fn object_operation(method: &Method, query: &str, copy: bool) -> &'static str {
    let has = |name| query_value(query, name).is_some();
    match *method {
        Method::GET if has("uploadId") => "REST.GET.UPLOAD",
        Method::GET if has("tagging") => "REST.GET.OBJECT_TAGGING",
        Method::GET if has("acl") => "REST.GET.ACL",
        Method::GET => "REST.GET.OBJECT",
        Method::HEAD => "REST.HEAD.OBJECT",
        Method::PUT if has("uploadId") && copy => "REST.COPY.PART",
        Method::PUT if has("uploadId") => "REST.PUT.PART",
        Method::PUT if copy => "REST.COPY.OBJECT",
        Method::PUT if has("tagging") => "REST.PUT.OBJECT_TAGGING",
        Method::PUT => "REST.PUT.OBJECT",
        Method::DELETE if has("uploadId") => "REST.DELETE.UPLOAD",
        Method::DELETE => "REST.DELETE.OBJECT",
        Method::POST if has("uploads") => "REST.POST.UPLOADS",
        Method::POST if has("uploadId") => "REST.POST.UPLOAD",
        Method::POST if has("restore") => "REST.POST.RESTORE",
        Method::POST if has("select") => "REST.POST.SELECT",
        Method::OPTIONS => "REST.OPTIONS.PREFLIGHT",
        _ => "REST.OTHER.OBJECT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, uri: &str, host: &str, copy: bool) -> (Option<String>, Option<String>, &'static str) {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().expect("a header value"));
        if copy {
            headers.insert("x-amz-copy-source", http::HeaderValue::from_static("b/k"));
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let target = Target::of(&method, &uri.parse().expect("a URI"), &headers, &["localhost".to_owned()]);
        (target.bucket, target.key, target.operation)
    }

    #[test]
    fn requests_are_named_as_in_server_access_logs() {
        let cases = [
            ("GET", "/", "localhost:1", false, "", "", "REST.GET.SERVICE"),
            ("GET", "/b?list-type=2", "127.0.0.1:1", false, "b", "", "REST.GET.BUCKET"),
            ("GET", "/b/?location", "127.0.0.1:1", false, "b", "", "REST.GET.LOCATION"),
            ("HEAD", "/", "b.localhost:1", false, "b", "", "REST.HEAD.BUCKET"),
            ("GET", "/a/b%20c%2Fd+e", "b.localhost", false, "b", "a/b c/d+e", "REST.GET.OBJECT"),
            ("HEAD", "/b//k", "elsewhere.test", false, "b", "/k", "REST.HEAD.OBJECT"),
            ("PUT", "/b/k", "x", false, "b", "k", "REST.PUT.OBJECT"),
            ("PUT", "/b/k", "x", true, "b", "k", "REST.COPY.OBJECT"),
            ("PUT", "/b/k?partNumber=1&uploadId=u", "x", false, "b", "k", "REST.PUT.PART"),
            ("POST", "/b/k?uploads", "x", false, "b", "k", "REST.POST.UPLOADS"),
            ("POST", "/b/k?uploadId=u", "x", false, "b", "k", "REST.POST.UPLOAD"),
            ("DELETE", "/b/k?uploadId=u", "x", false, "b", "k", "REST.DELETE.UPLOAD"),
            ("POST", "/b?delete", "x", false, "b", "", "REST.POST.MULTI_OBJECT_DELETE"),
        ];
        for (method, uri, host, copy, bucket, key, operation) in cases {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            assert_eq!(target(method, uri, host, copy), (some(bucket), some(key), operation), "{method} {uri} {host}");
        }
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%E2%82%AC%2B+"), "€++");
    }
}
