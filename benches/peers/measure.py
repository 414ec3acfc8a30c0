"""Runs one command and says what it cost. Standard output goes to /dev/null."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import statistics
import subprocess

import lab


@dataclasses.dataclass
class Cost:
    """What one run took."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float


def measure(command: list, log: pathlib.Path, environment: dict | None = None) -> Cost:
    """Runs a command to its end; CPU is user and system time of the process and its children, by wait4."""
    environment = {**clean_environment(), **(environment or {})}
    with (
        open(log, "wb") as errors,
        lab.metered(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment) as (_, cost),
    ):
        spent = cost()
    if spent["exit_code"] != 0:
        raise SystemExit(f"{command} ended with {spent['exit_code']}:\n{log.read_text(errors='replace')[-2000:]}")
    return Cost(spent["cpu_seconds"], spent["wall_seconds"], spent["peak_bytes"] / 2**20)


def clean_environment() -> dict:
    """The environment without what would slow a Python program (unbuffered output, no bytecode) or give it other keys."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))}


def median(costs: list[Cost]) -> Cost:
    """Field by field; with two runs the mean of both."""
    return Cost(*(statistics.median(values) for values in zip(*map(dataclasses.astuple, costs))))
