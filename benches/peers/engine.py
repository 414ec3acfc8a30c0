"""One run of a query engine: python engine.py ENGINE FORMAT FILE. Reads a local file, writes NDJSON to /dev/null, with
one thread. CSV columns are text, as our own default has it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

engine, kind, path = sys.argv[1:]

if engine == "duckdb":
    import duckdb

    source = {
        "csv": f"read_csv('{path}', all_varchar=true, header=true)",
        "jsonl": f"read_json('{path}', format='newline_delimited')",
        "parquet": f"read_parquet('{path}')",
    }[kind]
    connection = duckdb.connect(config={"threads": 1})
    # DuckDB locks what it writes, which /dev/null does not allow; a pipe is not locked. Its reader is not counted.
    pipe = os.path.join(tempfile.mkdtemp(), "pipe.json")
    os.mkfifo(pipe)
    subprocess.Popen(["sh", "-c", 'exec cat "$0" > /dev/null', pipe], start_new_session=True)
    connection.execute(f"COPY (SELECT * FROM {source}) TO '{pipe}' (FORMAT json)")
    os.unlink(pipe)
    os.rmdir(os.path.dirname(pipe))
    # Not waited for, so that its time is not added to ours.
    os._exit(0)
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
    structure = ""
    if kind == "csv":
        with open(path) as file:
            structure = ", '" + ", ".join(f"{column} String" for column in file.readline().strip().split(",")) + "'"
    chdb.query(
        f"INSERT INTO FUNCTION file('/dev/null', 'JSONEachRow') SELECT * FROM file('{path}', '{name}'{structure}) "
        "SETTINGS max_threads=1, max_parsing_threads=1"
    )
else:
    raise SystemExit(f"unknown engine {engine}")
