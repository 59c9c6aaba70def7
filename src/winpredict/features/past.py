"""Past: what a CRM knew of each deal at each snapshot. The only thing a feature builder gets to see."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict._internal.times import days
from winpredict.errors import TableError
from winpredict.features.asof import AsOfTable, AsOfView, find_places, gathered, microseconds, taken
from winpredict.features.cross_deal_history import ALL, CrossDealFacts, CrossDealHistory, account_places
from winpredict.features.events import DealEvents
from winpredict.features.observed import ObservedAttributes, observed_column
from winpredict.locale.text import text
from winpredict.tables.crm import VERSIONED, CRMData
from winpredict.tables.schema import TIME_DTYPE, text_dtype

T = TypeVar("T")
#: Columns of deals that link to people and customers; without a history they stand as they are today, like attributes.
LINKS = ("owner_id", "account_id")


class Past:
    """What was known at each snapshot.

    Parameters
    ----------
    crm : CRMData
        Everything recorded, also later than the snapshots: it is cut here.
    snapshots : DataFrame
        Columns deal_id and as_of (UTC; without a zone it is taken as UTC).
    attributes : collection of str
        The static attributes that may be used: those that the leakage audit kept; and as ``observed_<column>`` those
        that may be used only as they were observed.
    cross_deal_history : CrossDealHistory, optional
        Cross-deal history of all deals, where `crm` holds only some of them; by default that of `crm`.

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

    def __init__(
        self,
        crm: CRMData,
        snapshots: pd.DataFrame,
        attributes: Collection[str] = (),
        cross_deal_history: CrossDealHistory | None = None,
    ) -> None:
        self.crm = crm
        self.snapshots = _conformed(snapshots)
        self.attributes = tuple(attributes)
        self._row = find_places(crm.deals["deal_id"], self.snapshots["deal_id"])
        self._refuse_unknown()
        self._events = DealEvents(crm)
        self._given_history = cross_deal_history
        self._cache: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.snapshots)

    @property
    def rows(self) -> int:
        """Snapshots and rows of the deals' tables, all together."""
        return len(self) + sum(self.crm.rows.values())

    @cached_property
    def cross_deal_history(self) -> CrossDealHistory:
        """What deals tell of each other."""
        if self._given_history is not None:
            return self._given_history
        return CrossDealHistory(CrossDealFacts.of(self._events, self.attributes))

    def _refuse_unknown(self) -> None:
        if (self._row < 0).any():
            unknown = self.snapshots.loc[self._row < 0, "deal_id"]
            raise TableError(
                text(
                    "{unknown} of {snapshots} snapshots are of deals that are not in the deals table, such as "
                    "{deal!r}; ids are text and case-sensitive",
                    unknown=len(unknown),
                    snapshots=len(self),
                    deal=unknown.iloc[0],
                )
            )
        accounts = () if self.crm.accounts is None else self.crm.accounts.columns
        absent = [
            name
            for name in self.attributes
            if name not in self.crm.deals
            and observed_column(self.crm, name) is None
            and name.removeprefix("account_") not in accounts
        ]
        if absent:
            raise TableError(
                text("attribute not found among the columns of deals and accounts: {absent}", absent=", ".join(absent))
            )

    @property
    def dated(self) -> bool:
        """Whether any deal carries its creation time."""
        return self.has("deals", "created_at")

    @cached_property
    def as_of(self) -> pd.Series:
        """The moments, UTC."""
        return self.snapshots["as_of"].reset_index(drop=True)

    @cached_property
    def _moments(self) -> NDArray[np.int64]:
        """The moments as every look at a table of events takes them."""
        return microseconds(self.as_of)

    @property
    def known_to_cross_deal_history(self) -> bool:
        """Whether the cross-deal history holds the deals of all snapshots."""
        return self.cross_deal_history.holds(self.snapshots["deal_id"])

    @cached_property
    def days_open(self) -> NDArray[np.float64]:
        """Days from the deal's creation to as_of."""
        return days(self.as_of - self.created_at)

    @cached_property
    def created_at(self) -> pd.Series:
        """When each snapshot's deal was created."""
        return self._of_deal("created_at")

    def has(self, table: str, column: str | None = None) -> bool:
        """Whether a table is there, holds rows and (if asked) a column that is not all missing."""
        return self.cross_deal_history.has(table, column)

    def has_touches(self, kind: str) -> bool:
        """Whether any touch of any deal is of a kind."""
        return self.cross_deal_history.has_touches(kind)

    def has_link(self, column: str) -> bool:
        """Whether the owner or the account of deals may be used: by its history, or because the audit kept it."""
        if not self.has("deals", column):
            return False
        return (column == "owner_id" and self.records_changes_of(column)) or column in self.attributes

    def events(self, table: str) -> AsOfView:
        """The rows of a table that belong to each snapshot's deal, as of then."""
        return self._once(
            f"events {table}", lambda: self._events.table(table).at(self.snapshots["deal_id"], self._moments)
        )

    @cached_property
    def stage_changes(self) -> AsOfView:
        """The moments at which each snapshot's deal entered a stage (a row that repeats the stage is none)."""
        return self._events.stage_changes.at(self.snapshots["deal_id"], self._moments)

    @cached_property
    def item_changes(self) -> AsOfView:
        """Line items put on each snapshot's deal and taken off; see `winpredict.features.events.DealEvents`."""
        return self._events.item_changes.at(self.snapshots["deal_id"], self._moments)

    def item_values(self, accounts: pd.Series) -> AsOfView:
        """Line items with a list price, put on deals of each account and taken off; those of the own deal too.

        Columns change (1.0, or -1.0 for one taken off), and value and list_value, negative for one taken off.
        """
        return self.cross_deal_history.item_values.at(accounts, self._moments)

    def won_stage_durations(self, stages: pd.Series) -> AsOfView:
        """Stays of won deals in each snapshot's stage (column days), known once the stage was left and the deal won."""
        return self.cross_deal_history.won_stage_durations.at(stages, self._moments)

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
        """An attribute that may be used: of deals, or of accounts as ``account_<column>``.

        One of deals is what was last observed before as_of, or before the first observation what that saw; as
        ``observed_<column>`` it is missing before the first observation. What was never observed stands as it is now.

        Raises
        ------
        KeyError
            When it may not be used.
        """
        if name not in self.attributes:
            raise KeyError(f"attribute {name} was not kept by the leakage audit")
        return self._once(f"attribute {name}", lambda: self._attribute(name))

    def _attribute(self, name: str) -> pd.Series:
        column = observed_column(self.crm, name)
        if column is not None:
            return self._observed.before(column, self.snapshots["deal_id"], self._moments)
        if name in self._observed.names:
            return self._observed.before_or_first(name, self.snapshots["deal_id"], self._moments)
        return self._of_deal(name) if name in self.crm.deals else self._of_account(name)

    @property
    def _observed(self) -> ObservedAttributes:
        return self._events.observed

    def number_of_values(self, name: str) -> int:
        """How many different values an attribute has over all deals."""
        return self.cross_deal_history.number_of_values(name)

    def number_of_results(self) -> int:
        """How many different results touches have over all deals."""
        return self.cross_deal_history.number_of_results

    def account_id(self) -> pd.Series:
        """The deal's account (no history: today's)."""
        return self._once("account", lambda: self._of_deal("account_id"))

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
            Events with the columns won (boolean), amount, log_amount (missing unless above 0), cycle_days and deal_id.
        """
        return self._looked_at(f"closings {key}", lambda: self.cross_deal_history.closings(key), values)

    def closings_of_all(self) -> AsOfView:
        """All deals closed before as_of; see `closings`."""
        everyone = self._once("everyone", lambda: pd.Series(ALL, index=range(len(self)), dtype=text_dtype()))
        return self.closings(ALL, everyone)

    def creations(self, key: str, values: pd.Series) -> AsOfView:
        """Deals created before as_of that share each snapshot's value of a static column; see `closings`."""
        return self._looked_at(f"creations {key}", lambda: self.cross_deal_history.creations(key), values)

    def ownerships(self, owners: pd.Series) -> AsOfView:
        """Moments at which each owner got a deal (``change`` 1.0) or was rid of it, closed or handed on (-1.0).

        Their sum is the number of open deals that the owner has.
        """
        return self._looked_at("ownerships", lambda: self.cross_deal_history.ownerships, owners)

    def _looked_at(self, name: str, make: Callable[[], AsOfTable], values: pd.Series) -> AsOfView:
        """A table looked at by keys; the last look is kept, as several builders ask the same."""
        looked = self._cache.get(f"view of {name}")
        if looked is None or not (looked[0] is values or looked[0].equals(values)):
            looked = self._cache[f"view of {name}"] = (values, make().at(values, self._moments))
        return cast("AsOfView", looked[1])

    def stage_rank(self, stages: pd.Series) -> NDArray[np.float64]:
        """Place of each stage in the stage order, 0 first; NaN for one that is not in it (closed stages)."""
        return self._events.stage_rank(stages)

    def _of_deal(self, column: str) -> pd.Series:
        return taken(self.crm.deals[column], self._row)

    def _of_account(self, name: str) -> pd.Series:
        assert self.crm.accounts is not None, f"{name} was kept by the audit, so there are accounts"
        return gathered(self.crm.accounts[name.removeprefix("account_")], self._account)

    @cached_property
    def _account(self) -> NDArray[np.int64]:
        """The row of each snapshot's account; -1 where there is none, or it was not entered by then."""
        places: NDArray[np.int64] = account_places(self.crm)[self._row]
        if self.crm.accounts is None or "created_at" not in self.crm.accounts:
            return places
        created = gathered(self.crm.accounts["created_at"], places)
        return np.asarray(np.where(created >= self.as_of, -1, places), dtype=np.int64)

    def _once(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = make()
        return cast("T", self._cache[name])


def _conformed(snapshots: pd.DataFrame) -> pd.DataFrame:
    if snapshots["as_of"].dtype == TIME_DTYPE and snapshots["deal_id"].dtype == text_dtype():
        return snapshots
    as_of = pd.to_datetime(snapshots["as_of"], utc=True).astype(TIME_DTYPE)
    return snapshots.assign(deal_id=snapshots["deal_id"].astype(text_dtype()), as_of=as_of)
