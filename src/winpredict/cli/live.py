"""``winpredict connect`` and ``winpredict sync``: live CRMs."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from winpredict._internal.progress import progress, progress_bar
from winpredict.cli.options import ConfigOption, JsonOption, WorkspaceOption, workspace_at
from winpredict.cli.output import Column, respond, table
from winpredict.errors import CRMError, WorkspaceError
from winpredict.locale.text import Text, said, text, texts

if TYPE_CHECKING:
    from rich.console import Console

    from winpredict.config import Config
    from winpredict.connectors.base import Description
    from winpredict.connectors.store import RawStore
    from winpredict.connectors.supplementary_imports import SupplementaryImports
    from winpredict.connectors.sync import Synced
    from winpredict.ingest import Profile
    from winpredict.ingest.importing import Imported
    from winpredict.tables.crm import CRMData
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
    from winpredict.connectors.registry import connect_to
    from winpredict.ingest import load_profile

    if out is not None and out.exists():
        raise WorkspaceError(
            text("{out} exists already and may have been edited; name another file with --out", out=out)
        )
    source = connect_to(crm, load_config(config))
    with progress(said("asking {crm}", crm=crm)):
        description = source.describe()
    proposal = account_profile(crm, load_profile(crm), description)
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

    The first sync reads everything. A stopped sync resumes where it was.

    Example: winpredict sync salesforce --workspace my-project

    Example: winpredict sync hubspot --profile my.yaml --replay
    """
    from winpredict.config import load_config

    if full and replay:
        raise CRMError(text("--replay reads nothing and --full reads everything; leave one of them out"))
    workspace, settings = workspace_at(workspace_folder), load_config(config)
    with workspace.writing():
        done = sync_workspace(workspace, crm, settings, profile=profile, full=full, replay=replay)
    respond(done.facts(workspace), lambda console: _show_sync(console, workspace, done), as_json=as_json)


@dataclass(frozen=True)
class WorkspaceSync:
    """What came of a sync of a workspace.

    Parameters
    ----------
    crm : str
    profile : str
        The mapping profile that was used.
    synced : Synced or None
        What was read; None for a replay.
    imported : Imported or None
        The tables that were made; None where there was no need to.
    rewritten : bool
        Whether the tables hold anything else than before.
    replaced : bool
        Whether what was imported from files before is no longer there.
    """

    crm: str
    profile: str
    synced: "Synced | None"
    imported: "Imported | None" = None
    rewritten: bool = False
    replaced: bool = False

    def facts(self, workspace: "Workspace") -> dict[str, Any]:
        """What ``--json`` prints."""
        manifest = workspace.manifest
        read = {} if self.synced is None else {name: asdict(counts) for name, counts in self.synced.read.items()}
        quarantine = {} if self.imported is None else self.imported.quarantine
        return {
            "crm": self.crm,
            "account": None if self.synced is None else self.synced.account,
            "read": read,
            "skipped": {} if self.synced is None else self.synced.skipped,
            "remarks": [] if self.synced is None else self.synced.remarks,
            "rewritten": self.rewritten,
            "replaced_files": self.replaced,
            **{key: manifest[key] for key in ("profile", "fingerprint", "known_until", "rows")},
            "repairs": manifest["imports"][-1]["repairs"],
            "quarantined": {name: len(rows) for name, rows in quarantine.items()},
        }


def sync_workspace(
    workspace: "Workspace",
    crm: str,
    config: "Config",
    *,
    profile: str | None = None,
    full: bool = False,
    replay: bool = False,
) -> WorkspaceSync:
    """Sync a workspace whose lock is held.

    Raises
    ------
    CRMError
        When the CRM cannot be reached or read; what was read so far is kept, and the tables are as they were.
    ProfileError
    WorkspaceError
        When the workspace holds another CRM, or partitioned tables.
    """
    from winpredict.connectors.registry import connect_to, require_known
    from winpredict.connectors.store import RawStore
    from winpredict.connectors.sync import sync as read_source
    from winpredict.ingest import load_profile

    store = RawStore(workspace.raw_folder / require_known(crm), workspace.erased())
    _refuse_others(workspace, crm)
    wanted = profile or str(_last_sync(workspace, crm).get("profile", crm))
    mapping = load_profile(wanted)
    synced = None
    if not replay:
        source = connect_to(crm, config)
        with progress_bar(said("syncing {crm}", crm=crm)) as bar:
            synced = read_source(
                source,
                store,
                config.crm.sync,
                full=full,
                progress=lambda name, records, done, of: bar(done, of, _records(name, records)),
            )
    return _replay(workspace, store, wanted, mapping, synced)


def _refuse_others(workspace: "Workspace", crm: str) -> None:
    if not workspace.exists:
        return
    if workspace.buckets() is not None:
        raise WorkspaceError(
            text(
                "the tables of {folder} are split into buckets, which sync does not rebuild; name another "
                "folder with --workspace",
                folder=workspace.folder,
            )
        )
    others = {each["crm"] for each in workspace.manifest["imports"] if each.get("crm", crm) != crm}
    if others:
        raise WorkspaceError(
            text(
                "{folder} is synced with {others}; name another folder for {crm} with --workspace",
                folder=workspace.folder,
                others=", ".join(sorted(others)),
                crm=crm,
            )
        )


def _last_sync(workspace: "Workspace", crm: str) -> dict[str, Any]:
    """The record of the last sync of the workspace; empty before the first."""
    imports = workspace.manifest["imports"] if workspace.exists else []
    return next((each for each in reversed(imports) if each.get("crm") == crm), {})


def _replay(
    workspace: "Workspace", store: "RawStore", profile: str, mapping: "Profile", synced: "Synced | None"
) -> WorkspaceSync:
    from winpredict.connectors.replay import replayed
    from winpredict.connectors.supplementary_imports import SupplementaryImports
    from winpredict.workspace import fingerprint

    supplementary_imports = SupplementaryImports(workspace.added_folder, workspace.erased())
    made_of, last = _made_of(store, mapping, supplementary_imports), _last_sync(workspace, store.crm)
    files = [each for each in workspace.manifest["imports"] if "crm" not in each] if workspace.exists else []
    kept = [each for each in files if each.get("added") or not _tables_of(each) & set(mapping.tables)]
    with progress(said("mapping records")):
        if (
            kept == files
            and last.get("made_of") == made_of
            and store.known_until is not None
            and not _will_change(last["repairs"])
        ):
            workspace.know_until(store.known_until)
            return WorkspaceSync(store.crm, profile, synced)
        imported = supplementary_imports.added_to(replayed(store, mapping))
        crm = _with_unmapped(workspace, mapping, imported.crm)
        earlier = workspace.crm() if workspace.exists else None
        lasting = _lasting(profile)
        if earlier is not None and crm.known_until is not None and last.get("repairs") == imported.repairs:
            as_before = replace(crm, known_until=earlier.known_until)
            if fingerprint(as_before) == fingerprint(earlier):
                record = last | {"profile": lasting, "made_of": made_of, "sources": imported.sources}
                workspace.know_until(crm.known_until, [*kept, record])
                return WorkspaceSync(store.crm, profile, synced, imported)
        workspace.save_import(
            crm,
            profile=lasting,
            sources=imported.sources,
            repairs=imported.repairs,
            quarantine=imported.quarantine,
            keeping=kept,
            more={"crm": store.crm, "made_of": made_of},
        )
    return WorkspaceSync(store.crm, profile, synced, imported, rewritten=True, replaced=len(kept) < len(files))


def _made_of(store: "RawStore", mapping: "Profile", supplementary_imports: "SupplementaryImports") -> str:
    """A hash of all that decides what the tables hold, but for the time."""
    records = [(name, store.sha256(name)) for name in store.objects]
    inputs = f"{version('winpredict')} {mapping.model_dump_json()} {records} {supplementary_imports.sha256}"
    return hashlib.sha256(inputs.encode()).hexdigest()


def _will_change(repairs: dict[str, int]) -> bool:
    """Whether time alone changes the tables: what is dated ahead comes in later."""
    return any("in the future" in cause for cause in repairs)


def _tables_of(record: dict[str, Any]) -> set[str]:
    return {name for source in record["sources"] for name in source.get("tables", ())}


def _with_unmapped(workspace: "Workspace", mapping: "Profile", crm: "CRMData") -> "CRMData":
    """Tables that the profile does not map, such as quotas imported from a file, stay as they are."""
    if not workspace.exists:
        return crm
    mapped = {"deals", "attribute_history", *mapping.tables}
    kept: dict[str, Any] = {}
    for name, frame in workspace.crm().tables():
        if name not in mapped and crm.rows.get(name) is None:
            known = frame["deal_id"].isin(crm.deals["deal_id"]) if "deal_id" in frame else slice(None)
            kept[name] = frame[known].reset_index(drop=True)
    return replace(crm, **kept)


def _lasting(profile: str) -> str:
    """A profile as the next sync finds it, from whatever folder it is run."""
    from winpredict.ingest import shipped_profiles

    return profile if profile in shipped_profiles() else str(Path(profile).resolve())


def _records(name: str, records: int) -> str:
    """How many records of a kind have been read."""
    return str(texts("{name}, {n:count} record", "{name}, {n:count} records", name=name, n=records))


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
