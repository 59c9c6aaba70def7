"""The members of the blend: how each is fitted on weighted rows, and what it says of others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from winpredict._internal.threads import run_parallel, threads_for
from winpredict.errors import ConfigError
from winpredict.locale.text import text
from winpredict.models._frames import Floats
from winpredict.models.linear import LinearLogOdds

#: Trees that follow another model's log-odds: there is no noise in these, so they may be many and large.
#: A leaf depends on so many features at the most, so that reasons can be looked up in tables (see
#: `winpredict.explain._tree_shap`): one deeper leaf in a thousand would make all of them four times as slow.
_DEEPEST = 12
_DISTILLING: dict[str, Any] = {
    "objective": "regression",
    "learning_rate": 0.15,
    "num_leaves": 31,
    "max_depth": _DEEPEST,
    "min_data_in_leaf": 20,
    "lambda_l2": 1.0,
    "feature_fraction": 0.5,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
_DISTILLING_TREES = 120
#: Looks a deal for which `min_rows_leaf` is meant. Fewer looks are fewer rows for as many deals, so leaves may hold
#: fewer rows then, down to this many.
_USUAL_LOOKS = 8.0
_FEWEST_ROWS_LEAF = 20


@dataclass(frozen=True)
class Rows:
    """Training rows that belong together.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), dtype float64
        Features, categories as codes.
    y : ndarray of shape (n_rows,), dtype float64
        1 for won, 0 for lost.
    weight : ndarray of shape (n_rows,), dtype float64
    groups : ndarray of shape (n_rows,), dtype int64
        The deal of each row, numbered from 0 without gaps.
    """

    matrix: Floats
    y: Floats
    weight: Floats
    groups: NDArray[np.int64]

    @property
    def deals(self) -> float:
        """The deals that would say as much as the rows if all weighed the same (Kish 1965)."""
        by_deal = np.bincount(self.groups, weights=self.weight)
        return float(by_deal.sum() ** 2 / (by_deal**2).sum())

    def take(self, which: NDArray[np.bool_]) -> "Rows":
        """Some of the rows, their deals numbered anew."""
        groups = np.unique(self.groups[which], return_inverse=True)[1]
        return Rows(self.matrix[which], self.y[which], self.weight[which], groups)


@dataclass(frozen=True)
class TreeSize:
    """How large, how many and how quickly learning the trees are."""

    leaves: int
    trees: int
    learning_rate: float
    feature_share: float


@dataclass(frozen=True)
class Learners:
    """How members are fitted; see `winpredict.models.estimator.WinClassifier` for the parameters that both have.

    Parameters
    ----------
    min_rows_leaf : int
        Of deals with eight looks or more; see `min_rows`.
    row_share : float
    l2 : float
    linear_strength : float
    categorical : list of int
        Positions of the features that hold category codes.
    monotone : list of {-1, 0, 1}, optional
        One entry a feature: whether its effect in the trees may only fall or only rise.
    threads : int, optional
    random_state : int
    """

    min_rows_leaf: int
    row_share: float
    l2: float
    linear_strength: float
    categorical: list[int]
    monotone: list[int] | None
    threads: int | None
    random_state: int

    def fit_trees(self, rows: Rows, size: TreeSize, bags: int) -> list[lgb.Booster]:
        """Trees, one model a bag, the deals under random weights where there are several."""
        parameters = self._tree_parameters(size, self.min_rows(len(rows.y) / rows.deals))
        # weights do not change the bins, so these are found once
        binned = lgb.Dataset(rows.matrix, rows.y, categorical_feature=self.categorical, params=parameters).construct()

        def fit(weight: Floats, seed: int) -> lgb.Booster:
            data = lgb.Dataset(
                rows.matrix, rows.y, weight=weight, categorical_feature=self.categorical, reference=binned
            )
            return lgb.train(parameters | {"seed": seed}, data, num_boost_round=size.trees)

        return run_parallel([partial(fit, *draw) for draw in self._draws(rows, bags)], self.threads)

    def fit_linears(self, rows: Rows, bags: int) -> list[LinearLogOdds]:
        """Linear models, one a bag, the deals under the same weights as for the trees.

        Looks at one deal repeat each other: against its penalty such a model weighs the rows as many as the deals that
        would say as much if all weighed the same.
        """
        of_a_row = rows.deals / len(rows.y)

        def fit(weight: Floats) -> LinearLogOdds:
            return LinearLogOdds.fit(
                rows.matrix, rows.y, weight * of_a_row, tuple(self.categorical), self.linear_strength
            )

        return run_parallel([partial(fit, weight) for weight, _ in self._draws(rows, bags)], self.threads)

    def min_rows(self, snapshots: float) -> int:
        """Least rows in a leaf where deals have so many looks each, weighed as for the linear model."""
        fewest = min(_FEWEST_ROWS_LEAF, self.min_rows_leaf)
        return int(np.clip(self.min_rows_leaf * snapshots / _USUAL_LOOKS, fewest, self.min_rows_leaf))

    def distil(self, rows: Rows, log_odds: Floats) -> lgb.Booster:
        """Trees that give the log-odds of another model, shape (n_rows,)."""
        data = lgb.Dataset(rows.matrix, log_odds, weight=rows.weight, categorical_feature=self.categorical)
        own = {"seed": self.random_state, "monotone_constraints": self.monotone}
        return lgb.train(_DISTILLING | own, data, num_boost_round=_DISTILLING_TREES)

    def _draws(self, rows: Rows, bags: int) -> list[tuple[Floats, int]]:
        """Weights of the rows and a seed for each bag."""
        n_groups = int(rows.groups.max()) + 1
        generator = np.random.default_rng(self.random_state)
        draws = []
        for _ in range(bags):
            by_deal = generator.exponential(size=n_groups) if bags > 1 else np.ones(n_groups)
            weight = rows.weight * by_deal[rows.groups]
            draws.append((weight * (len(weight) / weight.sum()), int(generator.integers(2**31 - 1))))
        return draws

    def _tree_parameters(self, size: TreeSize, min_rows: int) -> dict[str, Any]:
        return {
            "objective": "binary",
            "learning_rate": size.learning_rate,
            "num_leaves": size.leaves,
            "max_depth": _DEEPEST,
            "min_data_in_leaf": min_rows,
            "feature_fraction": size.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "max_cat_to_onehot": 8,
            "monotone_constraints": self.monotone,
            "num_threads": 1,
            "deterministic": True,
            "force_col_wise": True,  # a tree looks at few of the features
            "verbosity": -1,
        }


def monotone_list(monotone: Mapping[str, int] | None, features: Sequence[str]) -> list[int] | None:
    """The constraint on each feature, 0 for none; None where nothing is constrained.

    Raises
    ------
    ConfigError
        When an unknown feature is named.
    """
    if not monotone:
        return None
    unknown = sorted(set(monotone) - set(features))
    if unknown:
        raise ConfigError(text("model.monotone names unknown feature(s): {unknown}", unknown=", ".join(unknown)))
    return [monotone.get(name, 0) for name in features]


def log_odds_of(matrix: Floats, boosters: list[lgb.Booster], threads: int | None) -> Floats:
    """Log-odds of each model's trees, shape (bags, n_rows)."""
    calls = [partial(each.predict, matrix, raw_score=True, num_threads=1) for each in boosters]
    return np.array(run_parallel(calls, threads_for(len(matrix), threads)))


def write_booster(booster: lgb.Booster, path: Path) -> None:
    """Write LightGBM's text, which holds nothing that can run code when read."""
    path.write_text(booster.model_to_string())


def read_booster(path: Path) -> lgb.Booster:
    """Read what `write_booster` wrote."""
    return lgb.Booster(model_str=path.read_text())
