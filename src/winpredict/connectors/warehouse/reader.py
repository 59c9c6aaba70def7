"""Tables of a warehouse as raw files: PostgreSQL, DuckDB, Snowflake or BigQuery, through SQLAlchemy."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import numpy as np
import pandas as pd

from winpredict.errors import InputFileError, WinPredictError
from winpredict.ingest.files import ENVIRONMENT_PREFIX, ROWS_A_PART, RawFile
from winpredict.ingest.profiles import Profile
from winpredict.ingest.wanted_rows import matches
from winpredict.locale.text import Text, text
from winpredict.tables.schema import text_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import URL, Connection

#: Rows that are fetched at a time.
_CHUNK = 20_000
#: What to install for a kind of warehouse.
_PACKAGES = {
    "postgresql": "winpredict[warehouse]",
    "duckdb": "winpredict[warehouse]",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
}
_SECRET = re.compile(r"pass|pwd|secret|token|key|credential", re.IGNORECASE)
_HIDDEN = "***"


def read_warehouse(
    url: str, profile: Profile, *, schema: str | None = None, in_parts: bool = False
) -> Iterator[RawFile]:
    """Read the tables and views that a profile maps.

    Parameters
    ----------
    url : str
        As SQLAlchemy has it, such as ``postgresql://me@host/crm``, or ``env:NAME`` for the one in an environment
        variable. Without a password in it, PostgreSQL's own ways count: PGPASSWORD, ~/.pgpass.
    profile : Profile
        Only tables whose names match one of its files are read.
    schema : str, optional
        By default the one that the connection starts in.
    in_parts : bool
        Yield large tables in several parts of the same path, of about `ROWS_A_PART` rows; the last one carries the hash
        of all.

    Yields
    ------
    RawFile
        One a table, with the values as the driver gives them. Neither its path nor any message carries a secret.

    Raises
    ------
    InputFileError
        When the warehouse cannot be reached or read, or has no table that the profile maps.
    """
    advice = text("see that the user may read the schema and its tables")
    with connected(url, InputFileError, advice=advice, only_reading=True) as connection:
        schema = schema or connection.dialect.default_schema_name
        for name in _mapped_tables(connection, profile, schema):
            where = f"{warehouse_name(url)}/{'.'.join(filter(None, (schema, name)))}"
            for frame, digest in _read(connection, name, schema, ROWS_A_PART if in_parts else None):
                yield RawFile(name, where, digest, frame)


def warehouse_name(url: str) -> str:
    """A warehouse for people: without user, password and options.

    Examples
    --------
    >>> warehouse_name("postgresql+psycopg://me:secret@host:5433/crm?sslmode=require")
    'postgresql://host:5433/crm'
    """
    return _name(address_of(url, InputFileError))


def _name(address: "URL") -> str:
    port = f":{address.port}" if address.port else ""
    return f"{address.get_backend_name()}://{address.host or ''}{port}/{address.database or ''}"


@contextmanager
def connected(
    url: str, failure: type[WinPredictError], *, advice: Text, only_reading: bool = False
) -> "Iterator[Connection]":
    """A connection, closed at the end; whatever its driver raises becomes a `failure` without secrets.

    Parameters
    ----------
    url : str
        See `read_warehouse`.
    failure : type
        The error to raise.
    advice : Text
        What to do when the database refuses a statement.
    only_reading : bool
        Opens a DuckDB file so that others can read it at the same time.

    Raises
    ------
    WinPredictError
    """
    from sqlalchemy.exc import SQLAlchemyError

    address = address_of(url, failure)
    connection = _open(address, failure, only_reading=only_reading)
    try:
        with connection:
            yield connection
    except SQLAlchemyError as error:
        told = text("{name}: {error}; {advice}", name=_name(address), error=_error_text(error, address), advice=advice)
        raise failure(told) from None


def address_of(url: str, failure: type[WinPredictError]) -> "URL":
    """The parsed URL. What does not parse is not repeated: nobody knows where in it the password stands."""
    written, where = _from_environment(url, failure)
    try:
        from sqlalchemy import make_url
    except ImportError:
        raise failure(text("a warehouse needs SQLAlchemy; run pip install 'winpredict[warehouse]'")) from None
    try:
        address = make_url(written)
    except Exception:  # SQLAlchemy's own errors, and ValueError for a port that is no number
        address = None
    if address is None or (address.password is not None and written.count("@") > 1):
        raise failure(
            text(
                "{where} cannot be understood; write it as postgresql://user@host:5432/database, with %40 for @, %3A "
                "for : and %2F for / inside user and password",
                where=where,
            )
        )
    # one driver, whichever of the names that other tools use stands there
    if address.drivername in ("postgres", "postgresql", "postgresql+psycopg2"):
        return address.set(drivername="postgresql+psycopg")
    return address


def _from_environment(url: str, failure: type[WinPredictError]) -> tuple[str, Text]:
    if not url.startswith(ENVIRONMENT_PREFIX):
        return url, text("the URL of the warehouse")
    name = url.removeprefix(ENVIRONMENT_PREFIX)
    if not name.isidentifier():  # not repeated: it may be the URL itself
        raise failure(text("after env: comes the name of an environment variable, such as env:WAREHOUSE"))
    written = os.environ.get(name)
    if not written:
        raise failure(
            text("the environment variable {name} is not set; put the URL of the warehouse into it", name=name)
        )
    return written, text("the URL in the environment variable {name}", name=name)


def _open(address: "URL", failure: type[WinPredictError], *, only_reading: bool) -> "Connection":
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    kind = address.get_backend_name()
    options: dict[str, Any] = {}
    if kind == "duckdb" and only_reading and not (address.database or "").startswith("md:"):
        options["read_only"] = True
    try:
        # NullPool: a file or server is let go of as soon as the connection closes
        engine = create_engine(address, poolclass=NullPool, hide_parameters=True, connect_args=options)
        connection = engine.connect()
        if engine.dialect.driver == "psycopg":
            from winpredict.connectors.warehouse.postgres_times import take_any_time

            take_any_time(connection.connection.driver_connection)  # type: ignore[arg-type]
        return connection
    except (NoSuchModuleError, ImportError):
        package = _PACKAGES.get(kind)
        message = (
            text("{kind} cannot be reached from here; run pip install '{package}'", kind=kind, package=package)
            if package
            else text("{kind} cannot be reached from here; install the package with its SQLAlchemy dialect", kind=kind)
        )
    except Exception as error:  # every driver has errors of its own, also outside the DB-API's
        message = text(
            "{name} cannot be opened: {error}; check host, database, user and password (PGPASSWORD or ~/.pgpass for "
            "PostgreSQL)",
            name=_name(address),
            error=_error_text(error, address),
        )
    raise failure(message)


def _error_text(error: Exception, address: "URL") -> str:
    """What a driver said, on one line and without secrets."""
    told = " ".join(str(getattr(error, "orig", None) or error).split())
    for secret in sorted(_secrets(address), key=len, reverse=True):
        told = told.replace(secret, _HIDDEN)
    return told[:300]


def _secrets(address: "URL") -> set[str]:
    plain = [str(address.password)] if address.password else []
    for name, value in address.query.items():
        if _SECRET.search(name):
            plain += [value] if isinstance(value, str) else list(value)
    plain.append(os.environ.get("PGPASSWORD", ""))
    return {each for text in plain if text for each in (text, quote(text, safe=""), quote_plus(text))}


def _mapped_tables(connection: "Connection", profile: Profile, schema: str | None) -> list[str]:
    from sqlalchemy import inspect

    inspector = inspect(connection)
    names = {*inspector.get_table_names(schema), *inspector.get_view_names(schema)}
    with suppress(NotImplementedError):
        names |= {*inspector.get_materialized_view_names(schema)}
    patterns = tuple(each for sources in profile.tables.values() for source in sources for each in source.file)
    found = sorted(name for name in names if matches(name, patterns))
    if not found:
        raise InputFileError(
            text(
                "schema {schema} has no table that profile {name} maps; it looks for {patterns}, there are "
                "{names}. Name another schema with --schema, or another profile",
                schema=schema,
                name=profile.name,
                patterns=", ".join(sorted(set(patterns))),
                names=", ".join(sorted(names)[:40]) or text("none"),
            )
        )
    return found


def _read(
    connection: "Connection", name: str, schema: str | None, most: int | None
) -> Iterator[tuple[pd.DataFrame, str]]:
    """A table whole or in parts of about so many rows, and at last a digest of it all.

    Rows come in chunks through a cursor on the server.
    """
    import sqlalchemy as sa

    every_row: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(sa.table(name, schema=schema))
    found = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(every_row)
    columns = [str(column) for column in tuple(found.keys())]
    parts: list[pd.DataFrame] = []
    digests, start, size = [], 1, 0
    for rows in found.partitions():
        if most is not None and size >= most:
            yield _together(parts, columns, start), ""
            parts, start, size = [], start + size, 0
        part = pd.DataFrame([tuple(row) for row in rows], columns=columns, dtype=object)
        digests.append(pd.util.hash_pandas_object(part.astype(str), index=False).to_numpy())
        parts.append(_with_texts(part))
        size += len(part)
    yield _together(parts, columns, start), _digest(columns, digests)


def _together(parts: list[pd.DataFrame], columns: list[str], start: int) -> pd.DataFrame:
    """Rows, numbered from a start."""
    frame = pd.concat(parts or [pd.DataFrame(columns=columns, dtype=object)], ignore_index=True)
    frame.index = pd.RangeIndex(start, start + len(frame), name="row")
    return frame


def _with_texts(part: pd.DataFrame) -> pd.DataFrame:
    """Columns of texts in the dtype of texts, a fraction of the memory; the others stay as the driver gave them.

    Numbers are not made floats for the sake of a missing one: the ids of a CRM may have more digits than a float.
    """
    texts = [name for name in part if pd.api.types.infer_dtype(part[name], skipna=True) in ("string", "empty")]
    return part.astype(dict.fromkeys(texts, text_dtype()))


def _digest(columns: list[str], digests: "Iterable[NDArray[Any]]") -> str:
    """The same for the same rows in any order: a database promises none."""
    rows = np.sort(np.concatenate([np.array([], dtype=np.uint64), *digests]))
    return hashlib.sha256("\n".join(columns).encode() + rows.tobytes()).hexdigest()
