"""Charts of the drivers: how strong, which way, and what is left of an effect after adjustment."""

from textwrap import wrap
from typing import Any

import altair as alt
import pandas as pd

from winpredict.insights.labels import capital, group_label
from winpredict.locale.text import Text, said, text
from winpredict.report.charts._rows import rows
from winpredict.report.charts.style import ACCENT, AMOUNT_LABELS, BAND, INK, MUTED, QUIET, WIDE, styled

_MAX_DRIVERS = 14
#: Pixels that a letter of an axis title takes.
_LETTER = 6.4
_POINTS = alt.Axis(labelExpr="datum.value == 0 ? '0' : format(datum.value * 100, '+.2~f')", tickCount=5)


def strength_chart(
    themes: pd.DataFrame, width: int = WIDE, *, title: object = "", upto: float = 0.0, most: int = _MAX_DRIVERS
) -> Any:
    """How far each driver moves the odds on average, with its band; those without evidence are crossed.

    Parameters
    ----------
    themes : DataFrame
        `winpredict.explain.drivers.Drivers.themes`, or the rows of one group of ``groups``.
    width : int
        Width of the whole chart in pixels.
    title : Text or str
        By default that of all deals.
    upto : float
        Where the scale ends at least, for charts that stand side by side.
    most : int
        Drivers shown at the most.

    Returns
    -------
    altair chart
    """
    shown = themes.head(most)
    with_evidence, without = said("evidence that it matters"), said("no evidence")
    evidence = shown["evidence"].astype(bool) if "evidence" in shown else pd.Series(True, index=shown.index)
    shown = shown.assign(
        name=[str(name) for name in shown["name"]], found=evidence.map({True: with_evidence, False: without})
    )
    placed = rows("name", list(shown["name"]), width, right=12)
    scale = alt.Scale(domain=[0, max(upto, float(shown["high"].max())) * 1.05], nice=False)
    axis = alt.Axis(labelExpr="format(datum.value * 100, '~f')", tickCount=4)
    base = alt.Chart(shown[["name", "strength", "low", "high", "found"]]).encode(placed.y)
    bars = base.mark_bar(color=BAND, height=8).encode(alt.X("strength:Q", title=None, axis=axis, scale=scale))
    band = base.mark_rule(strokeWidth=2, color=INK).encode(alt.X("low:Q", scale=scale), alt.X2("high:Q"))
    kinds = [with_evidence, without]
    shapes, colours = (alt.Scale(domain=kinds, range=each) for each in (["circle", "cross"], [ACCENT, MUTED]))
    marks = base.mark_point(size=70, filled=True, opacity=1).encode(
        alt.X("strength:Q", scale=scale),
        alt.Shape("found:N", scale=shapes, legend=alt.Legend(title=None)),
        alt.Color("found:N", scale=colours, legend=alt.Legend(title=None)),
        tooltip=[
            alt.Tooltip("name:N", title=said("driver")),
            alt.Tooltip("strength:Q", title=said("average effect"), format=".1%"),
            alt.Tooltip("found:N", title=said("evidence")),
        ],
    )
    chart = alt.layer(bars, band, marks).properties(width=placed.width, height=placed.height)
    what = text("Average size of the effect on a deal’s odds, in points; line: 95% interval")
    return styled(chart, title or text("What moves the win odds"), what, width)


def shape_chart(dependence: pd.DataFrame, name: object, width: int = WIDE) -> Any:
    """How a driver's effect depends on its figure: mean and middle half of the deals in each bin.

    Parameters
    ----------
    dependence : DataFrame
        The rows of one theme of `winpredict.explain.drivers.Drivers.dependence`.
    name : Text or str
        The driver in words.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    if dependence["value"].notna().any():
        return _line(dependence.dropna(subset="value"), capital(str(name)), width)
    labels = zip(dependence["feature"], dependence["label"], strict=True)
    shown = dependence.assign(label=[str(value_name(feature, label)) for feature, label in labels])
    placed = rows("label", list(shown["label"]), width, right=12)
    base = alt.Chart(shown[["label", "points", "low", "high", "n"]]).encode(placed.y)
    x = alt.X("points:Q", title=None, axis=_POINTS)
    bars = base.mark_rule(strokeWidth=6, strokeCap="round", color=BAND).encode(
        alt.X("low:Q", title=None, axis=_POINTS), alt.X2("high:Q")
    )
    marks = base.mark_point(size=70, filled=True, color=ACCENT, opacity=1).encode(x, tooltip=_shape_tooltips("label:N"))
    chart = alt.layer(_zero("x"), bars, marks).properties(width=placed.width, height=placed.height)
    what = text("Effect on the odds, in points; bar: the middle half of the deals")
    return styled(chart, capital(str(name)), what, width)


def effects_chart(effects: pd.DataFrame, width: int = WIDE) -> Any:
    """Raw and adjusted differences in win rates of what is controllable, with 90% intervals.

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
    kinds = [said("all deals"), said("deals alike at the start")]
    parts = [
        pd.DataFrame(
            {
                "label": [capital(str(words)) for words in known["sentence"]], "kind": kind,
                "value": known[name].astype(float), "low": known[f"{name}_low"].astype(float),
                "high": known[f"{name}_high"].astype(float),
            }
        )
        for name, kind in zip(("raw", "adjusted"), kinds, strict=True)
    ]  # fmt: skip
    shown = pd.concat(parts, ignore_index=True).dropna()
    placed = rows("label", list(dict.fromkeys(shown["label"])), width, right=12)
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
    what = text("Difference in win rates, in percentage points; line: 90% interval")
    return styled(chart, text("Win rate with and without each action"), what, width)


def _line(shown: pd.DataFrame, name: str, width: int) -> Any:
    words = wrap(str(shown["sentence"].iloc[0]), round((width - 70) / _LETTER))
    share = shown["unit"].iloc[0] in ("share", "points")
    x = alt.X("value:Q", title=words, axis=_POINTS if share else alt.Axis(labelExpr=AMOUNT_LABELS, tickCount=5))
    axis = _POINTS
    base = alt.Chart(shown[["value", "points", "low", "high", "n"]])
    area = base.mark_area(color=BAND).encode(x, alt.Y("low:Q", title=None, axis=axis), alt.Y2("high:Q"))
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(x, alt.Y("points:Q", title=None, axis=axis))
    marks = base.mark_point(filled=True, color=ACCENT, size=45, opacity=1).encode(
        x, alt.Y("points:Q", title=None, axis=axis), tooltip=_shape_tooltips("value:Q")
    )
    chart = alt.layer(area, _zero("y"), line, marks).properties(width=width - 70, height=200)
    return styled(chart, name, text("Effect on the odds, in points; band: the middle half of the deals"), width)


def value_name(feature: str, label: str) -> Text | str:
    """A value of a feature as people read it; names from the CRM stay as they are."""
    if label == "not known":
        return text("not known")
    return group_label("customer", label) if feature == "deal_type" else label


def _shape_tooltips(value: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(value, title=said("value")),
        alt.Tooltip("points:Q", title=said("effect on the odds"), format="+.1%"),
        alt.Tooltip("n:Q", title=said("deals")),
    ]


def _zero(axis: str) -> Any:
    at_zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=MUTED, strokeDash=[4, 4])
    return at_zero.encode(**{axis: alt.datum(0.0)})
