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
    let options =
        StoreOptions { proxy_from_environment: true, credentials_timeout: Duration::from_millis(700), ..options() };
    let listed = match Store::connect(&connection, Ledger::new(), options).await {
        Ok(store) => store.list(&ListRequest::default()).await.map(drop),
        Err(error) => Err(error),
    };
    match listed {
        Ok(()) => eprintln!("RESULT ok"),
        Err(error) => eprintln!("RESULT {error:?}"),
    }
}

/// Answers listings, and AssumeRole with keys of its own. The credentials are then good for an hour.
fn server() -> Server {
    Server::start(|_, request| match request.method.as_str() {
        "POST" => role_keys(),
        _ => Reply::new(200, &[], PAGE.as_bytes()),
    })
}

fn role_keys() -> Reply {
    Reply::new(
        200,
        &[("Content-Type", "text/xml")],
        b"<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
              <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>rolesecret</SecretAccessKey>\
              <SessionToken>roletoken</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
              <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/x</Arn>\
              <AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>",
    )
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

/// Keys that a panic of the SDK would print otherwise.
#[test]
fn keys_with_characters_that_no_header_has_are_an_error_and_not_a_panic() {
    let server = server();
    for (id, secret, token) in [
        ("AKIA\nENV", "envsecret", "envtoken"),
        ("AKIA\u{1}", "envsecret", "envtoken"),
        ("AKIAé", "envsecret", "envtoken"),
        ("AKIAENV", "env\nsecret", "envtoken"),
        ("AKIAENV", "envsecret", "env\ntoken"),
    ] {
        let variables = [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret), ("AWS_SESSION_TOKEN", token)];
        let result = list_in_child("chain", &server.endpoint(), &variables);
        assert!(
            result.starts_with("Config: ") && result.contains("contains a character that is not allowed"),
            "{id:?}: {result}"
        );
        assert!(!result.contains("envsecret") && !result.contains("envtoken"), "{result}");
    }
    let result = list_in_child("chain", &server.endpoint(), &[KEYS[0], KEYS[1], ("AWS_REGION", "eu\nwest")]);
    assert!(result.contains("is not a valid region name"), "{result}");
}

/// A profile whose keys come from a shell command.
fn process(command: &str) -> (tempfile::Profile, String) {
    let profile = tempfile::Profile::new(&format!("[default]\ncredential_process = {command}\n"));
    let path = profile.path();
    (profile, path)
}

/// A file that goes with its test.
mod tempfile {
    use std::sync::atomic::{AtomicU64, Ordering};

    pub struct Profile(std::path::PathBuf);

    impl Profile {
        pub fn new(text: &str) -> Self {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let name = format!("profile-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        pub fn path(&self) -> String {
            self.0.display().to_string()
        }
    }

    impl Drop for Profile {
        fn drop(&mut self) {
            _ = std::fs::remove_file(&self.0);
        }
    }
}

const NO_CREDENTIALS: (&str, &str) = ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
const PATH: (&str, &str) = ("PATH", "/usr/bin:/bin");

#[test]
fn what_a_failing_credential_process_writes_is_not_shown() {
    let (_file, path) = process("echo 'secret is 0123456789' >&2; exit 3");
    let result = list_in_child("chain", "http://127.0.0.1:1", &[PATH, NO_CREDENTIALS, ("AWS_CONFIG_FILE", &path)]);
    assert!(
        result.starts_with("Access: ") && result.contains("run the `credential_process` of the profile"),
        "{result}"
    );
    assert!(!result.contains("0123456789"), "{result}");
}

#[test]
fn a_credential_process_with_a_nul_in_its_keys_is_an_error_and_not_a_panic() {
    let answer = r#"{"Version": 1, "AccessKeyId": "AKIA\u0000X", "SecretAccessKey": "processsecret"}"#;
    let (_file, path) = process(&format!("printf '%%s' '{answer}'").replace("%%", "%"));
    let result = list_in_child("chain", "http://127.0.0.1:1", &[PATH, NO_CREDENTIALS, ("AWS_CONFIG_FILE", &path)]);
    assert!(result.starts_with("Config: ") && result.contains("contains a character that is not allowed"), "{result}");
}

#[test]
fn a_credential_process_that_hangs_is_named() {
    let (_file, path) = process("sleep 20");
    let result = list_in_child("chain", "http://127.0.0.1:1", &[PATH, NO_CREDENTIALS, ("AWS_CONFIG_FILE", &path)]);
    assert!(result.starts_with("Transient: the credentials provider did not respond in time"), "{result}");
    assert!(result.contains("credential_process") && !result.contains("bucket and region"), "{result}");
}

/// Secrets that the connection does not have: of the environment, and of a role's session.
#[test]
fn a_server_that_repeats_secrets_of_the_environment_does_not_make_us_show_them() {
    let secrets = ["envsecret", "rolesecret", "roletoken", "AKIAENV", "ASIAROLE"];
    let server = Server::start(move |_, request| match request.method.as_str() {
        "POST" => role_keys(),
        _ => {
            let told = secrets.join(" ");
            let region = format!("<Region>{told}</Region>");
            let body = format!("<Error><Code>X{told}</Code><Message>{told}</Message>{region}</Error>");
            Reply::new(403, &[("x-amz-request-id", &format!("id {told}"))], body.as_bytes())
        }
    });
    let endpoint = server.endpoint();
    let sts = ("AWS_ENDPOINT_URL_STS", endpoint.as_str());
    for who in ["role", "chain"] {
        let result = list_in_child(who, &endpoint, &[KEYS[0], KEYS[1], sts]);
        let used: &[&str] = if who == "role" { &secrets } else { &["envsecret", "AKIAENV"] };
        assert!(result.contains("****"), "{result}");
        assert!(!used.iter().any(|secret| result.contains(secret)), "{who}: {result}");
    }
}
