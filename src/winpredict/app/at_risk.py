"""Conditions on published scores: odds that moved, flags, and big deals at risk."""

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import aliased

from winpredict.app.records import Person, Score
from winpredict.app.visibility import latest_run, visible_scores
from winpredict.config import Run


def at_risk(person: Person, settings: Run) -> ColumnElement[bool]:
    """A condition on `Score`: at risk, and big among the deals that a person may see.

    Parameters
    ----------
    person : Person
    settings : Run
        From which size on a deal is big.
    """
    return and_(Score.deal_id.in_(_big(person, settings)), has_flag("at_risk"))


def has_flag(flag: str) -> ColumnElement[bool]:
    """Deals with one of the flags of `winpredict.explain.deal_flags`."""
    return Score.flags.contains(flag, autoescape=True)


def rises(settings: Run) -> ColumnElement[bool]:
    """Odds that went up since the week before by as much as is told."""
    return Score.win_probability - Score.week_before >= settings.moved_points / 100


def falls(settings: Run) -> ColumnElement[bool]:
    """Odds that went down since the week before by as much as is told."""
    return Score.win_probability - Score.week_before <= -settings.moved_points / 100


def touches_known() -> ColumnElement[bool]:
    """Whether any touch of the run that is shown is on record: without one, nobody can say that a deal is silent."""
    of_any = aliased(Score)
    shown = select(of_any.deal_id).where(of_any.run_id == latest_run().scalar_subquery())
    return shown.where(of_any.last_touch_at.is_not(None)).exists()


def _big(person: Person, settings: Run) -> Select[str]:
    """Ids of the largest deals in each currency; `winpredict.explain.deal_flags.big` in the database."""
    seen = visible_scores(person).subquery()
    # cume_dist is the share of deals that are not larger: rank(pct=True, method="max") of the rule in pandas
    place = func.cume_dist().over(partition_by=seen.c.currency, order_by=seen.c.amount)
    placed = select(seen.c.deal_id, place.label("place")).where(seen.c.amount.is_not(None)).subquery()
    return select(placed.c.deal_id).where(placed.c.place > 1 - settings.big_share)
