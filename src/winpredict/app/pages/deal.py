"""One deal: its odds over time, why, what moved them, what if, and deals like it."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from winpredict.app.desk import Desk
from winpredict.app.identity import WITH_DEALS, Allows, Caller, DeskOfRequest
from winpredict.app.listing import owner_names
from winpredict.app.pages.deals import may_read_names
from winpredict.app.pages.rendering import render
from winpredict.app.publishing import published
from winpredict.app.records import Score
from winpredict.app.visibility import visible_score

router = APIRouter()


@router.get("/deals/{deal_id}")
def deal(
    request: Request, desk: DeskOfRequest, deal_id: str, caller: Annotated[Caller, Depends(Allows(*WITH_DEALS))]
) -> Response:
    """The page of a deal."""
    from winpredict.explain.reasons import explain_deal

    score = seen_deal(desk, caller, deal_id)
    loaded = desk.loaded()
    why = explain_deal(loaded.model, loaded.scorer.tables_of(deal_id), deal_id, company=loaded.scorer.company)
    with desk.database.reading() as session:
        owners = owner_names(session, [score])
    return render(
        request,
        caller,
        "deal.html",
        score=score,
        owner=owners.get(score.owner_id or "", score.owner_id or "–"),
        why=why,
        names=may_read_names(desk, caller),
        run=published(desk.database),
    )


def seen_deal(desk: Desk, caller: Caller, deal_id: str) -> Score:
    """The latest score of a deal that the caller may see.

    Raises
    ------
    HTTPException
        404, whether there is no such deal or they may not see it: the answer tells nothing.
    """
    with desk.database.reading() as session:
        score = visible_score(session, caller.person, deal_id)
    if score is None:
        raise HTTPException(404, "there is no such open deal, or it is not one that you may see")
    return score
