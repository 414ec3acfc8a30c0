"""Where our CPU time goes: samples of `perf record` by what the sampled function is for."""

from __future__ import annotations

import collections
import pathlib
import re
import shutil
import subprocess

from measure import clean_environment

# What a function is for, by its name; the first that matches.
WORK = (
    ("decompress", re.compile(r"zlib_rs|flate2|zstd|ZSTD|HUF_|brotli|snap::|lz4_flex|crc32")),
    ("decode", re.compile(r"tollgate_format|parquet::|tollgate_base::batch")),
    ("encode", re.compile(r"tollgate_record|zmij|itoa|arrow_|tollgate_base::simd")),
    ("pipeline", re.compile(r"tollgate(_[a-z0-9]+)?::")),
    ("SDK, HTTP and runtime", re.compile(r"aws_|hyper|http|h2::|tokio|tower|smithy|rustls|ring|url|percent|indexmap|futures|mio|sha2|hmac|xmlparser|bytes::|type_erased")),
)  # fmt: skip
# Thread, address, function, file.
SAMPLE = re.compile(r"(\S.*?)\s+[0-9a-f]+ (.*) \((.*)\)")
COLUMNS = ("decompress", "decode", "encode", "pipeline", "SDK, HTTP and runtime", "memory", "write", "kernel", "other")


def available() -> bool:
    return shutil.which("perf") is not None


def of_run(program: pathlib.Path, arguments: list, scratch: pathlib.Path) -> dict[str, float]:
    """The share of each kind of work in a run whose standard output goes through a pipe, as on a platform."""
    data = scratch / "perf.data"
    command = ["perf", "record", "--quiet", "--freq", "1999", "--output", data, program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean_environment()) as run:
        while run.stdout.read(1 << 20):
            pass
    if run.returncode != 0:
        raise SystemExit(f"perf record ended with {run.returncode}")
    script = subprocess.run(
        ["perf", "script", "--input", data, "--fields", "comm,ip,sym,dso"], capture_output=True, text=True, check=True
    )
    samples = collections.Counter(kind_of(line) for line in script.stdout.splitlines() if line.strip())
    total = sum(samples.values())
    return {kind: samples[kind] / total for kind in COLUMNS}


def kind_of(line: str) -> str:
    """The emitter's thread does nothing but write to stdout, so its time in the kernel is that of the writes."""
    thread, function, file = SAMPLE.fullmatch(line.strip()).groups()
    if "kernel" in file:
        return "write" if thread == "emitter" else "kernel"
    if "libc.so" in file:
        return "memory"
    for kind, names in WORK:
        if names.search(function):
            return kind
    return "other"


def table(profiles: dict[str, dict[str, float]]) -> list[str]:
    lines = [
        "",
        "## Where the time goes",
        "",
        "Shares of our CPU time in percent, by `perf record` of one run of each, standard output through a pipe. *Memory* is libc: allocation,",
        "copies and comparisons; *write* is the kernel's part of writing to the pipe, *kernel* the rest of it, sockets mostly.",
        "",
        "| data | " + " | ".join(COLUMNS) + " |",
        "|---|" + "--:|" * len(COLUMNS),
    ]
    for name, profile in profiles.items():
        lines.append(f"| {name} | " + " | ".join(f"{100 * profile[kind]:.0f}" for kind in COLUMNS) + " |")
    return lines
