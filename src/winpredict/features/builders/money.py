"""The amount as of then, how it moved, and how it compares."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from winpredict.features import themes
from winpredict.features.asof import AsOfView
from winpredict.features.builders.base import Feature, FeatureBuilder, if_any
from winpredict.features.past import Past
from winpredict.locale.text import text, texts

_AGAINST = {
    "company": (
        text("amount against the company's usual one"),
        text("amount {n:multiple} times the company's usual one"),
    ),
    "owner": (text("amount against the owner's usual one"), text("amount {n:multiple} times the owner's usual one")),
    "account": (
        text("amount against this customer's usual one"),
        text("amount {n:multiple} times this customer's usual one"),
    ),
    "product": (
        text("amount against the product's usual one"),
        text("amount {n:multiple} times the product's usual one"),
    ),
}


class Amount(FeatureBuilder):
    """Amount as of then, its changes, and its ratio to what the owner, the account and the product usually close.

    What counts changes is missing where no amount is on record before as_of.
    """

    needs_dates = False

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.records_changes_of("amount") and not ("amount" in past.attributes and past.has("deals", "amount")):
            return
        amount = positive(past.versioned("amount").to_numpy(np.float64))
        yield Feature(
            "amount",
            amount,
            "currency",
            text("amount"),
            theme=themes.AMOUNT,
            claim=text("amount {n:count}"),
            missing=text("no amount entered"),
        )
        if past.records_changes_of("amount"):
            yield from self._changes(past, amount)
        for label, closings in self._norms(past) if past.dated else ():
            mean = np.exp(closings.mean("log_amount"))
            about, claim = _AGAINST[label]
            yield Feature(
                f"amount_vs_{label}", amount / mean, "ratio", about, theme=themes.AMOUNT, claim=claim, neutral=1.0
            )

    def _changes(self, past: Past, amount: NDArray[np.float64]) -> Iterator[Feature]:
        history = past.events("deal_history")
        values = history.column("amount").to_numpy(np.float64)
        before = history.table.previous("amount").to_numpy(np.float64)
        entered = history.count(where=~np.isnan(values))
        of_amount = partial(Feature, theme=themes.AMOUNT)
        yield of_amount(
            "amount_ups",
            if_any(history.count(where=values > before), entered),
            "changes",
            text("times the amount was raised"),
            counts=True,
            zero=text("amount never raised"),
            claim=texts("amount raised {n:count} time", "amount raised {n:count} times"),
        )
        yield of_amount(
            "amount_downs",
            if_any(history.count(where=values < before), entered),
            "changes",
            text("times the amount was lowered"),
            counts=True,
            zero=text("amount never lowered"),
            claim=texts("amount lowered {n:count} time", "amount lowered {n:count} times"),
        )
        first = history.first("amount").to_numpy(np.float64)
        yield of_amount(
            "amount_growth",
            amount / positive(first),
            "ratio",
            text("amount against the first one entered"),
            claim=text("amount {n:multiple} times the first one entered"),
            neutral=1.0,
        )

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
