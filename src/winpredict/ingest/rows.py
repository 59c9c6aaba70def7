"""One raw file into rows of one canonical table, as a profile says."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from winpredict.errors import ProfileError
from winpredict.ingest.files import RawFile
from winpredict.ingest.parsing.columns import ColumnHints, ReadAs
from winpredict.ingest.parsing.date_formats import DateFormat, date_format
from winpredict.ingest.parsing.dates import date_hints, end_of_day, order_evidence, to_times
from winpredict.ingest.parsing.flags import to_flags
from winpredict.ingest.parsing.formats import ColumnFormats, column_formats
from winpredict.ingest.parsing.number_formats import NumberFormat
from winpredict.ingest.parsing.numbers import to_numbers
from winpredict.ingest.parsing.text import as_text, from_typed, is_typed, padded_cells
from winpredict.ingest.profiles import FIRST_OF, HELPERS, Profile, Source
from winpredict.ingest.quarantine import FILE, ROW, UNREAD_OUTCOME, Fate, Quarantine
from winpredict.ingest.vocabulary import classify_outcome, field_scores
from winpredict.ingest.wanted_rows import RawColumns, column_key, matches
from winpredict.locale.text import Text, text, texts
from winpredict.tables.schema import OUTCOME_WORDS, OUTCOMES, TABLES, TIME_DTYPE, Column, text_dtype

#: HubSpot nests what people call the columns under this name.
_NESTED_PREFIX = "properties."
#: Tables whose further columns come in as custom attributes.
WITH_ATTRIBUTES = ("deals", "accounts")
_HELPER_KINDS = {
    "modified_at": Column("time"),
    "owner_before": Column("id"),
    "same_as": Column("id"),
    "state": Column("text"),
    "is_child": Column("flag"),
    "is_series": Column("flag"),
    "exact_at": Column("time"),
    "is_won": Column("flag"),
    "is_closed": Column("flag"),
}
#: Times for which a month without a day means its end: a close happened in it, or is expected in it.
_ENDS_OF_MONTHS = ("closed_at", "expected_close_date")
_END_OF_DAY = pd.Timedelta("1D") - pd.Timedelta("1us")
#: An id as a spreadsheet shows a long number; several ids may have become one.
_DAMAGED_ID = r"^\d([.,]\d+)?E\+\d+$"
#: From this score on, a column has the name of a field.
_SURE = 0.9
_CURRENCY = "currency"
#: A dollar sign that no letters tell the country of.
_BARE_DOLLAR = r"(?:^|[^A-Z])\$"
_UNCLEAR = text(
    "{column} may start with the day or the month; write dates: day_first or dates: month_first into the profile"
)
#: From this share on, ids are told to be damaged.
_MANY = 0.5


class Values(NamedTuple):
    """Values of a canonical column, why some texts did not become one (each cause with its rows), and choices."""

    values: pd.Series
    unread: Mapping[Text, pd.Series]
    currency: pd.Series | None = None
    words: Mapping[str, str] = MappingProxyType({})
    months: int = 0


def canonical_rows(
    frame: pd.DataFrame,
    raw: RawFile,
    table: str,
    source: Source,
    profile: Profile,
    quarantine: Quarantine,
    hints: Mapping[str, ColumnHints] | None = None,
) -> pd.DataFrame:
    """Rows of a canonical table, with columns for their origin.

    Parameters
    ----------
    frame : DataFrame
        What `wanted_rows` gave, or a part of it.
    raw : RawFile
        Where the rows are from.
    table : str
    source : Source
        The place of the profile that maps the file to the table.
    profile : Profile
    quarantine : Quarantine
        Is told what was rejected or taken as missing, and what was a choice.
    hints : mapping of str to ColumnHints, optional
        Of the columns of the whole file, see `column_hints`; by default those of these rows.

    Returns
    -------
    DataFrame

    Raises
    ------
    ProfileError
        When a column that the table must have is not in the file.
    """
    if hints is None:
        hints = column_hints(frame, table, source, profile, raw)
    columns = found_columns(frame, table, source, raw)
    lacking = {name: offered for name, offered in source.columns.items() if name not in columns}
    quarantine.note_columns(table, {name: str(column) for name, column in columns.items()}, lacking)
    path = pd.Categorical.from_codes(np.zeros(len(frame), np.int8), pd.Index([raw.path]))
    origin: dict[str, Any] = {FILE: path, ROW: frame.index.to_numpy()}
    untouched = frame.reset_index(drop=True).assign(**origin)
    formats = _formats(frame, hints, columns, profile)
    reader = _RowReader(untouched, table, source, profile, hints, formats, quarantine, columns)
    values: dict[str, pd.Series] = {name: untouched[name] for name in (FILE, ROW)}
    for name, column in columns.items():
        values |= reader.column(name, column)
        if column not in reader.told:
            reader.tell_choices(name, column)
    for name, value in source.constants.items():
        values[name] = pd.Series(value, index=untouched.index, dtype=text_dtype())
    out = pd.DataFrame(values, index=untouched.index)
    if source.explode and {"activity_id", "deal_id"} <= set(out):
        out["activity_id"] = _once_a_deal(out)
    if source.others and table in WITH_ATTRIBUTES:
        out = pd.concat([out, reader.attributes()], axis=1)
    return out[~reader.rejected].reset_index(drop=True) if reader.rejected.any() else out


def found_columns(frame: pd.DataFrame, table: str, source: Source, raw: RawFile) -> dict[str, Any]:
    """The raw column of each canonical one; several may be offered, the first found counts."""
    found = {}
    columns = RawColumns(frame.columns)
    for name, offered in source.columns.items():
        column = columns.first(offered)
        if column is not None:
            found[name] = column
        elif len(frame) and _must_be_filled(table, name, source) and name not in source.constants:
            raise ProfileError(
                text(
                    "{path} has no column {offered} for {table}.{name}; it has {columns}. Correct the file, or "
                    "the profile",
                    path=raw.path,
                    offered=" or ".join(map(repr, offered)),
                    table=table,
                    name=name,
                    columns=", ".join(map(str, frame.columns[:40])),
                )
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
    for raw in texts.dropna().unique():
        out[raw] = next((value for pattern, value in values.items() if matches(raw, (pattern,))), raw)
    return texts.map(out).astype(text_dtype())


class _RowReader:
    """Reads the columns of one raw table into canonical ones, and keeps account of what does not become a value."""

    def __init__(
        self,
        rows: pd.DataFrame,
        table: str,
        source: Source,
        profile: Profile,
        hints: Mapping[str, ColumnHints],
        formats: ColumnFormats,
        quarantine: Quarantine,
        columns: Mapping[str, str],
    ) -> None:
        self._columns = columns
        self._rows, self._table, self._source, self._profile = rows, table, source, profile
        self._hints, self._formats, self._quarantine = hints, formats, quarantine
        self.rejected = np.zeros(len(rows), dtype=bool)
        self.told: set[str] = set()

    def column(self, name: str, raw_name: str) -> dict[str, pd.Series]:
        """A canonical column, and those that follow from it; rows that cannot stay are noted in `rejected`."""
        cells = self._values(name, raw_name)
        values = cells.values * self._source.scale[name] if name in self._source.scale else cells.values
        unread = self._set_aside(name, raw_name, values, cells.unread)
        if (self._table, name) == ("deals", "outcome"):
            for word, meaning in cells.words.items():
                line = f"values: {{outcome: {{{word}: {meaning}}}}}"
                choice = text(
                    '"{word}" in {column} is read as {outcome}',
                    word=word,
                    column=raw_name,
                    outcome=OUTCOME_WORDS[meaning],
                )
                self._quarantine.confirm(choice, line)
            return {name: values} | ({UNREAD_OUTCOME: unread} if unread.any() else {})
        if cells.months and raw_name not in self.told:
            as_days = (
                texts(
                    "{column}: {n:count} value names a month, and is read as its last day",
                    "{column}: {n:count} values name a month, and are read as its last day",
                    column=raw_name,
                )
                if name in _ENDS_OF_MONTHS
                else texts(
                    "{column}: {n:count} value names a month, and is read as its first day",
                    "{column}: {n:count} values name a month, and are read as its first day",
                    column=raw_name,
                )
            )
            self._quarantine.remark(as_days, cells.months)
        if (self._table, name) == ("deals", "amount") and cells.currency is not None and cells.currency.notna().any():
            if _CURRENCY in self._columns or _CURRENCY in self._source.constants:
                return {name: values}
            self._tell_dollars(raw_name, cells.currency)
            return {name: values, _CURRENCY: cells.currency}
        return {name: values}

    def _set_aside(self, name: str, raw_name: str, values: pd.Series, causes: Mapping[Text, pd.Series]) -> pd.Series:
        """Note the rows of which a value could not be read, or is missing and must not be."""
        must = _must_be_filled(self._table, name, self._source)
        unread = np.zeros(len(values), dtype=bool)
        for cause, rows in causes.items():
            told = rows.to_numpy() & ~self.rejected if must else rows.to_numpy()
            if told.any():
                cause = cause.with_values(column=raw_name)
                fate: Fate = "rejected" if must else "repaired"
                if not must:
                    cause = text("{cause}, taken as missing", cause=cause)
                self._quarantine.add(self._table, self._rows[told], cause, fate)
            unread |= rows.to_numpy()
        if must:
            empty = values.isna().to_numpy() & ~unread & ~self.rejected
            if empty.any():
                missing = text("{column} is missing", column=raw_name)
                self._quarantine.add(self._table, self._rows[empty], missing, "rejected")
            self.rejected |= unread | values.isna().to_numpy()
        return pd.Series(unread, index=values.index)

    def _values(self, name: str, raw_name: str) -> Values:
        """Values of the column's kind, missing where a text could not be read."""
        column, cells = _column(self._table, name), self._rows[raw_name]
        if is_typed(cells, column.kind) and name not in self._source.values:
            values, unread = from_typed(cells, self._profile.time_zone)
            if name == "closed_at" and _are_days(cells):
                values = (values + _END_OF_DAY).astype(TIME_DTYPE)
            is_none = text("{column} is not a time") if column.kind == "time" else text("{column} is not a number")
            return Values(values, {is_none: unread})
        cells = _mapped(self._texts(raw_name), self._source.values.get(name))
        if column.kind == "time":
            return self._times(cells, name, raw_name)
        if column.kind == "number":
            numbers = to_numbers(cells, self._formats.numbers.get(raw_name))
            return Values(numbers.values, {text("{column} is not a number"): numbers.unread}, numbers.currency)
        if column.kind == "flag":
            flags, unread = to_flags(cells)
            return Values(flags, {text("{column} is not yes or no"): unread})
        if column.allowed:
            return _known_words(cells, column.allowed, outcomes=(self._table, name) == ("deals", "outcome"))
        return Values(cells, {})

    def _texts(self, raw_name: str) -> pd.Series:
        fractions = self._hints[raw_name].fractions if raw_name in self._hints else None
        return as_text(self._rows[raw_name], self._profile.missing, fractions=fractions)

    def _times(self, texts: pd.Series, name: str, raw_name: str) -> Values:
        form = self._formats.dates.get(raw_name) or date_format(date_hints(texts), declared=self._profile.dates)
        times = to_times(texts, self._profile.time_zone, form, month_end=name in _ENDS_OF_MONTHS)
        causes = {_UNCLEAR: times.unclear, text("{column} is not a date"): times.unread & ~times.unclear}
        values = end_of_day(times) if name == "closed_at" else times.values
        return Values(values, causes, months=int(times.month_only.sum()))

    def attributes(self) -> pd.DataFrame:
        """The custom attributes as numbers or times where the whole column reads as such, else as text."""
        others = {}
        for raw_name, name in attribute_names(self._rows, self._columns, self._source).items():
            texts, kind = self._texts(raw_name), self._formats.attributes.get(raw_name, "text")
            if kind == "number" and self._hints[raw_name].filled:
                others[name] = to_numbers(texts, self._formats.numbers[raw_name]).values
            elif kind == "time" and self._hints[raw_name].filled:
                form = self._formats.dates[raw_name]
                others[name] = to_times(texts, self._profile.time_zone, form).values
            else:
                others[name] = texts
        return pd.DataFrame(others, index=self._rows.index)

    def tell_choices(self, name: str, raw_name: str) -> None:
        """Tell what was a choice in how a column was read."""
        self.told.add(raw_name)
        lines = {"number": 'decimal: "." or decimal: ","', "time": "dates: day_first or dates: month_first"}
        kind = _column(self._table, name).kind
        by_kind: dict[str, Mapping[str, NumberFormat | DateFormat]] = {
            "number": self._formats.numbers,
            "time": self._formats.dates,
        }
        form = by_kind.get(kind, {}).get(raw_name)
        if form is not None and form.reason:
            # commas that group thousands are what a decimal dot, the usual sign of programs, leaves room for
            if form.certain or (isinstance(form, NumberFormat) and form.decimal == "."):
                self._quarantine.remark(text("{column}: {reason}", column=raw_name, reason=form.reason))
            else:
                choice = text("{column}: {reason}", column=raw_name, reason=form.reason)
                self._quarantine.confirm(choice, lines[kind])
        if kind == "id" and (padded := padded_cells(self._rows[raw_name])):
            blanks = texts(
                "{column}: {n:count} id has blanks around it, which do not count",
                "{column}: {n:count} ids have blanks around them, which do not count",
                column=raw_name,
            )
            self._quarantine.remark(blanks, padded)
        if name == "deal_id" and self._rows[raw_name].dtype.kind not in "iuf":
            self._tell_damaged_ids(raw_name)

    def _tell_damaged_ids(self, raw_name: str) -> None:
        ids = self._rows[raw_name].astype(text_dtype())
        damaged = int(ids.str.fullmatch(_DAMAGED_ID).fillna(False).sum())
        if damaged > _MANY * len(ids):
            self._quarantine.confirm(
                texts(
                    "{column}: {n:count} id looks like 1.24456E+11, as spreadsheets write long numbers; different "
                    "deals may have one id. Export them as text",
                    "{column}: {n:count} ids look like 1.24456E+11, as spreadsheets write long numbers; different "
                    "deals may have one id. Export them as text",
                    column=raw_name,
                ),
                f"tables.{self._table}.columns.deal_id",
                damaged,
            )

    def _tell_dollars(self, raw_name: str, codes: pd.Series) -> None:
        """Tell where a bare dollar sign was taken for that of the United States."""
        texts = self._rows[raw_name].astype(text_dtype())
        if (codes.eq("USD").fillna(False) & texts.str.contains(_BARE_DOLLAR, regex=True).fillna(False)).any():
            self._quarantine.confirm(
                text('amounts with "$" in {column} are taken for US dollars', column=raw_name),
                "constants: {currency: USD}",
            )


def _known_words(cells: pd.Series, allowed: tuple[str, ...], *, outcomes: bool) -> Values:
    """Texts that are one of a few words; of outcomes also what people write for them."""
    lower = cells.str.lower()
    words = outcome_words(cells) if outcomes else {}
    if words:
        lower = lower.where(lower.isin(allowed), cells.map(words).astype(text_dtype()))
    known = lower.isin(allowed)
    is_none = text("{column} is not one of {words}", words=", ".join(allowed))
    return Values(lower.where(known), {is_none: cells.notna() & ~known}, words=words)


def outcome_words(texts: pd.Series) -> dict[str, str]:
    """What words in a column of outcomes mean that the profile says nothing of.

    Examples
    --------
    >>> outcome_words(pd.Series(["won", "Signed", "Perdu", "maybe"]))
    {'Signed': 'won', 'Perdu': 'lost'}
    """
    words = (str(text) for text in texts.dropna().unique() if str(text).lower() not in OUTCOMES)
    return {word: meaning for word in words if (meaning := classify_outcome(word)) is not None}


def _are_days(cells: pd.Series) -> bool:
    """Whether typed times are days: none of them has a time of day or a zone."""
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return False
    filled = cells.dropna()
    return len(filled) > 0 and bool((filled == filled.dt.normalize()).all())


def _once_a_deal(touches: pd.DataFrame) -> pd.Series:
    """Ids of touches of which one may belong to several deals."""
    shared = touches.duplicated("activity_id", keep=False) & ~touches.duplicated(["activity_id", "deal_id"], keep=False)
    return touches["activity_id"].mask(shared, touches["activity_id"] + "@" + touches["deal_id"])


def attribute_columns(frame: pd.DataFrame, found: Mapping[str, str], source: Source) -> list[str]:
    """The raw columns that come in as custom attributes."""
    named = (each for names in source.columns.values() for each in names)
    parts = (part for each in named for part in (each, *each.split(FIRST_OF), *each.split(" + ")))
    taken = {column_key(each) for each in (*found.values(), *parts, *source.where, FILE, ROW)}
    return [name for name in frame.columns if column_key(name) not in taken and not matches(str(name), source.never)]


def date_columns(frame: pd.DataFrame, source: Source, hints: Mapping[str, ColumnHints]) -> list[str]:
    """The custom attributes that look like dates, by their values or by their names."""
    names = attribute_columns(frame, {}, source)
    formats = column_formats(hints, {}, headers=map(str, frame.columns))
    by_values = {name for name in names if name in hints and formats.attributes.get(name) == "time"}
    by_names = {
        name
        for name in names
        if name in hints and hints[name].filled and field_scores(str(name)).get("created_at", 0.0) >= _SURE
    }
    return [str(name) for name in names if name in by_values | by_names]


def attribute_names(frame: pd.DataFrame, found: Mapping[str, str], source: Source) -> dict[str, str]:
    """The raw columns that come in as custom attributes, with the names that these get."""
    names = {name: str(name).removeprefix(_NESTED_PREFIX) for name in attribute_columns(frame, found, source)}
    taken = {FILE, ROW, *found, *source.constants, *HELPERS["deals"]}
    return {raw: f"{name}_as_exported" if name in taken else name for raw, name in names.items()}


def column_hints(
    frame: pd.DataFrame, table: str, source: Source, profile: Profile, raw: RawFile
) -> dict[str, ColumnHints]:
    """What part of a file tells about how its columns are to be read."""
    columns = found_columns(frame, table, source, raw)
    kinds: dict[str, ReadAs] = {}
    for name, column in columns.items():
        kind = _column(table, name).kind
        if kind in ("time", "number") or (name not in source.values and column not in kinds):
            kinds[column] = kind
    if source.others and table in WITH_ATTRIBUTES:
        kinds |= dict.fromkeys(attribute_columns(frame, columns, source), "attribute")
    hints = {name: ColumnHints.of(frame[name], profile.missing, kind) for name, kind in kinds.items()}
    if "stage" in columns:
        texts = _mapped(as_text(frame[columns["stage"]], profile.missing), source.values.get("stage"))
        stages = ColumnHints.of(texts, profile.missing, "stage")
        hints[columns["stage"]] = replace(stages, fractions=hints.get(columns["stage"], stages).fractions)
    return _with_order_evidence(hints, frame, columns, profile)


def _with_order_evidence(
    hints: dict[str, ColumnHints], frame: pd.DataFrame, columns: Mapping[str, str], profile: Profile
) -> dict[str, ColumnHints]:
    """Hints with what pairs of creation and close tell about the order of day and month, where cells leave it open."""
    names = [columns[name] for name in ("created_at", "closed_at") if name in columns]
    if len(set(names)) != len(("created_at", "closed_at")):
        return hints
    if not any((of_column := hints[name].dates) is not None and of_column.unclear for name in names if name in hints):
        return hints
    created, closed = (as_text(frame[name], profile.missing) for name in names)
    order = order_evidence(created, closed, now=pd.Timestamp.now("UTC"))
    return hints | {names[0]: replace(hints[names[0]], order=order)}


def _formats(
    frame: pd.DataFrame, hints: Mapping[str, ColumnHints], columns: Mapping[str, str], profile: Profile
) -> ColumnFormats:
    roles: dict[str, list[str]] = {}
    for name, column in columns.items():
        roles.setdefault(column, []).append(name)
    return column_formats(hints, roles, headers=map(str, frame.columns), dates=profile.dates, decimal=profile.decimal)


def deal_ids(frame: pd.DataFrame, table: str, source: Source, profile: Profile, raw: RawFile) -> pd.Series | None:
    """The deal of each raw row as `canonical_rows` will read it; None where a file has none."""
    column = found_columns(frame, table, source, raw).get("deal_id")
    if column is None:
        return None
    return _mapped(as_text(frame[column], profile.missing), source.values.get("deal_id"))
