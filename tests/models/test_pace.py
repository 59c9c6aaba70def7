"""The model of moves forward a day, and the features that a recipe makes of it."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from winpredict import Config, train
from winpredict.features.events import DealEvents
from winpredict.features.pace import hashed, moves_of, observed_moves
from winpredict.features.past import Past
from winpredict.features.snapshots import open_at
from winpredict.models.pace import PaceModel, folds_of, intervals_of, state_columns
from winpredict.models.recipe import FeatureRecipe
from winpredict.models.training import training_set
from winpredict.simulate.world import simulate

PACE = ["pace_owner", "pace_account", "pace_deal", "pace", "moves_expected", "days_to_next_move"]


@pytest.fixture(scope="module")
def data(world, weekly_config):
    return training_set(world.crm, weekly_config)


@pytest.fixture(scope="module")
def learned(world, data):
    """What a pace model is fitted on."""
    past = Past(world.crm, data.snapshots, data.recipe.attributes, data.cross_deal_history)
    base = [each for each in data.features.info if each.builder != "Pace"]
    return data.features.frame, base, intervals_of(past, 7.0), moves_of(DealEvents(world.crm))


def fit(world, learned, moves=None, threads=1):
    frame, info, intervals, its_moves = learned
    return PaceModel.fit(
        frame, info, intervals, its_moves if moves is None else moves,
        known_until=world.crm.known_until, every_days=7.0, longest_days=730.0, threads=threads,
    )  # fmt: skip


def test_intervals_run_from_look_to_look_and_to_the_close(world, learned):
    intervals = learned[2]
    deals = world.crm.deals.assign(deal=lambda deals: hashed(deals["deal_id"])).set_index("deal")
    rows = intervals.join(deals[["closed_at"]], on="deal").sort_values(["deal", "since"])
    same = (rows["deal"] == rows["deal"].shift(-1)).to_numpy()
    following = rows["since"].shift(-1)
    assert (rows["until"][same] == following[same]).all()
    last = rows[~same]
    assert (last["until"].isna() == last["closed_at"].isna()).all()
    assert (last["until"].dropna() == last["closed_at"].dropna()).all()


def test_as_many_moves_are_expected_as_are_made(world, learned):
    frame, _, intervals, moves = learned
    seen = intervals.assign(until=intervals["until"].fillna(world.crm.known_until))
    days = (seen["until"] - seen["since"]).to_numpy() / np.timedelta64(1, "D")
    observed, expected = observed_moves(moves, seen), fit(world, learned).rates(frame, intervals) * days
    assert observed.sum() > 500
    assert expected.sum() == pytest.approx(observed.sum(), rel=0.05)
    # a deal that moves on soon has the higher rate
    assert np.corrcoef(expected, observed)[0, 1] > 0.2


def test_nothing_is_expected_of_a_deal_by_what_its_account_did(world, learned):
    frame, _, intervals, moves = learned
    fold = folds_of(intervals)
    of_first = set(intervals.loc[fold == 0, "deal"])
    faster = moves.assign(moves=np.where(moves["deal"].isin(of_first), 9 * moves["moves"], moves["moves"]))
    first, second = (fit(world, learned, each).rates(frame, intervals) for each in (moves, faster))
    np.testing.assert_array_equal(first[fold == 0], second[fold == 0])
    assert (second[fold != 0]).mean() > 1.5 * first[fold != 0].mean()
    accounts = intervals["account"].to_numpy()
    assert all(len(set(fold[accounts == account])) == 1 for account in np.unique(accounts)[:50])


def test_the_state_of_a_deal_is_not_how_it_got_there(learned):
    columns = state_columns(learned[1])
    assert {"stage", "stage_rank", "days_in_stage", "touches_14d", "days_since_touch", "product"} <= set(columns)
    assert not {"days_open", "stage_changes", "touches", "win_rate_owner", "days_in_prospecting"} & set(columns)


def test_threads_and_the_disk_change_nothing(world, learned, tmp_path):
    frame, _, intervals, _ = learned
    one, two = (fit(world, learned, threads=threads).rates(frame, intervals) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    fitted = fit(world, learned)
    fitted.save(tmp_path / "pace")
    np.testing.assert_array_equal(PaceModel.load(tmp_path / "pace").rates(frame, intervals), one)
    assert {path.suffix for path in (tmp_path / "pace").iterdir()} == {".txt", ".json"}


def test_too_few_moves_give_no_model(world, learned):
    assert fit(world, learned, learned[3].head(50)) is None


def test_snapshots_of_training_have_the_pace_that_a_recipe_gives_them_again(world, data):
    again = data.recipe.build(world.crm, data.snapshots[["deal_id", "as_of"]])
    assert [name for name in again if name in PACE] == PACE
    pd.testing.assert_frame_equal(again, data.features.frame)
    pd.testing.assert_frame_equal(
        data.recipe.build(world.crm, data.snapshots[["deal_id", "as_of"]], cross_deal_history=data.cross_deal_history),
        again,
    )


def test_what_happens_later_changes_no_row(world, data):
    day = pd.Timestamp("2024-06-01", tz="UTC")
    snapshots = open_at(world.crm, day)
    now, then = data.recipe.build(world.crm, snapshots), data.recipe.build(world.crm.as_known_at(day), snapshots)
    assert len(now) > 20
    pd.testing.assert_frame_equal(now[PACE], then[PACE])


def test_a_recipe_is_read_back_as_it_was(world, data, tmp_path):
    data.recipe.save(tmp_path)
    snapshots = open_at(world.crm, world.crm.known_until)
    pd.testing.assert_frame_equal(
        FeatureRecipe.load(tmp_path).build(world.crm, snapshots), data.recipe.build(world.crm, snapshots)
    )


def test_given_facts_of_a_deal_stand_in_place_of_the_recorded_ones(world, data):
    snapshots = open_at(world.crm, world.crm.known_until)
    cross_deal_history = data.recipe.cross_deal_history_of(world.crm)
    alone = world.crm.of_deals(snapshots["deal_id"])
    recorded, given = (
        data.recipe.build(alone, snapshots, cross_deal_history=cross_deal_history, given=each) for each in (False, True)
    )
    pd.testing.assert_frame_equal(recorded, given)
    # a history in which the deals never moved
    first = alone.deal_history.sort_values("changed_at").drop_duplicates("deal_id")
    still = data.recipe.build(
        dataclasses.replace(alone, deal_history=first), snapshots, cross_deal_history=cross_deal_history, given=True
    )
    assert (still["pace_deal"] <= 1).all()
    assert (recorded["pace_deal"] > 1).any()


def test_an_order_of_stages_that_the_data_lack_is_learned_and_kept(world, quick_config):
    unordered = dataclasses.replace(world.crm, stage_order=())
    model = train(unordered, quick_config)
    assert model.recipe.stage_order == world.crm.stage_order
    assert set(PACE) <= {each.name for each in model.info}


def test_without_pace_there_are_no_such_features(world, quick_config):
    plain = Config.model_validate({"model": quick_config.model.model_dump() | {"pace": False}})
    assert not set(PACE) & set(training_set(world.crm, plain).features.frame)


def test_another_calendar_changes_no_odds(quick_config):
    """In a company that is the same at all times, all dates a year later give the same odds."""
    crm = simulate(400, seed=9, drift="none").crm
    year = pd.Timedelta(days=365)
    moved = {
        name: frame.assign(
            **{each: frame[each] + year for each in frame if isinstance(frame[each].dtype, pd.DatetimeTZDtype)}
        )
        for name, frame in crm.tables()
    }
    later = dataclasses.replace(crm, **moved, known_until=crm.known_until + year)
    odds = []
    for each in (crm, later):
        model = train(each, quick_config)
        odds.append(model.odds(model.build_features(each, open_at(each, each.known_until))))
    assert len(odds[0]) >= 10
    pd.testing.assert_frame_equal(*odds, atol=1e-9)
