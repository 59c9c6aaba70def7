"""How many threads a piece of work is worth, and one pool for pieces that can run beside each other.

Waking a thread takes some microseconds on an idle machine and milliseconds on a busy one, so few rows are done by one.
Where other programs keep the cores busy, threads that wait for each other inside one loop lose most of their time; so
models are fitted beside each other, each on a thread of its own, and none of them opens threads inside.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from numba import get_num_threads, set_num_threads

T = TypeVar("T")
#: A model answers for so few rows on one thread.
FEW_ROWS = 64
#: Compiled loops over so few events and snapshots run on one thread.
FEW_EVENTS = 100_000
_CGROUP_QUOTAS = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
_state = threading.local()


def usable_cores() -> int:
    """The cores that this process may use, by its affinity and the quota of its container; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota(cores)))


def threads_for(rows: int, threads: int | None, few: int = FEW_ROWS) -> int:
    """The threads that so many rows are worth.

    Parameters
    ----------
    rows : int
    threads : int or None
        Threads that may be used; None for `usable_cores`. Inside a pool it is one.
    few : int
        Up to so many rows one thread does them all.

    Examples
    --------
    >>> threads_for(1, 8), threads_for(5000, 8)
    (1, 8)
    """
    if rows <= few or getattr(_state, "inside", False):
        return 1
    return usable_cores() if threads is None else threads


def run_parallel(calls: Sequence[Callable[[], T]], threads: int | None = None) -> list[T]:
    """Run calls beside each other and give their results in the order of the calls.

    Worth it for calls that spend their time outside of Python's lock, as LightGBM, numpy and numba do. Inside a call
    that itself runs in such a pool, calls run one after the other: there is never a pool inside a pool.

    Parameters
    ----------
    calls : sequence of callable
        Without arguments; what one does must not depend on the others.
    threads : int, optional
        Calls at a time; by default `usable_cores`.

    Examples
    --------
    >>> run_parallel([lambda: 1, lambda: 2], threads=2)
    [1, 2]
    """
    workers = min(len(calls), threads or usable_cores())
    if workers <= 1 or getattr(_state, "inside", False):
        return [call() for call in calls]
    with one_blas_thread(), ThreadPoolExecutor(workers, thread_name_prefix="winpredict") as pool:
        futures = [pool.submit(_inside, call) for call in calls]
        try:
            return [future.result() for future in futures]
        except BaseException:  # an interrupt too: what has not begun is not begun
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def loops_on(threads: int) -> Iterator[None]:
    """Let compiled loops use so many threads at most."""
    usual = get_num_threads()
    set_num_threads(max(1, min(threads, usual)))
    try:
        yield
    finally:
        set_num_threads(usual)


@contextmanager
def loops_for(rows: int) -> Iterator[None]:
    """Let compiled loops use as many threads as so many rows of events and snapshots are worth."""
    with loops_on(threads_for(rows, None, FEW_EVENTS)):
        yield


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let linear algebra use one thread: on a busy machine further ones mostly spin while they wait for each other."""
    # late: it looks through all loaded libraries
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        yield


@contextmanager
def on_this_thread() -> Iterator[None]:
    """Have everything in the block done by the thread that it is in, which is one of several beside each other.

    Examples
    --------
    >>> with on_this_thread():
    ...     threads_for(5000, 8)
    1
    """
    before, _state.inside = getattr(_state, "inside", False), True
    try:
        with loops_on(1):
            yield
    finally:
        _state.inside = before


def _inside(call: Callable[[], T]) -> T:
    with on_this_thread():
        return call()


def _quota(otherwise: int) -> int:
    """Cores by the quota of the control group, rounded up."""
    try:
        if _CGROUP_QUOTAS[0].exists():
            quota, period = _CGROUP_QUOTAS[0].read_text().split()
        else:
            quota = _CGROUP_QUOTAS[1].read_text()
            period = _CGROUP_QUOTAS[1].with_name("cpu.cfs_period_us").read_text()
        return otherwise if quota == "max" or int(quota) <= 0 else -(-int(quota) // int(period))
    except (OSError, ValueError):
        return otherwise
