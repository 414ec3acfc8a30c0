"""Whatever dialect a configuration is written in: check, discover, and reading what is there and then what is new."""

from __future__ import annotations

import pytest
from connector import configured
from dialects import DIALECTS, TYPED, config_of
from makers import csv_file, rows

dialects = pytest.mark.parametrize("dialect", DIALECTS)


@dialects
def test_everything_and_then_what_is_new(connector, testkit, dialect):
    folder = f"dialects/{dialect}"
    testkit.put(f"{folder}/a.csv", csv_file(rows(1, 4)), "2024-01-15T10:00:00Z")
    testkit.put("dialects/elsewhere.csv", csv_file(rows(90, 1)))
    config = config_of(dialect, testkit, folder)
    assert connector.check(config).one("CONNECTION_STATUS")["status"] == "SUCCEEDED"
    catalog = connector.discover(config).one("CATALOG")
    (stream,) = catalog["streams"]
    assert stream["name"] == "rows"
    expected = ["null", "integer"] if dialect in TYPED else ["null", "string"]
    assert stream["json_schema"]["properties"]["id"]["type"] == expected
    first = connector.read(config, configured(catalog, "incremental"))
    assert first.exit_code == 0
    assert [int(record["id"]) for record in first.records("rows")] == [1, 2, 3, 4]
    testkit.put(f"{folder}/b.csv", csv_file(rows(5, 2)), "2024-01-15T11:00:00Z")
    second = connector.read(config, configured(catalog, "incremental"), first.states())
    assert [int(record["id"]) for record in second.records("rows")] == [5, 6]
    assert not first.of_type("CONTROL") and not second.of_type("CONTROL"), "a configuration is read as it stands"


def test_a_connection_goes_on_when_its_configuration_is_written_in_another_dialect(connector, testkit):
    """The state does not depend on the dialect: the same files are known to each."""
    testkit.put("dialects/moved/a.csv", csv_file(rows(1, 3)))
    states = None
    for dialect in DIALECTS:
        config = config_of(dialect, testkit, "dialects/moved")
        output = connector.read(config, connector.catalog(config, "incremental"), states)
        assert output.exit_code == 0
        assert len(output.records("rows")) == (3 if states is None else 0), dialect
        states = output.states()
