"""Delimited text: CSV, TSV and what else has a character between its columns."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from winpredict.errors import InputFileError
from winpredict.ingest.readers.body import (
    EXPLAINS,
    Body,
    Names,
    Piece,
    aside_remarks,
    columns_of,
    settled_names,
    table_of,
    title_rows,
)
from winpredict.ingest.readers.characters import NOT_TEXT, describe, needs_cleaning
from winpredict.ingest.readers.content import Content, temporary
from winpredict.ingest.readers.encoding import BAD_BYTES, Encoding, encoding_of, marked, utf8
from winpredict.ingest.readers.limits import MAX_MISFITS, Budget, check_columns
from winpredict.ingest.readers.lines import (
    STRAY_QUOTE,
    Block,
    block_of,
    count_lines,
    offset_of_line,
    split_record,
    with_newlines,
)
from winpredict.ingest.readers.shape import SAMPLE_RECORDS, Shape, fits_kinds, shape_of
from winpredict.ingest.readers.table import BLANK, COMMENTS, HEADER, INSIDE, SECOND_HEADER, TITLES, Table
from winpredict.locale.text import Text, text, texts

_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t ]*', re.IGNORECASE)
_DELIMITER_REMARKS = {
    ";": text("columns separated by semicolons"),
    "\t": text("columns separated by tabs"),
    "|": text("columns separated by vertical bars"),
}
_WRAPPED = text("every line was in quotation marks")
_BLOCK_BYTES = 8 * 2**20
#: A line longer than this is no line of a table.
_MAX_LINE_BYTES = 64 * 2**20
#: A quoted cell of the sample that goes on for more lines was never closed.
_MAX_SAMPLE_LINES = 20
_STEADY = 0.9
_READER_BLOCK = 2**20


@dataclass(frozen=True)
class _Record:
    """One record of the sample: its cells, and the lines it is on."""

    cells: list[str]
    line: int
    lines: int


@dataclass(frozen=True)
class _Layout:
    """How a delimited file is laid out."""

    delimiter: str
    shape: Shape
    header: tuple[str, ...]
    data_line: int
    data_record: int
    ledger: Counter[str]
    remarks: tuple[Text, ...]
    rows: int
    steady: float
    aside: tuple[tuple[int, str, str], ...] = ()
    repairs: tuple[tuple[int, int, str], ...] = ()


def read_delimited(
    content: Content,
    where: str,
    budget: Budget,
    *,
    encoding: str | None = None,
    part_bytes: int | None = None,
    must_be_table: bool = False,
) -> Iterator[Table]:
    """Read delimited text.

    Parameters
    ----------
    content : Content
    where : str
        The file, for people.
    budget : Budget
    encoding : str, optional
        By default it is told from the bytes.
    part_bytes : int, optional
        Yield several tables, each of so many bytes or so.
    must_be_table : bool
        Yield nothing where the text is no table, as a note in a folder is none.

    Yields
    ------
    Table

    Raises
    ------
    InputFileError
        When it has no header, or breaks a limit.
    """
    known = encoding_of(content, where, encoding)
    text = utf8(content, known)
    try:
        wrapped = _are_wrapped(text)
        if wrapped:
            text = _unwrapped(text)
        try:
            layout = _layout(text, where)
        except InputFileError:
            if must_be_table:
                return
            raise
        if must_be_table and not (layout.shape.is_table and layout.rows > 1 and layout.steady >= _STEADY):
            return
        if wrapped:
            layout = replace(layout, remarks=(_WRAPPED, *layout.remarks))
        yield from _Reader(text, where, budget, layout, known, part_bytes).tables()
    finally:
        if text is not content:
            text.close()


def is_delimited_table(content: Content, where: str, encoding: str | None = None, *, from_start: bool = False) -> bool:
    """Whether a text has a header and rows with two columns or more, nearly all of them as wide as the header.

    With `from_start` the header must be the first line, and three rows must be below it: notes with a table in them are
    not one.
    """
    try:
        text = utf8(content, encoding_of(content, where, encoding))
        layout = _layout(text, where)
    except InputFileError:
        return False
    least = 3 if from_start else 1
    in_place = layout.shape.header == 0 or not from_start
    return layout.shape.is_table and in_place and layout.rows >= least and layout.steady >= _STEADY


def _are_wrapped(text: Content) -> bool:
    """Whether every line is one cell in quotation marks with the columns within, as of a file saved once too often."""
    lines = [line.strip() for line in text.head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:100] if line.strip()]
    if len(text.head) < text.size or not text.head.endswith(b"\n"):
        lines = lines[:-1] or lines
    return len(lines) > 1 and all(map(_is_wrapped, lines))


def _is_wrapped(line: bytes) -> bool:
    inner = line[1:-1]
    one_cell = len(line) > 1 and line.startswith(b'"') and line.endswith(b'"') and b'"' not in inner.replace(b'""', b"")
    return one_cell and any(mark.encode() in inner for mark in _DELIMITERS)


def _unwrapped(text: Content) -> Content:
    """The text without the marks around its lines."""
    out = temporary()
    size = place = 0
    while place < text.size:
        part = text.read(place, _BLOCK_BYTES)
        if place + len(part) < text.size:
            part = part[: part.rfind(b"\n") + 1] or part
        place += len(part)
        lines = part.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        mended = b"\n".join(
            line.strip()[1:-1].replace(b'""', b'"') if _is_wrapped(line.strip()) else line for line in lines
        )
        size += len(mended)
        out.write(mended)
    return Content(out, size)


def _layout(text: Content, where: str) -> _Layout:
    head = text.head
    complete = len(head) >= text.size
    lines = marked(with_newlines(head)).decode("utf-8", errors="replace").removeprefix("\ufeff").split("\n")
    if complete and lines and not lines[-1]:
        lines.pop()
    elif not complete and len(lines) > 1:
        lines.pop()  # it is cut
    lines = [line.removesuffix("\r") for line in lines]
    separator = _SEPARATOR_LINE.fullmatch(lines[0].strip(" ")) if lines else None
    start = int(separator is not None)
    if separator:
        delimiter = separator.group(1)
        records = _sample(lines, start, delimiter)
    else:
        delimiter, records = _delimiter(lines, start)
    usual = _usual_width(records)
    comments = _comments(records, usual)
    cells = [[] if place in comments else record.cells for place, record in enumerate(records)]
    shape = shape_of(cells, where, complete=complete and len(records) < SAMPLE_RECORDS)
    place = shape.header
    ledger = Counter[str]({COMMENTS: start})
    for number, record in enumerate(records[: place + 1]):
        blank = not any(record.cells)
        kind = HEADER if number == place else COMMENTS if number in comments else BLANK if blank else TITLES
        ledger[kind] += 1
        ledger[INSIDE] += record.lines - 1
    aside = []
    if shape.second_header:
        place += 1
        while not any(records[place].cells):
            ledger[BLANK] += 1
            place += 1
        ledger[SECOND_HEADER] += 1
        ledger[INSIDE] += records[place].lines - 1
        aside.append((start + place + 1, delimiter.join(records[place].cells), EXPLAINS))
    remarks = _layout_remarks(delimiter, shape, ledger, start)
    header = tuple(records[shape.header].cells)
    repairs = tuple(
        (start + shape.header + 1, column, NOT_TEXT) for column, cell in enumerate(header) if BAD_BYTES in cell
    )
    next_line = records[place].line + records[place].lines
    below = [len(record.cells) for record in records[place + 1 :] if record.cells]
    return _Layout(
        delimiter=delimiter,
        shape=shape,
        header=header,
        data_line=next_line,
        data_record=start + place + 2,
        ledger=+ledger,
        remarks=tuple(remarks),
        rows=len(below),
        steady=sum(width in (shape.width, len(shape.names)) for width in below) / max(len(below), 1),
        aside=tuple(aside),
        repairs=repairs,
    )


def _layout_remarks(delimiter: str, shape: Shape, ledger: Counter[str], separator_lines: int) -> list[Text]:
    remarks: list[Text] = []
    if delimiter != ",":
        other = text("columns separated by {delimiter!r}", delimiter=delimiter)
        remarks.append(_DELIMITER_REMARKS.get(delimiter, other))
    if ledger[TITLES]:
        remarks.append(title_rows(ledger[TITLES]))
    comments = ledger[COMMENTS] - separator_lines
    if comments:
        remarks.append(
            texts("{n:count} comment line above the header", "{n:count} comment lines above the header", n=comments)
        )
    if shape.second_header:
        remarks.append(text("a second header row below the first"))
    if shape.width > len(shape.names):
        remarks.append(text("rows end with an empty cell more than the header has"))
    return remarks


def _sample(lines: Sequence[str], start: int, delimiter: str) -> list[_Record]:
    """The first records, cells stripped."""
    records: list[_Record] = []
    at = start
    while at < len(lines) and len(records) < SAMPLE_RECORDS:
        cells, is_open = split_record(lines[at], delimiter)
        count = 1
        if is_open:
            for further in range(2, min(_MAX_SAMPLE_LINES, len(lines) - at) + 1):
                joined, is_open = split_record("\n".join(lines[at : at + further]), delimiter)
                if not is_open:
                    cells, count = joined, further
                    break
            else:
                cells = lines[at].split(delimiter)
        stripped = [cell.strip() for cell in cells]
        records.append(_Record(stripped if any(stripped) else [], at, count))
        at += count
    return records


def _delimiter(lines: Sequence[str], start: int) -> tuple[str, list[_Record]]:
    """What separates the columns: that which gives the most rows of the same, large width, from the first row on."""
    best: tuple[tuple[bool, float, int], str, list[_Record]] | None = None
    for delimiter in _DELIMITERS:
        records = _sample(lines, start, delimiter)
        widths = Counter(len(record.cells) for record in records if record.cells)
        rows = widths.total()
        wide = {width: number for width, number in widths.items() if width > 1}
        width = max(wide, key=lambda each: (wide[each] * math.log(each), each), default=1)
        share = (wide.get(width, 0) + wide.get(width + 1, 0) + wide.get(width - 1, 0) * (width > 2)) / max(rows, 1)
        filled = [record.cells for record in records if record.cells and not record.cells[0].startswith("#")]
        from_start = bool(filled) and len(filled[0]) >= max(width - 1, 2) and share >= _STEADY
        first = len(filled[0]) if filled else 0
        score = (from_start, share * math.log(width) if width > 1 else 0.0, first)
        if best is None or score > best[0]:
            best = score, delimiter, records
    assert best is not None
    return best[1], best[2]


def _usual_width(records: Sequence[_Record]) -> int:
    widths = Counter(len(record.cells) for record in records if record.cells)
    return max(widths, key=lambda width: (widths[width] * min(width, 4), width), default=1)


def _comments(records: Sequence[_Record], usual: int) -> set[int]:
    """Places of comment lines above the header: they begin with # and are not as wide as the table."""
    comments = set()
    for place, record in enumerate(records):
        if not record.cells:
            continue
        if not record.cells[0].startswith("#") or (usual > 1 and len(record.cells) >= usual):
            break
        if usual == 1 and len(record.cells[0]) < 2:
            break
        comments.add(place)
    return comments


class _Reader:
    """Reads the rows below the header block by block."""

    def __init__(
        self,
        text: Content,
        where: str,
        budget: Budget,
        layout: _Layout,
        encoding: Encoding,
        part_bytes: int | None,
    ) -> None:
        self.text, self.where, self.budget, self.layout = text, where, budget, layout
        self.encoding, self.part_bytes = encoding, part_bytes
        shape = layout.shape
        check_columns(shape.width, budget.limits, where)
        self.width = shape.width
        self.widths = frozenset({shape.width, len(shape.names)})
        self.body = Body(shape, layout.header, where, budget.limits, layout.delimiter)
        self.padded = 0
        self.trimmed = 0

    def tables(self) -> Iterator[Table]:
        """The table, whole or in parts."""
        layout = self.layout
        plain = [] if self.encoding.codec == "utf-8" else [self.encoding.name]
        remarks: list[Text | str] = [*plain, *layout.remarks]
        if self.part_bytes is None:
            pieces = [*self._all_pieces()]
            names = settled_names(layout.shape.names, pieces)
            yield self._table(pieces, names, [*remarks, *names.remarks, *self._row_remarks(pieces)], layout.ledger)
            return
        twice = len(set(layout.shape.names)) < len(layout.shape.names)
        names = settled_names(layout.shape.names, self._all_pieces() if twice else [])
        remarks += names.remarks
        told: list[Piece] = []  # of each piece what remarks need, without its rows
        ledger = layout.ledger
        ahead: Piece | None = None
        self.padded = self.trimmed = 0
        for piece in self._all_pieces():
            if ahead is not None:
                yield self._table([ahead], names, remarks, ledger)
                remarks, ledger = [], Counter()
            ahead = piece
            told.append(Piece(piece.table.slice(0, 0), piece.numbers[:0], piece.bad, piece.aside, piece.repairs))
        assert ahead is not None
        yield self._table([ahead], names, [*remarks, *self._row_remarks(told)], ledger)

    def _table(
        self, pieces: Sequence[Piece], names: Names, remarks: Sequence[Text | str], ledger: Counter[str]
    ) -> Table:
        first = ledger is self.layout.ledger
        return table_of(
            pieces,
            names,
            units="lines",
            remarks=remarks,
            ledger=ledger,
            delimiter=self.layout.delimiter,
            encoding=self.encoding.name,
            aside=self.layout.aside if first else (),
            repairs=self.layout.repairs if first else (),
        )

    def _row_remarks(self, pieces: Sequence[Piece]) -> list[Text]:
        causes = [cause for _, _, cause in self.layout.repairs]
        causes += [cause for piece in pieces for _, _, cause in piece.repairs]
        stray = causes.count(STRAY_QUOTE)
        marks = [line for piece in pieces for _, _, line in piece.bad if line.count('"') % 2]
        remarks = [*aside_remarks([*self.layout.aside, *(each for piece in pieces for each in piece.aside)])]
        remarks += describe([cause for cause in causes if cause != STRAY_QUOTE], self.encoding.name)
        if stray:
            remarks.append(
                texts(
                    "{n:count} line has a quotation mark that is never closed, which was removed",
                    "{n:count} lines have a quotation mark that is never closed, which was removed",
                    n=stray,
                )
            )
        if marks:
            remarks.append(
                texts(
                    "{n:count} unreadable line has a quotation mark that is never closed",
                    "{n:count} unreadable lines have a quotation mark that is never closed",
                    n=len(marks),
                )
            )
        if self.trimmed:
            remarks.append(
                texts(
                    "{n:count} row ends with empty cells more than the header has",
                    "{n:count} rows end with empty cells more than the header has",
                    n=self.trimmed,
                )
            )
        if self.padded:
            remarks.append(
                texts(
                    "{n:count} row lacks its last cells, which are taken as empty",
                    "{n:count} rows lack their last cells, which are taken as empty",
                    n=self.padded,
                )
            )
        return remarks

    def _all_pieces(self) -> Iterator[Piece]:
        return self.body.without_footers(self._pieces())

    def _pieces(self) -> Iterator[Piece]:
        """Pieces of the table, one at least."""
        step = self.part_bytes or _BLOCK_BYTES
        size, rows = step, 0
        place, number = self._data_start(), self.layout.data_record
        while place < self.text.size:
            raw = self.text.read(place, size)
            final = place + len(raw) >= self.text.size
            if not final and raw.endswith(b"\r"):
                raw = raw[:-1]
            raw = with_newlines(raw)
            if not final:
                raw = raw[: raw.rfind(b"\n") + 1]
            if not raw:
                size *= 2
                if size > _MAX_LINE_BYTES:
                    raise InputFileError(
                        text(
                            "{where} has a line of more than {max_line_bytes} MB; is it really a table?",
                            where=self.where,
                            max_line_bytes=_MAX_LINE_BYTES // 2**20,
                        )
                    )
                continue
            piece, block = self._piece(raw, number, final=final)
            done = block.consumed >= count_lines(raw)
            place += len(raw) if done else offset_of_line(raw, block.consumed)
            number += block.records
            size = step
            rows += len(piece.numbers)
            self.budget.check_cells(rows, self.width, self.where)
            yield piece
        if number == self.layout.data_record:
            yield Piece(columns_of([], self.body.columns), np.zeros(0, dtype=np.int64))

    def _data_start(self) -> int:
        return offset_of_line(with_newlines(self.text.head), self.layout.data_line)

    def _piece(self, raw: bytes, number: int, *, final: bool) -> tuple[Piece, Block]:
        """The rows of whole lines; what the CSV reader made of them is compared with what was expected."""
        delimiter = self.layout.delimiter
        piece = None
        for blanks, thorough in ((False, False), (True, False), (True, True)):
            block = block_of(raw, delimiter, self.widths, final=final, blanks=blanks, thorough=thorough)
            rows = self._arrow_rows(block)
            if rows is not None:
                piece = self._placed(block, number, *rows)
                break
        if piece is None:
            piece, block = self._line_by_line(raw, number)
        piece.bad += [(number + at, [cell.strip() for cell in text.split(delimiter)], text) for at, text in block.lost]
        piece.repairs += [(number + at, column, STRAY_QUOTE) for at, column in block.stray]
        piece.ledger[INSIDE] += block.inside
        self._recover(piece)
        return self.body.sorted_out(piece, clean=needs_cleaning(block.data)), block

    def _arrow_rows(self, block: Block) -> tuple[pa.Table, list[tuple[int, str]]] | None:
        """Rows and misfits (by their places among the records); None where their number is not what it must be."""
        if not block.filled:
            return columns_of([], self.width), []
        bad: list[tuple[int, str]] = []
        most = max(MAX_MISFITS, block.filled // 2)

        def set_aside(row: pacsv.InvalidRow) -> str:
            bad.append(((row.number or 1) - 1, row.text or ""))
            return "skip" if len(bad) <= most else "error"

        names = [str(place) for place in range(self.width)]
        long_lines = block.inside > 0 or len(block.data) > _READER_BLOCK * max(block.lines, 1) // 4
        size = len(block.data) + 1 if long_lines or b'"' in block.data else _READER_BLOCK
        try:
            table = pacsv.read_csv(
                pa.BufferReader(block.data),
                read_options=pacsv.ReadOptions(use_threads=False, column_names=names, block_size=size),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.layout.delimiter,
                    newlines_in_values=block.inside > 0,
                    invalid_row_handler=set_aside,
                    ignore_empty_lines=True,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
                ),
            )
        except pa.ArrowException:
            if len(bad) > most:
                shown = ", ".join(self.layout.shape.names[:4])
                raise InputFileError(
                    text(
                        "{where}: {n:count} of the first {filled:count} lines do not fit the header of {columns} "
                        "columns ({shown}, ...); is it one table with one header?",
                        where=self.where,
                        n=len(bad),
                        filled=block.filled,
                        columns=len(self.layout.shape.names),
                        shown=shown,
                    )
                ) from None
            return None
        return (table, bad) if table.num_rows + len(bad) == block.filled else None

    def _placed(self, block: Block, number: int, table: pa.Table, bad: Sequence[tuple[int, str]]) -> Piece:
        numbers = np.arange(block.records) if block.numbers is None else block.numbers
        numbers = numbers.astype(np.int64) + number
        misfits = [
            (int(numbers[at]), [cell.strip() for cell in split_record(text, self.layout.delimiter)[0]], text)
            for at, text in bad
        ]
        if bad:
            keep = np.ones(len(numbers), dtype=bool)
            keep[[at for at, _ in bad]] = False
            numbers = numbers[keep]
        piece = Piece(table, numbers, misfits)
        piece.ledger[BLANK] += block.records - block.filled - len(block.lost)
        return piece

    def _line_by_line(self, raw: bytes, number: int) -> tuple[Piece, Block]:
        """Rows of text that the CSV reader cuts up in another way than we do: whatever it is, nothing is lost."""
        data = marked(raw)
        texts = data.decode("utf-8", errors="replace").removesuffix("\n").split("\n")
        rows: list[list[str]] = []
        numbers: list[int] = []
        piece = Piece(columns_of([], self.width), np.zeros(0, dtype=np.int64))
        at = record = 0
        while at < len(texts):
            text, count = texts[at].removesuffix("\r"), 1
            cells, is_open = split_record(text, self.layout.delimiter)
            while is_open and count < _MAX_SAMPLE_LINES and at + count < len(texts):
                count += 1
                text = "\n".join(texts[at : at + count]).removesuffix("\r")
                cells, is_open = split_record(text, self.layout.delimiter)
            if is_open:
                text, count = texts[at].removesuffix("\r"), 1
                cells = text.split(self.layout.delimiter)
            if not text.strip():
                piece.ledger[BLANK] += 1
            elif len(cells) == self.width:
                rows.append(cells)
                numbers.append(number + record)
            else:
                piece.bad.append((number + record, [cell.strip() for cell in cells], text))
            at += count
            record += 1
        piece.table = columns_of(rows, self.width)
        piece.numbers = np.array(numbers, dtype=np.int64)
        return piece, Block(data, len(texts), record, len(texts), inside=len(texts) - record)

    def _recover(self, piece: Piece) -> None:
        """Rows that differ from the header by empty cells at their end alone."""
        if not piece.bad:
            return
        columns, shape = self.body.columns, self.layout.shape
        misfits = {number: cells for number, cells, _ in piece.bad}

        def lacks_empty_cells(cells: Sequence[str]) -> bool:
            return len(cells) in shape.short_widths and fits_kinds(cells, shape.kinds)

        good: list[tuple[int, list[str]]] = []
        for number, cells, record in piece.bad:
            if len(cells) >= columns and any(cells) and not any(cells[columns:]):
                self.trimmed += len(cells) > columns
            elif lacks_empty_cells(cells) and all(
                lacks_empty_cells(misfits[each]) for each in (number - 1, number + 1) if each in misfits
            ):
                self.padded += 1
            else:
                continue
            raw, is_open = split_record(record, self.layout.delimiter)
            good.append((number, cells if is_open else raw))
        if not good:
            return
        done = {number for number, _ in good}
        piece.bad = [each for each in piece.bad if each[0] not in done]
        numbers: npt.NDArray[np.int64] = np.append(piece.numbers, sorted(done))
        table = pa.concat_tables([piece.table, columns_of([cells for _, cells in sorted(good)], self.width)])
        order = np.argsort(numbers, kind="stable")
        piece.table, piece.numbers = table.take(pa.array(order)), numbers[order]
