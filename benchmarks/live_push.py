"""Whether scores that are pushed into a live CRM are written once each, and nothing else, whatever breaks on the way.

    uv run --extra crm --extra app python benchmarks/live_push.py [--deals 20000] [--kills 20] [--faults 120]
        [--refused 25] [--crm salesforce hubspot zoho]

Each CRM is a stand-in on loopback, in this process; the push runs in a process of its own, which is killed (SIGKILL) at
random points of its way and begun anew, while requests fail at random (refused tokens, limits, errors, cut connections,
halves of answers), some deals are refused by a rule of the CRM and others are locked for a while. Two pushes are made:
one into empty fields, and one of a day later, on which the odds of two deals in five have moved. The scores are made
up, for all deals, closed ones too, so that there are many batches; no model is trained. What is proved comes from the
stand-in: every write that it carried out, and its records before and after. Prints Markdown.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import amount, table

from winpredict.config import Config, load_config
from winpredict.connectors.push.push import create_fields, push
from winpredict.connectors.push.undo import read_undo
from winpredict.connectors.registry import CRMS, connect_to
from winpredict.simulate.world import simulate
from winpredict_sandbox.fake_servers import Server, connected, fake_server
from winpredict_sandbox.faults import FAULTS, Faults

DEALS = {"salesforce": "Opportunity", "hubspot": "deals", "zoho": "Deals"}
#: Shares of the requests that fail.
SHARE, SHARE_OF_WRITES = 0.03, 0.25
MOVED = 0.4
LOCKED = 10
PUSHES = ("into empty fields", "a day later")
BANDS = ("very low", "low", "medium", "high", "very high")
ODDS, BAND, REASONS, MODEL, AT = (f"winpredict_{each}" for each in ("odds", "band", "reasons", "model", "scored_at"))
#: Values of the fields of a deal, by the field.
Values = dict[str, Any]


# what is to be written


def wanted(ids: list[str], rng: np.random.Generator, at: pd.Timestamp) -> dict[str, Values]:
    """Made-up scores of deals."""
    return {deal: {**scored(rng), MODEL: "7", AT: at} for deal in ids}


def scored(rng: np.random.Generator) -> Values:
    """Odds in per cent, with their band and three reasons."""
    odds = int(rng.integers(1, 1000)) / 10
    reasons = [f"{rng.integers(2, 90)} days since the last touch ({rng.normal(0, 9):+.1f} pts)" for _ in range(3)]
    return {ODDS: odds, BAND: BANDS[int(odds // 20)], REASONS: "\n".join(reasons)}


def a_day_later(before: Mapping[str, Values], rng: np.random.Generator, at: pd.Timestamp) -> dict[str, Values]:
    """Some odds have moved, and all deals were scored anew."""
    return {
        deal: {**values, **(scored(rng) if rng.random() < MOVED else {}), AT: at} for deal, values in before.items()
    }


def to_write(before: Mapping[str, Values], after: Mapping[str, Values]) -> dict[tuple[str, str], Any]:
    """The values that a push has to write: those that differ, and the moment along with any other."""
    found = {}
    for deal, values in after.items():
        differing = {name: value for name, value in values.items() if before.get(deal, {}).get(name) != value}
        if set(differing) != {AT}:
            found |= {(deal, name): value for name, value in differing.items()}
    return found


def score_table(values: Mapping[str, Values]) -> pd.DataFrame:
    """The same, as `winpredict.score` gives it."""
    rows = [
        {
            "deal_id": deal,
            "win_probability": each[ODDS] / 100,
            "band": each[BAND],
            "model_version": each[MODEL],
            "scored_at": each[AT],
            **{f"reason_{number + 1}": said for number, said in enumerate(each[REASONS].split("\n"))},
        }
        for deal, each in values.items()
    ]
    return pd.DataFrame(rows)


# what the stand-in holds


def own_name(name: str) -> str:
    """A field's name without what a CRM makes of it, such as ``WinPredict_Odds__c``."""
    return name.lower().removesuffix("__c")


def plain(name: str, value: Any, crm: str = "") -> Any:
    """A value, of a CRM as it holds it, to be compared."""
    if name == ODDS:
        # HubSpot keeps a share and shows it as a percentage
        return round(float(value) * (100 if crm == "hubspot" else 1), 1)
    if name == AT:
        moment = pd.Timestamp(int(value), unit="ms", tz="UTC") if str(value).isdigit() else pd.Timestamp(value)
        return moment.tz_convert("UTC")
    return str(value).replace("\r\n", "\n")


def ours(name: str, server: Server) -> dict[str, Values]:
    """The score fields of every deal."""
    return {
        each.record_id: {own: plain(own, value, name) for own, value in _split(fields_of(each))[0].items() if value}
        for each in server.records.all(DEALS[name])
    }


def others(server: Server) -> dict[tuple[str, str], Any]:
    """Every record, without its score fields."""
    return {
        (name, each.record_id): (_split(fields_of(each))[1], _split(each.values.get("history") or {})[1])
        for name in server.records.names()
        for each in server.records.all(name)
    }


def fields_of(record: Any) -> Mapping[str, Any]:
    """The fields of a raw record."""
    return record.values.get("properties", record.values)


def _split(values: Mapping[str, Any]) -> tuple[Values, Values]:
    mine = {own_name(name): value for name, value in values.items() if own_name(name).startswith("winpredict_")}
    return mine, {name: value for name, value in values.items() if own_name(name) not in mine and name != "history"}


# what happens on the way


@dataclass
class Line:
    """Counts the requests, and knows whether a write is under way."""

    faults: Faults
    requests: int = 0
    writing: int = 0

    async def __call__(self, scope, receive, send) -> None:
        """Count, and pass on or fail."""
        if scope["type"] != "http":
            return await self.faults(scope, receive, send)
        self.requests += 1
        write = is_write(scope["method"], scope["path"])
        self.faults.share = SHARE_OF_WRITES if write else SHARE
        self.writing += write
        try:
            await self.faults(scope, receive, send)
        finally:
            self.writing -= write


def is_write(method: str, path: str) -> bool:
    """Whether a request writes fields of deals."""
    return method in ("PATCH", "PUT") or path.endswith("/batch/update")


def refuse(name: str, server: Server, rng: np.random.Generator, count: int) -> set[str]:
    """Let a rule of the CRM refuse writes to some deals, and others be locked for a while; the former."""
    ids = [*server.open_deals(), *server.closed_deals()]
    chosen = [str(each) for each in rng.choice(ids, count + LOCKED, replace=False)]
    refused, locked = set(chosen[:count]), chosen[count:]
    target: Any = server if name == "salesforce" else server.changing
    if name == "hubspot":
        names = {server.records.get("deals", each).values["properties"]["dealname"] for each in refused}
        target.rules.append(lambda values: "no scores here" if values["dealname"] in names else "")
        alike = [each for each in server.records.all("deals") if each.values["properties"]["dealname"] in names]
        return {each.record_id for each in alike}
    said = "MANDATORY_NOT_FOUND" if name == "zoho" else "no scores here"
    target.refusals.update(dict.fromkeys(refused, said))
    target.locks.update(dict.fromkeys(locked, 2))
    return refused


@dataclass
class Push:
    """What one push came to, through all its runs."""

    crm: str
    what: str
    deals: int
    values: int
    refused: int = 0
    runs: int = 0
    kills: int = 0
    kills_in_writes: int = 0
    faults: int = 0
    faults_in_writes: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Pusher:
    """Pushes scores in processes that are killed, until one gets through."""

    def __init__(self, name: str, server: Server, line: Line, place: Path, rng: np.random.Generator) -> None:
        self.name, self.server, self.line, self.place, self.rng = name, server, line, place, rng

    def push(self, scores: Mapping[str, Values], found: Push, kills: int) -> dict[str, Any]:
        """What the process said that got through."""
        score_table(scores).to_parquet(self.place / "scores.parquet")
        points = len(self.server.writes) + np.sort(self.rng.integers(0, max(found.values, 1), kills))
        happened, start = len(self.line.faults.happened), time.perf_counter()
        said = None
        while said is None:
            if found.runs > 5 * kills + 20:
                raise RuntimeError(f"{self.name}: not through after {found.runs} runs")
            found.runs += 1
            said = self._run(int(points[found.kills]) if found.kills < kills else None, found)
        found.seconds = time.perf_counter() - start
        new = self.line.faults.happened[happened:]
        found.faults, found.faults_in_writes = len(new), sum(is_write(method, path) for _, method, path in new)
        return said

    def _run(self, point: int | None, found: Push) -> dict[str, Any] | None:
        """What a process said; None where it was killed once so many writes had been carried out, or failed."""
        command = [sys.executable, __file__, "--run", self.name, str(self.place)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        requests = self.line.requests + int(self.rng.integers(1, 5))
        delay = float(self.rng.choice([0.0, self.rng.uniform(0, 0.03)]))
        while point is not None and child.poll() is None:
            if len(self.server.writes) >= point and self.line.requests >= requests:
                time.sleep(delay)
                found.kills_in_writes += self.line.writing > 0
                found.kills += 1
                child.kill()
                child.communicate()
                return None
            time.sleep(0.0005)
        said, _ = child.communicate()
        return json.loads(said) if child.returncode == 0 else None


def run(name: str, place: Path) -> None:
    """The process that pushes."""
    source = connect_to(name, load_config(place / "config.json"))
    scores = pd.read_parquet(place / "scores.parquet")
    done = push(source, scores, load_config(place / "config.json").crm.push, place / "undo", apply=True)
    print(json.dumps({"counts": done.counts, "refused": dict(done.refused)}))


# what is proved


def pushes_of(name: str, args: argparse.Namespace, place: Path) -> Iterator[Push]:
    """Both pushes into one CRM."""
    rng = np.random.default_rng(args.seed)
    server = fake_server(name, simulate(args.deals, seed=args.seed), seed=args.seed)
    line = Line(Faults(server.app, args.seed, delay_s=0.05, most=0))
    scores: dict[str, Values] = {}
    held: dict[str, Values] = {}
    with connected(name, server, line, sync={"attempts": 20}) as config:
        # made-up scores have neither next steps nor flags
        push_settings = config.crm.push.model_copy(update={"next_step": None, "flags": None})
        config = config.model_copy(update={"crm": config.crm.model_copy(update={"push": push_settings})})
        prepare(name, config, place)
        refused, untouched = refuse(name, server, rng, args.refused), others(server)
        pusher = Pusher(name, server, line, place, rng)
        for number, what in enumerate(PUSHES):
            server.clock.advance(24 * 3600.0)
            ids, at = [*server.open_deals(), *server.closed_deals()], server.clock.now.floor("s")
            scores = a_day_later(scores, rng, at) if scores else wanted(ids, rng, at)
            differing = to_write(held, scores)
            expected = {key: value for key, value in differing.items() if key[0] not in refused}
            refusable = {deal for deal, _ in differing} & refused
            found = Push(name, what, len({deal for deal, _ in expected}), len(expected), len(refusable))
            line.faults.most = share_of(args.faults, number + 1)
            begun = len(server.writes)
            said = pusher.push(scores, found, share_of(args.kills, number + 1) - share_of(args.kills, number))
            found.wrong += wrong_writes(name, server.writes[begun:], expected)
            found.wrong += wrong_undo(name, place / "undo", held, expected)
            held = merged(held, scores, expected)
            found.wrong += wrong_values(ours(name, server), held)
            found.wrong += wrong_others(others(server), untouched)
            if set(said["refused"]) != refusable:
                found.wrong.append(f"{len(refusable)} deals refused, {len(said['refused'])} named")
            yield found


def share_of(count: int, pushes: int) -> int:
    """How many of these fall on the first pushes."""
    return count * pushes // len(PUSHES)


def prepare(name: str, config: Config, place: Path) -> None:
    """Make the fields, and keep what the pushing processes need to know; secrets stand in the environment."""
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config.model_dump(mode="json", include={"crm"})))
    create_fields(connect_to(name, config), config.crm.push)


def merged(
    before: Mapping[str, Values], scores: Mapping[str, Values], expected: Mapping[Any, Any]
) -> dict[str, Values]:
    """What the CRM is to hold after a push, by deal."""
    held = {deal: dict(before.get(deal, {})) for deal in scores}
    for (deal, name), value in expected.items():
        held[deal][name] = value
    return held


def wrong_writes(crm: str, writes: list[tuple[str, str, Any]], expected: Mapping[tuple[str, str], Any]) -> list[str]:
    """Each value that differs was written once, and nothing else."""
    done = [(deal, own_name(name), plain(own_name(name), value, crm)) for deal, name, value in writes]
    counts = Counter((deal, name) for deal, name, _ in done)
    twice = sum(count > 1 for count in counts.values())
    differ = sum(expected.get((deal, name)) != value for deal, name, value in done)
    faults = {"written twice": twice, "not written": len(expected.keys() - counts), "other than wanted": differ}
    return [f"{count} {fault}" for fault, count in faults.items() if count]


def wrong_values(held: Mapping[str, Values], due: Mapping[str, Values]) -> list[str]:
    """The CRM holds what it is to hold, in refused deals nothing."""
    differ = sum(held[deal] != values for deal, values in due.items())
    return [f"{differ} deals hold other values"] if differ else []


def wrong_others(now: Mapping[Any, Any], before: Mapping[Any, Any]) -> list[str]:
    """Every other field of every record is as it was."""
    differ = sum(now.get(key) != values for key, values in before.items())
    return [f"{differ} records changed elsewhere"] if differ else []


def wrong_undo(name: str, folder: Path, before: Mapping[str, Values], expected: Mapping[Any, Any]) -> list[str]:
    """What was replaced stands in an undo file."""
    kept = {
        (row.deal_id, own_name(row.field), plain(own_name(row.field), row.old) if row.old else None)
        for file in folder.iterdir()
        if b"\n" in file.read_bytes()  # else the push was killed before it had begun
        for row in read_undo(file, name)
    }
    lost = sum((deal, each, before.get(deal, {}).get(each)) not in kept for deal, each in expected)
    return [f"{lost} old values lost"] if lost else []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deals", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=20, help="of each CRM, half in each push")
    parser.add_argument("--faults", type=int, default=120, help="requests that fail, at most, of each CRM")
    parser.add_argument("--refused", type=int, default=25, help="deals that each CRM refuses")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crm", nargs="+", default=list(CRMS), choices=CRMS)
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as place:
        for name in args.crm:
            for each in pushes_of(name, args, Path(place) / name):
                print(each, file=sys.stderr, flush=True)
                found.append(each)
    print(f"{args.deals:,} deals with made-up scores; kinds of faults: {', '.join(FAULTS)}\n")
    header = ["CRM", "push", "deals", "values", "refused", "runs", "kills", "in a write", "faults", "in a write", "s"]
    rows = [
        [
            *(each.crm, each.what, f"{each.deals:,}", f"{each.values:,}", each.refused, each.runs, each.kills),
            *(each.kills_in_writes, each.faults, each.faults_in_writes, amount(each.seconds)),
            "; ".join(each.wrong) or "each value once, no other field",
        ]
        for each in found
    ]
    print(table([*header, "writes and records of the CRM"], rows))
    if wrong := sum(bool(each.wrong) for each in found):
        sys.exit(f"{wrong} pushes went wrong")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
