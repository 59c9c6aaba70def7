"""Rows of one table in an order of their own, and one row of each thing."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.locale.text import text
from winpredict.tables.rows import is_ascending, row_digests, sort_order, taken
from winpredict.tables.schema import TABLES, text_dtype

_ORIGIN = [FILE, ROW]
#: Ids made up where a file has none; a deal without its id in a file that has ids is rejected instead.
_MADE_UP_IDS = {"deals": "deal_id", "activities": "activity_id"}
_HEX = np.array([f"{byte:02x}" for byte in range(256)], dtype="S2")


def in_order(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows sorted by what they say, so that their order in the file never matters; ids where there are none.

    Parameters
    ----------
    name : str
        A key of `TABLES`.
    frame : DataFrame
        Rows with their origin, in columns of their kinds.

    Returns
    -------
    DataFrame
        Sorted by the table's key, and where that says nothing by a hash of all values, with a new index. Rows that
        are alike in everything but their origin keep their order.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": ["b", "a"], FILE: "users.csv", ROW: [2, 3]})
    >>> in_order("users", rows)[ROW].tolist()
    [3, 2]
    """
    identifier = _MADE_UP_IDS.get(name)
    if identifier is not None and (name != "deals" or identifier not in frame):
        frame = _with_ids(frame, identifier)
    key = _key(name, frame)
    if not key:
        return taken(frame, np.argsort(row_digests(_values(frame)), kind="stable"))
    order, alike = sort_order(frame, key)
    several = np.flatnonzero(alike | np.append(alike[1:], False))
    if len(several):
        group, rows = np.cumsum(~alike)[several], order[several]
        order[several] = rows[np.lexsort((row_digests(_values(frame.iloc[rows])), group))]
    return taken(frame, order)


def without_repeats(name: str, frame: pd.DataFrame, quarantine: Quarantine) -> pd.DataFrame:
    """One row of each thing.

    Of rows that are alike in everything but their origin the first counts; of other rows with one id the last modified
    one, or else the one furthest down in its file. Deals without an id are rejected.

    Parameters
    ----------
    name : str
        A key of `TABLES`.
    frame : DataFrame
        Rows as `in_order` returns them, or some of them; each with an index of its own.
    quarantine : Quarantine
        Is given the others.

    Returns
    -------
    DataFrame
        The rows that count, in the same order.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": ["a", "a", "b"], "name": ["A", "Ann", "Bob"], FILE: "u.csv", ROW: [2, 4, 3]})
    >>> quarantine = Quarantine()
    >>> without_repeats("users", rows, quarantine)["name"].tolist()
    ['Ann', 'Bob']
    >>> quarantine.counts
    {'users: the same id with other values, the later row counts (merged)': 1}
    """
    key = _key(name, frame)
    rows = frame[_may_repeat(frame, key)]
    exact = rows.duplicated(list(_values(rows)), keep="first")
    quarantine.add(name, rows[exact], text("the same row again"), "merged")
    gone, rows = rows.index[exact], rows[~exact]
    if name == "deals":
        no_id = frame[frame["deal_id"].isna() & ~frame.index.isin(gone)]
        quarantine.add(name, no_id, text("deal_id is missing"), "rejected")
        gone, rows = gone.append(no_id.index), rows[rows["deal_id"].notna()]
    if key:
        rows = _latest_last(rows)
        rows = rows[rows.duplicated(key, keep="last")]
        quarantine.add(name, rows, text("the same id with other values, the later row counts"), "merged")
        gone = gone.append(rows.index)
    return frame[~frame.index.isin(gone)] if len(gone) else frame


def _key(name: str, frame: pd.DataFrame) -> list[str]:
    return [column for column in TABLES[name].key if column in frame]


def _values(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=_ORIGIN)


def _with_ids(frame: pd.DataFrame, identifier: str) -> pd.DataFrame:
    """Ids that only the values of a row decide, where it has none; the same row again gets one of its own."""
    given = frame[identifier] if identifier in frame else pd.Series(np.nan, index=frame.index, dtype=text_dtype())
    without = given.isna().to_numpy()
    if identifier in frame and not without.any():
        return frame
    digests = row_digests(_values(frame[without]))
    time = pd.Series(digests).groupby(digests).cumcount()
    ids = pc.binary_join_element_wise(_hexadecimal(digests), pa.array(time).cast(pa.string()), "-")
    made_up = pd.Series(pd.array(ids, dtype=text_dtype()), index=frame.index[without])
    return frame.assign(**{identifier: given.fillna(made_up)})


def _hexadecimal(numbers: "np.typing.NDArray[np.uint64]") -> pa.Array:
    """Numbers as 16 digits each."""
    digits = _HEX[numbers.astype(">u8").view(np.uint8)]
    return pa.array(digits.view("S16")).cast(pa.string())


def _may_repeat(frame: pd.DataFrame, key: list[str]) -> "np.typing.NDArray[np.bool_]":
    """Rows that may say the same as another one."""
    if not key:
        return pd.Series(row_digests(_values(frame))).duplicated(keep=False).to_numpy()
    if is_ascending(frame, key):
        return np.zeros(len(frame), dtype=bool)
    return frame.duplicated(key, keep=False).to_numpy()


def _latest_last(rows: pd.DataFrame) -> pd.DataFrame:
    """Of rows with one id the last modified counts, else the one furthest down in its file."""
    by = [column for column in ("modified_at", "added_at", FILE, ROW) if column in rows]
    # files sort by their names, not as categories
    order = rows[by].assign(**{FILE: rows[FILE].astype(str)}).sort_values(by, kind="stable", na_position="first").index
    return rows.loc[order]
