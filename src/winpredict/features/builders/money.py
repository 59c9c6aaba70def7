"""The amount as of then, how it moved, and how it compares."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from winpredict.features.asof import AsOfView
from winpredict.features.builders.base import Feature, FeatureBuilder
from winpredict.features.past import Past


class Amount(FeatureBuilder):
    """Amount as of then, its changes, and its ratio to what the owner, the account and the product usually close."""

    needs_dates = False

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.records_changes_of("amount") and not ("amount" in past.attributes and past.has("deals", "amount")):
            return
        amount = positive(past.versioned("amount").to_numpy(np.float64))
        yield Feature("amount", amount, "currency", "amount")
        if past.records_changes_of("amount"):
            yield from self._changes(past, amount)
        for label, closings in self._norms(past) if past.dated else ():
            mean = np.exp(closings.mean("log_amount"))
            yield Feature(f"amount_vs_{label}", amount / mean, "ratio", f"amount against the usual one of the {label}")

    def _changes(self, past: Past, amount: NDArray[np.float64]) -> Iterator[Feature]:
        history = past.events("deal_history")
        values = history.column("amount").to_numpy(np.float64)
        before = history.table.previous("amount").to_numpy(np.float64)
        yield Feature("amount_ups", history.count(where=values > before), "changes", "times the amount was raised")
        yield Feature("amount_downs", history.count(where=values < before), "changes", "times the amount was lowered")
        first = history.first("amount").to_numpy(np.float64)
        yield Feature("amount_growth", amount / positive(first), "ratio", "amount against the first one entered")

    def _norms(self, past: Past) -> Iterator[tuple[str, AsOfView]]:
        yield "company", past.closings_of_all()
        if past.has_link("owner_id"):
            yield "owner", past.closings("owner_id", past.versioned("owner_id"))
        if past.has_link("account_id"):
            yield "account", past.closings("account_id", past.account_id())
        if "product" in past.attributes:
            yield "product", past.closings("product", past.attribute("product"))


def positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, with those not above 0 missing."""
    return np.where(values > 0, values, np.nan)
