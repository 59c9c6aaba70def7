"""Line items keep no history of their own figures: whether those are safe to read, by the leakage audit."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from winpredict.features._leakage_evidence import measure
from winpredict.features._leakage_population import Population
from winpredict.features._leakage_rules import leak
from winpredict.features.builders import FeatureBuilder, LineItems
from winpredict.features.events import item_figures
from winpredict.locale.text import Text, text
from winpredict.tables.crm import CRMData

_NOT_USED = {
    "quantity": text("the quantity of line items is not used: {reason}"),
    "value": text("the value of line items is not used: {reason}"),
    "discount": text("the discount of line items is not used: {reason}"),
}


def leaking_figures(exported: CRMData) -> dict[str, Text]:
    """Which figures of line items look as if they had been changed at the close, and why.

    A discount that was given to close a deal stands on its items as if it had always been there. So the mean figures of
    each deal's items are audited as static attributes are, among the deals that have items.

    Parameters
    ----------
    exported : CRMData
        The data as exported.

    Returns
    -------
    dict of str to Text
        "quantity", "value" or "discount" to a clause; without those that nothing speaks against.

    Examples
    --------
    >>> deals = pd.DataFrame({"deal_id": ["a"], "stage": ["Demo"], "outcome": ["open"], "created_at": ["2025-01-01"],
    ...                       "closed_at": [None]})
    >>> leaking_figures(CRMData.from_tables(deals))
    {}
    """
    items = exported.line_items
    if items is None or "added_at" not in items:
        return {}
    closed_at = items["deal_id"].map(exported.deals.set_index("deal_id")["closed_at"])
    # what was added at the close or later is never read
    items = items[items["added_at"].notna() & ~(items["added_at"] >= closed_at)]
    population = Population(exported.of_deals(items["deal_id"]))
    found = {}
    for name, values in _by_deal(items).items():
        of_population = values.reindex(population.deals["deal_id"]).reset_index(drop=True)
        reason = leak(measure(f"line item {name}", of_population, population)) if of_population.notna().any() else None
        if reason is not None:
            found[name] = reason
    return found


def audited(
    builders: Iterable[FeatureBuilder], exported: CRMData
) -> tuple[tuple[FeatureBuilder, ...], tuple[Text, ...]]:
    """The builders, with one of line items that leaves out what leaks, and a sentence for each figure left out.

    Parameters
    ----------
    builders : iterable of FeatureBuilder
    exported : CRMData
    """
    leaking = leaking_figures(exported)
    notes = tuple(_NOT_USED[name].with_values(reason=reason) for name, reason in leaking.items())
    safe = LineItems(without=sorted(leaking))
    return tuple(safe if type(each) is LineItems else each for each in builders), notes


def _by_deal(items: pd.DataFrame) -> dict[str, pd.Series]:
    """Mean quantity and value of an item of each deal, and the discount of them all."""
    nothing = pd.Series(np.nan, index=items.index)
    quantity, *prices = (items.get(name, nothing) for name in ("quantity", "unit_price", "total_price", "list_price"))
    figures = item_figures(quantity, *prices)
    value = figures["value"]
    listed = figures["list_value"].where(value.notna())
    columns = {"quantity": quantity, "value": value, "listed": listed, "paid": value.where(listed.notna())}
    grouped = pd.DataFrame(columns).groupby(items["deal_id"])
    mean, total = grouped.mean(), grouped.sum(min_count=1)
    return {"quantity": mean["quantity"], "value": mean["value"], "discount": 1 - total["paid"] / total["listed"]}
