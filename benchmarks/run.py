"""All benchmarks, beside their peers, into docs/benchmarks.md and docs/images.

    uv run --group benchmarks python benchmarks/run.py [--quick] [--large] [--only features growth ...]

Every part runs in a process of its own, and what it printed is kept in build/benchmarks until it runs again; the page
is put together from what is kept there. A part that fails says so on the page and stops nothing.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measuring import machine, versions

HERE = Path(__file__).parent
DOCS, KEPT = HERE.parent / "docs", HERE.parent / "build" / "benchmarks"
PACKAGES = (
    *("winpredict", "numpy", "pandas", "numba", "lightgbm", "shap", "scikit-learn", "polars", "duckdb"),
    *("onnxruntime", "onnxmltools", "treelite", "tl2cgen", "woodelf-explainer"),
)


@dataclass(frozen=True)
class Part:
    """A section of the page: a script with its arguments, in full and quick.

    Parameters
    ----------
    title, script : str
    full, quick : tuple of str
        Arguments.
    chart : str
        Title of the chart that the script draws; empty for none.
    plain : bool
        Whether the script prints plain text instead of Markdown.
    """

    title: str
    script: str
    full: tuple[str, ...]
    quick: tuple[str, ...]
    chart: str = ""
    plain: bool = False


def _words(arguments: str) -> tuple[str, ...]:
    return tuple(arguments.split())


PARTS = {
    "importing": Part(
        "Importing CSV files, with all checks",
        "importing.py",
        _words("--repeats 3"),
        _words("--deals 10000 --activities 200000 --repeats 2"),
    ),
    "features": Part(
        "Point-in-time features", "features.py",
        _words("--deals 100000 --repeats 5 --growth --featuretools 200"),
        _words("--deals 20000 --repeats 3 --featuretools 50"), "Rows a second of each engine",
    ),
    "predicting": Part(
        "Predicting and explaining", "predicting.py",
        _words("--rows 200000 --explained 4000 --repeats 5"), _words("--rows 50000 --explained 1000 --repeats 3"),
    ),
    "contributions": Part(
        "Contributions of a whole blend", "contributions.py",
        _words("--rows 20000 --deals 3000"), _words("--rows 5000 --deals 1000"), plain=True,
    ),
    "single_deal": Part(
        "One deal alone", "single_deal.py", _words("--deals 3000 --scored 100"), _words("--deals 1000 --scored 30"),
    ),
    "scoring": Part(
        "A large pipeline scored with reasons", "scoring.py", _words("--open 100000"), _words("--open 3000"),
    ),
    "growth": Part("Cost against size", "growth.py", (), _words("--sizes 1000 10000"), "Seconds and memory by deals"),
    "control_charts": Part(
        "Control charts: false alarms and power", "control_charts.py",
        _words("--series 1000"), _words("--series 100"),
    ),
    "effects": Part(
        "Adjusted effects: how often the interval holds the truth", "effects.py",
        _words("--worlds 20"), _words("--worlds 5"), plain=True,
    ),
    "worlds": Part(
        "Odds and ranges where the true odds are known", "worlds.py", (), _words("--sizes 300 --worlds 2"), plain=True,
    ),
    "odds": Part(
        "Odds beside peers", "odds.py",
        _words("--kept build/benchmarks/odds --json build/benchmarks/odds.figures.json"), _words("--quick"),
    ),
    "forecast": Part(
        "Forecasts: whether intervals hold", "forecast.py",
        _words("--worlds 2"), _words("--worlds 1 --deals 1500 --cutoffs 3"), plain=True,
    ),
    "api_score": Part(
        "Scoring by the API, 20 requests in flight", "api_score.py",
        _words("--deals 3000 --requests 2000"), _words("--deals 1000 --requests 300"),
    ),
    "desk": Part(
        "The rep's pages", "desk.py", _words("--open 10000 --asked 100"), _words("--open 1000 --asked 20"),
    ),
    "desk_readers": Part(
        "50 people reading while scoring runs are published", "desk_readers.py",
        _words("--open 2000 --seconds 60"), _words("--open 500 --seconds 15"),
    ),
}  # fmt: skip


def run_part(name: str, *, quick: bool, large: bool) -> None:
    """Run a part and keep what it printed, with how and when."""
    part = PARTS[name]
    arguments = [*(part.quick if quick else part.full), *(["--large"] if large and name == "growth" else [])]
    charted = ["--chart", str(DOCS / "images" / f"{name}.svg")] if part.chart else []
    command = [sys.executable, str(HERE / part.script), *arguments, *charted]
    load = os.getloadavg()[0]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    said = {
        "command": " ".join([f"benchmarks/{part.script}", *arguments]),
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "load": [load, os.getloadavg()[0]],
        "machine": machine(),
        "versions": versions(PACKAGES),
        "failed": done.returncode != 0,
        "text": done.stdout.strip(),
    }
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(said))


def page() -> str:
    """The page, of all that is kept."""
    kept = {name: json.loads(path.read_text()) for name in PARTS if (path := KEPT / f"{name}.json").exists()}
    machines = dict.fromkeys(f"{each['machine']}. {each['versions']}." for each in kept.values())
    top = [
        "# Benchmarks",
        "Written by `uv run --group benchmarks python benchmarks/run.py`; every figure comes from the run named beside "
        "it. Peers run in the same process, in turns, and ratios are medians over the rounds, so that a busy machine "
        "hits all alike; results are checked equal before anything is timed. Load is the number of running threads "
        "on the machine just before and just after a part: above the number of cores, seconds are too long, "
        "and ratios are what counts.",
        "Made on:",
        *(f"- {each}" for each in machines),
    ]
    return "\n\n".join([*top, *(section(name, said) for name, said in kept.items())]) + "\n"


def section(name: str, said: dict) -> str:
    """One part of the page."""
    part = PARTS[name]
    load = ", ".join(f"{each:.1f}" for each in said["load"]) or "not taken down"
    lines = [f"## {part.title}", f"`{said['command']}`, {said['at']}, load {load}"]
    if said["failed"]:
        lines.append("**This part stopped with an error; what it printed until then:**")
    lines.append(f"```text\n{said['text']}\n```" if part.plain else said["text"])
    if part.chart and not said["failed"]:
        lines.append(f"![{part.chart}](images/{name}.svg)")
    return "\n\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats")
    parser.add_argument("--large", action="store_true", help="growth up to two million deals")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts")
    args = parser.parse_args()
    for name in args.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        run_part(name, quick=args.quick, large=args.large)
        (DOCS / "benchmarks.md").write_text(page())


if __name__ == "__main__":
    main()
