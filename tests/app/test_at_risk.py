import pandas as pd
import pytest
from sqlalchemy import select, update

from winpredict.app.at_risk import at_risk
from winpredict.app.listing import DealQuery, find_deals
from winpredict.app.publishing import shown_run
from winpredict.app.records import Person, Score
from winpredict.app.visibility import visible_scores
from winpredict.config import Run
from winpredict.insights.at_risk import deals_at_risk, silence


@pytest.fixture
def session(app):
    with app.state.desk.database.reading() as session:
        yield session


@pytest.mark.parametrize("who", ["boss", "manager", "rep"])
@pytest.mark.parametrize("settings", [Run(), Run(big_share=1, moved_points=1, silent_days=3), Run(big_share=0.4)])
def test_the_database_has_the_rule_of_the_digest(session, who, settings):
    person = session.scalar(select(Person).where(Person.email == f"{who}@example.com"))
    run = shown_run(session)
    rows = session.scalars(visible_scores(person)).all()
    deals = pd.DataFrame(
        {
            "deal_id": [row.deal_id for row in rows],
            "amount": pd.Series([row.amount for row in rows], dtype=float),
            "currency": [row.currency for row in rows],
            "move": [None if row.week_before is None else row.win_probability - row.week_before for row in rows],
        }
    ).astype({"move": float})
    touched, created = (
        pd.Series(pd.to_datetime([getattr(row, name) for row in rows], utc=True))
        for name in ("last_touch_at", "created_at")
    )
    deals["silent"] = silence(touched, created, pd.Timestamp(run.as_of))
    expected = set(deals_at_risk(deals, settings)["deal_id"])
    found = set(
        session.scalars(
            visible_scores(person).where(at_risk(person, settings, run.as_of)).with_only_columns(Score.deal_id)
        )
    )
    assert found == expected
    listed = find_deals(session, person, DealQuery(at_risk=True), rows=None, with_names=True, settings=settings)
    assert {row.deal_id for row in listed.rows} == expected


def test_nobody_is_silent_where_no_touch_is_on_record(app, session):
    person = session.scalar(select(Person).where(Person.email == "boss@example.com"))
    settings, as_of = Run(silent_days=1, moved_points=100), shown_run(session).as_of
    risks = visible_scores(person).where(at_risk(person, settings, as_of)).with_only_columns(Score.deal_id)
    assert session.scalars(risks).all()
    session.execute(update(Score).values(last_touch_at=None))
    assert not session.scalars(risks).all()
    session.rollback()
    created = pd.Series(pd.to_datetime(["2025-01-01", "2024-01-01"], utc=True))
    silent = silence(pd.Series(pd.NaT, index=created.index, dtype=created.dtype), created, pd.Timestamp(as_of))
    assert pd.isna(silent).all()
    deals = pd.DataFrame({"amount": [9.0, 1.0], "move": [0.0, 0.0], "silent": silent})
    assert deals_at_risk(deals, settings).empty


def test_unknown_amounts_make_no_deal_big():
    deals = pd.DataFrame({"amount": [0.0, 0.0, 0.0, 5.0, 7.0], "move": -0.5, "silent": 0.0})
    assert deals_at_risk(deals, Run(big_share=0.5))["amount"].tolist() == [7.0]


def test_moves_are_those_since_the_week_before(session):
    person = session.scalar(select(Person).where(Person.email == "boss@example.com"))
    settings = Run(moved_points=2)
    for moved, sign in (("up", 1), ("down", -1)):
        deals = find_deals(session, person, DealQuery(moved=moved), rows=None, with_names=True, settings=settings)
        assert all(sign * (row.win_probability - row.week_before) >= 0.02 for row in deals.rows)
    every = session.scalars(visible_scores(person)).all()
    big = [row for row in every if row.week_before and abs(row.win_probability - row.week_before) >= 0.02]
    up, down = (
        find_deals(session, person, DealQuery(moved=moved), rows=None, with_names=True, settings=settings).found
        for moved in ("up", "down")
    )
    assert up + down == len(big)
