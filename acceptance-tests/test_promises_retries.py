"""Runs that fail are repeated with their last STATE until one succeeds: then no row may be missing."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import random
import re
import threading
import urllib.parse
import zipfile
import zlib

import lab
import pytest
from lake import make_config
from promises import COLUMNS, DAY, FILE, GIB, PLAIN, Book, catalog, csv_bytes, gz, jsonl_bytes, parquet_bytes, plain, rows, truth

MODES = pytest.mark.parametrize("mode", ["incremental", "full_refresh"])
WRITERS = {"csv": csv_bytes, "jsonl": jsonl_bytes, "parquet": parquet_bytes, "csv.gz": lambda data: gz(csv_bytes(data)),
           "jsonl.gz": lambda data: gz(jsonl_bytes(data))}  # fmt: skip


def filetype(kind: str) -> str:
    return kind.split(".")[0]


def good_files(bucket, kind: str, count: int = 5, size: int = 20) -> list[dict]:
    """Files around the bad one, before and behind it by key and by time."""
    everything = []
    for number in range(count):
        data = rows(number * 1000, size, PLAIN)
        everything += data
        bucket.put(f"{'az'[number % 2]}{number}.{kind}", WRITERS[kind](data), DAY.format(1 + number))
    return everything


class Retry:
    """Repeats a run with its last STATE."""

    def __init__(self, bucket, config: dict, columns: dict):
        self.bucket, self.config, self.columns = bucket, config, columns
        self.book, self.state = Book(), None

    def run(self, **options):
        run = self.book.add(self.bucket.read(self.config, self.columns, self.state, **options))
        self.state = run.states or self.state
        return run

    def stays_red(self, times: int = 3) -> None:
        """As long as nothing changes, no repetition may succeed."""
        for turn in range(times):
            run = self.run()
            assert run.exit_code != 0, f"run {turn + 1} succeeds although nothing was mended\n{run}"
            assert "INCOMPLETE" in run.statuses, str(run)

    def until_green(self, times: int = 4) -> None:
        for _ in range(times):
            run = self.run()
            if run.exit_code == 0:
                assert run.statuses[-1] == "COMPLETE", str(run)
                return
        raise AssertionError(f"still red after {times} runs\n{run}")


# --- bad rows ------------------------------------------------------------------------------------------------------------

BAD_LINES = {"csv": b"1,2,3,4,5\n", "jsonl": b'{"id": \n'}


def with_bad_lines(kind: str, data: list[dict], every: int) -> tuple[bytes, int]:
    """A text file with a line that cannot be read after every so many rows."""
    lines = WRITERS[kind](data).splitlines(keepends=True)
    mixed, bad = [], 0
    for number, line in enumerate(lines):
        mixed.append(line)
        if number and number % every == 0:
            mixed.append(BAD_LINES[kind])
            bad += 1
    return b"".join(mixed), bad


@MODES
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("remedy", ["mended file", "skip", "dead letters"])
def test_a_bad_row_fails_until_it_is_mended_or_skipped(bucket, tmp_path, kind, remedy, mode):
    everything = good_files(bucket, kind)
    data = rows(50_000, 400, PLAIN)
    body, bad = with_bad_lines(kind, data, 150)
    bucket.put(f"m.{kind}", body, DAY.format(3))
    story = Retry(bucket, bucket.config(filetype=filetype(kind)), catalog(COLUMNS, mode))
    story.stays_red()
    if remedy == "mended file":
        bucket.put(f"m.{kind}", WRITERS[kind](data), DAY.format(9))
    elif remedy == "skip":
        story.config = bucket.config(filetype=filetype(kind), stream={"on_error": "skip"})
    else:
        (tmp_path / "letters").mkdir()
        story.config = bucket.config(filetype=filetype(kind), on_error="dead_letter", dead_letter_path=str(tmp_path / "letters"))
    story.until_green()
    story.book.assert_whole(truth([*everything, *data]))
    if remedy != "mended file":
        assert re.search(rf"\b{bad}\b", story.book.runs[-1].log), f"the {bad} bad rows are not counted\n{story.book.runs[-1]}"
    if remedy == "dead letters":
        letters = [json.loads(line) for file in (tmp_path / "letters").rglob("*") if file.is_file() for line in file.read_text().splitlines()]
        assert len(letters) == bad, letters


@MODES
@pytest.mark.parametrize("limit", [{"max_bad_rows": 3}, {"max_bad_percent": 0.5}], ids=str)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("split", [False, True], ids=["one file", "many files"])
def test_more_bad_rows_than_are_tolerated_stay_an_error(bucket, kind, limit, split, mode):
    everything = good_files(bucket, kind)
    bad = 0
    for number in range(8 if split else 1):
        data = rows(50_000 + number * 1000, 100 if split else 800, PLAIN)
        everything += data
        body, lines = with_bad_lines(kind, data, 80)
        bad += lines
        bucket.put(f"m{number}.{kind}", body, DAY.format(1 + number))
    assert bad > 5
    story = Retry(bucket, bucket.config(filetype=filetype(kind), on_error="skip", **limit), catalog(COLUMNS, mode))
    story.stays_red()
    story.config = bucket.config(filetype=filetype(kind), on_error="skip", **{name: 100 if "rows" in name else 50 for name in limit})
    story.until_green()
    story.book.assert_whole(truth(everything))


@pytest.mark.parametrize("policy", ["Skip Record", "freeze"])
def test_rows_that_the_catalog_refuses_count_too(bucket, policy):
    """Records of another type than the catalog's are bad rows under `freeze`: a retry may not lose them."""
    everything = good_files(bucket, "jsonl")
    data = [*rows(50_000, 100, PLAIN), {"id": "x", "text": ["no", "text"], "amount": "1"}]
    bucket.put("m.jsonl", jsonl_bytes(data), DAY.format(3))
    fields = {"validation_policy": policy} if policy == "Skip Record" else {"schema_evolution": policy}
    story = Retry(bucket, bucket.config(filetype="jsonl", stream=fields), catalog(COLUMNS))
    if policy == "freeze":
        story.stays_red()
        story.config = bucket.config(filetype="jsonl", stream={**fields, "on_error": "skip"})
    story.until_green()
    story.book.assert_whole(truth([*everything, *data[:-1]]))
    assert "1" in story.book.runs[-1].log


# --- files that cannot be read -----------------------------------------------------------------------------------------


def damaged(kind: str, data: list[dict], how: str) -> bytes:
    body = WRITERS[kind](data)
    if how == "truncated":
        return body[: len(body) * 2 // 3]
    if how == "random":
        return random.Random(1).randbytes(5000)
    if how == "flipped":
        middle = len(body) // 2
        return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
    return body[:-6] + bytes([body[-6] ^ 0xFF]) + body[-5:]  # the checksum at the end of gzip, the footer of Parquet


DAMAGES = [(kind, how) for kind in ("csv.gz", "jsonl.gz", "parquet") for how in ("truncated", "flipped", "end")]
DAMAGES += [("parquet", "random"), ("jsonl", "random")]


@MODES
@pytest.mark.parametrize(("kind", "how"), DAMAGES, ids=["-".join(case) for case in DAMAGES])
def test_a_damaged_file_fails_until_it_is_replaced(bucket, kind, how, mode):
    everything = good_files(bucket, kind)
    data = [{**row, "text": f"{row['text']} {random.Random(row['id']).random()}"} for row in rows(50_000, 4_000, PLAIN)]
    bucket.put(f"m.{kind}", damaged(kind, data, how), DAY.format(3))
    story = Retry(bucket, bucket.config(filetype=filetype(kind)), catalog(COLUMNS, mode))
    story.stays_red()
    assert truth(everything) <= set(story.book.kept), "the other files are read all the same"
    bucket.put(f"m.{kind}", WRITERS[kind](data), DAY.format(9))
    story.until_green()
    story.book.seen &= truth([*everything, *data])  # What the damaged file gave is not judged here.
    story.book.assert_whole(truth([*everything, *data]))


@MODES
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
@pytest.mark.parametrize("code", [(403, "AccessDenied"), (404, "NoSuchKey"), (400, "InvalidRequest")], ids=lambda code: code[1])
def test_a_file_that_is_refused_among_many(bucket, kind, code, mode):
    everything = good_files(bucket, kind)
    data = rows(50_000, 3000, PLAIN)
    bucket.put(f"m.{kind}", WRITERS[kind](data), DAY.format(3))
    bucket.fault({"status": {"status": code[0], "code": code[1]}}, when={"key_contains": f"m.{kind}"})
    story = Retry(bucket, bucket.config(filetype=filetype(kind)), catalog(COLUMNS, mode))
    if code[1] == "NoSuchKey":
        story.run()  # A file that is gone by the time it is fetched may be an error or not; but it may not be lost.
    else:
        story.stays_red()
    bucket.no_faults()
    story.until_green()
    story.book.assert_whole(truth([*everything, *data]), once=True)


@MODES
def test_a_listing_that_is_refused_on_a_later_page(bucket, mode):
    everything = []
    for number in range(1010):
        data = rows(number, 1, PLAIN, 0)
        everything += data
        bucket.put(f"{number:04}.csv", csv_bytes(data), DAY.format(1 + number % 5))
    bucket.fault({"status": {"status": 403, "code": "AccessDenied"}}, when={"operation": "REST.GET.BUCKET", "query_contains": "continuation-token"})
    story = Retry(bucket, bucket.config(), catalog(COLUMNS, mode))
    story.stays_red(2)
    bucket.no_faults()
    story.until_green()
    story.book.assert_whole(truth(everything), once=True)


@MODES
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl.gz"])
@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_an_archived_object(bucket, kind, policy, mode):
    everything = good_files(bucket, kind)
    data = rows(50_000, 3000, PLAIN)
    body = WRITERS[kind](data)
    bucket.put(f"m.{kind}", body, DAY.format(3), storage_class="GLACIER")
    story = Retry(bucket, bucket.config(filetype=filetype(kind), on_archived=policy), catalog(COLUMNS, mode))
    if policy == "fail":
        story.stays_red(2)
        assert truth(everything) <= set(story.book.kept)
    else:
        run = story.run()
        assert run.exit_code == 0 and re.search("archiv|Glacier", run.log, re.IGNORECASE), str(run)
    bucket.put(f"m.{kind}", body, DAY.format(3), storage_class="GLACIER", restored="true")
    if mode == "full_refresh" and policy == "skip":
        story.columns = catalog(COLUMNS, mode, sync_id=2)  # The sync was complete; the next one reads it all.
    story.until_green()
    story.book.assert_whole(truth([*everything, *data]))
    if mode == "incremental" and policy == "skip":
        bucket.put(f"m.{kind}", body, DAY.format(3), storage_class="GLACIER")
        story.config = bucket.config(filetype=filetype(kind), on_archived="fail")
        story.until_green(1)  # What was read needs no access any more.


@MODES
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_dead_letters_without_a_bucket(bucket, promise_server, kind, mode):
    everything = good_files(bucket, kind)
    data = rows(50_000, 400, PLAIN)
    body, bad = with_bad_lines(kind, data, 150)
    bucket.put(f"m.{kind}", body, DAY.format(3))
    letters = bucket.name + "-letters"
    config = bucket.config(filetype=filetype(kind), on_error="dead_letter", dead_letter_path=f"s3://{letters}/bad/")
    story = Retry(bucket, config, catalog(COLUMNS, mode))
    story.stays_red()
    assert letters in story.book.runs[-1].errors, story.book.runs[-1].errors
    promise_server.control("PUT", f"bucket?bucket={letters}")
    story.until_green()
    story.book.assert_whole(truth([*everything, *data]))
    written = sum(e["operation"] == "REST.PUT.OBJECT" and e["status"] == 200 for e in promise_server.requests())
    assert written, f"none of the {bad} bad rows was written"


# --- objects that change, and connections that break ----------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
@pytest.mark.parametrize("cut", [None, 2000, "limit"])
def test_an_object_that_is_replaced_in_the_middle(bucket, kind, cut, mode):
    """The new version must be there in whole; rows of the old one may be there too."""
    everything = good_files(bucket, kind)
    old = [{**row, "text": f"old {row['text']} {random.Random(row['id']).random()}"} for row in rows(50_000, 4_000, PLAIN)]
    new = [{**row, "text": row["text"].replace("old", "new"), "id": str(int(row["id"]) + 300_000)} for row in old]
    body, replaced = WRITERS[kind](old), WRITERS[kind](new)
    bucket.put(f"m.{kind}", body, DAY.format(3))
    story = Retry(bucket, bucket.config(filetype=filetype(kind)), catalog(COLUMNS, mode))
    if cut == "limit":
        story.config = {**story.config, "max_data_size_gb": len(body) * 2 // 3 / GIB, "on_limit": "partial"}
        story.run()
        story.config = bucket.config(filetype=filetype(kind))
        bucket.put(f"m.{kind}", replaced, DAY.format(8))
    elif cut:
        bucket.fault({"reset_after": 200_000}, when={"key_contains": "m.", "method": "GET"}, times=1)
        story.run(kill_after=cut)
        bucket.no_faults()
        bucket.put(f"m.{kind}", replaced, DAY.format(8))
    else:
        bucket.fault({"reset_after": 200_000}, when={"key_contains": "m.", "method": "GET"}, times=1)
        text = replaced.decode("latin-1")
        if kind in ("csv", "jsonl"):
            bucket.fault({"change_object_before": text}, when={"key_contains": "m.", "method": "GET"}, times=1)
        else:
            bucket.fault("delete_before", when={"key_contains": "m.", "method": "GET"}, times=1)
        run = story.run()
        bucket.no_faults()
        bucket.put(f"m.{kind}", replaced, DAY.format(8))
        assert run.exit_code or truth(old) <= set(story.book.kept) or truth(new) <= set(story.book.kept), str(run)
    story.until_green()
    story.book.seen -= truth(old)
    story.book.assert_whole(truth([*everything, *new]))


CUTS = [{"reset_after": 150_000}, {"short_body": 90_000}, "reset", {"status": {"status": 503, "code": "SlowDown"}}]


@pytest.mark.parametrize("kind", list(WRITERS))
@pytest.mark.parametrize("seed", range(6))
def test_broken_connections_and_killed_runs(bucket, kind, seed):
    """Downloads break off again and again, and the runs are killed: each row comes exactly once."""
    chance = random.Random(f"{kind} {seed}")
    everything = []
    for number in range(chance.randint(1, 4)):
        data = [{**row, "text": f"{row['text']} {chance.random()}"} for row in rows(number * 50_000, chance.choice([40, 3000, 9000]), PLAIN)]
        everything += data
        bucket.put(f"{number}.{kind}", WRITERS[kind](data), DAY.format(chance.randint(1, 4)))
    for action in chance.sample(CUTS, 2):
        bucket.fault(action, probability=0.3, seed=seed, times=6, when={"method": "GET"})
    story = Retry(bucket, bucket.config(filetype=filetype(kind)), catalog(COLUMNS, chance.choice(["incremental", "full_refresh"]), 7))
    for _ in range(chance.randint(1, 3)):
        story.run(kill_after=chance.randint(1, 6000), signal=chance.choice([9, 15, 2]))
    story.until_green()
    story.book.assert_whole(truth(everything), once=True)


def test_a_zip_with_one_damaged_member(bucket):
    everything = good_files(bucket, "csv")
    output = io.BytesIO()
    data = rows(50_000, 900, PLAIN)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"m{number}.csv", csv_bytes(data[number * 300 : number * 300 + 300]))
    body = output.getvalue()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        at = archive.infolist()[1].header_offset + 30 + len("m1.csv") + 400
    bucket.put("m.zip", body[:at] + bytes([body[at] ^ 0x55]) + body[at + 1 :], DAY.format(3))
    story = Retry(bucket, bucket.config(), catalog(COLUMNS))
    story.stays_red()
    bucket.put("m.zip", body, DAY.format(9))
    story.until_green()
    story.book.seen &= truth([*everything, *data])
    story.book.assert_whole(truth([*everything, *data]))


# --- bytes that arrive wrong ----------------------------------------------------------------------------------------------


class Checksummed(http.server.BaseHTTPRequestHandler):
    """A small S3 that keeps a CRC32 of each object, gives it as S3 does, and flips a byte of an answer when told to."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    flips: list[int]
    cuts: list[int]

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: bytes, headers: dict, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
            if cut is not None and cut < len(body):
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(path.path).lstrip("/").partition("/")[2]
        if not key:
            entries = "".join(
                f"<Contents><Key>{name}</Key><LastModified>2024-01-02T00:00:00.000Z</LastModified><ETag>&quot;{etag(body)}&quot;</ETag>"
                f"<Size>{len(body)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                for name, body in sorted(self.objects.items())
            )
            text = ('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
                    f"<Prefix></Prefix><KeyCount>{len(self.objects)}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{entries}"
                    "</ListBucketResult>")  # fmt: skip
            return self.answer(200, text.encode(), {"Content-Type": "application/xml", "x-amz-bucket-region": lab.REGION})
        body = self.objects[key]
        headers = {"ETag": f'"{etag(body)}"', "Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT", "Accept-Ranges": "bytes"}
        first, last, status = 0, len(body) - 1, 200
        if span := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            status = 206
            if span[1]:
                first, last = int(span[1]), min(int(span[2] or last), last)
            else:
                first = max(0, len(body) - int(span[2]))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        if (first, last) == (0, len(body) - 1) or self.command == "HEAD":
            crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
            headers |= {"x-amz-checksum-crc32": crc, "x-amz-checksum-type": "FULL_OBJECT"}
        part = bytearray(body[first : last + 1])
        if self.command == "GET" and self.flips and first <= self.flips[0] <= last:
            at = self.flips.pop(0)
            part[at - first] ^= 1
        cut = self.cuts.pop(0) if self.command == "GET" and self.cuts else None
        return self.answer(status, bytes(part), headers, cut)


def etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


@pytest.fixture
def checksummed():
    handler = type("Handler", (Checksummed,), {"objects": {}, "flips": [], "cuts": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    handler.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("mode", ["incremental", "full_refresh"])
@pytest.mark.parametrize("broken", [False, True], ids=["whole body", "body that breaks off"])
@pytest.mark.parametrize("killed", [False, True], ids=["one run", "after a killed run"])
@pytest.mark.parametrize("at", [0.3, 0.7, 0.99])
def test_a_flipped_byte_is_found_and_the_right_row_delivered(bucket, checksummed, mode, broken, killed, at):
    """One bit of a digit is wrong in one answer: the run fails, and the next one delivers the right row."""
    data = rows(100_000, 5000, ("plain",))
    body = csv_bytes(data)
    checksummed.objects |= {"a.csv": csv_bytes(rows(0, 10, PLAIN)), "m.csv": body, "z.csv": csv_bytes(rows(1000, 10, PLAIN))}
    place = body.index(b"\n", int(len(body) * at) - 40) + 6  # the last digit of an id
    checksummed.flips.append(place)
    if broken:
        checksummed.cuts += [1 << 40, len(body) // 2]
    stream = {"name": "s", "globs": ["**"], "format": {"filetype": "csv"}}
    config = make_config(checksummed.endpoint, "b", [stream])
    story = Retry(bucket, config, catalog(COLUMNS, mode))
    if killed:
        story.run(kill_after=3000)
    red = story.run()
    wrong = story.book.seen - truth([*data, *rows(0, 10, PLAIN), *rows(1000, 10, PLAIN)])
    assert not checksummed.flips, "no wrong byte was sent"
    if wrong and red.exit_code == 0:
        raise AssertionError(f"a wrong row, such as {wrong}, in a run that succeeded\n{red}")
    if red.exit_code:
        assert re.search("checksum", red.errors, re.IGNORECASE), str(red)
    story.until_green()
    story.book.seen -= wrong
    story.book.assert_whole(truth([*data, *rows(0, 10, PLAIN), *rows(1000, 10, PLAIN)]))


@MODES
@pytest.mark.parametrize("kind", ["csv.gz", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_byte_in_data_with_a_checksum_of_its_own(bucket, kind, seed, mode):
    chance = random.Random(f"{kind} {seed}")
    everything = good_files(bucket, kind)
    data = [{**row, "text": f"{row['text']} {chance.random()}"} for row in rows(50_000, 4_000, PLAIN)]
    body = parquet_bytes(data, write_page_checksum=True) if kind == "parquet" else WRITERS[kind](data)
    bucket.put(f"m.{kind}", body, DAY.format(3))
    bucket.fault({"flip_byte": chance.randint(20, len(body) * 9 // 10)}, times=1, when={"key_contains": "m.", "operation": "REST.GET.OBJECT"})
    story = Retry(bucket, bucket.config(filetype=filetype(kind)), catalog(COLUMNS, mode))
    story.run()
    bucket.no_faults()
    story.until_green()
    expected = truth([*everything, *data])
    wrong = story.book.seen - expected
    assert not (wrong and story.book.runs[0].exit_code == 0), f"wrong rows, such as {list(wrong)[:2]}, without an error"
    story.book.seen -= wrong
    story.book.assert_whole(expected)
