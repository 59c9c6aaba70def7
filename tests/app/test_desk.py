"""What requests share: made once, forgotten with what it was made of."""

import threading
import time
from concurrent.futures import CancelledError, wait
from dataclasses import replace

import pytest

from winpredict.app import desk as desk_module
from winpredict.app.database import open_database
from winpredict.app.desk import Desk
from winpredict.app.turns import _ASKING, Asking, NotYetError, Turns, not_asking
from winpredict.app.work_queue import TooMuchWaitingError
from winpredict.config import Config
from winpredict.errors import WorkspaceError
from winpredict.workspace import Workspace


@pytest.fixture
def desk(tmp_path):
    made = Desk(Workspace(tmp_path), Config(), open_database("", tmp_path))
    yield made
    made.cancel_pending()
    made.database.close()


def test_many_who_ask_at_once_get_one_answer(desk):
    begun, made = threading.Event(), []

    def make():
        begun.wait(5)
        made.append(1)
        return object()

    first = desk.submit("key", make)
    others = [desk.submit("key", make) for _ in range(5)]
    begun.set()
    assert desk.get_or_compute("key", make) is first.result(5)
    assert all(each is first for each in others)
    assert len(made) == 1


def test_an_error_is_not_kept(desk):
    def fail():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        desk.get_or_compute("key", fail)
    assert desk.get_or_compute("key", lambda: 1) == 1


def test_an_old_failure_takes_nothing_from_what_was_made_since(desk):
    fails = threading.Event()

    def fail():
        fails.wait(5)
        raise ValueError("late")

    old = desk.submit("key", fail)
    desk.forget("key")
    assert desk.get_or_compute("key", lambda: "new") == "new"
    fails.set()
    with pytest.raises(ValueError, match="late"):
        old.result(5)
    assert desk.get_or_compute("key", lambda: "newer") == "new"


def test_what_waits_for_its_turn_is_dropped_and_whoever_waits_for_it_told(desk):
    goes_on, is_there = threading.Event(), threading.Event()

    def long_work():
        is_there.set()
        goes_on.wait(5)
        return "done"

    running, waiting = desk.submit("first", long_work), desk.submit("second", long_work)
    is_there.wait(5)
    desk.cancel_pending()
    with pytest.raises(CancelledError):
        waiting.result(1)
    goes_on.set()
    assert running.result(5) == "done"
    assert desk.get_or_compute("second", lambda: "anew") == "anew"


def test_tables_that_change_while_they_are_read_are_read_again(app, monkeypatch):
    desk = app.state.desk
    loaded = desk.loaded()
    states = iter(["old", "new", "new", "new"])
    monkeypatch.setattr(desk, "_version_and_state", lambda: ("1", next(states)))
    read = []
    monkeypatch.setattr(desk, "_load", lambda state, version: read.append(state) or _of_state(loaded, state))
    assert desk.loaded().state == "new"
    assert read == ["old", "new"]


def test_what_was_made_of_former_tables_is_let_go(app, monkeypatch):
    desk = app.state.desk
    loaded = desk.loaded()
    desk.get_or_compute("of the former tables", lambda: 1)
    monkeypatch.setattr(desk, "_version_and_state", lambda: ("1", "another state"))
    monkeypatch.setattr(desk, "_load", lambda state, version: _of_state(loaded, state))
    desk.loaded()
    assert desk.get_or_compute("of the former tables", lambda: 2) == 2


def _of_state(loaded, state):
    return replace(loaded, state=state)


@pytest.fixture
def asked():
    """A request that is being worked on."""
    token = _ASKING.set(Asking(Turns(8), "somebody"))
    yield _ASKING.get()
    _ASKING.reset(token)


def test_a_request_does_not_wait_for_what_another_makes(desk, asked):
    goes_on = threading.Event()
    future = desk.submit("key", lambda: goes_on.wait(5) and "made")
    with pytest.raises(NotYetError) as missing:
        desk.get_or_compute("key", lambda: "made twice")
    assert missing.value.future is future
    goes_on.set()
    assert future.result(5) == "made"
    assert desk.get_or_compute("key", lambda: "made twice") == "made"


def test_work_beside_a_request_waits(desk, asked):
    inner = desk.submit("inner", lambda: 20)
    assert desk.submit("outer", lambda: desk.get_or_compute("inner", lambda: 0) + 1).result(5) == 21
    assert inner.result() == 20


def test_one_person_has_so_much_work_and_no_more(desk, asked, monkeypatch):
    goes_on = threading.Event()
    accepted = [desk.submit(number, goes_on.wait) for number in range(24)]
    with pytest.raises(TooMuchWaitingError):
        desk.submit("too much", goes_on.wait)
    asked.who = "somebody else"
    other = desk.submit("theirs", lambda: "answered")
    goes_on.set()
    assert other.result(5) == "answered"
    assert all(each.result(5) for each in accepted)
    asked.who = "somebody"
    assert desk.submit("too much", lambda: "later").result(5) == "later"


def test_tables_are_read_beside_the_request_that_needs_them_first(desk, asked, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(desk, "_version_and_state", lambda: ("1", "state"))
    monkeypatch.setattr(desk, "_load", lambda state, version: goes_on.wait(5) and _Read(state))
    with pytest.raises(NotYetError) as missing:
        desk.loaded()
    goes_on.set()
    assert missing.value.future.result(5).state == "state"
    assert desk.loaded().state == "state"


def test_requests_are_answered_by_the_former_tables_where_new_ones_take_long(desk, asked, monkeypatch):
    goes_on, states = threading.Event(), ["old"]
    monkeypatch.setattr(desk_module, "_RELOADING_S", 0.1)
    monkeypatch.setattr(desk, "_version_and_state", lambda: ("1", states[-1]))
    monkeypatch.setattr(desk, "_load", lambda state, version: (state == "old" or goes_on.wait(5)) and _Read(state))
    with not_asking():
        assert desk.loaded().state == "old"
    states.append("new")
    with pytest.raises(NotYetError) as missing:
        desk.loaded()
    time.sleep(0.15)
    assert desk.loaded().state == "old"
    goes_on.set()
    assert missing.value.future.result(5).state == "new"
    assert desk.loaded().state == "new"


def test_tables_that_cannot_be_read_are_told_of_and_tried_again(desk, asked, monkeypatch):
    monkeypatch.setattr(desk, "_version_and_state", lambda: ("1", "state"))
    tries, goes_on = [], threading.Event()

    def load(state, version):
        tries.append(goes_on.wait(5))
        if len(tries) == 1:
            raise WorkspaceError("damaged")
        return _Read(state)

    monkeypatch.setattr(desk, "_load", load)
    with pytest.raises(NotYetError) as missing:
        desk.loaded()
    asked.met[missing.value.key] = missing.value.future
    goes_on.set()
    wait([missing.value.future], 5)
    with pytest.raises(WorkspaceError, match="damaged"):
        desk.loaded()
    asked.met.clear()
    with not_asking():
        assert desk.loaded().state == "state"


class _Read:
    def __init__(self, state):
        self.state = state
