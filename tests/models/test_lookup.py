"""Models are found without MLflow where its tables tell, and MLflow is asked where they do not."""

import shutil
import sqlite3

import pandas as pd
import pytest

from winpredict import WinPredictError
from winpredict.models import registry
from winpredict.models._lookup import look_up
from winpredict.models._tracking import DATABASE, NAME, mlflow_at
from winpredict.models.registry import load_model, load_version, log_training, promote


@pytest.fixture(scope="module")
def original(tmp_path_factory, model, world, quick_config):
    place = tmp_path_factory.mktemp("workspace")
    features = model.build_features(world.crm, world.crm.deals[["deal_id"]].head(3).assign(as_of=world.crm.known_until))
    for _ in range(2):
        log_training(place, model, config=quick_config, fingerprint="f", example=features)
    return place


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "workspace")


@pytest.fixture
def without_mlflow(monkeypatch):
    def refuse(folder):
        raise AssertionError("MLflow was asked")

    monkeypatch.setattr(registry, "mlflow_at", refuse)


def versions(folder):
    return [getattr(look_up(folder, which), "version", None) for which in ("champion", "challenger", "1", "2", "3")]


def test_models_are_found_by_alias_and_by_number(folder, without_mlflow):
    assert versions(folder) == [1, 2, 1, 2, None]
    assert load_version(folder, "challenger")[0] == 2
    assert load_model(folder).info == load_model(folder, "1").info


def test_aliases_that_mlflow_moves_are_moved_at_once(folder):
    promote(folder, 2)
    assert versions(folder) == [2, 1, 1, 2, None]
    with mlflow_at(folder) as mlflow:
        mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        mlflow.MlflowClient().delete_registered_model_alias(NAME, "challenger")
    assert versions(folder) == [1, None, 1, 2, None]


def test_a_model_that_mlflow_deleted_is_gone(folder):
    with mlflow_at(folder) as mlflow:
        mlflow.MlflowClient().delete_model_version(NAME, "1")
    assert versions(folder) == [None, 2, None, 2, None]
    with pytest.raises(WinPredictError, match="model '1' not found"):
        load_model(folder, "1")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE model_versions RENAME COLUMN source TO origin",
        "ALTER TABLE registered_model_aliases RENAME TO aliases",
        "DROP TABLE model_versions",
        "UPDATE model_versions SET source = NULL",
        "UPDATE model_versions SET source = 'somewhere/else'",
        "UPDATE model_versions SET status = 'PENDING_REGISTRATION'",
    ],
)
def test_unfamiliar_tables_are_left_to_mlflow(folder, change):
    with sqlite3.connect(folder / DATABASE) as connection:
        connection.execute(change)
    assert look_up(folder, "champion") is None


def test_mlflow_answers_where_its_tables_cannot_be_read(folder, monkeypatch, model):
    monkeypatch.setattr(registry, "look_up", lambda folder, which: None)
    version, found = load_version(folder, "champion")
    assert version == 1
    pd.testing.assert_frame_equal(pd.DataFrame(found.info), pd.DataFrame(model.info))


def test_no_database_or_none_at_all_finds_nothing(tmp_path):
    assert look_up(tmp_path, "champion") is None
    (tmp_path / DATABASE).write_text("no database")
    assert look_up(tmp_path, "champion") is None


def test_reading_leaves_the_database_as_it_was(folder):
    before = (folder / DATABASE).read_bytes()
    look_up(folder, "champion")
    assert (folder / DATABASE).read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(f"{DATABASE}-")]
