"""Work beside requests: each person's in turn, and no more of one than is fair."""

import threading

import pytest

from winpredict.app.work_queue import TooMuchWaitingError, WorkQueue


@pytest.fixture
def held():
    """A queue of one thread, which is held until the event is set, and what was done by then."""
    queue, goes_on, done = WorkQueue(1, "test", most_a_person=4, most=8), threading.Event(), []
    queue.submit(None, goes_on.wait)
    yield queue, goes_on, done
    goes_on.set()
    queue.cancel()


def test_people_take_turns_however_much_one_asks_for(held):
    queue, goes_on, done = held
    for who, number in [("ann", 1), ("ann", 2), ("ann", 3), ("bob", 1), ("cy", 1), ("bob", 2)]:
        queue.submit(who, lambda name=f"{who} {number}": done.append(name))
    goes_on.set()
    queue.join()
    assert done == ["ann 1", "bob 1", "cy 1", "ann 2", "bob 2", "ann 3"]


def test_one_person_has_a_limit_that_others_do_not_feel(held):
    queue, goes_on, done = held
    for _ in range(4):
        queue.submit("ann", lambda: done.append("ann"))
    with pytest.raises(TooMuchWaitingError):
        queue.submit("ann", lambda: done.append("too much"))
    queue.submit("bob", lambda: done.append("bob"))
    goes_on.set()
    queue.join()
    assert sorted(done) == ["ann"] * 4 + ["bob"]
    queue.submit("ann", lambda: done.append("later"))
    queue.join()
    assert done[-1] == "later"


def test_all_together_have_a_limit_but_not_what_nobody_waits_for(held):
    queue, _, _ = held
    for number in range(7):
        queue.submit(number, lambda: None)
    with pytest.raises(TooMuchWaitingError):
        queue.submit("new", lambda: None)
    queue.submit(None, lambda: None)


def test_what_fails_leaves_its_place_to_others(held):
    queue, goes_on, done = held
    for _ in range(4):
        queue.submit("ann", lambda: 1 / 0)
    goes_on.set()
    queue.join()
    queue.submit("ann", lambda: done.append("ann"))
    queue.join()
    assert done == ["ann"]


def test_what_waits_is_dropped_and_new_work_is_done(held):
    queue, goes_on, done = held
    queue.submit("ann", lambda: done.append("dropped"))
    queue.cancel()
    queue.submit("ann", lambda: done.append("new"))
    goes_on.set()
    queue.join()
    assert done == ["new"]
