"""How much each snapshot counts in a fit: by the number of the look at its deal, and against censoring."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from winpredict.config import Config
from winpredict.errors import TableError
from winpredict.locale.text import text
from winpredict.models._frames import Floats, weights_of


def row_weights(snapshots: pd.DataFrame, config: Config) -> Floats:
    """Weight of each snapshot for odds: less for later looks at a deal, more for endings that censoring hides.

    The weights of `snapshot_weights` are multiplied, for closed deals, by the inverse probability of not being censored
    (see `censoring_weights`); those of open deals are then of no use.
    """
    weight = snapshot_weights(snapshots, config)
    dated = snapshots["days_to_close"].notna().all()
    if dated and config.censoring.method == "ipcw":
        closed = (snapshots["outcome"] != "open").to_numpy(dtype=bool)
        days = snapshots["days_to_close"].to_numpy(np.float64)
        weight = weight * censoring_weights(days, closed, max_weight=config.censoring.max_weight)
    return np.asarray(weight)


def snapshot_weights(snapshots: pd.DataFrame, config: Config) -> Floats:
    """Weight of each snapshot by what is known then: ``look ** -look_power``, of the number of the look so far.

    Looks at one deal repeat each other, so each further one says less. How often the deal will be looked at in the end
    must not count: at the same age it would make deals that will live long weigh less, which are lost more often.
    """
    return np.asarray(snapshots["look"].to_numpy(np.float64) ** -config.snapshots.look_power)


def censoring_weights(
    observed_days: ArrayLike,
    closed: ArrayLike,
    max_weight: float = 10.0,
    sample_weight: ArrayLike | None = None,
) -> Floats:
    """Weights that let closed deals stand in for like ones still open: one over the chance of having been seen closing.

    Deals that close quickly are closed more often by the day one looks. A deal that took T days gets the weight
    ``1 / G(T-)``, where G(t) is the share of deals that could be watched for longer than t days, by the product-limit
    estimator (Kaplan & Meier 1958) with open deals as the events. Open deals get 0. Assumes that how long a deal could
    be watched tells nothing of how it ends.

    Parameters
    ----------
    observed_days : array-like of shape (n_rows,)
        Days from the snapshot (or the creation) to the close, or for open deals to the end of knowledge. Not negative.
    closed : array-like of bool, shape (n_rows,)
        Whether the deal was seen closing.
    max_weight : float
        Larger weights are cut to this (before normalising): a little bias against much noise.
    sample_weight : array-like of shape (n_rows,), optional
        Row weights for the estimate of G and for the normalisation, such as one over the deal's number of snapshots.

    Returns
    -------
    ndarray of shape (n_rows,), dtype float64
        Their mean over closed rows is one; multiply with other weights.

    Raises
    ------
    TableError
        When days are missing or negative, or lengths differ.

    References
    ----------
    Robins & Rotnitzky (1992), Recovery of information and adjustment for dependent censoring using surrogate markers.
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Assessment and comparison of prognostic classification schemes for
    survival data. Statistics in Medicine 18.

    Examples
    --------
    >>> censoring_weights([10.0, 20.0, 30.0, 40.0], [True, False, True, False])
    array([0.8, 0. , 1.2, 0. ])
    """
    ended = np.asarray(closed, dtype=bool)
    days = _durations(observed_days, ended.size)
    weight = weights_of(sample_weight, ended.size)
    watched = _watched_at_least(days, ended, weight)
    with np.errstate(divide="ignore"):
        inverse = np.where(ended, np.minimum(1.0 / watched, max_weight), 0.0)
    total = weight @ inverse
    return inverse * (weight @ ended) / total if total > 0 else inverse


def _watched_at_least(days: Floats, closed: NDArray[np.bool_], weight: Floats) -> Floats:
    """G(T-) of each row; at equal times a close comes before the end of watching."""
    time, place = np.unique(days, return_inverse=True)
    closing = np.bincount(place, weights=weight * closed, minlength=time.size)
    leaving = np.bincount(place, weights=weight * ~closed, minlength=time.size)
    here = np.cumsum((closing + leaving)[::-1])[::-1]
    at_risk = np.maximum(here - closing, leaving)
    kept = 1.0 - np.divide(leaving, at_risk, out=np.zeros(time.size), where=at_risk > 0)
    survival = np.cumprod(np.maximum(kept, 0.0))
    return np.append(1.0, survival[:-1])[place]


def _durations(days: ArrayLike, n: int) -> Floats:
    durations = np.asarray(days, dtype=np.float64)
    if durations.shape != (n,):
        raise TableError(text("there are {n} rows and {size} durations; give one a row", n=n, size=durations.size))
    wrong = int((~(durations >= 0.0)).sum())
    if wrong:
        raise TableError(
            text(
                "{wrong} of {n} durations are missing or negative; look at as_of and closed_at of those rows",
                wrong=wrong,
                n=n,
            )
        )
    return durations
