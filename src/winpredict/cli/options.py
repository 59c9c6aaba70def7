"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict.cli.output import warn
from winpredict.locale.formats import elapsed_days
from winpredict.locale.text import texts
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
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file with the settings that differ from the defaults.")
]
ModelOption = Annotated[str, typer.Option("--model", help="champion, challenger or a version number.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
LocaleOption = Annotated[
    str | None,
    typer.Option(
        "--locale",
        metavar="LANGUAGE",
        help="Language of sentences, numbers and dates, such as fr, de or en_GB; by default that of the config, or "
        "English.",
    ),
]
#: Scoring as of a day that lies more days than this after the end of the data is warned of.
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
        When it is not a date.
    """
    from winpredict.tables.crm import utc

    return None if text is None else utc(text)


def warn_if_late(day: "pd.Timestamp | None", known_until: "pd.Timestamp | None") -> None:
    """Say on stderr that a day lies more than a week after the end of the data."""
    if day is None or known_until is None:
        return
    late = elapsed_days(day, known_until)
    if late > _LATE_DAYS:
        warn(
            texts(
                "{day:day} is {n:count} day after the end of the data on {end:day}. What was entered since is "
                "unknown, so open deals only look older; import a newer export.",
                "{day:day} is {n:count} days after the end of the data on {end:day}. What was entered since is "
                "unknown, so open deals only look older; import a newer export.",
                n=late,
                day=day,
                end=known_until,
            )
        )
