"""One raw file into rows of one canonical table, as a profile says."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from winpredict.errors import ProfileError
from winpredict.ingest.files import RawFile
from winpredict.ingest.profiles import HELPERS, Profile, Source
from winpredict.ingest.quarantine import FILE, ROW, Done, Quarantine
from winpredict.ingest.values import (
    ColumnSigns,
    as_text,
    end_of_day,
    from_typed,
    is_typed,
    natural,
    to_flags,
    to_numbers,
    to_times,
)
from winpredict.tables.schema import TABLES, Column, text_dtype

#: HubSpot nests what people call the columns under this name.
_NESTED_PREFIX = "properties."
#: Tables whose further columns come in as custom attributes.
WITH_ATTRIBUTES = ("deals", "accounts")
_HELPER_KINDS = {
    "modified_at": Column("time"),
    "owner_before": Column("id"),
    "same_as": Column("id"),
    "is_won": Column("flag"),
    "is_closed": Column("flag"),
}


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text is one of the patterns; case does not count."""
    return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in patterns)


def canonical_rows(
    raw: RawFile,
    table: str,
    source: Source,
    profile: Profile,
    quarantine: Quarantine,
    signs: Mapping[str, ColumnSigns] | None = None,
) -> pd.DataFrame:
    """Rows of a canonical table, with columns for their origin.

    `signs` are those of the columns of the whole file, where `raw` holds a part of its rows.

    Raises
    ------
    ProfileError
        When a column that the table must have is not in the file.
    """
    frame = _exploded(raw.frame, source.explode) if source.explode else raw.frame
    frame = with_made_columns(kept_rows(frame, source, profile), source, profile)
    origin: dict[str, Any] = {FILE: raw.path, ROW: frame.index.to_numpy()}
    untouched = frame.reset_index(drop=True).assign(**origin)
    found = found_columns(frame, table, source, raw)
    out = untouched[[FILE, ROW]].copy()
    for name, raw_column in found.items():
        if is_typed(untouched[raw_column], _column(table, name).kind) and name not in source.values:
            values, unread = from_typed(untouched[raw_column], profile.time_zone)
        else:
            of_column = None if signs is None else signs.get(raw_column)
            texts = _mapped(as_text(untouched[raw_column], profile.missing, signs=of_column), source.values.get(name))
            where = f"{raw.path}, column {raw_column}"
            values, unread = _converted(texts, _column(table, name), profile, where, name, of_column)
        out[name] = values * source.scale[name] if name in source.scale else values
        done: Done = "rejected" if _must_be_filled(table, name, source) else "repaired"
        tail = "" if done == "rejected" else ", taken as missing"
        quarantine.add(table, untouched[unread], f"{raw_column} is no known {_kind(table, name)}{tail}", done)
        if done == "rejected":
            quarantine.add(table, untouched[values.isna() & ~unread], f"{raw_column} is missing", done)
    for name, value in source.constants.items():
        out[name] = pd.Series(value, index=out.index, dtype=text_dtype())
    if source.explode and {"activity_id", "deal_id"} <= set(out):
        out["activity_id"] = _once_a_deal(out)
    if source.others and table in WITH_ATTRIBUTES:
        out = _with_attributes(out, untouched, found, source, profile, signs)
    must = [name for name in out if name in source.columns and _must_be_filled(table, name, source)]
    return out.dropna(subset=must).reset_index(drop=True)


def _exploded(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row for each element of a column of lists; the elements' fields become column.field."""
    if column not in frame:
        return frame.iloc[:0]
    rows = frame[frame[column].map(lambda each: isinstance(each, list | np.ndarray) and len(each) > 0)].explode(column)
    inner = pd.json_normalize(list(rows[column])).add_prefix(f"{column}.")
    inner.index = rows.index
    return pd.concat([rows.drop(columns=column), inner], axis=1)


def with_made_columns(frame: pd.DataFrame, source: Source, profile: Profile) -> pd.DataFrame:
    """The rows with the columns that a profile makes of others."""
    return _with_joined(_with_first_elements(frame, source), source, profile)


def _with_first_elements(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Columns named list.0.field: that field of the first element of a column of lists."""
    firsts = {}
    for name in (each for offered in source.columns.values() for each in offered if ".0." in each):
        column, _, inner = name.partition(".0.")
        if column in frame and name not in frame:
            firsts[name] = frame[column].map(
                lambda each, inner=inner: (
                    each[0].get(inner) if isinstance(each, list | np.ndarray) and len(each) else None
                )
            )
    return frame.assign(**firsts)


def _with_joined(frame: pd.DataFrame, source: Source, profile: Profile) -> pd.DataFrame:
    """Columns named first + last: the texts of several columns with blanks between, those that are missing left out."""
    joined = {}
    for name in (each for offered in source.columns.values() for each in offered if " + " in each):
        there = [part for part in name.split(" + ") if part in frame]
        if there and name not in frame:
            parts = (as_text(frame[part], profile.missing).fillna("") for part in there)
            texts = [" ".join(filter(None, row)) for row in zip(*parts, strict=True)]
            joined[name] = pd.Series(texts, index=frame.index, dtype=text_dtype())
    return frame.assign(**joined)


def kept_rows(frame: pd.DataFrame, source: Source, profile: Profile) -> pd.DataFrame:
    """The raw rows that a profile wants."""
    keep = np.ones(len(frame), dtype=bool)
    for name, patterns in source.where.items():
        if name in frame:
            texts = as_text(frame[name], profile.missing)
            if {each.lower() for each in patterns} <= {"true", "false"}:
                texts = _as_flags(texts)
            verdicts = {text: matches(str(text), patterns) for text in texts.dropna().unique()}
            keep &= texts.map(verdicts).fillna("" in patterns).astype(bool).to_numpy()
    return frame[keep]


def _as_flags(texts: pd.Series) -> pd.Series:
    """Flags in one notation, where exports write 0 and 1; what is none stays as it is."""
    flags = to_flags(texts)[0]
    return texts.mask(flags.eq(True).fillna(False), "true").mask(flags.eq(False).fillna(False), "false")


def found_columns(frame: pd.DataFrame, table: str, source: Source, raw: RawFile) -> dict[str, str]:
    """The raw column of each canonical one; several may be offered, the first found counts."""
    found = {}
    for name, offered in source.columns.items():
        there = next((each for each in offered if each in frame), None)
        if there is not None:
            found[name] = there
        elif len(frame) and _must_be_filled(table, name, source) and name not in source.constants:
            raise ProfileError(
                f"{raw.path} has no column {' or '.join(map(repr, offered))} for {table}.{name}; "
                f"it has {', '.join(map(str, frame.columns[:40]))}. Correct the file, or the profile"
            )
    return found


def _must_be_filled(table: str, name: str, source: Source) -> bool:
    """Whether a row without this value cannot stay.

    Ids of deals and activities are made up where a file has none, outcomes follow from stages, and the stage that a
    deal is in now has not been left.
    """
    if source.left_stages and name == "changed_at":
        return False
    made_up = {("deals", "deal_id"), ("deals", "outcome"), ("activities", "activity_id")}
    return _column(table, name).filled and (table, name) not in made_up


def _column(table: str, name: str) -> Column:
    return TABLES[table].columns.get(name) or _HELPER_KINDS[name]


def _mapped(texts: pd.Series, values: Mapping[str, str] | None) -> pd.Series:
    """Raw values into canonical ones; case does not count, * is for anything, what is not named stays."""
    if not values:
        return texts
    out = {}
    for text in texts.dropna().unique():
        out[text] = next((value for pattern, value in values.items() if matches(text, (pattern,))), text)
    return texts.map(out).astype(text_dtype())


def _converted(
    texts: pd.Series, column: Column, profile: Profile, where: str, name: str, signs: ColumnSigns | None
) -> tuple[pd.Series, pd.Series]:
    """Values of the column's kind, missing where a text could not be read, and which those are."""
    if column.kind == "time":
        times, unread = to_times(texts, profile.time_zone, profile.dates, where, signs)
        return (end_of_day(times, texts) if name == "closed_at" else times), unread
    if column.kind == "number":
        return to_numbers(texts, signs)
    if column.kind == "flag":
        return to_flags(texts)
    if column.allowed:
        lower = texts.str.lower()
        return lower.where(lower.isin(column.allowed)), texts.notna() & ~lower.isin(column.allowed)
    return texts, pd.Series(False, index=texts.index)


def _kind(table: str, name: str) -> str:
    return {"time": "date", "number": "number"}.get(_column(table, name).kind, "value")


def _once_a_deal(touches: pd.DataFrame) -> pd.Series:
    """Ids of touches of which one may belong to several deals."""
    shared = touches.duplicated("activity_id", keep=False) & ~touches.duplicated(["activity_id", "deal_id"], keep=False)
    return touches["activity_id"].mask(shared, touches["activity_id"] + "@" + touches["deal_id"])


def attribute_columns(frame: pd.DataFrame, found: Mapping[str, str], source: Source) -> list[str]:
    """The raw columns that come in as custom attributes."""
    taken = {*found.values(), *(each for names in source.columns.values() for each in names), *source.where, FILE, ROW}
    return [name for name in frame.columns if name not in taken and not matches(str(name), source.never)]


def attribute_names(frame: pd.DataFrame, found: Mapping[str, str], source: Source) -> dict[str, str]:
    """The raw columns that come in as custom attributes, with the names that these get."""
    names = {name: str(name).removeprefix(_NESTED_PREFIX) for name in attribute_columns(frame, found, source)}
    taken = {FILE, ROW, *found, *source.constants, *HELPERS["deals"]}
    return {raw: f"{name}_as_exported" if name in taken else name for raw, name in names.items()}


def raw_signs(
    frame: pd.DataFrame, table: str, source: Source, profile: Profile, raw: RawFile
) -> dict[str, ColumnSigns]:
    """What part of a file tells about how its columns are to be read."""
    found = found_columns(frame, table, source, raw)
    kinds: dict[str, str] = {
        column: _column(table, name).kind for name, column in found.items() if name not in source.values
    }
    if source.others and table in WITH_ATTRIBUTES:
        kinds |= dict.fromkeys(attribute_columns(frame, found, source), "attribute")
    return {name: ColumnSigns.of(frame[name], profile.missing, kind) for name, kind in kinds.items()}


def deal_ids(frame: pd.DataFrame, table: str, source: Source, profile: Profile, raw: RawFile) -> pd.Series | None:
    """The deal of each raw row as `canonical_rows` will read it; None where a file has none."""
    column = found_columns(frame, table, source, raw).get("deal_id")
    if column is None:
        return None
    return _mapped(as_text(frame[column], profile.missing), source.values.get("deal_id"))


def _with_attributes(
    out: pd.DataFrame,
    untouched: pd.DataFrame,
    found: Mapping[str, str],
    source: Source,
    profile: Profile,
    signs: Mapping[str, ColumnSigns] | None,
) -> pd.DataFrame:
    others = {}
    for raw_name, name in attribute_names(untouched, found, source).items():
        of_column = None if signs is None else signs.get(raw_name)
        texts = as_text(untouched[raw_name], profile.missing, signs=of_column)
        others[name] = natural(texts, of_column)
    return pd.concat([out, pd.DataFrame(others, index=out.index)], axis=1)
