"""A bucket as Arrow, by the example program, against other people's readers of the same files.

`read_to_arrow CONFIG STREAM` writes a stream as Arrow IPC to stdout. Its values must be those of pyarrow's readers of CSV, JSON
and Parquet, of fastavro and of openpyxl. Columns of which discovery knows no more than "array" or "object" are strings
with JSON text, decimals and times may be strings too: `same` compares what they mean. The types of plain columns are exact.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import io
import json
import math
import os
import pathlib
import re
import subprocess
import uuid

import fastavro
import lab
import openpyxl
import pyarrow
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
import pytest
from lake import make_config, make_stream
from makers import FORMATS, csv_file, extension, file, jsonl_file, rows

UTC = datetime.timezone.utc
FILES = pathlib.Path(__file__).parent / "differential" / "files"
BINARY = pathlib.Path(os.environ.get("ARROW_EXAMPLE_BIN") or lab.ROOT / "target" / "debug" / "examples" / "read_to_arrow")
pytestmark = pytest.mark.skipif(
    not BINARY.exists(), reason=f"{BINARY} is missing: run `cargo build --example read_to_arrow`, or name it in ARROW_EXAMPLE_BIN"
)
# CSV has types only where they are asked for.
TYPED_CSV = {"filetype": "csv", "inference_type": "Primitive Types Only", "null_values": [""]}
INSTANT = pyarrow.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with lab.Testkit(tmp_path_factory.mktemp("arrow"), "arrow") as server:
        yield server


@pytest.fixture
def run(server, tmp_path, request):
    """Stores files under a prefix of the test's own and runs the example over them."""

    def run(files: dict[str, bytes], format: dict, stream: str = "s", **fields) -> subprocess.CompletedProcess:
        prefix = re.sub(r"\W+", "-", request.node.name).strip("-")
        for name, body in files.items():
            server.put(f"{prefix}/{name}", body)
        streams = [{**make_stream("s", globs=[f"{prefix}/*"]), "format": format, **fields}]
        config = tmp_path / "config.json"
        config.write_text(json.dumps(make_config(server.endpoint, server.bucket, streams)))
        return subprocess.run([BINARY, config, stream], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)

    return run


@pytest.fixture
def read(run):
    """The table that the example makes of files, without the columns that every stream has."""

    def read(files: dict[str, bytes], format: dict, **fields) -> pyarrow.Table:
        done = run(files, format, **fields)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
        table = pyarrow.ipc.open_stream(done.stdout).read_all()
        table.validate(full=True)
        return table.select([name for name in table.column_names if not name.startswith("_ab_source_file_")])

    return read


def in_order(table: pyarrow.Table, key: str = "id") -> list[dict]:
    """The rows of a table; files are read side by side."""
    return sorted(table.to_pylist(), key=lambda row: int(row[key]))


def same(found, expected) -> bool:
    """Whether a value of ours means what another reader read."""
    if expected is None or found is None:
        return found is expected
    if isinstance(expected, (list, dict)):
        found = json.loads(found) if isinstance(found, str) else found
        if isinstance(expected, list):
            return len(found) == len(expected) and all(map(same, found, expected))
        # A struct has all members; those that an object does not have are null.
        found = dict(found)
        return all(same(found.get(name), expected.get(name)) for name in {*found, *expected})
    if isinstance(expected, bytes):
        return found in (expected, base64.b64encode(expected).decode()) or found == expected.decode(errors="replace")
    if isinstance(expected, uuid.UUID):
        return uuid.UUID(found) == expected
    if isinstance(expected, decimal.Decimal):
        return decimal.Decimal(str(found)) == expected
    if isinstance(expected, datetime.datetime):
        found = datetime.datetime.fromisoformat(found) if isinstance(found, str) else found
        return as_utc(found) == as_utc(expected)
    if isinstance(expected, (datetime.date, datetime.time)):
        return (type(expected).fromisoformat(found) if isinstance(found, str) else found) == expected
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    if isinstance(expected, bool) or isinstance(found, bool):
        return found is expected
    return found == expected


def as_utc(time: datetime.datetime) -> datetime.datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for row, (ours, theirs) in enumerate(zip(found, expected)):
        assert set(ours) == set(theirs), f"row {row}"
        for name in theirs:
            assert same(ours[name], theirs[name]), f"row {row}, {name}: {ours[name]!r}, expected {theirs[name]!r}"


def types(table: pyarrow.Table) -> dict[str, pyarrow.DataType]:
    return {field.name: field.type for field in table.schema}


# --- the lake of the other tests, in every format --------------------------------------------------------------------

LAKE_TYPES = {
    "id": pyarrow.int64(), "text": pyarrow.string(), "amount": pyarrow.float64(), "active": pyarrow.bool_(), "maybe": pyarrow.int64(),
}  # fmt: skip


def peer(kind: str, body: bytes) -> pyarrow.Table:
    """What pyarrow reads."""
    source = io.BytesIO(body)
    if kind == "parquet":
        return pyarrow.parquet.read_table(source)
    if kind == "jsonl":
        return pyarrow.json.read_json(source)
    stream = pyarrow.input_stream(source, compression="gzip" if kind == "csv_gz" else None)
    options = pyarrow.csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    return pyarrow.csv.read_csv(stream, None, pyarrow.csv.ParseOptions(newlines_in_values=True), options)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_lake_is_what_pyarrow_reads(read, kind):
    files = {f"{name}.{extension(kind)}": file(kind, data) for name, data in (("a", rows(0, 40)), ("b", rows(40, 60)))}
    format = TYPED_CSV if kind.startswith("csv") else {"filetype": kind}
    table = read(files, format)
    assert types(table) == LAKE_TYPES
    expected = pyarrow.concat_tables(peer(kind, body) for body in files.values())
    assert_same(in_order(table), in_order(expected))
    assert in_order(table) == rows(0, 100)


def test_csv_without_nulls_loses_no_text(read):
    """Without null values an empty text is a value: "maybe" is text. The other columns may have types."""
    body = csv_file(rows(0, 40))
    table = read({"a.csv": body}, {"filetype": "csv"})
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    options = {"null_values": [], "strings_can_be_null": False}
    as_text = {name: pyarrow.string() for name in LAKE_TYPES}
    text = pyarrow.csv.read_csv(io.BytesIO(body), None, parse, pyarrow.csv.ConvertOptions(column_types=as_text, **options))
    typed = pyarrow.csv.read_csv(io.BytesIO(body), None, parse, pyarrow.csv.ConvertOptions(**options))
    assert table["text"] == text["text"] and table["maybe"] == text["maybe"]
    for name in table.column_names:
        assert table[name] in (text[name], typed[name]), name


# --- what is particular to a format ------------------------------------------------------------------------------------


def test_csv_words_numbers_and_nulls(read):
    text = (
        "id,whole,number,truth,word\n"
        "1,9223372036854775807,0.1,true,x\n"
        "2,-9223372036854775808,-1e-300,false,\n"
        "3,,1.7976931348623157e308,,NULL\n"
        '4,0,NaN,true,"NULL"\n'
        "5,007,inf,false,Grüße 🚀\n"
    )
    nulls = ["", "NULL"]
    table = read({"a.csv": text.encode()}, {**TYPED_CSV, "null_values": nulls})
    assert [str(kind) for kind in types(table).values()] == ["int64", "int64", "double", "bool", "string"]
    options = pyarrow.csv.ConvertOptions(null_values=nulls, strings_can_be_null=True)
    expected = pyarrow.csv.read_csv(io.BytesIO(text.encode()), convert_options=options)
    assert_same(in_order(table), in_order(expected))


JSON_ROWS = [
    {"id": 1, "whole": 2**53 + 1, "number": 0.1, "truth": True, "word": "Grüße 🚀\n\"\\", "list": [1, None, 3], "inside": {"a": 1, "b": "x"}},
    {"id": 2, "whole": -(2**63), "number": 7, "truth": None, "word": "", "list": [], "inside": {"a": None, "b": "y"}},
    {"id": 3, "whole": None, "number": -1.5e300, "truth": False, "word": None, "list": None, "inside": None},
    {"id": 4},
]  # fmt: skip


def test_jsonl_with_nested_values(read):
    body = jsonl_file(JSON_ROWS)
    table = read({"a.jsonl": body}, {"filetype": "jsonl"})
    assert [str(kind) for kind in types(table).values()][:5] == ["int64", "int64", "double", "bool", "string"]
    assert_same(in_order(table), in_order(pyarrow.json.read_json(io.BytesIO(body))))


def test_json_documents(read):
    body = json.dumps(JSON_ROWS, indent=1).encode()
    table = read({"a.json": body}, {"filetype": "json"})
    assert_same(in_order(table), in_order(pyarrow.Table.from_pylist(JSON_ROWS)))


def parquet_table() -> pyarrow.Table:
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, 6007)
    types = {
        "id": pyarrow.int32(), "tiny": pyarrow.uint8(), "big": pyarrow.int64(), "single": pyarrow.float32(), "double": pyarrow.float64(),
        "truth": pyarrow.bool_(), "text": pyarrow.large_string(), "word": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        "bytes": pyarrow.binary(), "money": pyarrow.decimal128(20, 4), "day": pyarrow.date32(), "clock": pyarrow.time64("us"),
        "at_ms": pyarrow.timestamp("ms"), "at_us": INSTANT, "list": pyarrow.list_(pyarrow.int32()),
        "inside": pyarrow.struct([("a", pyarrow.int64()), ("b", pyarrow.list_(pyarrow.string()))]),
    }  # fmt: skip
    values = [
        [1, 255, 2**62, 0.5, 0.1, True, "Grüße", "a", b"ab", decimal.Decimal("123.4500"), datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4),
         at.replace(microsecond=6000), at.replace(tzinfo=UTC), [1, None], {"a": 1, "b": ["x"]}],
        [2, *[None] * 15],
        [3, 0, -(2**63), -1.5, float("nan"), False, "", "b", b"", decimal.Decimal("-0.0001"), datetime.date(1969, 12, 31), datetime.time(),
         datetime.datetime(1969, 12, 31, 23, 59, 59), at.replace(year=1, tzinfo=UTC), [], {"a": None, "b": None}],
    ]  # fmt: skip
    columns = [pyarrow.array([row[index] for row in values], kind) for index, kind in enumerate(types.values())]
    return pyarrow.table(columns, names=list(types))


def test_parquet_of_all_types(read):
    output = io.BytesIO()
    pyarrow.parquet.write_table(parquet_table(), output, row_group_size=2)
    table = read({"a.parquet": output.getvalue()}, {"filetype": "parquet"})
    kinds = types(table)
    for name, check in [
        ("id", pyarrow.types.is_integer), ("tiny", pyarrow.types.is_integer), ("big", pyarrow.types.is_int64),
        ("single", pyarrow.types.is_floating), ("truth", pyarrow.types.is_boolean), ("day", pyarrow.types.is_date32),
        ("at_ms", pyarrow.types.is_timestamp), ("at_us", pyarrow.types.is_timestamp),
    ]:  # fmt: skip
        assert check(kinds[name]), f"{name}: {kinds[name]}"
    assert_same(in_order(table), in_order(pyarrow.parquet.read_table(io.BytesIO(output.getvalue()))))


def test_parquet_files_with_other_columns(read):
    one = pyarrow.table({"id": [1, 2], "a": ["x", None]})
    two = pyarrow.table({"b": [1.5], "id": [3]})
    files = {}
    for name, part in (("a", one), ("b", two)):
        output = io.BytesIO()
        pyarrow.parquet.write_table(part, output)
        files[f"{name}.parquet"] = output.getvalue()
    expected = pyarrow.concat_tables([one, two], promote_options="default")
    table = read(files, {"filetype": "parquet"})
    assert types(table) == types(expected)
    assert_same(in_order(table), in_order(expected))


def fastavro_rows(body: bytes) -> list[dict]:
    return list(fastavro.reader(io.BytesIO(body)))


# "odd_types" has a timestamp in nanoseconds, which the microseconds of a derived schema do not hold.
@pytest.mark.parametrize("name", ["primitives", "complex", "logical", "deflate", "union", "nullable", "nested_values"])
def test_avro_of_all_types(read, name):
    body = (FILES / f"{name}.avro").read_bytes()
    table = read({"a.avro": body}, {"filetype": "avro"})
    assert_same(table.to_pylist(), fastavro_rows(body))


def test_avro_columns_have_types(read):
    kinds = types(read({"a.avro": (FILES / "logical.avro").read_bytes()}, {"filetype": "avro"}))
    expected = {"id": pyarrow.string(), "day": pyarrow.date32(), "ams": INSTANT, "aus": INSTANT}
    assert {name: kinds[name] for name in expected} == expected
    kinds = types(read({"a.avro": (FILES / "primitives.avro").read_bytes()}, {"filetype": "avro"}))
    expected = {"b": pyarrow.bool_(), "i": pyarrow.int64(), "l": pyarrow.int64(), "d": pyarrow.float64(), "s": pyarrow.string()}
    assert {name: kinds[name] for name in expected} == expected


@pytest.mark.parametrize("name", ["plain", "book"])
def test_excel_is_what_openpyxl_reads(read, name):
    body = (FILES / f"{name}.xlsx").read_bytes()
    table = read({"a.xlsx": body}, {"filetype": "excel"})
    sheet = openpyxl.load_workbook(io.BytesIO(body), read_only=True).worksheets[0]
    titles, *lines = sheet.iter_rows(values_only=True)
    expected = [dict(zip(titles, line)) for line in lines if any(value is not None for value in line)]
    found = [row for row in table.to_pylist() if any(value is not None for value in row.values())]
    if name == "book":
        # A column of numbers and texts is one of strings: "y" is no number.
        assert types(table)["mixed"] == pyarrow.string()
        expected = [{**row, "mixed": str(row["mixed"])} for row in expected]
    assert_same(found, expected)


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_value_of_another_type_is_an_error_and_no_null(run):
    """The types are those of a sample at the start of the files; the last row is far behind it."""
    body = jsonl_file([{"id": number, "pad": "x" * 1000} for number in range(20_000)]) + b'{"id":"many"}\n'
    done = run({"a.jsonl": body}, {"filetype": "jsonl"})
    error = done.stderr.decode()
    assert done.returncode == 1, "the row would be null, or lost"
    assert "'id'" in error and "Int64" in error, error
    assert "a.jsonl" in error, "the error names the file"


def test_a_stream_that_does_not_exist_is_an_error(run):
    done = run({"a.jsonl": b'{"id":1}\n'}, {"filetype": "jsonl"}, stream="other")
    assert done.returncode == 1
    assert "other" in done.stderr.decode()


def test_damaged_files_are_errors(run):
    output = io.BytesIO()
    pyarrow.parquet.write_table(parquet_table(), output)
    done = run({"a.parquet": output.getvalue()[:-9]}, {"filetype": "parquet"})
    assert done.returncode == 1
    assert "a.parquet" in done.stderr.decode()
