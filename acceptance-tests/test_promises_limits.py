"""Runs with `on_limit: partial` under every limit, repeated until all is read: progress in each, and no limit passed."""

from __future__ import annotations

import json
import random
import re

import pytest
from promises import COLUMNS, DAY, GIB, PLAIN, Book, catalog, csv_bytes, gz, jsonl_bytes, parquet_bytes, rows, truth

PARTS, FULL = "incremental", "full_refresh"
MODES = pytest.mark.parametrize("mode", [PARTS, FULL])
PRICES = {"REST.GET.BUCKET": 0.005 / 1000, "REST.GET.OBJECT": 0.0004 / 1000, "REST.HEAD.OBJECT": 0.0004 / 1000}
GB_TO_INTERNET = 0.09


def one_text(bucket):
    data = rows(0, 5000)
    bucket.put("a.csv", csv_bytes(data))
    return "csv", data


def one_gzip(bucket):
    data = rows(0, 6000)
    bucket.put("a.jsonl.gz", gz(jsonl_bytes(data)))
    return "jsonl", data


def one_parquet(bucket):
    data = rows(0, 5000)
    bucket.put("a.parquet", parquet_bytes(data, 500))
    return "parquet", data


def small_text(bucket):
    data = rows(0, 600)
    for number in range(30):
        bucket.put(f"{number:02}.csv", csv_bytes(data[number * 20 : number * 20 + 20]), DAY.format(1 + number * 7 % 9))
    return "csv", data


def small_parquet(bucket):
    data = rows(0, 600)
    for number in range(30):
        bucket.put(f"{number:02}.parquet", parquet_bytes(data[number * 20 : number * 20 + 20]), DAY.format(1 + number * 7 % 9))
    return "parquet", data


def mixed_sizes(bucket):
    chance, data = random.Random(7), []
    for number in range(12):
        part = rows(len(data), int(10 ** chance.uniform(0.5, 3.4)))
        data += part
        bucket.put(f"{number:02}.csv", csv_bytes(part), DAY.format(1 + chance.randint(0, 3)))
    return "csv", data


def many_pages(bucket):
    data = rows(0, 2300, PLAIN, 0)
    for number in range(2300):
        inside = number % 100 == 0
        bucket.put(f"{'in' if inside else 'out'}/{number:05}.csv", csv_bytes(data[number : number + 1]) if inside else b"")
    return "csv", data[::100]


# What a listing shows, and then what a footer shows, may each raise the limit that is known to be needed.
ROUNDS = 3
LAKES = [one_text, one_gzip, one_parquet, small_text, small_parquet, mixed_sizes]
GLOBS = {many_pages: ["*n/**"]}


def cost(run, internet: bool) -> float:
    """What the log of the server says that the run cost."""
    requests = sum(PRICES.get(entry["operation"], 0.005 / 1000) for entry in run.requests)
    return requests + (sum(entry["bytes_sent"] for entry in run.requests) / GIB * GB_TO_INTERNET if internet else 0)


def least(run, limit: str) -> float:
    """The least sufficient value that the error names."""
    found = re.search(rf"`{limit}` to ([0-9.e-]+)", run.errors)
    assert found, f"the refusal does not say how high `{limit}` must be\n{run}"
    return float(found[1].rstrip("."))


def within(run, limit: str, value: float, internet: bool = False) -> None:
    spent = {
        "max_requests": run.count,
        "max_data_size_gb": run.body_bytes / GIB,
        "max_files_per_run": len({record["_ab_source_file_url"] for record in run.records}),
        "cost_limit_usd": cost(run, internet),
    }[limit]
    assert spent <= value * (1 + 1e-9), f"{limit} is {value}, but the server saw {spent}\n{run}"


def until_done(bucket, config: dict, columns: dict, limit: str, value: float, expected: set, internet: bool = False,
               most: int = 60) -> tuple[Book, list[float]]:  # fmt: skip
    """Repeats a limited run until all rows are there. A refused run gets the limit that it asks for, and must get on with it."""
    book, state, raised, asked = Book(), None, [], 0
    for _ in range(most):
        before = len(book.kept)
        run = book.add(bucket.read({**config, limit: value, "on_limit": "partial"}, columns, state))
        within(run, limit, value, internet)
        state = run.states or state
        if len(book.kept) == len(expected):
            break
        if run.exit_code:
            wanted = least(run, limit)
            assert asked < ROUNDS, f"{limit} {value} is what the refusal before asked for; now {wanted} is asked for\n{run}"
            assert wanted > value, f"{limit} is {value}, and the refusal asks for {wanted}\n{run}"
            raised.append(wanted)
            value, asked = int(wanted) if limit in ("max_requests", "max_files_per_run") else wanted, asked + 1
        else:
            assert len(book.kept) > before, f"a run without progress under {limit} {value}\n{run}"
            value, asked = value * 2 if asked else value, 0
    book.assert_whole(expected, once=True)
    return book, raised


@pytest.mark.parametrize("lake", LAKES, ids=lambda lake: lake.__name__)
@pytest.mark.parametrize(("value", "mode"), [(1, FULL), (2, PARTS), (5, FULL)])
def test_max_requests(bucket, lake, value, mode):
    kind, data = lake(bucket)
    until_done(bucket, bucket.config(filetype=kind), catalog(COLUMNS, mode), "max_requests", value, truth(data))


@pytest.mark.parametrize("lake", LAKES, ids=lambda lake: lake.__name__)
@pytest.mark.parametrize(("value", "mode"), [(1_000, PARTS), (50_000, FULL), (400_000, FULL)])
def test_max_data_size(bucket, lake, value, mode):
    kind, data = lake(bucket)
    until_done(bucket, bucket.config(filetype=kind), catalog(COLUMNS, mode), "max_data_size_gb", value / GIB, truth(data))


@pytest.mark.parametrize("lake", [small_text, small_parquet, mixed_sizes], ids=lambda lake: lake.__name__)
@pytest.mark.parametrize("value", [1, 4])
def test_max_files(bucket, lake, value):
    kind, data = lake(bucket)
    until_done(bucket, bucket.config(filetype=kind), catalog(COLUMNS), "max_files_per_run", value, truth(data))


@pytest.mark.parametrize("lake", LAKES, ids=lambda lake: lake.__name__)
@pytest.mark.parametrize(("value", "mode"), [(0.000001, PARTS), (0.0000062, FULL), (0.00025, PARTS)])
@pytest.mark.parametrize("network", ["same_region", "internet"])
def test_cost_limit(bucket, lake, value, network, mode):
    kind, data = lake(bucket)
    config = bucket.config(filetype=kind, price_table="aws", network=network)
    until_done(bucket, config, catalog(COLUMNS, mode), "cost_limit_usd", value, truth(data), network == "internet")


def test_a_listing_of_many_pages(bucket):
    """Only every hundredth key belongs to the stream, and the glob begins with no literal text."""
    kind, data = many_pages(bucket)
    for value, mode in ((1, PARTS), (2, FULL), (3, PARTS), (4, PARTS), (6, FULL)):
        until_done(bucket, bucket.config(GLOBS[many_pages]), catalog(COLUMNS, mode), "max_requests", value, truth(data))


# --- the least sufficient limit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lake", [one_text, one_gzip, one_parquet, small_text], ids=lambda lake: lake.__name__)
@pytest.mark.parametrize("limit", ["max_requests", "max_data_size_gb"])
@MODES
def test_the_limit_that_a_refusal_names_is_the_least_sufficient_one(bucket, lake, limit, mode):
    kind, data = lake(bucket)
    columns = catalog(COLUMNS, mode)
    tiny = 1 if limit == "max_requests" else 100 / GIB
    config = bucket.config(filetype=kind, on_limit="partial")
    one = bucket.read({**config, limit: tiny}, columns)
    assert one.exit_code, str(one)
    wanted = least(one, limit)
    value = int(wanted) if limit == "max_requests" else wanted
    enough = bucket.read({**config, limit: value}, columns)
    if lake is one_parquet and limit == "max_data_size_gb":
        # How long the first row group is only the footer tells, for which this limit was asked.
        assert enough.exit_code, str(enough)
        value = least(enough, limit)
        enough = bucket.read({**config, limit: value}, columns)
    assert enough.exit_code == 0 and enough.committed, f"{limit} = {value} is what the refusal asked for\n{enough}"
    within(enough, limit, value)
    below = value - 1 if limit == "max_requests" else value * 0.95
    less = bucket.read({**config, limit: below}, columns)
    assert less.exit_code or not less.committed, f"{limit} = {below} is enough as well, but {value} was asked for\n{less}"


# --- limits that refuse -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lake", [*LAKES], ids=lambda lake: lake.__name__)
@pytest.mark.parametrize("network", ["same_region", "internet"])
def test_what_an_estimate_allows_a_read_allows(bucket, lake, network):
    """A limit a little above the upper end of the estimate is enough; one below the lower end is refused by both."""
    kind, data = lake(bucket)
    config, columns = bucket.config(filetype=kind, price_table="aws", network=network), catalog(COLUMNS)
    done = bucket.command(*bucket.arguments("estimate", config, columns), "--json")
    position = json.loads(done.stdout)["positions"][0]
    assert done.returncode == 0 and position["network"] == network, done.stdout
    quantity = {line["usage_type"].split("-")[-1]: line["high_quantity"] for line in position["lines"]}
    limits = {
        "cost_limit_usd": position["high_usd"] * 1.02,
        "max_requests": quantity["Tier1"] + quantity["Tier2"],
        "max_data_size_gb": quantity["Bytes"] * 1.02 / GIB,
    }
    for limit, value in limits.items():
        allowed = bucket.command(*bucket.arguments("estimate", {**config, limit: value}, columns), "--json").returncode == 0
        run = bucket.read({**config, limit: value}, columns)
        if network == "internet" and limit == "cost_limit_usd" and not allowed:
            # While a page is listed, the most that a page can cost is set aside.
            assert value < 0.0002 and run.exit_code and not run.records, str(run)
            continue
        assert allowed and run.exit_code == 0, f"{limit} {value} is above what the estimate says, but the run is refused\n{run}"
        assert {tuple(record.get(name) for name in COLUMNS) for record in run.committed} == truth(data)
        within(run, limit, value, network == "internet")
    low = {"cost_limit_usd": position["low_usd"] * 0.5, "max_requests": 1, "max_data_size_gb": 0.5 * quantity["Bytes"] / GIB}
    refused = bucket.command(*bucket.arguments("estimate", {**config, **low}, columns), "--json")
    answer = json.loads(refused.stdout)
    assert refused.returncode == 3 and answer["refused"] and set(answer["limits_passed"]) == set(low), refused.stdout[-1500:]
    run = bucket.read({**config, **low}, columns)
    named = set(re.findall(r"cost_limit_usd|max_requests|max_data_size_gb", run.errors))
    # Where not even the first LIST can be paid, nothing is known of the requests and bytes after it.
    listing = 0.0002 if network == "internet" else 0.000005
    unlisted = low["cost_limit_usd"] < listing and named == {"cost_limit_usd"}
    assert run.exit_code and not run.records and (named == set(low) or unlisted), str(run)
