"""The formats in which columns are read: decided by the whole column, then by the others, then by language.

What was a choice is told, so that a person can confirm it or write another into the profile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Literal

from winpredict.ingest.parsing.columns import ColumnHints
from winpredict.ingest.parsing.date_formats import DateFormat, OrderEvidence, date_format
from winpredict.ingest.parsing.number_formats import NumberFormat, NumberHints, number_format
from winpredict.ingest.vocabulary import language_of, vocabularies
from winpredict.locale.language import current
from winpredict.locale.text import said

#: Canonical columns that hold money, of which three digits behind a separator are thousands rather than fractions.
MONEY = ("amount", "unit_price", "annual_revenue")
AttributeKind = Literal["number", "time", "text"]
ENGLISH = "en"


@dataclass(frozen=True)
class ColumnFormats:
    """How each raw column of a file is read.

    Parameters
    ----------
    numbers : mapping of str to NumberFormat
    dates : mapping of str to DateFormat
    attributes : mapping of str to {"number", "time", "text"}
        What custom attributes become.
    """

    numbers: Mapping[str, NumberFormat] = field(default_factory=dict)
    dates: Mapping[str, DateFormat] = field(default_factory=dict)
    attributes: Mapping[str, AttributeKind] = field(default_factory=dict)


def column_formats(
    hints: Mapping[str, ColumnHints],
    roles: Mapping[str, Sequence[str]],
    *,
    headers: Iterable[str],
    dates: Literal["guess", "day_first", "month_first"] = "guess",
    decimal: Literal["guess", ".", ","] = "guess",
) -> ColumnFormats:
    """Decide how columns are read.

    Parameters
    ----------
    hints : mapping of str to ColumnHints
        Of each raw column.
    roles : mapping of str to sequence of str
        The canonical columns that a raw one becomes; none for a custom attribute.
    headers : iterable of str
        The names of all columns, whose language is a hint of its own.
    dates, decimal : str
        What the profile says of all columns.

    Returns
    -------
    ColumnFormats
    """
    language = language_of(list(headers))
    spoken = vocabularies().get(language) if language != ENGLISH else None
    numbers, attributes = {}, {}
    for name, of_column in hints.items():
        if of_column.numbers is None:
            continue
        others = [each.numbers for other, each in hints.items() if other != name and each.numbers and not each.codes]
        suggested = _decimal_of(others) or (spoken.decimal if spoken else "")
        money = any(role in MONEY for role in roles.get(name, ()))
        numbers[name] = number_format(of_column.numbers, declared=decimal, decimal=suggested, money=money)
    times = {name: of_column.dates for name, of_column in hints.items() if of_column.dates is not None}
    certain = {name: date_format(of_column, declared=dates) for name, of_column in times.items()}
    day_first, by = _order_of(hints, certain)
    if day_first is None and spoken is not None:
        name = current().locale.languages.get(language, spoken.name)
        day_first, by = spoken.day_first, said("as usual in {language}", language=name)
    formats = {
        name: date_format(of_column, declared=dates, day_first=day_first, suggested_by=by)
        for name, of_column in times.items()
    }
    for name, of_column in hints.items():
        if not roles.get(name):
            attributes[name] = _attribute_kind(of_column, numbers.get(name), formats.get(name))
    return ColumnFormats(numbers, formats, attributes)


def _decimal_of(others: Iterable[NumberHints]) -> str:
    """The decimal sign that other columns of the file are certain of."""
    dots = commas = 0
    for hints in others:
        if hints.unread:
            continue
        dots, commas = dots + hints.dot_decimal, commas + hints.comma_decimal
    return "." if dots > commas else "," if commas > dots else ""


def _order_of(hints: Mapping[str, ColumnHints], certain: Mapping[str, DateFormat]) -> tuple[bool | None, str]:
    """Whether the day comes first, as far as other columns or impossible pairs of dates tell, and which of them."""
    orders = [order for form in certain.values() if form.certain for order in form.order.values()]
    days, months = orders.count("day_first"), orders.count("month_first")
    if days != months:
        return days > months, said("as in the other date columns")
    by_pairs = reduce(or_, (each.order for each in hints.values()), OrderEvidence()).is_day_first
    return by_pairs, said("since deals would else close before they were created")


def _attribute_kind(hints: ColumnHints, numbers: NumberFormat | None, dates: DateFormat | None) -> AttributeKind:
    """Numbers or times where every text reads as one, else text. Codes with leading zeros stay text."""
    if hints.numbers is not None and numbers is not None and not (hints.codes or hints.numbers.unread):
        # 12M may be months; with a currency it is money
        return "text" if hints.numbers.with_multiplier and not hints.numbers.with_currency else "number"
    if hints.dates is not None and dates is not None and dates.certain and not hints.dates.unread:
        return "time"
    return "text"
