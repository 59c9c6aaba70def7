"""From deals that were sent to the tables that features are built from, with the columns that the workspace's have."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from fastapi.exceptions import RequestValidationError

from winpredict.app.api.score_request import OF_DEAL, ScoreRequest
from winpredict.errors import WinPredictError
from winpredict.models.trained import TrainedModel
from winpredict.tables.crm import VERSIONED, CRMData, utc
from winpredict.tables.schema import TIME_DTYPE, text_dtype

Row = Mapping[str, Any]
Location = tuple[str | int, ...]
_START = datetime(1970, 1, 1, tzinfo=UTC)
#: After the id of an owner or account whose history the sender may not see: nobody has such an id.
_UNSEEN = "\0unseen"


@dataclass(frozen=True)
class Seen:
    """Whose history a sender may see in the odds of what they send.

    Parameters
    ----------
    owners, accounts : frozenset of str or None
        None for everybody's.
    """

    owners: frozenset[str] | None = None
    accounts: frozenset[str] | None = None


@dataclass(frozen=True)
class Prepared:
    """A deal that was sent, as rows of the canonical tables.

    Parameters
    ----------
    deal : mapping
    account : mapping or None
    rows : mapping of str to sequence of mapping
        Of the tables whose rows belong to deals.
    as_of : datetime or None
        None where the workspace's deals carry no dates.
    """

    deal: Row
    account: Row | None
    rows: Mapping[str, Sequence[Row]]
    as_of: datetime | None

    @property
    def claims(self) -> dict[Hashable, Any]:
        """What another deal of the same batch must not say otherwise; no other may have its id."""
        claimed: dict[Hashable, Any] = {("deal", self.deal["deal_id"]): id(self)}
        if self.account is not None:
            claimed["account", self.account["account_id"]] = self.account
        return claimed


class Layout:
    """What a workspace knows: deals that were sent are checked against it and laid out like it.

    Parameters
    ----------
    model : TrainedModel
    crm : CRMData
    """

    def __init__(self, model: TrainedModel, crm: CRMData) -> None:
        # asked of the tables once: they look through all deals for it
        self.model, self.crm, self.dated = model, crm, crm.dated
        history = crm.deal_history
        self.stages = frozenset(
            str(stage)
            for stages in (crm.stage_order, crm.deals["stage"].dropna(), _column(history, "stage").dropna())
            for stage in pd.unique(pd.Series(list(stages), dtype=object))
        )
        self.recorded = tuple(name for name in VERSIONED if crm.records_changes_of(name))
        self._kinds = {name: _kind(crm.deals[name]) for name in crm.attributes}
        self._accounts = {} if crm.accounts is None else _by_id(crm.accounts, "account_id")

    def prepare(self, request: ScoreRequest, seen: Seen, now: datetime) -> Prepared:
        """A deal as rows.

        Parameters
        ----------
        request : ScoreRequest
        seen : Seen
        now : datetime
            The moment to look at where none was named.

        Raises
        ------
        RequestValidationError
            When something does not fit the workspace; every place is named.
        """
        faults = [*self._faults(request)]
        as_of = self._moment(request, now, faults)
        if faults:
            raise RequestValidationError(faults)
        deal = request.deal.model_dump(exclude={"attributes"})
        history: list[dict[str, Any]] = [dict(row) for row in request.deal_history]
        if deal["owner_id"] is None:
            deal["owner_id"] = _last(history, "owner_id")
        self._at_creation(deal, history)
        for row in (deal, *history):
            row["owner_id"] = _masked(row.get("owner_id"), seen.owners)
        account = self._account(request, seen)
        deal["account_id"] = None if account is None else account["account_id"]
        deal |= {name: self._attribute(name, value) for name, value in request.deal.attributes.items()}
        touches = [{**row, "activity_id": row.get("activity_id") or str(n)} for n, row in enumerate(request.activities)]
        rows = {name: getattr(request, name) for name in OF_DEAL} | {"deal_history": history, "activities": touches}
        return Prepared(deal, account, rows, as_of)

    def _faults(self, request: ScoreRequest) -> Iterable[dict[str, Any]]:
        stages: list[tuple[Location, str | None]] = [(("deal", "stage"), request.deal.stage)]
        stages += [(("deal_history", row, "stage"), each.get("stage")) for row, each in enumerate(request.deal_history)]
        for where, stage in stages:
            if stage is not None and stage not in self.stages:
                yield _fault(where, f"unknown stage; the workspace knows {', '.join(sorted(self.stages))}")
        for name, value in request.deal.attributes.items():
            if name not in self._kinds:
                known = ", ".join(sorted(self._kinds)) or "none"
                yield _fault(("deal", "attributes", name), f"unknown attribute; the workspace's deals have {known}")
            elif value is not None and (wrong := self._wrong_kind(name, value)):
                yield _fault(("deal", "attributes", name), wrong)
        named = [row.get("activity_id") for row in request.activities]
        first = {name: row for row, name in reversed(list(enumerate(named)))}
        for row, activity_id in enumerate(named):
            if activity_id is not None and first[activity_id] < row:
                yield _fault(("activities", row, "activity_id"), "this activity is there twice")

    def _moment(self, request: ScoreRequest, now: datetime, faults: list[dict[str, Any]]) -> datetime | None:
        """The moment to look at; what speaks against it is added to the faults."""
        if not self.dated:
            return None
        as_of = request.as_of or now
        if request.deal.created_at is None:
            faults.append(_fault(("deal", "created_at"), "missing; the workspace's deals carry dates"))
        elif request.deal.created_at >= as_of:
            faults.append(_fault(("deal", "created_at"), f"not before the moment that is looked at, {as_of}"))
        try:
            self.model.refuse_hindsight(utc(pd.Timestamp(as_of)))
        except WinPredictError as error:
            faults.append(_fault(("as_of",), str(error)))
        return as_of

    def _at_creation(self, deal: Row, history: list[dict[str, Any]]) -> None:
        """Note the deal's present values as those it was created with, where no change of them was sent."""
        unchanged = [name for name in self.recorded if all(row.get(name) is None for row in history)]
        values = {name: deal[name] for name in unchanged if deal[name] is not None}
        if not values or deal["created_at"] is None:
            return
        for row in history:
            if row["changed_at"] == deal["created_at"]:
                row.update(values)
                return
        history.append({"changed_at": deal["created_at"], **values})

    def _account(self, request: ScoreRequest, seen: Seen) -> Row | None:
        """The deal's account: as it was sent, else as the workspace has it, if the sender may see it."""
        account_id = request.deal.account_id
        if account_id is None:
            return None
        key = _masked(account_id, seen.accounts)
        known = self._accounts.get(account_id, {}) if key == account_id else {}
        return {**(known if request.account is None else request.account.model_dump()), "account_id": key}

    def _wrong_kind(self, name: str, value: object) -> str:
        kind = self._kinds[name]
        if kind == "number" and isinstance(value, str):
            return "a number is wanted"
        if kind != "number" and not isinstance(value, str):
            return "text is wanted"
        if kind == "time":
            try:
                utc(str(value))
            except WinPredictError as error:
                return str(error)
        return ""

    def _attribute(self, name: str, value: object) -> object:
        if value is None or self._kinds[name] != "time":
            return value
        return utc(str(value)).to_pydatetime()

    def lay_out(self, deals: Sequence[Prepared]) -> tuple[CRMData, pd.DataFrame]:
        """The tables of some deals, and the snapshots to look at."""
        ids = [each.deal["deal_id"] for each in deals]
        cut: dict[str, Any] = {"deals": _frame([each.deal for each in deals], self.crm.deals)}
        for name, template in self.crm.tables():
            if name in ("deals", "users", "quotas", "accounts"):
                continue
            rows = [each.rows.get(name, ()) for each in deals]
            cut[name] = _frame([row for some in rows for row in some], template, owners=_repeated(ids, rows))
        if self.crm.accounts is not None:
            accounts = {each.account["account_id"]: each.account for each in deals if each.account is not None}
            cut["accounts"] = _frame(list(accounts.values()), self.crm.accounts)
        snapshots = {"deal_id": pd.array(ids, dtype=text_dtype()), "as_of": _moments([each.as_of for each in deals])}
        return replace(self.crm, part_of_dated=self.dated, **cut), pd.DataFrame(snapshots)


def _frame(rows: Sequence[Row], template: pd.DataFrame, owners: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows as a table with the columns and dtypes of another; what else they hold plays no part in the odds."""
    columns: dict[str, Any] = {}
    for name in template.columns:
        if name == "deal_id" and owners is not None:
            values: list[Any] = list(owners)
        elif name == "outcome":
            values = ["open"] * len(rows)
        else:
            values = [row.get(name) for row in rows]
        columns[str(name)] = _typed(values, template[name].dtype)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(rows)))


def _typed(values: list[Any], dtype: Any) -> Any:
    if dtype == TIME_DTYPE:
        return _moments(values)
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return pd.array(values, dtype=dtype)


def _moments(values: Sequence[datetime | None]) -> Any:
    """Moments as the tables have them, exact to the microsecond."""
    passed = pa.array([None if value is None else value - _START for value in values], type=pa.duration("us"))
    moments = passed.to_numpy(zero_copy_only=False).view("datetime64[us]")
    return pd.DatetimeIndex(moments).tz_localize("UTC").array


def _masked(name: str | None, seen: frozenset[str] | None) -> str | None:
    return name if name is None or seen is None or name in seen else f"{name}{_UNSEEN}"


def _last(history: Sequence[Row], column: str) -> Any:
    known = [row for row in history if row.get(column) is not None]
    return max(known, key=lambda row: row["changed_at"])[column] if known else None


def _repeated(ids: Sequence[str], rows: Sequence[Sequence[Row]]) -> list[str]:
    return [deal_id for deal_id, some in zip(ids, rows, strict=True) for _ in some]


def _by_id(table: pd.DataFrame, key: str) -> dict[str, Row]:
    """Rows by their id, missing values as None."""
    plain = table.astype(object).where(table.notna(), None)
    return {row[key]: cast("Row", row) for row in plain.to_dict("records")}


def _column(table: pd.DataFrame | None, name: str) -> pd.Series:
    return pd.Series(dtype=object) if table is None or name not in table else table[name]


def _kind(column: pd.Series) -> str:
    if column.dtype == TIME_DTYPE:
        return "time"
    return "number" if column.dtype == np.float64 else "text"


def _fault(place: Location, what: str) -> dict[str, Any]:
    return {"loc": ("body", *place), "msg": what, "type": "value_error"}
