#!/usr/bin/env python3
"""Install winpredict into .venv beside this file, if that has not been done, and run a command there.

    python3 run.py demo                      winpredict demo
    python3 run.py test                      all tests; arguments go to pytest
    python3 run.py winpredict train --help   any command that is installed: winpredict, mlflow, python, ruff ...

Needs Python 3.11 or newer, and either pip or uv. Versions are those of uv.lock in both cases.
"""

# Only the standard library, and only what Python 3.6 reads (hence annotations in quotes): an old Python is to end in a
# sentence, not in a SyntaxError.
import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MIN_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
STAMP = ENVIRONMENT / "installed-by-run.json"
#: Holds libgomp.so.1 where the system has none.
OPENMP = ENVIRONMENT / "openmp"
#: What has to be installed anew when it changes.
DEFINITIONS = ("pyproject.toml", "sandbox/pyproject.toml", "uv.lock", "run.py")
PIP_OPTIONS = ["--no-input", "--progress-bar=off", "--disable-pip-version-check"]
#: A process a core; more than a few would need memory that a laptop does not have. Each begins with a stretch of files,
#: so that what the tests of a file share is made once, and takes from the others' stretches when its own is done.
TEST_ARGUMENTS = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "worksteal"]
USER_MUST_CHANGE_SOMETHING = 2
INTERRUPTED = 130
PROGRESS_EVERY_S = 15


class SetupError(Exception):
    """Something that whoever runs this can mend; its text says what."""


def main() -> None:
    """Run the command line; every error that a user can mend is one sentence and exit code 2."""
    try:
        require_python()
        options = parse_arguments(sys.argv[1:])
        extras = [*options.extra, *(["dev"] if options.command == "test" else [])]
        install(extras, uv=None if options.no_uv else find_uv())
        code = run(options.command, options.arguments)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        code = USER_MUST_CHANGE_SOMETHING
    except OSError as error:
        print(f"error: winpredict could not be installed into {ENVIRONMENT}: {error}", file=sys.stderr)
        code = USER_MUST_CHANGE_SOMETHING
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def require_python() -> None:
    """Refuse a Python that is too old, and name a newer one where there is one.

    Raises
    ------
    SetupError
        When this is older than MIN_PYTHON.
    """
    if sys.version_info[:2] >= MIN_PYTHON:
        return
    have, need = "{}.{}".format(*sys.version_info), "{}.{}".format(*MIN_PYTHON)
    typed = " ".join(sys.argv)
    newer = [name for name in (f"python3.{minor}" for minor in range(20, MIN_PYTHON[1] - 1, -1)) if shutil.which(name)]
    if newer:
        advice = f"There is a newer one: {newer[0]} {typed}"
    elif shutil.which("uv"):
        advice = f"uv brings one: uv run --no-project --python {need} {typed}"
    else:
        advice = "Install one from your system's packages or from python.org, and run this with it"
    raise SetupError(f"winpredict needs Python {need} or newer, and this is Python {have}. {advice}")


def parse_arguments(arguments: "list[str]") -> argparse.Namespace:
    """Options of this script, the command, and the command's own arguments."""
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--extra", action="append", default=[], help="install an extra too: app, crm, spark, dev ...")
    parser.add_argument("--no-uv", action="store_true", help="install with pip even where uv is on the path")
    parser.add_argument("command", help="demo, test, or a command of .venv")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the command")
    return parser.parse_args(arguments)


def install(extras: "list[str]", uv: "str | None") -> None:
    """Bring .venv up to date, unless it is.

    Extras that were installed before stay. An environment that was moved with its folder is built anew, as it holds
    absolute paths.
    """
    before = read_stamp()
    extras = sorted({*extras, *before.get("extras", [])})
    stamp = {"folder": str(ROOT), "definitions": definitions_hash(), "extras": extras}
    if stamp == before and PYTHON.exists():
        return
    started = time.monotonic()
    if before.get("folder", str(ROOT)) != str(ROOT) or (ENVIRONMENT.exists() and not environment_works()):
        report(f"removing {ENVIRONMENT}, whose Python no longer works or is too old")
        shutil.rmtree(ENVIRONMENT)
    with_extras = f" with the extras {', '.join(extras)}" if extras else ""
    report(f"installing winpredict{with_extras} into {ENVIRONMENT} with {'uv' if uv else 'pip'}")
    if STAMP.exists():
        STAMP.unlink()
    if uv:
        install_with_uv(uv, extras)
    else:
        install_with_pip(extras)
    require_openmp()
    STAMP.write_text(json.dumps(stamp), encoding="utf-8")
    report(f"installed in {time.monotonic() - started:.0f} s")


def read_stamp() -> "dict[str, Any]":
    """What was installed, as `install` noted it; empty where nothing was, or not to the end."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def definitions_hash() -> str:
    """A hash of the files that say what is to be installed."""
    return hashlib.sha256(b"\0".join((ROOT / name).read_bytes() for name in DEFINITIONS)).hexdigest()


def environment_works() -> bool:
    """Whether .venv has a Python that starts and is new enough."""
    check = f"import sys; sys.exit(sys.version_info < {MIN_PYTHON})"
    try:
        return subprocess.run([str(PYTHON), "-c", check], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def find_uv() -> "str | None":
    """The path of uv if there is one that starts; version managers leave stubs that do not."""
    uv = shutil.which("uv")
    return uv if uv and quiet([uv, "--version"]) else None


def install_with_uv(uv: str, extras: "list[str]") -> None:
    """Install what uv.lock says; other packages that are in .venv stay.

    Raises
    ------
    SetupError
        When uv fails.
    """
    command = [uv, "sync", "--locked", "--inexact"]
    command += [each for extra in extras for each in ("--extra", extra)]
    command += [] if ENVIRONMENT.exists() else ["--python", sys.executable]
    command += [] if sys.stderr.isatty() else ["--quiet"]
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # else every command would compile all libraries again
        command.append("--compile-bytecode")
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT)}
    environment.pop("VIRTUAL_ENV", None)  # that of another project, about which uv would warn
    code = subprocess.run(command, cwd=str(ROOT), env=environment, stdout=sys.stderr).returncode
    if code:
        raise SetupError(
            f"uv could not install winpredict (exit code {code}, its reason is above). Is there a network? "
            "Where pip is set up for a mirror and uv is not, run.py --no-uv uses pip"
        )


def install_with_pip(extras: "list[str]") -> None:
    """Install with pip, with the versions of uv.lock as constraints.

    Raises
    ------
    SetupError
        When there is no pip, or it fails.
    """
    if not PYTHON.exists():
        make_environment()
    require_pip()
    constraints = ENVIRONMENT / "constraints.txt"
    constraints.write_text("\n".join(locked_versions()) + "\n", encoding="utf-8")
    target = f".[{','.join(extras)}]" if extras else "."
    command = [str(PYTHON), "-m", "pip", "install", *PIP_OPTIONS]
    sandbox = ["--editable", "./sandbox"] if {"demo", "dev"} & set(extras) else []
    run_pip([*command, "--constraint", str(constraints), "--editable", target, *sandbox])


def make_environment() -> None:
    """Make .venv, without pip: Debian's venv cannot give it one, and `require_pip` gets it in every case.

    Raises
    ------
    SetupError
        When it cannot be made.
    """
    command = [sys.executable, "-m", "venv", "--without-pip", str(ENVIRONMENT)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    if done.returncode:
        raise SetupError(f"Python's venv module could not make {ENVIRONMENT}: {last_lines(done.stdout)}")


def require_pip() -> None:
    """Make sure that .venv has pip: Python's bundled one, or else fetched by the pip of the Python that runs this.

    Raises
    ------
    SetupError
        When neither is there.
    """
    if quiet([str(PYTHON), "-m", "pip", "--version"]) or quiet([str(PYTHON), "-m", "ensurepip", "--default-pip"]):
        return
    if not quiet([sys.executable, "-m", "pip", "--version"]):
        raise SetupError(
            f"{sys.executable} has no pip, and no ensurepip to get it from. Install it (on Debian and Ubuntu: "
            "apt install python3-pip), or install uv"
        )
    run_pip([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", *PIP_OPTIONS, "pip"])


def quiet(command: "list[str]") -> bool:
    """Whether a command ends well; what it prints is dropped."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def run_pip(command: "list[str]") -> None:
    """Run pip; of the hundreds of lines that it prints one is shown now and then, and the last if it fails.

    Raises
    ------
    SetupError
        When it fails.
    """
    lines, started, shown = [], time.monotonic(), 0.0
    process = subprocess.Popen(
        command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    )
    terminal = sys.stderr.isatty()
    for line in process.stdout or ():
        lines.append(line.strip())
        seconds = time.monotonic() - started
        text = f"  {seconds:3.0f} s  {lines[-1]}"[: shutil.get_terminal_size().columns - 1]
        if terminal:
            print("\r\033[K" + text, end="", file=sys.stderr, flush=True)
        elif line.startswith("Installing collected") or (
            seconds - shown > PROGRESS_EVERY_S and not line.startswith("Successfully")
        ):
            report(text)
            shown = seconds
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if process.wait():
        raise SetupError(
            f"pip could not install winpredict: {last_lines(chr(10).join(lines))}\nIs there a network? A proxy or a "
            "mirror is named in pip's configuration, or by PIP_PROXY and PIP_INDEX_URL"
        )


def last_lines(text: str) -> str:
    """The lines of an output that say what failed, or its last ones."""
    lines = [line for line in text.splitlines() if line]
    errors = [line for line in lines if line.lower().startswith("error")]
    return "\n".join((errors or lines)[-5:])


def require_openmp() -> None:
    """Make sure that LightGBM finds OpenMP, which its wheel, alone among those we need, expects from the system.

    Slim Linux images lack it. The wheel of scikit-learn brings a copy under a name of its own, which is linked to the
    name that LightGBM asks for, in a folder that `run` names to the loader.

    Raises
    ------
    SetupError
        When LightGBM does not start.
    """
    problem = lightgbm_problem()
    copies = sorted(ENVIRONMENT.glob("lib/python3*/site-packages/scikit_learn.libs/libgomp-*.so*"))
    if "libgomp.so.1" in problem and copies:
        report(f"this system has no libgomp.so.1; LightGBM gets the one that scikit-learn brings, {copies[0].name}")
        shutil.rmtree(OPENMP, ignore_errors=True)
        OPENMP.mkdir()
        (OPENMP / "libgomp.so.1").symlink_to(copies[0])
        problem = lightgbm_problem()
    if problem:
        raise SetupError(
            f"LightGBM was installed but does not start: {problem}\nMost often the system's OpenMP library is missing: "
            "apt install libgomp1 (Debian), dnf install libgomp (Fedora), brew install libomp (macOS)"
        )


def lightgbm_problem() -> str:
    """Why LightGBM does not start; empty if it does."""
    done = subprocess.run(
        [str(PYTHON), "-c", "import lightgbm"],
        env=command_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def command_environment() -> "dict[str, str]":
    """The environment variables of a command of .venv."""
    environment = {**os.environ, "VIRTUAL_ENV": str(ENVIRONMENT)}
    environment["PATH"] = os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", os.defpath)])
    environment.pop("PYTHONHOME", None)
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin as they wait slow a busy machine tenfold
    if OPENMP.exists():
        folders = [os.environ.get("LD_LIBRARY_PATH"), str(OPENMP)]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(folder for folder in folders if folder)
    return environment


def locked_versions() -> "list[str]":
    """The versions of uv.lock as constraints of pip, each with the Pythons and systems that it is for."""
    import tomllib

    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    lines = []
    for package in lock["package"]:
        if "registry" in package["source"]:
            markers = " or ".join(f"({marker})" for marker in package.get("resolution-markers", []))
            lines.append(f"{package['name']}=={package['version']}" + (f" ; {markers}" if markers else ""))
    return lines


def run(command: str, arguments: "list[str]") -> int:
    """Run a command of .venv; its exit code, or no return at all where it takes this process's place.

    Raises
    ------
    SetupError
        When it is not installed.
    """
    environment = command_environment()
    if command == "test":
        command, arguments = "pytest", arguments or TEST_ARGUMENTS
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # many tests start Python, which would compile all libraries
        os.chdir(str(ROOT))
    elif "UV_RUN_RECURSION_DEPTH" not in environment:  # under `uv run` commands are spelled with that
        environment["WINPREDICT_RUN_WITH"] = as_typed()
    if command == "demo":
        command, arguments = "winpredict", ["demo", *arguments]
    program = shutil.which(command, path=str(SCRIPTS))
    if program is None:
        raise SetupError(
            f"{command} is not installed in {SCRIPTS}. `run.py --extra NAME {command}` installs an extra first: dev "
            "has pytest, ruff, mypy and jupyter, the others are in pyproject.toml"
        )
    if os.name != "nt":  # on Windows exec would return to the prompt at once
        os.execve(program, [program, *arguments], environment)
    return subprocess.run([program, *arguments], env=environment).returncode


def as_typed() -> str:
    """How this script was started, without its arguments: ``python3 run.py``."""
    words = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def report(text: str) -> None:
    """Print a line of progress, beside the output of the command."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
