import re

import pytest
from desk_world import PASSWORD, client_of, csrf_token, take_own_password
from fastapi.testclient import TestClient
from sqlalchemy import select

from winpredict.app.identity import COOKIE, signed
from winpredict.app.pages.people import details_in_words
from winpredict.app.people import add_person, make_token, sign_in, token_of
from winpredict.app.records import ApiToken, AuditEntry, CrmUser, Person, Role


@pytest.fixture
def admin(app):
    with client_of(app, "admin@example.com") as client:
        client.csrf = csrf_token(client.get("/people").text)
        yield client


@pytest.fixture
def ann(app):
    """Somebody whom tests may change; gone afterwards."""
    database = app.state.desk.database
    with database.writing() as session:
        person = add_person(session, "ann@example.com", "Ann <b>", Role.REP, password=PASSWORD)
        number = person.id
    yield number
    with database.writing() as session:
        person = session.get(Person, number)
        person.email, person.active = f"former-{number}@example.com", False


def state_of(app, number: int) -> Person:
    with app.state.desk.database.reading() as session:
        return session.get(Person, number)


def post(client, address: str, **form):
    return client.post(address, data={"csrf_token": client.csrf} | form)


def test_everybody_is_listed_with_what_is_wrong(admin):
    page = admin.get("/people").text
    assert "rep@example.com" in page
    assert "none: sees no deals" in page  # the unlinked rep


def test_a_person_is_added_with_a_password_that_is_shown_once(app, admin, cast):
    answer = post(admin, "/people", email="Zoe@Example.com", name="Zoe", role="rep", crm_user=cast.other_rep)
    password = re.search(r'class="secret">([^<]+)<', answer.text)[1]
    assert len(password) >= 12
    assert password not in admin.get("/people").text
    with take_own_password(client_of(app, "zoe@example.com", password), password) as zoe:
        assert f"/deals/{cast.other_deal}" in zoe.get("/deals").text
        assert zoe.get("/people").status_code == 403


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"email": "rep@example.com"}, "is there already"),
        ({"email": "nobody"}, "is no e-mail address"),
        ({"email": "new@example.com", "crm_user": "made-up"}, "the CRM has no user made-up"),
    ],
)
def test_what_cannot_be_added_is_said_with_what_was_typed(admin, form, why):
    answer = post(admin, "/people", name="Kept name", role="rep", **form)
    assert answer.status_code == 409
    assert why.lower() in answer.text.lower()
    assert "Kept name" in answer.text


def test_an_unknown_role_is_refused(admin):
    assert post(admin, "/people", email="x@example.com", role="owner").status_code == 422


def test_a_change_of_role_ends_sessions(app, admin, ann, cast):
    with client_of(app, "ann@example.com") as client:
        assert client.get("/deals").status_code == 200
        answer = post(admin, f"/people/{ann}", role="manager", crm_user=cast.boss)
        assert answer.headers["location"] == f"/people/{ann}?done=changed"
        assert client.get("/deals").status_code == 303
    found = state_of(app, ann)
    assert (found.role, found.crm_user_id) == (Role.MANAGER, cast.boss)
    assert "has to sign in again and create new API keys" in admin.get(f"/people/{ann}?done=changed").text


def test_shut_out_and_let_in_again(app, admin, ann):
    with app.state.desk.database.writing() as session:
        key, _ = make_token(session, session.get(Person, ann), "key", ["read"])
    bearer = {"Authorization": f"Bearer {key}"}
    with client_of(app, "ann@example.com") as client:
        assert client.get("/api/v1/deals", headers=bearer).status_code == 200
        post(admin, f"/people/{ann}/deactivate")
        assert client.get("/deals").status_code == 303
        assert client.get("/api/v1/deals", headers=bearer).status_code == 401
        assert ">deactivated<" in admin.get("/people").text
        post(admin, f"/people/{ann}/reactivate")
        assert client.get("/deals").status_code == 303
        assert client.get("/api/v1/deals", headers=bearer).status_code == 401
    with client_of(app, "ann@example.com"):
        pass


def test_nobody_changes_or_shuts_out_themselves(app, admin):
    with app.state.desk.database.reading() as session:
        me = session.scalars(select(Person).where(Person.email == "admin@example.com")).one().id
    for address, form in ((f"/people/{me}", {"role": "rep"}), (f"/people/{me}/deactivate", {})):
        answer = post(admin, address, **form)
        assert answer.status_code == 409
        assert "ask another admin" in answer.text
    assert state_of(app, me).role == Role.ADMIN


def test_a_new_password_ends_sessions_and_keys_and_is_shown_once(app, admin, ann):
    with app.state.desk.database.writing() as session:
        key, _ = make_token(session, session.get(Person, ann), "of Ann", ["read"])
    with client_of(app, "ann@example.com") as client:
        answer = post(admin, f"/people/{ann}/password")
        password = re.search(r'class="secret">([^<]+)<', answer.text)[1]
        assert client.get("/deals").status_code == 303
    with app.state.desk.database.reading() as session:
        assert token_of(session, key) is None
    assert password not in admin.get(f"/people/{ann}").text
    with take_own_password(client_of(app, "ann@example.com", password), password) as client:
        assert client.get("/deals").status_code == 200


def test_a_password_that_an_admin_made_opens_nothing_until_it_is_changed(app, admin, ann):
    password = re.search(r'class="secret">([^<]+)<', post(admin, f"/people/{ann}/password").text)[1]
    with client_of(app, "ann@example.com", password) as client:
        for address in ("/", "/deals", "/deals.csv", "/account", "/tokens", "/glossary", "/people"):
            answer = client.get(address)
            assert (answer.status_code, answer.headers["location"]) == (303, "/account/password"), address
        answer = client.get("/api/v1/deals")
        assert answer.status_code == 403
        assert answer.json()["detail"].startswith("change your password first")
        page = client.get("/account/password").text
        assert "Somebody else set your password" in page
        assert 'href="/tokens"' not in page
        token = csrf_token(page)
        made = client.post("/tokens", data={"csrf_token": token, "name": "k", "scopes": "read", "days": "90"})
        assert made.headers["location"] == "/account/password"
        form = {"csrf_token": token, "current": password, "new": password, "again": password}
        answer = client.post("/account/password", data=form)
        assert answer.status_code == 409
        assert "That is your current password; choose another one." in answer.text
        assert "Somebody else set your password" in answer.text
        assert client.post("/account/password", data=form | {"current": "wrong"}).status_code == 409
        take_own_password(client, password)
        assert client.get("/deals").status_code == 200
        assert client.get("/api/v1/deals").status_code == 200
    with app.state.desk.database.reading() as session:
        assert session.scalars(select(ApiToken).where(ApiToken.person_id == ann)).all() == []
    assert state_of(app, ann).password_must_change is False


def test_who_must_change_a_password_may_sign_out(app, admin, ann):
    password = re.search(r'class="secret">([^<]+)<', post(admin, f"/people/{ann}/password").text)[1]
    with client_of(app, "ann@example.com", password) as client:
        token = csrf_token(client.get("/account/password").text)
        assert client.post("/sign-out", data={"csrf_token": token}).headers["location"] == "/sign-in"
        assert client.get("/account/password").headers["location"].startswith("/sign-in?")


def test_who_comes_with_the_companys_account_need_not_know_the_password(app, admin, ann):
    post(admin, f"/people/{ann}/password")
    with app.state.desk.database.writing() as session:
        key = sign_in(session, session.get(Person, ann), 1.0, by_password=False).key
    with TestClient(app, follow_redirects=False, cookies={COOKIE: signed(app.state.desk, key)}) as client:
        assert client.get("/deals").status_code == 200


def test_an_admins_own_new_password(app):
    with app.state.desk.database.writing() as session:
        number = add_person(session, "root@example.com", "Root", Role.ADMIN, password=PASSWORD).id
    with client_of(app, "root@example.com") as root:
        root.csrf = csrf_token(root.get("/people").text)
        answer = post(root, f"/people/{number}/password")
        password = re.search(r'class="secret">([^<]+)<', answer.text)[1]
        assert root.get("/people").status_code == 303
    with client_of(app, "root@example.com", password):
        pass
    with app.state.desk.database.writing() as session:
        session.get(Person, number).active = False


def test_keys_of_others_are_revoked(app, admin, ann):
    with app.state.desk.database.writing() as session:
        _, token = make_token(session, session.get(Person, ann), "of Ann", ["read"])
        number = token.id
    assert "of Ann" in admin.get(f"/people/{ann}").text
    other = state_of(app, 1).id
    assert post(admin, f"/people/{other}/tokens/{number}/revoke").status_code == 404
    post(admin, f"/people/{ann}/tokens/{number}/revoke")
    with app.state.desk.database.reading() as session:
        assert session.get(ApiToken, number).revoked_at is not None


def test_the_log_says_who_did_what_and_no_secret(app, admin, ann):
    post(admin, f"/people/{ann}", role="manager")
    shown = admin.get("/people/log").text
    assert "Role changed" in shown
    assert "role: rep → manager" in shown
    assert "Person added" in shown
    with app.state.desk.database.reading() as session:
        assert not any("password" in str(each.details) for each in session.scalars(select(AuditEntry)))
    assert "No entries on this page" in admin.get("/people/log?page=999").text
    assert admin.get("/people/log?page=0").status_code == 422


def test_names_break_out_of_no_page(admin, ann):
    assert "Ann <b>" not in admin.get("/people").text
    assert "Ann &lt;b&gt;" in admin.get(f"/people/{ann}").text


def test_nobody_with_that_number(admin):
    assert admin.get("/people/99999").status_code == 404
    assert post(admin, "/people/99999/deactivate").status_code == 404
    assert admin.get("/people/evil").status_code == 422


def test_without_users_of_the_crm_an_id_is_typed(app, admin):
    with app.state.desk.database.writing() as session:
        kept = [(each.user_id, each.name, each.team, each.manager_id) for each in session.scalars(select(CrmUser))]
        session.query(CrmUser).delete()
    try:
        assert "Once scores are published, you can choose from a list of users." in admin.get("/people").text
    finally:
        with app.state.desk.database.writing() as session:
            session.add_all(
                CrmUser(user_id=user, name=name, team=team, manager_id=manager) for user, name, team, manager in kept
            )


def test_details_that_did_not_change_are_left_out():
    assert details_in_words({"role": ["rep", "rep"], "crm_user_id": ["1", None]}) == "linked CRM user: 1 → –"
    assert details_in_words({"before": ""}) == "champion before: –"
