"""AsOfTable: events sorted once by (key, time); what was known of each key just before a moment, for many moments.

This is the only place where time is cut for features: every figure is read off at the position of ``as_of`` in its
key's run, and that position counts events strictly before it.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features import _kernels

MICROSECONDS_A_DAY = 86_400_000_000
_NEVER = np.iinfo(np.int64).max
#: So few keys are looked up one by one, which saves laying them out as an index.
_FEW_KEYS = 8


class AsOfTable:
    """Events, sorted once by key and by the moment from which each counts.

    An event counts from ``max(occurred, recorded)``: it must have happened and have been entered. An event entered
    ahead of its time (a booked meeting) is upcoming between the two.

    Parameters
    ----------
    events : DataFrame
        One row an event.
    key : str
        Column whose values group the events (a deal, an owner, ...). Rows without a key are left out.
    occurred : str
        Column of the moment at which it happened, UTC (or int64 microseconds).
    recorded : str, optional
        Column of the moment at which it was entered; missing values mean "when it happened".
    tiebreak : sequence of str
        Columns that order events of the same key and moment. What they leave tied is ordered by the rows' content, so
        the order of the input rows never matters.

    Examples
    --------
    >>> touches = pd.DataFrame({
    ...     "deal_id": ["a", "a", "b"],
    ...     "occurred_at": pd.to_datetime(["2025-01-01", "2025-01-20", "2025-01-05"], utc=True),
    ...     "user_id": ["ann", "bob", "ann"],
    ... })
    >>> table = AsOfTable(touches, "deal_id", "occurred_at")
    >>> seen = table.at(["a", "a", "b"], pd.to_datetime(["2025-01-20", "2025-01-21", "2025-01-21"], utc=True))
    >>> seen.count().tolist(), seen.count(window_days=7).tolist()
    ([1, 2, 1], [0, 1, 0])
    >>> seen.distinct("user_id").tolist(), seen.since_last().tolist()
    ([1, 2, 1], [19.0, 1.0, 16.0])
    """

    def __init__(
        self,
        events: pd.DataFrame,
        key: str,
        occurred: str,
        *,
        recorded: str | None = None,
        tiebreak: Sequence[str] = (),
    ) -> None:
        self._keys = _Keys(events[key])
        keyed = self._keys.codes >= 0
        happened = microseconds(events[occurred])
        entered = happened if recorded is None else microseconds(events[recorded].fillna(events[occurred]))
        if not keyed.all():
            events, happened, entered = events[keyed], happened[keyed], entered[keyed]
        counts_from = happened if recorded is None else np.maximum(happened, entered)
        codes = self._keys.codes[keyed] if not keyed.all() else self._keys.codes
        order, self.starts, self.times, tied = _kernels.sort_events(codes, counts_from, len(self._keys))
        if tied.any():
            _order_ties(events, order, self.starts, self.times, tied, tiebreak)
        self._events = events
        self._order = order
        self._as_given = _counts_up(order) and isinstance(events.index, pd.RangeIndex) and events.index.start == 0
        self._columns: dict[str, pd.Series] = {}
        self._coded: dict[str, tuple[NDArray[np.int64], pd.Index | None]] = {}
        self._figures: dict[tuple[str, str], NDArray[Any]] = {}
        self.happened = happened[order] if recorded is not None else self.times
        self.entered = entered[order] if recorded is not None else self.times
        self.in_order = recorded is None or bool((self.happened == self.times).all())
        self._leaving: dict[int, _Departures] = {}

    def __len__(self) -> int:
        return int(self.times.size)

    def __contains__(self, column: str) -> bool:
        return column in self._events.columns

    def column(self, name: str) -> pd.Series:
        """Values of a column, in the sorted order of the events."""
        if name not in self._columns:
            values = self._events[name]
            self._columns[name] = values if self._as_given else taken(values, self._order)
        return self._columns[name]

    def previous(self, name: str) -> pd.Series:
        """For each event, the latest earlier value of the column in the same run; missing where there is none."""
        return gathered(self.column(name), self._earlier(name))

    def previous_codes(self, name: str) -> NDArray[np.int64]:
        """`previous` as codes, equal to those of `value_codes` where the values are equal; -1 where missing."""
        earlier = self._earlier(name)
        return np.where(earlier >= 0, self.value_codes(name)[earlier], -1) if len(self) else earlier

    def _earlier(self, name: str) -> NDArray[np.int64]:
        """For each event, the place of the latest earlier one in its run that has a value of a column; -1 for none."""
        earlier = np.full(len(self), -1, np.int64)
        earlier[1:] = self.last_filled(name)[:-1]
        earlier[self.starts[:-1][np.diff(self.starts) > 0]] = -1
        return earlier

    def last_filled(self, name: str) -> NDArray[np.int64]:
        """For each event, the place of the latest one up to it in its run that has a value of a column; -1 for none."""
        return self.once(
            "last filled", name, lambda: _kernels.last_filled(self.starts, self.column(name).notna().to_numpy())
        )

    def occurrence_number(self, name: str) -> NDArray[np.float64]:
        """For each event, how many events of its run up to it carry the same value (missing values: 1)."""
        return _kernels.occurrence_number(self._following(name))  # type: ignore[no-any-return]

    def gaps(self) -> NDArray[np.float64]:
        """Days between each event and the one before it in its run; NaN for the first."""
        out = np.full(len(self), np.nan)
        out[1:] = np.diff(self.times) / MICROSECONDS_A_DAY
        out[self.starts[:-1][np.diff(self.starts) > 0]] = np.nan
        return out

    def at(self, keys: Any, as_of: Any) -> "AsOfView":
        """Look at each key just before a moment.

        Parameters
        ----------
        keys : sequence
            One key a snapshot; a key without events gives zero counts and missing values.
        as_of : sequence of UTC timestamps (or int64 microseconds)
            One moment a snapshot.

        Returns
        -------
        AsOfView
        """
        return AsOfView(self, self._keys.find(keys), microseconds(as_of))

    def value_codes(self, name: str) -> NDArray[np.int64]:
        """A column as codes, equal where the values are equal; -1 where missing."""
        return self._factorized(name)[0]

    def carries(self, name: str, value: Any) -> NDArray[np.bool_]:
        """Which events carry a value in a column."""
        codes, different = self._factorized(name)
        if different is None:
            return np.asarray(codes == value)
        return codes == different.get_loc(value) if value in different else np.zeros(len(self), np.bool_)

    def of_values(self, name: str, figure: Callable[[Any], float | None]) -> NDArray[np.float64]:
        """A figure of each event by its value in a column, asked for once for each different value; NaN for none."""
        codes, different = self._factorized(name)
        if different is None:
            return by_value(self.column(name), figure)
        return np.array([*(figure(value) for value in different), None], dtype=np.float64)[codes]

    def _factorized(self, name: str) -> tuple[NDArray[np.int64], pd.Index | None]:
        """Codes of a column's values and the value of each; whole numbers are their own codes."""
        if name not in self._coded:
            values = self.column(name)
            if values.dtype == np.int64 and (values.empty or values.min() >= 0):
                self._coded[name] = (values.to_numpy(), None)
            else:
                codes, different = pd.factorize(values.array)
                self._coded[name] = (codes.astype(np.int64), pd.Index(different))
        return self._coded[name]

    def only(self, where: Any) -> "AsOfTable":
        """Some of the events as a table of their own, in the order that they have here."""
        chosen = self.mask(where)
        out = copy(self)
        out.starts = _kernels.running_count(chosen).astype(np.int64)[self.starts]
        out.times, out.happened, out.entered = self.times[chosen], self.happened[chosen], self.entered[chosen]
        out._order, out._as_given = self._order[chosen], False
        out._columns, out._coded, out._figures, out._leaving = {}, {}, {}, {}
        out.__dict__.pop("announced", None)
        return out

    def _following(self, name: str) -> NDArray[np.int64]:
        return _kernels.next_same(self.starts, self.value_codes(name))  # type: ignore[no-any-return]

    def once(self, figure: str, column: Any, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """A running figure of a column; kept for further looks where the column is given by its name."""
        if not isinstance(column, str):
            return make()
        if (figure, column) not in self._figures:
            self._figures[figure, column] = make()
        return self._figures[figure, column]

    def mask(self, where: Any) -> NDArray[np.bool_]:
        """A `where` argument as a boolean array over the events."""
        values = self.column(where) if isinstance(where, str) else where
        return np.asarray(values, dtype=np.bool_)

    def leaving(self, window: int) -> "_Departures":
        """When each event leaves a window of that many microseconds (it may be entered only after that)."""
        if window not in self._leaving:
            self._leaving[window] = _Departures(self, np.maximum(self.happened + window, self.times))
        return self._leaving[window]

    @cached_property
    def announced(self) -> "_Departures":
        """The events by the moment they were entered, whether they have happened or not."""
        return _Departures(self, self.entered)


class AsOfView:
    """An `AsOfTable` seen at snapshots: each figure has one value a snapshot, from events strictly before it.

    Made by `AsOfTable.at`. `where` arguments are boolean arrays over the events, in the table's sorted order, or the
    name of a boolean column; what is computed over a named column is kept for further looks at the same table.
    """

    def __init__(self, table: AsOfTable, codes: NDArray[np.int64], as_of: NDArray[np.int64]) -> None:
        self.table = table
        self._codes = codes
        self._as_of = as_of
        self._begin = _kernels.run_starts(table.starts, codes)
        self._end = _kernels.count_before(table.starts, table.times, codes, as_of)
        self._ends_of_window: dict[int, NDArray[np.int64]] = {}

    def __contains__(self, column: str) -> bool:
        return column in self.table

    def column(self, name: str) -> pd.Series:
        """Values of a column over the events, to make a `where` from."""
        return self.table.column(name)

    def carries(self, name: str, value: Any) -> NDArray[np.bool_]:
        """Which events carry a value in a column, as a `where`."""
        return self.table.carries(name, value)

    def count(self, *, where: Any = None, window_days: float | None = None) -> NDArray[np.int64]:
        """Number of events, in all or in the `window_days` days up to as_of."""
        if window_days is None:
            return self._difference(where, self._begin)
        if self.table.in_order:
            return self._difference(where, self._window_start(window_days))
        gone = self.table.leaving(_as_microseconds(window_days)).count_before(self._codes, self._as_of, where)
        return self.count(where=where) - gone

    def upcoming(self, *, where: Any = None) -> NDArray[np.int64]:
        """Number of events that were entered already and lie ahead."""
        known = self.table.announced.count_before(self._codes, self._as_of, where)
        return known - self.count(where=where)

    def sum(
        self, values: str | NDArray[np.float64], *, where: Any = None, window_days: float | None = None
    ) -> NDArray[np.float64]:
        """Sum over the events of a column, or of an array over them; missing values count as 0.

        In a window, a table with late-entered events counts an event from when it was entered.
        """
        running = self.table.once("sum", values if where is None else None, lambda: self._running_sum(values, where))
        begin = self._begin if window_days is None else self._window_start(window_days)
        shift = np.maximum(self._codes, 0)
        total = running[self._end + shift] - running[begin + shift] if len(self.table) else np.zeros(len(self._codes))
        return np.where(self._end > begin, total, 0.0)

    def _running_sum(self, values: str | NDArray[np.float64], where: Any) -> NDArray[np.float64]:
        numbers = self._numbers(values)
        if where is not None:
            numbers = np.where(self.table.mask(where), numbers, 0.0)
        return _kernels.running_sum(self.table.starts, numbers)  # type: ignore[no-any-return]

    def last(self, column: str) -> pd.Series:
        """The latest recorded value of a column; missing where there is none."""
        values = self.column(column)
        return gathered(values, self._read(self.table.last_filled(column), -1))

    def first(self, column: str) -> pd.Series:
        """The earliest recorded value of a column; missing where there is none yet."""
        values = self.column(column)
        earliest = _kernels.first_filled(self.table.starts, values.notna().to_numpy())
        if earliest.size == 0:
            return gathered(values, np.full(self._codes.size, -1))
        found = np.where(self._codes >= 0, earliest[self._codes], -1)
        return gathered(values, np.where(found < self._end, found, -1))

    def max(self, values: str | NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest value so far of a column, or of an array over the events; NaN where there is none."""
        return self._read(_kernels.running_max(self.table.starts, self._numbers(values)), np.nan)

    def mean(self, values: str | NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean over the events of a column, or of an array over them, without missing values; NaN for none."""
        filled = self.table.once("filled", values, lambda: _kernels.running_count(~np.isnan(self._numbers(values))))
        number = _kernels.difference(filled, self._begin, self._end).astype(np.float64)
        return np.asarray(self.sum(values) / np.where(number == 0, np.nan, number))

    def distinct(self, column: str, *, window_days: float | None = None) -> NDArray[np.int64]:
        """Number of different values of a column (missing ones not counted).

        In a window, a value counts once however many of its events are in it.
        """
        if window_days is None:
            first = self.table.once(
                "first of its value", column,
                lambda: _kernels.running_count(_kernels.is_first(self.table.starts, self.table.value_codes(column))),
            )  # fmt: skip
            return _kernels.difference(first, self._begin, self._end)  # type: ignore[no-any-return]
        following = self.table._following(column)
        filled = self.column(column).notna().to_numpy()
        leaves = np.maximum(self.table.happened + _as_microseconds(window_days), self.table.times)
        leaves = _kernels.carry_max(following, leaves)
        again = np.where(following >= 0, self.table.times[following], _NEVER)
        gone = _Departures(self.table, np.minimum(leaves, again)).count_before(self._codes, self._as_of, filled)
        return self.count(where=filled) - gone

    def since_last(self, *, where: Any = None) -> NDArray[np.float64]:
        """Days from the latest occurrence to as_of; NaN where there is none."""
        latest = self._read(self.table.once("latest", where, lambda: self._latest(where)), np.nan)
        return (self._as_of - latest) / MICROSECONDS_A_DAY  # type: ignore[no-any-return]

    def _latest(self, where: Any) -> NDArray[np.float64]:
        happened = self.table.happened.astype(np.float64)
        if where is not None:
            happened = np.where(self.table.mask(where), happened, np.nan)
        return _kernels.running_max(self.table.starts, happened)  # type: ignore[no-any-return]

    def tally(self, codes: NDArray[np.int64], number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`count` and `since_last` of each of several values, in one pass over the events and the snapshots.

        Parameters
        ----------
        codes : int64 array
            The value of each event, in the table's sorted order: 0 to ``number - 1``, or -1 for none of them.
        number : int

        Returns
        -------
        counts, since : float arrays, shape (number, n_snapshots)
            How often each value occurred, and the days since it last did; NaN where it never did.
        """
        order, starts, ends, _ = _kernels.sort_events(self._codes + 1, self._end, self.table.starts.size)
        counts, latest = _kernels.tally(
            order, starts, ends, self.table.starts, codes, self.table.happened, number, self._codes.size
        )
        return counts, (self._as_of - latest) / MICROSECONDS_A_DAY

    def latest(self, running: NDArray[np.float64]) -> NDArray[np.float64]:
        """A figure that is known after each event, as it was after the last one before as_of; NaN where none was."""
        return self._read(running, np.nan)

    def since_first(self) -> NDArray[np.float64]:
        """Days from the earliest occurrence to as_of; NaN where there is none."""
        earliest = -self._read(_kernels.running_max(self.table.starts, -self.table.happened.astype(np.float64)), np.nan)
        return (self._as_of - earliest) / MICROSECONDS_A_DAY  # type: ignore[no-any-return]

    def _numbers(self, values: str | NDArray[np.float64]) -> NDArray[np.float64]:
        return self.column(values).to_numpy(np.float64) if isinstance(values, str) else values

    def _read(self, running: NDArray[Any], missing: float) -> NDArray[Any]:
        """Value of a running figure at the last event before as_of."""
        return _kernels.read_last(running, self._begin, self._end, running.dtype.type(missing))  # type: ignore[no-any-return]

    def _difference(self, where: Any, begin: NDArray[np.int64]) -> NDArray[np.int64]:
        if where is None:
            return self._end - begin  # type: ignore[no-any-return]
        running = self.table.once("count", where, lambda: _kernels.running_count(self.table.mask(where)))
        return _kernels.difference(running, begin, self._end)  # type: ignore[no-any-return]

    def _window_start(self, window_days: float) -> NDArray[np.int64]:
        window = _as_microseconds(window_days)
        if window not in self._ends_of_window:
            self._ends_of_window[window] = _kernels.window_start(
                self.table.times, self._begin, self._end, self._as_of - window
            )
        return self._ends_of_window[window]


class _Departures:
    """The events of a table sorted by another moment: when they leave a window, or when they were entered."""

    def __init__(self, table: AsOfTable, moments: NDArray[np.int64]) -> None:
        codes = np.repeat(np.arange(table.starts.size - 1), np.diff(table.starts))
        self._order, self._starts, self._times, _ = _kernels.sort_events(codes, moments, table.starts.size - 1)
        self._table = table
        self._counts: dict[str, NDArray[Any]] = {}

    def count_before(self, codes: NDArray[np.int64], as_of: NDArray[np.int64], where: Any) -> NDArray[np.int64]:
        begin = _kernels.run_starts(self._starts, codes)
        end = _kernels.count_before(self._starts, self._times, codes, as_of)
        if where is None:
            return end - begin  # type: ignore[no-any-return]
        running = self._counts.get(where) if isinstance(where, str) else None
        if running is None:
            running = _kernels.running_count(self._table.mask(where)[self._order])
            if isinstance(where, str):
                self._counts[where] = running
        return _kernels.difference(running, begin, end)  # type: ignore[no-any-return]


class _Keys:
    """Keys as codes 0..n-1; dense integers are their own codes, which saves the hashing."""

    def __init__(self, keys: pd.Series) -> None:
        values = keys.to_numpy() if keys.dtype == np.int64 else None
        if values is not None and values.size and values.min() >= 0 and values.max() < 2 * values.size:
            self._different: Any = None
            self._size = int(values.max()) + 1
            self.codes: NDArray[np.int64] = values
        else:
            codes, index = pd.factorize(keys.array)
            self._different, self._size, self.codes = index, len(index), codes.astype(np.int64)

    def __len__(self) -> int:
        return self._size

    def find(self, keys: Any) -> NDArray[np.int64]:
        if self._different is None:
            found = np.asarray(keys, dtype=np.int64)
            return np.where((found >= 0) & (found < self._size), found, -1)
        return find_places(self._different, keys, lambda: self._index)

    @cached_property
    def _index(self) -> "pd.Index[Any]":
        found: pd.Index[Any] = pd.Index(self._different)
        return found


def _order_ties(
    events: pd.DataFrame,
    order: NDArray[np.int64],
    starts: NDArray[np.int64],
    times: NDArray[np.int64],
    tied: NDArray[np.bool_],
    tiebreak: Sequence[str],
) -> None:
    """Put events of the same key and moment into an order that depends on their content alone, in place."""
    places = np.flatnonzero(np.repeat(tied, np.diff(starts)))
    rows = events.take(order[places])
    content = pd.DataFrame({name: rows[name].to_numpy() for name in tiebreak})
    content.insert(0, "_run", np.repeat(np.flatnonzero(tied), np.diff(starts)[tied]))
    content.insert(1, "_time", times[places])
    content["_hash"] = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    sorted_places = content.sort_values(list(content.columns), kind="stable").index.to_numpy()
    order[places] = order[places][sorted_places]


def find_places(different: Any, keys: Any, index: Callable[[], pd.Index] | None = None) -> NDArray[np.int64]:
    """The place of each key among keys that are all different; -1 for one that is not among them.

    Parameters
    ----------
    different : array-like
    keys : array-like
    index : callable, optional
        Gives the index of `different`, where it is kept; few keys among few need none.
    """
    if len(keys) > _FEW_KEYS:
        return (pd.Index(different) if index is None else index()).get_indexer(pd.Index(keys)).astype(np.int64)
    if len(different) <= _FEW_KEYS:
        places = {key: place for place, key in enumerate(different)}
        return np.array([places.get(key, -1) for key in keys], dtype=np.int64)
    laid_out = pd.Index(different) if index is None else index()
    return np.array([laid_out.get_loc(key) if key in laid_out else -1 for key in keys], dtype=np.int64)


def _counts_up(order: NDArray[np.int64]) -> bool:
    """Whether rows stand in their order already."""
    return bool(order.size == 0 or (order[0] == 0 and (np.diff(order) == 1).all()))


def taken(values: pd.Series, order: NDArray[np.int64]) -> pd.Series:
    """Values in another order, counted from 0; plain numbers on all cores."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf":
        return pd.Series(_kernels.gather(values.to_numpy(), order), name=values.name, copy=False)
    return pd.Series(values.array.take(order), name=values.name, copy=False)


def gathered(values: pd.Series, places: NDArray[np.int64]) -> pd.Series:
    """Values at places, counted from 0; missing where the place is -1."""
    plain = isinstance(values.dtype, np.dtype)
    source, missing = (values.to_numpy(), np.nan) if plain else (values.array, None)
    found = pd.api.extensions.take(source, places, allow_fill=True, fill_value=missing)
    return pd.Series(found, name=values.name, copy=False)


def by_value(values: pd.Series, figure: Callable[[Any], float | None]) -> NDArray[np.float64]:
    """A figure of each value, asked for once for each different one; NaN where the value or its figure is missing.

    Examples
    --------
    >>> by_value(pd.Series(["a", None, "bc", "a"]), len).tolist()
    [1.0, nan, 2.0, 1.0]
    """
    codes, different = pd.factorize(values.array)
    return np.array([*(figure(value) for value in different), None], dtype=np.float64)[codes]


def microseconds(times: Any) -> NDArray[np.int64]:
    """Moments as microseconds since 1970 (as they stand if they are whole numbers already)."""
    times = times if hasattr(times, "dtype") else pd.Series(times)
    if isinstance(times, pd.Series) and isinstance(times.dtype, pd.DatetimeTZDtype) and times.dtype.unit == "us":
        return times.array.asi8  # type: ignore[attr-defined, no-any-return]
    if times.dtype == np.int64:
        return np.asarray(times)
    return pd.DatetimeIndex(times).as_unit("us").asi8


def _as_microseconds(days: float) -> int:
    return round(days * MICROSECONDS_A_DAY)
