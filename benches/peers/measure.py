"""Runs one command and says what it cost. Standard output goes to /dev/null."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import subprocess
import time


@dataclasses.dataclass
class Cost:
    """What one run took."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float


def measure(command: list, log: pathlib.Path, environment: dict | None = None) -> Cost:
    """Runs a command to its end; CPU is user and system time of the process and its children, by wait4."""
    environment = {**clean_environment(), **(environment or {})}
    started = time.monotonic()
    with open(log, "wb") as errors:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def clean_environment() -> dict:
    """The environment without what would slow a Python program (unbuffered output, no bytecode) or give it other keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}


def median(costs: list[Cost]) -> Cost:
    """Field by field; with two runs the mean of both."""
    return Cost(*(statistics.median(values) for values in zip(*map(dataclasses.astuple, costs))))
