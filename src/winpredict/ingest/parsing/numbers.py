"""Amounts and other numbers as people export them: separators, signs, currencies, and words such as Mio. and K.

A cell is read by its shape, which is its text with every digit made a 9 (or a 0 where a run of digits begins with one).
A column of a million amounts has some dozens of shapes; each is parsed once, and what it says holds for all its cells.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winpredict.ingest.parsing.number_formats import NumberFormat, NumberHints, number_format
from winpredict.ingest.parsing.number_shapes import MISSING, NOT_READ, UNREAD, NumberShape, number_shape
from winpredict.tables.schema import text_dtype

#: Cells that are read at a time, so that the arrays of bytes stay small.
_CELLS = 1 << 18
#: In UTF-8; no number is longer with its currency, while texts are.
_MAX_BYTES = 96
#: So many shapes are no column of numbers: those that cannot be one are left out by a pattern first.
_MANY_SHAPES = 1000
#: Integers of so many digits and powers of ten up to this one are exact as float64.
_EXACT_DIGITS = 15
_EXACT_POWER = 22
_POWERS = 10.0 ** np.arange(_EXACT_POWER + 1)
_FULL_WIDTH_DIGITS = "０１２３４５６７８９"
_FULL_WIDTH_BYTE = "０".encode()[0]
_COULD_BE_NUMBER = r"^[^09]*[09](?:[^09A-Za-z]*[09])*(?:[^09A-Za-z]*[eE][^09A-Za-z]*[09]{1,3})?[^09]*$"


@dataclass(frozen=True)
class Numbers:
    """Numbers of a column.

    Attributes
    ----------
    values : Series of float64
    unread : Series of bool
        Cells that are filled and could not be read.
    currency : Series of str
        ISO code of the sign, code or name in a cell; missing where it has none, or one that can be several currencies.
    """

    values: pd.Series
    unread: pd.Series
    currency: pd.Series


def number_hints(texts: pd.Series) -> NumberHints:
    """What a column, or a part of it, tells about how its numbers are to be read.

    Parameters
    ----------
    texts : Series of str
        Stripped, and missing where there is no value.

    Examples
    --------
    >>> hints = number_hints(pd.Series(["12,5 €", "14.875 €", "soon", None]))
    >>> hints.comma_decimal, hints.dot_unclear, hints.unread, hints.filled, hints.currencies
    (1, 1, 1, 3, {'EUR': 2})
    """
    return reduce(or_, (_hints_of_part(part) for part in _parts(texts)), NumberHints())


def to_numbers(texts: pd.Series, form: NumberFormat | None = None) -> Numbers:
    """Numbers of a column, which cells could not be read, and the currencies that are named in them.

    Parameters
    ----------
    texts : Series of str
        Stripped, and missing where there is no value.
    form : NumberFormat, optional
        Of the whole column, where `texts` are a part of it. By default that of these texts alone.

    Examples
    --------
    >>> numbers = to_numbers(pd.Series(["$1,200.50", "(3)", "1.2M USD", "soon", None]))
    >>> numbers.values.tolist()
    [1200.5, -3.0, 1200000.0, nan, nan]
    >>> numbers.unread.tolist(), numbers.currency.tolist()
    ([False, False, False, True, False], ['USD', nan, 'USD', nan, nan])
    """
    form = number_format(number_hints(texts)) if form is None else form
    values, filled, currencies = [np.empty(0)], [np.empty(0, dtype=bool)], [pa.array([], pa.string())]
    for part in _parts(texts):
        numbers = _values(part, form)
        values.append(numbers)
        filled.append(part.of_cells([shape.is_filled for shape in part.shapes], np.bool_))
        currencies.append(_currencies(part, ~np.isnan(numbers)))
    number = np.concatenate(values)
    unread = np.concatenate(filled) & np.isnan(number)
    currency = text_dtype().__from_arrow__(pa.chunked_array(currencies, pa.string()))
    return Numbers(
        *(pd.Series(cells, index=texts.index, name=texts.name) for cells in (number, unread, currency)),
    )


@dataclass(frozen=True)
class _Part:
    """Some cells of a column and the shape of each.

    Attributes
    ----------
    texts : StringArray
    codes : ndarray of int
        The shape of each cell, as its place in `shapes`.
    """

    texts: Any
    codes: npt.NDArray[np.intp]
    shapes: tuple[NumberShape, ...]

    def of_cells(self, of_shapes: list[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
        """What shapes say, for each cell."""
        return np.array(of_shapes, dtype=dtype)[self.codes]


def _parts(texts: pd.Series) -> Iterator[_Part]:
    column = pa.array(texts.astype(text_dtype()).array)
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        for start in range(0, len(chunk), _CELLS):
            yield _part(chunk.slice(start, _CELLS).cast(pa.large_string()))


def _part(texts: Any) -> _Part:
    lengths = pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False)
    short = (lengths > 0) & (lengths <= _MAX_BYTES)
    codes = np.where(lengths > 0, 1, 0)
    shapes = [MISSING, UNREAD]
    if short.any():
        masked = _masked_digits(texts if short.all() else texts.filter(pa.array(short))).dictionary_encode()
        codes[short] = masked.indices.to_numpy() + len(shapes)
        shapes += _shapes(masked.dictionary)
    return _Part(texts, codes, tuple(shapes))


def _shapes(texts: Any) -> list[NumberShape]:
    if len(texts) <= _MANY_SHAPES:
        return [number_shape(text) for text in texts.to_pylist()]
    possible = pc.match_substring_regex(texts, _COULD_BE_NUMBER)
    return [number_shape(text) if text else UNREAD for text in pc.if_else(possible, texts, "").to_pylist()]


def _bytes(texts: Any) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Bytes of texts without missing ones, and where each begins (and the last ends)."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0]


def _from_bytes(data: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64]) -> Any:
    return pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(data))


def _is_digit(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    # letters of other scripts have no bytes below 128 in UTF-8
    return (data - np.uint8(ord("0"))) < 10


def _with_plain_digits(texts: Any) -> Any:
    """Texts with full-width digits as plain ones."""
    if (_bytes(texts)[0] == _FULL_WIDTH_BYTE).any():
        for digit, wide in enumerate(_FULL_WIDTH_DIGITS):
            texts = pc.replace_substring(texts, wide, str(digit))
    return texts


def _masked_digits(texts: Any) -> Any:
    data, bounds = _bytes(_with_plain_digits(texts))
    is_digit = _is_digit(data)
    is_first = is_digit.copy()
    is_first[1:] &= ~is_digit[:-1]
    is_first[bounds[:-1]] = is_digit[bounds[:-1]]  # no text here is empty
    masked = np.where(is_digit, np.where(is_first & (data == ord("0")), np.uint8(ord("0")), np.uint8(ord("9"))), data)
    return _from_bytes(masked, bounds)


def _digits(texts: Any) -> Any:
    """Only the digits of texts."""
    data, bounds = _bytes(_with_plain_digits(texts))
    is_digit = _is_digit(data)
    counts = np.concatenate([[0], np.cumsum(is_digit)])
    return _from_bytes(data[is_digit], counts[bounds])


def _hints_of_part(part: _Part) -> NumberHints:
    counts, currencies = Counter[str](), Counter[str]()
    kinds: dict[str, list[int]] = {}
    for code, (shape, cells) in enumerate(zip(part.shapes, np.bincount(part.codes).tolist(), strict=False)):
        if not cells or not shape.is_filled:
            continue
        counts["filled"] += cells
        counts["unread"] += cells * (shape.dot is None and shape.comma is None)
        counts["with_currency"] += cells * shape.names_currency
        counts["with_multiplier"] += cells * shape.has_multiplier
        counts["long_integers"] += cells * shape.is_long_integer
        if shape.precise:
            counts[shape.precise] += cells
        if shape.kind:
            counts[shape.kind] += cells
            kinds.setdefault(shape.kind, []).append(code)
        if shape.currency:
            currencies[shape.currency] += cells
    examples = {kind: _first(part, codes) for kind, codes in kinds.items()}
    return NumberHints(**counts, currencies=dict(currencies), examples=examples)


def _first(part: _Part, codes: list[int]) -> str:
    is_one = np.zeros(len(part.shapes), dtype=bool)
    is_one[codes] = True
    return str(pc.min(part.texts.filter(pa.array(is_one[part.codes]))).as_py())


def _values(part: _Part, form: NumberFormat) -> npt.NDArray[np.float64]:
    exponents = part.of_cells([shape.exponent(form) for shape in part.shapes], np.int64)
    is_scientific = part.of_cells([shape.is_scientific for shape in part.shapes], np.bool_)
    is_read = exponents != NOT_READ
    out = np.full(len(exponents), np.nan)
    for pick, read in ((is_read & ~is_scientific, _scaled), (is_read & is_scientific, _scientific)):
        if pick.any():
            everything = bool(pick.all())
            texts = part.texts if everything else part.texts.filter(pa.array(pick))
            out[pick] = read(texts, exponents if everything else exponents[pick])
    signs = part.of_cells([shape.sign for shape in part.shapes], np.float64)
    return np.where(np.isfinite(out), out * signs + 0.0, np.nan)  # no -0.0


def _scaled(texts: Any, exponents: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Digits as one whole number each, times a power of ten, as precise as if they had been read with a dot."""
    digits = _digits(texts)
    whole = digits.cast(pa.float64()).to_numpy(zero_copy_only=False)
    power = _POWERS[np.minimum(np.abs(exponents), _EXACT_POWER)]
    out = np.where(exponents < 0, whole / power, whole * power)
    lengths = pc.binary_length(digits).to_numpy(zero_copy_only=False)
    long = (lengths > _EXACT_DIGITS) | (np.abs(exponents) > _EXACT_POWER)
    if long.any():
        power_texts = pa.array(exponents[long]).cast(pa.large_string())
        precise = pc.binary_join_element_wise(
            digits.filter(pa.array(long)), power_texts, pa.scalar("e", pa.large_string())
        )
        out[long] = precise.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(out, dtype=np.float64)


def _scientific(texts: Any, exponents: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    plain = pc.replace_substring(pc.replace_substring(_with_plain_digits(texts), ",", "."), "−", "-")
    return np.asarray(pd.to_numeric(plain.to_pandas(), errors="coerce"), dtype=np.float64)


def _currencies(part: _Part, is_read: npt.NDArray[np.bool_]) -> Any:
    codes = pa.array([shape.currency or None for shape in part.shapes], pa.string())
    if codes.null_count == len(codes):
        return pa.nulls(len(is_read), pa.string())
    return codes.take(pa.array(part.codes, mask=~is_read))
