"""Peers that do not run beside pandas 3 or numpy 2, each in an environment of its own.

`measuring.in_older_environment` calls it with the name of the peer and a folder that holds what it works on; it leaves
its result there as ``result.npz`` and prints its seconds as JSON. Nothing of winpredict is imported here.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROUNDS = 3
START = "2024-01-01"


def timed(run: Callable[[], Any], rounds: int = ROUNDS) -> tuple[Any, list[float]]:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return found, seconds


def with_featuretools(folder: Path) -> dict[str, Any]:
    """Counts, different users and contacts, the last touch and the last stage, by deep feature synthesis."""
    import featuretools as ft
    import pandas as pd

    data = {path.stem: pd.DataFrame(dict(np.load(path))) for path in folder.glob("in_*.npz")}
    moments = {name: pd.Timestamp(START) + pd.to_timedelta(data[f"in_{name}"]["at"], unit="us") for name in EVENTS}
    world = ft.EntitySet("world")
    world.add_dataframe(dataframe_name="deals", dataframe=data["in_deals"][["deal_id"]], index="deal_id")
    for name, columns in EVENTS.items():
        frame = data[f"in_{name}"].assign(at=moments[name], number=np.arange(len(moments[name])))
        kinds = dict.fromkeys(columns, "Categorical")
        world.add_dataframe(
            dataframe_name=name,
            dataframe=frame[["number", "deal_id", "at", *columns]],
            index="number",
            time_index="at",
            logical_types=kinds,
        )
        world.add_relationship("deals", "deal_id", name, "deal_id")
    snapshots = data["in_snapshots"]
    cutoffs = pd.DataFrame(
        {"deal_id": snapshots["deal_id"], "time": pd.Timestamp(START) + pd.to_timedelta(snapshots["as_of"], unit="us")}
    )

    def run() -> pd.DataFrame:
        found, _ = ft.dfs(
            entityset=world,
            target_dataframe_name="deals",
            agg_primitives=["count", "num_unique", "last", ft.primitives.TimeSinceLast(unit="days")],
            trans_primitives=[],
            cutoff_time=cutoffs,
            cutoff_time_in_index=True,
            include_cutoff_time=False,
            max_depth=1,
        )
        return found

    found, seconds = timed(run, 1)
    found = found.loc[list(cutoffs.itertuples(index=False, name=None))]
    columns = {name: found[theirs].astype(float).to_numpy() for name, theirs in COLUMNS.items()}
    for name in ("users", "contacts"):  # it calls the number of nothing missing
        columns[name] = np.nan_to_num(columns[name])
    np.savez(folder / "result.npz", **columns)
    return {"seconds": seconds}


EVENTS = {"activities": ("user", "contact"), "stages": ("stage",)}
COLUMNS = {
    "touches": "COUNT(activities)",
    "users": "NUM_UNIQUE(activities.user)",
    "contacts": "NUM_UNIQUE(activities.contact)",
    "since_touch": "TIME_SINCE_LAST(activities.at, unit=days)",
    "stage_changes": "COUNT(stages)",
    "days_in_stage": "TIME_SINCE_LAST(stages.at, unit=days)",
    "stage": "LAST(stages.stage)",
}


def with_lleaves(folder: Path) -> dict[str, Any]:
    """Odds by a model that is compiled to machine code."""
    import lleaves

    matrix = np.load(folder / "matrix.npy")
    model = lleaves.Model(str(folder / "model.txt"))
    start = time.perf_counter()
    model.compile()
    out: dict[str, Any] = {"compiling": time.perf_counter() - start}
    for threads in (1, 2):
        found, out[str(threads)] = timed(lambda threads=threads: model.predict(matrix, n_jobs=threads))
    np.savez(folder / "result.npz", odds=found)
    return out


def with_fasttreeshap(folder: Path) -> dict[str, Any]:
    """SHAP values by Fast TreeSHAP v1 and v2, on two threads."""
    import fasttreeshap
    import lightgbm as lgb

    matrix = np.load(folder / "matrix.npy")
    booster = lgb.Booster(model_file=str(folder / "model.txt"))
    out: dict[str, Any] = {}
    values = {}
    for algorithm in ("v1", "v2"):
        explainer = fasttreeshap.TreeExplainer(booster, algorithm=algorithm, n_jobs=2)
        found, out[algorithm] = timed(lambda explainer=explainer: explainer.shap_values(matrix, check_additivity=False))
        values[algorithm] = found[1] if isinstance(found, list) else found
    np.savez(folder / "result.npz", **values)
    return out


PEERS = {"featuretools": with_featuretools, "lleaves": with_lleaves, "fasttreeshap": with_fasttreeshap}

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]](Path(sys.argv[2]))))
