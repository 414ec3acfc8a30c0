"""The connector against the one it replaces, case by case: differential/table.py says what a case is.

`recorded` compares with outcomes that were recorded once (`make differential-record`); `live` runs both side by side, where
the old connector is installed (`make differential-peer`).
"""

from __future__ import annotations

import fnmatch
import os
from concurrent import futures

import pytest
from differential import comparison, connectors, recording
from differential.normal import LOGS, difference, dumps
from differential.table import cases

import lab

TABLE = cases()
LIVE = [case for case in TABLE.values() if case.live]
MISSING = None if connectors.peer_python() else f"{connectors.PEER} is not installed here: run `make differential-peer`"
# The parts of the old connector's behaviour, each of which needs a case.
TOPICS = (
    "specification", "root parameters", "stream parameters", "format options", "credentials", "old configurations", "messages",
    "check", "discover", "full refresh", "incremental", "logs", "failures", "validation policy", "state", "CSV values",
    "JSON values", "Parquet values", "Avro values", "Excel and compression", "globs",
)  # fmt: skip


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict]:
    return recording.load()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with lab.Testkit(tmp_path_factory.mktemp("differential"), "differential") as server:
        yield server


@pytest.fixture(scope="module")
def outcomes(request, server, program, recorded, tmp_path_factory):
    """Our outcomes of the cases that were chosen, run side by side; the ones with faults take turns on a server of their own."""
    folder, connector = tmp_path_factory.mktemp("cases"), connectors.Ours(program)

    def run(case, server):
        discovered = recorded.get(case.id, {}).get("outcomes", {}).get("discover", {}).get("catalog")
        return connectors.run_case(case, connector, server, folder / connectors.folder_of(case), discovered)

    chosen = [item.callspec.params["name"] for item in request.session.items if item.name.startswith("test_as_recorded[")]
    with (
        lab.Testkit(tmp_path_factory.mktemp("faulty"), "differential") as faulty,
        futures.ThreadPoolExecutor(os.cpu_count()) as together,
        futures.ThreadPoolExecutor(1) as in_turns,
    ):
        cases = [TABLE[name] for name in chosen]
        yield {
            case.id: in_turns.submit(run, case, faulty) if case.faults else together.submit(run, case, server) for case in cases
        }
        for pool in (together, in_turns):
            pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    if MISSING:
        pytest.skip(f"not compared live: {MISSING}")
    peer = connectors.Peer(connectors.peer_python(), tmp_path_factory.mktemp("peer"))
    yield peer
    peer.stop()


@pytest.mark.parametrize("name", TABLE)
def test_as_recorded(name, recorded, outcomes):
    case = TABLE[name]
    entry = recorded.get(name)
    assert entry and entry["case"] == case.fingerprint, "the case is new or was changed: run `make differential-record`"
    problems = comparison.problems(name, entry["outcomes"], outcomes[name].result())
    assert not problems, f"{name} ({case.about or case.topic}):\n" + "\n".join(problems)


@pytest.mark.parametrize("name", [case.id for case in LIVE])
def test_live(name, recorded, server, peer, tmp_path):
    """The recording is still what the old connector does, on this server, today."""
    outcomes = connectors.run_case(TABLE[name], peer, server, tmp_path, None)
    for command, outcome in recorded[name]["outcomes"].items():
        fields = difference(outcome, outcomes[command])
        assert not fields, f"{name}, {command}: " + "; ".join(
            f"{field}: recorded {dumps(outcome.get(field))}, now {dumps(outcomes[command].get(field))}" for field in fields
        )


def test_the_table_covers_what_was_observed():
    assert len(TABLE) >= 150
    covered = {case.topic for case in TABLE.values()}
    assert covered == set(TOPICS), f"no case for {set(TOPICS) - covered}, or no topic {covered - set(TOPICS)}"
    assert len({case.bucket for case in TABLE.values()}) == len(TABLE), "two cases share a bucket"
    assert 25 <= len(LIVE) <= 40


def test_texts_that_people_search_the_logs_for_are_logged_or_listed(recorded):
    """Each text is logged by the old connector in some case, and there by ours too, except those that the list of differences
    names."""
    logged = {text for entry in recorded.values() for outcome in entry["outcomes"].values() for text in outcome["logs"]}
    known = {name for name, _ in LOGS}
    assert known == logged, "a text that no case shows, or one that has no class"
    assert comparison.logs_of_theirs() < known
    ours = known - comparison.logs_of_theirs()
    assert {"check succeeded", "starting", "started", "running", "stopped", "syncing", "read", "finished", "listed", "cast",
            "default schema", "parse error", "unreachable", "older than synced", "skipped records",
            "sample cut", "few files inferred", "stopped by policy"} <= ours  # fmt: skip


def test_every_difference_is_explained_and_every_explanation_is_used():
    listed = [(case, field) for case, fields in comparison.ours_listed().items() for field in fields]
    assert not [where for where in listed if where[0] not in TABLE]
    assert not [where for where in listed if comparison.entry_of(*where) is None]
    for entry in comparison.entries():
        assert entry["reason"] and entry["kind"] in comparison.KINDS, entry
        for pattern, fields in comparison.places(entry):
            for field in fields:
                used = any(fnmatch.fnmatchcase(case, pattern) and fnmatch.fnmatchcase(found, field) for case, found in listed)
                assert used, f"{entry['reason']}: nothing differs at {pattern} {field}"
