"""Deals with their scores, and what they were scored before."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import joinedload

from winpredict.app.api.contract import WITH_DEALS, TaggedRoute, documented
from winpredict.app.api.paging import MAX_PAGE_ROWS, Paged, Paging, pages
from winpredict.app.desk import Desk
from winpredict.app.identity import Caller, DeskOfRequest
from winpredict.app.listing import DealQuery, find_deals, owner_names
from winpredict.app.pages.deal import seen_deal
from winpredict.app.pages.deals import may_read_names
from winpredict.app.publishing import shown_run
from winpredict.app.records import Score
from winpredict.app.shown_reasons import audience_of, next_steps_of, reasons_of
from winpredict.app.visibility import visible_history, visible_scores

router = APIRouter(tags=["deals"], route_class=TaggedRoute)
Reader = Annotated[Caller, Depends(WITH_DEALS)]


class Odds(BaseModel):
    """A deal's win odds."""

    model_config = ConfigDict(from_attributes=True)

    deal_id: str
    win_probability: float
    low: float | None
    high: float | None
    p_win_30d: float | None = Field(description="won within 30 days")
    p_win_quarter: float | None = Field(description="won by the end of the calendar quarter")
    band: str = Field(description="very low, low, medium, high or very high")


class Run(BaseModel):
    """The scoring that odds are of."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    as_of: datetime | None = Field(description="what was recorded strictly before this counts")
    scored_at: datetime
    model_version: str
    deals: int = Field(description="deals of all people")


class Step(BaseModel):
    """One thing to do next about a deal, or that there is nothing to do."""

    key: str
    action: str
    why: str
    usual: str = Field(description="what deals that were won had; may be empty")
    evidence: str = Field(description="by how much win rates of like deals differed, where that is clear; else empty")
    urgency: float = Field(description="0 to 1")
    stake: float | None = Field(description="amount x odds x (1 - odds)")
    is_to_do: bool
    flags: list[str] = Field(
        description="of the deal: silent, stalled, overdue, booked, hopeless, at_risk and the like"
    )


class Deal(Odds):
    """An open deal with its latest score."""

    name: str | None = Field(description="null where the caller may not read names")
    account: str | None
    owner_id: str | None
    owner: str | None = None
    stage: str | None
    pipeline: str | None
    product: str | None
    amount: float | None
    currency: str | None
    created_at: datetime | None
    expected_close_date: datetime | None
    last_touch_at: datetime | None
    next_touch_at: datetime | None
    week_before: float | None = Field(description="win probability a week before")
    flags: list[str] = Field(description="at_risk, silent, stalled, overdue, hopeless, let_go, booked")
    next_steps: list[Step] = Field(description="what to do next, the most urgent first; at most three")
    reasons: list[str] = Field(description="as sentences, strongest first; what came with the deal is last")


class DealList(Paged):
    """A page of deals."""

    run: Run | None
    amount: float | None = Field(
        description="sum of the amounts on all pages, of several currencies as they stand; null where none is known"
    )
    expected: float | None = Field(description="sum of amount times odds on all pages; likewise")
    deals: list[Deal]


class ScoreList(Paged):
    """A page of scores."""

    run: Run | None
    scores: list[Odds]


class PastScore(Odds):
    """A deal's score in one run."""

    run: Run


class History(Paged):
    """A page of a deal's scores."""

    scores: list[PastScore]


class DealFilter(DealQuery):
    """What is asked for; the filters are those of the app's list."""

    limit: int = Field(50, ge=1, le=MAX_PAGE_ROWS, description="rows a page")


@router.get("/deals", summary="Open deals", **documented(scope="read"))
def deals(
    request: Request, answer: Response, desk: DeskOfRequest, caller: Reader, query: Annotated[DealFilter, Query()]
) -> DealList:
    """Open deals that the caller may see, filtered and in a stable order."""
    desk.notes.read(caller.person, caller.key_id, "/api/v1/deals")
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        run = shown_run(session)
        deals = find_deals(
            session, caller.person, query, rows=query.limit, with_names=names, settings=desk.config.run
        )  # fmt: skip
    return DealList(
        **pages(request, answer, deals.found, query.page, query.limit),
        run=run,
        amount=deals.amount,
        expected=deals.expected,
        deals=_shown(desk, caller, deals.rows, deals.owners),
    )


@router.get("/scores", summary="Latest scores", **documented(scope="read"))
def scores(
    request: Request, answer: Response, desk: DeskOfRequest, caller: Reader, paging: Annotated[Paging, Depends()]
) -> ScoreList:
    """The latest odds of all deals that the caller may see, by id: for copies in other systems."""
    desk.notes.read(caller.person, caller.key_id, "/api/v1/scores")
    with desk.database.reading() as session:
        run = shown_run(session)
        count, rows = paging.of(session, visible_scores(caller.person).order_by(Score.deal_id))
    paged = pages(request, answer, count, paging.page, paging.limit)
    return ScoreList(**paged, run=run, scores=rows)


@router.get("/deals/{deal_id:path}/scores", summary="A deal's scores over time", **documented(404, scope="read"))
def history(
    request: Request,
    answer: Response,
    desk: DeskOfRequest,
    caller: Reader,
    deal_id: str,
    paging: Annotated[Paging, Depends()],
) -> History:
    """All scores of an open deal that are kept, the oldest first."""
    seen_deal(desk, caller, deal_id)
    with desk.database.reading() as session:
        wanted = visible_history(caller.person, deal_id).options(joinedload(Score.run))
        count, rows = paging.of(session, wanted)
    paged = pages(request, answer, count, paging.page, paging.limit)
    return History(**paged, scores=rows)


# last: whatever follows the id in the other addresses could be part of one
late = APIRouter(tags=["deals"], route_class=TaggedRoute)


@late.get("/deals/{deal_id:path}", summary="A deal", **documented(404, scope="read"))
def deal(desk: DeskOfRequest, caller: Reader, deal_id: str) -> Deal:
    """One open deal with its latest score."""
    score, _ = seen_deal(desk, caller, deal_id)
    with desk.database.reading() as session:
        owners = owner_names(session, [score])
    return _shown(desk, caller, [score], owners)[0]


def _shown(desk: Desk, caller: Caller, rows: Sequence[Score], owners: dict[str, str]) -> list[Deal]:
    hidden: dict[str, None] = {} if may_read_names(desk, caller) else {"name": None, "account": None}
    audience = audience_of(caller.person.role, desk.config.app)
    columns = [name for name in Deal.model_fields if name not in ("owner", "flags", "reasons", "next_steps")]
    return [
        Deal(
            **{name: getattr(row, name) for name in columns} | hidden,
            owner=owners.get(row.owner_id or ""),
            flags=list(row.flag_names),
            reasons=[each.sentence for each in reasons_of(row, audience)],
            next_steps=[Step.model_validate(each.to_dict()) for each in next_steps_of(row)],
        )
        for row in rows
    ]
