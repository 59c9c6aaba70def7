import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import Config, CRMData, TrainedModel, train
from winpredict._common.errors import TooLittleDataError
from winpredict.models.training import pipeline, row_weights, training_set


def few(world, won, lost):
    deals = world.crm.deals
    kept = pd.concat([deals[deals["outcome"] == name].head(n) for name, n in (("won", won), ("lost", lost))])
    return dataclasses.replace(world.crm, deals=kept.reset_index(drop=True))


@pytest.mark.parametrize(("won", "lost"), [(19, 100), (100, 19), (1, 0), (50, 0)])
def test_too_few_endings_are_refused(world, quick_config, won, lost):
    with pytest.raises(TooLittleDataError, match=f"{won} won and {lost} lost deals; 20 of each"):
        train(few(world, won, lost), quick_config)


def test_with_few_deals_a_simpler_model_stands_in_and_says_so(world, quick_config):
    model = train(few(world, 60, 60), quick_config)
    assert any("logistic regression stands in" in note for note in model.notes)
    assert model.classifier.linear_weight == 1.0


def test_leaks_that_were_planted_are_dropped(model):
    assert {"loss_reason", "contract_signed"} <= set(model.dropped_attributes)
    assert not {"loss_reason", "contract_signed"} & {each.name for each in model.info}


def test_training_as_of_a_day_equals_training_on_the_data_of_that_day(world, quick_config):
    """But for the audit, which judges the export; later endings and facts change nothing."""
    day = pd.Timestamp("2024-09-01", tz="UTC")
    crm = world.crm
    later = crm.deals["created_at"] >= day
    cut = dataclasses.replace(crm, deals=crm.deals[~later].reset_index(drop=True))
    looks = pipeline(crm, day)
    odds = [train(each, quick_config, as_of=day) for each in (crm, cut)]
    first, second = (each.odds(each.build_features(crm, looks)) for each in odds)
    pd.testing.assert_frame_equal(first, second)


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


def test_training_is_repeatable(world, model, quick_config, tmp_path):
    for name, each in (("one", model), ("two", train(world.crm, quick_config))):
        each.save(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_long_deal_does_not_count_as_often_as_it_was_looked_at(world):
    config = Config.model_validate({"snapshots": {"deal_power": 1.0}, "censoring": {"method": "none"}})
    data = training_set(world.crm, config)
    of_deal = pd.Series(row_weights(data.snapshots, config)).groupby(data.snapshots["deal_id"].to_numpy()).sum()
    np.testing.assert_allclose(of_deal, 1.0)


def test_undated_deals_are_trained_without_snapshots():
    rng = np.random.default_rng(0)
    size = rng.normal(size=400)
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(400)],
            "stage": None,
            "outcome": np.where(size + rng.normal(size=400) > 0, "won", "lost"),
            "created_at": pd.NaT,
            "closed_at": pd.NaT,
            "fit": size,
        }
    )
    model = train(CRMData.from_frames(deals), Config.model_validate({"model": {"bags": 1, "trees": 30}}))
    assert model.timing is None
    assert [each.name for each in model.info] == ["fit"]
