"""Files of tables and models: what each held when it was written, and whether it still does."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from winpredict.errors import WinPredictError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """What a file held when it was written.

    Parameters
    ----------
    size : int
        Bytes.
    sha256 : str
    """

    size: int
    sha256: str


@dataclass(frozen=True)
class StoredFiles:
    """The files of a folder, each of which is checked before it is read.

    Parameters
    ----------
    folder : Path
    records : mapping of str to FileRecord
        By path below the folder, with slashes.
    recovery : str
        A sentence: what to do about one that is missing or damaged.
    error : type
        Of the error that is raised.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "deals.parquet").write_bytes(b"deals")
    >>> files = StoredFiles.of(folder)
    >>> files.check("deals.parquet")
    >>> _ = (folder / "deals.parquet").write_bytes(b"leads")
    >>> files.check("deals.parquet")
    Traceback (most recent call last):
    winpredict.errors.WinPredictError: ...deals.parquet is damaged: its contents are not those that were stored.
    """

    folder: Path
    records: Mapping[str, FileRecord]
    recovery: str = ""
    error: type[WinPredictError] = WinPredictError

    @classmethod
    def of(cls, folder: Path) -> "StoredFiles":
        """All files below a folder as they are now."""
        return cls(folder, {name: _record(folder / name) for name in _names(folder)})

    def check(self, name: str) -> None:
        """Refuse a file that is missing, that holds something else, or that nobody stored.

        Raises
        ------
        WinPredictError
            Of the kind `error`.
        """
        path = self.folder / name
        expected = self.records.get(name)
        if expected is None:
            raise self.error(f"{path} was not stored by winpredict; remove it. {self.recovery}".rstrip())
        if not path.is_file():
            raise self.error(f"{path} is missing. {self.recovery}".rstrip())
        size = path.stat().st_size
        if size != expected.size:
            raise self.error(
                f"{path} is damaged: {size:,} bytes instead of {expected.size:,}. {self.recovery}".rstrip()
            )
        if _record(path).sha256 != expected.sha256:
            raise self.error(
                f"{path} is damaged: its contents are not those that were stored. {self.recovery}".rstrip()
            )

    def check_all(self, beside: Collection[str] = ()) -> None:
        """Check every file that was stored, and refuse any other.

        Parameters
        ----------
        beside : collection of str
            Files that may be there too.

        Raises
        ------
        WinPredictError
        """
        for name in dict.fromkeys((*self.records, *_names(self.folder))):
            if name not in beside:
                self.check(name)

    def below(self, prefix: str) -> list[str]:
        """The files whose path begins with a prefix."""
        return [name for name in self.records if name.startswith(prefix)]

    def to_json(self) -> dict[str, list[int | str]]:
        """Plain values for a manifest."""
        return {name: [record.size, record.sha256] for name, record in self.records.items()}

    @classmethod
    def from_json(
        cls,
        folder: Path,
        plain: Mapping[str, list[int | str]],
        recovery: str = "",
        error: type[WinPredictError] = WinPredictError,
    ) -> "StoredFiles":
        """What `to_json` gave."""
        records = {name: FileRecord(int(size), str(digest)) for name, (size, digest) in plain.items()}
        return cls(folder, records, recovery, error)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _record(path: Path) -> FileRecord:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileRecord(size, digest.hexdigest())
