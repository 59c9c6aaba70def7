"""What scoring and reports take on a free machine and beside others' work, by control groups too.

    uv run --group benchmarks python benchmarks/beside_others.py [--deals 3000] [--busy 0 1 2 4] [--before FOLDER]

A company is simulated, imported and trained in a workspace; then `winpredict score` and `winpredict report drivers` run
beside so many processes that do nothing but count. Wall and processor seconds are of the whole process. `--before`
names a checkout of an older version, which makes a workspace of its own and takes turns with this one. `--cpus 1 2`
limits the command to a quota of so many processors where control groups may be made (version 1, as root). Prints
Markdown.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import machine, table, versions

HERE = Path(__file__).parents[1]
RUN = "from winpredict.cli import main; main()"
EXPORT = """
import sys
from winpredict.simulate.world import simulate, write_salesforce_export
write_salesforce_export(simulate(int(sys.argv[2]), seed=5), sys.argv[1])
"""
GROUPS = Path("/sys/fs/cgroup/cpu")
COUNTING = "while True: pass"


def environment(source: Path) -> dict[str, str]:
    """Where the version's modules are found."""
    return os.environ | {"PYTHONPATH": str(source / "src")}


def prepared(source: Path, folder: Path, deals: int) -> Path:
    """A workspace of that version, imported, trained and scored."""
    export = folder / "export"
    if not export.exists():
        subprocess.run([sys.executable, "-c", EXPORT, str(export), str(deals)], check=True)
    workspace = folder / source.name
    for words in (["import", str(export), "--profile", "salesforce"], ["train"], ["score"], ["publish"]):
        once(source, [*words, "--workspace", str(workspace)])
    return workspace


def once(source: Path, words: list[str], group: Path | None = None) -> tuple[float, float]:
    """Wall and processor seconds of a command."""

    def join() -> None:
        if group is not None:
            (group / "tasks").write_text(str(os.getpid()))

    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], env=environment(source), capture_output=True, text=True, preexec_fn=join
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-600:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Beside so many processes that only count."""
    others = [subprocess.Popen([sys.executable, "-c", COUNTING]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


@contextlib.contextmanager
def limited(cpus: float | None) -> Iterator[Path | None]:
    """A control group with a quota of so many processors."""
    if cpus is None:
        yield None
        return
    group = GROUPS / f"winpredict-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(int(cpus * 100_000)))
        yield group
    finally:
        group.rmdir()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deals", type=int, default=3000)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--cpus", type=float, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", type=Path)
    options = parser.parse_args()
    sources = {"now": HERE} | ({"before": options.before} if options.before else {})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "score": ["score"],
            "report drivers": ["report", "drivers", "--out", str(Path(folder) / "drivers.html")],
        }
        workspaces = {name: prepared(source, Path(folder), options.deals) for name, source in sources.items()}
        for cpus in [None, *options.cpus]:
            for others in options.busy if cpus is None else (0, 2):
                for command, words in commands.items():
                    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
                    for _ in range(options.rounds):
                        for name, source in sources.items():
                            with busy(others), limited(cpus) as group:
                                took = once(source, [*words, "--workspace", str(workspaces[name])], group)
                            figures[name].append(took)
                    for name, seconds in figures.items():
                        wall, cpu = np.median(seconds, axis=0)
                        rows.append([command, name, cpus or "-", others, f"{wall:.1f}", f"{cpu:.1f}"])
                        print(rows[-1], file=sys.stderr, flush=True)
    print(machine(), versions("lightgbm", "numba", "numpy"), sep="\n", end="\n\n")
    print(table(["Command", "Version", "Quota of processors", "Busy others", "Wall s", "CPU s"], rows))


if __name__ == "__main__":
    main()
