"""What a report is made of: sentences, charts and tables, before it is known on what they will be read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from winpredict.locale.text import Text

#: How a column is written: money and counts in whole numbers, shares in per cent, points with a sign, sizes in points
#: without one, times as a multiple, exact figures with three decimals.
Format = Literal[
    "text", "count", "money", "percent", "points", "size", "days", "number", "times", "exact", "date", "check"
]
#: What people read: in the language of the moment already, or to be said when it is written.
Words = Text | str


@dataclass(frozen=True)
class Picture:
    """A chart that can be drawn in several widths.

    Parameters
    ----------
    draw : callable
        Width in pixels to Altair chart; its words are those of the language of the moment.
    alt : Text or str
        What is to be seen, for those who do not see it.
    """

    draw: Callable[[int], Any]
    alt: Words


@dataclass(frozen=True)
class Table:
    """A table to read, with the same figures as a CSV beside the report.

    Parameters
    ----------
    name : str
        Name of the CSV, lower case with hyphens.
    title : Text or str
    frame : DataFrame
        Raw values; the CSV has all of it.
    columns : mapping of str to (Text or str, Format)
        Columns that are shown, with their heads and how they are written.
    most : int
        Rows shown at the most; the CSV has all.
    words : mapping of str to sequence of (Text or str)
        What is shown in place of the values of a column, row by row: names for ids, labels for keys.
    currency : str or None
        Of the amounts: empty where none is recorded, None where there are several.
    currency_column : str
        Column with the currency of each row, which goes before `currency`; empty for none.
    """

    name: str
    title: Words
    frame: pd.DataFrame
    columns: Mapping[str, tuple[Words, Format]]
    most: int = 25
    words: Mapping[str, Sequence[Words]] = field(default_factory=dict)
    currency: str | None = ""
    currency_column: str = ""

    @property
    def shown(self) -> pd.DataFrame:
        """The rows and columns to show."""
        shown = self.frame.copy()
        for name, words in self.words.items():
            shown[name] = pd.Series(list(words), index=shown.index, dtype=object)
        return shown[self._names].head(self.most)

    @property
    def currencies(self) -> list[str | None]:
        """The currency of each row that is shown."""
        rows = self.frame.head(self.most)
        if self.currency_column in rows:
            return ["" if pd.isna(each) else str(each) for each in rows[self.currency_column]]
        return [self.currency] * len(rows)

    @property
    def left_out(self) -> int:
        """Rows that only the CSV has."""
        return max(0, len(self.frame) - self.most)

    @property
    def _names(self) -> list[str]:
        return [name for name in self.columns if name in self.frame or name in self.words]


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Parameters
    ----------
    title : Text or str
    sentences : sequence of (Text or str)
    pictures : sequence of Picture
    tables : sequence of Table
    lang : str
        The language of the sentences where it is another than that of the report, such as of what a model keeps.
    """

    title: Words
    sentences: Sequence[Words] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    lang: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.sentences or self.pictures or self.tables)


@dataclass(frozen=True)
class Report:
    """A report: first the summary, then the parts, then the appendix, at the end how it was made.

    Parameters
    ----------
    title, subtitle : str
    summary : sequence of str
        What a reader in a hurry must know; the first `SUMMARY` are kept.
    sections : sequence of Section
        Empty ones are left out.
    method : sequence of (Text or str)
        How it was made and what it does not say.
    appendix : sequence of Section
        The details, on pages of their own; empty ones are left out.
    """

    title: str
    subtitle: str
    summary: Sequence[str]
    sections: Sequence[Section]
    method: Sequence[Words] = field(default=())
    appendix: Sequence[Section] = field(default=())

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [table for section in (*self.sections, *self.appendix) for table in section.tables]


#: Sentences in a summary.
SUMMARY = 5
