import re
import time
from datetime import timedelta

import pytest
from desk_world import PASSWORD, client_of, csrf_token
from sqlalchemy import select

from winpredict.app.identity import COOKIE, unsigned
from winpredict.app.people import add_person, hashed_key, now
from winpredict.app.records import AuditEntry, Person, Role, Session
from winpredict.app.sign_in_throttle import TRIES_A_PAIR

NEW = "staple of another battery"


@pytest.fixture
def zed(app):
    """Somebody who is signed in, and may be changed."""
    database = app.state.desk.database
    with database.writing() as session:
        number = add_person(session, "zed@example.com", "Zed", Role.REP, password=PASSWORD).id
    with client_of(app, "zed@example.com") as client:
        yield client
    with database.writing() as session:
        session.get(Person, number).email = f"former-{number}@example.com"


def change(client, current=PASSWORD, new=NEW, again=NEW):
    form = {"csrf_token": csrf_token(client.get("/account").text), "current": current, "new": new, "again": again}
    return client.post("/account/password", data=form)


def test_who_one_is(zed, signed_in, cast, app):
    assert "Your account is not linked to a CRM user, so you see no deals." in zed.get("/account").text
    names = app.state.desk.workspace.crm().users.set_index("user_id")["name"]
    assert f"CRM user: {names[cast.rep]}." in signed_in("rep").get("/account").text


def test_another_password_signs_out_everywhere_else(app, zed):
    with client_of(app, "zed@example.com") as elsewhere:
        before = zed.cookies["wp_session"]
        answer = change(zed)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account?changed=1")
        assert zed.cookies["wp_session"] != before
        assert "Your password has been changed." in zed.get("/account?changed=1").text
        assert elsewhere.get("/deals").status_code == 303
    with client_of(app, "zed@example.com", NEW) as again:
        assert again.get("/deals").status_code == 200


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"current": "wrong"}, "do not belong together"),
        ({"again": "something else again"}, "The new passwords do not match; type them again."),
        ({"new": "short", "again": "short"}, "12 to 256 characters"),
        ({"new": "password1234", "again": "password1234"}, "This password is easy to guess;"),
        ({"new": "zed@example.com", "again": "zed@example.com"}, "This password is easy to guess;"),
        ({"new": PASSWORD, "again": PASSWORD}, "That is your current password; choose another one."),
    ],
)
def test_what_is_refused(app, zed, form, why):
    answer = change(zed, **form)
    assert answer.status_code == 409
    assert why in answer.text
    with client_of(app, "zed@example.com"):
        pass


def test_a_browser_that_was_left_open_is_no_place_to_guess_from(zed):
    assert [change(zed, current="wrong").status_code for _ in range(TRIES_A_PAIR + 1)] == [409] * TRIES_A_PAIR + [429]


def test_without_a_password(app, zed):
    with app.state.desk.database.writing() as session:
        person = session.query(Person).filter_by(email="zed@example.com").one()
        person.password_hash = None
    assert "so there is no password here" in zed.get("/account").text
    assert zed.get("/account/password").headers["location"] == "/account"


# -- sessions


def sessions(client) -> list[str]:
    """Ids of the sessions that the account page lists, in its order."""
    return re.findall(r"/account/sessions/(\w{16})/end", client.get("/account").text)


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_ones_sessions_are_listed_and_ended_one_by_one(app, zed):
    with client_of(app, "zed@example.com", headers={"User-Agent": FIREFOX}) as elsewhere:
        page = zed.get("/account").text
        assert "Firefox, Linux" in page
        assert page.count("this one") == 1
        assert page.count('<span translate="no">testclient</span></td>') == 2  # the address of both
        mine = key_hash(app, zed)[:16]
        other = key_hash(app, elsewhere)[:16]
        assert set(sessions(zed)) == {mine, other}
        token = csrf_token(page)
        assert zed.post(f"/account/sessions/{other}/end", data={"csrf_token": "x"}).status_code == 403
        assert elsewhere.get("/deals").status_code == 200
        answer = zed.post(f"/account/sessions/{other}/end", data={"csrf_token": token})
        assert answer.headers["location"] == "/account?done=ended#sessions_head"
        assert elsewhere.get("/deals").status_code == 303
        assert "You have been signed out there." in zed.get("/account?done=ended").text
        assert zed.post(f"/account/sessions/{other}/end", data={"csrf_token": token}).status_code == 404
    answer = zed.post(f"/account/sessions/{mine}/end", data={"csrf_token": token})
    assert answer.headers["location"] == "/sign-in"
    assert zed.get("/deals").status_code == 303


def test_nobody_ends_the_sessions_of_others(app, zed, signed_in):
    rep = signed_in("rep")
    theirs = key_hash(app, rep)[:16]
    token = csrf_token(zed.get("/account").text)
    assert zed.post(f"/account/sessions/{theirs}/end", data={"csrf_token": token}).status_code == 404
    assert zed.post("/account/sessions/end", data={"csrf_token": token, "which": "all"}).status_code == 303
    assert rep.get("/deals").status_code == 200


def test_signing_out_everywhere_else_and_everywhere(app, zed):
    with client_of(app, "zed@example.com") as one, client_of(app, "zed@example.com") as two:
        token = csrf_token(zed.get("/account").text)
        zed.post("/account/sessions/end", data={"csrf_token": token, "which": "others"})
        assert [each.get("/deals").status_code for each in (zed, one, two)] == [200, 303, 303]
    with client_of(app, "zed@example.com") as one:
        answer = one.post(
            "/account/sessions/end", data={"csrf_token": csrf_token(one.get("/account").text), "which": "all"}
        )
        assert answer.headers["location"] == "/sign-in"
        assert [each.get("/deals").status_code for each in (zed, one)] == [303, 303]
    with app.state.desk.database.reading() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "sessions ended"))
        kept = [each.details for each in entries if each.subject == "zed@example.com"]
    assert kept[-2:] == [{"which": "others", "sessions": 2}, {"which": "all", "sessions": 2}]


def key_hash(app, client) -> str:
    return hashed_key(unsigned(app.state.desk, client.cookies[COOKIE]))


# -- idle time-out


def seen_ago(app, client, **ago) -> None:
    with app.state.desk.database.writing() as session:
        session.get(Session, key_hash(app, client)).last_seen_at = now() - timedelta(**ago)


def test_an_idle_session_ends(app, zed):
    seen_ago(app, zed, minutes=119)
    assert zed.get("/account").status_code == 200
    seen_ago(app, zed, minutes=121)
    assert zed.get("/account").headers["location"].startswith("/sign-in?")
    assert zed.get("/api/v1/deals").status_code == 401


def test_use_keeps_a_session_and_is_written_down_once_a_minute(app, zed):
    app.state.desk.notes._noted.clear()
    for ago, moved in ((59, False), (100, True)):
        seen_ago(app, zed, seconds=ago)
        with app.state.desk.database.reading() as session:
            before = session.get(Session, key_hash(app, zed)).last_seen_at
        assert zed.get("/glossary").status_code == 200
        app.state.desk.notes.settle()
        with app.state.desk.database.reading() as session:
            assert (session.get(Session, key_hash(app, zed)).last_seen_at > before) is moved


def test_a_busy_database_keeps_nobody_from_reading(app, zed):
    app.state.desk.notes._noted.clear()
    seen_ago(app, zed, minutes=10)
    with app.state.desk.database.writing():  # as long as this lasts nobody else writes
        begun = time.monotonic()
        assert zed.get("/account").status_code == 200
        assert time.monotonic() - begun < 5
    app.state.desk.notes.settle()
    with app.state.desk.database.reading() as session:
        assert session.get(Session, key_hash(app, zed)).last_seen_at > now() - timedelta(minutes=1)


def test_idle_sessions_are_not_listed(app, zed):
    with client_of(app, "zed@example.com") as elsewhere:
        seen_ago(app, elsewhere, minutes=121)
        assert sessions(zed) == [key_hash(app, zed)[:16]]
