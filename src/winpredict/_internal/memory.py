"""Memory that is not needed any more, given back to the system."""

import ctypes
import gc
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Let the system have what was freed.

    glibc keeps freed memory for the thread that asked for it; a process with many threads that each once did something
    large looks, and counts for the system, as if it needed all of it at once. Elsewhere there is nothing to do.
    """
    _trim()(0)


def settle() -> None:
    """Leave all objects that there are out of the collector's further searches for circles.

    What stays for as long as the process does, tables and models, need not be searched again and again: that stops all
    threads, half a second at a time where there is much of it.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@cache
def _trim() -> Callable[[int], object]:
    if sys.platform != "linux":
        return lambda keep: None
    trim: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", lambda keep: None)  # musl has none
    return trim
