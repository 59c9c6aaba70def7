"""Charts of the forecast: what is booked, what is expected, and how sure that is."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from winpredict.insights.labels import FORECAST_LABELS, PERIOD_TITLES, PERIODS
from winpredict.locale.text import text
from winpredict.report.charts._rows import rows
from winpredict.report.charts.style import (
    ACCENT,
    AMOUNT_LABELS,
    BAND,
    DOWN,
    INK,
    MUTED,
    QUIET,
    UP,
    WIDE,
    in_one_line,
    styled,
)

_PARTS = {
    "booked": text("booked"),
    "open_pipeline": text("open deals"),
    "not_yet_created": text("new business not yet created"),
}
_COLOURS = [UP, ACCENT, BAND]
#: Pixels that a letter of a legend takes.
_LETTER = 6.4
_FORECASTS = {
    "expected": FORECAST_LABELS["winpredict"],
    "stage_weighted": FORECAST_LABELS["stage-weighted"],
    "last_year": FORECAST_LABELS["same period last year"],
    "actual": text("booked"),
}


def forecast_chart(periods: pd.DataFrame, width: int = WIDE) -> Any:
    """Expected bookings of each period by where they come from, with the interval and the quota.

    Parameters
    ----------
    periods : DataFrame
        `winpredict.insights.forecast.Forecast.periods`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
        Stacked bars, a line from low to high, and a tick at the quota where there is one.
    """
    periods = periods.assign(period=[str(PERIOD_TITLES.get(name, name)) for name in periods["period"]])
    parts = {name: str(words) for name, words in _PARTS.items()}
    long = periods.melt(["period"], list(parts), "part", "amount")
    long["order"] = long["part"].map({name: place for place, name in enumerate(parts)})
    long["part"] = long["part"].map(parts)
    placed = rows("period", list(periods["period"]), width, right=24)
    axis = alt.Axis(labelExpr=AMOUNT_LABELS, tickCount=5)
    names = list(parts.values())
    colour = alt.Color(
        "part:N", sort=names, scale=alt.Scale(domain=names, range=_COLOURS), legend=_legend(names, width)
    )
    bars = (
        alt.Chart(long)
        .mark_bar(height=12)
        .encode(placed.y, alt.X("amount:Q", title=None, axis=axis, stack="zero"), colour, alt.Order("order:Q"))
    )
    base = alt.Chart(periods[["period", "expected", "low", "high", "quota"]]).encode(placed.y)
    band = base.mark_rule(strokeWidth=2, color=INK, yOffset=10).encode(alt.X("low:Q"), alt.X2("high:Q"))
    mark = base.mark_point(shape="diamond", filled=True, size=60, color=INK, opacity=1, yOffset=10)
    layers = [bars, band, mark.encode(alt.X("expected:Q"))]
    legend = [text("Line: 80% interval"), text("diamond: expected")]
    if periods["quota"].notna().any():
        quota = alt.Chart(periods.dropna(subset="quota")[["period", "quota"]])
        layers.append(quota.mark_tick(thickness=3, size=26, color=DOWN, yOffset=4).encode(placed.y, alt.X("quota:Q")))
        legend.append(text("upright tick: quota"))
    chart = alt.layer(*layers).properties(width=placed.width, height=placed.height)
    return styled(chart, text("Expected bookings"), in_one_line(legend), width)


def quota_chart(levels: pd.DataFrame, width: int = WIDE) -> Any:
    """Expected bookings of teams or reps in one period, with intervals, against their quotas.

    Parameters
    ----------
    levels : DataFrame
        The rows of one period of `winpredict.insights.forecast.Forecast.by_team` or ``by_rep``.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    shown = levels.sort_values("expected", ascending=False).head(25)
    placed = rows("name", list(shown["name"]), width, right=24)
    axis = alt.Axis(labelExpr=AMOUNT_LABELS, tickCount=5)
    base = alt.Chart(shown[["name", "booked", "expected", "low", "high", "quota"]]).encode(placed.y)
    band = base.mark_rule(strokeWidth=6, color=BAND, strokeCap="round")
    band = band.encode(alt.X("low:Q", title=None, axis=axis), alt.X2("high:Q"))
    mark = base.mark_point(filled=True, size=70, color=ACCENT, opacity=1).encode(alt.X("expected:Q"))
    booked = base.mark_point(shape="triangle-right", filled=True, size=60, color=UP, opacity=1)
    layers = [band, mark, booked.encode(alt.X("booked:Q"))]
    legend = [text("Dot: expected, with its 80% interval"), text("triangle: booked so far")]
    if shown["quota"].notna().any():
        layers.append(base.mark_tick(thickness=3, size=20, color=DOWN).encode(alt.X("quota:Q")))
        legend.append(text("upright tick: quota"))
    chart = alt.layer(*layers).properties(width=placed.width, height=placed.height)
    period = str(shown["period"].iloc[0]) if len(shown) else ""
    title = text("Bookings {period}", period=PERIODS.get(period, period)) if period else text("Bookings")
    return styled(chart, title, in_one_line(legend), width)


def forecast_backtest_chart(forecasts: pd.DataFrame, width: int = WIDE) -> Any:
    """Past forecasts of one period beside what was booked.

    Parameters
    ----------
    forecasts : DataFrame
        The rows of one period of `winpredict.insights.forecast_backtest.ForecastBacktest.forecasts`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    shown = forecasts.assign(day=pd.to_datetime(forecasts["starts"]).dt.tz_localize(None))
    long = shown.melt(["day"], list(_FORECASTS), "forecast", "amount")
    words = {name: str(label) for name, label in _FORECASTS.items()}
    long["forecast"] = long["forecast"].map(words)
    names = list(words.values())
    x = alt.X("yearmonth(day):T", title=None, axis=alt.Axis(format="%b %y", grid=False, labelOverlap=True))
    y = alt.Y("amount:Q", title=None, axis=alt.Axis(labelExpr=AMOUNT_LABELS, tickCount=5))
    band = alt.Chart(shown[["day", "low", "high"]]).mark_area(color=BAND).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"))
    legend = _legend(names, width)
    colour = alt.Color("forecast:N", scale=alt.Scale(domain=names, range=[ACCENT, QUIET, MUTED, INK]), legend=legend)
    shape = alt.Shape(
        "forecast:N",
        scale=alt.Scale(domain=names, range=["circle", "square", "cross", "diamond"]),
        legend=legend,
    )
    lines = alt.Chart(long).mark_line(strokeWidth=1.5).encode(x, y, colour)
    marks = alt.Chart(long).mark_point(filled=True, size=60, opacity=1).encode(x, y, colour, shape)
    chart = alt.layer(band, lines, marks).properties(width=width - 60, height=240)
    what = text("Band: 80% interval of winpredict")
    return styled(chart, text("Past forecasts and what was booked"), what, width)


def _legend(names: Sequence[str], width: int) -> alt.Legend:
    """One entry to a line where two would not fit."""
    longest = max(map(len, names)) * _LETTER + 24
    columns = 2 if 2 * longest <= width - 40 else 1
    return alt.Legend(title=None, columns=columns, labelLimit=width - 60)
