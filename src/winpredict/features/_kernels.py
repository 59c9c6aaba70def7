"""Compiled loops under `AsOfTable`: runs of equal keys, positions in them, and running figures along them.

An event table is laid out as one array sorted by (key, time); `starts[k]:starts[k + 1]` is the run of key ``k``.
Every function is a single pass over events or snapshots. Times are int64, in any one unit.
"""

from typing import Any

import numpy as np
from numba import prange

from winpredict._internal.compiling import njit

SMALL_RUN = 48  # below this, insertion sort beats a call of argsort


@njit(cache=True)
def _key_layout(codes: Any, n_keys: Any) -> Any:
    """Counting sort by key, stable: (order, starts)."""
    starts = np.zeros(n_keys + 1, np.int64)
    for i in range(codes.size):
        starts[codes[i] + 1] += 1
    for k in range(n_keys):
        starts[k + 1] += starts[k]
    fill = starts[:-1].copy()
    order = np.empty(codes.size, np.int64)
    for i in range(codes.size):
        order[fill[codes[i]]] = i
        fill[codes[i]] += 1
    return order, starts


@njit(cache=True)
def _sort_run(order: Any, times: Any, lo: Any, hi: Any) -> Any:
    if hi - lo <= SMALL_RUN:
        for i in range(lo + 1, hi):
            row, time = order[i], times[i]
            j = i - 1
            while j >= lo and times[j] > time:
                order[j + 1] = order[j]
                times[j + 1] = times[j]
                j -= 1
            order[j + 1] = row
            times[j + 1] = time
    else:
        by_time = np.argsort(times[lo:hi], kind="mergesort")
        order[lo:hi] = order[lo:hi][by_time]
        times[lo:hi] = times[lo:hi][by_time]


@njit(cache=True, parallel=True)
def _sort_runs(order: Any, starts: Any, event_times: Any) -> Any:
    times = np.empty(order.size, np.int64)
    tied = np.zeros(starts.size - 1, np.bool_)
    for k in prange(starts.size - 1):
        for i in range(starts[k], starts[k + 1]):
            times[i] = event_times[order[i]]
        _sort_run(order, times, starts[k], starts[k + 1])
        for i in range(starts[k] + 1, starts[k + 1]):
            tied[k] |= times[i] == times[i - 1]
    return times, tied


def sort_events(codes: Any, times: Any, n_keys: Any) -> Any:
    """Sort events by (key, time).

    Returns
    -------
    order : int64 array
        Rows of the input in sorted order.
    starts : int64 array, shape (n_keys + 1,)
    sorted_times : int64 array
    tied : bool array, shape (n_keys,)
        Whether a run holds two events at the same moment, whose order is then that of the input.
    """
    order, starts = _key_layout(codes, n_keys)
    sorted_times, tied = _sort_runs(order, starts, times)
    return order, starts, sorted_times, tied


@njit(cache=True)
def _first_not_before(times: Any, lo: Any, hi: Any, moment: Any) -> Any:
    while lo < hi:
        middle = (lo + hi) >> 1
        if times[middle] < moment:
            lo = middle + 1
        else:
            hi = middle
    return lo


@njit(cache=True, parallel=True)
def count_before(starts: Any, times: Any, codes: Any, moments: Any) -> Any:
    """For each (code, moment): the index just past the last event of that key strictly before the moment.

    A code of -1 (a key without events) gives 0 on the empty run 0:0.
    """
    out = np.zeros(codes.size, np.int64)
    for s in prange(codes.size):
        if codes[s] >= 0:
            out[s] = _first_not_before(times, starts[codes[s]], starts[codes[s] + 1], moments[s])
    return out


@njit(cache=True, parallel=True)
def window_start(times: Any, begin: Any, end: Any, moments: Any) -> Any:
    """For each snapshot: the first of its events ``begin:end`` that is not before the start of its window."""
    out = np.empty(begin.size, np.int64)
    for s in prange(begin.size):
        out[s] = _first_not_before(times, begin[s], end[s], moments[s])
    return out


@njit(cache=True, parallel=True)
def gather(values: Any, places: Any) -> Any:
    """``values[places]``, on all cores."""
    out = np.empty(places.size, values.dtype)
    for i in prange(places.size):
        out[i] = values[places[i]]
    return out


@njit(cache=True, parallel=True)
def difference(running: Any, begin: Any, end: Any) -> Any:
    """``running[end] - running[begin]`` as int64, on all cores."""
    out = np.empty(begin.size, np.int64)
    for s in prange(begin.size):
        out[s] = running[end[s]] - running[begin[s]]
    return out


@njit(cache=True, parallel=True)
def read_last(running: Any, begin: Any, end: Any, missing: Any) -> Any:
    """Value of a running figure at the last event of ``begin:end``; `missing` where there is none."""
    out = np.empty(begin.size, running.dtype)
    for s in prange(begin.size):
        out[s] = running[end[s] - 1] if end[s] > begin[s] else missing
    return out


@njit(cache=True, parallel=True)
def run_starts(starts: Any, codes: Any) -> Any:
    """First index of each code's run; 0 for a code of -1."""
    out = np.zeros(codes.size, np.int64)
    for s in prange(codes.size):
        if codes[s] >= 0:
            out[s] = starts[codes[s]]
    return out


@njit(cache=True, parallel=True)
def running_sum(starts: Any, values: Any) -> Any:
    """Sum of values before each index within its run (so that rounding never crosses keys); NaN counts as 0.

    The result has one element more than a run has events: it lies at ``index + key``.
    """
    out = np.zeros(values.size + starts.size - 1, np.float64)
    for k in prange(starts.size - 1):
        total = 0.0
        for i in range(starts[k], starts[k + 1]):
            out[i + k] = total
            if not np.isnan(values[i]):
                total += values[i]
        out[starts[k + 1] + k] = total
    return out


@njit(cache=True)
def running_count(mask: Any) -> Any:
    """Number of true values before each index, over all runs; differences within a run are exact."""
    out = np.empty(mask.size + 1, np.int32)
    total = np.int32(0)
    for i in range(mask.size):
        out[i] = total
        total += np.int32(mask[i])
    out[mask.size] = total
    return out


@njit(cache=True, parallel=True)
def last_filled(starts: Any, filled: Any) -> Any:
    """Index of the latest filled event at or before each index of its run; -1 when there is none."""
    out = np.full(filled.size, -1, np.int64)
    for k in prange(starts.size - 1):
        latest = -1
        for i in range(starts[k], starts[k + 1]):
            if filled[i]:
                latest = i
            out[i] = latest
    return out


@njit(cache=True, parallel=True)
def first_filled(starts: Any, filled: Any) -> Any:
    """Index of the earliest filled event of each key's run; -1 when there is none."""
    out = np.full(starts.size - 1, -1, np.int64)
    for k in prange(starts.size - 1):
        for i in range(starts[k], starts[k + 1]):
            if filled[i]:
                out[k] = i
                break
    return out


@njit(cache=True, parallel=True)
def running_max(starts: Any, values: Any) -> Any:
    """Largest value at or before each index of its run; NaN while there is none."""
    out = np.empty(values.size, np.float64)
    for k in prange(starts.size - 1):
        best = np.nan
        for i in range(starts[k], starts[k + 1]):
            if not np.isnan(values[i]) and (np.isnan(best) or values[i] > best):
                best = values[i]
            out[i] = best
    return out


@njit(cache=True)
def _next_same_small(starts: Any, values: Any, k: Any, out: Any) -> Any:
    for i in range(starts[k], starts[k + 1]):
        if values[i] >= 0:
            for j in range(i + 1, starts[k + 1]):
                if values[j] == values[i]:
                    out[i] = j
                    break


@njit(cache=True)
def _next_same_large(starts: Any, values: Any, k: Any, out: Any) -> Any:
    lo, hi = starts[k], starts[k + 1]
    by_value = np.argsort(values[lo:hi], kind="mergesort")
    for i in range(hi - lo - 1):
        here, there = lo + by_value[i], lo + by_value[i + 1]
        if values[here] >= 0 and values[here] == values[there]:
            out[here] = there


@njit(cache=True, parallel=True)
def next_same(starts: Any, values: Any) -> Any:
    """Index of the next event of the same run with the same value (codes >= 0); -1 when there is none."""
    out = np.full(values.size, -1, np.int64)
    for k in prange(starts.size - 1):
        if starts[k + 1] - starts[k] <= SMALL_RUN:
            _next_same_small(starts, values, k, out)
        else:
            _next_same_large(starts, values, k, out)
    return out


@njit(cache=True)
def _mark_first_small(values: Any, lo: Any, hi: Any, out: Any) -> Any:
    for i in range(lo, hi):
        fresh = values[i] >= 0
        for j in range(lo, i):
            if values[j] == values[i]:
                fresh = False
                break
        out[i] = fresh


@njit(cache=True)
def _mark_first_large(values: Any, lo: Any, hi: Any, out: Any) -> Any:
    by_value = np.argsort(values[lo:hi], kind="mergesort")
    for i in range(hi - lo):
        here = lo + by_value[i]
        out[here] = values[here] >= 0 and (i == 0 or values[lo + by_value[i - 1]] != values[here])


@njit(cache=True, parallel=True)
def is_first(starts: Any, values: Any) -> Any:
    """Whether each event is the first of its run with its value; never for a missing value (code -1)."""
    out = np.zeros(values.size, np.bool_)
    for k in prange(starts.size - 1):
        if starts[k + 1] - starts[k] <= SMALL_RUN:
            _mark_first_small(values, starts[k], starts[k + 1], out)
        else:
            _mark_first_large(values, starts[k], starts[k + 1], out)
    return out


@njit(cache=True, parallel=True)
def tally(
    order: Any, key_starts: Any, ends: Any, starts: Any, codes: Any, happened: Any, number: Any, size: Any
) -> Any:
    """How often each value occurred before each snapshot, and when last; NaN where it never did.

    Snapshots are given by key and then by how many events they see (`order`, `key_starts`, `ends`), with those of no
    key first: each goes on from the one before it, so that every event is read once.
    """
    counts = np.zeros((number, size), np.float64)
    latest = np.full((number, size), np.nan)
    for k in prange(starts.size - 1):
        here = starts[k]
        count = np.zeros(number, np.float64)
        last = np.full(number, np.nan)
        for s in range(key_starts[k + 1], key_starts[k + 2]):
            while here < ends[s]:
                value = codes[here]
                if value >= 0:
                    count[value] += 1.0
                    if not happened[here] <= last[value]:
                        last[value] = happened[here]
                here += 1
            for value in range(number):
                counts[value, order[s]] = count[value]
                latest[value, order[s]] = last[value]
    return counts, latest


@njit(cache=True)
def _local_codes(codes: Any) -> Any:
    """Codes as 0, 1, 2, ... within one run, equal where they are equal."""
    by_code = np.argsort(codes, kind="mergesort")
    out = np.zeros(codes.size, np.int64)
    for i in range(1, codes.size):
        here, before = by_code[i], by_code[i - 1]
        out[here] = out[before] + np.int64(codes[here] != codes[before])
    return out


@njit(cache=True, parallel=True)
def baskets(starts: Any, change: Any, item: Any, products: Any, values: Any) -> Any:
    """After each event: how many different products are in the basket, and the largest value of an item in it.

    An event puts an item in (`change` above 0) or takes it out; items of a run are numbered from 0. The largest value
    is NaN while no item has a value.
    """
    different = np.zeros(change.size, np.float64)
    largest = np.full(change.size, np.nan)
    for k in prange(starts.size - 1):
        lo, hi = starts[k], starts[k + 1]
        if hi == lo:
            continue
        local = _local_codes(products[lo:hi])
        of_product = np.zeros(hi - lo, np.int64)
        worth = np.full(hi - lo, np.nan)
        number, best = 0.0, np.nan
        for i in range(lo, hi):
            product, place = local[i - lo], np.int64(item[i])
            if change[i] > 0:
                number += np.float64(of_product[product] == 0)
                of_product[product] += 1
                worth[place] = values[i]
                if not (np.isnan(values[i]) or values[i] <= best):
                    best = values[i]
            else:
                of_product[product] -= 1
                number -= np.float64(of_product[product] == 0)
                gone, worth[place] = worth[place], np.nan
                if gone == best:
                    best = np.nan
                    for j in range(hi - lo):
                        if not (np.isnan(worth[j]) or worth[j] <= best):
                            best = worth[j]
            different[i], largest[i] = number, best
    return different, largest


@njit(cache=True)
def occurrence_number(following: Any) -> Any:
    """How many events of the same run and value there are up to each index, this one included."""
    out = np.ones(following.size, np.float64)
    for i in range(following.size):
        if following[i] >= 0:
            out[following[i]] = out[i] + 1
    return out


@njit(cache=True)
def carry_max(following: Any, values: Any) -> Any:
    """Largest value so far along each chain of events that `next_same` links."""
    out = values.copy()
    for i in range(out.size):
        if following[i] >= 0 and out[i] > out[following[i]]:
            out[following[i]] = out[i]
    return out
