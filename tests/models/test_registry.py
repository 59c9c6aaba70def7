import errno
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from winpredict import WinPredictError
from winpredict.errors import WorkspaceError
from winpredict.explain.drivers import top_drivers
from winpredict.models._tracking import DATABASE, NAME, mlflow_at
from winpredict.models.registry import (
    CHAMPION,
    find_model,
    list_models,
    load_model,
    log_training,
    promote,
    read_drivers,
)
from winpredict.models.snapshots import pipeline


@pytest.fixture(scope="module")
def features(world, model):
    return model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model, features, quick_config):
    place = tmp_path_factory.mktemp("workspace")
    for _ in range(2):
        drivers = top_drivers(model, features)
        log_training(place, model, config=quick_config, fingerprint="f" * 64, example=features, drivers=drivers)
    return place


def artifact(folder: Path) -> Path:
    return next(path.parent for path in folder.rglob("MLmodel"))


def test_the_first_model_is_champion_and_the_next_challenger(folder):
    assert [(each.version, each.aliases) for each in list_models(folder)] == [(2, ("challenger",)), (1, ("champion",))]
    first = find_model(folder)
    assert first.fingerprint == "f" * 64
    assert first.metrics["deals"] > 0
    assert json.loads(first.params["model.trees"]) == 60


def test_promoting_swaps_the_two_and_there_is_a_way_back(folder):
    assert promote(folder, 2).aliases == ("champion",)
    assert find_model(folder, "1").aliases == ("challenger",)
    promote(folder, 1)
    assert find_model(folder, "champion").version == 1


def test_an_unknown_model_lists_those_that_there_are(folder, tmp_path):
    with pytest.raises(WinPredictError, match=r"it has 2 \(challenger\), 1 \(champion\)"):
        find_model(folder, "7")
    with pytest.raises(WinPredictError, match="winpredict train"):
        find_model(tmp_path)


def test_a_loaded_model_gives_the_same_odds_also_after_a_move(folder, model, features, tmp_path):
    expected = model.odds(features)
    pd.testing.assert_frame_equal(load_model(folder, "1").odds(features), expected)
    shutil.copytree(folder, tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    pd.testing.assert_frame_equal(load_model(tmp_path / "there", "champion").odds(features), expected)


def test_a_moved_workspace_keeps_new_models_where_it_stands(tmp_path, model, features, quick_config):
    def log(place):
        return log_training(place, model, config=quick_config, fingerprint="f", example=features.head(2)).version

    here, there = tmp_path / "here", tmp_path / "there"
    log(here)
    shutil.move(here, there)
    assert log(there) == 2
    assert not here.exists()
    shutil.move(there, here)
    assert [log(here), log(here)] == [3, 4]
    assert not there.exists()
    for version in (1, 2, 3, 4):
        pd.testing.assert_frame_equal(load_model(here, str(version)).odds(features), model.odds(features))
    assert find_model(here, "2").metrics == find_model(here, "4").metrics


def test_a_full_disk_leaves_the_earlier_models(tmp_path, model, features, quick_config, monkeypatch):
    options = {"config": quick_config, "fingerprint": "f", "example": features.head(2)}
    log_training(tmp_path, model, **options)

    def full(self, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(model), "save", full)
    with pytest.raises(WinPredictError, match="No space left on device"):
        log_training(tmp_path, model, **options)
    assert [(each.version, each.aliases) for each in list_models(tmp_path)] == [(1, ("champion",))]


@pytest.mark.parametrize("damage", ["other bytes", "cut off", "bytes inside"])
def test_a_damaged_record_is_told_as_such(folder, tmp_path, damage, monkeypatch):
    # our own look at each new connection (conftest.py) fails where a user's would not, and MLflow tries that ten times
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 1)
    record = tmp_path / DATABASE
    kept = bytearray((folder / DATABASE).read_bytes())
    if damage == "bytes inside":
        kept[5_000:25_000] = bytes(20_000)
    record.write_bytes({"other bytes": b"x" * 300_000, "cut off": kept[:40_000], "bytes inside": kept}[damage])
    with pytest.raises(WorkspaceError) as caught:
        list_models(tmp_path)
    assert str(caught.value) == (
        f"the record of runs and models, {record}, is damaged; bring it back from a copy, or move it away and run "
        "`winpredict train` again, which starts a new one without the earlier models"
    )


def test_a_model_can_be_promoted_where_none_is_in_use(tmp_path, model, features, quick_config):
    log_training(tmp_path, model, config=quick_config, fingerprint="f", example=features.head(2))
    with mlflow_at(tmp_path) as mlflow:  # as if killed between registering the first model and naming it
        mlflow.MlflowClient().delete_registered_model_alias(NAME, CHAMPION)
    assert promote(tmp_path, 1).aliases == ("champion",)


def test_drivers_charts_and_features_are_logged_and_nothing_is_pickled(folder):
    assert read_drivers(folder, find_model(folder))["points"].iloc[0] > 0
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"drivers.png", "features.json", "MLmodel"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib"))]


def test_a_fresh_process_elsewhere_loads_the_pyfunc_model(folder, model, features, tmp_path):
    features.to_parquet(tmp_path / "features.parquet")
    code = (
        "import sys, mlflow, pandas as pd\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "model.predict(pd.read_parquet('features.parquet')).to_parquet('odds.parquet')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(artifact(folder))], cwd=tmp_path, check=True, capture_output=True)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "odds.parquet"), model.odds(features))


def test_mlflow_serves_the_model(folder, model, features):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(artifact(folder)), "-p", str(port)]
    # the server starts a process of its own, which must find uvicorn and must end with it
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command += ["--env-manager", "local"]
    with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as server:
        try:
            found = _answer(f"http://127.0.0.1:{port}", features.head(3))
        finally:
            os.killpg(server.pid, signal.SIGTERM)
    odds = pd.DataFrame(found["predictions"])
    np.testing.assert_allclose(odds["win_probability"], model.odds(features.head(3))["win_probability"], atol=1e-9)


def _answer(address: str, rows: pd.DataFrame) -> dict:
    body = json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split"))}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    for _ in range(120):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                raise AssertionError(error.read().decode()) from error
            time.sleep(0.5)
    raise AssertionError("the server did not answer within a minute")


def test_a_record_of_runs_that_was_stopped_while_it_was_made_is_made_again(tmp_path, monkeypatch):
    from mlflow.store.tracking import sqlalchemy_store

    class Stopped(sqlalchemy_store.SqlAlchemyStore):
        def __init__(self, address: str, artifacts: str) -> None:
            with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as database:
                database.execute("CREATE TABLE review_queues (id INTEGER)")
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sqlalchemy_store, "SqlAlchemyStore", Stopped)
        with pytest.raises(KeyboardInterrupt):
            mlflow_at(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []
    with mlflow_at(tmp_path) as mlflow:
        assert [each.name for each in mlflow.MlflowClient().search_experiments()] == ["Default"]
