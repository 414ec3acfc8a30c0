"""The table of cases: which files, config, catalog, state and commands, read from `cases/*.yaml`.

A case may have these fields. A field that is absent has the default of the group:

    about      what the case shows
    topic      which part of the old connector's behaviour it covers
    files      key: content (see contents.py); `modified` sets the time of a key, other files are a minute apart in 2024
    format     of the one stream `s` with the globs `**`; `stream` has more of its keys; `streams` replaces it
    config     more keys of the root (null removes one); `whole` is the whole config instead
    columns    of the catalog: name: type (nullable), or a whole schema; by default, what the old connector discovers
    catalog    the whole catalog; `modes` gives the sync mode of single streams
    selected   the streams of the catalog; by default, all of them
    state      the `stream_state` of `s`, or a whole state file under `states`
    commands   some of check, discover, full_refresh, incremental, again, spec; `again` is an incremental read that continues
               from the state of the previous one, after the changes in `then` (key: content; null removes a file)
    faults     faults that the server injects, as described in testkit's README
    environment, arguments   additional ones
    live       whether `make test` also runs it against the old connector

In configs and states, $ENDPOINT, $HOST, $BUCKET, $ACCESS_KEY, $SECRET_KEY and $FOLDER are replaced, and `$DAYS_AGO(3)`
becomes midnight three days ago.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import hashlib
import json
import pathlib
import re

import yaml

HERE = pathlib.Path(__file__).parent
COMMANDS = ("spec", "check", "discover", "full_refresh", "incremental", "again")
FIRST_TIME = datetime.datetime(2024, 1, 15, 10, 0, 0, tzinfo=datetime.timezone.utc)
DAYS_AGO = re.compile(r"\$DAYS_AGO\((-?\d+)\)")
READS = ("full_refresh", "incremental", "again")


@dataclasses.dataclass
class Case:
    """A row of the table."""

    group: str
    name: str
    topic: str = ""
    about: str = ""
    files: dict = dataclasses.field(default_factory=dict)
    modified: dict = dataclasses.field(default_factory=dict)
    format: dict | None = None
    stream: dict = dataclasses.field(default_factory=dict)
    streams: list | None = None
    config: dict = dataclasses.field(default_factory=dict)
    whole: dict | str | None = None
    columns: dict | None = None
    catalog: dict | str | None = None
    selected: list | None = None
    modes: dict = dataclasses.field(default_factory=dict)
    state: dict | None = None
    states: object = None
    then: dict = dataclasses.field(default_factory=dict)
    commands: list = dataclasses.field(default_factory=lambda: ["check", "discover", "full_refresh", "incremental"])
    faults: list = dataclasses.field(default_factory=list)
    environment: dict = dataclasses.field(default_factory=dict)
    arguments: list = dataclasses.field(default_factory=list)
    live: bool = False

    def __post_init__(self):
        unknown = set(self.commands) - set(COMMANDS)
        assert not unknown, f"{self.id}: no such commands: {unknown}"
        if set(self.commands) & set(READS) and not self.catalog_given and "discover" not in self.commands:
            self.commands = ["discover", *self.commands]
        if "again" in self.commands and "incremental" not in self.commands:
            self.commands = [*self.commands, "incremental"]
        self.commands = [command for command in COMMANDS if command in self.commands]

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def bucket(self) -> str:
        return f"diff-{self.group}-{self.name}"[:63].rstrip("-")

    @property
    def catalog_given(self) -> bool:
        return self.columns is not None or self.catalog is not None

    @property
    def fingerprint(self) -> str:
        """Of everything that the outcome depends on: a recording of another case is noticed."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key not in ("about", "topic", "live")}
        return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:12]

    def modified_at(self, key: str) -> str:
        """The time of a file: its own, or by its place in the list."""
        if key in self.modified:
            return put_in(self.modified[key], {})
        number = list({**self.files, **self.then}).index(key)
        return f"{FIRST_TIME + datetime.timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}"

    def make_config(self, names: dict[str, str]) -> object:
        if self.whole is not None:
            return put_in(self.whole, names)
        streams = self.streams or [{}]
        config = {
            "bucket": "$BUCKET",
            "endpoint": "$ENDPOINT",
            "region_name": "us-east-1",
            "credentials": {
                "auth_type": "iam_user",
                "aws_access_key_id": "$ACCESS_KEY",
                "aws_secret_access_key": "$SECRET_KEY",
            },
            "streams": [
                {key: value for key, value in {"name": "s", "globs": ["**"], "format": self.format, **self.stream, **stream}.items() if value is not None}
                for stream in streams
            ],
            **self.config,
        }
        return put_in({key: value for key, value in config.items() if value is not None}, names)

    def make_catalog(self, discovered: list[dict] | None, mode: str) -> object:
        """What the platform gives: what was discovered by the old connector, or what the case says."""
        if self.catalog is not None:
            return self.catalog
        names = [stream["name"] for stream in self.streams or [{"name": "s"}]]
        streams = [stream_of(name, self.columns) for name in names] if self.columns is not None else (discovered or [])
        if self.selected is not None:
            streams = [stream for name in self.selected for stream in streams if stream["name"] == name]
        return {
            "streams": [
                {
                    "stream": stream,
                    "sync_mode": self.modes.get(stream["name"], mode),
                    "destination_sync_mode": "append",
                    "cursor_field": [],
                    "primary_key": [],
                }
                for stream in streams
            ]
        }

    def make_state(self, names: dict[str, str]) -> object:
        if self.states is not None:
            return put_in(self.states, names)
        if self.state is None:
            return None
        return [state_of("s", put_in(grown(self.state), names))]


def state_of(stream: str, stream_state: dict) -> dict:
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": stream_state}}


def grown(state: dict) -> dict:
    """`history: {entries: N, from: TIME}` is a history of N files, a second apart."""
    history = state.get("history")
    if not isinstance(history, dict) or "entries" not in history:
        return state
    first = datetime.datetime.fromisoformat(put_in(history["from"], {}).replace("Z", "+00:00"))
    entries = {
        f"h/{number:05}.csv": f"{first + datetime.timedelta(seconds=number):%Y-%m-%dT%H:%M:%S.000000Z}"
        for number in range(history["entries"])
    }
    entries.update(history.get("and", {}))
    return {**state, "history": entries}


def stream_of(name: str, columns: dict) -> dict:
    """A stream of a catalog with columns of these types."""
    properties = {
        column: kind if isinstance(kind, dict) else {"type": ["null", kind]}
        for column, kind in columns.items()
    }
    extra = {"_ab_source_file_last_modified": {"type": "string"}, "_ab_source_file_url": {"type": "string"}}
    return {
        "name": name,
        "json_schema": {"type": "object", "properties": {**extra, **properties}},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": True,
        "default_cursor_field": ["_ab_source_file_last_modified"],
    }


def put_in(value, names: dict[str, str]):
    """The value with names and times put into its texts."""
    if isinstance(value, dict):
        return {put_in(key, names): put_in(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [put_in(item, names) for item in value]
    if not isinstance(value, str):
        return value
    for name, text in names.items():
        value = value.replace(name, text)
    return DAYS_AGO.sub(lambda match: f"{days_ago(int(match[1])):%Y-%m-%dT%H:%M:%SZ}", value)


def days_ago(days: int) -> datetime.datetime:
    midnight = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - datetime.timedelta(days=days)


def changing_times(case: Case) -> dict[str, str]:
    """The texts of times that depend on the day of the run, with what they are called in an outcome."""
    found = {int(days) for days in DAYS_AGO.findall(json.dumps(dataclasses.asdict(case), default=str))}
    midnights = {f"{days_ago(days):%Y-%m-%dT%H:%M:%S.000000Z}": f"$DAYS_AGO({days})" for days in found}
    # Other times of these days, as the entries of a history that is made of them.
    return {**midnights, **{f"{days_ago(days):%Y-%m-%dT}": f"$DAYS_AGO({days}) " for days in found}}


@functools.cache
def cases() -> dict[str, Case]:
    """All cases by their id."""
    table: dict[str, Case] = {}
    for path in sorted((HERE / "cases").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        defaults = document.get("defaults") or {}
        for name, fields in document["cases"].items():
            fields = {**defaults, **(fields or {})}
            if "format" in defaults and fields["format"] is not None:
                fields["format"] = {**defaults["format"], **fields["format"]}
            case = Case(group=path.stem, name=str(name), **fields)
            assert case.id not in table, f"{case.id} is there twice"
            table[case.id] = case
    return table
