"""What a report is made of: sentences, charts and tables, before it is known on what they will be read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

#: How a column is written: money and counts in whole numbers, shares in per cent, points with a sign, sizes in points
#: without one, exact figures with three decimals.
Format = Literal["text", "count", "money", "percent", "points", "size", "days", "number", "exact", "date", "check"]


@dataclass(frozen=True)
class Picture:
    """A chart that can be drawn in several widths.

    Parameters
    ----------
    draw : callable
        Width in pixels to Altair chart.
    alt : str
        What is to be seen, for those who do not see it.
    """

    draw: Callable[[int], Any]
    alt: str


@dataclass(frozen=True)
class Table:
    """A table to read, with the same figures as a CSV beside the report.

    Parameters
    ----------
    name : str
        Name of the CSV, lower case with hyphens.
    title : str
    frame : DataFrame
        Raw values; the CSV has all of it.
    columns : mapping of str to (str, Format)
        Columns that are shown, with their heads and how they are written.
    most : int
        Rows shown at the most; the CSV has all.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: Mapping[str, tuple[str, Format]]
    most: int = 25

    @property
    def shown(self) -> pd.DataFrame:
        """The rows and columns to show."""
        return self.frame[[name for name in self.columns if name in self.frame]].head(self.most)

    @property
    def left_out(self) -> int:
        """Rows that only the CSV has."""
        return max(0, len(self.frame) - self.most)


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str
    sentences: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.sentences or self.pictures or self.tables)


@dataclass(frozen=True)
class Report:
    """A report: first the summary, then the parts, at the end how it was made.

    Parameters
    ----------
    title, subtitle : str
    summary : sequence of str
        What a reader in a hurry must know; the first `SUMMARY` are kept.
    sections : sequence of Section
        Empty ones are left out.
    method : sequence of str
        How it was made and what it does not say.
    """

    title: str
    subtitle: str
    summary: Sequence[str]
    sections: Sequence[Section]
    method: Sequence[str] = field(default=())

    @property
    def tables(self) -> list[Table]:
        """All tables, in order."""
        return [table for section in self.sections for table in section.tables]


#: Sentences in a summary.
SUMMARY = 5
