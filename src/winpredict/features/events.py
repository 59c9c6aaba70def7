"""DealEvents: a CRM's tables of events, each sorted once and shared by all that look at them."""

from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.asof import AsOfTable, by_value
from winpredict.features.observed import ObservedAttributes
from winpredict.tables.crm import CRMData

_CLOCKS = {
    "deal_history": ("changed_at", None),
    "activities": ("occurred_at", "recorded_at"),
    "team_members": ("added_at", None),
    "contacts": ("added_at", None),
    "line_items": ("added_at", None),
}


class DealEvents:
    """The events of deals as `AsOfTable`, by deal.

    Parameters
    ----------
    crm : CRMData
        Everything recorded of these deals.
    """

    def __init__(self, crm: CRMData) -> None:
        self.crm = crm
        self._tables: dict[str, AsOfTable] = {}

    def table(self, name: str) -> AsOfTable:
        """The events of one canonical table, sorted by deal and time."""
        if name not in self._tables:
            self._tables[name] = self._sorted(name)
        return self._tables[name]

    @cached_property
    def observed(self) -> ObservedAttributes:
        """What was seen of the attributes of deals."""
        return ObservedAttributes(self.crm)

    def _sorted(self, name: str) -> AsOfTable:
        frame = getattr(self.crm, name)
        occurred, recorded = _CLOCKS[name]
        recorded = recorded if recorded in frame else None
        ties: tuple[str, ...] = ()
        if name == "deal_history":
            ties = ("_stage_rank",)
            frame = frame.assign(_stage_rank=self.stage_rank(frame["stage"]) if "stage" in frame else 0.0)
        elif name == "activities" and "result" in frame and frame["result"].notna().any():
            ties = ("_result_rank",)
            frame = frame.assign(_result_rank=frame["result"].factorize(sort=True)[0].astype(np.float64))
        return AsOfTable(frame, "deal_id", occurred, recorded=recorded, tiebreak=ties)

    @cached_property
    def stage_changes(self) -> AsOfTable:
        """The moments at which deals entered a stage (a row that repeats the stage is none)."""
        history = self.table("deal_history")
        stage = history.value_codes("stage")
        return history.only((stage >= 0) & (stage != history.previous_codes("stage")))

    def stage_rank(self, stages: pd.Series) -> NDArray[np.float64]:
        """Place of each stage in the stage order, 0 first; NaN for one that is not in it (closed stages)."""
        return by_value(stages, self._ranks.get)

    @cached_property
    def _ranks(self) -> dict[str, float]:
        return {stage: float(rank) for rank, stage in enumerate(self.crm.stage_order)}
