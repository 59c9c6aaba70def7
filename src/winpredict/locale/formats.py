"""How figures are written, in one style each: numbers, shares, points, money, days and dates, by the language."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from decimal import Decimal
from math import floor, log10
from typing import TYPE_CHECKING, Any

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent

from winpredict.locale.language import current

if TYPE_CHECKING:  # every command of the command line begins by loading this module
    import numpy as np
    from numpy.typing import NDArray

MISSING = "–"
#: The currency of amounts that name none.
_CURRENCY: ContextVar[str] = ContextVar("currency", default="")
_MINUS = "−"
# Babel writes "CHF5" where CLDR asks for a space between letters and digits
_CODE_BEFORE_DIGITS = re.compile(r"(?<=[^\W\d_])(?=\d)")


def number(value: float) -> str:
    """A number with as many digits as people need: one decimal below ten, none from there on.

    Examples
    --------
    >>> number(3.14), number(2.0), number(1234.5)
    ('3.1', '2', '1,234')
    """
    return _signed(_decimal(value, 1 if abs(value) < 9.95 else 0))


def count(value: float) -> str:
    """A whole number.

    Examples
    --------
    >>> count(12345)
    '12,345'
    """
    return _signed(_decimal(value, 0))


def percent(share: float) -> str:
    """A share in whole per cent; below 1% and above 99%, where it matters, with a decimal.

    Examples
    --------
    >>> percent(0.234), percent(0.004), percent(0.0), percent(0.997)
    ('23%', '0.4%', '0%', '99.7%')
    """
    plain = abs(share)
    exact = 0.0005 <= plain < 0.0095 or 0.9905 < plain < 0.9995
    rounded = round(share, 3 if exact else 2) + 0.0
    return _signed(format_percent(rounded, decimal_quantization=False, locale=current().locale))


def exact_percent(share: float) -> str:
    """A share in per cent to one decimal, for figures that people add up.

    Examples
    --------
    >>> exact_percent(0.2341), exact_percent(0.5)
    ('23.4%', '50.0%')
    """
    pattern = current().locale.percent_formats[None].pattern.replace("0", "0.0", 1)
    return _signed(format_percent(round(float(share), 3) + 0.0, format=pattern, locale=current().locale))


def precise(value: float) -> str:
    """A measure of quality with three decimals, such as a log loss.

    Examples
    --------
    >>> precise(0.4317), precise(-0.5)
    ('0.432', '−0.500')
    """
    return _signed(format_decimal(round(float(value), 3) + 0.0, format="#,##0.000", locale=current().locale))


def precise_change(change: float) -> str:
    """A change of a measure of quality with four decimals and its sign: such changes are small.

    Examples
    --------
    >>> precise_change(-0.00417), precise_change(0.02), precise_change(0.0)
    ('−0.0042', '+0.0200', '0.0000')
    """
    rounded = round(float(change), 4) + 0.0
    pattern = "+#,##0.0000;-#,##0.0000" if rounded else "0.0000"
    return _signed(format_decimal(rounded, format=pattern, locale=current().locale))


def points(change: float) -> str:
    """A change of a share in percentage points, with its sign.

    Examples
    --------
    >>> points(-0.031), points(0.0001), points(0.12)
    ('−3', '0', '+12')
    """
    return _with_sign(change, 0)


def exact_points(change: float) -> str:
    """A change in percentage points to one decimal, for figures that people add up.

    Examples
    --------
    >>> exact_points(-0.0312), exact_points(0.0001)
    ('−3.1', '0.0')
    """
    return _with_sign(change, 1)


def size_points(change: float) -> str:
    """The size of a change in percentage points, without a sign.

    Examples
    --------
    >>> size_points(-0.031)
    '3'
    """
    return _decimal(abs(100 * change), 0)


def exact_size_points(change: float) -> str:
    """The size of a change in percentage points to one decimal, without a sign.

    Examples
    --------
    >>> exact_size_points(-0.0312), exact_size_points(0.02)
    ('3.1', '2.0')
    """
    return format_decimal(round(abs(100 * float(change)), 1) + 0.0, format="#,##0.0", locale=current().locale)


def multiple(value: float) -> str:
    """How many times something is: two digits, also where the second is 0.

    Examples
    --------
    >>> multiple(1.02), multiple(12.4), multiple(0.361)
    ('1.0', '12', '0.36')
    """
    digits = max(0, 1 - floor(log10(abs(value)))) if value else 0
    return format_decimal(round(value, digits), format=f"#,##0.{'0' * digits}", locale=current().locale)


def money(amount: float | Sequence[Any]) -> str:
    r"""An amount in whole units, with its currency where that is known: ``(amount, "EUR")``.

    Where the currency is not recorded, an empty text, it is that of the moment, as the config names it; None says that
    there is no single one.

    Examples
    --------
    >>> money((12345.6, "EUR")), money(12345.6), money((-0.4, None))
    ('€12,346', '12,346', '0')
    >>> with counting_in("CHF"):
    ...     money((5.0, "")), money((5.0, None)), money((5.0, "USD"))
    ('CHF\xa05', '5', '$5')
    """
    value, currency = _with_currency(amount)
    whole = round(float(value))
    if not currency:
        return _signed(_decimal(whole, 0))
    locale = current().locale
    pattern = locale.currency_formats["standard"].pattern.split(";")[0].replace(".00", "")
    written = format_currency(whole, str(currency), format=pattern, locale=locale, currency_digits=False)
    return _signed(_CODE_BEFORE_DIGITS.sub("\u00a0", written))


def rough_money(amount: float | Sequence[Any]) -> str:
    """An amount that is an estimate: three digits, the rest zeros.

    Examples
    --------
    >>> rough_money((103456.0, "EUR"))
    '€103,000'
    """
    value, currency = _with_currency(amount)
    figure = float(value)
    if figure:
        figure = round(figure, 2 - floor(log10(abs(figure))))
    return money((figure, currency))


def day(moment: date | datetime | str) -> str:
    """A day as people write it; of a moment the day in UTC.

    Examples
    --------
    >>> day("2025-03-07T10:00:00+00:00")
    '7 Mar 2025'
    """
    at = _in_utc(moment)
    # a day before its month, as is usual in most places; Babel's English alone would put the month first
    pattern = "d MMM y" if current().locale.language == "en" else "medium"
    written = format_date(at, format=pattern, locale=current().locale)
    # the first of a month is an ordinal in French, which CLDR's patterns cannot say
    return f"1er {written[2:]}" if current().locale.language == "fr" and written.startswith("1 ") else written


def month(at: date | datetime | str) -> str:
    """A month with its year.

    Examples
    --------
    >>> month("2025-03-07")
    'March 2025'
    """
    return format_skeleton("yMMMM", _in_utc(at), locale=current().locale)


def moment(at: datetime | str) -> str:
    """A day with its time, UTC.

    Examples
    --------
    >>> moment("2025-03-07T09:05:00+00:00")
    '7 Mar 2025, 09:05'
    """
    when = _in_utc(at)
    return f"{day(when)}, {format_datetime(when, 'HH:mm', locale=current().locale)}"


def listed(items: Sequence[object]) -> str:
    """Several things in a row, with the word for "and".

    Examples
    --------
    >>> listed(["calls", "emails", "meetings"])
    'calls, emails, and meetings'
    """
    return format_list([str(item) for item in items], locale=current().locale)


#: What may stand after the colon of a placeholder.
STYLES: Mapping[str, Callable[[Any], str]] = {
    "count": count,
    "day": day,
    "exact_percent": exact_percent,
    "exact_points": exact_points,
    "exact_size_points": exact_size_points,
    "listed": listed,
    "moment": moment,
    "month": month,
    "money": money,
    "multiple": multiple,
    "number": number,
    "percent": percent,
    "points": points,
    "precise": precise,
    "precise_change": precise_change,
    "rough_money": rough_money,
    "size_points": size_points,
}


def _to_whole(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    return values.round()


def _to_digits(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    return np.where(np.abs(values) < 9.95, np.round(values, 1), np.round(values))


def _to_per_cent(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    size = np.abs(values)
    exact = ((size >= 0.0005) & (size < 0.0095)) | ((size > 0.9905) & (size < 0.9995))
    return np.where(exact, np.round(values, 3), np.round(values, 2))


def _to_two_digits(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        step = 10.0 ** (np.floor(np.log10(np.abs(values))) - 1)
    return np.where(values == 0, 0.0, np.round(values / np.minimum(step, 1.0)) * np.minimum(step, 1.0))


#: Values of each style with the digits that it writes, many at once.
ROUNDED: "Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]" = {
    "count": _to_whole,
    "exact_points": lambda values: values.round(3),
    "money": _to_whole,
    "multiple": _to_two_digits,
    "number": _to_digits,
    "percent": _to_per_cent,
    "points": lambda values: values.round(2),
    "size_points": lambda values: values.round(2),
}


def plural_number(value: float, style: str = "") -> int:
    """The number by which a plural form is chosen, of a value as it is written.

    Examples
    --------
    >>> plural_number(1.02, "number"), plural_number(1.5, "number"), plural_number(0, "count")
    (1, 2, 0)
    >>> plural_number(0.01, "size_points"), plural_number(0.01, "exact_points")  # "1 point", "1.0 points"
    (1, 2)
    """
    shown = 100 * abs(float(value)) if style in ("points", "size_points", "exact_points") else abs(float(value))
    exact = style == "exact_points"
    digits = 1 if exact or (style == "number" and shown < 9.95) else 0
    rounded = round(shown, digits)
    if rounded == round(rounded) and not exact:
        return round(rounded)
    # French says "1,5 jour", English "1.5 days": the language decides, and catalogues ask for a whole number
    return 1 if Locale(current().lang).plural_form(Decimal(f"{rounded:.{digits}f}")) == "one" else 2


def elapsed_days(later: datetime, earlier: datetime) -> int:
    """Whole days from one moment to another, to the nearest one, as reasons and next steps count them too.

    Examples
    --------
    >>> start = datetime(2025, 3, 7)
    >>> elapsed_days(datetime(2025, 3, 9, 18), start), elapsed_days(datetime(2025, 3, 1), start)
    (3, -6)
    """
    return round((later - earlier).total_seconds() / 86_400)


@contextmanager
def counting_in(currency: str) -> Iterator[None]:
    """Within a block, write amounts whose currency is not recorded in this one.

    Parameters
    ----------
    currency : str
        ISO code; empty for none.
    """
    token = _CURRENCY.set(currency)
    try:
        yield
    finally:
        _CURRENCY.reset(token)


def or_missing(style: Callable[[Any], str]) -> Callable[[Any], str]:
    """A style that writes a dash where there is no value.

    Examples
    --------
    >>> or_missing(percent)(None), or_missing(percent)(0.5), or_missing(money)((None, "EUR"))
    ('–', '50%', '–')
    """

    def written(value: Any) -> str:
        figure = value[0] if isinstance(value, tuple) and value else value
        # neither NaN nor NaT, of whatever library, is equal to itself
        return MISSING if figure is None or figure != figure else style(value)

    return written


def _with_currency(amount: float | Sequence[Any]) -> tuple[float, str]:
    """An amount and its currency, empty where there is none to write."""
    if not isinstance(amount, Sequence):
        return amount, ""
    value, currency = amount
    return value, _CURRENCY.get() if currency == "" else currency or ""


def _decimal(value: float, digits: int) -> str:
    return format_decimal(round(float(value), digits) + 0.0, format=f"#,##0.{'#' * digits}", locale=current().locale)


def _in_utc(moment: date | datetime | str) -> date:
    at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return at.astimezone(UTC) if isinstance(at, datetime) and at.tzinfo else at


def _with_sign(change: float, digits: int) -> str:
    rounded = round(100 * float(change), digits) + 0.0
    written = format_decimal(rounded, format=f"+#,##0.{'0' * digits};-#,##0.{'0' * digits}", locale=current().locale)
    return _signed(written if rounded else format_decimal(0, format=f"0.{'0' * digits}", locale=current().locale))


def _signed(written: str) -> str:
    """With a real minus sign."""
    return written.replace("-", _MINUS)
