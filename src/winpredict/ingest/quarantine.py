"""Rows that were rejected or repaired: counted by cause, and kept as they came."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

#: Columns that carry a row's origin through the import.
FILE, ROW = "_file", "_row"

Done = Literal["rejected", "repaired"]


@dataclass
class Quarantine:
    """Collects what could not be taken as it came."""

    _kept: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, table: str, rows: pd.DataFrame, cause: str, done: Done) -> None:
        """Keep rows of a canonical table (raw or converted, with their origin) and count them under a cause."""
        if rows.empty:
            return
        key = f"{table}: {cause} ({done})"
        self._counts[key] = self._counts.get(key, 0) + len(rows)
        note = pd.DataFrame({"cause": cause, "done": done}, index=rows.index)
        origin = rows[[FILE, ROW]].rename(columns={FILE: "file", ROW: "row"})
        values = rows.drop(columns=[FILE, ROW])
        self._kept.setdefault(table, []).append(pd.concat([note, origin, values.astype(object)], axis=1))

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table, cause and what was done."""
        return dict(sorted(self._counts.items()))

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Those rows by table: cause, done, file, row and their values."""
        return {table: pd.concat(parts, ignore_index=True) for table, parts in sorted(self._kept.items())}
