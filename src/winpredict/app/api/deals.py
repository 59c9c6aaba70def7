"""Deals with their scores."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from winpredict.app.identity import WITH_DEALS, Allows, Caller, DeskOfRequest
from winpredict.app.listing import DealQuery, find_deals
from winpredict.app.pages.deals import may_read_names

router = APIRouter(tags=["deals"])
READ = Allows(*WITH_DEALS, scope="read")


class Deal(BaseModel):
    """An open deal with its latest score."""

    model_config = ConfigDict(from_attributes=True)

    deal_id: str
    name: str | None
    account: str | None
    owner_id: str | None
    stage: str | None
    amount: float | None
    currency: str | None
    win_probability: float
    low: float | None
    high: float | None
    band: str
    reasons: list[str]
    expected_close_date: datetime | None


class DealPage(BaseModel):
    """A page of deals."""

    found: int
    page: int
    deals: list[Deal]


@router.get("/deals")
def deals(
    desk: DeskOfRequest, query: Annotated[DealQuery, Query()], caller: Annotated[Caller, Depends(READ)]
) -> DealPage:
    """Open deals that the caller may see."""
    names = may_read_names(desk, caller)
    with desk.database.reading() as session:
        found = find_deals(session, caller.person, query, rows=desk.config.app.page_rows, with_names=names)
    shown = [Deal.model_validate(row) for row in found.rows]
    if not names:
        shown = [each.model_copy(update={"name": None, "account": None}) for each in shown]
    return DealPage(found=found.found, page=query.page, deals=shown)
