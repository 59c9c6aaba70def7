"""Pace: observed against expected moves of owners, accounts and deals, checked against loops over the raw facts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winpredict.features.events import DealEvents
from winpredict.features.pace import PRIOR_MOVES, PaceFacts, PaceHistory, hashed, moves_of, observed_moves
from winpredict.tables.crm import CRMData

START = pd.Timestamp("2025-01-01", tz="UTC")
OWNERS, ACCOUNTS = ("ann", "bob", None), ("acme", "beta", None)


def moment(day):
    return START + pd.Timedelta(days=float(day))


@st.composite
def facts(draw):
    """A few deals, each looked at several times by changing owners, with moves in between."""
    intervals, moves = [], []
    for number in range(draw(st.integers(1, 5))):
        account = draw(st.sampled_from(ACCOUNTS))
        day = draw(st.integers(0, 20))
        looks = draw(st.integers(1, 4))
        for look in range(looks):
            until = day + draw(st.integers(1, 9))
            still_open = look == looks - 1 and draw(st.booleans())
            rate = draw(st.floats(0.001, 0.5))
            owner = draw(st.sampled_from(OWNERS))
            intervals.append((f"d{number}", owner, account, day, np.nan if still_open else until, rate))
            day = until
        when = draw(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 3)), max_size=3))
        moves += [(f"d{number}", at + 0.5, float(steps)) for at, steps in when]
    return intervals, moves


def as_facts(intervals, moves):
    frame = pd.DataFrame(intervals, columns=["deal", "owner", "account", "since", "until", "rate"])
    names = {name: hashed(frame[name].astype("object")) for name in ("deal", "owner", "account")}
    times = {
        name: (START + pd.to_timedelta(frame[name], unit="D")).astype("datetime64[us, UTC]")
        for name in ("since", "until")
    }
    table = pd.DataFrame(moves, columns=["deal", "at", "moves"])
    at = (START + pd.to_timedelta(table["at"].astype(float), unit="D")).astype("datetime64[us, UTC]")
    deals = hashed(table["deal"].astype("object"))
    return PaceFacts(
        frame.assign(**names, **times), pd.DataFrame({"deal": deals, "at": at, "moves": table["moves"].astype(float)})
    )


def expected_of(intervals, wanted, day, factor):
    """Expected moves by a day of the intervals that are wanted."""
    total = 0.0
    for place, each in enumerate(intervals):
        since, until = each[3], each[4]
        if wanted(each) and since < day:
            total += each[5] * factor[place] * (min(day, until if until == until else day) - since)
    return total


def observed_of(intervals, moves, wanted, day):
    """Moves before a day, each of those who had the deal at the last look before it."""
    total = 0.0
    for deal, at, number in moves:
        looks = [each for each in intervals if each[0] == deal and each[3] < at]
        if looks and at < day and wanted(max(looks, key=lambda each: each[3])):
            total += number
    return total


def pace_by_loops(intervals, moves, deal, owner, account, day):
    def others(place, name, own, when, factor):
        if name is None:
            return 1.0
        wanted = lambda each: each[place] == name and each[0] != own  # noqa: E731
        observed, expected = observed_of(intervals, moves, wanted, when), expected_of(intervals, wanted, when, factor)
        prior = PRIOR_MOVES["owner" if place == 1 else "account"]
        return (observed + prior) / (expected + prior)

    ones = [1.0] * len(intervals)
    by_owner = [others(1, each[1], each[0], each[3], ones) for each in intervals]
    by_both = [o * others(2, each[2], each[0], each[3], by_owner) for o, each in zip(by_owner, intervals, strict=True)]
    wanted = lambda each: each[0] == deal  # noqa: E731
    observed, expected = observed_of(intervals, moves, wanted, day), expected_of(intervals, wanted, day, by_both)
    of_deal = (observed + PRIOR_MOVES["deal"]) / (expected + PRIOR_MOVES["deal"])
    return others(1, owner, deal, day, ones), others(2, account, deal, day, by_owner), of_deal, expected


def at(found, deal, owner, account, day, rate=0.1):
    who = pd.DataFrame({"deal": hashed([deal]), "owner": hashed([owner]), "account": hashed([account])})
    columns = found.at(who, pd.Series([moment(day)]), np.array([rate]))
    return {name: float(values[0]) for name, values in columns.items()}


@settings(max_examples=25, deadline=None)
@given(facts(), st.sampled_from(OWNERS), st.sampled_from(ACCOUNTS), st.integers(0, 70))
def test_equals_loops_over_the_facts(found, owner, account, day):
    intervals, moves = found
    seen = at(PaceHistory(as_facts(intervals, moves)), "d0", owner, account, day)
    of_owner, of_account, of_deal, expected = pace_by_loops(intervals, moves, "d0", owner, account, day)
    assert seen["pace"] == pytest.approx(of_owner * of_account * of_deal, abs=6e-5)
    assert seen["pace_deal"] == pytest.approx(of_deal, abs=6e-5)
    assert seen["moves_expected"] == pytest.approx(expected, abs=6e-5)
    # of the pace before it is rounded, and to two decimals
    assert seen["days_to_next_move"] == pytest.approx(10.0 / (of_owner * of_account * of_deal), abs=0.0051)
    for name, value in (
        ("pace_owner", of_owner if owner else np.nan),
        ("pace_account", of_account if account else np.nan),
    ):
        assert seen[name] == pytest.approx(value, abs=6e-5, nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(facts(), st.integers(1, 60))
def test_what_comes_later_changes_nothing(found, day):
    intervals, moves = found
    before = [each for each in intervals if each[3] < day]
    # an interval that is still running then has no end yet
    before = [(*each[:4], np.nan if each[4] >= day else each[4], each[5]) for each in before]
    then = at(PaceHistory(as_facts(before, [each for each in moves if each[1] < day])), "d0", "ann", "acme", day)
    assert then == pytest.approx(at(PaceHistory(as_facts(intervals, moves)), "d0", "ann", "acme", day), abs=6e-5)


@settings(max_examples=10, deadline=None)
@given(facts(), st.randoms(use_true_random=False))
def test_the_order_of_the_facts_changes_nothing(found, random):
    intervals, moves = found
    shuffled = (random.sample(intervals, len(intervals)), random.sample(moves, len(moves)))
    once, again = (at(PaceHistory(as_facts(*each)), "d0", "ann", "acme", 40) for each in ((intervals, moves), shuffled))
    assert once == again


def test_a_deal_that_the_history_lacks_is_read_off_its_own_facts():
    intervals = [("d0", "ann", "acme", 0, 7, 0.1), ("d0", "ann", "acme", 7, 14, 0.3), ("d1", "bob", "beta", 0, 9, 0.2)]
    moves = [("d0", 3.5, 1.0), ("d0", 9.5, 2.0), ("d1", 4.5, 1.0)]
    who = pd.DataFrame({"deal": hashed(["d0"]), "owner": hashed(["ann"]), "account": hashed(["acme"])})
    day, rate = pd.Series([moment(12)]), np.array([0.2])
    together = PaceHistory(as_facts(intervals, moves)).at(who, day, rate)
    apart = PaceHistory(as_facts(intervals[2:], moves[2:])).at(who, day, rate, as_facts(intervals[:2], moves[:2]))
    for name, values in together.items():
        assert apart[name] == pytest.approx(values, abs=6e-5), name
    # 7 days of 0.1 and 5 of 0.3 are 2.2 expected moves, and 3 were made
    assert apart["pace_deal"] == pytest.approx((3 + PRIOR_MOVES["deal"]) / (2.2 + PRIOR_MOVES["deal"]), abs=6e-5)


def test_moves_are_steps_forward_and_what_a_win_skips():
    deals = pd.DataFrame(
        {
            "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
            "created_at": ["2025-01-01", "2025-01-01"], "closed_at": ["2025-02-01", None],
        }
    )  # fmt: skip
    history = pd.DataFrame(
        {
            "deal_id": ["a", "a", "a", "a", "b", "b"],
            "changed_at": ["2025-01-01", "2025-01-05", "2025-01-09", "2025-02-01", "2025-01-01", "2025-01-03"],
            "stage": ["Lead", "Offer", "Demo", "Won", "Lead", "Demo"],
        }
    )
    crm = CRMData.from_tables(deals, deal_history=history, stage_order=("Lead", "Demo", "Offer"))
    found = moves_of(DealEvents(crm))
    names = {hashed([name])[0]: name for name in "ab"}
    seen = sorted((names[deal], f"{at:%m-%d}", moves) for deal, at, moves in found.itertuples(index=False))
    # Lead to Offer two, back to Demo none, won from Demo: past Offer to the end
    assert seen == [("a", "01-05", 2.0), ("a", "02-01", 2.0), ("b", "01-03", 1.0)]


def test_a_move_belongs_to_the_interval_up_to_whose_end_it_comes():
    table = as_facts(
        [("d0", None, None, 0, 7, 0.1), ("d0", None, None, 7, 14, 0.1)], [("d0", 7.0, 1.0), ("d0", 7.5, 2.0)]
    )
    assert observed_moves(table.moves, table.intervals).tolist() == [1.0, 2.0]


def test_few_names_have_the_hashes_that_they_have_among_many():
    names = pd.Series(["acme", None, "", "é", "006Dn0000002830"] * 4, dtype="str")
    together = hashed(names)
    assert len(names) > 8
    assert [hashed(names[[place]]).tolist() for place in range(len(names))] == [[each] for each in together.tolist()]
    assert together[1] == -1
    assert (together[[0, 2, 3, 4]] >= 0).all()
