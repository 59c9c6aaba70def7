"""The application served: an address to listen on, one process or several, and a quiet end."""

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from winpredict._internal.memory import settle
from winpredict.app.application import create_app
from winpredict.app.connections import bounded
from winpredict.app.desk import Desk
from winpredict.app.listing import prepare_lists
from winpredict.config import Config
from winpredict.errors import ConfigError, WinPredictError
from winpredict.locale.text import text
from winpredict.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

#: Seconds that requests under way get when the server is stopped.
_LAST_SECONDS = 10
_WAITING_CONNECTIONS = 2048
#: Python's own is five times as long.
_SWITCH_S = 0.001
#: Files that are open beside connections: tables, models, the database.
_OTHER_FILES = 500
#: Longer than proxies keep a connection for the next request (nginx: 60): who asks must be the first to close it, or a
#: request meets a connection that is just being closed, and is lost.
_IDLE_SECONDS = 75


def serve(
    workspace: Workspace,
    config: Config,
    *,
    workers: int = 1,
    listening: Callable[[str], None] = lambda address: None,
) -> None:
    """Answer requests until the process is told to stop (Ctrl-C, SIGTERM).

    Parameters
    ----------
    workspace : Workspace
    config : Config
        ``app.host`` and ``app.port``: 0 takes any free port.
    workers : int
        Processes; more than one needs PostgreSQL.
    listening : callable
        Told the address once the port is ours.

    Raises
    ------
    ConfigError
        When the address cannot be listened on, or several processes would share a file of SQLite.
    """
    require_database_for(workers, config)
    _allow_open_files(config.app.connections + _OTHER_FILES)
    bound = _bound(config.app.host, config.app.port)
    served = _served(workspace, config, workers)
    with bound, suppress(KeyboardInterrupt):
        if workers == 1:
            server = uvicorn.Server(served)
            with _ended_by_signals(server):
                listening(address_of(bound))
                server.run(sockets=[bound])
        else:
            listening(address_of(bound))
            # it ends tidily at the signal, then raises it again for whoever called: that was all it was for
            uvicorn.supervisors.Multiprocess(served, sockets=[bound]).run()


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """End a server also when it is told so before it listens to signals itself: a Ctrl-C of that moment was lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        server.should_exit = True

    former = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def _allow_open_files(count: int) -> None:
    """Let the process hold as many connections as it is meant to, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def require_database_for(workers: int, config: Config) -> None:
    """Refuse several processes on SQLite, whose writers would wait for each other's file lock.

    Raises
    ------
    ConfigError
    """
    if workers > 1 and not is_postgresql(config):
        raise ConfigError(
            text(
                "{workers} workers need PostgreSQL, which `app.database` in the config names; SQLite serves one worker",
                workers=workers,
            )
        )


def is_postgresql(config: Config) -> bool:
    """Whether the app's database is PostgreSQL.

    Examples
    --------
    >>> is_postgresql(Config())
    False
    """
    from winpredict.connectors.warehouse.reader import address_of as database_of

    named = config.app.database
    return bool(named) and database_of(named, ConfigError).get_backend_name() == "postgresql"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("desk.example.com")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def can_listen(host: str, port: int) -> bool:
    """Whether a port is free to listen on."""
    try:
        _bound(host, port).close()
    except ConfigError:
        return False
    return True


def address_of(bound: socket.socket) -> str:
    """The address of a socket for browsers; one that takes all addresses is told by that of this machine."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def application(workspace: Workspace, config: Config) -> "FastAPI":
    """The application, which reads tables and model while it answers its first requests."""
    # work beside requests keeps the interpreter's lock this long, and all others wait for it several times a request
    sys.setswitchinterval(_SWITCH_S)
    app = create_app(workspace, config)
    app.state.desk.after_loading = settle
    threading.Thread(target=_warm, args=[app.state.desk], name="warm", daemon=True).start()
    return app


def _warm(desk: Desk) -> None:
    # pages say what is missing, and to do about it
    with suppress(SQLAlchemyError), desk.database.reading() as session:
        prepare_lists(session)
    with suppress(WinPredictError, OSError):
        desk.loaded()


def _served(workspace: Workspace, config: Config, workers: int) -> uvicorn.Config:
    proxies = list(config.app.proxies)
    return uvicorn.Config(
        partial(application, workspace, config),
        factory=True,
        http=bounded(config.app),
        ws="none",
        workers=workers,
        log_level="warning",
        # addresses of pages hold what people search for
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        backlog=_WAITING_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # the protocol by name: else asyncio leaves Nagle's algorithm on, and many an answer waits for 40 ms
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigError(
            text("{host} is no address of this machine: {strerror}", host=host, strerror=error.strerror)
        ) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        # at once: another process could else bind the port too, and who asks early waits until the app is there
        bound.listen(_WAITING_CONNECTIONS)
    except OSError as error:
        bound.close()
        raise ConfigError(
            text(
                "cannot listen on {host}, port {port}: {strerror}. Name another port with --port, or 0 for any",
                host=host,
                port=port,
                strerror=error.strerror,
            )
        ) from None
    bound.set_inheritable(True)
    return bound
