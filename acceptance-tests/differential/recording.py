"""The recorded outcomes of the old connector: a JSON file for each group, a line for each command."""

from __future__ import annotations

import json
import pathlib

from differential.normal import dumps, loads

FOLDER = pathlib.Path(__file__).parent / "recorded"


def load() -> dict[str, dict]:
    """What is recorded, by case."""
    found: dict[str, dict] = {}
    for path in sorted(FOLDER.glob("*.json")):
        found.update({f"{path.stem}/{name}": entry for name, entry in loads(path.read_text()).items()})
    return found


def save(recorded: dict[str, dict]) -> None:
    """Writes all groups anew."""
    FOLDER.mkdir(exist_ok=True)
    groups: dict[str, dict] = {}
    for name, entry in recorded.items():
        group, _, case = name.partition("/")
        groups.setdefault(group, {})[case] = entry
    for path in FOLDER.glob("*.json"):
        if path.stem not in groups:
            path.unlink()
    for group, entries in groups.items():
        (FOLDER / f"{group}.json").write_text(text_of(entries))


def text_of(entries: dict) -> str:
    lines = []
    for name, entry in entries.items():
        commands = ",\n".join(f"  {json.dumps(command)}: {dumps(outcome)}" for command, outcome in entry["outcomes"].items())
        lines.append(f'{json.dumps(name)}: {{"case": {json.dumps(entry["case"])}, "outcomes": {{\n{commands}}}}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"
