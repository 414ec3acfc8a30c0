"""The connector's folder as Airbyte's standard tests want it: metadata, the list of tests, and configs on disk.

The server's port is only known at run time, so that the folder is made anew for each test session.
"""

from __future__ import annotations

import atexit
import json
import pathlib
import shutil
import tempfile

import pytest
from dialects import DIALECTS, config_of
from lake import make_config, make_stream
from makers import FORMATS

HERE = pathlib.Path(__file__).parent
ROOT = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-standard-")) / "source-s3"
atexit.register(shutil.rmtree, ROOT.parent, ignore_errors=True)
(ROOT / "integration_tests").mkdir(parents=True)
shutil.copy(HERE / "acceptance-test-config.yml", ROOT)
shutil.copy(HERE.parents[2] / "metadata.yaml", ROOT)


@pytest.fixture(scope="session", autouse=True)
def connector_folder(testkit) -> pathlib.Path:
    """Writes the configs, now that the server runs."""

    def make(*kinds: str, bucket: str = testkit.bucket, **fields) -> dict:
        return make_config(testkit.endpoint, bucket, [make_stream(kind) for kind in kinds], **fields)

    configs = {
        "config": make(*FORMATS),
        **{f"{kind}_config": make(kind) for kind in ("csv", "jsonl", "parquet")},
        **{f"{dialect}_config": config_of(dialect, testkit, "csv") for dialect in DIALECTS},
        "wrong_bucket_config": make("csv", bucket="no-such-bucket"),
        "wrong_secret_config": make("csv", secret_key="wrong-secret-0123456789"),
        "no_file_config": make_config(testkit.endpoint, testkit.bucket, [make_stream("csv", globs=["nothing/**"])]),
    }
    for name, config in configs.items():
        (ROOT / "integration_tests" / f"{name}.json").write_text(json.dumps(config))
    return ROOT
