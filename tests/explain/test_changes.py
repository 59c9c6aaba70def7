import dataclasses

import pandas as pd
import pytest

from winpredict import WinPredictError, explain_deal, score
from winpredict.explain.changes import changes
from winpredict.explain.similar import similar
from winpredict.explain.what_if import what_if


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
        found = changes(model, world.crm, deal, earlier(world.crm))
        told = sum(reason.points for reason in found.reasons) + found.other_points
        assert found.before + told == pytest.approx(found.after, abs=1e-9)
        assert found.after == pytest.approx(scores[deal], abs=1e-9)


def test_changes_are_told_with_both_values(world, model, deals):
    found = changes(model, world.crm, deals[0], earlier(world.crm))
    assert "→" in found.summary()
    assert found.to_dict()["after"] == found.after


def test_days_in_the_wrong_order_and_deals_not_yet_open_are_refused(world, model, deals):
    with pytest.raises(WinPredictError, match="earlier day first"):
        changes(model, world.crm, deals[0], world.crm.known_until)
    with pytest.raises(WinPredictError, match="was not open"):
        changes(model, world.crm, deals[0], "2023-01-03")


def test_no_reason_knows_what_was_recorded_later(world, model, deals):
    """Another future of the deal, same reasons: of its touches, people and changes from as_of on."""
    crm, moment = world.crm, world.crm.known_until
    later = pd.DataFrame(
        {
            "activity_id": [f"later{number}" for number in range(50)], "deal_id": deals[0], "activity_type": "call",
            "occurred_at": moment, "recorded_at": moment, "user_id": "new", "contact_id": "new", "direction": "inbound",
        }
    )  # fmt: skip
    changed = type(crm).from_frames(
        **{
            **dict(crm.tables()),
            "activities": pd.concat([crm.activities, later], ignore_index=True),
            "contacts": pd.concat(
                [crm.contacts, pd.DataFrame({"deal_id": [deals[0]], "contact_id": ["new"], "added_at": [moment]})],
                ignore_index=True,
            ),
            "deal_history": pd.concat(
                [
                    crm.deal_history,
                    pd.DataFrame({"deal_id": [deals[0]], "changed_at": [moment], "stage": ["Prospecting"]}),
                ],
                ignore_index=True,
            ),
        },
        stage_order=crm.stage_order,
        known_until=moment,
    )
    assert explain_deal(model, changed, deals[0]) == explain_deal(model, crm, deals[0])
    assert changes(model, changed, deals[0], earlier(crm)) == changes(model, crm, deals[0], earlier(crm))


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


def test_similar_deals_were_closed_and_lived_as_long(world, model, deals):
    crm = world.crm
    found = similar(model, crm, deals[0])
    assert 0 < len(found.deals) <= 20
    assert found.deals["outcome"].isin(["won", "lost"]).all()
    assert (found.deals["days_more"] >= 0).all()
    assert found.deals["distance"].is_monotonic_increasing
    assert f"{(found.deals['outcome'] == 'won').sum()} were won" in found.summary()


def test_a_deal_older_than_any_closed_one_has_no_like(world, model):
    crm = world.crm
    ancient = crm.deals.assign(
        created_at=crm.deals["created_at"].where(crm.deals["outcome"] != "open", crm.deals["created_at"].min())
    )
    crm = dataclasses.replace(crm, deals=ancient)
    deal = ancient.loc[ancient["outcome"] == "open", "deal_id"].iloc[0]
    assert "none to compare" in similar(model, crm, deal).summary()
