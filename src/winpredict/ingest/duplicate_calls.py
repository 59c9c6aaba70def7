"""Calls that were recorded twice (as a task and as a call, by the CRM and by the telephony system) joined into one."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.tables.rows import is_in, sort_order

Ints = NDArray[np.intp]

#: Two records of one call start within so much of each other: one tells when it rang, the other when it was taken.
SAME_START = pd.Timedelta("1min")
_SAME_START = SAME_START // pd.Timedelta("1us")
_PARTIES = ["deal_id", "user_id", "contact_id"]
#: Names that rows go by, in namespaces of a deal: the call, and the record of it.
_NAMES = (("call_id",), ("same_as", "activity_id"))
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
    calls = np.flatnonzero(_are_calls(activities))
    plain = activities.drop(columns="same_as", errors="ignore")
    vague = plain["activity_type"].iloc[calls].isin(_VAGUE).to_numpy()
    if vague.any():
        named = plain["activity_type"].array.copy()
        named[calls[vague]] = "call"
        plain = plain.assign(activity_type=named)
    group = _groups(activities, calls, origin)
    several = np.bincount(group, minlength=1)[group] > 1
    if not several.any():
        return plain, plain.iloc[:0]
    again, group = _fullest_first(plain.iloc[calls[several]], group[several])
    first = ~pd.Series(group).duplicated().to_numpy()
    filled = again.groupby(group, sort=False).first().set_axis(again.index[first])
    single = np.ones(len(plain), dtype=bool)
    single[calls[several]] = False
    kept = pd.concat([plain[single], filled]).sort_index()
    return kept.astype(plain.dtypes.to_dict()), again[~first]


def _are_calls(activities: pd.DataFrame) -> NDArray[np.bool_]:
    calls = activities["activity_type"].eq("call").fillna(False).to_numpy(dtype=bool)
    if "call_id" in activities:
        calls = calls | activities["call_id"].notna().to_numpy()
    if "same_as" in activities:
        named = activities["same_as"]
        calls = calls | named.notna().to_numpy() | is_in(activities["activity_id"], named.dropna())
    return calls


def _fullest_first(rows: pd.DataFrame, group: Ints) -> tuple[pd.DataFrame, Ints]:
    # a subject says nothing of when it was and with whom, and the record of the call has none
    values = rows.loc[:, [not str(name).startswith("_") and name != "subject" for name in rows]]
    order = np.lexsort((_ranks(rows["activity_id"]), -values.notna().sum(axis=1).to_numpy(), group))
    return rows.iloc[order], group[order]


def _ranks(texts: pd.Series) -> Ints:
    """The places of texts among them when they are sorted."""
    out = np.empty(len(texts), dtype=np.intp)
    out[sort_order(texts.to_frame("text"), ["text"])[0]] = np.arange(len(texts))
    return out


def _groups(activities: pd.DataFrame, calls: Ints, origin: pd.Series) -> Ints:
    """Number the calls that some of the rows are records of."""
    group = _by_ids(activities, calls)
    if not {*_PARTIES} <= {*activities.columns}:
        return group
    origins, names = pd.factorize(origin.iloc[calls].astype(str), sort=True)
    if len(names) <= 1:
        return group
    pairs = _by_parties(activities.iloc[calls], origins, group)
    return _components(int(group.max(initial=-1)) + 1, pairs[:, 0], pairs[:, 1])[group]


def _by_ids(activities: pd.DataFrame, calls: Ints) -> Ints:
    rows, nodes = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    known = 0
    for columns in _NAMES:
        if columns[0] not in activities:
            continue
        named, names = pd.factorize(pd.concat([activities[column].iloc[calls] for column in columns]))
        deals = np.tile(pd.factorize(activities["deal_id"].iloc[calls])[0], len(columns))
        there = np.flatnonzero(named >= 0)
        codes = pd.factorize(deals[there] * len(names) + named[there])[0]
        rows.append(there % len(calls))
        nodes.append(codes + known)
        known += int(codes.max(initial=-1)) + 1
    row, node = np.concatenate(rows), np.concatenate(nodes)
    shared = np.bincount(node, minlength=1)[node] > 1
    if not shared.any():
        return np.arange(len(calls))
    return _components(len(calls) + known, row[shared], len(calls) + node[shared])[: len(calls)]


def _components(size: int, left: Ints, right: Ints) -> Ints:
    """Label so many nodes by what they are connected with."""
    # SciPy takes a while to load, and most imports have no call twice
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    labels: Ints = connected_components(edges, directed=False)[1].astype(np.intp)
    return labels


class _Record(NamedTuple):
    """A record of a call: its start in microseconds, its origin and its call id as numbers, -1 for no call id."""

    group: int
    starts: int
    origin: int
    call_id: int


def _by_parties(rows: pd.DataFrame, origin: Ints, group: Ints) -> Ints:
    """Pairs of groups that are one call by user, contact and start."""
    starts = rows["occurred_at"].to_numpy(dtype="datetime64[us]").view(np.int64)
    whole = np.flatnonzero(rows[_PARTIES].notna().all(axis=1))
    records = np.column_stack([group, starts, origin, _call_ids(rows, group)])[whole]
    rows = rows.iloc[whole]
    parties = rows.groupby(_PARTIES, sort=False).ngroup().to_numpy()
    order = np.lexsort((_ranks(rows["activity_id"]), records[:, 2], starts[whole], parties))
    records, parties = records[order], parties[order]
    apart = (parties[1:] != parties[:-1]) | (np.diff(records[:, 1]) > _SAME_START)
    run = np.append(0, np.cumsum(apart))[: len(records)]
    mixed = np.flatnonzero(_differ(records[:, 0], run) & _differ(records[:, 2], run))
    pairs = [
        pair
        for of_run in np.split(mixed, np.flatnonzero(np.diff(run[mixed])) + 1)
        for pair in _matched([_Record(*values) for values in records[of_run].tolist()])
    ]
    return np.array(pairs, dtype=np.intp).reshape(-1, 2)


def _call_ids(rows: pd.DataFrame, group: Ints) -> Ints:
    """A number for the call id of each row's group, or -1."""
    if "call_id" not in rows:
        return np.full(len(rows), -1)
    codes = pd.factorize(rows["call_id"])[0]
    of_group = np.full(int(group.max(initial=-1)) + 1, -1)
    there = np.flatnonzero(codes >= 0)[::-1]  # the first one stays
    of_group[group[there]] = codes[there]
    return of_group[group]


def _differ(values: Ints, run: Ints) -> NDArray[np.bool_]:
    """Whether there are several values in the run of each row."""
    grouped = pd.Series(values).groupby(run)
    return (grouped.transform("min") != grouped.transform("max")).to_numpy()


def _matched(records: Sequence[_Record]) -> Iterator[tuple[int, int]]:
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


def _can_be_of(record: _Record, call: Sequence[_Record]) -> bool:
    ids = {each.call_id for each in (*call, record)} - {-1}
    elsewhere = record.origin not in {each.origin for each in call}
    return elsewhere and len(ids) <= 1 and record.starts - call[0].starts <= _SAME_START
