"""Whether a large CRM, synced in increments over a bad line, gives the tables of its own export; and how long it takes.

    uv run --extra crm --extra app python benchmarks/live_sync.py [--deals 20000] [--rounds 5] [--changes 400]
        [--faults 200] [--kills 20] [--crm salesforce hubspot zoho]

Each CRM is a stand-in on loopback, in the same process. A simulated company is read whole, then it lives on and is read
again, round after round; requests fail at random (refused tokens, limits, errors, cut connections, halves of answers),
and the sync is stopped and begun anew at random. After every round the canonical tables are compared, row by row, with
those of the files that the CRM would export. Prints Markdown.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import amount, peak, start_of_peak, table

from winpredict.config import Config
from winpredict.connectors.registry import CRMS, connect_to
from winpredict.connectors.replay import replayed
from winpredict.connectors.store import RawStore
from winpredict.connectors.sync import sync
from winpredict.ingest.importing import import_files
from winpredict.ingest.profiles import load_profile
from winpredict.simulate.world import simulate
from winpredict.tables.crm import CRMData
from winpredict_sandbox.changes import apply_random_changes
from winpredict_sandbox.fake_servers import Server, connected, fake_server
from winpredict_sandbox.faults import FAULTS, Faults

#: Share of the requests that fail until enough have: CRMs that give many records at once are asked seldom.
SHARES = {"salesforce": 0.45, "hubspot": 0.25, "zoho": 0.04}
SETTINGS = {"salesforce": {"bulk_page_rows": 5000}, "hubspot": {}, "zoho": {}}


class StoppedError(BaseException):
    """Stands for the end of the process."""


@dataclass
class Line:
    """Counts the requests that go through, and lets some fail."""

    faults: Faults
    requests: int = 0

    async def __call__(self, scope, receive, send) -> None:
        """Count, and pass on or fail."""
        self.requests += scope["type"] == "http"
        await self.faults(scope, receive, send)


@dataclass
class Round:
    """What one sync did."""

    crm: str
    number: int
    versions: int
    requests: int
    faults: int
    stops: int
    reading_s: float
    mapping_s: float
    different: list[str] = field(default_factory=list)


def rounds_of(name: str, args: argparse.Namespace, folder: Path) -> Iterator[Round]:
    """Sync, compare, let the company live on, and so forth."""
    rng = np.random.default_rng(args.seed)
    server = fake_server(name, simulate(args.deals, seed=args.seed), seed=args.seed)
    faults = Faults(server.app, args.seed, share=SHARES[name], delay_s=0.05)
    line, kept = Line(faults), 0
    with connected(name, server, line, sync={"attempts": 20}, **{name: SETTINGS[name]}) as config:
        for number in range(args.rounds + 1):
            requests, failed = line.requests, len(faults.happened)
            faults.most = args.faults * (number + 1) // (args.rounds + 1)
            stops = args.kills // (args.rounds + 1)
            start = time.perf_counter()
            synced(name, config, folder / name, rng, stops)
            read = time.perf_counter() - start
            store, start = RawStore(folder / name), time.perf_counter()
            crm = replayed(store, load_profile(name)).crm
            mapped = time.perf_counter() - start
            versions = sum(part.rows for each in store.objects for part in store.state(each).parts)
            unequal = different(crm, exported(name, server, folder / f"export-{name}-{number}"))
            yield Round(
                name, number, versions - kept, line.requests - requests, len(faults.happened) - failed, stops, read,
                mapped, unequal,
            )  # fmt: skip
            kept = versions
            if number < args.rounds:
                list(apply_random_changes(server, rng, args.changes))
                server.clock.advance(3600.0)
        if server.writes:
            sys.exit(f"{name}: a sync has written {len(server.writes)} fields")


def synced(name: str, config: Config, folder: Path, rng: np.random.Generator, stops: int) -> None:
    """Sync, stopped so many times after a random page, each time begun anew."""
    while True:
        left = int(rng.integers(1, 40)) if stops else -1

        def step(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise StoppedError

        try:
            sync(connect_to(name, config), RawStore(folder), config.crm.sync, progress=step)
        except StoppedError:
            stops -= 1
            continue
        return


def exported(name: str, server: Server, folder: Path) -> CRMData:
    """The tables of the CRM's own export."""
    server.export(folder)
    return import_files([folder], load_profile(name), now=server.clock.now + pd.Timedelta("1D")).crm


def different(found: CRMData, expected: CRMData) -> list[str]:
    """What is not equal, in words."""
    tables = {name: frame for name, frame in found.tables() if name != "attribute_history"}
    faults = [f"table {name} on one side only" for name in tables.keys() ^ expected.rows.keys()]
    for name, frame in expected.tables():
        if name in tables:
            try:
                pd.testing.assert_frame_equal(tables[name], frame, check_like=True, obj=name)
            except AssertionError as error:
                faults.append(str(error).splitlines()[0])
    return faults


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deals", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changes", type=int, default=400, help="in each round")
    parser.add_argument("--faults", type=int, default=200, help="requests that fail, of each CRM")
    parser.add_argument("--kills", type=int, default=20, help="of each CRM, spread over the rounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crm", nargs="+", default=list(CRMS), choices=CRMS)
    args = parser.parse_args()
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory() as place:
        for name in args.crm:
            start_of_peak()
            for each in rounds_of(name, args, Path(place)):
                print(each, file=sys.stderr, flush=True)
                wrong += len(each.different)
                label = each.number or "first"
                counts = [f"{each.versions:,}", f"{each.requests:,}", each.faults, each.stops]
                seconds = [amount(each.reading_s), amount(each.mapping_s)]
                rows.append([name, label, *counts, *seconds, "; ".join(each.different) or "equal"])
            print(f"{name}: {peak():,.0f} MB at most, stand-in included", file=sys.stderr)
    header = ["CRM", "round", "versions", "requests", "faults", "stops", "reading, s", "mapping, s"]
    print(f"{args.deals:,} deals, {args.changes:,} changes a round, kinds of faults: {', '.join(FAULTS)}\n")
    print(table([*header, "tables against the export"], rows))
    if wrong:
        sys.exit(f"{wrong} differences")


if __name__ == "__main__":
    main()
