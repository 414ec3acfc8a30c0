"""One run of a query engine: python engine.py ENGINE FORMAT FILE. Reads a local file, writes NDJSON to /dev/null, with
one thread. CSV columns are text, as our own default has it."""

from __future__ import annotations

import sys

engine, kind, path = sys.argv[1:]

if engine == "duckdb":
    import duckdb

    source = {
        "csv": f"read_csv('{path}', all_varchar=true, header=true)",
        "jsonl": f"read_json('{path}', format='newline_delimited')",
        "parquet": f"read_parquet('{path}')",
    }[kind]
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"COPY (SELECT * FROM {source}) TO '/dev/null' (FORMAT json)")
elif engine == "polars":
    import polars

    if kind == "csv":
        frame = polars.scan_csv(path, infer_schema=False)
    else:
        frame = polars.scan_ndjson(path) if kind == "jsonl" else polars.scan_parquet(path)
    frame.sink_ndjson("/dev/null")
elif engine == "chdb":
    import chdb

    name = {"csv": "CSVWithNames", "jsonl": "JSONEachRow", "parquet": "Parquet"}[kind]
    settings = "max_threads=1, max_parsing_threads=1, input_format_csv_use_best_effort_in_schema_inference=0"
    chdb.query(
        f"INSERT INTO FUNCTION file('/dev/null', 'JSONEachRow') SELECT * FROM file('{path}', '{name}') SETTINGS {settings}"
    )
else:
    raise SystemExit(f"unknown engine {engine}")
