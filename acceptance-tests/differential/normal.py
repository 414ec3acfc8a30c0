"""What is compared of a connector's messages: an outcome, free of clocks, ports, stack traces and noise.

An outcome of a command is a flat dict of fields, each of which may differ by itself:

    exit        the exit code
    noise       present when something was printed that is no message
    status      of check: SUCCEEDED or FAILED
    why         of check: the classes of the failure's message
    errors      the TRACE ERRORs: failure type and class of the message
    catalog     of discover: the streams, whole
    order       per stream: its statuses, and where its records and its last STATE stand between them
    records     per stream: the data, values exact, file by file
    state       per stream: the parts of the last STATE that both know
    covered     the STATEs' record counts add up to the records
    transfer    per stream: the file references
    logs        the classes of the texts that users search the logs for
    control     whether a CONTROL message was printed
    analytics   what the TRACE ANALYTICS said
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from decimal import Decimal, InvalidOperation

MODIFIED, URL = "_ab_source_file_last_modified", "_ab_source_file_url"
# What Airbyte's own connector writes into a stream's state. Ours adds a part of its own.
STATE_KEYS = ("history", MODIFIED, "v3_min_sync_date", "__ab_no_cursor_state_message")
KINDS = ("SPEC", "CONNECTION_STATUS", "CATALOG", "RECORD", "STATE", "LOG", "TRACE", "CONTROL")
# A history that is longer is compared by its digest.
HISTORY_SHOWN = 40
# More records of a stream are compared by their digest.
RECORDS_SHOWN = 60


class Float:
    """A JSON number with a fraction or an exponent, or NaN or Infinity: never equal to an integer, else by its value."""

    def __init__(self, text: str):
        self.text = text

    def __eq__(self, other) -> bool:
        return isinstance(other, Float) and (self.text == other.text or self._value() == other._value() is not None)

    def _value(self):
        try:
            value = Decimal(self.text)
        except InvalidOperation:
            return None
        # Two texts are the same number when a reader of doubles cannot tell them apart.
        return float(value), value.is_signed()

    def __hash__(self):
        return hash(self._value())

    def __repr__(self) -> str:
        return self.text


def loads(text: str | bytes):
    """JSON with numbers as they are written."""
    return json.loads(text, parse_float=Float, parse_constant=Float)


def dumps(value, indent: str = "") -> str:
    """JSON of values from `loads`, on one line."""
    if isinstance(value, Float):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key), ensure_ascii=False)}: {dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def same(one, other) -> bool:
    """Equality in which 1, 1.0 and true are three things."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


# --- texts ---------------------------------------------------------------------------------------------------------------

# Failure messages: a class, and what the message of either connector looks like. The first that fits counts. A class is
# what a person would do about it: mend the config, look at the data, at the rights, at the catalog or state.
MESSAGES = [
    ("no files", r"No files were identified in the stream", r"no files were identified in the stream"),
    ("no streams", r"No streams are available for source", r"No streams are available for the source"),
    ("no bucket", r"The bucket \S+ does not exist", r"^bucket '.*' does not exist|the bucket does not exist"),
    ("vanished", None, r"was deleted after it was listed"),
    ("archived", None, r"is archived and cannot be read"),
    ("data", r"Some errors occured while reading|Error opening file|failed to be serialized",
     r"CSV row has|is not an Avro file|is not an Excel workbook|a binary value is not|a line is not a JSON|is never closed|gzip data|Parquet|conform|the data ends|archive was opened"),
    ("catalog or state", r"Error starting the sync", r"the catalog|configured catalog|state file|the state|sync_mode is"),
    ("config", r"Config validation error|Error creating stream config object|no longer supported|Invalid input schema"
               r"|could not be transformed into valid JSON Schema|Only one of options|days_to_sync_if_history_is_full must be",
     r"^`|required property|no longer supported|the configuration is not|is not a known text encoding|unknown encoding"
     r"|not supported yet"),
    ("columns unknown", r"Error inferring schema", r"sampled files could be read"),
    ("encoding", r"File encoding error", r"is not UTF-8|not valid UTF-8|not valid in the encoding|undecodable|encoding"),
    ("header", r"CSV header row contains|under trailing empty header", r"header.* (empty|name|value)|name of a column is empty"),
    ("access", r"Error listing files", r"credentials|access key|signature|may not|denied|forbidden|could not be reached|cannot be reached|connect"),
    ("generic", r"Something went wrong in the connector|Unable to connect to stream|An unexpected error occurred", None),
]  # fmt: skip
# What the old connector prints besides the failure itself: it adds nothing.
WRAPPER = "the following streams did not sync successfully"


def message_class(text: str, theirs: bool) -> str:
    """The class of a failure message, or the message itself."""
    for name, old, new in MESSAGES:
        pattern = old if theirs else new
        if pattern and re.search(pattern, text):
            return name
    return text


# Texts that people search the logs for, with the class of each.
LOGS = [
    ("received", r"Received \d+ objects from S3 for prefix '"),
    ("listed", r"Finished listing objects from S3\. Found \d+ objects total"),
    ("empty listing", r"Invalid response from S3; missing 'Contents' key"),
    ("check succeeded", r"^Check succeeded"),
    ("starting", r"^Starting syncing"),
    ("started", r"Marking stream \S+ as STARTED"),
    ("running", r"Marking stream \S+ as RUNNING"),
    ("stopped", r"Marking stream \S+ as STOPPED"),
    ("syncing", r"Syncing stream: \S+"),
    ("read", r"Read \d+ records from \S+ stream"),
    ("finished", r"Finished syncing"),
    ("default schema", r"Setting default schema for the stream"),
    ("few files inferred", r"Refusing to infer schema for \d+ files; using 10"),
    ("history full", r"The state history is full"),
    ("older than synced", r"last modified date is older than the last time it was synced"),
    ("cast", r"Could not cast the value to the expected type"),
    ("multiline JSON", r"is using multiline JSON"),
    ("sample cut", r"Exceeded the maximum number of bytes per file for schema inference"),
    ("parse error", r"Error parsing record"),
    ("unreachable", r"The file appears to have become unreachable"),
    ("skipped records", r"Records in file did not pass validation policy"),
    ("stopped by policy", r"Stopping sync in accordance with the configured validation policy"),
    ("deprecated fields", r"the following fields are deprecated and cannot be synced"),
    ("no rows", r"Could not infer schema as there are no rows"),
    ("field mismatch", r"Skipping record in line \d+ of file"),
    ("serialization", r"There was an error during the serialization of an AirbyteMessage"),
    ("download", r"Starting to download the file"),
    ("downloaded", r"Finished downloading the file"),
]


def log_classes(messages: list[dict]) -> list[str]:
    found = set()
    for message in messages:
        text = message["log"]["message"]
        found.update(name for name, pattern in LOGS if re.search(pattern, text))
    return sorted(found)


# --- outcomes ------------------------------------------------------------------------------------------------------------


def outcome(verb: str, exit_code: int, stdout: bytes, theirs: bool, replace: dict[str, str]) -> dict:
    """The outcome of a command. `replace` gives the names of things that change from run to run."""
    text = stdout.decode()
    for changing, name in replace.items():
        text = text.replace(changing, name)
    messages, noise = parsed(text)
    kinds: dict[str, list[dict]] = {}
    for message in messages:
        kinds.setdefault(message["type"], []).append(message)
    result: dict = {"exit": exit_code, **({"noise": True} if noise else {})}
    if verb == "check":
        statuses = [message["connectionStatus"] for message in kinds.get("CONNECTION_STATUS", [])]
        result["status"] = [status["status"] for status in statuses]
        result["why"] = [message_class(status["message"], theirs) for status in statuses if status.get("message")]
    traces = [message["trace"] for message in kinds.get("TRACE", [])]
    # A failed check says in CONNECTION_STATUS what is wrong.
    if verb != "check":
        errors = [trace["error"] for trace in traces if trace["type"] == "ERROR"]
        result["errors"] = [failure(error, theirs) for error in errors if WRAPPER not in (error.get("message") or "")]
    if verb == "discover":
        result["catalog"] = [catalog_stream(stream) for message in kinds.get("CATALOG", []) for stream in message["catalog"]["streams"]]
    if verb == "spec":
        result["spec"] = sorted(spec_keys(kinds["SPEC"][0]["spec"]))
    if verb == "read":
        result.update(read_outcome(messages))
        result["analytics"] = sorted([t["analytics"]["type"], t["analytics"]["value"]] for t in traces if t["type"] == "ANALYTICS")
    result["logs"] = log_classes(kinds.get("LOG", []))
    result["control"] = "CONTROL" in kinds
    return result


def parsed(text: str) -> tuple[list[dict], bool]:
    """The messages, and whether there were lines that are none."""
    messages, noise = [], False
    for line in filter(None, text.split("\n")):
        try:
            message = loads(line)
            noise |= not isinstance(message, dict) or message.get("type") not in KINDS
            messages.append(message)
        except ValueError:
            noise = True
    return messages, noise


def failure(error: dict, theirs: bool) -> list:
    return [error.get("failure_type"), message_class(error.get("message") or "", theirs)]


def catalog_stream(stream: dict) -> dict:
    """As it is, but that the order of properties, which is not stable in the old connector, says nothing."""
    stream = dict(stream)
    schema = dict(stream["json_schema"])
    schema["properties"] = dict(sorted(schema["properties"].items()))
    stream["json_schema"] = schema
    return dict(sorted(stream.items()))


def spec_keys(spec: dict) -> list[str]:
    return list(spec["connectionSpecification"]["properties"])


def read_outcome(messages: list[dict]) -> dict:
    order: dict[str, list[str]] = {}
    records: dict[str, list[dict]] = {}
    references: dict[str, list[dict]] = {}
    states: dict[str, dict] = {}
    counted: dict[str, float] = {}

    def step(stream: str, name: str) -> None:
        steps = order.setdefault(stream, [])
        if "STATE" in steps and name in ("RUNNING", "RECORD", "STATE"):
            steps.remove("STATE")  # only the last one has its place: when others come is each connector's own choice
        if steps[-1:] != [name]:
            steps.append(name)

    for message in messages:
        if message["type"] == "RECORD":
            record = message["record"]
            records.setdefault(record["stream"], []).append(record["data"])
            if record.get("file_reference"):
                references.setdefault(record["stream"], []).append(record["file_reference"])
            step(record["stream"], "RECORD")
        elif message["type"] == "STATE":
            state = message["state"]
            name = state["stream"]["stream_descriptor"]["name"]
            states[name] = common_state(state["stream"].get("stream_state") or {})
            counted[name] = counted.get(name, 0) + float((state.get("sourceStats") or {"recordCount": Float("nan")})["recordCount"].text)
            step(name, "STATE")
        elif message["type"] == "TRACE" and message["trace"]["type"] == "STREAM_STATUS":
            status = message["trace"]["stream_status"]
            step(status["stream_descriptor"]["name"], status["status"])
    result = {
        "order": order,
        "records": {stream: shown(sorted(data, key=file_of)) for stream, data in sorted(records.items())},
        "state": states,
        "covered": all(counted.get(stream) == len(records.get(stream, ())) for stream in {*records, *counted}),
    }
    if references:
        result["transfer"] = {stream: sorted(map(reference, found), key=dumps) for stream, found in references.items()}
    return result


def shown(records: list[dict]) -> object:
    """The records, or of many their number and digest."""
    if len(records) <= RECORDS_SHOWN:
        return records
    digest = hashlib.sha256(dumps(records).encode()).digest()
    return {"count": len(records), "last": records[-1], "digest": base64.b64encode(digest).decode()}


def file_of(data: dict) -> str:
    """Where a record comes from. The sort by it is stable: records of one file keep their order."""
    return str(data.get(URL) or data.get("source_uri") or "")


def reference(found: dict) -> dict:
    """A file that was handed over: with its digest in place of where it was put."""
    found = dict(found)
    path = found.pop("staging_file_url")
    with open(path, "rb") as file:
        found["sha256"] = hashlib.sha256(file.read()).hexdigest()
    found["end_of_path"] = path.endswith("/" + found["source_file_relative_path"])
    return found


def common_state(state: dict) -> dict:
    kept = {key: state[key] for key in STATE_KEYS if key in state}
    history = kept.get("history")
    if isinstance(history, dict):
        history = dict(sorted(history.items()))
        if len(history) > HISTORY_SHOWN:
            digest = hashlib.sha256(json.dumps(history).encode()).digest()
            history = {"entries": len(history), "digest": base64.b64encode(digest).decode()}
        kept["history"] = history
    return kept


def difference(theirs: dict, ours: dict) -> list[str]:
    """The fields in which two outcomes differ."""
    fields = dict.fromkeys([*theirs, *ours])
    return [field for field in fields if not same(theirs.get(field), ours.get(field))]
