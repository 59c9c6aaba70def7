"""DealBuckets: canonical tables on disk, parted by a hash of the deal, so that a part at a time fits into memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from winpredict._internal.atomic import replacing_folder
from winpredict._internal.stored_files import StoredFiles
from winpredict.errors import TableError
from winpredict.locale.text import text
from winpredict.tables.crm import CRMData, read_description, read_table, utc, write_description
from winpredict.tables.schema import TABLES, conform, text_dtype

#: Tables whose rows belong to one deal each; the others are small, and every bucket sees what it needs of them.
OF_DEALS = tuple(name for name, table in TABLES.items() if "deal_id" in table.columns)
_PART = "part-0.parquet"
#: How pandas 3 and pandas 2 call the text dtype.
_TEXTS = ("str", "string")


@dataclass(frozen=True)
class DealBuckets:
    """Canonical tables as Parquet datasets, ``<table>/bucket=<number>/``, as Spark, DuckDB and Arrow know them.

    A deal's rows of all tables lie in one bucket, named by a hash of its id. What is computed bucket by bucket needs
    the memory of a bucket, however many deals there are.

    Parameters
    ----------
    folder : Path
        See `write`.
    moment : Timestamp, optional
        See the data as one could have exported them at that moment (`CRMData.as_known_at`).
    files : StoredFiles, optional
        What each file is to hold; it is checked before it is read.
    lease : object, optional
        Kept as long as these buckets are, so that nobody removes the folder meanwhile.

    Examples
    --------
    >>> import tempfile
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b", "c"], "stage": "Demo", "outcome": "open",
    ...     "created_at": "2025-01-01", "closed_at": None,
    ... })
    >>> buckets = DealBuckets.write(CRMData.from_tables(deals), Path(tempfile.mkdtemp()) / "tables", 2)
    >>> sum(len(crm.deals) for crm in buckets)
    3
    """

    folder: Path
    moment: pd.Timestamp | None = None
    files: StoredFiles | None = field(default=None, repr=False, compare=False)
    lease: object = field(default=None, repr=False, compare=False)
    _description: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def write(cls, crm: CRMData, folder: Path, buckets: int) -> "DealBuckets":
        """Part tables that are in memory; the folder is replaced whole or left as it was.

        Parameters
        ----------
        crm : CRMData
        folder : Path
        buckets : int
            How many; a bucket of 20,000 to 50,000 deals is quick and small.
        """
        with replacing_folder(Path(folder)) as temporary:
            for name, frame in crm.tables():
                if name not in OF_DEALS:
                    frame.to_parquet(temporary / f"{name}.parquet", index=False)
                    continue
                for number, rows in partitioned(frame, buckets):
                    write_part(rows, temporary, name, number)
            columns = {name: kinds_of(frame) for name, frame in crm.tables() if name in OF_DEALS}
            shared = [name for name, _ in crm.tables() if name not in OF_DEALS]
            write_description(
                temporary,
                crm.stage_order,
                crm.known_until,
                buckets=buckets,
                columns=columns,
                shared=shared,
                dated=crm.dated,
            )
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path, files: StoredFiles | None = None, lease: object = None) -> "DealBuckets":
        """Look at what `write` left.

        Parameters
        ----------
        folder, files, lease
            See the class.

        Raises
        ------
        TableError
            When the folder holds no tables, or tables that are not parted.
        """
        description = read_description(Path(folder), files)
        if not description.get("buckets"):
            raise TableError(text("{folder} is not parted into buckets; import it with --buckets", folder=folder))
        return cls(Path(folder), None, files, lease, description)

    def __len__(self) -> int:
        return int(self._description["buckets"])

    def __iter__(self) -> Iterator[CRMData]:
        return (self.bucket(number) for number in range(len(self)))

    def as_known_at(self, moment: pd.Timestamp | str) -> "DealBuckets":
        """The same buckets, each as one could have exported it at an earlier moment."""
        return replace(self, moment=utc(moment))

    @property
    def stage_order(self) -> tuple[str, ...]:
        """Open stages from the first to the last."""
        return tuple(self._description["stage_order"])

    @property
    def known_until(self) -> pd.Timestamp | None:
        """The end of knowledge of all buckets."""
        until = self._description["known_until"]
        if until is None:
            return self.moment
        return utc(until) if self.moment is None else min(utc(until), self.moment)

    def bucket(self, number: int) -> CRMData:
        """All tables of one bucket's deals, with the accounts of those deals and all users and quotas."""
        return self.some([number])

    def some(self, numbers: Sequence[int]) -> CRMData:
        """Several buckets as one."""
        tables: dict[str, Any] = {name: self._rows(name, numbers) for name in self._columns} | self.shared
        if "accounts" in tables and len(numbers) < len(self):
            tables["accounts"] = self._accounts_of(tables["deals"])
        until = self._description["known_until"]
        crm = CRMData(
            **tables,
            stage_order=self.stage_order,
            known_until=None if until is None else utc(until),
            part_of_dated=self._description.get("dated", True),
        )
        return crm if self.moment is None else crm.as_known_at(self.moment)

    def whole(self) -> CRMData:
        """Everything in memory."""
        return self.some(range(len(self)))

    def deal_ids(self, number: int) -> set[str]:
        """The deals of one bucket."""
        return set(read_part(self.folder, "deals", [number], {"deal_id": "str"}, self.files)["deal_id"])

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each table."""
        partitioned = {name: sorted((self.folder / name).glob("bucket=*/[!._]*.parquet")) for name in self._columns}
        counts = {name: sum(pq.read_metadata(path).num_rows for path in paths) for name, paths in partitioned.items()}
        counts |= {name: len(frame) for name, frame in self.shared.items()}
        return {name: counts[name] for name in TABLES if name in counts}

    @property
    def _columns(self) -> dict[str, dict[str, str]]:
        """Columns and dtypes of the parted tables."""
        columns: dict[str, dict[str, str]] = self._description["columns"]
        return columns

    @cached_property
    def shared(self) -> dict[str, pd.DataFrame]:
        """The tables that are not parted: accounts, users, quotas."""
        names = (name for name in TABLES if name in self._description["shared"])
        return {
            name: conform(read_table(self.folder, f"{name}.parquet", self.files), name, check=False) for name in names
        }

    @cached_property
    def _account_places(self) -> pd.Index:
        places: pd.Index = pd.Index(self.shared["accounts"]["account_id"])
        return places

    def _accounts_of(self, deals: pd.DataFrame) -> pd.DataFrame:
        wanted = pd.Index(deals["account_id"].dropna().unique() if "account_id" in deals else ())
        places = np.sort(self._account_places.get_indexer(wanted))
        return self.shared["accounts"].take(places[places >= 0]).reset_index(drop=True)

    def _rows(self, name: str, numbers: Sequence[int]) -> pd.DataFrame:
        return read_part(self.folder, name, numbers, self._columns[name], self.files)


def bucket_of(deal_ids: pd.Series, buckets: int) -> NDArray[np.int64]:
    """The bucket of each deal: a hash of its id that no machine, version or order of rows changes.

    Examples
    --------
    >>> bucket_of(pd.Series(["a", "b", "a"]), 4).tolist()
    [0, 3, 0]
    """
    hashed = pd.util.hash_array(deal_ids.to_numpy(dtype=object), categorize=False)
    return (hashed % np.uint64(buckets)).astype(np.int64)


def partitioned(frame: pd.DataFrame, buckets: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield (bucket, its rows in the order they stand) of a table with deal_id, for buckets that have any."""
    numbers = bucket_of(frame["deal_id"], buckets)
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(buckets), side="right")
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if end > start:
            yield number, frame.take(order[start:end]).reset_index(drop=True)


def write_part(rows: pd.DataFrame, folder: Path, name: str, number: int) -> None:
    """Write one bucket of a table below an unfinished tables folder."""
    path = folder / name / f"bucket={number}"
    path.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(path / _PART, index=False)


def read_part(
    folder: Path,
    name: str,
    numbers: Sequence[int],
    kinds: Mapping[str, str],
    files: StoredFiles | None = None,
) -> pd.DataFrame:
    """Read some buckets of a table, with the given columns and dtypes; what each file is to hold is checked first."""
    if files is not None:
        for stored in (stored for number in numbers for stored in files.below(f"{name}/bucket={number}/")):
            files.check(stored)
    paths = [folder / name / f"bucket={number}" for number in numbers]
    frames = [pd.read_parquet(path, partitioning=None) for path in paths if path.exists()] or [pd.DataFrame()]
    typed = [typed_rows(frame, kinds) for frame in frames]
    return typed[0] if len(typed) == 1 else pd.concat(typed, ignore_index=True)


def is_partitioned(folder: Path) -> bool:
    """Whether a tables folder is parted into buckets."""
    path = Path(folder) / "crm.json"
    return path.exists() and bool(json.loads(path.read_text()).get("buckets"))


def kinds_of(frame: pd.DataFrame) -> dict[str, str]:
    """The columns of a table with the names of their dtypes."""
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def typed_rows(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """All columns of the table, also those of which this bucket has no values, in the table's dtypes."""
    dtypes = {name: text_dtype() if kind in _TEXTS else kind for name, kind in kinds.items()}
    out = frame.reindex(columns=list(dtypes))
    # Spark's older timestamps carry no zone; all times here are UTC
    naive = [str(name) for name in out if out[name].dtype.kind == "M" and out[name].dt.tz is None]
    return out.assign(**{name: out[name].dt.tz_localize("UTC") for name in naive}).astype(dtypes)
