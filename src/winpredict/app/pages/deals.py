"""The list of open deals, and its export."""

from typing import Annotated
from urllib.parse import urlencode

import pandas as pd
from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session as DatabaseSession
from starlette.responses import RedirectResponse, Response

from winpredict.app.desk import Desk
from winpredict.app.identity import EVERYBODY, WITH_DEALS, Allows, Caller, DeskOfRequest
from winpredict.app.listing import Choices, DealQuery, Deals, Order, choices, falls_first, find_deals, page_count
from winpredict.app.pages.rendering import render
from winpredict.app.pages.tables import csv_answer
from winpredict.app.publishing import shown_run
from winpredict.app.records import Role, ScoringRun
from winpredict.app.shown_reasons import audience_of, reasons_of
from winpredict.app.visibility import sees_names
from winpredict.features.description import Audience

router = APIRouter()
DealQueryParameters = Annotated[DealQuery, Query()]
#: Filters that other pages set and the form has no field for.
_NOT_IN_FORM = ("whose", "moved", "at_risk")
_ORDER_WORDS = {
    Order.STAKE: "value at stake",
    Order.ODDS: "win odds",
    Order.CHANGE: "change in a week",
    Order.AMOUNT: "amount",
    Order.CLOSING: "expected close",
    Order.SILENCE: "longest silence",
    Order.NAME: "name",
}


@router.get("/")
def first(caller: Annotated[Caller, Depends(Allows(*EVERYBODY))]) -> Response:
    """Everybody's first page."""
    return RedirectResponse("/people" if caller.person.role == Role.ADMIN else "/deals", 303)


@router.get("/deals")
def deals(
    request: Request,
    desk: DeskOfRequest,
    query: DealQueryParameters,
    caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))],
) -> Response:
    """The list."""
    rows, names = desk.config.app.page_rows, may_read_names(desk, caller)
    with desk.database.reading() as session:
        run = shown_run(session)
        deals = find_deals(session, caller.person, query, rows=rows, with_names=names, settings=desk.config.run)
        offered = _choices(desk, session, caller, run)
    kept = query.model_dump(mode="json", exclude_defaults=True, include=set(_NOT_IN_FORM))
    return render(
        request,
        caller,
        "deals.html",
        query=query,
        found=deals,
        names=names,
        choices=offered,
        orders=_ORDER_WORDS,
        falls=lambda order: falls_first(Order(order)),
        run=run,
        pages=page_count(deals.found, rows),
        link=lambda **changes: f"/deals?{_words(query, **changes)}",
        export=f"/deals.csv?{_words(query, page=1)}",
        mine=caller.person.role == Role.REP,
        kept={name: str(value).lower() if value is True else value for name, value in kept.items()},
        only=_only(query),
        filtered=bool(query.search or query.stage or query.band or query.owner or kept),
    )


@router.get("/deals.csv")
def export(
    desk: DeskOfRequest, query: DealQueryParameters, caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))]
) -> Response:
    """All rows of the list as a table for spreadsheets, harmless to open."""
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        deals = find_deals(session, caller.person, query, rows=None, with_names=names, settings=desk.config.run)
    audience = audience_of(caller.person.role, desk.config.app)
    return csv_answer(_table(deals, audience, names=names), "deals.csv")


def may_read_names(desk: Desk, caller: Caller) -> bool:
    """Whether names of deals and accounts are shown to the caller."""
    return sees_names(caller.person, scientists_see_names=desk.config.app.scientists_see_names)


def _choices(desk: Desk, session: DatabaseSession, caller: Caller, run: ScoringRun | None) -> Choices:
    """What can be filtered by; a run does not change, nor does who reports to whom until the next one."""
    person = caller.person
    key = ("choices", run and run.id, person.id, person.role, person.crm_user_id)
    return desk.get_or_compute(key, lambda: choices(session, person))


def _only(query: DealQuery) -> list[str]:
    """What else the list is cut to, in words; a figure of another page led here."""
    told = ["deals at risk"] if query.at_risk else []
    told += [{"up": "deals whose odds rose", "down": "deals whose odds fell"}[query.moved]] if query.moved else []
    return told + (["deals of the team or person that you chose"] if query.whose else [])


def _table(deals: Deals, audience: Audience, *, names: bool) -> pd.DataFrame:
    columns = ["deal_id", *(["name", "account"] if names else [])]
    columns += ["stage", "product", "amount", "currency", "win_probability", "low", "high", "band", "week_before"]
    columns += ["p_win_30d", "p_win_quarter", "expected_close_date", "last_touch_at", "next_touch_at", "owner_id"]
    frame = pd.DataFrame([{name: getattr(row, name) for name in columns} for row in deals.rows], columns=columns)
    frame["owner"] = frame["owner_id"].map(deals.owners)
    told = (reasons_of(row, audience) for row in deals.rows)
    frame["reasons"] = ["; ".join(each.sentence for each in reasons) for reasons in told]
    return frame


def _words(query: DealQuery, **changes: object) -> str:
    """The query as it stands in an address, with changes; what is at its default is left out."""
    values = query.model_dump(mode="json", exclude_defaults=True) | changes
    told = {name: value for name, value in values.items() if value not in ("", None, False)}
    if told.get("page") == 1:
        del told["page"]
    return urlencode({name: str(value).lower() if value is True else str(value) for name, value in told.items()})
