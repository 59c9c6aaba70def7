"""Import files and warehouses into a workspace, and propose a profile for unknown files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from winpredict.errors import ProfileError
from winpredict.locale.text import said, text

if TYPE_CHECKING:
    from winpredict._internal.progress import Bar
    from winpredict.config import InputLimits
    from winpredict.ingest import Imported, Profile
    from winpredict.ingest.files import RawFile
    from winpredict.ingest.guess import Guess
    from winpredict.ingest.out_of_core import ImportedParts
    from winpredict.workspace import Workspace


def import_files_into(
    workspace: "Workspace",
    paths: Sequence[Path | str],
    profile: str,
    *,
    schema: str | None = None,
    buckets: int | None = None,
    afresh: bool = False,
    limits: "InputLimits | None" = None,
    progress: "Bar | None" = None,
) -> "Imported | ImportedParts":
    """Import files and warehouses into a workspace whose lock is held.

    Parameters
    ----------
    workspace : Workspace
    paths : sequence of Path or str
        Files, folders and archives, or addresses of warehouses.
    profile : str
        Name or file of the mapping profile.
    schema : str, optional
        Of the tables in a warehouse.
    buckets : int, optional
        In so many parts, where the tables may not fit into memory; by default as the files' size asks for.
    afresh : bool
        Forget what the workspace held before.
    limits : InputLimits, optional
        How large and deep files may be.
    progress : callable, optional
        Called with the number of steps done and that of all.

    Returns
    -------
    Imported or ImportedParts

    Raises
    ------
    InputFileError, ProfileError
        When the files cannot be read, or the profile does not fit; the workspace is as it was.
    """
    from winpredict.connectors.erasing import without_erased
    from winpredict.connectors.supplementary_imports import SupplementaryImports
    from winpredict.ingest import load_profile
    from winpredict.ingest.files import is_warehouse
    from winpredict.ingest.importing import import_raw
    from winpredict.ingest.out_of_core import buckets_for

    mapping = load_profile(profile)
    partitioned = workspace.buckets() if workspace.exists and not afresh else None
    buckets = len(partitioned) if partitioned is not None else buckets or buckets_for(paths, mapping)
    if buckets:
        raw_files = without_erased(_raw_files(paths, mapping, schema, limits, in_parts=True), workspace.erased())
        return _import_out_of_core(
            workspace,
            paths,
            profile,
            mapping,
            raw_files,
            f"{schema}",
            buckets,
            limits,
            afresh=afresh,
            progress=progress,
        )
    earlier = workspace.crm() if workspace.exists and not afresh else None
    raw_files = without_erased(_raw_files(paths, mapping, schema, limits), workspace.erased())
    imported = import_raw(raw_files, mapping, earlier=earlier, earlier_files=_files_of(workspace, earlier))
    adds = "deals" not in mapping.tables and not any(is_warehouse(str(path)) for path in paths)
    if adds:
        SupplementaryImports(workspace.added_folder, workspace.erased()).keep(paths, mapping)
    workspace.save_import(
        imported.crm,
        profile=profile,
        sources=imported.sources,
        repairs=imported.repairs,
        quarantine=imported.quarantine,
        more={"added": True} if adds else None,
    )
    return imported


def _import_out_of_core(
    workspace: "Workspace",
    paths: Sequence[Path | str],
    profile: str,
    mapping: "Profile",
    raw_files: "Iterator[RawFile]",
    schema: str,
    buckets: int,
    limits: "InputLimits | None",
    *,
    afresh: bool,
    progress: "Bar | None",
) -> "ImportedParts":
    """Import bucket by bucket; what a stopped import finished is kept in the workspace and used."""
    from winpredict.ingest.files import holds_one_table
    from winpredict.ingest.out_of_core import import_out_of_core, source_plan

    earlier = None
    if workspace.exists and not afresh:
        earlier = workspace.buckets() or workspace.part(buckets)
    imported = import_out_of_core(
        raw_files,
        mapping,
        workspace.importing_folder,
        buckets,
        plan=f"{source_plan(paths)} {schema} {workspace.state}",
        alone=holds_one_table(paths, encoding=mapping.encoding, limits=limits),
        earlier=earlier,
        earlier_files=_files_of(workspace, earlier),
        progress=progress,
    )
    workspace.save_import(
        imported.buckets,
        profile=profile,
        sources=imported.sources,
        repairs=imported.repairs,
        quarantine=imported.quarantine,
    )
    return imported


def _files_of(workspace: "Workspace", earlier: object) -> list[str]:
    """The hashes of all files that the tables of a workspace were made of."""
    imports = workspace.manifest["imports"] if earlier is not None else []
    return [str(source["sha256"]) for each in imports for source in each["sources"] if source["tables"]]


def _raw_files(
    paths: Sequence[Path | str],
    profile: "Profile",
    schema: str | None,
    limits: "InputLimits | None",
    *,
    in_parts: bool = False,
) -> "Iterator[RawFile]":
    from winpredict.connectors.warehouse.reader import read_warehouse
    from winpredict.ingest.files import is_warehouse, read_files

    for path in paths:
        if is_warehouse(str(path)):
            yield from read_warehouse(str(path), profile, schema=schema, in_parts=in_parts)
        else:
            yield from read_files([path], in_parts=in_parts, limits=limits, encoding=profile.encoding)


@dataclass(frozen=True)
class Proposal:
    """A profile for unknown files.

    Parameters
    ----------
    guess : Guess
        The profile, and what is to be confirmed.
    imported : Imported or None
        What an import by it would understand; None where it would be refused.
    refusal : str
        Why it would be refused, if it would.
    """

    guess: "Guess"
    imported: "Imported | None"
    refusal: str = ""


def propose_profile(
    paths: Sequence[str], limits: "InputLimits", *, progress: "Callable[[str], None] | None" = None
) -> Proposal:
    """A profile for unknown files, and what an import by it would understand; nothing is stored.

    Parameters
    ----------
    paths : sequence of str
    limits : InputLimits
    progress : callable, optional
        Called with words for what is under way.

    Raises
    ------
    ProfileError
        When a warehouse is among them, or nothing that looks like deals.
    """
    from winpredict.errors import WinPredictError
    from winpredict.ingest.files import is_warehouse, read_files
    from winpredict.ingest.guess import propose
    from winpredict.ingest.importing import import_raw

    if any(is_warehouse(path) for path in paths):
        raise ProfileError(
            text(
                "name a mapping profile with --profile; one is proposed for files only. Save the table of "
                "deals as CSV or Parquet, and import that without --profile"
            )
        )
    guess = propose(paths, limits=limits)
    if progress is not None:
        progress(said("what would be understood"))
    try:
        imported = import_raw(read_files(paths, limits=limits, encoding=guess.profile.encoding), guess.profile)
    except WinPredictError as error:
        return Proposal(guess, None, str(error))
    known = {point["text"] for point in guess.points}
    points = [*guess.points, *(point for point in imported.understood.points if point["text"] not in known)]
    return Proposal(guess, replace(imported, understood=replace(imported.understood, points=points)))
