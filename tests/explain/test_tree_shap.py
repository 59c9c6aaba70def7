import lightgbm as lgb
import numpy as np
import pytest
import shap

from winpredict.explain import _tree_shap
from winpredict.explain._tree_shap import read_forest, tree_contributions


def trained(leaves, seed, rounds=20, **more):
    """A booster on numbers with gaps and zeros and on a category, and rows to ask it about."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(800, 6))
    X[:, 0] = rng.integers(0, 12, 800)
    X[rng.random(X.shape) < 0.15] = np.nan
    X[rng.random(X.shape) < 0.15] = 0.0
    X[:, 0] = np.nan_to_num(X[:, 0])
    logits = np.nan_to_num(X[:, 1]) * np.nan_to_num(X[:, 2]) + (X[:, 0] % 3 == 1) + np.isnan(X[:, 3])
    y = rng.random(800) < 1 / (1 + np.exp(-logits))
    settings = {
        "objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "seed": seed,
        "num_threads": 1, "cat_smooth": 1.0, "min_data_per_group": 5, **more,
    }  # fmt: skip
    booster = lgb.train(settings, lgb.Dataset(X, y.astype(float), categorical_feature=[0]), rounds)
    asked = X[:200].copy()
    asked[:20, 0] = 40  # a category that training did not see
    asked[20:30, 0] = np.nan
    return booster, asked


@pytest.mark.parametrize("leaves", [2, 4, 7, 8, 31, 64])
@pytest.mark.parametrize("more", [{}, {"zero_as_missing": True}, {"use_missing": False}], ids=["", "zero", "none"])
def test_tables_equal_the_walk(leaves, more):
    booster, asked = trained(leaves, leaves, **more)
    assert read_forest(booster) is not None
    values, expected, _ = tree_contributions([booster], asked, threads=1)
    walked = booster.predict(asked, pred_contrib=True)
    np.testing.assert_allclose(values, walked[:, :-1], atol=1e-9)
    assert expected == pytest.approx(walked[0, -1], abs=1e-9)


def test_tables_equal_shap_s_own_explainer():
    booster, asked = trained(31, 3)
    values, _, _ = tree_contributions([booster], asked, threads=2)
    np.testing.assert_allclose(values, shap.TreeExplainer(booster).shap_values(asked), atol=1e-9)


def test_the_mean_of_boosters_and_no_rows():
    pairs = [trained(7, seed) for seed in (1, 2)]
    boosters, asked = [booster for booster, _ in pairs], pairs[0][1]
    values, expected, _ = tree_contributions(boosters, asked, threads=1)
    walked = np.mean([each.predict(asked, pred_contrib=True) for each in boosters], axis=0)
    np.testing.assert_allclose(values, walked[:, :-1], atol=1e-9)
    assert tree_contributions(boosters, asked[:0], threads=1)[1] == expected


def test_a_tree_without_a_split_gives_nothing():
    booster, asked = trained(7, 5, rounds=2, min_gain_to_split=1e9)
    values, expected, _ = tree_contributions([booster], asked, threads=1)
    assert not values.any()
    assert expected == pytest.approx(booster.predict(asked, raw_score=True)[0])


@pytest.mark.parametrize("limit", ["MAX_FEATURES", "MAX_LEAVES", "MAX_NUMBERS"])
def test_trees_too_large_for_tables_are_walked(monkeypatch, limit):
    booster, asked = trained(31, 7)
    monkeypatch.setattr(_tree_shap, limit, 2)
    assert read_forest(booster) is None
    values, _, _ = tree_contributions([booster], asked, threads=1)
    np.testing.assert_allclose(values, booster.predict(asked, pred_contrib=True)[:, :-1], atol=1e-12)


@pytest.mark.parametrize("most", [64, 1], ids=["by table", "walked"])
def test_no_rows_have_no_contributions(monkeypatch, most):
    monkeypatch.setattr(_tree_shap, "MAX_LEAVES", most)
    booster, asked = trained(7, 3)
    values, _, predicted = tree_contributions([booster], asked[:0], threads=1)
    assert values.shape == (0, 6)
    assert predicted.shape == (1, 0)
