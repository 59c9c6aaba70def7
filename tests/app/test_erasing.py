"""Who is erased is in no row of the desk's database, and in no byte of its file."""

import json
import sqlite3
from contextlib import closing

import pandas as pd
import pytest
from desk_databases import postgres_databases
from kept_values import found_in
from sqlalchemy import select
from typer.testing import CliRunner

from winpredict import CRMData
from winpredict.app.database import open_database
from winpredict.app.erasing import DeskData
from winpredict.app.people import add_person, audit, make_token, now, sign_in
from winpredict.app.publishing import publish
from winpredict.app.records import AuditEntry, Base, CrmUser, Feedback, Person, Role, Score, SignInAttempt
from winpredict.cli import app
from winpredict.errors import WinPredictError, WorkspaceBusyError
from winpredict.explain.scores import REASONS
from winpredict.workflows.erasing import erase, personal_data
from winpredict.workspace import Workspace


@pytest.fixture(scope="module")
def new_postgres():
    with postgres_databases() as new:
        yield new


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    return "" if request.param == "sqlite" else request.getfixturevalue("new_postgres")()


@pytest.fixture(scope="module")
def company(world) -> CRMData:
    crm = world.crm
    users = crm.users.assign(
        name=[f"Quirina van der Zee {n}" for n in range(len(crm.users))],
        email=[f"q{n}@example.com" for n in range(len(crm.users))],
    )
    accounts = crm.accounts.assign(name=[f"Karsten Foundry {n}" for n in range(len(crm.accounts))])
    names = crm.deals["account_id"].map(accounts.set_index("account_id")["name"])
    tables = {name: frame for name, frame in crm.tables() if name not in ("deals", "users", "accounts")}
    deals = crm.deals.assign(name="Renewal of " + names)
    made = CRMData.from_tables(deals, users=users, accounts=accounts, **tables, stage_order=crm.stage_order)
    return made.as_known_at(crm.known_until)


@pytest.fixture
def workspace(tmp_path, company) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    with workspace.writing():
        workspace.save_import(company, profile="generic")
    return workspace


@pytest.fixture
def database(workspace, company, url):
    """Published, with a rep who signed in and told something, and a boss who does not forget."""
    opened = open_database(url, workspace.folder)
    user = company.users.iloc[0]
    deals = company.deals.loc[company.deals["outcome"] == "open", ["deal_id"]].reset_index(drop=True)
    odds = dict.fromkeys(("win_probability", "p_win_30d", "p_win_quarter"), 0.5)
    reasons = {f"reason_{number + 1}": f"Owner: {user['name']}" for number in range(REASONS)}
    moments = {"as_of": company.known_until, "scored_at": pd.Timestamp("2026-01-01", tz="UTC")}
    scores = deals.assign(**odds, low=0.05, high=0.95, band="likely", model_version="1", **reasons, **moments)
    publish(opened, company, scores)
    with opened.writing() as session:
        boss = add_person(session, "boss@example.com", "Bea Boss", Role.ADMIN)
        rep = add_person(session, "quirina@example.com", "Quirina", Role.REP, crm_user_id=user["user_id"], by=boss)
        sign_in(session, rep, 1.0)
        make_token(session, rep, "key of quirina@example.com", ["read"])
        session.add(SignInAttempt(email=rep.email, address="10.0.0.1", at=now(), succeeded=False))
        for person, words in ((rep, "mine"), (boss, f"{user['name']} says no, so does q0@example.com")):
            session.add(
                Feedback(deal_id=deals["deal_id"][0], person_id=person.id, kind="other", text=words, created_at=now())
            )
        audit(session, boss, "role changed", rep.email, {"crm_user_id": [None, user["user_id"]]})
    yield opened
    opened.close()


def erased(workspace, database, *subject):
    with workspace.writing():
        return erase(workspace, *subject, places=[DeskData(database)])


def rows(database):
    with database.reading() as session:
        tables = {each.name: session.execute(select(each)).mappings().all() for each in Base.metadata.sorted_tables}
        return {name: [dict(row) for row in found] for name, found in tables.items()}


def held(database, *values):
    words = json.dumps(rows(database), default=str, ensure_ascii=False).casefold()
    return [value for value in values if value.casefold() in words]


def test_a_user_leaves_with_their_account_and_words(workspace, database, company):
    user = company.users.iloc[0]
    values = (user["user_id"], user["name"], user["email"], "quirina@example.com", "10.0.0.1")
    assert held(database, *values) == list(values)
    runs = len(rows(database)["score"])
    receipt = erased(workspace, database, "user", user["user_id"])
    assert receipt.found["database"] > 0
    assert held(database, *values, "Quirina ") == ["Quirina "]  # the other users
    assert found_in(workspace.folder, *values) == {}
    with database.reading() as session:
        assert [each.email for each in session.scalars(select(Person))] == ["boss@example.com"]
        pseudonym = session.scalar(select(CrmUser.user_id).where(CrmUser.user_id.contains("erased-")))
        said = session.scalars(select(Feedback.text)).all()
        assert said == [f"{pseudonym} says no, so does [erased]"]
        assert session.scalar(select(Score.owner_id).where(Score.owner_id == pseudonym).limit(1))
        subjects = session.scalars(select(AuditEntry.subject).where(AuditEntry.action == "role changed")).all()
        assert subjects == ["[erased]"]
    assert len(rows(database)["score"]) == runs


def test_an_account_and_the_names_of_its_deals_leave(workspace, database, company):
    account = company.deals.loc[company.deals["outcome"] == "open", "account_id"].iloc[0]
    name = company.accounts.set_index("account_id")["name"][account]
    before = rows(database)["score"]
    assert sum(row["account"] == name for row in before)
    erased(workspace, database, "account", account)
    assert not any(row["account"] == name or f"{row['name']} ".endswith(f" {name} ") for row in rows(database)["score"])
    others = [row for row in before if row["account"] != name]
    assert [row for row in rows(database)["score"] if row["account"] is not None] == others


@pytest.mark.parametrize("url", [""])
def test_a_database_that_is_being_read_is_told_of_and_done_the_next_time(
    workspace, database, company, url, monkeypatch
):
    monkeypatch.setattr("winpredict.app.database._BUSY_MS", 100)
    impatient = open_database(url, workspace.folder)
    user = company.users.iloc[0]
    with closing(sqlite3.connect(workspace.folder / "app.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM score").fetchone()
        with pytest.raises(WorkspaceBusyError, match="is in use, so that bytes of what was erased are left"):
            erased(workspace, impatient, "user", user["user_id"])
    erased(workspace, impatient, "user", user["user_id"])
    assert found_in(workspace.folder, user["user_id"], user["name"], "quirina@example.com") == {}
    impatient.close()


def test_the_last_admin_stays(workspace, database, company):
    user = company.users["user_id"].iloc[1]
    with database.writing() as session:
        session.scalars(select(Person).where(Person.role == Role.ADMIN)).one().crm_user_id = user
    with pytest.raises(WinPredictError, match="is the only admin"):
        erased(workspace, database, "user", user)
    assert held(database, user)
    assert not (workspace.folder / "erased.json").exists()


def test_what_is_kept_of_somebody_is_told_without_secrets(workspace, database, company):
    user = company.users.iloc[0]
    found = personal_data(workspace, "user", user["user_id"], places=[DeskData(database)])["database"]
    assert [row["email"] for row in found["desk/person"]] == ["quirina@example.com"]
    assert len(found["desk/feedback"]) == 2
    assert not any("hash" in name for each in found.values() for row in each for name in row)


@pytest.mark.parametrize("url", [""], indirect=False)
def test_the_commands_work_on_the_desk_too(workspace, database, company, tmp_path, url):
    user = company.users.iloc[0]
    out = tmp_path / "user.json"

    def run(*command, code=0):
        done = CliRunner().invoke(app, [*map(str, command), "--workspace", str(workspace.folder)])
        assert done.exit_code == code, done.output
        return done.output

    run("export-personal", "--user", user["user_id"], "--out", out)
    assert "desk/person" in json.loads(out.read_text())["database"]
    assert out.stat().st_mode & 0o077 == 0
    assert "Would be erased" in run("erase", "--user", user["user_id"], "--dry-run")
    assert "add --yes" in run("erase", "--user", user["user_id"], code=2)
    assert "Receipt:" in run("erase", "--user", user["user_id"], "--yes")
    database.close()
    assert found_in(workspace.folder, user["user_id"], user["name"], "quirina@example.com") == {}
    assert "name one of --contact, --user and --account" in run("erase", code=2)
    assert "nothing in" in run("erase", "--contact", "nobody", "--yes", code=2)
    with closing(sqlite3.connect(workspace.folder / "app.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
