import random
import shutil

import numpy as np
import pandas as pd
import pytest

from winpredict.errors import WinPredictError
from winpredict.models.snapshots import pipeline
from winpredict.models.trained import TrainedModel


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    folder.mkdir()
    model.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def boosters(folder):
    return sorted(folder.rglob("*.txt"))


def test_what_was_saved_is_loaded_and_gives_the_same_odds(folder, model, world):
    snapshots = pipeline(world.crm, world.crm.known_until).head(20)
    features = model.build_features(world.crm, snapshots)
    pd.testing.assert_frame_equal(TrainedModel.load(folder).odds(features), model.odds(features))


@pytest.mark.parametrize("seed", range(12))
def test_a_mutated_file_is_refused_before_lightgbm_sees_it(folder, seed):
    chance = random.Random(seed)
    path = chance.choice([each for each in folder.rglob("*") if each.is_file() and each.name != "seal.json"])
    content = bytearray(path.read_bytes())
    kind = seed % 3
    if kind == 0:
        content = content[: len(content) // 2]
    elif kind == 1:
        content[chance.randrange(len(content))] ^= 1
    else:
        start = chance.randrange(len(content))
        content[start : start + 20] = b"9" * 20
    path.write_bytes(bytes(content))
    with pytest.raises(WinPredictError, match=rf"{path.name}.* is damaged"):
        TrainedModel.load(folder)


def test_missing_and_added_files_are_refused(folder):
    path = boosters(folder)[0]
    shutil.copy(path, path.with_name("extra.txt"))
    with pytest.raises(WinPredictError, match="was not stored by winpredict"):
        TrainedModel.load(folder)
    path.with_name("extra.txt").unlink()
    path.unlink()
    with pytest.raises(WinPredictError, match=f"{path.name} is missing"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"model.json": 1}', "null"])
def test_a_damaged_seal_is_told(folder, text):
    (folder / "seal.json").write_text(text)
    with pytest.raises(WinPredictError, match=r"seal\.json|was not stored"):
        TrainedModel.load(folder)


def test_without_a_seal_a_whole_model_is_read_and_a_cut_one_refused(folder):
    (folder / "seal.json").unlink()
    assert np.isfinite(TrainedModel.load(folder).figures["deals"])
    path = boosters(folder)[0]
    path.write_text(path.read_text()[: path.stat().st_size // 2])
    with pytest.raises(WinPredictError, match="LightGBM cannot read the model"):
        TrainedModel.load(folder)
