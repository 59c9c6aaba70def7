"""Files that tell what a push replaced: written ahead of it, read to put it back."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from winpredict._internal.private import make_folder, open_private
from winpredict.connectors.base import FieldKind
from winpredict.errors import InputFileError, WorkspaceError
from winpredict.locale.text import text


@dataclass(frozen=True)
class Replaced:
    """One value that a push was about to replace."""

    deal_id: str
    field: str
    kind: FieldKind
    old: Any
    new: Any


class UndoFile:
    """Keeps what is about to be replaced; the file is made with the first of it.

    Parameters
    ----------
    folder : Path
    crm : str
        Name of the CRM, the first part of the file's name.
    """

    def __init__(self, folder: Path, crm: str) -> None:
        moment = datetime.now(UTC)
        self.path = Path(folder) / f"{crm}-{moment:%Y%m%dT%H%M%S.%f}.jsonl"
        self._head = {"crm": crm, "started_at": moment.isoformat(timespec="seconds")}
        self._file: IO[str] | None = None

    @property
    def begun(self) -> bool:
        """Whether there is anything in it."""
        return self._file is not None

    def keep(self, replaced: Iterable[Replaced]) -> None:
        """Write some lines; they stand on the disk when this returns.

        Raises
        ------
        WorkspaceError
            When they cannot be written; then nothing must be pushed.
        """
        try:
            file = self._file or self._made()
            file.writelines(_line(vars(each)) for each in replaced)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise WorkspaceError(
                text(
                    "cannot write {path}: {strerror}. Without it a push could not be undone, so it stops here; "
                    "free some space and run the command again",
                    path=self.path,
                    strerror=error.strerror or error,
                )
            ) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _made(self) -> IO[str]:
        make_folder(self.path.parent)
        self._file = open(self.path, "x", encoding="utf-8", opener=open_private)  # noqa: SIM115
        self._file.write(_line(self._head))
        if os.name == "posix":  # the name of a new file is safe only once its folder is
            folder = os.open(self.path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        return self._file


def read_undo(path: Path, crm: str) -> list[Replaced]:
    """What an undo file holds; of a field that was replaced more than once, the last time counts.

    Raises
    ------
    InputFileError
        When the file is missing, damaged, or of another CRM.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(
            text("cannot read {path}: {error}; undo files stand in the workspace's folder push", path=path, error=error)
        ) from None
    # a push that was killed while it wrote its last line had not yet replaced what that line tells
    rows = [_parsed(line, number, path) for number, line in enumerate(lines, start=1) if line.endswith("\n")]
    if not rows or "crm" not in rows[0]:
        raise InputFileError(text("{path} is no undo file; these stand in the workspace's folder push", path=path))
    if rows[0]["crm"] != crm:
        raise InputFileError(
            text("{path} is of {crm} and not of {wanted}; name that CRM", path=path, crm=rows[0]["crm"], wanted=crm)
        )
    try:
        found = [Replaced(**row) for row in rows[1:]]
    except TypeError:
        raise InputFileError(
            text("{path} has lines that are not of an undo file; take another one", path=path)
        ) from None
    return list({(each.deal_id, each.field): each for each in found}.values())


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values) + "\n"


def _parsed(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        raise InputFileError(
            text(
                "{path}, line {number} is damaged; what it told cannot be undone with this file",
                path=path,
                number=number,
            )
        ) from None
    return row
