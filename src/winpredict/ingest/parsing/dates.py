"""Texts into times: how a column writes its dates, and what each cell says then.

Whether 03/04/2025 starts with the day or the month is decided for each separator by the cells of the whole column that
leave no choice, then by what the caller knows of other columns. What nothing decides is unread.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.ingest.parsing.clock_texts import DAY as DAY_LENGTH
from winpredict.ingest.parsing.clock_texts import LOCAL, MINUTE
from winpredict.ingest.parsing.date_cells import FIXED, MISSING, MOMENT, SERIAL, DateCells, read_cells
from winpredict.ingest.parsing.date_formats import (
    BY_SEPARATOR,
    DEFAULT_ORDERS,
    EPOCH_1900,
    EPOCH_1904,
    MONTHS,
    ORDERS,
    YEARS_AHEAD,
    DateFormat,
    DateHints,
    OrderEvidence,
    full_year,
)
from winpredict.ingest.parsing.date_texts import (
    DAY,
    EMPTY,
    MAX_YEAR,
    MIN_YEAR,
    MONTH,
    SEPARATORS,
    WORDS,
    YEAR_FIRST,
)
from winpredict.ingest.parsing.text import in_utc
from winpredict.tables.schema import TIME_DTYPE

_CENTURY = 2000
_END_OF_DAY = pd.Timedelta("1D") - pd.Timedelta("1us")


@dataclass(frozen=True)
class Times:
    """Times read from texts.

    Attributes
    ----------
    values : Series
        In UTC with microseconds; missing where a text is missing, unread, or says that there is no date (0000-00-00).
    unread : Series of bool
        Texts that could not be read.
    unclear : Series of bool
        Those of them whose day and month could stand in either order.
    day_only : Series of bool
        Texts without a time of the day.
    month_only : Series of bool
        Those of them that name a month only.
    """

    values: pd.Series
    unread: pd.Series
    unclear: pd.Series
    day_only: pd.Series
    month_only: pd.Series


def date_hints(texts: pd.Series) -> DateHints:
    """Evidence of how a column writes its dates.

    Parameters
    ----------
    texts : Series of str
        Stripped; missing where empty.

    Returns
    -------
    DateHints

    Examples
    --------
    >>> hints = date_hints(pd.Series(["25/04/2025", "03/04/2025", "Q1 2024", None]))
    >>> hints.day_first, hints.unclear, hints.unread
    ({'/': 1}, {'/': 1}, 1)
    """
    return _hints_of(read_cells(texts, None))


def to_times(texts: pd.Series, zone: str, form: DateFormat, *, month_end: bool = False) -> Times:
    """Read texts as times.

    Parameters
    ----------
    texts : Series of str
        Stripped; missing where empty.
    zone : str
        Zone of times without an offset. An hour that occurs twice counts as its first pass, one that never occurs as
        the moment the clock was put forward.
    form : DateFormat
        As decided by the whole column.
    month_end : bool
        Whether 2024-03 means the last day of the month rather than the first.

    Returns
    -------
    Times

    Examples
    --------
    >>> from winpredict.ingest.parsing.date_formats import date_format
    >>> texts = pd.Series(["19. Mai 2023", "03/04/2025 2:05 PM", "31/02/2024"])
    >>> times = to_times(texts, "UTC", date_format(date_hints(texts), day_first=True))
    >>> [str(time) for time in times.values]
    ['2023-05-19 00:00:00+00:00', '2025-04-03 14:05:00+00:00', 'NaT']
    >>> times.unread.tolist()
    [False, False, True]
    """
    cells = read_cells(texts, zone)
    days, read, unclear = _days(cells, form, month_end)
    with_offset = cells.offset != LOCAL
    local = days * DAY_LENGTH + cells.clock
    moments = np.where(with_offset, local - cells.offset.astype(np.int64) * MINUTE, local).astype("datetime64[us]")
    moments[~read] = np.datetime64("NaT")
    values = pd.Series(moments, index=texts.index).dt.tz_localize("UTC")
    to_shift = read & ~with_offset
    if zone != "UTC" and to_shift.any():
        if to_shift.all():
            values = in_utc(values.dt.tz_localize(None), zone)
        else:
            shifted = in_utc(pd.Series(moments[to_shift]), zone)
            moments[to_shift] = shifted.dt.tz_localize(None).to_numpy()
            values = pd.Series(moments, index=texts.index).dt.tz_localize("UTC")
    masks = (
        ~read & (cells.kind != MISSING) & (cells.kind != EMPTY),
        unclear,
        read & cells.day_only,
        read & (cells.kind == MONTH),
    )
    return Times(values.astype(TIME_DTYPE), *(pd.Series(mask, index=texts.index) for mask in masks))


def end_of_day(times: Times) -> pd.Series:
    """Times whose text names a day only, moved to the end of that day: by then the fact was known.

    Examples
    --------
    >>> from winpredict.ingest.parsing.date_formats import date_format
    >>> texts = pd.Series(["2024-05-19", "2024-05-19 10:00"])
    >>> [str(time) for time in end_of_day(to_times(texts, "UTC", date_format(date_hints(texts))))]
    ['2024-05-19 23:59:59.999999+00:00', '2024-05-19 10:00:00+00:00']
    """
    return times.values.where(~times.day_only, times.values + _END_OF_DAY).astype(TIME_DTYPE)


def order_evidence(created: pd.Series, closed: pd.Series | None = None, *, now: pd.Timestamp) -> OrderEvidence:
    """Count impossible dates under both orders of day and month.

    The order that other cells of a column decide is left aside, so that evidence of the parts of a table adds up.

    Parameters
    ----------
    created, closed : Series of str
        Texts of two columns, row by row. Only rows in which a cell could be either order count.
    now : Timestamp
        Later dates are impossible.

    Returns
    -------
    OrderEvidence
    """
    moment = now.tz_convert("UTC").tz_localize(None) if now.tz is not None else now
    today = int(moment.to_datetime64().astype("datetime64[D]").astype(np.int64))
    columns = [read_cells(column, None) for column in (created, closed) if column is not None]
    if not any(np.isin(cells.form[cells.kind == DAY], list(SEPARATORS.values())).any() for cells in columns):
        return OrderEvidence()
    by_order = {}
    for order in ("day_first", "month_first"):
        form = DateFormat(dict.fromkeys(SEPARATORS, order), now.year + YEARS_AHEAD)
        by_order[order] = [_days(cells, form, month_end=False)[:2] for cells in columns]
    either = np.zeros(len(created), dtype=bool)
    for (one, one_read), (other, other_read) in zip(*by_order.values(), strict=True):
        either |= one_read & other_read & (one != other)
    violations = {}
    for order, readings in by_order.items():
        violations[order] = sum(int((either & read & (days > today)).sum()) for days, read in readings)
        if len(readings) > 1:
            (start, has_start), (end, has_end) = readings
            violations[order] += int((either & has_start & has_end & (end < start)).sum())
    return OrderEvidence(violations["day_first"], violations["month_first"])


def plausible_order(created: pd.Series, closed: pd.Series | None = None, *, now: pd.Timestamp) -> bool | None:
    """Whether dates start with the day, judged by closes before the creation and by dates after today.

    Parameters
    ----------
    created, closed : Series of str
        Texts of two columns, row by row.
    now : Timestamp
        Later dates are impossible.

    Returns
    -------
    bool or None
        None where neither order has at least three impossible dates and five times as many as the other.

    Examples
    --------
    >>> created = pd.Series(["03/01/2024", "05/02/2024", "07/01/2024"])
    >>> closed = pd.Series(["01/02/2024", "01/03/2024", "02/04/2024"])
    >>> plausible_order(created, closed, now=pd.Timestamp("2025-01-01"))
    True
    """
    return order_evidence(created, closed, now=now).is_day_first


def _hints_of(cells: DateCells) -> DateHints:
    kind = cells.kind
    by_separator: dict[str, dict[str, int]] = {name: {} for name in BY_SEPARATOR}
    readable = (kind == FIXED) | (kind == MOMENT) | (kind == SERIAL)
    days = np.where(kind == SERIAL, cells.day + EPOCH_1900, cells.day)
    for separator, form in SEPARATORS.items():
        rows = np.flatnonzero((kind == DAY) & (cells.form == form))
        if len(rows):
            readable[rows] = _count_order(by_separator, separator, cells.take(rows))
            # only the year matters here, and any day that is within it
            days[rows] = _calendar_days(cells.year[rows], ones := np.ones_like(rows), ones)[0]
    # kinds that leave no choice, of which those in words are not what a spreadsheet could have made of a text
    rows = np.flatnonzero(((kind == DAY) & (cells.form <= WORDS)) | (kind == MONTH))
    if len(rows):
        year = np.where(cells.short[rows], cells.year[rows] + _CENTURY, cells.year[rows])
        days[rows], readable[rows] = _calendar_days(year, cells.second[rows], cells.first[rows])
        # as in UTC, where there is an offset: so they are the same however the cell was read
        clock, offset = cells.clock[rows], cells.offset[rows].astype(np.int64)
        days[rows] += np.where(offset == LOCAL, 0, (clock - offset * MINUTE) // DAY_LENGTH)
    real = (kind == FIXED) | (kind == SERIAL) | ((kind == DAY) & (cells.form == YEAR_FIRST))
    serials = cells.day[kind == SERIAL]
    if len(serials):
        by_separator["examples"]["serial"] = int(serials.min())
    return DateHints(
        filled=int((kind != MISSING).sum()),
        unread=int((~readable & (kind != MISSING) & (kind != EMPTY)).sum()),
        empty_dates=int((kind == EMPTY).sum()),
        day_only=int((readable & cells.day_only).sum()),
        months=int((readable & (kind == MONTH)).sum()),
        serials=len(serials),
        days=_tally(days[readable & real], "M"),
        years=_tally(days[readable & ~cells.short], "Y"),
        **by_separator,
    )


def _count_order(counts: dict[str, dict[str, int]], separator: str, cells: DateCells) -> NDArray[np.bool_]:
    """Count what dates around one separator tell of their order; gives which of them are dates in some order."""
    first, second, last, short = cells.first, cells.second, cells.year, cells.short
    year = np.where(short, last + _CENTURY, last)
    by_day = _calendar_days(year, second, first)[1]
    by_month = _calendar_days(year, first, second)[1]
    by_year = short & _calendar_days(first + _CENTURY, second, last)[1]
    either = by_day & by_month & (first != second)
    kinds = {
        "day_first": by_day & ~by_month,
        "month_first": by_month & ~by_day,
        "unclear": either,
        "same": by_day & by_month & (first == second),
        "long": (by_day | by_month) & ~short,
        "short": (by_day | by_month | by_year) & short,
        "short_year_first": by_year,
    }
    for name, mask in kinds.items():
        if mask.any():
            counts[name][separator] = int(mask.sum())
    if either.any():
        examples = (last.astype(np.int64) * 100 + first) * 100 + second
        counts["examples"][separator] = int(examples[either].min())
    for name, numbers in (("short_first", first), ("short_last", last)):
        values, cells_of_value = np.unique(numbers[kinds["short"]], return_counts=True)
        counts[name] |= {f"{separator}{value:02}": int(n) for value, n in zip(values, cells_of_value, strict=True)}
    return by_day | by_month | by_year


def _tally(days: NDArray[np.int64], unit: Literal["M", "Y"]) -> dict[str, int]:
    """Cells by year, or by day of the month."""
    if not len(days):
        return {}
    start = int(days.min())
    per_day = np.bincount(days - start)
    present = np.flatnonzero(per_day)
    dates = (present + start).astype("datetime64[D]")
    periods = dates.astype(f"datetime64[{unit}]")
    keys = periods.astype(np.int64) + 1970 if unit == "Y" else (dates - periods).astype(np.int64) + 1
    sums = np.bincount(keys, weights=per_day[present]).astype(np.int64)
    return {str(key): int(sums[key]) for key in np.flatnonzero(sums)}


def _days(cells: DateCells, form: DateFormat, month_end: bool) -> tuple[NDArray[np.int64], ...]:
    """Days since 1970, which of them could be read, and which are unread since their order is unclear."""
    kind = cells.kind
    days = cells.day.copy()
    read = (kind == FIXED) | (kind == MOMENT) | (kind == SERIAL)
    unclear = np.zeros(len(kind), dtype=bool)
    serial = kind == SERIAL
    days[serial] += EPOCH_1904 if form.epoch1904 else EPOCH_1900
    rows = np.flatnonzero((kind == DAY) | (kind == MONTH))
    if len(rows):
        days[rows], read[rows], unclear[rows] = _days_of_parts(cells.take(rows), form, month_end)
    if form.exchanged:
        real = read & (serial | (kind == FIXED) | ((kind == DAY) & (cells.form == YEAR_FIRST)))
        read, unclear = read & ~real, unclear | real
    return days, read, unclear


def _days_of_parts(
    cells: DateCells, form: DateFormat, month_end: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    first, second, last, short = cells.first, cells.second, cells.year, cells.short
    # forms that leave no choice have the day first
    order_of_form = np.zeros(max(SEPARATORS.values()) + 1, dtype=np.int8)
    for separator, code in SEPARATORS.items():
        order_of_form[code] = ORDERS.index(form.order.get(separator, DEFAULT_ORDERS.get(separator, "unclear")))
    codes = order_of_form[cells.form]
    month_first, year_first, undecided = (codes == ORDERS.index(order) for order in ORDERS[1:])
    year_first &= short
    # where the order is unclear, what can be read in one way only is read so
    unclear = undecided & (first <= MONTHS) & (second <= MONTHS) & (first != second) & (first > 0) & (second > 0)
    month_first |= undecided & (second > MONTHS)
    day = np.select([month_first, year_first], [second, last], first)
    month = np.select([month_first], [first], second)
    year = np.where(year_first, first, last)
    year = np.where(short, full_year(year, form.two_digit_pivot), year)
    days, valid = _calendar_days(year, month, day)
    if month_end:
        whole_month = cells.kind == MONTH
        after = _calendar_days(year + month // MONTHS, month % MONTHS + 1, day)[0]
        days = np.where(whole_month, after - 1, days)
    return days, valid & ~unclear, unclear


def _calendar_days(
    year: NDArray[np.integer], month: NDArray[np.integer], day: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Days since 1970, and whether there is such a day within the years that are taken."""
    valid = (month >= 1) & (month <= MONTHS) & (day >= 1) & (year >= MIN_YEAR) & (year <= MAX_YEAR)
    months = (year.astype(np.int64) - 1970) * MONTHS + month - 1
    months = np.where(valid, months, 0)
    start, end = (
        each.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) for each in (months, months + 1)
    )
    days = start + day - 1
    return days, valid & (days < end)
