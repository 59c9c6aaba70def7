"""``winpredict connect`` and ``winpredict sync``: live CRMs."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import Column, respond, table
from winpredict.errors import CRMError, WorkspaceError
from winpredict.locale.text import Text, said, text
from winpredict.workflows.syncing import WorkspaceSync, sync_workspace

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.connectors.base import Description
    from winpredict.workspace import Workspace

_STAGES = {
    "pipeline": Column(text("Pipeline")),
    "stage": Column(text("Stage")),
    "name": Column(text("Name in the CRM")),
    "outcome": Column(text("Outcome")),
}
_FIELDS = {"field": Column(text("Field")), "label": Column(text("Label")), "kind": Column(text("Type"))}
_READ = {
    "object": Column(text("Object")),
    "new": Column(text("New"), "count"),
    "changed": Column(text("Changed"), "count"),
    "deleted": Column(text("Deleted"), "count"),
}
_TABLES = {"table": Column(text("Table")), "rows": Column(text("Rows"), "count")}
_REPAIRS = {"cause": Column(text("Repaired or rejected")), "rows": Column(text("Rows"), "count")}
_OUTCOMES: Mapping[str, Text] = {"open": text("open"), "won": text("won"), "lost": text("lost")}

#: All else was read; something that was to be read was refused, or came empty where it had values.
SOME_LEFT_OUT = 1

CRMArgument = Annotated[str, typer.Argument(help="salesforce, hubspot or zoho.", metavar="CRM")]


def connect(
    crm: CRMArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write a profile with your own stages to this file: .yaml.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check credentials and permissions, and list stages and custom fields.

    With --out a mapping profile is written, for you to check and pass to sync.

    Example: winpredict connect hubspot --out my.yaml
    """
    from winpredict._internal.atomic import replacing
    from winpredict.config import load_config
    from winpredict.connectors.account_profile import account_profile
    from winpredict.connectors.mapped_columns import mapped_columns
    from winpredict.connectors.registry import connect_to
    from winpredict.ingest import load_profile

    if out is not None and out.exists():
        raise WorkspaceError(
            text("{out} exists already and may have been edited; name another file with --out", out=out)
        )
    source = connect_to(crm, load_config(config))
    with progress(said("asking {crm}", crm=crm)):
        mapping = load_profile(crm)
        description = source.describe(mapped_columns(mapping, source.objects))
    proposal = account_profile(crm, mapping, description)
    if out is not None:
        with replacing(out) as file:
            file.write_text(proposal, encoding="utf-8")
    respond(
        {"crm": crm} | asdict(description) | {"profile": proposal, "written": None if out is None else str(out)},
        lambda console: _show_account(console, crm, description, out),
        as_json=as_json,
    )


def sync(
    crm: CRMArgument,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", help="Mapping profile; by default that of the last sync, or else the CRM's shipped one."
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Read everything again; this also finds records that were deleted without a trace."
        ),
    ] = False,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help="Read nothing; map the stored records again, such as after a change of the profile."
        ),
    ] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read what is new in a live CRM into the workspace.

    The first sync reads everything. A stopped sync resumes where it was. What the CRM refuses is left out, with the
    right that would mend it; all else is stored, and the command ends with 1.

    Example: winpredict sync salesforce --workspace my-project

    Example: winpredict sync hubspot --profile my.yaml --replay
    """
    from winpredict.config import load_config

    if full and replay:
        raise CRMError(text("--replay reads nothing and --full reads everything; leave one of them out"))
    workspace, settings = workspace_at(workspace_folder), load_config(config)
    with workspace.writing(), progress_bar(said("syncing {crm}", crm=crm)) as bar:
        done = sync_workspace(workspace, crm, settings, profile=profile, full=full, replay=replay, progress=bar)
    respond(done.facts(workspace), lambda console: _show_sync(console, workspace, done), as_json=as_json)
    if done.synced is not None and not done.synced.whole:
        raise typer.Exit(SOME_LEFT_OUT)


def _show_account(console: "Console", crm: str, account: "Description", out: Path | None) -> None:
    import pandas as pd

    console.print(
        said("{crm}: signed in to {account}", crm=crm, account=account.account)
        if account.account
        else said("{crm}: signed in to an account without a name", crm=crm)
    )
    console.print(
        said("Can be read: {names:listed}", names=account.readable) if account.readable else said("Nothing can be read")
    )
    for name, need in account.missing.items():
        console.print(said("Cannot be read: {name} ({need})", name=name, need=need))
    for name, columns in account.hidden.items():
        console.print(
            said(
                "Not shown: {fields:listed} of {name}, which the profile maps. Give the connected user the right to "
                "read them, or leave them out of the profile",
                name=name,
                fields=columns,
            ),
            soft_wrap=True,
        )
    for name, columns in account.calculated.items():
        console.print(
            said(
                "Calculated by the CRM, known from the first sync on: {fields:listed} of {name}",
                name=name,
                fields=columns,
            ),
            soft_wrap=True,
        )
    for remark in (*account.remarks, account.plan):
        if remark:
            console.print(remark, soft_wrap=True)
    console.print(
        said("Deals can be written to")
        if account.writable
        else said("Deals cannot be written to, which only `winpredict push` needs")
    )
    if account.stages:
        stages = [
            (each.pipeline, each.label, each.name, str(_OUTCOMES.get(each.outcome, each.outcome)))
            for each in account.stages
        ]
        console.print(table(pd.DataFrame(stages, columns=[*_STAGES]), said("Stages"), _STAGES))
    if account.custom_fields:
        fields = [(each.name, each.label, each.kind) for each in account.custom_fields]
        console.print(table(pd.DataFrame(fields, columns=[*_FIELDS]), said("Custom fields of deals"), _FIELDS))
    console.print(
        said("The CRM records changes of: {names:listed}", names=account.records_history)
        if account.records_history
        else said("The CRM records changes of no field")
    )
    if out is None:
        command = f"winpredict sync {crm}"
        own = f"winpredict connect {crm} --out my.yaml"
        console.print(said("Next: {command}", command=command))
        console.print(said("For a profile with your own stages first: {command}", command=own))
    else:
        console.print(
            said("Check {file}, then: {command}", file=out, command=f"winpredict sync {crm} --profile {out}"),
            soft_wrap=True,
        )


def _show_sync(console: "Console", workspace: "Workspace", done: WorkspaceSync) -> None:
    import pandas as pd

    if done.synced is not None:
        rows = [(name, each.new, each.changed, each.deleted) for name, each in done.synced.read.items()]
        title = said("Read from {crm}, {account}", crm=done.crm, account=done.synced.account)
        console.print(table(pd.DataFrame(rows, columns=[*_READ]), title, _READ))
        for name, need in done.synced.skipped.items():
            console.print(said("Left out: {name} ({need})", name=name, need=need))
        for name, fields in done.synced.hidden.items():
            console.print(said("Not shown: {fields:listed} of {name}", name=name, fields=fields))
        for remark in done.synced.remarks:
            console.print(remark)
    manifest = workspace.manifest
    counts = pd.DataFrame(list(manifest["rows"].items()), columns=[*_TABLES])
    console.print(table(counts, said("Tables"), _TABLES))
    repairs = manifest["imports"][-1]["repairs"]
    if done.rewritten and repairs:
        causes = pd.DataFrame(list(repairs.items()), columns=[*_REPAIRS])
        console.print(table(causes, said("Repairs"), _REPAIRS))
    if done.replaced:
        console.print(said("The CRM's deals replace those that were imported from files before"))
    if not done.rewritten:
        console.print(said("Nothing has changed"))
    until = manifest["known_until"]
    console.print(
        said("Known until {moment:moment} UTC; stored in {folder}", moment=until, folder=workspace.folder)
        if until
        else said("Stored in {folder}", folder=workspace.folder),
        soft_wrap=True,
    )
