"""What every reader yields: one table of texts, and where each line or record of the file went."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from winpredict.locale.text import Text

#: Entries of a ledger. Data rows and unreadable ones are counted by their first line; further lines of a record, which
#: stand inside quoted cells, are counted as such.
RECORDS, HEADER, TITLES, COMMENTS = "records", "header", "title rows", "comments"
BLANK, INSIDE, FOOTER, REPEATED, SECOND_HEADER = (
    "blank lines",
    "inside quoted cells",
    "footer",
    "repeated header",
    "second header row",
)
UNREADABLE = "unreadable"
_ENTRIES = (TITLES, COMMENTS, HEADER, SECOND_HEADER, RECORDS, REPEATED, FOOTER, BLANK, INSIDE, UNREADABLE)

Units = Literal["lines", "records"]


def ledger_of(counts: Mapping[str, int]) -> dict[str, int]:
    """Entries that are not zero, in the order in which people read them.

    Examples
    --------
    >>> ledger_of({"unreadable": 1, "records": 80, "footer": 0})
    {'records': 80, 'unreadable': 1}
    """
    return {entry: counts[entry] for entry in _ENTRIES if counts.get(entry)}


def no_rows(*columns: str) -> pd.DataFrame:
    """A frame without rows."""
    return pd.DataFrame({name: [] for name in columns})


def rows_frame(rows: Iterable[tuple[object, ...]], *columns: str) -> pd.DataFrame:
    """A frame of some rows, in the order of their row numbers."""
    known = list(rows)
    if not known:
        return no_rows(*columns)
    return pd.DataFrame(known, columns=list(columns)).sort_values(columns[0], kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Table:
    """One table of a file, or a part of one.

    Parameters
    ----------
    frame : DataFrame
        Texts (typed values from Parquet and JSON), index = row number.
    sheet : str
        Name of the sheet, where a file has several tables.
    unreadable, repairs, set_aside, remarks, ledger, units, delimiter, encoding
        As `winpredict.ingest.files.RawFile` has them.
    """

    frame: pd.DataFrame
    sheet: str = ""
    unreadable: pd.DataFrame = field(default_factory=lambda: no_rows("row", "text"))
    remarks: tuple[Text | str, ...] = ()
    ledger: dict[str, int] = field(default_factory=dict)
    units: Units = "lines"
    repairs: pd.DataFrame = field(default_factory=lambda: no_rows("row", "column", "cause"))
    set_aside: pd.DataFrame = field(default_factory=lambda: no_rows("row", "text", "cause"))
    delimiter: str = ""
    encoding: str = ""
