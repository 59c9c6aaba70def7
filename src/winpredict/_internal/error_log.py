"""What nobody expected: a log file with the details, and one sentence for people."""

import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from winpredict._internal.private import make_folder, open_private

#: Names the folder of such logs.
LOG_FOLDER_VARIABLE = "WINPREDICT_LOG_DIR"
_MAX_REASON = 200


def unexpected_error(error: BaseException) -> str:
    """Write an error with its traceback into a log file, and say where.

    Parameters
    ----------
    error : BaseException
        One that was not raised on purpose.

    Returns
    -------
    str
        One sentence. Where no log can be written it says so.
    """
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_REASON]
    path = _written(error)
    where = f"details are in {path}" if path else "no log could be written; set " + LOG_FOLDER_VARIABLE + " to a folder"
    return f"winpredict failed in a way that was not foreseen ({reason}); {where}. Please report it with that file"


def _written(error: BaseException) -> Path | None:
    moment = datetime.now(UTC)
    head = (
        f"winpredict {version('winpredict')}, Python {sys.version.split()[0]}, {moment.isoformat(timespec='seconds')}"
    )
    text = f"{head}\ncommand: {' '.join(sys.argv[:2])}\n\n{''.join(traceback.format_exception(error))}"
    for folder in _folders():
        path = folder / f"error-{moment:%Y%m%dT%H%M%S}-{os.getpid()}.log"
        try:
            make_folder(folder, private=True)
            with open(path, "w", encoding="utf-8", opener=open_private) as file:
                file.write(text)
        except OSError:
            continue
        return path
    return None


def _folders() -> list[Path]:
    if named := os.environ.get(LOG_FOLDER_VARIABLE):
        return [Path(named)]
    state = os.environ.get("XDG_STATE_HOME")
    home = [Path(state)] if state else [Path.home() / ".local" / "state"] if os.environ.get("HOME") else []
    return [*(folder / "winpredict" for folder in home), Path(tempfile.gettempdir()) / "winpredict"]
