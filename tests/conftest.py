"""A small simulated company, and a model trained on it, for all tests."""

import os
import shutil
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import pytest

# test processes run beside each other: threads that wait for work must not hold a core while they wait
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# nor can OpenBLAS's wait in any other way: with two of them a training of our size costs half as much again
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# many tests start Python anew; without bytecode each would compile every library again, and some look at what is kept
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from sqlalchemy import Engine, event

from winpredict import Config, train
from winpredict.models import _tracking
from winpredict.simulate.world import simulate

QUICK = {"bags": 2, "trees": 60, "learning_rate": 0.1, "large_leaves": 0, "threads": 1}


@event.listens_for(Engine, "connect")
def do_not_wait_for_the_disk(connection, record):
    """No test's database needs to survive a power cut; the app's chooses for itself, after this."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session", autouse=True)
def one_empty_mlflow(tmp_path_factory):
    """Let MLflow make an empty database once, in some sixty migrations, and give each new workspace a copy."""
    point_at = _tracking._pointed_at
    empty = tmp_path_factory.mktemp("mlflow") / _tracking.DATABASE

    @contextmanager
    def pointed_at(folder):
        with point_at(folder) as mlflow:
            database = Path(folder) / _tracking.DATABASE
            if not database.exists():
                if not empty.exists():
                    with point_at(empty.parent):
                        mlflow.MlflowClient().search_experiments()
                database.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(empty, database)
            yield mlflow

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tracking, "_pointed_at", pointed_at)
        yield


@pytest.fixture(scope="session")
def quick_config():
    return Config.model_validate({"model": QUICK, "snapshots": {"every_days": 14}})


@pytest.fixture(scope="session")
def weekly_config(quick_config):
    """With a look a week, as by default, so that hardly a deal closes before it is looked at."""
    return quick_config.model_copy(update={"snapshots": Config().snapshots})


@pytest.fixture(scope="session")
def world():
    return simulate(700, seed=9)


@pytest.fixture(scope="session")
def model(world, quick_config):
    return train(world.crm, quick_config)
