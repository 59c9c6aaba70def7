"""Loops that numba compiles, and keeps compiled where there is a place for it."""

from collections.abc import Callable
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit`, also where nothing can be kept: on a read-only disk loops are compiled anew by each process.

    Parameters
    ----------
    **options
        Of `numba.njit`.

    Examples
    --------
    >>> njit()(lambda number: number + 1)(1)
    2
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError:  # beside the module, at home and under NUMBA_CACHE_DIR nothing can be written
            return numba.njit(**{**options, "cache": False})(function)

    return compiled
