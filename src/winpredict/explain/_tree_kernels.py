"""Compiled loops of exact TreeSHAP by table."""

from typing import Any

import numpy as np
from numba import prange

from winpredict._internal.compiling import njit
from winpredict._internal.threads import loops_on, threads_for

_ROWS_AT_ONCE = 64
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_ZERO_IS_MISSING, _NAN_IS_MISSING = 1, 2
_ZERO = 1e-35


@njit(cache=True)
def leaf_table(shares: Any, value: Any) -> Any:
    """Shapley values of a leaf's features, for every pattern of features whose conditions a row meets.

    A coalition's worth is the leaf's value times, for each member, 1 or 0 as its conditions are met, and for each other
    feature the share of training rows that meet them.
    """
    count = shares.size
    out = np.zeros((1 << count, count))
    weight = np.zeros(count)  # k! (count - 1 - k)! / count! for coalitions of k
    for k in range(count):
        weight[k] = 1.0 / count
        for i in range(1, k + 1):
            weight[k] *= i / (count - i)
    coefficient = np.zeros(count + 1)
    for pattern in range(1 << count):
        for j in range(count):
            coefficient[:] = 0.0
            coefficient[0] = 1.0
            degree = 0
            for i in range(count):
                if i == j:
                    continue
                met = 1.0 if pattern >> i & 1 else 0.0
                for k in range(degree, -1, -1):
                    coefficient[k + 1] += coefficient[k] * met
                    coefficient[k] *= shares[i]
                degree += 1
            total = 0.0
            for k in range(count):
                total += coefficient[k] * weight[k]
            met = 1.0 if pattern >> j & 1 else 0.0
            out[pattern, j] = value * (met - shares[j]) * total
    return out


@njit(cache=True)
def _goes_left(x: Any, threshold: Any, decision: Any, cat_from: Any, cat_size: Any, cat_words: Any) -> Any:
    """The branch that LightGBM takes at a node."""
    if decision & _CATEGORICAL:
        if np.isnan(x) or x < 0:
            return False
        value = int(x)
        word = value // 32
        return word < cat_size and (cat_words[cat_from + word] >> np.uint32(value % 32)) & np.uint32(1) == 1
    missing = decision >> 2 & 3
    if np.isnan(x) and missing != _NAN_IS_MISSING:
        x = 0.0
    if (missing == _NAN_IS_MISSING and np.isnan(x)) or (missing == _ZERO_IS_MISSING and abs(x) <= _ZERO):
        return (decision & _DEFAULT_LEFT) != 0
    return x <= threshold


@njit(cache=True, parallel=True)
def _all_rows(
    matrix: Any,
    node_starts: Any,
    unit_starts: Any,
    direct: Any,
    feature: Any,
    threshold: Any,
    decision: Any,
    cat_from: Any,
    cat_size: Any,
    cat_words: Any,
    slot_starts: Any,
    slot_feature: Any,
    slot_mask: Any,
    slot_want: Any,
    table_starts: Any,
    table: Any,
) -> Any:
    out = np.zeros(matrix.shape)
    blocks = (matrix.shape[0] + _ROWS_AT_ONCE - 1) // _ROWS_AT_ONCE
    for block in prange(blocks):
        last = min((block + 1) * _ROWS_AT_ONCE, matrix.shape[0])
        for tree in range(node_starts.size - 1):
            for row in range(block * _ROWS_AT_ONCE, last):
                answers = np.uint64(0)
                for node in range(node_starts[tree], node_starts[tree + 1]):
                    if _goes_left(
                        matrix[row, feature[node]], threshold[node], decision[node], cat_from[node], cat_size[node],
                        cat_words,
                    ):  # fmt: skip
                        answers |= np.uint64(1) << np.uint64(node - node_starts[tree])
                for unit in range(unit_starts[tree], unit_starts[tree + 1]):
                    first = slot_starts[unit]
                    count = slot_starts[unit + 1] - first
                    pattern = np.int64(answers) if direct[tree] else 0
                    if not direct[tree]:
                        for slot in range(count):
                            if (answers ^ slot_want[first + slot]) & slot_mask[first + slot] == np.uint64(0):
                                pattern |= 1 << slot
                    at = table_starts[unit] + pattern * count
                    for slot in range(count):
                        out[row, slot_feature[first + slot]] += table[at + slot]
    return out


def forest_contributions(matrix: Any, threads: int | None, *arrays: Any) -> Any:
    """Sum of the SHAP values of all trees, shape (n_rows, n_features); see `winpredict.explain._tree_shap.Forest`."""
    with loops_on(threads_for(len(matrix), threads)):
        return _all_rows(matrix, *arrays)
