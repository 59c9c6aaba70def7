"""run.py: sets .venv up and runs commands there, with only the standard library."""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SCRIPT = Path(__file__).parents[1] / "run.py"


@pytest.fixture
def script(tmp_path, monkeypatch):
    """run.py as a module, of a folder of its own."""
    spec = importlib.util.spec_from_file_location("run_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in module.DEFINITIONS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(SCRIPT.parent / name, tmp_path / name)
    scripts = tmp_path / ".venv" / module.SCRIPTS.name
    paths = {"ROOT": tmp_path, "ENVIRONMENT": tmp_path / ".venv", "SCRIPTS": scripts}
    paths |= {"PYTHON": scripts / module.PYTHON.name, "STAMP": tmp_path / ".venv" / module.STAMP.name}
    for name, path in (paths | {"OPENMP": tmp_path / ".venv" / "openmp"}).items():
        monkeypatch.setattr(module, name, path)
    return module


@pytest.fixture
def installs(script, monkeypatch):
    """What was installed, as (tool, extras), by an installation that takes no time."""
    done = []

    def pretend(tool, extras):
        script.SCRIPTS.mkdir(parents=True, exist_ok=True)
        script.PYTHON.touch()
        done.append((tool, extras))

    monkeypatch.setattr(script, "install_with_pip", lambda extras: pretend("pip", extras))
    monkeypatch.setattr(script, "install_with_uv", lambda uv, extras: pretend("uv", extras))
    monkeypatch.setattr(script, "environment_works", lambda: True)
    monkeypatch.setattr(script, "require_openmp", lambda: None)
    return done


@pytest.fixture
def folder(script):
    """A folder in which all is installed already: a winpredict that prints what it is given, and ends with 3."""
    if os.name == "nt":
        pytest.skip("its programs are shell scripts")
    script.SCRIPTS.mkdir(parents=True)
    script.PYTHON.symlink_to(sys.executable)
    for name in ("winpredict", "pytest"):
        program = script.SCRIPTS / name
        program.write_text(
            f'#!/bin/sh\nprintf "[%s] " {name} "$@" "$WINPREDICT_RUN_WITH" "$PYTHONDONTWRITEBYTECODE" "$PWD"\nexit 3\n'
        )
        program.chmod(0o755)
    stamp = {"folder": str(script.ROOT.resolve()), "definitions": script.definitions_hash(), "extras": ["dev"]}
    script.STAMP.write_text(json.dumps(stamp))
    return script.ROOT


def run(folder, *arguments, script="run.py", **environment):
    removed = ("UV_RUN_RECURSION_DEPTH", "WINPREDICT_RUN_WITH", "PYTHONDONTWRITEBYTECODE")
    variables = {name: value for name, value in os.environ.items() if name not in removed} | environment
    return subprocess.run(
        [sys.executable, script, *arguments], cwd=folder, env=variables, capture_output=True, text=True
    )


def test_an_old_python_reads_it_and_gets_a_sentence_that_names_a_newer_one(script, monkeypatch, tmp_path, capsys):
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))
    newer = tmp_path / "bin" / "python3.12"
    newer.parent.mkdir()
    newer.touch(mode=0o755)
    monkeypatch.setattr(script.sys, "version_info", (3, 9, 18, "final", 0))
    monkeypatch.setattr(script.sys, "argv", ["run.py", "demo"])
    monkeypatch.setenv("PATH", str(newer.parent))
    with pytest.raises(SystemExit, match="2"):
        script.main()
    assert "needs Python 3.11 or newer, and this is Python 3.9" in (said := capsys.readouterr().err)
    assert "python3.12 run.py demo" in said
    newer.unlink()
    with pytest.raises(script.SetupError, match="Install one from"):
        script.require_python()
    (newer.parent / "uv").touch(mode=0o755)
    with pytest.raises(script.SetupError, match=r"uv run --no-project --python 3.11 run.py demo"):
        script.require_python()


def test_pip_gets_the_versions_of_the_lock_file(script):
    constraints = [Requirement(line) for line in script.locked_versions()]
    mine = [each for each in constraints if each.marker is None or each.marker.evaluate()]
    names = [each.name for each in mine]
    assert len(names) == len(set(names)) > 200
    assert {"pandas", "numpy", "lightgbm", "pytest"} <= set(names)
    assert "winpredict" not in names
    assert all(str(each.specifier).startswith("==") for each in constraints)
    old = {"python_full_version": "3.11.7", "sys_platform": "linux", "platform_machine": "x86_64"}
    new = old | {"python_full_version": "3.13.1"}
    for python in (old, new):
        (scipy,) = (each for each in constraints if each.name == "scipy" and each.marker.evaluate(python))
        assert scipy.specifier


def test_nothing_is_installed_twice(script, installs):
    script.install([], uv=None)
    script.install([], uv=None)
    assert installs == [("pip", [])]


def test_a_new_extra_is_installed_beside_earlier_ones(script, installs):
    script.install(["dev"], uv="uv")
    script.install(["app"], uv="uv")
    script.install([], uv="uv")
    assert installs == [("uv", ["dev"]), ("uv", ["app", "dev"])]


@pytest.mark.parametrize("name", ["pyproject.toml", "sandbox/pyproject.toml", "uv.lock"])
def test_a_changed_definition_is_installed(script, installs, name):
    script.install(["dev"], uv=None)
    with (script.ROOT / name).open("a") as file:
        file.write("# changed\n")
    script.install([], uv=None)
    assert installs == [("pip", ["dev"])] * 2


def test_an_installation_that_failed_is_begun_again(script, installs, monkeypatch):
    script.install([], uv=None)

    def fail():
        raise script.SetupError("no OpenMP")

    monkeypatch.setattr(script, "require_openmp", fail)
    for _ in range(2):
        with pytest.raises(script.SetupError):
            script.install(["dev"], uv=None)
    monkeypatch.setattr(script, "require_openmp", lambda: None)
    script.install(["dev"], uv=None)
    script.install(["dev"], uv=None)
    assert installs == [("pip", []), *[("pip", ["dev"])] * 3]


def test_an_environment_that_was_moved_is_built_anew(script, installs):
    script.install(["dev"], uv=None)
    (script.ENVIRONMENT / "leftover").touch()
    stamp = json.loads(script.STAMP.read_text()) | {"folder": "/elsewhere"}
    script.STAMP.write_text(json.dumps(stamp))
    script.install([], uv=None)
    assert installs == [("pip", ["dev"])] * 2
    assert not (script.ENVIRONMENT / "leftover").exists()


@pytest.mark.skipif(os.name == "nt", reason="its programs are shell scripts")
@pytest.mark.parametrize(("code", "works"), [(0, True), (127, False)])
def test_a_uv_that_does_not_start_counts_for_nothing(script, tmp_path, monkeypatch, code, works):
    (tmp_path / "uv").write_text(f"#!/bin/sh\nexit {code}\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert script.find_uv() == (str(tmp_path / "uv") if works else None)


def test_uv_gets_the_lock_file_and_the_environment_to_fill(script, monkeypatch):
    def command(**variables):
        calls = []

        def call(words, **options):
            calls.append((words, options["env"]))
            return subprocess.CompletedProcess(words, 0)

        with monkeypatch.context() as patch:
            patch.setattr(script.subprocess, "run", call)
            for name, value in variables.items():
                patch.setenv(name, value)
            script.install_with_uv("uv", ["dev"])
        (only,) = calls
        return only

    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    words, environment = command(VIRTUAL_ENV="/other", UV_PROJECT_ENVIRONMENT="/other")
    assert words[:6] == ["uv", "sync", "--locked", "--inexact", "--extra", "dev"]
    assert words[6:8] == ["--python", sys.executable]
    assert "--compile-bytecode" not in words
    assert environment["UV_PROJECT_ENVIRONMENT"] == str(script.ENVIRONMENT)
    assert "VIRTUAL_ENV" not in environment
    script.ENVIRONMENT.mkdir()
    words, _ = command(PYTHONDONTWRITEBYTECODE="1")
    assert "--python" not in words  # that of .venv stays
    assert "--compile-bytecode" in words


def test_why_pip_failed_is_said(script):
    lines = ["Collecting pandas", "ERROR: No matching distribution found for pandas==3.1.1", "a last word"]
    with pytest.raises(script.SetupError) as caught:
        script.run_pip([sys.executable, "-c", f"print({chr(10).join(lines)!r}); raise SystemExit(1)"])
    assert "No matching distribution found for pandas==3.1.1" in str(caught.value)
    assert "Is there a network?" in str(caught.value)
    assert "a last word" not in str(caught.value)


def test_a_python_without_pip_is_told_what_to_install(script, monkeypatch):
    monkeypatch.setattr(script, "quiet", lambda command: False)
    with pytest.raises(script.SetupError, match="apt install python3-pip"):
        script.require_pip()


def test_a_system_without_openmp_gets_that_of_scikit_learn(script, monkeypatch):
    copy = script.ENVIRONMENT / "lib" / "python3.11" / "site-packages" / "scikit_learn.libs" / "libgomp-1a2b.so.1.0.0"
    copy.parent.mkdir(parents=True)
    copy.touch()
    missing = "OSError: libgomp.so.1: cannot open shared object file: No such file or directory"
    monkeypatch.setattr(script, "lightgbm_problem", lambda: "" if script.OPENMP.exists() else missing)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    assert "LD_LIBRARY_PATH" not in script.command_environment()
    script.require_openmp()
    assert (script.OPENMP / "libgomp.so.1").resolve() == copy
    assert script.command_environment()["LD_LIBRARY_PATH"] == str(script.OPENMP)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert script.command_environment()["LD_LIBRARY_PATH"].split(os.pathsep) == ["/opt/lib", str(script.OPENMP)]


def test_a_lightgbm_that_does_not_start_is_an_error_with_its_reason(script, monkeypatch):
    monkeypatch.setattr(script, "lightgbm_problem", lambda: "OSError: libomp.dylib is not loaded")
    with pytest.raises(script.SetupError, match=r"libomp.dylib is not loaded(.|\n)*brew install libomp"):
        script.require_openmp()
    assert not script.OPENMP.exists()


def test_commands_get_their_arguments_as_they_were_given(folder):
    done = run(folder, "winpredict", "explain", "a deal", "--help", "--extra", "x", script="./run.py")
    assert done.returncode == 3, done.stderr
    start = f"{sys.executable} ./run.py"
    assert done.stdout == f"[winpredict] [explain] [a deal] [--help] [--extra] [x] [{start}] [] [{folder}] "
    assert done.stderr == ""


def test_demo_is_winpredict_demo(folder):
    done = run(folder, "demo", "--deals", "300")
    assert done.stdout.startswith("[winpredict] [demo] [--deals] [300] ")
    assert run(folder, "demo", UV_RUN_RECURSION_DEPTH="1").stdout == f"[winpredict] [demo] [] [] [{folder}] "


def test_tests_run_in_the_repository_and_with_bytecode(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = run(elsewhere, "test", "tests/test_config.py", script=str(folder / "run.py"), PYTHONDONTWRITEBYTECODE="1")
    assert done.stdout == f"[pytest] [tests/test_config.py] [] [] [{folder}] "
    assert done.returncode == 3
    assert run(folder, "test").stdout.startswith("[pytest] [-n] [")
    assert "[1]" in run(folder, "demo", PYTHONDONTWRITEBYTECODE="1").stdout


def test_a_command_that_is_not_installed_is_said_with_what_to_do(folder):
    done = run(folder, "jupyter")
    assert done.returncode == 2
    assert done.stderr.startswith("error: jupyter is not installed in ")
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_said(folder):
    shutil.rmtree(folder / ".venv")
    (folder / ".venv").write_text("a file\n")
    done = run(folder, "--no-uv", "demo")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(folder / ".venv") in done.stderr.splitlines()[-1]
