import json

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, TrainedModel, train
from winpredict.errors import WinPredictError
from winpredict.models.seal import seal
from winpredict.models.snapshots import pipeline


def test_a_saved_model_is_the_same(world, model, tmp_path):
    model.save(tmp_path)
    loaded = TrainedModel.load(tmp_path)
    features = model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))
    pd.testing.assert_frame_equal(loaded.odds(features), model.odds(features))
    assert loaded.info == model.info
    assert loaded.trained_as_of == model.trained_as_of
    odds = model.odds(features)["win_probability"].to_numpy()
    np.testing.assert_array_equal(loaded.win_by(features, 30, odds), model.win_by(features, 30, odds))
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".txt", ".json"}


def test_a_model_of_another_format_is_refused(model, tmp_path):
    model.save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | {"format": description["format"] + 1}))
    seal(tmp_path)
    with pytest.raises(WinPredictError, match="another version of winpredict; train the model again"):
        TrainedModel.load(tmp_path)


def test_a_later_export_may_lack_columns_and_bring_new_values(noise, quick_config):
    crm = CRMData.from_tables(noise)
    model = train(crm, quick_config)
    later = noise.drop(columns="amount").assign(lead_source=[f"source {number % 40}" for number in range(len(noise))])
    snapshots = pipeline(crm, crm.known_until)
    features = model.build_features(CRMData.from_tables(later, known_until=crm.known_until), snapshots)
    assert list(features) == [each.name for each in model.info]
    assert features["amount"].isna().all()
    assert features["lead_source"].notna().all()
    assert model.odds(features)["win_probability"].between(0, 1).all()
