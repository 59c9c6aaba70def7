"""Rows that were rejected, merged, left out or repaired: counted by cause, and kept as they came; and the books.

The books balance: of every table that a file gives rows to, rows = accepted + merged + left out + rejected. A repaired
row is accepted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pandas as pd

from winpredict.locale.language import SOURCE, Language
from winpredict.locale.text import Text, said, text

#: Columns that carry a row's origin through the import.
FILE, ROW = "_file", "_row"
#: Column of deals whose outcome is written in words that are not known; it is dropped once something else labels them.
UNREAD_OUTCOME = "_unread_outcome"

#: What became of a row: ``merged`` went into another row of the same thing, ``left out`` is what the profile's `where`
#: does not want, ``repaired`` came in with a value changed or taken as missing.
Fate = Literal["rejected", "repaired", "merged", "left out"]
FATES: tuple[Fate, ...] = ("rejected", "repaired", "merged", "left out")
#: The same for people.
_FATES: Mapping[Fate, Text] = {
    "rejected": text("rejected"),
    "repaired": text("repaired"),
    "merged": text("merged"),
    "left out": text("left out"),
}
ENGLISH = Language(SOURCE)


@dataclass
class Book:
    """What became of the rows that a file gives to a table.

    Parameters
    ----------
    rows, accepted, merged, left_out, rejected : int
    """

    rows: int = 0
    accepted: int = 0
    merged: int = 0
    left_out: int = 0
    rejected: int = 0

    @property
    def balances(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.accepted + self.merged + self.left_out + self.rejected

    def add(self, other: "Book") -> None:
        """Add the figures of another part of the same file."""
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


@dataclass
class Quarantine:
    """Collects what could not be taken as it came, and keeps the books.

    Causes are kept in English, by which they are known in files; `told` has them as people read them.
    """

    _kept: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _books: dict[tuple[str, str], Book] = field(default_factory=dict)
    _causes: dict[str, tuple[str, Text, Fate]] = field(default_factory=dict)
    _points: dict[Text, tuple[str, int]] = field(default_factory=dict)
    _remarks: dict[Text, int] = field(default_factory=dict)
    _tallies: dict[str, int] = field(default_factory=dict)
    _columns: dict[str, dict[str, str]] = field(default_factory=dict)
    _lacking: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, table: str, rows: pd.DataFrame, cause: Text, fate: Fate) -> None:
        """Keep rows of a canonical table (raw or converted, with their origin) and count them under a cause."""
        if rows.empty:
            return
        known_as = cause.said_in(ENGLISH)
        key = f"{table}: {known_as} ({fate})"
        self._causes[key] = (table, cause, fate)
        self._counts[key] = self._counts.get(key, 0) + len(rows)
        if fate != "repaired":
            name = fate.replace(" ", "_")
            for path, number in rows[FILE].value_counts().items():
                book = self._book(table, str(path))
                setattr(book, name, getattr(book, name) + int(number))
        note = pd.DataFrame({"cause": known_as, "done": fate}, index=rows.index)
        origin = rows[[FILE, ROW]].rename(columns={FILE: "file", ROW: "row"})
        self._kept.setdefault(table, []).append(pd.concat([note, origin, rows.drop(columns=[FILE, ROW])], axis=1))

    def enter(self, table: str, path: str, rows: int) -> None:
        """Note that a file has so many rows for a table."""
        self._book(table, path).rows += rows

    def accept(self, table: str, rows: pd.DataFrame) -> None:
        """Note that rows of a canonical table came in; of several that one raw row became only one counts."""
        if FILE not in rows:
            return
        for path, number in rows[FILE].value_counts().items():
            self._book(table, str(path)).accepted += int(number)

    def confirm(self, choice: Text, line: str = "", number: int = 0) -> None:
        """Note a choice that a person should confirm, and the line of the profile that would change it.

        The number is what the text has at ``n``; those of the parts of an import are added up.
        """
        known = self._points.get(choice, (line, 0))
        self._points[choice] = (known[0] or line, known[1] + number)

    def remark(self, remark: Text, number: int = 0) -> None:
        """Note how something was read that was not plain, and leaves no doubt; the number as for `confirm`."""
        self._remarks[remark] = self._remarks.get(remark, 0) + number

    def tally(self, name: str, number: int) -> None:
        """Add to a count that the fit of the profile is judged by, see `winpredict.ingest.fit`."""
        self._tallies[name] = self._tallies.get(name, 0) + number

    def note_columns(self, table: str, read: Mapping[str, str], lacking: Mapping[str, Sequence[str]]) -> None:
        """Note which raw column became which canonical one, and which names of the profile no column has."""
        known = self._columns.setdefault(table, {})
        for name, raw in read.items():
            known.setdefault(name, str(raw))
        absent = self._lacking.setdefault(table, {})
        for name, offered in lacking.items():
            absent.setdefault(name, " or ".join(offered))

    def _book(self, table: str, path: str) -> Book:
        return self._books.setdefault((table, path), Book())

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table, cause and what was done."""
        return dict(sorted(self._counts.items()))

    @property
    def told(self) -> dict[str, str]:
        """The keys of `counts` as people read them, in the language of the moment."""
        return {
            key: said("{table}: {cause} ({fate})", table=table, cause=cause, fate=_FATES[fate])
            for key, (table, cause, fate) in sorted(self._causes.items())
        }

    @property
    def by_cause(self) -> dict[tuple[str, Text, Fate], int]:
        """Rows by table, cause and what was done, each by itself."""
        return {each: self._counts[key] for key, each in self._causes.items()}

    @property
    def points(self) -> dict[str, str]:
        """Choices to be confirmed, each with the line of the profile that would change it."""
        return {str(choice.with_values(n=number)): line for choice, (line, number) in self._points.items()}

    @property
    def remarks(self) -> list[str]:
        """How things were read that were not plain."""
        return [str(remark.with_values(n=number)) for remark, number in self._remarks.items()]

    @property
    def tallies(self) -> dict[str, int]:
        """Counts that the fit of the profile is judged by."""
        return dict(self._tallies)

    @property
    def columns(self) -> dict[str, dict[str, str]]:
        """By table: the raw column that each canonical one was read from."""
        return {table: dict(read) for table, read in self._columns.items()}

    @property
    def lacking(self) -> dict[str, dict[str, str]]:
        """By table: what the profile names and no file has, with the names that were looked for."""
        return {
            table: {name: offered for name, offered in absent.items() if name not in self._columns.get(table, {})}
            for table, absent in self._lacking.items()
        }

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Those rows by table: cause, done, file, row and their values."""
        return {
            table: pd.concat([part.astype(object) for part in parts], ignore_index=True)
            for table, parts in sorted(self._kept.items())
        }

    @property
    def books(self) -> dict[tuple[str, str], Book]:
        """What became of the rows of each table and file."""
        return dict(self._books)

    def as_json(self) -> dict[str, Any]:
        """All but the rows themselves as plain values, to be joined with those of other parts."""
        return {
            "counts": self._counts,
            "books": [[table, path, asdict(book)] for (table, path), book in self._books.items()],
            "causes": {key: (table, cause.to_json(), fate) for key, (table, cause, fate) in self._causes.items()},
            "points": [[choice.to_json(), line, number] for choice, (line, number) in self._points.items()],
            "remarks": [[remark.to_json(), number] for remark, number in self._remarks.items()],
            "tallies": self._tallies,
            "columns": self._columns,
            "lacking": self._lacking,
        }

    def join(self, parts: Iterable[Mapping[str, Any]]) -> None:
        """Add what other parts of the same import noted."""
        for part in parts:
            for key, number in part["counts"].items():
                self._counts[key] = self._counts.get(key, 0) + number
            for table, path, book in part["books"]:
                self._book(table, path).add(Book(**book))
            for key, (table, cause, fate) in part["causes"].items():
                self._causes[key] = (table, Text.from_json(cause), fate)
            for choice, line, number in part["points"]:
                self.confirm(Text.from_json(choice), line, number)
            for remark, number in part["remarks"]:
                self.remark(Text.from_json(remark), number)
            for name, number in part["tallies"].items():
                self.tally(name, number)
            for table, read in part["columns"].items():
                self.note_columns(table, read, {})
            for table, absent in part["lacking"].items():
                self.note_columns(table, {}, {name: (offered,) for name, offered in absent.items()})
