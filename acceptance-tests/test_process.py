"""The connector as a process: other users, working directories, FIFOs, the platform's shell line, signals, closed pipes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest
from lake import make_stream
from connector import Connector, checked
from makers import csv_file, rows

LARGE_FILES, LARGE_ROWS = 8, 30_000


@pytest.fixture(scope="module")
def large(testkit):
    """More records than a pipe holds, so that the connector is in the middle of it when something happens."""
    for number in range(LARGE_FILES):
        testkit.put(f"large/{number}.csv", csv_file(rows(number * LARGE_ROWS, LARGE_ROWS)))
    return [make_stream("csv", "large", ["large/**"])]


@pytest.fixture
def started(connector, config, large, tmp_path):
    """A read in its first records: the process, what it printed so far, its config and its catalog."""
    settings = config(streams=large)
    catalog = connector.catalog(settings, "incremental")
    command = [str(connector.program), *map(str, connector.read_arguments(settings, catalog))]
    with open(tmp_path / "stderr", "wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
    head = []
    while len(head) < 3 or not head[-1].startswith(b'{"type":"RECORD"'):
        line = process.stdout.readline()
        assert line, f"no record: {b''.join(head)} {(tmp_path / 'stderr').read_text()}"
        head.append(line)
    yield process, head, settings, catalog
    if process.poll() is None:
        process.kill()
    process.stdout.close()
    process.wait()


def ids(output) -> list[int]:
    return [int(record["id"]) for record in output.records()]


# --- where it runs -----------------------------------------------------------------------------------------------------


def test_relative_paths_in_a_foreign_working_directory(connector, config, tmp_path):
    elsewhere = tmp_path / "with space"
    elsewhere.mkdir()
    inside = Connector(connector.program, elsewhere)
    catalog = inside.catalog(config("csv"))
    config_name, catalog_name = inside.file(config("csv")).name, inside.file(catalog).name
    output = inside.run("read", "--config", config_name, "--catalog", catalog_name, cwd=elsewhere)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_nothing_is_written_to_the_working_directory(connector, config, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    connector.read(config("csv"), connector.catalog(config("csv")), cwd=empty)
    assert list(empty.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv (Debian's util-linux)")
def test_uid_1000_without_home_passwd_or_capabilities(program, config, open_folder):
    """As the platform runs it: uid 1000, no capabilities, and nothing in the environment to rely on."""
    # The work tree may lie under a folder that only root may enter.
    copy = open_folder / "tollgate"
    shutil.copy(program, copy)
    copy.chmod(0o755)
    connector = Connector(copy, open_folder)
    arguments = connector.read_arguments(config("csv"), Connector(program, open_folder).catalog(config("csv")))
    command = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--bounding-set=-all", "--no-new-privs",
               str(copy), *map(str, arguments)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, cwd="/", env={"PATH": "/usr/bin:/bin"}, timeout=60, check=False)
    output = checked(done.returncode, done.stdout, done.stderr)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_the_shell_line_of_the_platform(program, config, open_folder):
    """stdout and stderr are FIFOs, the command comes from an environment variable, the exit code goes to a file."""
    connector = Connector(program, open_folder)
    connector.file(connector.catalog(config("csv"))).rename(open_folder / "catalog.json")
    connector.file(config("csv")).rename(open_folder / "connectorConfig.json")
    for name in ("stdout", "stderr"):
        os.mkfifo(open_folder / name)
    script = (
        '( eval "$AIRBYTE_ENTRYPOINT read --config connectorConfig.json --catalog catalog.json" 2> stderr > stdout ) &\n'
        "P=$!; wait $P; echo $? > exitCode.txt"
    )
    quoted = "'" + str(program).replace("'", "'\\''") + "'"
    shell = subprocess.Popen(["sh", "-c", script], cwd=open_folder, env={**os.environ, "AIRBYTE_ENTRYPOINT": quoted})
    reader = subprocess.Popen(["cat", open_folder / "stderr"], stdout=subprocess.PIPE)
    stdout = (open_folder / "stdout").read_bytes()
    stderr, _ = reader.communicate(timeout=30)
    shell.wait(30)
    output = checked(int((open_folder / "exitCode.txt").read_text()), stdout, stderr)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_config_from_a_fifo(connector, config, tmp_path):
    """Shells hand over files as pipes: --config <(…)."""
    fifo = tmp_path / "config.fifo"
    os.mkfifo(fifo)
    text = connector.file(config("csv")).read_bytes()
    writer = subprocess.Popen(["sh", "-c", 'cat > "$0"', fifo], stdin=subprocess.PIPE)
    writer.stdin.write(text)
    writer.stdin.close()
    output = connector.run("check", "--config", fifo)
    writer.wait(10)
    assert output.one("CONNECTION_STATUS")["status"] == "SUCCEEDED"


def test_stdout_to_a_file(connector, config, tmp_path):
    arguments = connector.read_arguments(config("csv"), connector.catalog(config("csv")))
    with open(tmp_path / "out", "wb") as out:
        done = subprocess.run([connector.program, *arguments], stdout=out, stderr=subprocess.PIPE, timeout=60, check=False)
    output = checked(done.returncode, (tmp_path / "out").read_bytes(), done.stderr)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_standard_error_is_silent_when_all_is_well(connector, config):
    """The platform logs every line of it as an error."""
    output = connector.read(config("csv"), connector.catalog(config("csv")))
    assert output.stderr == ""


# --- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_drains_and_the_next_read_goes_on(connector, started, tmp_path, number):
    process, head, settings, catalog = started
    process.send_signal(number)
    asked = time.monotonic()
    stdout = process.stdout.read()
    process.wait(30)
    took = time.monotonic() - asked
    assert took < 6.5, f"the drain took {took:.1f} s; it may take 5"
    output = checked(process.returncode, b"".join(head) + stdout, (tmp_path / "stderr").read_bytes())
    assert process.returncode in (-number, 128 + number)
    assert output.errors() == [], "an interruption is not an error"
    assert output.statuses("large")[-1] == "INCOMPLETE"
    assert output.states(), "the drain ends with a STATE"

    first = ids(output)
    covered = sum(state["sourceStats"]["recordCount"] for state in output.of_type("STATE"))
    assert covered == len(first), "the STATE covers exactly what was printed"
    assert len(first) < LARGE_FILES * LARGE_ROWS, "the test is void: the read had ended before the signal"
    second = connector.read(settings, catalog, output.states())
    assert second.exit_code == 0
    assert sorted(first + ids(second)) == list(range(LARGE_FILES * LARGE_ROWS)), "records are missing or came twice"


def test_closed_stdout_ends_the_process_within_a_second(started, tmp_path):
    process, *_ = started
    process.stdout.close()
    closed = time.monotonic()
    process.wait(20)
    took = time.monotonic() - closed
    stderr = (tmp_path / "stderr").read_text()
    assert took < 1.5, f"it went on for {took:.1f} s"
    assert process.returncode == 1, stderr
    assert stderr == "", "nobody reads any more: nothing is to be said"


def test_killed_and_read_on_from_the_last_state(connector, started):
    """kill -9 after half of the records: what the last STATE covers, and the rest, is everything exactly once."""
    process, head, settings, catalog = started
    lines = list(head)
    while len(lines) < LARGE_FILES * LARGE_ROWS // 2:
        lines.append(process.stdout.readline())
    process.kill()
    process.wait()
    last_state = max((n for n, line in enumerate(lines) if line.startswith(b'{"type":"STATE"')), default=None)
    kept = checked(-9, b"".join(lines[: 0 if last_state is None else last_state + 1]), b"")
    second = connector.read(settings, catalog, kept.states())
    assert second.exit_code == 0
    assert sorted(ids(kept) + ids(second)) == list(range(LARGE_FILES * LARGE_ROWS)), "records are missing or came twice"


def test_check_and_discover_end_when_the_reader_leaves(connector, config):
    """PyAirbyte stops reading after the first message that matters and sends SIGTERM."""
    for verb in ("check", "discover"):
        process = subprocess.Popen(
            [connector.program, verb, "--config", connector.file(config("csv"))], stdout=subprocess.PIPE
        )
        process.stdout.readline()
        process.stdout.close()
        process.terminate()
        assert process.wait(10) in (0, 1, -15, 143)


