//! `testkit serve` and its controls, as tests in other languages use them.

mod common;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Client, End};
use serde_json::Value;

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testkit"));
        let mut child = command.arg("serve").args(arguments).stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("one JSON line");
        let endpoint = ready["endpoint"].as_str().expect("an endpoint");
        let address = endpoint.strip_prefix("http://").expect("a URL").parse().expect("an address");
        Self { child, address }
    }

    fn client(&self) -> Client {
        Client::to(self.address)
    }

    /// Sends a signal and returns the exit code.
    fn end(mut self, signal: &str) -> Option<i32> {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(killed.expect("a signal").success());
        self.child.wait().expect("an end").code()
    }
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("testkit-{name}-{}", std::process::id()));
    std::fs::create_dir_all(path.join("first/deep")).expect("a folder");
    std::fs::create_dir_all(path.join("second")).expect("a folder");
    std::fs::write(path.join("first/deep/a b.csv"), "id\n1\n").expect("a file");
    std::fs::write(path.join("second/é.csv"), "id\n2\n").expect("a file");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn folders_become_buckets_and_the_log_a_file() {
    let data = folder("serve");
    let log = data.join("log.jsonl");
    let arguments = ["--data", text(&data), "--log", text(&log), "--user", "NONE:s:none"];
    let program = Program::start(&[&arguments[..], &["--virtual", "keys=5000:match=100"]].concat());
    let mut client = program.client();
    assert_eq!(client.get("/").elements("Name"), ["first", "second", "virtual"]);
    assert_eq!(client.get("/first/deep/a%20b.csv").text(), "id\n1\n");
    let listed = client.get("/virtual?list-type=2&prefix=data%2Fdt%3D2020-02-10%2F");
    assert_eq!(listed.element("KeyCount"), "100");
    let mut other = program.client().signed_by(|signer| {
        signer.access_key = "NONE".into();
        signer.secret_key = "s".into();
    });
    assert_eq!(other.get("/first/deep/a%20b.csv").element("Code"), "AccessDenied");
    assert_eq!(program.end("-TERM"), Some(0));
    let lines = std::fs::read_to_string(&log).expect("the log");
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let operations: Vec<&str> = entries.iter().map(|entry| entry["operation"].as_str().expect("a text")).collect();
    assert_eq!(operations, ["REST.GET.SERVICE", "REST.GET.OBJECT", "REST.GET.BUCKET", "REST.GET.OBJECT"], "{lines}");
    std::fs::remove_dir_all(&data).expect("the folder");
}

#[test]
fn one_bucket_of_all_folders_that_anyone_reads() {
    let data = folder("one");
    let program = Program::start(&["--data", text(&data), "--bucket", "all", "--anonymous"]);
    let mut client = program.client().anonymous();
    assert_eq!(client.get("/all?list-type=2").elements("Key"), ["first/deep/a b.csv", "second/é.csv"]);
    assert_eq!(program.end("-INT"), Some(0));
    std::fs::remove_dir_all(&data).expect("the folder");
}

#[test]
fn controls_change_objects_faults_and_the_log() {
    let program = Program::start(&[]);
    let mut control = program.client().anonymous();
    let mut client = program.client();
    let facts = "bucket=ctl&key=a%20b%2Bc&modified_at=2024-02-29T01:02:03Z&storage_class=STANDARD_IA";
    let put = control.put(&format!("/__testkit/object?{facts}"), b"body");
    assert_eq!((put.status, put.text().as_str()), (200, "\"841a2d689ad86bd1611447453c22c6fc\""));
    let head = client.head("/ctl/a%20b%2Bc");
    assert_eq!(head.header("last-modified"), Some("Thu, 29 Feb 2024 01:02:03 GMT"));
    assert_eq!(head.header("x-amz-storage-class"), Some("STANDARD_IA"));
    let touch = "/__testkit/touch?bucket=ctl&key=a%20b%2Bc&modified_at=2025-01-01T00:00:00Z";
    assert_eq!(control.send("POST", touch, &[], b"").text(), "true");
    assert_eq!(client.head("/ctl/a%20b%2Bc").header("last-modified"), Some("Wed, 01 Jan 2025 00:00:00 GMT"));

    let fault = br#"{"action":{"short_body":2},"times":1,"when":{"operation":"REST.GET.OBJECT"}}"#;
    assert_eq!(control.put("/__testkit/fault", fault).text(), "1");
    let cut = client.get("/ctl/a%20b%2Bc");
    assert_eq!((cut.end, cut.text().as_str()), (End::Closed, "bo"));
    control.put("/__testkit/fault", br#"{"action":"reset"}"#);
    assert_eq!(control.send("DELETE", "/__testkit/fault", &[], b"").status, 200);
    let mut client = program.client();
    assert_eq!(client.get("/ctl/a%20b%2Bc").text(), "body");

    let log = control.get("/__testkit/log").text();
    let sent: Vec<i64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["bytes_sent"].as_i64().expect("a number"))
        .collect();
    assert_eq!(sent, [0, 0, 2, 4]);
    assert_eq!(control.send("DELETE", "/__testkit/log", &[], b"").status, 200);
    assert_eq!(control.get("/__testkit/log").text(), "");

    control.put("/__testkit/bucket?bucket=far&region=eu-west-1", b"");
    assert_eq!(client.head("/far").header("x-amz-bucket-region"), Some("eu-west-1"));
    assert_eq!(control.send("DELETE", "/__testkit/object?bucket=ctl&key=a%20b%2Bc", &[], b"").text(), "true");
    assert_eq!(client.head("/ctl/a%20b%2Bc").status, 404);
    for (method, target, body, part) in [
        ("PUT", "/__testkit/fault", &br#"{"action":"nope"}"#[..], "nope"),
        ("PUT", "/__testkit/object?bucket=b", b"", "`key`"),
        ("PUT", "/__testkit/object?bucket=b&key=k&modified_at=now", b"", "`now`"),
        ("GET", "/__testkit/else", b"", "README"),
    ] {
        let answer = control.send(method, target, &[], body);
        assert!(answer.status == 400 && answer.text().contains(part), "{target}: {}", answer.text());
    }
    assert_eq!(program.end("-TERM"), Some(0));
}
