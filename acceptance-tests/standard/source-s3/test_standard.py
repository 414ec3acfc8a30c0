"""Airbyte's FAST standard tests (airbyte-cdk) with our binary in place of a Python connector."""

from __future__ import annotations

import subprocess

import pytest
from airbyte_cdk.test import entrypoint_wrapper
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase
from standard_folder import ROOT, connector_folder  # noqa: F401 (a fixture)


class Program:
    """Satisfies the interface of a connector; the suite's runner below is what is called."""

    def spec(self, logger):
        raise NotImplementedError


@pytest.fixture(autouse=True)
def run_the_binary(monkeypatch, program):
    """The suite calls a Python class; this runs the same command line as a program."""

    def run(source, args, expecting_exception=None, *, expected_outcome=None):
        done = subprocess.run([program, *args], capture_output=True, text=True, timeout=300, check=False)
        failure = subprocess.CalledProcessError(done.returncode, [program, *args], done.stdout, done.stderr)
        return entrypoint_wrapper.EntrypointOutput(
            messages=done.stdout.splitlines(),
            stderr=done.stderr,
            command=[str(program), *args],
            uncaught_exception=failure if done.returncode else None,
        )

    monkeypatch.setattr(entrypoint_wrapper, "_run_command", run)


class TestSource(SourceTestSuiteBase):
    """The suite, without its tests of images: those are in test_docker.py."""

    connector = Program

    @classmethod
    def get_connector_root_dir(cls):
        return ROOT


for name in dir(SourceTestSuiteBase):
    if name.startswith("test_docker") or name.startswith("test_image"):
        setattr(TestSource, name, None)
