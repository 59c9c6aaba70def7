"""The list of open deals, and its export."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

import pandas as pd
from fastapi import Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from winpredict.app.audit_log import EXPORTED, write_down
from winpredict.app.desk import Desk
from winpredict.app.identity import EVERYBODY, WITH_DEALS, Allows, Caller, DeskOfRequest
from winpredict.app.listing import DealQuery, Deals, Order, choices, falls_first, find_deals, page_count
from winpredict.app.pages.rendering import render
from winpredict.app.pages.tables import csv_answer
from winpredict.app.publishing import shown_run
from winpredict.app.records import Role, Score
from winpredict.app.shown_reasons import audience_of, next_steps_of, reasons_of
from winpredict.app.turns import PageRouter
from winpredict.app.visibility import sees_names
from winpredict.config import Run
from winpredict.explain.deal_flags import FLAGS
from winpredict.explain.reason import Reason, leading
from winpredict.features.description import Audience
from winpredict.locale.text import Text, text, texts

router = PageRouter()
DealQueryParameters = Annotated[DealQuery, Query()]
#: Filters that other pages set and the form has no field for.
_NOT_IN_FORM = ("whose", "moved", "at_risk")
_ORDER_NAMES = {
    Order.STAKE: text("Value at stake"),
    Order.ODDS: text("Win odds"),
    Order.CHANGE: text("Change this week"),
    Order.AMOUNT: text("Amount"),
    Order.CLOSING: text("Expected close"),
    Order.SILENCE: text("Longest without contact"),
    Order.NAME: text("Name"),
}
#: The bands of `winpredict.explain.scores.BANDS` as people read them.
BAND_NAMES: Mapping[str, Text] = {
    "very low": text("very low odds"),
    "low": text("low odds"),
    "medium": text("medium odds"),
    "high": text("high odds"),
    "very high": text("very high odds"),
}
#: Odds that differ by less are the same on a page.
_SAME = 0.005
#: What else a figure of another page cuts the list to.
_MOVED_NAMES = {"up": text("deals whose odds rose"), "down": text("deals whose odds fell")}


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
    audience = audience_of(caller.person.role, desk.config.app)
    with desk.database.reading() as session:
        run = shown_run(session)
        deals = find_deals(session, caller.person, query, rows=rows, with_names=names, settings=desk.config.run)
        offered = choices(session, caller.person)
    kept = query.model_dump(mode="json", exclude_defaults=True, include=set(_NOT_IN_FORM))
    return render(
        request,
        caller,
        "deals.html",
        query=query,
        found=deals,
        names=names,
        choices=offered,
        orders=_ORDER_NAMES,
        bands=BAND_NAMES,
        flags=FLAGS,
        change_of=lambda row: change_this_week(row, desk.config.run),
        main_reason=lambda row: main_reason(row, audience, desk.config.run),
        falls=lambda order: falls_first(Order(order)),
        run=run,
        pages=page_count(deals.found, rows),
        link=lambda **changes: f"/deals?{_query_string(query, **changes)}",
        export=f"/deals.csv?{_query_string(query, page=1)}",
        mine=caller.person.role == Role.REP,
        kept={name: str(value).lower() if value is True else value for name, value in kept.items()},
        only=_only(query),
        filtered=bool(query.search or query.stage or query.band or query.owner or query.flag or kept),
    )


@router.get("/deals.csv")
def export(
    desk: DeskOfRequest, query: DealQueryParameters, caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))]
) -> Response:
    """All rows of the list as a table for spreadsheets, harmless to open."""
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        deals = find_deals(session, caller.person, query, rows=None, with_names=names, settings=desk.config.run)
    write_down(desk.database, caller.person, EXPORTED, "deals.csv", {"rows": len(deals.rows)})
    audience = audience_of(caller.person.role, desk.config.app)
    return csv_answer(_table(deals, audience, names=names), "deals.csv")


def may_read_names(desk: Desk, caller: Caller) -> bool:
    """Whether names of deals and accounts are shown to the caller."""
    return sees_names(caller.person, scientists_see_names=desk.config.app.scientists_see_names)


def change_this_week(score: Score, settings: Run) -> Text | None:
    """How a deal's odds changed since the week before, if by enough points to lead with.

    Parameters
    ----------
    score : Score
    settings : Run
        From how many points on a change is told.

    Examples
    --------
    >>> print(change_this_week(Score(win_probability=0.32, week_before=0.4), Run(moved_points=5)))
    Odds down 8 points since last week
    >>> change_this_week(Score(win_probability=0.38, week_before=0.4), Run(moved_points=5))
    """
    if score.week_before is None:
        return None
    change = score.win_probability - score.week_before
    if abs(change) < max(settings.moved_points / 100, _SAME):
        return None
    if change > 0:
        return texts(
            "Odds up {n:size_points} point since last week", "Odds up {n:size_points} points since last week", n=change
        )
    return texts(
        "Odds down {n:size_points} point since last week", "Odds down {n:size_points} points since last week", n=change
    )


def main_reason(score: Score, audience: Audience, settings: Run) -> Reason | None:
    """The reason that the list shows beside a change of the odds: one that points the same way, where there is one.

    Parameters
    ----------
    score : Score
    audience : {"everyone", "managers"}
    settings : Run
        From how many points on a change is told; without one, any reason may lead.
    """
    reasons = reasons_of(score, audience)
    if score.week_before is None or change_this_week(score, settings) is None:
        return leading(reasons)
    change = score.win_probability - score.week_before
    return leading([each for each in reasons if each.points * change > 0]) or leading(reasons)


def _only(query: DealQuery) -> list[Text]:
    """What else the list is cut to; a figure of another page led here."""
    names = [text("big deals at risk")] if query.at_risk else []
    names += [_MOVED_NAMES[query.moved]] if query.moved else []
    return names + ([text("deals of the team or person you chose")] if query.whose else [])


def _table(deals: Deals, audience: Audience, *, names: bool) -> pd.DataFrame:
    columns = ["deal_id", *(["name", "account"] if names else [])]
    columns += ["stage", "product", "amount", "currency", "win_probability", "low", "high", "band", "week_before"]
    columns += ["p_win_30d", "p_win_quarter", "expected_close_date", "last_touch_at", "next_touch_at", "flags"]
    columns += ["owner_id"]
    frame = pd.DataFrame([{name: getattr(row, name) for name in columns} for row in deals.rows], columns=columns)
    frame["owner"] = frame["owner_id"].map(deals.owners)
    first_steps = (next_steps_of(row)[:1] for row in deals.rows)
    frame["next_step"] = ["".join(each.sentence for each in steps) for steps in first_steps]
    reasons = (reasons_of(row, audience) for row in deals.rows)
    frame["reasons"] = ["; ".join(each.sentence for each in of_deal) for of_deal in reasons]
    return frame


def _query_string(query: DealQuery, **changes: object) -> str:
    """The query as it stands in an address, with changes; what is at its default is left out."""
    values = query.model_dump(mode="json", exclude_defaults=True) | changes
    given = {name: value for name, value in values.items() if value not in ("", None, False)}
    if given.get("page") == 1:
        del given["page"]
    return urlencode({name: str(value).lower() if value is True else str(value) for name, value in given.items()})
