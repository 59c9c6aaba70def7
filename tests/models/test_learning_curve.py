import dataclasses
import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, WinPredictError
from winpredict.errors import ConfigError, TooLittleDataError
from winpredict.models.learning_curve import LearningCurve, in_share, learning_curve

SIZES = (0.05, 0.3, 1.0)


@pytest.fixture(scope="module")
def curve(world, quick_config):
    return learning_curve(world.crm, quick_config, sizes=SIZES)


def of(figures):
    """A curve with these rows of deals, difference, low_80 and high_80."""
    rows = pd.DataFrame(figures, columns=["deals", "difference", "low_80", "high_80"])
    return LearningCurve(rows.assign(seconds=0.0), pd.DataFrame({"won": [0, 1]}), pd.Timestamp("2025-01-01", tz="UTC"))


def test_a_smaller_share_is_part_of_every_larger_one():
    ids = [f"d{number}" for number in range(3000)]
    shares = [0.1, 0.4, 0.7, 1.0]
    kept = [in_share(ids, share, seed=3) for share in shares]
    assert all((smaller <= larger).all() for smaller, larger in pairwise(kept))
    assert [each.mean() for each in kept] == pytest.approx(shares, abs=0.03)
    assert (kept[0] != in_share(ids, 0.1, seed=4)).any()


def test_every_size_is_judged_on_the_same_deals_that_were_open_and_have_closed_since(world, curve):
    deals = world.crm.deals.set_index("deal_id").loc[curve.predictions["deal_id"]]
    assert (deals["created_at"] < curve.cutoff).all()
    assert (deals["closed_at"] >= curve.cutoff).all()
    assert ((deals["outcome"] == "won").to_numpy() == curve.predictions["won"]).all()
    assert curve.predictions[[0.3, 1.0]].apply(lambda odds: odds.between(0, 1).all()).all()


def test_figures_grow_with_the_share_and_sizes_with_too_few_deals_are_named(world, curve, quick_config):
    figures = curve.figures
    assert figures["share"].tolist() == [0.3, 1.0]
    assert figures[["deals", "won", "snapshots"]].diff().iloc[1].gt(0).all()
    known = world.crm.as_known_at(curve.cutoff).deals
    assert figures["deals"].iloc[-1] <= (known["outcome"] != "open").sum()
    assert len(curve.skipped) == 1
    assert "5% of the deals" in curve.summary()
    assert figures["difference"].iloc[1] == pytest.approx(figures["log_loss"].diff().iloc[1])
    low, high = curve.interval
    assert low < curve.difference < high


def test_the_same_seed_gives_the_same_curve(world, curve, quick_config):
    again = learning_curve(world.crm, quick_config, sizes=SIZES, seed=quick_config.seed)
    pd.testing.assert_frame_equal(again.figures.drop(columns="seconds"), curve.figures.drop(columns="seconds"))
    pd.testing.assert_frame_equal(again.predictions, curve.predictions)
    other = learning_curve(world.crm, quick_config, sizes=SIZES, seed=9)
    assert other.figures["deals"].iloc[0] != curve.figures["deals"].iloc[0]
    np.testing.assert_array_equal(other.predictions[1.0], curve.predictions[1.0])


def test_nothing_recorded_from_the_cutoff_on_changes_the_odds(world, curve, quick_config):
    crm = world.crm
    touched = crm.activities["recorded_at"].fillna(crm.activities["occurred_at"]) >= curve.cutoff
    moved = crm.deal_history["changed_at"] >= curve.cutoff
    ended = crm.deals["closed_at"] >= curve.cutoff
    flipped = crm.deals["outcome"].where(~ended, crm.deals["outcome"].map({"won": "lost", "lost": "won"}))
    assert min(touched.sum(), moved.sum(), ended.sum()) > 0
    changed = dataclasses.replace(
        crm,
        deals=crm.deals.assign(outcome=flipped),
        activities=crm.activities[~touched].reset_index(drop=True),
        deal_history=crm.deal_history[~moved].reset_index(drop=True),
    )
    again = learning_curve(changed, quick_config, sizes=SIZES)
    odds = [*curve.predictions.columns.drop("won")]
    pd.testing.assert_frame_equal(again.predictions[odds], curve.predictions[odds])
    assert (again.predictions["won"] == 1 - curve.predictions["won"]).all()


def test_the_verdict_says_whether_more_helps_and_what_a_doubling_gave():
    helps = of([(400, np.nan, np.nan, np.nan), (800, -0.02, -0.03, -0.01)])
    assert helps.more_helps
    assert helps.per_doubling == pytest.approx(-0.02)
    assert helps.verdict.startswith("More data would likely still help: from 400 to 800 closed deals")
    assert "about −0.0200 for twice as many" in helps.verdict
    enough = of([(400, np.nan, np.nan, np.nan), (600, -0.01, -0.03, 0.01)])
    assert "no longer helps beyond chance" in enough.verdict
    assert "a change of −0.0300 is not ruled out" in enough.verdict
    assert "not ruled out" not in of([(400, np.nan, np.nan, np.nan), (600, 0.02, 0.01, 0.03)]).verdict
    assert "is unknown" in of([(400, np.nan, np.nan, np.nan)]).verdict


def test_a_curve_becomes_plain_values(curve):
    facts = curve.to_dict()
    assert facts["verdict"] == curve.verdict
    assert json.loads(json.dumps(facts))["figures"][1]["share"] == 1.0


@pytest.mark.parametrize("sizes", [(), (0.0, 1.0), (0.5, 1.5)])
def test_what_is_no_share_is_refused(world, quick_config, sizes):
    with pytest.raises(ConfigError, match="shares above 0"):
        learning_curve(world.crm, quick_config, sizes=sizes)


def test_undated_deals_short_histories_and_sizes_too_small_are_sentences(world, quick_config):
    undated = pd.DataFrame({"deal_id": [f"d{number}" for number in range(90)], "stage": None, "created_at": pd.NaT})
    undated = undated.assign(closed_at=pd.NaT, outcome=["won", "lost", "open"] * 30)
    with pytest.raises(WinPredictError, match="carry no dates"):
        learning_curve(CRMData.from_tables(undated), quick_config)
    with pytest.raises(TooLittleDataError, match="longer history"):
        learning_curve(world.crm.as_known_at("2023-02-15"), quick_config)
    with pytest.raises(TooLittleDataError, match="larger sizes"):
        learning_curve(world.crm, quick_config, sizes=(0.01,))
