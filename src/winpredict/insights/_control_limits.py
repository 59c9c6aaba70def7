"""Limits of process-behaviour charts such that the stated chance of a false alarm on a chart is the true one.

Several rules look at one series. Each gets the same share of the false alarms: the limits are set on series drawn as if
nothing had changed. Those are not drawn with estimated parameters but given what the estimates are made of (the number
of won deals in all; for measurements the mean and the moving ranges, of which the scores do not depend), so the chance
holds whatever the true rate is, for few deals as for many, and although the centre comes from the same series.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, xlogy
from scipy.stats import binom, norm

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: The rules in the order in which a point's mark names them; see `statistics`.
RULES = ("outside", "two of three", "run", "latest", "level")
SHORTEST_RUN = 8
#: Periods that the rule for the latest ones takes together, and the fewest of a level.
LATEST = 2
#: The mean moving range of two normal values in standard deviations (Wheeler's 1.128).
_RANGE_OF_TWO = 2.0 / np.sqrt(np.pi)
_TIE = 1e-9


class Process(Protocol):
    """A series with its scores, and others like it in which nothing changed."""

    centre: float

    def points(self) -> Floats:
        """Score of each period: standard normal deviates from the centre, shape (1, periods)."""

    def shifts(self) -> Floats:
        """Score of each split into two levels of at least `LATEST` periods, shape (1, periods - 2 * LATEST + 1)."""

    def calibrated(self, rate: float, simulations: int, seed: int) -> "Calibration":
        """Limits of all rules with a chance of `rate` that any is broken though nothing changed."""

    def limits(self, bound: float) -> tuple[Floats, Floats]:
        """Values between which a point's score is within `bound`."""

    def fit_of_splits(self) -> Floats:
        """Log-likelihood of each split, the best one at zero."""


@dataclass(frozen=True)
class Calibration:
    """Bounds of the rules, what they give on series without a change, and how a series compares with those."""

    bounds: Floats
    false_alarm_rate: float
    sorted_statistics: Floats
    smallest_counts: Whole
    splits: int
    normal_tails: bool

    def broken(self, found: Floats) -> NDArray[np.bool_]:
        """Which rules a series with these statistics breaks."""
        return found > self.bounds + _TIE

    def p_value(self, found: Floats) -> float:
        """Chance of a series as conspicuous as this one by its most conspicuous rule though nothing changed.

        Beyond all drawn series the normal distribution of the scores takes over where they have one (Bonferroni over
        rules, periods and splits), so that one plain change stands out among a hundred charts.
        """
        counts = _counts_at_least(self.sorted_statistics, found[None, :])
        drawn = self.smallest_counts.size
        p = float((1 + np.searchsorted(self.smallest_counts, counts.min() + 1, side="right")) / (1 + drawn))
        if counts.min() or not self.normal_tails:
            return p
        tails = 2.0 * norm.sf(found[[RULES.index("latest"), RULES.index("level")]]) * (1, self.splits)
        return min(p, len(RULES) * float(tails.min()))


class WonOfClosed:
    """Won deals among the closed ones of each period; all periods have deals, and some but not all are won."""

    def __init__(self, won: Whole, closed: Whole) -> None:
        self.won, self.closed = won, closed
        self.centre = float(won.sum() / closed.sum())
        sizes, self._row = np.unique(closed, return_inverse=True)
        self._table = np.full((sizes.size, int(sizes.max()) + 1), np.inf)
        for row, size in zip(self._table, sizes, strict=True):
            row[: size + 1] = _middle_scores(int(size), self.centre)

    def points(self) -> Floats:
        """Normal scores of the middle p-values: exact for few deals, where the usual three sigma are not."""
        return self._points(self.won[None, :])

    def shifts(self) -> Floats:
        """Score statistics of equal rates before and since each split."""
        return self._shifts(self.won[None, :])

    def calibrated(self, rate: float, simulations: int, seed: int) -> Calibration:
        """Limits from series with the same deals and the same number won, dealt out at random."""
        random = np.random.default_rng(seed)
        drawn = random.multivariate_hypergeometric(self.closed, int(self.won.sum()), simulations, method="marginals")
        return calibrate(self._points(drawn), self._shifts(drawn), rate, normal_tails=True)

    def limits(self, bound: float) -> tuple[Floats, Floats]:
        """Shares half a deal beyond the last numbers within the bound; 0 and 1 where none lies beyond."""
        within = np.abs(self._table) <= bound + _TIE
        low = within.argmax(axis=1)[self._row]
        high = (within.shape[1] - 1 - within[:, ::-1].argmax(axis=1))[self._row]
        closed = self.closed
        return np.maximum(low - 0.5, 0) / closed, np.minimum(high + 0.5, closed) / closed

    def fit_of_splits(self) -> Floats:
        """Binomial log-likelihoods with one rate before and one since."""
        won, closed = np.cumsum(self.won), np.cumsum(self.closed)
        at = _splits(closed.size)
        fit = _fit(won[at], closed[at]) + _fit(won[-1] - won[at], closed[-1] - closed[at])
        return np.asarray(fit - fit.max())

    def _points(self, won: Whole) -> Floats:
        return np.asarray(self._table[self._row, won], dtype=np.float64)

    def _shifts(self, won: Whole) -> Floats:
        before = np.cumsum(self.closed)
        at = _splits(before.size)
        share = before[at] / before[-1]
        spread = np.sqrt(before[at] * (1.0 - share) * self.centre * (1.0 - self.centre))
        return np.asarray((before[at] * self.centre - np.cumsum(won, axis=1)[:, at]) / spread)


class Measured:
    """One measurement a period (XmR: the spread is that of the moving ranges, which a lasting change hardly moves)."""

    def __init__(self, values: Floats) -> None:
        self.values = values
        self.centre = float(values.mean())
        self.spread = float(_spread(values[None, :])[0, 0])

    def points(self) -> Floats:
        """Deviations from the mean in standard deviations of the moving ranges."""
        return _deviations(self.values[None, :])

    def shifts(self) -> Floats:
        """Differences of the means before and since each split in standard errors."""
        return _mean_shifts(self.points())

    def calibrated(self, rate: float, simulations: int, seed: int) -> Calibration:
        """Limits from normal series of the same length; the scores have the same distribution for all of them."""
        return _normal_calibration(self.values.size, rate, simulations, seed)

    def limits(self, bound: float) -> tuple[Floats, Floats]:
        """The mean and so many standard deviations, the same in each period."""
        away = np.full(self.values.size, bound * self.spread)
        return self.centre - away, self.centre + away

    def fit_of_splits(self) -> Floats:
        """Normal log-likelihoods with two means and one spread."""
        size = self.values.size
        squares = [
            ((self.values[: at + 1] - self.values[: at + 1].mean()) ** 2).sum()
            + ((self.values[at + 1 :] - self.values[at + 1 :].mean()) ** 2).sum()
            for at in _splits(size)
        ]
        fit = -0.5 * size * np.log(np.maximum(squares, 1e-300))
        return np.asarray(fit - fit.max())


def statistics(points: Floats, shifts: Floats) -> Floats:
    """What each rule looks at, for many series at once.

    Returns
    -------
    ndarray of shape (series, rules)
        outside: the largest score of a point. two of three: the largest score that two of three successive points reach
        on one side. run: the longest run on one side, from `SHORTEST_RUN` on. latest: the score of the last `LATEST`
        periods together against all before. level: the largest score of any split into two levels.
    """
    of_three = np.sort(np.stack([points[:, :-2], points[:, 1:-1], points[:, 2:]]), axis=0)[1]
    found = [
        np.abs(points).max(axis=1),
        np.abs(of_three).max(axis=1),
        longest_runs(points),
        np.abs(shifts[:, -1]),
        np.abs(shifts).max(axis=1),
    ]
    return np.round(np.column_stack(found), 9)


def longest_runs(points: Floats) -> Floats:
    """Length of the longest run of each series on one side of the centre, zero when below `SHORTEST_RUN`."""
    side = np.sign(points).astype(np.int8).T
    length = np.zeros(len(points), dtype=np.int64)
    longest = length.copy()
    for now, before in zip(side, np.vstack([np.zeros_like(side[:1]), side[:-1]]), strict=True):
        length = np.where(now == 0, 0, np.where(now == before, length + 1, 1))
        np.maximum(longest, length, out=longest)
    return np.where(longest >= SHORTEST_RUN, longest, 0).astype(np.float64)


def calibrate(points: Floats, shifts: Floats, rate: float, normal_tails: bool) -> Calibration:
    """The bounds at which all rules are broken equally often, and any of them in at most `rate` of the series.

    Parameters
    ----------
    points, shifts : ndarray of shape (series, periods) and (series, splits)
        Scores of series without a change.
    rate : float
        Chance of a false alarm on a chart.
    normal_tails : bool
        Whether the scores are nearly normal far out, too.
    """
    found = statistics(points, shifts)
    ordered = np.sort(found, axis=0)
    smallest = np.sort(_counts_at_least(ordered, found).min(axis=1))
    first_kept = smallest[int(rate * len(found))]
    alarms = smallest[smallest < first_kept]
    allowed = int(alarms.max()) if alarms.size else 0
    bounds = ordered[len(found) - 1 - allowed].copy()
    run = RULES.index("run")
    bounds[run] = max(bounds[run], SHORTEST_RUN - 1)
    return Calibration(bounds, alarms.size / len(found), ordered, smallest, shifts.shape[1], normal_tails)


@lru_cache(maxsize=256)
def _normal_calibration(periods: int, rate: float, simulations: int, seed: int) -> Calibration:
    points = _deviations(np.random.default_rng(seed).normal(size=(simulations, periods)))
    # the spread is estimated, so the tails are longer than normal ones
    return calibrate(points, _mean_shifts(points), rate, normal_tails=False)


def _counts_at_least(ordered: Floats, found: Floats) -> Whole:
    """In how many of the ordered series each statistic is at least as large as found."""
    out = np.empty(found.shape, dtype=np.int64)
    for rule in range(found.shape[1]):
        out[:, rule] = len(ordered) - np.searchsorted(ordered[:, rule], found[:, rule] - _TIE, side="left")
    return out


def _middle_scores(size: int, rate: float) -> Floats:
    counts = np.arange(size + 1)
    below = binom.cdf(counts, size, rate) - 0.5 * binom.pmf(counts, size, rate)
    return np.asarray(ndtri(np.clip(below, 1e-15, 1.0 - 1e-15)), dtype=np.float64)


def _splits(periods: int) -> Whole:
    """The last period before each split."""
    return np.arange(LATEST - 1, periods - LATEST)


def _fit(won: Whole, closed: Whole) -> Floats:
    return np.asarray(xlogy(won, won / closed) + xlogy(closed - won, 1.0 - won / closed))


def _spread(values: Floats) -> Floats:
    spread: Floats = np.abs(np.diff(values, axis=1)).mean(axis=1, keepdims=True) / _RANGE_OF_TWO
    return spread


def _deviations(values: Floats) -> Floats:
    away = values - values.mean(axis=1, keepdims=True)
    spread = _spread(values)
    return np.asarray(np.divide(away, spread, out=np.zeros_like(away), where=spread > 0))


def _mean_shifts(points: Floats) -> Floats:
    periods = points.shape[1]
    at = _splits(periods)
    before = at + 1.0
    shifts: Floats = -np.cumsum(points, axis=1)[:, at] / np.sqrt(before * (1.0 - before / periods))
    return shifts
