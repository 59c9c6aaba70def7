"""Past: what a CRM knew of each deal at each snapshot. The only thing a feature builder gets to see."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._common.times import days
from winpredict.features.asof import AsOfTable, AsOfView
from winpredict.tables.crm import VERSIONED, CRMData

T = TypeVar("T")
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
        Columns deal_id and as_of (UTC).
    attributes : collection of str
        The static attributes that may be used: those that the leakage audit kept.

    Notes
    -----
    A versioned column (stage, amount, expected close date, owner) is read from ``deal_history`` before as_of. Without
    a history of it, stage and expected close date are missing, the amount counts as a static attribute, and the owner
    is today's.
    """

    def __init__(self, crm: CRMData, snapshots: pd.DataFrame, attributes: Collection[str] = ()) -> None:
        self.crm = crm
        self.snapshots = snapshots
        self.attributes = tuple(attributes)
        deal_ids = pd.Index(crm.deals["deal_id"])
        self._row = deal_ids.get_indexer(pd.Index(snapshots["deal_id"]))
        self._tables: dict[str, AsOfTable] = {}
        self._cache: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.snapshots)

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
        if column in self.crm.deals and (column == "owner_id" or column in self.attributes):
            return self._of_deal(column)
        return pd.Series(np.nan, index=range(len(self)), dtype=self.crm.deals.get(column, pd.Series(dtype=float)).dtype)

    def records_changes_of(self, column: str) -> bool:
        """Whether deal_history holds the values of a versioned column."""
        return self.crm.deal_history is not None and column in self.crm.deal_history

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
        return self._once(f"closings {key}", lambda: self._closings(key).at(values, self.as_of))

    def closings_of_all(self) -> AsOfView:
        """All deals closed before as_of; see `closings`."""
        return self.closings("all", pd.Series("all", index=range(len(self))))

    def creations(self, key: str, values: pd.Series) -> AsOfView:
        """Deals created before as_of that share each snapshot's value of a column; see `closings`."""
        return self._once(f"creations {key}", lambda: self._creations(key).at(values, self.as_of))

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
        return AsOfTable(frame, "key", "closed_at")

    def _creations(self, key: str) -> AsOfTable:
        deals = self.crm.deals
        frame = pd.DataFrame(
            {"key": self._grouping(key), "created_at": deals["created_at"], "deal_id": deals["deal_id"]}
        )
        if key == "owner_id" and self.records_changes_of(key):
            frame = self._first_owners(frame)
        return AsOfTable(frame[frame["created_at"].notna()], "key", "created_at")

    def _first_owners(self, creations: pd.DataFrame) -> pd.DataFrame:
        """Creations under the owner first recorded, known from when it was."""
        history = self.table("deal_history")
        named = history.column("owner_id").notna()
        first = pd.DataFrame({name: history.column(name)[named] for name in ("deal_id", "owner_id", "changed_at")})
        first = first.drop_duplicates("deal_id").set_index("deal_id")
        recorded = creations["deal_id"].map(first["changed_at"])
        known = recorded.where(recorded > creations["created_at"], creations["created_at"])
        return creations.assign(key=creations["deal_id"].map(first["owner_id"]), created_at=known)

    def _at_close(self, column: str) -> pd.Series:
        """A versioned column just before each deal's close (a CRM may overwrite it then), by row of deals."""
        deals = self.crm.deals
        if self.records_changes_of(column):
            seen = self.table("deal_history").at(deals["deal_id"], deals["closed_at"].fillna(self.crm.known_until))
            return seen.last(column).set_axis(deals.index)
        if column == "owner_id" or column in self.attributes:
            return deals[column]
        return pd.Series(np.nan, index=deals.index)

    def _grouping(self, key: str) -> pd.Series:
        deals = self.crm.deals
        if key == "all":
            return pd.Series("all", index=deals.index)
        if key in deals:
            return deals[key]
        return self._account_column(key).reindex(deals["account_id"]).set_axis(deals.index)

    def _of_deal(self, column: str) -> pd.Series:
        return self.crm.deals[column].take(self._row).reset_index(drop=True)

    def _of_account(self, name: str) -> pd.Series:
        return self._account_column(name).reindex(self.account_id()).reset_index(drop=True)

    def _account_column(self, name: str) -> pd.Series:
        accounts = self.crm.accounts
        assert accounts is not None, f"{name} was kept by the audit, so there are accounts"
        return accounts.set_index("account_id")[name.removeprefix("account_")]

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = make()
        return cast("T", self._cache[name])
