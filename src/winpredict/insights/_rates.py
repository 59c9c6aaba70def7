"""Shares and their differences: intervals, tests of groups, shrinkage, corrections for many comparisons."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import betaln
from scipy.stats import chi2_contingency, norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
#: Bounds of the strength of the shrinkage, in deals.
_WEAKEST, _STRONGEST = 1.0, 1e5


class Difference(NamedTuple):
    """Differences of two shares, with their intervals and p-values."""

    change: Floats
    low: Floats
    high: Floats
    p: Floats


def share(part: ArrayLike, whole: ArrayLike) -> Floats:
    """Part by whole; NaN where the whole is zero."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    unknown = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.asarray(np.divide(part, whole, out=unknown, where=whole > 0), dtype=np.float64)


def wilson(part: ArrayLike, whole: ArrayLike) -> tuple[Floats, Floats]:
    """95% interval of a share (Wilson, JASA 1927); NaN where the whole is zero."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    known = whole > 0
    low, high = proportion_confint(np.where(known, part, 0), np.where(known, whole, 1), method="wilson")
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def difference(part: ArrayLike, whole: ArrayLike, part_before: ArrayLike, whole_before: ArrayLike) -> Difference:
    """Share minus share before.

    The interval is Newcombe's hybrid of two Wilson intervals (Statistics in Medicine 1998, method 10), the p-value
    that of the two-sided score test with the pooled share.

    Examples
    --------
    >>> found = difference([56], [70], [48], [80])
    >>> [round(float(value[0]), 4) for value in found[:3]]
    [0.2, 0.0524, 0.3339]
    """
    now, before = share(part, whole), share(part_before, whole_before)
    (low, high), (low_before, high_before) = wilson(part, whole), wilson(part_before, whole_before)
    change = now - before
    return Difference(
        change,
        change - np.hypot(now - low, high_before - before),
        change + np.hypot(high - now, before - low_before),
        _score_test(part, whole, part_before, whole_before),
    )


def _score_test(part: ArrayLike, whole: ArrayLike, part_before: ArrayLike, whole_before: ArrayLike) -> Floats:
    n, n_before = np.asarray(whole, np.float64), np.asarray(whole_before, np.float64)
    pooled = share(np.add(part, part_before), n + n_before)
    variance = pooled * (1.0 - pooled) * (share(1.0, n) + share(1.0, n_before))
    change = share(part, n) - share(part_before, n_before)
    z = np.divide(change, np.sqrt(variance), out=np.where(np.isnan(change), np.nan, 0.0), where=variance > 0)
    return np.asarray(2.0 * norm.sf(np.abs(z)), dtype=np.float64)


def adjusted(p: ArrayLike) -> Floats:
    """P-values adjusted for their number (Benjamini and Hochberg, JRSS B 1995); missing ones stay missing.

    Examples
    --------
    >>> adjusted([0.01, 0.04, np.nan, 0.5]).round(3).tolist()
    [0.03, 0.06, nan, 0.5]
    """
    out = np.asarray(p, dtype=np.float64).copy()
    known = ~np.isnan(out)
    if known.any():
        out[known] = multipletests(out[known], method="fdr_bh")[1]
    return out


def shrinkage(won: Floats, n: Floats, rate: float) -> float:
    """Number of deals at which a group's own rate counts as much as the overall rate.

    The maximum-likelihood strength of a beta prior around the overall rate, given all groups of a segment (beta-
    binomial empirical Bayes: Casella, The American Statistician 1985). Groups that are alike give a large number.
    """
    if len(n) < 2 or not 0.0 < rate < 1.0:
        return _STRONGEST
    prior = np.array([rate, 1.0 - rate])

    def misfit(log_strength: float) -> float:
        a, b = prior * np.exp(log_strength)
        return -float(np.sum(betaln(won + a, n - won + b) - betaln(a, b)))

    found = minimize_scalar(misfit, bounds=(np.log(_WEAKEST), np.log(_STRONGEST)), method="bounded")
    return float(np.exp(found.x))


def shrunken(won: Floats, n: Floats, rate: float) -> Floats:
    """Win rates pulled towards the overall one, the more the fewer deals a group has; see `shrinkage`.

    Examples
    --------
    >>> shrunken(np.array([1.0, 80.0, 20.0]), np.array([1.0, 100.0, 100.0]), 0.5).round(2).tolist()
    [0.64, 0.79, 0.21]
    """
    strength = shrinkage(won, n, rate)
    return np.asarray((won + strength * rate) / (n + strength))


def groups_differ(won: Floats, n: Floats, fewest: int) -> tuple[float, int, float]:
    """Chi-square test that all groups have one win rate; groups with fewer deals than `fewest` are put together.

    Returns
    -------
    tuple
        Chi-square, degrees of freedom and p; NaN, 0 and NaN where there is nothing to compare.
    """
    large = n >= fewest
    rest = (won[~large].sum(), n[~large].sum())
    table = pd.DataFrame({"won": won[large], "n": n[large]})
    if rest[1] >= fewest:
        table.loc[len(table)] = rest
    counts = np.column_stack([table["won"], table["n"] - table["won"]])
    if len(counts) < 2 or not (counts.sum(axis=0) > 0).all():
        return float("nan"), 0, float("nan")
    found = chi2_contingency(counts, correction=False)
    return float(found.statistic), int(found.dof), float(found.pvalue)
