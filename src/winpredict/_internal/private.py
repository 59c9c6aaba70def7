"""Files that only their owner may read: 0600, in folders of 0700, whatever the umask."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700
_PERMISSIONS = 0o777


def make_folder(folder: Path, *, private: bool = False) -> None:
    """Make a folder and those above it, each no more open than the one that it lies in; what is there stays.

    Parameters
    ----------
    folder : Path
    private : bool, default False
        Whether the folder itself is its owner's alone, however open the one above it is.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> make_folder(place / "workspace" / "raw", private=True)
    >>> (place / "workspace" / "raw").is_dir()
    True
    """
    folder = Path(folder)
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=FOLDER_MODE if private else _mode(folder.parent) & _PERMISSIONS)


def no_wider_than_folder(path: Path, mode: int) -> int:
    """A mode without what the folder of the path does not allow: what lies in a private folder is private."""
    allowed = _mode(Path(path).parent) & _PERMISSIONS
    return mode & allowed if os.name == "posix" else mode


def open_private(path: str, flags: int) -> int:
    """An opener for ``open``: a new file is its owner's alone."""
    return os.open(path, flags, FILE_MODE)


def keep_private(path: Path) -> None:
    """Take from everybody but the owner what they may do with a file, or with a folder and all that lies in it.

    What belongs to somebody else, or vanishes meanwhile, stays as it is; links are not followed.
    """
    if os.name != "posix":
        return
    if path.is_symlink() or not path.is_dir():
        _restrict(path, FILE_MODE)
        return
    _restrict(path, FOLDER_MODE)
    for folder, folders, files in os.walk(path):
        for name in folders:
            _restrict(Path(folder, name), FOLDER_MODE)
        for name in files:
            _restrict(Path(folder, name), FILE_MODE)


def keep_all_private(paths: Iterable[Path]) -> None:
    """`keep_private` of several."""
    for path in paths:
        keep_private(path)


def as_open_as_folder(folder: Path) -> None:
    """Have all that lies in a folder be no more open than the folder."""
    if os.name != "posix":
        return
    allowed = _mode(folder) & _PERMISSIONS
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if (found := _own_mode(path)) is not None and found & ~allowed & _PERMISSIONS:
                path.chmod(found & allowed)


def _restrict(path: Path, mode: int) -> None:
    found = _own_mode(path)
    if found is not None and found != mode:
        with suppress(OSError):
            path.chmod(mode)


def _own_mode(path: Path) -> int | None:
    """The mode of what is ours and no link; None of anything else."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode) or (hasattr(os, "geteuid") and status.st_uid != os.geteuid()):
        return None
    return stat.S_IMODE(status.st_mode)


def _mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)
