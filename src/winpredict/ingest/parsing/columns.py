"""What a whole column tells about how its values are written, and the format that follows.

A column is read in one format, decided by all of its cells. Hints of the parts of a column are joined by ``|``, so that
files that are read in parts, also on other machines, are read as they would be in one piece.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

import pandas as pd

from winpredict.ingest.parsing.date_formats import DateHints, OrderEvidence
from winpredict.ingest.parsing.dates import date_hints
from winpredict.ingest.parsing.number_formats import NumberHints
from winpredict.ingest.parsing.numbers import number_hints
from winpredict.ingest.parsing.text import as_text, has_fractions, is_typed

#: How the values of a column are to be read: by the kind of the canonical column, as a custom attribute, or as a stage.
ReadAs = Literal["id", "text", "time", "number", "flag", "attribute", "stage"]
#: More spellings of stages than this are not stages.
MAX_STAGES = 500
_LEADING_ZERO = r"^[+-]?0\d"
Hints = TypeVar("Hints", NumberHints, DateHints)


@dataclass(frozen=True)
class ColumnHints:
    """Evidence of how the values of a column are written.

    Attributes
    ----------
    filled : bool
        Whether there are values.
    fractions : bool
        Whether a column of floats holds numbers that are not whole.
    codes : bool
        Whether texts are codes with leading zeros, which are not numbers.
    numbers : NumberHints or None
        Of columns that may hold numbers.
    dates : DateHints or None
        Of columns that may hold times.
    spellings : dict of str to int
        Of stages: cells a text.
    order : OrderEvidence
        Of creation times: impossible pairs of creation and close if dates such as 03/04/2025 start with the day, or
        with the month.
    """

    filled: bool = False
    fractions: bool = False
    codes: bool = False
    numbers: NumberHints | None = None
    dates: DateHints | None = None
    spellings: Mapping[str, int] = field(default_factory=dict)
    order: OrderEvidence = field(default_factory=OrderEvidence)

    def __or__(self, other: "ColumnHints") -> "ColumnHints":
        spellings = dict(self.spellings)
        for text, cells in other.spellings.items():
            spellings[text] = spellings.get(text, 0) + cells
        return ColumnHints(
            filled=self.filled or other.filled,
            fractions=self.fractions or other.fractions,
            codes=self.codes or other.codes,
            numbers=_either(self.numbers, other.numbers),
            dates=_either(self.dates, other.dates),
            spellings=spellings,
            order=self.order | other.order,
        )

    @classmethod
    def of(cls, values: pd.Series, missing: tuple[str, ...], read_as: ReadAs) -> "ColumnHints":
        """Hints of raw values.

        Parameters
        ----------
        values : Series
        missing : tuple of str
            Texts that stand for a missing value.
        read_as : str
            What the values are to become.

        Returns
        -------
        ColumnHints
        """
        if is_typed(values, read_as):
            return cls(filled=True)
        fractions = has_fractions(values)
        if read_as not in ("time", "number", "attribute", "stage"):
            return cls(fractions=fractions)
        texts = as_text(values, missing)
        if texts.isna().all():
            return cls(fractions=fractions)
        if read_as == "stage":
            counts = {str(text): int(cells) for text, cells in texts.value_counts().items()}
            return cls(True, fractions, spellings=dict(sorted(counts.items())) if len(counts) <= MAX_STAGES else {})
        numbers = number_hints(texts) if read_as in ("number", "attribute") else None
        dates = date_hints(texts) if read_as in ("time", "attribute") else None
        codes = read_as == "attribute" and bool(texts.dropna().str.match(_LEADING_ZERO).any())
        return cls(True, fractions, codes, numbers, dates)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ColumnHints":
        """What `as_json` gave."""
        plain = {each.name: values[each.name] for each in fields(cls)}
        numbers, dates, order = plain.pop("numbers"), plain.pop("dates"), plain.pop("order")
        return cls(
            **plain,
            order=OrderEvidence(**order),
            numbers=None if numbers is None else NumberHints(**numbers),
            dates=None if dates is None else DateHints(**dates),
        )


def _either(one: Hints | None, other: Hints | None) -> Hints | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other
