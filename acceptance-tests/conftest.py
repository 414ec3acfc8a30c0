"""Servers, data and the connector under test. All servers listen on 127.0.0.1 and end with the test session."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import tempfile
import zlib

import boto3
import botocore.config
import lab
import pytest
from connector import OUTPUTS, Connector
from lake import ACCOUNT, lay_out, make_config, make_stream

pytest_plugins = ["airbyte_cdk.test.standard_tests.pytest_hooks"]

# PyAirbyte reads these when it is imported: no registry, no telemetry.
os.environ.setdefault("AIRBYTE_OFFLINE_MODE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
# The connector must never take credentials from the machine that runs the tests.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def pytest_report_header() -> str:
    return f"connector under test: {lab.executable('TOLLGATE_BIN', 'tollgate')}"


def pytest_collection_modifyitems(config, items) -> None:
    """Of the many cases of the promises every tenth runs, the same ones each time, and all of them with PROMISES=all."""
    if os.environ.get("PROMISES") == "all":
        return
    left_out = [item for item in items if item.path.name.startswith("test_promises_") and zlib.crc32(item.name.encode()) % 10]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        left = set(left_out)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows with a failed test what the connector printed in it."""
    report = (yield).get_result()
    if call.when == "setup":
        OUTPUTS.clear()
    if report.failed:
        for output in OUTPUTS[-3:]:
            report.sections.append(("the connector's output", str(output)))


@pytest.fixture(scope="session")
def program() -> pathlib.Path:
    """The connector's binary: $TOLLGATE_BIN, else target/release/tollgate."""
    path = lab.executable("TOLLGATE_BIN", "tollgate")
    if not path.exists():
        pytest.exit(f"{path} is missing: run `make build`, or name a binary in TOLLGATE_BIN", returncode=3)
    return path


@pytest.fixture
def open_folder():
    """A folder that any user may enter and write to; pytest's own are closed."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def connector(program, tmp_path) -> Connector:
    return Connector(program, tmp_path)


# --- testkit -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def testkit(tmp_path_factory):
    """Our S3 server with the lake of `lay_out`."""
    if not lab.executable("TESTKIT_BIN", "testkit").exists():
        pytest.exit("the testkit server is missing: run `make build`, or name it in TESTKIT_BIN", returncode=3)
    with lab.Testkit(tmp_path_factory.mktemp("testkit"), "acceptance") as server:
        lay_out(server.put)
        yield server


@pytest.fixture
def config(testkit):
    """Makes a config for the testkit: `config("csv")`, `config("csv", "jsonl")` or `config(streams=[...])`."""

    def make(*kinds: str, streams: list[dict] | None = None, **fields) -> dict:
        streams = [*(make_stream(kind) for kind in kinds), *(streams or [])]
        return make_config(testkit.endpoint, testkit.bucket, streams, **fields)

    return make


# --- moto: an independent server that checks signatures, keys and policies ------------------------------------------


class Moto:
    """A moto server with authentication enforced, a user who may everything, and one who may nothing."""

    bucket = "acceptance"

    def __init__(self, port: int):
        self.endpoint = f"http://127.0.0.1:{port}"
        anonymous = self.client("iam", "unchecked", "unchecked")
        # The first three calls are free (INITIAL_NO_AUTH_ACTION_COUNT); from then on keys are checked.
        anonymous.create_user(UserName="admin")
        keys = anonymous.create_access_key(UserName="admin")["AccessKey"]
        policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        anonymous.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=policy)
        self.access_key, self.secret_key = keys["AccessKeyId"], keys["SecretAccessKey"]
        iam = self.client("iam", self.access_key, self.secret_key)
        iam.create_user(UserName="nobody")
        keys = iam.create_access_key(UserName="nobody")["AccessKey"]
        self.powerless = keys["AccessKeyId"], keys["SecretAccessKey"]
        self.s3 = self.client("s3", self.access_key, self.secret_key)
        self.s3.create_bucket(Bucket=self.bucket)
        lay_out(self.put)

    def client(self, service: str, access_key: str, secret_key: str):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=lab.REGION,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=botocore.config.Config(retries={"max_attempts": 1}),
        )

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    port = lab.free_port()
    server = lab.Server(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port],
        tmp_path_factory.mktemp("moto") / "moto.log",
        env={"INITIAL_NO_AUTH_ACTION_COUNT": "3"},
    )
    with server:
        server.wait_until_open(port, seconds=60)
        yield Moto(port)


TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="session")
def roles(moto) -> dict:
    """Two roles: one may read, the other may nothing."""
    iam = moto.client("iam", moto.access_key, moto.secret_key)
    for name in ("reader", "idle"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=json.dumps(READ))
    return {name: f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("reader", "idle")}


# --- the promises: a server of their own, since they count its requests -----------------------------------------------


@pytest.fixture(scope="session")
def promise_server(tmp_path_factory):
    with lab.Testkit(tmp_path_factory.mktemp("promises"), "unused") as server:
        yield server


@pytest.fixture
def bucket(promise_server, program, tmp_path):
    """A new bucket; faults end with the test."""
    from promises import Bucket

    bucket = Bucket(promise_server, program, tmp_path)
    yield bucket
    bucket.no_faults()
