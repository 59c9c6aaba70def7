"""CRMData: the bundle of canonical tables, and the data as one could have exported them on an earlier day."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from winpredict._internal.atomic import replacing_folder
from winpredict._internal.stored_files import StoredFiles
from winpredict.errors import TableError, WinPredictError
from winpredict.locale.text import text
from winpredict.tables.schema import TABLES, TIME_DTYPE, conform

#: Deal columns whose earlier values stand in deal_history.
VERSIONED = ("stage", "amount", "expected_close_date", "owner_id")
#: Of these, the columns that a CRM overwrites at the close: without history their value at an earlier day is unknown.
OVERWRITTEN_AT_CLOSE = ("stage", "expected_close_date")
#: Columns of attribute_history that are no attributes.
OF_OBSERVATIONS = ("deal_id", "observed_at", "outcome", "unread")
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class CRMData:
    """Everything a CRM recorded, as canonical tables (see `winpredict.tables.schema.TABLES`).

    Parameters
    ----------
    deals : DataFrame
        One row a deal. The only table that must be there. Columns beyond the canonical ones are custom attributes.
    deal_history, attribute_history, activities, team_members, contacts, accounts, line_items, users, quotas
        DataFrame, optional.
        The other canonical tables. What needs an absent table is left out, and says so.
    stage_order : tuple of str
        Open stages from the first to the last; empty when unknown.
    known_until : Timestamp, optional
        The moment of the export: what is dated later counts as unknown. By default the latest moment at which anything
        was recorded, plus a microsecond (so that "strictly before" includes it), but not after today: a mistyped year
        does not move it.
    part_of_dated : bool
        Whether these are some deals of data that carry dates, though these few may not.

    Examples
    --------
    >>> deals = pd.DataFrame({
    ...     "deal_id": ["a", "b"], "stage": ["Won", "Demo"], "outcome": ["won", "open"],
    ...     "created_at": pd.to_datetime(["2025-01-01", "2025-02-01"], utc=True),
    ...     "closed_at": pd.to_datetime(["2025-03-01", None], utc=True),
    ... })
    >>> crm = CRMData.from_tables(deals)
    >>> crm.as_known_at("2025-01-15").deals[["deal_id", "outcome"]].values.tolist()
    [['a', 'open']]
    """

    deals: pd.DataFrame
    deal_history: pd.DataFrame | None = None
    attribute_history: pd.DataFrame | None = None
    activities: pd.DataFrame | None = None
    team_members: pd.DataFrame | None = None
    contacts: pd.DataFrame | None = None
    accounts: pd.DataFrame | None = None
    line_items: pd.DataFrame | None = None
    users: pd.DataFrame | None = None
    quotas: pd.DataFrame | None = None
    stage_order: tuple[str, ...] = ()
    known_until: pd.Timestamp | None = None
    part_of_dated: bool = False

    @classmethod
    def from_frames(
        cls,
        deals: Any,
        *,
        stage_order: tuple[str, ...] | list[str] = (),
        known_until: pd.Timestamp | str | None = None,
        time_zone: str | None = None,
        dates: Literal["guess", "day_first", "month_first"] | None = None,
        decimal: Literal["guess", ".", ","] | None = None,
        outcomes: Mapping[str, str] | None = None,
        won: Sequence[str] | None = None,
        lost: Sequence[str] | None = None,
        **tables: Any,
    ) -> "CRMData":
        """Read people's frames by the rules that files are imported by; see `winpredict.import_frames`.

        Parameters
        ----------
        deals : frame
            The deals table, of pandas, Polars, PyArrow or anything with the Arrow stream interface.
        stage_order : sequence of str
            Open stages from the first to the last.
        known_until : Timestamp or str, optional
            The moment of the export, see the class.
        time_zone, dates, decimal, outcomes, won, lost
            How times without a zone, dates such as 06/12/2024, amounts such as 12.500, words in the column of outcomes,
            and stages are meant; see `winpredict.import_frames`.
        **tables : frame
            Other canonical tables by name; None stands for an absent one.

        Returns
        -------
        CRMData

        Raises
        ------
        TableError
            When a table is unknown, or not a table.
        ProfileError, InputFileError
            When deals cannot be labelled or dated.

        Warns
        -----
        UserWarning
            When rows were rejected or values taken as missing; `winpredict.import_frames` returns them.
        """
        # the one import from a higher layer: this is the door by which people come in, and it must not read otherwise
        from winpredict.ingest.frames import crm_from_frames

        return crm_from_frames(
            {"deals": deals} | tables,
            known_until=known_until,
            stage_order=stage_order,
            time_zone=time_zone,
            dates=dates,
            decimal=decimal,
            outcomes=outcomes,
            won=won,
            lost=lost,
        )

    @classmethod
    def from_tables(
        cls,
        deals: pd.DataFrame,
        *,
        stage_order: tuple[str, ...] | list[str] = (),
        known_until: pd.Timestamp | str | None = None,
        **tables: pd.DataFrame | None,
    ) -> "CRMData":
        """Check canonical tables whose values are typed already, and make a bundle of them.

        Parameters
        ----------
        deals : DataFrame
            The deals table.
        stage_order : sequence of str
            Open stages from the first to the last.
        known_until : Timestamp or str, optional
            The moment of the export, see the class.
        **tables : DataFrame
            Other canonical tables by name; None stands for an absent one.

        Returns
        -------
        CRMData

        Raises
        ------
        TableError
            When a table is unknown or breaks its schema.
        """
        unknown = sorted(set(tables) - set(TABLES))
        if unknown:
            raise TableError(
                text(
                    "unknown table(s) {unknown}; the canonical ones are {tables}",
                    unknown=", ".join(unknown),
                    tables=", ".join(TABLES),
                )
            )
        conformed: dict[str, Any] = {name: conform(frame, name) for name, frame in tables.items() if frame is not None}
        if "deal_history" in conformed:
            conformed["deal_history"] = _without_empty(conformed["deal_history"])
        conformed["deals"] = conform(deals, "deals")
        if "attribute_history" in conformed:
            conformed["attribute_history"] = _kinds_of_deals(conformed["attribute_history"], conformed["deals"])
        crm = cls(**conformed, stage_order=tuple(stage_order))
        return replace(crm, known_until=crm._end_of_knowledge() if known_until is None else utc(known_until))

    def _end_of_knowledge(self) -> pd.Timestamp | None:
        last = self.last_recorded()
        return None if last is None else min(last, pd.Timestamp.now("UTC").as_unit("us"))

    def tables(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield (name, frame) of every table that is there."""
        for name in TABLES:
            frame = getattr(self, name)
            if frame is not None:
                yield name, frame

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each table."""
        return {name: len(frame) for name, frame in self.tables()}

    @property
    def dated(self) -> bool:
        """Whether the deals carry creation times; undated deals allow neither snapshots nor a backtest."""
        return self.part_of_dated or bool(self.deals["created_at"].notna().any())

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the custom attributes: columns of deals beyond the canonical ones."""
        return tuple(name for name in self.deals.columns if name not in TABLES["deals"].columns)

    @property
    def observed_attributes(self) -> tuple[str, ...]:
        """Names of the attributes of deals of which attribute_history holds what was seen of them."""
        if self.attribute_history is None:
            return ()
        found = [name for name in self.attribute_history.columns if name not in OF_OBSERVATIONS]
        return tuple(name for name in found if name in self.deals)

    def observations_of(self, attribute: str) -> pd.Series:
        """Which rows of attribute_history tell the value of an attribute, be it empty."""
        assert self.attribute_history is not None, "only what was observed has observations"
        history = self.attribute_history
        if "unread" not in history or history["unread"].isna().all():
            return pd.Series(True, index=history.index)
        unread = {text for text in history["unread"].dropna().unique() if attribute in text.split("\n")}
        return ~history["unread"].isin(unread)

    def records_changes_of(self, column: str) -> bool:
        """Whether deal_history has a column; one without a single value was left out by `from_tables`."""
        return self.deal_history is not None and column in self.deal_history

    def last_recorded(self) -> pd.Timestamp | None:
        """A microsecond after the latest moment at which anything was recorded; None for undated data."""
        moments = [self.deals["created_at"].max(), self.deals["closed_at"].max()]
        for table, name in (
            (self.deal_history, "changed_at"),
            (self.attribute_history, "observed_at"),
            (self.activities, "recorded_at"),
            (self.team_members, "added_at"),
            (self.contacts, "added_at"),
        ):
            if table is not None and name in table:
                moments.append(table[name].max())
        known = [moment for moment in moments if not pd.isna(moment)]
        return max(known) + pd.Timedelta("1us") if known else None

    def as_known_at(self, moment: pd.Timestamp | str) -> "CRMData":
        """The data as one could have exported them at an earlier moment.

        Deals closed at or after `moment` are open again; later deals, changes, touches and people are gone. Stage,
        amount, expected close date and owner take their last value recorded before `moment`, and attributes that were
        observed the last value seen before it, or else the first that was seen. Other attributes have no history and
        keep today's value: the leakage audit judges which of them may be used.

        Parameters
        ----------
        moment : Timestamp or str
            The day (UTC unless it carries a zone). Facts recorded strictly before it remain.

        Returns
        -------
        CRMData

        Raises
        ------
        TableError
            When the deals carry no creation times.
        """
        if len(self.deals) and not self.dated:
            raise TableError(
                text("these deals carry no dates, so they cannot be seen as of an earlier day; see deals.created_at")
            )
        moment = utc(moment)
        recorded = [column for column in VERSIONED if self.records_changes_of(column)]
        cut: dict[str, Any] = {
            "deal_history": _recorded_before(self.deal_history, "changed_at", moment),
            "attribute_history": _recorded_before(self.attribute_history, "observed_at", moment),
            "activities": _activities_before(self.activities, moment),
            "team_members": _reset_later(_recorded_before(self.team_members, "added_at", moment), "removed_at", moment),
            "contacts": _recorded_before(self.contacts, "added_at", moment),
            "accounts": _recorded_before(self.accounts, "created_at", moment),
            "line_items": _reset_later(_recorded_before(self.line_items, "added_at", moment), "removed_at", moment),
        }
        ranks = {stage: rank for rank, stage in enumerate(self.stage_order)}
        deals = self.deals.assign(**{name: self._as_seen(name, moment) for name in self.observed_attributes})
        deals = _deals_as_known_at(deals, cut["deal_history"], recorded, ranks, moment)
        known_until = moment if self.known_until is None else min(moment, self.known_until)
        return replace(self, deals=deals, known_until=known_until, **cut)

    def _as_seen(self, attribute: str, moment: pd.Timestamp) -> pd.Series:
        """What was last seen of an attribute before a moment, else what was seen first; by row of deals."""
        assert self.attribute_history is not None, "only what was observed can be asked for"
        seen = self.attribute_history[self.observations_of(attribute)].sort_values(["deal_id", "observed_at"])
        earlier = seen[seen["observed_at"] < moment].drop_duplicates("deal_id", keep="last")
        first = seen[~seen["deal_id"].isin(earlier["deal_id"])].drop_duplicates("deal_id", keep="first")
        told = pd.concat([earlier, first]).set_index("deal_id")[attribute]
        today = self.deals[attribute]
        values = told.reindex(self.deals["deal_id"]).set_axis(today.index).astype(today.dtype)
        return today.where(~self.deals["deal_id"].isin(told.index), values)

    def of_deals(self, deal_ids: pd.Series) -> "CRMData":
        """The rows of some deals alone; tables whose rows belong to no deal stay whole."""
        kept: dict[str, Any] = {
            name: frame[frame["deal_id"].isin(deal_ids)].reset_index(drop=True)
            for name, frame in self.tables()
            if "deal_id" in frame
        }
        return replace(self, **kept)

    def save(self, folder: Path) -> None:
        """Write one Parquet file a table and ``crm.json``; the folder is replaced whole or left as it was."""
        with replacing_folder(Path(folder)) as temporary:
            for name, frame in self.tables():
                frame.to_parquet(temporary / f"{name}.parquet", index=False)
            write_description(temporary, self.stage_order, self.known_until)

    @classmethod
    def load(cls, folder: Path, files: StoredFiles | None = None) -> "CRMData":
        """Read what `save` wrote.

        Parameters
        ----------
        folder : Path
        files : StoredFiles, optional
            What each file is to hold; it is checked before it is read.

        Raises
        ------
        TableError
            When the folder holds no tables, tables of another schema version, or files that are missing or damaged.
        """
        folder = Path(folder)
        description = read_description(folder, files)
        if files is not None:
            files.check_all()  # one that is missing would otherwise be taken for a table that nobody has
        # what stands here was checked when it was saved
        frames: dict[str, Any] = {
            field.name: conform(read_table(folder, f"{field.name}.parquet"), field.name, check=False)
            for field in fields(cls)
            if field.name in TABLES and (folder / f"{field.name}.parquet").exists()
        }
        until = description["known_until"]
        order = tuple(description["stage_order"])
        return cls(**frames, stage_order=order, known_until=None if until is None else utc(until))


def write_description(folder: Path, stage_order: Sequence[str], known_until: pd.Timestamp | None, **more: Any) -> None:
    """Write what a tables folder says of itself, ``crm.json``."""
    description = {
        "schema_version": SCHEMA_VERSION,
        "stage_order": list(stage_order),
        "known_until": None if known_until is None else known_until.isoformat(),
    }
    (folder / "crm.json").write_text(json.dumps(description | more, indent=2) + "\n")


def read_description(folder: Path, files: StoredFiles | None = None) -> dict[str, Any]:
    """What a tables folder says of itself.

    Raises
    ------
    TableError
        When the folder holds no tables, or tables of another schema version.
    """
    if files is not None:
        files.check("crm.json")
    if not (folder / "crm.json").exists():
        raise TableError(text("{folder} holds no imported tables; run `winpredict import` first", folder=folder))
    try:
        description = json.loads((folder / "crm.json").read_text())
    except ValueError as error:
        raise TableError(
            text("{path} is damaged ({error}); import the data again", path=folder / "crm.json", error=error)
        ) from None
    return checked_description(description, folder)


def read_table(folder: Path, name: str, files: StoredFiles | None = None) -> pd.DataFrame:
    """A table's file, checked before it is read.

    Raises
    ------
    TableError
        When it is missing or damaged.
    """
    if files is not None:
        files.check(name)
    try:
        return pd.read_parquet(folder / name)
    except (OSError, pa.ArrowException) as error:
        raise TableError(
            text("{path} cannot be read ({error}); import the data again", path=folder / name, error=error)
        ) from None


def checked_description(description: dict[str, Any], folder: Path | str) -> dict[str, Any]:
    """What a tables folder says of itself, refused where another schema version wrote it."""
    if description["schema_version"] != SCHEMA_VERSION:
        raise TableError(
            text(
                "{folder} has tables of schema version {schema_version}, this winpredict reads version "
                "{supported}; import the data again",
                folder=folder,
                schema_version=description["schema_version"],
                supported=SCHEMA_VERSION,
            )
        )
    return description


def utc(moment: pd.Timestamp | str) -> pd.Timestamp:
    """A timestamp in UTC with microseconds; one without a zone is taken as UTC.

    Raises
    ------
    WinPredictError
        When it is no moment.

    Examples
    --------
    >>> utc("2025-03-01T12:00+02:00")
    Timestamp('2025-03-01 10:00:00+0000', tz='UTC')
    """
    stamp = pd.to_datetime(moment, errors="coerce")
    if pd.isna(stamp):
        raise WinPredictError(
            text("{moment!r} is not a date; write it as 2025-03-13 or 2025-03-13T12:00", moment=str(moment))
        )
    return (stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")).as_unit("us")


def _kinds_of_deals(history: pd.DataFrame, deals: pd.DataFrame) -> pd.DataFrame:
    """What was seen of attributes, of the kinds that they have in deals; what does not convert is missing."""
    out = history
    for name in history.columns.intersection(deals.columns):
        kind = deals[name].dtype
        if history[name].dtype == kind:
            continue
        if kind == TIME_DTYPE:
            values = pd.to_datetime(history[name], utc=True, errors="coerce")
        elif kind == "float64":
            values = pd.to_numeric(history[name].astype(object), errors="coerce")
        else:
            values = history[name].astype(object).map(_written, na_action="ignore")
        out = out.assign(**{name: values.astype(kind)})
    return out


def _written(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _without_empty(history: pd.DataFrame) -> pd.DataFrame:
    """A history without the columns that it records nothing of."""
    return history.drop(columns=[name for name in VERSIONED if name in history and history[name].isna().all()])


def _recorded_before(frame: pd.DataFrame | None, time: str, moment: pd.Timestamp) -> pd.DataFrame | None:
    """Rows recorded strictly before `moment`; a missing time counts as always known."""
    if frame is None or time not in frame:
        return frame
    return frame[frame[time].isna() | (frame[time] < moment)].reset_index(drop=True)


def _activities_before(activities: pd.DataFrame | None, moment: pd.Timestamp) -> pd.DataFrame | None:
    if activities is None:
        return None
    recorded = activities["occurred_at"]
    if "recorded_at" in activities:
        recorded = activities["recorded_at"].fillna(recorded)
    return activities[recorded < moment].reset_index(drop=True)


def _reset_later(frame: pd.DataFrame | None, time: str, moment: pd.Timestamp) -> pd.DataFrame | None:
    if frame is None or time not in frame:
        return frame
    return frame.assign(**{time: frame[time].where(frame[time] < moment)})


def _deals_as_known_at(
    deals: pd.DataFrame,
    earlier: pd.DataFrame | None,
    recorded: list[str],
    stage_ranks: dict[str, int],
    moment: pd.Timestamp,
) -> pd.DataFrame:
    known = deals[deals["created_at"] < moment].reset_index(drop=True)
    reopened = known["closed_at"].notna() & (known["closed_at"] >= moment)
    out = known.copy()
    out.loc[reopened, "outcome"] = "open"
    out["closed_at"] = known["closed_at"].mask(reopened).astype(TIME_DTYPE)
    for column in VERSIONED:
        if column not in out:
            continue
        if earlier is not None and column in recorded:
            last = _last_recorded(earlier, column, stage_ranks).reindex(out["deal_id"])
            out[column] = last.set_axis(out.index).astype(out[column].dtype)
        elif column in OVERWRITTEN_AT_CLOSE:
            out[column] = out[column].mask(reopened)
    return out


def _last_recorded(history: pd.DataFrame, column: str, stage_ranks: dict[str, int]) -> pd.Series:
    recorded = history[history[column].notna()]
    # the stage breaks ties of the moment as it does for features; the value is the last word whatever the rows' order
    rank = recorded["stage"].map(stage_ranks) if "stage" in recorded else 0.0
    recorded = recorded.assign(_rank=rank)
    recorded = recorded.sort_values(["deal_id", "changed_at", "_rank", column], na_position="last", kind="stable")
    return recorded.groupby("deal_id", sort=False)[column].last()
