"""Past: what a CRM knew of each deal at each snapshot. The only thing a feature builder gets to see."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._common.errors import TableError
from winpredict._common.times import days
from winpredict.features.asof import AsOfTable, AsOfView
from winpredict.tables.crm import VERSIONED, CRMData
from winpredict.tables.schema import TIME_DTYPE, text_dtype

T = TypeVar("T")
#: Columns of deals that link to people and customers; without a history they stand as they are today, like attributes.
LINKS = ("owner_id", "account_id")
_ALL = "\0all"
_CLOCKS = {
    "deal_history": ("changed_at", None),
    "activities": ("occurred_at", "recorded_at"),
    "team_members": ("added_at", None),
    "contacts": ("added_at", None),
    "line_items": ("added_at", None),
}


class Past:
    """What was known at each snapshot.

    Parameters
    ----------
    crm : CRMData
        Everything recorded, also later than the snapshots: it is cut here.
    snapshots : DataFrame
        Columns deal_id and as_of (UTC; without a zone it is taken as UTC).
    attributes : collection of str
        The static attributes that may be used: those that the leakage audit kept.

    Raises
    ------
    TableError
        When a snapshot's deal is not among the deals, or an attribute is none of deals or accounts.

    Notes
    -----
    A versioned column (stage, amount, expected close date, owner) is read from ``deal_history`` before as_of. Without
    a history of it, stage and expected close date are missing, and amount and owner count as static attributes. So does
    the account.
    """

    def __init__(self, crm: CRMData, snapshots: pd.DataFrame, attributes: Collection[str] = ()) -> None:
        self.crm = crm
        self.snapshots = _conformed(snapshots)
        self.attributes = tuple(attributes)
        self._row = pd.Index(crm.deals["deal_id"]).get_indexer(pd.Index(self.snapshots["deal_id"]))
        self._refuse_unknown()
        self._tables: dict[str, AsOfTable] = {}
        self._cache: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.snapshots)

    def _refuse_unknown(self) -> None:
        unknown = self.snapshots.loc[self._row < 0, "deal_id"]
        if len(unknown):
            raise TableError(
                f"{len(unknown)} of {len(self)} snapshots are of deals that are not in the deals table, such as "
                f"{unknown.iloc[0]!r}; ids are text and case-sensitive"
            )
        accounts = () if self.crm.accounts is None else self.crm.accounts.columns
        absent = [
            name
            for name in self.attributes
            if name not in self.crm.deals and name.removeprefix("account_") not in accounts
        ]
        if absent:
            raise TableError(f"there is no attribute {', '.join(absent)} among the columns of deals and accounts")

    @property
    def as_of(self) -> pd.Series:
        """The moments, UTC."""
        return self.snapshots["as_of"].reset_index(drop=True)

    @cached_property
    def days_open(self) -> NDArray[np.float64]:
        """Days from the deal's creation to as_of."""
        return days(self.as_of - self._of_deal("created_at"))

    @property
    def created_at(self) -> pd.Series:
        """When each snapshot's deal was created."""
        return self._of_deal("created_at")

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether a table is there, holds rows and (if asked) a column that is not all missing."""
        frame = getattr(self.crm, table)
        if frame is None or frame.empty:
            return False
        return column is None or (column in frame and bool(frame[column].notna().any()))

    def has_link(self, column: str) -> bool:
        """Whether the owner or the account of deals may be used: by its history, or because the audit kept it."""
        if not self.has("deals", column):
            return False
        return (column == "owner_id" and self.records_changes_of(column)) or column in self.attributes

    def events(self, table: str) -> AsOfView:
        """The rows of a table that belong to each snapshot's deal, as of then."""
        return self._once(f"events {table}", lambda: self.table(table).at(self.snapshots["deal_id"], self.as_of))

    def table(self, table: str) -> AsOfTable:
        """A deal's table as an `AsOfTable`, sorted once and shared by all builders."""
        if table not in self._tables:
            frame = getattr(self.crm, table)
            occurred, recorded = _CLOCKS[table]
            recorded = recorded if recorded in frame else None
            ties: tuple[str, ...] = ()
            if table == "deal_history":
                ties = ("_stage_rank",)
                frame = frame.assign(_stage_rank=self.stage_rank(frame["stage"]) if "stage" in frame else 0.0)
            elif table == "activities" and self.has("activities", "result"):
                ties = ("_result_rank",)
                frame = frame.assign(_result_rank=frame["result"].factorize(sort=True)[0].astype(np.float64))
            self._tables[table] = AsOfTable(frame, "deal_id", occurred, recorded=recorded, tiebreak=ties)
        return self._tables[table]

    @cached_property
    def stage_changes(self) -> AsOfView:
        """The moments at which each snapshot's deal entered a stage (a row that repeats the stage is none)."""
        return self._stage_changes.at(self.snapshots["deal_id"], self.as_of)

    @cached_property
    def _stage_changes(self) -> AsOfTable:
        history = self.table("deal_history")
        stage = history.column("stage")
        entered = (stage.notna() & ~(stage == history.previous("stage"))).to_numpy(dtype=bool)
        columns = {name: history.column(name)[entered] for name in ("deal_id", "changed_at", "stage", "_stage_rank")}
        return AsOfTable(pd.DataFrame(columns), "deal_id", "changed_at", tiebreak=("_stage_rank",))

    @cached_property
    def won_stays(self) -> AsOfTable:
        """Days that won deals spent in each stage; known once the stage was left and the deal was won."""
        changes = self._stage_changes
        deals = self.crm.deals.set_index("deal_id")
        won = deals["closed_at"].where(deals["outcome"] == "won")
        frame = pd.DataFrame(
            {
                "stage": changes.previous("stage"),
                "days": changes.gaps(),
                "left_at": changes.column("changed_at"),
                "won_at": changes.column("deal_id").map(won),
            }
        )
        return AsOfTable(frame.dropna(), "stage", "left_at", recorded="won_at")

    def versioned(self, column: str) -> pd.Series:
        """A versioned column's last value recorded before as_of."""
        if column not in VERSIONED:
            raise ValueError(f"{column} is not a versioned column")
        return self._once(f"versioned {column}", lambda: self._versioned(column))

    def _versioned(self, column: str) -> pd.Series:
        if self.records_changes_of(column):
            return self.events("deal_history").last(column)
        if column in self.crm.deals and column in self.attributes:
            return self._of_deal(column)
        return pd.Series(np.nan, index=range(len(self)), dtype=self.crm.deals.get(column, pd.Series(dtype=float)).dtype)

    def records_changes_of(self, column: str) -> bool:
        """Whether deal_history holds the values of a versioned column."""
        return self.crm.records_changes_of(column)

    def attribute(self, name: str) -> pd.Series:
        """A static attribute that the audit kept: a column of deals, or of accounts as ``account_<column>``.

        Raises
        ------
        KeyError
            When the audit did not keep it.
        """
        if name not in self.attributes:
            raise KeyError(f"attribute {name} was not kept by the leakage audit")
        return self._of_deal(name) if name in self.crm.deals else self._of_account(name)

    def number_of_values(self, name: str) -> int:
        """How many different values an attribute has over all deals."""
        return int(self._grouping(name).nunique())

    def number_of_results(self) -> int:
        """How many different results touches have over all deals."""
        assert self.crm.activities is not None, "asked for where touches have results"
        return int(self.crm.activities["result"].nunique())

    def account_id(self) -> pd.Series:
        """The deal's account (no history: today's)."""
        return self._of_deal("account_id")

    def closings(self, key: str, values: pd.Series) -> AsOfView:
        """Deals closed before as_of that share each snapshot's value of a column.

        Parameters
        ----------
        key : str
            ``owner_id``, ``account_id``, ``all``, or a static attribute: what the closed deals are grouped by.
        values : Series
            The value of each snapshot's deal, as of then.

        Returns
        -------
        AsOfView
            Events with the columns won (0.0 or 1.0), amount, cycle_days and deal_id.
        """
        return self._looked_at(f"closings {key}", lambda: self._closings(key), values)

    def closings_of_all(self) -> AsOfView:
        """All deals closed before as_of; see `closings`."""
        return self.closings(_ALL, pd.Series(_ALL, index=range(len(self))))

    def creations(self, key: str, values: pd.Series) -> AsOfView:
        """Deals created before as_of that share each snapshot's value of a static column; see `closings`."""
        return self._looked_at(f"creations {key}", lambda: self._creations(key), values)

    def ownerships(self, owners: pd.Series) -> AsOfView:
        """Moments at which each owner got a deal (``change`` 1.0) or was rid of it, closed or handed on (-1.0).

        Their sum is the number of open deals that the owner has.
        """
        return self._looked_at("ownerships", self._ownerships, owners)

    def _looked_at(self, name: str, make: Callable[[], AsOfTable], values: pd.Series) -> AsOfView:
        """A table made once, looked at by keys; the last look is kept, as several builders ask the same."""
        table = self._once(name, make)
        looked = self._cache.get(f"view of {name}")
        if looked is None or not looked[0].equals(values):
            looked = self._cache[f"view of {name}"] = (values, table.at(values, self.as_of))
        return cast("AsOfView", looked[1])

    def stage_rank(self, stages: pd.Series) -> NDArray[np.float64]:
        """Place of each stage in the stage order, 0 first; NaN for one that is not in it (closed stages)."""
        ranks = {stage: float(rank) for rank, stage in enumerate(self.crm.stage_order)}
        return np.asarray(stages.map(ranks), dtype=np.float64)

    def _closings(self, key: str) -> AsOfTable:
        deals = self.crm.deals
        closed = deals[deals["closed_at"].notna() & deals["outcome"].isin(("won", "lost"))]
        grouping = self._at_close(key) if key == "owner_id" else self._grouping(key)
        frame = pd.DataFrame(
            {
                "key": grouping.loc[closed.index],
                "closed_at": closed["closed_at"],
                "deal_id": closed["deal_id"],
                "won": (closed["outcome"] == "won").astype(np.float64),
                "cycle_days": days(closed["closed_at"] - closed["created_at"]),
                "amount": self._at_close("amount").reindex(closed.index),
            }
        )
        if key in deals or key == _ALL:
            return AsOfTable(frame, "key", "closed_at")
        frame["known_at"] = self._account_created().reindex(closed.index)
        return AsOfTable(frame, "key", "closed_at", recorded="known_at")

    def _creations(self, key: str) -> AsOfTable:
        deals = self.crm.deals
        frame = pd.DataFrame(
            {"key": self._grouping(key), "created_at": deals["created_at"], "deal_id": deals["deal_id"]}
        )
        return AsOfTable(frame[_lived(deals)], "key", "created_at")

    def _ownerships(self) -> AsOfTable:
        deals = self.crm.deals[_lived(self.crm.deals)].set_index("deal_id")
        held = self._owners_over_time().join(deals[["created_at", "closed_at"]], on="deal_id", how="inner")
        held["since"] = held["since"].where(held["since"] > held["created_at"], held["created_at"])
        held = held[~(held["since"] >= held["closed_at"])]  # what is typed at the close hands nothing on
        held = held.reset_index(drop=True)
        until = held.groupby("deal_id", sort=False)["since"].shift(-1).fillna(held["closed_at"])
        got = pd.DataFrame({"owner": held["owner"], "at": held["since"], "change": 1.0})
        rid = pd.DataFrame({"owner": held["owner"], "at": until, "change": -1.0})
        return AsOfTable(pd.concat([got, rid[rid["at"].notna()]], ignore_index=True), "owner", "at")

    def _owners_over_time(self) -> pd.DataFrame:
        """Each deal's owners with the moment from which they had it, in order; without a history today's owner."""
        if not self.records_changes_of("owner_id"):
            deals = self.crm.deals
            return pd.DataFrame({"deal_id": deals["deal_id"], "owner": deals["owner_id"], "since": deals["created_at"]})
        history = self.table("deal_history")
        owner = history.column("owner_id")
        new = (owner.notna() & ~(owner == history.previous("owner_id"))).to_numpy(dtype=bool)
        columns = {"deal_id": "deal_id", "owner": "owner_id", "since": "changed_at"}
        return pd.DataFrame({name: history.column(source)[new] for name, source in columns.items()})

    def _at_close(self, column: str) -> pd.Series:
        """A versioned column just before each deal's close (a CRM may overwrite it then), by row of deals."""
        deals = self.crm.deals
        if self.records_changes_of(column):
            seen = self.table("deal_history").at(deals["deal_id"], deals["closed_at"].fillna(self.crm.known_until))
            return seen.last(column).set_axis(deals.index)
        if column in deals and column in self.attributes:
            return deals[column]
        return pd.Series(np.nan, index=deals.index)

    def _grouping(self, key: str) -> pd.Series:
        deals = self.crm.deals
        if key == _ALL:
            return pd.Series(_ALL, index=deals.index)
        if key in deals:
            return deals[key]
        return self._account_column(key).reindex(deals["account_id"]).set_axis(deals.index)

    def _of_deal(self, column: str) -> pd.Series:
        return self.crm.deals[column].take(self._row).reset_index(drop=True)

    def _of_account(self, name: str) -> pd.Series:
        values = self._account_column(name).reindex(self.account_id()).reset_index(drop=True)
        created = self._account_created().take(self._row).reset_index(drop=True)
        return values.mask(created >= self.as_of)

    def _account_created(self) -> pd.Series:
        """When each deal's account was entered, by row of deals; missing where that is not recorded."""
        deals, accounts = self.crm.deals, self.crm.accounts
        if accounts is None or "created_at" not in accounts:
            return pd.Series(pd.NaT, index=deals.index, dtype=TIME_DTYPE)
        return accounts.set_index("account_id")["created_at"].reindex(deals["account_id"]).set_axis(deals.index)

    def _account_column(self, name: str) -> pd.Series:
        accounts = self.crm.accounts
        assert accounts is not None, f"{name} was kept by the audit, so there are accounts"
        return accounts.set_index("account_id")[name.removeprefix("account_")]

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = make()
        return cast("T", self._cache[name])


def _conformed(snapshots: pd.DataFrame) -> pd.DataFrame:
    as_of = pd.to_datetime(snapshots["as_of"], utc=True).astype(TIME_DTYPE)
    return snapshots.assign(deal_id=snapshots["deal_id"].astype(text_dtype()), as_of=as_of)


def _lived(deals: pd.DataFrame) -> pd.Series:
    """Deals whose time of being open is known: a closed one without the day of its close would seem open for good."""
    return deals["created_at"].notna() & (deals["closed_at"].notna() | (deals["outcome"] == "open"))
