"""Raw records of a company that goes on living, with a clock of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd


@dataclass
class WorldClock:
    """The time in a simulated company; it stands still until it is told to go on.

    Examples
    --------
    >>> clock = WorldClock(pd.Timestamp("2025-06-01", tz="UTC"))
    >>> clock.advance(90.0)
    Timestamp('2025-06-01 00:01:30+0000', tz='UTC')
    """

    now: pd.Timestamp

    def advance(self, seconds: float = 1.0) -> pd.Timestamp:
        """Let time pass; returns the new time, in whole milliseconds as CRMs stamp them."""
        self.now = (self.now + pd.Timedelta(seconds=seconds)).round("ms")
        return self.now


@dataclass(frozen=True)
class Record:
    """One raw record.

    Parameters
    ----------
    record_id : str
    values : mapping of str to Any
        Raw fields other than the stamps.
    created_at, modified_at : Timestamp
    deleted_at : Timestamp or None
        When it was deleted, or merged into another.
    merged_into : str
        The record that swallowed it; empty for none.
    """

    record_id: str
    values: Mapping[str, Any]
    created_at: pd.Timestamp
    modified_at: pd.Timestamp
    deleted_at: pd.Timestamp | None = None
    merged_into: str = ""


@dataclass
class Records:
    """All raw records by object; every change is stamped with the clock, which then goes on by a second.

    Parameters
    ----------
    clock : WorldClock

    Examples
    --------
    >>> records = Records(WorldClock(pd.Timestamp("2025-06-01", tz="UTC")))
    >>> _ = records.add("Account", "001A", {"Name": "Acme"})
    >>> records.change("Account", "001A", {"Name": "Acme Ltd"}).modified_at
    Timestamp('2025-06-01 00:00:01+0000', tz='UTC')
    >>> _ = records.delete("Account", "001A")
    >>> records.live("Account"), len(records.all("Account"))
    ([], 1)
    """

    clock: WorldClock
    _objects: dict[str, dict[str, Record]] = field(default_factory=dict)
    _in_order: dict[str, list[Record]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        record_id: str,
        values: Mapping[str, Any],
        created_at: pd.Timestamp | None = None,
        modified_at: pd.Timestamp | None = None,
    ) -> Record:
        """Add a record; by default it is created now."""
        created = self._now() if created_at is None else created_at
        record = Record(record_id, dict(values), created, created if modified_at is None else modified_at)
        self._objects.setdefault(name, {})
        return self._put(name, record)

    def change(self, name: str, record_id: str, values: Mapping[str, Any]) -> Record:
        """Change some fields of a record."""
        record = self._objects[name][record_id]
        return self._put(name, replace(record, values={**record.values, **values}, modified_at=self._now()))

    def touch(self, name: str, record_id: str) -> Record:
        """Stamp a record as changed, its fields as they are."""
        return self.change(name, record_id, {})

    def delete(self, name: str, record_id: str, merged_into: str = "") -> Record:
        """Mark a record as deleted, or as merged into another."""
        now = self._now()
        record = self._objects[name][record_id]
        return self._put(name, replace(record, modified_at=now, deleted_at=now, merged_into=merged_into))

    def get(self, name: str, record_id: str) -> Record | None:
        """A record, deleted or not; None if it never was."""
        return self._objects.get(name, {}).get(record_id)

    def all(self, name: str) -> list[Record]:
        """Records of an object, deleted ones too, the least recently changed first."""
        if name not in self._in_order:
            found = self._objects.get(name, {}).values()
            self._in_order[name] = sorted(found, key=lambda each: (each.modified_at, each.record_id))
        return self._in_order[name].copy()

    def live(self, name: str) -> list[Record]:
        """Records of an object that are not deleted, the least recently changed first."""
        return [each for each in self.all(name) if each.deleted_at is None]

    def names(self) -> list[str]:
        """Objects that have had records."""
        return list(self._objects)

    def _put(self, name: str, record: Record) -> Record:
        self._objects[name][record.record_id] = record
        self._in_order.pop(name, None)
        return record

    def _now(self) -> pd.Timestamp:
        now = self.clock.now
        self.clock.advance()
        return now
