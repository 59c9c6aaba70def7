"""Differences of times as numbers of days."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SECONDS_A_DAY = 86_400.0


def days(difference: pd.Series) -> NDArray[np.float64]:
    """Time differences in days; NaN where missing.

    Examples
    --------
    >>> days(pd.Series(pd.to_timedelta(["36h", None])))
    array([1.5, nan])
    """
    return difference.to_numpy() / np.timedelta64(1, "s") / SECONDS_A_DAY
