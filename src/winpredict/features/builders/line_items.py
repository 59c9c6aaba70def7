"""The products on the deal: how many, how mixed, at which discount, and how they changed."""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winpredict.features._kernels import baskets
from winpredict.features.asof import MICROSECONDS_A_DAY
from winpredict.features.builders.base import Feature, FeatureBuilder, ratio
from winpredict.features.builders.money import positive
from winpredict.features.past import Past

Floats = NDArray[np.float64]


class LineItems(FeatureBuilder):
    """Line items as they were on the deal: number, products, value, discount and changes.

    Notes
    -----
    An item counts from the moment it was added until it was removed. One that does not tell when it was added is of
    unknown date and never read, and without any that does the builder yields nothing.

    A CRM keeps no history of an item's own figures: quantity and prices stand as they were entered last, so a discount
    given at the close seems to have been there before. Training leaves out those that the leakage audit finds changed
    at the close (see `winpredict.features.item_audit`). Where changes are recorded, each is one item removed and
    another added.

    The total is missing unless every item has a value, as a part of it would seem to be all. Discounts are those of
    all items that have a list price, weighed by it. What is usual for a customer is taken from the items that the
    customer's other deals, open or closed, had by then.

    Parameters
    ----------
    without : collection of {"quantity", "value", "discount"}
        Figures not to be used, nor what rests on them: values rest on quantities, discounts on values.
    """

    needs = ("line_items",)

    def __init__(self, without: Collection[str] = ()) -> None:
        self.without = tuple(without)

    def settings(self) -> dict[str, Any]:
        return {"without": list(self.without)} if self.without else {}

    def build(self, past: Past) -> Iterator[Feature]:
        if not past.has("line_items", "added_at"):
            return
        changes = past.item_changes
        number = changes.sum("change")
        different, largest = self._baskets(past)
        yield Feature("line_items", number, "items", "items on the deal")
        yield Feature("line_item_products", different, "products", "different products on the deal")
        if past.has("line_items", "quantity") and "quantity" not in self.without:
            pieces = np.where(number > 0, changes.sum("quantity"), 0.0)
            yield Feature("line_item_quantity", pieces, "pieces", "pieces of all products on the deal")
        priced = past.has("line_items", "unit_price") or past.has("line_items", "total_price")
        if priced and not {"quantity", "value"} & set(self.without):
            yield from self._value(past, number, largest)
            if past.has("line_items", "list_price") and "discount" not in self.without:
                yield from self._discount(past)
        yield from self._changes(past)

    @staticmethod
    def _baskets(past: Past) -> tuple[Floats, Floats]:
        """Different products on the deal, and the value of the largest item (NaN for none)."""
        changes, table = past.item_changes, past.item_changes.table
        figures = (table.column(name).to_numpy(np.float64) for name in ("change", "item"))
        values = table.column("value").to_numpy(np.float64)
        different, largest = baskets(table.starts, *figures, table.value_codes("product_id"), values)
        return np.nan_to_num(changes.latest(different)), changes.latest(largest)

    @staticmethod
    def _value(past: Past, number: Floats, largest: Floats) -> Iterator[Feature]:
        changes = past.item_changes
        valued = changes.sum("change", where=changes.column("value").notna())
        total = np.where((valued == number) & (number > 0), changes.sum("value"), np.nan)
        yield Feature("line_item_total", total, "currency", "total of the items")
        share = ratio(largest, positive(total))
        yield Feature("largest_item_share", share, "share", "share of the largest item in the total")
        if past.records_changes_of("amount") or ("amount" in past.attributes and past.has("deals", "amount")):
            amount = positive(past.versioned("amount").to_numpy(np.float64))
            against = "total of the items against the deal's amount"
            yield Feature("line_items_vs_amount", total / amount, "ratio", against)

    @staticmethod
    def _discount(past: Past) -> Iterator[Feature]:
        changes = past.item_changes
        both = (changes.column("value").notna() & changes.column("list_value").notna()).to_numpy()
        own = {name: changes.sum(name, where=both) for name in ("change", "value", "list_value")}
        discount = _discount(own)
        yield Feature("line_item_discount", discount, "share", "average discount against the list price")
        if past.has_link("account_id"):
            customer = past.item_values(past.account_id())
            usual = _discount({name: customer.sum(name) - own[name] for name in own})
            against = "discount against this customer's usual one"
            yield Feature("discount_vs_account", discount - usual, "points", against)

    @staticmethod
    def _changes(past: Past) -> Iterator[Feature]:
        changes, table = past.item_changes, past.item_changes.table
        sizes = np.diff(table.starts)
        first = np.repeat(table.times[table.starts[:-1][sizes > 0]], sizes[sizes > 0])
        removed = table.column("change").to_numpy(np.float64) < 0
        added_later = ~removed & (table.times > first + MICROSECONDS_A_DAY)
        changed = removed | added_later
        yield Feature(
            "items_added_later", changes.count(where=added_later), "items", "items added after the first day of items"
        )
        if past.has("line_items", "removed_at"):
            yield Feature("items_removed", changes.count(where=removed), "items", "items removed from the deal")
        recent = changes.count(where=changed, window_days=30)
        yield Feature("item_changes_30d", recent, "changes", "changes of the items in the last 30 days")
        since = changes.since_last(where=changed)
        yield Feature("days_since_item_change", since, "days", "days since the items last changed")


def _discount(figures: dict[str, Floats]) -> Floats:
    """Share by which items are below their list price; NaN where none has one."""
    return np.where(figures["change"] > 0, 1.0 - ratio(figures["value"], figures["list_value"]), np.nan)
