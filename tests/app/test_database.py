"""The app's database, as a file of SQLite and on a real PostgreSQL server."""

import multiprocessing
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from desk_databases import PASSWORD, postgres_databases, sqlite_database

import winpredict.app.database
from winpredict.app.database import open_database
from winpredict.app.people import add_person, hashed_key, now, session_of, sign_in
from winpredict.app.records import ApiToken, AuditEntry, Base, Person, Role, Setting
from winpredict.errors import ConfigError, WorkspaceError

KINDS = ["sqlite", "postgresql"]


@pytest.fixture(scope="module")
def new_postgres():
    with postgres_databases() as new:
        yield new


@pytest.fixture(params=KINDS)
def url(request, tmp_path) -> str:
    """The address of an empty database."""
    return sqlite_database(tmp_path) if request.param == "sqlite" else request.getfixturevalue("new_postgres")()


@pytest.fixture
def database(url, tmp_path):
    opened = open_database(url, tmp_path)
    yield opened
    opened.close()


def test_an_empty_database_gets_the_tables_of_the_models(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() is not None


def test_opening_it_again_keeps_what_is_there(database, url, tmp_path):
    with database.writing() as session:
        add_person(session, "ann@example.com", "Ann", Role.REP)
    again = open_database(url, tmp_path)
    with again.reading() as session:
        assert session.scalars(sa.select(Person.email)).all() == ["ann@example.com"]
    again.close()


def test_whoever_is_there_stays_when_tables_are_brought_up_to_date(url, tmp_path, monkeypatch):
    """SQLite makes some tables anew; with that of people their sessions and keys would go."""
    upgrade = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr("alembic.command.upgrade", lambda config, _: upgrade(config, "0004"))
        former = open_database(url, tmp_path)
    day, later = "2026-01-01 00:00:00+00:00", "2999-01-01 00:00:00+00:00"
    with former.engine.begin() as connection:
        for statement in (
            f"INSERT INTO person (id, email, name, role, active, created_at)"
            f" VALUES (7, 'ann@example.com', 'Ann', 'rep', true, '{day}')",
            f"INSERT INTO session VALUES ('{hashed_key('key')}', 7, 'token', '{day}', '{later}')",
            f"INSERT INTO api_token VALUES (1, 7, 'key', 'hash', '[\"read\"]', '{day}', NULL, NULL)",
            f"INSERT INTO audit_entry VALUES (1, '{day}', 7, 'signed in', 'ann@example.com', '{{}}')",
        ):
            connection.exec_driver_sql(statement)
    former.close()
    opened = open_database(url, tmp_path)
    with opened.reading() as session:
        found = session_of(session, "key", timedelta(hours=1))
        assert (found.person.email, found.browser, found.address, found.by_password) == (
            "ann@example.com",
            "",
            "",
            True,
        )
        assert abs(found.last_seen_at - now()) < timedelta(minutes=1)
        assert found.person.password_must_change is False
        assert session.get(ApiToken, 1).person_id == 7
        assert session.get(AuditEntry, 1).address == ""
    with opened.engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(winpredict.app.database.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        assert connection.scalar(sa.text("SELECT count(*) FROM session JOIN person ON person.id = person_id")) == 1
        assert connection.scalar(sa.text("SELECT count(*) FROM api_token")) == 1
    opened.close()


def test_several_workers_open_an_empty_database_at_once(url, tmp_path):
    forked = multiprocessing.get_context("fork")  # which need not import everything anew
    workers = [forked.Process(target=_open, args=(url, tmp_path)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 3


def _open(url: str, folder: Path) -> None:
    open_database(url, folder).close()


def test_a_database_of_a_later_version_is_left_alone(database, url, tmp_path):
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match="written by a later winpredict"):
        open_database(url, tmp_path)
    with database.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_nothing_half_done(url, tmp_path, monkeypatch):
    monkeypatch.setattr("alembic.op.create_index", _fail)
    monkeypatch.setattr("alembic.operations.BatchOperations.create_index", _fail)
    with pytest.raises(RuntimeError):
        open_database(url, tmp_path)
    monkeypatch.undo()
    opened = open_database(url, tmp_path)
    with opened.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    opened.close()


def _fail(*_, **__):
    raise RuntimeError("the power is out")


@pytest.mark.parametrize(
    "unreachable",
    [
        f"postgresql://me:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:9/desk",
        "sqlite:////nowhere/at/all/app.db",
    ],
)
def test_a_database_that_cannot_be_reached_is_told_without_its_password(tmp_path, unreachable):
    with pytest.raises(WorkspaceError, match="cannot be used") as error:
        open_database(unreachable, tmp_path)
    assert "p%40ss" not in str(error.value)
    assert PASSWORD not in str(error.value)


@pytest.mark.parametrize("other", ["mysql://localhost/desk", "duckdb:///desk", "desk.db", "env:not a name"])
def test_other_databases_are_refused(tmp_path, other):
    with pytest.raises(ConfigError):
        open_database(other, tmp_path)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "app.db").write_text("these are not the tables you are looking for" * 100)
    with pytest.raises(WorkspaceError, match="cannot be used"):
        open_database("", tmp_path)


def test_the_file_is_its_owners_alone_and_readers_do_not_wait(tmp_path):
    opened = open_database("", tmp_path)
    with opened.writing() as session:
        session.add(Setting(name="a", value="b"))
        session.flush()
        for each in tmp_path.iterdir():
            assert each.stat().st_mode & 0o077 == 0, each.name
        with opened.reading() as reader:
            assert reader.get(Setting, "a") is None
    with sqlite3.connect(tmp_path / "app.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    opened.close()


def test_writers_take_turns(database):
    """What a writer has looked up is still true when it writes."""
    with database.writing() as session:
        session.add(Setting(name="count", value="0"))

    def add_one(_):
        with database.writing() as session:
            setting = session.get(Setting, "count")
            setting.value = str(int(setting.value) + 1)

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(add_one, range(60)))
    with database.reading() as session:
        assert session.get(Setting, "count").value == "60"


def test_a_reader_sees_one_state(database):
    with database.writing() as session:
        session.add(Setting(name="a", value="before"))
    with database.reading() as reader:
        assert reader.get(Setting, "a").value == "before"
        with database.writing() as session:
            session.get(Setting, "a").value = "after"
            session.add(Setting(name="b", value="after"))
        reader.expire_all()
        assert reader.get(Setting, "a").value == "before"
        assert reader.get(Setting, "b") is None
    with database.reading() as reader:
        assert reader.get(Setting, "a").value == "after"


def test_what_fails_is_not_stored_and_lets_the_next_one_write(database):
    def fail():
        with database.writing() as session:
            add_person(session, "ann@example.com", "Ann", Role.REP)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.writing() as session:
        assert session.scalars(sa.select(Person)).all() == []
        person = add_person(session, "ann@example.com", "Ann", Role.REP)
        assert sign_in(session, person, 1.0).session.expires_at > now()


def test_moments_come_back_in_utc(database):
    moment = now()
    with database.writing() as session:
        person = add_person(session, "ann@example.com", "Ann", Role.REP)
        person.created_at = moment
    with database.reading() as session:
        assert session.scalar(sa.select(Person.created_at)) == moment
        assert session.scalar(sa.select(Person.created_at)).tzinfo is not None


def test_a_reader_that_forgets_to_end_does_not_stop_writers(database):
    begun, done = threading.Event(), threading.Event()

    def read_on():
        with database.reading() as session:
            session.scalars(sa.select(Setting)).all()
            begun.set()
            done.wait(20)

    reader = threading.Thread(target=read_on)
    reader.start()
    begun.wait(20)
    with database.writing() as session:
        session.add(Setting(name="a", value="b"))
    done.set()
    reader.join()


def test_queries_are_not_compiled_and_options_of_the_address_stay(new_postgres, tmp_path):
    database = open_database(f"{new_postgres()}?options=-c%20statement_timeout%3D54321", tmp_path)
    with database.reading() as session:
        assert session.scalar(sa.text("show jit")) == "off"
        assert session.scalar(sa.text("show statement_timeout")) == "54321ms"
    database.close()
