"""Work beside requests: a few threads, each person's in turn, and no more of one person than is fair."""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor


class TooMuchWaitingError(Exception):
    """Somebody has asked for so much that takes long that they must wait before they ask for more."""


class WorkQueue:
    """Work that waits for a thread; whoever has had their turn comes after all others who wait.

    Parameters
    ----------
    threads : int
    name : str
        Of the threads.
    most_a_person : int
        What one person may have waiting or under way.
    most : int
        What may wait in all.

    Examples
    --------
    >>> done, go = [], threading.Event()
    >>> queue = WorkQueue(1, "example", most_a_person=3, most=10)
    >>> queue.submit(None, go.wait)
    >>> for who, name in (("ann", "ann 1"), ("ann", "ann 2"), ("ann", "ann 3"), ("bob", "bob 1")):
    ...     queue.submit(who, lambda name=name: done.append(name))
    >>> go.set()
    >>> queue.join()
    >>> done
    ['ann 1', 'bob 1', 'ann 2', 'ann 3']
    """

    def __init__(self, threads: int, name: str, *, most_a_person: int, most: int) -> None:
        self._threads, self._name = threads, name
        self._most_a_person, self._most = most_a_person, most
        self._waiting: OrderedDict[Hashable, deque[Callable[[], object]]] = OrderedDict()
        self._counts: Counter[Hashable] = Counter()
        self._lock = threading.Condition()
        self._pool = self._new_pool()

    def submit(self, who: Hashable, work: Callable[[], object]) -> None:
        """Have something done.

        Parameters
        ----------
        who : hashable
            For whom; None for what nobody waits for and nobody is refused.
        work : callable
            Its errors are its own: nobody hears of them.

        Raises
        ------
        TooMuchWaitingError
        """
        with self._lock:
            is_full = self._counts[who] >= self._most_a_person or self._counts.total() >= self._most
            if who is not None and is_full:
                raise TooMuchWaitingError
            self._counts[who] += 1
            self._waiting.setdefault(who, deque()).append(work)
            self._pool.submit(self._run)

    def cancel(self) -> None:
        """Begin nothing more of what waits."""
        with self._lock:
            for who, waiting in self._waiting.items():
                self._counts[who] -= len(waiting)
            self._waiting.clear()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._new_pool()

    def join(self) -> None:
        """Wait until there is nothing to do."""
        with self._lock:
            self._lock.wait_for(lambda: not self._counts.total())

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)

    def _run(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            who, waiting = next(iter(self._waiting.items()))
            work = waiting.popleft()
            if waiting:
                self._waiting.move_to_end(who)
            else:
                del self._waiting[who]
        try:
            work()
        finally:
            with self._lock:
                self._counts[who] -= 1
                if not self._counts[who]:
                    del self._counts[who]
                self._lock.notify_all()
