"""Who sees which deals: the one place that decides it, in the query."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Select, String, false, literal, select, true
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import aliased

from winpredict.app.records import CrmUser, Feedback, Person, Role, Score, ScoringRun

if TYPE_CHECKING:
    from winpredict.app.database import Database
    from winpredict.tables.crm import CRMData


def may_see(person: Person) -> ColumnElement[bool]:
    """A condition on `Score`: the deals that a person may see.

    A rep sees their own deals; a manager their own and those of all who report to them, to any depth; a data scientist
    all (names are another matter, see `sees_names`); an admin, who looks after people, none.

    Parameters
    ----------
    person : Person
        An inactive one sees nothing.

    Returns
    -------
    ColumnElement of bool
    """
    if not person.active:
        return false()
    match person.role:
        case Role.SCIENTIST:
            return true()
        case Role.REP if person.crm_user_id:
            return Score.owner_id == person.crm_user_id
        case Role.MANAGER if person.crm_user_id:
            return Score.owner_id.in_(team_of(person.crm_user_id))
    return false()


def team_of(user_id: str) -> Select[Any]:
    """Ids of a user and of everybody below, to any depth."""
    team = select(literal(user_id, String).label("user_id")).cte(recursive=True)  # no name: a query may hold several
    further = aliased(CrmUser)
    # UNION and not UNION ALL, so that a circle of managers ends
    team = team.union(select(further.user_id).join(team, further.manager_id == team.c.user_id))
    return select(team.c.user_id)


def visible_owners(session: DatabaseSession, person: Person) -> frozenset[str] | None:
    """Users of the CRM whose deals a person may see: the same as `may_see` says, for tables that are no database.

    Returns
    -------
    frozenset of str, or None for the deals of everybody and of nobody.
    """
    if not person.active:
        return frozenset()
    match person.role:
        case Role.SCIENTIST:
            return None
        case Role.REP if person.crm_user_id:
            return frozenset({person.crm_user_id})
        case Role.MANAGER if person.crm_user_id:
            return frozenset(session.scalars(team_of(person.crm_user_id)))
    return frozenset()


def owners_seen_by(database: "Database", person: Person) -> frozenset[str] | None:
    """`visible_owners` by a session of its own."""
    with database.reading() as session:
        return visible_owners(session, person)


def visible_tables(crm: "CRMData", owners: frozenset[str] | None) -> "CRMData":
    """The tables cut to the deals of some owners, as they are now; nothing is left of other people's.

    Users, accounts and quotas are cut too: a report would else tell names and targets of other teams. A team's quota
    stays where the whole team does.

    Parameters
    ----------
    crm : CRMData
    owners : frozenset of str or None
        Of `visible_owners`.
    """
    if owners is None:
        return crm
    deals = crm.deals
    mine = deals["owner_id"].isin(owners) if "owner_id" in deals else deals["deal_id"].isna()
    cut: dict[str, Any] = {}
    if crm.users is not None:
        cut["users"] = crm.users[crm.users["user_id"].isin(owners)].reset_index(drop=True)
    if crm.accounts is not None and "account_id" in deals:
        theirs = crm.accounts["account_id"].isin(deals.loc[mine, "account_id"])
        cut["accounts"] = crm.accounts[theirs].reset_index(drop=True)
    if crm.quotas is not None:
        cut["quotas"] = _visible_quotas(crm, owners)
    # whoever sees all deals needs no copy of all that happened in them
    return replace(crm if mine.all() else crm.of_deals(deals.loc[mine, "deal_id"]), **cut)


def _visible_quotas(crm: "CRMData", owners: frozenset[str]) -> Any:
    quotas, users = crm.quotas, crm.users
    assert quotas is not None
    mine = quotas["user_id"].isin(owners) if "user_id" in quotas else False
    if "team" in quotas and users is not None and "team" in users:
        whole = users["user_id"].isin(owners).groupby(users["team"]).all()
        of_team = quotas["team"].isin(whole.index[whole])
        mine |= of_team & quotas["user_id"].isna() if "user_id" in quotas else of_team
    return quotas[mine].reset_index(drop=True) if mine is not False else quotas.iloc[:0]


def latest_run() -> Select[Any]:
    """The id of the scoring run that is shown: the last one that was published whole."""
    return select(ScoringRun.id).order_by(ScoringRun.id.desc()).limit(1)


def visible_scores(person: Person) -> Select[Score]:
    """The scores of the latest run that a person may see; every list, page and export of deals starts from this."""
    return select(Score).where(Score.run_id == latest_run().scalar_subquery(), may_see(person))


def visible_score(session: DatabaseSession, person: Person, deal_id: str) -> Score | None:
    """One deal's latest score; None both where there is none and where the person may not see it."""
    return session.scalars(visible_scores(person).where(Score.deal_id == deal_id)).one_or_none()


def visible_history(person: Person, deal_id: str) -> Select[Score]:
    """A deal's scores of all runs, the oldest first, if the person may see the deal as it is now."""
    now = visible_scores(person).where(Score.deal_id == deal_id).with_only_columns(Score.deal_id)
    return select(Score).where(Score.deal_id.in_(now)).order_by(Score.run_id)


def visible_feedback(person: Person, deal_id: str | None = None) -> Select[Feedback]:
    """What was said about deals that the person may see as they are now, or about one of them; the latest first.

    A data scientist, who sees all deals, reads also what was said of those that are closed by now.
    """
    found = select(Feedback).order_by(Feedback.created_at.desc(), Feedback.id.desc())
    if not (person.active and person.role == Role.SCIENTIST):
        found = found.where(Feedback.deal_id.in_(visible_scores(person).with_only_columns(Score.deal_id)))
    return found if deal_id is None else found.where(Feedback.deal_id == deal_id)


def sees_names(person: Person, *, scientists_see_names: bool) -> bool:
    """Whether a person reads names of deals and accounts in what they see."""
    return person.role != Role.SCIENTIST or scientists_see_names
