#!/usr/bin/env python3
"""`make bench`: our connector and other readers on the same data, in the same run, in turns.

    python3 benches/peers/peers.py [--rounds 2] [--sets csv1,tiny] [--sides ours,airbyte] [--no-engines]

Sides: ours (target/dist/tollgate) and the Airbyte S3 source that it replaces, both reading from an nginx that serves
the data as a bucket; then DuckDB, Polars and chdb, which write newline-delimited JSON from local files with one thread.
Standard output goes to /dev/null; CPU seconds (user and system, whole process) are what is compared. Everything that is
installed or made goes to .cache/bench. Writes benches/results.md when all of it was run.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import pathlib
import platform
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "scripts"))

import lab  # noqa: E402
import shares  # noqa: E402
from measure import Cost, clean_environment, measure, median  # noqa: E402
from static_bucket import StaticBucket  # noqa: E402

CACHE = lab.ROOT / ".cache" / "bench"
DATA = CACHE / "data"
AIRBYTE = "airbyte-source-s3==4.16.1"
ENGINES = ("duckdb", "polars", "chdb")


@dataclasses.dataclass(frozen=True)
class Set:
    """A data set, how it is read, and our bar: the part of the CPU seconds of the other connector, or of the best
    engine, that we may use."""

    name: str
    kind: str
    mode: str
    records: int
    bar: float | None = None


# The mode is the one in which the other connector is faster, except csv100 where both are compared in full refresh.
SETS = (
    Set("csv1", "csv", "incremental", 1_550_000, 1 / 60),
    Set("csv100", "csv", "full_refresh", 1_550_000, 1 / 100),
    Set("jsonlgz", "jsonl", "incremental", 750_000, 1 / 18),
    Set("parquet", "parquet", "full_refresh", 1_000_000, 1 / 150),
    Set("tiny", "csv", "full_refresh", 50_000, 1 / 30),
)
# What the engines read too, from local files.
ENGINE_SETS = (
    Set("csv1m", "csv", "full_refresh", 1_000_000, 0.6),
    Set("jsonl1m", "jsonl", "full_refresh", 1_000_000, 0.35),
    Set("parquet", "parquet", "full_refresh", 1_000_000, 0.8),
)


def main() -> None:
    # So that the server ends with the benchmark.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    prepare(options)
    results: dict[tuple[str, str], list[Cost]] = {}
    server_cpu: dict[tuple[str, str], list[float]] = {}
    with StaticBucket(DATA, CACHE / "nginx") as server:
        for which in [*options.sets, *options.engine_sets]:
            write_job(server, which)
        for side in options.sides:
            results["start", side] = [run_side(side, ["spec"]) for _ in range(options.rounds)]
        if "ours" in options.sides:
            for which in [*options.sets, *options.engine_sets]:
                count_records(which)
        # In turns: what else the machine does meets both sides.
        for number in range(options.rounds):
            for which in options.sets:
                for side in options.sides:
                    before = server.cpu_seconds()
                    cost = run_side(side, read_arguments(which))
                    server_cpu.setdefault((which.name, side), []).append(server.cpu_seconds() - before)
                    note(results, which.name, side, cost, number)
            for which in options.engine_sets:
                if "ours" in options.sides and which.name not in [other.name for other in options.sets]:
                    note(results, which.name, "ours", run_side("ours", read_arguments(which)), number)
                for engine in ENGINES:
                    note(results, which.name, engine, run_engine(engine, which), number)
        profiles = {}
        if "ours" in options.sides and shares.available():
            for which in options.sets:
                profiles[which.name] = shares.of_run(ours(), read_arguments(which), CACHE)
    text = report(options, results, server_cpu, profiles)
    print("\n" + text)
    if options.complete:
        path = lab.ROOT / "benches" / "results.md"
        path.write_text(text)
        print(f"written to {path.relative_to(lab.ROOT)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare with other readers on the same data.")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each side (default 2; the median counts)")
    parser.add_argument("--sets", default=",".join(which.name for which in SETS))
    parser.add_argument("--sides", default="ours,airbyte", help="ours, airbyte, or both")
    parser.add_argument("--no-engines", action="store_true", help="leave DuckDB, Polars and chdb out")
    options = parser.parse_args()
    names = options.sets.split(",")
    options.sets = [which for which in SETS if which.name in names]
    options.sides = options.sides.split(",")
    options.engine_sets = [] if options.no_engines else list(ENGINE_SETS)
    options.complete = len(options.sets) == len(SETS) and len(options.sides) == 2 and not options.no_engines
    return options


def note(results: dict, name: str, side: str, cost: Cost, number: int) -> None:
    results.setdefault((name, side), []).append(cost)
    print(f"round {number + 1}  {name:8} {side:8} {cost.cpu_seconds:8.2f} CPU s {cost.wall_seconds:8.2f} s"
          f" {cost.peak_mib:7.0f} MiB", flush=True)  # fmt: skip


# --- what is needed --------------------------------------------------------------------------------------------------------


def prepare(options: argparse.Namespace) -> None:
    """Installs the peers and makes the data, once."""
    if "ours" in options.sides and not ours().exists():
        raise SystemExit("the binary is missing: run `make dist`, and set TOLLGATE_BIN to target/dist/tollgate")
    if not (DATA / "complete").exists():
        print("making the data (some minutes, once)", flush=True)
        python = environment("maker", "requirements-data.txt")
        subprocess.run([python, HERE / "data.py", DATA], check=True, env=clean_environment())
        (DATA / "complete").write_text("")
    if "airbyte" in options.sides:
        python = environment("airbyte", "requirements-airbyte.txt", extra=("--no-deps", AIRBYTE))
        # The first start compiles what the installer did not; it must not be measured.
        subprocess.run([python.parent / "source-s3", "spec"], check=True, capture_output=True, env=clean_environment())
    if options.engine_sets:
        environment("engines", "requirements-engines.txt")


def environment(name: str, requirements: str, extra: tuple = ()) -> pathlib.Path:
    """The Python of an environment, which is made when its requirements are new."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    wanted = (HERE / requirements).read_text() + repr(extra)
    stamp = folder / "stamp"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {requirements}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"], check=True)
    # With bytecode, as in the peers' own images: else each start would compile it anew.
    install = [python, "-m", "uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, "-r", HERE / requirements], check=True)
    if extra:
        subprocess.run([*install, *extra], check=True)
    stamp.write_text(wanted)
    return python


# --- jobs ------------------------------------------------------------------------------------------------------------------


def job(which: Set) -> tuple[pathlib.Path, pathlib.Path]:
    folder = CACHE / "jobs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{which.name}.config.json", folder / f"{which.name}.catalog.json"


def write_job(server: StaticBucket, which: Set) -> None:
    """The same config and catalog for both sides."""
    config_path, catalog_path = job(which)
    credentials = {"auth_type": "iam_user", "aws_access_key_id": lab.ACCESS_KEY, "aws_secret_access_key": lab.SECRET_KEY}
    config = {
        "bucket": which.name,
        "endpoint": server.endpoint,
        "region_name": lab.REGION,
        "credentials": credentials,
        "streams": [{"name": which.name, "globs": ["**"], "format": {"filetype": which.kind}}],
    }
    stream = {
        "name": which.name,
        "json_schema": {"type": "object", "properties": properties(which.kind)},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": True,
        "default_cursor_field": ["_ab_source_file_last_modified"],
    }
    catalog = lab.configured_catalog({"streams": [stream]}, which.mode)
    lab.write_json(config_path, config)
    lab.write_json(catalog_path, catalog)


def properties(kind: str) -> dict:
    """The columns' types, as discovery gives them."""
    text = ("name", "email", "created_at", "country", "note")
    types: dict[str, object] = {
        "csv": dict.fromkeys(("id", "amount", "active", "qty", "maybe", *text), "string"),
        "jsonl": {"id": "integer", "amount": "number", "active": "boolean", "qty": "integer", "maybe": "integer",
                  "nested": "object", **dict.fromkeys(text, "string")},
        "parquet": {"id": "integer", "big": "integer", "i32": "integer", "f64": "number", "f64b": "number",
                    "flag": "boolean", "ts": "string", "day": "string", "txt": "string", "cat": "string"},
    }[kind]  # fmt: skip
    columns = {name: {"type": ["null", kind]} for name, kind in types.items()}
    if kind == "parquet":
        columns["ts"]["format"], columns["day"]["format"] = "date-time", "date"
    return {**columns, "_ab_source_file_last_modified": {"type": "string"}, "_ab_source_file_url": {"type": "string"}}


def read_arguments(which: Set) -> list:
    config_path, catalog_path = job(which)
    return ["read", "--config", config_path, "--catalog", catalog_path]


def ours() -> pathlib.Path:
    return lab.executable("TOLLGATE_BIN", "tollgate")


def run_side(side: str, command: list) -> Cost:
    program = ours() if side == "ours" else CACHE / "airbyte" / "bin" / "source-s3"
    return measure([program, *command], CACHE / f"{side}.log")


def run_engine(engine: str, which: Set) -> Cost:
    (file,) = (path for path in (DATA / which.name).iterdir())
    python = CACHE / "engines" / "bin" / "python"
    one_thread = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return measure([python, HERE / "engine.py", engine, which.kind, file], CACHE / f"{engine}.log", one_thread)


def count_records(which: Set) -> None:
    """A fast reader that leaves something out has not won: all records must be there."""
    run = lab.run([ours(), *read_arguments(which)])
    found = run.records.get(which.name, 0)
    if run.exit_code != 0 or found != which.records:
        raise SystemExit(f"{which.name}: {found} records, expected {which.records}; exit code {run.exit_code}; {run.errors()}")


# --- report ----------------------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace, results: dict, server_cpu: dict, profiles: dict) -> str:
    lines = [
        "# Benchmark results",
        "",
        f"Made by `make bench` on {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d} at commit {commit()}; {machine()}.",
        f"Each figure is the median of {options.rounds} runs, taken in turns. Standard output went to /dev/null. CPU is user and",
        "system time of the whole process; wall time depends on what else the machine does. The data is made by",
        "`benches/peers/data.py`; the bucket is nginx on the same machine (`benches/peers/static_bucket.py`).",
        "",
        f"## Against {AIRBYTE}",
        "",
        "| data | mode | records | theirs: CPU s | wall s | MiB | ours: CPU s | wall s | MiB | CPU ratio | bar |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]  # fmt: skip
    rows = [Set("start", "-", "spec", 0), *options.sets]
    for which in rows:
        theirs, ours = (median(results[which.name, side]) if (which.name, side) in results else None for side in ("airbyte", "ours"))
        lines.append(
            f"| {which.name} | {which.mode} | {which.records:,} | {cells(theirs)} | {cells(ours)} | {verdict(theirs, ours, which.bar)} |"
        )
    lines += ["", "The bucket's server took: " + "; ".join(
        f"{name} {side} {sum(values) / len(values):.2f} CPU s" for (name, side), values in server_cpu.items()) + "."]  # fmt: skip
    if options.engine_sets and "ours" in options.sides:
        lines += engine_report(options, results)
    if profiles:
        lines += shares.table(profiles)
    lines += ["", "## Single runs (CPU s)", ""]
    for (name, side), costs in results.items():
        lines.append(f"- {name}, {side}: " + ", ".join(f"{cost.cpu_seconds:.2f}" for cost in costs))
    return "\n".join(lines) + "\n"


def cells(cost: Cost | None) -> str:
    return f"{cost.cpu_seconds:.2f} | {cost.wall_seconds:.2f} | {cost.peak_mib:.0f}" if cost else "- | - | -"


def verdict(theirs: Cost | None, ours: Cost | None, bar: float | None) -> str:
    if not theirs or not ours:
        return "- | -"
    ratio = theirs.cpu_seconds / ours.cpu_seconds
    if bar is None:
        return f"1/{ratio:.0f} | -"
    return f"1/{ratio:.0f} | 1/{1 / bar:.0f} {'met' if ratio >= 1 / bar else 'MISSED'}"


def engine_report(options: argparse.Namespace, results: dict) -> list[str]:
    lines = [
        "",
        "## Against engines that write newline-delimited JSON",
        "",
        "1,000,000 rows. The engines read a local file with one thread and write bare rows to /dev/null; we read the same",
        "file over HTTP, wrap each row in a RECORD message with two more columns, and keep a position. Theirs includes the",
        "start of Python. Versions: `benches/peers/requirements-engines.txt`. CPU s (wall s, MiB).",
        "",
        "| data | ours | " + " | ".join(ENGINES) + " | of the best | bar |",
        "|---|--:|" + "--:|" * len(ENGINES) + "--:|---|",
    ]
    for which in options.engine_sets:
        costs = {side: median(results[which.name, side]) for side in ("ours", *ENGINES) if (which.name, side) in results}
        row = [f"{cost.cpu_seconds:.2f} ({cost.wall_seconds:.2f}, {cost.peak_mib:.0f})" for cost in costs.values()]
        best = min(cost.cpu_seconds for side, cost in costs.items() if side != "ours")
        part = costs["ours"].cpu_seconds / best
        row += [f"{part:.2f}", f"{which.bar} {'met' if part <= which.bar else 'MISSED'}"]
        lines.append(f"| {which.name} | " + " | ".join(row) + " |")
    return lines


def commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=lab.ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    memory = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal"))) / 2**20
    load = os.getloadavg()[1]
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, load {load:.1f} at the end"


if __name__ == "__main__":
    main()
