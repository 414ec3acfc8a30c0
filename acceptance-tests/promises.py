"""What the tests of the promises share: buckets on the test server, runs that may be cut, and a book of what arrived.

A platform keeps the records that came before the last STATE of a run, and the STATE. So does the book here.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import gzip
import hashlib
import io
import itertools
import json
import pathlib
import signal as signals
import subprocess
import tempfile
import urllib.parse

import lab
from lake import make_config

FILE, TIME = "_ab_source_file_url", "_ab_source_file_last_modified"
DAY = "2024-01-{:02}T00:00:00Z"
GIB = 2**30


@dataclasses.dataclass
class Run:
    """What one command printed, up to its end or to where it was killed."""

    exit_code: int
    messages: list[dict]
    stderr: str
    requests: list[dict] = dataclasses.field(default_factory=list)

    def _of(self, kind: str) -> list[dict]:
        return [message[kind.lower()] for message in self.messages if message["type"] == kind]

    @property
    def records(self) -> list[dict]:
        return [record["data"] for record in self._of("RECORD")]

    @property
    def committed(self) -> list[dict]:
        """The records before the last STATE: all that a platform is sure to keep."""
        last = max((at for at, message in enumerate(self.messages) if message["type"] == "STATE"), default=-1)
        return [message["record"]["data"] for message in self.messages[: last + 1] if message["type"] == "RECORD"]

    @property
    def states(self) -> list[dict]:
        found = {state["stream"]["stream_descriptor"]["name"]: state for state in self._of("STATE")}
        return list(found.values())

    @property
    def log(self) -> str:
        return "\n".join(f"{log['level']} {log['message']}" for log in self._of("LOG"))

    def levels(self, level: str) -> list[str]:
        return [log["message"] for log in self._of("LOG") if log["level"] == level]

    @property
    def errors(self) -> str:
        found = [trace["error"] for trace in self._of("TRACE") if trace["type"] == "ERROR"]
        return "\n".join(f"{error['message']} | {error.get('internal_message', '')}" for error in found)

    @property
    def error_kinds(self) -> list[str]:
        return [trace["error"]["failure_type"] for trace in self._of("TRACE") if trace["type"] == "ERROR"]

    @property
    def statuses(self) -> list[str]:
        found = [trace["stream_status"] for trace in self._of("TRACE") if trace["type"] == "STREAM_STATUS"]
        return [status["status"] for status in found]

    @property
    def count(self) -> int:
        """How many requests the server saw, whatever their answers."""
        return len(self.requests)

    @property
    def body_bytes(self) -> int:
        """How many bytes of objects the server sent."""
        return sum(entry["bytes_sent"] for entry in self.requests if entry["operation"] == "REST.GET.OBJECT"
                   and entry["status"] in (200, 206))  # fmt: skip

    def __str__(self) -> str:
        return (f"exit code {self.exit_code}, {len(self.records)} records, {len(self.committed)} before the last STATE, "
                f"{self.count} requests\n{self.errors[-3000:]}\n{self.log[-3000:]}\n{self.stderr[-1500:]}")  # fmt: skip


class Bucket:
    """A bucket of its own for one test, and the runs against it."""

    numbers = itertools.count(1)

    def __init__(self, server: lab.Testkit, program: pathlib.Path, folder: pathlib.Path):
        self.server, self.program, self.folder = server, program, folder
        self.name = f"promise-{next(self.numbers)}"
        server.control("PUT", f"bucket?{_query(bucket=self.name)}")

    # --- objects and faults

    def put(self, key: str, body: bytes, modified_at: str = DAY.format(1), **options) -> None:
        options = {"bucket": self.name, "key": key, "modified_at": modified_at, **options}
        self.server.control("PUT", f"object?{_query(**options)}", body)

    def delete(self, key: str) -> None:
        self.server.control("DELETE", f"object?{_query(bucket=self.name, key=key)}")

    def fault(self, action, **fault) -> None:
        when = {"bucket": self.name, **fault.pop("when", {})}
        self.server.control("PUT", "fault", json.dumps({"action": action, "when": when, **fault}).encode())

    def no_faults(self) -> None:
        self.server.control("DELETE", "fault")

    # --- runs

    def config(self, globs=("**",), filetype: str = "csv", stream: dict | None = None, format: dict | None = None, **root):
        streams = [{"name": "s", "globs": list(globs), "format": {"filetype": filetype, **(format or {})}, **(stream or {})}]
        return make_config(self.server.endpoint, self.name, streams, **root)

    def file(self, value) -> pathlib.Path:
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".json", delete=False) as file:
            json.dump(value, file)
        return pathlib.Path(file.name)

    def arguments(self, verb: str, config: dict, catalog: dict | None = None, state: list | None = None) -> list[str]:
        arguments = [verb, "--config", self.file(config)]
        if catalog is not None:
            arguments += ["--catalog", self.file(catalog)]
        if state is not None:
            arguments += ["--state", self.file(state)]
        return [str(argument) for argument in arguments]

    def read(self, config: dict, catalog: dict, state: list | None = None, kill_after: int | None = None,
             signal: int = signals.SIGKILL, extra: tuple = (), timeout: float = 60) -> Run:  # fmt: skip
        """Reads; with `kill_after`, only until so many lines with records have arrived."""
        self.server.control("DELETE", "log")
        command = [str(self.program), *self.arguments("read", config, catalog, state), *map(str, extra)]
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
            try:
                if kill_after is None:
                    stdout, _ = process.communicate(timeout=timeout)
                else:
                    stdout = b""
                    for line in process.stdout:
                        stdout += line
                        kill_after -= line.startswith(b'{"type":"RECORD"')
                        if kill_after <= 0:
                            process.send_signal(signal)
                            kill_after = 1 << 60
                    process.wait(timeout)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            stderr.seek(0)
            text = stderr.read().decode(errors="replace")
        complete = stdout[: stdout.rfind(b"\n") + 1].decode()
        messages = [json.loads(line) for line in complete.split("\n")[:-1]]
        assert "panicked" not in text and "panicked" not in complete, text[-2000:]
        return Run(process.returncode, messages, text, self.requests())

    def requests(self) -> list[dict]:
        return [entry for entry in self.server.requests() if entry.get("bucket") in (self.name, None)]

    def command(self, *arguments, timeout: float = 60) -> subprocess.CompletedProcess:
        self.server.control("DELETE", "log")
        return subprocess.run([str(self.program), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=timeout, check=False, text=True)  # fmt: skip


def _query(**fields) -> str:
    return urllib.parse.urlencode(fields, quote_via=urllib.parse.quote)


def catalog(columns: dict | tuple, sync_mode: str = "incremental", sync_id: int = 1, **fields) -> dict:
    """A configured catalog with one stream `s` of these columns."""
    columns = columns if isinstance(columns, dict) else dict.fromkeys(columns, "string")
    properties = {name: {"type": ["null", kind]} for name, kind in {**columns, FILE: "string", TIME: "string"}.items()}
    stream = {
        "name": "s",
        "json_schema": {"type": "object", "properties": properties},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": True,
        "default_cursor_field": [TIME],
    }
    return {"streams": [{"stream": stream, "sync_mode": sync_mode, "destination_sync_mode": "append", "cursor_field": [],
                         "primary_key": [], "generation_id": 1, "minimum_generation_id": 0, "sync_id": sync_id, **fields}]}  # fmt: skip


# --- rows --------------------------------------------------------------------------------------------------------------

COLUMNS = ("id", "text", "amount")
PLAIN = ("plain", "a longer text to fill the line", "x", "seven words are enough for one line", "0", "null", "true")
TRICKY = ('said "hi"', "a, b; c|d", "two\nlines", "back\\slash", "  spaces  ", "it's", "tab\there", *PLAIN)
LATIN = ("Größe", "café", "señor", "naïve", *TRICKY)


def rows(first: int, count: int, texts=TRICKY, fill: int = 128) -> list[dict]:
    """Rows of text; each id is there once in a bucket. The filling does not compress well."""
    def text(n: int) -> str:
        return f"{texts[n % len(texts)]}{hashlib.sha512(str(n).encode()).hexdigest()[:fill]}{texts[n // 3 % len(texts)]}"

    return [{"id": str(n), "text": text(n), "amount": str(n / 4)} for n in range(first, first + count)]


def csv_bytes(data: list[dict], encoding: str = "utf-8", header: bool = True, before: tuple = (), after: tuple = (),
              **dialect) -> bytes:  # fmt: skip
    """A CSV file by Python's own writer."""
    output = io.StringIO()
    output.writelines(line + "\n" for line in before)
    writer = csv.writer(output, lineterminator="\n", **dialect)
    if header:
        writer.writerow(COLUMNS)
    output.writelines(line + "\n" for line in after)
    writer.writerows([row[name] for name in COLUMNS] for row in data)
    return output.getvalue().encode(encoding)


def jsonl_bytes(data: list[dict], encoding: str = "utf-8") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data).encode(encoding)


def parquet_bytes(data: list[dict], group: int = 1000, **options) -> bytes:
    import pyarrow
    import pyarrow.parquet

    output = io.BytesIO()
    options = {"compression": "none", **options}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(data), output, row_group_size=group, **options)
    return output.getvalue()


def gz(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)


def plain(record: dict) -> tuple:
    """A record as its three columns, for comparison with `truth`."""
    return tuple(record.get(name) for name in COLUMNS)


def truth(data: list[dict]) -> set[tuple]:
    return {tuple(row[name] for name in COLUMNS) for row in data}


class Book:
    """What a destination has after several runs."""

    def __init__(self, key=plain):
        self.key = key
        self.kept: collections.Counter = collections.Counter()
        self.seen: set = set()
        self.runs: list[Run] = []

    def add(self, run: Run) -> Run:
        self.kept.update(self.key(record) for record in run.committed)
        self.seen.update(self.key(record) for record in run.records)
        self.runs.append(run)
        return run

    def assert_whole(self, expected: set, once: bool = False) -> None:
        missing, wrong = expected - set(self.kept), self.seen - expected
        twice = [row for row, times in self.kept.items() if times > 1]
        story = "\n----\n".join(map(str, self.runs[-3:]))
        assert not missing, f"{len(missing)} of {len(expected)} rows are missing, such as {sorted(missing, key=str)[:3]}\n{story}"
        assert not wrong, f"{len(wrong)} rows are in no file, such as {sorted(wrong, key=str)[:3]}\n{story}"
        assert not (once and twice), f"{len(twice)} rows came twice, such as {twice[:3]}\n{story}"
