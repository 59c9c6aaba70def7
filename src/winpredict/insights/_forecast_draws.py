"""What open deals bring in each simulated future, added up by group while it is drawn: deals may be many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from winpredict._internal.compiling import njit

Floats = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _add(luck: Floats, brought: Floats, against: Floats, moved: Floats, out: Floats) -> None:
    """Add one deal to the futures in which it is won, in each period: where luck < expit(middle + shock)."""
    for period in range(against.shape[0]):
        odds_against = against[period]
        for draw in range(luck.shape[0]):
            if luck[draw] * (1.0 + odds_against * moved[period, draw]) < 1.0:
                out[period, draw] += brought[draw]


def drawn_bookings(
    rng: np.random.Generator,
    log_odds: Floats,
    shock: Floats,
    amount: Floats,
    ratios: Floats,
    groups: NDArray[np.integer[Any]],
) -> Floats:
    """What the open deals of each group bring in each simulated future, in several periods.

    As many numbers are drawn whatever the odds, and the same for all periods: a deal has the same luck in each.

    Parameters
    ----------
    rng : Generator
    log_odds : ndarray of shape (n_periods, n_deals)
        In the middle of the shock.
    shock : ndarray of shape (n_periods, n_draws)
        Of each future, in log-odds.
    amount : ndarray of shape (n_deals,)
    ratios : ndarray
        By what amounts of past deals moved until the win.
    groups : ndarray of shape (n_deals,)
        Number of each deal's group, from 0.

    Returns
    -------
    ndarray of shape (n_groups, n_periods, n_draws)

    Examples
    --------
    >>> never, surely = np.array([[-50.0, 50.0]]), np.zeros((1, 3))
    >>> drawn = drawn_bookings(np.random.default_rng(0), never, surely, np.array([7.0, 5.0]), np.ones(1), np.arange(2))
    >>> drawn[:, 0]
    array([[0., 0., 0.],
           [5., 5., 5.]])
    """
    draws = shock.shape[1]
    # deals without a group leave one empty row, so that there is always something to add up
    out = np.zeros((int(groups.max(initial=0)) + 1, len(log_odds), draws))
    against, moved = np.exp(-log_odds).T.copy(), np.exp(-shock)
    for deal, (group, mine) in enumerate(zip(groups.tolist(), amount.tolist(), strict=True)):
        luck = rng.random(draws)
        _add(luck, mine * rng.choice(ratios, draws), against[deal], moved, out[group])
    return out
