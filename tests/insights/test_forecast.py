import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import Config, CRMData, WinPredictError, train
from winpredict.insights._forecast_history import NewBusiness
from winpredict.insights.forecast import forecast, periods_at
from winpredict.insights.forecast_backtest import backtest_forecast


@pytest.fixture(scope="module")
def found(world, model):
    return forecast(model, world.crm, draws=800)


def test_every_period_adds_up_and_its_interval_is_in_order(found):
    periods = found.periods
    assert periods["period"].tolist() == ["this month", "next month", "this quarter", "next quarter"]
    parts = periods["booked"] + periods["open_pipeline"] + periods["not_yet_created"]
    np.testing.assert_allclose(parts, periods["expected"], rtol=1e-6)
    assert (periods["low"] <= periods["commit"]).all()
    assert (periods["commit"] <= periods["best_case"]).all()
    assert (periods["best_case"] <= periods["high"]).all()
    assert periods["quota"].isna().all()


def test_what_was_won_since_the_period_began_is_booked(world, found):
    crm = world.crm
    start = crm.known_until.normalize().replace(day=1)
    won = crm.deals[(crm.deals["outcome"] == "won") & (crm.deals["closed_at"] >= start)]
    assert found.periods["booked"].iloc[0] == pytest.approx(won["amount"].sum())


def test_teams_and_reps_add_up_to_the_company(found):
    for level in (found.by_team, found.by_rep):
        sums = level.groupby("period")["open_pipeline"].sum()
        company = found.periods.set_index("period")["open_pipeline"]
        np.testing.assert_allclose(sums[company.index], company, rtol=0.05)


def test_chances_by_period_stay_below_the_win_odds(found):
    deals = found.deals
    both = deals["p this month"] + deals["p next month"]
    assert (both <= deals["win_probability"] + 1e-9).all()


def test_quotas_are_met_against(world, model):
    crm = world.crm
    users = crm.deals["owner_id"].dropna().unique()[:3]
    quarter = periods_at(crm.known_until)[2]
    quotas = pd.DataFrame({"user_id": users, "amount": [1e3, 1e12, 5e4]})
    quotas = quotas.assign(period_start=quarter.starts, period_end=quarter.ends - pd.Timedelta(days=1))
    found = forecast(
        model,
        CRMData.from_frames(
            **dict(crm.tables()), quotas=quotas, stage_order=crm.stage_order, known_until=crm.known_until
        ),
        draws=300,
    )
    row = found.periods.set_index("period").loc["this quarter"]
    assert row["quota"] == pytest.approx(quotas["amount"].sum())
    assert row["p_quota"] == 0.0
    assert found.periods.set_index("period").loc["this month", "quota"] != row["quota"]
    reps = found.by_rep[found.by_rep["period"] == "this quarter"].set_index("name")
    assert reps["quota"].notna().sum() == 3
    assert any("of quota" in sentence for sentence in found.sentences())


def test_the_same_seed_gives_the_same_forecast_whatever_the_order_of_rows(world, model, found):
    shuffled = {name: frame.sample(frac=1, random_state=4).reset_index(drop=True) for name, frame in world.crm.tables()}
    again = forecast(model, dataclasses.replace(world.crm, **shuffled), draws=800)
    pd.testing.assert_frame_equal(again.periods, found.periods)
    pd.testing.assert_frame_equal(again.by_rep, found.by_rep)


def test_nothing_recorded_later_is_used(world, quick_config):
    day = pd.Timestamp("2024-10-10", tz="UTC")
    model = train(world.crm, quick_config, as_of=day)
    whole = forecast(model, world.crm, as_of=day, draws=200)
    cut = forecast(model, world.crm.as_known_at(day), draws=200)
    pd.testing.assert_frame_equal(whole.periods, cut.periods)
    with pytest.raises(WinPredictError, match="would know the future"):
        forecast(model, world.crm, as_of="2024-06-01")


def test_undated_deals_or_deals_without_amounts_get_a_sentence(world, model, quick_config):
    bare = world.crm.deals.assign(amount=np.nan)
    none = dataclasses.replace(world.crm, deals=bare, deal_history=world.crm.deal_history.drop(columns="amount"))
    assert "No deal has an amount" in forecast(model, none).sentences()[0]
    undated = dataclasses.replace(world.crm, deals=bare.assign(created_at=pd.NaT, closed_at=pd.NaT), known_until=None)
    assert "no dates" in forecast(model, undated).sentences()[0]


def test_new_business_counts_what_is_created_from_now_on():
    """One deal a day, each won on its tenth day: of those created from now on, 20 are won within 30 days."""
    coming = NewBusiness(1.0, np.where(np.arange(100) >= 10, 1.0, 0.0), np.array([5.0]))
    assert coming.wins(0, 30) == pytest.approx(20)
    assert coming.wins(30, 60) == pytest.approx(30)


def test_past_forecasts_are_judged_beside_their_rivals(world):
    config = Config.model_validate({"model": {"bags": 1, "trees": 30, "learning_rate": 0.1, "threads": 1}})
    found = backtest_forecast(world.crm, config, cutoffs=2, draws=200)
    assert set(found.overall.index) == {"winpredict", "stage-weighted", "same period last year"}
    assert found.overall.loc["winpredict", "coverage"] == pytest.approx(
        (
            (found.forecasts["actual"] >= found.forecasts["low"])
            & (found.forecasts["actual"] <= found.forecasts["high"])
        ).mean()
    )
    assert (found.forecasts["ends"] <= world.crm.known_until).all()
    assert "mean error" in found.sentences()[0]


def test_too_short_a_history_for_past_forecasts_is_said(world):
    with pytest.raises(WinPredictError, match="longer history"):
        backtest_forecast(world.crm.as_known_at("2023-03-01"), cutoffs=1)
