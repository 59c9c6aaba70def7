"""Rows of tables: their order, which of them repeat the one before, and numbers that only their values decide."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

#: Texts of up to so many bytes are sorted as numbers, by so many numbers at most.
MAX_BYTES, MAX_KEYS = 64, 4
#: No text sorts behind it, since UTF-8 has no such byte.
_LAST = np.uint64(2**64 - 1)
#: An odd number whose bits look drawn by chance, that of SplitMix64.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
#: Rows hashed at a time; more would only take memory.
_SLICE = 2**18
#: Distinct values among so many rows from which on each value is hashed for itself.
_SAMPLE, _MANY = 4096, 2048


def sorted_by(frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Rows in the order of some columns, with a new index.

    Parameters
    ----------
    frame : DataFrame
    columns : iterable of str
        The most important one first. Missing values come last, and rows that are alike in all columns keep their order.

    Returns
    -------
    DataFrame
        What ``frame.sort_values(columns, kind="stable", ignore_index=True)`` gives, in less time: texts are compared
        eight bytes at once, and rows that are in order already are not moved.

    Examples
    --------
    >>> sorted_by(pd.DataFrame({"deal_id": ["b", "a"], "amount": [1, 2]}), ["deal_id"])["amount"].tolist()
    [2, 1]
    """
    return taken(frame, _ordered(frame, list(columns))[0])


def sort_order(frame: pd.DataFrame, columns: Iterable[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The positions of rows in the order of some columns, and which of them are like the one before in all columns.

    Examples
    --------
    >>> order, alike = sort_order(pd.DataFrame({"deal_id": ["b", "a", "b"]}), ["deal_id"])
    >>> order.tolist(), alike.tolist()
    ([1, 0, 2], [False, False, True])
    """
    columns = list(columns)
    order, alike = _ordered(frame, columns)
    return order, repeats_previous(frame[columns].take(order), columns) if alike is None else alike


def taken(frame: pd.DataFrame, order: NDArray[np.intp]) -> pd.DataFrame:
    """The rows at some positions, with a new index.

    Examples
    --------
    >>> taken(pd.DataFrame({"deal_id": ["b", "a"]}), np.array([1, 0]))["deal_id"].tolist()
    ['a', 'b']
    """
    if len(order) == len(frame) and (order[1:] > order[:-1]).all():
        return frame.reset_index(drop=True)
    if len(order) < _SAMPLE:
        return frame.take(order).reset_index(drop=True)
    columns = [frame.iloc[:, place] for place in range(frame.shape[1])]
    out = pd.DataFrame({place: _values_at(values, order) for place, values in enumerate(columns)}, copy=False)
    return out.set_axis(frame.columns, axis=1)


def _values_at(values: pd.Series, order: NDArray[np.intp]) -> Any:
    """Values at some positions. Texts that are few are looked up in a list of them, which fits into the cache."""
    if not isinstance(values.dtype, pd.StringDtype) or not _repeats_values(values):
        return values.array.take(order)
    encoded = _in_one_piece(pc.dictionary_encode(pa.array(values)))
    return pd.array(encoded.dictionary.take(encoded.indices.take(pa.array(order))), dtype=values.dtype)


def repeats_previous(frame: pd.DataFrame, columns: Iterable[str]) -> NDArray[np.bool_]:
    """Which rows have the same values as the row before; missing values are alike.

    Examples
    --------
    >>> repeats_previous(pd.DataFrame({"deal_id": ["a", "a", None, None, "b"]}), ["deal_id"]).tolist()
    [False, True, False, True, False]
    """
    out = np.arange(len(frame)) > 0
    for name in columns:
        if not out.any():
            break
        now, before = _with_previous(frame[name])
        same = (now == before).fillna(False).to_numpy(dtype=bool)
        out[1:] &= same | (now.isna() & before.isna()).to_numpy()
    return out


def is_ascending(frame: pd.DataFrame, columns: Iterable[str]) -> bool:
    """Whether each row is greater than the one before, by some columns without missing values; none repeats then.

    Examples
    --------
    >>> is_ascending(pd.DataFrame({"deal_id": ["a", "a"], "n": [1, 2]}), ["deal_id", "n"])
    True
    """
    greater, alike = np.zeros(max(len(frame) - 1, 0), dtype=bool), np.ones(max(len(frame) - 1, 0), dtype=bool)
    for name in columns:
        now, before = _with_previous(frame[name])
        greater |= alike & (now > before).fillna(False).to_numpy(dtype=bool)
        if greater.all():
            return True
        alike &= (now == before).fillna(False).to_numpy(dtype=bool)
    return bool(greater.all())


def is_in(texts: pd.Series, known: Iterable[str]) -> NDArray[np.bool_]:
    """Which texts are among others, as ``texts.isin(known)`` tells where these are few.

    Examples
    --------
    >>> is_in(pd.Series(["a", "b", None], dtype="str"), {"b"}).tolist()
    [False, True, False]
    """
    array = pa.array(texts, from_pandas=True)
    values = pa.array(known if isinstance(known, pd.Series | pd.Index) else list(known), from_pandas=True)
    result = pc.is_in(array, value_set=_in_one_piece(values.cast(array.type)), skip_nulls=True)
    return np.asarray(result, dtype=bool)


def row_digests(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """A number for each row that only its values and their columns' names decide, not the order of the columns.

    A missing value adds nothing, and neither does a column without values.

    Examples
    --------
    >>> one, other = pd.DataFrame({"a": ["x"], "b": [1.5]}), pd.DataFrame({"b": [1.5], "c": [None], "a": ["x"]})
    >>> row_digests(one) == row_digests(other)
    array([ True])
    """
    return _added_up(frame, _pandas_hashes)


def row_hashes(frame: pd.DataFrame) -> NDArray[np.uint64]:
    """Like `row_digests`, but other numbers, which take less time; they are kept nowhere but in sums over all rows."""
    return _added_up(frame, _hashes)


def _added_up(frame: pd.DataFrame, hashes: Callable[[pd.Series], NDArray[np.uint64]]) -> NDArray[np.uint64]:
    out = np.zeros(len(frame), np.uint64)
    for name in frame:
        salt = pd.util.hash_array(np.array([str(name)], dtype=object))[0] | np.uint64(1)
        for start in range(0, len(frame), _SLICE):
            part = frame[name].iloc[start : start + _SLICE]
            hashed = hashes(part) * salt
            hashed ^= hashed >> np.uint64(29)
            hashed[part.isna().to_numpy()] = 0
            out[start : start + _SLICE] += hashed
    return out


def _pandas_hashes(values: pd.Series) -> NDArray[np.uint64]:
    repeated = _repeats_values(values)
    return np.asarray(pd.util.hash_pandas_object(values, index=False, categorize=repeated), dtype=np.uint64)


def _hashes(values: pd.Series) -> NDArray[np.uint64]:
    """Hashes of texts by eight bytes at once; those of long texts and of other values by pandas."""
    if not isinstance(values.dtype, pd.StringDtype):
        return _pandas_hashes(values)
    array = _filled_texts(values)
    length = pc.binary_length(array).to_numpy()
    long = length > MAX_BYTES
    if long.all():
        return _pandas_hashes(values)
    out: NDArray[np.uint64] = np.empty(len(values), np.uint64)
    if long.any():
        out[long], out[~long] = _pandas_hashes(values[long]), _hashes(values[~long])
        return out
    out = (length + 1).astype(np.uint64) * _MULTIPLIER
    for place, word in enumerate(_words(array, int(length.max()))):
        word = word * (_MULTIPLIER ^ np.uint64(2 * place))
        word ^= word >> np.uint64(32)
        word *= _MULTIPLIER
        out += word ^ (word >> np.uint64(29))
    return out


def _repeats_values(values: pd.Series) -> bool:
    """Whether it pays to look for the distinct values before they are hashed."""
    first = values.iloc[:_SAMPLE]
    return len(first) < _SAMPLE or len(first.drop_duplicates()) < _MANY


def _with_previous(values: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Each value but the first, and the one before it."""
    return values.iloc[1:].reset_index(drop=True), values.iloc[:-1].reset_index(drop=True)


def _ordered(frame: pd.DataFrame, columns: list[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_] | None]:
    """What `sort_order` returns, without what is yet to be compared."""
    keys, complete = _sort_keys(frame, columns) if len(frame) > 1 and columns else ([], False)
    if not keys:
        return _compared(frame, columns), None
    order = np.lexsort(keys[::-1])
    alike = _repeats(keys, order)
    if complete:
        return order, alike
    undecided = np.flatnonzero(alike | np.append(alike[1:], False))
    rows = np.sort(order[undecided])
    order[undecided] = rows[_compared(frame[columns].iloc[rows], columns)]
    return order, None


def _sort_keys(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[list[NDArray[Any]], bool]:
    """Arrays to sort by, the most important one first, and whether they decide all that the columns decide."""
    keys: list[NDArray[Any]] = []
    for name in columns:
        if len(keys) >= MAX_KEYS:
            return keys, False
        more, complete = _keys_of(frame[name])
        keys += more
        if not complete:
            return keys, False
    return keys, True


def _keys_of(values: pd.Series) -> tuple[list[NDArray[Any]], bool]:
    if isinstance(values.dtype, pd.StringDtype):
        return _text_keys(values)
    if values.dtype.kind not in "fM" or not isinstance(values.dtype, np.dtype | pd.DatetimeTZDtype):
        return [], False
    missing = values.isna().to_numpy()
    if values.dtype.kind == "M":
        plain = values.to_numpy(dtype=f"datetime64[{values.dt.unit}]").view(np.int64)
    else:
        plain = values.to_numpy()
    return ([missing, np.where(missing, 0, plain)] if missing.any() else [plain]), True


def _in_one_piece(array: "pa.Array | pa.ChunkedArray") -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _filled_texts(texts: pd.Series) -> pa.Array:
    """Texts for Arrow, empty where they are missing."""
    return _in_one_piece(pa.array(texts).cast(pa.large_string())).fill_null("")


def _text_keys(texts: pd.Series) -> tuple[list[NDArray[Any]], bool]:
    """Texts as numbers that sort as the texts do, without those that are the same for all."""
    array, missing = _filled_texts(texts), texts.isna().to_numpy()
    longest = pc.max(pc.binary_length(array)).as_py()
    # a zero byte could not be told from what is filled up with
    if longest > MAX_BYTES or pc.any(pc.match_substring(array, "\0")).as_py():
        return [], False
    keys: list[NDArray[Any]] = []
    for word in _words(array, longest):
        word[missing] = _LAST
        if word.min() != word.max():
            keys.append(word)
    return keys[:MAX_KEYS], len(keys) <= MAX_KEYS


def _words(texts: pa.Array, longest: int) -> Iterator[NDArray[np.uint64]]:
    """Texts of up to so many bytes as numbers of eight bytes each, filled up with zeros."""
    count = max(-(-longest // 8), 1)
    padded = pc.ascii_rpad(texts, 8 * count, padding="\0").buffers()[2]
    words = np.frombuffer(padded, ">u8", len(texts) * count).reshape(-1, count)
    return (words[:, place].astype(np.uint64) for place in range(count))


def _compared(frame: pd.DataFrame, columns: list[str]) -> NDArray[np.intp]:
    """The positions of rows in the order of some columns, compared value by value."""
    plain = frame.set_axis(pd.RangeIndex(len(frame)))
    return np.array(plain.sort_values(columns, kind="stable").index if columns else plain.index)


def _repeats(keys: Sequence[NDArray[Any]], order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which rows of a sorted table are like the one before in all keys."""
    out = np.arange(len(order)) > 0
    for key in keys:
        ordered = key[order]
        out[1:] &= ordered[1:] == ordered[:-1]
    return out
