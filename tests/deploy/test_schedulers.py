"""The examples for cron, Airflow and Dagster do with each exit code of `winpredict run` what docs/deploy.md says.

None of them needs winpredict itself: a program of its name ends as the test wants it.
"""

import json
import os
import re
import runpy
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
PROBLEM = {"code": 1, "log": "log", "steps": [{"step": "check", "problems": ["12 deals have no owner"]}]}
TOLD = ["check: 12 deals have no owner"]
FINE = {"code": 0, "log": "log", "steps": [{"step": "check", "problems": []}]}


@pytest.fixture
def ends_with(tmp_path, monkeypatch):
    """Make the next `winpredict` end with a code."""
    if os.name == "nt":
        pytest.skip("the stand-in is a shell script")

    def make(code: int) -> None:
        printed = {0: json.dumps(FINE), 1: json.dumps(PROBLEM)}.get(code, "error: told why")
        program = tmp_path / "winpredict"
        program.write_text(f"#!/bin/sh\necho '{printed}'\nexit {code}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return make


@pytest.mark.parametrize("code", [0, 1, 2, 3, 70])
def test_cron_tells_what_people_must_know(ends_with, tmp_path, code):
    ends_with(code)
    (line,) = re.findall(r"^30 5 \* \* \* +winpredict +(.*)$", (DEPLOY / "cron" / "winpredict").read_text(), re.M)
    assert "%" not in line  # cron takes it for the end of the line
    secrets = tmp_path / "secrets.env"
    secrets.write_text("WINPREDICT_HUBSPOT_TOKEN='pat-1'\n")
    ended = subprocess.run(
        ["sh", "-c", line], env={**os.environ, "SECRETS": str(secrets)}, capture_output=True, text=True
    )
    silent = code in (0, 3)
    assert ended.returncode == (0 if silent else code)
    assert (ended.stdout == "") == silent
    assert ended.stderr == ""
    assert silent or f"winpredict run ended with {code}" in ended.stdout


def test_airflow(ends_with, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    pytest.importorskip("airflow.sdk", reason="needs apache-airflow 3")
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    dag = runpy.run_path(str(DEPLOY / "airflow" / "winpredict_daily.py"))["winpredict_daily"]()
    run, look = (dag.get_task(name).python_callable for name in ("run", "look"))
    assert dag.get_task("run").downstream_task_ids == {"look"}
    assert dag.max_active_runs == 1
    ends_with(0)
    look(run())
    ends_with(1)
    assert run() == TOLD
    with pytest.raises(AirflowFailException, match="12 deals have no owner"):
        look(TOLD)
    ends_with(2)
    with pytest.raises(AirflowFailException, match="ended with 2"):
        run()
    for code in (3, 70):
        ends_with(code)
        with pytest.raises(AirflowException, match=f"ended with {code}") as raised:
            run()
        assert not isinstance(raised.value, AirflowFailException), "it must be tried again"


def test_dagster(ends_with):
    dagster = pytest.importorskip("dagster")
    made = runpy.run_path(str(DEPLOY / "dagster" / "winpredict_daily.py"))
    run = made["run"]
    ends_with(0)
    assert made["winpredict_daily"].execute_in_process().success
    ends_with(1)
    day = made["winpredict_daily"].execute_in_process(raise_on_error=False)
    assert [(each.node_name, each.event_type_value) for each in day.all_events if each.is_step_failure] == [
        ("look", "STEP_FAILURE")
    ]
    assert run(dagster.build_op_context()) == TOLD
    ends_with(2)
    with pytest.raises(dagster.Failure, match="ended with 2") as failed:
        run(dagster.build_op_context())
    assert not failed.value.allow_retries
    for code in (3, 70):
        ends_with(code)
        with pytest.raises(dagster.RetryRequested):
            run(dagster.build_op_context())
    (schedule,) = made["defs"].schedules
    assert schedule.cron_schedule == "30 5 * * *"
