import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import Config, CRMData, TrainedModel, train
from winpredict.errors import TooLittleDataError
from winpredict.features.snapshots import every, labelled
from winpredict.models.training import later_rows, pipeline, row_weights, training_looks


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


def test_a_look_weighs_by_its_number_so_far_and_not_by_how_long_the_deal_will_live(world):
    config = Config.model_validate({"censoring": {"method": "none"}})
    snapshots = training_looks(world.crm, config)
    so_far = snapshots.groupby("deal_id")["as_of"].rank()
    assert so_far.max() > 20
    np.testing.assert_allclose(row_weights(snapshots, config), 1 / np.sqrt(so_far))
    # the same looks at deals that were then cut short weigh the same
    cut = snapshots[so_far <= 3]
    again = labelled(world.crm, cut[["deal_id", "as_of"]])
    np.testing.assert_allclose(row_weights(again, config), row_weights(snapshots, config)[so_far <= 3])


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


@pytest.fixture(scope="module")
def noise():
    """Deals without any signal and without a history, half of them won."""
    rng = np.random.default_rng(0)
    n = 300
    created = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 500, n), unit="D")
    outcome = np.where(rng.random(n) < 0.2, "open", np.where(rng.random(n) < 0.5, "won", "lost"))
    closed = pd.Series(created + pd.to_timedelta(rng.integers(10, 120, n), unit="D")).where(outcome != "open")
    return pd.DataFrame(
        {
            "deal_id": [f"d{number}" for number in range(n)], "stage": "Demo", "outcome": outcome,
            "created_at": created, "closed_at": closed, "owner_id": rng.choice(list("abc"), n),
            "amount": rng.lognormal(8, 1, n), "lead_source": rng.choice(["web", "fair"], n),
        }
    )  # fmt: skip


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


def test_what_is_dated_after_the_end_of_knowledge_is_not_learnt(noise, quick_config):
    day = pd.Timestamp("2024-12-01", tz="UTC")
    model = train(CRMData.from_tables(noise, known_until=day), quick_config)
    assert model.figures["deals"] == (noise["closed_at"] < day).sum()
    assert model.trained_as_of == day


def test_a_mistyped_year_does_not_move_the_end_of_knowledge(noise):
    crm = CRMData.from_tables(
        noise.assign(closed_at=noise["closed_at"].mask(noise.index == 0, pd.Timestamp("2152-01-01", tz="UTC")))
    )
    assert crm.known_until <= pd.Timestamp.now("UTC")


def test_no_deal_is_both_learnt_from_and_calibrated_on(noise):
    bulk = noise.assign(
        closed_at=noise["closed_at"].dt.tz_localize(None).dt.to_period("Q").dt.end_time.dt.tz_localize("UTC")
    )
    crm = CRMData.from_tables(bulk)
    rows = labelled(crm, every(crm, 7))
    rows = rows[rows["outcome"] != "open"].reset_index(drop=True)
    assert pd.Series(later_rows(rows, 0.2)).groupby(rows["deal_id"]).nunique().max() == 1


def test_deals_that_were_never_open_are_refused(noise, quick_config):
    with pytest.raises(TooLittleDataError, match="were open on any day"):
        train(
            CRMData.from_tables(noise.assign(closed_at=noise["created_at"].where(noise["closed_at"].notna()))),
            quick_config,
        )


def test_a_later_export_may_lack_columns_and_bring_new_values(noise, quick_config):
    crm = CRMData.from_tables(noise)
    model = train(crm, quick_config)
    later = noise.drop(columns="amount").assign(lead_source=[f"source {number % 40}" for number in range(len(noise))])
    looks = pipeline(crm, crm.known_until)
    features = model.build_features(CRMData.from_tables(later, known_until=crm.known_until), looks)
    assert list(features) == [each.name for each in model.info]
    assert features["amount"].isna().all()
    assert features["lead_source"].notna().all()
    assert model.odds(features)["win_probability"].between(0, 1).all()


def test_the_order_of_the_rows_makes_the_same_model(noise, quick_config, tmp_path):
    for name, deals in (("one", noise), ("two", noise.sample(frac=1, random_state=1))):
        train(CRMData.from_tables(deals), quick_config).save(tmp_path / name)
    for path in (tmp_path / "one").rglob("*.txt"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
