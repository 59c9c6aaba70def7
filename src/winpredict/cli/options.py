"""Options that several commands share."""

import sys
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
#: Days after the end of the data from which a day of scoring is told to be late.
_LATE_DAYS = 7


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


def warn_if_late(day: "pd.Timestamp | None", known_until: "pd.Timestamp | None") -> None:
    """Say on stderr that a day lies more than a week after the end of the data."""
    if day is None or known_until is None:
        return
    late = (day - known_until).days
    if late > _LATE_DAYS:
        print(
            f"warning: {day:%Y-%m-%d} is {late:,} days after the end of the data on {known_until:%Y-%m-%d}; what was "
            "entered since is unknown, so open deals only look older. Import a newer export",
            file=sys.stderr,
        )
