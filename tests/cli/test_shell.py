"""Commands that are printed can be pasted, however the process that printed them was started."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from winpredict.cli import demo, shell
from winpredict.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its programs are shell scripts")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make a program; this process is as if installed in tmp_path/env, not on the path, and started by nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("UV", "UV_RUN_RECURSION_DEPTH", "WINPREDICT_RUN_WITH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "nowhere" / "winpredict")])
    monkeypatch.setattr(shell.sysconfig, "get_path", lambda name, scheme="": str(tmp_path / f"env{scheme}" / "bin"))

    def make(path):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\nprintf '[%s] ' {shlex.quote(str(path))} \"$@\"\n")
        path.chmod(0o755)
        return path

    make("env/bin/winpredict")
    return make


def printed(command):
    """What a printed command runs when it is pasted: the program, and its arguments."""
    command = shell.format_command(command)
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout.strip()


def test_a_program_on_the_path_keeps_its_name(program, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}/env/bin:/usr/bin:/bin")
    assert shell.format_command("winpredict check --json") == "winpredict check --json"
    assert shell.format_command("winpredict") == "winpredict"


def test_a_link_on_the_path_will_do(program, tmp_path, monkeypatch):
    """As pipx and `uv tool install` make them, which link no program of a dependency."""
    mlflow = program("env/bin/mlflow")
    (tmp_path / "local" / "bin").mkdir(parents=True)
    (tmp_path / "local" / "bin" / "winpredict").symlink_to(tmp_path / "env" / "bin" / "winpredict")
    monkeypatch.setenv("PATH", f"{tmp_path}/local/bin:/usr/bin:/bin")
    monkeypatch.chdir("/usr")
    assert shell.format_command("winpredict check") == "winpredict check"
    assert shell.format_command("mlflow ui") == f"{mlflow} ui"


def test_another_of_the_same_name_on_the_path_will_not(program, tmp_path, monkeypatch):
    program("other/bin/winpredict")
    monkeypatch.setenv("PATH", f"{tmp_path}/other/bin:/usr/bin:/bin")
    assert shell.format_command("winpredict check") == "./env/bin/winpredict check"
    assert printed("winpredict check") == f"[{tmp_path}/env/bin/winpredict] [check]"


def test_a_program_that_is_not_on_the_path_becomes_a_path(program, tmp_path, monkeypatch):
    assert shell.format_command("winpredict check") == "./env/bin/winpredict check"
    monkeypatch.chdir("/usr")
    assert shell.format_command("winpredict check") == f"{tmp_path}/env/bin/winpredict check"
    assert printed("winpredict explain D-1") == f"[{tmp_path}/env/bin/winpredict] [explain] [D-1]"


def test_paths_with_blanks_are_quoted(program, tmp_path, monkeypatch):
    there = program("my env/bin/winpredict")
    monkeypatch.setattr(shell.sysconfig, "get_path", lambda name, scheme="": str(there.parent))
    for folder in (tmp_path, "/usr"):
        monkeypatch.chdir(folder)
        assert printed("winpredict check") == f"[{there}] [check]"


def test_programs_of_a_user_installation_and_beside_the_one_that_runs_are_found(program, tmp_path, monkeypatch):
    (tmp_path / "env" / "bin" / "winpredict").unlink()
    beside = program("nowhere/winpredict")
    assert printed("winpredict check") == f"[{beside}] [check]"
    user = program(f"env{os.name}_user/bin/winpredict")
    assert printed("winpredict check") == f"[{user}] [check]"


def test_without_a_program_it_is_the_module(program, tmp_path):
    (tmp_path / "env" / "bin" / "winpredict").unlink()
    assert shell.format_command("winpredict check") == f"{shlex.quote(sys.executable)} -m winpredict check"


def test_by_the_script_of_the_repository(program, monkeypatch):
    monkeypatch.setenv("WINPREDICT_RUN_WITH", "python3 ../run.py")
    assert shell.format_command("mlflow ui") == "python3 ../run.py mlflow ui"


def test_by_uv_run_within_the_project(program, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    program(".venv/bin/winpredict")
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    assert shell.format_command("winpredict check") == f"{tmp_path}/env/bin/winpredict check"
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert shell.format_command("winpredict check") == "uv run winpredict check"


def test_by_uv_outside_of_the_project(program, tmp_path, monkeypatch):
    """`uv run --project` and uvx put the environment on the path of this process alone."""
    monkeypatch.setenv("UV", "/usr/bin/uv")
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    monkeypatch.setenv("PATH", f"{tmp_path}/env/bin:/usr/bin:/bin")
    assert shell.format_command("winpredict check") == "./env/bin/winpredict check"
    monkeypatch.setenv("PATH", f"{tmp_path}/env/bin:{tmp_path}/env/bin:/usr/bin")  # on the path before, too
    assert shell.format_command("winpredict check") == "winpredict check"


def test_folders_with_blanks_are_one_argument(program, tmp_path):
    workspace = Workspace(Path("my deals"))
    assert printed(f"winpredict check {demo._folder(workspace)}").endswith("[check] [--workspace] [my deals]")
