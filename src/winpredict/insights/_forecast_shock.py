"""A shock that all deals share, and leaves each its odds on average."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

_NODES, _STEPS = 41, 12
_RAREST = 1e-9


def middle_log_odds(chance: Floats, spread: float) -> Floats:
    """Log-odds in the middle of a normal shock such that the mean over all shocks is the given chance.

    Simply adding a shock would draw every chance towards one half, as odds near 0 and 1 move on one side only.

    Parameters
    ----------
    chance : ndarray of shape (n_deals,)
    spread : float
        Standard deviation of the shock, in log-odds.

    Returns
    -------
    ndarray of shape (n_deals,)
        Solves E[expit(middle + spread * z)] = chance for a standard normal z.

    Examples
    --------
    >>> middle_log_odds(np.array([0.5, 0.8]), 0.0).round(3)
    array([0.   , 1.386])
    >>> middle_log_odds(np.array([0.5, 0.8]), 1.0).round(3)
    array([0.  , 1.65])
    """
    # for common wins by the rarer loss, where the steps below converge at once
    rare = np.clip(np.minimum(chance, 1.0 - chance), _RAREST, 0.5)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    middle = logit(rare) * np.sqrt(1.0 + 0.346 * spread**2)  # near: the logistic curve is much like the normal one
    for _ in range(_STEPS):
        odds = expit(middle[:, None] + spread * nodes)
        mean, slope = odds @ weights, (odds * (1.0 - odds)) @ weights
        middle = middle - np.log(mean / rare) * mean / slope
    return np.asarray(np.where(chance > 0.5, -middle, middle))
