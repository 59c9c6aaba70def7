"""Read what is new in a live CRM into a workspace."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict.errors import WorkspaceError
from winpredict.locale.text import said, text, texts

if TYPE_CHECKING:
    from winpredict._internal.progress import Bar
    from winpredict.config import Config
    from winpredict.connectors.store import RawStore
    from winpredict.connectors.supplementary_imports import SupplementaryImports
    from winpredict.connectors.sync import Synced
    from winpredict.ingest import Profile
    from winpredict.ingest.importing import Imported
    from winpredict.tables.crm import CRMData
    from winpredict.workspace import Workspace


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
            "hidden": {} if self.synced is None else self.synced.hidden,
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
    progress: "Bar | None" = None,
) -> WorkspaceSync:
    """Read what is new in a live CRM into a workspace whose lock is held, and map the records into its tables.

    Parameters
    ----------
    workspace : Workspace
    crm : str
        Name of the CRM, such as salesforce.
    config : Config
        Its section crm says how the CRM is reached.
    profile : str, optional
        Mapping profile; by default that of the last sync, or else the CRM's shipped one.
    full : bool
        Read everything again.
    replay : bool
        Read nothing; map the stored records again.
    progress : callable, optional
        Called with the number of objects read, that of all, and words for what is under way.

    Returns
    -------
    WorkspaceSync

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

        def tell(name: str, records: int, done: int, of: int) -> None:
            if progress is not None:
                progress(done, of, _records(name, records))

        synced = read_source(source, store, config.crm.sync, profile=mapping, full=full, progress=tell)
    if progress is not None:
        progress(1, 1, said("mapping records"))
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
    blind = last_blind(workspace) if synced is None else {"objects": synced.skipped, "fields": synced.hidden}
    made_of, last = _made_of(store, mapping, supplementary_imports), _last_sync(workspace, store.crm)
    files = [each for each in workspace.manifest["imports"] if "crm" not in each] if workspace.exists else []
    kept = [each for each in files if each.get("added") or not _tables_of(each) & set(mapping.tables)]
    if (
        kept == files
        and last.get("made_of") == made_of
        and store.known_until is not None
        and not _will_change(last["repairs"])
    ):
        same = last.get("blind", {}) == blind
        workspace.know_until(store.known_until, None if same else [*kept, last | {"blind": blind}])
        return WorkspaceSync(store.crm, profile, synced)
    imported = supplementary_imports.added_to(replayed(store, mapping))
    crm = _with_unmapped(workspace, mapping, imported.crm)
    earlier = workspace.crm() if workspace.exists else None
    lasting = _lasting(profile)
    if earlier is not None and crm.known_until is not None and last.get("repairs") == imported.repairs:
        as_before = replace(crm, known_until=earlier.known_until)
        if fingerprint(as_before) == fingerprint(earlier):
            record = last | {"profile": lasting, "made_of": made_of, "sources": imported.sources, "blind": blind}
            workspace.know_until(crm.known_until, [*kept, record])
            return WorkspaceSync(store.crm, profile, synced, imported)
    workspace.save_import(
        crm,
        profile=lasting,
        sources=imported.sources,
        repairs=imported.repairs,
        quarantine=imported.quarantine,
        keeping=kept,
        more={"crm": store.crm, "made_of": made_of, "blind": blind},
    )
    return WorkspaceSync(store.crm, profile, synced, imported, rewritten=True, replaced=len(kept) < len(files))


def last_blind(workspace: "Workspace") -> dict[str, Any]:
    """What the last sync could not see, by ``objects`` (with what would mend it) and ``fields``; empty where all was.

    Parameters
    ----------
    workspace : Workspace
    """
    imports = workspace.manifest["imports"] if workspace.exists else []
    record: Mapping[str, Any] = next((each for each in reversed(imports) if "crm" in each), {})
    return dict(record.get("blind", {}))


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
