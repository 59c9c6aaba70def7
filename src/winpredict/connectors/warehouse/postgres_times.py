"""Times of PostgreSQL that Python has not, such as infinity or the years before Christ: they come as texts."""

from typing import Any

from psycopg import Connection, DataError
from psycopg.abc import AdaptContext, Buffer, Loader
from psycopg.pq import Format

_TYPES = ("timestamp", "timestamptz", "date")


def take_any_time(connection: "Connection[Any]") -> None:
    """Let a connection give what is no time in Python as a text, which an import counts as unreadable.

    The driver's own way is to fail, and the whole table with it.
    """
    for name in _TYPES:
        oid = connection.adapters.types[name].oid
        inner = connection.adapters.get_loader(oid, Format.TEXT)
        if inner is not None:
            connection.adapters.register_loader(oid, _lenient(inner))


def _lenient(inner: type[Loader]) -> type[Loader]:
    class Lenient:
        format = Format.TEXT

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            self._inner = inner(oid, context)

        def load(self, data: Buffer) -> Any:
            try:
                return self._inner.load(data)
            except DataError:
                return bytes(data).decode()

    return Lenient
