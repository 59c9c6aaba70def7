"""What the benchmarks share: interleaved timing, fresh processes, peak memory, Markdown, and peers of older times."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def interleaved(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every run in every round; side by side, so that a drifting machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as long they took: the median over the rounds."""
    return float(np.median(np.asarray(theirs) / np.asarray(ours)))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers stand to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def amount(value: float) -> str:
    """A number with three significant digits, large ones with commas."""
    if not np.isfinite(value):
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):,.0f}"
    return np.format_float_positional(float(f"{value:.3g}"), trim="-")


def start_of_peak() -> float:
    """Forget the peak memory so far; returns what is held now, in megabytes."""
    if _RESET.exists():
        _RESET.write_text("5")
    return _megabytes("VmRSS")


def peak() -> float:
    """The largest memory since `start_of_peak`, or since the process began, in megabytes.

    ru_maxrss would not do: it starts from what the parent held when it started this process.
    """
    return _megabytes("VmHWM")


def _megabytes(name: str) -> float:
    if not _STATUS.exists():
        return float("nan")
    match = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return float(match[1]) / 1024 if match else float("nan")


def in_fresh_process(script: Path | str, *arguments: object) -> Any:
    """What a script of this folder prints as its last line, read as JSON."""
    done = _run([sys.executable, str(HERE / script), *map(str, arguments)])
    return json.loads(done.strip().splitlines()[-1])


#: What peers that do not run beside pandas 3 and numpy 2 want; uv makes them an environment for the occasion.
OLDER = {
    "featuretools": ("featuretools==1.31.0", "pandas<3", "numpy<2", "setuptools<81"),
    "lleaves": ("lleaves==1.3.0", "lightgbm", "llvmlite<0.44", "pandas<3", "numpy<2"),
    "fasttreeshap": ("fasttreeshap==0.1.6", "lightgbm", "pandas<3", "numpy<2", "setuptools<81"),
}


def in_older_environment(peer: str, folder: Path) -> Any:
    """Run a peer of ``older_peers.py`` on what stands in a folder; None, with a word on stderr, where it cannot run."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        print(f"{peer} not run: no uv to make its environment", file=sys.stderr)
        return None
    wanted = [part for each in OLDER[peer] for part in ("--with", each)]
    command = [uv, "run", "--quiet", "--no-project", "--python", "3.11", *wanted, "python"]
    try:
        done = _run([*command, str(HERE / "older_peers.py"), peer, str(folder)])
    except RuntimeError as error:
        print(f"{peer} not run: {error}", file=sys.stderr)
        return None
    return json.loads(done.strip().splitlines()[-1])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[-3:])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def machine() -> str:
    """The processor, its cores, and the memory."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    name = model[1] if model else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}"


def versions(names: Iterable[str]) -> str:
    """Names of packages with their versions, those that are not installed left out."""
    told = [f"Python {platform.python_version()}"]
    for name in names:
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(told)
