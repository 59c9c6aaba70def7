"""A new import on top of an earlier one, by id."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from winpredict.ingest.duplicate_calls import joined_calls
from winpredict.ingest.parsing.text import as_text
from winpredict.ingest.quarantine import Quarantine
from winpredict.locale.text import text
from winpredict.tables.crm import CRMData
from winpredict.tables.rows import is_in, sorted_by
from winpredict.tables.schema import TABLES, conform

#: Tables whose rows carry no id of their own, with the time that dates them: a deal's rows are replaced together by
#: an export that holds them from their beginning, and completed by one that holds only what is new.
_WITHOUT_ID = {"deal_history": "changed_at", "team_members": "added_at", "line_items": "added_at"}
#: Two exports may date the same change a little differently.
_SLACK = pd.Timedelta("1D")


def updated(
    tables: dict[str, pd.DataFrame],
    stage_order: tuple[str, ...],
    earlier: CRMData | None,
    quarantine: Quarantine | None = None,
) -> CRMData:
    """New tables merged into earlier ones; of two rows with one id the one of the later export counts.

    Rows are sorted, so that the same facts give the same tables in whatever order they came. New tables without deals
    add to earlier ones. A quarantine is told where the export is the older one.
    """
    if "deals" not in tables and earlier is not None:
        merged: dict[str, Any] = updated_alone(tables, dict(earlier.tables()))
        return CRMData.from_tables(**merged, stage_order=earlier.stage_order)
    new = _bundle(tables, stage_order)
    if earlier is None:
        return new
    new_first = precedes(new.known_until, earlier.known_until)
    if new_first and quarantine is not None:
        quarantine.remark(
            text(
                "This export knows the CRM until {new:day}, and what is stored until {stored:day}: of deals that both "
                "have, the stored values stay",
                new=f"{new.known_until:%Y-%m-%d}",
                stored=f"{earlier.known_until:%Y-%m-%d}",
            )
        )
    return joined(new, earlier, stage_order, new_first=new_first)


def joined(new: CRMData, earlier: CRMData, stage_order: tuple[str, ...], *, new_first: bool) -> CRMData:
    """Two imports as one; `new_first` tells that the new one is of an older export, whose rows give way."""
    older, newer = (new, earlier) if new_first else (earlier, new)
    merged = {}
    for name in TABLES:
        parts = [frame for frame in (getattr(older, name), getattr(newer, name)) if frame is not None]
        if parts:
            merged[name] = _merged(name, parts)
    return _bundle(merged, stage_order)


def updated_alone(
    tables: Mapping[str, pd.DataFrame], earlier: Mapping[str, pd.DataFrame], *, new_first: bool = False
) -> dict[str, pd.DataFrame]:
    """New tables without deals, merged into earlier ones; see `joined`."""
    older, newer = (tables, earlier) if new_first else (earlier, tables)
    merged = {}
    for name in TABLES:
        parts = [frame for frame in (older.get(name), newer.get(name)) if frame is not None]
        if parts:
            typed = [conform(part, name) for part in parts]
            merged[name] = conform(_sorted(name, _merged(name, typed)), name)
    return merged


def precedes(new: pd.Timestamp | None, earlier: pd.Timestamp | None) -> bool:
    """Whether a new import is of an older export than an earlier one, by the ends of their knowledge."""
    return new is not None and earlier is not None and new < earlier


def _merged(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    if len(parts) == 1:
        return parts[0]
    if name in _WITHOUT_ID:
        older, newer = parts
        parts = [_not_retold(older, newer, _WITHOUT_ID[name]), newer]
    older, newer = _alike(*parts)
    if name == "activities":
        return _merged_touches(older, newer)
    key = list(TABLES[name].key)
    if len(key) == 1:
        return pd.concat([older[~is_in(older[key[0]], newer[key[0]])], newer], ignore_index=True)
    return pd.concat([older, newer], ignore_index=True).drop_duplicates(key or None, keep="last")


def _merged_touches(older: pd.DataFrame, newer: pd.DataFrame) -> pd.DataFrame:
    """Touches by id; calls are joined with their other records, and do not lose again what they took from these."""
    again = is_in(older["activity_id"], newer["activity_id"])
    newer = _completed(newer, older[again & older["activity_type"].eq("call").to_numpy()])
    both = pd.concat([older[~again], newer], ignore_index=True)
    return joined_calls(both, pd.Series(both.index < len(both) - len(newer), index=both.index))[0]


def _completed(newer: pd.DataFrame, older: pd.DataFrame) -> pd.DataFrame:
    """Rows with the values that they lack and had before, by activity_id."""
    if older.empty:
        return newer
    rows = np.flatnonzero(is_in(newer["activity_id"], older["activity_id"]))
    before = older.set_index("activity_id").reindex(newer["activity_id"].iloc[rows])
    values: dict[str, Any] = {}
    for name in map(str, before):
        missing = name not in newer
        now = pd.Series(None, index=newer.index, dtype=before[name].dtype) if missing else newer[name]
        lacking = now.iloc[rows].isna().to_numpy() & before[name].notna().to_numpy()
        if missing or lacking.any():
            values[name] = now.array.copy()
            values[name][rows[lacking]] = before[name].array[lacking]
    return newer.assign(**values)


def _not_retold(older: pd.DataFrame, newer: pd.DataFrame, time: str) -> pd.DataFrame:
    """Rows of deals that the newer export does not tell from their beginning to their end."""
    if time not in older or time not in newer:
        return older[~is_in(older["deal_id"], newer["deal_id"])]
    told, again = (frame.groupby("deal_id")[time].agg(["min", "max"]) for frame in (older, newer))
    again = again.reindex(told.index)
    whole = (again["min"] <= told["min"] + _SLACK) & (again["max"] >= told["max"] - _SLACK)
    return older[~is_in(older["deal_id"], told.index[whole])]


def _alike(older: pd.DataFrame, newer: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Custom attributes that read as numbers in one export and as text in the other, as text in both."""
    for name in older.columns.intersection(newer.columns):
        if older[name].dtype == newer[name].dtype:
            continue
        if older[name].isna().all():
            older = older.assign(**{name: older[name].astype(object).astype(newer[name].dtype)})
        elif newer[name].isna().all():
            newer = newer.assign(**{name: newer[name].astype(object).astype(older[name].dtype)})
        else:
            older = older.assign(**{name: as_text(older[name])})
            newer = newer.assign(**{name: as_text(newer[name])})
    return older, newer


def _bundle(tables: dict[str, pd.DataFrame], stage_order: tuple[str, ...]) -> CRMData:
    canonical: dict[str, Any] = {name: _sorted(name, frame) for name, frame in tables.items()}
    return CRMData.from_tables(stage_order=_seen(stage_order, canonical), **canonical)


def _seen(stage_order: tuple[str, ...], tables: dict[str, Any]) -> tuple[str, ...]:
    """The stages of a profile that this CRM uses: the others would count as skipped by every deal."""
    columns = [frame["stage"] for frame in tables.values() if "stage" in frame]
    used = {stage for column in columns for stage in column.dropna().unique()}
    return tuple(stage for stage in stage_order if stage in used)


def _sorted(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    return sorted_by(frame, [column for column in (TABLES[name].key or TABLES[name].columns) if column in frame])
