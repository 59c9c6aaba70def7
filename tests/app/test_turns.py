"""Requests that take turns: none holds a thread while it waits, and nobody's many keep others from theirs."""

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import Future

import httpx
import pytest
from fastapi import FastAPI, Request

from winpredict.app import turns
from winpredict.app.desk import made
from winpredict.app.turns import THREADS_A_PERSON, PageRouter, Turns, TurnsMiddleware, asked_by, asking

MOST = 8


class Example:
    """An application whose routes need something that is still being made."""

    def __init__(self) -> None:
        self.needed: Future[str] = Future()
        self.calls: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self.goes_on = threading.Event()
        router = PageRouter()

        @router.get("/needs")
        def needs() -> str:
            self.calls["needs"] += 1
            request = asking()
            return made("needed", request.met.get("needed", self.needed))

        @router.get("/likes")
        def likes(patience: float) -> str:
            self.calls["likes"] += 1
            if self.needed.done():
                return self.needed.result()
            asking().would_like("needed", self.needed, patience)
            return "without"

        @router.get("/works")
        def works() -> str:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.goes_on.wait(5)
            self.at_once -= 1
            return "done"

        @router.get("/quick")
        def quick() -> str:
            return "quick"

        self.app = FastAPI()

        @self.app.middleware("http")
        async def named(request: Request, call_next):
            asked_by(int(request.headers["person"]))
            return await call_next(request)

        self.app.include_router(router)
        self.app.add_middleware(TurnsMiddleware, turns=Turns(MOST))

    def client(self, person: int) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://desk", headers={"person": str(person)})


@pytest.fixture
def example():
    return Example()


def test_requests_that_wait_hold_no_thread_and_are_answered_when_it_is_there(example):
    async def ask():
        async with example.client(1) as ann, example.client(2) as bob:
            waiting = [asyncio.create_task(ann.get("/needs")) for _ in range(MOST)]
            while example.calls["needs"] < MOST:
                await asyncio.sleep(0.01)
            # as many as Ann may have wait, which is more than she has threads, and yet she and Bob are served
            assert (await bob.get("/quick")).json() == "quick"
            example.needed.set_result("there")
            return [(await each).json() for each in waiting]

    assert asyncio.run(ask()) == ["there"] * MOST
    assert example.calls["needs"] == 2 * MOST


def test_whoever_asks_too_much_at_once_is_told_to_come_again_and_nobody_else(example):
    async def ask():
        async with example.client(1) as ann, example.client(2) as bob:
            waiting = [asyncio.create_task(ann.get("/needs")) for _ in range(MOST)]
            while example.calls["needs"] < MOST:
                await asyncio.sleep(0.01)
            refused, answered = await ann.get("/quick"), await bob.get("/quick")
            example.needed.set_result("there")
            await asyncio.gather(*waiting)
            return refused, answered, await ann.get("/quick")

    refused, answered, later = asyncio.run(ask())
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["detail"].startswith("too many requests at the same time")
    assert answered.status_code == later.status_code == 200


def test_one_person_works_in_few_threads(example):
    async def ask():
        async with example.client(1) as ann, example.client(2) as bob:
            working = [asyncio.create_task(ann.get("/works")) for _ in range(MOST)]
            await asyncio.sleep(0.3)
            answer = await bob.get("/quick")
            example.goes_on.set()
            return answer, [(await each).json() for each in working]

    answer, done = asyncio.run(ask())
    assert answer.json() == "quick"
    assert done == ["done"] * MOST
    assert example.most_at_once == THREADS_A_PERSON


def test_what_does_not_come_in_time_is_to_be_asked_for_again(example, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.1)

    async def ask():
        async with example.client(1) as ann:
            return await ann.get("/needs")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert not example.needed.cancelled()


def test_an_error_is_told_once_and_what_failed_is_not_made_again(example):
    async def ask():
        async with example.client(1) as ann:
            waiting = asyncio.create_task(ann.get("/needs"))
            await asyncio.sleep(0.1)
            example.needed.set_exception(LookupError("it cannot be made"))
            with pytest.raises(LookupError, match="it cannot be made"):
                await waiting

    asyncio.run(ask())
    assert example.calls["needs"] == 2


@pytest.mark.parametrize(("patience", "shown"), [(5.0, "there"), (0.05, "without")])
def test_a_page_waits_a_moment_for_what_it_would_like(example, patience, shown):
    async def ask():
        async with example.client(1) as ann:
            waiting = asyncio.create_task(ann.get("/likes", params={"patience": patience}))
            await asyncio.sleep(0.3)
            if patience > 1:
                example.needed.set_result("there")
            start = time.monotonic()
            return (await waiting).json(), time.monotonic() - start

    found, seconds = asyncio.run(ask())
    assert found == shown
    assert seconds < 1
    assert example.calls["likes"] == (2 if shown == "there" else 1)


def test_outside_of_requests_nothing_is_refused_or_called_twice():
    future: Future[int] = Future()
    threading.Timer(0.05, future.set_result, [7]).start()
    assert asking() is None
    assert made("key", future) == 7
