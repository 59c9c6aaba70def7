"""Scoring of a deal that is sent in the request."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from winpredict.app.api.batches import TooManyWaitingError
from winpredict.app.api.contract import SCORES, TaggedRoute, documented
from winpredict.app.api.reasons import Reason
from winpredict.app.api.score_request import ScoreRequest
from winpredict.app.api.scoring import PendingRequest, RequestScorer
from winpredict.app.identity import Caller, DeskOfRequest
from winpredict.app.shown_reasons import audience_of
from winpredict.app.turns import look_up
from winpredict.app.visibility import owners_seen_by
from winpredict.locale.language import current
from winpredict.locale.text import said

router = APIRouter(tags=["score"], route_class=TaggedRoute)
_COME_AGAIN = {"Retry-After": "1"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}}},
    }
}


class ScoreResponse(BaseModel):
    """The odds of a deal that was sent: base odds + reasons + what is given + everything else = win probability."""

    model_config = ConfigDict(from_attributes=True)

    deal_id: str
    as_of: datetime | None
    win_probability: float
    low: float
    high: float
    band: str
    p_win_30d: float | None = Field(description="won within 30 days")
    p_win_quarter: float | None = Field(description="won by the end of the calendar quarter")
    base_probability: float
    reasons: list[Reason]
    given: list[Reason] = Field(description="what came with the deal and cannot be changed")
    other_points: float
    model_version: str


async def score_request(request: Request, caller: Annotated[Caller, Depends(SCORES)]) -> ScoreRequest:
    """The deal in a request's body; read in one go, which is several times as fast as parsing first and checking then.

    Raises
    ------
    RequestValidationError
        With the place of everything that will not do.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, said("send the deal as JSON, with Content-Type: application/json"))
    try:
        return ScoreRequest.model_validate_json(await request.body())
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in faults]) from None


_DOCUMENTED: dict[str, Any] = documented(409, 413, 415, scope="score", tagged=False)
_DOCUMENTED["openapi_extra"] |= _BODY


@router.post("/score", summary="Score a deal that is sent", response_model=ScoreResponse, **_DOCUMENTED)
async def score(
    request: Request,
    desk: DeskOfRequest,
    caller: Annotated[Caller, Depends(SCORES)],
    body: Annotated[ScoreRequest, Depends(score_request)],
) -> Response:
    """The odds of a deal by what the request tells of it, beside the history of the workspace's other deals.

    Owners and accounts whose deals the caller may not see count as new ones. Nothing is stored.
    """
    deals: RequestScorer = request.app.state.request_scorer
    audience = audience_of(caller.person.role, desk.config.app)
    owners = await look_up(lambda: owners_seen_by(desk.database, caller.person))
    try:
        asked = deals.batches.ask(PendingRequest(body, owners, datetime.now(UTC), audience, current()))
    except TooManyWaitingError:
        raise HTTPException(
            429, said("too many deals wait to be scored; come again in a second"), _COME_AGAIN
        ) from None
    answer = ScoreResponse.model_validate(await asyncio.wrap_future(asked))
    # written here, since the framework would check and copy it once more
    return Response(answer.model_dump_json(), media_type="application/json")
