"""Raw files as frames of text: delimited text, JSON, Parquet and workbooks, alone, in folders or in zips.

What a file is, is told by its content; its ending only says whether a file in a folder or zip is looked at.
"""

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

import pandas as pd

from winpredict.config import InputLimits
from winpredict.errors import InputFileError
from winpredict.ingest.readers.content import UNPACKING_ERRORS, Content, content_of, copied, unpacked
from winpredict.ingest.readers.content_type import (
    KIND_BY_SUFFIX,
    NAMES,
    PACKED_SUFFIXES,
    WORKBOOKS,
    ContentType,
    Kind,
    content_type,
    suffix_of,
)
from winpredict.ingest.readers.delimited import is_delimited_table, read_delimited
from winpredict.ingest.readers.json_records import read_json
from winpredict.ingest.readers.limits import Budget
from winpredict.ingest.readers.parquet import read_parquet, with_whole_ids
from winpredict.ingest.readers.spreadsheets import read_workbook
from winpredict.ingest.readers.table import Table, Units, no_rows
from winpredict.locale.text import Text, text

__all__ = [
    "ENVIRONMENT_PREFIX",
    "ROWS_A_PART",
    "SMALL_BYTES",
    "RawFile",
    "holds_one_table",
    "is_warehouse",
    "read_files",
    "with_whole_ids",
]

#: A file that is read in parts comes in about so many rows at a time; a smaller one comes whole.
ROWS_A_PART, _BYTES_A_PART, SMALL_BYTES = 500_000, 32 * 2**20, 2**20

#: Before the name of an environment variable that holds the URL of a warehouse.
ENVIRONMENT_PREFIX = "env:"

_PACKED_KINDS = {"gzip": ".gz", "bzip2": ".bz2"}


@dataclass(frozen=True)
class RawFile:
    """One table as it came, or a part of one.

    Parameters
    ----------
    name : str
        File name, zip member or sheet, without its suffix.
    path : str
        Where it came from, for people.
    sha256 : str
        Of the bytes of the file (of the member in a zip).
    frame : DataFrame
        Texts (typed values from Parquet and JSON), index = row number: of a delimited text that of the record, blank
        ones counted and the header of a plain file being 1; of a sheet that of its row; otherwise that of the record.
    unreadable : DataFrame
        Columns row and text: lines that do not fit the header, and records that are no objects.
    remarks : tuple of Text or str
        How it was read where that was not plain, each a clause for people. Of a table in parts, the first part has
        those on the file and the last one those on its rows.
    ledger : dict of str to int
        Where each physical line or record of the file went: records, header, title rows, blank lines, footer, repeated
        header, second header row, comments, inside quoted cells, unreadable. The sum is the number of lines or records
        in the file; of a table in parts, the sum over all of them.
    units : str
        What the ledger counts, lines or records (rows of a sheet are records).
    repairs : DataFrame
        Columns row, column and cause: cells that were changed while reading.
    set_aside : DataFrame
        Columns row, text and cause: rows that are no data and were left out.
    delimiter : str
        What separates the columns of a delimited text.
    encoding : str
        Of a text, for people.

    Examples
    --------
    >>> RawFile("deals", "deals.csv", "", pd.DataFrame(), remarks=("Windows-1252", "1 title row")).remark
    'Windows-1252; 1 title row'
    """

    name: str
    path: str
    sha256: str
    frame: pd.DataFrame
    unreadable: pd.DataFrame = field(default_factory=lambda: no_rows("row", "text"))
    remarks: tuple[Text | str, ...] = ()
    ledger: dict[str, int] = field(default_factory=dict)
    units: Units = "records"
    repairs: pd.DataFrame = field(default_factory=lambda: no_rows("row", "column", "cause"))
    set_aside: pd.DataFrame = field(default_factory=lambda: no_rows("row", "text", "cause"))
    delimiter: str = ""
    encoding: str = ""

    @property
    def remark(self) -> str:
        """All remarks in one line, in the language of the moment."""
        return "; ".join(map(str, self.remarks))


def is_warehouse(text: str) -> bool:
    """Whether a text names a warehouse rather than a file.

    Examples
    --------
    >>> is_warehouse("postgresql://me@host/crm"), is_warehouse("env:WAREHOUSE"), is_warehouse("deals.csv")
    (True, True, False)
    """
    return "://" in text or text.startswith(ENVIRONMENT_PREFIX)


def read_files(
    paths: Iterable[Path | str],
    *,
    in_parts: bool = False,
    encoding: str | None = None,
    limits: InputLimits | None = None,
) -> Iterator[RawFile]:
    r"""Read every table in files, folders and zips, one after the other.

    Parameters
    ----------
    paths : iterable of Path or str
        Folders are read with everything in them; files of unknown kinds in folders and zips are passed over.
    in_parts : bool
        Yield large delimited and Parquet files in several parts of the same path, of `ROWS_A_PART` rows or so.
    encoding : str, optional
        Of all texts, such as cp1252; by default it is told from the bytes of each.
    limits : InputLimits, optional
        What a file may hold.

    Yields
    ------
    RawFile

    Raises
    ------
    InputFileError
        When a path does not exist, is of an unknown kind, empty, broken, or beyond a limit.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "deals.csv"
    >>> _ = path.write_text("Won deals 2024\n\nId;Amount\n006A1;12,5\n006A2;14\n\nTotal;26,5\n")
    >>> raw = next(read_files([path]))
    >>> raw.frame.to_dict("index")
    {4: {'Id': '006A1', 'Amount': '12,5'}, 5: {'Id': '006A2', 'Amount': '14'}}
    >>> raw.ledger
    {'title rows': 1, 'header': 1, 'records': 2, 'footer': 1, 'blank lines': 2}
    """
    door = _Door(in_parts, encoding, limits or InputLimits())
    for path in map(Path, paths):
        try:
            yield from door.tables(path)
        except (InputFileError, NameError):
            raise
        except MemoryError:
            raise InputFileError(
                text(
                    "{path} needs more memory than there is; export fewer columns, or import it with --buckets",
                    path=path,
                )
            ) from None
        except Exception as error:
            # a damaged file can break its reader in any way: people are told which file it is
            raise InputFileError(
                text(
                    "{path} cannot be read ({name}: {error}); export or copy it again",
                    path=path,
                    name=type(error).__name__,
                    error=str(error)[:300],
                )
            ) from error


def holds_one_table(
    paths: Iterable[Path | str], *, encoding: str | None = None, limits: InputLimits | None = None
) -> bool:
    """Whether files, folders and zips hold a single table between them; it then holds the deals whatever it is called.

    Examples
    --------
    >>> holds_one_table(["mine.csv"]), holds_one_table(["deals.csv", "calls.csv"])
    (True, False)
    """
    links = limits is not None and limits.outside_links
    files = [
        inner
        for path in map(Path, paths)
        for inner in (_inside(path, outside_links=links) if path.is_dir() else [path])
    ]
    if len(files) != 1:
        return False
    if not files[0].is_file():
        return True
    content = content_of(files[0])
    try:
        kind = content_type(content, suffix_of(files[0].name)).kind
    finally:
        content.close()
    if kind in ("zip", "html", *WORKBOOKS) or files[0].suffix.lower() == ".zip":
        return len(list(islice(read_files(files, encoding=encoding, limits=limits), 2))) == 1
    return True


class _Door:
    """Reads one path after the other with the same settings."""

    def __init__(self, in_parts: bool, encoding: str | None, limits: InputLimits) -> None:
        self.in_parts, self.encoding, self.limits = in_parts, encoding, limits

    def tables(self, path: Path) -> Iterator[RawFile]:
        """The tables of a file, folder or zip."""
        if path.is_dir():
            for inner in _inside(path, outside_links=self.limits.outside_links):
                yield from self._of_file(inner, inside=True)
        elif path.is_file():
            yield from self._of_file(path, inside=False)
        else:
            raise InputFileError(
                text("{path} does not exist; name a folder or file with the export", path=_named(path))
            )

    def _of_file(self, path: Path, *, inside: bool) -> Iterator[RawFile]:
        try:
            content = content_of(path)
        except OSError as error:
            raise InputFileError(
                text("{path} cannot be opened: {strerror}", path=path, strerror=error.strerror or error)
            ) from None
        try:
            budget = Budget(self.limits, content.size, str(path))
            kind = content_type(content, suffix_of(path.name)).kind
            if (kind == "zip" or path.suffix.lower() == ".zip") and not inside:
                yield from self._of_zip(path, content, budget)
            else:
                yield from self._of_content(path.name, str(path), content, budget, inside=inside)
        finally:
            content.close()

    def _of_zip(self, path: Path, content: Content, budget: Budget) -> Iterator[RawFile]:
        try:
            with zipfile.ZipFile(content.opened()) as archive:
                members = [each for each in archive.infolist() if not each.is_dir() and _is_known(each.filename)]
                if len(members) > self.limits.zip_members:
                    raise InputFileError(
                        text(
                            "{path} holds {n:count} files, more than {zip_members:count} "
                            "(input_limits.zip_members); unpack it yourself and import the folder, or raise "
                            "the limit",
                            path=path,
                            n=len(members),
                            zip_members=self.limits.zip_members,
                        )
                    )
                for member in sorted(members, key=lambda each: each.filename):
                    where = f"{path}/{member.filename}"
                    if member.flag_bits & 1:
                        raise InputFileError(
                            text("{where} has a password; pack it without one, or unpack it yourself", where=where)
                        )
                    # a member named ../../x never becomes a path
                    name = PurePosixPath(member.filename).name
                    with archive.open(member) as stream, closing(copied(stream, budget)) as inner:  # type: ignore[arg-type]
                        yield from self._of_content(name, where, inner, budget, inside=True)
        except (*UNPACKING_ERRORS, NotImplementedError, RuntimeError) as error:
            raise InputFileError(
                text("{path} is no readable zip ({error}); export or copy it again", path=path, error=error)
            ) from None

    def _of_content(
        self, name: str, where: str, content: Content, budget: Budget, *, inside: bool
    ) -> Iterator[RawFile]:
        digest = content.sha256()
        stem, suffix = PurePosixPath(name).stem, suffix_of(name)
        found = content_type(content, suffix)
        packing = _PACKED_KINDS.get(found.kind)
        named_packed = PurePosixPath(name).suffix.lower() in PACKED_SUFFIXES
        if packing is None and named_packed:
            stem = PurePosixPath(stem).stem
            if found.kind == "text" and content.size and not is_delimited_table(content, where, self.encoding):
                raise InputFileError(
                    text(
                        "{where} cannot be read: it is neither packed as its ending says nor a table; export it again",
                        where=where,
                    )
                )
        if packing is not None:
            with closing(unpacked(content, packing, budget, where)) as inner:
                stem = PurePosixPath(stem).stem if named_packed else stem
                remarks = () if named_packed else (text("it is {kind}, whatever its ending", kind=NAMES[found.kind]),)
                of_inner = content_type(inner, suffix)
                if of_inner.kind in ("zip", *_PACKED_KINDS):
                    raise InputFileError(
                        text(
                            "{where} holds {name} in {packing}; unpack it yourself",
                            where=where,
                            name=of_inner.name,
                            packing=found.name,
                        )
                    )
                yield from self._of_kind(of_inner, stem, suffix, where, inner, budget, digest, remarks, inside=inside)
            return
        remarks = (text("it is not packed, whatever its ending"),) if named_packed else ()
        yield from self._of_kind(found, stem, suffix, where, content, budget, digest, remarks, inside=inside)

    def _of_kind(
        self,
        found: ContentType,
        stem: str,
        suffix: str,
        where: str,
        content: Content,
        budget: Budget,
        digest: str,
        remarks: tuple[Text | str, ...],
        *,
        inside: bool,
    ) -> Iterator[RawFile]:
        usual = KIND_BY_SUFFIX.get(suffix)
        _refuse(found, usual, where, content, inside=inside)
        kind = found.kind
        if kind in ("text", "json") and usual not in ("text", "json"):
            unknown = usual is None
            if kind == "text" and not is_delimited_table(content, where, self.encoding, from_start=unknown):
                raise _no_table(where, usual)
        elif kind == "json" and usual == "json" and _is_text_table(content, where, self.encoding):
            kind = "text"
        if usual is not None and kind != usual:
            remarks = (*remarks, text("named {suffix}, but it is {kind}", suffix=suffix, kind=NAMES[kind]))
        for table in self._read(kind, where, content, budget, suffix, inside=inside):
            yield RawFile(
                name=table.sheet or stem,
                path=where,
                sha256=digest,
                frame=table.frame,
                unreadable=table.unreadable,
                remarks=(*remarks, *table.remarks),
                ledger=table.ledger,
                units=table.units,
                repairs=table.repairs,
                set_aside=table.set_aside,
                delimiter=table.delimiter,
                encoding=table.encoding,
            )
            remarks = ()

    def _read(
        self, kind: str, where: str, content: Content, budget: Budget, suffix: str, *, inside: bool
    ) -> Iterator[Table]:
        in_parts = self.in_parts and content.size > SMALL_BYTES
        if kind == "json":
            yield from read_json(content, where, budget, encoding=self.encoding)
        elif kind == "parquet":
            yield from read_parquet(content, where, budget, part_rows=ROWS_A_PART if in_parts else None)
        elif kind == "text":
            yield from read_delimited(
                content,
                where,
                budget,
                encoding=self.encoding,
                part_bytes=_BYTES_A_PART if in_parts else None,
                must_be_table=inside and suffix == ".txt",
            )
        else:
            yield from read_workbook(content, where, kind, budget, encoding=self.encoding)  # type: ignore[arg-type]


def _is_text_table(content: Content, where: str, encoding: str | None) -> bool:
    """Whether what is named .json has no line that begins as JSON does, and is a delimited table."""
    head = content.head.removeprefix(b"\xef\xbb\xbf").lstrip()
    begins_json = head.startswith((b"{", b"[")) or b"\n{" in head or b"\n[" in head
    return not begins_json and is_delimited_table(content, where, encoding)


def _refuse(found: ContentType, usual: str | None, where: str, content: Content, *, inside: bool) -> None:
    """Say what is wrong with a file that no reader is for."""
    if content.size <= len(content.head) and not content.head.strip(b"\xef\xbb\xbf \t\r\n\x00"):
        raise InputFileError(text("{where} is empty; export it again, or leave it out", where=where))
    if found.kind == "refused":
        raise InputFileError(
            text("{where} cannot be read: it is {name}; {advice}", where=where, name=found.name, advice=found.advice)
        )
    if found.kind == "zip":
        raise InputFileError(
            text("{where} cannot be read: it is a zip, whatever its ending; unpack it, or name it .zip", where=where)
        )
    if usual is None and inside:
        raise _no_table(where, usual)


def _no_table(where: str, usual: Kind | None) -> InputFileError:
    if usual is None:
        return InputFileError(
            text(
                "{where} is none of {endings}, .zip, or one of these with .gz or .bz2",
                where=where,
                endings=", ".join(sorted(KIND_BY_SUFFIX)),
            )
        )
    return InputFileError(
        text(
            "{where} cannot be read: its ending says {names}, but it is text without a table; export it again "
            "as .csv or .xlsx",
            where=where,
            names=NAMES[usual],
        )
    )


def _named(path: Path) -> str:
    """A path that was not found, for people; what may be a mistyped URL with a password in it is not repeated."""
    if "@" not in str(path):
        return str(path)
    return "the path with an @ (it is not repeated here; the URL of a warehouse is postgresql://user@host/database)"


def _is_known(name: str) -> bool:
    """Whether a file in a folder or zip is looked at, by its name."""
    return not PurePosixPath(name).name.startswith((".", "~$")) and suffix_of(name) in KIND_BY_SUFFIX


def _inside(folder: Path, *, outside_links: bool = False) -> list[Path]:
    """The files in a folder and its folders that can be read.

    Raises
    ------
    InputFileError
        When a symbolic link leads out of the folder, or nowhere.
    """
    files = []
    for place, folders, names in os.walk(folder, followlinks=outside_links):
        for name in folders:
            if (path := Path(place) / name).is_symlink() and not outside_links:
                _check_link(path, folder)
        for name in filter(_is_known, names):
            path = Path(place) / name
            if path.is_symlink() and not outside_links:
                _check_link(path, folder)
            if path.is_file():
                files.append(path)
    return sorted(files)


def _check_link(path: Path, folder: Path) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise InputFileError(
            text("{path} is a symbolic link that leads nowhere; remove it, or copy the file", path=path)
        ) from None
    if not target.is_relative_to(folder.resolve()):
        raise InputFileError(
            text(
                "{path} is a symbolic link that leads out of the folder, to {target}; copy what it leads to, "
                "or set input_limits.outside_links",
                path=path,
                target=target,
            )
        )
