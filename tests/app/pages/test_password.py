"""A forgotten password: the link by e-mail, and what it is good for."""

import re
import smtplib
import ssl
from datetime import timedelta
from functools import partial

import pytest
from desk_access import try_password
from desk_world import PASSWORD, client_of, csrf_token
from fastapi.testclient import TestClient
from mail_server import mail_server
from sqlalchemy import select
from untranslated import untranslated

from winpredict.app.application import create_app
from winpredict.app.password_reset import LINKS_A_PERSON, LINKS_AN_ADDRESS, Mailer
from winpredict.app.people import add_person, change_password, deactivate, make_token, now, reactivate, token_of
from winpredict.app.records import AuditEntry, PasswordReset, Person, Role, Session, SignInAttempt
from winpredict.app.sign_in_throttle import TRIES_A_PAIR
from winpredict.config import App, Config
from winpredict.errors import ConfigError, CRMSignInError
from winpredict.workspace import Workspace

URL = "http://desk.example.com"
ANN, ELSEWHERE, NEW = "ann@example.com", "elsewhere@example.com", "a kettle of blue herons"


@pytest.fixture
def box():
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def desk(box, tmp_path):
    settings = App(
        public_url=URL, smtp_host="127.0.0.1", smtp_port=box.port, smtp_security="none", smtp_from="desk@example.com"
    )
    app = create_app(Workspace(tmp_path), Config(app=settings))
    with app.state.desk.database.writing() as session:
        add_person(session, ANN, "Ann", Role.REP, password=PASSWORD)
        add_person(session, ELSEWHERE, "Elsewhere", Role.REP)
    yield app
    app.state.desk.database.close()


@pytest.fixture
def client(desk):
    with TestClient(desk, base_url=URL, follow_redirects=False) as browser:
        yield browser


def ask(desk, client, email=ANN, **headers):
    token = csrf_token(client.get("/password/forgot").text)
    answer = client.post("/password/forgot", data={"email": email, "csrf_token": token}, headers=headers)
    desk.state.resets.settle()
    return answer


def link_in(message) -> str:
    found = re.search(rf"{URL}(/password/new\?key=[\w-]{{43}})\n", message.get_content())
    assert found, message.get_content()
    return found[1]


def sent_link(desk, client, box) -> str:
    ask(desk, client)
    return link_in(box.messages[-1])


def take(client, new=NEW, again=None):
    page = client.get("/password/new")
    token = csrf_token(page.text) if "csrf_token" in page.text else ""
    return client.post(
        "/password/new", data={"new": new, "again": new if again is None else again, "csrf_token": token}
    )


def ann_in(session) -> Person:
    return session.scalars(select(Person).where(Person.email == ANN)).one()


def test_a_forgotten_password_is_set_by_a_link(desk, client, box):
    with desk.state.desk.database.writing() as session:
        key, _ = make_token(session, ann_in(session), "of Ann", ["read"])
    assert 'href="/password/forgot"' in client.get("/sign-in").text
    answer = ask(desk, client, " Ann@Example.com ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/password/forgot?done=1")
    assert "an e-mail with a link is on its way" in client.get("/password/forgot?done=1").text
    [message] = box.messages
    assert (message["From"], message["To"]) == ("desk@example.com", ANN)
    assert message["Subject"] == "A new password for winpredict"
    assert "within 60 minutes" in message.get_content()
    assert message["Auto-Submitted"] == "auto-generated"

    with client_of(desk, ANN) as signed_in:
        link = link_in(message)
        answer = client.get(link)
        # the key leaves the address at once
        assert (answer.status_code, answer.headers["location"]) == (303, "/password/new")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert ANN in client.get("/password/new").text
        answer = take(client)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?done=reset")
        assert "Your new password is set." in client.get("/sign-in?done=reset").text
        assert signed_in.get("/account").status_code == 303
    with desk.state.desk.database.reading() as session:
        assert token_of(session, key) is None
        assert ann_in(session).password_must_change is False
        assert session.scalars(select(Session)).all() == []
    assert try_password(client, ANN) == 401
    assert try_password(client, ANN, NEW) == 303


def test_a_link_works_once(desk, client, box):
    link = sent_link(desk, client, box)
    client.get(link)
    assert take(client).status_code == 303
    client.get(link)
    page = client.get("/password/new")
    assert page.status_code == 410
    assert "This link was used before or is too old; ask for a new one." in page.text
    assert take(client, "another one of blue herons").status_code == 410
    assert try_password(client, ANN, NEW) == 303


def test_a_link_that_was_begun_twice_works_once(desk, client, box):
    link = sent_link(desk, client, box)
    with TestClient(desk, base_url=URL, follow_redirects=False) as other:
        for each in (client, other):
            each.get(link)
        form = {"csrf_token": csrf_token(other.get("/password/new").text), "new": "x" + NEW, "again": "x" + NEW}
        assert take(client).status_code == 303
        assert other.post("/password/new", data=form).status_code == 410
    assert try_password(client, ANN, NEW) == 303


@pytest.mark.parametrize("how", ["used another", "too old", "changed", "deactivated", "made up", "signs in elsewhere"])
def test_a_link_that_is_worth_nothing(desk, client, box, how):
    link = sent_link(desk, client, box)
    with desk.state.desk.database.writing() as session:
        ann = ann_in(session)
        if how == "too old":
            session.scalars(select(PasswordReset)).one().expires_at = now() - timedelta(seconds=1)
        elif how == "changed":
            change_password(session, ann, "something of their own", ann)
        elif how == "deactivated":
            deactivate(session, ann, None)
            reactivate(session, ann, None)
        elif how == "signs in elsewhere":
            ann.password_hash = None
    if how == "used another":
        client.get(sent_link(desk, client, box))
        assert take(client).status_code == 303
    client.get(link[:-1] + "!" if how == "made up" else link)
    assert client.get("/password/new").status_code == 410
    assert take(client, "x" + NEW).status_code == 410
    assert try_password(client, ANN, "x" + NEW) == 401


@pytest.mark.parametrize("email", ["nobody@example.com", ELSEWHERE, "no address", "deactivated", "x" * 320])
def test_who_gets_no_link_is_told_the_same(desk, client, box, email):
    if email == "deactivated":
        with desk.state.desk.database.writing() as session:
            deactivate(session, ann_in(session), None)
        email = ANN
    known = ask(desk, client, email)
    assert (known.status_code, known.headers["location"]) == (303, "/password/forgot?done=1")
    assert box.messages == []
    with desk.state.desk.database.reading() as session:
        assert session.scalars(select(PasswordReset)).all() == []


def test_what_is_no_good_password_leaves_the_link_as_it_is(desk, client, box):
    client.get(sent_link(desk, client, box))
    for new, again, why in (
        ("short", "short", "12 to 256 characters"),
        ("password1234", "password1234", "easy to guess"),
        (ANN, ANN, "easy to guess"),
        (NEW, "other", "The new passwords do not match; type them again."),
    ):
        answer = take(client, new, again)
        assert answer.status_code == 409
        assert why in answer.text
    assert take(client).status_code == 303


def test_forms_need_their_token(desk, client, box):
    client.get("/password/forgot")
    for token in ("", "made-up"):
        answer = client.post("/password/forgot", data={"email": ANN, "csrf_token": token})
        assert answer.status_code == 403
    desk.state.resets.settle()
    assert box.messages == []
    client.get(sent_link(desk, client, box))
    assert client.post("/password/new", data={"new": NEW, "again": NEW, "csrf_token": "made-up"}).status_code == 403
    assert try_password(client, ANN) == 303


def test_only_so_many_links_are_sent(desk, client, box):
    for _ in range(LINKS_A_PERSON + 2):
        assert ask(desk, client).status_code == 303
    assert len(box.messages) == LINKS_A_PERSON
    for number in range(LINKS_AN_ADDRESS):
        ask(desk, client, f"nobody-{number}@example.com")
    with desk.state.desk.database.writing() as session:
        add_person(session, "late@example.com", "Late", Role.REP, password=PASSWORD)
        asked = session.scalars(select(SignInAttempt)).all()
    assert len(asked) == LINKS_AN_ADDRESS
    assert ask(desk, client, "late@example.com").status_code == 303
    assert len(box.messages) == LINKS_A_PERSON
    with desk.state.desk.database.writing() as session:
        for each in session.scalars(select(SignInAttempt)):
            each.at -= timedelta(minutes=61)
    ask(desk, client, "late@example.com")
    assert box.messages[-1]["To"] == "late@example.com"


def test_asking_for_links_is_no_wrong_password(desk, client, box):
    for _ in range(LINKS_A_PERSON):
        ask(desk, client)
    for _ in range(TRIES_A_PAIR - 1):
        assert try_password(client, ANN, "wrong") == 401
    assert try_password(client, ANN) == 303


def test_wrong_passwords_before_are_forgiven_where_the_link_was_used(desk, client, box):
    for _ in range(TRIES_A_PAIR):
        assert try_password(client, ANN, "wrong") == 401
    assert try_password(client, ANN) == 429
    client.get(sent_link(desk, client, box))
    assert take(client).status_code == 303
    assert try_password(client, ANN, NEW) == 303


def test_the_link_leads_to_the_public_url_whatever_host_is_asked(desk, box):
    with TestClient(desk, base_url="http://10.0.0.7", follow_redirects=False) as stranger:
        ask(desk, stranger)
    assert link_in(box.messages[0])  # of desk.example.com
    assert "10.0.0.7" not in box.messages[0].get_content()


def test_the_mail_is_in_the_persons_language_else_in_that_of_who_asks(desk, client, box):
    ask(desk, client, **{"Accept-Language": "en_XA"})
    content = box.messages[0].get_content()
    assert content.startswith("[Héllô Ann,")
    words = re.sub(r"http\S+", "", content).replace(ANN, "").replace("Ann", "")
    assert untranslated("".join(f"<p>{each}</p>" for each in words.split("\n\n"))) == []
    with desk.state.desk.database.writing() as session:
        ann_in(session).language = "de"
    ask(desk, client, **{"Accept-Language": "en_XA"})
    assert "[Héllô" not in box.messages[1].get_content()


def test_a_server_that_takes_nothing_fails_no_request(desk, client, box, caplog):
    box.is_broken = True
    assert ask(desk, client).status_code == 303
    assert "could not be sent" in caplog.text
    assert ANN not in caplog.text
    box.is_broken = False
    sent_link(desk, client, box)


def test_only_the_hash_of_the_key_is_stored_and_the_log_has_none(desk, client, box):
    key = sent_link(desk, client, box).partition("key=")[2]
    with desk.state.desk.database.reading() as session:
        row = session.scalars(select(PasswordReset)).one()
        assert row.key_hash != key
        assert timedelta(minutes=59) < row.expires_at - now() <= timedelta(minutes=60)
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "password reset asked for")).all()
    assert [(each.subject, each.person_id, each.address) for each in entries] == [(ANN, None, "testclient")]
    assert key not in str([(each.subject, each.details) for each in entries])


@pytest.mark.parametrize("settings", [{}, {"smtp_host": "mail.example.com"}, {"public_url": URL}])
def test_without_a_server_or_an_address_there_is_no_such_thing(tmp_path, settings):
    app = create_app(Workspace(tmp_path), Config(app=App(**settings)))
    with TestClient(app, follow_redirects=False) as browser:
        assert "Forgot" not in browser.get("/sign-in").text
        for path in ("/password/forgot", "/password/new?key=x"):
            assert browser.get(path).status_code == 404
        assert browser.post("/password/forgot", data={"email": ANN}).status_code == 404
        assert browser.post("/password/new", data={"new": NEW}).status_code == 404
    app.state.desk.database.close()


@pytest.mark.parametrize(
    ("settings", "error", "why"),
    [
        ({"smtp_from": ""}, ConfigError, "app.smtp_from is no e-mail address"),
        ({"smtp_user": "desk", "smtp_security": "none"}, ConfigError, "sent as plain text"),
        ({"smtp_user": "desk"}, CRMSignInError, "no secret smtp_password"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(tmp_path, monkeypatch, settings, error, why):
    monkeypatch.setenv("WINPREDICT_SECRETS", str(tmp_path / "none.yaml"))
    asked = {"public_url": URL, "smtp_host": "mail.example.com", "smtp_from": "desk@example.com"} | settings
    with pytest.raises(error, match=re.escape(why)):
        create_app(Workspace(tmp_path), Config(app=App(**asked)))


@pytest.mark.parametrize(
    ("security", "calls"),
    [
        ("starttls", ["SMTP mail.example.com 25", "starttls", "login desk hidden-from-all", "send ann@example.com"]),
        ("tls", ["SMTP_SSL mail.example.com 25", "login desk hidden-from-all", "send ann@example.com"]),
    ],
)
def test_the_password_of_the_server_is_sent_only_once_the_connection_is_encrypted(monkeypatch, security, calls):
    """And the certificate is looked at."""
    done = []

    class Server:
        def __init__(self, name, host, port, *, context=None, **_):
            done.append(f"{name} {host} {port}")
            self.check(context)

        def check(self, context):
            assert context is None or (context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED)

        def starttls(self, *, context):
            done.append("starttls")
            self.check(context)

        def login(self, user, password):
            done.append(f"login {user} {password}")

        def send_message(self, message):
            done.append(f"send {message['To']}")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    for name in ("SMTP", "SMTP_SSL"):
        monkeypatch.setattr(smtplib, name, partial(Server, name))
    monkeypatch.setenv("WINPREDICT_SMTP_PASSWORD", "hidden-from-all")
    settings = App(
        public_url=URL, smtp_host="mail.example.com", smtp_port=25, smtp_security=security, smtp_user="desk",
        smtp_from="desk@example.com",
    )  # fmt: skip
    Mailer(settings).send(ANN, "Hello", "words")
    assert done == calls


@pytest.mark.parametrize(
    "path", ["/sign-in?done=reset", "/password/forgot", "/password/forgot?done=1", "/password/new"]
)
def test_every_word_is_a_message(desk, client, box, path):
    pseudo = {"Accept-Language": "en_XA"}
    assert untranslated(client.get(path, headers=pseudo).text) == []
    client.get(sent_link(desk, client, box))
    assert untranslated(client.get("/password/new", headers=pseudo).text, [ANN]) == []
