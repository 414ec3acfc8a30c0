"""The bytes of a file that the table describes.

A text is itself. Anything else is an object with one of these keys:

    {hex: "00ff"}                      bytes
    {encoded: [text, codec]}           a text in an encoding of Python
    {repeat: [text, times], then: …}   a long text; `head` and `then` stand before and behind
    {gzip: CONTENT} {bz2: CONTENT} {xz: CONTENT}      compressed; {gzip: CONTENT, cut: N} loses its last N bytes
    {zip: {member: CONTENT}}           an archive with members of 2024-01-15T10:00:00
    {parquet: {column: [type, values]}}               one row group; types as `arrow_type` reads them
    {file: name}                       a file of the folder `files/`
"""

from __future__ import annotations

import ast
import bz2
import datetime
import decimal
import gzip
import io
import lzma
import pathlib
import zipfile

FILES = pathlib.Path(__file__).parent / "files"
MEMBER_TIME = (2024, 1, 15, 10, 0, 0)


def content(described) -> bytes:
    """The bytes of a description."""
    if isinstance(described, str):
        return described.encode()
    makers = {
        "hex": lambda: bytes.fromhex(described["hex"]),
        "encoded": lambda: described["encoded"][0].encode(described["encoded"][1]),
        "repeat": lambda: repeated(described),
        "gzip": lambda: cut(gzip.compress(content(described["gzip"]), mtime=0), described),
        "bz2": lambda: bz2.compress(content(described["bz2"])),
        "xz": lambda: lzma.compress(content(described["xz"])),
        "zip": lambda: zipped(described["zip"]),
        "parquet": lambda: parquet(described["parquet"]),
        "file": lambda: (FILES / described["file"]).read_bytes(),
        "joined": lambda: b"".join(map(content, described["joined"])),
    }
    (make,) = [make for key, make in makers.items() if key in described]
    return make()


def repeated(described: dict) -> bytes:
    text, times = described["repeat"]
    return (described.get("head", "") + text * times + described.get("then", "")).encode()


def cut(data: bytes, described: dict) -> bytes:
    return data[: len(data) - described.get("cut", 0)]


def zipped(members: dict) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, described in members.items():
            archive.writestr(zipfile.ZipInfo(name, MEMBER_TIME), content(described), zipfile.ZIP_DEFLATED)
    return output.getvalue()


def parquet(columns: dict) -> bytes:
    import pyarrow
    import pyarrow.parquet

    arrays = {}
    for name, (kind, values) in columns.items():
        arrow = arrow_type(kind)
        plain = [value_of(value) for value in values]
        if pyarrow.types.is_dictionary(arrow):
            arrays[name] = pyarrow.array(plain, arrow.value_type).dictionary_encode()
        elif kind == "int96":
            arrays[name] = pyarrow.array(plain, pyarrow.timestamp("ns"))
        else:
            arrays[name] = pyarrow.array(plain, arrow)
    int96 = any(kind == "int96" for kind, _ in columns.values())
    output = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(arrays), output, use_deprecated_int96_timestamps=int96, version="2.6")
    return output.getvalue()


def arrow_type(text: str):
    """`int64`, `decimal128(10, 4)`, `timestamp('ns', 'UTC')`, `list_(int64)`, `struct({'a': int64})`, `map_(string, int64)`."""
    import pyarrow

    if text == "int96":
        return pyarrow.timestamp("ns")

    def build(node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return getattr(pyarrow, node.id)()
        if isinstance(node, ast.Dict):
            return [(build(key), build(value)) for key, value in zip(node.keys, node.values)]
        return getattr(pyarrow, node.func.id)(*map(build, node.args))

    return build(ast.parse(text, mode="eval").body)


def value_of(value):
    """A value of a table: `decimal 1.50`, `time 01:02:03.004`, `hex 00ff` and `seconds 90` are written as such texts."""
    if isinstance(value, list):
        return [value_of(item) for item in value]
    if isinstance(value, dict):
        return {key: value_of(item) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    kind, _, rest = value.partition(" ")
    readers = {
        "decimal": decimal.Decimal,
        "time": datetime.time.fromisoformat,
        "date": datetime.date.fromisoformat,
        "at": datetime.datetime.fromisoformat,
        "hex": bytes.fromhex,
        "nanoseconds": int,
        "seconds": lambda text: datetime.timedelta(seconds=float(text)),
        "pairs": lambda text: list(ast.literal_eval(text).items()),
    }
    return readers[kind](rest) if kind in readers and rest else value
