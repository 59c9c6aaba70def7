"""How many threads a piece of work is worth.

Waking a thread takes some microseconds on an idle machine and milliseconds on a busy one, so few rows are done by one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from numba import get_num_threads, set_num_threads

#: A model answers for so few rows on one thread.
FEW_ROWS = 64


def threads_for(rows: int, threads: int, few: int = FEW_ROWS) -> int:
    """The threads that so many rows are worth.

    Parameters
    ----------
    rows : int
    threads : int
        Threads that may be used.
    few : int
        Up to so many rows one thread does them all.

    Examples
    --------
    >>> threads_for(1, 8), threads_for(5000, 8)
    (1, 8)
    """
    return 1 if rows <= few else threads


@contextmanager
def loops_on(threads: int) -> Iterator[None]:
    """Let compiled loops use so many threads at most."""
    usual = get_num_threads()
    set_num_threads(max(1, min(threads, usual)))
    try:
        yield
    finally:
        set_num_threads(usual)
