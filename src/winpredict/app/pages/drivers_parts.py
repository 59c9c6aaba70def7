"""The parts of the drivers page, each worked out once for everybody who may see the same deals."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal

import pandas as pd

from winpredict.app.desk import Loaded
from winpredict.app.pages.listed_deals import listed
from winpredict.app.pages.waiting import Part, Waiting
from winpredict.app.shared_work import SharedWork
from winpredict.locale.language import current
from winpredict.locale.text import Text, text

if TYPE_CHECKING:
    from winpredict.explain.drivers import DealContributions, Drivers
    from winpredict.insights.control import Changes
    from winpredict.insights.winrates import ClosedWon
    from winpredict.report.page import Report

#: A segment with more groups is no choice for a form.
_MAX_GROUPS = 60
_NO_DEALS = text(
    "You have no deals to compare. If that is wrong, ask your administrator whether your account, and those of your "
    "reports, are linked to CRM users."
)
_NOT_FOUND = text("This segment or period was not found among the deals you can see.")


@dataclass(frozen=True)
class Period:
    """A time in which deals were created.

    Parameters
    ----------
    value : str
        In addresses.
    words : Text
        When: "in 2024".
    deals : Text
        Which deals: "{deals} created in 2024".
    start, end : Timestamp
        From, and before.
    """

    value: str
    words: Text
    deals: Text
    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class DealTable:
    """All deals that one may see, with what they can be segmented by.

    Parameters
    ----------
    deals : DataFrame
        Of `winpredict.insights.deals.deals_at_end` and currency, the amounts of won deals as booked.
    segments : dict of str to Text or str
        What the segments are called, by name.
    periods : tuple of Period
    """

    deals: pd.DataFrame
    segments: dict[str, Text | str]
    periods: tuple[Period, ...]

    @property
    def dated(self) -> bool:
        """Whether anything is known of when deals were created."""
        return bool(self.deals["created_at"].notna().any())

    def groups(self, segment: str) -> list[str]:
        """Groups of a segment, the largest first."""
        return [str(group) for group in self.deals[segment].value_counts().index] if segment in self.segments else []


class DriverParts:
    """What the page shows, for the deals of some owners.

    Parameters
    ----------
    waiting : Waiting
    owners : frozenset of str or None
        Of `winpredict.app.visibility.visible_owners`.
    """

    def __init__(self, waiting: Waiting, owners: frozenset[str] | None) -> None:
        self._waiting, self._owners = waiting, owners
        loaded, self._problem = waiting.loaded()
        self._loaded = loaded
        self.key: tuple[Hashable, ...] = (loaded and loaded.state, owners)

    @property
    def _has_loaded(self) -> Loaded:
        assert self._loaded is not None
        return self._loaded

    @cached_property
    def _work(self) -> SharedWork:
        return self._waiting.shared(self._has_loaded, self._owners)

    def table(self) -> Part[DealTable]:
        """The deals to be compared."""
        if self._loaded is None:
            return Part(problem=self._problem)
        part = self._waiting.part(("deal table", *self.key), lambda: _table(self._work))
        return Part(problem=_NO_DEALS) if part.result is not None and part.result.deals.empty else part

    def listed(self, deals: pd.DataFrame, *, with_names: bool) -> pd.DataFrame:
        """Some of the deals as a page lists them."""
        return listed(self._work.crm, deals, with_names=with_names)

    def contributions(self) -> "Part[DealContributions]":
        """How far each theme moves the odds of each deal."""
        return self._waiting.part(("deal looks", *self.key), lambda: self._work.contributions())

    def drivers(self) -> "Part[Drivers]":
        """The themes, tested on deals that they were not learnt from; this takes longest."""
        return self._waiting.part(("tested drivers", *self.key), lambda: self._work.drivers(), is_long=True)

    def changes(self) -> "Part[Changes]":
        """Control charts."""
        from winpredict.insights.control import changes

        return self._waiting.part(
            ("changes", *self.key),
            lambda: changes(self._work.crm, attributes=self._work.attributes, at_end=self._work.at_end()),
            is_long=True,
        )

    def closed_won(self) -> "Part[ClosedWon]":
        """Win rates of the last year by segment."""
        from winpredict.insights.winrates import closed_won

        return self._waiting.part(
            ("closed won", *self.key),
            lambda: closed_won(self._work.crm, attributes=self._work.attributes, at_end=self._work.at_end()),
        )

    def written(self, segment: str, created: str, kind: Literal["html", "pdf"]) -> Part[bytes]:
        """The report as a file."""
        if self._loaded is None:
            return Part(problem=self._problem)
        table = self.table()
        if table.result is None:
            return Part(problem=table.problem)
        period = next((each for each in table.result.periods if each.value == created), None)
        if (created and period is None) or (segment and segment not in table.result.segments):
            return Part(problem=_NOT_FOUND)
        part = self._report(segment, period)
        if part.result is None:
            return Part(problem=part.problem, passing=part.passing)
        report = part.result
        key = ("drivers file", *self.key, segment, created, kind, current().name)
        return self._waiting.part(key, lambda: _file(report, kind), is_long=True)

    def _report(self, segment: str, period: Period | None) -> "Part[Report]":
        from winpredict.report.drivers import drivers_report

        loaded = self._has_loaded
        return self._waiting.part(
            ("drivers report", *self.key, segment, period and period.value, current().name),
            lambda: drivers_report(
                loaded.model,
                self._work.crm,
                segment=segment or None,
                created=None if period is None else (period.start, period.end),
                cross_deal_history=loaded.scorer.cross_deal_history,
            ),
            is_long=True,
        )


def _table(work: SharedWork) -> DealTable:
    from winpredict.insights.deals import booked_amounts, deals_at_end
    from winpredict.insights.labels import segment_label
    from winpredict.insights.winrates import words_for
    from winpredict.report.drivers import segments_in

    crm = work.crm
    if not len(crm.deals):
        return DealTable(crm.deals, {}, ())
    attributes, at_end = work.attributes, work.at_end()
    deals = deals_at_end(crm, attributes) if at_end is None else at_end.copy()
    deals["amount"] = booked_amounts(crm, deals)
    deals["currency"] = crm.deals["currency"].reset_index(drop=True) if "currency" in crm.deals else None
    possible = [name for name in segments_in(deals, attributes) if 2 <= deals[name].nunique() <= _MAX_GROUPS]
    segments = {name: segment_label(name, words_for(name)) for name in possible}
    return DealTable(deals, segments, _periods(deals["created_at"], crm.known_until))


def _periods(created: pd.Series, until: pd.Timestamp | None) -> tuple[Period, ...]:
    """Times of creation that can be chosen: the last year and the one before, then years and the last quarters."""
    known = created.dropna()
    if known.empty or until is None:
        return ()
    year = pd.Timedelta(days=365)
    periods = [
        Period(
            "last-year",
            text("in the last 12 months"),
            text("{deals} created in the last 12 months"),
            until - year,
            until,
        ),
        Period(
            "year-before",
            text("12 to 24 months ago"),
            text("{deals} created 12 to 24 months ago"),
            until - 2 * year,
            until - year,
        ),
    ]
    first, last = known.min().tz_localize(None), until.tz_localize(None)
    years, quarters = (reversed(pd.period_range(first, last, freq=freq)) for freq in "YQ")
    periods += [year_of(each) for each in years]
    periods += [_quarter(each) for each in islice(quarters, 8)]
    there = [((known >= each.start) & (known < each.end)).any() for each in periods]
    return tuple(each for each, is_there in zip(periods, there, strict=True) if is_there)


def year_of(period: pd.Period) -> Period:
    """A calendar year in which deals were created.

    Examples
    --------
    >>> year = year_of(pd.Period("2024", "Y"))
    >>> year.value, str(year.words), str(year.deals.with_values(deals="all deals")), str(year.end.date())
    ('2024', 'in 2024', 'all deals created in 2024', '2025-01-01')
    """
    name = str(period.year)
    words, deals = text("in {year}", year=name), text("{deals} created in {year}", year=name)
    return Period(name, words, deals, *_span(period))


def _quarter(period: pd.Period) -> Period:
    values = {"quarter": str(period.quarter), "year": str(period.year)}
    return Period(
        str(period),
        text("in Q{quarter} {year}").with_values(**values),
        text("{deals} created in Q{quarter} {year}").with_values(**values),
        *_span(period),
    )


def _span(period: pd.Period) -> tuple[pd.Timestamp, pd.Timestamp]:
    return period.start_time.tz_localize("UTC"), (period + 1).start_time.tz_localize("UTC")


def _file(report: "Report", kind: Literal["html", "pdf"]) -> bytes:
    from winpredict.report.writing import report_bytes

    return report_bytes(report, ".pdf" if kind == "pdf" else ".html")
