"""``winpredict import`` and ``winpredict check``."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond
from winpredict.errors import ProfileError
from winpredict.locale.text import Text, said, text, texts
from winpredict.workflows.importing import import_files_into, propose_profile
from winpredict.workflows.syncing import last_blind

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.config import InputLimits
    from winpredict.ingest import Imported
    from winpredict.ingest.guess import Guess
    from winpredict.ingest.out_of_core import ImportedParts
    from winpredict.workspace import Workspace

#: How many rows of each canonical table there are, and of observed attributes.
_ROWS: Mapping[str, Text] = {
    "deals": texts("{n:count} deal", "{n:count} deals"),
    "deal_history": texts("{n:count} change of a deal", "{n:count} changes of deals"),
    "attribute_history": texts("{n:count} observed attribute value", "{n:count} observed attribute values"),
    "activities": texts("{n:count} touch", "{n:count} touches"),
    "team_members": texts("{n:count} team member", "{n:count} team members"),
    "contacts": texts("{n:count} contact", "{n:count} contacts"),
    "accounts": texts("{n:count} account", "{n:count} accounts"),
    "line_items": texts("{n:count} line item", "{n:count} line items"),
    "users": texts("{n:count} user", "{n:count} users"),
    "quotas": texts("{n:count} quota", "{n:count} quotas"),
}


def import_(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Folders, zips, CSV, JSON, Parquet or Excel files; or a warehouse: postgresql://me@host/db, env:NAME.",
            metavar="PATH...",
        ),
    ],
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            help="Name of a shipped mapping profile, or your own YAML file. Without it, one is proposed and kept in "
            "the workspace.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Without --profile: import even if points should be confirmed.")
    ] = False,
    buckets: Annotated[
        int | None,
        typer.Option(
            "--buckets",
            min=1,
            max=1024,
            help="Split the tables into this number of buckets of deals, for data larger than memory; files above 1 GB "
            "are split anyway. A stopped import resumes where it was.",
        ),
    ] = None,
    schema: Annotated[str | None, typer.Option("--schema", help="Schema of the tables in a warehouse.")] = None,
    guess: Annotated[
        bool,
        typer.Option("--guess", help="Import nothing; print a profile for an unknown file, for you to save and edit."),
    ] = False,
    workspace_folder: WorkspaceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a CRM export into the workspace, and print what was understood.

    A later export of the same CRM updates it, by id; the same one changes nothing.

    Example: winpredict import export.zip --profile salesforce

    Example: winpredict import "pipeline 2025.xlsx"

    Example: winpredict import env:WAREHOUSE --profile fivetran_salesforce --schema salesforce
    """
    from winpredict.config import load_config

    limits = load_config(config).input_limits
    if guess:
        _print_proposal(paths, limits, as_json=as_json)
        return
    workspace = workspace_at(workspace_folder)
    chosen = profile or str(_accepted_proposal(workspace, paths, limits, yes=yes))
    with workspace.writing():
        imported = import_files_into(workspace, paths, chosen, schema=schema, buckets=buckets, limits=limits)
    manifest = workspace.manifest
    respond(
        {key: manifest[key] for key in ("profile", "fingerprint", "known_until", "rows")}
        | {
            "import": manifest["imports"][-1],
            "quarantined": _quarantined(imported),
            "understood": imported.understood,
        },
        lambda console: _show_import(console, workspace, imported, understood=profile is not None),
        as_json=as_json,
    )


def check(workspace_folder: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Report on data quality and leakage.

    Example: winpredict check --workspace my-project
    """
    from winpredict.config import load_config
    from winpredict.features.leakage import audit_attributes
    from winpredict.features.observations import Observations
    from winpredict.features.telling_words import leaking_words
    from winpredict.tables.quality import check_quality

    settings = load_config(config)
    attributes = settings.attributes
    workspace = workspace_at(workspace_folder)
    crm, blind = workspace.crm(), last_blind(workspace)
    with progress(said("checking")):
        quality = check_quality(crm)
        audit = audit_attributes(crm, keep=attributes.keep, drop=attributes.drop)
        seen = Observations.of(crm)
        words = leaking_words(crm) if settings.model.text == "auto" else {}
    observed = seen.summary(audit, attributes.observed_deals)
    used = {name: reason for name, reason in words.items() if name not in attributes.drop}
    leaks = [text("drop words of {name}: it {reason}", name=name, reason=reason) for name, reason in used.items()]
    respond(
        {
            "quality": quality.findings,
            "leakage": audit.columns.assign(reason=audit.columns["reason"].map(str)),
            "observed": seen.columns,
            "words": {name: str(reason) for name, reason in words.items()},
            "blind": blind,
        },
        lambda console: console.print(
            *_blind_lines(blind),
            quality.summary(),
            "\n  ".join(map(str, [audit.summary(), *leaks])),
            observed,
            sep="\n\n",
            soft_wrap=True,
        ),
        as_json=as_json,
    )


def _blind_lines(blind: "Mapping[str, Any]") -> list[str]:
    """What the last sync could not see, in words."""
    lines = [
        said("Not read from the CRM: {name} ({need})", name=name, need=need)
        for name, need in blind.get("objects", {}).items()
    ]
    lines += [
        said("Not shown by the CRM: {fields:listed} of {name}", name=name, fields=fields)
        for name, fields in blind.get("fields", {}).items()
    ]
    return ["\n".join(lines)] if lines else []


def _proposal(paths: Sequence[str], limits: "InputLimits") -> "tuple[Guess, Imported | None, str]":
    with progress(said("reading")) as report_progress:
        proposal = propose_profile(paths, limits, progress=report_progress)
    return proposal.guess, proposal.imported, proposal.refusal


def _print_proposal(paths: Sequence[str], limits: "InputLimits", *, as_json: bool) -> None:
    from winpredict.ingest import profile_yaml

    guess, imported, refusal = _proposal(paths, limits)
    proposal = profile_yaml(guess.profile)
    if as_json:
        understood = None if imported is None else imported.understood
        facts = {"profile": proposal, "understood": understood, "points": guess.points, "refused": refusal or None}
        respond(facts, lambda console: None, as_json=True)
        return
    sys.stdout.write(proposal)
    sys.stdout.flush()
    if imported is not None:
        print(imported.understood.summary(), file=sys.stderr)
    else:
        print(said("An import with this profile would be refused: {reason}", reason=refusal), file=sys.stderr)
        for point in guess.points:
            confirm = text("Please confirm: {point} [profile: {line}]", point=point["text"], line=point["line"])
            print(f"  {confirm}", file=sys.stderr)
    print(said("Save this as my.yaml, check it, then run `winpredict import ... --profile my.yaml`."), file=sys.stderr)


def _accepted_proposal(workspace: "Workspace", paths: Sequence[str], limits: "InputLimits", *, yes: bool) -> Path:
    """Propose a profile, show what it understands, have it confirmed, and keep it in the workspace.

    Raises
    ------
    ProfileError
        When it does not fit, or there is something to confirm and nobody to ask.
    """
    from winpredict.ingest import profile_yaml

    guess, imported, refusal = _proposal(paths, limits)
    proposal = profile_yaml(guess.profile)
    if imported is None:
        raise ProfileError(
            text(
                "the proposed profile does not work: {refusal}. Print it with `winpredict import PATH "
                "--guess`, correct it, and name it with --profile",
                refusal=refusal,
            )
        )
    print(imported.understood.summary(), file=sys.stderr)
    if imported.understood.doubtful and not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise ProfileError(
                text(
                    "{n} point(s) above should be confirmed, and there is no terminal to ask on. Nothing was "
                    "stored. Run it again with --yes, or save the profile (`winpredict import PATH --guess > "
                    "my.yaml`), correct it, and name it with --profile",
                    n=len(imported.understood.points),
                )
            )
        if not typer.confirm(said("Import it like this?"), default=False, err=True):
            raise ProfileError(
                text(
                    "nothing was stored. Save the profile (`winpredict import PATH --guess > my.yaml`), "
                    "correct it, and name it with --profile"
                )
            )
    with workspace.writing():
        return workspace.keep_profile(guess.profile.name or "proposed", proposal)


def _quarantined(imported: "Imported | ImportedParts") -> dict[str, int]:
    return {name: len(rows) for name, rows in imported.quarantine.items()}


def _show_import(
    console: "Console", workspace: "Workspace", imported: "Imported | ImportedParts", *, understood: bool
) -> None:
    if understood:
        console.print(imported.understood.summary(), soft_wrap=True)
    rows = [
        _ROWS[name].with_values(n=n) if name in _ROWS else said("{table} {n:count}", table=name, n=n)
        for name, n in _rows(workspace)
    ]
    console.print(said("Stored in {folder}: {rows:listed}", folder=workspace.folder, rows=rows), soft_wrap=True)
    command = f"winpredict check --workspace {workspace.folder}"
    console.print(said("Next: {command}", command=command), soft_wrap=True)


def _rows(workspace: "Workspace") -> list[tuple[str, int]]:
    """The tables that are there, and how many rows each has."""
    return [(name, n) for name, n in workspace.manifest["rows"].items() if n]
