"""A large pipeline scored with reasons, end to end: from the Parquet of all deals to the Parquet of the scores.

    uv run --group benchmarks python benchmarks/scoring.py [--open 100000] [--keep FOLDER] [--repeats 1]

Writes a world with about so many open deals among its deals (`large_world.write`: 15 in a hundred are open), imports it
into buckets of about 30,000 deals and trains on one bucket, as growth.py does; with --keep what stands in the folder is
taken as it is, so that only the scoring runs again. The scoring runs in a fresh process; seconds are those of loading
the model, reading the tables, history across deals, features, odds, odds by date, five reasons a deal, and writing, but
not of starting Python. Memory is the peak of the whole process, libraries included.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from growth import WARM
from large_world import write
from measuring import amount, in_fresh_process, peak, table

SHARE_OPEN = 0.15


def prepared(folder: Path, deals: int) -> None:
    """A folder with imported tables and a model; what stands there already is taken as it is."""
    if not (folder / "imported" / "tables" / "crm.json").exists():
        write(folder / "raw", deals)
        in_fresh_process("growth.py", "--step", "import", "--folder", folder, "--sizes", deals)
    if not (folder / "model" / "model.json").exists():
        in_fresh_process("growth.py", "--step", "training", "--folder", folder, "--sizes", deals)


def scored(folder: Path) -> dict[str, Any]:
    """Score here; seconds in all and by part, peak memory, rows."""
    import winpredict.explain.scores as scores
    from winpredict import TrainedModel
    from winpredict.tables.buckets import DealBuckets

    parts: Counter[str] = Counter()
    scores.gather_cross_deal_history = _timed(
        "history across deals, with reading", scores.gather_cross_deal_history, parts
    )
    scores.score_rows = _timed("odds and reasons", scores.score_rows, parts)
    TrainedModel.build_features = _timed("features", TrainedModel.build_features, parts)
    start, used = time.perf_counter(), time.process_time()
    tables = DealBuckets.open(folder / "imported" / "tables")
    found = scores.score(TrainedModel.load(folder / "model"), tables)
    found.to_parquet(folder / "scores.parquet", index=False)
    seconds = time.perf_counter() - start
    parts["reading again, joining, sorting, writing"] = seconds - sum(parts.values())
    taken = {"seconds": seconds, "cpu": time.process_time() - used, "memory": peak() / 1024}
    return {**taken, "rows": len(found), "deals": tables.rows["deals"], "buckets": len(tables), "parts": dict(parts)}


def _timed(name: str, run: Callable[..., Any], parts: Counter[str]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return run(*arguments, **named)
        finally:
            parts[name] += time.perf_counter() - start

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=100_000, help="open deals, about")
    parser.add_argument("--keep", type=Path, help="work in this folder, take what stands there, and leave it")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--score", type=Path, help="only score the deals of a folder, in this process")
    args = parser.parse_args()
    if args.score:
        print(json.dumps(scored(args.score)))
        return
    with tempfile.TemporaryDirectory() as folder:  # so that nothing is left to be compiled
        prepared(Path(folder), WARM)
        in_fresh_process(__file__, "--score", folder)
    with nullcontext(args.keep) if args.keep else tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder), round(args.open / SHARE_OPEN))
        runs = [in_fresh_process(__file__, "--score", folder) for _ in range(args.repeats)]
    print(f"Open deals of {runs[0]['deals']:,} in {runs[0]['buckets']} buckets scored with reasons:\n")
    lines = [
        [
            f"{each['rows']:,}",
            *(amount(each[name]) for name in ("seconds", "cpu", "memory")),
            amount(each["rows"] / each["seconds"]),
        ]
        for each in runs
    ]
    print(table(["open deals", "seconds", "CPU seconds", "peak memory, GB", "deals a second"], lines))
    best = min(runs, key=lambda each: each["seconds"])
    print("\nOf the fastest run:\n")
    print(table(["part", "seconds"], [[name, amount(seconds)] for name, seconds in best["parts"].items()]))


if __name__ == "__main__":
    main()
