"""Look for a value in every file of a folder: in its bytes, unpacked, in columns of Parquet and in databases."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq


def found_in(folder: Path, *values: str) -> dict[str, list[str]]:
    """Files that hold any of the values, each with those that it holds."""
    found: dict[str, list[str]] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        words = [each.casefold() for each in _contents(path)]
        held = [value for value in values if any(value.casefold() in each for each in words)]
        held += [value for value in values if value.casefold() in path.name.casefold()]
        if held:
            found[path.relative_to(folder).as_posix()] = held
    return found


def _contents(path: Path) -> Iterator[str]:
    raw = path.read_bytes()
    yield raw.decode("latin-1")
    yield raw.decode("utf-8", "ignore")
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw).decode("utf-8", "ignore")
    if path.suffix == ".parquet":
        for column in pq.ParquetFile(path).read().itercolumns():
            yield "\n".join(map(str, column.to_pylist()))
    if path.suffix in (".json", ".jsonl"):
        lines = raw.decode().splitlines() if path.suffix == ".jsonl" else [raw.decode()]
        yield "\n".join(json.dumps(json.loads(line), ensure_ascii=False) for line in lines if line)
    if raw.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as connection:
            yield "\n".join(connection.iterdump())
