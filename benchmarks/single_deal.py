"""What scoring one deal takes through the Python API, and whether its figures are those it has among all.

    uv run --group benchmarks python benchmarks/single_deal.py [--deals 3000] [--scored 100]

A model with the default knobs on a simulated world; different open deals one after the other, warm: a few others went
before. Features, odds with interval, odds by date and five reasons each time. Beside it the ways that keep nothing
between two deals, on the first of the deals.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from measuring import table

from winpredict.explain.reasons import explain_deal, snapshot_of
from winpredict.explain.scores import DealScorer, score, score_rows
from winpredict.models.training import train
from winpredict.simulate.world import simulate

WARM, SLOW = 5, 10


def milliseconds(run: Callable[[str], Any], deals: list[str]) -> np.ndarray:
    """What each deal takes."""
    found = []
    for deal_id in deals:
        start = time.perf_counter()
        run(deal_id)
        found.append(1000 * (time.perf_counter() - start))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=3000)
    parser.add_argument("--scored", type=int, default=100)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    crm = simulate(args.deals, seed=args.seed).crm
    model = train(crm)
    start = time.perf_counter()
    batch = score(model, crm)
    of_batch = 1000 * (time.perf_counter() - start) / len(batch)
    scorer = DealScorer(model, crm)
    deals = batch["deal_id"].sample(min(len(batch), args.scored + WARM), random_state=0).tolist()
    milliseconds(scorer.score, deals[:WARM])
    deals = deals[WARM:]

    def features(deal_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        alone = scorer.tables_of(deal_id)
        snapshot = snapshot_of(alone, deal_id, crm.known_until)
        return snapshot, model.build_features(
            alone, snapshot, cross_deal_history=scorer.cross_deal_history, builders=scorer.builders
        )

    built = {deal_id: features(deal_id) for deal_id in deals}
    runs = {
        "DealScorer.score": milliseconds(scorer.score, deals),
        "of it features": milliseconds(features, deals),
        "of it odds, odds by date, reasons": milliseconds(
            lambda deal_id: score_rows(model, *built[deal_id], crm.known_until), deals
        ),
        "explain_deal, which looks at the whole CRM": milliseconds(
            lambda deal_id: explain_deal(model, crm, deal_id), deals[:SLOW]
        ),
    }
    lines = [
        [name, len(each), *(f"{figure:.1f}" for figure in (np.median(each), np.quantile(each, 0.95)))]
        for name, each in runs.items()
    ]
    print(f"One deal of {args.deals:,}, {len(model.info)} features, default knobs:\n")
    print(table(["warm", "deals", "milliseconds (median)", "milliseconds (95 of 100)"], lines))
    alone = pd.DataFrame([scorer.score(deal_id) for deal_id in deals])
    among = batch.set_index("deal_id").loc[deals].reset_index()[alone.columns]
    pd.testing.assert_frame_equal(alone.astype(dict(among.dtypes)), among, check_exact=True)
    print(f"\nThe figures are those of all {len(batch):,} open deals scored together, {of_batch:.1f} ms each, cold.")


if __name__ == "__main__":
    main()
