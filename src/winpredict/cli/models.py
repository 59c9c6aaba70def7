"""``winpredict models list``, ``show``, ``promote``, ``rollback`` and ``history``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import Column, cell, respond, table
from winpredict.cli.serve import champion_recorded
from winpredict.cli.speaking import in_language
from winpredict.locale.text import Text, said, text
from winpredict.workflows.reporting import named_aliases

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.models.registry import ModelVersion

DRIVER_COLUMNS = {
    "name": Column(text("Name")),
    "feature": Column(text("Feature")),
    "points": Column(text("Points"), "exact_size_points"),
}
_OVERVIEW = {
    "version": Column(text("Version")),
    "alias": Column(text("Alias")),
    "registered": Column(text("Registered (UTC)"), "moment"),
    "trained_as_of": Column(text("Data until"), "day"),
    "closed_deals": Column(text("Closed deals"), "count"),
    "data": Column(text("Fingerprint of the data")),
}
_FIGURE_COLUMNS = {"name": Column(text("Figure")), "value": Column(text("Value"))}
_SETTING_COLUMNS = {"name": Column(text("Setting")), "value": Column(text("Value"))}
_HISTORY = {
    "version": Column(text("Version")),
    "since": Column(text("Champion since (UTC)"), "moment"),
    "reason": Column(text("Reason")),
    "by": Column(text("Promoted by")),
}
#: What is recorded of a training, and how it is written.
_FIGURES: Mapping[str, Column] = {
    "deals": Column(text("Closed deals"), "count"),
    "won": Column(text("Won deals"), "count"),
    "snapshots": Column(text("Snapshots"), "count"),
    "calibration_slope": Column(text("Calibration slope"), "precise"),
    "calibration_intercept": Column(text("Calibration intercept"), "precise"),
}

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show, promote and roll back trained models. Example: winpredict models list",
)


@app.command("list")
@in_language
def list_(workspace_folder: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the trained models, the latest first.

    Example: winpredict models list --workspace my-project
    """
    from winpredict.models.registry import list_models

    workspace = existing_workspace(workspace_folder)
    models = list_models(workspace.folder)

    def show(console: "Console") -> None:
        if models:
            console.print(table(_overview(models), said("Models"), _OVERVIEW))
        else:
            console.print(said("{folder} has no trained model yet", folder=workspace.folder), soft_wrap=True)

    respond({"models": [each.to_dict() for each in models]}, show, as_json=as_json)


@app.command("show")
@in_language
def show_(
    model: Annotated[str, typer.Argument(help="champion, challenger or a version number.")] = "champion",
    workspace_folder: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one model.

    What it was trained on, its settings, and what moves its odds.

    Example: winpredict models show challenger
    """
    from winpredict.models.registry import find_model, read_drivers, read_features

    workspace = existing_workspace(workspace_folder)
    import pandas as pd

    version = find_model(workspace.folder, model)
    drivers = read_drivers(workspace.folder, version)

    def show(console: "Console") -> None:
        console.print(table(_overview([version]), said("Model {version}", version=version.version), _OVERVIEW))
        console.print(table(_figures(version.metrics), said("Figures"), _FIGURE_COLUMNS))
        settings = pd.DataFrame(list(version.params.items()), columns=[*_SETTING_COLUMNS])
        console.print(table(settings, said("Settings"), _SETTING_COLUMNS))
        if not drivers.empty:
            labels = {each.name: each.label for each in read_features(workspace.folder, version)}
            console.print(table(named_drivers(drivers, labels), said("Top drivers"), DRIVER_COLUMNS))
        for note in version.notes:
            console.print(f"- {note}", soft_wrap=True)

    respond(version.to_dict() | {"drivers": drivers}, show, as_json=as_json)


@app.command("promote")
@in_language
def promote_(
    version: Annotated[int, typer.Argument(help="Version number of the model to use from now on.")],
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model the champion.

    It scores from now on; the former champion becomes the challenger.

    Example: winpredict models promote 2
    """
    from winpredict.config import load_config
    from winpredict.models.registry import promote

    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    with workspace.writing(), champion_recorded(workspace, settings):
        champion = promote(workspace.folder, version)
    respond(
        champion.to_dict(),
        lambda console: console.print(said("Model {version} is now the champion.", version=champion.version)),
        as_json=as_json,
    )


@app.command("rollback")
@in_language
def rollback_(
    workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Make the champion before the present one champion again.

    Example: winpredict models rollback
    """
    from winpredict.config import load_config
    from winpredict.models.registry import roll_back

    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    with workspace.writing(), champion_recorded(workspace, settings):
        champion = roll_back(workspace.folder)
    respond(
        champion.to_dict(),
        lambda console: console.print(said("Model {version} is now the champion.", version=champion.version)),
        as_json=as_json,
    )


@app.command("history")
@in_language
def history_(workspace_folder: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Tell which models have been champion, since when and why, and why challengers were not promoted.

    Example: winpredict models history
    """
    from winpredict.models.registry import models_in_use

    used = models_in_use(existing_workspace(workspace_folder).folder)

    def show(console: "Console") -> None:
        import pandas as pd

        rows = [(str(each.version), each.at, str(each.reason), each.by) for each in used.promotions]
        console.print(table(pd.DataFrame(rows, columns=[*_HISTORY]), said("Champions"), _HISTORY))
        for version, reason in used.verdicts.items():
            line = said("Model {version} was not promoted: {reason}", version=version, reason=reason)
            console.print(line, soft_wrap=True)

    promotions = [
        {"version": each.version, "at": each.at, "reason": str(each.reason), "by": each.by} for each in used.promotions
    ]
    facts = {
        "champion": used.champion,
        "challenger": used.challenger,
        "promotions": promotions,
        "not_promoted": {str(version): str(reason) for version, reason in used.verdicts.items()},
    }
    respond(facts, show, as_json=as_json)


def named_drivers(drivers: "pd.DataFrame", labels: Mapping[str, Text]) -> "pd.DataFrame":
    """Drivers with the features' names in the language of the moment, where they are on record."""
    names = [str(labels.get(name, words)) for name, words in zip(drivers["feature"], drivers["sentence"], strict=True)]
    return drivers.assign(name=drivers["feature"], feature=names)


def _overview(models: "list[ModelVersion]") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "version": [each.version for each in models],
            "alias": [", ".join(map(str, named_aliases(each.aliases))) for each in models],
            "registered": [each.created_at for each in models],
            "trained_as_of": [each.trained_as_of or None for each in models],
            "closed_deals": [each.metrics.get("deals") for each in models],
            "data": [each.fingerprint[:12] for each in models],
        }
    )


def _figures(metrics: Mapping[str, float]) -> "pd.DataFrame":
    import pandas as pd

    shown = [(_FIGURES.get(name, Column(name, "precise")), value) for name, value in metrics.items()]
    return pd.DataFrame(
        [(str(figure.head), cell(value, figure.style)) for figure, value in shown], columns=[*_FIGURE_COLUMNS]
    )
