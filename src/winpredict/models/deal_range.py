"""DealRange: how far one deal's odds may lie from those of deals like it.

Odds are a mean over deals that look alike. The odds of a single one differ from them by what nobody has recorded: how
keen the customer is, how good the rep. That spread is not in the outcomes (each deal ends only once), but looks at the
same deal again show how odds firm up as more becomes known. A share of the variance of the outcome, ``p * (1 - p)``, is
resolved while a part of the usual time to the close goes by; the range takes a spread as large, shaped like a beta
distribution around the odds. What few deals leave open comes on top: the odds of a fit are off by a share of about the
number of its parameters over the number of deals. On simulated companies, whose true odds are known, such ranges of 80%
hold the true odds of about 80% of the deals (docs/benchmarks.md).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betaincinv, expit

Floats = NDArray[np.float64]

#: Of the median time from a look to the close, the share whose news counts as what is already so but not recorded.
TIME_SHARE = 0.18
#: Effective parameters of a fit: a shrunken model spends about so many, however many features it has.
PARAMETERS = 50.0
#: The share of the variance to start from, and the number of deals that it is worth.
PRIOR_SHARE, PRIOR_DEALS = 0.12, 20.0
_PRIOR_VARIANCE = 0.2
_SMALLEST_SHARE, _LARGEST_SHARE = 0.01, 0.5


@dataclass(frozen=True)
class DealRange:
    """Range of one deal's odds around those of deals like it.

    Parameters
    ----------
    share : float
        Of the variance of an outcome, the share that lies between deals that look alike.
    deals : int, optional
        Closed deals that the odds were learned from; by default so many that they leave nothing open.

    Examples
    --------
    >>> DealRange(0.12).around(np.array([0.5]), np.array([0.0]), 0.8).round(2)
    array([[0.27, 0.73]])
    """

    share: float = PRIOR_SHARE
    deals: int | None = None

    @classmethod
    def learned(cls, snapshots: pd.DataFrame, log_odds: Floats, deals: int | None = None) -> "DealRange":
        """Learn from looks at closed deals that the odds were not fitted on.

        Parameters
        ----------
        snapshots : DataFrame of shape (n_looks, ...)
            deal_id, as_of, days_to_close and outcome.
        log_odds : ndarray of shape (n_looks,)
            Of winning, as of each look.
        deals : int, optional
            Closed deals that the final odds are learned from.
        """
        rows = snapshots.assign(odds=expit(log_odds), place=np.arange(len(snapshots)))
        rows = rows.sort_values(["deal_id", "as_of"], kind="stable")
        days = rows["days_to_close"].to_numpy(np.float64)
        horizon = TIME_SHARE * float(np.median(days))
        start = rows["odds"].to_numpy()
        won = (rows["outcome"] == "won").to_numpy(np.float64)
        later = np.where(days <= horizon, won, _odds_after(rows, horizon))
        # as in the pipeline of a day, a long deal counts more often; together the looks count as the deals
        weight = rows["deal_id"].nunique() / len(rows)
        resolved = weight * ((later - start) ** 2).sum() + PRIOR_DEALS * PRIOR_SHARE * _PRIOR_VARIANCE
        variance = weight * (start * (1 - start)).sum() + PRIOR_DEALS * _PRIOR_VARIANCE
        return cls(float(np.clip(resolved / variance, _SMALLEST_SHARE, _LARGEST_SHARE)), deals)

    def around(self, odds: Floats, doubt: Floats, mass: float) -> Floats:
        """Low and high end of each deal's range.

        Parameters
        ----------
        odds : ndarray of shape (n_rows,)
            Of deals like it.
        doubt : ndarray of shape (n_rows,)
            Standard deviation, in probability, of what the data leave open about those odds.
        mass : float
            Share of deals whose odds the range is to hold.

        Returns
        -------
        ndarray of shape (n_rows, 2)
        """
        spread = odds * (1 - odds)
        of_deals = self.share + (PARAMETERS / self.deals if self.deals else 0.0)
        share = np.clip(of_deals + doubt**2 / np.maximum(spread, 1e-9), _SMALLEST_SHARE, _LARGEST_SHARE)
        size = 1 / share - 1
        tail = (1 - mass) / 2
        a, b = (np.maximum(each * size, 1e-9) for each in (odds, 1 - odds))
        ends = [betaincinv(a, b, p) for p in (tail, 1 - tail)]
        return np.column_stack([np.minimum(ends[0], odds), np.maximum(ends[1], odds)])


def _odds_after(rows: pd.DataFrame, horizon: float) -> Floats:
    """The odds of each look's deal so many days later, between looks in a straight line."""
    left = rows["days_to_close"].to_numpy(np.float64)
    odds = rows["odds"].to_numpy()
    deal = rows["deal_id"].factorize()[0]
    won = (rows["outcome"] == "won").to_numpy(np.float64)
    # time runs up as days to the close run down; deals lie one after the other, far apart
    gap = float(left.max(initial=0.0)) + horizon + 1.0
    last = np.flatnonzero(np.diff(deal, append=-1))
    time = np.concatenate([2 * gap * deal - left, 2 * gap * deal[last]])
    value = np.concatenate([odds, won[last]])
    order = np.argsort(time, kind="stable")
    return np.asarray(np.interp(2 * gap * deal - left + horizon, time[order], value[order]))
