"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict.workspace import DEFAULT_FOLDER, ENVIRONMENT_VARIABLE, Workspace, default_folder

if TYPE_CHECKING:
    import pandas as pd

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", help=f"Folder of the project; by default ${ENVIRONMENT_VARIABLE} or ./{DEFAULT_FOLDER}."
    ),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="Day such as 2025-03-13: only facts recorded before it count. Default: all."),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file with the knobs that differ.")]
ModelOption = Annotated[str, typer.Option("--model", help="champion, challenger or a version number.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def workspace_at(folder: Path | None) -> Workspace:
    """The workspace that a command works in."""
    return Workspace(default_folder() if folder is None else folder)


def existing_workspace(folder: Path | None) -> Workspace:
    """The workspace that a command works in, which must hold data.

    Raises
    ------
    WorkspaceError
        When nothing was imported there.
    """
    workspace = workspace_at(folder)
    _ = workspace.manifest
    return workspace


def moment(text: str | None) -> "pd.Timestamp | None":
    """The moment that ``--as-of`` names.

    Raises
    ------
    WinPredictError
        When it is no date.
    """
    from winpredict.tables.crm import utc

    return None if text is None else utc(text)
