"""Partition filters: every spelling of a date, in the filter and in the folders, against a model of which keys match."""

from __future__ import annotations

import calendar
import datetime
import random

import pytest
from promises import COLUMNS, DAY, FILE, Book, catalog, csv_bytes, plain, rows, truth

DAYS = [datetime.date(2023, 12, 30) + datetime.timedelta(days=n) for n in (0, 1, 2, 3, 5, 6, 7, 11, 16, 32, 33, 34, 62)]
SPELLINGS = {
    "iso": lambda day: day.isoformat(),
    "short": lambda day: f"{day.year}-{day.month}-{day.day}",
    "compact": lambda day: day.strftime("%Y%m%d"),
    "underscores": lambda day: day.strftime("%Y_%m_%d"),
    "time": lambda day: day.strftime("%Y-%m-%d 00:00:00"),
}
FILTER_SPELLINGS = {**SPELLINGS, "slashes": lambda day: day.strftime("%Y/%m/%d"), "T": lambda day: day.strftime("%Y-%m-%dT00:00:00Z")}
NAMES = ("date", "dt", "ds", "event_date", "day", "load_date")


class Layout:
    """Where a day's files lie, how the configuration tells it, and the name that a filter has for the date."""

    def __init__(self, name: str, folder, fields: dict | None = None, column: str = "date"):
        self.name, self.folder, self.fields, self.column = name, folder, fields or {}, column

    def key(self, day: datetime.date, file: str = "a.csv") -> str:
        return f"lake/{self.folder(day)}/{file}"


def hive(column: str, spelling: str) -> Layout:
    return Layout(f"{column}={spelling}", lambda day: f"{column}={SPELLINGS[spelling](day)}", column=column)


LAYOUTS = [
    *(hive(column, "iso") for column in NAMES),
    *(hive("date", spelling) for spelling in SPELLINGS if spelling != "iso"),
    hive("dt", "compact"),
    hive("event_date", "short"),
    Layout("mixed spellings", lambda day: "date=" + list(SPELLINGS.values())[day.toordinal() % 4](day)),
    Layout("year=/month=/day=", lambda day: f"year={day.year}/month={day.month:02}/day={day.day:02}"),
    Layout("year=/month=/day= short", lambda day: f"year={day.year}/month={day.month}/day={day.day}"),
    Layout("folders by keys", lambda day: f"{day.year}/{day.month:02}/{day.day:02}", {"partition_keys": ["year", "month", "day"]}),
    Layout("short folders by keys", lambda day: f"{day.year}/{day.month}/{day.day}", {"partition_keys": ["year", "month", "day"]}),
    Layout("folders by template", lambda day: f"{day.year}/{day.month:02}/{day.day:02}", {"partition_template": "{year}/{month}/{day}/"}),
    Layout("one folder by template", lambda day: day.isoformat(), {"partition_template": "{date}/"}),
    Layout("one short folder by template", lambda day: SPELLINGS["short"](day), {"partition_template": "{date}/"}),
    Layout("one compact folder by template", lambda day: SPELLINGS["compact"](day), {"partition_template": "{date}/"}),
    Layout("hive folder by template", lambda day: f"dt={day}", {"partition_template": "{dt}/"}, "dt"),
    Layout("region before the date", lambda day: f"region=r{day.day % 3}/date={day}"),
    Layout("hour behind the date", lambda day: f"date={day}/hour={day.day % 24:02}"),
    Layout("typed", lambda day: f"date={SPELLINGS['short'](day)}", {"partition_types": {"date": "date"}}),
]  # fmt: skip


def spelled(chance: random.Random, day: datetime.date, moment: bool = True) -> str:
    """A day in any spelling. One with a time is a moment, which is not all of its day: not for all tests."""
    return FILTER_SPELLINGS[chance.choice([name for name in FILTER_SPELLINGS if moment or name not in ("time", "T")])](day)


def random_filter(chance: random.Random):
    """A condition on a date as a configuration has it, and the same as a test on the first and last day of a folder."""
    one, two = sorted(chance.sample([*DAYS, datetime.date(2024, 1, 20), datetime.date(2024, 2, 3)], 2))
    few = chance.sample(DAYS, 3)
    return chance.choice([
        (spelled(chance, few[0]), lambda first, last: first <= few[0] <= last),
        ([spelled(chance, day) for day in few], lambda first, last: any(first <= day <= last for day in few)),
        ({"in": [spelled(chance, day) for day in few]}, lambda first, last: any(first <= day <= last for day in few)),
        ({"eq": spelled(chance, one)}, lambda first, last: first <= one <= last),
        ({"ne": spelled(chance, few[0], False)}, lambda first, last: (first, last) != (few[0], few[0])),
        ({"not_in": [spelled(chance, day, False) for day in few]}, lambda first, last: first != last or first not in few),
        ({"gte": spelled(chance, one)}, lambda first, last: last >= one),
        ({"gt": spelled(chance, one, False)}, lambda first, last: last > one),
        ({"lt": spelled(chance, two)}, lambda first, last: first < two),
        ({"lte": spelled(chance, two)}, lambda first, last: first <= two),
        ({"gte": spelled(chance, one), "lt": spelled(chance, two)}, lambda first, last: last >= one and first < two),
        ({"gt": spelled(chance, one, False), "lte": spelled(chance, two)}, lambda first, last: last > one and first <= two),
    ])  # fmt: skip


def fill(bucket, layout: Layout) -> dict[str, datetime.date]:
    keys = {}
    for number, day in enumerate(DAYS):
        key = layout.key(day)
        bucket.put(key, csv_bytes(rows(number * 10, 2)))
        keys[key] = day
    return keys


def names(run) -> set[str]:
    return {record[FILE] for record in run.committed}


def read(bucket, layout: Layout, condition, column: str | None = None, state=None, mode="incremental", **fields):
    """Reads with a condition on the layout's date."""
    fields = {**layout.fields, **fields}
    if condition is not None:
        fields["partition_filter"] = {column or layout.column: condition}
    return bucket.read(bucket.config(["lake/**"], stream=fields), catalog((*COLUMNS, layout.column), mode), state)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_filters_select_what_the_model_selects(bucket, layout):
    keys = fill(bucket, layout)
    chance = random.Random(layout.name)
    for _ in range(4):
        condition, test = random_filter(chance)
        run = read(bucket, layout, condition)
        wanted = {key for key, day in keys.items() if test(day, day)}
        assert run.exit_code == 0, f"{condition}\n{run}"
        assert names(run) == wanted, f"{condition}: lacks {sorted(wanted - names(run))}, has too many {sorted(names(run) - wanted)}\n{run}"
        if not wanted:
            assert run.levels("WARN"), f"{condition} matches nothing, without a warning\n{run}"


@pytest.mark.parametrize("seed", range(4))
def test_folders_of_months_and_years_are_read_where_they_can_hold_wanted_days(bucket, seed):
    spans = {f"lake/date={day}/a.csv": (day, day) for day in DAYS}
    for year, month in ((2023, 12), (2024, 1), (2024, 2), (2024, 5)):
        last = calendar.monthrange(year, month)[1]
        spans[f"lake/date={year}-{month:02}/a.csv"] = (datetime.date(year, month, 1), datetime.date(year, month, last))
    for year in (2022, 2023, 2024):
        spans[f"lake/date={year}/a.csv"] = (datetime.date(year, 1, 1), datetime.date(year, 12, 31))
    for number, key in enumerate(spans):
        bucket.put(key, csv_bytes(rows(number * 10, 2)))
    chance = random.Random(seed)
    for _ in range(6):
        condition, test = random_filter(chance)
        run = read(bucket, LAYOUTS[0], condition)
        wanted = {key for key, span in spans.items() if test(*span)}
        assert run.exit_code == 0, f"{condition}\n{run}"
        assert names(run) == wanted, f"{condition}: lacks {sorted(wanted - names(run))}, has too many {sorted(names(run) - wanted)}"


@pytest.mark.parametrize("layout", LAYOUTS[:1] + LAYOUTS[5:8] + [LAYOUTS[-7]], ids=lambda layout: layout.name)
@pytest.mark.parametrize("null", ["__HIVE_DEFAULT_PARTITION__"])
def test_null_partitions(bucket, layout, null):
    keys = fill(bucket, layout)
    hole = f"lake/{layout.column + '=' if '=' in layout.folder(DAYS[0]) else ''}{null}/a.csv"
    bucket.put(hole, csv_bytes(rows(900, 2)))
    for condition, test, with_null in (
        ([DAYS[2].isoformat(), None], lambda day: day == DAYS[2], True),
        (None, lambda day: True, True),
        ({"eq": DAYS[2].isoformat()}, lambda day: day == DAYS[2], False),
        ({"in": [None]}, lambda day: False, True),
        ({"gte": DAYS[4].isoformat()}, lambda day: day >= DAYS[4], False),
    ):
        run = read(bucket, layout, condition)
        wanted = {key for key, day in keys.items() if test(day)} | ({hole} if with_null else set())
        assert run.exit_code == 0 and names(run) == wanted, f"{condition}: {sorted(names(run) ^ wanted)} differ\n{run}"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("value", ["latest", "2024-13-45", ["2024-01-05", "soon"], {"gte": "last week"}], ids=str)
def test_a_filter_that_is_no_date_is_a_configuration_error_that_names_it(bucket, layout, value):
    if LAYOUTS.index(layout) % 2 and value != "latest":
        pytest.skip("every other layout is enough here")
    fill(bucket, layout)
    run = read(bucket, layout, value)
    wrong = value["gte"] if isinstance(value, dict) else value[1] if isinstance(value, list) else value
    assert run.exit_code != 0 and not run.records, f"{value} is accepted\n{run}"
    assert run.error_kinds == ["config_error"] or set(run.error_kinds) == {"config_error"}, str(run)
    assert wrong in run.errors, f"the error does not name {wrong}: {run.errors}"
    checked = bucket.command("check", "--config", bucket.file(
        bucket.config(["lake/**"], stream={**layout.fields, "partition_filter": {layout.column: value}})))  # fmt: skip
    assert '"status":"FAILED"' in checked.stdout and wrong in checked.stdout, checked.stdout[-1500:]


@pytest.mark.parametrize("layout", LAYOUTS[:1] + LAYOUTS[6:8] + LAYOUTS[-6:-4], ids=lambda layout: layout.name)
@pytest.mark.parametrize("policy", ["fail", "skip"])
@pytest.mark.parametrize("how", ["partition_filter", "parquet_filters"])
def test_a_key_that_does_not_fit_is_handled_by_on_error(bucket, layout, policy, how):
    keys = fill(bucket, layout)
    odd = f"lake/{layout.column + '=' if '=' in layout.folder(DAYS[0]) else ''}someday/a.csv"
    bucket.put(odd, csv_bytes(rows(900, 2)))
    day = DAYS[4].isoformat()
    fields = {"partition_filter": {layout.column: {"gte": day}}}
    if how == "parquet_filters":
        fields = {"parquet_filters": [[layout.column, ">=", day]], "partition_columns": "all", "partition_types": {layout.column: "date"}}
    run = read(bucket, layout, None, on_error=policy, **fields)
    assert names(run) == {key for key, value in keys.items() if value >= DAYS[4]}, str(run)
    assert (run.exit_code == 0) == (policy == "skip"), str(run)
    assert odd in run.errors + run.log or "someday" in run.errors + run.log, f"nobody names {odd}\n{run}"


@pytest.mark.parametrize(("folders", "condition", "wanted"), [
    ("month=1 2 10 12", {"month": {"gte": 2, "lt": 12}}, {"2", "10"}),
    ("month=01 02 10 12", {"month": {"gte": 2, "lt": 12}}, {"02", "10"}),
    ("month=1 02 10", {"month": [1, 2]}, {"1", "02"}),
    ("region=eu us null", {"region": ["eu", "us"]}, {"eu", "us"}),
    ("region=eu us EU", {"region": {"ne": "us"}}, {"eu", "EU"}),
    ("tier=1.5 2 10.25", {"tier": {"gt": 1.5}}, {"2", "10.25"}),
    ("live=true false", {"live": True}, {"true"}),
], ids=str)  # fmt: skip
def test_partitions_of_other_types(bucket, folders, condition, wanted):
    column, _, values = folders.partition("=")
    for number, value in enumerate(values.split()):
        bucket.put(f"lake/{column}={value}/a.csv", csv_bytes(rows(number * 10, 2)))
    kind = {"month": "integer", "region": "string", "tier": "number", "live": "boolean"}[column]
    fields = {"partition_types": {column: kind}, "partition_filter": condition}
    run = bucket.read(bucket.config(["lake/**"], stream=fields), catalog((*COLUMNS, column)))
    assert run.exit_code == 0 and {name.split("=")[1].split("/")[0] for name in names(run)} == wanted, str(run)


LOOKBACK = [layout for layout in LAYOUTS if "typed" not in layout.name]


@pytest.mark.parametrize("layout", LOOKBACK, ids=lambda layout: layout.name)
def test_lookback_lists_late_files_within_its_span_and_all_new_ones(bucket, layout):
    fill(bucket, layout)
    span = 3
    book = Book()
    one = book.add(read(bucket, layout, None, partition_lookback=f"{span}d"))
    assert one.exit_code == 0 and len(names(one)) == len(DAYS), str(one)
    newest = max(DAYS)
    new = {newest + datetime.timedelta(days=n): number for number, n in enumerate((-40, -9, -3, -2, 0, 1, 2, 15))}
    for day, number in new.items():
        bucket.put(layout.key(day, "late.csv"), csv_bytes(rows(500 + number * 10, 2)), DAY.format(20))
    two = book.add(read(bucket, layout, None, state=one.states, partition_lookback=f"{span}d"))
    must = {layout.key(day, "late.csv") for day in new if day >= newest - datetime.timedelta(days=span)}
    assert two.exit_code == 0 and must <= names(two), f"lacks {sorted(must - names(two))}\n{two}"
    old = layout.key(newest - datetime.timedelta(days=40), "late.csv")
    assert old not in names(two) or "region" in layout.name, f"a partition that is not listed any more was read\n{two}"
    # Without the span everything is listed again, and nothing is lost.
    three = book.add(read(bucket, layout, None, state=two.states))
    assert three.exit_code == 0, str(three)
    book.assert_whole({row for number in range(len(DAYS)) for row in truth(rows(number * 10, 2))}
                      | {row for number in new.values() for row in truth(rows(500 + number * 10, 2))}, once=True)  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mode", ["incremental", "full_refresh"])
def test_filters_that_change_from_sync_to_sync(bucket, seed, mode):
    """Each sync has what its filter wants; in the end all was read, and in increments nothing twice."""
    chance = random.Random(seed)
    layout = chance.choice(LAYOUTS)
    keys = fill(bucket, layout)
    book, state = Book(lambda record: (record[FILE], plain(record))), None
    for turn in range(5):
        condition, test = random_filter(chance) if turn < 4 else (None, lambda first, last: True)
        run = book.add(read(bucket, layout, condition, state=state, mode=mode))
        assert run.exit_code == 0, f"{condition}\n{run}"
        wanted = {key for key, day in keys.items() if test(day, day)}
        have = {key for key, _ in book.kept}
        assert wanted <= have, f"turn {turn}, {condition}: lacks {sorted(wanted - have)}\n{run}"
        assert names(run) <= wanted
        state = run.states
    assert mode == "full_refresh" or max(book.kept.values()) == 1, "a file was read twice"


def test_relative_times(bucket):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for back in range(6):
        bucket.put(f"lake/date={today - datetime.timedelta(days=back)}/a.csv", csv_bytes(rows(back * 10, 2)))
    run = read(bucket, LAYOUTS[0], {"gte": "now-3d", "lt": "now-1d"})
    got = {(today - datetime.date.fromisoformat(name.split("=")[1][:10])).days for name in names(run)}
    assert run.exit_code == 0 and {2} <= got <= {1, 2, 3}, f"{got}\n{run}"
