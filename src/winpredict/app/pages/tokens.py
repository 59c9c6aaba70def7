"""Keys for programs: made, shown once, and revoked by whom they belong to."""

from typing import Annotated

from fastapi import Form, HTTPException, Request
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession
from starlette.responses import RedirectResponse, Response

from winpredict.app.identity import Anybody, Caller, DeskOfRequest
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.people import make_token, now, revoke_token
from winpredict.app.records import ApiToken, Role
from winpredict.app.turns import PageRouter
from winpredict.errors import WinPredictError
from winpredict.locale.text import said, text

router = PageRouter()
SCOPE_WORDS = {
    "read": text("read deals, odds and reasons, and their totals"),
    "score": text("score deals that the program sends"),
    "models": text("read models and backtests"),
    "metrics": text("read Prometheus metrics"),
}
#: What a key of each role is good for; roles decide again at each request.
SCOPES_OF = {
    Role.REP: ("read", "score"),
    Role.MANAGER: ("read", "score"),
    Role.SCIENTIST: ("read", "score", "models", "metrics"),
    Role.ADMIN: ("metrics",),
}
#: Days that a key may last.
LASTS = (30, 90, 365)


@router.get("/tokens")
def tokens(request: Request, desk: DeskOfRequest, caller: Anybody, revoked: bool = False) -> Response:
    """The caller's keys, and a form for one more."""
    with desk.database.reading() as session:
        return _page(request, caller, session, revoked=revoked)


@router.post("/tokens")
def make(
    request: Request,
    desk: DeskOfRequest,
    caller: Anybody,
    name: Annotated[str, Form(max_length=200)] = "",
    scopes: Annotated[list[str] | None, Form()] = None,
    days: Annotated[int, Form()] = 90,
) -> Response:
    """Make a key; this answer is the only place where it is ever shown."""
    wanted = scopes or []
    try:
        if not wanted:
            raise WinPredictError(said("choose at least one permission"))
        if days not in LASTS or not set(wanted) <= set(SCOPES_OF[Role(caller.person.role)]):
            raise WinPredictError(said("this permission or validity is not available to you; choose from the list"))
        with desk.database.writing() as session:
            key, token = make_token(session, caller.person, name, wanted, days=days)
    except WinPredictError as error:
        with desk.database.reading() as session:
            return _page(
                request, caller, session, status=409, problem=sentence(error), name=name, days=days, ticked=wanted
            )
    with desk.database.reading() as session:
        return _page(request, caller, session, key=key, made=token)


@router.post("/tokens/{token_id}/revoke")
def revoke(desk: DeskOfRequest, caller: Anybody, token_id: int) -> Response:
    """Make one of the caller's keys worthless."""
    with desk.database.writing() as session:
        token = session.get(ApiToken, token_id)
        if token is None or token.person_id != caller.person.id:
            raise HTTPException(404, said("this API key was not found"))
        if token.revoked_at is None:
            revoke_token(session, token, caller.person)
    return RedirectResponse("/tokens?revoked=1", 303)


def _page(
    request: Request,
    caller: Caller,
    session: DatabaseSession,
    *,
    status: int = 200,
    key: str = "",
    made: ApiToken | None = None,
    revoked: bool = False,
    problem: str = "",
    name: str = "",
    days: int = 90,
    ticked: list[str] | None = None,
) -> Response:
    mine = select(ApiToken).where(ApiToken.person_id == caller.person.id).order_by(ApiToken.id.desc())
    offered = SCOPES_OF[Role(caller.person.role)]
    return render(
        request,
        caller,
        "tokens.html",
        status,
        tokens=session.scalars(mine).all(),
        offered=offered,
        words=SCOPE_WORDS,
        lasts=LASTS,
        present=now(),
        key=key,
        made=made,
        revoked=revoked,
        problem=problem,
        name=name,
        days=days,
        ticked=list(offered[:1]) if ticked is None else ticked,
        address=str(request.base_url).rstrip("/"),
    )
