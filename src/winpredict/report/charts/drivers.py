"""Charts of the drivers: how strong, which way, and what is left of an effect after adjustment."""

from typing import Any

import altair as alt
import pandas as pd

from winpredict.report.charts._rows import rows
from winpredict.report.charts.style import ACCENT, BAND, INK, MUTED, QUIET, WIDE, styled

_MAX_DRIVERS = 14
_POINTS = alt.Axis(labelExpr="datum.value == 0 ? '0' : format(datum.value * 100, '+.2~f')", tickCount=5)
_SHAPES = {"evidence": "circle", "no evidence": "cross"}


def strength_chart(
    themes: pd.DataFrame, width: int = WIDE, *, title: str = "What moves the win odds", upto: float = 0.0
) -> Any:
    """How far each driver moves the odds on average, with its band; those without evidence are crossed.

    Parameters
    ----------
    themes : DataFrame
        `winpredict.explain.drivers.Drivers.themes`, or the rows of one group of ``groups``.
    width : int
        Width of the whole chart in pixels.
    title : str
    upto : float
        Where the scale ends at least, for charts that stand side by side.

    Returns
    -------
    altair chart
    """
    shown = themes.head(_MAX_DRIVERS)
    shown = shown.assign(
        found=shown["evidence"].map({True: "evidence", False: "no evidence"}) if "evidence" in shown else "evidence"
    )
    placed = rows("name", list(shown["name"]), width, right=12)
    scale = alt.Scale(domain=[0, max(upto, float(shown["high"].max())) * 1.05], nice=False)
    axis = alt.Axis(labelExpr="datum.value * 100", tickCount=4)
    base = alt.Chart(shown[["name", "strength", "low", "high", "found"]]).encode(placed.y)
    bars = base.mark_bar(color=BAND, height=8).encode(alt.X("strength:Q", title=None, axis=axis, scale=scale))
    band = base.mark_rule(strokeWidth=2, color=INK).encode(alt.X("low:Q", scale=scale), alt.X2("high:Q"))
    shapes = alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values()))
    colours = alt.Scale(domain=list(_SHAPES), range=[ACCENT, MUTED])
    marks = base.mark_point(size=70, filled=True, opacity=1).encode(
        alt.X("strength:Q", scale=scale),
        alt.Shape("found:N", scale=shapes, legend=alt.Legend(title=None)),
        alt.Color("found:N", scale=colours, legend=alt.Legend(title=None)),
        tooltip=["name", alt.Tooltip("strength:Q", format=".1%"), "found"],
    )
    chart = alt.layer(bars, band, marks).properties(width=placed.width, height=placed.height)
    return styled(chart, title, "mean size of the effect on a deal's odds, points", width)


def shape_chart(dependence: pd.DataFrame, name: str, width: int = WIDE) -> Any:
    """How a driver's effect depends on its figure: mean and middle half of the deals in each bin.

    Parameters
    ----------
    dependence : DataFrame
        The rows of one theme of `winpredict.explain.drivers.Drivers.dependence`.
    name : str
        The driver in words.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    if dependence["value"].notna().any():
        return _line(dependence.dropna(subset="value"), name, width)
    placed = rows("label", list(dependence["label"]), width, right=12)
    base = alt.Chart(dependence[["label", "points", "low", "high", "n"]]).encode(placed.y)
    x = alt.X("points:Q", title=None, axis=_POINTS)
    bars = base.mark_rule(strokeWidth=6, strokeCap="round", color=BAND).encode(
        alt.X("low:Q", title=None, axis=_POINTS), alt.X2("high:Q")
    )
    marks = base.mark_point(size=70, filled=True, color=ACCENT, opacity=1).encode(x, tooltip=["label", "points", "n"])
    chart = alt.layer(_zero("x"), bars, marks).properties(width=placed.width, height=placed.height)
    return styled(chart, _upper(name), "effect on the odds, points; bar: the middle half of the deals", width)


def effects_chart(effects: pd.DataFrame, width: int = WIDE) -> Any:
    """Raw and adjusted differences in win rates of what is in our hands, with 90% intervals.

    Parameters
    ----------
    effects : DataFrame
        `winpredict.explain.effects.Effects.effects`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    known = effects[effects["raw"].notna()]
    parts = [
        pd.DataFrame(
            {
                "label": known["sentence"], "kind": kind,
                "value": known[name].astype(float), "low": known[f"{name}_low"].astype(float),
                "high": known[f"{name}_high"].astype(float),
            }
        )
        for name, kind in (("raw", "all deals"), ("adjusted", "deals alike at the start"))
    ]  # fmt: skip
    shown = pd.concat(parts, ignore_index=True).dropna()
    placed = rows("label", list(dict.fromkeys(shown["label"])), width, right=12)
    kinds = ["all deals", "deals alike at the start"]
    colour = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[QUIET, ACCENT]), legend=alt.Legend(title=None))
    shape = alt.Shape(
        "kind:N", scale=alt.Scale(domain=kinds, range=["diamond", "circle"]), legend=alt.Legend(title=None)
    )
    layers = [_zero("x")]
    for kind, down in zip(kinds, (-4, 8), strict=True):  # one below the other, and both below a name on a phone
        base = alt.Chart(shown[shown["kind"] == kind]).encode(placed.y, colour)
        x = alt.X("value:Q", title=None, axis=_POINTS)
        layers.append(base.mark_rule(strokeWidth=2, yOffset=down).encode(alt.X("low:Q"), alt.X2("high:Q")))
        layers.append(base.mark_point(size=70, filled=True, opacity=1, yOffset=down).encode(x, shape))
    chart = alt.layer(*layers).properties(width=placed.width, height=placed.height)
    subtitle = "difference in win rates, percentage points; bar: 90% interval"
    return styled(chart, "Won more often with than without", subtitle, width)


def _line(shown: pd.DataFrame, name: str, width: int) -> Any:
    words = str(shown["sentence"].iloc[0])
    share = shown["unit"].iloc[0] in ("share", "points")
    x = alt.X("value:Q", title=words, axis=_POINTS if share else alt.Axis(format="~s", tickCount=5))
    axis = _POINTS
    base = alt.Chart(shown[["value", "points", "low", "high", "n"]])
    area = base.mark_area(color=BAND).encode(x, alt.Y("low:Q", title=None, axis=axis), alt.Y2("high:Q"))
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(x, alt.Y("points:Q", title=None, axis=axis))
    marks = base.mark_point(filled=True, color=ACCENT, size=45, opacity=1).encode(
        x, alt.Y("points:Q", title=None, axis=axis), tooltip=["value", "points", "n"]
    )
    chart = alt.layer(area, _zero("y"), line, marks).properties(width=width - 70, height=200)
    return styled(chart, _upper(name), "effect on the odds, points; band: the middle half of the deals", width)


def _zero(axis: str) -> Any:
    at_zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=MUTED, strokeDash=[4, 4])
    return at_zero.encode(**{axis: alt.datum(0.0)})


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
