"""The products on the deal: how many, how mixed, at which discount, and how they changed."""

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from winpredict.features import themes
from winpredict.features._kernels import baskets
from winpredict.features.asof import MICROSECONDS_A_DAY
from winpredict.features.builders.base import Feature, FeatureBuilder, known_count, ratio
from winpredict.features.builders.money import positive
from winpredict.features.past import Past
from winpredict.locale.text import text, texts

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
        of_products = partial(Feature, theme=themes.PRODUCTS)
        yield of_products(
            "line_items",
            number,
            "items",
            text("items on the deal"),
            counts=True,
            claim=texts("{n:count} item on the deal", "{n:count} items on the deal"),
            zero=text("no item on the deal"),
        )
        yield of_products(
            "line_item_products",
            different,
            "products",
            text("different products on the deal"),
            counts=True,
            claim=texts("{n:count} product on the deal", "{n:count} different products on the deal"),
            zero=text("no product on the deal"),
        )
        if past.has("line_items", "quantity") and "quantity" not in self.without:
            pieces = np.where(number > 0, changes.sum("quantity"), 0.0)
            counted = changes.sum("change", where=changes.column("quantity").notna().to_numpy())
            yield of_products(
                "line_item_quantity",
                known_count(pieces, counted, number),
                "pieces",
                text("pieces of all products on the deal"),
                counts=True,
                claim=texts(
                    "{n:count} piece of all products on the deal", "{n:count} pieces of all products on the deal"
                ),
                zero=text("no piece of any product on the deal"),
            )
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
        of_products = partial(Feature, theme=themes.PRODUCTS)
        yield of_products(
            "line_item_total", total, "currency", text("total of the items"), claim=text("items for {n:count} in all")
        )
        share = ratio(largest, positive(total))
        yield of_products(
            "largest_item_share",
            share,
            "share",
            text("share of the largest item in the total"),
            claim=text("{n:percent} of the total in the largest item"),
        )
        if past.records_changes_of("amount") or ("amount" in past.attributes and past.has("deals", "amount")):
            amount = positive(past.versioned("amount").to_numpy(np.float64))
            yield of_products(
                "line_items_vs_amount",
                total / amount,
                "ratio",
                text("total of the items against the deal's amount"),
                claim=text("total of the items {n:multiple} times the deal's amount"),
                neutral=1.0,
            )

    @staticmethod
    def _discount(past: Past) -> Iterator[Feature]:
        changes = past.item_changes
        both = (changes.column("value").notna() & changes.column("list_value").notna()).to_numpy()
        own = {name: changes.sum(name, where=both) for name in ("change", "value", "list_value")}
        discount = _discount(own)
        of_discount = partial(Feature, theme=themes.DISCOUNT)
        yield of_discount(
            "line_item_discount",
            discount,
            "share",
            text("average discount against the list price"),
            claim=text("{n:percent} discount against the list price"),
            zero=text("no discount"),
            negative=text("{n:percent} above the list price"),
        )
        if past.has_link("account_id"):
            customer = past.item_values(past.account_id())
            usual = _discount({name: customer.sum(name) - own[name] for name in own})
            yield of_discount(
                "discount_vs_account",
                discount - usual,
                "points",
                text("discount against this customer's usual one"),
                neutral=0.0,
                claim=texts(
                    "discount {n:size_points} point above this customer's usual one",
                    "discount {n:size_points} points above this customer's usual one",
                ),
                negative=texts(
                    "discount {n:size_points} point below this customer's usual one",
                    "discount {n:size_points} points below this customer's usual one",
                ),
                zero=text("discount as usual for this customer"),
            )

    @staticmethod
    def _changes(past: Past) -> Iterator[Feature]:
        changes, table = past.item_changes, past.item_changes.table
        sizes = np.diff(table.starts)
        first = np.repeat(table.times[table.starts[:-1][sizes > 0]], sizes[sizes > 0])
        removed = table.column("change").to_numpy(np.float64) < 0
        added_later = ~removed & (table.times > first + MICROSECONDS_A_DAY)
        changed = removed | added_later
        count = partial(Feature, theme=themes.PRODUCT_CHANGES, counts=True)
        yield count(
            "items_added_later",
            changes.count(where=added_later),
            "items",
            text("items added after the first day of items"),
            zero=text("no item added later"),
            claim=texts("{n:count} item added later", "{n:count} items added later"),
        )
        if past.has("line_items", "removed_at"):
            yield count(
                "items_removed",
                changes.count(where=removed),
                "items",
                text("items removed from the deal"),
                zero=text("no item removed"),
                claim=texts("{n:count} item removed from the deal", "{n:count} items removed from the deal"),
            )
        yield count(
            "item_changes_30d",
            changes.count(where=changed, window_days=30),
            "changes",
            text("changes of the items in the last 30 days"),
            zero=text("no change of the items in the last 30 days"),
            claim=texts(
                "{n:count} change of the items in the last 30 days",
                "{n:count} changes of the items in the last 30 days",
            ),
        )
        yield Feature(
            "days_since_item_change",
            changes.since_last(where=changed),
            "days",
            text("days since the items last changed"),
            theme=themes.PRODUCT_CHANGES,
            missing=text("the items never changed"),
            zero=text("the items changed today"),
            claim=texts("the items last changed {n:count} day ago", "the items last changed {n:count} days ago"),
        )


def _discount(figures: dict[str, Floats]) -> Floats:
    """Share by which items are below their list price; NaN where none has one."""
    return np.where(figures["change"] > 0, 1.0 - ratio(figures["value"], figures["list_value"]), np.nan)
