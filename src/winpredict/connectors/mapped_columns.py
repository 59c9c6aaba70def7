"""Which columns of a CRM's raw objects a profile maps, and which of them came to be empty."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from winpredict.connectors.base import Page
from winpredict.connectors.store import RawStore
from winpredict.ingest.files import RawFile
from winpredict.ingest.importing import wanted_sources
from winpredict.ingest.profiles import Profile

#: By raw object and canonical column: the raw columns that may carry it, the first that is there counts.
MappedColumns = Mapping[str, Mapping[str, tuple[str, ...]]]
#: A column counts as emptied where at least so many records came without a single value, and of those that were stored
#: before at least such a share had one.
MIN_RECORDS, MIN_FILLED = 20, 0.05


def mapped_columns(profile: Profile, objects: Iterable[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The raw columns that a profile maps, by object.

    Parameters
    ----------
    profile : Profile
    objects : iterable of str
        Raw objects, such as `CRMSource.objects`.

    Returns
    -------
    dict of str to dict
        Canonical column to the raw columns that may carry it; of several tables that an object goes to, all of them.

    Examples
    --------
    >>> from winpredict.ingest.profiles import load_profile
    >>> mapped_columns(load_profile("salesforce"), ["Opportunity"])["Opportunity"]["amount"]
    ('Amount',)
    >>> mapped_columns(load_profile("salesforce"), ["Task"])["Task"]["occurred_at"][:2]
    ('CompletedDateTime', 'ActivityDate')
    """
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name in objects:
        columns: dict[str, tuple[str, ...]] = {}
        for _, source in wanted_sources(RawFile(name, name, "", pd.DataFrame()), profile, alone=False):
            for column, names in source.columns.items():
                single = [part.strip() for each in names for part in re.split(r" [+|] ", each)]
                columns[column] = tuple(dict.fromkeys([*columns.get(column, ()), *single]))
        found[name] = columns
    return found


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """What a record holds under a raw column such as ``properties.amount``; None where it holds nothing there.

    Examples
    --------
    >>> value_at({"properties": {"amount": "5"}}, "properties.amount")
    '5'
    >>> value_at({"Owner.Name": "Ada"}, "Owner.Name")
    'Ada'
    """
    if path in values:
        return values[path]
    inner: Any = values
    for name in path.split("."):
        if isinstance(inner, list):
            inner = inner[int(name)] if name.isdigit() and int(name) < len(inner) else None
        else:
            inner = inner.get(name) if isinstance(inner, Mapping) else None
    return inner


class FilledColumns:
    """Counts, while an object is read, in how many records each mapped column has a value.

    Parameters
    ----------
    columns : mapping of str to sequence of str
        Canonical column to raw columns.

    Examples
    --------
    >>> from winpredict.connectors.base import RawRecord
    >>> filled = FilledColumns({"amount": ("Amount",)})
    >>> record = RawRecord("1", {"Amount": 5}, pd.Timestamp("2025-06-01T12:00Z"))
    >>> filled.count(Page((record, record), resume=""))
    >>> filled.records, filled.values["amount"]
    (2, 2)
    """

    def __init__(self, columns: Mapping[str, Sequence[str]]) -> None:
        self._columns = columns
        self.records = 0
        self.values = dict.fromkeys(columns, 0)

    def count(self, page: Page) -> None:
        """Count the records of a page; deleted ones tell nothing."""
        for record in page.records:
            if not record.deleted:
                self.records += 1
                for column in self._filled(record.values):
                    self.values[column] += 1

    def emptied(self, store: RawStore, name: str, before: pd.Timestamp) -> tuple[str, ...]:
        """The raw columns that had values and come without any now.

        Parameters
        ----------
        store : RawStore
        name : str
            The object that was read.
        before : Timestamp
            What was stored earlier than this is compared with.
        """
        suspects = [column for column, number in self.values.items() if number == 0]
        if self.records < MIN_RECORDS or not suspects:
            return ()
        earlier = store.versions(name, ["read_at", "deleted", "record"])
        earlier = earlier[(earlier["read_at"] < before) & ~earlier["deleted"]]
        filled = dict.fromkeys(suspects, 0)
        for words in earlier["record"]:
            for column in self._filled(json.loads(words), suspects):
                filled[column] += 1
        return tuple(self._columns[column][0] for column in suspects if filled[column] > MIN_FILLED * len(earlier))

    def _filled(self, values: Mapping[str, Any], columns: Iterable[str] | None = None) -> Iterator[str]:
        for column in self._columns if columns is None else columns:
            if any(value_at(values, path) not in (None, "", []) for path in self._columns[column]):
                yield column
