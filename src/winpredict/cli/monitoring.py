"""``winpredict monitor`` and ``winpredict retrain``."""

from typing import TYPE_CHECKING

import typer

from winpredict._internal.progress import progress
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import Column, respond, table
from winpredict.cli.serve import champion_recorded
from winpredict.locale.text import said, text

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.models.monitoring import Health

#: How `monitor` ends when something calls for action.
ACT = 1
_COLUMNS = {
    "check": Column(text("Check")),
    "state": Column(text("State")),
    "finding": Column(text("Finding")),
}


def monitor(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say whether the champion can still be trusted.

    Is there anything new in the data, are the open deals like those at training, are more values missing, and did the
    odds come true? Ends with 1 where something calls for action.

    Example: winpredict monitor --workspace my-project
    """
    from winpredict.config import load_config
    from winpredict.workflows.monitoring import monitor_workspace

    settings, workspace = load_config(config), existing_workspace(workspace_folder)
    with workspace.writing(), progress(said("monitoring")) as report_progress:
        health = monitor_workspace(workspace, settings, progress=report_progress)
    respond(health_facts(health), lambda console: show_health(console, health), as_json=as_json)
    if health.state == "act":
        raise typer.Exit(ACT)


def retrain(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Train a challenger and promote it if it is better.

    Both are judged on deals that closed since the champion was trained. The challenger becomes champion when it is
    shown to be better, or is no worse and the champion is old; see retraining in the config. `winpredict models
    rollback` goes back.

    Example: winpredict retrain --workspace my-project
    """
    from winpredict.config import load_config
    from winpredict.workflows.retraining import retrain_workspace

    settings, workspace = load_config(config), existing_workspace(workspace_folder)
    with (
        workspace.writing(),
        champion_recorded(workspace, settings),
        progress(said("retraining")) as report_progress,
    ):
        done = retrain_workspace(workspace, settings, progress=report_progress)
    respond(done.to_dict(), lambda console: console.print(str(done.sentence), soft_wrap=True), as_json=as_json)


def health_facts(health: "Health") -> dict[str, object]:
    """What ``monitor --json`` prints."""
    checks = [
        {"name": each.name, "state": each.state, "sentence": str(each.sentence), "figures": dict(each.figures)}
        for each in health.checks
    ]
    return {
        "state": health.state,
        "as_of": health.as_of,
        "model_version": health.model_version,
        "calls_for_training": health.calls_for_training,
        "checks": checks,
    }


def show_health(console: "Console", health: "Health") -> None:
    """The checks as a table."""
    import pandas as pd

    from winpredict.models.monitoring import CHECK_LABELS, STATE_LABELS

    rows = [(str(CHECK_LABELS[each.name]), str(STATE_LABELS[each.state]), str(each.sentence)) for each in health.checks]
    title = said("Model {version} as of {day:day}", version=health.model_version, day=health.as_of)
    console.print(table(pd.DataFrame(rows, columns=[*_COLUMNS]), title, _COLUMNS))
