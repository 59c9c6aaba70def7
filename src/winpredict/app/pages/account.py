"""A person's own account: who they are here, and another password."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from winpredict.app.desk import Desk
from winpredict.app.identity import Anybody, Caller, DeskOfRequest
from winpredict.app.pages.people import ROLE_WORDS
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.pages.sign_in import STATUS, source_of, welcome
from winpredict.app.people import LONGEST_PASSWORD, SHORTEST_PASSWORD, change_password
from winpredict.app.records import CrmUser, Person, Role
from winpredict.app.sign_in_throttle import check_in_turn
from winpredict.errors import WinPredictError

router = APIRouter()


@router.get("/account")
def account(request: Request, desk: DeskOfRequest, caller: Anybody, changed: bool = False) -> Response:
    """Who the caller is here."""
    return _page(request, desk, caller, changed=changed)


@router.post("/account/password")
async def change(
    request: Request,
    desk: DeskOfRequest,
    caller: Anybody,
    current: Annotated[str, Form(max_length=1000)] = "",
    new: Annotated[str, Form(max_length=1000)] = "",
    again: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Take another password; everywhere else where the caller is signed in they no longer are."""
    person = caller.person
    try:
        if new != again:
            raise WinPredictError("the new password is not the same both times; type it again")
        # a wrong one counts as in signing in: a browser that was left open is no place to guess from
        checked = await check_in_turn(desk.database, person.email, current, source_of(request, desk, person.email))
        await run_in_threadpool(_take, desk, checked, new)
    except WinPredictError as error:
        status = STATUS.get(type(error), 409)
        return await run_in_threadpool(_page, request, desk, caller, status=status, problem=sentence(error))
    return await run_in_threadpool(welcome, request, desk, checked, "/account?changed=1")


def _take(desk: Desk, person: Person, password: str) -> None:
    with desk.database.writing() as session:
        change_password(session, session.get_one(Person, person.id), password, person)


def _page(
    request: Request, desk: Desk, caller: Caller, *, status: int = 200, changed: bool = False, problem: str = ""
) -> Response:
    user_id = caller.person.crm_user_id
    with desk.database.reading() as session:
        user = None if user_id is None else session.get(CrmUser, user_id)
    return render(
        request,
        caller,
        "account.html",
        status,
        role=ROLE_WORDS[Role(caller.person.role)],
        user=user,
        changed=changed,
        problem=problem,
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
    )
