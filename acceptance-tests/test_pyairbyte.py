"""PyAirbyte with a DuckDB cache: everything on the first read, nothing on the second, only what is new on the third."""

from __future__ import annotations

import pytest
from dialects import DIALECTS, config_of
from lake import make_stream
from makers import FORMATS, csv_file, extension, file, rows


@pytest.fixture(scope="module")
def airbyte():
    return pytest.importorskip("airbyte", reason="PyAirbyte is not installed: run `make venv`")


@pytest.mark.parametrize("kind", FORMATS)
def test_two_reads_into_duckdb(airbyte, program, config, testkit, tmp_path, kind):
    prefix = f"pyairbyte/{kind}"
    testkit.put(f"{prefix}/a.{extension(kind)}", file(kind, rows(0, 25)))
    settings = config(streams=[make_stream(kind, "rows", [f"{prefix}/**"])])
    source = airbyte.get_source("source-s3", local_executable=program, config=settings, install_if_missing=False)
    source.check()
    assert source.get_available_streams() == ["rows"]
    source.select_all_streams()
    cache = airbyte.new_local_cache("acceptance", cache_dir=tmp_path / "cache")

    first = source.read(cache=cache)
    assert first.processed_records == 25
    frame = first["rows"].to_pandas()
    assert sorted(int(value) for value in frame["id"]) == list(range(25))
    assert set(frame["text"]) == {row["text"] for row in rows(0, 25)}

    assert source.read(cache=cache).processed_records == 0

    testkit.put(f"{prefix}/b.{extension(kind)}", file(kind, rows(25, 10)))
    assert source.read(cache=cache).processed_records == 10
    assert len(cache["rows"].to_pandas()) == 35


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect(airbyte, program, testkit, tmp_path, dialect):
    folder = f"pyairbyte/dialects/{dialect}"
    testkit.put(f"{folder}/a.csv", csv_file(rows(0, 25)))
    settings = config_of(dialect, testkit, folder)
    source = airbyte.get_source("source-s3", local_executable=program, config=settings, streams="*", install_if_missing=False)
    source.check()
    cache = airbyte.new_local_cache("dialects", cache_dir=tmp_path / "cache")
    assert source.read(cache=cache).processed_records == 25
    assert sorted(int(value) for value in cache["rows"].to_pandas()["id"]) == list(range(25))
    testkit.put(f"{folder}/b.csv", csv_file(rows(25, 5)))
    assert source.read(cache=cache).processed_records == 5


def test_a_failed_check_is_told(airbyte, program, config):
    settings = config(streams=[make_stream("csv", globs=["nothing/**"])])
    source = airbyte.get_source("source-s3", local_executable=program, config=settings, install_if_missing=False)
    with pytest.raises(airbyte.exceptions.AirbyteConnectorCheckFailedError):
        source.check()


def test_a_failed_read_is_told(airbyte, program, config, testkit, tmp_path):
    testkit.put("pyairbyte/broken/x.csv", csv_file(rows(0, 5)))
    settings = config(streams=[make_stream("csv", "rows", ["pyairbyte/broken/**"])])
    source = airbyte.get_source("source-s3", local_executable=program, config=settings, streams="*", install_if_missing=False)
    testkit.put("pyairbyte/broken/x.csv", csv_file(rows(0, 5)) + b"1,2\n")
    with pytest.raises(airbyte.exceptions.AirbyteConnectorFailedError):
        source.read(cache=airbyte.new_local_cache("broken", cache_dir=tmp_path / "cache"))
