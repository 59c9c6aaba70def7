"""Undated deals are looked at once, as they are."""

import pandas as pd

from winpredict import Config, CRMData
from winpredict.features.snapshots import open_at
from winpredict.models.snapshots import pipeline, training_snapshots


def test_undated_deals_are_learnt_from_once_closed_and_scored_while_open():
    deals = pd.DataFrame(
        {
            "deal_id": ["a", "b", "c"], "stage": "Demo", "outcome": ["won", "open", "lost"],
            "created_at": pd.NaT, "closed_at": pd.NaT,
        }
    )  # fmt: skip
    crm = CRMData.from_tables(deals)
    snapshots = training_snapshots(crm, Config())
    assert snapshots["deal_id"].tolist() == ["a", "c"]
    assert snapshots["outcome"].tolist() == ["won", "lost"]
    assert snapshots["look"].tolist() == [1.0, 1.0]
    assert snapshots[["as_of", "days_to_close"]].isna().all().all()
    assert pipeline(crm, None)["deal_id"].tolist() == ["b"]


def test_dated_deals_are_scored_as_they_stood(world):
    day = pd.Timestamp("2024-09-01", tz="UTC")
    pd.testing.assert_frame_equal(pipeline(world.crm, day), open_at(world.crm, day))
