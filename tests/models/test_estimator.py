import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import check_estimator

from winpredict import WinClassifier
from winpredict.errors import ConfigError, TooLittleDataError

QUICK = {"bags": 2, "trees": 20, "threads": 1}


def rows(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"touches": rng.poisson(5, n).astype(float), "stage": rng.choice(["Demo", "Offer"], n)})
    y = (X["touches"] + 4 * (X["stage"] == "Offer") + rng.normal(0, 3, n) > 7).astype(int)
    return X.assign(silence=np.where(rng.random(n) < 0.3, np.nan, rng.exponential(9, n))), y.to_numpy()


def test_scikit_learn_conventions():
    found = check_estimator(
        WinClassifier(**QUICK),
        expected_failed_checks={
            "check_sample_weight_equivalence_on_dense_data": "a repeated row is another deal to the Bayesian "
            "bootstrap, and rows are sampled for each tree: weights and repetitions agree on average only",
        },
        on_fail=None,
    )
    assert [check["check_name"] for check in found if check["status"] == "failed"] == []


def test_the_order_of_rows_does_not_matter():
    X, y = rows()
    order = np.random.default_rng(1).permutation(len(X))
    straight = WinClassifier(**QUICK).fit(X, y).predict_proba(X)
    turned = WinClassifier(**QUICK).fit(X.iloc[order], y[order]).predict_proba(X)
    np.testing.assert_array_equal(straight, turned)


def test_a_saved_model_gives_the_same_odds_and_holds_no_pickle(tmp_path):
    X, y = rows()
    fitted = WinClassifier(**QUICK).fit(X, y, groups=np.arange(len(X)) // 4, held_out=np.arange(len(X)) > 300)
    fitted.save(tmp_path)
    loaded = WinClassifier.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict_interval(X), fitted.predict_interval(X))
    assert {path.suffix for path in tmp_path.iterdir()} == {".txt", ".json"}


def test_unknown_categories_and_missing_numbers_are_scored():
    X, y = rows()
    fitted = WinClassifier(**QUICK).fit(X, y)
    odds = fitted.predict_proba(pd.DataFrame({"touches": [np.nan], "stage": ["Lunch"], "silence": [np.nan]}))
    assert np.isfinite(odds).all()


def test_monotone_features_only_raise_the_odds_of_the_trees():
    X, y = rows()
    fitted = WinClassifier(**QUICK, linear_weight=0.0, monotone={"touches": 1}).fit(X, y)
    grid = pd.DataFrame({"touches": np.arange(20.0), "stage": "Demo", "silence": 3.0})
    assert (np.diff(fitted.predict_proba(grid)[:, 1]) >= 0).all()
    with pytest.raises(ConfigError, match="lunch"):
        WinClassifier(**QUICK, monotone={"lunch": 1}).fit(X, y)


def test_one_class_is_refused():
    X, y = rows()
    with pytest.raises(TooLittleDataError, match="one class"):
        WinClassifier(**QUICK).fit(X, np.ones_like(y))


def test_the_interval_holds_the_odds_and_widens_with_its_mass():
    X, y = rows()
    narrow = WinClassifier(bags=5, trees=20, threads=1, interval=0.5).fit(X, y)
    wide = WinClassifier(bags=5, trees=20, threads=1, interval=0.95).fit(X, y)
    odds = narrow.predict_proba(X)[:, 1]
    for fitted in (narrow, wide):
        low, high = fitted.predict_interval(X).T
        assert ((low <= odds) & (odds <= high)).all()
    assert (np.ptp(wide.predict_interval(X), axis=1) >= np.ptp(narrow.predict_interval(X), axis=1)).all()
