"""What the unit tests of Airbyte's CDK expect of a file-based source, asked of our binary.

The tables are those of airbyte-python-cdk, unit_tests/sources/file_based, at commit 9cc7b80f, and each case names the test
that it is from. The CDK's tests look inside; here the same is seen from outside, as files, a config and a state, and what
comes out. Every expectation is the CDK's. Where Tollgate does something else by design, DIFFERENCES has what it does, and
why. FAULTS are differences to mend.
"""

from __future__ import annotations

import codecs
import dataclasses
import datetime
import gzip
import io
import json
import subprocess

import pytest
from promises import FILE, TIME, catalog

# --- how a case is written, run and compared -----------------------------------------------------------------------------


@dataclasses.dataclass
class Case:
    """Files, a config and a state, and what the CDK's test expects of them."""

    id: str
    origin: str  # the CDK's test, and the name of the case in it
    files: dict[str, bytes | str]
    expected: object
    modified: dict[str, str] = dataclasses.field(default_factory=dict)
    format: dict = dataclasses.field(default_factory=dict)
    stream: dict = dataclasses.field(default_factory=dict)
    root: dict = dataclasses.field(default_factory=dict)
    globs: tuple = ("**",)
    columns: dict = dataclasses.field(default_factory=dict)
    state: dict | None = None
    broken: str | None = None  # a key that cannot be read


def parametrized(cases: list[Case]):
    return pytest.mark.parametrize(
        "case",
        [pytest.param(case, id=case.id, marks=[pytest.mark.xfail(strict=True, reason=FAULTS[case.id])] if case.id in FAULTS else [])
         for case in cases],
    )  # fmt: skip


def strict(value):
    """The value in a form in which 1 and true differ, 1 and 1.0 do not, and null is the same as absent."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return value


def hold(case: Case, got) -> None:
    """Compares with what the CDK expects, or with what is different by design."""
    if case.id in DIFFERENCES:
        reason, ours = DIFFERENCES[case.id]
        assert strict(got) == strict(ours), reason
        assert strict(got) != strict(case.expected), "no longer a difference: remove it from DIFFERENCES"
    else:
        assert strict(got) == strict(case.expected), f"{case.origin}: {case.id}"


def lay(bucket, case: Case) -> dict:
    """Puts the files of a case into its bucket, and makes the config."""
    for key, body in case.files.items():
        bucket.put(key, body.encode() if isinstance(body, str) else body, case.modified.get(key, "2024-01-01T00:00:00Z"))
    if case.broken:
        bucket.fault({"status": {"status": 403, "code": "AccessDenied"}}, when={"key_contains": case.broken, "method": "GET"})
    return bucket.config(case.globs, case.format.get("filetype", "csv"), case.stream, case.format, **case.root)


def ask(bucket, verb: str, config: dict) -> dict:
    """The one message that answers a check or a discover; or the error."""
    done = subprocess.run([str(bucket.program), *bucket.arguments(verb, config)], capture_output=True, text=True, check=False)
    assert "panicked" not in done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {"check": "connectionStatus", "discover": "catalog"}
    found = [message[kinds[verb]] for message in messages if kinds[verb] in message]
    return found[0] if found else {"errors": [m["trace"]["error"]["message"] for m in messages if m["type"] == "TRACE"]}


def accepted(bucket, case: Case) -> bool:
    return ask(bucket, "check", lay(bucket, case)).get("status") == "SUCCEEDED"


def data_of(run) -> list[dict]:
    return [{name: value for name, value in record.items() if name not in (FILE, TIME)} for record in run.records]


# --- what is different -------------------------------------------------------------------------------------------------------

REFUSED = "The encoding is refused by name before anything is read. The CDK takes all of Python's codecs."
CURSOR = "The concurrent cursor of the CDK is not what airbyte/source-s3 uses: its own is a DefaultFileBasedCursor, whose position is the newest file of the history, and whose bound in a full history is the earliest one. Tollgate does as source-s3."
FEWER = "The history holds one file fewer than the CDK's; what leaves it stays in a summary (see differential/differences.yaml)."
CELLS = "A cell keeps the type that it has in the workbook. pandas makes numbers of texts and booleans that share a column with empty cells or numbers."
EMPTY = "A column without values has the type null. pandas calls it a number, or a string if there are no rows."
FAR = "Dates beyond 2262 are dates too. pandas cannot hold them as such."
LOSS = "It is refused, because such a configuration would lose data or could be read in two ways."
NEG = "A negative number of rows is refused. In the CDK it means 0."
WIDE = "Delimiters of several characters are supported."
IGNORED = "With ignored mismatches the fields that have a name are emitted. The CDK's test only wants no error, and logs that it skips."
SAMPLE = "The CDK stops at 1 MB of values, and so after the first row; our sample is larger, and sees the string."

# By the id of a case: the reason, and what Tollgate does.
DIFFERENCES: dict[str, tuple[str, object]] = {
    "config-invalid-delimiter": (WIDE, True),
    "config-skip-rows-before-negative": (NEG, False),
    "config-skip-rows-after-negative": (NEG, False),
    "config-delimiter-is-quote": (LOSS, False),
    "config-delimiter-is-escape": (LOSS, False),
    "config-schema-names-equal-after-trim": (LOSS, False),
    "excel-booleans-with-null": (CELLS, {'types': {'a': 'boolean', 'b': 'string'}, 'records': [{'a': True, 'b': 'x'}, {'b': 'y'}]}),
    "excel-text-with-null": (CELLS, {'types': {'a': 'string', 'b': 'string'}, 'records': [{'a': 'x', 'b': '1'}, {'b': '2'}]}),
    "excel-booleans-and-numbers": (CELLS, {'types': {'a': 'number'}, 'records': [{'a': True}, {'a': 2}]}),
    "excel-null-column": (EMPTY, {'types': {'a': 'number', 'b': 'null'}, 'records': [{'a': 1}, {'a': 2}]}),
    "excel-formula": (EMPTY, {"types": {"a": "number", "b": "null"}, "records": [{"a": 1}]}),
    "excel-header-only": (EMPTY, {'types': {'a': 'null', 'b': 'null'}, 'records': []}),
    "excel-far-date": (FAR, {'types': {'a': 'date-time'}, 'records': [{'a': '9999-12-31T23:59:59.000000'}]}),
    "csv-mismatch-many-ignored": (IGNORED, [{'header': 'too many values'}]),
    "csv-mismatch-few-ignored": (IGNORED, [{'header1': 'a value'}, {'header1': 'value1', 'header2': 'value2', 'header3': 'value3'}]),
    "infer-big_file_when_infer_schema_then_stop_early": (SAMPLE, 'string'),
    "prev-cursor-cursor-value-is-earlier": (CURSOR, {'read': []}),
    "prev-cursor-state-with-cursor-and-later-history": (CURSOR, {'read': []}),
    "default-add-file-history-full": (FEWER, {'read': ['a.csv', 'b.csv', 'c.csv', 'd.csv'], 'history': {'c.csv': '2021-01-03T00:00:00.000000Z', 'd.csv': '2021-01-04T00:00:00.000000Z'}, 'cursor': '2021-01-04T00:00:00.000000Z_d.csv'}),
    "default-add-file-same-time": (FEWER, {'read': ['a.csv', 'b.csv', 'c.csv', 'd.csv', 'file_with_same_timestamp_as_b.csv'], 'history': {'c.csv': '2021-01-03T00:00:00.000000Z', 'd.csv': '2021-01-04T00:00:00.000000Z'}, 'cursor': '2021-01-04T00:00:00.000000Z_d.csv'}),
    "default-to-sync-all": (FEWER, {'read': ['a.csv', 'b.csv', 'c.csv'], 'history': {'a.csv': '2021-01-01T00:00:00.000000Z', 'b.csv': '2021-01-02T00:00:00.000000Z'}}),
    "default-to-sync-more-than-history": (FEWER, {'read': ['a.csv', 'b.csv', 'c.csv'], 'history': {'b.csv': '2021-01-02T00:00:00.000000Z'}}),
    "add-file-to-empty-history-pending-file-is-older": (CURSOR, {'read': ['newfile.csv'], 'history': {'newfile.csv': '2021-01-05T00:00:00.000000Z'}, 'cursor': '2021-01-05T00:00:00.000000Z_newfile.csv'}),
    "add-file-to-empty-history-pending-file-is-newer": (CURSOR, {'read': ['newfile.csv'], 'history': {'newfile.csv': '2021-01-05T00:00:00.000000Z'}, 'cursor': '2021-01-05T00:00:00.000000Z_newfile.csv'}),
    "add-file-to-nonempty-history-pending-file-is-older": (CURSOR, {'read': ['newfile.csv'], 'history': {'existing.csv': '2021-01-04T00:00:00.000000Z', 'newfile.csv': '2021-01-05T00:00:00.000000Z'}, 'cursor': '2021-01-05T00:00:00.000000Z_newfile.csv'}),
    "add-file-to-nonempty-history-pending-file-is-newer": (CURSOR, {'read': ['newfile.csv'], 'history': {'existing.csv': '2021-01-04T00:00:00.000000Z', 'newfile.csv': '2021-01-05T00:00:00.000000Z'}, 'cursor': '2021-01-05T00:00:00.000000Z_newfile.csv'}),
    **dict.fromkeys(
        ["encoding-charmap", "encoding-cp037", "encoding-cp1006", "encoding-cp1026", "encoding-cp1125", "encoding-cp1140", "encoding-cp273", "encoding-cp424", "encoding-cp437", "encoding-cp500", "encoding-cp720", "encoding-cp737", "encoding-cp775", "encoding-cp850", "encoding-cp852", "encoding-cp855", "encoding-cp856", "encoding-cp857", "encoding-cp858", "encoding-cp860", "encoding-cp861", "encoding-cp862", "encoding-cp863", "encoding-cp864", "encoding-cp865", "encoding-cp869", "encoding-cp875", "encoding-euc_jis_2004", "encoding-euc_jisx0213", "encoding-hp_roman8", "encoding-hz", "encoding-iso2022_jp_1", "encoding-iso2022_jp_2", "encoding-iso2022_jp_2004", "encoding-iso2022_jp_3", "encoding-iso2022_jp_ext", "encoding-iso2022_kr", "encoding-johab", "encoding-koi8_t", "encoding-kz1048", "encoding-mac_arabic", "encoding-mac_croatian", "encoding-mac_farsi", "encoding-mac_greek", "encoding-mac_iceland", "encoding-mac_latin2", "encoding-mac_romanian", "encoding-mac_turkish", "encoding-palmos", "encoding-ptcp154", "encoding-raw_unicode_escape", "encoding-shift_jis_2004", "encoding-shift_jisx0213", "encoding-unicode_escape", "encoding-utf_32", "encoding-utf_32_be", "encoding-utf_32_le", "encoding-utf_7"],
        (REFUSED, "fails"),
    ),
}  # fmt: skip
# By the id of a case: what is wrong.
FAULTS: dict[str, str] = {
    "encoding-big5": "letters are decoded to others than by Python's codec, silently",
    "encoding-big5hkscs": "letters are decoded to others than by Python's codec, silently",
    "encoding-cp950": "letters are decoded to others than by Python's codec, silently",
    "encoding-euckr": "Python's alias of euc_kr is not known",
    "encoding-euc_jp": "letters are decoded to others than by Python's codec, silently",
    "encoding-iso2022_jp": "letters are decoded to others than by Python's codec, silently",
    "encoding-shift_jis": "letters are decoded to others than by Python's codec, silently",
    "encoding-sjis": "letters are decoded to others than by Python's codec, silently",
}  # fmt: skip

# --- (1) histories -------------------------------------------------------------------------------------------------------

CONCURRENT = "stream/concurrent/test_file_based_concurrent_cursor.py::"
DEFAULT = "stream/test_default_file_based_cursor.py::"
LIMIT = 10_000  # of the history, in the CDK
FILLER = "~filler/"


def day(number: int) -> str:
    """Midnight of a day of January 2021; 0 and below are in December 2020."""
    return f"{datetime.date(2021, 1, 1) + datetime.timedelta(days=number - 1)}T00:00:00Z"


def ago(days: float) -> str:
    midnight = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return f"{midnight - datetime.timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def micro(time: str) -> str:
    return time.removesuffix("Z") + ".000000Z"


def filled(history: dict[str, str], count: int, after: str) -> dict[str, str]:
    """The history with so many entries in all; what is added is a microsecond apart, from a second after a time on."""
    first = datetime.datetime.fromisoformat(after.removesuffix("Z")) + datetime.timedelta(seconds=1)
    more = {f"{FILLER}{n:05}": f"{first + datetime.timedelta(microseconds=n):%Y-%m-%dT%H:%M:%S.%fZ}" for n in range(count - len(history))}
    return {**{key: micro(time) for key, time in history.items()}, **more}


def history_case(id: str, origin: str, files: dict[str, str], state: dict | None, read: list[str], history: dict | None = None,
                 cursor: str | None = None, **fields) -> Case:  # fmt: skip
    """A case whose files have times, and whose expectation is the keys that are read, and the state if the test has it."""
    expected = {"read": sorted(read)}
    if history is not None:
        expected["history"] = {key: micro(time) for key, time in history.items()}
    if cursor is not None:
        expected["cursor"] = cursor
    return Case(id, origin, {key: f"a\n{key}\n" for key in files}, expected, files, columns={"a": "string"}, state=state, **fields)


def cursor_at(time: str, key: str) -> str:
    return f"{micro(time)}_{key}"


def prev_cursor(id: str, history: dict[str, str], cursor: tuple[str, str], expected: tuple[str, str]) -> list[Case]:
    """`_compute_prev_sync_cursor` decides in a full history: what is at the cursor with a greater key is read, and else not."""
    time, key = expected
    last = max([*history.values(), cursor[0]])
    state = {"history": filled(history, LIMIT, last), TIME: cursor_at(*cursor)}
    probes = {key[0] + "-": time, key[0] + "z": time}
    return [history_case(f"prev-cursor-{id}", CONCURRENT + f"test_compute_prev_sync_cursor[{id}]", probes, state, [key[0] + "z"])]


NEW, PENDING_OLD, PENDING_NEW = "2021-01-05T00:00:00Z", "2020-01-05T00:00:00Z", "2022-01-05T00:00:00Z"
EXISTING = {"existing.csv": day(4)}


def add_file(id: str, history: dict, pending: str | None, expected: dict, cursor: str) -> Case:
    files = {"newfile.csv": NEW, **({"pending.csv": pending} if pending else {})}
    state = {"history": {key: micro(time) for key, time in history.items()}}
    return history_case(f"add-file-{id}", CONCURRENT + f"test_add_file[{id}]", files, state, ["newfile.csv"], expected, cursor,
                        broken="pending" if pending else None)  # fmt: skip


def full(earliest: tuple[str, str] | None, known: dict | None = None, cursor: str | None = None) -> dict:
    """The state of a full history with this earliest file."""
    history = {**({earliest[1]: earliest[0]} if earliest else {}), **(known or {})}
    return {"history": filled(history, LIMIT, max(history.values())), TIME: cursor}


def should_sync(id: str, key: str, time: str, state: dict, read: bool, days: int = 3) -> Case:
    return history_case(f"should-sync-{id}", CONCURRENT + f"test_should_sync_file[{id}]", {key: time}, state, [key] if read else [],
                        stream={"days_to_sync_if_history_is_full": days})  # fmt: skip


def default_should_sync(id: str, key: str, time: str, earliest: str, read: bool) -> Case:
    return history_case(f"default-should-sync-{id}", DEFAULT + f"test_should_sync_file[{id}]", {key: time},
                        full((earliest, "b.csv")), [key] if read else [], stream={"days_to_sync_if_history_is_full": 3})  # fmt: skip


def small_history(id: str, test: str, size: int, files: dict, kept: list[str], cursor: str | None) -> Case:
    """A history of the CDK's test with `size` places, which are the last ones of ours."""
    fillers = filled({}, LIMIT - size, "2021-01-03T00:00:00Z") if size < LIMIT else {}
    state = {"history": fillers} if fillers else None
    history = {key: files[key] for key in kept}
    return history_case(id, DEFAULT + test, files, state, list(files), history, cursor)


ABC = {"a.csv": day(1), "b.csv": day(2), "c.csv": day(0)}
ABCD = {"a.csv": day(1), "b.csv": day(2), "c.csv": day(3), "d.csv": day(4)}
TWIN = "file_with_same_timestamp_as_b.csv"

HISTORIES = [
    *prev_cursor("cursor-value-matches-earliest-file", {"a.csv": day(1)}, (day(1), "a.csv"), (day(1), "a.csv")),
    *prev_cursor("cursor-value-is-earlier", {"a.csv": day(1)}, ("2020-01-01T00:00:00Z", "a.csv"), ("2020-01-01T00:00:00Z", "a.csv")),
    *prev_cursor("cursor-not-earliest", {"b.csv": day(1), "m.csv": day(2), "n.csv": day(3)}, (day(4), "d.csv"), (day(1), "b.csv")),
    *prev_cursor("cursor-value-is-later", {"b.csv": "2022-01-01T00:00:00Z"}, ("2022-01-01T00:00:00Z", "d.csv"), ("2022-01-01T00:00:00Z", "b.csv")),
    *prev_cursor("state-with-cursor-and-earlier-history", {"b.csv": day(0)}, (day(1), "a.csv"), (day(0), "b.csv")),
    *prev_cursor("state-with-cursor-and-later-history", {"b.csv": day(2)}, (day(1), "a.csv"), (day(1), "a.csv")),
    history_case("prev-cursor-no-state", CONCURRENT + "test_compute_prev_sync_cursor[no-state-gives-min-cursor]", {"a.csv": "1970-01-02T00:00:00Z"}, {}, ["a.csv"]),
    history_case("prev-cursor-missing", CONCURRENT + "test_compute_prev_sync_cursor[missing-cursor-field-gives-min-cursor]", {"a.csv": "1970-01-02T00:00:00Z"}, {"history": {}}, ["a.csv"]),
    add_file("to-empty-history-single-pending-file", {}, None, {"newfile.csv": NEW}, cursor_at(NEW, "newfile.csv")),
    add_file("to-empty-history-pending-file-is-older", {}, PENDING_OLD, {"newfile.csv": NEW}, cursor_at(PENDING_OLD, "pending.csv")),
    add_file("to-empty-history-pending-file-is-newer", {}, PENDING_NEW, {"newfile.csv": NEW}, cursor_at(PENDING_NEW, "pending.csv")),
    add_file("to-nonempty-history-single-pending-file", EXISTING, None, {**EXISTING, "newfile.csv": NEW}, cursor_at(NEW, "newfile.csv")),
    add_file("to-nonempty-history-pending-file-is-older", EXISTING, PENDING_OLD, {**EXISTING, "newfile.csv": NEW}, cursor_at(PENDING_OLD, "pending.csv")),
    add_file("to-nonempty-history-pending-file-is-newer", EXISTING, PENDING_NEW, {**EXISTING, "newfile.csv": NEW}, cursor_at(PENDING_NEW, "pending.csv")),
    history_case("new-cursor-no-pending-with-history", CONCURRENT + "test_get_new_cursor_value[no-pending-with-history]", {"a.csv": day(1)}, {"history": {"a.csv": micro(day(1))}}, [], {"a.csv": day(1)}, cursor_at(day(1), "a.csv")),
    history_case("to-sync-empty-history-one-new-file", CONCURRENT + "test_get_files_to_sync[empty-history-one-new-file]", {"new.csv": day(3)}, {"history": {}}, ["new.csv"]),
    history_case("to-sync-modified", CONCURRENT + "test_get_files_to_sync[non-empty-history-file-in-history-modified]", {"a.csv": day(2)}, {"history": {"a.csv": micro(day(1))}}, ["a.csv"]),
    history_case("to-sync-not-modified", CONCURRENT + "test_get_files_to_sync[non-empty-history-file-in-history-not-modified]", {"a.csv": day(1)}, {"history": {"a.csv": micro(day(1))}}, []),
    should_sync("file-not-in-history-not-full-old-cursor", "new.csv", day(3), {"history": {}}, True),
    should_sync("file-not-in-history-not-full-new-cursor", "new.csv", day(3), {"history": {}, TIME: cursor_at("2024-01-02T00:00:00Z", "")}, True),
    should_sync("file-in-history-not-modified", "a.csv", day(1), {"history": {"a.csv": micro(day(1))}}, False),
    should_sync("file-in-history-modified-before", "a.csv", "2020-01-01T00:00:00Z", {"history": {"a.csv": micro(day(1))}}, False),
    should_sync("file-in-history-modified-after", "a.csv", "2022-01-01T00:00:00Z", {"history": {"a.csv": micro(day(1))}}, True),
    should_sync("history-full-file-modified-after-cursor", "new.csv", "2022-01-01T00:00:00Z", full((day(2), "a.csv")), True),
    should_sync("history-full-modified-eq-cursor-uri-gt", "new1.csv", day(1), full((day(1), "new0.csv")), True),
    should_sync("history-full-modified-eq-cursor-uri-lt", "new0.csv", day(1), full((day(1), "new1.csv")), False),
    should_sync("history-full-modified-before-cursor-and-after-sync-start", "new.csv", ago(9), full((ago(5), "a.csv")), True, days=20),
    should_sync("history-full-modified-before-cursor-and-before-sync-start", "new.csv", day(1), full(("2022-01-01T00:00:00Z", "a.csv")), False),
    small_history("default-add-file-earliest-start-time", "test_add_file[test_file_start_time_is_earliest_time_in_history]", LIMIT, ABC, list(ABC), cursor_at(day(2), "b.csv")),
    small_history("default-add-file-history-full", "test_add_file[test_earliest_file_is_removed_from_history_if_history_is_full]", 3, ABCD, ["b.csv", "c.csv", "d.csv"], cursor_at(day(4), "d.csv")),
    small_history("default-add-file-same-time", "test_add_file[test_files_are_sorted_by_timestamp_and_by_name]", 3, {**ABCD, TWIN: day(2)}, [TWIN, "c.csv", "d.csv"], cursor_at(day(4), "d.csv")),
    small_history("default-to-sync-all", "test_get_files_to_sync[test_all_files_should_be_synced]", 3, ABC, list(ABC), None),
    small_history("default-to-sync-more-than-history", "test_get_files_to_sync[test_sync_more_files_than_history_size]", 2, ABC, ["a.csv", "b.csv"], None),
    history_case("default-only-recent-if-full", DEFAULT + "test_only_recent_files_are_synced_if_history_is_full", {"a.csv": day(1), "c.csv": day(2), "d.csv": day(4)},
                 full((day(2), "b1.csv"), {"b2.csv": day(3)}), ["c.csv", "d.csv"], stream={"days_to_sync_if_history_is_full": 3}),
    *(history_case(f"default-present-{id}", DEFAULT + f"test_sync_file_already_present_in_history[{id}]", {"a.csv": day(2 + delta)},
                   {"history": {"a.csv": micro(day(2))}}, ["a.csv"] if read else [])
      for id, delta, read in [("test_modified_at_is_earlier", -1, False), ("test_modified_at_is_equal", 0, False), ("test_modified_at_is_more_recent", 1, True)]),
    # The CDK's test stops the clock, and so can have a file just at the start of the window. This one is an hour inside.
    default_should_sync("test_last_modified_is_equal_to_time_buffer", "a.csv", ago(2), ago(0), True),
    default_should_sync("test_last_modified_is_before_time_buffer", "a.csv", ago(4), ago(0), False),
    default_should_sync("test_file_was_already_synced", "b.csv", ago(0), ago(0), False),
    default_should_sync("test_file_was_synced_in_the_past", "b.csv", ago(-1), ago(0), True),
    default_should_sync("test_file_was_synced_in_the_past_but_last_modified_is_earlier_in_history", "b.csv", ago(3), ago(0), False),
    default_should_sync("test_last_modified_is_equal_to_earliest_dt_in_history_and_lexicographically_smaller", "a.csv", ago(3), ago(3), False),
    default_should_sync("test_last_modified_is_equal_to_earliest_dt_in_history_and_lexicographically_greater", "c.csv", ago(3), ago(3), True),
    history_case("default-no-history", DEFAULT + "test_set_initial_state_no_history", {"a.csv": day(1)}, {}, ["a.csv"]),
]  # fmt: skip


@parametrized(HISTORIES)
def test_histories(bucket, case):
    config = lay(bucket, case)
    state = [{"type": "STREAM", "stream": {"stream_descriptor": {"name": "s"}, "stream_state": case.state}}] if case.state is not None else None
    run = bucket.read(config, catalog(case.columns), state)
    assert run.exit_code == (1 if case.broken else 0), str(run)
    got = {"read": sorted(record["a"] for record in run.records)}
    if "history" in case.expected:
        kept = run.states[0]["stream"]["stream_state"]
        got["history"] = {key: time for key, time in kept["history"].items() if not key.startswith(FILLER)}
        if "cursor" in case.expected:
            got["cursor"] = kept[TIME]
    hold(case, got)


# --- (2) start dates -----------------------------------------------------------------------------------------------------

READER = "test_file_based_stream_reader.py::"
SPEC = "config/test_abstract_file_based_spec.py::"
IN_JUNE = "2023-06-05T03:54:07Z"


def start_date(id: str, date: str, files: dict[str, str], read: list[str], test: str) -> Case:
    return Case(f"start-date-{id}", READER + test, {key: f"a\n{key}\n" for key in files}, sorted(read), files, root={"start_date": date},
                columns={"a": "string"})  # fmt: skip


def parsed(id: str, date: str, before: str, first: str) -> Case:
    """The start date is between a file that is left out and one that is read."""
    return start_date(f"parsed-{id}", date, {"before.csv": before, "first.csv": first}, ["first.csv"], f"test_parse_start_date[{id}]")


START_DATES = [
    *(start_date(id, date, {"a.csv": IN_JUNE, "a/b.csv": IN_JUNE}, ["a.csv", "a/b.csv"] if read else [], f"test_globs_and_prefixes_from_globs[{id}]")
      for id, date, read in [
          ("all_csvs_modified_after_start_date", "2023-06-01T03:54:07.000Z", True),
          ("all_csvs_modified_before_start_date", "2023-06-10T03:54:07.000Z", False),
          ("all_csvs_start_date_without_microseconds", "2023-06-01T03:54:07Z", True),
          ("all_csvs_modified_exactly_on_start_date", "2023-06-05T03:54:07.000Z", True),
      ]),
    parsed("with_microseconds_zero", "2025-01-01T00:00:00.000000Z", "2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z"),
    parsed("with_microseconds_nonzero", "2025-06-15T12:30:45.123456Z", "2025-06-15T12:30:45Z", "2025-06-15T12:30:46Z"),
    parsed("without_microseconds", "2025-01-01T00:00:00Z", "2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z"),
    parsed("without_microseconds_end_of_day", "2025-12-31T23:59:59Z", "2025-12-31T23:59:58Z", "2025-12-31T23:59:59Z"),
    parsed("date_only_ab_datetime_parse_fallback", "2025-01-01", "2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z"),
    parsed("with_timezone_offset_converted_to_utc", "2025-01-01T00:00:00+05:30", "2024-12-31T18:29:59Z", "2024-12-31T18:30:00Z"),
]  # fmt: skip


@parametrized(START_DATES)
def test_start_dates(bucket, case):
    run = bucket.read(lay(bucket, case), catalog(case.columns))
    assert run.exit_code == 0, str(run)
    hold(case, sorted(record["a"] for record in run.records))


# --- (3) CSV -------------------------------------------------------------------------------------------------------------

CSV = "file_types/test_csv_parser.py::"
READ = CSV + "CsvReaderTest::"
FAILS = "fails"
DEFAULT_TYPES = {
    "col1": "null", "col2": "boolean", "col3": "integer", "col4": "number", "col5": "string", "col6": "object", "col7": "array",
    "col8": "array", "col9": "array", "col10": "string",
}  # fmt: skip


def read_csv(id: str, origin: str, lines: list[str] | bytes, expected, columns=None, **format) -> Case:
    """A CSV file and its rows, or FAILS."""
    body = lines if isinstance(lines, bytes) else "\n".join(lines)
    if columns is None:
        columns = {name: "string" for row in expected for name in row} if isinstance(expected, list) else {"header": "string", "col1": "string"}
    return Case(f"csv-{id}", origin, {"a.csv": body}, expected, format=format, columns=columns)


def cast(id: str, row: dict[str, str], expected: dict, **format) -> Case:
    """One row under the types of the test's table."""
    quoted = ",".join('"' + value.replace('"', '""') + '"' for value in row.values())
    return read_csv(f"cast-{id}", CSV + f"test_cast_to_python_type[{id}]", [",".join(row), quoted], [expected], DEFAULT_TYPES, **format)


def nullable(id: str, row: dict, strings: bool, expected: dict) -> Case:
    types = {"id": "string", "name": "string", "age": "integer", "is_cool": "boolean"}
    lines = [",".join(row), ",".join(str(value).lower() for value in row.values())]
    return read_csv(f"null-{id}", CSV + f"test_to_nullable[{id}]", lines, [expected], types, null_values=["null"], strings_can_be_null=strings)


ALL_COLUMNS = {"col1": "", "col2": "true", "col3": "1", "col4": "1.1", "col5": "asdf", "col6": '{"a": "b"}', "col7": "[1, 2]",
               "col8": '["1", "2"]', "col9": '[{"a": "b"}, {"a": "c"}]', "col10": "asdf"}  # fmt: skip
ALL_CAST = {"col1": None, "col2": True, "col3": 1, "col4": 1.1, "col5": "asdf", "col6": {"a": "b"}, "col7": [1, 2],
            "col8": ["1", "2"], "col9": [{"a": "b"}, {"a": "c"}], "col10": "asdf"}  # fmt: skip
AUTOGENERATED = {"header_definition_type": "Autogenerated"}
SEVEN = {f"f{n}": str(n) for n in range(7)}
TEXT = 'Text with doublequote: "This is a text."'
LONG = 130 * 1024 * "a"


def user_provided(*names: str) -> dict:
    return {"header_definition_type": "User Provided", "column_names": list(names)}


CSV_ROWS = [
    cast("cast-all-cols", ALL_COLUMNS, ALL_CAST),
    cast("cannot-cast-to-null", {"col1": "1"}, {"col1": "1"}),
    cast("cast-1-to-bool", {"col2": "1"}, {"col2": True}),
    cast("cast-0-to-bool", {"col2": "0"}, {"col2": False}),
    cast("cast-yes-to-bool", {"col2": "yes"}, {"col2": True}),
    cast("cast-custom-true-value-to-bool", {"col2": "this_is_a_true_value"}, {"col2": True}, true_values=["this_is_a_true_value"]),
    cast("cast-custom-false-value-to-bool", {"col2": "this_is_a_false_value"}, {"col2": False}, false_values=["this_is_a_false_value"]),
    cast("cast-no-to-bool", {"col2": "no"}, {"col2": False}),
    cast("cannot-cast-to-bool", {"col2": "10"}, {"col2": "10"}),
    cast("cannot-cast-to-int", {"col3": "1.1"}, {"col3": "1.1"}),
    cast("cannot-cast-to-float", {"col4": "asdf"}, {"col4": "asdf"}),
    cast("cannot-cast-to-dict", {"col6": "{'a': 'b'}"}, {"col6": "{'a': 'b'}"}),
    *(cast(f"cannot-cast-to-list-{name}", {name: "['a', 'b']"}, {name: "['a', 'b']"}) for name in ("col7", "col8", "col9")),
    cast("item-not-in-props-doesn't-error", {"col11": "x"}, {}),
    nullable("test-no-values-are-null", {"id": "1", "name": "bob", "age": 10, "is_cool": False}, False, {"id": "1", "name": "bob", "age": 10, "is_cool": False}),
    nullable("test-non-string-values-are-none-if-in-null-values", {"id": "1", "name": "bob", "age": "null", "is_cool": "null"}, False, {"id": "1", "name": "bob"}),
    nullable("test-string-values-are-not-none-if-strings-cannot-be-null", {"id": "1", "name": "null", "age": 10, "is_cool": False}, False, {"id": "1", "name": "null", "age": 10, "is_cool": False}),
    nullable("test-string-values-none-if-strings-can-be-null", {"id": "1", "name": "null", "age": 10, "is_cool": False}, True, {"id": "1", "age": 10, "is_cool": False}),
    read_csv("skip-rows", READ + "test_given_skip_rows_when_read_data_then_do_not_considered_prefixed_rows", ["first line", "second line", "header", "a value", "another value"], [{"header": "a value"}, {"header": "another value"}], skip_rows_before_header=2),
    read_csv("autogenerated", READ + "test_given_autogenerated_headers_when_read_data_then_generate_headers_with_format_fX", ["0,1,2,3,4,5,6"], [SEVEN], header_definition=AUTOGENERATED),
    read_csv("autogenerated-skip", READ + "test_given_skip_row_before_and_after_and_autogenerated_headers_when_read_data_then_generate_headers_with_format_fX", ["skip before", "skip after 1", "skip after 2", "0,1,2,3,4,5,6"], [SEVEN], header_definition=AUTOGENERATED, skip_rows_before_header=1, skip_rows_after_header=2),
    read_csv("user-provided", READ + "test_given_user_provided_headers_when_read_data_then_use_user_provided_headers", ["0,1,2,3"], [{"first": "0", "second": "1", "third": "2", "fourth": "3"}], header_definition=user_provided("first", "second", "third", "fourth")),
    read_csv("user-provided-mismatch", READ + "test_given_len_mistmatch_on_user_provided_headers_when_read_data_then_raise_error", ["0,1,2,3"], FAILS, header_definition=user_provided("missing", "one", "column")),
    read_csv("skip-rows-after", READ + "test_given_skip_rows_after_header_when_read_data_then_do_not_parse_skipped_rows", ["header1,header2", "skipped row: important that the is no comma in this string to test if columns do not match in skipped rows", "a value 1,a value 2", "another value 1,another value 2"], [{"header1": "a value 1", "header2": "a value 2"}, {"header1": "another value 1", "header2": "another value 2"}], skip_rows_after_header=1),
    read_csv("delimiter", READ + "test_given_quote_delimiter_when_read_data_then_parse_properly", ["header1|header2", "a value 1|a value 2"], [{"header1": "a value 1", "header2": "a value 2"}], delimiter="|"),
    read_csv("quote-char", READ + "test_given_quote_char_when_read_data_then_parse_properly", ["header1,header2", "|a,value,1|,|a,value,2|"], [{"header1": "a,value,1", "header2": "a,value,2"}], quote_char="|"),
    read_csv("escape-char", READ + "test_given_escape_char_when_read_data_then_parse_properly", ["header1,header2", '"a |"value|", 1",a value 2'], [{"header1": 'a "value", 1', "header2": "a value 2"}], escape_char="|"),
    read_csv("double-quote-on", READ + "test_given_double_quote_on_when_read_data_then_parse_properly", ["header1,header2", '1,"Text with doublequote: ""This is a text."""'], [{"header1": "1", "header2": TEXT}], double_quote=True),
    read_csv("double-quote-off", READ + "test_given_double_quote_off_when_read_data_then_parse_properly", ["header1,header2", '1,"Text with doublequote: ""This is a text."""'], [{"header1": "1", "header2": TEXT + '""'}], double_quote=False),
    read_csv("too-many-values", READ + "test_given_too_many_values_for_columns_when_read_data_then_raise_exception_and_unregister_dialect", ["header", "a value", "too many values,value,value,value"], FAILS),
    read_csv("too-few-values", READ + "test_given_too_few_values_for_columns_when_read_data_then_raise_exception_and_unregister_dialect", ["header1,header2,header3", "value1,value2,value3", "a value"], FAILS),
    read_csv("long-field", READ + "test_parse_field_size_larger_than_default_python_maximum", ["header1,header2", f'1,"{LONG}"'], [{"header1": "1", "header2": LONG}]),
    read_csv("encoding-error", READ + "test_read_data_with_encoding_error", b"\xff\xfehe\n", FAILS, encoding="ascii"),
    read_csv("mismatch-many-ignored", CSV + "test_mismatch_between_values_and_header[True, too many]", ["header", "too many values,value,value,value"], [], {"header": "string"}, ignore_errors_on_fields_mismatch=True),
    read_csv("mismatch-many", CSV + "test_mismatch_between_values_and_header[False, too many]", ["header", "too many values,value,value,value"], FAILS),
    read_csv("mismatch-few-ignored", CSV + "test_mismatch_between_values_and_header[True, too few]", ["header1,header2,header3", "a value", "value1,value2,value3"], [{"header1": "value1", "header2": "value2", "header3": "value3"}], ignore_errors_on_fields_mismatch=True),
    read_csv("mismatch-few", CSV + "test_mismatch_between_values_and_header[False, too few]", ["header1,header2,header3", "a value", "value1,value2,value3"], FAILS),
    *(read_csv(f"header-{id}", CSV + f"test_get_headers_raises_on_empty_column_names[{id}]", [header, "1,2,3"], FAILS)
      for id, header in [("middle_empty_column", "col1,,col3"), ("leading_empty_column", ",col2,col3"), ("middle_whitespace_only_column", "col1, ,col3"), ("only_empty_columns", " , , ")]),
    *(read_csv(f"header-stripped-{id}", CSV + f"test_get_headers_strips_trailing_empty_column_names[{id}]", [header, "1,2,3"], [{"col1": "1", "col2": "2", "col3": "3"}])
      for id, header in [("empty_headers", "col1,col2,col3,,,"), ("whitespace_only_headers", "col1,col2,col3, , ")]),
    *(read_csv(f"stripped-{id}", CSV + f"test_read_data_strips_trailing_empty_headers_and_values[{id}]", lines, rows)
      for id, lines, rows in [
          ("trailing_empty_headers_and_cells", ["col1,col2,col3,,", "v1,v2,v3,,", "v4,v5,v6"], [{"col1": "v1", "col2": "v2", "col3": "v3"}, {"col1": "v4", "col2": "v5", "col3": "v6"}]),
          ("trailing_whitespace_headers_and_cells", ["col1,col2,col3, , ", "v1,v2,v3, ,", "v4,v5,v6"], [{"col1": "v1", "col2": "v2", "col3": "v3"}, {"col1": "v4", "col2": "v5", "col3": "v6"}]),
          ("valid_headers", ["col1,col2,col3", "v1,v2,v3"], [{"col1": "v1", "col2": "v2", "col3": "v3"}]),
          ("blank_line_mid_file", ["col1,col2", "v1,v2", "", "v3,v4"], [{"col1": "v1", "col2": "v2"}, {"col1": "v3", "col2": "v4"}]),
          ("trailing_blank_line", ["col1,col2", "v1,v2", ""], [{"col1": "v1", "col2": "v2"}]),
      ]),
    *(read_csv(f"interior-{id}", CSV + f"test_read_data_raises_on_interior_empty_column_names[{id}]", lines, FAILS)
      for id, lines in [("interior_empty_header", ["col1,,col3", "v1,,v3"]), ("interior_whitespace_header", ["col1, ,col3", "v1, ,v3"])]),
    read_csv("value-under-trailing-empty-header", CSV + "test_read_data_raises_on_non_empty_values_under_trailing_empty_headers", ["col1,col2,col3,,", "v1,v2,v3,v4,"], FAILS),
]  # fmt: skip


@parametrized(CSV_ROWS)
def test_csv_rows(bucket, case):
    run = bucket.read(lay(bucket, case), catalog(case.columns, "full_refresh"))
    hold(case, data_of(run) if run.exit_code == 0 else FAILS)


INFER = CSV + "SchemaInferenceTestCase::test_given_"
TRUE, FALSE = ["1", "yes", "yeah", "right"], ["0", "no", "nop", "wrong"]


def inferred(id: str, rows: list[str], kind: str) -> Case:
    lines = ["header", *('"' + row.replace('"', '""') + '"' for row in rows)]
    format = {"true_values": TRUE, "false_values": FALSE, "null_values": ["null"], "inference_type": "Primitive Types Only"}
    return Case(f"infer-{id}", INFER + id, {"a.csv": "\n".join(lines)}, kind, format=format)


INFERRED = [
    inferred("booleans_only_when_infer_schema_then_type_is_boolean", TRUE + FALSE, "boolean"),
    inferred("integers_only_when_infer_schema_then_type_is_integer", ["2", "90329", "5645"], "integer"),
    inferred("integer_overlap_with_bool_value_only_when_infer_schema_then_type_is_integer", ["1", "90329", "5645"], "integer"),
    inferred("numbers_and_integers_when_infer_schema_then_type_is_number", ["2", "90329", "2.312"], "number"),
    inferred("arrays_when_infer_schema_then_type_is_string", ['["first_item", "second_item"]', '["first_item_again", "second_item_again"]'], "string"),
    inferred("objects_when_infer_schema_then_type_is_object", ['{"object1_key": 1}', '{"object2_key": 2}'], "string"),
    inferred("strings_only_when_infer_schema_then_type_is_string", ["a string", "another string"], "string"),
    inferred("a_null_value_when_infer_then_ignore_null", ["2", "90329", "5645", "null"], "integer"),
    inferred("only_null_values_when_infer_then_type_is_string", ["null", "null", "null"], "string"),
    inferred("big_file_when_infer_schema_then_stop_early", ["2." + "2" * 1_000_000, "this is a string"], "number"),
]  # fmt: skip


@parametrized(INFERRED)
def test_inferred_types_of_csv(bucket, case):
    found = ask(bucket, "discover", lay(bucket, case))
    types = found["streams"][0]["json_schema"]["properties"]["header"]["type"]
    hold(case, next(kind for kind in types if kind != "null"))


def encodings() -> list[str]:
    """Python's codecs for text: the CDK takes what `codecs.lookup` knows."""
    import encodings as package
    import pkgutil

    found = []
    for module in pkgutil.iter_modules(package.__path__):
        try:
            codec = codecs.lookup(module.name)
            if module.name not in ("idna", "punycode") and codec._is_text_encoding and "a\n1\n".encode(module.name).decode(module.name) == "a\n1\n":
                found.append(module.name)
        except (LookupError, UnicodeError):
            pass
    return sorted({*found, "ascii", "latin-1", "utf8", "UTF-8", "U8", "windows-1252", "euckr", "sjis", "MS_KANJI"})


ALPHABETS = "éßñ ŁőŞ Жщє Ωλ אב ابت ไทย 日本語 ｱｲ 中文 한국 €£ © ¦"


def encoded(name: str) -> Case:
    """The letters that the codec has, twice, since some have states and some a byte order mark."""
    letters = ""
    for letter in ALPHABETS:
        try:
            if letter.encode(name).decode(name) == letter:
                letters += letter
        except UnicodeError:
            pass
    text = f"id,text\n1,{letters}\n2,x{letters[::-1]}y\n"
    body = text.encode(name)
    rows = body.decode(name).splitlines()[1:]
    return Case(f"encoding-{name}", CSV + "test_encoding_is_passed_to_stream_reader", {"a.csv": body},
                [dict(zip(("id", "text"), row.split(","))) for row in rows], format={"encoding": name},
                columns={"id": "string", "text": "string"})  # fmt: skip


@parametrized([encoded(name) for name in encodings()])
def test_encodings_of_csv(bucket, case):
    run = bucket.read(lay(bucket, case), catalog(case.columns, "full_refresh"))
    hold(case, data_of(run) if run.exit_code == 0 else FAILS)


# --- (4) globs -----------------------------------------------------------------------------------------------------------

KEYS = [stem + ending for stem in ("a", "a/b", "a/c", "a/b/c", "a/c/c", "a/b/c/d") for ending in ("", ".csv", ".csv.gz", ".jsonl")]
TOP, ONE, TWO, THREE = (tuple(key for key in KEYS if key.count("/") == depth) for depth in range(4))


def ending(keys, *endings: str) -> list[str]:
    return [key for key in keys if key.endswith(endings)]


def globbed(globs: list[str], matches, prefixes: set[str], stream: dict | None = None, name: str | None = None) -> Case:
    id = name or ",".join(globs) or "no-globs"
    return Case(f"globs-{id}", READER + f"test_globs_and_prefixes_from_globs[{id}]", dict.fromkeys(KEYS, ""),
                {"read": sorted(matches), "prefixes": sorted(prefixes)}, globs=tuple(globs), stream=stream or {}, columns={"a": "string"})  # fmt: skip


BELOW = (*ONE, *TWO, *THREE)
LEGACY = "source-s3's stream reader: a legacy prefix replaces the prefixes of globs"
GLOBS = [
    globbed([], [], set()),
    globbed([""], [], set(), name="empty-string"),
    globbed(["**"], KEYS, set()),
    globbed(["**/*.csv"], ending(KEYS, ".csv"), set()),
    globbed(["**/*.csv*"], ending(KEYS, ".csv", ".csv.gz"), set()),
    globbed(["*"], TOP, set()),
    globbed(["*.csv"], ["a.csv"], set()),
    globbed(["*.csv*"], ["a.csv", "a.csv.gz"], set()),
    globbed(["*/*"], ONE, set()),
    globbed(["*/*.csv"], ending(ONE, ".csv"), set()),
    globbed(["*/*.csv*"], ending(ONE, ".csv", ".csv.gz"), set()),
    globbed(["*/**"], BELOW, set()),
    globbed(["a/*"], ONE, {"a/"}),
    globbed(["a/*.csv"], ending(ONE, ".csv"), {"a/"}),
    globbed(["a/*.csv*"], ending(ONE, ".csv", ".csv.gz"), {"a/"}),
    globbed(["a/b/*"], [key for key in TWO if key.startswith("a/b/")], {"a/b/"}),
    globbed(["a/b/*.csv"], ["a/b/c.csv"], {"a/b/"}),
    globbed(["a/b/*.csv*"], ["a/b/c.csv", "a/b/c.csv.gz"], {"a/b/"}),
    globbed(["a/*/*"], TWO, {"a/"}),
    globbed(["a/*/*.csv"], ending(TWO, ".csv"), {"a/"}),
    globbed(["a/*/*.csv*"], ending(TWO, ".csv", ".csv.gz"), {"a/"}),
    globbed(["a/**/*"], BELOW, {"a/"}),
    globbed(["a/**/*.csv"], ending(BELOW, ".csv"), {"a/"}),
    globbed(["a/**/*.csv*"], ending(BELOW, ".csv", ".csv.gz"), {"a/"}),
    globbed(["**/*.csv", "**/*.gz"], ending(KEYS, ".csv", ".gz"), set()),
    globbed(["*.csv", "*.gz"], ["a.csv", "a.csv.gz"], set()),
    globbed(["a/*.csv", "a/*/*.csv"], ending((*ONE, *TWO), ".csv"), {"a/"}),
    globbed(["a/*.csv", "a/b/*.csv"], ["a/b.csv", "a/c.csv", "a/b/c.csv"], {"a/", "a/b/"}),
    globbed(["**/*.csv"], ending(BELOW, ".csv"), {"a/"}, {"legacy_prefix": "a/"}, "legacy-prefix-folder"),
    globbed(["**/*.csv"], ["a/b.csv", "a/b/c.csv", "a/b/c/d.csv"], {"a/b"}, {"legacy_prefix": "a/b"}, "legacy-prefix-part-of-a-name"),
    globbed(["a/c/*.csv", "a/b/*.csv"], ["a/b/c.csv"], {"a/b/"}, {"legacy_prefix": "a/b/"}, "legacy-prefix-and-globs"),
    globbed(["*.csv"], ["a.csv"], {"a"}, {"legacy_prefix": "a"}, "legacy-prefix-does-not-make-globs-relative"),
    globbed(["**/*.csv"], ending(KEYS, ".csv"), set(), {"legacy_prefix": ""}, "legacy-prefix-empty"),
]  # fmt: skip


@parametrized(GLOBS)
def test_globs(bucket, case):
    """What is read is what matches. What is listed is never more than what the CDK lists."""
    for key in KEYS:
        # Each name is on the inside too; the compressed ones must be what they are called.
        body = f"a\n{key}\n".encode()
        case.files[key] = gzip.compress(body) if key.endswith(".gz") else body
    run = bucket.read(lay(bucket, case), catalog(case.columns, "full_refresh"))
    assert run.exit_code == 0, str(run)
    hold(case, {"read": sorted(record["a"] for record in run.records), "prefixes": case.expected["prefixes"]})
    if case.expected["prefixes"]:
        asked = prefixes_of(run.requests)
        assert all(prefix.startswith(tuple(case.expected["prefixes"])) for prefix in asked), asked


def prefixes_of(requests: list[dict]) -> set[str]:
    """The prefixes of the requests that list."""
    from urllib.parse import parse_qs, urlsplit

    lists = [entry for entry in requests if entry["operation"] == "REST.GET.BUCKET"]
    queries = [parse_qs(urlsplit(entry["request_uri"].split(" ")[1] if " " in entry["request_uri"] else entry["request_uri"]).query) for entry in lists]
    return {(query.get("prefix") or [""])[0] for query in queries}


# --- (5) Excel -----------------------------------------------------------------------------------------------------------

EXCEL = "file_types/test_excel_parser.py::"
DATE = datetime.datetime


def workbook(rows: list[list]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    output = io.BytesIO()
    book.save(output)
    return output.getvalue()


def table(id: str, rows: list[list], types: dict[str, str], records: list[dict], origin: str | None = None) -> Case:
    """A table. The expectation is what the CDK's ExcelParser makes of it with pandas 2.3.3 and calamine 0.9.1."""
    return Case(f"excel-{id}", EXCEL + (origin or "test_infer_schema, with more tables"), {"a.xlsx": workbook(rows)},
                {"types": types, "records": records}, format={"filetype": "excel"})  # fmt: skip


TABLES = [
    table("setup_parser", [["column1", "column2", "column3", "column4"], [1, "a", True, DATE(2021, 1, 1)], [2, "b", False, DATE(2022, 1, 1)], [3, "c", True, DATE(2023, 1, 1)]],
          {"column1": "number", "column2": "string", "column3": "boolean", "column4": "date-time"},
          [{"column1": n + 1, "column2": "abc"[n], "column3": n != 1, "column4": f"{2021 + n}-01-01T00:00:00.000000"} for n in range(3)], "test_infer_schema"),
    table("integers-with-null", [["a", "b"], [1, "x"], [None, "y"], [3, "z"]], {"a": "number", "b": "string"}, [{"a": 1.0, "b": "x"}, {"b": "y"}, {"a": 3.0, "b": "z"}]),
    table("floats", [["a", "b"], [1.5, 0.1], [2, -1e20], [1e-7, 123456789.125]], {"a": "number", "b": "number"}, [{"a": 1.5, "b": 0.1}, {"a": 2.0, "b": -1e20}, {"a": 1e-07, "b": 123456789.125}]),
    table("booleans-with-null", [["a", "b"], [True, "x"], [None, "y"]], {"a": "number", "b": "string"}, [{"a": 1.0, "b": "x"}, {"b": "y"}]),
    table("dates-with-null", [["a", "b"], [DATE(2021, 1, 1, 12, 30, 15), "x"], [None, "y"]], {"a": "date-time", "b": "string"}, [{"a": "2021-01-01T12:30:15.000000", "b": "x"}, {"b": "y"}]),
    table("date-with-microseconds", [["a"], [DATE(2021, 1, 1, 12, 30, 15, 250000)]], {"a": "date-time"}, [{"a": "2021-01-01T12:30:15.250000"}]),
    table("text-with-null", [["a", "b"], ["x", "1"], [None, "2"]], {"a": "string", "b": "number"}, [{"a": "x", "b": 1}, {"b": 2}]),
    table("numbers-and-text", [["a"], [1], ["x"], [2.5]], {"a": "string"}, [{"a": 1}, {"a": "x"}, {"a": 2.5}]),
    table("booleans-and-numbers", [["a"], [True], [2]], {"a": "number"}, [{"a": 1}, {"a": 2}]),
    table("dates-and-text", [["a"], [DATE(2021, 1, 1)], ["x"]], {"a": "string"}, [{"a": "2021-01-01T00:00:00.000000"}, {"a": "x"}]),
    table("null-column", [["a", "b"], [1, None], [2, None]], {"a": "number", "b": "number"}, [{"a": 1}, {"a": 2}]),
    table("na-words", [["a"], ["NA"], ["x"], ["null"], ["N/A"], ["None"], ["-"]], {"a": "string"}, [{}, {"a": "x"}, {}, {}, {}, {"a": "-"}]),
    table("text-of-numbers", [["a"], ["01"], ["1.0"], ["true"]], {"a": "string"}, [{"a": "01"}, {"a": "1.0"}, {"a": "true"}]),
    table("time-of-day", [["a"], [datetime.time(12, 30, 15)]], {"a": "string"}, [{"a": "12:30:15"}]),
    table("duration", [["a"], [datetime.timedelta(days=1, hours=2)]], {"a": "string"}, [{"a": "P1DT2H0M0S"}]),
    table("blank-row", [["a", "b"], [1, "x"], [None, None], [2, "y"]], {"a": "number", "b": "string"}, [{"a": 1.0, "b": "x"}, {}, {"a": 2.0, "b": "y"}]),
    table("header-twice", [["a", "a"], [1, 2]], {"a": "number", "a.1": "number"}, [{"a": 1, "a.1": 2}]),
    table("header-unnamed", [["a", None, "c"], [1, 2, 3]], {"a": "number", "Unnamed: 1": "number", "c": "number"}, [{"a": 1, "Unnamed: 1": 2, "c": 3}]),
    table("header-number", [["a", 2021], [1, 2]], {"a": "number", "2021": "number"}, [{"a": 1, "2021": 2}]),
    table("header-only", [["a", "b"]], {"a": "string", "b": "string"}, []),
    table("early-dates", [["a"], [DATE(1900, 3, 1)], [DATE(1899, 12, 31)]], {"a": "string"}, [{"a": "1900-03-01T00:00:00.000000"}, {"a": "00:00:00"}]),
    table("far-date", [["a"], [DATE(9999, 12, 31, 23, 59, 59)]], {"a": "string"}, [{"a": "9999-12-31T23:59:59.000000"}]),
    table("formula", [["a", "b"], [1, "=A2+1"]], {"a": "number", "b": "number"}, [{"a": 1}]),
    table("other-alphabets", [["größe", "名前"], ["ä", "🚀"]], {"größe": "string", "名前": "string"}, [{"größe": "ä", "名前": "🚀"}]),
    table("integer-of-16-digits", [["a"], [9007199254740993], [1]], {"a": "number"}, [{"a": 9007199254740992}, {"a": 1}]),
    table("error-cell", [["a"], ["#DIV/0!"], [1]], {"a": "number"}, [{"a": None}, {"a": 1.0}]),
]  # fmt: skip


def json_type(schema: dict) -> str:
    if schema.get("format") == "date-time":
        return "date-time"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return next((kind for kind in kinds if kind != "null"), "null")


@parametrized(TABLES)
def test_excel(bucket, case):
    config = lay(bucket, case)
    found = ask(bucket, "discover", config)
    assert "streams" in found, found
    properties = {name: schema for name, schema in found["streams"][0]["json_schema"]["properties"].items() if name not in (FILE, TIME)}
    columns = catalog({})
    columns["streams"][0]["stream"] = found["streams"][0]
    columns["streams"][0]["sync_mode"] = "full_refresh"
    run = bucket.read(config, columns)
    assert run.exit_code == 0, str(run)
    hold(case, {"types": {name: json_type(schema) for name, schema in properties.items()}, "records": data_of(run)})


@parametrized([Case("excel-not-a-workbook", EXCEL + "test_file_read_error", {"a.xlsx": b"corrupted data"}, FAILS, format={"filetype": "excel"}, columns={"a": "string"})])
def test_bad_excel(bucket, case):
    run = bucket.read(lay(bucket, case), catalog(case.columns))
    hold(case, data_of(run) if run.exit_code == 0 else FAILS)


# --- (6) configurations --------------------------------------------------------------------------------------------------

FORMAT = "config/test_file_based_stream_config.py::test_csv_config"


def option(id: str, origin: str, expected: bool, body: str = "a,b\n1,2\n", stream: dict | None = None, root: dict | None = None, **format) -> Case:
    return Case(f"config-{id}", origin, {"a.csv": body}, expected, format=format, stream=stream or {}, root=root or {})


CONFIGURATIONS = [
    option("valid-format", FORMAT + "[test_valid_format]", True, delimiter="d", quote_char="q", escape_char="e", encoding="ascii", double_quote=True),
    option("default-format-values", FORMAT + "[test_default_format_values]", True, double_quote=False),
    option("invalid-delimiter", FORMAT + "[test_invalid_delimiter]", False, delimiter="nope"),
    option("invalid-quote-char", FORMAT + "[test_invalid_quote_char]", False, quote_char="nope"),
    option("invalid-escape-char", FORMAT + "[test_invalid_escape_char]", False, escape_char="nope"),
    option("invalid-encoding", FORMAT + "[test_invalid_encoding_type]", False, encoding="not_a_format"),
    option("invalid-filetype", FORMAT + "[test_config_format_file_type_mismatch]", False, filetype="invalid"),
    option("invalid-policy", "config/test_file_based_stream_config.py::test_invalid_validation_policy", False, stream={"validation_policy": "Not Valid Policy"}),
    option("no-column-names", "config/test_csv_format.py::CsvHeaderDefinitionTest", False, header_definition={"header_definition_type": "User Provided", "column_names": []}),
    option("column-names", "config/test_csv_format.py::CsvHeaderDefinitionTest", True, header_definition={"header_definition_type": "User Provided", "column_names": ["1", "2"]}),
    option("tab", "config/test_csv_format.py::CsvDelimiterTest::test_tab_delimter", True, "a\tb\n1\t2\n", delimiter="\\t"),
    *(option(f"start-date-{id}", SPEC + f"test_start_date_validation[{id}]", valid, root={"start_date": date})
      for id, date, valid in [
          ("with_microseconds", "2021-01-01T00:00:00.000000Z", True), ("without_microseconds", "2021-01-01T00:00:00Z", True),
          ("with_milliseconds", "2021-01-01T00:00:00.000Z", True), ("terraform_provider_format", "2023-01-01T00:00:00Z", True),
          ("with_timezone_offset", "2021-01-01T00:00:00+00:00", True), ("date_only", "2021-01-01", True), ("none_value", None, True),
          ("invalid_string", "not-a-date", False), ("empty_string", "", False),
      ]),
    # No test of the CDK, but its code takes these.
    option("skip-rows-before-negative", "config/csv_format.py: any int", True, skip_rows_before_header=-1),
    option("skip-rows-after-negative", "config/csv_format.py: any int", True, skip_rows_after_header=-1),
    option("delimiter-is-quote", "config/csv_format.py: no comparison of characters", True, delimiter='"'),
    option("delimiter-is-escape", "config/csv_format.py: no comparison of characters", True, escape_char=","),
    option("quote-is-escape", "config/csv_format.py: no comparison of characters", True, escape_char='"'),
    option("schema-names-equal-after-trim", "schema_helpers.py::type_mapping_to_jsonschema strips names", True, stream={"input_schema": '{"a": "string", " a": "integer"}'}),
    option("schema-names-trimmed", "schema_helpers.py::type_mapping_to_jsonschema strips names", True, stream={"input_schema": '{" a ": " string "}'}),
    option("schema-name-twice", "schema_helpers.py: json.loads takes the last", True, stream={"input_schema": '{"a": "string", "a": "integer"}'}),
    option("schema-name-blank", "schema_helpers.py::type_mapping_to_jsonschema refuses it", False, stream={"input_schema": '{" ": "string"}'}),
    option("days-if-full-zero", "config/file_based_stream_config.py: any int", True, stream={"days_to_sync_if_history_is_full": 0}),
]  # fmt: skip


@parametrized(CONFIGURATIONS)
def test_configurations(bucket, case):
    hold(case, accepted(bucket, case))
