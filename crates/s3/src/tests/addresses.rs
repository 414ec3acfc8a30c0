//! Which addresses of AWS are asked: without a socket, by an HTTP client that writes down the URL.

use std::sync::Mutex;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

use super::*;
use crate::ListRequest;
use tollgate_base::error::ErrorKind;

const PAGE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// Status, header and body for a host.
type Script = fn(&str) -> (u16, Option<(&'static str, &'static str)>, &'static str);

#[derive(Debug, Clone)]
struct Fake {
    script: Script,
    hosts: Arc<Mutex<Vec<String>>>,
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('/').nth(2).unwrap_or_default().to_owned();
        let (status, header, body) = (self.script)(&host);
        self.hosts.lock().unwrap().push(host);
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// The hosts that listings ask, two per store; and the error of the second, if any.
async fn hosts(connection: &Connection, script: Script) -> (Vec<String>, Option<Error>) {
    let fake = Fake { script, hosts: Arc::default() };
    let hosts = Arc::clone(&fake.hosts);
    let connector = SharedHttpConnector::new(fake);
    let http: SharedHttpClient = http_client_fn(move |_, _| connector.clone());
    let store = Store::through(connection, Ledger::new(), options(), http).await.unwrap();
    let _ = store.list(&ListRequest::default()).await;
    let error = store.list(&ListRequest::default()).await.err();
    let hosts = hosts.lock().unwrap().clone();
    (hosts, error)
}

fn aws(bucket: &str, region: Option<&str>) -> Connection {
    Connection {
        bucket: bucket.to_owned(),
        region: region.map(str::to_owned),
        endpoint: None,
        ..connection("http://unused")
    }
}

#[tokio::test]
async fn buckets_and_access_points_have_hosts_of_their_own() {
    let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs";
    let access_point = "logs-123456789012.s3-accesspoint.eu-west-1.amazonaws.com";
    for (bucket, region, path_style, host) in [
        ("logs", Some("eu-west-1"), None, "logs.s3.eu-west-1.amazonaws.com"),
        ("logs", Some("cn-north-1"), None, "logs.s3.cn-north-1.amazonaws.com.cn"),
        ("logs", Some("eu-west-1"), Some(true), "s3.eu-west-1.amazonaws.com"),
        ("logs.with.dots", Some("eu-west-1"), None, "s3.eu-west-1.amazonaws.com"),
        (arn, None, None, access_point),
        (arn, Some("us-east-1"), None, access_point),
    ] {
        let connection = Connection { path_style, ..aws(bucket, region) };
        let (asked, error) = hosts(&connection, |_| (200, None, PAGE)).await;
        assert_eq!((asked, error.is_none()), (vec![host.to_owned(); 2], true), "{bucket} {error:?}");
    }
}

#[tokio::test]
async fn a_bucket_elsewhere_is_asked_at_its_own_host() {
    let script: Script = |host| match host {
        "logs.s3.eu-central-1.amazonaws.com" => (200, None, PAGE),
        _ => (301, Some(("x-amz-bucket-region", "eu-central-1")), ""),
    };
    let (asked, error) = hosts(&aws("logs", Some("eu-west-1")), script).await;
    let (wrong, right) = ("logs.s3.eu-west-1.amazonaws.com", "logs.s3.eu-central-1.amazonaws.com");
    assert_eq!((asked, error.is_none()), (vec![wrong.to_owned(), right.to_owned(), right.to_owned()], true));
}

#[tokio::test]
async fn a_region_that_is_no_region_is_not_followed() {
    let script: Script = |_| (301, Some(("x-amz-bucket-region", "evil.example.com/")), "");
    let (asked, error) = hosts(&aws("logs", Some("eu-west-1")), script).await;
    assert_eq!(asked, vec!["logs.s3.eu-west-1.amazonaws.com"; 2]);
    assert_eq!(error.unwrap().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_name_that_cannot_be_a_bucket_is_an_error_of_the_configuration() {
    for bucket in ["arn:aws:s3:nonsense", "", "arn:aws:sns:eu-west-1:123456789012:topic"] {
        let (asked, error) = hosts(&aws(bucket, Some("eu-west-1")), |_| (200, None, PAGE)).await;
        let error = error.unwrap_or_else(|| panic!("'{bucket}' asks {asked:?}"));
        assert_eq!((error.kind(), asked.len()), (ErrorKind::Config, 0), "{error:?}");
        shown(&error);
    }
}
