"""A company that is read, monitored, retrained and scored every day for 400 days, with a market turn in the middle.

``python -m benchmarks.daily_400 --deals 800 --drift violent`` starts with a model of the first morning and does each
day what ``winpredict run`` does: it stores what is known, looks at the champion, trains a challenger where one is due,
scores the open deals, and tidies up. Beside it the first model scores the same deals for ever. The odds of both are
judged by how the deals ended, alarms by whether the market had turned, and the workspace by its size on the disk.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from winpredict.config import Config
from winpredict.explain.scores import score
from winpredict.models.registry import load_version, models_in_use
from winpredict.models.snapshots import pipeline
from winpredict.retention import tidy
from winpredict.simulate.world import simulate
from winpredict.workflows.monitoring import monitor_workspace
from winpredict.workflows.retraining import is_due, retrain_workspace
from winpredict.workflows.training import backtest_workspace, train_workspace
from winpredict.workspace import Workspace

FIRST, TURN = pd.Timestamp("2024-02-01", tz="UTC"), pd.Timestamp("2024-07-01", tz="UTC")


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def log_loss(won: "np.ndarray", odds: "np.ndarray") -> "np.ndarray":
    """The loss of each row."""
    return -np.where(won, np.log(odds.clip(1e-9)), np.log((1 - odds).clip(1e-9)))


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=800)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--drift", default="violent", choices=["none", "one product", "violent"])
    parser.add_argument("--when", default="monthly_or_on_alarm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write a JSON line a day")
    options = parser.parse_args()
    world = simulate(options.deals, options.seed, drift=options.drift)
    config = Config.model_validate({"retraining": {"when": options.when}})
    rows, started, cpu = [], time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as name:
        workspace = Workspace(Path(name) / "w")
        first = None
        for number, day in enumerate(pd.date_range(FIRST, periods=options.days, freq="D")):
            known = world.crm.as_known_at(day)
            with workspace.writing():
                workspace.save_import(known, profile="simulated", keeping=[])
                if first is None:
                    train_workspace(workspace, known, config)
                    backtest_workspace(workspace, known, config)
                    first = load_version(workspace.folder)[1]
                health = monitor_workspace(workspace, config, now=day)
                why = is_due(workspace, config.retraining, health, day)
                done = None if why is None else retrain_workspace(workspace, config)
                version, champion = load_version(workspace.folder)
                scores = score(champion, known, model_version=str(version))
                workspace.keep_scores(scores, day)
                tidy(workspace, config.retention, now=day.to_pydatetime())
            snapshots = pipeline(known, day)
            frozen = first.odds(first.build_features(known, snapshots))["win_probability"].to_numpy()
            odds = scores.set_index("deal_id")["win_probability"].reindex(snapshots["deal_id"]).to_numpy()
            won = (world.outcomes.reindex(snapshots["deal_id"]) == "won").to_numpy()
            true = world.win_probability(day).reindex(snapshots["deal_id"]).to_numpy()
            rows.append(
                {
                    "day": day.date().isoformat(),
                    "turned": bool(day >= TURN and options.drift != "none"),
                    "deals": len(snapshots),
                    "champion": version,
                    "retrained": done is not None,
                    "promoted": bool(done and done.promoted),
                    "states": {each.name: each.state for each in health.checks},
                    "loss": float(log_loss(won, odds).mean()),
                    "frozen": float(log_loss(won, frozen).mean()),
                    "true": float(log_loss(won, true).mean()),
                    "bytes": size(workspace.folder),
                    "table_bytes": size(workspace.version().folder),
                    "files": sum(1 for path in workspace.folder.rglob("*") if path.is_file()),
                }
            )
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
            if number % 25 == 0:
                print(rows[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
        promotions = models_in_use(workspace.folder).promotions
    tell(pd.DataFrame(rows))
    for each in promotions:
        print(f"model {each.version}: {each.reason}")
    print(f"{time.perf_counter() - started:.0f} s wall, {time.process_time() - cpu:.0f} s CPU")


def tell(found: pd.DataFrame) -> None:
    """The figures of the run."""
    for turned, part in found.groupby("turned"):
        weight = part["deals"]
        means = {name: float((part[name] * weight).sum() / weight.sum()) for name in ("loss", "frozen", "true")}
        print("after the turn:" if turned else "before the turn:", {k: round(v, 4) for k, v in means.items()})
        states = pd.DataFrame(list(part["states"]))
        for name in states:
            counts = states[name].value_counts().to_dict()
            print(f"  {name}: {counts}")
    last = found.iloc[-1]
    print(f"trainings {found['retrained'].sum()}, promotions {found['promoted'].sum()}")
    for number in sorted({0, 100, 200, 300, len(found) - 1} & set(range(len(found)))):
        row = found.iloc[number]
        print(
            f"day {number}: {row['bytes'] / 1e6:.1f} MB in {row['files']} files, "
            f"of which the tables {row['table_bytes'] / 1e6:.1f} MB"
        )
    print(f"last day {last['day']}")


if __name__ == "__main__":
    main()
