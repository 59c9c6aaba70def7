"""Where a registered model lies, read from MLflow's own tables: to import MLflow takes seconds, this a millisecond.

MLflow stays the only one that writes, so what is read here is what it would answer, also after an alias was moved in
its own interface. Whatever looks unfamiliar is left for MLflow to answer.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from winpredict.models._tracking import ARTIFACTS, DATABASE, NAME

_VERSIONS = """
    SELECT v.version, v.source FROM model_versions AS v
    WHERE v.name = :name AND v.status = 'READY' AND coalesce(v.current_stage, '') <> 'Deleted_Internal' AND
"""
_BY_VERSION = _VERSIONS + "v.version = :which"
_BY_ALIAS = f"""{_VERSIONS}
    v.version IN (SELECT a.version FROM registered_model_aliases AS a WHERE a.name = :name AND a.alias = :which)
"""
_SECONDS_TO_WAIT = 1.0


class ModelLocation(NamedTuple):
    """A registered model's version, and the folder of what was saved."""

    version: int
    data: Path


def look_up(folder: Path, which: str) -> ModelLocation | None:
    """Find a model without MLflow.

    Parameters
    ----------
    folder : Path
        The workspace.
    which : str
        An alias (champion, challenger) or a version number.

    Returns
    -------
    Place, or None where MLflow must be asked: for a model that is not there, whose files are elsewhere, or in tables
    that this does not know.
    """
    rows = _rows(Path(folder) / DATABASE, which)
    if len(rows) != 1 or not (isinstance(rows[0][0], int) and isinstance(rows[0][1], str)):
        return None
    data = data_of(folder, rows[0][1])
    return None if data is None else ModelLocation(rows[0][0], data)


def data_of(folder: Path, source: str) -> Path | None:
    """The folder of what was saved of a model, from what MLflow has as its source; None where there is none.

    It is looked up below the workspace and not by MLflow's absolute address, so that a workspace can be moved.
    """
    place = parent_of_data(folder, source)
    return next(place.iterdir(), None) if place.is_dir() else None


def parent_of_data(folder: Path, source: str) -> Path:
    """The folder in which MLflow keeps what was saved of a model."""
    return Path(folder) / ARTIFACTS / "models" / source.rpartition("/")[2] / "artifacts" / "data"


def _rows(database: Path, which: str) -> list[tuple[object, object]]:
    """Versions and sources of the models that go by an alias or a number."""
    if not database.exists():
        return []
    query = _BY_VERSION if which.isdecimal() else _BY_ALIAS
    address = f"{database.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_SECONDS_TO_WAIT)) as connection:
            return connection.execute(query, {"name": NAME, "which": which}).fetchall()
    except sqlite3.Error:
        return []
