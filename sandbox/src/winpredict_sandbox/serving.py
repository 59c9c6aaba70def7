"""A stand-in on a free port of this machine, as long as a block lasts."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime

from winpredict.errors import CRMError
from winpredict_sandbox.faults import App, Message, Receive, Scope, Send
from winpredict_sandbox.records import WorldClock

_PATIENCE_S = 10.0


class Dated:
    """Stamps every answer with the time of a simulated world.

    Parameters
    ----------
    app : ASGI application
    clock : WorldClock
    """

    def __init__(self, app: App, clock: WorldClock) -> None:
        self.app, self.clock = app, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a Date header."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = format_datetime(self.clock.now.floor("s").to_pydatetime(), usegmt=True)
                message = {**message, "headers": [*message.get("headers", []), (b"date", now.encode())]}
            await send(message)

        await self.app(scope, receive, dated if scope["type"] == "http" else send)


@contextmanager
def served(app: App, clock: WorldClock) -> Iterator[str]:
    """Serve an application on loopback.

    Parameters
    ----------
    app : ASGI application
    clock : WorldClock
        Dates the answers.

    Yields
    ------
    str
        Its address, such as ``http://127.0.0.1:41234``.

    Raises
    ------
    CRMError
        When it does not start.
    """
    import uvicorn

    # named as TCP, so that asyncio sends at once what it is given; else each answer waits 40 ms
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    config = uvicorn.Config(Dated(app, clock), log_level="critical", date_header=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_S)
        listening.close()


def _wait_for(server: "object", thread: threading.Thread) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not getattr(server, "started", False):
        if not thread.is_alive() or time.monotonic() > end:
            raise CRMError("the stand-in did not start on loopback; is another program in the way?")
        time.sleep(0.005)
