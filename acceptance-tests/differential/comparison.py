"""Our outcomes against the recorded ones, and the reviewed list of differences.

`differences.yaml` says why and where ours differs: a list of entries with `reason`, `decision` and `where`, which maps
patterns of cases to patterns of fields (`command.field`). `ours.json` holds what ours gives in exactly these fields, so that
a difference cannot hide another. A field that differs and is not there, and one that is there and does not differ (any
more), are both failures.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import pathlib

import yaml

from differential.normal import difference, dumps, loads, same

HERE = pathlib.Path(__file__).parent


def differing(theirs: dict, ours: dict) -> dict[str, object]:
    """The fields of a case that differ, with our values."""
    found = {}
    for command in theirs:
        for field in difference(theirs[command], ours[command]):
            found[f"{command}.{field}"] = ours[command].get(field)
    return found


@functools.cache
def entries() -> list[dict]:
    return yaml.safe_load((HERE / "differences.yaml").read_text())


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


def entry_of(case: str, field: str) -> dict | None:
    """The entry that explains a field of a case."""
    for entry in entries():
        for cases, fields in entry["where"].items():
            if fnmatch.fnmatchcase(case, cases) and any(fnmatch.fnmatchcase(field, pattern) for pattern in fields):
                return entry
    return None


def problems(case: str, theirs: dict, ours: dict) -> list[str]:
    """What is wrong with our outcome of a case, in sentences. Empty: it is as recorded, or differs as the list says."""
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
            said.append(f"{field} does not differ any more: take it out of the list (record.py --ours)")
    return said
