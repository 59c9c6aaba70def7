"""The app's database: SQLite in the workspace by default, PostgreSQL for several workers."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import ORMExecuteState, sessionmaker
from sqlalchemy.orm import Session as DatabaseSession

from winpredict._internal.private import keep_all_private, make_folder
from winpredict.app.records import LISTS_MARK, CrmUser, Score, ScoringRun, Setting
from winpredict.app.shown_deals import KEPT, KeptDeals
from winpredict.connectors.warehouse.reader import address_of
from winpredict.errors import ConfigError, WorkspaceError
from winpredict.locale.text import text

FILE = "app.db"
_BUSY_MS = 15_000
#: How a writing transaction begins. SQLite's takes the lock at once: two readers that both want to write would end in
#: "locked". PostgreSQL's must see what was written while it waited for its turn.
_WRITING: dict[str, dict[str, Any]] = {
    "sqlite": {"begin": "IMMEDIATE"},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}
#: As many connections as requests are worked on at a time (40 threads of a worker) and a few: those who wait for one
#: are served in no order, so that with fewer some would wait for ever. PostgreSQL allows 100 unless told otherwise.
_POOL: dict[str, Any] = {"pool_size": 5, "max_overflow": 40}
_TURN = 0x77696E  # any number that other users of a shared database do not lock
#: Tables whose rows decide what lists show.
_LISTED = (Score, CrmUser, ScoringRun)
_LISTED_NAMES = frozenset(each.__tablename__ for each in _LISTED)
# at DEBUG it writes down every row that is read, such as the key that cookies are signed with, and at INFO every
# statement, which costs each request a tenth of a millisecond even where nobody keeps it
logging.getLogger("sqlalchemy.engine").setLevel(logging.WARNING)


class Database:
    """Connections to the app's database, its tables brought up to date.

    Parameters
    ----------
    engine : Engine

    Examples
    --------
    >>> import tempfile
    >>> database = open_database("", Path(tempfile.mkdtemp()))
    >>> with database.reading() as session:
    ...     session.get_bind().dialect.name
    'sqlite'
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)
        self._kept = KeptDeals()

    @contextmanager
    def reading(self) -> Iterator[DatabaseSession]:
        """A session that sees one state of the database and changes nothing."""
        with self._sessions(info={KEPT: self._kept}) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[DatabaseSession]:
        """A session whose changes are stored together when the block ends, or not at all.

        One writes at a time, whichever the database: what a writer has looked up stays true until it has written.
        """
        with self._sessions() as session, session.begin():
            _take_turn(session.connection(execution_options=_WRITING[session.get_bind().dialect.name]))
            _mark_changes_of_lists(session)
            yield session

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def open_database(url: str, workspace: Path) -> Database:
    """Connect, and bring the tables up to date.

    Parameters
    ----------
    url : str
        An SQLAlchemy address (postgresql://...), or ``env:NAME`` for the one in an environment variable; empty for
        ``app.db`` in the workspace.
    workspace : Path

    Raises
    ------
    ConfigError
        When the address is none.
    WorkspaceError
        When the database cannot be reached or migrated.
    """
    from alembic.util import CommandError

    address = _address(url, workspace)
    told = address.render_as_string(hide_password=True)
    if address.get_backend_name() not in _WRITING:
        raise ConfigError(text("the app's database is SQLite or PostgreSQL; {told} is neither", told=told))
    # what is stored stays out of messages and logs
    engine = create_engine(address, hide_parameters=True, **_options(address))
    try:
        if address.get_backend_name() == "sqlite":
            _keep_private(address)
            _prepare_sqlite(engine)
        else:
            _prepare_postgresql(engine)
        _migrate(engine)
    except (DatabaseError, OSError) as error:
        raise WorkspaceError(
            text("the app's database {told} cannot be used: {cause}", told=told, cause=error.__cause__ or error)
        ) from None
    except CommandError:
        raise WorkspaceError(
            text(
                "the app's database {told} was written by a later winpredict; use that one, or a copy from before",
                told=told,
            )
        ) from None
    return Database(engine)


def _address(url: str, workspace: Path) -> URL:
    if not url:
        make_folder(workspace, private=True)
        return URL.create("sqlite", database=str(workspace / FILE))
    return address_of(url, ConfigError)


def _options(address: URL) -> dict[str, Any]:
    if address.get_backend_name() == "sqlite":
        return _POOL | {"connect_args": {"timeout": _BUSY_MS / 1000, "check_same_thread": False}}
    return _POOL | {"pool_pre_ping": True, "isolation_level": "REPEATABLE READ"}


def _keep_private(address: URL) -> None:
    """Let nobody but the owner read the file, a restored one too; SQLite gives the files beside it the same mode."""
    if address.database and address.database != ":memory:":
        os.close(os.open(address.database, os.O_CREAT | os.O_RDWR, 0o600))
        keep_all_private(Path(f"{address.database}{ending}") for ending in ("", "-wal", "-shm"))


def _mark_changes_of_lists(session: DatabaseSession) -> None:
    """Leave a new mark in the database if a session, however it does, writes what lists show."""
    changed = False

    @event.listens_for(session, "do_orm_execute")
    def executed(state: ORMExecuteState) -> None:
        nonlocal changed
        name = getattr(getattr(state.statement, "table", None), "name", None)
        # a statement as text may change anything
        changed |= not state.is_select and (name is None or name in _LISTED_NAMES)

    @event.listens_for(session, "after_flush")
    def flushed(session: DatabaseSession, context: Any) -> None:
        nonlocal changed
        changed |= any(isinstance(row, _LISTED) for row in (*session.new, *session.dirty, *session.deleted))

    @event.listens_for(session, "before_commit")
    def ends(session: DatabaseSession) -> None:
        session.flush()
        if changed:
            session.merge(Setting(name=LISTS_MARK, value=secrets.token_hex(8)))


def _take_turn(connection: Connection) -> None:
    """Wait until no other writes; the turn ends with the transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")


def _prepare_sqlite(engine: Engine) -> None:
    """Readers that do not wait for the writer (WAL), transactions begun by us and not by the driver, foreign keys."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={_BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        kind = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")


def _prepare_postgresql(engine: Engine) -> None:
    """Queries that are not compiled: that takes 0.3 s each time, and a hierarchy is always taken for a large one."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        # as a statement: among the options of the address it would replace others, and poolers refuse it there
        connection.execute("SET jit = off")
        connection.commit()


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    options = _WRITING[engine.dialect.name]
    with engine.connect().execution_options(**options) as connection, connection.begin():
        _take_turn(connection)  # several workers start at once
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
