"""Signing in, with a password or a company's account, and out."""

import hmac
import secrets
from typing import Annotated

from fastapi import Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from winpredict.app.desk import Desk
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
from winpredict.app.openid import CALLBACK, Identity, Provider, ProviderDownError, person_of
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.people import sign_in, sign_out
from winpredict.app.records import Person
from winpredict.app.sign_in_throttle import (
    AppSignInError,
    CrowdedError,
    Source,
    TooManyTriesError,
    check_in_turn,
    known_browser,
)
from winpredict.app.turns import PageRouter
from winpredict.errors import WinPredictError
from winpredict.locale.text import said

router = PageRouter()
_FORM_TOKEN, _NEXT = "form", "next"
#: Of answers to those who could not be let in, where it is not that of a wrong password.
STATUS: dict[type[WinPredictError], int] = {TooManyTriesError: 429, CrowdedError: 503, ProviderDownError: 503}


@router.get("/sign-in")
def form(request: Request, next: str = "/") -> Response:
    """The form."""
    return _form(request, next)


@router.post("/sign-in")
async def submit(
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
        return _form(request, next, email, said("This form was open for too long. Please try again."), 403)
    source = source_of(request, desk, email)
    try:
        person = await check_in_turn(desk.database, email, password, source)
    except AppSignInError as error:
        return _refused(request, next, email, error)
    answer = await run_in_threadpool(welcome, request, desk, person, next)
    if not source.is_known:
        remember_browser(answer, desk, known_browser(email, desk.signing_key))
    return answer


def source_of(request: Request, desk: Desk, email: str) -> Source:
    """Where a password comes from that is said to be somebody's."""
    address = request.client.host if request.client else ""
    browser = request.cookies.get(cookie_name(desk, BROWSER_COOKIE), "")
    return Source.of(address, email, browser, desk.signing_key)


@router.get("/sign-in/oidc")
async def to_provider(request: Request, next: str = "/") -> Response:
    """Send the browser to the company's OpenID provider."""
    provider = _provider(request)
    request.session[_NEXT] = local(next)
    try:
        return await provider.send(request)
    except AppSignInError as error:
        return _refused(request, next, "", error)


@router.get(CALLBACK)
async def from_provider(request: Request, desk: DeskOfRequest) -> Response:
    """Take back a browser from the provider, which has said who is there."""
    provider, next = _provider(request), str(request.session.get(_NEXT, "/"))
    try:
        identity = await provider.identity(request)
        person = await run_in_threadpool(_person_of, desk, identity)
    except AppSignInError as error:
        return _refused(request, next, "", error)
    return await run_in_threadpool(welcome, request, desk, person, next)


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.openid
    if provider is None:
        raise HTTPException(404, said("signing in with a company account is not set up here"))
    return provider


def _person_of(desk: Desk, identity: Identity) -> Person:
    with desk.database.writing() as session:
        return person_of(session, identity)


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


def _refused(request: Request, next: str, email: str, error: AppSignInError) -> Response:
    return _form(request, next, email, sentence(error), STATUS.get(type(error), 401))


def _form(request: Request, next: str, email: str = "", problem: str = "", status: int = 200) -> Response:
    token = request.session.setdefault(_FORM_TOKEN, secrets.token_urlsafe(32))
    return render(
        request, None, "sign_in.html", status, form_token=token, next=local(next), email=email, problem=problem
    )
