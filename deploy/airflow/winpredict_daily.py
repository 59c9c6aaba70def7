"""The daily run of winpredict for Airflow 3: copy it into the folder of DAGs, and change COMMAND and the schedule.

`winpredict` must be on the path of the workers, and the workspace on a disk that they share with the win desk. Secrets
come from the workers' environment, or from the file that WINPREDICT_SECRETS names there (docs/crm.md).

A run that ends with problems has done its work, so tasks may follow `run`; `look` then fails, for people to see.
"""

import json
import subprocess
from datetime import timedelta

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

COMMAND = [
    "winpredict",
    "run",
    "hubspot",
    "--workspace",
    "/srv/winpredict",
    "--config",
    "/etc/winpredict/config.yaml",
    "--json",
]
#: How `winpredict run` ends, beside 3 (another process is at work in the workspace) and 70 (an error of its own).
DONE, PROBLEMS, NOT_DONE = 0, 1, 2


@task(retries=3, retry_delay=timedelta(minutes=20), execution_timeout=timedelta(hours=2))
def run() -> list[str]:
    """Do all of the day's steps; what people should look at."""
    ended = subprocess.run(COMMAND, stdout=subprocess.PIPE, text=True)
    print(ended.stdout)
    if ended.returncode in (DONE, PROBLEMS):
        return [f"{step['step']}: {each}" for step in json.loads(ended.stdout)["steps"] for each in step["problems"]]
    told = f"winpredict ended with {ended.returncode}; the log of this task says why"
    if ended.returncode == NOT_DONE:  # something must be changed first, so that trying again would not help
        raise AirflowFailException(told)
    raise AirflowException(told)


@task(retries=0)
def look(problems: list[str]) -> None:
    """Fail where there were problems."""
    if problems:
        raise AirflowFailException("\n".join(problems))


@dag(
    schedule="30 5 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,  # a run reads what is there now: those of past days cannot be made up for
    max_active_runs=1,
    tags=["winpredict"],
)
def winpredict_daily():
    """Read the CRM, score the open deals, and publish the scores."""
    look(run())


winpredict_daily()
