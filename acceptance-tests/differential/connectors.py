"""Running a case with either connector."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import zlib

import lab
from differential import normal
from differential.contents import content
from differential.table import READS, Case, changing_times, state_of

HERE = pathlib.Path(__file__).parent
PEER = "airbyte-source-s3==4.16.1"


def peer_python() -> pathlib.Path | None:
    """The Python that has the old connector: $AIRBYTE_SOURCE_S3_PYTHON, or what `make differential-peer` made."""
    given = os.environ.get("AIRBYTE_SOURCE_S3_PYTHON")
    python = pathlib.Path(given) if given else lab.ROOT / ".cache" / "bench" / "airbyte" / "bin" / "python"
    return python if (python.parent / "source-s3").exists() else None


class Peer:
    """The old connector, imported once."""

    theirs = True

    def __init__(self, python: pathlib.Path, folder: pathlib.Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "peer.log", "wb") as log:
            self.process = subprocess.Popen(
                [python, HERE / "peer.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment({})
            )
        assert self._answer().get("ready"), "the old connector could not be started"

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the old connector ended:\n{(self.folder / 'peer.log').read_text()[-4000:]}")
        return json.loads(line)

    def run(self, arguments: list[str], extra: dict[str, str], folder: pathlib.Path) -> tuple[int, bytes]:
        """The exit code of a command and what it printed."""
        request = {
            "arguments": arguments,
            "stdout": str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
            "environment": extra,
        }
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer()["exit_code"], (folder / "stdout").read_bytes()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)


class Ours:
    """The binary under test."""

    theirs = False

    def __init__(self, program: pathlib.Path):
        self.program = program

    def run(self, arguments: list[str], extra: dict[str, str], folder: pathlib.Path) -> tuple[int, bytes]:
        """The exit code of a command and what it printed."""
        done = subprocess.run(
            [self.program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False, env=environment(extra)
        )
        (folder / "stdout").write_bytes(done.stdout)
        (folder / "stderr").write_bytes(done.stderr)
        return done.returncode, done.stdout


def environment(extra: dict[str, str]) -> dict[str, str]:
    """Nothing of the machine's: no credentials, no region, no proxies; the time zone is UTC."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "TZ": "UTC", **extra}  # fmt: skip


def lay_out(server: lab.Testkit, case: Case) -> None:
    """Makes the case's bucket with its files, also where an earlier run left it changed."""
    server.control("PUT", f"bucket?bucket={case.bucket}")
    for key in case.then.keys() - case.files.keys():
        put(server, case, key, None)
    for key, described in case.files.items():
        put(server, case, key, described)


def put(server: lab.Testkit, case: Case, key: str, described) -> None:
    from urllib.parse import quote

    where = f"object?bucket={case.bucket}&key={quote(key, safe='')}"
    if described is None:
        server.control("DELETE", where)
    else:
        server.control("PUT", f"{where}&modified_at={quote(case.modified_at(key), safe='')}", content(described))


def folder_of(case: Case) -> str:
    """A folder's name for a case, without the bucket's: that is replaced in all that a connector prints."""
    return f"{zlib.crc32(case.bucket.encode()):08x}"


def run_case(case: Case, connector, server: lab.Testkit, folder: pathlib.Path, discovered: list[dict] | None) -> dict:
    """The outcomes of a case's commands. `discovered` is the catalog that the old connector found, if it is known."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "$ENDPOINT": server.endpoint,
        "$HOST": server.endpoint.removeprefix("http://"),
        "$BUCKET": case.bucket,
        "$ACCESS_KEY": lab.ACCESS_KEY,
        "$SECRET_KEY": lab.SECRET_KEY,
        "$FOLDER": str(folder),
    }
    lay_out(server, case)
    outcomes: dict = {}
    state = case.make_state(names)
    for command in case.commands:
        if command == "again":
            state = [state_of(name, stream_state) for name, stream_state in kept_states.items()]
            for key, described in case.then.items():
                put(server, case, key, described)
        mode = {"again": "incremental"}.get(command, command)
        arguments = ["read" if command in READS else command]
        if command != "spec":
            arguments += ["--config", written(folder / "config.json", case.make_config(names))]
        if command in READS:
            arguments += ["--catalog", written(folder / "catalog.json", case.make_catalog(discovered, mode))]
            if state is not None and mode == "incremental":
                arguments += ["--state", written(folder / "state.json", state)]
        for fault in case.faults:
            server.control("PUT", "fault", json.dumps(fault).encode())
        exit_code, stdout = connector.run([*arguments, *case.arguments], {name: names.get(text, text) for name, text in case.environment.items()}, folder)
        if case.faults:
            server.control("DELETE", "fault")
        replace = {server.endpoint: "$ENDPOINT", case.bucket: "$BUCKET", **changing_times(case)}
        outcomes[command] = normal.outcome(arguments[0], exit_code, stdout, connector.theirs, replace)
        if command == "discover" and connector.theirs:
            discovered = outcomes[command]["catalog"]
        if command == "incremental":
            kept_states = last_states(stdout)
    return outcomes


def last_states(stdout: bytes) -> dict[str, dict]:
    """The state of each stream as the platform keeps it: whole."""
    states = {}
    for line in stdout.splitlines():
        if line.startswith(b'{"type":"STATE"'):
            state = json.loads(line)["state"]["stream"]
            states[state["stream_descriptor"]["name"]] = state["stream_state"]
    return states


def written(path: pathlib.Path, value) -> str:
    """Writes a value as JSON, a text as it is."""
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)
