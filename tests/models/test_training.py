import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import Config, CRMData, train
from winpredict.models.snapshots import pipeline


def test_with_few_deals_a_simpler_model_stands_in_and_says_so(few, quick_config):
    model = train(few(60, 60), quick_config)
    assert any("logistic regression replaces the full model" in str(note) for note in model.notes)
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
    snapshots = pipeline(crm, day)
    odds = [train(each, quick_config, as_of=day) for each in (crm, cut)]
    first, second = (each.odds(each.build_features(crm, snapshots)) for each in odds)
    pd.testing.assert_frame_equal(first, second)


def test_training_is_repeatable(world, model, quick_config, tmp_path):
    for name, each in (("one", model), ("two", train(world.crm, quick_config))):
        each.save(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


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
    model = train(CRMData.from_tables(deals), Config.model_validate({"model": {"bags": 1, "trees": 30}}))
    assert model.timing is None
    assert [each.name for each in model.info] == ["fit"]


@pytest.mark.parametrize(
    "leak",
    [
        {"account_id": lambda deals: np.where(deals["outcome"] == "won", "acme", None)},
        {"owner_id": lambda deals: np.where(deals["outcome"] == "won", "success_team", deals["owner_id"])},
    ],
    ids=["an account named at the win", "a deal handed on at the win"],
)
def test_links_that_speak_of_the_ending_are_dropped(noise, quick_config, leak):
    model = train(CRMData.from_tables(noise.assign(**leak)), quick_config)
    assert set(leak) <= set(model.dropped_attributes)
    assert not any("owner" in each.name or each.name.startswith("account") for each in model.info if "owner_id" in leak)


def test_what_is_dated_after_the_end_of_knowledge_is_not_learnt(noise, weekly_config):
    day = pd.Timestamp("2024-12-01", tz="UTC")
    model = train(CRMData.from_tables(noise, known_until=day), weekly_config)
    assert model.figures["deals"] == (noise["closed_at"] < day).sum()
    assert model.trained_as_of == day


def test_a_mistyped_year_does_not_move_the_end_of_knowledge(noise):
    crm = CRMData.from_tables(
        noise.assign(closed_at=noise["closed_at"].mask(noise.index == 0, pd.Timestamp("2152-01-01", tz="UTC")))
    )
    assert crm.known_until <= pd.Timestamp.now("UTC")


def test_the_order_of_the_rows_makes_the_same_model(noise, quick_config, tmp_path):
    for name, deals in (("one", noise), ("two", noise.sample(frac=1, random_state=1))):
        train(CRMData.from_tables(deals), quick_config).save(tmp_path / name)
    for path in (tmp_path / "one").rglob("*.txt"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
