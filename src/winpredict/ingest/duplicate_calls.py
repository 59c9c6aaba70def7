"""Calls that were recorded twice (as a task and as a call, by the CRM and by the telephony system) joined into one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = NDArray[np.intp]

#: Two records of one call start within so much of each other: one tells when it rang, the other when it was taken.
SAME_START = pd.Timedelta("1min")
_PARTIES = ["deal_id", "user_id", "contact_id"]
#: What a record with a call id is taken for where its type says less.
_VAGUE = ("task", "other")


def joined_calls(activities: pd.DataFrame, origin: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a call.

    Two rows of one deal are the same call when they carry the same `call_id`, when one names the other in `same_as`,
    or when they come from two origins, are of the same user with the same contact, and start within a minute. Of these
    the row with the most values stays, and takes from the others what it lacks. Two call ids are two calls, and so are
    two rows of one origin without any: people dial again.

    Parameters
    ----------
    activities : DataFrame
        Canonical rows with their ids; their order does not matter.
    origin : Series
        What each row comes from: its file, or its import.

    Returns
    -------
    kept, repeats : DataFrame
        The rows that stay, and those that went into others; both without `same_as`.
    """
    calls = _are_calls(activities)
    plain = activities.drop(columns="same_as", errors="ignore")
    vague = calls & plain["activity_type"].isin(_VAGUE)
    plain = plain.assign(activity_type=plain["activity_type"].mask(vague, "call"))
    group = _groups(activities[calls], origin[calls].astype(str).to_numpy(dtype=object))
    several = np.bincount(group, minlength=1)[group] > 1
    if not several.any():
        return plain, plain.iloc[:0]
    again, group = _fullest_first(plain[calls][several], group[several])
    first = ~pd.Series(group).duplicated().to_numpy()
    filled = again.groupby(group, sort=False).first().set_axis(again.index[first])
    kept = pd.concat([plain.drop(index=again.index), filled]).sort_index()
    return kept.astype(plain.dtypes.to_dict()), again[~first]


def _are_calls(activities: pd.DataFrame) -> pd.Series:
    calls = activities["activity_type"] == "call"
    if "call_id" in activities:
        calls |= activities["call_id"].notna()
    if "same_as" in activities:
        calls |= activities["same_as"].notna() | activities["activity_id"].isin(activities["same_as"].dropna())
    return calls.fillna(False).astype(bool)


def _fullest_first(rows: pd.DataFrame, group: Ints) -> tuple[pd.DataFrame, Ints]:
    values = rows.loc[:, [not str(name).startswith("_") for name in rows]]
    order = np.lexsort((rows["activity_id"].to_numpy(dtype=str), -values.notna().sum(axis=1).to_numpy(), group))
    return rows.iloc[order], group[order]


def _groups(calls: pd.DataFrame, origin: NDArray[np.object_]) -> Ints:
    """Number the calls that the rows are records of."""
    by_id = _by_ids(calls)
    if len({*origin}) < 2 or not {*_PARTIES} <= {*calls.columns}:
        return by_id
    pairs = list(_by_parties(calls, origin, by_id))
    left, right = (np.array([pair[side] for pair in pairs], dtype=np.intp) for side in (0, 1))
    return _components(int(by_id.max(initial=-1)) + 1, left, right)[by_id]


def _by_ids(calls: pd.DataFrame) -> Ints:
    keys = []
    if "call_id" in calls:
        keys.append(_key("call", calls, "call_id"))
    if "same_as" in calls:
        keys += [_key("record", calls, "same_as"), _key("record", calls, "activity_id")]
    size = len(calls)
    if not keys:
        return np.arange(size)
    codes, names = pd.factorize(pd.concat(keys))
    rows = np.tile(np.arange(size), len(keys))
    return _components(size + len(names), rows[codes >= 0], size + codes[codes >= 0])[:size]


def _key(kind: str, calls: pd.DataFrame, column: str) -> pd.Series:
    return calls["deal_id"].astype(object) + f"\n{kind}\n" + calls[column].astype(object)


def _components(size: int, left: Ints, right: Ints) -> Ints:
    """Label so many nodes by what they are connected with."""
    edges = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    labels: Ints = connected_components(edges, directed=False)[1].astype(np.intp)
    return labels


class _Record(NamedTuple):
    group: int
    starts: pd.Timestamp
    origin: str
    call_id: str


def _by_parties(calls: pd.DataFrame, origin: NDArray[np.object_], group: Ints) -> Iterator[tuple[int, int]]:
    """Pairs of groups that are one call by user, contact and start."""
    ids = calls["call_id"].astype(object) if "call_id" in calls else pd.Series(None, index=calls.index, dtype=object)
    table = calls[[*_PARTIES, "occurred_at", "activity_id"]].assign(
        group=group, origin=origin, call_id=ids.groupby(group).transform("first").fillna("")
    )
    table = table.dropna(subset=_PARTIES).sort_values([*_PARTIES, "occurred_at", "origin", "activity_id"])
    parties = table.groupby(_PARTIES, sort=False).ngroup()
    near = (parties == parties.shift()) & (table["occurred_at"].diff() <= SAME_START)
    run = (~near).cumsum()
    mixed = (table["origin"].groupby(run).transform("nunique") > 1) & (
        table["group"].groupby(run).transform("nunique") > 1
    )
    for _, rows in table[mixed].groupby(run[mixed], sort=False):
        columns = (rows["group"], rows["occurred_at"], rows["origin"], rows["call_id"])
        yield from _matched([_Record(*values) for values in zip(*columns, strict=True)])


def _matched(records: list[_Record]) -> Iterator[tuple[int, int]]:
    """Give each record, in the order of their starts, to the earliest call that it can be of."""
    calls: list[list[_Record]] = []
    for record in records:
        known = next((call for call in calls if any(each.group == record.group for each in call)), None)
        call = known or next((call for call in calls if _can_be_of(record, call)), None)
        if call is None:
            calls.append([record])
            continue
        call.append(record)
        yield call[0].group, record.group


def _can_be_of(record: _Record, call: list[_Record]) -> bool:
    ids = {each.call_id for each in (*call, record)} - {""}
    elsewhere = record.origin not in {each.origin for each in call}
    return elsewhere and len(ids) <= 1 and record.starts - call[0].starts <= SAME_START
