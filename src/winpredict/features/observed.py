"""Attributes of deals by what a sync saw of them: the history of what the CRM itself keeps no history of."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.asof import AsOfTable, gathered
from winpredict.tables.crm import CRMData

#: Names an attribute by its observations alone, as ``account_`` names a column of the deal's account.
OBSERVED = "observed_"


def observed_column(crm: CRMData, name: str) -> str | None:
    """The attribute of deals that a name such as ``observed_Region`` stands for; None where it stands for another.

    Examples
    --------
    >>> deals = pd.DataFrame({"deal_id": ["a"], "stage": ["Demo"], "outcome": ["open"], "created_at": ["2025-01-01"],
    ...                       "closed_at": [None], "Region": ["East"]})
    >>> observed_column(CRMData.from_tables(deals), "observed_Region")
    'Region'
    """
    column = name.removeprefix(OBSERVED)
    return column if name not in crm.deals and name != column and column in crm.deals else None


class ObservedAttributes:
    """What was seen of the attributes of deals.

    Rows that saw a deal closed say nothing of the time while it was open: a day is the finest that some CRMs tell of a
    close.

    Parameters
    ----------
    crm : CRMData
    """

    def __init__(self, crm: CRMData) -> None:
        self.crm = crm
        self.names = frozenset(crm.observed_attributes)
        self._tables: dict[bytes, AsOfTable] = {}

    def before(self, name: str, deal_ids: Any, moments: Any) -> pd.Series:
        """What was seen of an attribute strictly before moments, while the deals were open; missing before that."""
        if name not in self.names:
            return gathered(self.crm.deals[name], np.full(len(deal_ids), -1, np.int64))
        return gathered(self._history[name], self._places(name, deal_ids, moments))

    def before_or_first(self, name: str, deal_ids: pd.Series, moments: Any) -> pd.Series:
        """The same, but before the first observation what that saw; as it is now where nothing was observed.

        For attributes that are taken to be the same from a deal's beginning on: what changed after the first
        observation is known to have changed.
        """
        return self._or_first(name, deal_ids, self._places(name, deal_ids, moments))

    def first(self, name: str, deal_ids: pd.Series) -> pd.Series:
        """What was seen of an attribute first; as it is now where nothing was observed."""
        return self._or_first(name, deal_ids, np.full(len(deal_ids), -1, np.int64))

    def _or_first(self, name: str, deal_ids: pd.Series, places: NDArray[np.int64]) -> pd.Series:
        rows = self._history[self.crm.observations_of(name)]
        rows = rows.sort_values("observed_at", kind="stable").drop_duplicates("deal_id")
        which = pd.Index(rows["deal_id"]).get_indexer(pd.Index(deal_ids))
        firsts = np.where(which < 0, -1, rows.index.to_numpy(np.int64)[which] if len(rows) else -1)
        places = np.where(places < 0, firsts, places)
        seen = gathered(self._history[name], places)
        if (places >= 0).all():
            return seen
        today = gathered(self.crm.deals[name], pd.Index(self.crm.deals["deal_id"]).get_indexer(pd.Index(deal_ids)))
        return seen.where(places >= 0, today)

    @property
    def _history(self) -> pd.DataFrame:
        assert self.crm.attribute_history is not None, "only what was observed can be asked for"
        return self.crm.attribute_history

    def _places(self, name: str, deal_ids: Any, moments: Any) -> NDArray[np.int64]:
        """The rows of attribute_history that were the latest before the moments; -1 where there was none."""
        told = seen_open(self._history) & self.crm.observations_of(name)
        key = np.packbits(told.to_numpy(dtype=bool)).tobytes()
        if key not in self._tables:
            rows = self._history.loc[told, ["deal_id", "observed_at"]]
            self._tables[key] = AsOfTable(rows.assign(place=rows.index.to_numpy(np.float64)), "deal_id", "observed_at")
        places = self._tables[key].at(deal_ids, moments).last("place")
        return places.fillna(-1.0).to_numpy(np.int64)


def seen_open(history: pd.DataFrame) -> pd.Series:
    """Which observations saw the deal open."""
    if "outcome" not in history:
        return pd.Series(True, index=history.index)
    return history["outcome"].isna() | (history["outcome"] == "open")
