"""Commands that are printed for people, spelled so that they run when they are pasted."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

#: Set by the repository's run.py: what comes before the command, such as ``python3 run.py``.
STARTED_WITH = "WINPREDICT_RUN_WITH"


def format_command(command: str) -> str:
    """Spell a command in the way that this process was started.

    Parameters
    ----------
    command : str
        Begins with the bare name of a program of this environment, such as ``winpredict`` or ``mlflow``.

    Returns
    -------
    str
        It begins with ``python3 run.py`` or ``uv run`` where one of these started this process. Otherwise the name
        stays bare if that runs the program of this environment, and becomes its path if not.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", {"WINPREDICT_RUN_WITH": "python3 run.py"}):
    ...     format_command("winpredict check")
    'python3 run.py winpredict check'
    """
    if started_with := os.environ.get(STARTED_WITH):
        return f"{started_with} {command}"
    if "UV_RUN_RECURSION_DEPTH" in os.environ and _in_project():
        return f"uv run {command}"
    name, blank, arguments = command.partition(" ")
    return _program(name) + blank + arguments


def quote(argument: str) -> str:
    """An argument as one word of the shell.

    Examples
    --------
    >>> quote("demo")
    'demo'
    """
    return subprocess.list2cmdline([argument]) if os.name == "nt" else shlex.quote(argument)


def _in_project() -> bool:
    """Whether ``uv run`` finds winpredict from here; it does not where it was given another project or ``--with``."""
    here = Path.cwd()
    project = next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), None)
    scripts = Path(sysconfig.get_path("scripts")).name
    return project is not None and shutil.which("winpredict", path=project / ".venv" / scripts) is not None


def _program(name: str) -> str:
    scripts = sysconfig.get_path("scripts")
    folders = [scripts, sysconfig.get_path("scripts", f"{os.name}_user"), str(Path(sys.argv[0]).parent)]
    installed = next(filter(None, (shutil.which(name, path=folder) for folder in folders)), None)
    if installed is None:
        return f"{quote(sys.executable)} -m {name}"
    search_path = os.get_exec_path()
    if "UV" in os.environ and search_path[:1] == [scripts]:  # uv's own addition, which ends with this process
        search_path = search_path[1:]
    bare = shutil.which(name, path=os.pathsep.join(search_path))
    if bare is not None and Path(bare).samefile(installed):
        return name
    path = Path(installed).absolute()
    here = Path.cwd()
    return quote(os.path.join(os.curdir, path.relative_to(here)) if path.is_relative_to(here) else str(path))
