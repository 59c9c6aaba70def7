"""Raw files as frames of text: CSV, JSON lines, Parquet and Excel, alone, in folders or in zips."""

import bz2
import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from winpredict.errors import InputFileError
from winpredict.tables.schema import text_dtype

_DELIMITERS = (",", ";", "\t", "|")
#: A zip that says it holds more than this is refused: it would not fit, and may be made to do harm.
LARGEST_UNZIPPED = 50 * 2**30
#: So is one that unpacks to more than this many times its size, once it is large at all.
_LARGEST_RATIO, _HARMLESS = 1000, 2**30
#: A file that is read in parts comes in about so many rows at a time; a smaller one comes whole.
ROWS_A_PART, _BYTES_A_PART, SMALL_BYTES = 500_000, 32 * 2**20, 2**20
_HEAD = 2**20

#: Before the name of an environment variable that holds the URL of a warehouse.
ENVIRONMENT_PREFIX = "env:"


@dataclass(frozen=True)
class RawFile:
    """One table as it came.

    Parameters
    ----------
    name : str
        File name, zip member or sheet, without its suffix.
    path : str
        Where it came from, for people.
    sha256 : str
        Of the bytes of the file (of the member in a zip).
    frame : DataFrame
        Texts (typed values from Parquet), index = line or row number, header or first row being 1.
    unreadable : DataFrame
        Columns row and text: lines that do not fit the header.
    remark : str
        How it was read, where that was not plain.
    """

    name: str
    path: str
    sha256: str
    frame: pd.DataFrame
    unreadable: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"row": [], "text": []}))
    remark: str = ""


def is_warehouse(text: str) -> bool:
    """Whether a text names a warehouse rather than a file.

    Examples
    --------
    >>> is_warehouse("postgresql://me@host/crm"), is_warehouse("env:WAREHOUSE"), is_warehouse("deals.csv")
    (True, True, False)
    """
    return "://" in text or text.startswith(ENVIRONMENT_PREFIX)


def read_files(paths: Iterable[Path | str], *, in_parts: bool = False) -> Iterator[RawFile]:
    """Read every table in files, folders and zips, one after the other.

    Parameters
    ----------
    paths : iterable of Path or str
        Folders are read with everything in them; files of unknown kinds in folders and zips are passed over.
    in_parts : bool
        Yield large CSV and Parquet files in several parts of the same path, of `ROWS_A_PART` rows or so.

    Yields
    ------
    RawFile

    Raises
    ------
    InputFileError
        When a path does not exist, is of an unknown kind, empty, or broken.
    """
    for path in map(Path, paths):
        if path.is_dir():
            for inner in _inside(path):
                yield from _of_path(inner, in_parts=in_parts)
        elif path.is_file():
            if path.suffix.lower() == ".zip":
                yield from _unzipped(path)
            elif _reader(path.name):
                yield from _of_path(path, in_parts=in_parts)
            else:
                raise InputFileError(f"{path} is none of {', '.join(sorted(_READERS))}, .zip, or one of these with .gz")
        else:
            raise InputFileError(f"{_named(path)} does not exist; name a folder or file with the export")


def _named(path: Path) -> str:
    """A path that was not found, for people; what may be a mistyped URL with a password in it is not repeated."""
    if "@" not in str(path):
        return str(path)
    return "the path with an @ (it is not repeated here; the URL of a warehouse is postgresql://user@host/database)"


def holds_one_table(paths: Iterable[Path | str]) -> bool:
    """Whether files, folders and zips hold a single table between them; it then holds the deals whatever it is called.

    Examples
    --------
    >>> holds_one_table(["mine.csv"]), holds_one_table(["deals.csv", "calls.csv"])
    (True, False)
    """
    files = [inner for path in map(Path, paths) for inner in (_inside(path) if path.is_dir() else [path])]
    if len(files) == 1 and files[0].suffix.lower() in (".zip", ".xlsx"):
        return len(list(islice(read_files(files), 2))) == 1
    return len(files) == 1


def _inside(folder: Path) -> list[Path]:
    """The files in a folder and its folders that can be read."""
    return sorted(each for each in folder.rglob("*") if each.is_file() and _reader(each.name))


def _of_path(path: Path, *, in_parts: bool) -> Iterator[RawFile]:
    in_steps = _IN_PARTS.get(path.suffix.lower()) if in_parts and path.stat().st_size > SMALL_BYTES else None
    if in_steps is None:
        yield from _read(path.name, str(path), path.read_bytes())
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        for table in in_steps(path):
            yield RawFile(path.stem, str(path), digest, table.frame, table.unreadable, table.remark)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise InputFileError(
            f"{path} cannot be read: {str(error)[:300]}. A file of this size must be a sound {path.suffix} file, and "
            "text in UTF-8"
        ) from None


def _parquet_in_parts(path: Path) -> Iterator["_Table"]:
    start = 1
    for batch in pq.ParquetFile(path).iter_batches(ROWS_A_PART):
        frame = with_whole_ids(batch)
        frame.index = pd.RangeIndex(start, start + len(frame), name="row")
        start += len(frame)
        yield _Table(frame)


def with_whole_ids(rows: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Rows in pandas. Whole numbers are not made floats for the sake of a missing one: ids may have more digits."""
    texts = {pa.string(): text_dtype(), pa.large_string(): text_dtype()}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=texts.get, integer_object_nulls=True)
    return frame


def _csv_in_parts(path: Path) -> Iterator["_Table"]:
    with path.open("rb") as file:
        head, remark = _decoded(file.read(_HEAD).rsplit(b"\n", 1)[0])
    if remark:
        raise InputFileError(f"{path} is large and in {remark}; save it as UTF-8")
    layout = _layout(head, str(path))
    bad: list[tuple[int, str]] = []
    with pacsv.open_csv(path, **_csv_options(layout, bad, _BYTES_A_PART)) as reader:
        start, told = 2, 0
        for batch in reader:
            frame = batch.to_pandas(types_mapper={pa.string(): text_dtype()}.get)
            numbers = np.setdiff1d(np.arange(start, start + len(frame) + len(bad)), [row for row, _ in bad])[
                : len(frame)
            ]
            frame.index = pd.Index(numbers, name="row")
            start = int(numbers[-1]) + 1 if len(numbers) else start
            yield _Table(frame, unreadable=pd.DataFrame(bad[told:], columns=["row", "text"]), remark=layout.remark)
            told = len(bad)


def _unzipped(path: Path) -> Iterator[RawFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if not each.is_dir() and _reader(each.filename)]
            size = sum(each.file_size for each in members)
            if size > LARGEST_UNZIPPED or (size > _HARMLESS and size > _LARGEST_RATIO * path.stat().st_size):
                raise InputFileError(f"{path} would unpack to {size:,} bytes; unpack it yourself and import the folder")
            for member in sorted(members, key=lambda each: each.filename):
                # read in memory: a member named ../../x never becomes a path
                yield from _read(PurePosixPath(member.filename).name, f"{path}/{member.filename}", archive.read(member))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputFileError(f"{path} is no readable zip ({error}); export or copy it again") from None


def _reader(name: str) -> "Callable[[str, bytes], Iterator[_Table]] | None":
    if PurePosixPath(name).name.startswith((".", "~$")):
        return None
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    packed = suffixes and suffixes[-1] in _UNPACKERS
    kind = suffixes[-2] if packed and len(suffixes) > 1 else suffixes[-1] if suffixes else ""
    return _READERS.get(kind)


def _read(name: str, where: str, content: bytes) -> Iterator[RawFile]:
    digest = hashlib.sha256(content).hexdigest()
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix.lower()
    reader = _reader(name)
    assert reader is not None
    try:
        if suffix in _UNPACKERS:
            content, stem = _UNPACKERS[suffix](content), PurePosixPath(stem).stem
        if not content.strip():
            raise InputFileError(f"{where} is empty; export it again, or leave it out")
        for table in reader(where, content):
            yield RawFile(table.sheet or stem, where, digest, table.frame, table.unreadable, table.remark)
    except InputFileError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, pa.ArrowException) as error:
        raise InputFileError(f"{where} cannot be read: {str(error)[:300]}; is it really a {suffix} file?") from None


@dataclass(frozen=True)
class _Table:
    frame: pd.DataFrame
    sheet: str = ""
    unreadable: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"row": [], "text": []}))
    remark: str = ""


def _csv(where: str, content: bytes) -> Iterator[_Table]:
    text, remark = _decoded(content)
    layout = _layout(text, where)
    bad: list[tuple[int, str]] = []
    table = pacsv.read_csv(io.BytesIO(text.encode()), **_csv_options(layout, bad, None))
    frame = table.to_pandas(types_mapper={pa.string(): text_dtype()}.get)
    rows = sorted({*range(2, len(frame) + len(bad) + 2)} - {row for row, _ in bad})[: len(frame)]
    frame.index = pd.Index(rows, name="row")
    remark = "; ".join(filter(None, (remark, layout.remark)))
    yield _Table(frame, unreadable=pd.DataFrame(bad, columns=["row", "text"]), remark=remark)


@dataclass(frozen=True)
class _Layout:
    """Columns of a CSV file and what parts them."""

    names: list[str]
    delimiter: str

    @property
    def remark(self) -> str:
        return "" if self.delimiter == "," else f"columns parted by {self.delimiter!r}"


def _layout(text: str, where: str) -> _Layout:
    header, delimiter = _header(text, where)
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, start=1)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputFileError(f"{where} has the column(s) {', '.join(repeated)} more than once; rename all but one")
    return _Layout(names, delimiter)


def _csv_options(layout: _Layout, bad: list[tuple[int, str]], block_size: int | None) -> dict[str, Any]:
    """How Arrow is to read a CSV file: all as text; lines that do not fit go to `bad` with their numbers."""

    def set_aside(row: pacsv.InvalidRow) -> str:
        bad.append((row.number or 0, row.text or ""))
        return "skip"

    return {
        "read_options": pacsv.ReadOptions(
            use_threads=False, column_names=layout.names, skip_rows_after_names=1, block_size=block_size
        ),
        "parse_options": pacsv.ParseOptions(
            delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=set_aside, ignore_empty_lines=True
        ),
        "convert_options": pacsv.ConvertOptions(
            column_types=dict.fromkeys(layout.names, pa.string()), strings_can_be_null=False, check_utf8=True
        ),
    }


def _decoded(content: bytes) -> tuple[str, str]:
    """Text of a file in whatever encoding spreadsheets and CRMs write, without its byte-order mark."""
    head = content[:4096]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16").replace("\x00", ""), "UTF-16"
    for zeros, name in ((head[1::2], "utf-16-le"), (head[::2], "utf-16-be")):
        if zeros.count(0) > len(zeros) // 2:
            return content.decode(name), "UTF-16"
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "Windows-1252"


def _header(text: str, where: str) -> tuple[list[str], str]:
    """The names in the first row, and the delimiter that parts it into the most columns."""
    try:
        parsed = {mark: next(csv.reader(io.StringIO(text, newline=""), delimiter=mark), []) for mark in _DELIMITERS}
    except csv.Error as error:
        raise InputFileError(f"{where} has no header that can be read ({error}); is it really a CSV file?") from None
    delimiter = max(parsed, key=lambda mark: len(parsed[mark]))
    if not any(name.strip() for name in parsed[delimiter]):
        raise InputFileError(f"{where} has no header; its first row must name the columns")
    return parsed[delimiter], delimiter


def _json(where: str, content: bytes) -> Iterator[_Table]:
    text, remark = _decoded(content)
    try:
        whole = json.loads(text)
    except ValueError:
        records, bad = _json_lines(text)
    else:
        records, bad = list(enumerate(_records(whole), start=1)), []
    if not records:
        raise InputFileError(f"{where} holds no JSON objects; one object a line is expected")
    frame = pd.json_normalize([record for _, record in records])
    frame.index = pd.Index([row for row, _ in records], name="row")
    yield _Table(frame, unreadable=pd.DataFrame(bad, columns=["row", "text"]), remark=remark)


def _records(whole: object) -> list[dict[str, Any]]:
    """Objects in a list, or under the name that a CRM's API puts the list under."""
    if isinstance(whole, dict):
        for name in ("results", "data", "records"):
            if isinstance(whole.get(name), list):
                return [each for each in whole[name] if isinstance(each, dict)]
        return [whole]
    return [each for each in whole if isinstance(each, dict)] if isinstance(whole, list) else []


def _json_lines(text: str) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, str]]]:
    records: list[tuple[int, dict[str, Any]]] = []
    bad = []
    for row, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records += [(row, each) for each in _records(json.loads(line))]
        except ValueError:
            bad.append((row, line))
    return records, bad


def _parquet(where: str, content: bytes) -> Iterator[_Table]:
    frame = with_whole_ids(pq.read_table(io.BytesIO(content))).reset_index(drop=True)
    frame.index = pd.RangeIndex(1, len(frame) + 1, name="row")
    yield _Table(frame)


def _excel(where: str, content: bytes) -> Iterator[_Table]:
    sheets = pd.read_excel(io.BytesIO(content), sheet_name=None, dtype=str, keep_default_na=False)
    filled = {name: frame for name, frame in sheets.items() if len(frame)}
    if not filled:
        raise InputFileError(f"{where} has no sheet with rows; export it again, or leave it out")
    for name, frame in filled.items():
        frame.index = pd.RangeIndex(2, len(frame) + 2, name="row")
        frame.columns = [str(column).strip() for column in frame.columns]
        yield _Table(frame, sheet=name if len(filled) > 1 else "")


_READERS: dict[str, Callable[[str, bytes], Iterator[_Table]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
    ".parquet": _parquet,
    ".xlsx": _excel,
}
_IN_PARTS: dict[str, Callable[[Path], Iterator[_Table]]] = {
    ".csv": _csv_in_parts,
    ".tsv": _csv_in_parts,
    ".parquet": _parquet_in_parts,
}
_UNPACKERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".bz2": bz2.decompress}
