import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, backtest
from winpredict.errors import TooLittleDataError
from winpredict.models.backtest import MODEL
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
    assert "stage win rate" in found.verdict
    assert found.verdict in found.summary()
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
    assert "No usable signal" in result.verdict
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


def test_too_little_history_is_refused(world, quick_config):
    short = world.crm.as_known_at("2023-02-15")
    with pytest.raises(TooLittleDataError):
        backtest(short, quick_config)
