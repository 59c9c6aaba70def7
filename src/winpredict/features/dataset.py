"""Feature rows of more deals than fit into memory: bucket by bucket, and resumed where it was stopped."""

import hashlib
import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from winpredict._internal.atomic import replacing
from winpredict.errors import WorkspaceError
from winpredict.features.build import Features, build_features
from winpredict.features.builders import FeatureBuilder
from winpredict.features.cross_deal_history import CrossDealFacts, CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.features.events import DealEvents
from winpredict.features.snapshots import every, labelled
from winpredict.locale.text import text
from winpredict.tables.buckets import DealBuckets
from winpredict.tables.crm import CRMData

#: Tells how far it is: so many of so many steps done.
StepProgress = Callable[[int, int], None]
_PLAN, _INFO, _PART = "plan.json", "info.json", "part-0.parquet"


@dataclass(frozen=True)
class SnapshotGrid:
    """Which days of a deal's life are looked at; see `winpredict.features.snapshots.every`.

    Parameters
    ----------
    every_days, longest_days : float
        Days between two looks, and the age in days beyond which there are none.
    """

    every_days: float = 7.0
    longest_days: float = 730.0

    def of(self, crm: CRMData) -> pd.DataFrame:
        """The snapshots of a CRM, or of a bucket of it, with what became of the deals."""
        return labelled(crm, every(crm, self.every_days, longest_days=self.longest_days))


@dataclass(frozen=True)
class FeatureDataset:
    """Feature rows on disk, one Parquet file a bucket.

    Parameters
    ----------
    folder : Path
        ``rows/bucket=<number>/``: deal_id, as_of, outcome, days_to_close, look, then the features.
    info : tuple of FeatureInfo
        One for each feature.
    """

    folder: Path
    info: tuple[FeatureInfo, ...]

    @property
    def parts(self) -> list[Path]:
        """The files, in the order of the buckets; a bucket without snapshots has none."""
        return sorted(self.folder.glob(f"rows/bucket=*/{_PART}"), key=lambda path: int(path.parent.name[7:]))

    @property
    def rows(self) -> int:
        """Number of rows in all."""
        return sum(pq.read_metadata(path).num_rows for path in self.parts)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return (pd.read_parquet(path, partitioning=None) for path in self.parts)


DEFAULT_GRID = SnapshotGrid()


def build_dataset(
    buckets: DealBuckets,
    folder: Path,
    *,
    grid: SnapshotGrid = DEFAULT_GRID,
    attributes: Sequence[str] = (),
    builders: Sequence[FeatureBuilder] | None = None,
    progress: StepProgress | None = None,
) -> FeatureDataset:
    """Build the features of every bucket's snapshots, in the memory that one bucket needs.

    Finished buckets are kept: run again after a kill, it goes on where it stopped, and the files come out the same.

    Parameters
    ----------
    buckets : DealBuckets
    folder : Path
        Made if absent. What another plan (other data, attributes or builders) left there is removed.
    grid : SnapshotGrid
        By default every deal each seven days.
    attributes : sequence of str
        Static attributes that may be used (`LeakageAudit.kept`).
    builders : sequence of FeatureBuilder, optional
        See `build_features`.
    progress : callable, optional
        Called with the number of steps done and the number of all.

    Returns
    -------
    FeatureDataset

    Examples
    --------
    >>> import tempfile
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
    ...     "created_at": ["2025-01-01", "2025-02-01"], "closed_at": ["2025-03-01", None],
    ... })
    >>> place = Path(tempfile.mkdtemp())
    >>> buckets = DealBuckets.write(CRMData.from_tables(deals), place / "tables", 2)
    >>> sum(len(rows) for rows in build_dataset(buckets, place / "features"))
    12
    """
    folder = Path(folder)
    _same_plan(folder, _plan(buckets, attributes, builders, grid))
    places = [folder / "rows" / f"bucket={number}" for number in range(len(buckets))]
    if all((place / _INFO).exists() for place in places):
        return open_dataset(folder)
    facts_of = partial(_facts_of, attributes=attributes)
    cross_deal_history = gather_cross_deal_history(
        buckets, facts_of, keep=folder / "company", progress=_share(progress, buckets, 0)
    )
    tell = _share(progress, buckets, len(buckets))
    for number, place in enumerate(places):
        if not (place / _INFO).exists():
            crm = buckets.bucket(number)
            snapshots = grid.of(crm)
            built = build_features(
                crm, snapshots, attributes=attributes, builders=builders, cross_deal_history=cross_deal_history
            )
            _write(place, snapshots, built)
        tell(number + 1)
    shutil.rmtree(folder / "company", ignore_errors=True)
    return open_dataset(folder)


def open_dataset(folder: Path) -> FeatureDataset:
    """Look at what `build_dataset` wrote.

    Raises
    ------
    WorkspaceError
        When the folder holds no feature rows.
    """
    first = next(Path(folder).glob(f"rows/bucket=*/{_INFO}"), None)
    if first is None:
        raise WorkspaceError(
            text("{folder} holds no feature rows; run `winpredict features --out {folder}` first", folder=folder)
        )
    info = tuple(FeatureInfo.from_json(each) for each in json.loads(first.read_text()))
    return FeatureDataset(Path(folder), info)


def gather_cross_deal_history(
    buckets: DealBuckets,
    facts_of: Callable[[CRMData], CrossDealFacts],
    *,
    keep: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> CrossDealHistory:
    """Cross-deal history of all buckets, gathered one bucket at a time.

    Parameters
    ----------
    buckets : DealBuckets
    facts_of : callable
        Gives the facts of one bucket.
    keep : Path, optional
        Folder in which the facts of finished buckets are kept, for going on after a kill.
    progress : callable, optional
        Called with the number of buckets done.
    """
    parts = []
    for number in range(len(buckets)):
        place = None if keep is None else keep / f"bucket={number}"
        if place is not None and (place / "done.json").exists():
            parts.append(CrossDealFacts.load(place))
        else:
            parts.append(facts_of(buckets.bucket(number)))
            if place is not None:
                parts[-1].save(place)
        if progress is not None:
            progress(number + 1)
    return CrossDealHistory(CrossDealFacts.joined(parts))


def _facts_of(crm: CRMData, attributes: Sequence[str]) -> CrossDealFacts:
    return CrossDealFacts.of(DealEvents(crm), attributes)


def _write(place: Path, snapshots: pd.DataFrame, built: Features) -> None:
    """The rows, and last what says that they are whole."""
    shutil.rmtree(place, ignore_errors=True)  # what a killed run left half written
    rows = pd.concat([snapshots.reset_index(drop=True), built.frame], axis=1)
    if len(rows):
        with replacing(place / _PART) as temporary:
            rows.to_parquet(temporary, index=False)
    with replacing(place / _INFO) as temporary:
        temporary.write_text(json.dumps([each.to_json() for each in built.info]))


def _plan(
    buckets: DealBuckets, attributes: Sequence[str], builders: Sequence[FeatureBuilder] | None, grid: SnapshotGrid
) -> str:
    """What the rows depend on, as a hash: the data, what is computed of them, and on which days."""
    files = sorted(path for path in buckets.folder.rglob("*") if path.is_file())
    facts: dict[str, Any] = {
        "files": [
            (str(path.relative_to(buckets.folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files
        ],
        "moment": str(buckets.moment),
        "attributes": list(attributes),
        "version": version("winpredict"),
        "builders": [(each.name, repr(vars(each)), _code(each)) for each in builders or ()],
        "looks": repr(grid),
    }
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _code(builder: FeatureBuilder) -> str:
    """What a builder does: one that was edited makes other rows."""
    with suppress(KeyError, OSError, TypeError):  # of one that was typed in there is no file
        return inspect.getsource(sys.modules[type(builder).__module__])
    code = type(builder).build.__code__
    return code.co_code.hex() + repr([each for each in code.co_consts if not inspect.iscode(each)])


def _same_plan(folder: Path, plan: str) -> None:
    """Keep what the same plan left in the folder; remove what another one did."""
    path = folder / _PLAN
    if path.exists() and path.read_text() == plan:
        return
    ours = path.exists() and len(path.read_text()) == len(plan)
    if folder.exists() and any(folder.iterdir()) and not ours:
        raise WorkspaceError(
            text("{folder} holds other files; name an empty or new folder for the feature rows", folder=folder)
        )
    for name in ("rows", "company"):
        shutil.rmtree(folder / name, ignore_errors=True)
    with replacing(path) as temporary:
        temporary.write_text(plan)


def _share(progress: StepProgress | None, buckets: DealBuckets, before: int) -> Callable[[int], None]:
    """Steps of one of two passes over the buckets."""
    return lambda done: None if progress is None else progress(before + done, 2 * len(buckets))
