"""Imports larger than memory: raw rows go to their deal's bucket first, then bucket after bucket becomes canonical."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import feather

from winpredict._common.atomic import replacing, replacing_folder
from winpredict._common.errors import InputFileError, ProfileError
from winpredict.sources._left_stages import entered_stages
from winpredict.sources._quarantine import ROW, Quarantine
from winpredict.sources._repairs import repaired, repaired_alone
from winpredict.sources._rows import canonical_rows, deal_ids, kept_rows, raw_signs
from winpredict.sources._updating import updated, updated_alone
from winpredict.sources._values import ColumnSigns
from winpredict.sources.files import RawFile
from winpredict.sources.importing import no_deals, unreadable_rows, wanted_sources
from winpredict.sources.profiles import Profile, Source
from winpredict.tables.buckets import OF_DEALS, DealBuckets, bucket_of, kinds_of, write_part
from winpredict.tables.crm import CRMData, utc, write_description
from winpredict.tables.schema import text_dtype

Steps = Callable[[int, int], None]
#: Files that are larger together are parted, into buckets of about so many bytes.
LARGE_BYTES, BYTES_A_BUCKET, MOST_BUCKETS = 10**9, 25 * 10**6, 1024
_PLAN, _ROUTED, _DONE = "plan.json", "routed.json", "done.json"


@dataclass(frozen=True)
class ImportedParts:
    """What came of a parted import.

    Parameters
    ----------
    buckets : DealBuckets
        The canonical tables.
    repairs : dict of str to int
    quarantine : dict of str to DataFrame
    sources : list of dict
        All as in `winpredict.sources.importing.Imported`.
    """

    buckets: DealBuckets
    repairs: dict[str, int]
    quarantine: dict[str, pd.DataFrame]
    sources: list[dict[str, Any]]

    def summary(self) -> str:
        """Rows of each table, and what was rejected or repaired, in words."""
        lines = [f"{name}: {rows:,} rows" for name, rows in self.buckets.rows.items()]
        told = [f"  {n:,} x {cause}" for cause, n in self.repairs.items()]
        return "\n".join([*lines, "rejected or repaired:", *told] if told else [*lines, "every row came in as it was"])


@dataclass
class _Routed:
    """What routing found out: signs of whole columns, which parts of which files there are, and what was read."""

    signs: dict[str, dict[str, ColumnSigns]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def import_parted(
    raw_files: Iterable[RawFile],
    profile: Profile,
    folder: Path,
    buckets: int,
    *,
    plan: str = "",
    alone: bool = False,
    earlier: DealBuckets | None = None,
    now: pd.Timestamp | None = None,
    steps: Steps | None = None,
) -> ImportedParts:
    """Import tables in the memory of one bucket.

    Parameters
    ----------
    raw_files : iterable of RawFile
        Files may come in several parts, see `winpredict.sources.files.read_files`.
    profile : Profile
    folder : Path
        Where the work is done. Finished buckets are kept there: with the same plan it goes on after a kill, and the
        tables come out the same.
    buckets : int
        How many buckets.
    plan : str
        Names what is imported; another one starts afresh.
    alone : bool
        Whether there is a single file, which then holds the deals whatever it is called.
    earlier : DealBuckets, optional
        What was imported before, with as many buckets.
    now : Timestamp, optional
        The moment of the import, by default the present; a resumed import keeps that of its start.
    steps : callable, optional
        Called with the number of buckets done and the number of all.

    Returns
    -------
    ImportedParts
        Its tables stand in ``folder / "tables"``.

    Raises
    ------
    InputFileError
    ProfileError
        As `winpredict.sources.importing.import_files`; and when a file does not name the deal of each row.

    Notes
    -----
    The result is that of an import in one piece, but for two rules that look at all rows at once: an id of an activity
    that occurs in several deals is kept in each of their buckets, and an impossibly large amount is told by the median
    of the bucket.
    """
    folder = Path(folder)
    moment = _begun(folder, f"{plan}\n{profile.model_dump_json()}\n{buckets}", now)
    if not (folder / _ROUTED).exists():
        _route(raw_files, profile, folder, buckets, alone=alone)
    routed = _read_routed(folder)
    adds = "deals" not in profile.tables
    if earlier is None if adds else not any(key.startswith("deals ") for key in routed.parts):
        raise InputFileError(no_deals(profile, [Path(path).name for path in routed.files]))
    for number in range(buckets):
        if not (folder / "done" / str(number) / _DONE).exists():
            _import_bucket(folder, number, profile, routed, moment, earlier)
        if steps is not None:
            steps(number + 1, buckets)
    return _finished(folder, buckets, profile, routed, moment, earlier)


def buckets_for(paths: Sequence[Path | str]) -> int | None:
    """A good number of buckets for files; None where they fit well into memory."""
    files = [each for path in map(Path, paths) for each in (path.rglob("*") if path.is_dir() else [path])]
    size = sum(each.stat().st_size for each in files if each.is_file())
    return None if size < LARGE_BYTES else min(math.ceil(size / BYTES_A_BUCKET), MOST_BUCKETS)


def source_plan(paths: Sequence[Path | str]) -> str:
    """What files are imported, by name, size and time of change: another plan starts afresh."""
    said = []
    for path in map(Path, paths):
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        stats = [(each, each.stat() if each.exists() else None) for each in files]
        said += [f"{each} {stat and (stat.st_size, stat.st_mtime_ns)}" for each, stat in stats]
    return "\n".join(said)


def _begun(folder: Path, plan: str, now: pd.Timestamp | None) -> pd.Timestamp:
    """The moment at which this import began; what another plan left is removed."""
    digest = hashlib.sha256(plan.encode()).hexdigest()
    path = folder / _PLAN
    if path.exists() and (begun := json.loads(path.read_text()))["plan"] == digest:
        return utc(begun["now"])
    shutil.rmtree(folder, ignore_errors=True)
    moment = utc(pd.Timestamp.now("UTC") if now is None else now)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"plan": digest, "now": moment.isoformat()}))
    return moment


def _route(raw_files: Iterable[RawFile], profile: Profile, folder: Path, buckets: int, *, alone: bool) -> None:
    """Write every wanted raw row to its bucket, and gather what whole columns tell."""
    shutil.rmtree(folder / "raw", ignore_errors=True)
    routed, quarantine = _Routed(), Quarantine()
    for number, raw in enumerate(raw_files):
        used = wanted_sources(raw, profile, alone=alone)
        for table, source in used:
            key = f"{table} {profile.tables[table].index(source)} {raw.path}"
            _route_part(raw, key, (table, source), profile, folder, (number, buckets), routed)
        if used:
            quarantine.add(used[0][0], unreadable_rows(raw), "the line does not fit the header", "rejected")
        _count(raw, [table for table, _ in used], routed)
    _write_quarantine(quarantine, folder / "raw")
    said = {"signs": _plain(routed.signs), "files": routed.files, "parts": routed.parts}
    with replacing(folder / _ROUTED) as temporary:
        temporary.write_text(json.dumps(said))


def _route_part(
    raw: RawFile,
    key: str,
    use: tuple[str, Source],
    profile: Profile,
    folder: Path,
    place: tuple[int, int],
    routed: _Routed,
) -> None:
    table, source = use
    if source.explode:
        raise ProfileError(
            f"profile {profile.name} takes {table} out of lists in {raw.path}: import it without --buckets"
        )
    rows = kept_rows(raw.frame, source, profile)
    signs = routed.signs.setdefault(key, {})
    for name, found in raw_signs(rows, table, source, profile, raw).items():
        signs[name] = signs.get(name, ColumnSigns()) | found
    routed.parts.setdefault(key, []).append((raw.name, raw.sha256))
    part, buckets = place
    if table not in OF_DEALS:
        _spill(rows, folder / "raw" / "rest" / _safe(key), part)
        return
    ids = deal_ids(rows, table, source, profile, raw)
    if ids is None:
        raise ProfileError(
            f"{raw.path} has no column for {table}.deal_id, so its rows cannot be parted: import it without --buckets"
        )
    numbers = pd.Series(bucket_of(ids.fillna(""), buckets), index=rows.index)
    for number, of_bucket in rows.groupby(numbers, sort=True):
        _spill(of_bucket, folder / "raw" / str(number) / _safe(key), part)


def _count(raw: RawFile, tables: list[str], routed: _Routed) -> None:
    said = routed.files.setdefault(
        raw.path, {"path": raw.path, "sha256": raw.sha256, "rows": 0, "tables": [], "remark": raw.remark}
    )
    said["rows"] += len(raw.frame) + len(raw.unreadable)
    said["tables"] = sorted({*said["tables"], *tables})
    if not tables:
        said["remark"] = "not used by the profile"


def _spill(rows: pd.DataFrame, folder: Path, part: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(rows.rename_axis(ROW).reset_index(), preserve_index=False)
    feather.write_feather(table, str(folder / f"{part:06d}.arrow"), compression="lz4")


def _read_routed(folder: Path) -> _Routed:
    said = json.loads((folder / _ROUTED).read_text())
    signs = {key: {name: ColumnSigns(**each) for name, each in found.items()} for key, found in said["signs"].items()}
    return _Routed(signs, said["files"], said["parts"])


def _canonical(folder: Path, profile: Profile, routed: _Routed, quarantine: Quarantine) -> dict[str, pd.DataFrame]:
    """Canonical rows out of the raw ones of one bucket."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for key, pieces in routed.parts.items():
        files = sorted((folder / _safe(key)).glob("*.arrow"))
        if not files:
            continue
        table, place, path = key.split(" ", 2)
        source = profile.tables[table][int(place)]
        frame = pd.concat([feather.read_table(str(each)).to_pandas() for each in files], ignore_index=True)
        raw = RawFile(pieces[0][0], path, pieces[0][1], frame.set_index(ROW).rename_axis("row"))
        rows = canonical_rows(raw, table, source, profile, quarantine, routed.signs[key])
        parts.setdefault(table, []).append(entered_stages(rows) if source.left_stages else rows)
    return {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}


def _import_bucket(
    folder: Path, number: int, profile: Profile, routed: _Routed, now: pd.Timestamp, earlier: DealBuckets | None
) -> None:
    quarantine = Quarantine()
    rows = _canonical(folder / "raw" / str(number), profile, routed, quarantine)
    before = None if earlier is None else _of_its_own_time(earlier.bucket(number))
    crm = before
    if "deals" in rows or (rows and before is not None):
        known = set() if before is None else set(before.deals["deal_id"])
        crm = updated(repaired(rows, profile, known, now, quarantine), profile.stage_order, before)
    with replacing_folder(folder / "done" / str(number)) as temporary:
        for name, frame in crm.tables() if crm is not None else ():
            if name in OF_DEALS:
                write_part(frame, temporary, name, number)
        _write_quarantine(quarantine, temporary)
        (temporary / _DONE).write_text(json.dumps(_said(crm)))


def _of_its_own_time(bucket: CRMData) -> CRMData:
    """An earlier bucket with its own end of knowledge, to be compared with that of a new one."""
    return replace(bucket, known_until=bucket.last_recorded(), accounts=None, users=None, quotas=None)


def _said(crm: CRMData | None) -> dict[str, Any]:
    if crm is None:
        return {"columns": {}, "rows": {}, "stages": [], "known_until": None}
    return {
        "columns": {name: kinds_of(frame) for name, frame in crm.tables()},
        "rows": {name: len(frame) for name, frame in crm.tables()},
        "stages": list(crm.stage_order),
        "known_until": None if crm.known_until is None else crm.known_until.isoformat(),
    }


def _finished(
    folder: Path, buckets: int, profile: Profile, routed: _Routed, now: pd.Timestamp, earlier: DealBuckets | None
) -> ImportedParts:
    """Put the tables of all buckets together, by renaming; everything else is small."""
    quarantine = Quarantine()
    rest = repaired_alone(_canonical(folder / "raw" / "rest", profile, routed, quarantine), now, quarantine)
    said = [json.loads((folder / "done" / str(number) / _DONE).read_text()) for number in range(buckets)]
    with replacing_folder(folder / "tables") as tables:
        for number in range(buckets):
            for part in sorted((folder / "done" / str(number)).glob("*/bucket=*")):
                shutil.copytree(part, tables / part.parent.name / part.name, copy_function=_linked)
        shared = updated_alone(rest, {} if earlier is None else earlier.shared)
        for name, frame in shared.items():
            frame.to_parquet(tables / f"{name}.parquet", index=False)
        stages, until = joined_knowledge(said, profile)
        write_description(
            tables, stages, None if until is None else utc(until),
            buckets=buckets, columns=joined_columns(said), shared=list(shared),
        )  # fmt: skip
    repairs, kept = _gathered_quarantine(folder, buckets, quarantine)
    return ImportedParts(DealBuckets.open(folder / "tables"), repairs, kept, list(routed.files.values()))


def _linked(source: str, target: str) -> None:
    os.link(source, target)


def joined_knowledge(said: Sequence[Mapping[str, Any]], profile: Profile) -> tuple[list[str], str | None]:
    """The stages of the profile that occur in any bucket, and the end of knowledge of all."""
    used = {stage for each in said for stage in each["stages"]}
    until = max((each["known_until"] for each in said if each["known_until"]), default=None, key=utc)
    return [stage for stage in profile.stage_order if stage in used], until


def joined_columns(said: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Columns and dtypes of every parted table, over the buckets that have any of its rows."""
    found: dict[str, dict[str, str]] = {}
    for each in said:
        for table, columns in each["columns"].items():
            if table not in OF_DEALS:
                continue
            known = found.setdefault(table, {})
            for name, kind in columns.items():
                known[name] = kind if known.get(name, kind) == kind else str(text_dtype())
    return found


def _write_quarantine(quarantine: Quarantine, folder: Path) -> None:
    """Keep what was rejected or repaired, as text."""
    for table, rows in quarantine.frames.items():
        folder.mkdir(parents=True, exist_ok=True)
        texts = rows.astype(object).where(rows.notna(), None).map(str, na_action="ignore")
        texts.to_parquet(folder / f"quarantine-{table}.parquet", index=False)


def _gathered_quarantine(
    folder: Path, buckets: int, rest: Quarantine
) -> tuple[dict[str, int], dict[str, pd.DataFrame]]:
    """Counts by table and cause, and the rows by table."""
    parts = {table: [rows] for table, rows in rest.frames.items()}
    for place in (folder / "raw", *(folder / "done" / str(number) for number in range(buckets))):
        for path in sorted(place.glob("quarantine-*.parquet")):
            parts.setdefault(path.stem.removeprefix("quarantine-"), []).append(pd.read_parquet(path))
    kept = {table: pd.concat(frames, ignore_index=True) for table, frames in sorted(parts.items())}
    counts = {
        f"{table}: {cause} ({done})": len(rows)
        for table, frame in kept.items()
        for (cause, done), rows in frame.groupby(["cause", "done"])
    }
    return counts, kept


def _plain(signs: Mapping[str, Mapping[str, ColumnSigns]]) -> dict[str, dict[str, dict[str, bool]]]:
    return {key: {name: asdict(each) for name, each in found.items()} for key, found in signs.items()}


def _safe(key: str) -> str:
    """A key as the name of a folder."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]
