import pandas as pd
import pytest

from winpredict import CRMData, WinPredictError, explain_deal
from winpredict.explain.changes import changes, over_time
from winpredict.explain.scores import DealScorer
from winpredict.explain.story import MAX_STEPS, tell_story
from winpredict.models.training import train

WEEK = pd.Timedelta(days=7)


@pytest.fixture(scope="module")
def scorer(world, model):
    return DealScorer(model, world.crm)


@pytest.fixture(scope="module")
def open_deals(world):
    deals = world.crm.deals
    return deals[deals["outcome"] == "open"].sort_values("created_at", kind="stable")["deal_id"].tolist()


@pytest.fixture(scope="module")
def stories(model, scorer, open_deals):
    ids = [open_deals[0], open_deals[len(open_deals) // 2], open_deals[-1]]
    return [
        tell_story(model, scorer.tables_of(each), each, cross_deal_history=scorer.cross_deal_history) for each in ids
    ]


def test_a_story_says_what_its_parts_say_alone(world, model, stories):
    for story in stories:
        deal = story.explanation.deal_id
        alone = explain_deal(model, world.crm, deal)
        assert story.explanation.summary() == alone.summary()
        assert story.explanation.win_probability == pytest.approx(alone.win_probability, abs=1e-12)
        odds = over_time(model, world.crm, deal, every_days=story.every_days)
        assert [step.as_of for step in story.steps] == odds["as_of"].tolist()
        assert [step.high for step in story.steps] == pytest.approx(odds["high"].tolist(), abs=1e-12)


def test_a_week_is_told_of_deals_that_are_older(world, model, stories):
    created = world.crm.deals.set_index("deal_id")["created_at"]
    for story in stories:
        deal = story.explanation.deal_id
        if world.crm.known_until - created[deal] <= WEEK:
            assert story.week is None
        else:
            alone = changes(model, world.crm, deal, world.crm.known_until - WEEK)
            assert story.week.summary() == alone.summary()


def test_steps_follow_each_other(stories):
    for story in stories:
        assert len(story.steps) <= MAX_STEPS + 1
        assert story.steps[0].change is None
        for before, after in zip(story.steps, story.steps[1:], strict=False):
            assert after.change == pytest.approx(after.win_probability - before.win_probability)


def test_young_deals_are_looked_at_every_day(model, scorer, open_deals, world):
    created = world.crm.deals.set_index("deal_id")["created_at"]
    ages = (world.crm.known_until - created[open_deals]) / WEEK
    for deal in (ages[ages < 4].idxmax(), ages[ages > 5].idxmin()):
        story = tell_story(model, scorer.tables_of(deal), deal, cross_deal_history=scorer.cross_deal_history)
        assert story.every_days == (1 if ages[deal] < 4 else 7)
        days = {after.as_of - before.as_of for before, after in zip(story.steps, story.steps[1:-1], strict=False)}
        assert days == {pd.Timedelta(days=story.every_days)}


def test_largest_moves_stand_in_the_order_of_time(stories):
    moved = stories[0].largest_moves(3)
    assert len(moved) <= 3
    assert [step.as_of for step in moved] == sorted(step.as_of for step in moved)
    assert all(abs(step.change) >= 0.03 for step in moved)


def test_nothing_is_told_that_was_not_known(world, model, stories):
    moment = world.crm.known_until
    for story in stories:
        assert (story.events["at"] < moment).all()
        assert story.events["at"].is_monotonic_increasing
        assert set(story.events["kind"]) <= {"stage", "call", "email", "meeting", "other"}


def test_a_deal_that_is_not_there_is_refused(model, world):
    with pytest.raises(WinPredictError, match="there is no deal"):
        tell_story(model, world.crm, "nobody")


def test_undated_deals_have_no_time_line(quick_config, world):
    deals = world.crm.deals[["deal_id", "outcome", "stage", "amount", "product"]]
    crm = CRMData.from_tables(deals.assign(created_at=None, closed_at=None))
    deal_id = deals.loc[deals["outcome"] == "open", "deal_id"].iloc[0]
    story = tell_story(train(crm, quick_config), crm, deal_id)
    assert not story.steps
    assert story.events.empty
    assert story.week is None
    assert not story.largest_moves()
    assert story.explanation.reasons
