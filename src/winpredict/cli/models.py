"""``winpredict models list``, ``show`` and ``promote``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict.cli.options import JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import respond, table

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.models.registry import ModelVersion

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List, show and promote trained models. Example: winpredict models list",
)


@app.command("list")
def list_(workspace_folder: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List the trained models, the latest first.

    Example: winpredict models list --workspace my-project
    """
    from winpredict.models.registry import list_models

    workspace = existing_workspace(workspace_folder)
    found = list_models(workspace.folder)

    def show(console: "Console") -> None:
        console.print(table(_overview(found), "Models") if found else f"{workspace.folder} has no trained model yet")

    respond({"models": found}, show, as_json=as_json)


@app.command("show")
def show_(
    model: Annotated[str, typer.Argument(help="champion, challenger or a version number.")] = "champion",
    workspace_folder: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one model.

    What it was trained on, with which knobs, and what moves its odds.

    Example: winpredict models show challenger
    """
    from winpredict.models.registry import find_model, read_drivers

    workspace = existing_workspace(workspace_folder)
    version = find_model(workspace.folder, model)
    drivers = read_drivers(workspace.folder, version)

    def show(console: "Console") -> None:
        console.print(table(_overview([version]), f"Model {version.version}"))
        for figures, title in ((version.metrics, "Figures"), (version.params, "Knobs")):
            console.print(table(_pairs(figures), title, {"value": ",.4g"}))
        if not drivers.empty:
            console.print(table(drivers, "Top drivers", {"points": ".1%"}))
        for note in version.notes:
            console.print(f"- {note}")

    respond(asdict(version) | {"drivers": drivers}, show, as_json=as_json)


@app.command("promote")
def promote_(
    version: Annotated[int, typer.Argument(help="Version number of the model to use from now on.")],
    workspace_folder: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model the champion.

    It scores from now on; the former champion becomes challenger.

    Example: winpredict models promote 2
    """
    from winpredict.models.registry import promote

    workspace = existing_workspace(workspace_folder)
    with workspace.writing():
        champion = promote(workspace.folder, version)
    respond(
        asdict(champion), lambda console: console.print(f"model {champion.version} is champion now"), as_json=as_json
    )


def _overview(models: "list[ModelVersion]") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "version": [each.version for each in models],
            "alias": [", ".join(each.aliases) for each in models],
            "registered": [f"{each.created_at:%Y-%m-%d %H:%M} UTC" for each in models],
            "trained_as_of": [each.trained_as_of[:10] for each in models],
            "closed_deals": [each.metrics.get("deals") for each in models],
            "data": [each.fingerprint[:12] for each in models],
        }
    )


def _pairs(values: "dict[str, float] | dict[str, str]") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame({"name": list(values), "value": list(values.values())})
