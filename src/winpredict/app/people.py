"""People, their sign-in, their sessions and their keys for programs."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import joinedload

from winpredict.app.audit_log import audit, client_address
from winpredict.app.passwords import hash_password
from winpredict.app.records import ApiToken, CrmUser, PasswordReset, Person, Role, Session
from winpredict.errors import WinPredictError
from winpredict.locale.language import languages
from winpredict.locale.text import text

#: What a key for programs may be used for.
SCOPES = ("read", "score", "models", "metrics")
# with the person at once, and put together once: programs ask often
_TOKEN = select(ApiToken).where(ApiToken.key_hash == bindparam("key_hash")).options(joinedload(ApiToken.person))


@dataclass(frozen=True)
class SignedIn:
    """A new session.

    Parameters
    ----------
    key : str
        What the cookie holds; only its hash is stored.
    session : Session
    """

    key: str
    session: Session


def add_person(
    session: DatabaseSession,
    email: str,
    name: str,
    role: Role,
    *,
    password: str | None = None,
    crm_user_id: str | None = None,
    by: Person | None = None,
    must_change: bool = False,
) -> Person:
    """Add somebody who may sign in.

    Parameters
    ----------
    session : DatabaseSession
    email, name : str
    role : Role
    password : str, optional
        None for those who sign in elsewhere.
    crm_user_id : str, optional
        Who they are in the CRM.
    by : Person, optional
        None for the command line.
    must_change : bool, default False
        Whether somebody else chose the password, so that the person has to take another one when they sign in.

    Raises
    ------
    WinPredictError
        When the address is taken or none, or the password too short or easy to guess.
    """
    address = normal_email(email)
    if session.scalar(select(Person.id).where(Person.email == address)) is not None:
        raise WinPredictError(text("{address} is there already; change that person instead", address=address))
    hashed = None if password is None else hash_password(password, address, name)
    person = Person(
        email=address,
        name=name.strip() or address,
        role=Role(role),
        crm_user_id=crm_user_id or None,
        password_hash=hashed,
        password_must_change=must_change and hashed is not None,
        created_at=now(),
    )
    session.add(person)
    session.flush()
    audit(session, by, "person added", address, {"role": str(role)})
    return person


def has_admin(session: DatabaseSession) -> bool:
    """Whether somebody may add the others."""
    return session.scalar(select(Person.id).where(Person.role == Role.ADMIN, Person.active).limit(1)) is not None


def knows_user(session: DatabaseSession, user_id: str) -> bool:
    """Whether a user is one of the CRM's, as far as can be told: before the first publishing any may be."""
    is_published = session.scalar(select(CrmUser.user_id).limit(1)) is not None
    return not is_published or session.get(CrmUser, user_id) is not None


def normal_email(email: str) -> str:
    """An address as it is stored.

    Raises
    ------
    WinPredictError
        When it is none.

    Examples
    --------
    >>> normal_email(" Ann@Example.com ")
    'ann@example.com'
    """
    address = email.strip().lower()
    name, at, host = address.rpartition("@")
    if not (name and at and "." in host) or any(letter.isspace() for letter in address) or len(address) > 320:
        raise WinPredictError(text("that is no e-mail address; write it as ann@example.com"))
    return address


def sign_in(
    session: DatabaseSession, person: Person, hours: float, *, browser: str = "", by_password: bool = True
) -> SignedIn:
    """A new session of a person; its key was never used before, so that none can be planted (session fixation).

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    hours : float
        How long it lasts at most.
    browser : str
        What it is in the list of the person's sessions.
    by_password : bool, default True
        Whether they came with their password, and not with their company's account.
    """
    moment = now()
    session.execute(delete(Session).where(Session.expires_at < moment))
    key = secrets.token_urlsafe(32)
    signed = Session(
        key_hash=hashed_key(key),
        person_id=person.id,
        csrf_token=secrets.token_urlsafe(32),
        created_at=moment,
        expires_at=moment + timedelta(hours=hours),
        last_seen_at=moment,
        browser=browser[:200],
        address=client_address(),
        by_password=by_password,
    )
    session.add(signed)
    audit(session, person, "signed in", person.email, {"browser": signed.browser} if browser else {})
    return SignedIn(key, signed)


def session_of(session: DatabaseSession, key: str, idle: timedelta) -> Session | None:
    """The session that a cookie's key belongs to, if it lasts, was used lately and its person is active.

    Parameters
    ----------
    session : DatabaseSession
    key : str
    idle : timedelta
        How long a session lasts without a request.
    """
    found = session.get(Session, hashed_key(key))
    if found is None or not _lasts(found, idle) or not found.person.active:
        return None
    return found


def sessions_of(session: DatabaseSession, person: Person, idle: timedelta) -> list[Session]:
    """Where a person is signed in, the last used first."""
    wanted = select(Session).where(Session.person_id == person.id).order_by(Session.last_seen_at.desc())
    return [each for each in session.scalars(wanted) if _lasts(each, idle)]


def _lasts(session: Session, idle: timedelta) -> bool:
    moment = now()
    return session.expires_at > moment and session.last_seen_at + idle > moment


def sign_out(session: DatabaseSession, key: str) -> None:
    """End a session."""
    session.execute(delete(Session).where(Session.key_hash == hashed_key(key)))


def make_token(
    session: DatabaseSession, person: Person, name: str, scopes: Sequence[str], *, days: float | None = 365.0
) -> tuple[str, ApiToken]:
    """A key for programs, which is shown once.

    Raises
    ------
    WinPredictError
        When a scope is unknown, or none is named.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise WinPredictError(
            text(
                "a key has scopes of {scopes}; not {unknown}",
                scopes=", ".join(SCOPES),
                unknown=", ".join(unknown) or text("none"),
            )
        )
    key = f"wp_{secrets.token_urlsafe(32)}"
    token = ApiToken(
        person_id=person.id,
        name=name.strip()[:200] or "key",
        key_hash=hashed_key(key),
        scopes=sorted(set(scopes)),
        created_at=now(),
        expires_at=None if days is None else now() + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    audit(session, person, "key made", token.name, {"scopes": token.scopes})
    return key, token


def token_of(session: DatabaseSession, key: str) -> ApiToken | None:
    """The token that a key belongs to, if it was not revoked, has not expired and its person is active."""
    found = session.scalar(_TOKEN, {"key_hash": hashed_key(key)})
    if found is None or found.revoked_at is not None or not found.person.active:
        return None
    return None if found.expires_at is not None and found.expires_at <= now() else found


def revoke_token(session: DatabaseSession, token: ApiToken, by: Person) -> None:
    """Make a key worthless from now on."""
    token.revoked_at = now()
    audit(session, by, "key revoked", token.name, {})


def deactivate(session: DatabaseSession, person: Person, by: Person | None) -> None:
    """Shut somebody out at once: sessions end, and keys are revoked, so that none comes back with the person.

    Raises
    ------
    WinPredictError
        When somebody shuts themselves out, or the last admin is shut out.
    """
    if by is not None and by.id == person.id:
        raise WinPredictError(text("nobody shuts themselves out; ask another admin"))
    _keep_an_admin(session, person)
    person.active = False
    sign_out_everywhere(session, person)
    end_resets(session, person)
    _revoke_all_tokens(session, person)
    audit(session, by, "person deactivated", person.email, {})


def reactivate(session: DatabaseSession, person: Person, by: Person | None) -> None:
    """Let somebody in again; keys are to be made anew."""
    person.active = True
    audit(session, by, "person reactivated", person.email, {})


def change_role(
    session: DatabaseSession, person: Person, role: Role, by: Person | None, *, crm_user_id: str | None = None
) -> None:
    """Make somebody something else; they sign in again and make keys anew, so that nothing of the former role is left.

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    role : Role
    by : Person or None
        None for the command line.
    crm_user_id : str, optional
        Who they are in the CRM from now on.

    Raises
    ------
    WinPredictError
        When somebody changes their own role, the last admin is to become something else, or the role is unknown.
    """
    if by is not None and by.id == person.id:
        raise WinPredictError(text("nobody changes their own role; ask another admin"))
    if role not in list(Role):
        raise WinPredictError(text("{role} is no role; there are {roles}", role=role, roles=", ".join(Role)))
    if role != Role.ADMIN:
        _keep_an_admin(session, person)
    details = {"role": [str(person.role), str(role)], "crm_user_id": [person.crm_user_id, crm_user_id]}
    person.role, person.crm_user_id = Role(role), crm_user_id or None
    sign_out_everywhere(session, person)
    _revoke_all_tokens(session, person)
    audit(session, by, "role changed", person.email, details)


def change_password(
    session: DatabaseSession,
    person: Person,
    password: str,
    by: Person | None,
    *,
    keys_too: bool = False,
    must_change: bool | None = None,
) -> None:
    """Give somebody another password; whoever is signed in by the former one no longer is, and links to reset it end.

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    password : str
    by : Person or None
        None for the command line.
    keys_too : bool, default False
        Revoke their keys for programs: somebody else may have made them, if the former password was known to others.
    must_change : bool, optional
        Whether they have to take another one when they sign in; by default if somebody else has set this one.

    Raises
    ------
    WinPredictError
        When it is too short, too long or easy to guess.
    """
    person.password_hash = hash_password(password, person.email, person.name)
    person.password_must_change = (by is None or by.id != person.id) if must_change is None else must_change
    sign_out_everywhere(session, person)
    end_resets(session, person)
    if keys_too:
        _revoke_all_tokens(session, person)
    audit(session, by, "password changed", person.email, {"keys": "revoked"} if keys_too else {})


def change_language(session: DatabaseSession, person: Person, language: str | None, by: Person | None) -> None:
    """Speak to somebody in another language from now on.

    Parameters
    ----------
    session : DatabaseSession
    person : Person
    language : str or None
        One of `winpredict.locale.language.languages`; None for that of their browser.
    by : Person or None
        None for the command line.

    Raises
    ------
    WinPredictError
        When nothing is translated into that language.
    """
    if language is not None and language not in languages():
        raise WinPredictError(
            text(
                "unknown language {language}; choose one of {languages}",
                language=language,
                languages=", ".join(languages()),
            )
        )
    before, person.language = person.language, language
    audit(session, by, "language changed", person.email, {"language": [before, person.language]})


def _keep_an_admin(session: DatabaseSession, person: Person) -> None:
    """Refuse to lose the last admin: nobody could let anybody in any more."""
    if only_admin(session, person):
        raise WinPredictError(text("{email} is the only admin; make somebody else one first", email=person.email))


def only_admin(session: DatabaseSession, person: Person) -> bool:
    """Whether nobody else is an active admin."""
    if person.role != Role.ADMIN or not person.active:
        return False
    others = select(Person.id).where(Person.role == Role.ADMIN, Person.active, Person.id != person.id).limit(1)
    return session.scalar(others) is None


def sign_out_everywhere(session: DatabaseSession, person: Person, but: str = "") -> int:
    """End all sessions of a person, but the one with this hash; how many there were."""
    theirs = session.scalars(select(Session).where(Session.person_id == person.id, Session.key_hash != but)).all()
    for each in theirs:
        session.delete(each)
    session.flush()
    return len(theirs)


def end_resets(session: DatabaseSession, person: Person) -> None:
    """Make all links by which a person could set another password worthless."""
    theirs = update(PasswordReset).where(PasswordReset.person_id == person.id, PasswordReset.used_at.is_(None))
    session.execute(theirs.values(used_at=now()))


def _revoke_all_tokens(session: DatabaseSession, person: Person) -> None:
    theirs = update(ApiToken).where(ApiToken.person_id == person.id, ApiToken.revoked_at.is_(None))
    session.execute(theirs.values(revoked_at=now()))


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)


def hashed_key(key: str) -> str:
    """What is stored of a random key. It is long and random, so a plain hash will do."""
    return hashlib.sha256(key.encode()).hexdigest()
