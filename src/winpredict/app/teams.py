"""Whose deals a page is about: one owner, all below a manager, or a team of the CRM; always of those one may see."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, false, select, true
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.records import CrmUser, Person, Score
from winpredict.app.visibility import team_of, visible_owners, visible_scores
from winpredict.locale.text import said

#: How a choice is written in an address, before its colon.
OWNER, UNDER, TEAM = "owner", "under", "team"


@dataclass(frozen=True)
class OwnerFilter:
    """A choice of owners.

    Parameters
    ----------
    value : str
        ``owner:USER_ID``, ``under:USER_ID`` (that user and all who report to them) or ``team:NAME``.
    words : str
        For people.
    """

    value: str
    words: str


@dataclass(frozen=True)
class OwnerFilterChoices:
    """What a person can choose from."""

    teams: Sequence[OwnerFilter]
    owners: Sequence[OwnerFilter]

    def words(self, value: str) -> str | None:
        """The words for a choice; None where it is not offered."""
        return next((each.words for each in (*self.teams, *self.owners) if each.value == value), None)


def matches_owner_filter(value: str) -> ColumnElement[bool]:
    """A condition on `Score`, to be added to the one that says what a person may see.

    Parameters
    ----------
    value : str
        As of `OwnerFilter`; empty for everybody, and nobody where it cannot be read.
    """
    kind, _, of = value.partition(":")
    match kind:
        case "":
            return true()
        case "owner":
            return Score.owner_id == of
        case "under":
            return Score.owner_id.in_(team_of(of))
        case "team":
            return Score.owner_id.in_(_members(of))
    return false()


def owners_of(session: DatabaseSession, person: Person, value: str) -> frozenset[str] | None:
    """Users of the CRM in a choice whose deals a person may see; None for the deals of everybody and of nobody."""
    seen = visible_owners(session, person)
    kind, _, of = value.partition(":")
    match kind:
        case "":
            return seen
        case "owner":
            chosen = frozenset({of})
        case "under":
            chosen = frozenset(session.scalars(team_of(of)))
        case "team":
            chosen = frozenset(session.scalars(_members(of)))
        case _:
            chosen = frozenset()
    return chosen if seen is None else chosen & seen


def owner_filter_choices(session: DatabaseSession, person: Person) -> OwnerFilterChoices:
    """Teams and owners among those whose deals a person may see; nobody without an open deal is offered alone."""
    seen = visible_owners(session, person)
    users = session.execute(select(CrmUser.user_id, CrmUser.name, CrmUser.manager_id, CrmUser.team)).all()
    mine = [each for each in users if seen is None or each.user_id in seen]
    names = {each.user_id: each.name or each.user_id for each in mine}
    heads = {each.manager_id for each in mine if each.manager_id != each.user_id} & names.keys() - {person.crm_user_id}
    teams = [OwnerFilter(f"{UNDER}:{head}", said("{name} and reports", name=names[head])) for head in heads]
    teams += [OwnerFilter(f"{TEAM}:{team}", team) for team in {each.team for each in mine if each.team}]
    busy = session.scalars(visible_scores(person).with_only_columns(Score.owner_id).distinct())
    owners = [OwnerFilter(f"{OWNER}:{owner}", names.get(owner, owner)) for owner in busy if owner is not None]
    return OwnerFilterChoices(_by_words(teams), _by_words(owners))


def _members(team: str) -> Select[str]:
    return select(CrmUser.user_id).where(CrmUser.team == team)


def _by_words(found: list[OwnerFilter]) -> list[OwnerFilter]:
    return sorted(found, key=lambda each: (each.words.lower(), each.value))
