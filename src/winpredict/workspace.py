"""The folder a project lives in: tables, manifest, quarantine, models and scores."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from winpredict._internal.atomic import replacing_folder
from winpredict._internal.spreadsheets import without_formulas
from winpredict.errors import WorkspaceBusyError, WorkspaceError
from winpredict.locale.text import text

if TYPE_CHECKING:
    import pandas as pd

    from winpredict.tables.buckets import DealBuckets
    from winpredict.tables.crm import CRMData

SCHEMA_VERSION = 1
DEFAULT_FOLDER = "winpredict-workspace"
ENVIRONMENT_VARIABLE = "WINPREDICT_WORKSPACE"
_SCORES = "scores-"
_TABLES, _QUARANTINE, _MANIFEST = "tables", "quarantine", "manifest.json"
#: A finished import that waits for its parts to be moved to their places; see `Workspace.save_import`.
_INCOMING = ".incoming"
#: Tables in one piece, parted for work in buckets; named by what they hold.
_PARTITIONED = ".parted-"


@dataclass(frozen=True)
class Workspace:
    """A folder that holds everything of one project.

    It holds ``tables/`` (Parquet), ``manifest.json`` (schema version, source hashes, profile, history of imports),
    ``quarantine/`` (rejected and repaired rows), ``raw/`` (records of a live CRM), ``mlflow.db`` and ``artifacts/``
    (MLflow), and ``scores/``.

    Parameters
    ----------
    folder : Path
        See `default_folder` for what the command line takes when none is named.

    Examples
    --------
    >>> import tempfile
    >>> Workspace(Path(tempfile.mkdtemp())).exists
    False
    """

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether anything was imported."""
        return (self.folder / _MANIFEST).exists() or (self.folder / _INCOMING).exists()

    @property
    def manifest(self) -> dict[str, Any]:
        """Schema version, fingerprint, profile, rows of each table and the history of imports.

        Raises
        ------
        WorkspaceError
            When nothing was imported, or by a winpredict with another layout.
        """
        self._settle_if_idle()
        path = self.folder / _MANIFEST
        if not path.exists():
            raise WorkspaceError(
                text(
                    "{folder} holds no imported data; run `winpredict import PATH --profile NAME --workspace "
                    "{folder}` first, or `winpredict demo` to try it out",
                    folder=self.folder,
                )
            )
        return _read_manifest(path)

    def crm(self) -> "CRMData":
        """The imported tables.

        Raises
        ------
        WorkspaceError
            When nothing was imported.
        TableError
            When the tables are of another schema version.
        """
        from winpredict.tables.crm import CRMData

        buckets = self.buckets()
        return CRMData.load(self.folder / _TABLES) if buckets is None else buckets.whole()

    def tables(self) -> "CRMData | DealBuckets":
        """The imported tables: buckets where they are parted, else all in memory."""
        return self.buckets() or self.crm()

    def buckets(self) -> "DealBuckets | None":
        """The imported tables, to be looked at in parts; None where they were imported in one piece.

        Raises
        ------
        WorkspaceError
            When nothing was imported.
        """
        from winpredict.tables.buckets import DealBuckets, is_partitioned

        _ = self.manifest
        return DealBuckets.open(self.folder / _TABLES) if is_partitioned(self.folder / _TABLES) else None

    def part(self, buckets: int) -> "DealBuckets":
        """Part tables that were imported in one piece; the parted ones stand beside them until the next import."""
        from winpredict.tables.buckets import DealBuckets, is_partitioned

        place = self.folder / f"{_PARTITIONED}{self.state[:16]}-{buckets}"
        return DealBuckets.open(place) if is_partitioned(place) else DealBuckets.write(self.crm(), place, buckets)

    @property
    def state(self) -> str:
        """What the tables hold, as a hash; empty before the first import."""
        return str(self.manifest["fingerprint"]) if self.exists else ""

    @property
    def raw_folder(self) -> Path:
        """Where the raw records of live CRMs are kept, a folder each; see `winpredict.sources.raw_records`."""
        return self.folder / "raw"

    @property
    def added_folder(self) -> Path:
        """Where files are kept that add to the deals of a CRM; see `winpredict.sources.supplementary_imports`."""
        return self.raw_folder / "added"

    @property
    def importing_folder(self) -> Path:
        """Where a parted import does its work, and goes on after a kill."""
        return self.folder / ".importing"

    def save_import(
        self,
        tables: "CRMData | DealBuckets",
        *,
        profile: str,
        sources: Sequence[Mapping[str, Any]] = (),
        repairs: Mapping[str, int] | None = None,
        quarantine: "Mapping[str, pd.DataFrame] | None" = None,
        keeping: Sequence[Mapping[str, Any]] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Store imported tables; all of them or, if this is killed or the disk is full, none.

        Parameters
        ----------
        tables : CRMData or DealBuckets
            The folder of buckets is moved here.
        profile : str
            Name or path of the mapping profile.
        sources : sequence of mapping
            What was read: path and sha256 of each file, and whatever else is worth remembering.
        repairs : mapping of str to int
            Rows repaired or rejected, by cause.
        quarantine : mapping of str to DataFrame
            Those rows, by table.
        keeping : sequence of mapping
            Records of earlier imports of which the tables still hold something; by default all.
        more : mapping
            Further facts for the record of this import.

        Raises
        ------
        WorkspaceError
            When the disk is full or the folder cannot be written; the earlier state stands.
        """
        from winpredict.tables.buckets import DealBuckets

        self._settle()
        earlier = self.manifest["imports"] if self.exists else []
        record = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "profile": profile,
            "sources": list(sources),
            "repairs": dict(repairs or {}),
            **(more or {}),
        }
        # The rename that ends this block is the one moment at which the import becomes true.
        with replacing_folder(self.folder / _INCOMING) as staging:
            manifest = _manifest(tables, profile, [*(earlier if keeping is None else keeping), record])
            if isinstance(tables, DealBuckets):
                os.replace(tables.folder, staging / _TABLES)
            else:
                tables.save(staging / _TABLES)
            (staging / _QUARANTINE).mkdir()
            for name, rows in (quarantine or {}).items():
                without_formulas(rows).to_csv(staging / _QUARANTINE / f"{name}.csv", index=False)
            (staging / _MANIFEST).write_text(json.dumps(manifest, indent=2, default=str) + "\n")
        self._settle()

    def know_until(self, moment: "pd.Timestamp", imports: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Note that nothing else was recorded until a later moment; the tables stay as they are.

        Parameters
        ----------
        moment : Timestamp
        imports : sequence of mapping, optional
            What is to stand as the history of imports from now on, the last one with its profile.

        Raises
        ------
        WorkspaceError
            As `save_import`.
        """
        from winpredict.tables.buckets import DealBuckets, is_partitioned
        from winpredict.tables.crm import CRMData

        self._settle()
        manifest = self.manifest
        if imports is None and manifest["known_until"] == moment.isoformat():
            return
        profile = manifest["profile"] if imports is None else str(imports[-1]["profile"])
        records = manifest["imports"] if imports is None else [dict(each) for each in imports]
        with replacing_folder(self.folder / _INCOMING) as staging:
            tables = staging / _TABLES
            shutil.copytree(self.folder / _TABLES, tables, copy_function=_linked)
            said = json.loads((tables / "crm.json").read_text()) | {"known_until": moment.isoformat()}
            (tables / "crm.json").unlink()  # it is linked: what is written into it would be written into the old one
            (tables / "crm.json").write_text(json.dumps(said, indent=2) + "\n")
            known = DealBuckets.open(tables) if is_partitioned(tables) else CRMData.load(tables)
            manifest = _manifest(known, profile, records)
            (staging / _MANIFEST).write_text(json.dumps(manifest, indent=2, default=str) + "\n")
        self._settle()

    def keep_profile(self, name: str, text: str) -> Path:
        """Keep a mapping profile that was proposed for this project's files.

        Parameters
        ----------
        name : str
            Of the profile; what cannot be in the name of a file is left out.
        text : str
            YAML, see `winpredict.ingest.profile_yaml`.

        Returns
        -------
        Path
        """
        from winpredict._internal.atomic import replacing

        plain = "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in name).strip() or "profile"
        path = self.folder / "profiles" / f"{plain}.yaml"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path

    @property
    def scores_folder(self) -> Path:
        """Where scores are kept."""
        return self.folder / "scores"

    def latest_scores(self, before: "pd.Timestamp | None" = None) -> "pd.DataFrame | None":
        """The scores of the latest day that the tables know of, whenever they were made; None where there are none.

        Parameters
        ----------
        before : Timestamp, optional
            Only scores of days before that of this moment.
        """
        import pandas as pd

        until = self.manifest["known_until"]
        if until is None:
            path = self.scores_folder / f"{_SCORES}undated.parquet"
            return pd.read_parquet(path) if before is None and path.exists() else None
        last = until[:10] if before is None else f"{before - pd.Timedelta(days=1):%Y-%m-%d}"
        kept = {
            path.stem.removeprefix(_SCORES): path for path in self.scores_folder.glob(f"{_SCORES}????-??-??.parquet")
        }
        days = sorted(day for day in kept if day <= last)
        return pd.read_parquet(kept[days[-1]]) if days else None

    def keep_scores(self, scores: "pd.DataFrame", day: "pd.Timestamp | None") -> Path:
        """Keep the scores of a day in the place of those that were made for it before."""
        from winpredict._internal.spreadsheets import write_table

        path = self.scores_folder / f"{_SCORES}{'undated' if day is None else f'{day:%Y-%m-%d}'}.parquet"
        write_table(scores, path)
        return path

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the workspace's lock; for everything that changes tables or models.

        The system lets go of the lock when its holder ends in whatever way, so a lock file left behind by a killed
        process stands in nobody's way.

        Raises
        ------
        WorkspaceBusyError
            When another process holds it.
        WorkspaceError
            When the folder cannot be made.
        """
        with self._lock_file() as file:
            if not _locked(file):
                file.seek(0)
                raise WorkspaceBusyError(
                    text(
                        "{folder} is being written by process {file}; wait until that has ended, or stop it, "
                        "and run the command again",
                        folder=self.folder,
                        file=file.read().decode() or "unknown",
                    )
                )
            with self._written():
                file.truncate(0)
                file.write(str(os.getpid()).encode())
            self._settle()
            self._sweep()
            yield

    def _lock_file(self) -> IO[bytes]:
        with self._written():
            self.folder.mkdir(parents=True, exist_ok=True)
            return (self.folder / ".lock").open("a+b", buffering=0)

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Say in a sentence why the folder cannot be written."""
        try:
            yield
        except OSError as error:
            raise WorkspaceError(
                text(
                    "cannot write in {folder}: {strerror}. Free some space, or name a folder you may write to "
                    "with --workspace, then run the command again",
                    folder=self.folder,
                    strerror=error.strerror or error,
                )
            ) from error

    def _sweep(self) -> None:
        """Remove what a killed import left half written; only under the lock, since a running one looks the same."""
        for left in self.folder.glob(f"{_INCOMING}-*"):
            shutil.rmtree(left, ignore_errors=True)

    def _settle(self) -> None:
        """Move the parts of a finished import to their places; goes on where a killed process stopped."""
        incoming = self.folder / _INCOMING
        if not incoming.exists():
            return
        with self._written():
            for name in (_TABLES, _QUARANTINE, _MANIFEST):
                if (incoming / name).exists():
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                    os.replace(incoming / name, self.folder / name)
            shutil.rmtree(incoming)
            # the second kind is what a killed process had half written
            for left in (
                self.importing_folder,
                *self.folder.glob(f"{_PARTITIONED}*"),
                *self.folder.glob(f".{_PARTITIONED}*"),
            ):
                shutil.rmtree(left, ignore_errors=True)

    def _settle_if_idle(self) -> None:
        """For readers, who hold no lock: finish a killed import, but keep off one that is running."""
        if not (self.folder / _INCOMING).exists():
            return
        with self.writing():
            pass


def default_folder() -> Path:
    """``$WINPREDICT_WORKSPACE``, else ``./winpredict-workspace``."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FOLDER)


def fingerprint(tables: "CRMData | DealBuckets") -> str:
    """A hash of what the tables hold; neither the order of rows nor their buckets matter.

    Parameters
    ----------
    tables : CRMData or DealBuckets

    Returns
    -------
    str
        64 hexadecimal digits (SHA-256).
    """
    from winpredict.tables.buckets import OF_DEALS
    from winpredict.tables.crm import CRMData

    sums: dict[str, list[int]] = {}
    kinds: dict[str, list[tuple[str, str]]] = {}
    for crm in [tables] if isinstance(tables, CRMData) else tables:
        for name, frame in crm.tables():
            if isinstance(tables, CRMData) or name in OF_DEALS:
                _add_rows(name, frame, sums, kinds)
    for name, frame in () if isinstance(tables, CRMData) else tables.shared.items():
        _add_rows(name, frame, sums, kinds)
    facts = (tables.stage_order, tables.known_until, sorted(sums.items()), sorted(kinds.items()))
    return hashlib.sha256(str(facts).encode()).hexdigest()


def _add_rows(
    name: str, frame: "pd.DataFrame", sums: dict[str, list[int]], kinds: dict[str, list[tuple[str, str]]]
) -> None:
    """Add the rows of a table to sums over hashes that no order of the rows changes."""
    from winpredict.tables.rows import row_hashes

    hashed = row_hashes(frame)
    found = (len(hashed), int(hashed.sum()), int((hashed * (hashed >> 32 | 1)).sum()))
    sums[name] = [(old + new) % 2**64 for old, new in zip(sums.get(name, [0, 0, 0]), found, strict=True)]
    kinds[name] = [(str(column), str(dtype)) for column, dtype in frame.dtypes.items()]


def _manifest(tables: "CRMData | DealBuckets", profile: str, imports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "winpredict": version("winpredict"),
        "profile": profile,
        "fingerprint": fingerprint(tables),
        "known_until": None if tables.known_until is None else tables.known_until.isoformat(),
        "rows": tables.rows,
        "imports": imports,
    }


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            text("{path} cannot be read ({error}); import the data again into a new folder", path=path, error=error)
        ) from None
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise WorkspaceError(
            text(
                "{parent} has layout version {value}, this winpredict reads {schema_version}; import the data "
                "again into a new folder",
                parent=path.parent,
                value=manifest.get("schema_version"),
                schema_version=SCHEMA_VERSION,
            )
        )
    return manifest


def _linked(source: str, target: str) -> None:
    """The same file under another name; a copy where the file system knows no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _locked(file: IO[bytes]) -> bool:
    """Try to lock an open file until it is closed."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
