"""Whether a big run that is killed again and again ends with the same bytes.

    uv run --group benchmarks python benchmarks/growth.py --large --keep FOLDER
    uv run --group benchmarks python benchmarks/resume.py FOLDER [--steps import features] [--kills 3] [--seed 0]

Repeats the import and the features of a folder that `growth.py` kept, killed (SIGKILL) after random times, and compares
every file's SHA-256 with that of the run that nothing stopped.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from measuring import HERE, table

#: What each step reads, and where what it makes stands.
READS = {"import": "raw", "features": "imported"}
MAKES = {"import": "imported/tables", "features": "features/rows"}


def files_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    found = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            found[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def killed_and_resumed(step: str, folder: Path, twin: Path, after: list[float]) -> float:
    """Run a step in a folder of its own, killed after so many seconds each time; seconds of the run that ended."""
    shutil.rmtree(twin, ignore_errors=True)
    twin.mkdir(parents=True)
    (twin / READS[step]).symlink_to((folder / READS[step]).resolve())
    command = [sys.executable, str(HERE / "growth.py"), "--step", step, "--folder", str(twin), "--sizes"]
    command.append(str(_deals(folder)))
    for seconds in after:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
            try:
                running.wait(seconds)
            except subprocess.TimeoutExpired:
                running.kill()
            else:
                sys.exit(f"{step} ended before it was killed after {seconds:.0f} s: name shorter --within")
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _deals(folder: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.ParquetFile(folder / "raw" / "deals.parquet").metadata.num_rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", nargs="+", choices=READS, default=list(READS))
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--within", type=float, default=120.0, help="latest kill, seconds after the start")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    rows = []
    for step in args.steps:
        after = rng.uniform(args.within / 10, args.within, args.kills).tolist()
        twin = args.folder / "resumed"
        last = killed_and_resumed(step, args.folder, twin, after)
        once, again = files_of(args.folder / MAKES[step]), files_of(twin / MAKES[step])
        verdict = "the same bytes" if once == again else f"{len(set(once.items()) ^ set(again.items()))} files differ"
        rows.append([step, ", ".join(f"{each:.0f} s" for each in after), f"{last:.0f} s", len(again), verdict])
    print(f"{_deals(args.folder):,} deals\n")
    print(table(["step", "killed after", "last run", "files", "result"], rows))


if __name__ == "__main__":
    main()
