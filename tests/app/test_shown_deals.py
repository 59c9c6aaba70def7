"""Lists and totals are what the plain conditions on the database say, for everybody, and never of what was before."""

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from desk_databases import postgres_databases, sqlite_database
from desk_lists import deals_wanted
from desk_world import cast_of, eight_days_earlier, with_teams
from sqlalchemy import delete, func, select, text, update

from winpredict.app.database import open_database
from winpredict.app.listing import DealQuery, Order, choices, find_deals
from winpredict.app.people import add_person
from winpredict.app.publishing import publish
from winpredict.app.records import CrmUser, Person, Role, Score
from winpredict.app.shown_deals import OWNERS_OFFERED, shown_deals
from winpredict.app.teams import owner_filter_choices, owners_of
from winpredict.app.totals import totals
from winpredict.app.visibility import latest_run, visible_scores
from winpredict.config import Run

SETTINGS = Run(moved_points=2, big_share=0.4)
FLAGS = ("", "at_risk", "silent", "stalled,overdue", "at_risk,silent", "booked")


@pytest.fixture(scope="module")
def new_postgres():
    with postgres_databases() as new:
        yield new


@pytest.fixture(scope="module")
def crm(world):
    return with_teams(world.crm)


@pytest.fixture(scope="module")
def scores(crm) -> pd.DataFrame:
    """A table as `winpredict.score` makes it, without a model: odds, flags and amounts of all kinds."""
    deals = crm.deals.loc[crm.deals["outcome"] == "open", ["deal_id"]].reset_index(drop=True)
    places = pd.Series(range(len(deals)))
    odds = (0.03 + places % 11 / 12).rename(None)
    bands = ["very low", "low", "medium", "high"]
    return deals.assign(
        win_probability=odds, low=odds - 0.02, high=odds + 0.02, p_win_30d=odds, p_win_quarter=odds,
        band=[bands[int(each * 4)] for each in odds], flags=[FLAGS[place % len(FLAGS)] for place in places],
        reasons="[]", next_steps="[]", model_version="1", as_of=crm.known_until,
        scored_at=pd.Timestamp("2026-01-01", tz="UTC"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def cast(crm):
    return cast_of(crm)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("desk")
    return sqlite_database(folder) if request.param == "sqlite" else request.getfixturevalue("new_postgres")()


@pytest.fixture(scope="module")
def database(url, tmp_path_factory, crm, scores, cast):
    opened = open_database(url, tmp_path_factory.mktemp("workspace"))
    for run in (eight_days_earlier(scores), scores):
        publish(opened, crm, run)
    linked = {"rep": cast.rep, "manager": cast.manager, "boss": cast.boss}
    with opened.writing() as session:
        for who, role in (("rep", Role.REP), ("manager", Role.MANAGER), ("boss", Role.MANAGER),
                          ("scientist", Role.SCIENTIST), ("admin", Role.ADMIN), ("stranger", Role.REP)):  # fmt: skip
            add_person(session, f"{who}@example.com", who, role, crm_user_id=linked.get(who))
        shown = session.scalars(select(Score).where(Score.run_id == latest_run().scalar_subquery()))
        for place, row in enumerate(sorted(shown, key=lambda row: row.deal_id)):
            row.currency = (None, "EUR", "EUR", "USD")[place % 4]
            row.name = None if place % 9 == 0 else row.name
    yield opened
    opened.close()


@pytest.fixture
def session(database):
    with database.reading() as session:
        yield session


def person(session, who: str) -> Person:
    return session.scalar(select(Person).where(Person.email == f"{who}@example.com"))


def queries(session, cast) -> list[DealQuery]:
    one = session.scalars(visible_scores(person(session, "rep"))).first()
    asked = [
        {}, {"stage": one.stage}, {"band": "low"}, {"owner": cast.rep}, {"owner": "nobody"},
        {"whose": "under:manager-0"}, {"whose": f"owner:{cast.rep}"}, {"whose": "team:None"}, {"whose": "nonsense"},
        {"search": one.deal_id[-3:]}, {"search": (one.name or one.deal_id)[:4].upper()}, {"search": "%"},
        {"moved": "up"}, {"moved": "down"}, {"at_risk": True}, {"flag": "stalled"},
        {"flag": "silent", "band": "medium", "whose": "under:manager-1"},
    ]  # fmt: skip
    return [DealQuery.model_validate(each) for each in asked]


@pytest.mark.parametrize("who", ["rep", "manager", "boss", "scientist", "admin", "stranger"])
def test_lists_and_their_sums_are_what_the_conditions_say(session, cast, who):
    somebody = person(session, who)
    for query in queries(session, cast):
        for names in (True, False):
            rows = session.scalars(deals_wanted(somebody, query, SETTINGS, with_names=names)).all()
            found = find_deals(session, somebody, query, rows=None, with_names=names, settings=SETTINGS)
            assert [row.deal_id for row in found.rows] == [row.deal_id for row in rows], query
            known = [row for row in rows if row.amount is not None]
            assert found.found == len(rows)
            nothing = None if rows else 0.0
            assert found.amount == (pytest.approx(sum(row.amount for row in known)) if known else nothing)
            expected = sum(row.amount * row.win_probability for row in known)
            assert found.expected == (pytest.approx(expected) if known else nothing)
            assert found.currencies == tuple(sorted({row.currency or "" for row in known}))
    assert (
        who not in ("admin", "stranger")
        or not find_deals(session, somebody, DealQuery(), rows=5, with_names=True).found
    )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("order", Order)
def test_every_order_and_every_page(session, order, reverse):
    boss = person(session, "boss")
    query = DealQuery(order=order, reverse=reverse)
    expected = [row.deal_id for row in session.scalars(deals_wanted(boss, query, SETTINGS))]
    assert len(expected) > 20
    pages = [
        find_deals(session, boss, query.model_copy(update={"page": page}), rows=7, with_names=True).rows
        for page in range(1, len(expected) // 7 + 3)
    ]
    assert [row.deal_id for page in pages for row in page] == expected
    assert not pages[-1]


@pytest.mark.parametrize("who", ["rep", "manager", "boss", "scientist"])
@pytest.mark.parametrize("whose", ["", "under:manager-1"])
def test_totals_are_those_of_the_rows(session, who, whose):
    somebody = person(session, who)
    rows = session.scalars(deals_wanted(somebody, DealQuery(whose=whose), SETTINGS)).all()
    found = totals(session, somebody, whose, SETTINGS, with_names=True)
    assert found.every.found == len(rows)
    assert found.wins == pytest.approx(sum(row.win_probability for row in rows))
    assert found.compared == sum(row.week_before is not None for row in rows)
    assert {each.stage: each.deals for each in found.stages} == dict(
        pd.Series([row.stage for row in rows]).value_counts()
    )
    for each in found.stages:
        mine = [row for row in rows if row.stage == each.stage]
        assert each.amount == pytest.approx(sum(row.amount or 0 for row in mine))
        assert each.expected == pytest.approx(sum((row.amount or 0) * row.win_probability for row in mine))
        assert each.stalled == sum("stalled" in row.flag_names for row in mine)
    for moved, side in (("up", found.rose), ("down", found.fell)):
        wanted = deals_wanted(somebody, DealQuery(whose=whose, moved=moved), SETTINGS)
        assert side.found == len(session.scalars(wanted).all())


def totals_for(database, who: str) -> tuple[int, float | None]:
    with database.reading() as session:
        found = find_deals(session, person(session, who), DealQuery(), rows=1, with_names=True)
        return found.found, found.amount


def totals_by_condition(database, who: str) -> tuple[int, float | None]:
    with database.reading() as session:
        mine = visible_scores(person(session, who)).subquery()
        count, amount = session.execute(select(func.count(), func.sum(mine.c.amount))).one()
        return count, amount if count else 0.0


@pytest.fixture
def restored(database, crm, scores):
    """Whatever a test publishes or changes, the run of the module is shown again after it."""
    with database.reading() as session:
        kept = [
            {column.name: getattr(row, column.name) for column in Score.__table__.columns}
            for row in session.scalars(select(Score).where(Score.run_id == latest_run().scalar_subquery()))
        ]
    yield
    publish(database, crm, scores)
    with database.writing() as session:
        run_id = session.scalar(latest_run())
        session.execute(delete(Score).where(Score.run_id == run_id))
        session.add_all(Score(**row | {"run_id": run_id}) for row in kept)


def halved(session):
    session.execute(update(Score).values(amount=Score.amount / 2))


def one_gone(session):
    session.delete(session.scalars(select(Score).where(Score.run_id == latest_run().scalar_subquery())).first())


def changed_as_text(session):
    session.execute(text("UPDATE score SET amount = amount + 1"))


def moved_owner(session):
    somebody = session.scalars(select(Score.owner_id).where(Score.run_id == latest_run().scalar_subquery())).first()
    session.execute(update(Score).where(Score.owner_id == somebody).values(owner_id="somebody else"))


@pytest.mark.parametrize("change", [halved, one_gone, changed_as_text, moved_owner])
def test_what_is_written_shows_at_once(database, restored, change):
    before = {who: totals_for(database, who) for who in ("boss", "scientist")}
    with database.writing() as session:
        change(session)
    after = {who: totals_for(database, who) for who in ("rep", "manager", "boss", "scientist")}
    assert any(after[who] != before[who] for who in before)
    for who, found in after.items():
        assert found == pytest.approx(totals_by_condition(database, who))


def test_a_new_run_replaces_the_totals(database, restored, crm, scores):
    before = totals_for(database, "boss")
    publish(
        database, crm, scores.iloc[::2].assign(scored_at=pd.Timestamp("2026-02-01", tz="UTC")).reset_index(drop=True)
    )
    after = totals_for(database, "boss")
    assert after[0] < before[0]
    assert after == pytest.approx(totals_by_condition(database, "boss"))


def test_who_reports_to_whom_counts_from_its_import_on_though_the_scores_stay(database, restored, crm, scores):
    assert totals_for(database, "manager")[0] < totals_for(database, "boss")[0]
    users = crm.users.assign(manager_id=crm.users["manager_id"].replace("manager-1", "manager-0"))
    run = publish(database, replace(crm, users=users), scores)
    with database.reading() as session:
        manager = person(session, "manager")
        seen = owners_of(session, manager, "")
        assert seen >= set(crm.users.loc[crm.users["manager_id"] == "manager-1", "user_id"])
    assert totals_for(database, "manager") == pytest.approx(totals_by_condition(database, "manager"))
    assert totals_for(database, "manager")[0] == totals_for(database, "boss")[0]
    assert run


def test_another_process_is_noticed(database, url, tmp_path, restored):
    before = totals_for(database, "boss")
    other = open_database(url, tmp_path)
    with other.writing() as session:
        halved(session)
    other.close()
    assert totals_for(database, "boss")[1] == pytest.approx(before[1] / 2)


def test_what_is_rolled_back_never_shows(database):
    before = totals_for(database, "boss")
    with database.writing() as session:
        halved(session)
        session.flush()
        assert totals_for(database, "boss") == before
        session.rollback()
    assert totals_for(database, "boss") == before


def test_who_writes_nothing_of_lists_leaves_them_kept(database):
    with database.reading() as session:
        before = shown_deals(session)
    with database.writing() as session:
        person(session, "rep").name = "Rita"
    with database.reading() as session:
        assert shown_deals(session) is before


def test_a_reader_goes_on_with_the_run_that_it_began_with(database, restored, crm, scores):
    with database.reading() as session:
        boss = person(session, "boss")
        before = find_deals(session, boss, DealQuery(), rows=None, with_names=True)
        publish(database, crm, scores.iloc[::3].reset_index(drop=True))
        again = find_deals(session, boss, DealQuery(order=Order.CLOSING, search=""), rows=None, with_names=True)
        assert {row.deal_id for row in again.rows} == {row.deal_id for row in before.rows}
    assert totals_for(database, "boss")[0] < before.found


def test_several_who_ask_at_once_read_once(database, monkeypatch):
    with database.writing() as session:
        session.execute(update(Score).values(stage=Score.stage))
    found, start = [], threading.Barrier(6)

    def ask():
        with database.reading() as session:
            start.wait(10)
            found.append(shown_deals(session))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert len(found) == 6
    assert len({id(each) for each in found}) == 1


def test_search_takes_capitals_of_all_alphabets(database, restored):
    with database.writing() as session:
        row = session.scalars(select(Score).where(Score.run_id == latest_run().scalar_subquery())).first()
        row.name, wanted = "Éclair Σ GmbH", row.deal_id
    with database.reading() as session:
        scientist = person(session, "scientist")
        for search in ("éclair", "ÉCLAIR", "σ gmbh"):
            found = find_deals(session, scientist, DealQuery(search=search), rows=None, with_names=True)
            assert [row.deal_id for row in found.rows] == [wanted]
        for search in ("éclair\0", "\0"):
            assert not find_deals(session, scientist, DealQuery(search=search), rows=None, with_names=True).rows


def test_of_very_many_owners_the_busiest_are_offered(tmp_path, crm, scores):
    database = open_database(sqlite_database(tmp_path), tmp_path)
    publish(database, crm, scores)
    many = OWNERS_OFFERED + 40
    with database.writing() as session:
        add_person(session, "all@example.com", "all", Role.SCIENTIST)
        row = session.scalars(select(Score)).first()
        values = {column.name: getattr(row, column.name) for column in Score.__table__.columns}
        for place in range(many):
            session.add(CrmUser(user_id=f"new {place:04}", name=f"Owner {many - place:04}"))
            for copy in range(1 + (place < 3) * 5):
                session.add(Score(**values | {"deal_id": f"new {place} {copy}", "owner_id": f"new {place:04}"}))
    with database.reading() as session:
        somebody = session.scalars(select(Person)).one()
        offered, filters = choices(session, somebody), owner_filter_choices(session, somebody)
        deals = shown_deals(session)
        counts = np.bincount(deals.owners.codes)
    for owners in ([owner for owner, _ in offered.owners], [each.value[6:] for each in filters.owners]):
        assert len(owners) == OWNERS_OFFERED
        assert {"new 0000", "new 0001", "new 0002"} <= set(owners)
        left = {owner: count for owner, count in zip(deals.owners.words, counts, strict=True) if owner not in owners}
        assert max(left.values()) <= min(counts[deals.owners.words.index(owner)] for owner in owners)
    assert not offered.all_owners
    assert not filters.all_owners
    assert [name for _, name in offered.owners] == sorted((name for _, name in offered.owners), key=str.lower)
    assert offered.offers("new 0000")
    assert not offered.offers(next(iter(left)))
    database.close()


def test_before_the_first_run_there_is_nothing(tmp_path):
    database = open_database("", tmp_path)
    with database.writing() as session:
        add_person(session, "all@example.com", "all", Role.SCIENTIST)
    with database.reading() as session:
        somebody = session.scalars(select(Person)).one()
        found = find_deals(session, somebody, DealQuery(search="a", at_risk=True), rows=5, with_names=True)
        assert (found.rows, found.found, found.amount, found.currencies) == ([], 0, 0.0, ())
        assert not totals(session, somebody, "", Run(), with_names=True).stages
        assert not choices(session, somebody).owners
    database.close()
