"""Files of a CRM into canonical tables, by a profile; what does not fit is counted and kept."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from winpredict.errors import InputFileError
from winpredict.ingest.files import RawFile, read_files
from winpredict.ingest.fit import refuse_poor_fit
from winpredict.ingest.histories import changes_between_snapshots, entered_stages
from winpredict.ingest.merge import updated
from winpredict.ingest.outcomes import stage_names
from winpredict.ingest.parsing.columns import ColumnHints
from winpredict.ingest.profiles import Profile, Source
from winpredict.ingest.quarantine import FILE, ROW, Book, Fate, Quarantine
from winpredict.ingest.readers.causes import told_cause
from winpredict.ingest.repair import repaired
from winpredict.ingest.rows import canonical_rows, column_hints, date_columns
from winpredict.ingest.understanding import Understanding, understanding
from winpredict.ingest.wanted_rows import matches, wanted_rows
from winpredict.locale.language import SOURCE, Language, speaking
from winpredict.locale.text import Text, said, text
from winpredict.tables._quality_checks import ROWS
from winpredict.tables.crm import CRMData


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Parameters
    ----------
    crm : CRMData
        The canonical tables.
    repairs : dict of str to int
        Rows that were left out, merged, rejected or repaired, by table and cause.
    quarantine : dict of str to DataFrame
        Those rows by table, as they came: cause, done (what became of them), file, row, and their values.
    sources : list of dict
        What was read: path, sha256, rows, tables they went to, remark, and the books: what became of the lines or
        records of the file (``lines``), and of the rows of each table (``books``).
    understood : Understanding
        What was understood, for people.
    """

    crm: CRMData
    repairs: dict[str, int]
    quarantine: dict[str, pd.DataFrame]
    sources: list[dict[str, Any]]
    understood: Understanding

    def summary(self) -> str:
        """Rows of each table, and what was understood, in words."""
        return f"{self.understood.summary()}\n{stored({name: len(frame) for name, frame in self.crm.tables()})}"


def import_files(
    paths: Sequence[Path | str],
    profile: Profile,
    *,
    earlier: CRMData | None = None,
    now: pd.Timestamp | None = None,
) -> Imported:
    r"""Read a CRM export.

    Parameters
    ----------
    paths : sequence of Path or str
        Folders, zips, CSV, JSON lines, Parquet or Excel files.
    profile : Profile
        See `winpredict.ingest.profiles.load_profile`.
    earlier : CRMData, optional
        What was imported before. A later export updates it, by id; importing the same one again changes nothing.
    now : Timestamp, optional
        The moment of the import, by default the present: facts recorded later cannot be.

    Returns
    -------
    Imported

    Raises
    ------
    InputFileError
        When a file cannot be read, or none of them holds deals and the profile does not add to earlier ones.
    ProfileError
        When the files lack a column that the profile names for an identifier or a required time.

    Examples
    --------
    >>> import tempfile
    >>> from winpredict.ingest.profiles import load_profile
    >>> path = Path(tempfile.mkdtemp()) / "deals.csv"
    >>> _ = path.write_text("deal_id,stage,outcome,created_at,closed_at\n"
    ...                     "a,Won,won,2025-01-01,2025-02-01\nb,Demo,open,2025-01-05,\nb,Demo,open,2025-01-05,\n")
    >>> found = import_files([path], load_profile("generic"))
    >>> found.crm.deals["outcome"].tolist(), found.repairs
    (['won', 'open'], {'deals: the same row again (merged)': 1})
    """
    return import_raw(read_files(paths), profile, earlier=earlier, now=now)


def import_raw(
    raw_files: Iterable[RawFile],
    profile: Profile,
    *,
    earlier: CRMData | None = None,
    earlier_files: Collection[str] = (),
    now: pd.Timestamp | None = None,
) -> Imported:
    """Import tables that are read already, from files or from a warehouse.

    Parameters
    ----------
    raw_files : iterable of RawFile
        See `winpredict.ingest.files.read_files` and `winpredict.connectors.warehouse.reader.read_warehouse`.
    profile : Profile
    earlier : CRMData, optional
        As `import_files` has it.
    earlier_files : collection of str
        The sha256 of every file that `earlier` was made of. Where all of them are read again, as with a corrected
        profile, the tables are made anew.
    now : Timestamp, optional
        As `import_files` has it.

    Returns
    -------
    Imported

    Raises
    ------
    InputFileError
    ProfileError
        When the tables do not hold what the profile names.
    """
    collected = _collected(list(raw_files), profile)
    quarantine, sources = collected.quarantine, collected.sources
    if all_read_again(earlier_files, sources):
        earlier = None
    if earlier is None:
        refuse_no_deals(profile, sources)
    moment = pd.Timestamp.now("UTC") if now is None else now
    known_deals = set() if earlier is None else set(earlier.deals["deal_id"])
    names = stage_names(collected.spellings, profile)
    tables = repaired(collected.rows, profile, known_deals, moment, quarantine, names)
    deals = tables.get("deals")
    if deals is not None:
        refuse_poor_fit(
            profile,
            quarantine,
            first=earlier is None,
            stages=stages_of(deals),
            date_columns=collected.date_columns,
        )
    crm = updated(tables, profile.stage_order, earlier, quarantine)
    kept = quarantine.frames
    understood = understanding(
        () if deals is None else (deals,), quarantine, sources, rows=kept, won_or_lost=earlier is None
    )
    return Imported(crm, quarantine.counts, kept, with_books(sources, quarantine), understood)


def stored(rows: Mapping[str, int]) -> str:
    """How many rows of each canonical table there are, in words."""
    counts = ", ".join(said("{n:count} {rows}", n=n, rows=ROWS.get(name, name)) for name, n in rows.items())
    return said("Stored: {counts}", counts=counts)


def all_read_again(earlier_files: Collection[str], sources: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every file of earlier imports is among those that were read; one that is not known by its hash is not."""
    read = {source["sha256"] for source in sources}
    return bool(earlier_files) and all(sha256 and sha256 in read for sha256 in earlier_files)


def stages_of(deals: pd.DataFrame) -> dict[str, int]:
    """Deals at each stage, the most frequent first."""
    counts = deals["stage"].value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
    return {str(stage): int(number) for stage, number in counts.items()}


def with_books(sources: Sequence[Mapping[str, Any]], quarantine: Quarantine) -> list[dict[str, Any]]:
    """What was read, each file with what became of the rows of its tables."""
    books: dict[str, dict[str, Book]] = {}
    for (table, path), book in quarantine.books.items():
        books.setdefault(path, {}).setdefault(table, Book()).add(book)
    return [
        {name: fact for name, fact in source.items() if name != "remarks"}
        | {"books": {table: asdict(book) for table, book in books.get(source["path"], {}).items()}}
        for source in sources
    ]


@dataclass
class _Collected:
    """Rows of every canonical table from all files, and what was read."""

    quarantine: Quarantine = field(default_factory=Quarantine)
    rows: dict[str, pd.DataFrame] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    spellings: dict[str, int] = field(default_factory=dict)
    date_columns: list[str] = field(default_factory=list)


def _collected(files: Sequence[RawFile], profile: Profile) -> _Collected:
    out = _Collected()
    parts: dict[str, list[pd.DataFrame]] = {}
    for raw in files:
        used = wanted_sources(raw, profile, alone=len(files) == 1)
        for table, source in used:
            frame = wanted_rows(raw, table, source, profile, out.quarantine)
            hints = column_hints(frame, table, source, profile, raw)
            add_spellings(out.spellings, hints)
            if table == "deals":
                out.date_columns += date_columns(frame, source, hints)
            rows = canonical_rows(frame, raw, table, source, profile, out.quarantine, hints)
            pa.default_memory_pool().release_unused()
            # a file of which no row comes in, as is usual in a warehouse, is as good as absent
            if len(rows) or table == "deals":
                parts.setdefault(table, []).append(as_changes(rows, source, table, raw.path, out.quarantine))
        note_reading(raw, [table for table, _ in used], out.quarantine)
        out.sources.append(source_record(raw, [table for table, _ in used]))
    if "deals" in profile.tables and "deals" not in parts:
        raise InputFileError(no_deals(profile, [raw.name for raw in files]))
    out.rows = {table: _joined(frames) for table, frames in parts.items()}
    return out


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if len(frames) == 1:
        return frames[0]
    kind = pd.CategoricalDtype(sorted({path for frame in frames for path in frame[FILE].cat.categories}))
    return pd.concat([frame.assign(**{FILE: frame[FILE].astype(kind)}) for frame in frames], ignore_index=True)


def add_spellings(spellings: dict[str, int], hints: Mapping[str, ColumnHints]) -> None:
    """Add the texts of stages that a file has, with their cells."""
    for of_column in hints.values():
        for spelling, cells in of_column.spellings.items():
            spellings[spelling] = spellings.get(spelling, 0) + cells


def as_changes(rows: pd.DataFrame, source: Source, table: str, path: str, quarantine: Quarantine) -> pd.DataFrame:
    """Rows of a history as changes, where they are written in another way."""
    if table != "deal_history":
        return rows
    if source.snapshots:
        return changes_between_snapshots(rows, quarantine)
    if source.left_stages:
        changes = entered_stages(rows)
        quarantine.enter(table, path, len(changes) - len(rows))  # one row can tell of two changes
        return changes
    return rows


def note_reading(raw: RawFile, tables: Sequence[str], quarantine: Quarantine) -> None:
    """Note the rows of a file that could not be read, were set aside, or were repaired while reading."""
    if not tables:
        return
    table = tables[0]
    quarantine.enter(table, raw.path, len(raw.unreadable) + len(raw.set_aside))
    quarantine.add(table, unreadable_rows(raw), text("the line does not fit the header"), "rejected")
    fates: tuple[tuple[pd.DataFrame, Fate], ...] = ((raw.set_aside, "left out"), (raw.repairs, "repaired"))
    for frame, fate in fates:
        for cause, rows in frame.groupby("cause", sort=True):
            origin = rows.drop(columns="cause").rename(columns={"row": ROW}).assign(**{FILE: raw.path})
            quarantine.add(table, origin, told_cause(str(cause)), fate)


def source_record(raw: RawFile, tables: Sequence[str]) -> dict[str, Any]:
    """What is noted of a file that was read."""
    return {
        "path": raw.path,
        "name": raw.name,
        "sha256": raw.sha256,
        "rows": len(raw.frame) + len(raw.unreadable),
        "tables": sorted(set(tables)),
        **remarks_record(raw.remarks if tables else [text("not used by the profile")]),
        raw.units: dict(raw.ledger),
    }


def remarks_record(remarks: Iterable[Text | str]) -> dict[str, Any]:
    """Remarks in English, as they are kept, and each as plain values, see `winpredict.ingest.understanding`."""
    there = list(remarks)
    with speaking(Language(SOURCE)):
        remark = "; ".join(map(str, there))
    return {"remark": remark, "remarks": [each.to_json() if isinstance(each, Text) else each for each in there]}


def wanted_sources(raw: RawFile, profile: Profile, *, alone: bool) -> list[tuple[str, Source]]:
    """The places of a profile that a file goes to; a single file of whatever name holds the deals.

    Where the profile has none, because its rows go to deals that are known already, it is what stands first.
    """
    found = [
        (table, source)
        for table, sources in profile.tables.items()
        for source in sources
        if matches(raw.name, source.file)
    ]
    if found or not alone:
        return found
    main = "deals" if "deals" in profile.tables else next(iter(profile.tables))
    return [(main, profile.tables[main][0])]


def refuse_no_deals(profile: Profile, read: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a first import without a row of deals. Other files may hold none: exports have every object.

    Parameters
    ----------
    profile : Profile
    read : sequence of mapping
        Path, rows and tables of each file.

    Raises
    ------
    InputFileError
    """
    if "deals" not in profile.tables:
        raise InputFileError(no_deals(profile, []))
    of_deals = [each for each in read if "deals" in each["tables"]]
    if of_deals and not any(each["rows"] for each in of_deals):
        paths = ", ".join(each["path"] for each in of_deals)
        raise InputFileError(text("{paths}: there are no rows of deals; export them again", paths=paths))


def no_deals(profile: Profile, there: Iterable[str]) -> Text:
    """Why an import has no deals to work on, and what to do."""
    if "deals" not in profile.tables:
        return text(
            "profile {profile} adds {tables} to deals that are known already, and there are none; import or sync the "
            "CRM's deals first, into the same workspace",
            profile=profile.name,
            tables=", ".join(profile.tables),
        )
    return text(
        "no file holds deals: profile {profile} looks for {wanted}, there are {there}",
        profile=profile.name,
        wanted=", ".join(name for source in profile.tables["deals"] for name in source.file),
        there=", ".join(there) or text("none"),
    )


def unreadable_rows(raw: RawFile) -> pd.DataFrame:
    """Lines of a file that do not fit its header, with their origin."""
    return raw.unreadable[["row", "text"]].rename(columns={"row": ROW}).assign(**{FILE: raw.path})
