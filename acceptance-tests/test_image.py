"""The image: what the platform relies on, and a read from inside it."""

from __future__ import annotations

import json
import os
import subprocess

import image
import pytest
from connector import checked
from makers import csv_file, rows

pytestmark = pytest.mark.skipif(image.missing() is not None, reason=f"{image.missing()}: the image is not tested")

# Servers of the tests listen on 127.0.0.1 of this machine; a container sees them on the host's network only.
RUN = ["docker", "run", "--rm", "-i", "--network", "host"]


@pytest.fixture(scope="module")
def name(program) -> str:
    return image.build(program)


def docker(*arguments, timeout: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)


def inspect(name: str) -> dict:
    return json.loads(docker("docker", "image", "inspect", name).stdout)[0]


def test_labels_user_and_entry_point(name):
    config = inspect(name)["Config"]
    assert config["Labels"]["io.airbyte.name"] == "tollgate/source-s3"
    assert config["Labels"]["io.airbyte.version"] == "acceptance"
    assert config["User"] == "1000:1000"
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    assert environment["AIRBYTE_ENTRYPOINT"] == " ".join(config["Entrypoint"]), "platforms use the one, people the other"
    assert environment["AIRBYTE_ENTRYPOINT"].startswith("/"), "the platform sets another working directory"


def test_spec(name):
    done = docker(*RUN, name, "spec")
    assert checked(done.returncode, done.stdout, done.stderr, "spec").one("SPEC")


def test_check_and_read_as_the_platform_runs_them(name, config, connector, open_folder):
    """No capabilities, another working directory, and the command through the shell."""
    (open_folder / "connectorConfig.json").write_text(json.dumps(config("csv")))
    (open_folder / "catalog.json").write_text(json.dumps(connector.catalog(config("csv"))))
    shell = [*RUN, "--cap-drop=ALL", "-v", f"{open_folder}:/source", "-w", "/source", "--entrypoint", "sh", name, "-c"]
    check = docker(*shell, 'eval "$AIRBYTE_ENTRYPOINT check --config connectorConfig.json"')
    output = checked(check.returncode, check.stdout, check.stderr, "check")
    assert output.one("CONNECTION_STATUS")["status"] == "SUCCEEDED"
    read = docker(*shell, 'eval "$AIRBYTE_ENTRYPOINT read --config connectorConfig.json --catalog catalog.json"')
    output = checked(read.returncode, read.stdout, read.stderr)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_sigterm_as_the_first_process(name, config, connector, testkit, open_folder):
    """The kernel ignores SIGTERM for process 1 unless it has a handler: 143 within the drain, not a kill after 10 s."""
    for number in range(8):
        testkit.put(f"image/{number}.csv", csv_file(rows(number * 30_000, 30_000)))
    settings = config(streams=[{"name": "image", "globs": ["image/**"], "format": {"filetype": "csv"}}])
    (open_folder / "c.json").write_text(json.dumps(settings))
    (open_folder / "k.json").write_text(json.dumps(connector.catalog(settings)))
    container = f"tollgate-acceptance-{os.getpid()}"
    process = subprocess.Popen(
        [*RUN, "--name", container, "-v", f"{open_folder}:/source:ro", name, "read", "--config", "/source/c.json",
         "--catalog", "/source/k.json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        head = process.stdout.readline()
        assert docker("docker", "kill", "--signal", "TERM", container).returncode == 0
        stdout = process.stdout.read()
        stderr = process.stderr.read()
        process.wait(30)
    finally:
        docker("docker", "rm", "--force", container)
    output = checked(process.returncode, head + stdout, stderr)
    assert output.exit_code == 143
    assert output.statuses("image")[-1] == "INCOMPLETE"


def test_certificates_and_shell_are_there(name):
    done = docker("docker", "run", "--rm", "--entrypoint", "sh", name, "-c", "test -s /etc/ssl/certs/ca-certificates.crt && id -u")
    assert done.stdout.strip() == b"1000", done
