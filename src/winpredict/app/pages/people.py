"""People for admins: who may sign in, as what, and who did what."""

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Form, HTTPException, Query, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import joinedload
from starlette.responses import RedirectResponse, Response

from winpredict.app.identity import Allows, Caller, DeskOfRequest, desk_of
from winpredict.app.language import chosen_language, language_names
from winpredict.app.listing import page_count
from winpredict.app.pages.rendering import render, sentence
from winpredict.app.people import (
    add_person,
    change_language,
    change_password,
    change_role,
    deactivate,
    knows_user,
    now,
    reactivate,
    revoke_token,
)
from winpredict.app.records import ApiToken, AuditEntry, CrmUser, Person, Role
from winpredict.app.turns import PageRouter
from winpredict.errors import WinPredictError
from winpredict.locale.text import Text, said, text

router = PageRouter()
Admin = Annotated[Caller, Depends(Allows(Role.ADMIN))]
ROLE_NAMES = {
    Role.REP: text("rep"),
    Role.MANAGER: text("manager"),
    Role.SCIENTIST: text("data scientist"),
    Role.ADMIN: text("administrator"),
}
ROLE_WORDS = {
    Role.REP: text("rep: sees their own deals"),
    Role.MANAGER: text("manager: sees the deals of everyone who reports to them"),
    Role.SCIENTIST: text("data scientist: sees all deals and promotes models"),
    Role.ADMIN: text("administrator: manages people, sees no deals"),
}
#: Actions of the audit log, by what is on record.
_ACTIONS = {
    "account linked": text("Company account linked"),
    "audit log exported": text("Audit log exported"),
    "audit log pruned": text("Old entries of the audit log deleted"),
    "deals exported": text("Deals exported"),
    "key made": text("API key created"),
    "key revoked": text("API key revoked"),
    "language changed": text("Language changed"),
    "model promoted": text("Model promoted"),
    "password changed": text("Password changed"),
    "password reset asked for": text("Link for a new password sent"),
    "person added": text("Person added"),
    "person deactivated": text("Person deactivated"),
    "person reactivated": text("Person reactivated"),
    "read by API": text("Deals read by API"),
    "report downloaded": text("Report downloaded"),
    "role changed": text("Role changed"),
    "scores published": text("Scores published"),
    "session ended": text("Session ended"),
    "sessions ended": text("Signed out everywhere"),
    "sign-in failed": text("Sign-in failed"),
    "signed in": text("Signed in"),
    "signed out": text("Signed out"),
}
_CHANGES = {
    "role": text("role: {before} → {after}"),
    "crm_user_id": text("linked CRM user: {before} → {after}"),
    "language": text("language: {before} → {after}"),
}
_FACTS = {
    "role": text("role: {value}"),
    "scopes": text("permissions: {value}"),
    "keys": text("all API keys revoked"),
    "before": text("champion before: {value}"),
    "identity": text("identity: {value}"),
    "browser": text("browser: {value}"),
    "of_address": text("address: {value}"),
    "sessions": text("sessions: {value}"),
    "rows": text("rows: {value}"),
    "entries": text("entries: {value}"),
    "deals": text("deals: {value}"),
    "model": text("model: {value}"),
    "key": text("API key number: {value}"),
    "refused": text("refused after too many attempts"),
    "further": text("further ones within the hour are not recorded"),
    "which": text("sessions ended: {value}"),
}
_VALUES = {str(role): name for role, name in ROLE_NAMES.items()} | {
    "all": text("all of them"),
    "others": text("all others"),
}
_MODEL, _RUN = "model ", "run "
_PASSWORD_BYTES = 12
_ENTRIES = 50


@router.get("/people")
def people(request: Request, desk: DeskOfRequest, caller: Admin) -> Response:
    """Everybody, and a form for one more."""
    with desk.database.reading() as session:
        return _list(request, caller, session)


@router.post("/people")
def add(
    request: Request,
    desk: DeskOfRequest,
    caller: Admin,
    email: Annotated[str, Form(max_length=320)],
    role: Annotated[Role, Form()],
    name: Annotated[str, Form(max_length=200)] = "",
    crm_user: Annotated[str, Form(max_length=200)] = "",
    way: Annotated[str, Form(max_length=20)] = "password",
) -> Response:
    """Let one more person sign in; a password is made for them and shown once."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES) if way == "password" else None
    typed = {"email": email, "name": name, "role": role, "crm_user": crm_user, "way": way}
    try:
        with desk.database.writing() as session:
            _require_user(session, crm_user)
            person = add_person(
                session,
                email,
                name,
                role,
                password=password,
                crm_user_id=crm_user,
                by=caller.person,
                must_change=True,
            )
    except WinPredictError as error:
        with desk.database.reading() as session:
            return _list(request, caller, session, status=409, typed=typed, problem=sentence(error))
    with desk.database.reading() as session:
        return _one(request, caller, session, person.id, done="added", password=password)


@router.get("/people/log")
def log(
    request: Request, desk: DeskOfRequest, caller: Admin, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
) -> Response:
    """Who did what, the latest first."""
    with desk.database.reading() as session:
        count = session.scalar(select(func.count()).select_from(AuditEntry)) or 0
        wanted = select(AuditEntry).options(joinedload(AuditEntry.person)).order_by(AuditEntry.id.desc())
        entries = session.scalars(wanted.limit(_ENTRIES).offset((page - 1) * _ENTRIES)).all()
    pages = page_count(count, _ENTRIES)
    rows = [
        (each, _ACTIONS.get(each.action, each.action), _subject(each), details_in_words(each.details))
        for each in entries
    ]
    return render(
        request,
        caller,
        "log.html",
        entries=rows,
        count=count,
        page=page,
        pages=pages,
        kept_days=desk.config.app.audit_days,
    )


@router.get("/people/{person_id}")
def person(
    request: Request,
    desk: DeskOfRequest,
    caller: Admin,
    person_id: int,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """One person, and what can be changed."""
    with desk.database.reading() as session:
        return _one(request, caller, session, person_id, done=done)


@router.post("/people/{person_id}")
def change(
    request: Request,
    desk: DeskOfRequest,
    caller: Admin,
    person_id: int,
    role: Annotated[Role, Form()],
    crm_user: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Give somebody another role or another user of the CRM."""

    def changed(session: DatabaseSession, person: Person) -> None:
        _require_user(session, crm_user, person.crm_user_id)
        change_role(session, person, role, caller.person, crm_user_id=crm_user)

    return _changed(request, desk, caller, person_id, changed, "changed")


@router.post("/people/{person_id}/language")
def choose_language(
    request: Request,
    desk: DeskOfRequest,
    caller: Admin,
    person_id: int,
    language: Annotated[str, Form(max_length=20)],
) -> Response:
    """Speak to somebody in another language from now on."""

    def changed(session: DatabaseSession, person: Person) -> None:
        change_language(session, person, chosen_language(language), caller.person)

    return _changed(request, desk, caller, person_id, changed, "language")


@router.post("/people/{person_id}/deactivate")
def deactivate_person(request: Request, desk: DeskOfRequest, caller: Admin, person_id: int) -> Response:
    """Shut somebody out at once."""
    return _changed(
        request, desk, caller, person_id, lambda session, found: deactivate(session, found, caller.person), "shut-out"
    )


@router.post("/people/{person_id}/reactivate")
def reactivate_person(request: Request, desk: DeskOfRequest, caller: Admin, person_id: int) -> Response:
    """Let somebody in again."""
    return _changed(
        request, desk, caller, person_id, lambda session, found: reactivate(session, found, caller.person), "let-in"
    )


@router.post("/people/{person_id}/password")
def reset_password(request: Request, desk: DeskOfRequest, caller: Admin, person_id: int) -> Response:
    """Make another password for somebody, which is shown once; their sessions end and their keys are revoked."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    with desk.database.writing() as session:
        change_password(session, _person(session, person_id), password, caller.person, keys_too=True)
    if person_id == caller.person.id:
        # the session ended with the former password: there is no page to go on from but the one that shows the new one
        return render(request, None, "own_password.html", password=password)
    with desk.database.reading() as session:
        return _one(request, caller, session, person_id, done="password", password=password)


@router.post("/people/{person_id}/tokens/{token_id}/revoke")
def revoke(request: Request, desk: DeskOfRequest, caller: Admin, person_id: int, token_id: int) -> Response:
    """Make somebody's key worthless."""

    def revoked(session: DatabaseSession, person: Person) -> None:
        token = session.get(ApiToken, token_id)
        if token is None or token.person_id != person.id:
            raise HTTPException(404, said("this API key was not found"))
        if token.revoked_at is None:
            revoke_token(session, token, caller.person)

    return _changed(request, desk, caller, person_id, revoked, "revoked")


def details_in_words(details: dict[str, Any]) -> str:
    """What an entry of the log says beside who and what.

    Examples
    --------
    >>> details_in_words({"role": ["rep", "manager"], "crm_user_id": [None, "005"], "scopes": ["read", "score"]})
    'role: rep → manager; linked CRM user: – → 005; permissions: read, score'
    """
    words = []
    for name, value in details.items():
        if name in _CHANGES and isinstance(value, list):
            before, after = value
            if before != after:
                words.append(str(_CHANGES[name].with_values(before=_value(before), after=_value(after))))
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else _value(value)
            words.append(str(_FACTS[name].with_values(value=shown)) if name in _FACTS else f"{name}: {shown}")
    return "; ".join(words)


def _value(value: Any) -> str | Text | None:
    return None if value in (None, "") else _VALUES.get(str(value), str(value))


def _subject(entry: AuditEntry) -> str | Text:
    """Whom or what an entry is about."""
    if entry.action == "model promoted":
        return text("model {version}", version=entry.subject.removeprefix(_MODEL))
    if entry.action == "scores published":
        return text("run {number}", number=entry.subject.removeprefix(_RUN))
    if entry.action == "audit log pruned":
        return text("entries before {day:day}", day=datetime.fromisoformat(entry.subject))
    return entry.subject


def _changed(request: Request, desk: Any, caller: Caller, person_id: int, change: Any, done: str) -> Response:
    """Do something to a person; back to their page, which says that it is done or why it cannot be."""
    try:
        with desk.database.writing() as session:
            change(session, _person(session, person_id))
    except WinPredictError as error:
        with desk.database.reading() as session:
            return _one(request, caller, session, person_id, status=409, problem=sentence(error))
    return RedirectResponse(f"/people/{person_id}?done={done}", 303)


def _person(session: DatabaseSession, person_id: int) -> Person:
    found = session.get(Person, person_id)
    if found is None:
        raise HTTPException(404, said("this person was not found"))
    return found


def _require_user(session: DatabaseSession, user_id: str, former: str | None = None) -> None:
    """Refuse an id that the CRM does not know: its holder would see nothing, and nobody would know why."""
    if user_id and user_id != former and not knows_user(session, user_id):
        raise WinPredictError(
            said("the CRM has no user {user}; choose one from the list, or publish newer scores first", user=user_id)
        )


def _list(
    request: Request,
    caller: Caller,
    session: DatabaseSession,
    status: int = 200,
    typed: dict[str, Any] | None = None,
    problem: str = "",
) -> Response:
    signed_in = (
        select(AuditEntry.person_id, func.max(AuditEntry.at).label("at"))
        .where(AuditEntry.action == "signed in")
        .group_by(AuditEntry.person_id)
        .subquery()
    )
    wanted = (
        select(Person, CrmUser.name, signed_in.c.at)
        .outerjoin(CrmUser, CrmUser.user_id == Person.crm_user_id)
        .outerjoin(signed_in, signed_in.c.person_id == Person.id)
        .order_by(Person.active.desc(), func.lower(Person.name), Person.id)
    )
    return render(
        request,
        caller,
        "people.html",
        status,
        people=session.execute(wanted).all(),
        # of earlier sign-ins nothing is on record
        known_since=now() - timedelta(days=desk_of(request).config.app.audit_days),
        users=_users(session),
        roles=ROLE_WORDS,
        role_names=ROLE_NAMES,
        typed=typed or {"email": "", "name": "", "role": Role.REP, "crm_user": "", "way": "password"},
        problem=problem,
    )


def _one(
    request: Request,
    caller: Caller,
    session: DatabaseSession,
    person_id: int,
    *,
    status: int = 200,
    done: str = "",
    password: str | None = None,
    problem: str = "",
) -> Response:
    found = _person(session, person_id)
    tokens = select(ApiToken).where(ApiToken.person_id == found.id).order_by(ApiToken.id.desc())
    user = None if found.crm_user_id is None else session.get(CrmUser, found.crm_user_id)
    return render(
        request,
        caller,
        "person.html",
        status,
        person=found,
        user=user,
        users=_users(session),
        roles=ROLE_WORDS,
        role_names=ROLE_NAMES,
        languages=language_names(),
        tokens=session.scalars(tokens).all(),
        present=now(),
        mine=found.id == caller.person.id,
        done=done,
        password=password,
        problem=problem,
    )


def _users(session: DatabaseSession) -> list[tuple[str, str]]:
    """Users of the CRM to choose from."""
    rows = session.execute(select(CrmUser.user_id, CrmUser.name, CrmUser.team)).all()
    named = [(user_id, f"{name or user_id}{f', {team}' if team else ''}") for user_id, name, team in rows]
    return sorted(named, key=lambda each: each[1].lower())
