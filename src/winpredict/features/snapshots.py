"""Snapshots: which deals to look at, and on which days."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from winpredict._internal.times import days as days_of
from winpredict.errors import TableError
from winpredict.locale.text import text
from winpredict.tables.crm import CRMData, utc
from winpredict.tables.schema import TIME_DTYPE


def open_at(crm: CRMData, moment: pd.Timestamp | str) -> pd.DataFrame:
    """Every deal that was open at one moment.

    Parameters
    ----------
    crm : CRMData
    moment : Timestamp or str
        as_of of all the snapshots.

    Returns
    -------
    DataFrame
        Columns deal_id and as_of, in the order of the deals table. A deal created at the very moment is not yet known;
        one closed at the very moment was still open as far as was known.

    Examples
    --------
    >>> from winpredict.tables.crm import CRMData
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
    ...     "created_at": ["2025-01-01", "2025-02-01"], "closed_at": ["2025-03-01", None],
    ... })
    >>> open_at(CRMData.from_tables(deals), "2025-02-15")["deal_id"].tolist()
    ['a', 'b']
    """
    moment = utc(moment)
    deals = crm.deals
    is_open = (deals["created_at"] < moment) & ~(deals["closed_at"] < moment)
    is_open &= deals["closed_at"].notna() | (deals["outcome"] == "open")
    return _frame(deals.loc[is_open, "deal_id"], moment)


def on_dates(crm: CRMData, dates: Sequence[pd.Timestamp | str]) -> pd.DataFrame:
    """Every deal that was open at each of several calendar dates; see `open_at`."""
    return pd.concat([open_at(crm, date) for date in dates], ignore_index=True)


def every(crm: CRMData, days: float, *, longest_days: float = 730.0) -> pd.DataFrame:
    """Every deal each `days` days of its life, while it was open.

    The first look at a deal falls within its first `days` days, at an offset that depends on the deal's id alone, so
    that all ages occur and no day of the week is favoured.

    Parameters
    ----------
    crm : CRMData
    days : float
        Days between two looks at the same deal.
    longest_days : float
        Deals are not looked at beyond this age in days.

    Returns
    -------
    DataFrame
        Columns deal_id and as_of.

    Raises
    ------
    TableError
        When the deals carry no creation times.
    """
    deals = _dated_deals(crm)
    offset = pd.util.hash_pandas_object(deals["deal_id"], index=False).to_numpy() / 2.0**64
    life = np.minimum(days_of(_end(crm, deals) - deals["created_at"]), longest_days)
    counts = np.maximum(np.ceil(life / days - offset), 0).astype(np.int64)
    row = np.repeat(np.arange(len(deals)), counts)
    number = np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)
    age = pd.to_timedelta((number + offset[row]) * days * 86_400e6, unit="us").round("1us")
    created = deals["created_at"].take(row).reset_index(drop=True)
    as_of = created + age
    kept = (as_of > created).to_numpy()
    return _frame(deals["deal_id"].take(row)[kept], as_of[kept])


def on_stage_entry(crm: CRMData) -> pd.DataFrame:
    """Every deal just after each recorded change of its stage (a microsecond later, so that the change is known).

    Raises
    ------
    TableError
        When there is no stage history.
    """
    history = crm.deal_history
    if history is None or "stage" not in history:
        raise TableError(text("snapshots on stage entry need deal_history with stages, which these data lack"))
    deals = _dated_deals(crm)
    changes = history.loc[history["stage"].notna(), ["deal_id", "changed_at"]].drop_duplicates()
    bounds = deals[["deal_id", "created_at"]].assign(end=_end(crm, deals))
    changes = changes.merge(bounds, on="deal_id").sort_values(["deal_id", "changed_at"])
    as_of = changes["changed_at"] + pd.Timedelta("1us")
    kept = (as_of <= changes["end"]) & (as_of > changes["created_at"])
    return _frame(changes.loc[kept, "deal_id"], as_of[kept])


def labelled(crm: CRMData, snapshots: pd.DataFrame) -> pd.DataFrame:
    """Add what became of each snapshot's deal, for training and judging only.

    Returns
    -------
    DataFrame
        The snapshots with ``outcome`` (won, lost, open), ``days_to_close`` (float days from as_of to the close; for an
        open deal to the end of knowledge) and ``look`` (which of the deal's snapshots it is, counted from 1).
    """
    deals = crm.deals.set_index("deal_id")
    end = deals["closed_at"].fillna(crm.known_until)
    outcome, closed = (each.reindex(snapshots["deal_id"]).set_axis(snapshots.index) for each in (deals["outcome"], end))
    return snapshots.assign(
        outcome=outcome,
        days_to_close=days_of(closed - snapshots["as_of"]),
        look=snapshots.groupby("deal_id")["as_of"].rank(method="first").fillna(1.0),
    )


def _dated_deals(crm: CRMData) -> pd.DataFrame:
    if len(crm.deals) and not crm.dated:
        raise TableError(
            text("these deals carry no dates (deals.created_at is empty), so no snapshots of them can be taken")
        )
    deals = crm.deals
    return deals[deals["created_at"].notna() & (deals["closed_at"].notna() | (deals["outcome"] == "open"))]


def _end(crm: CRMData, deals: pd.DataFrame) -> pd.Series:
    return deals["closed_at"].fillna(crm.known_until)


def _frame(deal_ids: pd.Series, as_of: pd.Series | pd.Timestamp) -> pd.DataFrame:
    moments = as_of.astype(TIME_DTYPE).array if isinstance(as_of, pd.Series) else _repeated(as_of, len(deal_ids))
    return pd.DataFrame({"deal_id": deal_ids.array, "as_of": moments})


def _repeated(moment: pd.Timestamp, times: int) -> Any:
    return pd.array([moment], dtype=TIME_DTYPE).repeat(times)
