import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import CRMData, WinPredictError, train
from winpredict.errors import TooLittleDataError
from winpredict.explain._evidence import MIN_EACH
from winpredict.explain.drivers import CLEAR, DEALS, _direction, _one_snapshot_per_deal, drivers, top_drivers
from winpredict.features.description import FeatureInfo
from winpredict.locale.text import text
from winpredict.models.snapshots import pipeline
from winpredict.simulate.world import simulate


@pytest.fixture(scope="module")
def larger():
    return simulate(2500, seed=12)


@pytest.fixture(scope="module")
def found(larger, quick_config):
    crm = larger.crm
    model = train(crm, quick_config)
    return drivers(model, crm, groups=crm.deals.set_index("deal_id")["deal_type"])


def test_every_feature_is_listed_with_its_mean_effect(world, model):
    features = model.build_features(world.crm, pipeline(world.crm, world.crm.known_until))
    table = top_drivers(model, features)
    assert sorted(table["feature"]) == sorted(each.name for each in model.info)
    assert table["points"].is_monotonic_decreasing


def test_planted_drivers_are_found_and_noise_is_not(found):
    themes = found.themes.set_index("theme")
    # how engaged a customer is shows in touches, and is told by the pace that like deals with such touches have
    planted = ["stage", "deal_type", "amount", "lead_source", "owner", "pace"]
    assert themes.loc[planted, "evidence"].all()
    assert not themes.loc[["region", "campaign_code"], "evidence"].any()


def test_planted_drivers_have_the_right_sign(found):
    direction = found.themes.set_index("theme")["direction"]
    assert direction["amount"] == "less is better"
    assert direction[["stage", "owner"]].tolist() == ["more is better"] * 2
    assert direction["touches"] == "no evidence", "whose effect the pace tells: no direction without evidence"
    assert (found.themes["direction"] == "no evidence").equals(~found.themes["evidence"])
    shape = found.dependence.query("theme == 'deal_type'").set_index("label")["points"]
    assert len(shape) >= 2


def test_strengths_lie_in_their_bands_and_are_sorted(found):
    themes = found.themes
    assert themes["strength"].is_monotonic_decreasing
    assert (themes["low"] <= themes["strength"]).all()
    assert (themes["strength"] <= themes["high"]).all()
    assert themes["stability"].between(0, 1).all()


def test_groups_and_interactions_are_told(found):
    assert set(found.groups["group"]) == {"new", "existing"}
    assert found.interactions["points"].is_monotonic_decreasing
    assert "moves the odds most" in found.sentences()[0]
    assert any(sentence.startswith("No evidence was found for: ") for sentence in found.sentences())


def test_the_order_of_the_rows_does_not_matter(world, model):
    shuffled = dataclasses.replace(
        world.crm, deals=world.crm.deals.sample(frac=1, random_state=3).reset_index(drop=True)
    )
    one, two = drivers(model, world.crm), drivers(model, shuffled)
    pd.testing.assert_frame_equal(one.themes, two.themes)


def test_undated_deals_give_what_they_can(quick_config):
    rng = np.random.default_rng(1)
    n = 600
    product, noise = rng.choice(["a", "b"], n), rng.choice(["x", "y"], n)
    won = rng.random(n) < np.where(product == "a", 0.7, 0.2)
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{i}" for i in range(n)], "stage": "any", "outcome": np.where(won, "won", "lost"),
            "created_at": None, "closed_at": None, "product": product, "noise": noise,
        }
    )  # fmt: skip
    crm = CRMData.from_tables(deals)
    result = drivers(train(crm, quick_config), crm)
    evidence = result.themes.set_index("theme")["evidence"]
    assert evidence["product"]
    assert not evidence["noise"]
    assert result.themes["stability"].isna().all()
    assert any("no dates" in str(note) for note in result.notes)


def test_a_look_at_a_deal_is_as_likely_whether_it_lived_long_or_not():
    n = 8000
    created = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) % 300, unit="D")
    life = np.where(np.arange(n) % 2, 20, 300)
    deals = pd.DataFrame(
        {
            "deal_id": [f"d{i}" for i in range(n)], "stage": "any", "outcome": "lost",
            "created_at": created, "closed_at": created + pd.to_timedelta(life, unit="D"),
        }
    )  # fmt: skip
    snapshots = _one_snapshot_per_deal(CRMData.from_tables(deals))
    assert len(snapshots) == DEALS
    assert snapshots["deal_id"].is_unique
    share_long = (snapshots["deal_id"].str[1:].astype(int) % 2 == 0).mean()
    assert share_long == pytest.approx(0.5, abs=0.04)
    ages = (snapshots["as_of"] - snapshots["deal_id"].map(deals.set_index("deal_id")["created_at"])).dt.days
    assert ages[ages < 7].value_counts().reindex(range(7)).gt(0).all()


def test_by_default_nothing_recorded_after_the_end_of_knowledge_is_used(world, quick_config):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    model = train(world.crm, quick_config, as_of=day)
    by_default = drivers(model, dataclasses.replace(world.crm, known_until=day))
    cut = drivers(model, world.crm.as_known_at(day))
    pd.testing.assert_frame_equal(by_default.themes, cut.themes)
    assert by_default.deals == cut.deals


def test_a_model_tells_no_drivers_of_the_past_it_was_trained_on(world, model):
    with pytest.raises(WinPredictError, match="would know the future"):
        drivers(model, world.crm.as_known_at("2024-06-01"))


def test_too_few_deals_for_drivers_is_said(world, model):
    timeless = dataclasses.replace(model, trained_as_of=None)
    first = world.crm.deals["created_at"].min()
    for days, said in ((-10, "open on any day"), (20, "tested on 8 of each")):
        with pytest.raises(TooLittleDataError, match=said):
            drivers(timeless, world.crm.as_known_at(first + pd.Timedelta(days=days)))


def test_the_least_that_drivers_are_tested_on_is_enough(world, model):
    deals = world.crm.deals
    few = pd.concat([deals[deals["outcome"] == ending].tail(MIN_EACH + 3) for ending in ("won", "lost")])
    result = drivers(
        dataclasses.replace(model, trained_as_of=None), dataclasses.replace(world.crm, deals=few.reset_index(drop=True))
    )
    assert result.sentences()
    assert result.themes["p_value"].between(0, 1).all()


MEETINGS = FeatureInfo(name="meetings", unit="touches", label=text("meetings so far"), builder="Touches")


@pytest.mark.parametrize(
    ("slopes", "direction"),
    [
        ([-0.5, -0.2, -0.7, -0.1], "less is better"),
        ([-0.5, -0.2, 0.1, -0.6], "depends"),
        ([-0.5, np.nan, -0.7, -0.6], "depends"),
        ([], "depends"),
    ],
)
def test_a_direction_is_one_that_every_model_of_the_test_has(slopes, direction):
    values, rng = pd.Series(np.arange(300.0)), np.random.default_rng(3)
    points = -0.001 * values.to_numpy() + rng.normal(scale=0.05, size=300)
    assert _direction(MEETINGS, values, points, np.array(slopes)) == direction


def test_a_weak_direction_is_none():
    values, rng = pd.Series(np.arange(300.0)), np.random.default_rng(3)
    points = -0.001 * values.to_numpy() + rng.normal(scale=1.5, size=300)
    assert abs(np.corrcoef(values, points)[0, 1]) < CLEAR
    assert _direction(MEETINGS, values, points, np.full(4, -0.5)) == "depends"


def test_what_has_no_evidence_has_no_direction(found):
    """ "Meetings: less is better" of figures that tell nothing is what people stop reading for."""
    themes = found.themes
    assert (themes.loc[~themes["evidence"], "direction"] == "no evidence").all()
    assert not (themes.loc[themes["evidence"], "direction"] == "no evidence").any()
    unproven = [str(found.names[theme]) for theme in themes.loc[~themes["evidence"], "theme"]]
    directions = [sentence for sentence in found.sentences() if "better" in sentence]
    assert directions
    assert not any(sentence.lower().startswith(name.lower()) for sentence in directions for name in unproven)


def test_shapes_hold_the_win_rates_of_closed_deals(found, larger):
    deals = larger.crm.deals
    ended = deals[deals["outcome"] != "open"]
    rates = ended.assign(won=ended["outcome"] == "won").groupby("deal_type")["won"].mean()
    shape = found.dependence.query("theme == 'deal_type'").set_index("label")
    assert (shape["closed"] <= shape["n"]).all()
    for label in ("new", "existing"):
        assert shape.loc[label, "win_rate"] == pytest.approx(rates[label], abs=0.03)
    told = next(sentence for sentence in found.sentences() if sentence.startswith("Deal type"))
    best, worst = (f"{shape.loc[label, 'win_rate']:.0%}" for label in ("existing", "new"))
    assert told.endswith(f"Best: existing customer, {best} won; worst: new business, {worst}.")
