"""Makes the files of `files/` that only other tools write: Avro by fastavro, Excel by openpyxl.

Runs under the old connector's Python, which has both: $AIRBYTE_SOURCE_S3_PYTHON make_files.py. What it made is kept in
the repository; it is run again only to add a file.
"""

from __future__ import annotations

import datetime
import decimal
import pathlib
import uuid

import fastavro
import openpyxl

FILES = pathlib.Path(__file__).parent / "files"
UTC = datetime.timezone.utc


def avro(name: str, fields: list[dict], records: list[dict], codec: str = "null") -> None:
    schema = fastavro.parse_schema({"type": "record", "name": "Row", "fields": fields})
    with open(FILES / name, "wb") as file:
        fastavro.writer(file, schema, records, codec=codec, sync_marker=b"0123456789abcdef")


def field(name: str, kind) -> dict:
    return {"name": name, "type": kind}


def logical(base: str, name: str, **more) -> dict:
    return {"type": base, "logicalType": name, **more}


def main() -> None:
    FILES.mkdir(exist_ok=True)
    avro(
        "primitives.avro",
        [
            field("n", "null"), field("b", "boolean"), field("i", "int"), field("l", "long"), field("f", "float"),
            field("d", "double"), field("y", "bytes"), field("s", "string"),
        ],
        [
            {"n": None, "b": True, "i": -7, "l": 2**62, "f": 0.1, "d": 0.1, "y": "ä".encode(), "s": "日本"},
            {"n": None, "b": False, "i": 0, "l": 0, "f": 1.5, "d": 1e22, "y": b"", "s": ""},
        ],
    )  # fmt: skip
    avro(
        "complex.avro",
        [
            field("e", {"type": "enum", "name": "E", "symbols": ["A", "B"]}),
            field("a", {"type": "array", "items": "int"}),
            field("m", {"type": "map", "values": "long"}),
            field("r", {"type": "record", "name": "R", "fields": [field("x", "int"), field("y", "string")]}),
            field("f", {"type": "fixed", "name": "F", "size": 2}),
        ],
        [{"e": "B", "a": [1, 2], "m": {"k": 3}, "r": {"x": 1, "y": "z"}, "f": b"ab"}],
    )
    at = datetime.datetime(2024, 1, 2, 3, 4, 5, 6007, tzinfo=UTC)
    avro(
        "logical.avro",
        [
            field("dec", logical("bytes", "decimal", precision=8, scale=2)),
            field("id", logical("string", "uuid")),
            field("day", logical("int", "date")),
            field("tms", logical("int", "time-millis")), field("tus", logical("long", "time-micros")),
            field("ams", logical("long", "timestamp-millis")), field("aus", logical("long", "timestamp-micros")),
            field("lms", logical("long", "local-timestamp-millis")), field("lus", logical("long", "local-timestamp-micros")),
        ],
        [
            {
                "dec": decimal.Decimal("123.40"), "id": uuid.UUID(int=7), "day": datetime.date(2024, 2, 29),
                "tms": datetime.time(1, 2, 3, 4000), "tus": datetime.time(1, 2, 3, 4), "ams": at, "aus": at,
                "lms": at.replace(tzinfo=None), "lus": at.replace(tzinfo=None),
            }
        ],
    )  # fmt: skip
    avro("deflate.avro", [field("i", "int")], [{"i": number} for number in range(3)], codec="deflate")
    avro("union.avro", [field("s", ["null", "string"]), field("i", "int")], [{"s": None, "i": 1}, {"s": "x", "i": 2}])
    avro("rows2.avro", [field("i", "int"), field("more", "string")], [{"i": 9, "more": "y"}])

    decimals = logical("bytes", "decimal", precision=9, scale=2)
    avro(
        "nullable.avro",
        [
            field("i", ["null", "int"]), field("i_last", ["int", "null"]), field("t", ["null", logical("long", "timestamp-millis")]),
            field("dec", ["null", decimals]), field("e", ["null", {"type": "enum", "name": "E", "symbols": ["A"]}]),
            field("a", {"type": "array", "items": ["null", "int"]}), field("m", {"type": "map", "values": ["null", "int"]}),
        ],
        [
            {"i": 1, "i_last": 1, "t": at, "dec": decimal.Decimal("1.50"), "e": "A", "a": [1, None], "m": {"k": None}},
            {"i": None, "i_last": None, "t": None, "dec": None, "e": None, "a": [], "m": {}},
        ],
    )  # fmt: skip
    avro(
        "odd_types.avro",
        [
            field("unknown", logical("string", "made-up")), field("no_scale", logical("bytes", "decimal", precision=9)),
            field("ns", logical("long", "timestamp-nanos")),
            field("list", {"type": "record", "name": "L", "fields": [field("v", "int"), field("next", ["null", "L"])]}),
        ],
        [{"unknown": "x", "no_scale": decimal.Decimal(3), "ns": 1704164645000000123, "list": {"v": 1, "next": {"v": 2, "next": None}}}],
    )  # fmt: skip
    avro(
        "nested_values.avro",
        [
            field("r", {"type": "record", "name": "R", "fields": [field("y", "bytes")]}), field("a", {"type": "array", "items": "bytes"}),
            field("m", {"type": "map", "values": decimals}),
        ],
        [{"r": {"y": b"x"}, "a": [b"x"], "m": {"k": decimal.Decimal("1.50")}}],
    )  # fmt: skip

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["i", "f", "s", "day", "flag", "mixed"])
    sheet.append([1, 1.5, "x", datetime.datetime(2024, 1, 2), True, 1])
    sheet.append([2, 2.0, "日本", datetime.datetime(2024, 2, 29, 3, 4, 5), False, "y"])
    sheet.append([None, None, None, None, None, None])
    book.create_sheet("second").append(["other"])
    book.save(FILES / "book.xlsx")
    plain = openpyxl.Workbook()
    plain.active.append(["id", "name"])
    for number in range(3):
        plain.active.append([number, f"name {number}"])
    plain.save(FILES / "plain.xlsx")


if __name__ == "__main__":
    main()
