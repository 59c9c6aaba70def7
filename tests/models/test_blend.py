import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import rankdata

from winpredict import WinClassifier
from winpredict.models.blend import Choice, candidate_sizes, group_variance
from winpredict.models.learners import TreeSize

GIVEN = TreeSize(leaves=7, trees=300, learning_rate=0.03, feature_share=0.2)


def test_larger_trees_are_half_as_many_and_learn_faster():
    assert candidate_sizes(GIVEN, 31) == [
        GIVEN,
        TreeSize(31, 150, 0.06, 0.5),
        TreeSize(62, 150, 0.12, 0.5),
        TreeSize(124, 150, 0.24, 0.5),
    ]
    assert candidate_sizes(GIVEN, 7) == candidate_sizes(GIVEN, 0) == [GIVEN]


def test_without_deals_held_out_all_is_as_it_is_set():
    choice = Choice.as_set(GIVEN, None)
    assert (choice.size, choice.linear_weight, choice.held_out_log_odds) == (GIVEN, 0.5, None)
    assert (choice.calibrator.slope_, choice.calibrator.intercept_) == (1.0, 0.0)
    assert Choice.as_set(GIVEN, 0.3).linear_weight == 0.3


def test_overconfident_odds_are_drawn_in():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 40)), columns=[f"f{number}" for number in range(40)])
    y = (X["f0"] + rng.normal(0, 3, 600) > 0).astype(int).to_numpy()
    fitted = WinClassifier(bags=1, trees=300, min_rows_leaf=5, l2=0.0, linear_weight=0.0).fit(
        X, y, groups=np.arange(600), held_out=np.arange(600) >= 300
    )
    assert fitted.calibrator_.slope_ < 0.9


def test_each_fold_is_judged_by_candidates_that_never_saw_it():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"code": np.arange(400) // 2, "noise": rng.normal(size=400)}).astype(float)
    y = rng.permuted(np.arange(400) % 2)  # only by heart could anything be told
    folds = 1 + np.arange(400) % 4
    fitted = WinClassifier(bags=1, trees=60, min_rows_leaf=2, l2=0.0, learning_rate=0.3).fit(X, y, held_out=folds)
    said = fitted.held_out_log_odds_
    assert not np.isnan(said).any()
    assert abs(np.corrcoef(said, y)[0, 1]) < 0.15
    by_heart = fitted.predict_proba(X)[:, 1]
    assert np.corrcoef(by_heart, y)[0, 1] > 0.5


def test_deals_of_fold_zero_are_only_learned_from():
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"touches": rng.normal(size=300)})
    y = (X["touches"] + rng.normal(size=300) > 0).astype(int).to_numpy()
    folds = np.repeat([0, 1, 2], 100)
    said = WinClassifier(bags=1, trees=20).fit(X, y, held_out=folds).held_out_log_odds_
    assert np.isnan(said).tolist() == [True] * 100 + [False] * 200


def test_what_groups_of_deals_are_off_beyond_chance():
    rng = np.random.default_rng(3)
    said = rng.normal(size=20_000)
    deals, weight = np.arange(20_000), np.ones(20_000)
    by_chance = [group_variance(said, won(said, rng), weight, deals) for _ in range(20)]
    assert np.mean(by_chance) < 0.002
    off = 0.3 * np.where(np.floor(10 * rankdata(said) / 20_001) % 2 == 0, 1, -1)  # every other tenth is 0.3 too low
    np.testing.assert_allclose(group_variance(said, won(said + off, rng), weight, deals), 0.09, rtol=0.25)


def test_a_deal_looked_at_often_is_still_one_deal():
    rng = np.random.default_rng(4)
    said = np.repeat(rng.normal(size=500), 20)
    deals = np.repeat(np.arange(500), 20)
    found = [group_variance(said, won(said[::20], rng).repeat(20), np.ones(10_000), deals) for _ in range(40)]
    assert np.mean(found) < 0.04  # 0.5 or so if each look counted as a deal


def test_the_interval_of_a_group_is_wider_by_what_groups_were_off():
    rng = np.random.default_rng(5)
    X = pd.DataFrame({"touches": rng.normal(size=900)})
    turned = np.arange(900) >= 600  # the market turns
    y = won(np.where(turned, X["touches"] - 1.5, X["touches"]), rng)
    fitted = WinClassifier(bags=2, trees=20).fit(X, y.astype(int), held_out=turned)
    assert 0.3 < fitted.group_variance_ < 3
    steady = WinClassifier(bags=2, trees=20).fit(X, y.astype(int))
    assert steady.group_variance_ == 0.0
    wide, narrow = (np.diff(each.predict_interval(X)).mean() for each in (fitted, steady))
    assert wide > 1.5 * narrow


def won(log_odds, rng):
    return (rng.random(len(log_odds)) < expit(log_odds)).astype(float)
