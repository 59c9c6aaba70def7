"""DealEvents: a CRM's tables of events, each sorted once and shared by all that look at them."""

from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.features.asof import AsOfTable, by_value
from winpredict.features.observed import ObservedAttributes
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import TABLES, conform

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
        if name == "line_items":
            frame = _dated_items(frame)
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

    @cached_property
    def item_changes(self) -> AsOfTable:
        """Line items put on deals and taken off, each an event.

        Columns deal_id, at, ``change`` (1.0, or -1.0 for one taken off), ``item`` (its number on the deal), product_id,
        and quantity, ``value`` and ``list_value``, negative for one taken off. An item without a quantity is one piece;
        its value is its total price, or else quantity times unit price.

        An item that is dated by nothing is of unknown date and left out. One taken off when it was not on the deal yet
        is taken off as it comes.
        """
        return AsOfTable(_item_changes(self.table("line_items")), "deal_id", "at", tiebreak=("taken_off", "item"))

    def stage_rank(self, stages: pd.Series) -> NDArray[np.float64]:
        """Place of each stage in the stage order, 0 first; NaN for one that is not in it (closed stages)."""
        return by_value(stages, self._ranks.get)

    @cached_property
    def _ranks(self) -> dict[str, float]:
        return {stage: float(rank) for rank, stage in enumerate(self.crm.stage_order)}


def _dated_items(items: pd.DataFrame | None) -> pd.DataFrame:
    """Line items that tell when they were put on the deal, with all columns that they may have."""
    columns = list(TABLES["line_items"].columns)
    frame = pd.DataFrame(columns=columns) if items is None else items.reindex(columns=columns)
    frame = conform(frame, "line_items", check=False)
    return frame[frame["added_at"].notna()]


def item_figures(
    quantity: pd.Series, unit_price: pd.Series, total_price: pd.Series, list_price: pd.Series
) -> dict[str, pd.Series]:
    """Pieces, value and value at list prices of line items.

    An item without a quantity is one piece; its value is its total price, or else quantity times unit price; a list
    price that is not above 0 is not known.
    """
    pieces = quantity.fillna(1.0)
    return {
        "quantity": pieces,
        "value": total_price.fillna(pieces * unit_price),
        "list_value": pieces * list_price.where(list_price > 0),
    }


def _item_changes(items: AsOfTable) -> pd.DataFrame:
    sizes = np.diff(items.starts)
    figures = item_figures(*(items.column(name) for name in ("quantity", "unit_price", "total_price", "list_price")))
    added = pd.DataFrame(
        {
            "deal_id": items.column("deal_id"),
            "at": items.column("added_at"),
            "taken_off": 0.0,
            "change": 1.0,
            # numbered in the order of their content, so that the order of the rows says nothing
            "item": np.arange(len(items), dtype=np.float64) - np.repeat(items.starts[:-1], sizes),
            "product_id": items.column("product_id"),
            **figures,
        }
    )
    left = items.column("removed_at")
    gone = left.notna()
    signed = {name: -added.loc[gone, name] for name in ("change", "quantity", "value", "list_value")}
    at = left.where(left > added["at"], added["at"])[gone]
    return pd.concat([added, added[gone].assign(taken_off=1.0, at=at, **signed)], ignore_index=True)
