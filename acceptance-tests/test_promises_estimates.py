"""Random buckets: the requests and bytes that a read takes lie inside the interval of its estimate.

`TOLLGATE_ESTIMATE_CASES` sets how many buckets of each family are tried; the seeds begin at 0.
"""

from __future__ import annotations

import json
import os
import random
import string

import pytest
from promises import DAY, catalog, csv_bytes, gz, jsonl_bytes, rows

CASES = int(os.environ.get("TOLLGATE_ESTIMATE_CASES", "12"))
TYPES = {"id": "integer", "kind": "string", "day": "string", "amount": "number", "note": "string", "extra": "string"}


def log_uniform(chance: random.Random, low: float, high: float) -> int:
    return round(10 ** chance.uniform(low, high))


def text_bucket(bucket, chance: random.Random) -> tuple[dict, dict]:
    kind = chance.choice(["csv", "jsonl"])
    start = 0
    for number in range(chance.randint(1, 40)):
        data = rows(start, log_uniform(chance, 0, 3.2), fill=chance.choice([0, 20, 128]))
        start += len(data)
        body = csv_bytes(data) if kind == "csv" else jsonl_bytes(data)
        suffix = chance.choice(["", "", ".gz"])
        bucket.put(f"{chance.choice('abc')}/{number}.{kind}{suffix}", gz(body) if suffix else body, DAY.format(chance.randint(1, 9)))
    if chance.random() < 0.3:
        bucket.put("empty." + kind, b"", DAY.format(2))
    root = chance.choice([{}, {}, {"start_date": DAY.format(4)}, {"dev_max_files": 3}, {"dev_sampling": 0.3}])
    stream = {"filetype": kind}, chance.choice([["**"], ["a/*", "b/*"]])
    return bucket.config(stream[1], stream=None, filetype=kind, **root), catalog(("id", "text", "amount"))


def table(chance: random.Random, number: int, count: int, clustered: bool, columns: list[str]):
    import pyarrow

    day = f"2024-{1 + number % 12:02}-{1 + number % 28:02}"
    values = {
        "id": [number * 100_000 + row for row in range(count)],
        "kind": [f"k{number % 7}" if clustered else f"k{chance.randint(0, 6)}" for _ in range(count)],
        "day": [day if clustered else f"2024-01-{chance.randint(1, 28):02}" for _ in range(count)],
        "amount": [chance.random() for _ in range(count)],
        "note": ["".join(chance.choices(string.ascii_letters, k=chance.randint(5, 60))) for _ in range(count)],
        "extra": ["x" * chance.randint(0, 9) for _ in range(count)],
    }
    return pyarrow.table({name: values[name] for name in columns})


def parquet_bucket(bucket, chance: random.Random) -> tuple[dict, dict]:
    import io

    import pyarrow.parquet

    clustered, growing = chance.random() < 0.6, chance.random() < 0.3
    files = chance.randint(1, 40)
    for number in range(files):
        columns = list(TYPES)[: 3 + 3 * number // files] if growing else list(TYPES)
        content = table(chance, number, log_uniform(chance, 0, 3.3), clustered, columns)
        output = io.BytesIO()
        pyarrow.parquet.write_table(content, output, row_group_size=chance.choice([50, 500, 5000]), compression=chance.choice(["none", "snappy", "zstd"]),
                                    write_page_index=chance.random() < 0.4)  # fmt: skip
        folder = chance.choice(["", f"date=2024-01-{1 + number % 9:02}/"])
        bucket.put(f"{folder}{number:03}.parquet", output.getvalue(), DAY.format(chance.randint(1, 9)))
    fields: dict = {}
    if chance.random() < 0.6:
        fields["parquet_filters"] = chance.choice([
            [["kind", "=", f"k{chance.randint(0, 7)}"]],
            [["id", ">=", chance.randint(0, files) * 100_000]],
            [["day", "<", "2024-03-01"]],
            [["id", "in", [chance.randint(0, files) * 100_000 + 1]]],
            [["amount", ">", 0.99]],
        ])  # fmt: skip
    if chance.random() < 0.5:
        fields["parquet_columns"] = ["id", *chance.sample(["kind", "day", "amount", "note"], 2)]
    return bucket.config(filetype="parquet", stream=fields), catalog(TYPES)


FAMILIES = {"text": text_bucket, "parquet": parquet_bucket}


def judge(bucket, config: dict, columns: dict) -> list[str]:
    """What of the actual run lies outside of the estimate's interval."""
    done = bucket.command(*bucket.arguments("estimate", config, columns), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    asked = bucket.requests()
    answer = json.loads(done.stdout)
    own = {line["usage_type"].split("-")[-1]: line["quantity"] for line in answer["estimating"]["lines"]}
    own_requests = own.get("Tier1", 0) + own.get("Tier2", 0)
    problems = []
    if own_requests != len(asked):
        problems.append(f"the estimate says that it sent {own_requests} requests, the server saw {len(asked)}")
    run = bucket.read(config, columns)
    assert run.exit_code == 0, str(run)
    lists = sum(entry["operation"] == "REST.GET.BUCKET" for entry in run.requests)
    actual = {
        "Tier1": lists,
        "Tier2": len(run.requests) - lists,
        "Bytes": sum(entry["bytes_sent"] for entry in run.requests),
    }
    for position in answer["positions"]:
        lines = {line["usage_type"].split("-")[-1]: line for line in position["lines"]}
        for name, value in actual.items():
            line = lines.get(name, {"low_quantity": 0, "high_quantity": 0, "quantity": 0})
            # Bytes in the same region are those of objects; to the internet, those of listings count too.
            if not line["low_quantity"] <= value <= line["high_quantity"]:
                problems.append(f"{position['network']} {name}: {value} is not in {line['low_quantity']} … {line['high_quantity']} ({line['quantity']})")
    return problems


@pytest.mark.parametrize("seed", range(CASES))
@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_random_bucket_costs_what_its_estimate_says(bucket, family, seed):
    chance = random.Random(f"{family} {seed}")
    config, columns = FAMILIES[family](bucket, chance)
    problems = judge(bucket, config, columns)
    assert not problems, "\n".join([*problems, json.dumps(config["streams"])])
