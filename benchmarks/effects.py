"""How often the interval of the adjusted effect holds the truth, on simulated worlds where it is known.

An executive sponsor is brought in where deals are hard to win, so the raw difference in win rates hides what it adds.

Run it with ``uv run python benchmarks/effects.py [--worlds 100] [--deals 2000]``.
"""

import argparse

import pandas as pd

from winpredict.explain.effects import LEVEL, adjusted_effects
from winpredict.simulate.world import simulate

NATURE = ("account_id", "amount", "product", "lead_source", "deal_type", "competitor", "region")


def one_world(deals: int, seed: int) -> dict[str, float]:
    """Truth, raw and adjusted effect of a senior contact in one world."""
    world = simulate(deals, seed=seed)
    found = adjusted_effects(world.crm, attributes=NATURE)
    before = world.ends_at - pd.Timedelta(days=found.within_days)
    truth = world.senior_contact_effect(open_after=found.landmark_days, within=found.within_days, created_before=before)
    row = found.effects.set_index("treatment").loc["senior contact"]
    return {
        "truth": truth,
        "raw": row["raw"],
        "raw holds": row["raw_low"] <= truth <= row["raw_high"],
        "adjusted": row["adjusted"],
        "adjusted holds": row["adjusted_low"] <= truth <= row["adjusted_high"],
    }


def main() -> None:
    """Print the means over the worlds and the share of intervals that hold the truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=100)
    parser.add_argument("--deals", type=int, default=2000)
    parser.add_argument("--first-seed", type=int, default=1000)
    args = parser.parse_args()
    rows = pd.DataFrame([one_world(args.deals, args.first_seed + number) for number in range(args.worlds)])
    print(f"{args.worlds} worlds of {args.deals} deals; intervals of {LEVEL:.0%}")
    print(rows.astype(float).mean().round(3).to_string())


if __name__ == "__main__":
    main()
