"""Exact contributions of features to the log-odds of a blend of trees and linear models."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from winpredict.models.estimator import WinClassifier


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

    Notes
    -----
    Calibration multiplies every contribution by the slope and moves the base to ``slope * base + intercept``: the
    calibrated contributions add up to the calibrated log-odds, and no feature gains or loses rank by it.
    """

    values: pd.DataFrame
    base: float
    slope: float
    intercept: float

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

    def in_points(self) -> pd.DataFrame:
        """Contributions in probability: each row adds up to (odds - base odds).

        The way from the base odds to the deal's odds is shared out in proportion to the contributions in log-odds, by
        the slope of the chord between the two; where they are equal, by the slope of the curve there.
        """
        calibrated = self.calibrated
        total = calibrated.to_numpy().sum(axis=1)
        base = expit(self.calibrated_base)
        flat = np.abs(total) < 1e-9
        chord = (expit(self.calibrated_base + total) - base) / np.where(flat, 1.0, total)
        return calibrated.mul(np.where(flat, base * (1 - base), chord), axis=0)


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
    The trees' part is exact TreeSHAP (Lundberg et al. 2020) by LightGBM's own ``pred_contrib``, the linear part is
    coefficient times distance from the training mean; a mean of models in log-odds has the mean of their
    contributions.
    """
    matrix = classifier.to_matrix(features)
    trees = np.mean(
        [each.predict(matrix, pred_contrib=True, num_threads=classifier.threads) for each in classifier.boosters_],
        axis=0,
    )
    linear = np.mean([each.contributions(matrix) for each in classifier.linears_], axis=0)
    intercept = float(np.mean([each.intercept for each in classifier.linears_]))
    weight = classifier.linear_weight_
    values = (1 - weight) * trees[:, :-1] + weight * linear
    base = (1 - weight) * float(trees[0, -1]) + weight * intercept if len(matrix) else intercept
    return Contributions(
        pd.DataFrame(values, columns=list(classifier.feature_names_in_)),
        base,
        classifier.calibrator_.slope_,
        classifier.calibrator_.intercept_,
    )
