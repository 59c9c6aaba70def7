"""Write files whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from winpredict._internal.private import as_open_as_folder, make_folder, no_wider_than_folder
from winpredict.errors import WorkspaceError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` only if the block succeeds.

    Parameters
    ----------
    path : Path
        Where the finished file is to stand. Its folder is made if absent. The file gets the mode of an ordinary one,
        but is no more open than its folder.

    Yields
    ------
    Path
        The temporary path to write to. It keeps the suffix of `path`, since many writers look at it.

    Raises
    ------
    WorkspaceError
        When the disk is full or the folder cannot be written; an earlier file at `path` is left as it was.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "scores.csv"
    >>> with replacing(target) as temporary:
    ...     _ = temporary.write_text("deal_id")
    >>> target.read_text()
    'deal_id'
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp and mkdtemp make theirs for the owner alone
        temporary.chmod(no_wider_than_folder(temporary, _readable(0o666)))
        os.replace(temporary, path)
    except OSError as error:
        raise WorkspaceError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed there. "
            "Free some space or choose a folder you may write to, then run the command again."
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            temporary.unlink()


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; swap it in for `folder` only if the block succeeds.

    Parameters
    ----------
    folder : Path
        Where the finished folder is to stand. An earlier one is replaced whole.

    Yields
    ------
    Path
        The temporary folder to fill.

    Raises
    ------
    WorkspaceError
        When the disk is full or the folder cannot be written; an earlier folder is left as it was.
    """
    folder = Path(folder)
    temporary: Path | None = None
    try:
        make_folder(folder.parent)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        yield temporary
        temporary.chmod(no_wider_than_folder(temporary, _readable(0o777)))
        as_open_as_folder(temporary)
        earlier = folder.with_name(f".{folder.name}-earlier")
        shutil.rmtree(earlier, ignore_errors=True)
        if folder.exists():
            os.replace(folder, earlier)
        os.replace(temporary, folder)
        shutil.rmtree(earlier, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(
            f"cannot write {folder}: {error.strerror or error}; nothing was changed there. "
            "Free some space or choose a folder you may write to, then run the command again."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Have the disk hold a folder with everything below it, before anything is made to point there."""
    for path in sorted(folder.rglob("*")):
        _synced(path)
    _synced(folder)


def point_to(path: Path, text: str) -> None:
    """Write a small file whose new contents, once this returns, survive a loss of power; readers see old or new.

    Raises
    ------
    WorkspaceError
        As `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        _synced(temporary)
    _synced(path.parent)


def _synced(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _readable(mode: int) -> int:
    """The mode that a file made in the ordinary way would have."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask
