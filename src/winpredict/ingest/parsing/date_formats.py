"""How the dates of a column are written: decided by the cells that leave no choice, then by what others suggest."""

from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd
from babel.dates import format_date

from winpredict.ingest.parsing.date_texts import SEPARATORS
from winpredict.locale.language import current
from winpredict.locale.text import said, text

Order = Literal["day_first", "month_first", "year_first", "unclear"]
#: A two-digit year is one of this century up to so many years ahead of today.
YEARS_AHEAD = 20
#: So many cells of one order for each of the other make the other a mistake; fewer leave the order unclear.
MIN_MAJORITY = 20
#: Real dates beside texts of one order were misread by a spreadsheet when so many of them, on so many different days of
#: the month, all have a day that could be a month.
MIN_EXCHANGED, MIN_EXCHANGED_DAYS = 8, 4
#: Two-digit years in front are at most so many years old; behind them stand at least so many different days, and at
#: least so many for each year.
MAX_YEARS_IN_FRONT, MIN_DAYS_BEHIND, MIN_DAYS_A_YEAR = 30, 6, 3
#: Of two orders of day and month one is implausible with so many impossible dates, and so many times as many as the
#: other has.
MIN_VIOLATIONS, MIN_VIOLATION_RATIO = 3, 5
#: What nothing else decides.
DEFAULT_ORDERS: dict[str, Order] = {".": "day_first"}
BY_SEPARATOR = (
    *("day_first", "month_first", "unclear", "same", "long", "short", "short_year_first"),
    *("short_first", "short_last", "examples"),
)
MONTHS = 12
ORDERS: tuple[Order, ...] = ("day_first", "month_first", "year_first", "unclear")
#: Day 0 of the serial numbers of spreadsheets, in days since 1970.
EPOCH_1900, EPOCH_1904 = (int(np.datetime64(day, "D").astype(int)) for day in ("1899-12-30", "1904-01-01"))


@dataclass(frozen=True)
class DateHints:
    """What the cells of a column tell about how dates are written; those of its parts are joined by ``|``.

    Attributes
    ----------
    filled : int
        Cells that are not missing.
    unread : int
        Cells that are not dates in any order.
    empty_dates : int
        Cells by which programs say that there is no date, such as 0000-00-00.
    day_only : int
        Cells without a time of the day.
    months : int
        Cells that name a month only.
    serials : int
        Cells that hold a serial day number of a spreadsheet.
    day_first, month_first : dict of str to int
        Cells by separator that can only start with the day (25/04/2025) or the month (04/25/2025).
    unclear : dict of str to int
        Cells that could be either (03/04/2025).
    same : dict of str to int
        Cells that are the same day in both orders (05/05/2025).
    long, short, short_year_first : dict of str to int
        Cells with years of four digits, with years of two, and those of the latter that could start with the year
        (23/05/19).
    short_first, short_last : dict of str to int
        How often each number comes first, and last, in those cells; keys are a separator and two digits.
    years : dict of str to int
        Cells by year, where it has four digits.
    days : dict of str to int
        Cells whose form leaves no choice (2025-03-04, serial numbers) by their day of the month.
    examples : dict of str to int
        By separator the smallest unclear cell as a number: the year, then day and month as they stand, two digits each;
        under "serial" the smallest serial number.
    """

    filled: int = 0
    unread: int = 0
    empty_dates: int = 0
    day_only: int = 0
    months: int = 0
    serials: int = 0
    day_first: dict[str, int] = field(default_factory=dict)
    month_first: dict[str, int] = field(default_factory=dict)
    unclear: dict[str, int] = field(default_factory=dict)
    same: dict[str, int] = field(default_factory=dict)
    long: dict[str, int] = field(default_factory=dict)
    short: dict[str, int] = field(default_factory=dict)
    short_year_first: dict[str, int] = field(default_factory=dict)
    short_first: dict[str, int] = field(default_factory=dict)
    short_last: dict[str, int] = field(default_factory=dict)
    years: dict[str, int] = field(default_factory=dict)
    days: dict[str, int] = field(default_factory=dict)
    examples: dict[str, int] = field(default_factory=dict)

    def __or__(self, other: "DateHints") -> "DateHints":
        joined: dict[str, Any] = {}
        for each in fields(self):
            one, two = getattr(self, each.name), getattr(other, each.name)
            if isinstance(one, int):
                joined[each.name] = one + two
            elif each.name == "examples":
                joined[each.name] = {key: min(d[key] for d in (one, two) if key in d) for key in sorted({**one, **two})}
            else:
                joined[each.name] = {key: one.get(key, 0) + two.get(key, 0) for key in sorted({**one, **two})}
        return DateHints(**joined)


@dataclass(frozen=True)
class DateFormat:
    """How the dates of a column are read.

    Attributes
    ----------
    order : dict of str to {"day_first", "month_first", "year_first", "unclear"}
        By separator, of those that occur in the column; "year_first" is only for two-digit years. A separator that is
        not here is read as if nothing decided its order.
    two_digit_pivot : int
        The last year that a two-digit year may mean.
    epoch1904 : bool
        Whether serial numbers count from 1904, as in workbooks of old Macs, rather than from 1900.
    exchanged : bool
        Whether a spreadsheet seems to have exchanged day and month of what it took for dates, which leaves them unread.
    unclear : tuple of str
        The separators of whose cells some are unread because nothing decides their order.
    certain : bool
        Whether the cells themselves, or what was declared, decide all of it.
    reason : str
        What was chosen, and why, for people; empty where nothing had to be chosen.
    """

    order: dict[str, Order]
    two_digit_pivot: int
    epoch1904: bool = False
    exchanged: bool = False
    unclear: tuple[str, ...] = ()
    certain: bool = True
    reason: str = ""


@dataclass(frozen=True)
class OrderEvidence:
    """Impossible dates under both orders of day and month; those of parts of the rows are joined by ``|``.

    Attributes
    ----------
    day_first, month_first : int
        Closes before the creation, and dates after today, if dates start with the day, or with the month.
    """

    day_first: int = 0
    month_first: int = 0

    def __or__(self, other: "OrderEvidence") -> "OrderEvidence":
        return OrderEvidence(self.day_first + other.day_first, self.month_first + other.month_first)

    @property
    def is_day_first(self) -> bool | None:
        """Whether dates start with the day; None where neither order is much less plausible than the other."""
        fewer, more = sorted((self.day_first, self.month_first))
        if more < MIN_VIOLATIONS or more < MIN_VIOLATION_RATIO * fewer:
            return None
        return self.day_first < self.month_first


def date_format(
    hints: DateHints,
    *,
    declared: Literal["guess", "day_first", "month_first"] = "guess",
    day_first: bool | None = None,
    suggested_by: str = "",
    epoch1904: bool = False,
    now: pd.Timestamp | None = None,
) -> DateFormat:
    """Decide how the dates of a column are read.

    Parameters
    ----------
    hints : DateHints
        Of the whole column.
    declared : {"guess", "day_first", "month_first"}
        What the profile says. Cells that contradict it are unread.
    day_first : bool, optional
        What other columns or the language of the headers suggest, for separators that no cell decides.
    suggested_by : str
        Where the suggestion comes from, as it is to stand in the reason; by default the other date columns.
    epoch1904 : bool
        Whether serial day numbers count from 1904. No cell can decide that: both readings are dates of the past.
    now : Timestamp, optional
        Today, of which two-digit years are counted.

    Returns
    -------
    DateFormat

    Examples
    --------
    >>> from winpredict.ingest.parsing.dates import date_hints
    >>> texts = pd.Series(["19/05/2023", "05-24-2023", "03-04-2023"])
    >>> form = date_format(date_hints(texts))
    >>> form.order["/"], form.order["-"], form.certain
    ('day_first', 'month_first', True)
    """
    year = (now if now is not None else pd.Timestamp.now()).year
    pivot = year + YEARS_AHEAD
    order: dict[str, Order] = {}
    unclear, reasons, certain = [], [], True
    for separator in _separators(hints):
        choice = _order(
            hints, separator, declared, day_first, suggested_by or said("as in the other date columns"), year
        )
        order[separator] = choice.order
        certain = certain and choice.certain
        reasons += [choice.reason] if choice.reason else []
        if choice.order == "unclear" and hints.unclear.get(separator):
            unclear.append(separator)
    exchanged = declared == "guess" and _is_exchanged(hints)
    if exchanged:
        certain = False
        reasons.append(
            said(
                "all real dates in the column have a day up to 12, beside texts such as 25/04/2025: a spreadsheet "
                "seems to have exchanged their day and month, so they are unread"
            )
        )
    if hints.serials:
        serial = hints.examples["serial"]
        day = _day_text(np.datetime64(serial + (EPOCH_1904 if epoch1904 else EPOCH_1900), "D").item())
        start = 1904 if epoch1904 else 1900
        reasons.append(
            said(
                "numbers are read as a spreadsheet's days since {start} ({serial} is {day})",
                start=start,
                serial=serial,
                day=day,
            )
        )
    return DateFormat(order, pivot, epoch1904, exchanged, tuple(unclear), certain, "; ".join(reasons))


@dataclass(frozen=True)
class _Choice:
    order: Order
    certain: bool = True
    reason: str = ""


def _order(
    hints: DateHints,
    separator: str,
    declared: Literal["guess", "day_first", "month_first"],
    suggested: bool | None,
    suggested_by: str,
    year: int,
) -> _Choice:
    day, month, either = (cells.get(separator, 0) for cells in (hints.day_first, hints.month_first, hints.unclear))
    if declared != "guess":
        against = month if declared == "day_first" else day
        if not against:
            return _Choice(declared)
        told = (
            text('of the dates with "{separator}", {n:count} can only start with the month (left unread)')
            if declared == "day_first"
            else text('of the dates with "{separator}", {n:count} can only start with the day (left unread)')
        )
        return _Choice(declared, False, str(told.with_values(separator=separator, n=against)))
    short_example = separator.join(("23", "05", "19"))
    year_first = _could_be_year_first(hints, separator, year)
    if year_first is True:
        return _Choice(
            "year_first", False, said("dates such as {example} are read with the year in front", example=short_example)
        )
    if day and month:
        return _majority(separator, day, month, either)
    if day or month or separator in DEFAULT_ORDERS:
        if year_first is None and day:
            reason = said(
                "dates such as {example} are read as {day}, though the year could be in front",
                example=short_example,
                day=_day_text(date(2019, 5, 23)),
            )
            return _Choice("day_first", False, reason)
        return _Choice("month_first" if month else "day_first")
    if not either:
        return _Choice("unclear")
    example = hints.examples[separator]
    first, second = example // 100 % 100, example % 100
    if suggested is None:
        reason = said(
            "nothing tells whether {example} starts with the day or the month",
            example=_example_text(example, separator),
        )
        return _Choice("unclear", False, reason)
    day_number, month_number = (first, second) if suggested else (second, first)
    written_year = example // 10_000
    month_name = format_date(date(2000, month_number, 1), "MMMM", locale=current().locale)
    shown_year = written_year if written_year >= 100 else full_year(written_year, year + YEARS_AHEAD)
    reason = said(
        "{example} is read as {day} {month} {year}, {why}",
        example=_example_text(example, separator),
        day=day_number,
        month=month_name,
        year=shown_year,
        why=suggested_by,
    )
    return _Choice("day_first" if suggested else "month_first", False, reason)


def _separators(hints: DateHints) -> list[str]:
    counts = (hints.day_first, hints.month_first, hints.unclear, hints.same, hints.short)
    return [separator for separator in SEPARATORS if any(separator in cells for cells in counts)]


def _majority(separator: str, day: int, month: int, either: int) -> _Choice:
    fewer, more = sorted((day, month))
    known = {"separator": separator, "days": day, "months": month, "either": either}
    if more < MIN_MAJORITY * fewer:
        told = (
            text(
                'of the dates with "{separator}", {days:count} can only start with the day and {months:count} only '
                "with the month; {either:count} could be either (left unread)"
            )
            if either
            else text(
                'of the dates with "{separator}", {days:count} can only start with the day and {months:count} only '
                "with the month"
            )
        )
        return _Choice("unclear", False, str(told.with_values(**known)))
    if day > month:
        told = text(
            'of the dates with "{separator}", {days:count} can only start with the day and {months:count} only with '
            "the month (left unread)"
        )
        return _Choice("day_first", False, str(told.with_values(**known)))
    told = text(
        'of the dates with "{separator}", {months:count} can only start with the month and {days:count} only with the '
        "day (left unread)"
    )
    return _Choice("month_first", False, str(told.with_values(**known)))


def _could_be_year_first(hints: DateHints, separator: str, year: int) -> bool | None:
    """Whether two-digit years are in front (23/05/19): True, False, or None if either could be.

    Years in front take few values close to today, and the days behind them many.
    """
    short = hints.short.get(separator, 0)
    if not short or hints.long.get(separator) or hints.month_first.get(separator):
        return False
    if hints.short_year_first.get(separator, 0) * MIN_MAJORITY < short * (MIN_MAJORITY - 1):
        return False
    if not any(cells.get(separator) for cells in (hints.day_first, hints.unclear, hints.same)):
        return True
    firsts, lasts = (
        {int(key[1:]) for key in counts if key[0] == separator} for counts in (hints.short_first, hints.short_last)
    )
    recent = {(year + ahead) % 100 for ahead in range(-MAX_YEARS_IN_FRONT, 3)}
    if not firsts <= recent or len(firsts) >= len(lasts):
        return False
    if len(lasts) >= max(MIN_DAYS_BEHIND, MIN_DAYS_A_YEAR * len(firsts)):
        return True
    return None


def _is_exchanged(hints: DateHints) -> bool:
    """Whether real dates are what a spreadsheet made of the texts that fitted its own order of day and month.

    Opened in a program that expects the month first, 03/04/2025 becomes the 4th of March, and 25/04/2025 stays a text.
    """
    orders = [sum(counts.values()) for counts in (hints.day_first, hints.month_first)]
    if min(orders) or max(orders) < MIN_VIOLATIONS or any(hints.unclear.values()) or any(hints.same.values()):
        return False
    cells = sum(hints.days.values())
    return cells >= MIN_EXCHANGED and len(hints.days) >= MIN_EXCHANGED_DAYS and max(map(int, hints.days)) <= MONTHS


def full_year(year: Any, pivot: int) -> Any:
    """The year up to `pivot` that two digits mean."""
    return pivot - (pivot - year) % 100


def _example_text(example: int, separator: str) -> str:
    year, first, second = example // 10_000, example // 100 % 100, example % 100
    return separator.join((f"{first:02}", f"{second:02}", f"{year:02}"))


def _day_text(day: date) -> str:
    spoken = current().locale
    return format_date(day, "d MMMM y" if spoken.language == "en" else "long", locale=spoken)
