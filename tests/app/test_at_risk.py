import pandas as pd
import pytest
from desk_lists import at_risk
from sqlalchemy import select, update

from winpredict.app.listing import DealQuery, find_deals
from winpredict.app.records import Person, Score
from winpredict.app.totals import totals
from winpredict.app.visibility import visible_scores
from winpredict.config import Run
from winpredict.explain.deal_flags import big


@pytest.fixture
def session(app):
    with app.state.desk.database.reading() as session:
        yield session


def person_of(session, who):
    return session.scalar(select(Person).where(Person.email == f"{who}@example.com"))


@pytest.mark.parametrize("who", ["boss", "manager", "rep"])
@pytest.mark.parametrize("settings", [Run(), Run(big_share=1), Run(big_share=0.4)])
def test_the_database_has_the_rule_of_the_flags(session, who, settings):
    person = person_of(session, who)
    rows = session.scalars(visible_scores(person)).all()
    amounts = pd.Series([row.amount for row in rows], dtype=float)
    large = big(amounts, pd.Series([row.currency for row in rows], dtype=object), settings.big_share)
    flagged = ["at_risk" in row.flag_names for row in rows]
    expected = {row.deal_id for row, is_big, flag in zip(rows, large, flagged, strict=True) if is_big and flag}
    risks = visible_scores(person).where(at_risk(person, settings)).with_only_columns(Score.deal_id)
    assert set(session.scalars(risks)) == expected
    listed = find_deals(session, person, DealQuery(at_risk=True), rows=None, with_names=True, settings=settings)
    assert {row.deal_id for row in listed.rows} == expected


def test_no_deal_at_risk_is_hopeless_or_has_a_meeting_booked(session):
    rows = session.scalars(visible_scores(person_of(session, "boss"))).all()
    risky = [row for row in rows if "at_risk" in row.flag_names]
    assert risky
    assert not [row for row in risky if {"hopeless", "booked"} & set(row.flag_names)]


def test_deals_are_listed_and_counted_by_flag(session):
    boss = person_of(session, "boss")
    rows = session.scalars(visible_scores(boss)).all()
    for flag in ("stalled", "overdue", "silent"):
        listed = find_deals(session, boss, DealQuery(flag=flag), rows=None, with_names=True)
        assert {row.deal_id for row in listed.rows} == {row.deal_id for row in rows if flag in row.flag_names}
    counted = {each.stage: each.stalled for each in totals(session, boss, "", Run(), with_names=True).stages}
    assert counted == {
        stage: sum("stalled" in row.flag_names for row in rows if row.stage == stage) for stage in counted
    }
    assert sum(counted.values()) > 0


def test_a_run_that_was_published_before_flags_has_none(session):
    boss = person_of(session, "boss")
    session.execute(update(Score).values(flags=""))
    assert not session.scalars(visible_scores(boss).where(at_risk(boss, Run()))).all()
    assert session.scalars(visible_scores(boss)).first().flag_names == ()
    session.rollback()


def test_unknown_amounts_make_no_deal_big():
    assert big(pd.Series([0.0, 0.0, None, 5.0, 7.0]), None, 0.5).tolist() == [False, False, False, False, True]


def test_moves_are_those_since_the_week_before(session):
    person = person_of(session, "boss")
    settings = Run(moved_points=2)
    for moved, sign in (("up", 1), ("down", -1)):
        deals = find_deals(session, person, DealQuery(moved=moved), rows=None, with_names=True, settings=settings)
        assert all(sign * (row.win_probability - row.week_before) >= 0.02 for row in deals.rows)
    every = session.scalars(visible_scores(person)).all()
    moved = [row for row in every if row.week_before and abs(row.win_probability - row.week_before) >= 0.02]
    up, down = (
        find_deals(session, person, DealQuery(moved=moved), rows=None, with_names=True, settings=settings).found
        for moved in ("up", "down")
    )
    assert up + down == len(moved)
