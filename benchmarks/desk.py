"""What the win desk takes to answer: the list and the page of a deal, of a company with so many open deals.

    uv run --group benchmarks python benchmarks/desk.py [--open 10000] [--asked 100]

A simulated company with a model that was trained quickly (how well it predicts does not matter here), served by uvicorn
in a process of its own. A manager whom everybody reports to asks for different pages of the list, sorted and filtered
in different ways, and for pages of different deals, warm: three times as many others went before. Milliseconds are from
the request to the last byte, as this process sees them on loopback; beside them the processor time that uvicorn's
process took meanwhile, which a busy machine changes little.
"""

import argparse
import contextlib
import itertools
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from measuring import machine, table, versions

from winpredict import score
from winpredict.app.database import FILE, open_database
from winpredict.app.people import add_person
from winpredict.app.publishing import publish
from winpredict.app.records import Role
from winpredict.config import Config
from winpredict.explain.drivers import top_drivers
from winpredict.models.registry import log_training
from winpredict.models.snapshots import pipeline
from winpredict.models.training import train
from winpredict.simulate.world import simulate
from winpredict.tables.crm import CRMData
from winpredict.workspace import Workspace

QUICK = Config(model={"bags": 3, "trees": 150, "learning_rate": 0.08})
EMAIL, PASSWORD, BOSS = "boss@example.com", "correct horse battery", "boss"
#: Deals that the model is trained on at the most; their number changes nothing about the pages.
TRAINED_ON = 6000


def company(open_deals: int, seed: int) -> CRMData:
    """A company with about so many open deals, of which everybody reports to one manager."""
    few = simulate(2000, seed=seed).crm
    share = (few.deals["outcome"] == "open").mean()
    crm = simulate(round(open_deals / share), seed=seed).crm
    assert crm.users is not None
    users = crm.users.assign(manager_id=BOSS)
    boss = pd.DataFrame({"user_id": [BOSS], "name": ["Bea Boss"]})
    return replace(crm, users=pd.concat([users, boss], ignore_index=True).astype(users.dtypes))


def prepared_workspace(folder: Path, open_deals: int, seed: int) -> Workspace:
    """A workspace that is trained, scored and published, twice, a week apart; kept for the next run."""
    workspace = Workspace(folder)
    if (folder / FILE).exists():
        return workspace
    crm = company(open_deals, seed)
    workspace.save_import(crm, profile="simulated")
    learnt = crm.of_deals(crm.deals["deal_id"].sample(min(len(crm.deals), TRAINED_ON), random_state=0))
    model = train(learnt, QUICK)
    snapshots = pipeline(crm, crm.known_until)
    example = model.build_features(crm, snapshots.head(500))
    drivers = top_drivers(model, example)
    log_training(workspace.folder, model, config=QUICK, fingerprint=workspace.state, example=example, drivers=drivers)
    scores = score(model, crm, model_version="1")
    database = open_database("", workspace.folder)
    earlier = scores.assign(as_of=scores["as_of"] - pd.Timedelta(days=8))
    publish(database, crm, earlier)
    publish(database, crm, scores)
    with database.writing() as session:
        add_person(session, EMAIL, "Bea Boss", Role.MANAGER, password=PASSWORD, crm_user_id=BOSS)
    database.close()
    return workspace


@contextlib.contextmanager
def served(folder: Path) -> Iterator["tuple[httpx.Client, int]"]:
    """A client that is signed in at the desk, and the process that serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(port), "--folder", str(folder)]
    server = subprocess.Popen(command)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            _sign_in(client)
            yield client, server.pid
    finally:
        server.terminate()
        server.wait()


def _sign_in(client: httpx.Client) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.ConnectError):
            token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
            assert token
            form = {"email": EMAIL, "password": PASSWORD, "csrf_token": token[1]}
            assert client.post("/sign-in", data=form).status_code == 303
            return
        time.sleep(0.1)
    raise TimeoutError("the desk does not answer")


def asked_one_by_one(client: httpx.Client, pid: int, addresses: list[str]) -> np.ndarray:
    """What each address takes in milliseconds: by the clock, and of the server's processor, shape (2, n_addresses)."""
    found = []
    for address in addresses:
        start, used = time.perf_counter(), processor(pid)
        answer = client.get(address)
        found.append([1000 * (time.perf_counter() - start), processor(pid) - used])
        assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return np.array(found).T


def processor(pid: int) -> float:
    """Milliseconds of processor time that a process has taken, with all its threads; NaN where nobody tells."""
    if not sys.platform.startswith("linux"):
        return float("nan")
    return 1000 * time.clock_gettime(~pid << 3 | 2)  # the clock that clock_getcpuclockid(3) gives for a process


def measure(workspace: Workspace, asked: int) -> None:
    """Ask, and print a table."""
    with served(workspace.folder) as (client, pid):
        table_of_all = client.get("/deals.csv").text
        ids = re.findall(r"^([^,\n]+),", table_of_all, re.MULTILINE)[1:]
        stages = sorted({line.split(",")[3] for line in table_of_all.splitlines()[1:200]})
        chosen = pd.Series(ids).sample(min(len(ids), 4 * asked), random_state=1).tolist()
        orders = ["stake", "odds", "change", "amount", "closing", "silence", "name"]
        lists = [f"/deals?order={order}&page={page}" for page, order in itertools.product(range(1, 16), orders)]
        first = [f"/deals/{deal_id}" for deal_id in chosen[asked:]]
        asked_for = {
            "list, all orders, pages 1 to 15": (lists[:20], lists[:asked]),
            "list of a stage": ([], [f"/deals?stage={stage}" for stage in stages] * 5),
            "list, search": ([], [f"/deals?search={deal_id[-4:]}" for deal_id in chosen[:asked]]),
            "export of all": ([], ["/deals.csv"] * 3),
            "deal, each for the first time": (first, [f"/deals/{deal_id}" for deal_id in chosen[:asked]]),
            "deal, again": ([], [f"/deals/{deal_id}" for deal_id in chosen[:asked]]),
            "what if": ([], [f"/deals/{deal_id}?contacts=2&touches_30d=4" for deal_id in chosen[:asked]]),
            "chart of a deal": ([], [f"/deals/{deal_id}/odds.svg" for deal_id in chosen[: asked // 4]]),
        }
        lines = []
        for name, (before, addresses) in asked_for.items():
            asked_one_by_one(client, pid, before)
            found = asked_one_by_one(client, pid, addresses)
            told = [figure for clock in found for figure in (np.median(clock), np.quantile(clock, 0.95))]
            lines.append([name, len(addresses), *(f"{each:.0f}" for each in told)])
    print(f"{len(ids):,} open deals\n{machine()}\n{versions(['fastapi', 'uvicorn', 'sqlalchemy', 'jinja2'])}\n")
    print(
        table(
            [
                "one after the other, warm",
                "asked",
                "milliseconds (median)",
                "milliseconds (95 of 100)",
                "of the processor (median)",
                "of the processor (95 of 100)",
            ],
            lines,
        )
    )


def serve(folder: Path, port: int) -> None:
    """The server's process."""
    import uvicorn

    from winpredict.app.application import create_app

    uvicorn.run(create_app(Workspace(folder)), port=port, log_level="warning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open", type=int, default=10_000)
    parser.add_argument("--asked", type=int, default=100)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the workspace here for the next run")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.folder, args.serve)
        return
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "workspace"
        measure(prepared_workspace(folder, args.open, args.seed), args.asked)


if __name__ == "__main__":
    main()
