"""Files of a CRM into canonical tables, by a profile; what does not fit is counted and kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from winpredict.errors import InputFileError
from winpredict.ingest.files import RawFile, read_files
from winpredict.ingest.merge import updated
from winpredict.ingest.profiles import Profile, Source
from winpredict.ingest.quarantine import FILE, ROW, Quarantine
from winpredict.ingest.repair import repaired
from winpredict.ingest.rows import canonical_rows, matches
from winpredict.ingest.stage_exits import entered_stages
from winpredict.tables.crm import CRMData


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Parameters
    ----------
    crm : CRMData
        The canonical tables.
    repairs : dict of str to int
        Rows rejected or repaired, by table and cause.
    quarantine : dict of str to DataFrame
        Those rows by table, as they came: cause, done (rejected or repaired), file, row, and their values.
    sources : list of dict
        What was read: path, sha256, rows, tables they went to, remark.
    """

    crm: CRMData
    repairs: dict[str, int]
    quarantine: dict[str, pd.DataFrame]
    sources: list[dict[str, Any]]

    def summary(self) -> str:
        """Rows of each table, and what was rejected or repaired, in words."""
        lines = [f"{name}: {len(frame):,} rows" for name, frame in self.crm.tables()]
        if not self.repairs:
            return "\n".join([*lines, "every row came in as it was"])
        return "\n".join(
            [*lines, "rejected or repaired:", *(f"  {n:,} x {cause}" for cause, n in self.repairs.items())]
        )


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
    (['won', 'open'], {'deals: the same row again (rejected)': 1})
    """
    return import_raw(read_files(paths), profile, earlier=earlier, now=now)


def import_raw(
    raw_files: Iterable[RawFile],
    profile: Profile,
    *,
    earlier: CRMData | None = None,
    now: pd.Timestamp | None = None,
) -> Imported:
    """Import tables that are read already, from files or from a warehouse.

    Parameters
    ----------
    raw_files : iterable of RawFile
        See `winpredict.ingest.files.read_files` and `winpredict.sources.warehouse.read_warehouse`.
    profile : Profile
    earlier : CRMData, optional
    now : Timestamp, optional
        All as `import_files` has them.

    Returns
    -------
    Imported

    Raises
    ------
    InputFileError
    ProfileError
        When the tables do not hold what the profile names.
    """
    quarantine = Quarantine()
    rows, sources = _collected(list(raw_files), profile, quarantine)
    if earlier is None:
        refuse_no_deals(profile, sources)
    moment = pd.Timestamp.now("UTC") if now is None else now
    known_deals = set() if earlier is None else set(earlier.deals["deal_id"])
    tables = repaired(rows, profile, known_deals, moment, quarantine)
    crm = updated(tables, profile.stage_order, earlier)
    return Imported(crm, quarantine.counts, quarantine.frames, sources)


def _collected(
    files: Sequence[RawFile], profile: Profile, quarantine: Quarantine
) -> tuple[dict[str, pd.DataFrame], list[dict[str, Any]]]:
    """Rows of every canonical table from all files, and what was read."""
    parts: dict[str, list[pd.DataFrame]] = {}
    read = []
    for raw in files:
        used = wanted_sources(raw, profile, alone=len(files) == 1)
        for table, source in used:
            rows = canonical_rows(raw, table, source, profile, quarantine)
            # a file of which no row comes in, as is usual in a warehouse, is as good as absent
            if len(rows) or table == "deals":
                parts.setdefault(table, []).append(entered_stages(rows) if source.left_stages else rows)
        if used:
            quarantine.add(used[0][0], unreadable_rows(raw), "the line does not fit the header", "rejected")
        read.append(
            {
                "path": raw.path,
                "sha256": raw.sha256,
                "rows": len(raw.frame) + len(raw.unreadable),
                "tables": sorted({table for table, _ in used}),
                "remark": raw.remark if used else "not used by the profile",
            }
        )
    if "deals" in profile.tables and "deals" not in parts:
        raise InputFileError(no_deals(profile, [raw.name for raw in files]))
    return {table: pd.concat(frames, ignore_index=True) for table, frames in parts.items()}, read


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
        raise InputFileError(f"{paths}: there are no rows of deals; export them again")


def no_deals(profile: Profile, there: Iterable[str]) -> str:
    """Why an import has no deals to work on, and what to do."""
    if "deals" not in profile.tables:
        return (
            f"profile {profile.name} adds {', '.join(profile.tables)} to deals that are known already, and there are "
            "none; import or sync the CRM's deals first, into the same workspace"
        )
    wanted = ", ".join(name for source in profile.tables["deals"] for name in source.file)
    return f"no file holds deals: profile {profile.name} looks for {wanted}, there are {', '.join(there) or 'none'}"


def unreadable_rows(raw: RawFile) -> pd.DataFrame:
    """Lines of a file that do not fit its header, with their origin."""
    return raw.unreadable.rename(columns={"row": ROW}).assign(**{FILE: raw.path})
