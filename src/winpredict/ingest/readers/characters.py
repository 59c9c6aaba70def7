"""Characters that nobody sees, and bytes that are none: removed or replaced, and counted."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winpredict.ingest.readers.causes import told_cause
from winpredict.ingest.readers.encoding import BAD_BYTES
from winpredict.locale.text import Text, texts
from winpredict.tables.schema import text_dtype

_CONTROL_CODES = "\u0001-\u0008\u000e-\u001f\u007f"
_BIDI_CODES = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ZERO_WIDTH_CODES = "\u200b\u2060-\u2064\ufeff"
# joiners shape letters of some scripts and join emoji: beside plain letters and figures they do nothing
_ASCII = "\u0020-\u007e"
_JOINERS = "\u200c\u200d"
NOT_TEXT = "bytes that are no text"
#: Causes of repairs, what is looked for, and what stands in its place.
_CLEANINGS: tuple[tuple[str, str, str], ...] = (
    (NOT_TEXT, BAD_BYTES, "\ufffd"),
    ("NUL bytes", "\u0000", ""),
    ("control characters", f"[{_CONTROL_CODES}]", ""),
    ("characters that turn the direction of writing", f"[{_BIDI_CODES}]", ""),
    ("zero-width characters", f"[{_ZERO_WIDTH_CODES}]", ""),
    ("zero-width characters", f"[{_JOINERS}]+([{_ASCII}]|$)", r"\1"),
    ("zero-width characters", f"(^|[{_ASCII}])[{_JOINERS}]+", r"\1"),
)
_ANY = re.compile(f"[{BAD_BYTES}\u0000{_CONTROL_CODES}{_BIDI_CODES}{_ZERO_WIDTH_CODES}{_JOINERS}]")
#: First bytes in UTF-8 of the characters above.
_FIRST_BYTES = (b"\xe2\x80", b"\xe2\x81", b"\xef\xbb", b"\xef\xb7", b"\xd8\x9c")

#: A repaired cell: place of the row, column, and what was wrong.
Repair = tuple[int, int, str]


def needs_cleaning(data: bytes) -> bool:
    r"""Whether UTF-8 has any of the characters that are removed; told in bulk.

    Examples
    --------
    >>> needs_cleaning("Zoë – «Ltd»".encode()), needs_cleaning(b"006A\x00"), needs_cleaning("006A\u200b".encode())
    (False, True, True)
    """
    codes = np.frombuffer(data, dtype=np.uint8)
    low = int(np.count_nonzero(codes < 32))
    for code in (10, 13, 9, 11, 12):  # line ends, tabs and what else is blank; mostly the first are all
        low -= int(np.count_nonzero(codes == code)) if low else 0
    if low:
        return True
    if np.count_nonzero(codes == 127):
        return True
    if data.isascii() or not any(first in data for first in _FIRST_BYTES):
        return False
    return _ANY.search(data.decode("utf-8", errors="replace")) is not None


def has_odd_texts(table: pa.Table) -> bool:
    """Whether a column of text has any of these characters; told from its buffers."""
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            for chunk in column.chunks:
                data = chunk.buffers()[2]
                if data is not None and needs_cleaning(data.to_pybytes()):
                    return True
    return False


def cleaned_text(text: str) -> tuple[str, str]:
    r"""A text without such characters, and what was wrong with it.

    Examples
    --------
    >>> cleaned_text("006A\u202e1"), cleaned_text("Acme")
    (('006A1', 'characters that turn the direction of writing'), ('Acme', ''))
    """
    if not _ANY.search(text):
        return text, ""
    first = ""
    for cause, pattern, instead in _CLEANINGS:
        changed = re.sub(pattern, instead, text)
        if changed != text:
            first, text = first or cause, changed
    return text, first


def cleaned_columns(table: pa.Table) -> tuple[pa.Table, list[Repair]]:
    """Columns of text without such characters, and which cells changed."""
    repairs: dict[tuple[int, int], str] = {}
    for place in range(table.num_columns):
        column = table.column(place)
        for cause, pattern, instead in _CLEANINGS:
            affected = pc.match_substring_regex(column, pattern)
            if not pc.any(affected).as_py():
                continue
            for row in pc.indices_nonzero(affected.combine_chunks()).to_pylist():
                repairs.setdefault((row, place), cause)
            column = pc.replace_substring_regex(column, pattern, instead)
        table = table.set_column(place, table.schema.field(place), column)
    return table, [(row, place, cause) for (row, place), cause in sorted(repairs.items())]


def cleaned_frame(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[object, str, str]]]:
    """The same for a frame whose columns may hold values of any type; repairs name row and column."""
    repairs: list[tuple[object, str, str]] = []
    changed: dict[int, pd.Series] = {}
    for place, name in enumerate(frame.columns):
        column = frame.iloc[:, place]
        if not (column.dtype == object or isinstance(column.dtype, pd.StringDtype)):
            continue
        if isinstance(column.dtype, pd.StringDtype) and not has_odd_texts(pa.table({"": pa.array(column)})):
            continue
        texts = [(at, value) for at, value in enumerate(column) if isinstance(value, str) and _ANY.search(value)]
        if not texts:
            continue
        values = column.astype(object).to_numpy(copy=True)
        for at, value in texts:
            values[at], cause = cleaned_text(value)
            repairs.append((frame.index[at], str(name), cause))
        dtype = text_dtype() if isinstance(column.dtype, pd.StringDtype) else object
        changed[place] = pd.Series(values, index=frame.index, dtype=dtype)
    if changed:
        parts = [changed.get(place, frame.iloc[:, place]) for place in range(frame.shape[1])]
        frame = pd.concat(parts, axis=1, keys=range(len(parts))).set_axis(frame.columns, axis=1)
    return frame, repairs


def describe(causes: list[str], encoding: str) -> list[Text]:
    """What was repaired in how many cells, for people.

    Examples
    --------
    >>> [str(each) for each in describe(["NUL bytes", "NUL bytes"], "UTF-8")]
    ['NUL bytes removed from 2 cells']
    """
    by_cause: dict[str, int] = {}
    for cause in causes:
        by_cause[cause] = by_cause.get(cause, 0) + 1
    return [_described(cause, number, encoding) for cause, number in by_cause.items()]


def _described(cause: str, number: int, encoding: str) -> Text:
    if cause == NOT_TEXT:
        return texts(
            "{n:count} cell holds bytes that are not {encoding}, shown as \ufffd",
            "{n:count} cells hold bytes that are not {encoding}, shown as \ufffd",
            n=number,
            encoding=encoding,
        )
    return texts(
        "{cause} removed from {n:count} cell",
        "{cause} removed from {n:count} cells",
        n=number,
        cause=told_cause(cause),
    )
