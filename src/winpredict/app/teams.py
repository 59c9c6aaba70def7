"""Whose deals a page is about: one owner, all below a manager, or a team of the CRM; always of those one may see."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.records import CrmUser, Person
from winpredict.app.shown_deals import Mask, ShownDeals, shown_deals
from winpredict.app.visibility import team_of
from winpredict.locale.language import current
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
    """What a person can choose from.

    Parameters
    ----------
    teams, owners : sequence of OwnerFilter
    all_owners : bool
        Whether these are all owners: of very many, those with the most open deals are offered.
    """

    teams: Sequence[OwnerFilter]
    owners: Sequence[OwnerFilter]
    all_owners: bool = True

    def offers(self, value: str) -> bool:
        """Whether a choice can be made."""
        return self.words(value) is not None

    def words(self, value: str) -> str | None:
        """The words for a choice; None where it is not offered."""
        return next((each.words for each in (*self.teams, *self.owners) if each.value == value), None)


def of_choice(session: DatabaseSession, deals: ShownDeals, value: str) -> Mask:
    """The shown deals of a choice of owners, to be cut further to those that a person may see.

    Parameters
    ----------
    session : DatabaseSession
    deals : ShownDeals
    value : str
        As of `OwnerFilter`; empty for everybody, and nobody where it cannot be read.
    """
    return deals.made(("choice", value), lambda: deals.of_owners(_chosen(session, value)))


def owners_of(session: DatabaseSession, person: Person, value: str) -> frozenset[str] | None:
    """Users of the CRM in a choice whose deals a person may see; None for the deals of everybody and of nobody."""
    deals = shown_deals(session)
    seen = deals.owners_seen_by(session, person)

    def cut() -> frozenset[str] | None:
        chosen = _chosen(session, value)
        return seen if chosen is None else chosen if seen is None else chosen & seen

    return deals.made(("owners of", value, seen), cut)


def _chosen(session: DatabaseSession, value: str) -> frozenset[str] | None:
    """The owners of a choice, whoever asks; None for everybody."""
    kind, _, of = value.partition(":")
    match kind:
        case "":
            return None
        case "owner":
            return frozenset({of})
        case "under":
            return frozenset(session.scalars(team_of(of)))
        case "team":
            return frozenset(session.scalars(_members(of)))
    return frozenset()


def owner_filter_choices(session: DatabaseSession, person: Person) -> OwnerFilterChoices:
    """Teams and owners among those whose deals a person may see; nobody without an open deal is offered alone."""
    deals = shown_deals(session)
    seen, language = deals.owners_seen_by(session, person), current().name
    return deals.made(
        ("teams and owners", seen, person.crm_user_id, language), lambda: _choices(session, deals, person, seen)
    )


def _choices(
    session: DatabaseSession, deals: ShownDeals, person: Person, seen: frozenset[str] | None
) -> OwnerFilterChoices:
    users = session.execute(select(CrmUser.user_id, CrmUser.name, CrmUser.manager_id, CrmUser.team)).all()
    mine = [each for each in users if seen is None or each.user_id in seen]
    names = {each.user_id: each.name or each.user_id for each in mine}
    heads = {each.manager_id for each in mine if each.manager_id != each.user_id} & names.keys() - {person.crm_user_id}
    teams = [OwnerFilter(f"{UNDER}:{head}", said("{name} and reports", name=names[head])) for head in heads]
    teams += [OwnerFilter(f"{TEAM}:{team}", team) for team in {each.team for each in mine if each.team}]
    mine_shown = deals.seen_by(session, person)
    busy = deals.busiest(mine_shown)
    owners = [OwnerFilter(f"{OWNER}:{owner}", names.get(owner, owner)) for owner in busy]
    every = len(busy) == len(deals.owners.present(mine_shown))
    return OwnerFilterChoices(_by_words(teams), _by_words(owners), every)


def _members(team: str) -> Select[str]:
    return select(CrmUser.user_id).where(CrmUser.team == team)


def _by_words(found: list[OwnerFilter]) -> list[OwnerFilter]:
    return sorted(found, key=lambda each: (each.words.lower(), each.value))
