"""What requests share: made once, forgotten with what it was made of."""

import threading
from concurrent.futures import CancelledError
from dataclasses import replace

import pytest

from winpredict.app.database import open_database
from winpredict.app.desk import Desk
from winpredict.config import Config
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
