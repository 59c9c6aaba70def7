"""The list of open deals: filtered, sorted and paged in the database, for pages, exports and the API alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.at_risk import at_risk, falls, has_flag, rises
from winpredict.app.records import CrmUser, Person, Score
from winpredict.app.teams import matches_owner_filter
from winpredict.app.visibility import visible_scores
from winpredict.config import Run


class Order(StrEnum):
    """What deals are sorted by."""

    STAKE = "stake"
    ODDS = "odds"
    CHANGE = "change"
    AMOUNT = "amount"
    CLOSING = "closing"
    SILENCE = "silence"
    NAME = "name"


#: Amount times odds times their complement: large where a large deal is undecided, which is where work is worth most.
STAKE = Score.amount * Score.win_probability * (1 - Score.win_probability)
#: Each order with the direction that people expect first.
_ORDERS: dict[Order, tuple[ColumnElement[Any], bool]] = {
    Order.STAKE: (STAKE, True),
    Order.ODDS: (cast("ColumnElement[Any]", Score.win_probability), True),
    Order.CHANGE: (Score.win_probability - Score.week_before, False),
    Order.AMOUNT: (cast("ColumnElement[Any]", Score.amount), True),
    Order.CLOSING: (cast("ColumnElement[Any]", Score.expected_close_date), False),
    Order.SILENCE: (cast("ColumnElement[Any]", Score.last_touch_at), False),
    Order.NAME: (func.lower(func.coalesce(Score.name, Score.deal_id)), False),
}


def page_count(found: int, rows: int) -> int:
    """Pages of a list with so many rows on each; an empty list has one.

    Examples
    --------
    >>> page_count(101, 50), page_count(100, 50), page_count(0, 50)
    (3, 2, 1)
    """
    return max(1, -(-found // rows))


def only_currency(currencies: Sequence[str]) -> str | None:
    """The currency of a sum: empty where it is not recorded, None where amounts of several are added.

    Examples
    --------
    >>> only_currency(["EUR"]), only_currency([""]), only_currency(["EUR", ""])
    ('EUR', '', None)
    """
    return currencies[0] if len(currencies) == 1 else None


def falls_first(order: Order) -> bool:
    """Whether an order begins with the largest, unless it is reversed."""
    return _ORDERS[order][1]


class DealQuery(BaseModel):
    """What a reader asks for.

    Examples
    --------
    >>> DealQuery(search="acme").order
    <Order.STAKE: 'stake'>
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    search: str = Field("", max_length=200, description="part of a name, an account or an id")
    stage: str = Field("", max_length=300)
    band: str = Field("", max_length=20)
    owner: str = Field("", max_length=200, description="id of the owner in the CRM")
    whose: str = Field("", max_length=320, description="owner:USER_ID, under:USER_ID (with all reports) or team:NAME")
    moved: Literal["", "up", "down"] = Field("", description="odds that moved since the week before")
    at_risk: bool = Field(False, description="only big deals that are at risk")
    flag: Literal["", "at_risk", "silent", "stalled", "overdue", "hopeless", "let_go", "booked"] = Field(
        "", description="only deals with this flag"
    )
    order: Order = Order.STAKE
    reverse: bool = False
    page: int = Field(1, ge=1, le=100_000)

    @property
    def filters(self) -> "DealQuery":
        """The same deals, in no order and on no page: what sums depend on."""
        return self.model_copy(update={"order": Order.STAKE, "reverse": False, "page": 1})


@dataclass(frozen=True)
class DealSums:
    """What the deals of all pages come to.

    Parameters
    ----------
    found : int
        Their number.
    amount, expected : float or None
        Sum of the amounts, and of the amounts times the odds; None where no amount of theirs is known.
    currencies : tuple of str
        Of these amounts; empty text where none is recorded.
    """

    found: int
    amount: float | None
    expected: float | None
    currencies: tuple[str, ...]


@dataclass(frozen=True)
class Deals:
    """One page of the list.

    Parameters
    ----------
    rows : sequence of Score
    owners : dict of str to str
        Names of the owners of these rows.
    found : int
        Rows on all pages.
    amount, expected : float or None
        Sum of the amounts, and of the amounts times the odds, on all pages; None where no amount of theirs is known.
    currencies : tuple of str
        Of these amounts; empty text where none is recorded.
    """

    rows: Sequence[Score]
    owners: dict[str, str]
    found: int
    amount: float | None
    expected: float | None
    currencies: tuple[str, ...]

    @property
    def currency(self) -> str | None:
        """The one of all amounts."""
        return only_currency(self.currencies)


@dataclass(frozen=True)
class Choices:
    """What can be filtered by."""

    stages: Sequence[str]
    bands: Sequence[str]
    owners: Sequence[tuple[str, str]]


def find_deals(
    session: DatabaseSession,
    person: Person,
    query: DealQuery,
    *,
    rows: int | None,
    with_names: bool,
    settings: Run | None = None,
    sums: DealSums | None = None,
) -> Deals:
    """The deals that a person may see and asks for.

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    query : DealQuery
    rows : int or None
        Rows a page; None for all at once.
    with_names : bool
        Whether names may be searched and sorted by: who may not read them must not be able to guess them.
    settings : Run, optional
        What counts as a move and as a risk; by default as ``Run()`` has it.
    sums : DealSums, optional
        Of `sum_deals` for the same person and filters, where they are known already.
    """
    settings = settings or Run()
    sums = sums or sum_deals(session, person, query, with_names=with_names, settings=settings)
    wanted = _wanted(person, query, with_names=with_names, settings=settings)
    order = query.order if with_names or query.order != Order.NAME else Order.STAKE
    column, falling = _ORDERS[order]
    ordered = column.desc() if falling != query.reverse else column.asc()
    wanted = wanted.order_by(ordered.nulls_last(), Score.deal_id)
    found = session.scalars(wanted).all() if rows is None else _page(session, wanted, query.page, rows)
    return Deals(found, owner_names(session, found), sums.found, sums.amount, sums.expected, sums.currencies)


def sum_deals(
    session: DatabaseSession, person: Person, query: DealQuery, *, with_names: bool, settings: Run
) -> DealSums:
    """Number and sums of the deals that a person may see and asks for; see `find_deals`."""
    of_all = _wanted(person, query, with_names=with_names, settings=settings).order_by(None).subquery()
    amount, expected = func.sum(of_all.c.amount), func.sum(of_all.c.amount * of_all.c.win_probability)
    of_currency = select(of_all.c.currency, func.count(), func.count(of_all.c.amount), amount, expected)
    by_currency = session.execute(of_currency.group_by(of_all.c.currency)).all()
    known = sorted((each for each in by_currency if each[2]), key=lambda each: each[0] or "")
    found = sum(each[1] for each in by_currency)
    if found and not known:
        return DealSums(found, None, None, ())
    return DealSums(
        found,
        math.fsum(each[3] for each in known),
        math.fsum(each[4] for each in known),
        tuple(dict.fromkeys(each[0] or "" for each in known)),
    )


def choices(session: DatabaseSession, person: Person) -> Choices:
    """Stages, bands and owners among the deals that a person may see."""
    seen = visible_scores(person).subquery()
    stages = session.scalars(select(seen.c.stage).where(seen.c.stage.is_not(None)).distinct().order_by(seen.c.stage))
    bands = session.execute(
        select(seen.c.band, func.min(seen.c.win_probability).label("least")).group_by(seen.c.band).order_by("least")
    )
    owners = session.execute(
        select(seen.c.owner_id, CrmUser.name)
        .outerjoin(CrmUser, CrmUser.user_id == seen.c.owner_id)
        .where(seen.c.owner_id.is_not(None))
        .distinct()
    )
    named = sorted(((owner, name or owner) for owner, name in owners), key=lambda each: each[1].lower())
    return Choices(list(stages), [band for band, _ in bands], named)


def owner_names(session: DatabaseSession, scores: Sequence[Score]) -> dict[str, str]:
    """Names of the owners of some deals, by id."""
    ids = {each.owner_id for each in scores if each.owner_id is not None}
    if not ids:
        return {}
    users = session.execute(select(CrmUser.user_id, CrmUser.name).where(CrmUser.user_id.in_(ids)))
    return {user_id: name or user_id for user_id, name in users}


def _wanted(person: Person, query: DealQuery, *, with_names: bool, settings: Run) -> Select[Score]:
    filtered = _filtered(visible_scores(person), query, with_names=with_names)
    return _watched(person, filtered, query, settings)


def _page(session: DatabaseSession, wanted: Select[Score], page: int, rows: int) -> list[Score]:
    """The rows of a page: sorted by what an index holds, and only then looked up."""
    keys = session.execute(
        wanted.with_only_columns(Score.run_id, Score.deal_id).limit(rows).offset((page - 1) * rows)
    ).all()
    if not keys:
        return []
    ids = [deal_id for _, deal_id in keys]
    found = session.scalars(select(Score).where(Score.run_id == keys[0][0], Score.deal_id.in_(ids)))
    by_id = {each.deal_id: each for each in found}
    return [by_id[deal_id] for deal_id in ids]


def _filtered(wanted: Select[Score], query: DealQuery, *, with_names: bool) -> Select[Score]:
    if query.search:
        places: list[ColumnElement[bool]] = [Score.deal_id.icontains(query.search, autoescape=True)]
        if with_names:
            places += [each.icontains(query.search, autoescape=True) for each in (Score.name, Score.account)]
        wanted = wanted.where(or_(*places))
    for value, column in ((query.stage, Score.stage), (query.band, Score.band), (query.owner, Score.owner_id)):
        if value:
            wanted = wanted.where(column == value)
    return wanted.where(matches_owner_filter(query.whose))


def _watched(person: Person, wanted: Select[Score], query: DealQuery, settings: Run) -> Select[Score]:
    """Only deals that moved, that are at risk or that have a flag, where that is asked for."""
    if query.moved:
        wanted = wanted.where(rises(settings) if query.moved == "up" else falls(settings))
    if query.at_risk:
        wanted = wanted.where(at_risk(person, settings))
    return wanted.where(has_flag(query.flag)) if query.flag else wanted
