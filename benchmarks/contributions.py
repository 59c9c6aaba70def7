"""Contributions of a blend against LightGBM's raw ``pred_contrib`` of the same trees, timed side by side.

Run it with ``uv run python benchmarks/contributions.py [--rows 100000] [--deals 4000]``.
"""

import argparse
import time

import numpy as np
import pandas as pd

from winpredict import Config, CRMData, TrainedModel, train
from winpredict.explain.changes import changes
from winpredict.explain.contributions import contributions
from winpredict.models.snapshots import pipeline, training_snapshots
from winpredict.simulate.world import simulate

ROUNDS = 3


def main() -> None:
    """Print seconds of both, their ratio, and how exactly contributions and changes add up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--deals", type=int, default=4000)
    args = parser.parse_args()
    config = Config()
    crm = simulate(args.deals, seed=1).crm
    model = train(crm, config)
    snapshots = training_snapshots(crm, config)[["deal_id", "as_of"]]
    snapshots = snapshots.iloc[np.arange(args.rows) % len(snapshots)].reset_index(drop=True)
    features = model.build_features(crm, snapshots)
    classifier = model.classifier
    matrix = classifier.to_matrix(features)
    raw, ours = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for booster in classifier.boosters_:
            booster.predict(matrix, pred_contrib=True, num_threads=classifier.threads)
        raw.append(time.perf_counter() - start)
        start = time.perf_counter()
        contributions(classifier, features)
        ours.append(time.perf_counter() - start)
    print(f"{args.rows:,} rows, {len(classifier.boosters_)} x {classifier.boosters_[0].num_trees()} trees")
    print(f"raw pred_contrib {np.median(raw):.2f} s, contributions {np.median(ours):.2f} s, ratio by pair: ", end="")
    print(", ".join(f"{mine / theirs:.3f}" for mine, theirs in zip(ours, raw, strict=True)))
    sample = features.head(1000)
    found = contributions(classifier, sample)
    odds = model.odds(sample)["win_probability"].to_numpy()
    base = 1 / (1 + np.exp(-found.calibrated_base))
    gap = abs(base + found.in_points().sum(axis=1) - odds).max()
    print(f"{len(sample):,} looks: largest gap of base and points to the odds {gap:.1e}")
    _print_changes(model, crm)


def _print_changes(model: TrainedModel, crm: CRMData) -> None:
    still_open = set(pipeline(crm, crm.known_until)["deal_id"])
    gaps: list[float] = []
    for days in (7, 14, 21, 28, 42, 56, 84):
        earlier = crm.known_until - pd.Timedelta(days=days)
        for deal in sorted(still_open & set(pipeline(crm, earlier)["deal_id"])):
            found = changes(model, crm, deal, earlier)
            told = sum(reason.points for reason in found.reasons) + found.other_points
            gaps.append(abs(found.before + told - found.after))
    print(f"{len(gaps):,} changes between two days: largest gap {max(gaps):.1e}")


if __name__ == "__main__":
    main()
