"""No deal, and no duplicate of one, is on both sides of a split."""

import numpy as np
import pandas as pd

from winpredict import CRMData
from winpredict.features.snapshots import every, labelled
from winpredict.models.splits import duplicate_groups, held_out, known_before


def test_no_deal_is_both_learnt_from_and_calibrated_on(noise):
    bulk = noise.assign(
        closed_at=noise["closed_at"].dt.tz_localize(None).dt.to_period("Q").dt.end_time.dt.tz_localize("UTC")
    )
    crm = CRMData.from_tables(bulk)
    rows = labelled(crm, every(crm, 7))
    rows = rows[rows["outcome"] != "open"].reset_index(drop=True)
    assert pd.Series(held_out(rows, 0.2)).groupby(rows["deal_id"]).nunique().max() == 1


def test_the_last_closed_share_is_set_apart():
    rows = pd.DataFrame(
        {
            "deal_id": ["a", "a", "b", "c", "d"],
            "as_of": pd.to_datetime(["2025-01-01", "2025-01-31", "2025-01-01", "2025-01-01", "2025-03-01"], utc=True),
            "days_to_close": [40.0, 10.0, 10.0, 20.0, 5.0],
        }
    )
    assert held_out(rows, 0.25).tolist() == [0, 0, 0, 0, 1]
    assert held_out(rows, 0.5).tolist() == [1, 1, 0, 0, 1]
    assert held_out(rows, 0.0) is None


def test_few_undated_deals_are_all_held_out_in_turn_and_many_only_once():
    def folds(deals, share=0.2):
        ids = [f"d{number}" for number in range(deals)]
        rows = pd.DataFrame({"deal_id": ids, "as_of": pd.NaT, "days_to_close": np.nan})
        return held_out(rows, share)

    counts = np.bincount(folds(2000))
    assert counts[0] == 0
    assert len(counts) == 6
    assert counts[1:].min() > 340  # about 400 each
    counts = np.bincount(folds(12_500))  # 2,500 a fold: two of them make 5,000
    assert len(counts) == 3
    assert abs(counts[1:].sum() - 5000) < 200
    assert np.bincount(folds(30_000)).tolist()[2:] == []
    assert folds(2000)[17] == folds(30_000)[17] or folds(30_000)[17] == 0  # by its id alone


def test_rows_alike_are_a_group_unless_most_are():
    assert duplicate_groups(pd.DataFrame({"fit": [1.0, 2.0, 1.0, 3.0]})).tolist() == [0, 1, 0, 2]
    assert duplicate_groups(pd.DataFrame({"colour": ["red", "red", "red", "blue"]})).tolist() == [0, 0, 0, 1]
    assert duplicate_groups(pd.DataFrame({"colour": ["red"] * 4 + ["blue"]})).tolist() == [0, 1, 2, 3, 4]


def test_what_is_known_before_a_day_ends_with_it(world):
    assert known_before(world.crm) is world.crm
    known = known_before(world.crm, "2024-09-01")
    assert known.deals["created_at"].max() < pd.Timestamp("2024-09-01", tz="UTC")
    assert known.known_until == pd.Timestamp("2024-09-01", tz="UTC")
