"""``winpredict run``: what is done every day, for cron, systemd or Airflow."""

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import Column, respond, table
from winpredict.cli.serve import champion_recorded, has_desk, open_desk_database, publish_into, require_app
from winpredict.errors import ConfigError, WorkspaceBusyError
from winpredict.locale.text import Text, said, text, texts
from winpredict.workflows.daily import DailyRun, Show, origin_of, step_name, step_problems

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.workflows.steps import Run, StepDone, StepResult
    from winpredict.workspace import Workspace

_CHAMPION = "champion"
_OUTCOMES: Mapping[str, Text] = {
    "done": text("done"),
    "problems": text("problems"),
    "failed": text("failed"),
    "crashed": text("error in winpredict"),
    "skipped": text("skipped"),
    "stopped": text("stopped"),
}
#: What a step counts, in words; the rest of what it tells is for the log.
_COUNTS: Mapping[str, Text] = {
    "new": text("{n:count} new"),
    "changed": text("{n:count} changed"),
    "deleted": text("{n:count} deleted"),
    "serious": texts("{n:count} serious finding", "{n:count} serious findings"),
    "warning": texts("{n:count} warning", "{n:count} warnings"),
    "info": texts("{n:count} remark", "{n:count} remarks"),
    "quarantined": texts("{n:count} row set aside", "{n:count} rows set aside"),
    "deals": texts("{n:count} deal", "{n:count} deals"),
    "written": texts("{n:count} deal written", "{n:count} deals written"),
    "unchanged": texts("{n:count} deal already up to date", "{n:count} deals already up to date"),
    "refused": texts("{n:count} deal refused by the CRM", "{n:count} deals refused by the CRM"),
    "newer": texts(
        "{n:count} deal with later scores left as it is", "{n:count} deals with later scores left as they are"
    ),
    "gone": texts("{n:count} deal no longer in the CRM", "{n:count} deals no longer in the CRM"),
}
_COLUMNS = {
    "step": Column(text("Step")),
    "outcome": Column(text("Outcome")),
    "seconds": Column(text("Seconds"), "number"),
    "counts": Column(text("Result")),
}


def run(
    source: Annotated[
        str,
        typer.Argument(
            help="What to read: hubspot, salesforce or zoho; or as for `import`, an export or a warehouse.",
            metavar="SOURCE",
        ),
    ],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", help="Mapping profile of an export or a warehouse; default: that of the last import."
        ),
    ] = None,
    schema: Annotated[str | None, typer.Option("--schema", help="Schema of the tables in a warehouse.")] = None,
    retrain: Annotated[
        str | None,
        typer.Option(
            "--retrain",
            metavar="WHEN",
            help="never, monthly, on_alarm or monthly_or_on_alarm: when to train a challenger; default: the config's.",
        ),
    ] = None,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what is done every day: read, check, monitor, score, publish, push, report, send the digest.

    Which of these, and when a new model is trained, is in the config. Scores are published where there is a win desk: a
    database that the config names, or one in the workspace.

    Ends with 0 when done; 1 when done with problems (bad data, records that the CRM refused); 2 when something was not
    done and you must change something; 3 when another process is at work in the workspace; 70 when winpredict itself
    failed in a step, with the details in a log file. The steps that do not need one that failed are done all the same.

    Example: winpredict run hubspot --workspace my-project --config my.yaml

    Example: winpredict run exports/ --profile salesforce --workspace my-project --retrain monthly
    """
    from winpredict.config import load_config
    from winpredict.workflows.steps import BUSY, run_steps

    workspace, settings = workspace_at(workspace_folder), _with_retraining(load_config(config), retrain)
    origin = origin_of(source, profile, schema, workspace, settings)
    desk = _Desk(workspace, settings) if has_desk(workspace, settings) else None
    try:
        result = run_steps(
            workspace,
            source,
            lambda done: DailyRun(
                workspace, origin, settings, done, desk=desk, show=Show(progress, progress_bar)
            ).steps(),
        )
    except WorkspaceBusyError as error:
        print(said("error: {error}", error=error), file=sys.stderr)
        raise typer.Exit(BUSY) from None
    respond(result.to_dict(), lambda console: _show(console, result), as_json=as_json)
    if result.code:
        raise typer.Exit(result.code)


def _with_retraining(settings: "Config", when: str | None) -> "Config":
    if when is None:
        return settings
    from winpredict.config import Retraining

    known = get_args(Retraining.model_fields["when"].annotation)
    if when not in known:
        raise ConfigError(text("--retrain {when!r}: give one of {known}", when=when, known=", ".join(known)))
    return settings.model_copy(update={"retraining": settings.retraining.model_copy(update={"when": when})})


@dataclass(frozen=True)
class _Desk:
    """The win desk of a workspace."""

    workspace: "Workspace"
    settings: "Config"

    def publish(self) -> "StepResult":
        from winpredict.workflows.steps import StepResult

        require_app()
        with progress(said("publishing")), open_desk_database(self.workspace, self.settings) as database:
            shown = publish_into(database, self.workspace, self.settings)
        return StepResult({"deals": shown.deals, "new": shown.is_new})

    def champion_recorded(self) -> AbstractContextManager[None]:
        return champion_recorded(self.workspace, self.settings)


def _show(console: "Console", result: "Run") -> None:
    import pandas as pd

    rows = [(step_name(each.step), str(_OUTCOMES[each.outcome]), each.seconds, _counts(each)) for each in result.steps]
    console.print(table(pd.DataFrame(rows, columns=[*_COLUMNS]), said("Steps of the run"), _COLUMNS))
    for each in result.steps:
        for line in step_problems(each):
            console.print(line, soft_wrap=True)
    console.print(said("Log: {file}", file=result.log), soft_wrap=True)


def _counts(step: "StepDone") -> str:
    """What came of a step: counts in words, or the file that was written."""
    words: list[Text | str] = []
    for name, value in step.counts.items():
        if name in _COUNTS and isinstance(value, int):
            words.append(_COUNTS[name].with_values(n=value))
        elif name == "model" and value is not None:
            words.append(text("model {version}", version=value))
        elif name in ("written", "undo_file", "title", "sentence") and value is not None:
            words.append(str(value))
    return ", ".join(map(str, words))
