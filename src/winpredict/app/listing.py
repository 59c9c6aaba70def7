"""The list of open deals: filtered, sorted and paged, for pages, exports and the API alike."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from operator import eq
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.at_risk import big, has_flag
from winpredict.app.records import CrmUser, Person, Score
from winpredict.app.shown_deals import IDS_A_STATEMENT, Mask, ShownDeals, batched, shown_deals
from winpredict.app.teams import of_choice
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


#: What each order goes by; NaN is not known.
_VALUES: dict[Order, Callable[[ShownDeals, DatabaseSession], NDArray[np.float64]]] = {
    # amount times odds times their complement: large where a large deal is undecided, where work is worth most
    Order.STAKE: lambda deals, session: deals.amounts * deals.odds * (1 - deals.odds),
    Order.ODDS: lambda deals, session: deals.odds,
    Order.CHANGE: lambda deals, session: deals.changes,
    Order.AMOUNT: lambda deals, session: deals.amounts,
    Order.CLOSING: lambda deals, session: deals.moments(session, "expected_close_date"),
    Order.SILENCE: lambda deals, session: deals.moments(session, "last_touch_at"),
    Order.NAME: lambda deals, session: deals.name_places(session),
}
#: Orders that people expect to begin with the largest.
_FALLING = frozenset({Order.STAKE, Order.ODDS, Order.AMOUNT})


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
    return order in _FALLING


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
class Sums:
    """What some deals add up to.

    Parameters
    ----------
    found : int
    amount, expected : float or None
        None where there are deals and no amount of theirs is known.
    currencies : tuple of str
        Of these amounts; empty text where none is recorded.
    """

    found: int
    amount: float | None
    expected: float | None
    currencies: tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """What can be filtered by.

    Parameters
    ----------
    stages, bands : sequence of str
    owners : sequence of tuple
        Ids and names.
    all_owners : bool
        Whether these are all: of very many, those with the most open deals are offered.
    """

    stages: Sequence[str]
    bands: Sequence[str]
    owners: Sequence[tuple[str, str]]
    all_owners: bool = True

    def offers(self, owner: str) -> bool:
        """Whether an owner can be chosen."""
        return any(each == owner for each, _ in self.owners)


def find_deals(
    session: DatabaseSession,
    person: Person,
    query: DealQuery,
    *,
    rows: int | None,
    with_names: bool,
    settings: Run | None = None,
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
    """
    deals = shown_deals(session)
    wanted = deals_asked_for(session, deals, person, query, with_names=with_names, settings=settings or Run())
    order = query.order if with_names or query.order != Order.NAME else Order.STAKE
    ranked = _ranked(session, deals, order, falls=falls_first(order) != query.reverse)
    places = ranked[wanted[ranked]]
    if rows is not None:
        places = places[(query.page - 1) * rows : query.page * rows]
    found, sums = deals.rows(session, places), sums_of(deals, wanted)
    return Deals(found, owner_names(session, found), sums.found, sums.amount, sums.expected, sums.currencies)


def prepare_lists(session: DatabaseSession) -> None:
    """Read all that lists are made of, so that whoever is first to ask for a list need not wait for it."""
    deals = shown_deals(session)
    for order in Order:
        _ranked(session, deals, order, falls=falls_first(order))
    deals.found(session, "a", with_names=True)


def _ranked(session: DatabaseSession, deals: ShownDeals, order: Order, *, falls: bool) -> NDArray[np.int64]:
    return deals.ranked(order, session, lambda reading: _VALUES[order](deals, reading), falls=falls)


def deals_asked_for(
    session: DatabaseSession, deals: ShownDeals, person: Person, query: DealQuery, *, with_names: bool, settings: Run
) -> Mask:
    """The deals that a person may see and asks for, of all that are shown.

    Parameters
    ----------
    session : DatabaseSession
    deals : ShownDeals
    person : Person
    query : DealQuery
    with_names : bool
    settings : Run
        As for `find_deals`.
    """
    seen = deals.seen_by(session, person)
    wanted = seen & of_choice(session, deals, query.whose)
    for value, column in ((query.stage, deals.stages), (query.band, deals.bands), (query.owner, deals.owners)):
        if value:
            wanted &= column.are(partial(eq, value))
    if query.search:
        wanted &= deals.found(session, query.search, with_names=with_names)
    if query.moved:
        least = settings.moved_points / 100
        wanted &= deals.changes >= least if query.moved == "up" else deals.changes <= -least
    if query.at_risk:
        wanted &= big(deals, seen, settings) & has_flag(deals, "at_risk")
    return wanted & has_flag(deals, query.flag) if query.flag else wanted


def sums_of(deals: ShownDeals, wanted: Mask) -> Sums:
    """What some of the shown deals add up to."""
    count, known = int(wanted.sum()), wanted & ~np.isnan(deals.amounts)
    if not known.any():
        nothing = None if count else 0.0
        return Sums(count, nothing, nothing, ())
    amounts = deals.amounts[known]
    expected = float((amounts * deals.odds[known]).sum())
    return Sums(count, float(amounts.sum()), expected, tuple(sorted(deals.currencies.present(known))))


def choices(session: DatabaseSession, person: Person) -> Choices:
    """Stages, bands and owners among the deals that a person may see."""
    deals = shown_deals(session)
    seen = deals.seen_by(session, person)

    def find() -> Choices:
        least = {
            band: deals.odds[seen & deals.bands.are(partial(eq, band))].min() for band in deals.bands.present(seen)
        }
        owners = deals.busiest(seen)
        named = owner_names_of(session, owners)
        by_name = sorted(
            ((owner, named.get(owner, owner)) for owner in owners), key=lambda each: (each[1].lower(), each[0])
        )
        every = len(deals.owners.present(seen)) == len(owners)
        return Choices(sorted(deals.stages.present(seen)), sorted(least, key=least.__getitem__), by_name, every)

    return deals.made(("choices", deals.owners_seen_by(session, person)), find)


def owner_names(session: DatabaseSession, scores: Sequence[Score]) -> dict[str, str]:
    """Names of the owners of some deals, by id."""
    return owner_names_of(session, {each.owner_id for each in scores if each.owner_id is not None})


def owner_names_of(session: DatabaseSession, owners: Collection[str]) -> dict[str, str]:
    """Names of users of the CRM, by id."""
    found: dict[str, str] = {}
    for some in batched(owners, IDS_A_STATEMENT):
        users = session.execute(select(CrmUser.user_id, CrmUser.name).where(CrmUser.user_id.in_(some)))
        found |= {user_id: name or user_id for user_id, name in users}
    return found
