"""metadata.yaml and the icon, as Airbyte's registry checks them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree

import jsonschema
import lab
import pytest
import yaml
from connector import SCHEMAS


@pytest.fixture
def metadata() -> dict:
    return yaml.safe_load((lab.ROOT / "metadata.yaml").read_text())


def test_metadata_follows_the_schema(metadata):
    schema = json.loads((SCHEMAS / "connector_metadata.schema.json").read_text())
    jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker()).validate(metadata)


def test_version_and_licence_are_those_of_the_package(metadata):
    manifest = (lab.ROOT / "Cargo.toml").read_text()
    value = lambda name: re.search(rf'^{name} = "([^"]+)"', manifest, re.MULTILINE).group(1)  # noqa: E731
    assert metadata["data"]["dockerImageTag"] == value("version")
    assert metadata["data"]["license"] == value("license")


def test_the_icon_is_a_square(metadata):
    icon = xml.etree.ElementTree.parse(lab.ROOT / metadata["data"]["icon"]).getroot()
    _, _, width, height = icon.get("viewBox").split()
    assert icon.tag.endswith("svg") and width == height
