"""``winpredict push``: scores into the fields of a live CRM."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._internal.progress import progress_bar
from winpredict.cli.live import CRMArgument
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, existing_workspace
from winpredict.cli.output import Column, cell, respond, table
from winpredict.errors import WinPredictError
from winpredict.locale.text import Text, said, text, texts

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from winpredict.connectors.base import FieldOutcome
    from winpredict.connectors.push.push import Pushed
    from winpredict.workspace import Workspace

#: All was done but for records that the CRM refused.
SOME_REFUSED = 1
_SHOWN = 10
#: What became of a field, by its state and by whether there is more to say.
_CREATED: Mapping[tuple[str, bool], Text] = {
    ("made", False): text("Field {name} created"),
    ("made", True): text("Field {name} created; {remark}"),
    ("there already", False): text("Field {name} exists already"),
    ("there already", True): text("Field {name} exists already; {remark}"),
    ("not made", False): text("Field {name} was not created"),
    ("not made", True): text("Field {name} was not created: {remark}"),
}


def push(
    crm: CRMArgument,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write to the CRM; by default the changes are only listed.")
    ] = False,
    create_fields: Annotated[
        bool,
        typer.Option("--create-fields", help="Create the fields first, where the CRM and your permissions allow it."),
    ] = False,
    undo: Annotated[
        Path | None, typer.Option("--undo", help="Restore what an earlier push replaced, from its undo file.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Change this many deals at most, best odds first.")
    ] = None,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the latest scores into the CRM: only values that differ, and no other field.

    Ends with 1 when the CRM refused some records, which are listed; the others are written.

    Example: winpredict push hubspot

    Example: winpredict push hubspot --create-fields --apply
    """
    from winpredict.config import load_config
    from winpredict.connectors.push import push as pushing
    from winpredict.connectors.registry import connect_to

    workspace, settings = existing_workspace(workspace_folder), load_config(config)
    source, folder = connect_to(crm, settings), workspace.folder / "push"
    created: dict[str, FieldOutcome] = {}
    with workspace.writing(), progress_bar(said("pushing to {crm}", crm=crm)) as bar:
        if undo is not None:
            pushed = pushing.undo(source, undo, folder, apply=apply, progress=bar)
        else:
            if create_fields:
                created = pushing.create_fields(source, settings.crm.push)
            scores = latest_scores(workspace)
            pushed = pushing.push(source, scores, settings.crm.push, folder, apply=apply, limit=limit, progress=bar)
    respond(
        pushed.to_dict() | {"fields": {name: str(outcome) for name, outcome in created.items()}},
        lambda console: _show(console, pushed, created),
        as_json=as_json,
    )
    if pushed.refused:
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
        raise WinPredictError(
            text("{folder} holds no scores yet; run `winpredict score` first", folder=workspace.folder)
        )
    tables = workspace.tables()
    parts = [tables] if isinstance(tables, CRMData) else tables
    closed = {deal for part in parts for deal in part.deals.loc[part.deals["outcome"] != "open", "deal_id"]}
    return scores[~scores["deal_id"].isin(closed)]


def _show(console: "Console", pushed: "Pushed", created: "Mapping[str, FieldOutcome]") -> None:
    import pandas as pd

    for name, outcome in created.items():
        console.print(
            str(_CREATED[outcome.state, bool(outcome.remark)].with_values(name=name, remark=outcome.remark)),
            soft_wrap=True,
        )
    rows = [
        (change.deal_id, name, cell(change.old[name]), cell(new))
        for change in pushed.changes[:_SHOWN]
        for name, new in change.new.items()
    ]
    if rows:
        columns = {
            "deal": Column(text("Deal")),
            "field": Column(text("Field")),
            "old": Column(text("Value before") if pushed.applied else text("Value now")),
            "new": Column(text("New value")),
        }
        n = min(_SHOWN, len(pushed.changes))
        title = (
            texts("Changed, the first {n:count} deal", "Changed, the first {n:count} deals", n=n)
            if pushed.applied
            else texts("Would change, the first {n:count} deal", "Would change, the first {n:count} deals", n=n)
        )
        console.print(table(pd.DataFrame(rows, columns=[*columns]), str(title), columns))
    console.print(pushed.summary())
    for deal_id, reason in pushed.refused.items():
        console.print(said("Refused: deal {deal}: {reason}", deal=deal_id, reason=reason), soft_wrap=True)
    if not pushed.applied and pushed.changes:
        console.print(said("Nothing was written. Add --apply to write."))
    if pushed.undo_file is not None:
        command = f"winpredict push {pushed.crm} --undo {pushed.undo_file} --apply"
        console.print(said("To undo it: {command}", command=command), soft_wrap=True)
