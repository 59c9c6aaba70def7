"""Whether the desk is alive, and whether it is ready to answer."""

from datetime import datetime

from anyio import fail_after
from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from winpredict.app.api.contract import documented
from winpredict.app.desk import Desk
from winpredict.app.identity import DeskOfRequest
from winpredict.app.people import now
from winpredict.app.publishing import published
from winpredict.app.security_middleware import problem
from winpredict.app.turns import look_whether_ready
from winpredict.errors import WinPredictError

router = APIRouter(tags=["health"])
#: Seconds in which the database must have answered.
_PATIENCE = 5.0
_NOT_KEPT = {"Cache-Control": "no-store"}


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """The database, the model and the scores are there."""

    status: str
    model_version: str
    scored_at: datetime
    scores_age_hours: float = Field(description="since the scores that people see were made")


@router.get("/health", summary="Liveness", **documented(tagged=False))
async def health() -> Alive:
    """Whether the process answers; it looks at nothing else, and waits for no thread."""
    return Alive(status="alive")


@router.get("/readiness", summary="Readiness", response_model=Ready, **documented(503, tagged=False))
async def readiness(desk: DeskOfRequest) -> Response:
    """Whether the database answers, a model is there to score by, and there are scores to show."""
    try:
        with fail_after(_PATIENCE):
            found = await look_whether_ready(lambda: _ready(desk))
    except TimeoutError:
        return problem(503, "not ready: the database does not answer")
    except (SQLAlchemyError, WinPredictError) as error:
        # anybody may ask, so it is not told what stands in a message of the database
        detail = "the database does not answer" if isinstance(error, SQLAlchemyError) else "no model is there"
        return problem(503, f"not ready: {detail}")
    if found is None:
        return problem(503, "not ready: no scores were published")
    return JSONResponse(found.model_dump(mode="json"), headers=_NOT_KEPT)


def _ready(desk: Desk) -> Ready | None:
    from winpredict.models.registry import version_of

    with desk.database.reading() as session:
        session.execute(text("SELECT 1"))
    version, run = str(version_of(desk.workspace.folder)), published(desk.database)
    if run is None:
        return None
    age = (now() - run.scored_at).total_seconds() / 3600
    return Ready(status="ready", model_version=version, scored_at=run.scored_at, scores_age_hours=round(age, 3))
