"""Reference ranges: what won and lost deals had of each figure, by stage and age, and what the training data cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Fewest snapshots of won deals, and of lost ones, for a group to compare with.
MIN_ROWS = 30
#: How closely a deal could be compared with others: at any stage, at its stage, or at its stage and age.
Closeness = Literal["any", "stage", "stage and age"]
#: Each stage is cut at these shares of the ages at which deals were seen in it.
_AGES = (1 / 3, 2 / 3)
_COVERED = (0.01, 0.99)
_ANY = ""
_JOIN = "\x1f"


@dataclass(frozen=True, eq=False)
class ReferenceRanges:
    """Medians of every numeric feature among snapshots of won and of lost deals, and what the training data cover.

    Parameters
    ----------
    won, lost : dict
        Group to feature to median. A group is "" for all, a stage, or a stage with the third of the ages.
    ages : dict
        Stage to the two ages in days at which its thirds part.
    covered : dict
        Feature to [1st, 99th percentile] over all snapshots of closed deals.
    """

    won: dict[str, dict[str, float]] = field(default_factory=dict)
    lost: dict[str, dict[str, float]] = field(default_factory=dict)
    ages: dict[str, list[float]] = field(default_factory=dict)
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
        groups: dict[str, NDArray[np.bool_]] = {_ANY: np.ones(len(features), dtype=bool)}
        ages: dict[str, list[float]] = {}
        if "stage" in features:
            codes, stages = pd.factorize(features["stage"])
            for code, stage in enumerate(map(str, stages)):
                groups[stage] = codes == code
                if "days_open" in features:
                    groups |= _by_age(stage, codes == code, features["days_open"].to_numpy(np.float64), ages)
        medians: tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]] = ({}, {})
        for group, rows in groups.items():
            parts = [numbers[rows & (won == ending)] for ending in (1, 0)]
            if min(map(len, parts)) >= MIN_ROWS or group == _ANY:
                for found, part in zip(medians, parts, strict=True):
                    found[group] = _known(part.median())
        covered = numbers.quantile(list(_COVERED))
        known = covered.columns[covered.notna().all()]
        return cls(*medians, ages, {str(name): covered[name].tolist() for name in known})

    def group_of(self, stages: "NDArray[np.object_]", days_open: NDArray[np.float64]) -> NDArray[np.intp]:
        """The closest group that each of some deals can be compared with, as places in `groups`.

        Parameters
        ----------
        stages : ndarray of shape (n_deals,)
            Stage of each; what is unknown is compared with all.
        days_open : ndarray of shape (n_deals,)
            Age of each; NaN where unknown.
        """
        codes, names = pd.factorize(stages, use_na_sentinel=True)
        out = np.full(len(codes), self._place[_ANY], np.intp)
        for code, stage in enumerate(map(str, names)):
            rows = codes == code
            out[rows] = self._place.get(stage, self._place[_ANY])
            edges = self.ages.get(stage)
            if edges is not None:
                third = np.searchsorted(edges, days_open, side="right")
                for number in range(len(edges) + 1):
                    place = self._place.get(f"{stage}{_JOIN}{number}")
                    if place is not None:
                        out[rows & (third == number) & ~np.isnan(days_open)] = place
        return out

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups that can be compared with, all deals first."""
        return tuple(self.won) or (_ANY,)

    @cached_property
    def closeness(self) -> tuple[Closeness, ...]:
        """How closely each group compares."""
        return tuple("any" if not each else "stage and age" if _JOIN in each else "stage" for each in self.groups)

    def medians(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Medians of won and of lost deals.

        Parameters
        ----------
        names : sequence of str
            Features.

        Returns
        -------
        won, lost : ndarray of shape (n_groups, n_features)
            NaN where nothing is known.
        """
        won, lost = (
            np.array([[of.get(group, {}).get(name, np.nan) for name in names] for group in self.groups], np.float64)
            for of in (self.won, self.lost)
        )
        return won, lost

    @cached_property
    def _place(self) -> dict[str, int]:
        return {group: place for place, group in enumerate(self.groups)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ReferenceRanges":
        """Read what ``dataclasses.asdict`` gave."""
        return cls(**{name: dict(values[name]) for name in ("won", "lost", "ages", "covered")})


def _by_age(
    stage: str, rows: NDArray[np.bool_], days_open: NDArray[np.float64], ages: dict[str, list[float]]
) -> dict[str, NDArray[np.bool_]]:
    """A stage's rows by the third of their ages; the ages that part them are noted in `ages`."""
    known = days_open[rows & ~np.isnan(days_open)]
    if len(known) < 2 * MIN_ROWS:
        return {}
    edges = np.quantile(known, _AGES).tolist()
    ages[stage] = edges
    third = np.searchsorted(edges, days_open, side="right")
    return {
        f"{stage}{_JOIN}{number}": rows & (third == number) & ~np.isnan(days_open) for number in range(len(edges) + 1)
    }


def _known(medians: pd.Series) -> dict[str, float]:
    return {str(name): float(value) for name, value in medians.items() if not np.isnan(value)}
