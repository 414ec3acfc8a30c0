//! What verbs have in common: the job, whom they talk to, and configurations whose names come from elsewhere.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{ACCESS_KEY, BUCKET, Bench, SECRET_KEY, catalog, finish, program};

/// What a verb answered: exit code, stdout, stderr.
fn run(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn verb(bench: &Bench, verb: &str, config: &Value, more: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg(verb).arg("--config").arg(bench.file("config.json", config)).args(more);
    command
}

fn lake(bench: &Bench) -> Value {
    bench.put("f/a.csv", "a\n1\n", 1);
    bench.config(json!([{"name": "s", "globs": ["f/*"], "format": {"filetype": "csv"}}]))
}

#[test]
fn every_verb_reads_from_the_server_that_the_environment_names() {
    let bench = Bench::new();
    let mut config = lake(&bench);
    config.as_object_mut().unwrap().remove("endpoint");
    for name in ["check", "discover", "plan", "estimate"] {
        bench.server.log().clear();
        let mut command = verb(&bench, name, &config, &[]);
        command.env("AWS_ENDPOINT_URL", bench.server.endpoint());
        let (code, stdout, stderr) = run(command);
        assert_eq!(code, Some(0), "{name}: {stdout} {stderr}");
        assert_eq!(bench.requests().1, 1, "{name} lists elsewhere: {stdout} {stderr}");
    }
    // A server that is not AWS costs nothing.
    let mut command = verb(&bench, "estimate", &config, &["--json"]);
    command.env("AWS_ENDPOINT_URL", bench.server.endpoint());
    let (_, stdout, _) = run(command);
    let estimate: Value = serde_json::from_str(&stdout).unwrap();
    assert!(!stdout.contains("USW") && !estimate["assumptions"].to_string().contains("list prices"), "{stdout}");
}

#[test]
fn verbs_for_people_tell_warnings_and_errors_in_plain_words_on_stderr() {
    let bench = Bench::new();
    let mut config = lake(&bench);
    config["odd"] = 1.into();
    for name in ["plan", "estimate"] {
        let (code, stdout, stderr) = run(verb(&bench, name, &config, &[]));
        assert_eq!(code, Some(0), "{name}: {stderr}");
        assert!(stderr.contains("warning: the parameter 'odd' is not known and has no effect"), "{name}: {stderr}");
        assert!(!stdout.contains("\"type\""), "{name}: {stdout}");
        let (_, stdout, _) = run(verb(&bench, name, &config, &["--json"]));
        let answer: Value = serde_json::from_str(&stdout).unwrap();
        let told = [&answer["warnings"], &answer["assumptions"]].map(Value::to_string);
        assert!(told.iter().any(|text| text.contains("'odd' is not known")), "{name}: {stdout}");
    }
    config["streams"][0]["globs"] = json!("f/*");
    for name in ["plan", "estimate", "translate"] {
        let (code, stdout, stderr) = run(verb(&bench, name, &config, &[]));
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{name}");
        assert!(stderr.starts_with("error: `streams[0].globs` is string \"f/*\", expected a list"), "{name}: {stderr}");
        let program = finish(verb(&bench, name, &config, &["--format", "json"]));
        assert_eq!((program.code, program.errors().len()), (Some(1), 1), "{name}: {program:#?}");
    }
}

#[test]
fn debug_is_accepted_before_and_after_the_verb_and_tells_more() {
    let bench = Bench::new();
    let config = lake(&bench);
    let debug = |output: &crate::support::Output| {
        let level = |message: &&&Value| message["log"]["level"] == "DEBUG";
        let lines = output.of_type("LOG");
        lines.iter().filter(level).map(|message| message["log"]["message"].to_string()).collect::<Vec<_>>()
    };
    let quiet = bench.read(&config, &catalog("s", "full_refresh"), None).ok();
    assert_eq!(debug(&quiet), Vec::<String>::new());
    let mut command = bench.read_command(&config, &catalog("s", "full_refresh"), None);
    command.arg("--debug");
    let output = finish(command).ok();
    let lines = debug(&output);
    assert!(lines.iter().any(|line| line.contains("streams[0].globs is [")), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("GET") && line.contains("f/a.csv") && line.contains("200")),
        "{lines:#?}"
    );
    assert!(!output.text.contains(SECRET_KEY), "a secret was printed");
    assert_eq!(output.data().len(), 1);
    let mut command = Command::new(program());
    command.arg("--debug").arg("plan").arg("--config").arg(bench.file("config.json", &config));
    let (code, stdout, stderr) = run(command);
    assert!(code == Some(0) && stderr.contains("debug: ") && !stdout.contains("debug"), "{stdout} {stderr}");
}

/// A Fivetran-style configuration of the bench's bucket.
fn fivetran(bench: &Bench, parameters: Value) -> Value {
    let mut config = json!({
        "bucket": BUCKET, "auth_type": "ACCESS_KEY", "access_key_id": ACCESS_KEY, "access_key_secret": SECRET_KEY,
        "region": "us-east-1", "endpoint_url": bench.server.endpoint(), "prefix": "f", "table": "s",
    });
    config.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    config
}

fn urls(bench: &Bench, parameters: Value) -> Vec<String> {
    let output = bench.read(&fivetran(bench, parameters), &catalog("s", "full_refresh"), None).ok();
    let mut urls = output.column("_ab_source_file_url");
    urls.sort();
    urls
}

#[test]
fn patterns_are_regular_expressions_and_list_their_literal_head() {
    let bench = Bench::new();
    for key in [
        "f/orders_1.csv",
        "f/orders_20240115.csv",
        "f/Orders_x.csv",
        "f/.orders_7.csv",
        "f/sub/orders_3.csv",
        "g/orders_1.csv",
    ] {
        bench.put(key, "a\n1\n", 1);
    }
    for index in 0..1500 {
        bench.put(&format!("f/zzz/{index}.csv"), "a\n1\n", 1);
    }
    let all = ["f/orders_1.csv", "f/orders_20240115.csv"];
    for pattern in
        [r"orders_\d+\.csv", r"orders_[0-9]+\.csv", r"orders_\w+\.csv", r"orders_\d{1,8}\.csv", r"^orders_\d+\.csv$"]
    {
        bench.server.log().clear();
        assert_eq!(urls(&bench, json!({"file_type": "csv", "pattern": pattern})), all, "{pattern}");
        let log = bench.server.log().take();
        let lists: Vec<_> = log.iter().filter(|entry| entry.operation == "REST.GET.BUCKET").collect();
        assert_eq!(lists.len(), 1, "{pattern}");
        assert!(lists[0].query.as_deref().unwrap().contains("prefix=f%2Forders_"), "{pattern}: {:?}", lists[0].query);
    }
    let ignoring_case = urls(&bench, json!({"file_type": "csv", "pattern": r"(?i)orders_\w+\.CSV"}));
    assert_eq!(ignoring_case, ["f/Orders_x.csv", "f/orders_1.csv", "f/orders_20240115.csv"]);
    assert_eq!(urls(&bench, json!({"file_type": "csv", "pattern": r".*\borders_\d\b.*"})).len(), 3);
}

#[test]
fn file_type_infer_takes_the_format_from_the_first_key() {
    let bench = Bench::new();
    bench.put("f/readme", "not data", 1);
    bench.put("f/sub/a.jsonl.gz", crate::support::gzipped(b"{\"a\": 1}\n"), 1);
    bench.put("f/sub/b.JSONL", "{\"a\": 2}\n", 1);
    let unpacked = json!({"file_type": "infer", "pattern": "sub/.*", "json_delivery_mode": "Unpacked"});
    assert_eq!(urls(&bench, unpacked.clone()), ["f/sub/a.jsonl.gz", "f/sub/b.JSONL"]);
    let packed = bench.read(&fivetran(&bench, json!({"pattern": "sub/.*"})), &catalog("s", "full_refresh"), None).ok();
    assert!(packed.data().iter().all(|row| row["data"]["a"].is_u64()), "{packed:#?}");
    for name in ["check", "discover", "plan", "estimate"] {
        let (code, stdout, stderr) = run(verb(&bench, name, &fivetran(&bench, unpacked.clone()), &[]));
        assert!(code == Some(0) && !stdout.contains("FAILED"), "{name}: {stdout} {stderr}");
    }
    // A file of another format is an error and no silent loss, and the others are read.
    bench.put("f/sub/c.csv", "a\n3\n", 1);
    let mixed = bench.read(&fivetran(&bench, unpacked), &catalog("s", "full_refresh"), None);
    assert_eq!((mixed.code, mixed.data().len()), (Some(1), 2), "{mixed:#?}");
    assert!(mixed.errors()[0]["message"].as_str().unwrap().contains("f/sub/c.csv"), "{mixed:#?}");
    let none = bench.read(&fivetran(&bench, json!({"pattern": "readme"})), &catalog("s", "full_refresh"), None);
    assert_eq!(none.code, Some(1));
    assert!(none.errors()[0]["message"].as_str().unwrap().contains("determines the format"), "{none:#?}");
}

#[test]
fn archive_pattern_selects_members_of_zip_archives() {
    let bench = Bench::new();
    let fixture = format!("{}/integration_tests/fixtures/compression/members.zip", env!("CARGO_MANIFEST_DIR"));
    bench.put("f/members.zip", std::fs::read(fixture).unwrap(), 1);
    let read = |parameters: Value| {
        let mut urls = urls(&bench, parameters);
        urls.dedup();
        urls
    };
    let both = ["f/members.zip#a.csv", "f/members.zip#folder/b.csv"];
    assert_eq!(read(json!({"file_type": "csv", "pattern": r".*\.zip"})), both);
    assert_eq!(read(json!({"file_type": "csv", "pattern": r".*\.zip", "archive_pattern": r"\w+\.csv"})), both[..1]);
    assert_eq!(read(json!({"file_type": "infer", "pattern": r".*\.zip", "archive_pattern": r"folder/.*"})), both[1..]);
}
