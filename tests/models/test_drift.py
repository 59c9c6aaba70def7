from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, wasserstein_distance

from winpredict import train
from winpredict.errors import TooLittleDataError
from winpredict.locale.language import speaking
from winpredict.models.drift import drift_since_training, shifts
from winpredict.models.snapshots import pipeline

DAY = pd.Timestamp("2024-11-01", tz="UTC")


@pytest.fixture(scope="module")
def earlier(world, quick_config):
    return train(world.crm, quick_config, as_of=DAY)


@pytest.fixture(scope="module")
def drift(world, earlier):
    return drift_since_training(earlier, world.crm)


def of(then, now, unit="count"):
    """The shift of one feature."""
    info = [SimpleNamespace(name="x", label="x", unit=unit, builder="Touches")]
    return shifts(SimpleNamespace(info=info), pd.DataFrame({"x": then}), pd.DataFrame({"x": now})).iloc[0]


def test_wins_are_those_that_were_open_at_training(world, earlier, drift):
    deals = world.crm.deals.set_index("deal_id")
    snapshots = pipeline(world.crm, DAY)
    then = deals.loc[snapshots["deal_id"]]
    assert (then["created_at"] < DAY).all()
    assert (then["closed_at"].isna() | (then["closed_at"] >= DAY)).all()
    assert drift.deals_then == len(then)
    assert drift.deals_now == (world.crm.deals["outcome"] == "open").sum()
    assert (drift.won, drift.lost) == tuple((then["outcome"] == each).sum() for each in ("won", "lost"))
    features = earlier.build_features(world.crm, snapshots)
    odds = earlier.odds(features)["win_probability"].to_numpy()
    by_now = earlier.win_by(features, drift.days, odds)
    assert drift.expected == pytest.approx(by_now.sum())
    assert drift.odds_then == pytest.approx(odds.mean())
    half = 1.96 * np.sqrt((by_now * (1 - by_now)).sum())
    assert (drift.low, drift.high) == pytest.approx((max(0, drift.expected - half), drift.expected + half))


def test_what_happened_after_the_data_ends_plays_no_part(world, earlier, drift):
    """The endings that count are those before the end of the data, however far it reaches."""
    until = DAY + pd.Timedelta(days=40)
    known = world.crm.as_known_at(until)
    early = drift_since_training(earlier, known)
    assert early.until == until
    assert early.won <= drift.won
    deals = world.crm.deals
    won = (deals["outcome"] == "won") & deals["closed_at"].ge(DAY) & deals["closed_at"].lt(until)
    assert early.won == (won & (deals["created_at"] < DAY)).sum()


def test_nothing_moved(world, earlier):
    features = earlier.build_features(world.crm, pipeline(world.crm, DAY))
    same = shifts(earlier, features, features.sample(frac=1.0, random_state=3))
    assert (same["shift"].abs() < 1e-9).all()
    assert not same["is_clear"].any()


def test_the_clear_ones_come_first_the_largest_of_them_at_the_top(drift):
    found = drift.features
    order = list(zip(~found["is_clear"], -found["shift"], strict=True))
    assert order == sorted(order)


def test_numbers_move_by_their_distance_in_standard_deviations():
    chance = np.random.default_rng(1)
    then, now = chance.normal(0, 1, 400), chance.normal(2, 1, 300)
    found = of(then, now)
    assert found["shift"] == pytest.approx(wasserstein_distance(then, now) / np.std(np.concatenate([then, now])))
    assert found["is_clear"]
    assert (found["then"], found["now"]) == (np.median(then), np.median(now))


def test_values_that_are_no_longer_filled_in_are_a_shift():
    then, now = np.arange(100.0), np.arange(100.0)
    now[::2] = np.nan
    found = of(then, now)
    assert found["shift"] == pytest.approx(0.5)
    assert found["is_clear"]


def test_categories_move_by_the_share_of_deals_that_moved():
    then, now = ["EU"] * 80 + ["US"] * 20, ["EU"] * 30 + ["US"] * 20 + [None] * 50
    found = of(pd.Series(then, dtype="category"), pd.Series(now, dtype="category"), "category")
    assert found["shift"] == pytest.approx(0.5)
    assert (found["category"], found["then"], found["now"]) in {("EU", 0.8, 0.3), ("(none)", 0.0, 0.5)}
    assert found["is_clear"]


@pytest.mark.parametrize(
    ("then", "now", "unit", "moved"),
    [
        ([1.0] * 40, [1.0, np.nan] * 20, "count", 0.5),
        ([1.0] * 40, [np.nan] * 40, "count", 1.0),
        (["EU"] * 40, ["US"] * 40, "category", 1.0),
        (["EU"] * 40, [None] * 40, "category", 1.0),
    ],
)
def test_what_was_the_same_for_all_deals_moves_too(then, now, unit, moved):
    kind = "category" if unit == "category" else "float64"
    found = of(pd.Series(then, dtype=kind), pd.Series(now, dtype=kind), unit)
    assert found["is_clear"]
    assert found["shift"] == pytest.approx(moved)


def test_what_follows_the_day_alone_does_not_count():
    info = [SimpleNamespace(name="x", label="x", unit="share", builder="TrackRecord")]
    found = shifts(SimpleNamespace(info=info), pd.DataFrame({"x": [0.31] * 40}), pd.DataFrame({"x": [0.3] * 40}))
    assert found.empty


def test_a_track_record_counts_once_for_all_its_deals():
    """Three products whose win rates wobble from day to day have not moved; sixty deals of their own have."""
    chance = np.random.default_rng(5)
    rates = np.array([0.30, 0.34, 0.38])
    then, now = rates[chance.integers(0, 3, 60)], (rates + 0.03)[chance.integers(0, 3, 60)]
    frames = pd.DataFrame({"x": then}), pd.DataFrame({"x": now})
    found = {
        builder: shifts(
            SimpleNamespace(info=[SimpleNamespace(name="x", label="x", unit="share", builder=builder)]), *frames
        ).iloc[0]
        for builder in ("TrackRecord", "Touches")
    }
    assert found["TrackRecord"]["p_value"] == pytest.approx(ks_2samp(rates, rates + 0.03, method="exact").pvalue)
    assert {name: row["is_clear"] for name, row in found.items()} == {"TrackRecord": False, "Touches": True}


def test_chance_is_that_of_scipy():
    chance = np.random.default_rng(6)
    then, now = chance.normal(0, 1, 70), chance.normal(0.4, 1, 50)
    assert of(then, now)["p_value"] == pytest.approx(ks_2samp(then, now, method="asymp").pvalue)


def test_small_or_unsure_shifts_are_not_clear():
    chance = np.random.default_rng(2)
    sure_but_small = of(chance.normal(0, 1, 50_000), chance.normal(0.1, 1, 50_000))
    assert sure_but_small["p_value"] < 1e-6
    assert not sure_but_small["is_clear"]
    large_but_unsure = of(chance.normal(0, 1, 6), chance.normal(0.6, 1, 6))
    assert not large_but_unsure["is_clear"]


def test_false_alarms_are_as_rare_as_said():
    """Of forty features that stay as they are, none is called clear in nineteen worlds of twenty."""
    chance = np.random.default_rng(4)
    info = [SimpleNamespace(name=f"x{each}", label="", unit="count", builder="Touches") for each in range(40)]
    alarms = 0
    for _ in range(60):
        then, now = (
            pd.DataFrame(chance.poisson(2.0, (60, 40)), columns=[each.name for each in info]) for _ in range(2)
        )
        alarms += shifts(SimpleNamespace(info=info), then, now)["is_clear"].any()
    assert alarms <= 7  # of 60 at 5%: more than this by chance once in a hundred


def test_words(drift):
    assert replace(drift, expected=10.0, low=5.0, high=15.0, won=10).is_calibrated
    assert "fewer than chance explains: train again" in replace(drift, low=5.0, high=15.0, won=4).sentence
    assert "more than chance explains: train again" in replace(drift, low=5.0, high=15.0, won=16).sentence
    with speaking("fr"):
        told = replace(drift, deals_then=1200, expected=9.5, low=5.0, high=15.0, won=4, lost=3).sentence
    assert told == (
        "De 1\u202f200 affaires en cours à l’entraînement, le modèle en attendait 9,5 gagnées à ce jour (5 à 15 avec "
        "le hasard)\u00a0; 4 l’ont été, et 3 ont été perdues. C’est moins que le hasard n’explique\u00a0: entraînez "
        "de nouveau."
    )


def test_too_little_to_compare(world, model, earlier):
    with pytest.raises(TooLittleDataError, match="newer data"):
        drift_since_training(model, world.crm)
    with pytest.raises(TooLittleDataError, match="no dates"):
        drift_since_training(replace(earlier, trained_as_of=None), world.crm)
    few = replace(world.crm, deals=world.crm.deals[world.crm.deals["outcome"] != "open"].reset_index(drop=True))
    with pytest.raises(TooLittleDataError, match="a comparison needs 20"):
        drift_since_training(earlier, few)
