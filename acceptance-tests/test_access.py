"""Who asks: every way to credentials, against moto, which checks signatures, keys and policies and has an STS."""

from __future__ import annotations

import json
import os
import sys

import lab
from lake import ACCOUNT, make_config, make_stream
from test_errors import CATALOG

def environment(**variables: str) -> dict:
    """The environment of the tests, which has no AWS variables but one, and these."""
    return {**os.environ, **variables}


def keys_of(moto) -> dict:
    return {"AWS_ACCESS_KEY_ID": moto.access_key, "AWS_SECRET_ACCESS_KEY": moto.secret_key}


def with_credentials(moto, credentials: dict, **fields) -> dict:
    return {**make_config(moto.endpoint, moto.bucket, [make_stream("csv")]), "credentials": credentials, **fields}


def status(connector, config: dict, **variables: str) -> tuple[str, str]:
    answer = connector.check(config, env=environment(**variables)).one("CONNECTION_STATUS")
    return answer["status"], answer.get("message", "")


def test_a_role_is_assumed_with_an_external_id(connector, moto, roles):
    variables = {**keys_of(moto), "AWS_ENDPOINT_URL_STS": moto.endpoint}
    for external_id in (None, "workspace"):
        role = {"auth_type": "iam_role", "role_arn": roles["reader"]}
        config = with_credentials(moto, role | ({"external_id": external_id} if external_id else {}))
        output = connector.read(config, CATALOG, env=environment(**variables))
        assert output.exit_code == 0 and len(output.records()) == 100
    role = {"auth_type": "iam_role", "role_arn": roles["idle"]}
    answer, message = status(connector, with_credentials(moto, role), **variables)
    assert answer == "FAILED" and moto.secret_key not in message


def test_a_role_needs_credentials_to_assume_it(connector, moto, roles):
    role = {"auth_type": "iam_role", "role_arn": roles["reader"]}
    answer, message = status(connector, with_credentials(moto, role), AWS_ENDPOINT_URL_STS=moto.endpoint)
    assert answer == "FAILED" and "credentials" in message
    answer, message = status(connector, with_credentials(moto, {"auth_type": "iam_role", "role_arn": "reader"}))
    assert answer == "FAILED" and "ARN" in message


def test_temporary_keys_with_their_token(connector, moto, roles):
    sts = moto.client("sts", moto.access_key, moto.secret_key)
    keys = sts.assume_role(RoleArn=roles["reader"], RoleSessionName="test")["Credentials"]
    user = {"auth_type": "iam_user", "aws_access_key_id": keys["AccessKeyId"]}
    user |= {"aws_secret_access_key": keys["SecretAccessKey"], "aws_session_token": keys["SessionToken"]}
    assert status(connector, with_credentials(moto, user))[0] == "SUCCEEDED"


CHAIN = {"auth_type": "default_credentials"}


def test_the_environment_and_its_profiles(connector, moto, roles, tmp_path):
    config = with_credentials(moto, CHAIN)
    assert status(connector, config, **keys_of(moto))[0] == "SUCCEEDED"
    credentials, profiles = tmp_path / "credentials", tmp_path / "config"
    credentials.write_text(
        f"[keys]\naws_access_key_id = {moto.access_key}\naws_secret_access_key = {moto.secret_key}\n"
    )
    program = tmp_path / "program.py"
    answer = {"Version": 1, "AccessKeyId": moto.access_key, "SecretAccessKey": moto.secret_key}
    program.write_text(f"print({json.dumps(json.dumps(answer))})")
    profiles.write_text(
        f"[profile role]\nrole_arn = {roles['reader']}\nsource_profile = keys\nregion = {lab.REGION}\n"
        f"[profile program]\ncredential_process = \"{sys.executable}\" \"{program}\"\n"
        "[profile single]\nsso_start_url = https://example.com/start\nsso_region = us-east-1\n"
        f"sso_account_id = {ACCOUNT}\nsso_role_name = reader\n"
    )
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_CONFIG_FILE": str(profiles)}
    for profile in ("keys", "role", "program"):
        variables = {**files, "AWS_PROFILE": profile, "AWS_ENDPOINT_URL_STS": moto.endpoint}
        assert status(connector, config, **variables) == ("SUCCEEDED", ""), profile
    answer, message = status(connector, config, **files, AWS_PROFILE="single")
    assert answer == "FAILED" and "SSO" in message and "not supported" in message


def test_an_endpoint_of_the_environment(connector, moto):
    config = with_credentials(moto, CHAIN)
    del config["endpoint"]
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        assert status(connector, config, **keys_of(moto), **{name: moto.endpoint})[0] == "SUCCEEDED", name
    wrong = f"http://127.0.0.1:{lab.free_port()}"
    variables = {"AWS_ENDPOINT_URL": wrong, "AWS_ENDPOINT_URL_S3": moto.endpoint}
    assert status(connector, config, **keys_of(moto), **variables)[0] == "SUCCEEDED", "the one of S3 wins"
    answer, message = status(connector, config, **keys_of(moto), AWS_ENDPOINT_URL=wrong)
    assert answer == "FAILED" and wrong in message


def test_certificates_that_cannot_be_read_are_named(connector, moto, tmp_path):
    config = with_credentials(moto, CHAIN)
    config["endpoint"] = config["endpoint"].replace("http://", "https://")
    for bundle in (str(tmp_path / "missing.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        answer, message = status(connector, {**config, "ca_bundle": bundle}, **keys_of(moto))
        assert answer == "FAILED" and "certificates" in message, message
    answer, message = status(connector, config, **keys_of(moto), AWS_CA_BUNDLE=str(tmp_path / "missing.pem"))
    assert answer == "FAILED" and "certificates" in message
