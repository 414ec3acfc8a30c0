"""Airbyte's official docker suite (airbyte-cdk) on our image."""

from __future__ import annotations

import os
import pathlib

import image
import pytest
from airbyte_cdk.test.standard_tests.docker_base import DockerConnectorTestSuite
from dialects import DIALECTS
from standard_folder import ROOT, connector_folder  # noqa: F401 (a fixture)

pytestmark = pytest.mark.skipif(image.missing() is not None, reason=f"{image.missing()}: the docker suite is not run")


@pytest.fixture(autouse=True)
def containers_on_the_host_network(monkeypatch):
    monkeypatch.setenv("PATH", f"{pathlib.Path(__file__).parent / 'shim'}:{os.environ['PATH']}")


# What the command line's --connector-image, --read-from-streams and --read-scenarios would say.


@pytest.fixture
def connector_image_override(program) -> str:
    return image.build(program)


@pytest.fixture
def read_from_streams() -> str:
    return "all"


@pytest.fixture
def read_scenarios() -> list[str]:
    return ["config", "csv_config", "jsonl_config", "parquet_config", *(f"{dialect}_config" for dialect in DIALECTS)]


class TestImage(DockerConnectorTestSuite):
    """The suite, without the comparison with a published version: there is none in Airbyte's registry yet."""

    test_docker_image_spec_backward_compatibility = None

    @classmethod
    def get_connector_root_dir(cls):
        return ROOT
