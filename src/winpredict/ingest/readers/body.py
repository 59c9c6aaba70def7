"""Rows of a table sorted out: data, blank rows, repeated headers, totals and what stands below the table."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winpredict.config import InputLimits
from winpredict.ingest.readers.characters import cleaned_columns, cleaned_text
from winpredict.ingest.readers.limits import check_cell
from winpredict.ingest.readers.shape import Shape, footers, is_totals, named, totals_pattern
from winpredict.ingest.readers.table import (
    BLANK,
    FOOTER,
    RECORDS,
    REPEATED,
    UNREADABLE,
    Table,
    Units,
    ledger_of,
    rows_frame,
)
from winpredict.locale.text import Text, said, text, texts
from winpredict.tables.schema import text_dtype

#: Causes of rows that are set aside.
BELOW, ADDS_UP, HEADER_AGAIN, EXPLAINS = (
    "below the table",
    "adds up other rows",
    "the header again",
    "explains the header",
)
_TAIL_RECORDS = 60
_MAX_TEXT = 10_000


@dataclass
class Piece:
    """Some rows of a table in the order of the file.

    Parameters
    ----------
    table : Table of Arrow
        Rows of texts, a column for each name of the header.
    numbers : ndarray
        Their row numbers.
    bad : list of (row number, cells, text)
        Rows that do not fit.
    aside : list of (row number, text, cause)
        Rows that are no data.
    repairs : list of (row number, place of the column, cause)
    ledger : Counter
    """

    table: pa.Table
    numbers: npt.NDArray[np.int64]
    bad: list[tuple[int, list[str], str]] = field(default_factory=list)
    aside: list[tuple[int, str, str]] = field(default_factory=list)
    repairs: list[tuple[int, int, str]] = field(default_factory=list)
    ledger: Counter[str] = field(default_factory=Counter)

    def drop(self, rows: Iterable[int]) -> None:
        """Take rows out of the table, by their places in it."""
        gone = np.fromiter(rows, dtype=np.int64)
        if len(gone):
            keep = np.ones(len(self.numbers), dtype=bool)
            keep[gone] = False
            self.table = self.table.filter(pa.array(keep))
            self.numbers = self.numbers[keep]


def columns_of(rows: Sequence[Sequence[str]], width: int) -> pa.Table:
    """Rows of texts as Arrow columns named by their places; shorter rows end with empty cells."""
    columns = [
        pa.array([row[place] if place < len(row) else "" for row in rows], pa.string()) for place in range(width)
    ]
    return pa.table(columns, names=[str(place) for place in range(width)])


@dataclass
class Body:
    """Sorts the rows below a header.

    Parameters
    ----------
    shape : Shape
    header : sequence of str
        Its cells as they came, without spaces around them.
    where : str
        The file or sheet, for people.
    limits : InputLimits
    delimiter : str
        Joins the cells of rows that are kept as text.
    """

    shape: Shape
    header: Sequence[str]
    where: str
    limits: InputLimits
    delimiter: str = ","

    @property
    def columns(self) -> int:
        """Columns that the header names."""
        return len(self.shape.names)

    def text(self, cells: Sequence[str]) -> str:
        """A row as text."""
        return self.delimiter.join(cells)[:_MAX_TEXT]

    def sorted_out(self, piece: Piece, *, clean: bool) -> Piece:
        """Take out of a piece what is no data, and characters that nobody sees."""
        if clean:
            piece.table, repairs = cleaned_columns(piece.table)
            piece.repairs += [(int(piece.numbers[row]), place, cause) for row, place, cause in repairs]
        self._check_cells(piece)
        self._take_out_beyond(piece)
        self._take_out_odd_rows(piece)
        self._sort_bad(piece)
        if piece.repairs:
            kept = {*piece.numbers.tolist()}
            piece.repairs = [each for each in piece.repairs if each[0] in kept and each[1] < self.columns]
        piece.ledger[RECORDS] += len(piece.numbers)
        piece.ledger[UNREADABLE] += len(piece.bad)
        return piece

    def _check_cells(self, piece: Piece) -> None:
        for place in range(piece.table.num_columns):
            longest = pc.max(pc.binary_length(piece.table.column(place))).as_py() or 0
            if longest > self.limits.cell_chars:
                name = self.shape.names[place] if place < self.columns else ""
                longest = pc.max(pc.utf8_length(piece.table.column(place))).as_py()
                check_cell(
                    longest, self.limits, said("{where}, column {column},", where=self.where, column=name or place + 1)
                )

    def _take_out_beyond(self, piece: Piece) -> None:
        """Rows with filled cells beyond the header do not fit it; where they are empty, nobody misses them."""
        table = piece.table
        if table.num_columns <= self.columns:
            return
        beyond = np.zeros(len(piece.numbers), dtype=bool)
        for place in range(self.columns, table.num_columns):
            filled = pc.not_equal(pc.utf8_trim_whitespace(table.column(place)), "")
            beyond |= filled.to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(beyond)
        for row, cells in zip(rows.tolist(), _rows(table, rows), strict=True):
            piece.bad.append((int(piece.numbers[row]), cells, self.text(cells)))
        piece.drop(rows.tolist())
        piece.table = piece.table.select(list(range(self.columns)))

    def _take_out_odd_rows(self, piece: Piece) -> None:
        """Blank rows, the header again, and totals."""
        if not piece.table.num_rows:
            return
        candidates, blank = self._candidates(piece.table)
        piece.ledger[BLANK] += len(blank)
        gone = blank.tolist()
        for row, cells in zip(candidates.tolist(), _rows(piece.table, candidates), strict=True):
            if cells == list(self.header):
                cause, entry = HEADER_AGAIN, REPEATED
            elif self.columns > 1 and is_totals(cells) and self._lacks_id(cells):
                cause, entry = ADDS_UP, FOOTER
            else:
                continue
            piece.aside.append((int(piece.numbers[row]), self.text(cells), cause))
            piece.ledger[entry] += 1
            gone.append(row)
        piece.drop(gone)

    def _lacks_id(self, cells: Sequence[str]) -> bool:
        """Whether a row that seems to add up others has fewer cells than they have."""
        return sum(map(bool, cells)) < max(self.shape.usual, 2)

    def _candidates(self, table: pa.Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows whose first filled cell is that of the header or begins as totals do; and blank rows."""
        rows = np.arange(table.num_rows)
        found: list[npt.NDArray[np.int64]] = []
        heads = {cell for cell in self.header if cell}
        for place in range(table.num_columns):
            column = table.column(place)
            if len(rows) < table.num_rows:
                column = column.take(pa.array(rows))
            column = pc.utf8_trim_whitespace(column)
            empty = pc.equal(column, "").to_numpy(zero_copy_only=False)
            if not empty.all():
                odd = pc.match_substring_regex(column, totals_pattern())
                if self.header[place] in heads:
                    odd = pc.or_(odd, pc.equal(column, self.header[place]))
                found.append(rows[odd.to_numpy(zero_copy_only=False)])
            rows = rows[empty]
            if not len(rows):
                break
        return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *found])), rows

    def _sort_bad(self, piece: Piece) -> None:
        """Rows of another width: blank ones, those that only lack or add empty cells, and the rest."""
        if not piece.bad:
            return
        piece.bad.sort(key=lambda each: each[0])
        rest, header = [], [cell for cell in self.header if cell]
        for number, cells, line in piece.bad:
            if not any(cleaned_text(cell)[0].strip() for cell in cells):
                piece.ledger[BLANK] += 1
            elif [cell for cell in cells if cell] == header:
                piece.aside.append((number, line[:_MAX_TEXT], HEADER_AGAIN))
                piece.ledger[REPEATED] += 1
            elif self.columns > 1 and is_totals(cells) and self._lacks_id(cells):
                piece.aside.append((number, line[:_MAX_TEXT], ADDS_UP))
                piece.ledger[FOOTER] += 1
            else:
                rest.append((number, cells, line[:_MAX_TEXT]))
        piece.bad = rest

    def without_footers(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """The pieces, the last of them without the rows that stand below the table."""
        waiting: deque[Piece] = deque()
        behind = 0
        for piece in pieces:
            waiting.append(piece)
            behind += len(piece.numbers) + len(piece.bad)
            while len(waiting) > 1 and behind - len(waiting[0].numbers) - len(waiting[0].bad) >= _TAIL_RECORDS:
                done = waiting.popleft()
                behind -= len(done.numbers) + len(done.bad)
                yield done
        self._take_out_footers(list(waiting))
        yield from waiting

    def _take_out_footers(self, pieces: Sequence[Piece]) -> None:
        tail: list[tuple[int, list[str]]] = []
        for piece in pieces:
            last = np.arange(max(0, len(piece.numbers) - _TAIL_RECORDS), len(piece.numbers))
            tail += zip(piece.numbers[last].tolist(), _rows(piece.table, last), strict=True)
            tail += [(number, cells) for number, cells, _ in piece.bad[-_TAIL_RECORDS:]]
        tail = sorted(tail)[-_TAIL_RECORDS:]
        # a total ends a table as a blank line does
        known = {number for number, _ in tail}
        known |= {number for piece in pieces for number, _, cause in piece.aside if cause == HEADER_AGAIN}
        rows = [(cells, number - 1 not in known and at > 0) for at, (number, cells) in enumerate(tail)]
        count = footers(rows, self.shape)
        below = {number for number, _ in tail[len(tail) - count :]}
        for piece in pieces:
            gone = np.flatnonzero(np.isin(piece.numbers, [*below]))
            for number, cells in zip(piece.numbers[gone].tolist(), _rows(piece.table, gone), strict=True):
                piece.aside.append((number, self.text(cells), BELOW))
            piece.drop(gone.tolist())
            piece.aside += [(number, text, BELOW) for number, _, text in piece.bad if number in below]
            lost = len(piece.bad)
            piece.bad = [each for each in piece.bad if each[0] not in below]
            lost -= len(piece.bad)
            piece.ledger[RECORDS] -= len(gone)
            piece.ledger[UNREADABLE] -= lost
            piece.ledger[FOOTER] += len(gone) + lost
            piece.repairs = [each for each in piece.repairs if each[0] not in below]


def _rows(table: pa.Table, rows: npt.NDArray[np.int64]) -> list[list[str]]:
    """Some rows as stripped texts."""
    if not len(rows):
        return []
    columns = [pc.utf8_trim_whitespace(column).to_pylist() for column in table.take(pa.array(rows)).columns]
    return [list(cells) for cells in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Names:
    """Names of columns once each, and the places of those that are read."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    remarks: tuple[Text, ...] = ()


def settled_names(header: Sequence[str], pieces: Iterable[Piece]) -> Names:
    """Names for columns of which several may share one: the same contents are kept once, others are numbered."""
    names, repeated = named(header)
    if not repeated:
        return Names(tuple(names), tuple(range(len(names))))
    same = {place: True for places in repeated.values() for place in places[1:]}
    for piece in pieces:
        for places in repeated.values():
            for place in places[1:]:
                first, other = piece.table.column(places[0]), piece.table.column(place)
                same[place] = same[place] and bool(pc.all(pc.equal(first, other)).as_py() is not False)
    remarks = []
    for name, places in repeated.items():
        further = [names[place] for place in places[1:] if not same[place]]
        if any(same[place] for place in places[1:]):
            remarks.append(
                text(
                    "column {column} is in the file {n:count} times, equal ones are read once",
                    column=name,
                    n=len(places),
                )
            )
        if further:
            remarks.append(
                text(
                    "{n:count} columns are named {column}: the further ones are read as {names}",
                    n=len(further) + 1,
                    column=name,
                    names=", ".join(further),
                )
            )
    kept = [place for place in range(len(names)) if not same.get(place, False)]
    return Names(tuple(names[place] for place in kept), tuple(kept), tuple(remarks))


def table_of(
    pieces: Sequence[Piece],
    names: Names,
    *,
    units: Units,
    remarks: Sequence[Text | str],
    ledger: Counter[str],
    sheet: str = "",
    delimiter: str = "",
    encoding: str = "",
    aside: Sequence[tuple[int, str, str]] = (),
    repairs: Sequence[tuple[int, int, str]] = (),
) -> Table:
    """One table out of its pieces; `ledger`, `aside` and `repairs` hold what stands above them."""
    table = pa.concat_tables([piece.table for piece in pieces]).select(list(names.places))
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): text_dtype()}.get)
    frame.columns = pd.Index(names.names)
    frame.index = _index(np.concatenate([piece.numbers for piece in pieces]))
    counts = Counter(ledger)
    for piece in pieces:
        counts.update(piece.ledger)
    by_place = dict(zip(names.places, names.names, strict=True))
    not_text = f"bytes that are not {encoding}" if encoding else "bytes that are no text"
    changed = [
        (number, by_place[place], not_text if cause.startswith("bytes") else cause)
        for number, place, cause in (*repairs, *(each for piece in pieces for each in piece.repairs))
        if place in by_place
    ]
    return Table(
        frame=frame,
        sheet=sheet,
        unreadable=rows_frame(((number, text) for piece in pieces for number, _, text in piece.bad), "row", "text"),
        remarks=tuple(remarks),
        ledger=ledger_of(counts),
        units=units,
        repairs=rows_frame(changed, "row", "column", "cause"),
        set_aside=rows_frame([*aside, *(each for piece in pieces for each in piece.aside)], "row", "text", "cause"),
        delimiter=delimiter,
        encoding=encoding,
    )


def _index(numbers: npt.NDArray[np.int64]) -> pd.Index:
    if len(numbers) and int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1:
        return pd.RangeIndex(int(numbers[0]), int(numbers[-1]) + 1, name="row")
    return pd.Index(numbers, name="row", dtype="int64")


def title_rows(number: int) -> Text:
    """That titles stand above the header, for people."""
    return texts("{n:count} title row above the header", "{n:count} title rows above the header", n=number)


#: What is said of rows that were set aside, by the cause.
_ASIDE: Mapping[str, Text] = {
    BELOW: texts(
        "{n:count} row set aside that is below the table: {examples}",
        "{n:count} rows set aside that are below the table: {examples}",
    ),
    ADDS_UP: texts(
        "{n:count} row set aside that adds up other rows: {examples}",
        "{n:count} rows set aside that add up other rows: {examples}",
    ),
    HEADER_AGAIN: texts(
        "{n:count} row set aside that is the header again", "{n:count} rows set aside that are the header again"
    ),
    EXPLAINS: texts(
        "{n:count} row set aside that explains the header: {examples}",
        "{n:count} rows set aside that explain the header: {examples}",
    ),
}


def aside_remarks(aside: Sequence[tuple[int, str, str]]) -> list[Text]:
    """What was set aside, for people.

    Examples
    --------
    >>> str(*aside_remarks([(82, "Grand Totals (80 records)", BELOW)]))
    '1 row set aside that is below the table: Grand Totals (80 records)'
    """
    out = []
    for cause, remark in _ASIDE.items():
        rows = [row.strip(',;\t| "') for _, row, why in sorted(aside) if why == cause]
        if rows:
            out.append(remark.with_values(n=len(rows), examples="; ".join(row[:60] for row in rows[:2])))
    return out
