import pytest
from desk_world import PASSWORD, client_of, csrf_token

from winpredict.app.people import add_person
from winpredict.app.records import Person, Role
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
