"""Scoring runs in the database: published whole, read while they are, and forgotten when they are old."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest
from desk_databases import postgres_databases, sqlite_database
from sqlalchemy import func, select

from winpredict.app.database import open_database
from winpredict.app.listing import DealQuery, find_deals
from winpredict.app.people import add_person, now
from winpredict.app.publishing import forget_old_runs, publish, published, shown_run
from winpredict.app.records import CrmUser, Feedback, Person, Role, Score, ScoringRun
from winpredict.config import App
from winpredict.explain.scores import REASONS

READERS, SECONDS = 50, 3.0


@pytest.fixture(scope="module")
def new_postgres():
    with postgres_databases() as new:
        yield new


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    url = sqlite_database(tmp_path) if request.param == "sqlite" else request.getfixturevalue("new_postgres")()
    opened = open_database(url, tmp_path)
    with opened.writing() as session:
        add_person(session, "all@example.com", "Sees all", Role.SCIENTIST)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def crm(world):
    return world.crm


@pytest.fixture(scope="module")
def scores(crm) -> pd.DataFrame:
    """A table as `winpredict.score` makes it, without a model."""
    deals = crm.deals.loc[crm.deals["outcome"] == "open", ["deal_id"]].reset_index(drop=True)
    places = pd.Series(range(len(deals)))
    odds = dict.fromkeys(("win_probability", "p_win_30d", "p_win_quarter"), 0.1 + places % 8 / 10)
    reasons = {f"reason_{number + 1}": places.map(lambda place: f"reason {place}") for number in range(REASONS)}
    reasons[f"reason_{REASONS}"] = None
    moments = {"as_of": crm.known_until, "scored_at": pd.Timestamp("2026-01-01", tz="UTC")}
    return deals.assign(**odds, low=0.05, high=0.95, band="likely", model_version="1", **reasons, **moments)


def with_odds(scores: pd.DataFrame, odds: float) -> pd.DataFrame:
    """A run that is recognised by its odds, which all of its deals have."""
    return scores.assign(win_probability=odds, low=odds, high=odds)


def days_earlier(scores: pd.DataFrame, days: float) -> pd.DataFrame:
    return scores.assign(as_of=scores["as_of"] - pd.Timedelta(days=days))


def runs(database) -> list[int]:
    with database.reading() as session:
        return list(session.scalars(select(ScoringRun.id).order_by(ScoringRun.id)))


def rows(database, run: int) -> dict[str, Score]:
    with database.reading() as session:
        return {each.deal_id: each for each in session.scalars(select(Score).where(Score.run_id == run))}


def test_what_is_published_is_what_was_scored(database, crm, scores):
    run = publish(database, crm, scores)
    assert published(database).id == run
    found, deals, reasons = rows(database, run), crm.deals.set_index("deal_id"), scores.filter(like="reason_")
    assert len(found) == len(scores) == published(database).deals
    for each in scores.itertuples():
        stored = found[each.deal_id]
        assert stored.win_probability == each.win_probability
        assert stored.owner_id == deals.owner_id[each.deal_id]
        assert stored.reasons == [text for text in reasons.loc[each.Index] if text]
        assert stored.week_before is None


def test_the_same_scores_are_published_once(database, crm, scores):
    assert publish(database, crm, scores) == publish(database, crm, scores)
    assert len(runs(database)) == 1


def test_scores_that_come_back_are_shown_again(database, crm, scores):
    first = publish(database, crm, scores)
    publish(database, crm, with_odds(scores, 0.5))
    again = publish(database, crm, scores)
    assert again > first
    assert published(database).id == again
    assert len(runs(database)) == 2


def test_the_week_before_is_of_a_run_that_is_a_week_older(database, crm, scores):
    publish(database, crm, days_earlier(with_odds(scores, 0.1), 15))
    publish(database, crm, days_earlier(with_odds(scores, 0.2), 8).iloc[1:])
    publish(database, crm, days_earlier(with_odds(scores, 0.3), 2))
    found = rows(database, publish(database, crm, scores))
    assert found[scores["deal_id"].iloc[0]].week_before is None
    assert {each.week_before for each in found.values()} == {None, 0.2}


def test_the_week_before_is_of_the_run_that_people_saw_last(database, crm, scores):
    for odds in (0.2, 0.3):  # scored twice on one day
        publish(database, crm, days_earlier(with_odds(scores, odds), 7))
    assert {each.week_before for each in rows(database, publish(database, crm, scores)).values()} == {0.3}


@pytest.mark.parametrize(
    ("before", "flags", "expected"),
    [
        (0.56, "stalled", "at_risk,stalled"),
        (0.54, "stalled", "stalled"),
        (0.9, "booked", "booked"),
        (0.9, "hopeless", "hopeless"),
        (0.9, "at_risk,silent", "at_risk,silent"),
        (0.9, "", "at_risk"),
    ],
)
def test_odds_that_fell_put_a_deal_at_risk_unless_it_is_booked_or_hopeless(
    database, crm, scores, before, flags, expected
):
    flagged = with_odds(scores, 0.5).assign(flags=flags)
    publish(database, crm, days_earlier(with_odds(flagged, before), 7))
    found = rows(database, publish(database, crm, flagged, moved_points=5))
    assert {each.flags for each in found.values()} == {expected}
    assert {each.flag_names for each in found.values()} == {tuple(filter(None, expected.split(",")))}


@pytest.mark.parametrize(("days", "model"), [(14, "1"), (150, "1"), (7, "2")])
def test_neither_older_odds_nor_another_models_are_those_of_last_week(database, crm, scores, days, model):
    publish(database, crm, days_earlier(scores.assign(model_version=model), days))
    assert {each.week_before for each in rows(database, publish(database, crm, scores)).values()} == {None}


def test_who_may_look_is_as_the_crm_has_it_now_though_the_odds_are_the_same(database, crm, scores):
    first = publish(database, crm, scores)
    users = crm.users.assign(manager_id="somebody-new")
    assert publish(database, replace(crm, users=users), scores) == first
    with database.reading() as session:
        assert {each.manager_id for each in session.scalars(select(CrmUser))} == {"somebody-new"}
    deals = crm.deals.assign(owner_id="new-owner")
    run = publish(database, replace(crm, deals=deals), scores)
    assert {each.owner_id for each in rows(database, run).values()} == {"new-owner"}


def test_what_is_shown_beside_odds_was_known_when_they_were_made(database, crm, scores):
    """Published after a later import: neither touches that were recorded since nor later stages and amounts."""
    as_of = crm.known_until - pd.Timedelta(days=20)
    known = crm.as_known_at(as_of)
    open_then = known.deals.loc[known.deals["outcome"] == "open", "deal_id"]
    asked = scores.assign(as_of=as_of)
    asked = asked[asked["deal_id"].isin(open_then)].reset_index(drop=True)
    late = crm.activities.head(1).assign(
        deal_id=asked["deal_id"].iloc[0], occurred_at=as_of - pd.Timedelta(days=1), recorded_at=as_of
    )
    deals = crm.deals.assign(owner_id="new-owner")
    later = replace(crm, deals=deals, activities=pd.concat([crm.activities, late], ignore_index=True))
    found, expected = rows(database, publish(database, later, asked)), known.deals.set_index("deal_id")
    last = known.activities.loc[known.activities["occurred_at"] < as_of].groupby("deal_id")["occurred_at"].max()
    moved = 0
    for deal_id, each in found.items():
        assert (each.stage, each.owner_id) == (expected.stage[deal_id], "new-owner")
        assert each.last_touch_at == last.get(deal_id)
        moved += each.stage != crm.deals.set_index("deal_id").stage[deal_id]
    assert moved  # some have gone on since


def test_an_amount_of_zero_is_one_that_nobody_typed(database, crm, scores):
    deals = crm.deals.assign(amount=crm.deals["amount"].where(crm.deals["deal_id"] != scores["deal_id"][0], 0.0))
    publish(database, replace(crm, deals=deals, deal_history=None), scores)
    with database.reading() as session:
        amounts = dict(session.execute(select(Score.deal_id, Score.amount)).all())
    assert amounts.pop(scores["deal_id"][0]) is None
    assert 0.0 not in amounts.values()
    typed = crm.deals.set_index("deal_id")["amount"].reindex(list(amounts))
    assert [each is None for each in amounts.values()] == typed.isna().tolist()


def test_a_run_that_fails_half_way_is_not_seen(database, crm, scores, monkeypatch):
    first = publish(database, crm, scores)

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr("winpredict.app.publishing._replace_users", fail)
    with pytest.raises(RuntimeError):
        publish(database, crm, with_odds(scores, 0.5))
    assert published(database).id == first
    assert runs(database) == [first]
    assert len(rows(database, first)) == len(scores)


def test_no_open_deals_are_a_run_too(database, crm, scores):
    publish(database, crm, scores)
    empty = publish(database, crm, scores.iloc[:0])
    assert (published(database).id, published(database).deals) == (empty, 0)


def test_users_are_as_the_crm_has_them_now(database, crm, scores):
    publish(database, crm, scores)
    users = crm.users.iloc[1:].assign(manager_id=None)
    publish(database, replace(crm, users=users), with_odds(scores, 0.5))
    with database.reading() as session:
        rows = session.execute(select(CrmUser.user_id, CrmUser.manager_id)).all()
    assert {each.user_id for each in rows} == set(users["user_id"])
    assert {each.manager_id for each in rows} == {None}
    publish(database, replace(crm, users=None), with_odds(scores, 0.6))
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(CrmUser)) == len(users)


def test_texts_of_any_length_and_letter(database, crm, scores):
    texts = {"stage": "Stage\0 " * 200, "currency": "Pounds Sterling", "name": "\N{SNOWMAN}\0'\"" * 5000}
    run = publish(database, replace(crm, deals=crm.deals.assign(**texts)), scores)
    found = next(iter(rows(database, run).values()))
    assert (found.currency, len(found.stage), len(found.name)) == ("Pounds Ste", 300, 15_000)
    assert "\0" not in found.name + found.stage


def test_old_runs_are_forgotten_with_what_hangs_on_them(database, crm, scores):
    small = scores.iloc[:3]
    for days in (900, 400, 200, 199, 198, 100, 50, 49, 1, 0):
        run = publish(database, crm, days_earlier(with_odds(small, 0.5), days), App(every_run_days=7))
        if days == 900:
            with database.writing() as session:
                person = session.scalar(select(Person))
                session.add(
                    Feedback(deal_id="x", run_id=run, person_id=person.id, kind="other", text="", created_at=now())
                )
    with database.reading() as session:
        kept = session.scalars(select(ScoringRun.as_of).order_by(ScoringRun.id)).all()
        ages = [(kept[-1] - each).days for each in kept]
        assert session.scalars(select(Feedback.run_id)).all() == [None]
        assert session.scalar(select(func.count()).select_from(Score)) == 3 * len(kept)
    assert 900 not in ages
    assert {400, 100, 1, 0} <= set(ages)
    assert len({(kept[-1] - timedelta(days=age)).isocalendar()[:2] for age in ages if age > 7}) == len(ages) - 2
    with database.writing() as session:
        assert forget_old_runs(session, App(every_run_days=7)) == 0


def test_the_shown_run_is_never_forgotten(database, crm, scores):
    publish(database, crm, scores)
    run = publish(database, crm, days_earlier(with_odds(scores, 0.5), 2000))
    assert published(database).id == run


def test_fifty_readers_while_runs_are_published(database, crm, scores):
    """No error, and no page of two runs: all deals, the sums and the run beside them are of one."""
    sums = {}
    publish(database, crm, with_odds(scores, 0.001))
    with database.reading() as session:
        reader = session.scalar(select(Person))
    ended, pages = threading.Event(), [0] * READERS

    def read(number: int) -> None:
        while not ended.is_set():
            with database.reading() as session:
                run = shown_run(session)
                deals = find_deals(session, reader, DealQuery(), rows=50, with_names=True)
            assert {each.run_id for each in deals.rows} == {run.id}
            assert len({each.win_probability for each in deals.rows}) == 1
            assert deals.found == run.deals
            assert deals.expected == pytest.approx(deals.amount * deals.rows[0].win_probability)
            sums[run.id] = deals.expected
            pages[number] += 1
            ended.wait(0.02)

    with ThreadPoolExecutor(READERS) as threads:
        reading = [threads.submit(read, number) for number in range(READERS)]
        until, count = time.monotonic() + SECONDS, 1
        while time.monotonic() < until or count < 3:
            count += 1
            publish(database, crm, with_odds(scores, count / 1000))
        ended.set()
        for each in reading:
            each.result(30)
    assert count > 2
    assert min(pages) > 0
    assert len(sums) > 1
