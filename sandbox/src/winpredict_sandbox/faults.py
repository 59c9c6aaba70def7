"""Faults of networks and servers, put in between at random: an ASGI middleware."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Literal

import numpy as np

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Fault = Literal["401", "429", "500", "502", "503", "slow", "cut before", "cut after", "half an answer"]
FAULTS: tuple[Fault, ...] = ("401", "429", "500", "502", "503", "slow", "cut before", "cut after", "half an answer")


#: The head of an answer whose body never comes.
_NOTHING: list[Message] = [{"type": "http.response.start", "status": 200, "headers": []}]


class Faults:
    """Lets some requests fail.

    Parameters
    ----------
    app : ASGI application
    seed : int
    share : float
        Share of the requests that fail, 0 to 1.
    most : int
        After so many faults none follows.
    kinds : sequence of str
        401: the token is refused, although it is valid. 429: too many requests, with Retry-After. 500, 502, 503: an
        error before anything was done. slow: the answer comes after `delay_s`. cut before, cut after: the connection
        breaks before, or after, the request was carried out. half an answer: it breaks in the middle of the answer.
    delay_s : float
        Of slow answers, seconds.

    Attributes
    ----------
    happened : list of tuple of str
        Kind, method and path of every fault so far.
    """

    def __init__(
        self,
        app: App,
        seed: int = 0,
        *,
        share: float = 0.1,
        most: int = 1_000_000,
        kinds: Sequence[Fault] = FAULTS,
        delay_s: float = 0.5,
    ) -> None:
        self.app, self.share, self.most, self.kinds, self.delay_s = app, share, most, tuple(kinds), delay_s
        self.happened: list[tuple[str, str, str]] = []
        self._rng = np.random.default_rng(seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or fail."""
        if scope["type"] != "http" or len(self.happened) >= self.most or self._rng.random() >= self.share:
            await self.app(scope, receive, send)
            return
        kind = self.kinds[int(self._rng.integers(len(self.kinds)))]
        self.happened.append((kind, scope["method"], scope["path"]))
        await self._fail(kind, scope, receive, send)

    async def _fail(self, kind: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if kind in ("cut before", "cut after", "half an answer"):
            # an application that ends in the middle of an answer makes the server cut the connection
            answer = _NOTHING if kind == "cut before" else await _kept(self.app, scope, receive)
            await _half(answer if kind == "half an answer" else _NOTHING, send)
            return
        if kind == "slow":
            await asyncio.sleep(self.delay_s)
            await self.app(scope, receive, send)
            return
        await _read_all(receive)
        await _answer(send, int(kind), {"Retry-After": "0"} if kind in ("429", "503") else {})


async def _kept(app: App, scope: Scope, receive: Receive) -> list[Message]:
    kept: list[Message] = []

    async def keep(message: Message) -> None:
        kept.append(message)

    await app(scope, receive, keep)
    return kept


async def _half(answer: Sequence[Message], send: Send) -> None:
    """The head of an answer and half of its body; the head promises all of it."""
    start = dict(answer[0])
    body = b"".join(each.get("body", b"") for each in answer[1:])
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    start["headers"] = [*headers, (b"content-length", str(max(len(body), 1)).encode())]
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


async def _read_all(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


async def _answer(send: Send, status: int, headers: dict[str, str]) -> None:
    body = json.dumps({"message": f"injected {status}", "status": "error"}).encode()
    lines = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    encoded = [(name.lower().encode(), value.encode()) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
