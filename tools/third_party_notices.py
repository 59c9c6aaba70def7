#!/usr/bin/env python3
"""Write THIRD_PARTY_NOTICES.md: the packages that winpredict needs, with their licences.

    python3 run.py --extra app --extra crm python tools/third_party_notices.py

Which packages, and in which versions, is taken from uv.lock; licence and home page from the metadata of those that are
installed. Run it again whenever uv.lock has changed.
"""

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "THIRD_PARTY_NOTICES.md"
PROJECT = "winpredict"
#: What the container image has.
EXTRAS = ("app", "crm")
#: Labels of the links of a project that lead to its home page, the best first.
HOME_LABELS = ("homepage", "home", "repository", "source", "source code", "code", "github", "documentation")
#: Other systems' packages, which are not installed where this runs, and what their metadata say.
ELSEWHERE = {
    "brotlicffi": ("MIT", "https://github.com/python-hyper/brotlicffi"),
    "colorama": ("BSD-3-Clause", "https://github.com/tartley/colorama"),
    "pywin32": ("PSF", "https://github.com/mhammond/pywin32"),
    "pywin32-ctypes": ("BSD-3-Clause", "https://github.com/enthought/pywin32-ctypes"),
    "tzdata": ("Apache-2.0", "https://github.com/python/tzdata"),
    "waitress": ("ZPL 2.1", "https://github.com/Pylons/waitress"),
}
#: Those whose metadata do not name a licence; read in the licence file that they ship.
BY_HAND = {"huey": "MIT", "skops": "MIT"}
HEAD = """# Third-party notices

winpredict is licensed under [Apache-2.0](LICENSE). It needs the packages below, each under a licence of its own; the
wheel holds none of them, and a container image holds those of its system. The table is for winpredict with the extras
{extras}, in the versions of `uv.lock`; several versions are for different versions of Python. The text of a licence
is in the folder `*.dist-info` of the package.

`tools/third_party_notices.py` writes this file.

| package | version | licence | home page |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Notice:
    """A line of the table."""

    name: str
    versions: tuple[str, ...]
    licence: str
    home: str

    def __str__(self) -> str:
        return f"| {self.name} | {', '.join(self.versions)} | {self.licence} | {self.home} |"


def main() -> None:
    """Write the file; a package of which nothing is known ends it."""
    OUT.write_text(document(), encoding="utf-8")
    print(f"{OUT.name}: {len(locked())} packages", file=sys.stderr)


def document() -> str:
    """The whole file."""
    lines = "".join(f"{notice(name, versions)}\n" for name, versions in locked().items())
    return HEAD.format(extras=" and ".join(f"`{each}`" for each in EXTRAS)) + lines


def locked() -> dict[str, tuple[str, ...]]:
    """All that winpredict needs, directly or not and on any system, with the versions of uv.lock; sorted by name."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in lock["package"]:
        packages.setdefault(package["name"], []).append(package)
    waiting, seen = [(PROJECT, extra) for extra in ("", *EXTRAS)], set()
    while waiting:
        if (asked := waiting.pop()) in seen:
            continue
        seen.add(asked)
        name, extra = asked
        for package in packages[name]:
            waiting += _needs(package, extra)
    names = sorted({name for name, _ in seen} - {PROJECT})
    return {name: tuple(sorted({each["version"] for each in packages[name]})) for name in names}


def _needs(package: dict[str, Any], extra: str) -> Iterator[tuple[str, str]]:
    """Names and extras of what a package needs, itself or for one of its extras."""
    needed = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
    for each in needed:
        yield each["name"], ""
        yield from ((each["name"], more) for more in each.get("extra", []))


def notice(name: str, versions: tuple[str, ...]) -> Notice:
    """What is told of a package.

    Raises
    ------
    SystemExit
        When it is not installed and nothing is written down about it here, or its metadata name no licence.
    """
    try:
        metadata: Any = distribution(name).metadata
    except PackageNotFoundError:
        if name not in ELSEWHERE:
            sys.exit(f"{name} is not installed; install the extras {', '.join(EXTRAS)}, or add it to ELSEWHERE")
        return Notice(name, versions, *ELSEWHERE[name])
    licence = BY_HAND.get(name) or _licence(metadata)
    if not licence:
        sys.exit(f"the metadata of {name} name no licence; read its licence file and add it to BY_HAND")
    return Notice(name, versions, licence, _home(metadata) or f"https://pypi.org/project/{name}/")


def _licence(metadata: Message) -> str:
    """The licence expression; else a short text in the old field, else the classifiers."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    text = str(metadata.get("License") or "").strip()
    prefix = "License :: "
    classified = [each for each in metadata.get_all("Classifier", []) if each.startswith(prefix)]
    names = [each.rsplit(" :: ", 1)[1] for each in classified if each.count(" :: ") > 1]
    # some put the whole text there, and some only "BSD" or "Dual License", of which the classifiers say more
    is_short = 0 < len(text) <= 40 and "\n" not in text and text.casefold() not in ("bsd", "dual license")
    return text if is_short else " or ".join(sorted(names))


def _home(metadata: Message) -> str:
    links = [each.split(",", 1) for each in metadata.get_all("Project-URL", [])]
    by_label = {label.strip().casefold(): link.strip() for label, link in links}
    found = next((by_label[label] for label in HOME_LABELS if label in by_label), "")
    return found or str(metadata.get("Home-page") or "")


if __name__ == "__main__":
    main()
