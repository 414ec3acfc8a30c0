"""What each command prints, for every format: messages, their order, records, state and exit codes."""

from __future__ import annotations

import itertools
import json

import jsonschema
import pytest
from lake import ALL_ROWS, EARLIER, LATER, make_stream
from connector import configured
from makers import EXTRA_COLUMNS, FORMATS, by_id, csv_file, expected, extension, file, rows, without_extras

formats = pytest.mark.parametrize("kind", FORMATS)
modes = pytest.mark.parametrize("mode", ["full_refresh", "incremental"])


# --- spec, check, discover -------------------------------------------------------------------------------------------


def test_spec_is_one_message_with_a_valid_schema(connector):
    output = connector.spec()
    assert output.exit_code == 0
    specification = output.one("SPEC")
    jsonschema.Draft7Validator.check_schema(specification["connectionSpecification"])
    assert specification["documentationUrl"].startswith("https://"), "the platform calls a method on it: it must be there"


@formats
def test_config_is_accepted_by_the_spec(connector, config, kind):
    schema = connector.spec().one("SPEC")["connectionSpecification"]
    jsonschema.Draft7Validator(schema).validate(config(kind))


@formats
def test_check_succeeds(connector, config, kind):
    output = connector.check(config(kind))
    assert output.one("CONNECTION_STATUS")["status"] == "SUCCEEDED"
    assert output.exit_code == 0
    assert not output.of_type("RECORD") and not output.errors()


@formats
def test_discover_describes_the_stream(connector, config, kind):
    output = connector.discover(config(kind))
    assert output.exit_code == 0
    (stream,) = output.one("CATALOG")["streams"]
    assert stream["name"] == kind
    assert set(stream["supported_sync_modes"]) == {"full_refresh", "incremental"}
    assert stream["source_defined_cursor"] is True
    assert stream["default_cursor_field"] == ["_ab_source_file_last_modified"]
    types = {name: schema["type"] for name, schema in stream["json_schema"]["properties"].items()}
    assert {types.pop(name) for name in EXTRA_COLUMNS} == {"string"}
    text, maybe = ["null", "string"], ["null", "string" if kind.startswith("csv") else "integer"]
    typed = {"id": ["null", "integer"], "amount": ["null", "number"], "active": ["null", "boolean"]}
    untyped = dict.fromkeys(typed, text)
    assert types == {**(untyped if kind.startswith("csv") else typed), "text": text, "maybe": maybe}


def test_discover_gives_the_same_answer_twice(connector, config):
    first, second = (connector.discover(config(*FORMATS)).one("CATALOG") for _ in range(2))
    assert json.dumps(first) == json.dumps(second), "also the order of properties must not change between runs"


# --- read ------------------------------------------------------------------------------------------------------------


@modes
@formats
def test_read_gives_every_record_once(connector, config, kind, mode):
    output = connector.read(config(kind), connector.catalog(config(kind), mode))
    assert output.exit_code == 0
    records = output.records(kind)
    assert by_id(map(without_extras, records)) == expected(kind, ALL_ROWS)
    sources = {record["_ab_source_file_url"] for record in records}
    assert sources == {f"{kind}/a.{extension(kind)}", f"{kind}/b.{extension(kind)}"}
    assert all(record["_ab_source_file_last_modified"].endswith(".000000Z") for record in records)


@modes
@formats
def test_read_prints_its_messages_in_the_order_that_platforms_want(connector, config, kind, mode):
    output = connector.read(config(kind), connector.catalog(config(kind), mode))
    assert output.statuses(kind) == ["STARTED", "RUNNING", "COMPLETE"]
    steps = [step for step in map(step_of, output.messages) if step]
    assert [step for step, _ in itertools.groupby(steps)][:3] == ["STARTED", "RUNNING", "RECORD"]
    assert steps[-2:] == ["STATE", "COMPLETE"]
    counts = [state["sourceStats"]["recordCount"] for state in output.of_type("STATE")]
    assert sum(counts) == len(output.of_type("RECORD")) == 100
    assert isinstance(counts[0], float), "the platform reads the count as a float: 5.0, not 5"


def step_of(message: dict) -> str | None:
    """What the order is about."""
    if message["type"] in ("RECORD", "STATE"):
        return message["type"]
    if message["type"] == "TRACE" and message["trace"]["type"] == "STREAM_STATUS":
        return message["trace"]["stream_status"]["status"]
    return None


def test_a_state_covers_exactly_the_records_before_it(connector, config):
    output = connector.read(config("csv"), connector.catalog(config("csv"), "incremental"))
    since = 0
    for message in output.messages:
        since += message["type"] == "RECORD"
        if message["type"] == "STATE":
            assert message["state"]["sourceStats"]["recordCount"] == since
            since = 0
    assert since == 0, "the last records are not covered by a STATE"


@formats
def test_second_incremental_read_reads_nothing(connector, config, testkit, kind):
    catalog = connector.catalog(config(kind), "incremental")
    first = connector.read(config(kind), catalog)
    before = len(testkit.requests())
    second = connector.read(config(kind), catalog, first.states())
    assert second.exit_code == 0
    assert second.records() == []
    assert second.statuses(kind) == ["STARTED", "COMPLETE"]
    assert second.states()[0]["stream"] == first.states()[0]["stream"], "the state changed though nothing happened"
    assert second.states()[0]["sourceStats"]["recordCount"] == 0.0
    operations = {request["operation"] for request in testkit.requests()[before:]}
    assert operations == {"REST.GET.BUCKET"}, f"a sync with nothing new only lists: {operations}"


def test_state_has_the_form_that_the_old_connector_reads(connector, config):
    output = connector.read(config("csv"), connector.catalog(config("csv"), "incremental"))
    (state,) = output.states()
    assert state["type"] == "STREAM"
    history = state["stream"]["stream_state"]["history"]
    assert set(history) == {"csv/a.csv", "csv/b.csv"}
    newest = max((time, key) for key, time in history.items())
    assert state["stream"]["stream_state"]["_ab_source_file_last_modified"] == "_".join(newest)


def test_state_of_the_old_connector_is_understood(connector, config, testkit):
    """A state as airbyte/source-s3 leaves it: one file known, the other not."""
    known = {record["_ab_source_file_url"]: record["_ab_source_file_last_modified"]
             for record in connector.read(config("csv"), connector.catalog(config("csv"))).records()}  # fmt: skip
    time = known["csv/a.csv"]
    old = {"history": {"csv/a.csv": time}, "_ab_source_file_last_modified": f"{time}_csv/a.csv"}
    state = [{"type": "STREAM", "stream": {"stream_descriptor": {"name": "csv"}, "stream_state": old}}]
    output = connector.read(config("csv"), connector.catalog(config("csv"), "incremental"), state)
    assert {record["_ab_source_file_url"] for record in output.records()} == {"csv/b.csv"}


def test_new_and_changed_files_are_read_and_no_others(connector, config, testkit):
    testkit.put("changing/kept.csv", csv_file(rows(0, 5)), EARLIER)
    testkit.put("changing/changed.csv", csv_file(rows(10, 5)), EARLIER)
    settings = config(streams=[make_stream("csv", "changing", ["changing/**"])])
    catalog = connector.catalog(settings, "incremental")
    first = connector.read(settings, catalog)
    assert len(first.records()) == 10
    testkit.put("changing/changed.csv", csv_file(rows(10, 6)), LATER)
    testkit.put("changing/new.csv", csv_file(rows(20, 3)), EARLIER)
    second = connector.read(settings, catalog, first.states())
    assert sorted(int(record["id"]) for record in second.records()) == [10, 11, 12, 13, 14, 15, 20, 21, 22]


@pytest.mark.parametrize("state", [[], {}, "null"], ids=["list", "object", "null"])
def test_an_empty_state_means_everything(connector, config, state):
    output = connector.read(config("csv"), connector.catalog(config("csv"), "incremental"), state)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_only_selected_streams_are_read(connector, config):
    settings = config("csv", "jsonl", "parquet")
    catalog = connector.catalog(settings)
    catalog["streams"] = [entry for entry in catalog["streams"] if entry["stream"]["name"] == "jsonl"]
    output = connector.read(settings, catalog)
    assert {record["stream"] for record in output.of_type("RECORD")} == {"jsonl"}
    assert len(output.records()) == 100


def test_several_streams_with_different_modes(connector, config):
    settings = config(*FORMATS)
    catalog = connector.catalog(settings)
    for entry, mode in zip(catalog["streams"], itertools.cycle(["incremental", "full_refresh"])):
        entry["sync_mode"] = mode
    output = connector.read(settings, catalog)
    assert output.exit_code == 0
    for kind in FORMATS:
        assert by_id(map(without_extras, output.records(kind))) == expected(kind, ALL_ROWS), kind
        assert output.statuses(kind) == ["STARTED", "RUNNING", "COMPLETE"]


def test_keys_with_unusual_characters(connector, config, testkit):
    keys = ["odd/with space.csv", "odd/plus+and&amp.csv", "odd/100%25.csv", "odd/ü/日本.csv", "odd/a=b/c=d.csv", "odd/quote'\".csv"]
    for number, key in enumerate(keys):
        testkit.put(key, csv_file(rows(number, 1)))
    settings = config(streams=[make_stream("csv", "odd", ["odd/**"])])
    output = connector.read(settings, connector.catalog(settings))
    assert output.exit_code == 0
    assert {record["_ab_source_file_url"] for record in output.records()} == set(keys)


# --- what platforms write ----------------------------------------------------------------------------------------------


def test_catalog_and_state_with_every_null_field(connector, config):
    """PyAirbyte writes all optional fields as nulls."""
    catalog = connector.catalog(config("csv"), "incremental")
    state = connector.read(config("csv"), catalog).states()
    for entry in catalog["streams"]:
        entry.update(include_files=None, destination_object_name=None)
        entry["stream"].update(namespace=None, source_defined_primary_key=None)
    for entry in state:
        entry.update({"global": None, "data": None, "destinationStats": None, "id": 7})
        entry["stream"]["stream_descriptor"]["namespace"] = None
    output = connector.read(config("csv"), catalog, state)
    assert output.exit_code == 0 and output.records() == []


@modes
def test_sync_modes_in_the_catalog_do_not_limit_destinations(connector, config, mode):
    catalog = configured(connector.discover(config("csv")).one("CATALOG"), mode, destination_sync_mode="append_dedup")
    output = connector.read(config("csv"), catalog)
    assert output.exit_code == 0 and len(output.records()) == 100


def test_empty_properties_mean_all_columns(connector, config):
    catalog = connector.catalog(config("csv"))
    catalog["streams"][0]["stream"]["json_schema"] = {"type": "object", "properties": {}}
    output = connector.read(config("csv"), catalog)
    assert by_id(map(without_extras, output.records())) == expected("csv", ALL_ROWS)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_that_the_catalog_lacks_are_left_out(connector, config, kind):
    catalog = connector.catalog(config(kind))
    properties = catalog["streams"][0]["stream"]["json_schema"]["properties"]
    for name in ("text", "maybe", "amount"):
        del properties[name]
    output = connector.read(config(kind), catalog)
    assert {name for record in output.records() for name in without_extras(record)} == {"id", "active"}


def test_debug_is_accepted(connector, config):
    arguments = connector.read_arguments(config("csv"), connector.catalog(config("csv")))
    output = connector.run(*arguments, "--debug")
    assert output.exit_code == 0 and len(output.records()) == 100


# --- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["read"], ["check"], ["read", "--config"]], ids=str)
def test_wrong_arguments_end_with_advice_on_stderr(connector, arguments):
    output = connector.run(*arguments)
    assert output.exit_code == 2
    assert "usage" in output.stderr.lower() or "--help" in output.stderr
    assert not output.of_type("RECORD")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda catalog: catalog["streams"][0].update(sync_mode="INVALID"),
        lambda catalog: catalog["streams"][0]["stream"].update(name="absent"),
        lambda catalog: catalog.pop("streams"),
    ],
    ids=["sync mode", "stream", "no streams key"],
)
def test_a_wrong_catalog_is_an_error(connector, config, spoil):
    catalog = connector.catalog(config("csv"))
    spoil(catalog)
    output = connector.read(config("csv"), catalog)
    assert output.exit_code == 1
    assert len(output.errors()) == 1
    assert output.errors()[0]["failure_type"] == "config_error"
    assert output.records() == []


def test_files_that_no_glob_matches_are_not_touched(connector, config, testkit):
    testkit.put("untouched/x.csv", file("csv", rows(0, 1)))
    before = len(testkit.requests())
    connector.read(config("jsonl"), connector.catalog(config("jsonl")))
    touched = {request["key"] for request in testkit.requests()[before:] if request.get("key")}
    assert touched == {"jsonl/a.jsonl", "jsonl/b.jsonl"}
