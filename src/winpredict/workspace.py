"""The folder a project lives in: versions of its tables, quarantine, models and scores."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from winpredict._internal.atomic import point_to, sync_folder
from winpredict._internal.locks import Lease, make_leasable, take_for_removal, try_lock
from winpredict._internal.private import keep_all_private, keep_private, make_folder, open_private
from winpredict._internal.spreadsheets import without_formulas
from winpredict.errors import TableError, WorkspaceBusyError, WorkspaceError
from winpredict.locale.text import text
from winpredict.privacy.erased import Erased

if TYPE_CHECKING:
    import pandas as pd

    from winpredict._internal.stored_files import StoredFiles
    from winpredict.privacy.scrubbing import Scrubber
    from winpredict.tables.buckets import DealBuckets
    from winpredict.tables.crm import CRMData

#: Of the manifest; 1 had the tables in the workspace's own folder, without records of their files.
SCHEMA_VERSION = 2
_READABLE = (1, 2)
DEFAULT_FOLDER = "winpredict-workspace"
ENVIRONMENT_VARIABLE = "WINPREDICT_WORKSPACE"
#: Versions of the tables that are kept: the current one and those before it.
KEPT_VERSIONS = 2
_SCORES = "scores-"
_TABLES, _QUARANTINE, _MANIFEST = "tables", "quarantine", "manifest.json"
_VERSIONS, _CURRENT = "versions", "current"
#: Names of what is being written or removed in the folder of versions.
_UNFINISHED, _REMOVED = ".unfinished-", ".removed-"
#: Tables in one piece, partitioned for work in buckets.
_PARTITIONED = "partitioned-"
#: All that a workspace holds, as patterns. It may be a folder that holds other things too, whose modes are not ours.
_OURS = (
    _CURRENT, _MANIFEST, _VERSIONS, _TABLES, _QUARANTINE, "raw", "scores", "runs", "push", "reports", "profiles",
    "artifacts", "mlflow.db*", "app.db*", "models.json", "health.json", "demo.json", "receipts", "erased.json",
    "errors", ".importing", ".lock", ".parted-*",
)  # fmt: skip
#: A version that a reader is about to open may be pruned: so often the reader looks for the current one again.
_TRIES = 100


_RECOVERY = "Restore the workspace from a backup, or import the data again into a new folder (--workspace)"


class _NothingToChangeError(Exception):
    """The version under way would be the same as the current one."""


@dataclass(frozen=True)
class WorkspaceVersion:
    """The tables of a workspace as one import left them: whatever is stored later, what is read here stays the same.

    Parameters
    ----------
    folder : Path
        Immutable; it is not removed as long as this object lives.
    manifest : dict
        Schema version, fingerprint, profile, rows and files of each table and the history of imports.
    """

    folder: Path
    manifest: dict[str, Any]
    _lease: Lease | None = field(default=None, repr=False, compare=False)

    @property
    def state(self) -> str:
        """What the tables hold, as a hash."""
        return str(self.manifest["fingerprint"])

    @property
    def quarantine_folder(self) -> Path:
        """Where the rejected and repaired rows of the import are."""
        return self.folder / _QUARANTINE

    def crm(self) -> "CRMData":
        """The imported tables.

        Raises
        ------
        TableError
            When a file is missing or damaged, or the tables are of another schema version.
        """
        from winpredict.tables.crm import CRMData

        buckets = self.buckets()
        return CRMData.load(self.folder / _TABLES, self.files) if buckets is None else buckets.whole()

    def tables(self) -> "CRMData | DealBuckets":
        """The imported tables: buckets where they are partitioned, else all in memory."""
        return self.buckets() or self.crm()

    def buckets(self) -> "DealBuckets | None":
        """The imported tables, to be looked at in parts; None where they were imported in one piece."""
        from winpredict.tables.buckets import DealBuckets, is_partitioned

        if self.files is not None:
            self.files.check("crm.json")
        if not is_partitioned(self.folder / _TABLES):
            return None
        return DealBuckets.open(self.folder / _TABLES, self.files, self._lease)

    def part(self, buckets: int) -> "DealBuckets":
        """Partition tables that were imported in one piece; the parts are kept as long as this version is."""
        from winpredict.tables.buckets import DealBuckets, is_partitioned

        folder = self.folder / f"{_PARTITIONED}{buckets}"
        if not is_partitioned(folder):
            with TemporaryDirectory(dir=self.folder, prefix=f".{folder.name}-") as beside:
                DealBuckets.write(self.crm(), Path(beside) / _TABLES, buckets)
                with suppress(OSError):  # another process was quicker, with the same tables
                    os.rename(Path(beside) / _TABLES, folder)
        return DealBuckets.open(folder, lease=self._lease)

    @cached_property
    def files(self) -> "StoredFiles | None":
        """What each file of the tables is to hold; None of an import by an earlier winpredict."""
        from winpredict._internal.stored_files import StoredFiles

        plain = self.manifest.get("files")
        return None if plain is None else StoredFiles.from_json(self.folder / _TABLES, plain, _RECOVERY, TableError)


@dataclass(frozen=True)
class Workspace:
    """A folder that holds everything of one project.

    It holds ``versions/`` (of each import the tables as Parquet, ``manifest.json`` and ``quarantine/``), ``current``
    (the name of the version that counts), ``raw/`` (records of a live CRM), ``mlflow.db`` and ``artifacts/`` (MLflow),
    and ``scores/``.

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
        return (self.folder / _CURRENT).exists() or bool(self._names()) or (self.folder / _MANIFEST).exists()

    def version(self) -> WorkspaceVersion:
        """The tables as they are now; who reads several things of them reads them all from one version.

        Raises
        ------
        WorkspaceError
            When nothing was imported, by a winpredict with another layout, or the workspace is damaged.
        """
        for _ in range(_TRIES):
            name = self._current()
            folder = self.folder if name is None else self.folder / _VERSIONS / name
            try:
                lease = None if name is None else Lease(folder)
            except FileNotFoundError:
                if name != self._current():
                    continue  # pruned between the two looks: another one counts now
                raise self._damaged(folder / "lease") from None
            return WorkspaceVersion(folder, _read_manifest(folder / _MANIFEST), lease)
        raise WorkspaceBusyError(
            text("{folder} is stored anew faster than it can be read; run the command again", folder=self.folder)
        )

    def _current(self) -> str | None:
        """The name of the version that counts; None in a workspace of an earlier winpredict."""
        path = self.folder / _CURRENT
        try:
            name = path.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            if (self.folder / _MANIFEST).exists():
                return None
            if names := self._names():  # of a first import that was killed at its very end, or `current` is lost
                return names[-1]
            raise WorkspaceError(
                text(
                    "{folder} holds no imported data; run `winpredict import PATH --profile NAME --workspace "
                    "{folder}` first, or `winpredict demo` to try it out",
                    folder=self.folder,
                )
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise WorkspaceError(
                text("{path} cannot be read ({error}); restore it from a backup", path=path, error=error)
            ) from None
        if not name.isdecimal():
            raise self._damaged(path)
        return name

    def _names(self) -> list[str]:
        """The versions that are whole, the latest last."""
        found = (path for path in (self.folder / _VERSIONS).glob("[0-9]*") if (path / _MANIFEST).exists())
        return sorted((path.name for path in found if path.name.isdecimal()), key=int)

    def _damaged(self, path: Path) -> WorkspaceError:
        kept = self._names()
        if not kept:
            return WorkspaceError(
                text(
                    "{path} is missing or damaged; restore the workspace from a backup, or import the data again",
                    path=path,
                )
            )
        return WorkspaceError(
            text(
                "{path} is missing or damaged; to go on with the tables of an earlier import, write its name into "
                "{current} (there are {names}), or import the data again",
                path=path,
                current=self.folder / _CURRENT,
                names=", ".join(kept),
            )
        )

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest of the current version."""
        return self.version().manifest

    def crm(self) -> "CRMData":
        """The tables of the current version; see `WorkspaceVersion.crm`."""
        return self.version().crm()

    def tables(self) -> "CRMData | DealBuckets":
        """The tables of the current version; see `WorkspaceVersion.tables`."""
        return self.version().tables()

    def buckets(self) -> "DealBuckets | None":
        """The tables of the current version; see `WorkspaceVersion.buckets`."""
        return self.version().buckets()

    def part(self, buckets: int) -> "DealBuckets":
        """The tables of the current version; see `WorkspaceVersion.part`."""
        return self.version().part(buckets)

    @property
    def state(self) -> str:
        """What the tables hold, as a hash; empty before the first import."""
        return self.version().state if self.exists else ""

    @property
    def raw_folder(self) -> Path:
        """Where the raw records of live CRMs are kept, a folder each; see `winpredict.connectors.store`."""
        return self.folder / "raw"

    @property
    def added_folder(self) -> Path:
        """Where files are kept that add to the deals of a CRM; see `winpredict.connectors.supplementary_imports`."""
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

        earlier = self.manifest["imports"] if self.exists else []
        scrubber = self._scrubber()
        if scrubber is not None:
            quarantine = {name: scrubber.frame(name, rows) for name, rows in (quarantine or {}).items()}
            sources = scrubber.value([dict(each) for each in sources])
        record = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "profile": profile,
            "sources": list(sources),
            "repairs": dict(repairs or {}),
            **(more or {}),
        }
        with self._new_version() as folder:
            if isinstance(tables, DealBuckets):
                os.replace(tables.folder, folder / _TABLES)
                if scrubber is not None:
                    scrubber.folder(folder / _TABLES)
                tables = DealBuckets.open(folder / _TABLES)
            else:
                tables = tables if scrubber is None else scrubber.tables(tables)
                tables.save(folder / _TABLES)
            make_folder(folder / _QUARANTINE)
            for name, rows in (quarantine or {}).items():
                without_formulas(rows).to_csv(folder / _QUARANTINE / f"{name}.csv", index=False)
            _write_manifest(folder, tables, profile, [*(earlier if keeping is None else keeping), record])
        shutil.rmtree(self.importing_folder, ignore_errors=True)

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

        earlier = self.version()
        manifest = earlier.manifest
        if imports is None and manifest["known_until"] == moment.isoformat():
            return
        profile = manifest["profile"] if imports is None else str(imports[-1]["profile"])
        records = manifest["imports"] if imports is None else [dict(each) for each in imports]
        with self._new_version() as folder:
            tables = folder / _TABLES
            shutil.copytree(earlier.folder / _TABLES, tables, copy_function=_linked)
            said = json.loads((tables / "crm.json").read_text()) | {"known_until": moment.isoformat()}
            (tables / "crm.json").unlink()  # it is linked: what is written into it would be written into the old one
            (tables / "crm.json").write_text(json.dumps(said, indent=2) + "\n")
            if (earlier.quarantine_folder).exists():
                shutil.copytree(earlier.quarantine_folder, folder / _QUARANTINE, copy_function=_linked)
            known = DealBuckets.open(tables) if is_partitioned(tables) else CRMData.load(tables)
            _write_manifest(folder, known, profile, records)

    def erased(self) -> Erased:
        """Who was erased; see `winpredict.workflows.erasing`."""
        return Erased.read(self.folder)

    def _scrubber(self) -> "Scrubber | None":
        """Takes out who was erased; None where nobody was."""
        erased = self.erased()
        if not erased:
            return None
        from winpredict.privacy.scrubbing import Scrubber

        return Scrubber(erased)

    def scrub(self, scrubber: "Scrubber") -> bool:
        """Store the tables anew without those who were erased, where they hold any; under the lock.

        Earlier versions stay until `prune` or `forget_earlier`.

        Returns
        -------
        bool
            Whether anything was found.
        """
        from winpredict.tables.buckets import DealBuckets, is_partitioned
        from winpredict.tables.crm import CRMData

        earlier = self.version()
        if earlier.buckets() is None:
            earlier.crm()  # what is damaged must not be stored as if it were whole
        manifest, counted = earlier.manifest, scrubber.total
        imports = scrubber.value(manifest["imports"])
        with suppress(_NothingToChangeError), self._new_version() as folder:
            tables = folder / _TABLES
            shutil.copytree(earlier.folder / _TABLES, tables)
            scrubber.folder(tables)
            if earlier.quarantine_folder.exists():
                shutil.copytree(earlier.quarantine_folder, folder / _QUARANTINE)
                scrubber.folder(folder / _QUARANTINE)
            if scrubber.total == counted:
                raise _NothingToChangeError
            known = DealBuckets.open(tables) if is_partitioned(tables) else CRMData.load(tables)
            _write_manifest(folder, known, manifest["profile"], imports)
        return scrubber.total > counted

    def forget_earlier(self) -> list[str]:
        """Remove all versions of the tables but the current one; under the lock.

        Returns
        -------
        list of str
            Those that somebody reads at the moment, which stay.
        """
        current = self._current()
        self.prune(1)
        return [name for name in self._names() if name != current]

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
            return _scores_in(path) if before is None and path.exists() else None
        last = until[:10] if before is None else f"{before - pd.Timedelta(days=1):%Y-%m-%d}"
        kept = {
            path.stem.removeprefix(_SCORES): path for path in self.scores_folder.glob(f"{_SCORES}????-??-??.parquet")
        }
        days = sorted(day for day in kept if day <= last)
        return _scores_in(kept[days[-1]]) if days else None

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
            if not try_lock(file):
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
            self._sweep()
            self.keep_private()  # what was restored, or made by an earlier winpredict
            try:
                yield
            finally:
                self.keep_private()

    def keep_private(self) -> None:
        """Have only the owner read what is here: files 0600, folders 0700, whatever the umask was.

        The folder itself becomes private too, unless it holds other things than a workspace's.
        """
        if os.name != "posix" or not self.folder.is_dir():
            return
        ours = {path for pattern in _OURS for path in self.folder.glob(pattern)}
        keep_all_private(ours)
        if ours.issuperset(self.folder.iterdir()) and self.folder.stat().st_mode & 0o077:
            with suppress(OSError):  # somebody else's, such as a volume that was mounted
                self.folder.chmod(0o700)

    def _lock_file(self) -> IO[bytes]:
        with self._written():
            make_folder(self.folder, private=True)
            return open(self.folder / ".lock", "a+b", buffering=0, opener=open_private)

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

    @contextmanager
    def _new_version(self) -> Iterator[Path]:
        """Yield a folder to fill; it becomes the current version when the block succeeds, else nothing has happened."""
        versions = self.folder / _VERSIONS
        with self._written():
            make_folder(self.folder, private=True)
            make_folder(versions, private=True)
        folder = versions / f"{self._last_number() + 1:06d}"
        unfinished = versions / f"{_UNFINISHED}{folder.name}"
        try:
            with self._written():
                unfinished.mkdir(mode=0o700)
                yield unfinished
                make_leasable(unfinished)
                keep_private(unfinished)
                sync_folder(unfinished)
                os.replace(unfinished, folder)
            # this is the one moment at which the version becomes true
            point_to(self.folder / _CURRENT, folder.name + "\n")
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self._prune_legacy()
        self.prune()

    def _last_number(self) -> int:
        found = (path.name for path in (self.folder / _VERSIONS).glob("[0-9]*"))
        return max((int(name) for name in found if name.isdecimal()), default=0)

    def prune(self, keep: int = KEPT_VERSIONS) -> int:
        """Remove versions of the tables beyond the latest ones, except those that somebody reads; under the lock.

        Parameters
        ----------
        keep : int
            How many stay, the current one included.

        Returns
        -------
        int
            How many were removed.
        """
        current = self._current()
        older = [name for name in self._names() if current is not None and int(name) < int(current)]
        removed = 0
        for name in older[: max(0, len(older) - keep + 1)]:
            removed += self._remove(self.folder / _VERSIONS / name)
        return removed

    def _remove(self, folder: Path) -> bool:
        """Remove a version unless somebody reads it."""
        try:
            held = take_for_removal(folder)
        except OSError:  # without the file that leases are locks on, nobody can read it
            shutil.rmtree(folder, ignore_errors=True)
            return True
        if held is None:
            return False
        with held, suppress(OSError):  # Windows moves no folder of which a file is open
            away = folder.with_name(f"{_REMOVED}{folder.name}")
            os.replace(folder, away)
            shutil.rmtree(away, ignore_errors=True)
        return not folder.exists()

    def forget_tables(self) -> None:
        """Remove all tables, as before the first import; models and scores stay; under the lock."""
        for path in (self.folder / _CURRENT, self.folder / _MANIFEST):
            path.unlink(missing_ok=True)
        for name in self._names():
            folder = self.folder / _VERSIONS / name
            (folder / _MANIFEST).unlink()  # without it nobody takes it for a version; its readers have read it already
            self._remove(folder)
        self._remove_legacy()

    def _prune_legacy(self) -> None:
        """Remove the tables that an earlier winpredict kept in the workspace's own folder."""
        if not (self.folder / _MANIFEST).exists():
            return
        (self.folder / _MANIFEST).unlink()
        self._remove_legacy()

    def _remove_legacy(self) -> None:
        for left in (self.folder / _TABLES, self.folder / _QUARANTINE, *self.folder.glob(".parted-*")):
            shutil.rmtree(left, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a killed process left half written or half removed; only under the lock."""
        versions = self.folder / _VERSIONS
        for left in (*versions.glob(f"{_UNFINISHED}*"), *versions.glob(f"{_REMOVED}*")):
            shutil.rmtree(left, ignore_errors=True)
        if (self.folder / _CURRENT).exists():
            current = self._current()
            for path in versions.glob("[0-9]*"):  # finished, but killed before it was made the current one
                if current is not None and int(path.name) > int(current):
                    shutil.rmtree(path, ignore_errors=True)


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


def _write_manifest(folder: Path, tables: "CRMData | DealBuckets", profile: str, imports: list[dict[str, Any]]) -> None:
    from winpredict._internal.stored_files import StoredFiles

    manifest = {
        "schema_version": SCHEMA_VERSION,
        "winpredict": version("winpredict"),
        "profile": profile,
        "fingerprint": fingerprint(tables),
        "known_until": None if tables.known_until is None else tables.known_until.isoformat(),
        "rows": tables.rows,
        "imports": imports,
        "files": StoredFiles.of(folder / _TABLES).to_json(),
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2, default=str) + "\n")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text())
        found = manifest["schema_version"]
        _ = manifest["fingerprint"], manifest["profile"], manifest["known_until"], manifest["rows"], manifest["imports"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            text(
                "{path} is missing or damaged ({error}); restore it from a backup, or import the data again "
                "into a new folder",
                path=path,
                error=error,
            )
        ) from None
    if found not in _READABLE:
        raise WorkspaceError(
            text(
                "{parent} has layout version {found}, this winpredict reads {schema_version}; import the data "
                "again into a new folder",
                parent=path.parent,
                found=found,
                schema_version=SCHEMA_VERSION,
            )
        )
    return dict(manifest)


def _linked(source: str, target: str) -> None:
    """The same file under another name; a copy where the file system knows no such thing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _scores_in(path: Path) -> "pd.DataFrame":
    """The scores in a file.

    Raises
    ------
    WorkspaceError
        When it is damaged.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except Exception as error:  # whatever readers of Parquet make of a file that is not as we wrote it
        raise WorkspaceError(
            text(
                "{path} is damaged ({error}); remove it and run `winpredict score` again",
                path=path,
                error=f"{type(error).__name__}: {error}"[:200],
            )
        ) from error
