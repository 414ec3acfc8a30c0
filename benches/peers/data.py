#!/usr/bin/env python3
"""Makes the benchmark's data: the same bytes on every machine.

    python data.py DIRECTORY

One folder per data set, each a bucket of its own:

    csv1      1,550,000 rows x 10 columns in one CSV file (205 MB): quoted fields, doubled quotes, empty cells
    csv100    the same rows in 100 files
    jsonlgz   750,000 rows in one .jsonl.gz (39 MB, 224 MB of text), with a nested object
    parquet   1,000,000 rows x 10 columns in one snappy file (83 MB), 100,000 rows per row group
    tiny      5,000 CSV files of 10 rows
    csv1m     the first 1,000,000 rows of csv1, for engines that read local files
    jsonl1m   the rows of jsonlgz continued to 1,000,000, not compressed, for the same
"""

from __future__ import annotations

import gzip
import json
import pathlib
import random
import sys

COLUMNS = ("id", "name", "email", "amount", "active", "created_at", "qty", "country", "note", "maybe")
COUNTRIES = ("DE", "FR", "US", "BR", "IN", "JP", "GB", "ES", "IT", "PL")
WORDS = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo "
    "sierra tango uniform victor whiskey xray yankee zulu"
).split()
CSV_ROWS, JSON_ROWS, MILLION = 1_550_000, 750_000, 1_000_000
HEADER = ",".join(COLUMNS) + "\n"


def rows(count: int, seed: int = 7):
    """Yields rows of mixed types. The order of the random draws is part of the definition of the data."""
    draw = random.Random(seed)
    for number in range(count):
        first, second, third = (draw.choice(WORDS) for _ in range(3))
        amount = round(draw.uniform(-1000, 10000), 2)
        active = draw.random() < 0.5
        month, day = draw.randint(1, 12), draw.randint(1, 28)
        hour, minute, seconds = draw.randint(0, 23), draw.randint(0, 59), draw.randint(0, 59)
        quantity = draw.randint(0, 100000)
        country = draw.choice(COUNTRIES)
        maybe = None if draw.random() < 0.3 else draw.randint(0, 9)
        note = f"{second}, {third} {first} {second} {third}"
        yield {
            "id": number,
            "name": f"{first} {second}",
            "email": f"{first}.{third}{number}@example.com",
            "amount": amount,
            "active": active,
            "created_at": f"2024-{month:02}-{day:02}T{hour:02}:{minute:02}:{seconds:02}Z",
            "qty": quantity,
            "country": country,
            "note": note + ' said "hi"' if number % 7 == 0 else note,
            "maybe": maybe,
        }


def csv_line(row: dict) -> str:
    """`note` is always quoted, the other columns never."""
    note = row["note"].replace('"', '""')
    maybe = "" if row["maybe"] is None else row["maybe"]
    return (
        f"{row['id']},{row['name']},{row['email']},{row['amount']},{'true' if row['active'] else 'false'},"
        f"{row['created_at']},{row['qty']},{row['country']},\"{note}\",{maybe}\n"
    )


def json_line(row: dict) -> str:
    return json.dumps({**row, "nested": {"a": row["qty"], "tags": [row["country"], row["name"]]}}) + "\n"


def make_csv(folder: pathlib.Path) -> None:
    per_file = CSV_ROWS // 100
    lines = [csv_line(row) for row in rows(CSV_ROWS)]
    write(folder / "csv1" / "all.csv", lines)
    write(folder / "csv1m" / "all.csv", lines[:MILLION])
    for part in range(100):
        write(folder / "csv100" / f"part-{part:03}.csv", lines[part * per_file : (part + 1) * per_file])


def make_tiny(folder: pathlib.Path) -> None:
    lines = [csv_line(row) for row in rows(50_000, seed=11)]
    for part in range(5000):
        write(folder / "tiny" / f"f-{part:05}.csv", lines[part * 10 : part * 10 + 10])


def make_json(folder: pathlib.Path) -> None:
    for name in ("jsonl1m", "jsonlgz"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (
        open(folder / "jsonl1m" / "all.jsonl", "w") as plain,
        open(folder / "jsonlgz" / "all.jsonl.gz", "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
    ):
        for row in rows(MILLION):
            line = json_line(row)
            plain.write(line)
            if row["id"] < JSON_ROWS:
                packed.write(line.encode())


def make_parquet(folder: pathlib.Path) -> None:
    import numpy
    import pyarrow
    import pyarrow.parquet

    draw = numpy.random.default_rng(7)
    count = MILLION
    integers = lambda low, high: draw.integers(low, high, count)  # noqa: E731
    columns = {
        "id": pyarrow.array(numpy.arange(count, dtype="int64")),
        "big": pyarrow.array(integers(0, 2**62)),
        "i32": pyarrow.array(integers(0, 2**31 - 1).astype("int32")),
        "f64": pyarrow.array(draw.normal(0, 1000, count)),
        "f64b": pyarrow.array(draw.random(count)),
        "flag": pyarrow.array(draw.random(count) < 0.5),
        "ts": pyarrow.array(integers(1_600_000_000_000_000, 1_700_000_000_000_000), pyarrow.timestamp("us", tz="UTC")),
        "day": pyarrow.array(integers(10_000, 20_000).astype("int32"), pyarrow.date32()),
    }
    words, middles, ends = integers(0, 26), integers(0, 2**48), integers(0, 2**32)
    columns["txt"] = pyarrow.array([f"{WORDS[w]}-{m:012x}{e:08x}{m:012x}" for w, m, e in zip(words, middles, ends)])
    columns["cat"] = pyarrow.array([None if pick < 3 else COUNTRIES[pick % 10] for pick in integers(0, 30)])
    (folder / "parquet").mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(
        pyarrow.table(columns), folder / "parquet" / "all.parquet", compression="snappy", row_group_size=100_000
    )


def write(path: pathlib.Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        file.write(HEADER)
        file.writelines(lines)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    for make in (make_csv, make_tiny, make_json, make_parquet):
        make(folder)
    for path in sorted(folder.iterdir()):
        files = [file for file in path.iterdir() if file.is_file()]
        print(f"{path.name:8} {len(files):5} files {sum(file.stat().st_size for file in files):12,} bytes")


if __name__ == "__main__":
    main()
