"""Reads beside imports: whether a reader ever meets an error, or tables of two imports mixed.

``python -m benchmarks.torn_reads --imports 200 --reads 300000`` lets one process import tables, each time with other
figures, while others read manifest and tables as fast as they can. Each import writes its number into every table, so
that a mixed read shows.
"""

import argparse
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from winpredict.tables.crm import CRMData
from winpredict.workspace import Workspace


def tables(number: int) -> CRMData:
    """Tables in which all figures are the number of their import."""
    deals = pd.DataFrame(
        {
            "deal_id": [f"{number}-{place}" for place in range(20)],
            "stage": "Demo",
            "outcome": "open",
            "amount": float(number),
            "created_at": pd.Timestamp("2025-01-01", tz="UTC"),
            "closed_at": None,
        }
    )
    users = pd.DataFrame({"user_id": ["a"], "name": [str(number)]})
    return CRMData.from_tables(deals, users=users)


def read(folder: Path, reads: int) -> Counter[str]:
    """Read so often; what came of it, by kind."""
    workspace, met = Workspace(folder), Counter[str]()
    for place in range(reads):
        try:
            if place % 10:  # most readers look at the manifest alone, as pages do
                version = workspace.version()
                met["manifests"] += 1
                continue
            version = workspace.version()
            crm = version.crm()
            numbers = {*crm.deals["amount"], float(crm.users["name"].iloc[0]), float(version.manifest["profile"])}
            met["whole" if len(numbers) == 1 else "MIXED"] += 1
        except Exception as error:
            met[f"{type(error).__name__}: {error}"[:100]] += 1
    return met


def write(folder: Path, imports: int, pause: float) -> int:
    """Import so often."""
    workspace = Workspace(folder)
    for number in range(1, imports + 1):
        with workspace.writing():
            workspace.save_import(tables(number), profile=str(number), keeping=[])
        time.sleep(pause)
    return imports


def main() -> None:
    """Run and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--imports", type=int, default=200)
    parser.add_argument("--reads", type=int, default=300_000)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between two imports")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(options.readers + 1) as pool:
        folder = Path(name) / "workspace"
        write(folder, 1, 0.0)
        began = time.perf_counter()
        writer = pool.submit(write, folder, options.imports, options.pause)
        readers = [pool.submit(read, folder, options.reads // options.readers) for _ in range(options.readers)]
        met: Counter[str] = sum((each.result() for each in readers), Counter())
        print(f"{options.reads:,} reads beside {writer.result():,} imports in {time.perf_counter() - began:.0f} s")
        for what, count in met.most_common():
            print(f"{count:>10,}  {what}")
        print("versions left:", sorted(path.name for path in (folder / "versions").iterdir()))


if __name__ == "__main__":
    main()
