"""The server itself: headers that are too long or too slow, too many connections, answers that nobody reads."""

import asyncio
import socket
import threading
import time
from contextlib import closing, suppress

import pytest
import uvicorn

from winpredict.app import connections
from winpredict.app.connections import bounded
from winpredict.config import App

SETTINGS = App(largest_header_kb=4, slowest_header_s=0.4, connections=12, connections_per_address=6)
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
MEGABYTE = b"x" * 1_000_000


class Served:
    """A server with these bounds, whose application answers when it may."""

    def __init__(self, settings: App) -> None:
        self.goes_on, self.asked, self.big = threading.Event(), 0, False
        self.goes_on.set()
        self.bound = socket.socket()
        self.bound.bind(("127.0.0.1", 0))
        self.bound.listen(100)
        config = uvicorn.Config(
            self._answer, interface="asgi3", http=bounded(settings), ws="none", log_level="error", lifespan="off"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.bound],), daemon=True)
        self.thread.start()

    async def _answer(self, scope, receive, send) -> None:
        self.asked += 1
        while not self.goes_on.is_set():
            await asyncio.sleep(0.01)
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(40 if self.big else 1):
            await send({"type": "http.response.body", "body": MEGABYTE if self.big else b"fine", "more_body": self.big})
        await send({"type": "http.response.body", "body": b""}) if self.big else None

    def connect(self) -> socket.socket:
        made = socket.create_connection(self.bound.getsockname(), timeout=5)
        made.settimeout(5)
        return made

    def ask(self, *parts: bytes) -> bytes:
        """What comes back for what is sent, until it is whole or the server closes."""
        with closing(self.connect()) as made:
            for part in parts:
                try:
                    made.sendall(part)
                except OSError:
                    break
            return answer_of(made)

    def stop(self) -> None:
        self.goes_on.set()
        self.server.should_exit = True
        self.thread.join(10)


def answer_of(made: socket.socket) -> bytes:
    found = b""
    try:
        while piece := made.recv(65536):
            found += piece
            if b"fine" in found:
                break
    except OSError:
        pass
    return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer else 0


def is_closed(made: socket.socket) -> bool:
    try:
        return made.recv(1000) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.fixture
def served():
    found = Served(SETTINGS)
    yield found
    found.stop()


def header(length: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * length + b"\r\n\r\n"


@pytest.mark.parametrize(("length", "status"), [(3000, 200), (5000, 431), (300_000, 431)])
def test_headers_have_a_largest_size(served, length, status):
    assert status_of(served.ask(header(length))) == status
    assert served.asked == (status == 200)


def test_a_header_that_does_not_end_is_not_kept(served):
    begun = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: "
    assert status_of(served.ask(begun, *[b"a" * 1000] * 20)) == 431
    assert status_of(served.ask(b"GET /", *[b"a" * 1000] * 20)) == 431
    many = b"".join(b"X-%d: a\r\n" % number for number in range(1000))
    assert status_of(served.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n", many)) == 431
    assert served.asked == 0


def test_what_follows_a_body_in_chunks_has_a_largest_size_too(served):
    served.goes_on.clear()
    begun = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    trailers = b"".join(b"X-%d: aaaaaaaaaaaaaaaaaaaa\r\n" % number for number in range(400))
    assert status_of(served.ask(begun, trailers)) == 431


def test_a_large_body_is_no_long_header(served):
    begun = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    assert status_of(served.ask(begun + MEGABYTE)) == 200


def test_headers_must_arrive_in_time_on_new_and_on_used_connections(served):
    start = time.monotonic()
    assert status_of(served.ask(b"GET / HTTP/1.1\r\nHost: loc")) == 408
    assert 0.3 < time.monotonic() - start < 3
    with closing(served.connect()) as made:
        made.sendall(REQUEST)
        assert status_of(answer_of(made)) == 200
        time.sleep(0.6)  # between requests there is more time
        made.sendall(REQUEST)
        assert status_of(answer_of(made)) == 200
        made.sendall(b"GET / HT")
        assert status_of(answer_of(made)) == 408


def test_one_letter_at_a_time_wins_no_time(served):
    with closing(served.connect()) as made:
        start, letters = time.monotonic(), iter(REQUEST[:-1] * 10)
        with suppress(OSError):
            while time.monotonic() < start + 3:
                made.sendall(bytes([next(letters)]))
                time.sleep(0.05)
        assert time.monotonic() - start < 2


def test_requests_one_behind_the_other_are_all_answered(served):
    with closing(served.connect()) as made:
        made.sendall(REQUEST * 5)
        found = b""
        while found.count(b"fine") < 5:
            piece = made.recv(65536)
            assert piece
            found += piece
    assert served.asked == 5


def test_a_new_connection_takes_the_place_of_one_that_says_nothing(served):
    served.goes_on.clear()
    working = served.connect()
    working.sendall(REQUEST)
    while not served.asked:
        time.sleep(0.01)
    silent = [served.connect() for _ in range(SETTINGS.connections_per_address - 1)]
    for each in silent:
        each.sendall(b"GET /")
    time.sleep(0.1)
    with closing(served.connect()) as new:
        assert is_closed(silent[0])
        new.sendall(REQUEST)
        served.goes_on.set()
        assert status_of(answer_of(new)) == 200
    assert status_of(answer_of(working)) == 200
    for each in (working, *silent):
        each.close()


def test_where_all_are_at_work_a_further_one_is_refused(served):
    served.goes_on.clear()
    working = [served.connect() for _ in range(SETTINGS.connections_per_address)]
    for each in working:
        each.sendall(REQUEST)
    while served.asked < len(working):
        time.sleep(0.01)
    assert status_of(served.ask(REQUEST)) == 503
    served.goes_on.set()
    assert [status_of(answer_of(each)) for each in working] == [200] * len(working)
    for each in working:
        each.close()
    time.sleep(0.1)
    assert status_of(served.ask(REQUEST)) == 200


def test_an_answer_that_nobody_reads_is_given_up(served, monkeypatch):
    monkeypatch.setattr(connections, "_NOBODY_READS_S", 0.3)
    served.big = True
    with closing(served.connect()) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.sendall(REQUEST)
        there = served.server.server_state.connections
        begun = time.monotonic()
        while not served.asked:
            time.sleep(0.01)
        assert there
        while there and time.monotonic() < begun + 5:
            time.sleep(0.05)
        assert not there
