"""Charts of the closed-won analysis: win rates of groups, and reasons for losing."""

from typing import Any

import altair as alt
import pandas as pd

from winpredict.insights.labels import group_label, segment_label
from winpredict.locale import formats
from winpredict.locale.text import said, text
from winpredict.report.charts._rows import rows
from winpredict.report.charts.style import ACCENT, BAND, INK, MUTED, PAPER, WIDE, legend_lines, share_ticks, styled

#: So many groups at most; of more, those with the most closed deals.
MAX_GROUPS = 25


def win_rate_chart(groups: pd.DataFrame, overall: pd.DataFrame, width: int = WIDE) -> Any:
    """Win rates of the groups of one segment, with intervals, against the overall rate and the period before.

    Parameters
    ----------
    groups : DataFrame
        The rows of one segment of `winpredict.insights.winrates.ClosedWon.segments`.
    overall : DataFrame
        `ClosedWon.overall`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
        Groups in the order given; where there are more than `MAX_GROUPS`, the largest ones by win rate.
    """
    shown = _shown(groups)
    segment = segment_label(*groups[["segment", "words"]].iloc[0]) if len(groups) else text("group")
    rate = float(overall["win_rate"].iloc[0])
    placed = rows("label", list(shown["label"]), width, right=12)
    axis = alt.Axis(format="%", values=share_ticks(width), labelFlush=True)
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(shown).encode(placed.y)
    bars = base.mark_rule(strokeWidth=6, color=BAND, strokeCap="round").encode(
        alt.X("win_rate_low:Q", title=said("win rate"), axis=axis, scale=scale), alt.X2("win_rate_high:Q")
    )
    before = base.mark_point(size=130, filled=False, color=INK, strokeWidth=1.5, opacity=1)
    before = before.encode(alt.X("win_rate_before:Q", scale=scale))
    now = base.mark_point(size=70, filled=True, color=ACCENT, opacity=1)
    now = now.encode(alt.X("win_rate:Q", scale=scale), tooltip=_tooltips())
    line = alt.Chart(pd.DataFrame({"rate": [rate]})).mark_rule(strokeDash=[5, 4], color=MUTED)
    line = line.encode(alt.X("rate:Q", scale=scale))
    chart = alt.layer(bars, line, before, now).properties(width=placed.width, height=placed.height)
    return styled(chart, text("Win rate by {segment}", segment=segment), _subtitle(groups, shown, rate, width), width)


def _shown(groups: pd.DataFrame) -> pd.DataFrame:
    shown = groups.copy()
    if len(groups) > MAX_GROUPS:
        most = groups.sort_values(["n", "group"], ascending=[False, True]).head(MAX_GROUPS)
        shown = most.sort_values(["win_rate", "group"], ascending=[False, True])
    shown["label"] = [
        f"{group_label(segment, group)} ({formats.count(n)})"
        for segment, group, n in zip(shown["segment"], shown["group"], shown["n"], strict=True)
    ]
    columns = ["label", "win_rate", "win_rate_low", "win_rate_high", "win_rate_before", "won", "n"]
    return shown[columns].astype({"win_rate_before": float})


def _subtitle(groups: pd.DataFrame, shown: pd.DataFrame, rate: float, width: int) -> list[str]:
    parts = [text("Dot: win rate, with its 95% interval"), text("dashed: all deals, {rate:percent}", rate=rate)]
    if shown["win_rate_before"].notna().any():
        parts.insert(1, text("ring: the period before"))
    parts.append(text("in brackets: deals closed"))
    if len(shown) < len(groups):
        parts.append(text("the {shown:count} largest of {n:count}", shown=len(shown), n=len(groups)))
    return legend_lines(parts, width)


def _tooltips() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title=said("group (deals closed)")),
        alt.Tooltip("win_rate:Q", title=said("win rate"), format=".0%"),
        alt.Tooltip("win_rate_before:Q", title=said("win rate before"), format=".0%"),
    ]


def loss_reasons_chart(loss_reasons: pd.DataFrame, width: int = WIDE) -> Any:
    """How often each reason is recorded for lost deals, now and in the period before.

    Parameters
    ----------
    loss_reasons : DataFrame
        `winpredict.insights.winrates.ClosedWon.loss_reasons`.
    width : int
        Width of the whole chart in pixels.

    Returns
    -------
    altair chart
    """
    shown = loss_reasons.head(MAX_GROUPS)[["reason", "n", "share", "share_before"]].copy()
    shown["share_before"] = shown["share_before"].astype(float)
    shown["label"] = [
        f"{formats.percent(part)} ({formats.count(n)})" for part, n in zip(shown["share"], shown["n"], strict=True)
    ]
    shown["reason"] = [str(group_label("", reason)) for reason in shown["reason"]]
    top = float(shown[["share", "share_before"]].max().max()) if len(shown) else 1.0
    placed = rows("reason", list(shown["reason"]), width, right=12)
    scale = alt.Scale(domain=[0, (1.35 if width >= WIDE else 1.6) * (top or 1.0)], nice=False)
    axis = alt.Axis(format="%", tickCount=4)
    base = alt.Chart(shown).encode(placed.y)
    bars = base.mark_bar(color=ACCENT, height=16).encode(
        alt.X("share:Q", title=said("share of lost deals"), scale=scale, axis=axis)
    )
    figures = base.mark_text(align="left", dx=14, color=INK).encode(alt.X("end:Q", scale=scale), alt.Text("label:N"))
    figures = figures.transform_calculate(end="max(datum.share, datum.share_before || 0)")
    before = base.mark_point(size=60, filled=True, fill=PAPER, stroke=INK, strokeWidth=1.5, opacity=1)
    before = before.encode(alt.X("share_before:Q", scale=scale))
    chart = alt.layer(bars, before, figures).properties(width=placed.width, height=placed.height)
    had = shown["share_before"].notna().any()
    subtitle = [text("Bar: share of the lost deals (number)"), *([text("ring: the period before")] if had else [])]
    return styled(chart, text("Why deals were lost"), legend_lines(subtitle, width), width)
