"""What happens when something is wrong: check says FAILED and exits 0, read says one TRACE ERROR and exits 1, and no
secret is ever printed. Against our own server and against moto with authentication enforced."""

from __future__ import annotations

import gzip

import lab
import pytest
from lake import make_config, make_stream
from connector import Connector, Output
from makers import csv_file, file, jsonl_file, rows

STREAM = {"name": "csv", "json_schema": {"type": "object", "properties": {}}, "supported_sync_modes": ["full_refresh", "incremental"]}
CATALOG = {"streams": [{"stream": STREAM, "sync_mode": "full_refresh", "destination_sync_mode": "append"}]}
WRONG_KEY, WRONG_SECRET = "AKIAWRONGWRONGWRONG1", "wrong-secret-0123456789-abcdefghijklmnop"


@pytest.fixture(params=["testkit", "moto"])
def server(request):
    """Endpoint, bucket and the keys of a user who may read."""
    server = request.getfixturevalue(request.param)
    keys = (lab.ACCESS_KEY, lab.SECRET_KEY) if request.param == "testkit" else (server.access_key, server.secret_key)
    return server.endpoint, server.bucket, keys


def assert_refused(connector: Connector, config: dict, *, kinds: tuple = ("config_error",), words: tuple = (), secrets: tuple = ()):
    """check, discover and read refuse a config as platforms expect it."""
    check = connector.check(config)
    status = check.one("CONNECTION_STATUS")
    assert status["status"] == "FAILED"
    assert check.exit_code == 0, "a failed check is an answer, not a failure of the program"
    assert_says(status["message"], words)

    discover = connector.discover(config)
    assert discover.exit_code == 1 and not discover.of_type("CATALOG")
    assert_one_error(discover, kinds, words)

    read = connector.read(config, CATALOG)
    assert read.exit_code == 1 and not read.records()
    assert_one_error(read, kinds, words)
    # A stream that was never begun may have no status; one that was begun must not look complete.
    assert "COMPLETE" not in read.statuses("csv")
    for output in check, discover, read:
        assert_no_secret(output, secrets)


def assert_one_error(output: Output, kinds: tuple, words: tuple = ()):
    (error,) = output.errors()
    assert error["failure_type"] in kinds
    assert_says(error["message"], words)


def assert_says(message: str, words: tuple):
    missing = [word for word in words if word.lower() not in message.lower()]
    assert not missing, f"the message does not name {missing}: {message!r}"


def assert_no_secret(output: Output, secrets: tuple):
    text = "\n".join(output.lines) + output.stderr
    assert not [secret for secret in secrets if secret in text], "a secret was printed"


# --- access --------------------------------------------------------------------------------------------------------------


def test_wrong_bucket(connector, server):
    endpoint, _, keys = server
    config = make_config(endpoint, "no-such-bucket", [make_stream("csv")], *keys)
    assert_refused(connector, config, words=("no-such-bucket",), secrets=keys)


def test_wrong_access_key(connector, server):
    endpoint, bucket, (_, secret) = server
    config = make_config(endpoint, bucket, [make_stream("csv")], WRONG_KEY, secret)
    assert_refused(connector, config, words=("access key",), secrets=(WRONG_KEY, secret))


def test_wrong_secret(connector, server):
    endpoint, bucket, (key, _) = server
    config = make_config(endpoint, bucket, [make_stream("csv")], key, WRONG_SECRET)
    assert_refused(connector, config, words=("secret",), secrets=(key, WRONG_SECRET))


def test_no_permission(connector, moto):
    config = make_config(moto.endpoint, moto.bucket, [make_stream("csv")], *moto.powerless)
    assert_refused(connector, config, words=("acceptance",), secrets=moto.powerless)


def test_unreachable_endpoint(connector):
    endpoint = f"http://127.0.0.1:{lab.free_port()}"
    config = make_config(endpoint, "bucket", [make_stream("csv")])
    assert_refused(connector, config, kinds=("transient_error", "config_error"), words=(endpoint,), secrets=(lab.SECRET_KEY,))


def test_the_right_keys_work(connector, server):
    """Without this the tests above would pass with a server that refuses everything."""
    endpoint, bucket, keys = server
    config = make_config(endpoint, bucket, [make_stream("csv")], *keys)
    assert connector.check(config).one("CONNECTION_STATUS")["status"] == "SUCCEEDED"
    output = connector.read(config, CATALOG)
    assert output.exit_code == 0 and len(output.records()) == 100
    assert_no_secret(output, keys)


# --- nothing to read -----------------------------------------------------------------------------------------------------


def test_no_matching_file(connector, server):
    """check fails, since the glob is most likely wrong; a sync of a prefix that is empty today succeeds."""
    endpoint, bucket, keys = server
    config = make_config(endpoint, bucket, [make_stream("csv", globs=["nothing/here/*.csv"])], *keys)
    check = connector.check(config)
    assert check.one("CONNECTION_STATUS")["status"] == "FAILED" and check.exit_code == 0
    assert_says(check.one("CONNECTION_STATUS")["message"], ("nothing/here/*.csv",))
    read = connector.read(config, CATALOG)
    assert read.exit_code == 0 and read.records() == []
    assert read.statuses("csv") == ["STARTED", "COMPLETE"]
    assert len(read.of_type("STATE")) == 1


# --- the config ----------------------------------------------------------------------------------------------------------


def test_config_that_is_not_json(connector, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"bucket": "b", "credentials": {"aws_secret_access_key": "' + WRONG_SECRET + '"')
    assert_unreadable(connector, path, ("JSON",), secrets=(WRONG_SECRET,))


def test_config_that_is_not_there(connector, tmp_path):
    assert_unreadable(connector, tmp_path / "absent.json", ("absent.json",))


def assert_unreadable(connector, path, words, secrets=()):
    check = connector.run("check", "--config", path)
    assert check.one("CONNECTION_STATUS")["status"] == "FAILED" and check.exit_code == 0
    discover = connector.run("discover", "--config", path)
    assert discover.exit_code == 1
    assert_one_error(discover, ("config_error",), words)
    for output in check, discover:
        assert_no_secret(output, secrets)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("bucket"), ("bucket",)),
        (lambda c: c.update(bucket=7), ("bucket",)),
        (lambda c: c["streams"][0].pop("name"), ("name",)),
        (lambda c: c["streams"][0].pop("format"), ("format",)),
        (lambda c: c["streams"][0]["format"].update(filetype="xml"), ("xml",)),
        (lambda c: c["streams"][0]["format"].update(delimiter="\n"), ("delimiter",)),
        (lambda c: c["streams"][0].update(globs="x"), ("globs",)),
        (lambda c: c["credentials"].update(auth_type="magic"), ("auth_type",)),
        (lambda c: c["credentials"].update(aws_secret_access_key=["list"]), ("aws_secret_access_key",)),
        (lambda c: c.update(start_date="yesterday"), ("start_date", "yesterday")),
        (lambda c: c.update(endpoint="ftp://server"), ("endpoint",)),
        (lambda c: c.update(streams=[]), ("streams",)),
        (lambda c: c["streams"].append(c["streams"][0]), ("csv",)),
    ],
    ids=["no bucket", "bucket type", "no name", "no format", "unknown format", "delimiter", "globs type", "auth type",
         "secret type", "start date", "endpoint", "no streams", "same name twice"],
)  # fmt: skip
def test_wrong_config(connector, config, change, words):
    """The message names the parameter, so that the user finds it."""
    settings = config("csv")
    change(settings)
    assert_refused(connector, settings, words=words, secrets=(lab.SECRET_KEY,))


def test_an_unknown_key_is_accepted_with_a_warning(connector, config):
    settings = config("csv", unheard_of_option=True)
    output = connector.read(settings, CATALOG)
    assert output.exit_code == 0 and len(output.records()) == 100
    warnings = [log["message"] for log in output.of_type("LOG") if log["level"] == "WARN"]
    assert [message for message in warnings if "unheard_of_option" in message]


# --- broken files --------------------------------------------------------------------------------------------------------

GOOD = csv_file(rows(0, 50))
BROKEN = {
    "row with too many fields": ("csv", GOOD + b"1,2,3,4,5,6,7\n" + b"9,plain,1,true,1\n", 50),
    "row with too few fields": ("csv", GOOD + b"1,2\n", 50),
    "truncated gzip": ("csv.gz", gzip.compress(csv_file(rows(0, 5000)))[:-2000], None),
    "not gzip": ("csv.gz", GOOD, 0),
    "line that is not JSON": ("jsonl", jsonl_file(rows(0, 50)) + b'{"id": \n' + jsonl_file(rows(60, 5)), 50),
    "not a Parquet file": ("parquet", b"PAR1" + b"\0" * 500 + b"PAR1", 0),
    "truncated Parquet file": ("parquet", file("parquet", rows(0, 50))[:-300], 0),
    "byte that is not UTF-8": ("csv", GOOD + b"70,\xff\xfe,1,true,1\n", 50),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file(connector, config, testkit, name):
    """Records before the fault are given, the fault is told once with its file, and it is never a success."""
    extension, body, good = BROKEN[name]
    key = f"broken/{name.replace(' ', '-')}/data.{extension}"
    testkit.put(key, body)
    kind = extension.split(".")[0]
    settings = config(streams=[make_stream(kind, "csv", [f"{key.rsplit('/', 1)[0]}/**"])])
    output = connector.read(settings, CATALOG)
    assert output.exit_code == 1, "data is missing: this must not look like success"
    assert_one_error(output, ("config_error",), (key,))
    assert output.statuses("csv")[-1] == "INCOMPLETE"
    if good is not None:
        assert len(output.records()) == good
    assert sum(state["sourceStats"]["recordCount"] for state in output.of_type("STATE")) == len(output.records())


def test_good_rows_before_a_broken_one_come_once(connector, config, testkit):
    """The next sync starts at the bad row: the good ones were delivered."""
    testkit.put("resume/a.csv", csv_file(rows(0, 30)))
    testkit.put("resume/b.csv", csv_file(rows(30, 20)) + b"broken,row\n")
    settings = config(streams=[make_stream("csv", "csv", ["resume/**"])])
    catalog = {"streams": [{**CATALOG["streams"][0], "sync_mode": "incremental"}]}
    first = connector.read(settings, catalog)
    assert first.exit_code == 1 and len(first.records()) == 50
    second = connector.read(settings, catalog, first.states())
    assert second.exit_code == 1 and second.records() == []


def test_a_broken_parquet_file_fails_the_check(connector, config, testkit):
    testkit.put("garbage/x.parquet", b"this is not a Parquet file at all")
    settings = config(streams=[make_stream("parquet", "garbage", ["garbage/**"])])
    output = connector.check(settings)
    assert output.one("CONNECTION_STATUS")["status"] == "FAILED" and output.exit_code == 0
    assert_says(output.one("CONNECTION_STATUS")["message"], ("garbage/x.parquet",))


def test_other_streams_go_on_when_one_fails(connector, config, testkit):
    testkit.put("half/x.csv", GOOD)
    settings = config("jsonl", streams=[make_stream("csv", "half", ["half/**"])])
    catalog = connector.catalog(settings)
    testkit.put("half/x.csv", GOOD + b"1,2\n")
    output = connector.read(settings, catalog)
    assert output.exit_code == 1
    assert len(output.records("jsonl")) == 100 and output.statuses("jsonl")[-1] == "COMPLETE"
    assert output.statuses("half")[-1] == "INCOMPLETE"
