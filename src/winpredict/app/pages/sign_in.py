"""Signing in and out with a password."""

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from winpredict.app.identity import EVERYBODY, Allows, DeskOfRequest, cookie_name, set_cookie, unsigned
from winpredict.app.pages.rendering import render
from winpredict.app.people import (
    AppSignInError,
    TooManyTriesError,
    check_password,
    keep_attempt,
    sign_in,
    sign_out,
)

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
    with desk.database.writing() as session:
        try:
            person = check_password(session, email, password, address)
        except AppSignInError as error:
            if not isinstance(error, TooManyTriesError):
                keep_attempt(session, email, address, succeeded=False)
            status = 429 if isinstance(error, TooManyTriesError) else 401
            told = str(error)
        else:
            keep_attempt(session, email, address, succeeded=True)
            signed = sign_in(session, person, desk.config.app.session_hours)
            told, status = "", 303
    if told:
        return _form(request, next, email, f"{told[0].upper()}{told[1:]}.", status)
    request.session.clear()
    answer = RedirectResponse(local(next), 303)
    set_cookie(answer, desk, signed.key)
    return answer


@router.post("/sign-out", dependencies=[Allows(*EVERYBODY).dependency])
def leave(request: Request, desk: DeskOfRequest) -> Response:
    """End the session."""
    with desk.database.writing() as session:
        sign_out(session, unsigned(desk, request.cookies.get(cookie_name(desk), "")))
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(cookie_name(desk), path="/")
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
