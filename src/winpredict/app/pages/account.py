"""A person's own account: who they are here, their language, and another password."""

from typing import Annotated, Literal

from fastapi import Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from winpredict.app.desk import Desk
from winpredict.app.identity import Anybody, Caller, DeskOfRequest
from winpredict.app.language import chosen_language, language_names
from winpredict.app.pages.people import ROLE_WORDS
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.pages.sign_in import STATUS, source_of, welcome
from winpredict.app.people import LONGEST_PASSWORD, SHORTEST_PASSWORD, change_language, change_password
from winpredict.app.records import CrmUser, Person, Role
from winpredict.app.sign_in_throttle import check_in_turn
from winpredict.app.turns import PageRouter
from winpredict.errors import WinPredictError
from winpredict.locale.text import said

router = PageRouter()


@router.get("/account")
def account(
    request: Request,
    desk: DeskOfRequest,
    caller: Anybody,
    changed: bool = False,
    done: Literal["", "language"] = "",
) -> Response:
    """Who the caller is here."""
    return _page(request, desk, caller, changed=changed, done=done)


@router.post("/account/language")
def choose_language(
    request: Request, desk: DeskOfRequest, caller: Anybody, language: Annotated[str, Form(max_length=20)]
) -> Response:
    """Be spoken to in another language from now on."""
    try:
        with desk.database.writing() as session:
            person = session.get_one(Person, caller.person.id)
            change_language(session, person, chosen_language(language), caller.person)
    except WinPredictError as error:
        return _page(request, desk, caller, status=409, problem=sentence(error))
    return RedirectResponse("/account?done=language", 303)


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
            raise WinPredictError(said("the new passwords do not match; type them again"))
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
    request: Request,
    desk: Desk,
    caller: Caller,
    *,
    status: int = 200,
    changed: bool = False,
    done: str = "",
    problem: str = "",
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
        done=done,
        problem=problem,
        languages=language_names(),
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
    )
