import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict import CRMData, WinPredictError, explain_deal, score, train
from winpredict.explain.changes import changes, changes_of
from winpredict.explain.scores import DealScorer
from winpredict.explain.similar import comparables, similar
from winpredict.explain.what_if import what_if
from winpredict.locale.language import speaking
from winpredict.models.reference_ranges import ReferenceRanges
from winpredict.models.snapshots import pipeline


@pytest.fixture(scope="module")
def deals(world):
    """Open deals that were open three weeks ago too."""
    crm = world.crm
    table = crm.deals[(crm.deals["outcome"] == "open") & (crm.deals["created_at"] < earlier(crm))]
    return table["deal_id"].tolist()


def earlier(crm):
    return crm.known_until - pd.Timedelta(days=21)


def test_changes_add_up_for_every_deal(world, model, deals):
    scores = score(model, world.crm).set_index("deal_id")["win_probability"]
    for deal in deals:
        result = changes(model, world.crm, deal, earlier(world.crm))
        told = sum(reason.points for reason in result.reasons) + result.other_points
        assert result.before + told == pytest.approx(result.after, abs=1e-9)
        assert result.after == pytest.approx(scores[deal], abs=1e-9)


def test_changes_are_told_with_both_values(world, model, deals):
    told = (changes(model, world.crm, deal, earlier(world.crm)) for deal in deals)
    found = next(each for each in told if each.reasons)
    assert "→" in found.summary()
    assert found.to_dict()["after"] == found.after


def test_changes_of_many_deals_are_those_of_each(world, model, deals):
    together = changes_of(model, world.crm, [*deals[:7], "nobody"], earlier(world.crm))
    assert [each.deal_id for each in together] == deals[:7]
    for found in together:
        alone = changes(model, world.crm, found.deal_id, earlier(world.crm))
        assert (found.start, found.end, found.summary()) == (alone.start, alone.end, alone.summary())
        assert found.after == pytest.approx(alone.after, abs=1e-12)
    assert changes_of(model, world.crm, ["nobody"], earlier(world.crm)) == []


def test_days_in_the_wrong_order_and_deals_not_yet_open_are_refused(world, model, deals):
    with pytest.raises(WinPredictError, match="earlier day first"):
        changes(model, world.crm, deals[0], world.crm.known_until)
    with pytest.raises(WinPredictError, match="was not open"):
        changes(model, world.crm, deals[0], "2023-01-03")


@settings(max_examples=12, deadline=None)
@given(place=st.integers(0, 10_000), hours=st.integers(0, 2000), seed=st.integers(0, 10_000))
def test_no_reason_knows_what_was_recorded_at_the_moment_or_later(world, model, deals, place, hours, seed):
    """Another future of all deals, from the moment on: the same reasons, and the same account of the odds."""
    crm, deal = world.crm, deals[place % len(deals)]
    moment = crm.known_until
    rng = np.random.default_rng(seed)
    ids = rng.choice(crm.deals["deal_id"], 200)
    later = pd.DataFrame({"deal_id": ids, "at": moment + pd.Timedelta(hours=hours)})
    later.loc[:49, ["deal_id", "at"]] = [deal, moment]
    touches = later.rename(columns={"at": "occurred_at"}).assign(
        activity_id=[f"later{number}" for number in range(len(later))], recorded_at=later["at"],
        activity_type=rng.choice(["call", "email", "meeting"], len(later)), user_id="new", contact_id="new",
        direction="inbound",
    )  # fmt: skip
    people = later.rename(columns={"at": "added_at"}).assign(contact_id=[f"p{n}" for n in range(len(later))])
    moves = later.rename(columns={"at": "changed_at"}).assign(stage="Prospecting", amount=1.0)
    tables = dict(crm.tables())
    for name, more in (("activities", touches), ("contacts", people), ("deal_history", moves)):
        tables[name] = pd.concat([tables[name], more], ignore_index=True)
    changed = CRMData.from_tables(**tables, stage_order=crm.stage_order, known_until=moment)
    assert explain_deal(model, changed, deal) == explain_deal(model, crm, deal)
    assert changes(model, changed, deal, earlier(crm)) == changes(model, crm, deal, earlier(crm))


def test_what_if_keeps_to_what_is_in_our_hands_and_covered(world, model, deals):
    found = what_if(model, world.crm, deals[0], {"touches_30d": 5})
    assert found.before == pytest.approx(explain_deal(model, world.crm, deals[0]).win_probability)
    assert "not what a change would bring about" in found.sentence
    same = what_if(model, world.crm, deals[0], {"touches_30d": found.figures["touches_30d"][0]})
    assert same.after == same.before
    with pytest.raises(WinPredictError, match="the data cover"):
        what_if(model, world.crm, deals[0], {"touches_30d": 5000})
    with pytest.raises(WinPredictError, match="cannot be asked"):
        what_if(model, world.crm, deals[0], {"amount": 5000})
    bare = dataclasses.replace(model, reference_ranges=ReferenceRanges())
    with pytest.raises(WinPredictError, match="this model has no figure that can be, as it knows no touches"):
        what_if(bare, world.crm, deals[0], {"touches_30d": 5})


def test_odds_that_read_the_same_are_not_set_against_each_other(world, model, deals):
    found = [what_if(model, world.crm, deal_id, {"touches_30d": 9}) for deal_id in deals[:12]]
    same = [f"{each.after:.0%}" == f"{each.before:.0%}" for each in found]
    assert len(set(same)) == 2
    for each, alike in zip(found, same, strict=True):
        assert ("about the same as this one" in each.sentence) == alike
        assert (f"win odds instead of {each.before:.0%}" in each.sentence) == (not alike)


def test_similar_deals_were_closed_and_lived_as_long(world, model, deals):
    crm = world.crm
    found = similar(model, crm, deals[0])
    assert 0 < len(found.deals) <= 20
    assert found.deals["outcome"].isin(["won", "lost"]).all()
    assert (found.deals["days_more"] >= 0).all()
    assert found.deals["distance"].is_monotonic_increasing
    won = found.deals.assign(outcome=["won", "won", *["lost"] * (len(found.deals) - 2)])
    told = dataclasses.replace(found, deals=won.assign(days_more=[10.0, 14.0, *[3.0] * (len(won) - 2)]))
    assert told.summary() == (
        f"Of the {len(won)} closed deals most like {deals[0]} at the same age, 2 were won. Winning took 12 more days "
        "(median)."
    )
    one = dataclasses.replace(told, deals=told.deals.iloc[1:4])
    assert "at the same age, 1 was won. Winning took 14 more days" in one.summary()
    none = dataclasses.replace(told, deals=told.deals.iloc[2:4])
    assert none.summary() == f"Of the 2 closed deals most like {deals[0]} at the same age, 0 were won."
    with speaking("fr"):
        assert one.summary().endswith("1 a été gagnée. Il a encore fallu 14 jours pour gagner (médiane).")


def test_closed_deals_of_an_age_need_no_rows_but_their_own(world, model):
    crm, age = world.crm, pd.Timedelta(weeks=5)
    whole = comparables(model, crm, age, crm.known_until, most=50)
    own = comparables(
        model, crm, age, crm.known_until, cross_deal_history=DealScorer(model, crm).cross_deal_history, most=50
    )
    pd.testing.assert_frame_equal(own.deals, whole.deals)
    assert (own.by_theme == whole.by_theme).all()


def test_a_deal_older_than_any_closed_one_has_no_like(world, model):
    crm = world.crm
    ancient = crm.deals.assign(
        created_at=crm.deals["created_at"].where(crm.deals["outcome"] != "open", crm.deals["created_at"].min())
    )
    crm = dataclasses.replace(crm, deals=ancient)
    deal = ancient.loc[ancient["outcome"] == "open", "deal_id"].iloc[0]
    assert "none to compare" in similar(model, crm, deal).summary()


def test_by_default_similar_deals_are_those_known_at_the_end_of_knowledge(world, quick_config):
    day = pd.Timestamp("2024-11-15", tz="UTC")
    model = train(world.crm, quick_config, as_of=day)
    deal = pipeline(world.crm, day)["deal_id"].iloc[0]
    by_default = similar(model, dataclasses.replace(world.crm, known_until=day), deal)
    pd.testing.assert_frame_equal(by_default.deals, similar(model, world.crm, deal, as_of=day).deals)
