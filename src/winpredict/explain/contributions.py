"""Exact contributions of features to the log-odds of a blend of trees and linear models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.explain._linear_pass import linear_pass
from winpredict.explain._tree_shap import tree_contributions
from winpredict.models.estimator import WinClassifier

if TYPE_CHECKING:
    import shap


@dataclass(frozen=True)
class Contributions:
    """SHAP values of rows in log-odds, before calibration.

    Parameters
    ----------
    values : DataFrame
        One row a snapshot, one column a feature.
    base : float
        Log-odds before any feature is known: ``base + values.sum(axis=1)`` are the uncalibrated log-odds.
    slope, intercept : float
        Of the calibrator, which is linear in log-odds.
    by_bag : ndarray of shape (bags, n_rows)
        Log-odds of each bagged model before calibration, as `WinClassifier.bag_log_odds` gives them: the contributions
        add up to their mean, so one pass over the rows gives both.

    Notes
    -----
    Calibration multiplies every contribution by the slope and moves the base to ``slope * base + intercept``: the
    calibrated contributions add up to the calibrated log-odds, and no feature gains or loses rank by it.
    """

    values: pd.DataFrame
    base: float
    slope: float
    intercept: float
    by_bag: NDArray[np.float64]

    @property
    def calibrated(self) -> pd.DataFrame:
        """Contributions to the calibrated log-odds."""
        return self.values * self.slope

    @property
    def calibrated_base(self) -> float:
        """Calibrated log-odds before any feature is known."""
        return self.slope * self.base + self.intercept

    @property
    def log_odds(self) -> NDArray[np.float64]:
        """Uncalibrated log-odds, shape (n_rows,)."""
        return np.asarray(self.base + self.values.to_numpy(np.float64).sum(axis=1))

    def explanation(
        self,
        features: pd.DataFrame,
        *,
        unit: Literal["log-odds", "points"] = "log-odds",
        groups: Mapping[str, str] | None = None,
    ) -> "shap.Explanation":
        """The contributions as SHAP's own object, on which every plot of shap works.

        Parameters
        ----------
        features : DataFrame of shape (n_rows, n_features)
            What the contributions are of.
        unit : {"log-odds", "points"}
            Calibrated log-odds, or probability (0.05 is five percentage points).
        groups : mapping of str to str, optional
            Feature to group, such as its builder; the contributions of a group are added up and carry no data.

        Returns
        -------
        shap.Explanation
            Rows add up to (odds - base odds) in the unit; the base is ``base_values``.
        """
        import shap

        values = self.calibrated if unit == "log-odds" else self.in_points()
        base = self.calibrated_base if unit == "log-odds" else float(expit(self.calibrated_base))
        data: NDArray[np.object_] | None = features[values.columns].to_numpy(dtype=object)
        if groups is not None:
            names = pd.Index([groups[name] for name in values.columns])
            values = values.set_axis(names, axis=1).T.groupby(level=0, sort=False).sum().T
            data = None
        base_values = np.full(len(values), base)
        return shap.Explanation(values.to_numpy(), base_values, data=data, feature_names=list(values.columns))

    def in_points(self) -> pd.DataFrame:
        """Contributions in probability: each row adds up to (odds - base odds).

        The way from the base odds to the deal's odds is shared out in proportion to the contributions in log-odds, by
        the slope of the chord between the two; where they are equal, by the slope of the curve there.
        """
        return pd.DataFrame(self.points, columns=self.values.columns, index=self.values.index)

    @property
    def points(self) -> NDArray[np.float64]:
        """`in_points` without names, shape (n_rows, n_features)."""
        calibrated = self.values.to_numpy() * self.slope
        return shared_out(calibrated, np.full(len(calibrated), self.calibrated_base))


def shared_out(log_odds: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moves in log-odds as moves in probability, by the slope of the chord between start and end.

    Parameters
    ----------
    log_odds : ndarray of shape (n_rows, n_features)
        Moves of the log-odds.
    start : ndarray of shape (n_rows,)
        Log-odds that each row starts from.

    Returns
    -------
    ndarray of shape (n_rows, n_features)
        Each row adds up to the difference of the probabilities at its end and its start.

    Examples
    --------
    >>> moves = shared_out(np.array([[2.0, -0.5]]), np.array([0.0]))
    >>> bool(np.isclose(moves.sum(), expit(1.5) - 0.5))
    True
    """
    # row after row in memory: numpy else adds up in another order where there are several, and the last bit differs
    log_odds = np.ascontiguousarray(log_odds)
    total = log_odds.sum(axis=1)
    base = expit(start)
    flat = np.abs(total) < 1e-9
    chord = (expit(start + total) - base) / np.where(flat, 1.0, total)
    return np.asarray(log_odds * np.where(flat, base * (1 - base), chord)[:, None])


def contributions(classifier: WinClassifier, features: pd.DataFrame) -> Contributions:
    """Contributions of every feature to every row's odds.

    Parameters
    ----------
    classifier : WinClassifier
        A fitted one.
    features : DataFrame of shape (n_rows, n_features)

    Returns
    -------
    Contributions

    Notes
    -----
    The trees' part is exact TreeSHAP (Lundberg et al. 2020), looked up in tables, the linear part is
    coefficient times distance from the training mean; a mean of models in log-odds has the mean of their
    contributions.
    """
    matrix = classifier.to_matrix(features)
    values, base, by_bag = np.zeros(matrix.shape), 0.0, np.zeros((len(classifier.linears_), len(matrix)))
    forests = ((classifier.trees_weight_, classifier.boosters_), (classifier.hazard_weight_, classifier.hazards_))
    for weight, boosters in forests:
        if weight > 0:
            trees, expected, predicted = tree_contributions(boosters, matrix, classifier.threads)
            values, base, by_bag = values + weight * trees, base + weight * expected, by_bag + weight * predicted
    weight = classifier.linear_weight_
    if weight > 0:
        linear = linear_pass(classifier)
        parts, log_odds = linear.contributions(matrix, classifier.threads)
        values += weight * parts
        base += weight * float(linear.intercepts.mean())
        by_bag += weight * log_odds
    return Contributions(
        pd.DataFrame(values, columns=list(classifier.feature_names_in_)),
        base,
        classifier.calibrator_.slope_,
        classifier.calibrator_.intercept_,
        by_bag,
    )
