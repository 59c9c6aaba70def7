import pandas as pd
import pytest

from winpredict import CRMData
from winpredict.insights.deals import SEGMENTS, deals_at_end


@pytest.fixture(scope="module")
def table(world):
    return deals_at_end(world.crm)


def test_what_was_typed_at_the_close_is_not_seen(world, table):
    lost = world.crm.deals["outcome"] == "lost"
    assert (world.crm.deals.loc[lost, "amount"] == 0).mean() > 0.5
    assert (table.loc[lost.to_numpy(), "amount"] > 0).mean() > 0.9


def test_every_segment_is_a_column_with_values(table):
    assert table[list(SEGMENTS)].notna().any().all()
    assert list(table["touches_band"].cat.categories) == ["0", "1 to 4", "5 to 9", "10 to 19", "20 or more"]


def test_two_reps_of_one_name_are_told_apart():
    deals = pd.DataFrame(
        {
            "deal_id": ["a", "b"],
            "outcome": "open",
            "stage": "Demo",
            "owner_id": ["1", "2"],
            "created_at": "2025-01-01",
            "closed_at": None,
        }
    )
    crm = CRMData.from_tables(deals, users=pd.DataFrame({"user_id": ["1", "2"], "name": "Kim"}))
    assert deals_at_end(crm)["rep"].tolist() == ["Kim (1)", "Kim (2)"]


def test_a_deals_table_without_dates_gives_what_it_can():
    deals = pd.DataFrame(
        {
            "deal_id": list("abcd"),
            "outcome": ["won", "lost"] * 2,
            "stage": "Closed",
            "amount": [1, 2, 3, 4],
            "created_at": None,
            "closed_at": None,
        }
    )
    table = deals_at_end(CRMData.from_tables(deals), attributes=("amount",))
    assert table["size"].nunique() == 4
    assert table[["days", "touches", "speed"]].isna().all().all()
