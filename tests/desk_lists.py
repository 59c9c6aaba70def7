"""The plain definition of what a list shows, as conditions of a database: what `winpredict.app.listing` must give."""

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true

from winpredict.app.listing import DealQuery, Order
from winpredict.app.records import CrmUser, Person, Score
from winpredict.app.visibility import team_of, visible_scores
from winpredict.config import Run

STAKE = Score.amount * Score.win_probability * (1 - Score.win_probability)
#: Each order with whether it begins with the largest.
ORDERS = {
    Order.STAKE: (STAKE, True),
    Order.ODDS: (Score.win_probability, True),
    Order.CHANGE: (Score.win_probability - Score.week_before, False),
    Order.AMOUNT: (Score.amount, True),
    Order.CLOSING: (Score.expected_close_date, False),
    Order.SILENCE: (Score.last_touch_at, False),
    Order.NAME: (func.lower(func.coalesce(Score.name, Score.deal_id)), False),
}


def matches_owner_filter(value: str) -> ColumnElement[bool]:
    """Deals of a choice of owners, whoever asks."""
    kind, _, of = value.partition(":")
    match kind:
        case "":
            return true()
        case "owner":
            return Score.owner_id == of
        case "under":
            return Score.owner_id.in_(team_of(of))
        case "team":
            return Score.owner_id.in_(select(CrmUser.user_id).where(CrmUser.team == of))
    return false()


def at_risk(person: Person, settings: Run) -> ColumnElement[bool]:
    """At risk, and big in its currency among the deals that a person may see."""
    seen = visible_scores(person).subquery()
    place = func.cume_dist().over(partition_by=seen.c.currency, order_by=seen.c.amount)
    placed = select(seen.c.deal_id, place.label("place")).where(seen.c.amount.is_not(None)).subquery()
    big = select(placed.c.deal_id).where(placed.c.place > 1 - settings.big_share)
    return and_(Score.deal_id.in_(big), Score.flags.contains("at_risk"))


def deals_wanted(person: Person, query: DealQuery, settings: Run, *, with_names: bool = True) -> Select[Score]:
    """The rows of a list, in its order."""
    wanted = visible_scores(person).where(matches_owner_filter(query.whose))
    if query.search:
        places = [Score.deal_id, *([Score.name, Score.account] if with_names else [])]
        wanted = wanted.where(or_(*(each.icontains(query.search, autoescape=True) for each in places)))
    for value, column in ((query.stage, Score.stage), (query.band, Score.band), (query.owner, Score.owner_id)):
        wanted = wanted.where(column == value) if value else wanted
    change = Score.win_probability - Score.week_before
    if query.moved:
        least = settings.moved_points / 100
        wanted = wanted.where(change >= least if query.moved == "up" else change <= -least)
    wanted = wanted.where(at_risk(person, settings)) if query.at_risk else wanted
    wanted = wanted.where(Score.flags.contains(query.flag)) if query.flag else wanted
    column, falls = ORDERS[query.order if with_names or query.order != Order.NAME else Order.STAKE]
    return wanted.order_by((column.desc() if falls != query.reverse else column.asc()).nulls_last(), Score.deal_id)
