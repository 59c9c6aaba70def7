"""Who may ask what of the win desk, written down once more for tests; and people of any role."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from desk_world import PASSWORD, Cast, csrf_token
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.routing import Mount

from winpredict.app import passwords, sign_in_throttle
from winpredict.app.identity import COOKIE, signed
from winpredict.app.people import add_person, make_token, sign_in
from winpredict.app.records import Person, Role

REP, MANAGER, SCIENTIST, ADMIN = Role
EVERYBODY = frozenset(Role)
WITH_DEALS = frozenset({REP, MANAGER, SCIENTIST})
_numbers = count()


@dataclass(frozen=True)
class Rule:
    """Who may ask a route.

    Parameters
    ----------
    roles : frozenset of Role
        None: the route is public.
    scope : str
        What a key for programs must allow; pages take no keys.
    """

    roles: frozenset[Role] = frozenset()
    scope: str = ""


PUBLIC = Rule()
RULES = {
    "GET /": Rule(EVERYBODY),
    "GET /sign-in": PUBLIC,
    "POST /sign-in": PUBLIC,
    "GET /sign-in/oidc": PUBLIC,
    "GET /sign-in/oidc/callback": PUBLIC,
    "POST /sign-out": Rule(EVERYBODY),
    "GET /deals": Rule(WITH_DEALS),
    "GET /deals.csv": Rule(WITH_DEALS),
    "GET /deals/{deal_id:path}": Rule(WITH_DEALS),
    "GET /deals/{deal_id:path}/odds.svg": Rule(WITH_DEALS),
    "POST /deals/{deal_id:path}/feedback": Rule(WITH_DEALS),
    "GET /pipeline": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /pipeline/chart.svg": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /pipeline/deals": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /pipeline/deals.csv": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /drivers": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /drivers/chart.svg": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /drivers/deals": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /drivers/deals.csv": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /drivers/report": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /drivers/report.{kind}": Rule(frozenset({MANAGER, SCIENTIST})),
    "GET /models": Rule(frozenset({SCIENTIST})),
    "GET /models/calibration.svg": Rule(frozenset({SCIENTIST})),
    "GET /models/{version}": Rule(frozenset({SCIENTIST})),
    "GET /models/{version}/promote": Rule(frozenset({SCIENTIST})),
    "POST /models/{version}/promote": Rule(frozenset({SCIENTIST})),
    "GET /people": Rule(frozenset({ADMIN})),
    "POST /people": Rule(frozenset({ADMIN})),
    "GET /people/log": Rule(frozenset({ADMIN})),
    "GET /people/{person_id}": Rule(frozenset({ADMIN})),
    "POST /people/{person_id}": Rule(frozenset({ADMIN})),
    "POST /people/{person_id}/language": Rule(frozenset({ADMIN})),
    "POST /people/{person_id}/deactivate": Rule(frozenset({ADMIN})),
    "POST /people/{person_id}/reactivate": Rule(frozenset({ADMIN})),
    "POST /people/{person_id}/password": Rule(frozenset({ADMIN})),
    "POST /people/{person_id}/tokens/{token_id}/revoke": Rule(frozenset({ADMIN})),
    "GET /audit.csv": Rule(frozenset({ADMIN})),
    "GET /password/forgot": PUBLIC,
    "POST /password/forgot": PUBLIC,
    "GET /password/new": PUBLIC,
    "POST /password/new": PUBLIC,
    "GET /account": Rule(EVERYBODY),
    "GET /account/password": Rule(EVERYBODY),
    "POST /account/sessions/end": Rule(EVERYBODY),
    "POST /account/sessions/{session_id}/end": Rule(EVERYBODY),
    "GET /glossary": Rule(EVERYBODY),
    "POST /account/language": Rule(EVERYBODY),
    "POST /account/password": Rule(EVERYBODY),
    "GET /tokens": Rule(EVERYBODY),
    "POST /tokens": Rule(EVERYBODY),
    "POST /tokens/{token_id}/revoke": Rule(EVERYBODY),
    "GET /api/v1/deals": Rule(WITH_DEALS, "read"),
    "GET /api/v1/deals/{deal_id:path}": Rule(WITH_DEALS, "read"),
    "GET /api/v1/deals/{deal_id:path}/scores": Rule(WITH_DEALS, "read"),
    "GET /api/v1/deals/{deal_id:path}/reasons": Rule(WITH_DEALS, "read"),
    "GET /api/v1/deals/{deal_id:path}/what-if": Rule(WITH_DEALS, "read"),
    "POST /api/v1/deals/{deal_id:path}/what-if": Rule(WITH_DEALS, "read"),
    "GET /api/v1/scores": Rule(WITH_DEALS, "read"),
    "POST /api/v1/score": Rule(WITH_DEALS, "score"),
    "GET /api/v1/drivers": Rule(frozenset({MANAGER, SCIENTIST}), "read"),
    "GET /api/v1/funnel": Rule(frozenset({MANAGER, SCIENTIST}), "read"),
    "GET /api/v1/forecast": Rule(frozenset({MANAGER, SCIENTIST}), "read"),
    "GET /api/v1/models": Rule(frozenset({SCIENTIST}), "models"),
    "GET /api/v1/glossary": Rule(WITH_DEALS, "read"),
    "GET /api/v1/models/{which}": Rule(frozenset({SCIENTIST}), "models"),
    "GET /api/v1/docs": PUBLIC,
    "GET /api/v1/health": PUBLIC,
    "GET /api/v1/readiness": PUBLIC,
    "GET /metrics": Rule(frozenset({SCIENTIST, ADMIN}), "metrics"),
    "GET /api/v1/openapi.json": PUBLIC,
    "GET /static": PUBLIC,
}


def routes_of(app: FastAPI) -> set[str]:
    """All routes of an application, as ``GET /deals``."""
    found = set()
    for each in iter_route_contexts(app.routes):
        is_folder = isinstance(getattr(each, "original_route", None), Mount) or not each.methods
        for method in {"GET"} if is_folder else set(each.methods) - {"HEAD"}:
            found.add(f"{method} {each.path}")
    return found


class Newcomer:
    """Somebody new of a role, who is signed in; linked to the cast's users of the CRM."""

    def __init__(self, app: FastAPI, cast: Cast, role: Role) -> None:
        self.app = app
        linked = {REP: cast.rep, MANAGER: cast.boss}.get(role)
        with app.state.desk.database.writing() as session:
            person = add_person(session, f"new-{next(_numbers)}@example.com", "New", role, crm_user_id=linked)
            signed_in = sign_in(session, person, 1.0)
        self.id, self.csrf, self.cookie = person.id, signed_in.session.csrf_token, signed_in.key

    def key(self, *scopes: str) -> str:
        """A new key for programs."""
        with self.app.state.desk.database.writing() as session:
            return make_token(session, session.get(Person, self.id), "key", scopes)[0]

    def client(self) -> TestClient:
        """A browser in which they are signed in."""
        cookies = {COOKIE: signed(self.app.state.desk, self.cookie)}
        return TestClient(self.app, follow_redirects=False, cookies=cookies, raise_server_exceptions=False)


def cheap_hashes() -> Iterator[None]:
    """For a fixture: passwords whose check costs next to nothing."""
    hasher = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    sign_in_throttle.nobodys_hash.cache_clear()
    with pytest.MonkeyPatch.context() as patched:
        for place in (passwords, sign_in_throttle):
            patched.setattr(place, "password_hasher", lambda: hasher)
        yield
    sign_in_throttle.nobodys_hash.cache_clear()


def try_password(client: TestClient, email: str, password: str = PASSWORD, **more: str) -> int:
    """The status of an attempt to sign in with the form."""
    token = csrf_token(client.get("/sign-in").text)
    form = {"email": email, "password": password, "csrf_token": token} | more
    return client.post("/sign-in", data=form, follow_redirects=False).status_code
