"""Two models on the same deals: neither has seen how they end, and the gate decides as it says."""

import numpy as np
import pandas as pd
import pytest

from winpredict import train
from winpredict.config import Retraining
from winpredict.errors import TooLittleDataError
from winpredict.features.snapshots import labelled
from winpredict.models.challenge import Challenge, challenge, verdict
from winpredict.models.evaluation import Comparison
from winpredict.models.snapshots import pipeline
from winpredict.models.training import fit_model, training_set

DAY = pd.Timestamp("2024-04-01", tz="UTC")


@pytest.fixture(scope="module")
def champion(world, quick_config):
    return train(world.crm, quick_config, as_of=DAY)


@pytest.fixture(scope="module")
def config(quick_config):
    return quick_config.model_copy(update={"retraining": Retraining(rounds=1, least_deals=30)})


@pytest.fixture(scope="module")
def found(world, champion, config):
    return challenge(champion, world.crm, config)


def log_loss(won, odds):
    return -np.where(won, np.log(odds), np.log(1 - odds)).mean()


def test_both_are_asked_about_the_same_deals_without_hindsight(world, champion, config, found):
    (cutoff,) = found.cutoffs
    assert cutoff == DAY + (world.crm.known_until - DAY) / 2
    known = world.crm.as_known_at(cutoff)
    asked = labelled(world.crm, pipeline(known, cutoff))
    asked = asked[asked["outcome"] != "open"]
    won = (asked["outcome"] == "won").to_numpy()
    again = fit_model(training_set(known, config, exported=world.crm), known, config)
    losses = [
        log_loss(
            won, model.odds(model.build_features(known, asked[["deal_id", "as_of"]]))["win_probability"].to_numpy()
        )
        for model in (again, champion)
    ]
    assert (found.comparison.model, found.comparison.baseline) == pytest.approx(losses)
    assert found.comparison.difference == pytest.approx(losses[0] - losses[1])
    assert found.comparison.n_deals == len(asked) >= 30
    assert found.champion_days == pytest.approx((world.crm.known_until - DAY).total_seconds() / 86_400)


def test_rounds_lie_between_the_training_and_now(world, champion, config):
    twice = config.model_copy(update={"retraining": Retraining(rounds=2, least_deals=30)})
    found = challenge(champion, world.crm, twice)
    third = (world.crm.known_until - DAY) / 3
    assert [each.floor("s") for each in found.cutoffs] == [(DAY + third).floor("s"), (DAY + 2 * third).floor("s")]
    assert found.comparison.n_rows > found.comparison.n_deals  # some deals were open on both days


def test_too_few_deals_are_an_error_that_counts_them(world, champion, config):
    strict = config.model_copy(update={"retraining": Retraining(rounds=1, least_deals=5000)})
    with pytest.raises(TooLittleDataError, match=r"have closed, \d+ of them won; 5,000 are needed"):
        challenge(champion, world.crm, strict)


def test_nothing_newer_than_the_champion_is_an_error(world, champion, config):
    with pytest.raises(TooLittleDataError, match="nothing has been recorded since"):
        challenge(champion, world.crm.as_known_at(DAY), config)


def case(difference, low, high, days=30.0):
    figures = Comparison("log_loss", 0.5 + difference, 0.5, difference, low, low, high, high, n_rows=90, n_deals=80)
    return Challenge(DAY, DAY + pd.Timedelta(days=days), (DAY,), figures)


@pytest.mark.parametrize(
    ("found", "promote", "words"),
    [
        (case(-0.02, -0.03, -0.01), True, "better: on 80 deals"),
        (case(-0.02, -0.03, -0.01, days=400), True, "better: on 80 deals"),
        (case(-0.02, -0.05, 0.01), False, "not shown to be better, and the champion is only 30 days old"),
        (case(-0.02, -0.05, 0.01, days=200), True, "no worse, and the champion is 200 days old"),
        (case(0.004, -0.01, 0.02, days=200), True, "no worse, and the champion is 200 days old"),
        (case(0.006, -0.01, 0.02, days=200), False, "no better: on 80 deals"),
        (case(0.004, 0.001, 0.007, days=200), False, "no better: on 80 deals"),
    ],
)
def test_the_gate(found, promote, words):
    decided = verdict(found, Retraining())
    assert decided.promote is promote
    assert str(decided.reason).startswith(words)
    assert "0.500" in str(decided.reason)


def test_plain_values(found):
    plain = found.to_dict()
    assert plain["since"] == DAY.isoformat()
    assert plain["n_deals"] == found.comparison.n_deals
