"""nginx as a read-only S3 bucket: files by sendfile, listing pages written ahead.

It answers ListObjectsV2 and GET with ranges and If-Match, checks no signature, and ignores prefix, delimiter and
start-after: for benchmarks only, where the server should cost next to nothing. Each folder of the data is a bucket.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse
import xml.sax.saxutils

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))

import lab  # noqa: E402

PAGE = 1000
MODIFIED_AT = 1_705_312_800  # 2024-01-15T10:00:00Z

CONFIG = """
daemon off; worker_processes 1; pid {run}/nginx.pid; error_log {run}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000; open_file_cache max=200000;
  types {{ }} default_type application/octet-stream;
  client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;
  uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
  map $args $page {{ default 0; "~continuation-token=(?<token>[0-9]+)" $token; }}
  server {{
    listen 127.0.0.1:{port}; root {data};
    location ~ ^/(?<bucket>[a-z0-9.-]+)/?$ {{ types {{ application/xml xml; }} try_files /.list/$bucket/$page.xml =404; }}
    error_page 404 @absent;
    location @absent {{
      internal; default_type application/xml;
      return 404 '<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>';
    }}
  }}
}}
"""


class StaticBucket(lab.Server):
    """An nginx for the folders of a directory."""

    def __init__(self, data: pathlib.Path, run: pathlib.Path):
        program = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
        if program is None:
            raise SystemExit("nginx is missing; on Debian: apt-get install --no-install-recommends nginx-light")
        run.mkdir(parents=True, exist_ok=True)
        self.port = lab.free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        for folder in sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith(".")):
            write_listing(data, folder)
        # The worker must be able to read a folder that belongs to the user who runs the benchmark.
        user = "user root;" if os.getuid() == 0 else ""
        text = CONFIG.format(run=_quoted(run), data=_quoted(data), port=self.port, user=user)
        (run / "nginx.conf").write_text(text)
        super().__init__([program, "-p", run, "-c", run / "nginx.conf"], run / "nginx.log")
        self.wait_until_open(self.port)

    def cpu_seconds(self) -> float:
        """User and system time of the server's processes so far."""
        ticks = 0
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *children]:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def _quoted(path: pathlib.Path) -> str:
    return '"' + str(path) + '"' if " " in str(path) else str(path)


def write_listing(data: pathlib.Path, folder: pathlib.Path) -> None:
    """The pages of ListObjectsV2, with the ETags that nginx itself gives the files."""
    pages = data / ".list" / folder.name
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: str(path.relative_to(folder)))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(MODIFIED_AT))
    entries = []
    for path in files:
        os.utime(path, (MODIFIED_AT, MODIFIED_AT))
        size = path.stat().st_size
        key = xml.sax.saxutils.escape(urllib.parse.quote(str(path.relative_to(folder))))
        entries.append(
            f"<Contents><Key>{key}</Key><LastModified>{stamp}</LastModified>"
            f"<ETag>&quot;{MODIFIED_AT:x}-{size:x}&quot;</ETag><Size>{size}</Size>"
            f"<StorageClass>STANDARD</StorageClass></Contents>"
        )
    for page in range(max(1, -(-len(entries) // PAGE))):
        part = entries[page * PAGE : (page + 1) * PAGE]
        more = (page + 1) * PAGE < len(entries)
        token = f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if more else ""
        (pages / f"{page}.xml").write_text(
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{folder.name}</Name><Prefix></Prefix><MaxKeys>{PAGE}</MaxKeys><EncodingType>url</EncodingType>"
            f"<KeyCount>{len(part)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
            f"{''.join(part)}</ListBucketResult>"
        )
