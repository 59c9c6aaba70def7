"""How deals of the same owner, account, product, source or segment ended before as_of."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.asof import AsOfView
from winpredict.features.builders.base import Feature, FeatureBuilder, label_of
from winpredict.features.past import LINKS, Past

#: Pseudo-deals at the overall win rate that a track record starts from.
PRIOR_DEALS = 10.0
RECENT_DAYS = 120


class TrackRecord(FeatureBuilder):
    """Smoothed win rates and counts, from deals closed strictly before as_of.

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
                yield from self._lift(past.closings(name, values), overall, name, f"the same {label_of(name)}")

    def _lift(self, closings: AsOfView, overall: NDArray[np.float64], name: str, label: str) -> Iterator[Feature]:
        """A group's win rate against the company's, and how it changed lately.

        Differences, since levels would all carry the company's own drift, and a group without any effect would look
        like a driver for it.
        """
        rate = self._rate(closings, overall)
        yield Feature(f"win_rate_{name}", rate - overall, "points", f"win rate of {label} against the company's")
        change = self._rate(closings, rate, self.recent_days) - rate
        sentence = f"change of the win rate of {label} in {self.recent_days} days"
        yield Feature(f"win_rate_{name}_change", change, "points", sentence)

    def _owner(self, past: Past, overall: NDArray[np.float64]) -> Iterator[Feature]:
        owner = past.versioned("owner_id")
        closings = past.closings("owner_id", owner)
        yield from self._lift(closings, overall, "owner", "the owner")
        if not self.counts:
            return
        yield Feature("owner_closed", closings.count(), "deals", "deals the owner has closed")
        load = past.ownerships(owner).sum("change")
        yield Feature("owner_load", np.where(owner.isna(), np.nan, load), "deals", "open deals of the owner")

    def _account(self, past: Past, overall: NDArray[np.float64]) -> Iterator[Feature]:
        account = past.account_id()
        closings = past.closings("account_id", account)
        wins = closings.count(where="won")
        lift = self._rate(closings, overall) - overall
        yield Feature("win_rate_account", lift, "points", "win rate with this customer against the company's")
        if not self.counts:
            return
        yield Feature("account_wins", wins, "deals", "deals won with this customer before")
        yield Feature("account_losses", closings.count() - wins, "deals", "deals lost with this customer before")
        yield Feature(
            "days_since_account_win", closings.since_last(where="won"), "days", "days since the last win there"
        )
        created = past.creations("account_id", account).count()
        yield Feature("account_open", created - closings.count(), "deals", "open deals with this customer")

    def _rate(self, closings: AsOfView, towards: NDArray[np.float64], days: int | None = None) -> NDArray[np.float64]:
        wins = closings.count(where="won", window_days=days)
        closed = closings.count(window_days=days)
        return np.asarray((wins + self.prior_deals * towards) / (closed + self.prior_deals))
