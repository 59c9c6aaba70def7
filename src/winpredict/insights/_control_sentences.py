"""Signals and changes in words."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from winpredict.insights.labels import capital, joined, period_label, value_label
from winpredict.locale.text import said, text, texts

if TYPE_CHECKING:
    from winpredict.insights.control import ControlChart

_NAMED = 3


def of_chart(chart: "ControlChart") -> list[str]:
    """What a chart says: a change, single periods that stand out, or normal variation."""
    if not chart.bounds:
        return []
    if chart.change is not None:
        return [change(chart.change, chart), *earlier_changes(chart)]
    if (chart.frame["signal"] != "").any():
        return [stood_out(chart)]
    return [normal_variation(chart)]


def earlier_changes(chart: "ControlChart") -> list[str]:
    """The changes before the latest one, the latest of them first."""
    rows = list(chart.changes.iloc[:-1][::-1].iterrows())
    return [
        said(
            "Earlier change of {name}: {before} until {period}, then {after}.",
            name=chart.name,
            before=value_label(row["before"], chart.unit),
            period=period_label(row["period"], chart.period),
            after=value_label(row["after"], chart.unit),
        )
        for _, row in rows
    ]


def change(row: pd.Series, chart: "ControlChart") -> str:
    """When a level changed, from what to what, and how sure the date is."""
    values: dict[str, Any] = {
        "name": capital(chart.name),
        "before": value_label(row["before"], chart.unit),
        "after": value_label(row["after"], chart.unit),
        "period": period_label(row["period"], chart.period),
    }
    if pd.isna(row["n_after"]):
        first = text("{name}: changed from {before} to {after} since {period}.", **values)
    else:
        first = texts(
            "{name}: changed from {before} to {after} since {period} ({n:count} deal).",
            "{name}: changed from {before} to {after} since {period} ({n:count} deals).",
            n=float(row["n_after"]),
            **values,
        )
    if row["earliest"] == row["latest"]:
        return str(first)
    plausible = text(
        "It may have begun at any time from {earliest} to {latest}.",
        earliest=period_label(row["earliest"], chart.period),
        latest=period_label(row["latest"], chart.period),
    )
    return joined(first, plausible)


def stood_out(chart: "ControlChart") -> str:
    """Which periods stand out, with their values."""
    rows = chart.frame[chart.frame["signal"] != ""]
    shown = tuple(
        text(
            "{period} ({value})",
            period=period_label(row["period"], chart.period),
            value=value_label(float(row["value"]), chart.unit),
        )
        for _, row in rows.tail(_NAMED).iterrows()
    )
    return said(
        "{name}: {periods:listed} stood out against a usual {usual}; no lasting change.",
        name=capital(chart.name),
        periods=shown,
        usual=value_label(rows["centre"].iloc[0], chart.unit),
    )


def normal_variation(chart: "ControlChart") -> str:
    """The range of a series in which nothing changed."""
    values = {
        "name": capital(chart.name),
        "low": value_label(chart.frame["value"].min(), chart.unit),
        "high": value_label(chart.frame["value"].max(), chart.unit),
    }
    if chart.period == "month":
        return said("{name}: {low} to {high} a month, which is normal variation.", **values)
    if chart.period == "week":
        return said("{name}: {low} to {high} a week, which is normal variation.", **values)
    return said("{name}: {low} to {high}, which is normal variation.", **values)
