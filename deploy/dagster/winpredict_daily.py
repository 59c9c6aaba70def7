"""The daily run of winpredict for Dagster: `dagster dev -f winpredict_daily.py`; change COMMAND and the schedule.

`winpredict` must be on the path of the code location, and the workspace on a disk that it shares with the win desk.
Secrets come from its environment, or from the file that WINPREDICT_SECRETS names there (docs/crm.md).

A run that ends with problems has done its work, so ops may follow `run`; `look` then fails, for people to see.
"""

import json
import subprocess

from dagster import DefaultScheduleStatus, Definitions, Failure, OpExecutionContext, RetryRequested, job, op, schedule

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


@op
def run(context: OpExecutionContext) -> list[str]:
    """Do all of the day's steps; what people should look at."""
    ended = subprocess.run(COMMAND, stdout=subprocess.PIPE, text=True)
    context.log.info(ended.stdout)
    if ended.returncode in (DONE, PROBLEMS):
        return [f"{step['step']}: {each}" for step in json.loads(ended.stdout)["steps"] for each in step["problems"]]
    told = f"winpredict ended with {ended.returncode}; the output of this op says why"
    if ended.returncode == NOT_DONE:  # something must be changed first, so that trying again would not help
        raise Failure(told, allow_retries=False)
    raise RetryRequested(max_retries=3, seconds_to_wait=1200) from RuntimeError(told)


@op
def look(problems: list[str]) -> None:
    """Fail where there were problems."""
    if problems:
        raise Failure("\n".join(problems), allow_retries=False)


@job
def winpredict_daily() -> None:
    """Read the CRM, score the open deals, and publish the scores."""
    look(run())


@schedule(
    job=winpredict_daily,
    cron_schedule="30 5 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
)
def every_morning() -> dict[str, str]:
    """Start the job as it is."""
    return {}


defs = Definitions(jobs=[winpredict_daily], schedules=[every_morning])
