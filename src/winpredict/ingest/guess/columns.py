"""What the columns of an unknown table hold, and what their names say."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from winpredict.ingest.files import RawFile
from winpredict.ingest.parsing.columns import ColumnHints
from winpredict.ingest.parsing.date_formats import date_format
from winpredict.ingest.parsing.dates import to_times
from winpredict.ingest.parsing.flags import to_flags
from winpredict.ingest.parsing.number_formats import number_format
from winpredict.ingest.parsing.numbers import to_numbers
from winpredict.ingest.parsing.text import as_text, from_typed, is_typed
from winpredict.ingest.profiles import MISSING
from winpredict.ingest.vocabulary import CRMKind, field_scores, kind_of, language_of, vocabularies
from winpredict.tables.rows import row_digests

#: Contents are looked at in so many rows of a large table; which values there are is always counted in all of them.
MAX_SAMPLE = 20_000
#: Spellings of yes and no in one column: Y, N, y, n.
MAX_FLAG_SPELLINGS = 4
_WILDCARDS = re.compile(r"([*?[])")


def pattern(text: str) -> str:
    """A text as a pattern that matches only itself, as profiles have them.

    Examples
    --------
    >>> pattern("Won?"), pattern("Demo [EU]")
    ('Won[?]', 'Demo [[]EU]')
    """
    return _WILDCARDS.sub(r"[\1]", text)


class ColumnFacts:
    """What one column holds. Everything is worked out when it is first asked for.

    Parameters
    ----------
    name : str
    cells : Series
        As they came.
    sample : ndarray of int
        Positions of the rows that the slower questions are answered from.
    day_first : bool or None
        What the language of the headers says of dates that could be meant either way.
    """

    def __init__(self, name: str, cells: pd.Series, sample: np.ndarray[Any, Any], day_first: bool | None) -> None:
        self.name = name
        self._cells = cells
        self._sample = sample
        self._day_first = day_first

    @cached_property
    def texts(self) -> pd.Series:
        """Texts of all cells, missing where empty."""
        return as_text(self._cells, MISSING)

    @cached_property
    def is_filled(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Whether each cell holds a value."""
        return self.texts.notna().to_numpy()

    @property
    def share_filled(self) -> float:
        """Share of cells that hold a value."""
        return float(self.is_filled.mean()) if len(self.is_filled) else 0.0

    @cached_property
    def counts(self) -> dict[str, int]:
        """Cells of each text, the most frequent first."""
        counts = self.texts.value_counts().sort_index(kind="stable")
        counts = counts.sort_values(ascending=False, kind="stable")
        return {str(text): int(cells) for text, cells in counts.items()}

    @cached_property
    def distinct(self) -> int:
        """Number of different texts."""
        return int(self.texts.nunique())

    @property
    def share_distinct(self) -> float:
        """Different texts for each filled cell."""
        filled = int(self.is_filled.sum())
        return self.distinct / filled if filled else 0.0

    @cached_property
    def hints(self) -> ColumnHints:
        """How the sampled cells are written."""
        return ColumnHints.of(self._cells.iloc[self._sample], MISSING, "attribute")

    @property
    def _is_typed_time(self) -> bool:
        return is_typed(self._cells, "time")

    @cached_property
    def share_times(self) -> float:
        """Share of the filled cells that read as dates."""
        if self._is_typed_time:
            return 1.0
        hints = self.hints.dates
        return 1 - hints.unread / hints.filled if hints is not None and hints.filled else 0.0

    @cached_property
    def are_serials(self) -> bool:
        """Whether dates are a spreadsheet's day numbers, so that only the name tells them from other numbers."""
        hints = self.hints.dates
        return hints is not None and hints.serials > hints.filled / 2

    @cached_property
    def are_dates(self) -> bool:
        """Whether the contents alone say that these are dates: whole numbers may be ids as well as moments."""
        return self.share_times == 1 and not self.texts.iloc[self._sample].str.isdigit().any()

    @cached_property
    def has_clock(self) -> bool:
        """Whether times carry a time of the day."""
        hints = self.hints.dates
        return hints is not None and hints.day_only + hints.unread < hints.filled / 2

    @cached_property
    def times(self) -> pd.Series:
        """Times of all cells, missing where there are none; in UTC."""
        if self._is_typed_time:
            return from_typed(self._cells, "UTC")[0]
        hints = self.hints.dates
        if hints is None:
            return pd.Series(pd.NaT, index=self.texts.index, dtype="datetime64[us, UTC]")
        form = date_format(hints, day_first=True if self._day_first is None else self._day_first)
        return to_times(self.texts, "UTC", form).values

    @cached_property
    def share_numbers(self) -> float:
        """Share of the filled cells that read as numbers."""
        if is_typed(self._cells, "number"):
            return 1.0
        hints = self.hints.numbers
        return 1 - hints.unread / hints.filled if hints is not None and hints.filled else 0.0

    @cached_property
    def numbers(self) -> pd.Series:
        """Numbers of all cells, missing where there are none; a per cent sign behind them does not count."""
        if is_typed(self._cells, "number"):
            return from_typed(self._cells, "UTC")[0]
        texts = self.texts.str.replace(r"\s*%$", "", regex=True)
        hints = ColumnHints.of(texts, MISSING, "number").numbers
        return to_numbers(texts, None if hints is None else number_format(hints)).values

    @cached_property
    def flags(self) -> "pd.Series | None":
        """Yes or no of each cell; None where anything else stands in the column."""
        if not 0 < self.distinct <= MAX_FLAG_SPELLINGS:
            return None
        flags, unread = to_flags(self.texts)
        return None if unread.any() else flags

    @cached_property
    def has_currency(self) -> bool:
        """Whether cells carry signs or codes of currencies."""
        hints = self.hints.numbers
        return hints is not None and hints.with_currency > hints.filled / 2


class RawTable:
    """A table as it came: its columns, the language of their names, and the kind of file.

    Parameters
    ----------
    name : str
        As profiles name it: file, zip member or sheet.
    path : str
        For people.
    frame : DataFrame
    names : sequence of str, optional
        Names of all tables that these rows are from, where several have the same columns.
    parts : Series of str, optional
        Which of them each row is from.
    """

    def __init__(
        self, name: str, path: str, frame: pd.DataFrame, names: tuple[str, ...] = (), parts: pd.Series | None = None
    ) -> None:
        self.name, self.path, self.parts = name, path, parts
        self.names = names or (name,)
        self.frame = frame.reset_index(drop=True)
        headers = [str(each) for each in frame.columns]
        self.language = language_of(headers)
        self.kind: CRMKind | None = kind_of(headers)
        spoken = vocabularies().get(self.language)
        sample = _sample(self.frame)
        self.sample = sample
        self.columns: Mapping[str, ColumnFacts] = {
            str(each): ColumnFacts(str(each), self.frame[each], sample, None if spoken is None else spoken.day_first)
            for each in frame.columns
        }

    @classmethod
    def of(cls, raw: RawFile) -> "RawTable":
        """The table of a file that was read."""
        return cls(raw.name, raw.path, raw.frame)

    def __len__(self) -> int:
        return len(self.frame)

    def scores(self, column: str) -> dict[str, float]:
        """Fields that a column may stand for, by its name alone."""
        known = field_scores(column, self.language, self.kind.kind if self.kind else "")
        return {str(field): score for field, score in known.items()}

    def rows(self, positions: "np.ndarray[Any, Any]") -> "RawTable":
        """The same table with some of its rows."""
        return RawTable(self.name, self.path, self.frame.iloc[positions], self.names)


def _sample(frame: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """Positions of the rows to look at; which these are depends on their values, not on their order."""
    if len(frame) <= MAX_SAMPLE:
        return np.arange(len(frame))
    plain = frame[[name for name in frame.columns if frame[name].dtype != object]]
    digests = row_digests(plain if len(plain.columns) else frame.map(str))
    return np.sort(np.argsort(digests, kind="stable")[:MAX_SAMPLE])
