import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, backtest
from winpredict.config import Snapshots
from winpredict.errors import ConfigError, TooLittleDataError
from winpredict.models.backtest import MODEL, _require_room
from winpredict.models.splits import cutoffs


@pytest.fixture(scope="module")
def found(world, quick_config):
    return backtest(world.crm, quick_config, folds=3)


def test_every_scored_deal_was_open_and_has_closed_since(world, found):
    deals = world.crm.deals.set_index("deal_id")
    scored = found.predictions
    assert (scored["deal_id"].map(deals["created_at"]) < scored["cutoff"]).all()
    assert (scored["deal_id"].map(deals["closed_at"]) >= scored["cutoff"]).all()
    assert (scored["won"] == (scored["deal_id"].map(deals["outcome"]) == "won")).all()


def test_the_model_stands_beside_every_baseline(found):
    assert set(found.comparisons) == {"overall_rate", "stage_win_rate", "naive_bayes", "logistic"}
    assert found.overall.loc[MODEL, "log_loss"] < found.overall.loc["stage_win_rate", "log_loss"]
    assert "stage win rate" in str(found.verdict)
    assert str(found.verdict) in found.summary()
    assert set(found.by_stage.index.get_level_values("scorer")) == {MODEL, "stage_win_rate"}
    assert set(found.intervals.columns) >= {"low_95", "high_95"}


def test_what_happens_after_a_cutoff_does_not_change_its_odds(world, quick_config, found):
    crm = world.crm
    first = cutoffs(crm, 3, quick_config)[0]
    after = crm.activities["recorded_at"].fillna(crm.activities["occurred_at"]) >= first
    changed = dataclasses.replace(crm, activities=crm.activities[~after].reset_index(drop=True))
    again = backtest(changed, quick_config, folds=3).predictions
    of_first = found.predictions["cutoff"] == first
    pd.testing.assert_series_equal(again.loc[again["cutoff"] == first, MODEL], found.predictions.loc[of_first, MODEL])


def test_noise_is_called_noise(quick_config):
    rng = np.random.default_rng(0)
    n = 300
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(n)],
            "stage": None,
            "outcome": rng.choice(["won", "lost"], n),
            "created_at": pd.NaT,
            "closed_at": pd.NaT,
            "colour": rng.choice(["red", "blue"], n),
            "size": rng.normal(size=n),
        }
    )
    result = backtest(CRMData.from_tables(deals), quick_config)
    assert "No usable signal" in str(result.verdict)
    assert result.kind.startswith("grouped")


def test_duplicates_share_a_fold(quick_config):
    rng = np.random.default_rng(0)
    n = 240
    half = pd.DataFrame({"fit": rng.normal(size=n // 2), "outcome": rng.choice(["won", "lost"], n // 2)})
    deals = pd.concat([half, half], ignore_index=True).assign(
        deal_id=[f"d{number}" for number in range(n)], stage=None, created_at=pd.NaT, closed_at=pd.NaT
    )
    scored = backtest(CRMData.from_tables(deals), quick_config).predictions
    fold = scored.set_index("deal_id")["cutoff"]
    first, again = fold[[f"d{i}" for i in range(n // 2)]], fold[[f"d{i + n // 2}" for i in range(n // 2)]]
    assert (first.to_numpy() == again.to_numpy()).all()


def test_slopes_of_few_deals_and_of_odds_that_are_all_alike_are_left_out(found):
    slopes = found.overall["calibration_slope"]
    assert slopes.index[slopes.isna()].tolist() == ["overall_rate"]
    stages = found.by_stage.xs(MODEL, level="scorer")
    deals = found.predictions.groupby("stage")["deal_id"].nunique()[stages.index]
    assert stages["calibration_slope"].notna().tolist() == (deals >= 50).tolist()
    assert 0 < (deals >= 50).sum() < len(deals)
    assert found.by_stage.xs("stage_win_rate", level="scorer")["calibration_slope"].isna().all()
    assert found.remark == (
        "Calibration slopes are left out for fewer than 50 deals, where chance alone makes them, and where all odds "
        "of a cut-off are alike."
    )
    assert found.by_cutoff.index.get_level_values(0).str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    told = dataclasses.replace(found, **{name: found.by_stage.dropna() for name in ("by_cutoff", "by_stage", "by_age")})
    assert dataclasses.replace(told, overall=found.overall.drop("overall_rate")).remark == ""


def test_no_signal_is_told_without_a_term_of_art(found):
    compared = dataclasses.replace(found.comparisons["overall_rate"], high_95=0.01)
    intervals = found.intervals.copy()
    intervals.loc["auc", ["value", "low_95", "high_95"]] = 0.348, 0.181, 0.497
    nothing = dataclasses.replace(found, intervals=intervals, comparisons={"overall_rate": compared})
    assert str(nothing.verdict).startswith(
        "No usable signal: of a won and a lost deal the model gives the won one the better odds in 35% of cases (95% "
        "interval 18% to 50%), where a coin is right in 50%. The model is not shown to beat the baseline: log loss "
    )


def test_cut_offs_nearer_than_looks_are_refused(world, quick_config):
    first, last = cutoffs(world.crm, 2, quick_config)
    room = 1 + (last - first).days // 14
    with pytest.raises(ConfigError) as caught:
        backtest(world.crm, quick_config, folds=500)
    assert str(caught.value) == (
        f"cannot backtest with 500 cut-offs: between {first:%Y-%m-%d} and {last:%Y-%m-%d} there is room for {room} "
        "that lie 14 days apart, and nearer ones judge the same deals again; give fewer"
    )
    with pytest.raises(ConfigError, match=f"with {room + 1} cut-offs"):
        backtest(world.crm, quick_config, folds=room + 1)
    _require_room(world.crm, room, quick_config)
    quarterly = quick_config.model_copy(update={"snapshots": Snapshots(every_days=90)})
    _require_room(world.crm, 5, quarterly)  # five always
    undated = dataclasses.replace(
        world.crm, deals=world.crm.deals.assign(created_at=pd.NaT, closed_at=pd.NaT), activities=None, deal_history=None
    )
    with pytest.raises(ConfigError, match="with 21 folds: without dates it takes 20 at most"):
        _require_room(undated, 21, quick_config)


def test_too_little_history_is_refused(world, quick_config):
    short = world.crm.as_known_at("2023-02-15")
    with pytest.raises(TooLittleDataError):
        backtest(short, quick_config)
