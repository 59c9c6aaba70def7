"""How deals of the same owner, account, product, source or segment ended before as_of."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features import themes
from winpredict.features.asof import AsOfView
from winpredict.features.builders.base import Feature, FeatureBuilder
from winpredict.features.description import Theme
from winpredict.features.past import LINKS, Past
from winpredict.locale.text import Text, text, texts

#: Pseudo-deals at the overall win rate that a track record starts from.
PRIOR_DEALS = 10.0
RECENT_DAYS = 120


@dataclass(frozen=True)
class _Words:
    """How a group's win rate and its change are told."""

    theme: Theme
    rate: Text
    above: Text
    below: Text
    even: Text
    change: Text
    up: Text
    down: Text
    unchanged: Text


_OF_OWNER = _Words(
    theme=themes.OWNER,
    rate=text("the owner's win rate against the company's"),
    above=texts(
        "the owner's win rate is {n:size_points} point above the company's",
        "the owner's win rate is {n:size_points} points above the company's",
    ),
    below=texts(
        "the owner's win rate is {n:size_points} point below the company's",
        "the owner's win rate is {n:size_points} points below the company's",
    ),
    even=text("the owner's win rate is the company's"),
    change=text("change of the owner's win rate in {days} days"),
    up=texts(
        "the owner's win rate rose by {n:size_points} point in {days} days",
        "the owner's win rate rose by {n:size_points} points in {days} days",
    ),
    down=texts(
        "the owner's win rate fell by {n:size_points} point in {days} days",
        "the owner's win rate fell by {n:size_points} points in {days} days",
    ),
    unchanged=text("the owner's win rate has not changed"),
)


def _of_attribute(theme: Theme) -> _Words:
    name = theme.name
    return _Words(
        theme=theme,
        rate=text("win rate of the same {attribute} against the company's", attribute=name),
        above=texts(
            "deals of the same {attribute} are won {n:size_points} point more often than others",
            "deals of the same {attribute} are won {n:size_points} points more often than others",
            attribute=name,
        ),
        below=texts(
            "deals of the same {attribute} are won {n:size_points} point less often than others",
            "deals of the same {attribute} are won {n:size_points} points less often than others",
            attribute=name,
        ),
        even=text("deals of the same {attribute} are won as often as others", attribute=name),
        change=text("change of the win rate of the same {attribute} in {days} days", attribute=name),
        up=texts(
            "the win rate of the same {attribute} rose by {n:size_points} point in {days} days",
            "the win rate of the same {attribute} rose by {n:size_points} points in {days} days",
            attribute=name,
        ),
        down=texts(
            "the win rate of the same {attribute} fell by {n:size_points} point in {days} days",
            "the win rate of the same {attribute} fell by {n:size_points} points in {days} days",
            attribute=name,
        ),
        unchanged=text("the win rate of the same {attribute} has not changed", attribute=name),
    )


class TrackRecord(FeatureBuilder):
    """Smoothed win rates and counts, from deals closed strictly before as_of; missing where the group is unknown.

    Notes
    -----
    A rate is ``(wins + prior * company rate) / (closed + prior)`` with the company's own rate as of then: an ordered
    target encoding along real time (compare Prokhorenkova et al., CatBoost, 2018), so no deal lends its own ending to
    itself or to the past.

    Parameters
    ----------
    prior_deals : float
        Pseudo-deals at the overall win rate that each rate starts from.
    recent_days : int
        How far back a recent rate looks.
    counts : bool
        Whether also to count an owner's and an account's deals. Counts grow with the history, so a model would read the
        calendar off them, and of recent snapshots only those of quickly closed deals have a label: by default off.
    """

    def __init__(self, prior_deals: float = PRIOR_DEALS, recent_days: int = RECENT_DAYS, counts: bool = False) -> None:
        self.prior_deals = prior_deals
        self.recent_days = recent_days
        self.counts = counts

    def build(self, past: Past) -> Iterator[Feature]:
        company = past.closings_of_all()
        overall = self._rate(company, np.full(len(past), 0.5))
        if past.has_link("owner_id"):
            yield from self._owner(past, overall)
        if past.has_link("account_id"):
            yield from self._account(past, overall)
        for name in past.attributes:
            if name in LINKS:
                continue
            values = past.attribute(name)
            if isinstance(values.dtype, pd.StringDtype):
                closings = past.closings(name, values)
                yield from self._lift(closings, values, overall, name, _of_attribute(themes.attribute(name)))

    def _lift(
        self, closings: AsOfView, groups: pd.Series, overall: NDArray[np.float64], name: str, words: "_Words"
    ) -> Iterator[Feature]:
        """A group's win rate against the company's, and how it changed lately; missing where the group is unknown.

        Differences, since levels would all carry the company's own drift, and a group without any effect would look
        like a driver for it.
        """
        known = groups.notna().to_numpy()
        rate = self._rate(closings, overall)
        compared = partial(Feature, unit="points", theme=words.theme, good="more", neutral=0.0)
        yield compared(
            f"win_rate_{name}",
            np.where(known, rate - overall, np.nan),
            label=words.rate,
            claim=words.above,
            negative=words.below,
            zero=words.even,
        )
        change = self._rate(closings, rate, self.recent_days) - rate
        yield compared(
            f"win_rate_{name}_change",
            np.where(known, change, np.nan),
            label=words.change.with_values(days=self.recent_days),
            claim=words.up.with_values(days=self.recent_days),
            negative=words.down.with_values(days=self.recent_days),
            zero=words.unchanged,
        )

    def _owner(self, past: Past, overall: NDArray[np.float64]) -> Iterator[Feature]:
        owner = past.versioned("owner_id")
        closings = past.closings("owner_id", owner)
        yield from self._lift(closings, owner, overall, "owner", _OF_OWNER)
        if not self.counts:
            return
        count = partial(Feature, unit="deals", theme=themes.OWNER, counts=True)
        unknown = owner.isna().to_numpy()
        yield count(
            "owner_closed",
            np.where(unknown, np.nan, closings.count()),
            label=text("deals the owner has closed"),
            claim=texts("{n:count} deal closed by the owner so far", "{n:count} deals closed by the owner so far"),
            zero=text("no deal closed by the owner so far"),
        )
        load = past.ownerships(owner).sum("change")
        yield count(
            "owner_load",
            np.where(unknown, np.nan, load),
            label=text("open deals of the owner"),
            claim=texts("{n:count} open deal of the owner", "{n:count} open deals of the owner"),
            zero=text("no open deal of the owner"),
        )

    def _account(self, past: Past, overall: NDArray[np.float64]) -> Iterator[Feature]:
        account = past.account_id()
        closings = past.closings("account_id", account)
        wins = closings.count(where="won")
        known = account.notna().to_numpy()
        lift = np.where(known, self._rate(closings, overall) - overall, np.nan)
        with_customer = partial(Feature, theme=themes.CUSTOMER)
        yield with_customer(
            "win_rate_account",
            lift,
            "points",
            text("win rate with this customer against the company's"),
            good="more",
            neutral=0.0,
            claim=texts(
                "deals with this customer are won {n:size_points} point more often than others",
                "deals with this customer are won {n:size_points} points more often than others",
            ),
            negative=texts(
                "deals with this customer are won {n:size_points} point less often than others",
                "deals with this customer are won {n:size_points} points less often than others",
            ),
            zero=text("deals with this customer are won as often as others"),
        )
        if not self.counts:
            return
        count = partial(with_customer, unit="deals", counts=True)
        yield count(
            "account_wins",
            np.where(known, wins, np.nan),
            label=text("deals won with this customer before"),
            good="more",
            claim=texts(
                "{n:count} deal won with this customer before", "{n:count} deals won with this customer before"
            ),
            zero=text("no deal won with this customer before"),
        )
        yield count(
            "account_losses",
            np.where(known, closings.count() - wins, np.nan),
            label=text("deals lost with this customer before"),
            good="less",
            claim=texts(
                "{n:count} deal lost with this customer before", "{n:count} deals lost with this customer before"
            ),
            zero=text("no deal lost with this customer before"),
        )
        yield with_customer(
            "days_since_account_win",
            closings.since_last(where="won"),
            "days",
            text("days since the last win there"),
            good="less",
            claim=texts("last win there {n:count} day ago", "last win there {n:count} days ago"),
            zero=text("last win there today"),
        )
        created = past.creations("account_id", account).count()
        yield count(
            "account_open",
            np.where(known, created - closings.count(), np.nan),
            label=text("open deals with this customer"),
            claim=texts("{n:count} open deal with this customer", "{n:count} open deals with this customer"),
            zero=text("no other open deal with this customer"),
        )

    def _rate(self, closings: AsOfView, towards: NDArray[np.float64], days: int | None = None) -> NDArray[np.float64]:
        wins = closings.count(where="won", window_days=days)
        closed = closings.count(window_days=days)
        return np.asarray((wins + self.prior_deals * towards) / (closed + self.prior_deals))
