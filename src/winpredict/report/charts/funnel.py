"""Charts of the funnel: deals by stage now and over time, and what becomes of deals in each stage."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from babel.dates import format_date

from winpredict.insights.labels import group_label
from winpredict.locale import formats
from winpredict.locale.language import current
from winpredict.locale.text import Text, said, text, texts
from winpredict.report.charts._rows import Rows, rows
from winpredict.report.charts.style import ACCENT, BAND, DOWN, INK, MUTED, PAPER, QUIET, WIDE, share_ticks, styled

_STRIP = 42
#: Pixels that a letter beside a bar takes.
_LETTER = 6.2


def stage_chart(now: pd.DataFrame, width: int = WIDE, currency: str | None = "") -> Any:
    """Number and amount of open deals by stage, in the order of the stages.

    Parameters
    ----------
    now : DataFrame
        `winpredict.insights.funnel.Funnel.now`.
    width : int
        Width of the whole chart in pixels; narrow ones put the amounts below the numbers.
    currency : str or None
        Of the amounts: empty where none is recorded, None where there are several.

    Returns
    -------
    altair chart
    """
    shown = now[["stage", "deals", "amount"]].copy()
    shown["amount"] = shown["amount"].astype(float)
    shown["stage"] = [str(group_label("stage", stage)) for stage in shown["stage"]]
    shown["deals_text"] = [formats.count(deals) for deals in shown["deals"]]
    shown["amount_text"] = [_amount(value, currency) for value in shown["amount"]]
    wide = width >= WIDE
    names = list(shown["stage"])
    left = _stage_bars(shown, "deals", "deals_text", rows("stage", names, width))
    if wide:
        panel = left.width // 2 - 12
        left = left.properties(width=panel)
        right = _stage_bars(shown, "amount", "amount_text", rows("stage", names, width, named=False)).properties(
            width=panel
        )
        chart: Any = alt.hconcat(left, right, spacing=20)
    else:
        chart = alt.vconcat(left, _stage_bars(shown, "amount", "amount_text", rows("stage", names, width)), spacing=12)
    return styled(chart, text("Open deals by stage"), text("How many there are, and what they are worth"), width)


def _stage_bars(shown: pd.DataFrame, figure: str, text: str, placed: Rows) -> Any:
    top = float(np.nanmax(np.append(shown[figure].to_numpy(np.float64), 0.0))) or 1.0
    length = alt.X(f"{figure}:Q", title=None, axis=None, scale=alt.Scale(domain=[0, 1.3 * top], nice=False))
    base = alt.Chart(shown).encode(placed.y)
    bars = base.mark_bar(color=ACCENT if figure == "deals" else QUIET, height=18).encode(length)
    end = alt.X("end:Q", title=None, axis=None, scale=alt.Scale(domain=[0, 1.3 * top], nice=False))
    numbers = base.mark_text(align="left", dx=5, color=INK).transform_calculate(end=f"datum.{figure} || 0")
    numbers = numbers.encode(end, alt.Text(f"{text}:N"))
    words = said("Number") if figure == "deals" else said("Amount")
    heading = alt.TitleParams(
        words, anchor="start", fontSize=12, fontWeight="normal", color=MUTED, frame="group"
    )  # fmt: skip
    return alt.layer(bars, numbers).properties(width=placed.width, height=placed.height, title=heading)


def _amount(amount: float, currency: str | None) -> str:
    return said("unknown") if np.isnan(amount) else formats.rough_money((amount, currency))


def history_chart(history: pd.DataFrame, width: int = WIDE) -> Any:
    """Open deals in each stage at the month ends, one strip a stage on a common scale.

    Parameters
    ----------
    history : DataFrame
        `winpredict.insights.funnel.Funnel.history`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    shown = history[["stage", "deals"]].copy()
    ends = history["month_end"] - pd.Timedelta("1us")
    shown["month"] = [_month(end) for end in ends]
    shown["stage"] = [str(group_label("stage", stage)) for stage in shown["stage"]]
    stages, months = list(dict.fromkeys(shown["stage"])), list(dict.fromkeys(shown["month"]))
    top = float(shown["deals"].max()) if len(shown) else 1.0
    strips = [_strip(shown[shown["stage"] == stage], months, top or 1.0, width) for stage in stages]
    if strips:
        strips[-1] = _strip(shown[shown["stage"] == stages[-1]], months, top or 1.0, width, axis=_months(months))
    title = texts(
        "Open deals at the last {n:count} month end", "Open deals at the last {n:count} month ends", n=len(months)
    )
    chart = (
        alt.vconcat(*strips, spacing=8)
        if strips
        else alt.Chart(pd.DataFrame({"deals": []})).mark_area().encode(x="deals:Q")
    )
    return styled(chart, title, text("By stage, on one scale; figure at the right: the latest"), width)


def _month(end: pd.Timestamp) -> str:
    """A month as short as the language has it: "Mar 25"."""
    return format_date(end, "MMM yy", locale=current().locale)


def _months(months: list[str]) -> alt.Axis:
    """Every third month is named, counted back from the latest."""
    return alt.Axis(values=months[::-1][::3], labelAngle=0, grid=False, ticks=True)


def _strip(shown: pd.DataFrame, months: list[str], top: float, width: int, axis: alt.Axis | None = None) -> Any:
    month = alt.X("month:O", title=None, axis=axis, sort=months, scale=alt.Scale(type="point", padding=0.3))
    deals = alt.Y("deals:Q", title=None, axis=None, scale=alt.Scale(domain=[0, top], nice=False))
    base = alt.Chart(shown).encode(month, deals)
    area = base.mark_area(color=BAND, line={"color": ACCENT, "strokeWidth": 1.5})
    dots = base.mark_point(filled=True, size=22, color=ACCENT, opacity=1).encode(
        tooltip=[alt.Tooltip("month:O", title=said("month")), alt.Tooltip("deals:Q", title=said("deals"))]
    )
    number = alt.Chart(shown.tail(1)).encode(month, deals).mark_text(align="left", dx=6, color=INK, fontWeight="bold")
    heading = alt.TitleParams(
        str(shown["stage"].iloc[0]), anchor="start", fontSize=12, fontWeight="normal", color=INK, offset=2,
        frame="group",
    )  # fmt: skip
    layers = alt.layer(area, dots, number.encode(alt.Text("deals:Q", format=",")))
    return layers.properties(width=width - 46, height=_STRIP, title=heading)


def conversion_chart(conversion: pd.DataFrame, width: int = WIDE) -> Any:
    """What becomes of the deals that reach each stage: moved on, lost, or not known yet; and how long it takes.

    Parameters
    ----------
    conversion : DataFrame
        `winpredict.insights.funnel.Funnel.conversion`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    shown = _shares(conversion)
    right = 16 + round(_LETTER * max(map(len, shown["lost_text"]), default=0))
    placed = rows("label", list(shown["label"]), width, right=right)
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(shown).encode(placed.y)
    axis = alt.Axis(format=".0%", values=share_ticks(width), labelFlush=True)
    on = base.mark_bar(color=ACCENT, height=18).encode(
        alt.X("start:Q", title=said("share of deals"), scale=scale, axis=axis), alt.X2("moved_on:Q")
    )
    lost = base.mark_bar(color=DOWN, height=18).encode(alt.X("lost_from:Q", scale=scale), alt.X2("end:Q"))
    on_text = base.mark_text(align="left", dx=5, color=PAPER).encode(alt.X("start:Q"), alt.Text("on_text:N"))
    lost_text = base.mark_text(align="left", dx=5, color=DOWN).encode(alt.X("end:Q"), alt.Text("lost_text:N"))
    chart = alt.layer(on, lost, on_text, lost_text).properties(width=placed.width, height=placed.height)
    subtitle = [
        text("Left: moved on or won; right: lost"), text("in brackets: days until half have left the stage")
    ]  # fmt: skip
    return styled(chart, text("What becomes of deals in each stage"), subtitle, width)


def _shares(conversion: pd.DataFrame) -> pd.DataFrame:
    known = conversion[conversion["moved_on_finally"].notna()]
    moved, lost = known["moved_on_finally"].to_numpy(np.float64), known["lost_finally"].to_numpy(np.float64)
    out = pd.DataFrame({"moved_on": moved, "lost_from": 1.0 - lost}).assign(start=0.0, end=1.0)
    medians = known["median_days"].to_numpy(np.float64)
    labels = [group_label("stage", stage) for stage in known["stage"]]
    out["label"] = [str(_with_days(label, days)) for label, days in zip(labels, medians, strict=True)]
    # a short bar has no room for its number
    out["on_text"] = [said("{share:percent} on", share=float(value)) if value >= 0.3 else "" for value in moved]
    out["lost_text"] = [said("{share:percent} lost", share=float(value)) for value in lost]
    return out


def _with_days(stage: Text | str, days: float) -> Text | str:
    if np.isnan(days):
        return stage
    if days < 0.5:
        return text("{stage} (under a day)", stage=stage)
    return texts("{stage} ({n:count} day)", "{stage} ({n:count} days)", stage=stage, n=days)
