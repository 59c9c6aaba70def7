"""Do odds of 30% win 30% of the time: reliability tables, and a calibrator in log-odds."""

from collections.abc import Callable
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri
from sklearn.base import BaseEstimator

from winpredict.errors import NotFittedError, TableError, TooLittleDataError
from winpredict.locale.text import text
from winpredict.models._frames import Floats, outcomes, weights_of

#: Probabilities are clipped to [CLIP, 1 - CLIP] before a logarithm is taken.
CLIP = 1e-6
ECE_BINS = 10
_NEWTON_STEPS = 50
_TOLERANCE = 1e-10

#: Row weights of many resamples, shape (n_resamples, n_rows), to one figure each.
Measure = Callable[[Floats], Floats]


def reliability(
    y: ArrayLike, p: ArrayLike, bins: int = 10, sample_weight: ArrayLike | None = None, *, level: float = 0.95
) -> pd.DataFrame:
    """What was predicted beside what happened, in bins of equal mass.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        1 for won, 0 for lost.
    p : array-like of shape (n_rows,)
        Predicted probabilities of winning, in [0, 1].
    bins : int
        Number of bins; see `equal_mass_bins`. Bins that no row falls in are left out.
    sample_weight : array-like of shape (n_rows,), optional
        Row weights. The interval uses the effective number of rows, ``sum(w)**2 / sum(w**2)`` (Kish 1965).
    level : float
        Coverage of the interval, in (0, 1).

    Returns
    -------
    DataFrame
        One row a bin, from the lowest odds to the highest: ``predicted`` and ``observed`` (weighted means), ``n``
        (rows), ``low`` and ``high`` (Wilson's score interval of the observed share, Wilson 1927).

    Raises
    ------
    TableError
        When labels, odds or weights do not fit together.

    Examples
    --------
    >>> reliability([0, 0, 1, 1], [0.2, 0.2, 0.6, 0.8], bins=2).round(2)
       predicted  observed  n   low  high
    0        0.2       0.0  2  0.00  0.66
    1        0.7       1.0  2  0.34  1.00
    """
    labels = outcomes(y)
    odds = probabilities(p, labels.size)
    weight = weights_of(sample_weight, labels.size)
    rows = pd.DataFrame({"w": weight, "p": weight * odds, "y": weight * labels, "w2": weight**2, "n": 1})
    total = rows.groupby(equal_mass_bins(odds, weight, bins), sort=True).sum().reset_index(drop=True)
    total = total[total["w"] > 0].reset_index(drop=True)
    observed = total["y"] / total["w"]
    low, high = _wilson(observed.to_numpy(), (total["w"] ** 2 / total["w2"]).to_numpy(), level)
    return pd.DataFrame(
        {"predicted": total["p"] / total["w"], "observed": observed, "n": total["n"], "low": low, "high": high}
    )


def equal_mass_bins(p: Floats, weight: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each row when the rows, ordered by odds, are cut into bins of equal weight.

    Equal odds always share a bin (the one in which the middle of their weight falls), so bins may be uneven or empty
    where many rows have the same odds, and the order of the rows does not matter.

    Examples
    --------
    >>> equal_mass_bins(np.array([0.1, 0.9, 0.1, 0.5]), np.ones(4), 2)
    array([0, 1, 0, 1])
    """
    _, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weights=weight)
    middle = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    chosen: NDArray[np.int64] = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return chosen[place]


def probabilities(p: ArrayLike, n: int) -> Floats:
    """Predicted probabilities as float64.

    Raises
    ------
    TableError
        When there are not `n` of them or some lie outside [0, 1].
    """
    odds = np.asarray(p, dtype=np.float64)
    if odds.shape != (n,):
        raise TableError(
            text("there are {n} labels and odds of shape {shape}; give one probability a row", n=n, shape=odds.shape)
        )
    wrong = int((~((odds >= 0.0) & (odds <= 1.0))).sum())
    if wrong:
        raise TableError(
            text(
                "{wrong} of {n} odds are missing or outside [0, 1]; pass P(won), not log-odds or per cent",
                wrong=wrong,
                n=n,
            )
        )
    return odds


class LogOddsCalibrator(BaseEstimator):  # type: ignore[misc]
    """A straight line in log-odds: ``calibrated = slope * log_odds + intercept``.

    Platt's (1999) scaling on log-odds. Since it is linear, contributions that add up to the log-odds still add up
    after each is multiplied by the slope. A penalty draws it towards leaving the odds as they are, ``ridge / 2 *
    ((slope - 1)**2 + intercept**2)`` on the summed log loss, so that a small calibration set cannot do harm.

    Parameters
    ----------
    ridge : float
        Strength of the penalty, at least 0. It acts like a normal prior of variance ``1 / ridge`` on both numbers. The
        data's pull is about ``sum(w * p * (1 - p))``: with 0.25 a deal at even odds, 40 deals weigh as much as 10.

    Attributes
    ----------
    slope_, intercept_ : float

    Examples
    --------
    >>> calibrator = LogOddsCalibrator(ridge=0.0).fit([-2.0, -2.0, -2.0, 2.0, 2.0, 2.0], [0, 0, 1, 0, 1, 1])
    >>> round(calibrator.slope_, 3), round(calibrator.intercept_, 3)
    (0.347, 0.0)
    """

    def __init__(self, ridge: float = 10.0) -> None:
        self.ridge = ridge

    def fit(self, log_odds: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the line from deals that the odds were not fitted on.

        Parameters
        ----------
        log_odds : array-like of shape (n_rows,)
            Uncalibrated log-odds of winning.
        y : array-like of shape (n_rows,)
            1 for won, 0 for lost.
        sample_weight : array-like of shape (n_rows,), optional
            Row weights in deals: those of one deal's snapshots should sum to about one.

        Raises
        ------
        TableError
            When lengths differ, a label is not 0 or 1, or log-odds are not finite.
        TooLittleDataError
            When there are no rows, or without a penalty the data do not determine a line.
        """
        labels = outcomes(y)
        line = fit_line(_finite(log_odds, labels.size), labels, weights_of(sample_weight, labels.size), self.ridge)
        if line is None:
            raise TooLittleDataError(
                text(
                    "{size} calibration rows do not determine a line; set ridge above 0 or calibrate on more deals",
                    size=labels.size,
                )
            )
        self.slope_, self.intercept_ = line
        return self

    def transform(self, log_odds: ArrayLike) -> Floats:
        """Calibrated log-odds, of the same shape.

        Raises
        ------
        NotFittedError
            When `fit` has not been called.
        """
        if not hasattr(self, "slope_"):
            raise NotFittedError(
                text("this LogOddsCalibrator is not fitted; call fit with log-odds and outcomes first")
            )
        return self.slope_ * np.asarray(log_odds, dtype=np.float64) + self.intercept_


def fit_line(log_odds: Floats, y: Floats, weight: Floats, ridge: float = 0.0) -> tuple[float, float] | None:
    """Slope and intercept of a logistic regression of the outcome on log-odds, by Newton's method.

    Parameters
    ----------
    log_odds, y, weight : ndarray of shape (n_rows,), dtype float64
    ridge : float
        Penalty towards slope 1 and intercept 0; see `LogOddsCalibrator`.

    Returns
    -------
    (slope, intercept), or None where the data do not determine them: all odds equal, one outcome only, or odds that
    part won from lost without error.
    """
    design = np.column_stack([log_odds, np.ones(log_odds.size)])
    start = np.array([1.0, 0.0])
    line = start
    loss = _line_loss(line, design, y, weight, ridge)
    for _ in range(_NEWTON_STEPS):
        mean = expit(design @ line)
        gradient = design.T @ (weight * (mean - y)) + ridge * (line - start)
        curvature = (design * (weight * mean * (1.0 - mean))[:, None]).T @ design + ridge * np.eye(2)
        if not np.linalg.cond(curvature) < 1e12:  # also when it is NaN
            return None
        step = np.linalg.solve(curvature, gradient)
        line, loss, moved = _shortened(line, step, loss, design, y, weight, ridge)
        if moved < _TOLERANCE:
            return float(line[0]), float(line[1])
    return None


def calibration_slope(y: Floats, p: Floats, weight: Floats) -> Measure:
    """Slope of the outcome on the log-odds (Cox 1958); in resamples re-fitted by one Newton step."""
    log_odds = logit(np.clip(p, CLIP, 1.0 - CLIP))
    line = fit_line(log_odds, y, weight)
    if line is None:
        return _undetermined
    mean = expit(line[0] * log_odds + line[1])
    spread, miss = mean * (1.0 - mean), y - mean
    terms = np.column_stack([spread * log_odds**2, spread * log_odds, spread, miss * log_odds, miss])

    def measure(weights: Floats) -> Floats:
        xx, x, one, missed_x, missed = (weights @ terms).T
        return line[0] + ratio(one * missed_x - x * missed, xx * one - x**2)

    return measure


def calibration_intercept(y: Floats, p: Floats, weight: Floats) -> Measure:
    """Shift of the log-odds that makes the mean odds right, the slope held at 1 (Van Calster et al. 2019)."""
    log_odds = logit(np.clip(p, CLIP, 1.0 - CLIP))
    if np.ptp(y[weight > 0]) == 0.0:
        return _undetermined
    shift = float(brentq(lambda by: weight @ (expit(log_odds + by) - y), -100.0, 100.0))
    mean = expit(log_odds + shift)
    miss, spread = y - mean, mean * (1.0 - mean)
    return lambda weights: ratio(weights @ miss, weights @ spread) + shift


def _undetermined(weights: Floats) -> Floats:
    return np.full(len(weights), np.nan)


def expected_calibration_error(y: Floats, p: Floats, weight: Floats) -> Measure:
    """Mean distance of predicted and won share over bins of equal mass."""
    in_bin = equal_mass_bins(p, weight, ECE_BINS)[:, None] == np.arange(ECE_BINS)
    gap = in_bin * (p - y)[:, None]
    return lambda weights: ratio(np.abs(weights @ gap).sum(axis=1), weights.sum(axis=1))


def ratio(above: Floats, below: Floats) -> Floats:
    """Elementwise quotient, NaN where the divisor is not above 0."""
    quotient: Floats = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return quotient


def _shortened(
    line: Floats, step: Floats, loss: float, design: Floats, y: Floats, weight: Floats, ridge: float
) -> tuple[Floats, float, float]:
    """Take a Newton step, halved until the loss does not rise; also say how far that was."""
    for _ in range(30):
        there = line - step
        reached = _line_loss(there, design, y, weight, ridge)
        if reached <= loss:
            return there, reached, float(np.abs(step).max())
        step = step / 2.0
    return line, loss, 0.0


def _line_loss(line: Floats, design: Floats, y: Floats, weight: Floats, ridge: float) -> float:
    at = design @ line
    penalty = 0.5 * ridge * ((line[0] - 1.0) ** 2 + line[1] ** 2)
    return float(weight @ (np.logaddexp(0.0, at) - y * at) + penalty)


def _finite(log_odds: ArrayLike, n: int) -> Floats:
    values = np.asarray(log_odds, dtype=np.float64)
    if values.shape != (n,):
        raise TableError(
            text("there are {n} labels and log-odds of shape {shape}; give one number a row", n=n, shape=values.shape)
        )
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise TableError(
            text(
                "{wrong} of {n} log-odds are not finite; clip the probabilities they come from, say at 1e-6",
                wrong=wrong,
                n=n,
            )
        )
    return values


def _wilson(share: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    z = ndtri(0.5 + level / 2.0)
    middle = (share + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
    half = z / (1.0 + z**2 / n) * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
