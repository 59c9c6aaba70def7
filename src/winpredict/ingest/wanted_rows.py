"""The raw rows and columns of a file that a profile wants."""

import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from winpredict.ingest.files import RawFile
from winpredict.ingest.parsing.flags import to_flags
from winpredict.ingest.parsing.text import as_text
from winpredict.ingest.profiles import FIRST_OF, Profile, Source
from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.locale.text import Text, text
from winpredict.tables.schema import text_dtype


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a text is one of the patterns; case does not count."""
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def column_key(name: object) -> str:
    r"""A column's name without regard to case and kinds of spaces.

    Examples
    --------
    >>> column_key(" Close\u00a0Date") == column_key("close date")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", str(name)).casefold().split())


class RawColumns:
    """The columns of a raw table by name; where no column has the very name, case and kinds of spaces do not count.

    Examples
    --------
    >>> columns = RawColumns(["Id", "Close Date"])
    >>> columns.get("close date"), columns.get("Closed")
    ('Close Date', None)
    """

    def __init__(self, names: Iterable[Any]) -> None:
        self._names = {str(name): name for name in names}
        self._keys = {column_key(name): name for name in reversed(list(self._names.values()))}

    def get(self, name: str) -> Any:
        """The column's own name; None where there is no such column."""
        return self._names.get(name, self._keys.get(column_key(name)))

    def first(self, offered: Iterable[str]) -> Any:
        """The first of several names that there is a column of."""
        return next((column for name in offered if (column := self.get(name)) is not None), None)


def wanted_rows(
    raw: RawFile, table: str, source: Source, profile: Profile, quarantine: Quarantine | None = None
) -> pd.DataFrame:
    """The raw rows of a file that go to a table, with the columns that the profile makes of others.

    Parameters
    ----------
    raw : RawFile
    table : str
    source : Source
        The place of the profile that maps the file to the table.
    profile : Profile
    quarantine : Quarantine, optional
        Is told how many rows there are, and which of them the profile leaves out.

    Returns
    -------
    DataFrame
    """
    frame = _exploded(raw.frame, source.explode) if source.explode else raw.frame
    if quarantine is not None:
        quarantine.enter(table, raw.path, len(frame))
    return with_made_columns(kept_rows(frame, source, profile, table, raw.path, quarantine), source, profile)


def _exploded(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row for each element of a column of lists; the elements' fields become column.field."""
    if column not in frame:
        return frame.iloc[:0]
    rows = frame[frame[column].map(lambda each: isinstance(each, list | np.ndarray) and len(each) > 0)].explode(column)
    inner = pd.json_normalize(list(rows[column])).add_prefix(f"{column}.")
    inner.index = rows.index
    return pd.concat([rows.drop(columns=column), inner], axis=1)


def with_made_columns(frame: pd.DataFrame, source: Source, profile: Profile) -> pd.DataFrame:
    """The rows with the columns that a profile makes of others."""
    return _with_combined(_with_first_elements(frame, source), source, profile)


def _with_first_elements(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Columns named list.0.field: that field of the first element of a column of lists."""
    firsts = {}
    for name in (each for offered in source.columns.values() for each in offered if ".0." in each):
        column, _, inner = name.partition(".0.")
        if column in frame and name not in frame:
            firsts[name] = frame[column].map(
                lambda each, inner=inner: (
                    each[0].get(inner) if isinstance(each, list | np.ndarray) and len(each) else None
                )
            )
    return frame.assign(**firsts)


def _with_combined(frame: pd.DataFrame, source: Source, profile: Profile) -> pd.DataFrame:
    """Columns that are made of several: ``a + b`` of their texts with blanks between, ``a | b`` of the first filled."""
    combined = {}
    columns = RawColumns(frame.columns)
    for name in (each for offered in source.columns.values() for each in offered):
        sign = " + " if " + " in name else FIRST_OF if FIRST_OF in name else ""
        if not sign or name in frame:
            continue
        there = [column for part in name.split(sign) if (column := columns.get(part)) is not None]
        if not there:
            continue
        texts = [as_text(frame[column], profile.missing) for column in there]
        combined[name] = _joined(texts) if sign == " + " else _first_filled(texts)
    return frame.assign(**combined)


def _joined(texts: list[pd.Series]) -> pd.Series:
    rows = [" ".join(filter(None, row)) for row in zip(*(each.fillna("") for each in texts), strict=True)]
    joined: pd.Series = pd.Series(rows, index=texts[0].index, dtype=text_dtype())
    return joined


def _first_filled(texts: list[pd.Series]) -> pd.Series:
    out = texts[0]
    for further in texts[1:]:
        out = out.fillna(further)
    return out


def kept_rows(
    frame: pd.DataFrame,
    source: Source,
    profile: Profile,
    table: str = "",
    path: str = "",
    quarantine: Quarantine | None = None,
) -> pd.DataFrame:
    """The raw rows that a profile wants; a quarantine is told of the others, by the column that spoke against them."""
    keep = np.ones(len(frame), dtype=bool)
    columns = RawColumns(frame.columns)
    for name, patterns in source.where.items():
        column = columns.get(name)
        if column is None:
            continue
        texts = as_text(frame[column], profile.missing)
        if {each.lower() for each in patterns} <= {"true", "false"}:
            texts = _as_flags(texts)
        kept = [each for each in texts.dropna().unique() if matches(str(each), patterns)]
        wanted = (texts.isin(kept) | (texts.isna() & ("" in patterns))).to_numpy(dtype=bool)
        if quarantine is not None:
            out = frame.loc[keep & ~wanted, [column]]
            origin: dict[str, Any] = {FILE: path, ROW: out.index.to_numpy()}
            cause = text("{column} is not {wanted}", column=str(column), wanted=one_of(patterns))
            quarantine.add(table, out.reset_index(drop=True).assign(**origin), cause, "left out")
        keep &= wanted
    return frame if keep.all() else frame[keep]


def one_of(texts: Iterable[str]) -> Text | str:
    """Texts as alternatives, for people; an empty one says so.

    Examples
    --------
    >>> str(one_of(["Won", "Lost", ""]))
    'Won or Lost or empty'
    """
    first, *others = [each or text("empty") for each in texts] or [""]
    return reduce(lambda one, other: text("{one} or {other}", one=one, other=other), others, first)


def _as_flags(texts: pd.Series) -> pd.Series:
    """Flags in one notation, where exports write 0 and 1; what is not a flag stays as it is."""
    flags = to_flags(texts)[0]
    return texts.mask(flags.eq(True).fillna(False), "true").mask(flags.eq(False).fillna(False), "false")
