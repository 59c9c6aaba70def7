import pandas as pd
import pytest

from winpredict.models.pyfunc import _load_pyfunc
from winpredict.models.snapshots import pipeline


@pytest.fixture
def features(world, model):
    return model.build_features(world.crm, pipeline(world.crm, world.crm.known_until)).head(20)


def test_what_mlflow_loads_answers_as_the_model_does(tmp_path, model, features):
    model.save(tmp_path)
    pd.testing.assert_frame_equal(_load_pyfunc(str(tmp_path)).predict(features), model.odds(features))


def test_plain_text_and_further_columns_in_any_order_give_the_same_odds(tmp_path, model, features):
    model.save(tmp_path)
    text = {name: features[name].astype(object) for name in features.select_dtypes(exclude="number").columns}
    asked = features.assign(**text, note="a further column")[["note", *reversed(features.columns)]]
    pd.testing.assert_frame_equal(_load_pyfunc(str(tmp_path)).predict(asked), model.odds(features))
