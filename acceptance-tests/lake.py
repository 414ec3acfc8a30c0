"""The objects that every server of the tests has, and configs to read them."""

from __future__ import annotations

import lab
from makers import FORMATS, extension, file, format_config, rows

def lay_out(put) -> None:
    """Two files of each format: 40 rows, then 60."""
    for kind in FORMATS:
        put(f"{kind}/a.{extension(kind)}", file(kind, rows(0, 40)))
        put(f"{kind}/b.{extension(kind)}", file(kind, rows(40, 60)))


ALL_ROWS = rows(0, 100)

# Of the roles that tests make.
ACCOUNT = "123456789012"

# Times for objects that a test writes twice.
EARLIER, LATER = "2024-01-15T10:00:00Z", "2024-01-16T10:00:00Z"


def make_config(endpoint: str, bucket: str, streams: list[dict], access_key: str = lab.ACCESS_KEY,
                secret_key: str = lab.SECRET_KEY, **fields) -> dict:  # fmt: skip
    """A config in the form of airbyte/source-s3 4.16."""
    return {
        "bucket": bucket,
        "endpoint": endpoint,
        "region_name": lab.REGION,
        "credentials": {
            "auth_type": "iam_user",
            "aws_access_key_id": access_key,
            "aws_secret_access_key": secret_key,
        },
        "streams": streams,
        **fields,
    }


def make_stream(kind: str, name: str | None = None, globs: list[str] | None = None, **fields) -> dict:
    return {"name": name or kind, "globs": globs or [f"{kind}/**"], "format": format_config(kind), **fields}
