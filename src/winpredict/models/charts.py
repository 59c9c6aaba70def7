"""Charts of a model's quality, drawn from data frames; they are kept with the MLflow runs, in the language of those."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from winpredict.locale.text import said
from winpredict.models.calibration import reliability

_SIZE = {"width": 420, "height": 320}
_POINTS = 200


def quality_charts(won: ArrayLike, odds: ArrayLike) -> dict[str, alt.TopLevelMixin]:
    """Calibration, ROC and precision-recall charts of predictions whose endings are known.

    Parameters
    ----------
    won : array-like of shape (n_rows,)
        0 or 1; both must occur.
    odds : array-like of shape (n_rows,)

    Returns
    -------
    dict of str to altair chart

    Examples
    --------
    >>> sorted(quality_charts([0, 1, 0, 1], [0.1, 0.7, 0.4, 0.6]))
    ['calibration', 'precision_recall', 'roc']
    """
    return {
        "calibration": calibration_chart(reliability(won, odds)),
        "roc": roc_chart(won, odds),
        "precision_recall": precision_recall_chart(won, odds),
    }


def calibration_chart(bins: pd.DataFrame) -> alt.TopLevelMixin:
    """Observed share of wins against predicted odds; on the diagonal the odds are right.

    Parameters
    ----------
    bins : DataFrame
        What `winpredict.models.calibration.reliability` gives.

    Returns
    -------
    altair chart
    """
    odds = alt.X(
        "predicted:Q", title=said("predicted win odds"), scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")
    )
    bars = alt.Chart(bins).mark_rule().encode(odds, alt.Y("low:Q", title=said("share won")), alt.Y2("high:Q"))
    dots = (
        alt.Chart(bins)
        .mark_circle(opacity=1)
        .encode(
            odds,
            alt.Y("observed:Q", title=said("share won"), scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            alt.Size("n:Q", title=said("deals scored")),
        )
    )
    return alt.layer(_diagonal(), bars, dots).properties(title=said("Calibration"), **_SIZE)


def roc_chart(won: ArrayLike, odds: ArrayLike) -> alt.TopLevelMixin:
    """Share of wins found against share of losses taken along, over all thresholds.

    Parameters
    ----------
    won : array-like of shape (n_rows,)
        0 or 1; both must occur.
    odds : array-like of shape (n_rows,)

    Returns
    -------
    altair chart
    """
    taken, found, _ = roc_curve(won, odds)
    line = _curve(taken, found, said("losses taken along"), said("wins found"))
    return alt.layer(_diagonal(), line).properties(title=said("ROC"), **_SIZE)


def precision_recall_chart(won: ArrayLike, odds: ArrayLike) -> Any:
    """Share of wins among the deals picked against share of wins found, over all thresholds.

    Parameters
    ----------
    won : array-like of shape (n_rows,)
        0 or 1; both must occur.
    odds : array-like of shape (n_rows,)

    Returns
    -------
    altair chart
    """
    precision, recall, _ = precision_recall_curve(won, odds)
    return _curve(recall, precision, said("wins found"), said("wins among the picked")).properties(
        title=said("Precision and recall"), **_SIZE
    )


def drivers_chart(drivers: pd.DataFrame, most: int = 15) -> Any:
    """The features that move the odds most.

    Parameters
    ----------
    drivers : DataFrame
        Columns feature (str), sentence (str) and points (float): the mean absolute contribution, as a probability.
    most : int
        Bars at the most.

    Returns
    -------
    altair chart
    """
    points = alt.X("points:Q", title=said("mean effect on the odds (percentage points)"), axis=alt.Axis(format=".1%"))
    names = alt.Y("sentence:N", title=None, sort="-x", axis=alt.Axis(labelLimit=320))
    top = drivers.nlargest(most, "points")
    return alt.Chart(top).mark_bar().encode(points, names).properties(title=said("Top drivers"), width=_SIZE["width"])


def _diagonal() -> Any:
    ends = pd.DataFrame({"x": [0.0, 1.0], "y": [0.0, 1.0]})
    return alt.Chart(ends).mark_line(strokeDash=[4, 4], color="grey").encode(alt.X("x:Q"), alt.Y("y:Q"))


def _curve(x: NDArray[Any], y: NDArray[Any], x_title: str, y_title: str) -> Any:
    picked = np.unique(np.linspace(0, len(x) - 1, _POINTS).astype(np.int64))  # a chart needs no more, and stays small
    points = pd.DataFrame({"x": x[picked], "y": y[picked], "place": picked})
    return (
        alt.Chart(points)
        .mark_line()
        .encode(
            alt.X("x:Q", title=x_title, axis=alt.Axis(format="%")),
            alt.Y("y:Q", title=y_title, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            alt.Order("place:Q"),
        )
    )
