"""The connector's image for the tests that need one, or the reason why there is none."""

from __future__ import annotations

import functools
import pathlib
import shutil
import subprocess

import lab
import pytest

NAME = "tollgate/source-s3:acceptance"


@functools.cache
def missing() -> str | None:
    """Why no image can be made here; None when one can."""
    if not shutil.which("docker"):
        return "no docker client here"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        return "no docker engine answers"
    return None


@functools.cache
def build(program: pathlib.Path) -> str:
    """Builds the image of a binary once per session; gives its name. Skips where there is no base image to build on."""
    done = subprocess.run(
        ["scripts/image.sh", NAME, program], cwd=lab.ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode == 3:
        pytest.skip(f"no image here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, f"the image could not be built:\n{done.stdout}{done.stderr}"
    return NAME
