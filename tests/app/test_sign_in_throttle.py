"""Passwords: who is let in, and how guessing is slowed down without shutting the owner out."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from desk_access import cheap_hashes
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import func, select, update

from winpredict.app import sign_in_throttle
from winpredict.app.database import open_database
from winpredict.app.people import add_person, change_password, deactivate, now
from winpredict.app.records import Person, Role, SignInAttempt
from winpredict.app.sign_in_throttle import (
    TRIES_A_PAIR,
    TRIES_A_PERSON,
    TRIES_AN_ADDRESS,
    WINDOW,
    AppSignInError,
    CrowdedError,
    Queue,
    Source,
    TooManyTriesError,
    check_in_turn,
    check_password,
    known_browser,
)

RIGHT, WRONG, ANN, BOB = "correct horse battery", "wrong horse battery", "ann@example.com", "bob@example.com"
HERE, KEY = Source("10.0.0.1"), "signing key"


cheap = pytest.fixture(autouse=True)(cheap_hashes)


@pytest.fixture
def database(tmp_path):
    opened = open_database("", tmp_path)
    with opened.writing() as session:
        add_person(session, ANN, "Ann", Role.REP, password=RIGHT)
        add_person(session, BOB, "Bob", Role.REP, password=RIGHT)
        add_person(session, "elsewhere@example.com", "Signs in elsewhere", Role.REP)
    yield opened
    opened.close()


def guess(database, source=HERE, email=ANN, times=1, password=WRONG):
    """Wrong passwords; those that were not even looked at."""
    refused = 0
    for _ in range(times):
        try:
            check_password(database, email, password, source)
        except TooManyTriesError:
            refused += 1
        except AppSignInError:
            pass
    return refused


def test_the_right_password(database):
    assert check_password(database, " Ann@Example.com ", RIGHT, HERE).email == ANN


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (ANN, WRONG), (ANN, ""), (ANN, RIGHT + " "), (ANN, "x" * 1000), ("nobody@example.com", RIGHT), ("", RIGHT),
        ("elsewhere@example.com", ""), ("elsewhere@example.com", RIGHT), ("ann@example.com\0", RIGHT), ("%", RIGHT),
    ],
)  # fmt: skip
def test_what_is_wrong_is_not_told(database, email, password):
    with pytest.raises(AppSignInError, match=r"^that e-mail address and password do not belong together$"):
        check_password(database, email, password, HERE)


def test_the_inactive_are_not_let_in(database):
    with database.writing() as session:
        deactivate(session, session.scalar(select(Person).where(Person.email == ANN)), None)
    with pytest.raises(AppSignInError, match="do not belong together"):
        check_password(database, ANN, RIGHT, HERE)


def test_an_unknown_person_costs_the_same_work(database, monkeypatch):
    looked_at = []
    verify = sign_in_throttle.password_hasher().verify_and_update
    monkeypatch.setattr(
        sign_in_throttle.password_hasher(), "verify_and_update", lambda *a: looked_at.append(1) or verify(*a)
    )
    guess(database, email="nobody@example.com")
    guess(database, email="elsewhere@example.com")
    guess(database)
    assert len(looked_at) == 3


def test_after_a_few_wrong_ones_one_waits(database):
    assert guess(database, times=TRIES_A_PAIR) == 0
    with pytest.raises(TooManyTriesError, match="quarter of an hour"):
        check_password(database, ANN, RIGHT, HERE)
    assert check_password(database, BOB, RIGHT, HERE).email == BOB
    assert check_password(database, ANN, RIGHT, Source("10.0.0.2")).email == ANN
    later(database, WINDOW)
    assert check_password(database, ANN, RIGHT, HERE).email == ANN


def test_refused_tries_do_not_prolong_the_wait(database):
    guess(database, times=TRIES_A_PAIR)
    later(database, WINDOW - timedelta(seconds=5))
    assert guess(database, times=10) == 10
    later(database, timedelta(seconds=10))
    assert check_password(database, ANN, RIGHT, HERE).email == ANN


def test_a_stranger_cannot_shut_the_owner_out(database):
    own = Source.of("10.0.0.1", ANN, known_browser(ANN, KEY), KEY)
    for number in range(TRIES_A_PERSON):
        guess(database, Source(f"192.0.2.{number}"))
    with pytest.raises(TooManyTriesError):  # from anywhere new
        check_password(database, ANN, RIGHT, Source("198.51.100.1"))
    assert check_password(database, ANN, RIGHT, own).email == ANN
    guess(database, HERE, times=TRIES_A_PAIR)  # nor somebody in the same house
    assert check_password(database, ANN, RIGHT, own).email == ANN


def test_a_known_browser_has_few_tries_too_and_only_for_its_person(database):
    cookie = known_browser(ANN, KEY)
    own = Source.of("10.0.0.1", ANN, cookie, KEY)
    assert guess(database, own, times=TRIES_A_PAIR + 2) == 2
    for other, forged in ((BOB, cookie), (ANN, "made.up"), (ANN, cookie[:-1]), (ANN, "."), (ANN, "\N{SNOWMAN}.x")):
        assert not Source.of("10.0.0.1", other, forged, KEY).is_known
    assert not Source.of("10.0.0.1", ANN, known_browser(ANN, "another key"), KEY).is_known


def test_one_address_guesses_at_few_people(database):
    for number in range(TRIES_AN_ADDRESS):
        assert guess(database, email=f"person-{number}@example.com") == 0
    with pytest.raises(TooManyTriesError):
        check_password(database, BOB, RIGHT, HERE)


def test_an_account_of_ones_own_buys_no_tries_at_others(database):
    for _ in range(TRIES_A_PAIR):
        guess(database)
        check_password(database, BOB, RIGHT, HERE)
    assert guess(database) == 1


def test_addresses():
    # what a proxy passes on may be made up
    assert not Source.of("browser 123", ANN, "", KEY).is_known
    assert Source.of("2001:db8::1", ANN, "", KEY) == Source.of("2001:db8::ffff", ANN, "", KEY)
    assert Source.of("::ffff:10.0.0.1", ANN, "", KEY) == Source.of("10.0.0.1", ANN, "", KEY)


def test_many_tries_at_once_are_counted_one_by_one(database):
    with ThreadPoolExecutor(20) as threads:
        refused = list(threads.map(lambda _: guess(database), range(40)))
    assert sum(refused) == 40 - TRIES_A_PAIR


@pytest.mark.parametrize("meanwhile", ["deactivated", "another password"])
def test_what_changes_while_the_password_is_looked_at(database, monkeypatch, meanwhile):
    verify = sign_in_throttle._verify

    def slow(password, stored):
        with database.writing() as session:
            ann = session.scalar(select(Person).where(Person.email == ANN))
            if meanwhile == "deactivated":
                deactivate(session, ann, None)
            else:
                change_password(session, ann, "another horse battery", None)
        return verify(password, stored)

    monkeypatch.setattr(sign_in_throttle, "_verify", slow)
    with pytest.raises(AppSignInError):
        check_password(database, ANN, RIGHT, HERE)


def test_a_crowd_is_sent_away_and_leaves_room():
    queue, go_on = Queue(1, 2), threading.Event()

    def look() -> str:
        go_on.wait(30)
        return "Ann"

    async def crowd() -> list:
        waiting = [asyncio.create_task(queue.take(look)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(CrowdedError, match="try again"):
            await queue.take(look)
        go_on.set()
        return [*await asyncio.gather(*waiting), await queue.take(look)]

    assert asyncio.run(crowd()) == ["Ann"] * 3


def test_known_browsers_do_not_stand_behind_strangers(database, monkeypatch):
    monkeypatch.setattr(sign_in_throttle, "_STRANGERS", Queue(1, 1))
    sign_in_throttle._STRANGERS._places.acquire()
    own = Source.of("10.0.0.1", ANN, known_browser(ANN, KEY), KEY)
    with pytest.raises(CrowdedError):
        asyncio.run(check_in_turn(database, ANN, RIGHT, HERE))
    assert asyncio.run(check_in_turn(database, ANN, RIGHT, own)).email == ANN


def test_hashes_of_former_parameters_are_made_anew(database, monkeypatch):
    before = hash_of(database)
    stronger = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1),))
    monkeypatch.setattr(sign_in_throttle, "password_hasher", lambda: stronger)
    check_password(database, ANN, RIGHT, HERE)
    assert "t=1" in before
    assert "t=2" in hash_of(database)
    check_password(database, ANN, RIGHT, HERE)


def test_a_hash_that_nobody_can_read_lets_nobody_in(database):
    with database.writing() as session:
        session.execute(update(Person).where(Person.email == ANN).values(password_hash="plain text"))
    with pytest.raises(AppSignInError, match="do not belong together"):
        check_password(database, ANN, "plain text", HERE)


def test_old_tries_are_forgotten(database):
    guess(database, times=3)
    later(database, 5 * WINDOW)
    guess(database)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SignInAttempt)) == 1


def hash_of(database) -> str:
    with database.reading() as session:
        return session.scalar(select(Person.password_hash).where(Person.email == ANN))


def later(database, by: timedelta) -> None:
    """Let time pass: everything that was tried is that much older."""
    with database.writing() as session:
        for attempt in session.scalars(select(SignInAttempt)):
            attempt.at = min(attempt.at, now()) - by
