"""Raw values as texts, and typed values as they are."""

from decimal import Decimal
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winpredict.tables.schema import TIME_DTYPE, text_dtype


def as_text(values: pd.Series, missing: tuple[str, ...] = ("",), *, fractions: bool | None = None) -> pd.Series:
    """Stripped texts; missing where one of `missing` stands. Whole numbers lose their ".0".

    Parameters
    ----------
    values : Series
        Of any dtype.
    missing : tuple of str
        Texts that stand for a missing value.
    fractions : bool, optional
        Whether a column of floats holds fractions, where `values` are only a part of the column.

    Returns
    -------
    Series of str

    Examples
    --------
    >>> as_text(pd.Series([7.0, None, 8.0])).tolist()
    ['7', nan, '8']
    """
    if values.dtype == object:
        out = values.map(text_of).astype(text_dtype())
    elif isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        out = values.astype(object).map(lambda value: None if pd.isna(value) else value.isoformat())
        out = out.astype(text_dtype())
    elif pd.api.types.is_float_dtype(values.dtype) and not (has_fractions(values) if fractions is None else fractions):
        out = values.astype("Int64").astype(text_dtype())
    else:
        out = values.astype(text_dtype())
    return _without_missing(_stripped(out), missing)


def _stripped(texts: pd.Series) -> pd.Series:
    """Texts without blanks at their ends; the same memory where they have none."""
    return texts.str.strip() if padded_cells(texts) else texts


def padded_cells(values: pd.Series) -> int:
    """How many texts of a column have blanks at their ends.

    Examples
    --------
    >>> padded_cells(pd.Series([" a", "b", None], dtype=text_dtype()))
    1
    """
    if not isinstance(values.dtype, pd.StringDtype):
        return 0
    array = pa.array(values)
    lengths, without = pc.binary_length(array), pc.binary_length(pc.utf8_trim_whitespace(array))
    if pc.sum(lengths).as_py() == pc.sum(without).as_py():
        return 0
    return int(pc.sum(pc.not_equal(lengths, without)).as_py())


def _without_missing(texts: pd.Series, missing: tuple[str, ...]) -> pd.Series:
    """Texts with NaN where one of `missing` is; the same memory where none is."""
    said = texts.isin(missing)
    return texts.mask(said) if said.any() else texts


def has_fractions(values: pd.Series) -> bool:
    """Whether a column of floats holds numbers that are not whole."""
    return pd.api.types.is_float_dtype(values.dtype) and bool((values.dropna() % 1 != 0).any())


def text_of(value: object) -> str | None:
    """A value of JSON or Parquet as text; nested ones are not values.

    Examples
    --------
    >>> text_of(3.0), text_of(True), text_of([1])
    ('3', 'true', None)
    """
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
        finite = pd.Series(np.isfinite(numbers.to_numpy()), index=values.index)
        return numbers.where(finite), ~finite & numbers.notna()
    times = values if isinstance(values.dtype, pd.DatetimeTZDtype) else in_utc(values, zone)
    return times.dt.tz_convert("UTC").astype(TIME_DTYPE), pd.Series(False, index=values.index)


def in_utc(times: pd.Series, zone: str) -> pd.Series:
    """Local times without a zone, in UTC.

    An hour that occurs twice counts as its first pass, one that never occurs as the moment the clock was put forward.
    """
    first_pass = np.ones(len(times), dtype=bool)
    local = times.dt.tz_localize(zone, ambiguous=first_pass, nonexistent="shift_forward")
    return cast("pd.Series", local.dt.tz_convert("UTC"))
