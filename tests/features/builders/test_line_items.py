"""Line items: each figure against a loop, nothing of unknown date and nothing later is read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_crm import STAGES, START, random_tables

from winpredict import CRMData
from winpredict.explain.claims import claim_of
from winpredict.features.build import build_features
from winpredict.features.builders import LineItems
from winpredict.features.dataset import build_dataset
from winpredict.features.snapshots import every, labelled, on_dates
from winpredict.tables.buckets import DealBuckets

AS_OF = START + pd.Timedelta(days=35)
DAY = pd.Timedelta(days=1)
SEEDS = st.integers(0, 10_000)
ATTRIBUTES = ("account_id", "amount")


def tables_of(seed: int) -> dict[str, pd.DataFrame]:
    """Random tables with line items: ties, repeated rows, unknown dates and prices, some taken off again."""
    tables, rng = random_tables(seed), np.random.default_rng([seed, 5])
    ids = tables["deals"]["deal_id"]
    n = len(ids) * 5
    added = pd.Series(START + pd.to_timedelta(rng.integers(0, 60 * 8, n) * 3, unit="h"))
    items = pd.DataFrame(
        {
            "deal_id": rng.choice(ids, n),
            "product_id": rng.choice(["core", "plus", "care"], n),
            "quantity": rng.choice([1.0, 2.0, 10.0, np.nan], n),
            "unit_price": rng.choice([80.0, 95.0, 100.0, np.nan], n, p=[0.4, 0.3, 0.2, 0.1]),
            "list_price": rng.choice([100.0, 120.0, np.nan, 0.0], n, p=[0.5, 0.3, 0.1, 0.1]),
            "total_price": rng.choice([70.0, np.nan], n, p=[0.1, 0.9]),
            "added_at": added.where(rng.random(n) < 0.9),
            "removed_at": (added + pd.to_timedelta(rng.integers(-2, 500, n), unit="h")).where(rng.random(n) < 0.4),
        }
    )
    return tables | {"line_items": pd.concat([items, items.iloc[:4]], ignore_index=True)}


def crm_of(tables: dict[str, pd.DataFrame]) -> CRMData:
    return CRMData.from_tables(**tables, stage_order=STAGES, known_until=START + pd.Timedelta(days=120))


def frame(crm: CRMData, snapshots: pd.DataFrame) -> pd.DataFrame:
    return build_features(crm, snapshots, attributes=ATTRIBUTES, builders=[LineItems()]).frame


def left(row) -> pd.Timestamp:
    """When an item was taken off: not before it was added."""
    return max(row["removed_at"], row["added_at"])


def on_deal(items: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    rows = [
        row | {"value": value_of(row), "listed": list_value_of(row)}
        for row in items.to_dict("records")
        if row["added_at"] < as_of and not (pd.notna(row["removed_at"]) and left(row) < as_of)
    ]
    return pd.DataFrame(rows, columns=[*items.columns, "value", "listed"])


def value_of(row) -> float:
    pieces = 1.0 if np.isnan(row["quantity"]) else row["quantity"]
    return pieces * row["unit_price"] if np.isnan(row["total_price"]) else row["total_price"]


def list_value_of(row) -> float:
    pieces = 1.0 if np.isnan(row["quantity"]) else row["quantity"]
    return pieces * row["list_price"] if row["list_price"] > 0 else np.nan


def discount_of(items: pd.DataFrame) -> float:
    both = items[items["value"].notna() & items["listed"].notna()]
    return np.nan if both.empty else 1 - both["value"].sum() / both["listed"].sum()


def changes_of(items: pd.DataFrame, as_of: pd.Timestamp) -> tuple[list[pd.Timestamp], list[pd.Timestamp]]:
    """When items were added after the first day, and when they were taken off."""
    rows = [row for row in items.to_dict("records") if row["added_at"] < as_of]
    first = min((row["added_at"] for row in rows), default=as_of)
    removed = [left(row) for row in rows if pd.notna(row["removed_at"])]
    return [row["added_at"] for row in rows if row["added_at"] > first + DAY], [at for at in removed if at < as_of]


def by_loop(crm: CRMData, deal: str, as_of: pd.Timestamp) -> dict[str, float]:
    of = dict(list(crm.line_items.groupby("deal_id")))
    nothing = crm.line_items.iloc[:0]
    items = on_deal(of.get(deal, nothing), as_of)
    total = items["value"].sum() if len(items) and items["value"].notna().all() else np.nan
    added, removed = changes_of(of.get(deal, nothing), as_of)
    changed = added + removed
    history = crm.deal_history[(crm.deal_history["deal_id"] == deal) & crm.deal_history["amount"].notna()]
    known = history[history["changed_at"] < as_of]
    amounts = set(known.loc[known["changed_at"] == known["changed_at"].max(), "amount"])
    deals = crm.deals.set_index("deal_id")
    account = deals.loc[deal, "account_id"]
    others = deals.index[(deals["account_id"] == account) & (deals["created_at"] < as_of) & (deals.index != deal)]
    usual = discount_of(pd.concat([items.iloc[:0], *(on_deal(of.get(each, nothing), as_of) for each in others)]))
    return {
        "line_items": len(items),
        "line_item_products": items["product_id"].nunique(),
        "line_item_quantity": items["quantity"].fillna(1.0).sum(),
        "line_item_total": total,
        "largest_item_share": items["value"].max() / total,
        "line_items_vs_amount": total / amounts.pop() if len(amounts) == 1 else np.nan,
        "line_item_discount": discount_of(items),
        "discount_vs_account": discount_of(items) - usual,
        "items_added_later": len(added),
        "items_removed": len(removed),
        "item_changes_30d": sum(at >= as_of - 30 * DAY for at in changed),
        "days_since_item_change": (as_of - max(changed)) / DAY if changed else np.nan,
        "_amount_is_tied": len(amounts) > 0,
    }


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_every_figure_equals_a_loop(seed):
    crm = crm_of(tables_of(seed))
    snapshots = every(crm, 11.0)
    found = frame(crm, snapshots)
    expected = pd.DataFrame([by_loop(crm, deal, as_of) for deal, as_of in snapshots.itertuples(index=False)])
    tied = expected.pop("_amount_is_tied").to_numpy(dtype=bool)
    assert list(found) == list(expected)
    found.loc[tied, "line_items_vs_amount"] = expected.loc[tied, "line_items_vs_amount"]
    pd.testing.assert_frame_equal(found, expected.astype("float64"), rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(SEEDS, SEEDS)
def test_nothing_at_or_after_as_of_matters(seed, other_seed):
    tables, other = tables_of(seed), tables_of(other_seed)
    crm = crm_of(tables)
    snapshots = on_dates(crm, [AS_OF])
    expected = frame(crm, snapshots)
    pd.testing.assert_frame_equal(expected, frame(crm.as_known_at(AS_OF), snapshots))
    items, later = tables["line_items"], other["line_items"]
    earlier = items[items["added_at"] < AS_OF]
    still = ~(earlier["removed_at"] < AS_OF)
    ends = earlier["removed_at"].where(~still, AS_OF + DAY).where(~still | (earlier.index % 2 == 0))
    mixed = pd.concat([earlier.assign(removed_at=ends), later[~(later["added_at"] < AS_OF)]], ignore_index=True)
    pd.testing.assert_frame_equal(expected, frame(crm_of(tables | {"line_items": mixed}), snapshots))


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_an_item_of_unknown_date_is_not_read(seed):
    tables = tables_of(seed)
    items = tables["line_items"]
    dated = crm_of(tables | {"line_items": items[items["added_at"].notna()]})
    crm = crm_of(tables)
    pd.testing.assert_frame_equal(frame(crm, every(crm, 11.0)), frame(dated, every(dated, 11.0)))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_order_of_rows_changes_nothing(seed):
    tables = tables_of(seed)
    shuffled = {name: table.sample(frac=1, random_state=seed) for name, table in tables.items()}
    snapshots = every(crm_of(tables), 11.0)
    found = frame(crm_of(shuffled), snapshots)
    pd.testing.assert_frame_equal(found, frame(crm_of(tables), snapshots), check_exact=True)


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_rows_of_buckets_equal_those_of_the_whole_to_the_bit(tmp_path_factory, seed, number):
    crm = crm_of(tables_of(seed))
    place = tmp_path_factory.mktemp("parted")
    buckets = DealBuckets.write(crm, place / "tables", number)
    dataset = build_dataset(buckets, place / "features", attributes=ATTRIBUTES, builders=[LineItems()])
    found = pd.concat(list(dataset)).sort_values(["deal_id", "as_of"], ignore_index=True)
    snapshots = labelled(crm, every(crm, 7.0)).sort_values(["deal_id", "as_of"], ignore_index=True)
    expected = frame(crm, snapshots)
    assert list(expected) == [each.name for each in dataset.info]
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_exact=True)


def one_deal(items: pd.DataFrame, **deals) -> CRMData:
    deal = {"deal_id": ["a"], "stage": "Demo", "outcome": "open", "created_at": [START], "closed_at": [None]}
    return CRMData.from_tables(pd.DataFrame(deal | deals), line_items=items, known_until=START + 50 * DAY)


def of_one(crm: CRMData, day: int) -> pd.Series:
    snapshots = pd.DataFrame({"deal_id": ["a"], "as_of": [START + day * DAY]})
    attributes = crm.deals.columns.intersection(["amount"])
    return build_features(crm, snapshots, attributes=attributes, builders=[LineItems()]).frame.iloc[0]


def test_a_deal_s_products_over_its_life():
    items = pd.DataFrame(
        {
            "deal_id": "a",
            "product_id": ["core", "care", "core"],
            "quantity": [2.0, 1.0, 3.0],
            "unit_price": [90.0, 20.0, 80.0],
            "list_price": 100.0,
            "added_at": [START, START, START + 10 * DAY],
            "removed_at": [START + 10 * DAY, None, None],  # two pieces became three, at a better price
        }
    )
    crm = one_deal(items, amount=[200.0])
    before, after = of_one(crm, 5), of_one(crm, 12)
    assert before[["line_items", "line_item_products", "line_item_quantity"]].tolist() == [2.0, 2.0, 3.0]
    assert before[["line_item_total", "line_items_vs_amount"]].tolist() == [200.0, 1.0]
    assert before["largest_item_share"] == pytest.approx(0.9)
    assert before["line_item_discount"] == pytest.approx(1 / 3)
    assert before["item_changes_30d"] == 0
    assert np.isnan(before["days_since_item_change"])
    assert after[["line_items", "line_item_products", "line_item_quantity"]].tolist() == [2.0, 2.0, 4.0]
    assert after[["line_item_total", "line_items_vs_amount"]].tolist() == pytest.approx([260.0, 1.3])
    assert after["line_item_discount"] == pytest.approx(0.35)
    assert after[["items_added_later", "items_removed", "item_changes_30d"]].tolist() == [1.0, 1.0, 2.0]
    assert after["days_since_item_change"] == 2.0


def test_a_deal_without_items_has_none_and_no_total():
    items = pd.DataFrame({"deal_id": ["b"], "product_id": "core", "unit_price": 5.0, "added_at": START})
    found = of_one(one_deal(items), 5)
    assert found[["line_items", "line_item_products", "items_added_later"]].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(found["line_item_total"])
    assert "line_item_discount" not in found
    assert "line_item_quantity" not in found
    assert "items_removed" not in found


@pytest.mark.parametrize("items", [
    {"product_id": "core", "unit_price": 5.0},
    {"product_id": "core", "unit_price": 5.0, "added_at": pd.NaT},
])  # fmt: skip
def test_without_dates_there_is_nothing_to_say(items):
    crm = one_deal(pd.DataFrame({"deal_id": ["a"]} | items))
    snapshots = pd.DataFrame({"deal_id": ["a"], "as_of": [START + DAY]})
    assert build_features(crm, snapshots, builders=[LineItems()]).frame.shape == (1, 0)
    assert build_features(crm, snapshots).frame.shape[1] > 0


def test_the_table_is_said_to_be_absent():
    crm = crm_of(random_tables(1))
    (line,) = build_features(crm, every(crm, 11.0), builders=[LineItems()]).skipped
    assert str(line) == "LineItems left out: no table line_items"


def test_facts_are_told_in_words():
    crm = crm_of(tables_of(1))
    info = {each.name: each for each in build_features(
        crm, every(crm, 11.0), attributes=ATTRIBUTES, builders=[LineItems()]
    ).info}  # fmt: skip
    told = {name: str(claim_of(info[name], value)) for name, value in (
        ("line_items", 1.0), ("line_item_quantity", 12.0), ("line_item_total", 1250.0), ("largest_item_share", 0.8),
        ("line_items_vs_amount", 1.25), ("line_item_discount", 0.125), ("discount_vs_account", 0.05),
        ("items_removed", 2.0), ("item_changes_30d", 1.0), ("days_since_item_change", None),
    )}  # fmt: skip
    assert told == {
        "line_items": "1 item on the deal",
        "line_item_quantity": "12 pieces of all products on the deal",
        "line_item_total": "items for 1,250 in all",
        "largest_item_share": "80% of the total in the largest item",
        "line_items_vs_amount": "total of the items 1.2 times the deal's amount",
        "line_item_discount": "12% discount against the list price",
        "discount_vs_account": "discount 5 points above this customer's usual one",
        "items_removed": "2 items removed from the deal",
        "item_changes_30d": "1 change of the items in the last 30 days",
        "days_since_item_change": "the items never changed",
    }
    assert {each.story.key for each in info.values()} == {"products", "discount", "product_changes"}
