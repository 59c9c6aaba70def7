"""What people read for the keys in tables of insights: segments, groups, periods, measures and their values.

The frames keep plain keys, such as ``customer`` or ``this month``, which code compares; names from the CRM stay as they
are in every language.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from winpredict.insights._causes import ALL_ALIKE, MIX_ONLY, NOT_RECORDED, OTHERS
from winpredict.insights.deals import SEGMENTS
from winpredict.locale.text import Text, said, text, texts

#: Segments, by their keys in the frames.
SEGMENT_LABELS: Mapping[str, Text] = {
    "customer": text("new or existing customer"),
    "size": text("deal size"),
    "product": text("product"),
    "team": text("team"),
    "rep": text("rep"),
    "lead_source": text("lead source"),
    "touches_band": text("number of touches"),
    "people_band": text("colleagues involved"),
    "contacts_band": text("contacts involved"),
    "speed": text("time to close"),
    "stage": text("stage"),
    "period": text("quarter of creation"),
}
#: Periods of the forecast, for the head of a line and within a sentence.
PERIOD_TITLES: Mapping[str, Text] = {
    "this month": text("This month"),
    "next month": text("Next month"),
    "this quarter": text("This quarter"),
    "next quarter": text("Next quarter"),
}
PERIODS: Mapping[str, Text] = {
    "this month": text("this month"),
    "next month": text("next month"),
    "this quarter": text("this quarter"),
    "next quarter": text("next quarter"),
}
#: Measures of the control charts.
MEASURE_LABELS: Mapping[str, Text] = {
    "win_rate": text("win rate"),
    "new_deals": text("new deals"),
    "cycle_days": text("cycle time of won deals"),
    "touches": text("touches per closed deal"),
}
#: Forecasts that are compared.
FORECAST_LABELS: Mapping[str, Text] = {
    "winpredict": text("winpredict"),
    "stage-weighted": text("stage-weighted"),
    "same period last year": text("same period last year"),
}
#: Why a period is marked in a control chart.
SIGNAL_LABELS: Mapping[str, Text] = {
    "outside the limits": text("outside the limits"),
    "2 of 3 far on one side": text("2 of 3 far on one side"),
    "long run on one side": text("long run on one side"),
    "latest periods together": text("latest periods together"),
    "new level": text("new level"),
}
#: What a control chart says of its series.
VERDICT_LABELS: Mapping[str, Text] = {
    "change": text("change"),
    "stands out": text("stands out"),
    "wobble": text("normal variation"),
    "no limits": text("too little history"),
}
_GROUPS: Mapping[str, Text] = {
    "new": text("new"),
    "existing": text("existing"),
    "all": text("all deals"),
    NOT_RECORDED: text("(not recorded)"),
    OTHERS: text("(others)"),
    ALL_ALIKE: text("all deals alike"),
    MIX_ONLY: text("the mix of deals only"),
}
_NUMBER = r"(-?[\d,]+)"
#: Bands, as `winpredict.insights.deals` writes them into the frames, and how they are told.
_BANDS: tuple[tuple[re.Pattern[str], Text], ...] = (
    (re.compile(f"{_NUMBER} to {_NUMBER}"), text("{low:count} to {high:count}")),
    (re.compile(f"{_NUMBER} or more"), text("{low:count} or more")),
    (re.compile(f"{_NUMBER} and above"), text("{low:count} and above")),
    (re.compile(f"under {_NUMBER}"), text("under {low:count}")),
    (re.compile(f"within {_NUMBER} days"), texts("within {low:count} day", "within {low:count} days", "low")),
)
_BANDED = ("size", "touches_band", "people_band", "contacts_band", "speed")


def segment_label(segment: str, words: str = "") -> Text | str:
    """What a segment is called.

    Parameters
    ----------
    segment : str
        Its key.
    words : str
        For a segment that is an attribute of the CRM: its column in words.

    Examples
    --------
    >>> str(segment_label("customer")), segment_label("Campaign__c", "campaign")
    ('new or existing customer', 'campaign')
    """
    return SEGMENT_LABELS.get(segment) or words or SEGMENTS.get(segment, segment)


def group_label(segment: str, group: Any) -> Text | str:
    """What a group of a segment is called; names from the CRM stay as they are.

    Examples
    --------
    >>> str(group_label("size", "5,000 to 10,000")), group_label("product", "new"), str(group_label("customer", "new"))
    ('5,000 to 10,000', 'new', 'new')
    """
    name = str(group)
    if name in (NOT_RECORDED, OTHERS, ALL_ALIKE, MIX_ONLY) or (segment in ("customer", "") and name in _GROUPS):
        return _GROUPS[name]
    if segment == "speed" and name == "later":
        return text("later")
    if segment in _BANDED:
        for pattern, label in _BANDS:
            if match := pattern.fullmatch(name):
                figures = dict(
                    zip(("low", "high"), (float(each.replace(",", "")) for each in match.groups()), strict=False)
                )
                return label.with_values(**figures)
    return name


def group_named(segment: str, words: str, group: Any) -> Text:
    """A group by itself, within a sentence.

    Examples
    --------
    >>> str(group_named("product", "product", "Core")), str(group_named("customer", "", "new"))
    ('product Core', 'new customers')
    """
    label = group_label(segment, group)
    if segment == "customer" and str(group) == "new":
        return text("new customers")
    if segment == "customer" and str(group) == "existing":
        return text("existing customers")
    if segment == "size":
        return text("deals of {group}", group=label)
    if segment == "speed":
        return text("deals closed {group}", group=label)
    if segment in ("rep", ""):
        return text("{group}", group=label)
    return text("{segment} {group}", segment=segment_label(segment, words), group=label)


def measure_label(measure: str, segment: str = "", words: str = "", group: Any = "") -> Text:
    """What a control chart shows: its measure, and the group that it is of.

    Examples
    --------
    >>> str(measure_label("win_rate")), str(measure_label("win_rate", "product", "product", "Core"))
    ('win rate', 'win rate, product Core')
    """
    label = MEASURE_LABELS[measure]
    if not segment:
        return label
    return text("{measure}, {group}", measure=label, group=group_named(segment, words, group))


def value_label(value: float, unit: str) -> Text:
    """A value of a chart with its unit: share, days, deals, touches, or none.

    Examples
    --------
    >>> str(value_label(0.314, "share")), str(value_label(52.3, "days")), str(value_label(12.34, "touches"))
    ('31%', '52 days', '12 touches')
    """
    if unit == "share":
        return text("{share:percent}", share=float(value))
    if unit == "days":
        return duration(value)
    if unit == "deals":
        return texts("{n:count} deal", "{n:count} deals", n=float(value))
    if unit == "touches":
        return texts("{n:number} touch", "{n:number} touches", n=float(value))
    return text("{value:number} {unit}", value=float(value), unit=unit) if unit else text("{v:number}", v=float(value))


def duration(days: float) -> Text:
    """A number of days.

    Examples
    --------
    >>> str(duration(12.4)), str(duration(0.2))
    ('12 days', '1 day')
    """
    return texts("{n:count} day", "{n:count} days", n=max(1.0, float(days)))


def period_label(moment: Any, period: str) -> Text:
    """A month or a week of a series, or the number of a period.

    Examples
    --------
    >>> str(period_label(pd.Timestamp("2024-03-04", tz="UTC"), "month")), str(period_label(7, ""))
    ('March 2024', 'period 7')
    """
    if period == "month":
        return text("{month:month}", month=pd.Timestamp(moment))
    if period == "week":
        return text("the week of {day:day}", day=pd.Timestamp(moment))
    return text("period {number:count}", number=moment)


def as_they_stand(currencies: Iterable[str]) -> str:
    """What must be known of a sum of amounts; empty where all are in one currency.

    Examples
    --------
    >>> as_they_stand(["USD", "EUR"]), as_they_stand(["EUR"])
    ('Amounts in EUR and USD are added without conversion.', '')
    """
    note = mixed_currencies(currencies)
    return "" if note is None else str(note)


def mixed_currencies(currencies: Iterable[str]) -> Text | None:
    """The note that amounts of several currencies are added; None where all are in one."""
    names = sorted(name for name in set(currencies) if name)
    if len(names) < 2:
        return None
    return text("Amounts in {currencies:listed} are added without conversion.", currencies=tuple(names))


def joined(*sentences: Text | None) -> str:
    """Sentences that belong together, one after the other.

    Examples
    --------
    >>> joined(text("One."), None, text("Two."))
    'One. Two.'
    """
    return " ".join(str(each) for each in sentences if each is not None)


def capital(label: Text | str) -> str:
    """A label at the beginning of a line."""
    words = str(label)
    return f"{words[:1].upper()}{words[1:]}"


__all__ = [
    "FORECAST_LABELS",
    "MEASURE_LABELS",
    "PERIODS",
    "PERIOD_TITLES",
    "SEGMENT_LABELS",
    "SIGNAL_LABELS",
    "VERDICT_LABELS",
    "as_they_stand",
    "capital",
    "duration",
    "group_label",
    "group_named",
    "joined",
    "measure_label",
    "mixed_currencies",
    "period_label",
    "said",
    "segment_label",
    "value_label",
]  # fmt: skip
