"""TrainedModel: all that is needed to score a CRM, and how it is kept on disk."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from winpredict.errors import WinPredictError
from winpredict.features.builders import FeatureBuilder
from winpredict.features.cross_deal_history import CrossDealHistory
from winpredict.features.description import FeatureInfo
from winpredict.locale.text import Text, text, texts
from winpredict.models._recorded import message_of
from winpredict.models.deal_range import DealRange
from winpredict.models.estimator import WinClassifier
from winpredict.models.recipe import FeatureRecipe
from winpredict.models.reference_ranges import ReferenceRanges
from winpredict.models.seal import check_seal, seal
from winpredict.models.stage_norms import StageNorms
from winpredict.models.timing import ClosingTime
from winpredict.tables.crm import CRMData, utc

MODEL_FORMAT = 5


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with all that is needed to score a CRM with it.

    Parameters
    ----------
    classifier : WinClassifier
    timing : ClosingTime or None
        None for undated data.
    recipe : FeatureRecipe
        How features are made.
    trained_as_of : Timestamp or None
        Facts recorded at or after this moment were not seen.
    notes : tuple of Text
        What the reader should know: fall-backs, missing tables, dropped attributes.
    figures : dict of str to float
        Counts of the training set.
    dropped_attributes : dict of str to Text
        Why the leakage audit left an attribute out.
    reference_ranges : ReferenceRanges
        What is usual among won deals, and what the training data cover.
    deal_range : DealRange
        How far one deal's odds may lie from those of deals like it.
    effects : dict of str to tuple of float
        Feature to the interval in which win rates of deals alike at the start differed with and without it, -1 to 1;
        empty where none was estimated.
    """

    classifier: WinClassifier
    timing: ClosingTime | None
    recipe: FeatureRecipe
    trained_as_of: pd.Timestamp | None
    notes: tuple[Text, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    dropped_attributes: dict[str, Text] = field(default_factory=dict)
    reference_ranges: ReferenceRanges = field(default_factory=ReferenceRanges)
    stage_norms: StageNorms = field(default_factory=StageNorms)
    deal_range: DealRange = field(default_factory=DealRange)
    effects: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Static attributes it uses; see `FeatureRecipe`."""
        return self.recipe.attributes

    @property
    def builder_paths(self) -> tuple[str, ...]:
        """Builders from outside the package, as ``module:Class``."""
        return self.recipe.builder_paths

    @property
    def info(self) -> tuple[FeatureInfo, ...]:
        """Its features, in their order."""
        return self.recipe.info

    @property
    def builders(self) -> tuple[FeatureBuilder, ...]:
        """Fresh builders, in the order of training, with what training fixed about their columns."""
        return self.recipe.builders

    def build_features(
        self,
        crm: CRMData,
        snapshots: pd.DataFrame,
        *,
        cross_deal_history: CrossDealHistory | None = None,
        builders: Sequence[FeatureBuilder] | None = None,
        given: bool = False,
    ) -> pd.DataFrame:
        """The model's feature frame of snapshots; see `FeatureRecipe.build`."""
        return self.recipe.build(crm, snapshots, cross_deal_history=cross_deal_history, builders=builders, given=given)

    def cross_deal_history_of(self, crm: CRMData) -> CrossDealHistory:
        """The cross-deal history that features of these deals need; see `FeatureRecipe.cross_deal_history_of`."""
        return self.recipe.cross_deal_history_of(crm)

    def attributes_in(self, crm: CRMData) -> list[str]:
        """The static attributes of the model that these data have."""
        return self.recipe.attributes_in(crm)

    def odds(self, features: pd.DataFrame) -> pd.DataFrame:
        """Win probability with its interval.

        Parameters
        ----------
        features : DataFrame
            From `build_features`.

        Returns
        -------
        DataFrame
            Columns win_probability; low and high, the range of this deal's own odds (see `DealRange`); group_low and
            group_high, that of the mean odds of deals like it. One row a row of features.
        """
        return self.odds_of(self.classifier.bag_log_odds(features))

    def odds_of(self, by_bag: NDArray[np.float64]) -> pd.DataFrame:
        """Win probability with its interval, of rows whose `WinClassifier.bag_log_odds` are known; see `odds`."""
        odds = self.classifier.probability_of(by_bag)
        low, high = self.deal_range.around(odds, self.classifier.doubt_of(by_bag), self.classifier.interval).T
        group_low, group_high = self.classifier.interval_of(by_bag).T
        ranges = {"low": low, "high": high, "group_low": group_low, "group_high": group_high}
        return pd.DataFrame({"win_probability": odds, **ranges})

    def win_by(
        self, features: pd.DataFrame, days: float | NDArray[np.float64], win_probability: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Probability of being won within so many days; never above the win probability.

        Several numbers of days give one column each; they may differ by row.
        """
        horizons = np.atleast_1d(np.asarray(days, dtype=np.float64))
        if self.timing is None:
            found = np.full((len(features), horizons.shape[-1]), np.nan)
        else:
            found = self.timing.win_by_each(features, horizons, win_probability)
        return found if np.ndim(days) else found[:, 0]

    def refuse_hindsight(self, moment: pd.Timestamp | None) -> None:
        """Refuse to look at a day before the end of training.

        Raises
        ------
        WinPredictError
            When the model was trained on facts later than `moment`.
        """
        if moment is not None and self.trained_as_of is not None and moment < self.trained_as_of:
            raise WinPredictError(
                text(
                    "this model was trained on facts up to {trained_as_of}, so its odds as of {moment} would "
                    "know the future; train one with --as-of {day} and use that",
                    trained_as_of=self.trained_as_of,
                    moment=moment,
                    day=f"{moment:%Y-%m-%d}",
                )
            )

    @property
    def trained_on(self) -> Text:
        """What it was trained on, in a sentence."""
        figures: dict[str, Any] = {
            "n": int(self.figures.get("deals", 0)),
            "won": int(self.figures.get("won", 0)),
            "snapshots": int(self.figures.get("snapshots", 0)),
            "features": len(self.info),
        }
        if self.trained_as_of is None:
            return texts(
                "Trained on {n:count} closed deal ({won:count} won) in {snapshots:count} snapshots, with "
                "{features:count} features.",
                "Trained on {n:count} closed deals ({won:count} won) in {snapshots:count} snapshots, with "
                "{features:count} features.",
                **figures,
            )
        return texts(
            "Trained on {n:count} closed deal ({won:count} won) in {snapshots:count} snapshots, with {features:count} "
            "features and what was known on {day:day}.",
            "Trained on {n:count} closed deals ({won:count} won) in {snapshots:count} snapshots, with {features:count} "
            "features and what was known on {day:day}.",
            day=self.trained_as_of,
            **figures,
        )

    def summary(self) -> str:
        """A few lines for people."""
        return "\n".join(map(str, [self.trained_on, *self.notes]))

    def save(self, folder: Path) -> None:
        """Write LightGBM text files and JSON, and a hash of each; reading them runs no code."""
        folder = Path(folder)
        self.classifier.save(folder / "classifier")
        if self.timing is not None:
            self.timing.save(folder / "timing")
        self.recipe.save(folder / "features")
        description = {
            "format": MODEL_FORMAT,
            "trained_as_of": None if self.trained_as_of is None else self.trained_as_of.isoformat(),
            "notes": [note.to_json() for note in self.notes],
            "figures": self.figures,
            "dropped_attributes": {name: reason.to_json() for name, reason in self.dropped_attributes.items()},
            "reference_ranges": asdict(self.reference_ranges),
            "stage_norms": self.stage_norms.to_json(),
            "deal_range": asdict(self.deal_range),
            "effects": self.effects,
        }
        (folder / "model.json").write_text(json.dumps(description, indent=1))
        seal(folder)

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Read what `save` wrote.

        Raises
        ------
        WinPredictError
            When files are missing or are not those that were written, or another version with another format wrote
            them.
        """
        folder = Path(folder)
        check_seal(folder)
        description = json.loads((folder / "model.json").read_text())
        if description.get("format") != MODEL_FORMAT:
            raise WinPredictError(
                text("{folder} was written by another version of winpredict; train the model again", folder=folder)
            )
        trained_as_of = description["trained_as_of"]
        return cls(
            classifier=WinClassifier.load(folder / "classifier"),
            timing=ClosingTime.load(folder / "timing") if (folder / "timing").exists() else None,
            recipe=FeatureRecipe.load(folder / "features"),
            trained_as_of=None if trained_as_of is None else utc(trained_as_of),
            notes=tuple(map(message_of, description["notes"])),
            figures=description["figures"],
            dropped_attributes={name: message_of(reason) for name, reason in description["dropped_attributes"].items()},
            reference_ranges=ReferenceRanges.from_dict(description["reference_ranges"]),
            stage_norms=StageNorms.from_json(description["stage_norms"]),
            deal_range=DealRange(**description["deal_range"]),
            effects={name: (low, high) for name, (low, high) in description.get("effects", {}).items()},
        )
