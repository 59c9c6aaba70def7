"""Signals and changes in words."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from winpredict.insights._phrases import counted, duration, percent

if TYPE_CHECKING:
    from winpredict.insights.control import ControlChart

#: Groups as a sentence names them; others are "where the product is Core", "product Core".
_WHERE = {"customer": " with {} customers", "team": " of team {}", "size": " of deals of {}"}
_NAMED = {"customer": "{} customers", "team": "team {}", "size": "deals of {}"}


def where(segment: str, words: str, group: str) -> str:
    """A group behind the name of a measure; empty for all deals.

    Examples
    --------
    >>> where("customer", "new or existing customer", "new"), where("product", "product", "Core"), where("", "", "all")
    (' with new customers', ' where the product is Core', '')
    """
    if not segment:
        return ""
    return _WHERE.get(segment, f" where the {words} is {{}}").format(group)


def named(segment: str, words: str, group: str) -> str:
    """A group by itself.

    Examples
    --------
    >>> named("product", "product", "Core"), named("customer", "new or existing customer", "new")
    ('product Core', 'new customers')
    """
    return _NAMED.get(segment, f"{words} {{}}").format(group)


def value_in_words(value: float, unit: str) -> str:
    """A value of a chart with its unit; shares have the unit "share".

    Examples
    --------
    >>> value_in_words(0.314, "share"), value_in_words(52.3, "days"), value_in_words(12.34, "touches")
    ('31%', '52 days', '12.3 touches')
    """
    if unit == "share":
        return percent(value)
    if unit == "days":
        return duration(value)
    digits = 0 if unit == "deals" or abs(value) >= 100 or float(value).is_integer() else 1
    return f"{value:,.{digits}f} {unit}".strip()


def period_in_words(moment: Any, period: str) -> str:
    """The name of a period.

    Examples
    --------
    >>> period_in_words(pd.Timestamp("2024-03-01", tz="UTC"), "month"), period_in_words(7, "")
    ('March 2024', 'period 7')
    """
    if period == "month":
        return f"{pd.Timestamp(moment):%B %Y}"
    if period == "week":
        return f"the week of {pd.Timestamp(moment).day} {pd.Timestamp(moment):%B %Y}"
    return f"period {moment}"


def of_chart(chart: "ControlChart") -> list[str]:
    """What a chart says: a change, single periods that stand out, or a wobble."""
    if not chart.bounds:
        return []
    name = f"The {chart.name}"
    if chart.change is not None:
        said = [f"{name} changed {change(chart.change, chart)}."]
        return [*said, *(f"An earlier change came {change(row, chart)}." for _, row in _earlier(chart))]
    single = chart.frame[chart.frame["signal"] != ""]
    if len(single):
        return [f"{name} stood out {stood_out(chart)}; there is no lasting change."]
    return [f"Wobble: {normal_variation(chart)}."]


def _earlier(chart: "ControlChart") -> list[tuple[Any, pd.Series]]:
    return list(chart.changes.iloc[:-1][::-1].iterrows())


def change(row: pd.Series, chart: "ControlChart") -> str:
    """When a level changed, from what to what."""
    before, after = value_in_words(row["before"], chart.unit), value_in_words(row["after"], chart.unit)
    since = "" if pd.isna(row["n_after"]) else f" ({counted(row['n_after'], 'deal')})"
    return (
        f"in {period_in_words(row['period'], chart.period)}{_plausible(row, chart.period)}: "
        f"{before} before, {after} since{since}"
    )


def _plausible(row: pd.Series, period: str) -> str:
    if row["earliest"] == row["latest"]:
        return ""
    return f" (or between {period_in_words(row['earliest'], period)} and {period_in_words(row['latest'], period)})"


def stood_out(chart: "ControlChart") -> str:
    """Which periods stand out, with their values."""
    rows = chart.frame[chart.frame["signal"] != ""]
    told = [
        f"in {period_in_words(row['period'], chart.period)} ({value_in_words(float(row['value']), chart.unit)})"
        for _, row in rows.tail(3).iterrows()
    ]
    return f"{', '.join(told)} against a usual {value_in_words(rows['centre'].iloc[0], chart.unit)}"


def normal_variation(chart: "ControlChart") -> str:
    """The range of a series in which nothing changed."""
    low, high = chart.frame["value"].min(), chart.frame["value"].max()
    return (
        f"the {chart.name} moved between {value_in_words(low, chart.unit)} and {value_in_words(high, chart.unit)} "
        f"a {chart.period or 'period'}, which is no more than chance"
    )
