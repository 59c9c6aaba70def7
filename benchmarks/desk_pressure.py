"""The win desk under pressure: what others feel of one person's many requests, of attacks, and of half an hour's work.

    uv run --group benchmarks python benchmarks/desk_pressure.py [--open 4000] [--only attacks traffic large]

A simulated company's desk is served by `winpredict serve` in a process of its own, with SQLite and with PostgreSQL (a
server that is started for it). While somebody else does harm, a rep asks for their list, and a probe for the desk's
health, ten times a second: told are the median and the longest they waited.

- attacks: 60 requests at a time for drivers, each of another segment and of the same one; 400 connections that never
  finish their headers; a header of 63 MB; 60 lists at a time; connections by the thousand that say nothing.
- traffic: people of all roles read while runs are published, for so many minutes; told is the memory of the process.
- large: a company with 100,000 open deals: lists (searched, filtered, sorted, on a late page), pipeline, drivers: the
  seconds until all of it is there for the first time since the server was started, and again, each with the seconds of
  a core that the server took meanwhile (reading tables and model at its start among them); and 200 different lists.

Memory is what is resident, in megabytes, of the process that serves and of those that it has started; its peak too.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pandas as pd
from desk import BOSS, QUICK, prepared_workspace
from desk_readers import Seen, addresses, people, scores_of, serving
from measuring import machine, table, versions

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from desk_databases import postgres_databases
from desk_reading import with_odds

from winpredict import score
from winpredict.app.database import open_database
from winpredict.app.desk import Desk
from winpredict.app.identity import COOKIE
from winpredict.app.publishing import publish
from winpredict.app.records import Role
from winpredict.config import Config
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.models.training import train
from winpredict.simulate.world import simulate
from winpredict.tables.crm import CRMData
from winpredict.workspace import Workspace

TIME_OUT_S = 120.0
ORDERS = ("stake", "odds", "change", "amount", "closing", "silence", "name")
LISTS = (
    *(f"/deals?order={order}" for order in ORDERS[1:]), "/deals?page=50", "/deals?order=name&page=50",
    "/deals?search=-12", "/deals?search=-123", "/deals?stage={stage}", "/deals?flag=stalled", "/deals?at_risk=true",
    "/api/v1/deals?limit=50",
)  # fmt: skip
DRIVERS = ("/api/v1/drivers", "/api/v1/drivers?segment=product", "/api/v1/drivers?segment=region")
SHARES = {"median": 0.5, "95 of 100 within": 0.95, "longest": 1.0}
#: Deals of one simulated company; a large one is put together from the open deals of several.
PIECE = 50_000


def large_company(open_deals: int) -> CRMData:
    """A company with so many open deals and as many closed ones, of which everybody reports to one manager."""
    pieces: list[dict[str, pd.DataFrame]] = []
    found = 0
    while found < open_deals:
        crm = simulate(PIECE, seed=len(pieces)).crm
        is_open = crm.deals["outcome"] == "open"
        closed = crm.deals.loc[~is_open, "deal_id"].sample(int(is_open.sum()), random_state=0)
        kept = crm.of_deals(pd.concat([crm.deals.loc[is_open, "deal_id"], closed]))
        found += int(is_open.sum())
        pieces.append({name: _named_apart(frame, len(pieces)) for name, frame in kept.tables()})
    tables = {name: pd.concat([each[name] for each in pieces], ignore_index=True) for name in pieces[0]}
    users = tables["users"].assign(manager_id=BOSS)
    boss = pd.DataFrame({"user_id": [BOSS], "name": ["Bea Boss"]})
    tables["users"] = pd.concat([users, boss], ignore_index=True).astype(users.dtypes)
    return replace(crm, **tables)


def _named_apart(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    ids = [name for name in frame if name.endswith("_id")]
    return frame.assign(**{name: str(number) + "-" + frame[name] for name in ids})


def large_workspace(folder: Path, open_deals: int) -> Workspace:
    """A workspace of a large company, trained and scored; kept for the next run."""
    workspace = Workspace(folder)
    if (folder / "current").exists() and workspace.latest_scores() is not None:
        return workspace
    crm = large_company(open_deals)
    workspace.save_import(crm, profile="simulated")
    learnt = crm.of_deals(crm.deals["deal_id"].sample(6000, random_state=0))
    model = train(learnt, QUICK)
    example = model.build_features(crm, pipeline(crm, crm.known_until).head(500))
    log_training(folder, model, config=QUICK, fingerprint=workspace.state, example=example)
    workspace.keep_scores(score(model, crm, model_version="1"), crm.known_until)
    return workspace


class Server:
    """The process that serves, and who asks it."""

    def __init__(self, base: str, cookies: dict[str, str]) -> None:
        self.base, self.cookies = base, cookies
        port = int(base.rpartition(":")[2])
        self.pid = next(int(each) for each in os.listdir("/proc") if each.isdigit() and _serves(int(each), port))

    def memory_mb(self, what: str = "VmRSS") -> float:
        """What is resident, or with ``VmHWM`` was at the most, of all processes."""
        return sum(_kilobytes(pid, what) for pid in (self.pid, *_descendants(self.pid))) / 1e3

    def processor_s(self) -> float:
        """Seconds of one core that the processes took so far, which a busy machine changes little."""
        return sum(_ticks(pid) for pid in (self.pid, *_descendants(self.pid))) / os.sysconf("SC_CLK_TCK")

    def client(self, who: str, at_once: int = 1) -> httpx.AsyncClient:
        """A browser of somebody, without a limit to what it asks at once."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=at_once)
        return httpx.AsyncClient(
            base_url=self.base, cookies={COOKIE: self.cookies[who]}, timeout=TIME_OUT_S, limits=limits
        )


def _kilobytes(pid: int, what: str) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return 1.024 * float(line.split()[1])
    return 0.0


def _ticks(pid: int) -> int:
    with contextlib.suppress(OSError):
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(after_name[11]) + int(after_name[12])
    return 0


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for tasks in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (tasks / "children").read_text().split()):
                yield child
                yield from _descendants(child)


def _serves(pid: int, port: int) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"serve" in words and str(port).encode() in words
    return False


@contextlib.contextmanager
def probed(server: Server, found: dict[str, list[float]]) -> Iterator[None]:
    """While the block runs, a rep asks for their list and a probe for the desk's health, in a process apart."""
    command = [sys.executable, __file__, "--probe", server.base, server.cookies["rep"]]
    probe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert probe.stdout
    probe.stdout.readline()
    try:
        yield
    finally:
        told, _ = probe.communicate("\n", timeout=TIME_OUT_S)
        found |= json.loads(told)


def probe(base: str, cookie: str) -> None:
    """The probing process: asks until its input ends, then says how many seconds each answer took."""
    found: dict[str, list[float]] = {}
    ends = threading.Event()

    def ask(name: str, address: str) -> None:
        with httpx.Client(base_url=base, cookies={COOKIE: cookie}, timeout=TIME_OUT_S) as client:
            while not ends.wait(0.1):
                start = time.perf_counter()
                answer = client.get(address)
                found.setdefault(name, []).append(time.perf_counter() - start)
                if answer.status_code != 200:
                    found.setdefault(f"{name}: {answer.status_code}", []).append(1.0)

    threads = [threading.Thread(target=ask, args=each) for each in (("list", "/deals"), ("health", "/api/v1/health"))]
    for each in threads:
        each.start()
    time.sleep(0.5)
    print("ready", flush=True)
    sys.stdin.readline()
    ends.set()
    for each in threads:
        each.join()
    print(json.dumps(found))


async def many(server: Server, at_once: int, address: Callable[[int], str]) -> str:
    """Of one manager so many requests at a time; how they were answered."""
    async with server.client("manager", at_once) as client:
        answers = await asyncio.gather(*(client.get(address(number)) for number in range(at_once)))
    counts = Counter(answer.status_code for answer in answers)
    return ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()))


async def half_sent(server: Server, connections: int) -> str:
    """Connections that never finish their headers, and send one letter now and then."""
    host, port = server.base.removeprefix("http://").split(":")
    opened = await asyncio.gather(
        *(asyncio.open_connection(host, int(port)) for _ in range(connections)), return_exceptions=True
    )
    pairs = [each for each in opened if not isinstance(each, BaseException)]
    for _, writer in pairs:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: a")
    for _ in range(15):
        for _, writer in pairs:
            with contextlib.suppress(OSError):
                writer.write(b"a")
        await asyncio.sleep(1)
    closed = sum(reader.at_eof() or writer.is_closing() for reader, writer in pairs)
    for _, writer in pairs:
        writer.close()
    return f"{len(pairs)} connected, {closed} closed by the desk in 15 s"


async def long_header(server: Server, megabytes: int) -> str:
    """One header that does not end."""
    host, port = server.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    sent, piece = 0, b"a" * 65_536
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
    with contextlib.suppress(OSError):
        while sent < megabytes * 1_000_000:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    with contextlib.suppress(OSError):
        told = (await reader.read(100)).split(b"\r\n")[0].decode()
        return f"refused after {sent / 1e6:.1f} MB sent: {told or 'connection closed'}"
    return f"connection closed after {sent / 1e6:.1f} MB sent"


async def attacked(server: Server, segments: list[str]) -> list[list[object]]:
    """A line for each attack."""
    attacks: dict[str, Callable[[], Awaitable[str]]] = {
        "nothing, for 10 s": lambda: _nothing(10),
        "60 at a time for drivers, same": lambda: many(server, 60, lambda number: "/api/v1/drivers"),
        "60 at a time for drivers, by segments": lambda: many(
            server, 60, lambda number: f"/api/v1/drivers?segment={segments[number % len(segments)]}"
        ),
        "60 at a time for pages of drivers": lambda: many(server, 60, lambda number: "/drivers"),
        "60 at a time for lists": lambda: many(server, 60, lambda number: f"/deals?page={number + 1}"),
        "60 at a time for exports": lambda: many(server, 60, lambda number: "/deals.csv"),
        "400 connections with half-sent headers": lambda: half_sent(server, 400),
        "1,500 connections with half-sent headers": lambda: half_sent(server, 1500),
        "a header of 63 MB": lambda: long_header(server, 63),
    }
    lines: list[list[object]] = []
    for name, attack in attacks.items():
        found: dict[str, list[float]] = {}
        before = server.memory_mb()
        with probed(server, found):
            told = await attack()
        faults = "; ".join(f"{name}, {len(each)} times" for name, each in found.items() if ":" in name)
        times = [f"{np.median(found[each]):.3f} / {max(found[each]):.3f}" for each in ("list", "health")]
        lines.append([name, *times, f"{before:.0f} -> {server.memory_mb():.0f}", told, faults or "none"])
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


async def _nothing(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return ""


async def read_for(server: Server, readers: list[tuple[Role, str]], minutes: float, every_s: float) -> list[float]:
    """Everybody reads for so long; the memory at equal distances."""
    seen, sizes, end = Seen(), [], time.monotonic() + 60 * minutes

    async def read(number: int, role: Role, cookie: str) -> None:
        chance = random.Random(number)
        async with httpx.AsyncClient(base_url=server.base, cookies={COOKIE: cookie}, timeout=TIME_OUT_S) as client:
            answer = await client.get("/api/v1/deals?limit=100")
            deals = [each["deal_id"] for each in answer.json()["deals"]]
            wanted = addresses(role, deals, chance)
            while time.monotonic() < end:
                address = next(wanted)
                if role != Role.REP and chance.random() < 0.1:
                    address = chance.choice(["/drivers", "/api/v1/drivers", "/api/v1/funnel", "/api/v1/forecast"])
                answer = await client.get(address)
                if answer.status_code not in (200, 429):
                    seen.errors[f"{address.partition('?')[0]}: {answer.status_code}"] += 1
                await asyncio.sleep(chance.uniform(0.5, 1.5))

    async def look() -> None:
        while time.monotonic() < end:
            sizes.append(server.memory_mb())
            await asyncio.sleep(every_s)

    await asyncio.gather(look(), *(read(number, *each) for number, each in enumerate(readers)))
    if seen.errors:
        print(f"errors: {dict(seen.errors)}", file=sys.stderr)
    return sizes


def publish_until(ends: threading.Event, workspace: Workspace, url: str, every_s: float) -> int:
    """Runs published every few seconds, each with odds of its own."""
    crm, scores, database = workspace.crm(), workspace.latest_scores(), open_database(url, workspace.folder)
    count = 0
    while not ends.wait(every_s):
        count += 1
        publish(database, crm, with_odds(scores, count))
    database.close()
    return count


async def large(server: Server) -> tuple[list[list[object]], str]:
    """Seconds until a page is whole, for the first time and again, and the memory after it; and of many lists."""
    lines: list[list[object]] = []

    async def ask(client: httpx.AsyncClient, address: str, name: str = "") -> None:
        told = []
        for _ in range(2):
            before = server.processor_s()
            told += [f"{await _whole(client, address):.2f}", f"{server.processor_s() - before:.2f}"]
        lines.append([name or address, *told, *(f"{server.memory_mb(what):,.0f}" for what in ("VmRSS", "VmHWM"))])
        print(lines[-1], file=sys.stderr, flush=True)

    async with server.client("manager", 4) as client:
        await ask(client, "/deals")
        found = (await client.get("/api/v1/deals?limit=1")).json()
        stage, pages = found["deals"][0]["stage"], found["found"] // 50
        for address in LISTS:
            await ask(client, address.format(stage=quote(stage)))
        async with server.client("rep", 4) as of_rep:
            await ask(of_rep, "/deals", "/deals of a rep")
        chance, took = random.Random(0), []
        for number in range(200):
            asked = {"order": chance.choice(ORDERS), "page": chance.randint(1, pages)}
            if number % 4 == 0:
                asked |= {"search": f"{number:03}", "page": 1}
            start = time.perf_counter()
            answer = await client.get("/deals", params=asked)
            took.append(time.perf_counter() - start)
            assert answer.status_code == 200, answer.text[:300]
        many = ", ".join(f"{name} {1000 * np.quantile(took, share):.0f} ms" for name, share in SHARES.items())
        for address in ("/pipeline", "/api/v1/funnel", "/api/v1/forecast", "/drivers", *DRIVERS, "/deals.csv"):
            await ask(client, address)
    return lines, f"200 different lists, other pages, orders and searches: {many}"


async def _whole(client: httpx.AsyncClient, address: str) -> float:
    """Seconds until an answer waits for nothing more."""
    start = time.perf_counter()
    while time.perf_counter() < start + 1800:
        answer = await client.get(address)
        if answer.status_code == 200 and "data-waiting" not in answer.text:
            return time.perf_counter() - start
        if answer.status_code not in (200, 503):
            raise RuntimeError(f"{address}: {answer.status_code} {answer.text[:300]}")
        await asyncio.sleep(1)
    return float("inf")


def started(
    stack: contextlib.ExitStack, workspace: Workspace, kind: str, readers: int
) -> tuple[Server, list[tuple[Role, str]], str]:
    """The desk served with a database, and those who may ask it."""
    url = "" if kind == "sqlite" else stack.enter_context(postgres_databases())()
    database = open_database(url, workspace.folder)
    publish(database, workspace.crm(), scores_of(workspace))
    found = people(Desk(workspace, Config(), database), readers)
    database.close()
    by_role = {"rep": Role.REP, "manager": Role.MANAGER, "scientist": Role.SCIENTIST}
    cookies = {name: next(cookie for each, cookie in found if each == role) for name, role in by_role.items()}
    return Server(stack.enter_context(serving(workspace.folder, url, 1)), cookies), found, url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=4000, help="open deals of attacks and traffic")
    parser.add_argument("--large", type=int, default=100_000, help="open deals of the large company")
    parser.add_argument("--minutes", type=float, default=30.0, help="of traffic")
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between runs that are published")
    parser.add_argument("--only", nargs="+", choices=["attacks", "traffic", "large"])
    parser.add_argument("--database", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--folder", type=Path, help="keep the workspaces here for the next run")
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.probe:
        probe(*args.probe)
        return
    wanted = args.only or ["attacks", "traffic", "large"]
    print(f"{machine()}\n{versions(['fastapi', 'uvicorn', 'sqlalchemy', 'psycopg'])}\n")
    with contextlib.ExitStack() as kept:
        folder = args.folder or Path(kept.enter_context(tempfile.TemporaryDirectory()))
        for kind in args.database:
            if "attacks" in wanted:
                with contextlib.ExitStack() as stack:
                    workspace = prepared_workspace(folder / "company", args.open, 5)
                    server, _, _ = started(stack, workspace, kind, 20)
                    lines = asyncio.run(attacked(server, ["product", "stage", "region", "source", "owner", ""]))
                head = [kind, "list, s (median / longest)", "health", "MB", "answers", "errors of others"]
                print(table(head, lines) + "\n")
            if "traffic" in wanted:
                with contextlib.ExitStack() as stack:
                    workspace = prepared_workspace(folder / "company", args.open, 5)
                    server, readers, url = started(stack, workspace, kind, args.readers)
                    ends = threading.Event()
                    publisher = threading.Thread(target=publish_until, args=(ends, workspace, url, args.every))
                    publisher.start()
                    sizes = asyncio.run(read_for(server, readers, args.minutes, 15.0))
                    ends.set()
                    publisher.join()
                told = [f"{each:.0f}" for each in sizes[:: max(1, len(sizes) // 15)]]
                print(f"{kind}: MB over {args.minutes:g} minutes: {', '.join(told)}, {sizes[-1]:.0f}\n")
            if "large" in wanted:
                with contextlib.ExitStack() as stack:
                    workspace = large_workspace(folder / "large", args.large)
                    server, _, _ = started(stack, workspace, kind, 20)
                    lines, many = asyncio.run(large(server))
                deals = f"{len(scores_of(workspace)):,} open deals, {kind}"
                print(
                    table([deals, "s, first", "of a core", "s, again", "of a core", "MB then", "peak"], lines)
                    + f"\n\n{many}\n"
                )


if __name__ == "__main__":
    main()
