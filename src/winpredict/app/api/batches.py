"""Requests that wait are answered together: most of what one costs is shared by all that are looked at at once."""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class TooManyWaitingError(Exception):
    """More ask than can be answered; they should come again in a moment."""


class Batches(Generic[Request, Answer]):
    """One thread that answers all that wait, then all that have come since, and so on.

    It begins when as many wait as lately asked at the same time, or nobody else comes, not with whoever comes first:
    what a batch costs at least is spent once and not twice where those who ask take turns.

    Parameters
    ----------
    answer : callable
        Given some of what was asked, the answer to each or the error that it ends in.
    most : int
        As many are answered together.
    pause, longest : float
        A batch begins when nobody has come for `pause` seconds, and `longest` after the first at the latest.
    most_waiting : int
        Beyond this whoever asks is sent away.

    Examples
    --------
    >>> doubled = Batches(lambda asked: [2 * number for number in asked])
    >>> doubled.ask(21).result()
    42
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Request]], Sequence[Answer | BaseException]],
        *,
        most: int = 64,
        pause: float = 0.008,
        longest: float = 0.03,
        most_waiting: int = 1000,
    ) -> None:
        self._answer, self._most, self._most_waiting = answer, most, most_waiting
        self._pause, self._longest, self._lately = pause, longest, 1
        self._waiting: deque[tuple[Request, Future[Answer]]] = deque()
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None

    def ask(self, request: Request) -> "Future[Answer]":
        """What will be the answer.

        Raises
        ------
        TooManyWaitingError
        """
        future: Future[Answer] = Future()
        with self._arrived:
            if len(self._waiting) >= self._most_waiting:
                raise TooManyWaitingError
            self._waiting.append((request, future))
            if self._thread is None:  # not before it is needed: a process that is forked has none of its parent's
                self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
                self._thread.start()
            # not for each: waking up to see that others are still to come costs them time
            if len(self._waiting) == 1 or len(self._waiting) >= self._lately:
                self._arrived.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: bool(self._waiting))
            self._gather()
            with self._arrived:
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            answers = self._answers([request for request, _ in batch])
            self._lately = min(len(batch) + len(self._waiting), self._most)
            _settle([future for _, future in batch], answers)

    def _gather(self) -> None:
        """Wait for as long as others come and are to be expected."""
        latest, there = time.monotonic() + self._longest, 0
        with self._arrived:
            while there < len(self._waiting) < self._lately and time.monotonic() < latest:
                there = len(self._waiting)
                self._arrived.wait_for(lambda: len(self._waiting) >= self._lately, self._pause)

    def _answers(self, requests: Sequence[Request]) -> Sequence[Answer | BaseException]:
        try:
            return self._answer(requests)
        except BaseException as error:
            if len(requests) == 1:
                return [error]
            # one of them is at fault, and the others are not to pay for it
            return [found for each in requests for found in self._answers([each])]


def _settle(futures: Sequence["Future[Answer]"], answers: Sequence[Answer | BaseException]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.set_running_or_notify_cancel():
            continue  # whoever asked has left
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


def compatible(claims: Sequence[Mapping[Hashable, object]]) -> list[list[int]]:
    """Places parted into groups in which no two claim the same thing and say otherwise.

    Examples
    --------
    >>> compatible([{"a": 1}, {"a": 2}, {"a": 1, "b": 1}, {"b": 2}])
    [[0, 2], [1, 3]]
    """
    groups: list[tuple[dict[Hashable, object], list[int]]] = []
    for place, claimed in enumerate(claims):
        for said, places in groups:
            if all(said.get(key, value) == value for key, value in claimed.items()):
                said.update(claimed)
                places.append(place)
                break
        else:
            groups.append((dict(claimed), [place]))
    return [places for _, places in groups]
