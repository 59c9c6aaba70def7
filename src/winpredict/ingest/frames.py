"""DataFrames through the same door as files: the same values, repairs and report."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import narwhals as nw
import pandas as pd
import pyarrow as pa

from winpredict.errors import TableError
from winpredict.ingest.files import RawFile, with_whole_ids
from winpredict.ingest.importing import Imported, import_raw
from winpredict.ingest.profiles import Profile, load_profile
from winpredict.ingest.readers.characters import cleaned_frame
from winpredict.locale.text import said, text
from winpredict.tables.crm import CRMData, utc
from winpredict.tables.schema import OUTCOMES, TABLES


def import_frames(
    frames: Any,
    *,
    profile: Profile | str = "generic",
    time_zone: str | None = None,
    dates: Literal["guess", "day_first", "month_first"] | None = None,
    decimal: Literal["guess", ".", ","] | None = None,
    outcomes: Mapping[str, str] | None = None,
    won: Sequence[str] | None = None,
    lost: Sequence[str] | None = None,
    stage_order: Sequence[str] | None = None,
    now: pd.Timestamp | None = None,
) -> Imported:
    """Import tables that are in memory, by the rules that files are imported by.

    Parameters
    ----------
    frames : mapping of str to frame, or frame
        Tables by name; a single one holds the deals. Frames of pandas, Polars or PyArrow, and anything with the Arrow
        stream interface.
    profile : Profile or str
        Maps their columns. The default has the canonical names, see `winpredict.tables.schema.TABLES`: of deals only
        outcome or stage must be there.
    time_zone : str, optional
        Zone of times that carry none, such as ``"Europe/Paris"``; by default that of the profile.
    dates : {"guess", "day_first", "month_first"}, optional
        How 06/12/2024 is meant; by default whole columns decide.
    decimal : {"guess", ".", ","}, optional
        How 12.500 is meant.
    outcomes : mapping of str to str, optional
        What words in the column of outcomes mean: ``{"Signed": "won"}``.
    won, lost, stage_order : sequence of str, optional
        Stages of won deals, of lost ones, and the open ones from the first to the last.
    now : Timestamp, optional
        The moment of the import, by default the present: facts recorded later cannot be.

    Returns
    -------
    Imported
        ``crm`` are the tables, ``understood`` what was understood, ``quarantine`` the rows that did not come in as they
        were.

    Raises
    ------
    TableError
        When something is not a table.
    ProfileError, InputFileError
        As `winpredict.ingest.import_files`.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": [1, 2], "outcome": ["Won", "open"], "created_at": [20250101, 20250105],
    ...     "closed_at": ["13/02/2025", None], "amount": ["12.500 €", "€ 9.000"],
    ... })
    >>> imported = import_frames(deals)
    >>> imported.crm.deals[["outcome", "amount", "currency"]].values.tolist()
    [['won', 12500.0, 'EUR'], ['open', 9000.0, 'EUR']]
    >>> imported.crm.deals["closed_at"].dt.strftime("%d %B").tolist()
    ['13 February', nan]
    """
    chosen = load_profile(profile) if isinstance(profile, str) else profile
    changes = {
        "time_zone": time_zone,
        "dates": dates,
        "decimal": decimal,
        "won": None if won is None else tuple(won),
        "lost": None if lost is None else tuple(lost),
        "stage_order": None if stage_order is None else tuple(stage_order),
    }
    chosen = with_settings(chosen, {name: value for name, value in changes.items() if value is not None}, outcomes)
    tables = frames if isinstance(frames, Mapping) else {"deals": frames}
    return import_raw([raw_frame(str(name), frame) for name, frame in tables.items()], chosen, now=now)


def crm_from_frames(
    frames: Mapping[str, Any], *, known_until: pd.Timestamp | str | None = None, **options: Any
) -> CRMData:
    """The tables of `import_frames`, for those who do not look at its report: they are warned of what did not come in.

    Parameters
    ----------
    frames : mapping of str to frame or None
        Canonical tables by name.
    known_until : Timestamp or str, optional
        The moment of the export; by default the last moment at which anything was recorded.
    **options
        Of `import_frames`.

    Returns
    -------
    CRMData
    """
    unknown = sorted(set(frames) - set(TABLES))
    if unknown:
        raise TableError(
            text(
                "unknown table(s) {unknown}; the canonical ones are {tables}",
                unknown=", ".join(unknown),
                tables=", ".join(TABLES),
            )
        )
    there = {name: frame for name, frame in frames.items() if frame is not None}
    seen = there.pop("attribute_history", None)
    imported = import_frames(there, **options)
    lost_rows = {cause: n for cause, n in imported.repairs.items() if not cause.endswith("(merged)")}
    if lost_rows:
        told = imported.understood.told
        causes = "; ".join(said("{n:count} x {cause}", n=n, cause=told[cause]) for cause, n in lost_rows.items())
        warning = said("{causes}. winpredict.import_frames returns these rows", causes=causes)
        warnings.warn(warning, UserWarning, stacklevel=3)
    crm = imported.crm
    if seen is not None:
        with_seen: dict[str, Any] = dict(crm.tables()) | {
            "attribute_history": raw_frame("attribute_history", seen).frame
        }
        crm = CRMData.from_tables(**with_seen, stage_order=crm.stage_order)
    return crm if known_until is None else replace(crm, known_until=utc(known_until))


def with_settings(profile: Profile, changes: Mapping[str, Any], outcomes: Mapping[str, str] | None) -> Profile:
    """A profile with some settings changed, and with words of outcomes.

    Raises
    ------
    ProfileError
        When a setting is not one of the profile's.
    TableError
        When a word stands for something else than won, lost or open.
    """
    values = profile.model_dump() | dict(changes)
    if outcomes:
        strange = {word: meaning for word, meaning in outcomes.items() if meaning not in OUTCOMES}
        if strange:
            raise TableError(
                text(
                    "outcomes: {strange} mean none of {outcomes}; write {{'Signed': 'won'}}",
                    strange=strange,
                    outcomes=", ".join(OUTCOMES),
                )
            )
        for source in values["tables"].get("deals", ()):
            source["values"] = {**source["values"], "outcome": {**outcomes, **source["values"].get("outcome", {})}}
    return Profile.checked(values)


def raw_frame(name: str, frame: Any) -> RawFile:
    """A table in memory as a raw one.

    Raises
    ------
    TableError
        When it is not a table, or has two columns of one name.
    """
    table = _in_pandas(name, frame)
    names = [str(column) for column in table.columns]
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise TableError(
            text(
                "{name} has the column(s) {repeated} more than once; rename all but one",
                name=name,
                repeated=", ".join(repeated),
            )
        )
    rows = pd.RangeIndex(len(table), name="row")
    cleaned, repairs = cleaned_frame(table.set_axis(names, axis=1).set_axis(rows))
    return RawFile(
        name,
        f"frame:{name}",
        "",
        cleaned,
        ledger={"records": len(cleaned)},
        units="records",
        repairs=pd.DataFrame(repairs, columns=["row", "column", "cause"]),
    )


def _in_pandas(name: str, frame: Any) -> pd.DataFrame:
    if isinstance(frame, pd.DataFrame):
        return frame
    known: Any = nw.from_native(frame, pass_through=True)
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    if isinstance(known, nw.DataFrame):
        return with_whole_ids(known.to_arrow())
    if hasattr(frame, "__arrow_c_stream__"):
        return with_whole_ids(pa.table(frame))
    tables = "" if name in TABLES else f" (the canonical tables are {', '.join(TABLES)})"
    raise TableError(
        text(
            "{name}{tables} is a {kind}; a frame of pandas, Polars or PyArrow is expected, or anything with "
            "the Arrow stream interface",
            name=name,
            tables=tables,
            kind=type(frame).__name__,
        )
    )
