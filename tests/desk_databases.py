"""Databases of the win desk for tests: a file of SQLite, and a PostgreSQL server that is started for them."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from postgres_server import postgres_server

PASSWORD = "p@ss:word/of the desk"


@contextmanager
def postgres_databases() -> Iterator[Callable[[], str]]:
    """Makes addresses of new, empty databases of a server of its own."""
    with postgres_server(PASSWORD) as address:
        server = f"postgresql://me:{quote(PASSWORD, safe='')}@{address}"
        engine = sa.create_engine(
            f"{server}/postgres".replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )

        def new() -> str:
            name = f"desk_{secrets.token_hex(4)}"
            with engine.connect() as connection:
                connection.execute(sa.text(f"create database {name}"))
            return f"{server}/{name}"

        yield new
        engine.dispose()


def sqlite_database(folder: Path) -> str:
    """The address of a new file."""
    return f"sqlite:///{folder / secrets.token_hex(4)}.db"
