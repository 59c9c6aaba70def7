"""Requests take turns: nobody holds a thread while waiting, and nobody's many requests keep others from theirs.

A route is a plain function that runs in a thread. What it needs and is still being made it does not wait for: it ends
there (`NotYetError`), the thread goes to somebody else, and the function is called again when what was wanted is
there. So a function that may end like this must not have changed anything before.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from winpredict.locale.text import said

Asked = ParamSpec("Asked")
Result = TypeVar("Result")
#: Threads in which requests are worked on, and how many of these one person may have at a time.
THREADS, THREADS_A_PERSON = 16, 2
#: Threads that find out who asks, and those that say whether the desk is ready: never the same as those that work.
_THREADS_FOR_CALLERS, _THREADS_FOR_READINESS = 4, 1
#: Seconds that a request waits in all for what is still being made.
PATIENCE = 20.0
_COME_AGAIN = {"Retry-After": "1"}
_COME_LATER = {"Retry-After": "10"}


class NotYetError(Exception):
    """What a request needs is still being made.

    Parameters
    ----------
    key : hashable
        Of what is being made.
    future : Future
    """

    def __init__(self, key: Hashable, future: "Future[Any]") -> None:
        super().__init__("still being made")
        self.key, self.future = key, future


@dataclass
class Asking:
    """A request and who makes it.

    Parameters
    ----------
    turns : Turns
    who : hashable
        The person once that is known, before it the network address.
    since : float
        When it came, by the monotonic clock.
    met : dict
        What it waited for by key, which it keeps even where that ended in an error.
    pending : dict
        What it would like to have and goes on without, by key, and until when it waits for that.
    """

    turns: "Turns"
    who: Hashable
    since: float = field(default_factory=time.monotonic)
    met: "dict[Hashable, Future[Any]]" = field(default_factory=dict)
    pending: "dict[Hashable, tuple[Future[Any], float]]" = field(default_factory=dict)

    def would_like(self, key: Hashable, future: "Future[Any]", patience: float) -> None:
        """Note what would be shown if it came within so many seconds from the start of the request."""
        if time.monotonic() < self.since + patience:
            self.pending[key] = (future, self.since + patience)


_ASKING: ContextVar[Asking | None] = ContextVar("asking", default=None)


def asking() -> Asking | None:
    """The request that is being worked on; None in work beside requests, which may wait."""
    return _ASKING.get()


@contextmanager
def not_asking() -> Iterator[None]:
    """Wait for what is being made, in the block: others may need what is made here."""
    token = _ASKING.set(None)
    try:
        yield
    finally:
        _ASKING.reset(token)


class Turns:
    """Threads for requests, shared out evenly among those who ask.

    Parameters
    ----------
    most_a_person : int
        Requests of one person that are worked on or wait; more are refused.
    """

    def __init__(self, most_a_person: int) -> None:
        self.most_a_person = most_a_person
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Threads] = WeakKeyDictionary()

    @property
    def threads(self) -> "_Threads":
        """Those of the loop that runs: what waits in one cannot be woken by another."""
        return self._loops.setdefault(asyncio.get_running_loop(), _Threads())

    @contextmanager
    def place_of(self, who: Hashable) -> Iterator[None]:
        """A place among those who ask.

        Raises
        ------
        HTTPException
            429 where they have as many already as one may.
        """
        there = self.threads.there
        if there[who] >= self.most_a_person:
            detail = said("too many requests at the same time; wait for some to be answered, then try again")
            raise HTTPException(429, detail, _COME_AGAIN)
        there[who] += 1
        try:
            yield
        finally:
            there[who] -= 1
            if not there[who]:
                del there[who]
                self.threads.turns.pop(who, None)

    async def take(self, who: Hashable, work: Callable[[], Result]) -> Result:
        """Run something in a thread when it is somebody's turn."""
        threads = self.threads
        async with threads.turns.setdefault(who, asyncio.Semaphore(THREADS_A_PERSON)):
            return await run_sync(work, limiter=threads.of_work)


class _Threads:
    """What of the turns belongs to one event loop."""

    def __init__(self) -> None:
        self.of_work = CapacityLimiter(THREADS)
        self.of_callers = CapacityLimiter(_THREADS_FOR_CALLERS)
        self.of_readiness = CapacityLimiter(_THREADS_FOR_READINESS)
        self.turns: dict[Hashable, asyncio.Semaphore] = {}
        self.there: Counter[Hashable] = Counter()


class TurnsMiddleware:
    """ASGI middleware that lets a request be known to all that is done for it.

    Parameters
    ----------
    app : ASGI application
    turns : Turns
    """

    def __init__(self, app: ASGIApp, turns: Turns) -> None:
        self.app, self.turns = app, turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; until it is known who asks, the address counts."""
        client = scope.get("client")
        token = _ASKING.set(Asking(self.turns, ("address", client[0] if client else "")))
        try:
            await self.app(scope, receive, send)
        finally:
            _ASKING.reset(token)


def asked_by(person_id: int) -> None:
    """Let it be known who makes the request that is being worked on."""
    if (request := asking()) is not None:
        request.who = person_id


async def look_up(work: Callable[[], Result]) -> Result:
    """Find out in a thread who asks and what they may see; such threads do nothing that takes long."""
    request = asking()
    return await run_sync(work, limiter=None if request is None else request.turns.threads.of_callers)


async def look_whether_ready(work: Callable[[], Result]) -> Result:
    """Find out in a thread of its own whether the desk is ready."""
    request = asking()
    limiter = None if request is None else request.turns.threads.of_readiness
    return await run_sync(work, limiter=limiter, abandon_on_cancel=True)


def in_turn(endpoint: Callable[Asked, Result]) -> Callable[Asked, Coroutine[Any, Any, Result]]:
    """A route's function as one that is called in a thread when it is the caller's turn.

    Where it ends because something is still being made, it is called again when that is there; where it could show
    more in a moment, it is called again at that moment.
    """

    @wraps(endpoint)
    async def answer(*values: Asked.args, **named: Asked.kwargs) -> Result:
        request, work = asking(), partial(endpoint, *values, **named)
        if request is None:
            return await run_sync(work)
        with request.turns.place_of(request.who):
            return await _answer(request, work)

    return answer


async def _answer(request: Asking, work: Callable[[], Result]) -> Result:
    while True:
        request.pending.clear()
        try:
            result = await request.turns.take(request.who, work)
        except NotYetError as missing:
            request.met[missing.key] = missing.future
            if not await _is_made([missing.future], request.since + PATIENCE):
                detail = said("the answer is still being computed; try again in a moment")
                raise HTTPException(503, detail, _COME_LATER) from None
            continue
        if not await _came(request):
            return result


async def _came(request: Asking) -> bool:
    """Whether all or some of what a request would like to have has come in time."""
    if not request.pending:
        return False
    request.met.update((key, future) for key, (future, _) in request.pending.items())
    futures = [future for future, _ in request.pending.values()]
    return await _is_made(futures, max(until for _, until in request.pending.values()))


async def _is_made(futures: "list[Future[Any]]", until: float) -> bool:
    """Wait until all are made, or time is over; whether any is."""
    loop, all_made = asyncio.get_running_loop(), asyncio.Event()

    def look() -> None:
        if all(each.done() for each in futures):
            all_made.set()

    def made(future: "Future[Any]") -> None:
        with suppress(RuntimeError):  # the loop has ended in the meantime, and nobody waits any more
            loop.call_soon_threadsafe(look)

    for each in futures:
        each.add_done_callback(made)
    with suppress(TimeoutError):
        await asyncio.wait_for(all_made.wait(), max(0.0, until - time.monotonic()))
    return any(each.done() for each in futures)


class TurnRoute(APIRoute):
    """A route whose function takes turns with those of other requests; see `in_turn`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        waits = endpoint if asyncio.iscoroutinefunction(endpoint) else in_turn(endpoint)
        super().__init__(path, waits, **options)


#: What routes of pages are added to.
PageRouter = partial(APIRouter, route_class=TurnRoute)
