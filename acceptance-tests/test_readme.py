"""The README is true: its configs are accepted, its commands run, its targets and links exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import image
import lab
import pytest
from lake import EARLIER
from makers import csv_file, rows

README = (lab.ROOT / "README.md").read_text()


def block(name: str) -> str:
    """A code block of the README by the name in the comment above it."""
    found = re.search(rf"<!-- readme-test: {re.escape(name)} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {name!r}"
    return found.group(1)


@pytest.fixture
def folder(program, testkit, open_folder):
    """A folder as the README's reader has it, with the README's config pointed at the test server."""
    testkit.put("orders/2024/a.csv", csv_file(rows(0, 7)), EARLIER)
    config = json.loads(block("config.json"))
    config.update(bucket=testkit.bucket, endpoint=testkit.endpoint, region_name=lab.REGION)
    config["credentials"].update(aws_access_key_id=lab.ACCESS_KEY, aws_secret_access_key=lab.SECRET_KEY)
    (open_folder / "config.json").write_text(json.dumps(config))
    (open_folder / "catalog.json").write_text(block("catalog.json"))
    (open_folder / "state.json").write_text("[]")
    (open_folder / "target" / "release").mkdir(parents=True)
    (open_folder / "target" / "release" / "tollgate").symlink_to(program)
    return open_folder


def test_the_commands_run(folder):
    commands = [line for line in block("run").splitlines() if not line.startswith("make ")]
    assert len(commands) >= 5
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    messages = [json.loads(line) for line in (folder / "messages.jsonl").read_text().splitlines()]
    assert [message["type"] for message in messages].count("RECORD") == 7
    # The read with a state, as the README says to make it, gives nothing.
    state = [message["state"] for message in messages if message["type"] == "STATE"][-1]
    (folder / "state.json").write_text(json.dumps([state]))
    again = subprocess.run(commands[-1], shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert '"type":"RECORD"' not in again.stdout


def test_the_python_example_runs(folder):
    done = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=folder, capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "AIRBYTE_OFFLINE_MODE": "1", "AIRBYTE_CACHE_ROOT": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith("7"), done.stdout


@pytest.mark.skipif(image.missing() is not None, reason=f"{image.missing()}: the README's docker line is not run")
def test_the_docker_line_runs(folder, program):
    line = block("docker").strip()
    assert "tollgate/source-s3:dev" in line
    line = line.replace("tollgate/source-s3:dev", image.build(program)).replace("docker run", "docker run --network host")
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert '"status":"SUCCEEDED"' in done.stdout, done.stdout + done.stderr


def test_targets_and_files_that_are_named_exist():
    helped = subprocess.run(["make", "help"], cwd=lab.ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^  make (\S+)", helped, re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`|^\$ make ([a-z]+)", README, re.MULTILINE))
    assert {first or second for first, second in named} <= targets
    for link in re.findall(r"\]\(([^):#]+)\)", README):
        # Made by the benchmark, which is not part of the tests.
        assert link == "benches/results.md" or (lab.ROOT / link).exists(), f"the README links to {link}, which is not there"
