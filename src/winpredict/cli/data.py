"""``winpredict import`` and ``winpredict check``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._common.errors import ProfileError
from winpredict._common.progress import progress
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond, table

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.sources import Imported
    from winpredict.workspace import Workspace


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Folders, zips, CSV, Parquet or Excel files.", metavar="PATH...")],
    profile: Annotated[
        str | None, typer.Option("--profile", help="Name of a shipped mapping profile, or a YAML file of your own.")
    ] = None,
    guess: Annotated[
        bool,
        typer.Option("--guess", help="Import nothing; print a profile for an unknown file, to be saved and edited."),
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a CRM export into the workspace.

    A later export of the same CRM updates it, by id; the same one changes nothing.

    Example: winpredict import export.zip --profile salesforce
    """
    if guess:
        _propose_profile(paths, as_json=as_json)
        return
    place = workspace_at(workspace)
    with place.writing():
        imported = import_into(place, paths, _required(profile))
    manifest = place.manifest
    respond(
        {key: manifest[key] for key in ("profile", "fingerprint", "known_until", "rows")}
        | {"import": manifest["imports"][-1], "quarantined": _quarantined(imported)},
        lambda console: _show_import(console, place, imported),
        as_json=as_json,
    )


def check(workspace: WorkspaceOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Tell data quality and leaks, in words and counts.

    Example: winpredict check --workspace my-project
    """
    from winpredict.config import load_config
    from winpredict.features.leakage import audit_attributes
    from winpredict.tables.quality import check_quality

    attributes = load_config(config).attributes
    crm = workspace_at(workspace).crm()
    with progress("checking"):
        quality = check_quality(crm)
        audit = audit_attributes(crm, keep=attributes.keep, drop=attributes.drop)
    respond(
        {"quality": quality.findings, "leakage": audit.columns},
        lambda console: console.print(quality.summary(), audit.summary(), sep="\n\n"),
        as_json=as_json,
    )


def import_into(place: "Workspace", paths: Sequence[Path], profile: str, *, afresh: bool = False) -> "Imported":
    """Import files into a workspace whose lock is held; `afresh` forgets what it held before."""
    from winpredict.sources import import_files, load_profile

    earlier = place.crm() if place.exists and not afresh else None
    with progress("importing"):
        imported = import_files(paths, load_profile(profile), earlier=earlier)
    place.save_import(
        imported.crm,
        profile=profile,
        sources=imported.sources,
        repairs=imported.repairs,
        quarantine=imported.quarantine,
    )
    return imported


def _required(profile: str | None) -> str:
    from winpredict.sources import shipped_profiles

    if profile is None:
        raise ProfileError(
            f"name a mapping profile with --profile: {', '.join(shipped_profiles())}, or a YAML file of your own; "
            "`winpredict import PATH --guess` proposes one"
        )
    return profile


def _propose_profile(paths: Sequence[Path], *, as_json: bool) -> None:
    from winpredict.sources import guess_profile, profile_yaml

    if len(paths) > 1:
        raise ProfileError(f"--guess looks at one file at a time; {len(paths)} were named")
    proposal = profile_yaml(guess_profile(paths[0]))
    if as_json:
        respond({"profile": proposal}, lambda console: None, as_json=True)
        return
    sys.stdout.write(proposal)
    print("save this as my.yaml, look it through, then: winpredict import ... --profile my.yaml", file=sys.stderr)


def _quarantined(imported: "Imported") -> dict[str, int]:
    return {name: len(rows) for name, rows in imported.quarantine.items()}


def _show_import(console: "Console", place: "Workspace", imported: "Imported") -> None:
    import pandas as pd

    rows: list[tuple[str, Any]] = [(name, len(frame)) for name, frame in imported.crm.tables()]
    console.print(table(pd.DataFrame(rows, columns=["table", "rows"]), "Imported", {"rows": ",d"}))
    if imported.repairs:
        repairs = pd.DataFrame(list(imported.repairs.items()), columns=["repaired or rejected", "rows"])
        console.print(table(repairs, "Repairs", {"rows": ",d"}))
    console.print(f"stored in {place.folder}; next: winpredict check --workspace {place.folder}")
