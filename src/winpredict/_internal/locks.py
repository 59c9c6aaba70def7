"""Locks on open files, which the system lets go of when their holder ends in whatever way."""

import os
import sys
from pathlib import Path
from typing import IO, Any


def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
    """Lock an open file until it is closed, unless another process holds it.

    Parameters
    ----------
    file : binary file
    shared : bool
        Whether others may hold it shared too; on Windows, which knows no such locks of files, nothing is held then.

    Returns
    -------
    bool
        Whether the lock is held now.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            if not shared:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Lease:
    """A folder that is in use: it is not removed as long as this object lives, in whatever process.

    Parameters
    ----------
    folder : Path
        Holds a file ``lease``.

    Raises
    ------
    FileNotFoundError
        When the folder is gone, or is just being removed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> make_leasable(folder)
    >>> lease = Lease(folder)
    >>> is_leased(folder)
    True
    >>> lease.close()
    >>> is_leased(folder)
    False
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] = (folder / _LEASE).open("rb")
        if not try_lock(self._file, shared=True) or os.fstat(self._file.fileno()).st_nlink == 0:
            self._file.close()
            raise FileNotFoundError(f"{folder} is being removed")

    def close(self) -> None:
        """Use the folder no more."""
        self._file.close()

    def __del__(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)  # another process takes a lease of its own


def make_leasable(folder: Path) -> None:
    """Give a folder the file that leases are locks on."""
    (folder / _LEASE).touch()


def is_leased(folder: Path) -> bool:
    """Whether anybody uses a folder now."""
    with (folder / _LEASE).open("rb") as file:
        return not try_lock(file)


def take_for_removal(folder: Path) -> IO[bytes] | None:
    """A lock that keeps new leases of a folder away until it is closed; None where somebody uses the folder."""
    file = (folder / _LEASE).open("rb")
    if try_lock(file):
        return file
    file.close()
    return None


_LEASE = "lease"
