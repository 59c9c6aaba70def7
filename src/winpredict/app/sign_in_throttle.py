"""Passwords checked, and guessing them slowed down without letting a stranger shut anybody out.

Tries are counted by who makes them. A browser in which a person has signed in before carries a cookie that says so
(after OWASP's device cookies), and has tries of its own for that person: whoever guesses from elsewhere uses up none
of them. From everywhere else there are few tries an address and person, more an address, and more a person.
"""

import asyncio
import hmac
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Any, cast

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.database import Database
from winpredict.app.networks import network_of
from winpredict.app.passwords import LONGEST_PASSWORD, password_hasher
from winpredict.app.people import now
from winpredict.app.records import Person, SignInAttempt
from winpredict.errors import WinPredictError
from winpredict.locale.text import text

WINDOW = timedelta(minutes=15)
#: Wrong passwords within the window: of one source for one person, of one address for anybody, and for one person from
#: all addresses that the person never signed in from.
TRIES_A_PAIR, TRIES_AN_ADDRESS, TRIES_A_PERSON = 5, 60, 50
_KNOWN_BROWSER = "browser "
_MAX_WAITING = 50


class AppSignInError(WinPredictError):
    """Signing in failed; the message does not tell whether the person exists."""


class TooManyTriesError(AppSignInError):
    """Somebody guesses, and has to wait."""


class CrowdedError(AppSignInError):
    """So many sign in at this moment that one more would wait for too long."""


@dataclass(frozen=True)
class Source:
    """Where a try comes from.

    Parameters
    ----------
    name : str
        As tries are counted by it.
    """

    name: str

    @property
    def is_known(self) -> bool:
        """Whether the person has signed in there before."""
        return self.name.startswith(_KNOWN_BROWSER)

    @classmethod
    def of(cls, address: str, email: str, cookie: str, signing_key: str) -> "Source":
        """The browser that a person is known by, else the network address.

        Parameters
        ----------
        address : str
            Of IPv6 the first half counts: the other half is the asker's to choose.
        email : str
        cookie : str
            Of `known_browser`; one of somebody else or made up counts as none.
        signing_key : str

        Examples
        --------
        >>> Source.of("2001:db8::1", "ann@example.com", "", "key").name
        '2001:db8::/64'
        >>> cookie = known_browser("ann@example.com", "key")
        >>> Source.of("10.0.0.1", "ann@example.com", cookie, "key").is_known
        True
        >>> Source.of("10.0.0.1", "bob@example.com", cookie, "key").is_known
        False
        """
        name, _, signature = cookie.partition(".")
        if name and hmac.compare_digest(signature.encode(), _signature(name, email, signing_key).encode()):
            return cls(_KNOWN_BROWSER + sha256(name.encode()).hexdigest()[:40])
        return cls(network_of(address))


def known_browser(email: str, signing_key: str) -> str:
    """The value of a cookie by which a browser is known as one in which a person has signed in."""
    name = secrets.token_urlsafe(24)
    return f"{name}.{_signature(name, email, signing_key)}"


class Queue:
    """Passwords that are checked a few at a time, in threads of their own.

    A check takes 64 MB and a tenth of a second of several cores: many at once would take the machine's memory, and
    those that wait for their turn would take all threads that answer other requests.

    Parameters
    ----------
    at_once : int
    most_waiting : int
        How many may be there at all; further ones are refused.
    """

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="password")
        self._places = threading.BoundedSemaphore(most_waiting)

    async def take(self, check: Callable[[], Person]) -> Person:
        """The person that a check finds, once it had its turn.

        Raises
        ------
        CrowdedError
            When too many wait.
        """
        if not self._places.acquire(blocking=False):
            raise CrowdedError(text("very many people sign in at this moment; try again in a few seconds"))
        turn = self._threads.submit(check)
        turn.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(turn)


#: Known browsers have a queue of their own: no crowd of strangers stands before those who work here.
_KNOWN, _STRANGERS = Queue(1, _MAX_WAITING), Queue(2, _MAX_WAITING)


async def check_in_turn(database: Database, email: str, password: str, source: Source) -> Person:
    """What `check_password` finds, without keeping other requests waiting; arguments and further errors as it has them.

    Raises
    ------
    CrowdedError
        When very many sign in at the moment.
    """
    queue = _KNOWN if source.is_known else _STRANGERS
    return await queue.take(lambda: check_password(database, email, password, source))


def check_password(database: Database, email: str, password: str, source: Source) -> Person:
    """The person whose password this is.

    Parameters
    ----------
    database : Database
    email, password : str
    source : Source

    Raises
    ------
    TooManyTriesError
        After too many wrong passwords within a quarter of an hour.
    AppSignInError
        When it is not, or the person is inactive or unknown.

    Notes
    -----
    The try is written down as a failure before the password is looked at, so that no number of tries at once goes
    beyond the limit; the look itself, which takes long, holds no lock.
    """
    asked = _normal(email)
    with database.writing() as session:
        if _too_many(session, asked, source):
            raise TooManyTriesError(text("too many wrong passwords; wait a quarter of an hour, or ask your admin"))
        attempt = write_down_try(session, asked, source.name, succeeded=False)
        person = session.scalar(select(Person).where(Person.email == asked, Person.active))
    stored = None if person is None else person.password_hash
    right, better = _verify(password, stored)
    if person is None or not right:
        raise AppSignInError(text("that e-mail address and password do not belong together"))
    with database.writing() as session:
        kept = session.get(SignInAttempt, attempt)
        if kept is not None:
            kept.succeeded = True
        person = session.get(Person, person.id)
        # deactivated, or given another password, while this one was looked at
        if person is None or not person.active or person.password_hash != stored:
            raise AppSignInError(text("that e-mail address and password do not belong together"))
        if better is not None:
            person.password_hash = better
        return person


def _verify(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether a password is right, and a hash by today's parameters if the stored one is by others."""
    from pwdlib.exceptions import PwdlibError

    if len(password) > LONGEST_PASSWORD:
        return False, None
    try:
        # an unknown person, or one without a password, costs the same time as another
        right, better = password_hasher().verify_and_update(password, stored or nobodys_hash())
    except PwdlibError:  # a hash that nobody can read belongs to no password
        return False, None
    return right and stored is not None, better


def _too_many(session: DatabaseSession, email: str, source: Source) -> bool:
    of_email, of_source = SignInAttempt.email == email, SignInAttempt.address == source.name
    # signing in clears only what one has got wrong oneself: else one account would buy tries at all others
    if _failures(session, of_email, of_source, since_right=True) >= TRIES_A_PAIR:
        return True
    if source.is_known:
        return False
    strange = SignInAttempt.address.not_like(f"{_KNOWN_BROWSER}%")
    return _failures(session, of_source) >= TRIES_AN_ADDRESS or _failures(session, of_email, strange) >= TRIES_A_PERSON


def _failures(session: DatabaseSession, *of: Any, since_right: bool = False) -> int:
    recent = (*of, SignInAttempt.at > now() - WINDOW)
    wrong = select(func.count()).where(*recent, ~SignInAttempt.succeeded)
    if since_right:
        last = select(func.max(SignInAttempt.id)).where(*recent, SignInAttempt.succeeded).scalar_subquery()
        wrong = wrong.where(SignInAttempt.id > func.coalesce(last, 0))
    return cast("int", session.scalar(wrong))


def write_down_try(session: DatabaseSession, email: str, place: str, *, succeeded: bool) -> int:
    """Write a try down; those of more than an hour ago are forgotten.

    Parameters
    ----------
    session : DatabaseSession
    email : str
    place : str
        As tries are counted by it, such as `Source.name`.
    succeeded : bool
        One that did counts the former ones of that place and person for nothing.
    """
    moment = now()
    session.execute(delete(SignInAttempt).where(SignInAttempt.at < moment - 4 * WINDOW))
    attempt = SignInAttempt(email=email, address=place, at=moment, succeeded=succeeded)
    session.add(attempt)
    session.flush()
    return attempt.id


def _normal(email: str) -> str:
    return email.strip().lower()[:320]


def _signature(name: str, email: str, signing_key: str) -> str:
    return hmac.new(signing_key.encode(), f"known browser {name} {_normal(email)}".encode(), sha256).hexdigest()


@cache
def nobodys_hash() -> str:
    """A hash that no password belongs to."""
    return password_hasher().hash(secrets.token_urlsafe(16))
