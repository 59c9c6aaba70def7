"""Physical lines into records: what quotation marks and line ends do to a text, found in bulk.

A block is a stretch of whole records. Lines without quotation marks, or with an even number of them, are records by
themselves; only lines with an odd number are looked at one by one, since only there a quoted cell can go on.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from winpredict.ingest.readers.encoding import marked

#: A quoted cell that goes on for more lines, or more bytes, than this was never closed.
_MAX_LINES, _MAX_BYTES = 5_000, 4 * 2**20
#: So many lines with quotation marks are tried as the end of a quoted cell.
_MAX_TRIES = 200
_QUOTE, _NEWLINE, _RETURN = 34, 10, 13
STRAY_QUOTE = "a stray quotation mark was removed"


@dataclass
class Block:
    """A stretch of whole records.

    Parameters
    ----------
    data : bytes
        UTF-8 for the CSV reader, without the lines in `lost`.
    lines : int
        Physical lines.
    records : int
        Records, blank ones among them.
    inside : int
        Lines that go on with a quoted cell.
    numbers : ndarray or None
        Place of each record that is not blank nor lost, from 0; None where it is that of its line.
    consumed : int
        Lines that are done; later ones belong to the next block.
    lost : list of (place, text)
        Records that a quotation mark makes unreadable.
    stray : list of (place, column)
        Where a stray quotation mark was taken out.
    """

    data: bytes
    lines: int
    records: int
    consumed: int
    inside: int = 0
    numbers: npt.NDArray[np.int64] | None = None
    lost: list[tuple[int, str]] = field(default_factory=list)
    stray: list[tuple[int, int]] = field(default_factory=list)

    @property
    def filled(self) -> int:
        """Records that the CSV reader will see."""
        return self.records if self.numbers is None else len(self.numbers)


def split_record(text: str, delimiter: str) -> tuple[list[str], bool]:
    r"""Cells of one record, and whether its last one is a quoted cell that is not closed.

    A quotation mark opens a cell only where the cell begins.

    Examples
    --------
    >>> split_record('1,"a, ""b"" c",5" pipe', ",")
    (['1', 'a, "b" c', '5" pipe'], False)
    >>> split_record('1,"a', ",")
    (['1', 'a'], True)
    """
    if '"' not in text:
        return text.split(delimiter), False
    cells: list[str] = []
    place, end = 0, len(text)
    while True:
        parts: list[str] = []
        if place < end and text[place] == '"':
            place += 1
            while True:
                close = text.find('"', place)
                if close < 0:
                    cells.append("".join([*parts, text[place:]]))
                    return cells, True
                parts.append(text[place:close])
                place = close + 1
                if place < end and text[place] == '"':
                    parts.append('"')
                    place += 1
                else:
                    break
        stop = text.find(delimiter, place)
        parts.append(text[place:] if stop < 0 else text[place:stop])
        cells.append("".join(parts))
        if stop < 0:
            return cells, False
        place = stop + len(delimiter)


def with_newlines(data: bytes) -> bytes:
    r"""Text in which every line ends with a newline: a lone carriage return becomes one.

    Examples
    --------
    >>> with_newlines(b"a\r\nb\rc")
    b'a\r\nb\nc'
    """
    if b"\r" not in data:
        return data
    codes = np.frombuffer(data, dtype=np.uint8)
    returns = np.flatnonzero(codes == _RETURN)
    alone = returns[codes[np.minimum(returns + 1, len(codes) - 1)] != _NEWLINE]
    if not len(alone):
        return data
    mended = codes.copy()
    mended[alone] = _NEWLINE
    return mended.tobytes()


def count_lines(data: bytes) -> int:
    """Physical lines; the last one may lack its newline."""
    newlines = int(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE))
    return newlines + (len(data) > 0 and not data.endswith(b"\n"))


def offset_of_line(data: bytes, line: int) -> int:
    """Where a line begins, the first being 0; the end of the data for the line after the last."""
    if line <= 0:
        return 0
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    return int(ends[line - 1]) + 1 if line <= len(ends) else len(data)


def block_of(
    raw: bytes, delimiter: str, widths: frozenset[int], *, final: bool, blanks: bool = True, thorough: bool = False
) -> Block:
    """Make a block of whole lines.

    Parameters
    ----------
    raw : bytes
        Whole lines that begin with a record; `with_newlines` was applied.
    delimiter : str
    widths : frozenset of int
        Numbers of cells that a row may have.
    final : bool
        Whether the file ends with them.
    blanks : bool
        Look for blank lines; without, a text without quotation marks is taken to have none, which its reader then sees.
    thorough : bool
        Look at every line with a quotation mark, for text in which they stand anywhere.

    Returns
    -------
    Block
    """
    data = marked(raw)
    if b'"' not in data and not blanks:
        lines = count_lines(data)
        return Block(data, lines, lines, lines)
    ends = _line_ends(data)
    odd = _lines_with_quotes(data, ends, any_number=thorough)
    if not len(odd):
        return _numbered(data, ends, Block(data, len(ends), 0, len(ends)), np.zeros(len(ends), dtype=bool), {})
    return _Quotes(data, ends, delimiter, widths, final=final).block(odd)


def _line_ends(data: bytes) -> npt.NDArray[np.int64]:
    """Where each line ends, its newline not counted."""
    ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
    if data and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    return ends.astype(np.int64, copy=False)


def _lines_with_quotes(data: bytes, ends: npt.NDArray[np.int64], *, any_number: bool) -> npt.NDArray[np.int64]:
    quotes = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _QUOTE)
    counts = np.diff(np.searchsorted(quotes, ends), prepend=0)
    return np.flatnonzero(counts > 0 if any_number else counts % 2 == 1)


def _numbered(
    data: bytes,
    ends: npt.NDArray[np.int64],
    block: Block,
    continued: npt.NDArray[np.bool_],
    replaced: dict[int, bytes | None],
) -> Block:
    """The block with the numbers of its records, once it is known which lines go on with a cell."""
    starts = np.append(0, ends[:-1] + 1) if len(ends) else ends
    lengths = ends - starts
    codes = np.frombuffer(data, dtype=np.uint8)
    blank = lengths == 0
    short = np.flatnonzero(lengths == 1)
    blank[short] = codes[starts[short]] == _RETURN
    first = ~continued
    place = np.cumsum(first) - 1
    seen = first & ~blank
    for line, text in replaced.items():
        seen[line] &= text is not None
    block.records = int(np.count_nonzero(first))
    block.inside = block.lines - block.records
    block.numbers = place[seen] if block.inside or np.count_nonzero(seen) < block.records else None
    if replaced:
        block.data = _with_lines(data, starts, ends, replaced)
    return block


def _with_lines(
    data: bytes, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], replaced: dict[int, bytes | None]
) -> bytes:
    parts, place = [], 0
    for line in sorted(replaced):
        text = replaced[line]
        parts.append(data[place : starts[line]])
        if text is not None:
            parts += [text, b"\n"]
        place = int(ends[line]) + 1
    parts.append(data[place:])
    return b"".join(parts)


class _Quotes:
    """Which lines go on with a quoted cell, and which have a quotation mark too many."""

    def __init__(
        self, data: bytes, ends: npt.NDArray[np.int64], delimiter: str, widths: frozenset[int], *, final: bool
    ) -> None:
        self.data, self.ends = data, ends
        self.starts = np.append(0, ends[:-1] + 1)
        self.delimiter, self.widths, self.final = delimiter, widths, final
        self.replaced: dict[int, bytes | None] = {}
        self.lost: list[tuple[int, str]] = []
        self.stray: list[tuple[int, int]] = []

    def block(self, odd: npt.NDArray[np.int64]) -> Block:
        lines = len(self.ends)
        continued = np.zeros(lines, dtype=bool)
        done, at = lines, 0
        while at < len(odd):
            line = int(odd[at])
            at += 1
            text = self._line(line)
            if not split_record(text, self.delimiter)[1]:
                continue  # marks within a cell mean nothing
            last, after = self._end(line, odd, at)
            if last is None and after < 0 and line > 0:
                done = line  # the cell may be closed in the next block
                break
            if last is not None:
                continued[line + 1 : last + 1] = True
                at = after
            else:
                self._repair(line, text)
        stop = int(self.starts[done]) if done < lines else len(self.data)
        block = Block(self.data[:stop], done, 0, done)
        # places of lines become places of records
        place = np.cumsum(~continued[:done]) - 1
        block = _numbered(self.data[:stop], self.ends[:done], block, continued[:done], self.replaced)
        block.lost = [(int(place[line]), text) for line, text in self.lost]
        block.stray = [(int(place[line]), column) for line, column in self.stray]
        return block

    def _line(self, line: int) -> str:
        return self.data[self.starts[line] : self.ends[line]].decode("utf-8", errors="replace").removesuffix("\r")

    def _end(self, line: int, odd: npt.NDArray[np.int64], at: int) -> tuple[int | None, int]:
        """The line that closes the cell opened in `line` and where to go on; None where it was never meant to be open.

        With None, a negative place says that the block ends before it is known.
        """
        for try_ in range(at, min(at + _MAX_TRIES, len(odd))):
            last = int(odd[try_])
            size = int(self.ends[last] - self.starts[line])
            if last - line > _MAX_LINES or size > _MAX_BYTES:
                return None, try_
            texts = [self._line(each) for each in range(line, last + 1)]
            cells, is_open = split_record("\n".join(texts), self.delimiter)
            if is_open:
                continue
            return (None, try_) if self._swallows(texts, cells) else (last, try_ + 1)
        ended = at + _MAX_TRIES < len(odd) or self.final
        too_long = len(self.ends) - line > _MAX_LINES or len(self.data) - int(self.starts[line]) > _MAX_BYTES
        return None, at if ended or too_long else -1

    def _swallows(self, texts: list[str], cells: list[str]) -> bool:
        """Whether a record of several lines is several rows that a stray quotation mark joins."""
        if max(self.widths) == 1:
            return False
        if len(texts) == 2:
            return not self._is_closed_in(texts[1]) and all(self._fits(text) for text in texts)
        between = [text for text in texts[1:-1] if text.strip()]
        if between and sum(map(self._fits, between)) * 2 >= len(between):
            return True
        return len(cells) not in self.widths and self._fits(texts[0])

    def _is_closed_in(self, text: str) -> bool:
        """Whether the first mark of a line ends a cell rather than begins one."""
        place = text.replace('""', "  ").find('"')
        after = text[place + 1 : place + 2]
        return after in ("", self.delimiter) and (place == 0 or text[place - 1] != self.delimiter)

    def _fits(self, text: str) -> bool:
        cells, is_open = split_record(text, self.delimiter)
        if is_open:
            return text.count(self.delimiter) + 1 in self.widths or self._without_mark(text) is not None
        return len(cells) in self.widths

    def _repair(self, line: int, text: str) -> None:
        mended = self._without_mark(text)
        if mended is None:
            self.lost.append((line, text))
            self.replaced[line] = None
        else:
            self.replaced[line] = mended[0].encode()
            self.stray.append((line, mended[1]))

    def _without_mark(self, text: str) -> tuple[str, int] | None:
        """The line without the one mark whose absence makes it fit, and the column it was in."""
        places = [match.start() for match in re.finditer('"', text)]
        opening = [each for each in places if each == 0 or text[each - 1] == self.delimiter]
        for place in [*opening[::-1], *(each for each in places[::-1] if each not in opening)][:50]:
            mended = text[:place] + text[place + 1 :]
            cells, is_open = split_record(mended, self.delimiter)
            if not is_open and len(cells) in self.widths:
                return mended, len(split_record(text[:place], self.delimiter)[0]) - 1
        return None
