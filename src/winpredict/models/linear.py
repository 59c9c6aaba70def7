"""LinearLogOdds: the linear half of the blend, whose parameters are plain numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Standard deviations from the mean beyond which a numeric feature counts no further: a line through the bulk of the
#: deals says nothing of the few that lie far outside.
_REACH = 5.0


@dataclass(frozen=True)
class Design:
    """How a feature matrix becomes the columns of a linear model.

    Every numeric feature gives a standardised signed logarithm, cut off at five standard deviations (missing: 0, the
    mean), and, where training rows lack it, a flag of absence. Every category gives one column a value seen in
    training.

    Parameters
    ----------
    categorical : tuple of int
        Positions of the features that hold category codes.
    mean, scale : array, shape (n_features,)
        Of the signed logarithm of numeric features.
    flagged : tuple of int
        Positions of the numeric features that may be missing.
    sizes : tuple of int
        Number of codes of each categorical feature.
    """

    categorical: tuple[int, ...]
    mean: Array
    scale: Array
    flagged: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def learn(cls, matrix: Array, categorical: tuple[int, ...], weight: Array) -> "Design":
        """Take means, scales and category counts from training rows."""
        logs = _signed_log(matrix)
        filled = ~np.isnan(logs)
        total = np.maximum((filled * weight[:, None]).sum(axis=0), 1e-12)
        mean = np.where(filled, logs * weight[:, None], 0.0).sum(axis=0) / total
        variance = np.where(filled, (logs - mean) ** 2 * weight[:, None], 0.0).sum(axis=0) / total
        flagged = tuple(j for j in range(matrix.shape[1]) if j not in categorical and not filled[:, j].all())
        sizes = tuple(int(np.nanmax(matrix[:, j], initial=-1)) + 1 for j in categorical)
        return cls(categorical, mean, np.sqrt(np.where(variance > 1e-12, variance, 1.0)), flagged, sizes)

    @property
    def feature_of_column(self) -> NDArray[np.int64]:
        """The feature that each design column belongs to."""
        numeric = [j for j in range(self.mean.size) if j not in self.categorical]
        coded = [j for j, size in zip(self.categorical, self.sizes, strict=True) for _ in range(size)]
        return np.array([*numeric, *self.flagged, *coded], dtype=np.int64)

    @property
    def ends(self) -> tuple[Array, Array]:
        """The signed logarithms beyond which each numeric feature counts no further, shape (n_features,) each."""
        return self.mean - _REACH * self.scale, self.mean + _REACH * self.scale

    def columns(self, matrix: Array) -> Array:
        """The design matrix of rows, shape (n_rows, n_columns)."""
        numeric = [j for j in range(self.mean.size) if j not in self.categorical]
        low, high = (each[numeric] for each in self.ends)
        logs = np.clip(_signed_log(matrix[:, numeric]), low, high)
        standard = (logs - self.mean[numeric]) / self.scale[numeric]
        parts = [np.nan_to_num(standard), np.isnan(matrix[:, list(self.flagged)]).astype(np.float64)]
        parts += [
            (matrix[:, [j]] == np.arange(size)).astype(np.float64)
            for j, size in zip(self.categorical, self.sizes, strict=True)
        ]
        return np.hstack(parts)


@dataclass(frozen=True)
class LinearLogOdds:
    """A logistic regression with an L2 penalty, as plain arrays.

    Parameters
    ----------
    design : Design
    coefficients : array, shape (n_columns,)
    background : array, shape (n_columns,)
        Weighted mean of the design columns over training rows; contributions are measured from it.
    intercept : float
        Log-odds at the background.
    """

    design: Design
    coefficients: Array
    background: Array
    intercept: float

    @classmethod
    def fit(
        cls, matrix: Array, y: Array, weight: Array, categorical: tuple[int, ...], strength: float
    ) -> "LinearLogOdds":
        """Fit on a feature matrix with category codes; `strength` is the inverse of the penalty (scikit-learn's C)."""
        from sklearn.linear_model import LogisticRegression  # late: it loads much that scoring has no use for

        design = Design.learn(matrix, categorical, weight)
        columns = design.columns(matrix)
        model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=200)
        model.fit(columns, y, sample_weight=weight)
        coefficients = model.coef_[0]
        background = np.average(columns, axis=0, weights=weight)
        return cls(design, coefficients, background, float(model.intercept_[0] + background @ coefficients))

    def contributions(self, matrix: Array) -> Array:
        """Log-odds of each feature relative to the background, shape (n_rows, n_features)."""
        by_column = (self.design.columns(matrix) - self.background) * self.coefficients
        out = np.zeros(matrix.shape)
        np.add.at(out.T, self.design.feature_of_column, by_column.T)
        return out

    def log_odds(self, matrix: Array) -> Array:
        """Log-odds of rows, shape (n_rows,)."""
        return self.intercept + (self.design.columns(matrix) - self.background) @ self.coefficients

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "categorical": list(self.design.categorical),
            "mean": self.design.mean.tolist(),
            "scale": self.design.scale.tolist(),
            "flagged": list(self.design.flagged),
            "sizes": list(self.design.sizes),
            "coefficients": self.coefficients.tolist(),
            "background": self.background.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "LinearLogOdds":
        """Undo `to_dict`."""
        design = Design(
            tuple(values["categorical"]),
            np.array(values["mean"], dtype=np.float64),
            np.array(values["scale"], dtype=np.float64),
            tuple(values["flagged"]),
            tuple(values["sizes"]),
        )
        return cls(
            design,
            np.array(values["coefficients"], dtype=np.float64),
            np.array(values["background"], dtype=np.float64),
            float(values["intercept"]),
        )


def _signed_log(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))
