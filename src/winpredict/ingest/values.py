"""Raw texts into times, numbers and ids; what cannot be read is told apart from what is missing."""

import re
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Literal, cast

import numpy as np
import pandas as pd

from winpredict.errors import ProfileError
from winpredict.tables.schema import TIME_DTYPE, text_dtype

_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")
_SLASHED = re.compile(r"^(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})\b")
_DATE_ONLY = re.compile(r"^\d{4}-\d{2}-\d{2}$|^\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}$|^\d{8}$")
_COMPACT = re.compile(r"^\d{8}$")
_EPOCH = re.compile(r"^\d{9,14}$")
#: Epoch numbers with at least so many digits count milliseconds.
_DIGITS_OF_MILLISECONDS = 12
_MONTHS = 12
_END_OF_DAY = pd.Timedelta("1D") - pd.Timedelta("1us")


@dataclass(frozen=True)
class ColumnSigns:
    """What the values of a whole column tell about how to read it; those of its parts are joined by ``|``.

    Attributes
    ----------
    filled : bool
        There are values.
    fractions : bool
        Numbers that are not whole.
    day_first, month_first, other_than_dots : bool
        Dates such as 25/04/2025, such as 04/25/2025, and with another separator than dots.
    decimal_commas : bool
        Numbers such as 12,5.
    no_number, no_time : bool
        Texts that are no numbers (or codes with leading zeros), and no ISO times.
    """

    filled: bool = False
    fractions: bool = False
    day_first: bool = False
    month_first: bool = False
    other_than_dots: bool = False
    decimal_commas: bool = False
    no_number: bool = False
    no_time: bool = False

    def __or__(self, other: "ColumnSigns") -> "ColumnSigns":
        return ColumnSigns(*(getattr(self, each.name) or getattr(other, each.name) for each in fields(self)))

    @classmethod
    def of(cls, values: pd.Series, missing: tuple[str, ...], kind: str) -> "ColumnSigns":
        """Signs of raw values that are to become a time, a number, an attribute, or else text."""
        if is_typed(values, kind):
            return cls(filled=True)
        fractions = pd.api.types.is_float_dtype(values.dtype) and bool((values.dropna() % 1 != 0).any())
        texts = as_text(values, missing) if kind in _SIGNS else None
        if texts is None or texts.isna().all():
            return cls(fractions=fractions)
        return replace(_SIGNS[kind](texts), filled=True, fractions=fractions)


def _signs_of_times(texts: pd.Series) -> ColumnSigns:
    parts = texts.str.extract(_SLASHED.pattern).dropna()
    first, second = parts[0].astype(int), parts[2].astype(int)
    return ColumnSigns(
        day_first=bool((first > _MONTHS).any()),
        month_first=bool((second > _MONTHS).any()),
        other_than_dots=bool((parts[1] != ".").any()),
    )


def _signs_of_numbers(texts: pd.Series) -> ColumnSigns:
    plain = pd.to_numeric(texts, errors="coerce")
    if not (texts.notna() & plain.isna()).any():
        return ColumnSigns()
    return ColumnSigns(decimal_commas=bool(_has_decimal_commas(_bare_numbers(texts))))


def _signs_of_attributes(texts: pd.Series) -> ColumnSigns:
    known = texts.dropna()
    no_number = bool(pd.to_numeric(known, errors="coerce").isna().any() or known.str.match(r"^0\d").any())
    if not no_number or not known.str.match(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}|$)").all():
        return ColumnSigns(no_number=no_number, no_time=True)
    return ColumnSigns(no_number=True, no_time=bool(to_times(known, "UTC", "guess", "")[1].any()))


_SIGNS = {"time": _signs_of_times, "number": _signs_of_numbers, "attribute": _signs_of_attributes}


def as_text(values: pd.Series, missing: tuple[str, ...] = ("",), *, signs: ColumnSigns | None = None) -> pd.Series:
    """Stripped texts; missing where one of `missing` stands. Whole numbers lose their ".0".

    `signs` are those of the whole column, where `values` are a part of it.
    """
    if values.dtype == object:
        out = values.map(text_of)
    elif isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        out = values.astype(object).map(lambda each: None if pd.isna(each) else each.isoformat())
    elif pd.api.types.is_float_dtype(values.dtype) and not (
        (values.dropna() % 1 != 0).any() if signs is None else signs.fractions
    ):
        out = values.astype("Int64").astype(text_dtype())
    else:
        out = values.astype(text_dtype())
    out = out.astype(text_dtype()).str.strip()
    return out.mask(out.isin(missing))


def text_of(value: object) -> str | None:
    """A value of JSON or Parquet as text; nested ones are no values."""
    if value is None or value is pd.NA or isinstance(value, list | dict | tuple | np.ndarray) or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_typed(values: pd.Series, kind: str) -> bool:
    """Whether raw values are times or numbers already, as Parquet files and warehouses have them."""
    return (kind == "time" and values.dtype.kind == "M") or (kind == "number" and values.dtype.kind == "f")


def from_typed(values: pd.Series, zone: str) -> tuple[pd.Series, pd.Series]:
    """Times in UTC or finite numbers, and which could not be taken, of values that are typed already."""
    if values.dtype.kind == "f":
        numbers = values.astype("float64")
        return _finite(numbers), pd.Series(np.isinf(numbers.to_numpy()), index=values.index)
    times = values if isinstance(values.dtype, pd.DatetimeTZDtype) else _localized(values, zone)
    return times.dt.tz_convert("UTC").astype(TIME_DTYPE), pd.Series(False, index=values.index)


def to_times(
    texts: pd.Series,
    zone: str,
    dates: Literal["guess", "day_first", "month_first"],
    where: str,
    signs: ColumnSigns | None = None,
) -> tuple[pd.Series, pd.Series]:
    """Times in UTC, and which texts could not be read.

    Parameters
    ----------
    texts : Series of str
        ISO 8601, epoch seconds or milliseconds, day-first or month-first dates, mixed in one column if need be.
    zone : str
        Zone of times without an offset.
    dates : {"guess", "day_first", "month_first"}
        Order of 03/04/2025; a guess takes a column with 25/04/2025 as day-first. Where both orders occur in one
        column, dates that could be either are not read.
    where : str
        File and column, for the error.
    signs : ColumnSigns, optional
        Of the whole column, where `texts` are a part of it.

    Raises
    ------
    ProfileError
        When nothing in the column tells the order.
    """
    out = pd.Series(pd.NaT, index=texts.index, dtype=TIME_DTYPE)
    there = texts.notna()
    slashed = _like(_SLASHED, texts)
    if slashed.any():
        out[slashed] = _slashed(texts[slashed], zone, dates, where, signs)
    for pick, parse in (
        (_like(_COMPACT, texts), _compact),
        (_like(_EPOCH, texts), _epoch),
        (there, _iso),
        (there, _any),
    ):
        todo = pick & ~slashed & out.isna()
        if todo.any():
            out[todo] = parse(texts[todo], zone)
    return out, there & out.isna()


def end_of_day(times: pd.Series, texts: pd.Series) -> pd.Series:
    """Times whose text names a day only, moved to the end of that day: by then the fact was known."""
    return times.where(~_like(_DATE_ONLY, texts), times + _END_OF_DAY).astype(TIME_DTYPE)


def to_numbers(texts: pd.Series, signs: ColumnSigns | None = None) -> tuple[pd.Series, pd.Series]:
    """Numbers as float64, and which texts could not be read.

    Currency signs, blanks and thousands separators are taken off; (12) is -12. A column with 12,5 or 1.234,56 has
    decimal commas throughout.

    Examples
    --------
    >>> to_numbers(pd.Series(["$1,200.50", "(3)", "7", "soon", None]))[0].tolist()
    [1200.5, -3.0, 7.0, nan, nan]
    """
    plain = pd.to_numeric(texts, errors="coerce").astype("float64")
    rest = texts.notna() & plain.isna()
    if not rest.any():
        return _finite(plain), texts.notna() & ~np.isfinite(plain)
    cleaned = _bare_numbers(texts)
    if _has_decimal_commas(cleaned) if signs is None else signs.decimal_commas:
        cleaned = cleaned.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        plain = pd.to_numeric(cleaned, errors="coerce").astype("float64")
    else:
        plain = plain.fillna(
            pd.to_numeric(cleaned.str.replace(",", "", regex=False), errors="coerce").astype("float64")
        )
    return _finite(plain), texts.notna() & ~np.isfinite(plain)


def _bare_numbers(texts: pd.Series) -> pd.Series:
    bare = texts.str.replace(r"[^\d,.()eE+-]", "", regex=True)
    return bare.str.replace(r"^\((.*)\)$", r"-\1", regex=True)


def _has_decimal_commas(bare: pd.Series) -> bool:
    return bool(bare.str.contains(r"\d,\d{1,2}$|\.\d{3},").fillna(False).any())


def to_flags(texts: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Nullable booleans, and which texts could not be read."""
    words = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}
    out = texts.str.lower().map(words).astype("boolean")
    return out, texts.notna() & out.isna()


def natural(texts: pd.Series, signs: ColumnSigns | None = None) -> pd.Series:
    """A custom attribute as numbers or times where every text reads as one, else as text.

    Codes with leading zeros stay text.
    """
    if signs is None:
        signs = ColumnSigns.of(texts, (), "attribute")
    if not signs.filled:
        return texts
    if not signs.no_number:
        return pd.to_numeric(texts, errors="coerce").astype("float64")
    return texts if signs.no_time else to_times(texts, "UTC", "guess", "")[0]


def _like(pattern: re.Pattern[str], texts: pd.Series) -> pd.Series:
    return texts.str.match(pattern.pattern).fillna(False).astype(bool)


def _finite(numbers: pd.Series) -> pd.Series:
    return numbers.where(np.isfinite(numbers))


def _localized(times: pd.Series, zone: str) -> pd.Series:
    # an hour that occurs twice counts as its first pass, one that never occurs as the moment the clock was put forward
    first_pass = np.ones(len(times), dtype=bool)
    local = times.dt.tz_localize(zone, ambiguous=first_pass, nonexistent="shift_forward")
    return cast("pd.Series", local.dt.tz_convert("UTC"))


def _compact(texts: pd.Series, zone: str) -> pd.Series:
    return _localized(pd.to_datetime(texts, format="%Y%m%d", errors="coerce"), zone).astype(TIME_DTYPE)


def _epoch(texts: pd.Series, zone: str) -> pd.Series:
    numbers = texts.astype("int64")
    milliseconds = numbers.where(texts.str.len() >= _DIGITS_OF_MILLISECONDS, numbers * 1000)
    return pd.to_datetime(milliseconds, unit="ms", utc=True, errors="coerce").astype(TIME_DTYPE)


def _iso(texts: pd.Series, zone: str) -> pd.Series:
    return _by_offset(texts, zone, format="ISO8601")


def _any(texts: pd.Series, zone: str) -> pd.Series:
    # a text without a year would be completed with today's
    with_year = texts.where(texts.str.contains(r"\b\d{4}\b") & (texts.str.len() >= len("1 May 2025")))
    return _by_offset(with_year, zone, format="mixed")


def _by_offset(texts: pd.Series, zone: str, *, format: Literal["ISO8601", "mixed"]) -> pd.Series:
    """Texts with an offset and without one, each in its way."""
    out = pd.Series(pd.NaT, index=texts.index, dtype=TIME_DTYPE)
    aware = texts.str.contains(_OFFSET.pattern, regex=True) & texts.str.contains(":", regex=False)
    if aware.any():
        out[aware] = pd.to_datetime(texts[aware], utc=True, errors="coerce", format=format).astype(TIME_DTYPE)
    if (~aware).any():
        naive = pd.to_datetime(texts[~aware], errors="coerce", format=format)
        if isinstance(naive.dtype, pd.DatetimeTZDtype):
            out[~aware] = naive.dt.tz_convert("UTC").astype(TIME_DTYPE)
        elif naive.dtype.kind == "M":
            out[~aware] = _localized(naive, zone).astype(TIME_DTYPE)
    return out


def _slashed(texts: pd.Series, zone: str, dates: str, where: str, signs: ColumnSigns | None) -> pd.Series:
    parts = texts.str.extract(_SLASHED.pattern)
    first, second = parts[0].astype(int), parts[2].astype(int)
    day_first, month_first = first > _MONTHS, second > _MONTHS
    order = dates if dates != "guess" else _order(signs or _signs_of_times(texts), where)
    if order == "unclear":
        known = day_first | month_first
        out = pd.Series(pd.NaT, index=texts.index, dtype=TIME_DTYPE)
        out[known & day_first] = _ordered(texts[known & day_first], zone, day_first=True)
        out[known & ~day_first] = _ordered(texts[known & ~day_first], zone, day_first=False)
        return out
    return _ordered(texts, zone, day_first=order == "day_first")


def _order(signs: ColumnSigns, where: str) -> str:
    if signs.day_first and signs.month_first:
        return "unclear"
    if signs.day_first or not signs.other_than_dots:
        return "day_first"
    if signs.month_first:
        return "month_first"
    raise ProfileError(
        f"{where}: nothing tells whether dates such as 03/04/2025 start with the day or the month; "
        "write dates: day_first or dates: month_first into the profile"
    )


def _ordered(texts: pd.Series, zone: str, *, day_first: bool) -> pd.Series:
    pattern = re.compile(r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})\b,?\s*(.*)$")
    parts = texts.str.extract(pattern)
    day, month = (parts[0], parts[1]) if day_first else (parts[1], parts[0])
    year = parts[2].where(parts[2].str.len() == 4, "20" + parts[2])
    iso = year + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + (" " + parts[3]).where(parts[3] != "", "")
    return _by_offset(iso, zone, format="mixed")
