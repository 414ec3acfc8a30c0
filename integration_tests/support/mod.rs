//! Whole commands against testkit: a bucket, the built binary, and its messages, each checked against the protocol.

#![expect(clippy::unwrap_used, reason = "each test program uses a part of it, and panics with what it met")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{BucketOptions, ObjectOptions, Options, Server};
pub use tollgate_testkit as testkit;

pub const BUCKET: &str = "bucket";
pub const ACCESS_KEY: &str = "AKIATEST";
pub const SECRET_KEY: &str = "secretkeysecret";

/// A server with one bucket, and a folder for the files of commands.
pub struct Bench {
    pub server: Server,
    pub folder: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run {} {number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = Server::start(Options::default()).unwrap();
        server.store().create_bucket(BUCKET, BucketOptions::default());
        Self { server, folder }
    }

    /// Puts an object with a modification time in seconds after a fixed day.
    pub fn put(&self, key: &str, content: impl AsRef<[u8]>, second: u64) {
        let options = ObjectOptions::modified_at(time(second));
        self.server.store().put(BUCKET, key, content.as_ref().to_vec(), options);
    }

    /// An Airbyte configuration with these streams.
    pub fn config(&self, streams: Value) -> Value {
        json!({
            "bucket": BUCKET,
            "endpoint": self.server.endpoint(),
            "region_name": "us-east-1",
            "credentials": {"auth_type": "iam_user", "aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY},
            "streams": streams,
        })
    }

    pub fn file(&self, name: &str, content: &Value) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path
    }

    /// The command line of `read` with its files.
    pub fn read_command(&self, config: &Value, catalog: &Value, state: Option<&Value>) -> Command {
        let mut command = Command::new(program());
        command.arg("read").arg("--config").arg(self.file("config.json", config));
        command.arg("--catalog").arg(self.file("catalog.json", catalog));
        if let Some(state) = state {
            command.arg("--state").arg(self.file("state.json", state));
        }
        command
    }

    pub fn read(&self, config: &Value, catalog: &Value, state: Option<&Value>) -> Output {
        finish(self.read_command(config, catalog, state))
    }

    pub fn check(&self, config: &Value) -> Output {
        self.command("check", config)
    }

    pub fn discover(&self, config: &Value) -> Output {
        self.command("discover", config)
    }

    fn command(&self, verb: &str, config: &Value) -> Output {
        let mut command = Command::new(program());
        command.arg(verb).arg("--config").arg(self.file("config.json", config));
        finish(command)
    }

    /// GETs and LISTs that the server saw.
    pub fn requests(&self) -> (usize, usize) {
        let log = self.server.log();
        (
            log.count(|entry| entry.operation == "REST.GET.OBJECT"),
            log.count(|entry| entry.operation == "REST.GET.BUCKET"),
        )
    }
}

/// The connector's binary: $TOLLGATE_BIN (a faster one, for tests that take long), else the one that was built for the tests.
pub fn program() -> PathBuf {
    std::env::var_os("TOLLGATE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_tollgate").into(), PathBuf::from)
}

impl Drop for Bench {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn time(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_705_320_000 + second)
}

/// A configured catalog with one stream, all columns.
pub fn catalog(name: &str, sync_mode: &str) -> Value {
    catalog_with(name, sync_mode, json!({}))
}

/// A configured catalog with one stream and these properties.
pub fn catalog_with(name: &str, sync_mode: &str, properties: Value) -> Value {
    json!({"streams": [{
        "stream": {
            "name": name,
            "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh", "incremental"],
        },
        "sync_mode": sync_mode,
        "destination_sync_mode": "append",
    }]})
}

/// What a command wrote and how it ended.
#[derive(Debug)]
pub struct Output {
    pub messages: Vec<Value>,
    pub text: String,
    pub stderr: String,
    pub code: Option<i32>,
}

/// Runs a command to its end and checks every line.
pub fn finish(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Output { code: output.status.code(), stderr, ..parse(&output.stdout) }
}

/// What a command wrote that is too much to keep.
#[derive(Debug)]
pub struct Measured {
    pub records: u64,
    pub bytes: u64,
    pub code: Option<i32>,
    pub peak_bytes: u64,
}

/// As [`finish_measured`], for output that is only counted.
pub fn finish_counted(mut command: Command) -> Measured {
    read_some(&mut command, u64::MAX)
}

/// As [`finish_counted`], for output of which so many bytes are enough: then the command is stopped.
pub fn read_some(command: &mut Command, enough: u64) -> Measured {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut records, mut bytes, mut peak_bytes) = (0, 0, 0);
    let mut lines = RecordLines::default();
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = std::io::Read::read(&mut stdout, &mut piece).unwrap();
        if count == 0 {
            break;
        }
        bytes += count as u64;
        records += lines.count(&piece[..count]);
        peak_bytes = high_water(&child).unwrap_or(peak_bytes);
        if bytes >= enough {
            _ = child.kill();
        }
    }
    Measured { records, bytes, code: child.wait().unwrap().code(), peak_bytes }
}

/// Finds the RECORD lines of an output that comes in pieces.
#[derive(Default)]
struct RecordLines {
    /// The beginning of the line that a piece ends in.
    line: Vec<u8>,
}

impl RecordLines {
    fn count(&mut self, piece: &[u8]) -> u64 {
        const RECORD: &[u8] = br#"{"type":"RECORD""#;
        let mut records = 0;
        for (number, part) in piece.split(|byte| *byte == b'\n').enumerate() {
            if number > 0 {
                self.line.clear();
            }
            let missing = RECORD.len() - self.line.len();
            self.line.extend(&part[..part.len().min(missing)]);
            // A line counts once, with the piece that completes its beginning.
            records += u64::from(missing > 0 && self.line == RECORD);
        }
        records
    }
}

/// Runs a command to its end; also gives the most memory it had (resident, in bytes), as the kernel says.
pub fn finish_measured(mut command: Command) -> (Output, u64) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut stdout, &mut text).unwrap();
        text
    });
    let (code, peak_bytes) = watch(&mut child);
    (Output { code, ..parse(&reader.join().unwrap()) }, peak_bytes)
}

/// Waits for the end of a process: its exit code, and the most memory it had (resident, in bytes).
pub fn watch(child: &mut Child) -> (Option<i32>, u64) {
    let mut peak_bytes = 0;
    loop {
        // The kernel's own high-water mark: what is missed is only what comes in the last milliseconds.
        peak_bytes = high_water(child).unwrap_or(peak_bytes);
        match child.try_wait().unwrap() {
            Some(status) => return (status.code(), peak_bytes),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn high_water(child: &Child) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
    kilobytes.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

/// The messages of a stdout, each checked. Panics with the line that is not a message.
pub fn parse(stdout: &[u8]) -> Output {
    let text = String::from_utf8(stdout.to_vec()).expect("stdout is UTF-8");
    let messages: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}")))
        .collect();
    for message in &messages {
        let errors: Vec<String> = protocol().iter_errors(message).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "not a protocol message: {errors:?} in {message}");
    }
    Output { messages, text, stderr: String::new(), code: None }
}

fn protocol() -> &'static jsonschema::Validator {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("acceptance-tests/schemas/airbyte_protocol.schema.json");
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    })
}

impl Output {
    pub fn of_type(&self, kind: &str) -> Vec<&Value> {
        self.messages.iter().filter(|message| message["type"] == kind).collect()
    }

    /// The `data` of all records.
    pub fn data(&self) -> Vec<&Value> {
        self.of_type("RECORD").into_iter().map(|message| &message["record"]["data"]).collect()
    }

    /// The values of one column.
    pub fn column(&self, name: &str) -> Vec<String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.data().into_iter().map(|data| text(&data[name])).collect()
    }

    /// The last STATE as a state file.
    pub fn state(&self) -> Value {
        let last = self.of_type("STATE").last().copied().unwrap_or_else(|| panic!("no STATE in {self:#?}"));
        json!([last["state"]])
    }

    pub fn errors(&self) -> Vec<&Value> {
        self.of_type("TRACE")
            .into_iter()
            .map(|m| &m["trace"])
            .filter(|t| t["type"] == "ERROR")
            .map(|t| &t["error"])
            .collect()
    }

    pub fn statuses(&self) -> Vec<&str> {
        let traces = self.of_type("TRACE").into_iter().map(|message| &message["trace"]);
        traces.filter_map(|trace| trace["stream_status"]["status"].as_str()).collect()
    }

    pub fn logs(&self) -> Vec<String> {
        let text = |message: &Value| {
            format!("{} {}", message["log"]["level"].as_str().unwrap(), message["log"]["message"].as_str().unwrap())
        };
        self.of_type("LOG").into_iter().map(text).collect()
    }

    /// Panics with everything unless the command ended well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}

/// gzip, as one member.
pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
