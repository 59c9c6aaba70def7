"""Peers of the odds that want an environment of their own; `odds.py` calls it in one that uv makes.

``odds_peers.py PEER FOLDER SEED SECONDS`` reads ``train.parquet`` and ``test.parquet`` from the folder, leaves the odds
of the test rows there as ``odds.parquet`` and prints its seconds and version as JSON. Nothing of winpredict is imported
here.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WON, DEAL = "__won", "__deal"
Floats = np.ndarray[Any, np.dtype[np.float64]]
#: Share of the deals by which AutoGluon chooses among its models; rows of one deal never stand on both sides.
_VALIDATED = 0.2


def with_catboost(train: pd.DataFrame, test: pd.DataFrame, seed: int, seconds: float) -> tuple[Floats, str]:
    """Fixed sensible settings; labels as they are."""
    import catboost

    labels = [name for name in test if not pd.api.types.is_numeric_dtype(test[name])]
    rows, asked = (
        frame[list(test)].assign(
            **{name: frame[name].astype(object).where(frame[name].notna(), "(missing)") for name in labels}
        )
        for frame in (train, test)
    )
    model = catboost.CatBoostClassifier(
        iterations=400,
        learning_rate=0.05,
        depth=5,
        cat_features=labels,
        thread_count=1,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
    )
    model.fit(rows, train[WON])
    return model.predict_proba(asked)[:, 1], catboost.__version__


def with_autogluon(train: pd.DataFrame, test: pd.DataFrame, seed: int, seconds: float) -> tuple[Floats, str]:
    """The medium preset without neural networks, which chooses and weighs its models on a fifth of the deals."""
    from autogluon.tabular import TabularPredictor
    from autogluon.tabular import __version__ as version

    rng = np.random.default_rng(seed)
    deals = train[DEAL].unique()
    chosen = train[DEAL].isin(rng.choice(deals, round(len(deals) * _VALIDATED), replace=False))
    rows = train.drop(columns=DEAL)
    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor(label=WON, eval_metric="log_loss", path=folder, verbosity=0)
        predictor.fit(
            rows[~chosen],
            tuning_data=rows[chosen],
            presets="medium_quality",
            time_limit=seconds,
            num_cpus=1,
            num_gpus=0,
            dynamic_stacking=False,
            ag_args_fit={"num_cpus": 1, "num_gpus": 0},
            raise_on_no_models_fitted=True,
        )
        return predictor.predict_proba(test)[1].to_numpy(), version


def with_flaml(train: pd.DataFrame, test: pd.DataFrame, seed: int, seconds: float) -> tuple[Floats, str]:
    """Its search by log loss for so many seconds, folds never sharing a deal."""
    import flaml

    model = flaml.AutoML()
    model.fit(
        train[list(test)],
        train[WON],
        task="classification",
        metric="log_loss",
        time_budget=seconds,
        n_jobs=1,
        seed=seed,
        eval_method="cv",
        n_splits=5,
        split_type="group",
        groups=train[DEAL].to_numpy(),
        verbose=0,
    )
    return model.predict_proba(test)[:, 1], flaml.__version__


PEERS: dict[str, Callable[[pd.DataFrame, pd.DataFrame, int, float], tuple[Floats, str]]] = {
    "catboost": with_catboost,
    "autogluon": with_autogluon,
    "flaml": with_flaml,
}


def main() -> None:
    """Run one peer on a folder."""
    peer, folder, seed, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    train, test = pd.read_parquet(folder / "train.parquet"), pd.read_parquet(folder / "test.parquet")
    start, before = time.perf_counter(), os.times()
    odds, version = PEERS[peer](train, test, seed, seconds)
    spent = {"wall": time.perf_counter() - start, "cpu": sum(os.times()[:4]) - sum(before[:4]), "version": version}
    pd.DataFrame({"odds": np.asarray(odds, dtype=np.float64)}).to_parquet(folder / "odds.parquet")
    print(json.dumps(spent))


if __name__ == "__main__":
    main()
