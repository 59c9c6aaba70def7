"""``winpredict import`` and ``winpredict check``."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import respond, table
from winpredict.errors import ProfileError

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.ingest import Imported, Profile
    from winpredict.ingest.files import RawFile
    from winpredict.ingest.out_of_core import ImportedParts
    from winpredict.workspace import Workspace


def import_(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Folders, zips, CSV, Parquet or Excel files; or a warehouse: postgresql://me@host/db, env:NAME.",
            metavar="PATH...",
        ),
    ],
    profile: Annotated[
        str | None, typer.Option("--profile", help="Name of a shipped mapping profile, or a YAML file of your own.")
    ] = None,
    buckets: Annotated[
        int | None,
        typer.Option(
            "--buckets",
            min=1,
            max=1024,
            help="Part the tables into so many buckets of deals, for data larger than memory; files above 1 GB are "
            "parted anyway. An import that was stopped goes on where it was.",
        ),
    ] = None,
    schema: Annotated[str | None, typer.Option("--schema", help="Schema of the tables in a warehouse.")] = None,
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

    Example: winpredict import env:WAREHOUSE --profile fivetran_salesforce --schema salesforce
    """
    if guess:
        _propose_profile(paths, as_json=as_json)
        return
    place = workspace_at(workspace)
    with place.writing():
        imported = import_into(place, paths, _required(profile), schema=schema, buckets=buckets)
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
    from winpredict.features.observations import Observations
    from winpredict.tables.quality import check_quality

    attributes = load_config(config).attributes
    crm = workspace_at(workspace).crm()
    with progress("checking"):
        quality = check_quality(crm)
        audit = audit_attributes(crm, keep=attributes.keep, drop=attributes.drop)
        seen = Observations.of(crm)
    told = seen.summary(audit, attributes.observed_deals)
    respond(
        {"quality": quality.findings, "leakage": audit.columns, "observed": seen.columns},
        lambda console: console.print(quality.summary(), audit.summary(), told, sep="\n\n", soft_wrap=True),
        as_json=as_json,
    )


def import_into(
    place: "Workspace",
    paths: Sequence[Path | str],
    profile: str,
    *,
    schema: str | None = None,
    buckets: int | None = None,
    afresh: bool = False,
) -> "Imported | ImportedParts":
    """Import files and warehouses into a workspace whose lock is held; `afresh` forgets what it held before."""
    from winpredict.ingest import load_profile
    from winpredict.ingest.files import is_warehouse
    from winpredict.ingest.importing import import_raw
    from winpredict.ingest.out_of_core import buckets_for
    from winpredict.sources.additions import Additions

    mapping = load_profile(profile)
    parted = place.buckets() if place.exists and not afresh else None
    buckets = len(parted) if parted is not None else buckets or buckets_for(paths, mapping)
    if buckets:
        return _import_parted(place, paths, profile, mapping, schema, buckets, afresh=afresh)
    earlier = place.crm() if place.exists and not afresh else None
    with progress("importing"):
        imported = import_raw(_raw_files(paths, mapping, schema), mapping, earlier=earlier)
    adds = "deals" not in mapping.tables and not any(is_warehouse(str(path)) for path in paths)
    if adds:
        Additions(place.added_folder).keep(paths, mapping)
    place.save_import(
        imported.crm,
        profile=profile,
        sources=imported.sources,
        repairs=imported.repairs,
        quarantine=imported.quarantine,
        more={"added": True} if adds else None,
    )
    return imported


def _import_parted(
    place: "Workspace",
    paths: Sequence[Path | str],
    profile: str,
    mapping: "Profile",
    schema: str | None,
    buckets: int,
    *,
    afresh: bool,
) -> "ImportedParts":
    """Import bucket by bucket; what a stopped import finished is kept in the workspace and used."""
    from winpredict.ingest.files import holds_one_table
    from winpredict.ingest.out_of_core import import_parted, source_plan

    earlier = None
    if place.exists and not afresh:
        earlier = place.buckets() or place.part(buckets)
    with progress_bar("importing") as steps:
        imported = import_parted(
            _raw_files(paths, mapping, schema, in_parts=True),
            mapping,
            place.importing_folder,
            buckets,
            plan=f"{source_plan(paths)} {schema} {place.state}",
            alone=holds_one_table(paths),
            earlier=earlier,
            steps=steps,
        )
    place.save_import(
        imported.buckets,
        profile=profile,
        sources=imported.sources,
        repairs=imported.repairs,
        quarantine=imported.quarantine,
    )
    return imported


def _raw_files(
    paths: Sequence[Path | str], profile: "Profile", schema: str | None, *, in_parts: bool = False
) -> "Iterator[RawFile]":
    from winpredict.ingest.files import is_warehouse, read_files
    from winpredict.sources.warehouse import read_warehouse

    for path in paths:
        if is_warehouse(str(path)):
            yield from read_warehouse(str(path), profile, schema=schema, in_parts=in_parts)
        else:
            yield from read_files([path], in_parts=in_parts)


def _required(profile: str | None) -> str:
    from winpredict.ingest import shipped_profiles

    if profile is None:
        raise ProfileError(
            f"name a mapping profile with --profile: {', '.join(shipped_profiles())}, or a YAML file of your own; "
            "`winpredict import PATH --guess` proposes one"
        )
    return profile


def _propose_profile(paths: Sequence[str], *, as_json: bool) -> None:
    from winpredict.ingest import guess_profile, profile_yaml
    from winpredict.ingest.files import is_warehouse

    if len(paths) > 1:
        raise ProfileError(f"--guess looks at one file at a time; {len(paths)} were named")
    if is_warehouse(paths[0]):
        raise ProfileError("--guess looks at files; save the table of deals as CSV or Parquet, and guess from that")
    proposal = profile_yaml(guess_profile(Path(paths[0])))
    if as_json:
        respond({"profile": proposal}, lambda console: None, as_json=True)
        return
    sys.stdout.write(proposal)
    print("save this as my.yaml, look it through, then: winpredict import ... --profile my.yaml", file=sys.stderr)


def _quarantined(imported: "Imported | ImportedParts") -> dict[str, int]:
    return {name: len(rows) for name, rows in imported.quarantine.items()}


def _show_import(console: "Console", place: "Workspace", imported: "Imported | ImportedParts") -> None:
    import pandas as pd

    rows = place.manifest["rows"]
    console.print(table(pd.DataFrame(list(rows.items()), columns=["table", "rows"]), "Imported", {"rows": ",d"}))
    if imported.repairs:
        repairs = pd.DataFrame(list(imported.repairs.items()), columns=["repaired or rejected", "rows"])
        console.print(table(repairs, "Repairs", {"rows": ",d"}))
    console.print(f"stored in {place.folder}; next: winpredict check --workspace {place.folder}")
