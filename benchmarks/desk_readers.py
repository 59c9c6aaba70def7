"""50 people read the win desk while scoring runs are published: errors, torn pages, requests a second.

    uv run --group benchmarks python benchmarks/desk_readers.py [--open 2000] [--seconds 60] [--readers 50]

A simulated company's desk is served by `winpredict serve`, with SQLite by one process and with PostgreSQL (a server
that is started for it) by two. Different people, each with a session of their own, ask for lists, deals, pipelines and
the API, read for a moment and ask for the next; each comes back to a few deals. Another process publishes a scoring run
every few seconds, each with odds of its own that all of its deals have: a page with two different odds, or with sums of
others, was torn. An error is any other status than 200, a time-out, or a connection that broke. Warm: everybody has
looked at one of each before the clock starts; errors of that time count.
"""

import argparse
import asyncio
import contextlib
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import yaml
from desk import BOSS, prepared_workspace
from measuring import machine, table, versions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from desk_databases import postgres_databases
from desk_reading import percents, with_odds

from winpredict.app.database import open_database
from winpredict.app.desk import Desk
from winpredict.app.identity import COOKIE, signed
from winpredict.app.people import add_person, sign_in
from winpredict.app.publishing import publish
from winpredict.app.records import Role
from winpredict.config import Config
from winpredict.workspace import Workspace

ADDRESS = "WINPREDICT_BENCHMARK_DATABASE"
TIME_OUT_S = 30.0
#: Deals that one person comes back to.
DEALS_EACH = 3
SERVER = "from winpredict.cli import app; app()"


@dataclass
class Seen:
    """What readers met.

    Parameters
    ----------
    took : dict of str to list of float
        Milliseconds, by kind of address.
    errors, torn : Counter
        What went wrong, and how often.
    runs : set of int
        Odds that were seen, each of another run.
    """

    took: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    torn: Counter[str] = field(default_factory=Counter)
    runs: set[int] = field(default_factory=set)


def scores_of(workspace: Workspace) -> pd.DataFrame:
    """Scores of a workspace, kept there."""
    from winpredict import score
    from winpredict.models.registry import load_model

    kept = workspace.latest_scores()
    if kept is None:
        crm = workspace.crm()
        kept = score(load_model(workspace.folder, "1"), crm, model_version="1")
        workspace.keep_scores(kept, crm.known_until)
    return kept


def publish_on(folder: Path, url: str, every_s: float) -> None:
    """The publishing process: a run every few seconds until its input ends; says how many and how long each took."""
    workspace = Workspace(folder)
    crm, scores, database = workspace.crm(), workspace.latest_scores(), open_database(url, folder)
    took: list[float] = []
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], every_s)[0]:
        start = time.perf_counter()
        publish(database, crm, with_odds(scores, len(took) + 1))
        took.append(time.perf_counter() - start)
    print(len(took), np.median(took) if took else 0.0, flush=True)


def people(desk: Desk, number: int) -> list[tuple[Role, str]]:
    """So many people with sessions: half of them reps, a third managers, the rest data scientists."""
    crm = desk.workspace.crm()
    owners = list(crm.deals.loc[crm.deals["outcome"] == "open", "owner_id"].value_counts().index)
    roles = [Role.REP] * (number // 2) + [Role.MANAGER] * (number // 3)
    roles += [Role.SCIENTIST] * (number - len(roles))
    found = []
    with desk.database.writing() as session:
        for place, role in enumerate(roles):
            linked = {Role.REP: owners[place % len(owners)], Role.MANAGER: BOSS}.get(role)
            address = f"reader-{os.getpid()}-{place}@example.com"
            person = add_person(session, address, f"Reader {place}", role, crm_user_id=linked)
            found.append((role, signed(desk, sign_in(session, person, 12.0).key)))
    return found


@contextlib.contextmanager
def serving(folder: Path, url: str, workers: int) -> Iterator[str]:
    """The desk served as in life, and its address."""
    settings = folder / "readers.yaml"
    settings.write_text(yaml.safe_dump({"app": {"database": f"env:{ADDRESS}" if url else ""}}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        "serve",
        "--workspace",
        str(folder),
        "--config",
        str(settings),
        "--port",
        str(port),
        "--workers",
        str(workers),
    ]
    server = subprocess.Popen([sys.executable, "-c", SERVER, *command], env=os.environ | {ADDRESS: url})
    base = f"http://127.0.0.1:{port}"
    try:
        while server.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{base}/api/v1/readiness", timeout=60).status_code == 200:
                    break
            time.sleep(0.1)
        assert server.poll() is None, "the desk has stopped"
        yield base
    finally:
        server.terminate()
        server.wait(60)


def addresses(role: Role, deals: list[str], chance: random.Random) -> Iterator[str]:
    """What somebody of a role asks for, without end."""
    orders = ("stake", "odds", "change", "amount", "closing", "silence")
    while True:
        deal = chance.choice(deals) if deals else ""
        yield f"/deals?order={chance.choice(orders)}&page={chance.randint(1, 2)}"
        if deal:
            yield f"/deals/{deal}"
        yield f"/api/v1/deals?limit=50&order={chance.choice(orders)}"
        if role != Role.REP:
            yield "/pipeline"
        if deal:
            yield f"/api/v1/deals/{deal}"


def kind_of(address: str) -> str:
    """Addresses of one kind have one line in the table."""
    path = address.partition("?")[0]
    for prefix in ("/api/v1/deals/", "/deals/"):
        if path.startswith(prefix):
            return f"{prefix}{{id}}"
    return path


async def ask(client: httpx.AsyncClient, address: str, seen: Seen, *, timed: bool = True) -> None:
    """Ask for one address, and take down what came."""
    start, kind = time.perf_counter(), kind_of(address)
    try:
        answer = await client.get(address)
    except httpx.HTTPError as error:
        seen.errors[f"{kind}: {type(error).__name__}"] += 1
        return
    if timed:
        seen.took.setdefault(kind, []).append(1000 * (time.perf_counter() - start))
    if answer.status_code != 200:
        seen.errors[f"{kind}: {answer.status_code}"] += 1
        return
    is_json = answer.headers["content-type"].startswith("application/json")
    shown = percents(address, answer.json() if is_json else answer.text)
    seen.runs |= shown
    if len(shown) > 1:
        seen.torn[kind] += 1


async def read_all(base: str, readers: list[tuple[Role, str]], args: argparse.Namespace, seen: Seen) -> float:
    """Everybody reads for as long; returns the seconds."""
    async with contextlib.AsyncExitStack() as stack:
        people = []
        for number, (role, cookie) in enumerate(readers):
            client = httpx.AsyncClient(base_url=base, cookies={COOKIE: cookie}, timeout=TIME_OUT_S)
            await stack.enter_async_context(client)
            listed = (await client.get("/api/v1/deals?limit=100")).json()["deals"]
            chance = random.Random(number)
            deals = [each["deal_id"] for each in chance.sample(listed, min(len(listed), DEALS_EACH))]
            people.append((client, chance, addresses(role, deals, chance)))
            for address in [f"/deals/{deal}" for deal in deals] + ["/pipeline"] * (role != Role.REP):
                await ask(client, address, seen, timed=False)
        start = time.monotonic()

        async def read(client: httpx.AsyncClient, chance: random.Random, wanted: Iterator[str]) -> None:
            await asyncio.sleep(chance.uniform(0, args.pause))
            while time.monotonic() < start + args.seconds:
                await ask(client, next(wanted), seen)
                await asyncio.sleep(chance.uniform(0.5, 1.5) * args.pause)

        await asyncio.gather(*(read(*each) for each in people))
        return time.monotonic() - start


def measure(workspace: Workspace, url: str, workers: int, args: argparse.Namespace) -> tuple[Seen, int, float, float]:
    """What readers saw, how many runs were published meanwhile, how long each took, and the seconds of all."""
    database = open_database(url, workspace.folder)
    desk = Desk(workspace, Config(), database)
    publish(database, workspace.crm(), with_odds(workspace.latest_scores(), 0))
    readers = people(desk, args.readers)
    command = [sys.executable, __file__, "--publish", str(workspace.folder), "--every", str(args.every)]
    seen = Seen()
    with serving(workspace.folder, url, workers) as base:
        writer = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {ADDRESS: url}
        )
        assert writer.stdout
        assert writer.stdout.readline()
        seconds = asyncio.run(read_all(base, readers, args, seen))
        told, _ = writer.communicate("\n", timeout=120)
        assert writer.returncode == 0
    database.close()
    runs, took = told.split()
    return seen, int(runs), float(took), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=2000, help="open deals")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between runs")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds that a page is read")
    parser.add_argument("--database", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--folder", type=Path, help="keep the workspace here for the next run")
    parser.add_argument("--publish", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.publish:
        publish_on(args.publish, os.environ[ADDRESS], args.every)
        return
    lines, whole, faults = [], [], []
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "workspace"
        workspace = prepared_workspace(folder, args.open, 5)
        deals = len(scores_of(workspace))
        for kind in args.database:
            url = "" if kind == "sqlite" else stack.enter_context(postgres_databases())()
            workers = 1 if kind == "sqlite" else 2
            seen, runs, took, seconds = measure(workspace, url, workers, args)
            requests = sum(map(len, seen.took.values())) + sum(seen.errors.values())
            every = np.concatenate(list(seen.took.values()))
            told = [kind, workers, f"{requests:,}", f"{requests / seconds:.0f}", sum(seen.errors.values())]
            told += [sum(seen.torn.values()), runs, len(seen.runs), f"{took:.2f}"]
            whole.append([*told, *(f"{np.quantile(every, share):.0f}" for share in (0.5, 0.95))])
            for name, found in sorted(seen.took.items()):
                lines.append([kind, name, len(found), *(f"{np.quantile(found, each):.0f}" for each in (0.5, 0.95, 1))])
            faults += [f"{kind}: {name}, {count} times" for name, count in seen.errors.items()]
            faults += [f"{kind}: torn: {name}, {count} times" for name, count in seen.torn.items()]
    print(
        f"{deals:,} open deals, {args.readers} readers, each reads a page for {args.pause:g} s; load before: ", end=""
    )
    print(f"{os.getloadavg()[1]:.1f}\n{machine()}\n{versions(['fastapi', 'uvicorn', 'sqlalchemy', 'psycopg'])}\n")
    head = ["database", "processes", "requests", "a second", "errors", "torn", "runs published", "runs seen"]
    print(table([*head, "seconds to publish one", "ms (median)", "ms (95 of 100)"], whole))
    print()
    print(table(["database: asked", "address", "requests", "ms (median)", "ms (95 of 100)", "ms (longest)"], lines))
    if faults:
        print("\n" + "\n".join(f"- {each}" for each in faults))
        sys.exit(1)


if __name__ == "__main__":
    main()
