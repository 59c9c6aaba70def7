"""``winpredict push``: scores into the fields of a live CRM."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._internal.progress import progress_bar
from winpredict.cli.live import CRMArgument
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import cell, respond, table
from winpredict.errors import WinPredictError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.sources.push import Pushed
    from winpredict.workspace import Workspace

#: All was done but for records that the CRM refused.
SOME_REFUSED = 1
_SHOWN = 10


def push(
    crm: CRMArgument,
    apply: Annotated[bool, typer.Option("--apply", help="Write; by default what would change is only told.")] = False,
    create_fields: Annotated[
        bool, typer.Option("--create-fields", help="Make the fields first, where the CRM and your rights allow it.")
    ] = False,
    undo: Annotated[
        Path | None, typer.Option("--undo", help="Put back what an earlier push replaced, by its undo file.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most deals to change, best odds first.")] = None,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the latest scores into the CRM; only values that differ, no other field.

    Ends with 1 when the CRM refused some records, which are named; the others are written.

    Example: winpredict push hubspot

    Example: winpredict push hubspot --create-fields --apply
    """
    from winpredict.config import load_config
    from winpredict.sources import push as pushing
    from winpredict.sources.crms import connect_to

    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    source, folder = connect_to(crm, settings), workspace.folder / "push"
    made: dict[str, str] = {}
    with workspace.writing(), progress_bar(f"pushing to {crm}") as bar:
        if undo is not None:
            found = pushing.undo(source, undo, folder, apply=apply, progress=bar)
        else:
            if create_fields:
                made = pushing.create_fields(source, settings.crm.push)
            scores = latest_scores(workspace)
            found = pushing.push(source, scores, settings.crm.push, folder, apply=apply, limit=limit, progress=bar)
    respond(found.to_dict() | {"fields": made}, lambda console: _show(console, found, made), as_json=as_json)
    if found.refused:
        raise typer.Exit(SOME_REFUSED)


def latest_scores(workspace: "Workspace") -> "pd.DataFrame":
    """The scores of the latest day, of the deals that are open still.

    Raises
    ------
    WinPredictError
        When there are none.
    """
    from winpredict.tables.crm import CRMData

    scores = workspace.latest_scores()
    if scores is None:
        raise WinPredictError(f"{workspace.folder} holds no scores yet; run `winpredict score` first")
    tables = workspace.tables()
    parts = [tables] if isinstance(tables, CRMData) else tables
    closed = {deal for part in parts for deal in part.deals.loc[part.deals["outcome"] != "open", "deal_id"]}
    return scores[~scores["deal_id"].isin(closed)]


def _show(console: "Console", found: "Pushed", made: dict[str, str]) -> None:
    import pandas as pd

    for name, outcome in made.items():
        console.print(f"field {name}: {outcome}")
    rows = [
        (change.deal_id, name, cell(change.old[name]), cell(new))
        for change in found.changes[:_SHOWN]
        for name, new in change.new.items()
    ]
    if rows:
        title = f"{'Changed' if found.applied else 'Would change'}, the first {min(_SHOWN, len(found.changes))} deals"
        frame = pd.DataFrame(rows, columns=["deal", "field", "before" if found.applied else "now", "new"])
        console.print(table(frame, title))
    console.print(found.summary())
    for deal_id, said in found.refused.items():
        console.print(f"refused: {deal_id}: {said}")
    if not found.applied and found.changes:
        console.print("nothing was written; add --apply to write")
    if found.undo_file is not None:
        console.print(f"to put it back: winpredict push {found.crm} --undo {found.undo_file} --apply")
