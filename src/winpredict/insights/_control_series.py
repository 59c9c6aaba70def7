"""The series that process-behaviour charts look at: win rate, new deals, cycle time and touches, by group."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from winpredict.insights.deals import SEGMENTS
from winpredict.locale.text import Text, text, texts
from winpredict.tables.crm import CRMData

#: Segments that are known before a deal ends; those that grow with its life would explain a change by itself.
SEGMENTS_BEFORE_THE_END = ("customer", "product", "team", "lead_source", "size")
#: A group has charts when so many of its deals close in a period on average.
MIN_PER_PERIOD = 5
#: Share of deals that are older than the time after which all lengths of deals are among those that close.
_STEADY = 0.95
#: A period counts as complete when the data end within this share of it from its end.
_TOLERANCE = 0.1
_PERIODS = {"month": "M", "week": "W"}


class Measure(NamedTuple):
    """What a chart shows: kind of chart, unit, whether logarithms are compared."""

    kind: Literal["xmr", "p"]
    unit: str
    log: bool


MEASURES = {
    "win_rate": Measure("p", "share", False),
    "new_deals": Measure("xmr", "deals", False),
    "cycle_days": Measure("xmr", "days", True),
    "touches": Measure("xmr", "touches", False),
}


class Series(NamedTuple):
    """Values by first day of the period, and the deals behind each."""

    values: pd.Series
    counts: pd.Series


@dataclass(frozen=True)
class DealsByPeriod:
    """Deals with the period in which they were created and closed, and the complete periods of both.

    Deals that close soon come first in data that begin with new deals only: cycle times would seem to grow, and the win
    rate with them. Periods of closing therefore begin when the data are older than most deals become.
    """

    deals: pd.DataFrame
    created: pd.DatetimeIndex
    closed: pd.DatetimeIndex

    @property
    def ended(self) -> pd.DataFrame:
        """Deals that closed in the complete periods."""
        deals = self.deals
        return deals[(deals["outcome"] != "open") & deals["closed_in"].isin(self.closed)]

    def series(self, measure: str, member: pd.Series) -> Series:
        """One measure of the deals of a group."""
        if measure == "new_deals":
            counts = self.deals.loc[member, "created_in"].value_counts().reindex(self.created, fill_value=0)
            return Series(counts, counts)
        ended = self.ended[member.reindex(self.ended.index)]
        return self._of_ended(measure, ended)

    def _of_ended(self, measure: str, ended: pd.DataFrame) -> Series:
        won = ended["outcome"] == "won"
        figures = {
            "win_rate": won.astype(np.float64),
            "cycle_days": np.log(ended["days"].clip(lower=0.05)).where(won),
            "touches": ended["touches"],
        }
        grouped = figures[measure].groupby(ended["closed_in"])
        counts = grouped.count().reindex(self.closed, fill_value=0)
        if measure == "win_rate":
            return Series(grouped.sum().reindex(self.closed, fill_value=0.0), counts)
        mean = grouped.mean().reindex(self.closed)
        return Series(mean.map(np.exp) if measure == "cycle_days" else mean, counts)


def deals_by_period(crm: CRMData, deals: pd.DataFrame, period: str) -> DealsByPeriod:
    """Deals with their periods; `deals` are those of `deals_at_end`, dated ones at least."""
    deals = deals[deals["created_at"].notna()].reset_index(drop=True)
    deals = deals.assign(
        created_in=start_of(deals["created_at"], period), closed_in=start_of(deals["closed_at"], period)
    )
    closed_days = deals.loc[deals["outcome"] != "open", "days"]
    first = cast("pd.Timestamp", deals["created_at"].quantile(0.01))
    steady = first + pd.Timedelta(days=float(closed_days.quantile(_STEADY)) if closed_days.notna().any() else 0.0)
    end = cast("pd.Timestamp", crm.known_until)
    return DealsByPeriod(deals, _complete(first, end, period), _complete(steady, end, period))


def start_of(moments: pd.Series, period: str) -> pd.Series:
    """First moment of the month, or of the week from Monday on, in UTC; missing ones stay missing."""
    starts = moments.dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period(_PERIODS[period]).dt.to_timestamp()
    return cast("pd.Series", starts.dt.tz_localize("UTC").astype("datetime64[us, UTC]"))


def _complete(first: pd.Timestamp, end: pd.Timestamp, period: str) -> pd.DatetimeIndex:
    """Periods that begin at or after `first` and are over, or nearly so, at `end`."""
    bounds = pd.period_range(first.tz_localize(None), end.tz_localize(None), freq=_PERIODS[period])
    starts = bounds.to_timestamp().tz_localize("UTC").as_unit("us")
    ends = (bounds + 1).to_timestamp().tz_localize("UTC")
    tolerance = (ends - starts) * _TOLERANCE
    return pd.DatetimeIndex(starts[(starts >= first) & (ends - tolerance <= end)])


def segments_of(deals: pd.DataFrame, attributes: Sequence[str]) -> dict[str, str]:
    """Segments to look at, with their words: text columns with at least two groups."""
    words = {name: SEGMENTS[name] for name in SEGMENTS_BEFORE_THE_END}
    words |= {name: _words(name) for name in attributes if name in deals and _is_text(deals[name])}
    return {name: text for name, text in words.items() if len(deals[name].dropna().unique()) > 1}


def groups_with_enough(found: DealsByPeriod, segments: Mapping[str, str]) -> Iterator[tuple[str, str, pd.Series]]:
    """Segment, group and which deals belong to it; first all deals, with an empty segment."""
    deals, ended = found.deals, found.ended
    yield "", "all", pd.Series(True, index=deals.index)
    fewest = MIN_PER_PERIOD * len(found.closed)
    for segment in segments:
        values = deals[segment].astype(object)
        sizes = values.reindex(ended.index).value_counts()
        for group in sorted(sizes.index[sizes >= fewest], key=str):
            yield segment, str(group), values == group


def notes_on(crm: CRMData, found: DealsByPeriod, fewest: int, period: str) -> Iterator[Text]:
    """What is left out or missing, and why."""
    if len(found.closed) < fewest:
        yield texts(
            "Only {n:count} complete period of closings can be compared, and {wanted:count} are needed; the first "
            "ones, in "
            "which only quick deals can have closed, are left out.",
            "Only {n:count} complete periods of closings can be compared, and {wanted:count} are needed; the first "
            "ones, in "
            "which only quick deals can have closed, are left out.",
            n=len(found.closed),
            wanted=fewest,
        )
    else:
        yield text(
            "Closings count from {month:month} on: before that, only quick deals can have closed. The current period "
            "is "
            "left out until it is over.",
            month=found.closed[0],
        )
    if crm.activities is None:
        yield text("Without a table of activities, touches are not looked at.")
    undated = int(((crm.deals["outcome"] != "open") & crm.deals["closed_at"].isna()).sum())
    if undated:
        yield texts(
            "{n:count} closed deal without a closing date is left out.",
            "{n:count} closed deals without a closing date are left out.",
            n=undated,
        )


def _is_text(values: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype))


def _words(attribute: str) -> str:
    return " ".join(attribute.removesuffix("__c").replace("_", " ").split()).lower()
