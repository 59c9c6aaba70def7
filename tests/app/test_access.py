"""Every route as everybody: nothing is let through but what `desk_access.RULES` says.

The list of routes is the application's own, so that a new one without a rule is a failure.
"""

import re

import pytest
from desk_access import RULES, Newcomer, routes_of
from fastapi.testclient import TestClient

from winpredict.app.identity import COOKIE, CSRF_HEADER, signed
from winpredict.app.people import SCOPES, deactivate
from winpredict.app.records import Person, Role

GUARDED = {route: rule for route, rule in RULES.items() if rule.roles}
CHANGING = [route for route in GUARDED if not route.startswith("GET ")]


def test_every_route_has_a_rule(app):
    missing, gone = sorted(routes_of(app) - RULES.keys()), sorted(RULES.keys() - routes_of(app))
    assert not missing, f"say in RULES of tests/desk_access.py who may ask {', '.join(missing)}"
    assert not gone, f"{', '.join(gone)} is in RULES of tests/desk_access.py, but the app has no such route"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", GUARDED)
def test_roles(app, cast, route, role):
    answer = ask(app, cast, route, session=Newcomer(app, cast, role))
    if role in GUARDED[route].roles:
        assert is_let_through(answer), answer.text
    else:
        assert is_forbidden(answer, "your role does not allow this")


@pytest.mark.parametrize("route", GUARDED)
def test_nobody(app, cast, route):
    assert is_turned_away(route, ask(app, cast, route))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", GUARDED)
def test_the_inactive(app, cast, route, role):
    former = Newcomer(app, cast, role)
    with app.state.desk.database.writing() as session:
        session.get(Person, former.id).active = False  # the session and the key are left, as if forgotten
    assert is_turned_away(route, ask(app, cast, route, session=former))
    assert is_turned_away(route, ask(app, cast, route, key=former.key(*SCOPES)))
    with app.state.desk.database.writing() as session:
        deactivate(session, session.get(Person, former.id), None)
    assert is_turned_away(route, ask(app, cast, route, session=former))


@pytest.mark.parametrize("route", GUARDED)
def test_keys(app, cast, route):
    rule = GUARDED[route]
    others = [each for each in SCOPES if each != rule.scope]
    for role in Role:
        person = Newcomer(app, cast, role)
        without = ask(app, cast, route, key=person.key(*others))
        if not rule.scope:
            assert is_turned_away(route, ask(app, cast, route, key=person.key(*SCOPES)))
            continue
        assert is_forbidden(without, f"this key does not allow {rule.scope}")
        allowed = ask(app, cast, route, key=person.key(rule.scope))
        if role in rule.roles:
            assert is_let_through(allowed), allowed.text
        else:
            assert is_forbidden(allowed, "your role")


@pytest.mark.parametrize("route", GUARDED)
def test_made_up_keys(app, cast, route):
    for key in ("", "wp_", "wp_" + "A" * 43, "x' OR '1'='1", "\N{SNOWMAN}"):
        assert is_turned_away(route, ask(app, cast, route, key=key))


@pytest.mark.parametrize("route", CHANGING)
def test_what_changes_something_needs_the_sessions_token(app, cast, route):
    role = min(GUARDED[route].roles)
    own, other = Newcomer(app, cast, role), Newcomer(app, cast, role)
    for token in (None, "", "made-up", other.csrf, own.csrf[:-1]):
        answer = ask(app, cast, route, session=own, csrf=token)
        assert is_forbidden(answer, "this form is out of date"), token
    assert is_let_through(ask(app, cast, route, session=own))


OWN = object()


def ask(app, cast, route, *, session: Newcomer | None = None, key: str | None = None, csrf=OWN):
    """The answer to a request with a session's cookie (and by default its CSRF token) or a key."""
    method, path = route.split(" ")
    headers = {} if key is None else {"Authorization": f"Bearer {key}".encode()}
    token = session.csrf if session is not None and csrf is OWN else None if csrf is OWN else csrf
    if token is not None and method != "GET":
        headers[CSRF_HEADER] = token
    cookies = {} if session is None else {COOKIE: signed(app.state.desk, session.cookie)}
    client = TestClient(app, follow_redirects=False, cookies=cookies, raise_server_exceptions=False)
    for _ in range(60):
        answer = client.request(method, filled(path, examples(cast)), headers=headers)
        if answer.status_code != 503 or "is being made" not in answer.text:  # as it may be on a busy machine
            break
    return answer


def examples(cast) -> dict[str, str]:
    """A value for each name in a path."""
    return {
        "deal_id": cast.deal,
        "which": "champion",
        "kind": "html",
        "version": "1",
        "person_id": "0",
        "token_id": "0",
        "session_id": "0",
    }


def filled(path: str, values: dict[str, str]) -> str:
    """A route's path with a value for each name in it."""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: values[found[1]], path)


def is_let_through(answer) -> bool:
    """Whether it was decided that the caller may; what they sent may yet be wanting."""
    to_sign_in = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?")
    return answer.status_code not in (401, 403) and answer.status_code < 500 and not to_sign_in


def is_forbidden(answer, why: str) -> bool:
    """Whether the caller is known and may not."""
    return answer.status_code == 403 and why in answer.text.lower()  # pages begin sentences with capitals


def is_turned_away(route, answer) -> bool:
    """Whether the caller is asked who they are: browsers by the form, programs by a status."""
    if RULES[route].scope:
        return answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
    return answer.status_code == 303 and answer.headers["location"].startswith("/sign-in?")
