"""Commands killed at random points: the workspace is as before or as after, and the command begun anew completes it.

    uv run --group benchmarks python benchmarks/kills.py [--kills 30] [--only import train score publish run]

A small company's workspace is copied for each trial; the command runs in a process of its own, which is killed
(SIGKILL) at a random moment of the time that it usually takes. Then tables, models, scores and the win desk's database
are read, every file against its hash, and each must be whole and one of two: as before the command, or as after one
that nobody stopped. Last the command is run again, and all must be as after it. `sync` and `push` are killed by
`live_sync.py` and `live_push.py`, against stand-ins of the CRMs. Prints Markdown.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from measuring import machine, table

from winpredict.app.database import open_database
from winpredict.app.publishing import published
from winpredict.models.registry import load_version, models_in_use
from winpredict.simulate.world import simulate, write_salesforce_export
from winpredict.workspace import Workspace

COMMAND = "from winpredict.cli import main; main()"
COMMANDS = ["import", "train", "score", "publish", "run"]
CONFIG = {"model": {"bags": 2, "trees": 40, "learning_rate": 0.1}}


@dataclass(frozen=True)
class State:
    """What a workspace holds, each as one value."""

    tables: str
    models: tuple[int, ...]
    scores: str
    shown: str


def state_of(folder: Path) -> State:
    """Read everything; damage raises."""
    workspace = Workspace(folder)
    crm = workspace.crm()
    digest = hashlib.sha256()
    for name, frame in crm.tables():
        digest.update(name.encode() + pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().tobytes())
    used = models_in_use(folder)
    for version in used.files:
        load_version(folder, str(version))
    scores = workspace.latest_scores()
    shown = ""
    if (folder / "app.db").exists():
        database = open_database("", folder)
        run = published(database)
        shown = "" if run is None else f"{run.deals} {run.as_of}"
        database.close()
    kept = "" if scores is None else f"{len(scores)} {scores['as_of'].max()} {scores['win_probability'].sum():.6f}"
    return State(digest.hexdigest()[:12], tuple(sorted(used.files)), kept, shown)


class Trials:
    """A company's two exports, and workspaces from which a command begins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "kills.yaml"
        self.config.write_text(yaml.safe_dump(CONFIG))
        simulated = simulate(500, seed=4)
        until = simulated.crm.known_until
        self.exports = [folder / "early", folder / "late"]
        for path, moment in zip(self.exports, (until - pd.Timedelta(days=21), until), strict=True):
            write_salesforce_export(simulated, path, as_of=moment)

    def words(self, command: str, export: int = 1) -> list[str]:
        """What is typed."""
        more = {
            "import": [str(self.exports[export]), "--profile", "salesforce"],
            "run": [str(self.exports[export]), "--profile", "salesforce"],
        }
        settings = [] if command == "score" else ["--config", str(self.config)]
        return [command, *more.get(command, []), *settings]

    def start(self, words: list[str], workspace: Path) -> "subprocess.Popen[bytes]":
        """The command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words, "--workspace", str(workspace)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def done(self, words: list[str], workspace: Path) -> float:
        """Run to the end; the seconds it took."""
        begun = time.perf_counter()
        process = self.start(words, workspace)
        _, told = process.communicate()
        if process.returncode not in (0, 1):
            raise RuntimeError(f"{' '.join(words)}: {process.returncode}\n{told.decode()[-800:]}")
        return time.perf_counter() - begun

    def before(self, command: str) -> Path:
        """A workspace in which the command has something to do."""
        base = self.folder / f"before {command}"
        self.done(self.words("import", 0), base)
        if command in ("import", "train"):
            return base
        self.done(self.words("train"), base)
        for each in ("score", "publish"):
            self.done(self.words(each), base)
        if command in ("score", "publish"):
            self.done(self.words("import"), base)
        if command == "publish":
            self.done(self.words("score"), base)
        return base


def killed(trials: Trials, command: str, kills: int, rng: np.random.Generator) -> list[object]:
    """A line: how often the state was the old one, the new one or something between, and what went wrong."""
    base, work = trials.before(command), trials.folder / "work"
    words = trials.words(command)
    shutil.copytree(base, work)
    seconds = trials.done(words, work)
    old, new = state_of(base), state_of(work)
    shutil.rmtree(work)
    counts = {"old": 0, "new": 0, "some of both": 0}
    faults: list[str] = []
    for number in range(kills):
        shutil.copytree(base, work)
        process = trials.start(words, work)
        time.sleep(float(rng.uniform(0.3, 1.0)) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        try:
            found = state_of(work)
            for part in State.__dataclass_fields__:
                value = getattr(found, part)
                if value not in (getattr(old, part), getattr(new, part)):
                    faults.append(f"kill {number + 1}: {part} neither old nor new: {value}")
            which = "old" if found == old else "new" if found == new else "some of both"
            counts[which] += 1
            trials.done(words, work)
            again = state_of(work)
            # a model that was registered just before the kill stays, and the next one is a further one
            same = [part for part in State.__dataclass_fields__ if part != "models"]
            if any(getattr(again, part) != getattr(new, part) for part in same) or len(again.models) < len(new.models):
                faults.append(f"kill {number + 1}: after running again {again}, not {new}")
        except Exception as error:
            faults.append(f"kill {number + 1}: {type(error).__name__}: {error}")
        shutil.rmtree(work)
    print(command, counts, faults, file=sys.stderr, flush=True)
    return [command, f"{seconds:.1f}", kills, *counts.values(), "; ".join(faults) or "none"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="of each command")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=COMMANDS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        lines = [killed(Trials(_new(Path(folder) / each)), each, args.kills, rng) for each in args.only]
    print(machine() + "\n")
    print(table(["command", "seconds", "kills", "old", "new", "some of both", "faults"], lines))
    if any(line[-1] != "none" for line in lines):
        sys.exit(1)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
