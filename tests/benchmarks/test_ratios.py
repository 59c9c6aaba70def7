"""Speed that must not be lost, as ratios to another way in the same process, so that a busy machine hits both alike.

Bounds are far below what is usual (see benchmarks/run.py): a failure means that something became slow, not that the
machine was busy. Each test takes a few seconds.
"""

import importlib.util
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from winpredict.explain._tree_shap import read_forest, tree_contributions

FOLDER = Path(__file__).parents[2] / "benchmarks"
ROUNDS = 7


@pytest.fixture(scope="module")
def benchmark():
    """Loads a script of the benchmarks folder by its name."""
    sys.path.insert(0, str(FOLDER))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.path.remove(str(FOLDER))


def test_features_are_faster_than_merge_and_group_by(benchmark):
    pytest.importorskip("polars")
    pytest.importorskip("duckdb")
    features, measuring = benchmark("features"), benchmark("measuring")
    data = features.make(5000)
    features.check_equal(features.with_winpredict(data), features.with_pandas(data), "pandas")
    runs = {"ours": lambda: features.with_winpredict(data), "pandas": lambda: features.with_pandas(data)}
    seconds = measuring.interleaved(runs, ROUNDS)
    assert measuring.ratio(seconds["pandas"], seconds["ours"]) > 2


def test_contributions_are_faster_than_pred_contrib(benchmark):
    measuring = benchmark("measuring")
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3000, 40))
    outcome = (matrix[:, 0] + matrix[:, 1] * matrix[:, 2] + rng.normal(size=3000) > 0).astype(int)
    settings = {"objective": "binary", "num_leaves": 7, "feature_fraction": 0.2, "verbose": -1, "num_threads": 2}
    booster = lgb.train(settings, lgb.Dataset(matrix, outcome), 200)
    assert read_forest(booster) is not None
    runs = {
        "ours": lambda: tree_contributions([booster], matrix, 2)[0],
        "pred_contrib": lambda: booster.predict(matrix, pred_contrib=True, num_threads=2)[:, :-1],
    }
    np.testing.assert_allclose(runs["ours"](), runs["pred_contrib"](), rtol=0, atol=1e-9)
    seconds = measuring.interleaved(runs, ROUNDS)
    assert measuring.ratio(seconds["pred_contrib"], seconds["ours"]) > 2
