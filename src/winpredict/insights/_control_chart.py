"""One process-behaviour chart: a series, the limits of its noise, its signals and its lasting changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from winpredict.errors import TableError
from winpredict.insights import _control_sentences as wording
from winpredict.insights._control_limits import LATEST, RULES, Floats, Measured, Process, WonOfClosed, statistics
from winpredict.insights._control_marks import Split, marked, splits
from winpredict.locale.text import Text, text, texts

#: Fewer periods carry no limits.
MIN_PERIODS = 6
#: Rules that say that the level is another one; the others may be about single periods.
_LASTING = ("run", "latest", "level")
_CHANGES = ("period", "earliest", "latest", "before", "after", "n_before", "n_after", "strength")
Kind = Literal["xmr", "p"]


@dataclass(frozen=True)
class ControlChart:
    """A series with the limits of its noise.

    Parameters
    ----------
    frame : DataFrame
        One row a period: period, value (NaN where there is nothing to measure), n (deals behind the value; NaN where
        not given), centre, low, high (limits for single points; NaN where the chart has none), signal (the rule in
        words that marks the period, or empty).
    kind : {"xmr", "p"}
    name : Text or str
        What is measured.
    unit : str
        Its unit: share, days, deals, touches or another word.
    bounds : dict of str to float
        Limit of each rule in standard deviations, for "run" in periods; a series breaks the rule beyond it.
    broken : tuple of str
        Rules that the series breaks.
    false_alarm_rate : float
        Chance that a series of this length without any change gets at least one mark. NaN without limits.
    p_value : float
        Chance of a series as conspicuous as this one though nothing changed.
    changes : DataFrame
        Lasting changes, the latest at the end: period (the first of the new level), earliest, latest (between which it
        began with 95% plausibility), before, after (values), n_before, n_after (deals of the levels on both sides),
        strength (how far the levels are apart, in standard errors).
    period : str
        "month", "week" or empty for plain numbers.
    notes : tuple of Text
        What is missing, and why.
    """

    frame: pd.DataFrame
    kind: Kind
    name: Text | str
    unit: str
    bounds: dict[str, float]
    broken: tuple[str, ...]
    false_alarm_rate: float
    p_value: float
    changes: pd.DataFrame
    period: str = ""
    notes: tuple[Text, ...] = ()

    @property
    def change(self) -> pd.Series | None:
        """The latest lasting change, a row of `changes`; None where the level stayed."""
        return None if self.changes.empty else self.changes.astype(object).iloc[-1]

    def sentences(self) -> list[str]:
        """What a sales manager must know, the most important first."""
        return [*wording.of_chart(self), *(str(note) for note in self.notes)]


def control_chart(
    values: ArrayLike | pd.Series,
    *,
    kind: Kind = "xmr",
    counts: ArrayLike | None = None,
    rate: float = 0.05,
    log: bool = False,
    name: Text | str = "value",
    unit: str = "",
    period: str = "",
    simulations: int = 5000,
    seed: int = 0,
) -> ControlChart:
    """Tell signals from noise in a series.

    Parameters
    ----------
    values : array-like or Series
        One measurement a period; for "p" the number of won deals. The index of a Series names the periods.
    kind : {"xmr", "p"}
        Measurements (individuals and moving ranges), or won deals out of closed ones.
    counts : array-like, optional
        Deals behind each value; for "p" the closed deals, without which there is no chart.
    rate : float
        Chance of a false alarm on the whole chart; the chart states the one reached, which may be a little lower.
    log : bool
        Compare logarithms (for measurements that vary by factors); values of zero and less are left out.
    name, unit, period : str
        Words for people; period is "month" or "week" where the index holds their first days.
    simulations, seed : int
        Series without a change by which the limits are set.

    Returns
    -------
    ControlChart

    Raises
    ------
    TableError
        When values and counts do not fit each other, or the rate is not between 0 and 1.

    Notes
    -----
    Rules: a point outside the limits; two of three successive points far on one side; a run on one side (of eight or
    more, as long as the false alarms allow); and two that the usual ones need beside them, because a fall of ten points
    in 200 deals a month has to be found in two months: the latest two periods together against all before, and the
    best split into two levels. Usual limits (three sigma, two of three beyond two, runs of eight) cry wolf on nearly
    every fifth chart of three years, so the limits are set by simulation: each rule gets an equal share of `rate`. XmR
    charts assume normal, independent values (Wheeler, Understanding Variation, 2000), p-charts binomial ones with exact
    middle p-values. The month of a change is the best split by likelihood, its plausible range holds 95% of the
    normalised likelihood; each side is searched again (binary segmentation: Scott and Knott, Biometrics 1974).

    Examples
    --------
    >>> chart = control_chart([30, 33, 28, 31, 29, 32, 30, 15, 12], kind="p", counts=[100] * 9)
    >>> chart.change[["period", "after"]].tolist()
    [8, 0.135]
    >>> control_chart([5.0, 6, 5, 7, 6, 5, 6]).broken
    ()
    """
    frame = _frame(values, kind, counts, rate, log)
    part = frame[frame["usable"]]
    process = _process(part, kind, log)
    words = _Words(kind, name, unit, period)
    if process is None:
        return _without_limits(frame, words)
    calibration = process.calibrated(rate, simulations, seed)
    found = statistics(process.points(), process.shifts())
    broken = tuple(rule for rule, is_broken in zip(RULES, calibration.broken(found)[0], strict=True) if is_broken)
    new_levels: list[Split] = []
    if any(rule in _LASTING for rule in broken):
        new_levels = splits(
            lambda first, last: _process(part.iloc[first:last], kind, log),
            lambda process: process.calibrated(rate, simulations, seed),
            rate, 0, len(part),
        )  # fmt: skip
    shown = _with_limits(frame, process, float(calibration.bounds[0]), kind, log)
    shown.loc[frame["usable"], "signal"] = marked(process, calibration.bounds.tolist(), broken, period)
    return ControlChart(
        shown,
        **words._asdict(),
        bounds=dict(zip(RULES, calibration.bounds.tolist(), strict=True)),
        broken=broken,
        false_alarm_rate=calibration.false_alarm_rate,
        p_value=calibration.p_value(found[0]),
        changes=_change_rows(part, new_levels, kind, log),
    )


class _Words(NamedTuple):
    kind: Kind
    name: Text | str
    unit: str
    period: str


def _frame(values: ArrayLike | pd.Series, kind: Kind, counts: ArrayLike | None, rate: float, log: bool) -> pd.DataFrame:
    """Columns period, raw (as given), n and usable."""
    if not 0.0 < rate < 1.0:
        raise TableError(
            text("rate must be between 0 and 1, not {rate}; it is the chance of a false alarm on a chart", rate=rate)
        )
    raw = np.asarray(values, dtype=np.float64)
    n = np.full(raw.size, np.nan) if counts is None else np.asarray(counts, dtype=np.float64)
    if n.shape != raw.shape:
        raise TableError(
            text("there are {size} values but {counts} counts; each period needs both", size=raw.size, counts=n.size)
        )
    if kind == "p" and (counts is None or (raw < 0).any() or (raw > n).any() or (raw % 1 > 0).any()):
        raise TableError(
            text("a p-chart needs whole numbers of won deals, and counts of closed deals that are as large")
        )
    periods = values.index if isinstance(values, pd.Series) else np.arange(1, raw.size + 1)
    usable = n > 0 if kind == "p" else np.isfinite(raw) & ((raw > 0) | (not log))
    return pd.DataFrame({"period": periods, "raw": raw, "n": n, "usable": usable}).reset_index(drop=True)


def _process(rows: pd.DataFrame, kind: Kind, log: bool) -> Process | None:
    """The series with its scores; None where it is short or nothing varies."""
    if len(rows) < MIN_PERIODS:
        return None
    raw = rows["raw"].to_numpy()
    if kind == "p":
        won, closed = raw.astype(np.int64), rows["n"].to_numpy().astype(np.int64)
        return WonOfClosed(won, closed) if 0 < won.sum() < closed.sum() else None
    measured = Measured(np.log(raw) if log else raw)
    return measured if measured.spread > 0 else None


def _values(frame: pd.DataFrame, kind: Kind) -> Floats:
    raw = frame["raw"].where(frame["usable"])
    return (raw / frame["n"] if kind == "p" else raw).to_numpy(dtype=np.float64)


def _without_limits(frame: pd.DataFrame, words: _Words) -> ControlChart:
    usable = int(frame["usable"].sum())
    if usable < MIN_PERIODS:
        note = texts(
            "Too little history for {name}: {n:count} period with data, {wanted:count} are needed.",
            "Too little history for {name}: {n:count} periods with data, {wanted:count} are needed.",
            name=words.name,
            n=usable,
            wanted=MIN_PERIODS,
        )
    else:
        note = text("No variation in {name}: every value is the same.", name=words.name)
    shown = frame[["period"]].assign(value=_values(frame, words.kind), n=frame["n"])
    shown = shown.assign(centre=np.nan, low=np.nan, high=np.nan, signal="")
    nothing = pd.DataFrame(columns=list(_CHANGES))
    notes = (note,)
    return ControlChart(
        shown, **words._asdict(), bounds={}, broken=(), false_alarm_rate=np.nan, p_value=np.nan, changes=nothing,
        notes=notes,
    )  # fmt: skip


def _with_limits(frame: pd.DataFrame, process: Process, bound: float, kind: Kind, log: bool) -> pd.DataFrame:
    usable = frame["usable"]
    low, high = process.limits(bound)
    centre = process.centre
    if log:
        low, high, centre = np.exp(low), np.exp(high), float(np.exp(centre))
    elif (frame.loc[usable, "raw"] >= 0).all():
        low = np.maximum(low, 0.0)
    out = frame[["period"]].assign(value=_values(frame, kind), n=frame["n"], centre=centre, low=np.nan, high=np.nan)
    out.loc[usable, "low"], out.loc[usable, "high"] = low, high
    return out.assign(signal="")


def _change_rows(rows: pd.DataFrame, found: Sequence[Split], kind: Kind, log: bool) -> pd.DataFrame:
    periods = rows["period"].tolist()
    ends = [0, *(split.at for split in found), len(rows)]
    levels = [_level(rows.iloc[first:last], kind, log) for first, last in pairwise(ends)]
    table: list[tuple[Any, ...]] = []
    for number, split in enumerate(found):
        (before, n_before), (after, n_after) = levels[number], levels[number + 1]
        dates = periods[split.at], periods[split.earliest], periods[split.latest]
        first, last = ends[number], ends[number + 2]
        process = _process(rows.iloc[first:last], kind, log)
        strength = np.nan if process is None else abs(float(process.shifts()[0, split.at - first - LATEST]))
        table.append((*dates, before, after, n_before, n_after, strength))
    return pd.DataFrame(table, columns=list(_CHANGES))


def _level(rows: pd.DataFrame, kind: Kind, log: bool) -> tuple[float, float]:
    """Mean of a level and the deals behind it."""
    raw, n = rows["raw"].to_numpy(), float(rows["n"].sum(min_count=1))
    if kind == "p":
        return float(raw.sum() / n), n
    return float(np.exp(np.log(raw).mean()) if log else raw.mean()), n
