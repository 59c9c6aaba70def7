"""A person's own account: who they are here, their language, another password, and where they are signed in."""

from typing import Annotated, Literal

from fastapi import Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from winpredict.app.audit_log import audit
from winpredict.app.desk import Desk
from winpredict.app.identity import Anybody, AnybodyYet, Caller, DeskOfRequest, idle_time
from winpredict.app.language import chosen_language, language_names
from winpredict.app.pages.people import ROLE_WORDS
from winpredict.app.pages.rendering import render, rooms_of, sentence
from winpredict.app.pages.sign_in import STATUS, record_failure, signed_out, source_of, welcome
from winpredict.app.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from winpredict.app.people import change_language, change_password, sessions_of, sign_out_everywhere
from winpredict.app.records import CrmUser, Person, Role
from winpredict.app.sign_in_throttle import AppSignInError, check_in_turn
from winpredict.app.turns import PageRouter
from winpredict.errors import WinPredictError
from winpredict.locale.text import said

router = PageRouter()
#: So much of the hash of a session's key tells it from the others of its person.
SESSION_LETTERS = 16


@router.get("/account")
def account(
    request: Request,
    desk: DeskOfRequest,
    caller: Anybody,
    changed: bool = False,
    done: Literal["", "language", "ended"] = "",
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


@router.get("/account/password")
def given(request: Request, caller: AnybodyYet) -> Response:
    """Where somebody whose password was set by another is sent until they have one of their own."""
    if caller.person.password_hash is None:
        return RedirectResponse("/account", 303)
    return _given(request, caller)


@router.post("/account/password")
async def change(
    request: Request,
    desk: DeskOfRequest,
    caller: AnybodyYet,
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
        if new == current:
            raise WinPredictError(said("that is your current password; choose another one"))
        await run_in_threadpool(_take, desk, checked, new)
    except WinPredictError as error:
        status = STATUS.get(type(error), 409)
        if isinstance(error, AppSignInError):
            await run_in_threadpool(record_failure, desk, person.email, error)
        if caller.must_change_password:
            return await run_in_threadpool(_given, request, caller, status, sentence(error))
        return await run_in_threadpool(_page, request, desk, caller, status=status, problem=sentence(error))
    return await run_in_threadpool(welcome, request, desk, checked, "/account?changed=1")


@router.post("/account/sessions/end")
def end_sessions(desk: DeskOfRequest, caller: Anybody, which: Annotated[Literal["others", "all"], Form()]) -> Response:
    """Sign out everywhere else, or everywhere."""
    here = caller.session.key_hash if caller.session is not None and which == "others" else ""
    with desk.database.writing() as session:
        count = sign_out_everywhere(session, caller.person, here)
        audit(session, caller.person, "sessions ended", caller.person.email, {"which": which, "sessions": count})
    return RedirectResponse("/account?done=ended#sessions_head", 303) if here else signed_out(desk)


@router.post("/account/sessions/{session_id}/end")
def end_session(desk: DeskOfRequest, caller: Anybody, session_id: str) -> Response:
    """Sign out in one place."""
    with desk.database.writing() as session:
        theirs = sessions_of(session, caller.person, idle_time(desk))
        found = next((each for each in theirs if each.key_hash[:SESSION_LETTERS] == session_id), None)
        if found is None:
            raise HTTPException(404, said("this session has already ended"))
        session.delete(found)
        details = {"browser": found.browser, "of_address": found.address}
        audit(session, caller.person, "session ended", caller.person.email, details)
    is_here = caller.session is not None and found.key_hash == caller.session.key_hash
    return signed_out(desk) if is_here else RedirectResponse("/account?done=ended#sessions_head", 303)


def _given(request: Request, caller: Caller, status: int = 200, problem: str = "") -> Response:
    return render(
        request,
        caller,
        "given_password.html",
        status,
        rooms=() if caller.must_change_password else rooms_of(caller),
        must_change=caller.must_change_password,
        problem=problem,
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
    )


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
        sessions = sessions_of(session, caller.person, idle_time(desk))
    return render(
        request,
        caller,
        "account.html",
        status,
        role=ROLE_WORDS[Role(caller.person.role)],
        user=user,
        sessions=sessions,
        changed=changed,
        done=done,
        problem=problem,
        languages=language_names(),
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
    )
