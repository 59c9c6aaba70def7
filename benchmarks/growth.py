"""What import, features, training and scoring with reasons cost as the number of deals grows.

    uv run --group benchmarks python benchmarks/growth.py [--sizes 1000 10000 ...] [--large]
        [--chart FILE.svg] [--keep FOLDER]

Every step runs in a fresh process on worlds of `large_world.write` (20 activities and 5 changes a deal), parted into
buckets of about 30,000 deals; training is asked to look at up to 100,000 snapshots, but learns from one whole bucket at
least. Seconds are those of the step without starting Python, CPU seconds those of all its threads (a busy machine
changes them less); memory is the peak of the whole process, libraries included. The growth exponent is the slope of log
seconds (or memory) against log deals from 10,000 deals up: 1 is in proportion, 0 does not grow.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
from large_world import write
from measuring import amount, in_fresh_process, peak, table

WARM, SIZES, LARGE = 400, (1_000, 10_000, 100_000), (300_000, 2_000_000)
DEALS_A_BUCKET, FITTED_FROM = 30_000, 10_000
MAX_SNAPSHOTS = 100_000


def import_files(folder: Path, deals: int) -> int:
    """Raw files into canonical buckets; the number of deals."""
    from winpredict.ingest import load_profile
    from winpredict.ingest.files import read_files
    from winpredict.ingest.out_of_core import import_out_of_core

    buckets = max(round(deals / DEALS_A_BUCKET), 1)
    raw = read_files([folder / "raw"], in_parts=True)
    found = import_out_of_core(
        raw, load_profile("generic"), folder / "imported", buckets, now=pd.Timestamp("2025-06-01")
    )
    return found.buckets.rows["deals"]


def make_features(folder: Path, deals: int) -> int:
    """Feature rows of weekly snapshots of all deals; their number."""
    from winpredict.features.dataset import build_dataset
    from winpredict.tables.buckets import DealBuckets

    return build_dataset(DealBuckets.open(folder / "imported" / "tables"), folder / "features").rows


def train_model(folder: Path, deals: int) -> int:
    """A saved model; the number of snapshots that it learned from."""
    from winpredict import Config, train
    from winpredict.tables.buckets import DealBuckets

    config = Config.model_validate({"snapshots": {"most": MAX_SNAPSHOTS}})
    model = train(DealBuckets.open(folder / "imported" / "tables"), config)
    model.save(folder / "model")
    return int(model.figures["snapshots"])


def score_deals(folder: Path, deals: int) -> int:
    """Odds and reasons of all open deals; their number."""
    from winpredict import TrainedModel
    from winpredict.explain.scores import score
    from winpredict.tables.buckets import DealBuckets

    return len(score(TrainedModel.load(folder / "model"), DealBuckets.open(folder / "imported" / "tables")))


STEPS: dict[str, tuple[Callable[[Path, int], int], str]] = {
    "import": (import_files, "deals"),
    "features": (make_features, "snapshots"),
    "training": (train_model, "snapshots"),
    "scoring": (score_deals, "open deals"),
}


_IMPORTED = ("explain.scores", "features.dataset", "models.training", "sources.parted")
COLUMNS = {"seconds": "seconds", "cpu": "CPU seconds", "memory": "peak memory, GB", "rows": "rows made"}


def one_step(step: str, folder: Path, deals: int) -> dict[str, float]:
    """Run a step here; seconds, peak megabytes and rows."""
    for name in _IMPORTED:  # takes its time once, whatever the size
        import_module(f"winpredict.{name}")

    start, used = time.perf_counter(), time.process_time()
    rows = STEPS[step][0](folder, deals)
    taken = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}
    return {**taken, "memory": peak() / 1024, "rows": rows}


def measure(sizes: list[int], keep: Path | None = None) -> pd.DataFrame:
    """Every step at every size; a small world goes first, so that nothing is left to be compiled."""
    rows = []
    for deals in (WARM, *sizes):
        kept = keep is not None and deals == sizes[-1]
        with nullcontext(keep) if kept else tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "raw", deals)
            for step in STEPS:
                found = in_fresh_process(__file__, "--step", step, "--folder", folder, "--sizes", deals)
                rows.append({"step": step, "deals": deals, **found})
                print(rows[-1], file=sys.stderr, flush=True)
    frame = pd.DataFrame(rows)
    return frame[frame["deals"] != WARM]


def exponent(frame: pd.DataFrame, column: str) -> float:
    """Slope of the logarithm of a column against that of deals."""
    large = frame[frame["deals"] >= FITTED_FROM]
    if large["deals"].nunique() < 2:
        return float("nan")
    return float(np.polyfit(np.log(large["deals"]), np.log(large[column]), 1)[0])


def tell(frame: pd.DataFrame) -> None:
    """Print a table of steps by sizes, with growth exponents."""
    sizes = sorted(frame["deals"].unique())
    for column, said in COLUMNS.items():
        rows = []
        for step, of_step in frame.groupby("step", sort=False):
            values = of_step.set_index("deals")[column]
            rows.append([step, *(amount(values[size]) for size in sizes), f"{exponent(of_step, column):.2f}"])
        print(table([said, *(f"{size:,} deals" for size in sizes), "growth exponent"], rows), end="\n\n")
    largest = frame[frame["deals"] == sizes[-1]].set_index("step")
    told = ", ".join(
        f"{step} {amount(row['rows'] / row['seconds'])} {STEPS[step][1]} a second" for step, row in largest.iterrows()
    )
    print(f"At {sizes[-1]:,} deals: {told}.")


def draw(frame: pd.DataFrame, path: Path) -> None:
    from drawing import lines, save

    title = "What each step costs as deals grow"
    subtitle = "Each step in a fresh process; all scales logarithmic; training learns from one bucket of 30,000 deals"
    save(lines(frame, title, subtitle, {"seconds": "seconds", "memory": "peak memory, GB"}), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument(
        "--large", action="store_true", help=f"also {' and '.join(f'{size:,}' for size in LARGE)} deals"
    )
    parser.add_argument("--chart", type=Path, help="draw seconds and memory to this SVG file")
    parser.add_argument("--keep", type=Path, help="do the largest size in this folder and leave it, for resume.py")
    parser.add_argument("--step", choices=STEPS, help="only run one step, in this process")
    parser.add_argument("--folder", type=Path, help="of the step")
    args = parser.parse_args()
    if args.step:
        print(json.dumps(one_step(args.step, args.folder, args.sizes[0])))
        return
    frame = measure([*args.sizes, *(LARGE if args.large else ())], args.keep)
    tell(frame)
    if args.chart:
        draw(frame, args.chart)


if __name__ == "__main__":
    main()
