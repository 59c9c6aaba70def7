"""The audit log: what is written down, how often, for how long, and how it is exported."""

import csv
import io
from datetime import timedelta

import pytest
from desk_access import try_password
from desk_databases import postgres_databases, sqlite_database
from desk_world import PASSWORD, PEOPLE, client_of, csrf_token
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from winpredict.app.audit_log import (
    FAILURES_AN_ADDRESS,
    FAILURES_AN_HOUR,
    asked_from,
    audit,
    audit_failure,
    client_address,
    exported,
    forget_old_entries,
)
from winpredict.app.database import open_database
from winpredict.app.latest import publish_latest
from winpredict.app.people import add_person, make_token, now
from winpredict.app.records import AuditEntry, Person, Role
from winpredict.config import App

WRONG = "wrong horse battery"


@pytest.fixture(scope="module")
def new_postgres():
    with postgres_databases() as new:
        yield new


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    url = sqlite_database(tmp_path) if request.param == "sqlite" else request.getfixturevalue("new_postgres")()
    opened = open_database(url, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def added(app):
    """What is written down in a block: ``with added() as entries: ...``, as (person, action, subject, details)."""
    with app.state.desk.database.reading() as session:
        last = session.scalar(select(func.max(AuditEntry.id))) or 0

    def since():
        app.state.desk.notes.settle()
        with app.state.desk.database.reading() as session:
            found = session.scalars(select(AuditEntry).where(AuditEntry.id > last).order_by(AuditEntry.id)).all()
            return [
                (each.person.email if each.person else None, each.action, each.subject, each.details, each.address)
                for each in found
            ]

    return since


def test_signing_in_and_out(app, added):
    rep = PEOPLE["rep"][0]
    with TestClient(app, client=("192.0.2.7", 1), follow_redirects=False) as client:
        assert try_password(client, "  Nobody@Example.com ", WRONG) == 401
        assert try_password(client, rep, WRONG) == 401
        client.headers["user-agent"] = "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/140.0"
        assert try_password(client, rep) == 303
        token = csrf_token(client.get("/account").text)
        client.post("/sign-out", data={"csrf_token": token})
    assert added() == [
        (None, "sign-in failed", "nobody@example.com", {}, "192.0.2.7"),
        (None, "sign-in failed", rep, {}, "192.0.2.7"),
        (rep, "signed in", rep, {"browser": "Firefox, Windows"}, "192.0.2.7"),
        (rep, "signed out", rep, {}, "192.0.2.7"),
    ]


def test_a_wrong_password_on_the_account_page_counts(app, added):
    rep = PEOPLE["other_rep"][0]
    with client_of(app, rep) as client:
        form = {"csrf_token": csrf_token(client.get("/account").text), "current": WRONG, "new": "x", "again": "x"}
        assert client.post("/account/password", data=form).status_code == 409
    assert added()[-1][1:3] == ("sign-in failed", rep)


def test_a_flood_of_wrong_passwords_fills_no_table(database):
    def failures() -> list[AuditEntry]:
        with database.reading() as session:
            return list(session.scalars(select(AuditEntry).order_by(AuditEntry.id)))

    with database.writing() as session, asked_from("192.0.2.1"):
        for number in range(FAILURES_AN_ADDRESS + 5):
            audit_failure(session, f"{number}@example.com", waits=number > 5)
    assert [each.subject for each in failures()] == [f"{n}@example.com" for n in range(FAILURES_AN_ADDRESS)]
    assert failures()[0].details == {}
    assert failures()[6].details == {"refused": "too many"}
    assert failures()[-1].details == {"refused": "too many", "further": "left out"}
    with database.writing() as session, asked_from("192.0.2.2"):
        audit_failure(session, "x" * 1000)
    assert failures()[-1].subject == "x" * 300
    with database.writing() as session:
        for each in session.scalars(select(AuditEntry)):
            each.at -= timedelta(minutes=61)
        with asked_from("192.0.2.1"):
            audit_failure(session, "later@example.com")
    assert failures()[-1].subject == "later@example.com"


def test_a_flood_from_everywhere_fills_no_table(database):
    with database.writing() as session:
        for number in range(FAILURES_AN_HOUR + 3):
            with asked_from(f"10.1.{number // 256}.{number % 256}"):
                audit_failure(session, "ann@example.com")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == FAILURES_AN_HOUR


def test_what_people_take_away(app, signed_in, added):
    rep, manager = signed_in("rep"), signed_in("manager")
    rows = len(list(csv.DictReader(io.StringIO(rep.get("/deals.csv").text))))
    for address in ("/pipeline/deals.csv?of=stalled", "/drivers/deals.csv?of=created", "/drivers/report.html"):
        for _ in range(200):
            answer = manager.get(address)
            if answer.status_code == 200:
                break
            assert answer.status_code == 303  # it is being made
        assert answer.status_code == 200
    exports = [each for each in added() if each[1] != "signed in"]
    assert exports[0] == (PEOPLE["rep"][0], "deals exported", "deals.csv", {"rows": rows}, "testclient")
    assert rows > 0
    manager_email = PEOPLE["manager"][0]
    assert [each[:3] for each in exports[1:]] == [
        (manager_email, "deals exported", "pipeline/deals.csv"),
        (manager_email, "deals exported", "drivers/deals.csv"),
        (manager_email, "report downloaded", "drivers.html"),
    ]


def test_what_programs_read_is_written_down_once_an_hour(app, anybody, added):
    with app.state.desk.database.writing() as session:
        rep = session.scalars(select(Person).where(Person.email == PEOPLE["rep"][0])).one()
        keys = [make_token(session, rep, "key", ["read"]) for _ in range(2)]
    for key, _ in keys:
        for _ in range(3):
            for path in ("/api/v1/deals", "/api/v1/scores"):
                assert anybody.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    found = [(each[2], each[3]) for each in added() if each[1] == "read by API"]
    numbers = [token.id for _, token in keys]
    assert found == [(path, {"key": n}) for n in numbers for path in ("/api/v1/deals", "/api/v1/scores")]


def test_publishing(app, workspace, added):
    from winpredict.app.publishing import publish

    scores = workspace.latest_scores()
    other = scores.assign(win_probability=scores["win_probability"] * 0.9)
    database = app.state.desk.database
    number = publish(database, workspace.crm(), other)
    assert publish(database, workspace.crm(), other) == number  # the same is nothing new
    facts = {"deals": len(scores), "model": "1"}
    assert added() == [(None, "scores published", f"run {number}", facts, "")]


def test_old_entries_are_deleted_and_that_is_written_down(database, tmp_path):
    with database.writing() as session:
        for number in range(5):
            audit(session, None, "signed in", f"{number}@example.com", {})
        session.flush()
        for number, each in enumerate(session.scalars(select(AuditEntry).order_by(AuditEntry.id))):
            each.at = now() - timedelta(days=400 - number, minutes=1)
    assert forget_old_entries(database, 398) == 3
    with database.reading() as session:
        left = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [each.subject for each in left[:2]] == ["3@example.com", "4@example.com"]
    assert (left[2].action, left[2].details) == ("audit log pruned", {"entries": 3})
    assert left[2].subject == f"{now() - timedelta(days=398):%Y-%m-%d}"
    assert len(left) == 3
    assert forget_old_entries(database, 398) == 0
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 3


def test_publishing_deletes_old_entries(app, workspace):
    database = app.state.desk.database
    with database.writing() as session:
        audit(session, None, "signed in", "long-ago@example.com", {})
        session.flush()
        old = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        old.at = now() - timedelta(days=11)

    def is_kept() -> bool:
        with database.reading() as session:
            return session.scalar(select(AuditEntry.id).where(AuditEntry.subject == "long-ago@example.com")) is not None

    publish_latest(database, workspace, App(audit_days=12))
    assert is_kept()
    publish_latest(database, workspace, App(audit_days=10))
    assert not is_kept()


def test_the_log_is_exported_by_admins_and_harmless(app, signed_in):
    with app.state.desk.database.writing() as session:
        with asked_from("192.0.2.1"):
            audit_failure(session, "=cmd|' /c calc'!a1@example.com")
        add_person(session, "+1@example.com", "Plus", Role.REP, password=PASSWORD)
    admin = signed_in("admin")
    assert 'href="/audit.csv"' in admin.get("/people/log").text
    answer = admin.get("/audit.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert answer.headers["cache-control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == ["id", "at", "person", "address", "action", "subject", "details"]
    failed, person = rows[-2:] if rows[-1]["action"] == "person added" else rows[-3:-1]
    assert (failed["action"], failed["address"]) == ("sign-in failed", "192.0.2.1")
    assert failed["subject"] == "'=cmd|' /c calc'!a1@example.com"
    assert (person["subject"], person["details"]) == ("'+1@example.com", '{"role": "rep"}')
    # that it was taken away is on record too
    again = list(csv.DictReader(io.StringIO(admin.get("/audit.csv").text)))
    assert (again[-1]["action"], again[-1]["person"]) == ("audit log exported", "admin@example.com")
    assert again[-1]["details"] == f'{{"rows": {len(rows)}}}'
    today = f"{now():%Y-%m-%d}"
    assert len(list(csv.DictReader(io.StringIO(admin.get(f"/audit.csv?since={today}&until={today}").text)))) > 3
    before = f"{now() - timedelta(days=1):%Y-%m-%d}"
    assert list(csv.DictReader(io.StringIO(admin.get(f"/audit.csv?until={before}").text))) == []
    assert admin.get("/audit.csv?since=yesterday").status_code == 422
    for who in ("rep", "manager", "scientist"):
        assert signed_in(who).get("/audit.csv").status_code == 403


def test_failures_are_shown_without_a_name(app, signed_in):
    with app.state.desk.database.writing() as session, asked_from("192.0.2.99"):
        audit_failure(session, "somebody@example.com")
    page = signed_in("admin").get("/people/log").text
    row = page[page.index("Sign-in failed") - 200 : page.index("192.0.2.99") + 20]
    assert "command line" not in row
    assert "somebody@example.com" in row


def test_the_export_takes_moments(database):
    with database.writing() as session:
        for number in range(3):
            audit(session, None, "signed in", str(number), {})
        session.flush()
        for number, each in enumerate(session.scalars(select(AuditEntry).order_by(AuditEntry.id))):
            each.at = now() - timedelta(days=3 - number)
        middle = now() - timedelta(days=2, minutes=1)
        last = now() - timedelta(days=1, minutes=1)
    with database.reading() as session:
        assert [each["subject"] for each in exported(session, middle)] == ["1", "2"]
        assert [each["subject"] for each in exported(session, None, last)] == ["0", "1"]
        assert [each["subject"] for each in exported(session, middle, last)] == ["1"]


def test_the_address_ends_with_the_request():
    assert client_address() == ""
    with asked_from("a" * 100):
        assert client_address() == "a" * 64
    assert client_address() == ""


def test_a_letter_that_no_database_takes(database):
    with database.writing() as session:
        audit_failure(session, "a\x00b\ud800@example.com")
    with database.reading() as session:
        assert session.scalars(select(AuditEntry.subject)).all() == ["ab?@example.com"]
