"""Another password for those who have forgotten theirs: a link by e-mail, which works once and for an hour.

Whoever asks is told the same whether or not the address is known here, and as fast: whether it is, is looked up and the
e-mail sent beside the request.
"""

import contextvars
import logging
import secrets
import smtplib
import ssl
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import urlencode, urlsplit

from pydantic import SecretStr
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session as DatabaseSession

from winpredict.app.audit_log import audit, client_address
from winpredict.app.database import Database
from winpredict.app.networks import network_of
from winpredict.app.people import change_password, hashed_key, now
from winpredict.app.records import PasswordReset, Person, SignInAttempt
from winpredict.app.sign_in_throttle import CrowdedError, Source, write_down_try
from winpredict.app.work_queue import TooMuchWaitingError, WorkQueue
from winpredict.config import App
from winpredict.connectors.secrets import find_secret
from winpredict.errors import ConfigError, WinPredictError
from winpredict.locale.language import Language, current, languages, speaking
from winpredict.locale.text import said, text, texts

SECRET = "smtp_password"
#: Where the link leads.
NEW_PASSWORD = "/password/new"
#: How long a link works, and how often one is sent within an hour: to an address, and asked for from a network address.
LASTS = timedelta(hours=1)
LINKS_A_PERSON, LINKS_AN_ADDRESS = 3, 10
_WITHIN = timedelta(hours=1)
_SECONDS = 20.0
_MOST_WAITING = 50
#: Before signing in nobody is told from others: all share one queue.
_ANYBODY = "anybody"
#: Before the network address, so that these tries do not count as wrong passwords.
_ASKED = "reset "
_log = logging.getLogger(__name__)


class WorthlessLinkError(WinPredictError):
    """A link that was used, is too old, or was made up."""


def resets_by_mail(settings: App) -> bool:
    """Whether people can have a link sent: there is a server for e-mail, and an address for the link to lead to.

    Examples
    --------
    >>> resets_by_mail(App()), resets_by_mail(App(smtp_host="mail.example.com"))
    (False, False)
    >>> resets_by_mail(App(smtp_host="mail.example.com", public_url="https://desk.example.com"))
    True
    """
    return bool(settings.smtp_host and settings.public_url)


class Mailer:
    """The server that sends e-mail for the desk.

    Parameters
    ----------
    settings : App

    Raises
    ------
    ConfigError
        When there is no sender, or a password would cross the network as plain text.
    CRMSignInError
        When there is a user and no secret ``smtp_password``.
    """

    def __init__(self, settings: App) -> None:
        if "@" not in settings.smtp_from:
            raise ConfigError(text("app.smtp_host is set and app.smtp_from is no e-mail address; name the sender"))
        if settings.smtp_user and settings.smtp_security == "none":
            raise ConfigError(
                text(
                    "app.smtp_security is none, so the password of app.smtp_user would be sent as plain text; "
                    "use starttls or tls"
                )
            )
        self.settings = settings
        self._password = find_secret(SECRET) if settings.smtp_user else SecretStr("")

    def send(self, to: str, subject: str, words: str) -> None:
        """Send an e-mail.

        Raises
        ------
        OSError, smtplib.SMTPException
            When the server cannot be reached, or does not take it.
        """
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.settings.smtp_from, to, subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=urlsplit(self.settings.public_url).hostname)
        message["Auto-Submitted"] = "auto-generated"  # no answering machine is to answer
        message.set_content(words)
        with self._connected() as server:
            server.send_message(message)

    def _connected(self) -> smtplib.SMTP:
        host, port, security = self.settings.smtp_host, self.settings.smtp_port, self.settings.smtp_security
        if security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, port, timeout=_SECONDS)
        try:
            if security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if self.settings.smtp_user:
                server.login(self.settings.smtp_user, self._password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server


class Resets:
    """Sends links by which people set another password.

    Parameters
    ----------
    database : Database
    settings : App
    """

    def __init__(self, database: Database, settings: App) -> None:
        self.database, self.settings = database, settings
        self.mailer = Mailer(settings)
        self._queue = WorkQueue(1, "reset", most_a_person=_MOST_WAITING, most=_MOST_WAITING)

    def ask(self, email: str) -> None:
        """Send a link to somebody, if they are known, beside the request.

        Raises
        ------
        CrowdedError
            When too many wait for theirs, whoever they are.
        """
        context = contextvars.copy_context()  # the language of the one who asks, and their address
        try:
            self._queue.submit(_ANYBODY, lambda: context.run(self._try, lambda: self._send(email)))
        except TooMuchWaitingError:
            raise CrowdedError(
                text("very many people ask for a link at this moment; try again in a few minutes")
            ) from None

    def close(self) -> None:
        """Send no more than what is being sent."""
        self._queue.cancel()

    def settle(self) -> None:
        """Wait until everything that was asked for is done."""
        self._queue.join()

    def _try(self, send: Callable[[], None]) -> None:
        try:
            send()
        except (OSError, smtplib.SMTPException, SQLAlchemyError, ValueError) as error:
            # never what it says: it may hold the address, and what was sent
            _log.warning("a link to reset a password could not be sent: %s", type(error).__name__)

    def _send(self, email: str) -> None:
        asked = email.strip().lower()[:320]
        with self.database.writing() as session:
            if not _may_ask(session, asked):
                return
            person = session.scalar(select(Person).where(Person.email == asked, Person.active))
            if person is None or person.password_hash is None:
                return
            key = make_reset(session, person)
        language = Language(person.language) if person.language in languages() else current()
        link = f"{self.settings.public_url.rstrip('/')}{NEW_PASSWORD}?{urlencode({'key': key})}"
        self.mailer.send(person.email, *_worded(person, link, self.settings.public_url, language))


def make_reset(session: DatabaseSession, person: Person) -> str:
    """The key of a new link for somebody; only its hash is stored, and earlier links stay for as long as they last."""
    key, moment = secrets.token_urlsafe(32), now()
    session.execute(delete(PasswordReset).where(PasswordReset.expires_at < moment - LASTS))
    row = PasswordReset(key_hash=hashed_key(key), person_id=person.id, created_at=moment, expires_at=moment + LASTS)
    session.add(row)
    audit(session, None, "password reset asked for", person.email, {})
    return key


def person_of_reset(session: DatabaseSession, key: str) -> Person:
    """Whose link it is, if it still works.

    Raises
    ------
    WorthlessLinkError
    """
    found = session.get(PasswordReset, hashed_key(key)) if key else None
    if (
        found is None
        or found.used_at is not None
        or found.expires_at <= now()
        or not found.person.active
        or found.person.password_hash is None
    ):
        raise WorthlessLinkError(text("this link was used before or is too old; ask for a new one"))
    return found.person


def use_reset(session: DatabaseSession, key: str, password: str, source: Callable[[str], Source]) -> Person:
    """Set the password of whose link it is; their sessions end, their keys are revoked, and no link of theirs works.

    Parameters
    ----------
    session : DatabaseSession
        A writing one: nobody else uses the link meanwhile.
    key : str
    password : str
    source : callable
        From where it is used, for a person's address: wrong passwords tried from there before are forgiven.

    Raises
    ------
    WorthlessLinkError
    WinPredictError
        When the password is too short, too long or easy to guess; the link still works.
    """
    person = person_of_reset(session, key)
    change_password(session, person, password, person, keys_too=True)
    write_down_try(session, person.email, source(person.email).name, succeeded=True)
    return person


def _may_ask(session: DatabaseSession, email: str) -> bool:
    """Whether a link may be asked for once more; written down as a try that is not a wrong password."""
    place = f"{_ASKED}{network_of(client_address())}"
    recent = (SignInAttempt.at > now() - _WITHIN, SignInAttempt.address.like(f"{_ASKED}%"))
    counted = select(func.count()).where(*recent)
    of_person = session.scalar(counted.where(SignInAttempt.email == email)) or 0
    of_place = session.scalar(counted.where(SignInAttempt.address == place)) or 0
    if of_person >= LINKS_A_PERSON or of_place >= LINKS_AN_ADDRESS:
        return False
    write_down_try(session, email, place, succeeded=True)
    return True


def _worded(person: Person, link: str, desk: str, language: Language) -> tuple[str, str]:
    """Subject and words of the e-mail."""
    minutes = round(LASTS.total_seconds() / 60)
    parts = [
        text("Hello {name},", name=person.name),
        text(
            "Somebody, probably you, has asked for a new password for {email} on the win desk at {desk}. To choose "
            "one, open this link:",
            email=person.email,
            desk=desk,
        ),
        link,
        texts(
            "It works once, for {n:count} minute. It signs you out everywhere and revokes your API keys.",
            "It works once, within {n:count} minutes. It signs you out everywhere and revokes your API keys.",
            n=minutes,
        ),
        text("If it was not you, ignore this e-mail: your password stays as it is."),
    ]
    with speaking(language):
        return said("A new password for winpredict"), "\n\n".join(map(str, parts)) + "\n"
