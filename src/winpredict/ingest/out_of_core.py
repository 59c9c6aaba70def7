"""Imports larger than memory: raw rows go to their deal's bucket first, then bucket after bucket becomes canonical."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import feather

from winpredict._internal.atomic import replacing, replacing_folder
from winpredict.errors import InputFileError, ProfileError
from winpredict.ingest.files import RawFile, is_warehouse
from winpredict.ingest.fit import refuse_poor_fit
from winpredict.ingest.importing import (
    add_spellings,
    all_read_again,
    as_changes,
    no_deals,
    note_reading,
    refuse_no_deals,
    remarks_record,
    source_record,
    stored,
    wanted_sources,
    with_books,
)
from winpredict.ingest.merge import joined, precedes, updated, updated_alone
from winpredict.ingest.outcomes import stage_names
from winpredict.ingest.parsing.columns import ColumnHints
from winpredict.ingest.parsing.text import text_of
from winpredict.ingest.profiles import Profile, Source
from winpredict.ingest.quarantine import ROW, Quarantine
from winpredict.ingest.repair import repaired, repaired_alone
from winpredict.ingest.rows import canonical_rows, column_hints, date_columns, deal_ids
from winpredict.ingest.understanding import Understanding, understanding
from winpredict.ingest.wanted_rows import wanted_rows
from winpredict.locale.text import Text, text
from winpredict.tables.buckets import OF_DEALS, DealBuckets, bucket_of, kinds_of, read_part, write_part
from winpredict.tables.crm import CRMData, utc, write_description
from winpredict.tables.schema import TABLES, text_dtype

StepProgress = Callable[[int, int], None]
#: Files that are larger together are parted, into buckets of about so many bytes.
LARGE_BYTES, BYTES_A_BUCKET, MAX_BUCKETS = 10**9, 25 * 10**6, 1024
_PLAN, _ROUTED, _DONE = "plan.json", "routed.json", "done.json"
#: Of the folder of the work; what another version of winpredict left is not gone on with.
_LAYOUT = 4
#: Folders below the work: raw rows by bucket, new buckets that are still to be joined with earlier ones, finished ones.
_RAW, _NEW, _FINISHED = "raw", "new", "done"
#: Tables that a bucket has even where none of their rows falls into it: rows of other tables may be of deals known
#: before, and where owners are recorded at all, a deal without a change had its owner from the start.
EVERYWHERE = ("deals", "deal_history")


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
    understood : Understanding
        All as in `winpredict.ingest.importing.Imported`.
    """

    buckets: DealBuckets
    repairs: dict[str, int]
    quarantine: dict[str, pd.DataFrame]
    sources: list[dict[str, Any]]
    understood: Understanding

    def summary(self) -> str:
        """Rows of each table, and what was understood, in words."""
        return f"{self.understood.summary()}\n{stored(self.buckets.rows)}"


@dataclass
class _Routed:
    """What routing found out: hints of whole columns, what was read, and the names of the tables that are used."""

    hints: dict[str, dict[str, ColumnHints]] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    date_columns: list[str] = field(default_factory=list)
    quarantine: dict[str, Any] = field(default_factory=dict)

    def stage_names(self, profile: Profile) -> dict[str, str]:
        """One name for the spellings of each stage."""
        spellings: dict[str, int] = {}
        for of_file in self.hints.values():
            add_spellings(spellings, of_file)
        return stage_names(spellings, profile)


def import_out_of_core(
    raw_files: Iterable[RawFile],
    profile: Profile,
    folder: Path,
    buckets: int,
    *,
    plan: str = "",
    alone: bool = False,
    earlier: DealBuckets | None = None,
    earlier_files: Collection[str] = (),
    now: pd.Timestamp | None = None,
    progress: StepProgress | None = None,
) -> ImportedParts:
    """Import tables in the memory of one bucket.

    Parameters
    ----------
    raw_files : iterable of RawFile
        Files may come in several parts, see `winpredict.ingest.files.read_files`.
    profile : Profile
    folder : Path
        Where the work is done. Finished buckets are kept there: with the same plan it goes on after a kill, and the
        tables come out the same.
    buckets : int
        How many buckets.
    plan : str
        Names what is imported; another one starts afresh. A folder that only this import uses needs none.
    alone : bool
        Whether there is a single table, which then holds the deals whatever it is called; see
        `winpredict.ingest.files.holds_one_table`.
    earlier : DealBuckets, optional
        What was imported before, with as many buckets.
    earlier_files : collection of str
        As `winpredict.ingest.importing.import_raw` has it.
    now : Timestamp, optional
        The moment of the import, by default the present; a resumed import keeps that of its start.
    progress : callable, optional
        Called with the number of steps done and the number of all: one a bucket, or with `earlier` two.

    Returns
    -------
    ImportedParts
        Its tables stand in ``folder / "tables"``.

    Raises
    ------
    InputFileError
    ProfileError
        As `winpredict.ingest.importing.import_files`; and when a file does not name the deal of each row.

    Notes
    -----
    The result is that of an import in one piece, but for two rules that look at all rows at once: an id of an activity
    that occurs in several deals is kept in each of their buckets, and an impossibly large amount is told by the median
    of the bucket.
    """
    folder = Path(folder)
    moment = _begun(folder, f"{_LAYOUT}\n{plan}\n{profile.model_dump_json()}\n{buckets}", now)
    if not (folder / _ROUTED).exists():
        _route(raw_files, profile, folder, buckets, alone=alone)
    routed = _read_routed(folder)
    if all_read_again(earlier_files, list(routed.files.values())):
        earlier = None
    adds = "deals" not in profile.tables
    if earlier is None if adds else not any(key.startswith("deals ") for key in routed.names):
        raise InputFileError(no_deals(profile, [Path(path).name for path in routed.files]))
    if earlier is None:
        refuse_no_deals(profile, list(routed.files.values()))
    at_once = earlier is None or adds
    of_all = buckets if at_once else 2 * buckets
    tell = progress or (lambda done, of: None)
    for number in range(buckets):
        place = folder / (_FINISHED if at_once else _NEW) / str(number)
        if not (place / _DONE).exists():
            _import_bucket(folder, place, number, profile, routed, moment, earlier)
        tell(number + 1, of_all)
    quarantine = _joined_quarantine(routed, folder / (_FINISHED if at_once else _NEW), buckets)
    if not adds:
        _refuse_poor_fit(profile, quarantine, routed, folder / (_FINISHED if at_once else _NEW), first=earlier is None)
    new_first = False
    if earlier is not None and not adds:
        # of which export a bucket is cannot be told by the bucket: what changed in it may carry no date
        new_first = precedes(_known_until(folder / _NEW, buckets), earlier.known_until)
        for number in range(buckets):
            if not (folder / _FINISHED / str(number) / _DONE).exists():
                _join_bucket(folder, number, profile, earlier, new_first=new_first)
            tell(buckets + number + 1, of_all)
    shared = _rest(folder, profile, routed, moment, earlier, quarantine, new_first=new_first)
    stage_order = profile.stage_order if earlier is None or not adds else earlier.stage_order
    tables = _finished(folder, buckets, stage_order, shared)
    kept = _kept_rows(folder, buckets, quarantine)
    sources = list(routed.files.values())
    deals = (_new_deals(folder / (_FINISHED if at_once else _NEW), number) for number in range(0 if adds else buckets))
    understood = understanding(deals, quarantine, sources, rows=kept, won_or_lost=earlier is None)
    return ImportedParts(tables, quarantine.counts, kept, with_books(sources, quarantine), understood)


def buckets_for(paths: Sequence[Path | str], profile: Profile) -> int | None:
    """A good number of buckets for files; None where they fit well into memory, or cannot be parted."""
    files = [each for path in map(Path, paths) for each in (path.rglob("*") if path.is_dir() else [path])]
    with_lists = any(source.explode for sources in profile.tables.values() for source in sources)
    if with_lists and not all(each.suffix.lower() in (".csv", ".tsv") for each in files if each.is_file()):
        return None
    size = sum(each.stat().st_size for each in files if each.is_file())
    return None if size < LARGE_BYTES else min(math.ceil(size / BYTES_A_BUCKET), MAX_BUCKETS)


def source_plan(paths: Sequence[Path | str]) -> str:
    """What files are imported, by name, size and time of change: another plan starts afresh.

    What a warehouse holds is known by the day alone, so that no import goes on with rows of an earlier one.
    """
    said = [f"{path} {pd.Timestamp.now('UTC'):%Y-%m-%d}" for path in map(str, paths) if is_warehouse(path)]
    for path in (Path(path) for path in paths if not is_warehouse(str(path))):
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
    shutil.rmtree(folder / _RAW, ignore_errors=True)
    routed, quarantine = _Routed(), Quarantine()
    for number, raw in enumerate(raw_files):
        used = wanted_sources(raw, profile, alone=alone)
        for table, source in used:
            key = f"{table} {profile.tables[table].index(source)} {raw.path}"
            _route_part(raw, key, (table, source), profile, folder, (number, buckets), routed, quarantine)
        note_reading(raw, [table for table, _ in used], quarantine)
        _count(raw, [table for table, _ in used], routed)
    _write_quarantine(quarantine, folder / _RAW)
    said = {
        "quarantine": quarantine.as_json(),
        "hints": {key: {name: hint.as_json() for name, hint in hints.items()} for key, hints in routed.hints.items()},
        "files": routed.files,
        "names": routed.names,
        "date_columns": sorted(set(routed.date_columns)),
    }
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
    quarantine: Quarantine,
) -> None:
    table, source = use
    if source.explode:
        raise ProfileError(
            text(
                "profile {name} takes {table} out of lists in {path}: import it without --buckets",
                name=profile.name,
                table=table,
                path=raw.path,
            )
        )
    rows = _as_texts(wanted_rows(raw, table, source, profile, quarantine))
    hints = routed.hints.setdefault(key, {})
    for name, of_part in column_hints(rows, table, source, profile, raw).items():
        hints[name] = hints.get(name, ColumnHints()) | of_part
    if table == "deals":
        routed.date_columns += date_columns(rows, source, hints)
    if len(rows) or table == "deals":
        routed.names[key] = raw.name
    part, buckets = place
    if table not in OF_DEALS:
        _spill(rows, folder / _RAW / "rest" / _safe(key), part)
        return
    _spill(rows.iloc[:0], folder / _RAW / "none" / _safe(key), 0)
    ids = deal_ids(rows, table, source, profile, raw)
    if ids is None:
        raise ProfileError(
            text(
                "{path} has no column for {table}.deal_id, so its rows cannot be parted: import it without "
                "--buckets, and in files that are smaller than 1 GB together",
                path=raw.path,
                table=table,
            )
        )
    numbers = pd.Series(bucket_of(ids.fillna(""), buckets), index=rows.index)
    for number, of_bucket in rows.groupby(numbers, sort=True):
        _spill(of_bucket, folder / _RAW / str(number) / _safe(key), part)


def _count(raw: RawFile, tables: list[str], routed: _Routed) -> None:
    record = source_record(raw, tables)
    known = routed.files.setdefault(raw.path, record)
    if known is record:
        return
    known["rows"] += record["rows"]
    if tables:
        told = [*known["remarks"], *(each for each in record["remarks"] if each not in known["remarks"])]
        known |= remarks_record([each if isinstance(each, str) else Text.from_json(each) for each in told])
    known["sha256"] = record["sha256"] or known["sha256"]
    known["tables"] = sorted({*known["tables"], *tables})
    ledger = known.setdefault(raw.units, {})
    for name, number in record[raw.units].items():
        ledger[name] = ledger.get(name, 0) + number


def _as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Values of mixed types as the texts that they are read as anyhow, since Arrow has columns of one type."""
    return frame.assign(**{str(name): frame[name].map(text_of) for name in frame if frame[name].dtype == object})


def _spill(rows: pd.DataFrame, folder: Path, part: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(rows.rename_axis(ROW).reset_index(), preserve_index=False)
    feather.write_feather(table, str(folder / f"{part:06d}.arrow"), compression="lz4")


def _read_routed(folder: Path) -> _Routed:
    said = json.loads((folder / _ROUTED).read_text())
    hints = {
        key: {name: ColumnHints.from_json(hint) for name, hint in of_file.items()}
        for key, of_file in said["hints"].items()
    }
    return _Routed(hints, said["files"], said["names"], said["date_columns"], said["quarantine"])


def _canonical(folder: Path, profile: Profile, routed: _Routed, quarantine: Quarantine) -> dict[str, pd.DataFrame]:
    """Canonical rows out of the raw ones of one bucket."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for key, name in routed.names.items():
        table, place, path = key.split(" ", 2)
        files = sorted((folder / _safe(key)).glob("*.arrow"))
        if not files and table in EVERYWHERE:
            files = sorted((folder.parent / "none" / _safe(key)).glob("*.arrow"))
        if not files:
            continue
        source = profile.tables[table][int(place)]
        frame = pd.concat([feather.read_table(str(each)).to_pandas() for each in files], ignore_index=True)
        raw = RawFile(name, path, "", frame.set_index(ROW).rename_axis("row"))
        rows = canonical_rows(raw.frame, raw, table, source, profile, quarantine, routed.hints[key])
        if len(rows) or table in EVERYWHERE:
            parts.setdefault(table, []).append(as_changes(rows, source, table, path, quarantine))
    return {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}


def _import_bucket(
    folder: Path,
    place: Path,
    number: int,
    profile: Profile,
    routed: _Routed,
    now: pd.Timestamp,
    earlier: DealBuckets | None,
) -> None:
    """The new rows of a bucket as canonical tables."""
    quarantine = Quarantine()
    rows = _canonical(folder / _RAW / str(number), profile, routed, quarantine)
    known = set() if earlier is None else earlier.deal_ids(number)
    sound = repaired(rows, profile, known, now, quarantine, routed.stage_names(profile))
    before = None
    if "deals" not in profile.tables and earlier is not None:
        before = _of_deals_alone(earlier.bucket(number))
    _write_bucket(place, number, updated(sound, profile.stage_order, before), quarantine)


def _join_bucket(folder: Path, number: int, profile: Profile, earlier: DealBuckets, *, new_first: bool) -> None:
    """The new rows of a bucket on top of its earlier ones."""
    place = folder / _NEW / str(number)
    said = json.loads((place / _DONE).read_text())
    tables: dict[str, Any] = {name: read_part(place, name, [number], kinds) for name, kinds in said["columns"].items()}
    before = _of_deals_alone(earlier.bucket(number))
    crm = joined(CRMData(**tables), before, profile.stage_order, new_first=new_first)
    _write_bucket(folder / _FINISHED / str(number), number, crm, Quarantine())


def _of_deals_alone(bucket: CRMData) -> CRMData:
    return replace(bucket, accounts=None, users=None, quotas=None)


def _write_bucket(place: Path, number: int, crm: CRMData, quarantine: Quarantine) -> None:
    with replacing_folder(place) as temporary:
        for name, frame in crm.tables():
            write_part(frame, temporary, name, number)
        _write_quarantine(quarantine, temporary)
        (temporary / _DONE).write_text(json.dumps(said_of(crm) | {"quarantine": quarantine.as_json()}))


def said_of(crm: CRMData) -> dict[str, Any]:
    """What a bucket tells of itself, for `described`."""
    return {
        "columns": {name: kinds_of(frame) for name, frame in crm.tables()},
        "stages": list(crm.stage_order),
        "known_until": None if crm.known_until is None else crm.known_until.isoformat(),
        "dated": crm.dated,
    }


def _bucket_summaries(place: Path, buckets: int) -> list[dict[str, Any]]:
    """What was said of every bucket."""
    return [json.loads((place / str(number) / _DONE).read_text()) for number in range(buckets)]


def _known_until(place: Path, buckets: int) -> pd.Timestamp | None:
    """The end of knowledge of all buckets."""
    return _last_known(_bucket_summaries(place, buckets))


def _joined_quarantine(routed: _Routed, place: Path, buckets: int) -> Quarantine:
    """What was noted of all rows, but for the rows themselves."""
    quarantine = Quarantine()
    quarantine.join([routed.quarantine, *(said["quarantine"] for said in _bucket_summaries(place, buckets))])
    return quarantine


def _new_deals(place: Path, number: int) -> pd.DataFrame:
    """The imported deals of a bucket."""
    said = json.loads((place / str(number) / _DONE).read_text())
    return read_part(place / str(number), "deals", [number], said["columns"].get("deals", {}))


def _refuse_poor_fit(profile: Profile, quarantine: Quarantine, routed: _Routed, place: Path, *, first: bool) -> None:
    stages: dict[str, int] = {}
    for of_file in routed.hints.values():
        add_spellings(stages, of_file)
    by_number = dict(sorted(stages.items(), key=lambda item: (-item[1], item[0])))
    refuse_poor_fit(profile, quarantine, first=first, stages=by_number, date_columns=routed.date_columns)


def _rest(
    folder: Path,
    profile: Profile,
    routed: _Routed,
    now: pd.Timestamp,
    earlier: DealBuckets | None,
    quarantine: Quarantine,
    *,
    new_first: bool,
) -> dict[str, pd.DataFrame]:
    """The tables whose rows belong to no deal; they are small."""
    rest = repaired_alone(_canonical_rest(folder, profile, routed, quarantine), now, quarantine)
    return updated_alone(rest, {} if earlier is None else earlier.shared, new_first=new_first)


def _canonical_rest(folder: Path, profile: Profile, routed: _Routed, quarantine: Quarantine) -> dict[str, pd.DataFrame]:
    of_none = {key: name for key, name in routed.names.items() if key.split(" ", 1)[0] not in OF_DEALS}
    return _canonical(folder / _RAW / "rest", profile, replace(routed, names=of_none), quarantine)


def _finished(
    folder: Path, buckets: int, stage_order: tuple[str, ...], shared: Mapping[str, pd.DataFrame]
) -> DealBuckets:
    """Put the tables of all buckets together, by renaming; everything else is small."""
    said = _bucket_summaries(folder / _FINISHED, buckets)
    description = described(said, stage_order, buckets)
    columns = description["columns"]
    with replacing_folder(folder / "tables") as tables:
        for number in range(buckets):
            for name, kinds in said[number]["columns"].items():
                part = folder / _FINISHED / str(number)
                if list(kinds.items()) == list(columns[name].items()):
                    place = f"{name}/bucket={number}"
                    shutil.copytree(part / place, tables / place, copy_function=_linked)
                else:  # so that all files of a table have the same columns, as other engines want it
                    write_part(read_part(part, name, [number], columns[name]), tables, name, number)
        for name, frame in shared.items():
            frame.to_parquet(tables / f"{name}.parquet", index=False)
        write_description(tables, **description, shared=list(shared))
    return DealBuckets.open(folder / "tables")


def _linked(source: str, target: str) -> None:
    with suppress(OSError):  # not every file system has hard links
        os.link(source, target)
        return
    shutil.copyfile(source, target)


def described(said: Sequence[Mapping[str, Any]], stage_order: Sequence[str], buckets: int) -> dict[str, Any]:
    """What tables say of themselves (see `write_description`), out of what was said of each of their buckets."""
    used = {stage for each in said for stage in each["stages"]}
    return {
        "stage_order": [stage for stage in stage_order if stage in used],
        "known_until": _last_known(said),
        "buckets": buckets,
        "columns": _joined_columns(said),
        "dated": any(each["dated"] for each in said),
    }


def _last_known(said: Sequence[Mapping[str, Any]]) -> pd.Timestamp | None:
    return max((utc(each["known_until"]) for each in said if each["known_until"]), default=None)


def _joined_columns(said: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Columns and dtypes of every parted table, over the buckets that have any of its rows.

    Canonical columns come first and in their order, as in tables in one piece: the order of rows that nothing else
    tells apart depends on it.
    """
    found: dict[str, dict[str, str]] = {}
    for each in said:
        for table, columns in each["columns"].items():
            if table not in OF_DEALS:
                continue
            known = found.setdefault(table, {})
            for name, kind in columns.items():
                known[name] = kind if known.get(name, kind) == kind else str(text_dtype())
    return {
        table: {name: kinds[name] for name in (*TABLES[table].columns, *kinds) if name in kinds}
        for table, kinds in found.items()
    }


def _write_quarantine(quarantine: Quarantine, folder: Path) -> None:
    """Keep what was rejected or repaired, as text."""
    for table, rows in quarantine.frames.items():
        folder.mkdir(parents=True, exist_ok=True)
        texts = rows.astype(object).where(rows.notna(), None).map(str, na_action="ignore")
        texts.to_parquet(folder / f"quarantine-{table}.parquet", index=False)


def _kept_rows(folder: Path, buckets: int, rest: Quarantine) -> dict[str, pd.DataFrame]:
    """The rows that were rejected, merged, left out or repaired, by table."""
    parts = {table: [rows] for table, rows in rest.frames.items()}
    places = [folder / each / str(number) for each in (_NEW, _FINISHED) for number in range(buckets)]
    for place in (folder / _RAW, *places):
        for path in sorted(place.glob("quarantine-*.parquet")):
            parts.setdefault(path.stem.removeprefix("quarantine-"), []).append(pd.read_parquet(path))
    return {table: pd.concat(frames, ignore_index=True) for table, frames in sorted(parts.items())}


def _safe(key: str) -> str:
    """A key as the name of a folder."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]
