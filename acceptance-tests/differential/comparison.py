"""Our outcomes against the recorded ones, and the reviewed list of differences.

`differences.yaml` says where and why our outcomes differ. It is a list of entries with `reason`, `kind` and `where`, which
maps patterns of cases to patterns of fields (`command.field`), or `cases`, where all fields may differ. `ours.json` records
our values of exactly these fields, so that one difference cannot hide another. It is a failure if a field differs and is not
listed, and if it is listed and does not differ (any more). Two types of entry apply to all cases and are not in `ours.json`:
`ours` has the value that a field always has in our outcomes, and `logs_of_theirs` has texts that only the old connector logs.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import pathlib

import yaml

from differential.normal import difference, dumps, loads, same

HERE = pathlib.Path(__file__).parent
# The kinds of differences, explained in differences.yaml.
KINDS = {
    "data loss", "fixed", "features", "numbers", "state", "cost", "errors", "logs", "security", "telemetry", "not supported",
}  # fmt: skip


def differing(theirs: dict, ours: dict) -> dict[str, object]:
    """The fields of a case that differ, with our values."""
    found = {}
    for command in theirs:
        expected = {**theirs[command], "logs": [text for text in theirs[command]["logs"] if text not in logs_of_theirs()]}
        for field in difference(expected, ours[command]):
            value = ours[command].get(field)
            if (field, dumps(value)) not in always_ours():
                found[f"{command}.{field}"] = value
    return found


@functools.cache
def entries() -> list[dict]:
    return yaml.safe_load((HERE / "differences.yaml").read_text())


@functools.cache
def logs_of_theirs() -> set[str]:
    """Texts that the old connector logs and ours does not."""
    return {text for entry in entries() for text in entry.get("logs_of_theirs", ())}


@functools.cache
def always_ours() -> set[tuple[str, str]]:
    """Fields with the value that they always have with us."""
    return {(field, dumps(value)) for entry in entries() for field, value in entry.get("ours", {}).items()}


@functools.cache
def ours_listed() -> dict[str, dict]:
    """What ours gives where it differs, by case and field."""
    path = HERE / "ours.json"
    return loads(path.read_text()) if path.exists() else {}


def save_ours(listed: dict[str, dict]) -> None:
    lines = []
    for name, fields in sorted(listed.items()):
        values = ",\n".join(f"  {json.dumps(field)}: {dumps(value)}" for field, value in fields.items())
        lines.append(f"{json.dumps(name)}: {{\n{values}}}")
    (HERE / "ours.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def places(entry: dict) -> list[tuple[str, list[str]]]:
    """Patterns of cases, each with the patterns of the fields that may differ there."""
    return [*entry.get("where", {}).items(), *((case, ["*"]) for case in entry.get("cases", ()))]


def entry_of(case: str, field: str) -> dict | None:
    """The entry that explains a field of a case."""
    for entry in entries():
        for cases, fields in places(entry):
            if fnmatch.fnmatchcase(case, cases) and any(fnmatch.fnmatchcase(field, pattern) for pattern in fields):
                return entry
    return None


def problems(case: str, theirs: dict, ours: dict) -> list[str]:
    """What is wrong with our outcome of a case, in sentences. It is empty if the outcome is as recorded or differs as listed."""
    found, listed = differing(theirs, ours), ours_listed().get(case, {})
    said = []
    for field, value in found.items():
        command, _, name = field.partition(".")
        values = f"\n  theirs: {dumps(theirs[command].get(name))}\n  ours:   {dumps(value)}"
        if field not in listed or entry_of(case, field) is None:
            said.append(f"{field} differs, and differences.yaml does not say why:{values}")
        elif not same(value, listed[field]):
            said.append(f"{field} differs in another way than listed:{values}\n  listed: {dumps(listed[field])}")
    for field in listed:
        if field not in found:
            said.append(f"{field} does not differ any more: remove it from the list (record.py --ours)")
    return said
