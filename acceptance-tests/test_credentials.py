"""Temporary keys of every service that hands them out, also when they expire; and ways to a server: a certificate of a
private authority, a proxy, a bucket in the host's name."""

from __future__ import annotations

import datetime
import itertools
import os
import sys

import lab
import pytest
from brokers import CONTAINER_TOKEN, ROLE, WEB_TOKEN, Broker, private_authority, relay
from lake import lay_out, make_config, make_stream
from test_access import CHAIN, environment, status, with_credentials
from test_errors import CATALOG


@pytest.fixture
def broker(moto, roles):
    """Hands out keys of the role that may read, which moto made and checks."""
    sts = moto.client("sts", moto.access_key, moto.secret_key)
    with Broker(lambda: sts.assume_role(RoleArn=roles[ROLE], RoleSessionName="test")["Credentials"]) as broker:
        yield broker


def sources(broker: Broker, folder) -> dict[str, dict]:
    """The variables that platforms set for each service."""
    web_token, agent_token = folder / "web-token", folder / "agent-token"
    web_token.write_text(WEB_TOKEN)
    agent_token.write_text(CONTAINER_TOKEN)
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{broker.endpoint}/container"}
    return {
        "web identity": {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(web_token),
            "AWS_ROLE_ARN": f"arn:aws:iam::123456789012:role/{ROLE}",
            "AWS_ROLE_SESSION_NAME": "pod",
            "AWS_ENDPOINT_URL_STS": broker.endpoint,
        },
        "container": {**container, "AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN},
        "pod identity": {**container, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(agent_token)},
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": broker.endpoint, "AWS_EC2_METADATA_DISABLED": "false"},
    }


@pytest.mark.parametrize("source", ["web identity", "container", "pod identity", "instance"])
def test_keys_of_a_platform(connector, moto, broker, tmp_path, source):
    variables = sources(broker, tmp_path)[source]
    output = connector.read(with_credentials(moto, CHAIN), CATALOG, env=environment(**variables))
    assert output.exit_code == 0 and len(output.records()) == 100
    handed_out = [line for line, _ in broker.asked if line.startswith("POST /") or line.endswith(("/container", f"/{ROLE}"))]
    assert len(handed_out) == 1, f"keys that are good for an hour are asked for once: {broker.asked}"
    if source == "web identity":
        assert broker.asked[0][1]["RoleSessionName"] == "pod"


@pytest.mark.parametrize("source", ["web identity", "container", "instance"])
def test_a_platform_that_hands_out_no_keys_is_named(connector, moto, tmp_path, source):
    def no_keys():
        raise AssertionError("nobody is to have keys")

    with Broker(no_keys) as broker:
        variables = sources(broker, tmp_path)[source]
        broker.answer = lambda *_: (404, "")
        answer, message = status(connector, with_credentials(moto, CHAIN), **variables)
    assert answer == "FAILED" and "credentials" in message, message


def test_a_role_that_is_assumed_with_a_web_identity(connector, moto, broker, roles, tmp_path):
    """A pod's own role may assume the one of the configuration, with the external id of the environment."""
    variables = {**sources(broker, tmp_path)["web identity"], "AWS_ASSUME_ROLE_EXTERNAL_ID": "workspace"}
    role = {"auth_type": "iam_role", "role_arn": roles[ROLE]}
    assert status(connector, with_credentials(moto, role), **variables) == ("SUCCEEDED", "")
    first, second = (parameters for _, parameters in broker.asked)
    assert (first["Action"], second["Action"]) == ("AssumeRoleWithWebIdentity", "AssumeRole")
    assert (second["ExternalId"], second["RoleSessionName"]) == ("workspace", "airbyte-source-s3")


# --- keys that expire ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A server that logs who asked, with four users besides its own."""
    users = [part for number in range(4) for part in ("--user", f"ASIA{number}:secret{number}:read")]
    with lab.Testkit(tmp_path_factory.mktemp("watched"), "acceptance", extra=tuple(users)) as server:
        lay_out(server.put)
        yield server


def keys_that_live(seconds: int):
    """Keys of the first user, then of the second and so on, the last one again and again."""
    numbers = itertools.chain(range(3), itertools.repeat(3))

    def next_keys() -> dict:
        number = next(numbers)
        keys = {"AccessKeyId": f"ASIA{number}", "SecretAccessKey": f"secret{number}", "SessionToken": f"token{number}"}
        now = datetime.datetime.now(datetime.timezone.utc)
        return {**keys, "Expiration": now + datetime.timedelta(seconds=seconds)}

    return next_keys


def askers(server: lab.Testkit, run) -> list[str]:
    """Who signed the requests of a run, in their order."""
    before = len(server.requests())
    output = run()
    assert output.exit_code == 0 and len(output.records()) == 100, output
    requests = [entry for entry in server.requests()[before:] if entry["operation"].startswith("REST.GET")]
    assert all(entry["status"] in (200, 206) for entry in requests)
    return [entry["requester"] for entry in requests]


@pytest.mark.parametrize("source", ["assumed role", "web identity", "container", "instance"])
def test_keys_are_renewed_before_they_expire(connector, watched, tmp_path, source):
    config = make_config(watched.endpoint, "acceptance", [make_stream("csv")])
    for seconds, renewed in ((3600, False), (2, True)):
        with Broker(keys_that_live(seconds)) as broker:
            if source == "assumed role":
                config["credentials"] = {"auth_type": "iam_role", "role_arn": f"arn:aws:iam::123456789012:role/{ROLE}"}
                keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
                variables = {**keys, "AWS_ENDPOINT_URL_STS": broker.endpoint}
            else:
                config["credentials"] = CHAIN
                variables = sources(broker, tmp_path)[source]
            who = askers(watched, lambda: connector.read(config, CATALOG, env=environment(**variables)))
        assert len(who) == 3, "one LIST and two GET"
        assert (len(set(who)) > 1) == renewed, f"keys good for {seconds} s: {who}"
        assert who == sorted(who), "old keys are not used again"


@pytest.mark.parametrize("source", ["web identity", "container"])
def test_keys_that_cannot_be_renewed_end_the_run(connector, watched, tmp_path, source):
    config = {**make_config(watched.endpoint, "acceptance", [make_stream("csv")]), "credentials": CHAIN}
    with Broker(keys_that_live(2)) as broker:
        variables, answer = sources(broker, tmp_path)[source], broker.answer
        broker.answer = lambda *asked: answer(*asked) if len(broker.asked) == 1 else (403, "")
        output = connector.read(config, CATALOG, env=environment(**variables))
    assert output.exit_code == 1 and output.statuses("csv")[-1] == "INCOMPLETE"
    assert "credentials" in output.errors()[0]["message"]


def test_a_program_is_asked_again_when_its_keys_expire(connector, watched, tmp_path):
    program, profiles, count = tmp_path / "program.py", tmp_path / "config", tmp_path / "count"
    program.write_text(
        "import datetime, json, pathlib\n"
        f"count = pathlib.Path({str(count)!r})\n"
        "number = len(count.read_text()) if count.exists() else 0\n"
        "count.write_text('x' * (number + 1))\n"
        "number = min(number, 3)\n"
        "expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'ASIA{number}', 'SecretAccessKey': f'secret{number}',\n"
        "                  'SessionToken': 'token', 'Expiration': f'{expires:%Y-%m-%dT%H:%M:%SZ}'}))\n"
    )
    profiles.write_text(f"[default]\ncredential_process = \"{sys.executable}\" \"{program}\"\n")
    config = {**make_config(watched.endpoint, "acceptance", [make_stream("csv")]), "credentials": CHAIN}
    variables = {"AWS_CONFIG_FILE": str(profiles), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    who = askers(watched, lambda: connector.read(config, CATALOG, env=environment(**variables)))
    assert len(set(who)) > 1 and who == sorted(who)


# --- ways to a server ------------------------------------------------------------------------------------------------


def test_a_certificate_of_a_private_authority(connector, testkit, config, tmp_path):
    bundle, context = private_authority(tmp_path, "127.0.0.1")
    with relay(testkit.port, context) as (port, _):
        secure = {**config("csv"), "endpoint": f"https://127.0.0.1:{port}"}
        answer, message = status(connector, secure)
        assert answer == "FAILED" and "certificate" in message, message
        for given in (str(bundle), bundle.read_text()):
            assert status(connector, {**secure, "ca_bundle": given}) == ("SUCCEEDED", "")
        assert status(connector, secure, AWS_CA_BUNDLE=str(bundle)) == ("SUCCEEDED", "")
        assert status(connector, secure, SSL_CERT_FILE=str(bundle)) == ("SUCCEEDED", "")
        output = connector.read(secure, CATALOG, env=environment(AWS_CA_BUNDLE=str(bundle)))
        assert output.exit_code == 0 and len(output.records()) == 100


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy(connector, testkit, config, name):
    far = {**config("csv"), "endpoint": "http://s3.far.example:9000"}
    with relay(testkit.port, proxy=True) as (port, asked):
        variables = {name: f"http://127.0.0.1:{port}"}
        assert status(connector, far, **variables) == ("SUCCEEDED", "")
        assert asked and all(line.startswith("GET http://s3.far.example:9000/acceptance") for line in asked), asked
        asked.clear()
        near = config("csv")
        assert status(connector, near, **variables, NO_PROXY="127.0.0.1,localhost") == ("SUCCEEDED", "")
        assert not asked, "the server is excepted"


def test_a_proxy_and_a_private_authority(connector, testkit, config, tmp_path):
    bundle, context = private_authority(tmp_path, "s3.far.example")
    far = {**config("csv"), "endpoint": "https://s3.far.example", "ca_bundle": str(bundle)}
    with relay(testkit.port, context) as (secure, _), relay(secure, proxy=True) as (port, asked):
        assert status(connector, far, HTTPS_PROXY=f"http://127.0.0.1:{port}") == ("SUCCEEDED", "")
        assert set(asked) == {"CONNECT s3.far.example:443 HTTP/1.1"}


def test_a_bucket_in_the_hosts_name(connector, testkit, config):
    """`localhost` is a domain of testkit, but only a proxy finds `acceptance.localhost` on every machine."""
    named = {**config("csv"), "endpoint": "http://localhost:9000", "address_style": "virtual"}
    with relay(testkit.port, proxy=True) as (port, asked):
        assert status(connector, named, HTTP_PROXY=f"http://127.0.0.1:{port}") == ("SUCCEEDED", "")
        assert asked and all(line.startswith("GET http://acceptance.localhost:9000/") for line in asked), asked
        asked.clear()
        path = {**named, "address_style": "path"}
        assert status(connector, path, HTTP_PROXY=f"http://127.0.0.1:{port}") == ("SUCCEEDED", "")
        assert asked and all(line.startswith("GET http://localhost:9000/acceptance") for line in asked), asked
