"""Importing a CRM's CSV files, with all checks, beside pandas and Polars that only read, parse and write them.

    uv run --group benchmarks python benchmarks/importing.py [--deals 100000] [--activities 2000000] [--repeats 3]
        [--folder FOLDER] [--before FOLDER]

The set: deals.csv, activities.csv and deal_history.csv (four stages a deal) with the canonical names, ids like those of
Salesforce, ISO date-times, and rows in no order. `winpredict import --profile generic` reads
them into a workspace: it detects formats, parses, validates, finds repeated rows and calls, relates the tables, and
writes Parquet and the manifest. pandas and Polars read them, turn the text of each date into a time, and write
Parquet.

Each run is a process of its own, from start to end, with Python code that was compiled before; runs take turns. Memory
is the peak of the whole process. `--before` names the `src` folder of another version of winpredict, which takes its
turn too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from measuring import amount, ratio, table

from winpredict.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

TIMES = {
    "deals": ("created_at", "closed_at", "expected_close_date", "modified_at"),
    "activities": ("occurred_at",),
    "deal_history": ("changed_at",),
}
STAGES = ("Qualification", "Needs Analysis", "Proposal", "Negotiation")
DAY = 86_400
START = 1_672_531_200  # 2023-01-01
SPAN = 730 * DAY
#: Deals and activities of the set that is imported first, so that Python code is compiled.
SMALL = (300, 3000)
_DIGITS = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)


class Run(NamedTuple):
    """What a process took."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def write(folder: Path, deals: int, activities: int, seed: int = 0) -> None:
    """Write the set; it holds the same bytes whenever it is written."""
    import polars as pl
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    created = START + rng.integers(0, SPAN, deals)
    life = rng.integers(20 * DAY, 200 * DAY, deals)
    ended = np.minimum(created + life, START + SPAN)
    is_open = created + life > START + SPAN
    won = rng.random(deals) < 0.3
    owner, account = rng.integers(0, max(deals // 250, 2), deals), rng.integers(0, max(deals // 4, 2), deals)
    ids = salesforce_ids("006", np.arange(deals), rng)
    users, accounts = salesforce_ids("005", owner), salesforce_ids("001", account)
    value = np.exp(rng.normal(9, 1, deals)).round(2)

    def chosen(words: Sequence[str], count: int) -> "pa.Array":
        return pa.array(words).take(pa.array(rng.integers(0, len(words), count)))

    def moments(deal: np.ndarray) -> np.ndarray:
        return created[deal] + (rng.random(deal.size) * (ended - created)[deal]).astype(np.int64)

    def save(name: str, columns: dict[str, "pa.Array"]) -> None:
        rows = pa.table(columns)
        rows = rows.take(pa.array(rng.permutation(rows.num_rows)))
        pl.DataFrame(rows).write_csv(folder / f"{name}.csv")

    stage = np.where(is_open, rng.integers(0, 4, deals), np.where(won, 4, 5))
    save(
        "deals",
        {
            "deal_id": ids,
            "name": pa.array([f"Opportunity {number}, {number % 97} seats" for number in range(deals)]),
            "created_at": iso(created),
            "closed_at": iso(ended, is_open),
            "expected_close_date": iso(ended + rng.integers(-30, 30, deals) * DAY, form="%Y-%m-%d"),
            "outcome": pa.array(["open", "won", "lost"]).take(pa.array(np.where(is_open, 0, np.where(won, 1, 2)))),
            "stage": pa.array([*STAGES, "Closed Won", "Closed Lost"]).take(pa.array(stage)),
            "amount": pa.array(value),
            "currency": chosen(["EUR", "EUR", "USD"], deals),
            "owner_id": users,
            "account_id": accounts,
            "lead_source": chosen(["Web", "Partner Referral", "Trade Show", "Phone Inquiry"], deals),
            "product": chosen(["Core", "Plus", "Pro"], deals),
            "modified_at": iso(ended),
            "Region": chosen(["North", "South", "East", "West"], deals),
        },
    )
    deal = rng.integers(0, deals, activities)
    order = pa.array(deal)
    save(
        "activities",
        {
            "activity_id": salesforce_ids("00T", np.arange(activities), rng),
            "deal_id": ids.take(order),
            "occurred_at": iso(moments(deal)),
            "activity_type": chosen(["call", "email", "meeting", "task"], activities),
            "direction": chosen(["inbound", "outbound", "outbound"], activities),
            "user_id": users.take(order),
        },
    )
    deal = np.repeat(np.arange(deals), len(STAGES))
    order = pa.array(deal)
    save(
        "deal_history",
        {
            "deal_id": ids.take(order),
            "changed_at": iso(moments(deal)),
            "stage": pa.array(STAGES).take(pa.array(np.tile(np.arange(len(STAGES)), deals))),
            "amount": pa.array((value[deal] * rng.choice([0.8, 1.0, 1.25], deal.size)).round(2)),
            "owner_id": users.take(order),
        },
    )


def salesforce_ids(prefix: str, numbers: np.ndarray, rng: np.random.Generator | None = None) -> "pa.Array":
    """15 characters that a prefix and a number decide; `rng` deals the numbers out anew."""
    import pyarrow as pa

    rest = numbers if rng is None else rng.permutation(numbers)
    text = np.full((rest.size, 15), ord("0"), np.uint8)
    text[:, :7] = np.frombuffer(f"{prefix}5g00".encode(), np.uint8)
    for place in range(14, 9, -1):
        text[:, place], rest = _DIGITS[rest % 62], rest // 62
    return pa.array(text.view("S15").ravel()).cast(pa.string())


def iso(seconds: np.ndarray, missing: np.ndarray | None = None, form: str = "%Y-%m-%dT%H:%M:%SZ") -> "pa.Array":
    """Seconds since 1970 as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.strftime(pa.array(seconds, pa.timestamp("s", "UTC"), mask=missing), form)


def with_pandas(folder: Path, out: Path) -> None:
    """Read, parse the times, write."""
    import pandas as pd

    for name, times in TIMES.items():
        frame = pd.read_csv(folder / f"{name}.csv")
        for column in set(times) & set(frame):
            frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
        frame.to_parquet(out / f"{name}.parquet", index=False)


def with_polars(folder: Path, out: Path) -> None:
    """Read, parse the times, write."""
    import polars as pl

    for name, times in TIMES.items():
        frame = pl.read_csv(folder / f"{name}.csv")
        texts = [column for column in times if column in frame.columns]
        frame = frame.with_columns(pl.col(column).str.to_datetime(time_zone="UTC") for column in texts)
        frame.write_parquet(out / f"{name}.parquet")


PEERS: dict[str, Callable[[Path, Path], None]] = {"pandas": with_pandas, "Polars": with_polars}


def measured(command: Sequence[str], source: Path | None = None) -> Run:
    """Run a command; `source` stands before everything else that Python imports from."""
    path = [str(source)] if source else []
    path += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(path)} if path else {})
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {said.read().decode()[-1000:]}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def turn(name: str, folder: Path, source: Path | None) -> Run:
    """One run of one engine into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as out:
        if name in PEERS:
            return measured([sys.executable, __file__, "--run", name, "--folder", str(folder), "--out", out])
        command = [sys.executable, "-m", "winpredict", "import", *(str(folder / f"{each}.csv") for each in TIMES)]
        run = measured([*command, "--profile", "generic", "--workspace", out], source)
        rows = Workspace(Path(out)).manifest["rows"]
        expected = {each: lines(folder / f"{each}.csv") - 1 for each in TIMES}
        if not all(expected[each] <= rows[each] for each in TIMES):
            raise RuntimeError(f"{name} stored {rows}, the files hold {expected}")
        return run


def lines(path: Path) -> int:
    """Lines of a file."""
    with path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=100_000)
    parser.add_argument("--activities", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the files are kept; by default they are thrown away")
    parser.add_argument("--before", type=Path, help="src folder of another version of winpredict")
    parser.add_argument("--only", nargs="+", help="these engines")
    parser.add_argument("--run", choices=[*PEERS, "write"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run == "write":
        write(arguments.folder, arguments.deals, arguments.activities)
    elif arguments.run:
        PEERS[arguments.run](arguments.folder, arguments.out)
    else:
        with tempfile.TemporaryDirectory() as temporary:
            compare(arguments, arguments.folder or Path(temporary))


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Every engine in turns, and the table."""
    sources: dict[str, Path | None] = {"winpredict": None}
    if arguments.before:
        sources["winpredict before"] = arguments.before
    sources |= dict.fromkeys(PEERS)
    if arguments.only:
        sources = {name: sources[name] for name in arguments.only}
    runs: dict[str, list[Run]] = {name: [] for name in sources}
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(temporary) / "compiled")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for place, deals, activities in (
            (Path(temporary) / "small", *SMALL),
            (folder, arguments.deals, arguments.activities),
        ):
            if not (place / "deals.csv").exists():
                # in a process of its own: the memory of a child starts from what its parent held
                size = ["--deals", str(deals), "--activities", str(activities)]
                measured([sys.executable, __file__, "--run", "write", "--folder", str(place), *size])
        for name, source in sources.items():
            turn(name, Path(temporary) / "small", source)
        for _ in range(arguments.repeats):
            for name, source in sources.items():
                runs[name].append(turn(name, folder, source))
    size = sum((folder / f"{name}.csv").stat().st_size for name in TIMES)
    rows = ", ".join(f"{lines(folder / f'{name}.csv') - 1:,} rows of {name}" for name in TIMES)
    print(f"{rows}: {size / 1e6:,.0f} MB of CSV. Medians of {arguments.repeats} rounds.\n")
    seconds = {name: [run.seconds for run in each] for name, each in runs.items()}
    header = ["", "seconds", "CPU seconds", "peak memory, MB", *(f"times {peer}" for peer in PEERS if peer in runs)]
    print(
        table(
            header,
            [
                [
                    name,
                    *(amount(float(value)) for value in np.median(np.asarray(each), axis=0)),
                    *(amount(ratio(seconds[name], seconds[peer])) for peer in PEERS if peer in runs),
                ]
                for name, each in runs.items()
            ],
        )
    )


if __name__ == "__main__":
    main()
