"""The decimal sign of a column of numbers, decided by all cells that fit one reading only."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from winpredict.ingest.parsing.currencies import has_three_decimals
from winpredict.locale import formats
from winpredict.locale.text import Text, said, text

Separator = Literal[".", ","]

#: One cell never turns the others into something else: so many cells with exactly three digits behind their only
#: separator, which then groups thousands, outweigh one with decimals. (Where such cells have decimals, one in ten ends
#: with a zero, which programs drop.)
_GROUPED_CELLS = 20
#: One cell with three decimals for so many that could have three makes it likely that they have.
_THREE_DECIMALS_CELLS = 4
#: From this share of contradicting cells, those that fit two readings are not read.
_MAX_CONTRADICTION = 0.1


@dataclass(frozen=True)
class NumberHints:
    """What the cells of a column tell about its numbers; hints of parts of a column are joined by ``|``.

    Attributes
    ----------
    dot_decimal, comma_decimal : int
        Cells that can only be read with a decimal dot (12.5; 1,234,567) or with a decimal comma (12,5; 1.234,56).
    dot_unclear, comma_unclear : int
        Cells that fit both: one separator with exactly three digits behind it (12.500; 14,875).
    dot_precise, comma_precise : int
        Cells with three decimals or more (1234.567), and unclear ones in thousands or millions (14.875K): a sign that
        three digits are decimals, which they hardly ever are in money.
    long_integers : int
        Whole numbers of at least four digits without a separator.
    with_currency, with_multiplier : int
        Cells with a sign, code or name of a currency, and with a word or letter such as Mio. or K.
    unread : int
        Cells that are no numbers, whatever the separators.
    filled : int
        Cells that are not missing.
    currencies : dict of str to int
        Cells of each ISO code; signs that can be several currencies (kr, ¥) count for none.
    examples : dict of str to str
        For each of the first four counts that is not zero, the first of its cells by alphabet.
    """

    dot_decimal: int = 0
    comma_decimal: int = 0
    dot_unclear: int = 0
    comma_unclear: int = 0
    dot_precise: int = 0
    comma_precise: int = 0
    long_integers: int = 0
    with_currency: int = 0
    with_multiplier: int = 0
    unread: int = 0
    filled: int = 0
    currencies: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def __or__(self, other: "NumberHints") -> "NumberHints":
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        currencies = Counter(self.currencies) + Counter(other.currencies)
        examples = {
            kind: min(hints.examples[kind] for hints in (self, other) if kind in hints.examples)
            for kind in {**self.examples, **other.examples}
        }
        return NumberHints(**counts, currencies=dict(currencies), examples=examples)


_COUNTS = (
    *("dot_decimal", "comma_decimal", "dot_unclear", "comma_unclear", "dot_precise", "comma_precise"),
    *("long_integers", "with_currency", "with_multiplier", "unread", "filled"),
)


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are read.

    Attributes
    ----------
    decimal : {".", ",", ""}
        The decimal separator. Empty where cells contradict each other and nothing tells which are right; then only
        those are read that are the same number either way.
    certain : bool
        False where it was a choice that a person should confirm.
    reason : str
        Why, for people; empty where the cells decide it and none contradicts.
    unclear : {"", ".", ",", ".,"}
        Separators that tell too little here: a cell whose only separator is one of these, with exactly three digits
        behind it, is not read.
    """

    decimal: Literal[".", ",", ""] = "."
    certain: bool = True
    reason: str = ""
    unclear: str = ""


def number_format(
    hints: NumberHints,
    *,
    declared: Literal["guess", ".", ","] = "guess",
    decimal: str = "",
    money: bool = False,
) -> NumberFormat:
    """The decimal separator of a column, decided by all cells that fit one reading only.

    The majority decides, and a cell that contradicts it is not read. Amounts of money whose only separator has exactly
    three digits behind it are taken for grouped (12.500 €), against `decimal` too, unless other cells have three
    decimals or the currency has. They never outweigh a fair number of cells with decimals, but one such cell does not
    turn them all into small amounts either; where it stays open they are not read.

    Parameters
    ----------
    hints : NumberHints
        Of the whole column.
    declared : {"guess", ".", ","}
        What a person says; it holds whatever the cells say, and those that contradict are not read.
    decimal : {"", ".", ","}
        What other columns of the file or the language of its headers suggest; used where the cells leave it open.
    money : bool
        Whether these are amounts of money; a column with signs of currencies always is.

    Examples
    --------
    >>> import pandas as pd
    >>> from winpredict.ingest.parsing.numbers import number_hints
    >>> number_format(number_hints(pd.Series(["12,5", "14.875"]))).decimal
    ','
    >>> form = number_format(number_hints(pd.Series(["12.500", "9.800"])), money=True)
    >>> form.decimal, form.certain, form.reason
    (',', False, '12.500 is read as 12500 (every amount with a dot has exactly three digits behind it)')
    """
    if declared != "guess":
        return NumberFormat(declared)
    evidence = _evidence(hints, money=money)
    suggested: Separator | None = "." if decimal == "." else "," if decimal == "," else None
    if hints.dot_decimal or hints.comma_decimal:
        return _format_by_decision(evidence, suggested)
    if not (hints.dot_unclear or hints.comma_unclear):
        return NumberFormat(suggested or ".")
    if evidence.money and (evidence.grouped["."] or evidence.grouped[","]):
        return _format_by_grouping(evidence, suggested)
    return _format_by_suggestion(evidence, suggested)


@dataclass(frozen=True)
class _Evidence:
    """Hints by separator.

    `decimals` are cells in which it can only be the decimal one, `unclear` those that do not tell, and `grouped` how
    many of the unclear ones are likely to have it between thousands.
    """

    hints: NumberHints
    money: bool
    decimals: dict[Separator, int]
    unclear: dict[Separator, int]
    grouped: dict[Separator, int]

    def example(self, separator: Separator, *, unclear: bool) -> str:
        name = "dot" if separator == "." else "comma"
        return self.hints.examples.get(f"{name}_unclear" if unclear else f"{name}_decimal", "")


def _evidence(hints: NumberHints, *, money: bool) -> _Evidence:
    precise = bool(hints.currencies) and all(has_three_decimals(code) for code in hints.currencies)
    money = (money or hints.with_currency > 0) and not precise
    unclear: dict[Separator, int] = {".": hints.dot_unclear, ",": hints.comma_unclear}
    grouped = unclear.copy()
    if precise or hints.dot_precise * _THREE_DECIMALS_CELLS >= hints.dot_unclear or not money:
        grouped["."] = 0  # 12.345 is how programs write a number
    if precise or hints.comma_precise * _THREE_DECIMALS_CELLS >= hints.comma_unclear:
        grouped[","] = 0
    return _Evidence(hints, money, {".": hints.dot_decimal, ",": hints.comma_decimal}, unclear, grouped)


def _other(separator: Separator) -> Separator:
    return "," if separator == "." else "."


def _format_by_decision(evidence: _Evidence, suggested: Separator | None) -> NumberFormat:
    decimals, grouped = evidence.decimals, evidence.grouped
    # in twentieths of a vote, as whole numbers
    dot = decimals["."] * _GROUPED_CELLS + grouped[","]
    comma = decimals[","] * _GROUPED_CELLS + grouped["."]
    if dot == comma and suggested is None:
        return NumberFormat("", certain=False, reason=_undecided(evidence), unclear=".,")
    chosen: Separator = (suggested or ".") if dot == comma else "." if dot > comma else ","
    other = _other(chosen)
    # of money, cells with three decimals where the others have fewer can as well be grouped
    odd = grouped[chosen] if evidence.money else 0
    if not decimals[other] and not odd:
        return NumberFormat(chosen)
    total = sum(decimals.values()) + grouped[other] + odd
    certain = decimals[other] + odd < _MAX_CONTRADICTION * total and dot != comma
    mixed = decimals[other] >= _MAX_CONTRADICTION * total
    unclear = ".," if mixed else chosen if odd else ""
    return NumberFormat(chosen, certain=certain, reason=_contradiction(evidence, chosen, unclear), unclear=unclear)


def _format_by_grouping(evidence: _Evidence, suggested: Separator | None) -> NumberFormat:
    """Of money, where no cell decides."""
    grouped = evidence.grouped
    if min(grouped.values()):
        most: Separator = "." if grouped["."] > grouped[","] else ","
        if grouped[most] >= _GROUPED_CELLS * grouped[_other(most)]:
            chosen = _other(most)
        elif suggested:
            chosen = suggested
        else:
            return NumberFormat("", certain=False, reason=_undecided(evidence), unclear=".,")
        reason = _contradiction(evidence, chosen, chosen)
        return NumberFormat(chosen, certain=False, reason=reason, unclear=chosen)
    separator: Separator = "." if grouped["."] else ","
    chosen = _other(separator)
    # where most large numbers are not grouped, a dot in one is no clear sign of thousands
    if evidence.hints.long_integers > grouped[separator] and (suggested or ".") == separator:
        example = evidence.example(separator, unclear=True)
        reason = (
            said("{example} is not read: other amounts have no dot between thousands", example=example)
            if separator == "."
            else said("{example} is not read: other amounts have no comma between thousands", example=example)
        )
        return NumberFormat(separator, certain=False, reason=reason, unclear=separator)
    cause = (
        text("every amount with a dot has exactly three digits behind it")
        if separator == "."
        else text("every amount with a comma has exactly three digits behind it")
    )
    return NumberFormat(chosen, certain=suggested == chosen, reason=_reading(evidence, chosen, cause))


def _format_by_suggestion(evidence: _Evidence, suggested: Separator | None) -> NumberFormat:
    """Where no cell decides and three digits can be decimals."""
    chosen: Separator = suggested or "."
    cause = text("as in the rest of the file") if suggested else text("the dot is taken for the decimal separator")
    # 12.345 is how programs write a number
    certain = suggested == "." or (suggested is None and not evidence.unclear[","])
    return NumberFormat(chosen, certain=certain, reason=_reading(evidence, chosen, cause))


def _reading(evidence: _Evidence, chosen: Separator, cause: Text) -> str:
    separator: Separator = "." if evidence.unclear["."] >= evidence.unclear[","] else ","
    example = evidence.example(separator, unclear=True)
    number = _format_number(example, chosen)
    return said("{example} is read as {number} ({cause})", example=example, number=number, cause=cause)


def _format_number(text: str, decimal: Separator) -> str:
    """The number alone, with a decimal dot and without grouping, so that it reads the same in every country."""
    digits = re.sub(r"[^0-9.,]", "", unicodedata.normalize("NFKC", text)).strip(".,")
    return f"{float(digits.replace(_other(decimal), '').replace(decimal, '.')):.15g}"


def _contradiction(evidence: _Evidence, chosen: Separator, unclear: str) -> str:
    other = _other(chosen)
    majority = _cells(evidence, chosen, unclear=False) or _cells(evidence, other, unclear=True)
    contrary = _cells(evidence, other, unclear=False)
    either = [
        _cells(evidence, mark, unclear=True) for mark, count in evidence.unclear.items() if count and mark in unclear
    ]
    known = {"majority": majority, "contrary": contrary, "unclear": _joined(either)}
    if contrary and either:
        told = text(
            "numbers are read as in {majority}; cells such as {contrary} contradict that, and cells such as {unclear} "
            "can mean two numbers: not read"
        )
    elif contrary:
        told = text("numbers are read as in {majority}; cells such as {contrary} contradict that: not read")
    else:
        told = text("numbers are read as in {majority}; cells such as {unclear} can mean two numbers: not read")
    return str(told.with_values(**known))


def _undecided(evidence: _Evidence) -> str:
    kinds = [_cells(evidence, mark, unclear=unclear) for unclear in (False, True) for mark in evidence.unclear]
    return said(
        "nothing tells whether the dot or the comma is the decimal separator; not read: {cells}",
        cells=_joined([kind for kind in kinds if kind]),
    )


def _joined(cells: Sequence[str]) -> str:
    """Cells in a row, with the word for "and"."""
    first, *others = cells or [""]
    return reduce(lambda one, other: said("{one} and {other}", one=one, other=other), others, first)


def _cells(evidence: _Evidence, separator: Separator, *, unclear: bool) -> str:
    count = (evidence.unclear if unclear else evidence.decimals)[separator]
    return f"{evidence.example(separator, unclear=unclear)} ({formats.count(count)})" if count else ""


def separator_name(separator: Separator) -> str:
    """A separator in words."""
    return "dot" if separator == "." else "comma"
