import pytest
from desk_lists import matches_owner_filter
from sqlalchemy import select

from winpredict.app.records import CrmUser, Person, Score
from winpredict.app.teams import owner_filter_choices, owners_of
from winpredict.app.visibility import visible_owners, visible_scores


@pytest.fixture
def session(app):
    with app.state.desk.database.reading() as session:
        yield session


def person(session, who) -> Person:
    return session.scalar(select(Person).where(Person.email == f"{who}@example.com"))


def test_a_boss_may_choose_managers_and_owners(session, cast):
    found = owner_filter_choices(session, person(session, "boss"))
    heads = [each.words for each in found.teams if each.value.startswith("under:")]
    assert heads == ["Mona Even and reports", "Olga Odd and reports"]
    assert {f"owner:{cast.rep}", f"owner:{cast.other_rep}"} <= {each.value for each in found.owners}


def test_a_manager_is_offered_nobody_of_another_manager(session, cast):
    found = owner_filter_choices(session, person(session, "manager"))
    assert not [each for each in found.teams if each.value.startswith("under:")]
    values = {each.value for each in found.owners}
    assert f"owner:{cast.rep}" in values
    assert f"owner:{cast.other_rep}" not in values


@pytest.mark.parametrize("value", ["owner:{0.rep}", "under:manager-0", "under:boss", "", "under:{0.rep}", "nonsense"])
def test_owners_and_condition_are_the_same_choice(session, cast, value):
    value = value.format(cast)
    boss = person(session, "boss")
    owners = owners_of(session, boss, value)
    chosen = set(
        session.scalars(visible_scores(boss).where(matches_owner_filter(value)).with_only_columns(Score.owner_id))
    )
    everybody = set(session.scalars(visible_scores(boss).with_only_columns(Score.owner_id)))
    assert chosen == everybody & owners
    assert bool(chosen) == (value != "nonsense")


def test_no_choice_reaches_beyond_what_one_may_see(session, cast):
    manager = person(session, "manager")
    mine = visible_owners(session, manager)
    for value in (f"owner:{cast.other_rep}", "under:boss", "under:manager-1", "team:Anything"):
        assert owners_of(session, manager, value) <= mine
    assert not owners_of(session, manager, f"owner:{cast.other_rep}")
    assert owners_of(session, manager, "under:boss") == mine


def test_teams_of_the_crm_can_be_chosen(app, cast):
    with app.state.desk.database.writing() as session:
        session.get(CrmUser, cast.rep).team = "North"
        session.flush()
        boss = person(session, "boss")
        assert "North" in [each.words for each in owner_filter_choices(session, boss).teams]
        assert owners_of(session, boss, "team:North") == {cast.rep}
        session.rollback()


def test_a_scientist_may_choose_everybody_and_an_admin_nobody(session):
    assert owners_of(session, person(session, "scientist"), "") is None
    assert len(owner_filter_choices(session, person(session, "scientist")).teams) >= 2
    assert owners_of(session, person(session, "admin"), "under:boss") == frozenset()
    assert not owner_filter_choices(session, person(session, "admin")).owners
