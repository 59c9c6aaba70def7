"""Tables with several rows a deal: its states on several days, or a row for each of its companies or products."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from winpredict.ingest.guess.candidates import score
from winpredict.ingest.guess.columns import ColumnFacts, RawTable
from winpredict.ingest.guess.outcomes import Point
from winpredict.locale.text import said, text

#: So few repeated rows are rows that were exported twice.
_MAX_STRAY = 0.02
#: Rows of one deal agree on when it was created; from this share of the deals on, a column is their id.
_MIN_AGREEING = 0.9
_MIN_DIFFERENT = 0.95
_MIN_NAME = 0.6
_CERTAIN_NAME = 0.8
_MAX_NAMED = 4


@dataclass(frozen=True)
class RowsPerDeal:
    """How the rows of a table belong to deals.

    Parameters
    ----------
    deal_id : str or None
        The column of the id.
    dated_by : str or None
        The column that dates the states of a deal, where there are several.
    latest : ndarray of int
        Positions of the rows that count, one a deal.
    are_snapshots : bool
        Whether the rows are states of deals on several days.
    points : list of Point
    """

    deal_id: str | None
    dated_by: str | None
    latest: Any
    are_snapshots: bool = False
    points: list[Point] = field(default_factory=list)


def rows_per_deal(table: RawTable) -> RowsPerDeal:
    """Find the id of the deals, and the row of each that counts.

    Parameters
    ----------
    table : RawTable

    Returns
    -------
    RowsPerDeal

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame(
    ...     {"Deal ID": ["1", "1", "2"], "Week": ["2025-01-06", "2025-01-13", "2025-01-13"]},
    ...     dtype="str",
    ... )
    >>> rows = rows_per_deal(RawTable("weeks", "weeks.csv", frame))
    >>> rows.deal_id, rows.dated_by, rows.latest.tolist()
    ('Deal ID', 'Week', [1, 2])
    """
    everything = np.arange(len(table))
    scored = sorted(((score(table, name, "deal_id", None), name) for name in table.columns), key=lambda each: -each[0])
    for by_name, name in scored:
        if not by_name:
            break
        ids = table.columns[name]
        repeated = ids.texts.notna() & ids.texts.duplicated(keep=False)
        if repeated.mean() <= _MAX_STRAY:
            return RowsPerDeal(name, None, everything)
        if not _agree(table, ids, table.scores(name).get("deal_id", 0.0)):
            continue
        dated_by = _date_of_states(table, ids)
        latest = _latest(ids, None if dated_by is None else table.columns[dated_by])
        if dated_by is not None:
            return RowsPerDeal(name, dated_by, latest, True, [_snapshots_point(table, name, dated_by, len(latest))])
        return RowsPerDeal(name, None, latest, points=_several_rows_points(table, ids, len(latest)))
    return RowsPerDeal(None, None, everything)


def _agree(table: RawTable, ids: ColumnFacts, by_name: float) -> bool:
    """Whether rows of one id agree on what never changes: when the deal was created, or what it is called."""
    for wanted in ("created_at", "name"):
        best = max(
            ((score(table, each, wanted, None), each) for each in table.columns if each != ids.name), default=None
        )
        if best is None or best[0] < _MIN_NAME:
            continue
        texts = table.columns[best[1]].texts
        per_deal = texts.groupby(ids.texts.to_numpy()).nunique()
        repeated = ids.texts.value_counts()
        several = per_deal.reindex(repeated.index[repeated > 1])
        return bool((several <= 1).mean() >= _MIN_AGREEING)
    return by_name >= _CERTAIN_NAME and ids.distinct > 1


def _date_of_states(table: RawTable, ids: ColumnFacts) -> str | None:
    dates = []
    for name, column in table.columns.items():
        if column is ids or column.share_filled < _MIN_DIFFERENT:
            continue
        scores = table.scores(name)
        rank = max(scores.get("snapshot_at", 0.0) + 1, scores.get("modified_at", 0.0))
        of_the_deal = max(
            scores.get(each, 0.0) for each in ("created_at", "closed_at", "expected_close_date", "won_at", "lost_at")
        )
        if of_the_deal >= _MIN_NAME and scores.get("snapshot_at", 0.0) < of_the_deal:
            continue
        if (column.are_serials and rank < 1 + _MIN_NAME) or column.share_times < _MIN_DIFFERENT:
            continue
        repeated = ids.texts.duplicated(keep=False)
        pairs = table.frame.assign(_id=ids.texts, _time=column.times)[["_id", "_time"]][repeated]
        if len(pairs) and (~pairs.duplicated()).mean() >= _MIN_DIFFERENT:
            dates.append((rank, name))
    return max(dates, key=lambda each: each[0])[1] if dates else None


def _latest(ids: ColumnFacts, dated_by: ColumnFacts | None) -> Any:
    positions = np.arange(len(ids.texts))
    if dated_by is not None:
        positions = np.lexsort((positions, dated_by.times.astype("int64").to_numpy()))
    codes = ids.texts.to_numpy()[positions]
    last = ~ids.texts.iloc[positions].duplicated(keep="last").to_numpy() | (codes != codes)
    return np.sort(positions[last])


def _snapshots_point(table: RawTable, name: str, dated_by: str, deals: int) -> Point:
    return Point(
        said(
            "{rows:count} rows tell of {deals:count} deals ({column}) on several days ({dates}): the last row of each "
            "is the deal as it is now, and the earlier ones are its history",
            rows=len(table),
            deals=deals,
            column=name,
            dates=dated_by,
        ),
        "tables.deal_history",
    )


def _several_rows_points(table: RawTable, ids: ColumnFacts, deals: int) -> list[Point]:
    repeated = ids.texts.value_counts()
    several = repeated.index[repeated > 1]
    keys = ids.texts.to_numpy()
    differing = []
    for name, column in table.columns.items():
        if column is ids:
            continue
        share = (column.texts.groupby(keys).nunique().reindex(several) > 1).mean()
        if share > 0:
            differing.append((share, name))
    names = ", ".join(name for _, name in sorted(differing, key=lambda each: -each[0])[:_MAX_NAMED])
    counts = {"n": len(several), "of": deals}
    told = (
        text(
            "{n:count} of {of:count} deals stand in several rows, which differ in {columns}: one row of each counts, "
            "the one furthest down",
            columns=names,
            **counts,
        )
        if names
        else text(
            "{n:count} of {of:count} deals stand in several rows, which are the same: one row of each counts, the one "
            "furthest down",
            **counts,
        )
    )
    points = [Point(str(told), "tables.deals.columns.deal_id")]
    amounts = [name for share, name in differing if "amount" in table.scores(name) and share > _MAX_STRAY]
    if amounts:
        points.append(
            Point(
                said(
                    "{column} differs between rows of one deal, as amounts of single products do; it is not added up",
                    column=amounts[0],
                ),
                "tables.deals.columns.amount",
            )
        )
    return points
