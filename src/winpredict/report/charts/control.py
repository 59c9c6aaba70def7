"""Charts of signal or noise: a process-behaviour chart, and the parts of a changed win rate."""

from typing import Any

import altair as alt
import pandas as pd

from winpredict.insights._control_sentences import period_in_words, value_in_words
from winpredict.insights.control import ControlChart
from winpredict.insights.decomposition import Decomposition, points
from winpredict.report.charts._rows import rows
from winpredict.report.charts.style import ACCENT, BAND, DOWN, INK, MUTED, PAPER, QUIET, UP, WIDE, styled

_HEIGHT = 260
_MARGIN = 60
#: So many groups at most in a decomposition; of more, those with the largest parts.
MAX_GROUPS = 15


def control_chart_picture(chart: ControlChart, width: int = WIDE) -> Any:
    """A series with its centre and limits, its signals, and the beginning of a new level.

    Parameters
    ----------
    chart : ControlChart
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
        Line with a dot a period; dashed limits; signals as diamonds with the letter of their rule; a vertical rule
        where a level begins.
    """
    shown = _drawn(chart)
    x = _places(chart, width)
    y = alt.Y(
        "value:Q", title=_unit(chart), scale=alt.Scale(zero=False, nice=False, padding=24), axis=_value_axis(chart)
    )
    base = alt.Chart(shown).encode(x=x)
    layers = [*_limits(base), *_beginnings(chart, x)]
    layers.append(base.mark_line(color=ACCENT, strokeWidth=1.5).encode(y=y))
    plain = base.transform_filter("datum.signal == ''").mark_point(size=35, filled=True, color=ACCENT, opacity=1)
    layers.append(plain.encode(y=y, tooltip=_tooltips(chart)))
    signals = base.transform_filter("datum.signal != ''")
    diamonds = signals.mark_point(shape="diamond", size=130, filled=True, color=DOWN, opacity=1)
    layers.append(diamonds.encode(y=y, tooltip=_tooltips(chart)))
    layers.extend(_labels(signals))
    drawn = alt.layer(*layers).properties(width=width - _MARGIN, height=_HEIGHT)
    return styled(drawn, _title(chart), _subtitle(chart, width), width)


def decomposition_chart(found: Decomposition, words: str, width: int = WIDE) -> Any:
    """What each group adds to the change of the win rate, by its rate and by the mix of deals.

    Parameters
    ----------
    found : Decomposition
    words : str
        Words for the segment.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
        A bar for the rate with its 95% interval, a diamond for the mix; groups with the largest parts first.
    """
    shown = _parts(found)
    placed = rows("group", list(shown["group"]), width, right=16)
    x_title = "points of the overall win rate"
    base = alt.Chart(shown).encode(placed.y)
    colour = alt.condition("datum.rate < 0", alt.value(DOWN), alt.value(UP))
    bars = base.mark_bar(height=10).encode(alt.X("rate:Q", title=x_title), color=colour, tooltip=_part_tooltips())
    spread = base.mark_rule(color=INK, strokeWidth=1.5).encode(alt.X("rate_low:Q"), alt.X2("rate_high:Q"))
    mix = base.mark_point(shape="diamond", size=90, filled=False, color=INK, strokeWidth=1.5, opacity=1)
    zero = alt.Chart(pd.DataFrame({"rate": [0.0]})).mark_rule(color=QUIET).encode(alt.X("rate:Q"))
    drawn = alt.layer(zero, bars, spread, mix.encode(alt.X("mix:Q"), tooltip=_part_tooltips()))
    title = f"Parts of the change by {words}" if pd.isna(found.change) else _parts_title(found, words)
    lines = ["bar: wins more or less often (95% interval)", "diamond: is more or less common"]
    if len(shown) < len(found.frame):
        lines.append(f"the {len(shown)} groups with the largest parts of {len(found.frame)}")
    return styled(drawn.properties(width=placed.width, height=placed.height), title, lines, width)


def _drawn(chart: ControlChart) -> pd.DataFrame:
    """The frame with what the picture writes."""
    shown = chart.frame.copy()
    letters = _letters(chart)
    shown["letter"] = [letters.get(name, "") for name in shown["signal"]]
    shown["shown_as"] = ["" if pd.isna(value) else value_in_words(float(value), chart.unit) for value in shown["value"]]
    if chart.period:
        # without a zone the browser shows the same month everywhere
        shown["period"] = pd.to_datetime(shown["period"]).dt.tz_localize(None)
        shown["name"] = [period_in_words(period, chart.period) for period in shown["period"]]
    else:
        shown["name"] = shown["period"].map(str)
    return shown


def _places(chart: ControlChart, width: int) -> alt.X:
    if not chart.period:
        return alt.X("period:Q", title="period", scale=alt.Scale(zero=False), axis=alt.Axis(tickMinStep=1, grid=False))
    axis = alt.Axis(format="%b %y", tickCount=6 if width >= WIDE else 3, grid=False, labelOverlap=True)
    return alt.X("period:T", title=None, axis=axis, scale=alt.Scale(padding=8))


def _value_axis(chart: ControlChart) -> alt.Axis:
    return alt.Axis(format=".0%", tickCount=5) if chart.unit == "share" else alt.Axis(tickCount=5)


def _unit(chart: ControlChart) -> str | None:
    return "share won" if chart.unit == "share" else chart.unit or None


def _limits(base: Any) -> list[Any]:
    band = base.mark_area(color=BAND, opacity=0.35, interpolate="step").encode(alt.Y("low:Q"), alt.Y2("high:Q"))
    edges = [
        base.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.2, interpolate="step").encode(alt.Y(f"{name}:Q"))
        for name in ("low", "high")
    ]
    centre = base.mark_line(color=MUTED, strokeWidth=1).encode(alt.Y("centre:Q"))
    return [band, *edges, centre]


def _beginnings(chart: ControlChart, x: alt.X) -> list[Any]:
    if chart.changes.empty:
        return []
    starts = chart.changes[["period"]].copy()
    if chart.period:
        starts["period"] = pd.to_datetime(starts["period"]).dt.tz_localize(None)
    rule = alt.Chart(starts).mark_rule(color=INK, strokeWidth=2)
    return [rule.encode(x=x)]


def _labels(signals: Any) -> list[Any]:
    """Letters of the rules, under low points and over high ones."""
    marks = []
    for side, away in (("datum.value < datum.centre", 18), ("datum.value >= datum.centre", -16)):
        placed = signals.transform_filter(side).encode(alt.Y("value:Q"), text="letter:N")
        # a rim of paper keeps the letter readable on the rule of a new level
        marks.append(placed.mark_text(dy=away, fontSize=12, fontWeight="bold", stroke=PAPER, strokeWidth=4))
        marks.append(placed.mark_text(dy=away, fontSize=12, fontWeight="bold", color=DOWN))
    return marks


def _letters(chart: ControlChart) -> dict[str, str]:
    """One letter a rule that marks a period, in time order."""
    names = chart.frame.loc[chart.frame["signal"] != "", "signal"].unique()
    return dict(zip(names, "ABCDE", strict=False))


def _tooltips(chart: ControlChart) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title=chart.period or "period"),
        alt.Tooltip("shown_as:N", title=chart.name),
        alt.Tooltip("n:Q", title="deals"),
        alt.Tooltip("signal:N"),
    ]


def _title(chart: ControlChart) -> str:
    name = chart.name[:1].upper() + chart.name[1:]
    if chart.change is not None:
        told = f"changed in {period_in_words(chart.change['period'], chart.period)}"
    elif chart.broken:
        told = "stood out"
    elif chart.bounds:
        told = "no more than noise"
    else:
        told = "too little data for limits"
    return f"{name}: {told}"


def _subtitle(chart: ControlChart, width: int) -> list[str]:
    if not chart.bounds:
        return list(chart.notes)
    lines = []
    if chart.change is not None:
        before, after = (value_in_words(chart.change[side], chart.unit) for side in ("before", "after"))
        lines.append(f"vertical line: new level, {before} before, {after} since")
    rules = [f"{letter}: {name}" for name, letter in _letters(chart).items()]
    chance = f"chance of any signal without a change: {100 * chart.false_alarm_rate:.1f}%"
    if width < WIDE:
        return [*lines, "dashed: limits of noise", *rules, chance]
    return [*lines, f"dashed: limits of noise; {chance}", *(["; ".join(rules)] if rules else [])]


def _parts(found: Decomposition) -> pd.DataFrame:
    frame = found.frame.copy()
    largest = frame[["rate", "mix"]].astype(float).abs().max(axis=1)
    order = largest.sort_values(ascending=False, kind="stable").index[:MAX_GROUPS]
    shown = frame.loc[order, ["group", "rate", "rate_low", "rate_high", "mix", "win_rate_before", "win_rate_after"]]
    parts = ["rate", "rate_low", "rate_high", "mix"]
    shown[parts] = 100 * shown[parts].astype(float)
    return shown


def _parts_title(found: Decomposition, words: str) -> str:
    return f"Win rate {points(found.change)}, of which by the mix of {words}: {points(found.mix)}"


def _part_tooltips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("group:N"),
        alt.Tooltip("win_rate_before:Q", title="won before", format=".0%"),
        alt.Tooltip("win_rate_after:Q", title="won since", format=".0%"),
        alt.Tooltip("rate:Q", title="points by the rate", format=".1f"),
        alt.Tooltip("mix:Q", title="points by the mix", format=".1f"),
    ]
