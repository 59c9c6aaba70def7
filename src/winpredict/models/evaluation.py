"""How good odds are, and whether a difference is more than luck."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from winpredict.errors import ConfigError, TableError
from winpredict.locale.text import Text, text, texts
from winpredict.models._frames import Floats, outcomes, weights_of
from winpredict.models.calibration import (
    CLIP,
    Measure,
    calibration_intercept,
    calibration_slope,
    expected_calibration_error,
    probabilities,
    ratio,
)

_TOP_SHARE = 0.1
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Metric:
    """A figure of merit: how to prepare its measure, which way is better, and its range."""

    prepare: Callable[[Floats, Floats, Floats], Measure]
    better: Literal["lower", "higher", "neither"]
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True)
class Comparison:
    """A model's figure beside a baseline's on the same rows, with intervals by resampling deals.

    Parameters
    ----------
    metric : str
        A key of `METRICS`.
    model, baseline : float
        The two figures.
    difference : float
        ``model - baseline``.
    low_95, low_90, high_90, high_95 : float
        Ends of the 90% and 95% intervals of the difference.
    n_rows, n_deals : int
        What it rests on.

    Examples
    --------
    >>> Comparison("log_loss", 0.5, 0.6, -0.1, -0.14, -0.13, -0.07, -0.06, 900, 300).beats_baseline
    True
    """

    metric: str
    model: float
    baseline: float
    difference: float
    low_95: float
    low_90: float
    high_90: float
    high_95: float
    n_rows: int
    n_deals: int

    @property
    def relative(self) -> float:
        """Difference as a share of the baseline's figure: -0.39 is 39% below."""
        return self.difference / self.baseline if self.baseline else np.nan

    @property
    def beats_baseline(self) -> bool:
        """Whether the whole 95% interval lies on the better side of zero."""
        return bool(self.high_95 < 0) if METRICS[self.metric].better == "lower" else bool(self.low_95 > 0)

    @property
    def finding(self) -> Text:
        """The finding in plain words, to be said in any language."""
        facts: dict[str, Any] = {
            "metric": _METRIC_NAMES[self.metric],
            "model": self.model,
            "baseline": self.baseline,
            "judged": self._judged,
            "low": self.low_95,
            "high": self.high_95,
        }
        if self.beats_baseline:
            return text(
                "The model beats the baseline: {metric} {model:precise} against {baseline:precise} (95% interval of "
                "the difference {low:precise_change} to {high:precise_change}, {judged}).",
                **facts,
            )
        return text(
            "The model is not shown to beat the baseline: {metric} {model:precise} against {baseline:precise} (95% "
            "interval of the difference {low:precise_change} to {high:precise_change}, {judged}).",
            **facts,
        )

    @property
    def sentence(self) -> str:
        """The finding in the language of the moment."""
        return str(self.finding)

    @property
    def _judged(self) -> Text:
        # a deal that was looked at on several days is one deal to the interval, and several rows of a table
        if self.n_rows == self.n_deals:
            return texts("{n:count} deal", "{n:count} deals", n=self.n_deals)
        return texts(
            "{odds:count} odds of {n:count} deal",
            "{odds:count} odds of {n:count} deals",
            n=self.n_deals,
            odds=self.n_rows,
        )


def evaluate_odds(
    y: ArrayLike, p: ArrayLike, sample_weight: ArrayLike | None = None, *, amount: ArrayLike | None = None
) -> dict[str, float]:
    """All figures of merit of predicted odds.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        1 for won, 0 for lost.
    p : array-like of shape (n_rows,)
        Predicted P(won), in [0, 1]; clipped to [1e-6, 1 - 1e-6] where a logarithm is taken.
    sample_weight : array-like of shape (n_rows,), optional
        Row weights; best such that the snapshots of a deal sum to one.
    amount : array-like of shape (n_rows,), optional
        Money of each deal in one currency, as of the snapshot; rows without an amount are left out of the forecast.

    Returns
    -------
    dict of str to float
        ``log_loss`` (nats), ``brier``, ``auc``,
        ``calibration_slope`` (of the logistic regression of the outcome on the log-odds; 1 is right, below 1 the odds
        are too extreme; Cox 1958),
        ``calibration_intercept`` (with the slope held at 1; 0 is right, below 0 the odds are too high; Van Calster et
        al. 2019),
        ``expected_calibration_error`` (mean distance of predicted and won share over 10 bins of equal weight, equal
        odds kept together, each bin weighted by its mass; even right odds get more than 0 on few deals),
        ``lift_top_decile`` (won share among the tenth with the best odds, over that of all; ties are shared evenly),
        ``n`` and ``won`` (rows). With amounts also ``forecast`` (sum of odds times amount), ``won_amount`` and
        ``forecast_error`` (``forecast / won_amount - 1``). Where the rows do not determine a figure (one outcome only,
        all odds equal, nothing won) it is NaN.

    Raises
    ------
    TableError
        When lengths differ, labels are not 0 or 1, or odds lie outside [0, 1].
    TooLittleDataError
        When there are no rows.

    Examples
    --------
    >>> figures = evaluate_odds([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], amount=[10.0, 10.0, 10.0, 20.0])
    >>> round(figures["brier"], 4), figures["auc"], round(figures["forecast_error"], 4)
    (0.1675, 0.75, -0.1333)
    """
    labels, odds, weight = _checked(y, p, sample_weight)
    figures = {name: _value(metric.prepare(labels, odds, weight), weight) for name, metric in METRICS.items()}
    figures |= {"n": float(labels.size), "won": float(labels.sum())}
    if amount is not None:
        figures |= _forecast(labels, odds, weight, np.asarray(amount, dtype=np.float64))
    return figures


def evaluate_segments(
    y: ArrayLike, p: ArrayLike, segment: ArrayLike, sample_weight: ArrayLike | None = None
) -> pd.DataFrame:
    """The figures of `evaluate_odds` for each segment, such as a stage or an age band.

    Parameters
    ----------
    y, p, sample_weight
        As in `evaluate_odds`.
    segment : array-like of shape (n_rows,)
        The segment of each row; rows without one are left out. An ordered category keeps its order.

    Returns
    -------
    DataFrame
        One row a segment that occurs, indexed by it, one column a figure.

    Examples
    --------
    >>> evaluate_segments([0, 1, 1], [0.5, 0.5, 0.8], ["Call", "Call", "Demo"])[["brier", "n"]].round(2)
             brier    n
    segment
    Call      0.25  2.0
    Demo      0.04  1.0
    """
    labels, odds, weight = _checked(y, p, sample_weight)
    rows = pd.DataFrame({"segment": segment, "place": np.arange(labels.size)})
    places = rows.groupby("segment", observed=True, sort=True)["place"]
    figures = {name: evaluate_odds(labels[at], odds[at], weight[at]) for name, at in places}
    return pd.DataFrame.from_dict(figures, orient="index").rename_axis("segment")


def metric_intervals(
    y: ArrayLike,
    p: ArrayLike,
    groups: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    metrics: Sequence[str] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Each figure of merit with 90% and 95% intervals by resampling deals.

    Parameters
    ----------
    y, p, sample_weight
        As in `evaluate_odds`.
    groups : array-like of shape (n_rows,)
        deal_id of each row: the rows of a deal are drawn together.
    metrics : sequence of str, optional
        Keys of `METRICS`; all by default.
    n_resamples : int
    seed : int

    Returns
    -------
    DataFrame
        Indexed by metric: ``value``, ``low_95``, ``low_90``, ``high_90``, ``high_95``.

    Raises
    ------
    ConfigError
        When a metric is unknown.
    TableError
        As in `evaluate_odds`.

    Notes
    -----
    Each deal gets a standard exponential weight in each resample (the Bayesian bootstrap, Rubin 1981: like drawing
    deals with replacement, but no deal ever drops out, so rare wins do no harm). Draws are shifted so that their median
    is the value itself: calibration error rises in resamples because their noise adds to that of the data. Bins, the
    top decile and the calibration line are those of the data, the line re-fitted by one Newton step (Moulton & Zeger
    1991). Nothing loops over rows.

    Examples
    --------
    >>> y = np.arange(200) % 2
    >>> metric_intervals(y, 0.4 + 0.2 * y, groups=np.arange(200), metrics=["brier"]).round(3)
            value  low_95  low_90  high_90  high_95
    metric
    brier    0.16    0.16    0.16     0.16     0.16
    """
    labels, odds, weight = _checked(y, p, sample_weight)
    rows = {}
    for name in list(METRICS) if metrics is None else metrics:
        metric = _metric(name)
        measure = metric.prepare(labels, odds, weight)
        value = _value(measure, weight)
        draws = _resampled(measure, weight, groups, n_resamples, seed)
        rows[name] = {"value": value} | _interval(draws, value, metric.low, metric.high)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def compare(
    y: ArrayLike,
    p_model: ArrayLike,
    p_baseline: ArrayLike,
    groups: ArrayLike,
    metric: str = "log_loss",
    *,
    sample_weight: ArrayLike | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """A model against a baseline on the same rows, with intervals of the difference by resampling deals.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        1 for won, 0 for lost.
    p_model, p_baseline : array-like of shape (n_rows,)
        The two predictions of P(won).
    groups : array-like of shape (n_rows,)
        deal_id of each row: the rows of a deal are drawn together.
    metric : str
        A key of `METRICS` of which lower or higher is better.
    sample_weight : array-like of shape (n_rows,), optional
    n_resamples : int
    seed : int

    Raises
    ------
    ConfigError
        When the metric is unknown or has no better side.
    TableError
        As in `evaluate_odds`.

    Notes
    -----
    Both predictions see the same resamples, drawn as in `metric_intervals`.

    Examples
    --------
    >>> y = np.arange(300) % 3 == 0
    >>> found = compare(y, np.where(y, 0.6, 0.2), np.full(300, 1 / 3), groups=np.arange(300))
    >>> found.beats_baseline, round(found.relative, 2)
    (True, -0.5)
    """
    kind = _metric(metric)
    if kind.better == "neither":
        raise ConfigError(
            text("of {metric} neither lower nor higher is better, so it ranks nothing; take log_loss", metric=metric)
        )
    labels, ours, weight = _checked(y, p_model, sample_weight)
    theirs = probabilities(p_baseline, labels.size)
    measures = [kind.prepare(labels, odds, weight) for odds in (ours, theirs)]
    model, baseline = (_value(measure, weight) for measure in measures)
    drawn_model, drawn_baseline = (_resampled(measure, weight, groups, n_resamples, seed) for measure in measures)
    ends = _interval(drawn_model - drawn_baseline, model - baseline)
    n_deals = int(pd.Series(np.asarray(groups)).nunique())
    return Comparison(metric, model, baseline, model - baseline, **ends, n_rows=labels.size, n_deals=n_deals)


def _checked(y: ArrayLike, p: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    labels = outcomes(y)
    return labels, probabilities(p, labels.size), weights_of(sample_weight, labels.size)


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise ConfigError(text("unknown metric {name!r}; take one of {metrics}", name=name, metrics=", ".join(METRICS)))
    return METRICS[name]


def _value(measure: Measure, weight: Floats) -> float:
    return float(measure(weight[None, :])[0])


def _forecast(y: Floats, p: Floats, weight: Floats, amount: Floats) -> dict[str, float]:
    if amount.shape != y.shape:
        raise TableError(
            text(
                "there are {size} labels and {amounts} amounts; give one amount a row, missing as NaN",
                size=y.size,
                amounts=amount.size,
            )
        )
    money = weight * np.nan_to_num(amount)
    forecast, won = float(money @ p), float(money @ y)
    return {"forecast": forecast, "won_amount": won, "forecast_error": forecast / won - 1.0 if won else np.nan}


def _resampled(measure: Measure, weight: Floats, groups: ArrayLike, n_resamples: int, seed: int) -> Floats:
    """The figure in each resample of deals, shape (n_resamples,)."""
    deal, names = pd.factorize(pd.Series(np.asarray(groups)), sort=True)
    if deal.size != weight.size or (deal < 0).any():
        raise TableError(text("groups must name the deal of each of the {size} rows, without gaps", size=weight.size))
    return np.concatenate(
        [measure(drawn[:, deal] * weight) for drawn in _deal_weights(len(names), weight.size, n_resamples, seed)]
    )


def _deal_weights(n_deals: int, n_rows: int, n_resamples: int, seed: int) -> Iterator[Floats]:
    """The weight of each deal in each resample, in portions that fit in memory."""
    generator = np.random.default_rng(seed)
    portion = max(1, _CELLS_AT_ONCE // n_rows)
    for start in range(0, n_resamples, portion):
        yield generator.standard_exponential((min(portion, n_resamples - start), n_deals))


def _interval(draws: Floats, value: float, low: float = -np.inf, high: float = np.inf) -> dict[str, float]:
    names = ("low_95", "low_90", "high_90", "high_95")
    draws = draws[np.isfinite(draws)]
    if not draws.size:
        return dict.fromkeys(names, np.nan)
    ends = np.quantile(draws, [0.025, 0.05, 0.95, 0.975]) - np.median(draws) + value
    return dict(zip(names, np.clip(ends, low, high).tolist(), strict=True))


def _mean(values: Floats) -> Measure:
    return lambda weights: ratio(weights @ values, weights.sum(axis=1))


def _log_loss(y: Floats, p: Floats, weight: Floats) -> Measure:
    clipped = np.clip(p, CLIP, 1.0 - CLIP)
    return _mean(-np.log(np.where(y == 1.0, clipped, 1.0 - clipped)))


def _brier(y: Floats, p: Floats, weight: Floats) -> Measure:
    return _mean((p - y) ** 2)


def _auc(y: Floats, p: Floats, weight: Floats) -> Measure:
    """Mann and Whitney's count of won deals above lost ones, ties by half."""
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.diff(p[order], prepend=-1.0))

    def measure(weights: Floats) -> Floats:
        won = np.add.reduceat(weights[:, order] * y[order], starts, axis=1)
        lost = np.add.reduceat(weights[:, order] * (1.0 - y[order]), starts, axis=1)
        below = np.cumsum(lost, axis=1) - lost / 2.0
        return ratio((won * below).sum(axis=1), won.sum(axis=1) * lost.sum(axis=1))

    return measure


def _lift_top_decile(y: Floats, p: Floats, weight: Floats) -> Measure:
    _, place = np.unique(-p, return_inverse=True)
    mass: Floats = np.bincount(place, weights=weight).astype(np.float64)
    above = np.cumsum(mass) - mass
    taken = np.clip(np.nan_to_num(ratio(_TOP_SHARE * mass.sum() - above, mass)), 0.0, 1.0)[place]

    def measure(weights: Floats) -> Floats:
        top = ratio(weights @ (taken * y), weights @ taken)
        return ratio(top, ratio(weights @ y, weights.sum(axis=1)))

    return measure


_METRIC_NAMES: Mapping[str, Text] = {
    "log_loss": text("log loss"),
    "brier": text("Brier score"),
    "auc": text("AUC"),
    "calibration_slope": text("calibration slope"),
    "calibration_intercept": text("calibration intercept"),
    "expected_calibration_error": text("calibration error"),
    "lift_top_decile": text("lift"),
}
METRICS: dict[str, Metric] = {
    "log_loss": Metric(_log_loss, "lower", low=0.0),
    "brier": Metric(_brier, "lower", 0.0, 1.0),
    "auc": Metric(_auc, "higher", 0.0, 1.0),
    "calibration_slope": Metric(calibration_slope, "neither"),
    "calibration_intercept": Metric(calibration_intercept, "neither"),
    "expected_calibration_error": Metric(expected_calibration_error, "lower", 0.0, 1.0),
    "lift_top_decile": Metric(_lift_top_decile, "higher", 0.0),
}
