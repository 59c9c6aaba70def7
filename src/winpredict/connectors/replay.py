"""From the raw records of a live CRM to canonical tables, as from its export; and what each sync saw of attributes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.connectors.store import RawStore
from winpredict.errors import CRMError
from winpredict.ingest.files import RawFile
from winpredict.ingest.importing import Imported, import_raw, wanted_sources
from winpredict.ingest.outcomes import with_outcomes
from winpredict.ingest.profiles import Profile, Source
from winpredict.ingest.quarantine import ROW, Quarantine
from winpredict.ingest.rows import attribute_names, canonical_rows, column_hints, found_columns
from winpredict.ingest.wanted_rows import wanted_rows
from winpredict.locale.text import text
from winpredict.tables.crm import OF_OBSERVATIONS, CRMData
from winpredict.tables.schema import TABLES, text_dtype

_DEALS = "deals"
_LOOK = ["deal_id", "observed_at"]


def replayed(store: RawStore, profile: Profile, *, further: Iterable[RawFile] = ()) -> Imported:
    """Canonical tables out of the latest version of every raw record, as from an export of that moment.

    Parameters
    ----------
    store : RawStore
    profile : Profile
        Its files are named as the raw objects are.
    further : iterable of RawFile
        Other tables to be imported with them, such as a telephone system's calls.

    Returns
    -------
    Imported
        The tables are known until the moment of the last reading, and hold nothing of earlier imports.

    Raises
    ------
    CRMError
        When nothing was read, or there are no deals.
    ProfileError
        When the records lack what the profile names.
    """
    until = store.known_until
    if until is None:
        raise CRMError(
            text("{folder} holds no records; run `winpredict sync {crm}` first", folder=store.folder, crm=store.crm)
        )
    files = [*raw_files(store, profile), *further]
    if not any(table == _DEALS for raw in files for table, _ in wanted_sources(raw, profile, alone=False)):
        raise CRMError(
            text(
                "there are no deals among the records of {crm}: these credentials may see none of them, or the "
                "profile {name} names the object otherwise; there are {objects}",
                crm=store.crm,
                name=profile.name,
                objects=", ".join(store.objects) or text("none"),
            )
        )
    imported = import_raw(files, profile, now=until)
    crm = replace(imported.crm, known_until=until)
    return replace(imported, crm=replace(crm, attribute_history=attribute_history(store, profile, crm)))


def raw_files(store: RawStore, profile: Profile) -> Iterator[RawFile]:
    """The latest version of every record of the objects that a profile wants, a table an object."""
    for name in store.objects:
        raw = RawFile(name, f"raw/{store.crm}/{name}", store.sha256(name), pd.DataFrame())
        if not wanted_sources(raw, profile, alone=False):
            continue
        texts = store.latest(name, ["record"])["record"]
        if len(texts):
            yield replace(raw, frame=_frame([json.loads(text, parse_int=str) for text in texts]))


def attribute_history(store: RawStore, profile: Profile, crm: CRMData) -> pd.DataFrame | None:
    """What syncs saw of the attributes of deals: a row where a deal was first seen, and wherever anything changed.

    Every row tells all attributes. Those that were not asked for then stand in ``unread``.

    Parameters
    ----------
    store : RawStore
    profile : Profile
    crm : CRMData
        The tables of the latest versions; values are of the same kinds as there.

    Returns
    -------
    DataFrame or None
        See ``attribute_history`` in `winpredict.tables.schema.TABLES`; None where there is nothing to tell.
    """
    known = [*crm.attributes, *TABLES["attribute_history"].columns]
    names = [name for name in crm.deals.columns if name in known and name not in OF_OBSERVATIONS]
    parts = []
    for raw in (RawFile(name, f"raw/{store.crm}/{name}", "", pd.DataFrame()) for name in store.objects):
        for table, source in wanted_sources(raw, profile, alone=False):
            if table == _DEALS:
                parts.append(_observed(store, raw, source, profile))
    if not parts or not names:
        return None
    seen = pd.concat(parts, ignore_index=True).reindex(columns=[*_LOOK, "outcome", "unread", *names])
    seen = seen[seen["deal_id"].isin(crm.deals["deal_id"])]
    seen = seen.drop_duplicates(_LOOK, keep="last").sort_values(_LOOK, kind="stable", ignore_index=True)
    typed = CRMData.from_tables(crm.deals, attribute_history=seen).attribute_history
    assert typed is not None
    return typed[_changed(typed)].reset_index(drop=True)


def _observed(store: RawStore, raw: RawFile, source: Source, profile: Profile) -> pd.DataFrame:
    """Rows of deals as every version of them tells, each with the moment at which it was read."""
    versions = store.versions(raw.name)
    last = ~versions.duplicated("record_id", keep="last")
    versions, is_latest = versions[~versions["deleted"]].reset_index(drop=True), last[~versions["deleted"]].to_numpy()
    records = [json.loads(text, parse_int=str) for text in versions["record"]]
    frame = _frame(records).set_axis(versions.index)
    # values are read as in the latest versions, of which deals are made
    latest = wanted_rows(replace(raw, frame=frame[is_latest]), _DEALS, source, profile)
    hints = column_hints(latest, _DEALS, source, profile, raw)
    wanted = wanted_rows(replace(raw, frame=frame), _DEALS, source, profile)
    rows = canonical_rows(wanted, raw, _DEALS, source, profile, Quarantine(), hints)
    rows = with_outcomes(rows, profile, None, Quarantine())
    found = found_columns(frame, _DEALS, source, raw)
    canonical = {
        column: name
        for name, column in found.items()
        if name in TABLES["attribute_history"].columns and name not in OF_OBSERVATIONS
    }
    attributes = attribute_names(frame, found, source) if source.others else {}
    number = rows[ROW].to_numpy(np.int64)
    return rows.assign(
        observed_at=versions["read_at"].to_numpy()[number],
        unread=_unread(records, attributes | canonical).to_numpy()[number],
    ).astype({"observed_at": versions["read_at"].dtype})


def _changed(seen: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows, sorted by deal and moment, tell anything that the row before them of the same deal does not."""
    same = np.ones(len(seen), dtype=bool)
    for name in seen.columns.difference(["observed_at"]):
        values, before = seen[name], seen[name].shift()
        same &= ((values == before) | (values.isna() & before.isna())).to_numpy(dtype=bool)
    return ~same


def _frame(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Records as a table of texts and lists, its columns in one order whatever the records'."""
    frame = pd.json_normalize(list(records))
    flags = [name for name in frame if frame[name].dtype == bool]
    frame = frame.astype(dict.fromkeys(flags, object))[sorted(frame.columns)]
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="row"))


def _unread(records: Sequence[dict[str, Any]], names: dict[str, str]) -> pd.Series:
    """The attributes that each record does not even tell to be empty, one a line; missing where it tells all.

    `names` gives the attribute of each raw column, such as ``properties.region``.
    """
    told: dict[str, list[frozenset[str] | None]] = {}
    shapes: dict[tuple[str, ...], frozenset[str]] = {}
    for parent in {column.rpartition(".")[0] for column in names}:
        inner = [_inside(record, parent) for record in records]
        told[parent] = [None if each is None else shapes.setdefault(tuple(each), frozenset(each)) for each in inner]
    found: dict[tuple[frozenset[str] | None, ...], str | None] = {}
    parents = list(told)
    out = []
    for keys in zip(*told.values(), strict=True):
        if keys not in found:
            lacking = [
                name
                for column, name in names.items()
                if (there := keys[parents.index(column.rpartition(".")[0])]) is not None
                and column.rpartition(".")[2] not in there
            ]
            found[keys] = "\n".join(sorted(lacking)) or None
        out.append(found[keys])
    return pd.Series(out if told else [None] * len(records), dtype=text_dtype())


def _inside(record: dict[str, Any], path: str) -> dict[str, Any] | None:
    """What a record holds under a path; None where that is told to be empty, or to be no mapping."""
    inner: Any = record
    for name in path.split(".") if path else ():
        if isinstance(inner, dict):
            inner = inner.get(name, {})
    return inner if isinstance(inner, dict) else None
