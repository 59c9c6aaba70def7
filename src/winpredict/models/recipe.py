"""FeatureRecipe: all that turns a CRM into the feature rows that one model was trained on."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from winpredict.features.build import builders_from_paths, features_of, installed_builders
from winpredict.features.builders import Attributes, FeatureBuilder, Touches, default_builders
from winpredict.features.cross_deal_history import CrossDealFacts, CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.features.events import DealEvents
from winpredict.features.observed import observed_column
from winpredict.features.past import Past
from winpredict.features.wording import Mentions
from winpredict.models.pace import PaceModel
from winpredict.tables.crm import CRMData
from winpredict.tables.schema import text_dtype


@dataclass(frozen=True)
class FeatureRecipe:
    """What turns a CRM into a model's feature rows, and stays the same for all that it scores.

    Parameters
    ----------
    attributes : tuple of str
        Static attributes it uses, and as ``observed_<column>`` those that it uses as they were observed.
    builder_paths : tuple of str
        Builders from outside the package, as ``module:Class``.
    info : tuple of FeatureInfo
        The columns, in their order.
    stage_order : tuple of str
        The order of stages where the data name none: learned in training.
    builder_settings : dict of str to dict
        By builder, what training fixed about its columns.
    pace : PaceModel or None
        None where stages have no order or no history, or too few moves are recorded.
    wording : tuple of Mentions
        Words of texts that are features.
    """

    attributes: tuple[str, ...]
    builder_paths: tuple[str, ...] = ()
    info: tuple[FeatureInfo, ...] = ()
    stage_order: tuple[str, ...] = ()
    builder_settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    pace: PaceModel | None = None
    wording: tuple[Mentions, ...] = ()

    @property
    def builders(self) -> tuple[FeatureBuilder, ...]:
        """Fresh builders, in the order of training, with what training fixed about their columns."""
        texts = {each.name for each in self.info if each.unit == "category"}
        fixed: dict[type[FeatureBuilder], FeatureBuilder] = {
            Attributes: Attributes(categories=texts),
            Touches: Touches(max_results=sys.maxsize if "last_result" in texts else 0),
        }
        return tuple(fixed.get(type(each), self._with_settings(each)) for each in all_builders(self.builder_paths))

    def build(
        self,
        crm: CRMData,
        snapshots: pd.DataFrame,
        *,
        cross_deal_history: CrossDealHistory | None = None,
        builders: Sequence[FeatureBuilder] | None = None,
        given: bool = False,
    ) -> pd.DataFrame:
        """The feature frame of snapshots; a column that these data do not have is missing throughout.

        Parameters
        ----------
        crm : CRMData
        snapshots : DataFrame
            deal_id and as_of.
        cross_deal_history : CrossDealHistory, optional
            The cross-deal history of all deals (see `cross_deal_history_of`), where `crm` holds only some of them.
        builders : sequence of FeatureBuilder, optional
            Those of the recipe, where they were made before.
        given : bool
            Whether `crm` tells more of these deals than the history does: they were given, not recorded yet.
        """
        crm = self.prepared(crm)
        builders = self.builders if builders is None else builders
        cross_deal_history = (
            self.cross_deal_history_of(crm, builders) if cross_deal_history is None else cross_deal_history
        )
        past = Past(crm, snapshots.reset_index(drop=True), self.attributes_in(crm), cross_deal_history)
        frame = features_of(past, builders).frame
        if self.pace is not None:
            pace = pd.DataFrame(self._pace_columns(self.pace, past, frame, builders, given), index=frame.index)
            frame = pd.concat([frame, pace], axis=1)
        if self.wording:
            frame = pd.concat([frame, *(each.features_of(past) for each in self.wording)], axis=1)
        if frame.columns.tolist() == [each.name for each in self.info]:
            return frame
        return pd.DataFrame({each.name: _column_of(frame, each) for each in self.info}, index=frame.index)

    def cross_deal_history_of(self, crm: CRMData, builders: Sequence[FeatureBuilder] | None = None) -> CrossDealHistory:
        """The cross-deal history that features of these deals need."""
        return CrossDealHistory(self.cross_deal_facts(crm, builders))

    def cross_deal_facts(self, crm: CRMData, builders: Sequence[FeatureBuilder] | None = None) -> CrossDealFacts:
        """The facts of these deals that features of other deals need; all buckets' make a `CrossDealHistory`."""
        crm = self.prepared(crm)
        attributes = self.attributes_in(crm)
        facts = CrossDealFacts.of(DealEvents(crm), attributes)
        if self.pace is None or not len(crm.deals):
            return facts
        moves = self.pace.facts_of(
            crm, attributes, self.builders if builders is None else builders, CrossDealHistory(facts)
        )
        return replace(facts, intervals=moves.intervals, moves=moves.moves)

    def prepared(self, crm: CRMData) -> CRMData:
        """The data with the learned order of stages, where they name none."""
        return replace(crm, stage_order=self.stage_order) if self.stage_order and not crm.stage_order else crm

    def attributes_in(self, crm: CRMData) -> list[str]:
        """The static attributes of the recipe that these data have."""
        return [name for name in self.attributes if has_attribute(crm, name)]

    def save(self, folder: Path) -> None:
        """Write ``features.json`` and the pace model; reading them runs no code."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.pace is not None:
            self.pace.save(folder / "pace")
        description = {
            "attributes": self.attributes,
            "builder_paths": self.builder_paths,
            "info": [each.to_json() for each in self.info],
            "stage_order": self.stage_order,
            "builder_settings": self.builder_settings,
            "wording": [asdict(each) for each in self.wording],
        }
        (folder / "features.json").write_text(json.dumps(description, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        folder = Path(folder)
        description = json.loads((folder / "features.json").read_text())
        return cls(
            attributes=tuple(description["attributes"]),
            builder_paths=tuple(description["builder_paths"]),
            info=tuple(FeatureInfo.from_json(each) for each in description["info"]),
            stage_order=tuple(description["stage_order"]),
            builder_settings=description["builder_settings"],
            pace=PaceModel.load(folder / "pace") if (folder / "pace").exists() else None,
            wording=tuple(Mentions(each["column"], tuple(each["words"])) for each in description["wording"]),
        )

    def _with_settings(self, builder: FeatureBuilder) -> FeatureBuilder:
        settings = self.builder_settings.get(builder.name)
        return type(builder)(**settings) if settings else builder

    def _pace_columns(
        self, pace: PaceModel, past: Past, frame: pd.DataFrame, builders: Sequence[FeatureBuilder], given: bool
    ) -> dict[str, Any]:
        state = frame.reindex(columns=list(pace.columns))
        own = None
        if given or not past.known_to_cross_deal_history:
            alone = past.crm.of_deals(past.snapshots["deal_id"])
            own = pace.facts_of(alone, self.attributes_in(past.crm), builders, past.cross_deal_history)
        return pace.columns_of(past, state, own)


def all_builders(paths: Sequence[str]) -> tuple[FeatureBuilder, ...]:
    """The shipped builders, those of installed plug-ins, and those named in the config."""
    return (*default_builders(), *installed_builders(), *builders_from_paths(paths))


def has_attribute(crm: CRMData, name: str) -> bool:
    """Whether an attribute is a column of these deals or accounts, or was observed."""
    accounts = () if crm.accounts is None else crm.accounts.columns
    if name in crm.deals or observed_column(crm, name) in crm.observed_attributes:
        return True
    return "account_id" in crm.deals and name.removeprefix("account_") in accounts


def _column_of(frame: pd.DataFrame, info: FeatureInfo) -> pd.Series:
    if info.name in frame:
        return frame[info.name]
    return pd.Series(None, index=frame.index, dtype=text_dtype() if info.unit == "category" else np.float64)
