import numpy as np
import pandas as pd
import pytest

from winpredict.config import NextSteps
from winpredict.explain.deal_flags import (
    FLAGS,
    at_risk,
    booked,
    deal_flags,
    flag_names,
    hopeless,
    let_go,
    overdue,
    silent,
    stalled,
)
from winpredict.models.stage_norms import StageNorms

NORMS = StageNorms({"": {"silence": 15.0}, "Proposal": {"silence": 12.0, "days_in_stage": 30.0}})


def deals(**columns):
    return pd.DataFrame({"stage": "Proposal", **columns})


def test_silent_is_longer_than_won_deals_of_the_stage_went():
    assert silent(deals(days_since_touch=[12.4, 12.6, np.nan]), NORMS).tolist() == [False, True, False]


def test_a_stage_without_norms_goes_by_all_stages_and_a_model_without_any_by_the_settings():
    features = deals(days_since_touch=[14.0, 16.0, 22.0]).assign(stage="Demo")
    assert silent(features, NORMS).tolist() == [False, True, True]
    assert silent(features, StageNorms()).tolist() == [False, False, True]
    assert silent(features, StageNorms(), NextSteps(silent_days=14)).tolist() == [False, True, True]


def test_however_quick_won_deals_are_a_few_days_are_no_silence():
    norms = StageNorms({"Proposal": {"silence": 2.0}})
    assert silent(deals(days_since_touch=[7.0, 8.0]), norms).tolist() == [False, True]


def test_a_deal_without_a_touch_is_silent_since_it_was_created():
    never = deals(days_since_touch=[np.nan], touches=0.0, days_open=40.0)
    assert silent(never, NORMS).tolist() == [True]
    assert silent(never, StageNorms(NORMS.by_stage, recorded=("meetings_booked",))).tolist() == [False]


def test_stalled_is_longer_than_won_deals_stayed_in_the_stage():
    features = deals(days_in_stage=[30.0, 31.0, 61.0, np.nan])
    features["stage"] = ["Proposal", "Proposal", "Demo", "Proposal"]
    assert stalled(features, NORMS).tolist() == [False, True, True, False]
    assert stalled(features, NORMS, NextSteps(stalled_days=90)).tolist() == [False, True, False, False]


def test_overdue_is_read_off_either_column():
    assert overdue(deals(days_overdue=[0.0, 0.4, 1.0, np.nan])).tolist() == [False, False, True, False]
    assert overdue(deals(days_to_expected_close=[5.0, -0.4, -1.0, np.nan])).tolist() == [False, False, True, False]
    assert overdue(deals(days_overdue=[6.0, 7.0]), NextSteps(overdue_days=7)).tolist() == [False, True]


def test_missing_odds_are_not_hopeless():
    assert hopeless([0.049, 0.05, np.nan]).tolist() == [True, False, False]
    assert hopeless(np.array([None, 0.01], dtype=object)).tolist() == [False, True]


def test_let_go_needs_hopeless_odds_a_stall_and_a_long_silence():
    features = deals(
        days_since_touch=[70.0, 70.0, 70.0, 40.0, 70.0],
        days_in_stage=[80.0, 80.0, 20.0, 80.0, 80.0],
        meetings_booked=[0.0, 0.0, 0.0, 0.0, 1.0],
    )
    odds = [0.02, 0.2, 0.02, 0.02, 0.02]
    assert let_go(features, odds, NORMS).tolist() == [True, False, False, False, False]


def test_neither_a_hopeless_deal_nor_one_with_a_meeting_booked_is_at_risk():
    features = deals(days_since_touch=[40.0, 40.0, 40.0, 1.0, 1.0], meetings_booked=[0.0, 0.0, 1.0, 0.0, 1.0])
    odds, falling = [0.5, 0.01, 0.5, 0.5, 0.5], [False, True, True, True, True]
    assert at_risk(features, odds, NORMS, falling=falling).tolist() == [True, False, False, True, False]
    assert at_risk(features, odds, NORMS).tolist() == [True, False, False, False, False]


def test_missing_columns_raise_no_flag():
    flags = deal_flags(pd.DataFrame(index=[7, 8, 9]), [0.5, np.nan, 0.3], NORMS)
    assert not flags.to_numpy().any()
    assert flags.index.tolist() == [7, 8, 9]


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(1)
    n = 300

    def gaps(values):
        return np.where(rng.random(n) < 0.2, np.nan, values)

    features = pd.DataFrame(
        {
            "stage": rng.choice(["Proposal", "Demo"], n),
            "days_since_touch": gaps(rng.gamma(1, 20, n)),
            "days_in_stage": gaps(rng.gamma(1, 40, n)),
            "days_overdue": gaps(np.maximum(rng.normal(0, 20, n), 0)),
            "meetings_booked": gaps(rng.integers(0, 2, n)),
        }
    )
    return features, rng.beta(1, 8, n)


def test_a_deal_has_the_same_flags_alone_as_among_all(many):
    features, odds = many
    among = deal_flags(features, odds, NORMS)
    for row in range(0, len(features), 17):
        alone = deal_flags(features.iloc[[row]], odds[[row]], NORMS)
        pd.testing.assert_frame_equal(alone, among.iloc[[row]])


def test_flags_agree_with_each_other(many):
    features, odds = many
    flags = deal_flags(features, odds, NORMS, falling=np.arange(len(odds)) % 3 == 0)
    assert list(flags) == list(FLAGS)
    assert flags.any().all()
    assert not (flags["at_risk"] & (flags["hopeless"] | flags["booked"])).any()
    assert (flags["hopeless"] & flags["stalled"] & flags["silent"])[flags["let_go"]].all()
    assert (flags["booked"] == booked(features)).all()


def test_flags_are_named_in_their_order(many):
    features, odds = many
    flags = deal_flags(features, odds, NORMS)
    expected = [tuple(name for name in FLAGS if flags.loc[row, name]) for row in flags.index]
    assert flag_names(flags) == expected
