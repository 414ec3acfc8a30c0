"""Data for the tests, in every format, with the records that are expected from it."""

from __future__ import annotations

import csv
import gzip
import io
import json

EXTRA_COLUMNS = ("_ab_source_file_last_modified", "_ab_source_file_url")
FORMATS = ("csv", "csv_gz", "jsonl", "parquet")


def rows(first: int, count: int) -> list[dict]:
    """Rows with everything that a text format gets wrong: quotes, delimiters, line breaks, other alphabets, nulls."""
    texts = ["plain", 'said "hi"', "a, b", "two\nlines", "Grüße", "日本語 🚀", "back\\slash", "  spaces  "]
    return [
        {
            "id": number,
            "text": texts[number % len(texts)],
            "amount": number / 4,
            "active": number % 3 == 0,
            "maybe": None if number % 5 == 0 else number * 1_000_003,
        }
        for number in range(first, first + count)
    ]


def csv_text(row: dict) -> dict:
    """A row as CSV holds it: everything is text, null is the empty text."""
    words = {None: "", True: "true", False: "false"}
    return {name: words[value] if value is None or value is True or value is False else str(value) for name, value in row.items()}


def csv_file(data: list[dict]) -> bytes:
    output = io.StringIO()
    writer = csv.DictWriter(output, fieldnames=list(data[0]))
    writer.writeheader()
    writer.writerows(csv_text(row) for row in data)
    return output.getvalue().encode()


def jsonl_file(data: list[dict]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data).encode()


def parquet_file(data: list[dict], row_group_size: int = 10) -> bytes:
    import pyarrow
    import pyarrow.parquet

    output = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(data), output, row_group_size=row_group_size)
    return output.getvalue()


def file(kind: str, data: list[dict]) -> bytes:
    """The bytes of a file of a format."""
    makers = {"csv": csv_file, "jsonl": jsonl_file, "parquet": parquet_file}
    return gzip.compress(csv_file(data)) if kind == "csv_gz" else makers[kind](data)


def extension(kind: str) -> str:
    return {"csv_gz": "csv.gz"}.get(kind, kind)


def format_config(kind: str) -> dict:
    """The `format` of a stream's configuration."""
    return {"filetype": kind.removesuffix("_gz")}


def expected(kind: str, data: list[dict]) -> list[dict]:
    """The records' data without the extra columns: CSV is all text, and a null at the top is left out."""
    if kind.startswith("csv"):
        return [csv_text(row) for row in data]
    return [{name: value for name, value in row.items() if value is not None} for row in data]


def without_extras(data: dict) -> dict:
    return {name: value for name, value in data.items() if name not in EXTRA_COLUMNS}


def by_id(records: list[dict]) -> list[dict]:
    """Records in an order that does not depend on the order of files."""
    return sorted(records, key=lambda record: int(record["id"]))
