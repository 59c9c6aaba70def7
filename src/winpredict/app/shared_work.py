"""What several pages and the API make of the same tables, made once for everybody who may see the same deals."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from winpredict.app.desk import Desk, Loaded
from winpredict.app.visibility import visible_tables

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.explain.drivers import DealContributions, Drivers
    from winpredict.insights.forecast import Forecast
    from winpredict.insights.funnel import Funnel
    from winpredict.tables.crm import CRMData


@dataclass(frozen=True)
class SharedWork:
    """Work on the deals of some owners; it takes long, so nothing of it is for the thread of a request.

    Parameters
    ----------
    desk : Desk
    loaded : Loaded
    owners : frozenset of str or None
        Of `winpredict.app.visibility.visible_owners`.
    """

    desk: Desk
    loaded: Loaded
    owners: frozenset[str] | None

    @property
    def key(self) -> tuple[Hashable, ...]:
        """What all of it depends on."""
        return self.loaded.state, self.owners

    @cached_property
    def crm(self) -> "CRMData":
        """The tables cut to these deals."""
        return visible_tables(self.loaded.crm, self.owners)

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """What these deals are compared by."""
        from winpredict.report.drivers import compared_attributes

        return compared_attributes(self.loaded.model, self.crm)

    def at_end(self) -> "pd.DataFrame | None":
        """`winpredict.insights.deals.deals_at_end` with `attributes`, or None where that must not be shared.

        Facts dated after the end of the tables are seen by some and not by others.
        """
        from winpredict.insights.deals import deals_at_end
        from winpredict.models.splits import known_before

        if not self.crm.dated or not len(self.crm.deals) or known_before(self.crm) is not self.crm:
            return None
        return self.desk.get_or_compute(("deals at end", *self.key), lambda: deals_at_end(self.crm, self.attributes))

    def contributions(self) -> "DealContributions":
        """How far each theme moves the odds of each deal."""
        from winpredict.explain.drivers import explain_deals

        history = self.loaded.scorer.cross_deal_history
        return self.desk.get_or_compute(
            ("contributions", *self.key),
            lambda: explain_deals(self.loaded.model, self.crm, cross_deal_history=history),
        )

    def drivers(self) -> "Drivers":
        """The themes, tested on deals that they were not learnt from, without groups; this takes longest."""
        from winpredict.explain.drivers import drivers

        history = self.loaded.scorer.cross_deal_history
        return self.desk.get_or_compute(
            ("drivers of deals", *self.key),
            lambda: drivers(self.loaded.model, self.crm, cross_deal_history=history, seen=self.contributions()),
        )

    def forecast(self) -> "Forecast":
        """Expected bookings."""
        from winpredict.insights.forecast import forecast

        history = self.loaded.scorer.cross_deal_history
        return self.desk.get_or_compute(
            ("forecast", *self.key),
            lambda: forecast(self.loaded.model, self.crm, cross_deal_history=history, at_end=self.at_end()),
        )

    def funnel(self) -> "Funnel":
        """The open pipeline and how deals move through it."""
        from winpredict.insights.funnel import funnel

        # an amount that the model takes as it is typed is none for the funnel
        return self.desk.get_or_compute(
            ("funnel", *self.key),
            lambda: funnel(self.crm, at_end=None if "amount" in self.attributes else self.at_end()),
        )
