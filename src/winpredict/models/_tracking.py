"""MLflow, pointed at a workspace, and what its runs have in common.

The only module that imports it, and it does so late, since that takes seconds.
"""

import json
import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from winpredict._internal.atomic import replacing
from winpredict._internal.private import keep_private
from winpredict.config import Config
from winpredict.errors import WorkspaceError
from winpredict.locale.text import text

if TYPE_CHECKING:
    import altair as alt

#: Name of the experiment and of the registered model.
NAME = "winpredict"
DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
# where MLflow points is one thing for the whole process: threads take turns
_turn = threading.RLock()


@contextmanager
def mlflow_at(folder: Path) -> Iterator[Any]:
    """Yield the mlflow module pointed at a workspace; what it pointed at before is restored.

    Raises
    ------
    WorkspaceError
        When the record of runs is damaged, the disk is full, or MLflow cannot read or write there.
    """
    with _turn, _pointed_at(folder) as mlflow:
        yield mlflow


@contextmanager
def _pointed_at(folder: Path) -> Iterator[Any]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLEARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")  # else the current folder's uv.lock goes into the model
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    tracking, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    address = f"sqlite:///{Path(folder).resolve() / DATABASE}"
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    try:
        if not (Path(folder) / DATABASE).exists():
            _create(Path(folder).resolve())
        yield mlflow
    except (OSError, MlflowException, SQLAlchemyError) as error:
        if _is_damaged(Path(folder) / DATABASE):
            raise WorkspaceError(
                text(
                    "the record of runs and models, {folder}, is damaged; bring it back from a copy, or move "
                    "it away and run `winpredict train` again, which starts a new one without the earlier "
                    "models",
                    folder=Path(folder) / DATABASE,
                )
            ) from error
        reason = str(error).partition("\n")[0]
        raise WorkspaceError(
            text(
                "MLflow cannot read or write the runs in {folder}: {reason}. Free some space or check that you "
                "may write there, then run the command again; earlier runs and models stand",
                folder=folder,
                reason=reason,
            )
        ) from error
    finally:
        mlflow.set_tracking_uri(tracking)
        mlflow.set_registry_uri(registry)
        if (database := Path(folder) / DATABASE).exists():
            keep_private(database)  # MLflow goes by the umask; what stands beside the file has its mode


def _create(folder: Path) -> None:
    """Make the record of runs and models whole before it is there.

    MLflow makes its tables by some sixty migrations, which nothing can go on with once they were killed between two.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with replacing(folder / DATABASE) as temporary:
        store = SqlAlchemyStore(f"sqlite:///{temporary}", (folder / ARTIFACTS).as_uri())
        store._dispose_engine()


def _is_damaged(database: Path) -> bool:
    """Whether SQLite itself finds fault with a file; one that is absent, locked or unreadable is not damaged."""
    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


@contextmanager
def run_at(folder: Path, kind: str) -> Iterator[Any]:
    """Yield the mlflow module with a run open in the workspace's experiment."""
    with mlflow_at(folder) as mlflow:
        number = _experiment(mlflow.MlflowClient(), (Path(folder).resolve() / ARTIFACTS).as_uri())
        try:
            with mlflow.start_run(experiment_id=number, run_name=kind, tags={"kind": kind}):
                yield mlflow
        finally:
            keep_private(Path(folder) / ARTIFACTS)


def _experiment(client: Any, place: str) -> str:
    """The experiment whose artifacts are kept at a place.

    MLflow fixes an experiment's place for good. Once a workspace was moved, its experiment would go on writing to the
    old place, so it is set aside under another name and a new one takes over.
    """
    current = client.get_experiment_by_name(NAME)
    if current is not None and current.artifact_location == place:
        return str(current.experiment_id)
    if current is not None:
        client.rename_experiment(current.experiment_id, f"{NAME} ({current.artifact_location})")
    returned = client.get_experiment_by_name(f"{NAME} ({place})")
    if returned is None:
        return str(client.create_experiment(NAME, artifact_location=place))
    client.rename_experiment(returned.experiment_id, NAME)
    return str(returned.experiment_id)


def settings_of(config: Config) -> dict[str, str]:
    """Every knob that a model or its backtest depends on, as parameters of a run."""
    # how a CRM is reached, what a day's run does and how the app is served have no part in a model
    return dict(_flattened(config.model_dump(mode="json", exclude={"crm", "run", "app"})))


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value) if not isinstance(value, str) else value


def log_charts(mlflow: Any, charts: "Mapping[str, alt.TopLevelMixin]") -> None:
    """Log charts as images."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, chart in charts.items():
            chart.save(str(Path(temporary) / f"{name}.png"), scale_factor=2)
        mlflow.log_artifacts(temporary, "charts")
