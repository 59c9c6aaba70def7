"""What POST /api/v1/score takes with 20 requests in flight: one deal each, with 60 activities and 6 changes.

    uv run --group benchmarks python benchmarks/api_score.py [--deals 3000] [--requests 2000] [--flight 20]

A model with the default knobs on a simulated world, its win desk served on loopback by one process with SQLite and by
two with PostgreSQL (a server that is started for it), and clients in this process that each wait for their answer
before they ask again. Different deals all the time; warm: some went before. Beside it the clients and the server
without any scoring (GET /api/v1/health), since they share the machine. Every tenth answer is compared with that of the
deal scored alone in this process: equal to the last bit.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
from measuring import table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from desk_databases import postgres_databases

from winpredict.app.api.score_request import ScoreRequest
from winpredict.app.api.scoring import PendingRequest, RequestScorer
from winpredict.app.database import open_database
from winpredict.app.desk import Desk
from winpredict.app.people import add_person, make_token
from winpredict.app.records import Role
from winpredict.config import Config
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.models.training import train
from winpredict.simulate.world import simulate
from winpredict.workspace import Workspace

WARM, COMPARED_EVERY = 200, 10
SERVER = """
import sys
from pathlib import Path
from winpredict.app.serving import serve
from winpredict.config import Config
from winpredict.workspace import Workspace
app = {"port": 0, "database": sys.argv[2]}
said = lambda address: print(address, flush=True)
serve(Workspace(Path(sys.argv[1])), Config(app=app), workers=int(sys.argv[3]), listening=said)
"""
#: Names what holds the address of the database, which has a password in it.
ADDRESS = "WINPREDICT_BENCHMARK_DATABASE"


def prepared(folder: Path, deals: int, seed: int) -> Workspace:
    """A workspace with a champion."""
    workspace = Workspace(folder)
    crm = simulate(deals, seed=seed).crm
    workspace.save_import(crm, profile="simulated")
    model = train(crm)
    features = model.build_features(crm, pipeline(crm, crm.known_until))
    log_training(folder, model, config=Config(), fingerprint=workspace.state, example=features)
    return workspace


def key_of(desk: Desk) -> str:
    """A key with the scope score."""
    with desk.database.writing() as session:
        address = f"benchmark-{os.getpid()}@example.com"
        person = add_person(session, address, "Benchmark", Role.SCIENTIST)
        return make_token(session, person, "benchmark", ["score"])[0]


def bodies(desk: Desk, number: int, activities: int, changes: int, seed: int) -> list[bytes]:
    """Deals of a life of 120 days, with touches and changes all along."""
    crm, rng = desk.loaded().crm, np.random.default_rng(seed)
    until = crm.known_until
    stages, deals = list(crm.stage_order), crm.deals
    found = []
    for place in range(number):
        like = deals.iloc[rng.integers(len(deals))]
        born = until - pd.Timedelta(days=120)
        moments = [born + pd.Timedelta(days=float(day)) for day in np.sort(rng.uniform(0.1, 119, activities))]
        moves = [born, *(born + pd.Timedelta(days=float(day)) for day in np.sort(rng.uniform(1, 110, changes - 1)))]
        given = {name: like[name] for name in ("owner_id", "account_id", "deal_type", "lead_source", "product")}
        deal = {name: value for name, value in given.items() if isinstance(value, str)}
        amount = float(np.round(rng.lognormal(9.5, 0.8), 2))
        deal |= {"deal_id": f"new-{place}", "created_at": born.isoformat(), "stage": stages[-1], "amount": amount}
        history = [
            {"changed_at": at.isoformat(), "stage": stages[min(step, len(stages) - 1)], "amount": amount}
            for step, at in enumerate(moves)
        ]
        touches = [
            {
                "activity_id": f"{place}-{touch}",
                "occurred_at": at.isoformat(),
                "recorded_at": (at + pd.Timedelta(hours=1)).isoformat(),
                "activity_type": str(rng.choice(["call", "email", "meeting", "note"])),
                "direction": str(rng.choice(["inbound", "outbound"])),
                "user_id": f"u{rng.integers(4)}",
                "contact_id": f"c{rng.integers(6)}",
                "duration_s": float(rng.integers(30, 3000)),
            }
            for touch, at in enumerate(moments)
        ]
        request = {"deal": deal, "deal_history": history, "activities": touches, "as_of": until.isoformat()}
        found.append(json.dumps(request).encode())
    return found


async def answered(
    base: str, key: str, asked: list[bytes], flight: int, path: str = "/api/v1/score"
) -> tuple[list[float], list[dict[str, Any]], float]:
    """Milliseconds and answers of all requests, so many in flight, and the seconds that all took.

    Over plain streams: httpx alone takes as much of a processor as the server, and the milliseconds would be its own.
    """
    host, port = base.removeprefix("http://").split(":")
    took, answers = [0.0] * len(asked), [b""] * len(asked)
    numbers = iter(range(len(asked)))

    async def one_client() -> None:
        read, write = await asyncio.open_connection(host, int(port))
        for number in numbers:
            start = time.perf_counter()
            write.write(request(path, host, key, asked[number]))
            head = await read.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            answers[number] = await read.readexactly(int(length[1]) if length else 0)
            took[number] = 1000 * (time.perf_counter() - start)
            assert head.startswith(b"HTTP/1.1 200"), answers[number]
        write.close()

    start = time.perf_counter()
    await asyncio.gather(*(one_client() for _ in range(flight)))
    return took, [json.loads(each) for each in answers], time.perf_counter() - start


def request(path: str, host: str, key: str, body: bytes) -> bytes:
    """A request as it goes over the wire; without a body where nothing is sent."""
    method, body = ("GET", b"") if path.endswith("health") else ("POST", body)
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def same(desk: Desk, body: bytes, answer: dict[str, Any]) -> bool:
    """Whether an answer is that of the deal scored alone, to the last bit."""
    request = ScoreRequest.model_validate_json(body)
    alone = RequestScorer(desk).score([PendingRequest(request, None, datetime.now(UTC))])[0]
    assert isinstance(alone, dict)
    figures = ("win_probability", "low", "high", "p_win_30d", "p_win_quarter", "base_probability", "other_points")
    points = [each.points for each in alone["reasons"]] == [each["points"] for each in answer["reasons"]]
    return points and all(alone[name] == answer[name] for name in figures)


def cpu_seconds(server: subprocess.Popen[bytes]) -> float:
    """Processor time that a server's processes have used."""
    every = [server.pid, *map(int, Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split())]
    ticks = 0
    for pid in every:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(folder: Path, database: str, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The desk of a workspace in processes of its own, and its address."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder), database, str(workers)], stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        base = server.stdout.readline().decode().strip()
        httpx.get(f"{base}/api/v1/health", timeout=60).raise_for_status()
        yield server, base
    finally:
        server.terminate()
        server.wait(20)


def lines_of(workspace: Workspace, database: str, workers: int, args: argparse.Namespace) -> list[list[object]]:
    """Rows of the table for one way of serving."""
    desk = Desk(
        workspace, Config.model_validate({"app": {"database": database}}), open_database(database, workspace.folder)
    )
    key = key_of(desk)
    sent = bodies(desk, args.requests, args.activities, args.changes, args.seed)
    lines: list[list[object]] = []
    with served(workspace.folder, database, workers) as (server, base):
        # every process has answered some
        asyncio.run(answered(base, key, sent[: WARM * workers], max(args.flight)))
        for path in ("/api/v1/score", "/api/v1/health"):
            for flight in args.flight:
                some = sent if flight > 1 else sent[: len(sent) // 10]
                before = cpu_seconds(server)
                took, answers, seconds = asyncio.run(answered(base, key, some, flight, path))
                quantiles = [f"{figure:.1f}" for figure in np.quantile(took, (0.5, 0.95, 0.99))]
                used = 1000 * (cpu_seconds(server) - before) / len(some)
                line = [workers, path, flight, len(some), *quantiles, f"{len(some) / seconds:.0f}", f"{used:.1f}"]
                lines.append(line)
                if path.endswith("score"):
                    compared = range(0, len(some), COMPARED_EVERY)
                    assert all(same(desk, some[number], answers[number]) for number in compared)
    desk.database.close()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deals", type=int, default=3000)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--flight", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--activities", type=int, default=60)
    parser.add_argument("--changes", type=int, default=6)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="processes on PostgreSQL beside the one on SQLite")
    parser.add_argument("--workspace", type=Path, help="one with a champion; by default one is made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        workspace = (
            prepared(Path(temporary), args.deals, args.seed) if not args.workspace else Workspace(args.workspace)
        )
        lines = lines_of(workspace, "", 1, args)
        if args.workers > 1:
            with postgres_databases() as new:
                os.environ[ADDRESS] = new()
                lines += lines_of(workspace, f"env:{ADDRESS}", args.workers, args)
    print(f"load of the machine before: {os.getloadavg()[1]:.1f}\n")
    print(
        table(
            [
                "processes",
                "asked",
                "in flight",
                "requests",
                "ms (median)",
                "ms (95 of 100)",
                "ms (99)",
                "a second",
                "ms of CPU",
            ],
            lines,
        )
    )
    print("\nEvery tenth answer is that of the deal scored alone, to the last bit.")


if __name__ == "__main__":
    main()
