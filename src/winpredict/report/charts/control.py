"""Charts of signal or noise: a process-behaviour chart, and the parts of a changed win rate."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from winpredict.insights.control import ControlChart
from winpredict.insights.decomposition import Decomposition
from winpredict.insights.labels import SIGNAL_LABELS, capital, group_label, period_label, segment_label, value_label
from winpredict.locale.text import Text, said, text, texts
from winpredict.report.charts._rows import rows
from winpredict.report.charts.style import ACCENT, BAND, DOWN, INK, MUTED, PAPER, QUIET, UP, WIDE, in_one_line, styled

_UNITS: Mapping[str, Text] = {
    "share": text("win rate"),
    "days": text("days"),
    "deals": text("deals"),
    "touches": text("touches"),
}
_PERIODS: Mapping[str, Text] = {"month": text("month"), "week": text("week"), "": text("period")}
_HEIGHT = 260
_MARGIN = 60
#: So many groups at most in a decomposition; of more, those with the largest parts.
MAX_GROUPS = 15


def control_chart_picture(chart: ControlChart, width: int = WIDE, height: int = _HEIGHT) -> Any:
    """A series with its centre and limits, its signals, and the beginning of a new level.

    Parameters
    ----------
    chart : ControlChart
    width : int
        Width of the whole chart in pixels.
    height : int
        Height of the plot in pixels.

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
    drawn = alt.layer(*layers).properties(width=width - _MARGIN, height=height)
    return styled(drawn, _title(chart), _subtitle(chart, width), width)


def decomposition_chart(found: Decomposition, words: str = "", width: int = WIDE) -> Any:
    """What each group adds to the change of the win rate, by its rate and by the mix of deals.

    Parameters
    ----------
    found : Decomposition
    words : str
        Words for the segment, if it is an attribute of the CRM.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
        A bar for the rate with its 95% interval, a diamond for the mix; groups with the largest parts first.
    """
    shown = _parts(found)
    placed = rows("group", list(shown["group"]), width, right=16)
    x_title = said("points of the overall win rate")
    segment = segment_label(found.segment, words)
    base = alt.Chart(shown).encode(placed.y)
    colour = alt.condition("datum.rate < 0", alt.value(DOWN), alt.value(UP))
    bars = base.mark_bar(height=10).encode(alt.X("rate:Q", title=x_title), color=colour, tooltip=_part_tooltips())
    spread = base.mark_rule(color=INK, strokeWidth=1.5).encode(alt.X("rate_low:Q"), alt.X2("rate_high:Q"))
    mix = base.mark_point(shape="diamond", size=90, filled=False, color=INK, strokeWidth=1.5, opacity=1)
    zero = alt.Chart(pd.DataFrame({"rate": [0.0]})).mark_rule(color=QUIET).encode(alt.X("rate:Q"))
    drawn = alt.layer(zero, bars, spread, mix.encode(alt.X("mix:Q"), tooltip=_part_tooltips()))
    title = _parts_title(found, segment)
    lines = [text("Bar: wins more or less often (95% interval)"), text("diamond: is more or less common")]
    if len(shown) < len(found.frame):
        largest = text("the {shown:count} groups of {n:count} with the largest parts")
        lines.append(largest.with_values(shown=len(shown), n=len(found.frame)))
    return styled(drawn.properties(width=placed.width, height=placed.height), title, lines, width)


def _drawn(chart: ControlChart) -> pd.DataFrame:
    """The frame with what the picture writes."""
    shown = chart.frame.copy()
    letters = _letters(chart)
    shown["letter"] = [letters.get(name, "") for name in shown["signal"]]
    shown["shown_as"] = [
        "" if pd.isna(value) else str(value_label(float(value), chart.unit)) for value in shown["value"]
    ]
    shown["reason"] = [str(SIGNAL_LABELS.get(name, name)) for name in shown["signal"]]
    if chart.period:
        # without a zone the browser shows the same month everywhere
        shown["period"] = pd.to_datetime(shown["period"]).dt.tz_localize(None)
        shown["name"] = [str(period_label(period, chart.period)) for period in shown["period"]]
    else:
        shown["name"] = shown["period"].map(str)
    return shown


def _places(chart: ControlChart, width: int) -> alt.X:
    if not chart.period:
        return alt.X(
            "period:Q", title=said("period"), scale=alt.Scale(zero=False), axis=alt.Axis(tickMinStep=1, grid=False)
        )
    axis = alt.Axis(format="%b %y", tickCount=6 if width >= WIDE else 3, grid=False, labelOverlap=True)
    return alt.X("period:T", title=None, axis=axis, scale=alt.Scale(padding=8))


def _value_axis(chart: ControlChart) -> alt.Axis:
    return alt.Axis(format=".0%", tickCount=5) if chart.unit == "share" else alt.Axis(tickCount=5)


def _unit(chart: ControlChart) -> str | None:
    return str(_UNITS.get(chart.unit, chart.unit)) or None


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
        alt.Tooltip("name:N", title=str(_PERIODS[chart.period])),
        alt.Tooltip("shown_as:N", title=str(chart.name)),
        alt.Tooltip("n:Q", title=said("deals")),
        alt.Tooltip("reason:N", title=said("signal")),
    ]


def _title(chart: ControlChart) -> str:
    name = capital(chart.name)
    if chart.change is not None:
        since = period_label(chart.change["period"], chart.period)
        return said("{measure}: changed in {period}", measure=name, period=since)
    if chart.broken:
        return said("{measure}: single periods stand out", measure=name)
    if chart.bounds:
        return said("{measure}: normal variation", measure=name)
    return said("{measure}: too little history for limits", measure=name)


def _subtitle(chart: ControlChart, width: int) -> list[str]:
    if not chart.bounds:
        return [str(note) for note in chart.notes]
    lines = []
    if chart.change is not None:
        before, after = (value_label(chart.change[side], chart.unit) for side in ("before", "after"))
        lines.append(said("Vertical line: new level, {before} before, {after} since", before=before, after=after))
    limits = said("Dashed: limits of normal variation")
    rules = [
        said("{letter}: {rule}", letter=letter, rule=SIGNAL_LABELS.get(name, name))
        for name, letter in _letters(chart).items()
    ]
    chance = said("chance of a false alarm: {share:percent}", share=chart.false_alarm_rate)
    if width < WIDE:
        return [*lines, limits, *rules, chance]
    return [*lines, in_one_line([limits, chance]), *([in_one_line(rules)] if rules else [])]


def _parts(found: Decomposition) -> pd.DataFrame:
    frame = found.frame.copy()
    largest = frame[["rate", "mix"]].astype(float).abs().max(axis=1)
    order = largest.sort_values(ascending=False, kind="stable").index[:MAX_GROUPS]
    shown = frame.loc[order, ["group", "rate", "rate_low", "rate_high", "mix", "win_rate_before", "win_rate_after"]]
    parts = ["rate", "rate_low", "rate_high", "mix"]
    shown[parts] = 100 * shown[parts].astype(float)
    return shown.assign(group=[str(group_label(found.segment, group)) for group in shown["group"]])


def _parts_title(found: Decomposition, segment: Text | str) -> Text:
    if pd.isna(found.change):
        return text("Parts of the change by {segment}", segment=segment)
    return texts(
        "Win rate: {n:exact_points} point, {mix:exact_points} of it from the mix by {segment}",
        "Win rate: {n:exact_points} points, {mix:exact_points} of them from the mix by {segment}",
        n=found.change,
        mix=found.mix,
        segment=segment,
    )


def _part_tooltips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("group:N", title=said("group")),
        alt.Tooltip("win_rate_before:Q", title=said("win rate before"), format=".0%"),
        alt.Tooltip("win_rate_after:Q", title=said("win rate since"), format=".0%"),
        alt.Tooltip("rate:Q", title=said("points from the win rate"), format=".1f"),
        alt.Tooltip("mix:Q", title=said("points from the mix of deals"), format=".1f"),
    ]
