"""Odds, ranges and odds by date on simulated companies whose true odds are known, by size.

For each world the model is trained as of a day on what was known then and asked about every deal open then:

- soft ratio: cross-entropy of the odds against the true ones, divided by the entropy of the true ones; 1 is perfect;
- bias: mean odds less mean true odds;
- deal range: share of the deals whose true odds lie between low and high, and the mean width;
- group range: of tenths of the deals by their odds, the share in which the mean true odds lie between the means of
  group_low and group_high, and the mean width;
- by 7, 30 and 90 days: mean of the odds to be won by then beside the share that was, and the log loss.

Run it with ``uv run python benchmarks/worlds.py [--sizes 300 2000 12000] [--worlds 8 4 1] [--drift none]``.
"""

import argparse
import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.models.snapshots import pipeline
from winpredict.models.splits import known_before
from winpredict.models.training import train
from winpredict.simulate.world import World, simulate

Floats = NDArray[np.float64]
HORIZONS = (7.0, 30.0, 90.0)
MIN_ODDS = 0.002


def one_world(world: World, day: pd.Timestamp) -> dict[str, float]:
    """The figures of a world as of a day."""
    started = time.process_time()
    model = train(world.crm, as_of=day)
    seconds = time.process_time() - started
    known = known_before(world.crm, day)
    snapshots = pipeline(known, day)
    features = model.build_features(known, snapshots)
    odds = model.odds(features)
    true = world.win_probability(day).reindex(snapshots["deal_id"]).to_numpy(np.float64)
    p = odds["win_probability"].to_numpy()
    own, group = odds[["low", "high"]].to_numpy(), odds[["group_low", "group_high"]].to_numpy()
    entropy = cross_entropy(true, np.clip(true, 1e-9, 1 - 1e-9))
    found = {
        "open deals": float(len(p)),
        "soft ratio": cross_entropy(true, np.clip(p, MIN_ODDS, 1 - MIN_ODDS)) / entropy,
        "bias": float((p - true).mean()),
        "deal range holds": float(((own[:, 0] <= true) & (true <= own[:, 1])).mean()),
        "deal range width": float(np.diff(own).mean()),
        "group range holds": held_by_group(p, true, group),
        "group range width": float(np.diff(group).mean()),
        "CPU seconds": seconds,
    }
    return found | by_date(model.win_by(features, np.array(HORIZONS), p), world, snapshots, day)


def cross_entropy(true: Floats, odds: Floats) -> float:
    """Mean cross-entropy of odds against the true ones."""
    return float(-(true * np.log(odds) + (1 - true) * np.log(1 - odds)).mean())


def held_by_group(odds: Floats, true: Floats, ends: Floats) -> float:
    """Share of the tenths of deals whose mean true odds lie within the mean ends of their range."""
    groups = np.array_split(np.argsort(odds, kind="stable"), min(10, max(1, len(odds) // 10)))
    return float(np.mean([ends[rows, 0].mean() <= true[rows].mean() <= ends[rows, 1].mean() for rows in groups]))


def by_date(odds: Floats, world: World, snapshots: pd.DataFrame, day: pd.Timestamp) -> dict[str, float]:
    """Odds of a win within each horizon beside what happened, where the history is long enough to tell."""
    deals = world.crm.deals.set_index("deal_id").reindex(snapshots["deal_id"])
    days = ((deals["closed_at"] - day) / pd.Timedelta(days=1)).to_numpy(np.float64)
    found = {}
    for place, horizon in enumerate(HORIZONS):
        if day + pd.Timedelta(days=horizon) > world.ends_at:
            continue
        won = ((deals["outcome"] == "won").to_numpy() & (days <= horizon)).astype(np.float64)
        p = np.clip(odds[:, place], MIN_ODDS, 1 - MIN_ODDS)
        name = f"{horizon:.0f} days"
        found |= {f"{name}: odds": p.mean(), f"{name}: won": won.mean(), f"{name}: log loss": cross_entropy(won, p)}
    return found


def main() -> None:
    """Print the means over the worlds of each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[300, 2000, 12000])
    parser.add_argument("--worlds", type=int, nargs="+", default=[8, 4, 1], help="number of worlds of each size")
    parser.add_argument("--first-seed", type=int, default=9500)
    parser.add_argument("--days", nargs="+", default=["2024-11-15"])
    parser.add_argument("--drift", default="one product")
    args = parser.parse_args()
    for size, worlds in zip(args.sizes, args.worlds, strict=True):
        rows = [
            one_world(simulate(size, seed=args.first_seed + number, drift=args.drift), pd.Timestamp(day, tz="UTC"))
            for number in range(worlds)
            for day in args.days
        ]
        print(f"{worlds} worlds of {size} deals, drift: {args.drift}")
        print(pd.DataFrame(rows).agg(["mean", "std"]).T.round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()
