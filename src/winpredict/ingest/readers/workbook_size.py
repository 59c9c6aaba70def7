"""How far the sheets of a workbook reach, told from its XML or records before any cell is allocated.

The library that reads workbooks makes room for every cell between the first used one and the last: a single cell in the
far corner would take hundreds of gigabytes, and end the process.
"""

import posixpath
import re
import struct
import xml.parsers.expat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from winpredict.ingest.readers.limits import Budget

_STEP = 2**20
# a start tag of a cell with something in it; its attributes never hold > or <
_REFERENCE = re.compile(rb'<(?:\w+:)?c\s(?:[^>]*?\s)?r="([A-Z]{1,3}[0-9]{1,7})"[^>]*(?<!/)>')
_SHARED = re.compile(rb'<(?:\w+:)?c\s[^>]*\bt="s"[^>]*>\s*<(?:\w+:)?v>\s*([0-9]{1,9})\s*<')
_SHARED_TEXT = re.compile(rb"<(?:\w+:)?si[\s>]")
_ERROR_CELL = re.compile(rb'<(?:\w+:)?c\s([^>]*\bt="e"[^>]*)>(.{0,2000}?)</(?:\w+:)?c>', re.DOTALL)
_PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]{1,40})<")
_OVERLAP = 4096
_MAX_ERRORS = 200_000
_LETTERS, _DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789"
#: Kinds of records of .xlsb.
_XLSB_ROW, _XLSB_CELLS, _XLSB_SHARED, _XLSB_TEXT = 0, range(2, 12), 7, 19


@dataclass
class SheetSize:
    """What a sheet takes.

    Parameters
    ----------
    rows, columns : int
        Up to the last filled cell.
    cells : int
        Filled ones.
    errors : dict of (row, column) to str
        Cells that hold an error such as #REF!, counted from 0.
    shared : int
        Cells that refer to a text which is stored once for all of them.
    chars : int
        Characters of all texts, where the format tells.
    certain : bool
        Whether every cell says where it is.
    complete : bool
        Whether the sheet ends as it must.
    """

    rows: int = 0
    columns: int = 0
    cells: int = 0
    shared: int = 0
    chars: int = 0
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    certain: bool = True
    complete: bool = True

    @property
    def area(self) -> int:
        """Cells up to the last row and the last column."""
        return self.rows * self.columns


def column_number(letters: bytes) -> int:
    """Number of a column, from 1.

    Examples
    --------
    >>> column_number(b"A"), column_number(b"XFD")
    (1, 16384)
    """
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def check_members(archive: zipfile.ZipFile, budget: Budget) -> None:
    """Count what the parts of a workbook unpack to, but for its sheets, which are counted when they are looked at."""
    for member in archive.infolist():
        name = member.filename.lower()
        if name.endswith((".xml", ".bin", ".rels")) and "/worksheets/" not in name and name != "content.xml":
            with archive.open(member) as stream:
                for _ in _counted(stream, budget):
                    pass


def sheet_parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """The part of an .xlsx workbook that holds each sheet, by its name."""
    targets = {
        element.get("Id", ""): element.get("Target", "")
        for element in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    }
    parts = {}
    for element in ElementTree.fromstring(archive.read("xl/workbook.xml")).iter():
        if element.tag.rpartition("}")[2] == "sheet":
            link = next((value for name, value in element.items() if name.endswith("}id")), "")
            target = targets.get(link, "")
            path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            parts[element.get("name", "")] = path
    return parts


def xlsx_sheet_size(stream: IO[bytes], budget: Budget) -> SheetSize:
    """Size of a sheet of an .xlsx workbook."""
    size = SheetSize()
    before = last = b""
    ends = 0
    for number, part in enumerate(_whole_tags(stream, budget)):
        if number == 0 and not part.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
            size.certain = False  # such as XML in UTF-16
        ends += part.count(b"</c>") + part.count(b":c>")
        _note_cells(part, size)
        if b't="e"' in part or b't="e"' in before:
            _note_errors(before + part, size)
        before, last = part[-_OVERLAP:], part or last
    size.certain &= ends == size.cells
    size.complete = not size.certain or last.rstrip().endswith(b"worksheet>")
    return size


def shared_text_lengths(stream: IO[bytes], budget: Budget) -> npt.NDArray[np.int64]:
    """Lengths of the texts that cells refer to, their markup included."""
    starts: list[npt.NDArray[np.int64]] = []
    place = 0
    for part in _whole_tags(stream, budget):
        starts.append(np.array([match.start() + place for match in _SHARED_TEXT.finditer(part)], dtype=np.int64))
        place += len(part)
    return np.diff(np.concatenate([*starts, [place]])) if starts else np.zeros(0, dtype=np.int64)


def shared_text_size(stream: IO[bytes], lengths: npt.NDArray[np.int64], budget: Budget) -> int:
    """Bytes that the texts of a sheet take once each cell has its own."""
    total = 0
    before = b""
    for part in _whole_tags(stream, budget):
        found = np.fromstring(b" ".join(_SHARED.findall(before + part)).decode(), dtype=np.int64, sep=" ")
        total += int(lengths[found[found < len(lengths)]].sum())
        before = part[-200:]  # a reference on the seam may count twice
    return total


def _whole_tags(stream: IO[bytes], budget: Budget) -> Iterator[bytes]:
    """XML in parts that cut no tag."""
    rest = b""
    for step in _counted(stream, budget):
        data = rest + step
        cut = max(data.rfind(b"<"), 0)
        yield data[:cut]
        rest = data[cut:]
    yield rest


def _note_cells(part: bytes, size: SheetSize) -> None:
    """Note the filled cells of a stretch of XML."""
    references = _REFERENCE.findall(part)
    if not references:
        return
    joined = b" ".join(references)
    size.cells += len(references)
    size.shared += part.count(b't="s"')
    size.columns = max(size.columns, *map(column_number, {*joined.translate(None, _DIGITS).split()}))
    size.rows = max(size.rows, int(np.fromstring(joined.translate(None, _LETTERS).decode(), np.int64, sep=" ").max()))


def _note_errors(part: bytes, size: SheetSize) -> None:
    for attributes, inside in _ERROR_CELL.findall(part):
        place, value = _PLACE.search(attributes), _VALUE.search(inside)
        if place and value and len(size.errors) < _MAX_ERRORS:
            at = int(place.group(2)) - 1, column_number(place.group(1)) - 1
            size.errors[at] = value.group(1).decode("utf-8", errors="replace")


def xlsb_shared_lengths(stream: IO[bytes], budget: Budget) -> list[int]:
    """Lengths of the texts that cells of an .xlsb workbook refer to."""
    return [length for kind, _, length in _records(b"".join(_counted(stream, budget))) if kind == _XLSB_TEXT]


def xlsb_sheet_size(stream: IO[bytes], budget: Budget, lengths: Sequence[int]) -> SheetSize:
    """Size of a sheet of an .xlsb workbook."""
    data = b"".join(_counted(stream, budget))
    size = SheetSize()
    row = 0
    for kind, place, length in _records(data):
        if kind == _XLSB_ROW and length >= 4:
            (row,) = struct.unpack_from("<I", data, place)
        elif kind in _XLSB_CELLS and length >= 4:
            (column,) = struct.unpack_from("<I", data, place)
            size.rows, size.columns = max(size.rows, row + 1), max(size.columns, column + 1)
            size.cells += 1
            if kind == _XLSB_SHARED and length >= 12:
                (text,) = struct.unpack_from("<I", data, place + 8)
                size.chars += lengths[text] if text < len(lengths) else 0
    return size


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Records of a part of an .xlsb workbook: kind, place and length of the contents."""
    place = 0
    while place < len(data):
        kind, place = _varint(data, place, 2)
        length, place = _varint(data, place, 4)
        if place + length > len(data):
            return
        yield kind, place, length
        place += length


def _varint(data: bytes, place: int, most: int) -> tuple[int, int]:
    number = 0
    for step in range(most):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << (7 * step)
        if not byte & 0x80:
            break
    return number, place


def ods_sheet_sizes(stream: IO[bytes], budget: Budget) -> dict[str, SheetSize]:
    """Sizes of the sheets of an .ods workbook, in which rows and cells are written once and said to be repeated."""
    sizes: dict[str, SheetSize] = {}
    state = _OdsState()

    def started(tag: str, attributes: dict[str, str]) -> None:
        if tag == "table:table":
            state.sheet = sizes.setdefault(attributes.get("table:name", ""), SheetSize())
            state.row = 0
        elif tag == "table:table-row":
            state.repeated = _repeats(attributes, "rows")
            state.column = state.last = 0
            state.filled = 0
        elif tag in ("table:table-cell", "table:covered-table-cell"):
            state.width = _repeats(attributes, "columns")
            state.column += state.width
            state.has_value = False
            if "office:value-type" in attributes or "calcext:value-type" in attributes:
                state.fill()
        elif tag == "text:p":
            state.fill()

    def said(text: str) -> None:
        if state.sheet is not None:
            state.sheet.chars += len(text) * state.width * state.repeated

    def ended(tag: str) -> None:
        if tag == "table:table-row" and state.sheet is not None:
            if state.last:
                state.sheet.rows = state.row + state.repeated
                state.sheet.columns = max(state.sheet.columns, state.last)
                state.sheet.cells += state.filled * state.repeated
            state.row += state.repeated

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = started, ended, said
    for step in _counted(stream, budget):
        parser.Parse(step)
    parser.Parse(b"", True)
    return sizes


@dataclass
class _OdsState:
    sheet: SheetSize | None = None
    row: int = 0
    repeated: int = 1
    column: int = 0
    width: int = 1
    last: int = 0
    filled: int = 0
    has_value: bool = False

    def fill(self) -> None:
        """Note that the present cell has a value."""
        if not self.has_value:
            self.has_value = True
            self.last = self.column
            self.filled += self.width


def _repeats(attributes: dict[str, str], what: str) -> int:
    text = attributes.get(f"table:number-{what}-repeated", "1")
    return int(text) if text.isdigit() and len(text) < 10 else 1


def _counted(stream: IO[bytes], budget: Budget) -> Iterator[bytes]:
    while step := stream.read(_STEP):
        budget.take(len(step))
        yield step
