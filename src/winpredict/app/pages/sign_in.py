"""Signing in and out with a password."""

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from winpredict.app.desk import Desk
from winpredict.app.guessing import AppSignInError, Source, TooManyTriesError, check_password, known_browser
from winpredict.app.identity import (
    BROWSER_COOKIE,
    EVERYBODY,
    Allows,
    DeskOfRequest,
    cookie_name,
    forget_cookie,
    key_of,
    remember_browser,
    set_cookie,
)
from winpredict.app.pages.rendering import render
from winpredict.app.people import sign_in, sign_out
from winpredict.app.records import Person

router = APIRouter()
_FORM_TOKEN = "form"


@router.get("/sign-in")
def form(request: Request, next: str = "/") -> Response:
    """The form."""
    return _form(request, next)


@router.post("/sign-in")
def submit(
    request: Request,
    desk: DeskOfRequest,
    email: Annotated[str, Form(max_length=320)],
    password: Annotated[str, Form(max_length=1000)],
    csrf_token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Check the password and give the browser a session of its own."""
    expected = str(request.session.get(_FORM_TOKEN, ""))
    if not expected or not hmac.compare_digest(csrf_token.encode(), expected.encode()):
        return _form(request, next, email, "This form was open for too long. Please try again.", 403)
    address = request.client.host if request.client else ""
    browser = request.cookies.get(cookie_name(desk, BROWSER_COOKIE), "")
    source = Source.of(address, email, browser, desk.signing_key)
    try:
        person = check_password(desk.database, email, password, source)
    except AppSignInError as error:
        told, status = str(error), 429 if isinstance(error, TooManyTriesError) else 401
        return _form(request, next, email, f"{told[0].upper()}{told[1:]}.", status)
    answer = welcome(request, desk, person, next)
    if not source.is_known:
        remember_browser(answer, desk, known_browser(email, desk.signing_key))
    return answer


def welcome(request: Request, desk: Desk, person: Person, next: str) -> Response:
    """Give the browser of somebody who has shown who they are a session with a new key; its former one ends."""
    with desk.database.writing() as session:
        sign_out(session, key_of(request))
        signed = sign_in(session, person, desk.config.app.session_hours)
    request.session.clear()
    answer = RedirectResponse(local(next), 303)
    set_cookie(answer, desk, signed.key)
    return answer


@router.post("/sign-out", dependencies=[Allows(*EVERYBODY).dependency])
def leave(request: Request, desk: DeskOfRequest) -> Response:
    """End the session."""
    with desk.database.writing() as session:
        sign_out(session, key_of(request))
    answer = RedirectResponse("/sign-in", 303)
    forget_cookie(answer, desk)
    return answer


def local(address: str) -> str:
    r"""An address on this site; anything else leads to the first page.

    Examples
    --------
    >>> local("/deals?stage=Demo"), local("https://evil.example"), local("//evil.example"), local("/\\evil.example")
    ('/deals?stage=Demo', '/', '/', '/')
    """
    inside = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if inside and address.isprintable() else "/"


def _form(request: Request, next: str, email: str = "", problem: str = "", status: int = 200) -> Response:
    token = request.session.setdefault(_FORM_TOKEN, secrets.token_urlsafe(32))
    return render(
        request, None, "sign_in.html", status, form_token=token, next=local(next), email=email, problem=problem
    )
