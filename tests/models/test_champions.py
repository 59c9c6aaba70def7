"""Which model is in use is the workspace's own record: it needs no MLflow, and moves, breaks and rolls back as told."""

import json
import shutil

import pandas as pd
import pytest

from winpredict.errors import WinPredictError, WorkspaceError
from winpredict.locale.text import text
from winpredict.models import registry
from winpredict.models._tracking import DATABASE, NAME, mlflow_at
from winpredict.models.champions import FILE, ModelsInUse, read_models_in_use
from winpredict.models.registry import (
    changed_at,
    find_model,
    list_models,
    load_model,
    load_version,
    log_training,
    models_in_use,
    promote,
    roll_back,
    version_of,
)


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


def record(**changes):
    usual = {"format": 1, "champion": 1, "challenger": None, "files": {"1": "a"}, "promotions": [], "verdicts": {}}
    return json.dumps(usual | changes)


def roles(folder):
    used = models_in_use(folder)
    return used.champion, used.challenger


def test_the_first_model_is_champion_and_a_later_one_challenger(folder, without_mlflow):
    assert roles(folder) == (1, 2)
    assert [str(each.reason) for each in models_in_use(folder).promotions] == ["it was the first model"]


def test_models_are_found_by_alias_and_by_number_without_mlflow(folder, without_mlflow):
    assert [version_of(folder, which) for which in ("champion", "challenger", "1", "2")] == [1, 2, 1, 2]
    assert load_version(folder, "challenger")[0] == 2
    assert load_model(folder).info == load_model(folder, "1").info


def test_a_promotion_keeps_its_reason_and_the_way_back(folder):
    promote(folder, 2, text("its odds were better"), by="ann@example.com")
    assert roles(folder) == (2, 1)
    latest = models_in_use(folder).promotions[-1]
    assert (latest.version, str(latest.reason), latest.by) == (2, "its odds were better", "ann@example.com")
    assert roll_back(folder).version == 1
    assert roles(folder) == (1, 2)
    assert [each.version for each in models_in_use(folder).promotions] == [1, 2, 1]
    assert str(models_in_use(folder).promotions[-1].reason) == "rolled back from model 2"


def test_promoting_the_champion_changes_nothing(folder):
    before = (folder / FILE).read_bytes()
    assert promote(folder, 1).aliases == ("champion",)
    assert (folder / FILE).read_bytes() == before


def test_the_only_model_has_nothing_to_go_back_to(folder):
    plain = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(plain | {"challenger": None}))
    with pytest.raises(WinPredictError, match="nothing to go back to"):
        roll_back(folder)


def test_mlflow_follows_but_does_not_decide(folder):
    promote(folder, 2)
    with mlflow_at(folder) as mlflow:
        assert mlflow.MlflowClient().get_registered_model(NAME).aliases == {"champion": 2, "challenger": 1}
        mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", "1")
    assert find_model(folder).version == 2
    assert [each.aliases for each in list_models(folder)] == [("champion",), ("challenger",)]


def test_a_workspace_of_an_earlier_winpredict_is_read_from_mlflow(folder):
    (folder / FILE).unlink()
    assert roles(folder) == (1, 2)
    assert models_in_use(folder).promotions == ()
    assert load_version(folder, "champion")[0] == 1
    promote(folder, 2)
    assert read_models_in_use(folder).champion == 2


def test_a_workspace_can_be_moved(folder, tmp_path):
    moved = folder.rename(tmp_path / "elsewhere")
    version, found = load_version(moved)
    assert version == 1
    pd.testing.assert_frame_equal(pd.DataFrame(found.info), pd.DataFrame(load_model(moved, "2").info))


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        record(champion="one"),
        record(files={"1": "/etc"}),
        record(files={"1": "../../etc"}),
        record(promotions=[{"version": 1}]),
    ],
)
def test_a_damaged_record_says_which_file_and_how_to_recover(folder, damage):
    (folder / FILE).write_text(damage)
    with pytest.raises(WorkspaceError, match=rf"{FILE} cannot be read .* remove it"):
        load_model(folder)
    (folder / FILE).unlink()
    assert load_version(folder)[0] == 1


def test_a_record_of_a_later_winpredict_is_refused(folder):
    (folder / FILE).write_text(record(format=2))
    with pytest.raises(WorkspaceError, match="is of format 2, and this winpredict reads 1"):
        load_model(folder)


def test_missing_files_of_a_model_are_named(folder):
    files = models_in_use(folder).files[1]
    shutil.rmtree(folder / files)
    with pytest.raises(WinPredictError, match="the files of model 1 are missing"):
        load_model(folder)


def test_no_models_at_all(tmp_path):
    assert models_in_use(tmp_path) == ModelsInUse()
    assert changed_at(tmp_path) is None
    with pytest.raises(WinPredictError, match="has no trained model yet"):
        load_model(tmp_path)


def test_the_record_tells_when_it_was_changed(folder):
    before = changed_at(folder)
    promote(folder, 2)
    assert changed_at(folder) != before


def test_loading_leaves_mlflows_database_as_it_was(folder):
    before = (folder / DATABASE).read_bytes()
    load_model(folder)
    assert (folder / DATABASE).read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(f"{DATABASE}-")]
