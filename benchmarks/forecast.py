"""Whether forecast intervals hold what they promise, on simulated worlds, and how large the errors are.

Run it with ``uv run python benchmarks/forecast.py [--worlds 5] [--deals 3000] [--first-seed 101]``.
"""

import argparse

import pandas as pd

from winpredict import Config
from winpredict.insights.forecast_backtest import RIVALS, backtest_forecast
from winpredict.simulate.world import simulate

SMALLER = {"bags": 2, "trees": 100, "learning_rate": 0.1, "large_leaves": 0}


def main() -> None:
    """Print coverage and errors by period and over all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--deals", type=int, default=3000)
    parser.add_argument("--first-seed", type=int, default=101)
    parser.add_argument("--cutoffs", type=int, default=6)
    args = parser.parse_args()
    config = Config.model_validate({"model": SMALLER})
    parts = []
    for number in range(args.worlds):
        world = simulate(args.deals, seed=args.first_seed + number)
        found = backtest_forecast(world.crm, config, cutoffs=args.cutoffs)
        parts.append(found.forecasts.assign(world=args.first_seed + number))
        print(*found.sentences(), flush=True)
    rows = pd.concat(parts, ignore_index=True)
    rows["held"] = (rows["actual"] >= rows["low"]) & (rows["actual"] <= rows["high"])
    print(f"\n{len(rows)} forecasts; the 80% interval held {rows['held'].mean():.1%}")
    print(rows.groupby("period")["held"].agg(["mean", "size"]).round(3).to_string())
    for column, name in RIVALS.items():
        miss = (rows[column] - rows["actual"]).abs()
        by_period = (miss.groupby(rows["period"]).sum() / rows.groupby("period")["actual"].sum()).round(3).to_dict()
        bias = rows[column].sum() / rows["actual"].sum() - 1
        print(f"{name}: error {miss.sum() / rows['actual'].sum():.1%}, bias {bias:+.1%}, by period {by_period}")


if __name__ == "__main__":
    main()
