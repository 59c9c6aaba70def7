"""Who asks: a signed-in browser or a program with a key, and whether they may ask this."""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from winpredict.app.desk import Desk
from winpredict.app.language import speak_to
from winpredict.app.people import session_of, token_of
from winpredict.app.records import Person, Role, Session
from winpredict.app.turns import asked_by, look_up
from winpredict.locale.text import said

#: __Host- makes browsers refuse the cookie from a sub-domain or without TLS; plain on loopback without TLS.
COOKIE, VISIT_COOKIE, BROWSER_COOKIE = "wp_session", "wp_visit", "wp_browser"
_HOST_ONLY = "__Host-"
_BROWSER_DAYS = 365
CSRF_FIELD, CSRF_HEADER = "csrf_token", "x-csrf-token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
EVERYBODY = tuple(Role)
WITH_DEALS = (Role.REP, Role.MANAGER, Role.SCIENTIST)


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    person : Person
    session : Session or None
        None for a program.
    scopes : frozenset of str
        What a program's key allows.
    key_id : int or None
        Of the program's key; None for a browser.
    """

    person: Person
    session: Session | None = None
    scopes: frozenset[str] = frozenset()
    key_id: int | None = None

    @property
    def must_change_password(self) -> bool:
        """Whether the caller has to change a password that somebody else set before anything else."""
        return self.session is not None and self.session.must_change_password


class NotSignedInError(Exception):
    """A page was asked for without a session: the browser is sent to the sign-in page."""


class PasswordMustChangeError(Exception):
    """A page was asked for before a given password was changed: the browser is sent to the page that changes it."""


def desk_of(request: Request) -> Desk:
    """The desk that an application serves."""
    desk: Desk = request.app.state.desk
    return desk


async def _desk_of_request(request: Request) -> Desk:
    """`desk_of`, on the event loop: what is no coroutine would wait for a thread first, for every request."""
    return desk_of(request)


DeskOfRequest = Annotated[Desk, Depends(_desk_of_request)]


class Allows:
    """A dependency that every route has: who may ask it.

    Parameters
    ----------
    *roles : Role
    scope : str
        What a program's key must allow; empty for pages, which take no keys.
    before_change : bool, default False
        Whether this may be asked before the caller has changed a password that somebody else set.

    Notes
    -----
    A request that changes something and comes with a cookie must carry the session's CSRF token, as the form field
    ``csrf_token`` or the header ``X-CSRF-Token``.
    """

    def __init__(self, *roles: Role, scope: str = "", before_change: bool = False) -> None:
        self.roles, self.scope, self.before_change = roles, scope, before_change

    @property
    def dependency(self) -> Any:
        """For routes that only need to know that the caller may."""
        return Depends(self)

    async def __call__(self, request: Request) -> Caller:
        """The caller, if they may.

        Raises
        ------
        NotSignedInError
            On a page without a session.
        PasswordMustChangeError
            On a page before a given password was changed.
        HTTPException
            401 without or with a wrong key, 403 for another role, a key without the scope, a wrong CSRF token, or
            before a given password was changed.
        """
        caller = await look_up(lambda: _caller(request, takes_keys=bool(self.scope)))
        if caller is None:
            if self.scope:
                detail = said("sign in, or send a key: {header}", header="Authorization: Bearer wp_...")
                raise HTTPException(401, detail, _CHALLENGE)
            raise NotSignedInError
        request.state.caller = caller  # for error pages, which keep the navigation, and for ETags
        asked_by(caller.person.id)
        speak_to(request, caller.person, desk_of(request).config)
        if caller.session is not None and request.method not in SAFE_METHODS:
            await _check_csrf(request, caller.session)
        if caller.must_change_password and not self.before_change:
            if self.scope:
                raise HTTPException(403, said("change your password first: sign in to the win desk with a browser"))
            raise PasswordMustChangeError
        if caller.session is None and self.scope not in caller.scopes:
            raise HTTPException(403, said("this key does not allow {scope}; create one that does", scope=self.scope))
        if caller.person.role not in self.roles:
            raise HTTPException(403, said("your role does not allow this; ask your administrator"))
        return caller


#: Whoever is signed in, for pages that are everybody's.
Anybody = Annotated[Caller, Depends(Allows(*EVERYBODY))]
#: The same, also before they have changed a password that somebody else set.
AnybodyYet = Annotated[Caller, Depends(Allows(*EVERYBODY, before_change=True))]
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def _caller(request: Request, *, takes_keys: bool) -> Caller | None:
    desk = desk_of(request)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    with desk.database.reading() as session:
        if takes_keys and scheme.lower() == "bearer":
            token = token_of(session, key.strip())
            return None if token is None else Caller(token.person, None, frozenset(token.scopes), token.id)
        cookie = key_of(request)
        found = None if not cookie else session_of(session, cookie, idle_time(desk))
    if found is None:
        return None
    desk.notes.seen(found)
    return Caller(found.person, found)


def idle_time(desk: Desk) -> timedelta:
    """How long a session lasts without a request."""
    return timedelta(minutes=desk.config.app.idle_minutes)


async def _check_csrf(request: Request, session: Session) -> None:
    told: Any = request.headers.get(CSRF_HEADER)
    if told is None and "form" in request.headers.get("content-type", ""):
        told = (await request.form()).get(CSRF_FIELD)
    if not isinstance(told, str) or not hmac.compare_digest(told.encode(), session.csrf_token.encode()):
        raise HTTPException(403, said("this form is out of date; go back, reload the page and try again"))


def over_tls(desk: Desk) -> bool:
    """Whether browsers come by TLS."""
    return desk.config.app.public_url.startswith("https://")


def cookie_name(desk: Desk, name: str = COOKIE) -> str:
    """The name of a cookie of ours; by default the session's."""
    return f"{_HOST_ONLY}{name}" if over_tls(desk) else name


def set_cookie(response: Response, desk: Desk, key: str) -> None:
    """Give a browser the key of its session."""
    _set(response, desk, COOKIE, signed(desk, key), round(desk.config.app.session_hours * 3600))


def remember_browser(response: Response, desk: Desk, value: str) -> None:
    """Let a browser be known as one in which a person has signed in; see `winpredict.app.sign_in_throttle`."""
    _set(response, desk, BROWSER_COOKIE, value, _BROWSER_DAYS * 86_400)


def forget_cookie(response: Response, desk: Desk) -> None:
    """Take the key of its session from a browser."""
    response.delete_cookie(cookie_name(desk), path="/", secure=over_tls(desk), httponly=True, samesite="lax")


def key_of(request: Request) -> str:
    """The key of the session that a browser says it has; empty without one, and where it is made up."""
    desk = desk_of(request)
    return unsigned(desk, request.cookies.get(cookie_name(desk), ""))


def _set(response: Response, desk: Desk, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(desk, name), value, max_age=seconds, httponly=True, samesite="lax", secure=over_tls(desk), path="/"
    )


def signed(desk: Desk, key: str) -> str:
    """A key with a signature, so that a made-up one costs no look into the database."""
    return f"{key}.{_signature(desk, key)}"


def unsigned(desk: Desk, cookie: str) -> str:
    """The key in a cookie; empty where the signature is wrong."""
    key, _, signature = cookie.rpartition(".")
    return key if hmac.compare_digest(signature.encode(), _signature(desk, key).encode()) else ""


def _signature(desk: Desk, key: str) -> str:
    return hmac.new(desk.signing_key.encode(), f"session {key}".encode(), sha256).hexdigest()
