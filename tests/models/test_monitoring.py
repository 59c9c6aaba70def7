"""What is said of a model in use: right figures, alarms where there is cause, and none where there is none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from winpredict import WinPredictError, train
from winpredict.config import Monitoring
from winpredict.errors import WorkspaceError
from winpredict.locale.text import text
from winpredict.models.monitoring import FILE, Check, Health, keep_health, latest_health, monitor
from winpredict.models.snapshots import pipeline
from winpredict.simulate.world import simulate

DAY = pd.Timestamp("2024-05-01", tz="UTC")
SETTINGS = Monitoring(least_deals=20)


@pytest.fixture(scope="module")
def calm():
    return simulate(700, seed=3, drift="none").crm


@pytest.fixture(scope="module")
def earlier(calm, quick_config):
    return train(calm, quick_config, as_of=DAY)


@pytest.fixture(scope="module")
def health(calm, earlier):
    return monitor(earlier, calm, SETTINGS, promised=0.45, model_version=4)


def check(health, name):
    return next(each for each in health.checks if each.name == name)


def test_a_company_that_stays_as_it_is_raises_no_alarm(health):
    assert [each.name for each in health.checks] == ["freshness", "inputs", "missing", "odds", "log_loss"]
    assert {each.name for each in health.checks if each.state == "act"} == set()
    assert not health.calls_for_training


def test_wins_are_those_of_deals_as_first_looked_at(calm, earlier, health):
    until = calm.known_until
    first = {}
    day = DAY
    while day <= until - pd.Timedelta(days=1):
        for deal in pipeline(calm, day)["deal_id"]:
            first.setdefault(deal, day)
        day += pd.Timedelta(days=30)
    asked = pd.DataFrame({"deal_id": list(first), "as_of": list(first.values())})
    features = earlier.build_features(calm, asked)
    odds = earlier.odds(features)["win_probability"].to_numpy()
    outcomes = calm.deals.set_index("deal_id")["outcome"].reindex(asked["deal_id"]).to_numpy()
    expected = spread = 0.0
    for row, (start, p) in enumerate(zip(asked["as_of"], odds, strict=True)):
        days = (until - start).total_seconds() / 86_400
        q = float(earlier.win_by(features.iloc[[row]], days, np.array([p]))[0])
        expected, spread = expected + q, spread + q * (1 - q)
    figures = check(health, "odds").figures
    assert figures["deals"] == len(asked)
    assert figures["won"] == (outcomes == "won").sum()
    assert figures["expected"] == pytest.approx(expected, abs=0.06)
    assert figures["z"] == pytest.approx(((outcomes == "won").sum() - expected) / np.sqrt(spread), abs=0.01)
    closed = outcomes != "open"
    losses = -np.where(outcomes[closed] == "won", np.log(odds[closed]), np.log(1 - odds[closed]))
    assert check(health, "log_loss").figures["log_loss"] == pytest.approx(losses.mean(), abs=1e-4)
    assert check(health, "log_loss").figures["deals"] == closed.sum()


def test_a_market_that_turns_calls_for_training(quick_config):
    crm = simulate(1200, seed=1, drift="violent").crm
    model = train(crm, quick_config, as_of=DAY)
    before = monitor(model, crm.as_known_at("2024-06-28"), SETTINGS)
    after = monitor(model, crm, SETTINGS)
    assert not before.calls_for_training
    assert after.calls_for_training
    odds = check(after, "odds")
    assert odds.state == "act"
    assert odds.figures["won"] < odds.figures["low"] < odds.figures["expected"]
    assert after.state == "act"


def test_odds_that_keep_no_promise_call_for_training(calm, earlier):
    assert check(monitor(earlier, calm, SETTINGS, promised=0.05), "log_loss").state == "act"
    assert check(monitor(earlier, calm, SETTINGS, promised=5.0), "log_loss").state == "ok"


def test_values_that_are_no_longer_recorded_are_told(calm, earlier):
    deals = calm.deals.copy()
    deals.loc[deals["outcome"] == "open", ["lead_source"]] = pd.NA
    found = check(monitor(earlier, replace(calm, deals=deals), SETTINGS), "missing")
    assert found.state == "act"
    assert found.figures["lead_source"] > 80
    assert "check the import" in str(found.sentence)


@pytest.mark.parametrize(("days", "state"), [(1, "ok"), (3, "ok"), (7, "watch"), (12, "act")])
def test_data_without_news_are_stale(calm, earlier, days, state):
    settings = Monitoring(stale_days=5)
    newest = pd.Timestamp(check(monitor(earlier, calm, settings), "freshness").figures["newest"], tz="UTC")
    found = check(monitor(earlier, calm, settings, now=newest + pd.Timedelta(days=days)), "freshness")
    assert found.state == state
    assert found.figures["days"] == days
    assert found.figures["usual_days"] == 5
    if days == 7:
        assert str(found.sentence).startswith("nothing has been recorded for 7 days, since ")


def test_a_pause_that_is_usual_is_no_alarm(calm, earlier):
    """Of a company that records something every ten days, six days without news are nothing new."""
    start = pd.Timestamp("2024-01-01", tz="UTC")
    deals = calm.deals.head(30).assign(created_at=[start + pd.Timedelta(days=10 * n) for n in range(30)])
    deals = deals.assign(closed_at=pd.Series([pd.NaT] * 30, dtype="datetime64[us, UTC]"), outcome="open")
    now = start + pd.Timedelta(days=296)
    quiet = replace(calm, deals=deals, activities=None, deal_history=None, known_until=now)
    found = check(monitor(replace(earlier, trained_as_of=now), quiet, Monitoring(stale_days=3)), "freshness")
    assert (found.state, found.figures["days"], found.figures["usual_days"]) == ("ok", 6, 10)


def test_a_new_model_has_its_freshness_looked_at_alone(calm, earlier):
    health = monitor(earlier, calm.as_known_at(DAY), SETTINGS)
    assert [each.name for each in health.checks] == ["freshness"]


def test_data_without_dates_are_refused(calm, earlier):
    with pytest.raises(WinPredictError, match="no dates"):
        monitor(earlier, replace(calm, known_until=None), SETTINGS)


def test_health_is_kept_and_read_again(tmp_path, health):
    assert latest_health(tmp_path) is None
    keep_health(tmp_path, health)
    again = latest_health(tmp_path)
    assert again == health
    assert [str(each.sentence) for each in again.checks] == [str(each.sentence) for each in health.checks]


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"as_of": "2024-01-01", "model_version": 1, "checks": [{}]}'])
def test_a_damaged_record_says_how_to_recover(tmp_path, damage):
    (tmp_path / FILE).write_text(damage)
    with pytest.raises(WorkspaceError, match=rf"{FILE} cannot be read; remove it"):
        latest_health(tmp_path)


def test_the_worst_check_is_the_state():
    checks = tuple(Check("odds", state, text("x")) for state in ("ok", "watch"))
    assert Health(DAY, 1, checks).state == "watch"
    assert Health(DAY, 1, ()).state == "ok"
