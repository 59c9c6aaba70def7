"""Signing in, with a password or a company's account, and out."""

import hmac
import secrets
from typing import Annotated

from fastapi import Form, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from winpredict.app.audit_log import audit, audit_failure, client_address
from winpredict.app.browsers import browser_name
from winpredict.app.desk import Desk
from winpredict.app.identity import (
    BROWSER_COOKIE,
    AnybodyYet,
    DeskOfRequest,
    cookie_name,
    desk_of,
    forget_cookie,
    key_of,
    remember_browser,
    set_cookie,
)
from winpredict.app.openid import CALLBACK, Identity, Provider, ProviderDownError, person_of
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.password_reset import resets_by_mail
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
_COMPANY_ACCOUNT = "company account"
#: Of answers to those who could not be let in, where it is not that of a wrong password.
STATUS: dict[type[WinPredictError], int] = {TooManyTriesError: 429, CrowdedError: 503, ProviderDownError: 503}


@router.get("/sign-in")
def form(request: Request, next: str = "/", done: Annotated[str, Query(max_length=20)] = "") -> Response:
    """The form."""
    return _form(request, next, done=done)


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
    if not is_from_form(request, csrf_token):
        return _form(request, next, email, said("This form was open for too long. Please try again."), 403)
    source = source_of(request, desk, email)
    try:
        person = await check_in_turn(desk.database, email, password, source)
    except AppSignInError as error:
        await run_in_threadpool(record_failure, desk, email, error)
        return _refused(request, next, email, error)
    answer = await run_in_threadpool(welcome, request, desk, person, next)
    if not source.is_known:
        remember_browser(answer, desk, known_browser(email, desk.signing_key))
    return answer


def source_of(request: Request, desk: Desk, email: str) -> Source:
    """Where a password comes from that is said to be somebody's."""
    address = client_address()
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
    provider, next, email = _provider(request), str(request.session.get(_NEXT, "/")), ""
    try:
        identity = await provider.identity(request)
        email = identity.email
        person = await run_in_threadpool(_person_of, desk, identity)
    except AppSignInError as error:
        await run_in_threadpool(record_failure, desk, email or _COMPANY_ACCOUNT, error)
        return _refused(request, next, "", error)
    return await run_in_threadpool(welcome, request, desk, person, next, by_password=False)


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.openid
    if provider is None:
        raise HTTPException(404, said("signing in with a company account is not set up here"))
    return provider


def _person_of(desk: Desk, identity: Identity) -> Person:
    with desk.database.writing() as session:
        return person_of(session, identity)


def welcome(request: Request, desk: Desk, person: Person, next: str, *, by_password: bool = True) -> Response:
    """Give the browser of somebody who has shown who they are a session with a new key; its former one ends."""
    browser = browser_name(request.headers.get("user-agent", ""))
    with desk.database.writing() as session:
        sign_out(session, key_of(request))
        signed = sign_in(session, person, desk.config.app.session_hours, browser=browser, by_password=by_password)
    request.session.clear()
    answer = RedirectResponse(local(next), 303)
    set_cookie(answer, desk, signed.key)
    return answer


def record_failure(desk: Desk, email: str, error: AppSignInError) -> None:
    """Write down that somebody could not sign in, unless nobody has looked at what they sent."""
    if isinstance(error, CrowdedError | ProviderDownError):
        return
    with desk.database.writing() as session:
        audit_failure(session, email, waits=isinstance(error, TooManyTriesError))


@router.post("/sign-out")
def leave(request: Request, desk: DeskOfRequest, caller: AnybodyYet) -> Response:
    """End the session."""
    with desk.database.writing() as session:
        sign_out(session, key_of(request))
        audit(session, caller.person, "signed out", caller.person.email, {})
    return signed_out(desk)


def signed_out(desk: Desk) -> Response:
    """Send a browser whose session has ended to the sign-in page."""
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


def form_token(request: Request) -> str:
    """The token of a form that is there for those who are not signed in."""
    token: str = request.session.setdefault(_FORM_TOKEN, secrets.token_urlsafe(32))
    return token


def is_from_form(request: Request, token: str) -> bool:
    """Whether what was sent comes from a form of ours that this browser was shown."""
    expected = str(request.session.get(_FORM_TOKEN, ""))
    return bool(expected) and hmac.compare_digest(token.encode(), expected.encode())


def _form(
    request: Request, next: str, email: str = "", problem: str = "", status: int = 200, *, done: str = ""
) -> Response:
    return render(
        request,
        None,
        "sign_in.html",
        status,
        form_token=form_token(request),
        next=local(next),
        email=email,
        problem=problem,
        done=done,
        resets=resets_by_mail(desk_of(request).config.app),
    )
