import json
import re

import numpy as np
import pandas as pd
import pytest

from winpredict import WinPredictError
from winpredict.config import NextSteps
from winpredict.explain.next_steps import NOTHING_TO_DO, NextStep, next_steps, ranking
from winpredict.locale.language import PSEUDO, speaking
from winpredict.models.stage_norms import StageNorms

NORMS = StageNorms(
    {
        "": {"silence": 15.0, "pushes": 0.0, "booked": 0.3, "senior": 0.6},
        "Proposal": {
            "silence": 12.0, "days_in_stage": 30.0, "days_left": 14.0, "pushes": 2.0, "booked": 0.6, "senior": 0.8,
            "team": 0.7,
        },
    },
    {"": 50_000.0},
    ("touches", "meetings_booked"),
)  # fmt: skip


def steps_of(norms=NORMS, settings=None, *, odds=0.4, amount=None, stage="Proposal", effects=None, **facts):
    """The next steps of one deal with these facts."""
    features = pd.DataFrame([{"stage": stage, **facts}])
    amounts = None if amount is None else [amount]
    (steps,) = next_steps(features, [odds], amounts, norms, settings or NextSteps(), effects=effects)
    return steps


def keys(*args, **facts):
    return [step.key for step in steps_of(*args, **facts)]


def said(*args, **facts):
    """Action, why and how usual, of the only step."""
    (step,) = steps_of(*args, **facts)
    return str(step.action), str(step.why), "" if step.usual is None else str(step.usual)


def test_no_contact_for_longer_than_won_deals_went():
    assert said(days_since_touch=26.0, meetings_booked=0.0) == (
        "Call them, or send a recap with one clear question.",
        "No contact for 26 days, and no meeting booked.",
        "9 times in 10, deals won from Proposal went no more than 12 days without contact.",
    )
    assert keys(days_since_touch=12.0) == []
    assert keys(days_since_touch=None) == []
    assert keys(days_since_touch=26.0, meetings_booked=1.0) == ["booked"]


def test_no_booking_is_claimed_where_bookings_are_not_recorded():
    unrecorded = StageNorms(NORMS.by_stage, recorded=("touches",))
    assert said(unrecorded, days_since_touch=26.0, meetings_booked=0.0)[1] == "No contact for 26 days."
    assert said(days_since_touch=26.0)[1] == "No contact for 26 days."
    assert keys(unrecorded, days_since_touch=11.0, meetings_booked=0.0) == []


def test_a_deal_that_nobody_touched_yet():
    assert said(days_since_touch=None, touches=0.0, days_open=34.0, stage="Demo") == (
        "Make the first call, or send an introduction by email.",
        "No contact on record since the deal was created 34 days ago.",
        "9 times in 10, deals that were won went no more than 15 days without contact.",
    )
    assert keys(days_since_touch=None, touches=None, days_open=34.0) == []


def test_how_usual_is_not_told_where_the_model_learned_nothing():
    assert said(StageNorms(), days_since_touch=22.0)[2] == ""
    assert keys(StageNorms(), days_since_touch=21.0) == []
    assert keys(StageNorms(), NextSteps(silent_days=10), days_since_touch=21.0) == ["call"]


def test_nothing_booked_and_no_recent_touch():
    assert said(days_since_touch=11.0, meetings_booked=0.0) == (
        "Book the next meeting: agree a date and who should be there.",
        "No meeting booked, and the last contact was 11 days ago.",
        "60% of deals won from Proposal had a meeting booked at this point.",
    )
    assert said(days_since_touch=11.0, meetings_booked=0.0, stage="Demo")[2] == ""
    assert keys(days_since_touch=9.0, meetings_booked=0.0) == []
    assert keys(days_since_touch=11.0, meetings_booked=None) == []
    assert keys(days_since_touch=None, meetings_booked=0.0) == []
    assert keys(days_since_touch=None, touches=0.0, days_open=11.0, meetings_booked=0.0) == []


def test_expected_close_overdue():
    assert said(days_overdue=9.0) == (
        "Ask the customer for a new date, and correct the expected close.", "The expected close was 9 days ago.", "",
    )  # fmt: skip
    assert said(days_overdue=1.0)[1] == "The expected close was 1 day ago."
    assert keys(days_overdue=0.4) == []
    assert keys(days_overdue=None) == []


def test_expected_close_pushed_again_and_again():
    assert said(close_date_pushes=4.0) == (
        "Agree a close plan with the customer: who does what by when.",
        "The expected close was pushed 4 times.",
        "9 times in 10, the close of deals won from Proposal had been pushed no more than 2 times.",
    )
    never = "9 times in 10, the close of deals that were won had never been pushed."
    assert said(close_date_pushes=3.0, stage="Demo")[2] == never
    once = StageNorms({"Proposal": {"pushes": 1.0}})
    assert said(once, close_date_pushes=3.0)[2].endswith("deals won from Proposal had been pushed once at most.")
    assert keys(close_date_pushes=2.0) == []
    assert keys(close_date_pushes=None) == []
    assert keys(StageNorms({"Proposal": {"pushes": 5.0}}), close_date_pushes=4.0) == []


def test_close_date_earlier_than_won_deals_took():
    assert said(days_to_expected_close=6.0) == (
        "Check the close date: ask the customer what has to happen before they sign.",
        "Expected to close in 6 days.",
        "9 times in 10, deals won from Proposal took at least 14 more days.",
    )
    assert said(days_to_expected_close=1.0)[1] == "Expected to close in 1 day."
    assert said(days_to_expected_close=0.2)[1] == "Expected to close today."
    assert keys(days_to_expected_close=14.0) == []
    assert keys(days_to_expected_close=None) == []
    assert keys(days_to_expected_close=6.0, stage="Demo") == []


def test_no_senior_contact_where_won_deals_have_one():
    assert said(senior_contacts=0.0) == (
        "Get to the decision maker: ask your contact who else has to agree, and meet them.",
        "No contact in a senior role is named on the deal.",
        "80% of deals won from Proposal had one at this point.",
    )
    assert said(senior_contacts=0.0, stage="Demo")[2] == "60% of deals that were won had one."
    assert keys(senior_contacts=1.0) == []
    assert keys(senior_contacts=None) == []
    assert keys(NORMS, NextSteps(senior_share=0.8), senior_contacts=0.0) == []
    assert keys(StageNorms(), senior_contacts=0.0) == []


def test_one_of_us_alone_on_a_large_deal():
    assert said(active_users=1.0, amount=120_000.0) == (
        "Bring in a colleague, such as a specialist or your manager.",
        "Only one of us has worked on it, and it is a large deal: 120,000.",
        "70% of large deals won from Proposal had two or more of us on them at this point.",
    )
    assert said(active_users=1.0, amount=120_000.0, stage="Demo")[2] == ""
    assert keys(active_users=1.0, amount=49_999.0) == []
    assert keys(active_users=1.0) == []
    assert keys(active_users=2.0, amount=120_000.0) == []
    assert keys(active_users=None, amount=120_000.0) == []
    assert keys(active_users=1.0, team_members=2.0, amount=120_000.0) == []
    assert keys(StageNorms({"Proposal": {"team": 0.4}}, {"": 50_000.0}), active_users=1.0, amount=120_000.0) == []


def test_a_large_deal_is_told_in_its_currency():
    features = pd.DataFrame({"active_users": [1.0]})
    norms = StageNorms(large={"EUR": 50_000.0})
    ((step,),) = next_steps(features, [0.4], [60_000.0], norms, currencies=["EUR"])
    assert str(step.why) == "Only one of us has worked on it, and it is a large deal: €60,000."
    assert next_steps(features, [0.4], [60_000.0], norms, currencies=["JPY"]) == [()]
    assert len(next_steps(features.assign(currency="EUR"), [0.4], [60_000.0], norms)[0]) == 1


def test_stalled_in_its_stage():
    assert said(days_in_stage=45.0) == (
        "Ask what is holding it up, and agree what has to happen next.",
        "In Proposal for 45 days.",
        "9 in 10 deals won from Proposal moved on within 30 days.",
    )
    assert keys(days_in_stage=30.0) == []
    assert keys(days_in_stage=None) == []
    assert said(days_in_stage=61.0, stage=None)[1:] == ("In the same stage for 61 days.", "")
    with_meeting = said(days_in_stage=45.0, meetings_booked=1.0)
    assert with_meeting[0].startswith("Use the booked meeting to ask what is holding it up")


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("Competitor__c", "Acme", "A competitor is on the deal: Acme."),
        ("competitor", "Yes", "A competitor is recorded on the deal."),
        ("observed_Main_Competitor__c", "Acme", "A competitor is on the deal: Acme."),
        ("Wettbewerber", "Acme", "A competitor is on the deal: Acme."),
        ("Next_Step__c_mentions_competitor", 1.0, "A competitor is recorded on the deal."),
        ("Competitors__c", 1.0, "A competitor is recorded on the deal."),
        ("competitor", "No", None),
        ("competitor", " none ", None),
        ("competitor", None, None),
        ("Next_Step__c_mentions_competitor", 0.0, None),
        ("Next_Step__c_mentions_competitor", None, None),
        ("win_rate_competitor", 0.3, None),
        ("concurrent_users", 12.0, None),
    ],
)
def test_competitor_named(column, value, why):
    steps = steps_of(**{column: value})
    assert [str(step.why) for step in steps] == ([] if why is None else [why])
    assert all(step.key == "competitor" for step in steps)


def test_a_deal_worth_letting_go_is_told_nothing_else():
    facts = {"days_since_touch": 75.0, "days_in_stage": 90.0, "meetings_booked": 0.0, "days_overdue": 40.0}
    (step,) = steps_of(odds=0.02, competitor="Acme", **facts)
    assert step.key == "let_go"
    assert str(step.action) == "Consider letting it go: close it as lost, or agree a date to try again."
    assert str(step.why) == "Win odds below 5%, and no contact for 75 days."
    assert str(step.usual) == "9 in 10 deals won from Proposal moved on within 30 days."
    assert step.flags == ("silent", "stalled", "overdue", "hopeless", "let_go")
    assert "let_go" not in keys(odds=0.2, **facts)
    assert "let_go" not in keys(odds=0.02, **facts | {"meetings_booked": 1.0})
    assert "let_go" not in keys(odds=None, **facts)


def test_nothing_to_do_where_a_meeting_is_booked():
    assert said(days_since_touch=40.0, meetings_booked=1.0) == (
        "Nothing to do: the next meeting is booked.", "1 meeting is booked.", "",
    )  # fmt: skip
    assert said(meetings_booked=2.0)[1] == "2 meetings are booked."
    assert keys(meetings_booked=1.0, days_overdue=5.0) == ["correct_date"]
    assert "at_risk" not in steps_of(days_since_touch=40.0, meetings_booked=1.0)[0].flags


def test_nothing_to_do_where_it_is_the_customers_turn():
    ours = {"touches": 5.0, "inbound": 2.0, "outbound": 3.0, "days_since_touch": 2.0, "days_since_inbound": 6.0}
    assert said(**ours) == (
        "Nothing to do for now: it is the customer's turn.", "We contacted them 2 days ago.", "",
    )  # fmt: skip
    assert said(**ours | {"days_since_touch": 0.1})[1] == "We contacted them today."
    assert said(**ours | {"days_since_touch": 1.0})[1] == "We contacted them 1 day ago."
    assert keys(**ours | {"inbound": 0.0, "outbound": 5.0, "days_since_inbound": None}) == ["customer_has_it"]
    assert keys(**ours | {"days_since_inbound": 2.0}) == []  # the last contact was theirs
    assert keys(**ours | {"touches": 6.0}) == []  # some touch tells no direction
    assert keys(**ours | {"days_since_touch": 4.0}) == []
    assert keys(**ours | {"inbound": None, "days_since_inbound": None}) == []


def test_a_single_day_is_singular():
    eager = NextSteps(min_silent_days=0, unbooked_days=1, recent_days=0)
    quick = StageNorms({"Proposal": {"silence": 1.0, "days_in_stage": 1.0, "days_left": 2.0}})
    assert said(quick, eager, days_since_touch=2.0)[2].endswith("went no more than 1 day without contact.")
    assert said(quick, eager, days_in_stage=2.0)[2] == "9 in 10 deals won from Proposal moved on within 1 day."
    assert said(NORMS, eager, days_since_touch=1.0, meetings_booked=0.0)[1].endswith("was 1 day ago.")


def test_the_most_urgent_three_come_first_and_one_of_each_subject():
    steps = steps_of(
        days_since_touch=40.0, meetings_booked=0.0, days_overdue=20.0, close_date_pushes=4.0, days_in_stage=50.0,
        senior_contacts=0.0, competitor="Acme",
    )  # fmt: skip
    assert [step.key for step in steps] == ["call", "correct_date", "unblock"]
    assert [step.urgency for step in steps] == pytest.approx([1.0, 0.5 + 0.4 * 20 / 30, 0.4 + 0.4 / 3])
    only_one = keys(NORMS, NextSteps(most=1), days_since_touch=40.0, days_overdue=20.0)
    assert only_one == ["call"]


def test_a_step_that_is_skipped_makes_way_for_the_next():
    facts = {"days_since_touch": 40.0, "days_overdue": 20.0}
    assert keys(NORMS, NextSteps(skip=("call",)), **facts) == ["correct_date"]
    assert keys(NORMS, NextSteps(skip=("call", "correct_date")), **facts) == []


def test_stake_and_priority():
    (step,) = steps_of(days_overdue=30.0, odds=0.25, amount=1_000.0)
    assert step.stake == pytest.approx(1_000 * 0.25 * 0.75)
    assert step.priority == pytest.approx(0.9 * 187.5)
    for unknown in ({"amount": None}, {"amount": 0.0}, {"amount": np.nan}, {"amount": 1_000.0, "odds": None}):
        (step,) = steps_of(days_overdue=30.0, **unknown)
        assert (step.stake, step.priority) == (None, None)


def test_deals_rank_by_urgency_times_stake():
    features = pd.DataFrame({"days_overdue": [30.0, 1.0, 30.0, 0.0, 15.0]})
    steps = next_steps(features, [0.5] * 5, [1_000, 90_000, 5_000, 9e9, np.nan], StageNorms())
    # the fifth, of unknown amount, counts as one with the stake of 5,000
    assert ranking(steps).tolist() == [1, 2, 4, 0, 3]
    unknown = next_steps(features, [0.5] * 5, None, StageNorms())
    assert ranking(unknown).tolist() == [0, 2, 4, 1, 3]
    assert ranking([]).tolist() == []


def test_an_effect_is_cited_only_where_its_interval_is_above_zero():
    def evidence(low, high):
        (step,) = steps_of(senior_contacts=0.0, effects={"senior_contacts": (low, high)})
        return None if step.evidence is None else str(step.evidence)

    assert evidence(0.031, 0.118) == (
        "Among deals alike at the start, those with an early senior contact were won 3 to 12 points more often; there "
        "may be other causes."
    )
    assert "won up to 1 point more often" in evidence(0.002, 0.012)
    assert evidence(-0.02, 0.1) is None
    assert evidence(0.001, 0.004) is None
    assert keys(senior_contacts=0.0, effects={"senior_contacts": (-0.1, -0.02)}) == []
    assert steps_of(senior_contacts=0.0)[0].evidence is None
    (alone,) = steps_of(active_users=1.0, amount=90_000.0, effects={"active_users": (0.04, 0.09)})
    assert "two or more of us worked on early were won 4 to 9 points more often" in str(alone.evidence)


def test_a_step_survives_json_and_is_told_in_any_language():
    every = {
        "days_since_touch": 40.0, "days_overdue": 20.0, "days_in_stage": 50.0, "senior_contacts": 0.0,
        "active_users": 1.0,
    }  # fmt: skip
    for facts in (every, {"senior_contacts": 0.0, "active_users": 1.0}):
        for step in steps_of(amount=120_000.0, effects={"senior_contacts": (0.03, 0.1)}, **facts):
            again = NextStep.from_json(json.loads(json.dumps(step.to_json())))
            assert again == step
            assert again.to_dict() == step.to_dict()
            assert json.loads(json.dumps(step.to_dict()))["action"] == str(step.action)
            with speaking(PSEUDO):
                assert again.to_dict()["why"].startswith("[")


def random_deals(n=400, seed=5):
    rng = np.random.default_rng(seed)

    def gaps(values):
        return np.where(rng.random(n) < 0.3, np.nan, values)

    inbound, outbound = rng.integers(0, 5, n), rng.integers(0, 5, n)
    features = pd.DataFrame(
        {
            "stage": pd.array(np.where(rng.random(n) < 0.1, None, rng.choice(["Proposal", "Demo"], n)), dtype="string"),
            "days_since_touch": gaps(rng.gamma(0.7, 25, n)),
            "days_since_inbound": gaps(rng.gamma(1, 40, n)),
            "touches": gaps(inbound + outbound),
            "inbound": gaps(inbound),
            "outbound": gaps(outbound),
            "days_open": gaps(rng.gamma(1, 60, n)),
            "meetings_booked": gaps(rng.integers(0, 2, n)),
            "days_in_stage": gaps(rng.gamma(0.7, 50, n)),
            "days_overdue": gaps(np.maximum(rng.normal(0, 20, n), 0)),
            "days_to_expected_close": gaps(rng.normal(10, 20, n)),
            "close_date_pushes": gaps(rng.integers(0, 6, n)),
            "senior_contacts": gaps(rng.integers(0, 3, n)),
            "active_users": gaps(rng.integers(0, 3, n)),
            "Competitor__c": pd.array(rng.choice(["No", "Yes", "Acme"], n), dtype="string"),
        }
    )
    return features, gaps(rng.beta(1, 6, n)), gaps(rng.lognormal(10.5, 1, n))


def test_there_are_at_most_three_and_words_agree_with_figures():
    features, odds, amounts = random_deals()
    found = next_steps(features, odds, amounts, NORMS)
    assert {step.key for steps in found for step in steps} >= {
        "call", "book", "correct_date", "close_plan", "check_date", "unblock", "senior", "colleague", "competitor",
        "let_go", *NOTHING_TO_DO,
    }  # fmt: skip
    for steps in found:
        assert len(steps) <= 3
        assert [step.urgency for step in steps] == sorted((step.urgency for step in steps), reverse=True)
        if any(not step.is_to_do or step.key == "let_go" for step in steps):
            assert len(steps) == 1
        for step in steps:
            words = " ".join([str(step.action), str(step.why), str(step.usual or "")])
            assert not re.search(r"\bnan\b|None|(?<![\d,.])0 |\b1 (days|times|meetings)\b|[{}]", words), words
            # a fact is worse than what is usual
            if step.usual is not None and step.key in ("call", "unblock", "close_plan"):
                fact, usual = (
                    re.search(r"(\d+) (?:day|time)s?\b(?! in)", str(each)) for each in (step.why, step.usual)
                )
                assert usual is None or int(fact[1]) > int(usual[1])


def test_unrelated_columns_change_nothing_and_the_result_is_the_same_each_time():
    features, odds, amounts = random_deals()
    found = next_steps(features, odds, amounts, NORMS)
    more = features.assign(
        win_rate_competitor=0.2, region="West", touches_30d=0.0, days_since_call=99.0, amount_ups=4.0
    )
    assert next_steps(more[sorted(more)], odds, amounts, NORMS) == found
    assert next_steps(features, odds, amounts, NORMS) == found


def test_a_deal_has_the_same_steps_alone_as_among_all():
    features, odds, amounts = random_deals()
    found = next_steps(features, odds, amounts, NORMS)
    for row in range(0, len(features), 23):
        rows = slice(row, row + 1)
        assert next_steps(features.iloc[rows], odds[rows], amounts[rows], NORMS) == found[rows]


@pytest.mark.parametrize("column", [name for name in random_deals(2)[0] if name != "stage"])
def test_a_missing_column_is_as_silent_as_a_missing_value(column):
    features, odds, amounts = random_deals()
    absent = next_steps(features.drop(columns=column), odds, amounts, NORMS)
    empty = features.assign(**{column: features[column].where(np.zeros(len(features), dtype=bool))})
    assert next_steps(empty, odds, amounts, NORMS) == absent


def test_nothing_is_known_of_an_empty_frame():
    assert next_steps(pd.DataFrame(index=range(2)), [0.5, np.nan], None, NORMS) == [(), ()]
    assert next_steps(pd.DataFrame(), [], None, NORMS) == []


def test_odds_and_amounts_are_one_for_each_deal():
    features = pd.DataFrame({"days_overdue": [1.0, 2.0]})
    with pytest.raises(WinPredictError, match="odds has 1 values for 2 deals"):
        next_steps(features, [0.5], None, NORMS)
    with pytest.raises(WinPredictError, match="amounts has 3 values for 2 deals"):
        next_steps(features, [0.5, 0.5], [1, 2, 3], NORMS)
