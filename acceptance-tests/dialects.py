"""The same stream in every dialect of the configuration: CSV files below a folder, read as the stream `rows`."""

from __future__ import annotations

import lab


def airbyte_4_16(endpoint: str, bucket: str, folder: str, secret_key: str) -> dict:
    """`airbyte/source-s3` 4.16: credentials in an object."""
    credentials = {"auth_type": "iam_user", "aws_access_key_id": lab.ACCESS_KEY, "aws_secret_access_key": secret_key}
    return {"bucket": bucket, "endpoint": endpoint, "region_name": lab.REGION, "credentials": credentials, "streams": _streams(folder)}


def airbyte_4(endpoint: str, bucket: str, folder: str, secret_key: str) -> dict:
    """Version 4 before 4.16: keys at the root."""
    keys = {"aws_access_key_id": lab.ACCESS_KEY, "aws_secret_access_key": secret_key}
    return {"bucket": bucket, "endpoint": endpoint, "region_name": lab.REGION, **keys, "streams": _streams(folder)}


def airbyte_3(endpoint: str, bucket: str, folder: str, secret_key: str) -> dict:
    """Version 3: one stream; columns have types, and some texts mean null."""
    keys = {"aws_access_key_id": lab.ACCESS_KEY, "aws_secret_access_key": secret_key}
    provider = {"storage": "S3", "bucket": bucket, **keys, "path_prefix": f"{folder}/", "endpoint": endpoint}
    return {"dataset": "rows", "path_pattern": "**", "format": {"filetype": "csv"}, "schema": "{}", "provider": provider}


def fivetran(endpoint: str, bucket: str, folder: str, secret_key: str) -> dict:
    """Names of Fivetran's S3 connector; columns have types."""
    keys = {"auth_type": "ACCESS_KEY", "access_key_id": lab.ACCESS_KEY, "access_key_secret": secret_key}
    files = [{"table_name": "rows", "file_pattern": ".*\\.csv"}]
    return {"bucket": bucket, **keys, "prefix": folder, "file_type": "csv", "files": files, "endpoint_url": endpoint, "region": lab.REGION}


def specification(endpoint: str, bucket: str, folder: str, secret_key: str) -> dict:
    """The flat form."""
    keys = {"access_key_id": lab.ACCESS_KEY, "secret_access_key": secret_key}
    return {"bucket": bucket, "name": "rows", "path_prefix": f"{folder}/", "file_format": "csv", **keys, "endpoint_url": endpoint}


def legacy(endpoint: str, bucket: str, folder: str, secret_key: str) -> dict:
    """The names that came before the flat form's."""
    keys = {"access_key": lab.ACCESS_KEY, "secret_key": secret_key}
    return {"bucket": bucket, "name": "rows", "prefix": f"{folder}/", "format": "csv", **keys, "endpoint_url": endpoint}


def _streams(folder: str) -> list[dict]:
    return [{"name": "rows", "globs": [f"{folder}/**"], "format": {"filetype": "csv"}}]


DIALECTS = {make.__name__: make for make in (airbyte_4_16, airbyte_4, airbyte_3, fivetran, specification, legacy)}
# In these, discovery gives the columns of CSV files their types.
TYPED = ("airbyte_3", "fivetran")


def config_of(dialect: str, server, folder: str, secret_key: str = lab.SECRET_KEY) -> dict:
    """A configuration for the files below a folder of a server's bucket."""
    return DIALECTS[dialect](server.endpoint, server.bucket, folder, secret_key)
