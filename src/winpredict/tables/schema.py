"""The canonical tables: their columns, kinds and rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from winpredict.errors import TableError
from winpredict.locale.text import Text, text, texts
from winpredict.tables.rows import is_ascending

Kind = Literal["id", "text", "time", "number", "flag"]

TIME_DTYPE = pd.DatetimeTZDtype("us", "UTC")
OUTCOMES = ("won", "lost", "open")
#: The same as people read them, of a deal.
OUTCOME_WORDS: Mapping[str, Text] = {"won": text("won"), "lost": text("lost"), "open": text("open")}
#: How many deals are so.
OUTCOME_COUNTS: Mapping[str, Text] = {
    "won": texts("{n:count} won", "{n:count} won"),
    "lost": texts("{n:count} lost", "{n:count} lost"),
    "open": texts("{n:count} open", "{n:count} open"),
}
ACTIVITY_TYPES = ("call", "email", "meeting", "task", "note", "other")
DIRECTIONS = ("inbound", "outbound")
DEAL_TYPES = ("new", "existing")
#: An error names so many values at most.
MAX_NAMED = 5


def text_dtype() -> Any:
    """The string dtype of all text columns: Arrow-backed, missing is NaN (pandas 3's default ``str``)."""
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # pandas 2.2 spells the same dtype in another way
        return pd.StringDtype("pyarrow_numpy")


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    Parameters
    ----------
    kind : {"id", "text", "time", "number", "flag"}
        ``id`` and ``text`` are strings, ``time`` is UTC with microseconds, ``number`` is float64, ``flag`` a nullable
        boolean.
    required : bool
        Whether the column must be there (its values may still be missing unless `filled`).
    filled : bool
        Whether every row must have a value.
    allowed : tuple of str
        The only values a text column may hold; empty for any.
    meaning : str
        One line for people.
    """

    kind: Kind
    required: bool = False
    filled: bool = False
    allowed: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """One canonical table: what a row is, its columns, and the columns that identify a row."""

    row: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]

    @property
    def times(self) -> tuple[str, ...]:
        """Names of the time columns."""
        return tuple(name for name, column in self.columns.items() if column.kind == "time")


def _dtype(kind: Kind) -> Any:
    return {
        "id": text_dtype(),
        "text": text_dtype(),
        "time": TIME_DTYPE,
        "number": "float64",
        "flag": "boolean",
    }[kind]


_ID = Column("id", required=True, filled=True)

TABLES: dict[str, Table] = {
    "deals": Table(
        "a deal",
        {
            "deal_id": _ID,
            "created_at": Column("time", required=True, meaning="when the deal was entered; missing in undated data"),
            "closed_at": Column("time", required=True, meaning="when the outcome became known; missing while open"),
            "outcome": Column("text", required=True, filled=True, allowed=OUTCOMES),
            "stage": Column("text", required=True, meaning="the stage as it is now"),
            "amount": Column("number", meaning="as it is now, in `currency`"),
            "currency": Column("text"),
            "owner_id": Column("id"),
            "account_id": Column("id"),
            "pipeline": Column("text"),
            "deal_type": Column("text", allowed=DEAL_TYPES),
            "lead_source": Column("text"),
            "product": Column("text"),
            "expected_close_date": Column("time", meaning="as it is now; overwritten at the close by most CRMs"),
            "name": Column("text"),
        },
        ("deal_id",),
    ),
    "deal_history": Table(
        "a recorded change of a deal; each value is the one after the change, missing where it did not change",
        {
            "deal_id": _ID,
            "changed_at": Column("time", required=True, filled=True),
            "stage": Column("text"),
            "amount": Column("number"),
            "expected_close_date": Column("time"),
            "owner_id": Column("id"),
        },
        (),
    ),
    "attribute_history": Table(
        "a deal as a sync saw it: its outcome and all of its attributes, written where any of them changed; the custom "
        "attributes are further columns",
        {
            "deal_id": _ID,
            "observed_at": Column("time", required=True, filled=True, meaning="when it was read"),
            "outcome": Column("text", allowed=OUTCOMES, meaning="of the deal when it was read"),
            "unread": Column("text", meaning="attributes not asked for then, one a line; not the same as empty"),
            "pipeline": Column("text"),
            "deal_type": Column("text", allowed=DEAL_TYPES),
            "lead_source": Column("text"),
            "product": Column("text"),
            "currency": Column("text"),
        },
        ("deal_id", "observed_at"),
    ),
    "activities": Table(
        "a touch",
        {
            "activity_id": _ID,
            "deal_id": _ID,
            "occurred_at": Column("time", required=True, filled=True, meaning="when it happens or happened"),
            "recorded_at": Column("time", meaning="when it was entered into the CRM"),
            "activity_type": Column("text", required=True, filled=True, allowed=ACTIVITY_TYPES),
            "direction": Column("text", allowed=DIRECTIONS),
            "user_id": Column("id"),
            "contact_id": Column("id"),
            "duration_s": Column("number", meaning="seconds"),
            "result": Column("text"),
            "call_id": Column("id", meaning="the call in the telephony system; it may be recorded more than once"),
            "subject": Column("text", meaning="its title; the text of an e-mail, a call or a note is not kept"),
        },
        ("activity_id",),
    ),
    "team_members": Table(
        "a person of ours on a deal",
        {
            "deal_id": _ID,
            "user_id": _ID,
            "role": Column("text"),
            "added_at": Column("time", required=True, filled=True),
            "removed_at": Column("time"),
        },
        ("deal_id", "user_id", "added_at"),
    ),
    "contacts": Table(
        "a person of theirs on a deal",
        {
            "deal_id": _ID,
            "contact_id": _ID,
            "role": Column("text"),
            "added_at": Column("time", required=True, filled=True),
        },
        ("deal_id", "contact_id"),
    ),
    "accounts": Table(
        "a customer",
        {
            "account_id": _ID,
            "name": Column("text"),
            "industry": Column("text"),
            "employees": Column("number"),
            "annual_revenue": Column("number"),
            "country": Column("text"),
            "created_at": Column("time"),
        },
        ("account_id",),
    ),
    "line_items": Table(
        "a product on a deal; where a CRM records that one was changed, it is one taken off and another one added",
        {
            "deal_id": _ID,
            "product_id": _ID,
            "quantity": Column("number"),
            "unit_price": Column("number", meaning="price of one piece"),
            "list_price": Column("number", meaning="price of one piece before any discount"),
            "total_price": Column(
                "number", meaning="what the item comes to, after all discounts; by default quantity times unit price"
            ),
            "added_at": Column("time", meaning="an item without it is of unknown date, and no feature reads it"),
            "removed_at": Column("time", meaning="when it was taken off the deal"),
        },
        (),
    ),
    "users": Table(
        "one of ours",
        {
            "user_id": _ID,
            "name": Column("text"),
            "email": Column("text"),
            "manager_id": Column("id"),
            "team": Column("text"),
            "active": Column("flag"),
        },
        ("user_id",),
    ),
    "quotas": Table(
        "a sales target of a user or of a team",
        {
            "user_id": Column("id"),
            "team": Column("text"),
            "period_start": Column("time", required=True, filled=True),
            "period_end": Column("time", required=True, filled=True),
            "amount": Column("number", required=True, filled=True),
        },
        (),
    ),
}


def conform(frame: pd.DataFrame, table: str, *, check: bool = True) -> pd.DataFrame:
    """Give a table its canonical dtypes and check it against its schema.

    Parameters
    ----------
    frame : DataFrame
        Rows of the table, in any dtypes that convert without loss. Further columns become float64, UTC times or text.
    table : str
        A key of `TABLES`.
    check : bool
        False for rows that were checked when they were stored: they are given their dtypes alone.

    Returns
    -------
    DataFrame
        A new frame with a plain 0..n-1 index, canonical columns first.

    Raises
    ------
    TableError
        When a required column is absent, a value does not convert, or a rule of the schema is broken; all breaches
        are named at once, with counts.

    Examples
    --------
    >>> conform(pd.DataFrame({"user_id": [7], "name": ["Ann"]}), "users").dtypes["user_id"]
    <StringDtype(na_value=nan)>
    """
    definition = TABLES[table]
    missing = [name for name, column in definition.columns.items() if column.required and name not in frame]
    if missing:
        raise TableError(
            text(
                "table {table} lacks the column(s) {missing}; it has {columns}",
                table=table,
                missing=", ".join(missing),
                columns=", ".join(map(str, frame.columns)),
            )
        )
    present = [name for name in definition.columns if name in frame]
    custom = [name for name in frame.columns if name not in definition.columns]
    out = frame.loc[:, [*present, *custom]].reset_index(drop=True)
    for name in present:
        out[name] = _convert(out[name], definition.columns[name].kind, f"{table}.{name}")
    for name in custom:
        out[name] = _attribute(out[name])
    breaches = list(_breaches(out, definition)) if check else []
    if breaches:
        raise TableError(text("table {table}: {breaches}", table=table, breaches="; ".join(breaches)))
    return out


def _breaches(frame: pd.DataFrame, definition: Table) -> Iterator[str]:
    """Which rules a table breaks, in words, with the values and their numbers of rows."""
    for name, column in definition.columns.items():
        if name not in frame:
            continue
        values = frame[name]
        missing = int(values.isna().sum()) if column.filled else 0
        if missing:
            yield f"{name} is missing in {_rows(missing)}"
        if column.allowed:
            unknown = values[values.notna() & ~values.isin(column.allowed)]
            if len(unknown):
                yield f"{name} is {_counted(unknown)} (allowed: {', '.join(column.allowed)})"
    key = list(definition.key)
    if key and not is_ascending(frame, key):
        repeated = frame.loc[frame[key].notna().all(axis=1) & frame.duplicated(key, keep=False), key]
        if len(repeated):
            first = ", ".join(str(value) for value in repeated.iloc[0])
            yield f"{_rows(len(repeated))} share their {' and '.join(key)} with another one, such as {first}"


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _counted(values: pd.Series) -> str:
    """The most frequent values, and in how many rows each of them is."""
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    named = [f"{value!r} in {_rows(count)}" for value, count in counts.head(MAX_NAMED).items()]
    rest = len(counts) - len(named)
    return ", ".join([*named, f"{rest:,} other values"] if rest else named)


def _attribute(values: pd.Series) -> pd.Series:
    """A custom column as numbers, times or text."""
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return pd.to_datetime(values, utc=True).astype(TIME_DTYPE)
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return values.astype("float64")
    if isinstance(values.dtype, pd.StringDtype):
        return values.astype(text_dtype())
    return values.astype(object).where(values.notna(), None).map(str, na_action="ignore").astype(text_dtype())


def _convert(values: pd.Series, kind: Kind, where: str) -> pd.Series:
    if values.dtype == _dtype(kind):
        return values
    try:
        if kind == "time":
            return pd.to_datetime(values, utc=True).astype(TIME_DTYPE)
        if kind == "number":
            return values.astype("float64")
        return values.astype(_dtype(kind))
    except (TypeError, ValueError) as error:
        raise TableError(
            text("{where} does not convert to {kind}: {error}", where=where, kind=kind, error=error)
        ) from error
