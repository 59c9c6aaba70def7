"""Figures of line items that were changed at the close are found, and left out of the features."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict.features.builders import Age, LineItems, default_builders
from winpredict.features.item_audit import audited, leaking_figures
from winpredict.models.training import training_set


@pytest.fixture(scope="module")
def items(world):
    """Two items a deal on its first day, at a discount that says nothing."""
    rng = np.random.default_rng(0)
    deals = world.crm.deals
    n = 2 * len(deals)
    listed = rng.choice([50.0, 100.0, 200.0], n)
    return pd.DataFrame(
        {
            "deal_id": np.repeat(deals["deal_id"].to_numpy(), 2), "product_id": rng.choice(["core", "care"], n),
            "quantity": rng.integers(1, 20, n).astype(np.float64), "list_price": listed,
            "unit_price": listed * rng.choice([0.8, 0.9, 1.0], n),
            "added_at": pd.Series(deals["created_at"].repeat(2).to_numpy()) + pd.Timedelta(hours=1),
        }
    )  # fmt: skip


def with_items(crm, items):
    return dataclasses.replace(crm, line_items=items)


def outcome_of(items, crm):
    return items["deal_id"].map(crm.deals.set_index("deal_id")["outcome"])


def discounted_at_the_close(items, crm):
    return items["unit_price"].where(outcome_of(items, crm) != "won", items["list_price"] * 0.6)


def test_figures_that_stay_as_they_were_entered_are_used(world, items):
    assert leaking_figures(with_items(world.crm, items)) == {}
    builders, notes = audited(default_builders(), with_items(world.crm, items))
    assert notes == ()
    assert [each.settings() for each in builders if isinstance(each, LineItems)] == [{}]


def test_a_discount_given_at_the_close_is_found(world, items):
    crm = with_items(world.crm, items.assign(unit_price=discounted_at_the_close(items, world.crm)))
    found = leaking_figures(crm)
    assert list(found) == ["discount"]
    builders, notes = audited([Age(), LineItems()], crm)
    assert [each.name for each in builders] == ["Age", "LineItems"]
    assert builders[1].settings() == {"without": ["discount"]}
    assert [str(note) for note in notes] == [f"the discount of line items is not used: {found['discount']}"]


def test_quantities_raised_at_the_close_take_values_with_them(world, items, quick_config):
    won = outcome_of(items, world.crm) == "won"
    data = training_set(with_items(world.crm, items.assign(quantity=items["quantity"] + 30 * won)), quick_config)
    assert data.recipe.builder_settings["LineItems"]["without"][0] == "quantity"
    built = {each.name for each in data.features.info if each.builder == "LineItems"}
    assert built == {
        "line_items", "line_item_products", "items_added_later", "item_changes_30d", "days_since_item_change",
    }  # fmt: skip
    assert any(str(note).startswith("the quantity of line items is not used: ") for note in data.notes)
    (again,) = (each for each in data.recipe.builders if isinstance(each, LineItems))
    assert again.without == tuple(data.recipe.builder_settings["LineItems"]["without"])


def test_a_change_that_is_recorded_with_its_moment_is_no_leak(world, items):
    closed_at = items["deal_id"].map(world.crm.deals.set_index("deal_id")["closed_at"])
    won = outcome_of(items, world.crm) == "won"
    cheaper = items.assign(unit_price=items["list_price"] * 0.6, added_at=closed_at)[won]
    before = items.assign(removed_at=closed_at.where(won))
    assert leaking_figures(with_items(world.crm, pd.concat([before, cheaper], ignore_index=True))) == {}


def test_figures_of_no_item_do_not_leak(world, items):
    assert leaking_figures(world.crm) == {}
    assert leaking_figures(with_items(world.crm, items.drop(columns="added_at"))) == {}
    assert leaking_figures(with_items(world.crm, items[["deal_id", "product_id", "added_at"]])) == {}
