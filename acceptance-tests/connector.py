"""The connector under test, as a platform sees it: a program, files, lines on stdout and an exit code."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import subprocess
import tempfile

import jsonschema

SCHEMAS = pathlib.Path(__file__).parent / "schemas"
# More RECORD lines than this are not checked one by one; everything that is not a RECORD always is.
CHECKED_RECORDS = 2000
# What the connector printed in the present test; shown when it fails.
OUTPUTS: list["Output"] = []


@functools.cache
def validator(definition: str | None = None) -> jsonschema.Draft7Validator:
    """The protocol's schema, or one of its definitions, such as OutputOfRead."""
    schema = json.loads((SCHEMAS / "airbyte_protocol.schema.json").read_text())
    if definition:
        schema = {"$ref": f"#/definitions/{definition}", "definitions": schema["definitions"]}
    return jsonschema.Draft7Validator(schema)


@dataclasses.dataclass
class Output:
    """What one run printed. Every stdout line was a message that the protocol's schema accepts."""

    exit_code: int
    lines: list[str]
    stderr: str

    @functools.cached_property
    def messages(self) -> list[dict]:
        return [json.loads(line) for line in self.lines]

    def of_type(self, kind: str) -> list[dict]:
        """The payloads of all messages of a type."""
        payload = {"CONNECTION_STATUS": "connectionStatus"}.get(kind, kind.lower())
        return [message[payload] for message in self.messages if message["type"] == kind]

    def one(self, kind: str) -> dict:
        """The payload of the only message of a type."""
        found = self.of_type(kind)
        assert len(found) == 1, f"{len(found)} messages of type {kind}, expected one"
        return found[0]

    def records(self, stream: str | None = None) -> list[dict]:
        return [record["data"] for record in self.of_type("RECORD") if stream in (None, record["stream"])]

    def states(self) -> list[dict]:
        """The last STATE of each stream: what a platform keeps and gives back."""
        return list({state["stream"]["stream_descriptor"]["name"]: state for state in self.of_type("STATE")}.values())

    def traces(self, kind: str) -> list[dict]:
        return [trace[kind.lower()] for trace in self.of_type("TRACE") if trace["type"] == kind]

    def errors(self) -> list[dict]:
        return self.traces("ERROR")

    def statuses(self, stream: str) -> list[str]:
        return [
            status["status"]
            for status in self.traces("STREAM_STATUS")
            if status["stream_descriptor"]["name"] == stream
        ]

    def __str__(self) -> str:
        """The whole situation, for the message of a failed test."""
        shown = [line if len(line) < 600 else line[:600] + "…" for line in self.lines]
        if len(shown) > 60:
            shown = [*shown[:30], f"… {len(shown) - 60} lines …", *shown[-30:]]
        return f"exit code {self.exit_code}\n--- stdout\n" + "\n".join(shown) + f"\n--- stderr\n{self.stderr[-4000:]}"


def checked(exit_code: int, stdout: bytes, stderr: bytes, verb: str = "read") -> Output:
    """Parses what a run printed; fails when a line is not a message that the protocol lets the command print."""
    text = stdout.decode("utf-8", errors="strict")
    assert text == "" or text.endswith("\n"), f"the last line is not ended: …{text[-200:]!r}"
    output = Output(exit_code, text.split("\n")[:-1], stderr.decode(errors="replace"))
    OUTPUTS.append(output)
    line_schema = validator(f"OutputOf{verb.title()}" if verb in ("spec", "check", "discover", "read") else None)
    records = 0
    for number, line in enumerate(output.lines, 1):
        try:
            message = json.loads(line)
        except ValueError as error:
            raise AssertionError(f"stdout line {number} is not JSON ({error}): {line[:500]!r}") from None
        records += message.get("type") == "RECORD"
        if message.get("type") == "RECORD" and records > CHECKED_RECORDS:
            continue
        problems = list(line_schema.iter_errors(message))
        assert not problems, f"stdout line {number}: {problems[0].message}\n{line[:1000]}"
    return output


class Connector:
    """Runs the commands of a connector with files in a folder of their own."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path):
        self.program = program
        self.folder = folder

    def file(self, value) -> pathlib.Path:
        """Writes a value as JSON (text as it is) into a new file."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".json", delete=False) as file:
            file.write(value if isinstance(value, str) else json.dumps(value))
        path = pathlib.Path(file.name)
        path.chmod(0o644)
        return path

    def run(self, *arguments, timeout: float = 120, **options) -> Output:
        """Runs any command line to its end. Only messages that the command may print are accepted."""
        command = [str(self.program), *map(str, arguments)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False, **options
        )
        verb = str(arguments[0]) if arguments else ""
        return checked(done.returncode, done.stdout, done.stderr, verb)

    def spec(self) -> Output:
        return self.run("spec")

    def check(self, config, **options) -> Output:
        return self.run("check", "--config", self.file(config), **options)

    def discover(self, config, **options) -> Output:
        return self.run("discover", "--config", self.file(config), **options)

    def read(self, config, catalog, state=None, **options) -> Output:
        return self.run(*self.read_arguments(config, catalog, state), **options)

    def read_arguments(self, config, catalog, state=None) -> list:
        """The command line of a read, without the program."""
        arguments = ["read", "--config", self.file(config), "--catalog", self.file(catalog)]
        return arguments if state is None else [*arguments, "--state", self.file(state)]

    def catalog(self, config, sync_mode: str = "full_refresh") -> dict:
        """A configured catalog of all streams that discover finds."""
        discovered = self.discover(config)
        assert discovered.exit_code == 0
        return configured(discovered.one("CATALOG"), sync_mode)


def configured(catalog: dict, sync_mode: str = "full_refresh", **fields) -> dict:
    """A configured catalog that selects every stream, as the platform writes it."""
    return {
        "streams": [
            {
                "stream": stream,
                "sync_mode": sync_mode,
                "destination_sync_mode": "append",
                "cursor_field": stream.get("default_cursor_field") or [],
                "primary_key": [],
                "generation_id": 1,
                "minimum_generation_id": 0,
                "sync_id": 1,
                **fields,
            }
            for stream in catalog["streams"]
        ]
    }
