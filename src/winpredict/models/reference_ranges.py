"""What is usual: the range of each figure among won deals, by stage, and the range that the training data cover."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Fewest snapshots of won deals in a stage for a range of its own.
MIN_ROWS = 30
_QUARTILES = (0.25, 0.5, 0.75)
_COVERED = (0.01, 0.99)
_ANY_STAGE = ""


@dataclass(frozen=True)
class ReferenceRanges:
    """Quartiles of every numeric feature among snapshots of won deals, and what the training data cover.

    Parameters
    ----------
    won : dict
        Stage ("" for any) to feature to [lower quartile, median, upper quartile].
    covered : dict
        Feature to [1st, 99th percentile] over all snapshots of closed deals.
    """

    won: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    covered: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def fit(cls, features: pd.DataFrame, won: NDArray[np.int64]) -> "ReferenceRanges":
        """Read the ranges off a training set.

        Parameters
        ----------
        features : DataFrame of shape (n_snapshots, n_features)
        won : ndarray of shape (n_snapshots,)
            1 for won, 0 for lost.
        """
        numbers = features.select_dtypes("number")
        of_won = numbers[won == 1]
        ranges = {_ANY_STAGE: _quantiles(of_won, _QUARTILES)}
        if "stage" in features:
            for stage, rows in of_won.groupby(features.loc[won == 1, "stage"]):
                if len(rows) >= MIN_ROWS:
                    ranges[str(stage)] = _quantiles(rows, _QUARTILES)
        return cls(ranges, _quantiles(numbers, _COVERED))

    def of_won(self, feature: str, stage: object = None) -> tuple[float, float, bool] | None:
        """Middle half of a feature among won deals.

        Returns
        -------
        (low, high, whether these are deals at that very stage), or None where nothing is known.
        """
        at_stage = self.won.get(str(stage), {}).get(feature)
        found = at_stage or self.won.get(_ANY_STAGE, {}).get(feature)
        return None if found is None else (found[0], found[2], at_stage is not None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ReferenceRanges":
        """Read what ``dataclasses.asdict`` gave."""
        return cls(dict(values["won"]), dict(values["covered"]))


def _quantiles(numbers: pd.DataFrame, shares: tuple[float, ...]) -> dict[str, list[float]]:
    found = numbers.quantile(list(shares))
    figures = found.to_numpy(np.float64).T
    return {
        str(name): of_feature.tolist()
        for name, of_feature in zip(found.columns, figures, strict=True)
        if not np.isnan(of_feature).any()
    }
