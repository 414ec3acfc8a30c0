//! What comes from the environment: credentials, roles, proxies. A test must not change its own environment, so each case
//! runs this program once more, with one test and the variables of the case.

use std::process::Command;

use super::*;
use crate::ListRequest;

const PAGE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// The variable that tells the child what to do: who asks, and where.
const CASE: &str = "TOLLGATE_TEST_CASE";

/// Lists a bucket in a process with these variables; answers with what it printed: `ok` or the error.
fn list_in_child(who: &str, endpoint: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tests::environment::child", "--nocapture", "--ignored"]);
    command.env_clear().env(CASE, format!("{who} {endpoint}")).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("HOME", "/nonexistent").envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, result) = text.split_once("RESULT ").unwrap_or_else(|| panic!("the child failed: {text}"));
    result.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
#[ignore = "started by the tests of this module"]
#[expect(clippy::print_stderr, reason = "a child speaks to its parent")]
async fn child() {
    let case = std::env::var(CASE).unwrap();
    let (who, endpoint) = case.split_once(' ').unwrap();
    let credentials = match who {
        "chain" => Credentials::DefaultChain,
        "role" => {
            Credentials::AssumeRole { role_arn: "arn:aws:iam::123456789012:role/reader".into(), external_id: None }
        }
        "role-with-id" => Credentials::AssumeRole {
            role_arn: "arn:aws:iam::123456789012:role/reader".into(),
            external_id: Some("given".into()),
        },
        _ => Credentials::Anonymous,
    };
    let connection = Connection { credentials, region: None, ..connection(endpoint) };
    let options = StoreOptions { proxy_from_environment: true, ..options() };
    let (store, _) = store_with(&connection, options).await;
    match store.list(&ListRequest::default()).await {
        Ok(_) => eprintln!("RESULT ok"),
        Err(error) => eprintln!("RESULT {error:?}"),
    }
}

/// Answers listings, and AssumeRole with keys of its own. The credentials are then good for an hour.
fn server() -> Server {
    Server::start(|_, request| match request.method.as_str() {
        "POST" => Reply::new(
            200,
            &[("Content-Type", "text/xml")],
            b"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
              <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>rolesecret</SecretAccessKey>\
              <SessionToken>roletoken</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
              <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/x</Arn>\
              <AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>",
        ),
        _ => Reply::new(200, &[], PAGE.as_bytes()),
    })
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "envsecret")];

#[test]
fn keys_and_region_of_the_environment_are_used() {
    let server = server();
    let variables = [KEYS[0], KEYS[1], ("AWS_SESSION_TOKEN", "envtoken"), ("AWS_REGION", "eu-west-3")];
    assert_eq!(list_in_child("chain", &server.endpoint(), &variables), "ok");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].header("authorization").unwrap().contains("AKIAENV/"));
    assert!(requests[0].header("authorization").unwrap().contains("/eu-west-3/s3/"));
    assert_eq!(requests[0].header("x-amz-security-token"), Some("envtoken"));
}

#[test]
fn no_credentials_at_all_is_said_so() {
    let server = server();
    let result = list_in_child("chain", &server.endpoint(), &[]);
    assert!(result.starts_with("Access: no credentials were found"), "{result}");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_role_is_assumed_with_the_environments_keys() {
    for (who, variables, external_id) in [
        ("role", &[][..], None),
        ("role", &[("AWS_ASSUME_ROLE_EXTERNAL_ID", "from-environment")][..], Some("from-environment")),
        ("role-with-id", &[("AWS_ASSUME_ROLE_EXTERNAL_ID", "from-environment")][..], Some("given")),
    ] {
        let server = server();
        let endpoint = server.endpoint();
        let sts = [("AWS_ENDPOINT_URL_STS", endpoint.as_str())];
        let variables = [&KEYS, &sts[..], variables].concat();
        assert_eq!(list_in_child(who, &endpoint, &variables), "ok");
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests[0].body.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freader"));
        assert!(requests[0].body.contains("RoleSessionName=airbyte-source-s3"));
        let sent = requests[0].body.split('&').find_map(|pair| pair.strip_prefix("ExternalId="));
        assert_eq!(sent, external_id, "{who}");
        assert!(requests[0].header("authorization").unwrap().contains("AKIAENV/"));
        assert!(requests[1].header("authorization").unwrap().contains("ASIAROLE/"));
        assert_eq!(requests[1].header("x-amz-security-token"), Some("roletoken"));
    }
}

#[test]
fn a_role_that_is_refused_is_said_so() {
    let server = Server::start(|_, _| {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                    <Message>User: x is not authorized to perform: sts:AssumeRole on resource: y</Message></Error></ErrorResponse>";
        Reply::new(403, &[("Content-Type", "text/xml")], body.as_bytes())
    });
    let endpoint = server.endpoint();
    let variables = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL_STS", endpoint.as_str())];
    let result = list_in_child("role", &endpoint, &variables);
    assert!(result.starts_with("Access: ") && result.contains("sts:AssumeRole"), "{result}");
    assert!(!result.contains("envsecret"));
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_excepted() {
    let (proxy, server) = (self::server(), self::server());
    let proxy_address = proxy.endpoint();
    let variables = [("HTTP_PROXY", proxy_address.as_str())];
    assert_eq!(list_in_child("anonymous", "http://s3.example.com:9000", &variables), "ok");
    assert_eq!(proxy.requests()[0].header("host"), Some("s3.example.com:9000"));
    let variables = [variables[0], ("NO_PROXY", "127.0.0.1")];
    assert_eq!(list_in_child("anonymous", &server.endpoint(), &variables), "ok");
    assert_eq!((proxy.requests().len(), server.requests().len()), (1, 1));
}
