"""What the demo, the acceptance tests and the benchmarks share: servers on free ports, one S3 upload, and running
a connector while its messages are counted. Standard library only.

Servers are bound to 127.0.0.1 and ended by the process id that was started here, never by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACCESS_KEY = "AKIATESTKIT000000001"
SECRET_KEY = "testkit-secret-key-0123456789abcdef"
REGION = "us-east-1"


def executable(variable: str, name: str) -> pathlib.Path:
    """The path of one of our programs: the environment's, else the release build."""
    given = os.environ.get(variable)
    return pathlib.Path(given).resolve() if given else ROOT / "target" / "release" / name


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- servers ---------------------------------------------------------------------------------------------------


class Server:
    """A server process. `stop` ends it by its process id; as a context manager it ends with the block."""

    def __init__(self, command: list, log: pathlib.Path, env: dict | None = None):
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )

    def wait_until_open(self, port: int, seconds: float = 20.0) -> None:
        """Returns when the port accepts connections; raises with the server's log when it never does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"the server on port {port} did not start:\n{self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Testkit(Server):
    """Our own S3 server, with a log of every request it answered."""

    def __init__(self, folder: pathlib.Path, bucket: str, extra: tuple = (), port: int | None = None):
        self.port = port or free_port()
        self.bucket = bucket
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.requests_path = folder / "requests.jsonl"
        command = [
            executable("TESTKIT_BIN", "testkit"), "serve", "--port", self.port, "--bucket", bucket,
            "--log", self.requests_path, "--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY, *extra,
        ]  # fmt: skip
        super().__init__(command, folder / "testkit.log")
        self.wait_until_open(self.port)

    def put(self, key: str, body: bytes, modified_at: str | None = None) -> None:
        """Stores an object by a signed upload, or with a time of its own by the control interface."""
        if modified_at is None:
            put_object(self.endpoint, self.bucket, key, body)
        else:
            query = urllib.parse.urlencode({"bucket": self.bucket, "key": key, "modified_at": modified_at}, quote_via=urllib.parse.quote)
            self.control("PUT", f"object?{query}", body)

    def control(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Talks to the control interface under /__testkit/."""
        return _http(self.endpoint, method, f"/__testkit/{path}", body, {})

    def requests(self) -> list[dict]:
        """Every request answered so far, in the fields of S3's server access logs."""
        return [json.loads(line) for line in self.control("GET", "log").splitlines()]


# --- one signed request ------------------------------------------------------------------------------------------


def _http(endpoint: str, method: str, target: str, body: bytes, headers: dict) -> bytes:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(endpoint).netloc, timeout=60)
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {target}: {answer.status} {content[:400].decode(errors='replace')}")
    return content


def put_object(endpoint: str, bucket: str, key: str | None, body: bytes,
               access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> None:  # fmt: skip
    """Stores an object, or makes the bucket when there is no key; signed with AWS Signature Version 4."""
    target = "/" + bucket + ("" if key is None else "/" + urllib.parse.quote(key, safe="/-_.~"))
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": urllib.parse.urlsplit(endpoint).netloc, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "\n".join(["PUT", target, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, digest])
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing_key = ("AWS4" + secret_key).encode()
    for part in scope.split("/"):
        signing_key = hmac.new(signing_key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    _http(endpoint, "PUT", target, body, headers)


# --- running a connector -------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Run:
    """What one command of a connector did. RECORD lines are counted per stream; everything else is kept parsed."""

    exit_code: int
    messages: list
    records: dict
    first_record: dict
    stdout_bytes: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    stderr: str

    def of_type(self, kind: str) -> list:
        """The payloads of all messages of a type; RECORDs are not among them."""
        payload = {"CONNECTION_STATUS": "connectionStatus"}.get(kind, kind.lower())
        return [message[payload] for message in self.messages if message["type"] == kind]

    def states(self) -> list:
        """The last STATE of every stream, in the form of a state file."""
        last = {state["stream"]["stream_descriptor"]["name"]: state for state in self.of_type("STATE")}
        return list(last.values())

    def errors(self) -> list:
        """All TRACE ERRORs."""
        return [trace["error"] for trace in self.of_type("TRACE") if trace["type"] == "ERROR"]


_RECORD = b'{"type":"RECORD","record":{"stream":"'


@contextlib.contextmanager
def metered(command: list, **options):
    """Starts a command under the meter: yields the process and a function that waits for it and gives its cost."""
    reader, writer = os.pipe()
    meter = [sys.executable, "-I", "-S", str(pathlib.Path(__file__).with_name("meter.py")), str(writer)]
    try:
        process = subprocess.Popen(
            [*meter, *map(str, command)], stdin=subprocess.DEVNULL, pass_fds=[writer], **options
        )
    finally:
        os.close(writer)

    def cost() -> dict:
        process.wait()
        return json.loads(os.read(reader, 4096))

    try:
        yield process, cost
    finally:
        os.close(reader)
        if process.poll() is None:
            process.terminate()
            process.wait()


def run(command: list) -> Run:
    """Runs a connector to its end and counts what it says.

    A record is recognised by its first bytes and is not parsed, so that this reader does not become the bottleneck
    of a demo with hundreds of thousands of them.
    """
    messages, records, first_record, size = [], {}, {}, 0
    with (
        tempfile.TemporaryFile() as stderr,
        metered(command, stdout=subprocess.PIPE, stderr=stderr, bufsize=1 << 20) as (process, cost),
        process.stdout as lines,
    ):
        for line in lines:
            size += len(line)
            if line.startswith(_RECORD):
                stream = line[len(_RECORD) : line.index(b'"', len(_RECORD))].decode()
                if stream not in first_record:
                    first_record[stream] = json.loads(line)["record"]
            else:
                message = json.loads(line)
                if message["type"] != "RECORD":
                    messages.append(message)
                    continue
                stream = message["record"]["stream"]
                first_record.setdefault(stream, message["record"])
            records[stream] = records.get(stream, 0) + 1
        spent = cost()
        stderr.seek(0)
        text = stderr.read().decode(errors="replace")
    return Run(
        messages=messages, records=records, first_record=first_record, stdout_bytes=size, stderr=text, **spent
    )


def configured_catalog(catalog: dict, sync_mode: str = "incremental") -> dict:
    """A catalog that selects every stream that was discovered."""
    return {
        "streams": [
            {
                "stream": stream,
                "sync_mode": sync_mode,
                "destination_sync_mode": "append",
                "cursor_field": stream.get("default_cursor_field", []),
            }
            for stream in catalog["streams"]
        ]
    }


def write_json(path: pathlib.Path, value) -> pathlib.Path:
    """Writes a JSON file and returns its path."""
    path.write_text(json.dumps(value))
    return path
