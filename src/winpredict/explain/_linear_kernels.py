"""Compiled loops over the linear models of a blend: every bag's log-odds and the mean contributions, in one pass."""

from typing import Any

import numpy as np
from numba import prange

from winpredict._internal.compiling import njit


@njit(cache=True, parallel=True)
def linear_pass(
    matrix: Any,
    place: Any,
    slope: Any,
    offset: Any,
    missing: Any,
    low: Any,
    high: Any,
    codes: Any,
    code_starts: Any,
    unknown: Any,
) -> Any:
    """Mean contributions of the bags, shape (n_rows, n_features), and each bag's sum of them, (n_rows, n_bags).

    A numeric feature gives ``offset + slope * sign(x) log(1 + |x|)``, the logarithm kept between `low` and `high`, or,
    missing, ``missing``; a categorical one (place >= 0) the number of its code, or ``unknown``. All but `place` have
    one row a bag.
    """
    bags = slope.shape[0]
    values, sums = np.zeros(matrix.shape), np.zeros((matrix.shape[0], bags))
    for row in prange(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            x = matrix[row, j]
            coded = place[j] >= 0
            absent = np.isnan(x)
            log = 0.0
            if not coded and not absent:
                log = np.log1p(np.abs(x)) * np.sign(x)
            total = 0.0
            for bag in range(bags):
                if coded:
                    first = code_starts[bag, place[j]]
                    size = code_starts[bag, place[j] + 1] - first
                    known = not absent and x >= 0 and x < size and x == np.floor(x)
                    part = codes[first + np.int64(x)] if known else unknown[bag, place[j]]
                elif absent:
                    part = missing[bag, j]
                else:
                    part = offset[bag, j] + slope[bag, j] * min(max(log, low[bag, j]), high[bag, j])
                total += part
                sums[row, bag] += part
            values[row, j] = total / bags
    return values, sums
