#!/usr/bin/env python3
"""`make differential-record`: runs the table with the connector we replace and keeps its outcomes in `recorded/`.

    python record.py [--all] [FILTER]
    python record.py --ours

Only cases that are new or changed are run, unless --all is given. The old connector is installed by
`make differential-peer`, or named by $AIRBYTE_SOURCE_S3_PYTHON. Review what it writes like any other change.

With --ours it runs our binary ($TOLLGATE_BIN) instead and writes `ours.json`: what differs where `differences.yaml` says that
something may. What differs elsewhere is printed, and stays out.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "scripts")]

import lab  # noqa: E402
from differential import comparison, connectors, recording  # noqa: E402
from differential.normal import dumps  # noqa: E402
from differential.table import cases  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true", help="also cases that did not change")
    parser.add_argument("filter", nargs="?", default="", help="only cases with this text in their name")
    parser.add_argument("--ours", action="store_true", help="write our side of the listed differences")
    options = parser.parse_args()
    if options.ours:
        return ours()
    python = connectors.peer_python()
    if python is None:
        raise SystemExit(f"{connectors.PEER} is not installed: run `make differential-peer`")
    known = recording.load()
    wanted = [
        case for case in cases().values()
        if options.filter in case.id and (options.all or known.get(case.id, {}).get("case") != case.fingerprint)
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        with lab.Testkit(folder / "testkit", "differential") as server:
            peer = connectors.Peer(python, folder / "peer")
            try:
                for number, case in enumerate(wanted):
                    print(f"{number + 1}/{len(wanted)} {case.id}", flush=True)
                    outcomes = connectors.run_case(case, peer, server, folder / str(number), None)
                    known[case.id] = {"case": case.fingerprint, "outcomes": outcomes}
            finally:
                recording.save({name: known[name] for name in cases() if name in known})
                peer.stop()


def ours() -> None:
    recorded, listed = recording.load(), {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        connector = connectors.Ours(lab.executable("TOLLGATE_BIN", "tollgate"))
        with lab.Testkit(folder / "testkit", "differential") as server:
            for case in cases().values():
                theirs = recorded[case.id]["outcomes"]
                discovered = theirs.get("discover", {}).get("catalog")
                outcomes = connectors.run_case(case, connector, server, folder / connectors.folder_of(case), discovered)
                found = comparison.differing(theirs, outcomes)
                for field in [field for field in found if comparison.entry_of(case.id, field) is None]:
                    print(f"not explained: {case.id} {field}: {dumps(found.pop(field))[:300]}")
                if found:
                    listed[case.id] = found
    comparison.save_ours(listed)


if __name__ == "__main__":
    main()
