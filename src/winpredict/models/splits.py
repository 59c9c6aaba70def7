"""Where the past is cut into what a model learns from and what it is chosen, calibrated or judged by."""

from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.config import Config
from winpredict.models.minimums import MIN_EACH
from winpredict.tables.crm import CRMData, utc

#: Undated deals held out are no more than this many, and no fewer where there are as many.
_ENOUGH_TO_CHOOSE = 5000


def known_before(crm: CRMData, as_of: pd.Timestamp | str | None = None) -> CRMData:
    """The data without anything dated at or after a moment, by default the end of knowledge."""
    moment = crm.known_until if as_of is None else utc(as_of)
    last = crm.last_recorded()
    if moment is None or (as_of is None and (last is None or last <= moment)):
        return crm
    return crm.as_known_at(moment)


def cutoffs(crm: CRMData, folds: int, config: Config) -> list[pd.Timestamp]:
    """Evenly spaced calendar days in the later half of the history, each with enough before and a horizon after it.

    A history too short for the config's days before the first and after the last cut-off gives a third and a sixth of
    itself instead.
    """
    assert crm.known_until is not None
    closed = crm.deals[crm.deals["closed_at"].notna()]
    if min((closed["outcome"] == outcome).sum() for outcome in ("won", "lost")) < MIN_EACH:
        return []
    enough = max(_nth_close(closed, "won", MIN_EACH), _nth_close(closed, "lost", MIN_EACH))
    start = crm.deals["created_at"].min()
    span = crm.known_until - start
    history = min(pd.Timedelta(days=config.backtest.min_history_days), span / 3)
    last = crm.known_until - min(pd.Timedelta(days=config.backtest.horizon_days), span / 6)
    # a close at the very moment of a cut-off is not yet known then
    first = (max(enough, start + history, start + (last - start) / 2) + pd.Timedelta("1us")).ceil("D")
    if last < first:
        return []
    return list(pd.date_range(first, last, periods=folds).normalize().unique())


def _nth_close(closed: pd.DataFrame, outcome: str, n: int) -> pd.Timestamp:
    return cast("pd.Timestamp", closed.loc[closed["outcome"] == outcome, "closed_at"].nsmallest(n).iloc[-1])


def held_out(rows: pd.DataFrame, share: float) -> NDArray[np.int64] | None:
    """Which snapshots are held out to choose by, in which fold; see `winpredict.models.estimator.WinClassifier.fit`.

    Of dated deals it is the share that closed last, in one fold. Undated deals have no order that a choice could be
    misled by, so they are parted by their ids into folds of that share, and as many folds are used as give 5,000 deals:
    a few hundred deals could hardly tell one candidate from another.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, ...)
        deal_id, as_of, days_to_close (NaN for undated deals) of snapshots of closed deals.
    share : float
        Of the deals; none are held out at 0.

    Returns
    -------
    ndarray of int64, shape (n_rows,), or None
        The fold, from 1; 0 for rows that are only learned from.

    Examples
    --------
    >>> rows = pd.DataFrame({"deal_id": ["a", "b"], "as_of": pd.Timestamp("2026-03-02"), "days_to_close": [2.0, 9.0]})
    >>> held_out(rows, 0.5).tolist()
    [0, 1]
    """
    if share <= 0:
        return None
    if rows["days_to_close"].isna().any():
        place = pd.util.hash_pandas_object(rows["deal_id"], index=False).to_numpy() / 2.0**64
        folds = max(2, round(1 / share))
        used = int(np.ceil(_ENOUGH_TO_CHOOSE * folds / rows["deal_id"].nunique()))
        fold = 1 + np.floor(place * folds).astype(np.int64)
        return np.where(fold <= used, fold, 0)
    closed_at = rows["as_of"] + pd.to_timedelta(rows["days_to_close"], unit="D")
    by_deal = closed_at.groupby(rows["deal_id"]).max().dt.round("s")  # the sum above is not exact, ties must stay ties
    return rows["deal_id"].map(by_deal >= by_deal.quantile(1 - share)).to_numpy(dtype=np.int64)


def duplicate_groups(frame: pd.DataFrame) -> NDArray[np.int64]:
    """One number for all rows that are alike in every column, to be kept in one fold.

    Where few attributes make most rows alike by chance, likeness is no sign of a duplicate: each row stands alone.
    """
    groups = pd.util.hash_pandas_object(frame, index=False).factorize()[0]
    return groups if 2 * (groups.max(initial=-1) + 1) >= len(frame) else np.arange(len(frame))
