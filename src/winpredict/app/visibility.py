"""Who sees which deals: the one place that decides it, in the query."""

from typing import Any

from sqlalchemy import ColumnElement, Select, false, or_, select, true
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import aliased

from winpredict.app.records import CrmUser, Person, Role, Score, ScoringRun


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
            return or_(Score.owner_id == person.crm_user_id, Score.owner_id.in_(_reports(person.crm_user_id)))
    return false()


def _reports(user_id: str) -> Select[Any]:
    """Everybody below a user; UNION and not UNION ALL, so that a circle of managers ends."""
    below = select(CrmUser.user_id).where(CrmUser.manager_id == user_id).cte("below", recursive=True)
    further = aliased(CrmUser)
    below = below.union(select(further.user_id).join(below, further.manager_id == below.c.user_id))
    return select(below.c.user_id)


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


def sees_names(person: Person, *, scientists_see_names: bool) -> bool:
    """Whether a person reads names of deals and accounts in what they see."""
    return person.role != Role.SCIENTIST or scientists_see_names
